"""Verification of a set; of a large one the parts that are done are kept in the cache, where another run finds them."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.verification import (
    AllToAll,
    Cross,
    OperatingPoint,
    Settings,
    StateError,
    VerificationResult,
    verify,
)

#: Verifications of more pairs than this keep what is done of them: they take ten seconds and more.
KEPT_FROM_PAIRS = 1 << 32


@dataclasses.dataclass(frozen=True)
class KeptVerification:
    """Where large verifications keep what is done of them (None: nowhere), and whether others are offered parts."""

    state: Path | None = None
    offered: bool = False


#: Nothing is kept, and nothing offered.
NOWHERE = KeptVerification()


def verified(
    settings: Settings,
    kept: KeptVerification,
    rows: npt.NDArray[np.float32],
    identities: npt.NDArray[np.int64],
    points: tuple[OperatingPoint, ...],
    protocol: AllToAll | Cross,
) -> VerificationResult:
    """Verify, as `pytest_facechallenge.verification.verify` does, with the state of a large one kept where it can be.

    Parameters
    ----------
    rows : float32 [N, D]
    identities : int64 [N]
    """
    if isinstance(protocol, Cross):
        pairs = int(np.count_nonzero(protocol.probe)) * int(np.count_nonzero(protocol.gallery))
    else:
        pairs = int(len(identities) if protocol.rows is None else np.count_nonzero(protocol.rows)) ** 2 // 2
    if pairs > KEPT_FROM_PAIRS and kept.state is not None:
        with suppress(StateError):  # a cache that cannot be used costs time and no result
            return verify(
                rows, identities, points, protocol=protocol, settings=settings, state=kept.state, offered=kept.offered
            )
    return verify(rows, identities, points, protocol=protocol, settings=settings)
