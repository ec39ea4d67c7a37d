"""``--facechallenge-repair FOLDER``: which folder the mended copy of each submission of a run goes to."""

from __future__ import annotations

import os
from pathlib import Path

from pytest_facechallenge.core.analysis import SourceKind
from pytest_facechallenge.core.options import OptionError
from pytest_facechallenge.engine.plan import Plan
from pytest_facechallenge.mending import refuse_folder


def folders(plan: Plan) -> dict[Path, Path]:
    """Return the folder of each submission's mended copy: the one named, or for several one in it for each.

    Raises
    ------
    OptionError
        There is no submission that could be mended, or something would be overwritten.
    """
    named = Path(plan.values.path_of("repair"))
    sources = [path for path, source in plan.sources.items() if source.kind is SourceKind.MODEL]
    if not sources:
        raise OptionError("--facechallenge-repair mends submissions: name one with --facechallenge-model")
    found = {}
    for path in sources:
        name = os.path.splitext(plan.names[path, 0])[0].replace(os.sep, "_")  # noqa: PTH122  # a text
        found[path] = named if len(sources) == 1 else named / name
    if len(set(found.values())) < len(found):
        found = {path: named / str(number) for number, path in enumerate(sources, 1)}
    try:
        for folder in (named, *found.values()):
            refuse_folder(folder)
    except OSError as error:
        raise OptionError(f"--facechallenge-repair: {error}") from error
    return found
