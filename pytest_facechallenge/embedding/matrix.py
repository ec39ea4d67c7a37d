"""Matrices of embeddings, in memory while small and in a file when large."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

#: Matrices above this go to a memory-mapped file.
MEMORY_BYTES = 1 << 28


def new_matrix(shape: tuple[int, int], workdir: Path) -> npt.NDArray[np.float32]:
    """Return a float32 matrix full of NaN; above `MEMORY_BYTES` it is memory-mapped from a new file in ``workdir``."""
    if 4 * shape[0] * shape[1] <= MEMORY_BYTES:
        return np.full(shape, np.nan, dtype=np.float32)
    with tempfile.NamedTemporaryFile(dir=workdir, prefix="matrix-", suffix=".npy", delete=False) as file:
        path = Path(file.name)
    mapped: npt.NDArray[np.float32] = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    mapped[:] = np.nan
    return mapped
