"""What is seen while a submission is opened: its files, what is wrong with it, where the model lies."""

from __future__ import annotations

import dataclasses
from pathlib import Path, PurePosixPath

from pytest_facechallenge.analyses.package.limits import (
    MAX_DEPTH,
    MAX_ENTRIES,
    MAX_JUNK_BYTES,
    MAX_MODEL_JUNK_BYTES,
    MAX_PATH_BYTES,
    MAX_PROBLEMS,
)
from pytest_facechallenge.core.facts.package import Entry, SideFile
from pytest_facechallenge.core.text import clean_name

_JUNK_NAMES = {".ds_store", "thumbs.db", "desktop.ini"}


@dataclasses.dataclass
class Listing:
    """Collects what is seen.

    Attributes
    ----------
    found
        How many files there are, listed or not.
    model, model_name
        The private copy of the file to judge and the name it was handed in under; None when there is none.
    sha256, size, head
        Of that copy; ``head`` are its first bytes.
    folder
        Where the submission keeps the model, so that side files are found; None when they were unpacked with it.
    submitted_sha256, submitted_bytes
        Of what was handed in.
    side_files
        Those beside a lone model that it names.
    """

    entries: list[Entry] = dataclasses.field(default_factory=list)
    found: int = 0
    problems: list[str] = dataclasses.field(default_factory=list)
    junk: list[str] = dataclasses.field(default_factory=list)
    model: Path | None = None
    model_name: str = ""
    sha256: str = ""
    size: int = 0
    head: bytes = b""
    folder: Path | None = None
    submitted_sha256: str = ""
    submitted_bytes: int = 0
    side_files: list[SideFile] = dataclasses.field(default_factory=list)

    def add(self, name: str, size: int, kind: str) -> None:
        """Count a file, and list it while there is room."""
        self.found += 1
        if len(self.entries) < MAX_ENTRIES:
            self.entries.append(Entry(name=name, bytes=size, kind=kind))

    def said(self) -> tuple[str, ...]:
        """Return the problems, the last one saying how many more there are."""
        if len(self.problems) <= MAX_PROBLEMS:
            return tuple(self.problems)
        return (*self.problems[:MAX_PROBLEMS], f"there are {len(self.problems) - MAX_PROBLEMS:,} more problems")


def is_junk(name: str, size: int) -> bool:
    """Whether an entry is a file that operating systems leave behind; a large one is not taken for that."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    most = MAX_MODEL_JUNK_BYTES if name.lower().endswith((".onnx", ".zip")) else MAX_JUNK_BYTES
    if not parts or size > most:
        return False
    return parts[0] == "__MACOSX" or parts[-1].lower() in _JUNK_NAMES or parts[-1].startswith("._")


def too_long(name: str) -> str:
    """Say which limit a path inside a submission exceeds, or ""."""
    depth, size = name.count("/"), len(name.encode("utf-8", "surrogatepass"))
    if depth > MAX_DEPTH:
        return f"'{clean_name(name)}' lies {depth} folders deep; at most {MAX_DEPTH} are looked into"
    if size > MAX_PATH_BYTES:
        return f"'{clean_name(name)}' is a path of {size:,} bytes; at most {MAX_PATH_BYTES:,} are looked at"
    return ""
