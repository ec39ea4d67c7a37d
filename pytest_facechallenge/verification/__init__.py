"""Exact 1:1 verification: numpy arrays in, plain facts out.

`verify` compares all-to-all or probes with a gallery, `verify_pairs` compares listed pairs. TAR at FAR is exact (see
`verify`); whatever comes from histograms (`curve_points`, `equal_error_rate`) is not, and says so.
"""

from __future__ import annotations

from pytest_facechallenge.verification.curves import CurvePoint, EqualErrorRate, curve_points, equal_error_rate
from pytest_facechallenge.verification.engine import Settings, verify
from pytest_facechallenge.verification.errors import (
    BackendUnavailableError,
    OperatingPointError,
    ProtocolError,
    StateError,
    UnusableRowsError,
    VerificationError,
)
from pytest_facechallenge.verification.intervals import tar_interval
from pytest_facechallenge.verification.operating_point import OperatingPoint
from pytest_facechallenge.verification.pairs import fold_accuracy, verify_pairs
from pytest_facechallenge.verification.protocol import AllToAll, Cross, PairCounts
from pytest_facechallenge.verification.results import (
    FoldAccuracy,
    PairsResult,
    ScoredPair,
    ScoreHistograms,
    TarAtFar,
    TarInterval,
    VerificationResult,
)

__all__ = [
    "AllToAll",
    "BackendUnavailableError",
    "Cross",
    "CurvePoint",
    "EqualErrorRate",
    "FoldAccuracy",
    "OperatingPoint",
    "OperatingPointError",
    "PairCounts",
    "PairsResult",
    "ProtocolError",
    "ScoreHistograms",
    "ScoredPair",
    "Settings",
    "StateError",
    "TarAtFar",
    "TarInterval",
    "UnusableRowsError",
    "VerificationError",
    "VerificationResult",
    "curve_points",
    "equal_error_rate",
    "fold_accuracy",
    "tar_interval",
    "verify",
    "verify_pairs",
]
