"""What of an invocation is refused or left aside; standard library and pytest only, since every run asks."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

import pytest

from pytest_facechallenge.core.text import clean
from pytest_facechallenge.plugin.options import OPTIONS
from pytest_facechallenge.plugin.stash import LEFT_ASIDE, OWNS_TRACK

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_facechallenge.core.options import OptionValues

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


def declaration_asked_for(chosen: OptionValues) -> Path:
    """Write the declaration that --facechallenge-write-declaration asks for, told of the model and tracks named.

    Raises
    ------
    ValueError
        The file is there already, or something named cannot be used.
    """
    from pytest_facechallenge.core.declaration import write_declaration
    from pytest_facechallenge.engine.arguments import find_tracks
    from pytest_facechallenge.engine.declaring import one_submission, template_for
    from pytest_facechallenge.engine.extensions import load_checks, load_rulebooks

    models, tracks, rules = chosen.many("model"), chosen.many("track"), []
    if len(models) > 1:
        raise ValueError("a declaration is about one submission: name one model")
    model = one_submission(models[0], chosen.base) if models else None
    if tracks:
        load_checks()
        books = load_rulebooks(chosen.path(name) for name in chosen.many("rules"))
        for each in find_tracks(tracks, books):
            rules += books[each.book].rules_of(each.track)
    return write_declaration(chosen.path_of("write-declaration"), template_for(model, rules))


#: Options of pytest that leave tests out or stop early: how they are named, and how they can be typed.
_BENDING = {
    "stepwise": (
        "--stepwise",
        ("--sw", "--stepwise", "--stepwise-skip", "--sw-skip", "--stepwise-reset", "--sw-reset"),
    ),
    "lf": ("--lf", ("--lf", "--last-failed")),
}


def judge_every_rule(config: pytest.Config) -> None:
    """Leave -x, --maxfail, --stepwise and --lf aside where the settings have them and not the command line."""
    typed = list(map(str, config.invocation_params.args))
    stops = any(
        argument in ("--exitfirst", "--maxfail")
        or argument.startswith("--maxfail=")
        or (argument[:1] == "-" and argument[1:2] not in ("-", "k", "m", "c", "p", "o", "W", "r") and "x" in argument)
        for argument in typed
    )
    aside = []
    for name, (shown, spellings) in _BENDING.items():
        if getattr(config.option, name, False) and not any(each in typed for each in spellings):
            setattr(config.option, name, False)
            aside.append(shown)
    stepwise = any(each in typed for each in _BENDING["stepwise"][1])  # it sets maxfail itself
    if getattr(config.option, "maxfail", 0) and not stops and not stepwise:
        config.option.maxfail = 0
        aside.insert(0, "-x")
    if aside:
        config.stash[LEFT_ASIDE] = tuple(aside)
