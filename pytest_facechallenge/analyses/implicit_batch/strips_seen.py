"""What of the image layers see, by what a change in a strip of it does: all of it, or a part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.channel_partition import WHOLE, channel_axis, margin_of, sum_up
from pytest_facechallenge.analyses.implicit_batch.layer_index import Layer
from pytest_facechallenge.analyses.implicit_batch.opened import OpenedModel
from pytest_facechallenge.analyses.implicit_batch.runner import Runner, as_floats
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds

Array = npt.NDArray[Any]


def changed_along_an_edge(base: Array, limits: Thresholds) -> Iterator[Array]:
    """Yield the first image with a strip of the second along the upper, lower, left and right edge, in turn.

    Parameters
    ----------
    base
        Images even at the border, float32 [images, C, H, W].
    """
    margin, strip = margin_of(base.shape[-2], base.shape[-1], limits), base.shape[-1] // limits.equivariance.strip
    for side in (-2, -1):
        for start in (margin, max(margin, base.shape[side] - margin - strip)):
            yield _changed_in(base, side, start, start + strip)


def _changed_in(base: Array, side: int, start: int, end: int) -> Array:
    """Return the first image with a strip of the second."""
    strip = [slice(None)] * 3
    strip[side] = slice(start, end)
    image: Array = base[0].copy()
    image[tuple(strip)] = base[1][tuple(strip)]
    return image


class StripsSeen:
    """Which strips of the image reach each of some layers; nothing is run before it is asked.

    Parameters
    ----------
    runner
        A session that gives the layers' results.
    base
        Images even at the border, float32 [images, C, H, W].
    """

    def __init__(
        self, model: OpenedModel, runner: Runner, layers: Sequence[Layer], base: Array, limits: Thresholds
    ) -> None:
        self._model, self._runner, self._layers, self._base, self._limits = model, runner, layers, base, limits
        self._seen: dict[int, tuple[Array, Array]] | None = None

    def are_parts(self, one: Layer, other: Layer) -> bool:
        """Whether the two see different parts of the image, one beside or above the other.

        Neither sees the other's edge, and few strips across the image reach both: the border that two parts share where
        a map is stitched of them.
        """
        if self._seen is None:
            self._seen = self._found()
        first, second = (self._seen.get(id(layer)) for layer in (one, other))
        if first is None or second is None:
            return False
        for mine, theirs in zip(first, second, strict=True):
            apart = (not mine[0] and not theirs[-1]) or (not mine[-1] and not theirs[0])
            if apart and (mine & theirs).sum() <= self._limits.equivariance.shared_strips:
                return True
        return False

    def _found(self) -> dict[int, tuple[Array, Array]]:
        """Return by layer's id which strips it sees: bool [strips] from above to below, and from left to right."""
        wanted = self._limits.equivariance
        before = self._summed_up(self._base[0])
        margin = margin_of(self._base.shape[-2], self._base.shape[-1], self._limits)
        found: dict[int, tuple[Array, Array]] = {}
        moved: list[dict[int, list[float]]] = []
        for side in (-2, -1):
            ends = np.linspace(margin, self._base.shape[side] - margin, wanted.strip + 1).astype(int)
            moves: dict[int, list[float]] = {}
            for start, end in pairwise(ends.tolist()):
                after = self._summed_up(_changed_in(self._base, side, start, end))
                for key in before.keys() & after.keys():
                    moves.setdefault(key, []).append(float(np.abs(after[key] - before[key]).sum()))
            moved.append(moves)
        for key in before:
            sides = [np.array(moves.get(key, ())) for moves in moved]
            if all(len(each) == wanted.strip for each in sides):
                down, right = (each > wanted.unseen * each.max() for each in sides)
                found[key] = down, right
        return found

    def _summed_up(self, image: Array) -> dict[int, Array]:
        values = self._runner(self._model.feed(image[None]))
        sums: dict[int, Array] = {}
        for layer in self._layers:
            name = layer.node.outputs[0]
            value, shape = as_floats(values[name]), self._model.structure.shapes[name]
            if value is not None and value.shape == shape:
                sums[id(layer)] = np.concatenate(sum_up(value[None], channel_axis(layer, shape), WHOLE))
        return sums
