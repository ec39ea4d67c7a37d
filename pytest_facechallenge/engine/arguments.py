"""From what the user named to what is judged: paths to submissions, track names to tracks. Standard library only."""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from pytest_facechallenge.core.files import kind_of, open_regular
from pytest_facechallenge.core.text import clean, clean_name, clean_path, listed
from pytest_facechallenge.engine.patterns import MAX_DEPTH, is_pattern, matches

if TYPE_CHECKING:
    from pytest_facechallenge.core.rulebook import Rulebook

#: How a submission can be named; a file of another name is one when its first bytes say so.
SUFFIXES = (".onnx", ".zip")
EXPECTED = "a .onnx file, a .zip or a folder is expected"
_ZIP_HEADS = (b"PK\x03\x04", b"PK\x05\x06")
#: The first field of an ONNX file is the version of the format, a small number.
_ONNX_HEADS = tuple(bytes((0x08, version)) for version in range(1, 32))
#: The most characters of a short name, without the number that tells it from another.
MOST_OF_A_SHORT_NAME = 200


#: Names of submissions that a sentence has room for.
_NAMED = 5


class TargetError(ValueError):
    """Something the user named does not exist or is not unique; the message says what was found and what is known."""


@dataclass(frozen=True)
class TrackRef:
    """A track of a loaded rulebook; ``label`` is how test ids show it: the bare name while that is unique."""

    book: str
    track: str
    label: str

    @property
    def full(self) -> str:
        """Rulebook and track, "mfr21/A"."""
        return f"{self.book}/{self.track}"


def find_submissions(named: tuple[str, ...], base: Path) -> tuple[list[Path], tuple[str, ...]]:
    """Return the absolute path of every submission named, each once, in order, and how each folder was read.

    A .onnx file or a zip is a submission, and so is a file of another name whose first bytes say that it is one of
    them. A folder with one .onnx file is one, as is each of the files where a folder has several .onnx files and zips;
    a folder with only zips and sub-folders is a folder of submissions. What is wrong with a submission of the right
    name is a finding about it alone, later: a pipe or an unreadable folder does not end the run. A pattern takes of
    what it matches what a folder takes of its entries; other files are left aside, and the sentence names them. Links
    are not resolved: a submission keeps the name it was given under. A link that was found, and not named, is judged as
    the link that it is.

    Raises
    ------
    TargetError
        A path that does not exist, a glob without matches, a file that is no submission, a folder without anything that
        could be one.
    """
    found: dict[Path, None] = {}
    readings = []
    for name in named:
        try:
            path = Path(os.path.normpath(base / name))
            if not os.path.lexists(path):
                if is_pattern(name):
                    hits, sentences = _matched(name, base)
                    readings += sentences
                    found |= dict.fromkeys(hits)
                    continue
                raise TargetError(
                    f"the model {clean(name)!r} does not exist (looked for {clean_path(path)}){_nearest_file(path)}"
                )
            inside = _expand(path)
            if path.is_dir():
                readings.append(_reading(path, inside))
            found |= dict.fromkeys(inside)
        except OSError as error:
            raise TargetError(f"the model {clean(name)!r} cannot be looked for: {error.strerror or error}") from error
        except ValueError as error:
            if isinstance(error, TargetError):
                raise
            raise TargetError(f"the model {clean(name)!r} cannot be looked for: {error}") from error
    return list(found), tuple(readings)


def _matched(name: str, base: Path) -> tuple[list[Path], list[str]]:
    """Return the submissions among what a pattern matches, and what is to be said of how that was read.

    Raises
    ------
    TargetError
        Nothing matches, or no submission does.
    """
    hits, too_deep = matches(name, base)
    if not hits:
        raise TargetError(f"no file matches the model pattern {clean_name(name)!r} (looked in {base})")
    found: dict[Path, None] = {}
    readings, aside, why = [], [], ""
    for hit in hits:
        try:
            inside = [hit] if hit.is_symlink() and _could_be_submission(hit) else _expand(hit)
        except TargetError as error:  # one entry of many: it ends nothing
            aside.append(hit.name)
            why = why or str(error)
            continue
        if _is_folder(hit):
            readings.append(_reading(hit, inside))
        found |= dict.fromkeys(inside)
    if not found:
        raise TargetError(f"no submission matches the model pattern {clean_name(name)!r}: {why}")
    shown = f"the pattern {clean_name(name)!r}"
    if aside:
        readings.append(f"{shown} also matches what is no submission; {_left_aside(aside)}")
    if too_deep:
        where = listed(map(str, too_deep))
        readings.append(
            f"{shown} looks into {MAX_DEPTH} folders inside each other; what lies deeper is left aside: {where}"
        )
    return list(found), readings


def _left_aside(names: list[str]) -> str:
    return f"left aside: {listed(names)}"


def _reading(folder: Path, submissions: list[Path]) -> str:
    if submissions == [folder]:
        models = [entry.name for entry in _entries(folder) or [] if entry.suffix.lower() == ".onnx"]
        with_what = f"a folder with {clean_name(models[0])}" if models else "a folder that cannot be read"
        return f"{clean_path(folder)} is read as one submission, {with_what}"
    names = ", ".join(clean_name(path.name) for path in submissions[:_NAMED])
    more = f" and {len(submissions) - _NAMED:,} more" if len(submissions) > _NAMED else ""
    count = f"{len(submissions):,} submission{'s' if len(submissions) > 1 else ''}"
    kept = set(submissions)
    others = [entry.name for entry in _entries(folder) or [] if entry not in kept and not entry.name.startswith(".")]
    aside = f"; {_left_aside(others)}" if others else ""
    return f"{clean_path(folder)} is read as a folder of {count}: {names}{more}{aside}"


def _expand(path: Path) -> list[Path]:
    """Return the submissions that a path stands for; only the path itself may be a link that is followed."""
    if not path.is_dir():
        _refuse_other_files(path)
        return [path]
    entries = _entries(path)
    if entries is None:
        return [path]
    files = [entry for entry in entries if not _is_folder(entry) and not entry.name.startswith(".")]
    models = [entry for entry in files if entry.suffix.lower() == ".onnx"]
    zips = [entry for entry in files if entry.suffix.lower() == ".zip"]
    if models and len(models) + len(zips) == 1:
        return [path]
    inside = [entry for entry in entries if not entry.name.startswith(".") and _could_be_submission(entry)]
    if not inside:
        raise TargetError(
            f"the folder {clean_path(path)} holds no submission: a .onnx file, a .zip, or folders of these are "
            f"expected, found {listed(entry.name for entry in entries) or 'nothing'}"
        )
    return inside


def _refuse_other_files(path: Path) -> None:
    """Refuse a file that is no submission by its name and by its first bytes; a pipe or a device is not opened."""
    if path.suffix.lower() in SUFFIXES:
        return
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise TargetError(f"{clean_path(path)} cannot be read: {error.strerror or error}; {EXPECTED}") from error
    if not stat.S_ISREG(mode):
        raise TargetError(f"{clean_path(path)} is no submission: {EXPECTED}, found {kind_of(mode)}")
    try:
        with open_regular(path) as file:
            head = file.read(4)
    except OSError as error:
        raise TargetError(f"{clean_path(path)} cannot be read: {error.strerror or error}; {EXPECTED}") from error
    if not head.startswith(_ZIP_HEADS + _ONNX_HEADS):
        what = "no bytes" if not head else f"a file named {clean_name(path.suffix or path.name)!r} that is neither"
        raise TargetError(f"{clean_path(path)} is no submission: {EXPECTED}, found {what}")


def _entries(folder: Path) -> list[Path] | None:
    """Return what lies in a folder, or None where that cannot be read."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return None


def _is_folder(entry: Path) -> bool:
    """Whether it is a folder itself, and no link to one."""
    return not entry.is_symlink() and entry.is_dir()


def _could_be_submission(entry: Path) -> bool:
    if not _is_folder(entry):
        # A link to a folder is handed in like one, and judged as the link that it is. os.path: what cannot be asked
        # about (a link through a closed folder) is no error.
        return entry.suffix.lower() in SUFFIXES or os.path.isdir(entry)  # noqa: PTH112
    children = _entries(entry)
    # A folder that cannot be read may hold one: it is judged, and what is wrong with it is said there.
    return children is None or any(child.suffix.lower() in SUFFIXES for child in children)


def _nearest_file(path: Path) -> str:
    entries = _entries(path.parent) or []
    near = difflib.get_close_matches(path.name, [entry.name for entry in entries[:1_000]], n=1)
    return f"; did you mean {clean_name(near[0])!r}?" if near else ""


def find_tracks(named: tuple[str, ...], books: Mapping[str, Rulebook]) -> list[TrackRef]:
    """Return the tracks named, each once, in order.

    Raises
    ------
    TargetError
        No track was named, or a name is unknown or stands for tracks of several rulebooks; the message lists what is
        known and the nearest match.
    """
    every = [(book.id, track) for book in books.values() for track in book.tracks]
    known = ", ".join(f"{book}/{track}" for book, track in every)
    if not named:
        raise TargetError(f"no track was named; add --track with one of: {known}")
    found: dict[TrackRef, None] = {}
    for name in named:
        hits = [(book, track) for book, track in every if name in (track, f"{book}/{track}")]
        if not hits:
            hits = [(b, t) for b, t in every if name.casefold() in (t.casefold(), f"{b}/{t}".casefold())]
        if len(hits) > 1:
            options = " or ".join(f"{book}/{track}" for book, track in hits)
            raise TargetError(f"the track {name!r} is ambiguous: say {options}")
        if not hits:
            names = [track for _, track in every] + [f"{book}/{track}" for book, track in every]
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise TargetError(f"there is no track {name!r}{hint} Known tracks: {known}")
        book, track = hits[0]
        unique = sum(other == track for _, other in every) == 1
        found[TrackRef(book, track, track if unique else f"{book}/{track}")] = None
    return list(found)


def short_names(paths: Sequence[str]) -> list[str]:
    """Return each path's shortest tail that no other of them ends with: "model.onnx", or "alice/model.onnx".

    The names are cleaned. Sorting brings paths with a common tail together, so the cost hardly grows faster than the
    number of paths.
    """
    tails = [PurePath(path).parts[::-1] for path in paths]
    lengths = [1] * len(tails)
    for left, right in pairwise(sorted(range(len(tails)), key=tails.__getitem__)):
        common = _common(tails[left], tails[right])
        for index in (left, right):
            lengths[index] = max(lengths[index], min(common + 1, len(tails[index])))
    names = ("/".join(tail[:length][::-1]).replace("//", "/") for tail, length in zip(tails, lengths, strict=True))
    by_path = dict(zip(paths, names, strict=True))
    shown = dict(zip(by_path, distinct(by_path.values()), strict=True))
    return [shown[path] for path in paths]


def _common(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """Return how many parts at the beginning are the same."""
    for index, (mine, theirs) in enumerate(zip(one, other, strict=False)):
        if mine != theirs:
            return index
    return min(len(one), len(other))


def distinct(names: Iterable[str], most: int = MOST_OF_A_SHORT_NAME) -> list[str]:
    """Return names cleaned for showing; those that are the same after cleaning are told apart by a number."""
    found: list[str] = []
    numbers: dict[str, int] = {}
    used: set[str] = set()
    for name in names:
        shown = one = clean_path(name, most)
        while one in used:
            numbers[shown] = numbers.get(shown, 1) + 1
            one = f"{shown} ({numbers[shown]})"
        used.add(one)
        found.append(one)
    return found
