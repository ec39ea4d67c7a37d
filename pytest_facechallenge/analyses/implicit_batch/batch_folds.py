"""Rows beyond one per image, and several things of the image's size joined to one tensor."""

from __future__ import annotations

from math import prod

import numpy as np

from pytest_facechallenge.analyses.implicit_batch.channel_partition import channel_axis
from pytest_facechallenge.analyses.implicit_batch.layer_index import Layer
from pytest_facechallenge.analyses.implicit_batch.parts import Hypothesis, Part, blocks_of
from pytest_facechallenge.analyses.implicit_batch.runner import RunError
from pytest_facechallenge.analyses.implicit_batch.stacked_blocks import own_axes
from pytest_facechallenge.analyses.implicit_batch.stages import is_linear
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.analyses.implicit_batch.trace import TracedModel
from pytest_facechallenge.core.facts.implicit_batch import BatchFold
from pytest_facechallenge.onnx_graph.ir import Node

#: Operators that join several things to one.
CONCATENATING = frozenset({"Concat", "ConcatFromSequence"})


def observe(model: TracedModel, limits: Thresholds) -> list[Hypothesis]:
    """Count rows per image by running two images beside one, and versions put beside each other elsewhere."""
    structure = model.structure
    found: list[Hypothesis] = list(_joined(model, limits))
    candidates = [
        layer
        for layer in structure.layers
        if (structure.shapes[layer.data][:1] != (1,) or model.joins_before(layer))
        and any(structure.moves(node) for node in model.regions[layer.data].nodes)
    ]
    if not candidates:
        return found
    try:
        runner = model.open([layer.data for layer in candidates])
        two = runner(model.feed(model.feed.images.natural(2)))
    except RunError:
        return found
    windows = {block.value for block in model.blocks if block.windows}
    for layer in candidates:
        shape, doubled = structure.shapes[layer.data], np.shape(two[layer.data])
        if len(shape) != len(doubled):
            continue
        axis, rows = next(
            ((axis, one) for axis, (one, other) in enumerate(zip(shape, doubled, strict=True)) if other == 2 * one),
            (0, 1),
        )
        joins = model.joins_before(layer)
        before = {layer.data, *(node.outputs[0] for node in joins)}
        if rows == 1 or windows & before:
            continue
        size = max(_varying(model, name) for name in before)
        fold = _fold(model, layer, rows, size, joins[0] if joins else None, limits)
        found.append(Hypothesis(fold, blocks_of(layer.data, axis, rows, rows, (0, 1), interleaved=False)))
    return found


def _joined(model: TracedModel, limits: Thresholds) -> list[Hypothesis]:
    """Note joins of equally large things, each as large as the one value that all were made from."""
    done: set[int] = set()
    found: list[Hypothesis] = []
    for layer in model.joined_layers:
        for node in model.joins_before(layer):
            names = [name for name in node.inputs if name in model.structure.varying]
            shapes = {model.structure.shapes.get(name, ()) for name in names}
            if id(node) in done or node.op not in CONCATENATING or len(names) < 2 or len(shapes) > 1:
                continue
            done.add(id(node))
            shape = shapes.pop()
            if _as_large_as_their_source(model, layer, node, names, shape, limits):
                fold = _fold(model, layer, len(names), len(names) * prod(shape), node, limits)
                reader = frozenset({model.structure.position[id(node)]})
                found.append(Hypothesis(fold, (Part(names[0], reader), Part(names[1], reader))))
    return found


def _as_large_as_their_source(
    model: TracedModel, layer: Layer, node: Node, names: list[str], shape: tuple[int, ...], limits: Thresholds
) -> bool:
    """Whether things of one shape were all made from one value of about their size, and are not channels now."""
    structure = model.structure
    made_from = [structure.region(name).roots for name in names]
    if any(roots != made_from[0] or len(roots) != 1 for roots in made_from) or len(shape) < 3:
        return False
    joined = structure.shapes[node.outputs[0]]
    axis = int(node.attributes.get("axis", 0)) % max(1, len(joined))
    on_batch = axis == 0 and shape[0] == 1
    channels = model.channel_axis(node.outputs[0], layer)
    source = prod(structure.shapes[next(iter(made_from[0]))])
    return (on_batch or channels not in (-1, axis)) and prod(shape) >= limits.copies.as_large * source


def _has_all_channels(model: TracedModel, layer: Layer) -> bool:
    """Whether a layer sums over as many channels as each layer has that its rows were made from."""
    structure = model.structure
    own = structure.shapes[layer.data][layer.contracted]
    made_by = [structure.layer_of.get(id(structure.producer.get(root))) for root in model.regions[layer.data].roots]
    shapes = [(each, structure.shapes[each.node.outputs[0]]) for each in made_by if each is not None]
    return bool(shapes) and all(shape[channel_axis(each, shape)] == own for each, shape in shapes)


def _varying(model: TracedModel, name: str) -> float:
    """Return how many elements of a value follow the image: what a padding adds does not."""
    values = model.values.get(name)
    share = 1.0 if values is None else float((values != values[:1]).any(0).mean())
    return share * prod(model.structure.shapes.get(name, (0,)))


def _fold(model: TracedModel, layer: Layer, rows: int, size: float, join: Node | None, limits: Thresholds) -> BatchFold:
    shapes = model.structure.shapes
    largest = max(_varying(model, root) for root in model.regions[layer.data].roots)
    apart = prod(shapes[layer.data][axis] for axis in own_axes(model.structure, layer, limits))
    return BatchFold(
        layer=layer.node.label,
        rows=rows,
        growth=round(size / max(1, largest) / apart, 3),
        join=join.label if join else "",
        macs_after=round(model.macs_after(layer), 4),
        early=is_linear(model.structure, join.outputs[0] if join else layer.data),
        places=_has_all_channels(model, layer),
        branch=model.branch,
    )
