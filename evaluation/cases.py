"""The cases: collected from the modules that register them, each with the set it came from."""

from __future__ import annotations

import importlib
import pkgutil
import tomllib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from evaluation import evasions, float16, honest, proofs
from evaluation.case import Case, Expected
from evaluation.registry import CASES

SPLITS = Path(__file__).with_name("splits.toml")
#: Sets that have a package of their own, which is imported where what the set needs is installed.
FOLDERS = {f"blind-{number}": f"blind{number}" for number in range(4, 17)}


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """One set of cases, as ``splits.toml`` describes it.

    Attributes
    ----------
    about
        Who wrote the set, knowing what.
    written
        The commit in which the set stands complete.
    blind_until
        The commit that first holds the detector's answers; up to it, the detector was written without the set. ""
        for sets that were never blind.
    first_evasions, first_honest
        How many were answered rightly in the first run, and of how many; None where there was no first run.
    needs
        A package beside those that the project needs, without which its networks cannot be built; "" for most.
    evading, honest
        The names of the cases.
    """

    about: str
    written: str
    blind_until: str = ""
    first_evasions: tuple[int, int] | None = None
    first_honest: tuple[int, int] | None = None
    needs: str = ""
    evading: tuple[str, ...]
    honest: tuple[str, ...]


@cache
def splits() -> dict[str, Split]:
    """Read ``splits.toml``."""
    with SPLITS.open("rb") as file:
        found: dict[str, Any] = tomllib.load(file)
    return {name: msgspec.convert(entry, Split) for name, entry in found.items()}


def _import_all(package: ModuleType) -> None:
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)


def left_out() -> dict[str, str]:
    """Return the sets that cannot be built here, with the package that is missing."""
    return {name: split.needs for name, split in splits().items() if split.needs and find_spec(split.needs) is None}


@cache
def _all() -> dict[str, Case]:
    missing = left_out()
    for package in (honest, evasions, float16, proofs):
        _import_all(package)
    for label, folder in FOLDERS.items():
        if label not in missing:
            _import_all(importlib.import_module(f"evaluation.{folder}"))
    there = {label: split for label, split in splits().items() if label not in missing}
    rows = [(name, label) for label, split in there.items() for name in (*split.honest, *split.evading)]
    where = dict(rows)
    registered = CASES.keys() - {
        name for label in missing for name in (*splits()[label].honest, *splits()[label].evading)
    }
    if len(where) != len(rows) or where.keys() != registered:
        twice = sorted({name for name, _ in rows if [other for other, _ in rows].count(name) > 1})
        raise ValueError(
            f"splits.toml and the register differ: in splits.toml alone {sorted(where.keys() - CASES.keys())}, "
            f"registered alone {sorted(registered - where.keys())}, listed twice {twice}"
        )
    return {name: msgspec.structs.replace(CASES[name], split=label) for name, label in rows}


def load(split: str | None = None, *, kind: Expected | None = None) -> list[Case]:
    """Return the cases of one set, or of all, in the order of ``splits.toml``.

    Parameters
    ----------
    split
        A key of ``splits.toml``.
    kind
        Only cases with this expected answer.

    Raises
    ------
    ValueError
        If a case stands in no set or in two, if ``split`` is none of them, or if it cannot be built here.
    """
    if split is not None and split not in splits():
        raise ValueError(f"expected a set of splits.toml ({', '.join(splits())}), found {split!r}")
    if split is not None and split in left_out():
        raise ValueError(f"the set {split} needs the package {left_out()[split]}, which is not installed")
    return [case for case in _all().values() if split in (None, case.split) and kind in (None, case.expected)]


def get(name: str) -> Case:
    """Return one case."""
    return _all()[name]


def one_of_each_idea(kind: Expected | None = None, *, float16_too: bool = False) -> list[Case]:
    """Return the first case of each idea and expected answer; of sets judged as whole submissions, every 24th."""
    chosen: dict[tuple[str, str], Case] = {}
    whole = [case for case in load(kind=kind) if case.whole][::24]
    for case in [*(case for case in load(kind=kind) if not case.whole), *whole]:
        if float16_too or case.split != "float16":
            chosen.setdefault((case.idea, case.expected), case)
    return list(chosen.values())
