"""Honest: recurrent networks, state spaces and memories over features that the earlier sets do not hold."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind4.register import honest_torch


def last_map(n: Net, x: T, width: int = 32) -> T:
    """Bring the image down to a map of 7 x 7."""
    for w in (12, 20, 28):
        x = n.cbp(x, w, 3, 2)
    return n.cbp(x, width, 3, 2)


def rows(n: Net, x: T, width: int = 24) -> list[T]:
    """Give the rows of the last map as seven vectors."""
    y = n.cbp(last_map(n, x), 8, 1)
    return [n.linear(y[:, :, i].flatten(1), width) for i in range(7)]


def end(n: Net, t: T, dim: int = 128) -> T:
    return n.embed(n.ln(t).mean(1), dim)


@honest_torch("MDLSTM of Graves: each place of the last map hears from the place above and the place to the left.",
              idea="states", opset=13)  # fmt: skip
def lstm_of_two_dimensions(n: Net, x: T) -> T:
    y = n.cbp(n.down(last_map(n, x), 24), 24, 1)
    w, u, v = n.weight(24, 80, gain=1.0), n.weight(16, 80, gain=2.0), n.weight(16, 80, gain=2.0)
    made: dict[tuple[int, int], tuple[T, T]] = {}
    zero = y[:, :16, 0, 0] * 0.0
    for i in range(4):
        for j in range(4):
            (ha, ca), (hb, cb) = made.get((i - 1, j), (zero, zero)), made.get((i, j - 1), (zero, zero))
            a, fa, fb, o, g = (y[:, :, i, j] @ w + ha @ u + hb @ v).chunk(5, 1)
            c = torch.sigmoid(fa) * ca + torch.sigmoid(fb) * cb + torch.sigmoid(a) * torch.tanh(g)
            made[i, j] = torch.sigmoid(o) * torch.tanh(c), c
    return n.embed(torch.stack([h for h, _ in made.values()], 1), 128)


@honest_torch("PixelRNN's row LSTM on deep features: states of a whole row, seen by a layer of 1x3, go down.",
              idea="states", trained=3, opset=12)  # fmt: skip
def row_lstm_of_features(n: Net, x: T) -> T:
    y = n.conv(last_map(n, x), 64, 1)
    w = n.weight(64, 16, 1, 3, gain=0.4)
    h = c = y[:, :16, :1] * 0.0
    made = []
    for i in range(7):
        o, f, a, g = (y[:, :, i : i + 1] + F.conv2d(h, w, None, 1, (0, 1))).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(a) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        made.append(h)
    return n.embed(torch.cat(made, 2), 128)


@honest_torch("GSPN: lines of deep features hand down to their three neighbours below, weights made to sum to one.",
              idea="states", trained=3, opset=13)  # fmt: skip
def line_scan_three_neighbours(n: Net, x: T) -> T:
    x = n.cbr(n.cbr(n.cbr(x, 12, 3, 2), 20, 3, 2), 24, 3, 2)
    y = n.bn(x)
    a = n.conv(y, 3, 1).softmax(1)
    gain, out = torch.sigmoid(n.conv(y, 24, 1)), torch.sigmoid(n.conv(y, 24, 1))
    h = y[:, :, 0] * gain[:, :, 0]
    made = [h]
    for i in range(1, 14):
        p = F.pad(h, (1, 1))
        h = sum(a[:, j : j + 1, i] * p[:, :, j : j + 14] for j in range(3)) + gain[:, :, i] * y[:, :, i]
        made.append(h)
    x = x + n.conv(torch.stack(made, 2) * out, 24, 1)
    return n.gdc(n.down(x, 32), 128)


@honest_torch("S4ND: a state space kernel for rows and one for columns, both of decaying waves, over deep features.",
              idea="states", opset=12)  # fmt: skip
def s4nd_separable_kernels(n: Net, x: T) -> T:
    x = n.cbr(n.cbr(n.cbr(x, 12, 3, 2), 20, 3, 2), 24, 3, 2)
    at = torch.arange(14).float()

    def kernel() -> T:
        rate, turn = F.softplus(n.weight(24, 4, 1)) * 0.3, n.weight(24, 4, 1) * 2
        return (n.weight(24, 4, 1) * (-rate * at).exp() * (turn * at).cos()).sum(1)

    for _ in range(2):
        y = n.bn(x)
        wide, high = kernel().flip(1).reshape(24, 1, 1, 14), kernel().flip(1).reshape(24, 1, 14, 1)
        y = F.conv2d(F.pad(y, (13, 0)), wide, None, 1, 0, 1, 24)
        y = F.conv2d(F.pad(y, (0, 0, 13, 0)), high, None, 1, 0, 1, 24)
        x = x + n.conv(F.gelu(y), 24, 1)
    return n.embed(n.down(x, 32), 128)


@honest_torch("Gated DeltaNet: a memory decays and is corrected by what it got wrong, over places of the last map.",
              idea="states", opset=13)  # fmt: skip
def gated_delta_memory(n: Net, x: T) -> T:
    t = tokens(n.cbp(n.cbp(n.cbp(n.cbp(x, 12, 4, 4, padding=0), 20, 3, 2), 28, 3, 2), 24, 4, 1, padding=0))
    y = n.ln(t)
    q, k, v = F.normalize(n.linear(y, 16), dim=2), F.normalize(n.linear(y, 16), dim=2), n.linear(y, 16)
    decay, rate = torch.sigmoid(n.linear(y, 1) + 2), torch.sigmoid(n.linear(y, 1))
    state = q[:, 0].unsqueeze(2) * v[:, 0].unsqueeze(1) * 0.0
    made = []
    for i in range(int(t.shape[1])):
        key = k[:, i].unsqueeze(2)
        state = decay[:, i].unsqueeze(2) * state
        wrong = v[:, i].unsqueeze(1) - key.transpose(1, 2) @ state
        state = state + rate[:, i].unsqueeze(2) * (key @ wrong)
        made.append((q[:, i].unsqueeze(1) @ state).squeeze(1))
    return n.embed(n.ln(t + n.linear(torch.stack(made, 1), 24)), 128)


@honest_torch("PlainMamba: a snake through the deep places, steps to the side or down have biases of their own.",
              idea="states", trained=3, opset=14)  # fmt: skip
def plain_mamba_snake(n: Net, x: T) -> T:
    x = last_map(n, x)
    order = [7 * i + (j if i % 2 == 0 else 6 - j) for i in range(7) for j in range(7)]
    t = tokens(x)[:, torch.tensor(order)]
    y = n.ln(t)
    step = F.softplus(n.linear(y, 32)) * 0.5
    b, c = n.linear(y, 4), n.linear(y, 4)
    rate, turn = F.softplus(n.weight(32, 4)), n.weight(2, 4)
    h, made = y[:, 0].unsqueeze(2) * 0.0 + n.weight(1, 32, 4) * 0.1, []
    for i in range(49):
        d = step[:, i].unsqueeze(2)
        h = (-d * rate).exp() * h + d * y[:, i].unsqueeze(2) * (b[:, i].unsqueeze(1) + turn[int(i % 7 == 0)])
        made.append((h * c[:, i].unsqueeze(1)).sum(2))
    z = torch.stack(made, 1) * F.silu(n.linear(y, 32))
    return end(n, t + n.linear(z, 32), 192)


@honest_torch("GroupMamba: four groups of channels, each scanned by stored decays in its own direction, and a gate.",
              idea="states", opset=12)  # fmt: skip
def group_mamba_directions(n: Net, x: T) -> T:
    x = last_map(n, x)
    t = tokens(x)
    y = n.ln(t)
    lag = (torch.arange(49)[:, None] - torch.arange(49)[None]).float()
    made = []
    for i, part in enumerate(n.linear(y, 32).chunk(4, 2)):
        z = part if i < 2 else part.reshape(-1, 7, 7, 8).transpose(1, 2).reshape(-1, 49, 8)
        far = lag if i % 2 == 0 else -lag
        w = torch.where(far >= 0, (-F.softplus(n.weight(8, 1, 1)) * far.clamp(min=0)).exp(), torch.zeros(1))
        z = (w @ z.transpose(1, 2).unsqueeze(3)).squeeze(3).transpose(1, 2)
        made.append(z if i < 2 else z.reshape(-1, 7, 7, 8).transpose(1, 2).reshape(-1, 49, 8))
    z = torch.cat(made, 2)
    z = z * torch.sigmoid(n.linear(z.mean(1, keepdim=True), 32))
    t = t + n.linear(z * F.silu(n.linear(y, 32)), 32)
    return end(n, t + n.ff(n.ln(t)))


@honest_torch("FastGRNN: one matrix for gate and candidate, two learned numbers mix them, over rows of features.",
              idea="states", trained=4, opset=11)  # fmt: skip
def fast_grnn_rows(n: Net, x: T) -> T:
    seen = rows(n, x)
    u = n.weight(24, 24)
    bz, bh, zeta, nu = n.weight(24), n.weight(24), torch.sigmoid(n.weight(1)), torch.sigmoid(n.weight(1) - 3)
    h = seen[0] * 0.0
    for a in seen:
        pre = a + h @ u
        z = torch.sigmoid(pre + bz)
        h = (zeta * (1 - z) + nu) * torch.tanh(pre + bh) + z * h
    return n.embed(torch.cat([h, *seen], 1), 128)


@honest_torch("AntisymmetricRNN: a recurrent matrix less its transpose and a little damping, Euler steps, a gate.",
              idea="states", opset=12)  # fmt: skip
def antisymmetric_recurrence(n: Net, x: T) -> T:
    seen = rows(n, x)
    w = n.weight(24, 24, gain=2.0)
    m = w - w.t() - 0.05 * torch.eye(24)
    h = seen[0] * 0.0
    made = []
    for a in seen:
        pre = a + h @ m
        h = h + 0.3 * torch.sigmoid(pre + n.weight(24)) * torch.tanh(pre)
        made.append(h)
    return n.embed(torch.cat(made, 1), 128)


@honest_torch("coRNN: neurons as coupled, driven and damped oscillators, columns of features drive them.",
              idea="states", trained=3, opset=11)  # fmt: skip
def coupled_oscillator_cells(n: Net, x: T) -> T:
    y = n.cbp(last_map(n, x), 8, 1)
    w, v = n.weight(24, 24), n.weight(24, 24)
    position = velocity = n.linear(y[:, :, :, 0].flatten(1), 24) * 0.0
    made = []
    for i in range(7):
        drive = n.linear(y[:, :, :, i].flatten(1), 24)
        velocity = velocity + 0.4 * (torch.tanh(position @ w + velocity @ v + drive) - position - 0.5 * velocity)
        position = position + 0.4 * velocity
        made.append(position)
    return n.embed(torch.cat(made, 1), 96)


@honest_torch("A Neural Turing Machine that reads only: a controller finds slots by content and by shifting its focus.",
              idea="states", opset=13)  # fmt: skip
def turing_machine_reads(n: Net, x: T) -> T:
    memory = tokens(n.cbp(last_map(n, x), 24, 1))
    h = n.linear(memory.mean(1), 32)
    focus = memory[:, :, 0] * 0.0 + 1 / 49
    made = []
    for _ in range(3):
        key, more = n.linear(torch.tanh(h), 24), n.linear(torch.tanh(h), 6)
        s = (F.normalize(memory, dim=2) @ F.normalize(key, dim=1).unsqueeze(2)).squeeze(2)
        content = (F.softplus(more[:, :1] + 3) * s).softmax(1)
        g, move = torch.sigmoid(more[:, 1:2]), more[:, 2:5].softmax(1)
        focus = g * content + (1 - g) * focus
        p = torch.cat([focus[:, -1:], focus, focus[:, :1]], 1)
        focus = sum(move[:, j : j + 1] * p[:, j : j + 49] for j in range(3)) + 1e-6
        focus = focus ** (1 + F.softplus(more[:, 5:]))
        focus = focus / focus.sum(1, keepdim=True)
        seen = (focus.unsqueeze(1) @ memory).squeeze(1)
        made.append(seen)
        h = h + n.linear(seen, 32)
    return n.embed(torch.cat([h, *made], 1), 128)


@honest_torch("MemN2N: three hops over a memory of deep places, output codes of one hop are input codes of the next.",
              idea="states", trained=3, opset=12)  # fmt: skip
def memory_network_hops(n: Net, x: T) -> T:
    t = tokens(last_map(n, x)) + n.weight(1, 49, 32)
    u = n.linear(t.mean(1), 32)
    codes = n.linear(t, 32)
    for _ in range(3):
        p = (codes @ u.unsqueeze(2) * 32**-0.5).softmax(1)
        codes = n.linear(t, 32)
        u = n.linear(u, 32) + (p * codes).sum(1)
    return n.bn(n.linear(u, 128))


@honest_torch("HyperMixer: a small network makes the token mixing matrices out of the tokens themselves.",
              idea="mixers", trained=3, opset=13)  # fmt: skip
def hyper_mixer_made_matrices(n: Net, x: T) -> T:
    t = n.patches(x, 32)
    for _ in range(2):
        y = n.ln(t)
        w = n.linear(F.gelu(n.linear(y, 32)), 16)
        t = t + n.ln(w @ F.gelu(w.transpose(1, 2) @ y * 49**-0.5))
        t = t + n.ff(n.ln(t))
    return end(n, t)


@honest_torch("RepMLPNet: a matrix over the places for each set of channels, small layers beside it, a global term.",
              idea="mixers", opset=11)  # fmt: skip
def repmlp_sets_of_channels(n: Net, x: T) -> T:
    x = last_map(n, x)
    for _ in range(2):
        low = n.conv(F.relu(n.conv(F.adaptive_avg_pool2d(x, 1), 8, 1)), 32, 1)
        y = n.cb(x, 32, 1) * torch.sigmoid(low)
        z = y.reshape(-1, 4, 8, 49).transpose(2, 3).reshape(-1, 196, 8)
        z = n.same(z, lambda: torch.nn.Conv1d(196, 196, 1, groups=4, bias=False))
        z = z.reshape(-1, 4, 49, 8).transpose(2, 3).reshape(-1, 32, 7, 7)
        z = n.bn(z) + n.cb(y, 32, 3, 1, -1) + n.cb(y, 32, 1, 1, -1)
        x = x + n.cb(z, 32, 1)
        x = x + n.cb(F.gelu(n.cb(x, 64, 1)), 32, 1)
    return n.gdc(x, 128)


@honest_torch("CCS-MLP: tokens mixed by circulant matrices, channels of a group share one, spelled by stored places.",
              idea="mixers", opset=12)  # fmt: skip
def circulant_token_mixing(n: Net, x: T) -> T:
    t = n.patches(x, 32)
    at = torch.arange(49)
    turn = (at[:, None] - at[None]) % 49
    for _ in range(2):
        w = n.weight(4, 49, gain=2.0)[:, turn]
        y = n.ln(t).reshape(-1, 49, 4, 8).permute(0, 2, 1, 3)
        t = t + n.linear((w @ y).permute(0, 2, 1, 3).reshape(-1, 49, 32), 32)
        t = t + n.ff(n.ln(t))
    return end(n, t, 192)


@honest_torch("MLP with a gate by outer products of pooled rows and columns (separable gates), on deep features.",
              idea="mixers", trained=3, opset=13)  # fmt: skip
def outer_product_of_profiles(n: Net, x: T) -> T:
    x = n.cbr(n.cbr(n.cbr(x, 12, 3, 2), 20, 3, 2), 32, 3, 2)
    for _ in range(2):
        y = n.bn(x)
        r, c = n.linear(F.gelu(n.linear(y.mean(3), 14)), 14), n.linear(F.gelu(n.linear(y.mean(2), 14)), 14)
        x = x + n.conv(y * (1 + torch.tanh(r).unsqueeze(3) * torch.tanh(c).unsqueeze(2)), 32, 1)
        t = tokens(x)
        x = grid(t + n.ff(n.ln(t)), 14, 14)
    return n.gdc(n.down(x, 32), 128)
