"""Reads the declaration file beside a submission: what only people can state. Runs in the sandbox."""

from __future__ import annotations

import datetime
import os
import tomllib
from pathlib import Path
from typing import Any

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.declaration.options import DeclarationOptions
from pytest_facechallenge.core.facts.declaration import DeclarationFacts
from pytest_facechallenge.core.files import read_text
from pytest_facechallenge.core.text import clean, clean_name

SCHEMA = "facechallenge-declaration/1"
#: Every statement that a rule may ask for, and the kind of value that it must have.
STATEMENTS: dict[str, type | tuple[type, ...]] = {
    "training.dataset": str,
    "training.external_data": bool,
    "training.pretrained_models": bool,
    "mask_augmentation.used": bool,
    "mask_augmentation.tool": str,
    "mask_augmentation.reproduce": str,
    "solution.description": str,
    "solution.code": str,
    "organization.name": str,
    "submission.time": datetime.datetime,
    "submission.number_that_day": int,
}
#: A declaration is a page of text; more is something else.
MAX_BYTES = 1 << 20
#: Characters of a reason that are kept.
_MOST_SAID = 400


def gather(context: Context) -> DeclarationFacts:
    """Find and read the declaration.

    It is the file named by --facechallenge-declaration, else ``<name>.declaration.toml`` or ``declaration.toml`` beside
    the submission (inside it when it is a folder).
    """
    named = context.options.of(DeclarationOptions).path
    places = _places(context.source, named)
    path = next((place for place in places if _is_there(place)), None)
    looked_for = tuple(str(place) for place in places)
    if path is None:
        problem = "the declaration file that was named does not exist" if named else ""
        return DeclarationFacts(path="", looked_for=looked_for, problem=problem)
    try:
        # A link inside of a stranger's folder could show the report's readers a file of this machine.
        text = read_text(path, MAX_BYTES, follow=path.parent != context.source)
        statements = _flatten(tomllib.loads(text))
    except (OSError, ValueError) as error:
        problem = f"{clean_name(path.name)} cannot be used: {clean(str(error), _MOST_SAID)}"
        return DeclarationFacts(path=str(path), looked_for=looked_for, problem=problem)
    except RecursionError:
        problem = f"{clean_name(path.name)} cannot be used: its values are nested too deeply; plain values are expected"
        return DeclarationFacts(path=str(path), looked_for=looked_for, problem=problem)
    return DeclarationFacts(path=str(path), looked_for=looked_for, statements=statements)


def _is_there(path: Path) -> bool:
    """Whether there is anything at this path, also what cannot be used: then the reason is told."""
    try:
        return os.path.lexists(path)
    except ValueError:  # a NUL in it
        return False


def _places(source: Path, named: str) -> list[Path]:
    if named:
        return [Path(named)]
    if source.is_dir():
        return [source / "declaration.toml"]
    return [source.with_name(f"{source.stem}.declaration.toml"), source.with_name("declaration.toml")]


def _flatten(raw: dict[str, Any]) -> dict[str, str]:
    """Return "section.key" -> text.

    Raises
    ------
    ValueError
        An unknown key, a value of the wrong kind, or another schema; the message names the key and what is allowed.
    """
    if raw.get("schema") != SCHEMA:
        raise ValueError(f"schema = {SCHEMA!r} is expected, found {_shown(raw.get('schema'))}")
    statements: dict[str, str] = {}
    for section, table in raw.items():
        if section == "schema":
            continue
        if not isinstance(table, dict):
            raise ValueError(f"'{clean_name(section)}' must be a table ([{section}])")
        for key, value in table.items():
            name = f"{section}.{key}"
            kind = STATEMENTS.get(name)
            if kind is None:
                raise ValueError(f"there is no statement '{clean_name(name)}'; known: {', '.join(STATEMENTS)}")
            # bool is an int in Python, but "true" is no number of submissions.
            if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
                wanted = kind.__name__ if isinstance(kind, type) else str(kind)
                raise ValueError(f"{name} must be of the kind {wanted}, found {_shown(value)}")
            statements[name] = _text(value)
    return statements


def _shown(value: Any) -> str:
    """Return a value for a message; lists and tables can be of any size, so they are only named."""
    if isinstance(value, (list, dict)):
        return f"a {'list' if isinstance(value, list) else 'table'} of {len(value):,}"
    return repr(clean_name(value) if isinstance(value, str) else value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime.datetime) else str(value)
