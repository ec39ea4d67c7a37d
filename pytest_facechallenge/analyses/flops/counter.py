"""Walks a graph with its shapes and adds up what every node costs, subgraphs included."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_facechallenge.analyses.flops import (
    attention,
    convolution,
    elementwise_contractions,
    products,
    recurrent,
    spectral,
)
from pytest_facechallenge.analyses.flops.hidden_work_bound import touched
from pytest_facechallenge.analyses.flops.op_cost import COUNTERS, CannotCountError, Site, Work
from pytest_facechallenge.core.facts.flops import FreeWork, Layer, Uncounted
from pytest_facechallenge.onnx_graph.control_flow import bound, branch_taken, iterations
from pytest_facechallenge.onnx_graph.ir import Graph, Node
from pytest_facechallenge.onnx_graph.operators import Kind, Trait

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_facechallenge.onnx_graph.known_shapes import Shapes

#: The modules whose import fills `COUNTERS`.
FAMILIES = (attention, convolution, products, recurrent, spectral)


@dataclass
class Tally:
    """What a graph costs.

    Attributes
    ----------
    low, high, literal, macs
        See `pytest_facechallenge.core.facts.flops.FlopsFacts`.
    once
        FLOPs of work on constants.
    touched, free
        Values that free operators of arithmetic work on, in all and by node.
    unbounded
        Free operators that touch values whose number is not known.
    """

    low: int = 0
    high: int = 0
    literal: int = 0
    macs: int = 0
    once: int = 0
    touched: int = 0
    layers: list[Layer] = field(default_factory=list)
    free: list[FreeWork] = field(default_factory=list)
    uncounted: list[Uncounted] = field(default_factory=list)
    unbounded: list[Uncounted] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def add(self, node: Node, works: list[Work], *, constant: bool) -> None:
        """Add the work of one node, done once per run of its graph."""
        if constant:
            self.once += sum(work.low for work in works)
            return
        for work in works:
            self.low += work.low
            self.high += work.high
            self.macs += work.macs
            self.literal += work.high if work.literal else 0
            self.layers.append(
                Layer(
                    node=node.label,
                    op=node.op,
                    family=work.family,
                    text=work.text,
                    low=work.low,
                    high=work.high,
                    macs=work.macs,
                    times=1,
                    literal=work.literal,
                )
            )

    def include(self, other: Tally, times: int = 1) -> None:
        """Add what another graph costs, ``times`` times."""
        self.low += other.low * times
        self.high += other.high * times
        self.literal += other.literal * times
        self.macs += other.macs * times
        self.once += other.once
        self.touched += other.touched * times
        self.free += [FreeWork(node=work.node, op=work.op, values=work.values * times) for work in other.free]
        self.layers += [
            Layer(
                node=layer.node,
                op=layer.op,
                family=layer.family,
                text=layer.text,
                low=layer.low * times,
                high=layer.high * times,
                macs=layer.macs * times,
                times=layer.times * times,
                literal=layer.literal,
            )
            for layer in (other.layers if times else ())
        ]
        self.note(other)

    def note(self, other: Tally) -> None:
        """Take over what another graph's tally says beside its figures."""
        self.uncounted += other.uncounted
        self.unbounded += other.unbounded
        self.unused += other.unused
        self.problems += other.problems
        self.remarks += other.remarks


def count(graph: Graph, shapes: Shapes, carried: Mapping[str, str] | None = None) -> Tally:
    """Add up the cost of one run of the graph.

    Parameters
    ----------
    graph
        Main graph or body of a subgraph.
    shapes
        Its shapes, from `pytest_facechallenge.onnx_graph.shapes`.
    carried
        For the body of a loop: the input that each carried output becomes in the next turn.

    Returns
    -------
    Tally
        What could not be counted stands in ``uncounted``; nothing is silently 0.
    """
    tally = Tally()
    for node in graph.nodes:
        if node.index not in graph.used:
            if not node.operator.has(Trait.FREE):
                tally.unused.append(node.label)
            continue
        if node.subgraphs or (node.operator.kind is Kind.CONTROL):
            _control(node, shapes, tally)
            continue
        counter = COUNTERS.get((node.domain, node.op))
        if counter is not None:
            _counted(node, shapes, tally)
        elif not node.operator.has(Trait.FREE):
            tally.uncounted.append(Uncounted(node=node.label, op=_full_name(node), why=_unknown(node)))
        else:
            _free(node, shapes, tally)
    for node, works in elementwise_contractions.find(graph, shapes, carried or {}):
        if isinstance(works, str):
            tally.uncounted.append(Uncounted(node=node.label, op=_full_name(node), why=works))
            continue
        constant = not shapes.depends_on_image(node.outputs[0])
        tally.add(node, works, constant=constant)
        if not constant:
            # What has been found hides no more: its products and its sum are among the values touched.
            found = sum(2 * work.macs or work.ceiling for work in works)
            tally.touched = max(0, tally.touched - found)
    return tally


def _free(node: Node, shapes: Shapes, tally: Tally) -> None:
    values = touched(node, shapes)
    if values is not None:
        tally.touched += values
        if values:
            tally.free.append(FreeWork(node=node.label, op=_full_name(node), values=values))
        return
    why = "how many values it works on depends on what is in the image, or cannot be found"
    tally.unbounded.append(Uncounted(node=node.label, op=_full_name(node), why=why))


def _full_name(node: Node) -> str:
    return f"{node.domain}.{node.op}" if node.domain else node.op


def _unknown(node: Node) -> str:
    if not node.domain:
        return f"no rule is known for what the operator {node.op} costs"
    return f"the operator {node.op} is of the operator set {node.domain!r}: what it computes is not said in the file"


def _counted(node: Node, shapes: Shapes, tally: Tally) -> None:
    constant = not any(shapes.depends_on_image(name) for name in node.outputs if name)
    try:
        works = COUNTERS[node.domain, node.op](Site(node, shapes))
    except CannotCountError as error:
        tally.uncounted.append(Uncounted(node=node.label, op=_full_name(node), why=str(error)))
        return
    except (IndexError, TypeError, ValueError, KeyError, AttributeError) as error:
        why = f"its inputs or attributes have no meaning for {node.op} ({type(error).__name__}: {error})"
        tally.uncounted.append(Uncounted(node=node.label, op=_full_name(node), why=why))
        return
    if any(work.macs == 0 and not work.ceiling for work in works):
        tally.problems.append(f"node {node.label!r} ({node.op}) works on an empty tensor: {works[0].text}")
    tally.add(node, works, constant=constant)
    if not works:  # an Einsum that multiplies element by element, say
        _free(node, shapes, tally)


def _control(node: Node, shapes: Shapes, tally: Tally) -> None:
    bodies = {
        name: count(body, shapes.body(node, name), {each.made: each.given for each in bound(node, body).carried})
        for name, body in node.subgraphs.items()
    }
    for name in bodies:
        if bodies[name].uncounted:
            bodies[name].problems += shapes.body(node, name).problems
    if node.op == "If" and set(bodies) == {"then_branch", "else_branch"}:
        _branches(node, shapes, tally, bodies["then_branch"], bodies["else_branch"])
        return
    for name, body in bodies.items():
        if not (body.layers or body.uncounted or body.touched or body.unbounded):
            tally.include(body, 0)
            continue
        runs = iterations(node, node.subgraphs[name], shapes, shapes.body(node, name))
        if runs.fewer:
            tally.remarks.append(f"{node.label!r} may stop early; all of its {runs.most} turns are counted")
        tally.include(body, 1 if runs.most is None else runs.most)
        if runs.most is None:
            tally.uncounted.append(Uncounted(node=node.label, op=_full_name(node), why=runs.why))


def _branches(node: Node, shapes: Shapes, tally: Tally, then: Tally, other: Tally) -> None:
    taken = branch_taken(node, shapes)
    if taken:
        tally.include(then if taken == "then_branch" else other)
        return
    dearer, cheaper = (then, other) if then.high >= other.high else (other, then)
    if (dearer.low, dearer.high) != (cheaper.low, cheaper.high):
        tally.remarks.append(
            f"of the branches of {node.label!r} the dearer is counted ({dearer.low:,} FLOPs; the other {cheaper.low:,})"
        )
    tally.include(dearer)
    tally.touched += max(0, cheaper.touched - dearer.touched)
    tally.note(cheaper)
