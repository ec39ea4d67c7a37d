"""Workflow commands and Markdown, from reports built in code."""

from __future__ import annotations

import msgspec

from pytest_facechallenge.core.outcome import Evidence, Status
from pytest_facechallenge.reports import github, markdown
from tests.support.reports import report, result, submission, track


def test_commands_are_escaped_as_github_wants() -> None:
    line = github.command("error", "a,b:c%.onnx", "t:1,2", "100 % of it\nsecond line, with: signs")
    assert line == "::error file=a%2Cb%3Ac%25.onnx,title=t%3A1%2C2::100 %25 of it%0Asecond line, with: signs"
    assert "\n" not in github.command("error", "a\nb", "t\r\n::error::x", "m\r\x1b")


def test_files_are_relative_to_the_repository_and_the_declaration_is_named() -> None:
    seen = (Evidence(where="declaration.toml", what="training.dataset = Glint360K"),)
    entry = submission(
        "model.onnx",
        track(result("batch", Status.FAILED), result("training-set", Status.FAILED, evidence=seen)),
        path="/repo/entry/model.onnx",
    )
    entry = msgspec.structs.replace(entry, facts={"declaration": {"path": "/repo/entry/declaration.toml"}})
    lines = github.render(report(entry), root="/repo").splitlines()
    assert [line.split(",")[0] for line in lines] == [
        "::error file=entry/model.onnx",
        "::error file=entry/declaration.toml",
    ]


def test_an_open_verdict_is_a_warning_and_under_strict_an_error() -> None:
    shown = report(submission("model.onnx", track(result("latency", Status.UNDECIDED))))
    assert github.render(shown).startswith("::warning ")
    assert github.render(shown, strict=True).startswith("::error ")
    assert github.render(report(submission("model.onnx", track(result("latency"))))) == ""


def test_annotations_are_for_github_actions_alone() -> None:
    assert github.wanted(False, {"GITHUB_ACTIONS": "true"})
    assert not github.wanted(True, {"GITHUB_ACTIONS": "true"})
    assert not github.wanted(False, {"CI": "true"})


def test_markdown_shows_a_strangers_text_as_it_is() -> None:
    text = markdown.escaped("<img src=x> [link](http://a.example) | @someone #12 *bold* `code`\n\n# head")
    assert "\\<img src=x\\> \\[link\\](http\u200b://a.example) \\| @\u200bsomeone " in text
    assert " #\u200b12 \\*bold\\* \\`code\\`" in text
    assert "\n" not in text


def test_markdown_has_cause_limit_fix_and_every_rule() -> None:
    rule = result("embedding-dim", Status.FAILED, measured="640 values", limit="<= 512", remedy="Set it to 512.")
    text = markdown.render(report(submission("model.onnx", track(rule, result("batch"))))).decode()
    assert "| model.onnx | mfr21/A | embedding-dim 640 \\> 512 |" in text
    assert "- measured: 640 values, limit \\<= 512\n" in text
    assert "- fix: Set it to 512.\n" in text
    assert "| batch | Rules 1 | passed |" in text


def test_markdown_that_would_be_too_long_leaves_sections_out() -> None:
    rules = [result(f"rule-{number}", message="word " * 400, status=Status.FAILED) for number in range(40)]
    entries = [submission(f"team{number}/model.onnx", track(*rules)) for number in range(30)]
    data = markdown.render(report(*entries))
    assert len(data) < 1_000_000
    assert b"more sections are left out" in data
