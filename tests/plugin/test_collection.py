"""How a submission is collected: node ids, selection, several submissions and tracks, beside ordinary tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.plugin.conftest import QUICK, assert_ran
from tests.support.models import network, pack, save


def collected(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if "::" in line and " " not in line]


def test_without_paths_only_the_submission_is_collected(pytester: pytest.Pytester, model: Path) -> None:
    pytester.makepyfile(test_other="def test_other(): pass")
    ids = collected(pytester.runpytest("--co", "-q", "--facechallenge-model", "model.onnx", "--track", "A"))
    assert "model.onnx::test_rule[A-embedding-dim]" in ids
    assert not any("test_other" in each for each in ids)


def test_one_test_per_rule_of_the_track(pytester: pytest.Pytester, model: Path) -> None:
    from pytest_facechallenge.engine.extensions import load_rulebooks

    ids = collected(pytester.runpytest("--co", "-q", "--facechallenge-model", "model.onnx", "--track", "A"))
    rules = [rule.id for rule in load_rulebooks()["mfr21"].rules_of("A")]
    assert [each for each in ids if "A-accuracy" not in each] == [
        f"model.onnx::test_rule[A-{rule}]" for rule in rules if rule not in ("accuracy", "flops-crosscheck")
    ]


def test_with_paths_it_adds_to_them(pytester: pytest.Pytester, model: Path) -> None:
    pytester.makepyfile(test_other="def test_other(): pass")
    result = pytester.runpytest("--co", "-q", "test_other.py", "--facechallenge-model", "model.onnx", "--track", "A")
    ids = collected(result)
    assert "test_other.py::test_other" in ids
    assert "model.onnx::test_rule[A-input]" in ids


def test_testpaths_are_replaced(pytester: pytest.Pytester, model: Path) -> None:
    pytester.makeini("[pytest]\ntestpaths = checks\n")
    pytester.mkdir("checks").joinpath("test_it.py").write_text("def test_it(): pass")
    ids = collected(pytester.runpytest("--co", "-q", "--facechallenge-model", "model.onnx", "--track", "A"))
    assert ids
    assert not any("test_it" in each for each in ids)


def test_selection_by_node_id_and_keyword_and_marker(pytester: pytest.Pytester, model: Path) -> None:
    base = ("-q", "--facechallenge-model", "model.onnx", "--track", "A")
    pytester.runpytest(*base, "-k", "embedding-dim", "--co").assert_outcomes()
    assert collected(pytester.runpytest(*base, "-k", "embedding-dim", "--co")) == [
        "model.onnx::test_rule[A-embedding-dim]"
    ]
    assert len(collected(pytester.runpytest(*base, "-m", "facechallenge", "--co"))) > 20
    assert collected(pytester.runpytest(*base, "-m", "not facechallenge", "--co")) == []
    one = pytester.runpytest("model.onnx::test_rule[A-input]", *base, "-p", "no:randomly")
    one.assert_outcomes(passed=1)


def test_several_submissions_and_tracks(pytester: pytest.Pytester) -> None:
    for name in ("one", "two"):
        save(network(), pytester.path / "entries" / name / "model.onnx")
    pack(pytester.path / "entries" / "three.zip", {"model.onnx": network().SerializeToString()})
    result = pytester.runpytest(
        "--co", "-q", "--facechallenge-model", "entries", "--track", "A", "--track", "mfr21/B", "--track", "iqiyi-light"
    )
    ids = collected(result)
    for source in ("entries/one", "entries/two", "entries/three.zip"):
        for track in ("A", "B", "iqiyi-light"):
            assert f"{source}::test_rule[{track}-input]" in ids


def test_glob_and_repeated_option_name_each_submission_once(pytester: pytest.Pytester) -> None:
    for name in ("a", "b"):
        save(network(), pytester.path / f"{name}.onnx")
    args = ("--facechallenge-model", "*.onnx", "--facechallenge-model", "a.onnx", "--track", "A", "-k", "input")
    assert sorted(collected(pytester.runpytest("--co", "-q", *args))) == [
        "a.onnx::test_rule[A-input]",
        "b.onnx::test_rule[A-input]",
    ]


def test_submission_outside_the_root_folder(
    pytester: pytest.Pytester, tmp_path_factory: pytest.TempPathFactory
) -> None:
    away = save(network(), tmp_path_factory.mktemp("away") / "model.onnx")
    result = pytester.runpytest("-q", "--facechallenge-model", str(away), "--track", "A", "-k", "input or package")
    assert_ran(result, passed=2)


def test_submissions_outside_the_root_folder_have_ids_of_their_own(
    pytester: pytest.Pytester, tmp_path_factory: pytest.TempPathFactory
) -> None:
    away = tmp_path_factory.mktemp("away")
    pytester.makeini("[pytest]")
    models = [f"--facechallenge-model={save(network(), away / name / 'model.onnx')}" for name in ("ann", "bob")]
    result = pytester.runpytest("-q", "--co", *models, "--track", "A", "-k", "input")
    ids = [line for line in result.outlines if line.endswith("::test_rule[A-input]")]
    assert [Path(os.path.normpath(pytester.path / line.partition("::")[0])) for line in ids] == [
        away / "ann" / "model.onnx",
        away / "bob" / "model.onnx",
    ]


@pytest.mark.parametrize("name", ["a[1].onnx", "vers::2.onnx", "ünï ço de.onnx"])
@pytest.mark.parametrize("workers", [(), ("-n", "1")])
def test_names_that_pytest_reads_otherwise(pytester: pytest.Pytester, name: str, workers: tuple[str, ...]) -> None:
    save(network(), pytester.path / name)
    result = pytester.runpytest("-q", *workers, "--facechallenge-model", name, "--track", "A", "-k", "input or package")
    assert_ran(result, passed=2)
    result.stdout.fnmatch_lines([f"INCOMPLETE  {name.replace('[', '[[]')}  mfr21/A  *"])


def test_code_beside_a_submission_is_not_run(pytester: pytest.Pytester) -> None:
    folder = pytester.path / "entries" / "evil"
    save(network(), folder / "model.onnx")
    crime = "import pathlib; pathlib.Path(r'{}').write_text('run')".format(pytester.path / "evidence")
    for name in ("conftest.py", "__init__.py", "test_x.py", "numpy.py"):
        (folder / name).write_text(crime)
    (folder.parent / "conftest.py").write_text(crime)
    for model in ("entries", "entries/evil", "entries/evil/model.onnx"):
        result = pytester.runpytest("-q", "--facechallenge-model", model, "--track", "A", "-k", QUICK)
        assert result.parseoutcomes().get("passed", 0) >= 2, result.outlines
        assert not (pytester.path / "evidence").exists(), model


def test_settings_beside_a_submission_do_not_steer_the_run(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pytester.mkdir("entries") / "evil"
    save(network(), folder / "model.onnx")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -k nothing\n")
    monkeypatch.chdir(pytester.mkdir("start"))
    monkeypatch.delenv("FACECHALLENGE_OWN_FOLDER")
    quick = ("--track", "A", "-k", QUICK)
    taken = pytester.runpytest_subprocess("-q", "--facechallenge-model", "../entries/evil", *quick)
    assert taken.ret == pytest.ExitCode.USAGE_ERROR
    taken.stderr.fnmatch_lines(["*pytest.ini would steer this run*'facechallenge judge *"])
    result = pytester.runpytest_subprocess("-q", "--facechallenge-model=../entries/evil", *quick)
    # Judged all the same, and what lies beside the model is a finding, as it would be inside of an archive.
    assert_ran(result, passed=2, failed=1)


def test_conftest_of_the_starting_folder_still_works(pytester: pytest.Pytester, model: Path) -> None:
    pytester.makeconftest("def pytest_report_header(config): return 'our own conftest'")
    result = pytester.runpytest("--facechallenge-model", "model.onnx", "--track", "A", "-k", "input")
    # A long path is broken at the ".".
    result.stdout.fnmatch_lines(["*code that can change results is loaded*", "*conftest.*", "our own conftest"])


def test_last_failed(pytester: pytest.Pytester) -> None:
    save(network(shape=(3, 100, 100)), pytester.path / "model.onnx")
    base = ("-q", "--facechallenge-model", "model.onnx", "--track", "A", "-k", "input or model-size")
    assert_ran(pytester.runpytest(*base), failed=1, passed=1)
    again = pytester.runpytest(*base, "--lf", "-v")
    assert_ran(again, failed=1)


def test_a_run_without_a_submission_is_not_touched(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_other="def test_other(): pass")
    result = pytester.runpytest()
    result.assert_outcomes(passed=1)
    assert "facechallenge:" not in result.stdout.str()
