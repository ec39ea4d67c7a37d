"""How pytest collects a submission: the path itself becomes a module whose tests are the rules of the track."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_facechallenge.core.outcome import Outcome
from pytest_facechallenge.engine.plan import JudgedRule
from pytest_facechallenge.plugin.stash import RUN


class RuleBroken(Exception):  # noqa: N818  # not an error of ours: the finding that makes the test fail
    """A rule is broken; carries what the report shows in place of a traceback."""

    def __init__(self, judged: JudgedRule, outcome: Outcome) -> None:
        self.judged = judged
        self.outcome = outcome
        super().__init__(outcome.message)


class Submission(pytest.Module):
    """A submission (file or folder) or an earlier report, collected as a test module."""

    def _getobj(self) -> ModuleType:
        return import_module("pytest_facechallenge.plugin.suite")

    def funcnamefilter(self, name: str) -> bool:
        """Take the packaged tests, whatever the user's python_functions says of other modules."""
        return name.startswith("test_")

    def _importtestmodule(self) -> ModuleType:
        """Return the packaged tests: the submission's own bytes are never imported."""
        return self._getobj()


def collect_submission(source: Path, parent: pytest.Collector) -> Submission:
    """Return the collector of a submission; its node id is its path from the root folder, also when that leads out.

    pytest itself gives everything outside the root folder the same empty id, and then two submissions would be one.
    """
    nodeid = os.path.relpath(source, parent.config.rootpath).replace(os.sep, "/")
    node: Submission = Submission.from_parent(parent, path=source, nodeid=nodeid)
    return node


class AwkwardPath(pytest.Collector):
    """Stands for a submission whose path pytest cannot be given, because it reads "[" and "::" as a test's name."""

    def collect(self) -> Iterable[pytest.Collector]:
        """Yield the submission's own collector."""
        yield collect_submission(self.config.stash[RUN].given_as[self.path], self)


class SubmissionFolder(pytest.File):
    """A folder on the way to a submission.

    pytest's own folder collector would import a conftest.py or an __init__.py lying there. A folder that strangers
    fill must not run code in the process that judges them, so this one only leads on.
    """

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        """Yield the collectors of the next level that lead to a submission."""
        wanted: Any = (
            self.session._initialpaths_with_parents if hasattr(self.session, "_initialpaths_with_parents") else ()
        )
        for path in sorted(child for child in self.path.iterdir() if child in wanted):
            if path.is_dir():
                node = self.ihook.pytest_collect_directory(path=path, parent=self)
                if node is not None:
                    yield node
            else:
                yield from self.ihook.pytest_collect_file(file_path=path, parent=self)
