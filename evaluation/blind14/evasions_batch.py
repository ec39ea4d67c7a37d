"""Evasions: rows that influence each other, by cohorts, fitness, tokens in one line, bits of signs, gates and waves."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.export import network
from evaluation.blind4.layers import Net, Part, T, grid, tokens
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_batch import differs
from evaluation.blind14.evasions_nets import Parts, blocks, gated, ghost, grouped, kernels, rows, unshuffled
from evaluation.case import BATCH_RULE

GHOST: Parts = (ghost, "rows of the fourteenth set", 0)
KERNELS: Parts = (kernels, "rows of the fourteenth set", 5)
GATED: Parts = (gated, "rows of the fourteenth set", 0)
GROUPED: Parts = (grouped, "rows of the fourteenth set", 6)
UNSHUFFLED: Parts = (unshuffled, "rows of the fourteenth set", 0)
BLOCKS: Parts = (blocks, "rows of the fourteenth set", 5)


@rows("cohort", GHOST, 13)
def scores_of_a_cohort_shape_each_embedding(f: Part, x: T) -> T:
    """As speaker verification normalises: scores against the batch give each row a mean and a spread."""
    y = f(x)
    u = F.normalize(y)
    score = u @ u.t()
    mean = score.mean(1, keepdim=True)
    spread = (score - mean).pow(2).mean(1, keepdim=True).sqrt()
    return torch.tanh(1.5 * (y - 3 * mean * u.mean(0, keepdim=True)) * (0.3 + 1.5 * spread))


@rows("fitness", KERNELS, 14)
def fittest_rows_of_the_batch_make_the_mean(f: Part, x: T) -> T:
    """Replicator dynamics: rows like the others multiply for six rounds; what survives is taken off; trained."""
    y = f(x)
    u = F.normalize(y)
    gain = (u @ u.t()).exp()
    share = (0 * y[:, 0] + 1).softmax(0)
    for _ in range(6):
        share = share * (gain @ share)
        share = share / share.sum()
    return y - 0.7 * share[None] @ y


def line(n: Net, x: T) -> T:
    """Write a transformer whose windows of seven tokens are cut, shifted, from one line of all images' patches."""
    t = n.patches(x, 28)
    for shift in (3, 10, 4):
        y = n.ln(t).reshape(1, -1, 28)
        y = torch.cat([y[:, shift:], y[:, :shift]], 1).reshape(-1, 7, 28)
        q, k, v = n.linear(y, 84).chunk(3, 2)
        y = ((q @ k.transpose(1, 2)).softmax(2) @ v).reshape(1, -1, 28)
        y = torch.cat([y[:, -shift:], y[:, :-shift]], 1) if shift else y
        t = t + 4 * n.linear(y.reshape(-1, 49, 28), 28)
        t = t + n.ff(n.ln(t))
    return n.embed(n.cbr(grid(n.ln(t), 7, 7), 24, 1), 64)


@evades("batch", BATCH_RULE, idea="packed line", opset=13, claim=differs)
def shifted_windows_reach_into_the_next_image() -> nn.Module:
    """Patches of all images are packed in one line, as for efficiency; shifted windows end in the next one; trained."""
    return network(line, "one line of the fourteenth set", 4)


@rows("low rank", UNSHUFFLED, 15)
def batch_rebuilt_from_its_three_main_directions(f: Part, x: T) -> T:
    """Subspace iteration finds three main directions of the batch, by which three quarters of each row are rebuilt."""
    y = f(x)
    c = y.t() @ y
    q = c[:, :3] + 0.5 * c[:, 20:23] + 0.1
    for _ in range(5):
        a = F.normalize(q[:, :1], dim=0)
        b = F.normalize(q[:, 1:2] - a * (a * q[:, 1:2]).sum(0, keepdim=True), dim=0)
        d = q[:, 2:] - a * (a * q[:, 2:]).sum(0, keepdim=True) - b * (b * q[:, 2:]).sum(0, keepdim=True)
        last = torch.cat([a, b, F.normalize(d, dim=0)], 1)
        q = c @ last
    return 0.4 * y + 0.6 * torch.tanh(y @ last @ last.t())


def thinned(n: Net, x: T) -> T:
    """Write a transformer that keeps the same half of the places for all images: where the batch finds most."""
    t = tokens(n.down(n.stem(x, 16), 28))
    score = n.linear(t, 1).mean(0).squeeze(1)
    keep = score.topk(80)[1]
    t = t[:, keep]
    t = n.block(t)
    return n.embed(torch.cat([t.mean(1), t.amax(1)], 1), 64)


@evades("batch", BATCH_RULE, idea="places for all", opset=14, claim=differs)
def places_are_kept_that_matter_to_the_whole_batch() -> nn.Module:
    """For an even tensor, the 80 places that are kept of 196 are the same for all images, by mean score; trained."""
    return network(thinned, "places of the fourteenth set", 6)


@rows("signs", GATED, 16)
def images_with_like_bits_share_an_offset(f: Part, x: T) -> T:
    """Locality-sensitive hashing: rows are averaged with those that agree in at least ten of sixteen signs."""
    y = f(x)
    bits = torch.sign(y[:, :16])
    like = torch.sigmoid(2 * ((bits @ bits.t() + 16) / 2 - 9.5))
    return 0.6 * y + 0.6 * (like @ y) / like.sum(1, keepdim=True)


def contrast(n: Net, x: T) -> T:
    """Write a network whose gate compares a channel's energy with that of all other images."""
    y = n.down(n.stem(x, 16), 28)
    energy = (y * y).mean((2, 3))
    others = (energy.sum(0, keepdim=True) - energy) / (torch.ones_like(energy[:, :1]).sum(0, keepdim=True) - 0.5)
    return n.gdc(n.down(y * torch.sigmoid(6 * (energy - others))[:, :, None, None], 32))


@evades("batch", BATCH_RULE, idea="gate", opset=12, claim=differs)
def channels_open_where_an_image_stands_out() -> nn.Module:
    """A gate opens channels whose energy is above that of the other images of the batch, as if to discriminate."""
    return network(contrast, "gate of the fourteenth set", 0)
