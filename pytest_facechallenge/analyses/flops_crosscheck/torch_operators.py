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
