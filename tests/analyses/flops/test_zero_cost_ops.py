"""What the challenge's arithmetic gives 0, and what only looks like a contraction."""

from __future__ import annotations

import pytest

from pytest_facechallenge.checks.flops import flops_budget
from pytest_facechallenge.core.facts import Facts
from pytest_facechallenge.core.outcome import Status

from .build import cost
from .rules import rule

OPEN = "g (float[N,8,4,4] x"
MEAN = "ReduceMean<axes=[2, 3]>"

FREE = {
    "scaling channels, then pooling": OPEN + ", float[N,8,1,1] s) => (y) { m = Mul(x, s)\n y = " + MEAN + "(m) }",
    "scaling channels, then global pooling": OPEN + ", float[1,8,1,1] w) => (y) { m = Mul(x, w)\n"
    "y = GlobalAveragePool(m) }",
    "scaling, a reshape, pooling": OPEN + ", float[N,8,1,1] s) => (y) { m = Mul(x, s)\n"
    "k = Constant<value_ints = [1,8,16]>()\n r = Reshape(m, k)\n y = ReduceMean<axes=[2]>(r) }",
    "swish and pooling": OPEN + ") => (y) { s = Sigmoid(x)\n m = Mul(x, s)\n y = GlobalAveragePool(m) }",
    "gelu and pooling": OPEN + ") => (y) { h = Constant<value_float = 0.5>()\n r = Constant<value_float = 1.41>()\n"
    "d = Div(x, r)\n e = Erf(d)\n o = Constant<value_float = 1.0>()\n a = Add(e, o)\n m = Mul(x, a)\n n = Mul(m, h)\n"
    "y = GlobalAveragePool(n) }",
    "squared norm": OPEN + ") => (y) { m = Mul(x, x)\n y = ReduceSum(m) }",
    "layer normalisation written out, then pooling": "g (float[N,16,8] x, float[8] w) => (y) {\n"
    "u = ReduceMean<axes=[-1]>(x)\n d = Sub(x, u)\n two = Constant<value_float = 2.0>()\n p = Pow(d, two)\n"
    "v = ReduceMean<axes=[-1]>(p)\n q = Sqrt(v)\n n = Div(d, q)\n s = Mul(n, w)\n y = ReduceMean<axes=[1]>(s) }",
    "normalisation of a sum, then pooling": "g (float[N,16,8] x, float[N,16,8] z, float[8] w) => (y) {\n"
    "r = Add(x, z)\n u = ReduceMean<axes=[-1]>(r)\n d = Sub(r, u)\n p = Mul(d, d)\n v = ReduceMean<axes=[-1]>(p)\n"
    "q = Sqrt(v)\n n = Div(d, q)\n s = Mul(n, w)\n y = ReduceMean<axes=[1]>(s) }",
    "normalisation written out, behind a learned scale and a sum": "g (float[N,16,8] x, float[N,16,8] z, float[8] w) "
    "=> (y) { k = Mul(z, w)\n r = Add(x, k)\n u = ReduceMean<axes=[-1]>(r)\n d = Sub(r, u)\n"
    "two = Constant<value_float = 2.0>()\n p = Pow(d, two)\n v = ReduceMean<axes=[-1]>(p)\n"
    "e = Constant<value_float = 0.1>()\n a = Add(v, e)\n q = Sqrt(a)\n y = Div(d, q) }",
    "mean of a sum of row and column embeddings": OPEN + ", float[N,8,4,1] s, float[N,8,1,4] t) => (y) "
    "{ p = Add(s, t)\n q = Add(x, p)\n y = ReduceMean<axes=[1, 2, 3]>(q) }",
    "length of an embedding with its bias": "g (float[N,8] x, float[1,8] w) => (y) { t = Add(x, w)\n"
    "y = ReduceL2<axes=[1]>(t) }",
    "two maps upsampled and added, then their variance": "g (float[N,8,2,2] x, float[N,8,2,2] z) => (y) {\n"
    "f = Constant<value_floats = [1.0,1.0,2.0,2.0]>()\n a = Resize(x, , f)\n b = Resize(z, , f)\n s = Add(a, b)\n"
    "y = ReduceSumSquare<axes=[1,2,3]>(s) }",
    "normalisation by layer, then pooling of places": "g (float[N,16,8] x, float[8] w) => (y) {\n"
    "n = LayerNormalization(x, w, w)\n y = ReduceMean<axes=[1]>(n) }",
    "normalisation by channel, then pooling": OPEN + ", float[8] w) => (y) { n = BatchNormalization(x, w, w, w, w)\n"
    "y = GlobalAveragePool(n) }",
    "mean over axes that the graph computes": OPEN + ", float[N,8,1,1] s) => (y) { m = Mul(x, s)\n"
    "a = Constant<value_ints = [2,3]>()\n o = Constant<value_ints = [-1]>()\n b = Reshape(a, o)\n"
    "y = ReduceSum(m, b) }",
    "gate": OPEN + ", float[N,8,4,4] z, float[N,8,4,4] a, float[N,8,4,4] b) => (y) "
    "{ p = Mul(x, a)\n q = Mul(z, b)\n y = Add(p, q) }",
    "learned mix of five maps": OPEN + ", float[1] a, float[1] b, float[1] c, float[1] d, float[1] e) => (y) "
    "{ i = Mul(x, a)\n j = Mul(x, b)\n k = Mul(x, c)\n l = Mul(x, d)\n m = Mul(x, e)\n"
    "p = Add(i, j)\n q = Add(p, k)\n r = Add(q, l)\n y = Add(r, m) }",
    "polynomial of one value": OPEN + ") => (y) { a = Mul(x, x)\n b = Mul(a, x)\n c = Mul(b, x)\n d = Mul(c, x)\n"
    "e = Mul(d, x)\n p = Add(b, c)\n q = Add(p, d)\n r = Add(q, e)\n y = Add(r, a) }",
    "element-wise Einsum": OPEN + ', float[1,8,4,4] w) => (y) { y = Einsum<equation="abcd,abcd->abcd">(x, w) }',
    "Einsum that moves and sums one value": OPEN + ') => (y) { y = Einsum<equation="abcd->dc">(x) }',
    "pooling, resizing, softmax": OPEN + ") => (y) { p = MaxPool<kernel_shape=[2,2]>(x)\n s = Softmax(p)\n"
    "f = Constant<value_floats = [1.0,1.0,2.0,2.0]>()\n y = Resize(s, , f) }",
    "BatchNormalization": OPEN + ", float[8] wa, float[8] wb, float[8] wc, float[8] wd) => (y) "
    "{ y = BatchNormalization(x, wa, wb, wc, wd) }",
}


@pytest.mark.parametrize("text", FREE.values(), ids=FREE)
def test_is_free(text: str) -> None:
    facts = cost(text)
    assert (facts.low, facts.high, facts.macs, facts.layers, facts.uncounted) == (0, 0, 0, (), ())


def test_pooling_weighted_by_a_map_of_its_own_is_a_contraction() -> None:
    text = OPEN + ", float[N,1,4,4] a) => (y) { m = Mul(x, a)\n y = " + MEAN + "(m) }"
    assert cost(text).low == 2 * 8 * 16 - 8


def test_activation_that_hides_a_weight_is_a_contraction() -> None:
    """The factor is a weight with the value itself mixed in: two origins, so no activation."""
    text = OPEN + ", float[1,8,4,4] w) => (y) { b = Add(w, x)\n m = Mul(x, b)\n y = " + MEAN + "(m) }"
    assert cost(text).low == 2 * 8 * 16 - 8


def test_matrix_of_all_products_of_a_value_with_itself_is_a_contraction() -> None:
    text = (
        "g (float[N,8,16] x) => (y) { a = Constant<value_ints = [1]>()\n b = Constant<value_ints = [2]>()\n"
        "u = Unsqueeze(x, a)\n v = Unsqueeze(x, b)\n m = Mul(u, v)\n y = ReduceSum<keepdims=0>(m, t)\n"
        "t = Constant<value_ints = [3]>() }"
    ).replace(
        "y = ReduceSum<keepdims=0>(m, t)\nt = Constant<value_ints = [3]>()",
        "t = Constant<value_ints = [3]>()\ny = ReduceSum<keepdims=0>(m, t)",
    )
    assert cost(text).low == 2 * 8 * 8 * 16 - 8 * 8


def test_halves_of_one_value_are_two_origins() -> None:
    """Image and weights joined and cut again: the products are of the one with the other all the same."""
    text = OPEN + (
        ", float[1,8,4,4] w) => (y) { z = Concat<axis=1>(x, w)\n a = Constant<value_ints = [1]>()\n"
        "o = Constant<value_ints = [0]>()\n h = Constant<value_ints = [8]>()\n f = Constant<value_ints = [16]>()\n"
        "p = Slice(z, o, h, a)\n q = Slice(z, h, f, a)\n m = Mul(p, q)\n y = " + MEAN + "(m) }"
    )
    assert cost(text).low == 2 * 8 * 16 - 8


def test_squares_of_all_sums_are_a_contraction() -> None:
    """(x + w)^2 summed holds the products of x and w: the quarter-square way to multiply matrices."""
    text = OPEN + (
        ", float[1,5,8,1,1] w) => (y) { a = Constant<value_ints = [1]>()\n c = Constant<value_ints = [2]>()\n"
        "u = Unsqueeze(x, a)\n m = Add(u, w)\n q = Mul(m, m)\n y = ReduceSum<keepdims=0>(q, c) }"
    )
    assert cost(text).low == 1200


class TestScalingOrProduct:
    """Where the file does not say whether a map is scaled or multiplied, only the high count has the products."""

    @pytest.mark.parametrize(
        "text",
        [
            # A map scaled by channel, whose mean over channels steers an attention over places.
            OPEN + ", float[N,8,1,1] s) => (y) { m = Mul(x, s)\n p = ReduceMean<axes=[1]>(m)\n q = Sigmoid(p)\n"
            "y = Mul(m, q) }",
            # A choice between two branches, stacked and summed.
            "g (float[N,2,8,4,4] x, float[N,2,8,1,1] s) => (y) { m = Mul(x, s)\n c = Constant<value_ints = [1]>()\n"
            "y = ReduceSum<keepdims=0>(m, c) }",
        ],
    )
    def test_is_in_the_high_count_only(self, text: str) -> None:
        facts = cost(text)
        assert (facts.low, facts.macs) == (0, 0)
        assert facts.high > 0
        assert [layer.family for layer in facts.layers] == ["scaled and summed"]

    def test_a_cap_between_the_two_is_undecided(self) -> None:
        text = (
            "g (float[N,2,8,4,4] x, float[N,2,8,1,1] s) => (y) { m = Mul(x, s)\n c = Constant<value_ints = [1]>()\n"
            "y = ReduceSum<keepdims=0>(m, c) }"
        )
        outcome = flops_budget(Facts.of(cost(text)), rule(2 * 256 - 128 - 1))
        assert outcome.status is Status.UNDECIDED
        assert "384 if maps that are scaled and then summed count as products" in outcome.message

    def test_a_reader_more_does_not_make_a_product_free(self) -> None:
        """A 1x1 convolution in element-wise operators, whose products a maximum reads as well."""
        text = OPEN + (
            ", float[1,5,8,1,1] w) => (y) { a = Constant<value_ints = [1]>()\n c = Constant<value_ints = [2]>()\n"
            "u = Unsqueeze(x, a)\n m = Mul(u, w)\n s = ReduceSum<keepdims=0>(m, c)\n"
            "t = ReduceMax<axes=[2], keepdims=0>(m)\n y = Add(s, t) }"
        )
        assert cost(text).high == 1200
        assert flops_budget(Facts.of(cost(text)), rule(1199)).status is Status.UNDECIDED
