"""Checks and rulebooks that other packages bring by entry points."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECK = '''
from pytest_facechallenge import check, passed

@check()
def always(facts, rule):
    """Pass.

    What:
        Nothing.

    Why:
        For a test.

    How it is measured:
        It is not.

    How to fix:
        Nothing is broken.
    """
    return passed("always")
'''
BOOK = """
schema = "facechallenge-rulebook/1"
id = "theirs"
title = "Theirs"
version = "1"
date = "2026-01-01"
source = "their package"
[tracks.t]
title = "T"
[rules.always]
clause = "1"
text = "Always."
check = "always"
"""


def installed(folder: Path, entry_points: str) -> None:
    """Lay a package as pip would: modules and metadata in one folder."""
    (folder / "their_checks.py").write_text(CHECK)
    (folder / "their_books.py").write_text("from pathlib import Path\nbook = Path(__file__).with_name('theirs.toml')\n")
    (folder / "theirs.toml").write_text(BOOK)
    info = folder / "theirs-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1\n")
    (info / "entry_points.txt").write_text(entry_points)


def ask(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    full = f"import sys; sys.path.insert(0, {str(folder)!r})\n{code}"
    return subprocess.run([sys.executable, "-c", full], capture_output=True, text=True, check=False)


def test_a_package_brings_a_check_and_a_rulebook(tmp_path: Path) -> None:
    installed(
        tmp_path,
        "[facechallenge.checks]\ntheirs = their_checks\n[facechallenge.rulebooks]\ntheirs = their_books:book\n",
    )
    done = ask(
        tmp_path,
        "from pytest_facechallenge.engine.extensions import load_checks, load_rulebooks, validate\n"
        "checks, books = load_checks(), load_rulebooks(); validate(books, checks); print(books['theirs'].title)",
    )
    assert done.stdout.strip() == "Theirs", done.stderr


def test_a_package_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    installed(tmp_path, "[facechallenge.checks]\nbad = no_such_module\n")
    done = ask(tmp_path, "from pytest_facechallenge import load_rulebooks; load_rulebooks()")
    assert "the entry point facechallenge.checks:bad of theirs cannot be loaded: ModuleNotFoundError" in done.stderr


def test_a_rulebook_entry_point_must_give_a_path(tmp_path: Path) -> None:
    installed(tmp_path, "[facechallenge.rulebooks]\nbad = their_checks:check\n")
    done = ask(tmp_path, "from pytest_facechallenge import load_rulebooks; load_rulebooks()")
    assert "bad of theirs must name a path or a function that returns one, found function" in done.stderr
