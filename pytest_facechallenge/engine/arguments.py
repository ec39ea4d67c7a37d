"""From what the user named to what is judged: paths to submissions, track names to tracks. Standard library only."""

from __future__ import annotations

import difflib
import glob
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_facechallenge.core.rulebook import Rulebook


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

    A file is a submission. A folder with one .onnx file is one, as is each of the files where a folder has several
    .onnx files and zips; a folder with only zips and sub-folders is a folder of submissions. Links are not resolved: a
    submission keeps the name it was given under.

    Raises
    ------
    TargetError
        A path that does not exist, a glob without matches, a folder without anything that could be a submission.
    """
    found: dict[Path, None] = {}
    readings = []
    for name in named:
        path = Path(os.path.normpath(base / name))
        if path.exists():
            paths = [path]
        elif any(sign in name for sign in "*?["):
            paths = [Path(hit) for hit in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207  # absolute patterns
            if not paths:
                raise TargetError(f"no file matches the model pattern {name!r} (looked in {base})")
        else:
            raise TargetError(f"the model {name!r} does not exist (looked for {path}){_nearest_file(path)}")
        for each in paths:
            inside = _expand(each)
            if each.is_dir():
                readings.append(_reading(each, inside))
            found |= dict.fromkeys(inside)
    return list(found), tuple(readings)


def _reading(folder: Path, submissions: list[Path]) -> str:
    if submissions == [folder]:
        model = next(entry.name for entry in sorted(folder.iterdir()) if entry.suffix.lower() == ".onnx")
        return f"{folder} is read as one submission, a folder with {model}"
    names = ", ".join(path.name for path in submissions[:_NAMED])
    more = f" and {len(submissions) - _NAMED:,} more" if len(submissions) > _NAMED else ""
    count = f"{len(submissions):,} submission{'s' if len(submissions) > 1 else ''}"
    return f"{folder} is read as a folder of {count}: {names}{more}"


def _expand(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    entries = sorted(path.iterdir())
    files = [entry for entry in entries if not entry.is_dir() and not entry.name.startswith(".")]
    models = [entry for entry in files if entry.suffix.lower() == ".onnx"]
    zips = [entry for entry in files if entry.suffix.lower() == ".zip"]
    if models and len(models) + len(zips) == 1:
        return [path]
    inside = [entry for entry in entries if not entry.name.startswith(".") and _could_be_submission(entry)]
    if not inside:
        raise TargetError(
            f"the folder {path} holds no submission: a .onnx file, a .zip, or folders of these are expected, "
            f"found {', '.join(entry.name for entry in entries[:5]) or 'nothing'}"
        )
    return inside


def _could_be_submission(entry: Path) -> bool:
    if entry.is_dir():
        return any(child.suffix.lower() in (".onnx", ".zip") for child in entry.iterdir())
    return entry.suffix.lower() in (".onnx", ".zip")


def _nearest_file(path: Path) -> str:
    if not path.parent.is_dir():
        return ""
    near = difflib.get_close_matches(path.name, [entry.name for entry in path.parent.iterdir()], n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


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
    """Return each path's shortest tail that no other of them ends with: "model.onnx", or "alice/model.onnx"."""
    parts = [PurePath(path).parts for path in paths]
    names = []
    for mine in parts:
        length = 1
        while length < len(mine) and sum(other[-length:] == mine[-length:] for other in parts) > 1:
            length += 1
        names.append("/".join(mine[-length:]).replace("//", "/"))
    return names
