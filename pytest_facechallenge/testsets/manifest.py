"""Reader for a manifest: a CSV or TSV file with a header, one image a line, its identity and its groups."""

from __future__ import annotations

import csv
import posixpath
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pytest_facechallenge.testsets.model import (
    MASKED,
    MASKED_COLUMN,
    NON_MASKED,
    ImageFiles,
    Testset,
    TestsetError,
    number_texts,
    portable,
)
from pytest_facechallenge.testsets.text import best_encoding, encoding_finding, encodings_of, open_list

#: Names that are understood for the two columns that a manifest must have, and for the mask column.
PATH_NAMES = ("path", "file", "filename", "image", "picture")
IDENTITY_NAMES = ("identity", "id", "person", "subject", "label")
MASK_NAMES = ("masked", "mask")

#: Characters of the first line that are looked at.
_MOST_LINE = 65_536

_TRUE = frozenset({"1", "true", "yes", "y", "mask", "masked"})
_FALSE = frozenset({"0", "false", "no", "n", "", "nonmask", "non-mask", "nonmasked", "non-masked", "unmasked", "none"})


def read_header(path: Path) -> list[str]:
    """Return the column names of a manifest, in lower case.

    Raises
    ------
    TestsetError
        There is no header, a column is named twice, or path or identity is missing.
    """
    for _line, row in _rows(path):
        return _checked_header(path, row)
    raise TestsetError(f"{path}: expected a header line such as 'path,identity', found an empty file")


def column_values(path: Path, columns: tuple[str, ...]) -> dict[str, frozenset[str]]:
    """Return the different values of those of ``columns`` that the manifest has, without opening any image."""
    header = read_header(path)
    wanted = [(column, header.index(column)) for column in columns if column in header]
    if not wanted:
        return {}
    found: dict[str, set[str]] = {column: set() for column, _position in wanted}
    rows = _rows(path)
    next(rows)
    for _line, row in rows:
        for column, position in wanted:
            if position < len(row):
                found[column].add(row[position].strip())
    return {column: frozenset(values) for column, values in found.items()}


def read_manifest(path: Path, name: str) -> Testset:
    """Read a manifest; relative paths in it are relative to its own folder.

    Raises
    ------
    TestsetError
        The header is wrong, a line has too few or too many columns or an empty path or identity, an image is listed
        twice, or a value of the mask column is neither yes nor no. The message has the line number.
    """
    header = read_header(path)
    encoding = best_encoding(path, lambda each: _paths(path, each), path.parent)
    path_at, identity_at = (_position(header, names) for names in (PATH_NAMES, IDENTITY_NAMES))
    mask_at = _position(header, MASK_NAMES)
    names: list[str] = []
    identities: list[str] = []
    groups: dict[str, list[str]] = {
        column: [] for at, column in enumerate(header) if at not in (path_at, identity_at, mask_at) and column
    }
    masks: list[str] = []
    seen: dict[str, int] = {}
    rows = _rows(path, encoding)
    next(rows)
    for line, row in rows:
        if len(row) != len(header):
            raise TestsetError(
                f"{path}, line {line}: expected {len(header)} columns ({', '.join(header)}), found {len(row)}"
            )
        image, identity = row[path_at].strip(), row[identity_at].strip()
        if not image or not identity:
            raise TestsetError(
                f"{path}, line {line}: expected a path and an identity, found {image!r} and {identity!r}"
            )
        image = portable(path.parent, image)
        same = posixpath.normpath(image)  # "./a.jpg" is "a.jpg" once more
        if same in seen:
            raise TestsetError(
                f"{path}, line {line}: {image!r} is listed a second time (first on line {seen[same]}), so it "
                "would be compared with itself; to put it into several sets write them in one line, separated by ';'"
            )
        seen[same] = line
        names.append(image)
        identities.append(identity)
        if mask_at >= 0:
            masks.append(_mask(path, line, row[mask_at].strip()))
        for column, values in groups.items():
            values.append(row[header.index(column)].strip())
    if not names:
        raise TestsetError(f"{path}: expected a line for each image below the header, found none")
    columns = {column: np.array(values, dtype=np.str_) for column, values in groups.items()}
    if mask_at >= 0:
        columns[MASKED_COLUMN] = np.array(masks)
    return Testset(
        name=name,
        path=path,
        form="manifest",
        images=ImageFiles(path.parent, names),
        entry_names=names,
        identities=number_texts(identities),
        columns=columns,
        findings=encoding_finding(path, encoding),
    )


def _rows(path: Path, encoding: str = "") -> Iterator[tuple[int, list[str]]]:
    """Give each line that is not empty with its number, counted from 1."""
    try:
        encoding = encoding or encodings_of(path)[0]
        with open_list(path, encoding) as file:
            delimiter = _delimiter(path, file.readline(_MOST_LINE))
        with open_list(path, encoding) as file:
            reader = csv.reader(file, delimiter=delimiter)
            for row in reader:
                if any(cell.strip() for cell in row):
                    yield reader.line_num, row
    except (UnicodeError, csv.Error) as error:
        raise TestsetError(
            f"{path}: expected text with a line for each image, its columns apart by commas, semicolons "
            f"or tabs: {error}"
        ) from error


def _delimiter(path: Path, first: str) -> str:
    """Return what separates columns: of what a first line with path and identity could have, the usual one first."""
    usual = ["\t", ",", ";"] if path.suffix.lower() == ".tsv" else [",", ";", "\t"]
    for delimiter in usual:
        header = [cell.strip().lower() for cell in next(csv.reader([first], delimiter=delimiter), [])]
        if all(_position(header, names) >= 0 for names in (PATH_NAMES, IDENTITY_NAMES)):
            return delimiter
    return usual[0]


def _paths(path: Path, encoding: str) -> Iterator[str]:
    """Give the paths in a manifest, read in an encoding."""
    rows = _rows(path, encoding)
    _line, first = next(rows)
    at = _position([cell.strip().lower() for cell in first], PATH_NAMES)
    for _line, row in rows:
        if at < len(row):
            yield portable(path.parent, row[at].strip())


def _checked_header(path: Path, row: list[str]) -> list[str]:
    header = [cell.strip().lower() for cell in row]
    for wanted in (PATH_NAMES, IDENTITY_NAMES):
        if _position(header, wanted) < 0:
            raise TestsetError(
                f"{path}: expected a column named {' or '.join(repr(name) for name in wanted)} in the first line, "
                f"found {', '.join(repr(cell) for cell in header)}"
            )
    twice = sorted({cell for cell in header if cell and header.count(cell) > 1})
    if twice:
        raise TestsetError(f"{path}: each column may be named once, found {', '.join(map(repr, twice))} twice")
    return header


def _position(header: list[str], names: tuple[str, ...]) -> int:
    return next((header.index(name) for name in names if name in header), -1)


def _mask(path: Path, line: int, value: str) -> str:
    if value.lower() in _TRUE:
        return MASKED
    if value.lower() in _FALSE:
        return NON_MASKED
    raise TestsetError(
        f"{path}, line {line}: the mask column takes 1 or 0 (also yes/no, masked/non-masked), found {value!r}"
    )
