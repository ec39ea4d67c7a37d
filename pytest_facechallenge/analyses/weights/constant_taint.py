"""Follow every stored number through the graph to the first place where it meets something computed from the image.

There it is a weight, whatever it was called and however it was stored. On the way two kinds of *event* are recorded,
because each makes weights that were not stored as such: a stored tensor of narrow integers is read as numbers, or an
operator takes stored numbers apart (their integer part, their remainder, their bits) or looks them up in a table.
What moves, scales or sums weights makes no new ones, so tied weights and broadcasts never count twice.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import onnx

from pytest_facechallenge.analyses.weights.encoding import stored_bits
from pytest_facechallenge.analyses.weights.flows import IMAGE, MANY, Event, Flow, Root, Sink, Trace, depth_of
from pytest_facechallenge.analyses.weights.formulas import Evaluation
from pytest_facechallenge.core import dtypes
from pytest_facechallenge.onnx_graph.control_flow import bound
from pytest_facechallenge.onnx_graph.ir import Graph, Node, Tensor
from pytest_facechallenge.onnx_graph.open_shapes import ElementCounts
from pytest_facechallenge.onnx_graph.operators import Kind, Trait

#: Activations that keep the part of each number above or below a bound.
_WHOLE = frozenset({"Relu", "Abs", "Max", "Min", "Clip", "LeakyRelu", "PRelu"})

#: Bodies of Loop and Scan are gone through twice, so that what one turn makes is seen by the next; but once only when
#: they lie deeper than `DEEP` in one another, where going through them would double at each level.
TURNS = 2
DEEP = 4


def trace(graph: Graph) -> Trace:
    """Follow the stored numbers of a model's main graph, subgraphs included.

    A value that no node before makes (a cyclic or unsorted graph, which no runtime loads) counts as computed from the
    image.
    """
    tracer = _Tracer(graph)
    env = dict.fromkeys(graph.inputs, IMAGE)
    tracer.run(graph, env)
    for name in graph.outputs:
        flow = env.get(name)
        if flow is not None and flow.constant and flow.roots:
            tracer.found.sinks.append(Sink(f"output {name!r}", learned=False, flow=flow))
    return tracer.found


class _Tracer:
    def __init__(self, graph: Graph) -> None:
        self.found = Trace(ElementCounts(graph), Evaluation(graph, any_batch=True))
        self.sizes = self.found.sizes
        self.known_roots: dict[tuple[str, str], Flow] = {}
        self.known_events: dict[tuple[str, str], int] = {}
        self.known_sinks: set[tuple[str, int, Flow]] = set()

    def run(self, graph: Graph, env: dict[str, Flow]) -> None:
        """Process a graph; ``env`` holds what is known from outside and receives every value made here."""
        for name, tensor in graph.constants.items():
            env[name] = self.root(graph, tensor.where, tensor.dtype, tensor.size, tensor)
        for name, sparse in graph.sparse.items():
            env[name] = self.sparse(graph, f"sparse initializer {name!r}", sparse)
        for node in graph.nodes:
            env.update(zip(node.outputs, self.outputs(node, env), strict=True))

    def root(
        self, graph: Graph, where: str, dtype: str, elements: int, source: Tensor | onnx.SparseTensorProto
    ) -> Flow:
        """Return the flow of a stored tensor; a narrow one starts with the event that it is read as numbers."""
        key = (graph.path, where)
        if key not in self.known_roots:
            written = stored_bits(source.proto, elements) if isinstance(source, Tensor) else None
            root = Root(len(self.found.roots), where, dtype, elements, source, written)
            self.found.roots.append(root)
            own = frozenset({root.index})
            kind = "float" if dtypes.is_float(dtype) else "text" if dtype == "string" else "integer"
            events: frozenset[int] = frozenset()
            if kind != "float" and not root.wide:
                reading = "text" if kind == "text" else "integers"
                events = frozenset({self.event(reading, "", where, own, own, elements)})
            self.known_roots[key] = Flow(True, own, events, kind, frozenset() if events else own)
        return self.known_roots[key]

    def sparse(self, graph: Graph, where: str, sparse: onnx.SparseTensorProto) -> Flow:
        values = Tensor(sparse.values, sparse.values.name, where, Path())
        return self.root(graph, where, values.dtype, values.size, values)

    def event(
        self,
        kind: str,
        value: str,
        node: str,
        roots: frozenset[int],
        triggers: frozenset[int],
        elements: int | None = None,
        *,
        bounded: bool = False,
        whole: bool = False,
        before: frozenset[int] = frozenset(),
        veiled: bool = False,
        held: int | None = None,
    ) -> int:
        key = (node, value)
        if key not in self.known_events:
            index = len(self.found.events)
            self.known_events[key] = index
            self.found.events.append(
                Event(index, kind, value, node, roots, triggers, elements, bounded, whole, before, held, veiled)
            )
        index = self.known_events[key]
        known = self.found.events[index]  # a loop's body is gone through again, with more known about its inputs
        self.found.events[index] = replace(
            known, roots=known.roots | roots, triggers=known.triggers | triggers, before=known.before | before
        )
        return index

    def sink(self, node: Node, position: int, flow: Flow, *, chooses: bool = False) -> None:
        key = (node.label, position, flow)
        if flow.roots and key not in self.known_sinks:
            self.known_sinks.add(key)
            value = node.inputs[position] if 0 <= position < len(node.inputs) and node.graph.parent is None else ""
            learned = node.operator.has(Trait.LEARNED)
            self.found.sinks.append(Sink(f"node {node.label!r}", learned, flow, chooses, node.op, value))

    def outputs(self, node: Node, env: dict[str, Flow]) -> list[Flow]:
        """Return the flow of each output of ``node``."""
        if node.operator.has(Trait.GENERATES):
            return [Flow(kind=node.operator.result)] * len(node.outputs)
        inputs = [env.get(name, IMAGE) if name else Flow() for name in node.inputs]
        if node.subgraphs:
            return self.body(node, inputs, env)
        inputs += self.held(node)
        steering, choosing = node.operator.steers, node.operator.chooses
        values = {i: flow for i, flow in enumerate(inputs) if i not in steering and i not in choosing}
        choices = {i: flow for i, flow in enumerate(inputs) if i in choosing}
        runtime = any(not flow.constant for flow in [*values.values(), *choices.values()])
        if not runtime:
            return [self.combined(node, name, values, choices) for name in node.outputs]
        for i, flow in values.items():
            if flow.constant:
                self.sink(node, i, self.met(node, i, flow))
        if node.op == "Where" and choices[0].constant:
            self.sink(node, 0, self.chosen(node, choices[0], Flow()), chooses=True)
        return self.veiled(node, values)

    def veiled(self, node: Node, values: dict[int, Flow]) -> list[Flow]:
        """Return the outputs of a node that mixes stored numbers with the image.

        Adding a zero computed from the image does not make stored numbers computed ones. So each element that still
        holds one remembers it, and an operator that takes such elements apart makes weights of them.
        """
        roots = frozenset(
            root for flow in values.values() for root in flow.roots if self.found.roots[root].elements > MANY
        )
        if not roots or node.domain:
            return [IMAGE] * len(node.outputs)
        to = node.attributes.get("to") if node.op == "Cast" else None
        parts = node.operator.has(Trait.PARTS) or (isinstance(to, int) and to in _KNOWN_TYPES and not self.to_float(to))
        runtime = {i: flow for i, flow in values.items() if not flow.constant and flow.roots}
        # A value without the batch axis has a known size: it is no activation, only dressed up as one.
        dressed = self.remainder(node, runtime) and self.sizes[node.outputs[0]] is not None
        if runtime and (parts or dressed):
            held = next(iter(runtime.values())).held if len(values) == 1 and not dressed else None
            index = self.event("packed", node.outputs[0], node.label, roots, roots, veiled=True, held=held)
            self.sink(node, -1, Flow(True, roots, frozenset({index}), "float"))
        if not node.operator.has(Trait.APART) and not parts:
            return [IMAGE] * len(node.outputs)
        return [Flow(constant=False, roots=roots, held=self.numbers_held(node, values))] * len(node.outputs)

    def numbers_held(self, node: Node, values: dict[int, Flow]) -> int | None:
        """Return how many stored numbers features still hold that these were added to; None when it is not known.

        Numbers added to each place of a map are the same there. Anything else that happens to them with values of the
        image, or with several numbers, may take another part of each number at each place.
        """
        roots = self.found.roots
        stores = {i: flow for i, flow in values.items() if any(roots[root].elements > 1 for root in flow.roots)}
        if len(stores) != 1 or node.domain:
            return None
        ((position, flow),) = stores.items()
        fixed = [i for i, each in values.items() if i != position and each.constant]
        if any(self.sizes[node.inputs[i]] != 1 for i in fixed):
            return None  # several numbers, be they stored or counted up
        if node.op in ("Add", "Sub", "Sum"):
            return self.sizes[node.inputs[position]] if flow.constant and not flow.events else flow.held
        scaled = node.op in ("Mul", "Div") and position == 0 and len(fixed) == len(values) - 1
        alone = len(values) == 1 and (node.operator.kind is Kind.LAYOUT or node.op in ("Identity", "Neg"))
        return flow.held if scaled or alone else None

    def held(self, node: Node) -> list[Flow]:
        """Return the flows of tensors that the node itself holds as attributes."""
        flows: list[Flow] = []
        for value in node.attributes.values():
            if isinstance(value, Tensor) and value.size > 1:
                flows.append(self.root(node.graph, value.where, value.dtype, value.size, value))
            elif isinstance(value, onnx.AttributeProto) and value.type == onnx.AttributeProto.SPARSE_TENSOR:
                where = f"attribute {value.name!r} of node {node.label!r}"
                flows.append(self.sparse(node.graph, where, value.sparse_tensor))
        return flows

    def met(self, node: Node, position: int, flow: Flow) -> Flow:
        """Return a constant's flow at the place where it meets the image.

        Wide integers that meet integers computed from the image are no weights yet; what they would become (indices
        into a table, parts of a packed number) can no longer be followed, so they count as choices.
        """
        wide = any(self.found.roots[i].wide for i in flow.roots)
        if flow.kind != "integer" or not wide or flow.events or node.operator.has(Trait.LEARNED):
            return flow
        index = self.event("codebook", node.inputs[position], node.label, flow.roots, flow.roots)
        return Flow(True, flow.roots, flow.events | {index}, flow.kind)

    def chosen(
        self, node: Node, choice: Flow, data: Flow, keep: list[Flow] | None = None, elements: int | None = None
    ) -> Flow:
        """Return ``data`` with the event that stored numbers chose among it (among ``keep``, where that is less).

        ``elements`` is how many values the choice put to places, where it leaves all others as they were.
        """
        if not choice.roots:
            return data
        value = next((name for name in node.outputs if name), "") if data.roots else node.inputs[0]
        among = data.roots if keep is None else frozenset().union(*(flow.roots for flow in keep))
        index = self.event("codebook", value, node.label, among, choice.roots, elements)
        # What stands at stored places tells these places: they are in it, whatever is counted or summed up of it.
        told = choice.roots if node.operator.has(Trait.SCATTERS) or not data.roots else frozenset()
        return Flow(True, data.roots | told, data.events | {index}, data.kind)

    def combined(self, node: Node, output: str, values: dict[int, Flow], choices: dict[int, Flow]) -> Flow:
        """Return the flow of an output that only stored numbers make."""
        merged = Flow()
        for flow in values.values():
            merged |= flow
        merged = Flow(True, merged.roots, merged.events, self.result_kind(node, values), merged.plain)
        if node.op == "OneHot" and not node.domain and values[0].roots:
            return replace(merged, kind="choice")
        if node.operator.has(Trait.PICKS):
            choosing = [flow for flow in values.values() if flow.kind == "choice"]
            data = [flow for flow in values.values() if flow.kind != "choice" and flow.roots]
            if choosing and data:
                return self.chosen(node, choosing[0], replace(merged, kind="float"), keep=data)
        placed = self.sizes[node.inputs[max(values)]] if node.operator.has(Trait.SCATTERS) and values else None
        for choice in choices.values():
            merged = self.chosen(node, choice, merged, elements=placed)
        if choices or not merged.roots or not self.takes_apart(node, values, merged):
            return merged
        bounded = not node.domain and (
            node.operator.has(Trait.ACTIVATES)
            or (node.operator.has(Trait.ARITHMETIC) and merged.kind == "float" and self.all_bounded(merged))
        )
        index = self.event(
            "packed",
            output,
            node.label,
            merged.roots,
            merged.roots,
            bounded=bounded,
            whole=self.of_matrices(merged.roots)
            and ((node.op in _WHOLE and not merged.events) or (node.op == "Div" and bounded)),
            before=merged.events,
        )
        return Flow(True, merged.roots, frozenset({index}), merged.kind)

    def of_matrices(self, roots: frozenset[int]) -> bool:
        """Return whether all but small parameters are stored as matrices or kernels."""
        stores = [self.found.roots[root] for root in roots if self.found.roots[root].elements > MANY]
        return bool(stores) and all(len(getattr(store.source, "shape", ())) > 1 for store in stores)

    def result_kind(self, node: Node, values: dict[int, Flow]) -> str:
        if node.op == "Cast":
            target = node.attributes.get("to", 0)
            if any(flow.kind == "choice" for flow in values.values()):
                return "choice"
            name = onnx.TensorProto.DataType.Name(target).lower() if target in _KNOWN_TYPES else ""
            return "float" if dtypes.is_float(name) else "integer" if dtypes.is_integer(name) else "text"
        return node.operator.result or next((flow.kind for flow in values.values() if flow.kind), "")

    def takes_apart(self, node: Node, values: dict[int, Flow], merged: Flow) -> bool:
        """Return whether the operator makes new weights of stored numbers."""
        if not node.operator.has(Trait.KEEPS):
            return True
        if node.op == "Cast":
            before = next(iter(values.values())).kind
            return before in ("float", "text") and merged.kind != before
        if not node.operator.has(Trait.ARITHMETIC):
            return False
        if node.op == "Div" and merged.kind == "integer":
            return True  # drops the remainder
        flows = list(values.values())
        if node.op in ("Add", "Sub") and any(self.scalar(node, i) for i in range(len(node.inputs))):
            return True  # adding and taking away a big number rounds: how bits are cut off without an integer operator
        for i, one in enumerate(flows):
            for other in flows[i + 1 :]:
                if one != other and one.roots & other.roots and (self.apart(one) or self.apart(other)):
                    return True
        return self.remainder(node, values)

    def remainder(self, node: Node, values: dict[int, Flow]) -> bool:
        """Return whether the node sums two different values, equally large, that are made of the same stored numbers.

        Rounding makes that new information (a number less its own multiple is its low bits), however it is written.
        A value less its own mean is not meant: the mean is smaller.
        """
        if node.op not in ("Add", "Sub", "Sum") or node.domain:
            return False
        for one, other in combinations(values, 2):
            names = node.inputs[one], node.inputs[other]
            shared = values[one].roots & values[other].roots
            if names[0] != names[1] and any(self.found.roots[root].elements > MANY for root in shared):
                sizes = [self.sizes[name] for name in names]
                if sizes[0] == sizes[1]:
                    return True
        return False

    @staticmethod
    def to_float(target: int) -> bool:
        return dtypes.is_float(onnx.TensorProto.DataType.Name(target).lower())

    def all_bounded(self, flow: Flow) -> bool:
        return all(self.found.events[i].bounded for i in flow.events if self.found.events[i].kind == "packed")

    def apart(self, flow: Flow) -> bool:
        return any(self.found.events[i].kind == "packed" for i in flow.events)

    def scalar(self, node: Node, position: int) -> bool:
        tensor = node.graph.constant(node.inputs[position]) if node.inputs[position] else None
        return tensor is not None and tensor.size == 1

    def body(self, node: Node, inputs: list[Flow], env: dict[str, Flow]) -> list[Flow]:
        """Return the outputs of If, Loop, Scan and SequenceMap: what their bodies' outputs are."""
        given = dict(zip(node.inputs, inputs, strict=True))
        result = dict.fromkeys(node.outputs, Flow())
        for graph in node.subgraphs.values():
            how = bound(node, graph)
            passed = {inside: given[outside] for outside, inside in how.inputs()}
            for _ in range(TURNS if passed and depth_of(graph) <= DEEP else 1):
                inner = env | dict.fromkeys(graph.inputs, Flow()) | passed
                self.run(graph, inner)
                for each in how.carried:
                    passed[each.given] |= inner.get(each.made, IMAGE)
            for inside, outside in how.outputs():
                if outside:
                    result[outside] |= inner.get(inside, IMAGE)
        return [result[name] for name in node.outputs]


_KNOWN_TYPES = frozenset(onnx.TensorProto.DataType.values())
