"""What the plugin keeps for a run: the plan, the facts, and the paths that pytest is given to collect."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from pytest_facechallenge.core.analysis import SourceKind
from pytest_facechallenge.core.files import kind_of
from pytest_facechallenge.core.options import OptionError, OptionValues
from pytest_facechallenge.core.text import clean_path
from pytest_facechallenge.engine.arguments import distinct
from pytest_facechallenge.engine.environment import UNSTEERED, Steering
from pytest_facechallenge.engine.gatherer import Gatherer
from pytest_facechallenge.engine.plan import make_plan
from pytest_facechallenge.engine.sharing import share_out
from pytest_facechallenge.reports.formats import FORMATS

#: The most characters of a node id's path.
MOST_OF_A_PATH = 1_000
_ROOT, _SUBMISSIONS = "facechallenge_root", "facechallenge_submissions"


class ChallengeRun:
    """A run of pytest that judges submissions.

    Parameters
    ----------
    values
        What the user asked for.
    rootpath
        The folder that node ids are relative to.
    told
        What the first process of a distributed run says to the others (`for_workers`); None in that one.

    Raises
    ------
    ValueError
        Something the user named cannot be used; the message is made for the user.
    """

    def __init__(
        self,
        values: OptionValues,
        rootpath: Path | None = None,
        told: Mapping[str, Any] | None = None,
    ) -> None:
        _refuse_unwritable(values)
        self.values = values
        self.rootpath = rootpath or values.base
        found = None if told is None else {Path(os.fsdecode(path)): named for path, named in told[_SUBMISSIONS]}
        self.plan = make_plan(values, submissions=found)
        self.gatherer = Gatherer(self.plan, None if told is None else Path(told[_ROOT]))
        try:
            share_out(self.gatherer, connect_now=told is None)
        except ValueError:
            self.gatherer.close()
            raise
        #: Where the mended copy of each submission is to be written.
        self.mended_into: Mapping[Path, Path] = {}
        if values.text("repair") and told is None:
            from pytest_facechallenge.plugin.repair import folders

            self.mended_into = folders(self.plan)
        self.steering: Steering = UNSTEERED

    def for_workers(self) -> dict[str, Any]:
        """Return what the other processes of a distributed run are told, of types that pytest-xdist can send.

        It is where the facts lie, and what is judged: folders may change while processes start.
        """
        models = [source for source in self.plan.sources.values() if source.kind is SourceKind.MODEL]
        return {
            _ROOT: str(self.gatherer.root),
            _SUBMISSIONS: [(os.fsencode(source.path), source.named) for source in models],
        }

    @property
    def collected(self) -> Path:
        """The folder of the stand-ins."""
        return self.gatherer.root / "collected"

    @cached_property
    def given_as(self) -> dict[Path, Path]:
        """What pytest is given to collect -> the source that it stands for, in the order of the plan.

        It is an empty file of ours: other plugins collect by name what pytest is given, and some run it, and pytest
        reads signs like "[" and "::" in a path as a test's name.
        """
        self.collected.mkdir(parents=True, exist_ok=True)
        given = {}
        for number, source in enumerate(self.plan.sources):
            path = self.collected / f"{number}.submission"
            path.touch()
            given[path] = source
        return given

    @cached_property
    def node_ids(self) -> dict[Path, str]:
        """The node id of each source: its path from the root folder, also when that leads out of it, made safe to show.

        pytest itself gives everything outside the root folder the same empty id, and then two submissions would be one;
        what follows "::" it takes for a test's name.
        """
        shown = [
            clean_path(_relative(source, self.rootpath), MOST_OF_A_PATH).replace("::", r":\x3a")
            for source in self.plan.sources
        ]
        return dict(zip(self.plan.sources, distinct(shown, MOST_OF_A_PATH), strict=True))


def _relative(source: Path, rootpath: Path) -> str:
    try:
        return os.path.relpath(source, rootpath).replace(os.sep, "/")
    except ValueError:  # on Windows, another drive
        return source.as_posix()


def _refuse_unwritable(values: OptionValues) -> None:
    """Refuse at the start an output file that could not be written at the end.

    Raises
    ------
    OptionError
        Its folder does not exist, or something that is no regular file has its name.
    """
    for each in FORMATS:
        named = values.path_of(each.option.name)
        if not named:
            continue
        path, said = Path(named), f"{each.option.flag} {values.text(each.option.name)} cannot be written"
        try:
            if not path.parent.is_dir():
                raise OptionError(f"{said}: there is no folder {path.parent}")
            if os.path.lexists(path) and not (path.is_file() and not path.is_symlink()):
                raise OptionError(f"{said}: a regular file is expected, found {kind_of(path.lstat().st_mode)}")
        except OSError as error:
            raise OptionError(f"{said}: {error.strerror or error}") from error
