"""Gather `ImplicitBatchFacts`: take control flow out of the model, trace every variant, ask every observer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import onnx

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.implicit_batch import batch_independence
from pytest_facechallenge.analyses.implicit_batch.branch_places import EarlyMap, compare, early_maps
from pytest_facechallenge.analyses.implicit_batch.confirm import confirm
from pytest_facechallenge.analyses.implicit_batch.feed import Feed
from pytest_facechallenge.analyses.implicit_batch.force_decisions import decided_ways
from pytest_facechallenge.analyses.implicit_batch.observers import OBSERVERS
from pytest_facechallenge.analyses.implicit_batch.opened import open_variant
from pytest_facechallenge.analyses.implicit_batch.runner import RunError
from pytest_facechallenge.analyses.implicit_batch.thresholds import DEFAULTS, Thresholds
from pytest_facechallenge.analyses.implicit_batch.trace import TracedModel, trace
from pytest_facechallenge.analyses.implicit_batch.variants import EVERYTHING, variants
from pytest_facechallenge.core.facts.flow import FlowFacts
from pytest_facechallenge.core.facts.implicit_batch import BatchComposition, ImplicitBatchFacts, Observation, Unseen
from pytest_facechallenge.core.facts.implicit_batch_kinds import Gap
from pytest_facechallenge.core.facts.interventions import Decoupled, Intervention
from pytest_facechallenge.core.freed_memory import give_back
from pytest_facechallenge.onnx_graph.ir import inline_functions

#: Characters of the runtime's text that are kept.
TEXT = 300


def gather(context: Context) -> ImplicitBatchFacts:
    """Follow the image through the submission; see `ImplicitBatchFacts`."""
    apart = context.facts.need(FlowFacts).apart
    return follow(context.runnable_path, context.options.seed, context.options.threads, apart=apart)


def follow(
    path: Path, seed: int = 20211001, threads: int = 0, limits: Thresholds = DEFAULTS, *, apart: bool = False
) -> ImplicitBatchFacts:
    """Follow the image through the model at ``path``.

    Parameters
    ----------
    seed
        Of the probe images.
    threads
        Of the runtime; 0 leaves it the choice.
    apart
        Whether the graph shows that the images of a batch never meet: no batch is run then, and six else.

    Raises
    ------
    ValueError
        The model has no image input of four dimensions.
    RunError
        The model does not run.
    """
    model = onnx.load(str(path))
    if model.functions:
        model = inline_functions(model)
    feed = Feed(model, path.parent, seed, limits)
    del model  # with the weights of a large one, which feed holds apart
    give_back()
    found = _followed(feed, threads, limits, apart=apart)
    served = feed.as_served()
    more = () if served is None else _followed(served, threads, limits, apart=apart).observations
    # Not every challenge feeds as that server does: what could not be seen of its images is no gap.
    seen = [*found.observations, *(entry for entry in more if not isinstance(entry, Unseen | BatchComposition))]
    return msgspec.structs.replace(found, observations=tuple(_told_once(seen)))


def _told_once(seen: list[Observation]) -> list[Observation]:
    """Leave out what is told twice, with other numbers: where parts were fed other images, the clearer one stays."""
    kept: dict[tuple[object, ...], Observation] = {}
    for entry in seen:
        shown = getattr(entry, "intervention", None)
        words = {name: value for name, value in msgspec.structs.asdict(entry).items() if not isinstance(value, float)}
        key = (type(entry), *(repr(value) for name, value in words.items() if name != "intervention"))
        before = kept.setdefault(key, entry)
        if shown is not None and _clearness(shown) > _clearness(getattr(before, "intervention", None)):
            kept[key] = entry
    return list(kept.values())


def _clearness(shown: Intervention | None) -> float:
    """Return by how much the part of the two that counts less moves the embedding; less than 0 where none was tried."""
    exchanged = shown.exchanged if isinstance(shown, Decoupled) else shown
    return min(median for _, median, _ in exchanged.moved) if exchanged is not None else -9.0


def _followed(feed: Feed, threads: int, limits: Thresholds, *, apart: bool) -> ImplicitBatchFacts:
    """Follow images of one range of values through the model."""
    seen: list[Observation] = []
    layers, macs, branches = 0, 0, []
    ways: list[dict[str, EarlyMap]] = []
    for found in traced(feed.model, feed, threads, limits):
        if isinstance(found, Unseen):
            seen.append(found)
            continue
        seen += observe(found, limits)
        if maps := early_maps(found, limits):
            ways.append(maps)
            seen += compare(ways[0], maps, limits) if len(ways) > 1 else []
        layers = max(layers, len(found.structure.layers))
        macs = max(macs, found.structure.total_macs)
        branches.append(found.branch)
    whole = batch_independence.of_whole_model(feed, macs, threads, limits, apart=apart)
    return ImplicitBatchFacts(layers=layers, macs=macs, branches=tuple(branches), observations=(*whole, *seen))


def traced(model: onnx.ModelProto, feed: Feed, threads: int, limits: Thresholds) -> Iterator[TracedModel | Unseen]:
    """Yield every variant of the model traced, and what could not be followed.

    Raises
    ------
    RunError
        The model does not run, or a part of a variant does not.
    """
    for variant in variants(model, feed, limits):
        if isinstance(variant, Unseen):
            yield variant
            continue
        try:
            opened = open_variant(variant, feed, threads, limits)
        except RunError as error:
            if not variant.branch:
                raise
            yield Unseen(gap=Gap.BRANCH_NOT_RUN, error=str(error)[:TEXT], branch=variant.branch)
            continue
        yield trace(opened, limits)
        for way in () if variant.branch == EVERYTHING else decided_ways(opened, limits):
            if isinstance(way, Unseen):
                yield way
                continue
            try:
                yield trace(open_variant(way, feed, threads, limits), limits)
            except RunError as error:
                yield Unseen(gap=Gap.BRANCH_NOT_RUN, error=str(error)[:TEXT], branch=way.branch)


def observe(model: TracedModel, limits: Thresholds) -> list[Observation]:
    """Return what all observers see of a traced model, and what none of them could see."""
    seen: list[Observation] = [*model.unseen]
    seen += confirm(model, [entry for row in OBSERVERS for entry in row.observe(model, limits)], limits)
    overflowed = model.sessions.overflowed
    if overflowed:
        names = tuple(overflowed[: limits.running.named])
        largest = limits.running.largest
        seen.append(Unseen(gap=Gap.OVERFLOW, names=names, count=len(overflowed), limit=largest, branch=model.branch))
    return seen
