"""The runtime's own fused and quantised operators: weights, bias and sizes are found at the right inputs."""

from __future__ import annotations

import pytest

from .build import cost

#: Text of the graph, multiply-accumulates, FLOPs.
OPERATORS = {
    "FusedConv with a bias": (
        "g (float[N,4,6,6] x, float[8,2,3,3] w, float[8] wb) => (y) { y = com.microsoft.FusedConv"
        '<group=2, pads=[1,1,1,1], activation="Relu">(x, w, wb) }',
        8 * 36 * 2 * 9,
        2 * 8 * 36 * 2 * 9 - 8 * 36 // 2,
    ),
    "QLinearConv with a bias": (
        "g (uint8[N,4,6,6] x, uint8[8,4,1,1] w, uint8 wz, float ws, int32[8] wb) => (y) "
        "{ y = QLinearConv(x, ws, wz, w, ws, wz, ws, wz, wb) }",
        8 * 36 * 4,
        2 * 8 * 36 * 4 - 8 * 36,
    ),
    "QGemm with a bias": (
        "g (uint8[N,6] x, uint8[6,5] w, uint8 wz, float ws, int32[5] wb) => (y) "
        "{ y = com.microsoft.QGemm(x, ws, wz, w, ws, wz, wb, ws, wz) }",
        30,
        60,
    ),
    "DynamicQuantizeMatMul": (
        "g (float[N,3,6] x, uint8[6,5] w, uint8 wz, float ws) => (y) "
        "{ y = com.microsoft.DynamicQuantizeMatMul(x, w, ws, wz) }",
        90,
        2 * 90 - 15,
    ),
    "MatMulIntegerToFloat with a bias": (
        "g (uint8[N,3,6] x, uint8[6,5] w, uint8 wz, float ws, float[5] wb) => (y) "
        "{ y = com.microsoft.MatMulIntegerToFloat(x, w, ws, ws, wz, wz, wb) }",
        90,
        180,
    ),
    "FusedMatMul, left side transposed": (
        "g (float[N,6,3] x, float[N,6,5] z) => (y) { y = com.microsoft.FusedMatMul<transA=1>(x, z) }",
        90,
        2 * 90 - 15,
    ),
    "FusedMatMul with a bias behind": (
        "g (float[N,3,6] x, float[6,5] w, float[5] wb) => (y) { t = com.microsoft.FusedMatMul(x, w)\n y = Add(t, wb) }",
        90,
        180,
    ),
    "Rfft": (
        "g (float[N,3,16] x) => (y) { y = com.microsoft.Rfft<signal_ndim=1, normalized=0, onesided=1>(x) }",
        3 * 5 * 16 * 4 // 2,
        3 * 5 * 16 * 4,
    ),
    "MultiHeadAttention, packed": (
        "g (float[N,6,2,3,4] x) => (y) { y = com.microsoft.MultiHeadAttention<num_heads=2>(x) }",
        2 * 6 * 6 * (4 + 4),
        2 * 2 * 6 * 6 * 8 - 6 * (2 * 6 + 8),
    ),
}


@pytest.mark.parametrize(("text", "macs", "flops"), OPERATORS.values(), ids=OPERATORS)
def test_operator(text: str, macs: int, flops: int) -> None:
    facts = cost(text)
    assert [entry.why for entry in facts.uncounted if entry.op != "com.microsoft.Rfft"] == []
    assert (facts.macs, facts.low) == (macs, flops)


def test_operators_nobody_listed_are_uncounted() -> None:
    facts = cost("g (float[N,6] x) => (y) { y = com.microsoft.MoE<k=1>(x, x, x) }")
    assert [entry.op for entry in facts.uncounted] == ["com.microsoft.MoE"]


def test_every_standard_operator_has_a_rule_or_is_named_here() -> None:
    """A new opset must not slip in unseen: every operator of ai.onnx is free, counted, or knowingly uncounted."""
    from onnx import defs

    import pytest_facechallenge.analyses.flops.counter  # noqa: F401  # importing it fills COUNTERS
    from pytest_facechallenge.analyses.flops.op_cost import COUNTERS
    from pytest_facechallenge.onnx_graph.operators import OPERATORS, Kind, Trait

    free = {key for key, row in OPERATORS.items() if row.has(Trait.FREE)}
    control = {key for key, row in OPERATORS.items() if row.kind is Kind.CONTROL}
    assert not free & set(COUNTERS)
    standard = {("", schema.name) for schema in defs.get_all_schemas_with_history() if not schema.domain}
    uncounted = {
        "CausalConvWithState",
        "Det",
        "LinearAttention",
        "NegativeLogLikelihoodLoss",
        "SoftmaxCrossEntropyLoss",
    }
    assert {name for _domain, name in standard - free - control - set(COUNTERS)} <= uncounted
