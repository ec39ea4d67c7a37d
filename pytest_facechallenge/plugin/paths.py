"""Which paths pytest collects, and what must not be imported or obeyed on the way to a submission."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_facechallenge.plugin.collection import AwkwardPath, SubmissionFolder, collect_submission
from pytest_facechallenge.plugin.run import ChallengeRun
from pytest_facechallenge.plugin.stash import LEFT_ASIDE, OWNS_TRACK, RUN


def refuse_settings_of_a_submission(config: pytest.Config, run: ChallengeRun) -> None:
    """Refuse an ini file that lies with a submission: a stranger's settings must not steer the run that judges them.

    pytest looks for an ini file beside everything on the command line that is a path, before it knows our options, so
    also beside the value of an option that stands apart from its name.
    """
    here = config.invocation_params.dir
    if config.inipath is None or getattr(config.option, "inifilename", None) or hasattr(config, "workerinput"):
        return
    folder = config.inipath.parent
    given = config.args if config.args_source == pytest.Config.ArgsSource.ARGS else []
    if folder in (here, *here.parents) or any(folder in argument_path(config, path).parents for path in given):
        return
    judged = next((source for source in run.plan.sources if folder in (source, *source.parents)), None)
    if judged is not None:
        run.gatherer.close()
        del config.stash[RUN]
        raise pytest.UsageError(
            f"{config.inipath} would steer this run, and it lies with the submission {judged.name}; "
            f"write --facechallenge-model={judged} (with '='), or name your own ini file with -c"
        )


def refuse_half_an_invocation(config: pytest.Config) -> None:
    """Refuse a track, or a model's path, where no option names anything to judge.

    A track of the ini file or the environment is a setting of a project, whose other tests run without a model.

    Raises
    ------
    pytest.UsageError
        Something was meant to be judged; the message says how.
    """
    given = config.args if config.args_source == pytest.Config.ArgsSource.ARGS else []
    models = [argument for argument in given if argument.partition("::")[0].lower().endswith(".onnx")]
    if models:
        model = models[0].partition("::")[0]
        raise pytest.UsageError(
            f"{model} is a model and no test of pytest's own: write pytest --facechallenge-model={model} --track NAME "
            "(--facechallenge-list shows the tracks)"
        )
    if getattr(config.option, "facechallenge_track", None) and config.stash.get(OWNS_TRACK, True):
        raise pytest.UsageError(
            "a track is named but nothing to judge: add --facechallenge-model PATH (or --facechallenge-facts FILE)"
        )


def judge_every_rule(config: pytest.Config) -> None:
    """Leave -x and --maxfail aside where the settings have them and not the command line: every rule is judged."""
    typed = config.invocation_params.args
    stops = any(
        argument in ("--exitfirst", "--maxfail")
        or argument.startswith("--maxfail=")
        or (argument[:1] == "-" and argument[1:2] not in ("-", "k", "m", "c", "p", "o", "W", "r") and "x" in argument)
        for argument in map(str, typed)
    )
    if getattr(config.option, "maxfail", 0) and not stops:
        config.option.maxfail = 0
        config.stash[LEFT_ASIDE] = True


def collect_sources(config: pytest.Config, run: ChallengeRun) -> None:
    """Replace pytest's default paths by the submissions, or add them to the paths that the user gave.

    A submission that the user named by a node id of its own ("model.onnx::test_rule[A-input]") is not added whole.
    """
    given = config.args if config.args_source == pytest.Config.ArgsSource.ARGS else []
    named = {argument_path(config, argument) for argument in given}
    paths = (path for path, source in run.given_as.items() if not {source, path} & named)
    config.args[:] = [*given, *map(str, paths)]


def argument_path(config: pytest.Config, argument: str) -> Path:
    """Return the absolute path in an argument of pytest, which may name a test in it as well."""
    return Path(os.path.normpath(config.invocation_params.dir / argument.partition("::")[0]))


def collector_of(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Return the collector of a source, or None for any other path."""
    run = parent.config.stash.get(RUN, None)
    if run is None or path not in run.given_as:
        return None
    if run.given_as[path] == path:
        return collect_submission(path, parent)
    node: pytest.Collector = AwkwardPath.from_parent(parent, path=path, name=path.name)
    return node


def guarded_folder(path: Path, parent: pytest.Collector, run: ChallengeRun) -> pytest.Collector | None:
    """Return a collector for a folder on the way to a source that imports nothing lying there; else None."""
    config = parent.config
    on_the_way = any(path in given.parents for given in run.given_as)
    if (
        not on_the_way
        or path == config.rootpath
        or path in (config.invocation_params.dir, *config.invocation_params.dir.parents)
    ):
        return None
    others = [argument_path(config, argument) for argument in config.args]
    others = [other for other in others if other not in run.given_as]
    if any(path == other or path in other.parents or other in path.parents for other in others):
        return None
    node: pytest.Collector = SubmissionFolder.from_parent(parent, path=path)
    return node
