"""What the plugin keeps for a run: the plan, the facts, and the paths that pytest is given to collect."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from pytest_facechallenge.core.options import OptionError, OptionValues
from pytest_facechallenge.engine.gatherer import Gatherer
from pytest_facechallenge.engine.plan import make_plan
from pytest_facechallenge.reports.formats import FORMATS


class ChallengeRun:
    """A run of pytest that judges submissions.

    Parameters
    ----------
    values
        What the user asked for.
    shared_root
        Folder that the processes of a distributed run share; None makes a private one.

    Raises
    ------
    ValueError
        Something the user named cannot be used; the message is made for the user.
    """

    def __init__(self, values: OptionValues, shared_root: Path | None = None) -> None:
        _refuse_unwritable(values)
        self.values = values
        self.plan = make_plan(values)
        self.gatherer = Gatherer(self.plan, shared_root)

    @cached_property
    def given_as(self) -> dict[Path, Path]:
        """What pytest is given to collect -> the source it stands for: itself, unless pytest cannot take its path."""
        given = {}
        for number, source in enumerate(self.plan.sources):
            path = source
            if "[" in str(source) or "::" in str(source):
                path = self.gatherer.root / "collected" / str(number)
                path.mkdir(parents=True, exist_ok=True)
            given[path] = source
        return given


def _refuse_unwritable(values: OptionValues) -> None:
    """Refuse at the start an output file that could not be written at the end.

    Raises
    ------
    OptionError
        Its folder does not exist.
    """
    for each in FORMATS:
        path = values.path_of(each.option.name)
        if path and not Path(path).parent.is_dir():
            raise OptionError(
                f"{each.option.flag} {values.text(each.option.name)} cannot be written: "
                f"there is no folder {Path(path).parent}"
            )
