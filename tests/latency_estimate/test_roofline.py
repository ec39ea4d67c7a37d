"""Launches of a graph, and the model fitted on the published times."""

from __future__ import annotations

from math import prod
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pytest_facechallenge.analyses.latency.launches import count_launches, facts_of
from pytest_facechallenge.core.facts.latency import LaunchGroup
from pytest_facechallenge.latency_estimate.estimate import launch_count
from pytest_facechallenge.latency_estimate.published import published, row_spread
from pytest_facechallenge.latency_estimate.references import NAMES, launches
from pytest_facechallenge.latency_estimate.roofline import GPUS, Constants, fit, held_out, model, predict, variable_part
from pytest_facechallenge.onnx_graph.ir import from_model
from tests.analyses.latency.nets import launch_facts, mfr21

V100 = GPUS["Tesla V100"]


def small(*nodes: onnx.NodeProto, **initializers: tuple[int, ...]) -> list[LaunchGroup]:
    constants = [
        helper.make_tensor(name, TensorProto.FLOAT, shape, [1.0] * prod(shape)) for name, shape in initializers.items()
    ]
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 8, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        constants,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    return list(facts_of(from_model(made, Path())).groups)


def test_a_convolution_is_one_launch_and_its_bias_another() -> None:
    conv = helper.make_node("Conv", ["x", "w", "b"], ["y"], kernel_shape=[1, 1])
    bias, kernel = sorted(small(conv, w=(16, 8, 1, 1), b=(16,)), key=lambda group: group.kind, reverse=True)
    assert (kernel.kind, kernel.flops, kernel.bytes) == ("conv", 2 * 16 * 8 * 16, 4 * (8 * 16 + 16 * 8 + 16 + 16 * 16))
    assert (kernel.outputs, bias.outputs) == (256, 0)
    assert (bias.kind, bias.flops, bias.bytes, bias.count) == ("pointwise", 256, 2048, 1)


def test_a_grouped_convolution_is_of_another_kind() -> None:
    conv = helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[1, 1], group=8)
    (group,) = small(conv, w=(8, 1, 1, 1))
    assert group.kind == "depthwise"


def test_batchnorm_behind_a_convolution_is_folded_and_elsewhere_a_launch() -> None:
    conv = helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[1, 1])
    norm = dict.fromkeys(("s", "o", "m", "v"), (8,))
    behind = helper.make_node("BatchNormalization", ["c", "s", "o", "m", "v"], ["y"])
    folded = small(conv, behind, w=(8, 8, 1, 1), **norm)
    assert [(group.kind, group.count) for group in folded] == [("conv", 1), ("pointwise", 1)]
    before = helper.make_node("BatchNormalization", ["x", "s", "o", "m", "v"], ["c"])
    relu = helper.make_node("Relu", ["c"], ["y"])
    assert launch_count(small(before, relu, **norm)) == 2


def test_views_and_work_on_sizes_launch_nothing() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Flatten", ["x"], ["f"]),
        helper.make_node("Reshape", ["f", "s"], ["r"]),
        helper.make_node("Relu", ["r"], ["y"]),
    ]
    assert [(group.kind, group.count) for group in small(*nodes)] == [("pointwise", 1)]


def test_a_loop_is_a_problem_and_not_silently_free() -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Relu", ["a"], ["b"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
            helper.make_tensor_value_info("a", TensorProto.FLOAT, [1, 8, 4, 4]),
        ],
        [
            helper.make_tensor_value_info("d", TensorProto.BOOL, []),
            helper.make_tensor_value_info("b", TensorProto.FLOAT, [1, 8, 4, 4]),
        ],
    )
    loop = helper.make_node("Loop", ["three", "", "x"], ["y"], name="turns", body=body)
    graph = helper.make_graph(
        [loop],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [helper.make_tensor("three", TensorProto.INT64, [], [3])],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    facts = facts_of(from_model(made, Path()))
    assert "turns" in facts.problems[0]


def test_the_recorded_launches_are_those_of_the_networks() -> None:
    assert tuple(launches()) == NAMES
    assert count_launches("iresnet18").groups == launches()["iresnet18"]
    counts = [launch_count(launches()[name]) for name in NAMES]
    flops = [sum(group.count * group.flops for group in launches()[name]) for name in NAMES]
    assert counts == sorted(counts)
    assert flops == sorted(flops)


def test_published_times_are_the_rows_of_the_rulebook() -> None:
    points = {point.name: point for point in published(mfr21())}
    assert tuple(points) == NAMES
    assert points["iresnet18"].rows == (1.856, 2.013)
    assert points["iresnet18"].ms == pytest.approx(1.9345)
    assert len(points["iresnet100"].rows) == 4
    assert points["iresnet200"].ms == 13.48
    assert 0.01 < row_spread(list(points.values())) < 0.04


def test_each_published_time_is_modelled_within_five_percent_from_the_other_four() -> None:
    errors = {held.name: held.error for held in held_out(published(mfr21()), V100)}
    assert set(errors) == set(NAMES)
    assert all(abs(error) <= 0.05 for error in errors.values()), errors
    assert max(abs(held.error) for held in held_out(published(mfr21()), V100, full=True)) > 0.07


def test_the_kept_constants_explain_the_points_and_differ_in_what_launches_cost() -> None:
    found = fit(published(mfr21()), V100)
    assert found.error[0] == found.error.min()
    assert found.tile[0] > 0
    assert found.error.max() <= 0.06
    assert found.overhead.min() < 0.004
    assert found.overhead.max() > 0.010


def test_a_convolution_with_few_outputs_takes_longer_than_its_operations_say() -> None:
    late, early = (LaunchGroup(kind="conv", flops=10**8, bytes=10, count=1, outputs=n) for n in (25_000, 50_000))
    constants = Constants(*(np.array([value]) for value in (0.0, 0.5, 0.5, 2048.0)))
    times = [float(variable_part([group], V100, constants)[0]) for group in (late, early)]
    assert times[0] == pytest.approx(2 * times[1])
    full = constants._replace(tile=np.zeros(1))
    assert float(variable_part([late], V100, full)[0]) == pytest.approx(10**8 / (0.5 * V100.peak))


@pytest.mark.parametrize("name", ["mobilefacenet", "vit-small"])
def test_networks_unlike_the_references_get_visibly_wider_intervals(name: str) -> None:
    points = published(mfr21())
    ordinary = model(launch_facts("iresnet50").groups, points, V100)
    strange = model(launch_facts(name).groups, points, V100)
    assert ordinary.unfamiliar == 0
    assert strange.unfamiliar > 0.05
    assert strange.high / strange.low > 3 * (ordinary.high / ordinary.low)


def test_a_modelled_interval_holds_the_published_time() -> None:
    points = published(mfr21())
    for point in points:
        estimate = model(launches()[point.name], points, V100)
        assert estimate.low < point.ms < estimate.high


def test_the_best_constants_come_first() -> None:
    points = published(mfr21())
    found = fit(points, V100)
    errors = [abs(float(predict(launches()[point.name], found, V100)[0]) / point.ms - 1) for point in points]
    assert max(errors) < 0.09
