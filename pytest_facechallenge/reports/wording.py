"""What decides a verdict, in a few words: every view of a report (terminal, Markdown, annotations) says it alike."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from pytest_facechallenge.core.outcome import Outcome, Status, VerdictWord
from pytest_facechallenge.engine.report import Report, RuleResult, SubmissionReport, TrackReport

#: What a measured number is to a limit that it breaks.
_BROKEN = {"<=": ">", "<": ">=", ">=": "<", ">": "<=", "==": "!="}
_LIMIT = re.compile(r"(<=|>=|==|<|>)\s*([-+]?[\d.,]+(?:e[-+]?\d+)?)(.*)", re.DOTALL)
_NUMBER = re.compile(r"([-+]?\d[\d.,]*(?:e[-+]?\d+)?)(.*)", re.DOTALL)
_ASIDE = re.compile(r"\s*\([^()]*\)")
#: What stands before a number: "measured: 9.8 ms".
_LABEL = re.compile(r"^[a-z ]+: (?=[\d.])")
#: Longer than this a measured text is no cause in a line of causes.
MOST_OF_A_CAUSE = 32
#: What is longer behind a number is a sentence, not a unit.
MOST_OF_A_UNIT = 16
#: Words of the counts of a track, in their order.
COUNTED = ("passed", "broken", "open", "not applicable")


class Open(NamedTuple):
    """Rules that are open for one and the same reason."""

    rules: tuple[str, ...]
    why: str
    remedy: str


def against_limit(result: RuleResult | Outcome) -> str:
    """Return what was measured against the limit: "640 > 512", or what was measured where no number is compared."""
    measured, limit = _ASIDE.sub("", result.measured).strip(), _ASIDE.sub("", result.limit).strip()
    if result.status is not Status.FAILED:
        return measured
    measured = _LABEL.sub("", measured)
    found, bound = _NUMBER.match(measured), _LIMIT.match(limit)
    if found and bound:
        number, unit = found[1].rstrip(".,"), found[2].strip()
        ends = bound[3].strip()
        comparable = not ends or not unit or unit == ends or unit.split()[0] == ends
        if _value(number) is not None and comparable and len(ends) <= MOST_OF_A_UNIT:
            return f"{number} {_BROKEN[bound[1]]} {bound[2].rstrip('.,')} {ends}".strip()
    return measured


def _value(text: str) -> float | None:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None


def cause(result: RuleResult) -> str:
    """Return the rule's name, with what was measured against the limit where that is short."""
    said = against_limit(result)
    return f"{result.name} {said}" if said and len(said) <= MOST_OF_A_CAUSE else result.name


def broken(track: TrackReport) -> list[RuleResult]:
    """Return the rules that are broken, in the order of the verdict."""
    by_name = {result.name: result for result in track.rules}
    return [by_name[name] for name in track.verdict.broken if name in by_name]


def open_groups(track: TrackReport) -> list[Open]:
    """Return the open rules, those of one reason together with the reason once."""
    groups: dict[tuple[str, str], list[str]] = {}
    for each in track.verdict.open:
        groups.setdefault((each.why, each.remedy), []).append(each.rule)
    return [Open(tuple(rules), why, remedy) for (why, remedy), rules in groups.items()]


def same_causes(track: TrackReport) -> list[Open]:
    """Return the open rules, together also where one could not be observed because another could not.

    Such a reason repeats the first one's words behind its own: "…, because 'batch' failed: <the reason>".
    """
    found: list[Open] = []
    for group in open_groups(track):
        told = group.why.partition(": ")[2]
        for number, other in enumerate(found):
            if told and told == other.why.partition(": ")[2]:
                found[number] = other._replace(rules=(*other.rules, *group.rules))
                break
        else:
            found.append(group)
    return found


def counts(track: TrackReport) -> dict[str, int]:
    """Return how many rules passed, are broken, keep the verdict open, and do not apply or are only notes."""
    passed = sum(result.ran and result.status is Status.PASSED for result in track.rules)
    gone, open_ = len(track.verdict.broken), len(track.verdict.open)
    rest = len(track.rules) - passed - gone - open_
    return dict(zip(COUNTED, (passed, gone, open_, rest), strict=True))


def counted(track: TrackReport) -> str:
    """Return the counts as words, without those that are 0: "16 passed, 8 open, 4 not applicable"."""
    return ", ".join(f"{number} {word}" for word, number in counts(track).items() if number)


def rules_open(number: int) -> str:
    """Return "1 rule open" or "8 rules open"."""
    return f"{number} rule{'' if number == 1 else 's'} open"


def causes(track: TrackReport) -> tuple[str, list[str]]:
    """Return what decides the verdict: words before the list ("8 rules open: "), and the list."""
    verdict = track.verdict
    if verdict.word is VerdictWord.NON_COMPLIANT:
        return "", [cause(result) for result in broken(track)]
    if verdict.word is VerdictWord.INCOMPLETE:
        names = [each.rule for each in verdict.open]
        return (f"{rules_open(len(names))}: ", names) if names else ("", ["no rule to judge"])
    return "", [f"all {counts(track)['passed']} rules kept"]


def all_causes(track: TrackReport) -> str:
    """Return all that decides the verdict, in one line."""
    head, items = causes(track)
    return head + ", ".join(items)


def judged(report: Report) -> list[tuple[SubmissionReport, TrackReport]]:
    """Return every submission with every track that it was judged on."""
    return [(submission, track) for submission in report.submissions for track in submission.tracks]


def tally(tracks: Sequence[TrackReport]) -> str:
    """Return how many verdicts there are of each word: "20 COMPLIANT, 6 NON-COMPLIANT, 4 INCOMPLETE"."""
    numbers = {word: sum(track.verdict.word is word for track in tracks) for word in VerdictWord}
    return ", ".join(f"{number} {word}" for word, number in numbers.items() if number)


def first_sentence(text: str) -> str:
    """Return the first sentence of a text, without the stop."""
    return re.split(r"(?<=[.!?])\s+(?=[A-Z“'(\"])", text.strip(), maxsplit=1)[0].rstrip(".")
