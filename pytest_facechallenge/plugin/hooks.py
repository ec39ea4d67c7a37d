"""The pytest plugin: options, and hooks that hand over to `judging` once anything of ours is asked for.

pytest imports this in every run of every project where the package is installed. So it imports one more module, a
table of texts, and nothing else; a test holds that, and `python benchmarks/plugin_start.py` says what such a run pays.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Literal

import pytest

from pytest_facechallenge.plugin.option_table import OPTIONS

if TYPE_CHECKING:
    from pytest_facechallenge.plugin.run import ChallengeRun

#: What begins the name of every option of ours: on the command line, as an ini key, in the environment.
FLAG, KEY, VARIABLE = "--facechallenge-", "facechallenge_", "FACECHALLENGE_"
_KEYS = tuple(KEY + name.replace("-", "_") for name, *_rest in OPTIONS)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add every option to pytest's command line and ini keys."""
    group = parser.getgroup("facechallenge", "judge face-recognition challenge submissions")
    for key, (name, kind, metavar, about) in zip(_KEYS, OPTIONS, strict=True):
        keywords: dict[str, Any] = {"dest": key, "help": about, "default": None}
        if kind == "flag":
            keywords["action"] = "store_true"
        elif kind == "optional":
            keywords |= {"nargs": "?", "const": "given", "metavar": metavar}  # `core.options.GIVEN`
        else:
            keywords |= {"action": "append" if kind == "list" else "store", "metavar": metavar}
        group.addoption(FLAG + name, **keywords)
        ini_type: Literal["linelist", "string"] = "linelist" if kind == "list" else "string"
        parser.addini(key, f"the same as {FLAG}{name}", type=ini_type, default=None)


def anything_set(config: pytest.Config, so_far: object) -> bool:
    """Return whether any option of ours has a value: on the command line, in the environment or in the ini file."""
    return (
        any(getattr(so_far, key, None) is not None for key in _KEYS)
        or any(name.startswith(VARIABLE) for name in os.environ)
        or any(config.getini(key) not in (None, "", []) for key in _KEYS)
    )


def _may_concern_us(argument: str) -> bool:
    """Return whether an argument may be ours: an option, the help that lists them, or a file that holds arguments."""
    helps = argument[:1] == "-" and argument[1:2] != "-" and "h" in argument
    return helps or argument.startswith((FLAG, "--track", "--help", "@"))


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> Generator[None]:
    """Refuse options that are none, and code that lies with a submission before it runs.

    Then add the alias --track after every other plugin had its chance, so that a clash breaks neither.
    """
    typed = any(map(_may_concern_us, args))
    if not typed and not anything_set(early_config, early_config.known_args_namespace):
        yield
        return
    from pytest_facechallenge.plugin import invocation, judging, options, stash

    invocation.refuse_unknown_options(args)
    judging.refuse_code_of_a_submission(early_config)
    yield
    early_config.stash[stash.OWNS_TRACK] = options.add_track_alias(parser)


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Answer --facechallenge-list, -explain and -write-declaration, which run no tests."""
    if not anything_set(config, config.option):
        return None
    from pytest_facechallenge.plugin import judging

    return judging.answer(config)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Begin to judge where something is asked for."""
    config.addinivalue_line("markers", "facechallenge(rule, track): a rule of a face-recognition challenge")
    if anything_set(config, config.option) or any(".onnx" in argument.lower() for argument in config.args):
        from pytest_facechallenge.plugin import judging

        judging.begin(config)


@pytest.fixture(scope="session")
def facechallenge(request: pytest.FixtureRequest) -> ChallengeRun:
    """Return the run: what is judged, and the facts about it."""
    from pytest_facechallenge.plugin.stash import RUN

    run: ChallengeRun | None = request.config.stash.get(RUN, None)
    if run is None:
        raise pytest.UsageError(
            "the fixture 'facechallenge' needs a submission: add --facechallenge-model PATH --track NAME"
        )
    return run
