"""Honest: first stages about colour, light and skin that the earlier sets do not hold; one look at the image."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, tokens
from evaluation.blind4.register import honest_torch


def face(n: Net, x: T, dim: int = 128) -> T:
    """Write a small residual network of faces."""
    x = n.cbp(x, 16, 3, 2)
    for w in (20, 28, 36):
        x = n.cb(n.cbp(x, w, 3, 2), w) + n.cb(x, w, 1, 2)
    return n.embed(n.bn(x), dim)


def unit(x: T) -> T:
    """Bring -1 to 1 to a little above 0 to 1."""
    return (x * 0.5 + 0.5).clamp(0.0, 1.0) + 0.004


def turned(x: T, *rows: list[float]) -> T:
    """Mix the colours by a stored matrix."""
    return F.conv2d(x, torch.tensor(rows)[:, :, None, None])


def quantiser(v: T) -> T:
    """Return the perceptual quantiser of light between 0 and 1 (SMPTE ST 2084)."""
    p = (v.clamp(min=1e-4)) ** 0.1593
    return ((0.8359 + 18.8516 * p) / (1 + 18.6875 * p)) ** 8.0


@honest_torch("JzAzBz: cone answers through the perceptual quantiser, a stored matrix to lightness and two opponents.",
              idea="colour planes", trained=3, opset=12)  # fmt: skip
def jzazbz_planes(n: Net, x: T) -> T:
    lms = turned(unit(x) ** 2.2, [0.35, 0.6, 0.05], [0.2, 0.7, 0.1], [0.05, 0.15, 0.8])
    y = turned(quantiser(lms), [0.5, 0.5, 0.0], [3.524, -4.0667, 0.5427], [0.1991, 1.0968, -1.2959])
    return face(n, n.bn(y))


@honest_torch("ICtCp of wide-range video: stored cone mix, quantiser curve, intensity and two colour axes.",
              idea="colour planes", opset=13)  # fmt: skip
def ictcp_planes_mobile(n: Net, x: T) -> T:
    lms = turned(unit(x) ** 2.2, [0.412, 0.524, 0.064], [0.167, 0.72, 0.113], [0.024, 0.075, 0.901])
    y = turned(quantiser(lms), [0.5, 0.5, 0.0], [1.614, -3.323, 1.709], [4.378, -4.245, -0.133])
    y = n.cbp(n.bn(y), 16, 3, 2)
    for w in (20, 28, 36):
        y = n.inverted(y, w, 2)
    return n.gdc(y, 128)


@honest_torch("Kubelka and Munk: each colour as absorption over scattering, (1 - R) squared over 2 R, its logarithm.",
              idea="skin and paint", trained=3, opset=11)  # fmt: skip
def kubelka_munk_planes(n: Net, x: T) -> T:
    r = unit(x) * 0.95
    return face(n, n.bn(torch.log((1 - r) ** 2 / (2 * r) + 0.02)))


@honest_torch("Tsumura's skin pigments: density split by a stored matrix into melanin, haemoglobin and shading.",
              idea="skin and paint", opset=14)  # fmt: skip
def melanin_and_haemoglobin(n: Net, x: T) -> T:
    density = -torch.log(unit(x))
    y = turned(density, [1.9, -0.9, -0.4], [-0.8, 2.1, -0.7], [0.33, 0.33, 0.33])
    return face(n, n.bn(y))


@honest_torch("FC4: local estimates of the light's colour weighed by predicted confidence, the image is divided by it.",
              idea="light", trained=3, opset=12)  # fmt: skip
def confidence_weighted_white(n: Net, x: T) -> T:
    v = unit(x)
    y = n.conv(F.relu(n.conv(F.relu(n.conv(F.avg_pool2d(v, 4), 8)), 12, 3, 2)), 4, 1)
    light = (torch.sigmoid(y[:, :3]) * torch.sigmoid(y[:, 3:])).sum((2, 3), keepdim=True)
    light = light / light.pow(2).sum(1, keepdim=True).sqrt()
    return face(n, (v / (light * 1.732 + 0.1)) * 2 - 1)


@honest_torch("SfSNet: normals and nine spherical-harmonic lights are predicted, the image is divided by the shading.",
              idea="light", opset=13)  # fmt: skip
def spherical_harmonic_shading(n: Net, x: T) -> T:
    y = F.relu(n.conv(F.relu(n.conv(x, 8)), 8))
    m = F.normalize(n.conv(y, 3) + torch.tensor([0.0, 0.0, 1.0]).reshape(1, 3, 1, 1), dim=1)
    light = n.linear(F.relu(n.conv(y, 16, 3, 4)).mean((2, 3)), 9)[:, :, None, None] * 0.2
    a, b, c = m.chunk(3, 1)
    basis = torch.cat([torch.ones_like(a), a, b, c, a * b, a * c, b * c, a * a - b * b, 3 * c * c - 1], 1)
    shade = F.softplus((basis * light).sum(1, keepdim=True) + 1) + 0.2
    return face(n, unit(x) / shade * 2 - 1)


@honest_torch("Bradford adaptation: the image's own mean in sharpened cones is brought to a stored white, then back.",
              idea="light", trained=3, opset=15)  # fmt: skip
def bradford_adapted(n: Net, x: T) -> T:
    m = np.array([[0.45, 0.52, 0.03], [0.08, 0.86, 0.06], [0.02, 0.1, 0.88]])
    cones = turned(unit(x), *m.tolist())
    gain = 0.5 / (cones.mean((2, 3), keepdim=True) + 0.05)
    return face(n, turned(cones * gain, *np.linalg.inv(m).tolist()) - 0.5)


@honest_torch("The ACES filmic curve of Narkowicz with stored numbers, and the linear pixels beside it.",
              idea="light", opset=11)  # fmt: skip
def aces_fitted_curve(n: Net, x: T) -> T:
    v = unit(x) ** 2.2
    y = v * (2.51 * v + 0.03) / (v * (2.43 * v + 0.59) + 0.14)
    return face(n, torch.cat([y * 2 - 1, v], 1))


@honest_torch("CIE xyY: chromaticities of a stored matrix and the luminance's cube root, each with a stem of its own.",
              idea="colour planes", opset=13)  # fmt: skip
def cie_xyy_two_stems(n: Net, x: T) -> T:
    xyz = turned(unit(x) ** 2.2, [0.412, 0.358, 0.18], [0.213, 0.715, 0.072], [0.019, 0.119, 0.95])
    shares = xyz[:, :2] / xyz.sum(1, keepdim=True)
    y = torch.cat([n.cbr(shares * 3 - 1, 6, 5, 2), n.cbr(xyz[:, 1:2] ** (1 / 3), 10, 3, 2)], 1)
    for w in (20, 28, 36):
        y = n.res(n.down(y, w))
    return n.embed(y, 128)


@honest_torch("Slant transform of 8 x 8 blocks, orthogonal saw-teeth of stored numbers, tokens of blocks into a ViT.",
              idea="block stems", opset=14)  # fmt: skip
def slant_transform_tokens(n: Net, x: T) -> T:
    ramp = np.stack([np.linspace(-1, 1, 8) ** p * (1 if p < 2 else np.sign(np.sin(p * np.arange(8) + 0.7)))
                     for p in range(8)], 1)  # fmt: skip
    basis = torch.from_numpy(np.linalg.qr(ramp)[0].T.astype(np.float32))
    bank = torch.einsum("ik,jl->ijkl", basis, basis).reshape(64, 1, 8, 8)
    y = F.conv2d(x, bank.repeat(3, 1, 1, 1), stride=8, groups=3)
    t = tokens(n.down(n.cbr(y, 32, 1), 32)) + n.weight(1, 49, 32)
    return n.embed(n.ln(n.block(n.block(t))), 128)


@honest_torch("Gauss-Hermite jets: stored derivatives up to order three at stride 2, mixed by a layer.",
              idea="block stems", trained=3, opset=11)  # fmt: skip
def gauss_hermite_jets(n: Net, x: T) -> T:
    u = np.arange(-4, 5) / 1.6
    g = np.exp(-(u**2) / 2)
    h = [g, u * g, (u**2 - 1) * g, (u**3 - 3 * u) * g]
    pairs = [np.outer(h[i], h[j]) for i in range(4) for j in range(4) if i + j < 4]
    bank = torch.from_numpy(np.stack([p / np.abs(p).sum() for p in pairs])[:, None].astype(np.float32))
    y = F.conv2d(x, bank.repeat(3, 1, 1, 1), stride=2, padding=4, groups=3)
    y = n.cbr(n.bn(y), 20, 1)
    for w in (24, 32, 40):
        y = n.res(n.down(y, w))
    return n.gdc(y, 128)
