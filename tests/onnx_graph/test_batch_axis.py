"""The axis of the images, followed through single operators and through folds; nothing is run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from evaluation.builder import untyped
from evaluation.graph_shows.network import Net
from pytest_facechallenge.onnx_graph.batch_axis import Followed, follow
from pytest_facechallenge.onnx_graph.batch_state import FlowKind
from pytest_facechallenge.onnx_graph.ir import from_model

Change = Callable[[Net, str], str]


def followed(change: Change, opset: int = 13) -> Followed:
    net = Net(1, opset)
    return follow(from_model(net.model(change(net, net.embedding(net.x))), Path()))


def kinds(change: Change, opset: int = 13) -> list[FlowKind]:
    found = followed(change, opset)
    assert not found.lost
    return [flow.kind for flow in found.flows]


def on_maps(net: Net, e: str, op: str, **attributes: object) -> str:
    return str(net.reshape(net.op(op, net.reshape(e, 0, 4, 2, 4), **attributes), 0, 32))


ALONG: dict[str, tuple[Change, int]] = {
    "mean": (lambda n, e: n.op("Sub", e, n.mean(e, 0, keep=True)), 13),
    "largest of all": (lambda n, e: n.op("Sub", e, n.op("ReduceMax", e, keepdims=0)), 13),
    "running sum": (lambda n, e: n.op("CumSum", e, np.array(0)), 13),
    "softmax": (lambda n, e: n.op("Softmax", e, axis=0), 13),
    "softmax from an axis on": (lambda n, e: n.op("Softmax", e, axis=0), 11),
    "layer norm": (lambda n, e: n.op("LayerNormalization", e, 1.0, axis=0), 17),
    "columns": (lambda n, e: n.transpose(n.op("LpNormalization", n.transpose(e, 1, 0), axis=1), 1, 0), 13),
    "sorted": (lambda n, e: n.op("Sub", e, n.ops("TopK", e, [1], outputs=2, axis=0)[0]), 13),
    "first by Gather": (lambda n, e: n.op("Sub", e, n.op("Gather", e, [0], axis=0)), 13),
    "first by Slice": (lambda n, e: n.op("Sub", e, n.cut(e, 0, 1, 0)), 13),
    "einsum": (lambda n, e: n.op("Einsum", e, e, equation="nd,nk->dk"), 13),
    "matmul": (lambda n, e: n.op("MatMul", e, n.op("MatMul", n.transpose(e, 1, 0), e)), 13),
    "gemm": (lambda n, e: n.op("Gemm", e, n.op("Gemm", e, e, transA=1)), 13),
    "maps at the default axes": (lambda n, e: on_maps(n, e, "MeanVarianceNormalization"), 13),
    "maps at named axes": (lambda n, e: on_maps(n, e, "MeanVarianceNormalization", axes=[0]), 13),
    "maps at axes from the end": (lambda n, e: on_maps(n, e, "MeanVarianceNormalization", axes=[-4]), 13),
}
MEETING: dict[str, Change] = {
    "broadcast": lambda n, e: n.op(
        "ReduceMax", n.op("Sub", n.unsqueeze(e, 1), n.unsqueeze(e, 0)), axes=[1], keepdims=0
    ),
    "gemm": lambda n, e: n.op("MatMul", n.op("Gemm", e, e, transB=1), e),
    "einsum": lambda n, e: n.op("Einsum", n.op("Einsum", e, e, equation="nd,md->nm"), e, equation="nm,md->nd"),
}
MOVED: dict[str, Change] = {
    "padded": lambda n, e: n.op("Add", e, n.slice(n.op("Pad", e, [1, 0, 0, 0]), [0], [-1], [0])),
    "backwards": lambda n, e: n.slice(e, [-1], [-(10**6)], [0], [-1]),
    "joined": lambda n, e: n.op("Concat", n.slice(e, [1], [10**6], [0]), np.zeros((1, 32), np.float32), axis=0),
}
APART: dict[str, Change] = {
    "rows of tokens": lambda n, e: n.reshape(n.op("Relu", n.reshape(e, -1, 4)), -1, 32),
    "second axis": lambda n, e: n.reshape(n.op("Relu", n.reshape(e, 1, -1, 8, 4)), -1, 32),
    "joined and split": lambda n, e: n.ops("Split", n.op("Concat", e, e, axis=0), outputs=2, axis=0)[1],
    "transposed": lambda n, e: n.transpose(n.op("Relu", n.transpose(e, 1, 0)), 1, 0),
    "repeated": lambda n, e: n.ops("Split", n.op("Tile", e, [2, 1]), outputs=2, axis=0)[0],
    "shuffled values": lambda n, e: n.op("Concat", n.cut(e, 16, 32, 1), n.cut(e, 0, 16, 1), axis=1),
    "mean of values": lambda n, e: n.op("Tile", n.mean(n.reshape(e, 0, 4, 8), 1), [1, 4]),
    "norm": lambda n, e: n.op("Div", e, n.op("ReduceL2", e, axes=[1], keepdims=1)),
    "maps at axes of their own": lambda n, e: on_maps(n, e, "MeanVarianceNormalization", axes=[1, 2, 3]),
    "one row for all": lambda n, e: n.op("Softmax", n.reshape(n.reshape(e, 1, -1), -1, 32), axis=-1),
}


@pytest.mark.parametrize("name", ALONG)
def test_what_works_along_the_batch_is_found(name: str) -> None:
    assert FlowKind.OVER_ROWS in kinds(*ALONG[name])


@pytest.mark.parametrize("name", MEETING)
def test_images_that_meet_each_other_are_found(name: str) -> None:
    assert FlowKind.PAIRS in kinds(MEETING[name])


@pytest.mark.parametrize("name", MOVED)
def test_images_at_other_places_are_found(name: str) -> None:
    assert followed(MOVED[name]).flows[0].kind is FlowKind.MOVED


@pytest.mark.parametrize("name", APART)
def test_folds_keep_images_apart(name: str) -> None:
    assert kinds(APART[name]) == []


def test_an_index_that_counts_images_is_no_flow() -> None:
    """One value of each image, as torch writes x[arange(n), best]: the rows are folded, the index counts them."""

    def change(net: Net, e: str) -> str:
        best = net.op("ArgMax", e, axis=1, keepdims=0)
        count = net.squeeze(net.count(), 0)
        rows = net.op("Mul", net.op("Range", np.array(0), count, np.array(1)), np.array(32))
        return net.unsqueeze(net.op("Gather", net.reshape(e, -1), net.op("Add", best, rows), axis=0), 1)

    found = followed(change)
    assert (found.flows, found.lost[:6]) == ((), "Gather")


def test_maps_resized_along_the_batch_are_called_lost() -> None:
    def resized(net: Net, e: str) -> str:
        twice = net.op("Resize", net.reshape(e, 0, 4, 2, 4), "", np.array([2, 1, 1, 1], np.float32))
        return str(net.slice(net.reshape(twice, -1, 32), [0], [10**6], [0], [2]))

    assert followed(resized).lost


#: Graphs of which nothing shows that an image has its own row, whatever the batch.
UNEVEN: dict[str, Change] = {
    "a stored row for each of four images": lambda n, e: n.op("Add", e, np.ones((4, 1), np.float32)),
    "an exponent for each of four images": lambda n, e: n.op("Pow", e, np.full((4, 1), 2, np.float32)),
    "one row for all": lambda n, e: n.reshape(e, 1, -1),
    "two rows for each": lambda n, e: n.op("Concat", e, e, axis=0),
    "turned": lambda n, e: n.transpose(e, 1, 0),
}


@pytest.mark.parametrize("name", UNEVEN)
def test_what_gives_an_image_no_row_of_its_own_keeps_none_apart(name: str) -> None:
    assert not followed(UNEVEN[name]).apart


@pytest.mark.parametrize("name", APART)
def test_folds_show_that_images_are_kept_apart(name: str) -> None:
    assert followed(APART[name]).apart


def test_a_fold_that_cuts_through_images_is_called_lost() -> None:
    def crossed(net: Net, e: str) -> str:
        return net.transpose(net.reshape(e, 32, -1), 1, 0)

    assert followed(crossed).lost.startswith("Reshape")


def test_a_condition_on_the_number_of_images_names_the_sizes_that_show_it() -> None:
    def change(net: Net, e: str) -> str:
        sixth = net.gate(net.op("Equal", net.op("Mod", net.count(), [6]), [5]))
        return net.op("Sub", e, net.op("Mul", net.mean(e, 0, keep=True), sixth))

    found = followed(change)
    assert found.gated == set(found.flows)
    assert {flow.kind: flow.batches for flow in found.flows} == {FlowKind.OVER_ROWS: (), FlowKind.SIZE: (1, 5)}


def test_a_number_of_images_that_cancels_out_is_no_flow() -> None:
    def change(net: Net, e: str) -> str:
        one = net.op("Div", net.op("Mul", net.count(), [3]), net.count())
        return net.op("Mul", e, net.op("Cast", one, to=1))

    assert kinds(change) == []


def test_a_flow_that_reaches_no_output_is_none() -> None:
    def change(net: Net, e: str) -> str:
        net.mean(e, 0)
        return net.op("Relu", e)

    assert kinds(change) == []


def test_bodies_and_functions_are_followed() -> None:
    def branch(net: Net, e: str) -> str:
        many = net.squeeze(net.op("Greater", net.count(kind=1), [4.0]), 0)
        return net.when(many, lambda i: i.op("Sub", e, i.mean(e, 0, keep=True)), lambda i: i.op("Identity", e))

    def scan(net: Net, e: str) -> str:
        body = net.child()
        new = body.op("Add", "state", "row")
        out = body.op("Identity", new)
        graph = body.graph([untyped("state"), untyped("row")], [untyped(new), untyped(out)])
        start = net.store("start", np.zeros(32, np.float32))
        return net.ops("Scan", start, e, outputs=2, body=graph, num_scan_inputs=1)[1]

    def each_row_by_itself(net: Net, e: str) -> str:
        body = net.child()
        out = body.op("Relu", "row")
        graph = body.graph([untyped("row")], [untyped(out)])
        return net.op("Scan", e, body=graph, num_scan_inputs=1)

    assert FlowKind.BRANCH in kinds(branch)
    assert kinds(scan) == [FlowKind.OVER_ROWS]
    assert kinds(each_row_by_itself) == []


def test_a_local_function_is_followed() -> None:
    net = Net(1, 13)
    e = net.embedding(net.x)
    nodes = [
        helper.make_node("ReduceMean", ["a"], ["m"], "inside", axes=[0]),
        helper.make_node("Sub", ["a", "m"], ["b"]),
    ]
    net.functions.append(helper.make_function("own", "centre", ["a"], ["b"], nodes, [helper.make_opsetid("", 13)]))
    net.nodes.append(helper.make_node("centre", [e], ["centred"], "call", domain="own"))
    model = net.model("centred")
    (flow,) = follow(from_model(model, Path())).flows
    assert (flow.kind, flow.op) == (FlowKind.OVER_ROWS, "ReduceMean")


def test_a_model_without_a_batch_axis_is_not_followed() -> None:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [])],
    )
    model: onnx.ModelProto = helper.make_model(graph)
    assert follow(from_model(model, Path())).lost.startswith("the input")


@pytest.mark.parametrize("over_rows", [True, False])
def test_a_range_that_images_end_makes_as_many_values_as_they_say(over_rows: bool) -> None:
    """Its numbers are indices; that the images of the batch end it together is a flow all the same."""

    def chosen(net: Net, e: str) -> str:
        light = net.mean(e, *((0, 1) if over_rows else (1,)))
        most = light if over_rows else net.op("ReduceMax", net.cut(light, 0, 1, 0), keepdims=0)
        end = net.op("Cast", net.op("Add", net.op("Mul", net.op("Relu", most), 8.0), 8.0), to=TensorProto.INT64)
        return net.op("Gather", e, net.op("Range", np.array(0), end, np.array(1)), axis=1)

    found = followed(chosen)
    assert not found.lost
    assert [(flow.op, flow.by_content) for flow in found.widths] == [("Range", True)]
    assert [flow.kind for flow in found.flows] == [FlowKind.OVER_ROWS]


@pytest.mark.parametrize(("each", "apart"), [(5000, False), (0, True)])
def test_a_number_of_images_in_a_value_too_large_to_follow_keeps_none_apart(each: int, apart: bool) -> None:
    """Ones for each image and place, summed up and added: more of them than sizes are worked out for."""

    def counted(net: Net, e: str) -> str:
        if not each:
            return net.op("Relu", e)
        count = net.op("Gather", net.op("Shape", e), [0], axis=0)
        ones = net.op("ConstantOfShape", net.op("Concat", count, np.array([each]), axis=0))
        return net.op("Add", e, net.op("ReduceSum", net.op("Cos", ones), keepdims=0))

    assert followed(counted).apart is apart
