"""Facts of the step ``accuracy``: what the embeddings of the supplied testsets gave; no threshold, no verdict."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from pytest_facechallenge.core.facts.base import StepFacts
from pytest_facechallenge.core.identity_counts import IdentityCounts

#: At most so many problems of a testset are kept one by one; ``problem_count`` has them all.
MAX_PROBLEMS = 200


class PairCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many pairs were compared: each once (these decide), and counted in both directions as some tables do."""

    genuine: int
    impostor: int
    genuine_ordered: int
    impostor_ordered: int


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """A confidence interval of a TAR at its threshold; ``units`` identities (or pairs) were resampled."""

    low: float
    high: float
    confidence: float
    method: str
    units: int


class PointResult(msgspec.Struct, frozen=True, kw_only=True):
    """TAR at one operating point, exact; a pair is accepted when its score is strictly above ``threshold``.

    Attributes
    ----------
    far, comparison
        The operating point, "1e-6" and "<" (FAR less than) or "<=" (FAR at).
    tar
        0..1; None without genuine or impostor pairs.
    allowed_false_accepts, false_accepts
        How many impostor pairs the point allows, and how many are accepted (fewer where scores tie).
    tar_at_plus_eps, tar_at_minus_eps
        TAR with the threshold moved by 1e-12; all three equal means that every float64 library finds this TAR.
    undecided
        Why these pairs cannot decide the point; empty when they can.
    impostor_pairs_needed, impostor_pairs_for_rule_of_30
        1/FAR and 30/FAR, rounded up.
    by_identity
        What each identity contributed, for the sets that a challenge's score may be made of: two entries are compared
        by it. None for other sets, listed pairs, and where there is no threshold or no genuine pair.
    """

    far: str
    comparison: str
    tar: float | None
    threshold: float | None
    allowed_false_accepts: int
    false_accepts: int
    boundary_ties: int
    genuine_pairs: int
    genuine_accepted: int | None
    tar_at_plus_eps: float | None
    tar_at_minus_eps: float | None
    interval: Interval | None
    undecided: str
    impostor_pairs_needed: int
    impostor_pairs_for_rule_of_30: int
    below_rule_of_30: bool
    by_identity: IdentityCounts | None = None


class FoldAccuracy(msgspec.Struct, frozen=True, kw_only=True):
    """Accuracy of listed pairs, cross-validated; ``deviation`` is the standard deviation over the folds."""

    mean: float
    deviation: float
    accuracies: tuple[float, ...]
    thresholds: tuple[float, ...]
    pairs: int


class CurvePoint(msgspec.Struct, frozen=True, kw_only=True):
    """One point of the ROC (far, tar) and of the DET curve (normal deviates), to six digits.

    True to 0.001 of the score, the width of the bins that it was counted in.
    """

    threshold: float
    far: float
    tar: float
    far_deviate: float | None
    frr_deviate: float | None


class EqualErrorRate(msgspec.Struct, frozen=True, kw_only=True):
    """Where FAR and FRR cross, between two edges of histogram bins."""

    rate: float
    threshold_low: float
    threshold_high: float


class Histogram(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of scores in 200 equal bins over [-1, 1]; ``sampled`` when impostor scores are of random blocks only."""

    genuine: tuple[int, ...]
    impostor: tuple[int, ...]
    sampled: bool


class HardPair(msgspec.Struct, frozen=True, kw_only=True):
    """Two images (or videos, templates) by path, and their cosine similarity."""

    left: str
    right: str
    score: float


class SetResult(msgspec.Struct, frozen=True, kw_only=True):
    """One set of a testset, scored.

    Attributes
    ----------
    testset, set
        Which supplied testset, and which set of the rulebook it was taken for; ``set`` is the testset's own name when
        it is none of the rulebook's.
    official
        Whether ``set`` is a name of the rulebook.
    protocol
        "all-to-all", "cross" or "pairs".
    select
        Column -> values (folded) that chose the entries; empty when all were taken. Rulebooks may use one name for
        different sets, so a result belongs to a rule only when this agrees as well.
    flip
        Whether the mirror image's embedding was added (LFR19's image protocol).
    raw
        Whether pixels were fed as 0..255 (LFR19), and not as the server's rule says (`AccuracyFacts.mean`, ``std``).
    compared
        A digest of what was compared: the names of the images (or videos, templates) in their order, of which identity
        each is, and on which side. Results of two networks with the same one are of the same pairs. Empty for listed
        pairs.
    images, probe_images, gallery_images
        What was compared: images, or videos, or templates. Probe (masked) and gallery are 0 but for "cross".
    identities
        0 when the testset does not tell.
    excluded, excluded_pairs
        Entries and listed pairs left out because images could not be used; see the testset's problems.
    error, unusable, unusable_count
        Why there is no result, and which entries (some of them) got embeddings without a direction (NaN, infinite or
        zero). Empty when all is well.
    """

    testset: str
    set: str
    official: bool
    protocol: Literal["all-to-all", "cross", "pairs"]
    select: dict[str, tuple[str, ...]] = {}
    flip: bool = False
    raw: bool = False
    compared: str = ""
    images: int = 0
    probe_images: int = 0
    gallery_images: int = 0
    identities: int = 0
    excluded: int = 0
    excluded_pairs: int = 0
    pairs: PairCounts | None = None
    points: tuple[PointResult, ...] = ()
    folds: FoldAccuracy | None = None
    eer: EqualErrorRate | None = None
    curve: tuple[CurvePoint, ...] = ()
    histogram: Histogram | None = None
    hardest_genuine: tuple[HardPair, ...] = ()
    hardest_impostor: tuple[HardPair, ...] = ()
    backend: str = ""
    seconds: float = 0.0
    error: str = ""
    unusable: tuple[str, ...] = ()
    unusable_count: int = 0


class ImageProblem(msgspec.Struct, frozen=True, kw_only=True):
    """An image that could not be used; ``kind`` is "unreadable" or "size"."""

    name: str
    kind: str
    what: str


class EmbeddingRun(msgspec.Struct, frozen=True, kw_only=True):
    """How a testset was embedded; ``rate`` is computed images a second, reading included."""

    computed: int
    cached: int
    seconds: float
    rate: float
    width: int
    batch: int
    damaged_cache_files: int = 0


class SuppliedTestset(msgspec.Struct, frozen=True, kw_only=True):
    """One testset as supplied: what it is, what could not be used, how it was embedded.

    Attributes
    ----------
    error
        Why it could not be used at all; empty when it could.
    findings
        What was noticed while reading, one sentence each.
    problems, problem_count
        The first `MAX_PROBLEMS` images that could not be used, and how many there are.
    written_features
        The feature file that was written from it; empty when none was asked for.
    """

    name: str
    path: str
    form: str = ""
    images: int = 0
    entries: int = 0
    identities: int = 0
    findings: tuple[str, ...] = ()
    problems: tuple[ImageProblem, ...] = ()
    problem_count: int = 0
    embedding: EmbeddingRun | None = None
    written_features: str = ""
    error: str = ""


class ColourOrder(msgspec.Struct, frozen=True, kw_only=True):
    """The same images fed as RGB and as BGR, and whether the TARs differ by more than chance.

    Attributes
    ----------
    far
        The operating point that was used, each order with its own threshold.
    tar_rgb, tar_bgr
        0..1; None when there was nothing to compare (then ``why_not`` says why).
    low, high
        A 95 % interval of tar_rgb - tar_bgr by resampling ``units`` identities, or listed pairs where the testset has
        no identities, the same ones for both (paired bootstrap).
    """

    testset: str
    images: int = 0
    far: str = ""
    tar_rgb: float | None = None
    tar_bgr: float | None = None
    low: float | None = None
    high: float | None = None
    units: int = 0
    unit: Literal["identities", "pairs"] = "identities"
    why_not: str = ""


class AccuracyFacts(StepFacts, frozen=True, kw_only=True):
    """Everything measured on the supplied testsets.

    Attributes
    ----------
    mean, std, preprocessing_source
        Pixels were fed as float32 (pixel - mean) / std, RGB, channels first; and where the two numbers come from. Sets
        with ``raw`` were fed as they are.
    provider, runtime
        What really ran.
    """

    step: ClassVar[str] = "accuracy"

    testsets: tuple[SuppliedTestset, ...] = ()
    sets: tuple[SetResult, ...] = ()
    colour_order: ColourOrder | None = None
    mean: float = 127.5
    std: float = 127.5
    preprocessing_source: str = ""
    provider: str = ""
    runtime: str = ""
