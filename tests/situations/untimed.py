"""The challenge's rulebook with the one rule that needs its GPU as a measurement, and an honest declaration."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
RULES = ROOT / "rules" / "mfr21.toml"
DEMO = ROOT / "examples" / "demo" / "declaration.toml"


def without_latency(folder: Path) -> Path:
    """Write the challenge's rulebook, as "untimed"."""
    text = RULES.read_text(encoding="utf-8").replace('id = "mfr21"', 'id = "untimed"', 1)
    text = text.replace('check = "latency"\n', 'check = "latency"\nlevel = "measurement"\n', 1)
    path = folder / "untimed.toml"
    path.write_text(text, encoding="utf-8")
    return path


def write_declaration(folder: Path) -> Path:
    """Write a declaration for practice that states all that Sub-Track A asks for."""
    text = DEMO.read_text(encoding="utf-8").replace('dataset = "drawn faces"', 'dataset = "MS1M-V3"', 1)
    path = folder / "declaration.toml"
    path.write_text(text, encoding="utf-8")
    return path
