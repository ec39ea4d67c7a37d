"""Opening a zip: what its entries claim, and unpacking those that can be trusted that far into the private folder.

Names, sizes and links inside an archive are claims of a stranger: nothing is written outside the private folder, no
link is made, and unpacking stops at fixed limits.
"""

from __future__ import annotations

import contextlib
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from pytest_facechallenge.analyses.package.archive_layout import End, find_end, layout_problems
from pytest_facechallenge.analyses.package.limits import (
    BLOCK,
    MAX_BYTES,
    MAX_DIRECTORY_BYTES,
    MAX_ENTRIES,
    MAX_RATIO,
    RATIO_FREE_BYTES,
)
from pytest_facechallenge.analyses.package.listing import Listing, is_junk, too_long
from pytest_facechallenge.core.files import why
from pytest_facechallenge.core.text import clean, clean_name, listed

MODEL = "model.onnx"
#: Bytes of nothing, deflated: some programs store folders so.
_EMPTY_DEFLATED = 2
#: What zipfile and its decoders raise on damaged archives.
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, RuntimeError, MemoryError)


def open_zip(packed: Path, target: Path, seen: Listing, report: Callable[[str], None]) -> Path | None:
    """Unpack an archive (a private copy of it) into ``target``; return the model in it, or None.

    Everything that is wrong is added to the problems of ``seen``.
    """
    try:
        end = find_end(packed)
        if end is None:
            seen.problems.append("the archive cannot be read: its end is missing")
            return None
        if end.directory_bytes > MAX_DIRECTORY_BYTES:
            seen.problems.append(
                f"the archive's list of entries has {end.directory_bytes:,} bytes, at most {MAX_DIRECTORY_BYTES:,} are "
                f"read; {MODEL} alone is expected"
            )
            return None
        with zipfile.ZipFile(packed) as archive:
            return _unpack(archive, packed, end, target, seen, report)
    except _BROKEN as error:
        seen.problems.append(f"the archive cannot be read: {clean(str(error) or type(error).__name__, 300)}")
    except OSError as error:
        seen.problems.append(f"the archive cannot be read: {why(error)}")
    return None


def _unpack(
    archive: zipfile.ZipFile, packed: Path, end: End, target: Path, seen: Listing, report: Callable[[str], None]
) -> Path | None:
    infos = [info for info in archive.infolist() if not info.is_dir()]
    seen.problems += _odd_folders([info for info in archive.infolist() if info.is_dir()], infos)
    looked_at = infos
    if len(infos) > MAX_ENTRIES:
        seen.problems.append(
            f"the archive lists {len(infos):,} entries, {MAX_ENTRIES:,} were looked at; {MODEL} alone is expected"
        )
        seen.found += len(infos) - MAX_ENTRIES
        looked_at = sorted(infos, key=lambda info: not info.filename.lower().endswith(".onnx"))[:MAX_ENTRIES]
    taken: set[str] = set()
    budget = MAX_BYTES
    models: list[tuple[str, Path]] = []
    for info in looked_at:
        name = info.filename
        if is_junk(name, info.file_size):
            seen.junk.append(name)
            continue
        wrong = _distrust(info, name, taken)
        taken.add(_same(name))
        if wrong:
            seen.problems.append(wrong)
            seen.add(name, 0, "refused")
            continue
        report(f"unpacking {clean_name(name)}")
        path = target.joinpath(*PurePosixPath(name).parts)
        size, trouble = _extract(archive, info, path, packed.stat().st_size, budget)
        budget -= size
        if trouble:
            seen.problems.append(f"{clean_name(name)}: {trouble}")
            seen.add(name, size, "refused")
            with contextlib.suppress(OSError):  # a name that is too long, or that is a folder's, was never written
                path.unlink()
            continue
        is_model = name.lower().endswith(".onnx")
        seen.add(name, size, "model" if is_model else "other")
        if is_model:
            models.append((name, path))
        if name != MODEL:
            seen.problems.append(
                f"the archive holds '{clean_name(name)}'; exactly one entry named {MODEL!r} is expected"
            )
    if len(models) > 1:
        seen.problems.append(f"the archive holds {len(models)} models: {listed(name for name, _ in models)}")
    if not models:
        seen.problems.append(f"the archive holds no model: an entry named {MODEL!r} is expected")
    seen.problems += layout_problems(packed, archive.infolist(), end)
    return next((path for name, path in models if name == MODEL), max(models)[1]) if models else None


def _odd_folders(folders: list[zipfile.ZipInfo], files: list[zipfile.ZipInfo]) -> list[str]:
    """Say which entries are folders for some programs and files for others."""
    names = {_same(info.filename) for info in files}
    return [
        f"'{clean_name(info.filename)}' is a folder "
        + ("with content" if _has_content(info) else "and a file of that name is there too")
        for info in folders[:MAX_ENTRIES]
        if _has_content(info) or _same(info.filename.rstrip("/")) in names
    ]


def _has_content(folder: zipfile.ZipInfo) -> bool:
    return bool(folder.file_size) or folder.compress_size > _EMPTY_DEFLATED


def _same(name: str) -> str:
    """Return what two names have in common that are one file on Windows or macOS."""
    return unicodedata.normalize("NFC", name).casefold()


def _distrust(info: zipfile.ZipInfo, name: str, taken: set[str]) -> str:
    """Return why an entry is not unpacked, or ""."""
    pure, shown = PurePosixPath(name), clean_name(name)
    mode = info.external_attr >> 16
    if stat.S_ISLNK(mode):
        return f"'{shown}' is a link; links are never unpacked"
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return f"'{shown}' is not a plain file"
    if pure.is_absolute() or (len(name) > 1 and name[1] == ":") or "\\" in name:
        return f"'{shown}' is an absolute or foreign path; it was not unpacked"
    if ".." in pure.parts:
        return f"'{shown}' leads out of the archive with '..'; it was not unpacked"
    if not pure.parts or any(ord(sign) < 32 or sign in '<>:"|?*' for sign in name):
        return f"'{shown}' is no name that every system can write; it was not unpacked"
    if info.flag_bits & 0x1:
        return f"'{shown}' is encrypted; the server cannot open it"
    if _same(name) in taken:
        return f"'{shown}' is there twice; which one counts would depend on the program that unpacks it"
    return too_long(name)


def _extract(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, archive_bytes: int, budget: int
) -> tuple[int, str]:
    """Unpack one entry block by block; return bytes written and what went wrong."""
    written = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(info) as packed, path.open("wb") as out:
            while block := packed.read(BLOCK):
                written += len(block)
                if written > budget:
                    return written, f"unpacks to more than {MAX_BYTES >> 30} GiB; unpacking was stopped"
                if written > RATIO_FREE_BYTES and written > MAX_RATIO * archive_bytes:
                    return written, f"unpacks to more than {MAX_RATIO} times the archive's size; unpacking was stopped"
                out.write(block)
    except OSError as error:  # its text would name the private folder
        return written, f"cannot be unpacked: {why(error)}"
    except _BROKEN as error:
        return written, f"cannot be unpacked: {clean(str(error) or type(error).__name__, 300)}"
    if written != info.file_size:
        return written, f"is said to have {info.file_size} bytes but has {written}"
    return written, ""
