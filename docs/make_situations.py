"""Write docs/situations.md from the rows that the tests hold: ``python -m docs.make_situations``."""

from __future__ import annotations

from pathlib import Path

from tests.situations.catalogue import SITUATIONS, Situation

PATH = Path(__file__).with_name("situations.md")
_HEAD = """# What people hand in, what is found, and what mends it

Each row is a test (`tests/situations/catalogue.py`): the situation is built, by the real exporter or converter where
that is at hand, and the finding and the remedy, parts of them quoted here, are what is really said. A row without a
rule in bold breaks none. Commands are run by `tests/remedies`; `facechallenge repair MODEL --out FOLDER --track TRACK`
mends what is mechanical.

| situation | finding | remedy |
|---|---|---|
"""


def document() -> str:
    """Return the document."""
    return _HEAD + "".join(map(_row, SITUATIONS))


def _row(each: Situation) -> str:
    rule = f"**{each.rule}**: " if each.breaks else ""
    return f"| {_cell(each.name)} | {rule}{_quoted(each.finding)} | {_quoted(each.remedy)} |\n"


def _quoted(text: str) -> str:
    return f"{_cell(text.strip())}" if text else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")


if __name__ == "__main__":
    PATH.write_text(document(), encoding="utf-8")
