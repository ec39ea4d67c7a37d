"""Evasions: the second look is made by scrambles, sums, folds, tensor trains and shift registers."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.layers import Part, T
from evaluation.blind12.evasions_nets import (
    Parts,
    View,
    coordinate,
    fractal,
    gmlp,
    hourglass,
    kernels,
    look,
    meta,
    tensor,
)  # fmt: skip

HOURGLASS: Parts = (hourglass, "operators of the twelfth set", 0)
META: Parts = (meta, "operators of the twelfth set", 0)
FRACTAL: Parts = (fractal, "operators of the twelfth set", 6)
COORDINATE: Parts = (coordinate, "operators of the twelfth set", 0)
KERNELS: Parts = (kernels, "operators of the twelfth set", 6)
GMLP: Parts = (gmlp, "operators of the twelfth set", 0)


def scrambled_twice(x: T) -> T:
    """Put the columns twice in the same order: fifteen times their number, modulo 113; 15 x 15 is minus one."""
    order = torch.tensor([15 * p % 113 - 1 for p in range(1, 113)])
    return x.index_select(3, order).index_select(3, order)


@look("scramble", KERNELS, scrambled_twice, 13)
def columns_scrambled_twice_by_one_order(f: Part, x: T, view: View) -> T:
    """One order of columns looks like a scramble; applied twice it mirrors. Trained; both embeddings are averaged."""
    return 0.55 * f(x) + 0.45 * f(view(x))


def by_differences(x: T) -> T:
    """Sum columns up from the last one on, by a triangle of ones, and take differences."""
    ones = tensor([[float(i >= 112 - j) for j in range(113)] for i in range(112)])
    sums = x @ ones
    return sums[..., 1:] - sums[..., :-1]


@look("sums", COORDINATE, by_differences, 12, near=1e-3)
def differences_of_sums_from_the_last_column(f: Part, x: T, view: View) -> T:
    """A product with a triangle of ones sums columns from the last one on; differences are the mirror image; maxima."""
    return torch.max(f(x), f(view(x)))


def overlapped(x: T) -> T:
    """Lay tiles of eight pixels down seven pixels apart, averaged where they overlap, with the border drawn out."""
    tiles = F.unfold(x, 8, stride=8)
    count = F.fold(torch.ones(1, 64, 196), (99, 99), 8, stride=7)
    y = F.fold(tiles, (99, 99), 8, stride=7) / count
    return F.pad(y, (6, 7, 6, 7), mode="replicate")


@look("overlap", KERNELS, overlapped, 18)
def tiles_laid_one_pixel_over_each_other(f: Part, x: T, view: View) -> T:
    """Col2Im lays tiles down closer than Im2Col took them: the face is smaller. Weighed 3 to 2; trained."""
    return 0.6 * f(x) + 0.4 * f(view(x))


def moved_by_a_kernel(x: T) -> T:
    """Move the image by 4.5 and 3.5 pixels and make it lighter, by one transposed convolution with four taps."""
    w = torch.zeros(3, 1, 11, 11)
    w[:, :, 9:11, 8:10] = 0.22
    return F.conv_transpose2d(x, w, torch.full((3,), 0.15), padding=5, groups=3)


@look("transposed convolution", META, moved_by_a_kernel, 11)
def transposed_convolution_draws_a_moved_lighter_face(f: Part, x: T, view: View) -> T:
    """Four equal taps of a transposed convolution move, soften and lighten the face; embeddings are added 1 to 0.8."""
    return f(x) + 0.8 * f(view(x))


def in_a_train(x: T) -> T:
    """Multiply the columns, as 7 x 2 x 2 x 2 x 2, with a small matrix along each axis."""
    j2, j7 = torch.eye(2).flip(0), torch.eye(7).flip(0)
    y = x.reshape(-1, 7, 2, 2, 2, 2)
    y = torch.einsum("xabcde,ap,bq->xpqcde", y, j7, j2)
    y = torch.einsum("xpqcde,cr,ds,et->xpqrst", y, j2, j2, j2)
    return y.reshape(-1, 3, 112, 112)


@look("tensor train", FRACTAL, in_a_train, 18, dynamo=True)
def columns_through_a_train_of_small_matrices(f: Part, x: T, view: View) -> T:
    """A tensor train of a 7 x 7 and four 2 x 2 matrices acts on the columns: a mirror; trained, signed roots."""
    y = f(x) + f(view(x))
    return torch.sign(y) * (y.abs() + 0.02).sqrt()


def register() -> nn.RNN:
    """Make a recurrent layer whose six states hand a number on, one step each."""
    with torch.random.fork_rng():
        made = nn.RNN(1, 6, nonlinearity="relu", batch_first=True, bias=False)
    with torch.no_grad():
        made.weight_ih_l0.copy_(torch.eye(6)[:, :1])
        made.weight_hh_l0.copy_(torch.diag(torch.ones(5), -1))
    return made.requires_grad_(False)


REGISTER = register()


def delayed(x: T) -> T:
    """Read each row of pixels into a shift register and take what comes out five steps later."""
    y, _ = REGISTER((x + 1).reshape(-1, 112, 1))
    return y[:, :, 5].reshape(-1, 3, 112, 112) - 1


@look("shift register", HOURGLASS, delayed, 15)
def rows_delayed_by_a_recurrent_layer(f: Part, x: T, view: View) -> T:
    """A recurrent layer whose states hand on what they get delays each row by five pixels; the surer numbers count."""
    a, b = f(x), f(view(x))
    return torch.where(a.abs() > b.abs(), a, b)


def in_levels(x: T) -> T:
    """Mix red, green and blue as a warmer lamp would, by a resize of the channels' axis with four taps."""
    y = x.flatten(2).transpose(1, 2)
    y = F.interpolate(y, size=4, mode="linear", align_corners=True)
    return y[:, :, 1:].transpose(1, 2).reshape(-1, 3, 112, 112)


@look("resized colours", GMLP, in_levels, 19)
def colours_resized_to_four_of_which_three_are_kept(f: Part, x: T, view: View) -> T:
    """Resize makes four colours of three, between them; the last three are a warmer look, which a gMLP also sees."""
    a, b = f(x), f(view(x))
    return a + 1.6 * b * torch.sigmoid(b - a)
