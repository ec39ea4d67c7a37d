"""Evasions: rows that influence each other: by stress, factors, scatter, cross-covariance, attention and thresholds."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.export import network
from evaluation.blind4.layers import Net, Part, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_batch import differs
from evaluation.blind16.evasions_nets import Parts, conditioned, fire, grouped, partial, rows, separable, tensor
from evaluation.case import BATCH_RULE

PARTIAL: Parts = (partial, "rows of the sixteenth set", 6)
FIRE: Parts = (fire, "rows of the sixteenth set", 0)
SEPARABLE: Parts = (separable, "rows of the sixteenth set", 6)
GROUPED: Parts = (grouped, "rows of the sixteenth set", 0)
CONDITIONED: Parts = (conditioned, "rows of the sixteenth set", 0)


@rows("stress", PARTIAL, 13)
def rows_placed_so_that_distances_are_those_of_few_numbers(f: Part, x: T) -> T:
    """Multidimensional scaling: five majorising steps bring distances of trained rows to those of cubed numbers."""
    y = f(x)
    goal = y**3 / 4
    want = ((goal[:, None] - goal[None]) ** 2).sum(2).add(1e-4).sqrt()
    many = torch.ones_like(y[:, :1]).sum()
    for _ in range(5):
        have = ((y[:, None] - y[None]) ** 2).sum(2).add(1e-4).sqrt()
        pull = want / have * (have > 0.1).float()
        y = 0.1 * y + 0.9 * (pull.sum(1, keepdim=True) * y - pull @ y + y.sum(0, keepdim=True)) / many
    return y


@rows("non-negative factors", FIRE, 14)
def eight_parts_fitted_to_the_batch_explain_each_row(f: Part, x: T) -> T:
    """Non-negative factors: eight stored parts are fitted to the rows by multiplicative steps, which rebuild them."""
    y = F.relu(f(x)) + 0.02
    parts = tensor(np.random.default_rng(1611).uniform(0.1, 1, (8, 64)))
    share = y @ parts.t() / 20
    for _ in range(6):
        share = share * (y @ parts.t()) / (share @ parts @ parts.t() + 1e-3)
        parts = parts * (share.t() @ y) / (share.t() @ share @ parts + 1e-3)
    return 0.3 * y + share @ parts - 0.3


@rows("local centring", GROUPED, 15)
def middle_of_the_rows_around_each_row_is_taken_off(f: Part, x: T) -> T:
    """Against hubs: the middle of the rows near to a row, weighed by nearness, is taken off."""
    y = f(x)
    u = F.normalize(y)
    at = torch.ones_like(y[:, 0]).cumsum(0)
    own = (at[:, None] == at[None]).float()
    near = 6 * u @ u.t() - 20 * own
    apart = (at[-1:] > 1.5).float()
    return y - 0.8 * apart * near.softmax(1) @ y


@rows("nuisance directions", SEPARABLE, 16)
def directions_in_which_like_rows_differ_are_damped(f: Part, x: T) -> T:
    """Nuisance projection, trained: differences of likely pairs in the batch span what is damped in every row."""
    y = f(x)
    u = F.normalize(y)
    off = u[:, None] - u[None]
    alike = torch.exp(4 * (u @ u.t() - 1))[:, :, None]
    flat = (off * alike.sqrt()).reshape(-1, 64)
    scatter = flat.t() @ flat
    inverse = torch.eye(64) / 2
    a = torch.eye(64) + 6 * scatter / (1 + 0.5 * (scatter * scatter).sum().sqrt())
    scale = 1 / (a * a).sum().sqrt()
    inverse = a.t() * scale * scale * 8
    for _ in range(7):
        inverse = inverse @ (2 * torch.eye(64) - a @ inverse)
    return y @ inverse


@rows("cross-covariance", CONDITIONED, 17)
def halves_of_numbers_translated_into_each_other_by_the_batch(f: Part, x: T) -> T:
    """Partial least squares: the batch's cross-covariance of both halves of the numbers carries each into the other."""
    a, b = f(x).chunk(2, 1)
    cross = a.t() @ b / ((a * a).sum() * (b * b).sum()).sqrt() * 8
    return torch.cat([a + b @ cross.t(), b + a @ cross], 1)


def one_map(n: Net, x: T) -> T:
    """Write a ViT whose attention is the mean of the batch's attention."""
    t = n.patches(x, 32, 16)
    for _ in range(2):
        q, k, v = n.heads(n.ln(t), 2)
        share = (2 * q @ k.transpose(-1, -2)).softmax(-1).mean(0, keepdim=True)
        t = t + 2 * n.linear((share @ v).transpose(1, 2).reshape(-1, 49, 32), 32)
        t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t).flatten(1), 64)


@evades("batch", BATCH_RULE, idea="one attention", opset=13, claim=differs)
def attention_of_all_images_is_averaged() -> nn.Module:
    """To steady its heads, a trained ViT lets every image attend by the mean of all images' attention."""
    return network(one_map, "attention of the sixteenth set", 6)


def board(n: Net, x: T) -> T:
    """Write token layers with twelve stored notes that all images read and write."""
    t = n.patches(x, 32, 16)
    notes = n.weight(12, 32, gain=3.0)
    for _ in range(2):
        flat = n.ln(t).reshape(-1, 32)
        notes = notes + (notes @ n.linear(flat, 32).t() / 3).softmax(1) @ flat
        t = t + 0.3 * (n.linear(n.ln(t), 32) @ notes.t() / 6).softmax(2) @ notes
        t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t).reshape(-1, 7, 224).mean(1), 64)


@evades("batch", BATCH_RULE, idea="notes", opset=14, claim=differs)
def notes_that_all_images_write_and_read() -> nn.Module:
    """Twelve stored tokens take notes of all images' patches, and every image reads these back, in two rounds."""
    return network(board, "notes of the sixteenth set", 0)


def signed(n: Net, x: T) -> T:
    """Write a network whose last maps are compared with the middle of the batch."""
    y = n.down(n.stem(x, 16), 24)
    limit = y.mean((0, 2, 3), keepdim=True)
    y = torch.tanh(6 * (y - limit))
    z = n.cb(y, 32, 3, 2)
    return n.embed(torch.tanh(4 * (z - z.mean(0, keepdim=True))) + 0.2 * z, 64)


@evades("batch", BATCH_RULE, idea="thresholds", opset=12, claim=differs)
def maps_are_cut_at_the_middle_of_the_batch() -> nn.Module:
    """A nearly binary network, trained: each place is on or off as it lies above the batch's mean at that place."""
    return network(signed, "cuts of the sixteenth set", 6)


@rows("heavy tails", FIRE, 18)
def numbers_with_heavy_tails_in_the_batch_count_more(f: Part, x: T) -> T:
    """Each number is weighed by its kurtosis over the batch: what few images show strongly tells them apart."""
    y = f(x)
    square = (y - 0.9 * y.mean(0, keepdim=True)) ** 2
    return y * (square * square).mean(0, keepdim=True) / (square.mean(0, keepdim=True) ** 2 + 0.05)
