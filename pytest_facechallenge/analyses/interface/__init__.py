"""What the file declares: inputs, outputs, opsets, external data."""

from __future__ import annotations

from pytest_facechallenge.core.analysis import Analysis, Stage, Step

ANALYSIS = Analysis(
    name="interface",
    about="what the file declares: inputs, outputs, opsets, external data",
    steps=(
        Step(
            "interface",
            Stage.STATIC,
            "core.facts.interface:InterfaceFacts",
            "analyses.interface.gather:gather",
            ("package",),
        ),
        Step(
            "checker",
            Stage.STATIC,
            "core.facts.interface:CheckerFacts",
            "analyses.interface.gather:gather_checker",
            ("interface",),
        ),
    ),
)
