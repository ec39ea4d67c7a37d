"""How the model behaves: what its graph shows without any image, and what it does when it runs."""

from __future__ import annotations

from pytest_facechallenge.core.analysis import Analysis, Stage, Step

_GATHER = "analyses.behaviour.gather"

ANALYSIS = Analysis(
    name="behaviour",
    about="what the graph shows of batches, chance and conditions; loading, batches, extreme images, repetition",
    steps=(
        Step("flow", Stage.STATIC, "core.facts.flow:FlowFacts", "analyses.behaviour.flow:gather", ("interface",)),
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
            after=("flow",),
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
        Step(
            "probes",
            Stage.BEHAVIOUR,
            "core.facts.flow:ProbesFacts",
            "analyses.behaviour.probes:gather",
            ("load", "flow"),
            runs_model=True,
        ),
    ),
)
