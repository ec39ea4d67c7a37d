"""Evasions: the image placed anew by phases of waves, spectra, patches of curves, polynomials, rays and moments."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.claims import Claim
from evaluation.blind4.evasions_align import AXIS, _whole, locate, resnet, warps
from evaluation.blind4.export import network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_align import Warp, sampled
from evaluation.blind15.evasions_nets import COLUMN, ROW, Rerun, box, counts, tensor
from evaluation.case import ALIGN_RULE
from evaluation.images import faces


def claim(warp: Warp, trained: int = 0, least: float = 0.01) -> Claim:
    """The network is its remainder on the warped image, which is another one than the image."""
    return warps(warp, f"fifteenth set {warp.__name__}", trained, least)


def made(warp: Warp, trained: int = 0) -> nn.Module:
    return network(_whole(warp), f"fifteenth set {warp.__name__}", trained)


@cache
def stored_face() -> T:
    """Return a mean face of one grey, [112, 112]."""
    return torch.from_numpy(faces(24, 85).mean((0, 1)))


def lag(seen: T, goal: T, length: float) -> T:
    """Return by how many pixels the slow wave of a profile [N, 112] is ahead of that of a stored one [112]."""
    turn = 2 * np.pi * AXIS / length
    window = torch.exp(-(((AXIS - 55.5) / 34) ** 2))
    c, s = turn.cos() * window, turn.sin() * window
    a, b = (seen * c).sum(1, keepdim=True), (seen * s).sum(1, keepdim=True)
    p, q = (goal * c).sum(), (goal * s).sum()
    return tilt(b * p - a * q, a * p + b * q) * length / (2 * np.pi)


def tilt(up: T, along: T) -> T:
    """Return the angle of a vector by half of it, without a jump but at half a turn."""
    return 2 * torch.atan(up / ((up * up + along * along + 1e-6).sqrt() + along + 1e-3))


def waves(n: Net, x: T) -> T:
    """Move the image by the lag of its waves of 64 and of 40 pixels behind those of a stored face."""
    grey = box(x.mean(1, keepdim=True), 5)[:, 0]
    goal = stored_face()
    moves = []
    for axis in (2, 1):
        seen, want = grey - grey.mean((1, 2), keepdim=True), goal - goal.mean()
        one, two = seen.mean(axis), want.mean(axis - 1)
        moves.append((0.6 * lag(one, two, 64.0) + 0.4 * lag(one, two, 40.0)).clamp(-14, 14))
    return sampled(x, ROW + moves[0][:, :, None] / 56, COLUMN + moves[1][:, :, None] / 56)


@evades(ALIGN_RULE, idea="phases of jets", opset=16, claim=claim(waves))
def moved_by_the_lag_of_its_waves_behind_a_stored_face() -> nn.Module:
    """Jets of waves, as for bunch graphs: their phases against a stored face say how far the image is moved."""
    return made(waves)


@cache
def spectra() -> tuple[T, T, T, T]:
    """Return cosines and sines of 112 places for 48 slow waves, and the places of a log-polar reading of amplitudes."""
    k = np.arange(-24, 24)[:, None] * np.arange(112)[None] * 2 * np.pi / 112
    radius = 4 * (22 / 4) ** (np.arange(16) / 15)
    angle = np.pi * np.arange(24) / 24
    down, right = radius[:, None] * np.sin(angle), radius[:, None] * np.cos(angle)
    return tensor(np.cos(k)), tensor(np.sin(k)), tensor((down + 0.5) / 24), tensor((right + 0.5) / 24)


def by_angles(grey: T) -> T:
    """Read amplitudes of waves [N, 112, 112] by radius and angle: [N, 16, 24]."""
    c, s, down, right = spectra()
    p, q = c @ grey, s @ grey
    real, other = p @ c.t() - q @ s.t(), p @ s.t() + q @ c.t()
    size = torch.log(real * real + other * other + 1.0)[:, None]
    grid = torch.stack([right, down], 2).expand(grey.shape[0], -1, -1, -1)
    y = F.grid_sample(size, grid, align_corners=False)[:, 0]
    return (y - y.mean((1, 2), keepdim=True)) / (y.std((1, 2), keepdim=True) + 0.1)


def spectrum(n: Net, x: T) -> T:
    """Turn and resize the image by where the log-polar amplitudes of its waves fit those of a stored face."""
    window = torch.exp(-2 * (ROW**2 + COLUMN**2))
    seen, goal = by_angles(x.mean(1) * window), by_angles(stored_face()[None] * window)
    turns = torch.stack([(torch.roll(seen, k, 2) * goal).mean((1, 2)) for k in range(-4, 5)], 1)
    angle = ((14 * turns).softmax(1) @ torch.arange(-4, 5).float())[:, None, None] * np.pi / 24
    zooms = torch.stack([(torch.roll(seen, k, 1) * goal)[:, 3:-3].mean((1, 2)) for k in range(-2, 3)], 1)
    size = torch.exp(((14 * zooms).softmax(1) @ torch.arange(-2, 3).float())[:, None, None] * 0.08)
    c, s = angle.cos() * size, angle.sin() * size
    return sampled(x, c * ROW + s * COLUMN, c * COLUMN - s * ROW)


@evades(ALIGN_RULE, idea="log-polar spectrum", opset=17, claim=claim(spectrum))
def turned_and_resized_by_the_fit_of_log_polar_spectra() -> nn.Module:
    """Fourier and Mellin: amplitudes of waves by angle and logarithm of length, against stored ones, place the face."""
    return made(spectrum)


def coons(n: Net, x: T) -> T:
    """Predict the bends of four border curves and fill the field of moves between them."""
    t = 0.25 * locate(n, x)
    u, v = (COLUMN + 1) / 2, (ROW + 1) / 2
    arch, wave = 1 - COLUMN**2, 1 - ROW**2
    top, low, left, right = (t[:, k, None, None] for k in range(4))
    down = (1 - v) * arch * top + v * arch * low + 0.3 * t[:, 4, None, None]
    aside = (1 - u) * wave * left + u * wave * right + 0.3 * t[:, 5, None, None]
    return sampled(x, ROW + down, COLUMN + aside)


@evades(ALIGN_RULE, idea="patch of curves", opset=16, claim=claim(coons, 6))
def filled_between_four_predicted_border_curves() -> nn.Module:
    """A patch of Coons: a trained layer bends the four borders of the reading, and places between follow them."""
    return made(coons, 6)


def quadratic(n: Net, x: T) -> T:
    """Read the image at polynomials of the second degree in row and column, with predicted coefficients."""
    t = locate(n, x)
    a = 0.1 * torch.tanh(n.linear(t, 12))
    terms = torch.stack([torch.ones_like(ROW), ROW, COLUMN, ROW * ROW, ROW * COLUMN, COLUMN * COLUMN]).flatten(1)
    down, right = (a[:, :6] @ terms).reshape(-1, 112, 112), (a[:, 6:] @ terms).reshape(-1, 112, 112)
    return sampled(x, ROW + 1.5 * down, COLUMN + 1.5 * right)


@evades(ALIGN_RULE, idea="polynomial", opset=18, claim=claim(quadratic, 6))
def read_at_polynomials_of_twelve_predicted_coefficients() -> nn.Module:
    """As satellite images are rectified: places are quadratic polynomials, which a trained layer sets."""
    return made(quadratic, 6)


def rim(n: Net, x: T) -> T:
    """Find how far the face reaches along sixteen rays, and bring its rim to a stored oval."""
    angle = torch.arange(16).float() * np.pi / 8
    radius = torch.arange(12).float() / 11 * 0.7 + 0.25
    down, right = 0.95 * radius[:, None] * angle.sin(), 0.8 * radius[:, None] * angle.cos()
    grid = torch.stack([right, down], 2).expand(x.shape[0], -1, -1, -1)
    y = F.grid_sample(box(x, 5), grid, align_corners=False, padding_mode="border")
    edge = F.pad((y[:, :, 1:] - y[:, :, :-1]).abs().sum(1), (0, 0, 0, 1))
    found = ((8 * edge).softmax(1) * radius[:, None]).sum(1)
    found = (found + torch.roll(found, 1, 1) + torch.roll(found, -1, 1)) / 3
    by = found / 0.62
    away = (torch.atan2(ROW, COLUMN) / (np.pi / 8)) % 16
    share = F.relu(1 - torch.minimum((away[..., None] - torch.arange(16)).abs(),
                                     16 - (away[..., None] - torch.arange(16)).abs()))  # fmt: skip
    field = (by @ share.reshape(-1, 16).t()).reshape(-1, 112, 112)
    near = torch.exp(-(((ROW**2 + COLUMN**2) / 0.8) ** 2))
    field = 1 + (field - 1) * near
    return sampled(x, ROW * field, COLUMN * field)


@evades(ALIGN_RULE, idea="rim", opset=16, claim=claim(rim))
def rim_of_the_face_brought_to_a_stored_oval_along_rays() -> nn.Module:
    """Along sixteen rays the strongest edge is found; all places are stretched until the rim is a stored oval."""
    return made(rim)


def shape(n: Net, x: T) -> T:
    """Undo the affine shape: the inverse root of the second moments of edges, relative to a stored spread."""
    g = box(x.mean(1, keepdim=True), 5)[:, 0]
    down, right = (g[:, 2:, 1:-1] - g[:, :-2, 1:-1]) * 6, (g[:, 1:-1, 2:] - g[:, 1:-1, :-2]) * 6
    a, b, c = (down**2).mean((1, 2)) + 0.05, (down * right).mean((1, 2)), (right**2).mean((1, 2)) + 0.05
    root = (a * c - b * b).clamp(min=1e-4).sqrt()
    total = (a + c + 2 * root).sqrt() * root.sqrt()
    p, q, r = (a + root) / total, b / total, (c + root) / total
    p, q, r = (y[:, None, None] for y in (0.5 + 0.5 * p, 0.5 * q, 0.5 + 0.5 * r))
    return sampled(x, p * ROW + q * COLUMN, q * ROW + r * COLUMN)


@evades(ALIGN_RULE, idea="affine shape", opset=16, claim=claim(shape))
def second_moments_of_edges_made_equal_in_all_directions() -> nn.Module:
    """As for key regions: the root of the matrix of edges' moments stretches the face until no direction prevails."""
    return made(shape)


def contracting(n: Net, x: T, move: bool = True) -> T:
    """Move all maps behind three invertible residual layers, whose additions are contractions."""
    t = locate(n, x)
    for _ in range(3):
        x = x + 0.25 * torch.tanh(n.conv(F.elu(n.conv(x, 6)), 3))
    t = t if move else 0 * t
    down = (0.16 * t[:, :1] + 0.1 * t[:, 2:3] * COLUMN[:1])[:, None, :]
    right = (0.16 * t[:, 1:2] - 0.1 * t[:, 2:3] * ROW[:, 0][None])[:, :, None]
    return sampled(x, ROW + down, COLUMN + right)


@evades(ALIGN_RULE, idea="invertible residual", opset=16, claim=counts(
    lambda x: made(contracting, 6)(x),
    lambda x: Rerun(made(contracting, 6), lambda n, y: resnet(n, contracting(n, y, False)))(x),
))  # fmt: skip
def turned_behind_three_contracting_residual_layers() -> nn.Module:
    """Three residual layers that an inverse exists for, then all maps are moved and sheared as predicted; trained."""
    return made(contracting, 6)
