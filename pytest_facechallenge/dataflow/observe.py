"""Look at one model without control flow: run it on the probe pictures and write down what was seen."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx

from pytest_facechallenge.dataflow import copies, parts, towers, warps
from pytest_facechallenge.dataflow.runner import Runner, RunError, as_floats
from pytest_facechallenge.dataflow.signatures import PROBES
from pytest_facechallenge.dataflow.structure import CONVOLUTIONS, PRODUCTS, RECURRENT, Layer, Structure
from pytest_facechallenge.facts.dataflow import FoldFact, RepeatFact, StackFact, TowerFact, TwinFact, ViewFact
from pytest_facechallenge.graph.ir import Node, from_model

if TYPE_CHECKING:
    from pytest_facechallenge.dataflow.gather import Feed

Array = npt.NDArray[Any]

POOLING = frozenset(
    {"AveragePool", "MaxPool", "LpPool", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceMax"}
)

#: Nodes named in a finding at most.
NAMED = 6


class Observer:
    """Collects facts about one variant of the model.

    Parameters
    ----------
    model
        Without control flow.
    feed
        The pictures.
    branch
        In words, which way the Ifs went; "" when there is none.
    """

    def __init__(
        self, model: onnx.ModelProto, feed: Feed, branch: str, workdir: Path | None = None, threads: int = 0
    ) -> None:
        self.model, self.feed, self.branch = model, feed, branch
        self.workdir, self.threads = workdir, threads
        graph = from_model(model, Path())
        names = [name for node in graph.nodes for name in node.outputs if name]
        survey = Runner(model, names, workdir, threads)(feed(feed.pictures.natural(1)))
        survey[feed.name] = feed.pictures.natural(1)
        self.structure = Structure(graph, survey, feed.name)
        self.views: list[ViewFact] = []
        self.stacks: list[StackFact] = []
        self.twins: list[TwinFact] = []
        self.repeats: list[RepeatFact] = []
        self.folds: list[FoldFact] = []
        self.towers: list[TowerFact] = []
        self.gaps: list[str] = []
        self.regions: dict[str, tuple[list[Node], set[str]]] = {}
        self.values: dict[str, Array] = {}

    def prepare(self) -> None:
        """Do what needs no probe picture: related weights, regions without weights, front layers."""
        structure = self.structure
        self.classes = towers.weight_classes(structure)
        for layer in structure.layers:
            if layer.data not in self.regions:
                self.regions[layer.data] = structure.region(layer.data)
        self.front = [layer for layer in structure.layers if self.feed.name in self.regions[layer.data][1]]
        self.heads = self._heads()
        self._repeats()

    def observe(self) -> None:
        """Fill the lists."""
        self.prepare()
        self._run()
        self._views()
        self._stacks()
        self._twins()
        self._folds()
        self._towers()

    # -- running ---------------------------------------------------------------------------------------------------

    def _heads(self) -> list[tuple[towers.Class, list[towers.Class]]]:
        """Pair every class of parallel executions that no other class feeds with the classes that it feeds."""
        structure = self.structure
        bits = [sum(1 << structure.position[id(layer.node)] for layer in group.layers) for group in self.classes]
        above = []
        for group in self.classes:
            ancestors = 0
            for layer in group.layers:
                ancestors |= structure.ancestors[structure.position[id(layer.node)]]
            above.append(ancestors)
        heads = []
        for index, group in enumerate(self.classes):
            if any(above[index] & bits[other] for other in range(len(self.classes)) if other != index):
                continue
            below = [self.classes[o] for o in range(len(self.classes)) if o == index or above[o] & bits[index]]
            heads.append((group, below))
        return heads

    def _joins(self, layer: Layer) -> list[Node]:
        """Nodes without weights before the layer whose result is larger than each thing that they were given.

        Only such a node can put two versions beside each other. A product of two things that depend on the picture
        (attention) is larger too, but holds sums, not copies.
        """
        structure = self.structure
        found = []
        for node in self.regions[layer.data][0]:
            size = prod(structure.shapes.get(node.outputs[0], (0,)))
            given = [prod(structure.shapes.get(name, (0,))) for name in node.inputs if name in structure.varying]
            if node.op in PRODUCTS and len(given) > 1:
                continue
            if given and size >= 1.3 * max(given):
                found.append(node)
        return found

    def _stacked_layers(self) -> list[Layer]:
        return [layer for layer in self.structure.layers if self._joins(layer)]

    def _run(self) -> None:
        """Keep, for every noise picture, the values that the observers ask for (thinned when large)."""
        structure = self.structure
        axes: dict[str, int] = {}
        for layer in self._stacked_layers():
            axes.setdefault(layer.data, layer.contracted)
            for node in self._joins(layer):
                axes.setdefault(node.outputs[0], self._channel_axis(node.outputs[0], layer))
        for layer in self.front:
            axes.setdefault(layer.data, layer.contracted)
        for group, _ in self.heads:
            for layer in group.layers:
                axes.setdefault(layer.data, layer.contracted)
                for root in self.regions[layer.data][1]:
                    axes.setdefault(root, min(1, len(structure.shapes.get(root, ())) - 1))
        axes.pop(self.feed.name, None)
        wanted = [name for name in axes if len(structure.shapes.get(name, ())) >= 1]
        pictures = self.feed.pictures.noise(PROBES)
        self.values[self.feed.name] = pictures[:, None]
        if not wanted:
            return
        runner = Runner(self.model, wanted, self.workdir, self.threads)
        kept: dict[str, list[Array]] = {name: [] for name in wanted}
        for picture in pictures:
            for name, value in runner(self.feed(picture[None])).items():
                array = as_floats(value)
                if array is not None and array.ndim >= 1:
                    kept[name].append(copies.thin(array[None], max(0, axes[name]))[0])
        for name, arrays in kept.items():
            if len(arrays) == PROBES and len({array.shape for array in arrays}) == 1 and arrays[0].size:
                self.values[name] = np.stack(arrays)
            elif arrays:
                self.gaps.append(f"the size of {name!r} depends on the picture; it was not looked into")

    def _channel_axis(self, name: str, layer: Layer) -> int:
        """Return the axis of a value before the layer that holds what the layer sums over; -1 when it is not clear."""
        shape, there = self.structure.shapes.get(name, ()), self.structure.shapes[layer.data]
        if len(shape) == len(there):
            return layer.contracted
        same = [axis for axis, extent in enumerate(shape) if extent == there[layer.contracted]]
        return same[-1] if same else -1

    def _share_after(self, layer: Layer) -> float:
        structure = self.structure
        bit = 1 << structure.position[id(layer.node)]
        after = sum(
            other.macs
            for other in structure.layers
            if other is layer or structure.ancestors[structure.position[id(other.node)]] & bit
        )
        return after / max(1, structure.total_macs)

    def _via(self, layer: Layer) -> tuple[str, ...]:
        moving = [node.label for node in reversed(self.regions[layer.data][0]) if self.structure.moves(node)]
        return tuple(moving[:NAMED])

    # -- observers -------------------------------------------------------------------------------------------------

    def _views(self) -> None:
        names = list(dict.fromkeys(layer.data for layer in self.front))
        if not names:
            return
        sampled: dict[str, warps.Ramps] | None = None
        noise = self.values[self.feed.name][:, 0]
        done: dict[str, tuple[warps.View, str]] = {}
        everything = frozenset(range(len(warps.pixels_asked(*noise.shape[-2:]))))
        for name in names:
            seen = self.values.get(name)
            if seen is None:
                continue
            if name == self.feed.name:
                done[name] = (warps.View("exact", 1.0, words="every pixel", present=everything), "identical")
                continue
            if sampled is None:
                sampled = self._ramps(names)
            view = self._view(noise, seen, sampled[name])
            turn = self._turn(seen) if view.kind == "exact" else ""
            done[name] = (view, turn)
        parts = [view.present for view, _ in done.values() if view.present]
        union = len(frozenset().union(*parts)) / len(everything)
        for layer in self.front:
            if layer.data not in done:
                continue
            view, turn = done[layer.data]
            common = max(
                (len(view.present & other) / len(everything) for other in parts if other is not view.present),
                default=0.0,
            )
            scale = tuple(0.0 if np.isnan(s) else round(float(s), 4) for s in view.scale)
            offset = tuple(0.0 if np.isnan(o) else round(float(o), 3) for o in view.offset)
            self.views.append(
                ViewFact(
                    layer=layer.node.label, kind=view.kind, coverage=round(view.coverage, 4), turn=turn,
                    scale=(scale[0], scale[1]), offset=(offset[0], offset[1]), words=view.words, via=self._via(layer),
                    pooled=self._shrinks(layer),
                    macs_after=round(self._share_after(layer), 4), together=round(union, 4), common=round(common, 4),
                    branch=self.branch,
                )
            )  # fmt: skip

    def _view(self, noise: Array, seen: Array, ramps: warps.Ramps) -> warps.View:
        """Combine what the noise pictures, the ramps and the natural pictures show about one input."""
        view = warps.exact_view(noise, seen)
        if view is not None:
            if warps.holds_elsewhere(noise, seen, self._natural, ramps.natural) < 1:
                return warps.View("chosen", view.coverage, words="other pixels for some pictures than for others")
            return view
        one = seen[:, 0] if seen.ndim == 5 and seen.shape[1] == 1 else None
        in_size = one is not None and one.shape[-2:] == noise.shape[-2:]
        if in_size:
            held = warps.chosen_share(noise, one)
            if 0.05 < held < 0.98:
                words = f"the picture as it is for {held:.0%} of the probe pictures and a changed one for the others"
                return warps.View("chosen", 1.0, words=words)
        view = warps.sampled_view(self.feed.pictures, self._natural, ramps)
        if view.kind == "in place" and in_size and not warps.pixelwise(noise, one):
            return warps.View(
                "smoothed", view.coverage, view.scale, view.offset, "the picture in place, but re-sampled"
            )
        return view

    def _shrinks(self, layer: Layer) -> bool:
        """Whether a pooling operator or an averaging convolution made what the layer sees."""
        return any(
            (node.op in POOLING or node.op == "Conv")
            and min(self.structure.shapes[node.outputs[0]][-2:], default=1) > 1
            for node in self.regions[layer.data][0]
        )

    def _turn(self, seen: Array) -> str:
        """Say how what a layer sees lies to the picture; a shift that padding explains is none."""
        picture = self.values[self.feed.name]
        if seen.ndim != picture.ndim:
            return ""
        share, relation = copies.across(picture, seen)
        if share < copies.COVERAGE:
            return ""
        if relation.kind == "shifted":
            margins = [(a - b) / 2 for a, b in zip(seen.shape[-2:], picture.shape[-2:], strict=True)]
            moved = relation.shift[-2:] if relation.shift else (0, 0)
            if all(abs(by - margin) < 1 for by, margin in zip(moved, margins, strict=True)):
                return "identical"
        return relation.kind

    def _ramps(self, names: list[str]) -> dict[str, warps.Ramps]:
        pictures = self.feed.pictures
        self._natural = pictures.natural(6)
        runner = Runner(self.model, [n for n in names if n != self.feed.name], self.workdir, self.threads)
        plan = {
            "dark": pictures.flat(0.3), "light": pictures.flat(0.7), "rows": pictures.ramp(0),
            "columns": pictures.ramp(1), "coded": pictures.coded(),
        }  # fmt: skip
        single = {key: runner(self.feed(picture)) for key, picture in plan.items()}
        natural = [runner(self.feed(picture[None])) for picture in self._natural]
        result = {}
        for name in names:
            if name == self.feed.name:
                continue
            arrays = {key: np.asarray(values[name], np.float64) for key, values in single.items()}
            stacked = np.stack([np.asarray(values[name], np.float64) for values in natural])
            result[name] = warps.Ramps(natural=stacked, **arrays)
        return result

    def _stacks(self) -> None:
        done: set[str] = set()
        for layer in self._stacked_layers():
            names = [layer.data, *(node.outputs[0] for node in self._joins(layer))]
            for name in names:
                if name in done or name not in self.values:
                    continue
                done.add(name)
                self._stack(layer, name)

    def _stack(self, layer: Layer, name: str) -> None:
        values = self.values[name]
        rank = values.ndim - 1
        contracted = layer.contracted if name == layer.data else self._channel_axis(name, layer)
        if not 0 <= contracted < rank:
            return
        positions = [axis for axis in range(rank) if axis != contracted and values.shape[axis + 1] > 1]
        found = copies.stacks(values, contracted, positions, same_index=True)
        if not found and layer.node.op not in RECURRENT and values.shape[contracted + 1] > 1:
            full = values.shape[contracted + 1] == self.structure.shapes[name][contracted]
            found = copies.stacks(values, contracted, [contracted], same_index=False) if full else []
        for stack in found:
            if stack.relation.kind == "identical":
                continue
            on_channels = stack.axis == contracted
            self.stacks.append(
                StackFact(
                    layer=layer.node.label, join=self._join(layer, name), axis=self._axis_words(stack.axis, contracted),
                    on_channels=on_channels, blocks=stack.blocks, coverage=round(stack.coverage, 3),
                    relation=stack.relation.kind, words=stack.relation.words,
                    overlap=self._overlap(layer, stack) if on_channels else 0.0,
                    from_picture=self.regions[layer.data][1] == {self.feed.name},
                    macs_after=round(self._share_after(layer), 4), via=self._via(layer), branch=self.branch,
                )
            )  # fmt: skip

    def _join(self, layer: Layer, name: str) -> str:
        joins = self._joins(layer)
        for node in joins:
            if name in node.outputs:
                return node.label
        return (
            joins[0].label
            if joins
            else (self.structure.producer[name].label if name in self.structure.producer else name)
        )

    def _axis_words(self, axis: int, contracted: int) -> str:
        if axis == contracted:
            return "the channels"
        return "the batch axis" if axis == 0 else f"axis {axis}"

    def _overlap(self, layer: Layer, stack: copies.Stack) -> float:
        """Return how far one output of the layer sums over both versions, 0..1."""
        matrix = self._mixing(layer)
        if matrix is None or matrix.shape[1] % stack.blocks:
            return 1.0
        width = matrix.shape[1] // stack.blocks
        index = np.arange(matrix.shape[1])
        block = index % stack.blocks if stack.interleaved else index // width
        one, two = matrix[:, block == stack.first].sum(1), matrix[:, block == stack.second].sum(1)
        return float(np.minimum(one, two).sum() / max(1e-12, np.maximum(one, two).sum()))

    def _mixing(self, layer: Layer) -> Array | None:
        """Return |weights| summed to [outputs, inputs], grouped layers spread out."""
        weights = self.structure.constant(layer.weight)
        if weights is None or weights.dtype.kind not in "fiu" or weights.ndim < 2:
            return None
        sizes = np.abs(weights.astype(np.float32))
        if layer.node.op in CONVOLUTIONS:
            if layer.node.op == "ConvTranspose":
                return None
            flat = sizes.reshape(*sizes.shape[:2], -1).sum(2)
            if layer.groups == 1:
                return flat
            full = np.zeros((flat.shape[0], flat.shape[1] * layer.groups), np.float32)
            rows = flat.shape[0] // layer.groups
            for group in range(layer.groups):
                part = slice(group * rows, (group + 1) * rows)
                full[part, group * flat.shape[1] : (group + 1) * flat.shape[1]] = flat[part]
            return full
        if weights.ndim != 2 or layer.node.op in RECURRENT or layer.node.op == "Einsum":
            return None
        first = layer.node.inputs[0] == layer.data
        return sizes.T if first != bool(layer.node.attributes.get("transB", 0)) else sizes

    def _twins(self) -> None:
        structure = self.structure
        for group, below in self.heads:
            first = group.layers[0]
            others = group.layers[1:]
            inputs, relation = self._inputs(first, others)
            apart = [entry for entry in below if entry is group or self._apart(entry, group)]
            if len(apart) == 1 and inputs == "one":
                continue  # they meet again before the next layer: branches on one tensor
            below = apart
            sizes = {prod(structure.shapes[layer.data]) for layer in group.layers}
            settings = {layer.settings for layer in group.layers}
            relations = [kind for entry in below for kind in entry.relations]
            self.twins.append(
                TwinFact(
                    layers=tuple(layer.node.label for layer in group.layers[:NAMED]), count=len(below),
                    weights=max(set(relations), key=relations.count),
                    surplus=round(sum(entry.surplus for entry in below) / max(1, structure.total_macs), 4),
                    inputs=inputs, relation=relation.kind if relation else "", words=relation.words if relation else "",
                    same_size=len(sizes) == 1, same_settings=len(settings) == 1,
                    from_picture=all(self.feed.name in self.regions[layer.data][1] for layer in group.layers),
                    differ=self._results_differ(group), branch=self.branch,
                    via=tuple(dict.fromkeys(name for layer in group.layers for name in self._via(layer)))[:NAMED],
                )
            )  # fmt: skip

    def _apart(self, entry: towers.Class, head: towers.Class) -> bool:
        """Whether the executions of ``entry`` descend from different executions of ``head``."""
        structure = self.structure
        bits = [1 << structure.position[id(layer.node)] for layer in head.layers]
        above = []
        for layer in entry.layers:
            ancestors = structure.ancestors[structure.position[id(layer.node)]]
            above.append(tuple(bool(ancestors & bit) for bit in bits))
        return len(set(above)) == len(above)

    def _results_differ(self, group: towers.Class) -> bool:
        """Whether the executions give different values (equal ones are a redundancy, not a second look)."""
        first = group.layers[0]
        return not all(
            layer.data == first.data and layer.settings == first.settings and relation in ("shared", "equal")
            for layer, relation in zip(group.layers[1:], group.relations, strict=True)
        )

    def _inputs(self, first: Layer, others: list[Layer]) -> tuple[str, copies.Relation | None]:
        structure = self.structure
        kinds: list[tuple[str, copies.Relation | None]] = []
        for other in others:
            kinds.append(self._pair(first, other))
        order = ("versions", "resampled", "different", "pooled", "parts", "one")
        kinds.sort(key=lambda kind: order.index(kind[0]))
        worst = kinds[0]
        if worst[0] in ("resampled", "different"):
            roots = set.union(*(self.regions[layer.data][1] for layer in [first, *others]))
            total = sum(prod(structure.shapes[layer.data]) for layer in [first, *others])
            if total <= 1.3 * max(prod(structure.shapes.get(root, (0,))) for root in roots):
                return "parts", None
        return worst

    def _pair(self, one: Layer, other: Layer) -> tuple[str, copies.Relation | None]:
        if one.data == other.data:
            return "one", None
        a, b = self.values.get(one.data), self.values.get(other.data)
        if a is None or b is None:
            return "different", None
        if a.shape == b.shape and np.abs(a - b).max() <= 1e-5 * (np.abs(a).max() + 1e-30):
            return "one", None
        share, relation = copies.across(a, b)
        back, _ = copies.across(b, a)
        if max(share, back) >= copies.COVERAGE:
            return ("one", None) if relation.kind == "identical" else ("versions", relation)
        roots = [self.regions[layer.data][1] for layer in (one, other)]
        common = roots[0] & roots[1]
        for root in common:
            pool = self.values.get(root)
            if pool is None:
                continue
            if min(_share(a, pool), _share(b, pool)) >= 0.8:
                return "parts", None
        if common and roots[0] == roots[1]:
            own = [{id(node) for node in self.regions[layer.data][0]} for layer in (one, other)]
            extra = [
                node
                for layer, theirs in ((one, own[1]), (other, own[0]))
                for node in self.regions[layer.data][0]
                if id(node) not in theirs
            ]
            pooled = any(node.op in POOLING for node in extra)
            return ("pooled" if pooled else "resampled"), None
        return "different", None

    def _repeats(self) -> None:
        structure = self.structure
        found: dict[tuple[int, str], list[Layer]] = {}
        for layer in structure.layers:
            matrix = self._mixing(layer)
            weights = structure.constant(layer.weight)
            if matrix is None or weights is None or layer.node.op == "ConvTranspose":
                continue
            for blocks in (2, 3, 4, 5, 6, 8):
                parts = _independent_parts(layer, weights, matrix, blocks)
                relation = towers.repeated_blocks(parts, blocks) if parts is not None else ""
                if relation:
                    found.setdefault((blocks, relation), []).append(layer)
                    break
        by_blocks: dict[int, list[tuple[str, Layer]]] = {}
        for (blocks, relation), layers in found.items():
            by_blocks.setdefault(blocks, []).extend((relation, layer) for layer in layers)
        for blocks, entries in by_blocks.items():
            relations = [relation for relation, _ in entries]
            self.repeats.append(
                RepeatFact(
                    layers=tuple(layer.node.label for _, layer in entries[:NAMED]), blocks=blocks,
                    weights=max(set(relations), key=relations.count),
                    share=round(sum(layer.macs for _, layer in entries) / max(1, structure.total_macs), 4),
                    branch=self.branch,
                )
            )  # fmt: skip

    def _towers(self) -> None:
        try:
            self._compare_parts()
        except RunError as error:
            self.gaps.append(f"parts of the network could not be run alone and compared: {error}")

    def _compare_parts(self) -> None:
        found = parts.compare_parts(self.model, self.structure, self.feed, self.branch)
        if not any(tower.turn or tower.inputs not in ("", "identical", "rescaled") for tower in found):
            found += parts.compare_parallel(self.model, self.structure, self.feed, self.branch)
        self.towers += found
        halved = []
        for layer in self.structure.layers:
            weights, matrix = self.structure.constant(layer.weight), self._mixing(layer)
            if weights is None or matrix is None or layer.node.op not in CONVOLUTIONS:
                continue
            if min(matrix.shape) >= 8 and _independent_parts(layer, weights, matrix, 2) is not None:
                halved.append((layer, 2))
        if sum(layer.macs for layer, _ in halved) >= 0.3 * self.structure.total_macs:
            self.towers += parts.compare_halves(self.model, self.structure, self.feed, halved, self.branch)

    def _folds(self) -> None:
        """Count rows per picture by running two pictures beside one, and versions put beside each other elsewhere."""
        structure = self.structure
        self._side_by_side()
        candidates = [
            layer
            for layer in structure.layers
            if structure.shapes[layer.data][:1] != (1,)
            and any(structure.moves(node) for node in self.regions[layer.data][0])
        ]
        if not candidates:
            return
        try:
            runner = Runner(self.model, [layer.data for layer in candidates], self.workdir, self.threads)
            two = runner(self.feed(self.feed.pictures.natural(2)))
        except RunError:
            return
        for layer in candidates:
            shape, doubled = structure.shapes[layer.data], np.shape(two[layer.data])
            if len(shape) != len(doubled) or not shape or doubled[0] != 2 * shape[0]:
                continue
            joins = self._joins(layer)
            self._fold(layer, shape[0], prod(shape), joins[0].label if joins else "")

    def _side_by_side(self) -> None:
        """Note joins of equally large things, each as large as the one value that all were made from."""
        structure = self.structure
        done: set[int] = set()
        for layer in self._stacked_layers():
            for node in self._joins(layer):
                names = [name for name in node.inputs if name in structure.varying]
                shapes = {structure.shapes.get(name, ()) for name in names}
                if id(node) in done or node.op not in ("Concat", "ConcatFromSequence") or len(names) < 2 or len(shapes) > 1:
                    continue
                done.add(id(node))
                made_from = [structure.region(name)[1] for name in names]
                shape = shapes.pop()
                if any(roots != made_from[0] or len(roots) != 1 for roots in made_from) or len(shape) < 3:
                    continue
                channels = structure.shapes[layer.data][layer.contracted]
                if channels not in shape or prod(shape) < 0.7 * prod(structure.shapes[next(iter(made_from[0]))]):
                    continue
                self._fold(layer, len(names), len(names) * prod(shape), node.label)

    def _fold(self, layer: Layer, rows: int, size: int, join: str) -> None:
        shapes = self.structure.shapes
        largest = max(prod(shapes.get(root, (0,))) for root in self.regions[layer.data][1])
        self.folds.append(
            FoldFact(
                layer=layer.node.label, rows=rows, growth=round(size / max(1, largest), 3), join=join,
                macs_after=round(self._share_after(layer), 4), branch=self.branch,
            )
        )  # fmt: skip


def _share(part: Array, pool: Array) -> float:
    from pytest_facechallenge.dataflow.signatures import SAME, signatures

    marks, live = signatures(part)
    places = np.flatnonzero(live)
    if len(places) == 0:
        return 0.0
    asked = marks[np.random.default_rng(1).choice(places, min(200, len(places)), replace=False)]
    source, _ = signatures(pool)
    return float((np.abs(asked @ source.T).max(1) >= SAME).mean())


def _independent_parts(layer: Layer, weights: Array, matrix: Array, blocks: int) -> Array | None:
    """Return the kernels cut into ``blocks`` parts that share neither inputs nor outputs, stacked on axis 0; or None."""
    outputs, inputs = matrix.shape
    if outputs % blocks or inputs % blocks:
        return None
    o, i = outputs // blocks, inputs // blocks
    within = sum(float(matrix[k * o : (k + 1) * o, k * i : (k + 1) * i].sum()) for k in range(blocks))
    if within < 0.95 * float(matrix.sum()):
        return None
    if layer.node.op in CONVOLUTIONS and layer.groups > 1:
        return weights if layer.groups % blocks == 0 else None
    if layer.node.op not in CONVOLUTIONS:
        first = layer.node.inputs[0] == layer.data
        weights = weights.T if first != bool(layer.node.attributes.get("transB", 0)) else weights
    return np.concatenate([weights[k * o : (k + 1) * o, k * i : (k + 1) * i] for k in range(blocks)])
