"""Conditions on the image, read from the graph: each names the values whose difference decides it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_facechallenge.analyses.behaviour.growth import growing
from pytest_facechallenge.core.facts.flow import Condition
from pytest_facechallenge.onnx_graph.operators import Kind, names
from pytest_facechallenge.onnx_graph.sizes import COMPARING

if TYPE_CHECKING:
    from pytest_facechallenge.onnx_graph.ir import Graph, Node

#: So many conditions of a kind are looked at; more of them in one network are its way of computing, and no exception.
MOST = 24
#: So many nodes are gone back to show that a number is never negative.
DEEPEST = 40
#: Operators that give no number below zero.
_BELOW_ZERO = frozenset({"Sqrt", "Log", "Pow"})
#: Others that give none, or infinity, for some of what they may be given.
_BEYOND = frozenset({"Exp", "Acos", "Asin", "Atanh", "Acosh"})
_NEVER_NEGATIVE = frozenset(
    {"Abs", "Exp", "Sigmoid", "Relu", "Softmax", "Softplus", "HardSigmoid", "ReduceL1", "ReduceL2", "ReduceSumSquare"}
    | {"Sqrt", "Shape", "Size", "GlobalLpPool", "LpPool", "Hardmax"}
)
_KEEPING_SIGN = names(Kind.LAYOUT) | frozenset(
    {"ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "GlobalAveragePool", "AveragePool", "MaxPool"}
    | {"GlobalMaxPool", "Cast", "Identity", "Slice", "Gather", "Expand", "Tile", "Dropout", "Split"}
)
_SUMS = frozenset({"Add", "Mul", "Div", "Sum", "Concat", "Where"})


def conditions(graph: Graph) -> tuple[Condition, ...]:
    """Return the conditions on the image in the main graph, on the way to an output, first those nearest to it."""
    seen: set[str] = set(graph.inputs)
    signs: dict[str, bool] = {}
    found: list[Condition] = []
    for node in graph.nodes:
        if not seen.intersection(node.inputs) or node.op in ("Shape", "Size"):
            continue
        seen.update(node.outputs)
        if node.index not in graph.used or node.domain:
            continue
        if node.op in COMPARING or node.op in ("Sign", "Floor", "Ceil", "Round"):
            kept = node.inputs[:2] if node.op in COMPARING else node.inputs[:1]
            found.append(Condition(node=node.label, op=node.op, kind="choice", margin=tuple(kept)))
        else:
            name = _undefined_for(graph, node, signs)
            if name:
                found.append(Condition(node=node.label, op=node.op, kind="domain", margin=(name,)))
    grown = [Condition(node=node.label, op=node.op, kind="growth", margin=(name,)) for node, name in growing(graph)]
    return (*found[:MOST], *grown[:MOST])  # one kind does not crowd the other out


def _undefined_for(graph: Graph, node: Node, signs: dict[str, bool]) -> str:
    """Return the input for some of whose values a node gives no finite number; "" where the graph excludes them."""
    first = node.inputs[0] if node.inputs else ""
    if node.op in _BELOW_ZERO:
        return "" if _whole_power(node) or never_negative(graph, first, signs) else first
    if node.op in ("Div", "Reciprocal"):
        below = node.inputs[-1]
        return "" if graph.constant(below) is not None or never_negative(graph, below, signs) else below
    if node.op == "Exp":
        return "" if _never_above_zero(graph, first, signs) else first
    return first if node.op in _BEYOND else ""


def _never_above_zero(graph: Graph, name: str, signs: dict[str, bool]) -> bool:
    """Whether a value is the negative of one that is never negative, or is less its own largest."""
    node = graph.producers.get(name)
    if node is None:
        return False
    if node.op == "Neg":
        return never_negative(graph, node.inputs[0], signs)
    largest = graph.producers.get(node.inputs[1]) if node.op == "Sub" else None
    return largest is not None and largest.op == "ReduceMax" and largest.inputs[0] == node.inputs[0]


def _whole_power(node: Node) -> bool:
    if node.op != "Pow":
        return False
    power = node.constant(1)
    return power is not None and bool(np.all(power == np.round(power)))


def never_negative(graph: Graph, name: str, known: dict[str, bool], depth: int = DEEPEST) -> bool:
    """Return whether the graph alone shows that a value is never below zero; False where it does not show it.

    ``known`` keeps what was found.
    """
    if name not in known:
        known[name] = False
        known[name] = _not_negative(graph, name, known, depth - 1)
    return known[name]


def _not_negative(graph: Graph, name: str, known: dict[str, bool], depth: int) -> bool:
    constant = graph.constant(name)
    if constant is not None:
        return constant.dtype != "string" and bool(np.all(constant.array() >= 0))
    node = graph.producers.get(name)
    if node is None or depth == 0:
        return False
    if node.op in _NEVER_NEGATIVE or (node.op == "Mul" and len(set(node.inputs)) == 1):
        return True
    if node.op == "Pow":
        power = node.constant(1)
        even = power is not None and bool(np.all(power % 2 == 0))
        return even or never_negative(graph, node.inputs[0], known, depth)
    if node.op == "Clip":
        low = node.attributes.get("min") if "min" in node.attributes else node.constant(1)
        return low is not None and bool(np.all(np.asarray(low) >= 0))
    parts = [each for each in node.inputs if each]
    if node.op == "Max":
        return any(never_negative(graph, each, known, depth) for each in parts)
    if node.op in _KEEPING_SIGN:
        return never_negative(graph, parts[0], known, depth)
    if node.op in _SUMS:
        return all(never_negative(graph, each, known, depth) for each in parts[node.op == "Where" :])
    return False
