"""Versions of one thing put beside each other inside one tensor, and rows beyond one per image."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch import tensor_duplicates
from pytest_facechallenge.analyses.implicit_batch.channel_groups import overlap
from pytest_facechallenge.analyses.implicit_batch.layer_index import RECURRENT, Layer, Structure
from pytest_facechallenge.analyses.implicit_batch.runner import RunError
from pytest_facechallenge.analyses.implicit_batch.trace import Probe
from pytest_facechallenge.core.facts.implicit_batch import FoldFact, StackFact

Array = npt.NDArray[Any]


#: Correlation of two layers' weights below which they have nothing in common.
UNRELATED = 0.5

#: Least coverage of a version that differs in brightness or contrast alone: such a change leaves everything there.
RESCALED = 0.6

#: Coverage below which blocks of a map may be windows that overlap, and no versions of the whole.
MOSTLY = 0.75

#: Coverage from which everything in a tensor is there twice.
WHOLE = 0.99


def stacks(probe: Probe) -> list[StackFact]:
    """Find versions of one thing inside one tensor, before every layer where something was put together."""
    found: list[StackFact] = []
    done: set[str] = set()
    for layer in probe.stacked_layers():
        names = [layer.data, *(node.outputs[0] for node in probe.joins(layer))]
        for name in names:
            if name in done or name not in probe.values:
                continue
            done.add(name)
            found += _stack(probe, layer, name)
    return found


def _stack(probe: Probe, layer: Layer, name: str) -> list[StackFact]:
    facts: list[StackFact] = []
    values = probe.values[name]
    rank = values.ndim - 1
    contracted = layer.contracted if name == layer.data else probe.channel_axis(name, layer)
    if not 0 <= contracted < rank:
        return facts
    positions = [axis for axis in range(rank) if axis != contracted and values.shape[axis + 1] > 1]
    kept = own_axes(probe.structure, layer) if rank == len(probe.structure.shapes[layer.data]) else frozenset()
    found = tensor_duplicates.stacks(values, contracted, positions, same_index=True, kept=kept)
    if not found and layer.node.op not in RECURRENT and values.shape[contracted + 1] > 1:
        full = values.shape[contracted + 1] == probe.structure.shapes[name][contracted]
        found = tensor_duplicates.stacks(values, contracted, [contracted], same_index=False) if full else []
    for stack in found:
        whole = stack.coverage >= WHOLE and not stack.interleaved and stack.axis != contracted
        if stack.relation.kind == "identical" and not whole:
            continue
        if stack.relation.kind == "rescaled" and stack.coverage < RESCALED:
            continue
        if _neighbouring_windows(stack, values.shape[1:]) and probe.regions[layer.data][1] != {probe.feed.name}:
            probe.windowed.add(name)
            continue
        on_channels = stack.axis == contracted
        facts.append(
            StackFact(
                layer=layer.node.label, join=_join(probe, layer, name), axis=_axis_words(stack.axis, contracted),
                on_channels=on_channels, blocks=stack.blocks, coverage=round(stack.coverage, 3),
                relation=stack.relation.kind, words=stack.relation.words,
                overlap=overlap(probe.structure, layer, stack) if on_channels else 0.0,
                from_image=probe.regions[layer.data][1] == {probe.feed.name},
                macs_after=round(probe.share_after(layer), 4), via=probe.via(layer), branch=probe.branch,
            )
        )  # fmt: skip
    return facts


def _neighbouring_windows(stack: tensor_duplicates.Stack, shape: tuple[int, ...]) -> bool:
    """Whether the blocks are windows of one map, each more than half its own width from the next one."""
    if stack.coverage >= MOSTLY or stack.relation.kind != "shifted":
        return False
    own = [extent // stack.blocks if axis == stack.axis else extent for axis, extent in enumerate(shape)]
    return any(2 * abs(by) > extent for by, extent in zip(stack.relation.shift, own, strict=True))


def own_axes(structure: Structure, layer: Layer) -> frozenset[int]:
    """Return the axes of what a product works on along which each index meets weights of its own.

    Several orders of one sequence, each with its own layer, are one product in the file when the layers are stacked.
    Weights that are those of the index before, up to scale, are no weights of its own.
    """
    weights = structure.constant(layer.weight)
    if weights is None or layer.node.op != "MatMul" or weights.ndim < 3:
        return frozenset()
    rank = len(structure.shapes[layer.data])
    found = set()
    for axis in range(weights.ndim - 2):
        slices = np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1).astype(np.float64)
        place = rank - weights.ndim + axis
        if len(slices) < 2 or place < 0:
            continue
        norms = np.linalg.norm(slices, axis=1)
        likeness = np.abs((slices[1:] * slices[:-1]).sum(1)) / np.maximum(norms[1:] * norms[:-1], 1e-30)
        if likeness.max() < UNRELATED:
            found.add(place)
    return frozenset(found)


def _join(probe: Probe, layer: Layer, name: str) -> str:
    joins = probe.joins(layer)
    for node in joins:
        if name in node.outputs:
            return node.label
    return (
        joins[0].label
        if joins
        else (probe.structure.producer[name].label if name in probe.structure.producer else name)
    )


def _axis_words(axis: int, contracted: int) -> str:
    if axis == contracted:
        return "the channels"
    return "the batch axis" if axis == 0 else f"axis {axis}"


def folds(probe: Probe) -> list[FoldFact]:
    """Count rows per image by running two images beside one, and versions put beside each other elsewhere."""
    structure = probe.structure
    found = _side_by_side(probe)
    candidates = [
        layer
        for layer in structure.layers
        if (structure.shapes[layer.data][:1] != (1,) or probe.joins(layer))
        and any(structure.moves(node) for node in probe.regions[layer.data][0])
    ]
    if not candidates:
        return found
    try:
        runner = probe.open([layer.data for layer in candidates])
        two = runner(probe.feed(probe.feed.images.natural(2)))
    except RunError:
        return found
    for layer in candidates:
        shape, doubled = structure.shapes[layer.data], np.shape(two[layer.data])
        if len(shape) != len(doubled):
            continue
        rows = next((one for one, other in zip(shape, doubled, strict=True) if other == 2 * one), 1)
        if rows == 1:
            continue
        joins = probe.joins(layer)
        if probe.windowed & {layer.data, *(node.outputs[0] for node in joins)}:
            continue
        size = max(_varying(probe, name) for name in [layer.data, *(node.outputs[0] for node in joins)])
        found.append(_fold(probe, layer, rows, size, joins[0].label if joins else ""))
    return found


def _side_by_side(probe: Probe) -> list[FoldFact]:
    """Note joins of equally large things, each as large as the one value that all were made from."""
    structure = probe.structure
    done: set[int] = set()
    found: list[FoldFact] = []
    for layer in probe.stacked_layers():
        for node in probe.joins(layer):
            names = [name for name in node.inputs if name in structure.varying]
            shapes = {structure.shapes.get(name, ()) for name in names}
            if id(node) in done or node.op not in ("Concat", "ConcatFromSequence") or len(names) < 2 or len(shapes) > 1:
                continue
            done.add(id(node))
            made_from = [structure.region(name)[1] for name in names]
            shape = shapes.pop()
            if any(roots != made_from[0] or len(roots) != 1 for roots in made_from) or len(shape) < 3:
                continue
            joined = structure.shapes[node.outputs[0]]
            axis = int(node.attributes.get("axis", 0)) % max(1, len(joined))
            on_batch = axis == 0 and shape[0] == 1
            channels = probe.channel_axis(node.outputs[0], layer)
            if not (on_batch or channels not in (-1, axis)) or prod(shape) < 0.7 * prod(
                structure.shapes[next(iter(made_from[0]))]
            ):
                continue
            found.append(_fold(probe, layer, len(names), len(names) * prod(shape), node.label))
    return found


def _varying(probe: Probe, name: str) -> float:
    """Return how many elements of a value follow the image: what a padding adds does not."""
    values = probe.values.get(name)
    share = 1.0 if values is None else float((values != values[:1]).any(0).mean())
    return share * prod(probe.structure.shapes.get(name, (0,)))


def _fold(probe: Probe, layer: Layer, rows: int, size: float, join: str) -> FoldFact:
    shapes = probe.structure.shapes
    largest = max(_varying(probe, root) for root in probe.regions[layer.data][1])
    apart = prod(shapes[layer.data][axis] for axis in own_axes(probe.structure, layer))
    return FoldFact(
        layer=layer.node.label,
        rows=rows,
        growth=round(size / max(1, largest) / apart, 3),
        join=join,
        macs_after=round(probe.share_after(layer), 4),
        branch=probe.branch,
    )
