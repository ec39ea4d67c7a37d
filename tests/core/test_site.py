"""The address of the documentation, and of a rule's page."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from docs import make_reference
from pytest_facechallenge.core.site import SITE, rule_page
from pytest_facechallenge.engine.extensions import load_rulebooks

ROOT = Path(__file__).parents[2]


def test_every_rule_of_every_rulebook_has_a_page_with_a_place() -> None:
    books = load_rulebooks(())
    assert len(books) == 3
    for book in books.values():
        assert rule_page(book.id) == f"{SITE}reference/{book.id}.html"
        text = (make_reference.FOLDER / f"{book.id}.md").read_text(encoding="utf-8")
        headings = set(re.findall(r"^## (\S+)$", text, re.MULTILINE))
        for rule in book.rules:
            assert rule_page(book.id, rule) == f"{SITE}reference/{book.id}.html#{rule}"
            assert rule in headings


@pytest.mark.parametrize(
    ("rulebook", "rule"),
    [("campus", "batch"), ("../mfr21", ""), ("", ""), ("mfr21", '"><script>'), ("mfr21", "a b"), ("mfr21", "-")],
)
def test_nothing_else_has_one(rulebook: str, rule: str) -> None:
    assert rule_page(rulebook, rule) == ""


def test_the_address_is_the_same_everywhere() -> None:
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    assert urls["Documentation"] == SITE
    assert f"\nsite_url: {SITE}\n" in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
