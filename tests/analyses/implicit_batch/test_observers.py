"""The table of observers: what a row says is so, and no observer changes what it is given."""

from __future__ import annotations

import ast
import dataclasses
import re
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

import pytest_facechallenge
from pytest_facechallenge.analyses.implicit_batch.feed import Feed
from pytest_facechallenge.analyses.implicit_batch.gather import observe, traced
from pytest_facechallenge.analyses.implicit_batch.observers import OBSERVERS, Needs
from pytest_facechallenge.analyses.implicit_batch.opened import Sessions
from pytest_facechallenge.analyses.implicit_batch.parts import Hypothesis
from pytest_facechallenge.analyses.implicit_batch.thresholds import DEFAULTS
from pytest_facechallenge.analyses.implicit_batch.trace import TracedModel
from pytest_facechallenge.checks.implicit_batch.limits import LIMITS
from pytest_facechallenge.core.facts.implicit_batch import Observation
from pytest_facechallenge.core.threshold import thresholds_of
from tests.analyses.implicit_batch.documents import documents
from tests.analyses.implicit_batch.nets import Net
from tests.analyses.implicit_batch.test_detector import mirror_on_the_batch

PACKAGE = Path(pytest_facechallenge.__file__).parent
SOURCES = [
    path for folder in ("analyses", "checks") for path in sorted((PACKAGE / folder / "implicit_batch").glob("*.py"))
]

TEXT = "\n".join(path.read_text() for path in SOURCES)

#: Ranks, axes, and "more than one": whole numbers up to this are no thresholds.
COUNTING = 5

#: Added to a divisor or a largest value that may be zero.
TINY = 1e-11


@pytest.fixture(scope="module")
def model() -> TracedModel:
    net = Net()
    made = net.model(mirror_on_the_batch(net))
    (found,) = traced(made, Feed(made, Path(), 1, DEFAULTS), 1, DEFAULTS)
    assert isinstance(found, TracedModel)
    return found


def test_each_observer_is_one_module_of_its_name() -> None:
    assert len({observer.name for observer in OBSERVERS}) == len(OBSERVERS)
    for observer in OBSERVERS:
        assert observer.observe.__module__.rpartition(".")[2] == observer.name


def test_a_traced_model_cannot_be_changed(model: TracedModel) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.values = {}  # type: ignore[misc]
    with pytest.raises(TypeError):
        model.values["more"] = np.zeros(1)  # type: ignore[index]
    for array in model.values.values():
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


@pytest.mark.parametrize("observer", OBSERVERS, ids=lambda observer: observer.name)
def test_an_observer_answers_alone_and_the_same_each_time(observer: Any, model: TracedModel) -> None:
    first, second = observer.observe(model, DEFAULTS), observer.observe(model, DEFAULTS)
    assert first == second
    seen = [entry.observation if isinstance(entry, Hypothesis) else entry for entry in first]
    assert all(isinstance(entry, get_args(Observation)) for entry in seen)


@pytest.mark.parametrize(
    "observer", [entry for entry in OBSERVERS if entry.needs is not Needs.RUNS], ids=lambda observer: observer.name
)
def test_an_observer_runs_the_model_only_if_it_says_so(
    observer: Any, model: TracedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Sessions, "open", lambda *_: pytest.fail("it runs the model"))
    observer.observe(model, DEFAULTS)


def test_the_order_of_the_observers_does_not_matter(model: TracedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = observe(model, DEFAULTS)
    monkeypatch.setattr("pytest_facechallenge.analyses.implicit_batch.gather.OBSERVERS", OBSERVERS[::-1])
    assert set(observe(model, DEFAULTS)) == set(usual)


@pytest.mark.parametrize("struct", [DEFAULTS, LIMITS], ids=["observers", "weighers"])
def test_each_threshold_has_a_unit_and_a_reason(struct: Any) -> None:
    found = list(thresholds_of(struct))
    assert len({entry.name for entry in found}) == len(found) > 10
    for entry in found:
        assert entry.unit, entry.name
        assert entry.why, entry.name
        assert re.search(rf"\.{entry.name.rpartition('.')[2]}\b", TEXT), f"nothing uses {entry.name}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.parent.name}/{path.stem}")
def test_no_condition_holds_a_number_without_a_name(path: Path) -> None:
    conditions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Compare)]
    for constant in (inner for node in conditions for inner in ast.walk(node) if isinstance(inner, ast.Constant)):
        value = constant.value
        named = not ((isinstance(value, float) and value >= TINY) or (isinstance(value, int) and value > COUNTING))
        assert named, f"{path.name}:{constant.lineno}: {value!r} decides something and has no name"


def test_the_documents_are_up_to_date() -> None:
    for path, text in documents().items():
        assert path.read_text() == text, f"{path.name}: run python -m tests.analyses.implicit_batch.documents"
