"""Honest: recurrent cells, state spaces and memories that read one image's deep features in order."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind4.register import honest_torch
from evaluation.blind14.honest_ends import deep, last


def rows(n: Net, x: T, width: int = 32) -> list[T]:
    """Return the seven rows of a deep map as vectors [N, width]."""
    y = n.conv(last(n, x), 8, 1).permute(0, 2, 1, 3).reshape(-1, 7, 56)
    z = n.linear(y, width)
    return [z[:, i] for i in range(7)]


@honest_torch("Recurrent additive network: gates alone, the state is a gated sum of the rows without any nonlinear "
              "layer.",
              idea="recurrent cells", opset=11)  # fmt: skip
def recurrent_additive_rows(n: Net, x: T) -> T:
    steps = rows(n, x)
    wi, wf, ui, uf = (n.weight(32, 32) for _ in range(4))
    c = steps[0]
    h = torch.tanh(c)
    for z in steps[1:]:
        c = torch.sigmoid(z @ wi + h @ ui) * z + torch.sigmoid(z @ wf + h @ uf) * c
        h = torch.tanh(c)
    return n.embed(h, 128)


@honest_torch("CIFG: an LSTM whose input gate is one minus its forget gate, read down and up, both ends joined.",
              idea="recurrent cells", opset=12)  # fmt: skip
def coupled_gates_down_and_up(n: Net, x: T) -> T:
    steps = rows(n, x)
    ends = []
    for order in (steps, steps[::-1]):
        w, u = n.weight(32, 72), n.weight(24, 72)
        c = torch.tanh(order[0] @ w[:, :24])
        h = torch.tanh(c)
        for z in order[1:]:
            f, o, g = (z @ w + h @ u).chunk(3, 1)
            f = torch.sigmoid(f + 1)
            c = f * c + (1 - f) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        ends.append(h)
    return n.embed(torch.cat(ends, 1), 128)


@honest_torch("Fourier recurrent unit: the states' sums are kept under stored cosines of different frequencies.",
              idea="recurrent cells", trained=3, opset=13)  # fmt: skip
def states_under_stored_cosines(n: Net, x: T) -> T:
    steps = rows(n, x)
    w, u = n.weight(32, 24), n.weight(96, 24)
    kept = 0 * torch.cat([steps[0]] * 3, 1)
    freq = torch.tensor([0.0, 0.5, 1.0, 2.0]).reshape(4, 1)
    for i, z in enumerate(steps):
        h = torch.tanh(z @ w + kept @ u)
        wave = torch.cos(6.2832 * freq * i / 7).expand(4, 24).reshape(1, 96)
        kept = kept + torch.cat([h] * 4, 1) * wave / 7
    return n.embed(kept, 128)


@honest_torch("MIST: a recurrent layer that reads mixed states of one, two and four rows before, softmax of the "
              "delays.",
              idea="recurrent cells", opset=11)  # fmt: skip
def delays_of_powers_of_two(n: Net, x: T) -> T:
    steps = rows(n, x)
    w, u, d = n.weight(32, 32), n.weight(32, 32), n.weight(32, 3)
    states = [torch.tanh(steps[0])]
    for i, z in enumerate(steps[1:], 1):
        share = (z @ d).softmax(1)
        past = sum(share[:, k : k + 1] * states[max(i - 2**k, 0)] for k in range(3))
        states.append(torch.tanh(z @ w + past @ u))
    return n.embed(states[-1], 128)


@honest_torch("Dilated recurrent layers: three in a pile, each with a skip of one, two and four columns.",
              idea="recurrent cells", opset=12)  # fmt: skip
def dilated_recurrent_columns(n: Net, x: T) -> T:
    y = n.conv(last(n, x), 8, 1).permute(0, 3, 1, 2).reshape(-1, 7, 56)
    z = n.linear(y, 24)
    steps = [z[:, i] for i in range(7)]
    for skip in (1, 2, 4):
        w, u = n.weight(24, 24), n.weight(24, 24)
        made: list[T] = []
        for i, v in enumerate(steps):
            made.append(torch.tanh(v @ w + (made[i - skip] @ u if i >= skip else 0)))
        steps = made
    return n.embed(torch.cat(steps[-4:], 1), 128)


@honest_torch("Log-linear attention: sums of keys and values are kept for spans of doubling length, each with a "
              "weight.",
              idea="linear attention", opset=13)  # fmt: skip
def spans_of_doubling_length(n: Net, x: T) -> T:
    t = tokens(last(n, x)) + n.weight(1, 49, 32)
    i = torch.arange(49).float()
    gap = (i.reshape(49, 1) - i.reshape(1, 49)).clamp(min=0)
    level = torch.floor(torch.log2(gap + 1)).clamp(max=5)
    causal = (i.reshape(49, 1) >= i.reshape(1, 49)).float()
    for _ in range(2):
        z = n.ln(t)
        q, k, v = n.heads(z, 1)
        lam = F.softplus(n.linear(z, 6)).unsqueeze(1)
        spread = sum(lam[..., j : j + 1] * (level == j).float() for j in range(6))
        mixed = ((q @ k.transpose(2, 3)) * 0.18 * spread * causal) @ v
        t = t + n.linear(n.ln(mixed[:, 0]), 32)
        t = t + n.ff(n.ln(t))
    return n.embed(t, 128)


@honest_torch("Aaren: attention of one learned query as a recurrence with a running maximum, numerator and "
              "denominator.",
              idea="recurrent cells", trained=3, opset=11)  # fmt: skip
def attention_as_running_sums(n: Net, x: T) -> T:
    steps = rows(n, x)
    q, wk, wv = n.weight(1, 32, gain=3.0), n.weight(32, 32), n.weight(32, 32)
    top = (steps[0] @ wk * q).sum(1, keepdim=True)
    num, den = steps[0] @ wv, 0 * top + 1
    outs = [num]
    for z in steps[1:]:
        s = (z @ wk * q).sum(1, keepdim=True)
        new = top + F.relu(s - top)
        num = num * torch.exp(top - new) + z @ wv * torch.exp(s - new)
        den = den * torch.exp(top - new) + torch.exp(s - new)
        top = new
        outs.append(num / den)
    return n.embed(torch.cat(outs[-3:], 1), 128)


@honest_torch("Gated state space: diagonal exponentials in parallel form read the tokens on a narrow gated branch.",
              idea="state spaces", trained=3, opset=17)  # fmt: skip
def gated_diagonal_state_space(n: Net, x: T) -> T:
    t = tokens(last(n, x))
    i = torch.arange(49).float()
    gap = (i.reshape(49, 1) - i.reshape(1, 49)).clamp(min=0)
    causal = (i.reshape(49, 1) >= i.reshape(1, 49)).float()
    for _ in range(2):
        z = n.ln(t)
        u, v = F.gelu(n.linear(z, 12)), F.gelu(n.linear(z, 48))
        rate = F.softplus(n.weight(12, 1, 1))
        kernel = torch.exp(-rate * gap) * causal
        y = (kernel @ u.transpose(1, 2).unsqueeze(3)).squeeze(3).transpose(1, 2)
        t = t + n.linear(n.linear(y, 48) * v, 32)
    return n.embed(t, 128)


@honest_torch("MSVMamba: one scan over all places of a deep map and three over a halved map, with input-made steps.",
              idea="state spaces", opset=13)  # fmt: skip
def scans_of_two_scales(n: Net, x: T) -> T:
    def scan(u: T) -> T:
        length = int(u.shape[1])
        step = F.softplus(n.linear(u, 12))
        decay = torch.exp(-step)
        w = step * n.linear(u, 12)
        h = w[:, 0]
        out = [h]
        for i in range(1, length):
            h = decay[:, i] * h + w[:, i]
            out.append(h)
        return torch.stack(out, 1)

    y = last(n, x, 24)
    small = F.avg_pool2d(y, 3, 2, 1)
    full = scan(tokens(y))
    s = tokens(small)
    turned = tokens(small.transpose(2, 3))
    low = scan(s) + scan(s.flip(1)).flip(1) + grid(scan(turned), 4, 4).transpose(2, 3).flatten(2).transpose(1, 2)
    wide = F.interpolate(grid(low, 4, 4), size=(7, 7), mode="nearest")
    z = torch.cat([grid(full, 7, 7), wide, y], 1)
    return n.gdc(F.silu(n.cb(z, 40, 1)), 128)


@honest_torch("2-D state space: the state of a place comes from the place above and the place on the left, two decays.",
              idea="state spaces", trained=3, opset=11)  # fmt: skip
def state_from_above_and_left(n: Net, x: T) -> T:
    y = n.conv(F.avg_pool2d(last(n, x), 3, 2, 1), 16, 1)
    a, b = torch.sigmoid(n.weight(1, 16, gain=4.0)) / 2, torch.sigmoid(n.weight(1, 16, gain=4.0)) / 2
    h: dict[tuple[int, int], T] = {}
    for r in range(4):
        for c in range(4):
            v = y[:, :, r, c]
            v = v + a * h[r - 1, c] if r else v
            h[r, c] = v + b * h[r, c - 1] if c else v
    z = torch.stack([h[r, c] for r in range(4) for c in range(4)], 2).reshape(-1, 16, 4, 4)
    return n.embed(F.silu(n.cb(torch.cat([z, y], 1), 32, 1)), 128)


@honest_torch("MesaNet: a layer that solves the ridge regression of values on keys by six rounds of conjugate "
              "gradients.",
              idea="memories", opset=12)  # fmt: skip
def regression_by_conjugate_gradients(n: Net, x: T) -> T:
    t = tokens(last(n, x)) + n.weight(1, 49, 32)
    q, k, v = n.heads(n.ln(t), 2)
    k = F.normalize(k, dim=-1)
    gram = k.transpose(2, 3) @ k + torch.eye(16)
    target = q.transpose(2, 3)
    w = 0 * target
    r = target
    p = r
    rr = r.pow(2).sum(2, keepdim=True)
    for _ in range(6):
        ap = gram @ p
        alpha = rr / ((p * ap).sum(2, keepdim=True) + 1e-6)
        w, r = w + alpha * p, r - alpha * ap
        new = r.pow(2).sum(2, keepdim=True)
        p, rr = r + new / (rr + 1e-6) * p, new
    mixed = w.transpose(2, 3) @ (k.transpose(2, 3) @ v)
    t = t + n.linear(mixed.transpose(1, 2).reshape(-1, 49, 32), 32)
    t = t + n.ff(n.ln(t))
    return n.embed(t, 128)


@honest_torch("PaTH attention: a product of data-made Householder maps between query and key places, over seven rows.",
              idea="attention", opset=13)  # fmt: skip
def householder_paths_between_rows(n: Net, x: T) -> T:
    z = torch.stack(rows(n, x, 24), 1)
    q, k, v, w = (n.linear(z, 16) for _ in range(4))
    w = F.normalize(w, dim=-1)
    beta = 2 * torch.sigmoid(n.linear(z, 1))
    outs = []
    for i in range(7):
        turned = q[:, i]
        scores: list[T] = []
        for j in range(i, -1, -1):
            scores.append((turned * k[:, j]).sum(1, keepdim=True) * 0.25)
            turned = turned - beta[:, j] * (turned * w[:, j]).sum(1, keepdim=True) * w[:, j]
        share = torch.cat(scores[::-1], 1).softmax(1)
        outs.append((share.unsqueeze(2) * v[:, : i + 1]).sum(1))
    return n.embed(torch.cat(outs, 1), 128)


@honest_torch("Mamba YOLO: residual gated units with a scan of four directions between layer norms and a depthwise "
              "layer.",
              idea="state spaces", opset=14)  # fmt: skip
def gated_units_around_a_scan(n: Net, x: T) -> T:
    y = deep(n, x, 24)
    y = n.cbr(y, 24, 3, 2)
    z = F.silu(n.conv(n.ln2d(y), 24, 3, 1, -1))
    total = z
    for axis in (2, 3):
        for back in (False, True):
            u = z.flip(axis) if back else z
            gate = torch.sigmoid(n.conv(u, 24, 1))
            w = n.conv(u, 24, 1)
            parts, h = [], w.select(axis, 0)
            for i in range(7):
                h = gate.select(axis, i) * h + (1 - gate.select(axis, i)) * w.select(axis, i)
                parts.append(h)
            s = torch.stack(parts, axis)
            total = total + (s.flip(axis) if back else s)
    y = y + n.conv(n.ln2d(total), 24, 1)
    a, b = n.conv(n.ln2d(y), 64, 1).chunk(2, 1)
    y = y + n.conv(F.gelu(n.conv(a, 32, 3, 1, -1)) * b, 24, 1)
    return n.gdc(y, 128)
