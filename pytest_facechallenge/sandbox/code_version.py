"""Which code a step's facts come from: a digest of the modules that gather them, so that no version has to be counted.

Facts that were kept are used again only by the code that gathered them. A number that somebody has to raise would be
forgotten once; the digest changes with every change of a module that a step can reach, and with no other.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from pytest_facechallenge.core.analysis import PACKAGE, Step

HOME = Path(__file__).resolve().parents[1]
_IMPORT = re.compile(
    rf"^[ \t]*(?:from (?P<module>{PACKAGE}[\w.]*) import (?:\((?P<many>[^)]*)\)|(?P<some>[^\n(]*))"
    rf"|import (?P<whole>{PACKAGE}[\w.]*))",
    re.MULTILINE,
)
#: Packages that are taken whole when one module of them is reached: parts of them are imported by name.
_WHOLE = ("embedding", "inference", "latency_estimate", "onnx_graph", "refnets", "testsets", "verification")


@cache
def code_digest(step: Step) -> str:
    """Return the SHA-256 over every module of this package that gathering the step's facts can reach.

    Imports are followed from the step's own modules, those inside of functions included; the folder of its analysis
    counts whole.
    """
    gather, facts = (f"{PACKAGE}.{reference.partition(':')[0]}" for reference in (step.gather, step.facts))
    own = _modules_in(gather.rpartition(".")[0])
    found = hashlib.sha256()
    for name in sorted(_reached([*own, gather, facts])):
        found.update(f"{name} {_digest(name)}\n".encode())
    return found.hexdigest()


def _reached(names: Iterable[str]) -> set[str]:
    reached: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name in reached or not _file(name).is_file():
            continue
        reached.add(name)
        pending.extend(_imports(name))
        shared = name.split(".")[1:2]
        if shared and shared[0] in _WHOLE:
            pending.extend(_modules_in(f"{PACKAGE}.{shared[0]}"))
    return reached


@cache
def _imports(name: str) -> tuple[str, ...]:
    """Return the modules of this package that a module imports, and names in them that may be modules."""
    found: dict[str, None] = {}
    for match in _IMPORT.finditer(_file(name).read_text(encoding="utf-8")):
        module = match["module"] or match["whole"]
        found[module] = None
        for each in (match["many"] or match["some"] or "").split(","):
            word = each.split("#")[0].split()
            if word:
                found[f"{module}.{word[0]}"] = None
    return tuple(found)


@cache
def _digest(name: str) -> str:
    return hashlib.sha256(_file(name).read_bytes()).hexdigest()


@cache
def _file(name: str) -> Path:
    path = HOME.joinpath(*name.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _modules_in(package: str) -> tuple[str, ...]:
    """Return every module of a package by its full name, those of its packages included."""
    folder = HOME.joinpath(*package.split(".")[1:])
    paths = sorted(folder.rglob("*.py")) if folder.is_dir() else []
    names = (path.relative_to(HOME).with_suffix("").parts for path in paths)
    return tuple(".".join((PACKAGE, *(parts[:-1] if parts[-1] == "__init__" else parts))) for parts in names)
