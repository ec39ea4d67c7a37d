"""Stages of a network: layers with something between them that is no linear map.

Linear layers one after the other are one layer written as several (a Fourier transform by products of cosines and
sines, a factorised kernel); two looks at a face need more than one.
"""

from __future__ import annotations

from collections.abc import Iterable

from pytest_facechallenge.analyses.implicit_batch.layer_index import Layer, Structure
from pytest_facechallenge.onnx_graph.ir import Node
from pytest_facechallenge.onnx_graph.operators import Kind, Trait, names

#: Operators that are linear in what they are given, whatever of it depends on the image.
LINEAR = (
    names(Trait.LINEAR) - {"MaxPool"}
    | names(Kind.LAYOUT)
    | names(Kind.MOVING, Trait.KEEPS)
    | {"Add", "Sub", "Sum", "Mean", "ReduceMean", "ReduceSum", "GlobalAveragePool"}
)

#: Operators that are linear when all but one of their inputs are fixed.
LINEAR_IN_ONE = {"Mul", "Where"} | names(Kind.PRODUCT) | names(Kind.CONVOLUTION)

#: Normalisations over the channels of a place, as one node.
NORMS = frozenset({"LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization"})


def bends(structure: Structure, node: Node) -> bool:
    """Whether a node's result is no linear function of what it gets of the image."""
    varying = [place for place, name in enumerate(node.inputs) if name in structure.varying]
    if node.op == "Div":
        return 1 in varying
    if node.op in LINEAR_IN_ONE:
        return len(varying) > 1
    steered = set(varying) & (node.operator.steers | node.operator.chooses)
    return bool(varying) and (bool(steered) or node.op not in LINEAR)


def is_linear(structure: Structure, name: str) -> bool:
    """Whether no node on any way from the image to a value bends."""
    producer = structure.producer.get(name)
    if producer is None:
        return True
    place = structure.position[id(producer)]
    above = structure.ancestors[place] | 1 << place
    nodes = (node for position, node in enumerate(structure.nodes) if above >> position & 1)
    return not any(bends(structure, node) for node in nodes)


def scales_places(structure: Structure, node: Node, axis: int | None = None) -> bool:
    """Whether a node multiplies all channels of a place by one number that the image decides, as normalisations do.

    Parameters
    ----------
    axis
        Of the channels; None where it may be any axis but the first.
    """
    shape = structure.shapes.get(node.outputs[0], ()) if node.outputs else ()
    if node.op in NORMS:
        own = int(node.attributes.get("axis", -1)) % max(1, len(shape))
        return len(shape) > 1 and own == len(shape) - 1 and axis in (None, own)
    known = all(name in structure.varying and name in structure.shapes for name in node.inputs)
    if node.op not in ("Mul", "Div") or not known:
        return False
    sizes = [structure.shapes[name] for name in node.inputs]
    for place in (0, 1) if node.op == "Mul" else (1,):
        factor = (1,) * (len(shape) - len(sizes[place])) + sizes[place]
        apart = [at for at, (one, other) in enumerate(zip(factor, shape, strict=False)) if one != other]
        one_number = len(apart) == 1 and apart[0] > 0 and factor[apart[0]] == 1
        if one_number and sizes[1 - place] == shape and axis in (None, apart[0]):
            return True
    return False


def stages(structure: Structure, layers: Iterable[Layer]) -> int:
    """Return how many of some layers stand one behind the other with a node between each two that bends.

    Parameters
    ----------
    layers
        In graph order.
    """
    bending = sum(1 << position for position, node in enumerate(structure.nodes) if bends(structure, node))
    depths: list[tuple[int, int]] = []
    for layer in layers:
        position = structure.position[id(layer.node)]
        above = structure.ancestors[position]
        depth = 1
        for earlier, before in depths:
            if before >= depth and above >> earlier & 1 and _between(structure, earlier, above, bending):
                depth = before + 1
        depths.append((position, depth))
    return max((depth for _, depth in depths), default=0)


def _between(structure: Structure, earlier: int, above: int, bending: int) -> bool:
    """Whether a node that bends (the earlier layer itself too) lies between two layers."""
    candidates = above & bending & -(1 << earlier)
    while candidates:
        low = candidates & -candidates
        candidates ^= low
        position = low.bit_length() - 1
        if position == earlier or structure.ancestors[position] >> earlier & 1:
            return True
    return False
