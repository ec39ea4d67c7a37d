"""The one writer of ONNX graphs: nodes, names, constants, and operators whose form depends on the opset."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array: TypeAlias = npt.NDArray[Any]
Operand: TypeAlias = str | Array | Sequence[int] | Sequence[float] | float
Value: TypeAlias = onnx.ValueInfoProto


def untyped(name: str) -> Value:
    """Declare a float tensor of unknown shape, as inputs and outputs of subgraphs need."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, None)


class GraphBuilder:
    """Collect the nodes and weights of one graph; every method that adds a node returns the names of its outputs.

    Parameters
    ----------
    opset
        The opset whose forms the operators take.
    x
        Name of the input.
    """

    #: Whether constants become Constant nodes instead of initializers.
    constants_as_nodes = False
    #: Whether a subgraph keeps its constants to itself; otherwise they are stored with the outermost graph.
    own_constants = False

    def __init__(self, opset: int, x: str) -> None:
        self.opset = opset
        self.x = x
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, Array | TensorProto] = {}
        self.functions: list[onnx.FunctionProto] = []
        self._count = [0]

    def child(self) -> Self:
        """Start a subgraph: nodes of its own, and the names and weights of this graph."""
        inner = copy.copy(self)
        inner.nodes, inner.functions = [], []
        if self.own_constants:
            inner.initializers = {}
        return inner

    # ---- names and nodes

    def fresh(self, stem: str) -> str:
        """Return an unused name."""
        self._count[0] += 1
        return f"{stem}_{self._count[0]}"

    def name(self, kind: str) -> tuple[str, str]:
        """Return an unused node name and an unused tensor name for an operator of this kind."""
        label = self.fresh(kind)
        return label, label

    def names(self, kind: str, outputs: int) -> tuple[str, list[str]]:
        """Return unused names for a node and for each of its outputs."""
        node, first = self.name(kind)
        return node, [first] if outputs == 1 else [f"{first}_out{i}" for i in range(outputs)]

    def ops(self, kind: str, *inputs: Operand, outputs: int = 1, **attributes: Any) -> list[str]:
        """Add a node with several outputs; inputs that are no names become constants."""
        given = [item if isinstance(item, str) else self.const(item) for item in inputs]
        node, names = self.names(kind, outputs)
        self.nodes.append(helper.make_node(kind, given, names, name=node, **attributes))
        return names

    def op(self, kind: str, *inputs: Operand, **attributes: Any) -> str:
        """Add a node with one output."""
        return self.ops(kind, *inputs, **attributes)[0]

    # ---- constants

    def store(self, name: str, value: Array | TensorProto) -> str:
        """Store a tensor under a name; a name that is taken keeps what it has."""
        kept = value if isinstance(value, TensorProto) else np.array(value, order="C")
        self.initializers.setdefault(name, kept)
        return name

    def array(self, name: str) -> Array:
        """Return the values of a stored tensor."""
        value = self.initializers[name]
        return numpy_helper.to_array(value) if isinstance(value, TensorProto) else value

    def const(self, value: Any, dtype: Any = None) -> str:
        """Add a constant: without ``dtype``, float32 for floats (but float16) and int64 for integers."""
        array = np.asarray(value)
        if dtype is None and array.dtype != np.float16:
            dtype = {"f": np.float32, "i": np.int64}.get(array.dtype.kind)
        return self.keep(np.asarray(array, dtype))

    def keep(self, array: Array) -> str:
        """Store a constant as this builder stores them, under an unused name."""
        if not self.constants_as_nodes:
            return self.store(self.fresh("const"), array)
        return self.constant_node(array, *self.name("Constant"))

    def constant_node(self, array: Array, node: str, name: str) -> str:
        """Add a Constant node."""
        tensor = numpy_helper.from_array(np.array(array, order="C"), "")
        self.nodes.append(helper.make_node("Constant", [], [name], name=node, value=tensor))
        return name

    def tensors(self) -> list[TensorProto]:
        """Return the stored tensors as an ONNX graph holds them."""
        return [
            value if isinstance(value, TensorProto) else numpy_helper.from_array(value, name)
            for name, value in self.initializers.items()
        ]

    # ---- operators whose form depends on the opset

    def unsqueeze(self, x: str, *axes: int) -> str:
        if self.opset >= 13:
            return self.op("Unsqueeze", x, list(axes))
        return self.op("Unsqueeze", x, axes=list(axes))

    def squeeze(self, x: str, *axes: int) -> str:
        if self.opset >= 13:
            return self.op("Squeeze", x, list(axes))
        return self.op("Squeeze", x, axes=list(axes))

    def reduce(self, kind: str, x: str, *axes: int, keep: bool = True) -> str:
        """Reduce over axes: ``kind`` is Mean, Sum, Max, Min, L2."""
        if self.opset >= (13 if kind == "Sum" else 18):
            return self.op(f"Reduce{kind}", x, list(axes), keepdims=int(keep))
        return self.op(f"Reduce{kind}", x, axes=list(axes), keepdims=int(keep))

    def mean(self, x: str, *axes: int, keep: bool = False) -> str:
        return self.reduce("Mean", x, *axes, keep=keep)

    def sum(self, x: str, axis: int, keep: bool = False) -> str:
        return self.reduce("Sum", x, axis, keep=keep)

    def split(self, x: str, sizes: Sequence[int], axis: int) -> list[str]:
        if self.opset >= 13:
            return self.ops("Split", x, list(sizes), outputs=len(sizes), axis=axis)
        return self.ops("Split", x, outputs=len(sizes), axis=axis, split=list(sizes))

    def slice(self, x: str, starts: Sequence[int], ends: Sequence[int], axes: Sequence[int], steps: Any = None) -> str:
        if self.opset < 10:
            return self.op("Slice", x, starts=list(starts), ends=list(ends), axes=list(axes))
        inputs = [list(starts), list(ends), list(axes), *([list(steps)] if steps is not None else [])]
        return self.op("Slice", x, *inputs)

    def cut(self, x: str, start: int, end: int, axis: int, step: int = 1) -> str:
        """Take a part of one axis."""
        return self.slice(x, [start], [end], [axis], [step])

    def reshape(self, x: str, *shape: int) -> str:
        return self.op("Reshape", x, self.const(list(shape), np.int64))

    def transpose(self, x: str, *perm: int) -> str:
        return self.op("Transpose", x, perm=list(perm))

    # ---- graphs

    def graph(self, inputs: Sequence[Value], outputs: Sequence[Value], name: str = "") -> onnx.GraphProto:
        """Close a subgraph."""
        stored = self.tensors() if self.own_constants else []
        return helper.make_graph(self.nodes, name or self.fresh("body"), list(inputs), list(outputs), stored)

    def assemble(
        self,
        inputs: Sequence[Value],
        outputs: Sequence[Value],
        name: str,
        *,
        ir_version: int,
        nodes: Sequence[onnx.NodeProto] | None = None,
        sparse: Sequence[onnx.SparseTensorProto] | None = None,
        producer: str = "",
    ) -> onnx.ModelProto:
        """Return the model; every domain other than ONNX's own is imported in version 1."""
        nodes = self.nodes if nodes is None else nodes
        graph = helper.make_graph(
            list(nodes), name, list(inputs), list(outputs), self.tensors(), sparse_initializer=sparse
        )
        domains = {node.domain for node in nodes if node.domain} | {each.domain for each in self.functions}
        imports = [helper.make_opsetid("", self.opset), *(helper.make_opsetid(each, 1) for each in sorted(domains))]
        kwargs = {"producer_name": producer} if producer else {}
        return helper.make_model(
            graph, opset_imports=imports, ir_version=ir_version, functions=self.functions, **kwargs
        )
