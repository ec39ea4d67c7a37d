"""Second versions that are no mirror image: turned, shifted, cropped, zoomed, brightened and more."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from evaluation.images import Array
from evaluation.sequential import SequentialBuilder
from evaluation.views.mirroring import flip, mirror_gather, mirror_slice, view

# ---- other geometry


@view("mirrored top to bottom", lambda x: x[:, :, ::-1])
def vertical(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    return net.slice(x, [-1], [-(2**31)], [2], [-1])


@view("turned by 90 degrees", lambda x: np.rot90(x, 1, (2, 3)))
def rotate90(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    return net.slice(net.op("Transpose", x, perm=[0, 1, 3, 2]), [-1], [-(2**31)], [2], [-1])


@view("turned by 180 degrees", lambda x: x[:, :, ::-1, ::-1])
def rotate180(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    return net.slice(x, [-1, -1], [-(2**31)] * 2, [2, 3], [-1, -1])


@view("rows and columns exchanged", lambda x: x.transpose(0, 1, 3, 2))
def transpose(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    return net.op("Transpose", x, perm=[0, 1, 3, 2])


def _shifted(x: Array) -> Array:
    return np.pad(x, ((0, 0), (0, 0), (0, 0), (4, 0)))[..., : x.shape[3]]


@view("shifted by 4 columns, zeros coming in", _shifted)
def shift_pad(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    return net.slice(net.op("Pad", x, net.const([0, 0, 0, 4, 0, 0, 0, 0])), [0], [s], [3])


@view("rolled by 3 rows", lambda x: np.roll(x, 3, 2))
def roll_rows(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    return net.op("Concat", net.slice(x, [s - 3], [s], [2]), net.slice(x, [0], [s - 3], [2]), axis=2)


@view(
    "shifted by 2 pixels diagonally by a depthwise one-hot kernel",
    lambda x: np.pad(x, ((0, 0), (0, 0), (2, 0), (2, 0)))[..., :-2, :-2],
)
def shift_conv(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    kernel = np.zeros((c, 1, 5, 5))
    kernel[:, :, 0, 0] = 1
    return net.op("Conv", x, net.const(kernel), kernel_shape=[5, 5], pads=[2] * 4, group=c)


def _line_weights(s: int, start: float, end: float) -> Array:
    """Matrix [s, s] of linear interpolation: column j is read at start + (end - start) * (j + 0.5) / s."""
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
def zoom_matmul(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    matrix = _line_weights(s, s * 0.125, s * 0.875)
    return net.op("MatMul", net.op("MatMul", net.const(matrix.T), x), net.const(matrix))


def _cropped(x: Array) -> Array:
    s = x.shape[3]
    edge = s // 14
    new = np.zeros_like(x)
    new[..., edge:-edge, edge:-edge] = x[..., edge:-edge, edge:-edge]
    return new


@view("cropped: the border set to zero by Slice and Pad", _cropped)
def crop_pad(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    e = s // 14
    return net.op("Pad", net.slice(x, [e, e], [s - e, s - e], [2, 3]), net.const([0, 0, e, e, 0, 0, e, e]))


def _enlarged(x: Array) -> Array:
    s = x.shape[3]
    inner = x[..., s // 4 : 3 * s // 4, s // 4 : 3 * s // 4]
    return np.repeat(np.repeat(inner, 2, 2), 2, 3)


@view("cropped to the middle half and enlarged again by Resize", _enlarged)
def crop_resize(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    inner = net.slice(x, [s // 4, s // 4], [3 * s // 4, 3 * s // 4], [2, 3])
    return net.resize(inner, 2, 2, "nearest", "asymmetric")


def _coarse(x: Array) -> Array:
    n, c, s, _ = x.shape
    small = x.reshape(n, c, s // 2, 2, s // 2, 2).mean((3, 5))
    return np.repeat(np.repeat(small, 2, 2), 2, 3)


@view("made coarse: average pooling and Resize back", _coarse)
def coarse(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    small = net.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    return net.resize(small, 2, 2, "nearest", "asymmetric")


# ---- values


@view("brightened", lambda x: x + np.float32(0.15))
def brighter(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    return net.op("Add", x, net.const(0.15))


@view("with more contrast, clipped", lambda x: np.clip(x * np.float32(1.3), -1, 1))
def contrast(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    return net.op("Clip", net.op("Mul", x, net.const(1.3)), net.const(-1.0), net.const(1.0))


@view("with contrast raised, not clipped", lambda x: x * np.float32(1.25))
def contrast_free(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    return net.op("Mul", x, net.const(1.25))


@view("darkened by a gamma curve", lambda x: (np.clip((x + 1) / 2, 1e-4, 1) ** 1.4 * 2 - 1).astype(np.float32))
def gamma(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    unit = net.op("Mul", net.op("Add", x, net.const(1.0)), net.const(0.5))
    y = net.op("Pow", net.op("Clip", unit, net.const(1e-4), net.const(1.0)), net.const(1.4))
    return net.op("Sub", net.op("Mul", y, net.const(2.0)), net.const(1.0))


def _blurred(x: Array) -> Array:
    kernel = np.array([1, 2, 1], np.float32) / 4
    wide = ndimage.convolve1d(x, kernel, axis=2, mode="constant")
    return np.asarray(ndimage.convolve1d(wide, kernel, axis=3, mode="constant"), np.float32)


@view("blurred by a depthwise binomial kernel", _blurred)
def blurred(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    kernel = np.tile(np.outer([1, 2, 1], [1, 2, 1]) / 16, (c, 1, 1, 1))
    return net.op("Conv", x, net.const(kernel), kernel_shape=[3, 3], pads=[1] * 4, group=c)


def _covered(x: Array) -> Array:
    new = x.copy()
    new[:, :, x.shape[2] // 2 :] = 0
    return new


@view("with the lower half (the mask region) wiped out", _covered)
def covered(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    mask = np.ones((s, 1))
    mask[s // 2 :] = 0
    return net.op("Mul", x, net.const(mask))


@view("in grey", lambda x: np.repeat(x.mean(1, keepdims=True), x.shape[1], 1))
def grey(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    return net.op("Expand", net.reduce("Mean", x, 1), net.op("Shape", x))


@view("mirrored and brightened", lambda x: flip(x) * np.float32(0.9) + np.float32(0.1))
def mirror_brighter(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    y = net.op("Add", net.op("Mul", x, net.const(0.9)), net.const(0.1))
    return mirror_gather(net, y, c, s)


@view("mirrored and shifted", lambda x: _shifted(flip(x)))
def mirror_shift(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    return shift_pad(net, mirror_slice(net, x, c, s), c, s)


def _turned(x: Array) -> Array:
    s = x.shape[3]
    index = _turned_index(s)
    return x.reshape(*x.shape[:2], s * s)[..., index].reshape(x.shape)


def _turned_index(s: int) -> npt.NDArray[np.int64]:
    """Nearest cell, for every cell, of the image turned by about six degrees."""
    rows, columns = np.mgrid[0:s, 0:s] - (s - 1) / 2
    back = (
        np.round(np.stack([rows - 0.1 * columns, columns + 0.1 * rows]) + (s - 1) / 2).clip(0, s - 1).astype(np.int64)
    )
    return np.asarray(back[0] * s + back[1]).ravel()


@view("turned by a few degrees by one Gather over all cells", _turned)
def rotate_small(net: SequentialBuilder, x: str, c: int, s: int) -> str:
    flat = net.op("Gather", net.reshape(x, -1, c, s * s), net.const(_turned_index(s)), axis=2)
    return net.reshape(flat, -1, c, s, s)
