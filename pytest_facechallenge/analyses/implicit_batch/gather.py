"""Gather `ImplicitBatchFacts`: open the model, take its control flow out, look inside, ask every observer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import onnx

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.implicit_batch.batch_independence import company
from pytest_facechallenge.analyses.implicit_batch.force_selection import select_everything
from pytest_facechallenge.analyses.implicit_batch.observe import observe
from pytest_facechallenge.analyses.implicit_batch.probe_images import Images, value_range
from pytest_facechallenge.analyses.implicit_batch.runner import RunError, Runner
from pytest_facechallenge.analyses.implicit_batch.trace import Probe
from pytest_facechallenge.analyses.implicit_batch.unroll import FlattenError, flatten, has_control_flow
from pytest_facechallenge.core.facts.implicit_batch import CompanyFact, ImplicitBatchFacts
from pytest_facechallenge.onnx_graph.ir import from_model, inline_functions

Array = npt.NDArray[Any]

#: Ways through If nodes that are looked at.
VARIANTS = 6

#: Multiply-adds from which a network is run in batches of at most 8: 32 images of it need too much memory.
LARGE = 2_000_000_000

#: Multiply-adds up to which a batch larger than the organisers' 32 is tried as well.
SMALL = 100_000_000

DTYPES = {
    onnx.TensorProto.FLOAT: np.float32,
    onnx.TensorProto.DOUBLE: np.float64,
    onnx.TensorProto.FLOAT16: np.float16,
    onnx.TensorProto.UINT8: np.uint8,
}


def gather(context: Context) -> ImplicitBatchFacts:
    """Follow the image through the submission; see `ImplicitBatchFacts`."""
    return follow(context.model_path, context.options.seed, context.options.threads)


def follow(path: Path, seed: int = 20211001, threads: int = 0) -> ImplicitBatchFacts:
    """Follow the image through the model at ``path``.

    Raises
    ------
    ValueError
        The model has no image input of four dimensions.
    """
    model = onnx.load(str(path))
    if model.functions:
        model = inline_functions(model)
    feed = Feed(model, path.parent, seed)
    facts: dict[str, list[Any]] = {
        name: [] for name in ("views", "stacks", "twins", "repeats", "folds", "towers", "echoes", "company", "gaps")
    }
    layers, macs, branches = 0, 0, []
    for branch, flat, by_size in _ways(model, feed, facts["gaps"]):
        try:
            probe = Probe(flat, feed, branch, threads)
        except RunError as error:
            if not branch:
                raise
            facts["gaps"].append(f"with {branch} {str(error)[:300]}")
            continue
        for name, values in observe(probe).items():
            facts[name] += values
        layers, macs = max(layers, len(probe.structure.layers)), max(macs, probe.structure.total_macs)
        branches.append(branch)
        if branch:
            # What a branch does to the rows is not seen by running the model when no probe image takes it.
            tried = _company(flat, feed, threads, 8)
            ran = [fact for fact in tried if fact.change >= 0]
            if not ran and not by_size:  # a branch for one size of the batch: the whole model takes it when it must
                facts["gaps"].append(f"with {branch} no batch could be run: {tried[0].error}")
            facts["company"] += [
                msgspec.structs.replace(fact, company=f"{fact.company}, with {branch}") for fact in ran
            ]
    size = 8 if macs >= LARGE else 32 if macs >= SMALL else 130
    rows = (*_company(model, feed, threads, size), *facts.pop("company"))
    return ImplicitBatchFacts(
        layers=layers,
        macs=macs,
        company=rows,
        branches=tuple(branches),
        **{name: tuple(dict.fromkeys(values)) for name, values in facts.items()},
    )


class Feed:
    """The model's image input and the images for it.

    Attributes
    ----------
    name, dtype
        Of the input.
    output
        Name of the model's first output.
    model, graph
        The model as it was given, and the same as a `Graph`.
    """

    def __init__(self, model: onnx.ModelProto, folder: Path, seed: int) -> None:
        known = {tensor.name for tensor in model.graph.initializer}
        inputs = [value for value in model.graph.input if value.name not in known]
        if not inputs:
            raise ValueError("the model has no input; an image is expected")
        value = inputs[0]
        dims = [d.dim_value if d.HasField("dim_value") else 0 for d in value.type.tensor_type.shape.dim]
        if len(dims) != 4:
            raise ValueError(f"input '{value.name}' has {len(dims)} dimensions; [N, C, H, W] is expected")
        self.name = value.name
        self.dtype = DTYPES.get(value.type.tensor_type.elem_type, np.float32)
        channels, height, width = dims[1] or 3, dims[2] or 112, dims[3] or 112
        self.model, self.graph = model, from_model(model, folder)
        low, high = (0.0, 255.0) if self.dtype is np.uint8 else value_range(self.graph)
        self.images = Images(channels, height, width, low, high, seed)
        self.output = model.graph.output[0].name

    def __call__(self, images: Array) -> dict[str, Array]:
        """Return the feeds for images [N, C, H, W]."""
        return {self.name: np.ascontiguousarray(images).astype(self.dtype)}


def _ways(model: onnx.ModelProto, feed: Feed, gaps: list[str]) -> Iterator[tuple[str, onnx.ModelProto, bool]]:
    """Yield every variant of `_variants`, and where the image selects rows, the first one with all rows selected."""
    forced = None
    for branch, flat, by_size in _variants(model, feed, gaps):
        if forced is None:
            forced = select_everything(flat, feed.name)
            problem = _problem(forced, feed) if forced is not None else ""
            if problem:
                gaps.append(f"what the image selects was seen as the probe images have it only: {problem}")
                forced = None
        yield branch, flat, by_size
    if forced is not None:
        yield "every selection takes everything", forced, False


def _problem(model: onnx.ModelProto, feed: Feed) -> str:
    """Return why a model does not run, or ""."""
    try:
        Runner(model, [feed.output])(feed(feed.images.natural(1)))
    except RunError as error:
        return f"with everything selected {str(error)[:200]}"
    return ""


def _variants(model: onnx.ModelProto, feed: Feed, gaps: list[str]) -> Iterator[tuple[str, onnx.ModelProto, bool]]:
    """Yield the model without control flow, once per way through the Ifs that depend on the image.

    With it, whether one of these looks at the size of the batch alone.
    """
    if not has_control_flow(model):
        yield "", flatten(model, {}).model, False
        return
    feeds = feed(feed.images.natural(1))
    extremes = [
        *feed.images.natural(3)[1:, None],
        feed.images.noise(1),
        feed.images.flat(0.1),
        feed.images.flat(0.9),
    ]
    others = [feed(image) for image in extremes]
    try:
        first = flatten(model, feeds, others=others)
    except FlattenError as error:
        gaps.append(str(error))
        return
    yield (
        ("" if not first.conditions else _way(dict.fromkeys(first.conditions, True))),
        first.model,
        bool(first.by_size),
    )
    if not first.conditions:
        return
    ways: list[dict[str, bool]] = [dict.fromkeys(first.conditions, False)]
    if len(first.conditions) > 1:
        for name in first.conditions:
            ways += [dict.fromkeys(first.conditions, True) | {name: False}]
            ways += [dict.fromkeys(first.conditions, False) | {name: True}]
    seen = {tuple(first.conditions)}
    for way in ways[: VARIANTS - 1]:
        try:
            flat = flatten(model, feeds, way, others)
        except FlattenError as error:
            gaps.append(f"with {_way(way)}: {error}")
            continue
        extra = [name for name in flat.conditions if name not in way]
        if extra and tuple(flat.conditions) not in seen:
            seen.add(tuple(flat.conditions))
            ways.append(way | dict.fromkeys(extra, False))
        yield _way(way), flat.model, bool(flat.by_size)
    if len(ways) > VARIANTS - 1:
        gaps.append(f"{len(ways) + 1} ways through the If nodes exist; {VARIANTS} were looked at")


def _way(choices: dict[str, bool]) -> str:
    return ", ".join(f"'{name}' {'true' if taken else 'false'}" for name, taken in choices.items())


def _company(model: onnx.ModelProto, feed: Feed, threads: int, largest: int) -> tuple[CompanyFact, ...]:
    images = feed.images
    try:
        runner = Runner(model, [feed.output], threads, optimised=True)
        extremes = np.concatenate([images.flat(0.0), images.flat(1.0)])
        diverse = np.concatenate([images.natural(3), images.noise(1)])
        results = company(lambda batch: np.asarray(runner.raw(feed(batch))[feed.output]), diverse, extremes, largest)
    except RunError as error:
        return (CompanyFact(company="one image alone", change=-1.0, error=str(error)[:300]),)
    return tuple(CompanyFact(company=r.words, change=r.change, error=r.error) for r in results)
