"""Honest: first stages of colour, light and pixels that the earlier sets do not hold, one look each."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import honest_torch

#: Red, green and blue in luma.
LUMA = torch.tensor([0.299, 0.587, 0.114]).reshape(1, 3, 1, 1)


def stored(array: Any) -> T:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))


def rest(n: Net, x: T, dim: int = 128) -> T:
    """Go from features of 56 x 56 to the embedding."""
    for width in (16, 24, 32):
        x = n.cbp(x, width, 3, 2)
        x = x + n.cb(n.cbp(x, width, 3, 1, -1), width, 1)
    return n.gdc(x, dim)


def from_image(n: Net, x: T, dim: int = 128) -> T:
    """Go from a corrected image to the embedding."""
    return rest(n, n.cbp(x, 12, 3, 2), dim)


def positive(x: T) -> T:
    """Bring the image from -1..1 to 0..1."""
    return (x * 0.5 + 0.5).clamp(0.0, 1.0)


def mixed(x: T, matrix: Any) -> T:
    """Mix colours by a stored matrix."""
    return F.conv2d(x, stored(matrix)[:, :, None, None])


@honest_torch("CIE Luv: luma and the chromaticities u' and v' by stored matrices and divisions.", idea="colours",
              trained=3, opset=12)  # fmt: skip
def luv_chromaticity_planes(n: Net, x: T) -> T:
    p = positive(x) ** 2.2 + 1e-3
    xyz = mixed(p, [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    d = xyz[:, :1] + 15 * xyz[:, 1:2] + 3 * xyz[:, 2:]
    y = xyz[:, 1:2] ** (1 / 3)
    uv = torch.cat([4 * xyz[:, :1], 9 * xyz[:, 1:2]], 1) / d
    return from_image(n, n.bn(torch.cat([y, y * (uv - torch.tensor([0.1978, 0.4683]).reshape(1, 2, 1, 1))], 1)))


@honest_torch("IPT: cone answers to the power of 0.43, a second stored matrix to intensity and two opponents.",
              idea="colours", opset=11)  # fmt: skip
def ipt_planes(n: Net, x: T) -> T:
    cones = [[0.3139, 0.6395, 0.0466], [0.1516, 0.7485, 0.1000], [0.0177, 0.1095, 0.8729]]
    lms = mixed(positive(x) ** 2.2 + 1e-4, cones)
    y = mixed(lms**0.43, [[0.4, 0.4, 0.2], [4.455, -4.851, 0.396], [0.8056, 0.3572, -1.1628]])
    return from_image(n, n.bn(y))


@honest_torch("YIQ by NTSC's stored matrix, luma read by 5x5 kernels and chroma by 3x3 ones.",
              idea="colours", opset=13)  # fmt: skip
def yiq_two_kernel_sizes(n: Net, x: T) -> T:
    y = mixed(x, [[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
    return rest(n, torch.cat([n.cbp(y[:, :1], 8, 5, 2), n.cbp(y[:, 1:], 6, 3, 2)], 1))


@honest_torch("Mu-law companding of the pixels about grey, as audio has it, before an ordinary network.",
              idea="tone curves", opset=12)  # fmt: skip
def mu_law_companded(n: Net, x: T) -> T:
    return from_image(n, torch.sign(x) * (1 + 15 * x.abs()).log() / math.log(16))


@honest_torch("Anscombe's root makes the shot noise of pixels even; standardised by stored numbers.",
              idea="tone curves", trained=3, opset=11)  # fmt: skip
def anscombe_stabilised(n: Net, x: T) -> T:
    return from_image(n, n.bn(2 * (255 * positive(x) / 8 + 0.375).sqrt()), 192)


@honest_torch("Filmic tone mapping by Hable's rational curve with stored constants.", idea="tone curves", opset=20)
def hable_filmic_curve(n: Net, x: T) -> T:
    p = positive(x) * 4
    y = (p * (0.15 * p + 0.05) + 0.004) / (p * (0.15 * p + 0.5) + 0.06) - 0.02 / 0.3
    return from_image(n, y * 4 - 1)


@honest_torch("Root-polynomial colour correction: roots of products of channels, mixed by a learned 3 x 6 matrix.",
              idea="colours", trained=4, opset=12)  # fmt: skip
def root_polynomial_colours(n: Net, x: T) -> T:
    r, g, b = (positive(x) + 1e-3).split(1, 1)
    y = torch.cat([r, g, b, (r * g).sqrt(), (g * b).sqrt(), (r * b).sqrt()], 1)
    return from_image(n, n.bn(n.conv(y, 3, 1)))


@honest_torch("Flat-field correction: a stored dark frame is taken off, a stored gain for each pixel multiplied.",
              idea="light", opset=11)  # fmt: skip
def flat_field_corrected(n: Net, x: T) -> T:
    at = torch.linspace(-1, 1, 112)
    gain = 1 + 0.25 * (at[:, None] ** 2 + at**2)
    dark = 0.02 * torch.sin(7 * at[:, None]) * torch.cos(5 * at)
    return from_image(n, (x - dark) * gain, 256)


@honest_torch("Generalised divisive normalisation of coding networks: answers over roots of mixed squares, twice.",
              idea="coding fronts", trained=3, opset=13)  # fmt: skip
def generalised_divisive_front(n: Net, x: T) -> T:
    y = n.conv(x, 16, 5, 2)
    y = y / (F.conv2d(y * y, (n.weight(16, 16) ** 2)[:, :, None, None]) + 0.3).sqrt()
    y = n.conv(y, 24, 5, 2)
    y = y / (F.conv2d(y * y, (n.weight(24, 24) ** 2)[:, :, None, None]) + 0.3).sqrt()
    return n.gdc(n.cbp(n.cbp(y, 32, 3, 2), 40, 3, 2), 128)


@honest_torch("CSRNet: conditions pooled from the image scale and shift three 1x1 layers that retouch its pixels.",
              idea="retouching fronts", trained=3, opset=12)  # fmt: skip
def csrnet_conditional_retouch(n: Net, x: T) -> T:
    c = n.cbr(n.cbr(x, 8, 7, 4), 12, 3, 4).mean((2, 3))
    y = x
    for width in (16, 16, 3):
        y = n.conv(y, width, 1)
        y = y * (1 + 0.3 * n.linear(c, width)[:, :, None, None]) + 0.3 * n.linear(c, width)[:, :, None, None]
        y = F.relu(y) if width == 16 else y
    return from_image(n, torch.tanh(y))


@honest_torch("DeepLPF: two graduated filters, planes of gain whose slopes and levels follow from pooled features.",
              idea="retouching fronts", opset=13)  # fmt: skip
def graduated_filter_gains(n: Net, x: T) -> T:
    p = torch.tanh(n.linear(n.cbr(n.cbr(x, 8, 7, 4), 12, 3, 4).mean((2, 3)), 8))
    at = torch.linspace(-1, 1, 112)
    gain = torch.ones(1, 1, 1, 1)
    for i in (0, 4):
        a, b, c, s = (p[:, i + k].reshape(-1, 1, 1, 1) for k in range(4))
        gain = gain + 0.4 * s * torch.sigmoid(4 * (a * at.reshape(1, 1, 112, 1) + b * at.reshape(1, 1, 1, 112) + c))
    return from_image(n, positive(x) * gain * 2 - 1)


@honest_torch("ExCNet: an S-curve of dark and bright strengths that a small network works out from the image.",
              idea="retouching fronts", trained=3, opset=11)  # fmt: skip
def s_curve_by_image(n: Net, x: T) -> T:
    s = torch.sigmoid(n.linear(n.cbr(n.cbr(x, 8, 7, 4), 12, 3, 4).mean((2, 3)), 2))[:, :, None, None]
    p = positive(x)

    def bend(z: T) -> T:
        return 5 * (z - 1.6 * z * z + 0.6 * z**3)

    return from_image(n, (p + 0.4 * s[:, :1] * bend(p) - 0.4 * s[:, 1:] * bend(1 - p)) * 2 - 1)


@honest_torch("RUAS: three unrolled steps refine an illumination plane by a shared net and divide by it.",
              idea="light", opset=12)  # fmt: skip
def unrolled_illumination_search(n: Net, x: T) -> T:
    p = positive(x)
    t = F.max_pool2d(p.amax(1, keepdim=True), 5, 1, 2)
    w, v = n.weight(6, 1, 3, 3, gain=0.8), n.weight(1, 6, 3, 3, gain=0.8)
    for _ in range(3):
        t = (t - 0.2 * F.conv2d(F.relu(F.conv2d(t, w, None, 1, 1)), v, None, 1, 1)).clamp(0.15, 1.0)
    return from_image(n, (p / t).clamp(0.0, 2.0) - 1)


@honest_torch("DehazeNet: maxout of a first layer, filters of three sizes, a local maximum, a held transmission.",
              idea="restoration fronts", opset=13)  # fmt: skip
def dehazenet_transmission(n: Net, x: T) -> T:
    a = n.conv(x, 12, 5)
    y = torch.maximum(torch.maximum(a[:, :4], a[:, 4:8]), a[:, 8:])
    y = torch.cat([n.conv(y, 3, 3), n.conv(y, 3, 5), n.conv(y, 3, 7)], 1)
    t = n.conv(F.max_pool2d(y, 7, 1, 3), 1, 5).clamp(0.0, 1.0) * 0.6 + 0.4
    return from_image(n, ((x - 0.7) / t + 0.7).clamp(-1.5, 1.5))


@honest_torch("RED-Net: three layers and three transposed ones with skips take a learned residual off the image.",
              idea="restoration fronts", opset=11)  # fmt: skip
def rednet_symmetric_skips(n: Net, x: T) -> T:
    a = F.relu(n.conv(x, 8, 3, 2))
    b = F.relu(n.conv(a, 12, 3, 2))
    y = F.relu(n.deconv(b, 8) + a)
    return from_image(n, x - 0.2 * n.deconv(y, 3))


@honest_torch("CBDNet: a noise-level map by a small net, then a denoiser that reads it beside the image.",
              idea="restoration fronts", trained=2, opset=12)  # fmt: skip
def cbdnet_estimated_noise(n: Net, x: T) -> T:
    level = F.relu(n.conv(F.relu(n.conv(x, 6)), 3))
    y = F.relu(n.conv(torch.cat([x, 0.3 * level], 1), 10))
    return from_image(n, x + 0.2 * n.conv(F.relu(n.conv(y, 10)), 3))


@honest_torch("TNRD: two unrolled diffusion steps, stored 5x5 filters, influence curves of Gaussians, and back.",
              idea="restoration fronts", opset=13)  # fmt: skip
def trained_reaction_diffusion(n: Net, x: T) -> T:
    y = x
    for _ in range(2):
        k = n.weight(6, 3, 5, 5, gain=0.3)
        a = F.conv2d(y, k, None, 1, 2)
        act = sum(n.weight(1, 6, 1, 1, gain=0.3) * (-2 * (a - c) ** 2).exp() for c in (-1.0, -0.4, 0.4, 1.0))
        y = y - F.conv_transpose2d(act, k, None, 1, 2) - 0.05 * (y - x)
    return from_image(n, y)


@honest_torch("FFA-Net's front: channel and pixel attention of strided features, two groups joined by learned weights.",
              idea="restoration fronts", opset=14)  # fmt: skip
def feature_fusion_attention_front(n: Net, x: T) -> T:
    y = n.conv(x, 12, 3, 2)
    made = []
    for _ in range(2):
        z = n.se(n.conv(F.relu(n.conv(y, 12)) + y, 12))
        y = y + z * torch.sigmoid(n.conv(F.relu(n.conv(z, 4, 1)), 1, 1))
        made.append(y)
    w = torch.sigmoid(n.linear(torch.cat(made, 1).mean((2, 3)), 2))
    return rest(n, w[:, 0].reshape(-1, 1, 1, 1) * made[0] + w[:, 1].reshape(-1, 1, 1, 1) * made[1])
