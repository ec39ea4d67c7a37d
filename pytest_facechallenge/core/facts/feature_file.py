"""Facts of the step ``features``: what an LFR19 feature file holds."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from pytest_facechallenge.core.facts.accuracy import SetResult
from pytest_facechallenge.core.facts.base import StepFacts


class Norms(msgspec.Struct, frozen=True, kw_only=True):
    """L2 norms of the finite rows; ``off_unit`` rows differ from 1 by more than ``tolerance``."""

    smallest: float
    largest: float
    mean: float
    off_unit: int
    tolerance: float


class FeatureFileFacts(StepFacts, frozen=True, kw_only=True):
    """What a feature file holds.

    Attributes
    ----------
    path
        As given; empty when no feature file was supplied.
    error
        Why it has no rows to look at; empty when it has.
    header
        (rows, columns, columns * 4, 5) as stored.
    header_problems
        What is wrong with it, a sentence each.
    rows, width
        Whole rows that are there (at most as many as announced), and the values in each.
    non_finite_rows, zero_rows
        How many rows have NaN or infinite values, or zeros only; ``first_bad_rows`` are the first, counted from 0.
    score
        TAR at the operating points, when labels were given; its ``error`` says why there is none.
    """

    step: ClassVar[str] = "feature_file"

    path: str = ""
    error: str = ""
    bytes: int = 0
    header: tuple[int, int, int, int] | None = None
    header_problems: tuple[str, ...] = ()
    rows: int = 0
    width: int = 0
    non_finite_rows: int = 0
    zero_rows: int = 0
    first_bad_rows: tuple[int, ...] = ()
    norms: Norms | None = None
    labels: str = ""
    score: SetResult | None = None
