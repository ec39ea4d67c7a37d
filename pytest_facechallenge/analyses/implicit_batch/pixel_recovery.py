"""Layers that are none: products with weights after which a value is the image again, moved, copied or warped.

A permutation can be hidden in two dense matrices, a shift in a Fourier transform and its inverse. Each product looks
like a layer; what stands behind them is an image. So values that single colours decide, as no convolution's features
do, are looked at like a first layer's input, and the products before them are taken for what they are: movement.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch import input_geometry
from pytest_facechallenge.analyses.implicit_batch.input_views import view_behind
from pytest_facechallenge.analyses.implicit_batch.runner import as_floats
from pytest_facechallenge.analyses.implicit_batch.signatures import PROBES

if TYPE_CHECKING:
    from pytest_facechallenge.analyses.implicit_batch.layer_index import Layer
    from pytest_facechallenge.analyses.implicit_batch.trace import Probe

Array = npt.NDArray[Any]

#: Pixels by which a warp that the image steers differs between two images.
STEERED = 0.05

#: Layers before a value that may be a disguise; the part of the image's size that such a value must have.
LAYERS_BEFORE, SIZE = 12, 0.2

#: Share of a value's elements that must follow one colour alone, and that each colour must have.
ONE_COLOUR, EACH_COLOUR = 0.95, 0.15


def disguised(probe: Probe) -> list[list[Layer]]:
    """Return for every value behind layers that is the image again the layers that made it."""
    structure = probe.structure
    images = probe.feed.images
    if images.channels < 2:
        return []
    least = SIZE * images.channels * images.height * images.width
    candidates: dict[str, list[Layer]] = {}
    bits = [(1 << structure.position[id(layer.node)], layer) for layer in structure.layers]
    for layer in structure.layers:
        if layer.data in candidates or prod(structure.shapes.get(layer.data, (0,))) < least:
            continue
        producer = structure.producer.get(layer.data)
        # A value that the image reaches past all layers is a first layer's input as it is.
        if producer is None or probe.feed.name in structure.region(layer.data)[1]:
            continue
        own = structure.position[id(producer)]
        before = structure.ancestors[own] | (1 << own)
        made = [other for bit, other in bits if before & bit]
        if 0 < len(made) <= LAYERS_BEFORE:
            candidates[layer.data] = [
                other for other in made if prod(structure.shapes.get(other.node.outputs[0], (0,))) >= least / 2
            ]
    candidates = {name: made for name, made in candidates.items() if made}
    if not candidates:
        return []
    single = _single_coloured(probe, list(candidates))
    return [
        made
        for name, made in candidates.items()
        if (name in single and _is_image(probe, name)) or _warped_by_what_it_shows(probe, name)
    ]


def _warped_by_what_it_shows(probe: Probe, name: str) -> bool:
    """Whether a value is the image in places that depend on the image.

    An image that has its rows in one colour and its columns in another tells where every element was taken; in a paler
    one a filter takes it at the same place, a warp that the image steers does not.
    """
    images = probe.feed.images
    shape = probe.structure.shapes[name]
    if len(shape) != 4 or shape[1] != images.channels:
        return False
    runner = probe.open([name])

    def look(image: Array) -> Array:
        return np.asarray(runner(probe.feed(image))[name], np.float64)

    dark, light = look(images.flat(0.3)), look(images.flat(0.7))
    taken = []
    for span in (0.4, 0.2):
        coded = look(images.coded(span))
        places = (
            input_geometry.decode(images, dark, light, coded, span)
            if coded.shape == dark.shape == light.shape
            else None
        )
        if places is None:
            return False
        taken.append(places)
    (down, right, inside), (then_down, then_right, also) = taken
    both = inside & also
    moved = max(float(np.median(np.abs(a - b)[both])) for a, b in ((down, then_down), (right, then_right)))
    return bool(both.any()) and moved > STEERED


def _single_coloured(probe: Probe, names: list[str]) -> list[str]:
    """Return the values whose elements each change with one colour of the image only."""
    runner = probe.open(names)
    one, other = probe.natural[:1], probe.natural[1:2]
    before = {name: as_floats(value) for name, value in runner(probe.feed(one)).items()}
    moved: dict[str, list[Array]] = {name: [] for name in names}
    for colour in range(one.shape[1]):
        changed = one.copy()
        changed[:, colour] = other[:, colour]
        for name, value in runner(probe.feed(changed)).items():
            now, then = as_floats(value), before[name]
            if now is not None and then is not None and now.shape == then.shape:
                moved[name].append(np.abs(now - then) > 1e-3 * (np.abs(then).max() + 1e-30))
    found = []
    for name, colours in moved.items():
        if len(colours) < one.shape[1]:
            continue
        reached = np.stack(colours)
        touched = reached.any(0)
        alone = reached.sum(0) == 1
        if touched.mean() < 0.3 or alone.sum() < ONE_COLOUR * touched.sum():
            continue
        if min(mask.sum() for mask in reached) >= EACH_COLOUR * touched.sum():
            found.append(name)
    return found


def unmask(probe: Probe) -> None:
    """Take products before a disguised image off the list of layers, so that the observers look behind them."""
    for made in disguised(probe):
        probe.structure.take_for_movement(made)


def _is_image(probe: Probe, name: str) -> bool:
    """Whether a value is the image with its pixels moved, copied, picked or warped.

    An image in place or pooled on a whole grid is no disguise: a depthwise first layer gives what looks like it.
    """
    noise = probe.feed.images.noise(PROBES)
    runner = probe.open([name])
    values = [as_floats(runner(probe.feed(image[None]))[name]) for image in noise]
    if any(value is None or value.shape != probe.structure.shapes[name] for value in values):
        return False
    view = view_behind(probe, noise, np.stack([value for value in values if value is not None]), name)
    if view.kind == "exact":
        return True
    grid = all(scale >= 0.99 and abs(scale - round(scale)) < 0.02 for scale in view.scale)
    return view.kind == "resampled" and not grid
