"""Second versions of a picture (or of a feature map): each written with ONNX ops, and the same in numpy."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from onnx import helper
from scipy import ndimage

from .builder import Net, untyped
from .case import Array

Emit = Callable[[Net, str, int, int], str]  # (net, tensor, channels, side) -> tensor of the same shape
Numpy = Callable[[Array], Array]


@dataclass(frozen=True, kw_only=True)
class View:
    """One way of making another version of a tensor [N, channels, side, side].

    Attributes
    ----------
    does
        What is done, in a few words.
    emit
        Writes it into a Net.
    numpy
        The same in numpy.
    opset
        The lowest opset its ops need.
    """

    does: str
    emit: Emit
    numpy: Numpy
    opset: int = 11


VIEWS: dict[str, View] = {}


def flip(x: Array) -> Array:
    return x[..., ::-1]


def view(does: str, numpy: Numpy = flip, opset: int = 11) -> Callable[[Emit], Emit]:
    def register(emit: Emit) -> Emit:
        VIEWS[emit.__name__] = View(does=does, emit=emit, numpy=numpy, opset=opset)
        return emit

    return register


@view("as it is", lambda x: x)
def identity(net: Net, x: str, c: int, s: int) -> str:
    return x


# ---- mirrors


@view("mirrored by a Slice with step -1")
def mirror_slice(net: Net, x: str, c: int, s: int) -> str:
    return net.slice(x, [-1], [-(2**31)], [3], [-1])


@view("mirrored by Gather with constant indices")
def mirror_gather(net: Net, x: str, c: int, s: int) -> str:
    return net.op("Gather", x, net.const(np.arange(s)[::-1]), axis=3)


@view("mirrored by Gather with indices computed from the width: width - 1 - Range")
def mirror_gather_range(net: Net, x: str, c: int, s: int) -> str:
    # Range counting down straight into Gather would be the shorter way, but onnxruntime (1.31) fuses that pair into a
    # Slice that ends at -1 and is therefore empty.
    width = net.dim(x, 3)
    ramp = net.op("Range", net.const(0), width, net.const(1))
    return net.op("Gather", x, net.op("Sub", net.op("Sub", width, net.const(1)), ramp), axis=3)


@view("mirrored by Gather with indices from a cumulative sum of ones", opset=11)
def mirror_gather_cumsum(net: Net, x: str, c: int, s: int) -> str:
    ones = net.op("ConstantOfShape", net.unsqueeze(net.dim(x, 3), 0), value=helper.make_tensor("v", 7, [1], [1]))
    ranks = net.op("CumSum", ones, net.const(0), exclusive=1, reverse=1)
    return net.op("Gather", x, ranks, axis=3)


@view("mirrored by Gather with indices from a descending TopK of a ramp")
def mirror_gather_topk(net: Net, x: str, c: int, s: int) -> str:
    order = net.ops("TopK", [net.const(np.linspace(-1, 1, s)), net.const([s])], 2, axis=0)[1]
    return net.op("Gather", x, order, axis=-1)


@view("mirrored by GatherElements with indices expanded to the picture's shape")
def mirror_gather_elements(net: Net, x: str, c: int, s: int) -> str:
    index = net.op("Expand", net.const(np.arange(s)[::-1].reshape(1, 1, 1, s)), net.op("Shape", x))
    return net.op("GatherElements", x, index, axis=3)


@view("mirrored by GatherND on the transposed picture")
def mirror_gather_nd(net: Net, x: str, c: int, s: int) -> str:
    columns = net.op("Transpose", x, perm=[3, 0, 1, 2])
    picked = net.op("GatherND", columns, net.const(np.arange(s)[::-1].reshape(s, 1)))
    return net.op("Transpose", picked, perm=[1, 2, 3, 0])


@view("mirrored by ScatterND: columns written to the opposite place")
def mirror_scatter_nd(net: Net, x: str, c: int, s: int) -> str:
    columns = net.op("Transpose", x, perm=[3, 1, 2, 0])
    empty = net.op("Mul", columns, net.const(0.0))
    full = net.op("ScatterND", empty, net.const(np.arange(s)[::-1].reshape(s, 1)), columns)
    return net.op("Transpose", full, perm=[3, 1, 2, 0])


@view("mirrored by ScatterElements into zeros")
def mirror_scatter_elements(net: Net, x: str, c: int, s: int) -> str:
    index = net.op("Expand", net.const(np.arange(s)[::-1].reshape(1, 1, 1, s)), net.op("Shape", x))
    return net.op("ScatterElements", net.op("Sub", x, x), index, x, axis=3)


@view("mirrored by ReverseSequence over the columns")
def mirror_reverse_sequence(net: Net, x: str, c: int, s: int) -> str:
    columns = net.reshape(net.op("Transpose", x, perm=[3, 0, 1, 2]), s, 1, -1)
    turned = net.op("ReverseSequence", columns, net.const([s]), time_axis=0, batch_axis=1)
    return net.op("Transpose", net.reshape(turned, s, -1, c, s), perm=[1, 2, 3, 0])


@view("mirrored by a Scan that reads the columns backwards")
def mirror_scan(net: Net, x: str, c: int, s: int) -> str:
    body = net.child()
    column = net.name("Scan")[1]
    out = body.op("Identity", column)
    graph = helper.make_graph(body.nodes, "column", [untyped(column)], [untyped(out)], body.initializers)
    return net.op(
        "Scan", x, body=graph, num_scan_inputs=1, scan_input_axes=[3], scan_output_axes=[3], scan_input_directions=[1]
    )


@view("mirrored by a Scan that writes its outputs in reverse")
def mirror_scan_output(net: Net, x: str, c: int, s: int) -> str:
    body = net.child()
    column = net.name("Scan")[1]
    out = body.op("Mul", column, body.const(1.0))
    graph = helper.make_graph(body.nodes, "column", [untyped(column)], [untyped(out)], body.initializers)
    directions = {"scan_output_directions": [1], "scan_output_axes": [3]}
    return net.op("Scan", x, body=graph, num_scan_inputs=1, scan_input_axes=[3], **directions)


@view("mirrored by MatMul with a permutation matrix")
def mirror_matmul(net: Net, x: str, c: int, s: int) -> str:
    return net.op("MatMul", x, net.const(np.eye(s)[::-1]))


@view("mirrored by MatMul with a permutation made of OneHot in the graph")
def mirror_matmul_onehot(net: Net, x: str, c: int, s: int) -> str:
    countdown = net.op("Range", net.const(s - 1), net.const(-1), net.const(-1))
    matrix = net.op("OneHot", countdown, net.const([s]), net.const([0.0, 1.0]))
    return net.op("MatMul", x, matrix)


@view("mirrored by Einsum with a permutation matrix", opset=12)
def mirror_einsum(net: Net, x: str, c: int, s: int) -> str:
    return net.op("Einsum", x, net.const(np.eye(s)[::-1]), equation="nchw,wv->nchv")


@view("mirrored by Gemm with a permutation matrix on the rows stacked together")
def mirror_gemm(net: Net, x: str, c: int, s: int) -> str:
    return net.reshape(net.op("Gemm", net.reshape(x, -1, s), net.const(np.eye(s)[::-1])), -1, c, s, s)


@view("mirrored by a 1x1 convolution with one-hot kernels, columns taken as channels")
def mirror_onehot_conv(net: Net, x: str, c: int, s: int) -> str:
    y = net.op("Transpose", x, perm=[0, 3, 2, 1])
    y = net.op("Conv", y, net.const(np.eye(s)[::-1].reshape(s, s, 1, 1)), kernel_shape=[1, 1])
    return net.op("Transpose", y, perm=[0, 3, 2, 1])


@view("mirrored by one convolution as wide as the picture: each output column picks an input column")
def mirror_wide_conv(net: Net, x: str, c: int, s: int) -> str:
    rows = net.reshape(x, -1, 1, 1, s)
    y = net.op("Conv", rows, net.const(np.eye(s)[::-1].reshape(s, 1, 1, s)), kernel_shape=[1, s])
    return net.reshape(y, -1, c, s, s)


@view("mirrored by GridSample with a constant grid", opset=16)
def mirror_grid_sample(net: Net, x: str, c: int, s: int) -> str:
    lines = np.linspace(-1, 1, s)
    grid = np.stack(np.meshgrid(-lines, lines), axis=-1)[None]
    shape = net.op("Concat", net.unsqueeze(net.dim(x, 0), 0), net.const([s, s, 2]), axis=0)
    return net.op("GridSample", x, net.op("Expand", net.const(grid), shape), align_corners=1)


@view("mirrored by Split into columns and Concat in reverse order")
def mirror_split_concat(net: Net, x: str, c: int, s: int) -> str:
    return net.op("Concat", *net.split(x, [1] * s, 3)[::-1], axis=3)


@view("mirrored by exchanging halves again and again (log2 steps), the last odd piece by Gather")
def mirror_butterfly(net: Net, x: str, c: int, s: int) -> str:
    size = s
    y = x
    while size % 2 == 0:
        size //= 2
        pairs = net.reshape(y, -1, c, s, s // (2 * size), 2, size)
        left, right = net.split(pairs, (1, 1), 4)
        y = net.op("Concat", right, left, axis=4)
    y = net.reshape(y, -1, c, s, s // size, size)
    y = net.op("Gather", y, net.const(np.arange(size)[::-1]), axis=4)
    return net.reshape(y, -1, c, s, s)


@view("mirrored by a Resize to almost double size whose region starts right of its end, every second cell kept")
def mirror_resize_roi(net: Net, x: str, c: int, s: int) -> str:
    # onnxruntime copies the input when the sizes do not change, so the size has to; 2 * s - 1 keeps the cells exact.
    roi = net.const([0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0])
    scales = "" if net.opset >= 13 else net.const(np.zeros(0))
    sizes = net.op("Add", net.op("Shape", x), net.const([0, 0, s - 1, s - 1]))
    mode = {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize"}
    y = net.op("Resize", x, roi, scales, sizes, **mode)
    return net.slice(y, [0, 0], [2 * s, 2 * s], [2, 3], [2, 2])


@view("mirrored in one flat Gather over all cells of a picture")
def mirror_flat_gather(net: Net, x: str, c: int, s: int) -> str:
    order = np.arange(s * s).reshape(s, s)[:, ::-1].ravel()
    return net.op(
        "Reshape", net.op("Gather", net.reshape(x, 0, c, s * s), net.const(order), axis=2), net.op("Shape", x)
    )


# ---- other geometry


@view("mirrored top to bottom", lambda x: x[:, :, ::-1])
def vertical(net: Net, x: str, c: int, s: int) -> str:
    return net.slice(x, [-1], [-(2**31)], [2], [-1])


@view("turned by 90 degrees", lambda x: np.rot90(x, 1, (2, 3)))
def rotate90(net: Net, x: str, c: int, s: int) -> str:
    return net.slice(net.op("Transpose", x, perm=[0, 1, 3, 2]), [-1], [-(2**31)], [2], [-1])


@view("turned by 180 degrees", lambda x: x[:, :, ::-1, ::-1])
def rotate180(net: Net, x: str, c: int, s: int) -> str:
    return net.slice(x, [-1, -1], [-(2**31)] * 2, [2, 3], [-1, -1])


@view("rows and columns exchanged", lambda x: x.transpose(0, 1, 3, 2))
def transpose(net: Net, x: str, c: int, s: int) -> str:
    return net.op("Transpose", x, perm=[0, 1, 3, 2])


def _shifted(x: Array) -> Array:
    return np.pad(x, ((0, 0), (0, 0), (0, 0), (4, 0)))[..., : x.shape[3]]


@view("shifted by 4 columns, zeros coming in", _shifted)
def shift_pad(net: Net, x: str, c: int, s: int) -> str:
    return net.slice(net.op("Pad", x, net.const([0, 0, 0, 4, 0, 0, 0, 0])), [0], [s], [3])


@view("rolled by 3 rows", lambda x: np.roll(x, 3, 2))
def roll_rows(net: Net, x: str, c: int, s: int) -> str:
    return net.op("Concat", net.slice(x, [s - 3], [s], [2]), net.slice(x, [0], [s - 3], [2]), axis=2)


@view(
    "shifted by 2 pixels diagonally by a depthwise one-hot kernel",
    lambda x: np.pad(x, ((0, 0), (0, 0), (2, 0), (2, 0)))[..., :-2, :-2],
)
def shift_conv(net: Net, x: str, c: int, s: int) -> str:
    kernel = np.zeros((c, 1, 5, 5))
    kernel[:, :, 0, 0] = 1
    return net.op("Conv", x, net.const(kernel), kernel_shape=[5, 5], pads=[2] * 4, group=c)


def _line_weights(s: int, start: float, end: float) -> Array:
    """Matrix [s, s] of linear interpolation: column j of the result looks at start + (end - start) * (j + 0.5) / s."""
    at = np.clip(start + (end - start) * (np.arange(s) + 0.5) / s - 0.5, 0, s - 1)
    low = np.minimum(np.floor(at).astype(int), s - 2)
    matrix = np.zeros((s, s), np.float32)
    matrix[low, np.arange(s)] += 1 - (at - low)
    matrix[low + 1, np.arange(s)] += at - low
    return matrix


def _zoomed(x: Array) -> Array:
    s = x.shape[3]
    matrix = _line_weights(s, s * 0.125, s * 0.875)
    return np.asarray(matrix.T @ (x @ matrix), np.float32)


@view("zoomed by MatMul with interpolation matrices", _zoomed)
def zoom_matmul(net: Net, x: str, c: int, s: int) -> str:
    matrix = _line_weights(s, s * 0.125, s * 0.875)
    return net.op("MatMul", net.op("MatMul", net.const(matrix.T), x), net.const(matrix))


def _cropped(x: Array) -> Array:
    s = x.shape[3]
    edge = s // 14
    new = np.zeros_like(x)
    new[..., edge:-edge, edge:-edge] = x[..., edge:-edge, edge:-edge]
    return new


@view("cropped: the border set to zero by Slice and Pad", _cropped)
def crop_pad(net: Net, x: str, c: int, s: int) -> str:
    e = s // 14
    return net.op("Pad", net.slice(x, [e, e], [s - e, s - e], [2, 3]), net.const([0, 0, e, e, 0, 0, e, e]))


def _enlarged(x: Array) -> Array:
    s = x.shape[3]
    inner = x[..., s // 4 : 3 * s // 4, s // 4 : 3 * s // 4]
    return np.repeat(np.repeat(inner, 2, 2), 2, 3)


@view("cropped to the middle half and enlarged again by Resize", _enlarged)
def crop_resize(net: Net, x: str, c: int, s: int) -> str:
    inner = net.slice(x, [s // 4, s // 4], [3 * s // 4, 3 * s // 4], [2, 3])
    return net.resize(inner, 2, 2, "nearest", "asymmetric")


def _coarse(x: Array) -> Array:
    n, c, s, _ = x.shape
    small = x.reshape(n, c, s // 2, 2, s // 2, 2).mean((3, 5))
    return np.repeat(np.repeat(small, 2, 2), 2, 3)


@view("made coarse: average pooling and Resize back", _coarse)
def coarse(net: Net, x: str, c: int, s: int) -> str:
    small = net.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    return net.resize(small, 2, 2, "nearest", "asymmetric")


# ---- values


@view("brightened", lambda x: x + np.float32(0.15))
def brighter(net: Net, x: str, c: int, s: int) -> str:
    return net.op("Add", x, net.const(0.15))


@view("with more contrast, clipped", lambda x: np.clip(x * np.float32(1.3), -1, 1))
def contrast(net: Net, x: str, c: int, s: int) -> str:
    return net.op("Clip", net.op("Mul", x, net.const(1.3)), net.const(-1.0), net.const(1.0))


@view("darkened by a gamma curve", lambda x: (np.clip((x + 1) / 2, 1e-4, 1) ** 1.4 * 2 - 1).astype(np.float32))
def gamma(net: Net, x: str, c: int, s: int) -> str:
    unit = net.op("Mul", net.op("Add", x, net.const(1.0)), net.const(0.5))
    y = net.op("Pow", net.op("Clip", unit, net.const(1e-4), net.const(1.0)), net.const(1.4))
    return net.op("Sub", net.op("Mul", y, net.const(2.0)), net.const(1.0))


def _blurred(x: Array) -> Array:
    kernel = np.array([1, 2, 1], np.float32) / 4
    wide = ndimage.convolve1d(x, kernel, axis=2, mode="constant")
    return np.asarray(ndimage.convolve1d(wide, kernel, axis=3, mode="constant"), np.float32)


@view("blurred by a depthwise binomial kernel", _blurred)
def blurred(net: Net, x: str, c: int, s: int) -> str:
    kernel = np.tile(np.outer([1, 2, 1], [1, 2, 1]) / 16, (c, 1, 1, 1))
    return net.op("Conv", x, net.const(kernel), kernel_shape=[3, 3], pads=[1] * 4, group=c)


def _covered(x: Array) -> Array:
    new = x.copy()
    new[:, :, x.shape[2] // 2 :] = 0
    return new


@view("with the lower half (the mask region) wiped out", _covered)
def covered(net: Net, x: str, c: int, s: int) -> str:
    mask = np.ones((s, 1))
    mask[s // 2 :] = 0
    return net.op("Mul", x, net.const(mask))


@view("in grey", lambda x: np.repeat(x.mean(1, keepdims=True), x.shape[1], 1))
def grey(net: Net, x: str, c: int, s: int) -> str:
    return net.op("Expand", net.reduce("Mean", x, 1), net.op("Shape", x))


@view("mirrored and brightened", lambda x: flip(x) * np.float32(0.9) + np.float32(0.1))
def mirror_brighter(net: Net, x: str, c: int, s: int) -> str:
    y = net.op("Add", net.op("Mul", x, net.const(0.9)), net.const(0.1))
    return mirror_gather(net, y, c, s)


@view("mirrored and shifted", lambda x: _shifted(flip(x)))
def mirror_shift(net: Net, x: str, c: int, s: int) -> str:
    return shift_pad(net, mirror_slice(net, x, c, s), c, s)
