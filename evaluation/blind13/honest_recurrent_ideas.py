"""Honest: recurrent, state-space and mixing layers over deep features that the earlier sets do not hold."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, tokens
from evaluation.blind4.register import honest_torch


def rows(n: Net, x: T, width: int = 40) -> list[T]:
    """Return the seven rows of a deep map, each a vector of ``width``."""
    y = n.down(n.down(n.stem(x, 16), 24), 32)
    t = n.linear(y.permute(0, 2, 3, 1).flatten(2), width)
    return [t[:, i] for i in range(7)]


def mapped(n: Net, x: T, width: int = 32) -> T:
    """Return the 49 places of a deep map as tokens."""
    return tokens(n.down(n.down(n.stem(x, 16), 24), width))


def empty(a: T, width: int) -> T:
    """Return a state of zeros for each image."""
    return torch.zeros_like(a[:, :1]).expand(-1, width)


class Shared:
    """Linear layers that are made at the first step and used again at each later one."""

    def __init__(self, n: Net, cin: int, cout: int) -> None:
        self.w, self.b = n.weight(cin, cout), 0.1 * n.weight(cout)
        self.w = self.w * (cout / cin) ** 0.5

    def __call__(self, x: T) -> T:
        return x @ self.w + self.b


@honest_torch("Gated slot attention: eight slots of keys and values decay by gates, a softmax over slots reads them.",
              idea="recurrences", opset=13)  # fmt: skip
def gated_slot_memory(n: Net, x: T) -> T:
    steps, made = rows(n, x), []
    wq, wk, wv, wa = (Shared(n, 40, c) for c in (32, 32, 32, 8))
    keys = values = torch.zeros(1, 8, 32)
    for r in steps:
        a = torch.sigmoid(wa(r) + 1).unsqueeze(2)
        keys = a * keys + (1 - a) * wk(r).unsqueeze(1)
        values = a * values + (1 - a) * wv(r).unsqueeze(1)
        p = (keys * wq(r).unsqueeze(1)).sum(2).softmax(1)
        made.append((p.unsqueeze(2) * values).sum(1))
    return n.bn(n.linear(n.ln(torch.cat(made, 1)), 128))


@honest_torch("VSSD: state space duality without an order, gates weigh what every place gives to one shared state.",
              idea="state spaces", opset=14)  # fmt: skip
def non_causal_state_duality(n: Net, x: T) -> T:
    t = mapped(n, x)
    for _ in range(2):
        s = n.ln(t)
        z, v = F.silu(n.linear(s, 32)), n.linear(s, 32)
        b, c = n.linear(s, 16), n.linear(s, 16)
        step = F.softplus(n.linear(s, 1))
        state = (b * step / 7).transpose(1, 2) @ v
        t = t + n.linear((c @ state * 0.2 + v * n.weight(32)) * z, 32)
        t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t), 128)


@honest_torch("RWKV-7: a state by rows of features, decayed by vectors, with in-context rates of removal and addition.",
              idea="recurrences", trained=3, opset=15)  # fmt: skip
def generalised_delta_rule(n: Net, x: T) -> T:
    steps, made = rows(n, x), []
    wr, ww, wk, wv, wa = (Shared(n, 40, 16) for _ in range(5))
    state = torch.zeros(1, 16, 16)
    for r in steps:
        decay = torch.exp(-0.6 * torch.sigmoid(ww(r))).unsqueeze(1)
        key, rate = F.normalize(wk(r), dim=1), torch.sigmoid(wa(r))
        gone = (state @ key.unsqueeze(2)) @ (key * rate).unsqueeze(1)
        state = state * decay - gone + wv(r).unsqueeze(2) @ (key * rate).unsqueeze(1)
        made.append((state @ wr(r).unsqueeze(2)).squeeze(2))
    return n.bn(n.linear(torch.cat([*made, steps[-1]], 1), 128))


@honest_torch("DeltaProduct: two reflections of the memory for each row, by unit keys with rates up to 2.",
              idea="recurrences", opset=12)  # fmt: skip
def two_reflections_each_row(n: Net, x: T) -> T:
    steps, made = rows(n, x), []
    keys, values, rates = ([Shared(n, 40, c) for _ in range(2)] for c in (16, 16, 1))
    query = Shared(n, 40, 16)
    state = torch.zeros(1, 16, 16)
    for r in steps:
        for wk, wv, wb in zip(keys, values, rates, strict=True):
            key, rate = F.normalize(wk(r), dim=1).unsqueeze(1), 2 * torch.sigmoid(wb(r)).unsqueeze(2)
            state = state - rate * (state @ key.transpose(1, 2) - wv(r).unsqueeze(2)) @ key
        made.append((state @ query(r).unsqueeze(2)).flatten(1))
    return n.bn(n.linear(torch.cat(made, 1), 128))


@honest_torch("STAR cells, two stacked: one gate of input and state decides between the state and a new value.",
              idea="recurrences", opset=11)  # fmt: skip
def stackable_recurrent_cells(n: Net, x: T) -> T:
    steps = rows(n, x)
    for _ in range(2):
        new, gate, back = Shared(n, 40, 40), Shared(n, 40, 40), Shared(n, 40, 40)
        h, made = empty(steps[0], 40), []
        for r in steps:
            k = torch.sigmoid(gate(r) + back(h))
            h = torch.tanh((1 - k) * h + k * torch.tanh(new(r)))
            made.append(h)
        steps = made
    return n.bn(n.linear(torch.cat(steps, 1), 128))


@honest_torch("Chaos-free network: no matrix within the tanh of the state, gates alone forget and take in.",
              idea="recurrences", opset=13)  # fmt: skip
def chaos_free_cells(n: Net, x: T) -> T:
    steps, made = rows(n, x), []
    w, a, b, ua, ub = (Shared(n, 40, 40) for _ in range(5))
    h = empty(steps[0], 40)
    for r in steps:
        forget, take = torch.sigmoid(a(r) + ua(h)), torch.sigmoid(b(r) + ub(h))
        h = forget * torch.tanh(h) + take * torch.tanh(w(r))
        made.append(h)
    return n.bn(n.linear(torch.cat(made, 1), 128))


@honest_torch("Update-gate cells (UGRNN) up and down the rows of deep features, both last states joined.",
              idea="recurrences", trained=3, opset=14)  # fmt: skip
def update_gate_cells_both_ways(n: Net, x: T) -> T:
    steps, last = rows(n, x), []
    for order in (steps, steps[::-1]):
        cell = Shared(n, 88, 96)
        h = empty(steps[0], 48)
        for r in order:
            g, c = cell(torch.cat([r, h], 1)).chunk(2, 1)
            g = torch.sigmoid(g + 1)
            h = g * h + (1 - g) * torch.tanh(c)
        last.append(h)
    return n.bn(n.linear(torch.cat(last, 1), 128))


@honest_torch("Multiplicative LSTM: a product of layers of row and state stands in for the state in every gate.",
              idea="recurrences", opset=12)  # fmt: skip
def multiplicative_lstm_rows(n: Net, x: T) -> T:
    steps, made = rows(n, x), []
    mx, mh, gx, gm = Shared(n, 40, 32), Shared(n, 32, 32), Shared(n, 40, 128), Shared(n, 32, 128)
    h = c = empty(steps[0], 32)
    for r in steps:
        m = mx(r) * mh(h)
        i, f, o, g = (gx(r) + gm(m)).chunk(4, 1)
        c = torch.sigmoid(f + 1) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        made.append(h)
    return n.bn(n.linear(torch.cat(made, 1), 128))


@honest_torch("Nested LSTM: the cell's memory is itself the output of an inner LSTM, over the rows of features.",
              idea="recurrences", trained=3, opset=11)  # fmt: skip
def nested_lstm_rows(n: Net, x: T) -> T:
    steps = rows(n, x)
    outer, inner = Shared(n, 72, 128), Shared(n, 64, 128)
    h = m = c = empty(steps[0], 32)
    for r in steps:
        i, f, o, g = outer(torch.cat([r, h], 1)).chunk(4, 1)
        a, b, u, v = inner(torch.cat([torch.sigmoid(i) * torch.tanh(g), torch.sigmoid(f) * m], 1)).chunk(4, 1)
        c = torch.sigmoid(b) * c + torch.sigmoid(a) * torch.tanh(v)
        m = torch.sigmoid(u) * torch.tanh(c)
        h = torch.sigmoid(o) * torch.tanh(m)
    return n.bn(n.linear(torch.cat([h, m, steps[3]], 1), 128))


@honest_torch("SCRN: a slow context of stored leak beside a fast state, over the columns of deep features.",
              idea="recurrences", opset=16)  # fmt: skip
def slow_context_fast_state(n: Net, x: T) -> T:
    y = n.down(n.down(n.stem(x, 16), 24), 32).permute(0, 3, 2, 1).flatten(2)
    steps, made = n.linear(y, 40).unbind(1), []
    into, fast, back, mix = Shared(n, 40, 16), Shared(n, 40, 40), Shared(n, 40, 40), Shared(n, 16, 40)
    slow, h = empty(steps[0], 16), empty(steps[0], 40)
    for r in steps:
        slow = 0.1 * into(r) + 0.9 * slow
        h = torch.sigmoid(mix(slow) + fast(r) + back(h))
        made.append(h)
    return n.bn(n.linear(torch.cat([*made, slow], 1), 128))


@honest_torch("U-Mixer: tokens are mixed at 49, 16 and 4 of them by stored matrices, with sums on the way back.",
              idea="mixers", trained=3, opset=14)  # fmt: skip
def u_shaped_token_mixer(n: Net, x: T) -> T:
    def mix(t: T, count: int) -> T:
        return n.linear(F.gelu(n.linear(t.transpose(1, 2), 2 * count)), count).transpose(1, 2)

    t = n.patches(x, 40)
    a = t + mix(n.ln(t), 49)
    b = n.linear(a.transpose(1, 2), 16).transpose(1, 2)
    b = b + mix(n.ln(b), 16)
    c = n.linear(b.transpose(1, 2), 4).transpose(1, 2)
    c = c + mix(n.ln(c), 4) + n.ff(n.ln(c))
    b = b + n.linear(c.transpose(1, 2), 16).transpose(1, 2)
    a = a + n.linear(n.ln(b).transpose(1, 2), 49).transpose(1, 2)
    return n.embed(n.ln(a + n.ff(n.ln(a))), 128)
