"""The screen: findings of at most 12 lines, the verdict last, in any width, colour and encoding."""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from pytest_facechallenge.core.outcome import Evidence, Status
from pytest_facechallenge.engine.report import Report, RuleResult
from pytest_facechallenge.reports.terminal import render, render_details, render_verdicts
from pytest_facechallenge.reports.view import View
from tests.support.reports import report, result, submission, track

LONG = "It was found at https://example.org/a_path/that/is/long and has 1,073,741,824 values where 512 may be. " * 4


def broken(rule: str, **changes: str) -> RuleResult:
    seen = tuple(Evidence(where=f"node 'stage{n}/unit{n}/Conv_{n}'", what="640 values per image") for n in range(20))
    texts = {"measured": "640 values", "limit": "<= 512"} | changes
    return result(rule, Status.FAILED, evidence=seen, **texts)  # type: ignore[arg-type]


def one(*rules: RuleResult, name: str = "model.onnx") -> Report:
    return report(submission(name, track(*rules)))


def many(number: int) -> Report:
    rows = [result("flops-budget", measured="3,000,368 FLOPs"), result("latency", measured="measured: 7.9 ms")]
    entries = []
    for index in range(number):
        rules = [*rows, broken("embedding-dim")] if index == 0 else [*rows, result("accuracy[mask]", measured="61.0 %")]
        entries.append(submission(f"team{index:02}/model.onnx", track(*rules)))
    return report(*entries)


def test_the_verdict_is_the_last_line_with_what_decides_it() -> None:
    text = render(one(broken("embedding-dim"), result("no-float16", Status.FAILED, measured="3 tensors")), View(100))
    assert text.splitlines()[-1] == (
        "NON-COMPLIANT  model.onnx  mfr21/A  embedding-dim 640 > 512, no-float16 3 tensors"
    )
    left = render(one(result("latency", Status.UNDECIDED), result("training-set", Status.UNDECIDED)), View())
    assert left.splitlines()[-1] == "INCOMPLETE  model.onnx  mfr21/A  2 rules open: latency, training-set"


def test_what_a_rule_that_only_measures_found_is_said_without_v() -> None:
    said = "0 of 8 images can be used: odd.bin is cut off."
    row = result("testset-images", Status.NOT_APPLICABLE, notes=(said,))
    found = msgspec.structs.replace(row, uncounted=Status.UNDECIDED)
    assert f"note  testset-images: {said}" in render(one(found), View())
    assert said not in render(one(row), View())


def test_what_does_not_fit_beside_a_verdict_is_counted() -> None:
    rules = [broken(f"a-rule-of-some-length-{number}") for number in range(9)]
    line = render_verdicts(one(*rules), View(60)).splitlines()[-1]
    assert line == "NON-COMPLIANT  model.onnx  mfr21/A  9 rules broken"
    wide = render_verdicts(one(*rules), View(100)).splitlines()[-1]
    assert wide.endswith("a-rule-of-some-length-0, a-rule-of-some-length-1 and 7 more")


@pytest.mark.parametrize("number", [1, 2, 5])
@pytest.mark.parametrize("width", [60, 80, 140])
def test_a_finding_has_at_most_twelve_lines(number: int, width: int) -> None:
    rules = [broken(f"rule-{n}", message=LONG, remedy=LONG, measured=LONG, limit=LONG) for n in range(number)]
    blocks = render_details(one(*rules), View(width)).split("\n\n")[:number]
    for block in blocks:
        lines = block.splitlines()
        assert len(lines) <= 12
        assert "is broken (mfr21/A, Rules 1)" in lines[0]
        assert [line.split()[0] for line in lines if re.match(r"  (where|measured|fix) ", line)] == [
            "where",
            "measured",
            "fix",
        ]


@pytest.mark.parametrize("width", range(60, 141, 5))
@pytest.mark.parametrize("verbosity", [-1, 0, 1])
def test_nothing_wraps_inside_a_word_or_a_number(width: int, verbosity: int) -> None:
    rules = [broken("embedding-dim", message=LONG, remedy=LONG), result("reproducible-solution", measured="train.py")]
    rules += [result("model-size", measured="0.2 MB (218,580 bytes)", limit="<= 1024 MB (1,073,741,824 bytes)")]
    for shown in (one(*rules), many(30)):
        text = render(shown, View(width, verbosity=verbosity))
        assert max(map(cell_len, text.splitlines())) <= width
        words = {word.rstrip("….,:)") for word in text.replace("(", " ").split()}
        assert not {word for word in words if re.fullmatch(r"1,073,741,?|1,073,?|reproducible-?|embedding-", word)}


#: Words that betray a piece of themselves: a letter that begins them and one that ends them stand nowhere else.
WORDS = st.from_regex(r"q[a-p]{1,16}z", fullmatch=True)
NUMBERS = st.integers(1_000, 10**12).map("{:,}".format) | st.floats(0.01, 99, allow_nan=False).map("{:.6f}".format)
TEXTS = st.lists(WORDS | NUMBERS, min_size=1, max_size=30).map(" ".join)


@given(TEXTS, TEXTS, TEXTS, st.integers(60, 200), st.sampled_from([-1, 0, 1]))
@settings(max_examples=60, deadline=None)
def test_no_text_is_broken_inside_a_word_or_a_number(
    message: str, remedy: str, measured: str, width: int, verbosity: int
) -> None:
    rules = [broken("embedding-dim", message=message, remedy=remedy, measured=measured, limit=measured)]
    rules += [result("latency", Status.UNDECIDED, message=message, remedy=remedy)]
    text = render(one(*rules), View(width, verbosity=verbosity))
    assert max(map(cell_len, text.splitlines())) <= min(width, 140)
    whole = {*message.split(), *remedy.split(), *measured.split()}
    for token in re.findall(r"[\w,.]+", text):
        piece = token.strip(".,")
        if "q" in piece[:1] or "z" in piece[-1:]:
            assert piece in whole, token
    assert set(re.findall(r"\d[\d,.]{3,}\d", text)) <= whole


def test_quiet_is_the_verdicts_alone_and_quieter_is_nothing() -> None:
    shown = one(broken("embedding-dim"), result("batch"))
    assert render(shown, View(verbosity=-1)) == "NON-COMPLIANT  model.onnx  mfr21/A  embedding-dim 640 > 512\n"
    assert render(shown, View(verbosity=-2)) == ""
    assert len(render(many(30), View(verbosity=-1)).splitlines()) == 30


def test_passed_rules_are_counted_and_listed_with_v() -> None:
    shown = one(result("batch", measured="ran 1, 2", notes=("a note",)), result("accuracy", Status.NOT_APPLICABLE))
    assert render_details(shown, View()) == "1 passed, 1 not applicable (-v shows every rule)\n"
    text = render_details(shown, View(verbosity=1))
    assert re.search(r"^batch +Rules 1 +passed +ran 1, 2$", text, re.MULTILINE)
    assert "  - batch, note: a note" in text
    assert "  - accuracy, not applicable: What was found." in text


def test_many_submissions_are_one_table_and_counts() -> None:
    lines = render(many(30), View()).splitlines()
    assert lines[0].split() == ["verdict", "submission", "broken", "size", "FLOPs", "time", "score"]
    assert lines[2].split() == ["NON-COMPLIANT", "team00/model.onnx", "1", "1.5", "MB", "3", "M", "7.9", "ms"]
    assert lines[3].split()[-2:] == ["61.0", "%"]
    assert len(lines) == 2 + 30 + 2
    assert lines[-1] == "30 verdicts: 29 COMPLIANT, 1 NON-COMPLIANT"
    assert "what decides it" in render(many(30), View(120))
    assert "embedding-dim is broken" in render(many(4), View(verbosity=1))


def test_strict_says_why_the_exit_code_is_1() -> None:
    shown = one(result("latency", Status.UNDECIDED))
    assert render(shown, View(strict=True)).splitlines()[-1] == (
        "exit code 1: --facechallenge-strict asks for COMPLIANT, 1 rule open"
    )
    assert "exit code" not in render(one(result("latency")), View(strict=True))


def test_colours_only_where_they_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = one(broken("embedding-dim"))
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[1;31mNON-COMPLIANT" in render(shown, View(colour=True))
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" not in render(shown, View())


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8"])
@pytest.mark.parametrize("verbosity", [0, 1])
def test_every_console_can_show_it(encoding: str, verbosity: int) -> None:
    rule = broken("embedding-dim", message="“640” … 队伍 × " * 20)
    for shown in (one(rule, name="队伍/模型.onnx"), many(5)):
        text = render(shown, View(encoding=encoding, verbosity=verbosity))
        text.encode(encoding)
        assert "?" not in text
        assert max(map(cell_len, text.splitlines())) <= 80


def test_a_strangers_text_cannot_steer_the_terminal() -> None:
    hostile = "\x1b[2J\x07\u202enx\r\nCOMPLIANT"
    shown = one(broken("embedding-dim", message=hostile, remedy=hostile), name=f"{hostile}.onnx")
    text = render(shown, View(verbosity=1)) + render(shown, View())
    assert not set(text) & set("\x1b\x07\u202e\r")
    assert not [line for line in text.splitlines() if line.startswith("COMPLIANT")]
