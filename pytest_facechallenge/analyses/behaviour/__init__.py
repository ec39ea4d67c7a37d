"""How the model behaves when it runs: loading, batches, extreme images, repetition."""

from __future__ import annotations

from pytest_facechallenge.core.analysis import Analysis, Stage, Step

_GATHER = "analyses.behaviour.gather"

ANALYSIS = Analysis(
    name="behaviour",
    about="loading, batches, extreme images, repetition",
    steps=(
        Step(
            "load",
            Stage.BEHAVIOUR,
            "core.facts.behaviour:LoadFacts",
            f"{_GATHER}:gather_load",
            ("interface",),
        ),
        Step(
            "batch",
            Stage.BEHAVIOUR,
            "core.facts.behaviour:BatchFacts",
            f"{_GATHER}:gather_batch",
            ("load",),
            runs_model=True,
        ),
        Step(
            "images",
            Stage.BEHAVIOUR,
            "core.facts.behaviour:ImagesFacts",
            f"{_GATHER}:gather_images",
            ("load",),
            runs_model=True,
        ),
        Step(
            "repeat",
            Stage.BEHAVIOUR,
            "core.facts.behaviour:RepeatFacts",
            f"{_GATHER}:gather_repeat",
            ("load",),
            runs_model=True,
        ),
    ),
)
