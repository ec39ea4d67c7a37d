"""What of an invocation is refused or left aside; standard library and pytest only, since every run asks."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from itertools import takewhile

import pytest

from pytest_facechallenge.core.text import clean
from pytest_facechallenge.plugin.options import OPTIONS
from pytest_facechallenge.plugin.stash import LEFT_ASIDE, OWNS_TRACK

_OURS = "--facechallenge-"
_FLAGS = tuple(option.flag for option in OPTIONS)


def refuse_unknown_options(arguments: Sequence[str]) -> None:
    """Refuse an option that begins as ours do and is none, with the nearest one: pytest would only say that it is none.

    Raises
    ------
    pytest.UsageError
        There is such an option.
    """
    for argument in takewhile(lambda each: each != "--", arguments):
        name = argument.partition("=")[0]
        if name.startswith(_OURS) and name not in _FLAGS:
            near = difflib.get_close_matches(name, _FLAGS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise pytest.UsageError(f"there is no option {clean(name)!r}{hint} (pytest --help lists all)")


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
