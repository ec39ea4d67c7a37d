"""Changing every text of a report, wherever it stands: what a hostile submission could fill it with."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from typing import Any

import msgspec

from pytest_facechallenge.analyses.table import STEPS
from pytest_facechallenge.engine.report import SubmissionReport


def with_every_text(value: Any, change: Callable[[str], str], kept: frozenset[str] = frozenset()) -> Any:
    """Return a report, facts or rulebook with every free text in it changed, keys of dicts too.

    Texts of a closed set of words (a Literal, an Enum) stay, and so do fields named in ``kept``.
    """
    if isinstance(value, SubmissionReport):
        changed = {
            step: msgspec.to_builtins(with_every_text(msgspec.convert(plain, STEPS[step].facts_type()), change, kept))
            for step, plain in value.facts.items()
        }
        rest = {
            name: _changed(getattr(value, name), kind, change, kept)
            for name, kind in _fields(value)
            if name not in {"facts", "failures", "tracks", "digest"}
        }
        failures = {step: with_every_text(each, change, kept) for step, each in value.failures.items()}
        tracks = tuple(with_every_text(each, change, kept) for each in value.tracks)
        return msgspec.structs.replace(value, facts=changed, failures=failures, tracks=tracks, **rest)
    fields = {
        name: _changed(getattr(value, name), kind, change, kept) for name, kind in _fields(value) if name not in kept
    }
    return msgspec.structs.replace(value, **fields)


def _fields(value: msgspec.Struct) -> list[tuple[str, Any]]:
    return [(field.name, field.type) for field in msgspec.structs.fields(value)]


def _changed(value: Any, kind: Any, change: Callable[[str], str], kept: frozenset[str]) -> Any:
    if isinstance(value, msgspec.Struct):
        return with_every_text(value, change, kept)
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        if any(typing.get_origin(each) is typing.Literal for each in arguments):
            return value
        kind = str if isinstance(value, str) else next((e for e in arguments if typing.get_origin(e)), kind)
        arguments = typing.get_args(kind)
    if type(value) is str:
        return change(value) if kind in (str, Any) else value
    if isinstance(value, (list, tuple)):
        of = [each for each in arguments if each is not Ellipsis] or [Any]
        kinds = of if len(of) == len(value) else [of[0]] * len(value)
        return type(value)(_changed(each, k, change, kept) for each, k in zip(value, kinds, strict=True))
    if isinstance(value, dict):
        name, of = arguments or (Any, Any)
        return {_changed(key, name, change, kept): _changed(each, of, change, kept) for key, each in value.items()}
    return value
