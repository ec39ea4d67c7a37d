"""The names of testsets: how they are compared, and which set of a rulebook one means. Imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_facechallenge.rulebook import Rulebook, SetTable


def folded(text: str) -> str:
    """Bring a name into the form in which names are compared: "South_Asian" and "south asian" are one."""
    return " ".join(text.casefold().replace("_", " ").replace("-", " ").split())


def split_sets(value: str) -> list[str]:
    """Return the set names in one cell of the set column, "mask;mr-all"."""
    return [part for part in (folded(piece) for piece in value.split(";")) if part]


def find_set(book: Rulebook, name: str) -> str:
    """Return the rulebook's name of the set that ``name`` (a name or an alias) means, or "" when it is none."""
    wanted = folded(name)
    for key, table in book.sets.items():
        if wanted in _names(key, table):
            return key
    return ""


def sets_of_track(book: Rulebook, track: str) -> dict[str, SetTable]:
    """Return the sets that count on ``track``."""
    return {name: table for name, table in book.sets.items() if not table.tracks or track in table.tracks}


def _names(key: str, table: SetTable) -> set[str]:
    return {folded(key), folded(table.title), *map(folded, table.aliases)}
