"""Rule server-runtime as read from the file."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pytest_facechallenge.analyses.server.compatibility import gather
from pytest_facechallenge.checks.server import server_runtime
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.compatibility import CompatibilityFacts
from pytest_facechallenge.core.outcome import Outcome, Status
from tests.analyses.server.face_net import context_of, model_of, rule


def judge(model: onnx.ModelProto, folder: Path, version: str = "1.6.0") -> Outcome:
    return server_runtime(Facts.of(gather(context_of(model, folder))), rule(version))


def test_the_newest_known_numbers_pass_and_say_that_nothing_was_run(tmp_path: Path) -> None:
    outcome = judge(model_of(opset=13, ir=7), tmp_path)

    assert outcome.status is Status.PASSED
    assert outcome.measured == "opset 13, IR 7"
    assert outcome.limit == "opset <= 13, IR <= 7"
    assert "was not run" in outcome.notes[0]


def test_the_next_opset_fails_and_says_that_only_the_number_is_new(tmp_path: Path) -> None:
    add = helper.make_node("Sigmoid", ["p"], ["e"], name="sig")
    model = model_of(add, opset=15)
    del model.graph.node[1]  # PRelu has a new definition in 16 only, but its slope is not needed here
    model.graph.node[1].input[0] = "c"

    outcome = judge(model, tmp_path)

    assert outcome.status is Status.FAILED
    assert "only the number is too new" in outcome.message
    assert "Write opset 13" in outcome.remedy


def test_the_next_ir_version_fails(tmp_path: Path) -> None:
    outcome = judge(model_of(ir=8), tmp_path)

    assert outcome.status is Status.FAILED
    assert "IR version 8, at most 7" in outcome.message
    assert "ir_version = 7" in outcome.remedy


def test_the_first_node_with_a_newer_definition_is_named(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("HardSwish", ["p"], ["h"], name="swish"),
        helper.make_node("Add", ["h", "h"], ["e"], name="sum"),
    ]

    outcome = judge(model_of(*nodes, opset=14), tmp_path)

    assert outcome.status is Status.FAILED
    assert outcome.evidence[0].where == "node 'swish'"
    assert "HardSwish came with opset 14" in outcome.message
    assert any(found.where == "node 'sum'" and "opset 14" in found.what for found in outcome.evidence)


def test_a_newer_node_in_a_subgraph_is_found(tmp_path: Path) -> None:
    inner = helper.make_node("HardSwish", ["p"], ["b"], name="deep")
    branch = helper.make_graph([inner], "b", [], [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)])
    yes = numpy_helper.from_array(np.array(True), "yes")
    node = helper.make_node("If", ["yes"], ["e"], name="if", then_branch=branch, else_branch=branch)

    outcome = judge(model_of(node, opset=14, stored=(yes,)), tmp_path)

    assert any("deep" in found.where for found in outcome.evidence)


@pytest.mark.parametrize(
    ("op", "domain", "status"),
    [
        ("Gelu", "com.microsoft", Status.PASSED),
        ("QuickGelu", "com.microsoft", Status.FAILED),
        ("Gelu", "com.example", Status.FAILED),
        ("Gelu", "", Status.FAILED),
        ("LayerNormalization", "", Status.PASSED),
    ],
)
def test_domains_and_their_operators(op: str, domain: str, status: Status, tmp_path: Path) -> None:
    node = helper.make_node(op, ["p"], ["e"], name="own", domain=domain)
    model = model_of(node, domains={domain: 1} if domain else None)

    outcome = judge(model, tmp_path)

    assert outcome.status is status
    assert status is Status.PASSED or "node 'own'" in outcome.message


def test_an_own_operator_of_a_version_without_a_list_is_undecided(tmp_path: Path) -> None:
    node = helper.make_node("QuickGelu", ["p"], ["e"], domain="com.microsoft")

    assert judge(model_of(node, domains={"com.microsoft": 1}), tmp_path, "1.8.0").status is Status.UNDECIDED


def test_a_type_that_came_later_fails(tmp_path: Path) -> None:
    stored = helper.make_tensor("codes", TensorProto.INT4, [2], [1, 2])

    outcome = judge(model_of(stored=(stored,)), tmp_path)

    assert outcome.status is Status.FAILED
    assert "int4" in outcome.message


@pytest.mark.parametrize(
    ("slope", "status"),
    [((4, 1, 1), Status.PASSED), ((1,), Status.PASSED), ((4,), Status.PASSED), ((5,), Status.FAILED)],
)
def test_slopes_line_up_from_the_last_axis(slope: tuple[int, ...], status: Status, tmp_path: Path) -> None:
    # The input of PRelu is [N,4,4,4]: a slope of [4] fits by luck, along the width.
    assert judge(model_of(slope=slope), tmp_path).status is status


def test_a_slope_per_channel_without_axes_of_extent_one_is_the_trap(tmp_path: Path) -> None:
    model = model_of(slope=(4,))
    model.graph.node[0].attribute[0].ints[:] = [2, 2]  # now the input of PRelu is [N,4,7,7]

    outcome = judge(model, tmp_path)

    assert outcome.status is Status.FAILED
    assert "slope of shape [4] does not broadcast to the input of shape [-1, 4, 7, 7]" in outcome.message
    assert "[C,1,1]" in outcome.remedy


def test_local_functions_need_a_newer_format(tmp_path: Path) -> None:
    body = [helper.make_node("Relu", ["a"], ["b"])]
    function = helper.make_function("own", "Act", ["a"], ["b"], body, [helper.make_opsetid("", 13)])
    model = model_of(helper.make_node("Act", ["p"], ["e"], domain="own"), domains={"own": 1})
    model.functions.append(function)

    outcome = judge(model, tmp_path)

    assert outcome.status is Status.FAILED
    assert "local functions" in outcome.message


def test_an_operator_without_a_cuda_kernel_is_a_warning(tmp_path: Path) -> None:
    outcome = judge(model_of(helper.make_node("Sign", ["p"], ["e"], name="sign")), tmp_path)

    assert outcome.status is Status.PASSED
    assert any("no CUDA kernel" in note and "'sign'" in note for note in outcome.notes)


def test_a_challenge_without_a_server_has_nothing_to_judge(tmp_path: Path) -> None:
    facts = Facts.of(gather(context_of(model_of(), tmp_path)))
    ruled = rule()
    book = msgspec.structs.replace(ruled.book, runtime=None)

    assert server_runtime(facts, msgspec.structs.replace(ruled, book=book)).status is Status.NOT_APPLICABLE


def test_facts_survive_json(tmp_path: Path) -> None:
    facts = gather(context_of(model_of(), tmp_path))

    assert msgspec.json.decode(msgspec.json.encode(facts), type=CompatibilityFacts) == facts
