"""Honest networks of tokens: mixers, transformers with folded or reduced tokens, scans."""

from __future__ import annotations

import numpy as np
import onnx

from evaluation.backbones.plain import head, late
from evaluation.backbones.small import TOKENS, WIDTH, attention, mlp, tokens
from evaluation.named import EMBEDDING, NamedBuilder
from evaluation.registry import honest


def _finish(net: NamedBuilder, x: str) -> onnx.ModelProto:
    return net.model(net.linear(net.mean(net.layer_norm(x, WIDTH), 1), "embed", WIDTH, EMBEDDING))


@honest("Token and channel mixing by MLPs.", idea="token mixing")
def mixer_of_tokens() -> onnx.ModelProto:
    net = NamedBuilder(1701)
    x = tokens(net, "data")
    for i in range(3):
        y = net.transpose(net.layer_norm(x, WIDTH), 0, 2, 1)
        y = net.linear(net.linear(y, f"t{i}.up", TOKENS, 64, "Relu"), f"t{i}.down", 64, TOKENS)
        x = mlp(net, net.op("Add", x, net.transpose(y, 0, 2, 1)), f"c{i}")
    return _finish(net, x)


@honest("One transformer layer used three times in series (ALBERT).", idea="shared weights", tied=("tied_",))
def one_layer_three_times() -> onnx.ModelProto:
    """Build ALBERT: one transformer layer, used three times in series."""
    net = NamedBuilder(1702, 17)
    x = tokens(net, "data")
    for _ in range(3):
        x = mlp(net, attention(net, x, "tied_att"), "tied_mlp")
    return _finish(net, x)


@honest("Tokens mixed by the real part of a Fourier transform (FNet).", idea="spectra")
def fourier_mixing() -> onnx.ModelProto:
    """Mix tokens by the real part of a two-dimensional Fourier transform over places and channels (FNet)."""
    net = NamedBuilder(1703, 17)
    x = tokens(net, "data")
    for i in range(2):
        y = net.op("DFT", net.op("DFT", net.unsqueeze(net.layer_norm(x, WIDTH), 3), axis=2), axis=1)
        y = net.op("Mul", net.op("Gather", y, np.array(0), axis=3), 0.05)
        x = mlp(net, net.op("Add", x, y), f"m{i}")
    return _finish(net, x)


@honest("Learned complex filters on the spectrum of deep features (GFNet).", idea="spectra")
def global_filters() -> onnx.ModelProto:
    """Multiply the spectrum of deep features by learned complex filters and go back (GFNet)."""
    net = NamedBuilder(1704, 17)
    x = net.conv(net.conv("data", "stem", (16, 3, 4, 4), 2, 1), "c2", (24, 16, 8, 8), 4, 2)
    for i in range(2):
        y = net.op("DFT", net.op("DFT", net.unsqueeze(x, 4), axis=2), axis=3)
        real, imaginary = net.split(y, [1, 1], 4)
        a, b = (net.weight(f"filter{i}{part}.w", 24, 14, 14, 1, gain=8.0) for part in "ab")
        real, imaginary = (
            net.op("Sub", net.op("Mul", real, a), net.op("Mul", imaginary, b)),
            net.op("Add", net.op("Mul", real, b), net.op("Mul", imaginary, a)),
        )
        y = net.op("Concat", real, imaginary, axis=4)
        y = net.op("DFT", net.op("DFT", y, axis=3, inverse=1), axis=2, inverse=1)
        y = net.op("Gather", y, np.array(0), axis=4)
        x = net.op("Add", x, net.conv(y, f"mix{i}", (24, 24, 1, 1)))
    x = net.conv(x, "c4", (24, 24, 4, 4), 2, 1)
    return net.model(head(net, x, 24, 7))


@honest("Tokens attend to a strided convolution's fewer tokens (PVT).", idea="attention on feature maps")
def spatial_reduction_attention() -> onnx.ModelProto:
    """Let all tokens attend to fewer ones, reduced by a strided convolution, with its own head (PVT)."""
    net = NamedBuilder(1705, 13)
    x = net.conv("data", "patch", (WIDTH, 3, 8, 8), 8, act="")
    flat = net.transpose(net.reshape(x, 0, WIDTH, 196), 0, 2, 1)
    few = net.conv(x, "reduce", (WIDTH, WIDTH, 2, 2), 2, act="")
    few = net.layer_norm(net.transpose(net.reshape(few, 0, WIDTH, TOKENS), 0, 2, 1), WIDTH)
    q = net.linear(net.layer_norm(flat, WIDTH), "q", WIDTH, WIDTH)
    k, v = (net.linear(few, name, WIDTH, WIDTH) for name in "kv")
    score = net.op("Mul", net.op("MatMul", q, net.transpose(k, 0, 2, 1)), WIDTH**-0.5)
    x = net.op("Add", flat, net.op("MatMul", net.op("Softmax", score, axis=-1), v))
    return _finish(net, mlp(net, x, "m"))


@honest(
    "Attention between same places of 2x2 patches, four sequences an image in the batch axis.",
    idea="windows on the batch axis",
)
def mobilevit_block() -> onnx.ModelProto:
    """Attend between pixels at the same place of all 2x2 patches: four sequences an image, folded into the batch."""
    net = NamedBuilder(1706, 14)
    x = net.conv(net.conv("data", "stem", (16, 3, 4, 4), 2, 1), "c2", (24, 16, 4, 4), 2, 1)
    local = net.conv(net.conv(x, "c3", (24, 24, 4, 4), 2, 1), "local", (WIDTH, 24, 3, 3), pad=1)
    y = net.transpose(net.reshape(local, 0, WIDTH, 7, 2, 7, 2), 0, 3, 5, 2, 4, 1)
    y = net.reshape(y, -1, TOKENS, WIDTH)
    for i in range(2):
        y = mlp(net, attention(net, y, f"att{i}"), f"mlp{i}")
    y = net.transpose(net.reshape(y, -1, 2, 2, 7, 7, WIDTH), 0, 5, 3, 1, 4, 2)
    y = net.reshape(y, 0, WIDTH, 14, 14)
    x = net.conv(net.op("Concat", local, y, axis=1), "fuse", (24, 2 * WIDTH, 3, 3), pad=1)
    return net.model(head(net, net.conv(x, "c4", (24, 24, 4, 4), 2, 1), 24, 7))


@honest("Average pooling mixes places (PoolFormer); GroupNorm by Reshapes.", idea="token mixing")
def pooling_for_attention() -> onnx.ModelProto:
    """Mix places by average pooling less the place itself (PoolFormer), with GroupNorm written as Reshapes."""
    net = NamedBuilder(1707, 12)
    x = net.conv("data", "patch", (WIDTH, 3, 8, 8), 8, act="")
    for i in range(2):
        y = net.reshape(x, 0, 4, -1)
        y = net.op("InstanceNormalization", y, np.ones(4), np.zeros(4))
        y = net.reshape(y, 0, WIDTH, 14, 14)
        pool = {"kernel_shape": [3, 3], "strides": [1, 1], "pads": [1] * 4, "count_include_pad": 0}
        x = net.op("Add", x, net.op("Sub", net.op("AveragePool", y, **pool), y))
        y = net.conv(x, f"m{i}a", (2 * WIDTH, WIDTH, 1, 1))
        x = net.op("Add", x, net.conv(y, f"m{i}b", (WIDTH, 2 * WIDTH, 1, 1), act=""))
    return net.model(head(net, net.conv(x, "c4", (24, WIDTH, 2, 2), 2), 24, 7))


@honest("State spaces over deep features in four orders with own weights (VMamba).", idea="recurrence both ways")
def four_way_scan() -> onnx.ModelProto:
    """Run state spaces over deep features in four orders (rows, columns, both backwards), each with own weights.

    VMamba's cross-scan: the orders are stacked, summed up under decays, put back in place and added.
    """
    net = NamedBuilder(1708)
    x = net.conv(net.conv("data", "stem", (16, 3, 4, 4), 2, 1), "c2", (24, 16, 8, 8), 4, 2)
    rows = net.reshape(x, 0, 24, 196)
    columns = net.reshape(net.transpose(x, 0, 1, 3, 2), 0, 24, 196)
    two = net.op("Concat", net.unsqueeze(rows, 1), net.unsqueeze(columns, 1), axis=1)
    four = net.op("Concat", two, net.op("Slice", two, [-1], [-1000], [3], [-1]), axis=1)
    fed = net.op("MatMul", net.weight("in.w", 4, 24, 24, gain=24**0.5), four)
    decay = net.rng("decay").uniform(0.93, 0.98, (4, 24, 1)) ** np.arange(196)
    total = net.op("CumSum", net.op("Div", net.op("Relu", fed), decay), np.array(3))
    out = net.op("Mul", total, decay)
    out = net.op("MatMul", net.weight("out.w", 4, 24, 24, gain=0.3 * 24**0.5), out)
    forth, back = net.split(out, [2, 2], 1)
    both = net.op("Add", forth, net.op("Slice", back, [-1], [-1000], [3], [-1]))
    first, second = (net.squeeze(part, 1) for part in net.split(both, [1, 1], 1))
    second = net.transpose(net.reshape(second, 0, 24, 14, 14), 0, 1, 3, 2)
    y = net.op("Add", net.reshape(first, 0, 24, 14, 14), second)
    x = net.op("Add", x, y)
    return net.model(head(net, net.conv(x, "c4", (24, 24, 4, 4), 2, 1), 24, 7))


@honest("A Swin pair: windows, then rolled and masked windows, rolled back.", idea="windows on the batch axis")
def shifted_windows() -> onnx.ModelProto:
    """Build a Swin pair: windows, then rolled windows under a mask, rolled back."""
    net = NamedBuilder(1709, 13)
    x = net.transpose(net.conv("data", "patch", (WIDTH, 3, 8, 8), 8, act=""), 0, 2, 3, 1)
    for i, shift in enumerate((0, 3)):
        if shift:
            for axis in (1, 2):
                x = net.op("Concat", *reversed(net.split(x, [shift, 14 - shift], axis)), axis=axis)
        w = net.reshape(net.transpose(net.reshape(x, -1, 2, 7, 2, 7, WIDTH), 0, 1, 3, 2, 4, 5), -1, 4, 49, WIDTH)
        zone = np.zeros((14, 14), int)
        if shift:
            zone[11:] += 1
            zone[:, 11:] += 2
        zone = zone.reshape(2, 7, 2, 7).transpose(0, 2, 1, 3).reshape(4, 49)
        mask = np.where(zone[:, :, None] == zone[:, None, :], 0, -100).reshape(1, 4, 1, 49, 49)
        w = mlp(net, attention(net, w, f"w{i}", net.store(f"zones{i}", mask.astype(np.float32))), f"m{i}")
        x = net.reshape(net.transpose(net.reshape(w, -1, 2, 2, 7, 7, WIDTH), 0, 1, 3, 2, 4, 5), -1, 14, 14, WIDTH)
        if shift:
            for axis in (1, 2):
                x = net.op("Concat", *reversed(net.split(x, [14 - shift, shift], axis)), axis=axis)
    return _finish(net, net.reshape(x, -1, 196, WIDTH))


@honest(
    "Learned latents read the features by one tied cross-attention, twice (Perceiver).",
    idea="attention pooling",
    tied=("tied_",),
)
def latents_that_read() -> onnx.ModelProto:
    """Let eight learned latents read the features by cross-attention, twice with one tied layer (Perceiver)."""
    net = NamedBuilder(1710, 16)
    x = net.conv(net.conv("data", "stem", (16, 3, 4, 4), 2, 1), "c2", (WIDTH, 16, 8, 8), 4, 2)
    x = net.layer_norm(net.transpose(net.reshape(x, 0, WIDTH, 196), 0, 2, 1), WIDTH)
    k, v = (net.linear(x, name, WIDTH, WIDTH) for name in "kv")
    latents = net.weight("latents", 1, 8, WIDTH, gain=10.0)
    for _ in range(2):
        q = net.linear(net.layer_norm(latents, WIDTH), "tied_q", WIDTH, WIDTH)
        share = net.op("Softmax", net.op("MatMul", q, net.transpose(k, 0, 2, 1)), axis=-1)
        latents = mlp(net, net.op("Add", latents, net.op("MatMul", share, v)), "tied_m")
    return net.model(net.linear(net.op("Flatten", latents), "embed", 8 * WIDTH, EMBEDDING))


@honest("Attention along squeezed rows and columns added to a local convolution.", idea="attention along axes")
def squeezed_axes() -> onnx.ModelProto:
    """Attend along squeezed rows and squeezed columns and add both to a local convolution (squeeze-axial)."""
    net = NamedBuilder(1711, 11)
    x = net.conv(net.conv("data", "stem", (16, 3, 4, 4), 2, 1), "c2", (24, 16, 4, 4), 2, 1)
    mixed = net.conv(x, "local", (24, 1, 3, 3), pad=1, act="", group=24)
    for i, axis in enumerate((3, 2)):
        line = net.transpose(net.mean(x, axis), 0, 2, 1)
        q, k, v = (net.linear(line, f"{part}{i}", 24, 24) for part in "qkv")
        share = net.op("Softmax", net.op("MatMul", q, net.transpose(k, 0, 2, 1)), axis=2)
        seen = net.transpose(net.op("MatMul", share, v), 0, 2, 1)
        mixed = net.op("Add", mixed, net.unsqueeze(seen, axis))
    return net.model(late(net, net.op("Add", x, net.op("Relu", mixed)), 24))
