"""The register: every case stands in one set, says what it is, and builds a model that can be submitted."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import onnx
import pytest

from evaluation import cases
from evaluation.builder import Array
from evaluation.case import ALIGN_RULE, BATCH_RULE, FLOAT16_RULE, MODEL_RULES, Case
from evaluation.cases import get, load, one_of_each_idea, splits
from evaluation.images import few_faces
from evaluation.proof import PROOFS, alone
from evaluation.run import sample
from evaluation.runtime import Network

CASES = [case.name for case in load()]
NETWORKS = [case.name for case in load() if FLOAT16_RULE not in case.rules]
CHOSEN = {case.name for case in one_of_each_idea()}
#: The choice for the default run; the rest is marked slow.
SOME = [pytest.param(name, marks=() if name in CHOSEN else (pytest.mark.slow,)) for name in NETWORKS]
#: Cases whose embedding depends on what else is in the batch.
TOGETHER = {name for name, proof in PROOFS.items() if proof.together} | {"turned_when_alone"}
TOGETHER |= {
    case.name
    for label in cases.FOLDERS
    for case in load(label, kind="failed")
    if {"batch", "deterministic"} & set(case.rules)
}
#: Networks that are exported with a fixed batch, which the server makes symbolic.
FIXED = {"fixed_batch_of_one": 1}


@cache
def model(name: str) -> onnx.ModelProto:
    return get(name).build()


def unit(x: Array) -> Array:
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True))


def test_every_case_stands_in_one_set() -> None:
    listed = [name for split in splits().values() for name in (*split.evading, *split.honest)]
    assert sorted(listed) == sorted(CASES)
    assert len(set(CASES)) == len(CASES)
    for label, split in splits().items():
        assert [case.name for case in load(label, kind="failed")] == list(split.evading)
        assert [case.name for case in load(label, kind="passed")] == list(split.honest)


def test_the_sets_are_as_large_as_they_were() -> None:
    sizes = {label: (len(split.evading), len(split.honest)) for label, split in splits().items()}
    assert sizes == {
        "development": (174, 120),
        "blind-1": (27, 19),
        "blind-2": (44, 42),
        "blind-3": (24, 24),
        "blind-4": (80, 177),
        "blind-5": (80, 176),
        "blind-6": (82, 193),
        "blind-7": (77, 119),
        "blind-8": (67, 110),
        "blind-9": (77, 140),
        "blind-10": (93, 126),
        "blind-11": (74, 150),
        "blind-12": (68, 153),
        "blind-13": (67, 111),
        "blind-14": (78, 112),
        "blind-15": (65, 111),
        "blind-16": (64, 109),
        "float16": (65, 30),
        "interventions": (13, 15),
    }


@pytest.mark.parametrize("label", [label for label in splits() if label.startswith("blind")])
def test_a_blind_set_says_until_when_and_how_its_first_run_went(label: str) -> None:
    split = splits()[label]
    assert re.fullmatch("[0-9a-f]{7}", split.blind_until)
    if label in cases.FOLDERS:  # what was run is in the file of first answers: see test_first_run.py
        return
    assert split.first_evasions is not None
    assert split.first_honest is not None
    assert split.first_evasions[1] == len(split.evading)
    assert split.first_honest[1] == len(split.honest)


def test_an_unknown_set_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"expected a set of splits\.toml"):
        load("blind-99")


def test_every_case_says_what_it_is() -> None:
    for case in load():
        assert case.about.endswith("."), case.name
        assert case.idea, case.name
        if case.whole:
            assert case.rules == MODEL_RULES if case.honest else set(case.rules) < set(MODEL_RULES)
        else:
            detector = case.honest and case.split != "float16"
            assert case.rules == ((BATCH_RULE, ALIGN_RULE) if detector else case.rules[:1])
    named = {rule for case in load(kind="failed") if not case.whole for rule in case.rules}
    assert named == {BATCH_RULE, ALIGN_RULE, FLOAT16_RULE}
    assert any(case.note for case in load(kind="passed"))


@pytest.mark.parametrize("name", SOME)
def test_a_network_can_be_submitted(name: str) -> None:
    """It is valid, takes any number of images, and different images get different, finite embeddings."""
    case, made = get(name), model(name)
    onnx.checker.check_model(made, full_check=True)
    (data,), (_,) = made.graph.input, made.graph.output
    shape = data.type.tensor_type.shape.dim
    assert [dim.dim_value for dim in shape] == [FIXED.get(name, 0), 3, 112, 112]
    assert made.ByteSize() < 1_200_000
    if name in FIXED:
        return
    assert shape[0].dim_param
    images = few_faces(raw=case.raw)
    network = Network(lambda: made)
    values, single = network(images), alone(network, images)
    assert values.shape == single.shape
    assert np.isfinite(values).all()
    assert np.isfinite(single).all()
    assert np.abs(unit(values)[0] - unit(values)[1]).max() > 5e-3
    if name not in TOGETHER:
        np.testing.assert_allclose(values, single, atol=2e-3)


@pytest.mark.parametrize("name", [case.name for case in load("float16") if "external" not in case.name])
def test_a_model_of_stored_weights_is_valid(name: str) -> None:
    made = get(name).build()
    assert made.ByteSize() > 0
    assert made.SerializeToString(deterministic=True) == get(name).build().SerializeToString(deterministic=True)


@pytest.mark.parametrize("name", ["vit_class_token", "stack_function", "tinted_stem", "ten_crops"])
def test_building_twice_gives_the_same_bytes(name: str) -> None:
    once, again = (get(name).build().SerializeToString(deterministic=True) for _ in range(2))
    assert once == again


@pytest.mark.parametrize("kind", ["passed", "failed"])
def test_the_style_gives_nothing_away(kind: str) -> None:
    """Names, opset and producer are drawn alike for honest and for evading networks."""
    cases: list[Case] = [case for case in load("development") if case.expected == kind]
    models = [case.build() for case in cases[::11]]
    assert {made.opset_import[0].version for made in models} >= {11, 12, 13}
    assert len({made.graph.input[0].name for made in models}) >= 4
    assert any(not node.name for made in models for node in made.graph.node)
    assert any(node.op_type == "Constant" for made in models for node in made.graph.node)


def test_opsets_reach_from_9_to_20() -> None:
    versions = {model(case.name).opset_import[0].version for case in load("blind-3", kind="passed")}
    assert versions >= {9, 10, 11, 12, 13, 14, 15, 16, 17, 20}


def test_a_set_whose_package_is_missing_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = [case.name for case in sample(load(), 24)]
    monkeypatch.setattr(cases, "find_spec", lambda _name: None)
    cases._all.cache_clear()
    try:
        assert cases.left_out() == dict.fromkeys(cases.FOLDERS, "torch")
        assert [case.name for case in sample(load(), 24)] == everything, "the sample is the same wherever it is drawn"
        with pytest.raises(ValueError, match="the set blind-4 needs the package torch"):
            load("blind-4")
    finally:
        cases._all.cache_clear()
