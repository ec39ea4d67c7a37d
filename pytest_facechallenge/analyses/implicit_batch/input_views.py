"""What the first layers see of the image, put together from noise, ramps and natural images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch import exact_pixels, tensor_duplicates
from pytest_facechallenge.analyses.implicit_batch.dots import Grid, elsewhere, grid_of
from pytest_facechallenge.analyses.implicit_batch.image_ramps import ramps_of
from pytest_facechallenge.analyses.implicit_batch.layer_index import ELEMENTWISE, POOLING, Layer, is_map
from pytest_facechallenge.analyses.implicit_batch.neighbourhoods import follows_its_neighbourhood, is_local
from pytest_facechallenge.analyses.implicit_batch.parts import Hypothesis, Part, inputs_of
from pytest_facechallenge.analyses.implicit_batch.pixel_content import lossless
from pytest_facechallenge.analyses.implicit_batch.probe_images import Images
from pytest_facechallenge.analyses.implicit_batch.registration import registered_view
from pytest_facechallenge.analyses.implicit_batch.sampled_grid import Ramps, own_pixels, sampled_view
from pytest_facechallenge.analyses.implicit_batch.steering_ways import ADDING, channels_last
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.analyses.implicit_batch.trace import TracedModel
from pytest_facechallenge.analyses.implicit_batch.view import FEATURES, View
from pytest_facechallenge.core.facts.implicit_batch import InputView
from pytest_facechallenge.core.facts.implicit_batch_kinds import Relation, ViewKind
from pytest_facechallenge.onnx_graph.operators import Kind, Trait, names

Array = npt.NDArray[Any]

#: Views before a pooling that are observed: of any other the layer behind the pooling is asked anyway.
MOVED = frozenset({ViewKind.RESAMPLED, ViewKind.SMOOTHED, ViewKind.PREDICTED, ViewKind.CHOSEN})

#: Views whose places differ from the image's: confirmed before they are told.
ELSEWHERE = frozenset({ViewKind.RESAMPLED, ViewKind.PREDICTED})

#: Operators by which a filter written by hand lays images a few pixels apart over each other.
SLIDING = frozenset({"Pad", "Slice", "Split", "Concat", "Identity", "Cast", "Unsqueeze", "Squeeze", "Reshape"})

#: Poolings in which the image does not decide what is kept.
AVERAGING = POOLING - {"MaxPool"}

#: Operators that only change how a tensor is laid out.
LAYOUT = names(Kind.LAYOUT) | {"Concat", "Split"}


def observe(model: TracedModel, limits: Thresholds) -> list[Hypothesis | InputView]:
    """Return for every layer that works on the image what it sees of it."""
    names = list(dict.fromkeys(layer.data for layer in [*model.front, *model.pools]))
    done = _views(model, names, limits)
    images = model.feed.images
    pixels = len(exact_pixels.pixels_asked(images.height, images.width, limits))
    data = {layer.data for layer in model.front}
    parts = [view.present for name, (view, _) in done.items() if view.present and name in data]
    together = round(len(frozenset().union(*parts)) / pixels, 4)
    moved = {name: _elsewhere(model, name, view, limits) for name, (view, _) in done.items()}
    found: list[tuple[Layer, InputView]] = []
    for layer in [*model.front, *model.pools]:
        if layer.data not in done or (layer in model.pools and done[layer.data][0].kind not in MOVED):
            continue
        view, relation = done[layer.data]
        common = max((len(view.present & other) / pixels for other in parts if other is not view.present), default=0.0)
        seen = InputView(
            layer=layer.node.label, kind=view.kind, coverage=round(view.coverage, 4), relation=relation,
            scale=_straight(view.scale, 4), offset=_straight(view.offset, 3), box=view.box,
            size=(images.height, images.width), own_brightness=view.own_brightness,
            unchanged=round(view.unchanged, 4), pooled=_shrinks(model, layer), plain=_only_pools(model, layer),
            via=model.via(layer), macs_after=round(model.macs_after(layer), 4), together=together,
            common=round(common, 4), masked=_masked(view, relation, model.values[layer.data], images),
            residual=_residual(model, layer), elsewhere=moved[layer.data],
            interpolated=_interpolated(model, layer.data),
            branch=model.branch,
        )  # fmt: skip
        found.append((layer, seen))
    beside = [_beside(model, layer, seen, found) for layer, seen in found]
    return [Hypothesis(seen, parts) if parts else seen for (_, seen), parts in zip(found, beside, strict=True)]


def _beside(
    model: TracedModel, layer: Layer, seen: InputView, views: list[tuple[Layer, InputView]]
) -> tuple[Part, Part] | None:
    """Return a layer that works on another version of the image, and this one; None where there is no such layer."""
    for other, view in views:
        if other.data != layer.data and layer in model.front and other in model.front and _another(seen, view):
            return inputs_of(model.structure, other, layer)
    return None


def _another(seen: InputView, view: InputView) -> bool:
    """Whether one view is of the image as it was given (or also a part), and the other is not."""
    moved = seen.kind is not ViewKind.FEATURES and (seen.kind, seen.relation) != (view.kind, view.relation)
    return moved or (seen.kind is ViewKind.EXACT and seen.common > 0)


def _elsewhere(model: TracedModel, name: str, view: View, limits: Thresholds) -> float:
    """Return how many dots on an image a moved view shows elsewhere; see `InputView`."""
    if view.kind not in MOVED or len(model.structure.shapes[name]) != 4:
        return -1.0
    noise = model.values[model.feed.name][: limits.views.asked_again, 0]
    shown, span = _shown(model, name)
    shares = [elsewhere(shown, image[None], span, limits) for image in np.concatenate([model.natural, noise])]
    return round(max(shares), 4)


def _masked(view: View, relation: Relation, seen: Array, images: Images) -> bool:
    """Whether pixels were taken out of an image of full size and the others left where they are (a window)."""
    whole = seen.shape[-2:] == (images.height, images.width)
    return view.kind is ViewKind.EXACT and whole and relation in (Relation.IDENTICAL, Relation.RESCALED)


def _residual(model: TracedModel, layer: Layer) -> bool:
    """Whether features of layers are in what a layer sees, and meet the image by sums, or beside it, alone."""
    region, varying = model.regions[layer.data], model.structure.varying
    joins = [node for node in region.nodes if len(varying.intersection(node.inputs)) > 1]
    return region.roots > {model.feed.name} and all(node.op in ADDING for node in joins)


def _straight(values: tuple[float, float], digits: int) -> tuple[float, float]:
    """Return numbers as they stand in facts: rounded, 0 where there is none."""
    first, second = (0.0 if np.isnan(value) else round(float(value), digits) for value in values)
    return first, second


def _views(model: TracedModel, names: list[str], limits: Thresholds) -> dict[str, tuple[View, Relation]]:
    """Return what each value shows of the image, and how that lies to the image."""
    noise = model.values[model.feed.name][:, 0]
    asked = exact_pixels.pixels_asked(model.feed.images.height, model.feed.images.width, limits)
    known = [name for name in names if name in model.values]
    ramps = ramps_of(model, names, limits) if set(known) - {model.feed.name} else {}
    done: dict[str, tuple[View, Relation]] = {}
    for name in known:
        if name == model.feed.name:
            everything = View(ViewKind.EXACT, 1.0, present=frozenset(range(len(asked))))
            done[name] = (everything, Relation.IDENTICAL)
            continue
        seen = model.values[name]
        view = _view(model, noise, seen, ramps.get(name), limits)
        if view.kind is ViewKind.FEATURES:
            view = _registered(model, name, limits) or view
        if view.kind in ELSEWHERE and np.isnan(view.scale[0]) and _gated(model, name):
            view = FEATURES
        if view.kind in ELSEWHERE:
            view = _confirmed(model, name, view, noise, seen, limits)
        if view.kind is ViewKind.CHOSEN and (
            _by_neighbourhood(model, name, noise, limits) or _stays_for_all(model, name, noise, limits)
        ):
            view = View(ViewKind.IN_PLACE, 1.0)
        if view.kind is ViewKind.SMOOTHED or (view.kind is ViewKind.RESAMPLED and np.isnan(view.scale[0])):
            stays = _stays_for_all if view.own_brightness else _filters
            view = View(ViewKind.IN_PLACE, 1.0) if stays(model, name, noise, limits) else view
        exact = view.kind is ViewKind.EXACT
        done[name] = (view, _relation(model, seen, limits) if exact else Relation.NOT_COMPARABLE)
    return done


def _view(model: TracedModel, noise: Array, seen: Array, ramps: Ramps | None, limits: Thresholds) -> View:
    """Combine what the noise images, the ramps and the natural images show about one input.

    Without ramps (the image decides how many rows there are) pixels are recognised, re-sampled ones are not.
    """
    wanted = limits.views
    view = exact_pixels.exact_view(noise, seen, limits)
    if ramps is None:
        return view or FEATURES
    if view is not None:
        held = exact_pixels.holds_elsewhere(noise, seen, model.natural, ramps.natural, limits)
        return View(ViewKind.CHOSEN, view.coverage) if held < 1 else view
    one = seen[:, 0] if seen.ndim == 5 and seen.shape[1] == 1 and seen.shape[-2:] == noise.shape[-2:] else None
    if one is not None:
        # Of a large value only some channels are kept: the same ones of what the mosaics give.
        mosaics = tensor_duplicates.thin(ramps.mosaics[:, 0], 0, limits.duplicates.elements)
        if exact_pixels.pixel_by_pixel(one, mosaics, limits):
            return View(ViewKind.IN_PLACE, 1.0)
        unchanged = exact_pixels.chosen_share(noise, one, limits)
        if wanted.chosen_from < unchanged < wanted.chosen_to:
            return View(ViewKind.CHOSEN, 1.0, unchanged=unchanged)
    view = sampled_view(model.feed.images, model.natural, ramps, limits)
    if view.kind is ViewKind.IN_PLACE and not np.isnan(view.scale[0]):
        if one is not None:
            kept = exact_pixels.any_channel_kept(one, mosaics, limits)
        else:
            kept = own_pixels(model.feed.images, seen, ramps, limits) >= wanted.kept
        return view if kept else View(ViewKind.SMOOTHED, view.coverage, view.scale, view.offset)
    if view.kind is ViewKind.FEATURES and one is not None:
        return _fitted(noise, one, model.natural, ramps.natural[:, 0], limits) or view
    return view


def _fitted(noise: Array, seen: Array, natural: Array, natural_seen: Array, limits: Thresholds) -> View | None:
    """Return the view of an image whose brightness and contrast each image sets for itself.

    Ramps and even images say nothing of such a tensor: it has no level of its own. But each of its channels is a mix
    of the colours at the same place, or it is not; smooth images tell whether it is the image at all.

    Parameters
    ----------
    noise, natural
        Images, float [n, C, H, W].
    seen, natural_seen
        What the layer sees of them, float [n, channels, H, W].
    """
    if exact_pixels.explained(noise, seen) >= limits.views.in_place:
        return View(ViewKind.IN_PLACE, 1.0, own_brightness=True)
    if exact_pixels.explained(natural, natural_seen) >= limits.views.an_image:
        return View(ViewKind.SMOOTHED, 1.0, own_brightness=True)
    return None


def _confirmed(model: TracedModel, name: str, view: View, noise: Array, seen: Array, limits: Thresholds) -> View:
    """Return the view of an image that looks re-sampled, or "in place" where nothing is moved and nothing lost.

    Ramps are bent by a curve on the pixels as they are by a warp; dots on an image are found where they were put. A
    grid of whole steps whose channels give every pixel back (a wavelet) is a layer's.

    Parameters
    ----------
    noise, seen
        Noise images and what the layer sees of them, float [n, C, H, W] and [n, 1, channels, h, w].
    """
    if seen.ndim != 5 or seen.shape[1] != 1:
        return view
    in_place = View(ViewKind.IN_PLACE, 1.0)
    # A map that is smaller than the image and shows it pixel by pixel is a crop.
    covers = all(rows >= own for rows, own in zip(seen.shape[-2:], noise.shape[-2:], strict=True))
    (grid,) = _grids(model, name, model.natural[:1], limits) if covers else (None,)
    if grid is not None and grid.in_place(limits):
        return in_place
    if grid is not None and grid.stays(limits) and np.isnan(view.scale[0]) and view.kind is ViewKind.RESAMPLED:
        return in_place  # a map with a border of its own, or with filters beside the image
    return in_place if lossless(noise, seen[:, 0], limits) else view


def _grids(model: TracedModel, name: str, images: Array, limits: Thresholds) -> list[Grid | None]:
    """Return for each image the grid on which a map shows dots that are put on it.

    Parameters
    ----------
    images
        float [n, C, H, W].
    """
    shown, span = _shown(model, name)
    return [grid_of(shown, image[None], span, limits) for image in images]


def _shown(model: TracedModel, name: str) -> tuple[Callable[[Array], Array], float]:
    """Return a function from an image [1, C, H, W] to a value's first row, channels first, and the span of pixels."""
    runner = model.open([name])
    shape, image_shape = model.structure.shapes[name], model.structure.shapes[model.structure.image]
    last = len(shape) == 4 and channels_last(shape, image_shape)

    def shown(image: Array) -> Array:
        first: Array = np.asarray(runner(model.feed(image))[name], np.float64)[0]
        return np.moveaxis(first, -1, 0) if last else first

    return shown, model.feed.images.high - model.feed.images.low


def _stays_for_all(model: TracedModel, name: str, noise: Array, limits: Thresholds) -> bool:
    """Whether a map of the image's size shows each pixel in its place for every image: only its colours are chosen."""
    shape = model.structure.shapes[name]
    if len(shape) != 4 or shape[-2:] != noise.shape[-2:]:
        return False
    images = np.concatenate([model.natural, noise[: limits.views.asked_again]])
    return all(grid is not None and grid.in_place(limits) for grid in _grids(model, name, images, limits))


def _filters(model: TracedModel, name: str, noise: Array, limits: Thresholds) -> bool:
    """Whether a tensor of the image's size shows at each place what its neighbourhood in the image decides alone.

    An image that is made smaller and larger again is one that was sampled elsewhere, and no filter: by an operator that
    interpolates, or by a matrix. A filter is made of whole images that lie a few pixels apart.
    """
    shape = model.structure.shapes[name]
    if len(shape) != 4 or shape[-2:] != noise.shape[-2:]:
        return False
    moving = {node.op for node in model.regions[name].nodes if node.operator.kind in (Kind.LAYOUT, Kind.MOVING)}
    if _interpolated(model, name) or not moving <= SLIDING:
        return False
    runner = model.open([name])

    def shown(image: Array) -> Array:
        return np.asarray(runner(model.feed(image[None]))[name], np.float64)

    return is_local(shown, model.natural[: limits.neighbourhoods.images], limits)


def _gated(model: TracedModel, name: str) -> bool:
    """Whether a value is of features, or they meet the image place by place: bent as ramps are by a warp, it stays."""
    region = model.regions[name]
    return region.roots != {model.feed.name} and all(node.op in ELEMENTWISE | AVERAGING for node in region.nodes)


def _interpolated(model: TracedModel, name: str) -> bool:
    """Whether what lies before a value interpolates: an operator, or a product or convolution that is no layer."""
    made = [node.operator for node in model.regions[name].nodes]
    return any(each.kind in (Kind.CONVOLUTION, Kind.PRODUCT) or each.has(Trait.INTERPOLATES) for each in made)


def _by_neighbourhood(model: TracedModel, name: str, noise: Array, limits: Thresholds) -> bool:
    """Whether a tensor of the image's size that changes with the image does so by each pixel's neighbourhood."""
    shape = model.structure.shapes[name]
    if len(shape) != 4 or shape[-2:] != noise.shape[-2:]:
        return False
    runner = model.open([name])

    def shown(image: Array) -> Array:
        return np.asarray(runner(model.feed(image[None]))[name], np.float64)

    return follows_its_neighbourhood(shown, model.natural[: limits.neighbourhoods.images], noise[0], limits)


def _registered(model: TracedModel, name: str, limits: Thresholds) -> View | None:
    """Return the view of an image that is elsewhere and at its own brightness, None where it is no such thing."""
    if len(model.structure.shapes[name]) != 4:
        return None
    fields = model.feed.images.fields(limits.signatures.probes)
    runner = model.open([name])
    seen = [np.asarray(runner(model.feed(image[None]))[name], np.float64) for image in fields]
    if len({values.shape for values in seen}) > 1 or len(seen[0]) != 1:
        return None
    return registered_view(model.feed.images, fields, np.concatenate(seen), limits)


def _only_pools(model: TracedModel, layer: Layer) -> bool:
    """Whether nothing but pooling (and change of layout) lies between the image and the layer."""
    kinds = {node.op for node in model.regions[layer.data].nodes}
    return bool(kinds & POOLING) and kinds <= ELEMENTWISE | POOLING | LAYOUT


def _shrinks(model: TracedModel, layer: Layer) -> bool:
    """Whether a pooling operator or an averaging convolution made what the layer sees."""
    return any(
        (node.op in POOLING or node.op == "Conv") and is_map(model.structure.shapes[node.outputs[0]])
        for node in model.regions[layer.data].nodes
    )


def _relation(model: TracedModel, seen: Array, limits: Thresholds) -> Relation:
    """Return how what a layer sees lies to the image; a shift that padding explains is none."""
    image = model.values[model.feed.name]
    if seen.ndim != image.ndim:
        return Relation.NOT_COMPARABLE
    share, difference = tensor_duplicates.across(image, seen, limits)
    if share < limits.duplicates.coverage:
        return Relation.NOT_COMPARABLE
    if difference.relation is Relation.SHIFTED:
        margins = [(a - b) / 2 for a, b in zip(seen.shape[-2:], image.shape[-2:], strict=True)]
        moved = difference.shift[-2:]
        if all(abs(by - margin) < limits.views.padding for by, margin in zip(moved, margins, strict=True)):
            return Relation.IDENTICAL
    return difference.relation
