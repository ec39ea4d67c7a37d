"""What the detector of version 0.1 recorded, in the form of today's observations, for `evaluation.compare`.

Version 0.1 kept a list for each kind and put into words what is recorded as numbers and enumerations now. The words
went into the outcomes, where they are compared; here stands what both forms record.
"""

from __future__ import annotations

import math
from typing import Any

Plain = dict[str, Any]

#: List of version 0.1 -> kind of observation, and its fields under their new names; those left out were words.
KINDS: dict[str, tuple[str, dict[str, str]]] = {
    "views": (
        "input-view",
        {"layer": "layer", "kind": "kind", "coverage": "coverage", "turn": "relation", "scale": "scale",
         "offset": "offset", "pooled": "pooled", "plain": "plain", "via": "via",
         "macs_after": "macs_after", "together": "together", "common": "common", "branch": "branch"},
    ),
    "stacks": (
        "stacked-copies",
        {"layer": "layer", "join": "join", "on_channels": "on_channels", "blocks": "blocks", "coverage": "coverage",
         "relation": "difference.relation", "overlap": "overlap", "from_picture": "from_image",
         "macs_after": "macs_after", "via": "via", "branch": "branch"},
    ),
    "twins": (
        "shared-weights",
        {"layers": "layers", "count": "count", "weights": "weights", "surplus": "surplus", "inputs": "inputs",
         "relation": "difference.relation", "same_size": "same_size", "same_settings": "same_settings",
         "from_picture": "from_image", "differ": "differ", "via": "via", "branch": "branch"},
    ),
    "repeats": (
        "repeated-kernels",
        {"layers": "layers", "blocks": "blocks", "weights": "weights", "share": "share", "branch": "branch"},
    ),
    "folds": (
        "batch-fold",
        {"layer": "layer", "rows": "rows", "growth": "growth", "join": "join", "macs_after": "macs_after",
         "branch": "branch"},
    ),
    "towers": (
        "parallel-branches",
        {"source": "source", "first": "first", "second": "second", "meet": "meet", "shares": "shares",
         "inputs": "inputs", "alike": "alike", "turn": "transform", "alike_unturned": "alike_unchanged",
         "branch": "branch"},
    ),
    "echoes": (
        "equivariant-features",
        {"kind": "home", "layers": "layers", "share": "share", "branch": "branch"},
    ),
    "company": ("batch-composition", {"change": "change", "error": "error"}),
}  # fmt: skip
#: What version 0.1 wrote behind the names of branches that are halves of one layer.
_HALVES = (" (first part of the channels)", " (second part of the channels)")


def of_the_first(facts: Plain) -> Plain:
    """Return facts recorded by version 0.1: by kind of observation, the fields that both forms have."""
    found: Plain = {key: value for key, value in facts.items() if key in ("layers", "macs", "branches")}
    for name, (kind, fields) in KINDS.items():
        found[kind] = [{new: entry.get(old) for old, new in fields.items()} for entry in facts.get(name, ())]
    for entry in found["parallel-branches"]:
        for key, words in zip(("first", "second"), _HALVES, strict=True):
            entry[key] = entry[key].removesuffix(words)
    found["unseen"] = len(facts.get("gaps", ()))
    return found


def of_today(facts: Plain) -> Plain:
    """Return facts recorded as observations in the same form."""
    found: Plain = {key: value for key, value in facts.items() if key in ("layers", "macs", "branches")}
    observations = facts.get("observations", ())
    for kind, fields in KINDS.values():
        seen = [entry for entry in observations if entry["type"] == kind]
        found[kind] = [{name: _field(entry, name) for name in fields.values()} for entry in seen]
    for entry, given in zip(
        found["batch-composition"], (e for e in observations if e["type"] == "batch-composition"), strict=True
    ):
        if given["error"]:
            entry["change"] = -1.0
        elif not given["finite"]:
            entry["change"] = math.inf
    # Gaps were sentences: what two unseen entries of one sentence say was written once.
    sentences = {tuple(str(entry[key]) for key in sorted(entry)) for entry in observations if entry["type"] == "unseen"}
    found["unseen"] = len(sentences)
    return found


def _field(entry: Plain, name: str) -> Any:
    """Return a field by its dotted name; "" where what it lies in was not recorded."""
    value: Any = entry
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return "" if value is None and "." in name else value
