"""A mended copy of the model, where the fault is mechanical, and the proof that it embeds the same."""

from __future__ import annotations

from pytest_facechallenge.core.analysis import Analysis, Stage, Step

#: Steps whose facts repairs read where they are there: a model that does not load can be mended all the same.
READ_IF_THERE = ("preprocessing", "load", "batch")

ANALYSIS = Analysis(
    name="repair",
    about="a mended copy of the model, and whether it embeds the same",
    steps=(
        Step(
            "repair",
            Stage.SERVER,
            "core.facts.repair:RepairFacts",
            "analyses.repair.gather:gather",
            ("interface", "compatibility"),
            file_wanted=True,
        ),
    ),
    resolve="analyses.repair.options:resolve",
)
