"""An image moved or zoomed that sets its own brightness: its places are known by how they vary over fields."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.probe_images import Images
from pytest_facechallenge.analyses.implicit_batch.sampled_grid import hull
from pytest_facechallenge.analyses.implicit_batch.signatures import best, signatures
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.analyses.implicit_batch.view import View
from pytest_facechallenge.core.facts.implicit_batch_kinds import ViewKind

Array = npt.NDArray[Any]


def registered_view(images: Images, fields: Array, seen: Array, limits: Thresholds) -> View | None:
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
        Re-sampled where the places are a moved or zoomed grid; None for the grid itself (blurred or not), for one
        that is not straight, and for anything that is no image.
    """
    wanted = limits.registration
    plane = max((seen[:, c] for c in range(seen.shape[1])), key=lambda values: float(values.std(0).mean()))
    height_and_width = plane.shape[1:]
    stride = max(1, int(np.sqrt(plane[0].size / wanted.elements)))
    plane = plane[:, ::stride, ::stride]
    found = _settle(fields[:, 0], plane, limits) or _settle(fields[:, 0], -plane, limits)
    if found is None:
        return None
    down, right, held = found
    shown = np.indices(height_and_width)[:, ::stride, ::stride].reshape(2, -1)
    rows, columns = _line(shown[0][held], down[held], limits), _line(shown[1][held], right[held], limits)
    if rows is None or columns is None:
        return None
    if all(abs(step - 1) < wanted.scale and abs(first) < wanted.offset for step, first in (rows, columns)):
        return None
    coverage = hull(down[held], right[held], images)
    scale, offset = (rows[0], columns[0]), (rows[1], columns[1])
    return View(ViewKind.RESAMPLED, coverage, scale, offset, own_brightness=True)


def _settle(fields: Array, plane: Array, limits: Thresholds) -> tuple[Array, Array, Array] | None:
    """Return row and column of every element and whether they are to be trusted; None when most elements hold none.

    Parameters
    ----------
    fields, plane
        float [n, H, W] and [n, h, w].
    """
    wanted = limits.registration
    source, _ = signatures(fields, limits)
    values = plane.reshape(len(plane), -1).astype(np.float64)
    for _ in range(wanted.rounds):
        marks, live = signatures(values, limits)
        if live.mean() < wanted.most:
            return None
        closest, place = best(marks, source)
        held = closest >= wanted.held
        if held.mean() >= wanted.most:
            return *_between(fields, marks, *np.divmod(place, fields.shape[-1])), held
        values = _levelled(values, fields.reshape(len(fields), -1)[:, place], closest, limits)
    return None


def _levelled(values: Array, expected: Array, closeness: Array, limits: Thresholds) -> Array:
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
    gain = np.where(np.abs(gain) > limits.registration.least_gain, gain, 1.0)[:, None]
    levelled: Array = (values - level) / gain + middle
    return levelled


def _line(index: Array, place: Array, limits: Thresholds) -> tuple[float, float] | None:
    """Return (step, first) of places that follow their index in a straight line, None where they do not."""
    wanted = limits.registration
    step, first = np.polyfit(index, place, 1)
    off = np.abs(place - step * index - first)
    near = off <= max(wanted.near, wanted.near_times * float(np.median(off)))
    step, first = np.polyfit(index[near], place[near], 1)
    straight = float(np.median(np.abs(place - step * index - first))) <= wanted.straight
    return (float(step), float(first)) if straight and abs(step) > wanted.least_step else None


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
