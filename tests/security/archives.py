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


def streamed(model: bytes) -> bytes:
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
        archive.writestr("model.onnx", model)
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
