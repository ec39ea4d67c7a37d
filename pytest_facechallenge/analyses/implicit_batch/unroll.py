"""Take the control flow out of a model: functions inlined, Loop, Scan and SequenceMap unrolled, If decided.

What remains is one list of nodes in which every execution of a layer is a node of its own, so that "this layer runs
twice" is visible as two nodes with one weight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from pytest_facechallenge.analyses.implicit_batch.node_edits import (
    LoopCount,
    add_constant,
    attribute_of,
    identities,
    name_nodes,
    passes_on,
    rename,
    stacking,
)
from pytest_facechallenge.analyses.implicit_batch.runner import RunError, evaluate
from pytest_facechallenge.analyses.implicit_batch.size_conditions import is_fixed
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.onnx_graph.control_flow import Binding, Ends, binding
from pytest_facechallenge.onnx_graph.held_weights import put_back
from pytest_facechallenge.onnx_graph.local_functions import inline_functions
from pytest_facechallenge.onnx_graph.operators import Kind, Trait, operator

#: The first opset whose Scan is unrolled, and the first in which Unsqueeze takes its axes as an input.
SCAN_OPSET, AXES_AS_INPUT = 9, 13

Feeds = Mapping[str, npt.NDArray[Any]]


class UnrollError(RuntimeError):
    """Control flow that cannot be unrolled; the message names the node and says why."""


class Unrolled:
    """A model without control flow.

    Attributes
    ----------
    model
        One graph, no subgraphs; every node has a name.
    conditions
        Labels of the If nodes whose condition depends on the image.
    by_size
        Those of them that look at its size alone: how many images a batch holds, say.
    """

    def __init__(
        self, model: onnx.ModelProto, conditions: tuple[str, ...], by_size: frozenset[str] = frozenset()
    ) -> None:
        self.model = model
        self.conditions = conditions
        self.by_size = by_size


def unroll(
    model: onnx.ModelProto,
    feeds: Feeds,
    choices: Mapping[str, bool] | None = None,
    others: Sequence[Feeds] = (),
    *,
    limits: Thresholds,
) -> Unrolled:
    """Unroll a model.

    Parameters
    ----------
    model
        Weights inside; not changed when it has control flow (a copy is), may be returned itself when it has none.
    feeds
        An image: it decides what a loop's trip count is when that is no constant.
    others
        More images: where trip counts depend on the image, the largest is taken.
    choices
        Branch to take, by label of the If node; default for a condition on the image is its then_branch.

    Raises
    ------
    UnrollError, GraphError
        See there.
    """
    if model.functions:
        model = inline_functions(model)
    if not has_control_flow(model):
        name_nodes(model.graph)
        return Unrolled(model, ())
    flat = onnx.ModelProto()
    flat.CopyFrom(model)
    name_nodes(flat.graph)
    worker = _Unroller(flat, feeds, dict(choices or {}), others, limits)
    worker.run()
    return Unrolled(flat, tuple(worker.conditions), frozenset(worker.by_size))


def has_control_flow(model: onnx.ModelProto) -> bool:
    """Whether the main graph has an If, a Loop, a Scan or a SequenceMap."""
    return any(_is_control(node) for node in model.graph.node)


def _is_control(node: onnx.NodeProto) -> bool:
    return operator(node.domain, node.op_type).kind is Kind.CONTROL


class _Unroller:
    """Works through the nodes of a model and expands those with bodies until none is left."""

    def __init__(
        self,
        model: onnx.ModelProto,
        feeds: Feeds,
        choices: dict[str, bool],
        others: Sequence[Feeds],
        limits: Thresholds,
    ) -> None:
        self.iterations, self.nodes = limits.running.iterations, limits.running.nodes
        self.others = others
        self.model = model
        self.feeds = feeds
        self.choices = choices
        self.conditions: list[str] = []
        self.by_size: set[str] = set()
        self.done: list[onnx.NodeProto] = []
        self.pending: list[onnx.NodeProto] = list(reversed(model.graph.node))
        self.opset = next((e.version for e in model.opset_import if e.domain in ("", "ai.onnx")), 0)
        self.varying = {value.name for value in model.graph.input} - {t.name for t in model.graph.initializer}
        self.shown = set(self.varying)  # what depends on what the image shows, and not on its size alone

    def run(self) -> None:
        while self.pending:
            node = self.pending.pop()
            if not _is_control(node):
                self._keep(node)
            else:
                expand = {
                    "If": self._if,
                    "Loop": self._loop,
                    "Scan": self._scan,
                    "SequenceMap": self._map,
                }[node.op_type]
                self.pending.extend(reversed(expand(node)))
            if len(self.done) + len(self.pending) > self.nodes:
                raise UnrollError(f"unrolling '{node.name}' gives more than {self.nodes} nodes")
        del self.model.graph.node[:]
        self.model.graph.node.extend(self.done)

    def _keep(self, node: onnx.NodeProto) -> None:
        self.done.append(node)
        if self.varying & set(node.input):
            self.varying |= set(node.output)
        about_shape = operator(node.domain, node.op_type).kind is Kind.ABOUT_SHAPE
        if self.shown & set(node.input) and not about_shape:
            self.shown |= set(node.output)

    def _largest(self, name: str, node: onnx.NodeProto) -> Any:
        """Return the largest value over the images (True, for a condition, when it holds for one of them)."""
        values = [self._value(name, node).reshape(-1)[0]]
        if name in self.varying:
            values += [self._value(name, node, feeds).reshape(-1)[0] for feeds in self.others]
        return max(values)

    def _value(self, name: str, node: onnx.NodeProto, feeds: Feeds | None = None) -> npt.NDArray[Any]:
        """Return what the value is for the image fed, given the nodes kept so far."""
        for tensor in self.model.graph.initializer:
            if tensor.name == name:
                return numpy_helper.to_array(put_back(tensor))
        part = onnx.ModelProto(ir_version=self.model.ir_version)
        part.opset_import.extend(self.model.opset_import)
        part.graph.name = "part"
        part.graph.node.extend(self.done)
        part.graph.input.extend(self.model.graph.input)
        part.graph.initializer.extend(self.model.graph.initializer)
        try:
            return np.asarray(evaluate(part, [name], feeds or self.feeds)[name])
        except RunError as error:
            raise UnrollError(
                f"'{node.name}' cannot be unrolled, its input {name!r} cannot be computed: {error}"
            ) from error

    def _inline(
        self, body: onnx.GraphProto, prefix: str, bindings: dict[str, str]
    ) -> tuple[list[onnx.NodeProto], dict[str, str]]:
        """Return the body's nodes under new names, and the new name of each of its outputs."""
        names = dict(bindings)
        for tensor in body.initializer:
            names.setdefault(tensor.name, f"{prefix}/{tensor.name}")
            copied = self.model.graph.initializer.add()
            copied.CopyFrom(tensor)
            copied.name = names[tensor.name]
        for inner in body.node:
            names |= {name: f"{prefix}/{name}" for name in inner.output if name}
        nodes = []
        for inner in body.node:
            made = onnx.NodeProto()
            made.CopyFrom(inner)
            made.name = f"{prefix}/{inner.name}"
            rename(made, names)
            nodes.append(made)
        return nodes, {value.name: names.get(value.name, value.name) for value in body.output}

    def _if(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        if node.input[0] in self.varying and not self._is_fixed(node):
            self.conditions.append(node.name)
            if node.input[0] not in self.shown:
                self.by_size.add(node.name)
            taken = self.choices.get(node.name, True)
        else:
            taken = bool(self._value(node.input[0], node).reshape(-1)[0])
        which = "then_branch" if taken else "else_branch"
        body: onnx.GraphProto = attribute_of(node, which)
        nodes, made = self._inline(body, f"{node.name}.{which}", {})
        results = self._binding(node, body).results
        return nodes + identities(((made[inside], outside) for inside, outside in results), node)

    def _is_fixed(self, node: onnx.NodeProto) -> bool:
        """Whether a condition looks at sizes that no batch changes."""
        name = node.input[0]
        if name in self.shown:
            return False
        return is_fixed(name, self.done, self.feeds, lambda wanted, feeds: self._value(wanted, node, feeds))

    def _binding(self, node: onnx.NodeProto, body: onnx.GraphProto) -> Binding:
        return binding(
            node.op_type,
            self.opset,
            Ends(node.input, node.output),
            Ends([value.name for value in body.input], [value.name for value in body.output]),
            {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute},
        )

    def _loop(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Expand one iteration and leave the rest of the loop as a Loop with one trip fewer.

        The state that is carried between calls stands in the node itself (renamed inputs, attributes with a mark).
        """
        body: onnx.GraphProto = attribute_of(node, "body")
        count = LoopCount.of(node)
        if count.trips is None:
            trips = self._largest(node.input[0], node) if node.input[0] else self.iterations + 1
            count.trips = int(min(trips, self.iterations + 1))
        condition = node.input[1] if len(node.input) > 1 else ""
        how = self._binding(node, body)
        asked = bool(condition) and (count.done == 0 or not passes_on(body))
        if count.trips > self.iterations and not (condition and not passes_on(body)):
            raise UnrollError(f"'{node.name}' runs more than {self.iterations} times")
        over = count.done >= count.trips or (asked and not bool(self._largest(condition, node)))
        if over:
            return self._finish_loop(node, how, count)
        if count.done >= self.iterations:
            raise UnrollError(f"'{node.name}' runs more than {self.iterations} times")
        prefix = f"{node.name}[{count.done}]"
        step = f"{prefix}/iteration"
        add_constant(self.model.graph, step, np.array(count.done, np.int64))
        truth = condition or f"{prefix}/condition"
        if not condition:
            add_constant(self.model.graph, truth, np.array(True))
        given = {how.iteration: step, how.condition: truth, **{each.given: each.start for each in how.carried}}
        nodes, made = self._inline(body, prefix, given)
        rest = onnx.NodeProto()
        rest.CopyFrom(node)
        del rest.input[:]
        rest.input.extend([node.input[0], made[how.next_condition], *(made[each.made] for each in how.carried)])
        LoopCount(count.trips, count.done + 1, [*count.scans, [made[each.made] for each in how.stacked]]).write(rest)
        return [*nodes, rest]

    def _finish_loop(self, node: onnx.NodeProto, how: Binding, count: LoopCount) -> list[onnx.NodeProto]:
        nodes = identities(((each.start, each.end) for each in how.carried), node)
        for position, each in enumerate(how.stacked):
            if each.whole and count.scans:
                nodes += self._stack([scans[position] for scans in count.scans], each.whole, each.axis, node.name)
        return nodes

    def _scan(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        if self.opset < SCAN_OPSET:
            raise UnrollError(f"'{node.name}' is a Scan of opset 8, which cannot be unrolled")
        body: onnx.GraphProto = attribute_of(node, "body")
        how = self._binding(node, body)
        length = self._value(how.sliced[0].whole, node).shape[how.sliced[0].axis]
        if length > self.iterations:
            raise UnrollError(f"'{node.name}' runs more than {self.iterations} times")
        nodes: list[onnx.NodeProto] = []
        states = {each.given: each.start for each in how.carried}
        stacked: list[list[str]] = []
        for step in range(length):
            prefix = f"{node.name}[{step}]"
            given = dict(states)
            for position, each in enumerate(how.sliced):
                index = length - 1 - step if each.backwards else step
                add_constant(self.model.graph, f"{prefix}/index{position}", np.array(index, np.int64))
                given[each.piece] = piece = f"{prefix}/slice{position}"
                inputs = [each.whole, f"{prefix}/index{position}"]
                nodes.append(helper.make_node("Gather", inputs, [piece], name=piece, axis=each.axis))
            inner, made = self._inline(body, prefix, given)
            nodes += inner
            states = {each.given: made[each.made] for each in how.carried}
            stacked.append([made[each.made] for each in how.stacked])
        nodes += identities(((states[each.given], each.end) for each in how.carried), node)
        for position, whole in enumerate(how.stacked):
            names = [pieces[position] for pieces in stacked]
            if whole.whole:
                ordered = names[::-1] if whole.backwards else names
                nodes += self._stack(ordered, whole.whole, whole.axis, node.name)
        return nodes

    def _map(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        body: onnx.GraphProto = attribute_of(node, "body")
        length_name = f"{node.name}/length"
        self.done.append(helper.make_node("SequenceLength", [node.input[0]], [length_name], name=length_name))
        length = int(self._value(length_name, node))
        how = self._binding(node, body)
        kinds = {value.name: value.type.WhichOneof("value") for value in body.input}
        nodes: list[onnx.NodeProto] = []
        stacked: list[list[str]] = []
        for step in range(min(length, self.iterations)):
            prefix = f"{node.name}[{step}]"
            add_constant(self.model.graph, f"{prefix}/index", np.array(step, np.int64))
            given: dict[str, str] = {}
            for position, (outside, inside) in enumerate(how.inputs()):
                if position and kinds[inside] == "tensor_type" and not self._is_sequence(outside):
                    given[inside] = outside
                    continue
                given[inside] = item = f"{prefix}/item{position}"
                nodes.append(helper.make_node("SequenceAt", [outside, f"{prefix}/index"], [item], name=item))
            inner, made = self._inline(body, prefix, given)
            nodes += inner
            stacked.append([made[each.made] for each in how.stacked])
        for position, whole in enumerate(how.stacked):
            if whole.whole:
                names = [pieces[position] for pieces in stacked]
                name = f"{node.name}/{whole.whole}"
                nodes.append(helper.make_node("SequenceConstruct", names, [whole.whole], name=name))
        return nodes

    def _is_sequence(self, name: str) -> bool:
        producer = next((node for node in self.done if name in node.output), None)
        return producer is not None and operator(producer.domain, producer.op_type).has(Trait.SEQUENCES)

    def _stack(self, names: list[str], target: str, axis: int, label: str) -> list[onnx.NodeProto]:
        return stacking(self.model.graph, names, target, axis, label, as_input=self.opset >= AXES_AS_INPUT)
