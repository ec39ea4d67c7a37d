"""One 1x1 convolution written in every way: whatever the form, the figure is the same and the budget sees it."""

from __future__ import annotations

import pytest

from pytest_facechallenge.checks.flops import flops_budget
from pytest_facechallenge.core.facts import Facts
from pytest_facechallenge.core.outcome import Status

from .build import cost
from .rules import rule

#: 8 channels -> 5 at 4x4 places: 640 products into 80 sums, 2 * 640 - 80 operations.
FLOPS = 1200

OPEN = "g (float[N,8,4,4] x"
TAPS = "\n".join(f"s{i} = Slice(x, b{i}, b{i + 1}, axis)\n m{i} = Mul(s{i}, w{i})" for i in range(8))
BOUNDS = "\n".join(f"b{i} = Constant<value_ints = [{i}]>()" for i in range(9))
WEIGHTS = ", ".join(f"float[1,5,1,1] w{i}" for i in range(8))
BYTES = "g (uint8[N,8,4,4] x, uint8[5,8,1,1] w, uint8 wz, float ws"

FORMS: dict[str, str | tuple[str, int]] = {
    "Conv": OPEN + ", float[5,8,1,1] w) => (float[N,5,4,4] y) { y = Conv(x, w) }",
    "Conv on one axis": "g (float[N,8,16] x, float[5,8,1] w) => (float[N,5,16] y) { y = Conv(x, w) }",
    "Conv on three axes": "g (float[N,8,4,2,2] x, float[5,8,1,1,1] w) => (y) { y = Conv(x, w) }",
    "Conv, weights from the graph": OPEN + ", float[40] w) => (y) { s = Constant<value_ints = [5,8,1,1]>()\n"
    "k = Reshape(w, s)\n y = Conv(x, k) }",
    "ConvTranspose": OPEN + ", float[8,5,1,1] w) => (float[N,5,4,4] y) { y = ConvTranspose(x, w) }",
    "ConvInteger": BYTES + ") => (int32[N,5,4,4] y) { y = ConvInteger(x, w) }",
    "QLinearConv": BYTES + ") => (uint8[N,5,4,4] y) { y = QLinearConv(x, ws, wz, w, ws, wz, ws, wz) }",
    "DeformConv": (
        OPEN + ", float[5,8,1,1] w, float[1,2,4,4] woff) => (y) { y = DeformConv<kernel_shape=[1,1]>(x, w, woff) }",
        19,
    ),
    "FusedConv": OPEN + ', float[5,8,1,1] w) => (y) { y = com.microsoft.FusedConv<activation="Relu">(x, w) }',
    "MatMul": "g (float[N,16,8] x, float[8,5] w) => (float[N,16,5] y) { y = MatMul(x, w) }",
    "MatMul from the left": "g (float[N,8,16] x, float[5,8] w) => (float[N,5,16] y) { y = MatMul(w, x) }",
    "MatMul of two activations": "g (float[N,16,8] x, float[N,8,5] z) => (float[N,16,5] y) { y = MatMul(x, z) }",
    "MatMulInteger": "g (uint8[N,16,8] x, uint8[8,5] w) => (int32[N,16,5] y) { y = MatMulInteger(x, w) }",
    "QLinearMatMul": "g (uint8[N,16,8] x, uint8[8,5] w, uint8 wz, float ws) => (uint8[N,16,5] y) "
    "{ y = QLinearMatMul(x, ws, wz, w, ws, wz, ws, wz) }",
    "FusedMatMul": "g (float[N,16,8] x, float[5,8] w) => (y) { y = com.microsoft.FusedMatMul<transB=1>(x, w) }",
    "MatMulIntegerToFloat": "g (uint8[N,16,8] x, uint8[8,5] w, float ws) => (y) "
    "{ y = com.microsoft.MatMulIntegerToFloat(x, w, ws, ws) }",
    "Gemm": OPEN + ", float[8,5] w) => (y) { t = Transpose<perm=[0,2,3,1]>(x)\n s = Constant<value_ints = [-1,8]>()\n"
    "r = Reshape(t, s)\n y = Gemm(r, w) }",
    "Gemm, both sides transposed": OPEN + ", float[5,8] w) => (y) { s = Constant<value_ints = [8,16]>()\n"
    "r = Reshape(x, s)\n y = Gemm<transA=1, transB=1>(r, w) }",
    "FusedGemm": OPEN + ", float[5,8] w) => (y) { s = Constant<value_ints = [8,16]>()\n"
    'r = Reshape(x, s)\n y = com.microsoft.FusedGemm<transA=1, transB=1, activation="Relu">(r, w) }',
    "Einsum": OPEN + ', float[5,8] w) => (y) { y = Einsum<equation="nchw,oc->nohw">(x, w) }',
    "Einsum with an ellipsis": OPEN + ', float[5,8] w) => (y) { y = Einsum<equation="nc...,oc->no...">(x, w) }',
    "Einsum without an output": 'g (float[N,16,8] x, float[8,5] w) => (y) { y = Einsum<equation="bij,jk">(x, w) }',
    "Mul and ReduceSum": OPEN + ", float[1,5,8,1,1] w) => (y) { a = Constant<value_ints = [1]>()\n"
    "c = Constant<value_ints = [2]>()\n u = Unsqueeze(x, a)\n m = Mul(u, w)\n y = ReduceSum<keepdims=0>(m, c) }",
    "Mul, Reshape and ReduceMean": OPEN + ", float[1,5,8,1,1] w) => (y) { a = Constant<value_ints = [1]>()\n"
    "s = Constant<value_ints = [5,8,16]>()\n u = Unsqueeze(x, a)\n m = Mul(w, u)\n r = Reshape(m, s)\n"
    "t = Transpose<perm=[0,2,1]>(r)\n i = Neg(t)\n y = ReduceMean<keepdims=0, axes=[2]>(i) }",
    "Mul, a scale and ReduceSum": OPEN + ", float[1,5,8,1,1] w) => (y) { a = Constant<value_ints = [1]>()\n"
    "c = Constant<value_ints = [2]>()\n h = Constant<value_float = 0.5>()\n u = Unsqueeze(x, a)\n m = Mul(u, w)\n"
    "n = Mul(m, h)\n y = ReduceSum<keepdims=0>(n, c) }",
    "Mul and pooling": OPEN + ", float[80,8,1,1] w) => (y) { s = Constant<value_ints = [1,8,16]>()\n"
    "r = Reshape(x, s)\n t = Transpose<perm=[0,2,1]>(r)\n e = Constant<value_ints = [1,16,1,8]>()\n u = Reshape(t, e)\n"
    "v = Constant<value_ints = [1,1,5,8]>()\n f = Flatten(w)\n k = Constant<value_ints = [16,5,8]>()\n"
    "q = Reshape(f, k)\n m = Mul(u, q)\n y = AveragePool<kernel_shape=[1,8]>(m) }",
    "differences summed": OPEN + ", float[1,5,8,1,1] w) => (y) { a = Constant<value_ints = [1]>()\n"
    "c = Constant<value_ints = [2]>()\n u = Unsqueeze(x, a)\n m = Sub(u, w)\n b = Abs(m)\n"
    "y = ReduceSum<keepdims=0>(b, c) }",
    "written out": f"{OPEN}, {WEIGHTS}) => (y) {{ axis = Constant<value_ints = [1]>()\n {BOUNDS}\n {TAPS}\n"
    "p1 = Add(m0, m1)\n p2 = Add(p1, m2)\n p3 = Add(m3, p2)\n p4 = Add(p3, m4)\n p5 = Sum(p4, m5, m6)\n"
    "y = Add(p5, m7) }",
    "written out and joined": f"{OPEN}, {WEIGHTS}) => (y) {{ axis = Constant<value_ints = [1]>()\n {BOUNDS}\n {TAPS}\n"
    "k = Concat<axis=0>(m0, m1, m2, m3, m4, m5, m6, m7)\n zero = Constant<value_ints = [0]>()\n"
    "y = ReduceSum<keepdims=0>(k, zero) }",
    "written out, with an idle reader": f"{OPEN}, {WEIGHTS}) => (y) {{ axis = Constant<value_ints = [1]>()\n"
    f"{BOUNDS}\n {TAPS}\n p1 = Add(m0, m1)\n p2 = Add(p1, m2)\n dead = Relu(p2)\n p3 = Add(m3, p2)\n"
    "p4 = Add(p3, m4)\n p5 = Sum(p4, m5, m6)\n y = Add(p5, m7) }",
    "through BatchNormalization, Gather and Split": OPEN
    + ", float[5,8,1,1] w, float[5] wa, int64[16] windices) => (y) {\n"
    "s = Constant<value_ints = [1,1,8,16]>()\n t = Constant<value_ints = [1,5,8,1]>()\n r = Reshape(x, s)\n"
    "k = Reshape(w, t)\n m = Mul(r, k)\n n = BatchNormalization(m, wa, wa, wa, wa)\n g = Gather<axis=3>(n, windices)\n"
    "h = Constant<value_ints = [10,6]>()\n a, b = Split<axis=3>(g, h)\n j = Concat<axis=3>(a, b)\n"
    "c = Constant<value_ints = [2]>()\n y = ReduceSum<keepdims=0>(j, c) }",
    "a sum of expanded copies": OPEN + ", float[1,5,8,1,1] w) => (y) { a = Constant<value_ints = [1]>()\n"
    "c = Constant<value_ints = [2]>()\n s = Constant<value_ints = [1,5,8,4,4]>()\n u = Unsqueeze(x, a)\n"
    "k = Expand(u, s)\n l = Expand(w, s)\n m = Sub(k, l)\n b = Abs(m)\n y = ReduceSum<keepdims=0>(b, c) }",
    "choices by a mask": OPEN + ", bool[1,5,8,1,1] w) => (y) { a = Constant<value_ints = [1]>()\n"
    "c = Constant<value_ints = [2]>()\n z = Constant<value_float = 0.0>()\n u = Unsqueeze(x, a)\n"
    "m = Where(w, u, z)\n y = ReduceSum<keepdims=0>(m, c) }",
    "products in an If, their sum outside": OPEN + ", float[1,5,8,1,1] w, bool flag) => (y) {\n"
    "a = Constant<value_ints = [1]>()\n c = Constant<value_ints = [2]>()\n u = Unsqueeze(x, a)\n m = If(flag) <\n"
    "then_branch = t () => (p) { p = Mul(u, w) },\n else_branch = e () => (q) { q = Mul(w, u) }>\n"
    "y = ReduceSum<keepdims=0>(m, c) }",
    "products outside, their sum in an If": OPEN + ", float[1,5,8,1,1] w, bool flag) => (y) {\n"
    "a = Constant<value_ints = [1]>()\n c = Constant<value_ints = [2]>()\n u = Unsqueeze(x, a)\n m = Mul(u, w)\n"
    "y = If(flag) < then_branch = t () => (p) { p = ReduceSum<keepdims=0>(m, c) },\n"
    "else_branch = e () => (q) { q = ReduceSum<keepdims=0>(m, c) }> }",
    "products stacked by a Scan, their sum outside": OPEN + ", float[8,1,5,1,1] w) => (y) {\n"
    "c = Constant<value_ints = [0]>()\n m = Scan<num_scan_inputs=2, scan_input_axes=[1,0], "
    "body = b (float[1,4,4] s, float[1,5,1,1] t) => (p) { p = Mul(s, t) }>(x, w)\n"
    "y = ReduceSum<keepdims=0>(m, c) }",
    "outer product by Einsum, then a sum": OPEN + ", float[5,8] w) => (y) { c = Constant<value_ints = [2]>()\n"
    'm = Einsum<equation="nchw,oc->nochw">(x, w)\n y = ReduceSum<keepdims=0>(m, c) }',
    "outer product by MatMul, then a sum": "g (float[N,8,16,1] x, float[8,1,5] w) => (y) {\n"
    "c = Constant<value_ints = [1]>()\n m = MatMul(x, w)\n y = ReduceSum<keepdims=0>(m, c) }",
    "scale of a LayerNormalization, then a sum": "g (float[N,16,5,8] x, float[5,8] w, float[5,8] wb) => (y) {\n"
    "n = LayerNormalization<axis=2>(x, w, wb)\n c = Constant<value_ints = [3]>()\n y = ReduceSum<keepdims=0>(n, c) }",
    "mean that a LayerNormalization gives away": "g (float[N,16,1,8] x, float[5,8] w, float[8] wo) => (y) {\n"
    "m = Mul(x, w)\n n, mean, inverse = LayerNormalization(m, wo, wo)\n y = Identity(mean) }",
    "products in a table": "g (int64[N,16,8] x, float[2048,5] w) => (y) { m = Gather(w, x)\n"
    "c = Constant<value_ints = [2]>()\n y = ReduceSum<keepdims=0>(m, c) }",
    "exponential of added logarithms": OPEN + ", float[1,5,8,1,1] w) => (y) { a = Constant<value_ints = [1]>()\n"
    "c = Constant<value_ints = [2]>()\n u = Unsqueeze(x, a)\n l = Log(u)\n m = Add(l, w)\n e = Exp(m)\n"
    "y = ReduceSum<keepdims=0>(e, c) }",
    "logarithm of a sum of exponentials": OPEN + ", float[1,5,8,1,1] w) => (y) { a = Constant<value_ints = [1]>()\n"
    "u = Unsqueeze(x, a)\n m = Add(u, w)\n y = ReduceLogSumExp<axes=[2]>(m) }",
    "length of a difference": OPEN + ", float[1,5,8,1,1] w) => (y) { a = Constant<value_ints = [1]>()\n"
    "u = Unsqueeze(x, a)\n m = Sub(u, w)\n y = ReduceL2<axes=[2]>(m) }",
    "written out with Mean": f"{OPEN}, {WEIGHTS}) => (y) {{ axis = Constant<value_ints = [1]>()\n {BOUNDS}\n {TAPS}\n"
    "y = Mean(m0, m1, m2, m3, m4, m5, m6, m7) }",
    "written out with Sub": f"{OPEN}, {WEIGHTS}) => (y) {{ axis = Constant<value_ints = [1]>()\n {BOUNDS}\n {TAPS}\n"
    "p1 = Sub(m0, m1)\n p2 = Sub(p1, m2)\n p3 = Sub(p2, m3)\n p4 = Sub(p3, m4)\n p5 = Sub(p4, m5)\n"
    "p6 = Sub(p5, m6)\n y = Sub(p6, m7) }",
    "written out in scaled pairs": f"{OPEN}, {WEIGHTS}) => (y) {{ axis = Constant<value_ints = [1]>()\n"
    f"h = Constant<value_float = 0.5>()\n {BOUNDS}\n {TAPS}\n"
    + "\n".join(f"p{i} = Add(m{2 * i}, m{2 * i + 1})\n q{i} = Mul(p{i}, h)" for i in range(4))
    + "\n r0 = Add(q0, q1)\n r1 = Add(q2, q3)\n y = Add(r0, r1) }",
    "written out with squares": f"{OPEN}, {WEIGHTS}) => (y) {{ axis = Constant<value_ints = [1]>()\n {BOUNDS}\n"
    + TAPS.replace("Mul(", "Add(").replace("m", "t")
    + "\n"
    + "\n".join(f"m{i} = Mul(t{i}, t{i})" for i in range(8))
    + "\n y = Sum(m0, m1, m2, m3, m4, m5, m6, m7) }",
    "in an If, either branch": OPEN + ", float[5,8,1,1] w, bool flag) => (y) { y = If(flag) <\n"
    "then_branch = a () => (p) { p = Conv(x, w) },\n else_branch = b () => (q) { q = Conv(x, w) }> }",
    "in a Loop of one turn": OPEN + ", float[5,8,1,1] w) => (y) { n = Constant<value_int = 1>()\n"
    "e = Constant<value = bool {1}>()\n y = Loop(n, e) <body = b (int64 i, bool c) => (d, p) "
    "{ d = Identity(c)\n p = Conv(x, w) }> }",
    "in a Scan over places": "g (float[N,16,8] x, float[8,5] w) => (y) { y = Scan<num_scan_inputs=1, "
    "scan_input_axes=[1], body = b (float[1,8] r) => (p) { p = MatMul(r, w) }>(x) }",
    "LinearRegressor": OPEN + ") => (y) { s = Constant<value_ints = [16,8]>()\n r = Reshape(x, s)\n"
    "y = ai.onnx.ml.LinearRegressor<targets=5, coefficients=[" + ",".join(["0.5"] * 40) + "]>(r) }",
    "spread over the depth": "g (float[N,2,8,8] x, float[5,8,1,1] w) => (y) "
    "{ d = SpaceToDepth<blocksize=2>(x)\n y = Conv(d, w) }",
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_costs_the_same(form: str) -> None:
    entry = FORMS[form]
    text, opset = entry if isinstance(entry, tuple) else (entry, 17)
    facts = cost(text, opset=opset)
    assert facts.uncounted == ()
    assert (facts.low, facts.macs) == (FLOPS, 640)
    # Forms with element-wise work around the products are many times their figure: not what is judged here.
    assert flops_budget(Facts.of(facts), rule(FLOPS, free_share=4)).status is Status.PASSED
    assert flops_budget(Facts.of(facts), rule(FLOPS - 1)).status is Status.FAILED


def test_in_a_function_in_a_function() -> None:
    functions = """
<domain: "own", opset_import: ["" : 17]> inner (a, k) => (b) { b = Conv(a, k) }
<domain: "own", opset_import: ["" : 17, "own" : 1]> outer (a, k) => (b) { b = own.inner(a, k) }
"""
    text = OPEN + ", float[5,8,1,1] w) => (y) { y = own.outer(x, w) }"
    assert cost(text, functions=functions).low == FLOPS


def test_places_gathered_beforehand() -> None:
    """A convolution by Gather (im2col) and a product: 3x3 taps of 2 channels at 2x2 places, into 5 channels."""
    text = (
        "g (float[N,2,16] x, int64[36] windices, float[5,18] w) => (y) { g = Gather<axis=2>(x, windices)\n"
        "s = Constant<value_ints = [1,18,4]>()\n r = Reshape(g, s)\n y = MatMul(w, r) }"
    )
    assert cost(text).low == 2 * 18 * 5 * 4 - 5 * 4


def test_products_summed_over_the_turns_of_a_scan() -> None:
    """The carried sum starts from a value, as from a bias: no first addition is saved."""
    text = OPEN + (
        ", float[8,1,5,1,1] w, float[1,5,4,4] wzero) => (y) { y = Scan<num_scan_inputs=2, scan_input_axes=[1,0], "
        "body = b (float[1,5,4,4] sum, float[1,4,4] s, float[1,5,1,1] t) => (next) "
        "{ p = Mul(s, t)\n next = Add(sum, p) }>(wzero, x, w) }"
    )
    facts = cost(text)
    assert (facts.macs, facts.low) == (640, 2 * 640)


@pytest.mark.parametrize(
    "repeat",
    [
        "k = Concat<axis=1>(x, x, x, x, x)",
        "f = Constant<value_ints = [1,5,1,1]>()\n k = Tile(x, f)",
        "f = Constant<value_floats = [1.0,5.0,1.0,1.0]>()\n k = Resize(x, , f)",
        "i = Constant<value_ints = [" + ",".join(str(k % 8) for k in range(40)) + "]>()\n k = Gather<axis=1>(x, i)",
    ],
)
def test_squares_of_sums_of_repeated_values(repeat: str) -> None:
    """(x + w)^2 summed, where x was repeated beforehand so that no axis is broadcast."""
    text = OPEN + (
        f", float[1,40,1,1] w) => (y) {{ {repeat}\n i2 = Identity(k)\n m = Add(i2, w)\n q = Mul(m, m)\n"
        "s = Constant<value_ints = [1,5,8,4,4]>()\n r = Reshape(q, s)\n c = Constant<value_ints = [2]>()\n"
        "y = ReduceSum<keepdims=0>(r, c) }"
    )
    assert cost(text).macs == 640


@pytest.mark.parametrize(
    "body",
    [
        "p = Mul(s, t)\n next = Sub(sum, p)",
        "p = Mul(s, t)\n m = Sub(sum, p)\n next = Neg(m)",
        "q = Add(s, t)\n p = Mul(q, q)\n next = Add(sum, p)",
    ],
)
def test_other_ways_to_sum_over_the_turns(body: str) -> None:
    text = OPEN + (
        ", float[8,1,5,1,1] w, float[1,5,4,4] wzero) => (y) { y = Scan<num_scan_inputs=2, scan_input_axes=[1,0], "
        f"body = b (float[1,5,4,4] sum, float[1,4,4] s, float[1,5,1,1] t) => (next) {{ {body} }}>(wzero, x, w) }}"
    )
    assert cost(text).macs == 640


def test_products_and_sums_nested_in_each_other() -> None:
    """((s0 * w0 + s1) * w1 + s2) * w2…: as many products as there are weights."""
    steps = "\n".join(f"g{i} = Add(h{i - 1}, s{i})\n h{i} = Mul(g{i}, w{i})" for i in range(1, 8))
    slices = "\n".join(f"s{i} = Slice(x, b{i}, b{i + 1}, axis)" for i in range(8))
    text = (
        f"{OPEN}, {WEIGHTS}) => (y) {{ axis = Constant<value_ints = [1]>()\n {BOUNDS}\n {slices}\n"
        f"h0 = Mul(s0, w0)\n {steps}\n y = Add(h7, h7) }}"
    )
    assert cost(text).macs == 640


def test_products_added_piece_by_piece_onto_a_map() -> None:
    """A deconvolution as an outer product and Col2Im: 2x2 taps at 3x3 places, one channel."""
    text = (
        "g (float[N,1,9] x, float[1,4,1] w) => (y) { m = Mul(x, w)\n i = Constant<value_ints = [4,4]>()\n"
        "b = Constant<value_ints = [2,2]>()\n y = Col2Im(m, i, b) }"
    )
    assert cost(text, opset=18).macs == 4 * 9


def test_a_long_chain_behind_a_sum_is_followed() -> None:
    steps = "\n".join(f"t{i + 1} = Add(t{i}, h)" for i in range(1500))
    text = OPEN + (
        ", float[1,5,8,1,1] w, float[1] wh) => (y) { a = Constant<value_ints = [1]>()\n"
        "c = Constant<value_ints = [2]>()\n u = Unsqueeze(x, a)\n t0 = Mul(u, w)\n h = Neg(wh)\n"
        f"{steps}\n y = ReduceSum<keepdims=0>(t1500, c) }}"
    )
    assert cost(text).low == FLOPS
