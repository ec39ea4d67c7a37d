"""Gathering facts in tests: in this process for speed, or in the sandbox where that is what is tested."""

from __future__ import annotations

from pathlib import Path

import onnx

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.table import STEPS, with_needs
from pytest_facechallenge.core.facts.base import Facts, FailureKind, StepFailure
from pytest_facechallenge.core.outcome import Outcome
from pytest_facechallenge.core.rulebook import Rule
from pytest_facechallenge.core.run_options import RunOptions
from pytest_facechallenge.engine.explanations import steps_of
from pytest_facechallenge.engine.extensions import load_checks, load_rulebooks
from pytest_facechallenge.engine.judge import judge_rule
from tests.support.models import save


def gather(
    source: Path, workdir: Path, steps: set[str], options: RunOptions | None = None, *, follow: bool = True
) -> Facts:
    """Run steps in this process; an error becomes a failure, as in the worker."""
    facts = Facts()
    context = Context(source, workdir, facts, options or RunOptions(threads=1, device="cpu"), follow=follow)
    for name in with_needs(steps):
        if any(need in facts.failures for need in STEPS[name].needs):
            facts.failures[name] = StepFailure(step=name, kind=FailureKind.BLOCKED, message="blocked")
            continue
        try:
            facts.gathered[name] = STEPS[name].gatherer()(context)
        except Exception as error:
            facts.failures[name] = StepFailure(step=name, kind=FailureKind.ERROR, message=str(error))
    return facts


def rule(rule_id: str, track: str = "mfr21/A") -> Rule:
    """Return a rule of a built-in rulebook."""
    book_id, _, name = track.partition("/")
    return next(each for each in load_rulebooks()[book_id].rules_of(name) if each.id == rule_id)


def judge(model: onnx.ModelProto | Path, rule_id: str, folder: Path, track: str = "mfr21/A") -> Outcome:
    """Judge one rule on a model (or a path), gathering only what the rule needs."""
    path = model if isinstance(model, Path) else save(model, folder / "model.onnx")
    workdir = folder / "work"
    workdir.mkdir(exist_ok=True)
    wanted = rule(rule_id, track)
    facts = gather(path, workdir, set(steps_of(load_checks()[wanted.check])))
    return judge_rule(facts, wanted)
