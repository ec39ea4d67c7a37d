"""Which nodes feed which: nothing is judged by it, views of the report draw where a finding lies."""

from __future__ import annotations

from pytest_facechallenge.core.analysis import Analysis, Stage, Step

ANALYSIS = Analysis(
    name="outline",
    about="which nodes feed which",
    steps=(
        Step(
            "outline",
            Stage.STATIC,
            "core.facts.outline:OutlineFacts",
            "analyses.outline.gather:gather",
            ("interface",),
            for_views=True,
        ),
    ),
)
