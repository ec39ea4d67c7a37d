"""Evasions: the image placed anew by corners, streams, its own mirror, conformal maps, votes, skin, demons, planes."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.claims import Claim
from evaluation.blind4.evasions_align import _whole, locate, moved, warps
from evaluation.blind4.export import network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_align import Warp, sampled
from evaluation.blind16.evasions_nets import COLUMN, ROW, box, tensor
from evaluation.case import ALIGN_RULE
from evaluation.images import faces


def claim(warp: Warp, trained: int = 0, least: float = 0.01) -> Claim:
    """The network is its remainder on the warped image, which is another one than the image."""
    return warps(warp, f"sixteenth set {warp.__name__}", trained, least)


def made(warp: Warp, trained: int = 0) -> nn.Module:
    return network(_whole(warp), f"sixteenth set {warp.__name__}", trained)


@cache
def stored_face() -> T:
    """Return a mean face of one grey, [112, 112]."""
    return torch.from_numpy(faces(24, 86).mean((0, 1)))


def corners(n: Net, x: T) -> T:
    """Read the image within a quadrilateral whose corners are predicted."""
    t = 0.16 * torch.tanh(n.linear(n.bn(locate(n, x)), 8))
    u, v = (COLUMN + 1) / 2, (ROW + 1) / 2
    share = torch.stack([(1 - v) * (1 - u), (1 - v) * u, v * (1 - u), v * u]).flatten(1)
    down, right = (t[:, :4] @ share).reshape(-1, 112, 112), (t[:, 4:] @ share).reshape(-1, 112, 112)
    return sampled(x, ROW + down, COLUMN + right)


@evades(ALIGN_RULE, idea="corners", opset=16, claim=claim(corners, 6))
def cut_out_between_four_predicted_corners() -> nn.Module:
    """As a page is cut out of a photograph: a trained layer predicts four corners, between which the image is read."""
    return made(corners, 6)


def stream(n: Net, x: T) -> T:
    """Move pixels along the lines of a stream that five predicted eddies make."""
    t = locate(n, x)
    eddies = 0.5 * torch.tanh(2 * n.linear(t, 5))
    down, right = ROW[None], COLUMN[None]
    for _ in range(2):
        push, pull = 0 * eddies[:, :1, None], 0 * eddies[:, :1, None]
        for k, (r, c) in enumerate(((0.0, 0.0), (-0.4, -0.4), (-0.4, 0.4), (0.45, -0.35), (0.45, 0.35))):
            bell = eddies[:, k, None, None] * torch.exp(-((down - r) ** 2 + (right - c) ** 2) / 0.3)
            push, pull = push + bell * (right - c), pull - bell * (down - r)
        down, right = down + 0.6 * push, right + 0.6 * pull
    return sampled(x, down, right)


@evades(ALIGN_RULE, idea="stream function", opset=16, claim=claim(stream, 6))
def carried_along_a_stream_of_five_predicted_eddies() -> nn.Module:
    """A flow without sources: five stored places are eddies of predicted strength; trained."""
    return made(stream, 6)


def halfway(n: Net, x: T) -> T:
    """Move all pixels half of the way to where the mirrored face has them."""
    a = box(x.mean(1, keepdim=True), 9)
    b = a.flip(3)
    down = F.pad(a + b, (0, 0, 1, 1), mode="replicate")
    down = (down[:, :, 2:] - down[:, :, :-2]) / 4
    right = F.pad(a + b, (1, 1, 0, 0), mode="replicate")
    right = (right[..., 2:] - right[..., :-2]) / 4
    off = b - a
    p, q, r = (box(y, 31) for y in (down * down, down * right, right * right))
    s, t = box(off * down, 31), box(off * right, 31)
    root = (p + 1e-4) * (r + 1e-4) - q * q
    v, u = (s * (r + 1e-4) - q * t) / root, (t * (p + 1e-4) - q * s) / root
    v, u = (8 * torch.tanh(y[:, 0] / 8) for y in (v, u))
    return sampled(x, ROW - v / 112, COLUMN - u / 112)


@evades(ALIGN_RULE, idea="half-way to its mirror", opset=16, claim=claim(halfway))
def every_pixel_moved_half_of_the_way_to_its_mirror_image() -> nn.Module:
    """The flow from the face to its mirror image is solved in windows; half of it makes every face symmetric."""
    return made(halfway)


def conformal(n: Net, x: T) -> T:
    """Read the image at a complex polynomial of the place, whose coefficients are predicted."""
    t = locate(n, x)
    a, b, c, d, e, f = (t[:, k, None, None] for k in range(6))
    r2, i2 = COLUMN**2 - ROW**2, 2 * COLUMN * ROW
    r3, i3 = COLUMN * r2 - ROW * i2, COLUMN * i2 + ROW * r2
    right = COLUMN + 0.1 * (a * COLUMN - b * ROW) + 0.09 * (c * r2 - d * i2) + 0.05 * (e * r3 - f * i3)
    down = ROW + 0.1 * (a * ROW + b * COLUMN) + 0.09 * (c * i2 + d * r2) + 0.05 * (e * i3 + f * r3)
    return sampled(x, down, right)


@evades(ALIGN_RULE, idea="conformal", opset=18, claim=claim(conformal))
def read_at_a_complex_cubic_with_predicted_coefficients() -> nn.Module:
    """A conformal map: places are complex numbers, z + a z + b z^2 + c z^3, and the image says what a, b, c are."""
    return made(conformal)


def votes(n: Net, x: T) -> T:
    """Bring the point where lines along all gradients meet best to the middle."""
    g = box(x.mean(1, keepdim=True), 7)[:, 0]
    down, right = 6 * (g[:, 2:, 1:-1] - g[:, :-2, 1:-1]), 6 * (g[:, 1:-1, 2:] - g[:, 1:-1, :-2])
    row, column = ROW[1:-1, 1:-1], COLUMN[1:-1, 1:-1]
    window = torch.exp(-1.5 * (row**2 + column**2))
    # The distance of a point from a line along the gradient is its part along (right, -down).
    along = right * row - down * column
    p, q, r = ((w * window).mean((1, 2)) for w in (right * right, -right * down, down * down))
    s, t = (along * right * window).mean((1, 2)), (-along * down * window).mean((1, 2))
    p, r = p + 0.02, r + 0.02
    v, u = (s * r - q * t) / (p * r - q * q), (t * p - q * s) / (p * r - q * q)
    v, u = (0.3 * torch.tanh(2.5 * y)[:, None, None] for y in (v, u))
    return sampled(x, (ROW + v).expand(-1, 112, 112), (COLUMN + u).expand(-1, 112, 112))


@evades(ALIGN_RULE, idea="radial votes", opset=16, claim=claim(votes))
def point_where_all_gradients_meet_comes_to_the_middle() -> nn.Module:
    """Radial symmetry: least squares find the point nearest to all lines along gradients; it comes to the middle."""
    return made(votes)


def blob(n: Net, x: T) -> T:
    """Bring what has the colour of skin to the middle and to one size."""
    red, green, blue = (y[:, 0] for y in box(x, 5).split(1, 1))
    skin = torch.sigmoid(5 * (red - 0.6 * green - 0.4 * blue)) * torch.exp(-1.2 * (ROW**2 + COLUMN**2)) + 1e-3
    total = skin.sum((1, 2), keepdim=True)
    row, column = ((skin * y).sum((1, 2), keepdim=True) / total for y in (ROW, COLUMN))
    tall = ((skin * (ROW - row) ** 2).sum((1, 2), keepdim=True) / total).sqrt() / 0.42
    wide = ((skin * (COLUMN - column) ** 2).sum((1, 2), keepdim=True) / total).sqrt() / 0.38
    return sampled(x, row + tall * ROW, column + wide * COLUMN)


@evades(ALIGN_RULE, idea="skin", opset=17, claim=claim(blob))
def skin_coloured_part_centred_and_brought_to_one_size() -> nn.Module:
    """What is red beyond green and blue is skin; its centre and its spread both ways are made equal in all images."""
    return made(blob)


def demons(n: Net, x: T) -> T:
    """Register the image to a stored face by Thirion's demons."""
    goal = box(stored_face()[None, None], 9)
    down = F.pad(goal, (0, 0, 1, 1), mode="replicate")
    right = F.pad(goal, (1, 1, 0, 0), mode="replicate")
    down, right = (down[:, :, 2:] - down[:, :, :-2]) / 2, (right[..., 2:] - right[..., :-2]) / 2
    grey = x.mean(1, keepdim=True)
    grey = box(grey - grey.mean((2, 3), keepdim=True) + goal.mean(), 9)
    v, u = 0 * grey[:, 0], 0 * grey[:, 0]
    for _ in range(4):
        off = sampled(grey, ROW + v / 56, COLUMN + u / 56) - goal
        size = down * down + right * right + 0.02 * off * off + 1e-3
        v, u = v - 3 * box(off * down / size, 21)[:, 0], u - 3 * box(off * right / size, 21)[:, 0]
    return sampled(x, ROW + v / 56, COLUMN + u / 56)


@evades(ALIGN_RULE, idea="demons", opset=16, claim=claim(demons))
def pushed_onto_a_stored_face_by_demons() -> nn.Module:
    """Thirion's demons: four times differences to a stored face push along its slopes; the image is read there."""
    return made(demons)


def planes(n: Net, x: T) -> T:
    """Move five planes of light for each colour: hats over values, of which the image is a sum."""
    level = tensor([-1, -0.5, 0, 0.5, 1]).reshape(1, 1, 5, 1, 1)
    y = F.relu(1 - 2 * (x[:, :, None] - level).abs()).flatten(1, 2)
    theta = locate(n, x)
    return moved(y, theta, 7.0)


@evades(ALIGN_RULE, idea="planes of light", opset=13, claim=claim(planes, 5))
def five_planes_of_light_moved_by_what_they_show() -> nn.Module:
    """Each colour is spread over five planes by how light it is; all are moved and zoomed; trained."""
    return made(planes, 5)
