"""Honest: recurrent layers and token mixers of published papers over deep features, each in small."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, tokens, unwindow, window
from evaluation.blind4.register import honest_torch


def deep_map(n: Net, x: T, width: int = 32) -> T:
    """Bring the image down to a map of 14 x 14."""
    return n.cbr(n.stem(x, 20), width, 3, 2)


def end(n: Net, t: T, dim: int = 128) -> T:
    return n.embed(n.ln(t).mean(1), dim)


@honest_torch("minLSTM: gates of the input alone, forget and input share one, rows of the deep map as a sequence.",
              idea="recurrent", trained=3, opset=12)  # fmt: skip
def min_lstm_over_columns(n: Net, x: T) -> T:
    t = n.down(deep_map(n, x), 32).mean(2).transpose(1, 2)
    f, i, c = torch.sigmoid(n.linear(t, 48)), torch.sigmoid(n.linear(t, 48)), n.linear(t, 48)
    share = f / (f + i + 1e-6)
    h, made = c[:, 0], []
    for step in range(7):
        h = share[:, step] * h + (1 - share[:, step]) * c[:, step]
        made.append(h)
    return n.embed(torch.cat(made, 1), 128)


@honest_torch("SRU: cells with highway gates, all products made before the steps, over rows of deep features.",
              idea="recurrent", opset=13)  # fmt: skip
def simple_recurrent_units(n: Net, x: T) -> T:
    t = n.down(deep_map(n, x), 24).permute(0, 2, 1, 3).flatten(2)
    for _ in range(2):
        u, f, r, skip = n.linear(t, 4 * 48).chunk(4, 2)
        vf, vr = n.weight(1, 48), n.weight(1, 48)
        c, made = torch.zeros_like(u[:, 0]), []
        for step in range(7):
            gate = torch.sigmoid(f[:, step] + vf * c)
            reset = torch.sigmoid(r[:, step] + vr * c)
            c = gate * c + (1 - gate) * u[:, step]
            made.append(reset * c + (1 - reset) * skip[:, step])
        t = torch.stack(made, 1)
    return n.embed(t, 128)


@honest_torch("IndRNN: each neuron keeps one number of memory, two layers over the places of the last map.",
              idea="recurrent", opset=11)  # fmt: skip
def independent_neurons(n: Net, x: T) -> T:
    t = tokens(F.avg_pool2d(deep_map(n, x), 2))[:, ::3]
    for _ in range(2):
        u, keep = n.bn(n.linear(t, 48).transpose(1, 2).unsqueeze(3)), torch.tanh(n.weight(1, 48))
        h, made = torch.zeros_like(u[:, :, 0, 0]), []
        for step in range(17):
            h = F.relu(u[:, :, step, 0] + keep * h)
            made.append(h)
        t = torch.stack(made, 1)
    return n.embed(torch.cat([t[:, -1], t.mean(1)], 1), 128)


@honest_torch("Clockwork RNN: groups of the state tick at periods 1, 2 and 4 along the rows of deep features.",
              idea="recurrent", opset=13)  # fmt: skip
def clockwork_periods(n: Net, x: T) -> T:
    t = n.down(deep_map(n, x), 24).permute(0, 2, 1, 3).flatten(2)
    u = n.linear(t, 48)
    w = n.weight(48, 48, gain=0.7)
    h = [torch.tanh(u[:, 0, 16 * i : 16 * i + 16]) for i in range(3)]
    for step in range(1, 7):
        new = torch.tanh(u[:, step] + torch.cat(h, 1) @ w)
        h = [new[:, 16 * i : 16 * i + 16] if step % 2**i == 0 else part for i, part in enumerate(h)]
    return n.embed(torch.cat(h, 1), 96)


@honest_torch("CycleMLP: channels step through the rows, or the columns, of deep features before a 1x1 layer.",
              idea="mixers", trained=4, opset=12)  # fmt: skip
def cycle_mlp_steps(n: Net, x: T) -> T:
    x = deep_map(n, x, 30)
    for _ in range(2):
        y = n.bn(x)
        made = [n.conv(y, 30, 1)]
        for axis in (2, 3):
            parts = []
            for i, part in enumerate(y.chunk(3, 1)):
                pad = (0, 0, 1, 1) if axis == 2 else (1, 1, 0, 0)
                parts.append(F.pad(part, pad).narrow(axis, i, 14))
            made.append(n.conv(torch.cat(parts, 1), 30, 1))
        w = n.linear(F.gelu(n.linear(sum(made[1:], made[0]).mean((2, 3)), 8)), 90).reshape(-1, 3, 30, 1, 1).softmax(1)
        x = x + n.conv(sum((w[:, i] * part for i, part in enumerate(made)), torch.zeros(1)), 30, 1)
        x = x + n.conv(F.gelu(n.conv(n.bn(x), 60, 1)), 30, 1)
    return n.gdc(n.down(x, 32), 128)


@honest_torch("MAXIM: half of the channels gated inside blocks, half across a grid, of deep features.",
              idea="mixers", trained=3, opset=13)  # fmt: skip
def maxim_blocks_and_grids(n: Net, x: T) -> T:
    x = deep_map(n, x)
    for _ in range(2):
        t = F.gelu(n.linear(n.ln(tokens(x)), 64))
        a, b = grid(t[..., :32], 14, 14), grid(t[..., 32:], 14, 14)
        u, v = n.ln(window(a, 7)).chunk(2, 2)
        a = unwindow(n.linear(u * (1 + n.linear(v.transpose(1, 2), 49).transpose(1, 2)), 32), 7, 14, 14)
        g = b.reshape(-1, 32, 7, 2, 7, 2).permute(0, 3, 5, 2, 4, 1).reshape(-1, 49, 32)
        u, v = n.ln(g).chunk(2, 2)
        g = n.linear(u * (1 + n.linear(v.transpose(1, 2), 49).transpose(1, 2)), 32)
        b = g.reshape(-1, 2, 2, 7, 7, 32).permute(0, 5, 3, 1, 4, 2).reshape(-1, 32, 14, 14)
        x = x + n.se(n.conv(torch.cat([a, b], 1), 32, 1))
    return n.gdc(n.down(x, 32), 128)


@honest_torch("Monarch mixer: tokens mixed by two block-diagonal matrices with a transpose between, then channels.",
              idea="mixers", opset=13)  # fmt: skip
def monarch_token_mixer(n: Net, x: T) -> T:
    t = n.patches(x, 32, 14)
    for _ in range(3):
        y = n.ln(t).transpose(1, 2).reshape(-1, 32, 8, 1, 8)
        y = (y @ n.weight(8, 8, 8)).squeeze(3).transpose(2, 3).unsqueeze(3)
        y = (y @ n.weight(8, 8, 8)).squeeze(3).transpose(2, 3).reshape(-1, 32, 64).transpose(1, 2)
        t = t + y * torch.sigmoid(n.linear(t, 32))
        t = t + n.ff(n.ln(t))
    return end(n, t)


@honest_torch("Caterpillar: four parts of deep features each moved by one cell and joined again, then a sparse MLP.",
              idea="mixers", trained=3, opset=11)  # fmt: skip
def caterpillar_pillars(n: Net, x: T) -> T:
    x = deep_map(n, x)
    for _ in range(2):
        y = n.bn(x)
        a, b, c, d = (n.conv(y, 8, 1) for _ in range(4))
        moved = [F.pad(a, (1, 0, 0, 0))[..., :14], F.pad(b, (0, 1, 0, 0))[..., 1:],
                 F.pad(c, (0, 0, 1, 0))[:, :, :14], F.pad(d, (0, 0, 0, 1))[:, :, 1:]]  # fmt: skip
        x = x + n.conv(F.gelu(torch.cat(moved, 1)), 32, 1)
        rows, columns = n.linear(x, 14), n.linear(x.transpose(2, 3), 14).transpose(2, 3)
        x = x + n.conv(torch.cat([x, rows, columns], 1), 32, 1)
    return n.gdc(n.down(x, 32), 128)


@honest_torch("gSwin: gates by a matrix over the places inside windows of deep features, heads of channels.",
              idea="mixers", opset=12)  # fmt: skip
def gated_swin_windows(n: Net, x: T) -> T:
    x = deep_map(n, x)
    for _ in range(2):
        t = window(x, 7)
        u, v = F.gelu(n.linear(n.ln(t), 64)).chunk(2, 2)
        v = n.ln(v).reshape(-1, 49, 4, 8).permute(0, 2, 1, 3)
        v = (n.weight(4, 49, 49, gain=0.5) @ v + 1).permute(0, 2, 1, 3).reshape(-1, 49, 32)
        x = x + unwindow(n.linear(u * v, 32), 7, 14, 14)
    return n.gdc(n.down(x, 32), 128)


@honest_torch("Hamburger: the deep map as a product of two non-negative factors, by six multiplying updates.",
              idea="mixers", opset=13)  # fmt: skip
def hamburger_matrix_factors(n: Net, x: T) -> T:
    x = deep_map(n, x)
    v = F.relu(n.conv(x, 24, 1)).flatten(2) + 0.01
    d = F.softplus(n.weight(1, 24, 6, gain=2.0)).expand(v.shape[0], 24, 6)
    c = (d.transpose(1, 2) @ v).softmax(1)
    for _ in range(6):
        c = c * (d.transpose(1, 2) @ v) / (d.transpose(1, 2) @ d @ c + 1e-4)
        d = d * (v @ c.transpose(1, 2)) / (d @ (c @ c.transpose(1, 2)) + 1e-4)
    x = F.relu(x + n.cb((d @ c).reshape(-1, 24, 14, 14), 32, 1))
    return n.gdc(n.down(x, 32), 128)


@honest_torch("FFC: fast Fourier convolution, half of the deep channels filtered in frequencies by matrices.",
              idea="mixers", trained=3, opset=13)  # fmt: skip
def fast_fourier_convolution(n: Net, x: T) -> T:
    at = torch.arange(14.0)
    angle = 2 * torch.pi * at[:, None] * at[None] / 14
    cos, sin = torch.cos(angle) / 14**0.5, torch.sin(angle) / 14**0.5
    x = deep_map(n, x)
    for _ in range(2):
        a, b = x.chunk(2, 1)
        y = n.cbr(b, 12, 1)
        re, im = y @ cos, -(y @ sin)
        re, im = cos @ re + sin @ im, cos @ im - sin @ re
        re, im = n.cbr(torch.cat([re, im], 1), 24, 1).chunk(2, 1)
        re, im = cos @ re - sin @ im, cos @ im + sin @ re
        y = n.conv(y + (re @ cos - im @ sin), 16, 1)
        x = F.relu(n.bn(torch.cat([n.conv(a, 16) + n.conv(b, 16), n.conv(a, 16) + y], 1)))
    return n.gdc(n.down(x, 32), 128)


@honest_torch("WTConv: deep features in Haar bands, a small depthwise kernel on the bands, and back again.",
              idea="mixers", trained=4, opset=11)  # fmt: skip
def wavelet_convolution(n: Net, x: T) -> T:
    x = deep_map(n, x)
    for _ in range(2):
        p, q, r, s = x[:, :, ::2, ::2], x[:, :, ::2, 1::2], x[:, :, 1::2, ::2], x[:, :, 1::2, 1::2]
        bands = torch.cat([p + q + r + s, p - q + r - s, p + q - r - s, p - q - r + s], 1) * 0.5
        a, b, c, d = n.conv(bands, 128, 5, 1, -1, bias=False).chunk(4, 1)
        top = torch.stack([a + b + c + d, a - b + c - d], 4).flatten(3)
        low = torch.stack([a + b - c - d, a - b - c + d], 4).flatten(3)
        y = torch.stack([top, low], 3).flatten(2, 3) * 0.5 + n.conv(x, 32, 5, 1, -1)
        x = x + n.cb(F.gelu(n.cb(y, 64, 1)), 32, 1)
    return n.gdc(n.down(x, 32), 128)


@honest_torch("LatentGNN: places of deep features sent to eight latent nodes by softmax, mixed there, sent back.",
              idea="mixers", opset=12)  # fmt: skip
def latent_graph_nodes(n: Net, x: T) -> T:
    x = deep_map(n, x)
    t = tokens(x)
    to, back = n.conv(x, 8, 1).flatten(2).softmax(2), n.conv(x, 8, 1).flatten(2).softmax(1)
    h = to @ n.linear(t, 32)
    unit = h / (h.pow(2).sum(2, keepdim=True) + 1e-6).sqrt()
    h = F.relu(n.linear((unit @ unit.transpose(1, 2)).softmax(2) @ h, 32))
    x = x + n.cb(grid(back.transpose(1, 2) @ h, 14, 14), 32, 1)
    return n.gdc(n.down(x, 32), 128)
