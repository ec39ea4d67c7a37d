"""Ordinary networks built whole or in stages, with which the proofs compare."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import onnx

from evaluation.exported import ExportBuilder
from evaluation.named import EMBEDDING

Body: TypeAlias = Callable[[ExportBuilder, str], str]
Build: TypeAlias = Callable[[], onnx.ModelProto]


def once(body: Body, seed: int, opset: int = 13, dimension: int = EMBEDDING) -> Build:
    """Make the builder of the ordinary network of a seed, which sees one view."""

    def build() -> onnx.ModelProto:
        net = ExportBuilder(seed, opset)
        return net.model(body(net, "data"), dimension)

    return build


def stage(body: Body, seed: int, opset: int, dimension: int) -> Build:
    """Make the builder of the first part of a network, its result flattened."""
    return once(lambda net, x: net.op("Flatten", body(net, x)), seed, opset, dimension)


def rest(body: Body, seed: int, opset: int, *shape: int) -> Build:
    """Make the builder of the rest of a network, which reads a second input ``inner`` of the given shape."""

    def build() -> onnx.ModelProto:
        net = ExportBuilder(seed, opset)
        made = net.model(body(net, "inner"), extra=("inner",))
        dims = made.graph.input[1].type.tensor_type.shape.dim
        del dims[len(shape) + 1 :]
        for dim, size in zip(dims[1:], shape, strict=True):
            dim.dim_value = size
        return made

    return build


def any_size(build: Build) -> Build:
    """Let a reference take images of every size."""

    def opened() -> onnx.ModelProto:
        made = build()
        for axis, name in ((2, "H"), (3, "W")):
            made.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name
        return made

    return opened
