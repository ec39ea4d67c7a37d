"""The examples run as their comments say."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_custom_rulebook_with_a_check_of_its_own(pytester: pytest.Pytester) -> None:
    for name in ("rulebook.toml", "conftest.py"):
        shutil.copy(EXAMPLES / "custom-rulebook" / name, pytester.path / name)
    base = (
        "-q",
        "--facechallenge-rules",
        "rulebook.toml",
        f"--facechallenge-model={EXAMPLES / 'demo' / 'model.onnx'}",
    )
    result = pytester.runpytest(*base, "--track", "door", "--track", "phone")
    result.assert_outcomes(passed=12)
    result.stdout.fnmatch_lines(["COMPLIANT  *campus/door  *", "COMPLIANT  *campus/phone  *"])
    text = (pytester.path / "rulebook.toml").read_text()
    (pytester.path / "rulebook.toml").write_text(text.replace('"PRelu", ', ""))
    broken = pytester.runpytest(*base[1:], "--track", "door")
    broken.assert_outcomes(passed=5, failed=1)
    broken.stdout.fnmatch_lines(["*operators that are not allowed: PRelu.*"])
