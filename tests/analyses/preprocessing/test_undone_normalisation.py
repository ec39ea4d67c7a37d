"""Rule preprocessing on graphs that make wide again what the server normalised."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_facechallenge.checks.preprocessing import preprocessing
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.outcome import Status
from tests.analyses.preprocessing.test_preprocessing import f, facts_of, model_of, rule


@pytest.mark.parametrize(
    ("factors", "status", "words"),
    [
        ((127.5, 127.5, 127.5), Status.PASSED, "undoes the server's normalisation"),
        ((128.0, 130.0, 120.0), Status.PASSED, "undoes the server's normalisation"),
        ((255.0, 255.0, 255.0), Status.FAILED, "as for pixels of 0 to 1"),
        ((127.5, 127.5, 150.0), Status.UNDECIDED, "unusual"),
        ((1000.0, 1000.0, 1000.0), Status.UNDECIDED, "unusual"),
    ],
)
def test_a_graph_that_makes_normalised_pixels_wide_again(
    factors: tuple[float, ...], status: Status, words: str, tmp_path: Path
) -> None:
    """A network trained on pixels of 0 to 255 needs it; one trained on 0 to 1 does not get what it needs."""
    steps = (("/Mul", "Mul", [f(*factors)]), ("/Add", "Add", [f(2.0, -10.6, -23.6)]))
    outcome = preprocessing(Facts.of(facts_of(model_of(*steps), tmp_path)), rule())

    assert outcome.status is status, outcome
    assert words in outcome.message
    assert outcome.remedy or status is Status.PASSED


@pytest.mark.parametrize("offset", [300.0, -5_000.0, 1e6])
def test_pixels_that_are_wide_and_far_from_zero_are_not_those_of_an_image(offset: float, tmp_path: Path) -> None:
    steps = (("/Mul", "Mul", [f(127.5)]), ("/Add", "Add", [f(offset)]))
    outcome = preprocessing(Facts.of(facts_of(model_of(*steps), tmp_path)), rule())

    assert outcome.status in (Status.FAILED, Status.UNDECIDED), outcome
