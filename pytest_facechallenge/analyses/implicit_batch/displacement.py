"""Whether one map is another one displaced or turned: what an intervention on the positions does to features.

Where features are placed by numbers, other numbers displace them: the change of every channel follows its own slopes,
by one field of steps that all channels share. A gate, a dynamic kernel or attention changes features otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.probe_images import TURNS
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.core.facts.implicit_batch_kinds import Transform

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Displacement:
    """How one map follows from another.

    Attributes
    ----------
    explained
        Share of the change that it explains, 0..1.
    pixels
        Steps along rows and columns, in places of the map: the median of their sizes; of a whole step, its signed
        length.
    turn
        What the map was turned by; `Transform.NONE` where it was moved.
    whole
        Whether it is a step of whole places.
    """

    explained: float
    pixels: tuple[float, float] = (0.0, 0.0)
    turn: Transform = Transform.NONE
    whole: bool = False


def displacement(before: Array, after: Array, limits: Thresholds) -> Displacement | None:
    """Return the best explanation of a change by a displacement, a step or a turn; None where nothing changed.

    Parameters
    ----------
    before, after
        One image's map with two steerings, float [c, h, w].
    """
    wanted = limits.alignment
    chosen = _channels(before, wanted.channels)
    one, two = before[chosen].astype(np.float64), after[chosen].astype(np.float64)
    inner = _inner(one.shape[1:], wanted.margin)
    change = (two - one)[inner]
    if not np.isfinite(change).all() or np.abs(change).max() <= wanted.moves * max(1e-30, float(np.abs(one).max())):
        return None
    found = [_smooth(one, change, inner, limits), _turned(one, two - one), _step(one, two, limits)]
    return max(found, key=lambda candidate: candidate.explained)


def _channels(values: Array, count: int) -> Array:
    """Return the channels that vary most over the places."""
    order: Array = np.sort(np.argsort(-values.reshape(len(values), -1).std(1))[:count])
    return order


def _inner(shape: tuple[int, ...], part: int) -> tuple[slice, slice, slice]:
    rows, columns = (max(1, extent // part) for extent in shape)
    return slice(None), slice(rows, -rows), slice(columns, -columns)


def _smooth(one: Array, change: Array, inner: tuple[slice, slice, slice], limits: Thresholds) -> Displacement:
    """Fit the change by slopes times a smooth field of steps, the same for all channels."""
    waves = limits.alignment.waves
    slopes = [slope[inner] for slope in np.gradient(one, axis=(1, 2))]
    height, width = change.shape[1:]
    down, right = (
        np.cos(np.pi * np.arange(waves)[:, None] * (np.arange(extent)[None] + 0.5) / extent)
        for extent in (height, width)
    )
    stride = max(1, int(np.sqrt(height * width / 2500)))
    basis = np.einsum("ay,bx->abyx", down[:, ::stride], right[:, ::stride]).reshape(waves * waves, -1)
    picked = [values[:, ::stride, ::stride].reshape(len(one), 1, -1) for values in (*slopes, change)]
    # One row for each channel and place, one column for each wave of the steps along rows, then along columns.
    columns = np.concatenate([slope * basis for slope in picked[:2]], 1).transpose(0, 2, 1).reshape(-1, 2 * len(basis))
    target = picked[2].reshape(-1)
    moments = columns.T @ columns
    if not moments.any():  # maps without a slope: nothing in them says whether they moved
        return Displacement(0.0, (0.0, 0.0))
    moments += 1e-9 * np.trace(moments) / len(moments) * np.eye(len(moments))
    fit = np.linalg.solve(moments, columns.T @ target)
    left = ((target - columns @ fit) ** 2).sum() / max(1e-300, (target**2).sum())
    steps = np.abs(fit.reshape(2, -1) @ basis)
    return Displacement(float(1 - left), (float(np.median(steps[0])), float(np.median(steps[1]))))


def _turned(one: Array, change: Array) -> Displacement:
    """Fit the change by a share of the turned map in place of the map: a choice between the two, hard or soft."""
    best = Displacement(0.0)
    for name, turn in TURNS.items():
        if one.shape[1] != one.shape[2] and turn(one).shape != one.shape:
            continue
        difference = turn(one) - one
        energy = float((difference**2).sum())
        if energy <= 0:
            continue
        share = float((change * difference).sum()) / energy
        explained = 1 - float(((change - share * difference) ** 2).sum()) / max(1e-300, float((change**2).sum()))
        if explained > best.explained:
            best = Displacement(explained, turn=name)
    return best


def _step(one: Array, two: Array, limits: Thresholds) -> Displacement:
    """Fit the second map by the first moved by whole places."""
    far = limits.alignment.far
    rows, columns = one.shape[1:]
    if min(rows, columns) <= 4 * far:
        return Displacement(0.0)
    inner = (slice(None), slice(far, -far), slice(far, -far))
    target = two[inner]
    spectra = np.fft.rfft2(np.where(_mask(one.shape[1:], far), two, 0)) * np.fft.rfft2(one).conj()
    likeness = np.fft.irfft2(spectra.sum(0), s=(rows, columns))
    squares = np.fft.irfft2(
        (np.fft.rfft2(_mask(one.shape[1:], far).astype(float)) * np.fft.rfft2((one**2).sum(0)).conj()),
        s=(rows, columns),
    )
    error = squares - 2 * likeness  # |two - moved one|^2 up to a constant
    around = np.arange(-far, far + 1)
    near = error[np.ix_(around % rows, around % columns)]
    near[far, far] = np.inf
    down, right = (int(step) - far for step in np.unravel_index(int(near.argmin()), near.shape))
    moved = np.roll(one, (down, right), (1, 2))[inner]
    change = float(((target - one[inner]) ** 2).sum())
    explained = 1 - float(((target - moved) ** 2).sum()) / max(1e-300, change)
    return Displacement(explained, (float(down), float(right)), whole=True)


def _mask(shape: tuple[int, ...], margin: int) -> npt.NDArray[np.bool_]:
    inside = np.zeros(shape, bool)
    inside[margin:-margin, margin:-margin] = True
    return inside
