"""Honest: first layers and corrections of light and colour that the earlier sets do not hold, one look each."""

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


def each(x: T, kernels: T, s: int = 2) -> T:
    """Apply stored kernels [K, h, w] to each channel."""
    c, (k, h, w) = int(x.shape[1]), kernels.shape
    return F.conv2d(x, kernels.reshape(1, k, 1, h, w).expand(c, k, 1, h, w).reshape(c * k, 1, h, w), None, s,
                    (h // 2, w // 2), 1, c)  # fmt: skip


def stored(array: Any) -> T:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))


@honest_torch("Walsh-Hadamard patches of 4 x 4 with stored signs, a learned gain for each sequency.",
              idea="stored filters", trained=4, opset=11)  # fmt: skip
def hadamard_patch_stem(n: Net, x: T) -> T:
    two = np.array([[1.0, 1.0], [1.0, -1.0]])
    four = np.kron(two, two)
    k = stored(np.einsum("ai,bj->abij", four, four).reshape(16, 1, 4, 4) / 16)
    y = F.conv2d(x, k.repeat(3, 1, 1, 1), None, 4, 0, 1, 3)
    y = n.cbp(y * (1 + n.weight(1, 48, 1, 1)), 24, 1)
    return n.gdc(n.cbp(n.cbp(y, 32, 3, 2), 40, 3, 2), 128)


@honest_torch("Daubechies' four-tap wavelet by stored kernels of stride 2, bands scaled and joined.",
              idea="stored filters", opset=12)  # fmt: skip
def daubechies_four_stem(n: Net, x: T) -> T:
    r = 3**0.5
    low = np.array([1 + r, 3 + r, 3 - r, 1 - r]) / (4 * 2**0.5)
    high = low[::-1] * np.array([1, -1, 1, -1])
    k = stored([np.outer(a, b) for a in (low, high) for b in (low, high)])
    y = F.conv2d(F.pad(x, (1, 1, 1, 1)), k.reshape(4, 1, 4, 4).repeat(3, 1, 1, 1), None, 2, 0, 1, 3)
    return rest(n, n.cbp(y, 16, 1))


@honest_torch("Log-Gabor filters made in frequencies and stored, the lengths of even and odd answers.",
              idea="stored filters", trained=3, opset=13)  # fmt: skip
def log_gabor_lengths(n: Net, x: T) -> T:
    f = np.fft.fftfreq(11)
    fy, fx = np.meshgrid(f, f, indexing="ij")
    r, made = np.hypot(fx, fy) + 1e-6, []
    for centre in (0.14, 0.28):
        for turn in range(4):
            far = np.cos(np.arctan2(fy, fx) - turn * np.pi / 4)
            pass_band = np.exp(-(np.log(r / centre) ** 2) / 0.6) * np.exp(-((1 - far) ** 2) / 0.2) * (r > 1e-3)
            k = np.fft.fftshift(np.fft.ifft2(pass_band))
            made.append(2 * np.stack([k.real, k.imag]))
    k = stored(np.concatenate(made)).reshape(16, 1, 11, 11)
    y = F.conv2d((x * LUMA).sum(1, keepdim=True), k, None, 2, 5).reshape(-1, 8, 2, 56, 56)
    y = (y.pow(2).sum(2) + 1e-4).sqrt()
    return rest(n, torch.cat([n.cbp(x, 8, 3, 2), y], 1))


@honest_torch("Laws' texture energies: products of level, edge and spot masks, absolute values pooled by 4.",
              idea="stored filters", opset=11)  # fmt: skip
def laws_texture_energies(n: Net, x: T) -> T:
    masks = np.array([[1, 4, 6, 4, 1], [-1, -2, 0, 2, 1], [-1, 0, 2, 0, -1], [1, -4, 6, -4, 1]]) / 8
    k = stored([np.outer(a, b) for a in masks for b in masks][1:])
    y = F.avg_pool2d(each(x, k, 1).abs(), 4)
    y = n.cbp(n.bn(y), 24, 1)
    return n.gdc(n.cbp(n.cbp(y, 32, 3, 2), 40, 3, 2), 96)


@honest_torch("Schmid's ring filters, which look the same from all sides, and a learned layer for the rest.",
              idea="stored filters", opset=12)  # fmt: skip
def schmid_ring_answers(n: Net, x: T) -> T:
    at = np.arange(11) - 5
    r, made = np.hypot(at[:, None], at[None]), []
    for sigma, tau in ((1, 1), (2, 1), (2, 2), (3, 2)):
        k = np.cos(np.pi * tau * r / sigma) * np.exp(-(r**2) / (2 * sigma**2))
        made.append((k - k.mean()) / np.abs(k - k.mean()).sum() * 3)
    return rest(n, torch.cat([n.cbp(x, 8, 3, 2), F.relu(n.bn(each(x, stored(made))))], 1))


@honest_torch("Farid and Simoncelli's five-tap slopes: both slopes over their common length, and the length.",
              idea="stored filters", opset=13)  # fmt: skip
def farid_simoncelli_slopes(n: Net, x: T) -> T:
    p = np.array([0.0376593, 0.249153, 0.426375, 0.249153, 0.0376593])
    d = np.array([0.109604, 0.276691, 0.0, -0.276691, -0.109604])
    y = each(x, stored([np.outer(p, d), np.outer(d, p)])).reshape(-1, 3, 2, 56, 56)
    size = (y.pow(2).sum(2, keepdim=True) + 1e-3).sqrt()
    y = torch.cat([(y / size).flatten(1, 2), size.flatten(1, 2)], 1)
    return rest(n, torch.cat([n.bn(y), n.cb(x, 6, 3, 2)], 1))


@honest_torch("BSIF: eight stored filters of patches, each answer a soft bit, bits read by convolutions.",
              idea="stored filters", trained=3, opset=11)  # fmt: skip
def soft_bits_of_patch_filters(n: Net, x: T) -> T:
    q = np.linalg.qr(np.random.default_rng(11).normal(0, 1, (49, 9)))[0].T[1:].reshape(8, 7, 7)
    q = q - q.mean((1, 2), keepdims=True)
    bits = torch.sigmoid(6 * each((x * LUMA).sum(1, keepdim=True), stored(q)))
    return rest(n, torch.cat([bits, n.cbp(x, 8, 3, 2)], 1))


@honest_torch("Local ternary patterns: each of eight neighbours brighter, darker or neither, by soft steps.",
              idea="stored filters", opset=12)  # fmt: skip
def soft_ternary_neighbours(n: Net, x: T) -> T:
    k = np.zeros((9, 3, 3))
    k[np.arange(9), np.arange(9) // 3, np.arange(9) % 3] = 1
    k[:, 1, 1] -= 1
    d = each((x * LUMA).sum(1, keepdim=True), stored(np.delete(k, 4, 0)))
    return rest(n, torch.cat([torch.sigmoid(20 * (d - 0.05)), torch.sigmoid(-20 * (d + 0.05)), n.cb(x, 8, 3, 2)], 1))


@honest_torch("Centre-symmetric patterns: differences of opposite neighbours at radius 1 and 2, hyperbolic tangents.",
              idea="stored filters", trained=3, opset=13)  # fmt: skip
def centre_symmetric_differences(n: Net, x: T) -> T:
    made = []
    for r in (1, 2):
        for dy, dx in ((0, r), (r, r), (r, 0), (r, -r)):
            k = np.zeros((5, 5))
            k[2 + dy, 2 + dx], k[2 - dy, 2 - dx] = 1, -1
            made.append(k)
    return rest(n, torch.tanh(4 * each(x, stored(made))))


@honest_torch("Entropy of soft histograms of each cell of 8 x 8, a plane that joins the features of that size.",
              idea="stored filters", opset=11)  # fmt: skip
def entropy_of_cells(n: Net, x: T) -> T:
    grey = (x * LUMA).sum(1, keepdim=True)
    bins = torch.linspace(-0.9, 0.9, 8).reshape(1, 8, 1, 1)
    h = F.avg_pool2d((-((grey - bins) ** 2) * 20).exp(), 8) + 1e-4
    h = h / h.sum(1, keepdim=True)
    entropy = -(h * h.log()).sum(1, keepdim=True)
    y = n.cbp(n.cbp(n.cbp(x, 12, 3, 2), 20, 3, 2), 28, 3, 2)
    return n.gdc(n.cbp(torch.cat([y, n.bn(entropy)], 1), 32, 3, 2), 128)


@honest_torch("Morphology: dilation less erosion and what an opening takes off, planes beside the colours.",
              idea="light and shape", opset=11)  # fmt: skip
def morphological_gradient_planes(n: Net, x: T) -> T:
    grey = (x * LUMA).sum(1, keepdim=True)
    wide, thin = F.max_pool2d(grey, 3, 1, 1), -F.max_pool2d(-grey, 3, 1, 1)
    opened = F.max_pool2d(-F.max_pool2d(-grey, 5, 1, 2), 5, 1, 2)
    return from_image(n, torch.cat([x, wide - thin, grey - opened], 1))


@honest_torch("A guided filter by itself: the smooth base, and the detail with a learned gain added to it.",
              idea="light and shape", opset=12)  # fmt: skip
def guided_filter_detail_gain(n: Net, x: T) -> T:
    def mean(z: T) -> T:
        return F.avg_pool2d(z, 9, 1, 4, count_include_pad=False)

    m = mean(x)
    var = mean(x * x) - m * m
    a = var / (var + 0.02)
    base = mean(a) * x + mean(m - a * m)
    return from_image(n, base + (x - base) * (1 + F.softplus(n.weight(1, 3, 1, 1))))


@honest_torch("LIME: the brightest colour smoothed is the light, the image is divided by a power of it.",
              idea="light and shape", trained=3, opset=13)  # fmt: skip
def lime_divided_by_light(n: Net, x: T) -> T:
    p = x * 0.5 + 0.5
    light = F.avg_pool2d(p.amax(1, keepdim=True), 15, 1, 7, count_include_pad=False).clamp(min=0.05)
    return from_image(n, (p / light.pow(0.6)) * 2 - 1, 256)


@honest_torch("Naka and Rushton's adaptation of photoreceptors: light over light plus its local and global mean.",
              idea="light and shape", opset=11)  # fmt: skip
def naka_rushton_receptors(n: Net, x: T) -> T:
    p = x * 0.5 + 0.5
    local = F.avg_pool2d(p, 31, 1, 15, count_include_pad=False)
    half = 0.5 * local + 0.5 * p.mean((1, 2, 3), keepdim=True) + 0.05
    return from_image(n, 2 * p / (p + half) - 1)


@honest_torch("Dark channel: the haze is estimated from the darkest colour of each neighbourhood and taken off.",
              idea="light and shape", trained=3, opset=12)  # fmt: skip
def dark_channel_dehazed(n: Net, x: T) -> T:
    p = x * 0.5 + 0.5
    dark = -F.max_pool2d(-p.amin(1, keepdim=True), 15, 1, 7)
    haze = F.avg_pool2d(dark, 15, 1, 7, count_include_pad=False)
    through = (1 - 0.8 * haze).clamp(min=0.3)
    return from_image(n, ((p - 0.9) / through + 0.9) * 2 - 1)


@honest_torch("AOD-Net: three small layers at full size predict K, and the image becomes K x - K + 1.",
              idea="light and shape", trained=3, opset=11)  # fmt: skip
def aod_net_front(n: Net, x: T) -> T:
    a = F.relu(n.conv(x, 3, 1))
    b = F.relu(n.conv(a, 3))
    k = F.relu(n.conv(torch.cat([a, b], 1), 3, 5) + 1)
    return from_image(n, F.relu(k * x - k + 1))


@honest_torch("A small encoder and decoder predicts where skin is; the image is weighed by it before the network.",
              idea="light and shape", trained=4, opset=13)  # fmt: skip
def soft_parsing_mask_front(n: Net, x: T) -> T:
    a = n.cbr(x, 8, 3, 2)
    b = n.cbr(a, 12, 3, 2)
    up = F.interpolate(n.cbr(b, 8), scale_factor=2.0, mode="bilinear", align_corners=False) + a
    mask = torch.sigmoid(n.conv(F.interpolate(up, scale_factor=2.0, mode="bilinear", align_corners=False), 1))
    return from_image(n, x * mask)


@honest_torch("YCoCg: luma in a stem of its own, both chroma planes in a narrower one of stride 2, joined.",
              idea="colours", opset=12)  # fmt: skip
def ycocg_separate_stems(n: Net, x: T) -> T:
    m = torch.tensor([[0.25, 0.5, 0.25], [0.5, 0.0, -0.5], [-0.25, 0.5, -0.25]]).reshape(3, 3, 1, 1)
    y = F.conv2d(x, m)
    return rest(n, torch.cat([n.cbp(y[:, :1], 12, 5, 2), n.cbp(y[:, 1:], 6, 3, 2)], 1))


@honest_torch("HDRNet: coarse affine colour maps for six levels of light, chosen softly by each pixel's own luma.",
              idea="colours", opset=13)  # fmt: skip
def bilateral_grid_colours(n: Net, x: T) -> T:
    low = F.relu(n.conv(F.relu(n.conv(F.avg_pool2d(x, 4), 8, 3, 2)), 12, 3, 2))
    cells = 0.2 * n.conv(low, 6 * 6, 3)
    cells = F.interpolate(cells, size=(112, 112), mode="bilinear", align_corners=False).reshape(-1, 6, 6, 112, 112)
    levels = torch.linspace(-1, 1, 6).reshape(1, 6, 1, 1)
    hat = F.relu(1 - 2.5 * ((x * LUMA).sum(1, keepdim=True) - levels).abs())
    gain, shift = (cells * hat.unsqueeze(2)).sum(1).chunk(2, 1)
    return from_image(n, x * (1 + gain) + shift)


@honest_torch("Unsharp masking with one learned amount for each colour, then the network.", idea="light and shape",
              trained=3, opset=11)  # fmt: skip
def unsharp_learned_amount(n: Net, x: T) -> T:
    g = np.exp(-((np.arange(5) - 2.0) ** 2) / 2.4)
    blur = each(x, stored(np.outer(g, g) / g.sum() ** 2)[None], 1)
    return from_image(n, x + (x - blur) * (0.6 + n.weight(1, 3, 1, 1, gain=0.3)), 96)


@honest_torch("Random Fourier features of patches: cosines of stored projections of 8 x 8 cells, then attention.",
              idea="stored filters", opset=13)  # fmt: skip
def cosines_of_patch_projections(n: Net, x: T) -> T:
    y = torch.cos(n.conv(x, 48, 8, 8, padding=0)) * 0.2
    t = n.linear(y.flatten(2).transpose(1, 2), 32) + n.weight(1, 196, 32, gain=2.0)
    for _ in range(2):
        t = n.block(t)
    return n.embed(n.ln(t).mean(1), 128)
