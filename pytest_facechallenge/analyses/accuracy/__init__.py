"""Accuracy on supplied testsets: which sets they serve, embedding, scoring; from testset to facts."""

from __future__ import annotations

from pytest_facechallenge.core.analysis import Analysis, Stage, Step
from pytest_facechallenge.core.options import Option, OptionKind

ANALYSIS = Analysis(
    name="accuracy",
    about="embeddings of supplied testsets, and their scores",
    steps=(
        Step(
            "accuracy",
            Stage.ACCURACY,
            "core.facts.accuracy:AccuracyFacts",
            "analyses.accuracy.gather:gather",
            ("load", "preprocessing"),
            runs_model=True,
            idle="analyses.accuracy.run_options:idle",
        ),
    ),
    options=(
        Option("testset", OptionKind.LIST, "testset to measure accuracy on; repeatable", "[NAME=]PATH"),
        Option(
            "min-tar",
            OptionKind.LIST,
            "least TAR on a set (0..1, or the name of a published row); repeatable",
            "NAME=VALUE",
        ),
        Option("labels", OptionKind.TEXT, "identities of the feature file's rows, one a line", "FILE", path=True),
        Option(
            "write-features",
            OptionKind.TEXT,
            "write the testset's features in the official LFR19 format",
            "FILE",
            path=True,
        ),
    ),
    resolve="analyses.accuracy.run_options:resolve",
    depends="analyses.accuracy.run_options:depends",
    shards="analyses.accuracy.run_options:shards",
    offers="analyses.accuracy.run_options:offers",
    cases="analyses.accuracy.run_options:cases",
    narrow="analyses.accuracy.selection:narrowed",
)
