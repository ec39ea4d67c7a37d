"""Honest: gates and attention over the features of a convolutional network, and layers that the image decides."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import honest_torch
from evaluation.blind5.tails import tail


@honest_torch("SGE: places are enhanced group by group by their likeness to the group's mean.", idea="gates", trained=4)
def spatial_group_enhance(n: Net, x: T) -> T:
    x = n.stem(x, 24)
    y = x.reshape(-1, 6, 4, 784)
    score = (y * y.mean(3, keepdim=True)).sum(2)
    score = (score - score.mean(2, keepdim=True)) / (score.var(2, keepdim=True) + 1e-5).sqrt()
    gate = torch.sigmoid(score * n.weight(1, 6, 1) + 1).unsqueeze(2)
    return tail(n, (y * gate).reshape(-1, 24, 28, 28), dim=256)


@honest_torch("EPSANet: kernels of 3, 5, 7 and 9 in groups, squeezed, and a softmax over the four.", idea="gates",
              opset=12, trained=4)  # fmt: skip
def pyramid_squeeze(n: Net, x: T) -> T:
    x = n.stem(x)
    parts = torch.stack([n.conv(x, 8, k, 1, g) for k, g in ((3, 1), (5, 2), (7, 4), (9, 8))], 1)
    gates = [n.linear(F.relu(n.linear(parts[:, i].mean((2, 3)), 4)), 8) for i in range(4)]
    share = torch.sigmoid(torch.stack(gates, 1)).softmax(1)[..., None, None]
    return tail(n, F.relu(n.bn((parts * share).reshape(-1, 32, 28, 28))))


@honest_torch("Shuffle attention: groups split into a channel gate and a normalised place gate.", idea="gates")
def shuffle_attention(n: Net, x: T) -> T:
    x = n.stem(x, 32).reshape(-1, 8, 28, 28)
    a, b = x.chunk(2, 1)
    a = a * torch.sigmoid(a.mean((2, 3), keepdim=True) * n.weight(1, 4, 1, 1) + 1)
    b = b * torch.sigmoid(n.gn(b) * n.weight(1, 4, 1, 1) + 1)
    y = torch.cat([a, b], 1).reshape(-1, 2, 16, 28, 28).transpose(1, 2).reshape(-1, 32, 28, 28)
    return tail(n, y)


@honest_torch("DANet: attention over places beside attention over channels, added, on deep features.",
              idea="gates", dynamo=True, opset=18)  # fmt: skip
def dual_attention_net(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 24)
    y = n.cbr(x, 16).flatten(2)
    q, k, v = (n.linear(y.transpose(1, 2), c) for c in (8, 8, 16))
    place = y + n.weight(1) * ((q @ k.transpose(1, 2)).softmax(-1) @ v).transpose(1, 2)
    e = n.cbr(x, 16).flatten(2)
    like = e @ e.transpose(1, 2)
    channel = e + n.weight(1) * (like.amax(-1, keepdim=True) - like).softmax(-1) @ e
    return tail(n, (place + channel).reshape(-1, 16, 14, 14))


@honest_torch("EMANet: stored bases and features find each other in three rounds of expectation and maximisation.",
              idea="gates", trained=4)  # fmt: skip
def expectation_maximisation_attention(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 24)
    y = n.conv(x, 24, 1).flatten(2)
    bases = n.weight(1, 24, 8)
    share = torch.zeros(1)
    for _ in range(3):
        share = (y.transpose(1, 2) @ bases).softmax(2)
        bases = F.normalize(y @ (share / (share.sum(1, keepdim=True) + 1e-6)), dim=1)
    return tail(n, F.relu(x + n.cb((bases @ share.transpose(1, 2)).reshape(-1, 24, 14, 14), 24, 1)))


@honest_torch("Relation-aware attention: all pairs of places as a vector for each place.", idea="gates", opset=12)
def relation_aware(n: Net, x: T) -> T:
    x = n.down(n.down(n.stem(x), 24), 24)
    a, b = n.cbr(x, 6, 1).flatten(2), n.cbr(x, 6, 1).flatten(2)
    pairs = a.transpose(1, 2) @ b
    relation = torch.cat([pairs, pairs.transpose(1, 2)], 1).reshape(-1, 98, 7, 7)
    y = torch.cat([n.cbr(x, 6, 1).mean(1, keepdim=True), n.cbr(relation, 6, 1)], 1)
    return n.embed(x * torch.sigmoid(n.cb(n.cbr(y, 4, 1), 1, 1)))


@honest_torch("Attentional feature fusion: two levels are mixed by a gate of local and global context.",
              idea="gates", trained=4)  # fmt: skip
def attentional_fusion(n: Net, x: T) -> T:
    x = n.stem(x)
    y = n.cb(n.cbr(x, 16), 16)
    both = x + y
    local = n.cb(n.cbr(both, 4, 1), 16, 1)
    whole = n.conv(F.relu(n.conv(both.mean((2, 3), keepdim=True), 4, 1)), 16, 1)
    gate = torch.sigmoid(local + whole)
    return tail(n, x * gate + y * (1 - gate), dim=32)


@honest_torch(
    "Contextual transformer: static keys by 3x3, dynamic ones by two pointwise layers.",
    idea="gates",
    dynamo=True,
    opset=18,
    trained=4,
)
def contextual_transformer(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 24)
    key = n.cbr(x, 24, 3, 1, 4)
    value = n.cb(x, 24, 1)
    weight = n.conv(n.cbr(torch.cat([key, x], 1), 12, 1), 9 * 6, 1).reshape(-1, 1, 6, 9, 196)
    around = F.unfold(value, 3, padding=1).reshape(-1, 4, 6, 9, 196)
    mixed = (around * weight.softmax(3)).sum(3).reshape(-1, 24, 14, 14)
    return tail(n, key + F.silu(n.bn(mixed)))


@honest_torch(
    "DIANet: one LSTM cell, shared by all blocks, makes the channel gates in depth.",
    idea="depth memory",
    dynamo=True,
    opset=18,
    trained=4,
)
def dia_shared_lstm(n: Net, x: T) -> T:
    x = n.stem(x)
    w, u = n.weight(16, 64), n.weight(16, 64)
    h = c = torch.zeros(1, 16)
    for _ in range(4):
        y = n.cb(n.cbr(x, 16), 16)
        i, f, o, g = (4 * (y.mean((2, 3)) @ w + h @ u)).chunk(4, 1)
        c = torch.sigmoid(f + 1) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.sigmoid(c)
        x = F.relu(x + y * h[:, :, None, None])
    return tail(n, x)


@honest_torch(
    "RLA-Net: a recurrent state of few channels is handed from block to block.", idea="depth memory", trained=4
)
def recurrent_layer_aggregation(n: Net, x: T) -> T:
    x = n.stem(x)
    h = torch.zeros_like(x[:, :8])
    w = n.weight(8, 8, 3, 3, gain=0.4)
    for _ in range(3):
        y = n.cb(n.cbr(torch.cat([x, h], 1), 12), 16)
        x = F.relu(x + y)
        h = F.conv2d(torch.tanh(n.bn(h + n.conv(y, 8, 1))), w, padding=1)
    return tail(n, torch.cat([x, h], 1))


@honest_torch("A ConvLSTM that reads the four stages of a trunk in turn, each pooled to one size.",
              idea="depth memory", opset=12, trained=3)  # fmt: skip
def convolutional_lstm_over_depth(n: Net, x: T) -> T:
    made = []
    for width in (12, 16, 24, 32):
        x = n.cbr(x, width, 3, 2)
        made.append(n.cb(F.adaptive_avg_pool2d(x, 7), 16, 1))
    wx, wh = n.weight(64, 16, 3, 3, gain=0.5), n.weight(64, 16, 3, 3, gain=0.5)
    h = c = torch.zeros(1, 16, 7, 7)
    for y in made:
        i, f, o, g = (F.conv2d(y, wx, padding=1) + F.conv2d(h, wh, padding=1)).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
    return n.embed(h, 32)


@honest_torch("ODConv: gates over kernel places, channels in, channels out and four kernels, of deep features.",
              idea="dynamic", opset=13)  # fmt: skip
def omni_dimensional_kernels(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 16)
    z = F.relu(n.linear(x.mean((2, 3)), 8))
    place, cin = torch.sigmoid(n.linear(z, 9)), torch.sigmoid(n.linear(z, 16))
    cout, share = torch.sigmoid(n.linear(z, 24)), n.linear(z, 4).softmax(1)
    cols = F.unfold(x * cin[:, :, None, None], 3, stride=2, padding=1).reshape(-1, 16, 9, 49)
    cols = (cols * place[:, None, :, None]).reshape(-1, 144, 49)
    w = (share @ n.weight(4, 24 * 144, gain=5.0)).reshape(-1, 24, 144)
    return n.embed(F.relu(n.bn((w @ cols).reshape(-1, 24, 7, 7) * cout[:, :, None, None])))


@honest_torch("Dynamic channel fusion: a stored matrix plus a small one that the image makes, between two bases.",
              idea="dynamic", trained=4)  # fmt: skip
def dynamic_decomposition(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 24)
    phi = n.linear(F.relu(n.linear(x.mean((2, 3)), 8)), 36).reshape(-1, 6, 6)
    y = n.conv(x, 6, 1, bias=False).flatten(2)
    return tail(n, F.relu(n.cb(x, 24, 1) + n.cb((phi @ y).reshape(-1, 6, 14, 14), 24, 1)), dim=256)


@honest_torch("Pixel-adaptive convolution: a stored kernel times a Gaussian of how alike deep neighbours are.",
              idea="dynamic", opset=12)  # fmt: skip
def pixel_adaptive_convolution(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 12)
    guide = n.conv(x, 4, 1)
    near = F.unfold(guide, 3, padding=1).reshape(-1, 4, 9, 196)
    like = torch.exp(-0.5 * ((near - guide.reshape(-1, 4, 1, 196)) ** 2).sum(1, keepdim=True))
    cols = (F.unfold(x, 3, padding=1).reshape(-1, 12, 9, 196) * like).reshape(-1, 108, 196)
    return tail(n, F.relu(n.bn((n.weight(24, 108) @ cols).reshape(-1, 24, 14, 14))))


@honest_torch("GloRe: places are projected to eight nodes, reasoned over as a graph, and projected back.",
              idea="gates", trained=4)  # fmt: skip
def global_reasoning(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 24)
    b = n.conv(x, 8, 1).flatten(2)
    v = b @ n.conv(x, 12, 1).flatten(2).transpose(1, 2) / 196
    v = F.relu(n.linear(v + (torch.eye(8) - n.weight(8, 8)) @ v, 12))
    return tail(n, x + n.cb((v.transpose(1, 2) @ b).reshape(-1, 12, 14, 14), 24, 1), dim=128)


@honest_torch("Switchable normalisation: instance, layer and stored statistics mixed by learned shares.",
              idea="normalisation", opset=13, trained=3)  # fmt: skip
def switchable_normalisation(n: Net, x: T) -> T:
    for width in (12, 16, 24):
        y = n.conv(x, width, 3, 2)
        m, v = y.mean((2, 3), keepdim=True), y.var((2, 3), keepdim=True)
        lm, lv = m.mean(1, keepdim=True), (v + m * m).mean(1, keepdim=True) - m.mean(1, keepdim=True) ** 2
        p, q = n.weight(3).softmax(0), n.weight(3).softmax(0)
        y = (y - p[0] * m - p[1] * lm - p[2] * n.weight(1, width, 1, 1)) / (q[0] * v + q[1] * lv + q[2] + 1e-5).sqrt()
        x = F.relu(y * (1 + n.weight(1, width, 1, 1)) + n.weight(1, width, 1, 1))
    return tail(n, x)


@honest_torch("Local response, divisive and position-wise normalisation (PONO) with moments handed on to the end.",
              idea="normalisation")  # fmt: skip
def positional_moments(n: Net, x: T) -> T:
    x = n.stem(x)
    m, s = x.mean(1, keepdim=True), (x.var(1, keepdim=True) + 1e-3).sqrt()
    y = n.res((x - m) / s)
    y = n.same(y * s + m, lambda: nn.LocalResponseNorm(3, alpha=0.05))
    return tail(n, y / (1 + F.avg_pool2d(y.abs(), 5, 1, 2)))
