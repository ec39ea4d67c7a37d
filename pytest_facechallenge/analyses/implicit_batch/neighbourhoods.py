"""Pixels changed by their surroundings (local contrast) told apart from pixels that a condition on the image chose.

On noise, whose surroundings are all alike, both look like the image itself; on natural images neither does.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Look = Callable[[Array], Array]

#: Steps from one image to another; times that the largest is halved; share of it that a jump still has then.
STEPS, HALVINGS, JUMP = 12, 12, 0.25

#: Pixels that surroundings reach over an edge.
REACH = 12

#: Share of a change's energy that may be where nothing of the image was changed.
FAR = 0.02

#: Least roughness of what is seen against the image's: a blurred image has less.
AS_ROUGH = 0.9


def follows_its_surroundings(look: Look, natural: Array, noise: Array) -> bool:
    """Whether what is seen of natural images is a continuous function of each pixel's surroundings, and no blur.

    Parameters
    ----------
    look
        An image [C, H, W] to what is seen of it, float [1, channels, H, W].
    natural
        Images, float [n, C, H, W], at least two.
    noise
        One noise image, float [C, H, W].
    """
    others = np.roll(natural, 1, axis=0)
    return all(
        _rough(look(image)[0]) >= AS_ROUGH * _rough(image)
        and _local(look, image, other)
        and not _jumps(look, image, noise)
        for image, other in zip(natural, others, strict=True)
    )


def _rough(planes: Array) -> float:
    """Return how much neighbours differ, against the spread of each plane; the median over the planes."""
    steps = (np.diff(planes, axis=-1) ** 2).mean((-2, -1)) + (np.diff(planes, axis=-2) ** 2).mean((-2, -1))
    return float(np.median(steps / np.maximum(planes.var((-2, -1)), 1e-30)))


def _local(look: Look, image: Array, other: Array) -> bool:
    """Whether another left (upper) half changes what is seen on the left (above), and next to nothing opposite.

    Next to nothing: a share of the whole image's contrast may be among the surroundings.
    """
    height, width = image.shape[-2:]
    before = look(image)
    for axis, half in ((-1, width // 2), (-2, height // 2)):
        first = np.arange(image.shape[axis]) < half
        mixed = np.where(first if axis == -1 else first[:, None], other, image)
        moved = np.moveaxis((look(mixed) - before) ** 2, axis, -1)
        if moved[..., half + REACH :].sum() > FAR * moved.sum():
            return False
    return True


def _jumps(look: Look, one: Array, other: Array) -> bool:
    """Whether what is seen jumps somewhere on the straight way from one image to another."""

    def at(share: float) -> Array:
        return look((one + share * (other - one)).astype(np.float32))

    places = np.linspace(0, 1, STEPS + 1)
    values = [at(share) for share in places]
    sizes = [float(np.linalg.norm(b - a)) for a, b in pairwise(values)]
    largest = int(np.argmax(sizes))
    low, high, a, b = places[largest], places[largest + 1], values[largest], values[largest + 1]
    for _ in range(HALVINGS):
        share = (low + high) / 2
        middle = at(share)
        if np.linalg.norm(middle - a) > np.linalg.norm(b - middle):
            high, b = share, middle
        else:
            low, a = share, middle
    return bool(np.linalg.norm(b - a) > JUMP * sizes[largest])
