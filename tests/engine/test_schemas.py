"""The published JSON Schemas: fresh, valid, and true of real files."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pytest_facechallenge.core.rulebook_file import KNOWN_NETWORKS, builtin_folder, builtin_rulebooks
from pytest_facechallenge.engine.schemas import SCHEMAS, path_of, text_of

ROOT = Path(__file__).parents[2]


def validator(name: str) -> jsonschema.Draft202012Validator:
    schema = json.loads(path_of(name).read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_file_is_what_the_structs_say(name: str) -> None:
    stored = json.loads(path_of(name).read_text(encoding="utf-8"))
    assert in_order(stored) == in_order(json.loads(text_of(name))), (
        "write it anew: python -m pytest_facechallenge.engine.schemas"
    )


def in_order(schema: Any) -> Any:
    """Return a schema with its alternatives in one order, which follows from nothing and differs between msgspecs."""
    if isinstance(schema, dict):
        return {
            key: sorted(map(in_order, each), key=json.dumps) if key == "anyOf" else in_order(each)
            for key, each in schema.items()
        }
    return list(map(in_order, schema)) if isinstance(schema, list) else schema


def test_the_rulebooks_and_examples_are_valid() -> None:
    books = [*builtin_rulebooks(), *(ROOT / "examples").rglob("rulebook.toml")]
    assert len(books) >= 5
    for book in books:
        validator("rulebook").validate(tomllib.loads(book.read_text(encoding="utf-8")))
    plain: dict[str, Any] = tomllib.loads((ROOT / "examples/demo/declaration.toml").read_text(encoding="utf-8"))
    plain["submission"] = {"time": "2021-09-30T12:00:00-07:00", "number_that_day": 1}
    validator("declaration").validate(plain)
    assert not validator("declaration").is_valid(plain | {"horoscope": {}})


def test_the_known_networks_are_valid_and_a_wrong_one_is_not() -> None:
    plain = tomllib.loads((builtin_folder() / KNOWN_NETWORKS).read_text(encoding="utf-8"))
    validator("known-networks").validate(plain)
    for key, value in (("layers", [["node", 1, 2, 3, 4]]), ("width", "128"), ("weights", "")):
        wrong = {**plain, "networks": [{**plain["networks"][0], key: value}]}
        assert not validator("known-networks").is_valid(wrong), key


def test_a_real_report_is_valid_and_a_wrong_one_is_not(report: bytes) -> None:
    plain = json.loads(report)
    validator("report").validate(plain)
    plain["submissions"][0]["facts"]["package"]["bytes"] = "many"
    assert not validator("report").is_valid(plain)
