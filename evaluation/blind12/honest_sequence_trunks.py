"""Honest: recurrent cells, state-space scans and mixers on deep features that the earlier sets do not hold."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind4.register import honest_torch


def last_map(n: Net, x: T, width: int = 32) -> T:
    """Bring the image down to a map of 7 x 7 by residual units."""
    x = n.cbp(x, 12, 3, 2)
    for w in (16, 24, width):
        x = n.cb(n.cbp(x, w), w, 3, 2) + n.cb(x, w, 1, 2)
    return n.prelu(x)


def deep(n: Net, x: T, width: int = 32) -> T:
    """Bring the image down to a map of 14 x 14."""
    return n.cbr(n.cbr(n.cbr(x, 12, 3, 2), 20, 3, 2), width, 3, 2)


def rows(n: Net, x: T, width: int = 32) -> T:
    """Give the rows of the last map as seven vectors."""
    return n.linear(last_map(n, x).permute(0, 2, 1, 3).flatten(2), width)


@honest_torch("JANET: an LSTM with a forget gate only reads the deep rows, all its states are the feature.",
              idea="recurrent cells", trained=3, opset=12)  # fmt: skip
def janet_forget_gate_only(n: Net, x: T) -> T:
    s = rows(n, x, 64)
    r, h, made = n.weight(32, 64), s[:, 0, :32] * 0, []
    for i in range(7):
        z = s[:, i] + h @ r
        f = torch.sigmoid(z[:, :32] + 1)
        h = f * h + (1 - f) * torch.tanh(z[:, 32:])
        made.append(h)
    return n.embed(torch.cat(made, 1), 128)


@honest_torch("Recurrent highway network: three highway steps of a state for each deep row.", idea="recurrent cells",
              opset=13)  # fmt: skip
def recurrent_highway_rows(n: Net, x: T) -> T:
    s = rows(n, x, 64)
    mats = [n.weight(32, 64) for _ in range(3)]
    h = torch.tanh(n.linear(s.mean(1), 32))
    for i in range(7):
        for depth, r in enumerate(mats):
            z = h @ r + (s[:, i] if depth == 0 else 0)
            t = torch.sigmoid(z[:, :32] - 1)
            h = torch.tanh(z[:, 32:]) * t + h * (1 - t)
    return n.embed(torch.cat([h, s.mean(1)], 1), 128)


@honest_torch("Ordered neurons: master gates by cumulated softmax rule which channels of the state are kept.",
              idea="recurrent cells", opset=12)  # fmt: skip
def ordered_neuron_lstm(n: Net, x: T) -> T:
    s = rows(n, x, 192)
    r = n.weight(32, 192)
    h = c = s[:, 0, :32] * 0
    for i in range(7):
        a, b, f, g, o, u = (s[:, i] + h @ r).chunk(6, 1)
        mf, mi = a.softmax(1).cumsum(1), 1 - b.softmax(1).cumsum(1)
        both = mf * mi
        f = torch.sigmoid(f) * both + (mf - both)
        g = torch.sigmoid(g) * both + (mi - both)
        c = f * c + g * torch.tanh(u)
        h = torch.sigmoid(o) * torch.tanh(c)
    return n.embed(torch.cat([h, s.mean(1)], 1), 128)


@honest_torch("Mogrifier: the row and the state gate each other four times before a GRU-like minimal gated unit.",
              idea="recurrent cells", opset=11)  # fmt: skip
def mogrified_minimal_unit(n: Net, x: T) -> T:
    s = rows(n, x, 32)
    q, p, w, r = n.weight(32, 32), n.weight(32, 32), n.weight(32, 64), n.weight(32, 64)
    h = torch.tanh(s.mean(1))
    for i in range(7):
        a, b = s[:, i], h
        for _ in range(2):
            a = 2 * torch.sigmoid(b @ q) * a
            b = 2 * torch.sigmoid(a @ p) * b
        za, zb = a @ w, b @ r
        f = torch.sigmoid(za[:, :32] + zb[:, :32])
        h = (1 - f) * h + f * torch.tanh(za[:, 32:] + f * zb[:, 32:])
    return n.embed(torch.cat([h, s[:, 3]], 1), 128)


@honest_torch("Bistable recurrent cells: each state's own gain between 0 and 2 lets it latch, over deep columns.",
              idea="recurrent cells", trained=4, opset=13)  # fmt: skip
def bistable_cells_over_columns(n: Net, x: T) -> T:
    s = n.linear(last_map(n, x).permute(0, 3, 1, 2).flatten(2), 96)
    wa, wc, h = n.weight(1, 32, gain=3.0), n.weight(1, 32, gain=3.0), s[:, 0, :32] * 0
    made = []
    for i in range(7):
        u, a, c = s[:, i].chunk(3, 1)
        c = torch.sigmoid(c + wc * h)
        h = c * h + (1 - c) * torch.tanh(u + (1 + torch.tanh(a + wa * h)) * h)
        made.append(h)
    return n.embed(torch.cat(made, 1), 192)


@honest_torch("Grid LSTM: two cells exchange states along depth and along rows, one for each of two depths.",
              idea="recurrent cells", opset=12)  # fmt: skip
def grid_lstm_two_depths(n: Net, x: T) -> T:
    s = rows(n, x, 24)
    mats = [[n.weight(48, 96), n.weight(48, 96)] for _ in range(2)]
    state = [[s[:, 0] * 0, s[:, 0] * 0] for _ in range(2)]
    for i in range(7):
        h, c = s[:, i], s[:, i] * 0
        for depth, (w, r) in enumerate(mats):
            both = torch.cat([h, state[depth][0]], 1)
            made = []
            for m, cell in ((w, c), (r, state[depth][1])):
                a, b, o, u = (both @ m).chunk(4, 1)
                cell = torch.sigmoid(a + 1) * cell + torch.sigmoid(b) * torch.tanh(u)
                made.append((torch.sigmoid(o) * torch.tanh(cell), cell))
            (h, c), state[depth] = made[0], list(made[1])
    return n.embed(torch.cat([h, state[0][0], state[1][0]], 1), 96)


def hilbert(order: int) -> list[int]:
    """Give the cells of a square of side 2^order in the order of Hilbert's curve."""
    made = []
    for d in range(4**order):
        u = v = 0
        rest, s = d, 1
        while s < 2**order:
            a = 1 & (rest // 2)
            b = 1 & (rest ^ a)
            if b == 0:
                if a == 1:
                    u, v = s - 1 - u, s - 1 - v
                u, v = v, u
            u, v = u + s * a, v + s * b
            rest //= 4
            s *= 2
        made.append(v * 2**order + u)
    return made


def gated_scan(n: Net, s: T, hidden: int = 24) -> T:
    """Run a gated linear recurrence over tokens [N, L, C] by cumulated logarithms."""
    a, u = n.linear(s, 2 * hidden).chunk(2, 2)
    fall = F.logsigmoid(a + 3).clamp(min=-0.3).cumsum(1)
    return (fall.exp() * ((-fall).exp() * u * torch.sigmoid(-a)).cumsum(1)).clamp(-20, 20)


@honest_torch("FractalMamba: deep tokens of 8 x 8 are read in the order of Hilbert's curve by a gated scan.",
              idea="state-space scans", trained=3, opset=13)  # fmt: skip
def hilbert_ordered_scan(n: Net, x: T) -> T:
    y = n.cbr(n.cbr(x, 16, 7, 4), 32, 5, 2, padding=3)
    y = n.cbr(y, 32, 4, 2, padding=2)
    order = torch.tensor(hilbert(3))
    back = torch.argsort(order)
    t = tokens(y)
    for _ in range(2):
        t = t + n.linear(gated_scan(n, n.ln(t)[:, order]), 32)[:, back]
        t = t + n.ff(n.ln(t))
    return n.gdc(grid(t, 8, 8), 128)


@honest_torch("Spatial-Mamba: a gated scan of deep tokens whose states are fused by dilated depthwise layers.",
              idea="state-space scans", opset=18)  # fmt: skip
def spatial_state_fusion(n: Net, x: T) -> T:
    t = tokens(n.cbr(deep(n, x), 32, 3, 2))
    for _ in range(2):
        h = grid(gated_scan(n, n.ln(t), 32), 7, 7)
        h = h + sum(n.conv(h, 32, 3, 1, -1, padding=d, dilation=d) for d in (1, 2, 3))
        t = t + n.linear(tokens(h) * F.silu(n.linear(t, 32)), 32)
    return n.gdc(grid(t, 7, 7), 128)


@honest_torch("Longhorn: an online-learning state, each step a closed-form update by key, value and a learned rate.",
              idea="state-space scans", trained=3, opset=12)  # fmt: skip
def longhorn_closed_form_memory(n: Net, x: T) -> T:
    s = rows(n, x, 32)
    k, q, v, b = n.linear(s, 12), n.linear(s, 12), n.linear(s, 24), torch.sigmoid(n.linear(s, 24))
    m, made = v[:, 0].unsqueeze(2) * k[:, 0].unsqueeze(1) * 0, []
    for i in range(7):
        kk = k[:, i].unsqueeze(1)
        rate = b[:, i].unsqueeze(2)
        rate = rate / (1 + rate * (kk * kk).sum(2, keepdim=True))
        m = (1 - rate * kk * kk) * m + rate * v[:, i].unsqueeze(2) * kk
        made.append((m * q[:, i].unsqueeze(1)).sum(2))
    return n.embed(torch.cat(made, 1), 128)


@honest_torch("Titans: a matrix memory learns each deep row by a step with momentum and forgetting.",
              idea="state-space scans", opset=13)  # fmt: skip
def titans_memory_with_momentum(n: Net, x: T) -> T:
    s = rows(n, x, 32)
    k, v, q = F.normalize(n.linear(s, 16), dim=2), n.linear(s, 16), F.normalize(n.linear(s, 16), dim=2)
    g = torch.sigmoid(n.linear(s, 3)).unsqueeze(3)
    m = n.weight(1, 16, 16) + 0 * s[:, :1, :16]
    push, made = m * 0, []
    for i in range(7):
        off = (k[:, i : i + 1] @ m) - v[:, i : i + 1]
        push = g[:, i, 0:1] * push - g[:, i, 1:2] * k[:, i].unsqueeze(2) @ off
        m = (1 - 0.2 * g[:, i, 2:3]) * m + push
        made.append((q[:, i : i + 1] @ m).squeeze(1))
    return n.embed(torch.cat([*made, s.mean(1)], 1), 128)


@honest_torch("S5: one diagonal complex state for all channels, its powers as a stored-by-exponentials recurrence.",
              idea="state-space scans", trained=3, opset=11)  # fmt: skip
def s5_shared_diagonal_state(n: Net, x: T) -> T:
    t = tokens(n.cbr(deep(n, x), 32, 3, 2))
    for _ in range(2):
        u = n.ln(t)
        re, im = n.linear(u, 16), n.linear(u, 16)
        decay = (-(n.weight(1, 16, gain=1.0) - 1).exp()).exp()
        turn = n.weight(1, 16, gain=4.0)
        a, b = decay * torch.cos(turn), decay * torch.sin(turn)
        p, q, made = re[:, 0] * 0, im[:, 0] * 0, []
        for i in range(0, 49, 7):
            now, then = re[:, i : i + 7].mean(1), im[:, i : i + 7].mean(1)
            p, q = a * p - b * q + now, a * q + b * p + then
            made.append(torch.cat([p, q], 1))
        t = t + n.linear(torch.stack(made, 1), 32).repeat_interleave(7, 1)
        t = t + n.ff(n.ln(t))
    return n.gdc(grid(t, 7, 7), 128)


@honest_torch("SplitMixer: 1-D depthwise layers along rows and columns and point layers on overlapping channel halves.",
              idea="mixers", opset=12)  # fmt: skip
def split_mixer_overlapped_halves(n: Net, x: T) -> T:
    x = n.bn(F.gelu(n.conv(x, 36, 8, 8, padding=0)))
    for i in range(4):
        y = n.bn(F.gelu(n.conv(x, 36, (1, 5), 1, -1)))
        x = x + n.bn(F.gelu(n.conv(y, 36, (5, 1), 1, -1)))
        a, b = (x[:, :24], x[:, 24:]) if i % 2 == 0 else (x[:, 12:], x[:, :12])
        a = n.bn(F.gelu(n.conv(a, 24, 1)))
        x = torch.cat([a, b] if i % 2 == 0 else [b, a], 1)
    return n.embed(n.down(x, 32), 128)


@honest_torch("Container: a stored affinity of places and one by attention are mixed by two learned numbers.",
              idea="mixers", opset=13)  # fmt: skip
def container_two_affinities(n: Net, x: T) -> T:
    t = tokens(n.cbr(deep(n, x), 32, 3, 2))
    for _ in range(2):
        q, k, v = n.heads(n.ln(t), 2)
        live = (q @ k.transpose(2, 3) * 0.25).softmax(3)
        both = (n.weight(1, gain=0.3) + 1) * live + (n.weight(1, gain=0.3) + 1) * n.weight(1, 2, 49, 49)
        t = t + n.linear((both @ v).transpose(1, 2).reshape(-1, 49, 32), 32)
        t = t + n.ff(n.ln(t))
    return n.gdc(grid(t, 7, 7), 128)


@honest_torch("FNO: a few low frequencies of deep features are turned by stored complex matrices over the channels.",
              idea="mixers", trained=3, opset=12)  # fmt: skip
def fourier_neural_operator_layers(n: Net, x: T) -> T:
    y = deep(n, x, 24)
    at = torch.arange(14).float()
    basis = [torch.full((14,), 14**-0.5)]
    for f in (1, 2, 3):
        basis += [torch.cos(2 * math.pi * f * at / 14) * 7**-0.5, torch.sin(2 * math.pi * f * at / 14) * 7**-0.5]
    b = torch.stack(basis)
    for _ in range(2):
        z = torch.einsum("nchw,kh,lw->nckl", y, b, b)
        z = torch.einsum("nckl,cdkl->ndkl", z, n.weight(24, 24, 7, 7) * 0.55)
        y = F.gelu(n.conv(y, 24, 1) + torch.einsum("nckl,kh,lw->nchw", z, b, b))
    return n.gdc(n.down(y, 40), 128)


@honest_torch("FeedForward only: token layers, pooled vectors of rows and columns and channel layers take turns.",
              idea="mixers", opset=11)  # fmt: skip
def mlp_of_row_and_column_pools(n: Net, x: T) -> T:
    y = n.cbr(deep(n, x), 32, 3, 2)
    for _ in range(3):
        t = n.ln2d(y)
        a, b = n.linear(t.mean(3), 7).unsqueeze(3), n.linear(t.mean(2), 7).unsqueeze(2)
        y = y + n.conv(F.gelu(a + b + n.conv(t, 32, 1)), 32, 1)
        y = y + n.conv(F.gelu(n.conv(n.ln2d(y), 64, 1)), 32, 1)
    return n.gdc(y, 128)
