"""Ways from the image on which numbers may travel that decide where its features stand.

Data and such numbers part at a value that several nodes read, and meet again at a node that does not just add: a
product, a convolution with a computed kernel, a sampling. Each way is a node that reads the value, and the maps behind
the meeting.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, prod

from pytest_facechallenge.analyses.implicit_batch.layer_index import ABOUT_SHAPE, ELEMENTWISE, Structure
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.onnx_graph.ir import Node

#: Nodes that put things together without moving any: what differs is added, and displaces nothing.
ADDING = frozenset({"Add", "Sub", "Sum", "Mean", "Concat", "Max", "Min"})


@dataclass(frozen=True)
class Way:
    """One way on which deciding numbers may travel.

    Attributes
    ----------
    fork, reader
        The value where it begins, and the node that reads it there.
    data
        What the way meets: values that do not depend on it.
    maps
        Maps behind the meeting, with the label of the node that made each, first to last.
    narrowest
        Elements of the smallest value on it before the meeting: few numbers decide more often than many.
    """

    fork: str
    reader: Node
    data: tuple[str, ...]
    maps: tuple[tuple[str, str], ...]
    narrowest: int


def layers_before(structure: Structure) -> dict[str, int]:
    """Return the fewest layers with weights between the image and each value that depends on it."""
    fewest = {structure.image: 0}
    for node in structure.nodes:
        before = [fewest[name] for name in node.inputs if name in fewest]
        if before and node.op not in ABOUT_SHAPE:
            own = min(before) + (id(node) in structure.layer_of)
            fewest.update((name, own) for name in node.outputs if name)
    return fewest


def channels_last(shape: tuple[int, ...], image: tuple[int, ...]) -> bool:
    """Whether a value of four axes is a map whose channels come last: its places then have the image's aspect.

    Parameters
    ----------
    shape, image
        Of the value and of the image [1, C, H, W].
    """
    aspect = log(image[2] / image[3])
    first, last = (abs(log(max(1, rows) / max(1, columns)) - aspect) for rows, columns in (shape[2:], shape[1:3]))
    return last < first


def map_size(shape: tuple[int, ...], image: tuple[int, ...], limits: Thresholds) -> tuple[int, int] | None:
    """Return rows and columns of a map, channels first or last; None for anything else, and for a small one.

    Parameters
    ----------
    shape, image
        Of the value and of the image, [1, C, H, W] or [1, H, W, C].
    """
    if len(shape) != 4:
        return None
    rows, columns = shape[1:3] if channels_last(shape, image) else shape[2:]
    return (rows, columns) if min(rows, columns) >= limits.alignment.side * min(image[2:]) else None


def ways(structure: Structure, limits: Thresholds) -> list[Way]:
    """Return the ways from early values, those over the fewest numbers first, at most as many as are tried."""
    wanted = limits.alignment
    before = layers_before(structure)
    image = structure.shapes[structure.image]
    least = image[2] * image[3] * wanted.side**2
    readers: dict[str, list[Node]] = {}
    for node in structure.nodes:
        for name in dict.fromkeys(node.inputs):
            if name in before and node.op not in ABOUT_SHAPE:
                readers.setdefault(name, []).append(node)
    found: list[Way] = []
    for fork, nodes in readers.items():
        if before[fork] > wanted.fork_layers or len(nodes) < 2:
            continue
        if prod(structure.shapes.get(fork, (0,))) < least:
            continue
        for node in nodes:
            way = _way(structure, fork, node, before, limits)
            if way is not None:
                found.append(way)
    return sorted(found, key=lambda way: way.narrowest)[: wanted.edges]


def _way(structure: Structure, fork: str, reader: Node, before: dict[str, int], limits: Thresholds) -> Way | None:
    """Follow what a reader of the fork makes to where it meets other data; None where it only adds or is a gate."""
    image = structure.shapes[structure.image]
    own: set[str] = set()
    in_place = {fork}
    met: list[str] = []
    moved: set[str] = set()
    maps: dict[str, str] = {}
    sizes: list[int] = []
    for node in structure.nodes:
        varying = [name for name in node.inputs if name in structure.varying]
        if not varying or node.op in ABOUT_SHAPE:
            continue
        if _stays(structure, node, varying, in_place, fork):
            in_place.update(node.outputs)
        on_it = [name for name in varying if name in own or (node is reader and name == fork)]
        if not on_it:
            continue
        own.update(name for name in node.outputs if name)
        others = [name for name in varying if name not in own and not (node is reader and name == fork)]
        meets = bool(others) and node.op not in ADDING and not set(varying) <= in_place
        if meets:
            met += others
        if not met:
            sizes += [prod(structure.shapes.get(name, ())) for name in node.outputs if name]
        if meets or moved & set(varying):
            moved.update(name for name in node.outputs if name)
        if id(node) in structure.layer_of and node.inputs[0] in moved:
            data = structure.layer_of[id(node)].data
            if data in moved:
                maps.setdefault(data, structure.producer[data].label)
        if meets and node.outputs[0] in moved:
            maps.setdefault(node.outputs[0], node.label)
    chosen = [
        (name, label)
        for name, label in maps.items()
        if before[name] <= limits.alignment.layers and map_size(structure.shapes.get(name, ()), image, limits)
    ]
    if not chosen:
        return None
    narrowest = min(sizes, default=prod(structure.shapes.get(fork, ())))
    return Way(fork, reader, tuple(dict.fromkeys(met)), tuple(chosen[: limits.alignment.maps]), narrowest)


def _stays(structure: Structure, node: Node, varying: list[str], in_place: set[str], fork: str) -> bool:
    """Whether a node gives a function of the fork's elements, each alone (a curve, x * sigmoid(x))."""
    shape = structure.shapes.get(fork)
    return (
        node.op in ELEMENTWISE
        and set(varying) <= in_place
        and all(structure.shapes.get(name) == shape for name in (*varying, node.outputs[0]))
    )
