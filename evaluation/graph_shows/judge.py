"""Judge the collection: python -m evaluation.graph_shows.judge [NAME...]."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import onnx

from evaluation.case import Case
from evaluation.graph_shows import rows, single_images, stored  # noqa: F401 - they register their cases
from evaluation.graph_shows.network import CASES
from pytest_facechallenge import judge
from pytest_facechallenge.core.outcome import Status

TRACK = "mfr21/A"


def answer(case: Case) -> tuple[str, str]:
    """Return the status of the case's rule and what was said."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(case.build(), str(path))
        report = judge(path, TRACK, device="cpu")
    row = next(row for row in report.submissions[0].tracks[0].rules if row.name == case.rules[0])
    return Status(row.status).value, row.message


def main(names: Sequence[str] | None = None) -> int:
    """Judge all, or those named; print a line each; return 1 when one is not judged as it has to be."""
    wrong = 0
    for name in names or CASES:
        status, said = answer(CASES[name])
        right = status == CASES[name].expected
        wrong += not right
        print(f"{'right' if right else 'WRONG'}  {name}: {status}: {said}", flush=True)
    print(f"{len(names or CASES) - wrong} right, {wrong} wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
