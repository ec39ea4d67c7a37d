"""Patterns ("entries/*/model.onnx") in folders that strangers have filled. Standard library only."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from pathlib import Path

#: Folders inside each other that "**" looks into; a submission that lies deeper is told, and not looked for.
MAX_DEPTH = 32


def is_pattern(name: str) -> bool:
    """Whether a name has signs that stand for others."""
    return glob.has_magic(name)


def matches(pattern: str, base: Path) -> tuple[list[Path], list[Path]]:
    """Return what a pattern matches, and the folders that lie too deep for it.

    "*", "?" and "[...]" stand for signs of one name, "**" for folders at any depth up to `MAX_DEPTH`. Behind the first
    part with such signs no link to a folder is entered, so links that form a loop are no trouble. Names that begin with
    a dot are matched only by a dot, and folders that cannot be read hold nothing. Signs in ``base`` stand for
    themselves.

    Returns
    -------
    tuple
        Absolute paths, sorted, each once; folders that were not looked into.
    """
    path = Path(pattern)
    parts = [part for part in path.parts if part != path.anchor]
    parts += ["*"] if parts[-1] == "**" else []
    plain = next(index for index, part in enumerate(parts) if is_pattern(part))
    found = [Path(os.path.normpath(base / path.anchor / Path(*parts[:plain])))]
    too_deep: list[Path] = []
    for index, part in enumerate(parts[plain:], plain):
        last = index == len(parts) - 1
        reached: dict[Path, None] = {}
        for folder in found:
            if part == "**":
                reached |= dict.fromkeys(_folders(folder, too_deep))
            else:
                reached |= dict.fromkeys(folder / name for name, leads_on in _entries(folder, part) if last or leads_on)
        found = list(reached)
    return sorted(found), too_deep


def _folders(folder: Path, too_deep: list[Path]) -> list[Path]:
    """Return a folder and all folders in it, without those that links lead to."""
    found, pending = [folder], [(folder, 0)]
    while pending:
        here, depth = pending.pop()
        inside = [here / name for name, leads_on in _entries(here, "*") if leads_on]
        if inside and depth == MAX_DEPTH:
            too_deep.append(here)
            continue
        found += inside
        pending += [(each, depth + 1) for each in inside]
    return found


def _entries(folder: Path, part: str) -> list[tuple[str, bool]]:
    """Return the names in a folder that fit, and whether each is a folder; nothing where that cannot be read."""
    fits = re.compile(fnmatch.translate(os.path.normcase(part))).match
    hidden = part.startswith(".")
    try:
        with os.scandir(folder) as entries:
            return [
                (entry.name, entry.is_dir(follow_symlinks=False))
                for entry in entries
                if (hidden or not entry.name.startswith(".")) and fits(os.path.normcase(entry.name))
            ]
    except OSError:
        return []
