"""What was handed in: archives, folders, links, sizes."""

from __future__ import annotations

from pytest_facechallenge.core.analysis import Analysis, Stage, Step

ANALYSIS = Analysis(
    name="package",
    about="what was handed in: archives, folders, links, sizes",
    steps=(
        Step(
            "package",
            Stage.STATIC,
            "core.facts.package:PackageFacts",
            "analyses.package.gather:gather_package",
            leaves_files=True,
        ),
    ),
    at_end="analyses.package.again:said_at_end",
    identify="analyses.package.again:identify",
)
