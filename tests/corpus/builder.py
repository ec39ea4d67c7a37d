"""A small writer of ONNX graphs whose names, opset and way of storing constants vary with the seed and tell nothing."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from .images import SIDE, Array, faces

Weights = dict[str, Array]

NAMINGS = ("numbers", "scopes", "hex", "blank", "keras")
STORES = ("initializer", "node", "mixed")
INPUTS = ("data", "input.1", "x", "input", "actual_input_1")
OUTPUTS = ("emb", "output", "fc1", "683", "features")


def session(model: ModelProto, *, optimise: bool = True) -> ort.InferenceSession:
    """Open a model on one CPU thread, quietly; small models that run once open faster without graph optimisation."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if not optimise:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def embed(model: ModelProto, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Run a one-input model and return its first output."""
    runner = session(model, optimise=False)
    return np.asarray(runner.run(None, {runner.get_inputs()[0].name: images})[0])


def as_is(key: str, value: Array) -> Array:
    """Store a weight in the shape it has."""
    return value


def untyped(name: str) -> onnx.ValueInfoProto:
    """Declare a float tensor of unknown shape, as subgraph inputs and outputs need."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, None)


class Net:
    """One graph (or subgraph) under construction; every method adds nodes and returns tensor names.

    Parameters
    ----------
    seed
        Draws the weights and the style: naming, storage of constants and, within what ``opset`` allows, the opset.
    opset
        The lowest opset the ops of this network need.
    raw
        Whether the network receives pixels 0 to 255 (and normalises them itself) instead of -1 to 1.
    """

    rng: np.random.Generator
    style: np.random.Generator
    naming: str
    store: str
    opset: int
    x: str
    _count: list[int]

    def __init__(self, seed: int, *, opset: int = 11, raw: bool = False, parent: "Net | None" = None) -> None:
        self.raw = raw
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []
        self.functions: list[onnx.FunctionProto] = []
        self.isolated = False
        self._calibrated: list[tuple[str, TensorProto, TensorProto]] = []
        self._bound: dict[int, tuple[object, dict[str, str]]] = {}
        if parent is not None:
            self.rng, self.style, self.naming, self.store = parent.rng, parent.style, parent.naming, parent.store
            self.opset, self._count, self.x, self._bound = parent.opset, parent._count, parent.x, parent._bound
            return
        self.rng = np.random.default_rng(seed)
        self.style = np.random.default_rng(seed + 77_777)
        self.naming = NAMINGS[self.style.integers(len(NAMINGS))]
        self.store = STORES[self.style.integers(len(STORES))]
        self.opset = max(opset, int(self.style.integers(11, 14))) if opset < 13 else opset
        self._count = [int(self.style.integers(1, 300))]
        self.x = INPUTS[self.style.integers(len(INPUTS))]

    # ---- names and raw nodes

    def name(self, kind: str) -> tuple[str, str]:
        """Return an unused node name and tensor name for an op of this kind."""
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

    def ops(self, kind: str, inputs: Sequence[str], outputs: int = 1, **attributes: Any) -> list[str]:
        """Add a node with several outputs."""
        node, first = self.name(kind)
        names = [first, *(self.name(kind)[1] for _ in range(outputs - 1))]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=node, **attributes))
        return names

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output."""
        return self.ops(kind, inputs, **attributes)[0]

    def const(self, value: npt.ArrayLike, dtype: Any = None) -> str:
        """Add a constant, as an initializer or a Constant node after the style of this network."""
        array = np.array(value)
        if dtype is None:
            dtype = np.float32 if array.dtype.kind == "f" else np.int64
        array = np.asarray(array, dtype=dtype)
        node, name = self.name("Constant")
        as_node = self.isolated or self.store == "node" or (self.store == "mixed" and array.size < 64)
        if as_node:
            tensor = numpy_helper.from_array(array, "")
            self.nodes.append(helper.make_node("Constant", [], [name], name=node, value=tensor))
        else:
            self.initializers.append(numpy_helper.from_array(array, name))
        return name

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

    def child(self) -> "Net":
        """Start a subgraph that sees this graph's tensors."""
        return Net(0, parent=self)

    # ---- ops whose form depends on the opset

    def unsqueeze(self, x: str, *axes: int) -> str:
        if self.opset >= 13:
            return self.op("Unsqueeze", x, self.const(list(axes)))
        return self.op("Unsqueeze", x, axes=list(axes))

    def squeeze(self, x: str, *axes: int) -> str:
        if self.opset >= 13:
            return self.op("Squeeze", x, self.const(list(axes)))
        return self.op("Squeeze", x, axes=list(axes))

    def reduce(self, kind: str, x: str, *axes: int, keep: bool = True) -> str:
        """Reduce over axes: ``kind`` is Mean, Sum, Max, Min, L2."""
        if self.opset >= 18 or (kind == "Sum" and self.opset >= 13):
            return self.op(f"Reduce{kind}", x, self.const(list(axes)), keepdims=int(keep))
        return self.op(f"Reduce{kind}", x, axes=list(axes), keepdims=int(keep))

    def split(self, x: str, sizes: Sequence[int], axis: int) -> list[str]:
        if self.opset >= 13:
            return self.ops("Split", [x, self.const(list(sizes))], len(sizes), axis=axis)
        return self.ops("Split", [x], len(sizes), axis=axis, split=list(sizes))

    def softmax(self, x: str) -> str:
        """Softmax over the last axis; before opset 13 the op flattens from its axis on, which is then the same."""
        return self.op("Softmax", x, axis=-1)

    def slice(self, x: str, starts: Sequence[int], ends: Sequence[int], axes: Sequence[int], steps: Any = None) -> str:
        inputs = [x, self.const(list(starts)), self.const(list(ends)), self.const(list(axes))]
        return self.op("Slice", *inputs, *([self.const(list(steps))] if steps is not None else []))

    def reshape(self, x: str, *shape: int) -> str:
        return self.op("Reshape", x, self.const(list(shape), np.int64))

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
        names = []
        tensors = []
        for value in (np.ones(channels), np.zeros(channels), np.zeros(channels), np.ones(channels)):
            names.append(self.const(value))
            last = self.nodes[-1] if self.nodes and names[-1] in self.nodes[-1].output else None
            tensors.append(last.attribute[0].t if last is not None else self.initializers[-1])
        self._calibrated.append((x, tensors[2], tensors[3]))
        return self.op("BatchNormalization", x, *names, epsilon=1e-5)

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
            model = self._model([*watched], None)
            runner = session(model, optimise=False)
            for (_, mean, variance), value in zip(
                self._calibrated, runner.run(None, {self.x: faces(24, 999, raw=self.raw)}), strict=True
            ):
                mean.CopyFrom(numpy_helper.from_array(value.mean(0).astype(np.float32), mean.name))
                variance.CopyFrom(numpy_helper.from_array(value.var(0).astype(np.float32) + 1e-6, variance.name))
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
        graph = helper.make_graph(
            nodes,
            "graph" if self.naming == "blank" else "torch-jit-export",
            [helper.make_tensor_value_info(self.x, TensorProto.FLOAT, [batch, 3, SIDE, SIDE])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name in outputs],
            self.initializers,
        )
        imports = [helper.make_opsetid("", self.opset)]
        if self.functions:
            imports += [helper.make_opsetid(domain, 1) for domain in sorted({f.domain for f in self.functions})]
        ir = 8 if self.opset < 18 else 9
        return helper.make_model(
            graph, opset_imports=imports, ir_version=ir, functions=self.functions, producer_name="pytorch"
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
