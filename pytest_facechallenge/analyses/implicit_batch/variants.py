"""The variants of a model without control flow: one for each way through the conditions on the image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx

from pytest_facechallenge.analyses.implicit_batch.feed import Feed
from pytest_facechallenge.analyses.implicit_batch.force_selection import select_everything
from pytest_facechallenge.analyses.implicit_batch.runner import RunError, Runner
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.analyses.implicit_batch.unroll import Unrolled, UnrollError, has_control_flow, unroll
from pytest_facechallenge.core.facts.implicit_batch import Unseen
from pytest_facechallenge.core.facts.implicit_batch_kinds import Gap

#: Name of the variant in which every selection by what the image shows takes everything.
EVERYTHING = "every selection takes everything"

#: Characters of the runtime's text that are kept.
TEXT = 200


@dataclass(frozen=True)
class Variant:
    """A model without control flow.

    Attributes
    ----------
    model
        One graph, no subgraphs.
    branch
        In words, which way the conditions on the image went; "" when there is none.
    by_size
        Whether one of these conditions looks at the size of the batch alone.
    """

    model: onnx.ModelProto
    branch: str
    by_size: bool = False


def variants(model: onnx.ModelProto, feed: Feed, limits: Thresholds) -> Iterator[Variant | Unseen]:
    """Yield every way through the conditions, and where the image selects rows, the first one with all rows selected.

    What cannot be followed is yielded as what it is.
    """
    forced = None
    for found in _ways(model, feed, limits):
        if isinstance(found, Variant) and forced is None:
            forced = select_everything(found.model, feed.name)
            problem = _problem(forced, feed, limits) if forced is not None else ""
            if problem:
                yield Unseen(gap=Gap.SELECTION_NOT_RUN, error=problem)
                forced = None
        yield found
    if forced is not None:
        yield Variant(forced, EVERYTHING)


def _problem(model: onnx.ModelProto, feed: Feed, limits: Thresholds) -> str:
    """Return why a model does not run, or ""."""
    try:
        Runner(model, [feed.output], largest=limits.running.largest)(feed(feed.images.natural(1)))
    except RunError as error:
        return str(error)[:TEXT]
    return ""


def _ways(model: onnx.ModelProto, feed: Feed, limits: Thresholds) -> Iterator[Variant | Unseen]:
    """Yield the model without control flow, once per way through the Ifs that depend on the image."""
    if not has_control_flow(model):
        yield Variant(unroll(model, {}, limits=limits).model, "")
        return
    images = feed.images
    feeds = feed(images.natural(1))
    extremes = [*images.natural(3)[1:, None], images.noise(1), images.flat(0.1), images.flat(0.9)]
    others = [feed(image) for image in extremes]
    try:
        first = unroll(model, feeds, others=others, limits=limits)
    except UnrollError as error:
        yield Unseen(gap=Gap.CONTROL_FLOW, error=str(error))
        return
    yield _variant(first, dict.fromkeys(first.conditions, True))
    if not first.conditions:
        return
    ways: list[dict[str, bool]] = [dict.fromkeys(first.conditions, False)]
    if len(first.conditions) > 1:
        for name in first.conditions:
            ways += [dict.fromkeys(first.conditions, True) | {name: False}]
            ways += [dict.fromkeys(first.conditions, False) | {name: True}]
    seen = {tuple(first.conditions)}
    followed = limits.running.ways
    for way in ways[: followed - 1]:
        try:
            flat = unroll(model, feeds, way, others, limits=limits)
        except UnrollError as error:
            yield Unseen(gap=Gap.CONTROL_FLOW, error=str(error), branch=_words(way))
            continue
        extra = [name for name in flat.conditions if name not in way]
        if extra and tuple(flat.conditions) not in seen:
            seen.add(tuple(flat.conditions))
            ways.append(way | dict.fromkeys(extra, False))
        yield _variant(flat, way)
    if len(ways) > followed - 1:
        yield Unseen(gap=Gap.MORE_WAYS, count=len(ways) + 1, followed=followed)


def _variant(flat: Unrolled, way: dict[str, bool]) -> Variant:
    return Variant(flat.model, _words(way), bool(flat.by_size))


def _words(choices: dict[str, bool]) -> str:
    """Return a way through the conditions as it is named in facts: each If node's label, and which branch."""
    return ", ".join(f"'{name}' {'true' if taken else 'false'}" for name, taken in choices.items())
