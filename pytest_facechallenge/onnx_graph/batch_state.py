"""What is known of a value when the axis of the images is followed through a graph."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum, unique
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_facechallenge.onnx_graph.batch_shapes import Dims
    from pytest_facechallenge.onnx_graph.ir import Graph, Node
    from pytest_facechallenge.onnx_graph.sizes import Sizes


@unique
class FlowKind(StrEnum):
    """How one image's result can come to depend on the batch it is in."""

    OVER_ROWS = "over-rows"  # images are summed up, sorted or normalised together, or a state is carried along them
    PAIRS = "pairs"  # each image meets each other one
    MOVED = "moved"  # an image gets what stands at another place of the batch
    SIZE = "size"  # the number of images is computed with
    BRANCH = "branch"  # the number of images decides what is computed
    WIDTH = "width"  # the number of images, or what is in them, decides how many values there are


@dataclass(frozen=True)
class Flow:
    """One node at which it happens.

    Attributes
    ----------
    kind, node, op
        See `FlowKind`; the node's label and operator.
    what
        The rest of a sentence that begins with the node.
    batches
        Batch sizes that show it, where a number of images is computed with: the smallest for each result.
    widths
        Of a decided width: those that the branches give.
    by_content
        Of a decided width: whether what is in an image decides.
    """

    kind: FlowKind
    node: str
    op: str
    what: str
    batches: tuple[int, ...] = ()
    widths: tuple[int, ...] = ()
    by_content: bool = False


class Place(NamedTuple):
    """Where the images lie: element ``i`` of the axis belongs to image ``i // inner % N``.

    ``moved`` names the node after which the images no longer lie so, but at other places of the batch; "" before.
    """

    axis: int
    inner: int = 1
    moved: str = ""


@dataclass(frozen=True)
class State:
    """What is known of a value.

    Attributes
    ----------
    image
        Whether its content is computed from images.
    place
        Where the images lie in it, each element computed from its own image and from what ``flows`` say; None where
        it has no such axis.
    single
        Whether it is computed from one image: a piece cut along the axis of the images.
    lost
        The node after which the images could not be followed; "" when they were.
    flows, gated
        Indices of the flows that are in it; those of them that went through a condition.
    condition
        Whether it is a choice: made by comparing, or by a branch.
    sized
        Of a value that is not computed from images: a small value, computed from the batch size, that it is made of.
    extents
        Indices of the flows that decide how large it is.
    """

    image: bool = False
    place: Place | None = None
    single: bool = False
    lost: str = ""
    flows: frozenset[int] = frozenset()
    gated: frozenset[int] = frozenset()
    condition: bool = False
    sized: str = ""
    extents: frozenset[int] = frozenset()

    def at(self, place: Place | None) -> State:
        """Return the same with the images at another place."""
        return replace(self, place=place)

    def losing(self, node: str) -> State:
        """Return the same, not followed from ``node`` on."""
        return replace(self, place=None, single=False, lost=self.lost or node)

    def through(self, flow: int) -> State:
        """Return the same with another flow in it."""
        return replace(self, flows=self.flows | {flow})


def together(states: list[State]) -> State:
    """Return what a value made of all of these is, its place left open."""
    gates = any(state.condition for state in states)
    flows = frozenset().union(*(state.flows for state in states))
    return State(
        image=any(state.image for state in states),
        single=any(state.single for state in states),
        lost=next((state.lost for state in states if state.lost), ""),
        flows=flows,
        gated=flows if gates else frozenset().union(*(state.gated for state in states)),
        condition=False,
        sized=next((state.sized for state in states if state.sized), ""),
        extents=frozenset().union(*(state.extents for state in states)),
    )


class Following(Protocol):
    """What the rules ask of whoever follows the images through a graph; `batch_axis.Follower` does.

    Attributes
    ----------
    graph, sizes
        The graph, and what it computes from sizes.
    """

    graph: Graph
    sizes: Sizes

    def state(self, name: str) -> State:
        """Return what is known of a value, seen from this graph."""
        ...

    def dims(self, name: str) -> Dims | None:
        """Return the extents of a value; None when its shape is not known."""
        ...

    def numbers(self, node: Node, position: int) -> list[int] | None:
        """Return the whole numbers in an input that do not depend on the batch; None when they are not known."""
        ...

    def flow(self, kind: FlowKind, node: Node, what: str, **more: object) -> int:
        """Note a flow and return its index."""
        ...

    def body(self, node: Node, attribute: str, given: Mapping[str, State]) -> Following:
        """Follow the images through a subgraph whose inputs are in these states."""
        ...

    def sizes_depend(self, name: str) -> bool:
        """Return whether a value that was computed from sizes changes with the number of images."""
        ...

    def sizes_of(self, name: str) -> tuple[int, ...]:
        """Return batch sizes that show each content of a value that was computed from sizes."""
        ...
