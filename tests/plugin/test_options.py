"""Options: where they come from, what wins, and what a wrong one says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugin.conftest import QUICK, assert_ran


def test_ini_and_environment_and_command_line(
    pytester: pytest.Pytester, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makeini("[pytest]\nfacechallenge_model = model.onnx\nfacechallenge_track = B\n")
    run = ("--co", "-q", "-k", "embedding-dim")
    pytester.runpytest(*run).stdout.fnmatch_lines(["model.onnx::test_rule?B-embedding-dim?"])
    monkeypatch.setenv("FACECHALLENGE_TRACK", "A B")
    over_ini = pytester.runpytest(*run)
    over_ini.stdout.fnmatch_lines(["*?A-embedding-dim?", "*?B-embedding-dim?"])
    over_environment = pytester.runpytest(*run, "--facechallenge-track", "iqiyi-large")
    over_environment.stdout.fnmatch_lines(["*?iqiyi-large-embedding-dim?"])
    over_environment.stdout.no_fnmatch_line("*?A-embedding-dim?")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--facechallenge-model", "modle.onnx", "--track", "A"), "*does not exist*did you mean 'model.onnx'*"),
        (("--facechallenge-model", "*.nothing", "--track", "A"), "*no file matches*"),
        (
            ("--facechallenge-model", "model.onnx", "--track", "AA"),
            "*no track 'AA'*did you mean*Known tracks:*mfr21/B*",
        ),
        (("--facechallenge-model", "model.onnx"), "*no track was named*mfr21/A*"),
        (("--facechallenge-model", "empty", "--track", "A"), "*holds no submission*"),
        (("--facechallenge-facts", "nothing.json", "--track", "A"), "*nothing.json cannot be read*"),
        (
            ("--facechallenge-model", "model.onnx", "--track", "A", "--facechallenge-timeout", "soon"),
            "*whole number*'soon'*",
        ),
        (("--facechallenge-explain", "embeding-dim"), "*did you mean 'embedding-dim'*"),
        (("--facechallenge-model", "model.onnx", "--track", "A", "--facechallenge-rules", "no.toml"), "*no.toml*"),
        (("--facechallenge-model", "model.onnx", "--track", "A", "--facechallenge-json", "no/r.json"), "*no/r.json*"),
    ],
)
def test_wrong_invocations(pytester: pytest.Pytester, model: Path, arguments: tuple[str, ...], said: str) -> None:
    pytester.mkdir("empty")
    result = pytester.runpytest("-k", "input", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([said])


def test_ambiguous_track(pytester: pytest.Pytester, model: Path) -> None:
    text = (Path(__file__).parents[2] / "rules" / "mfr21.toml").read_text(encoding="utf-8")
    (pytester.path / "other.toml").write_text(text.replace('id = "mfr21"', 'id = "other"', 1))
    base = ("-q", "--co", "--facechallenge-rules", "other.toml", "--facechallenge-model", "model.onnx", "-k", "input")
    result = pytester.runpytest(*base, "--track", "A")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*'A' is ambiguous: say mfr21/A or other/A*"])
    pytester.runpytest(*base, "--track", "other/A").stdout.fnmatch_lines(["model.onnx::test_rule?other/A-input?"])


def test_track_of_another_plugin(pytester: pytest.Pytester, model: Path) -> None:
    pytester.syspathinsert()
    pytester.makepyfile(rails="def pytest_addoption(parser): parser.addoption('--track', default='1')")
    clash = pytester.runpytest("-p", "rails", "--facechallenge-model", "model.onnx", "--track", "A")
    assert clash.ret == pytest.ExitCode.USAGE_ERROR
    clash.stderr.fnmatch_lines(["*--track belongs to another plugin: use --facechallenge-track*"])
    own = pytester.runpytest(
        "-p", "rails", "--facechallenge-model", "model.onnx", "--facechallenge-track", "A", "-k", "input"
    )
    assert_ran(own, passed=1)


def test_strict(pytester: pytest.Pytester, facts: Path) -> None:
    base = ("-q", "--facechallenge-facts", "report.json", "--track", "A")
    loose = pytester.runpytest(*base)
    loose.stdout.fnmatch_lines(["*INCOMPLETE*"])
    assert loose.ret == 0
    strict = pytester.runpytest(*base, "--facechallenge-strict")
    assert strict.ret == pytest.ExitCode.TESTS_FAILED
    assert strict.outlines[-1] == "exit code 1: --facechallenge-strict asks for COMPLIANT, 8 rules open"


def test_list_and_explain(pytester: pytest.Pytester) -> None:
    listing = pytester.runpytest("--facechallenge-list")
    assert listing.ret == 0
    listing.stdout.fnmatch_lines(["mfr21:*", "*embedding-dim (Rules 1): A <= 512, B <= 1024*"])
    explained = pytester.runpytest("--facechallenge-explain", "embedding-dim")
    assert explained.ret == 0
    explained.stdout.fnmatch_lines(["*feature length must <= 512*", "What", "Why", "How it is measured", "How to fix"])


def test_every_rule_can_be_explained(pytester: pytest.Pytester) -> None:
    from pytest_facechallenge.engine.extensions import load_rulebooks
    from pytest_facechallenge.reports.catalogue import explain

    books = load_rulebooks()
    for rule in {name for book in books.values() for name in book.rules}:
        text = explain(rule, books)
        assert "How to fix\n  " in text


def test_plugin_can_be_switched_off(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_other="def test_other(): pass")
    pytester.runpytest_subprocess("-p", "no:facechallenge").assert_outcomes(passed=1)


def test_benchmark_plugin_may_be_off(pytester: pytest.Pytester, model: Path) -> None:
    result = pytester.runpytest(
        "-p", "no:benchmark", "--facechallenge-model", "model.onnx", "--track", "A", "-k", QUICK
    )
    assert result.parseoutcomes()["passed"] >= 3


@pytest.mark.parametrize("way", ["argument", "file", "added", "override", "environment", "ini"])
def test_every_way_of_setting_an_option_is_heard(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """A run in which nothing of ours is set loads nothing of ours: so nothing that is set may be missed."""
    arguments = ["-q"]
    if way == "argument":
        arguments += ["--facechallenge-explain=embedding-dim"]
    elif way == "file":
        (pytester.path / "arguments.txt").write_text("--facechallenge-explain=embedding-dim\n")
        arguments += ["@arguments.txt"]
    elif way == "added":
        monkeypatch.setenv("PYTEST_ADDOPTS", "--facechallenge-explain=embedding-dim")
    elif way == "override":
        arguments += ["-o", "facechallenge_explain=embedding-dim"]
    elif way == "environment":
        monkeypatch.setenv("FACECHALLENGE_EXPLAIN", "embedding-dim")
    else:
        pytester.makeini("[pytest]\nfacechallenge_explain = embedding-dim\n")
    pytester.runpytest(*arguments).stdout.fnmatch_lines(["embedding-dim*"])


@pytest.mark.parametrize("arguments", [("--help",), ("-qh",)])
def test_the_help_has_the_alias_too(pytester: pytest.Pytester, arguments: tuple[str, ...]) -> None:
    pytester.runpytest(*arguments).stdout.fnmatch_lines(["*--facechallenge-model=PATH*", "*--track=TRACK*"])
