"""What each identity contributed to an operating point: kept with a TAR, so that two networks can be compared later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.core.identity_counts import IdentityCounts
from pytest_facechallenge.core.packed import pack
from pytest_facechallenge.verification.false_accepts import SampledAccepts, share_of

if TYPE_CHECKING:
    from pytest_facechallenge.verification.points import Boundary
    from pytest_facechallenge.verification.protocol import PairPlan
    from pytest_facechallenge.verification.rows import IntArray

_MOST_NUMBER = 1 << 62


def identity_counts(
    identities: npt.NDArray[Any],
    plan: PairPlan,
    boundary: Boundary,
    accepted: IntArray,
    pairs: IntArray,
    sample: SampledAccepts,
    keep: int,
) -> IdentityCounts | None:
    """Return the counts of a point by identity; None where there is no threshold or no genuine pair.

    Parameters
    ----------
    identities : int [N]
        The identity of each row of the embeddings.
    plan, boundary
        What was compared, and the point's thresholds.
    accepted : int64 [4, ids]
        Genuine pairs of each identity above each of `boundary.limits`.
    pairs : int64 [ids]
        Genuine pairs of each identity.
    sample, keep
        The sample of a pass that kept so many scores.
    """
    if not np.isfinite(boundary.threshold) or not pairs.any():
        return None
    count = plan.identity_count
    numbers = np.zeros(count, np.int64)
    for side in (plan.left, plan.right):
        numbers[side.identities] = identities[side.rows]
    if numbers[0] < 0 or numbers[-1] > _MOST_NUMBER:
        numbers = np.arange(count)  # testsets number identities from 0; whoever does otherwise compares one set alone
    above = sample.scores > boundary.threshold
    found, counts = np.unique(sample.one[above] * count + sample.other[above], return_counts=True)
    return IdentityCounts(
        identities=pack(np.diff(numbers, prepend=0)),
        all_false_accepts=boundary.false_accepts,
        genuine=pack(pairs),
        accepted=pack(accepted[0]),
        impostor=pack(impostor_pairs(plan)),
        false_accepts=pack(np.diff(found, prepend=0)),
        false_accept_counts=pack(counts.astype(np.int64)),
        share=share_of(keep),
        stricter_false_accepts=boundary.stricter_false_accepts,
        stricter_accepted=int(accepted[3].sum()),
    )


def impostor_pairs(plan: PairPlan) -> IntArray:
    """Return the impostor pairs that an image of each identity is in: int64 [ids]; their sum is twice the pairs."""
    left = np.bincount(plan.left.identities, minlength=plan.identity_count).astype(np.int64)
    if plan.symmetric:
        return left * (len(plan.left) - left)
    right = np.bincount(plan.right.identities, minlength=plan.identity_count).astype(np.int64)
    return left * (len(plan.right) - right) + right * (len(plan.left) - left)
