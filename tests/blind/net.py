"""A small writer of ONNX graphs, and the plain backbone that most of the cases share."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array: TypeAlias = NDArray[Any]
Operand: TypeAlias = str | Array | Sequence[int]

SIDE = 112
EMBEDDING = 64
LAST = 24
# Reversal of the columns as a matrix: image @ MIRROR is the mirrored image.
MIRROR: Array = np.eye(SIDE, dtype=np.float32)[::-1].copy()


class Net:
    """Collects nodes and weights; a weight's values follow from the seed and its name alone."""

    def __init__(self, seed: int, opset: int = 13) -> None:
        self.seed = seed
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, Array] = {}
        self.functions: list[onnx.FunctionProto] = []
        self._count = [0]

    def child(self) -> Net:
        """Start a subgraph: its own nodes, the same weights and names."""
        inner = Net(self.seed, self.opset)
        inner.weights, inner._count = self.weights, self._count
        return inner

    def rng(self, name: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, zlib.crc32(name.encode())])

    def value(self, name: str, *shape: int, gain: float = 1.4) -> Array:
        """Give the values a weight of this name has: normal, scaled by its fan-in; one axis is a bias."""
        draw = self.rng(name).standard_normal(shape)
        fan_in = float(np.prod(shape[1:])) if len(shape) > 1 else 100.0
        return np.asarray(draw * gain / np.sqrt(fan_in), dtype=np.float32)

    def put(self, name: str, array: Array) -> str:
        self.weights.setdefault(name, np.array(array, order="C"))
        return name

    def weight(self, name: str, *shape: int, gain: float = 1.4) -> str:
        return self.put(name, self.value(name, *shape, gain=gain))

    def fresh(self, stem: str) -> str:
        self._count[0] += 1
        return f"{stem}_{self._count[0]}"

    def const(self, value: Operand | float) -> str:
        array = np.asarray(value)
        kept = {"f": np.float32, "i": np.int64}.get(array.dtype.kind) if array.dtype != np.float16 else None
        return self.put(self.fresh("const"), array.astype(kept) if kept else array)

    def ops(self, kind: str, *inputs: Operand | float, outputs: int = 1, **attributes: Any) -> list[str]:
        names = [item if isinstance(item, str) else self.const(item) for item in inputs]
        label = self.fresh(kind)
        results = [label] if outputs == 1 else [f"{label}_out{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, names, results, name=label, **attributes))
        return results

    def op(self, kind: str, *inputs: Operand | float, **attributes: Any) -> str:
        return self.ops(kind, *inputs, **attributes)[0]

    def reshape(self, x: str, *shape: int) -> str:
        return self.op("Reshape", x, list(shape))

    def transpose(self, x: str, *perm: int) -> str:
        return self.op("Transpose", x, perm=list(perm))

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
        weight = self.put(f"{name}.w", self.value(f"{name}.w", outputs, inputs, gain=gain).T)
        y = self.op("Add", self.op("MatMul", x, weight), self.weight(f"{name}.b", outputs))
        return self.op(act, y) if act else y

    def layer_norm(self, x: str, width: int) -> str:
        """LayerNorm over the last axis, in the primitive operators exporters write before opset 17."""
        if self.opset >= 17:
            return self.op("LayerNormalization", x, np.ones(width), np.zeros(width), axis=-1)
        centred = self.op("Sub", x, self.op("ReduceMean", x, axes=[-1], keepdims=1))
        variance = self.op("ReduceMean", self.op("Mul", centred, centred), axes=[-1], keepdims=1)
        return self.op("Div", centred, self.op("Sqrt", self.op("Add", variance, 1e-5)))

    def squeeze(self, x: str, axis: int) -> str:
        return self.op("Squeeze", x, [axis]) if self.opset >= 13 else self.op("Squeeze", x, axes=[axis])

    def unsqueeze(self, x: str, axis: int) -> str:
        return self.op("Unsqueeze", x, [axis]) if self.opset >= 13 else self.op("Unsqueeze", x, axes=[axis])

    def mean(self, x: str, *axes: int, keep: bool = False) -> str:
        return self.op("ReduceMean", x, axes=list(axes), keepdims=int(keep))

    def sum(self, x: str, axis: int, keep: bool = False) -> str:
        if self.opset >= 13:
            return self.op("ReduceSum", x, [axis], keepdims=int(keep))
        return self.op("ReduceSum", x, axes=[axis], keepdims=int(keep))

    def split(self, x: str, sizes: Sequence[int], axis: int) -> list[str]:
        if self.opset >= 13:
            return self.ops("Split", x, sizes, outputs=len(sizes), axis=axis)
        return self.ops("Split", x, outputs=len(sizes), axis=axis, split=list(sizes))

    def graph(self, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]) -> onnx.GraphProto:
        return helper.make_graph(self.nodes, self.fresh("body"), inputs, outputs)

    def model(self, out: str, dimension: int = EMBEDDING, extra: tuple[str, ...] = ()) -> onnx.ModelProto:
        """Close the graph; ``extra`` names further image inputs (reference models only)."""
        for node in self.nodes:
            for names in (node.input, node.output):
                for i, name in enumerate(names):
                    names[i] = "fc" if name == out else name
        sources = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3, SIDE, SIDE]) for name in ("data", *extra)
        ]
        sink = helper.make_tensor_value_info("fc", TensorProto.FLOAT, ["N", dimension])
        weights = [numpy_helper.from_array(array, name) for name, array in self.weights.items()]
        graph = helper.make_graph(self.nodes, "face", sources, [sink], weights)
        opsets = [helper.make_opsetid("", self.opset)]
        if self.functions:
            opsets.append(helper.make_opsetid("face.blocks", 1))
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=self.functions)
        onnx.checker.check_model(model)
        return model


def stem(net: Net, x: str, name: str = "stem", channels: int = 3) -> str:
    """Halve the side: [B, 3, 2s, 2s] to [B, 16, s, s]. A 4x4 kernel at stride 2 covers the image symmetrically."""
    return net.conv(x, name, (16, channels, 4, 4), 2, 1)


def trunk(net: Net, x: str, side: int = 7) -> str:
    """Run the shared body and head: [B, 16, 56, 56] to [B, 64]; ``side`` is that of the last feature map."""
    x = net.conv(x, "c2", (24, 16, 4, 4), 2, 1)
    return late(net, residual(net, x, "r2", 24), 24, side)


def residual(net: Net, x: str, name: str, width: int) -> str:
    return net.op(
        "Add", x, net.conv(net.conv(x, f"{name}a", (width, width, 3, 3), pad=1), f"{name}b", (width, width, 1, 1))
    )


def late(net: Net, x: str, width: int, side: int = 7) -> str:
    """Run the last two reductions and the head: [B, width, 28, 28] to [B, 64]."""
    x = net.conv(x, "c3", (32, width, 4, 4), 2, 1)
    x = net.conv(x, "c4", (LAST, 32, 4, 4), 2, 1)
    return head(net, x, LAST, side)


def head(net: Net, x: str, width: int, side: int) -> str:
    """Flatten and embed: [B, width, side, side] to [B, 64]."""
    return net.linear(net.op("Flatten", x, axis=1), "embed", width * side * side, EMBEDDING)


def plain(net: Net, x: str = "data") -> str:
    """Run one ordinary look: [B, 3, 112, 112] to [B, 64]."""
    return trunk(net, stem(net, x))


def single(seed: int, opset: int = 13) -> onnx.ModelProto:
    """Build the ordinary network of a seed, which looks once."""
    net = Net(seed, opset)
    return net.model(plain(net))
