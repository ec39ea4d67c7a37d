"""Facts of the step ``package``: what was handed in, before anything is judged."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from pytest_facechallenge.core.facts.base import StepFacts


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the submission: name as stored (never trusted), bytes after unpacking, and what it is."""

    name: str
    bytes: int
    kind: str


class SideFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file beside a model that keeps weights of it; bytes and SHA-256 of its copy, 0 and "" where none was made."""

    name: str
    bytes: int = 0
    sha256: str = ""


class PackageFacts(StepFacts, frozen=True, kw_only=True):
    """What was handed in.

    Attributes
    ----------
    form
        "onnx", "zip" or "folder"; "" when nothing could be opened.
    entries
        Its files, at most 1,000 of them, the models first; ``entries_found`` counts all that were seen.
    model_path
        The copy of the .onnx file that is judged, relative to the run's private working folder. Empty when there is
        none.
    sha256, bytes
        Of that model file.
    submitted_sha256, submitted_bytes
        Of what was handed in, byte by byte: the .onnx or .zip file; for a folder the SHA-256 over a line "SHA-256 size
        name" for each of ``entries``.
    content
        What the model file's first bytes look like: "binary", "empty", "text", "git-lfs pointer"…
    problems
        What is wrong with the packaging, one sentence each; empty when nothing is. A limit that was exceeded, so that
        something was not looked at, is one of them.
    junk
        System files that are harmless.
    side_files
        The files beside a lone .onnx file that it names, in the order of their names.
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
    entries_found: int = 0
    submitted_sha256: str = ""
    submitted_bytes: int = 0
    side_files: tuple[SideFile, ...] = ()

    def handed_in(self) -> tuple[str, int] | None:
        """Return SHA-256 and size in bytes of what was handed in; of the model file where that is not known."""
        return (self.submitted_sha256, self.submitted_bytes) if self.submitted_sha256 else (self.sha256, self.bytes)

    def identity(self) -> str:
        """Return the identity of what was handed in; "" where it could not be read."""
        return content_of(self.submitted_sha256, [(each.name, each.sha256) for each in self.side_files])

    def beside(self) -> tuple[str, ...]:
        """Return the names of the side files."""
        return tuple(each.name for each in self.side_files)


def content_of(sha256: str, side_files: list[tuple[str, str]]) -> str:
    """Return the identity of a submission: its SHA-256, followed by name and SHA-256 of each side file."""
    return "\n".join([sha256, *(f"{each} {name}" for name, each in sorted(side_files))]) if sha256 else ""
