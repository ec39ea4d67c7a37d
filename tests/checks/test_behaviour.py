"""Batches, cosine similarity and determinism: models run for real."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pytest_facechallenge.checks.batch import ROW_TOLERANCE, batch
from pytest_facechallenge.checks.behaviour import REPEAT_TOLERANCE, cosine_similarity, deterministic
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.behaviour import (
    BatchFacts,
    BatchRun,
    ImageRun,
    ImagesFacts,
    LoadFacts,
    RepeatFacts,
)
from pytest_facechallenge.core.outcome import Status
from tests.support.gathering import judge, rule
from tests.support.models import network


def tail_network(
    *nodes: onnx.NodeProto, output: str, constants: dict[str, np.ndarray[Any, Any]] | None = None, **more: Any
) -> onnx.ModelProto:
    return network(tail=nodes, output=output, constants=constants, **more)


def test_dynamic_batch_passes(tmp_path: Path) -> None:
    outcome = judge(network(), "batch", tmp_path)
    assert outcome.status is Status.PASSED
    assert outcome.measured.startswith("ran 1, 2, 7;")
    assert outcome.limit == "1, 2, 7; rows independent"


def test_a_batch_of_the_checkers_size_is_run_where_the_graph_does_not_tell_images_apart(tmp_path: Path) -> None:
    """A mean over the batch that counts for nothing: the graph shows that images meet."""
    nodes = [
        helper.make_node("ReduceMean", ["embedding", "rows"], ["company"], keepdims=1),
        helper.make_node("Mul", ["company", "nothing"], ["little"]),
        helper.make_node("Add", ["embedding", "little"], ["out"]),
    ]
    constants = {"rows": np.array([0]), "nothing": np.array(1e-9, np.float32)}
    model = tail_network(*nodes, output="out", constants=constants, opset=18)
    outcome = judge(model, "batch", tmp_path)
    assert outcome.measured.startswith("ran 1, 2, 7, 32"), outcome


def test_fixed_batch_is_repaired_as_the_server_does(tmp_path: Path) -> None:
    outcome = judge(network(batch=1), "batch", tmp_path)
    assert outcome.status is Status.PASSED
    assert "fixed to 1" in outcome.notes[0]


def test_fixed_batch_that_is_baked_in_is_found(tmp_path: Path) -> None:
    node = helper.make_node("Reshape", ["embedding", "to"], ["row"])
    model = tail_network(node, output="row", constants={"to": np.array([1, 64])}, batch=1)
    outcome = judge(model, "batch", tmp_path)
    assert outcome.status is Status.FAILED
    assert "x.flatten(1)" in outcome.remedy


def test_reshape_that_swallows_the_batch(tmp_path: Path) -> None:
    node = helper.make_node("Reshape", ["embedding", "to"], ["row"])
    model = tail_network(node, output="row", constants={"to": np.array([1, -1])}, declared_output=["N", "D"])
    outcome = judge(model, "batch", tmp_path)
    assert outcome.status is Status.FAILED
    assert "gives 1 rows instead of 2" in " ".join((outcome.message, *outcome.notes))


def test_rows_that_see_the_other_rows(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("ReduceMean", ["embedding"], ["mean"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["embedding", "mean"], ["row"]),
    ]
    outcome = judge(tail_network(*nodes, output="row"), "batch", tmp_path)
    assert outcome.status is Status.FAILED
    assert "differs from the same image's row" in " ".join((outcome.message, *outcome.notes))


def test_rows_that_depend_on_the_size_of_the_batch(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Shape", ["embedding"], ["shape"]),
        helper.make_node("Gather", ["shape", "first"], ["size"]),
        helper.make_node("Cast", ["size"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["embedding", "number"], ["row"]),
    ]
    model = tail_network(*nodes, output="row", constants={"first": np.array([0])})
    assert judge(model, "batch", tmp_path).status is Status.FAILED


def _batch_facts(difference: float) -> Facts:
    run = BatchRun(
        size=2, error="", shapes=((2, 8),), dtypes=("float32",), finite=True, worst_row=0, worst_cosine_distance=0.0,
        worst_relative_difference=difference,
    )  # fmt: skip
    load = LoadFacts(error="", asked="cpu", providers=("CPUExecutionProvider",), runtime="")
    return Facts.of(load, BatchFacts(runs=(run,), mean=127.5, std=127.5))


def test_row_tolerance_is_the_limit() -> None:
    assert batch(_batch_facts(ROW_TOLERANCE), rule("batch")).status is Status.PASSED
    assert batch(_batch_facts(ROW_TOLERANCE * 1.01), rule("batch")).status is Status.FAILED


def test_embeddings_of_a_network_are_comparable(tmp_path: Path) -> None:
    assert judge(network(), "cosine-similarity", tmp_path).status is Status.PASSED


def test_zero_embedding(tmp_path: Path) -> None:
    node = helper.make_node("Mul", ["embedding", "zero"], ["row"])
    outcome = judge(
        tail_network(node, output="row", constants={"zero": np.zeros(1, np.float32)}), "cosine-similarity", tmp_path
    )
    assert outcome.status is Status.FAILED
    assert "zero" in outcome.message


def test_constant_embedding(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Mul", ["embedding", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "one"], ["row"]),
    ]
    constants = {"zero": np.zeros(1, np.float32), "one": np.arange(1, 65, dtype=np.float32)}
    outcome = judge(tail_network(*nodes, output="row", constants=constants), "cosine-similarity", tmp_path)
    assert outcome.status is Status.FAILED
    assert "same embedding" in outcome.message


def test_division_by_a_deviation_of_nothing(tmp_path: Path) -> None:
    model = network(dim=64)
    # A black image minus its own mean is zero everywhere: 0 / 0.
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Sub", ["input", "mean"], ["centred"]),
        helper.make_node("ReduceL2", ["centred"], ["deviation"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Div", ["centred", "deviation"], ["normal"]),
    ]
    for index, node in enumerate(nodes):
        model.graph.node.insert(index, node)
    model.graph.node[4].input[0] = "normal"
    outcome = judge(model, "cosine-similarity", tmp_path)
    assert outcome.status is Status.FAILED
    assert "black" in outcome.message
    assert "not finite" in outcome.message


def _images(closest: float, pair: tuple[str, str] = ("ordinary image 0", "noise")) -> Facts:
    runs = tuple(ImageRun(image=name, error="", finite=True, norm=1.0) for name in pair)
    return Facts.of(ImagesFacts(runs=runs, alike=((*pair, closest),)))


def test_collapse_limit() -> None:
    judged = rule("cosine-similarity")
    assert cosine_similarity(_images(1 - 2e-6), judged).status is Status.PASSED
    assert cosine_similarity(_images(1 - 0.5e-6), judged).status is Status.FAILED
    assert cosine_similarity(_images(1.0, ("black", "white")), judged).status is Status.PASSED


def test_same_image_same_embedding(tmp_path: Path) -> None:
    assert judge(network(), "deterministic", tmp_path).status is Status.PASSED


def test_random_operator(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("RandomNormalLike", ["embedding"], ["noise"], scale=0.001),
        helper.make_node("Add", ["embedding", "noise"], ["row"]),
    ]
    outcome = judge(tail_network(*nodes, output="row"), "deterministic", tmp_path)
    assert outcome.status is Status.FAILED


@pytest.mark.parametrize(
    ("same", "new"), [(REPEAT_TOLERANCE * 1.01, 0.0), (0.0, REPEAT_TOLERANCE * 1.01), (float("nan"), 0.0)]
)
def test_repeat_beyond_tolerance(same: float, new: float) -> None:
    facts = Facts.of(RepeatFacts(error="", same_session=same, new_session=new, images=2))
    assert deterministic(facts, rule("deterministic")).status is Status.FAILED


def test_repeat_at_tolerance() -> None:
    facts = Facts.of(RepeatFacts(error="", same_session=REPEAT_TOLERANCE, new_session=0.0, images=2))
    assert deterministic(facts, rule("deterministic")).status is Status.PASSED


def test_model_that_does_not_run_is_undecided_not_passed(tmp_path: Path) -> None:
    model = network()
    model.graph.node[0].input[1] = "nowhere"
    for rule_id in ("batch", "output", "embedding-dim", "cosine-similarity", "deterministic"):
        assert judge(model, rule_id, tmp_path).status in (Status.UNDECIDED, Status.FAILED)
