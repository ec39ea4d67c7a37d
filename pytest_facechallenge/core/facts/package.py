"""Facts of the step ``package``: what was handed in, before anything is parsed."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from pytest_facechallenge.core.facts.base import StepFacts


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the submission: name as stored (never trusted), bytes after unpacking, and what it is."""

    name: str
    bytes: int
    kind: str


class PackageFacts(StepFacts, frozen=True, kw_only=True):
    """What was handed in.

    Attributes
    ----------
    form
        "onnx", "zip" or "folder".
    entries
        Its files, at most 1,000 of them.
    model_path
        The .onnx file that is judged, absolute; inside the private working folder when it was unpacked. Empty when
        there is none.
    sha256, bytes
        Of the model file.
    content
        What the model file's first bytes look like: "binary", "empty", "text", "git-lfs pointer"…
    problems
        What is wrong with the packaging, one sentence each; empty when nothing is.
    junk
        System files that are harmless.
    """

    step: ClassVar[str] = "package"

    form: str
    entries: tuple[Entry, ...]
    model_path: str
    model_name: str
    sha256: str
    bytes: int
    content: str = ""
    problems: tuple[str, ...] = ()
    junk: tuple[str, ...] = ()

    def handed_in(self) -> tuple[str, int] | None:
        """Return SHA-256 and size in bytes."""
        return self.sha256, self.bytes
