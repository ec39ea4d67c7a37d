"""Measures how far likeness tells copies from independent work.

python -m evaluation.duplicates --folder DIR            # train, measure, print the table
python -m evaluation.duplicates --folder DIR --write    # and put it into docs/explanation/duplicates.md

Needs PyTorch. Trained networks stay in the folder; five minutes of one processor the first time.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

from evaluation.duplicates.figures import measured, table

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "duplicates.md"
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="keeps images and trained networks")
    parser.add_argument("--write", action="store_true", help=f"write the table into {PAGE.name}")
    given = parser.parse_args()
    warnings.simplefilter("ignore")  # the exporter's own
    found = table(measured(given.folder, lambda line: print(line, file=sys.stderr, flush=True)))
    print(found)
    if given.write:
        text = PAGE.read_text(encoding="utf-8")
        before, after = text.partition(BEGIN)[0], text.partition(END)[2]
        PAGE.write_text(f"{before}{BEGIN}\n{found}\n{END}{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
