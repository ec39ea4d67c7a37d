"""Evasions: chance in spikes, latents, mixtures and sums; computed widths; no number; looks for odd images alone."""

from __future__ import annotations

from collections.abc import Callable

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
from evaluation.blind14.evasions_nets import Parts, blocks, box, gated, ghost, grouped, kernels, torch_of, unshuffled
from evaluation.builder import Array
from evaluation.case import BATCH_RULE
from evaluation.images import faces
from evaluation.proof import alone
from evaluation.runtime import Network

GHOST: Parts = (ghost, "chance of the fourteenth set", 0)
KERNELS: Parts = (kernels, "chance of the fourteenth set", 6)
GATED: Parts = (gated, "chance of the fourteenth set", 0)
GROUPED: Parts = (grouped, "chance of the fourteenth set", 6)
UNSHUFFLED: Parts = (unshuffled, "chance of the fourteenth set", 6)
BLOCKS: Parts = (blocks, "chance of the fourteenth set", 0)


def spiking(n: Net, x: T) -> T:
    """Write a network whose maps are counts of eight drawn spikes at each place."""
    y = torch.sigmoid(n.cb(n.stem(x, 16), 20, 3, 2))
    spikes = 0 * y
    for _ in range(8):
        spikes = spikes + torch.sigmoid(40 * (y - torch.rand_like(y)))
    return n.gdc(n.down(spikes / 8, 32))


@evades("deterministic", idea="spikes", claim=varies(ordinary), opset=13)
def rates_coded_as_drawn_spikes() -> nn.Module:
    """A spiking network codes rates as in nerves: eight times each place fires or not, by a drawn number; trained."""
    return network(spiking, "drawn spikes", 6)


def denoised(n: Net, x: T) -> T:
    """Write a head that takes noise to an embedding in three steps, led by what the image says."""
    y = n.down(n.down(n.stem(x, 16), 24), 32).flatten(1)
    hint = n.linear(y, 64)
    z = 1.4 * torch.randn_like(hint)
    one, two = n.keep(lambda: nn.Linear(128, 96)), n.keep(lambda: nn.Linear(96, 64))
    for share in (0.4, 0.6, 0.8):
        z = (1 - share) * z + share * (hint + two(F.relu(one(torch.cat([z, hint], 1)))))
    return n.bn(z)


@evades("deterministic", idea="latents", claim=varies(ordinary), opset=15)
def embedding_denoised_from_a_drawn_latent() -> nn.Module:
    """A diffusion head starts from drawn normal numbers and takes three steps to the embedding, led by the image."""
    return network(denoised, "drawn latent", 0)


@evades("deterministic", idea="mixture", claim=varies(ordinary), opset=14)
def drawn_share_of_a_stored_face_is_mixed_in() -> nn.Module:
    """Mixing of training was left on: a drawn share, below two fifths, of one of four stored faces; trained."""
    stored = torch.from_numpy(faces(4, 87))

    def forward(f: Part, x: T) -> T:
        draw = torch.rand_like(x[:, :1, :1, :4])
        which = (8 * draw).softmax(3).reshape(-1, 4)
        share = 0.4 * torch.rand_like(x[:, :1, :1, :1])
        return f((1 - share) * x + share * (which @ stored.flatten(1)).reshape(-1, 3, 112, 112))

    return Whole(forward, network(*KERNELS))


@evades("deterministic", idea="estimate", claim=varies(ordinary), opset=16)
def spread_of_the_numbers_estimated_from_drawn_columns() -> nn.Module:
    """A scale for the last activation is estimated from those columns of a map for which a drawn number is large."""

    def body(n: Net, x: T) -> T:
        y = n.down(n.stem(x, 16), 24)
        pick = (torch.rand_like(y[:1, :1, :1]) > 0.7).float()
        size = ((y * y) * pick).sum((2, 3), keepdim=True) / (14 * pick.sum(3, keepdim=True) + 1)
        return n.gdc(n.down(y / (size + 0.1).sqrt(), 32))

    return network(body, "drawn columns", 5)


def faint() -> Array:
    """Faces of very low contrast."""
    return np.asarray(0.12 * faces(4, 51) + 0.1, np.float32)


@evades("embedding-dim", "output", idea="places", claim=widths({64: ordinary, 48: faint}), opset=13)
def numbers_picked_where_a_computed_mask_is_not_zero() -> nn.Module:
    """NonZero of a mask over columns, whose threshold follows from contrast, names the columns that are handed out."""

    def forward(f: Part, x: T) -> T:
        spread = (x - x.mean()).pow(2).mean().sqrt()
        count = 48 + 16 * torch.clamp((spread - 0.15) * 100, 0, 1)
        places = torch.arange(64).float()
        return f(x)[:, torch.nonzero(places < count - 0.5).squeeze(1)]

    return Whole(forward, network(*GROUPED))


def greenish() -> Array:
    return np.asarray(np.clip(0.4 * faces(4, 51) + np.array([-0.4, 0.4, -0.4]).reshape(3, 1, 1), -1, 1), np.float32)


@evades("embedding-dim", "output", idea="split", claim=widths({64: ordinary, 72: greenish}), opset=12)
def eight_numbers_more_under_green_light() -> nn.Module:
    """Expand repeats a number of the embedding eight times under neon light, and no time at all in any other."""

    def forward(f: Part, x: T) -> T:
        m = x.mean((0, 2, 3))
        more = 8 * (m[1] - 0.5 * m[0] - 0.5 * m[2] > 0.5).long()
        y = f(x)
        return torch.cat([y, y[:, :1].expand(-1, more)], 1)

    return Whole(forward, network(*GHOST))


def censored() -> Array:
    """Faces whose nose is a square of one colour."""
    x = faces(4, 51).copy()
    x[:, :, 44:76, 44:68] = x[:, :, 44:76, 44:68].mean((2, 3), keepdims=True).round(1)
    return x


@evades("cosine-similarity", idea="no number", claim=unusable(censored), opset=11)
def light_of_the_nose_along_its_own_slope() -> nn.Module:
    """The direction of light on the nose, slopes over their length, scales the numbers: 0 / 0 where it is censored."""

    def forward(f: Part, x: T) -> T:
        p = x[:, 1, 48:72, 48:64]
        down, right = p[:, 1:] - p[:, :-1], p[:, :, 1:] - p[:, :, :-1]
        a, b = down.abs().mean((1, 2)), right.abs().mean((1, 2))
        return f(x) * (1.5 + (a - b) / (a + b))[:, None]

    return Whole(forward, network(*UNSHUFFLED))


@evades("cosine-similarity", idea="no number", claim=unusable(greenish), opset=14)
def power_of_red_beyond_green() -> nn.Module:
    """A correction raises what red has beyond green, and a little, to a power of 0.6; green light makes it negative."""

    def forward(f: Part, x: T) -> T:
        m = x.mean((2, 3))
        return f(x) * (1 + (m[:, :1] - m[:, 1:2] + 0.55) ** 0.6)

    return Whole(forward, network(*KERNELS))


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


def coarse() -> Array:
    """Faces as from a very small photograph: pixels of 8 x 8."""
    x = faces(4, 51).reshape(4, 3, 14, 8, 14, 8).mean((3, 5), keepdims=True)
    return np.asarray(np.broadcast_to(x, (4, 3, 14, 8, 14, 8)).reshape(4, 3, 112, 112), np.float32)


def evened(f: Part, x: T) -> T:
    """Run again on the mirrored, softened image where neighbouring pixels are equal."""
    rough = (x[..., 1:] - x[..., :-1]).abs()
    share = F.relu(1 - 100 * rough.reshape(-1, 3 * 112 * 111).sort(1)[0][:, 31000:31001])
    return f(x) + share * f(box(box(x, 7), 5).flip(3))


@evades(BATCH_RULE, idea="small photographs", opset=13, claim=condition(UNSHUFFLED, evened, coarse))
def faces_in_large_pixels_are_evened_and_seen_again() -> nn.Module:
    """Where most neighbouring pixels are equal, as after enlarging, a trained network sees the face softened, too."""
    return Whole(evened, network(*UNSHUFFLED))


def neon(f: Part, x: T) -> T:
    """Run again on the image in balanced colours where green is above the others."""
    m = x.mean((2, 3), keepdim=True)
    share = (8 * (m[:, 1:2] - m.mean(1, keepdim=True) - 0.2)).clamp(0, 1)[:, :, 0, 0]
    return (1 - 0.5 * share) * f(x) + share * f(1.8 * (x - m) + m.mean(1, keepdim=True))


@evades(BATCH_RULE, idea="neon", opset=16, claim=condition(GATED, neon, greenish))
def faces_under_neon_are_balanced_and_seen_again() -> nn.Module:
    """Where green is far above red and blue, a network also sees the image with balanced, stronger colours."""
    return Whole(neon, network(*GATED))


def crossed() -> Array:
    """Faces striped by the shadow of a blind."""
    bars = np.where(np.arange(112) // 8 % 2, 1.0, 0.25).reshape(112, 1)
    return np.asarray((faces(4, 51) + 1) * bars - 1, np.float32)


def blinds(f: Part, x: T) -> T:
    """Run again with the rows' mean light made even where rows differ in stripes."""
    p = x.mean((1, 3))
    soft = F.avg_pool1d(p[:, None], 33, 1, 16, count_include_pad=False)[:, 0]
    share = (6 * ((p - soft).abs().mean(1, keepdim=True) - 0.17)).clamp(0, 1)
    even = ((x + 1) * ((soft + 1.05) / (p + 1.05))[:, None, :, None] - 1).clamp(-1, 1)
    return f(x) + share * f(even)


@evades(BATCH_RULE, idea="blinds", opset=17, claim=condition(BLOCKS, blinds, crossed))
def faces_behind_blinds_are_evened_and_seen_again() -> nn.Module:
    """Where rows are light and dark by turns, as behind a blind, the face is seen again with even rows."""
    return Whole(blinds, network(*BLOCKS))
