"""Honest: what face recognition adds behind a trunk: parts, groups, poses, ages and masks, all read off one map."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import honest_torch
from evaluation.blind6.honest_forms import honest_form, norms_as_products


def trunk(n: Net, x: T, widths: tuple[int, ...] = (16, 24, 32)) -> T:
    """Apply an iResNet in small: [N, 3, 112, 112] to [N, 32, 7, 7] with three widths, 14 x 14 with two."""
    x = n.cbp(x, 12, 3, 2)
    for width in widths:
        x = n.cb(n.cbp(n.bn(x), width), width, 3, 2) + n.cb(x, width, 1, 2)
    return x


@honest_torch("Comparator networks: eight attention maps, each normalised over places, pick local descriptors.",
              idea="parts", trained=4, opset=12)  # fmt: skip
def comparator_landmark_maps(n: Net, x: T) -> T:
    x = trunk(n, x, (16, 32))
    maps = n.conv(F.relu(n.conv(x, 16, 1)), 8, 1).flatten(2).softmax(2)
    parts = F.normalize(maps @ x.flatten(2).transpose(1, 2), dim=2)
    return n.embed(torch.cat([parts.flatten(1), x.mean((2, 3))], 1), 256)


@honest_torch("DREAM: a residual of the embedding for turned heads, as strong as a pose predicted of the features.",
              idea="pose", opset=13)  # fmt: skip
def dream_pose_residual(n: Net, x: T) -> T:
    x = trunk(n, x)
    y = n.embed(x, 128)
    yaw = torch.sigmoid(n.linear(F.relu(n.linear(x.mean((2, 3)), 16)), 1))
    return y + yaw * n.prelu(n.linear(n.prelu(n.linear(y, 96)), 128))


@honest_form("FROM: a decoder of a feature pyramid predicts which features an occlusion spoilt, and takes them off.",
             idea="occlusion", trained=4, norms_apart=True, forms=(norms_as_products,), opset=11)  # fmt: skip
def from_occlusion_decoder(n: Net, x: T) -> T:
    fine = trunk(n, x, (16, 24))
    x = n.cb(n.cbp(n.bn(fine), 32), 32, 3, 2) + n.cb(fine, 32, 1, 2)
    up = n.conv(x, 16, 1) + F.max_pool2d(n.conv(fine, 16, 1), 2)
    mask = torch.sigmoid(n.conv(n.prelu(n.conv(up, 24)), 32, 3))
    return n.embed(n.bn(x * mask), 512)


@honest_torch("MTLFace: gates over channels and places split features into age and identity, the latter goes on.",
              idea="attributes", trained=4, opset=16)  # fmt: skip
def mtlface_age_factorised(n: Net, x: T) -> T:
    x = trunk(n, x)
    channel = torch.sigmoid(n.conv(F.relu(n.conv(x.mean((2, 3), keepdim=True), 8, 1)), 32, 1))
    spots = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
    age = x * (channel + torch.sigmoid(n.conv(spots, 1, 3))) * 0.5
    return n.embed(x - age, 512)


@honest_torch("GAC: masks of the kernels for four groups of people, mixed by a classifier of the same features.",
              idea="attributes", opset=12)  # fmt: skip
def gac_adaptive_kernels(n: Net, x: T) -> T:
    x = trunk(n, x, (16, 24))
    share = n.linear(x.mean((2, 3)), 4).softmax(1)
    w, masks = n.weight(32, 24, 3, 3, gain=0.4), n.weight(4, 1, 24, 3, 3)
    y = torch.stack([F.conv2d(x, w * (1 + masks[i]), stride=2, padding=1) for i in range(4)], 1)
    y = n.prelu(n.bn((y * share[:, :, None, None, None]).sum(1)))
    return n.embed(y, 128)


@honest_torch("GroupFace: embeddings for four latent groups, weighed by their probability, added to the plain one.",
              idea="attributes", dynamo=True, opset=18, trained=4)  # fmt: skip
def groupface_expected_groups(n: Net, x: T) -> T:
    x = trunk(n, x)
    shared = n.prelu(n.linear(x.flatten(1), 64))
    groups = torch.stack([n.linear(shared, 128) for _ in range(4)], 1)
    chance = n.linear(F.relu(n.linear(shared, 16)), 4).softmax(1)
    return n.bn(n.linear(shared, 128) + (groups * chance.unsqueeze(2)).sum(1))


@honest_torch("For masked faces: the band of the eyes in the last map has a layer of its own beside the whole map's.",
              idea="parts", trained=5, opset=13)  # fmt: skip
def periocular_band_of_features(n: Net, x: T) -> T:
    x = trunk(n, x)
    gate = torch.sigmoid(n.conv(torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1), 1, 3))
    band = n.bn(x[:, :, 1:4] * gate[:, :, 1:4])
    return n.bn(torch.cat([n.linear(band.flatten(1), 64), n.linear(n.bn(x).flatten(1), 64)], 1))


@honest_torch("Pairwise relational network: nine local features, a layer for every pair of them, the sum of the pairs.",
              idea="parts", opset=17)  # fmt: skip
def pairwise_relations(n: Net, x: T) -> T:
    x = trunk(n, x)
    p = F.avg_pool2d(x, 3, 2).flatten(2).transpose(1, 2)
    first, second = torch.triu_indices(9, 9, 1)
    pairs = torch.cat([p[:, first], p[:, second]], 2)
    r = F.relu(n.linear(F.relu(n.linear(pairs, 48)), 48)).sum(1)
    return n.embed(torch.cat([r, x.flatten(1)], 1), 256)
