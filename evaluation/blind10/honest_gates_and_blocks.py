"""Honest: gates and convolution blocks of published papers that the earlier sets do not hold, each in small."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind4.register import honest_torch


def gated_resnet(n: Net, x: T, gate: object, dim: int = 128) -> T:
    """Build a residual network of faces whose units end with a gate."""
    assert callable(gate)
    x = n.cbp(x, 12, 3, 2)
    for width in (16, 24, 32):
        x = gate(n.cb(n.cbp(n.bn(x), width), width, 3, 2)) + n.cb(x, width, 1, 2)
    return n.embed(x, dim)


@honest_torch("scSE: gates over channels and gates over places beside each other, the larger product is kept.",
              idea="gates", trained=4, opset=11)  # fmt: skip
def concurrent_channel_and_place(n: Net, x: T) -> T:
    return gated_resnet(n, x, lambda y: torch.max(n.se(y), y * torch.sigmoid(n.conv(y, 1, 1))))


@honest_torch("GCT: the length of each channel, normalised among channels, gates by one plus a hyperbolic tangent.",
              idea="gates", trained=3, opset=12)  # fmt: skip
def gated_channel_lengths(n: Net, x: T) -> T:
    def gate(y: T) -> T:
        c = int(y.shape[1])
        s = (y.pow(2).sum((2, 3), keepdim=True) + 1e-5).sqrt() * (1 + n.weight(1, c, 1, 1))
        s = s / (s.pow(2).mean(1, keepdim=True) + 1e-5).sqrt()
        return y * (1 + torch.tanh(s * n.weight(1, c, 1, 1) + n.weight(1, c, 1, 1)))

    return gated_resnet(n, x, gate, 256)


@honest_torch("LCT: means of channels standardised in groups, a scale and a shift of each, a sigmoid.",
              idea="gates", opset=11)  # fmt: skip
def linear_context_transform(n: Net, x: T) -> T:
    def gate(y: T) -> T:
        c = int(y.shape[1])
        z = y.mean((2, 3)).reshape(-1, 4, c // 4)
        z = z - z.mean(2, keepdim=True)
        z = (z / (z.pow(2).mean(2, keepdim=True) + 1e-5).sqrt()).reshape(-1, c)
        return y * torch.sigmoid(z * n.weight(1, c) + n.weight(1, c))[:, :, None, None]

    return gated_resnet(n, x, gate)


@honest_torch("NAM: the share of each channel's stored batch-norm scale weighs its own normalised value in the gate.",
              idea="gates", opset=13)  # fmt: skip
def norm_scales_as_gate(n: Net, x: T) -> T:
    def gate(y: T) -> T:
        c = int(y.shape[1])
        scale = F.softplus(n.weight(1, c, 1, 1))
        return y * torch.sigmoid(n.bn(y) * scale / scale.sum())

    return gated_resnet(n, x, gate)


@honest_torch("ULSAM: each group of channels has a map of attention of its own, softmax over the places.",
              idea="gates", opset=12)  # fmt: skip
def subspace_attention_maps(n: Net, x: T) -> T:
    x = n.inverted(n.inverted(n.cbp(x, 12, 3, 2), 16, 2), 32, 2)
    made = []
    for part in x.chunk(4, 1):
        a = n.conv(F.max_pool2d(n.conv(part, 8, 1, 1, -1), 3, 1, 1), 1, 1).flatten(2).softmax(2)
        made.append(part + part * (196 * a).reshape(-1, 1, 14, 14))
    return n.gdc(n.inverted(torch.cat(made, 1), 40, 2), 128)


@honest_torch("RFB: branches of kernels 1, 3 and 5 with matching dilations over deep features, a scaled shortcut.",
              idea="blocks", trained=3, opset=11)  # fmt: skip
def receptive_field_block(n: Net, x: T) -> T:
    x = n.down(n.stem(x, 16), 32)
    a = n.cb(n.cbr(x, 8, 1), 8)
    b = n.cb(n.cbr(n.cbr(x, 8, 1), 12), 12, 3, dilation=3, padding=3)
    c = n.cb(n.cbr(n.cbr(n.cbr(x, 8, 1), 10), 12), 12, 3, dilation=5, padding=5)
    x = F.relu(0.3 * n.cb(torch.cat([a, b, c], 1), 32, 1) + n.cb(x, 32, 1))
    return n.gdc(n.down(x, 40), 128)


@honest_torch("Disentangled non-local: whitened pairs of deep places, and a term of each place by itself.",
              idea="blocks", trained=3, opset=13)  # fmt: skip
def disentangled_non_local(n: Net, x: T) -> T:
    x = n.down(n.stem(x, 16), 32)
    q, k, v = (tokens(n.conv(x, 16, 1)) for _ in range(3))
    q, k = q - q.mean(1, keepdim=True), k - k.mean(1, keepdim=True)
    pair = (q @ k.transpose(1, 2) * 0.25).softmax(2)
    own = n.conv(x, 1, 1).flatten(2).softmax(2)
    x = x + n.cb(grid((pair + own) @ v, 14, 14), 32, 1)
    return n.gdc(n.down(n.res(x), 40), 128)


@honest_torch("PSConv: in one layer the groups of channels have dilations 1, 2 and 4 in turn.",
              idea="blocks", opset=12)  # fmt: skip
def poly_scale_convolution(n: Net, x: T) -> T:
    x = n.cbr(n.cbr(x, 12, 3, 2), 24, 3, 2)
    for _ in range(2):
        made = [n.conv(x, 8, 3, dilation=d, padding=d, bias=False) for d in (1, 2, 4)]
        x = F.relu(x + n.bn(torch.cat(made, 1)))
    return n.gdc(n.cbr(n.cbr(x, 32, 3, 2), 40, 3, 2), 128)


@honest_torch("Padé activation units: a cubic over one plus the modulus of a quadratic, a set for each layer.",
              idea="blocks", trained=4, opset=13)  # fmt: skip
def pade_activation_units(n: Net, x: T) -> T:
    def pade(y: T) -> T:
        a, b = n.weight(4, 1, gain=0.2), n.weight(2, 1, gain=0.2)
        above = a[0] + (0.6 + a[1]) * y + (0.3 + a[2]) * y * y + 0.1 * a[3] * y * y * y
        return above / (1 + (b[0] * y + (0.2 + b[1].abs()) * y * y).abs())

    x = pade(n.cb(x, 12, 3, 2))
    for width in (16, 24, 32):
        x = pade(n.cb(x, width, 3, 2))
        x = x + pade(n.cb(x, width))
    return n.embed(x, 128)


@honest_torch("Snake activations: x plus the squared sine of a learned rate of it, units of depth two.",
              idea="blocks", opset=11)  # fmt: skip
def snake_periodic_units(n: Net, x: T) -> T:
    def snake(y: T) -> T:
        a = 1 + n.weight(1, int(y.shape[1]), 1, 1)
        return y + torch.sin(a * y).pow(2) / (a.abs() + 0.1)

    x = snake(n.cb(x, 12, 3, 2))
    for width in (16, 24, 32):
        x = n.cb(snake(n.cb(x, width)), width, 3, 2) + n.cb(x, width, 1, 2)
    return n.gdc(snake(x), 128)
