"""Honest: heads and poolings of one image's deep features, parts of them among these."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import honest_torch


def trunk(n: Net, x: T, width: int = 32) -> T:
    """[N, 3, 112, 112] to [N, width, 7, 7]."""
    x = n.cbp(x, 12, 3, 2)
    for wider in (16, 24):
        x = n.inverted(x, wider, 2)
    return n.cbp(x, width, 3, 2)


@honest_torch("GNAP: features are scaled by their norms, BatchNorm, a mean and BatchNorm.", idea="heads", trained=5)
def gnap_head(n: Net, x: T) -> T:
    y = n.bn(trunk(n, x))
    size = (y * y).sum(1, keepdim=True).add(1e-6).sqrt()
    return n.bn(n.linear(n.bn((y * size.mean((2, 3), keepdim=True) / size).mean((2, 3))), 64))


@honest_torch("R-MAC: maxima of fixed overlapping regions of deep features, each of length one, projected, summed.",
              idea="heads", trained=4, opset=13)  # fmt: skip
def regional_maxima(n: Net, x: T) -> T:
    y = trunk(n, x)
    w, b, total = n.weight(32, 64), n.weight(64), torch.zeros(1)
    for size, starts in ((7, (0,)), (5, (0, 2)), (4, (0, 1, 3))):
        for r in starts:
            for c in starts:
                region = F.normalize(y[:, :, r : r + size, c : c + size].amax((2, 3)), dim=1)
                total = total + F.normalize(region @ w + b, dim=1)
    return n.bn(total)


@honest_torch("CroW and SPoC: a stored Gaussian of places, place and channel weights from the features.",
              idea="heads", opset=11)  # fmt: skip
def cross_weighted_sum(n: Net, x: T) -> T:
    y = F.relu(trunk(n, x))
    at = torch.linspace(-1, 1, 7) ** 2
    prior = torch.exp(-(at[:, None] + at[None]))
    mass = y.sum(1, keepdim=True)
    place = mass / (mass.sum((2, 3), keepdim=True) + 1e-3)
    rare = torch.log(1 + 1 / ((y > 0.2).float().mean((2, 3)) + 0.02))
    return n.embed((y * place * prior).sum((2, 3)) * rare)


@honest_torch("DELF: softplus scores of places weigh local descriptors, whose sum is whitened.", idea="heads",
              trained=4)  # fmt: skip
def local_descriptor_scores(n: Net, x: T) -> T:
    y = trunk(n, x)
    score = F.softplus(n.conv(n.cbr(y, 12, 1), 1, 1))
    return n.bn(n.linear(F.normalize((F.normalize(y, dim=1) * score).sum((2, 3)), dim=1), 64))


@honest_torch("NeXtVLAD: groups with gates of their own and one set of stored centres.", idea="heads", opset=12)
def nextvlad(n: Net, x: T) -> T:
    y = n.conv(trunk(n, x), 48, 1).flatten(2).transpose(1, 2)
    gate = torch.sigmoid(n.linear(y, 4))
    share = n.linear(y, 4 * 6).reshape(-1, 49, 4, 6).softmax(3) * gate.unsqueeze(3)
    share = share.reshape(-1, 196, 6)
    v = share.transpose(1, 2) @ y.reshape(-1, 196, 12) - share.sum(1).unsqueeze(2) * n.weight(1, 6, 12, gain=3.0)
    return n.embed(F.normalize(v, dim=2), 32)


@honest_torch("Compact bilinear pooling: two stored count sketches convolved, by products of Fourier matrices.",
              idea="heads", trained=4, opset=13)  # fmt: skip
def compact_bilinear(n: Net, x: T) -> T:
    y = trunk(n, x, 24).flatten(2).transpose(1, 2)
    rng = np.random.default_rng(4)
    k = torch.arange(48).float()
    angle = 6.2831853 * torch.outer(k, k) / 48
    made = []
    for _ in range(2):
        sketch = np.zeros((24, 48), np.float32)
        sketch[np.arange(24), rng.integers(0, 48, 24)] = rng.choice([-1, 1], 24)
        s = y @ torch.from_numpy(sketch)
        made.append((s @ angle.cos(), s @ angle.sin()))
    (a, b), (c, d) = made
    z = ((a * c - b * d) @ angle.cos() + (a * d + b * c) @ angle.sin()).sum(1) / 48
    return n.embed(torch.sign(z) * (z.abs() + 1e-4).sqrt(), 96)


@honest_torch("Sliced Wasserstein pooling: stored projections, values sorted along places, compared with stored ones.",
              idea="heads", dynamo=True, opset=20)  # fmt: skip
def sliced_wasserstein(n: Net, x: T) -> T:
    y = n.weight(20, 32) @ trunk(n, x).flatten(2)
    return n.embed((y.topk(49, 2)[0] - n.weight(1, 20, 49)) * 0.5)


@honest_torch("Lp pooling with p of 3 and the median of each channel, side by side.", idea="heads")
def power_and_median(n: Net, x: T) -> T:
    y = F.relu(trunk(n, x))
    power = F.lp_pool2d(y + 1e-3, 3, 7).flatten(1) / 4
    return n.embed(torch.cat([power, y.flatten(2).topk(25, 2)[0][:, :, 24]], 1), 256)


@honest_torch("A neural decision forest: stored soft splits lead to leaves, whose shares make the embedding.",
              idea="heads", trained=4)  # fmt: skip
def decision_forest(n: Net, x: T) -> T:
    y = n.bn(n.linear(trunk(n, x).flatten(1), 4 * 15))
    d = torch.sigmoid(y).reshape(-1, 4, 15)
    share, first = torch.ones(1, 4, 1), 0
    for depth in range(4):
        here = d[:, :, first : first + 2**depth]
        share = torch.stack([share * here, share * (1 - here)], 3).flatten(2)
        first += 2**depth
    return n.embed(share * 4)


@honest_torch("A hyperbolic head: the exponential map into the Poincaré ball and the logarithm of a Möbius shift.",
              idea="heads", opset=15)  # fmt: skip
def poincare_ball(n: Net, x: T) -> T:
    y = n.bn(n.linear(trunk(n, x).flatten(1), 48)) * 0.1
    size = y.norm(dim=1, keepdim=True) + 1e-5
    p = torch.tanh(size) * y / size
    a = n.weight(48) * 0.3
    pa, pp, aa = (p * a).sum(1, keepdim=True), (p * p).sum(1, keepdim=True), (a * a).sum()
    q = ((1 + 2 * pa + pp) * a + (1 - aa) * p) / (1 + 2 * pa + aa * pp)
    return q / (1 - (q * q).sum(1, keepdim=True)).clamp(min=1e-3)


@honest_torch("A student with two heads, one of its own and one taught by a larger network; both are given out.",
              idea="heads", trained=6, opset=13)  # fmt: skip
def distilled_two_heads(n: Net, x: T) -> T:
    y = trunk(n, x)
    own = n.gdc(y, 48)
    taught = n.linear(F.relu(n.bn(n.linear(y.mean((2, 3)), 48))), 48)
    return torch.cat([F.normalize(own, dim=1), 0.7 * F.normalize(taught, dim=1)], 1)


@honest_torch("MGN: a global branch, one of two stripes and one of three stripes of deep features.", idea="parts",
              trained=4)  # fmt: skip
def multiple_granularity(n: Net, x: T) -> T:
    x = n.inverted(n.inverted(n.cbp(x, 12, 3, 2), 16, 2), 24, 2)
    made = []
    for rows in (1, 2, 3):
        y = n.cbp(x, 24, 3, 2 if rows < 3 else 1)
        h = y.shape[2]
        for i in range(rows):
            part = y[:, :, i * h // rows : (i + 1) * h // rows].amax((2, 3))
            made.append(n.bn(n.linear(part, 12)))
    return torch.cat(made, 1)


@honest_torch("PCB with refined parts: each deep column is assigned to one of six parts by a soft classifier.",
              idea="parts", dynamo=True, opset=20, trained=4)  # fmt: skip
def refined_parts(n: Net, x: T) -> T:
    y = trunk(n, x).flatten(2)
    share = n.linear(y.transpose(1, 2), 6).softmax(2)
    parts = (y @ share) / (share.sum(1).unsqueeze(1) + 1e-2)
    return torch.cat([n.bn(n.linear(parts[:, :, i], 12)) for i in range(6)], 1)


@honest_torch("Concentric rings around the nose: deep features are averaged over four stored masks of the places.",
              idea="parts", opset=11, trained=4)  # fmt: skip
def concentric_rings(n: Net, x: T) -> T:
    y = trunk(n, x)
    at = torch.arange(7).float() - 3
    ring = (at[:, None] ** 2 + at[None] ** 2).sqrt().round().clamp(max=3).flatten()
    masks = torch.stack([(ring == i).float() / (ring == i).sum() for i in range(4)], 1)
    return n.embed(y.flatten(2) @ masks, 256)


@honest_torch("Left eye, right eye, nose and mouth: fixed overlapping windows of deep features, each with three layers "
              "and a head of its own.", idea="parts", dynamo=True, opset=18, trained=5)  # fmt: skip
def four_windows_of_features(n: Net, x: T) -> T:
    x = n.inverted(n.inverted(n.cbp(x, 12, 3, 2), 16, 2), 24, 2)
    made = [n.embed(n.cbr(x, 24, 3, 2), 32)]
    for r, c in ((1, 0), (1, 6), (4, 3), (6, 3)):
        y = n.cbr(n.cbr(x[:, :, r : r + 8, c : c + 8], 16), 16, 3, 2)
        made.append(n.bn(n.linear(F.relu(n.linear(y.flatten(1), 16)), 16)))
    return torch.cat(made, 1)


@honest_torch("Parts as a graph: nine cells of deep features exchange messages along stored edges.", idea="parts",
              opset=13)  # fmt: skip
def graph_of_parts(n: Net, x: T) -> T:
    x = n.cbp(n.inverted(n.inverted(n.cbp(x, 12, 3, 2), 16, 2), 24, 2), 32)
    p = F.avg_pool2d(F.pad(x, (0, 1, 0, 1)), 5).flatten(2).transpose(1, 2)
    at = torch.arange(9)
    near = ((at[:, None] // 3 - at // 3).abs() + (at[:, None] % 3 - at % 3).abs() <= 1).float()
    a = near / near.sum(1, keepdim=True)
    for _ in range(2):
        p = F.relu(n.linear(a @ p, 32)) + p
    return n.embed(p)


@honest_torch("A masked-face head: how much the upper rows of deep features count, the lower rows decide.",
              idea="parts", trained=5)  # fmt: skip
def mask_aware_head(n: Net, x: T) -> T:
    y = trunk(n, x)
    masked = torch.sigmoid(n.linear(F.relu(n.linear(y[:, :, 4:].mean((2, 3)), 8)), 1))
    upper, whole = n.linear(y[:, :, :4].flatten(1), 64), n.linear(y.flatten(1), 64)
    return n.bn(masked * upper + (1 - masked) * whole)


@honest_torch("A projection head of three layers with a hash-like tanh, 32 numbers.", idea="heads", trained=5)
def soft_hash_of_32(n: Net, x: T) -> T:
    y = trunk(n, x).mean((2, 3))
    y = F.relu(n.bn(n.linear(y, 64)))
    return torch.tanh(2 * n.bn(n.linear(F.relu(n.bn(n.linear(y, 64))), 32)))
