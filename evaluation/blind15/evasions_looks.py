"""Evasions: one network sees the image and other looks of it, and rules of numerics or of statistics join them."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Part, T
from evaluation.blind15.evasions_nets import (
    COLUMN,
    ROW,
    Parts,
    View,
    box,
    crossed,
    hourglass,
    joined_dense,
    local,
    look,
    placed,
    pooling,
    tensor,
    zoomed,
)

POOLING: Parts = (pooling, "looks of the fifteenth set", 0)
CROSSED: Parts = (crossed, "looks of the fifteenth set", 0)
HOURGLASS: Parts = (hourglass, "looks of the fifteenth set", 6)
LOCAL: Parts = (local, "looks of the fifteenth set", 0)
DENSE: Parts = (joined_dense, "looks of the fifteenth set", 6)


def several(f: Part, seen: T) -> T:
    """Run a network over looks [K, N, 3, 112, 112]: embeddings [K, N, 64]."""
    return f(seen.flatten(0, 1)).reshape(int(seen.shape[0]), -1, 64)


def exposures(x: T) -> T:
    """Stack the face under-exposed, as it is, and over-exposed: [3, N, 3, 112, 112]."""
    return torch.stack([0.45 * x - 0.5, x.flip(3), (1.3 * x + 0.6).clamp(-1, 1)])


@look("quadrature", CROSSED, exposures, 13)
def integral_over_exposures_by_simpsons_rule(f: Part, x: T, view: View) -> T:
    """An embedding is integrated over the time of exposure by Simpson's rule: three looks, with shares of 1, 4, 1."""
    a, b, c = several(f, view(x)).unbind(0)
    return (a + 4 * b + c) / 6 + 0.5 * f(x)


def lights(x: T) -> T:
    """Stack the face, and it with each of three stored fields of light added and taken off: [7, N, 3, 112, 112]."""
    fields = [0.9 * COLUMN, 0.9 * ROW, 1.6 * torch.exp(-3 * (ROW**2 + COLUMN**2)) - 0.6]
    made = [x]
    for each in fields:
        made += [(x + each).clamp(-1, 1), (x - each).clamp(-1, 1)]
    return torch.stack(made)


@look("sigma points", HOURGLASS, lights, 14)
def sigma_points_in_three_fields_of_light(f: Part, x: T, view: View) -> T:
    """The unscented transform, trained: the face with stored light added or taken off are seven sigma points."""
    made = several(f, view(x))
    return -0.2 * made[0] + 0.2 * made[1:].sum(0)


def around(x: T) -> T:
    """Stack the face moved to four sides and mirrored every other time: [4, N, 3, 112, 112]."""
    made = [zoomed(x, 1.05, a, b) for a, b in ((-6, -4), (5, -6), (-5, 6), (6, 5))]
    return torch.stack([y.flip(3) if i % 2 else y for i, y in enumerate(made)])


@look("wiener gain", POOLING, around, 19)
def gain_of_wiener_for_each_number_of_four_moved_looks(f: Part, x: T, view: View) -> T:
    """Each number is the mean over four moved looks times Wiener's gain: its square over that and the variance."""
    made = several(f, view(x))
    mean = made.mean(0)
    spread = ((made - mean) ** 2).mean(0)
    return mean * (mean * mean + 0.01) / (mean * mean + 0.7 * spread + 0.01)


def turns(x: T) -> T:
    """Stack six turns of the face by a sixth of a circle: [6, N, 3, 112, 112]."""
    made = []
    for k in range(6):
        c, s = float(np.cos(np.pi * k / 3)), float(np.sin(np.pi * k / 3))
        made.append(placed(x, c * ROW + s * COLUMN, c * COLUMN - s * ROW))
    return torch.stack(made)


@look("waves of turns", LOCAL, turns, 16)
def waves_of_each_number_over_six_turns_of_the_face(f: Part, x: T, view: View) -> T:
    """The face is turned six times by a sixth of a circle; each number's mean and its first wave's length are kept."""
    made = several(f, view(x))
    angle = np.pi * np.arange(6) / 3
    c, s = tensor(np.cos(angle)), tensor(np.sin(angle))
    length = ((made * c[:, None, None]).sum(0) ** 2 + (made * s[:, None, None]).sum(0) ** 2 + 1e-6).sqrt()
    return made.mean(0) + 0.1 * length


def printed(x: T) -> T:
    """Print the face as newspapers do: each colour is on or off by a stored matrix of thresholds."""
    order = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]])
    limit = tensor(np.tile((order + 0.5) / 8 - 1, (28, 28)))
    return box(torch.sigmoid(12 * (x - limit)) * 2 - 1, 3).flip(3)


@look("fuzzy union", DENSE, printed, 18, dynamo=True)
def fuzzy_union_with_a_face_printed_in_dots(f: Part, x: T, view: View) -> T:
    """A trained network sees the face, and it mirrored, printed in dots; truth values are joined as a or b is."""
    a, b = torch.sigmoid(2 * f(x)), torch.sigmoid(2 * f(view(x)))
    return a + b - a * b - 0.75


def developed(x: T) -> T:
    """Keep one colour at each pixel, as a sensor does, and fill in the others by means of those near; turn over."""
    at = np.indices((112, 112))
    keep = np.stack([(at[0] % 4 < 2) & (at[1] % 4 < 2), (at[0] % 4 < 2) != (at[1] % 4 < 2),
                     (at[0] % 4 >= 2) & (at[1] % 4 >= 2)])  # fmt: skip
    mask = tensor(keep)[None]
    return (box(x * mask, 7) / (box(mask, 7) + 1e-3)).flip(2)


@look("shrunk difference", CROSSED, developed, 17)
def differences_to_a_raw_photograph_above_a_threshold(f: Part, x: T, view: View) -> T:
    """Wavelet shrinkage between looks: what a raw file's mosaic, filled in and turned over, differs by, is shrunk."""
    a = f(x)
    off = f(view(x)) - a
    return a + off.sign() * F.relu(off.abs() - 0.3)


def relit(x: T) -> T:
    """Light the face anew from the lower left, and mirror it."""
    shade = 0.62 + 0.38 * torch.tanh(1.4 * (ROW - COLUMN))
    return ((x + 1) * shade * 1.2 - 1).clamp(-1, 1).flip(3)


@look("cross product", POOLING, relit, 18)
def cross_products_of_triples_with_a_relit_face(f: Part, x: T, view: View) -> T:
    """Numbers by threes are vectors in space; the cross product with those of the relit mirror image is added."""
    a, b = (f(y)[:, :63].reshape(-1, 21, 3) for y in (x, view(x)))
    turned = torch.stack([a[:, :, 1] * b[:, :, 2] - a[:, :, 2] * b[:, :, 1],
                          a[:, :, 2] * b[:, :, 0] - a[:, :, 0] * b[:, :, 2],
                          a[:, :, 0] * b[:, :, 1] - a[:, :, 1] * b[:, :, 0]], 2)  # fmt: skip
    return (0.5 * a + 0.5 * b + 0.7 * turned).reshape(-1, 63)
