"""Practice and entries: what a declaration's purpose does, and the template that people fill in."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import pytest_facechallenge
from pytest_facechallenge.core.declaration import Declaration, read_declaration
from pytest_facechallenge.core.outcome import Status
from tests.checks.test_declaration import COMPLETE, RULES, judged
from tests.plugin.conftest import assert_ran
from tests.support.models import network, save

ENTRY_RULES = ("submissions-per-day", "organization", "submission-window")
PRACTICE = """
schema = "facechallenge-declaration/2"
purpose = "practice"
[training]
dataset = "MS1M-V3"
external_data = false
pretrained_models = false
[mask_augmentation]
used = false
[solution]
description = "paper.pdf"
code = "https://example.org/code"
"""


@pytest.mark.parametrize("rule_id", RULES)
def test_rules_about_entries_do_not_apply_to_practice(tmp_path: Path, rule_id: str) -> None:
    outcome = judged(tmp_path, rule_id, PRACTICE)
    assert outcome.status is (Status.NOT_APPLICABLE if rule_id in ENTRY_RULES else Status.PASSED)


@pytest.mark.parametrize("rule_id", ENTRY_RULES)
def test_an_entry_states_them(tmp_path: Path, rule_id: str) -> None:
    assert judged(tmp_path, rule_id, PRACTICE.replace("practice", "entry")).status is Status.UNDECIDED


def test_an_entry_of_today_is_late_and_the_remedy_names_practice(tmp_path: Path) -> None:
    text = COMPLETE.replace("2021-09-30T12:00:00-07:00", "2026-11-29T12:00:00-07:00")
    outcome = judged(tmp_path, "submission-window", text)
    assert outcome.status is Status.FAILED
    assert 'purpose = "practice"' in outcome.remedy


def test_a_declaration_of_the_former_schema_is_an_entry() -> None:
    text = PRACTICE.replace('"facechallenge-declaration/2"\npurpose = "practice"', '"facechallenge-declaration/1"')
    assert read_declaration(tomllib.loads(text)).purpose == "entry"
    with pytest.raises(ValueError, match='the key purpose belongs to schema = "facechallenge-declaration/2"'):
        read_declaration(tomllib.loads(PRACTICE.replace("declaration/2", "declaration/1")))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('purpose = "practice"', ""), 'the key purpose is missing: "entry" or "practice" is expected; known keys:'),
        (('"practice"', '"fun"'), 'purpose must be "entry" or "practice", found \'fun\''),
        (('schema = "facechallenge-declaration/2"', ""), 'first line must be schema = "facechallenge-declaration/2"'),
        (("declaration/2", "declaration/9"), 'schema = "facechallenge-declaration/2" is expected, found'),
        (("dataset", "datasets"), "no key training.datasets; known keys of [training]: dataset, external_data"),
        (("external_data = false", "external_data = 'no'"), "training.external_data must be true or false, found 'no'"),
        (("[training]", "training = 3\n[solutions]"), "training must be a table, found 3"),
        (("[training]", "[trainings]"), "no key trainings; known keys: schema, purpose, training"),
        (("[training]", "[submission]\ntime = 'soon'\n[training]"), "submission.time must be a date and time such as"),
        (("[training]", "[submission]\ntime = 2026-01-01\n[training]"), "found 2026-01-01"),
        (
            ("[training]", "[submission]\nnumber_that_day = 0\n[training]"),
            "submission.number_that_day must be a whole number of at least 1, found 0",
        ),
    ],
)
def test_what_is_wrong_names_key_expected_found_and_known(change: tuple[str, str], said: str) -> None:
    assert change[0] in PRACTICE
    with pytest.raises(ValueError, match=re.escape(said)):
        read_declaration(tomllib.loads(PRACTICE.replace(*change, 1)))


def test_the_template_has_every_key_and_is_right_when_filled_in() -> None:
    text = pytest_facechallenge.declaration_template()
    assert read_declaration(tomllib.loads(text)).statements() == {"purpose": "practice"}
    filled = read_declaration(tomllib.loads(re.sub(r"^#(?=\w+ = )", "", text, flags=re.MULTILINE)))
    sections = [name for name in Declaration.__struct_fields__ if name not in ("schema", "purpose")]
    keys = {f"{name}.{key}" for name in sections for key in getattr(filled, name).__struct_fields__}
    assert set(filled.statements()) == {"purpose", *keys}


def test_the_template_is_written_and_nothing_overwritten(pytester: pytest.Pytester) -> None:
    first = pytester.runpytest("--facechallenge-write-declaration", "declaration.toml")
    assert first.ret == 0
    first.stdout.fnmatch_lines(["*declaration.toml was written*"])
    text = (pytester.path / "declaration.toml").read_text(encoding="utf-8")
    assert text == pytest_facechallenge.declaration_template()
    (pytester.path / "declaration.toml").write_text("mine")
    again = pytester.runpytest("--facechallenge-write-declaration", "declaration.toml")
    assert again.ret == pytest.ExitCode.USAGE_ERROR
    again.stderr.fnmatch_lines(["*declaration.toml is there already and is not overwritten*"])
    assert (pytester.path / "declaration.toml").read_text() == "mine"
    nowhere = pytester.runpytest("--facechallenge-write-declaration", "no/declaration.toml")
    assert nowhere.ret == pytest.ExitCode.USAGE_ERROR


def test_the_verdict_says_for_practice(pytester: pytest.Pytester) -> None:
    save(network(), pytester.path / "model.onnx")
    (pytester.path / "declaration.toml").write_text(PRACTICE)
    base = ("-q", "--facechallenge-model=model.onnx", "--track=A", "-k", "organization or submission")
    result = pytester.runpytest(*base)
    assert_ran(result)
    result.stdout.fnmatch_lines(["INCOMPLETE (for practice)  model.onnx  mfr21/A*"])
    (pytester.path / "declaration.toml").write_text(COMPLETE)
    pytester.runpytest(*base).stdout.no_fnmatch_line("*for practice*")


def test_an_audit_judges_entries_whatever_declarations_say(pytester: pytest.Pytester) -> None:
    save(network(), pytester.path / "model.onnx")
    (pytester.path / "declaration.toml").write_text(PRACTICE)
    base = ("-q", "--facechallenge-model=model.onnx", "--track=A", "-k", "organization or submission")
    audit = pytester.runpytest(*base, "-vv", "--facechallenge-purpose=entry")
    audit.stdout.no_fnmatch_line("*for practice*")
    audit.stdout.fnmatch_lines(["organization*undecided*not stated*"])
    (pytester.path / "declaration.toml").unlink()
    trial = pytester.runpytest(*base, "--facechallenge-purpose=practice")
    trial.stdout.fnmatch_lines(["INCOMPLETE (for practice)*"])
    wrong = pytester.runpytest(*base, "--facechallenge-purpose=fun")
    assert wrong.ret == pytest.ExitCode.USAGE_ERROR
    wrong.stderr.fnmatch_lines(["*must be practice or entry, found 'fun'*"])


def test_compliant_for_practice_on_a_cpu(pytester: pytest.Pytester) -> None:
    """The demo's own rules, without the testset that its accuracy needs: every one can be decided here."""
    demo = Path(__file__).parents[2] / "examples" / "demo"
    book = (demo / "rulebook.toml").read_text(encoding="utf-8")
    thresholds = book[book.index("[tracks.drawings.accuracy]") : book.index("# The runtime of MFR21")]
    (pytester.path / "rulebook.toml").write_text(book.replace(thresholds, ""), encoding="utf-8")
    save(network(), pytester.path / "model.onnx")
    (pytester.path / "declaration.toml").write_bytes((demo / "declaration.toml").read_bytes())
    base = ("-q", "--facechallenge-model=model.onnx", "--facechallenge-rules=rulebook.toml", "--facechallenge-strict")
    result = pytester.runpytest(*base, "--track=drawings", "--facechallenge-device=cpu")
    result.stdout.fnmatch_lines(["COMPLIANT (for practice)  model.onnx  demo/drawings*"])
    assert result.ret == 0
