"""Small changes to nodes and graphs that unrolling needs: names, attributes, the count of a Loop, nodes that join."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from pytest_facechallenge.onnx_graph.protos import bodies


def name_nodes(graph: onnx.GraphProto) -> None:
    """Give every node without a name, in subgraphs too, the label that the graph's reader shows for it."""
    for index, node in enumerate(graph.node):
        node.name = node.name or f"{node.op_type}_{index}"
        for body in bodies(node):
            name_nodes(body)


def attribute_of(node: onnx.NodeProto, name: str, default: Any = None) -> Any:
    """Return the value of an attribute, or the default."""
    for attribute in node.attribute:
        if attribute.name == name:
            return helper.get_attribute_value(attribute)
    return default


def passes_on(body: onnx.GraphProto) -> bool:
    """Whether a Loop's body hands on the condition that it was given."""
    given, handed = body.input[1].name, body.output[0].name
    aliases = {given}
    for inner in body.node:
        if inner.op_type == "Identity" and inner.input[0] in aliases:
            aliases |= set(inner.output)
    return handed in aliases


class LoopCount:
    """How far the unrolling of a Loop has come; stands in the node as attributes while it waits.

    Attributes
    ----------
    trips
        How many there are; None before that is known.
    done
        How many are unrolled.
    scans
        Names of the scan outputs, one list per iteration.
    """

    def __init__(self, trips: int | None, done: int, scans: list[list[str]]) -> None:
        self.trips = trips
        self.done = done
        self.scans = scans

    @classmethod
    def of(cls, node: onnx.NodeProto) -> LoopCount:
        """Read the count from a node; a fresh one when it holds none."""
        trips = attribute_of(node, "unrolled_trips")
        packed = [text.decode() for text in attribute_of(node, "unrolled_scans", [])]
        scans = [text.split("\n") if text else [] for text in packed]
        return cls(trips, attribute_of(node, "unrolled_done", 0), scans)

    def write(self, node: onnx.NodeProto) -> None:
        """Write the count into a node."""
        kept = [attribute for attribute in node.attribute if not attribute.name.startswith("unrolled_")]
        del node.attribute[:]
        node.attribute.extend(kept)
        node.attribute.append(helper.make_attribute("unrolled_trips", self.trips))
        node.attribute.append(helper.make_attribute("unrolled_done", self.done))
        packed = ["\n".join(names) for names in self.scans]
        if packed:
            node.attribute.append(helper.make_attribute("unrolled_scans", packed))


def rename(node: onnx.NodeProto, names: Mapping[str, str]) -> None:
    """Rename what a node reads and writes, and what its subgraphs read from outside."""
    for field in (node.input, node.output):
        renamed = [names.get(name, name) for name in field]
        del field[:]
        field.extend(renamed)
    for body in bodies(node):
        own = {value.name for value in body.input} | {tensor.name for tensor in body.initializer}
        own |= {name for inner in body.node for name in inner.output}
        outer = {old: new for old, new in names.items() if old not in own}
        for inner in body.node:
            rename(inner, outer)
        for value in body.output:
            value.name = outer.get(value.name, value.name)


def add_constant(graph: onnx.GraphProto, name: str, value: npt.NDArray[Any]) -> None:
    """Store a value in a graph under a name."""
    graph.initializer.append(numpy_helper.from_array(value, name))


def identities(pairs: Iterable[tuple[str, str]], node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Return a node for each pair (source, target) that gives a value a second name; none for an empty target."""
    return [
        helper.make_node("Identity", [source], [target], name=f"{node.name}/{target}")
        for source, target in pairs
        if target
    ]


def stacking(
    graph: onnx.GraphProto, names: list[str], target: str, axis: int, label: str, *, as_input: bool
) -> list[onnx.NodeProto]:
    """Return the nodes that stack values along a new axis.

    Parameters
    ----------
    as_input
        Whether Unsqueeze takes its axes as an input, which is then stored in the graph.
    """
    nodes, lifted = [], []
    axes = f"{target}/axes"
    if as_input:
        add_constant(graph, axes, np.array([axis], np.int64))
    for name in names:
        lifted.append(f"{name}/{target}/lifted")
        made = helper.make_node("Unsqueeze", [name], [lifted[-1]], name=lifted[-1])
        if as_input:
            made.input.append(axes)
        else:
            made.attribute.append(helper.make_attribute("axes", [axis]))
        nodes.append(made)
    nodes.append(helper.make_node("Concat", lifted, [target], name=f"{label}/{target}", axis=axis))
    return nodes
