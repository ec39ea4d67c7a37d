"""From an image's pixels to the first layer: what the server feeds, and what the graph does to it."""

from __future__ import annotations

from pytest_facechallenge.core.analysis import Analysis, Stage, Step

ANALYSIS = Analysis(
    name="preprocessing",
    about="what happens to pixels before the first layer",
    steps=(
        Step(
            "preprocessing",
            Stage.STATIC,
            "core.facts.preprocessing:PreprocessingFacts",
            "analyses.preprocessing.gather:gather",
            ("interface",),
        ),
        Step(
            "first_stage",
            Stage.PROBES,
            "core.facts.preprocessing:FirstStageFacts",
            "analyses.preprocessing.first_stage:gather",
            ("preprocessing",),
            runs_model=True,
        ),
    ),
)
