"""The layers of ARCHITECTURE.md, and what a run pays that judges nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: None of these may be loaded by a run of pytest that judges nothing.
HEAVY = ("numpy", "onnx", "onnxruntime", "rich", "msgspec", "filelock", "psutil", "scipy", "PIL", "jinja2")


def test_arrows_point_one_way() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_run_that_judges_nothing_loads_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text("def test_other(): pass")
    code = (
        "import sys, pytest; pytest.main(['-q', '-p', 'no:cacheprovider', '-p', 'no:hypothesispytest']);"
        f"print('LOADED', [m for m in {HEAVY!r} if m in sys.modules]);"
        "print('OURS', 'pytest_facechallenge.plugin.hooks' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "LOADED []" in done.stdout, done.stdout + done.stderr
    assert "OURS True" in done.stdout
