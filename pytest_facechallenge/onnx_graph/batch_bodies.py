"""The axis of the images through If, Loop and Scan."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_facechallenge.onnx_graph.batch_state import FlowKind, Following, Place, State, together
from pytest_facechallenge.onnx_graph.control_flow import bound
from pytest_facechallenge.onnx_graph.operators import Trait

if TYPE_CHECKING:
    from pytest_facechallenge.onnx_graph.ir import Graph, Node

#: Bodies of loops are followed so often: what an iteration makes is seen by the next, and by the one after it.
TURNS = 3
#: Bodies that lie deeper in one another are followed once: going through them would treble at each level.
DEEP = 3


def outputs(follower: Following, node: Node) -> list[State]:
    """Return the states of what a node with bodies makes."""
    if node.op == "If" and not node.domain:
        return _branches(follower, node)
    if node.op in ("Loop", "Scan") and not node.domain and "body" in node.subgraphs and not _old_scan(node):
        return _iterated(follower, node, node.subgraphs["body"])
    reads = [follower.state(name) for name in node.inputs]
    return [replace(together(reads), image=True).losing(node.label)] * len(node.outputs)


def _old_scan(node: Node) -> bool:
    return node.op == "Scan" and node.opset < 9


def _branches(follower: Following, node: Node) -> list[State]:
    condition = follower.state(node.inputs[0])
    taken = follower.numbers(node, 0)
    names = ["then_branch" if taken[0] else "else_branch"] if taken else ["then_branch", "else_branch"]
    bodies = [follower.body(node, name, {}) for name in names if name in node.subgraphs]
    decides = condition.image or bool(condition.sized)
    found = []
    for at in range(len(node.outputs)):
        ends = [inner.state(inner.graph.outputs[at]) for inner in bodies]
        whole = together([*ends, *([condition] if decides else [])])
        if decides:
            whole = replace(whole, gated=whole.gated | whole.flows, condition=True)
        if decides and not condition.image and _differ(bodies, at):
            flow = follower.flow(FlowKind.BRANCH, node, "computes something else for other numbers of images",
                                 batches=follower.sizes_of(condition.sized))  # fmt: skip
            whole = replace(whole.through(flow), image=True)
        found.append(_widths(follower, node, bodies, at, _placed(node, ends, whole), condition))
    return found


def _placed(node: Node, ends: list[State], whole: State) -> State:
    """Return the state with the place that all branches agree on."""
    if whole.lost:
        return whole.losing(whole.lost)
    places = {end.place for end in ends if end.image and (end.place is not None or not end.flows)}
    if len(places) > 1:
        return whole.losing(node.label)
    return whole.at(next(iter(places), None))


def _differ(bodies: list[Following], at: int) -> bool:
    """Whether two branches compute different values: not when each only gives one value another shape."""
    sources = [_source(body, body.graph.outputs[at]) for body in bodies]
    return "" in sources or len(set(sources)) > 1


def _source(body: Following, name: str) -> str:
    while name in body.graph.producers:
        node = body.graph.producers[name]
        if not (node.operator.has(Trait.VIEW) or node.op == "Cast"):
            return ""
        name = node.inputs[0]
    return name if name not in body.graph.constants else ""


def _widths(follower: Following, node: Node, bodies: list[Following], at: int, state: State, condition: State) -> State:
    """Note that the branches give different numbers of values, where a condition decides between them."""
    shapes = [body.dims(body.graph.outputs[at]) for body in bodies]
    last = {dims[-1].factor for dims in shapes if dims and dims[-1] is not None and not dims[-1].batch}
    if len(last) < 2 or not (condition.image or condition.sized):
        return state
    by = "what is in the image" if condition.image else "the number of images"
    flow = follower.flow(
        FlowKind.WIDTH, node, f"has branches of {' and '.join(map(str, sorted(last)))} values, and {by} decides",
        batches=follower.sizes_of(condition.sized) if condition.sized else (), widths=tuple(sorted(last)),
        by_content=condition.image,
    )  # fmt: skip
    return replace(state, extents=state.extents | {flow})


def _iterated(follower: Following, node: Node, body: Graph) -> list[State]:
    how = bound(node, body)
    given: dict[str, State] = {}
    single = False
    for cut in how.sliced:
        state = follower.state(cut.whole)
        dims = follower.dims(cut.whole)
        if state.place is None:
            given[cut.piece] = state
        elif dims is None or (cut.axis % len(dims) == state.place.axis and state.place.inner > 1):
            given[cut.piece] = state.losing(node.label)
        elif cut.axis % len(dims) == state.place.axis:
            given[cut.piece] = replace(state, place=None, single=True)
            single = True
        else:
            axis = state.place.axis - (cut.axis % len(dims) < state.place.axis)
            given[cut.piece] = state.at(state.place._replace(axis=axis))
    if how.iteration:
        given[how.iteration] = State()
    if how.condition:
        given[how.condition] = State()
    for outside, inside in how.passed:
        given[inside] = follower.state(outside)
    for carried in how.carried:
        given[carried.given] = follower.state(carried.start)
    ends_by = follower.state(node.inputs[1]) if node.op == "Loop" and len(node.inputs) > 1 else State()
    inner = follower.body(node, "body", given)
    for _ in range(TURNS - 1 if _depth(body) <= DEEP else 0):
        for carried in how.carried:
            made = inner.state(carried.made)
            if made.single:
                flow = follower.flow(FlowKind.OVER_ROWS, node, "carries a state from image to image of the batch")
                made = replace(made.through(flow), single=False)
            given[carried.given] = _joined(node, given[carried.given], made)
        inner = follower.body(node, "body", given)
    result: dict[str, State] = {}
    for carried in how.carried:
        end = _joined(node, given[carried.given], inner.state(carried.made))
        result[carried.end] = replace(end, single=False)
    for stacked in how.stacked:
        made = inner.state(stacked.made)
        if made.single:
            made = replace(made, single=False, place=Place(stacked.axis))
        elif made.place is not None:
            made = made.at(made.place._replace(axis=made.place.axis + (stacked.axis <= made.place.axis)))
        elif single and made.image and not made.flows:
            made = made.losing(node.label)
        result[stacked.whole] = made
    gates = ends_by.condition or (how.next_condition and inner.state(how.next_condition).image)
    found = [result.get(name, State(image=True).losing(node.label)) for name in node.outputs]
    return [replace(state, gated=state.flows) if gates else state for state in found]


def _depth(graph: Graph) -> int:
    depth, around = 0, graph.parent
    while around is not None:
        depth, around = depth + 1, around.parent
    return depth


def _joined(node: Node, before: State, made: State) -> State:
    """Return the state of what is carried: at first one thing, then another."""
    whole = together([before, made])
    if whole.lost:
        return whole.losing(whole.lost)
    places = {state.place for state in (before, made) if state.image and (state.place is not None or not state.flows)}
    return whole.losing(node.label) if len(places) > 1 else whole.at(next(iter(places), None))
