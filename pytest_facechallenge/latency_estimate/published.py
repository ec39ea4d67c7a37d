"""Published times of the reference networks: rows of a rulebook's baselines, grouped by backbone."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
import numpy as np

from pytest_facechallenge.core.rulebook import Rulebook


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """What was published about one reference network.

    Attributes
    ----------
    name
        Of the network in `pytest_facechallenge.refnets`, "iresnet50".
    ms
        Mean of the rows, milliseconds on the rulebook's GPU.
    rows
        The published times.
    """

    name: str
    ms: float
    rows: tuple[float, ...]


def published(book: Rulebook) -> tuple[Published, ...]:
    """Return the published times of a rulebook, by growing time; empty when it has none or names no GPU."""
    if book.runtime is None or not book.runtime.gpu:
        return ()
    rows: dict[str, list[float]] = {}
    for baseline in book.baselines:
        depth = re.fullmatch(r"R(\d+)", baseline.backbone)
        if depth and baseline.infer_ms:
            rows.setdefault(f"iresnet{depth.group(1)}", []).append(baseline.infer_ms)
    points = [Published(name=name, ms=float(np.mean(times)), rows=tuple(times)) for name, times in rows.items()]
    return tuple(sorted(points, key=lambda point: point.ms))


def row_spread(points: Sequence[Published]) -> float:
    """Return the relative standard deviation of published rows of one backbone around their mean, pooled over all.

    It says how far the organisers' own measurement repeats; 0 when no backbone has two rows.
    """
    squares = sum(float(np.sum((np.asarray(point.rows) / point.ms - 1) ** 2)) for point in points)
    freedom = sum(len(point.rows) - 1 for point in points)
    return float(np.sqrt(squares / freedom)) if freedom else 0.0
