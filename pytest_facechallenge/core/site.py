"""Where the documentation is on the web, and which of its pages is a rule's."""

from __future__ import annotations

import re
from functools import cache

from pytest_facechallenge.core.rulebook_file import builtin_folder

#: The address of the documentation; ends with "/". The project has no public address yet: nobody can own one below
#: ".example" (RFC 2606), and the release workflow refuses to publish it. pyproject.toml and mkdocs.yml say the same.
SITE = "https://pytest-facechallenge.example/"
#: Identifiers that are safe in an address and in an attribute, whoever wrote the report that they are from.
_IDENTIFIER = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def is_published() -> bool:
    """Whether the documentation has an address that anybody can open."""
    return not re.fullmatch(r"https?://([^/]*\.)?example(/.*)?", SITE)


def rule_page(rulebook: str, rule: str = "") -> str:
    """Return the address of the page of a rulebook, or of one of its rules.

    Parameters
    ----------
    rulebook, rule
        Their ids, "mfr21" and "embedding-dim".

    Returns
    -------
    str
        "" for a rulebook that does not come with the package, as the documentation has no page of it.
    """
    if rulebook not in _documented() or not (rule == "" or _IDENTIFIER.fullmatch(rule)):
        return ""
    return f"{SITE}reference/{rulebook}.html" + (f"#{rule}" if rule else "")


@cache
def _documented() -> frozenset[str]:
    return frozenset(path.stem for path in builtin_folder().glob("*.toml") if _IDENTIFIER.fullmatch(path.stem))
