"""The definition of the metric, written down as plainly as it can be, and the random cases it is compared on."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.verification import AllToAll, Cross, OperatingPoint, TarAtFar

EPS = 1e-12


def unit_rows(embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Normalise row by row in float64, store as float32, widen again."""
    rows = []
    for row in embeddings:
        wide = row.astype(np.float64)
        rows.append((wide / np.sqrt(np.einsum("i,i->", wide, wide))).astype(np.float32).astype(np.float64))
    return np.array(rows).reshape(embeddings.shape)


def pair_list(identities: npt.NDArray[Any], protocol: AllToAll | Cross) -> list[tuple[int, int]]:
    if isinstance(protocol, Cross):
        return [(int(p), int(g)) for p in protocol.probe for g in protocol.gallery]
    rows = range(len(identities)) if protocol.rows is None else sorted(protocol.rows.tolist())
    return list(itertools.combinations(rows, 2))


def split_scores(
    embeddings: npt.NDArray[np.float32], identities: npt.NDArray[Any], protocol: AllToAll | Cross
) -> tuple[list[float], list[float]]:
    """Give the genuine and the impostor scores, pair by pair."""
    unit = unit_rows(embeddings)
    genuine: list[float] = []
    impostor: list[float] = []
    for i, j in pair_list(identities, protocol):
        score = float(np.einsum("i,i->", unit[i], unit[j]))
        (genuine if identities[i] == identities[j] else impostor).append(score)
    return genuine, impostor


def allowed(point: OperatingPoint, negatives: int) -> int:
    """Search K, the most false accepts that a rate allows."""
    far = Fraction(point.far)
    fits = [k for k in range(negatives + 1) if (Fraction(k, negatives) < far or Fraction(k, negatives) == far != 0)]
    largest = max(fits)
    return largest - 1 if point.comparison == "<" and Fraction(largest, negatives) == far else largest


def check_point(point: TarAtFar, genuine: list[float], impostor: list[float]) -> None:
    """Compare a result with the definition."""
    assert point.genuine_pairs == len(genuine)
    if not impostor:
        assert (point.tar, point.threshold, point.genuine_accepted) == (None, None, None)
        assert point.undecided is not None
        return
    k = allowed(point.operating_point, len(impostor))
    assert point.allowed_false_accepts == k
    descending = sorted(impostor, reverse=True)
    if k >= len(impostor):
        assert point.threshold is None
        threshold = -np.inf
    else:
        threshold = descending[k]
        assert point.threshold == threshold
        assert point.boundary_ties == impostor.count(threshold)
        near = [s for s in impostor if threshold - EPS <= s <= threshold + EPS]
        assert point.impostor_pairs_near == len(near) - point.boundary_ties
    assert point.false_accepts == sum(s > threshold for s in impostor) <= k
    accepted = [sum(s > limit for s in genuine) for limit in (threshold, threshold + EPS, threshold - EPS)]
    assert [
        point.genuine_accepted,
        point.genuine_accepted_at_plus_eps,
        point.genuine_accepted_at_minus_eps,
    ] == accepted
    assert point.genuine_pairs_near == accepted[2] - accepted[1]
    assert point.tar == (accepted[0] / len(genuine) if genuine else None)
    assert (point.undecided is None) == (len(impostor) * Fraction(point.operating_point.far) >= 1 and bool(genuine))


def random_case(
    rng: np.random.Generator, rows: int, width: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], AllToAll | Cross]:
    """Make a case with duplicates, ties, near-ties, odd scales and overlapping identities, each some of the time."""
    identities = rng.integers(-3, rng.choice([-2, 0, 3, 40]), rows)
    kind = rng.integers(5)
    if kind == 0:  # few directions: many equal rows
        x = rng.standard_normal((3, width))[rng.integers(0, rng.integers(1, 4), rows)]
    elif kind == 1:  # coarse values: many equal scores of unequal rows
        x = rng.integers(-1, 2, (rows, width)).astype(float)
        x[~x.any(axis=1), 0] = 1
    elif kind == 2:  # people with some noise
        x = rng.standard_normal((50, width))[identities % 50] + 0.5 * rng.standard_normal((rows, width))
    elif kind == 3:  # near-ties: rows that differ in the last bits
        x = np.ones((rows, width)) + 1e-7 * rng.integers(-2, 3, (rows, width))
    else:  # spiky and flat rows together: the worst for one quantisation scale
        x = rng.standard_normal((rows, width)) ** rng.choice([1, 3, 9], (rows, 1))
    if rng.random() < 0.3:  # copies, some of them of other identities
        x = x[rng.integers(0, rows, rows)]
    x = x * 10.0 ** rng.choice([0, 0, -15, 15], (rows, 1))
    x[~x.astype(np.float32).any(axis=1)] = 1
    protocol: AllToAll | Cross = AllToAll()
    draw = rng.random()
    if draw < 0.4:
        order = rng.permutation(rows)
        cut = int(rng.integers(1, rows))
        protocol = Cross(probe=order[:cut], gallery=order[cut:])
    elif draw < 0.5:
        protocol = AllToAll(rows=rng.permutation(rows)[: rng.integers(1, rows + 1)])
    return x.astype(np.float32), identities, protocol
