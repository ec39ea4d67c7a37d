"""LFR19 feature files: reading, judging, scoring and writing what that challenge's participants submitted."""

from __future__ import annotations

from pytest_facechallenge.core.analysis import Analysis, SourceKind, Stage, Step
from pytest_facechallenge.core.options import Option, OptionKind

ANALYSIS = Analysis(
    name="feature_file",
    about="LFR19 feature files, read and scored",
    steps=(
        Step(
            "feature_file",
            Stage.ACCURACY,
            "core.facts.feature_file:FeatureFileFacts",
            "analyses.feature_file.gather:gather",
        ),
    ),
    options=(
        Option(
            "features", OptionKind.TEXT, "LFR19 feature file to judge, alone or beside the model", "FILE", path=True
        ),
    ),
    resolve="analyses.feature_file.request:resolve",
    depends="analyses.feature_file.request:depends",
    sources=frozenset({SourceKind.MODEL, SourceKind.FEATURE_FILE}),
    judged_alone="features",
)
