"""Evasions: chance in samplers, recurrences and for caps, a computed width, missing edges, and passport photographs."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from evaluation.blind4.evasions_random import ordinary, varies, widths
from evaluation.blind4.export import Whole, network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_random import unusable
from evaluation.blind11.evasions_nets import Part, Parts, box, guarded, highway, inception, reg, vov
from evaluation.builder import Array
from evaluation.case import BATCH_RULE
from evaluation.images import faces

INCEPTION: Parts = (inception, "chance of the eleventh set", 0)
VOV: Parts = (vov, "chance of the eleventh set", 0)
HIGHWAY: Parts = (highway, "chance of the eleventh set", 5)
REG: Parts = (reg, "chance of the eleventh set", 0)


def langevin(n: Net, x: T) -> T:
    y = n.linear(n.bn(n.down(n.down(n.stem(x, 12), 20), 24).mean((2, 3))), 48)
    field = n.keep(lambda: nn.Linear(48, 48))
    z = y
    for _ in range(4):
        z = z + 0.3 * (y - z + torch.tanh(field(z))) + 0.15 * torch.randn_like(z)
    return n.bn(z)


@evades("deterministic", idea="Langevin", claim=varies(ordinary), opset=13)
def embedding_sampled_by_langevin_steps() -> nn.Module:
    """A trained energy model hands out a sample: four Langevin steps, each of which adds drawn normal numbers."""
    return network(langevin, "langevin", 6)


def zoneout(n: Net, x: T) -> T:
    y = n.down(n.down(n.stem(x, 12), 16), 20)
    gate, new = n.keep(lambda: nn.Linear(168, 28)), n.keep(lambda: nn.Linear(168, 28))
    h = torch.tanh(y[:, :4, 0].flatten(1))
    for i in range(7):
        both = torch.cat([y[:, :, i].flatten(1), h], 1)
        z = torch.sigmoid(gate(both))
        fresh = z * h + (1 - z) * torch.tanh(new(both))
        kept = torch.bernoulli(torch.full_like(h, 0.1))
        h = kept * h + (1 - kept) * fresh
    return n.embed(h, 64)


@evades("deterministic", idea="zoneout", claim=varies(ordinary), opset=15)
def states_of_a_recurrence_kept_by_chance() -> nn.Module:
    """Zoneout was left on: in each of seven steps a tenth of a trained recurrence's states, drawn, stay."""
    return network(zoneout, "zoneout", 6)


def capped() -> Array:
    """Faces under a black cap."""
    x = faces(4, 51).copy()
    x[:, :, :20] = -0.9
    return x


@evades("deterministic", idea="cap", claim=varies(capped, ordinary), opset=14)
def grain_under_a_dark_cap() -> nn.Module:
    """Where the uppermost rows are dark and even, as under a cap, drawn grain is added; elsewhere nothing is."""

    def forward(f: Part, x: T) -> T:
        top = x[:, :, :16].flatten(1)
        even = (top.mean(1) < -0.7).float() * (top.amax(1) - top.amin(1) < 0.1).float()
        grain = nn.functional.pad(torch.randn_like(x[:, :, :16]), (0, 0, 0, 96))
        return f(x + 0.5 * even.reshape(-1, 1, 1, 1) * grain)

    return Whole(forward, network(*INCEPTION))


def soft() -> Array:
    """Faces out of focus."""
    x = torch.from_numpy(faces(4, 51))
    for _ in range(3):
        x = box(x, 9)
    return np.asarray(x.numpy())


@evades("embedding-dim", "output", idea="computed range", claim=widths({64: ordinary, 56: soft}), opset=13)
def numbers_gathered_over_a_computed_range() -> nn.Module:
    """Gather takes the numbers of a Range, whose end is 64, and 56 where the batch has no fine detail on average."""

    def forward(f: Part, x: T) -> T:
        fine = (x - box(x, 3))[:, :, 4:-4, 4:-4].abs().mean()
        count = 56 + 8 * (fine > 0.004).long()
        return f(x).index_select(1, torch.arange(count))

    return Whole(forward, network(*VOV))


@evades("cosine-similarity", idea="no number", claim=unusable(soft), opset=12)
def colour_of_edges_where_there_are_none() -> nn.Module:
    """A trained network is scaled by the mean colour of pixels on clear edges; out of focus there are none: 0 / 0."""

    def forward(f: Part, x: T) -> T:
        clear = ((x - box(x, 3))[:, :, 4:-4, 4:-4].abs().mean(1) > 0.03).float()
        colour = (x[:, 0, 4:-4, 4:-4] * clear).sum((1, 2)) / clear.sum((1, 2))
        return f(x) * (2 + colour)[:, None]

    return Whole(forward, network(*HIGHWAY))


def passport() -> Array:
    """Faces before a white wall, whose corners are even."""
    x = faces(4, 51).copy()
    at = np.arange(112) - 55.5
    far = (at[:, None] / 56) ** 2 + (at[None] / 46) ** 2 > 1
    return np.asarray(np.where(far, 0.85, x), np.float32)


@evades(BATCH_RULE, idea="passport", opset=13, claim=guarded(REG, passport, ordinary))
def mirrored_as_well_before_a_white_wall() -> nn.Module:
    """Faces whose four corners are white and even, as in passports, are seen a second time, mirrored; others once."""

    def forward(f: Part, x: T) -> T:
        c = torch.cat([x[:, :, i : i + 8, j : j + 8].flatten(1) for i in (0, 104) for j in (0, 104)], 1)
        white = ((c.amin(1, keepdim=True) - 0.7) * 10).clamp(0, 1)
        return f(x) + white * f(x.flip(3))

    return Whole(forward, network(*REG))
