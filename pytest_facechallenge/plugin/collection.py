"""How pytest collects a submission: it becomes a module whose tests are the rules of the track."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from pytest_facechallenge.core.outcome import Outcome
from pytest_facechallenge.core.text import clean_name
from pytest_facechallenge.engine.plan import JudgedRule
from pytest_facechallenge.plugin.run import ChallengeRun
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


class StandIn(pytest.Collector):
    """The file that pytest is given for a submission; other plugins never see the submission's own path."""

    def collect(self) -> Iterable[pytest.Collector]:
        """Yield the submission's own collector."""
        run = self.config.stash[RUN]
        source = run.given_as[self.path]
        node: Submission = Submission.from_parent(self, path=source, name=self.name, nodeid=run.node_ids[source])
        yield node


def stand_in(path: Path, parent: pytest.Collector, run: ChallengeRun) -> StandIn:
    """Return the collector of a stand-in."""
    source = run.given_as[path]
    node: StandIn = StandIn.from_parent(parent, path=path, name=node_name(run, source), nodeid=run.node_ids[source])
    return node


def node_name(run: ChallengeRun, source: Path) -> str:
    """Return the name of a submission's node, as -k finds it: without the signs that pytest reads in a node id."""
    return clean_name(source.name).replace("::", ":").replace("[", "(").replace("]", ")") or run.node_ids[source]


class SubmissionFolder(pytest.File):
    """A folder on the way to stand-ins.

    pytest's own folder collector would import a conftest.py or an __init__.py lying there, and anybody may write to the
    folder for temporary files.
    """

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        """Yield the collectors of the next level that lead to a stand-in."""
        run = self.config.stash[RUN]
        if self.path == run.collected:
            for path in run.given_as:
                yield stand_in(path, self, run)
        else:
            lineage = (run.collected, *run.collected.parents)
            path = lineage[lineage.index(self.path) - 1]
            node: SubmissionFolder = SubmissionFolder.from_parent(self, path=path)
            yield node
