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
from pytest_facechallenge.core.facts.implicit_batch import (
    BatchComposition,
    ImplicitBatchFacts,
    InputView,
    Observation,
    Unseen,
)
from pytest_facechallenge.core.facts.implicit_batch_kinds import Gap
from pytest_facechallenge.core.facts.interventions import Decoupled, Intervention
from pytest_facechallenge.core.freed_memory import give_back
from pytest_facechallenge.onnx_graph.ir import inline_functions

#: Characters of the runtime's text that are kept.
TEXT = 300
#: Of parts that were fed no other images, less than any way that an embedding is moved.
UNTRIED = -9.0
#: Of the way to another image's embedding, by which one intervention must move it further to be told beside another.
CLEARER = 0.02


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
    if served is None:
        return found
    more = _followed(served, threads, limits, apart=apart)
    fed = f"fed {served.images.low:g} to {served.images.high:g}"
    return msgspec.structs.replace(found, observations=(*found.observations, *_new(found, more, fed)))


def _new(found: ImplicitBatchFacts, more: ImplicitBatchFacts, fed: str) -> Iterator[Observation]:
    """Yield what images in another range of values show beyond what was seen.

    Not every challenge feeds that range: what could not be seen of it is no gap, nor a batch that is no number. What
    is told again, with other numbers, counts where parts that were fed other images now move the embedding. What
    layers see of the image is compared among images of one range: it is told of all layers, or of none.
    """
    known: dict[tuple[object, ...], float] = {}
    for entry in found.observations:
        key = _key(entry)
        known[key] = max(known.get(key, UNTRIED), _clearness(getattr(entry, "intervention", None)))
    views = [[(view.layer, view.kind, view.relation) for view in each.of(InputView)] for each in (found, more)]
    for entry in more.observations:
        if isinstance(entry, Unseen | BatchComposition):
            continue
        if isinstance(entry, InputView):
            if views[0] != views[1]:
                yield msgspec.structs.replace(entry, branch=entry.branch or fed)
        elif _clearness(getattr(entry, "intervention", None)) > known.get(_key(entry), UNTRIED - 1) + CLEARER:
            yield entry


def _key(entry: Observation) -> tuple[object, ...]:
    """Return what an observation is about, without its numbers."""
    data = msgspec.structs.asdict(entry)
    return (
        type(entry),
        *(repr(data[name]) for name in data if name != "intervention" and not isinstance(data[name], float)),
    )


def _clearness(shown: Intervention | None) -> float:
    """Return by how much the part of the two that counts less moves the embedding; less than 0 where none was tried."""
    exchanged = shown.exchanged if isinstance(shown, Decoupled) else shown
    return min(median for _, median, _ in exchanged.moved) if exchanged is not None else UNTRIED


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
    return ImplicitBatchFacts(
        layers=layers, macs=macs, branches=tuple(branches), observations=tuple(dict.fromkeys([*whole, *seen]))
    )


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
