"""The histogram of impostor scores: a pass of its own, since counting every pair is what the filters avoid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_facechallenge.verification.backends.products import float_product
from pytest_facechallenge.verification.genuine import histogram_of
from pytest_facechallenge.verification.parts import tiles, whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_facechallenge.verification.protocol import PairPlan
    from pytest_facechallenge.verification.rows import IntArray, UnitRows

_BLOCK = 512


def impostor_histogram(
    unit: UnitRows, plan: PairPlan, *, bins: int, max_pairs: int, seed: int
) -> tuple[IntArray, int, bool]:
    """Count impostor scores, of float32 products, in equal bins over [-1, 1].

    Up to `max_pairs` pairs (genuine ones included) the count is of every impostor pair. Beyond, blocks of up to
    512 x 512 pairs are scored whose rows are drawn at random, without replacement within a block, until about
    `max_pairs` pairs are scored; a pair can then come up in more than one block, and of all-to-all in both directions.

    Parameters
    ----------
    unit, plan
        What is compared.
    bins : int
        Number of bins.
    max_pairs : int
        Where sampling begins, and about how many pairs a sample scores.
    seed : int
        Of the sample.

    Returns
    -------
    histogram : int64 [bins]
    scored : int
        Its sum: impostor pairs that were scored.
    sampled : bool
        Whether it is of a sample.
    """
    sampled = plan.counts.genuine + plan.counts.impostor > max_pairs
    histogram = np.zeros(bins, np.int64)
    product = float_product()
    for left, right in _random_blocks(plan, max_pairs, seed) if sampled else _all_blocks(plan):
        scores = np.empty((len(left), len(right)), np.float32)
        product(unit.take(plan.left.rows[left]), unit.take(plan.right.rows[right]), scores)
        counted = plan.left.identities[left][:, None] != plan.right.identities[right]
        if plan.symmetric and not sampled:
            counted &= left[:, None] < right
        histogram += histogram_of(scores[counted].astype(np.float64), bins)
    return histogram, int(histogram.sum()), sampled


def _all_blocks(plan: PairPlan) -> Iterator[tuple[IntArray, IntArray]]:
    for tile in tiles(whole(plan), _BLOCK, _BLOCK, symmetric=plan.symmetric):
        yield np.arange(tile.left_start, tile.left_stop), np.arange(tile.right_start, tile.right_stop)


def _random_blocks(plan: PairPlan, max_pairs: int, seed: int) -> Iterator[tuple[IntArray, IntArray]]:
    rng = np.random.default_rng(seed)
    scored = 0
    while scored < max_pairs:
        left, right = (
            np.sort(rng.choice(len(side), min(len(side), _BLOCK), replace=False)) for side in (plan.left, plan.right)
        )
        scored += len(left) * len(right)
        yield left, right
