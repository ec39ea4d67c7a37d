"""The step ``weight_fingerprint``: a spectrum of each layer that no renaming, permuting or rescaling changes.

Row ``o`` of a layer's weights may be multiplied by any number where what comes after takes it back (BatchNormalization,
a rescaled channel), and so may all weights of input channel ``i``. Balancing chooses, among all these equivalent
matrices, the one whose rows and whose channels have equal norms (Sinkhorn and Knopp, 1967); its singular values are the
same for every order and every sign of rows and channels.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from onnx import reference

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.preprocessing.follow import one_node
from pytest_facechallenge.core.facts.fingerprint import LayerSpectrum, WeightFingerprintFacts
from pytest_facechallenge.onnx_graph.ir import Graph, GraphError, Node

#: Singular values that are kept of a layer.
KEPT = 24
#: Layers with fewer tell nothing: many networks have one with nearly the same. Those below this part of the largest do
#: not count: one blurring kernel for all channels has a single level.
LEAST_LEVELS = 6
LEAST_LEVEL = 1e-3
#: A spectrum as flat as this (largest minus smallest, mean square 1) is that of an orthogonal matrix or an identity,
#: which many networks share.
LEAST_SPREAD = 0.05
MOST_LAYERS = 400
#: Weights of one layer that are looked at; an iResNet-100 has at most 13 million in one.
MOST_WEIGHTS = 1 << 26
#: Singular values of one layer: those of more take minutes.
MOST_LEVELS = 4_096
#: Multiply-adds of all layers together. An iResNet-100 takes 1e11; a file can say in a few bytes what takes days.
MOST_WORK = 2e12
_ROUNDS, _TOLERANCE = 100, 1e-7
#: Nodes between stored numbers and the layer that uses them.
_DEEPEST = 8
#: Versions for operators of which the evaluator knows new ones only; the old ones mean the same there.
_EVALUATED_AS = {"DequantizeLinear": 21}
_CONVOLUTIONS, _PRODUCTS = ("Conv", "ConvTranspose"), ("Gemm", "MatMul")

Floats = npt.NDArray[np.float64]


def gather(context: Context) -> WeightFingerprintFacts:
    """Return the spectra of the layers.

    Raises
    ------
    GraphError
        The model cannot be read as a graph.
    """
    found: list[LayerSpectrum] = []
    left_out, work = 0, 0.0
    seen: set[tuple[str, int]] = set()
    for node, name in _layers(context.graph):
        key = (name, id(node.graph))
        if key in seen:
            continue
        seen.add(key)
        weights = _weights(node, name) if len(found) < MOST_LAYERS and work < MOST_WORK else None
        levels = 0 if weights is None else min(weights.shape[1], weights.shape[2] * weights.shape[3])
        if weights is None or levels > MOST_LEVELS or not np.isfinite(weights).all():
            left_out += 1
            continue
        work += float(weights.size) * levels
        context.report(f"weight fingerprint: {node.label}")
        spectrum = _described(node.label, weights)
        if spectrum is not None:
            found.append(spectrum)
    return WeightFingerprintFacts(layers=tuple(found), left_out=left_out)


def _layers(graph: Graph) -> Iterator[tuple[Node, str]]:
    """Yield nodes that multiply by stored numbers, with the name of these."""
    for node in graph.walk():
        if node.domain or node.op not in (*_CONVOLUTIONS, *_PRODUCTS):
            continue
        places = (1,) if node.op in _CONVOLUTIONS else (1, 0)
        name = next((node.inputs[at] for at in places if at < len(node.inputs) and _is_stored(node, at)), "")
        if name:
            yield node, name


def _is_stored(node: Node, at: int) -> bool:
    """Whether an input is a constant, or made of constants alone."""
    pending, steps = [node.inputs[at]], 0
    while pending and steps < 4 * _DEEPEST:
        name, steps = pending.pop(), steps + 1
        if not name or node.graph.constant(name) is not None:
            continue
        maker = node.graph.producers.get(name)
        if maker is None or maker.subgraphs or not maker.inputs:
            return False
        pending.extend(maker.inputs)
    return not pending and bool(node.inputs[at])


def _weights(node: Node, name: str) -> Floats | None:
    """Return a layer's weights as [groups, rows, channels, weights of a channel], or None where they cannot be read."""
    values = _values(node.graph, name)
    if values is None or values.size > MOST_WEIGHTS or not np.issubdtype(values.dtype, np.number):
        return None
    if node.op in _PRODUCTS:
        return values.astype(np.float64)[None, :, :, None] if values.ndim == 2 else None
    if values.ndim < 3:
        return None
    kernels = values.astype(np.float64).reshape(*values.shape[:2], -1)
    groups = int(node.attributes.get("group", 1))
    if kernels.shape[1] == 1:
        # Depthwise: the scale of the one input channel is that of the row, so all rows may stand in one matrix.
        return kernels[None]
    if groups < 1 or len(kernels) % groups:
        return None
    return kernels.reshape(groups, -1, *kernels.shape[1:])


def _values(graph: Graph, name: str, depth: int = 0) -> npt.NDArray[np.generic] | None:
    """Return the values of a constant, or of what nodes compute from constants (unpacking, turning, scaling)."""
    tensor = graph.constant(name)
    if tensor is not None:
        try:
            return tensor.array() if tensor.size <= MOST_WEIGHTS else None
        except GraphError:
            return None
    node = graph.producers.get(name)
    if node is None or depth > _DEEPEST or len(node.outputs) != 1:
        return None
    inputs = {value: _values(graph, value, depth + 1) for value in node.inputs if value}
    if any(values is None for values in inputs.values()):
        return None
    try:
        (made,) = reference.ReferenceEvaluator(one_node(node, _EVALUATED_AS.get(node.op, 0))).run(None, inputs)
    except MemoryError:  # the run's limit shows nothing about the model
        raise
    except Exception:  # the evaluator raises many types; all mean that the value stays unknown
        return None
    return np.asarray(made)


def _described(label: str, weights: Floats) -> LayerSpectrum | None:
    """Return the spectrum of a layer; None where it is too small or too flat to tell something."""
    parts = [part for group in weights if (part := balanced(group)) is not None]
    if not parts:
        return None
    values = np.sort(np.concatenate([_singular_values(part) for part in parts]))[::-1]
    size = float(np.sqrt(np.mean(np.square(values))))
    if size == 0 or np.count_nonzero(values > LEAST_LEVEL * values[0]) < LEAST_LEVELS:
        return None
    values = values / size
    if values[0] - values[-1] < LEAST_SPREAD:
        return None
    places = np.linspace(0, len(values) - 1, min(KEPT, len(values)))
    kept = np.interp(places, np.arange(len(values)), values)
    rows, channels = sum(len(part) for part in parts), sum(part.shape[1] for part in parts)
    low, high = sorted((rows, channels))
    return LayerSpectrum(label, (low, high, weights.shape[3]), len(values), kept.astype("<f4").tobytes())


def balanced(weights: Floats) -> Floats | None:
    """Return weights [rows, channels, K] with rows of one norm and channels of one norm; those of zeros are left out.

    None where nothing is left.
    """
    largest = float(np.abs(weights).max(initial=0.0))
    if largest == 0:
        return None
    energy = np.square(weights / largest).sum(axis=2)
    used_rows, used = energy.sum(axis=1) > 0, energy.sum(axis=0) > 0
    energy = energy[used_rows][:, used]
    rows, channels = np.ones(len(energy)), np.ones(energy.shape[1])
    share = len(energy) / energy.shape[1]
    for _ in range(_ROUNDS):
        rows = 1 / np.maximum(energy @ channels, np.finfo(np.float64).tiny)
        changed = share / np.maximum(energy.T @ rows, np.finfo(np.float64).tiny)
        still = bool(np.all(np.abs(changed - channels) <= _TOLERANCE * changed))
        channels = changed
        if still:
            break
    scale = np.sqrt(rows)[:, None] * np.sqrt(channels)[None, :]
    result: Floats = (weights / largest)[used_rows][:, used] * scale[:, :, None]
    return result if np.isfinite(result).all() else None


def _singular_values(weights: Floats) -> Floats:
    matrix = weights.reshape(len(weights), -1)
    narrow = matrix if len(matrix) <= matrix.shape[1] else matrix.T
    found: Floats = np.sqrt(np.maximum(np.linalg.eigvalsh(narrow @ narrow.T), 0.0))
    return found
