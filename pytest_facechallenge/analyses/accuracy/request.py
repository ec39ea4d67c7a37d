"""What the run asks of the step ``accuracy``, as plain structs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import msgspec

from pytest_facechallenge.core.run_options import AnalysisOptions
from pytest_facechallenge.testsets.model import default_name

#: The folder of the cache in which large verifications keep what is done of them.
VERIFICATIONS = "verifications"
Protocol = Literal["all-to-all", "cross", "pairs"]


class TestsetSpec(msgspec.Struct, frozen=True):
    """A testset as given on the command line: ``[NAME=]PATH``; the path is absolute."""

    __test__ = False

    name: str
    path: str

    @classmethod
    def parse(cls, text: str, base: Path | None = None) -> TestsetSpec:
        """Split ``NAME=PATH``; a text that exists as a path, or has no "=", is a path without a name.

        Parameters
        ----------
        base
            What a relative path is relative to; the current folder if not given.

        Raises
        ------
        ValueError
            Nothing stands on one side of the "=".
        """
        name, equals, path = text.partition("=")
        base = base or Path.cwd()
        if not equals or (base / text).exists():
            return cls("", str(base / text))
        if not name.strip() or not path.strip():
            raise ValueError(f"expected [NAME=]PATH for a testset, such as mask=./mask, found {text!r}")
        return cls(name.strip(), str(base / path.strip()))

    @property
    def label(self) -> str:
        """The name to show: the given one, else the file's or folder's."""
        return self.name or default_name(Path(self.path))


class Point(msgspec.Struct, frozen=True):
    """An operating point: FAR as a decimal text, and "<" or "<="."""

    far: str
    comparison: Literal["<", "<="]


class SetRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One set to score.

    Attributes
    ----------
    name, official
        The rulebook's name of the set, or the testset's own name.
    select
        Column -> values (see `plan.folded`) that an entry may have there; empty takes all.
    points
        At which TAR is wanted; may be empty where only fold accuracy is.
    flip
        Add the mirror image's embedding before normalising.
    raw
        Feed pixels of 0..255.
    wanted
        Whether it is scored; where no selected test reads its score it only says which entries are its own.
    """

    name: str
    official: bool
    protocol: Protocol
    points: tuple[Point, ...]
    select: dict[str, tuple[str, ...]] = {}
    flip: bool = False
    raw: bool = False
    wanted: bool = True


class TestsetRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One testset to embed, and the sets to score on it.

    Attributes
    ----------
    whole
        Whether every image is embedded, and not only those of the sets that are wanted.
    """

    __test__ = False

    name: str
    path: str
    sets: tuple[SetRequest, ...]
    whole: bool = True


class AccuracyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the step is asked for.

    Attributes
    ----------
    cache
        Folder of the embedding cache; empty keeps nothing.
    labels
        A file of identities for LFR19 lists that have none.
    write_features
        Where to write an LFR19 feature file; empty for none.
    colour_order
        Whether to compare RGB with BGR.
    batch
        Images a run of the model.
    shard
        (number, of how many): the images of every of-th chunk alone are embedded, into the cache, and nothing is
        scored; None for all of it.
    offered
        Whether parts of a large verification are offered in the cache to other machines; it changes no result.
    """

    testsets: tuple[TestsetRequest, ...] = ()
    cache: str = ""
    labels: str = ""
    write_features: str = ""
    colour_order: bool = True
    batch: int = 32
    shard: tuple[int, int] | None = None
    offered: bool = False


class AccuracyOptions(AnalysisOptions, frozen=True, kw_only=True):
    """The options of the analysis.

    Attributes
    ----------
    testsets, min_tar
        As the user gave them: which tests there are follows from them.
    request
        What the step gathers.
    """

    analysis: ClassVar[str] = "accuracy"

    testsets: tuple[TestsetSpec, ...] = ()
    min_tar: dict[str, float | str] = msgspec.field(default_factory=dict)
    request: AccuracyRequest = AccuracyRequest()

    def read_by_steps(self) -> dict[str, Any]:
        """Return the request: a threshold changes how a score is judged, and no score; nor does who computes it."""
        return cast("dict[str, Any]", msgspec.to_builtins(msgspec.structs.replace(self.request, offered=False)))
