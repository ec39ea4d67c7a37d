"""Rule helper-verdict: each check of the organisers' checker, at its limit and just beyond, in its order."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.organisers_checker import gather as gathering
from pytest_facechallenge.analyses.server import compatibility
from pytest_facechallenge.analyses.weights import gather as weights
from pytest_facechallenge.checks.organisers_checker import helper_verdict
from pytest_facechallenge.core.facts.base import Facts, StepFacts
from pytest_facechallenge.core.facts.compatibility import CompatibilityFacts
from pytest_facechallenge.core.facts.organisers_checker import OrganisersCheckerFacts
from pytest_facechallenge.core.facts.package import Entry, PackageFacts
from pytest_facechallenge.core.facts.weights import WeightsFacts
from pytest_facechallenge.core.outcome import Outcome, Status
from pytest_facechallenge.core.rulebook import Rule, Rulebook, RuleTable, Runtime, TrackTable
from pytest_facechallenge.core.run_options import RunOptions


def rule(limit: int = 512, **parameters: Any) -> Rule:
    table = RuleTable(clause="Rules 11", text="", check="helper_verdict", limit=limit, parameters=parameters)
    book = Rulebook(
        schema="facechallenge-rulebook/1",
        id="test",
        title="",
        version="1",
        date="",
        source="",
        tracks={"A": TrackTable(title="A")},
        rules={"helper-verdict": table},
        runtime=Runtime(onnxruntime="1.6.0", max_opset=13, max_ir_version=7, max_ml_opset=2),
    )
    return book.rules_of("A")[0]


def model_of(
    *,
    batch: int | str = "N",
    side: int = 112,
    nodes: int = 8,
    opset: int = 13,
    first_name: str = "a",
    tail: str = "Identity",
    reshape: tuple[int, ...] = (),
    extra: tuple[onnx.TensorProto, ...] = (),
) -> onnx.ModelProto:
    """Build average pooling -> flatten -> Gemm -> Identity … -> ``tail``, with exactly ``nodes`` nodes."""
    kernel = np.random.default_rng(2).standard_normal((3 * 49, 16)).astype(np.float32)
    stored = [numpy_helper.from_array(kernel, "fc"), numpy_helper.from_array(np.zeros(16, np.float32), "bias"), *extra]
    chain = [
        helper.make_node(
            "AveragePool", ["x"], ["v0"], first_name, kernel_shape=[side // 7] * 2, strides=[side // 7] * 2
        ),
        helper.make_node("Flatten", ["v0"], ["v1"], "b"),
        helper.make_node("Gemm", ["v1", "fc", "bias"], ["v2"], "c"),
    ]
    for i in range(3, nodes):
        last, value = i == nodes - 1, f"v{i - 1}"
        if last and reshape:
            stored.append(numpy_helper.from_array(np.array(reshape), "shape"))
            chain.append(helper.make_node("Reshape", [value, "shape"], ["y"], f"n{i}"))
        else:
            chain.append(helper.make_node(tail if last else "Identity", [value], ["y" if last else f"v{i}"], f"n{i}"))
    graph = helper.make_graph(
        chain,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, side, side])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        stored,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)


def facts_of(model: onnx.ModelProto, folder: Path, *beside: str) -> Facts:
    path = folder / "model.onnx"
    onnx.save(model, str(path))
    entries = tuple(Entry(name=name, bytes=1, kind="onnx") for name in ("model.onnx", *beside))
    package = PackageFacts(
        form="onnx",
        entries=entries,
        model_path=str(path),
        model_name="model.onnx",
        sha256="",
        bytes=path.stat().st_size,
    )
    context = Context(path, folder, Facts.of(package), RunOptions(threads=1))
    return Facts.of(gathering.gather(context), compatibility.gather(context), weights.gather(context))


def judge(model: onnx.ModelProto, folder: Path, *beside: str, limit: int = 512, **parameters: Any) -> Outcome:
    return helper_verdict(facts_of(model, folder, *beside), rule(limit, **parameters))


def test_a_model_it_accepts(tmp_path: Path) -> None:
    outcome = judge(model_of(), tmp_path, checker_track="ms1m")

    assert outcome.status is Status.PASSED, outcome
    assert "track ms1m" in outcome.message
    assert "(pixel - 127.5) / 127.5" in outcome.message
    assert len(outcome.evidence) == 14


def small(name: str, dtype: Any) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array([1, 0, 1], dtype), name)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "opset": ({"opset": 14}, "loading"),
    "operator": ({"tail": "NoSuchOperator"}, "loading"),
    "seven nodes": ({"nodes": 7}, "nodes"),
    "113 pixels": ({"side": 113}, "size of the image"),
    "int8": ({"extra": (small("mask", np.int8),)}, "width of the initializers"),
    "bool": ({"extra": (small("mask", bool),)}, "width of the initializers"),
    "float16": ({"extra": (small("half", np.float16),)}, "width of the initializers"),
    "fixed reshape": ({"reshape": (1, 16)}, "a batch of 32 copies"),
    "not a number": ({"tail": "Log"}, "a batch of 32 copies"),
    "one axis": ({"reshape": (-1,)}, "axes of the output"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_where_it_stops(name: str, tmp_path: Path) -> None:
    given, where = REFUSED[name]

    outcome = judge(model_of(**given), tmp_path)

    assert outcome.status is Status.FAILED, outcome
    assert f"({where})" in outcome.message
    assert outcome.measured.endswith(where)
    assert "stops" in outcome.evidence[-1].what
    assert outcome.remedy


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float64])
def test_four_bytes_an_element_are_enough(dtype: Any, tmp_path: Path) -> None:
    assert judge(model_of(extra=(small("constant", dtype),)), tmp_path).status is Status.PASSED


@pytest.mark.parametrize(("limit", "status"), [(16, Status.PASSED), (15, Status.FAILED)])
def test_length_of_the_feature(limit: int, status: Status, tmp_path: Path) -> None:
    assert judge(model_of(), tmp_path, limit=limit).status is status


@pytest.mark.parametrize(("extra_bytes", "status"), [(0, Status.PASSED), (1, Status.FAILED)])
def test_size_of_the_file(extra_bytes: int, status: Status, tmp_path: Path) -> None:
    facts = facts_of(model_of(), tmp_path)
    found = msgspec.structs.replace(facts.need(OrganisersCheckerFacts), bytes=1024 * 2**20 + extra_bytes)
    facts.gathered["organisers_checker"] = found

    assert helper_verdict(facts, rule()).status is status


def test_a_fixed_batch_is_repaired(tmp_path: Path) -> None:
    outcome = judge(model_of(batch=1), tmp_path)

    assert outcome.status is Status.PASSED
    assert "made symbolic" in outcome.evidence[3].what
    assert not (tmp_path / "helper_repaired.onnx").exists()


def test_the_last_file_by_name_is_taken(tmp_path: Path) -> None:
    outcome = judge(model_of(), tmp_path, "new.onnx")

    assert outcome.status is Status.FAILED
    assert "'new.onnx', not 'model.onnx'" in outcome.message


def test_a_swallowed_batch_is_accepted_by_it_and_told(tmp_path: Path) -> None:
    outcome = judge(model_of(reshape=(1, -1)), tmp_path)

    assert outcome.status is Status.PASSED
    assert any("32 images give 1" in note for note in outcome.notes)


def test_its_mistake_about_harmless_integers_is_told(tmp_path: Path) -> None:
    outcome = judge(model_of(extra=(small("mask", np.int8),)), tmp_path)

    assert any("mistaken about 'mask'" in note for note in outcome.notes)


def test_half_weights_that_it_misses_are_told(tmp_path: Path) -> None:
    model = model_of()
    half = numpy_helper.from_array(np.ones(3, np.float16), "half")
    model.graph.node.insert(0, helper.make_node("Constant", [], ["h"], value=half))

    outcome = judge(model, tmp_path)

    assert outcome.status is Status.PASSED
    assert any("misses Constant node 'h'" in note for note in outcome.notes)


def test_facts_survive_json(tmp_path: Path) -> None:
    facts = facts_of(model_of(), tmp_path)
    kinds: tuple[Any, ...] = (OrganisersCheckerFacts, CompatibilityFacts, WeightsFacts)

    for kind in kinds:
        found = facts.need(kind)
        assert msgspec.json.decode(msgspec.json.encode(found), type=kind) == found


class EarlierRun(msgspec.Struct, frozen=True):
    size: int
    error: str = ""
    shapes: tuple[tuple[int, ...], ...] = ()
    finite: bool = True


class EarlierFacts(StepFacts, frozen=True, kw_only=True):
    step: ClassVar[str] = "batch"

    runs: tuple[EarlierRun, ...]


def test_runs_of_the_step_batch_are_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(model_of(tail="NoSuchOperator"), str(path))  # would not load if it were run again
    package = PackageFacts(form="onnx", entries=(), model_path=str(path), model_name="m.onnx", sha256="", bytes=1)
    runs = EarlierFacts(runs=(EarlierRun(1, shapes=((1, 9),)), EarlierRun(32, shapes=((32, 9),), finite=False)))

    found = gathering.gather(Context(path, tmp_path, Facts.of(package, runs), RunOptions()))

    assert (found.load_error, found.single_error, found.batch_shape) == ("", "", (32, 9))
    assert found.batch_sum_finite is False


@pytest.mark.parametrize("finite", [True, False])
def test_copies_of_one_image_give_its_row_where_the_graph_tells_images_apart(finite: bool, tmp_path: Path) -> None:
    """Then the step ``batch`` runs no batch of 32; what the checker's would give follows from one image."""
    path = tmp_path / "model.onnx"
    onnx.save(model_of(), str(path))
    package = PackageFacts(form="onnx", entries=(), model_path=str(path), model_name="m.onnx", sha256="", bytes=1)
    run = gathering.gather(Context(path, tmp_path, Facts.of(package), RunOptions(threads=1)))
    single = EarlierRun(1, shapes=((1, *run.batch_shape[1:]),), finite=finite)
    runs = EarlierFacts(runs=(single, EarlierRun(7)))

    found = gathering.gather(Context(path, tmp_path, Facts.of(package, runs), RunOptions(threads=1)))

    assert run.batch_sum_finite is True
    assert found == msgspec.structs.replace(run, batch_sum_finite=finite)


def test_a_smaller_batch_that_fails_is_no_reason_to_say_that_32_run(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(model_of(), str(path))
    package = PackageFacts(form="onnx", entries=(), model_path=str(path), model_name="m.onnx", sha256="", bytes=1)
    run = gathering.gather(Context(path, tmp_path, Facts.of(package), RunOptions(threads=1)))
    runs = EarlierFacts(runs=(EarlierRun(1, shapes=((1, 99),)), EarlierRun(7, error="out of memory")))

    assert gathering.gather(Context(path, tmp_path, Facts.of(package, runs), RunOptions(threads=1))) == run


def test_a_side_file_outside_the_folder_is_not_opened(tmp_path: Path) -> None:
    model = model_of()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret.bin")

    outcome = judge(model, tmp_path)

    assert outcome.status is Status.FAILED
    assert "'../secret.bin', outside the model's folder" in outcome.message
