"""Writes the network down as a list of nodes and what each reads from (step ``outline``)."""

from __future__ import annotations

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.core.facts.outline import INPUT, OUTPUT, OutlineFacts, OutlineNode
from pytest_facechallenge.onnx_graph.ir import Graph, outer_reads

#: A network of more nodes is not written down: it would make most of a report (about 60 bytes a node).
MOST_NODES = 5_000
#: The same for one with names of more characters all together.
MOST_CHARACTERS = 500_000


def gather(context: Context) -> OutlineFacts:
    """Return the outline of the graph, local functions inlined."""
    return outline_of(context.graph)


def outline_of(graph: Graph) -> OutlineFacts:
    """Return the outline of a graph; only how many nodes it has where these are too many to be written down."""
    nodes = list(graph.walk())
    number = len(graph.inputs) + len(nodes) + len(graph.outputs)
    if number > MOST_NODES or sum(len(node.label) for node in nodes) > MOST_CHARACTERS:
        return OutlineFacts(left_out=number)
    found = [OutlineNode(name, INPUT) for name in graph.inputs]
    #: Where each value of a graph comes from; every graph has names of its own.
    made: dict[int, dict[str, int]] = {id(graph): {name: place for place, name in enumerate(graph.inputs)}}
    for node in nodes:
        read = {_source(made, node.graph, name) for name in {*node.inputs, *outer_reads(node)}}
        for inner in node.subgraphs.values():
            # What a body is given comes from the node that holds it, whichever of its inputs that is.
            made[id(inner)] = dict.fromkeys(inner.inputs, len(found))
        made.setdefault(id(node.graph), {}).update(dict.fromkeys(node.outputs, len(found)))
        found.append(OutlineNode(node.label, node.op, tuple(sorted(place for place in read if place is not None))))
    ends = [(name, _source(made, graph, name)) for name in graph.outputs]
    found += [OutlineNode(name, OUTPUT, () if source is None else (source,)) for name, source in ends]
    return OutlineFacts(nodes=tuple(found))


def _source(made: dict[int, dict[str, int]], graph: Graph | None, name: str) -> int | None:
    """Return the position of what makes a value, looking through the graphs around; None for a constant."""
    while name and graph is not None:
        place = made.get(id(graph), {}).get(name)
        if place is not None:
            return place
        graph = graph.parent
    return None
