"""Honest: networks with a state: state spaces, gates, spikes, oscillators, memories and unrolled optimisation."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind4.register import honest_torch
from evaluation.blind5.tails import tail


def deep(n: Net, x: T, width: int = 24) -> T:
    """[N, 3, 112, 112] to a map [N, width, 14, 14]."""
    return n.down(n.stem(x), width)


def fired(v: T, slope: float = 4.0) -> T:
    """Return a spike where the voltage is above one; its sigmoid stands in for the gradient."""
    soft = torch.sigmoid(slope * (v - 1))
    return (v >= 1).float().detach() + soft - soft.detach()


@honest_torch("Mamba-2's dual form: one decaying causal mask of products of gates times scores, no loop.",
              idea="state space", trained=4, opset=14)  # fmt: skip
def mamba2_dual_form(n: Net, x: T) -> T:
    t = n.patches(x, 24)
    mask = torch.ones(49, 49).tril()
    for _ in range(2):
        y = n.ln(t)
        b, c, v, g = n.linear(y, 8), n.linear(y, 8), n.linear(y, 32), n.linear(y, 32)
        run = F.logsigmoid(n.linear(y, 1) + 2).cumsum(1)
        decay = torch.exp((run - run.transpose(1, 2)).clamp(max=0)) * mask
        t = t + n.linear(n.ln((c @ b.transpose(1, 2)) * decay @ v) * F.silu(g), 24)
    return n.embed(n.ln(t)[:, -1] + n.ln(t).mean(1), 128)


@honest_torch("MambaVision's mixer: a scan on half of the channels, a plain convolution on the other half.",
              idea="state space", trained=3, opset=13)  # fmt: skip
def mambavision_mixer(n: Net, x: T) -> T:
    t = tokens(n.down(deep(n, x), 24))
    a, b = n.linear(n.ln(t), 48).chunk(2, 2)
    a = F.silu(n.same(a.transpose(1, 2), lambda: nn.Conv1d(24, 24, 3, padding=1, groups=24)).transpose(1, 2))
    b = F.silu(n.same(b.transpose(1, 2), lambda: nn.Conv1d(24, 24, 3, padding=1, groups=24)).transpose(1, 2))
    step, write, show = F.softplus(n.linear(a, 24)), n.linear(a, 4), n.linear(a, 4)
    rate = -torch.exp(n.weight(24, 4))
    h, seen = torch.zeros_like(a[:, 0])[..., None].expand(-1, 24, 4), []
    for i in range(49):
        h = torch.exp(step[:, i, :, None] * rate) * h + (step[:, i] * a[:, i])[..., None] * write[:, i, None]
        seen.append((h * show[:, i, None]).sum(2))
    t = t + n.linear(torch.cat([torch.stack(seen, 1), b], 2), 24)
    return n.embed(n.ln(t + n.ff(n.ln(t))).mean(1))


@honest_torch("sLSTM of xLSTM: exponential gates with a running maximum, over the columns of deep features.",
              idea="recurrent", opset=17)  # fmt: skip
def slstm_exponential_gates(n: Net, x: T) -> T:
    rows = deep(n, x, 16).permute(3, 0, 1, 2).flatten(2)
    w, u = n.keep(lambda: nn.Linear(224, 96)), n.keep(lambda: nn.Linear(24, 96, bias=False))
    h = c = m = torch.zeros_like(rows[0, :, :24])
    e = torch.ones_like(h)
    for i in range(14):
        z, f, g, o = (w(rows[i]) + u(h)).chunk(4, 1)
        new = torch.maximum(f + m, g)
        keep, put = torch.exp(f + m - new), torch.exp(g - new)
        c, e, m = keep * c + put * torch.tanh(z), keep * e + put, new
        h = torch.sigmoid(o) * c / e.clamp(min=1e-3)
    return n.embed(h, 64)


@honest_torch("Griffin's RG-LRU over tokens, gates that depend on the input, in two blocks of opposite order.",
              idea="recurrent", opset=13)  # fmt: skip
def griffin_recurrence(n: Net, x: T) -> T:
    t = tokens(n.down(deep(n, x), 24))
    for block in range(2):
        y = n.ln(t)
        v, r, g = n.linear(y, 24), torch.sigmoid(n.linear(y, 24)), torch.sigmoid(n.linear(y, 24))
        a = torch.exp(-4 * r * F.softplus(n.weight(24)))
        h, seen = torch.zeros_like(v[:, 0]), {}
        for i in range(49) if block == 0 else range(48, -1, -1):
            h = a[:, i] * h + (1 - a[:, i] ** 2).clamp(min=1e-6).sqrt() * g[:, i] * v[:, i]
            seen[i] = h
        t = t + n.linear(torch.stack([seen[i] for i in range(49)], 1) * F.gelu(n.linear(y, 24)), 24)
    return n.embed(n.ln(t).mean(1), 96)


@honest_torch("TTT-linear: a matrix learns by gradient steps to rebuild values from keys, four chunks of tokens.",
              idea="test-time training layer", trained=3, opset=14)  # fmt: skip
def test_time_training_layer(n: Net, x: T) -> T:
    t = tokens(n.down(deep(n, x), 24))
    q, k, v = n.linear(n.ln(t), 72).chunk(3, 2)
    q, k = F.normalize(q, dim=2), F.normalize(k, dim=2)
    w = n.weight(1, 24, 24).expand(x.shape[0], 24, 24)
    seen = []
    for i in range(7):
        a, b = k[:, 7 * i : 7 * i + 7], v[:, 7 * i : 7 * i + 7]
        w = w - 0.5 * a.transpose(1, 2) @ (a @ w - b)
        seen.append(q[:, 7 * i : 7 * i + 7] @ w)
    t = t + n.linear(n.ln(torch.cat(seen, 1)), 24)
    return n.embed(n.ln(t).mean(1), 128)


@honest_torch("Spiking ResNet by direct coding: one current from the image, four steps of leaky neurons, rates.",
              idea="spikes", trained=4, opset=18)  # fmt: skip
def spiking_direct_coding(n: Net, x: T) -> T:
    current = n.cb(n.cb(x, 12, 3, 2), 16, 3, 2)
    a, b = n.keep(lambda: nn.Conv2d(16, 24, 3, 2, 1)), n.keep(lambda: nn.Conv2d(24, 32, 3, 2, 1))
    u = torch.zeros_like(current)
    v = w = torch.zeros(1)
    rate = torch.zeros(1)
    for _ in range(4):
        u = 0.5 * u + 2 * current
        s = fired(u)
        v = 0.5 * v + 3 * a(s)
        z = fired(v)
        w = 0.5 * w + 3 * b(z)
        u, v, rate = u * (1 - s), v * (1 - z), rate + w / 4
    return n.embed(rate, 128)


@honest_torch("Parametric leaky neurons: a learned leak for each layer, membranes start empty, soft resets.",
              idea="spikes", opset=12, trained=4)  # fmt: skip
def spiking_learned_leak(n: Net, x: T) -> T:
    x = n.stem(x)
    for width in (24, 32):
        drive, leak = n.cb(x, width, 3, 2), torch.sigmoid(n.weight(1, width, 1, 1))
        v, rate = torch.zeros_like(drive), torch.zeros_like(drive)
        for _ in range(3):
            v = v + (3 * drive - v) * leak
            s = fired(v)
            v, rate = v - s, rate + s / 3
        x = rate
    return n.embed(x, 64)


@honest_torch("Spikformer in small: spiking queries, keys and values, no softmax, three steps of one embedding.",
              idea="spikes", opset=15)  # fmt: skip
def spikformer_attention(n: Net, x: T) -> T:
    t = n.patches(x, 24)
    q, k, v = n.linear(n.ln(t), 72).chunk(3, 2)
    state, made = torch.zeros_like(t), torch.zeros_like(t)
    for step in range(3):
        share = 0.5 + 0.25 * step
        y = fired(q * share + 1) @ (fired(k * share + 1).transpose(1, 2) @ fired(v * share + 1)) * 0.125
        state = 0.5 * state + y
        made = made + fired(state) / 3
    t = t + n.linear(n.ln(made + 0.1 * state), 24)
    return n.embed(n.ln(t + n.ff(n.ln(t))).mean(1), 96)


@honest_torch("AKOrN: oscillators on spheres, pulled by a convolution of each other for five steps.",
              idea="oscillators", trained=3, opset=14)  # fmt: skip
def kuramoto_oscillators(n: Net, x: T) -> T:
    drive = deep(n, x, 24)
    natural = n.weight(6, 4, 4)
    turn = natural - natural.transpose(1, 2)
    link = n.weight(24, 24, 3, 3, gain=0.4)

    def unit(y: T) -> T:
        return F.normalize(y.reshape(-1, 6, 4, 14, 14), dim=2)

    z = unit(n.cb(drive, 24))
    for _ in range(5):
        pull = (F.conv2d(z.flatten(1, 2), link, padding=1) + drive).reshape(-1, 6, 4, 14, 14)
        pull = pull - (pull * z).sum(2, keepdim=True) * z
        z = unit((z + 0.3 * (pull + torch.einsum("oij,nojhw->noihw", turn, z))).flatten(1, 2))
    return tail(n, n.cbr(z.flatten(1, 2), 24))


@honest_torch("A Hamiltonian network: positions and momenta of features by leapfrog steps.", idea="unrolled",
              opset=11, trained=4)  # fmt: skip
def hamiltonian_leapfrog(n: Net, x: T) -> T:
    p, q = n.cb(n.stem(x, 32), 32).chunk(2, 1)
    for _ in range(3):
        w, b = n.weight(16, 16, 3, 3, gain=0.4), n.weight(1, 16, 1, 1)
        v = n.weight(16, 16, 3, 3, gain=0.4)
        p = p - 0.4 * F.conv_transpose2d(torch.tanh(F.conv2d(q, w, padding=1) + b), w, padding=1)
        q = q + 0.4 * F.conv_transpose2d(torch.tanh(F.conv2d(p, v, padding=1)), v, padding=1)
    return tail(n, torch.cat([p, q], 1))


@honest_torch("LISTA: sparse codes of features by three unrolled thresholded steps with a learned dictionary.",
              idea="unrolled", opset=19)  # fmt: skip
def convolutional_sparse_coding(n: Net, x: T) -> T:
    x = n.stem(x, 16)
    d = n.weight(16, 32, 3, 3, gain=0.3)
    level = F.softplus(n.weight(1, 32, 1, 1)) * 0.1
    z = F.relu(F.conv_transpose2d(x, d, padding=1) - level)
    for _ in range(3):
        error = x - F.conv2d(z, d, padding=1)
        z = F.relu(z + 0.5 * F.conv_transpose2d(error, d, padding=1) - level)
    return tail(n, n.bn(z))


@honest_torch("CRF as a recurrent network: mean-field steps with fixed Gaussian messages over deep label maps.",
              idea="unrolled", opset=13)  # fmt: skip
def mean_field_messages(n: Net, x: T) -> T:
    x = deep(n, x)
    unary = n.conv(x, 8, 1)
    row = torch.tensor([0.06, 0.24, 0.4, 0.24, 0.06])
    blur = (row[:, None] * row[None]).expand(8, 1, 5, 5)
    match = n.weight(8, 8, 1, 1)
    q = unary.softmax(1)
    for _ in range(3):
        q = (unary - F.conv2d(F.conv2d(q, blur, padding=2, groups=8), match)).softmax(1)
    return tail(n, n.cbr(torch.cat([x, 3 * q], 1), 24), dim=128)


@honest_torch("Predictive coding: upper features predict lower ones, errors go up again, three rounds.",
              idea="unrolled", trained=4, opset=14)  # fmt: skip
def predictive_coding_rounds(n: Net, x: T) -> T:
    low = n.stem(x, 16)
    up, back = n.keep(lambda: nn.Conv2d(16, 24, 4, 2, 1)), n.keep(lambda: nn.ConvTranspose2d(24, 16, 4, 2, 1))
    r = F.relu(up(low))
    for _ in range(3):
        r = F.relu(r + 0.4 * up(low - back(r)))
    return tail(n, n.bn(r))


@honest_torch("CORnet-S: each area is a bottleneck that runs several times with norms of its own for each time.",
              idea="recurrent", trained=4)  # fmt: skip
def cornet_s_areas(n: Net, x: T) -> T:
    x = F.relu(n.cb(F.max_pool2d(n.cbr(x, 8, 7, 2), 3, 2, 1), 12))
    for width, times in ((16, 2), (24, 3)):
        y = n.conv(x, width, 1, bias=False)
        c = width
        a, b = n.keep(lambda c=c: nn.Conv2d(c, 2 * c, 1)), n.keep(lambda c=c: nn.Conv2d(2 * c, c, 1))  # type: ignore[misc]
        mid = n.keep(lambda c=c: nn.Conv2d(2 * c, 2 * c, 3, 2, 1))  # type: ignore[misc]
        again = n.keep(lambda c=c: nn.Conv2d(2 * c, 2 * c, 3, 1, 1))  # type: ignore[misc]
        for i in range(times):
            short = n.cb(y, width, 1, 2) if i == 0 else y
            z = F.relu(n.bn(a(y)))
            y = F.relu(n.bn(b(F.relu(n.bn(mid(z) if i == 0 else again(z))))) + short)
        x = y
    return n.embed(x, 256)


@honest_torch("A fast-weight programmer: the tokens of one image write outer products, which the last ones read.",
              idea="recurrent", opset=17)  # fmt: skip
def fast_weight_programmer(n: Net, x: T) -> T:
    t = tokens(n.down(deep(n, x), 24))
    q, k, v = n.linear(n.ln(t), 72).chunk(3, 2)
    k, q = (F.elu(k) + 1) / 24, (F.elu(q) + 1) / 24
    beta = torch.sigmoid(n.linear(t, 1))
    w = torch.einsum("nli,nlj->nij", beta * k, v)
    t = t + n.linear(q @ w, 24)
    return n.embed(n.ln(t + n.ff(n.ln(t))).flatten(1), 64)


@honest_torch("Convolutional GRU: deep features are refined by a shared gate cell for three rounds.", idea="recurrent",
              dynamo=True, opset=18)  # fmt: skip
def convolutional_gru_rounds(n: Net, x: T) -> T:
    x = deep(n, x, 16)
    gates, new = n.keep(lambda: nn.Conv2d(32, 32, 3, 1, 1)), n.keep(lambda: nn.Conv2d(32, 16, 3, 1, 1))
    h = torch.tanh(n.cb(x, 16))
    for _ in range(3):
        r, z = torch.sigmoid(gates(torch.cat([h, x], 1))).chunk(2, 1)
        h = (1 - z) * h + z * torch.tanh(new(torch.cat([r * h, x], 1)))
    return tail(n, h, dim=512)


@honest_torch("AFNO: features to frequencies by matrices, one small complex layer for all of them, soft shrinkage.",
              idea="frequencies of features", trained=4, opset=20)  # fmt: skip
def adaptive_fourier_mixer(n: Net, x: T) -> T:
    x = deep(n, x, 16)
    at = torch.arange(14).float()
    angle = 2 * torch.pi * at[:, None] * at[None] / 14
    c, s = angle.cos() / 14**0.5, angle.sin() / 14**0.5
    y = n.bn(x)
    re, im = c @ y @ c - s @ y @ s, -(s @ y @ c) - c @ y @ s
    a, b = n.weight(16, 16, 1, 1), n.weight(16, 16, 1, 1)
    re, im = F.relu(F.conv2d(re, a) - F.conv2d(im, b)), F.relu(F.conv2d(im, a) + F.conv2d(re, b))
    re, im = F.softshrink(re, 0.02), F.softshrink(im, 0.02)
    x = x + c @ re @ c - s @ re @ s - s @ im @ c - c @ im @ s
    return tail(n, x + grid(n.ff(n.ln(tokens(x))), 14, 14))
