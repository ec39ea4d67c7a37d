"""What can be wrong with the input of a verification, as typed errors whose texts are sentences."""

from __future__ import annotations


class VerificationError(Exception):
    """Base of every error raised by this package on purpose."""


class OperatingPointError(VerificationError, ValueError):
    """An operating point that is not a false accept rate in (0, 1] with '<' or '<='."""


class ProtocolError(VerificationError, ValueError):
    """Embeddings, identities, rows or pairs whose shapes, types or contents do not fit together."""


class UnusableRowsError(VerificationError, ValueError):
    """Embeddings that have no direction: rows with NaN or infinite values, or with nothing but zeros.

    Attributes
    ----------
    non_finite, zero : tuple[int, ...]
        The first such rows (at most 20 of each), as row numbers of the embeddings given by the caller.
    non_finite_count, zero_count : int
        How many there are in all.
    """

    def __init__(
        self, non_finite: tuple[int, ...], non_finite_count: int, zero: tuple[int, ...], zero_count: int
    ) -> None:
        self.non_finite = non_finite
        self.non_finite_count = non_finite_count
        self.zero = zero
        self.zero_count = zero_count
        parts = []
        if non_finite_count:
            parts.append(
                f"{non_finite_count} with NaN or infinite values (rows {_listed(non_finite, non_finite_count)})"
            )
        if zero_count:
            parts.append(f"{zero_count} with nothing but zeros (rows {_listed(zero, zero_count)})")
        super().__init__(
            "Every embedding must be finite and different from zero, or it has no cosine similarity; found "
            + " and ".join(parts)
            + ". Look at the model's output for these images."
        )


class BackendUnavailableError(VerificationError, RuntimeError):
    """A backend was asked for by name that cannot give right results on this machine."""


class StateError(VerificationError, RuntimeError):
    """The state of a verification cannot be kept where it was asked for."""


def _listed(rows: tuple[int, ...], count: int) -> str:
    return ", ".join(map(str, rows)) + (", …" if count > len(rows) else "")
