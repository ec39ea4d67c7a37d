"""Reads the declaration file beside a submission: what only people can state. Runs in the sandbox."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import msgspec

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.declaration.options import DeclarationOptions
from pytest_facechallenge.analyses.declaration.table import MAX_BYTES as TABLE_BYTES
from pytest_facechallenge.analyses.declaration.table import declaration_of, read_table
from pytest_facechallenge.core.declaration import read_declaration
from pytest_facechallenge.core.facts.declaration import DeclarationFacts
from pytest_facechallenge.core.files import read_text
from pytest_facechallenge.core.path_state import text_state
from pytest_facechallenge.core.run_options import AnalysisOptions
from pytest_facechallenge.core.text import clean, clean_name

#: A declaration is a page of text; more is something else.
MAX_BYTES = 1 << 20
#: Characters of a reason that are kept.
_MOST_SAID = 400


def gather(context: Context) -> DeclarationFacts:
    """Find and read the declaration.

    It is the file named by --facechallenge-declaration, or the submission's row of --facechallenge-declarations; else
    ``<name>.declaration.toml`` or ``declaration.toml`` beside the submission (inside it when it is a folder). A
    ``declaration.toml`` in a folder of submissions is nobody's: whoever hands in there could state things of others.
    """
    options = context.options.of(DeclarationOptions)
    found = _row(context, options.table) or _read(context, options.path)
    shared = context.source.with_name("declaration.toml")
    if (
        not found.path
        and not options.path
        and not context.follow
        and shared in _beside(context.source)
        and _is_there(shared)
    ):
        own = clean_name(f"{context.source.stem}.declaration.toml")
        problem = f"declaration.toml lies in a folder of several submissions and counts for none; name it {own!r}"
        found = DeclarationFacts(path="", looked_for=found.looked_for, problem=problem)
    return msgspec.structs.replace(found, asked_for=options.purpose)


def depends(source: Path, options: AnalysisOptions | None) -> list[str]:
    """Return path and digest of every file that the declaration is looked for in."""
    given = options if isinstance(options, DeclarationOptions) else DeclarationOptions()
    table = [text_state(given.table, TABLE_BYTES)] if given.table else []
    return [*table, *(text_state(place, MAX_BYTES) for place in places_of(source, given.path))]


def _row(context: Context, table: str) -> DeclarationFacts | None:
    """Return what the table states of the submission; None where it has no row for it."""
    found = declaration_of(context.source, read_table(Path(table))) if table else None
    if found is None:
        return None
    name, declaration = found
    return DeclarationFacts(
        path=f"{table} ({clean_name(name)})", looked_for=(table,), statements=declaration.statements()
    )


def _read(context: Context, named: str) -> DeclarationFacts:
    places = places_of(context.source, named, alone=context.follow)
    path = next((place for place in places if _is_there(place)), None)
    looked_for = tuple(str(place) for place in places)
    if path is None:
        problem = "the declaration file that was named does not exist" if named else ""
        return DeclarationFacts(path="", looked_for=looked_for, problem=problem)
    try:
        # A stranger's link could show the report's readers a file of this machine: only one that is named is followed.
        text = read_text(path, MAX_BYTES, follow=bool(named))
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


def places_of(source: Path, named: str = "", *, alone: bool = True) -> list[Path]:
    """Return where the declaration of a submission may lie, the first choice first.

    Parameters
    ----------
    named
        The user's own; "" for none.
    alone
        False for what was found in a folder of submissions: a declaration.toml beside it is nobody's.
    """
    if named:
        return [Path(named)]
    if source.is_dir():
        return [source / "declaration.toml"]
    return _beside(source)[: 2 if alone else 1]


def _beside(source: Path) -> list[Path]:
    """Return where the declaration of a file may lie; nowhere for a folder, which holds its own."""
    if source.is_dir():
        return []
    return [source.with_name(f"{source.stem}.declaration.toml"), source.with_name("declaration.toml")]
