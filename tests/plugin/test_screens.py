"""What a run shows on a terminal: the screens of docs/, their sizes, and what gives way to them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from docs.make_screens import FACTS, FOLDER, REPLAY, SCENES, Scene, made, screen, write_facts
from pytest_facechallenge.engine.report import Report

SCENE = {scene.name: scene for scene in SCENES}
#: Lines of a scene's text that are not pytest's: the command, and how it ended.
AROUND = 3


@pytest.fixture(scope="session")
def base(report: bytes) -> Report:
    """The report that the scenes are made from."""
    return Report.from_json(report)


def shown(name: str, base: Report, folder: Path, *more: str, columns: int = 80) -> list[str]:
    return screen(SCENE[name], base, folder, columns=columns, more=more).splitlines()[1:-2]


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_the_screens_in_the_docs_are_what_a_run_shows(scene: Scene, base: Report) -> None:
    stored = (FOLDER / f"{scene.name}.txt").read_text(encoding="utf-8")
    assert made(scene, base) == stored, "run python -m docs.make_screens"


@pytest.mark.parametrize(
    ("name", "most"), [("good", 15), ("incomplete", 15), ("killed-worker", 20), ("two-broken-rules", 40)]
)
def test_a_run_fits_on_the_screen(name: str, most: int, base: Report) -> None:
    """The stored screen is what a run shows, as the test above finds; that of an incomplete run is of a strict one."""
    stored = (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines()[1:-2]
    with tempfile.TemporaryDirectory() as folder:  # the header takes more lines where the name of the folder is long
        lines = stored if name != "incomplete" else plain(Path(folder), base)
    assert len(lines) <= most
    assert max(map(len, lines)) <= 80


def plain(folder: Path, base: Report) -> list[str]:
    """Return what an incomplete run shows without strict."""
    scene = Scene("incomplete", REPLAY, SCENE["incomplete"].submissions)
    return screen(scene, base, folder).splitlines()[1:-2]


@pytest.mark.parametrize("columns", [60, pytest.param(72, marks=pytest.mark.slow), 100, 200])
def test_no_line_is_wider_than_the_terminal(columns: int, base: Report, tmp_path: Path) -> None:
    lines = shown("two-broken-rules", base, tmp_path, columns=columns)
    assert max(map(len, lines)) <= columns


def test_failed_lines_begin_with_what_was_found(base: Report, tmp_path: Path) -> None:
    lines = shown("two-broken-rules", base, tmp_path, "-ra")
    assert "FAILED 640 > 512 - report.json::test_rule[A-embedding-dim]" in lines
    assert "SKIPPED [1] report.json: A-flops-budget: not-applicable: one image (input…" in lines
    assert max(map(len, lines)) <= 80
    assert "FAILURES" not in "".join(lines)


def test_quiet_and_quieter(base: Report, tmp_path: Path) -> None:
    quiet = shown("two-broken-rules", base, tmp_path, "-q")
    assert [line.split()[0] for line in quiet[1:]] == ["2", "NON-COMPLIANT"]
    quieter = shown("two-broken-rules", base, tmp_path, "-qq")
    assert "COMPLIANT" not in "".join(quieter)


@pytest.mark.slow
def test_under_xdist_it_is_the_same(base: Report, tmp_path: Path) -> None:
    alone = shown("two-broken-rules", base, tmp_path)
    spread = shown("two-broken-rules", base, tmp_path, "-n1")
    begin = alone.index(next(line for line in alone if "findings" in line))
    end = len(alone) - 2  # the line with the time of the run comes next
    assert spread[-(len(alone) - begin) :][: end - begin] == alone[begin:end]
    assert "[gw" not in "".join(spread)


def test_a_check_that_raises_leaves_its_rule_open(base: Report, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "from pytest_facechallenge.checks.registry import CHECKS\nimport msgspec\n"
        "def broken(facts, rule): raise RuntimeError('the check itself is broken')\n"
        "def pytest_collection_finish():\n"
        "    CHECKS['embedding_dim'] = msgspec.structs.replace(CHECKS['embedding_dim'], function=broken)\n",
        encoding="utf-8",
    )
    lines = shown("good", base, tmp_path)
    assert lines[-1] == "INCOMPLETE  model.onnx  mfr21/A  1 rule open: embedding-dim"


def run(folder: Path, *arguments: str, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "PY_COLORS")}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *REPLAY, "-k=embedding-dim", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=kept | {"COLUMNS": "80"} | environment, capture_output=True, check=False
    )
    return done.stdout.decode("utf-8" if "PYTHONIOENCODING" not in environment else "ascii")


def test_colours_pipes_and_consoles(base: Report, tmp_path: Path) -> None:
    write_facts(SCENE["two-broken-rules"], base, tmp_path / FACTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    assert "\x1b" not in run(tmp_path)
    coloured = run(tmp_path, FORCE_COLOR="1")
    assert "\x1b[1;31mNON-COMPLIANT\x1b[0m" in coloured
    # Colours may be wanted in a pipe; movements of the cursor never are.
    assert set(re.findall(r"\x1b\[?[\d;]*(.)", coloured)) == {"m"}
    assert "\x1b" not in run(tmp_path, FORCE_COLOR="1", NO_COLOR="1")
    assert "NON-COMPLIANT" in run(tmp_path, "-v", PYTHONIOENCODING="ascii", PYTHONUTF8="0")


def test_times_are_shown_only_when_asked_for(base: Report, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "def pytest_terminal_summary(terminalreporter, config):\n"
        "    terminalreporter.write_line(f'quiet: {config._benchmarksession.quiet}')\n",
        encoding="utf-8",
    )
    for more, quiet in (((), True), (("-v",), False), (("--benchmark-only",), False)):
        lines = shown("good", base, tmp_path, "-k=latency", *more)
        assert f"quiet: {quiet}" in lines
        assert any(line.startswith("benchmark: ") for line in lines) is not quiet
