"""The answer to every case that names the rules to judge it by, as the table of docs/.

python -m evaluation.table            # judge everything and write docs/evaluation-table.md
python -m evaluation.table --check    # judge everything and fail if the table says something else
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from evaluation.case import Case
from evaluation.cases import load, splits
from evaluation.results import Row, judged

TABLE = Path(__file__).parents[1] / "docs" / "evaluation-table.md"
HEAD = """# Every case of the evaluation, and what the product says of it

Written by `python -m evaluation.table`; [second-looks.md](second-looks.md) says how the detector works,
`evaluation/splits.toml` where each case came from.
"""
COLUMNS = ("case", "set", "what it is", "expected", "answer", "evidence")


def listed() -> list[Case]:
    """Return the cases that the table has: those that are judged by the rules they name, not as whole submissions."""
    return [case for case in load() if not case.whole]


def cells(case: Case, answer: str, evidence: str) -> tuple[str, ...]:
    """Return the cells of one line."""
    expected = "honest" if case.honest else f"{case.rules[0]} {case.expected}"
    word = answer if answer == "right" else f"**{answer}**"
    raw = (case.name, case.split, case.about, expected, word, evidence)
    return tuple(cell.replace("|", "/").replace("\n", " ") for cell in raw)


def counted(label: str, rows: Sequence[tuple[Case, Row]]) -> tuple[str, ...]:
    """Return the line of one set in the summary: the first run, where there was one, and today."""
    split = splits()[label]
    parts = [f"{split.blind_until}" if split.blind_until else "never"]
    for first, honest in ((split.first_evasions, False), (split.first_honest, True)):
        chosen = [each.answer == "right" for case, each in rows if case.split == label and case.honest is honest]
        parts += [f"{first[0]} of {first[1]}" if first else "", f"{sum(chosen)} of {len(chosen)}"]
    return (label, *parts)


def line(entries: Sequence[str]) -> str:
    """Return one line of a Markdown table."""
    return f"| {' | '.join(entries)} |"


def rendered(rows: Sequence[tuple[Case, Row]]) -> str:
    """Return the whole page."""
    summary = (
        "set",
        "blind until",
        "evasions found, first run",
        "evasions found now",
        "honest passed, first run",
        "honest passed now",
    )
    lines = [HEAD, line(summary), line(["---"] * len(summary))]
    lines += [line(counted(label, rows)) for label in dict.fromkeys(case.split for case, _ in rows)]
    lines += ["", line(COLUMNS), line(["---"] * len(COLUMNS))]
    lines += [line(cells(case, each.answer, each.evidence)) for case, each in rows]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge every case and write, or check, the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--jobs", type=int, default=0)
    options = parser.parse_args(arguments)
    cases = listed()
    page = rendered(list(zip(cases, judged(cases, options.jobs), strict=True)))
    if not options.check:
        TABLE.write_text(page, encoding="utf-8")
        return 0
    if TABLE.read_text(encoding="utf-8") != page:
        print(f"{TABLE.name} is not what the product says today: run python -m evaluation.table")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
