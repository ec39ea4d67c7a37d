"""Honest constants that look a little like hidden weights. Each function fills in a `Net`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tests.analyses.weights.small_net import COUNT, SHAPE, Net

Fill = Callable[[Net], object]
HONEST: dict[str, Fill] = {}


def honest(fill: Fill) -> Fill:
    HONEST[fill.__name__] = fill
    return fill


@honest
def float32_weights(net: Net) -> None:
    net.store("W", net.floats())


@honest
def float64_weights(net: Net) -> None:
    net.cast(net.store("w", net.floats().astype(np.float64)), "W")


@honest
def float32_values_that_fit_into_float16(net: Net) -> None:
    net.store("W", net.floats().astype(np.float16).astype(np.float32))


@honest
def float32_in_a_constant_node(net: Net) -> None:
    net.node("Constant", [], "W", value=numpy_helper.from_array(net.floats(), "w"))


@honest
def float32_list_in_a_constant_node(net: Net) -> None:
    listed = net.node("Constant", [], "l", value_floats=[float(value) for value in net.floats().ravel()])
    net.node("Reshape", [listed, net.store("shape", np.array(SHAPE))], "W")


@honest
def sparse_float32(net: Net) -> None:
    values = numpy_helper.from_array(net.floats(200), "W")
    indices = numpy_helper.from_array(np.sort(net.rng.permutation(COUNT)[:200]).astype(np.int64), "i")
    net.sparse.append(helper.make_sparse_tensor(values, indices, list(SHAPE)))


@honest
def tied_and_transposed_weights(net: Net) -> None:
    net.store("W", net.floats())
    net.node("Conv", ["x", net.node("Transpose", ["W"], "turned", perm=[0, 1, 3, 2])], "unused")


@honest
def expanded_parameter(net: Net) -> None:
    net.node("Expand", [net.store("c", net.floats(16, 3, 1, 1)), net.store("shape", np.array(SHAPE))], "W")


@honest
def weight_normalisation(net: Net) -> None:
    direction = net.store("v", net.floats())
    norm = net.node("ReduceL2", [direction, net.store("axes", np.array([1, 2, 3]))], "norm")
    net.node("Mul", [net.node("Div", [direction, norm], "unit"), net.store("g", net.floats(16, 1, 1, 1))], "W")


@honest
def weight_standardisation(net: Net) -> None:
    raw, axes = net.store("v", net.floats()), net.store("axes", np.array([1, 2, 3]))
    centred = net.node("Sub", [raw, net.node("ReduceMean", [raw, axes], "mean")], "centred")
    variance = net.node("ReduceMean", [net.node("Mul", [centred, centred], "sq"), axes], "var")
    safe = net.node("Sqrt", [net.node("Add", [variance, net.store("eps", np.float32(1e-5))], "plus")], "std")
    net.node("Div", [centred, safe], "W")


@honest
def fake_quantised_float32(net: Net) -> None:
    scale, zero = net.store("s", np.float32(0.05)), net.store("z", np.int8(0))
    codes = net.node("QuantizeLinear", [net.store("w", net.floats()), scale, zero], "q")
    net.node("DequantizeLinear", [codes, scale, zero], "W")


@honest
def quantised_activations(net: Net) -> None:
    scale, zero = net.store("s", np.float32(0.05)), net.store("z", np.uint8(128))
    codes = net.node("QuantizeLinear", ["x", scale, zero], "q")
    net.node("DequantizeLinear", [codes, scale, zero], "xd")


@honest
def relative_position_bias_as_in_swin(net: Net) -> None:
    grid = np.stack(np.meshgrid(np.arange(7), np.arange(7), indexing="ij")).reshape(2, -1)
    offsets = (grid[:, :, None] - grid[:, None, :]) + 6
    index = net.store("index", (offsets[0] * 13 + offsets[1]).ravel())
    rows = net.node("Gather", [net.store("table", net.floats(169, 1)), index], "rows", axis=0)
    bias = net.node("Reshape", [rows, net.store("bias_shape", np.array([49, 49]))], "bias")
    flat = net.node("Reshape", ["x", net.store("x_shape", np.array([-1, 1]))], "flat")
    net.node(
        "Add", [flat, net.node("Slice", [bias, net.store("a", np.array([0])), net.store("b", np.array([1]))], "r")], "u"
    )


@honest
def int8_window_mask(net: Net) -> None:
    mask = net.cast(net.store("m", np.tril(np.ones((8, 8), np.int8))), "f")
    net.node("Mul", ["x", mask], "unused")


@honest
def bool_mask_on_activations(net: Net) -> None:
    mask = net.store("m", np.triu(np.ones((8, 8), bool)))
    net.node("Where", [mask, "x", net.store("low", np.float32(-100))], "unused")


@honest
def integer_pixel_mean(net: Net) -> None:
    mean = net.cast(net.store("mean", np.array([124, 116, 104], np.uint8).reshape(3, 1, 1)), "f")
    net.node("Sub", ["x", mean], "centred")


@honest
def shapes_indices_and_axes(net: Net) -> None:
    picked = net.node("Gather", [net.node("Shape", ["x"], "s"), net.store("zero", np.array([0]))], "n")
    shape = net.node("Concat", [picked, net.store("rest", np.array([-1]))], "shape", axis=0)
    net.node("Reshape", ["x", shape], "unused")


@honest
def channel_shuffle_by_gather(net: Net) -> None:
    net.node("Gather", ["x", net.store("order", np.array([2, 1, 0]))], "bgr", axis=1)


@honest
def channel_swap_by_int8_convolution(net: Net) -> None:
    swap = net.cast(net.store("swap", np.eye(3, dtype=np.int8)[::-1].reshape(3, 3, 1, 1)), "f")
    net.node("Conv", ["x", swap], "bgr")


@honest
def sinusoid_of_a_ramp(net: Net) -> None:
    steps = net.cast(net.store("steps", np.arange(64, dtype=np.int32).astype(np.int16)), "f")
    angles = net.node("Mul", [steps, net.store("rate", np.float32(0.1))], "angle")
    row = net.node("Reshape", [net.node("Sin", [angles], "sin"), net.store("shape", np.array([8, 8]))], "row")
    net.node("Add", ["x", row], "unused")


@honest
def pruning_mask_beside_float32(net: Net) -> None:
    mask = net.cast(net.store("mask", net.codes(np.int8, high=2).astype(bool)), "f")
    net.node("Mul", [net.store("w", net.floats()), mask], "W")


@honest
def permuted_rows(net: Net) -> None:
    order = net.store("order", net.rng.permutation(16).astype(np.int64))
    net.node("Gather", [net.store("w", net.floats()), order], "W", axis=0)


@honest
def cast_to_float16_when_running(net: Net) -> None:
    half_x, half_w = (
        net.cast("x", "xh", TensorProto.FLOAT16),
        net.cast(net.store("w", net.floats()), "wh", TensorProto.FLOAT16),
    )
    net.node("Conv", [half_x, half_w], "unused")


@honest
def low_rank_product(net: Net) -> None:
    product = net.node("MatMul", [net.store("a", net.floats(16, 4)), net.store("b", net.floats(4, 27))], "p")
    net.node("Reshape", [product, net.store("shape", np.array(SHAPE))], "W")


@honest
def stack_traces_and_configuration(net: Net) -> None:
    trace = "".join(f'File "net.py", line {i}, in forward: x = self.layer{i % 7}(x)\n' for i in range(80))
    net.finish.append(lambda model: model.metadata_props.add(key="pkg.torch.onnx.stack_trace", value=trace))
    net.finish.append(lambda model: model.metadata_props.add(key="sha256", value="ab12" * 16))


@honest
def int32_weights_of_full_width(net: Net) -> None:
    net.node("Mul", [net.cast(net.store("q", net.codes(np.int32)), "f"), net.store("s", np.float32(0.1))], "W")


@honest
def position_bias_of_a_small_network_as_in_swin_v2(net: Net) -> None:
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


@honest
def symmetric_kernel(net: Net) -> None:
    raw = net.store("v", net.floats())
    net.node("Add", [raw, net.node("Transpose", [raw], "turned", perm=[0, 1, 3, 2])], "W")


@honest
def bias_added_before_rounding_activations_elsewhere(net: Net) -> None:
    """A big bias on activations is no weight that is taken apart when another value is rounded."""
    net.node("Add", ["x", net.store("bias", net.floats(3, 8, 8))], "shifted")
    net.node("Floor", ["x"], "whole")


@honest
def short_list_of_pattern_integers(net: Net) -> None:
    net.node("Constant", [], "order", value_ints=[0, 1, 2] * 8)
    net.node("Gather", ["x", "order"], "unused", axis=1)
