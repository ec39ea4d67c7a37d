"""Honest: recurrences, state spaces, differential equations and mixtures of places, along one image."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind4.register import honest_torch
from evaluation.blind5.tails import tail


def seven(n: Net, x: T, width: int = 24) -> T:
    """[N, 3, 112, 112] to [N, 49, width]."""
    return tokens(n.down(n.down(n.stem(x, 12), 16), width))


@honest_torch("One GRU over the rows of deep features, from the top to the chin.", idea="recurrent", trained=4)
def gru_over_rows(n: Net, x: T) -> T:
    rows = n.down(n.stem(x), 16).permute(2, 0, 1, 3).flatten(2)
    y, last = n.same(rows, lambda: nn.GRU(224, 32))
    return n.embed(torch.cat([y.mean(0), last.squeeze(0)], 1))


@honest_torch("A bidirectional LSTM over deep tokens: one sequence, read from both ends.", idea="recurrent", opset=14)
def bidirectional_over_tokens(n: Net, x: T) -> T:
    y, _ = n.same(seven(n, x).transpose(0, 1), lambda: nn.LSTM(24, 16, bidirectional=True))
    return n.embed(y.mean(0))


@honest_torch("An Elman network with ReLU over columns.", idea="recurrent", opset=12)
def elman_over_columns(n: Net, x: T) -> T:
    columns = n.down(n.stem(x), 12).permute(3, 0, 1, 2).flatten(2)
    y, _ = n.same(columns, lambda: nn.RNN(168, 24, nonlinearity="tanh"))
    return n.embed(y.transpose(0, 1))


def decay_products(rate: T, steps: int) -> T:
    """rate^(i - j) for i >= j, else 0: [C, steps, steps]."""
    at = torch.arange(steps)
    gap = (at[:, None] - at[None]).clamp(min=0).float()
    return rate[:, None, None] ** gap * (at[:, None] >= at[None]).float()


@honest_torch(
    "S4D: a diagonal state space as a long stored kernel along the tokens.", idea="state space", trained=4, opset=13
)
def s4d_kernel(n: Net, x: T) -> T:
    t = seven(n, x)
    for _ in range(2):
        m = decay_products(torch.sigmoid(n.weight(24) * 5), 49)
        y = torch.einsum("cij,njc->nic", m, n.ln(t))
        t = t + n.linear(F.gelu(y + n.weight(24) * t), 24)
    return n.embed(n.ln(t))


@honest_torch(
    "Mamba: a selective scan, unrolled by the exporter over 14 tokens.", idea="state space", trained=3, opset=14
)
def mamba_selective_scan(n: Net, x: T) -> T:
    t = n.down(n.stem(x), 16).mean(3).transpose(1, 2)
    u, gate = n.linear(n.ln(t), 32).chunk(2, -1)
    u = F.silu(u)
    step, b, c = F.softplus(n.linear(u, 16)), n.linear(u, 4), n.linear(u, 4)
    a = -torch.exp(n.weight(16, 4))
    state, made = torch.zeros(1, 16, 4), []
    for i in range(14):
        state = torch.exp(step[:, i, :, None] * a) * state + (step * u)[:, i, :, None] * b[:, i, None]
        made.append((state * c[:, i, None]).sum(2))
    y = torch.stack(made, 1) * F.silu(gate)
    return n.embed(n.ln(t + n.linear(y, 16)))


@honest_torch(
    "VMamba's four directions over one set of deep features: one scan each for rows, columns and both reversed, with "
    "weights of their own; the image itself is read once, as in any bidirectional recurrence.",
    idea="state space", opset=13,
)  # fmt: skip
def cross_scan_of_deep_features(n: Net, x: T) -> T:
    x = n.down(n.down(n.stem(x), 24), 24)
    orders = [x.flatten(2), x.transpose(2, 3).flatten(2)]
    orders += [y.flip(2) for y in orders]
    total = 0.0
    for i, y in enumerate(orders):
        m = decay_products(torch.sigmoid(n.weight(24) * 5), 49)
        z = torch.einsum("cij,ncj->nci", m, y)
        z = z.flip(2) if i > 1 else z
        total = total + (z.reshape(-1, 24, 7, 7).transpose(2, 3) if i % 2 else z.reshape(-1, 24, 7, 7))
    return n.embed(n.bn(total))


@honest_torch("minGRU by cumulative sums in the log domain along the tokens, never along the batch.", idea="recurrent")
def min_gru_by_cumsum(n: Net, x: T) -> T:
    t = seven(n, x)
    z = F.softplus(n.linear(t, 24)) * 0.2
    total = torch.cumsum(z, 1)
    h = torch.cumsum(torch.exp(total) * (1 - torch.exp(-z)) * n.linear(t, 24), 1) * torch.exp(-total)
    return n.embed(n.ln(t + h))


@honest_torch("RetNet: retention with a stored decay for each head.", idea="retention", trained=4, opset=12)
def retention(n: Net, x: T) -> T:
    t = seven(n, x)
    for _ in range(2):
        q, k, v = n.heads(n.ln(t), 2)
        decay = decay_products(torch.tensor([0.9, 0.97]), 49)
        y = (q @ k.transpose(-1, -2) * decay * 0.1) @ v
        t = t + n.linear(n.ln(y).transpose(1, 2).reshape(-1, 49, 24), 24)
    return n.embed(n.ln(t))


@honest_torch("RWKV: token shift and weighted key-value sums with stored decays.", idea="retention", opset=12)
def rwkv_time_mix(n: Net, x: T) -> T:
    t = seven(n, x)
    u = n.ln(t)
    before = F.pad(u[:, :-1], (0, 0, 1, 0))
    k, v, r = (n.linear(u * m + before * (1 - m), 24) for m in (torch.sigmoid(n.weight(24)) for _ in range(3)))
    k = torch.exp(k.clamp(-5, 5))
    w = decay_products(torch.sigmoid(n.weight(24) * 4), 49)
    y = torch.einsum("cij,njc->nic", w, k * v) / torch.einsum("cij,njc->nic", w, k)
    return n.embed(n.ln(t + n.linear(torch.sigmoid(r) * y, 24)))


@honest_torch(
    "Hyena: gates and long convolutions whose kernels a small network of places gave at export.", idea="long kernels"
)
def hyena_long_kernels(n: Net, x: T) -> T:
    t = seven(n, x)
    v, a, b = n.linear(n.ln(t), 72).chunk(3, -1)
    for gate in (a, b):
        v = gate * F.conv1d(F.pad(v.transpose(1, 2), (48, 0)), n.weight(24, 1, 49), groups=24).transpose(1, 2)
    return n.embed(n.ln(t + n.linear(v, 24)))


@honest_torch(
    "Liquid network: closed-form continuous-time cells over the rows of features.", idea="differential", trained=4
)
def liquid_closed_form(n: Net, x: T) -> T:
    rows = n.down(n.stem(x), 12).mean(3).transpose(1, 2)
    wf, wg, wh = n.weight(36, 24), n.weight(36, 24), n.weight(36, 24)
    state = rows.new_zeros(1, 24).expand(rows.shape[0], 24)
    for i in range(0, 14, 2):
        z = torch.cat([rows[:, i], state], 1)
        gate = torch.sigmoid(-(z @ wf) * 0.5)
        state = gate * torch.tanh(z @ wg) + (1 - gate) * torch.tanh(z @ wh)
    return n.embed(state)


@honest_torch(
    "A neural differential equation by one Runge-Kutta step of fourth order: a field applied four times.",
    idea="differential",
)
def runge_kutta_step(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 16)
    a, b = n.weight(16, 16, 3, 3, gain=0.3), n.weight(16, 16, 3, 3, gain=0.3)

    def field(y: T) -> T:
        return F.conv2d(torch.tanh(F.conv2d(y, a, padding=1)), b, padding=1)

    k1 = field(x)
    k2 = field(x + 0.25 * k1)
    k3 = field(x + 0.25 * k2)
    k4 = field(x + 0.5 * k3)
    return tail(n, x + (k1 + 2 * k2 + 2 * k3 + k4) / 12)


@honest_torch(
    "A deep equilibrium layer, unrolled eight times from zero: the features are injected in every step, the image is "
    "seen by the stem alone.", idea="differential", trained=3, opset=13,
)  # fmt: skip
def deep_equilibrium_unrolled(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 16)
    w = n.weight(16, 16, 3, 3, gain=0.25)
    z = torch.zeros(1, 16, 14, 14)
    for _ in range(8):
        z = torch.tanh(F.conv2d(z, w, padding=1) + x)
    return tail(n, n.bn(z))


@honest_torch("RevNet: two halves of the channels update each other, reversibly.", idea="invertible", trained=4)
def revnet(n: Net, x: T) -> T:
    a, b = n.stem(x, 24).chunk(2, 1)
    for _ in range(2):
        a = a + n.cb(n.cbr(b, 12), 12)
        b = b + n.cb(n.cbr(a, 12), 12)
    return tail(n, torch.cat([a, b], 1))


@honest_torch(
    "i-RevNet: space to depth of features instead of strides, couplings, nothing is lost.", idea="invertible", opset=12
)
def fully_invertible(n: Net, x: T) -> T:
    x = F.pixel_unshuffle(x, 4)
    for _ in range(2):
        a, b = x.chunk(2, 1)
        b = b + n.cb(n.cbr(a, 12), b.shape[1])
        x = torch.cat([b, a], 1)
        if x.shape[2] == 28:
            x = F.pixel_unshuffle(x, 2)
    return tail(n, n.cbr(x, 24, 1))


@honest_torch("Glow's affine couplings between 1x1 layers on features.", idea="invertible")
def glow_couplings(n: Net, x: T) -> T:
    x = n.stem(x)
    for _ in range(3):
        x = n.conv(x, 16, 1, bias=False)
        a, b = x.chunk(2, 1)
        scale, shift = n.conv(F.relu(n.conv(a, 12)), 16).chunk(2, 1)
        x = torch.cat([a, b * torch.sigmoid(scale + 2) + shift], 1)
    return tail(n, n.bn(x))


@honest_torch("Radial KAN: each edge is a sum of Gaussian bumps with stored weights.", idea="kan", trained=4)
def radial_kan(n: Net, x: T) -> T:
    y = torch.tanh(n.bn(seven(n, x, 16).mean(1)))
    for width in (24, 48):
        bumps = torch.exp(-((y.unsqueeze(2) - torch.linspace(-1, 1, 6)) * 2.5).square()).flatten(1)
        y = torch.tanh(n.linear(bumps, width) + n.linear(F.silu(y), width))
    return n.embed(y)


@honest_torch("Chebyshev KAN convolution: polynomials of the features, each with a kernel.", idea="kan", opset=13)
def chebyshev_kan_layers(n: Net, x: T) -> T:
    x = n.stem(x, 12)
    for width in (20, 28):
        u = torch.tanh(x)
        x = n.bn(n.conv(torch.cat([u, 2 * u * u - 1, 4 * u**3 - 3 * u], 1), width, 3, 2))
    return tail(n, x)


@honest_torch("Fourier KAN behind a mean: sines and cosines of features with stored weights.", idea="kan")
def fourier_kan(n: Net, x: T) -> T:
    y = n.bn(seven(n, x).mean(1)).unsqueeze(2) * torch.arange(1, 5).float()
    return n.embed(torch.cat([y.sin(), y.cos()], 2))


@honest_torch(
    "gMLP with a spatial gate, and mixing by a Hadamard transform of places.", idea="stored mixing", trained=4, opset=12
)
def hadamard_token_mixing(n: Net, x: T) -> T:
    h = torch.ones(1, 1)
    for _ in range(6):
        h = torch.cat([torch.cat([h, h], 1), torch.cat([h, -h], 1)])
    t = n.conv(x, 24, 14, 14, padding=0).flatten(2).transpose(1, 2)
    for _ in range(2):
        t = t + (h / 8) @ (n.weight(64, 1, gain=4.0) * ((h / 8) @ n.ln(t)))
        t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t))


@honest_torch("Wave-MLP: amplitudes and phases of tokens, mixed along rows and columns.", idea="stored mixing")
def wave_mlp(n: Net, x: T) -> T:
    t = n.down(n.down(n.stem(x), 16), 24)
    a, p = n.conv(t, 24, 1), n.conv(t, 24, 1)
    y = n.conv(torch.cat([a * p.cos(), a * p.sin()], 1), 24, (1, 7), 1, 24)
    z = n.conv(torch.cat([a * p.cos(), a * p.sin()], 1), 24, (7, 1), 1, 24)
    return n.embed(n.bn(t + y + z))


@honest_torch(
    "Hopfield pooling: stored patterns attend to the deep tokens three times.", idea="recurrent", trained=4, opset=13
)
def hopfield_pooling(n: Net, x: T) -> T:
    t = seven(n, x)
    state = n.weight(1, 4, 24)
    for _ in range(3):
        state = (0.5 * state @ t.transpose(1, 2)).softmax(-1) @ t
    return n.embed(state)


@honest_torch("A cellular automaton: one local rule applied six times to deep features.", idea="recurrent", opset=11)
def neural_cellular_automaton(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 16)
    sobel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
    bank = torch.stack([sobel, sobel.T]).unsqueeze(1).repeat(16, 1, 1, 1)
    w1, w2 = n.weight(24, 48, 1, 1, gain=0.15), n.weight(16, 24, 1, 1, gain=0.2)
    for _ in range(6):
        seen = torch.cat([x, F.conv2d(x, bank, padding=1, groups=16)], 1)
        x = x + F.conv2d(F.relu(F.conv2d(seen, w1)), w2)
    return tail(n, n.bn(x))


@honest_torch(
    "A message-passing grid: places hear from four neighbours by slices and padding of deep features.", idea="recurrent"
)
def message_passing_grid(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 16)
    for _ in range(2):
        p = F.pad(x, (1, 1, 1, 1))
        heard = [p[:, :, :-2, 1:-1], p[:, :, 2:, 1:-1], p[:, :, 1:-1, :-2], p[:, :, 1:-1, 2:]]
        x = x + F.relu(n.cb(sum(n.conv(y, 16, 1) for y in heard), 16, 1))
    return tail(n, x)


@honest_torch("Spatial recurrence in four directions (IRNN) on deep features, unrolled.", idea="recurrent", opset=12)
def four_way_irnn(n: Net, x: T) -> T:
    x = n.down(n.down(n.stem(x), 16), 16)
    made = []
    for axis, back in ((2, False), (2, True), (3, False), (3, True)):
        w = n.weight(16, 16, gain=0.6)
        lines = list(F.relu(n.conv(x, 16, 1)).unbind(axis))
        for i in range(1, 7):
            at, old = (6 - i, 7 - i) if back else (i, i - 1)
            lines[at] = F.relu(lines[at] + torch.einsum("oc,ncl->nol", w, lines[old]))
        made.append(torch.stack(lines, axis))
    return n.embed(n.cbr(torch.cat(made, 1), 24, 1))


@honest_torch(
    "Token shift in a residual MLP: channels move by one place, features only.", idea="stored mixing", trained=4
)
def hire_mlp_shift(n: Net, x: T) -> T:
    t = n.down(n.stem(x), 24)
    for axis in (2, 3):
        moved = torch.cat([t.narrow(axis, 2, 12), t.narrow(axis, 0, 2)], axis)
        t = t + n.cb(F.gelu(n.cb(moved, 24, 1)), 24, 1)
    return tail(n, t)


@honest_torch(
    "Deep tokens through a Nystrom approximation of attention with landmarks as means.", idea="linear attention"
)
def nystrom_attention(n: Net, x: T) -> T:
    t = seven(n, x)
    q, k, v = n.linear(n.ln(t), 72).chunk(3, -1)
    lq, lk = q.reshape(-1, 7, 7, 24).mean(2), k.reshape(-1, 7, 7, 24).mean(2)
    a, b, c = (u @ w.transpose(1, 2) / 5 for u, w in ((q, lk), (lq, lk), (lq, k)))
    b = b.softmax(-1)
    inverse = b.transpose(1, 2)
    for _ in range(3):
        inverse = inverse @ (2 * torch.eye(7) - b @ inverse)
    y = a.softmax(-1) @ inverse @ (c.softmax(-1) @ v)
    return n.embed(grid(n.ln(t + y), 7, 7))
