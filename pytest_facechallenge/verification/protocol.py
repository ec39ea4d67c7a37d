"""Which pairs are compared: all-to-all or cross, as positions sorted by identity, and their exact counts."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt

from pytest_facechallenge.verification.errors import ProtocolError

if TYPE_CHECKING:
    from pytest_facechallenge.verification.rows import IntArray


@dataclasses.dataclass(frozen=True, kw_only=True)
class AllToAll:
    """Every unordered pair of different rows, as in ICCV21-MFR's all-to-all 1:1 protocol.

    Parameters
    ----------
    rows : int [n] or bool [N] or None
        The rows that take part (a group of the testset, say); None for all.
    """

    rows: npt.NDArray[Any] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cross:
    """Every pair of a probe row and a gallery row, as in ICCV21-MFR's mask-to-nonmask 1:1 protocol.

    Parameters
    ----------
    probe, gallery : int [n] or bool [N]
        The rows of each side; no row may be in both. The sides may share identities (those are the genuine pairs).
    """

    probe: npt.NDArray[Any]
    gallery: npt.NDArray[Any]


Protocol = AllToAll | Cross


class PairCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many pairs a protocol compares.

    `genuine` and `impostor` are the counts that decide: unordered pairs i < j for all-to-all, probe x gallery for
    cross. The ``_ordered`` counts take (i, j) and (j, i) for two, as some published tables do: twice as many for
    all-to-all, the same for cross, where a pair has one direction only.
    """

    genuine: int
    impostor: int
    genuine_ordered: int
    impostor_ordered: int


@dataclasses.dataclass(frozen=True)
class Side:
    """One side of a protocol: rows in the order of their identities, so that genuine pairs lie close together.

    Attributes
    ----------
    rows : int64 [n]
        Row numbers of the embeddings.
    identities : int64 [n]
        Ordinals of their identities, ascending; the same ordinals on both sides.
    """

    rows: IntArray
    identities: IntArray

    def __len__(self) -> int:
        return len(self.rows)


@dataclasses.dataclass(frozen=True)
class PairPlan:
    """The pairs of a protocol as positions on two sides.

    Attributes
    ----------
    left, right : Side
        The same object for all-to-all, where only positions left < right are pairs; probe and gallery for cross.
    first, last : int64 [len(left)]
        The genuine partners of each left position are the right positions first <= p < last.
    identity_count : int
        Identities on either side.
    """

    left: Side
    right: Side
    symmetric: bool
    first: IntArray
    last: IntArray
    identity_count: int
    counts: PairCounts


def plan_pairs(identities: npt.NDArray[Any], protocol: Protocol) -> PairPlan:
    """Work out the pairs of a protocol.

    Parameters
    ----------
    identities : int [N]
        The identity of each row of the embeddings.
    protocol : AllToAll or Cross
        What is compared.

    Raises
    ------
    ProtocolError
        When identities are not integers, a row is out of range or named twice, or probe and gallery share a row.
    """
    if identities.ndim != 1 or not np.issubdtype(identities.dtype, np.integer):
        msg = f"Identities must be integers [N]; found {identities.dtype} {list(identities.shape)}."
        raise ProtocolError(msg)
    if isinstance(protocol, AllToAll):
        rows = np.arange(len(identities)) if protocol.rows is None else _row_numbers(protocol.rows, len(identities))
        names, ordinals = np.unique(identities[rows], return_inverse=True)
        left = right = _side(rows, ordinals)
    else:
        probe, gallery = (_row_numbers(side, len(identities)) for side in (protocol.probe, protocol.gallery))
        if (shared := np.intersect1d(probe, gallery)).size:
            msg = f"No row may be both probe and gallery; {shared.size} are, row {shared[0]} is the first."
            raise ProtocolError(msg)
        names, ordinals = np.unique(identities[np.concatenate([probe, gallery])], return_inverse=True)
        left, right = _side(probe, ordinals[: len(probe)]), _side(gallery, ordinals[len(probe) :])
    symmetric = left is right
    first = np.searchsorted(right.identities, left.identities, side="left")
    last = np.searchsorted(right.identities, left.identities, side="right")
    if symmetric:
        first = np.arange(1, len(left) + 1)
    genuine = int((last - first).sum())
    pairs = len(left) * (len(left) - 1) // 2 if symmetric else len(left) * len(right)
    directions = 2 if symmetric else 1
    counts = PairCounts(
        genuine=genuine,
        impostor=pairs - genuine,
        genuine_ordered=directions * genuine,
        impostor_ordered=directions * (pairs - genuine),
    )
    return PairPlan(left, right, symmetric, first, last, len(names), counts)


def _side(rows: IntArray, ordinals: IntArray) -> Side:
    order = np.argsort(ordinals, kind="stable")
    return Side(rows[order].astype(np.int64), ordinals[order].astype(np.int64))


def _row_numbers(rows: npt.NDArray[Any], count: int) -> IntArray:
    if rows.ndim == 1 and rows.dtype == np.bool_ and len(rows) == count:
        return np.flatnonzero(rows)
    if rows.ndim != 1 or not np.issubdtype(rows.dtype, np.integer):
        msg = f"Rows must be row numbers [n] or a mask [{count}]; found {rows.dtype} {list(rows.shape)}."
        raise ProtocolError(msg)
    numbers: IntArray = rows.astype(np.int64)
    if numbers.size and (numbers.min() < 0 or numbers.max() >= count):
        msg = f"Row numbers must lie in 0 … {count - 1}; found {numbers.min()} … {numbers.max()}."
        raise ProtocolError(msg)
    if len(np.unique(numbers)) != len(numbers):
        msg = f"Each row may be named once; {len(numbers)} are named, {len(np.unique(numbers))} of them different."
        raise ProtocolError(msg)
    return numbers
