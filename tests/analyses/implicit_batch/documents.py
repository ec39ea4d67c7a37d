"""The parts of docs/ that are made from the code: the observers, and the numbers that decide.

python -m tests.analyses.implicit_batch.documents    # writes them
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytest_facechallenge.analyses.implicit_batch.observers import OBSERVERS
from pytest_facechallenge.analyses.implicit_batch.thresholds import DEFAULTS
from pytest_facechallenge.checks.implicit_batch.limits import LIMITS
from pytest_facechallenge.core.facts.interventions import INTERVENTIONS
from pytest_facechallenge.core.threshold import thresholds_of

DOCS = Path(__file__).parents[3] / "docs"

BEGIN, END = "<!-- {}: made by tests/analyses/implicit_batch/documents.py -->\n", "<!-- end -->\n"

THRESHOLDS = """# Numbers of the detector

Made by `python -m tests.analyses.implicit_batch.documents`. See [second-looks.md](second-looks.md).

## What is observed

{observed}
## What an observation weighs

{weighed}"""


def table_of_observers() -> str:
    lines = ["| observer | question, and how it is answered | works with | cost |", "|---|---|---|---|"]
    lines += [f"| `{entry.name}` | {entry.doc} | {entry.needs} | {entry.cost} |" for entry in OBSERVERS]
    return "\n".join(lines) + "\n"


def table_of_interventions() -> str:
    lines = ["| intervention | question | what is done, and what confirms |", "|---|---|---|"]
    lines += [f"| `{kind.__name__}` | {kind.question} | {kind.how} |" for kind in INTERVENTIONS]
    return "\n".join(lines) + "\n"


def table_of_thresholds(struct: Any) -> str:
    lines = ["| name | value | unit | why |", "|---|---|---|---|"]
    lines += [
        f"| `{entry.name}` | {_value(entry.value)} | {entry.unit} | {entry.why} |" for entry in thresholds_of(struct)
    ]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(_value(entry) for entry in value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def documents() -> dict[Path, str]:
    """Return what the files should hold."""
    page = DOCS / "second-looks.md"
    text = page.read_text()
    for name, table in (("observers", table_of_observers()), ("interventions", table_of_interventions())):
        begin = BEGIN.format(name)
        before, _, rest = text.partition(begin)
        text = before + begin + "\n" + table + "\n" + END + rest.partition(END)[2]
    return {
        page: text,
        DOCS / "second-looks-thresholds.md": THRESHOLDS.format(
            observed=table_of_thresholds(DEFAULTS), weighed=table_of_thresholds(LIMITS)
        ),
    }


if __name__ == "__main__":
    for path, text in documents().items():
        path.write_text(text)
