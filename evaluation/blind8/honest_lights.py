"""Honest: light and colour are set right inside the graph, for each image by itself, then one ordinary network."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import honest_torch


def small(n: Net, x: T, dim: int = 64) -> T:
    """Five strided layers and a linear one."""
    for width in (12, 16, 24, 32):
        x = n.cbp(x, width, 3, 2)
    return n.embed(x, dim)


def mobile(n: Net, x: T, dim: int = 128) -> T:
    """MobileFaceNet in small."""
    x = n.cbp(x, 12, 3, 2)
    for width in (16, 24, 32):
        x = n.inverted(x, width, 2)
    return n.gdc(x, dim)


def unit(x: T) -> T:
    """Bring -1 to 1 to 0 to 1."""
    return (x + 1) / 2


def blur(x: T, sigma: float, k: int) -> T:
    """Blur each plane with a stored Gaussian, the borders reflected."""
    t = torch.arange(k, dtype=torch.float32) - k // 2
    g = torch.exp(-(t**2) / (2 * sigma**2))
    g = (g / g.sum()).reshape(1, 1, k, 1)
    c = int(x.shape[1])
    y = F.pad(x, (k // 2, k // 2, k // 2, k // 2), mode="reflect")
    return F.conv2d(F.conv2d(y, g.expand(c, 1, k, 1), groups=c), g.reshape(1, 1, 1, k).expand(c, 1, 1, k), groups=c)


def luma(x: T) -> T:
    return (x * torch.tensor([0.299, 0.587, 0.114]).reshape(1, 3, 1, 1)).sum(1, keepdim=True)


@honest_torch("Gamma by the mean: the exponent takes the image's own mean to one half, log 0.5 over log of the mean.",
              idea="light", trained=4, opset=13)  # fmt: skip
def gamma_to_half_mean(n: Net, x: T) -> T:
    u = unit(x).clamp(0.01, 1)
    gamma = math.log(0.5) / u.mean((1, 2, 3), keepdim=True).clamp(0.05, 0.95).log()
    return mobile(n, 2 * u**gamma - 1)


@honest_torch("Single-scale retinex: log of the image less log of its Gaussian, scaled by the image's own deviation.",
              idea="light", opset=12)  # fmt: skip
def single_scale_retinex_gain(n: Net, x: T) -> T:
    u = unit(x).clamp(0, 1) + 0.02
    y = u.log() - blur(u, 6.0, 25).log()
    y = y / (y.flatten(1).std(1).reshape(-1, 1, 1, 1) + 1e-3)
    return small(n, y)


@honest_torch(
    "Retinex with colour restoration (MSRCR): three scales, times the log of each colour's share.",
    idea="light",
    trained=4,
    opset=17,
)
def retinex_colour_restored(n: Net, x: T) -> T:
    u = unit(x).clamp(0, 1) + 0.02
    y = sum(u.log() - blur(u, s, k).log() for s, k in ((2.0, 9), (5.0, 21), (10.0, 41))) / 3
    share = (1 + 125 * u / u.sum(1, keepdim=True)).log() / 4
    return small(n, y * share, 128)


@honest_torch("Wallis filter: local mean and deviation in a 21 x 21 box are brought part of the way to stored ones.",
              idea="light", trained=3, opset=14)  # fmt: skip
def wallis_filter_front(n: Net, x: T) -> T:
    m = F.avg_pool2d(x, 21, 1, 10, count_include_pad=False)
    s = (F.avg_pool2d(x * x, 21, 1, 10, count_include_pad=False) - m * m).clamp(min=0).add(1e-4).sqrt()
    y = (x - m) * (0.8 * 0.4 / (0.8 * s + 0.2 * 0.4)) + 0.4 * m
    return mobile(n, y)


@honest_torch(
    "CLAHE made soft: clipped soft histograms of 4 x 4 tiles, their curves blended bilinearly by a stored matrix.",
    idea="light",
    opset=13,
)
def soft_clahe_tiles(n: Net, x: T) -> T:
    y = unit(luma(x)).clamp(0, 1)
    levels = torch.linspace(0, 1, 9).reshape(1, 9, 1, 1)
    shares = F.avg_pool2d(F.relu(1 - 8 * (y - levels).abs()), 28)
    shares = shares.clamp(max=0.3) + (shares - shares.clamp(max=0.3)).sum(1, keepdim=True) / 9
    curves = torch.cumsum(shares, 1)
    curves = F.interpolate(curves, scale_factor=28.0, mode="bilinear", align_corners=False)
    mapped = (F.relu(1 - 8 * (y - levels).abs()) * curves).sum(1, keepdim=True)
    return small(n, x * (mapped + 0.1) / (y + 0.1))


@honest_torch("Shades of grey: each colour over its own Minkowski norm of order six in this image.", idea="colour",
              opset=12)  # fmt: skip
def shades_of_grey_gain(n: Net, x: T) -> T:
    u = unit(x).clamp(1e-3, 1)
    e = (u**6).mean((2, 3), keepdim=True) ** (1 / 6)
    return mobile(n, 2 * u * (e.mean(1, keepdim=True) / e) - 1, 64)


@honest_torch(
    "White patch (max-RGB): each colour over its own largest value behind a small blur.",
    idea="colour",
    trained=3,
    opset=15,
)
def white_patch_balance(n: Net, x: T) -> T:
    u = unit(x)
    white = blur(u, 1.5, 7).amax((2, 3), keepdim=True)
    return small(n, 2 * u / (white + 0.05) - 1, 96)


@honest_torch(
    "Grey edge: the colour of the light is the mean size of the derivatives of each colour plane.",
    idea="colour",
    opset=11,
)
def grey_edge_balance(n: Net, x: T) -> T:
    d = (x[:, :, 1:] - x[:, :, :-1]).abs().mean((2, 3), keepdim=True)
    d = d + (x[:, :, :, 1:] - x[:, :, :, :-1]).abs().mean((2, 3), keepdim=True)
    return small(n, (x + 1) * (d.mean(1, keepdim=True) / (d + 1e-3)) - 1)


@honest_torch(
    "Reinhard's tone mapping by the image's own geometric mean of luminance.",
    idea="light",
    trained=4,
    opset=18,
    dynamo=True,
)
def reinhard_tone_mapping(n: Net, x: T) -> T:
    u = unit(x).clamp(0, 1)
    key = (luma(u) + 0.05).log().mean((2, 3), keepdim=True).exp()
    v = 0.4 / key * u
    return mobile(n, 2 * v / (1 + luma(v)) - 1)


@honest_torch(
    "Homomorphic filter: the logarithm, low frequencies damped and high ones raised by a stored Gaussian, exp.",
    idea="light",
    opset=13,
)
def homomorphic_high_boost(n: Net, x: T) -> T:
    g = (unit(x).clamp(0, 1) + 0.05).log()
    low = blur(g, 8.0, 33)
    return small(n, (0.5 * low + 1.6 * (g - low)).exp() - 0.5, 48)


@honest_torch(
    "Adaptive gamma with weighting (AGCWD) in soft bins: each level's exponent is one less its weighted share.",
    idea="light",
    opset=17,
)
def weighted_distribution_gamma(n: Net, x: T) -> T:
    v = unit(x).clamp(1e-3, 1)
    y = v.amax(1, keepdim=True)
    levels = torch.linspace(0, 1, 16).reshape(1, 16, 1, 1)
    hats = F.relu(1 - 15 * (y - levels).abs())
    p = hats.mean((2, 3), keepdim=True)
    p = (p / p.amax(1, keepdim=True).clamp(min=1e-4) + 1e-4) ** 0.5
    cdf = torch.cumsum(p, 1) / p.sum(1, keepdim=True)
    exponent = (hats * (1.1 - cdf)).sum(1, keepdim=True)
    return small(n, v * (y**exponent) / y * 2 - 1, 64)


@honest_torch(
    "Robust standardisation: the image less its own mean, over its own mean absolute deviation, soft-clipped.",
    idea="light",
    opset=11,
    trained=3,
)
def mean_absolute_deviation(n: Net, x: T) -> T:
    d = x - x.mean((1, 2, 3), keepdim=True)
    return mobile(n, torch.tanh(d / (d.abs().mean((1, 2, 3), keepdim=True) + 0.02) / 2))


@honest_torch("Pixels decorrelated by a stored 3 x 3 matrix (PCA colours) and each plane over its own deviation.",
              idea="colour", opset=14)  # fmt: skip
def stored_pca_colours_own_spread(n: Net, x: T) -> T:
    m = torch.tensor([[0.58, 0.58, 0.57], [0.71, 0.0, -0.71], [0.4, -0.82, 0.41]]).reshape(3, 3, 1, 1)
    y = F.conv2d(x, m)
    y = (y - y.mean((2, 3), keepdim=True)) / (y.flatten(2).std(2).reshape(-1, 3, 1, 1) + 0.02)
    return small(n, y)


@honest_torch("Large light by a quadratic surface: six stored polynomials fit the log luma, the fit is taken off.",
              idea="light", trained=4, opset=18)  # fmt: skip
def quadratic_light_surface(n: Net, x: T) -> T:
    t = torch.linspace(-1, 1, 112)
    r, c = torch.meshgrid(t, t, indexing="ij")
    basis = torch.linalg.qr(torch.stack([torch.ones_like(r), r, c, r * c, r * r, c * c]).reshape(6, -1).T)[0]
    g = (unit(x).clamp(0, 1) + 0.05).log()
    flat = luma(g).reshape(-1, 112 * 112)
    fit = (flat @ basis) @ basis.T
    return small(n, g - fit.reshape(-1, 1, 112, 112), 64)
