"""A time on the rulebook's GPU that was not measured there, with everything its interval rests on."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pytest_facechallenge.core.facts.latency import LaunchGroup
from pytest_facechallenge.latency_estimate.references import FAMILIAR


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A reference network as predicted from the others (leave-one-out), and as published; milliseconds."""

    name: str
    published: float
    predicted: float

    @property
    def error(self) -> float:
        """Relative error of the prediction."""
        return self.predicted / self.published - 1


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """An estimated time.

    Attributes
    ----------
    ms, low, high
        Estimate and interval, milliseconds.
    held_out
        Leave-one-out predictions of the references.
    parts
        What makes up the interval: relative widths, by name.
    unfamiliar
        Share of the time (as modelled) in launches of kinds that no reference network has.
    of_kernels
        Whether it adds up the references' own kernels (`known_kernels`); the time here agrees and is no part of it.
    from_here
        Of such an estimate: what follows from the time here.
    """

    ms: float
    low: float
    high: float
    held_out: tuple[Held, ...]
    parts: dict[str, float] = {}
    unfamiliar: float = 0.0
    of_kernels: bool = False
    from_here: Estimate | None = None

    @property
    def worst(self) -> float:
        """Largest relative leave-one-out error, without sign."""
        return max((abs(held.error) for held in self.held_out), default=0.0)

    def text(self) -> str:
        """Return "7.1 ms (6.0 to 8.4)"."""
        return f"{self.ms:.3g} ms ({self.low:.3g} to {self.high:.3g})"


def launch_count(groups: Sequence[LaunchGroup]) -> int:
    """Return how many kernels one image launches."""
    return sum(group.count for group in groups)


def is_familiar(group: LaunchGroup) -> bool:
    """Return whether the reference networks have launches of this kind."""
    return group.kind in FAMILIAR
