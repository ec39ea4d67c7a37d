"""The step ``flow``: what the graph shows without any image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_facechallenge.analyses.behaviour.conditions import conditions
from pytest_facechallenge.core.facts.flow import BatchFlow, FlowFacts, RandomNode
from pytest_facechallenge.onnx_graph.batch_axis import Followed, follow
from pytest_facechallenge.onnx_graph.randomness import drawn

if TYPE_CHECKING:
    from pytest_facechallenge.analyses.context import Context
    from pytest_facechallenge.onnx_graph.batch_axis import Flow

#: More entries of a kind are not listed.
MOST = 20


def gather(context: Context) -> FlowFacts:
    """Follow images, random numbers and conditions through the graph.

    Raises
    ------
    GraphError
        The model cannot be read as a graph.
    """
    graph = context.graph
    context.report("following the batch through the graph")
    followed = follow(graph)
    return FlowFacts(
        batch=tuple(_described(flow, followed) for flow in followed.flows[:MOST]),
        widths=tuple(_described(flow, followed) for flow in followed.widths[:MOST]),
        lost=followed.lost,
        uneven=followed.uneven,
        random=tuple(
            RandomNode(node=each.node.label, op=each.node.op, reaches=each.reaches)
            for each in sorted(drawn(graph), key=lambda each: not each.reaches)[:MOST]
        ),
        conditions=conditions(graph),
    )


def _described(flow: Flow, followed: Followed) -> BatchFlow:
    return BatchFlow(
        kind=flow.kind.value,
        node=flow.node,
        op=flow.op,
        what=flow.what,
        gated=flow in followed.gated,
        batches=flow.batches,
        widths=flow.widths,
        by_content=flow.by_content,
    )
