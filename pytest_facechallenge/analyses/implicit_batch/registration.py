"""An image moved or zoomed that sets its own brightness: its places are known by how they vary over fields."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.input_geometry import View, hull
from pytest_facechallenge.analyses.implicit_batch.probe_images import Images
from pytest_facechallenge.analyses.implicit_batch.signatures import best, signatures

Array = npt.NDArray[Any]

#: Correlation with the values at one place over smooth fields from which an element holds that place.
HELD = 0.995

#: Share of the elements that must hold places.
MOST = 0.8

#: Elements looked at, about: a grid over the tensor.
ELEMENTS = 2000

#: Rounds of finding places and undoing what was done to the brightness of each image.
ROUNDS = 6


def placed_view(images: Images, fields: Array, seen: Array) -> View | None:
    """Say where a tensor shows the image when each image sets its own brightness and contrast; None where nowhere.

    Every place of the fields has its own sequence of values over them; an element that holds a place, or something
    between places, shows that sequence up to gain and offset. What a crop does to the brightness of each image is
    found from the places, and they from what is left when it is undone: a few rounds settle both.

    Parameters
    ----------
    fields
        `Images.fields`, float [n, C, H, W].
    seen
        What a layer sees of them, float [n, channels, h, w].

    Returns
    -------
    View or None
        "resampled" where the places are a moved or zoomed grid; None for the grid itself (blurred or not), for one
        that is not straight, and for anything that is no image.
    """
    plane = max((seen[:, c] for c in range(seen.shape[1])), key=lambda values: float(values.std(0).mean()))
    height_and_width = plane.shape[1:]
    stride = max(1, int(np.sqrt(plane[0].size / ELEMENTS)))
    plane = plane[:, ::stride, ::stride]
    found = _settle(fields[:, 0], plane) or _settle(fields[:, 0], -plane)
    if found is None:
        return None
    down, right, held = found
    shown = np.indices(height_and_width)[:, ::stride, ::stride].reshape(2, -1)
    rows, columns = _line(shown[0][held], down[held]), _line(shown[1][held], right[held])
    if rows is None or columns is None or all(abs(s - 1) < 0.01 and abs(o) < 0.3 for s, o in (rows, columns)):
        return None
    words = f"the image at its own brightness, re-sampled: row = {rows[0]:.3g} * i {rows[1]:+.2f}, "
    words += f"column = {columns[0]:.3g} * j {columns[1]:+.2f}"
    coverage = hull(down[held], right[held], images)
    return View("resampled", coverage, (rows[0], columns[0]), (rows[1], columns[1]), words)


def _settle(fields: Array, plane: Array) -> tuple[Array, Array, Array] | None:
    """Return row and column of every element and whether they are to be trusted; None when most elements hold none.

    Parameters
    ----------
    fields, plane
        float [n, H, W] and [n, h, w].
    """
    source, _ = signatures(fields)
    values = plane.reshape(len(plane), -1).astype(np.float64)
    for _ in range(ROUNDS):
        marks, live = signatures(values)
        if live.mean() < MOST:
            return None
        closest, place = best(marks, source)
        held = closest >= HELD
        if held.mean() >= MOST:
            return *_between(fields, marks, *np.divmod(place, fields.shape[-1])), held
        values = _levelled(values, fields.reshape(len(fields), -1)[:, place], closest)
    return None


def _levelled(values: Array, expected: Array, closeness: Array) -> Array:
    """Undo each image's own gain and offset, as far as the better half of the places tells.

    Parameters
    ----------
    values, expected
        What the elements show and what their places hold, float [n, elements].
    """
    good = closeness >= np.median(closeness)
    shown, target = values[:, good], expected[:, good].astype(np.float64)
    level, middle = shown.mean(1, keepdims=True), target.mean(1, keepdims=True)
    gain = ((shown - level) * (target - middle)).sum(1) / np.maximum(((target - middle) ** 2).sum(1), 1e-30)
    gain = np.where(np.abs(gain) > 1e-12, gain, 1.0)[:, None]
    levelled: Array = (values - level) / gain + middle
    return levelled


def _line(index: Array, place: Array) -> tuple[float, float] | None:
    """Return (step, first) of places that follow their index in a straight line, None where they do not."""
    step, first = np.polyfit(index, place, 1)
    off = np.abs(place - step * index - first)
    near = off <= max(1.0, 3 * float(np.median(off)))
    step, first = np.polyfit(index[near], place[near], 1)
    straight = float(np.median(np.abs(place - step * index - first))) <= 0.75
    return (float(step), float(first)) if straight and abs(step) > 0.05 else None


def _between(fields: Array, marks: Array, rows: Array, columns: Array) -> tuple[Array, Array]:
    """Refine places to fractions of a pixel: mark = a (field + its slopes times the step) + b, by least squares."""
    slopes = np.gradient(fields, axis=(1, 2))
    values = np.stack([part[:, rows, columns].T for part in (fields, *slopes)], axis=2).astype(np.float64)
    centred = values - values.mean(1, keepdims=True)
    wanted = marks.astype(np.float64)[..., None]
    moments = np.swapaxes(centred, 1, 2)
    ridge = 1e-9 * np.trace(moments @ centred, axis1=1, axis2=2)[:, None, None] * np.eye(3)
    fit = np.linalg.solve(moments @ centred + ridge, moments @ wanted)[..., 0]
    step = np.clip(fit[:, 1:] / np.where(np.abs(fit[:, :1]) > 1e-12, fit[:, :1], 1), -1, 1)
    return rows + step[:, 0], columns + step[:, 1]
