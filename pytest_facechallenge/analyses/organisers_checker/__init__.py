"""What the organisers' own checker, onnx_helper.py, would say."""

from __future__ import annotations

from pytest_facechallenge.core.analysis import Analysis, Stage, Step

ANALYSIS = Analysis(
    name="organisers_checker",
    about="what the organisers' own checker, onnx_helper.py, would say",
    steps=(
        Step(
            "organisers_checker",
            Stage.BEHAVIOUR,
            "core.facts.organisers_checker:OrganisersCheckerFacts",
            "analyses.organisers_checker.gather:gather",
            ("interface",),
            # It takes over the runs of "batch" and only runs the model itself when there are none.
            after=("batch",),
            runs_model=True,
        ),
    ),
)
