"""The descriptor of an analysis: what it observes, what it needs, what a user can set. Standard library only.

The engine, the plugin's options, the sandboxed worker and the reports go through the table of descriptors
(`pytest_facechallenge.analyses.table`); none of them names an analysis.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from pytest_facechallenge.core.facts.base import Facts, StepFacts
    from pytest_facechallenge.core.options import Option, OptionValues
    from pytest_facechallenge.core.rulebook import Rule, Rulebook
    from pytest_facechallenge.core.run_options import AnalysisOptions, RunOptions
    from pytest_facechallenge.core.tables import NamedTable

PACKAGE = __name__.partition(".")[0]


class Stage(StrEnum):
    """The sandboxed processes of a submission, in the order in which they run.

    A big model is never held twice, and a crash of the runtime cannot lose what reading the graph found. Small models
    are run and probed in one process, since a process takes longer to start than most of what is done in it.
    """

    STATIC = "static"
    BEHAVIOUR = "behaviour"
    PROBES = "probes"
    SERVER = "server"
    ACCURACY = "accuracy"
    LATENCY = "latency"


class SourceKind(StrEnum):
    """What can be judged."""

    MODEL = "model"
    FEATURE_FILE = "feature file"
    REPORT = "report"


@dataclass(frozen=True)
class Step:
    """One observation of an analysis, stored as one struct of facts.

    Attributes
    ----------
    name
        Also the key in the report.
    stage
        Steps of one stage share a process.
    facts, gather
        ``module:name``, relative to the package, of the struct and of the function ``(Context) -> struct``; imported
        when they are used.
    needs
        Steps without which this one cannot run; when one of them failed this one is "blocked".
    after
        Steps of the same stage or an earlier one that run first where they run at all.
    runs_model
        Whether it runs the model in this project's own runtime, and so hangs where that hangs.
    leaves_files
        Whether it leaves files in the private working folder that later steps read: facts of an earlier run are no use
        to these without them.
    file_wanted
        Whether it leaves a file in the private working folder that is asked for when the run is over: the folder stays
        until then, and its facts are no use to another run.
    idle
        ``module:name``, relative to the package, of ``(RunOptions) -> bool``: whether nothing was asked of this step,
        so that it does nothing but say so. It needs no process of its stage then.
    for_views
        Whether views of the report read it and no check: it is gathered along with what the checks need, where a
        process of its stage runs anyway, and is no failure where it cannot be.
    """

    name: str
    stage: Stage
    facts: str
    gather: str
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    runs_model: bool = False
    leaves_files: bool = False
    file_wanted: bool = False
    idle: str = ""
    for_views: bool = False

    def facts_type(self) -> type[StepFacts]:
        """Import and return the struct class."""
        return cast("type[StepFacts]", load(self.facts))

    def gatherer(self) -> Callable[[Any], StepFacts]:
        """Import and return the gathering function."""
        return cast("Callable[[Any], StepFacts]", load(self.gather))

    def is_idle(self, options: RunOptions) -> bool:
        """Whether it does nothing but say that nothing was asked of it."""
        return bool(self.idle) and cast("Callable[[RunOptions], bool]", load(self.idle))(options)


@dataclass(frozen=True)
class Scope:
    """What a run judges on: the rulebooks by id, and the tracks as (rulebook id, track)."""

    books: Mapping[str, Rulebook]
    tracks: tuple[tuple[str, str], ...]

    def rules(self) -> list[Rule]:
        """Return the rules of every track."""
        return [rule for book, track in self.tracks for rule in self.books[book].rules_of(track)]


@dataclass(frozen=True)
class Analysis:
    """One subject that is observed. Functions are given as ``module:name`` and imported when they are used.

    Attributes
    ----------
    name, about
        The name, and one line for a reader.
    steps
        What it observes.
    options
        What a user can set.
    resolve
        ``(OptionValues, Scope) -> AnalysisOptions``: the typed options that its steps read. It may raise `ValueError`
        with a sentence for the user.
    shards
        ``(AnalysisOptions, int) -> tuple[AnalysisOptions, ...]``: options of parts of its work for other machines,
        given how many are wanted. What a part finds is of no use but for what it leaves in a folder that all machines
        see, where the whole takes it from. Nothing where there is nothing to share out.
    offers
        ``(AnalysisOptions) -> Path | None``: the folder below which its steps, while they are gathered, offer parts of
        a verification to other machines (`verification.offers`); None where they do not.
    cases
        ``(Rule, AnalysisOptions, Facts | None) -> list[Rule]``: a rule once for each test that it becomes; given facts
        are those of an earlier report.
    narrow
        ``(AnalysisOptions, Sequence[Rule]) -> AnalysisOptions``: the options as far as the rules need them that were
        selected.
    tables
        ``(Facts, AnalysisOptions) -> list[NamedTable]``: what a user asked to see beside the summary.
    samples
        ``(Facts, Rule) -> TimedSamples | None``: recorded times for pytest-benchmark.
    machine
        ``(OptionValues, Iterable[Facts]) -> dict``: what recorded times depend on, for pytest-benchmark.
    at_end
        ``(Path, Facts) -> str``: asked at the end of a run, what is to be said of a source that is no longer what the
        facts are about, "" where nothing is.
    identify
        ``(Path, tuple[str, ...]) -> str``: the identity of what lies at a path and of the named files beside it, as
        `StepFacts.identity` of this analysis would say it; "" where it cannot be read. One analysis has it.
    depends
        ``(Path, AnalysisOptions | None) -> list[str]``: the identities of whatever else than the submission and the
        options its facts depend on: other files, the machine.
    sources
        The kinds of sources that it can observe.
    judged_alone
        The option that names a source of its own where no model is given; "" when there is none.
    on_request
        The option without which the rules that need only this analysis are not judged; "" when they always are.
    """

    name: str
    about: str
    steps: tuple[Step, ...]
    options: tuple[Option, ...] = ()
    resolve: str = ""
    shards: str = ""
    offers: str = ""
    cases: str = ""
    narrow: str = ""
    tables: str = ""
    samples: str = ""
    machine: str = ""
    at_end: str = ""
    identify: str = ""
    depends: str = ""
    sources: frozenset[SourceKind] = frozenset({SourceKind.MODEL})
    judged_alone: str = ""
    on_request: str = ""

    def resolved(self, values: OptionValues, scope: Scope) -> AnalysisOptions | None:
        """Return the typed options of a run; None when the analysis has none."""
        if not self.resolve:
            return None
        return cast("AnalysisOptions", load(self.resolve)(values, scope))

    def shared_out(self, options: AnalysisOptions | None, count: int) -> tuple[AnalysisOptions, ...]:
        """Return the options of parts of its work."""
        if not self.shards or options is None:
            return ()
        return cast("tuple[AnalysisOptions, ...]", load(self.shards)(options, count))

    def offered_in(self, options: AnalysisOptions | None) -> Path | None:
        """Return the folder below which its steps offer parts of a verification, or None."""
        if not self.offers or options is None:
            return None
        return cast("Path | None", load(self.offers)(options))

    def expanded(self, rule: Rule, options: AnalysisOptions | None, recorded: Facts | None) -> list[Rule]:
        """Return ``rule`` once for each test that it becomes."""
        if not self.cases:
            return [rule]
        return cast("list[Rule]", load(self.cases)(rule, options, recorded))

    def narrowed(self, options: AnalysisOptions | None, rules: Sequence[Rule]) -> AnalysisOptions | None:
        """Return the options as far as these rules, which read its facts, need them."""
        if not self.narrow or options is None:
            return options
        return cast("AnalysisOptions", load(self.narrow)(options, rules))

    def said_at_end(self, source: Path, facts: Facts) -> str:
        """Return what is to be said of a source at the end of a run, or ""."""
        return str(load(self.at_end)(source, facts)) if self.at_end else ""

    def identity(self, source: Path, beside: tuple[str, ...]) -> str:
        """Return the identity of what lies at ``source``, "" where it cannot be read."""
        return str(load(self.identify)(source, beside)) if self.identify else ""

    def depends_on(self, source: Path, options: AnalysisOptions | None) -> list[str]:
        """Return the identities of whatever else its facts depend on."""
        return cast("list[str]", load(self.depends)(source, options)) if self.depends else []

    def tables_of(self, facts: Facts, options: AnalysisOptions | None) -> list[NamedTable]:
        """Return the tables to show beside the summary."""
        if not self.tables:
            return []
        return cast("list[NamedTable]", load(self.tables)(facts, options))


def load(reference: str) -> Any:
    """Import and return what ``module:name`` (relative to this package) stands for."""
    module, _, name = reference.partition(":")
    return getattr(import_module(f"{PACKAGE}.{module}"), name)
