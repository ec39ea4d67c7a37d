"""The table of analyses: a row each. The engine, the options, the worker and the reports iterate over it."""

from __future__ import annotations

from pytest_facechallenge.analyses import (
    accuracy,
    behaviour,
    declaration,
    feature_file,
    fingerprint,
    flops,
    flops_crosscheck,
    implicit_batch,
    interface,
    latency,
    organisers_checker,
    outline,
    package,
    preprocessing,
    repair,
    server,
    weights,
)
from pytest_facechallenge.core.analysis import Analysis, Stage, Step

ANALYSES: tuple[Analysis, ...] = (
    package.ANALYSIS,
    declaration.ANALYSIS,
    interface.ANALYSIS,
    weights.ANALYSIS,
    preprocessing.ANALYSIS,
    server.ANALYSIS,
    flops.ANALYSIS,
    behaviour.ANALYSIS,
    organisers_checker.ANALYSIS,
    implicit_batch.ANALYSIS,
    flops_crosscheck.ANALYSIS,
    accuracy.ANALYSIS,
    feature_file.ANALYSIS,
    latency.ANALYSIS,
    repair.ANALYSIS,
    fingerprint.ANALYSIS,
    outline.ANALYSIS,
)


def _in_order() -> dict[str, Step]:
    """Return every step by name, stage by stage, in table order.

    Raises
    ------
    ValueError
        A step stands before one that it builds on.
    """
    stages = list(Stage)
    steps = sorted((step for each in ANALYSES for step in each.steps), key=lambda step: stages.index(step.stage))
    found: dict[str, Step] = {}
    for step in steps:
        early = [name for name in (*step.needs, *step.after) if name not in found]
        if early:
            raise ValueError(f"the step {step.name!r} stands before {', '.join(early)}, which it builds on")
        found[step.name] = step
    return found


#: Every step by name, in the order in which they run.
STEPS: dict[str, Step] = _in_order()

#: The analysis that a step belongs to.
ANALYSIS_OF: dict[str, Analysis] = {step.name: analysis for analysis in ANALYSES for step in analysis.steps}


def with_needs(names: set[str]) -> list[str]:
    """Return ``names`` and all they build on, in table order.

    Raises
    ------
    KeyError
        For a name that is no step.
    """
    wanted: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name not in wanted:
            wanted.add(name)
            pending.extend(STEPS[name].needs)
    return [name for name in STEPS if name in wanted]
