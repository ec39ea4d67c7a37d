"""Honest: trunks and branches that papers on faces describe, built small."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, tokens
from evaluation.blind4.register import honest_torch
from evaluation.blind6.honest_forms import honest_form, old_names
from evaluation.blind6.honest_handed_in import to_one
from evaluation.blind14.honest_ends import deep, last, up


def ir(n: Net, x: T, width: int, s: int = 1) -> T:
    """Write a unit of insightface's iResNet."""
    y = n.cb(n.cbp(n.bn(x), width), width, 3, s)
    return y + (x if s == 1 and x.shape[1] == width else n.cb(x, width, 1, s))


@honest_torch("PETALface: two low-rank adapters beside each late layer, for good and for poor images, mixed by a "
              "quality score of the features.",
              idea="face papers", trained=4, opset=12)  # fmt: skip
def quality_mixes_two_low_rank_adapters(n: Net, x: T) -> T:
    y = ir(n, ir(n, n.cbp(x, 12, 3, 2), 16, 2), 24, 2)
    quality = torch.sigmoid(n.linear(F.relu(n.linear(y.mean((2, 3)), 12)), 1)).reshape(-1, 1, 1)
    t = tokens(ir(n, y, 32, 2))
    for _ in range(2):
        good = n.linear(n.linear(t, 4, False), 32, False)
        poor = n.linear(n.linear(t, 4, False), 32, False)
        t = t + F.gelu(n.linear(n.ln(t), 32) + quality * good + (1 - quality) * poor)
    return n.embed(t, 128)


@honest_torch("HOTFormer: atomic tokens of single places and holistic tokens of whole parts, each attending to the "
              "other kind.",
              idea="face papers", trained=3, opset=13)  # fmt: skip
def holistic_and_atomic_tokens(n: Net, x: T) -> T:
    y = last(n, x)
    atomic = tokens(y) + n.weight(1, 49, 32)
    share = n.conv(y, 6, 1).flatten(2).softmax(-1)
    holistic = n.linear(share @ atomic, 32)
    for _ in range(2):
        both = torch.cat([holistic, atomic], 1)
        both = n.block(both, 4)
        holistic, atomic = both[:, :6], both[:, 6:]
    return n.embed(torch.cat([holistic.flatten(1), atomic.mean(1)], 1), 128)


@honest_torch("MaskNet: a small branch that goes down and up again weighs every place of the middle features.",
              idea="face papers", trained=3, opset=11)  # fmt: skip
def masknet_branch_weighs_features(n: Net, x: T) -> T:
    y = n.stem(x, 20)
    m = n.down(n.down(y, 16), 24)
    m = up(n.cbr(up(m, mode="nearest"), 16, 3), mode="nearest")
    y = y * torch.sigmoid(n.conv(m, 20, 3))
    return n.gdc(n.down(ir(n, n.down(y, 28), 28), 36), 256)


@honest_torch("DebFace: identity, gender, age and race parts of one trunk, then one layer aggregates all the parts.",
              idea="face papers", opset=12)  # fmt: skip
def four_attribute_parts_aggregated(n: Net, x: T) -> T:
    y = ir(n, ir(n, n.stem(x, 16), 24, 2), 32, 2)
    parts = [n.bn(n.linear(F.relu(n.cb(y, 12, 1)).flatten(1), d)) for d in (64, 16, 16, 16)]
    return n.bn(n.linear(F.relu(torch.cat(parts, 1)), 128))


@honest_torch("Cropping and attention for masked faces: the upper rows of deep features, with CBAM gates, beside all "
              "of them.",
              idea="face papers", trained=3, opset=11)  # fmt: skip
def upper_rows_of_features_attended(n: Net, x: T) -> T:
    y = deep(n, x)
    pooled = torch.stack([y.mean((2, 3)), y.amax((2, 3))], 1)
    y = y * torch.sigmoid(n.linear(F.relu(n.linear(pooled, 8)), 32).sum(1)).reshape(-1, 32, 1, 1)
    place = torch.cat([y.mean(1, keepdim=True), y.amax(1, keepdim=True)], 1)
    y = y * torch.sigmoid(n.conv(place, 1, 7))
    upper = n.cbp(y[:, :, :8], 24, 3, 2)
    whole = n.cbp(y, 24, 3, 2)
    return n.bn(n.linear(torch.cat([upper.flatten(1), whole.mean((2, 3))], 1), 128))


@honest_torch("OREO: attention picks regions without occlusion for a local vector, a second vector is global, and "
              "they are joined.",
              idea="face papers", opset=13)  # fmt: skip
def occlusion_attention_local_and_global(n: Net, x: T) -> T:
    y = n.res(last(n, x))
    score = n.conv(F.relu(n.conv(y, 16, 1)), 1, 1).flatten(2).softmax(-1)
    local = n.linear((score @ tokens(y)).flatten(1), 64)
    return n.bn(torch.cat([local, n.linear(y.flatten(1), 64)], 1))


@honest_form("Insightface's output type J: BatchNorm, fully connected layer, LeakyReLU, norm, once more fully "
              "connected.",
              idea="face papers", norms_apart=True, forms=(old_names,), opset=11)  # fmt: skip
def output_type_j_of_insightface(n: Net, x: T) -> T:
    y = n.cbp(x, 12, 3, 2)
    for w in (16, 24, 32):
        y = ir(n, y, w, 2)
    z = n.linear(n.bn(y).flatten(1), 128)
    return n.bn(n.linear(n.bn(F.leaky_relu(z, 0.2)), 256))


@honest_form("R200 of insightface in miniature: narrow and very deep, sixteen units in the third stage.",
              idea="face papers", trained=3, before=to_one, forms=(old_names,), opset=11)  # fmt: skip
def iresnet_of_very_many_units(n: Net, x: T) -> T:
    y = n.cbp(x, 8, 3, 2)
    for w, units in ((8, 2), (12, 4), (16, 16), (24, 2)):
        y = ir(n, y, w, 2)
        for _ in range(units - 1):
            y = ir(n, y, w)
    return n.embed(n.bn(y), 512)


@honest_torch("An iResNet with an embedded Gaussian non-local block of pooled keys behind its third stage.",
              idea="face papers", trained=3, opset=12)  # fmt: skip
def iresnet_with_one_non_local_stage(n: Net, x: T) -> T:
    y = n.cbp(x, 12, 3, 2)
    for w in (16, 24):
        y = ir(n, y, w, 2)
    q, k, v = n.conv(y, 12, 1), F.max_pool2d(n.conv(y, 12, 1), 2), F.max_pool2d(n.conv(y, 12, 1), 2)
    mixed = (tokens(q) @ k.flatten(2)).softmax(-1) @ tokens(v)
    y = y + n.bn(n.conv(mixed.transpose(1, 2).reshape(-1, 12, 14, 14), 24, 1))
    return n.embed(n.bn(ir(n, y, 32, 2)), 256)


@honest_torch("An iResNet whose second layers are ResNeSt's split attention of two radices.",
              idea="face papers", opset=11)  # fmt: skip
def iresnet_of_split_attention(n: Net, x: T) -> T:
    y = n.cbp(x, 12, 3, 2)
    for w in (16, 24, 32):
        z = F.relu(n.cb(n.cbp(n.bn(y), w), 2 * w, 3, 2, 2))
        a, b = z[:, :w], z[:, w:]
        gate = n.linear(F.relu(n.bn(n.linear((a + b).mean((2, 3)), 8))), 2 * w)
        share = gate.reshape(-1, 2, w, 1, 1).softmax(1)
        y = n.bn(a * share[:, 0] + b * share[:, 1]) + n.cb(F.avg_pool2d(y, 2), w, 1)
    return n.embed(n.bn(y), 256)


@honest_torch("Orthogonal decomposition as in OE-CNN: age, pose and light directions of the features are projected out "
              "one by one.",
              idea="face papers", opset=13)  # fmt: skip
def nuisance_directions_projected_out(n: Net, x: T) -> T:
    y = last(n, x)
    e = n.linear(y.flatten(1), 128)
    for _ in range(3):
        d = F.normalize(n.linear(F.relu(n.linear(y.mean((2, 3)), 24)), 128))
        e = e - (e * d).sum(1, keepdim=True) * d
    return n.bn(e)
