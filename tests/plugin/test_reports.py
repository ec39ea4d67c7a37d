"""What a run leaves behind: findings, summary, JSON, JUnit; with and without xdist; and verdicts nobody can fool."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from onnx import helper

from tests.plugin.conftest import QUICK, assert_ran
from tests.support.models import network, save


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def outcomes(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["rule"]: row for row in report["submissions"][0]["tracks"][0]["rules"]}


def test_every_finding_in_one_run_and_no_traceback(pytester: pytest.Pytester) -> None:
    tail = [
        helper.make_node("Concat", ["embedding"] * 10, ["wide"], axis=1),
        helper.make_node("ReduceMean", ["wide"], ["mean"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["wide", "mean"], ["row"]),
    ]
    save(network(tail=tail, output="row", declared_output=["N", 640]), pytester.path / "model.onnx")
    result = pytester.runpytest("--facechallenge-model", "model.onnx", "--track", "A", "-k", "embedding-dim or batch")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "*embedding-dim is broken (mfr21/A, Rules 1)*",
            "*'row' has 640 values per image; Sub-Track A allows at most*",
            "  where     batch of *",
            "  measured  640 values, limit <= 512",
            "  fix       *",
        ]
    )
    result.stdout.fnmatch_lines(["*batch is broken*"])
    result.stdout.fnmatch_lines(["NON-COMPLIANT  model.onnx  mfr21/A  *"])
    text = result.stdout.str()
    assert "Traceback" not in text
    assert "suite.py" not in text


def test_json_report(report: bytes, tmp_path: Path) -> None:
    found = json.loads(report)
    assert found["schema"] == "pytest-facechallenge/2"
    assert found["environment"]["versions"]["pytest"] == pytest.__version__
    assert found["environment"]["providers"] == ["CPUExecutionProvider"]
    submission = found["submissions"][0]
    assert submission["bytes"] == save(network(), tmp_path / "model.onnx").stat().st_size
    assert len(submission["sha256"]) == 64
    assert submission["facts"]["load"]["providers"] == ["CPUExecutionProvider"]
    track = submission["tracks"][0]
    assert (track["rulebook"], track["track"], track["verdict"]["word"]) == ("mfr21", "A", "INCOMPLETE")
    row = outcomes(found)["embedding-dim"]
    assert (row["status"], row["measured"], row["limit"], row["clause"]) == ("passed", "64 values", "<= 512", "Rules 1")


def test_same_report_under_xdist(pytester: pytest.Pytester, model: Path) -> None:
    # Of two processes of the sandbox; the facts of the others travel as theirs do.
    only = "input or output or embedding-dim or no-float16 or deterministic or package or declaration"
    base = ("-q", "--facechallenge-model", "model.onnx", "--track", "A", "-k", only)
    for name, extra in (("one.json", ()), ("two.json", ("-n", "2"))):
        done = pytester.runpytest_subprocess(*base, "--facechallenge-json", name, *extra)
        assert done.ret == 0, done.stdout.str()
        done.stdout.fnmatch_lines(["INCOMPLETE  model.onnx  *"])
    assert read(pytester.path / "one.json")["submissions"] == read(pytester.path / "two.json")["submissions"]


def test_facts_of_a_report_are_judged_again_under_another_rulebook(pytester: pytest.Pytester, facts: Path) -> None:
    text = (Path(__file__).parents[2] / "rules" / "mfr21.toml").read_text(encoding="utf-8")
    text = text.replace('id = "mfr21"', 'id = "narrow"', 1).replace("limit = { A = 512, B = 1024 }", "limit = 32")
    (pytester.path / "narrow.toml").write_text(text)
    result = pytester.runpytest(
        "-q", "--facechallenge-facts", "report.json", "--facechallenge-rules", "narrow.toml",
        "--track", "mfr21/A", "--track", "narrow/A", "--facechallenge-json", "again.json",
    )  # fmt: skip
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    tracks = read(pytester.path / "again.json")["submissions"][0]["tracks"]
    assert [track["verdict"]["word"] for track in tracks] == ["INCOMPLETE", "NON-COMPLIANT"]
    original = read(facts)["submissions"][0]
    assert read(pytester.path / "again.json")["submissions"][0]["facts"] == original["facts"]
    assert tracks[0]["rules"] == original["tracks"][0]["rules"]


@pytest.mark.parametrize(
    "damage",
    [
        b'{"schema": "pytest-facechallenge/2", "submissions": []}',
        b"{",
        b"[]",
        b'{"schema": "other"}',
        b'{"schema": "pytest-facechallenge/2"}',
    ],
)
def test_report_that_is_none(pytester: pytest.Pytester, damage: bytes) -> None:
    (pytester.path / "r.json").write_bytes(damage)
    result = pytester.runpytest("--facechallenge-facts", "r.json", "--track", "A")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*r.json*"])


def test_dropped_test_keeps_the_verdict_open(pytester: pytest.Pytester, facts: Path) -> None:
    pytester.makeconftest(
        "def pytest_collection_modifyitems(items): items[:] = [i for i in items if 'input' not in i.name]"
    )
    result = pytester.runpytest(
        "-q", "--facechallenge-facts", "report.json", "--track", "A", "--facechallenge-json", "r.json"
    )
    assert result.outlines[-1].startswith("INCOMPLETE  model.onnx  mfr21/A  9 rules open: input, ")
    assert outcomes(read(pytester.path / "r.json"))["input"]["message"] == "did not run"


def test_deselected_rule_keeps_the_verdict_open(pytester: pytest.Pytester, facts: Path) -> None:
    result = pytester.runpytest("-q", "--facechallenge-facts", "report.json", "--track", "A", "-k", "embedding-dim")
    result.stdout.fnmatch_lines(["INCOMPLETE  model.onnx  *"])
    result = pytester.runpytest("-v", "--facechallenge-facts", "report.json", "--track", "A", "-k", "embedding-dim")
    assert "not decided: deselected. Run it: without -k" in " ".join(result.stdout.str().split())


def test_skipped_rules_are_named_in_pytests_own_summary(pytester: pytest.Pytester, facts: Path) -> None:
    result = pytester.runpytest("-rs", "--facechallenge-facts", "report.json", "--track", "A", "-k", "training-set")
    result.stdout.fnmatch_lines(["SKIPPED [[]1] report.json: A-training-set: undecided: There is no declaration."])


def test_a_finding_names_the_submission_of_a_report(pytester: pytest.Pytester, facts: Path) -> None:
    book = (Path(__file__).parents[2] / "rules" / "mfr21.toml").read_text(encoding="utf-8")
    book = book.replace("limit = { A = 512, B = 1024 }", "limit = { A = 63, B = 63 }")
    (pytester.path / "my.toml").write_text(book.replace('id = "mfr21"', 'id = "narrow"'), encoding="utf-8")
    arguments = ("--facechallenge-rules=my.toml", "--track=narrow/A", "-k=embedding-dim")
    result = pytester.runpytest("--facechallenge-facts=report.json", *arguments)
    result.stdout.fnmatch_lines(["model.onnx: embedding-dim is broken (narrow/A, Rules 1)"])


def test_deselection_is_told_of_the_right_submission(pytester: pytest.Pytester) -> None:
    names = ("ann", "bob")
    models = [f"--facechallenge-model={save(network(), pytester.path / name / 'model.onnx')}" for name in names]
    pytester.makeini("[pytest]")
    only = "ann/model.onnx::test_rule[A-input]"
    pytester.runpytest("-q", *models, "--track=A", "-k=input", f"--deselect={only}", "--facechallenge-json=r.json")
    both = read(pytester.path / "r.json")["submissions"]
    found = {Path(each["path"]).parent.name: outcomes({"submissions": [each]})["input"] for each in both}
    assert (found["ann"]["status"], found["ann"]["message"]) == ("undecided", "deselected")
    assert found["bob"]["status"] == "passed"


def test_crashing_check_is_named(pytester: pytest.Pytester, facts: Path) -> None:
    pytester.makeconftest(
        """
        from pytest_facechallenge.checks.registry import CHECKS
        import msgspec
        def pytest_collection_finish():
            def broken(facts, rule): raise RuntimeError("the check itself is broken")
            CHECKS["embedding_dim"] = msgspec.structs.replace(CHECKS["embedding_dim"], function=broken)
        """
    )
    result = pytester.runpytest_subprocess(
        "-v", "--facechallenge-facts", "report.json", "--track", "A", "-k", "embedding-dim", "--facechallenge-strict"
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    text = " ".join(result.stdout.str().split())
    assert "embedding-dim not decided: This rule's check conftest.embedding_dim failed on these facts" in text
    assert "RuntimeError: the check itself is broken, raised at " in text
    assert "Mend the check" in text


def test_interrupted_run_still_writes_its_report(pytester: pytest.Pytester, facts: Path) -> None:
    pytester.makeconftest("def pytest_runtest_setup(item):\n    if 'output' in item.name: raise KeyboardInterrupt")
    result = pytester.runpytest_subprocess(
        "-q", "--facechallenge-facts", "report.json", "--track", "A", "--facechallenge-json", "r.json"
    )
    assert result.ret == pytest.ExitCode.INTERRUPTED
    rows = outcomes(read(pytester.path / "r.json"))
    assert rows["input"]["status"] == "passed"
    assert rows["output"]["message"] == "did not run"


def test_without_a_terminal_the_report_is_written_all_the_same(pytester: pytest.Pytester, model: Path) -> None:
    old = os.umask(0o027)
    try:
        result = pytester.runpytest_subprocess(
            "-p",
            "no:terminal",
            "--facechallenge-model=model.onnx",
            "--track=A",
            "-k=input",
            "--facechallenge-json=r.json",
        )
    finally:
        os.umask(old)
    assert result.ret == pytest.ExitCode.OK
    assert outcomes(read(pytester.path / "r.json"))["input"]["status"] == "passed"
    if os.name == "posix":
        assert (pytester.path / "r.json").stat().st_mode & 0o777 == 0o640


def test_a_terminated_run_still_writes_its_report(pytester: pytest.Pytester, facts: Path) -> None:
    """What a CI server sends when a job is cancelled."""
    pytester.makeconftest(
        "import os, signal\n"
        "def pytest_runtest_setup(item):\n    if 'output' in item.name: os.kill(os.getpid(), signal.SIGTERM)"
    )
    result = pytester.runpytest_subprocess(
        "-q", "--facechallenge-facts", "report.json", "--track", "A", "--facechallenge-json", "r.json"
    )
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert outcomes(read(pytester.path / "r.json"))["input"]["status"] == "passed"


def test_several_submissions_in_one_report(pytester: pytest.Pytester) -> None:
    save(network(), pytester.path / "a.onnx")
    (pytester.path / "b.onnx").write_bytes(b"no model at all")
    result = pytester.runpytest(
        "-q", "--facechallenge-model", "*.onnx", "--track", "A", "-k", "onnx-valid", "--facechallenge-json", "r.json"
    )
    assert_ran(result, passed=1, failed=1)
    verdicts = [each["tracks"][0]["verdict"]["word"] for each in read(pytester.path / "r.json")["submissions"]]
    assert verdicts == ["INCOMPLETE", "NON-COMPLIANT"]


def test_temporary_folder_is_removed(pytester: pytest.Pytester, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = pytester.mkdir("scratch")
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr("tempfile.tempdir", None)
    pytester.runpytest("-q", "--facechallenge-model", "model.onnx", "--track", "A", "-k", QUICK)
    assert [path for path in scratch.iterdir() if path.name.startswith("facechallenge-")] == []
