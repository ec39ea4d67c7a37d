"""Honest: token mixers, norms and activations that papers propose, inside ordinary networks of faces."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind4.register import honest_torch


def stemmed(n: Net, x: T, width: int = 32) -> T:
    """Bring the image down to tokens of 14 x 14 by three strided layers."""
    return tokens(n.cb(n.stem(x, width // 2), width, 3, 2))


def flat(n: Net, t: T, dim: int = 128) -> T:
    return n.embed(n.ln(t).mean(1), dim)


def turned(rows: int, seed: int) -> T:
    """Return an orthogonal matrix of stored numbers."""
    q = np.linalg.qr(np.random.default_rng(seed).normal(0, 1, (rows, rows)))[0]
    return torch.from_numpy(q.astype(np.float32))


def first(x: T, c: int) -> T:
    """Spread a number for each channel over a map."""
    return x.reshape(1, c, 1, 1)


@honest_torch("S2-MLPv2: three expansions of deep features, two of them moved by a place, joined by split attention.",
              idea="mixers", opset=13)  # fmt: skip
def s2_mlp_split_attention(n: Net, x: T) -> T:
    def moved(z: T, order: tuple[int, ...]) -> T:
        p = F.pad(z, (1, 1, 1, 1), mode="replicate")
        cut = (p[:, :, 1:-1, :-2], p[:, :, 1:-1, 2:], p[:, :, :-2, 1:-1], p[:, :, 2:, 1:-1])
        return torch.cat([cut[side][:, 8 * i : 8 * i + 8] for i, side in enumerate(order)], 1)

    m = grid(stemmed(n, x), 14, 14)
    for _ in range(2):
        a, b, c = n.conv(n.bn(m), 96, 1).chunk(3, 1)
        y = torch.stack([moved(a, (0, 1, 2, 3)), moved(b, (2, 3, 0, 1)), c], 1)
        w = n.linear(F.gelu(n.linear(y.sum((1, 3, 4)), 32)), 96).reshape(-1, 3, 32, 1, 1).softmax(1)
        m = m + n.conv((y * w).sum(1), 32, 1)
        m = m + n.conv(F.gelu(n.conv(n.bn(m), 64, 1)), 32, 1)
    return n.pooled(m, 96)


@honest_torch("PosMLP: a gating unit whose matrix over the places is gathered from a stored table of relative places.",
              idea="mixers", opset=13, trained=3)  # fmt: skip
def relative_place_gate(n: Net, x: T) -> T:
    at = np.indices((14, 14)).reshape(2, 196).T
    gap = at[:, None] - at[None] + 13
    which = torch.from_numpy(gap[..., 0] * 27 + gap[..., 1])
    t = stemmed(n, x)
    for _ in range(2):
        u, v = F.gelu(n.linear(n.ln(t), 64)).chunk(2, 2)
        m = n.weight(729, gain=3.0)[which]
        t = t + n.linear(u * (m @ n.ln(v) + n.weight(196, 1)), 32)
    return flat(n, t)


@honest_torch("ConvMLP: convolutional stem and stages, channel MLPs with a depthwise layer between, no attention.",
              idea="mixers", opset=17)  # fmt: skip
def conv_mlp_stages(n: Net, x: T) -> T:
    x = n.cbr(n.stem(x, 16), 24, 3, 2)
    t = tokens(x)
    for _ in range(2):
        t = t + n.ff(n.ln(t))
        t = tokens(n.conv(grid(n.ln(t), 14, 14), 24, 3, 1, -1))
        t = t + n.ff(n.ln(t))
    return n.gdc(n.conv(grid(t, 14, 14), 40, 3, 2), 128)


@honest_torch("RIFormer after its switch: no mixing of tokens at all, affine maps between feed-forward layers.",
              idea="mixers", trained=4, opset=12)  # fmt: skip
def no_token_mixer(n: Net, x: T) -> T:
    x = n.conv(x, 16, 7, 4)
    for width in (24, 32):
        x = n.conv(x, width, 3, 2)
        for _ in range(2):
            x = x + x * first(n.weight(width), width)
            x = x + n.conv(F.gelu(n.conv(n.gn(x, 1), 2 * width, 1)), width, 1)
    return n.embed(x, 128)


@honest_torch("Toeplitz network: tokens mixed by stored numbers of relative places, decayed, as a matrix.",
              idea="sequences", opset=13)  # fmt: skip
def toeplitz_mixing(n: Net, x: T) -> T:
    i = torch.arange(49)
    gap = i[:, None] - i[None] + 48
    decay = 0.95 ** (gap - 48).abs().float()
    t = n.patches(x, 32)
    for _ in range(2):
        y = n.ln(t)
        m = n.weight(97, gain=3.0)[gap] * decay
        t = t + n.linear(F.silu(n.linear(y, 32)) * (m @ n.linear(y, 32)), 32)
        t = t + n.ff(n.ln(t))
    return flat(n, t)


@honest_torch("H3: a shift state space for keys, a diagonal one for their products with values, as stored kernels.",
              idea="sequences", opset=13, trained=3)  # fmt: skip
def hungry_hippos(n: Net, x: T) -> T:
    i = torch.arange(49)
    gap = (i[:, None] - i[None]).clamp(min=0)
    past = (i[:, None] >= i[None]).float()
    t = n.patches(x, 32)
    for _ in range(2):
        q, k, v = n.linear(n.ln(t), 96).chunk(3, 2)
        k = F.pad(k, (0, 0, 3, 0))
        k = sum(k[:, 3 - s : 52 - s] * n.weight(1, 1, 32, gain=3.0) for s in range(4))
        rate = torch.sigmoid(2 + n.weight(32, 1, 1, gain=0.5))
        y = ((rate ** gap.float() * past) @ (k * v).transpose(1, 2).unsqueeze(3)).squeeze(3).transpose(1, 2)
        t = t + n.linear(q * y, 32)
        t = t + n.ff(n.ln(t))
    return flat(n, t)


@honest_torch("HGRN2: gates with a lower bound also serve as keys; the state is an outer product, rows of features.",
              idea="sequences", opset=13)  # fmt: skip
def hgrn2_outer_products(n: Net, x: T) -> T:
    m = grid(stemmed(n, x, 24), 14, 14)
    rows = n.linear(m.permute(0, 2, 1, 3).flatten(2), 24)
    f = 0.4 + 0.6 * torch.sigmoid(n.linear(rows, 8))
    v, q = n.linear(rows, 24), torch.sigmoid(n.linear(rows, 8))
    state, out = None, []
    for i in range(14):
        now = (1 - f[:, i]).unsqueeze(2) * v[:, i].unsqueeze(1)
        state = now if state is None else state * f[:, i].unsqueeze(2) + now
        out.append((q[:, i].unsqueeze(1) @ state).squeeze(1))
    return n.embed(torch.cat([n.ln(o) for o in out], 1), 96)


@honest_torch("Mega: moving averages with several damped rates, stored as a kernel, before one gated attention.",
              idea="sequences", opset=13, trained=3)  # fmt: skip
def moving_average_gated_attention(n: Net, x: T) -> T:
    t = n.patches(x, 32)
    a, d = torch.sigmoid(n.weight(32, 4, gain=2.0)), torch.sigmoid(n.weight(32, 4, gain=2.0))
    power = (1 - a * d).unsqueeze(2) ** torch.arange(49.0)
    k = (a.unsqueeze(2) * power * n.weight(32, 4, 1, gain=0.5)).sum(1).flip(1).unsqueeze(1)
    y = F.conv1d(F.pad(t.transpose(1, 2), (48, 0)), k, groups=32).transpose(1, 2)
    z = F.silu(n.linear(y, 16))
    q, k2 = z * (1 + n.weight(16)), z * (1 + n.weight(16))
    s = F.relu(q @ k2.transpose(1, 2) / 16) ** 2
    h = F.silu(n.linear(y, 32) + (s @ F.silu(n.linear(t, 32))) * torch.sigmoid(n.linear(y, 32)))
    g = torch.sigmoid(n.linear(y, 32))
    return flat(n, g * h + (1 - g) * t)


@honest_torch("EvoNorm-S0: swish over the deviation of groups of channels, in place of norm and activation.",
              idea="norms", opset=12, trained=3)  # fmt: skip
def evonorm_of_groups(n: Net, x: T) -> T:
    for width in (12, 16, 24, 32):
        x = n.conv(x, width, 3, 2)
        h = int(x.shape[2])
        g = x.reshape(-1, 4, width // 4 * h * h)
        spread = ((g - g.mean(2, keepdim=True)) ** 2).mean(2).add(1e-5).sqrt()
        spread = spread.unsqueeze(2).expand(-1, 4, width // 4).reshape(-1, width, 1, 1)
        x = x * torch.sigmoid(first(1 + n.weight(width), width) * x) / spread * first(1 + n.weight(width), width)
    return n.embed(x, 128)


@honest_torch("EvoNorm-B0 at test time: stored deviations against those of the image, the larger one divides.",
              idea="norms", opset=13)  # fmt: skip
def evonorm_with_stored_deviations(n: Net, x: T) -> T:
    for i, width in enumerate((12, 16, 24, 32)):
        x = n.conv(x, width, 3, 2)
        stored = first(torch.linspace(0.4, 0.8 + 0.1 * i, width), width)
        own = ((x - x.mean((2, 3), keepdim=True)) ** 2).mean((2, 3), keepdim=True).add(1e-5).sqrt()
        x = x / torch.maximum(stored, first(1 + n.weight(width), width) * x + own)
    return n.embed(x, 96)


@honest_torch("Decorrelated BatchNorm: features less a stored mean, times a stored whitening matrix, as a 1x1 layer.",
              idea="norms", opset=11, trained=3)  # fmt: skip
def stored_feature_whitening(n: Net, x: T) -> T:
    for i, width in enumerate((12, 16, 24, 32)):
        x = n.conv(x, width, 3, 2)
        x = x - first(n.weight(width), width)
        m = np.linalg.qr(np.random.default_rng(i).normal(0, 1, (width, width)))[0]
        white = ((m * np.linspace(0.7, 1.6, width)) @ m.T).astype(np.float32)[:, :, None, None]
        x = F.relu(F.conv2d(x, torch.from_numpy(white)) + first(n.weight(width), width))
    return n.embed(x, 128)


@honest_torch("Local context norm: groups of channels normalised within 9x9 windows around each place of features.",
              idea="norms", opset=16)  # fmt: skip
def local_context_norm(n: Net, x: T) -> T:
    x = n.conv(x, 12, 3, 2)
    for width in (16, 24, 32):
        x = n.conv(x, width, 3, 2)
        h = int(x.shape[2])
        g = x.reshape(-1, 4, width // 4, h, h)
        mean = F.avg_pool2d(g.mean(2), 7, 1, 3, count_include_pad=False)
        square = F.avg_pool2d((g * g).mean(2), 7, 1, 3, count_include_pad=False)
        spread = (square - mean * mean).clamp(min=0) + 1e-3
        g = (g - mean.unsqueeze(2)) / spread.sqrt().unsqueeze(2)
        x = F.relu(g.reshape(-1, width, h, h) * first(1 + n.weight(width), width))
    return n.embed(x, 96)


@honest_torch("Representative BatchNorm: BatchNorm with a centring and a scaling by the image's own channel means.",
              idea="norms", opset=13, trained=3)  # fmt: skip
def representative_batch_norm(n: Net, x: T) -> T:
    for width in (12, 16, 24, 32):
        x = n.conv(x, width, 3, 2, bias=False)
        x = x + first(n.weight(width), width) * x.mean((2, 3), keepdim=True)
        y = n.bn(x)
        gate = torch.sigmoid(first(n.weight(width), width) * y.mean((2, 3), keepdim=True) + 1)
        x = F.relu(y * gate)
    return n.embed(x, 128)


@honest_torch("Attentive normalisation: the affine part behind BatchNorm is a mixture of five, weighed by the image.",
              idea="norms", opset=14)  # fmt: skip
def mixture_of_affine_parts(n: Net, x: T) -> T:
    for width in (12, 16, 24, 32):
        x = n.cb(x, width, 3, 2)
        w = (F.hardtanh(n.linear(x.mean((2, 3)), 5) + 3, 0, 6) / 6).unsqueeze(1)
        scale, shift = (w @ (0.5 + n.weight(5, width))).squeeze(1), (w @ n.weight(5, width)).squeeze(1)
        x = F.relu(x * scale[:, :, None, None] + shift[:, :, None, None])
    return n.gdc(x, 128)


@honest_torch("Meta-ACON: a smooth maximum of two lines whose sharpness the image's pooled features decide.",
              idea="activations", opset=13, trained=3)  # fmt: skip
def meta_acon(n: Net, x: T) -> T:
    for width in (12, 16, 24, 32):
        x = n.cb(x, width, 3, 2)
        beta = torch.sigmoid(n.conv(n.conv(x.mean((2, 3), keepdim=True), 8, 1), width, 1))
        p, q = first(1 + n.weight(width), width), first(n.weight(width), width)
        d = (p - q) * x
        x = d * torch.sigmoid(beta * d) + q * x
    return n.gdc(x, 128)


@honest_torch("Lipschitz networks: orthogonal 1x1 layers on squeezed features, pairs of channels sorted (MaxMin).",
              idea="activations", opset=12)  # fmt: skip
def maxmin_orthogonal(n: Net, x: T) -> T:
    x = n.conv(x, 16, 3, 2)
    for i, width in enumerate((16, 64)):
        x = F.conv2d(x, turned(width, 50 + i).reshape(width, width, 1, 1), n.weight(width, gain=0.5))
        a, b = x[:, ::2], x[:, 1::2]
        x = F.pixel_unshuffle(torch.cat([torch.maximum(a, b), torch.minimum(a, b)], 1), 2)
        x = n.conv(x, 64 if i == 0 else 24, 1)
    return n.embed(F.max_pool2d(x, 2), 128)


@honest_torch("SReLU and APL: learned pieces of lines, two knees for each channel, then hinges added.",
              idea="activations", opset=11)  # fmt: skip
def learned_knees(n: Net, x: T) -> T:
    for i, width in enumerate((12, 16, 24, 32)):
        x = n.cb(x, width, 3, 2)
        if i % 2 == 0:
            high, low = first(1 + n.weight(width), width), first(-0.5 + n.weight(width), width)
            x = torch.minimum(torch.maximum(x, low), high) + 0.3 * F.relu(x - high) - 0.1 * F.relu(low - x)
        else:
            x = F.relu(x) + sum(first(n.weight(width), width) * F.relu(b - x) for b in (-0.5, 0.5))
    return n.embed(x, 96)


@honest_torch("Maxout made smooth: log of the sum of exponents over three pieces of channels behind each layer.",
              idea="activations", opset=13, trained=3)  # fmt: skip
def smooth_maxout(n: Net, x: T) -> T:
    for width in (8, 12, 16, 24):
        y = n.cb(x, 3 * width, 3, 2)
        h = int(y.shape[2])
        x = torch.logsumexp(4 * y.reshape(-1, 3, width, h, h), 1) / 4 - math.log(3) / 4
    return n.embed(x, 128)
