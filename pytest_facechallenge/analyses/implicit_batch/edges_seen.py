"""How far a change along each edge of the image reaches layers: some see the whole image, others a part of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
        for start in (margin, base.shape[side] - margin - strip):
            edge = [slice(None)] * 3
            edge[side] = slice(start, start + strip)
            image = base[0].copy()
            image[tuple(edge)] = base[1][tuple(edge)]
            yield image


class EdgesSeen:
    """Which edges of the image reach each of some layers; nothing is run before it is asked.

    Parameters
    ----------
    runner
        A session that gives the layers' results.
    base
        Images, see `changed_along_an_edge`.
    """

    def __init__(
        self, model: OpenedModel, runner: Runner, layers: Sequence[Layer], base: Array, limits: Thresholds
    ) -> None:
        self._model, self._runner, self._layers, self._base, self._limits = model, runner, layers, base, limits
        self._reach: dict[int, Array] = {}

    def are_parts(self, one: Layer, other: Layer) -> bool:
        """Whether the two see different parts: one not one edge of the image, the other not the opposite edge."""
        if not self._reach:
            self._reach = self._found()
        first, second = (self._reach.get(id(layer)) for layer in (one, other))
        if first is None or second is None:
            return False
        blind, blind_too = (each < self._limits.equivariance.unseen * each.max() for each in (first, second))
        opposite = [1, 0, 3, 2]
        return bool((blind & blind_too[opposite]).any())

    def _found(self) -> dict[int, Array]:
        """Return by layer how far a change along each edge moves it: float [4]."""
        before, *after = [self._summed_up(image) for image in (self._base[0], *self._changed())]
        return {
            name: np.array([float(np.abs(each[name] - sums).sum()) for each in after])
            for name, sums in before.items()
            if all(name in each for each in after)
        }

    def _changed(self) -> Iterator[Array]:
        return changed_along_an_edge(self._base, self._limits)

    def _summed_up(self, image: Array) -> dict[int, Array]:
        values = self._runner(self._model.feed(image[None]))
        sums: dict[int, Array] = {}
        for layer in self._layers:
            name = layer.node.outputs[0]
            value, shape = as_floats(values[name]), self._model.structure.shapes[name]
            if value is not None and value.shape == shape:
                sums[id(layer)] = np.concatenate(sum_up(value[None], channel_axis(layer, shape), WHOLE))
        return sums
