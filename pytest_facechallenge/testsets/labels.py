"""The identities of a feature file's rows: one a line, or LFR19's file list with a second column."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pytest_facechallenge.testsets.lfr19 import read_list
from pytest_facechallenge.testsets.model import IntArray, TestsetError, number_texts


class LabelsError(ValueError):
    """A labels file that does not fit; the message says what was expected and found."""


def read_labels(path: Path, rows: int | None = None) -> IntArray:
    """Read the identity of each row.

    Parameters
    ----------
    rows
        How many there must be; None for any number.

    Returns
    -------
    int64 [rows]

    Raises
    ------
    LabelsError
        It cannot be read, has lines of two kinds or a path twice, or another number of lines than ``rows``.
    """
    try:
        names, identities = read_list(path)
    except (OSError, UnicodeDecodeError, TestsetError) as error:
        raise LabelsError(f"the labels file {path} cannot be used: {error}") from error
    if identities is not None and len(set(names)) < len(names):
        # "Ann Lee" on every line of a person would be read as a path and an identity, and all Lees as one person.
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise LabelsError(
            f"{path}: read as a path and an identity on each line, but the path {twice!r} comes up more than once; "
            "where the lines are identities alone, write them without spaces"
        )
    labels = number_texts(names) if identities is None else identities
    if rows is not None and len(labels) != rows:
        raise LabelsError(f"{path}: expected an identity for each of {rows:,} rows, found {len(labels):,} lines")
    return labels
