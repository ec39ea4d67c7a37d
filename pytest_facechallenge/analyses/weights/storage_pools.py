"""Compare the weights that the graph computes with against the stored numbers that they come from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from pytest_facechallenge.analyses.weights.flows import MANY, Event, Root, Sink, Trace
from pytest_facechallenge.analyses.weights.kernels import Kernels, kernels
from pytest_facechallenge.analyses.weights.patterns import is_pattern
from pytest_facechallenge.analyses.weights.turned_angles import turning
from pytest_facechallenge.core.facts.weights import SharedStorage, StorageKind, StoredTensor
from pytest_facechallenge.onnx_graph.ir import Graph, GraphError

#: Constants of at most this many elements are parameters of single operators (the pixel mean of three channels, an
#: exponent, the sizes of a window), unless a convolution or a matrix product uses them as its weights.
SMALL = MANY

#: What is above zero and what is below it are two parts, and each stored number is in one: more uses make weights.
USES = 2

#: Share of a tensor's elements, up to which others than one number stand in it: as much as it stores.
NEARLY = 0.01

#: Weights that a network of stored matrices makes of each stored number, up to which that is left undecided.
MOST_MADE = 16


@dataclass
class Storage:
    """Result of `measure`: see the fields of the same names in `WeightsFacts`."""

    shared: list[SharedStorage] = field(default_factory=list)
    covered: list[SharedStorage] = field(default_factory=list)
    small_integers: int = 0


def measure(found: Trace) -> Storage:
    """Group what `trace` found into pools of stored numbers and count the weights that each pool gives.

    Two pools are one when a weight is made of both; so storage that serves many layers is counted once. A pool's
    weights are the elements that its events make, plus those of its tensors that are also used as they are.
    """
    return _Measure(found).result()


class _Measure:
    def __init__(self, found: Trace) -> None:
        self.found = found
        self.storage = Storage()
        self.made: dict[int, int | None] = {}
        self.pattern = cache(self._pattern)

    def _pattern(self, index: int) -> bool:
        root = self.found.roots[index]
        if root.elements <= 1:
            return root.dtype != "string"
        if root.dtype == "string":
            return False
        try:
            return is_pattern(root.array())
        except (GraphError, TypeError, ValueError):
            return False  # what cannot be read is not called harmless

    def result(self) -> Storage:
        live, sinks_of = self._live_events()
        pools: dict[int, int] = {}

        def pool(root: int) -> int:
            while pools.setdefault(root, root) != root:
                root = pools[root]
            return root

        def join(roots: set[int]) -> None:
            big = [root for root in sorted(roots) if self.found.roots[root].elements > SMALL] or sorted(roots)
            for root in big[1:]:
                pools[pool(root)] = pool(big[0])

        for event in live:
            join({*event.roots, *event.triggers})
            for sink in sinks_of[event.index]:
                join({*sink.flow.roots, *event.roots})
        grouped: dict[int, list[Event]] = {}
        for event in live:
            members = {*event.roots, *event.triggers}
            biggest = max(members, key=lambda root: (self.found.roots[root].elements > SMALL, -root))
            grouped.setdefault(pool(biggest), []).append(event)
        plain = self._plainly_used({event.index for event in live})
        for head in sorted(grouped):
            self._count(grouped[head], sinks_of, plain)
        return self.storage

    def _live_events(self) -> tuple[list[Event], dict[int, list[Sink]]]:
        """Return the events that make weights, without those whose numbers follow a pattern or are a small few."""
        sinks_of: dict[int, list[Sink]] = {}
        for sink in self.found.sinks:
            for index in sink.flow.events:
                sinks_of.setdefault(index, []).append(sink)
        live: list[Event] = []
        small: set[int] = set()
        for index in sorted(sinks_of):
            event = self.found.events[index]
            elements = sum(self.found.roots[root].elements for root in event.triggers)
            text = any(self.found.roots[root].dtype == "string" for root in event.triggers)
            if all(self.pattern(root) for root in event.triggers):
                continue
            if elements <= SMALL and not text and not any(sink.learned for sink in sinks_of[index]):
                small |= event.triggers
                continue
            live.append(event)
        self.storage.small_integers = sum(self.found.roots[root].elements for root in small if not self.pattern(root))
        return live, sinks_of

    def _plainly_used(self, live: set[int]) -> set[int]:
        """Return the roots that are also used as they are, beside what events make of them."""
        taken = {root for index in live for root in self.found.events[index].roots}
        used: set[int] = set()
        for sink in self.found.sinks:
            used |= sink.flow.plain & taken if sink.flow.events & live else sink.flow.roots
        return used

    def _made(self, event: Event) -> int | None:
        """Return how many weights an event makes; None when that is not known before the model runs."""
        if event.index not in self.made:
            self.made[event.index] = 0  # a loop's body is gone through twice: an event may come of itself
            self.made[event.index] = self._count_made(event)
        return self.made[event.index]

    def _count_made(self, event: Event) -> int | None:
        if event.elements is not None:
            return event.elements
        size = self.found.size(event.value, of_one_row=not event.veiled)
        if not event.bounded:
            return size
        stored = sum(self.found.roots[i].elements for i in event.roots if not self.pattern(i))
        # Several events of one store that are put together made more numbers than it has.
        before = self._total([self.found.events[index] for index in sorted(event.before)])
        most = None if before is None else max(stored, before)
        known = [count for count in (size, most) if count is not None]
        return min(known) if known else None

    def _total(self, events: list[Event]) -> int | None:
        """Return how many weights events make together, where the two parts of a matrix are that matrix."""
        parted = self._parted(events)
        counts = [self._made(event) for event in events if not (event.whole and event.roots in parted)]
        counts += [max(filter(None, (self._made(event) for event in parts)), default=None) for parts in parted.values()]
        return None if None in counts else sum(count or 0 for count in counts)

    @staticmethod
    def _parted(events: list[Event]) -> dict[frozenset[int], list[Event]]:
        """Return, by what they are made of, the events that are one stored matrix used twice: two, no more."""
        found: dict[frozenset[int], list[Event]] = {}
        for event in events:
            if event.whole:
                found.setdefault(event.roots, []).append(event)
        return {roots: parts for roots, parts in found.items() if len(parts) <= USES}

    def _numbers(self, index: int) -> int:
        """Return how many numbers a tensor stores.

        Of one that follows a pattern each number counts once, and of one that is nearly all one number what differs.
        """
        root = self.found.roots[index]
        if root.elements <= SMALL or root.dtype == "string":
            return root.elements
        try:
            counts = np.unique(root.array(), return_counts=True)[1]
        except (GraphError, TypeError, ValueError):
            return root.elements
        if self.pattern(index):
            return len(counts)
        others = root.elements - int(counts.max())
        return others + 1 if others <= NEARLY * root.elements else root.elements

    def _caveat(self, events: list[Event], weights: int | None, values: int) -> str:
        """Return why weights may honestly be more than what is stored: activations behind products of stored matrices.

        The product alone would be those matrices again (low rank); an activation behind it makes no more of them.
        """
        for event in events:
            stores = [
                root for root in event.roots if self.found.roots[root].elements > SMALL and not self.pattern(root)
            ]
            if event.kind != "packed" or not event.bounded or len(stores) < 2:
                return ""
        if weights is None or weights > MOST_MADE * values:
            return ""
        return f"a network of {values} stored numbers makes {weights} weights, as a hypernetwork of codes does"

    def _meets_once(self, event: Event) -> bool:
        """Whether the numbers of an event meet the image at one place, and go on alone to the event and to the end.

        What meets nothing else of the image behind the event multiplies none of its features: it is an activation.
        """
        meetings = [sink for sink in self.found.sinks if sink.flow.plain & event.roots]
        graph = self.found.evaluation.graph
        if len(meetings) != 1 or len(graph.consumers.get(meetings[0].value, ())) != 1:
            return False
        (node,) = graph.consumers[meetings[0].value]
        while event.value not in node.outputs:
            readers = graph.consumers.get(node.outputs[0], ())
            if len(node.outputs) != 1 or len(readers) != 1:
                return False
            (node,) = readers
        return self._goes_on_alone(event.value)

    def _goes_on_alone(self, value: str) -> bool:
        """Whether nothing else of the image meets a value, nor what is made of it, itself included."""
        graph = self.found.evaluation.graph
        of_the_image, made = _depending(graph, graph.inputs), _depending(graph, (value,))
        return all(
            sum(name in of_the_image for name in node.inputs) == 1 and not node.subgraphs
            for node in graph.nodes
            if not made.isdisjoint(node.inputs)
        )

    def _used(self, events: list[Event], sinks: list[Sink], weights: int) -> int:
        """Return how many numbers meet the image at most, where curves were summed up before (a state space's)."""
        sizes = {sink.value: self.found.size(sink.value) if sink.value else None for sink in sinks}
        if any(event.kind != "packed" for event in events) or any(sink.chooses for sink in sinks):
            return weights
        known = [size for size in sizes.values() if size is not None]
        return sum(known) if len(known) == len(sizes) else weights

    def _kernels(self, events: list[Event], sinks: list[Sink]) -> Kernels | None:
        """Return what is known of kernels that are all that events make; None where they make anything else."""
        if any(event.kind != "packed" for event in events):
            return None
        found: list[Kernels] = []
        for op, name in sorted({(sink.op, sink.value) for sink in sinks}):
            values = self.found.evaluation.value(name) if name else None
            known = None if values is None else kernels(op, values)
            if known is None:
                return None
            found.append(known)
        return Kernels(sum(each.places for each in found), sum(each.numbers for each in found))

    def _count(self, events: list[Event], sinks_of: dict[int, list[Sink]], plain: set[int]) -> None:
        roots = self.found.roots
        data: set[int] = set()
        chosen: set[int] = set()
        for event in events:
            data |= event.roots.union(*(sink.flow.roots for sink in sinks_of[event.index]))
            chosen |= event.triggers if event.kind == "codebook" else set()
        everything = data | chosen
        data -= chosen  # an index says which value, it is none
        values = sum(self._numbers(i) for i in data if roots[i].wide)
        parted = self._parted(events)
        weights = self._total(events)
        if len(events) == 1 and events[0].held is not None and self._meets_once(events[0]):
            # Features to which stored numbers were added are bent once (a sine, a rounding): no number became two.
            weights, plain = events[0].held, set()
        sinks = [sink for event in events for sink in sinks_of[event.index]]
        found = self._kernels(events, sinks)
        turned = turning(self.found.evaluation.graph, events, sinks)
        kept = sum(roots[i].elements for i in data if roots[i].wide and not self.pattern(i))
        if found is not None and found.numbers <= kept:
            weights = found.numbers
        elif weights is not None:
            if turned:
                weights = self._total(turned) or 0
            weights = min(weights, self._used(events, sinks, weights))
            weights += sum(self._numbers(i) for i in (data & plain) - frozenset().union(*parted) if roots[i].wide)
        sources = sorted((roots[i] for i in everything), key=lambda root: (-root.elements, root.index))
        caveat = self._caveat(events, weights, values)
        if found is not None and found.open(kept):
            caveat = found.why(kept)
        elif turned:
            caveat = f"cosines and sines of {weights} angles turn features in place, as rotary positions do"
        result = SharedStorage(
            kind=_kind(events, [roots[i] for i in everything]),
            weights=weights,
            values=values,
            bytes=sum(root.bytes for root in sources),
            sources=tuple(describe(root) for root in sources[:10]),
            made_by=tuple(dict.fromkeys(event.node for event in events))[:5],
            used_by=tuple(dict.fromkeys(sink.node for sink in sinks))[:5],
            caveat=caveat,
        )
        covered = weights is not None and weights <= values
        (self.storage.covered if covered else self.storage.shared).append(result)


def _depending(graph: Graph, names: Iterable[str]) -> set[str]:
    """Return some values of a main graph and all that is made of them."""
    found = set(names)
    for node in graph.nodes:
        if not found.isdisjoint(node.inputs):
            found.update(node.outputs)
    return found - {""}


def _kind(events: list[Event], roots: list[Root]) -> StorageKind:
    if any(root.dtype == "string" for root in roots):
        return "text"
    kinds = {event.kind for event in events}
    if "codebook" in kinds:
        return "codebook"
    if any(not root.wide and root.dtype != "string" for root in roots):
        return "integers"
    return "packed"


def describe(root: Root) -> StoredTensor:
    """Return a root as a fact."""
    return StoredTensor(where=root.where, dtype=root.dtype, bits=root.bits, elements=root.elements, bytes=root.bytes)
