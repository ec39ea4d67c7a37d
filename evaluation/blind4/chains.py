"""Chains of convolutions as arrays, so that several can be packed into one."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.export import network
from evaluation.blind4.layers import Net, T
from evaluation.builder import Array

#: Kernel, bias, stride, padding of a layer and whether a ReLU follows; the last one is the head over the whole map.
Layer = tuple[Array, Array, int, int, bool]


def patch_chain(n: Net, x: T) -> T:
    """Strided convolutions that commute with mirroring: even kernels, even strides."""
    x = F.relu(n.cb(x, 12, 4, 4, padding=0))
    for width in (16, 20):
        x = F.relu(n.cb(x, width, 4, 2, padding=1))
    return n.embed(x, 48)


def bottleneck_chain(n: Net, x: T) -> T:
    """The same with linear bottlenecks, as MobileNetV2 has them."""
    x = n.cb(F.relu(n.cb(x, 16, 4, 4, padding=0)), 8, 1)
    for width in (16, 24):
        x = n.cb(F.relu(n.cb(F.relu(n.cb(x, 20, 1)), width, 4, 2, padding=1)), 8 if width == 16 else 12, 1)
    return n.embed(x)


@cache
def chain(body: Any, seed: str, trained: int = 0) -> tuple[Layer, ...]:
    """Return the layers of a network with its BatchNorms folded in."""
    net = network(body, seed, trained)
    kept: list[Any] = list(net.kept)
    linear = {patch_chain: (), bottleneck_chain: (1, 4, 7)}[body]
    made: list[Layer] = []
    for i, (layer, norm) in enumerate(zip(kept[::2], kept[1::2], strict=True)):
        scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach().numpy()
        shift = norm.bias.detach().numpy() - norm.running_mean.numpy() * scale
        w = layer.weight.detach().numpy()
        if isinstance(layer, nn.Linear):
            w, bias = w.reshape(len(w), -1, 7, 7), layer.bias.detach().numpy() * scale
            made.append((w * scale[:, None, None, None], bias + shift, 1, 0, False))
        else:
            step, pad = layer.stride[0], layer.padding[0]
            made.append((w * scale[:, None, None, None], shift, step, pad, i not in linear))
    return tuple(made)


def mirrored(layers: tuple[Layer, ...], *axes: int) -> tuple[Layer, ...]:
    """Return the chain that gives for an image what this one gives for its mirror image."""
    return tuple((np.flip(w, axes or (3,)), *more) for w, *more in layers)  # type: ignore[misc]


def first(layers: tuple[Layer, ...], kernel: Array, bias: Array | None = None, pad: int = 0) -> tuple[Layer, ...]:
    """Replace the first kernel."""
    _, b, step, _, act = layers[0]
    return ((kernel, b if bias is None else bias, step, pad, act), *layers[1:])


def packed(chains: list[tuple[Layer, ...]], coupling: float, seed: int) -> tuple[Layer, ...]:
    """Pack chains into one that gives the mean of their embeddings.

    Channels are permuted and rescaled behind a ReLU, turned by an orthogonal matrix behind a linear layer; weights
    between the parts are ``coupling`` times as large as those within.
    """
    rng = np.random.default_rng(seed)
    made: list[Layer] = []
    undo: Array | None = None
    for depth, layers in enumerate(zip(*chains, strict=True)):
        kernels = [layer[0] for layer in layers]
        last = depth == len(chains[0]) - 1
        bias = np.concatenate([layer[1] for layer in layers])
        if depth == 0:
            w = np.concatenate(kernels)
        elif last:
            w, bias = np.concatenate(kernels, 1) / len(chains), np.mean([layer[1] for layer in layers], 0)
        else:
            outs, ins = [len(k) for k in kernels], [k.shape[1] for k in kernels]
            w = rng.normal(0, coupling * np.std(kernels[0]), (sum(outs), sum(ins), *kernels[0].shape[2:]))
            for i, k in enumerate(kernels):
                w[sum(outs[:i]) : sum(outs[: i + 1]), sum(ins[:i]) : sum(ins[: i + 1])] = k
        if undo is not None:
            w = np.einsum("oihw,ij->ojhw", w, undo)
        if not last:
            size = len(w)
            if layers[0][4]:
                do = np.eye(size)[rng.permutation(size)] * rng.uniform(0.5, 2.0, size)[:, None]
            else:
                do = np.linalg.qr(rng.normal(0, 1, (size, size)))[0]
            w, bias, undo = np.einsum("po,oihw->pihw", do, w), do @ bias, np.linalg.inv(do)
        made.append((w, bias, layers[0][2], layers[0][3], layers[0][4]))
    return tuple(made)


class Chain(nn.Module):
    """A chain as a network of PyTorch."""

    def __init__(self, layers: tuple[Layer, ...]) -> None:
        super().__init__()
        self.acts = [act for *_, act in layers]
        self.convs = nn.ModuleList()
        for w, b, step, pad, _ in layers:
            conv = nn.Conv2d(w.shape[1], len(w), w.shape[2:], step, pad)
            with torch.no_grad():
                conv.weight.copy_(torch.from_numpy(np.array(w)))
                assert conv.bias is not None
                conv.bias.copy_(torch.from_numpy(np.array(b)))
            self.convs.append(conv)

    def forward(self, x: T) -> T:
        for conv, act in zip(self.convs, self.acts, strict=True):
            x = F.relu(conv(x)) if act else conv(x)
        return x.flatten(1)
