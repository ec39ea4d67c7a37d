"""Writing the mended file of a submission whose fault is mechanical, proven and judged like any other."""

from __future__ import annotations

import os
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

from pytest_facechallenge.api import judge
from pytest_facechallenge.core.facts.repair import RepairFacts
from pytest_facechallenge.engine.gatherer import Gatherer
from pytest_facechallenge.engine.options import values_from
from pytest_facechallenge.engine.plan import make_plan
from pytest_facechallenge.engine.report import Report

#: Where the mended model lies in the working folder; what the facts say of it is not trusted.
MENDED = "mended/model.onnx"
#: How far an embedding of the mended model may lie from that of the model as it was handed in, in parts of its largest
#: value: float32 noise of another order of operations, as in the rule on batches.
MOST_DIFFERENCE = 1e-3


@dataclass(frozen=True)
class RepairReport:
    """What came of a repair.

    Attributes
    ----------
    facts
        The repairs and the comparison of embeddings.
    model, archive
        The mended file and the zip of it; None when there is none.
    report
        The mended file judged; None when there is none.
    why_not
        Why no file was written; "" when one was.
    """

    facts: RepairFacts | None
    model: Path | None = None
    archive: Path | None = None
    report: Report | None = None
    why_not: str = ""


def repair(
    model: str | os.PathLike[str], folder: str | os.PathLike[str], track: str, **options: object
) -> RepairReport:
    """Mend a copy of a submission in the sandbox, write it into ``folder``, and judge it.

    Parameters
    ----------
    model
        One submission.
    folder
        Is made; ``model.onnx`` and ``submission.zip`` must not be there yet.
    track
        Whose rules and server decide what has to be mended.
    options
        As for `pytest_facechallenge.judge`.

    Raises
    ------
    FileExistsError
        The folder holds a file of that name.
    ValueError
        As for `judge`.
    """
    target = Path(folder)
    for name in ("model.onnx", "submission.zip"):
        if (target / name).exists():
            raise FileExistsError(f"{target / name} is there already; name a folder without it")
    plan = make_plan(values_from({"model": [model], "track": [track], **options}))
    gatherer = Gatherer(plan)
    try:
        if len(plan.sources) != 1:
            return RepairReport(None, why_not=f"one submission is mended at a time, found {len(plan.sources)}")
        source = next(iter(plan.sources))
        found = gatherer.store.facts(source, ("repair", "preprocessing"))
        facts = found.get(RepairFacts)
        why = _why_not(facts, found.failures["repair"].message if facts is None else "")
        if facts is None or why:
            return RepairReport(facts, why_not=why)
        mended = gatherer.store.facts_dir(source) / "work" / MENDED
        if mended.is_symlink() or mended.parent.is_symlink() or not mended.is_file():
            return RepairReport(facts, why_not="the mended file is not where it was written")
        target.mkdir(parents=True, exist_ok=True)
        written = target / "model.onnx"
        shutil.copyfile(mended, written)
    finally:
        gatherer.close()
    archive = target / "submission.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.write(written, "model.onnx")
    return RepairReport(facts, written, archive, judge(archive, track, **options))  # type: ignore[arg-type]


def _why_not(facts: RepairFacts | None, failure: str) -> str:
    if facts is None:
        return f"nothing could be mended: {failure}"
    if not facts.repairs:
        return "there is nothing that could be mended mechanically; what is broken has to be changed in the network"
    if not facts.file:
        return facts.trouble
    inference = any(each.name == "inference" for each in facts.repairs)
    if facts.alone_together < 0 or facts.alone_together > MOST_DIFFERENCE:
        return f"rows of the mended model depend on each other (difference {facts.alone_together:.2g})"
    if not inference and not 0 <= facts.before_after <= MOST_DIFFERENCE:
        return f"the mended model gives other embeddings: difference {facts.before_after:.2g}. {facts.trouble}".strip()
    return ""
