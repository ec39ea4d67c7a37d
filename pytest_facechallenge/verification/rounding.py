"""How far a score computed in float32 can lie from the score that decides: what makes float32 a safe filter."""

from __future__ import annotations

_U32 = 2.0**-24

SMALLEST_NORM, LARGEST_NORM = 1e-9, 1e9
"""Rows whose norms lie between these neither overflow nor lose digits to underflow in a float32 dot product."""


def float32_margin(width: int) -> float:
    """Bound |float32 product - deciding float64 score| for two unit rows of `width` values.

    With u = 2**-24, a dot product of n terms, summed in any order and with or without fused multiply-add, errs by at
    most g |x|.|y| with g = n u / (1 - n u) (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section
    3.1), and |x|.|y| <= ||x|| ||y|| by Cauchy-Schwarz. The rows are normalised in float64 and then rounded to float32,
    so ||x|| <= 1 + 2u, and (1 + 2u)**2 < 1.001 amply. Products that underflow, flushed to zero or not, add at most
    n 2**-126. The float64 score errs by g with u = 2**-53 in its turn.
    """
    error = 0.0
    for unit_roundoff in (_U32, 2.0**-53):
        share = width * unit_roundoff
        if share >= 0.5:  # more than 8 million values: the bound says nothing, so nothing is filtered
            return float("inf")
        error += share / (1 - share)
    return 1.001 * error + width * 2.0**-126


def raw_margin(width: int) -> float:
    """Bound |float32 dot product of two raw rows over their norms - deciding float64 score|.

    As `float32_margin`, of rows that were not normalised first: the deciding score is of rows that were rounded to
    float32 once more, by a factor of at most 1 +- u in each value, so another (2u + u**2) ||x|| ||y|| comes in. What
    underflows adds width 2**-126 over the product of the norms, which is below 1e-19 width for norms within
    `SMALLEST_NORM` and `LARGEST_NORM`.
    """
    return float32_margin(width) + 3 * _U32 + 1e-19 * width
