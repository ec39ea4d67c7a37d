"""How a model's weights are stored: an inventory of the file, and where each number goes when the graph runs."""

from __future__ import annotations

from pytest_facechallenge.core.analysis import Analysis, Stage, Step

ANALYSIS = Analysis(
    name="weights",
    about="how every number that meets the image is stored",
    steps=(
        Step(
            "weights",
            Stage.STATIC,
            "core.facts.weights:WeightsFacts",
            "analyses.weights.gather:gather",
            ("interface",),
        ),
    ),
)
