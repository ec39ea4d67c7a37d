"""A second, tiny counter, written from the arithmetic alone; it shares nothing with the product but the ONNX graph.

Convolution: (2 * Cin * kh * kw - b) * Hout * Wout * Cout / groups, b = 1 without bias, the division last and truncated.
Fully connected, with bias: 2 * in * out. Everything else is 0. (The LFR19 organisers' counter.)
"""

from __future__ import annotations

import math
from functools import lru_cache

import msgspec
import onnx
from onnx import TensorProto, shape_inference

from pytest_facechallenge.refnets import build

_LEARNED = {"Conv": (1, 2), "Gemm": (1, 2), "BatchNormalization": (1, 2), "PRelu": (1,)}


class Bare(msgspec.Struct, frozen=True):
    """A network without the bytes of its float weights, and how many bytes those were."""

    model: onnx.ModelProto
    weight_bytes: int


class Layer(msgspec.Struct, frozen=True):
    macs: int
    flops: int


@lru_cache
def bare(name: str, *, fold_batchnorm: bool = True) -> Bare:
    """Build a network with batch 1 and drop its weights, so that the large ones do not pile up in memory."""
    model = build(name, batch=1) if fold_batchnorm else build(name, batch=1, fold_batchnorm=False)
    weight_bytes = 0
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            weight_bytes += len(tensor.raw_data)
            tensor.ClearField("raw_data")
    # A cleared field keeps its memory until its whole message goes, so keep a copy instead.
    stripped = onnx.ModelProto()
    stripped.CopyFrom(model)
    return Bare(stripped, weight_bytes)


def count_layers(model: onnx.ModelProto, *, biases_are_real: bool = True) -> dict[str, Layer]:
    """Count every Conv and Gemm by node name; False counts convolutions as bias-free whatever they carry."""
    graph = shape_inference.infer_shapes(model, strict_mode=True).graph
    shapes = {
        value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
    weights = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    layers: dict[str, Layer] = {}
    for node in graph.node:
        if node.op_type == "Conv":
            groups = next(attribute.i for attribute in node.attribute if attribute.name == "group")
            _, _, *kernel = weights[node.input[1]]
            product = shapes[node.input[0]][1] * math.prod(kernel)
            outputs = math.prod(shapes[node.output[0]])
            free = 0 if len(node.input) > 2 and biases_are_real else 1
            layers[node.name] = Layer(product * outputs // groups, (2 * product - free) * outputs // groups)
        elif node.op_type == "Gemm":
            macs = math.prod(weights[node.input[1]])
            assert len(node.input) == 3
            layers[node.name] = Layer(macs, 2 * macs)
    return layers


def count_parameters(model: onnx.ModelProto) -> int:
    """Values that training learns: not running statistics, not constants."""
    weights = {tensor.name: math.prod(tensor.dims) for tensor in model.graph.initializer}
    return sum(
        weights[node.input[index]]
        for node in model.graph.node
        for index in _LEARNED.get(node.op_type, ())
        if index < len(node.input)
    )
