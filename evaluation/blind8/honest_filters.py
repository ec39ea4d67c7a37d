"""Honest: first layers that are filters made by hand, of waves, gradients, orders and frequencies, then a network."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import honest_torch


def trunk(n: Net, x: T, dim: int = 64) -> T:
    """Bring a map of any size down to 7 x 7 by strided residual units, then GDC."""
    for width in (16, 24, 32, 32):
        if x.shape[2] > 7:
            x = n.res(n.cbr(x, width, 3, 2))
    return n.gdc(x, dim)


def stored(value: np.ndarray) -> T:
    return torch.from_numpy(np.ascontiguousarray(value, np.float32))


def gabors(side: int, turns: int, wave: float) -> T:
    """Even and odd Gabor filters, [2 turns, 1, side, side]."""
    r, c = np.mgrid[:side, :side] - side // 2
    made = []
    for i in range(turns):
        a = math.pi * i / turns
        u = c * math.cos(a) + r * math.sin(a)
        g = np.exp(-(r**2 + c**2) / (2 * (side / 5) ** 2))
        even = g * np.cos(2 * math.pi * u / wave)
        made += [even - g * even.sum() / g.sum(), g * np.sin(2 * math.pi * u / wave)]
    return stored(np.stack(made)[:, None] / side)


@honest_torch("LGBP made soft: Gabor magnitudes, then sigmoids of differences to four neighbours, pooled as channels.",
              idea="filters", opset=13, trained=3)  # fmt: skip
def gabor_binary_patterns(n: Net, x: T) -> T:
    y = F.conv2d(x.mean(1, keepdim=True), gabors(9, 4, 5.0), stride=2, padding=4)
    m = (y[:, ::2] ** 2 + y[:, 1::2] ** 2 + 1e-4).sqrt()
    p = F.pad(m, (1, 1, 1, 1), mode="replicate")
    near = (p[:, :, :-2, 1:-1], p[:, :, 2:, 1:-1], p[:, :, 1:-1, :-2], p[:, :, 1:-1, 2:])
    return trunk(n, torch.cat([m, *(torch.sigmoid(20 * (z - m)) for z in near)], 1))


@honest_torch(
    "A Gabor bank of two scales as strided kernels of all colours; phases are dropped by moduli.",
    idea="filters",
    opset=12,
)
def two_scale_gabor_moduli(n: Net, x: T) -> T:
    made = []
    for side, wave in ((7, 4.0), (15, 9.0)):
        k = gabors(side, 4, wave).repeat(3, 1, 1, 1)
        y = F.conv2d(x, k, stride=2, padding=side // 2, groups=3)
        made.append((y[:, ::2] ** 2 + y[:, 1::2] ** 2 + 1e-4).sqrt())
    return trunk(n, torch.cat(made, 1), 96)


@honest_torch(
    "Leung and Malik's idea in small: bars, edges, blobs and Gaussians as 5 x 5 kernels beside a learned layer.",
    idea="filters",
    trained=4,
)
def bars_edges_and_blobs(n: Net, x: T) -> T:
    r, c = np.mgrid[-2:3, -2:3].astype(float)
    g = np.exp(-(r**2 + c**2) / 2)
    bank = [g * r, g * c, g * (r * r - 1), g * (c * c - 1), g * r * c, g * (r * r + c * c - 2), g / g.sum()]
    k = stored(np.stack([b / np.abs(b).sum() for b in bank])[:, None]).repeat(3, 1, 1, 1)
    y = F.conv2d(x, k, stride=2, padding=2, groups=3)
    return trunk(n, n.cbr(torch.cat([y, n.conv(x, 8, 3, 2)], 1), 16, 1))


@honest_torch("Biorthogonal 5/3 wavelet of JPEG 2000 by stored strided kernels, bands scaled by learned numbers.",
              idea="wavelet", opset=14)  # fmt: skip
def le_gall_bands(n: Net, x: T) -> T:
    low, high = np.array([-1, 2, 6, 2, -1]) / 8, np.array([0, 0, -1, 2, -1]) / 2
    k = stored(np.stack([np.outer(a, b) for a in (low, high) for b in (low, high)])[:, None]).repeat(3, 1, 1, 1)
    y = F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), k, stride=2, groups=3)
    return trunk(n, n.cbp(y * n.weight(1, 12, 1, 1, gain=1.0).exp(), 16))


@honest_torch("Dual-tree-like complex wavelets: two trees of stored kernels, magnitudes of their sums and differences.",
              idea="wavelet", trained=3, opset=13)  # fmt: skip
def dual_tree_magnitudes(n: Net, x: T) -> T:
    a, b = np.array([0.03, -0.09, 0.5, 0.7, 0.5, -0.09]) / 1.5, np.array([-0.09, 0.5, 0.7, 0.5, -0.09, 0.03]) / 1.5
    sign = np.array([1, -1, 1, -1, 1, -1])
    high = (a * sign, b * sign)
    pairs = [(np.outer(a, high[0]), np.outer(b, high[1])), (np.outer(high[0], a), np.outer(high[1], b)),
             (np.outer(*high), np.outer(*high[::-1]))]  # fmt: skip
    k = stored(np.stack([z for p, q in pairs for z in (p + q, p - q)] + [np.outer(a, b)])[:, None])
    y = F.conv2d(x, k.repeat(3, 1, 1, 1), stride=2, padding=2, groups=3).reshape(-1, 3, 7, 56, 56)
    m = (y[:, :, 0:6:2] ** 2 + y[:, :, 1:6:2] ** 2 + 1e-4).sqrt()
    return trunk(n, torch.cat([m, y[:, :, 6:]], 2).reshape(-1, 12, 56, 56))


@honest_torch(
    "DAISY-like: rectified slopes in eight directions, blurred by stored Gaussians of three sizes, at stride 4.",
    idea="filters",
    opset=15,
)
def rectified_slopes_of_three_blurs(n: Net, x: T) -> T:
    y = x.mean(1, keepdim=True)
    dy = F.conv2d(y, stored(np.array([[[[-1.0], [0], [1]]]])), padding=(1, 0))
    dx = F.conv2d(y, stored(np.array([[[[-1.0, 0, 1]]]])), padding=(0, 1))
    s = F.relu(torch.cat([math.cos(k * math.pi / 4) * dx + math.sin(k * math.pi / 4) * dy for k in range(8)], 1))
    made = []
    for side in (5, 9, 13):
        t = np.exp(-((np.arange(side) - side // 2) ** 2) / (2 * (side / 5) ** 2))
        k = stored((np.outer(t, t) / t.sum() ** 2)[None, None]).repeat(8, 1, 1, 1)
        made.append(F.conv2d(s, k, stride=4, padding=side // 2, groups=8))
    return trunk(n, n.bn(torch.cat(made, 1)), 96)


@honest_torch(
    "Census made soft: tanh of 24 differences to the centre of each 5 x 5 neighbourhood at stride 2, then 1x1.",
    idea="filters",
    trained=4,
    opset=11,
)
def soft_census_five(n: Net, x: T) -> T:
    k = np.zeros((24, 1, 5, 5))
    for i, place in enumerate(p for p in range(25) if p != 12):
        k[i, 0, place // 5, place % 5] = 1
    k[:, 0, 2, 2] -= 1
    y = torch.tanh(6 * F.conv2d(x.mean(1, keepdim=True), stored(k), stride=2, padding=2))
    return trunk(n, n.cbr(y, 16, 1))


@honest_torch(
    "Windowed cosine transform: 8 x 8 cosines in overlapping blocks of stride 4, logs of their sizes, by bands.",
    idea="frequency",
    opset=16,
)
def overlapping_log_cosines(n: Net, x: T) -> T:
    t = np.arange(8)
    d = np.cos(math.pi * (t[None] + 0.5) * t[:, None] / 8) / 2
    k = np.stack([np.outer(d[i], d[j]) for i in range(5) for j in range(5 - i)])[:, None]
    y = F.conv2d(x, stored(k).repeat(3, 1, 1, 1), stride=4, padding=2, groups=3)
    y = torch.sign(y) * (1 + 4 * y.abs()).log()
    return trunk(n, n.bn(y), 128)


@honest_torch(
    "Wavelet scattering of first order with Haar-like packets at two depths, joined with a learned stem.",
    idea="wavelet",
    trained=3,
    opset=19,
)
def haar_scattering_two_depths(n: Net, x: T) -> T:
    h = np.array([[[1, 1], [1, 1]], [[1, -1], [1, -1]], [[1, 1], [-1, -1]], [[1, -1], [-1, 1]]]) / 2
    k = stored(h[:, None])
    one = F.conv2d(x, k.repeat(3, 1, 1, 1), stride=2, groups=3)
    two = F.conv2d(one.abs(), k.repeat(12, 1, 1, 1), stride=2, groups=12).abs()
    return trunk(n, torch.cat([n.cbr(two, 24, 1), n.stem(x, 8)], 1))


@honest_torch(
    "Gabor energies with learned divisive normalisation over turns, as models of the first visual area.",
    idea="filters",
    opset=17,
)
def divisively_normalised_energies(n: Net, x: T) -> T:
    y = F.conv2d(x.mean(1, keepdim=True), gabors(11, 6, 6.0), stride=2, padding=5)
    e = y[:, ::2] ** 2 + y[:, 1::2] ** 2
    e = e / (n.weight(1, 6, 1, 1).exp() * 0.01 + F.avg_pool2d(e, 5, 1, 2).mean(1, keepdim=True))
    return trunk(n, torch.cat([e, F.avg_pool2d(x, 2)], 1), 64)


@honest_torch(
    "Quaternion colours: the pixels as i, j, k, a quaternion layer first, then real layers on its four parts.",
    idea="colour",
    opset=13,
)
def quaternion_colour_stem(n: Net, x: T) -> T:
    r, i, j, k = (n.weight(8, 1, 3, 3, gain=0.6) for _ in range(4))
    q = torch.cat([x.mean(1, keepdim=True), x], 1)
    w = torch.cat([torch.cat(row, 1) for row in ((r, -i, -j, -k), (i, r, -k, j), (j, k, r, -i), (k, -j, i, r))])
    return trunk(n, F.relu(n.bn(F.conv2d(q, w, stride=2, padding=1))))


@honest_torch(
    "Polar gradients: size and the cosine and sine of twice the angle at full size, averaged in 4 x 4 cells.",
    idea="filters",
    opset=20,
)
def double_angle_cells(n: Net, x: T) -> T:
    k = stored(np.array([[[[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]], [[[-1, -2, -1], [0, 0, 0], [1, 2, 1]]]]) / 4)
    g = F.conv2d(x, k.repeat(3, 1, 1, 1), padding=1, groups=3).reshape(-1, 3, 2, 112, 112)
    dx, dy = g[:, :, 0], g[:, :, 1]
    size = (dx * dx + dy * dy + 1e-4).sqrt()
    y = torch.cat([size, (dx * dx - dy * dy) / size, 2 * dx * dy / size, x], 1)
    return trunk(n, n.bn(F.avg_pool2d(y, 4)), 64)


@honest_torch(
    "A flow-like stem: pixels squeezed to half size, 1x1 layers and affine couplings, nothing lost, then units.",
    idea="flow",
    trained=4,
    opset=14,
)
def affine_couplings_of_pixels(n: Net, x: T) -> T:
    x = F.pixel_unshuffle(x, 2)
    for _ in range(2):
        a, b = n.conv(x, 12, 1).chunk(2, 1)
        scale, shift = n.conv(F.relu(n.conv(a, 12)), 12).chunk(2, 1)
        x = torch.cat([a, b * (0.5 + torch.sigmoid(scale)) + shift], 1)
    return trunk(n, n.bn(x), 96)


@honest_torch("Additive lifting of the columns with learned predictors (a reversible stem), then lifting of the rows.",
              idea="reversible", opset=13)  # fmt: skip
def learned_lifting_of_columns(n: Net, x: T) -> T:
    a, b = x[:, :, :, ::2], x[:, :, :, 1::2]
    b = b - torch.tanh(n.conv(a, 3, (1, 3)))
    x = torch.cat([a + 0.5 * n.conv(b, 3, (1, 3)), b], 1)
    a, b = x[:, :, ::2], x[:, :, 1::2]
    b = b - torch.tanh(n.conv(a, 6, (3, 1)))
    return trunk(n, n.bn(torch.cat([a + 0.5 * n.conv(b, 6, (3, 1)), b], 1)), 64)
