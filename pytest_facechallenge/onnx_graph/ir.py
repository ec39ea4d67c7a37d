"""An ONNX model as plain Python objects: the one way the analyses read a graph.

Local functions are inlined, Constant nodes become constants, attributes are decoded, subgraphs are `Graph` objects of
their own. Weights stay where they are until somebody asks for their values. Nothing here judges.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx

from pytest_facechallenge.onnx_graph import operators
from pytest_facechallenge.onnx_graph.local_functions import GraphError, inline_functions
from pytest_facechallenge.onnx_graph.protos import constant_tensor
from pytest_facechallenge.onnx_graph.tensor import Tensor

__all__ = ["Graph", "GraphError", "Node", "Tensor", "from_model", "inline_functions", "outer_reads", "read_model"]


class Node:
    """One operator call.

    Attributes
    ----------
    index
        Position in its graph.
    label
        A name that a participant finds in the file or a viewer: the node's own name, or "<op>_<index>".
    inputs, outputs
        Value names; "" is an absent optional input or output.
    attributes
        Decoded: int, float, str (bytes decoded as UTF-8, undecodable bytes replaced), list, `Tensor`, `Graph`.
    operator
        What is known of operators of this name.
    """

    def __init__(self, proto: onnx.NodeProto, index: int, graph: Graph, attributes: dict[str, Any], opset: int) -> None:
        self.proto = proto
        self.index = index
        self.graph = graph
        self.op: str = proto.op_type
        self.domain: str = "" if proto.domain == "ai.onnx" else proto.domain
        self.opset = opset
        self.inputs: tuple[str, ...] = tuple(proto.input)
        self.outputs: tuple[str, ...] = tuple(proto.output)
        self.attributes = attributes
        self.operator = operators.operator(self.domain, self.op)

    @property
    def label(self) -> str:
        """The name to show: with the path of the subgraph that holds the node."""
        name = self.proto.name or f"{self.op}_{self.index}"
        return f"{self.graph.path}/{name}" if self.graph.path else name

    @property
    def subgraphs(self) -> dict[str, Graph]:
        """Bodies of If, Loop, Scan and their like, by attribute name (a list attribute gives name[0], name[1]…)."""
        found: dict[str, Graph] = {}
        for name, value in self.attributes.items():
            if isinstance(value, Graph):
                found[name] = value
            elif isinstance(value, list) and value and isinstance(value[0], Graph):
                found |= {f"{name}[{i}]": graph for i, graph in enumerate(value)}
        return found

    def constant(self, position: int) -> npt.NDArray[Any] | None:
        """Return the values of input ``position`` when it is a constant of the graph, else None."""
        if position >= len(self.inputs) or not self.inputs[position]:
            return None
        tensor = self.graph.constant(self.inputs[position])
        return None if tensor is None else tensor.array()

    def __repr__(self) -> str:
        return f"Node({self.label!r}, {self.domain + '.' if self.domain else ''}{self.op})"


class Graph:
    """A graph or subgraph.

    Attributes
    ----------
    path
        "" for the main graph, "If_3.then_branch" for a subgraph.
    parent
        The graph around it, whose values it may use; None for the main graph.
    inputs, outputs
        Names; ``inputs`` without the initializers that old exporters list among them.
    constants
        Initializers (sparse ones excepted, see ``sparse``) and outputs of Constant nodes, by name.
    nodes
        Each after those that it reads from (the file's order where that is so already), without Constant nodes.
    folder
        Where the side files of external data are looked for.
    """

    def __init__(self, proto: onnx.GraphProto, path: str, parent: Graph | None) -> None:
        self.proto = proto
        self.path = path
        self.parent = parent
        self.constants: dict[str, Tensor] = {}
        self.sparse: dict[str, onnx.SparseTensorProto] = {}
        self.nodes: list[Node] = []
        self.inputs: tuple[str, ...] = ()
        self.outputs: tuple[str, ...] = tuple(value.name for value in proto.output)
        self.opsets: Mapping[str, int] = {}
        self.folder = Path()

    @cached_property
    def producers(self) -> dict[str, Node]:
        """The node that makes each value of this graph (not of its subgraphs or parents)."""
        return {name: node for node in self.nodes for name in node.outputs if name}

    @cached_property
    def consumers(self) -> dict[str, list[Node]]:
        """The nodes of this graph that read each value, also through a subgraph of theirs."""
        readers: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in {*node.inputs, *outer_reads(node)} - {""}:
                readers.setdefault(name, []).append(node)
        return readers

    @cached_property
    def used(self) -> frozenset[int]:
        """The indices of the nodes whose results reach an output of this graph."""
        used: set[int] = set()
        pending = list(self.outputs)
        seen = set(pending)
        while pending:
            node = self.producers.get(pending.pop())
            if node is None or node.index in used:
                continue
            used.add(node.index)
            fresh = {*node.inputs, *outer_reads(node)} - seen
            seen |= fresh
            pending.extend(fresh)
        return frozenset(used)

    def constant(self, name: str) -> Tensor | None:
        """Return the constant of that name as seen from here, looking through the graphs around this one."""
        graph: Graph | None = self
        while graph is not None:
            if name in graph.constants:
                return graph.constants[name]
            if name in graph.producers or name in graph.inputs:
                return None
            graph = graph.parent
        return None

    def walk(self) -> Iterator[Node]:
        """Yield every node, those of subgraphs after the node that holds them."""
        pending = [iter(self.nodes)]
        while pending:
            node = next(pending[-1], None)
            if node is None:
                pending.pop()
                continue
            yield node
            pending.extend(iter(graph.nodes) for graph in reversed(node.subgraphs.values()))

    def walk_graphs(self) -> Iterator[Graph]:
        """Yield this graph and every graph inside it."""
        yield self
        for node in self.walk():
            yield from node.subgraphs.values()


def outer_reads(node: Node) -> set[str]:
    """Return the values from outside that the node's subgraphs read."""
    reads: set[str] = set()
    pending = list(node.subgraphs.values())
    while pending:
        graph = pending.pop()
        own = {*graph.inputs, *graph.constants, *graph.producers}
        for inner in graph.nodes:
            reads |= {name for name in inner.inputs if name and name not in own}
            reads |= {name for name in outer_reads(inner) if name not in own}
        reads |= {name for name in graph.outputs if name not in own}
    return reads


def read_model(path: Path) -> onnx.ModelProto:
    """Parse a file, without external data.

    Raises
    ------
    google.protobuf.message.DecodeError
        The bytes are not an ONNX protobuf.
    OSError
        The file cannot be read.
    """
    return onnx.load(str(path), load_external_data=False)


def from_model(model: onnx.ModelProto, folder: Path) -> Graph:
    """Turn a parsed model into a `Graph`.

    Parameters
    ----------
    model
        May hold local functions; they are inlined.
    folder
        Where external data is looked for.

    Raises
    ------
    GraphError
        A function is missing or recursive, or inlining passes `MAX_NODES`.
    """
    if model.functions:
        model = inline_functions(model)
    opsets = {"" if entry.domain == "ai.onnx" else entry.domain: entry.version for entry in model.opset_import}
    return _Reader(folder, opsets).read(model.graph, "", None)


def _sorted(graph: Graph) -> list[Node]:
    """Return the nodes so that each comes after those it reads from; runtimes load unsorted files too.

    Raises
    ------
    GraphError
        Nodes feed each other in a circle.
    """
    producers = {name: place for place, node in enumerate(graph.nodes) for name in node.outputs if name}
    sources = {
        place: [producers[name] for name in {*node.inputs, *outer_reads(node)} if name in producers]
        for place, node in enumerate(graph.nodes)
    }
    if all(source < place for place, before in sources.items() for source in before):
        return graph.nodes
    sorter = TopologicalSorter(sources)
    try:
        sorter.prepare()
    except CycleError as error:
        label = graph.nodes[error.args[1][0]].label
        raise GraphError(f"the nodes of the graph feed each other in a circle, through {label!r}") from error
    ordered: list[Node] = []
    ready: list[int] = []
    while sorter.is_active():
        for place in sorter.get_ready():
            heappush(ready, place)
        place = heappop(ready)  # of those that are ready the first: the file's order where it can be kept
        sorter.done(place)
        ordered.append(graph.nodes[place])
    return ordered


class _Reader:
    """Reads protos into `Graph` objects."""

    def __init__(self, folder: Path, opsets: Mapping[str, int]) -> None:
        self.folder = folder
        self.opsets = opsets

    def read(self, proto: onnx.GraphProto, path: str, parent: Graph | None) -> Graph:
        graph = Graph(proto, path, parent)
        graph.opsets = self.opsets
        graph.folder = self.folder
        place = f" in {path!r}" if path else ""
        for tensor in proto.initializer:
            graph.constants[tensor.name] = Tensor(
                tensor, tensor.name, f"initializer {tensor.name!r}{place}", self.folder
            )
        for sparse in proto.sparse_initializer:
            graph.sparse[sparse.values.name] = sparse
        graph.inputs = tuple(
            value.name for value in proto.input if value.name not in graph.constants and value.name not in graph.sparse
        )
        for index, node in enumerate(proto.node):
            if node.op_type == "Constant" and node.domain in ("", "ai.onnx") and self._constant(node, index, graph):
                continue
            attributes: dict[str, Any] = {}
            made = Node(
                node, index, graph, attributes, self.opsets.get("" if node.domain == "ai.onnx" else node.domain, 0)
            )
            for attribute in node.attribute:
                attributes[attribute.name] = self._attribute(attribute, made)
            graph.nodes.append(made)
        graph.nodes = _sorted(graph)
        return graph

    def _constant(self, node: onnx.NodeProto, index: int, graph: Graph) -> bool:
        """Take a Constant node in as a constant; return False for a form that stays a node (sparse, malformed)."""
        tensor = constant_tensor(node)
        if tensor is None:
            return False
        where = f"Constant node {node.name or f'Constant_{index}'!r}" + (f" in {graph.path!r}" if graph.path else "")
        graph.constants[node.output[0]] = Tensor(tensor, node.output[0], where, self.folder)
        return True

    def _attribute(self, attribute: onnx.AttributeProto, node: Node) -> Any:
        kinds = onnx.AttributeProto
        here = f"{node.label}.{attribute.name}"
        match attribute.type:
            case kinds.GRAPH:
                return self.read(attribute.g, here, node.graph)
            case kinds.GRAPHS:
                return [self.read(graph, f"{here}[{i}]", node.graph) for i, graph in enumerate(attribute.graphs)]
            case kinds.TENSOR:
                return Tensor(
                    attribute.t, attribute.name, f"attribute {attribute.name!r} of node {node.label!r}", self.folder
                )
            case kinds.STRING:
                return attribute.s.decode("utf-8", "replace")
            case kinds.STRINGS:
                return [text.decode("utf-8", "replace") for text in attribute.strings]
            case kinds.INT:
                return attribute.i
            case kinds.INTS:
                return list(attribute.ints)
            case kinds.FLOAT:
                return attribute.f
            case kinds.FLOATS:
                return list(attribute.floats)
            case _:
                return attribute
