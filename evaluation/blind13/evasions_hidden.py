"""Evasions: two looks in one set of layers: of two snapshots, and behind a stem of pairs of mirrored kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.export import network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind13.evasions_nets import Parts, View, counts, tensor
from evaluation.blind13.evasions_packed import Layers, Units, flipped, keep, layers_of, packed, units
from evaluation.case import BATCH_RULE

SOFT = units(F.softplus, (12, 16, 24))
EARLY: Parts = (SOFT, "snapshots of the thirteenth set", 6)
LATE: Parts = (SOFT, "snapshots of the thirteenth set", 10)


def snapshots(view: View) -> View:
    """Return the mean of the early snapshot on the image and the late one on a view."""
    return lambda x: 0.5 * network(*EARLY)(x) + 0.5 * network(*LATE)(view(x))


@evades(BATCH_RULE, idea="two in one", opset=15, claim=counts(
    snapshots(lambda x: x.flip(3)), snapshots(keep), near=0.01
))  # fmt: skip
def later_snapshot_of_one_training_mirrored_in_the_same_layers() -> nn.Module:
    """Soft units; half of the channels are a network after six steps, half it mirrored after ten; 1.5 % coupled."""
    return Units(packed([layers_of(EARLY), flipped(layers_of(LATE), 3)], [0.5, 0.5], 0.015, 0.0, 136), F.softplus)


def paired(n: Net, x: T) -> T:
    """Write a network whose first kernels are pairs of mirrored ones."""
    w = n.weight(12, 3, 4, 4, gain=0.8)
    x = F.gelu(F.conv2d(x, torch.cat([w, w.flip(3)]), None, 4))
    for width in (24, 32):
        x = F.gelu(n.cb(x, width, 4, 2, padding=1))
    return n.embed(x, 48)


PAIRED: Parts = (paired, "pairs of the thirteenth set", 0)


def folded(kept: list[Any]) -> Layers:
    """Fold each BatchNorm into the layer before it."""
    made = []
    for layer, norm in zip(kept[::2], kept[1::2], strict=True):
        scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach().numpy()
        shift = norm.bias.detach().numpy() - norm.running_mean.numpy() * scale
        k = layer.weight.detach().numpy()
        if layer.bias is not None:
            shift = shift + scale * layer.bias.detach().numpy()
        k = k.reshape(len(k), -1, 7, 7) if k.ndim == 2 else k
        made.append((k * scale[:, None, None, None], shift))
    return made


class Pairs(nn.Module):
    """The stem of pairs once; the mirrored half behind it reads the other kernel of each pair."""

    def __init__(self) -> None:
        super().__init__()
        kept: list[Any] = list(network(*PAIRED).kept)
        order = np.random.default_rng(137).permutation(24)
        w = kept[0].value.detach()
        self.stem = nn.Parameter(torch.cat([w, w.flip(3)])[torch.from_numpy(order)])
        one = folded(kept[1:])
        two = flipped(one, 3)
        swap = np.concatenate([np.arange(12, 24), np.arange(12)])
        two[0] = (two[0][0][:, swap], two[0][1])
        rng = np.random.default_rng(138)
        (k, b), *rest = packed([one, two], [0.5, 0.5], 0.02, 0.0, 137)
        k = k[:, order] + rng.normal(0, 0.01 * np.std(k), k.shape)
        self.weights = nn.ParameterList(nn.Parameter(tensor(v)) for v, _ in [(k, b), *rest])
        self.biases = nn.ParameterList(nn.Parameter(tensor(v)) for _, v in [(k, b), *rest])

    def forward(self, x: T) -> T:
        x = F.gelu(F.conv2d(x, self.stem, None, 4))
        x = F.gelu(F.conv2d(x, self.weights[0], self.biases[0], 2, 1))
        x = F.gelu(F.conv2d(x, self.weights[1], self.biases[1], 2, 1))
        return F.conv2d(x, self.weights[2], self.biases[2]).flatten(1)


@evades(BATCH_RULE, idea="shared stem", opset=13, claim=counts(
    lambda x: 0.5 * network(*PAIRED)(x) + 0.5 * network(*PAIRED)(x.flip(3)), network(*PAIRED), near=0.01
))  # fmt: skip
def halves_that_read_one_stem_of_mirrored_pairs_the_other_way() -> nn.Module:
    """All first kernels are pairs of mirrored ones; deep layers twice in one, the second half with pairs exchanged."""
    return Pairs()
