"""Builders that write a network node by node in the names and forms of one framework."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from onnx import ModelProto

from evaluation.case import MODEL_RULES, Case, seed_of
from evaluation.registry import register
from evaluation.sequential import SequentialBuilder

#: What a framework calls an operator's layers; an operator that is missing keeps its own name.
NAMES = {
    "mxnet": {"Conv": "conv", "BatchNormalization": "bn", "PRelu": "relu", "Add": "_plus", "Sub": "_minusscalar",
              "Mul": "_mulscalar", "Gemm": "fc", "Flatten": "flatten", "Relu": "activation"},
    "caffe": {"Conv": "conv", "Gemm": "fc", "Add": "res", "Max": "etlwise", "Split": "slice", "PRelu": "relu"},
    "darknet": {"Conv": "convolutional", "LeakyRelu": "leaky", "Add": "shortcut", "Concat": "route"},
    "cntk": {"Conv": "Convolution", "Add": "Plus", "Relu": "ReLU", "MaxPool": "Pooling", "Gemm": "Times"},
}  # fmt: skip
SOURCES = {"mxnet": "data", "caffe": "data", "darknet": "000_net", "cntk": "Input3", "keras": "input_1",
           "mindspore": "x", "paddle": "image", "tflite": "serving_default_input:0"}  # fmt: skip


class Styled(SequentialBuilder):
    """A network in the manner of one framework.

    Parameters
    ----------
    seed, opset, raw
        As of the class above it.
    style
        The framework: a key of ``SOURCES``.
    """

    def __init__(self, seed: int, *, opset: int, raw: bool, style: str) -> None:
        super().__init__(seed, opset=opset, raw=raw)
        self.opset, self.framework, self.x = opset, style, SOURCES[style]
        self.store_as = "node" if style == "mindspore" else "initializer"
        self.counted: Counter[str] = Counter()

    def name(self, kind: str) -> tuple[str, str]:
        """Return an unused node name and tensor name in the framework's manner."""
        label = NAMES.get(self.framework, {}).get(kind, kind)
        self._count[0] += 1
        i, self.counted[label] = self.counted[label], self.counted[label] + 1
        match self.framework:
            case "mxnet":
                return f"{label}{i}", f"{label}{i}_fwd" if kind != "Constant" else f"{label}{i}_weight"
            case "caffe":
                return f"{label}{i}/{kind.lower()}", f"{label}{i}"
            case "darknet":
                return f"{self._count[0]:03d}_{label}", f"{self._count[0]:03d}_{label}_out"
            case "cntk":
                return f"{label}{self._count[0]}", f"{label}{self._count[0]}_Output_0"
            case "paddle":
                return f"p2o.{kind}.{i}", f"{kind.lower()}_{i}.tmp_0"
            case "keras":
                path = f"StatefulPartitionedCall/model/{kind.lower()}_{i}/{kind}"
                return path, f"{path}:0"
            case "tflite":
                return f"{kind}__{self._count[0]}", f"model/{kind}_{i};model/bn_{i}/FusedBatchNormV3__{self._count[0]}"
            case _:
                return f"Default/network-Net/{kind}-op{self._count[0]}", str(self._count[0])

    # ---- layers of frameworks that keep the channels last

    def channels_last(self, x: str) -> str:
        return self.transpose(x, 0, 2, 3, 1)

    def channels_first(self, x: str) -> str:
        return self.transpose(x, 0, 3, 1, 2)

    def last_conv(self, x: str, cin: int, cout: int, k: int = 3, stride: int = 1, group: int = 1) -> str:
        """Convolve a map with the channels last, with TensorFlow's padding, between two transposes."""
        low, high = ((k - stride) // 2, k - stride - (k - stride) // 2) if stride > 1 else (k // 2, k // 2)
        y = self.conv(
            self.channels_first(x), cin, cout, k, stride, group=group, bias=False, pads=[low, low, high, high]
        )
        return self.channels_last(y)

    def last_norm(self, x: str, channels: int) -> str:
        """Scale and shift the last axis by stored numbers."""
        y = self.op("Mul", x, self.const(self.rng.uniform(0.7, 1.3, channels)))
        return self.op("Add", y, self.const(self.rng.normal(0, 0.2, channels)))

    def relu6(self, x: str) -> str:
        return self.op("Min", self.op("Max", x, self.const(0.0)), self.const(6.0))


def honest_styled(
    why: str, *, idea: str, style: str, opset: int = 11, raw: bool = False, dim: int = 48, ir: int = 7
) -> Callable[[Callable[[Styled], str]], Callable[[Styled], str]]:
    """Register an honest network that is written node by node in a framework's manner."""

    def add(body: Callable[[Styled], str]) -> Callable[[Styled], str]:
        name = body.__name__

        def build() -> ModelProto:
            net = Styled(seed_of(name), opset=opset, raw=raw, style=style)
            made = net.finish(body(net), dim)
            made.ir_version = ir
            made.producer_name = style
            return made

        case: dict[str, Any] = {"rules": MODEL_RULES, "expected": "passed", "idea": idea, "about": why}
        register(Case(name=name, build=build, raw=raw, whole=True, **case))
        return body

    return add
