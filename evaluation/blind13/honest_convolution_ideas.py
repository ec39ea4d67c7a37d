"""Honest: convolutional trunks of papers that the earlier sets do not hold."""

from __future__ import annotations

from functools import reduce

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import honest_torch


def deep(n: Net, x: T, width: int = 32) -> T:
    """Bring the image down to a map of 14 x 14."""
    return n.down(n.stem(x, 24), width)


def up(x: T) -> T:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


@honest_torch("RecNeXt: recursive decomposition, depthwise strides down twice, sums on the way up with small kernels.",
              idea="convolution papers", trained=3, opset=13)  # fmt: skip
def recursive_multi_frequency(n: Net, x: T) -> T:
    y = n.stem(x, 32)
    for _ in range(2):
        a = n.conv(y, 32, 5, 2, -1)
        b = n.conv(a, 32, 5, 2, -1)
        z = n.conv(a + up(n.conv(b, 32, 5, 1, -1)), 32, 5, 1, -1)
        y = y + n.cb(F.gelu(n.cb(n.conv(y + up(z), 32, 5, 1, -1), 64, 1)), 32, 1)
    return n.gdc(n.down(n.down(y, 32), 40), 128)


@honest_torch("Shift-wise operator: a large kernel as groups of 3x3 answers of deep features, moved by stored steps.",
              idea="convolution papers", opset=12)  # fmt: skip
def shift_wise_large_kernels(n: Net, x: T) -> T:
    y = deep(n, x)
    for axis in (2, 3):
        z = n.conv(y, 96, 3, 1, 32)
        parts = z.reshape(-1, 32, 3, 14, 14).unbind(2)
        pads = ((0, 0, 3, 0), (0, 0, 0, 3)) if axis == 2 else ((3, 0, 0, 0), (0, 3, 0, 0))
        first = F.pad(parts[0], pads[0])[:, :, :14, :14]
        last = F.pad(parts[2], pads[1])[:, :, -14:, -14:]
        y = F.gelu(y + n.bn(first + parts[1] + last))
        y = y + n.cb(n.cbr(y, 48, 1), 32, 1)
    return n.gdc(n.down(y, 40), 128)


@honest_torch("Pi-nets: polynomials by products of layers, no activation anywhere, norms between.",
              idea="convolution papers", trained=3, opset=11)  # fmt: skip
def polynomial_without_activations(n: Net, x: T) -> T:
    y = n.cb(x, 16, 3, 2)
    for width in (20, 28, 36):
        z = n.cb(n.cb(y, width), width, 3, 2)
        y = n.bn(z + 0.5 * z * n.cb(y, width, 1, 2) + n.cb(y, width, 1, 2))
    return n.gdc(y, 128)


@honest_torch("CliqueNet: four layers of a block, every one is first made by those before it and then by all others.",
              idea="convolution papers", opset=11)  # fmt: skip
def clique_of_layers(n: Net, x: T) -> T:
    y, ends = n.stem(x, 24), []
    for _ in range(2):
        made: list[T] = []
        for i in range(3):
            made.append(n.cbr(torch.cat([y, *made[:i]], 1), 12))
        for i in range(3):
            others = torch.cat([made[j] for j in range(3) if j != i], 1)
            made[i] = n.cbr(others, 12)
        clique = torch.cat(made, 1)
        ends.append(torch.cat([y, clique], 1).mean((2, 3)))
        y = F.avg_pool2d(n.cbr(clique, 32, 1), 2)
    return n.bn(n.linear(torch.cat([*ends, y.flatten(1)], 1), 128))


@honest_torch("ChannelNets: layers that slide over the channel axis in place of full 1x1 layers.",
              idea="convolution papers", trained=3, opset=14)  # fmt: skip
def channel_wise_sliding(n: Net, x: T) -> T:
    y = n.stem(x, 32)
    for side in (14, 7):
        y = F.relu(n.cb(y, 32, 3, 2, -1)).reshape(-1, 1, 32, side * side)
        y = n.conv(F.relu(n.conv(y, 4, (9, 1))), 1, (9, 1)).reshape(-1, 32, side, side)
        y = n.cbr(y, 32, 1, 1, 4)
    return n.embed(y, 128)


@honest_torch("CDCN of face anti-spoofing: a layer less a share of its answer to the middle alone.",
              idea="convolution papers", opset=13)  # fmt: skip
def central_difference_layers(n: Net, x: T) -> T:
    def centred(y: T, width: int) -> T:
        w = n.weight(width, int(y.shape[1]), 3, 3, gain=0.6)
        return F.relu(n.bn(F.conv2d(y, w, padding=1) - 0.7 * F.conv2d(y, w.sum((2, 3), keepdim=True))))

    y = n.cbr(x, 12, 3, 2)
    for width in (20, 28, 36):
        y = F.max_pool2d(centred(centred(y, width), width), 3, 2, 1)
    return n.gdc(y, 128)


@honest_torch("Harmonic networks: nine stored cosines of 3x3 on each deep channel, norms, and a layer that mixes them.",
              idea="convolution papers", opset=12)  # fmt: skip
def harmonic_blocks_of_depth(n: Net, x: T) -> T:
    c = torch.cos(torch.pi / 3 * (torch.arange(3.0)[None] + 0.5) * torch.arange(3.0)[:, None])
    bank = torch.einsum("ik,jl->ijkl", c, c).reshape(9, 1, 3, 3) / 3
    y = n.stem(x, 16)
    for width in (24, 32):
        z = F.conv2d(y, bank.repeat(int(y.shape[1]), 1, 1, 1), padding=1, groups=int(y.shape[1]))
        y = F.max_pool2d(F.relu(n.cb(n.bn(z), width, 1)), 2)
    return n.gdc(y, 128)


@honest_torch("WaveMix: the four Haar bands of deep features pass one layer and come back by a transposed one.",
              idea="convolution papers", opset=15)  # fmt: skip
def wave_mix_units(n: Net, x: T) -> T:
    y = deep(n, x)
    h = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    bank = torch.einsum("ik,jl->ijkl", h, h).reshape(4, 1, 2, 2) / 2
    for _ in range(2):
        z = n.conv(y, 16, 1)
        z = F.conv2d(z, bank.repeat(16, 1, 1, 1), stride=2, groups=16)
        y = y + n.bn(n.deconv(n.conv(F.gelu(n.conv(z, 64, 1)), 32, 1), 32))
    return n.gdc(n.down(y, 40), 128)


@honest_torch("PP-HGNetV2: behind each activation one learned scale and one learned shift (LAB), chains joined.",
              idea="convolution papers", opset=13)  # fmt: skip
def learnable_affine_blocks(n: Net, x: T) -> T:
    def lab(y: T, width: int, k: int = 3, s: int = 1, g: int = 1) -> T:
        return n.cbr(y, width, k, s, g) * (1 + n.weight(1)) + 0.2 * n.weight(1)

    y = lab(x, 12, 3, 2)
    for width in (16, 24, 32):
        y = n.cb(y, int(y.shape[1]), 3, 2, -1)
        z, made = y, [y]
        for _ in range(3):
            z = lab(lab(z, 12, 1), 12, 5, 1, 12)
            made.append(z)
        y = lab(lab(torch.cat(made, 1), width // 2, 1), width, 1)
    return n.gdc(y, 256)


@honest_torch("HexaConv: kernels of hexagonal shape, two corners of each 3x3 kernel masked by stored ones and zeros.",
              idea="convolution papers", opset=11)  # fmt: skip
def hexagonal_masked_kernels(n: Net, x: T) -> T:
    mask = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0]])
    y = n.cbr(x, 16, 3, 2)
    for width in (20, 28, 36):
        w = n.weight(width, int(y.shape[1]), 3, 3, gain=0.7) * mask
        y = F.relu(n.bn(F.conv2d(y, w, stride=2, padding=1)))
        v = n.weight(width, width, 3, 3, gain=0.4) * mask
        y = F.relu(y + n.bn(F.conv2d(y, v, padding=1)))
    return n.gdc(y, 128)


@honest_torch("Volterra layers of second order: linear terms, and products of neighbours by two layers.",
              idea="convolution papers", trained=3, opset=13)  # fmt: skip
def volterra_second_order(n: Net, x: T) -> T:
    y = n.cbr(x, 12, 3, 2)
    for width in (20, 28, 36):
        square = n.conv(y, 2 * width, 3, 2)
        a, b = square.chunk(2, 1)
        y = F.relu(n.cb(y, width, 3, 2) + 0.5 * n.bn(a * b))
    return n.embed(y, 128)


@honest_torch("Kervolution: the inner product of patch and kernel is raised to a polynomial, (xw + c) squared.",
              idea="convolution papers", opset=14)  # fmt: skip
def kervolution_of_second_degree(n: Net, x: T) -> T:
    y = n.cbr(x, 16, 3, 2)
    for width in (20, 28, 36):
        y = F.relu(n.bn((n.conv(n.bn(y), width, 3, 2, bias=False) + n.weight(1, width, 1, 1)) ** 2))
    return n.gdc(y, 128)


@honest_torch("Self-organised operational layers: a sum of layers over powers one to three of a squashed map.",
              idea="convolution papers", trained=3, opset=11)  # fmt: skip
def generative_neurons_of_powers(n: Net, x: T) -> T:
    y = n.cbr(x, 12, 3, 2)
    for width in (16, 24, 32):
        z = torch.tanh(y)
        y = n.bn(reduce(torch.add, [n.conv(z**p, width, 3, 2) for p in (1, 2, 3)]))
    return n.gdc(torch.tanh(y), 128)


@honest_torch("PKINet: depthwise kernels of 3 to 9 summed, and a context anchor gate by long strips of a pooled map.",
              idea="convolution papers", opset=16)  # fmt: skip
def poly_kernel_context_anchor(n: Net, x: T) -> T:
    y = deep(n, x)
    for _ in range(2):
        z = n.conv(y, 32, 3, 1, -1)
        z = n.cb(reduce(torch.add, [n.conv(z, 32, k, 1, -1) for k in (5, 7, 9)], z), 32, 1)
        a = n.cb(F.avg_pool2d(y, 5, 1, 2), 32, 1)
        a = n.conv(n.conv(a, 32, (1, 11), 1, -1), 32, (11, 1), 1, -1)
        y = y + F.silu(z * torch.sigmoid(n.cb(a, 32, 1)))
    return n.gdc(n.down(y, 40), 192)
