"""The layers of ARCHITECTURE.md, and what a run pays that judges nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from pytest_facechallenge.analyses.table import ANALYSES, STEPS
from pytest_facechallenge.plugin import options

ROOT = Path(__file__).parents[2]
#: None of these may be loaded by a run of pytest that judges nothing.
HEAVY = ("numpy", "onnx", "onnxruntime", "rich", "msgspec", "filelock", "psutil", "scipy", "PIL", "jinja2")

OURS = ROOT / "pytest_facechallenge"
#: What handles every analysis alike.
GENERAL = ("api.py", "cli.py", "commands", "engine", "plugin", "reports", "sandbox")
#: Of the reports, what shows the facts of one subject: rows of `reports/page/panels.py`, and what those use.
VIEWS = frozenset(
    f"reports/page/{name}.py"
    for name in (
        "accuracy", "accuracy_panel", "baselines", "cost", "faces", "interface", "latency", "neighbourhood", "network",
    )
)  # fmt: skip
#: What is about one subject and no more: each with what it is for.
OF_ONE = {
    "commands/doctor.py": "says which calibrations of this machine are there",
    "commands/fingerprint.py": "a published network is fed as it was made to be",
    "engine/repair_report.py": "a repair is a command of its own",
    "reports/repaired.py": "how a repair is shown",
}
#: Of the facts and the analyses, what belongs to none of them.
OF_NONE = frozenset({"core.facts", "core.facts.base", "analyses", "analyses.context", "analyses.table"})


def imported(code: str) -> Iterator[str]:
    """Yield the modules of the package that a module imports, relative to the package; also inside of functions."""
    for node in ast.walk(ast.parse(code)):
        names = [alias.name for alias in node.names] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}", *(f"{node.module}.{name}" for name in names)]
        found = [name.removeprefix(f"{OURS.name}.") for name in names if name.startswith(f"{OURS.name}.")]
        yield from (name for name in found if (OURS / f"{name.replace('.', '/')}.py").is_file())


def test_what_handles_every_analysis_names_none() -> None:
    """An analysis is a folder and a row: engine, plugin, worker and reports go through tables."""
    assert len(ANALYSES) > 10
    assert {step.facts.partition(":")[0] for step in STEPS.values()}.isdisjoint(OF_NONE)
    paths = [path for name in GENERAL for path in ((OURS / name).rglob("*.py") if "." not in name else [OURS / name])]
    found = {
        (path.relative_to(OURS).as_posix(), name)
        for path in paths
        for name in imported(path.read_text(encoding="utf-8"))
        if name.startswith(("core.facts.", "analyses.")) and name not in OF_NONE
    }
    assert sorted(each for each in found if each[0] not in VIEWS | OF_ONE.keys()) == []
    assert {path for path, _ in found} == VIEWS | OF_ONE.keys(), "what names no analysis needs no exception"


def test_arrows_point_one_way() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


#: All that a run of pytest loads that does not use the package.
IDLE = ["pytest_facechallenge", *(f"pytest_facechallenge.plugin{name}" for name in ("", ".hooks", ".option_table"))]


def test_a_run_that_judges_nothing_loads_one_module_and_a_table(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text("def test_other(): pass")
    code = (
        "import sys, pytest; pytest.main(['-q', '-p', 'no:cacheprovider', '-p', 'no:hypothesispytest']);"
        f"print('LOADED', [m for m in {HEAVY!r} if m in sys.modules]);"
        "print('OURS', sorted(m for m in sys.modules if m.partition('.')[0] == 'pytest_facechallenge'))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "LOADED []" in done.stdout, done.stdout + done.stderr
    assert f"OURS {IDLE}" in done.stdout, done.stdout


def test_pytest_is_told_of_every_option() -> None:
    assert options.TABLE.read_text(encoding="utf-8") == options.table_text(), (
        "options changed: run python -m pytest_facechallenge.plugin.options"
    )
