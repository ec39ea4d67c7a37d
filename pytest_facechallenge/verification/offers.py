"""Parts that a process scans by itself, offered to whoever sees the folder: what others leave there it need not scan.

So a process without a network, such as a sandbox, gets the machines of the one that started it to take a part: all that
passes between them are files. Nothing waits for an answer, and whether anybody takes the offer changes no result.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_facechallenge.core.files import read_regular
from pytest_facechallenge.verification.on_machines import COPY, PartTask
from pytest_facechallenge.verification.parts import Part

if TYPE_CHECKING:
    from collections.abc import Iterator

OFFER = "offer.json"
_MOST_BYTES = 64 << 20


def write_offer(folder: Path, parts: list[Part], start: float) -> None:
    """Offer parts of a job; an offer that cannot be written is none."""
    fields = [[p.number, p.left_start, p.left_stop, p.right_start, p.right_stop] for p in parts]
    temporary = folder / f"{OFFER}.tmp"
    with contextlib.suppress(OSError):
        temporary.write_text(json.dumps({"start": start, "parts": fields}), encoding="ascii")
        temporary.replace(folder / OFFER)


def offers(state: Path) -> dict[Path, int]:
    """Return the offers below a folder of states, with when they were made (ns)."""
    found = {}
    for path in state.glob(f"*/{OFFER}"):
        with contextlib.suppress(OSError):
            found[path] = path.stat().st_mtime_ns
    return found


def tasks_of(offer: Path) -> Iterator[PartTask]:
    """Give the parts of an offer that are not there yet, from the last on: who offers them begins with the first.

    What is no offer gives nothing: a sandbox wrote it, and a hostile model may have been in there.
    """
    try:
        about = json.loads(read_regular(offer, _MOST_BYTES))
        start = float(about["start"])
        parts = [Part(*map(int, fields)) for fields in about["parts"]]
    except (OSError, ValueError, KeyError, TypeError):
        return
    for part in reversed(parts):
        if not (offer.parent / f"{part.number:06}.part").exists():
            yield PartTask(str(offer.parent), part, start, start, offered=True)


def withdraw(offer: Path) -> None:
    """Remove an offer and the features that were copied for it."""
    for name in (OFFER, COPY):
        with contextlib.suppress(OSError):
            (offer.parent / name).unlink(missing_ok=True)
