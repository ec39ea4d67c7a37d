"""From a path to a submission: what was handed in, and the one .onnx file to judge. Runs in the sandbox.

Names, sizes and links inside an archive are claims of a stranger: nothing is written outside the private folder, no
link is followed, and reading stops at fixed caps.
"""

from __future__ import annotations

import contextlib
import hashlib
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.core.facts.package import Entry, PackageFacts

#: Caps on what is unpacked. Four times the largest size that any rule allows; a limit here only bounds the damage.
MAX_BYTES = 4 << 30
MAX_ENTRIES = 1_000
#: Deflate reaches about 1,030 : 1; network weights hardly compress. Beyond this, and beyond 64 MiB, it is a bomb.
MAX_RATIO = 200
RATIO_FREE_BYTES = 64 << 20
BLOCK = 1 << 20
#: Longer names are cut in messages.
MOST_SHOWN = 80

_JUNK_NAMES = {".ds_store", "thumbs.db", "desktop.ini"}
_LFS_HEAD = b"version https://git-lfs"


class _Opened:
    """Collects what is seen while opening."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.problems: list[str] = []
        self.junk: list[str] = []


def gather_package(context: Context) -> PackageFacts:
    """Open the submission and find the file to judge.

    Raises
    ------
    OSError
        The submission itself cannot be read.
    """
    source = context.source
    opened = _Opened()
    if source.is_dir():
        form, model = "folder", _open_folder(source, opened)
    elif zipfile.is_zipfile(source):
        form, model = "zip", _open_zip(source, context.workdir / "unpacked", opened, context)
    else:
        form, model = "onnx", source
        opened.entries.append(Entry(name=source.name, bytes=source.stat().st_size, kind="model"))
        if source.suffix.lower() == ".zip":
            opened.problems.append(f"{source.name} is not a zip archive, although its name says so")
    if model is None:
        return PackageFacts(
            form=form,
            entries=tuple(opened.entries),
            model_path="",
            model_name="",
            sha256="",
            bytes=0,
            problems=tuple(opened.problems),
            junk=tuple(opened.junk),
        )
    digest, size, head = _fingerprint(model)
    return PackageFacts(
        form=form,
        entries=tuple(opened.entries[:MAX_ENTRIES]),
        model_path=str(model.absolute()),
        model_name=source.name if form == "onnx" else model.name,
        sha256=digest,
        bytes=size,
        content=_content(head, size),
        problems=tuple(opened.problems),
        junk=tuple(opened.junk),
    )


def _fingerprint(path: Path) -> tuple[str, int, bytes]:
    digest, size, head = hashlib.sha256(), 0, b""
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            head = head or block[:512]
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size, head


def _content(head: bytes, size: int) -> str:
    """Say what the bytes look like, so that a wrong file gets a better message than a protobuf error."""
    if size == 0:
        return "empty"
    if head.startswith(_LFS_HEAD):
        return "git-lfs pointer"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")):
        return "pickle (a PyTorch checkpoint?)"
    if head[:1] in (b"<", b"{") or all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head):
        return "text"
    return "binary"


def _junk(name: str) -> bool:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return bool(parts) and (parts[0] == "__MACOSX" or parts[-1].lower() in _JUNK_NAMES or parts[-1].startswith("._"))


def _open_folder(folder: Path, opened: _Opened) -> Path | None:
    models = []
    for path in sorted(folder.rglob("*"))[: MAX_ENTRIES + 1]:
        name = str(path.relative_to(folder))
        if path.is_symlink():
            opened.problems.append(f"{name} is a link; a submission holds plain files only (the link was not followed)")
        elif path.is_dir():
            continue
        elif not path.is_file():
            opened.problems.append(f"{name} is not a plain file")
        elif _junk(name):
            opened.junk.append(name)
        elif path.suffix.lower() == ".onnx":
            models.append(path)
            opened.entries.append(Entry(name=name, bytes=path.stat().st_size, kind="model"))
        else:
            opened.entries.append(Entry(name=name, bytes=path.stat().st_size, kind="other"))
    direct = [path for path in models if path.parent == folder]
    if len(models) > 1:
        names = ", ".join(str(path.relative_to(folder)) for path in models)
        opened.problems.append(
            f"exactly one .onnx file is expected, found {len(models)}: {names}; the last one by name is judged"
        )
    if not models:
        opened.problems.append("exactly one .onnx file is expected, found none")
        return None
    # The organisers' checker takes the last .onnx by name of the folder it is given.
    return max(direct or models)


def _open_zip(source: Path, target: Path, opened: _Opened, context: Context) -> Path | None:
    try:
        with zipfile.ZipFile(source) as archive:
            return _unpack(archive, source, target, opened, context)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, RuntimeError) as error:
        opened.problems.append(f"the archive cannot be read: {error}")
        return None


def _unpack(archive: zipfile.ZipFile, source: Path, target: Path, opened: _Opened, context: Context) -> Path | None:
    infos = archive.infolist()
    if len(infos) > MAX_ENTRIES:
        opened.problems.append(f"the archive lists {len(infos)} entries; model.onnx alone is expected")
        infos = infos[:MAX_ENTRIES]
    seen: set[str] = set()
    budget = MAX_BYTES
    models: list[tuple[str, Path]] = []
    for info in infos:
        if info.is_dir():
            continue
        name = info.filename
        if _junk(name):
            opened.junk.append(name)
            continue
        wrong = _distrust(info, name, seen)
        seen.add(name)
        if wrong:
            opened.problems.append(wrong)
            opened.entries.append(Entry(name=name, bytes=0, kind="refused"))
            continue
        context.report(f"unpacking {name}")
        path = target.joinpath(*PurePosixPath(name).parts)
        size, trouble = _extract(archive, info, path, source.stat().st_size, budget)
        budget -= size
        if trouble:
            opened.problems.append(f"{_shown(name)}: {trouble}")
            opened.entries.append(Entry(name=name, bytes=size, kind="refused"))
            with contextlib.suppress(OSError):  # a name that is too long, or that is a folder's, was never written
                path.unlink()
            continue
        is_model = name.lower().endswith(".onnx")
        opened.entries.append(Entry(name=name, bytes=size, kind="model" if is_model else "other"))
        if is_model:
            models.append((name, path))
        if name != "model.onnx":
            opened.problems.append(
                f"the archive holds {_shown(name)!r}; exactly one entry named 'model.onnx' is expected"
            )
    if len(models) > 1:
        opened.problems.append(f"the archive holds {len(models)} models: {', '.join(name for name, _ in models)}")
    if not models:
        opened.problems.append("the archive holds no model: an entry named 'model.onnx' is expected")
        return None
    return next((path for name, path in models if name == "model.onnx"), max(models)[1])


def _distrust(info: zipfile.ZipInfo, name: str, seen: set[str]) -> str:
    """Return why an entry is not unpacked, or ""."""
    pure, shown = PurePosixPath(name), _shown(name)
    mode = info.external_attr >> 16
    if stat.S_ISLNK(mode):
        return f"{shown!r} is a link; links are never unpacked"
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return f"{shown!r} is not a plain file"
    if pure.is_absolute() or (len(name) > 1 and name[1] == ":") or "\\" in name:
        return f"{shown!r} is an absolute or foreign path; it was not unpacked"
    if ".." in pure.parts:
        return f"{shown!r} leads out of the archive with '..'; it was not unpacked"
    if info.flag_bits & 0x1:
        return f"{shown!r} is encrypted; the server cannot open it"
    if name in seen:
        return f"{shown!r} is there twice; which one counts would depend on the program that unpacks it"
    return ""


def _shown(name: str) -> str:
    """Return a name that fits into a message."""
    return name if len(name) <= MOST_SHOWN else f"{name[:MOST_SHOWN]}… ({len(name)} characters)"


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
        return written, f"cannot be unpacked: {error.strerror or type(error).__name__}"
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        return written, f"cannot be unpacked: {error}"
    if written != info.file_size:
        return written, f"is said to have {info.file_size} bytes but has {written}"
    return written, ""
