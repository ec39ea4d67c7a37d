"""The example of a rulebook of one's own: built, installed, and judged by, with its check from an entry point."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "custom-rulebook"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the package as pip would lay it."""
    folder = tmp_path_factory.mktemp("campus")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(build, cwd=EXAMPLE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def judged(site: Path, folder: Path) -> str:
    """Judge the demo on both tracks in a process that has the package; return the verdicts and what is broken."""
    code = (
        "from pytest_facechallenge import judge\n"
        f"report = judge({str(ROOT / 'examples' / 'demo' / 'model.onnx')!r}, ['door', 'phone'], device='cpu')\n"
        "for track in report.submissions[0].tracks:\n"
        "    print(track.full, track.verdict.word, *track.verdict.broken, len(track.rules))\n"
        "    print(*(rule.message for rule in track.rules if rule.status == 'failed'), sep='\\n')\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(site), str(ROOT)))}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_package_brings_rulebook_and_check(site: Path, tmp_path: Path) -> None:
    found = judged(site, tmp_path).splitlines()
    assert [line for line in found if line] == ["campus/door COMPLIANT 6", "campus/phone COMPLIANT 6"]
    book = site / "campus" / "rulebook.toml"
    text = book.read_text(encoding="utf-8")
    book.write_text(text.replace('"PRelu", ', ""), encoding="utf-8")
    try:
        broken = judged(site, tmp_path)
    finally:
        book.write_text(text, encoding="utf-8")
    assert "campus/door NON-COMPLIANT operators 6" in broken
    assert "The model uses operators that are not allowed: PRelu." in broken
