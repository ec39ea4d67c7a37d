"""Ways to get two weights out of one float32, or a weight out of one byte, with arithmetic that seems harmless."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from evaluation.float16.builder import SHAPE, WeightBuilder
from evaluation.float16.register import narrow

HALF = (8, *SHAPE[1:])


def joined(net: WeightBuilder, *parts: str) -> None:
    net.node("Concat", list(parts), "W", axis=0)


@narrow("several weights in one number")
def pairs_in_float32_by_sine(net: WeightBuilder) -> None:
    """Read the low bits of the mantissa as the phase of a large multiple."""
    packed = net.store("p", net.floats(*HALF))
    big = net.node("Mul", [packed, net.store("k", np.float32(3e4))], "big")
    joined(net, packed, net.node("Sin", [big], "low"))


@narrow("several weights in one number")
def pairs_in_float32_by_adding_a_big_tensor(net: WeightBuilder) -> None:
    packed = net.store("p", net.floats(*HALF))
    shape = net.store("shape", np.array(HALF))
    huge = net.node(
        "ConstantOfShape", [shape], "huge", value=helper.make_tensor("v", TensorProto.FLOAT, [1], [12288.0])
    )
    high = net.node("Sub", [net.node("Add", [packed, huge], "up"), huge], "high")
    joined(net, high, net.node("Sub", [packed, high], "low"))


@narrow("several weights in one number")
def pairs_in_float32_by_multiplying_and_taking_away(net: WeightBuilder) -> None:
    """Veltkamp's splitting: no integer operator, no scalar that is added."""
    packed = net.store("p", net.floats(*HALF))
    multiple = net.node("Mul", [packed, net.store("k", np.float32(4097))], "multiple")
    high = net.node("Sub", [multiple, net.node("Sub", [multiple, packed], "rest")], "high")
    joined(net, high, net.node("Sub", [packed, high], "low"))


@narrow("several weights in one number")
def pairs_in_float32_by_casting_to_float16_and_back(net: WeightBuilder) -> None:
    packed = net.store("p", net.floats(*HALF))
    high = net.cast(net.cast(packed, "half", TensorProto.FLOAT16), "high")
    joined(net, high, net.node("Sub", [packed, high], "low"))


@narrow("several weights in one number")
def pairs_in_float32_behind_a_zero_from_the_image(net: WeightBuilder) -> None:
    """Adding a zero that is computed from the image makes the stored numbers seem computed."""
    packed = net.store("p", net.floats(*HALF))
    mean = net.node("ReduceMean", ["x"], "mean", keepdims=0)
    zero = net.node("Mul", [mean, net.store("nought", np.float32(0))], "zero")
    veiled = net.node("Add", [packed, zero], "veiled")
    high = net.node("Floor", [veiled], "high")
    joined(net, high, net.node("Sub", [veiled, high], "low"))


@narrow("codebook")
def codebook_of_vectors_through_one_hot_of_int32(net: WeightBuilder) -> None:
    """One index of four bytes stands for eight weights."""
    index = net.store("index", net.codes(np.int32, 54, high=16))
    ends = net.store("ends", np.array([0, 1], np.float32))
    chosen = net.node("OneHot", [index, net.store("depth", np.array([16])), ends], "chosen")
    rows = net.node("MatMul", [chosen, net.store("book", net.floats(16, 8))], "rows")
    net.node("Reshape", [rows, net.store("shape", np.array(SHAPE))], "W")


@narrow("integers that become floats")
def int32_of_one_byte_in_the_file(net: WeightBuilder) -> None:
    """Store a list of small int32, which takes one byte each in the file although the type says four."""
    codes = net.codes(np.int32)
    tensor = helper.make_tensor("c", TensorProto.INT32, SHAPE, codes.ravel().tolist())
    assert not tensor.raw_data
    net.store("c", tensor)
    net.node("Mul", [net.cast("c", "f"), net.store("s", np.float32(0.05))], "W")


@narrow("integers that become floats")
def int64_of_two_bytes_in_an_attribute(net: WeightBuilder) -> None:
    net.node("Constant", [], "c", value_ints=net.codes(np.int64).ravel().tolist())
    wide = net.node("Reshape", ["c", net.store("shape", np.array(SHAPE))], "wide")
    net.node("Mul", [net.cast(wide, "f"), net.store("s", np.float32(0.05))], "W")


@narrow("several weights in one number")
def pairs_in_float32_veiled_and_split_without_floor(net: WeightBuilder) -> None:
    packed = net.store("p", net.floats(*HALF))
    mean = net.node("ReduceMean", ["x"], "mean", keepdims=0)
    zero = net.node("Mul", [mean, net.store("nought", np.float32(0))], "zero")
    veiled = net.node("Add", [packed, zero], "veiled")
    multiple = net.node("Mul", [veiled, net.store("k", np.float32(4097))], "multiple")
    high = net.node("Sub", [multiple, net.node("Sub", [multiple, veiled], "rest")], "high")
    joined(net, high, net.node("Sub", [veiled, high], "low"))
