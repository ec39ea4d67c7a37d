"""The Python API: judge a submission, judge recorded facts again, explain a rule. Nothing here knows pytest."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_facechallenge.core.outcome import Outcome
from pytest_facechallenge.core.rulebook import Rulebook
from pytest_facechallenge.engine import extensions
from pytest_facechallenge.engine.build_report import build
from pytest_facechallenge.engine.gatherer import Gatherer, silent
from pytest_facechallenge.engine.options import values_from
from pytest_facechallenge.engine.plan import Key, Plan, make_plan
from pytest_facechallenge.engine.report import Report
from pytest_facechallenge.engine.sharing import share_out
from pytest_facechallenge.reports import catalogue

if TYPE_CHECKING:
    from pytest_facechallenge.auditing.document import Audit
    from pytest_facechallenge.auditing.run import Told

PathLike = str | os.PathLike[str]


def judge(
    model: PathLike | Sequence[PathLike],
    tracks: str | Sequence[str],
    *,
    rulebooks: Iterable[PathLike] = (),
    on_progress: Callable[[str], None] = silent,
    **options: object,
) -> Report:
    """Judge submissions, in the same sandbox and with the same verdicts as pytest.

    Parameters
    ----------
    model
        A .onnx file, a zip, a folder or a glob, or several of them. Pixels are fed as the evaluation server feeds
        them: float32 [N, 3, 112, 112], RGB.
    tracks
        Tracks to judge on: ``"mfr21/A"``, or ``"A"`` where one rulebook alone has it.
    rulebooks
        TOML files of your own, beside the built-in ones.
    on_progress
        Called with lines of progress for a reader.
    options
        The options of the command line, with underscores: ``testset``, ``min_tar``, ``declaration``, ``features``,
        ``labels``, ``device``, ``threads``, ``timeout`` (seconds), ``memory`` (MiB), ``latency``, ``rounds``,
        ``server_python``, ``cache`` and the others of `pytest_facechallenge.engine.options.OPTIONS`. Relative paths are
        relative to the current folder.

    Returns
    -------
    Report
        Facts, outcomes and verdicts of every submission on every track.

    Raises
    ------
    ValueError
        Something named cannot be used (`TargetError`, `RulebookError`, `OptionError` and others); the message says
        what was expected, what was found and what is known. What a submission does never raises: it is a finding.

    Examples
    --------
    >>> from pytest_facechallenge import judge
    >>> report = judge("examples/demo/model.onnx", ["mfr21/A"], latency="modelled", device="cpu")
    >>> str(report.submissions[0].tracks[0].verdict.word)
    'INCOMPLETE'
    """
    models = [model] if isinstance(model, (str, os.PathLike)) else list(model)
    named = [tracks] if isinstance(tracks, str) else list(tracks)
    values = values_from({"model": models, "track": named, "rules": list(rulebooks), **options})
    return judge_plan(make_plan(values), on_progress)


def rejudge(
    report: Report | PathLike,
    tracks: str | Sequence[str] = (),
    *,
    rulebooks: Iterable[PathLike] = (),
    **options: object,
) -> Report:
    """Judge the facts of an earlier report again; no model is needed or run.

    Parameters
    ----------
    report
        The report, or the file that holds it.
    tracks
        Tracks to judge on; those of the report if not given.
    rulebooks
        TOML files of your own, beside the built-in ones.
    options
        ``min_tar`` and others that decide how facts are judged; see `judge`.

    Raises
    ------
    ReportError
        The file is no report, or its facts were changed after they were recorded.
    ValueError
        As for `judge`.
    """
    given = report if isinstance(report, Report) else Report.load(Path(report))
    where = Path("report.json") if isinstance(report, Report) else Path(report)
    named = [tracks] if isinstance(tracks, str) else list(tracks)
    if not named:
        named = list(dict.fromkeys(track.full for each in given.submissions for track in each.tracks))
    values = values_from({"track": named, "rules": list(rulebooks), **options})
    return judge_plan(make_plan(values, [(where.absolute(), given)]), silent)


def audit(
    entries: PathLike | Sequence[PathLike],
    tracks: str | Sequence[str],
    out: PathLike,
    *,
    rulebooks: Iterable[PathLike] = (),
    jobs: int = 1,
    told: Told | None = None,
    **options: object,
) -> Audit:
    """Judge many entries, each to a report of its own, and rank them.

    What was gathered is kept in the audit's folder: the same call goes on where one before was stopped, and gathers
    only what is new or changed. Entries are judged as entries, unless ``purpose`` says otherwise.

    Parameters
    ----------
    entries, tracks, rulebooks, options
        As for `judge`.
    out
        The audit's folder, made where it is missing: ``audit.json``, ``leaderboard.html``, ``leaderboard.csv``,
        ``reports/`` with a JSON report for each entry, ``history/`` with earlier documents, ``store/`` with kept facts
        and ``cache/`` with embeddings.
    jobs
        Entries that are judged at the same time; with ``dask`` it is what the machines can do at once.
    told
        Called with (row, judged so far, all, seconds) when an entry was judged.

    Returns
    -------
    Audit
        A row for every entry on every track, with its place, and what changed since the audit before.

    Raises
    ------
    ReportError
        The folder holds something else, or cannot be written.
    MachinesError
        The machines that ``dask`` names cannot be used, or are no longer there.
    ValueError
        As for `judge`.
    """
    from pytest_facechallenge.auditing.run import run

    folder = Path(out).absolute()
    named = [entries] if isinstance(entries, (str, os.PathLike)) else list(entries)
    chosen = [tracks] if isinstance(tracks, str) else list(tracks)
    defaults = {"store": folder / "store", "cache": folder / "cache", "purpose": "entry"}
    given = {**defaults, **{name: value for name, value in options.items() if value not in (None, "")}}
    plan = make_plan(values_from({"model": named, "track": chosen, "rules": list(rulebooks), **given}))
    plan.validate()
    if not plan.values.text("dask"):
        return run(plan, folder, jobs, told)
    from pytest_facechallenge.auditing.on_machines import judging
    from pytest_facechallenge.cluster import connect

    with connect(plan.values.text("dask"), plan.values.base) as machines:
        return run(plan, folder, jobs, told, judging(machines))


def explain(rule: str, rulebooks: Iterable[PathLike] = ()) -> str:
    """Return what a rule demands, why, how it is measured and how to fix it, for a reader.

    Raises
    ------
    TargetError
        There is no rule of that name; the message has the nearest match and the list.
    """
    return catalogue.explain(rule, load_rulebooks(rulebooks))


def load_rulebooks(extra: Iterable[PathLike] = ()) -> Mapping[str, Rulebook]:
    """Return the built-in rulebooks, those of installed packages and those of ``extra``, by id.

    Raises
    ------
    RulebookError
        One of them is wrong, or two have the same id.
    """
    extensions.load_checks()
    return extensions.load_rulebooks(Path(path) for path in extra)


def judge_plan(plan: Plan, on_progress: Callable[[str], None] = silent) -> Report:
    """Judge every rule of a plan, one after the other.

    Raises
    ------
    RulebookError
        A rule names an unknown check or parameter.
    MachinesError
        The machines that ``dask`` names cannot be used.
    """
    plan.validate()
    gatherer = Gatherer(plan)
    outcomes: dict[Key, Outcome] = {}
    try:
        share_out(gatherer, connect_now=True)
        for path in plan.sources:
            gatherer.note(plan.expected(path))
        for path in plan.sources:
            for judged in plan.expected(path):
                outcomes[judged.key] = gatherer.judge(judged, on_progress)
        return build(plan, gatherer, outcomes, {})
    finally:
        gatherer.close()
