"""Honest constants that resemble hidden weights."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from evaluation.float16.builder import COUNT, SHAPE, WeightBuilder
from evaluation.float16.register import wide


@wide("float32 stored")
def float32_weights(net: WeightBuilder) -> None:
    net.store("W", net.floats())


@wide("float32 stored")
def float64_weights(net: WeightBuilder) -> None:
    net.cast(net.store("w", net.floats().astype(np.float64)), "W")


@wide("float32 stored")
def float32_values_that_fit_into_float16(net: WeightBuilder) -> None:
    net.store("W", net.floats().astype(np.float16).astype(np.float32))


@wide("float32 stored")
def float32_in_a_constant_node(net: WeightBuilder) -> None:
    net.node("Constant", [], "W", value=numpy_helper.from_array(net.floats(), "w"))


@wide("float32 stored")
def float32_list_in_a_constant_node(net: WeightBuilder) -> None:
    listed = net.node("Constant", [], "l", value_floats=[float(value) for value in net.floats().ravel()])
    net.node("Reshape", [listed, net.store("shape", np.array(SHAPE))], "W")


@wide("float32 stored")
def sparse_float32(net: WeightBuilder) -> None:
    values = numpy_helper.from_array(net.floats(200), "W")
    indices = numpy_helper.from_array(np.sort(net.rng.permutation(COUNT)[:200]).astype(np.int64), "i")
    net.sparse.append(helper.make_sparse_tensor(values, indices, list(SHAPE)))


@wide("weights computed in the graph")
def tied_and_transposed_weights(net: WeightBuilder) -> None:
    net.store("W", net.floats())
    net.node("Conv", ["x", net.node("Transpose", ["W"], "turned", perm=[0, 1, 3, 2])], "unused")


@wide("weights computed in the graph")
def expanded_parameter(net: WeightBuilder) -> None:
    net.node("Expand", [net.store("c", net.floats(16, 3, 1, 1)), net.store("shape", np.array(SHAPE))], "W")


@wide("weights computed in the graph")
def weight_normalisation(net: WeightBuilder) -> None:
    direction = net.store("v", net.floats())
    norm = net.node("ReduceL2", [direction, net.store("axes", np.array([1, 2, 3]))], "norm")
    net.node("Mul", [net.node("Div", [direction, norm], "unit"), net.store("g", net.floats(16, 1, 1, 1))], "W")


@wide("weights computed in the graph")
def weight_standardisation(net: WeightBuilder) -> None:
    raw, axes = net.store("v", net.floats()), net.store("axes", np.array([1, 2, 3]))
    centred = net.node("Sub", [raw, net.node("ReduceMean", [raw, axes], "mean")], "centred")
    variance = net.node("ReduceMean", [net.node("Mul", [centred, centred], "sq"), axes], "var")
    safe = net.node("Sqrt", [net.node("Add", [variance, net.store("eps", np.float32(1e-5))], "plus")], "std")
    net.node("Div", [centred, safe], "W")


@wide("integers that are no weights")
def fake_quantised_float32(net: WeightBuilder) -> None:
    scale, zero = net.store("s", np.float32(0.05)), net.store("z", np.int8(0))
    codes = net.node("QuantizeLinear", [net.store("w", net.floats()), scale, zero], "q")
    net.node("DequantizeLinear", [codes, scale, zero], "W")


@wide("integers that are no weights")
def quantised_activations(net: WeightBuilder) -> None:
    scale, zero = net.store("s", np.float32(0.05)), net.store("z", np.uint8(128))
    codes = net.node("QuantizeLinear", ["x", scale, zero], "q")
    net.node("DequantizeLinear", [codes, scale, zero], "xd")


@wide("indices and tables")
def relative_position_bias_as_in_swin(net: WeightBuilder) -> None:
    grid = np.stack(np.meshgrid(np.arange(7), np.arange(7), indexing="ij")).reshape(2, -1)
    offsets = (grid[:, :, None] - grid[:, None, :]) + 6
    index = net.store("index", (offsets[0] * 13 + offsets[1]).ravel())
    rows = net.node("Gather", [net.store("table", net.floats(169, 1)), index], "rows", axis=0)
    bias = net.node("Reshape", [rows, net.store("bias_shape", np.array([49, 49]))], "bias")
    flat = net.node("Reshape", ["x", net.store("x_shape", np.array([-1, 1]))], "flat")
    net.node(
        "Add", [flat, net.node("Slice", [bias, net.store("a", np.array([0])), net.store("b", np.array([1]))], "r")], "u"
    )


@wide("masks")
def int8_window_mask(net: WeightBuilder) -> None:
    mask = net.cast(net.store("m", np.tril(np.ones((8, 8), np.int8))), "f")
    net.node("Mul", ["x", mask], "unused")


@wide("masks")
def bool_mask_on_activations(net: WeightBuilder) -> None:
    mask = net.store("m", np.triu(np.ones((8, 8), bool)))
    net.node("Where", [mask, "x", net.store("low", np.float32(-100))], "unused")


@wide("integers that are no weights")
def integer_pixel_mean(net: WeightBuilder) -> None:
    mean = net.cast(net.store("mean", np.array([124, 116, 104], np.uint8).reshape(3, 1, 1)), "f")
    net.node("Sub", ["x", mean], "centred")


@wide("indices and tables")
def shapes_indices_and_axes(net: WeightBuilder) -> None:
    picked = net.node("Gather", [net.node("Shape", ["x"], "s"), net.store("zero", np.array([0]))], "n")
    shape = net.node("Concat", [picked, net.store("rest", np.array([-1]))], "shape", axis=0)
    net.node("Reshape", ["x", shape], "unused")


@wide("indices and tables")
def channel_shuffle_by_gather(net: WeightBuilder) -> None:
    net.node("Gather", ["x", net.store("order", np.array([2, 1, 0]))], "bgr", axis=1)


@wide("indices and tables")
def channel_swap_by_int8_convolution(net: WeightBuilder) -> None:
    swap = net.cast(net.store("swap", np.eye(3, dtype=np.int8)[::-1].reshape(3, 3, 1, 1)), "f")
    net.node("Conv", ["x", swap], "bgr")


@wide("weights computed in the graph")
def sinusoid_of_a_ramp(net: WeightBuilder) -> None:
    steps = net.cast(net.store("steps", np.arange(64, dtype=np.int32).astype(np.int16)), "f")
    angles = net.node("Mul", [steps, net.store("rate", np.float32(0.1))], "angle")
    row = net.node("Reshape", [net.node("Sin", [angles], "sin"), net.store("shape", np.array([8, 8]))], "row")
    net.node("Add", ["x", row], "unused")


@wide("masks")
def pruning_mask_beside_float32(net: WeightBuilder) -> None:
    mask = net.cast(net.store("mask", net.codes(np.int8, high=2).astype(bool)), "f")
    net.node("Mul", [net.store("w", net.floats()), mask], "W")


@wide("indices and tables")
def permuted_rows(net: WeightBuilder) -> None:
    order = net.store("order", net.rng.permutation(16).astype(np.int64))
    net.node("Gather", [net.store("w", net.floats()), order], "W", axis=0)


@wide("integers that are no weights")
def cast_to_float16_when_running(net: WeightBuilder) -> None:
    half_x, half_w = (
        net.cast("x", "xh", TensorProto.FLOAT16),
        net.cast(net.store("w", net.floats()), "wh", TensorProto.FLOAT16),
    )
    net.node("Conv", [half_x, half_w], "unused")


@wide("weights computed in the graph")
def low_rank_product(net: WeightBuilder) -> None:
    product = net.node("MatMul", [net.store("a", net.floats(16, 4)), net.store("b", net.floats(4, 27))], "p")
    net.node("Reshape", [product, net.store("shape", np.array(SHAPE))], "W")


@wide("text that is no weight")
def stack_traces_and_configuration(net: WeightBuilder) -> None:
    trace = "".join(f'File "net.py", line {i}, in forward: x = self.layer{i % 7}(x)\n' for i in range(80))
    net.finish.append(lambda model: model.metadata_props.add(key="pkg.torch.onnx.stack_trace", value=trace))
    net.finish.append(lambda model: model.metadata_props.add(key="sha256", value="ab12" * 16))


@wide("integers that are no weights")
def int32_weights_of_full_width(net: WeightBuilder) -> None:
    net.node("Mul", [net.cast(net.store("q", net.codes(np.int32)), "f"), net.store("s", np.float32(0.1))], "W")


@wide("indices and tables")
def position_bias_of_a_small_network_as_in_swin_v2(net: WeightBuilder) -> None:
    steps = np.arange(-6, 7) / 6 * 8
    offsets = np.sign(steps) * np.log2(np.abs(steps) + 1) / 3
    table = np.stack(np.meshgrid(offsets, offsets, indexing="ij"), -1).reshape(-1, 2).astype(np.float32)
    net.store("table", table)
    for block in range(2):
        hidden_layer = net.node("MatMul", ["table", net.store(f"first{block}", net.floats(2, 32))], f"h{block}")
        half = net.node("Erf", [hidden_layer], f"erf{block}")  # GELU as exporters write it
        plus = net.node("Add", [half, net.store(f"one{block}", np.float32(1))], f"plus{block}")
        active = net.node("Mul", [hidden_layer, plus], f"a{block}")
        bias = net.node("MatMul", [active, net.store(f"second{block}", net.floats(32, 1))], f"b{block}")
        first = net.node(
            "Slice", [bias, net.store(f"i{block}", np.array([0])), net.store(f"j{block}", np.array([8]))], f"s{block}"
        )
        net.node("Add", ["x", first], f"unused{block}")


@wide("weights computed in the graph")
def symmetric_kernel(net: WeightBuilder) -> None:
    raw = net.store("v", net.floats())
    net.node("Add", [raw, net.node("Transpose", [raw], "turned", perm=[0, 1, 3, 2])], "W")


@wide("weights computed in the graph")
def bias_added_before_rounding_activations_elsewhere(net: WeightBuilder) -> None:
    """Add a big bias to activations, which is no weight that is taken apart when another value is rounded."""
    net.node("Add", ["x", net.store("bias", net.floats(3, 8, 8))], "shifted")
    net.node("Floor", ["x"], "whole")


@wide("integers that are no weights")
def short_list_of_pattern_integers(net: WeightBuilder) -> None:
    net.node("Constant", [], "order", value_ints=[0, 1, 2] * 8)
    net.node("Gather", ["x", "order"], "unused", axis=1)
