"""JSON Schemas of the documents that people write or read: report, rulebook, declaration, known networks.

``python -m pytest_facechallenge.engine.schemas`` writes them anew into ``pytest_facechallenge/schemas``; they come with
the wheel.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import msgspec

from pytest_facechallenge.analyses.table import STEPS
from pytest_facechallenge.core.declaration import Declaration
from pytest_facechallenge.core.known_networks import KnownNetworks
from pytest_facechallenge.core.rulebook import Rulebook
from pytest_facechallenge.engine.report import Report

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FOLDER = Path(__file__).parents[1] / "schemas"


def report_schema() -> dict[str, Any]:
    """Return the schema of the JSON report, with the facts of every step spelled out."""
    schema = titled(msgspec.json.schema(Report), "Report of pytest-facechallenge")
    types = {name: step.facts_type() for name, step in STEPS.items()}
    references, components = msgspec.json.schema_components(types.values(), ref_template="#/$defs/{name}")
    schema["$defs"] |= components
    schema["$defs"]["SubmissionReport"]["properties"]["facts"] = {
        "type": "object",
        "properties": dict(zip(types, references, strict=True)),
        "additionalProperties": False,
    }
    return schema


def rulebook_schema() -> dict[str, Any]:
    """Return the schema of a rulebook file."""
    return titled(msgspec.json.schema(Rulebook), "Rulebook of pytest-facechallenge")


def declaration_schema() -> dict[str, Any]:
    """Return the schema of a declaration file."""
    return titled(msgspec.json.schema(Declaration), "Declaration of a submission to a face-recognition challenge")


def known_networks_schema() -> dict[str, Any]:
    """Return the schema of a file of known networks."""
    return titled(msgspec.json.schema(KnownNetworks), "Known networks of pytest-facechallenge")


SCHEMAS = {
    "report": report_schema,
    "rulebook": rulebook_schema,
    "declaration": declaration_schema,
    "known-networks": known_networks_schema,
}


def text_of(name: str) -> str:
    """Return a schema as the text of its file."""
    return written(SCHEMAS[name]())


def written(schema: dict[str, Any]) -> str:
    """Return a schema as text: keys in order, descriptions as they read."""
    return msgspec.json.format(msgspec.json.encode(_dedented(schema), order="sorted"), indent=1).decode() + "\n"


def path_of(name: str) -> Path:
    """Return the file of a schema."""
    return FOLDER / f"{name}.schema.json"


def _dedented(value: Any) -> Any:
    """Return a schema with docstrings as they read; versions of msgspec differ in whether they keep the indentation."""
    if isinstance(value, dict):
        return {
            key: inspect.cleandoc(each) if key == "description" and isinstance(each, str) else _dedented(each)
            for key, each in value.items()
        }
    return [_dedented(each) for each in value] if isinstance(value, list) else value


def titled(schema: dict[str, Any], title: str) -> dict[str, Any]:
    """Return a schema that says its dialect and what it describes."""
    return {"$schema": DIALECT, "title": title, **schema}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for known in SCHEMAS:
        path_of(known).write_text(text_of(known), encoding="utf-8")
