"""What a run judges: sources, tracks, rules, and the typed options of every analysis."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from pytest_facechallenge.analyses.table import ANALYSES, ANALYSIS_OF
from pytest_facechallenge.checks.registry import Check
from pytest_facechallenge.cluster.naming import named as named_machines
from pytest_facechallenge.core.analysis import Scope, SourceKind
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.options import OptionValues
from pytest_facechallenge.core.rulebook import Rule, Rulebook
from pytest_facechallenge.core.run_options import AnalysisOptions, RunOptions
from pytest_facechallenge.engine.arguments import TrackRef, find_submissions, find_tracks, short_names
from pytest_facechallenge.engine.explanations import steps_of
from pytest_facechallenge.engine.extensions import load_checks, load_rulebooks, validate
from pytest_facechallenge.engine.options import OPTIONS
from pytest_facechallenge.engine.refusals import as_typed, reading, refuse_device, refuse_memory, refuse_special_file
from pytest_facechallenge.engine.report import Report, SubmissionReport

#: Source, number, full track, rule with its case: see `JudgedRule.key`.
Key = tuple[str, int, str, str]


@dataclass(frozen=True)
class Source:
    """Something that is judged: a submission, a feature file alone, or an earlier report with its submissions.

    ``named`` says that the user named this very path, so that it may be a link; what was found in a folder may not.
    """

    path: Path
    kind: SourceKind
    recorded: tuple[SubmissionReport, ...] = ()
    named: bool = True


@dataclass(frozen=True)
class JudgedRule:
    """A rule on a submission, or on the facts of one from an earlier report.

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
    def key(self) -> Key:
        """What tells this judgement from every other of the run: source, number, full track, rule with its case."""
        return str(self.source), self.number, self.rule.full_track, self.rule_id

    @property
    def test_id(self) -> str:
        """The part of the test's name in brackets."""
        case = f"-{self.rule.case}" if self.rule.case else ""
        number = f"{self.number}-" if self.number else ""
        return f"{number}{self.track_label}-{self.rule.id}{case}"

    @property
    def counts(self) -> bool:
        """Whether a verdict waits for it: notes, measurements and what does not apply never keep one open."""
        return self.rule.level == "rule" and not self.rule.not_applicable


@dataclass(frozen=True)
class Plan:
    """What a run judges.

    Attributes
    ----------
    values
        What the user asked for.
    books
        Every rulebook that is known, by id.
    tracks
        The judged tracks.
    sources
        What is judged, by path.
    checks
        The register of checks; a conftest.py may still add to it.
    readings
        How folders that were named were read, a sentence each.
    options
        The typed options of every analysis that has some, by its name.
    only
        Where not every rule was selected, those that read each analysis' facts, by its name: full track and rule with
        its case, as in `JudgedRule.key`. The options are no wider than these need.
    """

    values: OptionValues
    books: Mapping[str, Rulebook]
    tracks: tuple[TrackRef, ...]
    sources: Mapping[Path, Source]
    checks: Mapping[str, Check]
    readings: tuple[str, ...]
    options: Mapping[str, AnalysisOptions | None]
    only: Mapping[str, Sequence[tuple[str, str]]] | None = None
    _expected: dict[Path, list[JudgedRule]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def run_options(self) -> RunOptions:
        """What the sandboxed process is told."""
        common = RunOptions(threads=self.values.number("threads"), device=self.values.text("device"))
        return common.with_analyses(*self.options.values())

    def narrowed(self, only: Mapping[str, Sequence[tuple[str, str]]]) -> Plan:
        """Return the plan with options as far as some rules need them; see ``only``."""
        rules = {each.key[2:]: each.rule for path in self.sources for each in self.expected(path)}
        options = {
            each.name: each.narrowed(self.options[each.name], [rules[key] for key in only[each.name]])
            if each.name in only
            else self.options[each.name]
            for each in ANALYSES
        }
        return replace(self, options=options, only=only)

    def validate(self) -> None:
        """Make sure once more that every rule can be judged: a conftest.py that was read late may have added to it.

        Raises
        ------
        RulebookError
            A rule names an unknown check or parameter.
        """
        validate({ref.book: self.books[ref.book] for ref in self.tracks}, self.checks)

    def expected(self, path: Path) -> list[JudgedRule]:
        """Return every rule (and case) that a verdict on the source at ``path`` needs, in the rulebook's order."""
        if path not in self._expected:
            source = self.sources[path]
            recorded: list[Facts | None] = [each.as_facts() for each in source.recorded] or [None]
            self._expected[path] = [
                JudgedRule(path, case, ref.label, number)
                for number, facts in enumerate(recorded)
                for ref in self.tracks
                for rule in self.books[ref.book].rules_of(ref.track)
                if self._is_judged(rule)
                for case in self._cases(rule, facts)
            ]
        return self._expected[path]

    def _cases(self, rule: Rule, recorded: Facts | None) -> list[Rule]:
        rules = [rule]
        for analysis in ANALYSES:
            rules = [case for each in rules for case in analysis.expanded(each, self.options[analysis.name], recorded)]
        return rules

    def _is_judged(self, rule: Rule) -> bool:
        """Whether a rule is judged at all: some analyses only run when they are asked for."""
        check = self.checks.get(rule.check)
        wanted = [ANALYSIS_OF[step].on_request for step in check.steps] if check is not None else []
        return all(not option or self.values.text(option) for option in wanted)

    def steps_of(self, judged: JudgedRule) -> tuple[str, ...]:
        """Return the steps whose facts a rule needs on its source, those that may explain it included."""
        if judged.rule.not_applicable:
            return ()
        kind = self.sources[judged.source].kind
        wanted = steps_of(self.checks[judged.rule.check])
        return tuple(step for step in wanted if kind in ANALYSIS_OF[step].sources)

    @cached_property
    def names(self) -> Mapping[tuple[Path, int], str]:
        """The short name of each submission, by source and number: no two are the same."""
        keys: dict[tuple[Path, int], str] = {}
        for path, source in self.sources.items():
            saved = [each.path for each in source.recorded] or [str(path)]
            keys |= {(path, number): name for number, name in enumerate(saved)}
        return dict(zip(keys, short_names(list(keys.values())), strict=True))


def make_plan(
    values: OptionValues,
    recorded: Iterable[tuple[Path, Report]] = (),
    submissions: Mapping[Path, bool] | None = None,
) -> Plan:
    """Find out what is to be judged.

    Parameters
    ----------
    values
        What the user asked for.
    recorded
        Earlier reports to judge again, beside those that the option ``facts`` names.
    submissions
        The submissions that another process of this run has found, with whether each was named itself: what lies in a
        folder may change meanwhile, and all of a run judge the same. None looks for them.

    Raises
    ------
    ValueError
        Something the user named cannot be used (`TargetError`, `RulebookError`, `ReportError`, `OptionError`); the
        message says which, what was found and what is known.
    """
    for option in OPTIONS:
        if option.path:
            refuse_special_file(option, values)
    with reading("--facechallenge-rules", *values.many("rules")):
        books = load_rulebooks(values.path(name) for name in values.many("rules"))
    checks = load_checks()
    tracks = tuple(find_tracks(values.many("track"), books))
    scope = Scope(books, tuple((ref.book, ref.track) for ref in tracks))
    readings: tuple[str, ...] = ()
    if submissions is None:
        found, readings = find_submissions(values.many("model"), values.base)
        named = {os.path.normpath(values.base / name) for name in values.many("model")}
        submissions = {path: str(path) in named for path in found}
    sources = {path: Source(path, SourceKind.MODEL, named=known) for path, known in submissions.items()}
    options: dict[str, AnalysisOptions | None] = {}
    for analysis in ANALYSES:
        asked = {option.flag: values.values[option.name] for option in analysis.options if option.name in values.values}
        with reading(*(f"{flag} {as_typed(value)}" for flag, value in asked.items() if value not in (None, (), False))):
            options[analysis.name] = analysis.resolved(values, scope)
    if not submissions:
        for analysis in ANALYSES:
            if analysis.judged_alone and values.text(analysis.judged_alone):
                path = values.path(values.text(analysis.judged_alone))
                sources[path] = Source(path, SourceKind.FEATURE_FILE)
    reports = []
    for name in values.many("facts"):
        with reading("--facechallenge-facts", name):
            reports.append((values.path(name), Report.load(values.path(name))))
    for path, report in [*reports, *recorded]:
        sources[path] = Source(path, SourceKind.REPORT, report.submissions)
    validate(books, checks)
    if values.text("dask"):
        named_machines(values.text("dask"), values.base)
    if submissions:
        refuse_device(values.text("device"))
        refuse_memory(values)
    return Plan(values, books, tracks, sources, checks, readings, options)
