"""Operating points: how many false accepts a false accept rate allows, in exact arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Literal

import msgspec

from pytest_facechallenge.verification.errors import OperatingPointError

Comparison = Literal["<", "<="]

RULE_OF_30 = 30
"""False accepts needed before a measured rate is within ±30 % of the true one with 90 % confidence: Doddington et al.,
"The NIST speaker recognition evaluation: overview, methodology, systems, results, perspective", Speech Communication
31 (2000), 225-254; also ISO/IEC 19795-1."""


class OperatingPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A false accept rate (FAR) and how it is to be compared.

    Parameters
    ----------
    far : str
        The rate as a decimal or a fraction, ``"1e-6"``, ``"0.0001"`` or ``"1/3"``; in (0, 1]. A string and not a float,
        since 1e-6 has no exact binary representation and the number of allowed false accepts must not depend on that.
    comparison : {"<", "<="}
        ``"<"`` for a FAR *less than* the value (the wording of ICCV21-MFR, hence the default), ``"<="`` for a FAR *at*
        the value.

    Raises
    ------
    OperatingPointError
        When `far` is not such a string or lies outside (0, 1], or `comparison` is neither of the two.
    """

    far: str
    comparison: Comparison = "<"

    def __post_init__(self) -> None:
        """Refuse what is no operating point."""
        # Decoded JSON has the declared types, but code may pass a float in spite of them.
        if not isinstance(self.far, str):
            msg = f"A FAR must be given as text such as '1e-6', so that it is exact; got {self.far!r}."  # type: ignore[unreachable]
            raise OperatingPointError(msg)
        if self.comparison not in ("<", "<="):
            msg = f"A FAR is compared by '<' or '<='; got {self.comparison!r}."
            raise OperatingPointError(msg)
        if not 0 < self.rate <= 1:
            msg = f"A FAR must be above 0 and at most 1; got {self.far!r}."
            raise OperatingPointError(msg)

    @classmethod
    def of(cls, far: Fraction | str, comparison: Comparison = "<") -> OperatingPoint:
        """Make an operating point of an exact fraction or a text."""
        return cls(far=str(far), comparison=comparison)

    @property
    def rate(self) -> Fraction:
        """The false accept rate as an exact fraction."""
        try:
            return Fraction(self.far)
        except (ValueError, ZeroDivisionError):
            msg = f"A FAR must be a decimal or a fraction such as '1e-6' or '1/3'; got {self.far!r}."
            raise OperatingPointError(msg) from None

    def allowed_false_accepts(self, impostor_pairs: int) -> int:
        """Give K, the largest number of accepted impostor pairs with K / `impostor_pairs` (comparison) `far`.

        Integer and rational arithmetic only. With no impostor pair at all, 0.
        """
        if impostor_pairs == 0:
            return 0
        allowed = self.rate * impostor_pairs
        return math.ceil(allowed) - 1 if self.comparison == "<" else math.floor(allowed)

    @property
    def impostor_pairs_needed(self) -> int:
        """Impostor pairs below which no rate as low as `far`, but zero, can be seen: 1 / `far`, rounded up."""
        return math.ceil(1 / self.rate)

    @property
    def impostor_pairs_for_rule_of_30(self) -> int:
        """Impostor pairs below which fewer than 30 false accepts are expected: 30 / `far`, rounded up."""
        return math.ceil(RULE_OF_30 / self.rate)
