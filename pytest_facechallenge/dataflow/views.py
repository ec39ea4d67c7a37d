"""What the first layers see of the picture, put together from noise, ramps and natural pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.dataflow import copies, warps
from pytest_facechallenge.dataflow.placed import placed_view
from pytest_facechallenge.dataflow.probe import Probe
from pytest_facechallenge.dataflow.signatures import PROBES
from pytest_facechallenge.dataflow.structure import ELEMENTWISE, POOLING, Layer, is_map
from pytest_facechallenge.dataflow.surroundings import follows_its_surroundings
from pytest_facechallenge.facts.dataflow import ViewFact

Array = npt.NDArray[Any]

#: Share of a tensor's variation that the colours at the same place explain. Of noise pictures, whose neighbours have
#: nothing in common: from the first on every pixel is in its place. Of smooth ones: from the second on it is a picture.
IN_PLACE, A_PICTURE = 0.98, 0.5

#: Share of the elements that must show one pixel each before a tensor is the picture in another layout, as it is.
SOME_KEPT = 0.2

#: What before a pooling is worth a word: the layer behind it is looked at anyway.
MOVED = frozenset({"resampled", "smoothed", "predicted", "chosen"})

#: Operators that only change how a tensor is laid out.
LAYOUT = frozenset({"Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Concat", "Split"})


def views(probe: Probe) -> list[ViewFact]:
    """Say for every layer that works on the picture what it sees of it."""
    found: list[ViewFact] = []
    names = list(dict.fromkeys(layer.data for layer in [*probe.front, *probe.pools]))
    if not names:
        return found
    sampled: dict[str, warps.Ramps] | None = None
    noise = probe.values[probe.feed.name][:, 0]
    done: dict[str, tuple[warps.View, str]] = {}
    everything = frozenset(range(len(warps.pixels_asked(*noise.shape[-2:]))))
    for name in names:
        seen = probe.values.get(name)
        if seen is None:
            continue
        if name == probe.feed.name:
            done[name] = (warps.View("exact", 1.0, words="every pixel", present=everything), "identical")
            continue
        if sampled is None:
            sampled = _ramps(probe, names)
        view = _view(probe, noise, seen, sampled.get(name))
        if view.kind == "features":
            view = _placed(probe, name) or view
        if view.kind == "chosen" and _by_surroundings(probe, name, noise):
            view = warps.View("in place", 1.0, words="every pixel in its place, changed by its surroundings")
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


def view_behind(probe: Probe, noise: Array, seen: Array, name: str) -> warps.View:
    """Return what a value behind layers shows of the picture, more strictly than in front of them.

    Parameters
    ----------
    noise
        Noise pictures, float [probes, C, H, W].
    seen
        The value for each of them, float [probes, *shape].
    """
    exact = warps.exact_view(noise, seen)
    ramps = _ramps(probe, [name]).get(name)
    if exact is not None or ramps is None:
        return exact or warps.View("features", 0.0, words="something whose size depends on the picture")
    return warps.sampled_view(probe.feed.pictures, probe.natural, ramps, warps.BEHIND_LAYERS)


def _view(probe: Probe, noise: Array, seen: Array, ramps: warps.Ramps | None) -> warps.View:
    """Combine what the noise pictures, the ramps and the natural pictures show about one input.

    Without ramps (the picture decides how many rows there are) pixels are recognised, re-sampled ones are not.
    """
    view = warps.exact_view(noise, seen)
    if ramps is None:
        return view or warps.View("features", 0.0, words="something whose size depends on the picture")
    if view is not None:
        if warps.holds_elsewhere(noise, seen, probe.natural, ramps.natural) < 1:
            return warps.View("chosen", view.coverage, words="other pixels for some pictures than for others")
        return view
    one = seen[:, 0] if seen.ndim == 5 and seen.shape[1] == 1 else None
    in_size = one is not None and one.shape[-2:] == noise.shape[-2:]
    if one is not None and in_size:
        if warps.pixel_by_pixel(one, ramps.mosaics[:, 0]):
            return warps.View("in place", 1.0, words="every pixel in its place, its colours changed")
        held = warps.chosen_share(noise, one)
        if 0.05 < held < 0.98:
            words = f"the picture as it is for {held:.0%} of the probe pictures and a changed one for the others"
            return warps.View("chosen", 1.0, words=words)
    view = warps.sampled_view(probe.feed.pictures, probe.natural, ramps)
    if view.kind != "in place":
        kept = True
    elif one is not None and in_size:
        kept = warps.any_channel_kept(one, ramps.mosaics[:, 0])
    else:
        kept = warps.own_pixels(probe.feed.pictures, seen, ramps) >= SOME_KEPT
    if not kept:
        return warps.View("smoothed", view.coverage, view.scale, view.offset, "the picture in place, but re-sampled")
    if view.kind == "features" and one is not None and in_size:
        return _fitted(noise, one, probe.natural, ramps.natural[:, 0]) or view
    return view


def _fitted(noise: Array, seen: Array, natural: Array, natural_seen: Array) -> warps.View | None:
    """Return the view of a picture whose brightness and contrast each picture sets for itself.

    Ramps and even pictures say nothing of such a tensor: it has no level of its own. But each of its channels is a mix
    of the colours at the same place, or it is not; smooth pictures tell whether it is the picture at all.

    Parameters
    ----------
    noise, natural
        Pictures, float [n, C, H, W].
    seen, natural_seen
        What the layer sees of them, float [n, channels, H, W].
    """
    if warps.explained(noise, seen) >= IN_PLACE:
        return warps.View("in place", 1.0, words="every pixel in its place, its colours changed for each picture")
    if warps.explained(natural, natural_seen) >= A_PICTURE:
        return warps.View("smoothed", 1.0, words="the picture at its own brightness, moved or re-sampled")
    return None


def _by_surroundings(probe: Probe, name: str, noise: Array) -> bool:
    """Whether a tensor of the picture's size that changes with the picture does so by each pixel's surroundings."""
    shape = probe.structure.shapes[name]
    if len(shape) != 4 or shape[-2:] != noise.shape[-2:]:
        return False
    runner = probe.open([name])

    def look(picture: Array) -> Array:
        return np.asarray(runner(probe.feed(picture[None]))[name], np.float64)

    return follows_its_surroundings(look, probe.natural[:3], noise[0])


def _placed(probe: Probe, name: str) -> warps.View | None:
    """Return the view of a picture that is elsewhere and at its own brightness, None where it is no such thing."""
    if len(probe.structure.shapes[name]) != 4:
        return None
    fields = probe.feed.pictures.fields(PROBES)
    runner = probe.open([name])
    seen = [np.asarray(runner(probe.feed(picture[None]))[name], np.float64) for picture in fields]
    if len({values.shape for values in seen}) > 1 or len(seen[0]) != 1:
        return None
    return placed_view(probe.feed.pictures, fields, np.concatenate(seen))


def _only_pools(probe: Probe, layer: Layer) -> bool:
    """Whether nothing but pooling (and change of layout) lies between the picture and the layer."""
    kinds = {node.op for node in probe.regions[layer.data][0]}
    return bool(kinds & POOLING) and kinds <= ELEMENTWISE | POOLING | LAYOUT


def _shrinks(probe: Probe, layer: Layer) -> bool:
    """Whether a pooling operator or an averaging convolution made what the layer sees."""
    return any(
        (node.op in POOLING or node.op == "Conv") and is_map(probe.structure.shapes[node.outputs[0]])
        for node in probe.regions[layer.data][0]
    )


def _turn(probe: Probe, seen: Array) -> str:
    """Say how what a layer sees lies to the picture; a shift that padding explains is none."""
    picture = probe.values[probe.feed.name]
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


def _ramps(probe: Probe, names: list[str]) -> dict[str, warps.Ramps]:
    pictures = probe.feed.pictures
    wanted = [name for name in names if name != probe.feed.name]
    runner = probe.open(wanted)
    plan = {
        "dark": pictures.flat(0.3), "light": pictures.flat(0.7), "rows": pictures.ramp(0),
        "columns": pictures.ramp(1), "coded": pictures.coded(),
    }  # fmt: skip
    single = {key: runner(probe.feed(picture)) for key, picture in plan.items()}
    mosaics = [runner(probe.feed(picture[None])) for picture in warps.mosaics(pictures.noise(2 * warps.MOSAICS))]
    natural = [runner(probe.feed(picture[None])) for picture in probe.natural]
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
        result[name] = warps.Ramps(natural=stacked, mosaics=mixed, **arrays)
    return result
