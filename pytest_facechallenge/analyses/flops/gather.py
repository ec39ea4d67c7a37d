"""The gathering function of the step ``flops``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_facechallenge.analyses.flops.counter import count
from pytest_facechallenge.analyses.flops.op_cost import extents
from pytest_facechallenge.core.facts.flops import FlopsFacts
from pytest_facechallenge.onnx_graph.shapes import infer

if TYPE_CHECKING:
    from pytest_facechallenge.analyses.context import Context
    from pytest_facechallenge.onnx_graph.ir import Graph

#: How many of the largest nodes of free work are kept.
MOST_FREE = 8

FLOATS = frozenset({"float", "double", "float16", "bfloat16"})


def gather(context: Context) -> FlopsFacts:
    """Count what one image costs; see `FlopsFacts`."""
    return facts_of(context.graph)


def facts_of(graph: Graph) -> FlopsFacts:
    """Count what one image costs in a main graph, local functions inlined."""
    shapes = infer(graph, batch=1)
    tally = count(graph, shapes)
    families: dict[str, int] = {}
    for layer in tally.layers:
        families[layer.family] = families.get(layer.family, 0) + layer.low
    inputs = ((name, shapes.shape(name)) for name in graph.inputs)
    return FlopsFacts(
        image=", ".join(f"{name} {'of unknown shape' if shape is None else extents(shape)}" for name, shape in inputs),
        batch=shapes.batch,
        low=tally.low,
        high=tally.high,
        literal=tally.literal,
        macs=tally.macs,
        parameters=parameters(graph),
        layers=tuple(sorted(tally.layers, key=lambda layer: -layer.low)),
        families=dict(sorted(families.items(), key=lambda item: -item[1])),
        uncounted=tuple(tally.uncounted or tally.unbounded),
        once=tally.once,
        touched=tally.touched,
        free=tuple(sorted(tally.free, key=lambda work: -work.values)[:MOST_FREE]),
        unused=tuple(tally.unused),
        assumed=tuple(shapes.assumed),
        problems=tuple(
            dict.fromkeys(
                [*shapes.unsound, *(shapes.problems if tally.uncounted or tally.unbounded else ()), *tally.problems]
            )
        ),
        remarks=tuple(dict.fromkeys(tally.remarks)),
    )


def parameters(graph: Graph) -> int:
    """Return how many learned numbers the file holds.

    Floating-point constants of all graphs; running means and variances of BatchNormalization are left out, as training
    frameworks do, and single numbers (the mean and scale of a normalised input).
    """
    total = 0
    for inner in graph.walk_graphs():
        running = {name for node in inner.nodes if node.op == "BatchNormalization" for name in node.inputs[3:5]}
        total += sum(
            t.size for name, t in inner.constants.items() if t.dtype in FLOATS and t.size > 1 and name not in running
        )
    return total
