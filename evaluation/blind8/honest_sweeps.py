"""Honest: mixers, state spaces, recurrences, memories and other sequences over deep features."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind4.register import honest_torch


def end(n: Net, t: T, dim: int = 64) -> T:
    """LayerNorm, the mean over tokens, a linear layer, BatchNorm."""
    return n.embed(n.ln(t).mean(1), dim)


@honest_torch("MLP-Mixer behind a convolutional stem, with gated channel layers and "
              "a learned weight for each token at the end.", idea="mixer", trained=4, opset=13)  # fmt: skip
def gated_mixer_behind_stem(n: Net, x: T) -> T:
    t = tokens(n.down(n.stem(x, 24), 32))
    for _ in range(2):
        y = n.ln(t).transpose(1, 2)
        t = t + n.linear(F.gelu(n.linear(y, 64)), 196).transpose(1, 2)
        a, b = n.linear(n.ln(t), 96).chunk(2, 2)
        t = t + n.linear(torch.sigmoid(a) * b, 32)
    w = n.linear(t, 1).softmax(1)
    return n.embed((w * n.ln(t)).sum(1), 128)


@honest_torch(
    "RaftMLP: rows and columns mixed in rafts of channel groups on deep features.",
    idea="mixer",
    opset=18,
    dynamo=True,
)
def raft_mlp(n: Net, x: T) -> T:
    x = n.stem(x, 24)
    x = n.down(x, 32)
    for _ in range(2):
        for axis in (2, 3):
            y = n.ln2d(x)
            y = y if axis == 3 else y.transpose(2, 3)
            y = y.reshape(-1, 4, 8, 14, 14).permute(0, 1, 3, 2, 4).reshape(-1, 4, 14, 112)
            y = n.linear(F.gelu(n.linear(y, 64)), 112)
            y = y.reshape(-1, 4, 14, 8, 14).permute(0, 1, 3, 2, 4).reshape(-1, 32, 14, 14)
            x = x + (y if axis == 3 else y.transpose(2, 3))
        x = x + n.ff(n.ln2d(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    return n.gdc(n.down(x, 32), 64)


@honest_torch("Strip MLP: a cascade of group strips, rows of one half of the channels and columns of the other.",
              idea="mixer", opset=15)  # fmt: skip
def strip_mlp_cascade(n: Net, x: T) -> T:
    x = n.down(n.stem(x, 24), 32)
    for _ in range(2):
        a, b = n.bn(x).chunk(2, 1)
        a = n.linear(a, 14)
        b = n.linear((b + a).transpose(2, 3), 14).transpose(2, 3)
        x = x + n.conv(torch.cat([a, b], 1), 32, 1)
        x = x + n.conv(F.gelu(n.conv(n.bn(x), 64, 1)), 32, 1)
    return n.gdc(n.down(x, 32), 64)


@honest_torch("Vim: bidirectional scans over patch tokens, each direction with its own decay and weights, class in the "
              "middle.", idea="state space", opset=14)  # fmt: skip
def vim_class_in_the_middle(n: Net, x: T) -> T:
    t = n.patches(x, 24, 28)
    cls = n.weight(1, 1, 24, gain=2.0).expand(t.shape[0], 1, 24)
    t = torch.cat([t[:, :8], cls, t[:, 8:]], 1)
    for _ in range(2):
        u, z = n.linear(n.ln(t), 48).chunk(2, 2)
        made = []
        for order in (range(17), range(16, -1, -1)):
            dt = torch.sigmoid(n.linear(u, 24))
            v = n.linear(F.silu(u), 24)
            h = torch.zeros_like(u[:, 0])
            ys: dict[int, T] = {}
            for i in order:
                h = (1 - dt[:, i]) * h + dt[:, i] * v[:, i]
                ys[i] = h
            made.append(torch.stack([ys[i] for i in range(17)], 1))
        t = t + n.linear((made[0] + made[1]) * F.silu(z), 24)
    return n.embed(n.ln(t)[:, 8], 64)


@honest_torch("LocalMamba on deep features: scans within windows of 7 x 7 as stored decays in matrix form.",
              idea="state space", trained=3, opset=16)  # fmt: skip
def local_window_scan(n: Net, x: T) -> T:
    x = n.down(n.stem(x, 24), 32)
    y = x.reshape(-1, 32, 2, 7, 2, 7).permute(0, 2, 4, 3, 5, 1).reshape(-1, 4, 49, 32)
    far = torch.arange(49.0)[:, None] - torch.arange(49.0)[None]
    z = n.ln(y)
    rate = F.softplus(n.weight(4, 1, 1, gain=1.0))
    kernel = torch.exp(-far.clamp(min=0) * rate) * (far >= 0).float()
    z = kernel @ n.linear(z, 32) * F.silu(n.linear(z, 32))
    y = y + n.linear(z, 32)
    x = y.reshape(-1, 2, 2, 7, 7, 32).permute(0, 5, 1, 3, 2, 4).reshape(-1, 32, 14, 14)
    return n.gdc(n.down(x, 32), 96)


@honest_torch(
    "EfficientVMamba's idea: every second place is scanned, the others pass a depthwise layer; features only.",
    idea="state space",
    opset=18,
)
def atrous_selective_scan(n: Net, x: T) -> T:
    x = n.down(n.stem(x, 24), 24)
    y = n.ln(tokens(x[:, :, ::2, ::2]))
    a = F.logsigmoid(n.linear(y, 24) + 2)
    s = torch.cumsum(a, 1)
    v = n.linear(y, 24)
    mask = torch.tril(torch.ones(49, 49)).reshape(1, 49, 49, 1)
    decay = torch.exp((s[:, :, None] - s[:, None]).clamp(max=0)) * mask
    y = (decay * v[:, None]).sum(2)
    local = n.se(n.cbr(x, 24, 3, 2, -1))
    return n.gdc(local + grid(n.linear(y, 24), 7, 7), 64)


@honest_torch(
    "Vision RWKV: a four-way shift of quarter channels by one token on features, squared ReLU in channel mixing.",
    idea="state space",
    trained=4,
    opset=19,
)
def vision_rwkv_quarter_shift(n: Net, x: T) -> T:
    x = n.down(n.stem(x, 24), 32)
    for _ in range(2):
        y = n.ln2d(x)
        a, b, c, d = y.chunk(4, 1)
        left, right = F.pad(a, (1, 0))[:, :, :, :14], F.pad(b, (0, 1))[:, :, :, 1:]
        moved = torch.cat([left, right, F.pad(c, (0, 0, 1, 0))[:, :, :14], F.pad(d, (0, 0, 0, 1))[:, :, 1:]], 1)
        t = tokens(y + (moved - y) * n.weight(1, 32, 1, 1))
        k, v, r = n.linear(t, 32), n.linear(t, 32), n.linear(t, 32)
        w = k.softmax(1)
        x = x + grid(n.linear(torch.sigmoid(r) * (w * v).sum(1, keepdim=True), 32), 14, 14)
        t = tokens(n.ln2d(x))
        x = x + grid(torch.sigmoid(n.linear(t, 32)) * n.linear(F.relu(n.linear(t, 64)) ** 2, 32), 14, 14)
    return n.gdc(n.down(x, 32), 64)


@honest_torch("Two GRUs of PyTorch: one over the columns of deep features, one both ways over what it gives.",
              idea="recurrent", opset=14)  # fmt: skip
def gru_columns_then_rows(n: Net, x: T) -> T:
    x = n.down(n.down(n.stem(x, 16), 24), 24)
    y = x.permute(0, 3, 1, 2).reshape(-1, 7, 24 * 7)
    y, _ = n.keep(lambda: nn.GRU(168, 40, batch_first=True))(y)
    y, last = n.keep(lambda: nn.GRU(40, 48, batch_first=True, bidirectional=True))(y)
    return n.embed(torch.cat([y.mean(1), last[0], last[1]], 1), 64)


@honest_torch("Stacked LSTMs in the way of Sequencer: BiLSTM over rows and over columns of features, joined, residual.",
              idea="recurrent", trained=3, opset=13)  # fmt: skip
def sequencer_two_lstms(n: Net, x: T) -> T:
    x = n.down(n.down(n.stem(x, 16), 24), 24)
    t = x.permute(0, 2, 3, 1)
    y = n.ln(t)
    v, _ = n.keep(lambda: nn.LSTM(24, 8, batch_first=True, bidirectional=True))(y.transpose(1, 2).reshape(-1, 7, 24))
    h, _ = n.keep(lambda: nn.LSTM(24, 8, batch_first=True, bidirectional=True))(y.reshape(-1, 7, 24))
    v = v.reshape(-1, 7, 7, 16).transpose(1, 2)
    t = t + n.linear(torch.cat([v, h.reshape(-1, 7, 7, 16)], 3), 24)
    t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t).permute(0, 3, 1, 2), 64)


@honest_torch(
    "Legendre memory unit: a stored state matrix rolls features of rows into polynomials, then a hidden state.",
    idea="recurrent",
    opset=12,
)
def legendre_memory_rows(n: Net, x: T) -> T:
    x = n.down(n.stem(x, 16), 16)
    rows = x.permute(0, 2, 1, 3).reshape(-1, 14, 224)
    q = torch.arange(6.0)
    r = (2 * q + 1)[:, None]
    i, j = torch.meshgrid(q, q, indexing="ij")
    a = torch.where(i < j, -torch.ones(6, 6), (-1.0) ** (i - j + 1)) * r / 14
    a_step = torch.matrix_exp(a)
    b = ((-1.0) ** q) * r[:, 0] / 14
    u = n.linear(rows, 24)
    m = torch.zeros_like(u[:, 0, :, None]) * b
    h = torch.zeros_like(u[:, 0])
    wx, wm = n.linear(rows, 24), n.weight(24, 144)
    for t in range(14):
        m = m @ a_step.T + u[:, t, :, None] * b
        h = torch.tanh(wx[:, t] + 0.3 * h + m.flatten(1) @ wm.T)
    return n.embed(torch.cat([h, m.flatten(1)], 1), 64)


@honest_torch(
    "Echo state network: a stored, untrained reservoir runs over columns of deep features; only the end learns.",
    idea="recurrent",
    opset=11,
)
def reservoir_of_columns(n: Net, x: T) -> T:
    x = n.down(n.down(n.stem(x, 16), 24), 24)
    cols = x.permute(0, 3, 1, 2).reshape(-1, 7, 168)
    w_in, w = n.weight(48, 168), n.weight(48, 48, gain=0.9)
    h = torch.zeros_like(cols[:, 0, :48])
    kept = []
    for t in range(7):
        h = 0.5 * h + 0.5 * torch.tanh(cols[:, t] @ w_in.T + h @ w.T)
        kept.append(h)
    return n.embed(torch.cat(kept, 1), 96)


@honest_torch(
    "Spiking SEW-ResNet by direct coding: spikes of residual branches are added, four steps of integrate and fire.",
    idea="spiking",
    opset=13,
)
def sew_resnet_spikes(n: Net, x: T) -> T:
    current = n.cb(n.cbr(x, 12, 3, 2), 16, 3, 2)
    w, bias = n.weight(16, 16, 3, 3, gain=0.5), n.weight(1, 16, 1, 1)
    va, vb = torch.zeros_like(current), torch.zeros_like(current)
    total = torch.zeros_like(current)
    for _ in range(4):
        va = va + current
        first = (va >= 1).float()
        vb = vb + F.conv2d(first, w, padding=1) + bias
        second = (vb >= 1).float()
        va, vb = va - first, vb - second
        total = total + first + second
    return n.gdc(n.down(n.down(total / 4, 32), 32), 64)


@honest_torch("Capsules with routing by agreement in one round and a squash, over the last map of a ResNet.",
              idea="capsule", trained=4, opset=14)  # fmt: skip
def one_round_capsules(n: Net, x: T) -> T:
    def squash(y: T) -> T:
        s = (y * y).sum(-1, keepdim=True)
        return s / (1 + s) * y / (s + 1e-6).sqrt()

    x = n.res(n.down(n.down(n.stem(x, 16), 24), 32))
    u = squash(x.reshape(-1, 4, 8, 49).permute(0, 1, 3, 2).reshape(-1, 196, 8))
    votes = torch.einsum("nid,kde->nkie", u, n.weight(12, 8, 8))
    agree = (votes * votes.mean(2, keepdim=True)).sum(-1, keepdim=True).softmax(1)
    return n.bn(squash((agree * votes).sum(2)).flatten(1))
