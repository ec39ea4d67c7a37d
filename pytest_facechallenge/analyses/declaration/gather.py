"""Reads the declaration file beside a submission: what only people can state. Runs in the sandbox."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import msgspec

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.declaration.options import DeclarationOptions
from pytest_facechallenge.core.declaration import read_declaration
from pytest_facechallenge.core.facts.declaration import DeclarationFacts
from pytest_facechallenge.core.files import read_text
from pytest_facechallenge.core.text import clean, clean_name

#: A declaration is a page of text; more is something else.
MAX_BYTES = 1 << 20
#: Characters of a reason that are kept.
_MOST_SAID = 400


def gather(context: Context) -> DeclarationFacts:
    """Find and read the declaration.

    It is the file named by --facechallenge-declaration, else ``<name>.declaration.toml`` or ``declaration.toml`` beside
    the submission (inside it when it is a folder).
    """
    options = context.options.of(DeclarationOptions)
    found = _read(context, options.path)
    return msgspec.structs.replace(found, asked_for=options.purpose)


def _read(context: Context, named: str) -> DeclarationFacts:
    places = places_of(context.source, named)
    path = next((place for place in places if _is_there(place)), None)
    looked_for = tuple(str(place) for place in places)
    if path is None:
        problem = "the declaration file that was named does not exist" if named else ""
        return DeclarationFacts(path="", looked_for=looked_for, problem=problem)
    try:
        # A link inside of a stranger's folder could show the report's readers a file of this machine.
        text = read_text(path, MAX_BYTES, follow=path.parent != context.source)
        statements = read_declaration(tomllib.loads(text)).statements()
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


def places_of(source: Path, named: str = "") -> list[Path]:
    """Return where the declaration of a submission may lie, the first choice first; ``named`` is the user's own."""
    if named:
        return [Path(named)]
    if source.is_dir():
        return [source / "declaration.toml"]
    return [source.with_name(f"{source.stem}.declaration.toml"), source.with_name("declaration.toml")]
