"""Copying the side files that a model keeps weights in, as far as they lie beside it and are plain files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pytest_facechallenge.analyses.package.copy import copy_file
from pytest_facechallenge.analyses.package.limits import MAX_BYTES, MAX_ENTRIES
from pytest_facechallenge.analyses.package.listing import Listing, too_long
from pytest_facechallenge.core.facts.package import SideFile
from pytest_facechallenge.core.files import why
from pytest_facechallenge.core.text import clean_name

if TYPE_CHECKING:
    import onnx


def locations(model: onnx.ModelProto) -> list[str]:
    """Return the side files that a model names, each once, in order."""
    import onnx

    from pytest_facechallenge.analyses.interface.gather import all_tensors

    found: dict[str, None] = {}
    for _where, tensor in all_tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            found |= dict.fromkeys(entry.value for entry in tensor.external_data if entry.key == "location")
    return list(found)


def copy_side_files(names: list[str], folder: Path, target: Path, seen: Listing, report: Callable[[str], None]) -> None:
    """Copy side files from the submission's ``folder`` to ``target``, the folder of the model's copy.

    What is not copied is missing for every analysis: an absolute path, one that leads out of the folder, a link, what
    is no plain file. Each of these is a problem in ``seen``.
    """
    budget = MAX_BYTES
    if len(names) > MAX_ENTRIES:
        seen.problems.append(
            f"the model names {len(names):,} side files; {MAX_ENTRIES:,} of them were looked at, one file is expected"
        )
    for name in names[:MAX_ENTRIES]:
        pure, shown = PurePosixPath(name.replace("\\", "/")), clean_name(name)
        outside = not name or pure.is_absolute() or ".." in pure.parts or (len(name) > 1 and name[1] == ":")
        if outside or "\0" in name or too_long(name):
            continue  # the model's declaration is judged elsewhere, with the reason
        if any((folder.joinpath(*pure.parts[: depth + 1])).is_symlink() for depth in range(len(pure.parts))):
            seen.problems.append(f"the side file '{shown}' is a link; a submission holds plain files only")
            seen.side_files.append(SideFile(name=name))
            continue
        source, place = folder.joinpath(*pure.parts), target.joinpath(*pure.parts)
        if place.exists():
            continue  # the model itself, or a second reference to one file
        if not source.exists():
            seen.side_files.append(SideFile(name=name))
            continue  # the model's reference says that it is missing
        report(f"copying {shown}")
        try:
            done = copy_file(source, place, follow=False, most=budget)
        except OSError as error:
            seen.problems.append(f"the side file '{shown}' cannot be read: {why(error)}")
            seen.side_files.append(SideFile(name=name))
            continue
        budget -= done.size
        seen.side_files.append(SideFile(name=name, bytes=done.size, sha256=done.sha256))
        if done.changed:
            seen.problems.append(f"the side file '{shown}' was written while it was copied")
