"""One table with the declarations of many submissions: CSV with a row each, or TOML with a table each.

CSV: the first line names the columns, ``entry`` and then what is stated, as in a declaration: ``purpose``,
``training.dataset``, ``organization.name``, ``submission.time``… An empty field states nothing.

TOML: a table ``[entries."team-a.zip"]`` for each submission, with the tables of a declaration in it.
"""

from __future__ import annotations

import csv
import datetime
import io
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

from pytest_facechallenge.core.declaration import SCHEMA, Declaration, read_declaration
from pytest_facechallenge.core.files import read_text
from pytest_facechallenge.core.text import clean, listed

#: Bytes of a table: of ten thousand entries it has fewer.
MAX_BYTES = 32 << 20


def read_table(path: Path) -> dict[str, Declaration]:
    """Return the declarations of a table by what it calls the submissions.

    Raises
    ------
    ValueError
        The file is no such table; the sentence says which line or entry, what is expected and what was found.
    OSError
        It cannot be read.
    """
    text = read_text(path, MAX_BYTES)
    raw = _of_toml(text, path) if path.suffix.lower() == ".toml" else _of_csv(text, path)
    found = {}
    for where, name, stated in raw:
        if name in found:
            raise ValueError(f"{clean(str(path))}, {where}: there is a second row for {clean(name)!r}; one is expected")
        try:
            found[name] = read_declaration({"schema": SCHEMA, "purpose": "entry"} | stated)
        except ValueError as error:
            raise ValueError(f"{clean(str(path))}, {where} ({clean(name)}): {error}") from None
    return found


def declaration_of(source: Path, table: dict[str, Declaration]) -> tuple[str, Declaration] | None:
    """Return the row of a submission, by its file name or by that without its suffix, and what the row is called."""
    for name in (source.name, source.stem):
        if name in table:
            return name, table[name]
    return None


def _of_toml(text: str, path: Path) -> list[tuple[str, str, dict[str, Any]]]:
    try:
        raw = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{clean(str(path))} is no TOML: {clean(str(error), 200)}") from None
    entries = raw.get("entries")
    if not isinstance(entries, dict) or not all(isinstance(each, dict) for each in entries.values()):
        found = listed(raw) or "nothing"
        raise ValueError(f'{clean(str(path))}: a table [entries."NAME"] for each submission is expected, found {found}')
    return [(f'[entries."{clean(name)}"]', name, stated) for name, stated in entries.items()]


def _of_csv(text: str, path: Path) -> list[tuple[str, str, dict[str, Any]]]:
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    try:
        heading, *lines = list(reader) or [[]]
    except csv.Error as error:
        raise ValueError(f"{clean(str(path))} is no CSV: {error}") from None
    columns = [name.strip() for name in heading]
    if "entry" not in columns or len(set(columns)) != len(columns):
        raise ValueError(
            f"{clean(str(path))}, line 1: columns of different names are expected, one of them 'entry'; found "
            f"{listed(columns) or 'nothing'}"
        )
    found = []
    for number, line in enumerate(lines, 2):
        if not any(field.strip() for field in line):
            continue
        if len(line) != len(columns):
            raise ValueError(
                f"{clean(str(path))}, line {number}: {len(columns)} fields are expected, found {len(line)}"
            )
        fields = {name: field.strip() for name, field in zip(columns, line, strict=True)}
        found.append((f"line {number}", fields.pop("entry"), _nested(fields)))
    return found


def _nested(fields: dict[str, str]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, text in fields.items():
        if not text:
            continue
        section, _, name = key.partition(".")
        if name:
            nested.setdefault(section, {})[name] = _value(text, _hint(section, name))
        else:
            nested[key] = text
    return nested


@cache
def _hint(section: str, name: str) -> str:
    """Return the type that a declaration has for a key, as text; "" for a key that it does not know."""
    kinds = get_type_hints(Declaration)
    table = kinds.get(section)
    return str(get_type_hints(table).get(name, "")) if isinstance(table, type) else ""


def _value(text: str, hint: str) -> str | bool | int | datetime.datetime:
    """Return what a field states, in the type of its key; the text where it cannot be that."""
    if "bool" in hint and text.lower() in ("true", "false", "yes", "no"):
        return text.lower() in ("true", "yes")
    if "int" in hint and text.isascii() and text.isdigit():
        return int(text)
    if "datetime" in hint:
        try:
            return datetime.datetime.fromisoformat(text)
        except ValueError:
            return text
    return text
