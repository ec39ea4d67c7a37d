"""The small interface behind which tile work is done: here by threads, elsewhere by a GPU or another machine."""

from __future__ import annotations

import dataclasses
from typing import Protocol

import numpy as np

from pytest_facechallenge.verification.rows import Float32Array, IntArray, UnitRows

GRID = 1024
"""Parts of the pairs start at multiples of it, so the blocks of every backend divide it or are whole numbers of it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Tile:
    """A rectangle of pairs: left positions x right positions of a plan, stops excluded."""

    left_start: int
    left_stop: int
    right_start: int
    right_stop: int


Candidates = tuple[IntArray, IntArray]
"""Left and right positions of pairs, int64 [n] each."""


class TileWorker(Protocol):
    """What one thread (process, device) scores tiles with. It keeps scratch memory, so each has its own."""

    def candidates(self, tile: Tile, cutoff: float) -> Candidates:
        """Give every pair of the tile whose exact score reaches `cutoff`, and as few others as can be.

        Leaving one out is an error; adding some only costs time, since every candidate is scored again in float64.
        """
        ...


class TileFilter(Protocol):
    """A backend: it prepares both sides once and makes workers.

    Attributes
    ----------
    name : str
        As it is named in results.
    left_block, right_block : int
        The size of its tiles: a divisor of `GRID`, and of columns also a multiple of it. Tiles start at multiples of
        the smaller of the block and `GRID`.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def left_block(self) -> int: ...  # noqa: D102
    @property
    def right_block(self) -> int: ...  # noqa: D102

    def worker(self) -> TileWorker:
        """Make a worker of its own scratch memory."""
        ...


class Panels:
    """Normalised float32 rows of one side, by position; kept in memory when they are small.

    Parameters
    ----------
    unit : UnitRows
        The embeddings.
    rows : int64 [n]
        Row numbers by position.
    keep_bytes : int
        Up to this size the normalised side is made once instead of panel by panel.
    """

    def __init__(self, unit: UnitRows, rows: IntArray, keep_bytes: int) -> None:
        self._unit = unit
        self._rows = rows
        self._copy: Float32Array | None = unit.take(rows) if len(rows) * unit.width * 4 <= keep_bytes else None

    def __getitem__(self, positions: slice) -> Float32Array:
        return self._unit.take(self._rows[positions]) if self._copy is None else self._copy[positions]


EMPTY: Candidates = (np.empty(0, np.int64), np.empty(0, np.int64))
