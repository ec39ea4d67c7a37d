"""What a verification finds, as plain data for the JSON report: observations, no verdict."""

from typing import Literal

import msgspec

from pytest_facechallenge.core.identity_counts import IdentityCounts
from pytest_facechallenge.verification.operating_point import OperatingPoint
from pytest_facechallenge.verification.protocol import PairCounts


class ScoredPair(msgspec.Struct, frozen=True, kw_only=True):
    """Two rows of the embeddings and their exact score.

    `left` is the probe row for cross protocols, the smaller row number for all-to-all, and the listed order for listed
    pairs.
    """

    left: int
    right: int
    score: float


class TarInterval(msgspec.Struct, frozen=True, kw_only=True):
    """A confidence interval of a TAR at its fixed threshold (see `intervals.tar_interval`).

    `units` is the number of identities with genuine pairs (of pairs, where identities are unknown) that were
    resampled.
    """

    low: float
    high: float
    confidence: float
    method: Literal["subsets-bootstrap-bca", "clopper-pearson"]
    units: int
    resamples: int
    seed: int


class TarAtFar(msgspec.Struct, frozen=True, kw_only=True):
    """The true accept rate at one operating point.

    A pair is accepted when its score is strictly greater than `threshold`, which is the (K + 1)-th largest impostor
    score, K being `allowed_false_accepts`. Impostor pairs that tie at the threshold are all rejected, so the FAR holds
    whatever ties.

    Attributes
    ----------
    threshold : float or None
        None when every pair is accepted, since the operating point allows all impostor pairs (then `tar` is 1), and
        when there is no impostor pair (then `tar` is None).
    false_accepts : int
        Impostor pairs accepted: K, or fewer because of ties.
    boundary_ties : int
        Impostor pairs whose score is exactly the threshold, at least 1 where there is a threshold.
    impostor_pairs_near : int
        Impostor pairs within 1e-12 of the threshold, the ties not counted.
    genuine_pairs_near : int
        Genuine pairs within 1e-12 of the threshold, above by at most that or not above it.
    genuine_accepted, genuine_accepted_at_plus_eps, genuine_accepted_at_minus_eps : int or None
        Genuine pairs with a score above the threshold, and above the threshold + and - 1e-12.
    tar, tar_at_plus_eps, tar_at_minus_eps : float or None
        The same over `genuine_pairs`; None without genuine or without impostor pairs. When all three agree, every
        library that computes in float64 finds this TAR, in whatever order it sums.
    interval : TarInterval or None
        None where there is no TAR, or genuine pairs of one identity only.
    undecided : str or None
        Why these pairs cannot decide the operating point, and what could; None when they can. The numbers are given
        all the same.
    impostor_pairs_needed, impostor_pairs_for_rule_of_30 : int
        1 / FAR and 30 / FAR, rounded up.
    below_rule_of_30 : bool
        Whether there are fewer impostor pairs than the latter: fewer than 30 false accepts are expected, and the
        threshold is uncertain.
    by_identity : IdentityCounts or None
        What each identity contributed, for comparing two networks (see `paired`); None for listed pairs, and where
        there is no threshold or no genuine pair.
    """

    operating_point: OperatingPoint
    allowed_false_accepts: int
    threshold: float | None
    false_accepts: int
    boundary_ties: int
    impostor_pairs_near: int
    genuine_pairs_near: int
    genuine_pairs: int
    genuine_accepted: int | None
    genuine_accepted_at_plus_eps: int | None
    genuine_accepted_at_minus_eps: int | None
    tar: float | None
    tar_at_plus_eps: float | None
    tar_at_minus_eps: float | None
    interval: TarInterval | None
    undecided: str | None
    impostor_pairs_needed: int
    impostor_pairs_for_rule_of_30: int
    below_rule_of_30: bool
    by_identity: IdentityCounts | None = None

    @property
    def reproducible(self) -> bool:
        """Whether the TAR is the same for any order of summation: no genuine pair lies within 1e-12."""
        return self.genuine_pairs_near == 0


class ScoreHistograms(msgspec.Struct, frozen=True, kw_only=True):
    """Genuine and impostor scores in equal bins over [-1, 1]; what curves and EER are read from.

    Genuine pairs are all counted by their exact scores. Impostor scores come from float32 products, so one near an
    edge may be counted in the next bin, and `impostor_sampled` tells whether only random blocks of pairs were scored.
    Nothing that is derived from here is exact: it holds to the width of a bin, and sampled to the sample's size.
    """

    genuine: tuple[int, ...]
    impostor: tuple[int, ...]
    genuine_pairs: int
    impostor_pairs_scored: int
    impostor_pairs: int
    impostor_sampled: bool
    seed: int

    @property
    def bin_width(self) -> float:
        """The width of a bin."""
        return 2 / len(self.genuine)


class VerificationResult(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one verification found.

    `points` are in the order of the operating points asked for; `backend` tells which filter chose the candidates,
    which has no influence on any number.
    """

    protocol: Literal["all-to-all", "cross", "listed pairs"]
    rows: int
    identities: int | None
    pairs: PairCounts
    eps: float
    points: tuple[TarAtFar, ...]
    hardest_genuine: tuple[ScoredPair, ...]
    hardest_impostor: tuple[ScoredPair, ...]
    histograms: ScoreHistograms | None
    backend: str


class FoldAccuracy(msgspec.Struct, frozen=True, kw_only=True):
    """Accuracy of listed pairs by cross-validation (see `pairs.fold_accuracy`).

    `thresholds` are the best ones on the other folds, as cosine similarities; `accuracies` are of the fold left out.
    `mean` and `deviation` (population standard deviation) are over the folds.
    """

    mean: float
    deviation: float
    accuracies: tuple[float, ...]
    thresholds: tuple[float, ...]
    pairs: int


class PairsResult(msgspec.Struct, frozen=True, kw_only=True):
    """What listed pairs give: TAR at FAR as for the other protocols, and the cross-validated accuracy.

    `accuracy` is None when there are fewer pairs than folds.
    """

    verification: VerificationResult
    accuracy: FoldAccuracy | None
