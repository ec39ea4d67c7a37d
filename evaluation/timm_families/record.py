"""What was said of the networks: rows as they are judged, and the record of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

EXPORTERS = ("torchscript", "dynamo")
#: The network as it is, and two ways to put a flip test inside.
FORMS = ("plain", "flip by two runs", "flip in the batch")
#: What is said of networks that were judged; every other word says why one was not.
JUDGED = ("passed", "undecided", "refused", "caught", "another rule", "error")


class Candidate(NamedTuple):
    """A model of timm: its name, and its parameters (0 where they could not be counted)."""

    name: str
    parameters: int


class Family(NamedTuple):
    """A module of timm.models, and its smallest models, the smallest first."""

    name: str
    candidates: tuple[Candidate, ...]


class Versions(NamedTuple):
    """What made the networks."""

    timm: str
    torch: str
    onnx: str


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What was said of one network.

    Attributes
    ----------
    family, model
        The module of timm.models and the model's name.
    exporter, form
        One of ``EXPORTERS`` and one of ``FORMS``.
    said
        As in :class:`evaluation.first_run.Verdict`, or ``left out`` (larger than the limits), ``not made`` (it cannot
        be made or run at 112 x 112), ``not exported`` (or so that no runtime loads it), ``out of time``.
    failed, undecided
        The rules that failed, and those that are undecided of themselves.
    message, evidence
        What the first of them said, shortened, or the reason why nothing was judged.
    server
        What the rule server-runtime says, which is right of new operator sets and so does not count: its status.
    opset, parameters, seconds
        The operator set of the file, the parameters of the network, the time of exporting and judging.
    """

    family: str
    model: str
    exporter: str
    form: str
    said: str
    failed: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()
    message: str = ""
    evidence: str = ""
    server: str = ""
    opset: int = 0
    parameters: int = 0
    seconds: float = 0.0

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells a row from all others."""
        return self.family, self.exporter, self.form

    @property
    def judged(self) -> bool:
        """Whether the network was judged."""
        return self.said in JUDGED

    @property
    def right(self) -> bool:
        """Whether the answer is the right one."""
        return self.said == ("passed" if self.form == "plain" else "caught")


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A run: which detector judged networks of which libraries, the families there are, and what was said."""

    detector: str
    versions: Versions
    families: tuple[str, ...]
    rows: tuple[Row, ...]


def append(file: Path, row: Row) -> None:
    """Add a row to a file that has one on each line."""
    with file.open("ab") as lines:
        lines.write(msgspec.json.encode(row) + b"\n")


def rows_of(file: Path) -> list[Row]:
    """Read the rows of a file, none where there is no file; a last line that was not finished is dropped."""
    if not file.exists():
        return []
    whole, _, _ = file.read_bytes().rpartition(b"\n")
    return [msgspec.json.decode(line, type=Row) for line in whole.splitlines()]


def read(file: Path) -> Record:
    """Read a record."""
    return msgspec.json.decode(file.read_bytes(), type=Record)


def write(file: Path, record: Record) -> None:
    """Write a record, a row on each line."""
    head = msgspec.json.encode(msgspec.structs.replace(record, rows=())).decode().removesuffix("]}")
    rows = ",\n".join(msgspec.json.encode(row).decode() for row in record.rows)
    file.write_text(f"{head}\n{rows}\n]}}\n", encoding="utf-8")


def ordered(rows: Iterable[Row], families: Iterable[str]) -> Iterator[Row]:
    """Yield rows by family, form and exporter."""
    by_key = {row.key: row for row in rows}
    for family in families:
        for form in FORMS:
            for exporter in EXPORTERS:
                if (family, exporter, form) in by_key:
                    yield by_key[family, exporter, form]
