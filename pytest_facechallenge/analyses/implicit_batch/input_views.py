"""What the first layers see of the image, put together from noise, ramps and natural images."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch import input_geometry, tensor_duplicates
from pytest_facechallenge.analyses.implicit_batch.layer_index import ELEMENTWISE, POOLING, Layer, is_map
from pytest_facechallenge.analyses.implicit_batch.neighbourhoods import follows_its_surroundings
from pytest_facechallenge.analyses.implicit_batch.registration import placed_view
from pytest_facechallenge.analyses.implicit_batch.signatures import PROBES
from pytest_facechallenge.analyses.implicit_batch.trace import Probe
from pytest_facechallenge.core.facts.implicit_batch import ViewFact
from pytest_facechallenge.onnx_graph.operators import Kind, names

Array = npt.NDArray[Any]

#: Share of a tensor's variation that the colours at the same place explain. Of noise images, whose neighbours have
#: nothing in common: from the first on every pixel is in its place. Of smooth ones: from the second on it is an image.
IN_PLACE, AN_IMAGE = 0.98, 0.5

#: Share of the elements that must show one pixel each before a tensor is the image in another layout, as it is.
SOME_KEPT = 0.2

#: What before a pooling is worth a word: the layer behind it is looked at anyway.
MOVED = frozenset({"resampled", "smoothed", "predicted", "chosen"})

#: Operators that only change how a tensor is laid out.
LAYOUT = names(Kind.LAYOUT) | {"Concat", "Split"}


def views(probe: Probe) -> list[ViewFact]:
    """Say for every layer that works on the image what it sees of it."""
    found: list[ViewFact] = []
    names = list(dict.fromkeys(layer.data for layer in [*probe.front, *probe.pools]))
    if not names:
        return found
    sampled: dict[str, input_geometry.Ramps] | None = None
    noise = probe.values[probe.feed.name][:, 0]
    done: dict[str, tuple[input_geometry.View, str]] = {}
    everything = frozenset(range(len(input_geometry.pixels_asked(*noise.shape[-2:]))))
    for name in names:
        seen = probe.values.get(name)
        if seen is None:
            continue
        if name == probe.feed.name:
            done[name] = (input_geometry.View("exact", 1.0, words="every pixel", present=everything), "identical")
            continue
        if sampled is None:
            sampled = _ramps(probe, names)
        view = _view(probe, noise, seen, sampled.get(name))
        if view.kind == "features":
            view = _placed(probe, name) or view
        if view.kind == "chosen" and _by_surroundings(probe, name, noise):
            view = input_geometry.View("in place", 1.0, words="every pixel in its place, changed by its surroundings")
        turn = _turn(probe, seen) if view.kind == "exact" else ""
        done[name] = (view, turn)
    data = {layer.data for layer in probe.front}
    parts = [view.present for name, (view, _) in done.items() if view.present and name in data]
    union = len(frozenset().union(*parts)) / len(everything)
    for layer in [*probe.front, *probe.pools]:
        if layer.data not in done or (layer in probe.pools and done[layer.data][0].kind not in MOVED):
            continue
        view, turn = done[layer.data]
        common = max(
            (len(view.present & other) / len(everything) for other in parts if other is not view.present),
            default=0.0,
        )
        scale = tuple(0.0 if np.isnan(s) else round(float(s), 4) for s in view.scale)
        offset = tuple(0.0 if np.isnan(o) else round(float(o), 3) for o in view.offset)
        found.append(
            ViewFact(
                layer=layer.node.label, kind=view.kind, coverage=round(view.coverage, 4), turn=turn,
                scale=(scale[0], scale[1]), offset=(offset[0], offset[1]), words=view.words, via=probe.via(layer),
                pooled=_shrinks(probe, layer), plain=_only_pools(probe, layer),
                macs_after=round(probe.share_after(layer), 4), together=round(union, 4), common=round(common, 4),
                branch=probe.branch,
            )
        )  # fmt: skip
    return found


def view_behind(probe: Probe, noise: Array, seen: Array, name: str) -> input_geometry.View:
    """Return what a value behind layers shows of the image, more strictly than in front of them.

    Parameters
    ----------
    noise
        Noise images, float [probes, C, H, W].
    seen
        The value for each of them, float [probes, *shape].
    """
    exact = input_geometry.exact_view(noise, seen)
    ramps = _ramps(probe, [name]).get(name)
    if exact is not None or ramps is None:
        return exact or input_geometry.View("features", 0.0, words="something whose size depends on the image")
    return input_geometry.sampled_view(probe.feed.images, probe.natural, ramps, input_geometry.BEHIND_LAYERS)


def _view(probe: Probe, noise: Array, seen: Array, ramps: input_geometry.Ramps | None) -> input_geometry.View:
    """Combine what the noise images, the ramps and the natural images show about one input.

    Without ramps (the image decides how many rows there are) pixels are recognised, re-sampled ones are not.
    """
    view = input_geometry.exact_view(noise, seen)
    if ramps is None:
        return view or input_geometry.View("features", 0.0, words="something whose size depends on the image")
    if view is not None:
        if input_geometry.holds_elsewhere(noise, seen, probe.natural, ramps.natural) < 1:
            return input_geometry.View("chosen", view.coverage, words="other pixels for some images than for others")
        return view
    one = seen[:, 0] if seen.ndim == 5 and seen.shape[1] == 1 else None
    in_size = one is not None and one.shape[-2:] == noise.shape[-2:]
    if one is not None and in_size:
        if input_geometry.pixel_by_pixel(one, ramps.mosaics[:, 0]):
            return input_geometry.View("in place", 1.0, words="every pixel in its place, its colours changed")
        held = input_geometry.chosen_share(noise, one)
        if 0.05 < held < 0.98:
            words = f"the image as it is for {held:.0%} of the probe images and a changed one for the others"
            return input_geometry.View("chosen", 1.0, words=words)
    view = input_geometry.sampled_view(probe.feed.images, probe.natural, ramps)
    if view.kind != "in place":
        kept = True
    elif one is not None and in_size:
        kept = input_geometry.any_channel_kept(one, ramps.mosaics[:, 0])
    else:
        kept = input_geometry.own_pixels(probe.feed.images, seen, ramps) >= SOME_KEPT
    if not kept:
        return input_geometry.View(
            "smoothed", view.coverage, view.scale, view.offset, "the image in place, but re-sampled"
        )
    if view.kind == "features" and one is not None and in_size:
        return _fitted(noise, one, probe.natural, ramps.natural[:, 0]) or view
    return view


def _fitted(noise: Array, seen: Array, natural: Array, natural_seen: Array) -> input_geometry.View | None:
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
    if input_geometry.explained(noise, seen) >= IN_PLACE:
        return input_geometry.View(
            "in place", 1.0, words="every pixel in its place, its colours changed for each image"
        )
    if input_geometry.explained(natural, natural_seen) >= AN_IMAGE:
        return input_geometry.View("smoothed", 1.0, words="the image at its own brightness, moved or re-sampled")
    return None


def _by_surroundings(probe: Probe, name: str, noise: Array) -> bool:
    """Whether a tensor of the image's size that changes with the image does so by each pixel's surroundings."""
    shape = probe.structure.shapes[name]
    if len(shape) != 4 or shape[-2:] != noise.shape[-2:]:
        return False
    runner = probe.open([name])

    def look(image: Array) -> Array:
        return np.asarray(runner(probe.feed(image[None]))[name], np.float64)

    return follows_its_surroundings(look, probe.natural[:3], noise[0])


def _placed(probe: Probe, name: str) -> input_geometry.View | None:
    """Return the view of an image that is elsewhere and at its own brightness, None where it is no such thing."""
    if len(probe.structure.shapes[name]) != 4:
        return None
    fields = probe.feed.images.fields(PROBES)
    runner = probe.open([name])
    seen = [np.asarray(runner(probe.feed(image[None]))[name], np.float64) for image in fields]
    if len({values.shape for values in seen}) > 1 or len(seen[0]) != 1:
        return None
    return placed_view(probe.feed.images, fields, np.concatenate(seen))


def _only_pools(probe: Probe, layer: Layer) -> bool:
    """Whether nothing but pooling (and change of layout) lies between the image and the layer."""
    kinds = {node.op for node in probe.regions[layer.data][0]}
    return bool(kinds & POOLING) and kinds <= ELEMENTWISE | POOLING | LAYOUT


def _shrinks(probe: Probe, layer: Layer) -> bool:
    """Whether a pooling operator or an averaging convolution made what the layer sees."""
    return any(
        (node.op in POOLING or node.op == "Conv") and is_map(probe.structure.shapes[node.outputs[0]])
        for node in probe.regions[layer.data][0]
    )


def _turn(probe: Probe, seen: Array) -> str:
    """Say how what a layer sees lies to the image; a shift that padding explains is none."""
    image = probe.values[probe.feed.name]
    if seen.ndim != image.ndim:
        return ""
    share, relation = tensor_duplicates.across(image, seen)
    if share < tensor_duplicates.COVERAGE:
        return ""
    if relation.kind == "shifted":
        margins = [(a - b) / 2 for a, b in zip(seen.shape[-2:], image.shape[-2:], strict=True)]
        moved = relation.shift[-2:] if relation.shift else (0, 0)
        if all(abs(by - margin) < 1 for by, margin in zip(moved, margins, strict=True)):
            return "identical"
    return relation.kind


def _ramps(probe: Probe, names: list[str]) -> dict[str, input_geometry.Ramps]:
    images = probe.feed.images
    wanted = [name for name in names if name != probe.feed.name]
    runner = probe.open(wanted)
    plan = {
        "dark": images.flat(0.3), "light": images.flat(0.7), "rows": images.ramp(0),
        "columns": images.ramp(1), "coded": images.coded(),
    }  # fmt: skip
    single = {key: runner(probe.feed(image)) for key, image in plan.items()}
    mosaics = [
        runner(probe.feed(image[None])) for image in input_geometry.mosaics(images.noise(2 * input_geometry.MOSAICS))
    ]
    natural = [runner(probe.feed(image[None])) for image in probe.natural]
    result = {}
    for name in names:
        if name == probe.feed.name:
            continue
        results = [*single.values(), *mosaics, *natural]
        if len({np.shape(values[name]) for values in results}) > 1:
            continue
        arrays = {key: np.asarray(values[name], np.float64) for key, values in single.items()}
        stacked = np.stack([np.asarray(values[name], np.float64) for values in natural])
        mixed = np.stack([np.asarray(values[name], np.float64) for values in mosaics])
        result[name] = input_geometry.Ramps(natural=stacked, mosaics=mixed, **arrays)
    return result
