"""One variant of a model, opened for the observers: its structure, what lies between layers, and its values."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx

from pytest_facechallenge.analyses.implicit_batch import tensor_duplicates, weight_similarity
from pytest_facechallenge.analyses.implicit_batch.layer_index import POOLING, PRODUCTS, Layer, Structure, is_map
from pytest_facechallenge.analyses.implicit_batch.runner import Held, Runner, as_floats, part_for
from pytest_facechallenge.analyses.implicit_batch.signatures import PROBES
from pytest_facechallenge.onnx_graph.ir import Node, from_model

if TYPE_CHECKING:
    from pytest_facechallenge.analyses.implicit_batch.gather import Feed

Array = npt.NDArray[Any]

#: Share of the multiply-adds from which a part that never got to work is worth a word.
IDLE = 0.1

#: Nodes named in a finding at most.
NAMED = 6


class Probe:
    """One variant of the model, run and ready to be asked.

    Parameters
    ----------
    model
        Without control flow.
    feed
        The images.
    branch
        In words, which way the Ifs went; "" when there is none.
    """

    def __init__(self, model: onnx.ModelProto, feed: Feed, branch: str, threads: int = 0) -> None:
        self.model, self.feed, self.branch, self.threads = model, feed, branch, threads
        graph = feed.graph if model is feed.model else from_model(model, Path())
        names = [name for node in graph.nodes for name in node.outputs if name]
        image = feed.images.natural(1)
        survey = Runner(model, names, threads).survey(feed(image))
        survey[feed.name] = Held.of(image)
        self.structure = Structure(graph, survey, feed.name)
        self.gaps: list[str] = []
        self._opened: list[set[str]] = []
        self.windowed: set[str] = set()  # values that hold overlapping windows of one map, see `stacked`
        self.regions: dict[str, tuple[list[Node], set[str]]] = {}
        self.values: dict[str, Array] = {}

    @cached_property
    def natural(self) -> Array:
        """Natural-looking images, float32 [6, C, H, W]."""
        return self.feed.images.natural(6)

    def open(self, names: Sequence[str], model: onnx.ModelProto | None = None) -> Runner:
        """Load what the values of ``names`` need, of the variant or of another model made from it."""
        runner = Runner(part_for(model or self.model, names), names, self.threads)
        self._opened.append(runner.wild)
        return runner

    @property
    def wild(self) -> list[str]:
        """Values that were not finite, or too large to be compared, in some run so far."""
        return sorted(set().union(*self._opened))

    # -- running ---------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Do what needs no probe image: related weights, regions without weights, front layers."""
        structure = self.structure
        self.classes = weight_similarity.weight_classes(structure)
        for layer in structure.layers:
            if layer.data not in self.regions:
                self.regions[layer.data] = structure.region(layer.data)
        self.front = [layer for layer in structure.layers if self.feed.name in self.regions[layer.data][1]]
        self.pools = self._pools()
        self.heads = self._heads()

    def _pools(self) -> list[Layer]:
        """Return the poolings between the image and the first layers, as layers: what they see is looked at as well.

        An image re-sampled and then pooled shows the grid of the pooling alone.
        """
        structure = self.structure
        found: dict[str, Layer] = {}
        for layer in self.front:
            for node in self.regions[layer.data][0]:
                data = next((name for name in node.inputs if name in structure.varying), "")
                pools = node.op in POOLING | {"Conv"} and is_map(structure.shapes.get(node.outputs[0], ()))
                if pools and data != self.feed.name and len(structure.shapes.get(data, ())) == 4:
                    found.setdefault(data, Layer(node, data, "", 1, 0, 1))
        for data in found:
            self.regions.setdefault(data, structure.region(data))
        return list(found.values())

    def _heads(self) -> list[tuple[weight_similarity.Class, list[weight_similarity.Class]]]:
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

    def joins(self, layer: Layer) -> list[Node]:
        """Nodes without weights before the layer whose result is larger than each thing that they were given.

        Only such a node can put two versions beside each other. A product of two things that depend on the image
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

    def stacked_layers(self) -> list[Layer]:
        """Return the layers before which something was put together."""
        return [layer for layer in self.structure.layers if self.joins(layer)]

    def run(self) -> None:
        """Keep, for every noise image, the values that the observers ask for (thinned when large)."""
        structure = self.structure
        axes: dict[str, int] = {}
        for layer in self.stacked_layers():
            axes.setdefault(layer.data, layer.contracted)
            for node in self.joins(layer):
                axes.setdefault(node.outputs[0], self.channel_axis(node.outputs[0], layer))
        for layer in [*self.front, *self.pools]:
            axes.setdefault(layer.data, layer.contracted)
        for group, _ in self.heads:
            for layer in group.layers:
                axes.setdefault(layer.data, layer.contracted)
                for root in self.regions[layer.data][1]:
                    axes.setdefault(root, min(1, len(structure.shapes.get(root, ())) - 1))
        axes.pop(self.feed.name, None)
        wanted = [name for name in axes if len(structure.shapes.get(name, ())) >= 1]
        images = self.feed.images.noise(PROBES)
        self.values[self.feed.name] = images[:, None]
        if not wanted:
            return
        runner = self.open(wanted)
        kept: dict[str, list[Array]] = {name: [] for name in wanted}
        for image in images:
            for name, value in runner(self.feed(image[None])).items():
                array = as_floats(value)
                if array is not None and array.ndim >= 1:
                    kept[name].append(tensor_duplicates.thin(array[None], max(0, axes[name]))[0])
        chosen = self._alike(kept)
        if len(chosen) < PROBES:
            self.values[self.feed.name] = images[chosen][:, None]
        for name, arrays in kept.items():
            arrays = [arrays[index] for index in chosen] if len(arrays) == PROBES else arrays
            if len(arrays) == len(chosen) and len({array.shape for array in arrays}) == 1 and arrays[0].size:
                self.values[name] = np.stack(arrays)
            elif arrays:
                self.gaps.append(f"the size of {name!r} depends on the image; it was not looked into")

        self._note_idle()

    def _note_idle(self) -> None:
        """Note first layers that no probe image reaches, although the image decides what they work on."""
        for layer in self.front:
            values = self.values.get(layer.data)
            if values is None or not (values == values[:1]).all():
                continue
            share = self.share_after(layer)
            if share >= IDLE:
                self.gaps.append(
                    f"layer {layer.node.label!r} (with what follows it {share:.0%} of the multiply-adds) depends on "
                    "the image, but got the same from every probe image: what makes it work was not found"
                )

    @staticmethod
    def _alike(kept: dict[str, list[Array]]) -> list[int]:
        """Return the probe images for which all tensors have one size: the largest that enough images give.

        Where the image decides how many rows a part of the network works on, most of that part is seen so.
        """
        groups: dict[tuple[tuple[int, ...], ...], list[int]] = {}
        full = [arrays for arrays in kept.values() if len(arrays) == PROBES]
        for index in range(PROBES):
            groups.setdefault(tuple(arrays[index].shape for arrays in full), []).append(index)
        enough = [(sum(prod(shape) for shape in sizes), indices) for sizes, indices in groups.items()
                  if len(indices) >= PROBES // 2 or len(groups) == 1]  # fmt: skip
        return max(enough, default=(0, list(range(PROBES))))[1]

    def channel_axis(self, name: str, layer: Layer) -> int:
        """Return the axis of a value before the layer that holds what the layer sums over; -1 when it is not clear."""
        shape, there = self.structure.shapes.get(name, ()), self.structure.shapes[layer.data]
        if len(shape) == len(there):
            return layer.contracted
        same = [axis for axis, extent in enumerate(shape) if extent == there[layer.contracted]]
        return same[-1] if same else -1

    def share_after(self, layer: Layer) -> float:
        """Return the share of all multiply-adds done by the layer and those that depend on it, 0..1."""
        structure = self.structure
        bit = 1 << structure.position[id(layer.node)]
        after = sum(
            other.macs
            for other in structure.layers
            if other is layer or structure.ancestors[structure.position[id(other.node)]] & bit
        )
        return after / max(1, structure.total_macs)

    def via(self, layer: Layer) -> tuple[str, ...]:
        """Return the labels of the nodes before the layer that may move data, first to last."""
        moving = [node.label for node in reversed(self.regions[layer.data][0]) if self.structure.moves(node)]
        return tuple(moving[:NAMED])

    # -- observers -------------------------------------------------------------------------------------------------
