"""Gaussian blur of images and fields.

It gives what `scipy.ndimage.gaussian_filter` gives: every worker blurs a few images, and importing scipy.ndimage takes
longer than all that is done with it.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

#: Standard deviations at which the kernel ends.
_TRUNCATE = 4.0


def gaussian(values: Array, sigma: float, *, repeated: bool = False) -> Array:
    """Blur along the last two axes.

    Parameters
    ----------
    values
        [..., H, W].
    sigma
        Standard deviation of the kernel, in pixels.
    repeated
        Beyond an edge the outermost value is repeated; else the values are mirrored there (also the outermost).

    Returns
    -------
    ndarray
        float64, of the same shape.
    """
    down, right = (_matrix(extent, sigma, repeated) for extent in values.shape[-2:])
    blurred: Array = down @ values @ right.T
    return blurred


@functools.lru_cache(maxsize=16)
def _matrix(extent: int, sigma: float, repeated: bool) -> Array:
    """Return float64 [extent, extent]: the weight of every pixel (column) in every blurred one (row)."""
    radius = int(_TRUNCATE * sigma + 0.5)
    steps = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (steps / sigma) ** 2)
    kernel /= kernel.sum()
    read = np.arange(extent)[:, None] + steps
    if repeated:
        read = np.clip(read, 0, extent - 1)
    else:
        read = np.mod(read, 2 * extent)
        read = np.where(read < extent, read, 2 * extent - 1 - read)
    matrix = np.zeros((extent, extent))
    np.add.at(matrix, (np.arange(extent)[:, None], read), kernel)
    matrix.flags.writeable = False
    return matrix
