"""Evasions: the image, or early features that hold it, placed anew within the network."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.claims import Claim
from evaluation.blind4.evasions_align import AXIS, _whole, hats, locate, warps
from evaluation.blind4.export import network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.case import ALIGN_RULE, BATCH_RULE

Warp = Callable[[Net, T], T]


def claim(warp: Warp, trained: int = 0, least: float = 0.01) -> Claim:
    """The network is its remainder on the warped image, which is another one than the image."""
    return warps(warp, f"fifth set {warp.__name__}", trained, least)


def made(warp: Warp, trained: int = 0) -> nn.Module:
    return network(_whole(warp), f"fifth set {warp.__name__}", trained)


def unit_grid() -> tuple[T, T]:
    at = (2 * AXIS + 1) / 112 - 1
    return at[:, None].expand(112, 112), at[None].expand(112, 112)


def sampled(x: T, rows: T, columns: T) -> T:
    return F.grid_sample(x, torch.stack([columns, rows], 3), align_corners=False, padding_mode="border")


def polar(n: Net, x: T) -> T:
    r, c = unit_grid()
    radius, angle = (r + 1) / 2, (c + 1) * 3.14159265
    grid = torch.stack([radius * angle.cos(), radius * angle.sin()], 2)
    return F.grid_sample(x, grid.expand(x.shape[0], -1, -1, -1), align_corners=False)


@evades(ALIGN_RULE, idea="fixed warp", opset=16, claim=claim(polar, 5))
def image_in_polar_coordinates() -> nn.Module:
    """The image is sampled along circles around its centre: turning the head becomes a shift of columns."""
    return made(polar, 5)


def two_landmarks(n: Net, x: T) -> T:
    """A similarity that brings two soft landmarks nearer to where two eyes should be."""
    heat = n.conv(F.relu(n.conv(F.avg_pool2d(x, 4), 8)), 2)
    share = (4 * n.bn(heat)).flatten(2).softmax(2)
    at = (2 * torch.arange(28).float() + 1) / 28 - 1
    c, r = share @ at.repeat(28), share @ at.repeat_interleave(28)
    dx, dy = 0.2 * (c[:, 1] - c[:, 0]) + 1.0, 0.2 * (r[:, 1] - r[:, 0])
    mx, my = 0.3 * (c[:, 0] + c[:, 1]), 0.3 * (r[:, 0] + r[:, 1])
    rows, columns = unit_grid()
    dx, dy, mx, my = (v.reshape(-1, 1, 1) for v in (dx, dy, mx, my))
    return sampled(x, dy * columns + dx * rows + my, dx * columns - dy * rows + mx)


@evades(ALIGN_RULE, idea="landmarks", opset=16, claim=claim(two_landmarks, 6))
def similarity_from_two_soft_landmarks() -> nn.Module:
    """Soft-argmax of two heat maps gives two points; the image is turned, scaled and moved by them."""
    return made(two_landmarks, 6)


@cache
def plate() -> T:
    """From the moves of 9 control points to the moves of all pixels: [12544, 9]."""

    def kernel(d: T) -> T:
        return d * (d + 1e-6).log()

    at = torch.tensor([-0.6, 0.0, 0.6])
    points = torch.stack([at.repeat_interleave(3), at.repeat(3)], 1)
    p = torch.cat([torch.ones(9, 1), points], 1)
    k = kernel(((points[:, None] - points[None]) ** 2).sum(2))
    system = torch.cat([torch.cat([k, p], 1), torch.cat([p.T, torch.zeros(3, 3)], 1)]).double()
    places = torch.stack([part.flatten() for part in unit_grid()], 1)
    basis = torch.cat([kernel(((places[:, None] - points[None]) ** 2).sum(2)), torch.ones(12544, 1), places], 1)
    return (basis.double() @ torch.linalg.inv(system)[:, :9]).float()


def thin_plate(n: Net, x: T) -> T:
    rows, columns = unit_grid()
    y = F.relu(n.conv(F.relu(n.conv(F.avg_pool2d(x, 4), 8, 3, 2)), 8, 3, 2))
    moves = 0.15 * torch.tanh(3 * n.bn(n.linear(y.flatten(1), 18))).reshape(-1, 9, 2)
    grid = (plate() @ moves).reshape(-1, 112, 112, 2)
    return sampled(x, rows + grid[..., 0], columns + grid[..., 1])


@evades(ALIGN_RULE, idea="landmarks", opset=16, claim=claim(thin_plate, 5))
def thin_plate_spline_of_nine_points() -> nn.Module:
    """Nine control points are moved by what the image shows; a thin-plate spline carries all pixels with them."""
    return made(thin_plate, 5)


def projective(n: Net, x: T) -> T:
    t = locate(n, x)
    rows, columns = unit_grid()
    depth = 1 + 0.2 * t[:, 0].reshape(-1, 1, 1) * columns + 0.2 * t[:, 1].reshape(-1, 1, 1) * rows
    return sampled(
        x, (rows + 0.05 * t[:, 2].reshape(-1, 1, 1)) / depth, (columns + 0.05 * t[:, 3].reshape(-1, 1, 1)) / depth
    )


@evades(ALIGN_RULE, idea="predicted warp", opset=16, claim=claim(projective, 5))
def pose_undone_by_a_homography() -> nn.Module:
    """A predicted homography turns the plane of the face towards the camera."""
    return made(projective, 5)


def brightest(n: Net, x: T) -> T:
    light = F.avg_pool2d(x.mean(1, keepdim=True), 13, 1, 6)
    row, column = (light.amax(a).squeeze(1)[:, 44:68].argmax(1, keepdim=True) - 12 for a in (3, 2))
    wide = F.pad(x, (12, 12, 12, 12))
    at = torch.arange(112)
    rows = (at[None] + row + 12).reshape(-1, 1, 112, 1).expand(-1, 3, -1, 136)
    columns = (at[None] + column + 12).reshape(-1, 1, 1, 112).expand(-1, 3, 112, -1)
    return wide.gather(2, rows).gather(3, columns)


@evades(ALIGN_RULE, idea="cut out", claim=claim(brightest, 4), opset=13)
def cut_out_around_the_brightest_place() -> nn.Module:
    """ArgMax finds the brightest rows and columns near the middle; a window of 112 around them is gathered."""
    return made(brightest, 4)


def sheared(n: Net, x: T) -> T:
    """Turn by three shears, each a product with hat functions."""
    angle = 0.25 * locate(n, x)[:, :1]
    y = x
    for slope, across in ((-torch.tan(angle / 2), True), (torch.sin(angle), False), (-torch.tan(angle / 2), True)):
        moves = slope * (AXIS - 55.5)
        weights = hats(AXIS[None, None] + moves[:, :, None].expand(-1, 112, 112))
        y = torch.einsum("nrkc,nhrc->nhrk" if across else "nckr,nhrc->nhkc", weights, y)
    return y


@evades(ALIGN_RULE, idea="predicted warp", opset=12, claim=claim(sheared))
def turned_by_three_shears() -> nn.Module:
    """The predicted roll of the head is taken back by three shears, by rows, columns and rows again."""
    return made(sheared)


def motion(n: Net, x: T) -> T:
    """One kernel of 9 numbers for rows and one for columns, the same for all places, peaked by a softmax."""
    y = F.relu(n.conv(F.relu(n.conv(F.avg_pool2d(x, 4), 8, 3, 2)), 8, 3, 2))
    score = n.bn(n.linear(y.flatten(1), 18)).reshape(-1, 2, 9)
    down, along = (12 * score).softmax(2).unbind(1)
    p = F.pad(x, (4, 4, 4, 4))
    p = sum(p[:, :, i : i + 112] * down[:, i].reshape(-1, 1, 1, 1) for i in range(9))
    moved: T = sum(p[..., i : i + 112] * along[:, i].reshape(-1, 1, 1, 1) for i in range(9))
    return moved


@evades(ALIGN_RULE, BATCH_RULE, idea="chosen kernel", claim=claim(motion, 4))
def moved_by_a_predicted_kernel() -> nn.Module:
    """The image predicts a kernel that is nearly one-hot, and is convolved with it: it moves by up to four pixels."""
    return made(motion, 4)


def upright(n: Net, x: T) -> T:
    quarter = [
        x[:, :, :28].mean((1, 2, 3)),
        x[..., 84:].mean((1, 2, 3)),
        x[:, :, 84:].mean((1, 2, 3)),
        x[..., :28].mean((1, 2, 3)),
    ]
    share = (200 * torch.stack(quarter, 1)).softmax(1)[:, :, None, None, None]
    views = torch.stack([x, x.transpose(2, 3).flip(2), x.flip(2, 3), x.transpose(2, 3).flip(3)], 1)
    return (share * views).sum(1)


@evades(ALIGN_RULE, BATCH_RULE, idea="chosen view", claim=claim(upright, 4))
def brightest_side_up() -> nn.Module:
    """Of the four quarter turns, the one whose brightest side is at the top goes on, by a steep softmax."""
    return made(upright, 4)


def many_channels(n: Net, x: T) -> T:
    """A stem of stride 2 with more channels than the pixels it covers, from which the image can be read back."""
    y = F.leaky_relu(n.conv(x, 24, 5, 2), 0.3)
    t = locate(n, y)
    r = hats(27.5 + (AXIS[None, :56] - 27.5) * (1 + 0.05 * t[:, 2:3]) + 2 * t[:, :1], 56)
    c = hats(27.5 + (AXIS[None, :56] - 27.5) * (1 + 0.05 * t[:, 2:3]) + 2 * t[:, 1:2], 56)
    return r[:, None] @ y @ c[:, None].transpose(-1, -2)


@evades(ALIGN_RULE, idea="behind a layer", claim=claim(many_channels, 4))
def moved_behind_a_stem_of_many_channels() -> nn.Module:
    """Twenty-four maps of half size, leaky, hold the image; a predicted scale and move places them anew."""
    return made(many_channels, 4)


def template(n: Net, x: T) -> T:
    """Blocks of 14 x 14 raw pixels, put where a stored layout of what belongs there asks for them."""
    blocks = x.reshape(-1, 3, 8, 14, 8, 14).permute(0, 2, 4, 1, 3, 5).reshape(-1, 64, 588)
    keys = F.avg_pool2d(x, 7).reshape(-1, 3, 8, 2, 8, 2).permute(0, 2, 4, 1, 3, 5).reshape(-1, 64, 12)
    at = torch.stack([torch.arange(8.0).repeat_interleave(8), torch.arange(8.0).repeat(8)], 1)
    near = -0.8 * ((at[:, None] - at[None]) ** 2).sum(2)
    share = (8 * (n.weight(64, 12) @ keys.transpose(1, 2)) + near).mul(2).softmax(-1)
    y = (share @ blocks).reshape(-1, 8, 8, 3, 14, 14).permute(0, 3, 1, 4, 2, 5)
    return y.reshape(-1, 3, 112, 112)


@evades(ALIGN_RULE, BATCH_RULE, idea="attention", claim=claim(template, 3), opset=13)
def blocks_of_pixels_sorted_by_attention() -> nn.Module:
    """Stored queries choose, near their place, which block of raw pixels goes where: the face is put together anew."""
    return made(template, 3)


def zoom_cut(n: Net, x: T) -> T:
    """Between the image and its middle at 5/4 of the size, as large as the face seems."""
    big = F.interpolate(x, size=(140, 140), mode="bilinear", align_corners=False)[:, :, 14:126, 14:126]
    share = torch.sigmoid(20 * locate(n, x)[:, :1, None, None])
    return share * x + (1 - share) * big


@evades(ALIGN_RULE, BATCH_RULE, idea="chosen view", claim=claim(zoom_cut, 5))
def tighter_cut_when_the_face_is_small() -> nn.Module:
    """A predicted number decides between the image and a tighter cut of it, enlarged."""
    return made(zoom_cut, 5)


def cylinder(n: Net, x: T) -> T:
    places = 55.5 + 60 * torch.sin((AXIS - 55.5) / 56 * 1.1) / np.sin(1.1) * 56 / 60
    near = places.round().long().clamp(0, 111)
    return x.index_select(3, near).index_select(2, near)


@evades(ALIGN_RULE, idea="fixed warp", claim=claim(cylinder, 5, 5e-3))
def face_as_on_a_cylinder() -> nn.Module:
    """Columns and rows are gathered at places that a sine gives, as if the face were rolled off a cylinder."""
    return made(cylinder, 5)
