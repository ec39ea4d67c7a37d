"""One variant of a model, opened: its structure, its images, and a way to run any part of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx

from pytest_facechallenge.analyses.implicit_batch.feed import Feed
from pytest_facechallenge.analyses.implicit_batch.layer_index import Structure
from pytest_facechallenge.analyses.implicit_batch.runner import Held, Runner, part_for
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.analyses.implicit_batch.variants import Variant
from pytest_facechallenge.onnx_graph.ir import from_model

Array = npt.NDArray[Any]


class Sessions:
    """Opens parts of one variant of a model, and notes which values overflowed in any run of them.

    The note is all that changes while observers work. It says nothing about the model that an observer could use; it
    is read once, when all have run.

    Parameters
    ----------
    model
        Without control flow.
    threads
        Of the runtime; 0 leaves it the choice.
    largest
        Values beyond this count as overflowed.
    """

    def __init__(self, model: onnx.ModelProto, threads: int, largest: float) -> None:
        self._model, self._threads, self.largest = model, threads, largest
        self._overflowed: list[set[str]] = []

    def open(self, names: Sequence[str], model: onnx.ModelProto | None = None, *, optimised: bool = False) -> Runner:
        """Load what the values of ``names`` need, of the variant or of another model made from it.

        To let the runtime optimise the graph takes longer than it saves, but for large networks that are run often.
        """
        part = part_for(model or self._model, names)
        runner = Runner(part, names, self._threads, optimised=optimised, largest=self.largest)
        self._overflowed.append(runner.overflowed)
        return runner

    @property
    def overflowed(self) -> list[str]:
        """Values that were not finite, or too large to be compared, in some run so far; sorted."""
        return sorted(set().union(*self._overflowed))


@dataclass(frozen=True, eq=False)
class OpenedModel:
    """One variant of a model, ready to be run.

    Attributes
    ----------
    variant
        The model without control flow.
    feed
        The images.
    structure
        Its layers, shapes and dependencies.
    sessions
        Open parts of it.
    threads
        Of the runtime; 0 leaves it the choice.
    natural
        Images with the spectrum of photographs, float32 [6, C, H, W].
    """

    variant: Variant
    feed: Feed
    structure: Structure
    sessions: Sessions
    threads: int
    natural: Array

    @property
    def branch(self) -> str:
        """In words, which way the conditions on the image went; "" when there is none."""
        return self.variant.branch

    def open(self, names: Sequence[str], model: onnx.ModelProto | None = None, *, optimised: bool = False) -> Runner:
        """See `Sessions.open`."""
        return self.sessions.open(names, model, optimised=optimised)

    def share(self, macs: float) -> float:
        """Return multiply-adds as a share of all, 0..1, rounded as it stands in facts."""
        return round(macs / max(1, self.structure.total_macs), 4)


def open_variant(variant: Variant, feed: Feed, threads: int, limits: Thresholds) -> OpenedModel:
    """Run a variant on one image and read its structure.

    Raises
    ------
    RunError
        It does not run.
    """
    graph = feed.graph if variant.model is feed.model else from_model(variant.model, Path())
    names = [name for node in graph.nodes for name in node.outputs if name]
    image = feed.images.natural(1)
    survey = Runner(variant.model, names, threads, largest=limits.running.largest).survey(feed(image))
    survey[feed.name] = Held.of(image)
    structure = Structure(graph, survey, feed.name, limits)
    sessions = Sessions(variant.model, threads, limits.running.largest)
    return OpenedModel(variant, feed, structure, sessions, threads, feed.images.natural(limits.running.natural))
