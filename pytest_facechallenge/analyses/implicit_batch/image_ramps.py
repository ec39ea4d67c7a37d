"""Run a variant on even images, ramps, natural images and mosaics, and keep what some values show of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.exact_pixels import exact_view, mosaics
from pytest_facechallenge.analyses.implicit_batch.opened import OpenedModel
from pytest_facechallenge.analyses.implicit_batch.sampled_grid import Ramps, sampled_view
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.analyses.implicit_batch.view import FEATURES, View

Array = npt.NDArray[Any]


def ramps_of(model: OpenedModel, names: list[str], limits: Thresholds) -> dict[str, Ramps]:
    """Return what the values named show, by name; without those whose size depends on the image."""
    images, levels = model.feed.images, limits.images
    wanted = [name for name in names if name != model.feed.name]
    runner = model.open(wanted)
    plan = {
        "dark": images.flat(levels.dark), "light": images.flat(levels.light), "rows": images.ramp(0),
        "columns": images.ramp(1), "coded": images.coded(),
    }  # fmt: skip
    single = {key: runner(model.feed(image)) for key, image in plan.items()}
    mixed = [runner(model.feed(image[None])) for image in mosaics(images.noise(2 * limits.views.mosaics))]
    natural = [runner(model.feed(image[None])) for image in model.natural]
    result = {}
    for name in wanted:
        if len({np.shape(values[name]) for values in [*single.values(), *mixed, *natural]}) > 1:
            continue
        arrays = {key: np.asarray(values[name], np.float64) for key, values in single.items()}
        result[name] = Ramps(
            natural=np.stack([np.asarray(values[name], np.float64) for values in natural]),
            mosaics=np.stack([np.asarray(values[name], np.float64) for values in mixed]),
            **arrays,
        )
    return result


def view_behind(model: OpenedModel, noise: Array, seen: Array, name: str, limits: Thresholds) -> View:
    """Return what a value behind layers shows of the image, more strictly than in front of them.

    Parameters
    ----------
    noise
        Noise images, float [probes, C, H, W].
    seen
        The value for each of them, float [probes, *shape].
    """
    exact = exact_view(noise, seen, limits)
    ramps = ramps_of(model, [name], limits).get(name)
    if exact is not None or ramps is None:
        return exact or FEATURES
    return sampled_view(model.feed.images, model.natural, ramps, limits, behind_layers=True)
