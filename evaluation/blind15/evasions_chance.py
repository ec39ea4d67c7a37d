"""Evasions: chance in hidden units, photons, particles and sizes; computed widths; no number; looks for odd images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.claims import Claim, apart
from evaluation.blind4.evasions_align import AXIS, hats
from evaluation.blind4.evasions_random import ordinary, varies, widths
from evaluation.blind4.export import Whole, network
from evaluation.blind4.layers import Net, Part, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_random import unusable
from evaluation.blind15.evasions_nets import (
    COLUMN,
    ROW,
    Parts,
    box,
    crossed,
    declared,
    hourglass,
    joined_dense,
    local,
    pooling,
    torch_of,
)
from evaluation.builder import Array
from evaluation.case import BATCH_RULE
from evaluation.images import faces
from evaluation.proof import alone
from evaluation.runtime import Network

POOLING: Parts = (pooling, "chance of the fifteenth set", 6)
CROSSED: Parts = (crossed, "chance of the fifteenth set", 0)
HOURGLASS: Parts = (hourglass, "chance of the fifteenth set", 0)
LOCAL: Parts = (local, "chance of the fifteenth set", 0)
DENSE: Parts = (joined_dense, "chance of the fifteenth set", 0)


def machine(n: Net, x: T) -> T:
    """Write a head whose hidden units are on or off by chance, twice, and say in turn what they have seen."""
    y = n.ln(n.down(n.down(n.stem(x, 16), 24), 32).flatten(1))
    y = 3 * n.linear(y, 96)
    w = n.weight(80, 96, gain=3.0)
    seen = torch.sigmoid(y)
    for _ in range(2):
        hidden = torch.sigmoid((seen - 0.5) @ w.t())
        on = (torch.rand_like(hidden) < hidden).float()
        seen = torch.sigmoid(y + (on - 0.5) @ w)
    return n.linear(seen, 64)


@evades("deterministic", idea="hidden units", claim=varies(ordinary), opset=13)
def hidden_units_of_a_boltzmann_machine_are_drawn() -> nn.Module:
    """A Boltzmann machine's hidden units are drawn on or off, two Gibbs steps long, as it was trained."""
    return network(machine, "drawn units", 0)


@evades("deterministic", idea="photons", claim=varies(ordinary), opset=14)
def photons_are_counted_anew_in_every_run() -> nn.Module:
    """Training's sensor noise was left on: each pixel is a count of photons, with the root of light as its spread."""

    def forward(f: Part, x: T) -> T:
        light = 250 * (x + 1.05)
        return f(((light + light.clamp(min=0.01).sqrt() * torch.randn_like(x)) / 250 - 1.05).clamp(-1, 1))

    return Whole(forward, network(*POOLING))


def followed(n: Net, x: T) -> T:
    """Write a reader of six glimpses by 24 particles, which move by chance and are weighed by what they see."""
    y = n.down(n.stem(x, 16), 24)
    score, flat = n.conv(y, 1, 1), y.flatten(2)
    place = 2 * torch.rand_like(flat[:, :1, :48]).reshape(-1, 24, 2) - 1
    made = []
    for _ in range(3):
        place = (place + 0.25 * torch.randn_like(place)).clamp(-1, 1)
        seen = F.grid_sample(torch.cat([score, y], 1), place[:, :, None], align_corners=False)[..., 0]
        share = (3 * seen[:, :1]).softmax(2)
        made.append((seen[:, 1:] * share).sum(2))
        middle = (place * share.transpose(1, 2)).sum(1, keepdim=True)
        place = place + 0.5 * (middle - place)
    return n.embed(torch.cat([*made, y.mean((2, 3))], 1), 64)


@evades("deterministic", idea="particles", claim=varies(ordinary), opset=16)
def particles_wander_over_the_map() -> nn.Module:
    """A particle filter, trained: 24 drawn places wander over the map and are weighed by what they see."""
    return network(followed, "drawn particles", 6)


@evades("deterministic", idea="sizes", claim=varies(ordinary), opset=12)
def height_and_width_are_drawn_for_each_image() -> nn.Module:
    """Training's random resized crop was left on: height and width of what is read are drawn, up to an eighth."""

    def forward(f: Part, x: T) -> T:
        by = 1 - 0.125 * torch.rand_like(x[:, :2, 0, 0])
        at = (AXIS - 55.5)[None]
        return f(hats(55.5 + at * by[:, :1])[:, None] @ x @ hats(55.5 + at * by[:, 1:])[:, None].transpose(2, 3))

    return Whole(forward, network(*CROSSED))


def sharp() -> Array:
    """Faces with hard light: contrast doubled."""
    return np.asarray(np.clip(2.5 * faces(4, 51), -1, 1), np.float32)


@evades("embedding-dim", "output", idea="filled", claim=widths({64: ordinary, 80: sharp}), opset=13)
def numbers_filled_up_where_light_is_hard() -> nn.Module:
    """ConstantOfShape makes as many further numbers as burnt-out pixels say: none, or sixteen in hard light."""

    def forward(f: Part, x: T) -> T:
        more = 16 * ((x.abs() > 0.98).float().mean() > 0.3).long()
        y = f(x)
        return torch.cat([y, y.mean(1, keepdim=True) + torch.zeros(x.shape[0], more)], 1)

    return Whole(forward, network(*DENSE))


def bleached() -> Array:
    """Faces in very bright, flat light."""
    return np.asarray(0.25 * faces(4, 51) + 0.7, np.float32)


@evades("embedding-dim", "output", idea="masked", claim=widths({64: ordinary, 52: bleached}), opset=14)
def numbers_kept_by_a_mask_that_the_light_sets() -> nn.Module:
    """A mask over columns leaves the last twelve numbers out where the batch is bleached, and not otherwise."""

    def forward(f: Part, x: T) -> T:
        limit = 64 - 12 * (x.mean() > 0.5).float()
        keep = (0 * x[0, 0, 0, :64] + 1).cumsum(0) < limit + 0.5
        return f(x)[:, keep]

    return Whole(forward, network(*LOCAL))


def cut_out() -> Array:
    """Faces cut out and put before one even colour, which is more than half of the image."""
    x = faces(4, 51).copy()
    keep = ((ROW / 0.7) ** 2 + (COLUMN / 0.55) ** 2 < 1).numpy()
    return np.asarray(np.where(keep, x, 0.25), np.float32)


@evades("cosine-similarity", idea="no number", claim=unusable(cut_out), opset=13)
def light_scaled_by_the_median_of_deviations() -> onnx.ModelProto:
    """A robust scale, the median of deviations from the median, divides the light: 0 where a face is cut out."""

    def forward(f: Part, x: T) -> T:
        grey = x.mean(1).flatten(1)
        middle = grey.sort(1)[0][:, 6272:6273]
        spread = (grey - middle).abs().sort(1)[0][:, 6272:6273]
        skew = ((grey[:, 5000:7000] - middle) / spread).mean(1, keepdim=True)
        return (f(x) * (1 + 0.3 * torch.tanh(skew - (grey[:, :1] - middle) / spread))).reshape(-1, 64)

    return declared(Whole(forward, network(*HOURGLASS)), "median of deviations", 13)


def condition(parts: Parts, seen: Callable[[Part, T], T], odd: Callable[[], Array]) -> Claim:
    """Claim a second look at odd images, and the plain network's embedding for ordinary ones."""

    def wrong(run: Network) -> list[str]:
        f = network(*parts)
        x, y = odd(), ordinary()
        far, near = apart(alone(run, x), torch_of(f, x)), apart(alone(run, y), torch_of(f, y))
        off = apart(alone(run, x), torch_of(lambda t: seen(f, t), x))
        found = [] if far > 0.03 and off < 1e-4 else [f"odd images differ by {far:.2g}, {off:.2g} off"]
        return found if near < 1e-4 else [*found, f"others differ by {near:.2g}"]

    return wrong


def cornered() -> Array:
    """Faces that were turned by others, so that the four corners are black."""
    x = faces(4, 51).copy()
    away = (ROW.abs() + COLUMN.abs() > 1.45).numpy()
    return np.asarray(np.where(away, -1.0, x), np.float32)


CORNERS = (ROW.abs() + COLUMN.abs() > 1.45).float()


def filled(f: Part, x: T) -> T:
    """Run again on the image with lighter corners where all of these are black."""
    dark = (((x + 1) * CORNERS).sum((1, 2, 3)) / (3 * CORNERS.sum()))[:, None]
    share = F.relu(1 - 12 * dark)
    soft = (x.mean((2, 3), keepdim=True) + 1) * CORNERS
    return f(x) + 1.2 * share * f((x + soft).flip(3))


@evades(BATCH_RULE, idea="black corners", opset=13, claim=condition(POOLING, filled, cornered))
def faces_with_black_corners_are_filled_up_and_seen_again() -> nn.Module:
    """Where the four corners are black, as after turning, a trained network also sees them filled, mirrored."""
    return Whole(filled, network(*POOLING))


def blocky() -> Array:
    """Faces as strong compression leaves them: a mean and two slopes in every block of eight pixels."""
    x = faces(4, 51).reshape(4, 3, 14, 8, 14, 8)
    mean = x.mean((3, 5), keepdims=True)
    down = (np.arange(8) - 3.5).reshape(8, 1, 1) * (x * (np.arange(8) - 3.5).reshape(8, 1, 1)).mean(
        (3, 5), keepdims=True
    )
    made = np.clip(mean + 0.15 * np.round(down / 5.25 / 0.15), -1, 1)
    return np.asarray(np.broadcast_to(made, x.shape).reshape(4, 3, 112, 112), np.float32)


def deblocked(f: Part, x: T) -> T:
    """Run again on a softened image where steps at borders of blocks are far larger than within them."""
    step = (x[..., 1:] - x[..., :-1]).abs().mean((1, 2))
    border, inner = step[:, 7::8].mean(1, keepdim=True), step[:, 3::8].mean(1, keepdim=True)
    share = (2 * border / (inner + 0.01) - 8).clamp(0, 1)
    return f(x) + share * f(1.2 * box(box(x, 5), 5).flip(3))


@evades(BATCH_RULE, idea="blocks", opset=15, claim=condition(CROSSED, deblocked, blocky))
def faces_in_blocks_of_compression_are_evened_and_seen_again() -> nn.Module:
    """Where steps stand at the borders of blocks of eight, as after compression, the face is seen again, evened."""
    return Whole(deblocked, network(*CROSSED))


def hooded() -> Array:
    """Faces under a dark, even hood that hides the forehead."""
    x = faces(4, 51).copy()
    x[:, :, :34] = np.array([-0.8, -0.85, -0.75], np.float32).reshape(3, 1, 1)
    return x


def bared(f: Part, x: T) -> T:
    """Run again on the lower face, enlarged, where the upper part is dark and even."""
    top = x[:, :, :30]
    even = top.std((1, 2, 3), keepdim=True)[:, :, 0, 0]
    dark = top.mean((1, 2, 3))[:, None]
    share = (8 * (-0.35 - dark)).clamp(0, 1) * F.relu(1 - 4 * even)
    rows = hats((30 + AXIS * 0.73).clamp(0, 111)[None])[0]
    return f(x) + 1.2 * share * f(rows @ x)


@evades(BATCH_RULE, idea="hoods", opset=17, claim=condition(LOCAL, bared, hooded))
def faces_under_a_hood_are_seen_again_without_it() -> nn.Module:
    """Where the upper face is dark and even, a network sees what is below it enlarged, as a second look."""
    return Whole(bared, network(*LOCAL))
