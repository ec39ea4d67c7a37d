"""What a second view may do to the image: turns and zooms, and what the first layers' kernels suggest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.first_kernels import Folded, folded_changes
from pytest_facechallenge.analyses.implicit_batch.layer_index import CONVOLUTIONS, Layer, Structure
from pytest_facechallenge.analyses.implicit_batch.probe_images import TURNS
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.core.facts.implicit_batch_kinds import Transform

Array = npt.NDArray[Any]
Change = Callable[[Array], Array]


@dataclass(frozen=True)
class Candidate:
    """A change of the image that is tried.

    Attributes
    ----------
    transform, colours
        Its kind; for mixed colours the matrix, rows are the new colours.
    change
        float [N, C, H, W] -> the images changed.
    turn, taps
        Of a filter: what was done before, and its weights.
    """

    transform: Transform
    change: Change
    colours: tuple[tuple[float, ...], ...] = ()
    turn: Transform = Transform.NONE
    taps: tuple[tuple[float, ...], ...] = ()


def _moved(down: int, right: int) -> Change:
    return lambda x: np.roll(x, (down, right), (-2, -1))


def _zoomed(x: Array) -> Array:
    height, width = x.shape[-2:]
    centre = x[..., height // 4 : height // 4 + height // 2, width // 4 : width // 4 + width // 2]
    zoomed: Array = centre.repeat(2, -2).repeat(2, -1)
    return zoomed


def _halved(x: Array) -> Array:
    height, width = x.shape[-2] // 2 * 2, x.shape[-1] // 2 * 2
    small = x[..., :height, :width].reshape(*x.shape[:-2], height // 2, 2, width // 2, 2).mean((-3, -1))
    tiled: Array = np.tile(small, (2, 2)).astype(x.dtype)
    return tiled


def _turned_and_moved(name: Transform, down: int, right: int) -> Change:
    return lambda x: np.roll(TURNS[name](x), (down, right), (-2, -1))


#: Looked for in every network. Layers of odd kernels and stride 2 read every second pixel from the left; in the mirror
#: image these are the others, unless it is moved by one.
CHANGES: dict[Transform, Change] = {
    **TURNS,
    Transform.MIRRORED_TO_THE_PIXEL: _turned_and_moved(Transform.MIRRORED, 0, 1),
    Transform.UPSIDE_DOWN_TO_THE_PIXEL: _turned_and_moved(Transform.UPSIDE_DOWN, 1, 0),
    Transform.ROTATED_180_TO_THE_PIXEL: _turned_and_moved(Transform.ROTATED_180, 1, 1),
    Transform.ZOOMED: _zoomed,
    Transform.HALVED: _halved,
}

#: Looked for only where first layers hold kernels that are each other moved: rows that hold every second pixel (dilated
#: layers written so) repeat each other on a shifted image too. For sums over a tensor, a shift by more pixels than a
#: layer's stride is the shift by what remains: a pixel stands for all of them.
SHIFTS: dict[Transform, Change] = {
    Transform.SHIFTED_SIDEWAYS: _moved(0, 1),
    Transform.SHIFTED_DOWN: _moved(1, 0),
    Transform.SHIFTED_BOTH: _moved(1, 1),
}


def candidates(structure: Structure, front: Sequence[Layer], limits: Thresholds) -> list[Candidate]:
    """Return the changes to look for.

    Parameters
    ----------
    front
        The layers that work on the image.
    """
    found = dict(CHANGES)
    if any(moved_kernels(structure, layer, limits) for layer in front):
        found |= SHIFTS
    mixes = colour_changes(structure, front, limits)
    known = [np.array(mix.colours) for mix in mixes]
    folded = [
        change
        for change in folded_changes(structure, front, limits)
        if change.turn or change.taps.size > 1 or change.cell > 1
        or not any(np.abs(change.colours - mix).max() < limits.transforms.colourful for mix in known)
    ]  # fmt: skip
    return [*(Candidate(name, change) for name, change in found.items()), *mixes, *map(_candidate, folded)]


def _candidate(change: Folded) -> Candidate:
    """Return the candidate for a change that first kernels hold."""
    colours = tuple(map(tuple, np.round(change.colours, 2).tolist()))
    if change.cell > 1:
        return Candidate(Transform.COARSE, change, turn=change.turn)
    if change.taps.size == 1 and change.turn is Transform.NONE:
        return Candidate(Transform.COLOURS_MIXED, change, colours)
    return Candidate(
        Transform.FILTERED, change, colours if change.taps.size == 1 else (), change.turn,
        tuple(map(tuple, np.round(change.taps, 3).tolist())),
    )  # fmt: skip


def moved_kernels(structure: Structure, layer: Layer, limits: Thresholds) -> bool:
    """Whether most kernels of a convolution are another of its kernels, moved within the window."""
    wanted = limits.transforms
    weights = structure.constant(layer.weight)
    if layer.node.op not in CONVOLUTIONS or layer.groups > 1 or weights is None or weights.ndim != 4:
        return False
    kernels = weights.astype(np.float64)
    height, width = kernels.shape[2:]
    if height * width < wanted.window or len(kernels) > wanted.kernels:
        return False
    norms = np.maximum(np.linalg.norm(kernels.reshape(len(kernels), -1), axis=1), 1e-30)
    size = (2 * height, 2 * width)  # no wrapping around
    spectra = np.fft.rfft2(kernels / norms[:, None, None, None], size)
    asked = np.unique(np.linspace(0, len(kernels) - 1, min(wanted.asked, len(kernels))).astype(int))
    found = 0
    for index in asked:
        alike = np.fft.irfft2((spectra * spectra[index].conj()).sum(1), size)
        alike[:, 0, 0] = 0  # not moved
        found += bool(alike.max() >= wanted.alike)
    return found >= wanted.share * len(asked)


def colour_changes(structure: Structure, front: Sequence[Layer], limits: Thresholds) -> list[Candidate]:
    """Return the colour mixes by which one bank of first kernels follows from another (a tint, a grey view).

    A kernel bank K on the image M x is the bank K M on x: where one bank is another one times a matrix of colours,
    that matrix says which second view to look for.
    """
    found: list[Array] = []
    for one, other in _banks(structure, front, limits):
        mix = _mix(one, other, limits)
        if mix is not None and not any(np.abs(mix - known).max() < limits.transforms.colourful for known in found):
            found.append(mix)
        if len(found) == limits.transforms.mixes:
            break
    return [
        Candidate(Transform.COLOURS_MIXED, _mixed(mix), tuple(map(tuple, np.round(mix, 2).tolist()))) for mix in found
    ]


def _mixed(mix: Array) -> Change:
    return lambda x: np.einsum("ij,njhw->nihw", mix, x).astype(x.dtype)


def _banks(structure: Structure, front: Sequence[Layer], limits: Thresholds) -> Iterator[tuple[Array, Array]]:
    """Yield pairs of equally large kernel banks [kernels, colours, height, width]: of two layers, or parts of one."""
    whole = []
    colours = structure.shapes[structure.image][1]
    for layer in front:
        weights = structure.constant(layer.weight)
        usable = layer.node.op in CONVOLUTIONS and layer.node.op != "ConvTranspose" and layer.groups == 1
        if not usable or weights is None or weights.ndim != 4 or len(weights) > limits.transforms.kernels:
            continue
        if weights.shape[1] == colours:
            whole.append(weights.astype(np.float64))
    for index, one in enumerate(whole):
        yield from ((one, other) for other in whole[index + 1 :] if other.shape == one.shape)
    for weights in whole:
        for blocks in limits.weights.blocks:
            if len(weights) % blocks == 0:
                parts = weights.reshape(blocks, -1, *weights.shape[1:])
                yield from ((parts[0], part) for part in parts[1:])
                turns = weights.reshape(-1, blocks, *weights.shape[1:])
                yield from ((turns[:, 0], turns[:, k]) for k in range(1, blocks))


def _mix(one: Array, other: Array, limits: Thresholds) -> Array | None:
    """Return the matrix of colours with other = one * mix, or None when there is none (or only a gain)."""
    wanted = limits.transforms
    colours = one.shape[1]
    known = np.moveaxis(one, 1, -1).reshape(-1, colours)
    target = np.moveaxis(other, 1, -1).reshape(-1, colours)
    if len(known) < wanted.equations * colours or not np.abs(target).max() > 0:
        return None
    mix, *_ = np.linalg.lstsq(known, target, rcond=None)
    if np.linalg.norm(known @ mix - target) > wanted.explained * np.linalg.norm(target):
        return None
    gain = np.trace(mix) / colours
    # (x M)_c: the image's colours come first in the product, so the mix acts as its transpose does on the kernels.
    return None if np.abs(mix - gain * np.eye(colours)).max() < wanted.colourful else mix
