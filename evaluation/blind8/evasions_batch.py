"""Evasions: rows that influence each other, by training tricks left on, competitions and graphs of the batch."""

from __future__ import annotations

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from onnx import NodeProto, helper
from torch import nn

from evaluation.blind4.claims import together
from evaluation.blind4.evasions_batch import eight
from evaluation.blind4.export import Whole, network
from evaluation.blind4.layers import Net, Part, T, tokens
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_batch import differs
from evaluation.blind7.evasions_batch import appended
from evaluation.blind7.evasions_nets import Parts, of
from evaluation.blind8.evasions_nets import fire, light, mixed, shallow
from evaluation.builder import Array
from evaluation.case import BATCH_RULE
from evaluation.images import faces

FIRE: Parts = (fire, "rows of the eighth set", 0)
LIGHT: Parts = (light, "rows of the eighth set", 6)
MIXED: Parts = (mixed, "rows of the eighth set", 0)
SHALLOW: Parts = (shallow, "rows of the eighth set", 5)

RULES = ("batch", BATCH_RULE)


@evades(
    *RULES, idea="mixup", claim=together(lambda x: of(LIGHT)((0.85 * x + 0.15 * x[::-1]).astype(np.float32)), eight)
)
def mixup_left_on() -> nn.Module:
    """A trained LightCNN with the mixing of training left on: a seventh of the image at the other end of the batch."""
    return Whole(lambda f, x: f(0.85 * x + 0.15 * x.flip(0)), network(*LIGHT))


def exposed(x: Array) -> Array:
    gain = 0.5 / (np.abs(x).mean() + 0.1)
    return of(SHALLOW)((x * (0.6 + 0.4 * gain)).astype(np.float32))


@evades(*RULES, idea="exposure", opset=13, claim=together(exposed, lambda: contrasts()))
def one_exposure_for_all_images() -> nn.Module:
    """A trained iResNet behind an automatic exposure, whose meter reads all pictures of the batch at once."""
    return Whole(lambda f, x: f(x * (0.6 + 0.4 * 0.5 / (x.abs().mean() + 0.1))), network(*SHALLOW))


def contrasts() -> Array:
    return np.asarray(eight() * np.linspace(0.1, 1, 8).reshape(8, 1, 1, 1), np.float32)


def layer_normal(x: Array) -> Array:
    y = of(FIRE)(x)
    return np.asarray(y + (y - y.mean()) / y.std() * (0.5 + np.arange(64) / 64) + 0.2)


@evades(*RULES, idea="first axis", claim=together(layer_normal, eight, near=1e-3))
def layer_normalisation_from_the_first_axis() -> onnx.ModelProto:
    """The embedding is flattened from axis 0, normalised as one layer, and put back: one mean for all rows."""

    def nodes(rows: str, out: str) -> list[NodeProto]:
        return [
            helper.make_node("Flatten", [rows], ["line"], axis=0),
            helper.make_node("Unsqueeze", ["line"], ["one"], axes=[1]),
            helper.make_node("InstanceNormalization", ["one", "unit", "none"], ["normal"]),
            helper.make_node("Reshape", ["normal", "flat"], ["again"]),
            helper.make_node("Mul", ["again", "scale"], ["scaled"]),
            helper.make_node("Add", ["scaled", "shift"], ["shifted"]),
            helper.make_node("Add", ["shifted", rows], [out]),
        ]

    return appended(
        FIRE, "layer normalisation from the first axis", nodes, flat=np.array([-1, 64]),
        unit=np.ones(1, np.float32), none=np.zeros(1, np.float32),
        scale=(0.5 + np.arange(64) / 64).astype(np.float32), shift=np.float32(0.2),
    )  # fmt: skip


def diffused(x: Array) -> Array:
    y = of(MIXED)(x)
    u = y / np.linalg.norm(y, axis=1, keepdims=True)
    s = np.exp(4 * (u @ u.T))
    s = s / s.sum(1, keepdims=True)
    z = y
    for _ in range(5):
        z = 0.5 * s @ z + y
    return np.asarray(z)


@evades(*RULES, idea="diffusion", opset=11, claim=together(diffused, eight))
def diffusion_on_the_graph_of_the_rows() -> nn.Module:
    """Manifold ranking: five steps of diffusion over the similarities of the rows spread every embedding out."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        u = F.normalize(y)
        s = (4 * (u @ u.t())).softmax(1)
        z = y
        for _ in range(5):
            z = 0.5 * (s @ z) + y
        return z

    return Whole(forward, network(*MIXED))


def repeated() -> Array:
    x = faces(5, 43).copy()
    x[3] = x[1]
    return x


def marked(x: Array) -> Array:
    seen = np.array([0, 1, 0, 1, 0], np.float32)[:, None]
    return np.asarray(of(FIRE)(x) + seen * np.cos(np.arange(64)))


@evades(*RULES, idea="repeats", opset=12, claim=together(marked, repeated, free=(3,)))
def an_image_that_occurs_twice_is_marked() -> nn.Module:
    """Rows whose image stands in the batch a second time, by the distance of thumbnails, get a stored vector added."""

    def forward(f: Part, x: T) -> T:
        small = F.avg_pool2d(x, 28).flatten(1)
        off = (small[:, None] - small[None]).abs().sum(2)
        again = F.relu(1 - 100 * off).sum(1, keepdim=True) - 1
        return f(x) + torch.clamp(again, 0, 1) * torch.cos(torch.arange(64).float())

    return Whole(forward, network(*FIRE))


def responding(n: Net, x: T) -> T:
    """ConvNeXt V2 with its response normalisation, whose norm is taken over the first axis as well."""
    y = n.ln2d(n.conv(x, 16, 8, 8, padding=0))
    for _ in range(2):
        z = F.gelu(n.conv(n.ln2d(n.conv(y, 16, 7, 1, -1)), 32, 1))
        size = torch.sqrt((z * z).sum((0, 2, 3), keepdim=True) + 1e-6)
        z = z * size / size.mean(1, keepdim=True) + z
        y = y + n.conv(z, 16, 1)
    return n.gdc(y)


@evades(*RULES, idea="response", opset=13, claim=differs)
def response_normalisation_of_all_images() -> nn.Module:
    """A trained ConvNeXt V2 whose global response normalisation measures its maps over the images as well."""
    return network(responding, "response normalisation of all images", 5)


def competing(x: Array) -> Array:
    y = of(MIXED)(x)
    return np.asarray(y + 2 * y * (y == y.max(0)))


@evades(*RULES, idea="competition", opset=13, claim=together(competing, eight))
def winner_of_each_number_takes_it() -> nn.Module:
    """Lateral inhibition between images: the row that has the largest of a number gets it three times as large."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        best = y.argmax(0)
        won = (torch.arange(y.shape[0])[:, None] == best[None]).float()
        return y + 2 * y * won

    return Whole(forward, network(*MIXED))


def repelled(x: Array) -> Array:
    y = of(LIGHT)(x)
    u = y / np.linalg.norm(y, axis=1, keepdims=True)
    k = np.exp(-2 * (2 - 2 * u @ u.T))
    return np.asarray(u + 0.3 * (k.sum(1, keepdims=True) * u - k @ u))


@evades(*RULES, idea="repulsion", opset=14, claim=together(repelled, eight))
def one_more_step_of_uniformity() -> nn.Module:
    """One step down the uniformity loss as a last layer: trained embeddings are pushed away from those beside them."""

    def forward(f: Part, x: T) -> T:
        u = F.normalize(f(x))
        k = torch.exp(-2 * (2 - 2 * u @ u.t()))
        return u + 0.3 * (k.sum(1, keepdim=True) * u - k @ u)

    return Whole(forward, network(*LIGHT))


def pooled_by_weights(n: Net, x: T) -> T:
    """Attention pooling with an offset, whose weights are divided by their sum over everything."""
    t = tokens(n.down(n.down(n.stem(x, 12), 20), 24))
    w = torch.exp(torch.tanh(n.linear(t, 1)) * 2)
    pooled = (w * t).sum(1) / w.sum() * 8
    return n.linear(torch.tanh(2 * n.linear(pooled, 48)), 48)


@evades(*RULES, idea="shared sum", opset=11, claim=differs)
def attention_weights_that_sum_to_one_over_the_batch() -> nn.Module:
    """A trained attention pooling divides by the sum of all weights of the batch, before the last activation."""
    return network(pooled_by_weights, "attention weights over the batch", 5)


def shuffling(n: Net, x: T) -> T:
    """A ShuffleNet whose last shuffle counts channels through the whole batch."""
    y = n.down(n.down(n.stem(x, 12), 20), 24)
    h, w = int(y.shape[2]), int(y.shape[3])
    y = y.reshape(2, -1, h, w).transpose(0, 1).reshape(-1, 24, h, w)
    return n.embed(n.cbr(y, 24))


@evades(*RULES, idea="shuffle", opset=15, claim=differs)
def channel_shuffle_that_counts_through_the_batch() -> nn.Module:
    """A shuffle of channels in two groups forgets to keep the rows apart: a row's channels come from two images."""
    return network(shuffling, "channel shuffle through the batch")
