"""The report document: what is refused when it is read, and what writing leaves behind."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_facechallenge.core.facts.base import FailureKind, StepFailure
from pytest_facechallenge.core.facts.declaration import DeclarationFacts
from pytest_facechallenge.engine.report import (
    SCHEMA,
    Environment,
    Report,
    ReportError,
    SubmissionReport,
    Tool,
    digest_of,
    write_atomically,
)


def report(facts: dict[str, dict[str, Any]] | None = None, failures: dict[str, StepFailure] | None = None) -> Report:
    facts = facts if facts is not None else {"declaration": msgspec.to_builtins(FACTS)}
    return Report(
        schema=SCHEMA,
        tool=Tool(name="pytest-facechallenge", version="0"),
        date="2026-01-01T00:00:00+00:00",
        options={},
        rulebooks=(),
        environment=Environment(versions={}, platform="", machine="", processor="", cores=1),
        submissions=(
            SubmissionReport(
                path="/m.onnx",
                name="m.onnx",
                sha256="",
                bytes=0,
                facts=facts,
                failures=failures or {},
                digest=digest_of(facts, failures or {}),
                tracks=(),
            ),
        ),
    )


FACTS = DeclarationFacts(path="d.toml", looked_for=("d.toml",), statements={"training.dataset": "MS1M-V3"})


def test_facts_come_back_as_they_were() -> None:
    failures = {"load": StepFailure(step="load", kind=FailureKind.CRASHED, message="killed by SIGSEGV")}
    found = Report.from_json(report(failures=failures).to_json()).submissions[0].as_facts()
    assert found.get(DeclarationFacts) == FACTS
    assert found.failures == failures


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": "pytest-facechallenge/1"}, "written by version 0.1"),
        ({"schema": "other"}, "the schema 'pytest-facechallenge/2' is expected, found 'other'"),
        ({"tool": None}, "does not have the shape"),
        ({"extra": 1}, "unknown field"),
        ({"submissions": []}, "holds no submission"),
    ],
)
def test_another_document_is_refused(change: dict[str, Any], said: str) -> None:
    plain = msgspec.json.decode(report().to_json()) | change
    with pytest.raises(ReportError, match=said):
        Report.from_json(msgspec.json.encode(plain), "r.json")


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[1]", b"[" * 100_000, b'{"schema": "pytest-facechallenge/2"}'])
def test_what_is_no_report_is_refused(data: bytes) -> None:
    with pytest.raises(ReportError, match=r"r\.json"):
        Report.from_json(data, "r.json")


def test_an_unknown_step_is_an_error_and_not_dropped() -> None:
    with pytest.raises(ReportError, match="step 'horoscope', which this version does not know"):
        Report.from_json(report({"horoscope": {}}).to_json())
    with pytest.raises(ReportError, match="the facts of the step 'declaration'"):
        Report.from_json(report({"declaration": {"path": 1}}).to_json())


def test_the_digest_does_not_depend_on_layout_and_sees_every_change() -> None:
    plain = {"declaration": msgspec.to_builtins(FACTS)}
    turned = {"declaration": dict(reversed(plain["declaration"].items()))}
    assert digest_of(plain, {}) == digest_of(turned, {})
    failure = StepFailure(step="load", kind=FailureKind.TIMEOUT, message="too long")
    changed = {"declaration": plain["declaration"] | {"problem": "?"}}
    digests = {digest_of(plain, {}), digest_of(changed, {}), digest_of(plain, {"load": failure})}
    assert len(digests) == 3


def test_only_regular_files_are_replaced_and_nothing_partial_stays(tmp_path: Path) -> None:
    write_atomically(tmp_path / "r.json", b"1")
    write_atomically(tmp_path / "r.json", b"2")
    assert (tmp_path / "r.json").read_bytes() == b"2"
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "r.json")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "link", "folder"):
        with pytest.raises(ReportError, match="it is no regular file"):
            write_atomically(tmp_path / name, b"3")
    with pytest.raises(ReportError, match="cannot be written"):
        write_atomically(tmp_path / "nowhere" / "r.json", b"3")
    with pytest.raises(ReportError, match="no regular file of that name"):
        Report.load(tmp_path / "pipe")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "link", "pipe", "r.json"]
