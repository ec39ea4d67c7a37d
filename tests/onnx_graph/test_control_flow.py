from __future__ import annotations

from pathlib import Path

import pytest
from onnx import defs, parser

from pytest_facechallenge.onnx_graph import ir
from pytest_facechallenge.onnx_graph.control_flow import (
    Carried,
    Ends,
    Sliced,
    Stacked,
    binding,
    bound,
    branch_taken,
    deciding_condition,
    iterations,
)
from pytest_facechallenge.onnx_graph.shapes import infer

HEADER = '<ir_version: 8, opset_import: ["": 17]>\n'


def graph(text: str) -> ir.Graph:
    return ir.from_model(parser.parse_model(HEADER + text), Path())


def loop(count: str, condition: str, goes_on: str) -> ir.Graph:
    return graph(f"""
        net (float[N, 4] x) => (float[N, 4] y, z)
        <int64 n = {{{count}}}, bool yes = {{1}}, bool no = {{0}}> {{
            sum = ReduceSum <keepdims = 0> (x)
            zero = Constant <value_float = 0.0> ()
            seen = Greater(sum, zero)
            y, z = Loop (n, {condition}, x) <body = step (int64 i, bool on, float[N, 4] a) => (bool go, b, c) {{
                b = Relu(a)
                c = Neg(a)
                {goes_on}
            }}>
        }}
    """)


def test_a_loop_binds_states_and_what_it_stacks() -> None:
    node = loop("3", "yes", "go = Identity(on)").nodes[-1]
    how = bound(node, node.subgraphs["body"])
    assert (how.iteration, how.condition, how.next_condition) == ("i", "on", "go")
    assert how.carried == (Carried("x", "a", "b", "y"),)
    assert how.stacked == (Stacked("c", "z", 0, False),)
    assert how.inputs() == [("x", "a")]
    assert how.outputs() == [("b", "y"), ("c", "z")]


def test_a_scan_binds_axes_and_directions() -> None:
    how = binding(
        "Scan",
        17,
        Ends(["s", "p", "q"], ["t", "r"]),
        Ends(["a", "b", "c"], ["d", "e"]),
        {"num_scan_inputs": 2, "scan_input_axes": [1, 2], "scan_input_directions": [0, 1], "scan_output_axes": [3]},
    )
    assert how.carried == (Carried("s", "a", "d", "t"),)
    assert how.sliced == (Sliced("p", "b", 1, False), Sliced("q", "c", 2, True))
    assert how.stacked == (Stacked("e", "r", 3, False),)


def test_a_scan_of_opset_8_begins_with_lengths() -> None:
    names = Ends(["", "s", "p"], ["t", "r"])
    how = binding("Scan", 8, names, Ends(["a", "b"], ["d", "e"]), {"num_scan_inputs": 1, "directions": [1]})
    assert how.carried == (Carried("s", "a", "d", "t"),)
    assert how.sliced == (Sliced("p", "b", 0, True),)


def test_a_map_binds_entries_and_what_every_iteration_gets() -> None:
    how = binding("SequenceMap", 17, Ends(["s", "w"], ["t"]), Ends(["a", "b"], ["c"]), {})
    assert how.sliced[0][:2] == ("s", "a")
    assert how.passed == (("w", "b"),)
    assert how.stacked[0][:2] == ("c", "t")


def test_a_branch_binds_its_results_only() -> None:
    how = binding("If", 17, Ends(["c"], ["y", "z"]), Ends([], ["a", "b"]), {})
    assert (how.inputs(), how.outputs()) == ([], [("a", "y"), ("b", "z")])


@pytest.mark.parametrize(
    ("count", "condition", "goes_on", "most", "fewer", "why"),
    [
        ("3", "yes", "go = Identity(on)", 3, False, ""),
        pytest.param(
            "3",
            '""',
            "go = Identity(on)",
            3,
            False,
            "",
            marks=pytest.mark.skipif(defs.onnx_opset_version() < 28, reason="an older parser reads no empty name"),
        ),
        ("3", "no", "go = Identity(on)", 0, False, ""),
        ("3", "yes", "go = Not(on)", 3, True, ""),
        ("3", "seen", "go = Identity(on)", 3, True, ""),
        ("9000000", "yes", "go = Not(on)", None, False, "none in practice"),
    ],
)
def test_iterations_of_a_loop(
    count: str, condition: str, goes_on: str, most: int | None, fewer: bool, why: str
) -> None:
    main = loop(count, condition, goes_on)
    node, shapes = main.nodes[-1], infer(main)
    runs = iterations(node, node.subgraphs["body"], shapes, shapes.body(node, "body"))
    assert (runs.most, runs.fewer) == (most, fewer)
    assert why in runs.why


def test_iterations_of_a_scan_are_an_extent() -> None:
    main = graph("""
        net (float[N, 7, 4] x) => (y) {
            y = Scan <num_scan_inputs = 1, scan_input_axes = [1],
                body = step (float[N, 4] a) => (b) { b = Relu(a) }> (x)
        }
    """)
    node, shapes = main.nodes[-1], infer(main)
    assert iterations(node, node.subgraphs["body"], shapes, shapes.body(node, "body")).most == 7


def test_which_condition_decides() -> None:
    handed_on = loop("3", "yes", "h = Identity(on) go = Cast <to = 9> (h)").nodes[-1].subgraphs["body"]
    assert deciding_condition(handed_on) == ""
    computed = loop("3", "yes", "h = Not(on) go = Identity(h)").nodes[-1].subgraphs["body"]
    assert deciding_condition(computed) == "h"


@pytest.mark.parametrize(("condition", "taken"), [("yes", "then_branch"), ("no", "else_branch"), ("seen", "")])
def test_branch_taken(condition: str, taken: str) -> None:
    main = graph(f"""
        net (float[N, 4] x) => (y) <bool yes = {{1}}, bool no = {{0}}> {{
            sum = ReduceSum <keepdims = 0> (x)
            zero = Constant <value_float = 0.0> ()
            seen = Greater(sum, zero)
            y = If ({condition}) <
                then_branch = a () => (p) {{ p = Relu(x) }}, else_branch = b () => (q) {{ q = Neg(x) }}>
        }}
    """)
    assert branch_taken(main.nodes[-1], infer(main)) == taken
