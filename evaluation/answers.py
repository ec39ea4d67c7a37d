"""Compare the answers of two tables of cases: what versions say of the same networks.

python -m evaluation.answers OLD NEW [--renames FILE] [--show N]

OLD and NEW are tables that `evaluation.table` wrote, of any version (``git show COMMIT:docs/…``). Cases are matched by
name, with the words of ``--renames`` (see `evaluation.compare`) put in. The answer must be the same; how many of the
evidences are the same but for numbers is counted as well. Exit code 1 when an answer differs or a case is missing.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from evaluation.compare import Renames

#: What is expected of a case: nothing, or that a rule is broken.
_EXPECTED = re.compile(r"honest$|no-[a-z0-9-]+( failed)?$")
#: How the first tables named the blind sets, beside a case's name.
_SPLITS = {"blind)": "blind-1", "2nd)": "blind-2", "3rd)": "blind-3"}
_NUMBER = re.compile(r"\d[\d.e+-]*")


@dataclass(frozen=True)
class Answer:
    """One row of a table: what was expected of a case, what was answered, and the evidence."""

    expected: str
    answer: str
    evidence: str

    @property
    def without_numbers(self) -> str:
        """The evidence with every number taken out."""
        return _NUMBER.sub("#", self.evidence)


def read(text: str, renames: Renames) -> dict[str, Answer]:
    """Return the rows of a table by the name of the case.

    Raises
    ------
    ValueError
        There is no row: it is no such table.
    """
    rows = {}
    for line in text.splitlines():
        cells = [renames.text(cell.strip()) for cell in line.strip().strip("|").split(" | ")]
        if len(cells) >= 5 and _EXPECTED.match(cells[-3]):
            name, _, split = cells[0].partition(" (")
            split = _SPLITS.get(split, "") if len(cells) == 5 else cells[1]
            rows[renames.case(f"{name} ({split})" if split.startswith("blind") else name)] = Answer(*cells[-3:])
    if not rows:
        raise ValueError("no row of a case was found: expected a table that python -m evaluation.table wrote")
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Compare two tables and print what differs; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--renames", type=Path, help="a TOML file with a table [words]")
    parser.add_argument("--show", type=int, default=20, help="differences that are printed (default: 20)")
    options = parser.parse_args(arguments)
    renames = Renames(tomllib.loads(options.renames.read_text("utf-8")) if options.renames else {})
    old = read(options.old.read_text("utf-8"), renames)
    new = read(options.new.read_text("utf-8"), Renames({}))
    missing = sorted(old.keys() - new.keys())
    both = [name for name in old if name in new]
    differing = [name for name in both if old[name].answer != new[name].answer]
    same_evidence = sum(old[name].without_numbers == new[name].without_numbers for name in both)
    for name in [*missing, *differing][: options.show]:
        now = f"{new[name].answer!r}: {new[name].evidence}" if name in new else "not in the new table"
        print(f"{name}: {old[name].answer!r}: {old[name].evidence}\n    now {now}")
    print(
        f"{len(both)} of {len(old)} cases in both, {len(differing)} answers differ, {same_evidence} evidences are the "
        f"same but for numbers; {len(new) - len(both)} cases are new"
    )
    return 1 if missing or differing else 0


if __name__ == "__main__":
    sys.exit(main())
