"""Follow the axis along which images lie through a graph, whatever their number and whatever is in them.

A graph shows which nodes sum up, compare, sort, move or count the images of a batch, and whether what they give
reaches the output. Nothing is run. A place is kept exactly (an axis, and how many elements of an image lie side by
side in it), so that images folded into tokens, channels or windows and back are followed. What is not followed is
called so, and proves nothing. Nothing here judges.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_facechallenge.onnx_graph import batch_bodies, batch_moves, batch_products, batch_rules
from pytest_facechallenge.onnx_graph.batch_growth import ONE_EACH, grows
from pytest_facechallenge.onnx_graph.batch_shapes import BatchShapes, Dims
from pytest_facechallenge.onnx_graph.batch_state import Flow, FlowKind, Place, State, together
from pytest_facechallenge.onnx_graph.operators import Along, Trait
from pytest_facechallenge.onnx_graph.sizes import COMPARING, Sizes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_facechallenge.onnx_graph.ir import Graph, Node

__all__ = ["Flow", "FlowKind", "Followed", "Follower", "Place", "State", "follow"]

_RULES = batch_rules.RULES | batch_products.RULES | batch_moves.RULES


@dataclass(frozen=True)
class Followed:
    """What following the images showed.

    Attributes
    ----------
    flows
        Those that are in an output; first those that need no condition.
    gated
        Those of them that reach it through a condition alone.
    widths
        What decides how many values the first output has for an image.
    lost
        The node after which the images could not be followed; "" when they were, to every output.
    uneven
        Whether the first output has something else than one row for each image, or some value on the way does not grow
        with their number, as one does that meets a stored row for each of four images.
    """

    flows: tuple[Flow, ...] = ()
    gated: frozenset[Flow] = frozenset()
    widths: tuple[Flow, ...] = ()
    lost: str = ""
    uneven: bool = False

    @property
    def apart(self) -> bool:
        """Whether this shows that no image reaches another one's row, nor their number any value."""
        return not (self.flows or self.widths or self.lost or self.uneven)


def follow(graph: Graph) -> Followed:
    """Follow the images from the first input of a main graph, local functions inlined, to its outputs."""
    shapes = BatchShapes.of(graph)
    if shapes is None:
        return Followed(lost="the input: the model cannot be evaluated at several batch sizes")
    dims = shapes.dims(graph.inputs[0]) if graph.inputs else None
    if not dims or dims[0] is None or not dims[0].batch:
        return Followed(lost="the input: it has no axis for a batch")
    follower = Follower(shapes, Sizes(shapes), [])
    for name in graph.inputs:
        follower.states[name] = State(image=True, lost="" if name == graph.inputs[0] else f"the input {name!r}")
    follower.states[graph.inputs[0]] = State(image=True, place=Place(0))
    follower.run()
    return _reached(follower)


def _reached(follower: Follower) -> Followed:
    ends = [follower.state(name) for name in follower.graph.outputs]
    moved = [
        follower.flow(FlowKind.MOVED, _named(follower.graph, end.place.moved),
                      "gives an image what belongs to another place of the batch")
        for end in ends if end.place is not None and end.place.moved
    ]  # fmt: skip
    found = frozenset(moved).union(*(end.flows for end in ends))
    through = frozenset().union(*(end.gated for end in ends))
    flows = [follower.flows[index] for index in sorted(found, key=lambda index: (index in through, index))]
    return Followed(
        flows=tuple(flow for flow in flows if flow.kind is not FlowKind.WIDTH),
        gated=frozenset(follower.flows[index] for index in found & through),
        widths=tuple(follower.flows[index] for index in sorted(ends[0].extents)) if ends else (),
        lost=next((end.lost for end in ends if end.lost), ""),
        uneven=bool(follower.unsized) or not _one_row_each(follower),
    )


def _one_row_each(follower: Follower) -> bool:
    """Whether the first output has one row for each image."""
    first = next(iter(follower.graph.outputs), "")
    dims = follower.dims(first) or (None,)
    return dims[0] == ONE_EACH and follower.state(first).place == Place(0)


def _named(graph: Graph, label: str) -> Node:
    return next(node for node in graph.walk() if node.label == label)


class Follower:
    """Follows the images through one graph.

    Parameters
    ----------
    shapes, sizes
        Of the graph.
    flows
        Collects the flows of the whole model; states hold indices into it.
    outer
        The states of the graph around it.
    """

    def __init__(self, shapes: BatchShapes, sizes: Sizes, flows: list[Flow], outer: Follower | None = None) -> None:
        self.shapes = shapes
        self.sizes = sizes
        self.flows = flows
        self.outer = outer
        self.graph: Graph = shapes.graph
        self.states: dict[str, State] = {}
        #: Values whose extent along the axis of the images is not known to be a number times the batch.
        self.unsized: list[str] = outer.unsized if outer is not None else []

    def run(self) -> None:
        """Find the state of every value."""
        for node in self.graph.nodes:
            for name, state in zip(node.outputs, self._outputs(node), strict=True):
                if name:
                    self.states[name] = state
                    if state.place is not None and not grows(self, node, name, state.place):
                        self.unsized.append(name)

    def state(self, name: str) -> State:
        """Return what is known of a value, seen from this graph."""
        if not name:
            return State()
        if name in self.states:
            return self.states[name]
        own = name in self.graph.constants or name in self.graph.producers or name in self.graph.inputs
        return self.outer.state(name) if self.outer is not None and not own else State()

    def dims(self, name: str) -> Dims | None:
        """Return the extents of a value; see `BatchShapes`."""
        return self.shapes.dims(name)

    def numbers(self, node: Node, position: int) -> list[int] | None:
        """Return the whole numbers in an input that do not depend on the batch; None when they are not known."""
        if position >= len(node.inputs) or not node.inputs[position]:
            return None
        found = self.sizes.content(node.inputs[position])
        if found is None or found.counted.any():
            return None
        return [int(number) for number in found.values.ravel()]

    def flow(self, kind: FlowKind, node: Node, what: str, **more: object) -> int:
        """Note a flow and return its index."""
        made = replace(Flow(kind, node.label, node.op, what), **more)  # type: ignore[arg-type]
        known = [index for index, flow in enumerate(self.flows) if (flow.kind, flow.node) == (kind, node.label)]
        if known:
            return known[0]
        self.flows.append(made)
        return len(self.flows) - 1

    def body(self, node: Node, attribute: str, given: Mapping[str, State]) -> Follower:
        """Follow the images through a subgraph whose inputs are in these states."""
        shapes = self.shapes.body(node, attribute)
        inner = Follower(shapes, Sizes(shapes, self.sizes), self.flows, self)
        inner.states |= given
        inner.run()
        return inner

    def _outputs(self, node: Node) -> list[State]:
        if node.subgraphs:
            return batch_bodies.outputs(self, node)
        inputs = [self._read(node, at) for at in range(len(node.inputs))]
        along = node.operator.along
        if along is Along.NOTHING and any(inputs[at].image for at in node.operator.sizes if at < len(inputs)):
            return self._spread(node, batch_moves.sized(self, node, together(inputs)))  # made as large as they say
        if not any(state.image for state in inputs) or along in (Along.SIZES, Along.NOTHING):
            return [self._unseen(node, name, inputs) for name in node.outputs]
        rule = _RULES.get(along if along is not Along.OWN else node.op)
        whole = together(inputs if rule is None else self._met(node, inputs))
        if whole.lost or rule is None:
            return [whole.losing(whole.lost or node.label)] * len(node.outputs)
        made = rule(self, node, inputs, whole)
        if node.op in COMPARING or node.operator.has(Trait.PARTS):
            made = replace(made, condition=True)
        if node.op in _KEEPING:
            made = replace(made, condition=any(state.condition for state in inputs))
        return self._spread(node, batch_moves.sized(self, node, made))

    def _read(self, node: Node, position: int) -> State:
        """Return the state of an input; an index that counts images says where they lie, and is no value yet."""
        state = self.state(node.inputs[position])
        if position not in node.operator.chooses or node.op == "Where" or not state.flows:
            return state
        kept = frozenset(index for index in state.flows if self.flows[index].kind is not FlowKind.SIZE)
        return replace(state, flows=kept, gated=state.gated & kept)

    def _spread(self, node: Node, made: State) -> list[State]:
        """Return the state of every output, which differ for recurrent layers alone."""
        if node.operator.along is Along.RECURRENT and made.place is not None:
            place = made.place
            batch_first = bool(node.attributes.get("layout", 0))
            return [made if batch_first else made.at(place._replace(axis=2 if at == 0 else 1))
                    for at in range(len(node.outputs))]  # fmt: skip
        return [made] * len(node.outputs)

    def _unseen(self, node: Node, name: str, inputs: list[State]) -> State:
        """Return the state of a value that holds nothing of the images but their number."""
        lost = next((state.lost for state in inputs if state.image and state.lost), "")
        if node.operator.along is Along.SIZES and node.inputs and self.dims(node.inputs[0]) is None:
            # How large something is that depends on what is in the images shows something of them.
            return State(image=True, lost=lost or node.label)
        found = self.sizes.content(name)
        if found is not None:
            return State(sized=name if found.counted.any() else "", condition=found.compared)
        if any(state.sized and self.sizes_depend(state.sized) for state in inputs):
            self.unsized.append(name)  # the number of images is in it, and it is too large to be followed
        if node.operator.along is Along.NOTHING:
            return State()
        steering = node.operator.steers
        kept = [state for at, state in enumerate(inputs) if at not in steering]
        return replace(together(kept), condition=any(state.condition for state in kept))

    def _met(self, node: Node, inputs: list[State]) -> list[State]:
        """Return the inputs that become part of the result; note where the number of images does."""
        steering = node.operator.steers | node.operator.chooses
        states = [state for at, state in enumerate(inputs) if at not in steering or state.image]
        if node.op == "Where":
            states = inputs
        met = []
        for state in states:
            if not state.image and state.sized and self.sizes_depend(state.sized):
                batches = self.sizes_of(state.sized)
                flow = self.flow(FlowKind.SIZE, node, f"computes with the number of images ({state.sized!r})",
                                 batches=batches)  # fmt: skip
                state = state.through(flow)
            met.append(state)
        return met

    def sizes_depend(self, name: str) -> bool:
        """Return whether a value that was computed from sizes changes with the number of images."""
        return self._owner(name).depends_on_batch(name)

    def sizes_of(self, name: str) -> tuple[int, ...]:
        """Return batch sizes that show each content of a value that was computed from sizes."""
        return self._owner(name).deciding_batches(name)

    def _owner(self, name: str) -> Sizes:
        follower: Follower = self
        while follower.outer is not None and name not in follower.graph.producers:
            follower = follower.outer
        return follower.sizes


_KEEPING = frozenset({"Cast", "Identity", "Not", "And", "Or", "Unsqueeze", "Squeeze", "Reshape", "Transpose", "Expand"})
