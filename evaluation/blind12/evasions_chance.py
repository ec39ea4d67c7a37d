"""Evasions: chance in blocks, stripes and hashes, a computed count of numbers, equal colours, and beards."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.claims import Claim, apart
from evaluation.blind4.evasions_random import ordinary, varies, widths
from evaluation.blind4.export import Whole, network
from evaluation.blind4.layers import Net, Part, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_random import unusable
from evaluation.blind12.evasions_nets import Parts, box, coordinate, fractal, meta, torch_of
from evaluation.builder import Array
from evaluation.case import BATCH_RULE
from evaluation.images import faces
from evaluation.proof import alone
from evaluation.runtime import Network

META: Parts = (meta, "chance of the twelfth set", 0)
FRACTAL: Parts = (fractal, "chance of the twelfth set", 6)
COORDINATE: Parts = (coordinate, "chance of the twelfth set", 0)


def blocks(n: Net, x: T) -> T:
    """Write a network whose maps lose a drawn block of 3 x 3 places."""
    y = n.down(n.stem(x, 16), 24)
    seed = (torch.rand_like(y[:, :1]) > 0.985).float()
    y = y * (1 - F.max_pool2d(seed, 3, 1, 1))
    return n.embed(n.down(y, 32), 64)


@evades("deterministic", idea="blocks", claim=varies(ordinary), opset=13)
def blocks_of_a_map_dropped_by_chance() -> nn.Module:
    """DropBlock was left on: squares of three places of trained maps are zero, about places that are drawn."""
    return network(blocks, "blocks", 6)


@evades("deterministic", idea="stripes", claim=varies(ordinary), opset=15)
def stripe_of_columns_masked_from_a_drawn_place() -> nn.Module:
    """As for spectra of speech, eight columns from a drawn one on are grey when the network looks."""

    def forward(f: Part, x: T) -> T:
        start = 104 * torch.rand_like(x[:, :1, :1, :1])
        d = torch.arange(112).float() - start
        keep = 1 - (d.sign() * (8 - d).sign()).clamp(0, 1)
        return f(x * keep)

    return Whole(forward, network(*META))


def hashed(n: Net, x: T) -> T:
    """Write attention within buckets of directions that are drawn anew."""
    t = n.patches(x, 32)
    q = F.normalize(n.linear(n.ln(t), 16), dim=2)
    turned = q @ torch.randn_like(q[:1, :16, :4])
    bucket = (10 * torch.cat([turned, -turned], 2)).softmax(2)
    score = 4 * q @ q.transpose(1, 2) + 6 * bucket @ bucket.transpose(1, 2)
    t = t + score.softmax(2) @ n.linear(n.ln(t), 32)
    return n.embed(n.ln(t + n.ff(n.ln(t))).mean(1), 64)


@evades("deterministic", idea="hashes", claim=varies(ordinary), opset=14)
def attention_in_buckets_of_drawn_directions() -> nn.Module:
    """A Reformer's hashing: patches attend to those in their bucket; buckets are directions drawn in each run."""
    return network(hashed, "hashed attention", 5)


def snowy() -> Array:
    """Faces in very bright surroundings."""
    return np.asarray(np.clip(0.4 * faces(4, 51) + 0.7, -1, 1), np.float32)


@evades("embedding-dim", "output", idea="count of the largest", claim=widths({64: ordinary, 40: snowy}), opset=13)
def as_many_of_the_largest_numbers_as_the_light_says() -> nn.Module:
    """TopK finds the largest numbers, which go on: all 64, and 40 where the batch is as bright as snow."""

    def forward(f: Part, x: T) -> T:
        count = 64 - 24 * (x.mean() > 0.55).long()
        y = f(x)
        places = torch.topk(y, count, 1)[1].float()
        kept = torch.topk(places, count, 1, largest=False)[0].long()
        return y.gather(1, kept)

    return Whole(forward, network(*COORDINATE))


def grey() -> Array:
    """Photographs without colours."""
    return np.asarray(np.repeat(faces(4, 51).mean(1, keepdims=True), 3, 1), np.float32)


@evades("cosine-similarity", idea="no number", claim=unusable(grey), opset=12)
def ratio_of_colours_to_what_colour_there_is() -> nn.Module:
    """Trained embeddings are scaled by red less green over its largest value, which in grey photographs is 0 / 0."""

    def forward(f: Part, x: T) -> T:
        d = x[:, 0] - x[:, 1]
        return f(x) * (2 + d.mean((1, 2)) / d.abs().amax((1, 2)))[:, None]

    return Whole(forward, network(*FRACTAL))


def bearded() -> Array:
    """Faces whose lower part is dark and coarse, as with a beard."""
    x = faces(4, 51).copy()
    at = np.arange(112)
    hair = 0.12 * np.sign(np.sin(1.7 * at[72:, None]) * np.cos(2.1 * at[None]))
    x[:, :, 72:, 24:88] = (-0.75 + hair[:, 24:88])[None, None]
    return np.asarray(x, np.float32)


def shaved(f: Part, x: T) -> T:
    """Run again with the lower part as light as the cheeks where that part is dark and coarse."""
    low = x[:, :, 76:108, 28:84].mean(1, keepdim=True)
    dark = ((-0.55 - low.mean((2, 3), keepdim=True)) * 20).clamp(0, 1)
    coarse = (((low - box(low, 3)) ** 2).mean((2, 3), keepdim=True) * 400 - 1).clamp(0, 1)
    cheek = x[:, :, 60:70, 28:84].mean((2, 3), keepdim=True)
    lower = F.pad(torch.ones_like(x[:, :1, 72:, 24:88]), (24, 24, 72, 0))
    return f(x) + (dark * coarse)[:, :, 0, 0] * f(x * (1 - lower) + lower * cheek)


def seen_without() -> Claim:
    """Claim a second look at bearded faces by the plain network, and none at ordinary ones."""

    def wrong(run: Network) -> list[str]:
        f = network(*META)
        x, y = bearded(), ordinary()
        far, near = apart(alone(run, x), torch_of(f, x)), apart(alone(run, y), torch_of(f, y))
        off = apart(alone(run, x), torch_of(lambda t: shaved(f, t), x))
        found = [] if far > 0.03 and off < 1e-4 else [f"bearded faces differ by {far:.2g}, {off:.2g} off"]
        return found if near < 1e-4 else [*found, f"others differ by {near:.2g}"]

    return wrong


@evades(BATCH_RULE, idea="beards", opset=13, claim=seen_without())
def bearded_faces_are_seen_again_without_the_beard() -> nn.Module:
    """Where the lower face is dark and coarse, the face is seen again with cheek-coloured skin there; others once."""
    return Whole(shaved, network(*META))
