"""Networks whose weights follow from a seed and from their names, so that a part can be built again by itself."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from evaluation.builder import Array, GraphBuilder
from evaluation.images import SIDE

EMBEDDING = 64


class NamedBuilder(GraphBuilder):
    """A network [N, 3, 112, 112] called "data" to "fc" [N, D]; a weight's values follow from the seed and its name."""

    def __init__(self, seed: int, opset: int = 13) -> None:
        super().__init__(opset, "data")
        self.seed = seed

    def rng(self, name: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, zlib.crc32(name.encode())])

    def value(self, name: str, *shape: int, gain: float = 1.4) -> Array:
        """Give the values a weight of this name has: normal, scaled by its fan-in; one axis is a bias."""
        draw = self.rng(name).standard_normal(shape)
        fan_in = float(np.prod(shape[1:])) if len(shape) > 1 else 100.0
        return np.asarray(draw * gain / np.sqrt(fan_in), dtype=np.float32)

    def weight(self, name: str, *shape: int, gain: float = 1.4) -> str:
        return self.store(name, self.value(name, *shape, gain=gain))

    def conv(
        self,
        x: str,
        name: str,
        shape: tuple[int, ...],
        stride: int = 1,
        pad: int = 0,
        act: str = "Relu",
        **attributes: Any,
    ) -> str:
        """Convolve with ``name.w`` [Cout, Cin / group, k, k] and ``name.b``, then activate ('' does not)."""
        weight, bias = self.weight(f"{name}.w", *shape), self.weight(f"{name}.b", shape[0])
        attributes = {"strides": [stride] * 2, "pads": [pad] * 4, "kernel_shape": list(shape[2:])} | attributes
        y = self.op("Conv", x, weight, bias, **attributes)
        return self.op(act, y) if act else y

    def linear(self, x: str, name: str, inputs: int, outputs: int, act: str = "", gain: float = 1.4) -> str:
        """Multiply the last axis by ``name.w`` [outputs, inputs] transposed and add ``name.b``."""
        weight = self.store(f"{name}.w", self.value(f"{name}.w", outputs, inputs, gain=gain).T)
        y = self.op("Add", self.op("MatMul", x, weight), self.weight(f"{name}.b", outputs))
        return self.op(act, y) if act else y

    def layer_norm(self, x: str, width: int) -> str:
        """LayerNorm over the last axis, in the primitive operators exporters write before opset 17."""
        if self.opset >= 17:
            return self.op("LayerNormalization", x, np.ones(width), np.zeros(width), axis=-1)
        centred = self.op("Sub", x, self.op("ReduceMean", x, axes=[-1], keepdims=1))
        variance = self.op("ReduceMean", self.op("Mul", centred, centred), axes=[-1], keepdims=1)
        return self.op("Div", centred, self.op("Sqrt", self.op("Add", variance, 1e-5)))

    def rows(self, x: str) -> str:
        """Return how many rows a tensor has, as a list of one."""
        return self.op("Gather", self.op("Shape", x), [0], axis=0)

    def traced_rows(self, x: str) -> str:
        """Return how many rows a tensor has, as a list of one, the way a traced ``x.shape[0]`` is written."""
        return self.unsqueeze(self.op("Gather", self.op("Shape", x), np.array(0), axis=0), 0)

    def for_each_row(self, x: str, name: str, *shape: int) -> str:
        """Expand a weight [1, *shape] over the batch of ``x``."""
        target = self.op("Concat", self.traced_rows(x), list(shape), axis=0)
        return self.op("Expand", self.weight(name, 1, *shape, gain=float(np.prod(shape)) ** 0.5), target)

    def places(self, x: str, name: str, count: int, width: int) -> str:
        """Add a vector of its own to each of ``count`` tokens."""
        return self.op("Add", x, self.store(name, self.rng(name).standard_normal((1, count, width)).astype(np.float32)))

    def model(self, out: str, dimension: int = EMBEDDING, extra: tuple[str, ...] = ()) -> onnx.ModelProto:
        """Close the graph; ``extra`` names further image inputs (reference models only)."""
        for node in self.nodes:
            for names in (node.input, node.output):
                for i, name in enumerate(names):
                    names[i] = "fc" if name == out else name
        sources = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3, SIDE, SIDE]) for name in (self.x, *extra)
        ]
        sink = helper.make_tensor_value_info("fc", TensorProto.FLOAT, ["N", dimension])
        model = self.assemble(sources, [sink], "face", ir_version=8)
        onnx.checker.check_model(model)
        return model

    def embed(self, x: str, width: int) -> onnx.ModelProto:
        """Flatten what is left of each image, embed it and close the graph."""
        return self.model(self.linear(self.op("Flatten", x, axis=1), "embed", width, EMBEDDING))
