"""Which reference networks are worth timing beside a submission."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pytest_facechallenge.core.facts.latency import Mode
from pytest_facechallenge.latency_estimate.references import NAMES
from pytest_facechallenge.latency_estimate.scaling import LEAST_REFERENCES


def enough(times: Sequence[float], submission: float, mode: Mode) -> bool:
    """Return whether no larger reference is needed.

    Parameters
    ----------
    times
        Local times of the references so far, growing.
    submission
        The submission's, same unit.
    mode
        "scaled" wants all of them. "auto" wants one that is slower than the submission, so that the answer is
        interpolated, and at least four, since three points leave a line almost without an error estimate.
    """
    if len(times) >= len(NAMES):
        return True
    return mode == "auto" and len(times) > LEAST_REFERENCES and times[-1] >= submission


def missing(kept: Sequence[float], submission: float, mode: Mode) -> Callable[[Sequence[float]], bool]:
    """Return what says, of the times of larger references than the kept ones, whether one more is needed."""
    return lambda larger: not enough([*kept, *larger], submission, mode)
