"""How repeated, chosen, uncountable and constant work adds up."""

from __future__ import annotations

import numpy as np
import pytest

from .build import cost

OPEN = "g (float[N,8,4,4] x"
CONV = 1200  # 8 -> 5 channels, 1x1, 4x4 places, no bias


def test_flipped_image_inside_the_model_costs_twice() -> None:
    text = OPEN + (
        ", float[5,8,1,1] w) => (y) { a = Constant<value_ints = [3]>()\n b = Constant<value_ints = [-1]>()\n"
        "e = Constant<value_ints = [-5]>()\n f = Slice(x, b, e, a, b)\n t = Concat<axis=0>(x, f)\n y = Conv(t, w) }"
    )
    assert cost(text).low == 2 * CONV


def loop(turns: str, cond: str = "d = Identity(c)", body: str = "p = Conv(x, w)") -> str:
    return OPEN + (
        f", float[5,8,1,1] w, int64 asked, float[N,5,4,4] zero) => (y) "
        f"{{ {turns}\n e = Constant<value = bool {{1}}>()\n"
        f"y, each = Loop(n, e, zero) <body = b (int64 i, bool c, float[N,5,4,4] s) => (d, r, p) "
        f"{{ {cond}\n {body}\n r = Add(s, p) }}> }}"
    )


STOPS = "t = ReduceSum<keepdims=0>(s)\n h = Constant<value_float = 9.0>()\n d = Less(t, h)"


def test_loop_costs_its_turns() -> None:
    facts = cost(loop("n = Constant<value_int = 5>()"))
    assert facts.low == 5 * CONV
    assert facts.layers[0].times == 5


def test_loop_with_turns_from_a_size() -> None:
    """The number of turns is computed in the graph, from the width: 4."""
    text = "s = Shape(x)\n k = Constant<value_ints = [3]>()\n t = Gather(s, k)\n"
    assert cost(loop(text + "n = Squeeze(t)")).low == 4 * CONV


def test_loop_within_a_loop() -> None:
    inner = (
        "m = Constant<value_int = 3>()\n p = Loop(m, c, s) <body = bb (int64 j, bool cc, float[N,5,4,4] u) => (dd, v) "
        "{ dd = Identity(cc)\n o = Conv(x, w)\n v = Add(u, o) }>"
    )
    assert cost(loop("n = Constant<value_int = 5>()", body=inner)).low == 15 * CONV


def test_loop_that_may_stop_early_is_counted_in_full() -> None:
    facts = cost(loop("n = Constant<value_int = 5>()", STOPS))
    assert facts.low == 5 * CONV
    assert "may stop early" in facts.remarks[0]


@pytest.mark.parametrize(
    ("turns", "cond", "why"),
    [
        ("n = Identity(asked)", "d = Identity(c)", "computed from the image"),
        ("n = Constant<value_int = 9223372036854775807>()", STOPS, "a condition ends the loop"),
    ],
)
def test_loop_without_a_known_end_cannot_be_counted(turns: str, cond: str, why: str) -> None:
    facts = cost(loop(turns, cond))
    assert [entry.op for entry in facts.uncounted] == ["Loop"]
    assert why in facts.uncounted[0].why


def test_loop_whose_values_grow_cannot_be_counted() -> None:
    text = (
        "g (float[N,1,8] x, float[8,8] w) => (y) { n = Constant<value_int = 3>()\n e = Constant<value = bool {1}>()\n"
        "y = Loop(n, e, x) <body = b (int64 i, bool c, float[N,k,8] s) => (d, r) { d = Identity(c)\n"
        "p = MatMul(s, w)\n r = Concat<axis=1>(s, p) }> }"
    )
    facts = cost(text)
    assert [entry.op for entry in facts.uncounted] == ["MatMul"]
    assert "not known" in facts.uncounted[0].why
    assert any("changes from turn to turn" in problem for problem in facts.problems)


def test_if_costs_its_dearer_branch() -> None:
    text = OPEN + (
        ", float[5,8,1,1] w, bool flag) => (y) { y = If(flag) <\n then_branch = a () => (p) { p = Conv(x, w) },\n"
        "else_branch = b () => (q) { t = Conv(x, w)\n u = Conv(x, w)\n q = Add(t, u) }> }"
    )
    facts = cost(text)
    assert facts.low == 2 * CONV
    assert "the dearer is counted" in facts.remarks[0]


def test_if_with_a_constant_condition_costs_the_branch_that_runs() -> None:
    text = OPEN + (
        ", float[5,8,1,1] w) => (y) { f = Constant<value = bool {0}>()\n y = If(f) <\n"
        "then_branch = a () => (p) { t = Conv(x, w)\n u = Conv(x, w)\n p = Add(t, u) },\n"
        "else_branch = b () => (q) { q = Conv(x, w) }> }"
    )
    assert cost(text).low == CONV


def test_uncountable_node_in_the_cheaper_branch_is_named() -> None:
    text = OPEN + (
        ", float[5,8,1,1] w, bool flag) => (y) { y = If(flag) <\n then_branch = a () => (p) { p = Conv(x, w) },\n"
        "else_branch = b () => (q) { q = own.Magic(x) }> }"
    )
    assert [entry.op for entry in cost(text).uncounted] == ["own.Magic"]


def test_unknown_operators_are_never_free() -> None:
    facts = cost(OPEN + ", float[5,5,1,1] w) => (y) { m = own.Magic(x)\n y = Conv(m, w) }")
    assert [entry.op for entry in facts.uncounted] == ["own.Magic", "Conv"]
    assert "operator set 'own'" in facts.uncounted[0].why
    assert "'m' is not known" in facts.uncounted[1].why
    assert any("cannot be run here" in problem for problem in facts.problems)


def test_operators_without_a_rule_are_named() -> None:
    facts = cost("g (float[N,4,4] x) => (y) { y = Det(x) }")
    assert [(entry.op, "no rule is known" in entry.why) for entry in facts.uncounted] == [("Det", True)]


def test_work_on_constants_is_done_once() -> None:
    """Weights put together when the model starts (two branches merged, say) are no work on an image."""
    text = OPEN + (
        ", float[5,8] wa, float[8,8] wb) => (y) { m = MatMul(wa, wb)\n s = Constant<value_ints = [5,8,1,1]>()\n"
        "k = Reshape(m, s)\n y = Conv(x, k) }"
    )
    facts = cost(text)
    assert (facts.low, facts.once) == (CONV, 2 * 5 * 8 * 8 - 5 * 8)


def test_random_numbers_are_no_constants() -> None:
    text = (
        "g (float[N,4] x, float[8,8] w) => (y) { r = RandomNormal<shape=[4,8]>()\n m = MatMul(r, w)\ny = MatMul(x, m) }"
    )
    assert cost(text).low == (2 * 4 * 8 * 8 - 4 * 8) + (2 * 4 * 8 - 8)


def test_nodes_that_reach_no_output_are_listed_not_counted() -> None:
    facts = cost(OPEN + ", float[5,8,1,1] w) => (y) { unused = Conv(x, w)\n y = Conv(x, w) }")
    assert facts.low == CONV
    assert facts.unused == ("Conv_0",)


def test_declared_shapes_are_not_believed() -> None:
    text = (
        OPEN + ", float[5,8,1,1] w, float[9,5,1,1] wz) => (y) <float[1,5,1,1] t> { t = Conv(x, w)\n y = Conv(t, wz) }"
    )
    assert cost(text).low == CONV + 2 * 5 * 9 * 16 - 9 * 16


def test_size_that_depends_on_the_image_cannot_be_counted() -> None:
    text = (
        "g (float[N,8] x, float[1,5] w) => (y) { i = NonZero(x)\n t = Transpose(i)\n f = Cast<to=1>(t)\n"
        "a = Constant<value_ints = [1]>()\n r = ReduceSum(f, a)\n y = MatMul(r, w) }"
    )
    facts = cost(text)
    assert [entry.op for entry in facts.uncounted] == ["MatMul"]
    assert any("depends on what is in the image" in problem for problem in facts.problems)


class TestBiases:
    FOLDED = OPEN + ", float[5,8,1,1] w, float[5] wb) => (y) { y = Conv(x, w, wb) }"

    def test_a_bias_of_a_convolution_may_be_folded(self) -> None:
        facts = cost(self.FOLDED)
        assert (facts.low, facts.high, facts.literal) == (1200, 1280, 1280)

    def test_a_bias_before_a_batchnorm_is_real(self) -> None:
        text = OPEN + (
            ", float[5,8,1,1] w, float[5] wb) => (y) { t = Conv(x, w, wb)\n y = BatchNormalization(t, wb, wb, wb, wb) }"
        )
        facts = cost(text)
        assert (facts.low, facts.high) == (1280, 1280)

    def test_a_bias_added_by_a_node_counts_like_one_in_the_convolution(self) -> None:
        text = OPEN + ", float[5,8,1,1] w, float[1,5,1,1] wb) => (y) { t = Conv(x, w)\n y = Add(t, wb) }"
        facts = cost(text)
        assert (facts.low, facts.high) == (1200, 1280)

    def test_a_residual_sum_is_no_bias(self) -> None:
        text = OPEN + ", float[8,8,1,1] w) => (y) { t = Conv(x, w)\n y = Add(t, x) }"
        facts = cost(text)
        assert facts.low == facts.high == 2 * 8 * 8 * 16 - 8 * 16

    @pytest.mark.parametrize(
        "text",
        [
            "g (float[N,8] x, float[8,5] w, float[5] wb) => (y) { y = Gemm(x, w, wb) }",
            "g (float[N,8] x, float[8,5] w, float[5] wb) => (y) { t = MatMul(x, w)\n y = Add(t, wb) }",
            "g (float[N,8] x, float[8,5] w, float[1,5] wb) => (y) { t = Gemm(x, w)\n y = Add(wb, t) }",
        ],
    )
    def test_fully_connected_layers_keep_theirs(self, text: str) -> None:
        facts = cost(text)
        assert (facts.low, facts.high, facts.literal) == (80, 80, 80)

    def test_grouped_convolutions_follow_the_published_arithmetic(self) -> None:
        """The organisers' counter divides by the groups after subtracting 1."""
        text = "g (float[N,8,4,4] x, float[8,1,3,3] w) => (y) { y = Conv<group=8, pads=[1,1,1,1]>(x, w) }"
        assert cost(text).low == int((2 * 8 * 3 * 3 - 1) * 4 * 4 * 8 / 8)


class TestBadInput:
    def test_open_height_and_width_are_assumed_and_said(self) -> None:
        facts = cost("g (float[N,3,H,W] x, float[4,3,1,1] w) => (y) { y = Conv(x, w) }")
        assert facts.low == 2 * 3 * 4 * 112 * 112 - 4 * 112 * 112
        assert facts.assumed == (
            "axis 2 of input 'x' is left open: taken as 112",
            "axis 3 of input 'x' is left open: taken as 112",
        )

    def test_missing_input_shape(self) -> None:
        facts = cost("g (float[] x, float[4,3,1,1] w) => (y) { y = Conv(x, w) }")
        assert "declares no shape" in facts.assumed[0]

    def test_channels_last_images(self) -> None:
        text = "g (float[N,H,W,3] x, float[4,3,1,1] w) => (y) { t = Transpose<perm=[0,3,1,2]>(x)\n y = Conv(t, w) }"
        assert cost(text).image == "x 1x112x112x3"

    def test_empty_tensors(self) -> None:
        facts = cost("g (float[N,8,0,4] x, float[5,8,1,1] w) => (y) { y = Conv(x, w) }")
        assert facts.low == 0
        assert "works on an empty tensor" in facts.problems[0]

    @pytest.mark.parametrize("groups", [0, -1, 3, 1_000_000_007])
    def test_groups_that_do_not_fit(self, groups: int) -> None:
        facts = cost(OPEN + f", float[5,8,1,1] w) => (y) {{ y = Conv<group={groups}>(x, w) }}")
        assert "do not fit" in facts.uncounted[0].why or "not known" in facts.uncounted[0].why

    def test_window_larger_than_its_map(self) -> None:
        facts = cost("g (float[N,8,4,4] x, float[5,8,9,9] w) => (y) { y = Conv(x, w) }")
        assert [entry.op for entry in facts.uncounted] == ["Conv"]
        assert facts.problems

    def test_a_matrix_that_is_fed_is_no_batch(self) -> None:
        assert cost("g (float[N,8,4,4] x, float[5,8,1,1] k) => (y) { y = Conv(x, k) }").low == CONV

    def test_products_whose_sides_do_not_fit(self) -> None:
        facts = cost("g (float[N,8] x, float[7,5] w) => (float[N,5] y) { y = MatMul(x, w) }")
        assert [entry.op for entry in facts.uncounted] == ["MatMul"]
        assert facts.problems

    def test_batch_baked_into_the_graph(self) -> None:
        text = (
            "g (float[4,2,2] x, float[4,5] w) => (y) { s = Constant<value_ints = [4,4]>()\n r = Reshape(x, s)\n"
            "y = MatMul(r, w) }"
        )
        facts = cost(text)
        assert facts.low == 2 * 4 * 4 * 5 - 4 * 5
        assert "fixed to a batch of 4" in facts.assumed[0]
        assert facts.batch == 4


def test_parameters_are_those_that_were_learned() -> None:
    text = OPEN + (
        ", float[5,8,1,1] w, float[5] wa, float[5] wb, float[5] wc, float[5] wd) => (y) { t = Conv(x, w)\n"
        "n = BatchNormalization(t, wa, wb, wc, wd)\n h = Constant<value_float = 0.5>()\n y = Mul(n, h) }"
    )
    assert cost(text).parameters == 40 + 5 + 5


def test_layers_come_dearest_first_and_add_up() -> None:
    text = OPEN + ", float[5,8,1,1] w, float[9,5,1,1] wz) => (y) { t = Conv(x, w)\n y = Conv(t, wz) }"
    facts = cost(text)
    lows = [layer.low for layer in facts.layers]
    assert lows == sorted(lows, reverse=True)
    assert sum(lows) == facts.low == sum(facts.families.values())
    assert np.prod([layer.times for layer in facts.layers]) == 1


def test_nested_branches_are_counted_to_the_bottom() -> None:
    text = "v = Conv(x, w)"
    for depth in range(20):
        other = f"b{depth} () => (u) {{ u = Relu(zero) }}"
        text = f"v = If(flag) < then_branch = a{depth} () => (v) {{ {text} }}, else_branch = {other}>"
    whole = f"g (float[N,8,4,4] x, float[N,5,4,4] zero, float[5,8,1,1] w, bool flag) => (v) {{ {text} }}"
    facts = cost(whole)
    assert (facts.low, facts.uncounted) == (CONV, ())
