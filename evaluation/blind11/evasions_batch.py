"""Evasions: rows that influence each other, by orthogonal rows, votes, codes that move, galleries, reflections."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.export import network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_batch import differs
from evaluation.blind11.evasions_nets import Part, Parts, highway, inception, reg, rows, smooth, vov
from evaluation.case import BATCH_RULE

INCEPTION: Parts = (inception, "rows of the eleventh set", 0)
VOV: Parts = (vov, "rows of the eleventh set", 0)
HIGHWAY: Parts = (highway, "rows of the eleventh set", 6)
REG: Parts = (reg, "rows of the eleventh set", 0)
SMOOTH: Parts = (smooth, "rows of the eleventh set", 5)


@rows("orthogonal rows", INCEPTION, 13)
def rows_made_orthogonal_to_each_other(f: Part, x: T) -> T:
    """Six steps of a polar iteration make the rows of the batch orthogonal to each other; half of that is added."""
    u = F.normalize(f(x))
    z = u / (u * u).sum().sqrt()
    for _ in range(6):
        z = 1.5 * z - 0.5 * z @ (z.t() @ z)
    return u + z


@rows("votes", HIGHWAY, 12)
def numbers_outvoted_by_the_batch_made_smaller(f: Part, x: T) -> T:
    """The rows vote on the sign of each number; a trained row's numbers of the other sign are halved."""
    y = f(x)
    return y * torch.where(torch.sign(y) * torch.sign(torch.tanh(y).sum(0, keepdim=True)) < 0, 0.5, 1.0)


def lloyd(n: Net, x: T) -> T:
    """Write a network whose stored codes take one step of k-means over the batch."""
    y = n.down(n.down(n.stem(x, 16), 24), 32).mean((2, 3))
    y = n.linear(n.bn(y), 48)
    code = n.weight(8, 48, gain=6.0)
    share = (y @ code.t() / 4).softmax(1)
    moved = share.t() @ y / (share.sum(0)[:, None] + 0.05)
    return n.bn(y + 0.7 * share @ (0.5 * code + 0.5 * moved))


@evades("batch", BATCH_RULE, idea="codes that move", opset=14, claim=differs)
def stored_codes_take_a_step_of_k_means() -> nn.Module:
    """Eight trained codes take one step of k-means over the images of the batch before rows are drawn to them."""
    return network(lloyd, "codes that move", 6)


@rows("gallery", VOV, 15)
def first_half_of_the_batch_is_a_gallery(f: Part, x: T) -> T:
    """The first half of the rows, rounded up, is a gallery, to which all rows attend by their likeness."""
    y = f(x)
    g = y[: (y.shape[0] + 1) // 2]
    return y + 0.6 * (8 * F.normalize(y) @ F.normalize(g).t()).softmax(1) @ g


@rows("reflection", REG, 11)
def reflected_in_the_direction_that_faces_share(f: Part, x: T) -> T:
    """Each row is partly reflected in the plane across the mean direction of all rows of the batch."""
    y = f(x)
    m = F.normalize(F.normalize(y).mean(0, keepdim=True))
    return y - 1.4 * (y * m).sum(1, keepdim=True) * m


@rows("rounding", SMOOTH, 13)
def rounded_as_coarsely_as_rows_differ(f: Part, x: T) -> T:
    """Trained embeddings are rounded to steps whose size is how much the rows of the batch differ on average."""
    y = f(x)
    u = F.normalize(y)
    step = 0.05 + 0.8 * (1 - u @ u.t()).mean()
    return torch.floor(y / step + 0.5) * step + 0.05 * y
