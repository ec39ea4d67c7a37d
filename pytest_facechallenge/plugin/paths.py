"""Which paths pytest collects: a stand-in for every source, whether the user named it by path, option or node id."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_facechallenge.plugin.collection import SubmissionFolder, node_name, stand_in
from pytest_facechallenge.plugin.run import ChallengeRun
from pytest_facechallenge.plugin.stash import RUN


def collect_sources(config: pytest.Config, run: ChallengeRun) -> None:
    """Replace pytest's default paths by the stand-ins of the submissions, or add them to the paths that the user gave.

    A submission that the user named by a node id of its own ("model.onnx::test_rule[A-input]") is not added whole.
    """
    given = config.args if config.args_source == pytest.Config.ArgsSource.ARGS else []
    stand_ins = {source: path for path, source in run.given_as.items()}
    named: set[Path] = set()
    args: list[str] = []
    for argument in given:
        source = named_source(config, run, argument)
        if source is None:
            args.append(argument)
            continue
        named.add(source)
        test = test_in(config, run, argument, source)
        args.append(f"{stand_ins[source]}::{node_name(run, source)}::{test}" if test else str(stand_ins[source]))
    if not named:
        args.append(str(run.collected))
    else:
        args += [str(path) for source, path in stand_ins.items() if source not in named]
    config.args[:] = args
    _apply_conftests(config, run)


def _apply_conftests(config: pytest.Config, run: ChallengeRun) -> None:
    """Let the hooks of a conftest.py that pytest has loaded apply to the submissions below it.

    pytest notes this by folder when it collects one; the folders of submissions it never collects.
    """
    known = getattr(config.pluginmanager, "_dirpath2confmods", None)
    if not isinstance(known, dict):
        return
    for source in run.plan.sources:
        folder = source if source.is_dir() else source.parent
        above = next((parent for parent in (folder, *folder.parents) if parent in known), None)
        if above is not None:
            known.setdefault(folder, known[above])


def named_source(config: pytest.Config, run: ChallengeRun, argument: str) -> Path | None:
    """Return the source that an argument of pytest names, by its path or by a node id as it is shown; else None.

    Of several that fit, one with "::" in its name, the longest is meant.
    """
    fits = [source for source in run.plan.sources if _rest(config, run, argument, source) is not None]
    return max(fits, key=lambda source: len(str(source)), default=None)


def test_in(config: pytest.Config, run: ChallengeRun, argument: str, source: Path) -> str:
    """Return the test that an argument names in a source, "" when it names the whole of it."""
    return _rest(config, run, argument, source) or ""


def _rest(config: pytest.Config, run: ChallengeRun, argument: str, source: Path) -> str | None:
    # As a path it is relative to the working folder, as a node id to the root folder.
    path = os.path.normpath(config.invocation_params.dir / argument.partition("::")[0])
    for whole, begin in (
        (argument, run.node_ids[source]),
        (os.path.normpath(config.invocation_params.dir / argument), str(source)),
        (path + argument[len(argument.partition("::")[0]) :], str(source)),
    ):
        if whole == begin:
            return ""
        if whole.startswith(f"{begin}::"):
            return whole[len(begin) + 2 :]
    return None


def argument_path(config: pytest.Config, argument: str) -> Path:
    """Return the absolute path in an argument of pytest, which may name a test in it as well."""
    return Path(os.path.normpath(config.invocation_params.dir / argument.partition("::")[0]))


def collector_of(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Return the collector of a stand-in, or None for any other path."""
    run = parent.config.stash.get(RUN, None)
    if run is None or path not in run.given_as:
        return None
    return stand_in(path, parent, run)


def guarded_folder(path: Path, parent: pytest.Collector, run: ChallengeRun) -> pytest.Collector | None:
    """Return a collector for a folder on the way to the stand-ins that imports nothing lying there; else None."""
    config = parent.config
    if path not in (run.collected, *run.collected.parents):
        return None
    ours = path in (run.collected, run.gatherer.root)
    others = (config.rootpath, config.invocation_params.dir, *(argument_path(config, each) for each in config.args))
    others = tuple(other for other in others if run.gatherer.root not in (other, *other.parents))
    if not ours and any(path == other or path in other.parents for other in others):
        return None
    node: pytest.Collector = SubmissionFolder.from_parent(parent, path=path)
    return node
