"""The step ``probes``: batches and images made for what the graph shows, and nothing where it shows nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_facechallenge.analyses.behaviour import batch_probes, condition_search
from pytest_facechallenge.analyses.behaviour.gather import normalisation, open_shared, text_of
from pytest_facechallenge.analyses.behaviour.image_family import EXTREMES, Look
from pytest_facechallenge.core.facts.flow import FlowFacts, ImageProbe, ProbesFacts
from pytest_facechallenge.inference.images import natural, to_input

if TYPE_CHECKING:
    import numpy.typing as npt

    from pytest_facechallenge.analyses.context import Context

#: Ordinary images that the others are made of.
FACES = 4


def gather(context: Context) -> ProbesFacts:
    """Run what the facts of ``flow`` call for."""
    flow = context.facts.need(FlowFacts)
    by_content = any(width.by_content for width in flow.widths)
    rows = bool(flow.batch or flow.lost or flow.widths)
    if not rows and not flow.conditions and not by_content:
        return ProbesFacts()
    session = open_shared(context)
    mean, std = normalisation(context)
    faces = natural(FACES, context.options.seed + 3)

    def embed(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        return np.asarray(session.run(to_input(images, mean, std))[0], np.float64)

    batch = batch_probes.run(context, flow, embed) if rows else ()
    seen: list[condition_search.Seen] = []
    looks: list[Look] = []
    if flow.conditions or by_content:
        seen = condition_search.search(context, flow.conditions, faces, mean, std)
        looks = [*EXTREMES, *(one.look for one in seen if one.look is not None)]
        context.report(f"embedding {len(looks)} extremes of natural images")
    images = tuple(_embedded(look, faces, embed) for look in dict.fromkeys(looks))
    return ProbesFacts(batch=batch, images=images, conditions=tuple(one.fact() for one in seen))


def _embedded(look: Look, faces: npt.NDArray[np.uint8], embed: batch_probes.Embed) -> ImageProbe:
    try:
        row = embed(look.of(faces)[None])
    except Exception as error:  # the runtime raises its own types
        return ImageProbe(image=look.words(), error=text_of(error))
    finite = bool(np.isfinite(row).all())
    return ImageProbe(
        image=look.words(), finite=finite, norm=float(np.linalg.norm(row)) if finite else -1.0, width=row.size
    )
