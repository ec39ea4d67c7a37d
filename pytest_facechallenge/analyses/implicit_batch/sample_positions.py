"""Sampling nodes that are told by the image where to sample its early features: seen in the graph, whatever the size.

A value is followed from the image into the input of a node that says where to read. How far positions differ between
two images is measured; that they do is enough, since weights that are not trained yet move by less than a pixel.
"""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.runner import as_floats
from pytest_facechallenge.analyses.implicit_batch.steered_places import content
from pytest_facechallenge.analyses.implicit_batch.steering_ways import layers_before
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.analyses.implicit_batch.trace import TracedModel
from pytest_facechallenge.core.facts.alignment import Steered, SteeredPlaces
from pytest_facechallenge.core.facts.implicit_batch import Observation
from pytest_facechallenge.onnx_graph.ir import Node

Array = npt.NDArray[Any]

#: Operator -> the input that is placed, and those that say where.
POSITIONS: dict[str, tuple[int, tuple[int, ...]]] = {
    "GridSample": (0, (1,)), "Gather": (0, (1,)), "GatherElements": (0, (1,)), "GatherND": (0, (1,)),
    "ScatterElements": (2, (1,)), "ScatterND": (2, (1,)), "Scatter": (2, (1,)), "Resize": (0, (1, 2, 3)),
    "Upsample": (0, (1,)), "Slice": (0, (1, 2, 3, 4)), "Pad": (0, (1,)), "RoiAlign": (0, (1,)), "MaxRoiPool": (0, (1,)),
    "DeformConv": (0, (2,)), "CenterCropPad": (0, (1,)), "Compress": (0, (1,)), "ReverseSequence": (0, (1,)),
}  # fmt: skip


def observe(model: TracedModel, limits: Thresholds) -> list[Observation]:
    """Return one observation for each node that samples early features at positions that the image decides."""
    structure = model.structure
    before = layers_before(structure)
    image = structure.shapes[structure.image]
    least = image[2] * image[3] * limits.alignment.side**2
    found: list[Observation] = []
    for node in structure.nodes:
        read = _positions(node, structure.varying)
        if read is None or before.get(read[0], limits.alignment.layers + 1) > limits.alignment.layers:
            continue
        data, positions = read
        if prod(structure.shapes.get(data, (0,))) < least:
            continue
        held = content(model, (data,), limits)
        moved = _differ(model, node, positions, limits)
        found.append(
            SteeredPlaces(
                node=node.label, steering=", ".join(_makers(model, positions)), how=Steered.POSITIONS,
                pixels=(float(f"{moved:.3g}"),) * 2, agree=int(moved > 0), images=len(model.natural),
                recovered=round(held, 4), size=(image[2], image[3]), branch=model.branch,
            )
        )  # fmt: skip
    return found


def _positions(node: Node, varying: set[str]) -> tuple[str, tuple[str, ...]] | None:
    """Return what a node places and what says where, when both depend on the image."""
    if node.op not in POSITIONS or node.domain:
        return None
    data, places = POSITIONS[node.op]
    named = tuple(node.inputs[index] for index in places if index < len(node.inputs) and node.inputs[index] in varying)
    return (node.inputs[data], named) if named and node.inputs[data] in varying else None


def _makers(model: TracedModel, names: tuple[str, ...]) -> list[str]:
    return [model.structure.producer[name].label if name in model.structure.producer else name for name in names]


def _differ(model: TracedModel, node: Node, names: tuple[str, ...], limits: Thresholds) -> float:
    """Return the largest difference of positions between two images, in pixels where the unit is known; 0 for none."""
    runner = model.open(list(names))
    shown = [runner(model.feed(image[None])) for image in model.natural]
    largest = 0.0
    for name in names:
        values = [as_floats(one[name]) for one in shown]
        for one, other in pairwise(values):
            if one is None or other is None:
                continue
            if one.shape != other.shape:
                return (
                    float(max(np.abs(np.subtract(one.shape, other.shape)), default=1)) if one.ndim == other.ndim else 1
                )
            difference = float(np.abs(one - other).max(initial=0))
            if difference > limits.alignment.positions_differ * max(1e-30, float(np.abs(one).max(initial=0))):
                largest = max(largest, difference)
    # GridSample counts from -1 to 1 over the side.
    return largest * (max(model.feed.images.height, model.feed.images.width) / 2 if node.op == "GridSample" else 1)
