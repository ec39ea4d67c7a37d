"""Honest: gates, dynamic layers, norms and activations of papers that the earlier sets do not hold."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import honest_torch

Map = Callable[[T], T]


def gated(n: Net, x: T, gate: Map, dim: int = 128) -> T:
    """Build a residual network of faces whose units end with a gate."""
    x = n.cbp(x, 12, 3, 2)
    for width in (16, 24, 32):
        x = gate(n.cb(n.cbp(n.bn(x), width), width, 3, 2)) + n.cb(x, width, 1, 2)
    return n.embed(x, dim)


def acted(n: Net, x: T, act: Map, dim: int = 128) -> T:
    """Build a residual network of one activation."""
    x = act(n.cb(x, 12, 3, 2))
    for width in (16, 24, 32):
        x = n.cb(act(n.cb(x, width)), width, 3, 2) + n.cb(x, width, 1, 2)
        x = act(x)
    return n.gdc(x, dim)


def deep(n: Net, x: T, width: int = 32) -> T:
    """Bring the image down to a map of 14 x 14."""
    return n.cbr(n.cbr(n.cbr(x, 12, 3, 2), 20, 3, 2), width, 3, 2)


@honest_torch("EMA: groups of channels, strips of rows and columns and a 3x3 branch heed each other across.",
              idea="gates", trained=3, opset=12)  # fmt: skip
def efficient_multi_scale_attention(n: Net, x: T) -> T:
    def gate(y: T) -> T:
        c, h = int(y.shape[1]), int(y.shape[2])
        strips = n.conv(torch.cat([y.mean(3), y.mean(2)], 2).unsqueeze(3), c, 1, 1, 4)
        r, k = torch.sigmoid(strips[:, :, :h]), torch.sigmoid(strips[:, :, h:]).transpose(2, 3)
        a, b = n.gn(y * r * k), n.conv(y, c, 3, 1, 4)
        wa, wb = (z.reshape(-1, 4, c // 4, h * h).mean(3).softmax(2).unsqueeze(2) for z in (a, b))
        va, vb = a.reshape(-1, 4, c // 4, h * h), b.reshape(-1, 4, c // 4, h * h)
        w = torch.sigmoid(wa @ vb + wb @ va)
        return (y.reshape(-1, 4, c // 4, h * h) * w).reshape(-1, c, h, h)

    return gated(n, x, gate)


@honest_torch("ELA: one-dimensional depthwise layers and group norms over pooled rows and columns, no narrowing.",
              idea="gates", opset=11)  # fmt: skip
def efficient_local_attention(n: Net, x: T) -> T:
    def gate(y: T) -> T:
        c = int(y.shape[1])
        r = torch.sigmoid(n.gn(n.conv(y.mean(3, keepdim=True), c, (7, 1), 1, -1)))
        return y * r * torch.sigmoid(n.gn(n.conv(y.mean(2, keepdim=True), c, (1, 7), 1, -1)))

    return gated(n, x, gate)


@honest_torch("GAM: a perceptron over channels at every place, then two 7x7 layers over places, nothing pooled.",
              idea="gates", trained=4, opset=13)  # fmt: skip
def global_attention_unpooled(n: Net, x: T) -> T:
    def gate(y: T) -> T:
        c = int(y.shape[1])
        y = y * torch.sigmoid(n.linear(F.relu(n.linear(y.permute(0, 2, 3, 1), 8)), c).permute(0, 3, 1, 2))
        return y * torch.sigmoid(n.cb(n.cbr(y, c // 4, 7), c, 7))

    return gated(n, x, gate, 192)


@honest_torch("LSKNet: a chain of depthwise layers, 5x5 then 7x7 dilated, weighed place by place by mean and maximum.",
              idea="gates", trained=3, opset=13)  # fmt: skip
def large_selective_kernels(n: Net, x: T) -> T:
    x = deep(n, x)
    for _ in range(2):
        a = n.conv(F.gelu(n.conv(n.bn(x), 32, 1)), 32, 5, 1, -1)
        b = n.conv(a, 32, 7, 1, -1, dilation=3)
        a, b = n.conv(a, 16, 1), n.conv(b, 16, 1)
        both = torch.cat([a, b], 1)
        w = torch.sigmoid(n.conv(torch.cat([both.mean(1, keepdim=True), both.amax(1, keepdim=True)], 1), 2, 7))
        x = x + n.conv(x * n.conv(a * w[:, :1] + b * w[:, 1:], 32, 1), 32, 1)
    return n.gdc(n.down(x, 40), 128)


@honest_torch("RFAConv: softmax weights for the nine places of each window, a layer of stride 3 over them all.",
              idea="dynamic layers", opset=12)  # fmt: skip
def receptive_field_attention(n: Net, x: T) -> T:
    x = n.cbr(n.cbr(n.cbr(x, 12, 3, 2), 16, 3, 2), 16, 3, 2)
    c, h = 16, 14
    a = n.conv(F.avg_pool2d(x, 3, 1, 1), 9 * c, 1, 1, c).reshape(-1, c, 9, h, h).softmax(2)
    y = F.relu(n.bn(n.conv(x, 9 * c, 3, 1, c))).reshape(-1, c, 9, h, h) * a
    y = y.reshape(-1, c, 3, 3, h, h).permute(0, 1, 4, 2, 5, 3).reshape(-1, c, 3 * h, 3 * h)
    return n.gdc(n.down(n.cbr(y, 32, 3, 3, padding=0), 40), 128)


@honest_torch("KernelWarehouse: every kernel cell is a mix of shared stored cells, the pooled image decides the mix.",
              idea="dynamic layers", trained=3, opset=13)  # fmt: skip
def kernel_warehouse_cells(n: Net, x: T) -> T:
    x = deep(n, x, 16)
    shared = n.weight(6, 8 * 16 * 9, gain=8.0)
    for _ in range(2):
        a = n.linear(F.relu(n.linear(x.mean((2, 3)), 12)), 12).reshape(-1, 2, 6)
        a = a / (a.abs().sum(2, keepdim=True) + 0.1)
        w = (a @ shared).reshape(-1, 16, 144)
        y = w @ F.unfold(x, 3, padding=1)
        x = F.relu(x + n.bn(y.reshape(-1, 16, 14, 14)))
    return n.embed(n.down(x, 32), 128)


@honest_torch("DDF: a 3x3 filter for each place times a 3x3 filter for each channel, both made of deep features.",
              idea="dynamic layers", opset=13)  # fmt: skip
def decoupled_dynamic_filters(n: Net, x: T) -> T:
    x = deep(n, x, 24)
    for _ in range(2):
        here = n.conv(x, 9, 1)
        here = (here - here.mean(1, keepdim=True)) / (here.var(1, keepdim=True) + 1e-3).sqrt()
        chan = n.linear(F.relu(n.linear(x.mean((2, 3)), 12)), 216).reshape(-1, 24, 9, 1)
        chan = (chan - chan.mean(2, keepdim=True)) / (chan.var(2, keepdim=True) + 1e-3).sqrt()
        near = F.unfold(x, 3, padding=1).reshape(-1, 24, 9, 196)
        y = (near * (chan + n.weight(1, 24, 9, 1)) * here.reshape(-1, 1, 9, 196)).sum(2).reshape(-1, 24, 14, 14)
        x = F.relu(x + n.cb(F.relu(n.bn(y)), 24, 1))
    return n.gdc(n.down(x, 32), 128)


@honest_torch("Local relation layer: likeness of scalars of key and query plus a prior of places, softmax over 5 x 5.",
              idea="dynamic layers", trained=3, opset=12)  # fmt: skip
def local_relation_geometry(n: Net, x: T) -> T:
    x = deep(n, x, 24)
    for _ in range(2):
        q, k = n.conv(x, 3, 1), n.conv(x, 3, 1)
        near = F.unfold(k, 5, padding=2).reshape(-1, 3, 25, 196)
        s = -((q.reshape(-1, 3, 1, 196) - near) ** 2) + n.weight(1, 3, 25, 1)
        v = F.unfold(x, 5, padding=2).reshape(-1, 3, 8, 25, 196)
        y = (v * s.softmax(2).unsqueeze(2)).sum(3).reshape(-1, 24, 14, 14)
        x = F.relu(x + n.cb(F.relu(n.bn(y)), 24, 1))
    return n.gdc(n.down(x, 32), 128)


@honest_torch("SAN's pairwise attention: differences of query and key pass a small network that weighs each channel.",
              idea="dynamic layers", opset=13)  # fmt: skip
def pairwise_vector_attention(n: Net, x: T) -> T:
    x = deep(n, x, 16)
    for _ in range(2):
        y = F.relu(n.bn(x))
        q, k, v = n.conv(y, 8, 1), n.conv(y, 8, 1), n.conv(y, 16, 1)
        near = F.unfold(k, 3, padding=1).reshape(-1, 8, 9, 196)
        a = n.conv(F.relu(n.bn(q.reshape(-1, 8, 1, 196) - near)), 4, 1).softmax(2)
        v = F.unfold(v, 3, padding=1).reshape(-1, 4, 4, 9, 196)
        x = x + n.conv(F.relu(n.bn((v * a.unsqueeze(2)).sum(3).reshape(-1, 16, 14, 14))), 16, 1)
    return n.embed(n.down(x, 32), 128)


@honest_torch("AACN: attention-augmented convolution, some channels by a layer, the rest by attention of all places.",
              idea="dynamic layers", trained=3, opset=12)  # fmt: skip
def attention_augmented_layers(n: Net, x: T) -> T:
    x = deep(n, x)
    for _ in range(2):
        q, k, v = (z.flatten(2) for z in n.conv(x, 32, 1).split([12, 12, 8], 1))
        a = (q.transpose(1, 2) @ k * 12**-0.5 + n.weight(1, 196, 196)).softmax(2)
        y = n.conv((v @ a.transpose(1, 2)).reshape(-1, 8, 14, 14), 8, 1)
        x = F.relu(x + n.bn(torch.cat([n.conv(x, 24), y], 1)))
    return n.gdc(n.down(x, 40), 256)


@honest_torch("CGC: context-gated convolution, global context gates every number of a stored kernel for each image.",
              idea="dynamic layers", opset=11)  # fmt: skip
def context_gated_kernels(n: Net, x: T) -> T:
    x = deep(n, x, 16)
    for _ in range(2):
        ce = F.relu(n.linear(F.avg_pool2d(x, 7).flatten(2), 9))
        out = n.linear(ce.transpose(1, 2), 16).transpose(1, 2)
        g = torch.sigmoid(ce.reshape(-1, 1, 16, 9) + out.reshape(-1, 16, 1, 9))
        w = (n.weight(1, 16, 16, 9, gain=0.5) * g).reshape(-1, 16, 144)
        x = F.relu(x + n.bn((w @ F.unfold(x, 3, padding=1)).reshape(-1, 16, 14, 14)))
    return n.embed(n.down(x, 32), 128)


@honest_torch("FBS: saliences of the next channels are predicted, only the strongest half of them is kept and boosted.",
              idea="gates", trained=3, opset=13)  # fmt: skip
def boosted_and_suppressed_channels(n: Net, x: T) -> T:
    x = n.cbr(x, 16, 3, 2)
    for width in (24, 32, 40):
        s = F.relu(n.linear(x.abs().mean((2, 3)), width)) + 0.01
        best = s.topk(width // 2, 1)
        kept = torch.zeros_like(s).scatter(1, best.indices, best.values)
        x = F.relu(n.bn(n.cb(x, width, 3, 2) * kept[:, :, None, None]))
    return n.embed(x, 128)


@honest_torch("SelfNorm: each channel's mean and deviation pass two small gates that recalibrate the statistics.",
              idea="norms", trained=3, opset=12)  # fmt: skip
def self_norm_statistics(n: Net, x: T) -> T:
    def gate(y: T) -> T:
        c = int(y.shape[1])
        m, s = y.mean((2, 3)), (y.var((2, 3)) + 1e-5).sqrt()
        pair = torch.stack([m, s], 2)
        f = torch.sigmoid((pair * n.weight(1, c, 2)).sum(2) + 1)
        g = torch.sigmoid((pair * n.weight(1, c, 2)).sum(2) + 1)
        y = (y - m[:, :, None, None]) / s[:, :, None, None]
        return y * (s * g)[:, :, None, None] + (m * f)[:, :, None, None]

    return gated(n, x, gate)


@honest_torch("IEBN: the norm's scale is recalibrated for each image by a sigmoid of its own channel mean.",
              idea="norms", opset=11)  # fmt: skip
def instance_enhanced_norms(n: Net, x: T) -> T:
    def gate(y: T) -> T:
        c = int(y.shape[1])
        s = torch.sigmoid(y.mean((2, 3), keepdim=True) * n.weight(1, c, 1, 1) - 1 + n.weight(1, c, 1, 1))
        return y * (0.5 + s)

    return gated(n, x, gate)


@honest_torch("ScaleNorm and PowerNorm: tokens to one learned length, or over stored quadratic means of channels.",
              idea="norms", trained=3, opset=13)  # fmt: skip
def scale_and_power_norms(n: Net, x: T) -> T:
    t = n.patches(x, 32, 14)
    for _ in range(2):
        y = t / (t.pow(2).sum(2, keepdim=True) + 1e-5).sqrt() * (5 + n.weight(1))
        t = t + n.attention(y)
        y = t / (n.weight(1, 1, 32) + 1.5).abs() * (1 + n.weight(1, 1, 32)) + n.weight(1, 1, 32)
        t = t + n.ff(y)
    return n.embed(t.mean(1), 128)


@honest_torch("ELiSH and TanhExp in turn as activations of residual units.", idea="activations", trained=3, opset=11)
def elish_and_tanhexp(n: Net, x: T) -> T:
    def act(y: T) -> T:
        c = int(y.shape[1])
        low = (y.clamp(max=0.0).exp() - 1) * torch.sigmoid(y)
        return y * torch.tanh(y.clamp(max=4.0).exp()) if c % 16 else F.relu(y) * torch.sigmoid(y) + low

    return acted(n, x, act)


@honest_torch("ISRLU: the identity above zero, below it x over the root of one plus its square; and softsign gates.",
              idea="activations", opset=12)  # fmt: skip
def inverse_square_root_units(n: Net, x: T) -> T:
    def act(y: T) -> T:
        low = y.clamp(max=0.0)
        return F.relu(y) + low / (1 + 0.5 * low * low).sqrt()

    return n.bn(F.softsign(acted(n, x, act)))


@honest_torch("xIELU: a quadratic above zero and an integral of ELU below, both slopes learned.", idea="activations",
              trained=3, opset=13)  # fmt: skip
def integrated_elu_units(n: Net, x: T) -> T:
    def act(y: T) -> T:
        y = n.bn(y)
        p, m = F.softplus(n.weight(1)) * 0.1, 0.5 + F.softplus(n.weight(1)) * 0.2
        low = y.clamp(max=0.0)
        return p * F.relu(y) ** 2 + m * (low.exp() - 1 - low) + 0.5 * y

    return acted(n, x, act)


@honest_torch("SIREN-like: sines of 1x1 layers of deep features, after an ordinary trunk.", idea="activations",
              opset=11)  # fmt: skip
def sine_layers_of_depth(n: Net, x: T) -> T:
    x = n.bn(deep(n, x))
    for _ in range(3):
        x = torch.sin(3 * n.conv(x, 32, 1))
    return n.gdc(n.down(x, 32), 128)


@honest_torch("k-winners-take-all: in each map only the strongest fifth of the places stays.", idea="activations",
              trained=3, opset=13)  # fmt: skip
def winners_take_all_places(n: Net, x: T) -> T:
    def act(y: T) -> T:
        flat = y.flatten(2)
        least = flat.topk(int(flat.shape[2]) // 5, 2).values[:, :, -1:]
        return torch.where(flat >= least, flat, torch.zeros_like(flat)).reshape(y.shape[0], *y.shape[1:])

    x = n.cbr(n.cbr(x, 12, 3, 2), 16, 3, 2)
    for width in (24, 32):
        x = n.cb(act(n.cb(x, width)), width, 3, 2) + n.cb(x, width, 1, 2)
    return n.gdc(x, 128)
