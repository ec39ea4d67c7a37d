"""Augmentations and warps of the third blind set, done by numpy and scipy."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.fft import dctn, idctn
from scipy.interpolate import RBFInterpolator
from scipy.ndimage import map_coordinates

from evaluation.backbones.references import once
from evaluation.builder import Array
from evaluation.evasions import common_augmentation, concealed_views, sampled_alignment, written_out_alignment
from evaluation.images import SIDE
from evaluation.proofs.joins import mirrored
from evaluation.runtime import Network


def turned(x: Array) -> Array:
    """Turn images against the clock by 90 degrees."""
    return np.rot90(x, axes=(2, 3))


def sampled(x: Array, at: Array, mode: Literal["nearest", "grid-constant"] = "nearest") -> Array:
    """Read images between their pixels; places are rows and columns, [2, h, w] or one such for every image."""
    places = np.broadcast_to(at, (len(x), *at.shape[-3:]))
    planes = [
        [map_coordinates(plane.astype(float), place, order=1, mode=mode) for plane in image]
        for image, place in zip(x, places, strict=True)
    ]
    return np.array(planes)


def resized(x: Array, side: int) -> Array:
    at = (np.arange(side) + 0.5) * x.shape[2] / side - 0.5
    return sampled(x, np.stack(np.meshgrid(at, at, indexing="ij")))


def ten_crops(x: Array) -> list[Array]:
    wide = np.pad(
        x, [(0, 0), (0, 0), (common_augmentation.BORDER,) * 2, (common_augmentation.BORDER,) * 2], mode="reflect"
    )
    crops = [wide[:, :, top : top + SIDE, left : left + SIDE] for top, left in common_augmentation.CORNERS]
    return [*crops, *map(mirrored, crops)]


def softened(x: Array) -> Array:
    return resized(resized(x, SIDE // common_augmentation.SOFTER), SIDE)


def close_up(x: Array) -> Array:
    side = common_augmentation.CLOSE
    out = []
    for image, place in zip(x, Network(common_augmentation.peak)(x)[:, 0].astype(int), strict=True):
        top, left = (min(max(at * 16 - 20, 0), SIDE - side) for at in divmod(place, 7))
        out.append(resized(image[None, :, top : top + side, left : left + side], SIDE)[0])
    return np.stack(out)


def chimeras(x: Array) -> list[Array]:
    left, right = x[..., : SIDE // 2], x[..., SIDE // 2 :]
    return [np.concatenate([left, mirrored(left)], axis=3), np.concatenate([mirrored(right), right], axis=3)]


def framed_by_zeros(x: Array) -> list[Array]:
    edges = [((top, below), (left, right)) for top, left, below, right in concealed_views.PADS]
    return [np.pad(x, [(0, 0), (0, 0), *edge]) for edge in edges]


def compressed(x: Array) -> Array:
    """Round the cosine coefficients of blocks of 8 x 8 pixels."""
    blocks = x.reshape(len(x), 3, 14, 8, 14, 8).transpose(0, 1, 2, 4, 3, 5).astype(float)
    at = np.arange(8)
    step = concealed_views.QUALITY * (1 + (at[:, None] + at) / 4)
    kept = np.rint(dctn(blocks, axes=(4, 5), norm="ortho") / step) * step
    return np.asarray(idctn(kept, axes=(4, 5), norm="ortho").transpose(0, 1, 2, 4, 3, 5).reshape(x.shape))


def _pixels(places: Array) -> Array:
    """Turn places x and y in -1..1, [N, 12544, 2], into rows and columns, [N, 2, 112, 112]."""
    return ((places[..., ::-1] + 1) * SIDE / 2 - 0.5).transpose(0, 2, 1).reshape(-1, 2, SIDE, SIDE)


def transformed(x: Array) -> Array:
    theta = Network(once(sampled_alignment.theta, 2401, 20, 6))(x).reshape(-1, 2, 3)
    places = sampled_alignment.unit_places() @ theta[:, :, :2].transpose(0, 2, 1) + theta[:, None, :, 2]
    return sampled(x, _pixels(places), "grid-constant")


def bent(x: Array) -> Array:
    bends = Network(once(sampled_alignment.bends, 2402, 16, 32))(x).reshape(-1, 16, 2)
    at = sampled_alignment.unit_places()
    splines = [RBFInterpolator(sampled_alignment.KNOTS, bend, kernel="thin_plate_spline", degree=1) for bend in bends]
    return sampled(x, _pixels(np.stack([at + spline(at) for spline in splines])))


def framed(x: Array) -> Array:
    return resized(
        np.pad(x, [(0, 0), (0, 0), (sampled_alignment.FRAME,) * 2, (sampled_alignment.FRAME,) * 2], mode="reflect"),
        SIDE,
    )


def _cubic(count: int, slope: float = -0.75) -> Array:
    """Give the matrix [112, count] that enlarges a line by cubic convolution."""
    at = (np.arange(SIDE) + 0.5) * count / SIDE - 0.5
    out = np.zeros((SIDE, count))
    for tap in range(-1, 3):
        place = np.floor(at) + tap
        d = np.abs(at - place)
        near = (slope + 2) * d**3 - (slope + 3) * d**2 + 1
        far = slope * (d**3 - 5 * d**2 + 8 * d - 4)
        np.add.at(out, (np.arange(SIDE), place.clip(0, count - 1).astype(int)), np.where(d <= 1, near, far))
    return out


def cropped(x: Array) -> Array:
    margin = int(SIDE * sampled_alignment.SHARE)
    inner = x[:, :, margin : SIDE - margin, margin : SIDE - margin]
    matrix = _cubic(inner.shape[2])
    return np.asarray(matrix @ inner @ matrix.T)


def unrolled(x: Array) -> Array:
    at = np.arange(SIDE)
    angle, radius = at[:, None] * 2 * np.pi / SIDE, np.exp(at * sampled_alignment.GROWTH)
    rows, columns = (np.rint(sampled_alignment.MIDDLE + wave(angle) * radius).astype(int) for wave in (np.sin, np.cos))
    return x[:, :, rows.clip(0, SIDE - 1), columns.clip(0, SIDE - 1)]


def posed(x: Array) -> Array:
    angle, growth, right, down = Network(once(written_out_alignment.pose, 2411, 11, 4))(x).T.astype(float)
    factor = np.exp(1j * written_out_alignment.TURN * angle + written_out_alignment.GROW * growth)
    move = written_out_alignment.MOVE * (right + 1j * down)
    at = sampled_alignment.unit_places() @ np.array([1, 1j]) * factor[:, None] + move[:, None]
    return sampled(x, _pixels(np.stack([at.real, at.imag], axis=-1)))


def rolled(x: Array) -> Array:
    moves = Network(once(written_out_alignment.steps, 2412, 13, 2))(x).astype(int)
    return np.stack([np.roll(image, -move, axis=(1, 2)) for image, move in zip(x, moves, strict=True)])


def given_room(x: Array) -> Array:
    """Average, for each pixel of the result, the strips of the image that fall on it."""
    density = Network(once(written_out_alignment.densities, 2413, 13, 28))(x).astype(float)
    share = np.exp(written_out_alignment.ROOM * density.reshape(-1, 2, 14)).repeat(8, axis=2)
    ends = np.pad(np.cumsum(share / share.sum(2, keepdims=True), axis=2) * SIDE, [(0, 0), (0, 0), (1, 0)])
    out = []
    for image, (rows, columns) in zip(x.astype(float), ends, strict=True):
        for axis, end in ((1, rows), (2, columns)):
            # What a line holds up to each place, read at the borders of the new pixels.
            line = np.moveaxis(image, axis, -1) * np.diff(end)
            total = np.pad(np.cumsum(line, axis=-1), [(0, 0), (0, 0), (1, 0)])
            flat = [np.diff(np.interp(np.arange(SIDE + 1), end, one)) for one in total.reshape(-1, SIDE + 1)]
            image = np.moveaxis(np.reshape(flat, (3, SIDE, SIDE)), -1, axis)
        out.append(image)
    return np.stack(out)
