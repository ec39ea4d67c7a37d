"""Lines that GitHub Actions shows beside the files of a pull request: ``::error file=…,title=…::…``.

See https://docs.github.com/actions/reference/workflow-commands-for-github-actions.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pytest_facechallenge.core.outcome import VerdictWord
from pytest_facechallenge.core.text import clean
from pytest_facechallenge.engine.report import Report, RuleResult, SubmissionReport, TrackReport
from pytest_facechallenge.reports import wording

#: The most characters of one message: GitHub cuts longer ones.
MOST_OF_A_MESSAGE = 4_000


def wanted(switched_off: bool, environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether the run is a step of GitHub Actions whose annotations nobody switched off."""
    return not switched_off and environment.get("GITHUB_ACTIONS") == "true"


def render(report: Report, *, strict: bool = False, root: str = "") -> str:
    """Return a line per broken rule, and one per verdict that is open: an error under strict, else a warning.

    Parameters
    ----------
    root
        The folder of the repository, which GitHub's paths begin at; $GITHUB_WORKSPACE or the current one if not given.
    """
    base = root or os.environ.get("GITHUB_WORKSPACE") or str(Path.cwd())
    lines = []
    for submission, track in wording.judged(report):
        lines += [_of_a_rule(submission, track, result, base) for result in wording.broken(track)]
        if track.verdict.word is VerdictWord.INCOMPLETE:
            said = [wording.all_causes(track)]
            said += [f"{', '.join(group.rules)}: {group.why} {group.remedy}" for group in wording.open_groups(track)]
            kind = "error" if strict else "warning"
            title = f"{submission.name} is INCOMPLETE on {track.full}"
            lines.append(command(kind, _relative(submission.path, base), title, "\n".join(said)))
    return "".join(f"{line}\n" for line in lines)


def _of_a_rule(submission: SubmissionReport, track: TrackReport, result: RuleResult, base: str) -> str:
    said = [f"{submission.name} on {track.full}: {wording.cause(result)}", result.message]
    if result.evidence:
        said += [f"Where: {result.evidence[0].where}: {result.evidence[0].what}"]
    if result.remedy:
        said += [f"Fix: {result.remedy}"]
    return command("error", _relative(_file(submission, result), base), result.name, "\n".join(said))


def _file(submission: SubmissionReport, result: RuleResult) -> str:
    """Return the file that a finding is about: the declaration where the evidence names it, else the submission."""
    declaration = str(submission.facts.get("declaration", {}).get("path", ""))
    names = {declaration, Path(declaration).name} - {""}
    about = {word.strip("'\"") for seen in result.evidence for word in seen.where.split()}
    return declaration if names & about else submission.path


def _relative(path: str, base: str) -> str:
    relative = os.path.relpath(path, base)
    return path if relative.startswith("..") else relative.replace(os.sep, "/")


def command(kind: str, file: str, title: str, message: str) -> str:
    """Return a workflow command with the signs that would end or divide it escaped."""
    text = "\n".join(clean(line, MOST_OF_A_MESSAGE) for line in message.split("\n"))[:MOST_OF_A_MESSAGE]
    return f"::{kind} file={_property(clean(file))},title={_property(clean(title))}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
