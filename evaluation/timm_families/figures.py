"""The figures of the record, as the page docs/second-looks.md shows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from evaluation.timm_families.record import EXPORTERS, FORMS, Record, Row

RECORD = Path(__file__).parents[1] / "first_runs" / "timm.json"
PAGE = Path(__file__).parents[2] / "docs" / "second-looks.md"
BEGIN = "<!-- timm: made by python -m evaluation.timm_families -->\n"
END = "<!-- end of timm -->\n"
EXPORTER_NAMES = {"torchscript": "TorchScript", "dynamo": "torch.export"}
FORM_NAMES = {
    "plain": "as they are",
    "flip by two runs": "a flip test inside, by two runs",
    "flip in the batch": "a flip test inside, in one batch",
}
#: The columns, each with what is counted in it.
COLUMNS = {
    "passed": ("passed",),
    "undecided": ("undecided",),
    "a rule failed": ("refused", "caught", "another rule"),
    "not exported": ("not made", "not exported"),
    "too large": ("left out",),
    "no answer": ("out of time", "error"),
}


class Listing(NamedTuple):
    """What is listed by name: networks of a form of which one of some words was said; ``always``, or if there are."""

    title: str
    form: str
    said: tuple[str, ...]
    always: bool = False


LISTINGS = (
    Listing("Honest networks that were refused", "plain", ("refused",), always=True),
    Listing("Honest networks that were undecided", "plain", ("undecided",), always=True),
    Listing("Flip tests that passed", "flip", ("passed",), always=True),
    Listing("Flip tests that were undecided", "flip", ("undecided",), always=True),
    Listing("Flip tests that failed another rule alone", "flip", ("another rule",)),
    Listing("No answer", "", ("out of time", "error")),
    Listing("Cannot be made or run at 112 x 112", "plain", ("not made",)),
    Listing("Refused by the exporter, or written so that no runtime loads it", "plain", ("not exported",)),
    Listing("Larger than 60 million parameters or 2 billion multiply-adds", "plain", ("left out",)),
)


def counted(rows: Iterable[Row]) -> list[str]:
    """Return a line for each form and exporter: how often each was said."""
    groups: dict[tuple[str, str], Counter[str]] = {}
    for row in rows:
        groups.setdefault((row.form, row.exporter), Counter())[row.said] += 1
    return [
        f"{form}, {exporter}: {', '.join(f'{number} {said}' for said, number in counts.most_common())}"
        for (form, exporter), counts in groups.items()
    ]


def rendered(record: Record) -> str:
    """Return what the page says between its two marks."""
    lines = [*_scope(record), "", _line(["networks", "exporter", "tried", *COLUMNS]), _line(["---"] * 9)]
    for form in FORMS:
        for exporter in EXPORTERS:
            rows = [row for row in record.rows if (row.form, row.exporter) == (form, exporter)]
            numbers = [sum(row.said in words for row in rows) for words in COLUMNS.values()]
            if rows:
                cells = (FORM_NAMES[form], EXPORTER_NAMES[exporter], len(rows), *numbers)
                lines.append(_line([str(cell) for cell in cells]))
    return "\n".join([*lines, "", *_listed(record)]) + "\n"


def _scope(record: Record) -> Iterator[str]:
    plain = [row for row in record.rows if row.form == FORMS[0]]
    tried = {row.family for row in plain}
    judged = {row.family for row in plain if row.judged}
    waiting = len(set(record.families) - tried)
    yield (
        f"Of the {len(record.families)} families of timm {record.versions.timm} (PyTorch {record.versions.torch}), "
        f"{len(judged)} were exported and judged by the detector of {record.detector}"
        + (f"; {waiting}, larger ones for the most part, wait for the rest of the run." if waiting else ".")
    )


def _listed(record: Record) -> Iterator[str]:
    for title, form, said, always in LISTINGS:
        names = dict.fromkeys(_named(row) for row in record.rows if row.form.startswith(form) and row.said in said)
        if names or always:
            yield f"- {title}: {', '.join(names) or 'none'}."


def _named(row: Row) -> str:
    if row.said in ("not made", "left out"):
        return f"`{row.family}`"
    rules = ", ".join((*row.failed, *row.undecided))
    form = "" if row.form == FORMS[0] else f", {row.form.removeprefix('flip ')}"
    return f"`{row.model}` ({EXPORTER_NAMES[row.exporter]}{form}{': ' if rules else ''}{rules})"


def put(page: str, record: Record) -> str:
    """Return the page with the figures of a record.

    Raises
    ------
    ValueError
        The page lacks a mark.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"expected the marks {BEGIN.strip()} and {END.strip()} in {PAGE.name}, found not both")
    return f"{before}{begin}\n{rendered(record)}\n{end}{after}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
