"""Checks and rulebooks: those that come with the package, and those that other packages bring by entry points."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from pytest_facechallenge.checks.registry import CHECKS, Check
from pytest_facechallenge.core.rulebook import Rule, Rulebook, RulebookError
from pytest_facechallenge.core.rulebook_file import builtin_rulebooks, load
from pytest_facechallenge.core.validation import shown, wrong_value

#: The modules of built-in checks; importing one registers its checks.
FAMILIES = (
    "package",
    "interface",
    "batch",
    "behaviour",
    "weights",
    "preprocessing",
    "server",
    "organisers_checker",
    "declaration",
    "implicit_batch",
    "flops",
    "latency",
    "accuracy",
    "feature_file",
)
#: An entry point of this group names a module; importing it registers its checks.
CHECKS_GROUP = "facechallenge.checks"
#: An entry point of this group names a path, or a function that returns one: a rulebook, or a folder of rulebooks.
RULEBOOKS_GROUP = "facechallenge.rulebooks"


class ExtensionError(ValueError):
    """What another package brings cannot be used; the message names the package and the entry point."""


def load_checks() -> dict[str, Check]:
    """Import every built-in check and those of installed packages, and return the register.

    Raises
    ------
    ExtensionError
        A package's checks cannot be imported.
    """
    for family in FAMILIES:
        import_module(f"pytest_facechallenge.checks.{family}")
    for entry in entry_points(group=CHECKS_GROUP):
        _loaded(entry)
    return CHECKS


def load_rulebooks(extra: Iterable[Path] = ()) -> dict[str, Rulebook]:
    """Return the built-in rulebooks, those of installed packages and those of ``extra``, by id.

    Raises
    ------
    RulebookError
        One of them is wrong, or two have the same id.
    ExtensionError
        A package's entry point gives no path.
    """
    paths = builtin_rulebooks()
    for entry in entry_points(group=RULEBOOKS_GROUP):
        paths += _rulebook_paths(entry)
    books: dict[str, Rulebook] = {}
    origin: dict[str, Path] = {}
    for path in [*paths, *extra]:
        book = load(path)
        if book.id in books:
            raise RulebookError(f"two rulebooks have the id {book.id!r}: {origin[book.id]} and {path}; rename one")
        books[book.id] = book
        origin[book.id] = path
    return books


def _rulebook_paths(entry: EntryPoint) -> list[Path]:
    found = _loaded(entry)
    path = found() if callable(found) else found
    if not isinstance(path, (str, Path)):
        raise ExtensionError(
            f"{_described(entry)} must name a path or a function that returns one, found {type(path).__name__}"
        )
    folder = Path(path)
    return sorted(folder.glob("*.toml")) if folder.is_dir() else [folder]


def _loaded(entry: EntryPoint) -> object:
    try:
        return entry.load()
    except Exception as error:  # whatever another package's code raises; the message says whose
        raise ExtensionError(f"{_described(entry)} cannot be loaded: {type(error).__name__}: {error}") from error


def _described(entry: EntryPoint) -> str:
    package = entry.dist.name if entry.dist is not None else "an installed package"
    return f"the entry point {entry.group}:{entry.name} of {package}"


def validate(books: Mapping[str, Rulebook], checks: Mapping[str, Check]) -> None:
    """Make sure that every rule names a registered check, with a limit and parameters that it can use.

    Raises
    ------
    RulebookError
        Naming rulebook, key, what is expected and what was found.
    """
    for book in books.values():
        for rule_id, table in book.rules.items():
            if table.check not in checks:
                near = difflib.get_close_matches(table.check, checks, n=1)
                raise RulebookError(
                    f"rulebook {book.id!r}, key rules.{rule_id}.check: no check is named {table.check!r}"
                    f"{f'; did you mean {near[0]!r}?' if near else ';'} known: {', '.join(sorted(checks))}"
                )
        for track in book.tracks:
            for rule in book.rules_of(track):
                _validate_rule(rule, checks[rule.check])


def _validate_rule(rule: Rule, check: Check) -> None:
    def wrong(key: str, what: str) -> RulebookError:
        return RulebookError(f"rulebook {rule.book.id!r}, key rules.{rule.id}.{key}, track {rule.track!r}: {what}")

    stray = set(rule.parameters) - set(check.parameters)
    if stray:
        raise wrong(
            "parameters",
            f"the check {check.name!r} has no parameter {', '.join(sorted(stray))}; "
            f"known: {', '.join(check.parameters) or 'none'}",
        )
    for name, value in rule.parameters.items():
        reason = "" if value is None or name not in check.types else wrong_value(value, check.types[name])
        if reason:
            raise wrong(f"parameters.{name}", reason)
    if check.limit == "any" or rule.not_applicable:
        return
    if rule.limit is None and check.limit == "needed" and rule.level == "rule":
        raise wrong("limit", f"the check {check.name!r} needs a number, and there is none")
    if rule.limit is not None and not isinstance(rule.limit, (int, float)):
        raise wrong("limit", f"the check {check.name!r} compares with a number, found {shown(rule.limit)}")
