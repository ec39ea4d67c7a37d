"""Recurrent layers that read a sequence forwards and backwards with the same weights.

Two directions with weights of their own are one bidirectional layer. With the same weights (in whatever order of the
hidden units) the second direction is the first one's answer to the mirrored sequence.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.layer_index import RECURRENT, Layer
from pytest_facechallenge.analyses.implicit_batch.parts import Hypothesis, Part, blocks_of, results_of
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.analyses.implicit_batch.trace import TracedModel
from pytest_facechallenge.core.facts.implicit_batch import EquivariantFeatures
from pytest_facechallenge.core.facts.implicit_batch_kinds import FeatureHome, Transform

Array = npt.NDArray[Any]

#: Axis that holds the directions: of all states, and of the last ones.
DIRECTIONS = (1, 0, 0)


def observe(model: TracedModel, limits: Thresholds) -> list[Hypothesis]:
    """Return the recurrent layers, of one node or two, whose backward weights are the forward ones."""
    recurrent = [layer for layer in model.structure.layers if layer.node.op in RECURRENT]
    found: list[tuple[tuple[str, ...], int, tuple[Part, Part]]] = []
    for layer in recurrent:
        weights = _units(model, layer)
        if len(weights) == 2 and tied(weights[0], weights[1], limits):
            parts = _directions(model, layer)
            found.append(((layer.node.label,), layer.macs // 2, parts))
    for index, one in enumerate(recurrent):
        for other in recurrent[index + 1 :]:
            ways = {str(layer.node.attributes.get("direction", "forward")) for layer in (one, other)}
            if one.data != other.data or ways != {"forward", "reverse"}:
                continue
            (first,), (second,) = _units(model, one), _units(model, other)
            if tied(first, second, limits):
                parts = results_of(*(_used(model, each)[1] for each in (one, other)))
                found.append(((one.node.label, other.node.label), min(one.macs, other.macs), parts))
    return [
        Hypothesis(
            EquivariantFeatures(
                home=FeatureHome.DIRECTIONS,
                layers=names,
                transform=Transform.READ_BACKWARDS,
                share=model.share(work),
                branch=model.branch,
            ),
            parts,
        )
        for names, work, parts in found
    ]


def _used(model: TracedModel, layer: Layer) -> tuple[int, str]:
    """Return which of a layer's results is read (its first one when none is), and its name."""
    read = {name for node in model.structure.nodes for name in node.inputs} | {model.feed.output}
    results = list(enumerate(layer.node.outputs))
    return next((entry for entry in results if entry[1] in read - {""}), results[0])


def _directions(model: TracedModel, layer: Layer) -> tuple[Part, Part]:
    """Return the two directions of a layer's result that is read."""
    place, value = _used(model, layer)
    return blocks_of(value, DIRECTIONS[place], 2, 2, (0, 1), interleaved=False)


def _units(model: TracedModel, layer: Layer) -> list[Array]:
    """Return for each direction the input weights of every hidden unit, float [units, gates * inputs]."""
    weights = model.structure.constant(layer.node.inputs[1])
    hidden = int(layer.node.attributes.get("hidden_size", 0))
    if weights is None or weights.ndim != 3 or hidden < 1 or weights.shape[1] % hidden:
        return [np.zeros((0, 0))]
    gates = weights.shape[1] // hidden
    return [way.reshape(gates, hidden, -1).transpose(1, 0, 2).reshape(hidden, -1) for way in weights.astype(np.float64)]


def tied(one: Array, other: Array, limits: Thresholds) -> bool:
    """Whether most hidden units of one direction occur in the other.

    Parameters
    ----------
    one, other
        float [units, weights].
    """
    wanted = limits.weights
    if one.shape != other.shape or one.size == 0 or one.shape[1] < wanted.tied_smallest:
        return False
    a, b = (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30) for rows in (one, other))
    alike = a @ b.T
    partners = alike.argmax(1)[alike.max(1) >= wanted.tied]
    return len(set(partners.tolist())) >= wanted.tied_share * len(one)
