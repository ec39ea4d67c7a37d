"""How to repeat a run: command lines from what the report says was asked for."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from typing import Any

from pytest_facechallenge.engine.options import OPTIONS
from pytest_facechallenge.engine.report import Report
from pytest_facechallenge.reports.formats import FORMATS

#: What a run wrote is not what decides its verdicts.
OUTPUTS = frozenset(option.name for each in FORMATS for option in (each.option, *each.details))


def replay(report: Report) -> str:
    """Return the command that judges the same submissions again."""
    defaults = {option.name: option.default for option in OPTIONS}
    words = ["pytest"]
    for name, value in report.options.items():
        if name in OUTPUTS or (name in defaults and value == defaults[name]):
            continue
        words += _words(name, value)
    return shell(words)


def judge_again(report: Report) -> str:
    """Return the command that judges the recorded facts again, without the models."""
    tracks = dict.fromkeys(track.full for submission in report.submissions for track in submission.tracks)
    words = ["pytest", "--facechallenge-facts", "report.json"]
    for track in tracks:
        words += ["--facechallenge-track", track]
    rules = report.options.get("rules")
    for path in rules if isinstance(rules, (list, tuple)) else ():
        words += ["--facechallenge-rules", str(path)]
    return shell(words)


def _words(name: str, value: Any) -> Iterator[str]:
    flag = f"--facechallenge-{name}"
    if value is True:
        yield flag
        return
    several: Iterable[Any] = value if isinstance(value, (list, tuple)) else (value,)
    for each in several:
        yield flag
        yield str(each)


def shell(words: Iterable[str]) -> str:
    """Return words as a line for a POSIX shell, broken before every option."""
    line = ""
    for word in words:
        quoted = shlex.quote(word)
        line += f" \\\n  {quoted}" if word.startswith("--facechallenge-") else f" {quoted}" if line else quoted
    return line
