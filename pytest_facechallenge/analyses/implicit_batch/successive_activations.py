"""What activations of one stream, one block after the other, write for each other to read.

Two networks may share a stream and take turns in it: the blocks of one write where only its own later blocks read. No
block shows it, and neither does the map from one activation to the next, which is nothing or everything. All maps
among some blocks together do. Each channel that a block reads belongs with the activation that is made of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.layer_index import Structure
from pytest_facechallenge.analyses.implicit_batch.linear_maps import (
    LinearMap,
    Source,
    linear_maps,
    one_behind_the_other,
)
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds

Array = npt.NDArray[Any]


class Succession(NamedTuple):
    """Activations of one shape, each made of what the stream holds of those before it.

    Attributes
    ----------
    sources
        The activations that write into the stream, first to last.
    maps
        From all of them to what each of the next ones is made of; those of later activations are nothing.
    energy
        What connects a channel that is read with one that is written, float64 [channels of the maps, of the sources].
    """

    sources: tuple[Source, ...]
    maps: tuple[LinearMap, ...]
    energy: Array


def successions(
    structure: Structure, found: Sequence[Source], waves: Array, limits: Thresholds
) -> Iterator[Succession]:
    """Yield the activations of each shape that follow each other in a stream, some of the first.

    Parameters
    ----------
    found
        Results of nodes that are no linear map, in graph order.
    waves
        float [waves, 2], of the values' grid.
    """
    wanted = limits.clusters
    by_shape: dict[tuple[tuple[int, ...], int], list[Source]] = {}
    for source in found:
        by_shape.setdefault((structure.shapes[source.value], source.axis), []).append(source)
    for (shape, axis), alike in by_shape.items():
        most = min(wanted.successive, int(wanted.largest**0.5) // shape[axis])
        if len(alike) < wanted.fewest_successive or most < wanted.fewest_successive:
            continue
        chain, read = _in_one_stream(structure, alike[: wanted.tried], waves, most + 1)
        found_all = _connected(structure, chain[:-1], read, waves) if len(chain) > wanted.fewest_successive else None
        if found_all is not None:
            yield found_all


def _in_one_stream(
    structure: Structure, alike: Sequence[Source], waves: Array, most: int
) -> tuple[list[Source], list[str]]:
    """Return activations, and for each but the first the value in the stream's map that it is made of."""
    chain: list[Source] = []
    read: list[str] = []
    leads: dict[frozenset[str], str] = {}
    for source in alike:
        if len(chain) == most:
            break
        origin = structure.region(source.value).roots
        if chain and origin not in leads:
            continue
        width = structure.shapes[source.value][source.axis]
        maps = linear_maps(structure, (source,), waves, most + 1)
        # What is read of some channels, or of some tokens, is no activation's whole.
        reached = [each.value for each in maps if each.channels == width]
        if not reached:
            continue  # it writes nothing that is read through another layer
        if chain:
            read.append(leads.pop(origin))
        chain.append(source)
        leads |= {structure.region(name).roots: name for name in reached}
    return chain, read


def _connected(structure: Structure, written: Sequence[Source], read: Sequence[str], waves: Array) -> Succession | None:
    """Work out all maps among the activations of a chain; None where all of them together are read elsewhere."""
    sources = tuple(written)
    known = {each.value: each for each in linear_maps(structure, sources, waves, len(structure.nodes))}
    widths = {structure.shapes[each.value][each.axis] for each in sources}
    if any(name not in known or {known[name].channels} != widths for name in read):
        return None
    maps = tuple(known[name] for name in read)
    energy = (np.abs(one_behind_the_other(maps)).astype(np.float64) ** 2).sum(0)
    usual = energy.sum(1).mean()
    height = 0
    for number, each in enumerate(maps, start=1):
        own = energy[height : height + each.channels]
        if number < len(sources):
            # As much as what it reads: two streams that write for each other are no two networks.
            own[:, number * each.channels : (number + 1) * each.channels] += np.eye(each.channels) * usual
        height += each.channels
    return Succession(sources, maps, energy)
