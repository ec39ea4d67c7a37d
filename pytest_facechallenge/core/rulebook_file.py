"""Reading rulebooks: where they lie, and what a file must hold to be one."""

from __future__ import annotations

import datetime
import functools
import tomllib
from collections.abc import Callable
from pathlib import Path

from pytest_facechallenge.core.files import read_text
from pytest_facechallenge.core.rulebook import SCHEMA, Rulebook, RulebookError
from pytest_facechallenge.core.validation import convert, shown, wrong_number

#: A rulebook is some pages of text; more is something else.
MOST_BYTES = 4 << 20
#: Data of another kind that lie beside the rulebooks: fingerprints of published networks.
KNOWN_NETWORKS = "known-networks.toml"


def builtin_rulebooks() -> list[Path]:
    """Return the files of the rulebooks that come with the package."""
    return sorted(path for path in builtin_folder().glob("*.toml") if path.name != KNOWN_NETWORKS)


def builtin_folder() -> Path:
    """Return the folder of the rulebooks that come with the package.

    In a wheel they lie inside the package; in a clone or an editable install beside it.
    """
    package = Path(__file__).parents[1]
    inside = package / "rules"
    return inside if inside.is_dir() else package.parent / "rules"


def load(path: Path) -> Rulebook:
    """Read and validate one rulebook.

    Raises
    ------
    RulebookError
        The file cannot be read, is not TOML, or has a wrong key or value; the message names file, key and what is
        allowed.
    """
    try:
        return _parsed(path, read_text(path, MOST_BYTES))
    except OSError as error:
        raise RulebookError(f"cannot read the rulebook {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise RulebookError(f"the rulebook {path} is not valid TOML: {error}") from error


@functools.lru_cache(maxsize=32)
def _parsed(path: Path, text: str) -> Rulebook:
    """Return the rulebook in a text; once for each text, as a service judges by the same ones all day."""
    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RulebookError(f"the rulebook {path} is not valid TOML: {error}") from error
    found = raw.get("schema")
    if found != SCHEMA:
        hint = " (a declaration is given by --facechallenge-declaration)" if "declaration" in str(found) else ""
        raise RulebookError(
            f'the rulebook {path} is wrong: schema = "{SCHEMA}" is expected, found {shown(found)}{hint}'
        )
    try:
        book = convert(raw, Rulebook)
    except ValueError as error:
        raise RulebookError(f"the rulebook {path} is wrong: {error}") from error
    _check_consistency(path, book)
    return book


def _check_consistency(path: Path, book: Rulebook) -> None:
    def wrong(key: str, what: str) -> RulebookError:
        return RulebookError(f"the rulebook {path} is wrong at {key}: {what}")

    try:
        datetime.date.fromisoformat(book.date)
    except ValueError:
        raise wrong("date", f"a date such as 2021-11-30 is expected, found {shown(book.date)}") from None
    tracks = set(book.tracks)
    if not tracks:
        raise wrong("tracks", "at least one track is needed, none is there")
    if not book.rules:
        raise wrong("rules", "at least one rule is needed, none is there")
    for rule_id, rule in book.rules.items():
        named: dict[str, object] = {
            f"rules.{rule_id}.limit": rule.limit,
            f"rules.{rule_id}.not_applicable": rule.not_applicable,
        }
        named[f"rules.{rule_id}.level"] = rule.level
        named |= {f"rules.{rule_id}.parameters.{key}": value for key, value in rule.parameters.items()}
        for key, value in named.items():
            if isinstance(value, dict) and set(value) - tracks:
                stray = ", ".join(sorted(set(value) - tracks))
                raise wrong(key, f"no such track: {stray}; known: {', '.join(sorted(tracks))}")
    for name, entry in book.sets.items():
        if set(entry.tracks) - tracks:
            raise wrong(f"sets.{name}.tracks", f"known tracks are {', '.join(sorted(tracks))}, found {entry.tracks}")
        if entry.member_of and entry.member_of not in book.sets:
            raise wrong(f"sets.{name}.member_of", f"no such set: {entry.member_of}; known: {', '.join(book.sets)}")
        try:
            far = float(entry.far)
        except ValueError:
            far = -1.0
        if not 0 < far < 1:
            raise wrong(
                f"sets.{name}.far", f'a decimal string between 0 and 1 such as "1e-4" is needed, found {entry.far!r}'
            )
    if book.ranking is not None and set(book.ranking.weights) - set(book.sets):
        raise wrong(
            "ranking.weights", f"known sets are {', '.join(book.sets)}, found {', '.join(book.ranking.weights)}"
        )
    _check_numbers(book, wrong)
    rows = {row.name for row in book.baselines}
    for track, table in book.tracks.items():
        for name, threshold in table.accuracy.items():
            key = f"tracks.{track}.accuracy.{name}"
            if name not in book.sets and name != "ranking-score":
                raise wrong(key, f"no such set; known: {', '.join([*book.sets, 'ranking-score'])}")
            if isinstance(threshold, str) and threshold not in rows:
                raise wrong(key, f"no baseline row is named {threshold!r}; known: {'; '.join(sorted(rows))}")
            if not isinstance(threshold, str) and not 0 <= threshold <= 1:
                raise wrong(key, f"a TAR between 0 and 1 is needed, found {threshold}")


def _check_numbers(book: Rulebook, wrong: Callable[[str, str], RulebookError]) -> None:
    """Refuse limits and weights that are NaN, infinite or negative: nothing, or everything, would keep them."""
    named: dict[str, object] = {}
    for rule_id, rule in book.rules.items():
        limits = rule.limit if isinstance(rule.limit, dict) else {"": rule.limit}
        named |= {f"rules.{rule_id}.limit{f'.{track}' if track else ''}": value for track, value in limits.items()}
    if book.ranking is not None:
        named |= {f"ranking.weights.{name}": weight for name, weight in book.ranking.weights.items()}
    for key, value in named.items():
        if reason := wrong_number(value):
            raise wrong(key, reason)
