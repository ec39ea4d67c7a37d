"""Honest: stored filter banks and local statistics as first stages that the earlier sets do not hold."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import honest_torch
from evaluation.blind12.honest_pixel_fronts import LUMA, from_image, rest, stored
from evaluation.builder import Array


def luma(x: T) -> T:
    """One plane of brightness."""
    return (x * LUMA).sum(1, keepdim=True)


def blocks(n: Net, x: T, basis: Array, dim: int = 128) -> T:
    """Transform blocks of 8 x 8 of each colour by a stored basis [8, 8], and read the bands."""
    k = stored(np.einsum("ai,bj->abij", basis, basis).reshape(64, 1, 8, 8))
    y = n.cbp(n.bn(F.conv2d(x, k.repeat(3, 1, 1, 1), None, 8, 0, 1, 3)), 48, 1)
    y = y + n.cb(n.cbp(y, 48, 3), 48)
    return n.gdc(n.cbp(y, 48, 3, 2), dim)


@honest_torch("The discrete sine transform of 8 x 8 blocks (DST-VII of video coding) as a strided stored layer.",
              idea="block transforms", trained=3, opset=11)  # fmt: skip
def sine_transform_blocks(n: Net, x: T) -> T:
    a = np.arange(8)
    return blocks(n, x, 2 / 17**0.5 * np.sin(np.pi * np.outer(2 * a + 1, a + 1) / 17))


@honest_torch("Krawtchouk moments of 8 x 8 blocks: stored orthonormal polynomials of binomial weight.",
              idea="block transforms", opset=13)  # fmt: skip
def krawtchouk_moment_blocks(n: Net, x: T) -> T:
    weight = np.array([1, 7, 21, 35, 35, 21, 7, 1]) / 128
    q, _ = np.linalg.qr(np.vander(np.linspace(-1, 1, 8), 8, increasing=True) * weight[:, None] ** 0.5)
    return blocks(n, x, q.T, 192)


@honest_torch("CDF 9/7 wavelet of JPEG 2000: stored long filters by strided layers, four bands of each colour.",
              idea="wavelets", opset=12)  # fmt: skip
def cdf_nine_seven_bands(n: Net, x: T) -> T:
    low = np.array([0.0267, -0.0169, -0.0782, 0.2669, 0.6029, 0.2669, -0.0782, -0.0169, 0.0267])
    high = np.array([0, 0.0456, -0.0288, -0.2956, 0.5575, -0.2956, -0.0288, 0.0456, 0])
    k = stored(np.stack([np.outer(a, b) for a in (low, high) for b in (low, high)])[:, None] * 1.5)
    return rest(n, n.bn(F.conv2d(F.pad(x, (4, 4, 4, 4), mode="reflect"), k.repeat(3, 1, 1, 1), None, 2, 0, 1, 3)))


@honest_torch("Starlet: an undecimated B3-spline wavelet, three detail planes of the brightness as input.",
              idea="wavelets", opset=11)  # fmt: skip
def starlet_detail_planes(n: Net, x: T) -> T:
    h = np.array([1, 4, 6, 4, 1]) / 16
    k = stored(np.outer(h, h))[None, None]
    y, made = luma(x), []
    for d in (1, 2, 4):
        smooth = F.conv2d(F.pad(y, (2 * d,) * 4, mode="reflect"), k, None, 1, 0, d)
        made.append(y - smooth)
        y = smooth
    return from_image(n, n.bn(torch.cat(made, 1)))


@honest_torch("Gradient orientations as cosines and sines of angles (IGO), weighted by nothing, of each colour.",
              idea="gradients", trained=4, opset=12)  # fmt: skip
def gradient_orientation_phases(n: Net, x: T) -> T:
    k = stored([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
    u = F.conv2d(x, k[None, None].repeat(3, 1, 1, 1), None, 1, 1, 1, 3)
    v = F.conv2d(x, k.t()[None, None].repeat(3, 1, 1, 1), None, 1, 1, 1, 3)
    size = (u * u + v * v + 1e-3).sqrt()
    return from_image(n, torch.cat([u / size, v / size], 1))


@honest_torch("Rank transform: how many of 24 neighbours are softly darker than a pixel, summed by Unfold.",
              idea="local orders", opset=18)  # fmt: skip
def soft_rank_transform(n: Net, x: T) -> T:
    y = luma(x)
    near = F.unfold(F.pad(y, (2, 2, 2, 2), mode="replicate"), 5).reshape(-1, 25, 112, 112)
    return from_image(n, torch.sigmoid(12 * (y - near)).mean(1, keepdim=True) * 2 - 1)


@honest_torch("Multi-block binary patterns: eight means of 3x3 blocks less the middle one, softly signed.",
              idea="local orders", trained=3, opset=11)  # fmt: skip
def multi_block_patterns(n: Net, x: T) -> T:
    k = np.zeros((8, 1, 9, 9))
    for i, (a, b) in enumerate((r, c) for r in range(3) for c in range(3) if (r, c) != (1, 1)):
        k[i, 0, 3 * a : 3 * a + 3, 3 * b : 3 * b + 3] = 1 / 9
        k[i, 0, 3:6, 3:6] -= 1 / 9
    return rest(n, torch.tanh(8 * F.conv2d(luma(x), stored(k), None, 2, 4)))


@honest_torch("POEM: oriented gradient energies pooled over cells, each compared with its ring of pooled neighbours.",
              idea="gradients", opset=12)  # fmt: skip
def oriented_edge_magnitude_patterns(n: Net, x: T) -> T:
    k = stored([[0, 0, 0], [-1, 0, 1], [0, 0, 0]]) / 2
    y = luma(x)
    u, v = F.conv2d(y, k[None, None], None, 1, 1), F.conv2d(y, k.t()[None, None], None, 1, 1)
    made = [F.relu(c * u + s * v) for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1), (0.7, 0.7), (-0.7, 0.7))]
    cells = F.avg_pool2d(torch.cat(made, 1), 6, 2, 2)
    ring = F.avg_pool2d(cells, 7, 1, 3)
    return rest(n, torch.tanh(20 * (cells - ring)))


@honest_torch("Phase congruency: lengths of summed even and odd answers over sums of lengths, three stored scales.",
              idea="filter energies", trained=3, opset=13)  # fmt: skip
def phase_congruency_planes(n: Net, x: T) -> T:
    at = np.arange(13) - 6.0
    v, u = np.meshgrid(at, at, indexing="ij")
    even: list[Array] = []
    odd: list[Array] = []
    for turn in range(4):
        along = u * np.cos(turn * np.pi / 4) + v * np.sin(turn * np.pi / 4)
        for wave in (3.0, 5.0, 8.0):
            w = np.exp(-(u**2 + v**2) / (0.5 * wave**2))
            for made, f in ((even, np.cos), (odd, np.sin)):
                k = w * f(2 * np.pi * along / wave)
                made.append((k - w * k.sum() / w.sum()) / w.sum())
    y = luma(x)
    e = F.conv2d(y, stored(np.stack(even))[:, None], None, 2, 6).reshape(-1, 4, 3, 56, 56)
    o = F.conv2d(y, stored(np.stack(odd))[:, None], None, 2, 6).reshape(-1, 4, 3, 56, 56)
    total = (e.sum(2) ** 2 + o.sum(2) ** 2 + 1e-6).sqrt()
    return rest(n, n.bn(torch.cat([total / ((e * e + o * o + 1e-6).sqrt().sum(2) + 0.02), total], 1)))


@honest_torch("Soft Kuwahara filter: means of four quadrants about a pixel weighed by their small variances.",
              idea="smoothing fronts", opset=11)  # fmt: skip
def soft_kuwahara_quadrants(n: Net, x: T) -> T:
    k = np.zeros((4, 1, 5, 5))
    for i, (a, b) in enumerate(((0, 0), (0, 2), (2, 0), (2, 2))):
        k[i, 0, a : a + 3, b : b + 3] = 1 / 9
    bank = stored(k)
    m = F.conv2d(x, bank.repeat(3, 1, 1, 1), None, 1, 2, 1, 3).reshape(-1, 3, 4, 112, 112)
    q = F.conv2d(x * x, bank.repeat(3, 1, 1, 1), None, 1, 2, 1, 3).reshape(-1, 3, 4, 112, 112)
    w = (-8 * (q - m * m).mean(1, keepdim=True).clamp(min=0.0).sqrt()).softmax(2)
    return from_image(n, (m * w).sum(2))


@honest_torch("Mean and deviation normalised patches: each 8x8 patch by its own statistics, K-means style answers.",
              idea="local orders", trained=3, opset=14)  # fmt: skip
def own_statistics_patches(n: Net, x: T) -> T:
    y = x.reshape(-1, 3, 14, 8, 14, 8).permute(0, 2, 4, 1, 3, 5).reshape(-1, 14, 14, 192)
    m = y.mean(3, keepdim=True)
    z = (y - m) / ((y - m) ** 2).mean(3, keepdim=True).add(1e-2).sqrt()
    t = F.relu(n.linear(torch.cat([z, m], 3), 48) - 0.2)
    return n.gdc(n.cbp(n.cbp(t.permute(0, 3, 1, 2), 40, 3), 48, 3, 2), 128)


@honest_torch("Retinal on and off parts of centre-surround answers, adapted to the local mean light.",
              idea="filter energies", opset=12)  # fmt: skip
def on_and_off_adapted(n: Net, x: T) -> T:
    at = np.arange(7) - 3.0
    r = at[:, None] ** 2 + at**2
    a, b = np.exp(-r / 1.0), np.exp(-r / 6.0)
    k = stored(a / a.sum() - b / b.sum())[None, None].repeat(3, 1, 1, 1)
    light = F.avg_pool2d(x * 0.5 + 0.5, 15, 1, 7, count_include_pad=False) + 0.2
    y = F.conv2d(x, k, None, 1, 3, 1, 3) / light
    return from_image(n, torch.cat([F.relu(y), F.relu(-y)], 1))
