"""Cutting a finished ModelProto open and putting it together again, as the injections need it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from evaluation.images import Array
from evaluation.sequential import SequentialBuilder


class CannotCarry(Exception):  # noqa: N818  # the name says what the host cannot do
    """A host that cannot carry an injection; the text says why."""


Rename = Callable[[str], str]
Weigh = Callable[[Array], Array]


def renamed(nodes: Iterable[NodeProto], rename: Rename) -> list[NodeProto]:
    """Copy nodes with every tensor name, also those inside subgraphs, replaced by ``rename(name)``."""
    copies = []
    for node in nodes:
        copy = NodeProto()
        copy.CopyFrom(node)
        copy.input[:] = [rename(name) if name else "" for name in node.input]
        copy.output[:] = [rename(name) if name else "" for name in node.output]
        if node.name:
            copy.name = rename(node.name)
        for attribute in copy.attribute:
            if attribute.HasField("g"):
                _rename_graph(attribute.g, rename)
        copies.append(copy)
    return copies


def _rename_graph(graph: GraphProto, rename: Rename) -> None:
    nodes = renamed(graph.node, rename)
    del graph.node[:]
    graph.node.extend(nodes)
    for value in (*graph.input, *graph.output, *graph.initializer):
        value.name = rename(value.name)
    del graph.value_info[:]


def own_names(nodes: Iterable[NodeProto]) -> set[str]:
    """Every name that these nodes define: outputs, node names, and what their subgraphs define."""
    names: set[str] = set()
    for node in nodes:
        names |= {*node.output, node.name}
        for attribute in node.attribute:
            if attribute.HasField("g"):
                names |= {value.name for value in (*attribute.g.input, *attribute.g.initializer)}
                names |= own_names(attribute.g.node)
    return names - {""}


def reads(node: NodeProto) -> set[str]:
    """Every tensor that a node reads, also from inside its subgraphs."""
    names = set(node.input)
    for attribute in node.attribute:
        if attribute.HasField("g"):
            for inner in attribute.g.node:
                names |= reads(inner)
            names |= {value.name for value in attribute.g.output}
    return names - {""}


@dataclass
class Host:
    """A one-input model taken apart; ``net`` writes further nodes in the host's opset.

    Attributes
    ----------
    model
        The host, untouched.
    net
        Writer for the nodes in front of and behind the body.
    front, body, back
        The nodes of the new graph, in this order.
    """

    model: ModelProto
    net: SequentialBuilder = field(init=False)
    front: list[NodeProto] = field(default_factory=list)
    body: list[NodeProto] = field(default_factory=list)
    added: list[TensorProto] = field(default_factory=list)
    functions: list[onnx.FunctionProto] = field(default_factory=list)

    def __post_init__(self) -> None:
        graph = self.model.graph
        if len(graph.input) != 1 or len(graph.output) != 1:
            raise CannotCarry("the host has not exactly one input and one output")
        if graph.input[0].type.tensor_type.shape.dim[0].dim_value:
            raise CannotCarry("the host's batch size is fixed")
        opset = next(entry.version for entry in self.model.opset_import if entry.domain in ("", "ai.onnx"))
        self.net = SequentialBuilder(len(graph.node) * 7919 + opset, opset=opset)
        self.net.opset, self.net.naming, self.net.x = opset, "hex", graph.input[0].name

    @property
    def x(self) -> str:
        return str(self.model.graph.input[0].name)

    @property
    def y(self) -> str:
        return str(self.model.graph.output[0].name)

    @property
    def dim(self) -> int:
        return int(self.model.graph.output[0].type.tensor_type.shape.dim[1].dim_value)

    def weights(self) -> dict[str, Array]:
        """Constant float tensors by name: initializers and top-level Constant nodes."""
        tensors = {tensor.name: tensor for tensor in self.model.graph.initializer}
        for node in self.model.graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                tensors[node.output[0]] = node.attribute[0].t
        return {
            name: numpy_helper.to_array(tensor)
            for name, tensor in tensors.items()
            if tensor.data_type == TensorProto.FLOAT
        }

    def end_front(self) -> None:
        """Everything written so far belongs in front of the body."""
        self.front += self.net.nodes
        self.net.nodes = []

    def nodes(
        self, x: str, suffix: str, new: dict[str, Array] | None = None, cut: str = ""
    ) -> tuple[list[NodeProto], str]:
        """Copy the body so that it reads ``x``; returns its nodes and the name of its embedding.

        Parameters
        ----------
        x
            Tensor that takes the place of the image (or of the tensor ``cut``).
        suffix
            Appended to every name the body defines; weights keep theirs and so stay shared.
        new
            Weights that get other values, and therefore tensors of their own.
        cut
            Copy only what depends on this tensor.
        """
        chosen = self.downstream(cut) if cut else list(self.model.graph.node)
        new = new or {}
        # Constant nodes are weights: they keep their names, and stand in the graph once, with the first copy.
        constant = {node.output[0] for node in chosen if node.op_type == "Constant"}
        mine = (own_names(chosen) - constant) | set(new)
        if suffix not in ("", "_0"):
            chosen = [node for node in chosen if node.op_type != "Constant"]
        table = {name: f"{name}{suffix}" for name in mine} | {cut or self.x: x}
        self.added += [numpy_helper.from_array(np.ascontiguousarray(value), table[name]) for name, value in new.items()]
        return renamed(chosen, lambda name: table.get(name, name)), table[self.y]

    def downstream(self, tensor: str) -> list[NodeProto]:
        """Nodes that depend on a tensor."""
        reached, chosen = {tensor}, []
        for node in self.model.graph.node:
            if reads(node) & reached:
                reached |= set(node.output)
                chosen.append(node)
        return chosen

    def finish(self, y: str, dim: int | None = None) -> ModelProto:
        """Put front, body and back together; ``y`` takes the name of the host's output."""
        model = ModelProto()
        model.CopyFrom(self.model)
        graph = model.graph
        back = self.net.nodes
        renamed_back = renamed(back, lambda name: self.y if name == y else name)
        if y != self.y and all(y not in node.output for node in back):
            renamed_back.append(helper.make_node("Identity", [y], [self.y]))
        del graph.node[:]
        graph.node.extend([*self.front, *self.body, *renamed_back])
        graph.initializer.extend([*self.net.tensors(), *self.added])
        del graph.value_info[:]
        if dim is not None:
            graph.output[0].type.tensor_type.shape.dim[1].dim_value = dim
        model.functions.extend(self.functions)
        if self.functions:
            model.opset_import.extend([helper.make_opsetid(self.functions[0].domain, 1)])
        drop_unread(graph)
        return model


def drop_unread(graph: GraphProto) -> None:
    """Remove initializers and Constant nodes nobody reads: leftovers would give an injection away."""
    read = {name for node in graph.node for name in reads(node)} | {value.name for value in graph.output}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    nodes = [node for node in graph.node if node.op_type != "Constant" or node.output[0] in read]
    del graph.node[:]
    graph.node.extend(nodes)


def cut_point(host: Host) -> str:
    """Find the first feature map of a convolution that everything behind passes through."""
    nodes = list(host.model.graph.node)
    for node in nodes:
        if node.op_type != "Conv":
            continue
        tensor = node.output[0]
        reached = {host.x}
        for other in nodes:
            # What only knows the shape of the image carries nothing of it.
            if other.op_type != "Shape" and tensor not in other.output and reads(other) & reached:
                reached |= set(other.output)
        if host.y not in reached and host.y != tensor:
            return str(tensor)
    raise CannotCarry("no convolution's output that everything behind it passes through")


def consumers(nodes: Sequence[NodeProto], tensor: str) -> list[NodeProto]:
    return [node for node in nodes if tensor in reads(node)]
