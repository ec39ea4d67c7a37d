"""Looking through a submitted folder without following a link, and choosing the model in it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from pytest_facechallenge.analyses.package.copy import copy_file, digest, private_name
from pytest_facechallenge.analyses.package.limits import MAX_BYTES, MAX_ENTRIES, MAX_NAMES
from pytest_facechallenge.analyses.package.listing import Listing, is_junk, too_long
from pytest_facechallenge.core.files import kind_of, why
from pytest_facechallenge.core.text import clean_name, listed

#: What a participant may put beside the model: see the analysis of declarations.
DECLARATION = "declaration.toml"


def open_folder(folder: Path, target: Path, seen: Listing, report: Callable[[str], None]) -> Path | None:
    """Copy the model of a folder into the folder ``target``; return the copy, or None when there is no model.

    Everything that is wrong is added to the problems of ``seen``.
    """
    files = files_of(folder, seen)
    models = [name for name, _size in files if name.lower().endswith(".onnx")]
    others = [name for name, _size in files if not name.lower().endswith(".onnx") and name != DECLARATION]
    if len(models) > 1:
        seen.problems.append(
            f"exactly one .onnx file is expected, found {len(models)}: {listed(models)}; the last one by name is judged"
        )
    if not models:
        seen.problems.append("exactly one .onnx file is expected, found none")
    if others:
        seen.problems.append(f"one .onnx file alone is expected, found {listed(others)} in the folder beside it")
    if len(files) > MAX_ENTRIES:
        seen.problems.append(f"the folder holds {len(files):,} files; {MAX_ENTRIES:,} of them were looked at")
    for name, size in files:
        seen.add(name, size, "model" if name.lower().endswith(".onnx") else "other")
    # The organisers' checker takes the last .onnx by name of the folder it is given.
    direct = [name for name in models if "/" not in name]
    chosen = max(direct or models, default="")
    if chosen and not direct:
        seen.problems.append(f"the .onnx file is expected in the folder itself, found '{clean_name(chosen)}'")
    copy = None
    if chosen:
        seen.model_name, seen.folder = PurePosixPath(chosen).name, (folder / chosen).parent
        place = target / private_name(seen.model_name)
        try:
            done = copy_file(folder / chosen, place, follow=False)
        except OSError as error:
            seen.problems.append(f"{clean_name(chosen)} cannot be read: {why(error)}")
        else:
            copy = place
            seen.sha256, seen.size, seen.head = done.sha256, done.size, done.head
            if done.changed:
                seen.problems.append(f"{clean_name(chosen)} was written while it was copied")
    known = {chosen: seen.sha256} if copy else {}
    seen.submitted_sha256, seen.submitted_bytes = folder_digest(folder, files, known, seen.problems, report)
    return copy


def files_of(folder: Path, seen: Listing) -> list[tuple[str, int]]:
    """Return (path inside the folder, bytes) of every plain file, the models first; what else is there is a problem."""
    return sorted(_walk(folder, seen), key=lambda file: not file[0].lower().endswith(".onnx"))


def folder_digest(
    folder: Path,
    files: list[tuple[str, int]],
    known: dict[str, str],
    problems: list[str],
    report: Callable[[str], None] = lambda _line: None,
) -> tuple[str, int]:
    """Return the SHA-256 over a line "SHA-256 size name" for each of the files that are listed, and their bytes.

    Parameters
    ----------
    known
        SHA-256 of files that were read already.
    problems
        Gets a sentence for each file that cannot be read.
    """
    lines, total = [], 0
    for name, size in files[:MAX_ENTRIES]:
        if name not in known:
            report(f"reading {clean_name(name)}")
        try:
            sha256 = known.get(name) or digest(folder / name, follow=False, most=max(0, MAX_BYTES - total))[0]
        except OSError as error:
            problems.append(f"{clean_name(name)} cannot be read: {why(error)}")
            sha256 = "unreadable"
        total += size
        lines.append(f"{sha256} {size} ".encode() + os.fsencode(name) + b"\n")
    return hashlib.sha256(b"".join(sorted(lines))).hexdigest(), total


def _walk(folder: Path, seen: Listing) -> list[tuple[str, int]]:
    """Return (path inside the folder, bytes) of every plain file, the folder's own before those of its folders."""
    files: list[tuple[str, int]] = []
    pending = [""]
    names = 0
    while pending:
        inside = pending.pop(0)
        try:
            with os.scandir(folder / inside) as entries:
                found = sorted(entries, key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            seen.problems.append(f"{clean_name(inside) or 'the folder'} cannot be read: {why(error)}")
            continue
        for entry in found:
            names += 1
            if names > MAX_NAMES:
                seen.problems.append(f"the folder holds more than {MAX_NAMES:,} files; the rest was not looked at")
                return files
            name = f"{inside}/{entry.name}" if inside else entry.name
            _look_at(entry, name, files, pending, seen)
    return files


def _look_at(
    entry: os.DirEntry[str], name: str, files: list[tuple[str, int]], pending: list[str], seen: Listing
) -> None:
    shown = clean_name(name)
    try:
        found = entry.stat(follow_symlinks=False)
    except OSError as error:
        seen.problems.append(f"{shown} cannot be read: {why(error)}")
        return
    if stat.S_ISLNK(found.st_mode):
        seen.problems.append(f"{shown} is a link; a submission holds plain files only (the link was not followed)")
    elif stat.S_ISDIR(found.st_mode):
        if trouble := too_long(f"{name}/"):
            seen.problems.append(f"{trouble}; what lies in it was not looked at")
        else:
            pending.append(name)
    elif not stat.S_ISREG(found.st_mode):
        seen.problems.append(f"{shown} is not a plain file but {kind_of(found.st_mode)}")
    elif trouble := too_long(name):
        seen.problems.append(trouble)
    elif is_junk(name, found.st_size):
        seen.junk.append(name)
    else:
        files.append((name, found.st_size))
