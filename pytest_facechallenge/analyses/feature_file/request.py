"""What a run asks of a feature file."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pytest_facechallenge.analyses.accuracy.parametrize import feature_points
from pytest_facechallenge.analyses.accuracy.request import Point
from pytest_facechallenge.core.analysis import Scope
from pytest_facechallenge.core.options import OptionError, OptionValues
from pytest_facechallenge.core.path_state import state_of
from pytest_facechallenge.core.run_options import AnalysisOptions


class FeatureFileOptions(AnalysisOptions, frozen=True, kw_only=True):
    """A feature file to judge, its labels (or ""), and the operating points to score it at."""

    analysis: ClassVar[str] = "feature_file"

    path: str = ""
    labels: str = ""
    points: tuple[Point, ...] = ()


def resolve(values: OptionValues, scope: Scope) -> FeatureFileOptions:
    """Read the options of a run.

    Raises
    ------
    OptionError
        The file does not exist.
    """
    path = values.path_of("features")
    if not path:
        return FeatureFileOptions()
    if not Path(path).is_file():
        raise OptionError(f"the feature file {values.text('features')!r} does not exist (looked for {path})")
    points: dict[Point, None] = {}
    for book, track in scope.tracks:
        points |= dict.fromkeys(feature_points(scope.books[book], track))
    return FeatureFileOptions(path=path, labels=values.path_of("labels"), points=tuple(points))


def depends(_source: Path, options: AnalysisOptions | None) -> list[str]:
    """Return the state of the feature file and of its labels."""
    return [state_of(options.path), state_of(options.labels)] if isinstance(options, FeatureFileOptions) else []
