"""Rule no-float16 at its limits; whole models are judged in tests/evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from evaluation.cases import get
from evaluation.float16.builder import COUNT
from evaluation.float16.builder import WeightBuilder as Net
from evaluation.graph_shows import stored
from evaluation.graph_shows.network import Net as Embedder
from evaluation.product import observe_weights
from pytest_facechallenge.analyses.weights import formulas
from pytest_facechallenge.checks.weights import no_float16
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.outcome import Outcome, Status
from pytest_facechallenge.core.rulebook import Rule, Rulebook, RuleTable, TrackTable
from pytest_facechallenge.onnx_graph.ir import from_model


def rule(**parameters: int) -> Rule:
    table = RuleTable(clause="Rules 10", text="", check="no_float16", limit=4, parameters=parameters)
    book = Rulebook(
        schema="facechallenge-rulebook/1",
        id="test",
        title="",
        version="1",
        date="",
        source="",
        tracks={"A": TrackTable(title="A")},
        rules={"no-float16": table},
    )
    return book.rules_of("A")[0]


def judge(model: onnx.ModelProto) -> Outcome:
    return no_float16(Facts.of(observe_weights(model)), rule())


@pytest.mark.parametrize(("table", "status"), [(COUNT, Status.PASSED), (COUNT - 1, Status.FAILED)])
def test_a_table_read_by_indices_needs_an_entry_for_each_weight(table: int, status: Status) -> None:
    net = Net()
    index = net.store("index", net.codes(np.int64, high=COUNT - 1))
    net.node("Gather", [net.store("table", net.floats(table)), index], "W")

    assert judge(net.model()).status is status


@pytest.mark.parametrize(("values", "status"), [(16, Status.PASSED), (17, Status.FAILED)])
def test_sixteen_integers_are_a_parameter_and_seventeen_are_weights(values: int, status: Status) -> None:
    net = Net()
    codes = net.cast(net.store("q", net.codes(np.int8, values)), "f")
    total = net.node("ReduceSum", ["x"], "total", keepdims=0)
    net.node("Mul", [total, codes], "unused")

    assert judge(net.model()).status is status


@pytest.mark.parametrize(("limit", "status"), [(24, Status.PASSED), (23, Status.FAILED)])
def test_small_integers_are_counted_together(limit: int, status: Status) -> None:
    net = Net()
    for i in range(2):
        codes = net.cast(net.store(f"q{i}", net.codes(np.int8, 12)), f"f{i}")
        net.node("Mul", [net.node("ReduceSum", ["x"], f"total{i}", keepdims=0), codes], f"unused{i}")
    facts = observe_weights(net.model())

    assert facts.small_integers == 24
    assert no_float16(Facts.of(facts), rule(small_constants=limit)).status is status


def test_evidence_names_tensor_type_bytes_and_reader() -> None:
    model = get("float16_initializer_and_cast").build()

    outcome = judge(model)

    assert outcome.evidence[0].where == "initializer 'h'"
    assert outcome.evidence[0].what == "432 elements of float16, 864 bytes, read by node 'Cast_0'"
    assert outcome.measured == "2 bytes per weight (float16)"
    assert outcome.limit == ">= 4 bytes per weight"


@pytest.mark.parametrize(
    ("name", "kind", "weights", "values"),
    [
        ("int8_with_cast_and_mul", "integers", COUNT, 16),
        ("codebook_of_scalars", "codebook", COUNT, 16),
        ("codebook_with_narrow_indices", "codebook", COUNT, 16),
        ("pairs_in_float32_by_floor", "packed", COUNT, COUNT // 2 + 1),
        ("int64_unpacked_by_a_broadcast_shift", "packed", COUNT, COUNT // 8 + 9),
        ("strings_cast_to_float", "text", COUNT, 0),
    ],
)
def test_counts_weights_and_the_numbers_they_come_from(name: str, kind: str, weights: int, values: int) -> None:
    model = get(name).build()

    (pool,) = observe_weights(model).shared

    assert (pool.kind, pool.weights, pool.values) == (kind, weights, values)


def test_a_number_of_weights_known_only_when_running_is_undecided() -> None:
    net = Net()
    packed = net.store("p", net.codes(np.float32, 1, 192, 1, high=2**24))
    lit = net.node("Unsqueeze", [net.node("NonZero", ["x"], "lit"), net.store("first", np.array([0]))], "one")
    wide = net.node(
        "Expand",
        [
            packed,
            net.node(
                "Shape", [net.node("ReduceSum", [lit, net.store("places", np.array([1]))], "few", keepdims=1)], "s"
            ),
        ],
        "wide",
    )
    net.node("Mul", [lit, net.node("Floor", [wide], "parts")], "unused")

    assert judge(net.model()).status is Status.UNDECIDED


@pytest.mark.parametrize(("parts", "status"), [(1, Status.PASSED), (2, Status.FAILED)])
def test_what_is_made_again_for_each_image_of_a_batch_counts_once(parts: int, status: Status) -> None:
    """One whole part of each number is no more than is stored; two parts are."""
    net = Net()
    packed = net.store("p", net.codes(np.float32, 1, 3, 8, 8, high=2**24))
    wide = net.node("Expand", [packed, net.node("Shape", ["x"], "s")], "wide")
    whole = net.node("Floor", [wide], "whole")
    net.node("Mul", ["x", whole], "unused")
    if parts == 2:
        net.node("Mul", ["x", net.node("Sub", [wide, whole], "left")], "unused_too")

    assert judge(net.model()).status is status


@pytest.mark.parametrize(("most", "status"), [(1 << 22, Status.FAILED), (1_000, Status.UNDECIDED)])
def test_codes_of_which_nobody_knows_how_many_are_no_silent_pass(
    most: int, status: Status, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compress hides a size from the graph's shapes; values beyond a limit are not worked out."""
    monkeypatch.setattr(formulas, "MOST", most)
    net = Embedder(1, 13)
    e = net.embedding(net.x)
    codes = net.store("codes", net.rng("codes").uniform(0, stored.LEVELS - 1, (stored.CODES, 1)).astype(np.float32))
    kept = net.op("Compress", codes, net.store("kept", np.ones(stored.CODES, bool)), axis=0)
    far = net.op("Sub", kept, net.store("levels", np.arange(stored.LEVELS, dtype=np.float32)[None]))
    chosen = net.op("Softmax", net.op("Mul", net.op("Mul", far, far), -40.0), axis=1)
    assert judge(net.model(stored.looked_up(net, e, chosen))).status is status


def test_a_cast_to_float16_at_run_time_is_noted() -> None:
    model = get("cast_to_float16_when_running").build()

    outcome = judge(model)

    assert len(outcome.notes) == 1
    assert "Cast_0" in outcome.notes[0]


def test_an_untrue_declared_shape_is_not_believed() -> None:
    model = get("int64_unpacked_by_a_broadcast_shift").build()
    lies = [onnx.helper.make_tensor_value_info(value, onnx.TensorProto.UINT64, [1]) for value in ("m", "s")]
    model.graph.value_info.extend(lies)

    assert judge(model).status is Status.FAILED


def test_loops_in_loops_do_not_double_the_work() -> None:
    info = onnx.helper.make_tensor_value_info
    body = None
    for depth in range(25):
        inner = onnx.helper.make_node("Identity", ["w"], ["w2"])
        if body is not None:
            inner = onnx.helper.make_node("Loop", ["n", "", "w"], ["w2"], name=f"loop{depth}", body=body)
        body = onnx.helper.make_graph(
            [onnx.helper.make_node("Identity", ["c"], ["c2"]), inner],
            f"body{depth}",
            [info("i", onnx.TensorProto.INT64, []), info("c", onnx.TensorProto.BOOL, []), info("w", 1, None)],
            [info("c2", onnx.TensorProto.BOOL, []), info("w2", 1, None)],
        )
    net = Net()
    net.node("Loop", [net.store("n", np.array(1)), "", net.cast(net.store("q", net.codes()), "f")], "W", body=body)

    assert judge(net.model()).status is Status.FAILED


@pytest.mark.parametrize(
    ("curve", "passes"), [(None, True), ("Sin", False), ("Floor", False)], ids=["places", "of-a-sine", "of-rounding"]
)
def test_a_stored_table_is_read_at_places_of_a_range_as_a_kernel_is_used_at_each(
    curve: str | None, passes: bool
) -> None:
    net = Net()
    ends = [net.store(name, np.array(value, np.float32)) for name, value in (("a", 0), ("b", COUNT), ("c", 1))]
    place = net.node("Mul", [net.node("Range", ends, "range"), net.store("scale", np.float32(0.37))], "place")
    if curve:
        place = net.node("Sub", [place, net.node(curve, [place], "curved")], "bent")
        place = net.node("Mul", [place, net.store("size", np.float32(COUNT // 8))], "spread")
    index = net.node("Cast", [place], "index", to=onnx.TensorProto.INT64)
    net.node("Gather", [net.store("table", net.floats(COUNT // 2)), index], "W")

    assert (judge(net.model()).status is Status.PASSED) is passes


@pytest.mark.parametrize(
    ("mode", "status"), [("linear", Status.UNDECIDED), ("cubic", Status.UNDECIDED), ("nearest", Status.PASSED)]
)
def test_weights_between_stored_ones_are_undecided_and_copies_pass(mode: str, status: Status) -> None:
    """Interpolation makes weights that are stored nowhere, of which each is a sum of stored ones."""
    net = Net()
    small = net.store("small", net.floats(COUNT // 16).reshape(1, 1, 3, -1))
    large = net.node("Resize", [small, "", net.store("scales", np.array([1, 1, 4, 4], np.float32))], "large", mode=mode)
    net.node("Reshape", [large, net.store("shape", np.array([-1]))], "W")
    outcome = judge(net.model())
    assert outcome.status is status, outcome.message
    if status is Status.UNDECIDED:
        assert f"interpolation makes {COUNT // 16 * 16} weights of {COUNT // 16} stored numbers" in outcome.message


def test_a_gate_beside_one_minus_it_is_no_store_of_weights() -> None:
    """Of 48 weights 24 are stored, in a file of thousands."""
    net = Net()
    net.store("W", net.floats(COUNT))
    net.store("others", net.floats(4000))
    total = net.node("ReduceSum", ["x"], "total", keepdims=0)
    gate = net.node("Sigmoid", [net.store("gate", net.floats(24))], "open")
    for number, weights in enumerate((gate, net.node("Sub", [net.store("one", np.float32(1)), gate], "shut"))):
        net.node("Mul", [total, weights], f"unused_{number}")
    outcome = judge(net.model())
    assert outcome.status is Status.PASSED
    assert any("too little to hold weights" in note for note in outcome.notes)


@pytest.mark.parametrize(("others", "status"), [(60_000, Status.PASSED), (4_000, Status.FAILED)])
def test_windows_of_stored_middles_are_no_store_in_a_file_of_many_weights(others: int, status: Status) -> None:
    """Bells around 32 stored middles over 8 places: 256 weights, 224 more than are stored."""
    net = Net()
    net.store("W", net.floats(COUNT))
    net.store("others", net.floats(others))
    off = net.node(
        "Sub", [net.store("at", np.arange(8, dtype=np.float32)), net.store("middles", net.floats(32)[:, None])], "off"
    )
    bells = net.node("Exp", [net.node("Neg", [net.node("Mul", [off, off], "squared")], "negative")], "bells")
    total = net.node("ReduceSum", ["x"], "total", keepdims=0)
    net.node("MatMul", [net.node("Expand", [total, net.store("width", np.array([1, 32]))], "wide"), bells], "unused_0")
    assert judge(net.model()).status is status


def test_many_gates_beside_one_minus_each_are_a_store() -> None:
    """A store in pieces: no piece is large, and all of them together are."""
    net = Net()
    net.store("W", net.floats(COUNT))
    net.store("others", net.floats(4000))
    total = net.node("ReduceSum", ["x"], "total", keepdims=0)
    for number in range(60):
        gate = net.node("Sigmoid", [net.store(f"gate_{number}", net.floats(24))], f"open_{number}")
        shut = net.node("Sub", [net.store(f"one_{number}", np.float32(1)), gate], f"shut_{number}")
        for weights in (gate, shut):
            net.node("Mul", [total, weights], f"unused_{weights}")
    assert judge(net.model()).status is Status.FAILED


@pytest.mark.parametrize("op", ["Expand", "Tile", "ConstantOfShape", "Range", "OneHot", "MatMul", "Add"])
def test_what_would_be_too_large_to_work_out_is_not_made(op: str) -> None:
    """A formula's size is known before it takes any memory; so many are not asked for."""
    net = Net()
    far = 1 << 25
    few = net.store("few", net.floats(1))
    sizes = net.store("sizes", np.array([far, far]))
    square = net.node("Reshape", [few, net.store("square", np.array([1, 1]))], "matrix")
    match op:
        case "Expand" | "Tile":
            made = net.node(op, [square, sizes], "made")
        case "ConstantOfShape":
            made = net.node(op, [sizes], "made")
        case "Range":
            ends = [net.store(f"end{at}", np.int64(value)) for at, value in enumerate((0, far, 1))]
            made = net.cast(net.node(op, ends, "steps"), "made")
        case "OneHot":
            levels = net.store("levels", np.array([0, 1], np.float32))
            made = net.node(
                op, [net.store("which", np.zeros(9, np.int64)), net.store("depth", np.int64(far * far)), levels], "made"
            )
        case _:
            row = net.store("row", np.zeros((1 << 20, 1), np.float32))
            made = net.node(op, [row, net.node("Transpose", [row], "column")], "made")
    net.node("Mul", ["x", net.node("ReduceSum", [net.node("Floor", [made], "whole")], "sum", keepdims=0)], "unused")
    assert elements_made_of(net, op) > formulas.MOST
    judge(net.model())


def elements_made_of(net: Net, op: str) -> int:
    graph = from_model(net.model(), Path())
    node = next(each for each in graph.nodes if each.op == op)
    evaluation = formulas.Evaluation(graph)
    return formulas.elements_made(node, [evaluation.value(name) for name in node.inputs])
