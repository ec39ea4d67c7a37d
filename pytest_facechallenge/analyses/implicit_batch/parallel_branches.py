"""Branches of the network that meet only late, compared by behaviour: whether one is the other on a turned image.

Weights can be permuted, rescaled and perturbed at once, so that no comparison of weights finds them; what the features
do cannot be hidden that way. If the second branch is the first with mirrored kernels, its features on an image are the
first's on the mirrored image, place by place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.layer_index import Layer, Structure
from pytest_facechallenge.analyses.implicit_batch.probe_images import TURNS
from pytest_facechallenge.analyses.implicit_batch.signatures import signatures
from pytest_facechallenge.analyses.implicit_batch.stages import bends
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.core.facts.implicit_batch_kinds import Transform
from pytest_facechallenge.onnx_graph.ir import Node

Array = npt.NDArray[Any]

#: Operators that add up what they are given.
SUMS = frozenset({"Add", "Sub", "Sum"})


@dataclass(frozen=True)
class BranchPair:
    """Two branches of a network without a path between them, both fed from ``source`` alone.

    Attributes
    ----------
    source
        A value, or the image's name.
    first, second
        The nodes from which the branches start (they dominate all of their branch).
    one, two
        The layers of each, in graph order.
    """

    source: str
    first: Node
    second: Node
    one: list[Layer]
    two: list[Layer]


def dominators(structure: Structure) -> list[int]:
    """Return for each node by position the position of its nearest dominator; -1 for the image, -2 for constants."""
    result: list[int] = []
    depth: list[int] = []
    for node in structure.nodes:
        feeding = []
        for name in node.inputs:
            if name in structure.varying:
                producer = structure.producer.get(name)
                feeding.append(-1 if producer is None else structure.position[id(producer)])
        if not feeding:
            result.append(-2)
            depth.append(0)
            continue
        nearest = feeding[0]
        for other in feeding[1:]:
            while nearest != other:
                if nearest == -1 or other == -1:
                    nearest = other = -1
                elif depth[nearest] >= depth[other]:
                    nearest = result[nearest]
                else:
                    other = result[other]
        result.append(nearest)
        depth.append(0 if nearest == -1 else depth[nearest] + 1)
    return result


def separate_branches(structure: Structure, limits: Thresholds) -> list[BranchPair]:
    """Find pairs of branches that each do enough of the multiply-adds; the largest first."""
    nearest = dominators(structure)
    weight = [0] * len(nearest)
    members: dict[int, list[Layer]] = {}
    for position in range(len(nearest) - 1, -1, -1):
        layer = structure.layer_of.get(id(structure.nodes[position]))
        weight[position] += layer.macs if layer is not None else 0
        if nearest[position] >= 0:
            weight[nearest[position]] += weight[position]
    children: dict[int, list[int]] = {}
    floor = limits.branches.least * max(1, structure.total_macs)
    for position, parent in enumerate(nearest):
        if parent >= -1 and weight[position] >= floor:
            children.setdefault(parent, []).append(position)
    found = [
        (min(weight[one], weight[two]), parent, one, two)
        for parent, heads in children.items()
        for i, one in enumerate(heads)
        for two in heads[i + 1 :]
        if structure.parallel(structure.nodes[one], structure.nodes[two])
    ]
    found.sort(key=lambda entry: -entry[0])
    found = found[: limits.branches.branches]
    for _, _, one, two in found:
        for head in (one, two):
            members.setdefault(head, _members(structure, nearest, head))
    return [
        BranchPair(
            _source(structure, nearest, parent),
            structure.nodes[one],
            structure.nodes[two],
            members[one],
            members[two],
        )
        for _, parent, one, two in found
    ]


def _source(structure: Structure, nearest: list[int], position: int) -> str:
    """Return where the network can be cut above both branches: not at several results, nor at a sequence."""
    while position >= 0:
        results = [name for name in structure.nodes[position].outputs if name]
        if len(results) == 1 and results[0] in structure.shapes:
            break
        position = nearest[position]
    return structure.image if position < 0 else structure.nodes[position].outputs[0]


def _members(structure: Structure, nearest: list[int], head: int) -> list[Layer]:
    """Return the layers that a node dominates."""
    inside = {head}
    for position in range(head + 1, len(nearest)):
        if nearest[position] in inside:
            inside.add(position)
    return [layer for layer in structure.layers if structure.position[id(layer.node)] in inside]


def meeting_of(structure: Structure, first: Node, second: Node) -> Node | None:
    """Return the first node that depends on two others; None when there is none."""
    a, b = structure.position[id(first)], structure.position[id(second)]
    for position, node in enumerate(structure.nodes):
        ancestors = structure.ancestors[position]
        if (ancestors >> a) & 1 and (ancestors >> b) & 1:
            return node
    return None


def are_added_at_once(structure: Structure, first: Node, second: Node) -> bool:
    """Whether all that is made of two nodes goes on, linear, to one node that adds it up, and to nothing else."""
    meet = meeting_of(structure, first, second)
    if meet is None or meet.op not in SUMS:
        return False
    place = structure.position[id(meet)]
    above = structure.ancestors[place] | 1 << place
    heads = 1 << structure.position[id(first)] | 1 << structure.position[id(second)]
    for position, node in enumerate(structure.nodes):
        if not (structure.ancestors[position] | 1 << position) & heads:
            continue
        before = bool(above >> position & 1)
        if before and (
            bends(structure, node) or (position != place and set(structure.graph.outputs) & {*node.outputs})
        ):
            return False
        if not before and not structure.ancestors[position] >> place & 1:
            return False  # a way past the sum
    return True


def as_maps(values: Array) -> Array | None:
    """Turn [probes, 1, C, H, W] or [probes, 1, L, C] (L a square, or one more) into [probes, C, H, W]; else None."""
    if values.ndim == 5 and values.shape[1] == 1:
        return values[:, 0]
    if values.ndim == 4 and values.shape[1] == 1:
        length = values.shape[2]
        for extra in (0, 1):
            side = round(float(np.sqrt(length - extra))) if length > extra else 0
            if side >= 2 and side * side == length - extra:
                tokens = values[:, 0, extra:]
                return np.moveaxis(tokens.reshape(len(values), side, side, -1), -1, 1)
    return None


def turn(values: Array, name: Transform) -> Array | None:
    """Apply one of `TURNS` to a value [N, C, H, W] or [N, L, C]; None where it cannot be applied."""
    if values.ndim == 4:
        turned = TURNS[name](values)
        return np.ascontiguousarray(turned) if turned.shape == values.shape else None
    if values.ndim == 3:
        length = values.shape[1]
        for extra in (0, 1):
            side = round(float(np.sqrt(max(0, length - extra))))
            if side >= 2 and side * side == length - extra:
                grid = np.moveaxis(values[:, extra:].reshape(len(values), side, side, -1), -1, 1)
                flat = np.moveaxis(TURNS[name](grid), 1, -1).reshape(len(values), side * side, -1)
                return np.concatenate([values[:, :extra], flat], axis=1).astype(values.dtype)
    return None


def alike(first: Array, second: Array, name: Transform, limits: Thresholds, seed: int = 11) -> float:
    """Return the share of the second's features that the first shows at the turned place.

    Parameters
    ----------
    first
        Features of the first branch on the turned source, [probes, C, H, W].
    second
        Features of the second branch on the source as it is, [probes, C', H, W].
    name
        Of the turn: it tells where a place of the second lies in the first.
    """
    wanted = limits.branches
    channels, height, width = second.shape[1:]
    where = _turned_places(height, width, name)
    if first.shape[-2:] != second.shape[-2:] or where is None:
        return 0.0
    random = np.random.default_rng(seed)
    margin_h, margin_w = (min(extent // wanted.margin_share, wanted.margin) for extent in (height, width))
    index = np.arange(height * width).reshape(height, width)
    inner = index[margin_h : height - margin_h, margin_w : width - margin_w].reshape(-1)
    places = random.choice(inner, min(wanted.places, len(inner)), replace=False)
    chosen = random.choice(channels, min(wanted.channels, channels), replace=False)
    hits = total = 0
    for place in places:
        row, column = divmod(int(place), width)
        marks, live = signatures(second[:, chosen, row, column], limits)
        if not live.any():
            continue
        down, right = divmod(int(where[place]), width)
        near = first[:, :, max(0, down - 1) : down + 2, max(0, right - 1) : right + 2]
        pool, alive = signatures(near.reshape(len(near), -1), limits)
        if not alive.any():
            continue
        best = np.abs(marks[live] @ pool[alive].T).max(1)
        hits += int((best >= wanted.alike).sum())
        total += int(live.sum())
    return hits / total if total >= wanted.fewest else 0.0


def _turned_places(height: int, width: int, name: Transform) -> Array | None:
    """Return for each place of a map (row * width + column) where it lies in the turned one; None if sizes differ."""
    index = np.arange(height * width).reshape(1, 1, height, width)
    turned: Array = index if name is Transform.NONE else TURNS[name](index)
    if turned.shape != index.shape:
        return None
    where = np.empty(height * width, np.int64)
    where[turned.reshape(-1)] = np.arange(height * width)
    return where
