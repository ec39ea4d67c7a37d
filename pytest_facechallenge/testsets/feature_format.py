"""The feature file of LFR19: four little-endian int32 (rows, columns, columns * 4, 5), then float32 rows.

As written by ``write_bin`` of the organisers' gen_image_feature.py and gen_video_feature.py.
"""

from __future__ import annotations

import contextlib
import os
import struct
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from pytest_facechallenge.core.files import open_regular

HEADER_BYTES = 16
#: The fourth number of the header: OpenCV's code of a one-channel float32 matrix.
KIND = 5

#: Values of the longest row that is read: 128 times the longest that a challenge allows.
MAX_COLS = 65_536

_HEADER = struct.Struct("<4i")
_BLOCK = 8192


class FeatureFileError(ValueError):
    """A file that is too damaged to have rows; the message says what was expected and found."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The four numbers, and the file's size in bytes."""

    rows: int
    cols: int
    stride: int
    kind: int
    bytes: int

    @property
    def complete_rows(self) -> int:
        """How many whole rows of ``cols`` values follow the header."""
        return (self.bytes - HEADER_BYTES) // (4 * self.cols) if self.cols > 0 else 0

    def problems(self) -> tuple[str, ...]:
        """Say what is wrong with the header, a sentence each; empty when it is as the organisers' script writes it."""
        found = []
        if self.rows <= 0 or self.cols <= 0:
            found.append(f"rows and columns must be above 0, found {self.rows} and {self.cols}")
        if self.stride != 4 * self.cols:
            found.append(f"the third number must be columns * 4 = {4 * self.cols}, found {self.stride}")
        if self.kind != KIND:
            found.append(f"the fourth number must be {KIND} (float32), found {self.kind}")
        expected = HEADER_BYTES + 4 * self.rows * self.cols
        if not found and self.bytes != expected:
            found.append(
                f"{self.rows:,} rows of {self.cols} values are {expected:,} bytes with the header, the file has "
                f"{self.bytes:,}"
            )
        return tuple(found)


def read_header(path: Path) -> Header:
    """Read the header of a feature file.

    Raises
    ------
    FeatureFileError
        The file is shorter than a header.
    OSError
        It cannot be read.
    """
    with open_regular(path) as file:
        head = file.read(HEADER_BYTES)
        size = os.fstat(file.fileno()).st_size
    if len(head) < HEADER_BYTES:
        raise FeatureFileError(f"{path}: expected a header of {HEADER_BYTES} bytes, the file has {len(head)}")
    rows, cols, stride, kind = _HEADER.unpack(head)
    return Header(rows=rows, cols=cols, stride=stride, kind=kind, bytes=size)


def map_rows(path: Path, header: Header) -> npt.NDArray[np.float32]:
    """Return the rows that are there, at most as many as announced: float32 [n, cols], memory-mapped, read-only.

    Raises
    ------
    FeatureFileError
        There is no whole row.
    """
    if header.cols > MAX_COLS:
        raise FeatureFileError(f"{path}: rows of at most {MAX_COLS:,} values are read, the header says {header.cols:,}")
    rows = min(header.complete_rows, header.rows) if header.rows > 0 else header.complete_rows
    if rows <= 0:
        raise FeatureFileError(f"{path}: expected rows of {header.cols} float32 values after the header, found none")
    with open_regular(path) as file:
        try:
            return np.memmap(file, dtype="<f4", mode="r", offset=HEADER_BYTES, shape=(rows, header.cols))
        except (ValueError, OverflowError) as error:  # it is shorter now than it was, or longer than can be mapped
            raise FeatureFileError(
                f"{path}: {rows:,} rows of {header.cols:,} values cannot be read: {error}"
            ) from error


def write_features(path: Path, rows: npt.NDArray[np.float32]) -> None:
    """Write a feature file; a reader sees all of it or nothing.

    Parameters
    ----------
    rows : float32 [N, D]
        Written as they are, in pieces; normalising is the embedding's business.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    try:
        with temporary.open("wb") as file:
            file.write(_HEADER.pack(rows.shape[0], rows.shape[1], 4 * rows.shape[1], KIND))
            for start in range(0, len(rows), _BLOCK):
                file.write(np.ascontiguousarray(rows[start : start + _BLOCK], dtype="<f4").data)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
