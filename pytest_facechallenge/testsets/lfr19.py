"""Readers for LFR19's test data: ``filelist.txt`` of images or of folders of frames, in the order of feature files.

The public lists carry no identities. A second column (or a labels file, see `features.labels`) brings them.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from pytest_facechallenge.core.files import open_regular
from pytest_facechallenge.testsets.model import (
    IMAGE_SUFFIXES,
    MAX_LIST_BYTES,
    ImageFiles,
    IntArray,
    Pooling,
    Testset,
    TestsetError,
    image_names,
    number_texts,
    portable,
    shortened,
)
from pytest_facechallenge.testsets.text import read_list_text

LIST_NAME = "filelist.txt"
#: Characters of a line that are looked at to tell what a list is of.
_MOST_LINE = 10_000


def read_list(path: Path) -> tuple[list[str], IntArray | None]:
    """Read a file list: a path a line, and perhaps an identity in a second column.

    Columns are separated by a tab, or by spaces in a list without tabs (then a path cannot have spaces).

    Returns
    -------
    The paths, and the identities as int64 [lines] or None when there is no second column.

    Raises
    ------
    TestsetError
        It is empty, a line has more than two columns, or some lines have an identity and others not.
    """
    names: list[str] = []
    identities: list[str] = []
    with io.StringIO(read_list_text(path, MAX_LIST_BYTES)) as file:
        for line, text in enumerate(file, start=1):
            fields = _fields(text)
            if not fields:
                continue
            if len(fields) > 2:
                raise TestsetError(
                    f"{path}, line {line}: expected a path and perhaps an identity, found {len(fields)} columns: "
                    f"{text.strip()!r}; where a path has spaces, put a tab before the identity"
                )
            names.append(portable(path.parent, fields[0]))
            identities += fields[1:2]
            if len(identities) not in (0, len(names)):
                raise TestsetError(
                    f"{path}, line {line}: expected an identity in the second column on every line or on none, "
                    f"found {text.strip()!r}"
                )
    if not names:
        raise TestsetError(f"{path}: expected a path on each line, found no line")
    return names, number_texts(identities) if identities else None


def _fields(text: str) -> list[str]:
    return [field.strip() for field in text.strip().split("\t")] if "\t" in text.strip() else text.split()


def is_video_list(path: Path) -> bool:
    """Whether the list names folders of frames and not images: told by its first line that names what is there."""
    with io.TextIOWrapper(open_regular(path), encoding="utf-8-sig", errors="replace") as file:
        while text := file.readline(_MOST_LINE):
            fields = _fields(text)
            if not fields:
                continue
            if Path(fields[0]).suffix.lower() in IMAGE_SUFFIXES:
                return False
            if (path.parent / portable(path.parent, fields[0])).is_dir():
                return True
    return False


def read_lfr19_images(path: Path, name: str) -> Testset:
    """Read an image list; entry i is line i, as in the feature file."""
    names, identities = read_list(path)
    return Testset(
        name=name,
        path=path,
        form="LFR19 images",
        images=ImageFiles(path.parent, names),
        entry_names=names,
        identities=identities,
        findings=() if identities is not None else (_no_labels(path),),
    )


def read_lfr19_videos(path: Path, name: str) -> Testset:
    """Read a video list; entry i is line i, its images are the frames in that folder, sorted by name.

    Raises
    ------
    TestsetError
        A folder is missing or has no frame: the official script stops there as well.
    """
    videos, identities = read_list(path)
    frames: list[str] = []
    entry: list[int] = []
    empty: list[str] = []
    for at, video in enumerate(videos):
        folder = path.parent / video
        images = image_names(folder)[0] if folder.is_dir() else []
        if not images:
            empty.append(video)
        frames += [f"{video}/{image}" for image in images]
        entry += [at] * len(images)
    if empty:
        raise TestsetError(
            f"{path}: expected a folder with at least one frame for each video, not so: {shortened(empty)}"
        )
    return Testset(
        name=name,
        path=path,
        form="LFR19 videos",
        images=ImageFiles(path.parent, frames),
        entry_names=videos,
        identities=identities,
        pooling=Pooling(
            kind="video", entry=np.array(entry, dtype=np.int64), medium=np.zeros(len(entry), dtype=np.int64)
        ),
        findings=() if identities is not None else (_no_labels(path),),
    )


def _no_labels(path: Path) -> str:
    return (
        f"{path.name} has no identities, so nothing can be scored: add them as a second column, or give "
        "--facechallenge-labels"
    )
