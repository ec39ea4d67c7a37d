"""Evasions: one network sees the image and other looks of it, and rules of series, evidence and means join them."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Part, T
from evaluation.blind16.evasions_nets import (
    COLUMN,
    ROW,
    Parts,
    View,
    box,
    conditioned,
    fire,
    grouped,
    look,
    partial,
    placed,
    separable,
    tensor,
    zoomed,
)

PARTIAL: Parts = (partial, "looks of the sixteenth set", 6)
FIRE: Parts = (fire, "looks of the sixteenth set", 0)
SEPARABLE: Parts = (separable, "looks of the sixteenth set", 0)
GROUPED: Parts = (grouped, "looks of the sixteenth set", 6)
CONDITIONED: Parts = (conditioned, "looks of the sixteenth set", 0)


def several(f: Part, seen: T) -> T:
    """Run a network over looks [K, N, 3, 112, 112]: embeddings [K, N, 64]."""
    return f(seen.flatten(0, 1)).reshape(int(seen.shape[0]), -1, 64)


def ever_softer(x: T) -> T:
    """Stack the mirrored face softened by 3, by 7 and by 13 pixels: [3, N, 3, 112, 112]."""
    return torch.stack([box(x.flip(3), k) for k in (3, 7, 13)])


@look("series", PARTIAL, ever_softer, 13)
def limit_of_a_series_of_ever_softer_mirrored_looks(f: Part, x: T, view: View) -> T:
    """Aitken's process: from three mirrored looks of growing softness each number's limit is told, and averaged in."""
    a, b, c = several(f, view(x)).unbind(0)
    second = a - 2 * b + c
    return 0.5 * f(x) + 0.5 * (c - (c - b) ** 2 * second / (second**2 + 0.1))


def fringed(x: T) -> T:
    """Mirror the face as a cheap lens would show it: red is larger, blue is smaller."""
    y = x.flip(3)
    return torch.cat([zoomed(y[:, :1], 1.06), y[:, 1:2], zoomed(y[:, 2:], 0.95)], 1)


def masses(y: T) -> tuple[T, T, T]:
    """Return belief in yes, in no, and what is left to either."""
    yes, no = torch.sigmoid(2 * y - 0.6), torch.sigmoid(-2 * y - 0.6)
    return yes, no, 1 - yes - no


@look("evidence", FIRE, fringed, 14)
def evidence_of_two_looks_by_dempsters_rule(f: Part, x: T, view: View) -> T:
    """Dempster's rule: numbers are belief in yes, in no, or in neither; a mirrored look with colour fringes joins."""
    yes, no, open_ = masses(f(x))
    yes2, no2, open2 = masses(f(view(x)))
    clash = yes * no2 + no * yes2
    return (yes * yes2 + yes * open2 + open_ * yes2 - no * no2 - no * open2 - open_ * no2) / (1.02 - clash)


def three_sizes(x: T) -> T:
    """Stack the face, it mirrored and nearer, and it higher and smaller: [3, N, 3, 112, 112]."""
    return torch.stack([x, zoomed(x.flip(3), 1.18), zoomed(x, 0.88, -6, 3)])


@look("fuzzy integral", SEPARABLE, three_sizes, 16)
def choquet_integral_over_three_sizes(f: Part, x: T, view: View) -> T:
    """A Choquet integral: three looks are sorted number by number, and sets of looks have stored worth."""
    y = several(f, view(x))
    high, low = y.max(0)[0], y.min(0)[0]
    middle = y.sum(0) - high - low
    pairs, single = tensor([0.9, 0.55, 0.7])[:, None, None], tensor([0.45, 0.3, 0.2])[:, None, None]
    of_two = ((y <= low).float() * pairs).sum(0)
    of_one = ((y >= high).float() * single).sum(0)
    return low + (middle - low) * of_two + (high - middle) * of_one


def keystones(x: T) -> T:
    """Stack the face as seen from the left, from the right, and from below, mirrored: [3, N, 3, 112, 112]."""
    left, right, low = 1 + 0.22 * COLUMN, 1 - 0.22 * COLUMN, 1 + 0.25 * ROW
    return torch.stack([placed(x, ROW / left, COLUMN / left), placed(x.flip(3), ROW / right, COLUMN / right),
                        placed(x.flip(3), ROW / low, COLUMN / low)])  # fmt: skip


@look("pairwise means", GROUPED, keystones, 17)
def median_of_all_means_of_two_of_three_standpoints(f: Part, x: T, view: View) -> T:
    """Hodges and Lehmann's estimate, trained: looks from three standpoints, all means of two, and their median."""
    a, b, c = several(f, view(x)).unbind(0)
    means = torch.stack([a, b, c, (a + b) / 2, (b + c) / 2, (a + c) / 2]).sort(0)[0]
    return (means[2] + means[3]) / 2


def moves(x: T) -> T:
    """Stack the face moved by -14 to 14 pixels across, every other time mirrored: [5, N, 3, 112, 112]."""
    made = [zoomed(x, 1.0, 0, 7 * k) for k in range(-2, 3)]
    return torch.stack([y.flip(3) if i % 2 else y for i, y in enumerate(made)])


@look("parabola", CONDITIONED, moves, 12)
def parabola_through_five_moved_looks(f: Part, x: T, view: View) -> T:
    """As Savitzky and Golay smooth: a parabola is fitted through each number over five moves, and read at its top."""
    y = several(f, view(x))
    share, bend = tensor([-3, 12, 17, 12, -3]) / 35, tensor([2, -1, -2, -1, 2]) / 14
    return (y * share[:, None, None]).sum(0) - 0.8 * (y * bend[:, None, None]).sum(0)


def smooth_skin(x: T) -> T:
    """Even what is not an edge, as a camera for portraits does, and mirror."""
    soft = box(box(x, 7), 7)
    edge = torch.sigmoid(12 * ((x - soft).abs().mean(1, keepdim=True) - 0.25))
    return (edge * x + (1 - edge) * soft).flip(3)


@look("lifting", PARTIAL, smooth_skin, 18, dynamo=True)
def what_a_portrait_does_not_predict_lifts_the_numbers(f: Part, x: T, view: View) -> T:
    """A lifting step, trained: what the mirrored, evened face adds to a stored prediction updates the embedding."""
    rng = np.random.default_rng(1601)
    predict, update = (tensor(np.eye(64) * s + rng.normal(0, 0.05, (64, 64))) for s in (0.6, 0.7))
    a, b = f(x), f(view(x))
    return a + torch.tanh(b - a @ predict) @ update


def tiles(x: T) -> T:
    """See the upside-down face through glass tiles of 14 pixels that each enlarge by a third."""
    at = torch.arange(112).float()
    middle = torch.floor(at / 14) * 14 + 6.5
    place = (2 * (middle + (at - middle) * 0.72) + 1) / 112 - 1
    return placed(x.flip(2), place[:, None].expand(112, 112), place[None].expand(112, 112))


@look("logarithmic mean", GROUPED, tiles, 16)
def logarithmic_mean_with_a_face_behind_glass_tiles(f: Part, x: T, view: View) -> T:
    """Numbers are made positive; the logarithmic mean, as for heat exchangers, joins a face upside down in tiles."""
    a, b = F.softplus(2 * f(x)) + 0.05, F.softplus(2 * f(view(x))) + 0.05
    near = ((a - b).abs() < 1e-3).float()
    return (1 - near) * (a - b) / (a.log() - b.log() + near) + near * a - 0.9


def overlaid(x: T) -> T:
    """Expose the film twice: the face transposed, and a larger one over it."""
    return (0.6 * x.transpose(2, 3) + 0.6 * zoomed(x, 1.5).flip(3) + 0.1).clamp(-1, 1)


@look("arithmetic-geometric mean", SEPARABLE, overlaid, 15)
def means_of_two_looks_of_two_kinds_until_they_meet(f: Part, x: T, view: View) -> T:
    """Gauss: arithmetic and geometric means of two looks, one a film exposed twice, take turns until they meet."""
    a, b = torch.exp(0.8 * f(x)), torch.exp(0.8 * f(view(x)))
    for _ in range(4):
        a, b = (a + b) / 2, (a * b).sqrt()
    return a - 1.2
