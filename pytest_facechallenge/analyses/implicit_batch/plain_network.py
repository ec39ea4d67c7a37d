"""Networks whose graph and weights alone show that no feature is computed of the image and of a changed image apart.

Most networks for faces are one chain of convolutions, each of which sums over all channels, with short ways past a few
of them. In such a chain two versions of the image have nowhere to stay apart:

- on an axis: convolutions and poolings treat each place of a map as the next one, and nothing else moves data;
- in channels: every convolution behind the first one connects all of its channels;
- in branches: no two layers in a row stand beside two others, and no way past a block leaves out much of the network.

`equivariant_features` runs a network on changed images to find versions that stay apart so; it need not run these.
"""

from __future__ import annotations

from math import prod

import numpy as np

from pytest_facechallenge.analyses.implicit_batch.channel_groups import mixing
from pytest_facechallenge.analyses.implicit_batch.connected import ConnectedModel
from pytest_facechallenge.analyses.implicit_batch.layer_index import Layer, Structure
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.onnx_graph.ir import Node
from pytest_facechallenge.onnx_graph.operators import Trait, names

#: Poolings over windows of a map.
_POOLS = frozenset({"AveragePool", "MaxPool", "LpPool"})
#: Poolings over a whole map.
_WHOLE_MAP = frozenset({"GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"})
#: Operators that treat each value alone, by constants for each channel at most.
_IN_PLACE = names(Trait.IN_PLACE)
#: Operators of two values of the image, element by element.
_MEETINGS = frozenset({"Add", "Sub", "Mul", "Div", "Max", "Min", "Sum"})
#: Operators that turn maps into rows of numbers, in the order in which they lie.
_ROWS = frozenset({"Flatten", "Reshape", "Squeeze", "Unsqueeze", "Identity", "Dropout"})


def is_plain(model: ConnectedModel, limits: Thresholds) -> bool:
    """Whether the network is such a chain; False where that is not plain to see."""
    structure = model.structure
    if len(model.front) != 1 or model.front[0].node.op != "Conv" or not model.is_pixels(model.front[0]):
        return False
    if not all(_stays(structure, node, limits) for node in structure.nodes if _varies(structure, node)):
        return False
    return _one_stream(structure, limits) and all(
        _connects(structure, layer, limits) for layer in structure.layers if layer is not model.front[0]
    )


def _varies(structure: Structure, node: Node) -> bool:
    return any(name in structure.varying for name in node.outputs if name)


def _stays(structure: Structure, node: Node, limits: Thresholds) -> bool:
    """Whether a node leaves the places of a map where they are, and treats them alike."""
    given = [name for name in node.inputs if name in structure.varying]
    shapes = structure.shapes
    before, after = shapes.get(given[0], ()) if given else (), shapes.get(node.outputs[0], ())
    if not before or not after or any(node.outputs[1:]):
        return False
    maps = len(before) == 4 and prod(before[2:]) > 1
    if len(given) > 1:
        return node.op in _MEETINGS and len(given) == 2 and _meets(structure, (given[0], given[1]), after, limits)
    if node.op in ("Conv", *_POOLS):
        return len(before) == 4 and _sees_a_neighbourhood(structure, node, after, limits)
    if node.op in _WHOLE_MAP:
        return len(before) == 4
    if node.op in _ROWS:
        return prod(before) == prod(after) and (not maps or prod(after) == after[-1] or before == after)
    if node.op in ("Gemm", "MatMul"):
        return not maps and len(before) == 2 == len(after)
    if node.op in ("BatchNormalization", "PRelu") or node.op in _IN_PLACE:
        return before == after and _by_channel(structure, node, after)
    return not maps and len(before) == 2  # of rows of numbers nothing is left to be put side by side but themselves


def _sees_a_neighbourhood(structure: Structure, node: Node, after: tuple[int, ...], limits: Thresholds) -> bool:
    """Whether a kernel is far from as wide as half of a map: such a one could put two copies of it side by side."""
    extent = node.attributes.get("kernel_shape")
    if not extent:
        weights = structure.constant(node.inputs[1]) if len(node.inputs) > 1 else None
        extent = () if weights is None else weights.shape[2:]
    steps = node.attributes.get("dilations") or [1] * len(extent)
    reach = [(size - 1) * step + 1 for size, step in zip(extent, steps, strict=False)]
    return len(reach) == 2 and all(
        size <= limits.plain.kernel or after[2 + axis] == 1 for axis, size in enumerate(reach)
    )


def _by_channel(structure: Structure, node: Node, after: tuple[int, ...]) -> bool:
    """Whether the constants of an operator in place are the same at all places of a map."""
    if node.op == "BatchNormalization" or len(after) != 4 or prod(after[2:]) == 1:
        return True
    for name in node.inputs:
        constant = structure.constant(name) if name and name not in structure.varying else None
        if constant is not None and prod(constant.shape[-2:]) > 1:
            return False
    return True


def _meets(structure: Structure, given: tuple[str, str], after: tuple[int, ...], limits: Thresholds) -> bool:
    """Whether two values that meet are of one size, or one weighs the channels of the other, a short way apart."""
    shapes = [structure.shapes.get(name, ()) for name in given]
    small = min(shapes, key=prod)
    if after not in shapes or (small != after and (len(small) < 2 or small[:2] != after[:2] or prod(small[2:]) > 1)):
        return False
    apart = structure.before(given[0]) ^ structure.before(given[1])
    work = sum(layer.macs for layer in structure.layers if apart >> structure.position[id(layer.node)] & 1)
    return work <= limits.plain.passed_by * structure.total_macs


def _one_stream(structure: Structure, limits: Thresholds) -> bool:
    """Whether no two layers in a row stand beside two others in a row."""
    layers = structure.layers
    beside = [
        (one, other)
        for place, one in enumerate(layers)
        for other in layers[place + 1 :]
        if structure.parallel(one.node, other.node)
    ]
    if len(beside) > limits.plain.pairs:
        return False
    pairs = [*beside, *((other, one) for one, other in beside)]
    return not any(
        structure.depends(later[0], early[0])
        and structure.depends(later[1], early[1])
        and not structure.depends(later[0], early[1])
        and not structure.depends(later[1], early[0])
        for early in pairs
        for later in pairs
    )


def _connects(structure: Structure, layer: Layer, limits: Thresholds) -> bool:
    """Whether a layer connects all its channels; one that treats each channel alone is followed by one that does."""
    if layer.node.op == "Conv" and layer.groups > 1:
        weights = structure.constant(layer.weight)
        return weights is not None and weights.shape[1] == 1 and weights.shape[0] == layer.groups
    matrix = mixing(structure, layer)
    if matrix is None or not matrix.size or not np.isfinite(matrix).all():
        return False
    used = matrix > limits.equivariance.silent * np.maximum(matrix.max(1, keepdims=True), 1e-30)
    rows = np.zeros(len(used), bool)
    rows[0] = True
    while True:
        reached = used[:, used[rows].any(0)].any(1)
        if (reached == rows).all():
            return bool(rows.all())
        rows |= reached
