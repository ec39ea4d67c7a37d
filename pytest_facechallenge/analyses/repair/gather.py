"""Mend a copy of the model, and compare its embeddings with those of the model as it was handed in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from pytest_facechallenge.analyses.behaviour.gather import normalisation
from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.interface.gather import external_is_safe
from pytest_facechallenge.analyses.repair.options import RepairOptions
from pytest_facechallenge.analyses.repair.table import REPAIRS
from pytest_facechallenge.core.facts.interface import InterfaceFacts
from pytest_facechallenge.core.facts.repair import Mended, RepairFacts
from pytest_facechallenge.inference.images import natural, to_input
from pytest_facechallenge.inference.session import Session

#: The mended model, in the private working folder.
FILE = "mended/model.onnx"
#: Images that are compared.
IMAGES = 4


def gather(context: Context) -> RepairFacts:
    """Apply every repair of the table that applies; see `RepairFacts`."""
    interface = context.facts.need(InterfaceFacts)
    if not external_is_safe(interface):
        return RepairFacts(trouble="weights lie in a side file that was not handed in or cannot be read")
    context.report("mending a copy of the model")
    model = onnx.load(str(context.model_path))
    repairs: list[Mended] = []
    if interface.external:
        why = "The server gets one file."
        what = f"{len({entry.location for entry in interface.external})} side file(s) taken into the model"
        repairs.append(Mended(name="side files", why=why, what=what))
    options = context.options.of(RepairOptions)
    for repair in REPAIRS:
        what = repair.apply(model, context.facts, options)
        if what:
            repairs.append(Mended(name=repair.name, why=repair.why, what=what))
    if not repairs:
        return RepairFacts()
    target = context.workdir / FILE
    target.parent.mkdir(exist_ok=True)
    onnx.save(model, str(target))
    name = model.graph.output[0].name if model.graph.output else ""
    return _compared(context, target, name, tuple(repairs))


def _compared(context: Context, target: Path, name: str, repairs: tuple[Mended, ...]) -> RepairFacts:
    images = to_input(natural(IMAGES, context.options.seed + 3), *normalisation(context))
    try:
        mended = Session(target, context.options.device, context.options.threads)
        alone = _one_by_one(mended, images, name)
        together = mended.run(images, [name])[0].astype(np.float64)
    except Exception as error:  # the runtime raises its own types
        return RepairFacts(repairs=repairs, trouble=f"the mended model does not run: {str(error)[:300]}")
    differs = _difference(alone, together)
    known = RepairFacts(repairs=repairs, file=FILE, images=IMAGES, alone_together=differs)
    try:
        given = Session(context.model_path, context.options.device, context.options.threads)
        before = _one_by_one(given, images, name)
    except Exception as error:
        return RepairFacts(
            repairs=repairs, file=FILE, images=IMAGES, alone_together=differs,
            trouble=f"the model as handed in does not run on single images: {str(error)[:300]}",
        )  # fmt: skip
    return RepairFacts(
        repairs=known.repairs, file=FILE, images=IMAGES, alone_together=differs, before_after=_difference(before, alone)
    )


def _one_by_one(session: Session, images: npt.NDArray[np.float32], name: str) -> npt.NDArray[np.float64]:
    rows = [session.run(images[at : at + 1], [name])[0].reshape(1, -1) for at in range(len(images))]
    return np.concatenate(rows).astype(np.float64)


def _difference(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    if one.shape != other.shape or not (np.isfinite(one).all() and np.isfinite(other).all()):
        return -1.0
    return float(np.abs(one - other).max(initial=0.0)) / max(float(np.abs(one).max(initial=0.0)), 1e-30)
