"""What connects the channels of one value to those of a later one, through everything linear that lies between.

A kernel shows what it connects by itself. Two layers with nothing but sums between them are one linear map, and so are
two layers whose results are added: their kernels may hide what the map shows. The map is worked out for a few plane
waves: a convolution makes of a wave the same wave on its own grid, times a matrix of channels. (At the border it makes
something else, which is left out.) Several activations beside each other may be the source together: what the sum and
the difference of two of them carry is told apart only then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.channel_matrices import at_waves, channel_factors, moved_axis
from pytest_facechallenge.analyses.implicit_batch.channel_selection import selected
from pytest_facechallenge.analyses.implicit_batch.layer_index import CONVOLUTIONS, Layer, Structure
from pytest_facechallenge.analyses.implicit_batch.stages import NORMS, bends, scales_places
from pytest_facechallenge.onnx_graph.ir import Node
from pytest_facechallenge.onnx_graph.operators import Kind, Trait

Array = npt.NDArray[Any]

#: Values of a convolution's ``auto_pad`` with which its ``pads`` say where its kernel lies.
AS_TOLD = (None, "", "NOTSET", b"NOTSET")


@dataclass(frozen=True, eq=False)
class LinearMap:
    """How the channels of a value follow from those of its sources.

    Attributes
    ----------
    value, axis
        The value's name; the axis of its channels.
    channels
        Of the value.
    work
        Works the map out: complex64 [waves, channels of the value, channels of all sources].
    waves
        Of the value's own grid, float [waves, 2]: phase from one row, and one column, to the next.
    layers
        Those on the way, in graph order.
    reached
        Names of the sources from which a way leads here, whatever the weights on it.
    scaled
        Whether the map is diagonal: each channel is one of the only source, scaled.
    """

    value: str
    axis: int
    channels: int
    work: Callable[[], Array]
    waves: Array
    layers: tuple[Layer, ...] = ()
    reached: frozenset[str] = frozenset()
    scaled: bool = False


class Source(NamedTuple):
    """A result of a node that is no linear map: where the node stands, the value, the axis of its channels."""

    position: int
    value: str
    axis: int


def sources(structure: Structure, least: int) -> Iterator[Source]:
    """Yield the results of nodes that are no linear map.

    Where such a result only gets another layout before something reads it (the heads of an attention put together
    again), that is meant.

    Parameters
    ----------
    least
        Channels that the value must have.
    """
    fresh: set[str] = set()
    for position, node in enumerate(structure.nodes):
        moved = node.operator.kind is Kind.LAYOUT and any(name in fresh for name in node.inputs)
        if not node.outputs or not (moved or bends(structure, node)):
            continue
        name = node.outputs[0]
        fresh.add(name)
        shape = structure.shapes.get(name, ())
        if len(shape) not in (3, 4):
            continue
        axis = 1 if len(shape) == 4 else 2
        if shape[axis] >= least:
            yield Source(position, name, axis)


def beside(structure: Structure, found: Sequence[Source], most: int) -> Iterator[tuple[Source, ...]]:
    """Yield sources of one shape that follow each other and do not depend on each other, two or more.

    Parameters
    ----------
    most
        Channels of all of them.
    """
    run: list[Source] = []
    for source in [*found, None]:
        if source is not None:
            shape, above = structure.shapes[source.value], structure.ancestors[source.position]
            alike = run and (shape, source.axis) == (structure.shapes[run[0].value], run[0].axis)
            if alike and not any(above >> each.position & 1 for each in run):
                run.append(source)
                continue
        if len(run) > 1 and sum(structure.shapes[each.value][each.axis] for each in run) <= most:
            yield tuple(run)
        run = [] if source is None else [source]


def linear_maps(structure: Structure, together: Sequence[Source], waves: Array, most: int) -> Iterator[LinearMap]:
    """Yield the maps from some values of one shape to the next values that something not linear reads, at most some.

    Parameters
    ----------
    together
        The sources; their channels follow each other.
    waves
        float [waves, 2], of the values' grid.
    most
        Maps that are wanted; those through several layers alone count.
    """
    known = _identities(structure, together, waves)
    told: set[str] = set()
    for node in structure.nodes[min(source.position for source in together) + 1 :]:
        given = [name for name in node.inputs if name in known]
        if not given or node.operator.kind is Kind.ABOUT_SHAPE:
            continue
        normalised = _scaled_by_place(structure, node, known)
        made = normalised or (() if bends(structure, node) else _through(structure, node, known))
        known |= {each.value: each for each in made}
        if made:
            continue
        for name in given:
            if name not in told and len(known[name].layers) > 1:
                told.add(name)
                yield known[name]
                if len(told) == most:
                    return


def _identities(structure: Structure, together: Sequence[Source], waves: Array) -> dict[str, LinearMap]:
    """Return each source as a map of all of them."""
    widths = [structure.shapes[source.value][source.axis] for source in together]
    known: dict[str, LinearMap] = {}
    for (_, value, axis), width, before in zip(together, widths, np.cumsum([0, *widths]), strict=False):
        rows = np.eye(width, sum(widths), before, dtype=np.complex64)[None]
        known[value] = LinearMap(
            value, axis, width, partial(np.copy, rows), waves, reached=frozenset({value}), scaled=len(together) == 1
        )
    return known


def _through(structure: Structure, node: Node, known: dict[str, LinearMap]) -> tuple[LinearMap, ...]:
    """Return the maps to a node's results; none where they are not worked out."""
    if node.op == "Concat":
        made = _put_together(structure, node, known)
    elif node.op in ("Add", "Sub", "Sum"):
        made = _sum(structure, node, known)
    elif node.op in ("Split", "Slice", "Gather"):
        return tuple(_taken_apart(structure, node, known))
    else:
        made = _one(structure, node, known)
    return () if made is None else (made,)


def _scaled_by_place(structure: Structure, node: Node, known: dict[str, LinearMap]) -> tuple[LinearMap, ...]:
    """Return the map through a node that multiplies all channels of a place by one number that the image decides.

    A root mean square is such a number: dividing by it connects no two channels. So is the deviation of a layer norm;
    the mean that this takes away, one direction of all, is left out.
    """
    at = [place for place, read in enumerate(node.inputs) if read in known]
    if at not in ([0], [1]) or not node.outputs or node.outputs[0] not in structure.shapes:
        return ()
    before = known[node.inputs[at[0]]]
    if structure.shapes[before.value] != structure.shapes[node.outputs[0]] or (node.op != "Mul" and at != [0]):
        return ()
    if not scales_places(structure, node, before.axis):
        return ()
    made = replace(before, value=node.outputs[0])
    if node.op not in NORMS:
        return (made,)
    gamma = structure.constant(node.inputs[1]) if len(node.inputs) > 1 else None
    if gamma is None or gamma.size != before.channels:
        return ()
    each = gamma.astype(np.float32).reshape(1, -1, 1)
    return (replace(made, work=cache(lambda: before.work() * each)),)


def _put_together(structure: Structure, node: Node, known: dict[str, LinearMap]) -> LinearMap | None:
    """Return the map to values side by side on the axis of the channels; all of them have to be known."""
    parts = [known[name] for name in node.inputs if name in known]
    one, shape = parts[0], structure.shapes.get(node.outputs[0], ())
    alike = all(part.axis == one.axis and np.allclose(part.waves, one.waves) for part in parts)
    if len(parts) < len(node.inputs) or not alike or int(node.attributes.get("axis", 0)) % len(shape) != one.axis:
        return None
    return replace(
        one, value=node.outputs[0], channels=shape[one.axis], layers=_layers_of(structure, parts), scaled=False,
        work=cache(lambda: one_behind_the_other(parts)),
        reached=frozenset().union(*(part.reached for part in parts)),
    )  # fmt: skip


def one_behind_the_other(parts: Sequence[LinearMap]) -> Array:
    """Return the maps to several values as one to all of their channels: complex64 [waves, channels, inputs]."""
    works = [part.work() for part in parts]
    waves = max(len(work) for work in works)  # what no layer made is the same for all waves
    return np.concatenate([np.broadcast_to(work, (waves, *work.shape[1:])) for work in works], 1)


def _taken_apart(structure: Structure, node: Node, known: dict[str, LinearMap]) -> Iterator[LinearMap]:
    """Yield the maps to some of a value's channels each."""
    before = known.get(node.inputs[0])
    if before is None or any(name in known for name in node.inputs[1:]):
        return
    chosen = selected(structure, node, before.axis, before.channels)
    for name, indices in zip(node.outputs, chosen, strict=False):
        if name in structure.shapes:
            yield replace(before, value=name, channels=len(indices), work=_rows(before, indices), scaled=False)


def _rows(before: LinearMap, indices: Array) -> Callable[[], Array]:
    return cache(lambda: before.work()[:, indices])


def _layers_of(structure: Structure, parts: Iterable[LinearMap]) -> tuple[Layer, ...]:
    """Return the layers on the way to any of some maps, in graph order."""
    layers = {id(layer): layer for part in parts for layer in part.layers}
    return tuple(sorted(layers.values(), key=lambda layer: structure.position[id(layer.node)]))


def _one(structure: Structure, node: Node, known: dict[str, LinearMap]) -> LinearMap | None:
    """Return the map through a node that reads one value that depends on a source; None where it is not worked out."""
    name = node.outputs[0]
    shape = structure.shapes.get(name, ())
    layer = structure.layer_of.get(id(node))
    at = [place for place, read in enumerate(node.inputs) if read in known]
    before = known[node.inputs[at[0]]]
    if len(at) > 1 or at[0] not in (0, 1):
        return None
    if node.op in CONVOLUTIONS:
        return _convolved(structure, node, layer, before) if at == [0] else None
    if node.op in ("MatMul", "Gemm"):
        if layer is None or layer.contracted != before.axis or before.axis != len(shape) - 1:
            return None
        weights = structure.constant(layer.weight)
        if weights is None or weights.ndim != 2:
            return None
        first = node.inputs[0] == layer.data
        matrix = weights if first == bool(node.attributes.get("transB", 0)) else weights.T
        return _mapped(before, name, matrix.shape[0], lambda: matrix[None].astype(np.complex64), layer)
    if node.op == "Mul" or (node.op in ("Div", "BatchNormalization") and at == [0]):
        scale = channel_factors(structure, node, at[0], before.axis, len(shape))
        if scale is None or scale.size not in (1, before.channels):
            return None
        each = scale.astype(np.float32).reshape(1, -1, 1)
        return replace(before, value=name, work=cache(lambda: before.work() * each))
    if node.operator.kind is Kind.LAYOUT or node.operator.has(Trait.SAME) or node.op in ("Identity", "Dropout", "Neg"):
        axis = moved_axis(structure.shapes[before.value], shape, before.axis, node)
        return None if axis is None else replace(before, value=name, axis=axis)
    return None


def _sum(structure: Structure, node: Node, known: dict[str, LinearMap]) -> LinearMap | None:
    """Return the map to a sum; what does not depend on the source adds nothing to it."""
    shape = structure.shapes.get(node.outputs[0], ())
    parts = [(place, known[name]) for place, name in enumerate(node.inputs) if name in known]
    one = parts[0][1]
    for _, part in parts:
        alike = (part.axis, part.channels) == (one.axis, one.channels) and np.allclose(part.waves, one.waves)
        if not alike or structure.shapes[part.value] != shape:
            return None

    def work() -> Array:
        signs = [-1 if node.op == "Sub" and place else 1 for place, _ in parts]
        return np.asarray(sum(sign * part.work() for sign, (_, part) in zip(signs, parts, strict=True)))

    both = [part for _, part in parts]
    reached = frozenset().union(*(part.reached for part in both))
    scaled = all(part.scaled for part in both)
    layers = _layers_of(structure, both)
    return replace(one, value=node.outputs[0], work=cache(work), layers=layers, reached=reached, scaled=scaled)


def _mapped(before: LinearMap, name: str, channels: int, matrices: Callable[[], Array], layer: Layer) -> LinearMap:
    """Return the map through a layer, given as matrices [waves or 1, outputs, inputs]."""

    def work() -> Array:
        own, earlier = matrices(), before.work()
        return own * earlier.diagonal(axis1=1, axis2=2)[:, None] if before.scaled else np.matmul(own, earlier)

    layers = (*before.layers, layer)
    return replace(before, value=name, channels=channels, work=cache(work), layers=layers, scaled=False)


def _convolved(structure: Structure, node: Node, layer: Layer | None, before: LinearMap) -> LinearMap | None:
    weights = structure.constant(node.inputs[1]) if layer is not None else None
    if (
        layer is None
        or weights is None
        or weights.ndim != 4
        or node.op not in ("Conv", "FusedConv")
        or before.axis != 1
    ):
        return None
    if weights.shape[1] * layer.groups != before.channels or node.attributes.get("auto_pad") not in AS_TOLD:
        return None
    kernels = weights

    def matrices() -> Array:
        return at_waves(kernels, node, layer.groups, before.waves)

    made = _mapped(before, node.outputs[0], len(weights), matrices, layer)
    return replace(made, waves=before.waves * np.array(node.attributes.get("strides") or (1, 1)))
