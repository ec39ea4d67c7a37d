"""Injections that change weights: perturbed, permuted and mirrored branches, and grouped convolutions."""

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper, shape_inference

from evaluation.images import Array
from evaluation.injections.graft import CannotCarry, Host, consumers, renamed

POINTWISE = {"Relu", "Sigmoid", "Identity", "Dropout", "Tanh", "Add", "Mul", "Sub", "Clip", "LeakyRelu"}
# Layers that, besides those, do the same to a mirror image as to the image.
EQUIVARIANT = {"Sum", "Max", "Div", "Pow", "Sqrt", "Erf", "Neg", "Greater", "Where", "GlobalMaxPool", "Resize"}
EQUIVARIANT |= {"InstanceNormalization"}
SPATIAL = {"Conv", "BatchNormalization", "PRelu", "MaxPool", "AveragePool", "GlobalAveragePool", "Flatten", "Gemm"}


def perturbed(host: Host, amount: float = 0.01) -> dict[str, Array]:
    """Every matrix and kernel with noise of ``amount`` times its standard deviation."""
    rng = np.random.default_rng(11)
    return {
        name: (value + rng.normal(0, amount * value.std(), value.shape)).astype(np.float32)
        for name, value in host.weights().items()
        if value.ndim >= 2 and value.size >= 64
    }


def permuted(host: Host) -> dict[str, Array]:
    """Permute the channels between pairs of plain convolutions that only per-channel layers lie between.

    The embedding is unchanged. Weights that several nodes read are left alone.
    """
    rng = np.random.default_rng(12)
    nodes, weights = list(host.model.graph.node), host.weights()
    new: dict[str, Array] = {}
    for node in nodes:
        chain = _chain(nodes, node)
        names = [name for each in chain for name in each.input[1:] if name]
        movable = all(name in weights and len(consumers(nodes, name)) == 1 and name not in new for name in names)
        if len(chain) < 2 or not movable:
            continue
        order = rng.permutation(weights[chain[0].input[1]].shape[0])
        for each in chain[:-1]:
            for name in each.input[1:]:
                if name and weights[name].shape[:1] == (len(order),):
                    new[name] = weights[name][order]
        new[chain[-1].input[1]] = weights[chain[-1].input[1]][:, order]
    if not new:
        raise CannotCarry("no two convolutions in a row whose channels could be permuted")
    # A pair's second kernel may be the next pair's first: then it was skipped above and stays as it is.
    return new


def _chain(nodes: list[NodeProto], first: NodeProto) -> list[NodeProto]:
    """Conv, per-channel layers, Conv; each read by the next alone; empty if it is not so."""
    chain, node = [first], first
    if node.op_type != "Conv" or _group(node) != 1:
        return []
    while True:
        readers = consumers(nodes, node.output[0])
        if len(readers) != 1 or readers[0].input[0] != node.output[0]:
            return []
        node = readers[0]
        if node.op_type == "Conv" and _group(node) == 1:
            return [*chain, node]
        if node.op_type not in ("BatchNormalization", "Relu", "PRelu", "MaxPool", "AveragePool"):
            return []
        chain.append(node)


def _group(node: NodeProto) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)


def _only(host: Host, allowed: set[str]) -> None:
    for node in host.model.graph.node:
        if node.op_type not in allowed | {"Constant"}:
            raise CannotCarry(f"the host has a {node.op_type}, which this injection cannot rewrite")


def _no_width(host: Host, node: NodeProto, weights: dict[str, Array]) -> None:
    for name in node.input:
        if name in weights and weights[name].ndim and weights[name].shape[-1] != 1 and node.op_type != "Resize":
            raise CannotCarry(f"{node.op_type} has a constant along the width, which this injection does not rewrite")


def _over_channels(node: NodeProto) -> bool:
    return next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0) == 1


def _scalars_only(host: Host, node: NodeProto, weights: dict[str, Array]) -> None:
    for name in node.input:
        if name in weights and weights[name].size != 1:
            raise CannotCarry(f"{node.op_type} has a constant per channel, which this injection does not rewrite")


def grouped(host: Host, count: int) -> list[NodeProto]:
    """Rewrite the body for ``count`` images side by side on channels: grouped convolutions, a block-diagonal Gemm.

    Reads the tensor ``<input>_side_by_side`` and gives an embedding of ``count`` times the width.
    """
    _only(host, POINTWISE | SPATIAL)
    weights = host.weights()
    new: dict[str, Array] = {}
    nodes = renamed(host.model.graph.node, lambda name: f"{name}_side_by_side" if name == host.x else name)
    for node in nodes:
        constants = [name for name in node.input[1:] if name in weights]
        if node.op_type == "Conv":
            group = next((attribute for attribute in node.attribute if attribute.name == "group"), None)
            factor = group.i if group is not None else 1
            if group is not None:
                node.attribute.remove(group)
            node.attribute.append(helper.make_attribute("group", factor * count))
        if node.op_type == "Gemm":
            _check_gemm(node, weights)
            new[node.input[1]] = np.kron(np.eye(count, dtype=np.float32), weights[node.input[1]])
            constants = constants[1:]
        elif node.op_type in POINTWISE:
            _scalars_only(host, node, weights)
            constants = []
        new |= {name: np.concatenate([weights[name]] * count) for name in constants}
    return _with_weights(host, [node for node in nodes if node.op_type != "Constant" or node.output[0] not in new], new)


def _check_gemm(node: NodeProto, weights: dict[str, Array]) -> None:
    transposed = next((attribute.i for attribute in node.attribute if attribute.name == "transB"), 0)
    if not transposed or node.input[1] not in weights:
        raise CannotCarry("the host's Gemm is not of the plain form with a constant, transposed matrix")


def _with_weights(host: Host, nodes: list[NodeProto], new: dict[str, Array]) -> list[NodeProto]:
    table = {name: f"{name}_wide" for name in new}
    host.added += [numpy_helper.from_array(np.ascontiguousarray(new[name]), table[name]) for name in new]
    return renamed(nodes, lambda name: table.get(name, name))


def mirrored_branch(host: Host) -> tuple[list[NodeProto], str]:
    """Copy the body with every kernel mirrored, so that it sees the mirror image without any mirroring operator.

    Padding of strided layers is shifted to the other side, and the columns of the matrix behind Flatten change places.
    """
    _only(host, POINTWISE | SPATIAL | EQUIVARIANT | {"Concat", "Split"})
    weights, shapes = host.weights(), _shapes(host.model)
    new: dict[str, Array] = {}
    attributes: dict[str, dict[str, list[int]]] = {}
    for node in host.model.graph.node:
        if node.op_type in ("Conv", "MaxPool", "AveragePool"):
            if node.op_type == "Conv":
                if node.input[1] not in weights:
                    raise CannotCarry("a kernel of the host is computed")
                new[node.input[1]] = weights[node.input[1]][..., ::-1].copy()
            pads, short = _swapped_pads(node, shapes[node.input[0]][3])
            attributes[node.output[0]] = {"pads": pads}
            if short and node.op_type == "Conv":
                wider = np.pad(new[node.input[1]], [(0, 0)] * 3 + [(short, 0)])
                new[node.input[1]] = wider
                attributes[node.output[0]]["kernel_shape"] = list(wider.shape[2:])
            elif short:
                raise CannotCarry(
                    "a pooling leaves the last columns unread, so that its mirror would need negative pads"
                )
        elif node.op_type in ("Concat", "Split") and not _over_channels(node):
            raise CannotCarry(f"the host has a {node.op_type} that is not over channels")
        elif node.op_type in POINTWISE | EQUIVARIANT - {"InstanceNormalization"}:
            _no_width(host, node, weights)
        elif node.op_type == "Gemm":
            _check_gemm(node, weights)
            source = next((n for n in host.model.graph.node if node.input[0] in n.output), None)
            if source is None or source.op_type != "Flatten":
                raise CannotCarry("the host's Gemm does not stand behind a Flatten")
            _, c, h, w = shapes[source.input[0]]
            matrix = weights[node.input[1]]
            new[node.input[1]] = matrix.reshape(-1, c, h, w)[..., ::-1].reshape(matrix.shape).copy()
    nodes, y = host.nodes(host.x, "_m", new)
    for node in nodes:
        for key, value in attributes.get(node.output[0].removesuffix("_m"), {}).items():
            for attribute in [a for a in node.attribute if a.name == key]:
                node.attribute.remove(attribute)
            node.attribute.append(helper.make_attribute(key, value))
    return nodes, y


def _swapped_pads(node: NodeProto, width: int) -> tuple[list[int], int]:
    """Return the pads [top, left, bottom, right] that make a layer with mirrored kernels the mirror of the layer.

    The second number says by how many zeros the mirrored kernel has to grow on its left, where a strided layer leaves
    more columns unread than it pads.
    """
    values = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    if values.get("auto_pad", b"NOTSET") != b"NOTSET" or values.get("ceil_mode", 0):
        raise CannotCarry("the host pads automatically, which this injection does not rewrite")
    top, left, bottom, right = values.get("pads", [0, 0, 0, 0])
    dilation = values.get("dilations", [1, 1])[1]
    reach = (values["kernel_shape"][1] - 1) * dilation + 1
    unused = (width + left + right - reach) % values.get("strides", [1, 1])[1]
    short = max(0, unused - right)
    if short and dilation > 1:
        raise CannotCarry("a dilated, strided layer leaves the last columns unread")
    return [top, max(0, right - unused), bottom, left], short


def _shapes(model: ModelProto) -> dict[str, list[int]]:
    graph = shape_inference.infer_shapes(model).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    return {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in values}
