"""ONNX operators as torch functions, ``(torch, node, *inputs) -> output``; inputs that are absent are None."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_facechallenge.onnx_graph.ir import Node

Operator = "Callable[..., Any]"
OPERATORS: dict[str, Callable[..., Any]] = {}


def operator(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function under the names of ONNX operators."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        OPERATORS.update(dict.fromkeys(names, function))
        return function

    return register


def _plain(**functions: str) -> None:
    """Register operators that are one torch function of the same inputs."""
    for name, function in functions.items():
        OPERATORS[name] = lambda torch, _node, *xs, f=function: getattr(torch, f)(*xs)


_plain(Add="add", Sub="sub", Mul="mul", Pow="pow", Abs="abs", Neg="neg", Exp="exp", Log="log", Sqrt="sqrt")
_plain(Erf="erf", Tanh="tanh", Sigmoid="sigmoid", Relu="relu", Reciprocal="reciprocal", Floor="floor", Ceil="ceil")
_plain(Where="where", Equal="eq", Greater="gt", Less="lt", Not="logical_not", And="logical_and", Or="logical_or")
_plain(MatMul="matmul", Identity="clone", Sin="sin", Cos="cos", Sign="sign")


@operator("Div")
def _div(torch: Any, _node: Node, a: Any, b: Any) -> Any:
    """Divide; whole numbers give whole numbers, as sizes computed in the graph need."""
    return torch.div(a, b) if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


@operator("Max", "Min")
def _extreme(torch: Any, node: Node, *xs: Any) -> Any:
    result = xs[0]
    for x in xs[1:]:
        result = (torch.maximum if node.op == "Max" else torch.minimum)(result, x)
    return result


@operator("Sum", "Mean")
def _sum(_torch: Any, node: Node, *xs: Any) -> Any:
    total = sum(xs[1:], xs[0])
    return total / len(xs) if node.op == "Mean" else total


@operator("Dropout")
def _dropout(_torch: Any, _node: Node, x: Any, *_: Any) -> Any:
    return x


@operator("Cast")
def _cast(torch: Any, node: Node, x: Any) -> Any:
    from onnx.helper import tensor_dtype_to_np_dtype

    return x.to(getattr(torch, str(tensor_dtype_to_np_dtype(node.attributes["to"]))))


# Activations


@operator("LeakyRelu", "Elu", "Softplus", "HardSwish", "HardSigmoid", "Gelu")
def _activation(torch: Any, node: Node, x: Any) -> Any:
    f = torch.nn.functional
    alpha = node.attributes.get("alpha")
    match node.op:
        case "LeakyRelu":
            return f.leaky_relu(x, 0.01 if alpha is None else alpha)
        case "Elu":
            return f.elu(x, 1.0 if alpha is None else alpha)
        case "Softplus":
            return f.softplus(x)
        case "HardSwish":
            return f.hardswish(x)
        case "Gelu":
            return f.gelu(x, approximate=node.attributes.get("approximate", "none"))
        case _:
            return torch.clip((0.2 if alpha is None else alpha) * x + node.attributes.get("beta", 0.5), 0, 1)


@operator("PRelu")
def _prelu(torch: Any, _node: Node, x: Any, slope: Any) -> Any:
    return torch.where(x < 0, x * slope, x)


@operator("Clip")
def _clip(torch: Any, node: Node, x: Any, low: Any = None, high: Any = None) -> Any:
    low = node.attributes.get("min", low)
    high = node.attributes.get("max", high)
    return x if low is None and high is None else torch.clip(x, low, high)


@operator("Softmax", "LogSoftmax")
def _softmax(torch: Any, node: Node, x: Any) -> Any:
    function = torch.softmax if node.op == "Softmax" else torch.log_softmax
    if node.opset >= 13:
        return function(x, node.attributes.get("axis", -1))
    axis = node.attributes.get("axis", 1) % x.dim()  # up to opset 12 all axes from here on are one
    return function(x.flatten(axis), axis).reshape(x.shape)


# Layers


def _spatial_pads(node: Node, x: Any, kernel: list[int], torch: Any, value: float = 0.0) -> Any:
    """Return ``x`` padded as the node asks, in the order that torch wants (last axis first)."""
    axes = len(kernel)
    pads = list(node.attributes.get("pads") or [0] * 2 * axes)
    auto = node.attributes.get("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        strides = node.attributes.get("strides") or [1] * axes
        dilations = node.attributes.get("dilations") or [1] * axes
        for axis in range(axes):
            extent = x.shape[2 + axis]
            reach = (kernel[axis] - 1) * dilations[axis] + 1
            total = max(0, (-(-extent // strides[axis]) - 1) * strides[axis] + reach - extent)
            small = total // 2
            pads[axis], pads[axes + axis] = (small, total - small) if auto == "SAME_UPPER" else (total - small, small)
    if not any(pads):
        return x
    order = [pads[axis + side * axes] for axis in reversed(range(axes)) for side in (0, 1)]
    return torch.nn.functional.pad(x, order, value=value)


@operator("Conv")
def _conv(torch: Any, node: Node, x: Any, w: Any, bias: Any = None) -> Any:
    axes = w.dim() - 2
    x = _spatial_pads(node, x, list(w.shape[2:]), torch)
    function = (torch.conv1d, torch.conv2d, torch.conv3d)[axes - 1]
    strides = node.attributes.get("strides") or [1] * axes
    dilations = node.attributes.get("dilations") or [1] * axes
    return function(x, w, bias, strides, 0, dilations, node.attributes.get("group", 1))


@operator("ConvTranspose")
def _conv_transpose(torch: Any, node: Node, x: Any, w: Any, bias: Any = None) -> Any:
    axes = w.dim() - 2
    pads = node.attributes.get("pads") or [0] * 2 * axes
    if (
        pads[:axes] != pads[axes:]
        or node.attributes.get("output_shape")
        or node.attributes.get("auto_pad", "NOTSET") != "NOTSET"
    ):
        raise NotImplementedError(f"node {node.label!r}: only ConvTranspose with equal paddings is known")
    function = (torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d)[axes - 1]
    strides = node.attributes.get("strides") or [1] * axes
    dilations = node.attributes.get("dilations") or [1] * axes
    extra = node.attributes.get("output_padding") or [0] * axes
    return function(x, w, bias, strides, pads[:axes], extra, node.attributes.get("group", 1), dilations)


@operator("Gemm")
def _gemm(torch: Any, node: Node, a: Any, b: Any, c: Any = None) -> Any:
    a = a.t() if node.attributes.get("transA") else a
    b = b.t() if node.attributes.get("transB") else b
    alpha, beta = node.attributes.get("alpha", 1.0), node.attributes.get("beta", 1.0)
    return alpha * torch.mm(a, b) if c is None else torch.addmm(c, a, b, alpha=alpha, beta=beta)


@operator("Einsum")
def _einsum(torch: Any, node: Node, *xs: Any) -> Any:
    return torch.einsum(node.attributes["equation"], *xs)


@operator("BatchNormalization")
def _batch_norm(torch: Any, node: Node, x: Any, scale: Any, shift: Any, mean: Any, variance: Any) -> Any:
    epsilon = node.attributes.get("epsilon", 1e-5)
    return torch.nn.functional.batch_norm(x, mean, variance, scale, shift, False, 0.0, epsilon)


@operator("LayerNormalization")
def _layer_norm(torch: Any, node: Node, x: Any, scale: Any, shift: Any = None) -> Any:
    axis = node.attributes.get("axis", -1) % x.dim()
    return torch.nn.functional.layer_norm(x, list(x.shape[axis:]), scale, shift, node.attributes.get("epsilon", 1e-5))


@operator("InstanceNormalization")
def _instance_norm(torch: Any, node: Node, x: Any, scale: Any, shift: Any) -> Any:
    epsilon = node.attributes.get("epsilon", 1e-5)
    return torch.nn.functional.instance_norm(x, weight=scale, bias=shift, eps=epsilon)


@operator("LpNormalization")
def _lp_normalization(torch: Any, node: Node, x: Any) -> Any:
    return torch.nn.functional.normalize(x, node.attributes.get("p", 2), node.attributes.get("axis", -1))


# Pooling and reductions


@operator("GlobalAveragePool", "GlobalMaxPool")
def _global_pool(torch: Any, node: Node, x: Any) -> Any:
    axes = list(range(2, x.dim()))
    return (torch.mean if node.op == "GlobalAveragePool" else torch.amax)(x, axes, keepdim=True)


@operator("MaxPool", "AveragePool")
def _pool(torch: Any, node: Node, x: Any) -> Any:
    f = torch.nn.functional
    kernel = node.attributes["kernel_shape"]
    axes = len(kernel)
    strides = node.attributes.get("strides") or [1] * axes
    rounding = bool(node.attributes.get("ceil_mode", 0))
    if node.op == "MaxPool":
        x = _spatial_pads(node, x, kernel, torch, float("-inf"))
        dilations = node.attributes.get("dilations") or [1] * axes
        return (f.max_pool1d, f.max_pool2d, f.max_pool3d)[axes - 1](x, kernel, strides, 0, dilations, rounding)
    pads = node.attributes.get("pads") or [0] * 2 * axes
    include = bool(node.attributes.get("count_include_pad", 0))
    if pads[:axes] != pads[axes:] or node.attributes.get("auto_pad", "NOTSET") != "NOTSET":
        raise NotImplementedError(f"node {node.label!r}: only AveragePool with equal paddings is known")
    return (f.avg_pool1d, f.avg_pool2d, f.avg_pool3d)[axes - 1](x, kernel, strides, pads[:axes], rounding, include)


@operator("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2", "ReduceL1", "ReduceSumSquare")
def _reduce(torch: Any, node: Node, x: Any, axes: Any = None) -> Any:
    given = node.attributes.get("axes") or (None if axes is None else axes.tolist())
    if not given and node.attributes.get("noop_with_empty_axes"):
        return x
    over = given or list(range(x.dim()))
    keep = bool(node.attributes.get("keepdims", 1))
    match node.op:
        case "ReduceMean":
            return torch.mean(x, over, keepdim=keep)
        case "ReduceSum":
            return torch.sum(x, over, keepdim=keep)
        case "ReduceMax":
            return torch.amax(x, over, keepdim=keep)
        case "ReduceMin":
            return torch.amin(x, over, keepdim=keep)
        case "ReduceL1":
            return torch.sum(torch.abs(x), over, keepdim=keep)
        case _:
            squares = torch.sum(torch.square(x), over, keepdim=keep)
            return torch.sqrt(squares) if node.op == "ReduceL2" else squares


# Moving data


@operator("Shape")
def _shape(torch: Any, node: Node, x: Any) -> Any:
    extents = [int(extent) for extent in x.shape]
    return torch.tensor(extents[node.attributes.get("start", 0) : node.attributes.get("end")])


@operator("Reshape")
def _reshape(_torch: Any, node: Node, x: Any, shape: Any) -> Any:
    keep = not node.attributes.get("allowzero", 0)
    return x.reshape([x.shape[i] if n == 0 and keep else n for i, n in enumerate(shape.tolist())])


@operator("Flatten")
def _flatten(_torch: Any, node: Node, x: Any) -> Any:
    axis = node.attributes.get("axis", 1)
    rows = 1
    for extent in x.shape[: axis if axis >= 0 else axis + x.dim()]:
        rows *= extent
    return x.reshape(rows, -1)


@operator("Transpose")
def _transpose(_torch: Any, node: Node, x: Any) -> Any:
    return x.permute(node.attributes.get("perm") or list(range(x.dim()))[::-1])


@operator("Squeeze", "Unsqueeze")
def _squeeze(_torch: Any, node: Node, x: Any, axes: Any = None) -> Any:
    given = node.attributes.get("axes") or (None if axes is None else axes.tolist())
    if node.op == "Squeeze":
        drop = {axis % x.dim() for axis in given} if given else {i for i, n in enumerate(x.shape) if n == 1}
        return x.reshape([n for i, n in enumerate(x.shape) if i not in drop])
    rank = x.dim() + len(given or ())
    added = {axis % rank for axis in given or ()}
    extents = iter(x.shape)
    return x.reshape([1 if i in added else next(extents) for i in range(rank)])


@operator("Concat")
def _concat(torch: Any, node: Node, *xs: Any) -> Any:
    return torch.cat(xs, node.attributes["axis"])


@operator("Split")
def _split(torch: Any, node: Node, x: Any, sizes: Any = None) -> Any:
    axis = node.attributes.get("axis", 0)
    given = node.attributes.get("split") or (None if sizes is None else sizes.tolist())
    if given is None:
        part = -(-x.shape[axis] // len(node.outputs))
        return torch.split(x, part, axis)
    return torch.split(x, given, axis)


@operator("Slice")
def _slice(torch: Any, node: Node, x: Any, *parts: Any) -> Any:
    if node.opset < 10:
        starts, ends = node.attributes["starts"], node.attributes["ends"]
        axes, steps = node.attributes.get("axes"), None
    else:
        lists = [None if part is None else part.tolist() for part in (*parts, None, None)[:4]]
        starts, ends, axes, steps = lists[0] or [], lists[1] or [], lists[2], lists[3]
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis = int(axes[i]) if axes else i
        # While a tracer records, numbers read from a tensor are tensors still.
        chosen = range(int(x.shape[axis]))[slice(int(start), int(end), int(steps[i]) if steps else 1)]
        x = torch.index_select(x, axis, torch.tensor(list(chosen), dtype=torch.int64))
    return x


@operator("Gather")
def _gather(torch: Any, node: Node, x: Any, indices: Any) -> Any:
    axis = node.attributes.get("axis", 0) % x.dim()
    wanted = indices.to(torch.int64) % x.shape[axis]
    picked = torch.index_select(x, axis, wanted.reshape(-1))
    return picked.reshape([*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]])


@operator("Pad")
def _pad(torch: Any, node: Node, x: Any, pads: Any = None, value: Any = None, axes: Any = None) -> Any:
    given = node.attributes.get("pads") or pads.tolist()
    mode = node.attributes.get("mode", "constant")
    if axes is not None or mode == "wrap":
        raise NotImplementedError(f"node {node.label!r}: this form of Pad is not known")
    rank = x.dim()
    order = [given[axis + side * rank] for axis in reversed(range(rank)) for side in (0, 1)]
    if mode == "constant":
        filler = node.attributes.get("value", 0.0) if value is None else float(value)
        return torch.nn.functional.pad(x, order, value=filler)
    return torch.nn.functional.pad(x, order[: 2 * (rank - 2)], mode={"edge": "replicate"}.get(mode, mode))


@operator("Expand")
def _expand(torch: Any, _node: Node, x: Any, shape: Any) -> Any:
    return x.expand(torch.broadcast_shapes(tuple(x.shape), tuple(shape.tolist())))


@operator("Tile")
def _tile(_torch: Any, _node: Node, x: Any, repeats: Any) -> Any:
    return x.repeat(repeats.tolist())


@operator("ConstantOfShape")
def _constant_of_shape(torch: Any, node: Node, shape: Any) -> Any:
    value = node.attributes.get("value")
    filler = torch.zeros(1) if value is None else torch.from_numpy(value.array().copy())
    return filler.reshape(-1).expand(shape.tolist()) if shape.numel() else filler.reshape(())


@operator("Range")
def _range(torch: Any, _node: Node, start: Any, limit: Any, step: Any) -> Any:
    return torch.arange(start.item(), limit.item(), step.item())


@operator("DepthToSpace", "SpaceToDepth")
def _space(torch: Any, node: Node, x: Any) -> Any:
    block = node.attributes["blocksize"]
    n, c, h, w = x.shape
    if node.op == "SpaceToDepth":
        parts = x.reshape(n, c, h // block, block, w // block, block).permute(0, 3, 5, 1, 2, 4)
        return parts.reshape(n, c * block * block, h // block, w // block)
    if node.attributes.get("mode", "DCR") == "CRD":
        return torch.pixel_shuffle(x, block)
    parts = x.reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return parts.reshape(n, c // block**2, h * block, w * block)


@operator("Resize", "Upsample")
def _resize(torch: Any, node: Node, x: Any, *rest: Any) -> Any:
    scales = rest[0] if node.op == "Upsample" or len(rest) == 1 else (*rest, None)[1]
    sizes = rest[2] if len(rest) > 2 else None
    if sizes is not None:
        target = sizes.tolist()[2:]
    else:
        factors = node.attributes.get("scales") or scales.tolist()
        target = [int(extent * factor) for extent, factor in zip(x.shape[2:], factors[2:], strict=True)]
    mode = {"nearest": "nearest", "linear": "bilinear", "cubic": "bicubic"}[node.attributes.get("mode", "nearest")]
    aligned = node.attributes.get("coordinate_transformation_mode") == "align_corners"
    return torch.nn.functional.interpolate(x, target, mode=mode, align_corners=aligned if mode != "nearest" else None)
