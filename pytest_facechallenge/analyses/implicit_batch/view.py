"""What a value of the network shows of the image."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_facechallenge.core.facts.implicit_batch_kinds import ViewKind

#: In place of a scale or an offset that is not straight.
NOT_STRAIGHT = (float("nan"), float("nan"))

#: In place of a rectangle.
NO_BOX = (-1, -1, -1, -1)


@dataclass(frozen=True)
class View:
    """What a value shows of the image.

    Attributes
    ----------
    kind
        See `ViewKind`.
    coverage
        Share of the pixel grid that is present (exact), or that lies inside the places sampled; 0..1.
    scale, offset
        For height and width: place in the image = scale * index + offset, in pixels; NaN where not straight.
    box
        Of exact views that hold a rectangle: first and last row, first and last column; else -1.
    own_brightness
        Whether each image gets a brightness and contrast of its own.
    unchanged
        Of chosen views: share of the probe images shown as they are; -1 when pixels are shown in either case.
    present
        Which of `pixels_asked` are there (exact views).
    """

    kind: ViewKind
    coverage: float
    scale: tuple[float, float] = NOT_STRAIGHT
    offset: tuple[float, float] = NOT_STRAIGHT
    box: tuple[int, int, int, int] = NO_BOX
    own_brightness: bool = False
    unchanged: float = -1.0
    present: frozenset[int] = frozenset()


#: Of a value that is no image.
FEATURES = View(ViewKind.FEATURES, 0.0)
