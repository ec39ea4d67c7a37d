"""The files in which steps leave facts or failures: written whole, with every text cleaned, and of bounded size."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

import msgspec

from pytest_facechallenge.core.facts.base import FailureKind, StepFacts, StepFailure
from pytest_facechallenge.core.files import read_regular
from pytest_facechallenge.core.text import clean_all

#: Bytes of the facts of one step; every text in them is cut long before.
MOST_BYTES = 32 << 20

T = TypeVar("T", bound=StepFacts)


def result_path(facts_dir: Path, step: str) -> Path:
    """Return the file that holds a step's facts or failure."""
    return facts_dir / f"{step}.json"


def private_prefix(workdir: Path) -> str:
    """Return the beginning of paths in the working folder, to leave out of texts: it says nothing to anybody."""
    return f"{workdir}{os.sep}"


def cleaned(facts: T, private: str = "") -> T:
    """Return facts with every text in them cleaned (see `pytest_facechallenge.core.text`).

    Raises
    ------
    msgspec.ValidationError
        A cleaned text is no longer one of those that its field takes, or the facts are not of their own type.
    """
    plain = msgspec.to_builtins(facts, builtin_types=(bytes, bytearray))
    return msgspec.convert(clean_all(plain, private=private), type(facts))


def write_facts(facts_dir: Path, step: str, facts: T, private: str = "") -> T | StepFailure:
    """Clean facts and store them; return what was stored: a failure when they cannot be.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    try:
        kept = cleaned(facts, private)
        data = msgspec.json.encode({"facts": kept})
        if len(data) > MOST_BYTES:
            raise ValueError(f"they have {len(data):,} bytes, at most {MOST_BYTES:,} are kept")
        # JSON has no infinities and no NaN: what cannot be read back is told now, not when it is read.
        msgspec.convert(msgspec.json.decode(data)["facts"], type(kept))
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        message = f"the facts of the step {step!r} cannot be kept: {error}"
        failure = StepFailure(step=step, kind=FailureKind.ERROR, message=message)
        write_failure(facts_dir, failure)
        return failure
    write_atomically(result_path(facts_dir, step), data)
    return kept


def write_failure(facts_dir: Path, failure: StepFailure, private: str = "") -> StepFailure:
    """Clean a failure, store it in the step's place, and return it as it was stored."""
    kept = msgspec.convert(clean_all(msgspec.to_builtins(failure), private=private), StepFailure)
    write_atomically(result_path(facts_dir, kept.step), msgspec.json.encode({"failure": kept}))
    return kept


def read_result(facts_dir: Path, step: str, facts_type: type[StepFacts]) -> StepFacts | StepFailure | None:
    """Return what a step left; None when it left nothing. A damaged file is a failure."""
    path = result_path(facts_dir, step)
    if not path.exists():
        return None
    try:
        raw = msgspec.json.decode(read_regular(path, 2 * MOST_BYTES))
        if "failure" in raw:
            return msgspec.convert(raw["failure"], StepFailure)
        return msgspec.convert(raw["facts"], facts_type)
    except (OSError, msgspec.MsgspecError, KeyError, TypeError, ValueError, RecursionError) as error:
        message = f"the facts of the step {step!r} cannot be read: {error}"
        return StepFailure(step=step, kind=FailureKind.MACHINE, message=message)


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` so that a reader sees the whole file or none; nothing partial stays when it cannot be written."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
