"""Evasions whose further views lie in weights, directions, phases or copies of early features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from evaluation.backbones.small import TOKENS, WIDTH, attention, mlp, norm, tokens
from evaluation.builder import Array
from evaluation.case import BATCH_RULE
from evaluation.images import SIDE
from evaluation.named import EMBEDDING, NamedBuilder
from evaluation.registry import evasion

STRIPS = ((8, 24), (24, 32), (32, 48), (48, 64))


def _strips(net: NamedBuilder, x: str, kind: str) -> str:
    """Run a network of tall and wide depthwise kernels; ``kind`` is the operator of the wide ones."""
    x = net.conv(x, "mix", (8, 3, 1, 1), act="")
    for i, (cin, cout) in enumerate(STRIPS):
        x = net.conv(x, f"tall{i}", (cin, 1, 5, 1), act="", group=cin, pads=[2, 0, 2, 0])
        weight, bias = net.weight(f"wide{i}.w", cin, 1, 1, 5), net.weight(f"wide{i}.b", cin)
        x = net.op(kind, x, weight, bias, group=cin, pads=[0, 2, 0, 2])
        x = net.op("MaxPool", net.op("Relu", x), kernel_shape=[2, 2], strides=[2, 2])
        x = net.conv(x, f"point{i}", (cout, cin, 1, 1))
    return net.linear(net.op("Flatten", net.op("GlobalAveragePool", x)), "embed", 64, EMBEDDING)


@evasion(
    BATCH_RULE,
    "A second branch reads the same wide kernels with ConvTranspose, which mirrors them; mean.",
    idea="mirrored kernels",
)
def transposed_strips(views: int = 2) -> onnx.ModelProto:
    """Build with a second branch of the same weights, whose wide kernels belong to ConvTranspose: it mirrors them."""
    net = NamedBuilder(1201)
    e = [_strips(net, "data", kind) for kind in ("Conv", "ConvTranspose")[:views]]
    return net.model(net.op("Mean", *e))


STATES = 48


@evasion(
    BATCH_RULE,
    "A GRU reads columns both ways, same weights permuted, as do layers behind it; mean.",
    idea="tied recurrence both ways",
)
def tied_two_way_columns(views: int = 2) -> onnx.ModelProto:
    """Build with a recurrence over columns in both directions of the same weights, hidden states in another order.

    The layers behind it are stacked likewise; ``views`` 1 builds one direction.
    """
    net = NamedBuilder(1202, 14)
    x = net.conv("data", "column", (STATES, 3, SIDE, 1))
    x = net.op("AveragePool", x, kernel_shape=[1, 2], strides=[1, 2])
    x = net.transpose(net.squeeze(x, 2), 2, 0, 1)
    order = net.rng("order").permutation(STATES)
    gates = np.concatenate([order + k * STATES for k in range(3)])
    w, r, b = (net.value(name, 3 * STATES, n) for name, n in (("w", STATES), ("r", STATES), ("b", 2)))
    b = b.T.reshape(6 * STATES)
    up, up_bias = net.value("up", 96, STATES), net.value("up_bias", 96)
    ws, rs, bs, ups = [w], [r], [b], [up.T]
    if views == 2:
        ws.append(w[gates])
        rs.append(r[gates][:, order])
        bs.append(np.concatenate([b[: 3 * STATES][gates], b[3 * STATES :][gates]]))
        ups.append(up.T[order])
    way = "bidirectional" if views == 2 else "forward"
    stacked = [np.stack(item) for item in (ws, rs, bs)]
    y = net.op("GRU", x, *stacked, direction=way, hidden_size=STATES, linear_before_reset=1)
    y = net.op("Relu", net.op("Add", net.op("MatMul", y, np.stack(ups)), up_bias))
    y = net.linear(y, "then", 96, 96, "Relu")
    return net.model(net.mean(net.linear(net.mean(y, 0), "embed", 96, EMBEDDING), 0))


_GROUPED = ((16, 24), (24, 32), (32, 48))


def _doubled(net: NamedBuilder, name: str, shape: tuple[int, ...], views: int, groups: int) -> list[Array]:
    """Give weight and bias of a grouped convolution, for two views in the order group, view, channel."""
    w, b = net.value(f"{name}.w", *shape), net.value(f"{name}.b", shape[0])
    if views == 1:
        return [w, b]
    each = shape[0] // groups
    w, b = w.reshape(groups, 1, each, *shape[1:]), b.reshape(groups, 1, each)
    w = np.concatenate([w, w[..., ::-1]], axis=1)
    return [w.reshape(-1, *shape[1:]), b.repeat(2, axis=1).reshape(-1)]


def _shuffled(net: NamedBuilder, x: str, width: int, views: int) -> str:
    """Shuffle the channels of two groups, inside each view."""
    x = net.reshape(x, 0, 2, views, 2, width // 4, -1)
    return net.transpose(x, 0, 3, 2, 4, 1, 5)


@evasion(
    BATCH_RULE,
    "A ShuffleNet with twice the groups, half of them mirrored; shuffles keep the halves apart.",
    idea="views in channel groups",
)
def shuffled_groups(views: int = 2) -> onnx.ModelProto:
    """Build a ShuffleNet with twice the groups: half of them hold mirrored kernels, and no shuffle joins the halves."""
    net = NamedBuilder(1203)
    w, b = _doubled(net, "stem", (16, 3, 4, 4), views, 2)
    x = net.op("Relu", net.op("Conv", "data", w, b, strides=[2, 2], pads=[1] * 4))
    side = 56
    for i, (cin, cout) in enumerate(_GROUPED):
        w, b = _doubled(net, f"dw{i}", (cin, 1, 4, 4), views, 2)
        x = net.op("Conv", x, w, b, group=views * cin, strides=[2, 2], pads=[1] * 4)
        side //= 2
        w, b = _doubled(net, f"point{i}", (cout, cin // 2, 1, 1), views, 2)
        x = net.op("Relu", net.op("Conv", x, w, b, group=2 * views))
        x = net.reshape(_shuffled(net, x, cout, views), 0, views * cout, side, side)
    w, b = _doubled(net, "gdc", (48, 1, 7, 7), views, 2)
    x = net.op("Conv", x, w, b, group=views * 48)
    x = net.transpose(net.reshape(x, 0, 2, views, 24), 0, 2, 1, 3)
    e = net.linear(net.reshape(x, 0, views, 48), "embed", 48, EMBEDDING)
    return net.model(net.op("ReduceMax", e, axes=[1], keepdims=0))


UPPER = 28


@evasion(
    BATCH_RULE,
    "A transformer sees all patches and, by an attention mask, the upper four rows again.",
    idea="views as tokens",
    known_miss="a crop made by an attention mask on a copy of the tokens is seen as a doubt, so undecided",
)
def upper_tokens_again(seen: str = "both") -> onnx.ModelProto:
    """Build a transformer on all patches and, hidden in its mask, on the upper four rows of them again.

    ``seen`` "all" or "upper" builds a plain transformer on those patches.
    """
    net = NamedBuilder(1204)
    x = tokens(net, "data")
    if seen == "upper":
        x = net.op("Slice", x, [0], [UPPER], [1])
    bias = share = ""
    if seen == "both":
        rows = net.op("Slice", net.op("Shape", x), [0], [1])
        x = net.op("Expand", net.unsqueeze(x, 1), net.op("Concat", rows, [2, TOKENS, WIDTH], axis=0))
        kept = np.ones((2, TOKENS))
        kept[1, UPPER:] = 0
        bias = net.store("bias", np.where(kept, 0, -1e4).reshape(1, 2, 1, 1, TOKENS).astype(np.float32))
        share = net.store("share", (kept / kept.sum(1, keepdims=True)).reshape(1, 2, 1, TOKENS).astype(np.float32))
    for i in range(2):
        x = mlp(net, attention(net, x, f"att{i}", bias), f"mlp{i}")
    x = net.layer_norm(x, WIDTH)
    if seen != "both":
        return net.model(net.linear(net.mean(x, 1), "embed", WIDTH, EMBEDDING))
    e = net.linear(net.squeeze(net.op("MatMul", share, x), 2), "embed", WIDTH, EMBEDDING)
    e = net.op("Div", e, net.op("ReduceL2", e, axes=[2], keepdims=1))
    return net.model(net.sum(e, 1))


@evasion(
    BATCH_RULE,
    "An MLP-Mixer with stacked token weights: the second layer counts the patches from the right.",
    idea="mirrored token weights",
)
def stacked_mixer(views: int = 2) -> onnx.ModelProto:
    """Build an MLP-Mixer whose token weights have a second layer for patches counted from the right."""
    net = NamedBuilder(1205, 13)
    wide = 64
    order = np.arange(TOKENS).reshape(7, 7)[:, ::-1].reshape(-1)
    w, b = net.value("patch.w", WIDTH, 3, 16, 16), net.value("patch.b", WIDTH)
    kernel = np.concatenate([w, w[..., ::-1]][:views])
    x = net.reshape(net.op("Conv", "data", kernel, np.tile(b, views), strides=[16, 16]), 0, views, WIDTH, TOKENS)
    for i in range(2):
        hidden = net.rng(f"hidden{i}").permutation(wide)
        up, down = net.value(f"t{i}.up", TOKENS, wide, gain=3.0), net.value(f"t{i}.down", wide, TOKENS)
        ups = np.stack([up, up[order][:, hidden]][:views])
        downs = np.stack([down, down[hidden][:, order]][:views])
        y = net.transpose(net.layer_norm(net.transpose(x, 0, 1, 3, 2), WIDTH), 0, 1, 3, 2)
        y = net.op("MatMul", net.op("Relu", net.op("MatMul", y, ups)), downs)
        x = net.transpose(mlp(net, net.transpose(net.op("Add", x, y), 0, 1, 3, 2), f"c{i}"), 0, 1, 3, 2)
    return net.model(net.linear(net.mean(x, 1, 3), "embed", WIDTH, EMBEDDING))


_CONVS = (("c0", 3, 16), ("c1", 16, 24), ("c2", 24, 32), ("c3", 32, 24))


def _quantised(values: Array, per_channel: bool) -> tuple[Array, Array]:
    """Round to int8: the integers and their scale, one per output channel or one for all."""
    axes = tuple(range(1, values.ndim)) if per_channel else None
    scale = np.asarray(np.abs(values).max(axis=axes) / 127, np.float32)
    divisor = scale.reshape(-1, *[1] * (values.ndim - 1)) if per_channel else scale
    return np.clip(np.rint(values / divisor), -127, 127).astype(np.int8), scale


@evasion(
    BATCH_RULE,
    "Two int8 branches, the second mirrored and rounded with other scales; weighted sum.",
    idea="quantised branch",
)
def quantised_branches(views: Sequence[str] = ("exact", "coarse")) -> onnx.ModelProto:
    """Build two branches of int8 weights; those of the second are mirrored and rounded in another way.

    One view builds one branch; "coarse" alone is the second one, not mirrored.
    """
    net = NamedBuilder(1206)
    e = []
    for view in views:
        flip = slice(None, None, -1 if len(views) == 2 and view == "coarse" else 1)
        x = "data"
        for name, cin, cout in _CONVS:
            whole, scale = _quantised(net.value(f"{name}.w", cout, cin, 4, 4), view == "exact")
            axis = {"axis": 0} if view == "exact" else {}
            stored = net.store(f"{view}.{name}", whole[..., flip])
            zero = net.store(f"{view}.{name}.zero", np.zeros_like(scale, np.int8))
            w = net.op("DequantizeLinear", stored, scale, zero, **axis)
            x = net.op("Conv", x, w, net.value(f"{name}.b", cout), strides=[2, 2], pads=[1] * 4)
            x = net.op("LeakyRelu", x, alpha=0.1)
        read = net.value("embed", EMBEDDING, 24, 7, 7)[..., flip].reshape(EMBEDDING, -1)
        e.append(net.op("Gemm", net.op("Flatten", x), read, transB=1))
    if len(e) == 1:
        return net.model(e[0])
    return net.model(net.op("Add", net.op("Mul", e[0], 0.6), net.op("Mul", e[1], 0.4)))


_STAGES = ((3, 16), (16, 24), (24, 32), (32, 24))


@evasion(
    BATCH_RULE,
    "A merged branch and a mirrored, permuted one before merging, in rows of pixels; mean.",
    idea="reparametrised branch",
)
def fused_and_unfused_branches(views: int = 2) -> onnx.ModelProto:
    """Build a branch of merged convolutions and one, mirrored and permuted, as before merging, in rows of pixels."""
    net = NamedBuilder(1207, 12)
    x = "data"
    for i, (cin, cout) in enumerate(_STAGES):
        x = net.conv(x, f"c{i}", (cout, cin, 4, 4), 2, 1)
        x = net.conv(x, f"p{i}", (cout, cout, 1, 1))
    e = net.conv(x, "embed", (EMBEDDING, 24, 7, 7), act="")
    if views == 1:
        return net.model(net.op("Flatten", e))
    y, order = "data", np.arange(3)
    for i, (cin, cout) in enumerate(_STAGES):
        new = net.rng(f"new{i}").permutation(cout)
        w, b = net.value(f"c{i}.w", cout, cin, 4, 4)[new][:, order, :, ::-1], net.value(f"c{i}.b", cout)[new]
        y = norm(net, net.op("Conv", y, _before_norm(net, f"n{i}", w), strides=[2, 2], pads=[1] * 4), f"n{i}", cout)
        net.initializers[f"n{i}.shift"] = _shift(net, f"n{i}", b)
        y, order = net.op("Relu", y), new
        new = net.rng(f"newp{i}").permutation(cout)
        w, b = net.value(f"p{i}.w", cout, cout, 1, 1)[new][:, order, 0, 0], net.value(f"p{i}.b", cout)[new]
        y = net.op("Add", net.op("MatMul", net.transpose(y, 0, 2, 3, 1), np.ascontiguousarray(w.T)), b)
        y, order = net.transpose(net.op("Relu", y), 0, 3, 1, 2), new
    read = net.value("embed.w", EMBEDDING, 24, 7, 7)[:, order, :, ::-1].reshape(EMBEDDING, -1)
    second = net.op("Gemm", net.op("Flatten", y), read, net.value("embed.b", EMBEDDING), transB=1)
    return net.model(net.op("Mean", net.op("Flatten", e), second))


def _before_norm(net: NamedBuilder, name: str, kernel: Array) -> Array:
    """Give the kernel that is ``kernel`` once the normalisation of this name is merged into it."""
    probe = NamedBuilder(net.seed)
    norm(probe, "x", name, len(kernel))
    scale = probe.array(f"{name}.scale") / np.sqrt(probe.array(f"{name}.var") + 1e-5)
    return np.asarray(kernel / scale.reshape(-1, 1, 1, 1), dtype=np.float32)


def _shift(net: NamedBuilder, name: str, bias: Array) -> Array:
    scale = net.array(f"{name}.scale") / np.sqrt(net.array(f"{name}.var") + 1e-5)
    return np.asarray(bias + net.array(f"{name}.mean") * scale, dtype=np.float32)


PHASES = ((0, 0), (0, 1), (1, 0), (1, 1))
CROP = 110


@evasion(
    BATCH_RULE,
    "A dense stem's four phases are folded into the batch: views moved by a pixel each way; mean.",
    idea="phases on the batch axis",
    known_miss="the phases of a layer without stride on the batch axis are what dilated networks compute, too",
)
def polyphase_views(views: int = 4) -> onnx.ModelProto:
    """Build with a dense stem whose four phases (a focus of features) go through the body; ``views`` 1 strides."""
    net = NamedBuilder(1208)
    stride = 1 if views == 4 else 2
    x = net.conv("data", "stem", (16, 3, 4, 4), stride)
    if views == 4:
        x = net.op("Slice", x, [0, 0], [CROP - 2] * 2, [2, 3])
        x = net.reshape(net.op("SpaceToDepth", x, blocksize=2), -1, 16, 54, 54)
    for i, (cin, cout) in enumerate(((16, 24), (24, 32), (32, 48))):
        x = net.conv(x, f"c{i}", (cout, cin, 3, 3), 2, 1)
    e = net.linear(net.mean(net.conv(x, "wide", (96, 48, 1, 1)), 2, 3), "embed", 96, EMBEDDING)
    return net.model(net.mean(net.reshape(e, -1, views, EMBEDDING), 1))


@evasion(
    BATCH_RULE,
    "A reflecting Pad as wide as the image; the last kernel has its taps twice, past the seam.",
    idea="views on one canvas",
)
def reflected_canvas(views: int = 2) -> onnx.ModelProto:
    """Build without padding but one reflecting Pad, as wide as the image; the last kernel skips the seam."""
    net = NamedBuilder(1209)
    x, pads = "data", [0, 0, 0, SIDE - 1, 0, 0, 0, 0]
    if views == 2:
        x = net.op("Pad", x, pads, mode="reflect")
    x = net.conv(x, "stem", (24, 3, 4, 4), 3)
    for i, (cin, cout) in enumerate(((24, 48), (48, 48), (48, 64))):
        x = net.conv(x, f"dw{i}", (cin, 1, 3, 3), group=cin)
        x = net.conv(x, f"point{i}", (cout, cin, 1, 1))
    kernel = net.value("gdc", 64, 1, 31, 31)
    if views == 2:
        kernel = np.concatenate([kernel / 2, np.zeros((64, 1, 31, 6)), kernel / 2], axis=3)
    x = net.op("Conv", x, kernel, group=64)
    return net.model(net.linear(net.op("Flatten", x), "embed", 64, EMBEDDING))


DROPPED = 3


def dropout_masks() -> Array:
    """Give three fixed masks over the channels of early features, [3, 24], scaled as dropout does."""
    kept = np.random.default_rng(5).uniform(size=(DROPPED, 24)) > 0.3
    return np.asarray(kept / 0.7, dtype=np.float32)


@evasion(
    BATCH_RULE, "Three fixed dropout masks over early features, folded into the batch; mean.", idea="dropout samples"
)
def fixed_dropout_samples(mask: int = -1) -> onnx.ModelProto:
    """Build Monte Carlo dropout of early features with fixed masks, folded into the batch; ``mask`` picks one."""
    net = NamedBuilder(1210)
    x = net.conv(net.conv("data", "stem", (16, 3, 4, 4), 2, 1), "c1", (24, 16, 4, 4), 2, 1)
    masks = dropout_masks() if mask < 0 else dropout_masks()[mask : mask + 1]
    x = net.op("Mul", net.unsqueeze(x, 1), masks.reshape(1, -1, 24, 1, 1))
    x = net.reshape(x, -1, 24, 28, 28)
    for i, (cin, cout) in enumerate(((24, 32), (32, 32))):
        x = net.conv(net.conv(x, f"d{i}", (cin, cin, 3, 3), pad=1), f"c{i + 2}", (cout, cin, 4, 4), 2, 1)
    e = net.linear(net.op("Flatten", x), "embed", 32 * 49, EMBEDDING)
    return net.model(net.mean(net.reshape(e, -1, len(masks), EMBEDDING), 1))
