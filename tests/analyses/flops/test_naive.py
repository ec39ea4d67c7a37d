"""Counts against layers computed one product at a time, whose results agree with the runtime's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from pytest_facechallenge.analyses.flops.gather import facts_of
from pytest_facechallenge.onnx_graph.ir import from_model

from . import naive
from .build import model


def runtime(made: onnx.ModelProto, **inputs: Any) -> Any:
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {name: np.asarray(value, np.float32) for name, value in inputs.items()})[0]


def weights(made: onnx.ModelProto) -> dict[str, Any]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in made.graph.initializer}


def noise(*shape: int) -> Any:
    return np.random.default_rng(7).normal(size=shape)


@pytest.mark.parametrize(
    ("cin", "cout", "kernel", "stride", "dilation", "pad", "groups"),
    [
        (3, 4, 3, 1, 1, 1, 1),
        (4, 6, 3, 2, 1, 1, 2),
        (6, 6, 3, 1, 2, 2, 6),
        (4, 8, 1, 1, 1, 0, 4),
        (2, 3, 5, 3, 1, 0, 1),
    ],
)
def test_convolution(cin: int, cout: int, kernel: int, stride: int, dilation: int, pad: int, groups: int) -> None:
    made = model(
        f"g (float[N,{cin},7,6] x, float[{cout},{cin // groups},{kernel},{kernel}] w) => (float[N,{cout},R,S] y) "
        f"{{ y = Conv<strides=[{stride},{stride}], dilations=[{dilation},{dilation}], "
        f"pads=[{pad},{pad},{pad},{pad}], group={groups}>(x, w) }}"
    )
    x = noise(1, cin, 7, 6)
    y, products, sums = naive.convolution(
        x, weights(made)["w"], stride=stride, dilation=dilation, pad=pad, groups=groups
    )
    np.testing.assert_allclose(runtime(made, x=x), y, atol=1e-4)
    facts = facts_of(from_model(made, Path()))
    # The published arithmetic divides the saved first additions by the groups.
    assert (facts.macs, facts.low) == (products, 2 * products - sums // groups)


@pytest.mark.parametrize("stride", [1, 2])
def test_deconvolution(stride: int) -> None:
    made = model(
        "g (float[N,3,4,5] x, float[3,2,3,2] w) => (float[N,2,R,S] y) "
        f"{{ y = ConvTranspose<strides=[{stride},{stride}]>(x, w) }}"
    )
    x = noise(1, 3, 4, 5)
    y, products, sums = naive.deconvolution(x, weights(made)["w"], stride=stride)
    np.testing.assert_allclose(runtime(made, x=x), y, atol=1e-4)
    facts = facts_of(from_model(made, Path()))
    assert (facts.macs, facts.low) == (products, 2 * products - sums)


@pytest.mark.parametrize(
    ("left", "right"), [((1, 3, 4), (4, 5)), ((1, 2, 3, 4), (1, 2, 4, 3)), ((1, 2, 3, 4), (2, 1, 4, 3))]
)
def test_matrix_product(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    sizes = [",".join(str(extent) for extent in shape) for shape in (left, right)]
    rank = max(len(left), len(right))
    made = model(
        f"g (float[{sizes[0]}] x, float[{sizes[1]}] w) => (float[{','.join('RSTU'[:rank])}] y) {{ y = MatMul(x, w) }}"
    )
    x = noise(*left)
    y, products, sums = naive.matrix_product(x, weights(made)["w"])
    np.testing.assert_allclose(runtime(made, x=x), y, atol=1e-4)
    facts = facts_of(from_model(made, Path()))
    assert (facts.macs, facts.low) == (products, 2 * products - sums)


@pytest.mark.parametrize(
    "equation",
    ["bij,jk->bik", "bij,ijk->bk", "bhid,bhjd->bhij", "bij,kij->bk", "bij,bij->b", "bi,j->bij", "bij,bij->bij"],
)
def test_einsum(equation: str) -> None:
    extent = {"b": 1, "i": 3, "j": 4, "k": 5, "h": 2, "d": 6}
    terms, output = equation.split("->")
    first, second = ([extent[label] for label in term] for term in terms.split(","))
    sizes = [",".join(str(n) for n in shape) for shape in (first, second)]
    made = model(
        f"g (float[{sizes[0]}] x, float[{sizes[1]}] w) => (float[{','.join('RSTU'[: len(output)])}] y) "
        f'{{ y = Einsum<equation="{equation}">(x, w) }}'
    )
    x = noise(*first)
    y, products, sums = naive.einsum(equation, x, weights(made)["w"])
    np.testing.assert_allclose(runtime(made, x=x), y, atol=1e-4)
    facts = facts_of(from_model(made, Path()))
    contracts = products > sums  # some sum has more than one product in it
    assert (facts.macs, facts.low) == ((products, 2 * products - sums) if contracts else (0, 0))


def test_einsum_of_three_is_taken_two_by_two() -> None:
    made = model(
        'g (float[N,3] x, float[3,4] w, float[4,5] wb) => (y) { y = Einsum<equation="ni,ij,jk->nk">(x, w, wb) }'
    )
    assert facts_of(from_model(made, Path())).macs == 3 * 4 + 4 * 5


def test_einsum_sums_a_lone_index_before_the_product() -> None:
    made = model('g (float[N,3,7] x, float[3,5] w) => (y) { y = Einsum<equation="nij,ik->nk">(x, w) }')
    assert facts_of(from_model(made, Path())).macs == 3 * 5


def test_recurrent_layer() -> None:
    made = model(
        "g (float[1,5,3] x, float[1,4,3] w, float[1,4,4] wr) => (y) { t = Transpose<perm=[1,0,2]>(x)\n"
        "all, y = RNN<hidden_size=4>(t, w, wr) }"
    )
    made.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 1, 4]))
    x = noise(1, 5, 3)
    held = weights(made)
    y, products, sums = naive.recurrent_layer(np.swapaxes(x, 0, 1), held["w"], held["wr"])
    np.testing.assert_allclose(runtime(made, x=x), y, atol=1e-4)
    facts = facts_of(from_model(made, Path()))
    assert (facts.macs, facts.low) == (products, 2 * products - sums)


@pytest.mark.parametrize(("op", "gates"), [("RNN", 1), ("GRU", 3), ("LSTM", 4)])
def test_recurrent_layers_differ_by_their_gates(op: str, gates: int) -> None:
    text = (
        f"g (float[1,5,3] x, float[2,{gates * 4},3] w, float[2,{gates * 4},4] wr, float[2,{gates * 8}] wb) => (y) "
        f'{{ t = Transpose<perm=[1,0,2]>(x)\n y = {op}<hidden_size=4, direction="bidirectional">(t, w, wr, wb) }}'
    )
    facts = facts_of(from_model(model(text), Path()))
    assert facts.macs == 2 * 5 * gates * 4 * (3 + 4)
    assert facts.low == facts.high == 2 * facts.macs


def attention_model(text: str) -> onnx.ModelProto:
    return model(text, opset=23)


def test_attention() -> None:
    made = attention_model(
        "g (float[N,2,6,4] x, float[1,2,7,4] w, float[1,2,7,5] wv) => (y) { y = Attention(x, w, wv) }"
    )
    held = weights(made)
    _, products, sums = naive.attention(noise(1, 2, 6, 4), held["w"], held["wv"])
    facts = facts_of(from_model(made, Path()))
    assert (facts.macs, facts.low) == (products, 2 * products - sums)


def test_attention_whose_keys_serve_several_heads() -> None:
    """Four heads of queries share two heads of keys and values: the products are those of four."""
    text = "g (float[N,4,6,3] x, float[N,2,7,3] k, float[N,2,7,5] v) => (y) { y = Attention(x, k, v) }"
    assert facts_of(from_model(attention_model(text), Path())).macs == 4 * 6 * 7 * (3 + 5)


ATTENTION = {
    "three axes": "g (float[N,6,8] x, float[N,7,8] k, float[N,7,10] v) => (y) "
    "{ y = Attention<q_num_heads=2, kv_num_heads=2>(x, k, v) }",
    "multi-head": "g (float[N,6,8] x, float[N,7,8] k, float[N,7,10] v) => (y) "
    "{ y = com.microsoft.MultiHeadAttention<num_heads=2>(x, k, v) }",
    "multi-head, keys by head": "g (float[N,6,8] x, float[N,2,7,4] k, float[N,2,7,5] v) => (y) "
    "{ y = com.microsoft.MultiHeadAttention<num_heads=2>(x, k, v) }",
}


@pytest.mark.parametrize("text", ATTENTION.values(), ids=ATTENTION)
def test_forms_of_one_attention_cost_the_same(text: str) -> None:
    """6 queries, 7 keys, 2 heads of 4 and 5."""
    facts = facts_of(from_model(attention_model(text), Path()))
    assert facts.macs == 2 * 6 * 7 * (4 + 5)
    assert facts.low == 2 * facts.macs - 2 * 6 * (7 + 5)


def test_attention_with_its_projection() -> None:
    made = model(
        "g (float[N,6,8] x, float[8,24] w, float[24] wb) => (y) { y = com.microsoft.Attention<num_heads=2>(x, w, wb) }"
    )
    facts = facts_of(from_model(made, Path()))
    assert facts.macs == 6 * 8 * 24 + 2 * 6 * 6 * (4 + 4)


class TestTransforms:
    def test_dft_has_a_fast_and_a_plain_reading(self) -> None:
        facts = facts_of(from_model(model("g (float[N,3,16,1] x) => (y) { y = DFT<axis=2>(x) }", opset=17), Path()))
        assert (facts.low, facts.high) == (3 * 5 * 16 * 4, 3 * 8 * 16 * 16)

    def test_axis_and_length_as_inputs(self) -> None:
        text = (
            "g (float[N,3,16,1] x) => (y) { s = Shape(x)\n i = Constant<value_int = 2>()\n l = Gather(s, i)\n"
            "y = DFT(x, l, i) }"
        )
        assert facts_of(from_model(model(text, opset=20), Path())).low == 3 * 5 * 16 * 4

    def test_stft(self) -> None:
        text = (
            "g (float[N,64] x, float[16] w) => (y) { h = Constant<value_int = 8>()\n f = Constant<value_int = 16>()\n"
            "y = STFT(x, h, w, f) }"
        )
        assert facts_of(from_model(model(text), Path())).low == 7 * 5 * 16 * 4

    def test_length_from_the_image_cannot_be_counted(self) -> None:
        text = "g (float[N,3,16,1] x, int64 l) => (y) { y = DFT<axis=2>(x, l) }"
        facts = facts_of(from_model(model(text), Path()))
        assert [entry.op for entry in facts.uncounted] == ["DFT"]
