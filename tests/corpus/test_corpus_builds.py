"""The corpus is what it says: every case runs, honest rows are independent, every evasion computes what it claims."""

from functools import lru_cache

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import ModelProto

from .builder import session
from .case import ALIGN_RULE, BATCH_RULE, Array
from .evasions import EVASIONS
from .evasions_align import WARPS, warped
from .honest import HONEST
from .images import faces

LOOKS = [name for name, case in EVASIONS.items() if case.reference is not None]
ROWS = [name for name, case in EVASIONS.items() if case.kind == "rows"]


@lru_cache
def images(raw: bool) -> Array:
    return faces(4, 5, raw=raw)


def opened(model: ModelProto) -> ort.InferenceSession:
    onnx.checker.check_model(model, full_check=True)
    assert [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim] == [0, 3, 112, 112]
    assert model.ByteSize() < 1_200_000
    return session(model)


def run(runner: ort.InferenceSession, batch: Array) -> Array:
    return np.asarray(runner.run(None, {runner.get_inputs()[0].name: batch})[0])


def unit(x: Array) -> Array:
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True))


def assert_embeddings(values: Array) -> None:
    assert values.ndim == 2
    assert np.isfinite(values).all()
    assert np.abs(unit(values)[0] - unit(values)[1]).max() > 1e-2


@pytest.mark.parametrize("name", HONEST)
def test_honest_runs_and_its_rows_are_independent(name: str) -> None:
    case = HONEST[name]
    runner = opened(case.build())
    batch = images(case.raw)[:3]
    together = run(runner, batch)
    assert_embeddings(together)
    np.testing.assert_allclose(together[1:2], run(runner, batch[1:2]), atol=1e-4)


@pytest.mark.parametrize("name", LOOKS)
def test_an_evasion_computes_what_it_claims(name: str) -> None:
    case = EVASIONS[name]
    runner = opened(case.build())
    batch = images(case.raw)[:3]
    assert case.reference is not None
    assert case.single is not None
    values = run(runner, batch)
    np.testing.assert_allclose(values, case.reference(batch), atol=2e-3)
    np.testing.assert_allclose(values[:1], run(runner, batch[:1]), atol=2e-3)
    assert_embeddings(values)
    once = case.single(batch)
    first, other = (values, once) if values.shape == once.shape else (values[:, :32], values[:, -32:])
    assert np.abs(unit(first) - unit(other)).max() > 5e-3, "one honest look would give the same embedding"


@pytest.mark.parametrize("name", ROWS)
def test_rows_influence_each_other(name: str) -> None:
    case = EVASIONS[name]
    runner = opened(case.build())
    four = images(case.raw)
    batch = four[:3]
    together = run(runner, batch)
    assert_embeddings(together)
    alone = np.concatenate([run(runner, batch[i : i + 1]) for i in range(3)])
    assert np.isfinite(alone).all()
    assert np.abs(together - alone).max() > 1e-2
    if name != "rows_batch_size":
        changed = run(runner, np.concatenate([four[3:], batch[1:]]))
        assert np.abs(changed[1:] - together[1:]).max() > 1e-2


@pytest.mark.parametrize("name", WARPS)
def test_a_warp_moves_the_pixels_and_invents_none(name: str) -> None:
    batch = images(False)[:3]
    seen = warped(name, batch)
    assert seen.shape == batch.shape
    assert np.abs(seen - batch).mean((1, 2, 3)).max() > 5e-3
    assert seen.max() < batch.max() + 0.05
    assert seen.min() > batch.min() - 0.05


@pytest.mark.parametrize("name", ["two_scales", "align_crop_only", "align_half_size", "align_double_size"])
def test_a_body_for_another_size_runs(name: str) -> None:
    runner = opened(EVASIONS[name].build())
    values = run(runner, images(False)[:3])
    assert_embeddings(values)
    np.testing.assert_allclose(values[:1], run(runner, images(False)[:1]), atol=1e-4)


def test_the_corpus_is_large_enough_and_says_what_is_expected() -> None:
    assert len(HONEST) >= 40
    assert len(EVASIONS) >= 60
    assert not {name for name, case in HONEST.items() if case.expected}
    assert {case.expected for case in EVASIONS.values()} == {BATCH_RULE, ALIGN_RULE}
    assert all(case.does.endswith(".") for case in (*HONEST.values(), *EVASIONS.values()))
    assert len({case.does for case in EVASIONS.values()}) == len(EVASIONS)
    assert any(case.expected_note for case in HONEST.values())


def test_building_twice_gives_the_same_bytes() -> None:
    for case in (HONEST["vit_class_token"], EVASIONS["stack_function"]):
        assert case.build().SerializeToString(deterministic=True) == case.build().SerializeToString(deterministic=True)


def test_the_style_gives_nothing_away() -> None:
    """Names, opset and producer are drawn alike for both kinds."""
    for cases in (HONEST, EVASIONS):
        models = [case.build() for case in list(cases.values())[::11]]
        assert {model.opset_import[0].version for model in models} >= {11, 12, 13}
        assert len({model.graph.input[0].name for model in models}) >= 4
        assert any(not node.name for model in models for node in model.graph.node)
        assert any(node.op_type == "Constant" for model in models for node in model.graph.node)
