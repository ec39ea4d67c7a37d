"""Judge one network of each family of timm, as it is and with a flip test inside, and keep what was said.

python -m evaluation.timm_families --state DIR                      # everything: hours
python -m evaluation.timm_families --state DIR --exporter dynamo --only '^(resnet|swin)' --form plain
python -m evaluation.timm_families --state DIR --write              # record and figures of docs/ from what is in DIR

It needs torch, onnxscript, timm and a torchvision that fits torch; the package needs none of them, and no other command
does: ``pip install timm torchvision``. Each network is written to DIR/rows.jsonl when it is judged, and not judged
again, so that a run that was stopped goes on. Networks that are not answered rightly stay in DIR/networks as ONNX.
Weights are random, from a seed.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec

from evaluation.timm_families import figures
from evaluation.timm_families.record import (
    EXPORTERS,
    FORMS,
    Family,
    Record,
    Row,
    Versions,
    append,
    ordered,
    rows_of,
    write,
)
from evaluation.timm_families.run import Worker, each, families_in_a_process, tasks, with_model

Chosen = tuple[list[Family], Versions]


def chosen(state: Path) -> Chosen:
    """Return the families and the libraries' versions; they are found once for a folder."""
    file = state / "families.json"
    if not file.exists():
        found = families_in_a_process()
        file.write_bytes(msgspec.json.encode(found))
    decoded: Chosen = msgspec.json.decode(file.read_bytes(), type=Chosen)
    return decoded


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge what is missing; return 1 when an honest network was refused or a flip test passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, required=True, metavar="DIR", help="keeps what was said")
    parser.add_argument("--exporter", choices=EXPORTERS, action="append", help="this one only; may be repeated")
    parser.add_argument("--form", choices=FORMS, action="append", help="this one only; may be repeated")
    parser.add_argument("--only", type=re.compile, default=re.compile(""), metavar="REGEX", help="families")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="networks at a time")
    parser.add_argument("--limit", type=float, default=600.0, metavar="SECONDS", help="time for one network")
    parser.add_argument("--write", action="store_true", help="write the record and the figures, judge nothing")
    parser.add_argument("--detector", default="", metavar="COMMIT", help="with --write: the commit that judged")
    options = parser.parse_args(arguments)
    state: Path = options.state
    state.mkdir(parents=True, exist_ok=True)
    families, versions = chosen(state)
    rows = {row.key: row for row in rows_of(state / "rows.jsonl")}
    names = sorted(family.name for family in families)
    if options.write:
        record = Record(
            detector=options.detector, versions=versions, families=tuple(names),
            rows=tuple(ordered(rows.values(), names)),
        )  # fmt: skip
        write(figures.RECORD, record)
        figures.PAGE.write_text(figures.put(figures.PAGE.read_text(encoding="utf-8"), record), encoding="utf-8")
        return 0
    selected = [family for family in families if options.only.search(family.name)]
    worker = partial(Worker, state / "networks", options.limit)
    wrong = 0
    for form in options.form or FORMS:
        listed = tasks(selected, options.exporter or EXPORTERS, [form])
        missing = [task for task in listed if (task.family, task.exporter, task.form) not in rows]
        todo = [task for task in (with_model(task, rows) for task in missing) if task]
        for row in each(todo, options.jobs, worker):
            append(state / "rows.jsonl", row)
            rows[row.key] = row
            wrong += row.judged and not row.right and row.said != "undecided"
            print(shown(row), flush=True)
    for line in figures.counted(rows.values()):
        print(line)
    return int(wrong > 0)


def shown(row: Row) -> str:
    """Return the line of a network."""
    reason = "" if row.right else f": {row.message}"
    return f"{row.said:12} {row.family}: {row.model}, {row.exporter}, {row.form}, {row.seconds:.0f} s{reason}"


if __name__ == "__main__":
    sys.exit(main())
