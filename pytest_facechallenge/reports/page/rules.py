"""Verdicts and rules of a submission on a track, ready to show."""

from __future__ import annotations

from typing import NamedTuple

from pytest_facechallenge.core.outcome import Status, VerdictWord
from pytest_facechallenge.core.site import rule_page
from pytest_facechallenge.engine.report import Report, RuleResult, TrackReport

#: What a verdict looks like: its class in the style sheet and its sign, so that colour is never alone.
VERDICTS = {
    VerdictWord.COMPLIANT: ("good", "✓"),
    VerdictWord.NON_COMPLIANT: ("bad", "✕"),
    VerdictWord.INCOMPLETE: ("open", "?"),
}
#: The same for a rule.
STATES = {
    Status.PASSED: ("good", "✓", "passed"),
    Status.FAILED: ("bad", "✕", "broken"),
    Status.UNDECIDED: ("open", "?", "open"),
    Status.NOT_APPLICABLE: ("none", "–", "not applicable"),
}
LEVELS = {"rule": "", "note": "note only", "measurement": "measured only"}


class RuleText(NamedTuple):
    """What a rulebook says in one rule; ``key`` is its anchor where the page says it once for all submissions."""

    key: str
    book: str
    rule: str
    clause: str
    sentence: str
    reading: str

    @property
    def says(self) -> bool:
        """Whether there is anything to say."""
        return bool(self.sentence or self.reading)


class RuleRow(NamedTuple):
    """A rule with its state; ``key`` is its anchor, ``state`` the class in the style sheet.

    ``told``: beside the verdict stands what is wrong with it, or why it is open and what would decide it. ``page``: the
    address of its page in the documentation, "" without one; never a text of the report (see `rule_page`).
    """

    key: str
    result: RuleResult
    state: str
    sign: str
    word: str
    level: str
    told: bool
    page: str


class OpenGroup(NamedTuple):
    """Rules that are open for one and the same reason."""

    rules: tuple[str, ...]
    why: str
    remedy: str


class TrackView(NamedTuple):
    """A track: verdict and causes, then every rule.

    Attributes
    ----------
    rows
        Broken rules, then open ones, then the others, in the rulebook's order.
    anchors
        Where on the page a rule is, by its name.
    tally
        How many rules are in each state: class, word and number.
    """

    key: str
    report: TrackReport
    state: str
    sign: str
    broken: tuple[RuleResult, ...]
    open: tuple[OpenGroup, ...]
    rows: tuple[RuleRow, ...]
    anchors: dict[str, str]
    tally: tuple[tuple[str, str, int], ...]


def rule_texts(report: Report) -> dict[tuple[str, str], RuleText]:
    """Return what the rulebooks say, by rulebook and rule."""
    texts: dict[tuple[str, str], RuleText] = {}
    for submission in report.submissions:
        for track in submission.tracks:
            for result in track.rules:
                key = f"w{len(texts) + 1}"
                said = RuleText(key, track.rulebook, result.rule, result.clause, result.sentence, result.reading)
                texts.setdefault((track.rulebook, result.rule), said)
    return texts


def track_view(key: str, track: TrackReport) -> TrackView:
    """Return a track ready to show; ``key`` begins its anchors."""
    state, sign = VERDICTS[track.verdict.word]
    by_name = {result.name: result for result in track.rules}
    reasons: dict[tuple[str, str], list[str]] = {}
    for each in track.verdict.open:
        reasons.setdefault((each.why, each.remedy), []).append(each.rule)
    told = {*track.verdict.broken, *(each.rule for each in track.verdict.open)}
    rows = [
        _row(f"{key}r{number}", result, told=result.name in told, page=rule_page(track.rulebook, result.rule))
        for number, result in enumerate(track.rules, 1)
    ]
    rows.sort(key=lambda row: ("bad", "open").index(row.state) if row.state in ("bad", "open") else 2)
    tally = []
    for status in (Status.FAILED, Status.UNDECIDED, Status.PASSED, Status.NOT_APPLICABLE):
        kind, _, word = STATES[status]
        number = sum(row.state == kind for row in rows)
        if number:
            tally.append((kind, word, number))
    return TrackView(
        key=key,
        report=track,
        state=state,
        sign=sign,
        broken=tuple(by_name[name] for name in track.verdict.broken if name in by_name),
        open=tuple(OpenGroup(tuple(rules), why, remedy) for (why, remedy), rules in reasons.items()),
        rows=tuple(rows),
        anchors={row.result.name: row.key for row in rows},
        tally=tuple(tally),
    )


def _row(key: str, result: RuleResult, *, told: bool, page: str) -> RuleRow:
    state, sign, word = STATES[result.status]
    return RuleRow(key, result, state, sign, word if result.ran else "no result", LEVELS[result.level], told, page)
