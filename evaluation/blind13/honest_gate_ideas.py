"""Honest: gates, norms and activations of papers that the earlier sets do not hold, in small residual networks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from scipy.special import ndtri

from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import honest_torch


def residual(n: Net, x: T, gate: Callable[[T], T], dim: int = 128) -> T:
    """Write residual units with a gate at the end of each branch."""
    y = n.cbr(x, 12, 3, 2)
    for width in (16, 24, 32):
        y = F.relu(gate(n.cb(n.cbr(y, width, 3, 2), width)) + n.cb(y, width, 1, 2))
    return n.gdc(y, dim)


def chain(n: Net, x: T, act: Callable[[T], T], dim: int = 128) -> T:
    """Write a plain network with an activation."""
    y = act(n.cb(x, 12, 3, 2))
    for width in (16, 24, 32):
        y = act(n.cb(act(n.cb(y, width, 3, 2)), width) + n.cb(y, width, 1, 2))
    return n.embed(y, dim)


@honest_torch("Gaussian context transformer: pooled channels standardised among themselves, a Gaussian of them gates.",
              idea="gates", trained=3, opset=12)  # fmt: skip
def gaussian_excitation(n: Net, x: T) -> T:
    def gate(y: T) -> T:
        m = y.mean((2, 3), keepdim=True)
        d = m - m.mean(1, keepdim=True)
        m = d / (d.pow(2).mean(1, keepdim=True) + 1e-5).sqrt()
        return y * torch.exp(-m.pow(2) / 8)

    return residual(n, x, gate)


@honest_torch("Moment channel attention: mean, variance and skewness of channels through one layer along channels.",
              idea="gates", opset=13)  # fmt: skip
def moment_channel_attention(n: Net, x: T) -> T:
    def gate(y: T) -> T:
        m = y.mean((2, 3), keepdim=True)
        d = y - m
        v = d.pow(2).mean((2, 3), keepdim=True)
        s = d.pow(3).mean((2, 3), keepdim=True) / (v + 1e-3) ** 1.5
        z = torch.cat([m, v, s], 2).squeeze(3).transpose(1, 2)
        z = n.same(z, lambda: torch.nn.Conv1d(3, 1, 3, padding=1))
        return y * torch.sigmoid(z.transpose(1, 2).unsqueeze(3))

    return residual(n, x, gate)


@honest_torch("OrthoNets: each channel is squeezed by its own stored filter, all filters orthogonal, then a gate.",
              idea="gates", trained=4, opset=11)  # fmt: skip
def orthogonal_channel_filters(n: Net, x: T) -> T:
    def gate(y: T) -> T:
        c, side = int(y.shape[1]), int(y.shape[2])
        q = np.linalg.qr(np.random.default_rng(c).normal(size=(side * side, c)))[0].T.astype(np.float32)
        z = (y * torch.from_numpy(np.ascontiguousarray(q.reshape(1, c, side, side)))).sum((2, 3))
        z = torch.sigmoid(n.linear(F.relu(n.linear(z, c // 4)), c))
        return y * z[:, :, None, None]

    return residual(n, x, gate)


@honest_torch("HAN: layer attention, outputs of four units weighed by how alike they are, and a gate of a 3D layer.",
              idea="gates", opset=14)  # fmt: skip
def holistic_layer_attention(n: Net, x: T) -> T:
    y, kept = n.down(n.stem(x, 16), 16), []
    for _ in range(4):
        y = n.res(y)
        kept.append(y)
    f = torch.stack(kept, 1).flatten(2)
    a = (f @ f.transpose(1, 2) / 3136).softmax(-1)
    f = (f + n.weight(1) * (a @ f)).reshape(-1, 64, 14, 14)
    z = n.same(y.unsqueeze(1), lambda: torch.nn.Conv3d(1, 1, 3, padding=1)).squeeze(1)
    return n.gdc(n.down(torch.cat([f, y * torch.sigmoid(z)], 1), 40), 128)


@honest_torch("MRLA: cross-layer attention, the query of each unit looks up keys and values of all units before it.",
              idea="gates", trained=3, opset=15)  # fmt: skip
def cross_layer_retrieval(n: Net, x: T) -> T:
    y = n.down(n.stem(x, 16), 32)
    keys: list[T] = []
    values: list[T] = []
    for _ in range(4):
        m = y.mean((2, 3))
        keys.append(n.linear(m, 16))
        values.append(n.conv(y, 32, 3, 1, -1))
        q = n.linear(m, 16)
        w = torch.stack([(q * k).sum(1) * 0.25 for k in keys], 1).softmax(1)
        told = sum((w[:, i, None, None, None] * v for i, v in enumerate(values)), torch.zeros(1))
        y = F.relu(y + n.bn(told) + n.cb(n.cbr(y, 16), 32))
    return n.gdc(n.down(y, 40), 128)


@honest_torch("Wavelet channel attention: the squeeze reads the Haar bands' sizes of each deep channel, not its mean.",
              idea="gates", trained=3, opset=13)  # fmt: skip
def squeezed_by_haar_bands(n: Net, x: T) -> T:
    h = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    bank = torch.einsum("ik,jl->ijkl", h, h).reshape(4, 1, 2, 2) / 2

    def gate(y: T) -> T:
        c = int(y.shape[1])
        z = F.conv2d(y, bank.repeat(c, 1, 1, 1), stride=2, groups=c).abs().mean((2, 3))
        z = torch.sigmoid(n.linear(F.relu(n.linear(z, c // 2)), c))
        return y * z[:, :, None, None]

    return residual(n, x, gate)


@honest_torch("Mode normalisation at test time: two stored sets of statistics, mixed by a softmax of the pooled image.",
              idea="norms", opset=11)  # fmt: skip
def two_modes_of_statistics(n: Net, x: T) -> T:
    def norm(y: T) -> T:
        c = int(y.shape[1])
        g = n.linear(y.mean((2, 3)), 2).softmax(1)[:, :, None, None]
        parts = [(y - n.weight(1, c, 1, 1)) / (1.2 + 0.3 * n.weight(1, c, 1, 1)) for _ in range(2)]
        return n.bn(parts[0] * g[:, :1] + parts[1] * g[:, 1:])

    return residual(n, x, norm)


@honest_torch("pRMSNorm: tokens divided by the root mean square of their first quarter of channels.",
              idea="norms", opset=14)  # fmt: skip
def partial_root_mean_square(n: Net, x: T) -> T:
    def norm(t: T) -> T:
        return t / (t[..., :10].pow(2).mean(-1, keepdim=True) + 1e-3).sqrt() * (1 + n.weight(40))

    t = n.patches(x, 40)
    for _ in range(2):
        t = t + n.attention(norm(t), 4)
        t = t + n.ff(norm(t))
    return n.embed(norm(t), 128)


@honest_torch("Proxy-normalised activations: ReLU's mean and deviation for a stored proxy are undone.",
              idea="norms", opset=13)  # fmt: skip
def proxy_normalised_activations(n: Net, x: T) -> T:
    y = n.cbr(x, 12, 3, 2)
    proxy = torch.from_numpy(ndtri((np.arange(64) + 0.5) / 64).astype(np.float32))[:, None]
    for width in (16, 24, 32):
        z = n.gn(n.conv(y, width, 3, 2))
        gain, shift = 1 + 0.3 * n.weight(width), 0.3 * n.weight(width)
        p = F.relu(proxy * gain + shift)
        m, d = p.mean(0), (p.var(0, unbiased=False) + 0.03).sqrt()
        z = F.relu(z * gain[:, None, None] + shift[:, None, None])
        y = (z - m[:, None, None]) / d[:, None, None]
    return n.gdc(y, 128)


@honest_torch("Instance-level meta norm: shifts and gains from groups' own statistics through a small auto-encoder.",
              idea="norms", trained=3, opset=12)  # fmt: skip
def instance_level_meta_norm(n: Net, x: T) -> T:
    def norm(y: T) -> T:
        c = int(y.shape[1])
        g = y.reshape(-1, 4, c // 4 * int(y.shape[2]) * int(y.shape[3]))
        m = g.mean(2)
        d = ((g - m.unsqueeze(2)).pow(2).mean(2) + 1e-4).sqrt()
        shift = n.linear(F.relu(n.linear(m, 4)), c)[:, :, None, None]
        gain = torch.sigmoid(n.linear(F.relu(n.linear(d, 4)), c))[:, :, None, None]
        return n.bn(y) * (0.5 + gain) + 0.3 * shift

    return residual(n, x, norm)


@honest_torch("TeLU: x times the hyperbolic tangent of e to the x, behind every norm.", idea="activations",
              opset=11)  # fmt: skip
def telu_behind_norms(n: Net, x: T) -> T:
    return chain(n, x, lambda y: y * torch.tanh(torch.exp(y.clamp(max=10.0))))


@honest_torch("Squareplus, half of x plus the root of its square plus four, in place of softplus and ReLU.",
              idea="activations", trained=4, opset=13)  # fmt: skip
def squareplus_units(n: Net, x: T) -> T:
    return chain(n, x, lambda y: 0.5 * (y + (y * y + 1).sqrt()) - 0.5)
