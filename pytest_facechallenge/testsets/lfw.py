"""Reader for LFW-style pairs files: ``pairs.txt`` beside (or inside) a folder with one sub-folder per identity."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from pytest_facechallenge.core.files import open_regular, read_text
from pytest_facechallenge.testsets.model import (
    IMAGE_SUFFIXES,
    MAX_LIST_BYTES,
    ImageFiles,
    ListedPairs,
    Testset,
    TestsetError,
)

#: So many people are looked for in a folder before it is taken for none of theirs.
_TRIED = 100


def is_pairs_file(path: Path) -> bool:
    """Whether the first line is LFW's header: "10<tab>300", or the count of pairs alone."""
    try:
        with io.TextIOWrapper(open_regular(path), encoding="utf-8-sig", errors="replace") as file:
            fields = file.readline(200).split()
            second = file.readline(2000).split()
    except OSError:
        return False
    return len(fields) in (1, 2) and all(map(_is_number, fields)) and len(second) in (3, 4)


def read_lfw_pairs(path: Path, name: str) -> Testset:
    """Read ``pairs.txt``: a header "folds<tab>pairs", then in each fold so many genuine and as many impostor pairs.

    A genuine line is "person<tab>number<tab>number", an impostor line "person<tab>number<tab>person<tab>number"; the
    image is ``person/person_0001.jpg`` in the file's folder, or in its only sub-folder that has the first person.

    Raises
    ------
    TestsetError
        A line is of neither kind, or the number of lines is not what the header says; with the line number.
    """
    lines = [line.split() for line in read_text(path, MAX_LIST_BYTES).splitlines()]
    if not lines or not lines[0] or not all(map(_is_number, lines[0])):
        raise TestsetError(f"{path}: its first line must be the number of pairs, or folds and pairs")
    header, rows = lines[0], [(number, row) for number, row in enumerate(lines[1:], start=2) if row]
    folds, each = (int(header[0]), int(header[1])) if len(header) == 2 else (1, int(header[0]))
    if len(rows) != 2 * folds * each:
        raise TestsetError(
            f"{path}: its first line announces {folds} x 2 x {each} = {2 * folds * each} pairs, found {len(rows)} lines"
        )
    numbers: dict[tuple[str, int], int] = {}
    left, right, same = [], [], []
    for line, row in rows:
        if len(row) not in (3, 4) or not (_is_number(row[1]) and _is_number(row[-1])):
            raise TestsetError(
                f"{path}, line {line}: expected 'person number number' or 'person number person number', found "
                f"{' '.join(row)!r}"
            )
        first, second = (row[0], int(row[1])), (row[-2] if len(row) == 4 else row[0], int(row[-1]))
        left.append(numbers.setdefault(first, len(numbers)))
        right.append(numbers.setdefault(second, len(numbers)))
        same.append(len(row) == 3)
    root = _image_root(path, [person for person, _number in numbers])
    names = [_image(root, person, number) for person, number in numbers]
    return Testset(
        name=name,
        path=path,
        form="LFW pairs",
        images=ImageFiles(root, names),
        entry_names=names,
        pairs=ListedPairs(
            left=np.array(left), right=np.array(right), same=np.array(same), folds=folds if folds > 1 else 0
        ),
    )


def _is_number(text: str) -> bool:
    # Not isdigit: that takes superscripts for digits too, and int() does not.
    return text.isascii() and text.isdecimal() and len(text) < 10


def _image_root(path: Path, people: list[str]) -> Path:
    """Return the folder of the people's folders. Some people may be missing: their images are reported one by one."""
    candidates = [path.parent, *sorted(entry for entry in path.parent.iterdir() if entry.is_dir())]
    for folder in candidates:
        if any((folder / person).is_dir() for person in people[:_TRIED]):
            return folder
    raise TestsetError(
        f"{path}: expected a folder '{people[0]}' with images beside it or in a folder beside it, found none"
    )


def _image(root: Path, person: str, number: int) -> str:
    stem = f"{person}/{person}_{number:04d}"
    for suffix in (".jpg", ".png", *sorted(IMAGE_SUFFIXES)):
        if (root / f"{stem}{suffix}").is_file():
            return f"{stem}{suffix}"
    return f"{stem}.jpg"  # does not exist: reading it will be reported with this name
