"""All findings of a submission, and a remedy's own words run."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from pytest_facechallenge.core.outcome import Outcome, Status
from pytest_facechallenge.engine.explanations import steps_of
from pytest_facechallenge.engine.extensions import load_checks, load_rulebooks
from pytest_facechallenge.engine.judge import judge_rule
from tests.support.gathering import gather

#: Rules that need a machine or people, and those whose probes take long.
SLOW = frozenset({"no-implicit-batch", "no-realignment"})
LEFT_OUT = frozenset({"latency", "accuracy", "ranking-score", "testset-images", "flops-crosscheck", "flops-budget"})


def findings(path: Path, folder: Path, *, probed: bool = False, track: str = "mfr21/A") -> dict[str, Outcome]:
    """Return the outcome of every rule about the file by its id; the probing rules only where ``probed``."""
    checks = load_checks()
    book, _, name = track.partition("/")
    left_out = LEFT_OUT if probed else LEFT_OUT | SLOW
    rules = [each for each in load_rulebooks()[book].rules_of(name) if each.id not in left_out]
    rules = [each for each in rules if not each.check.startswith("declared_")]
    folder.mkdir(parents=True, exist_ok=True)
    facts = gather(path, folder, {step for each in rules for step in steps_of(checks[each.check])} - {"implicit_batch"}
                   if not probed else {step for each in rules for step in steps_of(checks[each.check])})  # fmt: skip
    return {each.id: judge_rule(facts, each) for each in rules}


def broken(found: dict[str, Outcome]) -> set[str]:
    """Return the rules that are broken."""
    return {rule for rule, outcome in found.items() if outcome.status is Status.FAILED}


def explained(found: dict[str, Outcome]) -> dict[str, str]:
    """Return which rule explains each rule that is explained."""
    return {rule: outcome.because_of for rule, outcome in found.items() if outcome.because_of}


def all_pass(found: dict[str, Outcome]) -> bool:
    """Return whether nothing is broken or undecided."""
    return all(outcome.status in (Status.PASSED, Status.NOT_APPLICABLE) for outcome in found.values())


def run_words(remedy: str, folder: Path, **names: Any) -> str:
    """Run the commands of a remedy in ``folder``, exactly as they are written, and return what was run.

    ``torch.onnx.export(…)`` is run in this process with ``names``; ``python …`` in one of its own.
    """
    call = re.search(r"torch\.onnx\.export\(.*\)", remedy)
    if call is not None:
        from tests.support.torch_faces import quietly, torch

        inside = call[0].replace("'model.onnx'", repr(str(folder / "model.onnx")))
        quietly(eval, inside, {"torch": torch, **names})
        return call[0]
    ran = []
    for line in re.findall(r"facechallenge repair [\w./ -]+", remedy):
        from pytest_facechallenge.cli import main

        with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
            main([*shlex.split(line)[1:], "--latency=modelled", "--device=cpu"])
        ran.append(line)
    for line in re.findall(r'python (?:-c "[^"]*"|-m [\w. -]+)', remedy):
        words = shlex.split(line)
        subprocess.run([sys.executable, *words[1:]], cwd=folder, check=True, capture_output=True)
        ran.append(line)
    assert ran, f"no command in: {remedy}"
    return "; ".join(ran)
