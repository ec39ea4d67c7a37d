"""Early features that stand where the image decides: confirmed by feeding the decision from another image.

The way of the deciding numbers is cut where it leaves the data, and given what it reads for another image. Where the
features behind the meeting are then the same ones displaced or turned, they are placed by what the image shows.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from pytest_facechallenge.analyses.implicit_batch.blur import gaussian
from pytest_facechallenge.analyses.implicit_batch.displacement import Displacement, displacement
from pytest_facechallenge.analyses.implicit_batch.layer_index import Structure
from pytest_facechallenge.analyses.implicit_batch.pixel_content import recovered
from pytest_facechallenge.analyses.implicit_batch.runner import RunError, Runner, as_floats, part_for
from pytest_facechallenge.analyses.implicit_batch.stages import bends
from pytest_facechallenge.analyses.implicit_batch.steering_ways import Way, channels_last, layers_before, map_size, ways
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.analyses.implicit_batch.trace import TracedModel
from pytest_facechallenge.core.facts.alignment import Steered, SteeredPlaces
from pytest_facechallenge.core.facts.implicit_batch import Observation, Unseen
from pytest_facechallenge.core.facts.implicit_batch_kinds import Gap

Array = npt.NDArray[Any]

#: Name of the value that the way reads instead.
OTHER = "read from another image"

#: Characters of the runtime's text that are kept.
TEXT = 200

#: Nodes that lead from a spatial map to its transform; what is before them is asked for pixels too.
TRANSFORMING = frozenset(
    {"MatMul", "Gemm", "Einsum", "DFT", "Neg", "Mul", "Add", "Sub", "Transpose", "Reshape", "Unsqueeze", "Squeeze",
     "Identity", "Cast", "Pad", "Slice", "Split", "Concat", "Flatten"}
)  # fmt: skip


def observe(model: TracedModel, limits: Thresholds) -> list[Observation]:
    """Return one observation for each way on which the image decides where its early features stand."""
    structure = model.structure
    found: list[Observation] = []
    for way in ways(structure, limits):
        try:
            seen = _tried(model, way, limits)
        except RunError as error:
            found.append(
                Unseen(gap=Gap.WAY_NOT_FED, names=(way.reader.label,), error=str(error)[:TEXT], branch=model.branch)
            )
            continue
        # Weights that are not trained yet move by less than rounding: images far beyond the usual move them further,
        # and may be more than the model runs on.
        if seen is None:
            with suppress(RunError):
                seen = _tried(model, way, limits, beyond=True)
        if seen is None:
            continue
        name, label, change, explained, agree = seen
        size = map_size(structure.shapes[name], structure.shapes[structure.image], limits) or (0, 0)
        per_place = (structure.shapes[structure.image][2] / size[0], structure.shapes[structure.image][3] / size[1])
        how = Steered.TURNED if change.turn else Steered.STEPPED if change.whole else Steered.DISPLACED
        down, right = (float(f"{step * by:.3g}") for step, by in zip(change.pixels, per_place, strict=True))
        held = content(model, way.data, limits)
        found.append(
            SteeredPlaces(
                node=label, steering=way.reader.label, how=how, pixels=(down, right), turn=change.turn,
                explained=round(explained, 4), agree=agree, images=limits.alignment.images,
                recovered=round(held, 4), filtered=filtered_only(structure, way.data, limits), size=size,
                branch=model.branch,
            )
        )  # fmt: skip
        if held >= limits.alignment.nearly_image:
            break  # one is enough
    return found


def _tried(
    model: TracedModel, way: Way, limits: Thresholds, *, beyond: bool = False
) -> tuple[str, str, Displacement, float, int] | None:
    """Feed the way from other images; return the map that is displaced, its node, how, how surely and how often.

    The others are unrelated to the image: on the way of the data they give something else, and no displacement.
    """
    wanted = limits.alignment
    names = [name for name, _ in way.maps]
    runner = _cut(model, way, names)
    if runner is None:
        return None
    read = None if way.fork == model.feed.name else model.open([way.fork])
    images = smooth(model.natural[: wanted.images + 1], limits)
    best: dict[str, list[tuple[int, Displacement]]] = {name: [] for name in names}

    def shown(image: Array, other: Array) -> dict[str, Any]:
        given = model.feed(other)
        value = given[model.feed.name] if read is None else read(given)[way.fork]
        own = {name: array for name, array in model.feed(image).items() if name in runner.inputs}
        return runner({**own, OTHER: value})

    for index in range(wanted.images):
        image, other = images[index][None], images[index + 1][None]
        before = shown(image, image)
        far = image + wanted.beyond * (other - image)
        usual = (image + wanted.small_step * (other - image), other, other[..., ::-1])
        for between in (far,) if beyond else usual:
            after = shown(image, between)
            for name in list(best):
                change = _change(before[name], after[name], model.structure, limits)
                if change is not None:
                    best[name].append((index, change))
        promising = {
            name: changes
            for name, changes in best.items()
            if any(one.explained >= wanted.promising for _, one in changes)
        }
        if index == 0 and not promising:
            return None
        best = promising
    return _agreed(way, best, limits)


def _agreed(
    way: Way, seen: dict[str, list[tuple[int, Displacement]]], limits: Thresholds
) -> tuple[str, str, Displacement, float, int] | None:
    """Return the map whose changes are displacements most surely, for enough images; None where there is none."""
    wanted = limits.alignment
    found: list[tuple[str, str, Displacement, float, int]] = []
    for name, label in way.maps:
        by_image: dict[int, Displacement] = {}
        for index, one in seen.get(name, ()):
            known = by_image.get(index)
            if is_sure(one, limits) and (known is None or one.explained > known.explained):
                by_image[index] = one
        if len(by_image) >= wanted.agree:
            largest = max(by_image.values(), key=lambda one: sum(map(abs, one.pixels)))
            found.append((name, label, largest, min(one.explained for one in by_image.values()), len(by_image)))
    return max(found, key=lambda entry: (entry[4], round(entry[3], 2)), default=None)


def is_sure(change: Displacement, limits: Thresholds) -> bool:
    """Whether a change is explained by a displacement that is more than rounding."""
    wanted = limits.alignment
    moves = bool(change.turn) or max(map(abs, change.pixels)) >= wanted.least_pixels
    return moves and change.explained >= wanted.explained


class _Cut(Runner):
    """A runner that knows which values it is given."""

    def __init__(self, part: onnx.ModelProto, names: list[str], threads: int, largest: float) -> None:
        super().__init__(part, names, threads, largest=largest)
        self.inputs = frozenset(value.name for value in part.graph.input)


def _cut(model: TracedModel, way: Way, names: list[str]) -> _Cut | None:
    """Open the maps with the way reading a value that is fed; None where the runtime cannot."""
    part = part_for(model.variant.model, names)
    reader = next((node for node in part.graph.node if set(node.output) & set(way.reader.outputs)), None)
    if reader is None:
        return None
    kept = list(reader.input)
    del reader.input[:]
    reader.input.extend(OTHER if name == way.fork else name for name in kept)
    if way.fork == model.feed.name:
        kind = next(value for value in model.variant.model.graph.input if value.name == way.fork).type.tensor_type
        element = kind.elem_type
    else:
        value = model.open([way.fork])(model.feed(model.natural[:1]))[way.fork]
        element = helper.np_dtype_to_tensor_dtype(np.asarray(value).dtype)
    part.graph.input.append(helper.make_tensor_value_info(OTHER, element, None))
    return _Cut(part, names, model.threads, model.sessions.largest)


def smooth(images: Array, limits: Thresholds) -> Array:
    """Blur images a little, and let them fade towards their edges.

    The change by a small displacement is then the slope times the step, also where a Fourier transform takes the left
    edge for the neighbour of the right one.
    """
    blurred = gaussian(images, limits.alignment.smooth, repeated=True).astype(images.dtype)
    fades = []
    for extent in images.shape[2:]:
        place = np.minimum(np.arange(extent), np.arange(extent)[::-1]) / (extent / limits.alignment.margin)
        fades.append(np.sin(np.pi / 2 * np.minimum(1, place)) ** 2)
    middle = blurred.mean((2, 3), keepdims=True)
    faded: Array = (middle + (blurred - middle) * fades[0][:, None] * fades[1]).astype(images.dtype)
    return faded


def _change(before: Any, after: Any, structure: Structure, limits: Thresholds) -> Displacement | None:
    one, two = (as_channels(as_floats(value), structure) for value in (before, after))
    return None if one is None or two is None or one.shape != two.shape else displacement(one, two, limits)


def as_channels(value: Array | None, structure: Structure) -> Array | None:
    """Return one image's map as [c, h, w], also where channels come last or are rows; None for any other, or none."""
    if value is None or value.ndim != 4 or not value.size:
        return None
    # Rows beyond one per image are channels that a grouped convolution works on one by one.
    last = channels_last(value.shape, structure.shapes[structure.image])
    one: Array = np.moveaxis(value, -1, 1) if last else value
    return one.reshape(-1, *one.shape[2:])


def content(model: TracedModel, data: tuple[str, ...], limits: Thresholds) -> float:
    """Return how much of independent pixels is recovered from some values, or from what they are transforms of."""
    structure = model.structure
    image = structure.shapes[structure.image]
    behind = _transformed(structure, data)
    if model.feed.name in behind:
        return 1.0
    names = [name for name in behind if map_size(structure.shapes.get(name, ()), image, limits)]
    if not names:
        return 0.0
    names = names[: limits.alignment.maps]
    noise = model.feed.images.noise(limits.alignment.noise)
    runner = model.open(names)
    values = [runner(model.feed(one[None])) for one in noise]
    shares = [0.0]
    for name in names:
        arrays = [as_channels(as_floats(value[name]), structure) for value in values]
        kept = [array for array in arrays if array is not None]
        if len(kept) == len(noise) and len({array.shape for array in kept}) == 1:
            shares.append(recovered(noise, np.stack(kept), limits))
    return max(shares)


def _transformed(structure: Structure, data: tuple[str, ...]) -> list[str]:
    """Return some values and those that they are transforms of, the nearest first."""
    pending, seen = list(data), dict.fromkeys(data)
    while pending:
        name = pending.pop(0)
        producer = structure.producer.get(name)
        if name == structure.image or producer is None or producer.op not in TRANSFORMING:
            continue
        more = [value for value in producer.inputs if value in structure.varying and value not in seen]
        pending += more
        seen |= dict.fromkeys(more)
    return list(seen)


def filtered_only(structure: Structure, data: tuple[str, ...], limits: Thresholds) -> bool:
    """Whether some values, or what they are transforms of, are the image behind filters alone.

    A blur takes independent pixels away, and leaves a face what it is: what is moved behind it is the image, though
    hardly anything of noise is recovered. It is a map with no more channels than the image has, linear in the image or
    without a layer before it (a curve on the pixels, a pooling).
    """
    image = structure.shapes[structure.image]
    filtered = {name for name, layers in layers_before(structure).items() if not layers}
    for node in structure.nodes:
        read = [name for name in node.inputs if name in structure.varying]
        if read and filtered.issuperset(read) and not bends(structure, node):
            filtered.update(name for name in node.outputs if name)
    for name in _transformed(structure, data):
        shape = structure.shapes.get(name, ())
        if name in filtered and map_size(shape, image, limits):
            channels = shape[-1] if channels_last(shape, image) else shape[1]
            if channels <= image[1]:
                return True
    return False
