"""Honest: heads that read the last features of one image in unusual ways."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, tokens
from evaluation.blind4.register import honest_torch
from evaluation.blind14.honest_ends import deep, last


def orthogonal(size: int) -> T:
    """Return a product of three reflections as a matrix."""
    turn = torch.eye(size)
    for seed in range(3):
        v = F.normalize(torch.cos(torch.arange(float(size)) * (seed + 1.7) + seed), dim=0)
        turn = turn - 2 * torch.outer(turn @ v, v)
    return turn


TURN = orthogonal(128)
#: Of a tree of depth 3: +1 where a leaf lies to the right of a node, -1 to the left, 0 where it is not below it.
PATHS = [
    [-1.0, -1.0, -1.0, -1.0, 1.0, 1.0, 1.0, 1.0],
    [-1.0, -1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0],
    [0.0, 0.0, 0.0, 0.0, -1.0, -1.0, 1.0, 1.0],
    [-1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    [0.0, 0.0, -1.0, 1.0, 0.0, 0.0, 0.0, 0.0],
    [0.0, 0.0, 0.0, 0.0, -1.0, 1.0, 0.0, 0.0],
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0, 1.0],
]


@honest_torch("Hummingbird's way: trees behind the pooled feature as comparisons, a path matrix and leaf values, "
              "joined.",
              idea="heads", trained=3, opset=12)  # fmt: skip
def trees_as_matrix_products(n: Net, x: T) -> T:
    y = n.bn(n.linear(last(n, x).flatten(1), 64))
    on = (y[:, :42] > n.weight(42)).float().reshape(-1, 6, 7)
    score = (2 * on - 1) @ torch.tensor(PATHS)
    leaves = (score > 2.5).float()
    values = torch.einsum("ntl,tlv->ntv", leaves, n.weight(6, 8, 8, gain=2.0))
    return torch.cat([y, n.linear(values.flatten(1), 48)], 1)


@honest_torch("WS-DAN's bilinear attention pooling: features under eight part maps, signed roots, no crops and no "
              "drops.",
              idea="heads", trained=3, opset=13)  # fmt: skip
def bilinear_attention_parts(n: Net, x: T) -> T:
    y = last(n, x)
    maps = n.cbr(y, 8, 1).flatten(2)
    z = maps @ y.flatten(2).transpose(1, 2) / 49
    z = torch.sign(z) * (z.abs() + 1e-6).sqrt()
    return n.embed(F.normalize(z.flatten(1), dim=1) * 8, 128)


@honest_torch("Grassmann pooling: three deep directions made orthonormal one by one, their projector's upper triangle.",
              idea="heads", opset=12)  # fmt: skip
def projector_of_three_directions(n: Net, x: T) -> T:
    t = tokens(last(n, x, 16))
    v = (n.linear(t, 3).softmax(1).transpose(1, 2) @ t) - 0.9 * t.mean(1, keepdim=True)
    kept: list[T] = []
    for i in range(3):
        u = v[:, i]
        for w in kept:
            u = u - (u * w).sum(1, keepdim=True) * w
        kept.append(u / (u.norm(dim=1, keepdim=True) + 1e-4))
    q = torch.stack(kept, 1)
    p = (q.transpose(1, 2) @ q).flatten(1)
    upper = torch.tensor([16 * i + j for i in range(16) for j in range(i, 16)])
    return n.embed(p[:, upper], 96)


@honest_torch("Kernel PCA by Nyström: Gaussian likeness to 64 stored features, then a stored matrix.",
              idea="heads", trained=3, opset=11)  # fmt: skip
def likeness_to_stored_landmarks(n: Net, x: T) -> T:
    y = F.normalize(n.bn(n.linear(last(n, x).flatten(1), 32)), dim=1)
    near = (2 * (y @ F.normalize(n.weight(64, 32), dim=1).t() - 1)).exp()
    return n.bn(n.linear(near, 96, False))


@honest_torch("SNGP's head: stored random features of a Gaussian process, cosines of a projection, a linear layer.",
              idea="heads", opset=14)  # fmt: skip
def gaussian_process_features(n: Net, x: T) -> T:
    y = n.bn(n.linear(last(n, x).flatten(1), 48))
    z = torch.cos(y @ n.weight(48, 192, gain=3.0) + 6.28 * torch.sigmoid(n.weight(192, gain=20.0)))
    return n.bn(n.linear(z * (2 / 192) ** 0.5 * 8, 128))


@honest_torch("Optimised product rotation left on: a stored orthogonal matrix, eight subspaces, each of length one.",
              idea="heads", trained=3, opset=15)  # fmt: skip
def rotated_subspaces_of_length_one(n: Net, x: T) -> T:
    y = n.gdc(last(n, x), 128)
    parts = [y @ TURN[:, i : i + 16] for i in range(0, 128, 16)]
    return torch.cat([part / (part.norm(dim=1, keepdim=True) + 1e-5) for part in parts], 1)


@honest_torch("Phase-only correlation: deep maps in frequencies by matrices, phases against stored ones, peaks read.",
              idea="heads", opset=13)  # fmt: skip
def phases_against_stored_templates(n: Net, x: T) -> T:
    y = n.conv(deep(n, x), 6, 1)
    k = torch.arange(14.0)
    turn = 2 * torch.pi * torch.outer(k, k) / 14
    c, s = torch.cos(turn), torch.sin(turn)
    re = c @ y @ c - s @ y @ s
    im = -(c @ y @ s + s @ y @ c)
    size = (re * re + im * im + 1e-4).sqrt()
    a = n.weight(6, 14, 14, gain=10.0)
    pr, pi = (re * torch.cos(a) + im * torch.sin(a)) / size, (im * torch.cos(a) - re * torch.sin(a)) / size
    field = (c @ pr @ c - s @ pr @ s - c @ pi @ s - s @ pi @ c) / 196
    return n.embed(torch.cat([F.max_pool2d(field, 2), F.avg_pool2d(y, 2)], 1), 128)


@honest_torch("FitNets: the student's hint regressor stays in the graph, its answer joins the pooled feature.",
              idea="distilled", trained=4, opset=12)  # fmt: skip
def hint_regressor_joined(n: Net, x: T) -> T:
    y = F.relu6(n.cb(x, 16, 3, 2))
    for w in (20, 28):
        y = n.inverted(y, w, 2)
    hint = n.cb(y, 48, 1)
    y = n.inverted(y, 36, 2)
    return n.embed(torch.cat([y.flatten(1), hint.mean((2, 3))], 1), 256)
