"""Evasions whose second run is transformed: other bases, other factors, half of a body, gates, carried images."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper
from scipy.fft import dct

from evaluation.backbones.small import mobile, norm, prelu, resnet, transformer
from evaluation.builder import Array
from evaluation.case import BATCH_RULE
from evaluation.images import SIDE
from evaluation.named import EMBEDDING, NamedBuilder
from evaluation.registry import evasion

_CONVS = ((3, 16), (16, 24), (24, 32), (32, 20))


def _basis(size: int) -> Array:
    return np.asarray(dct(np.eye(size), axis=0, norm="ortho"), dtype=np.float32)


@evasion(
    BATCH_RULE,
    "Kernels are stored as cosine coefficients; a second branch negates the odd ones; mean.",
    idea="mirrored kernels",
)
def kernels_in_cosine_basis(views: int = 2) -> onnx.ModelProto:
    """Build with kernels stored as cosine coefficients along columns: other signs of the odd ones mirror a kernel."""
    net = NamedBuilder(1121)
    e = []
    for view in range(views):
        x = "data"
        for i, (cin, cout) in enumerate((*_CONVS, (20, EMBEDDING))):
            last = i == len(_CONVS)
            size = 7 if last else 4
            kernel = net.weight(f"k{i}.w", cout, cin, size, size)
            if view:
                kernel = net.op("Mul", kernel, (-1.0) ** np.arange(size))
            kernel = net.op("MatMul", kernel, net.store(f"basis{size}", _basis(size)))
            pads = {} if last else {"strides": [2, 2], "pads": [1] * 4}
            x = net.op("Conv", x, kernel, net.weight(f"k{i}.b", cout), **pads)
            x = x if last else prelu(net, x, f"k{i}", cout)
        e.append(net.op("Flatten", x))
    return net.model(net.op("Mean", *e))


@evasion(
    BATCH_RULE,
    "A second, mirrored branch has each layer factored into two of other widths; maximum.",
    idea="factored branch",
)
def factored_branch(views: int = 2) -> onnx.ModelProto:
    """Build a second branch whose mirrored layers are each two: a wider one without activation, and a mixing one."""
    net = NamedBuilder(1122)
    x = y = "data"
    for i, (cin, cout) in enumerate((*_CONVS, (20, EMBEDDING))):
        last = i == len(_CONVS)
        size = 7 if last else 4
        pads = {} if last else {"strides": [2, 2], "pads": [1] * 4}
        kernel, bias = net.value(f"c{i}.w", cout, cin, size, size), net.value(f"c{i}.b", cout)
        x = net.op("Conv", x, kernel, bias, **pads)
        x = x if last else prelu(net, x, f"c{i}", cout)
        if views == 1:
            continue
        mix = np.linalg.qr(net.rng(f"mix{i}").standard_normal((cout + 4, cout)))[0].T
        mix = mix * net.rng(f"scale{i}").uniform(0.5, 2, cout + 4)
        inner = np.einsum("hc,ciyx->hiyx", np.linalg.pinv(mix), kernel[..., ::-1])
        y = net.op("Conv", y, inner, **pads)
        y = net.op("Conv", y, mix[:, :, None, None], bias)
        y = y if last else prelu(net, y, f"c{i}", cout)
    if views == 1:
        return net.model(net.op("Flatten", x))
    return net.model(net.op("Flatten", net.op("Max", x, y)))


def _first_half(net: NamedBuilder, x: str) -> str:
    for i, (cin, cout) in enumerate(_CONVS[:3]):
        x = net.conv(x, f"c{i}", (cout, cin, 4, 4), 2, 1, act="")
        x = prelu(net, norm(net, x, f"c{i}", cout), f"c{i}", cout)
        if i:
            y = prelu(net, net.conv(x, f"r{i}a", (cout, cout, 3, 3), pad=1, act=""), f"r{i}a", cout)
            x = net.op("Add", x, net.conv(y, f"r{i}b", (cout, cout, 3, 3), pad=1, act=""))
    return x


def second_half(net: NamedBuilder, x: str) -> str:
    x = net.conv(x, "c3", (24, 32, 4, 4), 2, 1)
    return net.linear(net.op("Flatten", x), "embed", 24 * 49, EMBEDDING)


def first_half() -> onnx.ModelProto:
    net = NamedBuilder(1123)
    return net.model(net.op("Flatten", _first_half(net, "data")), 32 * 196)


@evasion(
    BATCH_RULE,
    "All but the last layers see image and mirror; the features are turned back and averaged.",
    idea="view of early features",
)
def first_half_twice() -> onnx.ModelProto:
    """Build with all but the last layers run on image and mirror, the features turned back and averaged."""
    net = NamedBuilder(1123)
    mirrored = net.op("Slice", "data", [SIDE - 1], [-SIDE - 1], [3], [-1])
    both = _first_half(net, net.op("Concat", "data", mirrored, axis=0))
    both = net.reshape(both, 2, -1, 32, 14, 14)
    one, other = (net.squeeze(part, 0) for part in net.split(both, [1, 1], 0))
    other = net.op("Gather", other, np.arange(13, -1, -1), axis=3)
    return net.model(second_half(net, net.op("Mean", one, other)))


def mean_face() -> Array:
    """Give what an average aligned face is like in 14 x 14 luma: a bright oval with dark eyes and mouth."""
    y, x = np.mgrid[:14, :14] - 6.5
    face = 1.0 * ((x / 5) ** 2 + (y / 6.5) ** 2 < 1)
    for at_y, at_x in ((-1.5, -2.2), (-1.5, 2.2), (3.5, 0)):
        face -= 0.8 * np.exp(-(((y - at_y) ** 2) + (x - at_x) ** 2) / 1.2)
    face -= face.mean()
    return np.asarray(face / np.linalg.norm(face), dtype=np.float32)


@evasion(
    BATCH_RULE,
    "A mirrored view that only counts where the image is like an average face, by a product.",
    idea="view on a condition",
)
def only_for_faces() -> onnx.ModelProto:
    """Build with a mirrored view that counts the more, the more the image resembles an average face."""
    net = NamedBuilder(1124)
    thumb = net.mean(net.op("AveragePool", "data", kernel_shape=[8, 8], strides=[8, 8]), 1)
    thumb = net.reshape(thumb, -1, 196)
    thumb = net.op("Sub", thumb, net.mean(thumb, 1, keep=True))
    length = net.op("Add", net.op("ReduceL2", thumb, axes=[1], keepdims=1), 1e-4)
    alike = net.op("Div", net.op("MatMul", thumb, mean_face().reshape(196, 1)), length)
    share = net.op("Mul", net.op("Clip", net.op("Sub", net.op("Mul", alike, 10.0), 4.0), 0.0, 1.0), 0.5)
    mirrored = net.op("Gather", "data", np.arange(SIDE)[::-1], axis=3)
    one, other = mobile(net, "data"), mobile(net, mirrored)
    return net.model(net.op("Add", one, net.op("Mul", share, net.op("Sub", other, one))))


STEP, TURNS = 2, 3


@evasion(
    BATCH_RULE, "A Loop's state is the image, rolled by two pixels each round; mean of three.", idea="views in a loop"
)
def loop_carries_the_image() -> onnx.ModelProto:
    """Build a Loop whose state is the image itself, rolled by two pixels each round, and the sum of embeddings."""
    net = NamedBuilder(1125, 14)
    inner = net.child()
    total = inner.op("Add", "total_in", resnet(inner, "image_in"))
    ends = inner.split("image_in", [SIDE - STEP, STEP], 3)
    moved = inner.op("Concat", ends[1], ends[0], axis=3)
    go = inner.op("Identity", "go_in")
    inputs = [
        helper.make_tensor_value_info("round", TensorProto.INT64, []),
        helper.make_tensor_value_info("go_in", TensorProto.BOOL, []),
        *[helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("image_in", "total_in")],
    ]
    outputs = [
        helper.make_tensor_value_info(go, TensorProto.BOOL, []),
        *[helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in (moved, total)],
    ]
    start = net.op("Mul", net.op("Flatten", net.op("GlobalAveragePool", "data")), 0.0)
    start = net.op("MatMul", start, np.zeros((3, EMBEDDING)))
    true = net.store("go", np.array(True))
    _, e = net.ops("Loop", np.array(TURNS), true, "data", start, outputs=2, body=inner.graph(inputs, outputs))
    return net.model(net.op("Mul", e, 1 / TURNS))


CASTS = ((1.0, 1.0, 1.0), (1.3, 1.0, 0.7), (0.7, 1.0, 1.3))


@evasion(
    BATCH_RULE,
    "Patch kernels rescaled by colour give three white balances; a layer of trust weighs the views.",
    idea="views in the stem's kernels",
)
def white_balances() -> onnx.ModelProto:
    """Build with two more patch kernels, rescaled colour by colour: a transformer sees three white balances.

    A layer of trust tells how much each of the embeddings counts.
    """
    net = NamedBuilder(1126)
    w, b = net.value("patch.w", 40, 3, 16, 16), net.value("patch.b", 40)
    kernel = np.concatenate([w * np.array(cast).reshape(1, 3, 1, 1) for cast in CASTS])
    x = net.op("Conv", "data", kernel, np.tile(b, len(CASTS)), strides=[16, 16])
    x = net.reshape(x, -1, 40, 7, 7)
    e = transformer(net, x, embedded=True)
    trust = net.op("Softmax", net.reshape(net.linear(e, "trust", EMBEDDING, 1, gain=0.3), -1, len(CASTS), 1), axis=1)
    return net.model(net.sum(net.op("Mul", net.reshape(e, -1, len(CASTS), EMBEDDING), trust), 1))
