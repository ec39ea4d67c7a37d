"""Rule no-float16 on whole models: hiding places fail, honest constants pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from pytest_facechallenge.analyses.weights.gather import gather
from pytest_facechallenge.checks.weights import no_float16
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.weights import WeightsFacts
from pytest_facechallenge.core.outcome import Outcome, Status
from pytest_facechallenge.core.rulebook import Rule, Rulebook, RuleTable, TrackTable
from tests.analyses.weights import hiding_arithmetic, hiding_tricks
from tests.analyses.weights.hiding_places import HIDDEN
from tests.analyses.weights.honest_constants import HONEST
from tests.analyses.weights.small_net import COUNT, Net, context_of


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


def facts_of(net: Net, folder: Path) -> WeightsFacts:
    return gather(context_of(net.model(), folder))


def judge(net: Net, folder: Path) -> Outcome:
    return no_float16(Facts.of(facts_of(net, folder)), rule())


@pytest.mark.parametrize("name", HIDDEN)
def test_hiding_place_fails(name: str, tmp_path: Path) -> None:
    net = Net()
    HIDDEN[name](net)

    outcome = judge(net, tmp_path)

    assert outcome.status is Status.FAILED, outcome
    assert outcome.evidence
    assert outcome.remedy


@pytest.mark.parametrize("name", HONEST)
def test_honest_constant_passes(name: str, tmp_path: Path) -> None:
    net = Net()
    HONEST[name](net)

    outcome = judge(net, tmp_path)

    assert outcome.status is Status.PASSED, outcome


def test_the_tables_are_as_long_as_promised() -> None:
    assert len(HIDDEN) >= 25
    assert hiding_tricks.codebook_of_scalars.__name__ in HIDDEN  # the other modules are in the table
    assert hiding_arithmetic.pairs_in_float32_by_sine.__name__ in HIDDEN
    assert len(HONEST) >= 15


@pytest.mark.parametrize(("table", "status"), [(COUNT, Status.PASSED), (COUNT - 1, Status.FAILED)])
def test_a_table_read_by_indices_needs_an_entry_for_each_weight(table: int, status: Status, tmp_path: Path) -> None:
    net = Net()
    index = net.store("index", net.codes(np.int64, high=COUNT - 1))
    net.node("Gather", [net.store("table", net.floats(table)), index], "W")

    assert judge(net, tmp_path).status is status


@pytest.mark.parametrize(("values", "status"), [(16, Status.PASSED), (17, Status.FAILED)])
def test_sixteen_integers_are_a_parameter_and_seventeen_are_weights(
    values: int, status: Status, tmp_path: Path
) -> None:
    net = Net()
    codes = net.cast(net.store("q", net.codes(np.int8, values)), "f")
    total = net.node("ReduceSum", ["x"], "total", keepdims=0)
    net.node("Mul", [total, codes], "unused")

    assert judge(net, tmp_path).status is status


@pytest.mark.parametrize(("limit", "status"), [(24, Status.PASSED), (23, Status.FAILED)])
def test_small_integers_are_counted_together(limit: int, status: Status, tmp_path: Path) -> None:
    net = Net()
    for i in range(2):
        codes = net.cast(net.store(f"q{i}", net.codes(np.int8, 12)), f"f{i}")
        net.node("Mul", [net.node("ReduceSum", ["x"], f"total{i}", keepdims=0), codes], f"unused{i}")
    facts = facts_of(net, tmp_path)

    assert facts.small_integers == 24
    assert no_float16(Facts.of(facts), rule(small_constants=limit)).status is status


def test_evidence_names_tensor_type_bytes_and_reader(tmp_path: Path) -> None:
    net = Net()
    HIDDEN["float16_initializer_and_cast"](net)

    outcome = judge(net, tmp_path)

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
def test_counts_weights_and_the_numbers_they_come_from(
    name: str, kind: str, weights: int, values: int, tmp_path: Path
) -> None:
    net = Net()
    HIDDEN[name](net)

    (pool,) = facts_of(net, tmp_path).shared

    assert (pool.kind, pool.weights, pool.values) == (kind, weights, values)


def test_a_number_of_weights_known_only_when_running_is_undecided(tmp_path: Path) -> None:
    net = Net()
    packed = net.store("p", net.codes(np.float32, 1, 3, 8, 8, high=2**24))
    wide = net.node("Expand", [packed, net.node("Shape", ["x"], "s")], "wide")
    net.node("Mul", ["x", net.node("Floor", [wide], "parts")], "unused")

    assert judge(net, tmp_path).status is Status.UNDECIDED


def test_a_cast_to_float16_at_run_time_is_noted(tmp_path: Path) -> None:
    net = Net()
    HONEST["cast_to_float16_when_running"](net)

    outcome = judge(net, tmp_path)

    assert len(outcome.notes) == 1
    assert "Cast_0" in outcome.notes[0]


def test_an_untrue_declared_shape_is_not_believed(tmp_path: Path) -> None:
    net = Net()
    HIDDEN["int64_unpacked_by_a_broadcast_shift"](net)
    lies = [onnx.helper.make_tensor_value_info(value, onnx.TensorProto.UINT64, [1]) for value in ("m", "s")]
    net.finish.append(lambda model: model.graph.value_info.extend(lies))

    assert judge(net, tmp_path).status is Status.FAILED


def test_loops_in_loops_do_not_double_the_work(tmp_path: Path) -> None:
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

    assert judge(net, tmp_path).status is Status.FAILED
