"""Honest: what networks do with pixels first, once, and for one image by itself."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from scipy import ndimage
from torch import nn

from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import honest_torch
from evaluation.blind5.tails import tail


def bank(*kernels: object) -> T:
    """Stored kernels [K, 1, k, k] for each colour in turn: [3 K, 1, k, k]."""
    return torch.from_numpy(np.stack([np.asarray(k, np.float32) for k in kernels])[:, None]).repeat(3, 1, 1, 1)


def gaussian(side: int, sigma: float, rows: int = 0, columns: int = 0) -> object:
    """A Gaussian, or its derivatives along rows and columns."""
    spike = np.zeros((side, side))
    spike[side // 2, side // 2] = 1
    return ndimage.gaussian_filter(spike, sigma, (rows, columns), mode="constant") * sigma ** (rows + columns)


@honest_torch(
    "A scattering transform: moduli of stored wavelets, then of wavelets of these; every layer reads what the last one "
    "made, and the pixels are read by one bank of filters.", idea="filter bank",
)  # fmt: skip
def scattering_two_orders(n: Net, x: T) -> T:
    at = torch.arange(7).float() - 3
    real, imag = [], []
    for k in range(4):
        wave = math.cos(k * math.pi / 4) * at[None] + math.sin(k * math.pi / 4) * at[:, None]
        soft = torch.exp(-(at[None] ** 2 + at[:, None] ** 2) / 6)
        real.append((soft * torch.cos(1.6 * wave)).numpy())
        imag.append((soft * torch.sin(1.6 * wave)).numpy())
    a, b = bank(*real) / 6, bank(*imag) / 6
    y = (
        F.conv2d(x, a, stride=2, padding=3, groups=3) ** 2 + F.conv2d(x, b, stride=2, padding=3, groups=3) ** 2 + 1e-4
    ).sqrt()
    a, b = (w[:4].repeat(12, 1, 1, 1) for w in (a, b))
    z = (
        F.conv2d(y, a, stride=2, padding=3, groups=12) ** 2 + F.conv2d(y, b, stride=2, padding=3, groups=12) ** 2 + 1e-4
    ).sqrt()
    return tail(n, n.bn(torch.cat([F.avg_pool2d(y, 2), z], 1)))


@honest_torch(
    "Steerable filters: Gaussian derivatives, orientation energy and direction as planes.", idea="filter bank"
)
def steerable_orientation_energy(n: Net, x: T) -> T:
    y = x.mean(1, keepdim=True)
    gr, gc = (F.conv2d(y, bank(gaussian(9, 1.5, *d))[:1], padding=4) for d in ((1, 0), (0, 1)))
    energy = (gr**2 + gc**2 + 1e-4).sqrt()
    return tail(n, n.cbr(torch.cat([x, energy, gr / energy, gc / energy], 1), 12, 3, 2))


@honest_torch(
    "A structure tensor: products of derivatives, smoothed; the image is kept beside it, unmoved, as input planes.",
    idea="filter bank", trained=4,
)  # fmt: skip
def structure_tensor_planes(n: Net, x: T) -> T:
    y = x.mean(1, keepdim=True)
    gr, gc = (F.conv2d(y, bank(gaussian(5, 1.0, *d))[:1], padding=2) for d in ((1, 0), (0, 1)))
    t = F.avg_pool2d(torch.cat([gr * gr, gr * gc, gc * gc], 1), 5, 1, 2)
    return tail(n, n.cbr(torch.cat([x, n.bn(t)], 1), 12, 3, 2))


@honest_torch(
    "Differences of Gaussians at four scales as planes, the image among them once.", idea="filter bank", opset=13
)
def difference_of_gaussians(n: Net, x: T) -> T:
    y = x.mean(1, keepdim=True)
    blurs = [F.conv2d(y, bank(gaussian(15, s))[:1], padding=7) for s in (0.8, 1.2, 1.8, 2.6)]
    planes = [a - b for a, b in pairwise(blurs)] + blurs[-1:]
    return tail(n, n.cbr(n.bn(torch.cat(planes, 1)), 12, 3, 2))


@honest_torch(
    "Histogram of oriented gradients with soft bins, then a linear layer.", idea="hand-made features", opset=12
)
def soft_oriented_gradients(n: Net, x: T) -> T:
    y = x.mean(1, keepdim=True)
    gr, gc = (F.conv2d(y, bank(gaussian(5, 0.8, *d))[:1], padding=2) for d in ((1, 0), (0, 1)))
    k = torch.arange(8).float().reshape(1, 8, 1, 1) * math.pi / 4
    cells = F.avg_pool2d(F.relu(gc * k.cos() + gr * k.sin()) ** 2, 8)
    cells = cells / (cells.sum((1, 2, 3), keepdim=True) + 1e-3)
    return n.embed(100 * cells, 64)


@honest_torch(
    "Local binary patterns by sigmoids of differences to eight neighbours, in histograms.", idea="hand-made features"
)
def soft_lbp_histograms(n: Net, x: T) -> T:
    y = F.avg_pool2d(x.mean(1, keepdim=True), 2)
    p = F.pad(y, (1, 1, 1, 1))
    around = [(0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0)]
    bits = torch.sigmoid(20 * (torch.cat([p[:, :, r : r + 56, c : c + 56] for r, c in around], 1) - y))
    codes = F.conv2d(bits, n.weight(24, 8, 1, 1, gain=2.0)).softmax(1)
    return n.embed(F.avg_pool2d(codes, 8))


@honest_torch("Opponent colours by a stored matrix, each plane with a stem of its own.", idea="colour", trained=4)
def opponent_colours(n: Net, x: T) -> T:
    m = torch.tensor([[0.577, 0.577, 0.577], [0.707, -0.707, 0.0], [0.408, 0.408, -0.816]])
    y = F.conv2d(x, m[:, :, None, None])
    return tail(n, torch.cat([n.cbr(y[:, :1], 8, 5, 2), n.cbr(y[:, 1:], 6, 5, 2)], 1))


@honest_torch("XYZ and a cube root: planes like those of Lab, from one image by itself.", idea="colour", opset=13)
def lab_like_planes(n: Net, x: T) -> T:
    light = ((x + 1.02) / 2.02).clamp(min=0.01) ** 2.2
    m = torch.tensor([[0.43, 0.38, 0.19], [0.21, 0.72, 0.07], [0.02, 0.12, 0.94]])
    f = F.conv2d(light, m[:, :, None, None]) ** (1 / 3)
    planes = torch.cat([f[:, 1:2] - 0.5, 2 * (f[:, :1] - f[:, 1:2]), 2 * (f[:, 1:2] - f[:, 2:])], 1)
    return tail(n, n.cbr(planes, 12, 3, 2))


@honest_torch(
    "A stored mean face is taken off and a stored deviation divides: eigenfaces' first step.", idea="stored image"
)
def mean_face_taken_off(n: Net, x: T) -> T:
    rng = np.random.default_rng(9)
    mean = torch.from_numpy(
        ndimage.gaussian_filter(rng.normal(0, 6, (1, 3, 112, 112)), (0, 0, 9, 9)).astype(np.float32)
    )
    return tail(n, n.cbr((x - mean) * 1.2, 12, 3, 2))


@honest_torch(
    "Eigenfaces behind a mean of 4 x 4 pixels: a stored projection, whitened, and nothing else.", idea="linear"
)
def whitened_projection(n: Net, x: T) -> T:
    y = F.avg_pool2d(x, 4).flatten(1)
    return F.normalize(n.bn(n.linear(torch.tanh(n.bn(n.linear(y, 96))), 64)), dim=1)


@honest_torch("An instance norm on the pixels and after the first layers, as IBN-Net has it: each image by itself.",
              idea="normalised by itself", trained=4)  # fmt: skip
def instance_batch_norm_net(n: Net, x: T) -> T:
    x = n.same(x, lambda: nn.InstanceNorm2d(3, affine=True))
    for width in (12, 16):
        y = n.conv(x, width, 3, 2)
        a, b = y.chunk(2, 1)
        x = F.relu(torch.cat([n.same(a, lambda w=width: nn.InstanceNorm2d(w // 2, affine=True)), n.bn(b)], 1))  # type: ignore[misc]
    return tail(n, x)


@honest_torch(
    "Filter response normalisation with a learned threshold; no batch statistics anywhere.", idea="normalised by itself"
)
def filter_response_norm(n: Net, x: T) -> T:
    for width in (12, 16, 24):
        y = n.conv(x, width, 3, 2)
        y = y * torch.rsqrt((y * y).mean((2, 3), keepdim=True) + 1e-3)
        x = torch.maximum(y * (1 + n.weight(1, width, 1, 1)), n.weight(1, width, 1, 1))
    return tail(n, x)


@honest_torch(
    "A guided filter splits the image into base and detail, which two small stems read: both together are the image, "
    "and neither is seen a second time.", idea="decomposition", trained=4,
)  # fmt: skip
def base_and_detail(n: Net, x: T) -> T:
    mean = F.avg_pool2d(x, 9, 1, 4)
    var = F.avg_pool2d(x * x, 9, 1, 4) - mean * mean
    a = var / (var + 0.02)
    base = F.avg_pool2d(a, 9, 1, 4) * x + F.avg_pool2d(mean - a * mean, 9, 1, 4)
    return tail(n, torch.cat([n.cbr(base, 8, 5, 2), n.cbr(3 * (x - base), 6, 3, 2)], 1))


@honest_torch(
    "Morphological stem: maxima and minima of neighbourhoods with stored weights, as one layer.", idea="other layers"
)
def dilation_and_erosion_layer(n: Net, x: T) -> T:
    y = n.conv(x, 6, 3, 2)
    z = torch.cat([F.max_pool2d(y, 3, 1, 1), -F.max_pool2d(-y, 3, 1, 1)], 1)
    return tail(n, n.cbr(z, 16, 3, 2))


@honest_torch(
    "A multi-dilated first layer: dilations of 1, 2 and 3 at stride 2 on one image, kernels of their own.",
    idea="branches",
)
def multi_dilated_stem(n: Net, x: T) -> T:
    return tail(n, F.relu(n.bn(torch.cat([n.conv(x, 6, 3, 2, dilation=d) for d in (1, 2, 3)], 1))))


@honest_torch(
    "A 2x2 Walsh-Hadamard packet of the pixels, shrunk as in wavelet denoising: lossless but for that.",
    idea="decomposition", opset=12,
)  # fmt: skip
def soft_threshold_packet(n: Net, x: T) -> T:
    h = torch.tensor([[1.0, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]).reshape(4, 1, 2, 2) / 2
    y = F.conv2d(x, h.repeat(3, 1, 1, 1), stride=2, groups=3)
    return tail(n, n.cbr(torch.sign(y) * F.relu(y.abs() - 0.05), 16, 3, 2))
