"""Second versions of one datum: stacked inside a tensor, or spread over two tensors, with the way they differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.signatures import matches, signatures

Array = npt.NDArray[Any]

#: Elements asked for their other versions.
QUERIES = 256

#: Elements of one tensor that are compared at most; of a larger one, some channels are taken.
POOL = 240_000

#: Two blocks are versions of one thing when this share of all data occurs in both (a crop keeps at least this much;
#: the halo of a window, or the padding by reflection, is far less).
COVERAGE = 0.4

#: Places of one datum that are looked at.
SHOWN = 96

#: Share of a channel's places from which a datum that stands there more often than once a version is none.
SPREAD = 0.25

#: A stack is looked for as this many blocks along an axis, at most.
BLOCKS = 16


@dataclass(frozen=True)
class Relation:
    """How one version follows from the other.

    Attributes
    ----------
    kind
        "identical" (values too), "rescaled" (same place, other gain), "mirrored", "upside down", "rotated",
        "shifted", "scaled" (zoom) or "rearranged".
    words
        The same for a reader, with numbers.
    """

    kind: str
    words: str
    shift: tuple[int, ...] = ()


@dataclass(frozen=True)
class Stack:
    """Two blocks of one tensor that hold versions of the same data.

    Attributes
    ----------
    axis, blocks, interleaved
        The tensor's axis is cut into this many blocks, of neighbours or of every n-th index.
    first, second
        Numbers of the two blocks.
    coverage
        Share of the tensor's data that occurs in both.
    """

    axis: int
    blocks: int
    interleaved: bool
    first: int
    second: int
    coverage: float
    relation: Relation


def thin(values: Array, axis: int, limit: int = POOL) -> Array:
    """Keep only some indices of ``axis`` (evenly spread) so that one probe has at most ``limit`` elements."""
    size = int(np.prod(values.shape[1:]))
    if size == 0:
        return values
    extent = values.shape[axis + 1]
    keep = max(1, min(extent, int(limit * extent / max(1, size))))
    if keep == extent:
        return values
    chosen = np.unique(np.linspace(0, extent - 1, keep).astype(int))
    return np.take(values, chosen, axis=axis + 1)


def stacks(
    values: Array,
    contracted: int,
    axes: list[int],
    *,
    same_index: bool,
    kept: frozenset[int] = frozenset(),
    seed: int = 7,
) -> list[Stack]:
    """Find versions stacked along one of ``axes``.

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
    list of Stack
        Best covered first, one per axis at most; identical blocks come last.
    """
    shape = values.shape[1:]
    axes = [axis for axis in axes if axis not in kept]
    marks, live = signatures(values)
    places = np.flatnonzero(live)
    if len(places) < 32 or all(_even(values, axis) for axis in axes):
        return []
    random = np.random.default_rng(seed)
    asked = np.sort(random.choice(places, min(QUERIES, len(places)), replace=False))
    found = matches(marks[asked], marks)
    coordinates = np.array(np.unravel_index(asked, shape)).T
    spread = _spread(coordinates, found, shape, contracted) if same_index else np.zeros(len(asked))
    others: list[Array] = []
    for place, indices in zip(coordinates, found, strict=True):
        if len(indices) > SHOWN:  # padding by the edge, or a broadcast: a sample of the places is enough
            indices = random.choice(indices, SHOWN, replace=False)
        at = np.array(np.unravel_index(indices, shape)).T
        for axis in kept | ({contracted} if same_index else set()):
            at = at[at[:, axis] == place[axis]]
        others.append(at)
    if sum(len(at) > 1 for at in others) < COVERAGE * len(asked):
        return []
    result = []
    for axis in axes:
        best = _best_split(axis, shape, others, values, np.maximum(spread, _along(axis, coordinates, others, shape)))
        if best is not None:
            result.append(best)
    return sorted(result, key=lambda stack: (stack.relation.kind == "identical", -stack.coverage))


def _even(values: Array, axis: int) -> bool:
    """Whether all positions along an axis hold one value: along every axis, it is a pooled vector spread out again."""
    spread = np.ptp(values, axis=axis + 1)
    return bool(spread.max() <= 1e-5 * (np.abs(values).max() + 1e-30))


def _spread(coordinates: Array, found: list[Array], shape: tuple[int, ...], contracted: int) -> Array:
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
    return np.where(counts > SPREAD * places, counts, 0)


def _along(axis: int, coordinates: Array, others: list[Array], shape: tuple[int, ...]) -> Array:
    """Return for each datum how often it stands on its own line along an axis, 0 where that is no large part of it."""
    rest = [other for other in range(len(shape)) if other != axis]
    counts = np.array(
        [int((at[:, rest] == place[rest]).all(1).sum()) for place, at in zip(coordinates, others, strict=True)]
    )
    return np.where(counts > SPREAD * shape[axis], counts, 0)


def _best_split(axis: int, shape: tuple[int, ...], others: list[Array], values: Array, spread: Array) -> Stack | None:
    best: Stack | None = None
    extent = shape[axis]
    for blocks in (n for n in range(2, BLOCKS + 1) if extent % n == 0):
        for interleaved in (False, True) if extent != blocks else (False,):
            alone = [at if count <= blocks else at[:0] for at, count in zip(others, spread, strict=True)]
            found = _split(axis, blocks, interleaved, shape, alone, values)
            if found is None:
                continue
            better = best is None or (
                (found.relation.kind != "identical", found.coverage)
                > (best.relation.kind != "identical", best.coverage + 0.02)
            )
            if better:
                best = found
    return best


def _split(
    axis: int, blocks: int, interleaved: bool, shape: tuple[int, ...], others: list[Array], values: Array
) -> Stack | None:
    length = shape[axis] // blocks
    presence = np.zeros((len(others), blocks), bool)
    for row, at in zip(presence, others, strict=True):
        row[at[:, axis] % blocks if interleaved else at[:, axis] // length] = True
    shared = presence.T.astype(np.float64) @ presence / len(others)
    np.fill_diagonal(shared, 0)
    best: Stack | None = None
    for first, second in list(zip(*np.nonzero(np.triu(shared) >= COVERAGE), strict=True))[:12]:
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
        gain = _gain(values, [p[2] for p in pairs], [p[3] for p in pairs])
        relation = relate(ours, theirs, gain)
        stack = Stack(axis, blocks, interleaved, int(first), int(second), float(shared[first, second]), relation)
        if best is None or (best.relation.kind == "identical" and relation.kind != "identical"):
            best = stack
        if best.relation.kind != "identical":
            break
    return best


def _local(at: Array, axis: int, blocks: int, length: int, interleaved: bool) -> Array:
    local = at.copy()
    local[:, axis] = at[:, axis] // blocks if interleaved else at[:, axis] % length
    return local


def _gain(values: Array, ones: list[Array], twos: list[Array]) -> bool:
    """Whether the two versions hold the very same values."""
    a = np.array([values[(slice(None), *place)] for place in ones])
    b = np.array([values[(slice(None), *place)] for place in twos])
    return bool(np.median(np.abs(a - b)) <= 1e-4 * (np.median(np.abs(a)) + 1e-30))


def relate(ours: Array, theirs: Array, equal: bool) -> Relation:
    """Say how the places of one version follow from those of the other.

    Parameters
    ----------
    ours, theirs
        Integer [pairs, axes]: places of the same datum in the two versions.
    equal
        Whether the values agree too.
    """
    rank = ours.shape[1]
    names = {rank - 1: "width", rank - 2: "height"} if rank >= 4 else {i: f"axis {i}" for i in range(rank)}
    flips, shifts, zooms, odd = [], [], [], 0
    for axis in range(rank):
        a, b = ours[:, axis].astype(float), theirs[:, axis].astype(float)
        if np.mean(a == b) > 0.9:
            continue
        if np.ptp(a) == 0 or np.ptp(b) == 0:
            odd += 1
            continue
        if _constant(a + b) and not _constant(b - a):
            flips.append(axis)
            continue
        step = _step(a, b)
        if step is not None:
            if step != 0:
                shifts.append((axis, step))
            continue
        slope, offset = np.polyfit(a, b, 1)
        straight = np.mean(np.abs(b - slope * a - offset) < 1.0) >= 0.85
        if straight and slope > 0.2 and abs(slope - 1) > 0.05 and np.ptp(a) >= 8:
            zooms.append((axis, float(slope)))
        else:
            odd += 1
    if odd:
        swapped = rank >= 2 and _swapped(ours[:, -2:].astype(float), theirs[:, -2:].astype(float))
        kind = "rotated" if swapped else "rearranged"
        return Relation(kind, "rotated or transposed" if swapped else "rearranged")
    if flips:
        words = "mirrored along the " + " and the ".join(names.get(axis, f"axis {axis}") for axis in flips)
        kind = "rotated" if len(flips) == 2 else "upside down" if flips == [rank - 2] and rank >= 4 else "mirrored"
        return Relation(kind, words)
    if zooms:
        return Relation("scaled", "zoomed by " + ", ".join(f"{slope:.2f}" for _, slope in zooms))
    if shifts:
        words = " and ".join(f"{by:+d} along the {names.get(axis, f'axis {axis}')}" for axis, by in shifts)
        steps = dict(shifts)
        if 0 in steps:  # from row to row: windows that overlap, not a version of the whole
            return Relation("rearranged", f"shifted by {words}", tuple(steps.get(axis, 0) for axis in range(rank)))
        return Relation("shifted", f"shifted by {words}", tuple(steps.get(axis, 0) for axis in range(rank)))
    return Relation("identical", "unchanged") if equal else Relation("rescaled", "changed in brightness or contrast")


def _constant(values: Array) -> bool:
    """Whether most are one value."""
    return int(np.unique(values, return_counts=True)[1].max()) >= 0.8 * len(values)


def _step(a: Array, b: Array) -> int | None:
    """Return the one step from ``a`` to ``b``; it may wrap around (a roll). None when there is none."""
    steps, counts = np.unique(b - a, return_counts=True)
    order = np.argsort(-counts)
    if counts[order[0]] >= 0.85 * len(a):
        return int(steps[order[0]])
    if len(steps) > 1 and counts[order[:2]].sum() >= 0.9 * len(a):
        one, two = steps[order[0]], steps[order[1]]
        if one * two < 0 and abs(one - two) >= 0.8 * (np.ptp(a) + 1):
            return int(one)
    return None


def _swapped(ours: Array, theirs: Array) -> bool:
    if min(np.ptp(ours[:, 0]), np.ptp(ours[:, 1]), np.ptp(theirs[:, 0]), np.ptp(theirs[:, 1])) == 0:
        return False
    cross = np.corrcoef(np.hstack([ours, theirs]).T)[:2, 2:]
    return bool(abs(cross[0, 1]) > 0.95 and abs(cross[1, 0]) > 0.95)


def across(one: Array, other: Array, seed: int = 7) -> tuple[float, Relation]:
    """Compare two tensors.

    Parameters
    ----------
    one, other
        Float [probes, *shape]; of the same rank.

    Returns
    -------
    (share, relation)
        Share of the first one's data (a sample) that the second holds as well, and how the places differ.
    """
    marks, live = signatures(one)
    pool, _ = signatures(other)
    places = np.flatnonzero(live)
    if len(places) < 32 or one.ndim != other.ndim:
        return 0.0, Relation("rearranged", "not comparable")
    random = np.random.default_rng(seed)
    asked = np.sort(random.choice(places, min(QUERIES, len(places)), replace=False))
    found = matches(marks[asked], pool)
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
        gains.append(float(np.abs(a - b).max()) <= 1e-4 * (float(np.abs(a).max()) + 1e-30))
    share = len(ours) / len(asked)
    if len(ours) < 8:
        return share, Relation("rearranged", "nothing in common")
    return share, relate(np.array(ours), np.array(theirs), float(np.mean(gains)) > 0.5)
