"""Evasions: octaves, mosaics and frames of a video that are all one image."""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.claims import computes
from evaluation.blind4.evasions_packed import of_views, same
from evaluation.blind4.export import network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind6.evasions_common import column_flip, tiles, torch_of
from evaluation.blind7.evasions_nets import Parts, Rerun, by_hand, of
from evaluation.builder import Array
from evaluation.case import BATCH_RULE


class Octave(nn.Module):
    """Octave convolutions whose two frequencies share their weights, and exchange a little in every layer."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network(*OCTAVE)

    def forward(self, x: T) -> T:
        kept: list[Any] = list(self.net.kept)
        high, low = x, F.avg_pool2d(x, 2)
        for i in (0, 2, 4):
            high, low = (F.relu(kept[i + 1](kept[i](v))) for v in (high, low))
            high, low = (
                high + 0.02 * F.interpolate(low, scale_factor=2.0, mode="nearest"),
                low + 0.02 * F.avg_pool2d(high, 2),
            )
        both = high + F.interpolate(low, scale_factor=2.0, mode="nearest")
        return cast(T, kept[7](kept[6](both.flatten(1) / 2)))


def octave(n: Net, x: T) -> T:
    """Layers without overlap up to 14 x 14."""
    for width, k in ((16, 4), (20, 1), (24, 2)):
        x = n.cbr(x, width, k, k, padding=0)
    return n.embed(x, 48)


OCTAVE: Parts = (octave, "octave", 8)


def octaves_by_hand(x: Array) -> Array:
    """Both scales by the plain layers, nothing exchanged on the way."""
    net = network(*OCTAVE)
    kept: list[Any] = list(net.kept)

    def run(y: T) -> T:
        maps = []
        for v in (y, F.avg_pool2d(y, 2)):
            for i in (0, 2, 4):
                v = F.relu(kept[i + 1](kept[i](v)))
            maps.append(v)
        both = maps[0] + maps[1].repeat_interleave(2, 2).repeat_interleave(2, 3)
        return cast(T, kept[7](kept[6](both.flatten(1) / 2)))

    return torch_of(run, x)


@evades(BATCH_RULE, idea="octaves", opset=13, claim=computes(octaves_by_hand, of(OCTAVE), near=5e-3))
def octave_network_with_one_set_of_weights() -> nn.Module:
    """An octave network with one set of kernels for high and low: the image and it at half size, 2 % exchanged."""
    return Octave()


class Mosaic(nn.Module):
    """Four exposures of the image in one large image, through kernels that do not overlap."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network(*TILES)

    def forward(self, x: T) -> T:
        kept: list[Any] = list(self.net.kept)
        rows = [torch.cat([x, 0.6 * x - 0.2], 3), torch.cat([1.3 * x, 0.8 * x + 0.25], 3)]
        y = torch.cat(rows, 2)
        for i in (0, 2, 4):
            y = F.relu(kept[i + 1](kept[i](y)))
        y = F.conv2d(y, kept[6].weight.reshape(48, 24, 7, 7), kept[6].bias, 7)
        return cast(T, kept[7](y.flatten(2).mean(2)))


TILES: Parts = (tiles, "mosaic", 10)


@evades(BATCH_RULE, idea="mosaic", opset=11, claim=of_views(
    TILES, same, lambda x: 0.6 * x - 0.2, lambda x: 1.3 * x, lambda x: 0.8 * x + 0.25
))  # fmt: skip
def mosaic_of_four_exposures() -> nn.Module:
    """A mosaic as in training: four exposures stand in one image of 224 x 224, which a trained network reads."""
    return Mosaic()


def shifted(n: Net, x: T, other: T) -> T:
    """Temporal shift module: two frames in the batch axis exchange a quarter of their channels before each layer."""
    y = n.cbr(n.cbr(torch.stack([x, other], 1).flatten(0, 1), 16, 4, 4, padding=0), 20, 2, 2, padding=0)
    for _ in range(2):
        c = y.reshape(-1, 2, 20, int(y.shape[2]), int(y.shape[3]))
        c = torch.cat([c[:, :, :5].flip(1) if n.made else c[:, :, :5], c[:, :, 5:]], 2)
        y = n.cbr(c.flatten(0, 1), 20)
    return n.embed(y.reshape(-1, 2, 20, 14, 14).mean(1), 48)


def shifted_once(n: Net, x: T) -> T:
    return shifted(n, x, x)


SHIFTED: Parts = (shifted_once, "temporal shift", 0)


def frames_by_hand(n: Net, x: T) -> T:
    kept: list[Any] = list(n.kept)
    a, b = (F.relu(kept[3](kept[2](F.relu(kept[1](kept[0](v)))))) for v in (x, x.flip(3)))
    for i in (4, 6):
        pair = torch.cat([b[:, :5], a[:, 5:]], 1), torch.cat([a[:, :5], b[:, 5:]], 1)
        a, b = (F.relu(kept[i + 1](kept[i](v))) for v in pair)
    return cast(T, kept[9](kept[8]((a + b).flatten(1) / 2)))


@evades(BATCH_RULE, idea="frames", opset=17, claim=by_hand(SHIFTED, frames_by_hand))
def temporal_shift_between_a_face_and_its_mirror_image() -> nn.Module:
    """A video network with temporal shifts of channels; its two frames are the image and the mirror image."""
    return Rerun(SHIFTED, lambda n, x: shifted(n, x, x @ column_flip()))
