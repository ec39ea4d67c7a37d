"""From a path to a submission: what was handed in, and the private copy of the one model to judge. Runs in the sandbox.

What is judged is decided and copied once. Everything after this step reads the copy, so that nobody can change the file
between one look at it and the next.
"""

from __future__ import annotations

import stat
from pathlib import Path

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.package.archive import open_zip
from pytest_facechallenge.analyses.package.archive_layout import END, LOCAL, holds_archive
from pytest_facechallenge.analyses.package.copy import Copied, copy_file, digest, private_name
from pytest_facechallenge.analyses.package.folder import open_folder
from pytest_facechallenge.analyses.package.listing import Listing
from pytest_facechallenge.analyses.package.side_files import copy_side_files, locations
from pytest_facechallenge.core.facts.package import PackageFacts
from pytest_facechallenge.core.files import kind_of, remove_tree, why
from pytest_facechallenge.core.text import clean_name

#: The folder of the copy inside of the private working folder.
FOLDER = "submission"
_MODEL = "model.onnx"
_PACKED = "submitted.zip"
_LFS_HEAD = b"version https://git-lfs"


def gather_package(context: Context) -> PackageFacts:
    """Open the submission, copy it, and find the model to judge.

    A submission that cannot be read is described by its problems; nothing is raised for it.
    """
    seen = Listing()
    target = context.workdir / FOLDER
    form = ""
    try:
        mode = context.source.stat(follow_symlinks=context.follow).st_mode
    except (OSError, ValueError) as error:
        seen.problems.append(f"the submission cannot be read: {why(error)}")
        return _facts(form, context, seen)
    context.report("copying the submission")
    remove_tree(target)  # of an attempt that did not end
    (context.workdir / _PACKED).unlink(missing_ok=True)
    if stat.S_ISDIR(mode):
        form = "folder"
        seen.model = open_folder(context.source, target, seen, context.report)
    elif stat.S_ISREG(mode):
        form = _open_file(context, target, seen)
    elif stat.S_ISLNK(mode):
        seen.problems.append(
            f"{clean_name(context.source.name)} is a link that was found in a folder, and was not followed; a .onnx "
            "file, a zip or a folder is expected (a link that is named itself is followed)"
        )
    else:
        seen.problems.append(f"a .onnx file, a zip or a folder is expected, found {kind_of(mode)}")
    inside = seen.model if form != "onnx" else None
    if inside is not None and not seen.head.startswith((LOCAL, END)) and holds_archive(inside):
        seen.problems.append(_two_in_one(clean_name(seen.model_name)))
    if seen.model is not None:
        _bring_side_files(context, seen, seen.model)
    return _facts(form, context, seen)


def _open_file(context: Context, target: Path, seen: Listing) -> str:
    """Copy a file, decide what it is from its name and its first bytes together, and open it; return the form."""
    source = context.source
    is_zip_name = source.suffix.lower() == ".zip"
    copy = context.workdir / _PACKED if is_zip_name else target / private_name(source.name)
    try:
        done = copy_file(source, copy, follow=context.follow)
    except OSError as error:
        seen.problems.append(f"the submission cannot be read: {why(error)}")
        return ""
    seen.submitted_sha256, seen.submitted_bytes = done.sha256, done.size
    if done.changed:
        seen.problems.append("the submission was written while it was copied")
    shown, is_zip_head = clean_name(source.name), done.head.startswith((LOCAL, END))
    hidden = not is_zip_head and holds_archive(copy)
    if is_zip_head or (is_zip_name and hidden):
        if source.suffix.lower() == ".onnx":
            seen.problems.append(f"{shown} is a zip archive, although its name says that it is a model")
        seen.model = open_zip(copy, target / "unpacked", seen, context.report)
        copy.unlink()
        if seen.model is not None:
            seen.model_name = seen.model.name
            seen.sha256, seen.size, seen.head = digest(seen.model)
        return "zip"
    seen.add(source.name, done.size, "model")
    if is_zip_name:
        seen.problems.append(f"{shown} is not a zip archive, although its name says so")
        copy = copy.replace(_made(target) / _MODEL)
    if hidden:
        seen.problems.append(_two_in_one(shown))
    _take(seen, copy, source, done)
    return "onnx"


def _two_in_one(shown: str) -> str:
    return (
        f"{shown} is a model for a program that reads its beginning, and a zip archive for one that reads its end; "
        "a file that is one thing only is expected"
    )


def _take(seen: Listing, copy: Path, source: Path, done: Copied) -> None:
    seen.model, seen.model_name, seen.folder = copy, source.name, source.parent
    seen.sha256, seen.size, seen.head = done.sha256, done.size, done.head


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _bring_side_files(context: Context, seen: Listing, model: Path) -> None:
    """Parse the copy for the side files that it names and copy them too; the parsed model is kept for later steps."""
    if seen.folder is None or _content(seen.head, seen.size) not in ("binary", "text"):
        return
    from pytest_facechallenge.onnx_graph.ir import read_model

    try:
        parsed = read_model(model)
    except Exception:  # the step "interface" parses it again and reports why it cannot
        return
    context.keep_model(parsed)
    copy_side_files(locations(parsed), seen.folder, model.parent, seen, context.report)


def _facts(form: str, context: Context, seen: Listing) -> PackageFacts:
    model = seen.model
    return PackageFacts(
        form=form,
        entries=tuple(seen.entries),
        entries_found=seen.found,
        model_path="" if model is None else model.relative_to(context.workdir).as_posix(),
        model_name="" if model is None else seen.model_name,
        sha256=seen.sha256,
        bytes=seen.size,
        content="" if model is None else _content(seen.head, seen.size),
        problems=seen.said(),
        junk=tuple(seen.junk[: len(seen.entries) + 100]),
        submitted_sha256=seen.submitted_sha256,
        submitted_bytes=seen.submitted_bytes,
        side_files=tuple(sorted(seen.side_files, key=lambda each: each.name)),
    )


def _content(head: bytes, size: int) -> str:
    """Say what the bytes look like, so that a wrong file gets a better message than a protobuf error."""
    if size == 0:
        return "empty"
    if head.startswith(_LFS_HEAD):
        return "git-lfs pointer"
    if head.startswith((LOCAL, END)):
        return "zip"
    if head.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")):
        return "pickle (a PyTorch checkpoint?)"
    if head[:1] in (b"<", b"{") or all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head):
        return "text"
    return "binary"
