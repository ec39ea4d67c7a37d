"""Second versions of one datum: stacked inside a tensor, or spread over two tensors, with the way they differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.places import relate
from pytest_facechallenge.analyses.implicit_batch.signatures import matches, signatures
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.core.facts.implicit_batch_kinds import Difference, Relation

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class BlockPair:
    """Two blocks of one tensor that hold versions of the same data.

    Attributes
    ----------
    axis, blocks, interleaved
        The tensor's axis is cut into this many blocks, of neighbours or of every n-th index.
    first, second
        Numbers of the two blocks.
    coverage
        Share of the tensor's data that occurs in both.
    difference
        How the second follows from the first.
    """

    axis: int
    blocks: int
    interleaved: bool
    first: int
    second: int
    coverage: float
    difference: Difference


def thin(values: Array, axis: int, limit: int) -> Array:
    """Keep only some indices of ``axis`` (evenly spread) so that one image has at most ``limit`` elements."""
    size = int(np.prod(values.shape[1:]))
    if size == 0:
        return values
    extent = values.shape[axis + 1]
    keep = max(1, min(extent, int(limit * extent / max(1, size))))
    if keep == extent:
        return values
    chosen = np.unique(np.linspace(0, extent - 1, keep).astype(int))
    return np.take(values, chosen, axis=axis + 1)


def duplicate_blocks(
    values: Array,
    contracted: int,
    axes: list[int],
    limits: Thresholds,
    *,
    same_index: bool,
    kept: frozenset[int] = frozenset(),
    seed: int = 7,
) -> list[BlockPair]:
    """Find versions of one thing stacked along one of ``axes``.

    Parameters
    ----------
    values
        Float [probes, *shape of the tensor].
    contracted
        The axis over which the layer sums.
    same_index
        Whether only elements at one index of the contracted axis count as versions: true for versions that the same
        weights meet at different positions, false for versions stacked on channels.
    kept
        Axes along which the layer has weights of its own for each index: only elements at one index count there.

    Returns
    -------
    list of BlockPair
        Best covered first, one per axis at most; identical blocks come last.
    """
    wanted = limits.duplicates
    shape = values.shape[1:]
    axes = [axis for axis in axes if axis not in kept]
    marks, live = signatures(values, limits)
    places = np.flatnonzero(live)
    if len(places) < wanted.fewest or all(_even(values, axis, limits) for axis in axes):
        return []
    random = np.random.default_rng(seed)
    asked = np.sort(random.choice(places, min(wanted.queries, len(places)), replace=False))
    found = matches(marks[asked], marks, limits)
    coordinates = np.array(np.unravel_index(asked, shape)).T
    spread = _spread(coordinates, found, shape, contracted, limits) if same_index else np.zeros(len(asked))
    others: list[Array] = []
    for place, indices in zip(coordinates, found, strict=True):
        if len(indices) > wanted.places:  # padding by the edge, or a broadcast: a sample of the places is enough
            indices = random.choice(indices, wanted.places, replace=False)
        at = np.array(np.unravel_index(indices, shape)).T
        for axis in kept | ({contracted} if same_index else set()):
            at = at[at[:, axis] == place[axis]]
        others.append(at)
    if sum(len(at) > 1 for at in others) < wanted.coverage * len(asked):
        return []
    result = []
    for axis in axes:
        along = np.maximum(spread, _along(axis, coordinates, others, shape, limits))
        best = _best_split(axis, others, values, along, limits)
        if best is not None:
            result.append(best)
    return sorted(result, key=lambda pair: (_identical(pair), -pair.coverage))


def _identical(pair: BlockPair) -> bool:
    """Whether the two are the same in every respect."""
    return pair.difference.relation is Relation.IDENTICAL


def _even(values: Array, axis: int, limits: Thresholds) -> bool:
    """Whether all positions along an axis hold one value: along every axis, it is a pooled vector spread out again."""
    spread = np.ptp(values, axis=axis + 1)
    return bool(spread.max() <= limits.duplicates.even * (np.abs(values).max() + 1e-30))


def _spread(
    coordinates: Array, found: list[Array], shape: tuple[int, ...], contracted: int, limits: Thresholds
) -> Array:
    """Return for each datum at how many places of its channel it stands, 0 where that is no large part of them.

    A datum that stands at every other place is no version of anything: a nearly uniform attention puts it there.
    """
    places = int(np.prod(shape)) // shape[contracted]
    step = int(np.prod(shape[contracted + 1 :]))
    counts = np.array(
        [
            ((indices // step) % shape[contracted] == place[contracted]).sum()
            for place, indices in zip(coordinates, found, strict=True)
        ]
    )
    return np.where(counts > limits.duplicates.spread * places, counts, 0)


def _along(axis: int, coordinates: Array, others: list[Array], shape: tuple[int, ...], limits: Thresholds) -> Array:
    """Return for each datum how often it stands on its own line along an axis, 0 where that is no large part of it."""
    rest = [other for other in range(len(shape)) if other != axis]
    counts = np.array(
        [int((at[:, rest] == place[rest]).all(1).sum()) for place, at in zip(coordinates, others, strict=True)]
    )
    return np.where(counts > limits.duplicates.spread * shape[axis], counts, 0)


def _best_split(axis: int, others: list[Array], values: Array, spread: Array, limits: Thresholds) -> BlockPair | None:
    """Return the best of all ways to cut an axis into blocks; fewer blocks win when they are nearly as good."""
    best: BlockPair | None = None
    extent = values.shape[axis + 1]
    for blocks in (n for n in range(2, limits.duplicates.blocks + 1) if extent % n == 0):
        alone = [at if count <= blocks else at[:0] for at, count in zip(others, spread, strict=True)]
        for interleaved in (False, True) if extent != blocks else (False,):
            found = _split(axis, blocks, interleaved, alone, values, limits)
            if found is None:
                continue
            if best is None or (not _identical(found), found.coverage) > (
                not _identical(best),
                best.coverage + limits.duplicates.better,
            ):
                best = found
    return best


def _split(
    axis: int, blocks: int, interleaved: bool, others: list[Array], values: Array, limits: Thresholds
) -> BlockPair | None:
    """Return two blocks of this cut that hold versions of the same data, different ones if there are."""
    length = values.shape[axis + 1] // blocks
    presence = np.zeros((len(others), blocks), bool)
    for row, at in zip(presence, others, strict=True):
        row[at[:, axis] % blocks if interleaved else at[:, axis] // length] = True
    shared = presence.T.astype(np.float64) @ presence / len(others)
    np.fill_diagonal(shared, 0)
    best: BlockPair | None = None
    covered = np.nonzero(np.triu(shared) >= limits.duplicates.coverage)
    for first, second in list(zip(*covered, strict=True))[: limits.duplicates.pairs]:
        pairs = []
        for at in others:
            block = at[:, axis] % blocks if interleaved else at[:, axis] // length
            ones, twos = at[block == first], at[block == second]
            if len(ones) == 0 or len(twos) == 0:
                continue
            one, two = _local(ones, axis, blocks, length, interleaved), _local(twos, axis, blocks, length, interleaved)
            distance = np.abs(one[:, None, :] - two[None, :, :]).sum(-1)
            i, j = np.unravel_index(distance.argmin(), distance.shape)
            pairs.append((one[i], two[j], ones[i], twos[j]))
        ours, theirs = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])
        equal = _equal(values, [p[2] for p in pairs], [p[3] for p in pairs], limits)
        difference = relate(ours, theirs, equal, limits)
        pair = BlockPair(axis, blocks, interleaved, int(first), int(second), float(shared[first, second]), difference)
        if best is None or (_identical(best) and not _identical(pair)):
            best = pair
        if not _identical(best):
            break
    return best


def _local(at: Array, axis: int, blocks: int, length: int, interleaved: bool) -> Array:
    """Return the places within their own block."""
    local = at.copy()
    local[:, axis] = at[:, axis] // blocks if interleaved else at[:, axis] % length
    return local


def _equal(values: Array, ones: list[Array], twos: list[Array], limits: Thresholds) -> bool:
    """Whether the two versions hold the very same values."""
    a = np.array([values[(slice(None), *place)] for place in ones])
    b = np.array([values[(slice(None), *place)] for place in twos])
    return bool(np.median(np.abs(a - b)) <= limits.duplicates.equal * (np.median(np.abs(a)) + 1e-30))


def across(one: Array, other: Array, limits: Thresholds, seed: int = 7) -> tuple[float, Difference]:
    """Compare two tensors.

    Parameters
    ----------
    one, other
        Float [probes, *shape]; of the same rank.

    Returns
    -------
    (share, difference)
        Share of the first one's data (a sample) that the second holds as well, and how the places differ.
    """
    wanted = limits.duplicates
    marks, live = signatures(one, limits)
    pool, _ = signatures(other, limits)
    places = np.flatnonzero(live)
    if len(places) < wanted.fewest or one.ndim != other.ndim:
        return 0.0, Difference(relation=Relation.REARRANGED)
    random = np.random.default_rng(seed)
    asked = np.sort(random.choice(places, min(wanted.queries, len(places)), replace=False))
    found = matches(marks[asked], pool, limits)
    ours, theirs, gains = [], [], []
    for index, hits in zip(asked, found, strict=True):
        if len(hits) == 0:
            continue
        here = np.array(np.unravel_index(index, one.shape[1:]))
        there = np.array(np.unravel_index(hits, other.shape[1:])).T
        nearest = int(np.abs(there - here).sum(1).argmin())
        ours.append(here)
        theirs.append(there[nearest])
        a, b = one.reshape(len(one), -1)[:, index], other.reshape(len(other), -1)[:, hits[nearest]]
        gains.append(float(np.abs(a - b).max()) <= wanted.equal * (float(np.abs(a).max()) + 1e-30))
    share = len(ours) / len(asked)
    if len(ours) < wanted.fewest_common:
        return share, Difference(relation=Relation.REARRANGED)
    equal = float(np.mean(gains)) > wanted.mostly_equal
    return share, relate(np.array(ours), np.array(theirs), equal, limits)
