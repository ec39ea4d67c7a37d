"""A writer of graphs in the manner of exporters, and ways to build a network whole or in stages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.blind.net import EMBEDDING, Array, Net, Operand

END = 2**63 - 1


class Exported(Net):
    """Writes constants as Constant nodes and reductions as the opset wants them."""

    def child(self) -> Exported:
        inner = Exported(self.seed, self.opset)
        inner.weights, inner._count = self.weights, self._count
        return inner

    def const(self, value: Operand | float) -> str:
        array = np.asarray(value)
        kept = {"f": np.float32, "i": np.int64}.get(array.dtype.kind)
        label = self.fresh("Constant")
        tensor = numpy_helper.from_array(array.astype(kept) if kept else array)
        self.nodes.append(helper.make_node("Constant", [], [label], name=label, value=tensor))
        return label

    def reduce(self, kind: str, x: str, axes: Sequence[int], keep: bool = False) -> str:
        if self.opset >= (13 if kind == "ReduceSum" else 18):
            return self.op(kind, x, list(axes), keepdims=int(keep))
        return self.op(kind, x, axes=list(axes), keepdims=int(keep))

    def mean(self, x: str, *axes: int, keep: bool = False) -> str:
        return self.reduce("ReduceMean", x, axes, keep)

    def flip(self, x: str, axis: int) -> str:
        return self.op("Slice", x, [-1], [-END], [axis], [-1])

    def cut(self, x: str, axis: int, start: int, stop: int, step: int = 1) -> str:
        return self.op("Slice", x, [start], [stop], [axis], [step])

    def rows(self, x: str) -> str:
        """Give how many rows a tensor has, as a list of one."""
        return self.op("Gather", self.op("Shape", x), [0], axis=0)

    def batch_norm(self, x: str, name: str, width: int) -> str:
        rng = self.rng(name)
        values = {
            "weight": rng.uniform(0.8, 1.2, width),
            "bias": 0.1 * rng.standard_normal(width),
            "running_mean": 0.1 * rng.standard_normal(width),
            "running_var": rng.uniform(0.7, 1.3, width),
        }
        names = [self.put(f"{name}.{key}", value.astype(np.float32)) for key, value in values.items()]
        return self.op("BatchNormalization", x, *names)

    def norm(self, x: str, name: str, width: int) -> str:
        """LayerNorm over the last axis with its scale and shift, in one node from opset 17 on."""
        rng = self.rng(name)
        scale = self.put(f"{name}.weight", rng.uniform(0.8, 1.2, width).astype(np.float32))
        shift = self.put(f"{name}.bias", (0.1 * rng.standard_normal(width)).astype(np.float32))
        if self.opset >= 17:
            return self.op("LayerNormalization", x, scale, shift, axis=-1)
        centred = self.op("Sub", x, self.mean(x, -1, keep=True))
        spread = self.op("Sqrt", self.op("Add", self.mean(self.op("Pow", centred, 2.0), -1, keep=True), 1e-5))
        return self.op("Add", self.op("Mul", self.op("Div", centred, spread), scale), shift)

    def gelu(self, x: str) -> str:
        if self.opset >= 20:
            return self.op("Gelu", x)
        half = self.op("Add", self.op("Erf", self.op("Div", x, 2**0.5)), 1.0)
        return self.op("Mul", self.op("Mul", x, half), 0.5)

    def hard_swish(self, x: str) -> str:
        if self.opset >= 14:
            return self.op("HardSwish", x)
        return self.op("Div", self.op("Mul", x, self.op("Clip", self.op("Add", x, 3.0), 0.0, 6.0)), 6.0)

    def excite(self, x: str, name: str, width: int, gate: str = "Sigmoid") -> str:
        """Squeeze and excite by two 1x1 convolutions."""
        y = self.conv(self.op("GlobalAveragePool", x), f"{name}.fc1", (width // 4, width, 1, 1))
        return self.op("Mul", x, self.op(gate, self.conv(y, f"{name}.fc2", (width, width // 4, 1, 1), act="")))


class Copy(Exported):
    """Writes into another writer's graph, with every weight of its own: the same but for some noise."""

    def __init__(self, origin: Exported, noise: float) -> None:
        super().__init__(origin.seed, origin.opset)
        self.nodes, self.weights, self._count = origin.nodes, origin.weights, origin._count
        self._noise = noise

    def put(self, name: str, array: Array) -> str:
        draw = self.rng(f"copy.{name}").standard_normal(array.shape)
        return super().put(f"copy.{name}", (array * (1 + self._noise * draw)).astype(array.dtype))


class Doubled(Exported):
    """Writes into another writer's graph, with two groups of channels for each one there was, of equal weights."""

    def __init__(self, origin: Exported) -> None:
        super().__init__(origin.seed, origin.opset)
        self.nodes, self.weights, self._count = origin.nodes, origin.weights, origin._count

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
        self.put(f"{name}.w", np.concatenate([self.value(f"{name}.w", *shape)] * 2))
        self.put(f"{name}.b", np.tile(self.value(f"{name}.b", shape[0]), 2))
        attributes["group"] = 2 * attributes.get("group", 1)
        return super().conv(x, name, (2 * shape[0], *shape[1:]), stride, pad, act, **attributes)


Body: TypeAlias = Callable[[Exported, str], str]
Build: TypeAlias = Callable[[], onnx.ModelProto]


def once(body: Body, seed: int, opset: int = 13, dimension: int = EMBEDDING) -> Build:
    """Make the builder of the ordinary network of a seed, which looks once."""

    def build() -> onnx.ModelProto:
        net = Exported(seed, opset)
        return net.model(body(net, "data"), dimension)

    return build


def stage(body: Body, seed: int, opset: int, dimension: int) -> Build:
    """Make the builder of the first part of a network, its result flattened."""
    return once(lambda net, x: net.op("Flatten", body(net, x)), seed, opset, dimension)


def rest(body: Body, seed: int, opset: int, *shape: int) -> Build:
    """Make the builder of the rest of a network, which reads a second input ``inner`` of the given shape."""

    def build() -> onnx.ModelProto:
        net = Exported(seed, opset)
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
