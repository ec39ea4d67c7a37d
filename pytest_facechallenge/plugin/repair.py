"""``--facechallenge-repair FOLDER``: a mended copy of every submission of a run, after its rules were judged."""

from __future__ import annotations

import os
from pathlib import Path

from pytest_facechallenge.core.analysis import SourceKind
from pytest_facechallenge.core.options import OptionError, OptionValues
from pytest_facechallenge.engine.repair_report import RepairReport
from pytest_facechallenge.mending import mend, refuse_folder
from pytest_facechallenge.plugin.collector import OutcomeCollector
from pytest_facechallenge.plugin.run import ChallengeRun

OPTION = "repair"


def folders(run: ChallengeRun) -> dict[Path, Path]:
    """Return the folder of each submission's mended copy: the one named, or for several one in it for each.

    Raises
    ------
    OptionError
        There is no submission that could be mended, or something would be overwritten.
    """
    values: OptionValues = run.values
    named = values.path_of(OPTION)
    if not named:
        return {}
    sources = [path for path, source in run.plan.sources.items() if source.kind is SourceKind.MODEL]
    if not sources:
        raise OptionError("--facechallenge-repair mends submissions: name one with --facechallenge-model")
    found = {}
    for path in sources:
        name = os.path.splitext(run.plan.names[path, 0])[0].replace(os.sep, "_")  # noqa: PTH122  # a text
        found[path] = Path(named) if len(sources) == 1 else Path(named) / name
    if len(set(found.values())) < len(found):
        found = {path: Path(named) / str(number) for number, path in enumerate(sources, 1)}
    try:
        for folder in (Path(named), *found.values()):
            refuse_folder(folder)
    except OSError as error:
        raise OptionError(f"--facechallenge-repair: {error}") from error
    return found


def mended(run: ChallengeRun, collector: OutcomeCollector, path: Path, folder: Path) -> RepairReport:
    """Mend one submission; where that is not possible, say why by what the run found."""
    try:
        return mend(run.plan, run.gatherer, path, folder, as_given=lambda: collector.report)
    except OSError as error:
        return RepairReport(None, why_not=f"{folder} cannot be written: {error.strerror or error}")
