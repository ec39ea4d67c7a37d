"""How pytest collects a submission: the path itself becomes a module whose tests are the rules of the track."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_facechallenge.core.outcome import Outcome
    from pytest_facechallenge.core.rulebook import Rule


@dataclass(frozen=True)
class JudgedRule:
    """What one test judges: a rule, on a submission (or on the facts of one, from an earlier report).

    Attributes
    ----------
    source
        Absolute path of the submission, or of the report.
    rule
        Resolved for the track.
    track_label
        How the track is shown in test ids.
    number
        Which submission of the report; 0 for a submission itself.
    """

    source: Path
    rule: Rule
    track_label: str
    number: int = 0

    @property
    def rule_id(self) -> str:
        """The rule with its case: what verdicts list."""
        return f"{self.rule.id}[{self.rule.case}]" if self.rule.case else self.rule.id

    @property
    def key(self) -> tuple[str, int, str, str]:
        """What tells this judgement from every other of the run: source, number, full track, rule with its case."""
        return str(self.source), self.number, self.rule.full_track, self.rule_id

    @property
    def test_id(self) -> str:
        """The part of the test's name in brackets."""
        case = f"-{self.rule.case}" if self.rule.case else ""
        number = f"{self.number}-" if self.number else ""
        return f"{number}{self.track_label}-{self.rule.id}{case}"


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
        from pytest_facechallenge.plugin.hooks import session_of

        yield collect_submission(session_of(self.config).given_as[self.path], self)


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
