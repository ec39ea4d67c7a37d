"""Settings and code that lie with a submission: what of them would steer the run that judges it, and what did.

pytest reads the ini file that it finds, and imports the plugins named there, before any plugin can object; files
conftest.py come later. So the one is told afterwards and the other refused before it runs; only the launcher
(``facechallenge judge``) keeps both away.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from pytest_facechallenge.core.text import clean_path
from pytest_facechallenge.plugin.options import OWN

#: What pytest imports of a folder.
CODE = ("conftest.py", "__init__.py")
_PACKAGE = __name__.partition(".")[0]


def folders_of(sources: Iterable[Path], here: Path) -> dict[Path, Path]:
    """Return the folders in which a submission's author can have put files -> the submission.

    They are the folder of a submission (itself, when it is one), those between it and the working folder, and the one
    that a folder lies in: others hand in their files there.
    """
    found: dict[Path, Path] = {}
    for source in sources:
        for given, start in ((source, here), (source.resolve(), here.resolve())):
            folder = given if given.is_dir() else given.parent
            between = [folder]
            if given.is_dir() and folder.parent not in (start, *start.parents):
                between.append(folder.parent)
            if start in folder.parents:
                between += [parent for parent in folder.parents if start in parent.parents]
            elif folder in start.parents:
                between += [parent for parent in (start, *start.parents) if folder in parent.parents]
            for each in between:
                found.setdefault(each, source)
    return found


def says_own(config: pytest.Config, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the user says that what lies with the submission is the user's own: never an ini file, which is asked."""
    given = environment.get(OWN.variable, "").lower()
    return OWN.flag in config.invocation_params.args or given in ("true", "1", "yes", "on")


def code_to_be_run(
    config: pytest.Config, given: argparse.Namespace, sources: Iterable[Path]
) -> list[tuple[Path, Path]]:
    """Return (file, submission) of every conftest.py and __init__.py with a submission that pytest would import."""
    here = config.invocation_params.dir
    named = [str(argument) for argument in getattr(given, "file_or_dir", None) or ()]
    paths = [Path(os.path.normpath(here / argument.partition("::")[0])) for argument in named]
    starts = [path for path in paths if path.exists()]
    starts = starts or [Path(os.path.normpath(config.rootpath / each)) for each in config.getini("testpaths")] or [here]
    initial = {folder for start in starts for folder in (start, *start.parents)}
    initial |= {child for start in starts if start.is_dir() for child in start.glob("test*")}
    sources = list(sources)
    collected = [path for path in paths if path not in sources]
    cut = getattr(given, "confcutdir", None)
    above = Path(os.path.normpath(here / cut)).parents if cut else ()
    found = []
    for folder, source in folders_of(sources, here).items():
        reached = any(folder in (path, *path.parents) or path in folder.parents for path in collected)
        reads = (reached or folder in initial) and folder not in above and not getattr(given, "noconftest", False)
        names = [name for name, wanted in zip(CODE, (reads, reached), strict=True) if wanted]
        found += [(folder / name, source) for name in names if (folder / name).is_file()]
    return found


def obeyed(config: pytest.Config, sources: Iterable[Path]) -> list[tuple[Path, Path]]:
    """Return (file, submission) of what lies with a submission and was read as settings or imported."""
    folders = folders_of(sources, config.invocation_params.dir)
    files = [config.inipath] if config.inipath is not None and not _names_its_settings(config) else []
    files += [Path(name) for name in loaded_conftests(config)]
    files += _imported()
    return [(file, folders[file.parent]) for file in dict.fromkeys(files) if file.parent in folders]


def _names_its_settings(config: pytest.Config) -> bool:
    """Whether the user named the ini file; an ini file could say so of itself (addopts = -c …), so its word is none."""
    args = config.invocation_params.args
    return any(each.startswith(("-c", "--config-file")) for each in args)


def _imported() -> Iterable[Path]:
    """Return the files of imported modules, and the folders of packages as a file in the folder that they lie in."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if "." in name or not isinstance(file, str) or name == _PACKAGE:
            continue
        path = Path(file)
        yield path.parent if path.name == "__init__.py" else path


def loaded_conftests(config: pytest.Config) -> list[str]:
    """Return the conftest.py files that run in this process: code that could change what tests report."""
    return sorted(
        name
        for name, plugin in config.pluginmanager.list_name_plugin()
        if plugin is not None and name.endswith("conftest.py")
    )


def refusal(found: list[tuple[Path, Path]]) -> str:
    """Return the sentence with which a run is refused, and the way out."""
    file, source = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return (
        f"{clean_path(file)}{more} would steer this run, and it lies with the submission {clean_path(source.name)}: "
        f"judge it with 'facechallenge judge {clean_path(source)}', which obeys no file of a submission; if the file "
        f"is your own, add {OWN.flag}, or put the submission into a folder of its own"
    )


def warnings_about(found: list[tuple[Path, Path]]) -> tuple[str, ...]:
    """Return a sentence for each file with a submission that the run obeyed."""
    return tuple(
        f"the run obeyed {clean_path(file)}, which lies with the submission {clean_path(source.name)}: its verdict "
        "proves nothing to others"
        for file, source in found
    )
