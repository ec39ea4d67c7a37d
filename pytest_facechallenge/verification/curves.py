"""ROC and DET points and the equal error rate, read from score histograms: true to the width of a bin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt
from scipy import special

if TYPE_CHECKING:
    from pytest_facechallenge.verification.results import ScoreHistograms
    from pytest_facechallenge.verification.rows import IntArray


class CurvePoint(msgspec.Struct, frozen=True, kw_only=True):
    """Rates when pairs with a score of at least `threshold` are accepted.

    `far` is the share of impostor pairs accepted (false match rate), `tar` of genuine pairs accepted.
    `far_deviate` and `frr_deviate` are the normal deviates of FAR and of FRR = 1 - TAR, the axes of a DET plot (Martin
    et al., "The DET curve in assessment of detection task performance", Eurospeech 1997); None at rates of 0 and 1.
    """

    threshold: float
    far: float
    tar: float
    far_deviate: float | None
    frr_deviate: float | None


class EqualErrorRate(msgspec.Struct, frozen=True, kw_only=True):
    """Where FAR and FRR cross: between the two thresholds, with the rate interpolated on a line between them."""

    rate: float
    threshold_low: float
    threshold_high: float


def curve_points(histograms: ScoreHistograms) -> tuple[CurvePoint, ...]:
    """Give the points of the ROC (far, tar) and DET (deviates) curve, thresholds falling.

    Of thresholds between which neither rate changes only the two ends are kept. Empty without genuine or without
    impostor pairs.
    """
    rates = _rates(histograms)
    if rates is None:
        return ()
    thresholds, far, frr = rates
    moves = (np.diff(far) != 0) | (np.diff(frr) != 0)
    kept = np.flatnonzero(np.append(True, moves) | np.append(moves, True))[::-1]
    return tuple(
        CurvePoint(
            threshold=float(thresholds[k]),
            far=float(far[k]),
            tar=float(1 - frr[k]),
            far_deviate=_deviate(far[k]),
            frr_deviate=_deviate(frr[k]),
        )
        for k in kept
    )


def equal_error_rate(histograms: ScoreHistograms) -> EqualErrorRate | None:
    """Give the equal error rate; None without genuine or without impostor pairs."""
    rates = _rates(histograms)
    if rates is None:
        return None
    thresholds, far, frr = rates
    # FRR - FAR rises from -1 (accept all) to 1 (reject all).
    above = int(np.argmax(frr >= far))
    below = above - 1
    rise_low, rise_high = far[below] - frr[below], frr[above] - far[above]
    weight = rise_low / (rise_low + rise_high)
    rate = far[below] + weight * (far[above] - far[below])
    return EqualErrorRate(
        rate=float(rate), threshold_low=float(thresholds[below]), threshold_high=float(thresholds[above])
    )


def _rates(histograms: ScoreHistograms) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]] | None:
    """Give thresholds, FAR and FRR at the edges of the bins, thresholds rising: float64 [bins + 1] each."""
    genuine, impostor = (np.array(counts, np.int64) for counts in (histograms.genuine, histograms.impostor))
    if not genuine.sum() or not impostor.sum():
        return None
    thresholds = np.linspace(-1, 1, len(genuine) + 1)
    return thresholds, 1 - _below(impostor), _below(genuine)


def _below(counts: IntArray) -> npt.NDArray[np.float64]:
    shares: npt.NDArray[np.float64] = np.concatenate([[0], np.cumsum(counts)]) / counts.sum()
    return shares


def _deviate(rate: float) -> float | None:
    return float(special.ndtri(rate)) if 0 < rate < 1 else None
