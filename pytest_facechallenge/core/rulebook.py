"""Rulebooks: ``rules/*.toml`` -> `Rulebook` -> `Track` -> `Rule`.

Every limit, operating point, baseline and clause text of a challenge lives in its rulebook and nowhere else. A limit or
parameter that differs between tracks is a table keyed by track name; `Rulebook.rules_of` resolves it, so that a check
sees plain values only.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec

SCHEMA = "facechallenge-rulebook/1"

Level = Literal["rule", "note", "measurement"]
Comparison = Literal["<=", "<"]
#: How a limit is kept: ">=" where it is the least, "==" where nothing else is allowed.
LimitComparison = Literal["<=", "<", ">=", "=="]
_KEEPS: dict[LimitComparison, Callable[[float, float], bool]] = {
    "<=": operator.le, "<": operator.lt, ">=": operator.ge, "==": operator.eq,
}  # fmt: skip
ParameterValue = str | int | float | bool | list[str] | list[int] | list[float] | None


class RulebookError(ValueError):
    """A rulebook that cannot be used; the message names the file, the key, and what is allowed there."""


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of the tables of a rulebook file: an unknown key is an error, never ignored."""


class Runtime(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The evaluation server.

    Attributes
    ----------
    onnxruntime
        Version, "1.6.0".
    max_opset, max_ir_version, max_ml_opset
        The newest ai.onnx opset, IR version and ai.onnx.ml opset that this runtime loads.
    cuda, cudnn, gpu
        As the rules state them; empty when they do not.
    reading
        Where the figures come from, and how an ambiguity was read.
    """

    onnxruntime: str
    max_opset: int
    max_ir_version: int
    max_ml_opset: int
    min_opset: int = 7
    cuda: str = ""
    cudnn: str = ""
    gpu: str = ""
    reading: str = ""


class TrackTable(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One track of a challenge; ``accuracy`` maps a set's name to the least TAR (0..1) or to a baseline's name."""

    title: str
    clause: str = ""
    accuracy: dict[str, float | str] = {}
    notes: str = ""


class RuleTable(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule as written in the file; ``limit`` and the values of ``parameters`` may be tables keyed by track."""

    clause: str
    text: str
    check: str
    level: Level | dict[str, Level] = "rule"
    limit: int | float | str | dict[str, int | float | str] | None = None
    comparison: LimitComparison = "<="
    unit: str = ""
    reading: str = ""
    not_applicable: str | dict[str, str] = ""
    parameters: dict[str, Any] = {}


class SetTable(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One testset of the challenge: protocol, operating point and the published counts.

    Attributes
    ----------
    protocol
        "all-to-all": every pair of images; "cross": masked against non-masked; "pairs": listed pairs.
    far, comparison
        The operating point as a decimal string ("1e-4"), and whether FAR must be below or at most it.
    group
        Restricts the set to images whose manifest columns have these values, e.g. ``{race = "African"}``.
    identities, images, probe_images, gallery_images, positive_pairs, negative_pairs
        As published; None where the challenge does not say.
    """

    title: str
    clause: str
    protocol: Literal["all-to-all", "cross", "pairs"]
    far: str
    comparison: Comparison
    text: str = ""
    tracks: list[str] = []
    member_of: str = ""
    group: dict[str, str] = {}
    aliases: list[str] = []
    identities: int | None = None
    images: int | None = None
    probe_images: int | None = None
    gallery_images: int | None = None
    positive_pairs: int | None = None
    negative_pairs: int | None = None
    reading: str = ""


class Ranking(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ranking score: the sum of ``weights[set] * TAR@set``."""

    clause: str
    text: str
    weights: dict[str, float]
    reading: str = ""


class Bonus(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of the bonus goes to the first places of each track, as fractions (0..1), first place first."""

    clause: str
    text: str
    shares: list[Annotated[float, msgspec.Meta(gt=0, le=1)]]
    reading: str = ""


class Baseline(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One published row: TAR by set as a fraction (0..1), size in MB (1024^2 bytes), V100 time in ms, FLOPs."""

    name: str
    backbone: str = ""
    dataset: str = ""
    method: str = ""
    tar: dict[str, float] = {}
    size_mb: float | None = None
    infer_ms: float | None = None
    flops: float | None = None


class Rulebook(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole rulebook."""

    schema: Literal["facechallenge-rulebook/1"]
    id: str
    title: str
    version: str
    date: str
    source: str
    tracks: dict[str, TrackTable]
    rules: dict[str, RuleTable]
    runtime: Runtime | None = None
    sets: dict[str, SetTable] = {}
    ranking: Ranking | None = None
    bonus: Bonus | None = None
    baselines: list[Baseline] = []
    notes: list[str] = []

    @property
    def digest(self) -> str:
        """SHA-256 of what the rulebook says, whatever its layout and comments."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()

    def rules_of(self, track: str) -> list[Rule]:
        """Return the rules of ``track`` in file order, with limits and parameters resolved for it."""
        return [self._resolve(rule_id, table, track) for rule_id, table in self.rules.items()]

    def _resolve(self, rule_id: str, table: RuleTable, track: str) -> Rule:
        def pick(value: Any) -> Any:
            if isinstance(value, dict) and set(value) <= set(self.tracks):
                return value.get(track)
            return value

        return Rule(
            id=rule_id,
            track=track,
            book=self,
            check=table.check,
            clause=table.clause,
            text=table.text,
            level=pick(table.level) or "rule",
            limit=pick(table.limit),
            comparison=table.comparison,
            unit=table.unit,
            reading=table.reading,
            not_applicable=pick(table.not_applicable) or "",
            parameters={key: pick(value) for key, value in table.parameters.items()},
        )


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule on one track, resolved: what a check is given beside the facts.

    Attributes
    ----------
    limit
        The number to compare with, in ``unit``; None when the rule has none on this track.
    not_applicable
        Why the rule does not apply on this track; empty when it does.
    case
        What distinguishes several tests of one rule (testset and operating point); usually empty.
    """

    id: str
    track: str
    book: Rulebook
    check: str
    clause: str
    text: str
    level: Level = "rule"
    limit: int | float | str | None = None
    comparison: LimitComparison = "<="
    unit: str = ""
    reading: str = ""
    not_applicable: str = ""
    parameters: dict[str, Any] = {}
    case: str = ""

    @property
    def full_track(self) -> str:
        """Rulebook and track, "mfr21/A"."""
        return f"{self.book.id}/{self.track}"

    def within(self, value: float) -> bool:
        """Return whether ``value`` keeps the limit.

        Raises
        ------
        TypeError
            When the rule has no numeric limit: comparing with nothing must not pass.
        """
        if not isinstance(self.limit, (int, float)) or isinstance(self.limit, bool):
            raise TypeError(f"rule {self.id!r} of {self.full_track} needs a numeric limit, found {self.limit!r}")
        return _KEEPS[self.comparison](value, self.limit)

    def limit_text(self) -> str:
        """Return the limit for a table, "<= 512"."""
        if self.limit is None:
            return ""
        return f"{self.comparison} {self.limit}{' ' + self.unit if self.unit else ''}"
