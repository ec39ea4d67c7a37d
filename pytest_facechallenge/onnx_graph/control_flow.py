"""If, Loop, Scan and SequenceMap: how what is inside hangs together with what is around, said once.

Whoever follows a graph (shapes, weights, costs, unrolling) asks here which value of a body is which value outside,
what is carried from iteration to iteration, what ends a loop, and how many iterations there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from pytest_facechallenge.onnx_graph.operators import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from pytest_facechallenge.onnx_graph.ir import Graph, Node

#: A Loop that may stop early is taken to run its greatest number of iterations up to here; exporters write "as long as
#: needed" as a far greater one.
MOST_ITERATIONS = 1_000_000


class Carried(NamedTuple):
    """A value that goes from iteration to iteration: where it comes from, its names inside, what it is at the end."""

    start: str
    given: str
    made: str
    end: str


class Sliced(NamedTuple):
    """A value that is cut along an axis, one piece for each iteration (from a sequence: one entry)."""

    whole: str
    piece: str
    axis: int
    backwards: bool


class Stacked(NamedTuple):
    """A value of every iteration, put together along a new axis (into a sequence: as its entries)."""

    made: str
    whole: str
    axis: int
    backwards: bool


@dataclass(frozen=True)
class Binding:
    """How the inputs and outputs of a body are bound to those of the node around it. Names are "" where there is none.

    Attributes
    ----------
    iteration, condition
        Inputs of a Loop's body: the number of the iteration, whether the loop goes on.
    next_condition
        The output of a Loop's body that says whether it goes on.
    carried, sliced, stacked
        See there.
    passed
        (outside, inside) of inputs that every iteration gets whole.
    results
        (inside, outside) of the outputs of a branch.
    """

    iteration: str = ""
    condition: str = ""
    next_condition: str = ""
    carried: tuple[Carried, ...] = ()
    sliced: tuple[Sliced, ...] = ()
    stacked: tuple[Stacked, ...] = ()
    passed: tuple[tuple[str, str], ...] = ()
    results: tuple[tuple[str, str], ...] = ()

    def inputs(self) -> list[tuple[str, str]]:
        """Return (outside, inside) for every input of the body that comes from an input of the node, in its order."""
        return [
            *((each.start, each.given) for each in self.carried),
            *((each.whole, each.piece) for each in self.sliced),
            *self.passed,
        ]

    def outputs(self) -> list[tuple[str, str]]:
        """Return (inside, outside) for every output of the body that becomes one of the node, in its order."""
        return [
            *((each.made, each.end) for each in self.carried),
            *((each.made, each.whole) for each in self.stacked),
            *self.results,
        ]


class Ends(NamedTuple):
    """What binds: names of inputs and outputs, of a node or of a body."""

    inputs: Sequence[str]
    outputs: Sequence[str]


def binding(op: str, opset: int, node: Ends, body: Ends, attributes: Mapping[str, Any]) -> Binding:
    """Return how a body hangs together with its node.

    Parameters
    ----------
    op, opset
        Of the node; of an operator that is not known as control flow only the outputs are bound.
    attributes
        Decoded; those of Scan are read.
    """
    match op:
        case "If":
            return Binding(results=tuple(zip(body.outputs, node.outputs, strict=False)))
        case "Loop":
            return _of_loop(node, body)
        case "Scan":
            return _of_scan(opset, node, body, attributes)
        case "SequenceMap":
            entries = zip(node.inputs[:1], body.inputs, strict=False)
            results = zip(body.outputs, node.outputs, strict=False)
            return Binding(
                sliced=tuple(Sliced(whole, piece, 0, False) for whole, piece in entries),
                stacked=tuple(Stacked(made, whole, 0, False) for made, whole in results),
                passed=tuple(zip(node.inputs[1:], body.inputs[1:], strict=False)),
            )
        case _:
            return Binding(results=tuple(zip(body.outputs, node.outputs, strict=False)))


def _of_loop(node: Ends, body: Ends) -> Binding:
    number = min(len(body.inputs), len(node.inputs)) - 2
    carried = zip(node.inputs[2:], body.inputs[2:], _filled(body.outputs[1:], number), _filled(node.outputs, number),
                  strict=False)  # fmt: skip
    stacked = zip(body.outputs[1 + max(0, number) :], node.outputs[max(0, number) :], strict=False)
    return Binding(
        iteration=body.inputs[0] if body.inputs else "",
        condition=body.inputs[1] if len(body.inputs) > 1 else "",
        next_condition=body.outputs[0] if body.outputs else "",
        carried=tuple(Carried(*names) for names in carried),
        stacked=tuple(Stacked(made, whole, 0, False) for made, whole in stacked),
    )


def _of_scan(opset: int, node: Ends, body: Ends, attributes: Mapping[str, Any]) -> Binding:
    inputs = node.inputs[1:] if opset and opset < 9 else node.inputs  # it begins with the lengths of the sequences
    scanned = int(attributes.get("num_scan_inputs", 0))
    states = max(0, len(inputs) - scanned)
    carried = zip(inputs[:states], body.inputs, _filled(body.outputs, states), _filled(node.outputs, states),
                  strict=False)  # fmt: skip
    pieces = list(zip(inputs[states:], body.inputs[states:], strict=False))
    wholes = list(zip(body.outputs[states:], node.outputs[states:], strict=False))
    old = "directions" if opset and opset < 9 else "scan_input_directions"
    return Binding(
        carried=tuple(Carried(*names) for names in carried),
        sliced=tuple(
            Sliced(*names, axis, bool(backwards))
            for names, axis, backwards in zip(
                pieces, _each(attributes, "scan_input_axes", pieces), _each(attributes, old, pieces), strict=False
            )
        ),
        stacked=tuple(
            Stacked(*names, axis, bool(backwards))
            for names, axis, backwards in zip(
                wholes,
                _each(attributes, "scan_output_axes", wholes),
                _each(attributes, "scan_output_directions", wholes),
                strict=False,
            )
        ),
    )


def _filled(names: Sequence[str], number: int) -> list[str]:
    return [*names[: max(0, number)], *[""] * (number - len(names))]


def _each(attributes: Mapping[str, Any], name: str, entries: Sequence[Any]) -> list[int]:
    return list(attributes.get(name) or [0] * len(entries))


def bound(node: Node, body: Graph) -> Binding:
    """Return how a body of ``node`` hangs together with it; see `binding`."""
    op = node.op if node.operator.kind is Kind.CONTROL else ""
    return binding(op, node.opset, Ends(node.inputs, node.outputs), Ends(body.inputs, body.outputs), node.attributes)


class Values(Protocol):
    """What is known of the values of a graph, as far as loops ask; `known_shapes.Shapes` is one."""

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Return the shape, or None."""
        ...

    def value(self, name: str) -> npt.NDArray[Any] | None:
        """Return the content where it is the same for every image, or None."""
        ...


def constant_scalar(values: Values, name: str) -> int | float | None:
    """Return the one number in a value when it is known and the same for every image, else None."""
    value = values.value(name)
    return None if value is None or value.size != 1 else np.asarray(value).reshape(-1)[0].item()


def branch_taken(node: Node, values: Values) -> str:
    """Return the attribute with the branch that an If takes for every image; "" where it varies, or for other nodes."""
    decided = constant_scalar(values, node.inputs[0]) if node.op == "If" and not node.domain and node.inputs else None
    if decided is None:
        return ""
    return "then_branch" if decided else "else_branch"


def deciding_condition(body: Graph) -> str:
    """Return the value inside a Loop's body that decides whether the loop goes on; "" when it hands on what it got."""
    name = body.outputs[0] if body.outputs else ""
    while name in body.producers and body.producers[name].op in ("Identity", "Cast"):
        name = body.producers[name].inputs[0]
    handed_on = len(body.inputs) > 1 and name == body.inputs[1]
    return "" if handed_on else name


class Iterations(NamedTuple):
    """How often a body runs.

    Attributes
    ----------
    most
        The number, or None when it cannot be told before the model runs.
    fewer
        Whether a condition may end the loop before.
    why
        A sentence, where ``most`` is None.
    """

    most: int | None
    fewer: bool = False
    why: str = ""


def iterations(node: Node, body: Graph, around: Values, inside: Values) -> Iterations:
    """Return how often a node runs its body.

    Parameters
    ----------
    around, inside
        What is known of the values of the node's graph, and of the body.
    """
    if node.op == "Scan" and not node.domain:
        return _of_scan_axis(node, body, around)
    if node.op != "Loop" or node.domain:
        return Iterations(None, why=f"how often {node.op} runs its body is not said in the file")
    bounded = bool(node.inputs and node.inputs[0])
    most = constant_scalar(around, node.inputs[0]) if bounded else None
    begins = constant_scalar(around, node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] else True
    if begins is not None and not begins:
        return Iterations(0)
    deciding = deciding_condition(body)
    always = begins is not None and (not deciding or bool(constant_scalar(inside, deciding)))
    if most is None:
        why = "the number of turns is computed from the image" if bounded else "only a condition ends the loop"
        return Iterations(None, why=f"{why}: no number of turns can be told before it runs")
    if not always and most > MOST_ITERATIONS:
        return Iterations(None, why=f"a condition ends the loop (the bound of {most} turns is none in practice)")
    return Iterations(max(0, int(most)), fewer=not always)


def _of_scan_axis(node: Node, body: Graph, around: Values) -> Iterations:
    scanned = int(node.attributes.get("num_scan_inputs", 0))
    if node.opset < 9 or not 0 < scanned <= len(node.inputs):
        why = "this form of Scan is not known (operator sets before 9 have a batch axis in it)"
        return Iterations(None, why=why)
    pieces = bound(node, body).sliced
    whole, axis = (pieces[0].whole, pieces[0].axis) if pieces else (node.inputs[-scanned], 0)
    shape = around.shape(whole)
    if shape is None or not -len(shape) <= axis < len(shape):
        return Iterations(None, why=f"the shape of the scanned input {whole!r} is not known")
    return Iterations(int(shape[axis]))
