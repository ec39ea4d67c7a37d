"""The JSON Schema of an audit's document: ``python -m pytest_facechallenge.auditing.schema`` writes it anew."""

from __future__ import annotations

import msgspec

from pytest_facechallenge.auditing.document import Audit
from pytest_facechallenge.engine.schemas import path_of, titled, written

NAME = "audit"


def text() -> str:
    """Return the schema as the text of its file."""
    return written(titled(msgspec.json.schema(Audit), "Audit of pytest-facechallenge"))


if __name__ == "__main__":
    path_of(NAME).write_text(text(), encoding="utf-8")
