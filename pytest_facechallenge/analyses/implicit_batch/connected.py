"""What stands between the layers of a variant, and which have related weights: all that needs no probe image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from types import MappingProxyType

from pytest_facechallenge.analyses.implicit_batch.layer_index import (
    POOLING,
    PRODUCTS,
    Layer,
    Region,
    Structure,
    is_map,
)
from pytest_facechallenge.analyses.implicit_batch.opened import OpenedModel
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.analyses.implicit_batch.weight_similarity import WeightClass, weight_classes
from pytest_facechallenge.onnx_graph.ir import Node


@dataclass(frozen=True)
class Head:
    """Executions with one set of weights that no other such set feeds.

    Attributes
    ----------
    first
        These executions.
    below
        All the sets that they feed, ``first`` among them.
    """

    first: WeightClass
    below: tuple[WeightClass, ...]


@dataclass(frozen=True, eq=False)
class ConnectedModel(OpenedModel):
    """An opened variant with the relations between its layers.

    Attributes
    ----------
    regions
        What lies before each layer (and each pooling of ``pools``), by the name of the value that it works on.
    front
        The layers that work on the image itself.
    pools
        Poolings between the image and these, written as layers: what they see is asked as well. An image re-sampled
        and then pooled shows the grid of the pooling alone.
    heads
        Where layers with related weights begin to run side by side.
    joins
        For each layer's node, by its id: the nodes without weights before it whose result is larger than each thing
        that they were given, last first. Only such a node can put two versions beside each other.
    named
        Names in an observation at most.
    """

    regions: Mapping[str, Region]
    front: tuple[Layer, ...]
    pools: tuple[Layer, ...]
    heads: tuple[Head, ...]
    joins: Mapping[int, tuple[Node, ...]]
    named: int

    @property
    def joined_layers(self) -> list[Layer]:
        """The layers before which something was put together."""
        return [layer for layer in self.structure.layers if self.joins[id(layer.node)]]

    def joins_before(self, layer: Layer) -> tuple[Node, ...]:
        """Return the entry of ``joins`` for a layer."""
        return self.joins[id(layer.node)]

    def is_pixels(self, layer: Layer) -> bool:
        """Whether the layer works on the image alone, with no other layer in between."""
        return self.regions[layer.data].roots == {self.feed.name}

    def channel_axis(self, name: str, layer: Layer) -> int:
        """Return the axis of a value before the layer that holds what the layer sums over; -1 when it is not clear."""
        shape, there = self.structure.shapes.get(name, ()), self.structure.shapes[layer.data]
        if len(shape) == len(there):
            return layer.contracted
        same = [axis for axis, extent in enumerate(shape) if extent == there[layer.contracted]]
        return same[-1] if same else -1

    def macs_after(self, layer: Layer) -> float:
        """Return the share of all multiply-adds done by the layer and those that depend on it, 0..1."""
        structure = self.structure
        after = sum(other.macs for other in structure.layers if other is layer or structure.depends(other, layer))
        return after / max(1, structure.total_macs)

    def via(self, layer: Layer) -> tuple[str, ...]:
        """Return the labels of the nodes before the layer that may move data, first to last."""
        nodes = reversed(self.regions[layer.data].nodes)
        return tuple(node.label for node in nodes if self.structure.moves(node))[: self.named]


def connect(opened: OpenedModel, limits: Thresholds) -> ConnectedModel:
    """Relate the layers of a variant to each other."""
    structure, image = opened.structure, opened.feed.name
    regions: dict[str, Region] = {}
    for layer in structure.layers:
        if layer.data not in regions:
            regions[layer.data] = structure.region(layer.data)
    front = tuple(layer for layer in structure.layers if image in regions[layer.data].roots)
    pools = _pools(structure, regions, front, image)
    for layer in pools:
        regions.setdefault(layer.data, structure.region(layer.data))
    joins = {id(layer.node): _joins(structure, regions[layer.data], limits) for layer in structure.layers}
    return ConnectedModel(
        variant=opened.variant,
        feed=opened.feed,
        structure=structure,
        sessions=opened.sessions,
        threads=opened.threads,
        natural=opened.natural,
        regions=MappingProxyType(regions),
        front=front,
        pools=pools,
        heads=_heads(structure, weight_classes(structure, limits)),
        joins=MappingProxyType(joins),
        named=limits.running.named,
    )


def _pools(
    structure: Structure, regions: Mapping[str, Region], front: tuple[Layer, ...], image: str
) -> tuple[Layer, ...]:
    found: dict[str, Layer] = {}
    for layer in front:
        for node in regions[layer.data].nodes:
            data = next((name for name in node.inputs if name in structure.varying), "")
            pools = node.op in POOLING | {"Conv"} and is_map(structure.shapes.get(node.outputs[0], ()))
            if pools and data != image and len(structure.shapes.get(data, ())) == 4:
                found.setdefault(data, Layer(node, data, "", 1, 0, 1))
    return tuple(found.values())


def _joins(structure: Structure, region: Region, limits: Thresholds) -> tuple[Node, ...]:
    """Return the nodes of a region that may put two versions beside each other.

    A product of two things that depend on the image (attention) is larger than each of them too, but holds sums, not
    copies.
    """
    found = []
    for node in region.nodes:
        size = prod(structure.shapes.get(node.outputs[0], (0,)))
        given = [prod(structure.shapes.get(name, (0,))) for name in node.inputs if name in structure.varying]
        if node.op in PRODUCTS and len(given) > 1:
            continue
        if given and size >= limits.running.joined * max(given):
            found.append(node)
    return tuple(found)


def _heads(structure: Structure, classes: list[WeightClass]) -> tuple[Head, ...]:
    """Pair every class of parallel executions that no other class feeds with the classes that it feeds."""
    bits = [sum(1 << structure.position[id(layer.node)] for layer in group.layers) for group in classes]
    above = []
    for group in classes:
        ancestors = 0
        for layer in group.layers:
            ancestors |= structure.ancestors[structure.position[id(layer.node)]]
        above.append(ancestors)
    heads = []
    for index, group in enumerate(classes):
        if any(above[index] & bits[other] for other in range(len(classes)) if other != index):
            continue
        below = tuple(classes[o] for o in range(len(classes)) if o == index or above[o] & bits[index])
        heads.append(Head(group, below))
    return tuple(heads)
