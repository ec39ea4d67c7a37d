"""The tutorial: its network is exported and judged in every run, the whole page is run with the slow tests."""

from __future__ import annotations

import runpy
import warnings
from pathlib import Path

import pytest

from docs.make_tutorial import PAGE, STEP, made, steady
from pytest_facechallenge import judge


def files() -> dict[str, str]:
    """Return what the page has written, by name."""
    text = PAGE.read_text(encoding="utf-8")
    return {found["file"]: found["text"] for found in STEP.finditer(text) if found["file"]}


def test_the_network_is_compliant_but_for_the_time_that_nobody_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    written = files()
    assert list(written) == ["network.py", "declaration.toml"]
    for name, text in written.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        # torch calls the exporter that the server needs a legacy.
        warnings.simplefilter("ignore", DeprecationWarning)
        runpy.run_path("network.py")
    (submission,) = judge("model.onnx", "mfr21/A", latency="modelled", device="cpu").submissions
    (track,) = submission.tracks
    assert track.verdict.broken == ()
    assert [each.rule for each in track.verdict.open] == ["latency"]
    assert track.purpose == "practice"


def test_the_page_shows_what_it_promises() -> None:
    text = PAGE.read_text(encoding="utf-8")
    outputs = [found["output"] for found in STEP.finditer(text) if found["output"]]
    assert "INCOMPLETE  model.onnx" in outputs[0]
    assert "COMPLIANT (for practice)  model.onnx" in outputs[-2]
    assert "COMPLIANT (for practice)  submission.zip" in outputs[-1]
    assert all(steady(each) == each for each in outputs)


@pytest.mark.slow
def test_the_page_shows_what_its_commands_print(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    folder = tmp_path / "entry"
    folder.mkdir()
    text = PAGE.read_text(encoding="utf-8")
    assert made(text, folder, FACECHALLENGE_STORE=str(tmp_path / "store")) == text, "python -m docs.make_tutorial"
