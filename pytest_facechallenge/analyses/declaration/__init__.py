"""What only people can state: the declaration beside a submission."""

from __future__ import annotations

from pytest_facechallenge.core.analysis import Analysis, Stage, Step
from pytest_facechallenge.core.options import Option, OptionKind

ANALYSIS = Analysis(
    name="declaration",
    about="what only people can state",
    steps=(
        Step(
            "declaration",
            Stage.STATIC,
            "core.facts.declaration:DeclarationFacts",
            "analyses.declaration.gather:gather",
        ),
    ),
    options=(
        Option(
            "declaration",
            OptionKind.TEXT,
            "what only people can state (default: declaration.toml beside the model)",
            "FILE",
            path=True,
        ),
        Option(
            "declarations",
            OptionKind.TEXT,
            "one table (CSV or TOML) with the declarations of all submissions, by their file names",
            "FILE",
            path=True,
        ),
        Option(
            "purpose",
            OptionKind.TEXT,
            "judge as practice or as an entry, whatever the declarations say (an audit: entry)",
            "practice|entry",
        ),
    ),
    resolve="analyses.declaration.options:resolve",
    depends="analyses.declaration.gather:depends",
)
