"""The page of the JSON Schemas: every key of the files that people write, and the outline of those that they read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from docs.escaping import cell, prose
from pytest_facechallenge.engine.schemas import FOLDER

#: By document: what is said of it, and whether all of its tables are shown or those that the root names.
_SHOWN = {
    "rulebook": ("What a rulebook may say. An unknown key is refused.", True),
    "declaration": ("What a declaration may say. An unknown key is refused.", True),
    "known-networks": ("The format of `rules/known-networks.toml`. An unknown key is refused.", True),
    "report": ("The JSON report. The facts of every step are in the schema itself.", False),
    "audit": ("The document of an audit.", True),
}
#: Of the report these tables are shown; the others are facts.
_OUTLINE = (
    "Report", "SubmissionReport", "TrackReport", "RuleResult", "Evidence", "Verdict", "OpenRule", "StepFailure", "Tool",
    "RulebookReference", "Environment",
)  # fmt: skip


def page() -> str:
    """Return the page."""
    lines = [
        "# JSON Schemas",
        "",
        "The schemas come with the package (`pytest_facechallenge/schemas`) and are made from the types that read the",
        "files; an editor that is given one completes keys and marks what is wrong. [Documents](documents.md) says how",
        "their numbers rise.",
        "",
    ]
    for name, (about, whole) in _SHOWN.items():
        schema = json.loads((FOLDER / f"{name}.schema.json").read_text(encoding="utf-8"))
        tables = schema["$defs"]
        root = schema["$ref"].rpartition("/")[2]
        lines += [f"## {name}.schema.json", "", f"{schema['title']}. {about}", ""]
        chosen = [each for each in tables if whole or each in _OUTLINE]
        for table in sorted(chosen, key=lambda each: (each != root, each)):
            lines += _table(table, tables[table])
    return "\n".join(lines)


def _table(name: str, schema: dict[str, Any]) -> list[str]:
    text = schema.get("description", "")
    summary = prose(re.split(r"\n\n", text)[0])
    lines = [f"### {name}", "", summary, ""]
    if "enum" in schema:
        return [*lines, ", ".join(f"`{each}`" for each in schema["enum"]), ""]
    about = dict(_attributes(text))
    lines += ["| key | type | default | |", "|---|---|---|---|"]
    needed = schema.get("required", ())
    for key, each in schema.get("properties", {}).items():
        default = "needed" if key in needed else f"`{json.dumps(each['default'])}`" if "default" in each else ""
        lines += [f"| `{key}` | {cell(_type(each))} | {default} | {about.get(key, '')} |"]
    return [*lines, ""]


def _attributes(text: str) -> Iterator[tuple[str, str]]:
    """Return the attributes that a docstring describes; several may share one text."""
    body = text.partition("Attributes\n----------\n")[2]
    for names, said in re.findall(r"^(\S[^\n]*)\n((?: {4}[^\n]*\n?|\n(?= {4}))+)", body + "\n", re.MULTILINE):
        for name in names.split(":")[0].split(", "):
            yield name.strip(), prose(said).replace("|", "\\|")


def _type(each: dict[str, Any]) -> str:
    if "$ref" in each:
        return str(each["$ref"]).rpartition("/")[2]
    if "enum" in each:
        return " or ".join(json.dumps(value) for value in each["enum"])
    if "anyOf" in each:
        return " or ".join(map(_type, each["anyOf"]))
    kind = str(each.get("type", "anything"))
    if "prefixItems" in each:
        return f"list of {', then '.join(map(_type, each['prefixItems']))}"
    if kind == "array":
        return f"list of {_type(each['items'])}" if "items" in each else "list"
    if kind == "object" and isinstance(each.get("additionalProperties"), dict):
        return f"table of {_type(each['additionalProperties'])}"
    return {"object": "table", "string": "text", "integer": "whole number", "null": "null"}.get(kind, kind)
