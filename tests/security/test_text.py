"""A stranger's text is clean and of bounded length as soon as it is a fact, a failure or a line of progress."""

from __future__ import annotations

import tracemalloc
import typing
import unicodedata
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import msgspec.inspect
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_facechallenge.analyses.table import STEPS
from pytest_facechallenge.core.facts.base import StepFacts
from pytest_facechallenge.core.facts.interface import InterfaceFacts
from pytest_facechallenge.core.run_options import RunOptions
from pytest_facechallenge.core.text import MOST, clean, clean_all, clean_path, listed
from pytest_facechallenge.sandbox.fact_store import FactStore
from pytest_facechallenge.sandbox.process import Limits
from pytest_facechallenge.sandbox.results import cleaned, read_result, write_facts
from tests.security import contents
from tests.security.conftest import Runner
from tests.support.hostile_worker import NASTY

UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def is_clean(text: str) -> bool:
    return len(text) <= MOST and not any(unicodedata.category(sign) in UNSAFE for sign in text)


@given(st.text(st.characters(), max_size=300))
def test_clean_text_is_printable_once_and_for_all(text: str) -> None:
    found = clean(text)
    assert is_clean(found)
    assert clean(found) == found
    found.encode("utf-8")
    element = ElementTree.Element("message", text=found)
    assert ElementTree.fromstring(ElementTree.tostring(element)).get("text") == found


@given(st.text(max_size=200), st.integers(40, 90))
def test_the_length_is_kept(text: str, most: int) -> None:
    assert len(clean(text, most)) <= most
    assert clean(clean(text, most), most) == clean(text, most)


def test_what_is_harmless_stays() -> None:
    text = "Größe → 中文 é 😀 /a/b\\c {} <&>"
    assert clean(text) == text


def test_the_true_length_is_noted_and_costs_nothing() -> None:
    text = "\x1b" * contents.LONG
    tracemalloc.start()
    try:
        found = clean(text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # What is cut off is never looked at: doing that would copy it.
    assert peak < len(text) / 100
    assert found.endswith("… (60,000,000 characters)")
    assert len(found) <= MOST


def test_bytes_of_a_path_are_shown() -> None:
    assert clean_path(b"/a/\xff\n.onnx") == "/a/\\xff\\n.onnx"


def test_lists_are_cut_with_their_number() -> None:
    assert listed(str(number) for number in range(9)) == "0, 1, 2, 3, 4 and 4 more"


def test_keys_that_become_the_same_are_kept_apart() -> None:
    found = clean_all({"x" * 2_000 + end: end for end in "abc"}, 100)
    assert sorted(found.values()) == ["a", "b", "c"]


def build(kind: msgspec.inspect.Type) -> Any:
    """Return a value of a type in which every text is a nasty one."""
    match kind:
        case msgspec.inspect.StructType(array_like=True):
            return [*([kind.tag] if kind.tag_field else []), *(build(field.type) for field in kind.fields)]
        case msgspec.inspect.StructType():
            tag = {kind.tag_field: kind.tag} if kind.tag_field else {}
            return tag | {field.encode_name: build(field.type) for field in kind.fields}
        case msgspec.inspect.StrType():
            return NASTY
        case msgspec.inspect.BytesType():
            return ""  # base64, which holds no text
        case msgspec.inspect.IntType() | msgspec.inspect.FloatType():
            return 1
        case msgspec.inspect.BoolType():
            return True
        case msgspec.inspect.NoneType():
            return None
        case msgspec.inspect.LiteralType():
            return kind.values[0]
        case msgspec.inspect.EnumType():
            return next(iter(kind.cls)).value
        case msgspec.inspect.VarTupleType() | msgspec.inspect.ListType():
            return [build(kind.item_type)]
        case msgspec.inspect.TupleType():
            return [build(item) for item in kind.item_types]
        case msgspec.inspect.DictType():
            return {build(kind.key_type): build(kind.value_type)}
        case msgspec.inspect.UnionType():
            return build(next(each for each in kind.types if not isinstance(each, msgspec.inspect.NoneType)))
    raise AssertionError(f"no value is known for {kind}")


def texts(plain: Any) -> typing.Iterator[str]:
    if isinstance(plain, str):
        yield plain
    elif isinstance(plain, dict):
        for key, value in plain.items():
            yield from texts(key)
            yield from texts(value)
    elif isinstance(plain, (list, tuple)):
        for each in plain:
            yield from texts(each)


@pytest.mark.parametrize("step", sorted(STEPS))
def test_every_text_of_every_fact(step: str, tmp_path: Path) -> None:
    kind = STEPS[step].facts_type()
    facts: StepFacts = msgspec.convert(build(msgspec.inspect.type_info(kind)), kind)
    stored = write_facts(tmp_path, step, facts)
    again = read_result(tmp_path, step, kind)
    assert again == stored == cleaned(facts)
    assert isinstance(again, kind)
    assert all(map(is_clean, texts(msgspec.to_builtins(again))))


def test_facts_failures_and_progress_of_a_worker(run: Runner) -> None:
    found = run("nasty", "nasty_error", "too_many_facts")
    assert "facts" in found["nasty"]
    assert all(map(is_clean, texts(found)))
    assert all(map(is_clean, run.lines))
    assert "at most" in found["too_many_facts"]["failure"]["message"]


def test_facts_that_json_cannot_hold_are_a_failure(tmp_path: Path) -> None:
    from pytest_facechallenge.core.facts.feature_file import FeatureFileFacts, Norms

    norms = Norms(smallest=float("nan"), largest=1.0, mean=float("inf"), off_unit=0, tolerance=1.0)
    stored = write_facts(tmp_path, "feature_file", FeatureFileFacts(norms=norms))
    assert stored == read_result(tmp_path, "feature_file", FeatureFileFacts)
    assert "cannot be kept" in getattr(stored, "message", "")


def test_a_damaged_file_of_facts_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "interface.json").write_text("[" * 100_000)
    assert "cannot be read" in getattr(read_result(tmp_path, "interface", InterfaceFacts), "message", "")


@pytest.mark.parametrize(
    "content",
    [contents.nasty_texts(), contents.unknown_operator(), contents.long_name(20_000_000), contents.many_names()],
    ids=["nasty-texts", "unknown-operator", "20-MB-name", "many-names"],
)
def test_models_with_hostile_texts(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    store = FactStore(tmp_path / "run", RunOptions(threads=1, device="cpu"), Limits(idle_seconds=60))
    facts = store.facts(path, ["interface", "checker", "weights", "flops", "load"])
    assert all(map(is_clean, texts(facts.to_builtins())))
    written = sum(each.stat().st_size for each in store.facts_dir(path).glob("*.json"))
    assert written < 40 << 20
