"""What a non-affine first stage makes of the images that the server feeds: seen by running the model.

Where the structure of the graph does not say how the pixels are scaled at the first layer, the model is fed as the
server feeds it, and once more as the server would feed it if it believed the opposite of the normalisation. What the
first layers with weights then work on, and how far the embeddings differ, says whether the normalisation fits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.implicit_batch.runner import Runner, part_for
from pytest_facechallenge.analyses.preprocessing.layers import first_layers
from pytest_facechallenge.core.facts.preprocessing import FirstStageFacts, PreprocessingFacts, StageView
from pytest_facechallenge.inference.images import SIDE, natural, to_input
from pytest_facechallenge.onnx_graph.ir import from_model, inline_functions
from pytest_facechallenge.onnx_graph.server_feed import NORMALISED, RAW

Array = npt.NDArray[Any]

#: Natural images shown, and pixels of them that are changed, one at a time, by so many grey levels.
IMAGES, PIXELS, STEP = 4, 40, 12

#: Of the largest value: a smaller change of what a layer works on is none.
SAME = 1e-6

#: Share of the values of a channel left out at each end: a quotient of small numbers has a few that are far off.
ENDS = 0.002

#: What values count as that are larger: curves that are fed 0..255 in place of -1..1 may grow without end.
LARGEST = 1e30

#: First layers that are looked at.
LAYERS = 8


def gather(context: Context) -> FirstStageFacts:
    """Run the model on images as the server feeds them and as it feeds other models; nothing where it is not needed.

    Raises
    ------
    RunError
        The model does not run.
    """
    found = context.facts.need(PreprocessingFacts)
    if not found.by_running:
        return FirstStageFacts()
    model = onnx.load(str(context.runnable_path))
    model = inline_functions(model) if model.functions else model
    graph = from_model(model, context.runnable_path.parent)
    layers = first_layers(graph)[:LAYERS]
    if not layers or len(graph.inputs) != 1:
        return FirstStageFacts()
    served = (found.server_mean, found.server_std)
    other = RAW if served == NORMALISED else NORMALISED
    images = natural(IMAGES, context.options.seed)
    shown = np.concatenate([images, np.zeros_like(images[:1]), np.full_like(images[:1], 255)])
    stage = _Stage(model, list(dict.fromkeys(data for _, data in layers)), context.options.threads)
    views = {}
    for feed in (served, other):
        rows = [stage(to_input(one[None], *feed)) for one in shown]
        changed = [stage(to_input(one[None], *feed)) for one in _dotted(images, context.options.seed)]
        views[feed] = _view(rows, changed)
    whole = _Stage(model, [model.graph.output[0].name], context.options.threads)

    def embedded(pixels: Array, feed: tuple[float, float]) -> Array:
        return np.stack([whole(to_input(one[None], *feed))[0].reshape(-1) for one in pixels])

    embeddings = embedded(images, served)
    return FirstStageFacts(
        layers=tuple(node.label for node, _ in layers),
        served=views[served],
        other=views[other],
        other_mean=other[0],
        other_std=other[1],
        change=_change(embeddings, embedded(images, other)),
        apart=_apart(embeddings),
        colours_change=_change(embeddings, embedded(images[..., ::-1], served)),
        images=IMAGES,
    )


class _Stage:
    """A part of the model: one image [1, 3, 112, 112] to some of its values, float64."""

    def __init__(self, model: onnx.ModelProto, names: list[str], threads: int) -> None:
        self._input = model.graph.input[0].name
        self._names = names
        inner = [name for name in names if name != self._input]
        kind = model.graph.input[0].type.tensor_type.elem_type
        self._dtype = onnx.helper.tensor_dtype_to_np_dtype(kind)
        self._runner = Runner(part_for(model, inner), inner, threads) if inner else None

    def __call__(self, image: Array) -> list[Array]:
        values = {} if self._runner is None else self._runner.raw({self._input: image.astype(self._dtype)})
        return [np.asarray(values.get(name, image), np.float64) for name in self._names]


def _dotted(images: npt.NDArray[np.uint8], seed: int) -> npt.NDArray[np.uint8]:
    """Return copies of the images in turn, each with one other pixel changed; uint8 [PIXELS, 112, 112, 3]."""
    places = np.random.default_rng(seed).choice(SIDE * SIDE, PIXELS, replace=False)
    copies = images[np.arange(PIXELS) % IMAGES]
    for copy, place in zip(copies, places, strict=True):
        pixel = copy[place // SIDE, place % SIDE].astype(int)
        copy[place // SIDE, place % SIDE] = np.where(pixel < 128, pixel + STEP, pixel - STEP)
    return copies


def _view(rows: list[list[Array]], changed: list[list[Array]]) -> StageView:
    """Say how the values at the first layers spread over images, and which share of single pixels changes none.

    Parameters
    ----------
    rows
        For each image what each layer works on, natural ones first.
    changed
        The same for the natural images in turn, with one other pixel changed in each.
    """
    spread, middle, finite = 0.0, 0.0, True
    for values in zip(*rows, strict=True):
        if any(value.shape != values[0].shape for value in values):
            continue
        stacked = np.stack([_channels(value) for value in values])
        finite = finite and bool(np.isfinite(stacked).all())
        low, high = np.quantile(_kept(stacked), (ENDS, 1 - ENDS), axis=(0, 2))
        widest = int(np.argmax(high - low))
        if high[widest] - low[widest] > spread:
            spread, middle = float(high[widest] - low[widest]), float(abs(high[widest] + low[widest]) / 2)
    lost = np.mean(
        [
            all(_same(one, two) for one, two in zip(rows[index % IMAGES], row, strict=True))
            for index, row in enumerate(changed)
        ]
    )
    return StageView(spread=spread, middle=middle, finite=finite, pixels_lost=round(float(lost), 4))


def _same(one: Array, other: Array) -> bool:
    """Whether two values are the same but for rounding; those that are not finite tell nothing apart."""
    if one.shape != other.shape:
        return False
    a, b = _kept(one), _kept(other)
    return bool(np.abs(a - b).max(initial=0) <= SAME * np.abs(a).max(initial=0))


def _kept(values: Array) -> Array:
    """Return values of which none is infinite or so large that a difference would be."""
    kept: Array = np.clip(np.nan_to_num(values), -LARGEST, LARGEST)
    return kept


def _channels(value: Array) -> Array:
    """Return a value as [channels, places]: of four axes the second (or the last, where it is the smallest)."""
    if value.ndim == 4:
        value = np.moveaxis(value, -1, 1) if value.shape[-1] < min(value.shape[1:3]) else value
        planes: Array = value[0].reshape(value.shape[1], -1)
        return planes
    return value.reshape(1, -1)


def _change(one: Array, other: Array) -> float:
    """Return the largest 1 - cos between two embeddings of one image, 0..2; 2 where one is not finite or none."""
    if one.shape != other.shape or not (np.isfinite(one).all() and np.isfinite(other).all()):
        return 2.0
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    if not norms.all():
        return 2.0
    return float(f"{max(0.0, float((1 - (one * other).sum(1) / norms).max())):.3g}")


def _apart(embeddings: Array) -> float:
    """Return the median 1 - cos between two different embeddings, 0..2; 0 where one is not finite or none."""
    norms = np.linalg.norm(embeddings, axis=1)
    if not (np.isfinite(embeddings).all() and norms.all()):
        return 0.0
    unit = embeddings / norms[:, None]
    distances = (1 - unit @ unit.T)[np.triu_indices(len(unit), 1)]
    return float(f"{max(0.0, float(np.median(distances))):.3g}")
