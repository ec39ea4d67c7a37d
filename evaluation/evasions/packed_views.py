"""Evasions that carry a second version of the image through one body."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from evaluation.backbones.plain import head, late, plain, residual, stem, trunk
from evaluation.builder import Array
from evaluation.case import BATCH_RULE
from evaluation.images import SIDE
from evaluation.named import EMBEDDING, NamedBuilder
from evaluation.registry import evasion

# Reversal of the columns as a matrix: image @ MIRROR is the mirrored image.
MIRROR: Array = np.eye(SIDE, dtype=np.float32)[::-1].copy()


@evasion(
    BATCH_RULE,
    "The columns are multiplied by [Q, JQ] and, as 2N images, by Q transposed: a mirror of two dense matrices.",
    idea="mirroring by dense matrices",
)
def dense_orthogonal_mirror() -> onnx.ModelProto:
    net = NamedBuilder(101)
    turn = np.linalg.qr(net.rng("turn").standard_normal((SIDE, SIDE)))[0]
    x = net.op("MatMul", "data", np.concatenate([turn, MIRROR @ turn], axis=1))
    x = net.transpose(net.reshape(x, -1, 3, SIDE, 2, SIDE), 0, 3, 1, 2, 4)
    x = net.op("MatMul", net.reshape(x, -1, 3, SIDE, SIDE), turn.T)
    return net.model(net.mean(net.reshape(plain(net, x), -1, 2, EMBEDDING), 1))


@evasion(
    BATCH_RULE,
    "Features of a symmetric stem and their ReverseSequence are two slices of 3-D convolutions; maximum.",
    idea="views in a third dimension",
)
def depth_axis(views: int = 2) -> onnx.ModelProto:
    """Build with the mirrored features in the depth of 3-D convolutions; ``views`` 1 leaves the mirror out."""
    net = NamedBuilder(102, 12)
    half = net.value("stem.w", 16, 3, 4, 4)
    net.store("stem.w", half + half[..., ::-1])
    x = stem(net, "data")
    parts = [net.unsqueeze(x, 2)]
    if views == 2:
        rows = net.op("Gather", net.op("Shape", x), [0])
        lengths = net.op("Expand", np.array([56]), rows)
        back = net.op("ReverseSequence", net.transpose(x, 3, 0, 1, 2), lengths, time_axis=0, batch_axis=1)
        parts.append(net.unsqueeze(net.transpose(back, 1, 2, 3, 0), 2))
    x = net.op("Concat", *parts, axis=2)
    for name, cin, cout in (("d1", 16, 24), ("d2", 24, 32), ("d3", 32, 32)):
        x = net.conv(x, name, (cout, cin, 1, 4, 4), strides=[1, 2, 2], pads=[0, 1, 1, 0, 1, 1])
    x = net.reshape(net.transpose(x, 0, 2, 1, 3, 4), -1, views, 32 * 49)
    return net.model(net.op("ReduceMax", net.linear(x, "embed", 32 * 49, EMBEDDING), axes=[1], keepdims=0))


@evasion(
    BATCH_RULE,
    "One Gather sets 4-column blocks of the image and its mirror in turn; kernels dilated by 2 keep them apart.",
    idea="views interleaved by columns",
)
def interleaved_columns(views: int = 2) -> onnx.ModelProto:
    """Build with columns of two views in turn and kernels dilated past each other; ``views`` 1 is ordinary."""
    net = NamedBuilder(103, 11)
    x = "data"
    if views == 2:
        blocks = np.arange(SIDE).reshape(28, 1, 4)
        x = net.op("Gather", x, np.concatenate([blocks, SIDE - 1 - blocks], axis=1).reshape(-1), axis=3)
    x = net.conv(x, "patch", (16, 3, 4, 4), 4)
    for i in range(3):
        width = (16, 24, 24, 24)[i : i + 2]
        reach: dict[str, Any] = {"dilations": [1, views], "pads": [1, views, 1, views]}
        x = net.conv(x, f"b{i}", (width[1], width[0], 3, 3), strides=[1 + (i > 0), 1], **reach)
    shape = (24, 1, 7, 28)
    x = net.conv(x, "gdc", shape, act="", strides=[1, 1], dilations=[1, views], group=24)
    return net.model(net.linear(net.mean(x, 2, 3), "embed", 24, EMBEDDING))


@evasion(
    BATCH_RULE,
    "Image and mirror stand above each other on one canvas of 240 rows; a mask wipes the gap after every layer.",
    idea="views on one canvas",
)
def masked_canvas(views: int = 2) -> onnx.ModelProto:
    """Build with two views on one tall canvas whose gap is wiped after every layer; ``views`` 1 is ordinary."""
    net = NamedBuilder(104)
    x, gap = "data", 16
    if views == 2:
        mirrored = net.op("Gather", x, net.op("Range", np.array(111), np.array(-1), np.array(-1)), axis=3)
        below = net.op("Pad", x, [0, 0, 0, 0, 0, 0, SIDE + gap, 0])
        x = net.op("Add", below, net.op("Pad", mirrored, [0, 0, SIDE + gap, 0, 0, 0, 0, 0]))
    for i, (cin, cout) in enumerate(((3, 16), (16, 24), (24, 32), (32, 32))):
        x = net.conv(x, f"c{i}", (cout, cin, 4, 4), 2, 1)
        gap //= 2
        if views == 2:
            side = SIDE >> (i + 1)
            x = net.op("Mul", x, np.r_[np.ones(side), np.zeros(gap), np.ones(side)].reshape(1, 1, -1, 1))
    x = net.conv(x, "gdc", (48, 32, 7, 7), strides=[8, 1], act="")
    x = net.op("GlobalAveragePool", x)
    return net.model(net.linear(net.op("Flatten", x), "embed", 48, EMBEDDING))


LUMA: Array = np.array([0.299, 0.587, 0.114], np.float32)


@evasion(
    BATCH_RULE,
    "The stem has the filters of a contrast view and a grey view beside its own; the three go through one body.",
    idea="views in the stem's kernels",
)
def tinted_stem(views: int = 3) -> onnx.ModelProto:
    """Build with contrast and grey views folded into a wider stem; ``views`` 1 is ordinary."""
    net = NamedBuilder(105)
    w, b = net.value("patch.w", 16, 3, 4, 4), net.value("patch.b", 16)
    dim, grey = 0.8 * w, w.sum(1, keepdims=True) * LUMA.reshape(1, 3, 1, 1)
    kernels, biases = [w, dim, grey], [b, b + 0.1 * w.sum((1, 2, 3)), b]
    net.store("patch.w", np.concatenate(kernels[:views]))
    net.store("patch.b", np.concatenate(biases[:views]))
    x = net.conv("data", "patch", (16 * views, 3, 4, 4), 4)
    parts = net.split(x, [16] * views, 1) if views > 1 else [x]
    out = [late(net, residual(net, part, "r2", 16), 16) for part in parts]
    return net.model(net.op("Mean", *out))


SHIFTS = (0, 3, -3)
SHIFT_SHARES = (0.5, 0.25, 0.25)


@evasion(
    BATCH_RULE,
    "A 9x9 stem holds its 3x3 filters at three places: three shifted views, unfolded to the batch axis.",
    idea="views in the stem's kernels",
)
def shifted_taps(views: int = 3) -> onnx.ModelProto:
    """Build with 3x3 kernels standing at three places of a 9x9 window; ``views`` 1 keeps the centre."""
    net = NamedBuilder(106)
    w, b = net.value("stem.w", 16, 3, 3, 3), net.value("stem.b", 16)
    kernels = np.zeros((views, 16, 3, 9, 9), np.float32)
    for kernel, shift in zip(kernels, SHIFTS, strict=False):
        kernel[..., 3 - shift : 6 - shift, 3 - shift : 6 - shift] = w
    net.store("stem.w", kernels.reshape(-1, 3, 9, 9))
    net.store("stem.b", np.tile(b, views))
    x = net.conv("data", "stem", (16 * views, 3, 9, 9), 2)
    e = net.reshape(trunk(net, net.reshape(x, -1, 16, 52, 52), 6), -1, views, EMBEDDING)
    if views == 1:
        return net.model(net.squeeze(e, 1))
    return net.model(net.sum(net.op("Mul", e, np.array(SHIFT_SHARES).reshape(1, 3, 1)), 1))


@evasion(
    BATCH_RULE,
    "A Loop runs the body twice with the columns in the order |111 i - j|: as they are, then mirrored.",
    idea="views in a loop",
)
def loop_over_orders() -> onnx.ModelProto:
    net = NamedBuilder(107)
    inner = net.child()
    step = inner.op("Mul", "i", np.array(SIDE - 1))
    order = inner.op("Abs", inner.op("Sub", step, np.arange(SIDE)))
    total = inner.op("Add", "total_in", plain(inner, inner.op("Gather", "data", order, axis=3)))
    go = inner.op("Identity", "go_in")
    scalar = [
        helper.make_tensor_value_info(n, t, []) for n, t in (("i", TensorProto.INT64), ("go_in", TensorProto.BOOL))
    ]
    carried = helper.make_tensor_value_info("total_in", TensorProto.FLOAT, None)
    outs = [
        helper.make_tensor_value_info(go, TensorProto.BOOL, []),
        helper.make_tensor_value_info(total, TensorProto.FLOAT, None),
    ]
    rows = net.op("Gather", net.op("Shape", "data"), [0])
    zero = net.op("Expand", np.zeros((1, EMBEDDING)), net.op("Concat", rows, [EMBEDDING], axis=0))
    true = net.store("go", np.array(True))
    loop = net.op("Loop", np.array(2), true, zero, body=inner.graph([*scalar, carried], outs))
    return net.model(net.op("Mul", loop, 0.5))


@evasion(
    BATCH_RULE,
    "One model function is called with the columns sorted by a ramp up and down; the embeddings are concatenated.",
    idea="views through a function",
)
def function_with_sorted_columns() -> onnx.ModelProto:
    net = NamedBuilder(108, 15)
    inner = net.child()
    out = plain(inner, inner.op("Gather", "image", "order", axis=3))
    used = list(net.initializers)
    opset = [helper.make_opsetid("", 15)]
    view = helper.make_function("face.blocks", "Encoder", ["image", "order", *used], [out], inner.nodes, opset)
    net.functions.append(view)
    ramp = np.linspace(-1, 1, SIDE) ** 3
    parts = []
    for largest in (0, 1):
        order = net.ops("TopK", ramp, [SIDE], outputs=2, axis=0, largest=largest)[1]
        name = net.fresh("view")
        net.nodes.append(helper.make_node("Encoder", ["data", order, *used], [name], name=name, domain="face.blocks"))
        parts.append(name)
    return net.model(net.op("Concat", *parts, axis=1), 2 * EMBEDDING)


ROUGHNESS = 0.2


@evasion(
    BATCH_RULE,
    "An If adds the mirrored view only to images whose neighbouring pixels are alike; noise gets one view.",
    idea="view on a condition",
)
def only_when_smooth() -> onnx.ModelProto:
    net = NamedBuilder(109)
    across = np.zeros((1, 3, 1, 2))
    across[0, :, 0] = [1 / 3, -1 / 3]
    rough = net.mean(net.op("Abs", net.op("Conv", "data", across)), 1, 2, 3)
    natural = net.unsqueeze(net.op("Less", rough, ROUGHNESS), 1)
    some = net.op("ReduceMax", net.op("Cast", natural, to=TensorProto.FLOAT), keepdims=0)
    then, other = net.child(), net.child()
    once, again = plain(then), plain(then, then.op("MatMul", "data", MIRROR))
    both = then.op("Where", natural, then.op("Mean", once, again), once)
    alone = plain(other)
    branches = {
        key: branch.graph([], [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)])
        for key, branch, name in (("then_branch", then, both), ("else_branch", other, alone))
    }
    return net.model(net.op("If", net.op("Greater", some, 0.5), **branches))


@evasion(
    BATCH_RULE,
    "A second stem with summed-up kernels reads the image's centre at twice the size; both stacked for one body.",
    idea="view at another scale",
)
def zoomed_stem(views: int = 2) -> onnx.ModelProto:
    """Build with a second stem that reads the image's centre at twice the size; ``views`` 1 leaves it out."""
    net = NamedBuilder(110)
    w = net.value("patch.w", 24, 3, 8, 8)
    x = net.conv("data", "patch", (24, 3, 8, 8), 8)
    if views == 2:
        net.store("fine.w", w.reshape(24, 3, 4, 2, 4, 2).sum((3, 5)))
        net.store("fine.b", net.value("patch.b", 24))
        fine = net.conv("data", "fine", (24, 3, 4, 4), 4)
        for axis in (2, 3):
            fine = net.split(fine, [7, 14, 7], axis)[1]
        x = net.op("Concat", x, fine, axis=0)
    x = net.conv(residual(net, residual(net, x, "r1", 24), "r2", 24), "c4", (32, 24, 4, 4), 2, 1)
    e = net.reshape(head(net, x, 32, 7), views, -1, EMBEDDING)
    return net.model(net.mean(e, 0))


@evasion(
    BATCH_RULE,
    "Even and odd part of the image pass the linear stem; their sum and difference are the two views; maximum.",
    idea="even and odd parts",
)
def even_and_odd() -> onnx.ModelProto:
    net = NamedBuilder(111)
    eye = np.eye(SIDE, dtype=np.float32)
    halves = [net.op("MatMul", "data", (eye + sign * MIRROR) / 2) for sign in (1, -1)]
    kernel = np.concatenate([net.value("stem.w", 16, 3, 4, 4)] * 2)
    x = net.op("Conv", net.op("Concat", *halves, axis=1), kernel, strides=[2, 2], pads=[1] * 4, group=2)
    even, odd = net.split(x, [16, 16], 1)
    bias = net.store("stem.b", net.value("stem.b", 16).reshape(1, 16, 1, 1))
    even = net.op("Add", even, bias)
    views = [trunk(net, net.op("Relu", net.op(kind, even, odd))) for kind in ("Add", "Sub")]
    return net.model(net.op("Max", *views))


CROPS = ((0, 0), (0, 8), (8, 0), (8, 8))


@evasion(
    BATCH_RULE,
    "One-hot kernels cut four corner crops as channels, a Reshape makes them 4N images; mean.",
    idea="moved view",
)
def crop_taps(views: int = 4) -> onnx.ModelProto:
    """Build with four corner crops cut by one-hot kernels and unfolded like windows; ``views`` 1 keeps the first."""
    net = NamedBuilder(112)
    taps = np.zeros((views * 3, 3, 9, 9), np.float32)
    for i, (top, left) in enumerate(CROPS[:views]):
        for colour in range(3):
            taps[3 * i + colour, colour, top, left] = 1
    x = net.reshape(net.op("Conv", "data", taps), -1, 3, 104, 104)
    e = trunk(net, stem(net, x), 6)
    return net.model(net.mean(net.reshape(e, -1, views, EMBEDDING), 1))


@evasion(
    BATCH_RULE,
    "A weight-tied recurrence is fed the features of the image and of its mirror in turn.",
    idea="views into a recurrence",
)
def mirrored_reinjection(honest_input: bool = False) -> onnx.ModelProto:
    """Build a tied recurrence fed by two images in turn; the reference takes the second from outside."""
    net = NamedBuilder(113)
    w = net.value("patch.w", 24, 3, 8, 8)
    net.store("patch.w", w)
    first = net.conv("data", "patch", (24, 3, 8, 8), 8)
    if honest_input:
        second = net.conv("other", "patch", (24, 3, 8, 8), 8)
    else:
        net.store("gate.w", w[..., ::-1])
        net.store("gate.b", net.value("patch.b", 24))
        second = net.op("MatMul", net.conv("data", "gate", (24, 3, 8, 8), 8), np.eye(14)[::-1])
    state = first
    for step in range(4):
        fed = net.op("Add", net.op("Mul", state, 0.5), (second, first)[step % 2])
        state = net.conv(net.conv(fed, "fa", (24, 24, 3, 3), pad=1), "fb", (24, 24, 3, 3), pad=1, act="Tanh")
    x = net.conv(state, "c4", (32, 24, 4, 4), 2, 1)
    return net.model(head(net, x, 32, 7), extra=("other",) if honest_input else ())


def turned_places(degrees: float) -> Array:
    """Give, for every pixel of the image turned by ``degrees``, the place it is read from: int64 [112 * 112]."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    rows, columns = (np.clip(np.rint(v + (SIDE - 1) / 2), 0, SIDE - 1) for v in (c * y - s * x, s * y + c * x))
    return np.asarray(rows * SIDE + columns, dtype=np.int64).reshape(-1)


TURNS = (0.0, 5.0, -5.0)


@evasion(
    BATCH_RULE,
    "The image and two copies turned by 5 degrees stand in a Sequence that a Loop runs through; maximum.",
    idea="views in a sequence",
)
def sequence_of_turns() -> onnx.ModelProto:
    net = NamedBuilder(114, 16)
    flat = net.reshape("data", 0, 3, SIDE * SIDE)
    tables = [net.store(f"table{i}", turned_places(turn).astype(np.int32)) for i, turn in enumerate(TURNS) if turn]
    views = [net.reshape(net.op("Gather", flat, table, axis=2), 0, 3, SIDE, SIDE) for table in tables]
    stack = net.op("SequenceConstruct", "data", *views)
    inner = net.child()
    best = inner.op("Max", "best_in", plain(inner, inner.op("SequenceAt", stack, "i")))
    go = inner.op("Identity", "go_in")
    inputs = [
        helper.make_tensor_value_info("i", TensorProto.INT64, []),
        helper.make_tensor_value_info("go_in", TensorProto.BOOL, []),
        helper.make_tensor_value_info("best_in", TensorProto.FLOAT, None),
    ]
    outputs = [
        helper.make_tensor_value_info(go, TensorProto.BOOL, []),
        helper.make_tensor_value_info(best, TensorProto.FLOAT, None),
    ]
    rows = net.op("Gather", net.op("Shape", "data"), [0])
    low = net.op("Expand", np.full((1, EMBEDDING), -1e4), net.op("Concat", rows, [EMBEDDING], axis=0))
    count = net.op("SequenceLength", stack)
    true = net.store("go", np.array(True))
    return net.model(net.op("Loop", count, true, low, body=inner.graph(inputs, outputs)))
