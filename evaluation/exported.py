"""Networks as exporters leave them: constants as nodes, layers with the names and parts that frameworks give them."""

from __future__ import annotations

from typing import Any

import numpy as np

from evaluation.builder import Array
from evaluation.named import NamedBuilder

END = 2**63 - 1


class ExportBuilder(NamedBuilder):
    """A named network whose constants are Constant nodes."""

    constants_as_nodes = True

    def flip(self, x: str, axis: int) -> str:
        """Reverse one axis."""
        return self.op("Slice", x, [-1], [-END], [axis], [-1])

    def batch_norm(self, x: str, name: str, width: int) -> str:
        rng = self.rng(name)
        values = {
            "weight": rng.uniform(0.8, 1.2, width),
            "bias": 0.1 * rng.standard_normal(width),
            "running_mean": 0.1 * rng.standard_normal(width),
            "running_var": rng.uniform(0.7, 1.3, width),
        }
        names = [self.store(f"{name}.{key}", value.astype(np.float32)) for key, value in values.items()]
        return self.op("BatchNormalization", x, *names)

    def norm(self, x: str, name: str, width: int) -> str:
        """LayerNorm over the last axis with its scale and shift, in one node from opset 17 on."""
        rng = self.rng(name)
        scale = self.store(f"{name}.weight", rng.uniform(0.8, 1.2, width).astype(np.float32))
        shift = self.store(f"{name}.bias", (0.1 * rng.standard_normal(width)).astype(np.float32))
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


class PerturbedBuilder(ExportBuilder):
    """Writes into another writer's graph, with every weight of its own: the same but for some noise."""

    def __init__(self, origin: ExportBuilder, noise: float) -> None:
        super().__init__(origin.seed, origin.opset)
        self.nodes, self.initializers, self._count = origin.nodes, origin.initializers, origin._count
        self._noise = noise

    def store(self, name: str, array: Array) -> str:
        draw = self.rng(f"copy.{name}").standard_normal(array.shape)
        return super().store(f"copy.{name}", (array * (1 + self._noise * draw)).astype(array.dtype))


class DoubledBuilder(ExportBuilder):
    """Writes into another writer's graph, with two groups of channels for each one there was, of equal weights."""

    def __init__(self, origin: ExportBuilder) -> None:
        super().__init__(origin.seed, origin.opset)
        self.nodes, self.initializers, self._count = origin.nodes, origin.initializers, origin._count

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
        self.store(f"{name}.w", np.concatenate([self.value(f"{name}.w", *shape)] * 2))
        self.store(f"{name}.b", np.tile(self.value(f"{name}.b", shape[0]), 2))
        attributes["group"] = 2 * attributes.get("group", 1)
        return super().conv(x, name, (2 * shape[0], *shape[1:]), stride, pad, act, **attributes)
