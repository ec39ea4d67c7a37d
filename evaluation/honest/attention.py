"""Honest transformers, mixers and recurrent networks."""

import numpy as np
from onnx import numpy_helper

from evaluation.registry import honest_body
from evaluation.sequential import SequentialBuilder


def patches(net: SequentialBuilder, dim: int, size: int) -> tuple[str, int]:
    """Patch embedding: convolution, flatten, transpose; returns [N, cells, dim] and the number of cells."""
    side = 112 // size
    y = net.conv(net.x, 3, dim, size, size, pads=[0, 0, 0, 0])
    return net.op("Transpose", net.reshape(y, 0, dim, side * side), perm=[0, 2, 1]), side * side


def attention(net: SequentialBuilder, x: str, dim: int, heads: int, cells: int) -> str:
    """Multi-head self-attention over axis 1 of [N, cells, dim]; the leading axis is left free."""
    width = dim // heads
    qkv = net.reshape(net.linear(x, dim, 3 * dim), -1, cells, 3, heads, width)
    qkv = net.op("Transpose", qkv, perm=[2, 0, 3, 1, 4])
    q, k, v = (net.op("Gather", qkv, net.const(i), axis=0) for i in range(3))
    scores = net.op("MatMul", q, net.op("Transpose", k, perm=[0, 1, 3, 2]))
    weights = net.softmax(net.op("Mul", scores, net.const(2 * width**-0.5)))
    y = net.op("Transpose", net.op("MatMul", weights, v), perm=[0, 2, 1, 3])
    return net.linear(net.reshape(y, -1, cells, dim), dim, dim)


def mlp(net: SequentialBuilder, x: str, dim: int, hidden: int) -> str:
    return net.linear(net.gelu(net.linear(x, dim, hidden)), hidden, dim)


def block(net: SequentialBuilder, x: str, dim: int, heads: int, cells: int) -> str:
    x = net.op("Add", x, attention(net, net.layernorm(x, dim), dim, heads, cells))
    return net.op("Add", x, mlp(net, net.layernorm(x, dim), dim, 2 * dim))


def flat_head(net: SequentialBuilder, x: str, size: int, dim: int = 48) -> str:
    """Reshape to [N, size], matrix, standardise."""
    return net.standardise(net.linear(net.reshape(x, -1, size), size, dim), dim)


@honest_body(
    "ViT with a class token expanded over the batch by shape arithmetic, embedding from the token.",
    idea="vision transformer",
    opset=13,
)
def vit_class_token(net: SequentialBuilder) -> str:
    y, cells = patches(net, 32, 16)
    shape = net.op("Concat", net.unsqueeze(net.dim(y, 0), 0), net.const([-1]), net.const([-1]), axis=0)
    ones = net.op("ConstantOfShape", net.op("Shape", shape), value=numpy_helper.from_array(np.array([1], np.int64)))
    masked = net.op("Where", net.op("Equal", shape, net.op("Mul", ones, net.const(-1))), ones, shape)
    token = net.op("Expand", net.weight(1, 1, 32), masked)
    y = net.op("Add", net.op("Concat", token, y, axis=1), net.const(net.rng.normal(0, 0.3, (1, cells + 1, 32))))
    for _ in range(3):
        y = block(net, y, 32, 4, cells + 1)
    y = net.op("Gather", net.layernorm(y, 32), net.const(0), axis=1)
    return net.standardise(net.linear(y, 32, 48), 48)


@honest_body(
    "ViT whose class token is tiled over the batch by Tile, with LayerNormalization nodes.",
    idea="vision transformer",
    opset=17,
)
def vit_class_token_tile(net: SequentialBuilder) -> str:
    y, cells = patches(net, 32, 14)
    repeats = net.op("Concat", net.unsqueeze(net.dim(net.x, 0), 0), net.const([1, 1]), axis=0)
    y = net.op("Concat", net.op("Tile", net.weight(1, 1, 32), repeats), y, axis=1)
    y = net.op("Add", y, net.const(net.rng.normal(0, 0.3, (1, cells + 1, 32))))
    for _ in range(2):
        y = block(net, y, 32, 2, cells + 1)
    token = net.squeeze(net.slice(y, [0], [1], [1]), 1)
    return net.standardise(net.linear(token, 32, 48), 48)


@honest_body(
    "ViT without a class token: all tokens flattened into the embedding, as InsightFace's ViT does.",
    idea="vision transformer",
    opset=13,
)
def vit_flat(net: SequentialBuilder) -> str:
    y, cells = patches(net, 24, 16)
    y = net.op("Add", y, net.const(net.rng.normal(0, 0.3, (1, cells, 24))))
    for _ in range(3):
        y = block(net, y, 24, 3, cells)
    return flat_head(net, y, cells * 24)


@honest_body(
    "DeiT: a class token and a distillation token, two heads, averaged into one embedding.",
    idea="vision transformer",
    opset=13,
)
def vit_two_tokens(net: SequentialBuilder) -> str:
    y, cells = patches(net, 32, 16)
    shape = net.op("Concat", net.unsqueeze(net.dim(y, 0), 0), net.const([2, 32]), axis=0)
    y = net.op("Concat", net.op("Expand", net.weight(1, 2, 32), shape), y, axis=1)
    y = net.op("Add", y, net.const(net.rng.normal(0, 0.3, (1, cells + 2, 32))))
    for _ in range(2):
        y = block(net, y, 32, 4, cells + 2)
    first, second = (net.op("Gather", y, net.const(i), axis=1) for i in (0, 1))
    both = net.op("Add", net.linear(first, 32, 48), net.linear(second, 32, 48))
    return net.standardise(net.op("Div", both, net.const(2.0)), 48)


def windows(net: SequentialBuilder, x: str, side: int, window: int, dim: int, shift: int) -> str:
    """Swin block on [N, side, side, dim]: roll, fold windows into the batch, attend, unfold, roll back."""
    y = net.layernorm(x, dim)
    if shift:
        y = roll(net, y, shift, side)
    count = side // window
    y = net.op("Transpose", net.reshape(y, -1, count, window, count, window, dim), perm=[0, 1, 3, 2, 4, 5])
    y = attention(net, net.reshape(y, -1, window * window, dim), dim, 4, window * window)
    y = net.op("Transpose", net.reshape(y, -1, count, count, window, window, dim), perm=[0, 1, 3, 2, 4, 5])
    y = net.reshape(y, -1, side, side, dim)
    if shift:
        y = roll(net, y, side - shift, side)
    x = net.op("Add", x, y)
    return net.op("Add", x, mlp(net, net.layernorm(x, dim), dim, 2 * dim))


def roll(net: SequentialBuilder, x: str, shift: int, side: int) -> str:
    """torch.roll by -shift on axes 1 and 2, as exported: Slice and Concat."""
    for axis in (1, 2):
        parts = net.slice(x, [shift], [side], [axis]), net.slice(x, [0], [shift], [axis])
        x = net.op("Concat", *parts, axis=axis)
    return x


@honest_body(
    "Swin: windows folded into the batch axis and back, shifted windows by roll, patch merging.",
    idea="windows on the batch axis",
    opset=13,
)
def swin(net: SequentialBuilder) -> str:
    y = net.conv(net.x, 3, 16, 4, 4, pads=[0, 0, 0, 0])
    y = net.layernorm(net.op("Transpose", y, perm=[0, 2, 3, 1]), 16)
    dim, side = 16, 28
    for _ in range(2):
        y = windows(net, windows(net, y, side, 7, dim, 0), side, 7, dim, 3)
        parts = [net.slice(y, [r, c], [side, side], [1, 2], [2, 2]) for c in (0, 1) for r in (0, 1)]
        merged = net.layernorm(net.op("Concat", *parts, axis=3), 4 * dim)
        y, dim, side = net.linear(merged, 4 * dim, dim + 8), dim + 8, side // 2
    return flat_head(net, net.layernorm(y, dim), dim * side * side)


@honest_body(
    "Windows of the image itself folded into the batch before a shared stem, then unfolded (HaloNet-like stem).",
    idea="windows on the batch axis",
)
def image_windows_in_batch(net: SequentialBuilder) -> str:
    y = net.op("Transpose", net.reshape(net.x, -1, 3, 4, 28, 4, 28), perm=[0, 2, 4, 1, 3, 5])
    y = net.cbr(net.reshape(y, -1, 3, 28, 28), 3, 12, stride=2)
    y = net.op("Transpose", net.reshape(y, -1, 4, 4, 12, 14, 14), perm=[0, 3, 1, 4, 2, 5])
    y = net.reshape(y, -1, 12, 56, 56)
    for cin, cout in ((12, 16), (16, 24), (24, 32)):
        y = net.cbr(y, cin, cout, stride=2)
    return net.head(y, 32, 7)


@honest_body(
    "Channels of features folded into the batch for one shared single-channel filter, then unfolded.",
    idea="channels on the batch axis",
)
def channels_in_batch(net: SequentialBuilder) -> str:
    y = net.cbr(net.cbr(net.x, 3, 8, stride=2), 8, 16, stride=2)
    z = net.conv(net.reshape(y, -1, 1, 28, 28), 1, 1, 5)
    y = net.op("Add", y, net.reshape(z, -1, 16, 28, 28))
    return net.head(net.cbr(net.cbr(y, 16, 24, stride=2), 24, 32, stride=2), 32, 7)


@honest_body(
    "The three colours of the image folded into the batch, one stem for all, unfolded again.",
    idea="channels on the batch axis",
)
def colours_in_batch(net: SequentialBuilder) -> str:
    y = net.relu(net.conv(net.reshape(net.x, -1, 1, 112, 112), 1, 6, 5, 2))
    y = net.reshape_like(y, net.x, 18, 56, 56)
    for cin, cout in ((18, 16), (16, 24), (24, 32)):
        y = net.cbr(y, cin, cout, stride=2)
    return net.head(y, 32, 7)


@honest_body("Axial attention: rows, then columns, folded into the batch axis.", idea="attention along axes", opset=13)
def axial_attention(net: SequentialBuilder) -> str:
    y = net.cbr(net.cbr(net.cbr(net.x, 3, 8, stride=2), 8, 16, stride=2), 16, 16, stride=2)
    y = net.op("Transpose", y, perm=[0, 2, 3, 1])
    for _ in range(2):
        z = net.reshape(attention(net, net.reshape(y, -1, 14, 16), 16, 2, 14), -1, 14, 14, 16)
        y = net.op("Transpose", net.op("Add", y, z), perm=[0, 2, 1, 3])
    return flat_head(net, net.layernorm(y, 16), 16 * 196)


@honest_body(
    "Non-local block: attention between all cells of a feature map, in the channels-first layout.",
    idea="attention on feature maps",
)
def nonlocal_block(net: SequentialBuilder) -> str:
    y = net.cbr(net.cbr(net.cbr(net.x, 3, 8, stride=2), 8, 16, stride=2), 16, 24, stride=2)
    theta, phi, g = (net.reshape(net.conv(y, 24, 12, 1), 0, 12, 196) for _ in range(3))
    weights = net.softmax(net.op("MatMul", net.op("Transpose", theta, perm=[0, 2, 1]), phi))
    z = net.op("MatMul", g, net.op("Transpose", weights, perm=[0, 2, 1]))
    y = net.op("Add", y, net.conv(net.reshape(z, -1, 12, 14, 14), 12, 24, 1))
    return net.head(net.cbr(y, 24, 32, stride=2), 32, 7)


@honest_body("Attention written with Einsum.", idea="attention on feature maps", opset=12)
def einsum_attention(net: SequentialBuilder) -> str:
    y = net.cbr(net.cbr(net.cbr(net.x, 3, 8, stride=2), 8, 16, stride=2), 16, 24, stride=2)
    y = net.op("Transpose", net.reshape(y, 0, 24, 196), perm=[0, 2, 1])
    q, k, v = (net.reshape(net.linear(y, 24, 24), 0, 0, 2, 12) for _ in range(3))
    weights = net.softmax(net.op("Einsum", q, k, equation="bihd,bjhd->bhij"))
    z = net.reshape(net.op("Einsum", weights, v, equation="bhij,bjhd->bihd"), 0, 0, 24)
    y = net.op("Add", y, net.linear(z, 24, 24))
    y = net.reshape(net.op("Transpose", y, perm=[0, 2, 1]), 0, 24, 14, 14)
    return net.head(net.cbr(y, 24, 32, stride=2), 32, 7)


@honest_body(
    "Attention pooling: learned queries read the cells of the feature map.", idea="attention pooling", opset=13
)
def attention_pooling(net: SequentialBuilder) -> str:
    y = net.cbr(net.cbr(net.cbr(net.x, 3, 8, stride=2), 8, 16, stride=2), 16, 32, stride=2)
    y = net.op("Transpose", net.reshape(y, 0, 32, 196), perm=[0, 2, 1])
    keys, values = net.linear(y, 32, 32), net.linear(y, 32, 32)
    scores = net.op("MatMul", net.weight(4, 32), net.op("Transpose", keys, perm=[0, 2, 1]))
    return flat_head(net, net.op("MatMul", net.softmax(scores), values), 128)


@honest_body("MLP-Mixer: matrices over the cells and over the channels in turn.", idea="token mixing", opset=13)
def mlp_mixer(net: SequentialBuilder) -> str:
    y, cells = patches(net, 24, 14)
    for _ in range(3):
        z = net.op("Transpose", net.layernorm(y, 24), perm=[0, 2, 1])
        y = net.op("Add", y, net.op("Transpose", mlp(net, z, cells, 32), perm=[0, 2, 1]))
        y = net.op("Add", y, mlp(net, net.layernorm(y, 24), 24, 48))
    return flat_head(net, y, cells * 24)


@honest_body("ConvMixer: patch convolution, depthwise 7x7 with skip, pointwise, GELU.", idea="token mixing")
def conv_mixer(net: SequentialBuilder) -> str:
    y = net.bn(net.gelu(net.conv(net.x, 3, 24, 8, 8, pads=[0, 0, 0, 0])), 24)
    for _ in range(3):
        y = net.op("Add", y, net.bn(net.gelu(net.conv(y, 24, 24, 7, group=24)), 24))
        y = net.bn(net.gelu(net.conv(y, 24, 24, 1)), 24)
    return net.head(net.cbr(y, 24, 24, stride=2), 24, 7)


def recurrent(net: SequentialBuilder, kind: str, x: str, cin: int, hidden: int) -> str:
    """Bidirectional LSTM or GRU over the first axis of [steps, N, cin]: [steps, N, 2 * hidden]."""
    gates = 4 if kind == "LSTM" else 3
    weights = [net.rng.normal(0, 0.4, (2, gates * hidden, size)) for size in (cin, hidden)]
    inputs = [x, *(net.const(value) for value in weights), net.const(net.rng.normal(0, 0.1, (2, 2 * gates * hidden)))]
    outputs = net.ops(kind, *inputs, hidden_size=hidden, direction="bidirectional")
    y = net.op("Transpose", outputs[0], perm=[0, 2, 1, 3])
    return net.reshape(y, 0, 0, 2 * hidden)


@honest_body("A bidirectional LSTM over the rows of the last feature map.", idea="recurrence both ways")
def bidirectional_lstm(net: SequentialBuilder) -> str:
    y = net.cbr(net.cbr(net.cbr(net.x, 3, 8, stride=2), 8, 16, stride=2), 16, 16, stride=2)
    rows = net.reshape(net.op("Transpose", y, perm=[2, 0, 1, 3]), 14, -1, 16 * 14)
    y = recurrent(net, "LSTM", rows, 16 * 14, 8)
    return flat_head(net, net.op("Transpose", y, perm=[1, 0, 2]), 14 * 16)


@honest_body(
    "A bidirectional GRU straight over the columns of the shrunken image, then over the outputs again.",
    idea="recurrence both ways",
)
def bidirectional_gru(net: SequentialBuilder) -> str:
    y = net.op("AveragePool", net.x, kernel_shape=[4, 4], strides=[4, 4])
    y = net.reshape(net.op("Transpose", y, perm=[3, 0, 1, 2]), 28, -1, 84)
    y = recurrent(net, "GRU", recurrent(net, "GRU", y, 84, 12), 24, 12)
    return flat_head(net, net.op("Transpose", y, perm=[1, 0, 2]), 28 * 24)


@honest_body(
    "Features read forwards and backwards by two GRUs, the backward one fed by a reversed Slice of the features.",
    idea="recurrence both ways",
)
def two_gru_directions(net: SequentialBuilder) -> str:
    y = net.cbr(net.cbr(net.cbr(net.x, 3, 8, stride=2), 8, 16, stride=2), 16, 16, stride=2)
    y = net.reduce("Mean", net.cbr(y, 16, 24), 2, keep=False)
    ahead = net.op("Transpose", y, perm=[2, 0, 1])
    back = net.slice(ahead, [-1], [-(2**31)], [0], [-1])
    ends = []
    for sequence in (ahead, back):
        weights = [net.const(net.rng.normal(0, 0.4, (1, 36, size))) for size in (24, 12)]
        outputs = net.ops("GRU", sequence, *weights, outputs=2, hidden_size=12)
        ends.append(net.squeeze(outputs[1], 0))
    return net.standardise(net.linear(net.op("Concat", *ends, axis=1), 24, 48), 48)
