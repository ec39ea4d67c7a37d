"""Reader for LFW-style lists of pairs beside (or inside) a folder with one sub-folder per identity.

Read are LFW's own pairs.txt, with or without its first line, the same with commas (``pairs.csv``), and lists of two
paths and an answer a line: "Ann/Ann_0001.jpg Bob/Bob_0003.jpg 0".
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from pytest_facechallenge.testsets.model import (
    IMAGE_SUFFIXES,
    MAX_LIST_BYTES,
    ImageFiles,
    ListedPairs,
    Testset,
    TestsetError,
    portable,
    shortened,
)
from pytest_facechallenge.testsets.text import best_encoding, encoding_finding, encodings_of, open_list, read_list_text

EXPECTED = "'person number number', 'person number person number' or 'path path 1' (0 for two people)"
#: So many people are looked for in a folder before it is taken for none of theirs.
_TRIED = 100
#: Characters of a line that are looked at to tell what a list is of.
_MOST_LINE = 2000
_ANSWERS = {"1": True, "0": False, "-1": False, "true": True, "false": False, "same": True, "diff": False}
_TITLES = ("name", "person", "path", "image", "img")


def is_pairs_file(path: Path) -> bool:
    """Whether the first lines are LFW's: "10<tab>300" or the count of pairs alone, or at once a pair in any form."""
    try:
        with open_list(path, encodings_of(path)[0]) as file:
            first, second = (_fields(file.readline(_MOST_LINE)) for _ in range(2))
    except (OSError, UnicodeError):
        return False
    if _is_header(first):
        return len(second) in (3, 4)
    return _is_pair(first) or (first[:1] != [] and first[0].lower().startswith(_TITLES) and _is_pair(second))


def read_lfw_pairs(path: Path, name: str) -> Testset:
    """Read a list of pairs; a first line "folds<tab>pairs" announces so many genuine and as many impostor pairs a fold.

    A genuine line is "person number number", an impostor line "person number person number"; the image is
    ``person/person_0001.jpg`` (or ``person_0001_0.png``, as MTCNN's alignment writes it) in the file's folder, or in
    its only sub-folder that has the first person. Or a line is "path path 1".

    Raises
    ------
    TestsetError
        A line is of neither kind, or the number of lines is not what the first says; with the line number.
    """
    encoding = best_encoding(path, lambda each: _folders(path, each), _image_root(path, _first_names(path)))
    rows = list(_rows(path, encoding))
    header = rows[0][1] if rows and _is_header(rows[0][1]) else []
    rows = rows[1:] if header else rows
    if not header and rows and rows[0][1][0].lower().startswith(_TITLES) and not _is_pair(rows[0][1]):
        rows = rows[1:]  # a line of titles
    if not rows:
        raise TestsetError(f"{path}: expected a line {EXPECTED} for each pair, found none")
    folds = _announced(path, header, len(rows)) if header else 0
    images = _Images(_image_root(path, _folders(path, encoding)))
    left, right, same = [], [], []
    for line, row in rows:
        first, second, answer = _pair(path, line, row, images)
        left.append(first)
        right.append(second)
        same.append(answer)
    findings = encoding_finding(path, encoding) + images.findings()
    if not header:
        folds = _folds_by_order(same)
        if not folds:
            findings += (
                f"{path.name} has no first line 'folds pairs' and its pairs are in no equal folds, so there is no "
                "cross-validated accuracy",
            )
    return Testset(
        name=name,
        path=path,
        form="LFW pairs",
        images=ImageFiles(images.root, images.names),
        entry_names=images.names,
        pairs=ListedPairs(
            left=np.array(left), right=np.array(right), same=np.array(same), folds=folds if folds > 1 else 0
        ),
        findings=findings,
    )


class _Images:
    """Numbers the images of a list as they come up, and finds their files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.names: list[str] = []
        self._numbers: dict[object, int] = {}
        self._several: list[str] = []

    def of_person(self, person: str, number: int) -> int:
        """Return the number of a person's image."""
        return self._number((person, number), lambda: self._file(person, number))

    def of_path(self, path: str) -> int:
        """Return the number of the image with this path below the root."""
        return self._number(path, lambda: portable(self.root, path))

    def findings(self) -> tuple[str, ...]:
        """Return what was noticed."""
        if not self._several:
            return ()
        return (f"several faces were cut out of one image, and the first (_0) is compared: {shortened(self._several)}",)

    def _number(self, key: object, name: Callable[[], str]) -> int:
        if key not in self._numbers:
            self._numbers[key] = len(self.names)
            self.names.append(name())
        return self._numbers[key]

    def _file(self, person: str, number: int) -> str:
        stem = f"{person}/{person}_{number:04d}"
        for form in (stem, f"{stem}_0", f"{person}/{person}_{number}"):
            for suffix in (".jpg", ".png", *sorted(IMAGE_SUFFIXES)):
                if (self.root / f"{form}{suffix}").is_file():
                    if form.endswith("_0") and (self.root / f"{stem}_1{suffix}").is_file():
                        self._several.append(f"{form}{suffix}")
                    return f"{form}{suffix}"
        return f"{stem}.jpg"  # does not exist: reading it will be reported with this name


def _pair(path: Path, line: int, row: list[str], images: _Images) -> tuple[int, int, bool]:
    if len(row) in (3, 4) and _is_number(row[1]) and _is_number(row[-1]):
        first = images.of_person(row[0], int(row[1]))
        return first, images.of_person(row[-2] if len(row) == 4 else row[0], int(row[-1])), len(row) == 3
    if len(row) == 3 and _is_image(row[0]) and _is_image(row[1]) and row[2].lower() in _ANSWERS:
        return images.of_path(row[0]), images.of_path(row[1]), _ANSWERS[row[2].lower()]
    missing = "; the answer is missing" if len(row) == 2 and all(map(_is_image, row)) else ""
    raise TestsetError(f"{path}, line {line}: expected {EXPECTED}, found {' '.join(row)!r}{missing}")


def _announced(path: Path, header: list[str], found: int) -> int:
    folds, each = (int(header[0]), int(header[1])) if len(header) == 2 else (1, int(header[0]))
    if found != 2 * folds * each:
        raise TestsetError(
            f"{path}: its first line announces {folds} x 2 x {each} = {2 * folds * each} pairs, found {found} lines"
        )
    return folds


def _folds_by_order(same: list[bool]) -> int:
    """Return how many folds a list without a first line has: as many genuine as impostor pairs in each, in turns."""
    turns = re.findall("(1+)(0+)", "".join("1" if answer else "0" for answer in same))
    lengths = {len(part) for turn in turns for part in turn}
    return len(turns) if len(lengths) == 1 and same[0] and sum(map(len, turns[0])) * len(turns) == len(same) else 0


def _rows(path: Path, encoding: str) -> Iterator[tuple[int, list[str]]]:
    text = read_list_text(path, MAX_LIST_BYTES, encoding)
    for line, content in enumerate(io.StringIO(text), start=1):
        fields = _fields(content)
        if fields:
            yield line, fields


def _fields(text: str) -> list[str]:
    return [field.strip() for field in re.split(r"[,;\s]+", text.strip("\ufeff \t\r\n,;")) if field.strip()]


def _is_header(fields: list[str]) -> bool:
    return len(fields) in (1, 2) and all(map(_is_number, fields))


def _is_pair(fields: list[str]) -> bool:
    if len(fields) in (3, 4) and _is_number(fields[1]) and _is_number(fields[-1]):
        return not _is_image(fields[0])
    return len(fields) in (2, 3) and _is_image(fields[0]) and _is_image(fields[1])


def _is_image(text: str) -> bool:
    return Path(text).suffix.lower() in IMAGE_SUFFIXES


def _is_number(text: str) -> bool:
    # Not isdigit: that takes superscripts for digits too, and int() does not.
    return text.isascii() and text.isdecimal() and len(text) < 10


def _first_names(path: Path) -> list[str]:
    """Return the people of the list whose names are the same in every encoding."""
    names = _folders(path, encodings_of(path)[0])
    return [name for name in dict.fromkeys(names) if name.isascii()] or names


def _folders(path: Path, encoding: str) -> list[str]:
    rows = [row for _line, row in _rows(path, encoding) if _is_pair(row)]
    named = [
        name for row in rows for name in ((row[0],) if len(row) == 3 and _is_number(row[1]) else (row[0], row[-2]))
    ]
    return [name.replace("\\", "/").partition("/")[0] for name in named]


def _image_root(path: Path, people: list[str]) -> Path:
    """Return the folder of the people's folders. Some people may be missing: their images are reported one by one."""
    candidates = [path.parent, *sorted(entry for entry in path.parent.iterdir() if entry.is_dir())]
    for folder in candidates:
        if any((folder / person).exists() for person in people[:_TRIED]):
            return folder
    if not people:
        return path.parent  # no line is a pair: that will be told
    raise TestsetError(
        f"{path}: expected a folder '{people[0]}' with images beside it or in a folder beside it, found none"
    )
