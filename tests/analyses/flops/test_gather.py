"""From a submission's file to facts and outcome, as the engine does it."""

from __future__ import annotations

from pathlib import Path

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.table import STEPS, with_needs
from pytest_facechallenge.checks import flops
from pytest_facechallenge.checks.registry import CHECKS
from pytest_facechallenge.core.facts import Facts
from pytest_facechallenge.core.facts.flops import CrosscheckFacts, FlopsFacts
from pytest_facechallenge.core.facts.package import PackageFacts
from pytest_facechallenge.core.outcome import Status
from pytest_facechallenge.core.run_options import RunOptions
from pytest_facechallenge.refnets import save

from .rules import rule


def test_steps_lead_to_the_facts() -> None:
    assert STEPS["flops"].facts_type() is FlopsFacts
    assert STEPS["flops_crosscheck"].facts_type() is CrosscheckFacts
    assert with_needs({"flops_crosscheck"}) == ["package", "interface", "flops", "flops_crosscheck"]


def test_y2_keeps_the_light_budget(tmp_path: Path) -> None:
    """The challenge's own light baseline, from the file: 933M FLOPs."""
    path = tmp_path / "y2.onnx"
    save("y2", path)
    package = PackageFacts(form="onnx", entries=(), model_path=str(path), model_name="y2.onnx", sha256="", bytes=1)
    found = STEPS["flops"].gatherer()(Context(path, tmp_path, Facts.of(package), RunOptions()))
    check = CHECKS[flops.flops_budget.__name__]
    assert check.steps == ("flops",)
    outcome = check.function(Facts.of(found), rule(1024**3))
    assert (outcome.status, outcome.measured) == (Status.PASSED, "933,336,950 FLOPs")
    assert check.function(Facts.of(found), rule(933_336_949)).status is Status.FAILED
