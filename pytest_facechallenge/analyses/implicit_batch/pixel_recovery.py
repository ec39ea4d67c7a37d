"""Products with weights after which a value is the image again, moved, copied or warped: they are no layers.

A permutation can be hidden in two dense matrices, a shift in a Fourier transform and its inverse. Each product looks
like a layer; what stands behind them is an image. So values that single colours decide, as no convolution's features
do, are examined like a first layer's input, and the products before them are taken for what they are: movement.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.image_ramps import view_behind
from pytest_facechallenge.analyses.implicit_batch.layer_index import Layer
from pytest_facechallenge.analyses.implicit_batch.opened import OpenedModel
from pytest_facechallenge.analyses.implicit_batch.runner import as_floats
from pytest_facechallenge.analyses.implicit_batch.sampled_grid import decode
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.core.facts.implicit_batch_kinds import ViewKind

Array = npt.NDArray[Any]


def recovering_layers(model: OpenedModel, limits: Thresholds) -> list[Layer]:
    """Return the layers before every value that is the image again."""
    if model.feed.images.channels < 2:
        return []
    candidates = _candidates(model, limits)
    if not candidates:
        return []
    single = _single_coloured(model, list(candidates), limits)
    return [
        layer
        for name, made in candidates.items()
        if (name in single and _is_image(model, name, limits)) or _sampled_by_content(model, name, limits)
        for layer in made
    ]


def _candidates(model: OpenedModel, limits: Thresholds) -> dict[str, list[Layer]]:
    """Return values of about the image's size behind a few layers, with the layers that may have made them."""
    structure, images = model.structure, model.feed.images
    least = limits.recovery.size * images.channels * images.height * images.width
    candidates: dict[str, list[Layer]] = {}
    for layer in structure.layers:
        if layer.data in candidates or prod(structure.shapes.get(layer.data, (0,))) < least:
            continue
        producer = structure.producer.get(layer.data)
        # A value that the image reaches past all layers is a first layer's input as it is.
        if producer is None or model.feed.name in structure.region(layer.data).roots:
            continue
        own = structure.position[id(producer)]
        before = structure.ancestors[own] | (1 << own)
        made = [other for other in structure.layers if before >> structure.position[id(other.node)] & 1]
        if 0 < len(made) <= limits.recovery.layers:
            floor = limits.recovery.made_size * least
            candidates[layer.data] = [
                other for other in made if prod(structure.shapes.get(other.node.outputs[0], (0,))) >= floor
            ]
    return {name: made for name, made in candidates.items() if made}


def _sampled_by_content(model: OpenedModel, name: str, limits: Thresholds) -> bool:
    """Whether a value is the image in places that depend on the image.

    An image that has its rows in one colour and its columns in another tells where every element was taken; in a paler
    one a filter takes it at the same place, a warp that the image steers does not.
    """
    images, levels = model.feed.images, limits.images
    shape = model.structure.shapes[name]
    if len(shape) != 4 or shape[1] != images.channels:
        return False
    runner = model.open([name])

    def shown(image: Array) -> Array:
        return np.asarray(runner(model.feed(image))[name], np.float64)

    dark, light = shown(images.flat(levels.dark)), shown(images.flat(levels.light))
    taken = []
    for span in (levels.span, levels.pale_span):
        coded = shown(images.coded(span))
        same_size = coded.shape == dark.shape == light.shape
        places = decode(images, dark, light, coded, limits, span) if same_size else None
        if places is None:
            return False
        taken.append(places)
    (down, right, inside), (then_down, then_right, also) = taken
    both = inside & also
    moved = max(float(np.median(np.abs(a - b)[both])) for a, b in ((down, then_down), (right, then_right)))
    return bool(both.any()) and moved > limits.recovery.steered


def _single_coloured(model: OpenedModel, names: list[str], limits: Thresholds) -> list[str]:
    """Return the values whose elements each change with one colour of the image only."""
    wanted = limits.recovery
    runner = model.open(names)
    one, other = model.natural[:1], model.natural[1:2]
    before = {name: as_floats(value) for name, value in runner(model.feed(one)).items()}
    moved: dict[str, list[Array]] = {name: [] for name in names}
    for colour in range(one.shape[1]):
        changed = one.copy()
        changed[:, colour] = other[:, colour]
        for name, value in runner(model.feed(changed)).items():
            now, then = as_floats(value), before[name]
            if now is not None and then is not None and now.shape == then.shape:
                moved[name].append(np.abs(now - then) > wanted.moved * (np.abs(then).max() + 1e-30))
    found = []
    for name, colours in moved.items():
        if len(colours) < one.shape[1]:
            continue
        reached = np.stack(colours)
        touched = reached.any(0)
        alone = reached.sum(0) == 1
        if touched.mean() < wanted.touched or alone.sum() < wanted.one_colour * touched.sum():
            continue
        if min(mask.sum() for mask in reached) >= wanted.each_colour * touched.sum():
            found.append(name)
    return found


def _is_image(model: OpenedModel, name: str, limits: Thresholds) -> bool:
    """Whether a value is the image with its pixels moved, copied, picked or warped.

    An image in place or pooled on a whole grid hides nothing: a depthwise first layer gives what looks like it.
    """
    noise = model.feed.images.noise(limits.signatures.probes)
    runner = model.open([name])
    values = [as_floats(runner(model.feed(image[None]))[name]) for image in noise]
    if any(value is None or value.shape != model.structure.shapes[name] for value in values):
        return False
    view = view_behind(model, noise, np.stack([value for value in values if value is not None]), name, limits)
    if view.kind is not ViewKind.RESAMPLED:
        return view.kind is ViewKind.EXACT
    wanted = limits.recovery
    return not all(scale >= wanted.grid and abs(scale - round(scale)) < wanted.whole for scale in view.scale)
