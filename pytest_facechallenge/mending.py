"""Writing the mended file of a submission whose fault is mechanical, proven and judged like any other."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pytest_facechallenge.analyses.declaration.gather import places_of
from pytest_facechallenge.analyses.repair import READ_IF_THERE
from pytest_facechallenge.api import judge_plan
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.declaration import DeclarationFacts
from pytest_facechallenge.core.facts.repair import Agreement, RepairFacts
from pytest_facechallenge.core.files import read_text
from pytest_facechallenge.core.options import OptionValues
from pytest_facechallenge.core.outcome import Status
from pytest_facechallenge.core.rulebook import Rulebook
from pytest_facechallenge.engine.gatherer import Gatherer, silent
from pytest_facechallenge.engine.options import values_from
from pytest_facechallenge.engine.plan import Plan, make_plan
from pytest_facechallenge.engine.repair_report import NotMended, RepairReport, why_not
from pytest_facechallenge.engine.report import Report

#: Where the mended model lies in the working folder; what the facts say of it is not trusted.
MENDED = "mended/model.onnx"
#: How far an embedding of the mended model may lie from that of the model as it was handed in, in parts of its largest
#: value: float32 noise of another order of operations, as in the rule on batches.
MOST_DIFFERENCE = 1e-3
#: What is written.
MODEL, ARCHIVE, DECLARATION = "model.onnx", "submission.zip", "declaration.toml"
#: A declaration is a page of text; more is something else.
_MOST_OF_A_DECLARATION = 1 << 20


def repair(
    model: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    track: str | Sequence[str],
    *,
    rulebooks: Iterable[str | os.PathLike[str]] = (),
    on_progress: Callable[[str], None] = silent,
    **options: object,
) -> RepairReport:
    """Mend a copy of a submission in the sandbox, write it into ``folder``, and judge it.

    The submission itself is only read.

    Parameters
    ----------
    model
        One submission: a .onnx file, a zip or a folder.
    folder
        Is made. ``model.onnx`` and ``submission.zip`` are written there, and must not be there yet; a
        ``declaration.toml`` that lies with the submission is copied where there is none.
    track
        Whose rules and server decide what has to be mended; or several.
    rulebooks
        TOML files of your own, beside the built-in ones.
    on_progress
        Called with lines of progress for a reader.
    options
        As for `pytest_facechallenge.judge`. With ``server_python`` the embeddings are compared in the evaluation
        server's runtime as well.

    Returns
    -------
    RepairReport
        What was mended, the proof, what could not be mended and why, and the mended file's report.

    Raises
    ------
    FileExistsError, NotADirectoryError
        Something would be overwritten, or ``folder`` is a file. Nothing was run.
    OSError
        The folder cannot be written.
    ValueError
        As for `judge`, or ``model`` names several submissions.
    """
    refuse_folder(Path(folder))
    tracks = [track] if isinstance(track, str) else list(track)
    plan = make_plan(values_from({"model": [model], "track": tracks, "rules": list(rulebooks), **options}))
    if len(plan.sources) != 1:
        raise ValueError(f"one submission is mended at a time, {model} names {len(plan.sources)}")
    gatherer = Gatherer(plan)
    try:
        return mend(plan, gatherer, next(iter(plan.sources)), Path(folder), on_progress=on_progress)
    finally:
        gatherer.close()


def refuse_folder(folder: Path) -> None:
    """Make sure that nothing would be overwritten.

    Raises
    ------
    FileExistsError, NotADirectoryError
        The folder is none, or holds one of the files that are written.
    """
    if os.path.lexists(folder) and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; name a folder for the mended model")
    for name in (MODEL, ARCHIVE):
        if os.path.lexists(folder / name):
            raise FileExistsError(
                f"{folder / name} is there already and is not overwritten; name a folder without {MODEL} and {ARCHIVE}"
            )


def mend(
    plan: Plan,
    gatherer: Gatherer,
    source: Path,
    folder: Path,
    *,
    as_given: Callable[[], Report] | None = None,
    on_progress: Callable[[str], None] = silent,
) -> RepairReport:
    """Mend one submission of a run; see `repair`.

    Parameters
    ----------
    plan, gatherer
        The run, and its facts: what is known already is not gathered again.
    source
        The submission.
    as_given
        Returns the report on the submission as it was handed in; it is judged when it is needed if not given.
    """
    steps = ("repair", "declaration", *READ_IF_THERE)
    found = gatherer.store.facts(source, steps, on_progress)
    facts = found.get(RepairFacts)
    why = _why_not(facts, found)
    mended = gatherer.store.facts_dir(source) / "work" / MENDED
    if not why and (mended.is_symlink() or mended.parent.is_symlink() or not mended.is_file()):
        why = "the mended file is not where it was written"
    if why:
        report = as_given() if as_given is not None else judge_plan(plan, on_progress)
        return RepairReport(facts, report=report, not_mended=_not_mended(report, plan, source), why_not=why)
    refuse_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written, archive = folder / MODEL, folder / ARCHIVE
    with mended.open("rb") as old, written.open("xb") as new:
        while block := old.read(1 << 20):
            new.write(block)
    with archive.open("xb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.write(written, MODEL)
    declared = _declaration_for(found, source, plan.values.path_of("declaration"), folder)
    report = judge_plan(make_plan(_values_for(plan.values, archive, declared)), on_progress)
    return RepairReport(facts, written, archive, report, _not_mended(report, plan))


def _values_for(values: OptionValues, archive: Path, declared: str) -> OptionValues:
    """Return the user's options for judging the mended file; nothing is written again."""
    changed = {name: value for name, value in values.values.items() if not name.startswith("write-")}
    changed |= {"model": (str(archive.absolute()),), "facts": ()}
    if declared and not values.text("declaration"):
        changed["declaration"] = declared
    return OptionValues(changed, values.base)


def _declaration_for(found: Facts, source: Path, named: str, folder: Path) -> str:
    """Copy the submission's declaration beside the mended file where none is; return the path to read it from.

    Only from where a declaration is looked for: what the sandboxed process says of it is not trusted.
    """
    facts = found.get(DeclarationFacts)
    if facts is None or Path(facts.path) not in places_of(source, named):
        return ""
    target = folder / DECLARATION
    if os.path.lexists(target):
        return ""
    try:
        text = read_text(Path(facts.path), _MOST_OF_A_DECLARATION)
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except (OSError, ValueError):  # it is judged from where it lies
        return facts.path
    return ""


def _why_not(facts: RepairFacts | None, found: Facts) -> str:
    """Return why no mended file is written, "" when one is."""
    if facts is None:
        failure = found.failures.get("repair")
        return f"nothing could be mended: {failure.message if failure is not None else 'the model was not read'}"
    if not facts.repairs:
        return facts.trouble or "there is nothing that can be mended without changing what the network computes"
    if not facts.file or facts.local is None:
        return facts.trouble
    rows = facts.local.alone_together
    if not _agrees(rows):
        return f"rows of the mended model depend on each other ({_said(rows)})"
    for proof in (facts.local, facts.server):
        if proof is not None and not _agrees(proof.before_after) and not _incomparable(facts, proof.before_after):
            return f"in {proof.runtime} the mended model gives other embeddings ({_said(proof.before_after)})"
    return ""


def _agrees(found: Agreement) -> bool:
    return not found.trouble and 0 <= found.difference <= MOST_DIFFERENCE


def _incomparable(facts: RepairFacts, found: Agreement) -> bool:
    """Return whether nothing can be compared: in training mode, or where only the mended model runs."""
    return bool(found.trouble) or any(each.name == "inference" for each in facts.repairs)


def _said(found: Agreement) -> str:
    return found.trouble or f"difference {found.difference:.2g}, 1 - cos {found.cosine_distance:.2g}"


def _not_mended(report: Report, plan: Plan, source: Path | None = None) -> tuple[NotMended, ...]:
    """Return the rules that are broken, each with why no repair mends it.

    Parameters
    ----------
    source
        The submission to look at; all of the report if not given.
    """
    name = plan.names[source, 0] if source is not None else ""
    return tuple(
        NotMended(result.rule, track.full, why_not(_check_of(plan.books[track.rulebook], track.track, result.rule)))
        for submission in report.submissions
        if not name or submission.name == name
        for track in submission.tracks
        for result in track.rules
        if result.status is Status.FAILED
    )


def _check_of(book: Rulebook, track: str, rule: str) -> str:
    return next((each.check for each in book.rules_of(track) if each.id == rule), "")
