"""Honest: recurrent cells and state spaces that read one image's deep features in order."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind4.register import honest_torch
from evaluation.blind14.honest_ends import deep, last
from evaluation.blind16.honest_parts import join, rms


def decayed(log_decay: T, v: T, back: bool = False) -> T:
    """Sum tokens [N, L, C] before each place, weighed by the product of decays [N, L, C] between."""
    length = int(v.shape[1])
    total = log_decay.cumsum(1)
    gap = total.unsqueeze(2) - total.unsqueeze(1)
    keep = torch.tril(torch.ones(length, length)).reshape(1, length, length, 1)
    if back:
        gap, keep = -gap, keep.transpose(1, 2)
    return (torch.exp(gap.clamp(-20.0, 0.0)) * keep * v.unsqueeze(1)).sum(2)


def selective(n: Net, z: T, back: bool = False) -> T:
    """Write a small selective scan: a decay and an input of every token."""
    c = int(z.shape[2])
    step = F.softplus(n.linear(z, c))
    return decayed(-step, step * n.linear(z, c), back) * torch.sigmoid(n.linear(z, c))


@honest_torch("MambaMixer: a selective scan over places both ways, one over channels, and learned means of earlier "
              "outputs.",
              idea="state spaces", trained=3, opset=12)  # fmt: skip
def scans_over_places_and_channels(n: Net, x: T) -> T:
    t = tokens(last(n, x, 24)) + n.weight(1, 49, 24)
    seen = [t]
    for _ in range(2):
        z = n.ln(t)
        places = n.linear(selective(n, z) + selective(n, z, True), 24)
        share = n.weight(len(seen), gain=0.5)
        for i, old in enumerate(seen):
            places = places + share[i] * old
        channels = n.ln(places).transpose(1, 2)
        t = places + n.linear(selective(n, n.linear(channels, 12)), 49).transpose(1, 2)
        seen.append(t)
    return n.embed(n.ln(t), 128)


@honest_torch("MobileMamba: a third of the channels is scanned at half the size, a third passes two "
              "kernels, a third stays.",
              idea="state spaces", opset=13)  # fmt: skip
def thirds_scanned_convolved_and_kept(n: Net, x: T) -> T:
    y = deep(n, x, 36)
    for _ in range(2):
        a, b, c = n.bn(y).chunk(3, 1)
        low = F.avg_pool2d(a, 2)
        back = grid(selective(n, tokens(low)) + selective(n, tokens(low), True), 7, 7)
        a = a + n.conv(F.interpolate(back, scale_factor=2.0, mode="nearest"), 12, 3, 1, -1)
        b = F.relu(n.cb(b, 12, 3, 1, -1) + n.cb(b, 12, 5, 1, -1))
        y = y + n.cb(torch.cat([a, b, c], 1), 36, 1)
        y = y + n.cb(F.relu(n.cb(y, 72, 1)), 36, 1)
    return n.gdc(n.down(y, 40), 128)


@honest_torch("TinyViM: Laplace mixing, the low frequencies of deep features are scanned, the high ones pass a 3x3 "
              "layer.",
              idea="state spaces", opset=11)  # fmt: skip
def low_scanned_high_convolved(n: Net, x: T) -> T:
    y = deep(n, x, 32)
    for i in range(2):
        low, high = torch.split(n.cb(y, 32, 1), [16, 16], 1)
        small = F.avg_pool2d(low, 2)
        fine = high + low - F.interpolate(small, scale_factor=2.0, mode="nearest")
        small = grid(selective(n, n.ln(tokens(small)), i == 1), 7, 7)
        fine = F.gelu(n.cb(fine, 16, 3, 1, -1))
        both = torch.cat([F.interpolate(small, scale_factor=2.0, mode="nearest"), fine], 1)
        y = y + n.cb(both, 32, 1)
    return n.gdc(n.down(y, 40), 128)


@honest_torch("Mamba-ND: each layer scans the deep map along one direction only, rows, rows back, columns, columns "
              "back in turn.",
              idea="state spaces", trained=3, opset=13)  # fmt: skip
def one_direction_for_each_layer(n: Net, x: T) -> T:
    y = last(n, x, 24)
    for i in range(4):
        z = y if i < 2 else y.transpose(2, 3)
        t = tokens(z)
        t = t + n.linear(selective(n, n.ln(t), i % 2 == 1), 24)
        z = grid(t, 7, 7)
        y = z if i < 2 else z.transpose(2, 3)
    return n.embed(n.bn(y), 128)


@honest_torch("RWKV-6 Finch: decays of each token by a low-rank layer, token shift mixed by content, a bonus for the "
              "token itself.",
              idea="state spaces", opset=12)  # fmt: skip
def decays_by_low_rank_of_token(n: Net, x: T) -> T:
    t = tokens(last(n, x)) + n.weight(1, 49, 32)
    for _ in range(2):
        z = n.ln(t)
        before = F.pad(z[:, :-1], (0, 0, 1, 0))
        mixed = z + (before - z) * torch.sigmoid(n.linear(torch.tanh(n.linear(before - z, 6)), 32))
        r, k, v = n.linear(mixed, 32), n.linear(mixed, 32), n.linear(mixed, 32)
        log_decay = -torch.exp((n.linear(torch.tanh(n.linear(mixed, 6)), 32) - 1).clamp(max=1.5))
        state = decayed(log_decay, k * v) + n.weight(32) * k * v
        t = t + n.linear(torch.sigmoid(r) * n.ln(state), 32)
        t = t + n.linear(F.relu(n.linear(n.ln(t), 64)).pow(2), 32)
    return n.embed(n.ln(t).mean(1), 128)


@honest_torch("GateLoop: a recurrence whose complex transition, size and phase, the token itself decides, in parallel "
              "form.",
              idea="state spaces", opset=14)  # fmt: skip
def complex_transitions_by_content(n: Net, x: T) -> T:
    t = tokens(last(n, x, 24)) + n.weight(1, 49, 24)
    for _ in range(2):
        z = n.ln(t)
        size = torch.log(torch.sigmoid(n.linear(z, 24) + 2.0))
        phase = (0.5 * torch.tanh(n.linear(z, 24))).cumsum(1)
        kv = n.linear(z, 24) * n.linear(z, 24)
        real, imag = decayed(size, kv * phase.cos()), decayed(size, -kv * phase.sin())
        state = real * phase.cos() - imag * phase.sin()
        t = t + n.linear(n.linear(z, 24) * state * F.silu(n.linear(z, 24)), 24)
        t = t + n.ff(n.ln(t))
    return n.embed(t.mean(1), 128)


@honest_torch("LinOSS: a bank of forced oscillators of stored stiffness, stepped implicitly, reads the columns of the "
              "last map.",
              idea="recurrent cells", opset=11)  # fmt: skip
def forced_oscillators_over_columns(n: Net, x: T) -> T:
    y = last(n, x)
    stiff = n.weight(48).abs() * 4 + 0.5
    step = torch.sigmoid(n.weight(48))
    place, speed = None, None
    for i in range(7):
        force = n.linear(y[:, :, :, i].flatten(1), 48)
        place = 0 * force if place is None else place
        speed = 0 * force if speed is None else speed
        shrink = 1 / (1 + step * step * stiff)
        speed = shrink * (speed + step * (force - stiff * place))
        place = place + step * speed
    assert place is not None
    assert speed is not None
    return n.bn(n.linear(torch.cat([F.gelu(place), F.gelu(speed)], 1), 128))


@honest_torch("BiGS: two diagonal state spaces, one each way, meet by products with gates, as a BERT without "
              "attention.",
              idea="state spaces", trained=3, opset=13)  # fmt: skip
def gated_states_both_ways_in_products(n: Net, x: T) -> T:
    t = n.patches(x, 32, 16)
    for _ in range(2):
        z = n.ln(t)
        u, v = F.gelu(n.linear(z, 32)), F.gelu(n.linear(z, 48))
        rate = -0.1 - n.weight(32).abs()
        still = 0 * u + rate
        f = n.linear(decayed(still, u), 32)
        b = n.linear(decayed(still, u, True), 32)
        t = t + n.linear(v * F.gelu(n.linear(f * b, 48)), 32)
    return n.embed(n.ln(t), 128)


@honest_torch("Zoneout as it is at test time: an LSTM's new states are mixed with the old ones by stored chances, over "
              "rows.",
              idea="recurrent cells", opset=12)  # fmt: skip
def states_mixed_by_zoneout_chance(n: Net, x: T) -> T:
    y = last(n, x)
    matrix = n.weight(40, 160)
    h, c = None, None
    for i in range(7):
        row = n.linear(y[:, :, i].flatten(1), 160)
        h = 0 * row[:, :40] if h is None else h
        c = 0 * row[:, :40] if c is None else c
        a, f, o, g = (row + h @ matrix).chunk(4, 1)
        new = torch.sigmoid(f + 1) * c + torch.sigmoid(a) * torch.tanh(g)
        c = 0.15 * c + 0.85 * new
        h = 0.05 * h + 0.95 * torch.sigmoid(o) * torch.tanh(new)
    assert h is not None
    assert c is not None
    return n.bn(n.linear(torch.cat([h, c], 1), 128))


@honest_torch("EleAttG: each number of a row is weighed by a gate of row and state before the GRU reads it.",
              idea="recurrent cells", trained=3, opset=11)  # fmt: skip
def rows_weighed_number_by_number(n: Net, x: T) -> T:
    y = last(n, x, 24)
    u, w = n.weight(40, 120), n.weight(40, 168)
    h = None
    for i in range(7):
        row = y[:, :, i].flatten(1)
        h = 0 * row[:, :40] if h is None else h
        row = row * torch.sigmoid(n.linear(row, 168) + h @ w)
        a, b, c = n.linear(row, 120).chunk(3, 1)
        d, e, f = (h @ u).chunk(3, 1)
        z, r = torch.sigmoid(a + d), torch.sigmoid(b + e)
        h = z * h + (1 - z) * torch.tanh(c + r * f)
    assert h is not None
    return n.bn(n.linear(torch.cat([h, y.mean((2, 3))], 1), 128))


@honest_torch("Sliced recurrent network: short runs of deep places are read by one cell, their ends by a second one.",
              idea="recurrent cells", opset=12)  # fmt: skip
def short_runs_then_their_ends(n: Net, x: T) -> T:
    y = deep(n, x, 24)
    runs = y.reshape(-1, 24, 14, 2, 7).permute(0, 2, 3, 4, 1).reshape(-1, 28, 7, 24)
    u, v = n.weight(24, 24), n.weight(40, 40)
    low = torch.tanh(n.linear(runs, 24))
    h = low[:, :, 0]
    for i in range(1, 7):
        h = torch.tanh(low[:, :, i] + h @ u)
    high = n.linear(n.linear(h.reshape(-1, 7, 96), 40), 40)
    s = torch.tanh(high[:, 0])
    for i in range(1, 7):
        s = torch.tanh(high[:, i] + s @ v)
    return n.bn(n.linear(torch.cat([s, h.mean(1)], 1), 96))


@honest_torch("Block-recurrent transformer: seven rows of deep places in turn, each attends to itself and to four "
              "gated states.",
              idea="recurrent cells", opset=13)  # fmt: skip
def rows_with_a_gated_set_of_states(n: Net, x: T) -> T:
    t = tokens(last(n, x)).reshape(-1, 7, 7, 32)
    state = n.weight(1, 4, 32, gain=2.0) + 0 * t[:, 0, :4]
    rate = torch.sigmoid(n.weight(32) + 1)
    wq, wk, wv = n.weight(32, 32), n.weight(32, 32), n.weight(32, 32)
    kept = []
    for i in range(7):
        row = t[:, i]
        both = torch.cat([row, state], 1)
        k, v = both @ wk, both @ wv
        row = row + (row @ wq @ k.transpose(1, 2) * 32**-0.5).softmax(-1) @ v
        state = rate * state + (1 - rate) * ((state @ wq @ k.transpose(1, 2) * 32**-0.5).softmax(-1) @ v)
        kept.append(row)
    return n.embed(torch.cat([torch.stack(kept, 1).mean((1, 2)), state.flatten(1)], 1), 128)


@honest_torch("Samba: a selective scan and attention within a sliding window of a row take turns over the tokens.",
              idea="state spaces", trained=3, opset=18, dynamo=True)  # fmt: skip
def scans_and_sliding_windows_in_turn(n: Net, x: T) -> T:
    i = torch.arange(49)
    far = 30.0 * ((i[:, None] - i).abs() > 8).float()
    t = n.patches(x, 24, 16)
    for _ in range(2):
        t = t + n.linear(selective(n, rms(n, t)), 24)
        q, k, v = n.heads(rms(n, t), 2)
        t = t + join(n, (q @ k.transpose(2, 3) * 12**-0.5 - far).softmax(-1) @ v)
        z = rms(n, t)
        t = t + n.linear(F.silu(n.linear(z, 36)) * n.linear(z, 36), 24)
    return n.embed(rms(n, t), 128)


@honest_torch("Zamba: one attention block with one set of weights stands between scan blocks, and reads the first "
              "tokens beside the present ones.",
              idea="state spaces", opset=12)  # fmt: skip
def one_attention_block_between_scans(n: Net, x: T) -> T:
    first = t = tokens(last(n, x, 24)) + n.weight(1, 49, 24)
    wqkv, out = n.weight(48, 72, gain=0.7), n.weight(24, 24)
    for _ in range(2):
        t = t + n.linear(selective(n, n.ln(t)), 24)
        both = torch.cat([n.ln(t), first], 2)
        q, k, v = (both @ wqkv).chunk(3, 2)
        t = t + n.linear((q @ k.transpose(1, 2) * 24**-0.5).softmax(-1) @ v @ out, 24)
    return n.embed(n.ln(t), 128)
