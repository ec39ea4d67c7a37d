"""Typed options of a run, as they travel to the sandboxed process."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar, cast

import msgspec


class AnalysisOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the options of one analysis; ``analysis`` is its name. Every field has a default."""

    analysis: ClassVar[str] = ""

    def read_by_steps(self) -> dict[str, Any]:
        """Return what the analysis' steps read of them, as plain data: all but what only says which rules there are."""
        return cast("dict[str, Any]", msgspec.to_builtins(self))


T = TypeVar("T", bound=AnalysisOptions)


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options that change how facts are gathered (never how they are judged).

    Attributes
    ----------
    seed
        Of every random choice.
    threads
        Of the runtime; 0 lets it choose.
    device
        "auto", "cpu", "cuda", "tensorrt" or the name of an execution provider.
    analyses
        The options of single analyses as plain data, by analysis name; read with `of`.
    """

    seed: int = 20211001
    threads: int = 0
    device: str = "auto"
    analyses: dict[str, dict[str, Any]] = {}

    def of(self, kind: type[T]) -> T:
        """Return the options of one analysis; the defaults where the run set none."""
        raw = self.analyses.get(kind.analysis)
        return kind() if raw is None else msgspec.convert(raw, kind)

    def with_analyses(self, *options: AnalysisOptions | None) -> RunOptions:
        """Return a copy that carries these options of analyses."""
        plain = {each.analysis: msgspec.to_builtins(each) for each in options if each is not None}
        return msgspec.structs.replace(self, analyses={**self.analyses, **plain})
