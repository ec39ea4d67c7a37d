"""From a graph to the kernel launches of a GPU runtime: how many, how much arithmetic, how many bytes.

It mirrors what onnxruntime's CUDA provider does with such graphs at its default optimisation level: constants and work
on sizes are folded or done on the host, views cost nothing, a BatchNormalization behind a convolution is folded into
it, the bias of a convolution is a launch of its own, every other node is one launch. Of an If whose condition is the
same for every image the branch that is taken counts; other bodies, and operators that are not known, are problems.
"""

from __future__ import annotations

from collections import Counter
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest_facechallenge.analyses.flops.counter  # noqa: F401  # importing it fills COUNTERS
from pytest_facechallenge.analyses.flops.op_cost import COUNTERS, CannotCountError, Site
from pytest_facechallenge.analyses.latency.data_dependent_work import decided_by_image
from pytest_facechallenge.core.facts.latency import LaunchFacts, LaunchGroup, LaunchKind
from pytest_facechallenge.onnx_graph.control_flow import branch_taken
from pytest_facechallenge.onnx_graph.operators import Kind, Trait
from pytest_facechallenge.onnx_graph.shapes import infer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_facechallenge.analyses.context import Context
    from pytest_facechallenge.onnx_graph.ir import Graph, Node
    from pytest_facechallenge.onnx_graph.known_shapes import Shapes

#: Every tensor is taken as float32, which is what the challenges require of weights.
BYTES = 4


class Launch(NamedTuple):
    """One launch; see `LaunchGroup`."""

    kind: LaunchKind
    flops: int
    bytes: int
    outputs: int = 0


def gather(context: Context) -> LaunchFacts:
    """Find the launches of the submission."""
    return facts_of(context.graph)


def facts_of(graph: Graph) -> LaunchFacts:
    """Find the launches that one image takes in a main graph, local functions inlined."""
    shapes = infer(graph, batch=1)
    found: Counter[Launch] = Counter()
    problems: dict[str, None] = {}
    _count(graph, shapes, found, problems)
    groups = [LaunchGroup(**launch._asdict(), count=count) for launch, count in sorted(found.items())]
    varying = tuple(dict.fromkeys(decided_by_image(graph, shapes)))
    return LaunchFacts(groups=tuple(groups), problems=tuple(problems), varying=varying)


def _count(graph: Graph, shapes: Shapes, found: Counter[Launch], problems: dict[str, None]) -> None:
    """Add the launches of a graph, and of the bodies that are known to run once."""
    for node in graph.nodes:
        if _is_free(node, graph, shapes):
            continue
        label = f"node {node.label!r} ({node.op})"
        if node.subgraphs:
            taken = branch_taken(node, shapes)
            if taken:
                _count(node.subgraphs[taken], shapes.body(node, taken), found, problems)
            else:
                problems[f"{label} has a body whose turns cannot be told from the graph"] = None
            continue
        try:
            found.update(_launches(node, graph, shapes))
        except CannotCountError as error:
            problems[f"{label}: {error}"] = None


def _is_free(node: Node, graph: Graph, shapes: Shapes) -> bool:
    if node.operator.has(Trait.VIEW):
        return True
    if not any(name and shapes.depends_on_image(name) for name in node.outputs):
        return True
    return _folded(node, graph)


def _folded(node: Node, graph: Graph) -> bool:
    """Whether a BatchNormalization disappears into the convolution before it."""
    if node.op != "BatchNormalization" or node.domain:
        return False
    before = graph.producers.get(node.inputs[0])
    if before is None or before.op != "Conv" or before.outputs[0] in graph.outputs:
        return False
    return len(graph.consumers.get(before.outputs[0], [])) == 1


def _launches(node: Node, graph: Graph, shapes: Shapes) -> Iterator[Launch]:
    counter = COUNTERS.get((node.domain, node.op))
    if counter is None and not node.operator.has(Trait.FREE):
        raise CannotCountError(f"what this operator of the set {node.domain or 'ai.onnx'!r} does is not known")
    site = Site(node, shapes)
    written = sum(prod(site.output(i)) for i, name in enumerate(node.outputs) if name)
    read = sum(prod(site.input(i)) for i, name in enumerate(node.inputs) if name)
    if counter is None:
        yield Launch(_light_kind(node), 4 * max(read, written), (read + written) * BYTES)
        return
    flops = sum(2 * work.macs + work.extra for work in counter(site))
    kind = _heavy_kind(node, site)
    yield Launch(kind, flops, (read + written) * BYTES, written if kind == "conv" else 0)
    if node.op == "Conv" and (site.has(2) or _has_folded_bias(node, graph)):
        yield Launch("pointwise", written, 2 * written * BYTES)


def _has_folded_bias(node: Node, graph: Graph) -> bool:
    return any(_folded(reader, graph) for reader in graph.consumers.get(node.outputs[0], []))


def _heavy_kind(node: Node, site: Site) -> LaunchKind:
    if node.op in ("Conv", "ConvTranspose"):
        return "depthwise" if site.attribute("group", 1) > 1 else "conv"
    if node.op == "Gemm":
        return "gemm"
    return "matmul" if node.op in ("MatMul", "Einsum", "Attention") else "other"


def _light_kind(node: Node) -> LaunchKind:
    if node.op == "BatchNormalization":
        return "pointwise"
    if node.operator.kind in (Kind.NORMALISING, Kind.POOLING):
        return "reduction"
    return "movement" if node.operator.kind in (Kind.LAYOUT, Kind.MOVING, Kind.ABOUT_SHAPE) else "pointwise"


def count_launches(name: str) -> LaunchFacts:
    """Build a reference network and find its launches anew; up to 10 s and 1.5 GB for the largest."""
    from pytest_facechallenge.onnx_graph.ir import from_model
    from pytest_facechallenge.refnets.registry import build

    return facts_of(from_model(build(name), Path()))
