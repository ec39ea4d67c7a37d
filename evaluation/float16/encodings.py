"""Ways to hide weights in tables, inside other numbers, in text, and behind control flow."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from evaluation.float16.builder import COUNT, SHAPE, WeightBuilder
from evaluation.float16.register import narrow

# --- codebooks --------------------------------------------------------------------------------------------------------


@narrow("codebook")
def codebook_of_scalars(net: WeightBuilder) -> None:
    net.node("Gather", [net.store("table", net.floats(16)), net.store("index", net.codes(np.int64, high=16))], "W")


@narrow("codebook")
def codebook_with_narrow_indices(net: WeightBuilder) -> None:
    index = net.cast(net.store("index", net.codes(np.uint8, high=16)), "i", TensorProto.INT64)
    net.node("Gather", [net.store("table", net.floats(16)), index], "W")


@narrow("codebook")
def codebook_of_vectors(net: WeightBuilder) -> None:
    rows = net.store("index", net.codes(np.int32, 48, high=8))
    found = net.node("Gather", [net.store("table", net.floats(8, 9)), rows], "rows", axis=0)
    net.node("Reshape", [found, net.store("shape", np.array(SHAPE))], "W")


@narrow("codebook")
def codebook_through_one_hot(net: WeightBuilder) -> None:
    index = net.store("index", net.codes(np.int64, COUNT, high=16).astype(np.int8))
    values = net.store("onoff", np.array([0, 1], np.float32))
    hot = net.node("OneHot", [index, net.store("depth", np.array(16)), values], "hot")
    product = net.node("MatMul", [hot, net.store("table", net.floats(16, 1))], "p")
    net.node("Reshape", [product, net.store("shape", np.array(SHAPE))], "W")


@narrow("codebook")
def codebook_by_gather_nd(net: WeightBuilder) -> None:
    index = net.store("index", net.codes(np.int64, *SHAPE, 1, high=16))
    net.node("GatherND", [net.store("table", net.floats(16)), index], "W")


@narrow("codebook")
def codebook_in_a_label_encoder(net: WeightBuilder) -> None:
    keys, values = list(range(16)), [float(value) for value in net.floats(16)]
    codes = net.store("q", net.codes(np.int64, high=16))
    net.node("LabelEncoder", [codes], "W", domain="ai.onnx.ml", keys_int64s=keys, values_floats=values)


@narrow("codebook")
def codebook_by_array_feature_extractor(net: WeightBuilder) -> None:
    index = net.store("index", net.codes(np.int64, 1, COUNT, high=16))
    found = net.node("ArrayFeatureExtractor", [net.store("t", net.floats(1, 16)), index], "e", domain="ai.onnx.ml")
    net.node("Reshape", [found, net.store("shape", np.array(SHAPE))], "W")


# --- several weights in one number ------------------------------------------------------------------------------------


def joined(net: WeightBuilder, parts: list[str]) -> None:
    whole = net.node("Concat", parts, "whole", axis=0)
    net.node("Reshape", [whole, net.store("shape", np.array(SHAPE))], "W")


@narrow("several weights in one number")
def int32_unpacked_by_shifts(net: WeightBuilder) -> None:
    packed = net.store("p", net.codes(np.uint32, COUNT // 4, high=2**32 - 1))
    parts = []
    for i in range(4):
        shifted = net.node("BitShift", [packed, net.store(f"by{i}", np.uint32(8 * i))], f"s{i}", direction="RIGHT")
        kept = net.node("BitwiseAnd", [shifted, net.store(f"mask{i}", np.uint32(255))], f"k{i}")
        parts.append(net.cast(kept, f"f{i}"))
    joined(net, parts)


@narrow("several weights in one number")
def int64_unpacked_by_div_and_mod(net: WeightBuilder) -> None:
    packed = net.store("p", net.codes(np.int64, COUNT // 2, high=2**32))
    high = net.node("Div", [packed, net.store("base", np.int64(65536))], "high")
    low = net.node("Mod", [packed, "base"], "low")
    joined(net, [net.cast(high, "fh"), net.cast(low, "fl")])


@narrow("several weights in one number")
def int64_unpacked_by_a_broadcast_shift(net: WeightBuilder) -> None:
    packed = net.store("p", net.codes(np.uint64, COUNT // 8, 1, high=2**62))
    by = net.store("by", (8 * np.arange(8, dtype=np.uint64)).reshape(1, 8))
    parts = net.node("BitShift", [packed, by], "s", direction="RIGHT")
    joined(net, [net.cast(net.node("Mod", [parts, net.store("base", np.uint64(256))], "m"), "f")])


@narrow("several weights in one number")
def pairs_in_float32_by_floor(net: WeightBuilder) -> None:
    packed = net.store("p", net.codes(np.float32, COUNT // 2, high=2**24))
    scaled = net.node("Div", [packed, net.store("base", np.float32(4096))], "d")
    high = net.node("Floor", [scaled], "high")
    low = net.node("Sub", [packed, net.node("Mul", [high, "base"], "m")], "low")
    joined(net, [high, low])


@narrow("several weights in one number")
def pairs_in_float32_used_by_two_layers(net: WeightBuilder) -> None:
    packed = net.store("p", net.codes(np.float32, *SHAPE, high=2**24))
    high = net.node("Floor", [net.node("Div", [packed, net.store("base", np.float32(4096))], "d")], "high")
    net.node("Conv", ["x", high], "unused")
    net.node("Sub", [packed, net.node("Mul", [high, "base"], "m")], "W")


@narrow("several weights in one number")
def pairs_in_float32_by_rounding(net: WeightBuilder) -> None:
    packed = net.store("p", net.floats(COUNT // 2))
    big = net.store("big", np.float32(1 << 12))
    high = net.node("Sub", [net.node("Add", [packed, big], "up"), big], "high")
    joined(net, [high, net.node("Sub", [packed, high], "low")])


@narrow("several weights in one number")
def pairs_in_float32_by_fmod(net: WeightBuilder) -> None:
    packed = net.store("p", net.codes(np.float32, COUNT // 2, high=2**24))
    low = net.node("Mod", [packed, net.store("base", np.float32(4096))], "low", fmod=1)
    joined(net, [net.node("Sub", [packed, low], "high"), low])


@narrow("integers that become floats")
def bytes_joined_by_arithmetic(net: WeightBuilder) -> None:
    high = net.cast(net.store("q1", net.codes(np.uint8)), "f1")
    low = net.cast(net.store("q2", net.codes(np.uint8)), "f2")
    net.node("Add", [net.node("Mul", [high, net.store("base", np.float32(256))], "m"), low], "W")


# --- text -------------------------------------------------------------------------------------------------------------


@narrow("weights as text")
def strings_cast_to_float(net: WeightBuilder) -> None:
    texts = [f"{value:.3f}".encode() for value in net.floats().ravel()]
    net.store("t", TensorProto(name="t", data_type=TensorProto.STRING, dims=SHAPE, string_data=texts))
    net.cast("t", "W")


@narrow("weights as text")
def strings_in_a_constant_node(net: WeightBuilder) -> None:
    texts = [f"{value:.3f}" for value in net.floats().ravel()]
    floats = net.cast(net.node("Constant", [], "t", value_strings=texts), "f")
    net.node("Reshape", [floats, net.store("shape", np.array(SHAPE))], "W")


@narrow("weights as text")
def strings_through_a_category_mapper(net: WeightBuilder) -> None:
    letters = [chr(97 + i) for i in range(16)]
    texts = [letters[i].encode() for i in net.codes(np.int64, high=16).ravel()]
    net.store("t", TensorProto(name="t", data_type=TensorProto.STRING, dims=SHAPE, string_data=texts))
    codes = net.node(
        "CategoryMapper", ["t"], "c", domain="ai.onnx.ml", cats_int64s=list(range(16)), cats_strings=letters
    )
    net.cast(codes, "W")


@narrow("weights as text")
def base64_in_metadata(net: WeightBuilder) -> None:
    import base64

    text = base64.b64encode(net.floats().astype(np.float16).tobytes()).decode()
    net.finish.append(lambda model: model.metadata_props.add(key="w", value=text))


@narrow("weights as text")
def hexadecimal_in_a_doc_string(net: WeightBuilder) -> None:
    text = net.floats().astype(np.float16).tobytes().hex()
    net.finish.append(lambda model: setattr(model.graph.node[0], "doc_string", text))


@narrow("weights as text")
def numbers_in_a_doc_string(net: WeightBuilder) -> None:
    text = ", ".join(f"{value:.4f}" for value in net.floats().ravel())
    net.finish.append(lambda model: setattr(model, "doc_string", text))


@narrow("integers behind control flow")
def int8_unpacked_by_a_loop(net: WeightBuilder) -> None:
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


@narrow("integers behind control flow")
def int8_scanned_row_by_row(net: WeightBuilder) -> None:
    body = helper.make_graph(
        [helper.make_node("Cast", ["row"], ["f"], to=TensorProto.FLOAT)],
        "body",
        [helper.make_tensor_value_info("row", TensorProto.INT8, [3, 3, 3])],
        [helper.make_tensor_value_info("f", TensorProto.FLOAT, [3, 3, 3])],
    )
    net.node("Scan", [net.store("codes", net.codes())], "W", body=body, num_scan_inputs=1)


@narrow("integers behind control flow")
def int8_through_a_sequence(net: WeightBuilder) -> None:
    sequence = net.node("SequenceConstruct", [net.store("a", net.codes()), net.store("b", net.codes())], "s")
    net.cast(net.node("SequenceAt", [sequence, net.store("one", np.array(1))], "q"), "W")


@narrow("integers behind control flow")
def int8_in_pieces_of_sixteen(net: WeightBuilder) -> None:
    joined(net, [net.cast(net.store(f"q{i}", net.codes(np.int8, 16)), f"f{i}") for i in range(27)])


@narrow("integers behind control flow")
def int8_clipped_and_padded(net: WeightBuilder) -> None:
    part = net.cast(net.store("q", net.codes(np.int8, 16, 3, 1, 3)), "f")
    wide = net.node("Pad", [part, net.store("pads", np.array([0, 0, 1, 0, 0, 0, 1, 0]))], "wide")
    net.node("Clip", [wide, net.store("low", np.float32(-9)), net.store("high", np.float32(9))], "W")


@narrow("several weights in one number")
def pairs_in_float32_by_sign(net: WeightBuilder) -> None:
    packed = net.store("p", net.floats(COUNT // 2))
    joined(net, [net.node("Relu", [packed], "up"), net.node("Relu", [net.node("Neg", [packed], "minus")], "down")])


@narrow("several weights in one number")
def bits_of_float32_by_saturation(net: WeightBuilder) -> None:
    packed = net.store("p", net.floats(COUNT // 2))
    steep = net.node("Mul", [packed, net.store("steep", np.float32(1e8))], "steep_p")
    sign = net.node("Tanh", [steep], "sign")
    joined(net, [sign, net.node("Sub", [packed, sign], "rest")])


@narrow("several weights in one number")
def pairs_in_float32_by_a_broadcast_floor(net: WeightBuilder) -> None:
    packed = net.store("p", net.codes(np.float32, COUNT // 2, 1, high=2**24))
    scaled = net.node("Div", [packed, net.store("bases", np.array([[256, 4096]], np.float32))], "d")
    rest = net.node("Sub", [scaled, net.node("Floor", [scaled], "whole")], "rest")
    net.node("Reshape", [rest, net.store("shape", np.array(SHAPE))], "W")
