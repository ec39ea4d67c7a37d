"""Honest: layers of bands, norms, activations and conditions that papers propose, in ordinary face trunks."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind4.register import honest_torch
from evaluation.blind14.honest_ends import deep, last, up


def cosines(size: int) -> T:
    """Return the orthonormal matrix of the cosine transform."""
    i = torch.arange(size).float()
    made = torch.cos(math.pi * (2 * i.reshape(1, size) + 1) * i.reshape(size, 1) / (2 * size)) * (2 / size) ** 0.5
    made[0] /= 2**0.5
    return made


@honest_torch("MWCNN: Haar bands of deep features in place of pooling, and the inverse on the way up, with sums.",
              idea="bands", opset=11)  # fmt: skip
def haar_bands_down_and_up(n: Net, x: T) -> T:
    signs = torch.tensor([[1.0, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]]) / 2
    y = deep(n, x, 16)
    kernel = signs.reshape(4, 1, 2, 2).repeat(16, 1, 1, 1)
    z = n.cbr(F.conv2d(y, kernel, stride=2, groups=16), 64)
    back = F.conv_transpose2d(n.conv(z, 64, 1), kernel, stride=2, groups=16)
    return n.gdc(n.down(F.relu(y + back), 40), 128)


@honest_torch("DCT-Former: attention runs on the few lowest cosine coefficients of the token sequence.",
              idea="bands", trained=3, opset=12)  # fmt: skip
def attention_on_low_cosines(n: Net, x: T) -> T:
    t = tokens(last(n, x)) + n.weight(1, 49, 32)
    basis = cosines(49)[:16]
    for _ in range(2):
        low = n.attention(basis @ n.ln(t))
        t = t + basis.T @ low
        t = t + n.ff(n.ln(t))
    return n.embed(t, 128)


@honest_torch("Frequency dynamic convolution: low and high parts of deep features weighed place by place, then one "
              "layer.",
              idea="bands", opset=13)  # fmt: skip
def bands_modulated_place_by_place(n: Net, x: T) -> T:
    y = deep(n, x)
    for _ in range(2):
        low = F.avg_pool2d(y, 3, 1, 1, count_include_pad=False)
        lower = F.avg_pool2d(y, 7, 1, 3, count_include_pad=False)
        gate = torch.sigmoid(n.conv(y, 3, 3)) * 2
        z = gate[:, :1] * (y - low) + gate[:, 1:2] * (low - lower) + gate[:, 2:] * lower
        y = y + n.cbr(z, 32)
    return n.gdc(n.down(y, 40), 128)


@honest_torch("Adaptive anti-aliasing: a 3x3 low-pass for each place and group, made of the deep features, before "
              "each stride.",
              idea="bands", trained=3, opset=11)  # fmt: skip
def low_pass_made_of_features(n: Net, x: T) -> T:
    y = n.stem(x, 16)
    for w in (24, 32):
        c, side = int(y.shape[1]), int(y.shape[2])
        share = n.cb(y, 2 * 9, 3).reshape(-1, 2, 9, side, side).softmax(2)
        p = F.pad(y, (1, 1, 1, 1))
        near = torch.stack([p[:, :, i : i + side, j : j + side] for i in range(3) for j in range(3)], 2)
        z = (near.reshape(-1, 2, c // 2, 9, side, side) * share.unsqueeze(2)).sum(3)
        y = n.cbr(z.reshape(-1, c, side, side)[:, :, ::2, ::2], w)
    return n.gdc(y, 128)


@honest_torch("FLC pooling: strides of deep features by cutting the high half of their cosine coefficients.",
              idea="bands", opset=12)  # fmt: skip
def strides_by_low_cosine_cut(n: Net, x: T) -> T:
    y = n.stem(x, 16)
    for w, side in ((24, 28), (32, 14)):
        y = n.cbr(y, w)
        fold = cosines(side // 2).T @ cosines(side)[: side // 2] * 0.5**0.5
        y = F.relu(fold @ y @ fold.T)
    return n.gdc(y, 128)


@honest_torch("AFFNet: an adaptive mask on cosine coefficients of deep maps, made of the coefficients by a group "
              "layer.",
              idea="bands", trained=3, opset=13)  # fmt: skip
def adaptive_mask_on_coefficients(n: Net, x: T) -> T:
    y = deep(n, x)
    c = cosines(14)
    for _ in range(2):
        f = c @ n.ln2d(y) @ c.T
        mask = n.conv(F.relu(n.conv(f, 32, 1, 1, 4)), 32, 1, 1, 4)
        y = y + c.T @ (f * torch.tanh(mask)) @ c
        y = y + n.conv(F.gelu(n.cb(y, 48, 1)), 32, 1)
    return n.gdc(n.down(y, 40), 128)


@honest_torch("PONO with moment shortcuts: mean and deviation across channels are taken off early and put back late.",
              idea="norms", trained=3, opset=11)  # fmt: skip
def moments_taken_and_given_back(n: Net, x: T) -> T:
    y = n.conv(n.stem(x, 20), 24, 3)
    mean = y.mean(1, keepdim=True)
    std = ((y - mean).pow(2).mean(1, keepdim=True) + 1e-5).sqrt()
    z = F.relu(n.bn(n.conv((y - mean) / std, 32, 3, 2)))
    z = n.cb(up(n.cbr(z, 24)), 24)
    return n.gdc(n.down(n.down(F.relu(z * std + mean), 32), 40), 128)


@honest_torch("Group whitening: channels in groups of eight are whitened over one image's places by Newton's rounds.",
              idea="norms", opset=12)  # fmt: skip
def groups_whitened_within_image(n: Net, x: T) -> T:
    y = deep(n, x)
    z = n.conv(y, 32, 1).reshape(-1, 8, 4 * 196)
    z = z - z.mean(2, keepdim=True)
    cov = z @ z.transpose(1, 2) / 784 + 1e-2 * torch.eye(8)
    trace = (cov * torch.eye(8)).sum((1, 2), keepdim=True)
    p = torch.eye(8) + 0 * cov
    for _ in range(5):
        p = 1.5 * p - 0.5 * p @ p @ p @ (cov / trace)
    z = (p / trace.sqrt() @ z).reshape(-1, 32, 14, 14)
    return n.gdc(n.down(F.relu(n.bn(z) + y), 40), 128)


@honest_torch("Batch and layer statistics mixed: BCN, a stored gate per channel between a BatchNorm and a norm over "
              "channels.",
              idea="norms", trained=3, opset=18, dynamo=True)  # fmt: skip
def batch_channel_norm_units(n: Net, x: T) -> T:
    y = x
    for w in (12, 20, 28, 36):
        y = n.conv(y, w, 3, 2, bias=False)
        g = torch.sigmoid(n.weight(1, w, 1, 1, gain=3.0))
        y = F.relu(g * n.bn(y) + (1 - g) * n.ln2d(y))
    return n.gdc(y, 256)


@honest_torch("Derf: the error function of scaled features in place of each norm of a small vision transformer.",
              idea="norms", opset=16)  # fmt: skip
def error_function_for_norms(n: Net, x: T) -> T:
    def derf(v: T) -> T:
        return torch.erf((0.6 + n.weight(1)) * v + n.weight(1)) * (1 + n.weight(32)) + n.weight(32)

    t = n.patches(x, 32, 16)
    for _ in range(3):
        t = t + n.attention(derf(t), 4)
        t = t + n.ff(derf(t))
    return n.embed(derf(t).mean(1), 128)


@honest_torch("Phish, logish and bent identity: three seldom activations in the three stages of a mobile trunk.",
              idea="activations", trained=3, opset=11)  # fmt: skip
def three_seldom_activations(n: Net, x: T) -> T:
    y = n.cbp(x, 12, 3, 2)
    y = n.cb(y, 20, 3, 2)
    y = y * torch.tanh(F.gelu(y))
    y = n.cb(y, 28, 3, 2)
    y = y * torch.log(1 + torch.sigmoid(y))
    y = n.cb(y, 36, 3, 2)
    y = ((y * y + 1).sqrt() - 1) / 2 + y
    return n.gdc(y, 128)


@honest_torch("RReLU as it is at test time, soft shrinkage and a hard hyperbolic tangent in a residual face trunk.",
              idea="activations", opset=12)  # fmt: skip
def shrinkage_and_leaky_mean_units(n: Net, x: T) -> T:
    y = F.leaky_relu(n.cb(x, 12, 3, 2), 11 / 48)
    for w in (16, 24, 32):
        z = n.cb(F.leaky_relu(n.cb(n.bn(y), w), 11 / 48), w, 3, 2)
        y = z - z.clamp(-0.2, 0.2) + n.cb(y, w, 1, 2)
    return n.embed(F.hardtanh(n.bn(y), -2.0, 2.0), 128)


@honest_torch("Spatially adaptive computation: each deep place adds units until its halting scores pass one.",
              idea="conditions", opset=13)  # fmt: skip
def places_halt_by_themselves(n: Net, x: T) -> T:
    y = deep(n, x)
    total, left = 0 * y, 0 * y[:, :1] + 1
    for i in range(3):
        y = n.res(y)
        h = torch.sigmoid(n.conv(y, 1, 3) + n.conv(y.mean((2, 3), keepdim=True), 1, 1)) if i < 2 else 0 * left + 1
        use = torch.minimum(h, left)
        total, left = total + use * y, left - use
    return n.gdc(n.down(total, 40), 128)


@honest_torch("DynConv: a rounded mask of the features decides where each deep residual unit is added.",
              idea="conditions", opset=16)  # fmt: skip
def units_added_where_mask_says(n: Net, x: T) -> T:
    y = deep(n, x)
    for _ in range(3):
        mask = (n.conv(n.cbr(y, 8, 3), 1, 1) > 0).float()
        y = F.relu(y + mask * n.cb(n.cbr(y, 32), 32))
    return n.gdc(n.down(y, 40), 128)


@honest_torch("BAT-ResNeXt of timm: bilinear attention, two maps of affinities over rows and columns applied from both "
              "sides.",
              idea="attention in trunks", trained=3, opset=12)  # fmt: skip
def affinities_from_both_sides(n: Net, x: T) -> T:
    y = deep(n, x)
    for _ in range(2):
        z = n.cbr(y, 8, 1)
        p = n.conv(F.relu(n.conv(z.mean(3, keepdim=True), 16, 1)), 14, 1).transpose(1, 3).squeeze(1)
        q = n.conv(F.relu(n.conv(z.mean(2, keepdim=True), 16, 1)), 14, 1).squeeze(2)
        z = torch.sigmoid(p).unsqueeze(1) / 7 @ z @ (torch.sigmoid(q).unsqueeze(1) / 7)
        y = y + n.cb(z, 32, 1)
    return n.gdc(n.down(y, 40), 128)


@honest_torch("Feature pyramid transformer: deep places attend to the level above and below by rendering and "
              "grounding.",
              idea="levels", opset=13)  # fmt: skip
def levels_rendered_and_grounded(n: Net, x: T) -> T:
    b = deep(n, x, 24)
    c = n.down(b, 24)
    q, k, v = tokens(n.conv(b, 24, 1)), tokens(n.conv(c, 24, 1)), tokens(c)
    ground = grid((q @ k.transpose(1, 2) * 0.2).softmax(-1) @ v, 14, 14)
    render = c * torch.sigmoid(n.conv(b.mean((2, 3), keepdim=True), 24, 1)) + n.cb(b, 24, 3, 2)
    z = torch.cat([n.down(torch.cat([b, ground], 1), 24), render], 1)
    return n.gdc(n.cbr(z, 40, 1), 128)


@honest_torch("M2Det: thinned U-shaped modules in a row make several pyramids, gates of channels aggregate their "
              "scales.",
              idea="levels", opset=11)  # fmt: skip
def several_thin_pyramids_gated(n: Net, x: T) -> T:
    base = deep(n, x, 24)
    z, fine, coarse = base, [], []
    for _ in range(2):
        a = n.cbr(z, 16)
        b = n.down(a, 16)
        a = n.cbr(a + up(b, mode="nearest"), 16, 1)
        fine.append(a)
        coarse.append(b)
        z = torch.cat([base, a], 1)
    f, c = n.se(torch.cat(fine, 1)), n.se(torch.cat(coarse, 1))
    return n.gdc(n.cbr(torch.cat([F.max_pool2d(f, 2), c], 1), 40, 1), 128)


@honest_torch("STDN: scale transfer, channels of the last dense block laid out as places, and pooled ones, are joined.",
              idea="levels", opset=12)  # fmt: skip
def channels_laid_out_as_places(n: Net, x: T) -> T:
    y = last(n, x, 24)
    for _ in range(3):
        y = torch.cat([y, n.cbr(n.cbr(y, 24, 1), 8)], 1)
    large = n.same(y, lambda: nn.PixelShuffle(2))
    a = n.down(large, 24)
    b = n.cbr(F.avg_pool2d(y, 3, 1, 1), 24, 1)
    return n.gdc(torch.cat([a, b], 1), 128)
