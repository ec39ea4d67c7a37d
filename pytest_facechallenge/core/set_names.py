"""The names of testsets: how they are compared, which set of a rulebook one means, and whose a measured set is.

Imports nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_facechallenge.core.facts.accuracy import SetResult
    from pytest_facechallenge.core.rulebook import Rulebook, SetTable


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


def feeds_raw(book: Rulebook, track: str) -> bool:
    """Whether pixels are fed as 0..255 on a track: what its rule on preprocessing says."""
    return any(rule.parameters.get("feed") == "raw" for rule in book.rules_of(track) if rule.check == "preprocessing")


def is_own(result: SetResult, book: Rulebook, track: str) -> bool:
    """Whether a result is of one of the track's sets, measured as this rulebook has it.

    Several rulebooks are judged together, and they may use one name for different sets: so the protocol, the groups and
    the pixels that were fed must agree too.
    """
    table = sets_of_track(book, track).get(result.set) if result.official else None
    if table is None or table.protocol != result.protocol or feeds_raw(book, track) != result.raw:
        return False
    groups = {column: {folded(value), *map(folded, table.aliases)} for column, value in table.group.items()}
    return all(groups[column].issuperset(result.select[column]) for column in groups if column in result.select)


def _names(key: str, table: SetTable) -> set[str]:
    return {folded(key), folded(table.title), *map(folded, table.aliases)}
