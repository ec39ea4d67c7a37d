"""The code blocks of docs/ that are marked to be run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.models import network, save

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"<!-- run -->\n```python\n(.*?)```", re.DOTALL)
BLOCKS = {
    f"{path.stem}-{number}": code
    for path in sorted((ROOT / "docs").glob("*.md"))
    for number, code in enumerate(BLOCK.findall(path.read_text(encoding="utf-8")))
}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_code_block_runs(name: str, tmp_path: Path) -> None:
    save(network(), tmp_path / "model.onnx")
    done = subprocess.run(
        [sys.executable, "-c", BLOCKS[name]], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_api_is_shown() -> None:
    assert sum(name.startswith("python-api") for name in BLOCKS) >= 4
