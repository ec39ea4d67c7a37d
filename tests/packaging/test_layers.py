"""The architecture's arrows, held: who may import whom, and what a run without the plugin's work must not pay for."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "pytest_facechallenge"
HEAVY = ("numpy", "onnx", "onnxruntime", "rich", "msgspec", "scipy", "PIL", "filelock", "psutil")
#: Only these know pytest: the plugin, the packaged tests, how they are collected, and the report's hooks.
KNOW_PYTEST = {"plugin.py", "suite.py", "collect.py", "session.py", "settings.py"}

#: The packages that observe; they know no outcome.
OBSERVING = (
    "graph", "weights", "preprocessing", "server", "runtime", "flops", "dataflow", "latency", "testset", "embedding",
    "features", "verification", "refnets",
)  # fmt: skip
#: A check is a pure function: no I/O, no runtime, no pytest.
BANNED_IN_CHECKS = (
    "pytest",
    "onnx",
    "onnxruntime",
    "numpy",
    "subprocess",
    "pytest_facechallenge.runtime",
    "pytest_facechallenge.onnx_graph",
    "pytest_facechallenge.reports",
    "pytest_facechallenge.engine.session",
)


def imports(path: Path, *, executed_only: bool = False) -> set[str]:
    """Return the modules that a file imports (outside ``if TYPE_CHECKING`` when ``executed_only``)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: set[str] = set()
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if executed_only and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        pending.extend(ast.iter_child_nodes(node))
    return found


def sources(folder: str = "") -> list[Path]:
    return sorted(path for path in (PACKAGE / folder).rglob("*.py"))


def uses(path: Path, *modules: str) -> set[str]:
    return {
        name
        for name in imports(path, executed_only=True)
        if any(name == m or name.startswith(f"{m}.") for m in modules)
    }


def test_only_a_few_files_know_pytest() -> None:
    for path in sources():
        known = path.name in KNOW_PYTEST and path.parent == PACKAGE
        if not known and path.parent.name != "report":
            assert not uses(path, "pytest"), path


def test_checks_are_pure() -> None:
    for path in sources("checks"):
        bad = uses(path, *BANNED_IN_CHECKS)
        assert not bad, (path, bad)


def test_facts_are_plain_data() -> None:
    for path in sources("facts"):
        assert not uses(
            path, "numpy", "onnx", "onnxruntime", "pytest_facechallenge.checks", "pytest_facechallenge.core.outcome"
        ), path


def test_observing_does_not_judge() -> None:
    for folder in OBSERVING:
        for path in sources(folder):
            assert not uses(
                path,
                "pytest_facechallenge.checks",
                "pytest_facechallenge.core.outcome",
                "pytest_facechallenge.engine.judge",
            ), path


def test_plugin_imports_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text("def test_other(): pass")
    code = (
        "import sys, pytest; code = pytest.main(['-q', '-p', 'no:cacheprovider', '-p', 'no:hypothesispytest']);"
        f"print('LOADED', [m for m in {HEAVY!r} if m in sys.modules]);"
        "print('OURS', sorted(m for m in sys.modules if m.startswith('pytest_facechallenge')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "LOADED []" in done.stdout, done.stdout + done.stderr
    assert (
        "OURS ['pytest_facechallenge', 'pytest_facechallenge.plugin.hooks', 'pytest_facechallenge.plugin.options']"
        in done.stdout
    )


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_says_what_it_is_for(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree) or not path.read_text(encoding="utf-8").strip()
