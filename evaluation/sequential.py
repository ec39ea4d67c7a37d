"""Networks whose weights are drawn one after the other, and whose names and opset are drawn and tell nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from evaluation.builder import Array, GraphBuilder
from evaluation.images import SIDE, faces
from evaluation.runtime import session

Weights = dict[str, Array]

NAMINGS = ("numbers", "scopes", "hex", "blank", "keras")
STORES = ("initializer", "node", "mixed")
INPUTS = ("data", "input.1", "x", "input", "actual_input_1")
OUTPUTS = ("emb", "output", "fc1", "683", "features")


def as_is(key: str, value: Array) -> Array:
    """Store a weight in the shape it has."""
    return value


class SequentialBuilder(GraphBuilder):
    """A network whose weights come one after the other from one generator.

    Parameters
    ----------
    seed
        Draws the weights and the style: naming, storage of constants and, within what ``opset`` allows, the opset.
    opset
        The lowest opset the operators of this network need.
    raw
        Whether the network receives pixels 0 to 255 (and normalises them itself) instead of -1 to 1.
    """

    own_constants = True

    def __init__(self, seed: int, *, opset: int = 11, raw: bool = False) -> None:
        self.raw = raw
        self.rng = np.random.default_rng(seed)
        self.style = np.random.default_rng(seed + 77_777)
        self.naming = NAMINGS[self.style.integers(len(NAMINGS))]
        self.store_as = STORES[self.style.integers(len(STORES))]
        opset = max(opset, int(self.style.integers(11, 14))) if opset < 13 else opset
        count = int(self.style.integers(1, 300))
        super().__init__(opset, INPUTS[self.style.integers(len(INPUTS))])
        self._count = [count]
        self._calibrated: list[tuple[str, str, str]] = []
        self._bound: dict[int, tuple[object, dict[str, str]]] = {}

    # ---- names and constants

    def name(self, kind: str) -> tuple[str, str]:
        """Return an unused node name and tensor name, in the style of this network."""
        self._count[0] += 1
        n = self._count[0]
        match self.naming:
            case "numbers":
                return f"{kind}_{n}", str(1000 + n)
            case "scopes":
                scope = f"/stage{n % 5}/block{n % 3}/{kind}_{n}"
                return scope, f"{scope}_output_0"
            case "hex":
                return self.style.bytes(4).hex() + f"{n:x}", self.style.bytes(4).hex() + f"{n:x}"
            case "blank":
                return "", f"t{n}"
            case _:
                return f"model/{kind.lower()}_{n}", f"model/{kind.lower()}_{n}:0"

    def names(self, kind: str, outputs: int) -> tuple[str, list[str]]:
        """Return unused names for a node and its outputs."""
        node, first = self.name(kind)
        return node, [first, *(self.name(kind)[1] for _ in range(outputs - 1))]

    def keep(self, array: Array) -> str:
        """Store a constant as an initializer or a Constant node, after the style of this network."""
        node, name = self.name("Constant")
        as_node = self.store_as == "node" or (self.store_as == "mixed" and array.size < 64)
        if as_node or self.constants_as_nodes:
            return self.constant_node(array, node, name)
        return self.store(name, array)

    def bind(self, weights: Weights, form: Callable[[str, Array], Array] = as_is) -> dict[str, str]:
        """Store a set of weights once, in the order of the style; the same object again gives the same tensors."""
        if id(weights) not in self._bound:
            items = list(weights.items())
            if self.style.integers(2):
                items = [items[i] for i in self.style.permutation(len(items))]
            self._bound[id(weights)] = (weights, {key: self.const(form(key, value)) for key, value in items})
        return self._bound[id(weights)][1]

    def weight(self, *shape: int, gain: float = 1.4) -> str:
        """Add a random weight with variance ``gain² / fan-in``; fan-in is everything but the first axis."""
        fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else shape[0]
        return self.const(self.rng.normal(0, gain / np.sqrt(fan_in), shape).astype(np.float32))

    # ---- operators

    def softmax(self, x: str) -> str:
        """Softmax over the last axis; before opset 13 the op flattens from its axis on, which is then the same."""
        return self.op("Softmax", x, axis=-1)

    def resize(self, x: str, height: float, width: float, mode: str = "linear", transform: str = "half_pixel") -> str:
        """Resize rows and columns by factors."""
        scales = self.const([1.0, 1.0, height, width])
        roi = "" if self.opset >= 13 else self.const(np.zeros(0, np.float32), np.float32)
        nearest = {"nearest_mode": "floor"} if mode == "nearest" else {}
        return self.op("Resize", x, roi, scales, mode=mode, coordinate_transformation_mode=transform, **nearest)

    def dim(self, x: str, axis: int) -> str:
        """Return one number of the shape, as the torch exporter writes it: Shape, Gather."""
        return self.op("Gather", self.op("Shape", x), self.const(axis), axis=0)

    def reshape_like(self, x: str, batch_of: str, *rest: int) -> str:
        """Reshape to [batch, *rest] with the torch exporter's shape arithmetic."""
        parts = [self.unsqueeze(self.dim(batch_of, 0), 0), *(self.const([value]) for value in rest)]
        return self.op("Reshape", x, self.op("Concat", *parts, axis=0))

    # ---- layers

    def conv(self, x: str, cin: int, cout: int, k: int = 3, stride: int = 1, **options: Any) -> str:
        """Convolve; options: group, dilation, bias, gain, pads, and a (kh, kw) kernel as ``kernel``."""
        group, dilation = options.get("group", 1), options.get("dilation", 1)
        kh, kw = options.get("kernel", (k, k))
        ph, pw = dilation * (kh - 1) // 2, dilation * (kw - 1) // 2
        inputs = [x, self.weight(cout, cin // group, kh, kw, gain=options.get("gain", 1.4))]
        if options.get("bias", True):
            inputs.append(self.const(self.rng.normal(0, 0.1, cout)))
        return self.op(
            "Conv",
            *inputs,
            kernel_shape=[kh, kw],
            strides=[stride, stride],
            pads=options.get("pads", [ph, pw, ph, pw]),
            group=group,
            dilations=[dilation, dilation],
        )

    def bn(self, x: str, channels: int) -> str:
        parameters = [
            self.rng.uniform(0.7, 1.3, channels),
            self.rng.normal(0, 0.2, channels),
            self.rng.normal(0, 0.2, channels),
            self.rng.uniform(0.5, 1.5, channels),
        ]
        return self.op("BatchNormalization", x, *(self.const(value) for value in parameters), epsilon=1e-5)

    def relu(self, x: str) -> str:
        return self.op("Relu", x)

    def prelu(self, x: str, channels: int) -> str:
        return self.op("PRelu", x, self.const(self.rng.uniform(0.1, 0.4, (channels, 1, 1))))

    def swish(self, x: str) -> str:
        return self.op("Mul", x, self.op("Sigmoid", x))

    def gelu(self, x: str) -> str:
        erf = self.op("Erf", self.op("Div", x, self.const(np.float32(np.sqrt(2)))))
        return self.op("Mul", self.op("Mul", x, self.op("Add", erf, self.const(1.0))), self.const(0.5))

    def cbr(self, x: str, cin: int, cout: int, k: int = 3, stride: int = 1, **options: Any) -> str:
        """Conv without bias, BatchNormalization, ReLU."""
        return self.relu(self.bn(self.conv(x, cin, cout, k, stride, bias=False, **options), cout))

    def linear(self, x: str, cin: int, cout: int, gain: float = 1.0) -> str:
        """Apply a matrix over the last axis of a tensor of any rank, with a bias."""
        weight = self.rng.normal(0, gain / np.sqrt(cin), (cin, cout))
        return self.op("Add", self.op("MatMul", x, self.const(weight)), self.const(self.rng.normal(0, 0.1, cout)))

    def layernorm(self, x: str, channels: int) -> str:
        """LayerNorm over the last axis: the op from opset 17 on, else its parts as the torch exporter wrote them."""
        scale, shift = self.const(self.rng.uniform(0.7, 1.3, channels)), self.const(self.rng.normal(0, 0.1, channels))
        if self.opset >= 17:
            return self.op("LayerNormalization", x, scale, shift, axis=-1)
        centred = self.op("Sub", x, self.reduce("Mean", x, -1))
        variance = self.reduce("Mean", self.op("Pow", centred, self.const(2.0)), -1)
        spread = self.op("Sqrt", self.op("Add", variance, self.const(1e-5)))
        return self.op("Add", self.op("Mul", self.op("Div", centred, spread), scale), shift)

    # ---- the end

    def standardise(self, x: str, channels: int) -> str:
        """Add a BatchNormalization whose statistics are measured on images when the network is finished."""
        values = (np.ones(channels), np.zeros(channels), np.zeros(channels), np.ones(channels))
        names = [self.const(value) for value in values]
        self._calibrated.append((x, names[2], names[3]))
        return self.op("BatchNormalization", x, *names, epsilon=1e-5)

    def _replace(self, name: str, array: Array) -> None:
        """Give a constant of this graph other values."""
        if name in self.initializers:
            self.initializers[name] = array
            return
        node = next(node for node in self.nodes if name in node.output)
        node.attribute[0].t.CopyFrom(numpy_helper.from_array(array, ""))

    def head(self, x: str, channels: int, side: int, dim: int = 48, width: int | None = None) -> str:
        """Flatten [N, channels, side, width], fully connected layer, BatchNormalization: the ArcFace head."""
        size = channels * side * (side if width is None else width)
        flat = self.op("Flatten", x, axis=1) if size > 1 else x
        weight = self.weight(dim, size, gain=1.0)
        bias = self.const(self.rng.normal(0, 0.1, dim))
        return self.standardise(self.op("Gemm", flat, weight, bias, transB=1), dim)

    def pooled_head(self, x: str, channels: int, dim: int = 48) -> str:
        """Global average pooling, then the head."""
        return self.head(self.op("GlobalAveragePool", x), channels, 1, dim)

    def finish(self, y: str, dim: int = 48) -> ModelProto:
        """Close the graph, measure the statistics of the standardising layers on 24 images, and return the model."""
        if self._calibrated:
            watched = [name for name, _, _ in self._calibrated]
            opened = session(self._model([*watched], None), optimise=False)
            values = opened.run(None, {self.x: faces(24, 999, raw=self.raw)})
            for (_, mean, variance), value in zip(self._calibrated, values, strict=True):
                self._replace(mean, value.mean(0).astype(np.float32))
                self._replace(variance, value.var(0).astype(np.float32) + np.float32(1e-6))
        model = self._model([y], [None, dim])
        onnx.checker.check_model(model, full_check=False)
        return model

    def _model(self, outputs: Sequence[str], shape: list[int | None] | None) -> ModelProto:
        nodes = list(self.nodes)
        if shape is not None:
            out = OUTPUTS[self.style.integers(len(OUTPUTS))]
            out = out if out != self.x else f"{out}_0"
            nodes.append(helper.make_node("Identity", list(outputs), [out], name=self.name("Identity")[0]))
            nodes, outputs = _drop_identity(nodes, self.x), [out]
        batch = ("N", "batch", "batch_size", "None")[self._count[0] % 4]
        dims = [batch, *(shape or [None])[1:]] if shape is not None else None
        return self.assemble(
            [helper.make_tensor_value_info(self.x, TensorProto.FLOAT, [batch, 3, SIDE, SIDE])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name in outputs],
            "graph" if self.naming == "blank" else "torch-jit-export",
            ir_version=8 if self.opset < 18 else 9,
            nodes=nodes,
            producer="pytorch",
        )


def _drop_identity(nodes: list[NodeProto], x: str) -> list[NodeProto]:
    """Let the last node's producer write the output itself, unless the tensor is read elsewhere."""
    *rest, last = nodes
    source, target = last.input[0], last.output[0]
    readers = sum(list(node.input).count(source) for node in rest)
    nested = any(attribute.HasField("g") for node in rest for attribute in node.attribute)
    producer = next((node for node in rest if source in node.output), None)
    if readers or nested or producer is None or source == x:
        return nodes
    renamed = NodeProto()
    renamed.CopyFrom(producer)
    renamed.output[list(producer.output).index(source)] = target
    return [renamed if node is producer else node for node in rest]
