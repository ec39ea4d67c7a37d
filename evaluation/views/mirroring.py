"""Mirror images of an image (or of a feature map): each written with other ONNX ops, and the same in numpy."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from onnx import helper

from evaluation.builder import untyped
from evaluation.images import Array
from evaluation.sequential import SequentialBuilder

Emit = Callable[[SequentialBuilder, str, int, int], str]  # (net, tensor, channels, side) -> tensor of the same shape
Numpy = Callable[[Array], Array]


@dataclass(frozen=True, kw_only=True)
class View:
    """One way of making another version of a tensor [N, channels, side, side].

    Attributes
    ----------
    does
        What is done, in a few words.
    emit
        Writes it into a SequentialBuilder.
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
def identity(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    return x


# ---- mirrors


@view("mirrored by a Slice with step -1")
def mirror_slice(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    return net.slice(x, [-1], [-(2**31)], [3], [-1])


@view("mirrored by Gather with constant indices")
def mirror_gather(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    return net.op("Gather", x, net.const(np.arange(s)[::-1]), axis=3)


@view("mirrored by Gather with indices computed from the width: width - 1 - Range")
def mirror_gather_range(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    # Range counting down straight into Gather would be the shorter way, but onnxruntime (1.31) fuses that pair into a
    # Slice that ends at -1 and is therefore empty.
    width = net.dim(x, 3)
    ramp = net.op("Range", net.const(0), width, net.const(1))
    return net.op("Gather", x, net.op("Sub", net.op("Sub", width, net.const(1)), ramp), axis=3)


@view("mirrored by Gather with indices from a cumulative sum of ones", opset=11)
def mirror_gather_cumsum(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    ones = net.op("ConstantOfShape", net.unsqueeze(net.dim(x, 3), 0), value=helper.make_tensor("v", 7, [1], [1]))
    ranks = net.op("CumSum", ones, net.const(0), exclusive=1, reverse=1)
    return net.op("Gather", x, ranks, axis=3)


@view("mirrored by Gather with indices from a descending TopK of a ramp")
def mirror_gather_topk(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    order = net.ops("TopK", net.const(np.linspace(-1, 1, s)), net.const([s]), outputs=2, axis=0)[1]
    return net.op("Gather", x, order, axis=-1)


@view("mirrored by GatherElements with indices expanded to the image's shape")
def mirror_gather_elements(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    index = net.op("Expand", net.const(np.arange(s)[::-1].reshape(1, 1, 1, s)), net.op("Shape", x))
    return net.op("GatherElements", x, index, axis=3)


@view("mirrored by GatherND on the transposed image")
def mirror_gather_nd(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    columns = net.op("Transpose", x, perm=[3, 0, 1, 2])
    picked = net.op("GatherND", columns, net.const(np.arange(s)[::-1].reshape(s, 1)))
    return net.op("Transpose", picked, perm=[1, 2, 3, 0])


@view("mirrored by ScatterND: columns written to the opposite place")
def mirror_scatter_nd(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    columns = net.op("Transpose", x, perm=[3, 1, 2, 0])
    empty = net.op("Mul", columns, net.const(0.0))
    full = net.op("ScatterND", empty, net.const(np.arange(s)[::-1].reshape(s, 1)), columns)
    return net.op("Transpose", full, perm=[3, 1, 2, 0])


@view("mirrored by ScatterElements into zeros")
def mirror_scatter_elements(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    index = net.op("Expand", net.const(np.arange(s)[::-1].reshape(1, 1, 1, s)), net.op("Shape", x))
    return net.op("ScatterElements", net.op("Sub", x, x), index, x, axis=3)


@view("mirrored by ReverseSequence over the columns")
def mirror_reverse_sequence(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    columns = net.reshape(net.op("Transpose", x, perm=[3, 0, 1, 2]), s, 1, -1)
    turned = net.op("ReverseSequence", columns, net.const([s]), time_axis=0, batch_axis=1)
    return net.op("Transpose", net.reshape(turned, s, -1, c, s), perm=[1, 2, 3, 0])


@view("mirrored by a Scan that reads the columns backwards")
def mirror_scan(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    body = net.child()
    column = net.name("Scan")[1]
    out = body.op("Identity", column)
    graph = body.graph([untyped(column)], [untyped(out)], "column")
    return net.op(
        "Scan", x, body=graph, num_scan_inputs=1, scan_input_axes=[3], scan_output_axes=[3], scan_input_directions=[1]
    )


@view("mirrored by a Scan that writes its outputs in reverse")
def mirror_scan_output(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    body = net.child()
    column = net.name("Scan")[1]
    out = body.op("Mul", column, body.const(1.0))
    graph = body.graph([untyped(column)], [untyped(out)], "column")
    directions = {"scan_output_directions": [1], "scan_output_axes": [3]}
    return net.op("Scan", x, body=graph, num_scan_inputs=1, scan_input_axes=[3], **directions)


@view("mirrored by MatMul with a permutation matrix")
def mirror_matmul(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    return net.op("MatMul", x, net.const(np.eye(s)[::-1]))


@view("mirrored by MatMul with a permutation made of OneHot in the graph")
def mirror_matmul_onehot(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    countdown = net.op("Range", net.const(s - 1), net.const(-1), net.const(-1))
    matrix = net.op("OneHot", countdown, net.const([s]), net.const([0.0, 1.0]))
    return net.op("MatMul", x, matrix)


@view("mirrored by Einsum with a permutation matrix", opset=12)
def mirror_einsum(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    return net.op("Einsum", x, net.const(np.eye(s)[::-1]), equation="nchw,wv->nchv")


@view("mirrored by Gemm with a permutation matrix on the rows stacked together")
def mirror_gemm(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    return net.reshape(net.op("Gemm", net.reshape(x, -1, s), net.const(np.eye(s)[::-1])), -1, c, s, s)


@view("mirrored by a 1x1 convolution with one-hot kernels, columns taken as channels")
def mirror_onehot_conv(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    y = net.op("Transpose", x, perm=[0, 3, 2, 1])
    y = net.op("Conv", y, net.const(np.eye(s)[::-1].reshape(s, s, 1, 1)), kernel_shape=[1, 1])
    return net.op("Transpose", y, perm=[0, 3, 2, 1])


@view("mirrored by one convolution as wide as the image: each output column picks an input column")
def mirror_wide_conv(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    rows = net.reshape(x, -1, 1, 1, s)
    y = net.op("Conv", rows, net.const(np.eye(s)[::-1].reshape(s, 1, 1, s)), kernel_shape=[1, s])
    return net.reshape(y, -1, c, s, s)


@view("mirrored by GridSample with a constant grid", opset=16)
def mirror_grid_sample(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    lines = np.linspace(-1, 1, s)
    grid = np.stack(np.meshgrid(-lines, lines), axis=-1)[None]
    shape = net.op("Concat", net.unsqueeze(net.dim(x, 0), 0), net.const([s, s, 2]), axis=0)
    return net.op("GridSample", x, net.op("Expand", net.const(grid), shape), align_corners=1)


@view("mirrored by Split into columns and Concat in reverse order")
def mirror_split_concat(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    return net.op("Concat", *net.split(x, [1] * s, 3)[::-1], axis=3)


@view("mirrored by exchanging halves again and again (log2 steps), the last odd piece by Gather")
def mirror_butterfly(net: SequentialBuilder, x: str, c: int, s: int) -> str:
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
def mirror_resize_roi(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    # onnxruntime copies the input when the sizes do not change, so the size has to; 2 * s - 1 keeps the cells exact.
    roi = net.const([0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0])
    scales = "" if net.opset >= 13 else net.const(np.zeros(0))
    sizes = net.op("Add", net.op("Shape", x), net.const([0, 0, s - 1, s - 1]))
    mode = {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize"}
    y = net.op("Resize", x, roi, scales, sizes, **mode)
    return net.slice(y, [0, 0], [2 * s, 2 * s], [2, 3], [2, 2])


@view("mirrored in one flat Gather over all cells of an image")
def mirror_flat_gather(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    order = np.arange(s * s).reshape(s, s)[:, ::-1].ravel()
    return net.op(
        "Reshape", net.op("Gather", net.reshape(x, 0, c, s * s), net.const(order), axis=2), net.op("Shape", x)
    )


@view("mirrored by applying the discrete Fourier transform twice", opset=17)
def mirror_dft(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    # Twice the transform gives s * x[-n mod s]: the mirror image, one column rolled.
    once = net.op("DFT", net.unsqueeze(x, 4), axis=3)
    real = net.op("Div", net.op("Gather", net.op("DFT", once, axis=3), net.const(0), axis=4), net.const(float(s)))
    return net.op("Concat", net.slice(real, [1], [s], [3]), net.slice(real, [0], [1], [3]), axis=3)
