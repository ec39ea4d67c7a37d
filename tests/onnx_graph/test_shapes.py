"""Shapes of every value: by inference, by a run, inside subgraphs; and what stays unknown, with a reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from pytest_facechallenge.onnx_graph.control_flow import constant_scalar
from pytest_facechallenge.onnx_graph.ir import Graph, from_model
from pytest_facechallenge.onnx_graph.known_shapes import Shapes
from pytest_facechallenge.onnx_graph.shapes import infer
from pytest_facechallenge.onnx_graph.strip import KEEP, is_hollow, stripped_graph
from pytest_facechallenge.refnets import build

HEAD = '<ir_version: 10, opset_import: ["" : {opset}, "com.microsoft" : 1, "own" : 1]>\n'


def graph(text: str, opset: int = 17) -> Graph:
    return from_model(parser.parse_model(HEAD.format(opset=opset) + text), Path())


def shapes(text: str, opset: int = 17, batch: int = 1) -> Shapes:
    return infer(graph(text, opset), batch=batch)


@pytest.mark.parametrize("name", ["mobilefacenet-small", "vit-tiny"])
@pytest.mark.parametrize("batch", [1, 3])
def test_whole_networks_agree_with_a_run(name: str, batch: int) -> None:
    """The oracle: every intermediate made an output of the real model, with its real weights."""
    import onnxruntime

    made = build(name)
    found = infer(from_model(made, Path()), batch=batch)
    assert not found.ran
    names = [output for node in made.graph.node for output in node.output]
    del made.graph.output[:]
    made.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    values = session.run(names, {made.graph.input[0].name: np.zeros((batch, 3, 112, 112), np.float32)})
    assert {name: found.shape(name) for name in names} == {
        name: value.shape for name, value in zip(names, values, strict=True)
    }


def test_operators_without_inference_are_run() -> None:
    found = shapes(
        "g (float[N,3,8] x) => (y) { a = com.microsoft.QuickGelu(x)\n y = Transpose<perm=[0,2,1]>(a) }", batch=2
    )
    assert found.ran
    assert (found.shape("a"), found.shape("y"), found.problems) == ((2, 3, 8), (2, 8, 3), [])


def test_shapes_computed_in_the_graph() -> None:
    text = (
        "g (float[N,6,4] x) => (y) { s = Shape(x)\n f = Cast<to=1>(s)\n h = Constant<value_float = 0.5>()\n"
        "m = Mul(f, h)\n c = Ceil(m)\n i = Cast<to=7>(c)\n y = ConstantOfShape(i) }"
    )
    assert shapes(text, batch=4).shape("y") == (2, 3, 2)


def test_big_weights_are_neither_copied_nor_needed() -> None:
    made = build("iresnet18")
    stripped = stripped_graph(made.graph, Path())
    assert len(stripped.SerializeToString()) < len(made.SerializeToString()) / 1000
    assert all(is_hollow(tensor) == (np.prod(tensor.dims) > KEEP) for tensor in stripped.initializer)
    assert len(made.graph.initializer[0].raw_data) > 0


@pytest.mark.parametrize("opset", [8, 17])
def test_a_run_does_without_big_weights(opset: int) -> None:
    weights = np.ones((64, 64), np.float32)
    made = parser.parse_model(
        HEAD.format(opset=opset)
        + "g (float[N,64] x, float[N,9] z) => (y) { c = com.microsoft.QuickGelu(x)\n y = MatMul(c, w) }"
    )
    made.graph.initializer.append(numpy_helper.from_array(weights, "w"))
    found = infer(from_model(made, Path()))
    assert found.ran
    assert found.shape("y") == (1, 64)


def test_big_weights_in_constant_nodes_and_subgraphs() -> None:
    then = helper.make_graph(
        [helper.make_node("MatMul", ["c", "inner"], ["p"])],
        "then",
        [],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ones((64, 50), np.float32), "inner")],
    )
    other = helper.make_graph(
        [
            helper.make_node("Constant", [], ["k"], value=numpy_helper.from_array(np.ones((64, 50), np.float32))),
            helper.make_node("MatMul", ["c", "k"], ["q"]),
        ],
        "other",
        [],
        [helper.make_tensor_value_info("q", TensorProto.FLOAT, None)],
    )
    main = helper.make_graph(
        [
            helper.make_node("QuickGelu", ["x"], ["c"], domain="com.microsoft"),
            helper.make_node("If", ["flag"], ["y"], then_branch=then, else_branch=other),
        ],
        "g",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 64]),
            helper.make_tensor_value_info("flag", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    made = from_model(helper.make_model(main, opset_imports=opsets, ir_version=10), Path())
    found = infer(made)
    node = made.nodes[1]
    assert [found.body(node, name).shape(value) for name, value in (("then_branch", "p"), ("else_branch", "q"))] == [
        (1, 50),
        (1, 50),
    ]


def test_small_external_tensors_are_read(tmp_path: Path) -> None:
    made = parser.parse_model(HEAD.format(opset=17) + "g (float[N,6,4] x) => (y) { y = Reshape(x, s) }")
    tensor = numpy_helper.from_array(np.array([-1, 3, 8], np.int64), "s")
    (tmp_path / "side.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="side.bin")
    made.graph.initializer.append(tensor)
    assert infer(from_model(made, tmp_path)).shape("y") == (1, 3, 8)


def test_declared_shapes_are_dropped() -> None:
    found = shapes("g (float[N,6,4] x) => (float[1,1] y) <float[1,1] t> { t = Relu(x)\n y = Relu(t) }")
    assert (found.shape("t"), found.shape("y")) == ((1, 6, 4), (1, 6, 4))


def test_bodies_of_loops_see_what_reaches_them() -> None:
    text = (
        "g (float[N,6,4] x) => (y) { n = Constant<value_int = 3>()\n e = Constant<value = bool {1}>()\n"
        "y, each = Loop(n, e, x) <body = b (int64 i, bool c, float[A,B,C] s) => (d, r, p) "
        "{ d = Identity(c)\n p = Transpose(s)\n r = Transpose(p) }> }"
    )
    made = graph(text)
    found = infer(made, batch=2)
    assert found.body(made.nodes[0], "body").shape("p") == (4, 6, 2)
    assert found.shape("each") == (3, 4, 6, 2)


def test_shape_that_changes_from_turn_to_turn_is_unknown() -> None:
    text = (
        "g (float[N,6] x) => (y) { n = Constant<value_int = 3>()\n e = Constant<value = bool {1}>()\n"
        "y = Loop(n, e, x) <body = b (int64 i, bool c, float[A,B] s) => (d, r) "
        "{ d = Identity(c)\n r = Concat<axis=1>(s, s) }> }"
    )
    made = graph(text)
    inside = infer(made).body(made.nodes[0], "body")
    assert inside.shape("r") is None
    assert "changes from turn to turn" in inside.problems[-1]


def test_size_that_depends_on_the_image_is_unknown() -> None:
    text = "g (float[N,8] x) => (y) { i = NonZero(x)\n t = Transpose(i)\n y = Cast<to=1>(t) }"
    found = shapes(text)
    assert found.shape("y") is None
    assert "made by node 'NonZero_0', NonZero) depends on what is in the image" in found.problems[0]


def test_what_a_image_can_change() -> None:
    text = "g (float[N,8] x) => (y) { s = Shape(x)\n a = Cast<to=1>(s)\n r = RandomNormalLike(a)\n y = Relu(x) }"
    found = shapes(text)
    assert [found.depends_on_image(name) for name in ("x", "s", "a", "r", "y")] == [True, False, False, True, True]


def test_values_that_are_the_same_for_every_image_are_told() -> None:
    text = (
        "g (float[N,8] x) => (y) { s = Shape(x)\n i = Constant<value_int = 1>()\n n = Gather(s, i)\n"
        "e = Constant<value = bool {1}>()\n y = Loop(n, e, x) <body = b (int64 j, bool c, float[N,8] u) => (d, v) "
        "{ d = Identity(c)\n v = Relu(u) }> }"
    )
    assert constant_scalar(shapes(text), "n") == 8


def test_foreign_operators_block_only_what_follows_them() -> None:
    text = (
        "g (float[N,8] x) => (y, z) { a = own.Magic(x)\n y = Relu(a)\n b = com.microsoft.QuickGelu(x)\n z = Relu(b) }"
    )
    found = shapes(text)
    assert (found.shape("y"), found.shape("z")) == (None, (1, 8))
    assert "'Magic_0' is of the operator set 'own', which cannot be run here" in found.problems[0]


def test_reshape_that_cannot_be() -> None:
    found = shapes("g (float[N,8] x) => (y) { s = Constant<value_ints = [3,3]>()\n y = Reshape(x, s) }")
    assert found.unsound == ["node 'Reshape_1' (Reshape) cannot turn 1x8 into 3x3"]


def test_graph_that_does_not_run_says_so() -> None:
    text = "g (float[N,8] x, float[N,7] z) => (y) { a = com.microsoft.QuickGelu(x)\n b = Add(a, z)\n y = Relu(b) }"
    found = shapes(text)
    assert found.shape("y") is None
    assert any("running the graph to read its shapes failed" in problem for problem in found.problems)


@pytest.mark.parametrize(
    "target",
    ["k = Constant<value_ints = [1,4,6]>()", "s = Shape(x)\n t = Constant<value_ints = [0,2,1]>()\n k = Gather(s, t)"],
)
@pytest.mark.parametrize("gelu", ["r = Relu(x)", "r = com.microsoft.QuickGelu(x)"])
def test_sizes_from_around_a_subgraph(target: str, gelu: str) -> None:
    text = (
        f"g (float[N,6,4] x, bool flag) => (y) {{ {target}\n y = If(flag) < then_branch = a () => (p) "
        f"{{ {gelu}\n p = Reshape(r, k) }},\n else_branch = b () => (q) {{ q = Reshape(x, k) }}> }}"
    )
    made = graph(text)
    node = made.nodes[-1]
    assert infer(made).body(node, "then_branch").shape("p") == (1, 4, 6)


def test_deeply_nested_branches() -> None:
    text = "v = Relu(x)"
    for depth in range(25):
        other = f"b{depth} () => (w) {{ w = Relu(x) }}"
        text = f"v = If(flag) < then_branch = a{depth} () => (v) {{ {text} }}, else_branch = {other}>"
    made = graph(f"g (float[N,6] x, bool flag) => (v) {{ {text} }}")
    inside = infer(made)
    for _ in range(25):
        inside = inside.body(inside.graph.nodes[0], "then_branch")
    assert inside.shape("v") == (1, 6)


def test_nodes_in_any_order() -> None:
    """Runtimes load files whose nodes are not sorted; so must this."""
    made = parser.parse_model(HEAD.format(opset=17) + "g (float[N,6,4] x) => (y) { a = Transpose(x)\n y = Relu(a) }")
    made.graph.node.reverse()
    assert infer(from_model(made, Path()), batch=2).shape("y") == (4, 6, 2)
