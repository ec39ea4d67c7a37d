"""What cannot be used is told in one sentence before anything runs, and ends pytest with exit code 4."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from pytest_facechallenge.inference.device import has_driver
from tests.core.test_rulebook import MINIMAL
from tests.plugin.conftest import assert_ran
from tests.support.models import network, pack, save

JUDGED = ("--facechallenge-model=model.onnx", "--track=A", "-k", "input")


def refused(pytester: pytest.Pytester, *arguments: str) -> str:
    """Run pytest, make sure that it refuses before it collects, and return the one sentence."""
    result = pytester.runpytest(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR, result.stdout.str()
    assert "collected" not in result.stdout.str()
    lines = [line for line in result.errlines if line.strip()]
    assert len(lines) == 1, lines
    assert lines[0].startswith("ERROR: ")
    return lines[0]


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--facechallenge-declaration=no.toml", "must name a file; at "),
        ("--facechallenge-declaration=.", "there is a folder"),
        ("--facechallenge-server-python=no/python", "--facechallenge-server-python"),
        pytest.param(
            "--facechallenge-device=cuda",
            "the device 'cuda' (CUDAExecutionProvider) is not",
            marks=pytest.mark.skipif(has_driver(), reason="this machine has a GPU"),
        ),
        ("--facechallenge-device=gpu", "there is no device 'gpu'"),
        ("--facechallenge-memory=10", "must be at least 128 MiB"),
        ("--facechallenge-memory=-1", "whole number of at least 0"),
        ("--facechallenge-timeout=soon", "whole number"),
        ("--facechallenge-rounds=7", "multiple of 50"),
        ("--facechallenge-repair=model.onnx", "model.onnx is a file; name a folder for the mended model"),
        ("--facechallenge-repair=.", "model.onnx is there already and is not overwritten"),
        ("--facechallenge-timout=5", "no option '--facechallenge-timout'; did you mean '--facechallenge-timeout'?"),
        ("--facechallenge-\x1b[2J", "no option '--facechallenge-\\\\x1b[2J'"),
    ],
)
def test_options(pytester: pytest.Pytester, model: Path, option: str, said: str) -> None:
    assert said in refused(pytester, *JUDGED, option)


@pytest.mark.skipif(os.name != "posix", reason="scripts stand for interpreters")
@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 3", "is no Python with onnxruntime"),
        (f'exec {sys.executable} -c "import no_such_module"', "No module named 'no_such_module'"),
        ("echo hello", "is no Python with onnxruntime"),
    ],
)
def test_a_server_python_that_is_none(pytester: pytest.Pytester, model: Path, script: str, said: str) -> None:
    path = pytester.path / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    assert said in refused(pytester, *JUDGED, "--facechallenge-server-python=./python")


def test_a_server_python_with_the_runtime_is_taken(pytester: pytest.Pytester, model: Path) -> None:
    result = pytester.runpytest(*JUDGED, f"--facechallenge-server-python={sys.executable}")
    assert result.ret == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('"model_size"', '"model_sizes"'), "no check is named 'model_sizes'; did you mean 'model_size'?"),
        (('"model_size"', '"model_size"\nparameters = { mb = 1 }'), "has no parameter mb; known: none"),
        (("limit = 10", 'limit = "ten"'), "compares with a number, found 'ten'"),
        (
            ("limit = 10", "limit = true"),
            "rules.size.limit must be a number or a text in quotes or a table, found true",
        ),
        (("limit = 10", "limit = [10]"), "found a list of 1"),
        (("limit = 10", "limit = nan"), "rules.size.limit: a finite number is expected, found nan"),
        (("limit = 10", "limit = -1"), "rules.size.limit: a number of at least 0 is expected, found -1"),
        (("limit = 10", "limit = { x = -1 }"), "rules.size.limit.x: a number of at least 0 is expected"),
        (('"model_size"\nlimit = 10', '"embedding_dim"'), "needs a number, and there is none"),
        (('clause = "1"', ""), "the key rules.size.clause is missing"),
        (("rulebook/1", "rulebook/7"), 'schema = "facechallenge-rulebook/1" is expected, found'),
        (("rulebook/1", "declaration/2"), "a declaration is given by --facechallenge-declaration"),
        (('"2026-01-01"', '"soon"'), "date: a date such as 2021-11-30 is expected, found 'soon'"),
        (
            ('"model_size"\nlimit = 10', '"declared_submission_window"\nparameters = { opens = "soon" }'),
            "rules.size.parameters.opens, track 'x': a date and time such as 2021-09-30T18:00:00+08:00 is expected",
        ),
        (
            ('"model_size"\nlimit = 10', '"input_shape"\nparameters = { shape = [3, "x"] }'),
            "rules.size.parameters.shape, track 'x': a list is expected, found 'x'",
        ),
        (
            ('"model_size"\nlimit = 10', '"no_float16"\nparameters = { small_constants = -5 }'),
            "a number of at least 0 is expected, found -5",
        ),
        (
            ('"model_size"\nlimit = 10', '"preprocessing"\nparameters = { feed = "rawest" }'),
            '"helper" or "raw" is expected, found \'rawest\'',
        ),
    ],
)
def test_rulebooks(pytester: pytest.Pytester, model: Path, change: tuple[str, str], said: str) -> None:
    assert change[0] in MINIMAL
    (pytester.path / "mine.toml").write_text(MINIMAL.replace(*change, 1))
    arguments = ("--facechallenge-model=model.onnx", "--facechallenge-rules=mine.toml", "--track=x")
    assert said in refused(pytester, *arguments)


def test_a_track_without_anything_to_judge(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_nothing(): pass")
    assert "--facechallenge-model PATH" in refused(pytester, "--track", "A")
    pytester.makeini("[pytest]\nfacechallenge_track = A\n")
    pytester.runpytest().assert_outcomes(passed=1)


@pytest.mark.parametrize("more", [(), ("--track=A",)])
def test_a_model_that_no_option_names(pytester: pytest.Pytester, model: Path, more: tuple[str, ...]) -> None:
    said = refused(pytester, "model.onnx", *more)
    assert "write pytest --facechallenge-model=model.onnx --track" in said


def test_settings_of_the_user_lose_no_rule(pytester: pytest.Pytester, model: Path) -> None:
    pytester.makeini("[pytest]\npython_functions = check_*\npython_files = check_*.py\naddopts = -x\n")
    save(network(shape=(3, 96, 96)), model)  # several rules are broken
    base = ("--facechallenge-model=model.onnx", "--track=A")
    rules = ("-k", "input or package or embedding-dim or model-size")
    result = pytester.runpytest(*base, *rules)
    found = result.parseoutcomes()
    assert found["failed"] >= 1
    assert found["failed"] + found.get("passed", 0) + found.get("skipped", 0) >= 4
    result.stdout.fnmatch_lines(["*facechallenge: -x of the settings is left aside: every rule is judged*"])
    stopped = pytester.runpytest("-x", *base, *rules)
    assert stopped.parseoutcomes()["failed"] == 1
    stopped.stdout.no_fnmatch_line("*is left aside*")


@pytest.mark.parametrize("option", ["--stepwise", "--lf", "--maxfail=1", "--sw -x"])
def test_settings_that_leave_tests_out_lose_no_rule(pytester: pytest.Pytester, model: Path, option: str) -> None:
    save(network(shape=(3, 96, 96)), model)
    base = ("--facechallenge-model=model.onnx", "--track=A", "-k", "input or package or model-size")
    whole = pytester.runpytest(*base).parseoutcomes()  # what failed is remembered, for --lf
    assert whole["failed"] == 1
    pytester.makeini(f"[pytest]\naddopts = {option}\n")
    result = pytester.runpytest(*base)
    assert result.parseoutcomes() == whole
    assert "left aside: every rule is judged" in " ".join(result.stdout.str().split())


def test_a_folder_of_several_models_is_one_of_submissions(pytester: pytest.Pytester) -> None:
    for name in ("alice.onnx", "bob.onnx"):
        save(network(), pytester.path / "entries" / name)
    pack(pytester.path / "entries" / "carol.zip", {"model.onnx": (pytester.path / "entries/bob.onnx").read_bytes()})
    result = pytester.runpytest("--facechallenge-model=entries", "--track=A", "-k", "package")
    assert_ran(result, passed=3)
    text = " ".join(result.stdout.str().split())
    assert "entries is read as a folder of 3 submissions: alice.onnx, bob.onnx, carol.zip" in text


def test_a_folder_of_one_model_is_one_submission(pytester: pytest.Pytester) -> None:
    save(network(), pytester.path / "entry" / "model.onnx")
    result = pytester.runpytest("--facechallenge-model=entry", "--track=A", "-k", "package")
    assert_ran(result, passed=1)
    assert "entry is read as one submission, a folder with model.onnx" in " ".join(result.stdout.str().split())
