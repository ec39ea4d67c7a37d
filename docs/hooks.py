"""What mkdocs is told beside mkdocs.yml."""

from __future__ import annotations

from typing import Any

#: Long tables of numbers: nobody searches in them, and they would be half of the index that the search reads.
NOT_SEARCHED = ("evaluation-table.md", "second-looks-thresholds.md")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Keep some pages out of the search."""
    if page.file.src_uri in NOT_SEARCHED:
        page.meta["search"] = {"exclude": True}
    return markdown
