"""Honest: recurrent cells and state spaces that read the deep features of one image, place after place."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, tokens
from evaluation.blind4.register import honest_torch
from evaluation.blind14.honest_ends import last


def rows(n: Net, x: T, width: int = 32) -> list[T]:
    """Return the deep map's seven rows as vectors [N, width]."""
    y = n.conv(last(n, x), 8, 1).permute(0, 2, 1, 3).reshape(-1, 7, 56)
    z = n.linear(y, width)
    return [z[:, i] for i in range(7)]


def legendre_step(k: int, size: int = 8) -> tuple[list[list[float]], list[float]]:
    """Return the bilinear step number k of HiPPO-LegS: the turned state matrix and the input vector."""
    i = np.arange(size)
    a = -np.tril(np.sqrt(np.outer(2 * i + 1, 2 * i + 1)), -1) - np.diag(i + 1.0)
    solve = np.linalg.inv(np.eye(size) - a / (2 * k))
    step = solve @ (np.eye(size) + a / (2 * k))
    return step.T.tolist(), (solve @ np.sqrt(2 * i + 1) / k).tolist()


@honest_torch("Multiplicative integration RNN: the product of both layers of row and state beside their sum.",
              idea="recurrent cells", trained=3, opset=11)  # fmt: skip
def multiplicative_integration_cells(n: Net, x: T) -> T:
    steps = rows(n, x)
    u, a, b, c = n.weight(32, 32), 1 + n.weight(32), 1 + n.weight(32), n.weight(32)
    h = torch.tanh(steps[0])
    for z in steps[1:]:
        w = h @ u
        h = torch.tanh(a * z * w + b * z + w + c)
    return n.embed(h, 128)


@honest_torch("Skip RNN: each deep row is read or left out by a rounded gate, whose chance adds up while rows are "
              "left.",
              idea="recurrent cells", opset=12)  # fmt: skip
def rows_read_or_left_out(n: Net, x: T) -> T:
    steps = rows(n, x)
    u, v = n.weight(32, 32), n.weight(32, 1)
    h = torch.tanh(steps[0])
    chance = torch.sigmoid(h @ v)
    for z in steps[1:]:
        read = torch.floor(chance + 0.5)
        new = torch.tanh(z + h @ u)
        grow = torch.sigmoid(new @ v)
        h = read * new + (1 - read) * h
        chance = read * grow + (1 - read) * torch.clamp(chance + grow, max=1.0)
    return n.embed(h, 96)


@honest_torch("RIMs: four cells of their own, the two that heed the row most change, then they hear each other.",
              idea="recurrent cells", opset=13)  # fmt: skip
def independent_mechanisms_compete(n: Net, x: T) -> T:
    steps = rows(n, x)
    u, q, k = n.weight(4, 8, 8), n.weight(4, 8, 16), n.weight(32, 16)
    v, m = n.weight(32, 8), n.weight(8, 8)
    h = n.weight(1, 4, 8) + steps[0][:, :8].unsqueeze(1)
    for z in steps[1:]:
        score = (torch.einsum("nci,cij->ncj", h, q) * (z @ k).unsqueeze(1)).sum(2)
        best = score.topk(2, 1)[0][:, 1:2]
        active = (score >= best).float().unsqueeze(2)
        new = torch.tanh(torch.einsum("nci,cij->ncj", h, u) + (z @ v).unsqueeze(1))
        h = active * new + (1 - active) * h
        h = h + 0.5 * ((h @ m) @ h.transpose(1, 2)).softmax(-1) @ h
    return n.embed(h, 96)


@honest_torch("Fast weights that attend to the recent past: an inner loop of two settles, with a decayed memory.",
              idea="recurrent cells", trained=3, opset=11)  # fmt: skip
def fast_weights_of_recent_past(n: Net, x: T) -> T:
    steps = rows(n, x, 24)
    u = n.weight(24, 24)
    past = [torch.tanh(steps[0])]
    for z in steps[1:]:
        pre = z + past[-1] @ u
        h = torch.tanh(pre)
        for _ in range(2):
            read = pre
            for age, old in enumerate(past[::-1]):
                read = read + 0.5 * 0.9**age * (old * h).sum(1, keepdim=True) * old
            h = torch.tanh(n.ln(read))
        past.append(h)
    return n.embed(torch.cat(past[-3:], 1), 96)


@honest_torch("Long expressive memory: two states with time steps of their own that the deep row decides.",
              idea="recurrent cells", trained=3, opset=13)  # fmt: skip
def long_expressive_memory(n: Net, x: T) -> T:
    y, z = torch.zeros(1, 24), torch.zeros(1, 24)
    u = [n.weight(24, 24) for _ in range(4)]
    for row in rows(n, x, 96):
        a, b, c, d = row.chunk(4, 1)
        step, other = torch.sigmoid(a + y @ u[0]), torch.sigmoid(b + y @ u[1])
        z = (1 - step) * z + step * torch.tanh(c + y @ u[2])
        y = (1 - other) * y + other * torch.tanh(d + z @ u[3])
    return n.embed(torch.cat([y, z], 1), 128)


@honest_torch("Unitary RNN: stored phases, reflections, a permutation and Fourier matrices, modReLU, over deep rows.",
              idea="recurrent cells", opset=11)  # fmt: skip
def unitary_cells_of_phases(n: Net, x: T) -> T:
    k = torch.arange(24.0)
    turn = 2 * math.pi * torch.outer(k, k) / 24
    cosines, sines = torch.cos(turn) / 24**0.5, torch.sin(turn) / 24**0.5
    first, second = n.weight(24, gain=8.0), n.weight(24, gain=8.0)
    mirror = F.normalize(n.weight(24), dim=0)
    order = torch.tensor([(5 * i + 3) % 24 for i in range(24)])
    bias = n.weight(24)
    re, im = torch.zeros(1, 24), torch.zeros(1, 24)
    for row in rows(n, x, 48):
        a, b = re * torch.cos(first) - im * torch.sin(first), re * torch.sin(first) + im * torch.cos(first)
        a, b = a @ cosines + b @ sines, b @ cosines - a @ sines
        a = a - 2 * (a @ mirror).unsqueeze(-1) * mirror
        b = b - 2 * (b @ mirror).unsqueeze(-1) * mirror
        a, b = a[:, order], b[:, order]
        a, b = a * torch.cos(second) - b * torch.sin(second), a * torch.sin(second) + b * torch.cos(second)
        a, b = a + row[:, :24], b + row[:, 24:]
        size = (a * a + b * b + 1e-6).sqrt()
        gain = F.relu(size + bias) / size
        re, im = a * gain, b * gain
    return n.embed(torch.cat([re, im], 1), 128)


@honest_torch("Light GRU of speech: no reset gate, ReLU and batch norms of the rows' layers, rows from both ends.",
              idea="recurrent cells", trained=3, opset=12)  # fmt: skip
def light_gated_cells_both_ways(n: Net, x: T) -> T:
    y = n.conv(last(n, x), 8, 1).permute(0, 2, 1, 3).reshape(-1, 56)
    both = n.bn(n.linear(y, 64, False)).reshape(-1, 7, 64)
    ends = []
    for order in (range(7), range(6, -1, -1)):
        u = n.weight(32, 64)
        h: T = torch.zeros(1, 32)
        for i in order:
            gate, new = (both[:, i] + h @ u).chunk(2, 1)
            g = torch.sigmoid(gate)
            h = g * h + (1 - g) * F.relu(new)
        ends.append(h)
    return n.embed(torch.cat(ends, 1), 128)


@honest_torch("TrellisNet: one layer of 1-D kernels tied over depth, the deep rows injected anew at each level, "
              "LSTM gates.",
              idea="recurrent cells", opset=13)  # fmt: skip
def trellis_of_tied_levels(n: Net, x: T) -> T:
    s = torch.stack(rows(n, x), 2)
    w, b = n.weight(96, 56, 2, gain=1.4), n.weight(96)
    h = torch.zeros_like(s)[:, :24]
    c = h
    for _ in range(4):
        both = F.pad(torch.cat([s, h], 1), (1, 0))
        f, i, o, g = F.conv1d(both, w, b).chunk(4, 1)
        c = torch.sigmoid(f) * F.pad(c, (1, 0))[:, :, :7] + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
    return n.embed(h[:, :, 4:].flatten(1), 128)


@honest_torch("HiPPO-LegS: a stored state matrix divided by the count of rows read keeps their Legendre coefficients.",
              idea="state spaces", trained=3, opset=11)  # fmt: skip
def scaled_legendre_coefficients(n: Net, x: T) -> T:
    c: T = torch.zeros(1, 24, 8)
    for k, row in enumerate(rows(n, x, 24), 1):
        step, put = legendre_step(k)
        c = c @ torch.tensor(step) + row.unsqueeze(2) * torch.tensor(put)
    return n.embed(c.flatten(1), 128)


@honest_torch("Tree-LSTM: deep places are leaves, four children meet in one cell with a forget gate each, two levels.",
              idea="recurrent cells", opset=12)  # fmt: skip
def tree_cells_over_quads_of_places(n: Net, x: T) -> T:
    y = n.conv(last(n, x)[:, :, :4, :4], 24, 1)
    h, c, side = torch.tanh(y), y, 4
    gates, forget = n.weight(72, 24), n.weight(24, 24)
    for _ in range(2):
        quads = (
            h.reshape(-1, 24, side // 2, 2, side // 2, 2).permute(0, 2, 4, 3, 5, 1).reshape(-1, (side // 2) ** 2, 4, 24)
        )
        memory = (
            c.reshape(-1, 24, side // 2, 2, side // 2, 2).permute(0, 2, 4, 3, 5, 1).reshape(-1, (side // 2) ** 2, 4, 24)
        )
        f = torch.sigmoid(quads @ forget + 1.0)
        i, o, u = (quads.sum(2) @ gates.t()).chunk(3, 2)
        cell = torch.sigmoid(i) * torch.tanh(u) + (f * memory).sum(2)
        side //= 2
        c = cell.transpose(1, 2).reshape(-1, 24, side, side)
        h = (torch.sigmoid(o) * torch.tanh(cell)).transpose(1, 2).reshape(-1, 24, side, side)
    return n.embed(torch.cat([h, c], 1), 64)


@honest_torch("Liquid S4: a diagonal state whose decay is also moved by the input, over deep places of one snake.",
              idea="state spaces", opset=13)  # fmt: skip
def liquid_diagonal_state(n: Net, x: T) -> T:
    t = tokens(F.avg_pool2d(n.cbr(last(n, x), 24, 1), 3, 2))
    decay = torch.sigmoid(2 + n.weight(24))
    b, c, d = 1 + n.weight(24), 1 + n.weight(24), n.weight(24)
    h, made = t[:, 0] * b, []
    for i in range(1, 9):
        h = decay * h + 0.3 * b * t[:, i] * h + b * t[:, i]
        made.append(c * h + d * t[:, i])
    return n.embed(torch.stack(made, 1), 128)


@honest_torch("Phased LSTM: each unit opens for its own stored stretch of a stored rhythm while the deep columns pass.",
              idea="recurrent cells", opset=12)  # fmt: skip
def cells_open_by_stored_rhythm(n: Net, x: T) -> T:
    y = n.linear(n.conv(last(n, x), 8, 1).permute(0, 3, 1, 2).reshape(-1, 7, 56), 96)
    u = n.weight(24, 96)
    period, shift = 2 + torch.arange(24.0) % 5, torch.arange(24.0) % 3
    h, c = torch.zeros(1, 24), torch.zeros(1, 24)
    for i in range(7):
        phase = ((i + shift) % period) / period
        k = torch.where(phase < 0.25, 4 * phase, torch.where(phase < 0.5, 2 - 4 * phase, 0.05 * phase))
        a, f, o, g = (y[:, i] + h @ u).chunk(4, 1)
        new = torch.sigmoid(f) * c + torch.sigmoid(a) * torch.tanh(g)
        h = k * torch.sigmoid(o) * torch.tanh(new) + (1 - k) * h
        c = k * new + (1 - k) * c
    return n.embed(torch.cat([h, c], 1), 96)


@honest_torch("Hymba: attention heads and a gated decaying state read the same deep tokens in parallel, both "
              "normalised.",
              idea="state spaces", trained=3, opset=14)  # fmt: skip
def attention_and_state_in_parallel(n: Net, x: T) -> T:
    t = tokens(last(n, x)) + n.weight(1, 49, 32)
    for _ in range(2):
        z = n.ln(t)
        heeded = n.attention(z)
        gate = F.logsigmoid(n.linear(z, 1) + 2).cumsum(1)
        mask = torch.tril(torch.ones(49, 49))
        decay = torch.exp(torch.clamp(gate - gate.transpose(1, 2), max=0.0)) * mask
        state = (decay * (n.linear(z, 8) @ n.linear(z, 8).transpose(1, 2))) @ n.linear(z, 32)
        t = t + 0.5 * (n.ln(heeded) + n.ln(state * torch.sigmoid(n.linear(z, 32))))
        t = t + n.ff(n.ln(t))
    return n.embed(t.mean(1), 128)
