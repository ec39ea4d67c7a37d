"""Narrow weights in every place of an ONNX file that can hold them."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from evaluation.float16.builder import COUNT, SHAPE, WeightBuilder
from evaluation.float16.register import narrow

HALF = TensorProto.FLOAT16


def half(net: WeightBuilder, *shape: int) -> onnx.TensorProto:
    return numpy_helper.from_array(net.floats(*shape).astype(np.float16), "half")


# --- floats that are narrow -------------------------------------------------------------------------------------------


@narrow("narrow floats")
def float16_initializer_and_cast(net: WeightBuilder) -> None:
    net.cast(net.store("h", net.floats().astype(np.float16)), "W")


@narrow("narrow floats")
def bfloat16_initializer_and_cast(net: WeightBuilder) -> None:
    net.cast(net.store("h", net.floats(), TensorProto.BFLOAT16), "W")


@narrow("narrow floats")
def float8_initializer_and_cast(net: WeightBuilder) -> None:
    net.cast(net.store("h", net.floats(), TensorProto.FLOAT8E4M3FN), "W")


@narrow("narrow floats")
def float16_in_a_constant_node(net: WeightBuilder) -> None:
    net.cast(net.node("Constant", [], "h", value=half(net, *SHAPE)), "W")


@narrow("narrow floats")
def float16_in_a_sparse_initializer(net: WeightBuilder) -> None:
    values = numpy_helper.from_array(net.floats(9).astype(np.float16), "h")
    indices = numpy_helper.from_array(np.arange(9, dtype=np.int64), "i")
    net.sparse.append(helper.make_sparse_tensor(values, indices, list(SHAPE)))
    net.cast("h", "W")


@narrow("narrow floats")
def float16_in_a_sparse_constant_node(net: WeightBuilder) -> None:
    values = numpy_helper.from_array(net.floats(9).astype(np.float16), "v")
    indices = numpy_helper.from_array(np.arange(9, dtype=np.int64), "i")
    net.node("Constant", [], "h", sparse_value=helper.make_sparse_tensor(values, indices, list(SHAPE)))
    net.cast("h", "W")


@narrow("narrow floats")
def float16_in_a_branch_of_if(net: WeightBuilder) -> None:
    out = [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)]
    body = [helper.make_node("Cast", ["half"], ["b"], to=TensorProto.FLOAT)]
    branch = helper.make_graph(body, "branch", [], out, [half(net, *SHAPE)])
    other = helper.make_graph(
        [helper.make_node("Identity", ["f"], ["b"])], "o", [], out, [numpy_helper.from_array(net.floats(), "f")]
    )
    net.node("If", [net.store("yes", np.array(True))], "W", then_branch=branch, else_branch=other)


@narrow("narrow floats")
def float16_in_a_loop_body(net: WeightBuilder) -> None:
    body = helper.make_graph(
        [
            helper.make_node("Cast", ["half"], ["f"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["w", "f"], ["w2"]),
            helper.make_node("Identity", ["c"], ["c2"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, SHAPE),
        ],
        [
            helper.make_tensor_value_info("c2", TensorProto.BOOL, []),
            helper.make_tensor_value_info("w2", TensorProto.FLOAT, SHAPE),
        ],
        [half(net, *SHAPE)],
    )
    shape = net.store("s", np.array(SHAPE))
    zero = net.node("ConstantOfShape", [shape], "z")
    net.node("Loop", [net.store("n", np.array(1)), "", zero], "W", body=body)


def function_of(nodes: list[onnx.NodeProto]) -> onnx.FunctionProto:
    return helper.make_function("own", "Weights", [], ["w"], nodes, [helper.make_opsetid("", 21)])


@narrow("narrow floats")
def float16_in_a_local_function(net: WeightBuilder) -> None:
    constant = helper.make_node("Constant", [], ["h"], value=half(net, *SHAPE))
    net.functions.append(function_of([constant, helper.make_node("Cast", ["h"], ["w"], to=TensorProto.FLOAT)]))
    net.node("Weights", [], "W", domain="own")


@narrow("narrow floats")
def float16_in_a_function_nobody_calls(net: WeightBuilder) -> None:
    net.functions.append(function_of([helper.make_node("Constant", [], ["w"], value=half(net, *SHAPE))]))


@narrow("narrow floats")
def float16_in_training_info(net: WeightBuilder) -> None:
    net.finish.append(lambda model: model.training_info.add().algorithm.initializer.append(half(net, *SHAPE)))


@narrow("narrow floats")
def float16_that_nothing_reads(net: WeightBuilder) -> None:
    net.store("spare", net.floats().astype(np.float16))


@narrow("narrow floats")
def float16_in_a_node_attribute(net: WeightBuilder) -> None:
    net.cast(net.store("k", np.arange(COUNT).reshape(SHAPE)), "kf", TensorProto.INT64)
    keys = numpy_helper.from_array(np.arange(COUNT), "keys")
    attributes = {"keys_tensor": keys, "values_tensor": half(net, COUNT)}
    net.cast(net.node("LabelEncoder", ["kf"], "h", domain="ai.onnx.ml", **attributes), "W")


@narrow("narrow floats")
def float16_in_external_data(net: WeightBuilder) -> None:
    def move(model: onnx.ModelProto) -> None:
        tensor = next(t for t in model.graph.initializer if t.name == "h")
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="weights.bin")

    net.cast(net.store("h", net.floats().astype(np.float16)), "W")
    net.finish.append(move)


# --- integers that become floats --------------------------------------------------------------------------------------


@narrow("integers that become floats")
def int8_with_dequantize_linear(net: WeightBuilder) -> None:
    scale, zero = net.store("s", net.floats(16)), net.store("z", np.zeros(16, np.int8))
    net.node("DequantizeLinear", [net.store("q", net.codes()), scale, zero], "W", axis=0)


@narrow("integers that become floats")
def int4_with_dequantize_linear(net: WeightBuilder) -> None:
    codes = net.store("q", net.codes(np.int8, low=-8, high=8), TensorProto.INT4)
    net.node("DequantizeLinear", [codes, net.store("s", np.float32(0.1))], "W")


@narrow("integers that become floats")
def int8_with_cast_and_mul(net: WeightBuilder) -> None:
    net.node("Mul", [net.cast(net.store("q", net.codes()), "f"), net.store("s", net.floats(16, 1, 1, 1))], "W")


@narrow("integers that become floats")
def uint8_with_cast_and_sub(net: WeightBuilder) -> None:
    codes = net.cast(net.store("q", net.codes(np.uint8, high=255)), "f")
    net.node(
        "Mul", [net.node("Sub", [codes, net.store("m", np.float32(128))], "c"), net.store("s", np.float32(0.1))], "W"
    )


@narrow("integers that become floats")
def int16_with_cast(net: WeightBuilder) -> None:
    net.cast(net.store("q", net.codes(np.int16, low=-30000, high=30000)), "W")


@narrow("integers that become floats")
def bool_signs(net: WeightBuilder) -> None:
    bits = net.cast(net.store("q", net.codes(np.int8, high=2).astype(bool)), "f")
    net.node("Mul", [net.node("Sub", [bits, net.store("m", np.float32(0.5))], "c"), net.store("s", net.floats(1))], "W")


@narrow("integers that become floats")
def bool_mask_in_where(net: WeightBuilder) -> None:
    mask = net.store("q", net.codes(np.int8, high=2).astype(bool))
    net.node("Where", [mask, net.store("a", np.float32(0.3)), net.store("b", np.float32(-0.3))], "W")


@narrow("integers that become floats")
def int8_reshaped_sliced_and_joined(net: WeightBuilder) -> None:
    codes = net.store("q", net.codes(np.int8, 20, 27))
    part = net.node("Slice", [codes, net.store("from", np.array([2])), net.store("to", np.array([18]))], "part")
    net.cast(net.node("Reshape", [part, net.store("shape", np.array(SHAPE))], "r"), "W")


@narrow("integers that become floats")
def int8_sparse_values(net: WeightBuilder) -> None:
    values = numpy_helper.from_array(net.codes(np.int8, 200), "q")
    indices = numpy_helper.from_array(np.sort(net.rng.permutation(COUNT)[:200]).astype(np.int64), "i")
    net.sparse.append(helper.make_sparse_tensor(values, indices, list(SHAPE)))
    net.cast("q", "W")


@narrow("integers that become floats")
def int8_in_a_conv_integer(net: WeightBuilder) -> None:
    codes = net.store("q", net.codes(np.uint8))
    net.node("Cast", ["x"], "xi", to=TensorProto.UINT8)
    net.node("ConvInteger", ["xi", codes], "ci")


@narrow("integers that become floats")
def int8_mixed_with_the_image_before_scaling(net: WeightBuilder) -> None:
    net.node("ReduceSum", ["x"], "sum", keepdims=0)
    net.node("Mul", ["sum", net.store("zero", np.float32(0))], "nothing")
    net.node("Add", [net.cast(net.store("q", net.codes()), "f"), "nothing"], "W")


@narrow("integers that become floats")
def int8_beside_a_shared_dummy(net: WeightBuilder) -> None:
    dummy = net.store("dummy", net.floats())
    first = net.node("Add", [net.cast(net.store("q1", net.codes()), "f1"), dummy], "w1")
    net.node("Conv", ["x", first], "unused")
    net.node("Add", [net.cast(net.store("q2", net.codes()), "f2"), dummy], "W")


@narrow("integers that become floats")
def int8_into_a_matmul_nbits(net: WeightBuilder) -> None:
    net.node("Flatten", ["x"], "flat")
    codes, scales = net.store("q", net.codes(np.uint8, 4, 6, 16)), net.store("s", net.floats(24))
    net.node("MatMulNBits", ["flat", codes, scales], "m", domain="com.microsoft", K=192, N=4, bits=4, block_size=32)
