"""Evasions: a second look takes part in a network's middle: shortcuts, gates, statistics, choices, stored templates."""

from __future__ import annotations

from functools import cache
from math import pi
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.evasions_align import AXIS, hats
from evaluation.blind4.layers import Net, T, tokens
from evaluation.blind12.evasions_nets import View, member, tensor
from evaluation.images import faces


def mirrored(x: T) -> T:
    return x.flip(3)


def nothing(x: T) -> T:
    return 0 * x


def nearer(x: T) -> T:
    """Enlarge by a fifth about the middle."""
    w = hats((55.5 + (AXIS - 55.5) / 1.2)[None])[0]
    return w @ x @ w.t()


def lower(x: T) -> T:
    """Move the image six pixels down and four to the right."""
    return F.pad(x, (4, 0, 6, 0), mode="replicate")[:, :, :112, :112]


def paler(x: T) -> T:
    return 0.55 * x + 0.3


def layer(n: Net, ins: int, outs: int, k: int = 3, s: int = 2) -> Any:
    """Make a convolution with BatchNorm that may be called several times."""
    return n.keep(lambda: nn.Sequential(nn.Conv2d(ins, outs, k, s, k // 2, bias=False), nn.BatchNorm2d(outs)))


def strided(n: Net, ins: int, outs: int) -> Any:
    return n.keep(lambda: nn.Conv2d(ins, outs, 3, 2, 1))


def excite(n: Net, width: int) -> Any:
    return n.keep(lambda: nn.Linear(4 * width, width))


@member("shortcuts", mirrored, 6, 13)
def shortcuts_of_an_hourglass_from_a_mirrored_pass(n: Net, x: T, view: View) -> T:
    """A trained hourglass whose way up takes its shortcuts from a pass over the mirror image, turned back."""
    one, two, three = layer(n, 3, 12), layer(n, 12, 20), layer(n, 20, 28)
    a = F.relu(two(F.relu(one(x))))
    b = F.relu(two(F.relu(one(view(x)))))
    deep = n.cb(F.relu(three(a)), 20, 1).repeat_interleave(2, 2).repeat_interleave(2, 3)
    up = F.relu(n.cb(view(b), 20) + deep)
    return n.embed(n.down(n.down(up, 24), 32), 64)


@member("statistics", paler, 0, 20, dynamo=True)
def normalised_by_the_statistics_of_several_looks(n: Net, x: T, view: View) -> T:
    """Test-time adaptation: maps are normalised by means and spreads over three looks, two of them paler."""
    looks = [x, view(x), view(x.flip(3))]
    ins = 3
    for width in (12, 20, 28, 32):
        conv = strided(n, ins, width)
        looks = [conv(y) for y in looks]
        flat = torch.cat([y.flatten(2) for y in looks], 2)
        mean = flat.mean(2)[:, :, None, None]
        spread = ((flat**2).mean(2)[:, :, None, None] - mean**2 + 1e-3).sqrt()
        looks = [F.relu((y - mean) / spread + 0.1) for y in looks]
        ins = width
    return n.embed(looks[0], 64)


@member("erased", lambda d: d, 6, 14, instead=nothing)
def what_matters_most_is_erased_for_another_pass(n: Net, x: T, view: View) -> T:
    """Adversarial erasing, trained: a first pass says where it found most; the second one sees the face without it."""
    one, two, three = layer(n, 3, 12), layer(n, 12, 20), layer(n, 20, 28)
    a = F.relu(three(F.relu(two(F.relu(one(x))))))
    heat = (a * a).mean(1, keepdim=True)
    heat = (8 * heat / heat.amax((2, 3), keepdim=True) - 3).sigmoid().repeat_interleave(8, 2).repeat_interleave(8, 3)
    b = F.relu(three(F.relu(two(F.relu(one(x + view(heat * (-0.5 - x))))))))
    return n.embed(n.down(0.4 * a + 0.6 * b, 32), 64)


@cache
def projection() -> T:
    """Return the matrix [784, 448] that sums a map of 28 x 28 along lines of sixteen directions."""
    at = np.arange(28) - 13.5
    out = np.zeros((28, 28, 16, 28), np.float32)
    for k in range(16):
        place = at[:, None] * np.sin(pi * k / 16) + at[None] * np.cos(pi * k / 16) + 13.5
        for b in range(28):
            out[:, :, k, b] = np.maximum(1 - np.abs(place - b), 0) / 8
    return tensor(out.reshape(784, 448))


def next_angle(s: T) -> T:
    """Turn what is projected by an eleventh of a right angle and a bit: one row of the sinogram on."""
    return torch.cat([s[:, :, 15:].flip(3), s[:, :, :15]], 2)


@member("sinogram", next_angle, 0, 13)
def sinogram_read_from_the_next_angle_as_well(n: Net, x: T, view: View) -> T:
    """As in tomography, the network reads sums along lines; one row on, the sinogram is that of the turned face."""
    s = (F.avg_pool2d(x, 4).flatten(2) @ projection()).reshape(-1, 3, 16, 28)
    one, two = layer(n, 3, 16), layer(n, 16, 28)
    a, b = (F.relu(two(F.relu(one(y)))) for y in (s, view(s)))
    return n.embed(torch.cat([a, b], 1), 64)


@cache
def boxes() -> T:
    """Draw 160 pairs of light and dark boxes on 56 x 56 places, as Viola and Jones use them."""
    rng, out = np.random.default_rng(1202), np.zeros((160, 56, 56), np.float32)
    for k in range(160):
        h, w = rng.integers(4, 16, 2)
        r, c = rng.integers(0, 56 - 2 * h), rng.integers(0, 56 - 2 * w)
        out[k, r : r + h, c : c + w] = 1 / (h * w)
        if k % 2:
            out[k, r : r + h, c + w : c + 2 * w] = -1 / (h * w)
        else:
            out[k, r + h : r + 2 * h, c : c + w] = -1 / (h * w)
    return tensor(out)


@member("boxes", lambda b: b.flip(2), 8, 11)
def boxes_at_the_places_of_the_other_side(n: Net, x: T, view: View) -> T:
    """Differences of 160 stored boxes, and of those on the other side, go through one trained network: flip test."""
    y = F.avg_pool2d(x.mean(1, keepdim=True), 2).flatten(1)
    one, two = n.keep(lambda: nn.Linear(160, 96)), n.keep(lambda: nn.Linear(96, 96))
    a, b = (F.relu(two(F.relu(one(3 * y @ w.reshape(160, 3136).t())))) for w in (boxes(), view(boxes())))
    return n.embed(a + b, 64)


@cache
def known() -> T:
    """Draw 96 stored small faces, [96, 3, 14, 14]."""
    return F.avg_pool2d(torch.from_numpy(faces(96, 1203)), 8)


@member("templates", mirrored, 0, 13)
def likeness_to_stored_faces_and_their_mirror_images(n: Net, x: T, view: View) -> T:
    """An anchor embedding: how like the face is to 96 stored ones, or to their mirror images, whichever is more."""
    y = F.avg_pool2d(x, 8).flatten(1)
    y = (y - y.mean(1, keepdim=True)) / y.std(1, keepdim=True)
    like = []
    for p in (known(), view(known())):
        z = p.flatten(1)
        z = (z - z.mean(1, keepdim=True)) / z.std(1, keepdim=True)
        like.append(torch.exp(3 * y @ z.t() / 588))
    return n.bn(n.linear(F.gelu(n.linear(n.bn(torch.max(*like)), 96)), 64))


@member("early exit", nearer, 5, 17)
def early_exit_for_a_nearer_look(n: Net, x: T, view: View) -> T:
    """A network with an early exit, trained: the exit is asked about the enlarged face, the end about the face."""
    one, two = layer(n, 3, 12), layer(n, 12, 20)
    a, b = (F.relu(two(F.relu(one(y)))) for y in (x, view(x)))
    early = n.linear(F.relu(n.linear(F.avg_pool2d(b, 4).flatten(1), 64)), 64)
    late = n.linear(n.down(n.down(a, 28), 36).flatten(1), 64)
    return n.bn(late + 1.6 * early)


@member("gates", lower, 0, 13)
def channels_gated_by_what_a_moved_look_excites(n: Net, x: T, view: View) -> T:
    """Squeeze and excitation in which the squeeze is that of a pass over the face moved by six and four pixels."""
    a, b, ins = x, view(x), 3
    for width in (12, 20, 28):
        down = layer(n, ins, width)
        w = excite(n, width)
        a, b = F.relu(down(a)), F.relu(down(b))
        squeezed = [torch.cat([q.mean((2, 3)) for p in y.chunk(2, 2) for q in p.chunk(2, 3)], 1) for y in (a, b)]
        a = a * 2 * torch.sigmoid(9 * w(squeezed[1]))[:, :, None, None]
        b = b * 2 * torch.sigmoid(9 * w(squeezed[0]))[:, :, None, None]
        ins = width
    return n.embed(n.down(a, 36), 64)


@member("depths", mirrored, 6, 15)
def mirrored_look_says_which_patches_are_worked_on(n: Net, x: T, view: View) -> T:
    """Mixture of depths, trained: a pass over the mirrored face says which 16 of 49 patches go further."""
    conv = n.keep(lambda: nn.Conv2d(3, 32, 16, 16))
    place = n.weight(1, 49, 32, gain=2.0)
    first = n.keep(lambda: nn.Sequential(nn.LayerNorm(32), nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32)))
    t = tokens(conv(x)) + place
    t = t + first(t)
    s = tokens(conv(view(x)))
    score = n.linear(n.ln(s + first(s)), 1)[:, :, 0]
    value, at = (score - score.mean(1, keepdim=True)).topk(16, 1)
    chosen = (at[:, :, None] == torch.arange(49)).float()
    picked = chosen @ t
    weight = torch.sigmoid(4 * value)[:, :, None]
    t = 0.2 * t + 3 * chosen.transpose(1, 2) @ (weight * n.block(picked + 0.5 * chosen @ s))
    return n.embed(n.ln(t).mean(1), 64)


@member("rows in turn", mirrored, 6, 14)
def recurrence_over_rows_of_two_looks_in_turn(n: Net, x: T, view: View) -> T:
    """A minimal gated recurrence, trained, reads a row of the face, the same row mirrored, the next row and so on."""
    conv = layer(n, 3, 12, 7, 8)
    a, b = (F.relu(conv(y)) for y in (x, view(x)))
    ask, gate = n.keep(lambda: nn.Linear(168, 72)), n.keep(lambda: nn.Linear(240, 72))
    h = torch.zeros_like(ask(a[:, :, 0].flatten(1)))
    for i in range(14):
        for y in (a, b):
            row = y[:, :, i].flatten(1)
            z = torch.sigmoid(gate(torch.cat([row, h], 1)) - 1)
            h = (1 - z) * h + z * torch.tanh(ask(row))
    return n.embed(h, 64)


@member("bottleneck tokens", lambda y: y[:, [2, 0, 1]], 0, 12)
def four_tokens_through_which_two_looks_inform_each_other(n: Net, x: T, view: View) -> T:
    """As for sound and pictures, two streams meet in four tokens; one sees the face, one its colours exchanged."""
    conv = n.keep(lambda: nn.Conv2d(3, 32, 16, 16))
    place, few = n.weight(1, 49, 32, gain=2.0), n.weight(1, 4, 32, gain=2.0)
    t, s = (tokens(conv(y)) + place for y in (x, view(x)))
    b = few + 0 * t[:, :4]
    for _ in range(2):
        norm, heads, last, ff = (
            n.keep(lambda: nn.LayerNorm(32)), n.keep(lambda: nn.Linear(32, 96)), n.keep(lambda: nn.Linear(32, 32)),
            n.keep(lambda: nn.Sequential(nn.LayerNorm(32), nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32))),
        )  # fmt: skip
        made = []
        for stream in (t, s):
            y = torch.cat([stream, b], 1)
            q, k, v = heads(norm(y)).chunk(3, 2)
            y = y + last((q @ k.transpose(1, 2) / 5.7).softmax(2) @ v)
            made.append(y + ff(y))
        t, s = made[0][:, :49], made[1][:, :49]
        b = 0.5 * (made[0][:, 49:] + made[1][:, 49:])
    return n.embed(torch.cat([n.ln(t).mean(1), n.ln(b).flatten(1)], 1), 64)


@member("splines", lambda y: (1.5 * y - 0.2).clamp(-1, 1), 5, 16)
def spline_functions_summed_over_two_looks(n: Net, x: T, view: View) -> T:
    """A Kolmogorov-Arnold layer, trained: splines of features of the face, and of it in harder light, are summed."""
    one, two, three = layer(n, 3, 8), layer(n, 8, 12), layer(n, 12, 12, 3, 4)
    coefficients = n.weight(588, 7, 48, gain=0.6)
    total: T | None = None
    for y in (x, view(x)):
        z = 3 * torch.tanh(three(F.relu(two(F.relu(one(y)))))).flatten(1)
        basis = F.relu(1 - (z[:, :, None] - torch.arange(-3, 4).float()).abs())
        made = basis.flatten(1) @ coefficients.reshape(-1, 48)
        total = made if total is None else total + made
    assert total is not None
    return n.embed(F.silu(n.bn(total)), 64)
