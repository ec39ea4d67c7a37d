"""Changes of the image that are folded into first kernels: one bank of kernels is another one behind a filter.

A layer of kernels K on the filtered image g * x is the layer of kernels K * g on x: a blur, a shift, a grey or a
recoloured view needs no operator of its own. So does a coarse view, averaged in cells that strides go over whole: its
kernels are even in each cell. The kernels of the second bank may stand in any order and have any
scale, so each is compared with each of the first, and those that agree must agree on one g.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.layer_index import CONVOLUTIONS, Layer, Structure
from pytest_facechallenge.analyses.implicit_batch.probe_images import TURNS
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.core.facts.implicit_batch_kinds import Transform

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Folded:
    """A change of the image that one bank of kernels shows against another.

    Attributes
    ----------
    turn
        Of the image first; `Transform.NONE` for none.
    taps
        float [rows, columns]: every colour filtered by it, its centre the pixel itself. 1 x 1 where colours mix.
    colours
        float [new colours, colours]. The identity where the image is filtered.
    cell
        Rows and columns of the cells in which the image is averaged first; 1 for none.
    """

    turn: Transform
    taps: Array
    colours: Array
    cell: int = 1

    def __call__(self, images: Array) -> Array:
        """Return images [N, C, H, W] changed; what leaves one side comes in at the other (they are even there)."""
        turned = images if self.turn is Transform.NONE else TURNS[self.turn](images)
        turned = _even(turned, self.cell)
        mixed = np.einsum("ij,njhw->nihw", self.colours, turned)
        rows, columns = (extent // 2 for extent in self.taps.shape)
        filtered = np.zeros_like(mixed)
        for (row, column), tap in np.ndenumerate(self.taps):
            if tap:
                filtered += tap * np.roll(mixed, (rows - row, columns - column), (-2, -1))
        changed: Array = filtered.astype(images.dtype)
        return changed


def folded_changes(structure: Structure, front: Sequence[Layer], limits: Thresholds) -> list[Folded]:
    """Return the changes by which one bank of first kernels follows from another one, or from itself.

    Parameters
    ----------
    front
        The layers that work on the image.
    """
    wanted = limits.transforms
    banks = list(_banks(structure, front, limits))
    found: list[Folded] = []
    for one, other in product(banks, repeat=2):
        if one.strides != other.strides or other.kernels.shape[2] < one.kernels.shape[2]:
            continue
        for name in (Transform.NONE, *TURNS):
            turned = one.kernels if name is Transform.NONE else TURNS[name](one.kernels)
            for kind in (_filter, _mix, _coarse):
                folded = kind(turned, one, other, name, limits)
                if folded is not None and any(extent % folded.cell for extent in structure.shapes[structure.image][2:]):
                    continue  # the image has no whole number of cells
                if folded is not None and not any(_alike(folded, known, limits) for known in found):
                    found.append(folded)
                if len(found) == wanted.mixes:
                    return found
    return found


@dataclass(frozen=True, eq=False)
class _Bank:
    """Kernels of a layer on the image, float64 [kernels, colours, rows, columns], without borders of zeros."""

    kernels: Array
    start: tuple[int, int]
    strides: tuple[int, ...]


def _banks(structure: Structure, front: Sequence[Layer], limits: Thresholds) -> Iterator[_Bank]:
    colours = structure.shapes[structure.image][1]
    for layer in front:
        weights = structure.constant(layer.weight)
        usable = layer.node.op in CONVOLUTIONS and layer.node.op != "ConvTranspose" and layer.groups == 1
        if not usable or weights is None or weights.ndim != 4 or len(weights) > limits.transforms.kernels:
            continue
        dilations = layer.node.attributes.get("dilations") or [1, 1]
        if weights.shape[1] != colours or any(by != 1 for by in dilations):
            continue
        pads = layer.node.attributes.get("pads") or [0, 0, 0, 0]
        strides = tuple(layer.node.attributes.get("strides") or [1, 1])
        for (top, bottom, left, right), indices in _by_support(weights).items():
            if len(indices) >= limits.transforms.fewest_kernels:
                kernels = weights[indices, :, top:bottom, left:right].astype(np.float64)
                yield _Bank(kernels, (top - int(pads[0]), left - int(pads[1])), strides)


def _by_support(weights: Array) -> dict[tuple[int, int, int, int], list[int]]:
    """Return the kernels by the rectangle outside of which they are zero: kernels of two sizes may stand in one."""
    found: dict[tuple[int, int, int, int], list[int]] = {}
    for index, kernel in enumerate(np.abs(weights).sum(1) > 0):
        rows, columns = (np.flatnonzero(kernel.any(axis)) for axis in (1, 0))
        if len(rows):
            box = (int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)
            found.setdefault(box, []).append(index)
    return found


def _filter(turned: Array, one: _Bank, other: _Bank, name: Transform, limits: Thresholds) -> Folded | None:
    """Return the filter of all colours alike behind which a bank is another one; None when there is none."""
    height, width = (b - a + 1 for a, b in zip(turned.shape[2:], other.kernels.shape[2:], strict=True))
    if min(height, width) < 1:
        return None
    basis = np.zeros((len(turned), height * width, *other.kernels.shape[1:]))
    for place in range(height * width):
        row, column = divmod(place, width)
        basis[:, place, :, row : row + turned.shape[2], column : column + turned.shape[3]] = turned
    taps = _common(basis, other.kernels, one is other and name is Transform.NONE, limits)
    if taps is None:
        return None
    taps = _of_gain_one(taps).reshape(height, width)
    # Tap (i, j) reads the pixel that lies this far from the one that the first bank reads.
    moves = [b - a for a, b in zip(one.start, other.start, strict=True)]
    radius = max(abs(move + by) for move, extent in zip(moves, (height, width), strict=True) for by in (0, extent - 1))
    centred = np.zeros((2 * radius + 1, 2 * radius + 1))
    top, left = radius + moves[0], radius + moves[1]
    centred[top : top + height, left : left + width] = taps
    if radius and name is not Transform.NONE and (np.abs(centred) > limits.transforms.colourful).sum() == 1:
        return None  # turned and moved: these are looked for in every network
    still = np.zeros_like(centred)
    still[radius, radius] = 1
    if np.abs(centred - still).max() < limits.transforms.colourful:
        return None
    return Folded(name, centred, np.eye(other.kernels.shape[1]))


def _mix(turned: Array, one: _Bank, other: _Bank, name: Transform, limits: Thresholds) -> Folded | None:
    """Return the matrix of colours behind which a bank is another one; None when there is none, or a mere gain."""
    if turned.shape[1:] != other.kernels.shape[1:]:
        return None
    colours = turned.shape[1]
    basis = np.zeros((len(turned), colours * colours, *turned.shape[1:]))
    for new, old in product(range(colours), repeat=2):
        basis[:, new * colours + old, old] = turned[:, new]
    found = _common(basis, other.kernels, one is other and name is Transform.NONE, limits)
    if found is None:
        return None
    mix = found.reshape(colours, colours)
    rows = mix.sum(1)
    gain = rows.mean() if np.abs(rows).min() > limits.transforms.colourful * np.abs(mix).max() else 0.0
    mix = mix / gain if gain else mix * np.sqrt(colours) / np.linalg.norm(mix)
    if np.abs(mix - np.trace(mix) / colours * np.eye(colours)).max() < limits.transforms.colourful:
        return None
    return Folded(name, np.ones((1, 1)), mix)


def _coarse(turned: Array, one: _Bank, other: _Bank, name: Transform, limits: Thresholds) -> Folded | None:
    """Return the cells in which the image is averaged, behind which a bank is another one; None when there are none."""
    if turned.shape[1:] != other.kernels.shape[1:] or one.start != other.start:
        return None
    extents = (*turned.shape[2:], *one.start, *one.strides)
    for cell in limits.transforms.cells:
        if any(extent % cell for extent in extents):
            continue
        even = _even(turned, cell)
        if np.linalg.norm(even - turned) < limits.transforms.colourful * np.linalg.norm(turned):
            return None  # it sees cells already
        if _common(even[:, None], other.kernels, one is other, limits) is not None:
            return Folded(name, np.ones((1, 1)), np.eye(turned.shape[1]), cell)
    return None


def _even(images: Array, cell: int) -> Array:
    """Return images, or kernels, [N, C, H, W] averaged in cells of as many rows and columns."""
    if cell == 1:
        return images
    count, colours, height, width = images.shape
    cells = images.reshape(count, colours, height // cell, cell, width // cell, cell).mean((3, 5), keepdims=True)
    even: Array = np.broadcast_to(cells, (*cells.shape[:3], cell, cells.shape[4], cell)).reshape(images.shape)
    return even


def _of_gain_one(taps: Array) -> Array:
    """Scale a filter so that it leaves an even image as it is; one that removes even images, to length 1."""
    total = float(taps.sum())
    length = float(np.linalg.norm(taps))
    scaled: Array = taps / (total if abs(total) > length / len(taps) else length)
    return scaled


def _common(basis: Array, kernels: Array, itself: bool, limits: Thresholds) -> Array | None:
    """Return the coefficients, up to scale, by which most kernels are one sum of a basis; None when there are none.

    Parameters
    ----------
    basis
        float [kernels of the first bank, unknowns, colours, rows, columns].
    kernels
        Of the second bank.
    itself
        Whether the two banks are one, unchanged: then no kernel is compared with itself.
    """
    wanted = limits.transforms
    asked = np.unique(np.linspace(0, len(basis) - 1, min(wanted.asked, len(basis))).astype(int))
    unknowns = basis.shape[1]
    flat = kernels.reshape(len(kernels), -1)
    if flat.shape[1] < wanted.equations_each * unknowns:
        return None
    norms = np.linalg.norm(flat, axis=1)
    live = norms > wanted.silent * norms.max()
    flat = flat / np.maximum(norms, 1e-30)[:, None]
    left = np.ones(len(asked))
    coefficients = np.zeros((len(asked), unknowns))
    for place, index in enumerate(asked):
        rows = basis[index].reshape(unknowns, -1)
        solved = np.linalg.lstsq(rows @ rows.T, rows @ flat.T, rcond=1e-9)[0]
        apart = np.linalg.norm(flat - solved.T @ rows, axis=1)
        apart[~live] = 1
        if itself:
            apart[index] = 1
        best = int(apart.argmin())
        left[place], coefficients[place] = apart[best], solved[:, best]
    matched = left < wanted.explained
    if matched.sum() < max(wanted.fewest_kernels, wanted.matched * len(asked)):
        return None
    lengths = np.linalg.norm(coefficients[matched], axis=1, keepdims=True)
    directions = coefficients[matched] / np.maximum(lengths, 1e-30)
    alike = np.abs(directions @ directions.T)
    centre = int((alike > wanted.one_change).sum(1).argmax())
    agree = alike[centre] > wanted.one_change
    if agree.sum() < max(wanted.fewest_kernels, wanted.matched * len(asked)):
        return None
    signs = np.sign(directions[agree] @ directions[centre])
    mean: Array = (directions[agree] * signs[:, None]).mean(0)
    return mean


def _alike(one: Folded, other: Folded, limits: Thresholds) -> bool:
    """Whether two changes are one."""
    near = limits.transforms.colourful
    return (
        one.turn is other.turn
        and one.cell == other.cell
        and one.taps.shape == other.taps.shape
        and bool(np.abs(one.taps - other.taps).max() < near and np.abs(one.colours - other.colours).max() < near)
    )
