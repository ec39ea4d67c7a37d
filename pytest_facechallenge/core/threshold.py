"""Numbers that decide something: fields of a frozen dataclass, each with its value, its unit and its reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any


@dataclass(frozen=True)
class Threshold:
    """One number of a struct of thresholds, for a reader.

    Attributes
    ----------
    name
        Dotted, as it is read in the code: "signatures.same".
    value
        The number (or the few that belong together).
    unit
        What it counts or measures.
    why
        What it is for and why it has this value.
    """

    name: str
    value: Any
    unit: str
    why: str


def threshold(value: Any, unit: str, why: str) -> Any:
    """Declare a field of a frozen dataclass as a threshold; its value is the plain number."""
    return field(default=value, metadata={"unit": unit, "why": why})


def thresholds_of(struct: Any, prefix: str = "") -> Iterator[Threshold]:
    """Yield every threshold of a struct, those of nested structs too, in the order of their declaration."""
    for entry in fields(struct):
        value = getattr(struct, entry.name)
        if is_dataclass(value):
            yield from thresholds_of(value, f"{prefix}{entry.name}.")
        else:
            yield Threshold(f"{prefix}{entry.name}", value, entry.metadata["unit"], entry.metadata["why"])
