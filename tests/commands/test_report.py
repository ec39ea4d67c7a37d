"""``facechallenge report``: recorded verdicts as a page, as Markdown and on the console; several as one."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from docs.make_screens import changed, declared, wide
from pytest_facechallenge.cli import main
from pytest_facechallenge.engine.combine import combined
from pytest_facechallenge.engine.report import Report, ReportError
from pytest_facechallenge.reports.formats import FORMATS
from tests.support.reports import report as judged
from tests.support.reports import submission, track


@pytest.fixture
def base(report: bytes) -> Report:
    return Report.from_json(report)


@pytest.fixture
def files(base: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two rounds: one submission each, of one file name."""
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for number, change in ((1, declared), (2, wide)):
        entry = changed(base.submissions[0], change, name=f"round{number}/model.onnx")
        msgspec.structs.replace(base, submissions=(entry,)).save(tmp_path / f"{number}.json")
    return ["1.json", "2.json"]


def test_every_format_is_written_and_the_console_shows_the_verdict(
    files: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    wanted = [f"--{each.option.name}=out.{each.option.name}" for each in FORMATS]
    assert main(["report", files[0], *wanted]) == 0
    out = capsys.readouterr().out
    assert re.match(r"(NON-)?COMPLIANT|INCOMPLETE", out.splitlines()[-1])
    assert all((tmp_path / f"out.{each.option.name}").stat().st_size > 500 for each in FORMATS)
    assert (tmp_path / "out.html").read_bytes().startswith(b"<!doctype html>")
    assert Report.load(tmp_path / "out.json") == Report.load(tmp_path / "1.json")


def test_it_decides_nothing(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", files[1], "-q"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_several_are_one_with_an_overview(files: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["report", *files, files[0], "--html", "all.html", "--json", "all.json"]) == 0
    out = capsys.readouterr().out
    assert "round1/model.onnx" in out
    assert "round2/model.onnx" in out
    page = (tmp_path / "all.html").read_text(encoding="utf-8")
    assert "2 submissions" in page
    assert "all.json" not in page
    again = Report.load(tmp_path / "all.json")
    assert [each.name for each in again.submissions] == ["round1/model.onnx", "round2/model.onnx"]
    assert main(["replay", "all.json"]) in (0, 1)


def test_images_are_never_shown_because_another_run_did(
    base: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = base.options | {"html-images": True}
    msgspec.structs.replace(base, options=options).save(tmp_path / "theirs.json")
    for more, wanted in (((), False), (("--html-images",), True)):
        assert main(["report", "theirs.json", "-qq", "--json=kept.json", *more]) == 0
        assert ("html-images" in Report.load(tmp_path / "kept.json").options) is wanted


def test_what_the_runs_do_not_share_is_said(base: Report) -> None:
    environment = msgspec.structs.replace(base.environment, platform="another", warnings=("two runtimes",))
    other = msgspec.structs.replace(base, environment=environment, options=base.options | {"timeout": 7})
    found = combined({"a.json": base, "b.json": other})
    assert "timeout" not in found.options
    assert found.environment.warnings[-3:] == (
        "two runtimes",
        "b.json was made in another environment than a.json, whose is shown: another platform",
        "the runs were asked for different things; what is shown is what they were all asked for",
    )


def test_rulebooks_that_do_not_say_the_same_are_no_table() -> None:
    one = judged(submission("model.onnx", track()))
    book = msgspec.structs.replace(one.rulebooks[0], digest="0" * 64, version="9")
    with pytest.raises(ReportError, match=r"a\.json and b\.json .*do not say the same \(versions .* and 9\)"):
        combined({"a.json": one, "b.json": msgspec.structs.replace(one, rulebooks=(book,))})


def test_a_changed_fact_is_refused(files: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = (tmp_path / "2.json").read_text(encoding="utf-8")
    (tmp_path / "2.json").write_text(text.replace("640", "512"), encoding="utf-8")
    assert main(["report", *files, "--html", "page.html"]) == 4
    assert "were changed after they were recorded" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


def test_a_file_that_cannot_be_written_is_told(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", files[0], "--html", "no/folder/page.html"]) == 4
    assert "no/folder/page.html cannot be written" in capsys.readouterr().err
