"""Honest: poolings and embedding ends of published papers that the earlier sets do not hold, each in small."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, tokens
from evaluation.blind4.register import honest_torch


def trunk(n: Net, x: T, width: int = 32) -> T:
    """Bring the image down to a map of 7 x 7 by residual units of faces."""
    x = n.cbp(x, 12, 3, 2)
    for wider in (16, 24, width):
        x = n.cb(n.cbp(n.bn(x), wider), wider, 3, 2) + n.cb(x, wider, 1, 2)
    return x


def mobile(n: Net, x: T, width: int = 32) -> T:
    """Bring the image down to a map of 7 x 7 by inverted residuals."""
    x = n.cbp(x, 12, 3, 2)
    for wider in (16, 24, width):
        x = n.inverted(x, wider, 2)
    return x


def unit(x: T, axis: int = 1) -> T:
    """Bring an axis to length one."""
    return x / (x * x).sum(axis, keepdim=True).add(1e-6).sqrt()


@honest_torch("SPoC: deep features summed with a stored Gaussian prior of the centre, to length one, whitened.",
              idea="poolings", trained=4, opset=11)  # fmt: skip
def centre_prior_sums(n: Net, x: T) -> T:
    at = torch.arange(7.0) - 3
    prior = torch.exp(-(at[:, None] ** 2 + at[None] ** 2) / 8)
    return n.linear(unit((trunk(n, x, 48) * prior).sum((2, 3))), 128)


@honest_torch("MixVPR: flattened deep maps as rows, feature mixers along the places, then channels and rows cut down.",
              idea="poolings", trained=3, opset=13)  # fmt: skip
def mixvpr_feature_mixers(n: Net, x: T) -> T:
    t = trunk(n, x).flatten(2)
    for _ in range(3):
        t = t + n.linear(F.relu(n.linear(n.ln(t), 49)), 49)
    t = n.linear(t.transpose(1, 2), 32).transpose(1, 2)
    return F.normalize(n.linear(t, 4).flatten(1), dim=1)


@honest_torch("DOLG: the part of local features orthogonal to the global one, joined with it and pooled.",
              idea="poolings", trained=3, opset=12)  # fmt: skip
def dolg_orthogonal_fusion(n: Net, x: T) -> T:
    x = trunk(n, x, 40)
    made = [n.cbr(x, 16, 3, dilation=d, padding=d) for d in (1, 2, 3)]
    local = n.conv(torch.cat(made, 1), 32, 1)
    local = unit(local) * F.softplus(n.conv(F.relu(local), 1, 1))
    whole = n.linear(x.clamp(min=1e-3).pow(3).mean((2, 3)).pow(1 / 3), 32)[:, :, None, None]
    along = (local * whole).sum(1, keepdim=True) / (whole * whole).sum(1, keepdim=True).add(1e-4) * whole
    return n.embed(torch.cat([(local - along).mean((2, 3)), whole.flatten(1)], 1), 128)


@honest_torch("SALAD: features assigned to clusters and a dustbin by three Sinkhorn rounds, standardised sums.",
              idea="poolings", opset=13, trained=4)  # fmt: skip
def salad_dustbin_assignment(n: Net, x: T) -> T:
    x = mobile(n, x)
    scores = F.pad(n.conv(F.relu(n.conv(x, 24, 1)), 8, 1).flatten(2), (0, 0, 0, 1), value=0.5)
    for _ in range(3):
        scores = scores - torch.logsumexp(scores, 1, keepdim=True)
        scores = scores - torch.logsumexp(scores, 2, keepdim=True)
    a = scores.exp()[:, :8]
    y = unit(a @ tokens(n.conv(F.relu(n.conv(x, 24, 1)), 12, 1)), 2).flatten(1)
    return unit(n.bn(torch.cat([y, n.linear(F.relu(n.linear(x.mean((2, 3)), 32)), 32)], 1)))


@honest_torch("HOW: local descriptors smoothed by a mean of 3 x 3, weighed by their lengths, whitened, summed.",
              idea="poolings", opset=11)  # fmt: skip
def how_smoothed_descriptors(n: Net, x: T) -> T:
    x = trunk(n, x, 48)
    weight = x.pow(2).sum(1, keepdim=True).add(1e-6).sqrt()
    y = unit(n.conv(F.avg_pool2d(x, 3, 1, 1, count_include_pad=False), 96, 1))
    return n.bn((y * weight).sum((2, 3)))


@honest_torch("FSPool: each channel's values sorted over the places and weighed by a stored curve.",
              idea="poolings", opset=12)  # fmt: skip
def featurewise_sorted_pool(n: Net, x: T) -> T:
    x = mobile(n, x, 64).flatten(2)
    y = x.topk(49, dim=2)[0]
    return n.embed((y * n.weight(1, 64, 49)).sum(2), 128)


@honest_torch("DPP: detail-preserving pooling, values weighed by how far they stand out from a smoothed map.",
              idea="poolings", trained=3, opset=12)  # fmt: skip
def detail_preserving_pool(n: Net, x: T) -> T:
    x = n.stem(x, 16)
    for width in (24, 32):
        x = n.cbr(x, width)
        smooth = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
        w = 0.2 + ((x - smooth).clamp(min=0).pow(2) + 1e-3).pow(0.7)
        x = F.avg_pool2d(x * w, 2) / F.avg_pool2d(w, 2)
    return n.gdc(x, 128)


@honest_torch("Spectral pooling: deep maps of 14 cut to 8 cosine frequencies by matrices, back to a map of 8 x 8.",
              idea="poolings", opset=13)  # fmt: skip
def spectral_pool_of_depth(n: Net, x: T) -> T:
    def cosines(size: int) -> T:
        at = torch.arange(float(size))
        d = torch.cos(torch.pi * (at[None] + 0.5) * at[:, None] / size) * (2 / size) ** 0.5
        return torch.cat([d[:1] / 2**0.5, d[1:]])

    m = cosines(8).t() @ cosines(14)[:8]
    x = n.res(n.down(n.stem(x, 16), 32))
    x = m @ x @ m.t()
    return n.gdc(n.down(n.res(x), 40), 128)


@honest_torch("Gaussian-based pooling at test time: mean plus the spread times a predicted softplus of both.",
              idea="poolings", trained=4, opset=11)  # fmt: skip
def gaussian_mean_and_spread(n: Net, x: T) -> T:
    x = trunk(n, x, 48)
    mean = x.mean((2, 3))
    spread = (x - mean[:, :, None, None]).pow(2).mean((2, 3)).add(1e-5).sqrt()
    g = F.softplus(n.linear(F.relu(n.bn(n.linear(torch.cat([mean, spread], 1), 24))), 48))
    return n.embed(mean + g * spread, 192)


@honest_torch("SMSO: statistically motivated second order, norms of projected features, roots and a scale.",
              idea="poolings", trained=3, opset=12)  # fmt: skip
def parametric_second_order(n: Net, x: T) -> T:
    t = tokens(n.cb(trunk(n, x, 40), 24, 1))
    t = t - t.mean(1, keepdim=True)
    z = n.linear(t, 128, bias=False).pow(2).sum(1)
    return n.bn((2 * z + 1e-3).sqrt())


@honest_torch("RepSet: the set of deep tokens is matched with stored hidden sets, best match of each element summed.",
              idea="poolings", opset=13)  # fmt: skip
def matched_hidden_sets(n: Net, x: T) -> T:
    t = tokens(n.cbp(trunk(n, x), 16, 1))
    s = F.relu(t @ n.weight(24 * 6, 16).t()).reshape(-1, 49, 24, 6)
    return n.embed(torch.cat([s.amax(3).sum(1), s.amax(1).sum(2)], 1), 96)


@honest_torch("Deep TEN: residuals of features to stored codewords, soft assignment with learned smoothing factors.",
              idea="poolings", opset=13)  # fmt: skip
def texture_encoding_residuals(n: Net, x: T) -> T:
    t = tokens(n.cbr(trunk(n, x), 16, 1))
    r = t.unsqueeze(2) - n.weight(1, 1, 8, 16, gain=2.0)
    a = (-F.softplus(n.weight(1, 1, 8)) * r.pow(2).sum(3)).softmax(2)
    e = F.normalize((a.unsqueeze(3) * r).sum(1).flatten(1), dim=1)
    return n.bn(n.linear(e, 128))


@honest_torch("SCF: a mean direction on the sphere times the concentration that a small branch predicts.",
              idea="embedding ends", trained=3, opset=11)  # fmt: skip
def sphere_confidence_scaled(n: Net, x: T) -> T:
    x = trunk(n, x)
    kappa = n.linear(F.relu(n.bn(n.linear(x.mean((2, 3)), 24))), 1)
    return unit(n.embed(x, 256)) * (1 + torch.exp(0.1 * kappa).clamp(max=10.0))


@honest_torch("A Lorentz embedding: an exponential map at the origin of the hyperboloid, its time coordinate kept.",
              idea="embedding ends", opset=12)  # fmt: skip
def lorentz_time_and_space(n: Net, x: T) -> T:
    v = 0.3 * n.embed(mobile(n, x), 64)
    r = v.pow(2).sum(1, keepdim=True).add(1e-6).sqrt().clamp(max=8.0)
    up, down = torch.exp(r), torch.exp(-r)
    return torch.cat([(up + down) / 2, (up - down) / 2 * v / r], 1)


@honest_torch("CLIP's image end as trained: unit feature times the exponential of the logit scale left behind.",
              idea="embedding ends", trained=4, opset=14)  # fmt: skip
def clip_scale_left_in(n: Net, x: T) -> T:
    t = n.patches(x, 32)
    for _ in range(2):
        t = n.block(t)
    y = n.ln(t.mean(1)) @ n.weight(32, 256)
    return torch.exp(n.weight(1) + 2.6) * y / y.norm(dim=1, keepdim=True)


@honest_torch("CORAL leftovers: one shared weight and stored ranks of quality scale the unit embedding.",
              idea="embedding ends", trained=3, opset=13)  # fmt: skip
def coral_ranked_quality(n: Net, x: T) -> T:
    x = mobile(n, x, 40)
    y = n.embed(x, 160)
    rank = n.linear(F.relu(n.linear(x.mean((2, 3)), 16)), 1, bias=False) + n.weight(1, 9)
    return unit(y) * (1 + torch.sigmoid(rank).sum(1, keepdim=True))
