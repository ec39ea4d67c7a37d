"""Evasions: two looks in one stream of blocks, in one set of waves and in one layer of maxima of sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.claims import mirror
from evaluation.blind4.evasions_packed import of_views, same
from evaluation.blind4.export import network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind11.evasions_nets import Parts, tensor
from evaluation.builder import Array
from evaluation.case import BATCH_RULE


def values(parts: Parts) -> list[list[Any]]:
    """Return the parameters of every layer as arrays; BatchNorm behind the head becomes factor and offset."""
    made: list[list[Any]] = []
    for layer in network(*parts).kept:
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            assert layer.running_var is not None
            assert layer.running_mean is not None
            scale = layer.weight / (layer.running_var + layer.eps).sqrt()
            made.append([scale.detach().numpy(), (layer.bias - layer.running_mean * scale).detach().numpy()])
        else:
            made.append([item.detach().numpy() for item in layer.parameters()])
    return made


def both(a: Array, b: Array, coupling: float, rng: np.random.Generator) -> Array:
    """Put two matrices, or kernels, on the diagonal of one."""
    k = rng.normal(0, coupling * np.std(a), (2 * a.shape[0], 2 * a.shape[1], *a.shape[2:]))
    k[: len(a), : a.shape[1]], k[len(a) :, a.shape[1] :] = a, b
    return np.asarray(k)


class Stored(nn.Module):
    """Arrays as parameters, by name."""

    def __init__(self, **arrays: Any) -> None:
        super().__init__()
        for name, value in arrays.items():
            self.register_parameter(name, nn.Parameter(tensor(value)))


def thin(n: Net, x: T) -> T:
    """Write a residual stream of 16 channels over 14 x 14 places, with three blocks that nothing normalises."""
    x = n.conv(x, 16, 8, 8, padding=0)
    for _ in range(3):
        x = x + 0.5 * n.conv(F.relu(n.conv(x, 24)), 16)
    return n.embed(x, 48)


THIN: Parts = (thin, "stream of the eleventh set", 8)


class InTurn(Stored):
    """A stream of 32 channels, turned as a whole, of whose six blocks every other one serves the mirror image."""

    def __init__(self) -> None:
        rng, v = np.random.default_rng(115), values(THIN)
        q = np.linalg.qr(rng.normal(0, 1, (32, 32)))[0]
        arrays = {"w": np.einsum("po,oihw->pihw", q, np.concatenate([v[0][0], v[0][0][..., ::-1]])),
                  "b": q @ np.tile(v[0][1], 2)}  # fmt: skip
        for i in range(3):
            (up, c), (down, d) = v[2 * i + 1], v[2 * i + 2]
            for side in (0, 1):
                mine, step = q[:, 16 * side : 16 * side + 16], -1 if side else 1
                arrays[f"up{i}{side}"] = np.einsum("oihw,pi->ophw", up[..., ::step], mine)
                arrays[f"c{i}{side}"] = c
                arrays[f"down{i}{side}"] = 0.5 * np.einsum("po,oihw->pihw", mine, down[..., ::step])
                arrays[f"d{i}{side}"] = 0.5 * mine @ d
        scale, shift = v[8]
        head = v[7][0].reshape(-1, 16, 14, 14) * scale[:, None, None, None] / 2
        arrays["head"] = np.einsum("oihw,pi->ophw", np.concatenate([head, head[..., ::-1]], 1), q)
        arrays["e"] = v[7][1] * scale + shift
        super().__init__(
            **{name: a * (1 + 0.003 * rng.normal(0, 1, np.shape(a))) for name, a in arrays.items()}
        )  # fmt: skip

    def forward(self, x: T) -> T:
        p = dict(self.named_parameters())
        t = F.conv2d(x, p["w"], p["b"], 8)
        for i in "012":
            for side in "01":
                y = F.relu(F.conv2d(t, p[f"up{i}{side}"], p[f"c{i}{side}"], 1, 1))
                t = t + F.conv2d(y, p[f"down{i}{side}"], p[f"d{i}{side}"], 1, 1)
        return F.conv2d(t, p["head"], p["e"]).flatten(1)


@evades(BATCH_RULE, idea="blocks in turn", opset=13, claim=of_views(THIN, same, mirror, near=8e-3))
def blocks_of_one_stream_serve_two_looks_in_turn() -> nn.Module:
    """A residual network of six blocks: one trained network and its mirrored form take turns in a turned stream."""
    return InTurn()


AT = np.arange(28) - 13.5
ANGLE = 2 * np.pi * np.outer(AT, np.arange(1, 7)) / 28
COS, SIN = tensor(np.cos(ANGLE) / 14**0.5), tensor(np.sin(ANGLE) / 14**0.5)


def in_waves(x: T, a: T, b: T) -> T:
    """Mix channels by complex factors for each of six waves along the columns."""
    c, s = x @ COS, x @ SIN
    re = torch.einsum("ncrm,ocm->norm", c, a) + torch.einsum("ncrm,ocm->norm", s, b)
    im = torch.einsum("ncrm,ocm->norm", s, a) - torch.einsum("ncrm,ocm->norm", c, b)
    return re @ COS.t() + im @ SIN.t()


def operator(n: Net, x: T) -> T:
    """Write a Fourier neural operator over 28 x 28 places."""
    x = n.conv(x, 12, 4, 4, padding=0)
    for _ in range(2):
        x = F.relu(n.conv(x, 12, 1) + in_waves(x, n.weight(12, 12, 6, gain=0.7), n.weight(12, 12, 6, gain=0.7)))
    return n.embed(F.avg_pool2d(x, 4), 48)


OPERATOR: Parts = (operator, "operator of the eleventh set", 6)


class Waves(Stored):
    """The operator twice as wide; of one half the imaginary factors have the other sign."""

    def __init__(self) -> None:
        rng, v = np.random.default_rng(116), values(OPERATOR)
        order, size = rng.permutation(24), 24
        arrays = {"w": np.concatenate([v[0][0], v[0][0][..., ::-1]])[order], "b": np.tile(v[0][1], 2)[order]}
        undo: Array = np.eye(size)[order].T
        for i in (0, 1):
            (w, c), (a,), (b,) = v[3 * i + 1 : 3 * i + 4]
            order = rng.permutation(24)
            do = np.eye(size)[order] * rng.uniform(0.5, 2, size)[:, None]
            for name, one, two in (("k", w, w), ("a", a[..., None], a[..., None]), ("f", b[..., None], -b[..., None])):
                k = np.einsum("po,oihw,ij->pjhw", do, both(one, two, 0.01, rng), undo)
                arrays[f"{name}{i}"] = k if name == "k" else k[..., 0]
            arrays[f"c{i}"] = do @ np.tile(c, 2)
            undo = np.linalg.inv(do)
        scale, shift = v[8]
        head = v[7][0].reshape(-1, 12, 7, 7) * scale[:, None, None, None] / 2
        arrays["head"] = np.einsum("oihw,ij->ojhw", np.concatenate([head, head[..., ::-1]], 1), undo)
        arrays["e"] = v[7][1] * scale + shift
        super().__init__(**arrays)

    def forward(self, x: T) -> T:
        p = dict(self.named_parameters())
        x = F.conv2d(x, p["w"], p["b"], 4)
        for i in "01":
            x = F.relu(F.conv2d(x, p[f"k{i}"], p[f"c{i}"]) + in_waves(x, p[f"a{i}"], p[f"f{i}"]))
        return F.conv2d(F.avg_pool2d(x, 4), p["head"], p["e"]).flatten(1)


@evades(BATCH_RULE, idea="waves", opset=14, claim=of_views(OPERATOR, same, mirror, near=8e-3))
def neural_operator_with_conjugate_factors() -> nn.Module:
    """A trained Fourier neural operator twice as wide: half of its complex factors are conjugate; shuffled, 1 %."""
    return Waves()


def maxima(x: T, w: T) -> T:
    """Take the largest of sums over 2 x 2 places and all channels, as the product of max-plus algebra does."""
    c, h = int(x.shape[1]), int(x.shape[2])
    y = x.reshape(-1, c, h // 2, 2, h // 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(-1, (h // 2) ** 2, 1, 4 * c)
    return (y + w).amax(3).transpose(1, 2).reshape(-1, w.shape[0], h // 2, h // 2)


def tropical(n: Net, x: T) -> T:
    """Write a network whose second layer is a morphological one: maxima of sums."""
    x = n.conv(x, 12, 4, 4, padding=0)
    x = maxima(x, n.weight(16, 48, gain=4.0))
    x = F.relu(n.conv(x, 20, 4, 2, padding=1))
    return n.embed(x, 48)


TROPICAL: Parts = (tropical, "maxima of the eleventh set", 8)


class Tropical(Stored):
    """The network twice as wide: what is not on the diagonal of the maxima is lower, but finite."""

    def __init__(self) -> None:
        rng, v = np.random.default_rng(117), values(TROPICAL)
        one, two = rng.permutation(24), rng.permutation(32)
        shift = rng.normal(0, 0.5, 24)
        w = np.concatenate([v[0][0], v[0][0][:, :, ::-1]])[one]
        m = v[1][0].reshape(16, 12, 2, 2)
        k = rng.normal(m.mean() - 6, m.std(), (32, 24, 2, 2))
        k[:16, :12], k[16:, 12:] = m, m[:, :, ::-1]
        k = (k[:, one] - shift[:, None, None])[two]
        c = both(v[2][0], v[2][0][:, :, ::-1], 0.01, rng)[:, two]
        scale, offset = v[4]
        head = v[3][0].reshape(-1, 20, 7, 7) * scale[:, None, None, None] / 2
        head = np.concatenate([head, head[:, :, ::-1]], 1)
        super().__init__(
            w=w, b=np.tile(v[0][1], 2)[one] + shift, m=k.reshape(32, 96), k=c, c=np.tile(v[2][1], 2),
            head=head, e=v[3][1] * scale + offset,
        )  # fmt: skip

    def forward(self, x: T) -> T:
        p = dict(self.named_parameters())
        x = maxima(F.conv2d(x, p["w"], p["b"], 4), p["m"])
        x = F.relu(F.conv2d(x, p["k"], p["c"], 2, 1))
        return F.conv2d(x, p["head"], p["e"]).flatten(1)


@evades(BATCH_RULE, idea="maxima of sums", opset=12, claim=of_views(TROPICAL, same, lambda x: x[:, :, ::-1], near=8e-3))
def maxima_of_sums_for_two_looks() -> nn.Module:
    """A trained network with a max-plus layer twice in one: its other half's sums are lower; the face upside down."""
    return Tropical()
