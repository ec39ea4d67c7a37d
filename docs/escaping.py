"""Texts of the code as Markdown: nothing in them becomes a heading, a table cell, a link or HTML."""

from __future__ import annotations

import re

_CODE = re.compile(r"(``?[^`]+``?)")


def escaped(text: str) -> str:
    """Return text that Markdown shows as it is."""
    for sign in "\\*_<[|":
        text = text.replace(sign, f"\\{sign}" if sign != "<" else "&lt;")
    return text.strip()


def cell(text: str) -> str:
    """Return text for one cell of a table."""
    return " ".join(escaped(text).split())


def prose(text: str) -> str:
    """Return a piece of a docstring on one line, its pieces of code as code."""
    parts = _CODE.split(" ".join(text.split()))
    return "".join(f"`{part.strip('`')}`" if number % 2 else escaped_inside(part) for number, part in enumerate(parts))


def escaped_inside(text: str) -> str:
    """Return text that Markdown shows as it is, with the blanks around it."""
    kept = escaped(f"x{text}x")
    return kept[1:-1]
