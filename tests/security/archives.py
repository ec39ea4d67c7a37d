"""Archives in which two programs find different things, built byte by byte."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

NAME = b"model.onnx"


def zip_bytes(entries: dict[str, bytes], comment: bytes = b"") -> bytes:
    """Return an ordinary archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
        archive.comment = comment
    return out.getvalue()


def streamed(model: bytes, *, wide: bool = False) -> bytes:
    """Return what programs write that do not know sizes beforehand (zip -, macOS): they follow the entry."""

    class _Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.data = bytearray()

        def writable(self) -> bool:
            return True

        def seekable(self) -> bool:
            return False

        def write(self, data: object, /) -> int:
            self.data += bytes(data)  # type: ignore[call-overload]
            return len(data)  # type: ignore[arg-type]

    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("model.onnx", "w", force_zip64=wide) as entry:
            entry.write(model)
    return bytes(pipe.data)


def zip64(model: bytes) -> bytes:
    """Return an archive whose entry has its sizes in the 64-bit field, as for large files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("model.onnx", "w", force_zip64=True) as entry:
            entry.write(model)
    return out.getvalue()


def prefixed(model: bytes) -> bytes:
    """Return an archive with a script in front of it."""
    return b"#!/bin/sh\nexit 0\n" + zip_bytes({"model.onnx": model})


def suffixed(model: bytes) -> bytes:
    """Return an archive with bytes after its end."""
    return zip_bytes({"model.onnx": model}) + b"more bytes"


def local_name_differs(model: bytes) -> bytes:
    """Return an archive whose entry has another name in front of it than in the list at the end."""
    data = bytearray(zip_bytes({"model.onnx": model}))
    data[30 : 30 + len(NAME)] = b"nodel.onnx"
    return bytes(data)


def local_size_differs(model: bytes) -> bytes:
    """Return an archive whose entry has another size in front of it than in the list at the end."""
    data = bytearray(zip_bytes({"model.onnx": model}))
    struct.pack_into("<L", data, 22, len(model) - 1)
    return bytes(data)


def unicode_name_differs(model: bytes) -> bytes:
    """Return an archive whose entry has another name in the field for names in Unicode."""
    other = b"other.onnx"
    body = struct.pack("<BL", 1, zlib.crc32(NAME)) + other
    info = zipfile.ZipInfo("model.onnx")
    info.extra = struct.pack("<2H", 0x7075, len(body)) + body
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(info, model)
    return out.getvalue()


def nul_in_name(model: bytes) -> bytes:
    """Return an archive whose entry's name goes on after a NUL."""
    data = zip_bytes({"model.onnx#more": model})
    return data.replace(b"model.onnx#more", b"model.onnx\0more")


def gap_between_entries(model: bytes) -> bytes:
    """Return an archive with an entry that the list at the end leaves out."""
    hidden = zip_bytes({"model.onnx": model[::-1]})
    shown = zip_bytes({"model.onnx": model})
    first = hidden[: hidden.find(b"PK\x01\x02")]
    data = bytearray(first + shown)
    central, end = data.rfind(b"PK\x01\x02"), data.rfind(b"PK\x05\x06")
    struct.pack_into("<L", data, central + 42, len(first))
    struct.pack_into("<L", data, end + 16, central)
    return bytes(data)


def comment_with_archive(model: bytes, other: bytes) -> bytes:
    """Return an archive whose comment is the end of another archive that lies in it."""
    inner = zip_bytes({"model.onnx": other})
    end = inner[inner.find(b"PK\x05\x06") :]
    return zip_bytes({"model.onnx": model}, comment=end)


def deep_zip(model: bytes, depth: int = 2_000) -> bytes:
    """Return an archive with a model and an entry under many folders."""
    return zip_bytes({"model.onnx": model, "d/" * depth + "x": b"1"})


def wide_end(model: bytes, lie: int = 0) -> bytes:
    """Return an archive that has the end record of large archives too; with ``lie``, one that says something else."""
    data = zip_bytes({"model.onnx": model})
    at = data.rfind(b"PK\x05\x06")
    _, _, here, entries, size, offset, _ = struct.unpack_from("<4H2LH", data, at + 4)
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, here + lie, entries + lie, size, offset)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, at, 1)
    return data[:at] + record + locator + data[at:]


def late_size_differs(model: bytes) -> bytes:
    """Return a streamed archive whose record after the entry has another size than the list at the end."""
    data = bytearray(streamed(model))
    struct.pack_into("<L", data, data.rfind(b"PK\x07\x08") + 12, len(model) - 1)
    return bytes(data)


def late_and_early(model: bytes) -> bytes:
    """Return a streamed archive that has sizes in front of the entry too, and others than after it."""
    data = bytearray(streamed(model))
    struct.pack_into("<2L", data, 18, 1, 1)
    return bytes(data)


def wide_size_differs(model: bytes) -> bytes:
    """Return an archive whose entry has another size of 64 bits in front of it than in the list at the end."""
    data = bytearray(zip64(model))
    struct.pack_into("<L", data, 22, 0xFFFFFFFF)
    struct.pack_into("<Q", data, 30 + len(NAME) + 4, len(model) - 1)
    return bytes(data)


def sizes_twice(model: bytes) -> bytes:
    """Return an archive whose entry has two fields with sizes of 64 bits."""
    info = zipfile.ZipInfo("model.onnx")
    info.extra = struct.pack("<2H2Q", 1, 16, len(model), len(model)) * 2
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(info, model)
    return out.getvalue()


def folder_with_content(model: bytes, other: bytes) -> bytes:
    """Return an archive with a folder in which another model is stored, as if it were a file."""
    data = zip_bytes({"model.onnx": model, "model2onnx#": other})
    return data.replace(b"model2onnx#", b"model.onnx/")


def folder_of_the_same_name(model: bytes) -> bytes:
    """Return an archive with a folder that is called like the model."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Model.onnx/", b"")
        archive.writestr("model.onnx", model)
    return out.getvalue()
