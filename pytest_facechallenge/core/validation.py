"""From plain values (of TOML) to a typed struct, and what is wrong in a sentence: the key, expected, found, known."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import inspect

from pytest_facechallenge.core.text import clean_name

Struct = TypeVar("Struct", bound=msgspec.Struct)

_PLACE = re.compile(r" - at `\$\.?(?P<place>.*)`$")
_STEP = re.compile(r"\[\.\.\.\]|\[\d+\]|[^.\[\]]+")
_UNKNOWN = re.compile(r"unknown field `(?P<key>.*?)`")
_MISSING = re.compile(r"missing required field `(?P<key>.*?)`")


def convert(raw: Any, kind: type[Struct]) -> Struct:
    """Return ``raw`` as ``kind``.

    Raises
    ------
    ValueError
        It does not fit; one sentence names the key, what is expected there, what was found, and the keys that are
        known there.
    """
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise ValueError(explained(str(error), raw, kind)) from error


def explained(message: str, raw: Any, kind: type[msgspec.Struct]) -> str:
    """Return msgspec's message as a sentence for whoever wrote the file."""
    match = _PLACE.search(message)
    place = match["place"] if match else ""
    path, value, expected = _walked(_STEP.findall(place), raw, inspect.type_info(kind))
    name = _dotted(path)
    if unknown := _UNKNOWN.search(message):
        key = _dotted((*path, unknown["key"]))
        return f"there is no key {key}; {_known(expected, name)}"
    if missing := _MISSING.search(message):
        field = next((each for each in _fields(expected) if each.encode_name == missing["key"]), None)
        wanted = f": {words(field.type)} is expected" if field else ""
        return f"the key {_dotted((*path, missing['key']))} is missing{wanted}; {_known(expected, name)}"
    found = shown(value)
    return f"{name or 'the file'} must be {words(expected)}, found {found}"


def shown(value: Any) -> str:
    """Return a value for a message; lists and tables can be of any size, so they are only named."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, dict)):
        return f"a {'list' if isinstance(value, list) else 'table'} of {len(value):,}"
    return repr(clean_name(value)) if isinstance(value, str) else clean_name(str(value))


def words(kind: inspect.Type) -> str:
    """Return what values of a type are, in words."""
    bounds = _bounds(kind)
    simple = {
        inspect.BoolType: "true or false",
        inspect.StrType: "a text in quotes",
        inspect.IntType: f"a whole number{bounds}",
        inspect.FloatType: f"a number{bounds}",
        inspect.DateTimeType: "a date and time such as 2021-09-30T18:00:00+08:00",
        inspect.DateType: "a date such as 2021-09-30",
        inspect.NoneType: "nothing",
    }
    if type(kind) in simple:
        return simple[type(kind)]
    if isinstance(kind, inspect.LiteralType):
        return " or ".join(f'"{value}"' for value in kind.values)
    if isinstance(kind, inspect.UnionType):
        each = [words(part) for part in kind.types if not isinstance(part, inspect.NoneType)]
        return " or ".join(word for word in dict.fromkeys(each) if word != "a whole number" or "a number" not in each)
    if isinstance(kind, (inspect.ListType, inspect.VarTupleType, inspect.TupleType)):
        return "a list"
    if isinstance(kind, (inspect.DictType, inspect.StructType)):
        return "a table"
    if isinstance(kind, inspect.Metadata):
        return words(kind.type)
    return "a value"


def wrong_value(value: Any, kind: Any) -> str:
    """Return why a value is none of a type ("" when it is one)."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        match = _PLACE.search(str(error))
        inside = value[int(match["place"][1:-1])] if match and isinstance(value, list) else value
        each = "" if inside is value else f", each {words(inspect.type_info(type(value[0])))}" if value else ""
        return f"{words(inspect.type_info(kind))} is expected, found {shown(inside)}{each}"
    return wrong_number(value)


def wrong_number(value: Any) -> str:
    """Return why a number can be no limit ("" when it can): NaN, infinite or negative."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return ""
    if not math.isfinite(value):
        return f"a finite number is expected, found {value}"
    return f"a number of at least 0 is expected, found {value}" if value < 0 else ""


def _bounds(kind: inspect.Type) -> str:
    least = getattr(kind, "ge", None)
    return "" if least is None else f" of at least {least}"


def _walked(steps: Sequence[str], raw: Any, kind: inspect.Type) -> tuple[tuple[str, ...], Any, inspect.Type]:
    """Follow a path of msgspec, which does not name keys of free tables ("[...]"): the first that does not fit."""
    path: list[str] = []
    for step in steps:
        kind = _inner(kind, raw)
        if step.startswith("[") and isinstance(raw, list):
            at = int(step[1:-1])
            raw, kind = raw[at], getattr(kind, "item_type", inspect.AnyType())
            path.append(step)
        elif step == "[...]" and isinstance(raw, dict) and isinstance(kind, inspect.DictType):
            key = next((key for key, value in raw.items() if not _fits(value, kind.value_type)), "")
            raw, kind = raw.get(key), kind.value_type
            path.append(str(key))
        elif isinstance(raw, dict):
            field = next((each for each in _fields(kind) if each.encode_name == step), None)
            kind = field.type if field else getattr(kind, "value_type", inspect.AnyType())
            raw = raw.get(step)
            path.append(step)
    return tuple(path), raw, kind


def _inner(kind: inspect.Type, raw: Any) -> inspect.Type:
    """Return the part of a union that a table or list stands for."""
    if isinstance(kind, inspect.UnionType):
        wanted = (inspect.DictType, inspect.StructType) if isinstance(raw, dict) else inspect.ListType
        return next((part for part in kind.types if isinstance(part, wanted)), kind)
    return kind


def _fits(value: Any, kind: inspect.Type) -> bool:
    target: Any = kind.cls if isinstance(kind, inspect.StructType) else _python(kind)
    try:
        msgspec.convert(value, target)
    except msgspec.ValidationError:
        return False
    return True


def _python(kind: inspect.Type) -> Any:
    simple: dict[type, Any] = {
        inspect.BoolType: bool, inspect.StrType: str, inspect.IntType: int, inspect.FloatType: float,
    }  # fmt: skip
    if isinstance(kind, inspect.UnionType):
        parts = [_python(part) for part in kind.types]
        found = parts[0]
        for part in parts[1:]:
            found = found | part
        return found
    if isinstance(kind, inspect.LiteralType):
        return Literal[tuple(kind.values)]
    if isinstance(kind, inspect.DictType):
        return dict[str, _python(kind.value_type)]  # type: ignore[misc]
    return simple.get(type(kind), Any)


def _fields(kind: inspect.Type) -> tuple[inspect.Field, ...]:
    return kind.fields if isinstance(kind, inspect.StructType) else ()


def _known(kind: inspect.Type, name: str) -> str:
    keys = ", ".join(field.encode_name for field in _fields(kind)) or "none"
    return f"known keys of [{name}]: {keys}" if name else f"known keys: {keys}"


def _dotted(path: Sequence[str]) -> str:
    text = ""
    for step in path:
        text += step if step.startswith("[") or not text else f".{step}"
    return clean_name(text)
