"""A rulebook and a declaration with which everything can be decided on a CPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.situations.untimed import without_latency, write_declaration


@pytest.fixture
def untimed(tmp_path: Path) -> dict[str, object]:
    """Options of `judge`: the challenge's rules, its latency as a measurement, and an honest declaration."""
    folder = tmp_path / "untimed"
    folder.mkdir()
    return {
        "rulebooks": [without_latency(folder)], "declaration": write_declaration(folder), "latency": "modelled",
        "device": "cpu", "threads": 1,
    }  # fmt: skip
