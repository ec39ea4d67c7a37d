"""Honest: first stages of colour, light, frequency and restoration that the earlier sets do not hold, one look each."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import honest_torch

#: Red, green and blue in luma.
LUMA = torch.tensor([0.299, 0.587, 0.114]).reshape(1, 3, 1, 1)


def rest(n: Net, x: T, dim: int = 128) -> T:
    """Go from features of 56 x 56 to the embedding."""
    for width in (16, 24, 32):
        x = n.cbp(x, width, 3, 2)
        x = x + n.cb(n.cbp(x, width, 3, 1, -1), width, 1)
    return n.gdc(x, dim)


def from_image(n: Net, x: T, dim: int = 128) -> T:
    """Go from a corrected image to the embedding."""
    return rest(n, n.cbp(x, 12, 3, 2), dim)


def stored(array: Any) -> T:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))


def blocks(n: Net, x: T, basis: Any, dim: int = 128) -> T:
    """Transform blocks of 8 x 8 of each colour by a stored orthogonal basis [8, 8], and read the bands."""
    k = stored(np.einsum("ai,bj->abij", basis, basis).reshape(64, 1, 8, 8))
    y = F.conv2d(x, k.repeat(3, 1, 1, 1), None, 8, 0, 1, 3)
    y = n.cbp(y, 48, 1)
    y = y + n.cb(n.cbp(y, 48, 3), 48)
    return n.gdc(n.cbp(y, 48, 3, 2), dim)


@honest_torch("The discrete Hartley transform of 8 x 8 blocks, stored cosines plus sines as a strided layer.",
              idea="frequency stems", trained=4, opset=11)  # fmt: skip
def hartley_block_stem(n: Net, x: T) -> T:
    turn = 2 * np.pi * np.outer(np.arange(8), np.arange(8)) / 8
    return blocks(n, x, (np.cos(turn) + np.sin(turn)) / 8**0.5)


@honest_torch("Discrete Tchebichef moments of 8 x 8 blocks, stored polynomials as a strided layer.",
              idea="frequency stems", opset=12)  # fmt: skip
def tchebichef_moment_stem(n: Net, x: T) -> T:
    q, _ = np.linalg.qr(np.vander(np.linspace(-1, 1, 8), 8, increasing=True))
    return blocks(n, x, q.T, 256)


@honest_torch("Saak transform: two stages of stored orthogonal patches of 2 x 2, ReLU of both signs of each answer.",
              idea="frequency stems", trained=3, opset=13)  # fmt: skip
def saak_sign_to_place(n: Net, x: T) -> T:
    rng = np.random.default_rng(5)
    y = x
    for keep in (12, 24):
        c = int(y.shape[1])
        q, _ = np.linalg.qr(rng.normal(0, 1, (4 * c, 4 * c)))
        y = F.conv2d(y, stored(q[: keep // 2]).reshape(keep // 2, c, 2, 2), None, 2)
        y = torch.cat([F.relu(y), F.relu(-y)], 1)
    y = n.cbp(n.bn(y), 24, 3, 1)
    return n.gdc(n.cbp(n.cbp(y, 32, 3, 2), 40, 3, 2), 128)


@honest_torch("Shearlets: stored slanted wavelets at three shears and two scales beside a strided layer.",
              idea="frequency stems", opset=11)  # fmt: skip
def shearlet_answers(n: Net, x: T) -> T:
    at = np.arange(9) - 4.0
    v, u = np.meshgrid(at, at, indexing="ij")
    made = []
    for scale in (1.2, 2.2):
        for shear in (-1, 0, 1):
            for a, b in ((u + shear * v, v), (v + shear * u, u)):
                k = (1 - (a / scale) ** 2) * np.exp(-((a / scale) ** 2) / 2 - (b / (2 * scale)) ** 2 / 2)
                k -= k.mean()
                made.append(k / np.abs(k).sum() * 3)
    y = F.conv2d((x * LUMA).sum(1, keepdim=True), stored(np.stack(made))[:, None], None, 2, 4)
    return rest(n, torch.cat([n.bn(y), n.cbp(x, 8, 3, 2)], 1))


@honest_torch("Zernike moments of each 8 x 8 cell about its middle, real and imaginary parts up to order four.",
              idea="frequency stems", opset=13)  # fmt: skip
def zernike_moments_of_cells(n: Net, x: T) -> T:
    at = (np.arange(12) - 5.5) / 6
    v, u = np.meshgrid(at, at, indexing="ij")
    r, a = np.hypot(u, v), np.arctan2(v, u)
    radial = {(0, 0): 1 + 0 * r, (1, 1): r, (2, 0): 2 * r**2 - 1, (2, 2): r**2, (3, 1): 3 * r**3 - 2 * r, (3, 3): r**3,
              (4, 0): 6 * r**4 - 6 * r**2 + 1, (4, 2): 4 * r**4 - 3 * r**2, (4, 4): r**4}  # fmt: skip
    made = []
    for (_, m), values in radial.items():
        made += [values * np.cos(m * a), values * np.sin(m * a)] if m else [values]
    k = stored(np.stack(made) * (r <= 1) / 40).reshape(-1, 1, 12, 12)
    y = n.cbp(n.bn(F.conv2d(x, k.repeat(3, 1, 1, 1), None, 4, 4, 1, 3)), 32, 1)
    return n.gdc(n.cbp(n.cbp(y, 32, 3, 2), 40, 3, 2), 128)


@honest_torch("Ruderman's l-alpha-beta: logarithms of cone answers, decorrelated by a stored matrix.",
              idea="colours", opset=12)  # fmt: skip
def ruderman_log_cones(n: Net, x: T) -> T:
    lms = stored([[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]])
    turn = stored([[0.577, 0.577, 0.577], [0.408, 0.408, -0.816], [0.707, -0.707, 0.0]])
    y = (F.conv2d(x * 0.5 + 0.5, lms[:, :, None, None]).clamp(min=0.0) + 0.02).log()
    return from_image(n, n.bn(F.conv2d(y, turn[:, :, None, None])))


@honest_torch("Oklab: light undone by a power, cone answers, cube roots, a second stored matrix.", idea="colours",
              trained=3, opset=13)  # fmt: skip
def oklab_planes(n: Net, x: T) -> T:
    a = stored([[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]])
    b = stored([[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]])
    p = (x * 0.5 + 0.5).clamp(min=0.0) + 1e-3
    y = (F.conv2d(p**2.2, a[:, :, None, None]) + 1e-4) ** (1 / 3)
    return from_image(n, n.bn(F.conv2d(y, b[:, :, None, None])), 256)


@honest_torch("CMYK: the share of black taken out first, then cyan, magenta and yellow over what is left.",
              idea="colours", opset=11)  # fmt: skip
def cyan_magenta_yellow_black(n: Net, x: T) -> T:
    p = x * 0.5 + 0.5
    light = p.amax(1, keepdim=True)
    return from_image(n, torch.cat([(light - p) / (light + 0.05), 1 - light], 1) * 2 - 1)


@honest_torch("Geusebroek's Gaussian colour model: energy, and its two slopes over wavelength as shares of it.",
              idea="colours", trained=3, opset=12)  # fmt: skip
def gaussian_colour_model(n: Net, x: T) -> T:
    m = stored([[0.06, 0.63, 0.27], [0.3, 0.04, -0.35], [0.34, -0.6, 0.17]])
    e = F.conv2d(x * 0.5 + 0.5, m[:, :, None, None])
    first = e[:, :1]
    return from_image(n, n.bn(torch.cat([first, e[:, 1:] / (first + 0.1)], 1)))


@honest_torch("Finlayson's log-chromaticities: logarithms less their mean, two planes by a stored base, and the mean.",
              idea="colours", opset=11)  # fmt: skip
def log_chromaticity_plane(n: Net, x: T) -> T:
    y = (x * 0.5 + 0.55).clamp(min=0.02).log()
    m = y.mean(1, keepdim=True)
    base = stored([[0.7071, -0.7071, 0.0], [0.4082, 0.4082, -0.8165]])
    return from_image(n, torch.cat([F.conv2d(y - m, base[:, :, None, None]), m], 1))


@honest_torch("Zero-DCE++: one curve map predicted at a quarter of the size, brought up, applied six times.",
              idea="light", trained=3, opset=13)  # fmt: skip
def zero_dce_plus_curves(n: Net, x: T) -> T:
    low = F.relu(n.conv(n.conv(F.avg_pool2d(x, 4), 3, 3, 1, -1), 12, 1))
    a = F.relu(n.conv(n.conv(low, 12, 3, 1, -1), 12, 1))
    a = torch.tanh(n.conv(torch.cat([a, low], 1), 3, 1))
    a = F.interpolate(a, size=(112, 112), mode="bilinear", align_corners=False)
    p = x * 0.5 + 0.5
    for _ in range(6):
        p = p + a * 0.3 * (p * p - p)
    return from_image(n, p * 2 - 1)


@honest_torch("SCI: one small light estimator adds a residual, the image is divided by the light it gives.",
              idea="light", trained=4, opset=11)  # fmt: skip
def self_calibrated_light(n: Net, x: T) -> T:
    p = x * 0.5 + 0.5
    y = F.relu(n.conv(p, 3))
    y = y + F.relu(n.cb(y, 3))
    light = (torch.sigmoid(n.conv(y, 3)) + p).clamp(0.1, 1.0)
    return from_image(n, (p / light).clamp(0, 1) * 2 - 1)


@honest_torch("RetinexNet: layers split the image in reflectance and light, the light is adjusted, then their product.",
              idea="light", trained=3, opset=12)  # fmt: skip
def retinexnet_split_and_adjust(n: Net, x: T) -> T:
    p = x * 0.5 + 0.5
    y = F.relu(n.conv(n.conv(torch.cat([p.amax(1, keepdim=True), p], 1), 8, 5), 8))
    y = torch.sigmoid(n.conv(y, 4) + 1)
    reflectance, light = y[:, :3], y[:, 3:]
    low = F.relu(n.conv(F.relu(n.conv(light, 8, 3, 2)), 8))
    low = F.interpolate(low, size=(112, 112), mode="nearest")
    return from_image(n, reflectance * torch.sigmoid(n.conv(low, 1) + n.conv(light, 1)) * 2 - 1)


@honest_torch("IAT: gains and shifts of each pixel by a local branch, a colour matrix and gamma by stored queries.",
              idea="light", trained=3, opset=13)  # fmt: skip
def illumination_adaptive_front(n: Net, x: T) -> T:
    p = x * 0.5 + 0.5
    y = n.conv(F.relu(n.conv(p, 8)), 8, 3, 1, -1)
    p = (p * (1 + torch.tanh(n.conv(y, 3)) * 0.3) + torch.tanh(n.conv(y, 3)) * 0.2).clamp(0.01, 1)
    t = n.conv(F.relu(n.conv(F.avg_pool2d(p, 4), 12, 3, 2)), 16, 3, 2).flatten(2).transpose(1, 2)
    q = n.weight(1, 10, 16)
    a = (q @ n.linear(t, 16).transpose(1, 2) * 0.25).softmax(2) @ n.linear(t, 16)
    v = n.linear(a, 1).squeeze(2) * 0.2
    m = torch.eye(3) + v[:, :9].reshape(-1, 3, 3)
    p = (m @ p.flatten(2)).reshape(-1, 3, 112, 112).clamp(0.01, 1)
    return from_image(n, p ** v[:, 9:].exp().reshape(-1, 1, 1, 1) * 2 - 1)


@honest_torch("Image-adaptive 3D tables: three stored colour tables of 5 levels, their mix predicted for each image.",
              idea="colours", opset=12)  # fmt: skip
def mixed_colour_tables(n: Net, x: T) -> T:
    w = n.linear(F.relu(n.conv(F.relu(n.conv(F.avg_pool2d(x, 4), 8, 3, 2)), 8, 3, 2)).mean((2, 3)), 3)
    levels = torch.linspace(-1, 1, 5).reshape(1, 1, 5, 1, 1)
    hat = F.relu(1 - 2 * (x.unsqueeze(2) - levels).abs())
    cube = hat[:, 0].unsqueeze(2) * hat[:, 1].unsqueeze(1)
    cube = cube.reshape(-1, 25, 1, 12544) * hat[:, 2].reshape(-1, 1, 5, 12544)
    table = (0.5 + w) @ n.weight(3, 3 * 125, gain=6.0)
    y = (table.reshape(-1, 3, 125) @ cube.reshape(-1, 125, 12544)).reshape(-1, 3, 112, 112)
    return from_image(n, x + 0.3 * y)


@honest_torch("Exposure fusion of Mertens in one image: three exposures weighed pixel by pixel by how well exposed.",
              idea="light", opset=11)  # fmt: skip
def fused_exposures_one_image(n: Net, x: T) -> T:
    p = x * 0.5 + 0.5
    shots = torch.stack([p * p, p, 1 - (1 - p) ** 2], 1)
    well = (-((shots - 0.5) ** 2).sum(2) * 8).exp()
    w = (well / well.sum(1, keepdim=True)).unsqueeze(2)
    return from_image(n, (shots * w).sum(1) * 2 - 1)


@honest_torch("Auto-levels by stored soft clips: each image to its own mean and three deviations, by a logistic curve.",
              idea="light", trained=3, opset=12)  # fmt: skip
def logistic_contrast_by_itself(n: Net, x: T) -> T:
    m = x.mean((1, 2, 3), keepdim=True)
    s = ((x - m) ** 2).mean((1, 2, 3), keepdim=True).sqrt() + 0.05
    return from_image(n, torch.sigmoid(1.7 * (x - m) / s) * 2 - 1)


@honest_torch("ARCNN: four layers at full size that take blocks of JPEG away, trained with the rest.",
              idea="restoration", trained=3, opset=11)  # fmt: skip
def artefact_removing_front(n: Net, x: T) -> T:
    y = F.relu(n.conv(F.relu(n.conv(x, 8, 9)), 6, 7))
    return from_image(n, n.conv(F.relu(n.conv(y, 6, 1)), 3, 5) + x)


@honest_torch("FFDNet: the image in four phases and a stored noise level, five layers, the phases put back together.",
              idea="restoration", trained=3, opset=13)  # fmt: skip
def ffdnet_noise_level(n: Net, x: T) -> T:
    y = F.pixel_unshuffle(x, 2)
    y = torch.cat([y, torch.full_like(y[:, :1], 0.1)], 1)
    y = F.relu(n.conv(y, 12))
    for _ in range(2):
        y = F.relu(n.cb(y, 12))
    return from_image(n, x - 0.3 * F.pixel_shuffle(n.conv(y, 12), 2))


@honest_torch("NAFNet in front: simple gates (halves multiplied) and channel scales at full size, added to the image.",
              idea="restoration", trained=3, opset=14)  # fmt: skip
def nafnet_simple_gates(n: Net, x: T) -> T:
    y = n.conv(x, 6)
    a, b = n.conv(n.conv(n.ln2d(y), 12, 1), 12, 3, 1, -1).chunk(2, 1)
    z = a * b
    y = y + n.conv(z * n.conv(z.mean((2, 3), keepdim=True), 6, 1), 6, 1) * n.weight(1, 6, 1, 1)
    a, b = n.conv(n.ln2d(y), 12, 1).chunk(2, 1)
    y = y + n.conv(a * b, 6, 1) * n.weight(1, 6, 1, 1)
    return from_image(n, x + n.conv(y, 3))


@honest_torch("PReNet: a recurrent residual of the image by a shared cell, three rounds from the image itself.",
              idea="restoration", opset=12)  # fmt: skip
def prenet_recurrent_rounds(n: Net, x: T) -> T:
    first, gate, back = n.weight(8, 6, 3, 3, gain=0.4), n.weight(16, 8, 3, 3, gain=0.4), n.weight(3, 8, 3, 3, gain=0.2)
    y = x
    for _ in range(3):
        h = F.relu(F.conv2d(torch.cat([x, y], 1), first, None, 1, 1))
        a, b = F.conv2d(h, gate, None, 1, 1).chunk(2, 1)
        y = x - F.conv2d(torch.sigmoid(a) * torch.tanh(b), back, None, 1, 1)
    return from_image(n, y)


@honest_torch("GLADNet: light estimated on means of 8 x 8, brought back to size beside the image, joined by layers.",
              idea="light", opset=13)  # fmt: skip
def gladnet_global_light(n: Net, x: T) -> T:
    low = n.cbr(n.cbr(F.avg_pool2d(x, 8), 12), 8)
    low = F.interpolate(low, size=(112, 112), mode="bilinear", align_corners=True)
    y = F.relu(n.conv(torch.cat([low, x], 1), 8))
    return from_image(n, torch.tanh(n.conv(F.relu(n.conv(y, 8)), 3)))


@honest_torch("LLFlow's colour map: each pixel over the mean of its own colours, and the logarithm of that mean.",
              idea="light", opset=12)  # fmt: skip
def colour_map_over_mean(n: Net, x: T) -> T:
    p = (x * 0.5 + 0.5).clamp(min=0.0) + 0.03
    m = p.mean(1, keepdim=True)
    return from_image(n, torch.cat([p / m - 1, m.log() + 1], 1))
