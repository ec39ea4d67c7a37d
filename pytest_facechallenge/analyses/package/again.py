"""Whether a submission is what was judged: its bytes are hashed again at the end of a run, and before one."""

from __future__ import annotations

import os
from pathlib import Path

from pytest_facechallenge.analyses.package.copy import digest
from pytest_facechallenge.analyses.package.folder import files_of, folder_digest
from pytest_facechallenge.analyses.package.listing import Listing
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.package import PackageFacts, content_of


def said_at_end(source: Path, facts: Facts) -> str:
    """Return what is to be said of a submission that is no longer what the facts are about, or ""."""
    found = facts.get(PackageFacts)
    return "" if found is None else changed_since(source, found)


def changed_since(source: Path, facts: PackageFacts) -> str:
    """Return what is to be said of a submission that is no longer what was judged, or "".

    The verdict stays one about the bytes with the recorded SHA-256, since these were copied before anything looked at
    them. Blocks on nothing: a pipe or a device in the file's place is refused.
    """
    if not facts.submitted_sha256:
        return ""
    try:
        if facts.form == "folder":
            now = folder_digest(source, files_of(source, Listing()), {}, [])[0]
        else:
            now = digest(source)[0]
    except (OSError, ValueError) as error:
        return _said(facts, f"can no longer be read ({getattr(error, 'strerror', None) or error})")
    return _said(facts, "was changed while it was judged") if now != facts.submitted_sha256 else ""


def _said(facts: PackageFacts, what: str) -> str:
    return (
        f"the submission {what}; the verdict is about the bytes that were copied first, with the SHA-256 "
        f"{facts.submitted_sha256}. Judge it again when nobody writes it"
    )


def identify(source: Path, side_files: tuple[str, ...]) -> str:
    """Return what tells a submission from every other: the content as `PackageFacts.identity` has it, and what it is.

    A name decides how a file is read, and a folder may hold what is no file; both follow in a second part. "" stands
    for what cannot be read.
    """
    seen = Listing()
    try:
        if source.is_dir():
            form = "folder"
            sha256 = folder_digest(source, files_of(source, seen), {}, seen.problems)[0]
        else:
            form = "file"
            sha256 = digest(source)[0]
    except (OSError, ValueError):
        return ""
    found = [(name, _side_digest(source.parent / name)) for name in side_files]
    rest = "\n".join([form, os.fsencode(source.name).hex(), str(seen.found), *seen.problems])
    return f"{content_of(sha256, found)}\n\n{rest}"


def _side_digest(path: Path) -> str:
    try:
        return digest(path, follow=False)[0]
    except (OSError, ValueError):
        return ""
