"""The names of testsets: how they are compared, and which set of a rulebook one means. Imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_facechallenge.rulebook import Rulebook, SetTable


def folded(text: str) -> str:
    """Bring a name into the form in which names are compared: "South_Asian" and "south asian" are one."""
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def split_sets(value: str) -> list[str]:
    """Return the set names in one cell of the set column, "mask;mr-all"."""
    return [part for part in (folded(piece) for piece in value.split(";")) if part]


def find_sets(book: Rulebook, name: str) -> list[str]:
    """Return the rulebook's names of the sets that ``name`` means: the one called so, else all so titled or aliased.

    One testset can be several sets, such as IJB-C at two operating points.
    """
    wanted = folded(name)
    if not wanted:
        return []
    exact = [key for key in book.sets if folded(key) == wanted]
    return exact or [key for key, table in book.sets.items() if wanted in _names(key, table)]


def sets_of_track(book: Rulebook, track: str) -> dict[str, SetTable]:
    """Return the sets that count on ``track``."""
    return {name: table for name, table in book.sets.items() if not table.tracks or track in table.tracks}


def _names(key: str, table: SetTable) -> set[str]:
    return {folded(key), folded(table.title), *map(folded, table.aliases)}
