"""What a second look may do to the image: turns and zooms, and what the first layers' kernels suggest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.layer_index import CONVOLUTIONS, Layer, Structure
from pytest_facechallenge.analyses.implicit_batch.probe_images import TRANSFORMS

Array = npt.NDArray[Any]
Change = Callable[[Array], Array]

#: Correlation from which one kernel is another one moved; share of a layer's kernels that must be.
ALIKE, SHARE = 0.985, 0.6

#: Kernels of one layer that are compared with each other; how many are asked whether they are another one moved.
MOST_KERNELS, ASKED = 512, 32

#: What a mix of colours must explain of one kernel bank by another (relative residual), with so many equations per
#: unknown; how far from no mix at all it must be; how many such mixes are tried.
EXPLAINED, EQUATIONS, COLOURFUL, MOST_MIXES = 0.05, 8, 0.02, 4


def _moved(down: int, right: int) -> Change:
    return lambda x: np.roll(x, (down, right), (-2, -1))


def _zoomed(x: Array) -> Array:
    height, width = x.shape[-2:]
    centre = x[..., height // 4 : height // 4 + height // 2, width // 4 : width // 4 + width // 2]
    zoomed: Array = centre.repeat(2, -2).repeat(2, -1)
    return zoomed


def _turned_and_moved(name: str, down: int, right: int) -> Change:
    return lambda x: np.roll(TRANSFORMS[name](x), (down, right), (-2, -1))


#: Looked for in every network. Layers of odd kernels and stride 2 read every second pixel from the left; in the mirror
#: image these are the others, unless it is moved by one.
CHANGES: dict[str, Change] = {
    **{name: change for name, change in TRANSFORMS.items() if name != "as it is"},
    "mirrored, to the pixel": _turned_and_moved("mirrored", 0, 1),
    "upside down, to the pixel": _turned_and_moved("upside down", 1, 0),
    "rotated by 180 degrees, to the pixel": _turned_and_moved("rotated by 180 degrees", 1, 1),
    "zoomed by 2": _zoomed,
}

#: Looked for only where first layers hold kernels that are each other moved: rows that hold every second pixel (dilated
#: layers written so) repeat each other on a shifted image too. For sums over a tensor, a shift by more pixels than a
#: layer's stride is the shift by what remains: a pixel stands for all of them.
SHIFTS: dict[str, Change] = {
    "shifted sideways": _moved(0, 1),
    "shifted down": _moved(1, 0),
    "shifted down and sideways": _moved(1, 1),
}


def changes_of(structure: Structure, front: list[Layer]) -> dict[str, Change]:
    """Return the changes to look for, by what they are called.

    Parameters
    ----------
    front
        The layers that work on the image.
    """
    found = dict(CHANGES)
    if any(moved_kernels(structure, layer) for layer in front):
        found |= SHIFTS
    return found | colour_changes(structure, front)


def moved_kernels(structure: Structure, layer: Layer) -> bool:
    """Whether most kernels of a convolution are another of its kernels, moved within the window."""
    weights = structure.constant(layer.weight)
    if layer.node.op not in CONVOLUTIONS or layer.groups > 1 or weights is None or weights.ndim != 4:
        return False
    kernels = weights.astype(np.float64)
    height, width = kernels.shape[2:]
    if height * width < 9 or len(kernels) > MOST_KERNELS:
        return False
    norms = np.maximum(np.linalg.norm(kernels.reshape(len(kernels), -1), axis=1), 1e-30)
    size = (2 * height, 2 * width)  # no wrapping around
    spectra = np.fft.rfft2(kernels / norms[:, None, None, None], size)
    asked = np.unique(np.linspace(0, len(kernels) - 1, min(ASKED, len(kernels))).astype(int))
    found = 0
    for index in asked:
        alike = np.fft.irfft2((spectra * spectra[index].conj()).sum(1), size)
        alike[:, 0, 0] = 0  # not moved
        found += bool(alike.max() >= ALIKE)
    return found >= SHARE * len(asked)


def colour_changes(structure: Structure, front: list[Layer]) -> dict[str, Change]:
    """Return the colour mixes by which one bank of first kernels follows from another (a tint, a grey look).

    A kernel bank K on the image M x is the bank K M on x: where one bank is another one times a matrix of colours,
    that matrix says which second look to look for.
    """
    found: list[Array] = []
    for one, other in _banks(structure, front):
        mix = _mix(one, other)
        if mix is not None and not any(np.abs(mix - known).max() < COLOURFUL for known in found):
            found.append(mix)
        if len(found) == MOST_MIXES:
            break
    return {f"with its colours mixed as {np.round(mix, 2).tolist()}": _mixed(mix) for mix in found}


def _mixed(mix: Array) -> Change:
    return lambda x: np.einsum("ij,njhw->nihw", mix, x).astype(x.dtype)


def _banks(structure: Structure, front: list[Layer]) -> Iterator[tuple[Array, Array]]:
    """Yield pairs of equally large kernel banks [kernels, colours, height, width]: of two layers, or parts of one."""
    whole = []
    colours = structure.shapes[structure.image][1]
    for layer in front:
        weights = structure.constant(layer.weight)
        usable = layer.node.op in CONVOLUTIONS and layer.node.op != "ConvTranspose" and layer.groups == 1
        if not usable or weights is None or weights.ndim != 4 or len(weights) > MOST_KERNELS:
            continue
        if weights.shape[1] == colours:
            whole.append(weights.astype(np.float64))
    for index, one in enumerate(whole):
        yield from ((one, other) for other in whole[index + 1 :] if other.shape == one.shape)
    for weights in whole:
        for blocks in (2, 3, 4, 5, 6, 8):
            if len(weights) % blocks == 0:
                parts = weights.reshape(blocks, -1, *weights.shape[1:])
                yield from ((parts[0], part) for part in parts[1:])
                turns = weights.reshape(-1, blocks, *weights.shape[1:])
                yield from ((turns[:, 0], turns[:, k]) for k in range(1, blocks))


def _mix(one: Array, other: Array) -> Array | None:
    """Return the matrix of colours with other = one * mix, or None when there is none (or only a gain)."""
    colours = one.shape[1]
    known = np.moveaxis(one, 1, -1).reshape(-1, colours)
    wanted = np.moveaxis(other, 1, -1).reshape(-1, colours)
    if len(known) < EQUATIONS * colours or not np.abs(wanted).max() > 0:
        return None
    mix, *_ = np.linalg.lstsq(known, wanted, rcond=None)
    if np.linalg.norm(known @ mix - wanted) > EXPLAINED * np.linalg.norm(wanted):
        return None
    gain = np.trace(mix) / colours
    # (x M)_c: the image's colours come first in the product, so the mix acts as its transpose does on the kernels.
    return None if np.abs(mix - gain * np.eye(colours)).max() < COLOURFUL else mix
