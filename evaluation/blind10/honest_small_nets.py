"""Honest: light and hybrid backbones of published papers that the earlier sets do not hold, each in small."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, tokens, unwindow, window
from evaluation.blind4.register import honest_torch


def read(q: T, k: T, v: T) -> T:
    """Attend with one head: tokens [N, L, C]."""
    return (q @ k.transpose(1, 2) * int(q.shape[2]) ** -0.5).softmax(-1) @ v


@honest_torch("EtinyNet: linear depthwise, pointwise with ReLU, a second depthwise layer, dense sums.",
              idea="light nets", trained=4, opset=11)  # fmt: skip
def etinynet_linear_depthwise(n: Net, x: T) -> T:
    x = n.cbr(x, 12, 3, 2)
    for width in (20, 28, 40):
        x = F.relu(n.cb(n.cbr(n.cb(x, int(x.shape[1]), 3, 2, -1), width, 1), width, 3, 1, -1))
        y = n.cb(n.cbr(n.cb(x, width, 3, 1, -1), width, 1), width, 3, 1, -1)
        x = F.relu(x + y)
    return n.gdc(x, 128)


@honest_torch("AsymmNet: the first pointwise layer makes a part of the channels, the others are the input's own.",
              idea="light nets", trained=3, opset=12)  # fmt: skip
def asymmnet_reused_channels(n: Net, x: T) -> T:
    x = F.hardswish(n.cb(x, 12, 3, 2))
    for width in (16, 24, 32):
        y = torch.cat([x, F.relu(n.cb(x, 2 * int(x.shape[1]), 1))], 1)
        y = n.se(F.relu(n.cb(y, int(y.shape[1]), 3, 2, -1)))
        x = n.cb(y, width, 1)
    return n.gdc(F.hardswish(n.cb(x, 64, 1)), 256)


@honest_torch("EMO: inverted residual mobile blocks, attention in windows inside an expanded depthwise block.",
              idea="hybrid nets", opset=13)  # fmt: skip
def emo_inverted_attention(n: Net, x: T) -> T:
    x = F.silu(n.cb(n.stem(x, 16), 24, 3, 2))
    y = n.bn(x)
    t = window(y, 7)
    q, k = n.linear(t, 48).chunk(2, 2)
    v = unwindow(read(q, k, F.silu(n.linear(t, 48))), 7, 14, 14)
    x = x + n.conv(v + F.silu(n.cb(v, 48, 3, 1, -1)), 24, 1)
    y = F.silu(n.conv(n.bn(x), 64, 1))
    return n.pooled(n.conv(F.silu(n.cb(y, 64, 5, 2, -1)), 40, 1), 128)


@honest_torch("TinyViT: MBConv stages, then windows with biases by offset and a depthwise layer between parts.",
              idea="hybrid nets", trained=3, opset=13)  # fmt: skip
def tinyvit_windows_with_bias(n: Net, x: T) -> T:
    x = F.gelu(n.cb(F.gelu(n.cb(x, 12, 3, 2)), 16, 3, 2))
    y = n.cb(F.gelu(n.cb(F.gelu(n.cb(x, 32, 1)), 32, 3, 1, -1)), 16, 1)
    x = F.gelu(n.cb(F.gelu(n.cb(F.gelu(x + y), 32, 1)), 32, 3, 2, -1))
    at = torch.stack(torch.meshgrid(torch.arange(7), torch.arange(7), indexing="ij")).flatten(1)
    gap = (at[:, :, None] - at[:, None]).abs()
    bias = n.weight(49, 2).t()[:, (gap[0] * 7 + gap[1]).flatten()].reshape(1, 2, 49, 49)
    t = window(x, 7)
    x = n.cb(unwindow(t + n.attention(n.ln(t), 2, bias), 7, 14, 14), 32, 3, 1, -1)
    t = tokens(x)
    return n.embed(n.ln(t + n.ff(n.ln(t))).mean(1), 192)


@honest_torch("Next-ViT: grouped convolutions called heads, then attention on averaged keys joined with them.",
              idea="hybrid nets", opset=13)  # fmt: skip
def nextvit_mixed_frequencies(n: Net, x: T) -> T:
    x = n.stem(x, 16)
    for width in (24, 32):
        x = n.cb(F.avg_pool2d(x, 2), width, 1)
        x = x + n.conv(n.cbr(x, width, 3, 1, width // 8), width, 1)
        x = x + n.conv(F.relu(n.conv(n.bn(x), 2 * width, 1)), width, 1)
    y = n.cb(x, 24, 1)
    t, k = tokens(y), tokens(n.bn(y))
    y = grid(t + n.linear(read(n.linear(t, 24), n.linear(k, 24), n.linear(k, 24)), 24), 7, 7)
    z = n.cb(y, 8, 1)
    x = torch.cat([y, z + n.conv(n.cbr(z, 8, 3, 1, 2), 8, 1)], 1)
    return n.gdc(x, 128)


@honest_torch("GENet for GPUs: full basic blocks early, bottlenecks in the middle, depthwise blocks last.",
              idea="light nets", trained=4, opset=11)  # fmt: skip
def gpu_efficient_mixed_blocks(n: Net, x: T) -> T:
    x = n.cbr(x, 12, 3, 2)
    x = F.relu(n.cb(n.cbr(x, 20, 3, 2), 20) + n.cb(x, 20, 1, 2))
    x = F.relu(n.cb(n.cbr(n.cbr(x, 12, 1), 12, 3, 2), 32, 1) + n.cb(x, 32, 1, 2))
    x = F.relu(n.cb(n.cbr(n.cbr(x, 96, 1), 96, 3, 2, -1), 40, 1) + n.cb(x, 40, 1, 2))
    return n.embed(n.cbr(x, 80, 1).mean((2, 3)), 256)


@honest_torch("DetNet: the last stages keep 14 x 14 and dilate, with a 1x1 layer as shortcut between stages.",
              idea="light nets", opset=12)  # fmt: skip
def detnet_dilated_bottlenecks(n: Net, x: T) -> T:
    x = n.res(n.down(n.stem(x, 16), 32))
    for first in (True, False, True, False):
        y = n.cb(n.cbr(n.cbr(x, 16, 1), 16, 3, dilation=2, padding=2), 32, 1)
        x = F.relu(y + (n.cb(x, 32, 1) if first else x))
    return n.embed(F.max_pool2d(x, 2), 128)


@honest_torch("ThunderNet: SNet with 5x5 depthwise layers, context of two levels and of the mean, a spatial gate.",
              idea="light nets", trained=3, opset=12)  # fmt: skip
def thundernet_context_enhanced(n: Net, x: T) -> T:
    x = F.max_pool2d(n.cbr(x, 12, 3, 2), 3, 2, 1)
    kept = []
    for width in (24, 40):
        a = n.cbr(n.cb(x, int(x.shape[1]), 5, 2, -1), width // 2, 1)
        b = n.cbr(n.cb(n.cbr(x, width // 2, 1), width // 2, 5, 2, -1), width // 2, 1)
        x = torch.stack([a, b], 2).flatten(1, 2)
        kept.append(x)
    wide = F.interpolate(n.conv(kept[1], 24, 1), scale_factor=2.0, mode="nearest")
    y = n.conv(kept[0], 24, 1) + wide + n.conv(kept[1].mean((2, 3), keepdim=True), 24, 1)
    y = y * torch.sigmoid(n.cb(y, 24, 1))
    return n.embed(F.avg_pool2d(y, 2), 128)


@honest_torch("EfficientViM: hidden states mixed among themselves, made and read by input-dependent weights.",
              idea="hybrid nets", opset=14)  # fmt: skip
def efficientvim_hidden_mixer(n: Net, x: T) -> T:
    x = n.down(n.stem(x, 16), 32)
    for _ in range(2):
        x = x + n.cb(x, 32, 3, 1, -1)
        t = n.ln(tokens(x))
        b, c, rate = n.linear(t, 24).chunk(3, 2)
        h = (b * rate.softmax(1)).transpose(1, 2) @ t
        gate, h = n.linear(h, 64).chunk(2, 2)
        h = n.linear(h * F.silu(gate), 32)
        x = x + grid(c @ h, 14, 14)
        x = x + n.conv(F.relu(n.conv(n.bn(x), 64, 1)), 32, 1)
    return n.gdc(n.down(x, 40), 128)


@honest_torch("Visformer: convolutions with BatchNorm in early stages, attention with BatchNorm in the last ones.",
              idea="hybrid nets", opset=13)  # fmt: skip
def visformer_batch_norms(n: Net, x: T) -> T:
    x = n.bn(n.conv(n.cbr(x, 12, 3, 2), 20, 4, 4, padding=0))
    for _ in range(2):
        x = x + n.conv(F.gelu(n.conv(F.gelu(n.conv(n.bn(x), 40, 1)), 40, 3, 1, 4)), 20, 1)
    x = n.bn(n.conv(x, 32, 2, 2, padding=0))
    for _ in range(2):
        q, k, v = (tokens(z) for z in n.conv(n.bn(x), 96, 1, bias=False).chunk(3, 1))
        x = x + n.conv(grid(read(q, k, v), 7, 7), 32, 1)
        x = x + n.conv(F.gelu(n.conv(n.bn(x), 64, 1)), 32, 1)
    return n.pooled(n.bn(x), 128)


@honest_torch("CloFormer: queries times keys behind depthwise layers gate local values, pooled attention beside.",
              idea="hybrid nets", trained=3, opset=13)  # fmt: skip
def cloformer_context_gates(n: Net, x: T) -> T:
    x = n.down(n.stem(x, 16), 32)
    for _ in range(2):
        y = n.bn(x)
        q, k, v = n.conv(y, 72, 1).chunk(3, 1)
        q, k, v = (n.conv(z, 24, 5, 1, -1) for z in (q, k, v))
        gate = torch.tanh(n.conv(F.silu(n.conv(q * k, 24, 1)), 24, 1) * 24**-0.5)
        low = tokens(F.avg_pool2d(y, 2))
        wide = read(n.linear(tokens(y), 8), n.linear(low, 8), n.linear(low, 8))
        x = x + n.conv(torch.cat([gate * v, grid(wide, 14, 14)], 1), 32, 1)
        x = x + n.conv(F.gelu(n.conv(n.bn(x), 64, 1)), 32, 1)
    return n.gdc(n.down(x, 40), 128)


@honest_torch("XiNet: layers compress, convolve and gate; a pooled skip of the first features is summed everywhere.",
              idea="light nets", trained=3, opset=11)  # fmt: skip
def xinet_broadcast_skip(n: Net, x: T) -> T:
    first = x = F.relu6(n.cb(x, 16, 7, 2))
    for width, size in ((24, 2), (32, 4), (40, 8)):
        y = n.conv(x, width // 4, 1, bias=False)
        y = F.silu(n.cb(F.max_pool2d(y, 2), width, 3)) + n.conv(F.avg_pool2d(first, size), width, 1)
        x = n.bn(y * torch.sigmoid(n.conv(F.relu(n.conv(y, 8, 1)), width, 3)))
    return n.embed(x, 128)


@honest_torch("LightViT: a few global tokens gather from local windows and give back, gates over channels and places.",
              idea="hybrid nets", opset=13)  # fmt: skip
def lightvit_global_tokens(n: Net, x: T) -> T:
    x = n.down(n.stem(x, 16), 32)
    g = n.weight(1, 8, 32)
    for _ in range(2):
        t = n.ln(tokens(x))
        q, k, v = n.linear(t, 96).chunk(3, 2)
        local = unwindow(read(window(grid(q, 14, 14), 7), window(grid(k, 14, 14), 7), window(grid(v, 14, 14), 7)),
                         7, 14, 14)  # fmt: skip
        g = g + read(n.linear(g, 32), k, v)
        back = read(q, n.linear(g, 32), n.linear(g, 32))
        x = x + grid(n.linear(tokens(local) + back, 32), 14, 14)
        y = F.gelu(n.linear(n.ln(tokens(x)), 64))
        y = y * torch.sigmoid(n.linear(F.gelu(n.linear(y.mean(1, keepdim=True), 16)), 64))
        x = x + grid(n.linear(y, 32), 14, 14)
    return n.gdc(n.down(x, 32), 128)
