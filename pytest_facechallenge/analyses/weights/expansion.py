"""Weights that a formula makes of fewer stored numbers: soft codebooks, and weights computed from nothing stored.

A sum, a product or a copy of stored numbers is those numbers again, however large it is: a low-rank product, merged
branches and tied weights are no hidden storage. A curve applied to *more* values than were stored makes new ones: a
code less each of 256 places, then a softmax, chooses a row of a table. So each value has a level: 0, at most as many
values as stored numbers; 1, more, by sums, products and copies alone; 2, a curve was applied to such a value, or
values that several curves made of one store were put together. What is of level 2 and still larger than what is stored
when it meets the image as a weight is counted there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pytest_facechallenge.analyses.weights import formula_operators as kinds
from pytest_facechallenge.analyses.weights.formulas import Evaluation, is_transform
from pytest_facechallenge.analyses.weights.joining import described
from pytest_facechallenge.analyses.weights.kernels import FORMULA, kernels
from pytest_facechallenge.analyses.weights.made import Made
from pytest_facechallenge.analyses.weights.patterns import is_pattern
from pytest_facechallenge.core import dtypes
from pytest_facechallenge.core.facts.weights import SharedStorage
from pytest_facechallenge.onnx_graph.control_flow import bound
from pytest_facechallenge.onnx_graph.ir import GraphError
from pytest_facechallenge.onnx_graph.open_shapes import ElementCounts
from pytest_facechallenge.onnx_graph.operators import Along, Trait

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_facechallenge.onnx_graph.ir import Graph, Node, Tensor

#: A stored tensor of at most so many elements is a parameter of a formula, not a store of codes.
FEW = 16


def measure(graph: Graph) -> list[SharedStorage]:
    """Return the weights of a main graph that curves make of fewer stored numbers, one entry for each use."""
    spread = _Spread(graph)
    spread.run(graph, {})
    return spread.found


class _Spread:
    def __init__(self, graph: Graph) -> None:
        self.sizes = ElementCounts(graph)
        self.tensors: dict[tuple[str, str], Tensor] = {}
        self.patterns: dict[tuple[str, str], bool] = {}
        self.found: list[SharedStorage] = []
        self.evaluations: dict[int, Evaluation] = {}

    def run(self, graph: Graph, env: dict[str, Made]) -> None:
        """Process a graph; ``env`` has what is known from outside and gets all that is made of stored numbers."""
        for name, tensor in graph.constants.items():
            key = (graph.path, name)
            self.tensors[key] = tensor
            env[name] = Made(frozenset({key}))
        for node in graph.nodes:
            if node.subgraphs:
                self._bodies(node, env)
                continue
            generates = node.operator.has(Trait.GENERATES) or node.operator.along is Along.SIZES
            made = self._generated(node) if generates else self._made(node, env)
            if made is None:
                self._meets_image(node, env)
                continue
            env |= dict.fromkeys((name for name in node.outputs if name), made)

    def _bodies(self, node: Node, env: dict[str, Made]) -> None:
        ends: dict[str, list[Made | None]] = {}
        for body in node.subgraphs.values():
            how = bound(node, body)
            inner = dict(env)
            inner |= {inside: env[outside] for outside, inside in how.inputs() if outside in env}
            self.run(body, inner)
            for inside, outside in how.outputs():
                ends.setdefault(outside, []).append(inner.get(inside))
        for body in node.subgraphs.values():
            self._stacked(node, body, ends)
        for name, made in ends.items():
            known = [each for each in made if each is not None]
            if name and len(known) == len(made):
                env[name] = max(known, key=lambda each: each.level)

    def _stacked(self, node: Node, body: Graph, ends: dict[str, list[Made | None]]) -> None:
        """Leave open how many numbers the states of every turn are that stored ones go through, put together."""
        how = bound(node, body)
        for each in how.stacked if how.carried else ():
            size = self.sizes[each.whole] if each.whole else 0
            for at, made in enumerate(ends.get(each.whole, [])):
                if made is not None and self._holds_store(made) and (size is None or size > self._elements(made.roots)):
                    ends[each.whole][at] = Made(made.roots, 2, None, node.label)

    def _generated(self, node: Node) -> Made:
        """Return what is made of sizes, attributes or chance: a range is more than what is stored for it."""
        if node.operator.has(Trait.RANDOM):
            return Made(level=2, weights=self.sizes[node.outputs[0]], node=node.label, coordinates=True)
        return Made(level=1 if node.op == "Range" else 0, coordinates=node.op == "Range")

    def _made(self, node: Node, env: dict[str, Made]) -> Made | None:
        """Return what a node makes; None where something computed from the image is in it."""
        steering = node.operator.steers
        names = [name for at, name in enumerate(node.inputs) if name and at not in steering]
        parts = [env[name] for name in names if name in env]
        size = self._size(node, complete=len(parts) == len(names))
        if len(parts) < len(names):
            # A value without a batch axis that holds a store of numbers is no activation, whatever was added to it.
            others = [self.sizes[name] for name in names if name not in env]
            dressed = node.op in ("Add", "Sub", "Mul", "Sum") and size is not None
            dressed = dressed and all(count is not None and count <= FEW for count in others)
            if not dressed or not any(self._elements(part.roots) > FEW for part in parts):
                return None
        if not parts:
            return None if names else Made()
        if node.op in kinds.READING and len(parts) == 2 and parts[1].places:
            return parts[0]
        if kinds.interpolates(node) and parts[0].level < 2 and (size is None or size > self._elements(parts[0].roots)):
            return Made(parts[0].roots, 2, size, node.label, interpolated=True)
        roots = frozenset().union(*(part.roots for part in parts))
        stored = self._elements(roots)
        curves = self._curves(node, names, parts)
        level = self._level(node, names, parts, size, stored)
        level = 2 if self._marks(node, env) else level
        if size is not None and size <= stored:
            level = 0
        network = self._network(node, parts)
        if level < 2:
            coordinates = level == 1 and self._coordinates(node, parts)
            return Made(roots, level, coordinates=coordinates, curves=curves, network=level == 1 and network,
                        statistic=self._statistic(node, parts))  # fmt: skip
        before = [part for part in parts if part.level == 2]
        curve = before[0].node if before else node.label
        spread = [part for part in parts if part.level]
        codes = any(part.curves or self._holds_store(part) for part in parts)
        coordinates = all(part.coordinates for part in spread) if spread else not codes
        if before and (node.operator.kind in kinds.COPYING or node.op in ("Identity", "Cast", "Neg")):
            counts = [part.weights for part in before]
            known = [count for count in counts if count is not None]
            weights = sum(known) if len(known) == len(counts) else None
            places = all(part.places for part in before)
            interpolated = all(part.interpolated for part in before)
            return Made(roots, 2, weights, curve, coordinates, network=network, places=places,
                        interpolated=interpolated)  # fmt: skip
        places = node.op == "Cast" and all(part.level == 1 and part.coordinates and not part.curves for part in parts)
        return Made(roots, 2, size, curve, coordinates, network=network, places=places)

    def _size(self, node: Node, *, complete: bool) -> int | None:
        """Return how many elements a node's result has, worked out where its shape is computed of stored numbers."""
        if not node.outputs:
            return None
        size = self.sizes[node.outputs[0]]
        if size is not None or not complete:
            return size
        value = self.evaluations.setdefault(id(node.graph), Evaluation(node.graph)).value(node.outputs[0])
        return None if value is None else value.size

    def _curves(self, node: Node, names: list[str], parts: list[Made]) -> frozenset[str]:
        """Return the curves in a result; a sum of two of them, or of a store and its curve, is one of its own."""
        new = frozenset({node.outputs[0]})
        if self._bends(node, names, parts):
            return new
        before = {part.curves for part in parts if part.curves}
        if len(before) < 2 and not self._differ(parts):
            return next(iter(before), frozenset())
        return new

    def _puts_together(self, node: Node, names: list[str]) -> bool:
        """Whether a node sets values side by side, or adds values of one size (which may be zero in turns)."""
        sizes = {self.sizes[name] for name in names}
        return node.operator.kind in kinds.COPYING or (node.op in kinds.LINEAR_PAIRS and len(sizes) == 1)

    def _bends(self, node: Node, names: list[str], parts: list[Made]) -> bool:
        """Whether a node applies a curve to stored numbers; a product of two values of one store is one."""
        plain = node.operator.kind in kinds.COPYING or node.op in kinds.PLAIN
        if plain or node.op in ("Identity", "Neg", "Dropout", "Cast", "CastLike"):
            return False
        if node.op in ("Mul", "Div"):
            several = any(self._shared(one, other) for at, one in enumerate(parts) for other in parts[at + 1 :])
            return several or (len(set(names)) == 1 and self._elements(parts[0].roots) > FEW)
        return any(self._elements(part.roots) > FEW for part in parts)

    def _shared(self, one: Made, other: Made) -> bool:
        """Whether two values are made of the same store."""
        return self._elements(one.roots & other.roots) > FEW

    def _differ(self, parts: list[Made]) -> bool:
        """Whether two values of the same store have other curves in them."""
        return any(
            one.curves != other.curves and self._shared(one, other)
            for at, one in enumerate(parts)
            for other in parts[at + 1 :]
        )

    def _network(self, node: Node, parts: list[Made]) -> bool:
        """Whether stored matrices, and no table of places, spread out what a node gets or makes."""
        spread = [part for part in parts if part.level]
        if spread:
            curve = node.op in kinds.ACTIVATIONS | kinds.PRODUCTS | kinds.LINEAR_PAIRS | kinds.SUMMING
            same = node.operator.kind in kinds.COPYING or node.op in ("Identity", "Cast", "Neg", "Mul", "Div")
            same &= not self._by_its_own(parts)
            return (curve or same) and all(part.network for part in spread)
        stores = [part for part in parts if self._elements(part.roots) > FEW]
        learned = [part for part in stores if not all(self._is_pattern(root) for root in part.roots)]
        return node.op in kinds.PRODUCTS and len(learned) > 1

    def _level(self, node: Node, names: list[str], parts: list[Made], size: int | None, stored: int) -> int:
        highest = max(part.level for part in parts)
        # A size that nobody knows may be any: what comes of it is undecided then, and no silent pass.
        grows = (size is None or size > stored) and len({*names}) > 1
        to_float = node.op == "Cast" and dtypes.is_float(kinds.element_type(node.attributes.get("to", 0)))
        if grows and (node.op == kinds.SAMPLING or (self._puts_together(node, names) and self._differ(parts))):
            return 2
        if node.operator.kind in kinds.COPYING and node.op != "OneHot":
            return highest
        if node.op in ("Identity", "Neg", "Dropout", "CastLike") or to_float or node.op in kinds.SUMMING:
            return highest
        if node.op in kinds.LINEAR_PAIRS:
            return max(highest, int(grows))
        if node.op in ("Mul", "Div") or node.op in kinds.PRODUCTS:
            spread = [part for part in parts if part.level]
            bends = len(spread) > 1 and bool(spread[0].roots & spread[1].roots or spread[0].roots == spread[1].roots)
            bends = bends or (node.op == "Div" and len(parts) > 1 and parts[1].level > 0)
            bends = bends or (node.op == "Mul" and len(set(names)) == 1 and highest > 0)
            bends = bends or self._by_its_own(parts)
            return 2 if bends else max(highest, int(grows))
        if node.op == "OneHot":
            return 2 if size is None or size > stored else 0
        if sum(self.sizes[name] != 1 for name in {*names}) > 1 and any(self._holds_store(part) for part in parts):
            return 2 if highest or grows else 0
        return 2 if highest else 0

    def _by_its_own(self, parts: list[Made]) -> bool:
        """Whether numbers that were spread out are multiplied by those that they are made of: a power of each code.

        A statistic of what was spread out (its norm, its deviation) scales it, as weight normalisation does.
        """
        for one in parts:
            stores = frozenset(root for root in one.roots if not self._is_pattern(root))
            for other in parts:
                whole = other.statistic and other.roots >= stores and not one.curves
                if one.level and not other.level and not whole and self._elements(stores & other.roots) > FEW:
                    return True
        return False

    def _statistic(self, node: Node, parts: list[Made]) -> bool:
        """Whether a node sums up what was spread out, or works on such a sum alone."""
        if node.operator.has(Trait.SUMS):
            return any(part.level or part.statistic for part in parts)
        others = [part for part in parts if not part.statistic]
        return len(others) < len(parts) and not any(self._holds_store(part) for part in others)

    def _marks(self, node: Node, env: dict[str, Made]) -> bool:
        """Whether a node puts numbers of a pattern to stored places: a choice by codes, as a one-hot is.

        Stored values that are put to places are those values again, and what is around them is none.
        """
        if not node.operator.has(Trait.SCATTERS):
            return False
        chooses = node.operator.chooses
        told = [env[name] for at, name in enumerate(node.inputs) if at in chooses and name in env]
        updates = env.get(next((name for at, name in reversed([*enumerate(node.inputs)]) if at not in chooses), ""))
        return any(self._holds_store(made) for made in told) and (updates is None or not self._holds_store(updates))

    def _holds_store(self, made: Made) -> bool:
        """Whether more numbers are in it than parameters have, which follow no pattern."""
        return self._elements(root for root in made.roots if not self._is_pattern(root)) > FEW

    def _coordinates(self, node: Node, parts: list[Made]) -> bool:
        """Whether the largest store that is spread out follows a pattern."""
        if any(part.level for part in parts):
            return all(part.coordinates for part in parts if part.level)
        stores = [part for part in parts if self._elements(part.roots) > 0]
        rows = stores[0] if stores else None
        if node.op in kinds.LINEAR_PAIRS:
            rows = max(stores, key=lambda part: self._elements(part.roots), default=None)
        return rows is None or all(self._is_pattern(root) for root in rows.roots)

    def _elements(self, roots: Iterable[tuple[str, str]]) -> int:
        return sum(self.tensors[root].size for root in roots)

    def _is_pattern(self, root: tuple[str, str]) -> bool:
        if root not in self.patterns:
            try:
                tensor = self.tensors[root]
                self.patterns[root] = tensor.dtype != "string" and is_pattern(tensor.array())
            except (GraphError, TypeError, ValueError):
                self.patterns[root] = False
        return self.patterns[root]

    def _meets_image(self, node: Node, env: dict[str, Made]) -> None:
        """Count a value of level 2 where it is a weight: in a product with what is computed from the image."""
        weighs = node.operator.has(Trait.LEARNED) or (
            node.op == "Mul"
            and any(reader.op == "ReduceSum" for reader in node.graph.consumers.get(node.outputs[0], []))
        )
        if not weighs:
            return
        for name in node.inputs:
            made = env.get(name)
            if made is not None and made.level == 2:
                entry = self._storage(made, name, node)
                if entry is not None:
                    self.found.append(entry)

    def _storage(self, made: Made, name: str, node: Node) -> SharedStorage | None:
        stored = self._elements(made.roots)
        if made.weights is not None and made.weights <= max(stored, FEW):
            return None
        codes = [root for root in made.roots if not self._is_pattern(root)]
        kept = self._elements(codes)
        why = ""
        kind: Literal["expanded", "formula"] = "expanded"
        values = self.evaluations.setdefault(id(node.graph), Evaluation(node.graph)).value(name)
        found = None if values is None else kernels(node.op, values)
        if found is not None and found.numbers <= kept:
            return None
        if found is not None and found.open(kept):
            kind, why = "formula", found.why(kept)
        elif made.coordinates:
            kind = "formula"
            if values is not None and is_transform(values):
                return None
            if values is None:
                why = "a formula makes weights, which could not be worked out here"
            elif made.weights is not None and made.weights <= FORMULA * kept:
                why = (
                    f"a network of {kept} stored numbers turns coordinates into {made.weights} weights, as continuous "
                    "kernels do"
                )
        elif made.interpolated:
            many = "more" if made.weights is None else str(made.weights)
            why = f"interpolation makes {many} weights of {stored} stored numbers"
        elif made.network and made.weights is not None and made.weights <= FORMULA * kept:
            why = f"a network of {kept} stored numbers makes {made.weights} weights, as a hypernetwork of codes does"
        sources = sorted((self.tensors[root] for root in made.roots), key=lambda tensor: -tensor.size)
        return SharedStorage(
            kind=kind,
            weights=made.weights,
            values=kept if made.coordinates else stored,
            bytes=sum((tensor.size * dtypes.bits(tensor.dtype) + 7) // 8 for tensor in sources),
            sources=tuple(described(tensor) for tensor in sources[:10]),
            made_by=(made.node,),
            used_by=(f"node {node.label!r}",),
            caveat=why,
        )
