"""Honest: poolings and ends of embeddings from papers that the earlier sets do not hold."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, tokens
from evaluation.blind4.register import honest_torch


def face(n: Net, x: T, width: int = 40) -> T:
    """Write a small iResNet up to its last map of 7 x 7."""
    x = n.cbp(x, 12, 3, 2)
    for w in (16, 24, width):
        x = n.cb(n.cbp(n.bn(x), w), w, 3, 2) + n.cb(x, w, 1, 2)
    return n.bn(x)


@honest_torch("Arithmetic, geometric and harmonic means of positive deep maps, side by side.", idea="poolings",
              trained=3, opset=12)  # fmt: skip
def three_classical_means(n: Net, x: T) -> T:
    y = F.softplus(face(n, x)) + 0.05
    kinds = [y.mean((2, 3)), torch.exp(torch.log(y).mean((2, 3))), 1 / (1 / y).mean((2, 3))]
    return n.embed(torch.cat(kinds, 1), 128)


@honest_torch("ECAPA's attentive statistics: each channel has its own weights over places, with global context.",
              idea="poolings", opset=13)  # fmt: skip
def channelwise_attentive_statistics(n: Net, x: T) -> T:
    y = face(n, x, 32).flatten(2)
    m = y.mean(2, keepdim=True)
    s = ((y - m).pow(2).mean(2, keepdim=True) + 1e-4).sqrt()
    z = torch.cat([y, m.expand_as(y), s.expand_as(y)], 1).transpose(1, 2)
    w = n.linear(torch.tanh(n.linear(z, 16)), 32).softmax(1).transpose(1, 2)
    m = (w * y).sum(2)
    s = ((w * y * y).sum(2) - m * m).clamp(min=1e-4).sqrt()
    return n.embed(n.bn(torch.cat([m, s], 1)), 192)


@honest_torch("MQMHA: four heads of channels, two queries each, pool means and deviations of the places.",
              idea="poolings", trained=3, opset=14)  # fmt: skip
def multi_query_multi_head_pooling(n: Net, x: T) -> T:
    t = tokens(face(n, x, 32)).reshape(-1, 49, 4, 8)
    w = (t.unsqueeze(3) * n.weight(1, 1, 4, 2, 8, gain=3.0)).sum(4).softmax(1).unsqueeze(4)
    m = (w * t.unsqueeze(3)).sum(1)
    s = ((w * t.unsqueeze(3).pow(2)).sum(1) - m * m).clamp(min=1e-4).sqrt()
    return n.embed(torch.cat([m.flatten(1), s.flatten(1)], 1), 128)


@honest_torch("DiffPool: places softly assigned to eight clusters, features and adjacency coarsened, a layer.",
              idea="poolings", opset=15)  # fmt: skip
def differentiable_graph_pooling(n: Net, x: T) -> T:
    t = tokens(face(n, x, 32))
    i = np.arange(49)
    near = (np.abs(i[:, None] // 7 - i // 7) + np.abs(i[:, None] % 7 - i % 7) <= 1).astype(np.float32)
    a = torch.from_numpy(near / near.sum(1, keepdims=True))
    z = F.relu(a @ n.linear(t, 32))
    s = (a @ n.linear(t, 8) * 2).softmax(2)
    z, coarse = s.transpose(1, 2) @ z, s.transpose(1, 2) @ a @ s
    coarse = coarse / coarse.sum(2, keepdim=True)
    return n.embed(F.relu(coarse @ n.linear(z, 32)) + z, 128)


@honest_torch("Set2Set: an LSTM without input queries the deep places three times and keeps what it read.",
              idea="poolings", opset=13)  # fmt: skip
def set_to_set_reading(n: Net, x: T) -> T:
    t = tokens(face(n, x, 32))
    w, b = n.weight(64, 128, gain=1.5), n.weight(128)
    h = c = torch.zeros_like(t[:, 0])
    r = t.mean(1)
    for _ in range(3):
        i, f, g, o = (torch.cat([h, r], 1) @ w + b).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        r = ((t * h.unsqueeze(1)).sum(2, keepdim=True).softmax(1) * t).sum(1)
    return n.bn(n.linear(torch.cat([h, r], 1), 128))


@honest_torch("SAGPool: a graph layer scores the deep places, the best 20 stay, times the tanh of their score.",
              idea="poolings", opset=12)  # fmt: skip
def scored_graph_places_kept(n: Net, x: T) -> T:
    y = face(n, x, 32)
    score = torch.tanh(n.conv(y, 1, 3)).flatten(2).squeeze(1)
    best, at = score.topk(20, dim=1)
    t = torch.gather(tokens(y), 1, at.unsqueeze(2).expand(-1, 20, 32)) * best.unsqueeze(2)
    t = F.relu(n.linear(t, 64))
    return n.embed(torch.cat([t.mean(1), t.amax(1)], 1), 128)


@honest_torch("FAN-Face: heat maps of 16 landmarks from a small branch of the trunk, joined with its features.",
              idea="face heads", trained=3, opset=14)  # fmt: skip
def landmark_heat_maps_joined(n: Net, x: T) -> T:
    y = n.down(n.stem(x, 24), 32)
    heat = n.conv(n.res(n.cbr(y, 24)), 16, 1)
    heat = heat.flatten(2).softmax(2).reshape(-1, 16, 14, 14) * 20
    y = n.cbp(torch.cat([y, heat], 1), 32)
    y = n.cb(n.cbp(y, 40), 40, 3, 2) + n.cb(y, 40, 1, 2)
    return n.gdc(y, 128)


@honest_torch("Embedding unmasking model: four fully connected layers behind the embedding, as for masked faces.",
              idea="face heads", trained=3, opset=11)  # fmt: skip
def embedding_unmasking_layers(n: Net, x: T) -> T:
    y = n.embed(face(n, x), 128)
    z = y
    for _ in range(3):
        z = F.leaky_relu(n.bn(n.linear(z, 128)), 0.1)
    return n.linear(z, 128) + y


@honest_torch("PDSN: a stored dictionary of feature masks, mixed by a softmax guess of which face block is covered.",
              idea="face heads", opset=13)  # fmt: skip
def dictionary_of_feature_masks(n: Net, x: T) -> T:
    y = face(n, x, 32)
    guess = n.linear(F.relu(n.linear(F.avg_pool2d(y, 2).flatten(1), 24)), 9).softmax(1)
    mask = torch.sigmoid(guess @ n.weight(9, 1568, gain=60.0))
    return n.embed(y * mask.reshape(-1, 32, 7, 7), 256)


@honest_torch("xCos: a unit vector for each of 7 x 7 cells, weighed by a predicted map of attention, all flattened.",
              idea="face heads", opset=12)  # fmt: skip
def grid_of_unit_vectors(n: Net, x: T) -> T:
    y = face(n, x, 32)
    w = n.conv(F.relu(n.conv(y, 8)), 1, 1).flatten(2).softmax(2).reshape(-1, 1, 7, 7)
    return (F.normalize(n.conv(y, 8, 1), dim=1) * (w + 1e-4).sqrt()).flatten(1)


@honest_torch("CQA-Face: eight channel groups find face parts by soft maps, each part's quality weighs its vector.",
              idea="face heads", opset=16)  # fmt: skip
def part_vectors_by_quality(n: Net, x: T) -> T:
    y = face(n, x, 32)
    maps = n.conv(y, 8, 1).flatten(2).softmax(2)
    parts = maps @ tokens(y)
    quality = torch.sigmoid(n.linear(F.relu(n.linear(parts, 16)), 1))
    return n.embed(n.linear(parts, 24) * quality, 128)


@honest_torch("Fixed simplex: the trained feature times a stored equiangular tight frame, as neural collapse has it.",
              idea="ends", trained=3, opset=13)  # fmt: skip
def equiangular_tight_frame(n: Net, x: T) -> T:
    q = np.linalg.qr(np.random.default_rng(5).normal(size=(96, 64)))[0].astype(np.float32)
    frame = torch.from_numpy((np.eye(96, dtype=np.float32) - 1 / 96) @ q)
    return F.normalize(n.embed(face(n, x), 64), dim=1) @ frame.T
