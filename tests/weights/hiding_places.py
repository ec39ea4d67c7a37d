"""Ways to hide narrow weights. Each function fills in a `Net`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.weights.small_net import COUNT, SHAPE, Net

Fill = Callable[[Net], object]
HIDDEN: dict[str, Fill] = {}

HALF = TensorProto.FLOAT16


def hidden(fill: Fill) -> Fill:
    HIDDEN[fill.__name__] = fill
    return fill


def half(net: Net, *shape: int) -> onnx.TensorProto:
    return numpy_helper.from_array(net.floats(*shape).astype(np.float16), "half")


# --- floats that are narrow -------------------------------------------------------------------------------------------


@hidden
def float16_initializer_and_cast(net: Net) -> None:
    net.cast(net.store("h", net.floats().astype(np.float16)), "W")


@hidden
def bfloat16_initializer_and_cast(net: Net) -> None:
    net.cast(net.store("h", net.floats(), TensorProto.BFLOAT16), "W")


@hidden
def float8_initializer_and_cast(net: Net) -> None:
    net.cast(net.store("h", net.floats(), TensorProto.FLOAT8E4M3FN), "W")


@hidden
def float16_in_a_constant_node(net: Net) -> None:
    net.cast(net.node("Constant", [], "h", value=half(net, *SHAPE)), "W")


@hidden
def float16_in_a_sparse_initializer(net: Net) -> None:
    values = numpy_helper.from_array(net.floats(9).astype(np.float16), "h")
    indices = numpy_helper.from_array(np.arange(9, dtype=np.int64), "i")
    net.sparse.append(helper.make_sparse_tensor(values, indices, list(SHAPE)))
    net.cast("h", "W")


@hidden
def float16_in_a_sparse_constant_node(net: Net) -> None:
    values = numpy_helper.from_array(net.floats(9).astype(np.float16), "v")
    indices = numpy_helper.from_array(np.arange(9, dtype=np.int64), "i")
    net.node("Constant", [], "h", sparse_value=helper.make_sparse_tensor(values, indices, list(SHAPE)))
    net.cast("h", "W")


@hidden
def float16_in_a_branch_of_if(net: Net) -> None:
    out = [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)]
    body = [helper.make_node("Cast", ["half"], ["b"], to=TensorProto.FLOAT)]
    branch = helper.make_graph(body, "branch", [], out, [half(net, *SHAPE)])
    other = helper.make_graph(
        [helper.make_node("Identity", ["f"], ["b"])], "o", [], out, [numpy_helper.from_array(net.floats(), "f")]
    )
    net.node("If", [net.store("yes", np.array(True))], "W", then_branch=branch, else_branch=other)


@hidden
def float16_in_a_loop_body(net: Net) -> None:
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


@hidden
def float16_in_a_local_function(net: Net) -> None:
    constant = helper.make_node("Constant", [], ["h"], value=half(net, *SHAPE))
    net.functions.append(function_of([constant, helper.make_node("Cast", ["h"], ["w"], to=TensorProto.FLOAT)]))
    net.node("Weights", [], "W", domain="own")


@hidden
def float16_in_a_function_nobody_calls(net: Net) -> None:
    net.functions.append(function_of([helper.make_node("Constant", [], ["w"], value=half(net, *SHAPE))]))


@hidden
def float16_in_training_info(net: Net) -> None:
    net.finish.append(lambda model: model.training_info.add().algorithm.initializer.append(half(net, *SHAPE)))


@hidden
def float16_that_nothing_reads(net: Net) -> None:
    net.store("spare", net.floats().astype(np.float16))


@hidden
def float16_in_a_node_attribute(net: Net) -> None:
    net.cast(net.store("k", np.arange(COUNT).reshape(SHAPE)), "kf", TensorProto.INT64)
    keys = numpy_helper.from_array(np.arange(COUNT), "keys")
    attributes = {"keys_tensor": keys, "values_tensor": half(net, COUNT)}
    net.cast(net.node("LabelEncoder", ["kf"], "h", domain="ai.onnx.ml", **attributes), "W")


@hidden
def float16_in_external_data(net: Net) -> None:
    def move(model: onnx.ModelProto) -> None:
        tensor = next(t for t in model.graph.initializer if t.name == "h")
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="weights.bin")

    net.cast(net.store("h", net.floats().astype(np.float16)), "W")
    net.finish.append(move)


# --- integers that become floats --------------------------------------------------------------------------------------


@hidden
def int8_with_dequantize_linear(net: Net) -> None:
    scale, zero = net.store("s", net.floats(16)), net.store("z", np.zeros(16, np.int8))
    net.node("DequantizeLinear", [net.store("q", net.codes()), scale, zero], "W", axis=0)


@hidden
def int4_with_dequantize_linear(net: Net) -> None:
    codes = net.store("q", net.codes(np.int8, low=-8, high=8), TensorProto.INT4)
    net.node("DequantizeLinear", [codes, net.store("s", np.float32(0.1))], "W")


@hidden
def int8_with_cast_and_mul(net: Net) -> None:
    net.node("Mul", [net.cast(net.store("q", net.codes()), "f"), net.store("s", net.floats(16, 1, 1, 1))], "W")


@hidden
def uint8_with_cast_and_sub(net: Net) -> None:
    codes = net.cast(net.store("q", net.codes(np.uint8, high=255)), "f")
    net.node(
        "Mul", [net.node("Sub", [codes, net.store("m", np.float32(128))], "c"), net.store("s", np.float32(0.1))], "W"
    )


@hidden
def int16_with_cast(net: Net) -> None:
    net.cast(net.store("q", net.codes(np.int16, low=-30000, high=30000)), "W")


@hidden
def bool_signs(net: Net) -> None:
    bits = net.cast(net.store("q", net.codes(np.int8, high=2).astype(bool)), "f")
    net.node("Mul", [net.node("Sub", [bits, net.store("m", np.float32(0.5))], "c"), net.store("s", net.floats(1))], "W")


@hidden
def bool_mask_in_where(net: Net) -> None:
    mask = net.store("q", net.codes(np.int8, high=2).astype(bool))
    net.node("Where", [mask, net.store("a", np.float32(0.3)), net.store("b", np.float32(-0.3))], "W")


@hidden
def int8_reshaped_sliced_and_joined(net: Net) -> None:
    codes = net.store("q", net.codes(np.int8, 20, 27))
    part = net.node("Slice", [codes, net.store("from", np.array([2])), net.store("to", np.array([18]))], "part")
    net.cast(net.node("Reshape", [part, net.store("shape", np.array(SHAPE))], "r"), "W")


@hidden
def int8_sparse_values(net: Net) -> None:
    values = numpy_helper.from_array(net.codes(np.int8, 200), "q")
    indices = numpy_helper.from_array(np.sort(net.rng.permutation(COUNT)[:200]).astype(np.int64), "i")
    net.sparse.append(helper.make_sparse_tensor(values, indices, list(SHAPE)))
    net.cast("q", "W")


@hidden
def int8_in_a_conv_integer(net: Net) -> None:
    codes = net.store("q", net.codes(np.uint8))
    net.node("Cast", ["x"], "xi", to=TensorProto.UINT8)
    net.node("ConvInteger", ["xi", codes], "ci")


@hidden
def int8_mixed_with_the_picture_before_scaling(net: Net) -> None:
    net.node("ReduceSum", ["x"], "sum", keepdims=0)
    net.node("Mul", ["sum", net.store("zero", np.float32(0))], "nothing")
    net.node("Add", [net.cast(net.store("q", net.codes()), "f"), "nothing"], "W")


@hidden
def int8_beside_a_shared_dummy(net: Net) -> None:
    dummy = net.store("dummy", net.floats())
    first = net.node("Add", [net.cast(net.store("q1", net.codes()), "f1"), dummy], "w1")
    net.node("Conv", ["x", first], "unused")
    net.node("Add", [net.cast(net.store("q2", net.codes()), "f2"), dummy], "W")


@hidden
def int8_into_a_matmul_nbits(net: Net) -> None:
    net.node("Flatten", ["x"], "flat")
    codes, scales = net.store("q", net.codes(np.uint8, 4, 6, 16)), net.store("s", net.floats(24))
    net.node("MatMulNBits", ["flat", codes, scales], "m", domain="com.microsoft", K=192, N=4, bits=4, block_size=32)


# --- codebooks --------------------------------------------------------------------------------------------------------


@hidden
def codebook_of_scalars(net: Net) -> None:
    net.node("Gather", [net.store("table", net.floats(16)), net.store("index", net.codes(np.int64, high=16))], "W")


@hidden
def codebook_with_narrow_indices(net: Net) -> None:
    index = net.cast(net.store("index", net.codes(np.uint8, high=16)), "i", TensorProto.INT64)
    net.node("Gather", [net.store("table", net.floats(16)), index], "W")


@hidden
def codebook_of_vectors(net: Net) -> None:
    rows = net.store("index", net.codes(np.int32, 48, high=8))
    found = net.node("Gather", [net.store("table", net.floats(8, 9)), rows], "rows", axis=0)
    net.node("Reshape", [found, net.store("shape", np.array(SHAPE))], "W")


@hidden
def codebook_through_one_hot(net: Net) -> None:
    index = net.store("index", net.codes(np.int64, COUNT, high=16).astype(np.int8))
    values = net.store("onoff", np.array([0, 1], np.float32))
    hot = net.node("OneHot", [index, net.store("depth", np.array(16)), values], "hot")
    product = net.node("MatMul", [hot, net.store("table", net.floats(16, 1))], "p")
    net.node("Reshape", [product, net.store("shape", np.array(SHAPE))], "W")


@hidden
def codebook_by_gather_nd(net: Net) -> None:
    index = net.store("index", net.codes(np.int64, *SHAPE, 1, high=16))
    net.node("GatherND", [net.store("table", net.floats(16)), index], "W")


@hidden
def codebook_in_a_label_encoder(net: Net) -> None:
    keys, values = list(range(16)), [float(value) for value in net.floats(16)]
    codes = net.store("q", net.codes(np.int64, high=16))
    net.node("LabelEncoder", [codes], "W", domain="ai.onnx.ml", keys_int64s=keys, values_floats=values)


@hidden
def codebook_by_array_feature_extractor(net: Net) -> None:
    index = net.store("index", net.codes(np.int64, 1, COUNT, high=16))
    found = net.node("ArrayFeatureExtractor", [net.store("t", net.floats(1, 16)), index], "e", domain="ai.onnx.ml")
    net.node("Reshape", [found, net.store("shape", np.array(SHAPE))], "W")


# --- several weights in one number ------------------------------------------------------------------------------------


def joined(net: Net, parts: list[str]) -> None:
    whole = net.node("Concat", parts, "whole", axis=0)
    net.node("Reshape", [whole, net.store("shape", np.array(SHAPE))], "W")


@hidden
def int32_unpacked_by_shifts(net: Net) -> None:
    packed = net.store("p", net.codes(np.uint32, COUNT // 4, high=2**32 - 1))
    parts = []
    for i in range(4):
        shifted = net.node("BitShift", [packed, net.store(f"by{i}", np.uint32(8 * i))], f"s{i}", direction="RIGHT")
        kept = net.node("BitwiseAnd", [shifted, net.store(f"mask{i}", np.uint32(255))], f"k{i}")
        parts.append(net.cast(kept, f"f{i}"))
    joined(net, parts)


@hidden
def int64_unpacked_by_div_and_mod(net: Net) -> None:
    packed = net.store("p", net.codes(np.int64, COUNT // 2, high=2**32))
    high = net.node("Div", [packed, net.store("base", np.int64(65536))], "high")
    low = net.node("Mod", [packed, "base"], "low")
    joined(net, [net.cast(high, "fh"), net.cast(low, "fl")])


@hidden
def int64_unpacked_by_a_broadcast_shift(net: Net) -> None:
    packed = net.store("p", net.codes(np.uint64, COUNT // 8, 1, high=2**62))
    by = net.store("by", (8 * np.arange(8, dtype=np.uint64)).reshape(1, 8))
    parts = net.node("BitShift", [packed, by], "s", direction="RIGHT")
    joined(net, [net.cast(net.node("Mod", [parts, net.store("base", np.uint64(256))], "m"), "f")])


@hidden
def pairs_in_float32_by_floor(net: Net) -> None:
    packed = net.store("p", net.codes(np.float32, COUNT // 2, high=2**24))
    scaled = net.node("Div", [packed, net.store("base", np.float32(4096))], "d")
    high = net.node("Floor", [scaled], "high")
    low = net.node("Sub", [packed, net.node("Mul", [high, "base"], "m")], "low")
    joined(net, [high, low])


@hidden
def pairs_in_float32_used_by_two_layers(net: Net) -> None:
    packed = net.store("p", net.codes(np.float32, *SHAPE, high=2**24))
    high = net.node("Floor", [net.node("Div", [packed, net.store("base", np.float32(4096))], "d")], "high")
    net.node("Conv", ["x", high], "unused")
    net.node("Sub", [packed, net.node("Mul", [high, "base"], "m")], "W")


@hidden
def pairs_in_float32_by_rounding(net: Net) -> None:
    packed = net.store("p", net.floats(COUNT // 2))
    big = net.store("big", np.float32(1 << 12))
    high = net.node("Sub", [net.node("Add", [packed, big], "up"), big], "high")
    joined(net, [high, net.node("Sub", [packed, high], "low")])


@hidden
def pairs_in_float32_by_fmod(net: Net) -> None:
    packed = net.store("p", net.codes(np.float32, COUNT // 2, high=2**24))
    low = net.node("Mod", [packed, net.store("base", np.float32(4096))], "low", fmod=1)
    joined(net, [net.node("Sub", [packed, low], "high"), low])


@hidden
def bytes_joined_by_arithmetic(net: Net) -> None:
    high = net.cast(net.store("q1", net.codes(np.uint8)), "f1")
    low = net.cast(net.store("q2", net.codes(np.uint8)), "f2")
    net.node("Add", [net.node("Mul", [high, net.store("base", np.float32(256))], "m"), low], "W")


# --- text -------------------------------------------------------------------------------------------------------------


@hidden
def strings_cast_to_float(net: Net) -> None:
    texts = [f"{value:.3f}".encode() for value in net.floats().ravel()]
    net.initializers.append(TensorProto(name="t", data_type=TensorProto.STRING, dims=SHAPE, string_data=texts))
    net.cast("t", "W")


@hidden
def strings_in_a_constant_node(net: Net) -> None:
    texts = [f"{value:.3f}" for value in net.floats().ravel()]
    floats = net.cast(net.node("Constant", [], "t", value_strings=texts), "f")
    net.node("Reshape", [floats, net.store("shape", np.array(SHAPE))], "W")


@hidden
def strings_through_a_category_mapper(net: Net) -> None:
    letters = [chr(97 + i) for i in range(16)]
    texts = [letters[i].encode() for i in net.codes(np.int64, high=16).ravel()]
    net.initializers.append(TensorProto(name="t", data_type=TensorProto.STRING, dims=SHAPE, string_data=texts))
    codes = net.node(
        "CategoryMapper", ["t"], "c", domain="ai.onnx.ml", cats_int64s=list(range(16)), cats_strings=letters
    )
    net.cast(codes, "W")


@hidden
def base64_in_metadata(net: Net) -> None:
    import base64

    text = base64.b64encode(net.floats().astype(np.float16).tobytes()).decode()
    net.finish.append(lambda model: model.metadata_props.add(key="w", value=text))


@hidden
def hexadecimal_in_a_doc_string(net: Net) -> None:
    text = net.floats().astype(np.float16).tobytes().hex()
    net.finish.append(lambda model: setattr(model.graph.node[0], "doc_string", text))


@hidden
def numbers_in_a_doc_string(net: Net) -> None:
    text = ", ".join(f"{value:.4f}" for value in net.floats().ravel())
    net.finish.append(lambda model: setattr(model, "doc_string", text))


@hidden
def int8_unpacked_by_a_loop(net: Net) -> None:
    def info(name: str, kind: int, shape: list[int] | None) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, shape)

    body = helper.make_graph(
        [
            helper.make_node("Gather", ["codes", "i"], ["row"], axis=0),
            helper.make_node("Cast", ["row"], ["f"], to=TensorProto.FLOAT),
            helper.make_node("Identity", ["c"], ["c2"]),
        ],
        "body",
        [info("i", TensorProto.INT64, []), info("c", TensorProto.BOOL, [])],
        [info("c2", TensorProto.BOOL, []), info("f", TensorProto.FLOAT, [3, 3, 3])],
    )
    net.store("codes", net.codes())
    net.node("Loop", [net.store("n", np.array(16)), ""], "W", body=body)


@hidden
def int8_scanned_row_by_row(net: Net) -> None:
    body = helper.make_graph(
        [helper.make_node("Cast", ["row"], ["f"], to=TensorProto.FLOAT)],
        "body",
        [helper.make_tensor_value_info("row", TensorProto.INT8, [3, 3, 3])],
        [helper.make_tensor_value_info("f", TensorProto.FLOAT, [3, 3, 3])],
    )
    net.node("Scan", [net.store("codes", net.codes())], "W", body=body, num_scan_inputs=1)


@hidden
def int8_through_a_sequence(net: Net) -> None:
    sequence = net.node("SequenceConstruct", [net.store("a", net.codes()), net.store("b", net.codes())], "s")
    net.cast(net.node("SequenceAt", [sequence, net.store("one", np.array(1))], "q"), "W")


@hidden
def int8_in_pieces_of_sixteen(net: Net) -> None:
    joined(net, [net.cast(net.store(f"q{i}", net.codes(np.int8, 16)), f"f{i}") for i in range(27)])


@hidden
def int8_clipped_and_padded(net: Net) -> None:
    part = net.cast(net.store("q", net.codes(np.int8, 16, 3, 1, 3)), "f")
    wide = net.node("Pad", [part, net.store("pads", np.array([0, 0, 1, 0, 0, 0, 1, 0]))], "wide")
    net.node("Clip", [wide, net.store("low", np.float32(-9)), net.store("high", np.float32(9))], "W")


@hidden
def pairs_in_float32_by_sign(net: Net) -> None:
    packed = net.store("p", net.floats(COUNT // 2))
    joined(net, [net.node("Relu", [packed], "up"), net.node("Relu", [net.node("Neg", [packed], "minus")], "down")])


@hidden
def bits_of_float32_by_saturation(net: Net) -> None:
    packed = net.store("p", net.floats(COUNT // 2))
    steep = net.node("Mul", [packed, net.store("steep", np.float32(1e8))], "steep_p")
    sign = net.node("Tanh", [steep], "sign")
    joined(net, [sign, net.node("Sub", [packed, sign], "rest")])


@hidden
def pairs_in_float32_by_a_broadcast_floor(net: Net) -> None:
    packed = net.store("p", net.codes(np.float32, COUNT // 2, 1, high=2**24))
    scaled = net.node("Div", [packed, net.store("bases", np.array([[256, 4096]], np.float32))], "d")
    rest = net.node("Sub", [scaled, net.node("Floor", [scaled], "whole")], "rest")
    net.node("Reshape", [rest, net.store("shape", np.array(SHAPE))], "W")
