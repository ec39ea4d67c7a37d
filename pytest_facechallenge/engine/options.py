"""Every option of a run: the common ones, and those of the analyses. Standard library only, as pytest loads this."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

from pytest_facechallenge.analyses.table import ANALYSES
from pytest_facechallenge.core.options import Option, OptionError, OptionKind, OptionValues, typed

COMMON: tuple[Option, ...] = (
    Option(
        "model", OptionKind.LIST, "submission to judge: a .onnx file, a zip, a folder or a glob; repeatable", "PATH"
    ),
    Option(
        "track", OptionKind.LIST, "track to judge it on, 'A' or 'mfr21/A'; repeatable; --track is an alias", "TRACK"
    ),
    Option("rules", OptionKind.LIST, "a rulebook of your own, beside the built-in ones; repeatable", "FILE"),
    Option(
        "facts", OptionKind.LIST, "judge the facts of an earlier JSON report instead of a model; repeatable", "FILE"
    ),
    Option(
        "cache",
        OptionKind.TEXT,
        "folder that keeps embeddings and calibrations (default: calibrations, in the user's cache)",
        "DIR",
        path=True,
    ),
    Option(
        "store",
        OptionKind.TEXT,
        "folder that keeps facts, so that a later run gathers only what is new or changed",
        "DIR",
        path=True,
    ),
    Option(
        "dask",
        OptionKind.TEXT,
        "machines of dask.distributed to work on: a scheduler, or N processes here",
        "SCHEDULER|local:N",
    ),
    Option("device", OptionKind.TEXT, "where to run the model", "auto|cpu|cuda|tensorrt", "auto"),
    Option("threads", OptionKind.NUMBER, "threads of the runtime (default: it chooses)", "N", 0),
    Option(
        "timeout",
        OptionKind.NUMBER,
        "seconds a sandboxed step may go without progress (default: 120)",
        "SECONDS",
        120,
    ),
    Option(
        "memory",
        OptionKind.NUMBER,
        "MiB a sandboxed step may use (default: 8192, at most 3/4 of the machine's)",
        "MIB",
        0,
    ),
)

#: Every option that decides what is judged and how facts are gathered.
OPTIONS: tuple[Option, ...] = (*COMMON, *(option for analysis in ANALYSES for option in analysis.options))


def values_from(given: Mapping[str, object], base: Path | None = None) -> OptionValues:
    """Return the values of a run from keywords, as the Python API takes them.

    Parameters
    ----------
    given
        By keyword (``min_tar``).
    base
        What relative paths are relative to; the current folder if not given.

    Raises
    ------
    OptionError
        There is no such option, or its value is of the wrong kind.
    """
    known = {option.keyword: option for option in OPTIONS}
    for keyword in given:
        if keyword not in known:
            near = difflib.get_close_matches(keyword, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise OptionError(f"there is no option {keyword!r}{hint} Known: {', '.join(sorted(known))}")
    values = {option.name: typed(option, given.get(option.keyword), option.keyword) for option in OPTIONS}
    return OptionValues(values, base or Path.cwd())


def anything_to_judge(values: OptionValues) -> bool:
    """Return whether the options name anything to judge."""
    alone = any(values.text(analysis.judged_alone) for analysis in ANALYSES if analysis.judged_alone)
    return bool(values.many("model") or values.many("facts") or alone)
