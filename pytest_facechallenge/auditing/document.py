"""What an audit says, as a typed document: a row for every entry on every track, and what changed since the last."""

from __future__ import annotations

from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Literal

import msgspec

from pytest_facechallenge.core.outcome import VerdictWord
from pytest_facechallenge.core.text import clean
from pytest_facechallenge.engine.report import ReportError, RulebookReference, Tool
from pytest_facechallenge.fingerprints.relation import Relation

SCHEMA: Literal["pytest-facechallenge-audit/1"] = "pytest-facechallenge-audit/1"
#: Neighbours differ where so large a difference is less probable than this without one.
SIGNIFICANT = 0.05
#: Bytes of an earlier audit that are read: of 10,000 entries on ten tracks it has far fewer.
MOST_BYTES = 256 << 20


class _Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the parts: an unknown key is an error, never dropped."""


class Standing(StrEnum):
    """How an entry stands in the ranking of a track."""

    #: COMPLIANT, with a score.
    RANKED = "ranked"
    #: COMPLIANT, without a score: no testset was given, or it decides nothing.
    UNSCORED = "no score"
    #: INCOMPLETE: what is open would decide it.
    OPEN = "open"
    #: NON-COMPLIANT.
    OUT = "out"
    #: Declared for practice: it is no entry.
    PRACTICE = "practice"


class TrackRow(_Document, frozen=True, kw_only=True):
    """An entry on one track.

    Attributes
    ----------
    track
        Rulebook and track, "mfr21/A".
    verdict, broken, open
        The verdict and the rules that it rests on.
    why
        What decides the verdict, for a reader.
    score, score_text
        The ranking score as an exact fraction and for a reader; "" where there is none.
    comparable
        Whether the score was measured on the challenge's own sets, by their published counts.
    low, high
        The 95 % interval of the score of a ranked entry, by resampling identities (`verification.paired`); None where
        what it rests on is missing.
    size, flops, time
        For a reader; "" where they were not measured.
    standing, place, tied, share
        Where it stands; ``place`` is 0 where it is not ranked, ``tied`` are the paths of entries with the same score,
        ``share`` is the fraction of the bonus.
    """

    track: str
    verdict: VerdictWord
    broken: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    why: str = ""
    score: str = ""
    score_text: str = ""
    comparable: bool = False
    low: float | None = None
    high: float | None = None
    size: str = ""
    flops: str = ""
    time: str = ""
    standing: Standing = Standing.OPEN
    place: int = 0
    tied: tuple[str, ...] = ()
    share: float = 0.0


class EntryRow(_Document, frozen=True, kw_only=True):
    """One entry.

    Attributes
    ----------
    path, name
        As in its report.
    sha256, bytes
        Of what was handed in.
    report
        The file of its report, relative to the audit's folder.
    gathered, reused
        Steps whose facts were gathered now, and taken from an earlier run.
    warnings
        What makes the verdicts on it doubtful.
    """

    path: str
    name: str
    sha256: str
    bytes: int
    report: str
    tracks: tuple[TrackRow, ...]
    gathered: int = 0
    reused: int = 0
    warnings: tuple[str, ...] = ()


class BaselineRow(_Document, frozen=True, kw_only=True):
    """A published row beside the entries of a track: name, score as an exact fraction and for a reader."""

    track: str
    name: str
    score: str
    score_text: str


#: A line of a track's table: a published row, or an entry with its row.
Line = BaselineRow | tuple[EntryRow, TrackRow]


class Neighbours(_Document, frozen=True, kw_only=True):
    """Two ranked entries of which one follows the other on a track, compared on the same images.

    Attributes
    ----------
    better, worse
        Paths; the worse one may have the same score.
    difference
        Of the scores of the rulebook's formula, an exact fraction of 0 or more.
    low, high
        Its 95 % interval by leaving out identities, the same ones for both; None where it cannot be judged.
    p
        How probable so large a difference is where there is none.
    p_together
        The same adjusted by Holm's method for all neighbours of the track that could be judged.
    significant
        Whether the two differ at 5 %, looked at by themselves: p is below it, and 0 lies outside of the interval.
    significant_together
        Whether they still do where all neighbours of the track are looked at together.
    why_not
        Why it cannot be judged; "" where it can.
    """

    track: str
    better: str
    worse: str
    difference: str
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_together: float | None = None
    significant: bool = False
    significant_together: bool = False
    why_not: str = ""


class Change(_Document, frozen=True, kw_only=True):
    """What is different from the audit before: of which entry (its path), and what, for a reader."""

    path: str
    name: str
    what: str


class Related(_Document, frozen=True, kw_only=True):
    """Two entries that are more alike than networks of independent work.

    Attributes
    ----------
    one, other
        Paths of the entries.
    relation
        "copy": one was made from the other, or both from a third. "undecided": people have to look.
    likeness
        Debiased linear CKA of the embeddings of fixed generated images: 1 where they differ by an orthogonal map, 0 on
        average for unrelated networks. None where one of the two has no fingerprint of behaviour.
    same_layers, layers
        Layers with the same weights up to order, scale and a little noise, of how many of the smaller network.
    how
        How they are related, for a reader.
    organizations
        Who handed each in, as declared; "" where that is not declared.
    own
        Whether one organization handed both in: its own work again, and no accusation.
    """

    one: str
    other: str
    relation: Relation
    how: str
    likeness: float | None = None
    same_layers: int = 0
    layers: int = 0
    organizations: tuple[str, str] = ("", "")
    own: bool = False


class KnownMatch(_Document, frozen=True, kw_only=True):
    """An entry that is more alike to a published network than independent work is; the fields are those of `Related`.

    Attributes
    ----------
    network
        Name of the published network.
    """

    path: str
    network: str
    relation: Relation
    how: str
    likeness: float | None = None
    same_layers: int = 0
    layers: int = 0


class NotCompared(_Document, frozen=True, kw_only=True):
    """An entry without a fingerprint of behaviour, and why: it was compared by its bytes and its weights alone."""

    path: str
    why: str


class Audit(_Document, frozen=True, kw_only=True):
    """A whole audit.

    Attributes
    ----------
    date, previous
        When it ended, and when the one before did ("" for the first); ISO 8601 in UTC.
    neighbours
        Ranked entries that follow each other, by track and place, and whether they differ by more than chance.
    identical
        Groups of entries (paths) that are the same byte for byte.
    related
        Entries that are related: of each group of them as few pairs as connect it, the closest ones; those of different
        organizations first, then what is undecided, then an organization's own.
    known
        Entries that are related to a published network: evidence for people, and no proof.
    not_compared
        Entries that could not be compared by what they do.
    troubles
        What went wrong with the audit itself: facts that could not be kept.
    """

    schema: Literal["pytest-facechallenge-audit/1"]
    tool: Tool
    date: str
    rulebooks: tuple[RulebookReference, ...]
    entries: tuple[EntryRow, ...]
    baselines: tuple[BaselineRow, ...] = ()
    neighbours: tuple[Neighbours, ...] = ()
    changes: tuple[Change, ...] = ()
    identical: tuple[tuple[str, ...], ...] = ()
    related: tuple[Related, ...] = ()
    known: tuple[KnownMatch, ...] = ()
    not_compared: tuple[NotCompared, ...] = ()
    previous: str = ""
    troubles: tuple[str, ...] = ()

    def name_of(self, path: str) -> str:
        """Return the name of the entry of a path."""
        return next((entry.name for entry in self.entries if entry.path == path), path)

    def neighbours_of(self, track: str) -> list[Neighbours]:
        """Return the neighbours of a track, by place."""
        return [each for each in self.neighbours if each.track == track]

    @property
    def tracks(self) -> tuple[str, ...]:
        """The tracks, in the order in which they were judged."""
        return tuple(dict.fromkeys(row.track for entry in self.entries for row in entry.tracks))

    def rows_of(self, track: str) -> list[tuple[EntryRow, TrackRow]]:
        """Return the rows of a track: the ranked ones by their place, then the others by standing and name."""
        order = list(Standing)
        rows = [(entry, row) for entry in self.entries for row in entry.tracks if row.track == track]
        return sorted(rows, key=lambda each: (order.index(each[1].standing), each[1].place, each[0].name))

    def lines_of(self, track: str) -> list[Line]:
        """Return `rows_of` with the published rows at their places among the ranked entries."""
        rows = self.rows_of(track)
        scored: list[tuple[Fraction, int, Line]] = [
            (Fraction(row.score), 0, (entry, row)) for entry, row in rows if row.standing is Standing.RANKED
        ]
        scored += [(Fraction(each.score), 1, each) for each in self.baselines if each.track == track]
        first = [line for _, _, line in sorted(scored, key=lambda each: (-each[0], each[1]))]
        return [*first, *(each for each in rows if each[1].standing is not Standing.RANKED)]

    def to_json(self) -> bytes:
        """Return the document as JSON text."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"

    @classmethod
    def load(cls, path: Path) -> Audit:
        """Read the document of an earlier audit.

        Raises
        ------
        ReportError
            The file cannot be read, or is none of this version.
        """
        from pytest_facechallenge.core.files import read_regular

        try:
            return msgspec.json.decode(read_regular(path, MOST_BYTES), type=cls)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ReportError(
                f"{clean(str(path))} is no audit of this version ({SCHEMA!r} is expected): {clean(str(error), 300)}; "
                "move it away, or name another folder"
            ) from error
