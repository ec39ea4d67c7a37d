"""From counts of scores to the result at an operating point; shared by all protocols."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pytest_facechallenge.verification.intervals import tar_interval
from pytest_facechallenge.verification.results import TarAtFar
from pytest_facechallenge.verification.tail import EPS

if TYPE_CHECKING:
    from pytest_facechallenge.core.identity_counts import IdentityCounts
    from pytest_facechallenge.verification.operating_point import OperatingPoint
    from pytest_facechallenge.verification.rows import Float64Array, IntArray


LIMITS = 4
"""Thresholds of a point that genuine pairs are compared with (`Boundary.limits`)."""


class ImpostorScores(Protocol):
    """What a point needs to know of impostor scores near its threshold (an `ImpostorTail`, say)."""

    def largest(self) -> Float64Array:
        """Give the largest scores, descending."""
        ...

    def count(self, low: float, high: float) -> int:
        """Count scores in low … high, both included."""
        ...


@dataclasses.dataclass(frozen=True)
class Boundary:
    """The threshold of an operating point and the impostor pairs around it; threshold -inf accepts every pair.

    `stricter` is the threshold of half as many false accepts: between the two lies how fast the TAR follows the FAR.
    """

    point: OperatingPoint
    impostor_pairs: int
    allowed: int
    threshold: float
    false_accepts: int
    ties: int
    near: int
    stricter: float = -np.inf
    stricter_false_accepts: int = 0

    @property
    def limits(self) -> tuple[float, float, float, float]:
        """The threshold, it plus and minus eps, and the stricter one: what genuine pairs are compared with."""
        return self.threshold, self.threshold + EPS, self.threshold - EPS, self.stricter


def scores_needed(points: tuple[OperatingPoint, ...], impostor_pairs: int) -> int:
    """Give how many of the largest impostor scores decide all operating points."""
    return max((min(p.allowed_false_accepts(impostor_pairs) + 1, impostor_pairs) for p in points), default=0)


def find_boundary(point: OperatingPoint, impostor_pairs: int, scores: ImpostorScores | None) -> Boundary:
    """Find the threshold: the (K + 1)-th largest impostor score.

    Where all impostor pairs may be accepted (K at least their number) there is no such score, and every pair is
    accepted; so it is, formally, without impostor pairs, where `tar_at_far` then gives no TAR.
    """
    allowed = point.allowed_false_accepts(impostor_pairs)
    if scores is None or allowed >= impostor_pairs:
        return Boundary(point, impostor_pairs, allowed, -np.inf, impostor_pairs, 0, 0)
    largest = scores.largest()
    threshold = float(largest[allowed])
    ties = scores.count(threshold, threshold)
    stricter = float(largest[allowed // 2])
    return Boundary(
        point=point,
        impostor_pairs=impostor_pairs,
        allowed=allowed,
        threshold=threshold,
        false_accepts=int(np.count_nonzero(largest > threshold)),
        ties=ties,
        near=scores.count(threshold - EPS, threshold + EPS) - ties,
        stricter=stricter,
        stricter_false_accepts=int(np.count_nonzero(largest > stricter)),
    )


def tar_at_far(
    boundary: Boundary,
    accepted: IntArray,
    pairs: IntArray,
    *,
    resamples: int,
    seed: int,
    by_identity: IdentityCounts | None = None,
) -> TarAtFar:
    """Put a point's result together.

    Parameters
    ----------
    boundary : Boundary
        Of the point.
    accepted : int64 [4, units]
        Genuine pairs of each identity (or other unit of resampling) above each of `boundary.limits`.
    pairs : int64 [units]
        Genuine pairs of each unit.
    resamples, seed : int
        Of the confidence interval.
    by_identity : IdentityCounts or None
        What each identity contributed, kept with the result.
    """
    point, impostors = boundary.point, boundary.impostor_pairs
    genuine = int(pairs.sum())
    exists = genuine > 0 and impostors > 0
    counts = [int(n) for n in accepted.sum(axis=1)]
    tars = [n / genuine if exists else None for n in counts]
    return TarAtFar(
        operating_point=point,
        allowed_false_accepts=boundary.allowed,
        threshold=boundary.threshold if np.isfinite(boundary.threshold) else None,
        false_accepts=boundary.false_accepts,
        boundary_ties=boundary.ties,
        impostor_pairs_near=boundary.near,
        genuine_pairs_near=counts[2] - counts[1],
        genuine_pairs=genuine,
        genuine_accepted=counts[0] if impostors else None,
        genuine_accepted_at_plus_eps=counts[1] if impostors else None,
        genuine_accepted_at_minus_eps=counts[2] if impostors else None,
        tar=tars[0],
        tar_at_plus_eps=tars[1],
        tar_at_minus_eps=tars[2],
        interval=tar_interval(accepted[0], pairs, resamples=resamples, seed=seed) if exists else None,
        undecided=_undecided(point, genuine, impostors),
        impostor_pairs_needed=point.impostor_pairs_needed,
        impostor_pairs_for_rule_of_30=point.impostor_pairs_for_rule_of_30,
        below_rule_of_30=impostors < point.impostor_pairs_for_rule_of_30,
        by_identity=by_identity,
    )


def _undecided(point: OperatingPoint, genuine: int, impostors: int) -> str | None:
    if impostors < point.impostor_pairs_needed:
        return (
            f"FAR {point.comparison} {point.far} needs at least {point.impostor_pairs_needed:,} impostor pairs, "
            f"and there are {impostors:,}: a testset with more rows or identities would decide it."
        )
    if genuine == 0:
        return "There is no genuine pair: a testset with at least two comparable rows of an identity would decide it."
    return None
