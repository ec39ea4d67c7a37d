"""The layout of a zip archive, byte by byte: whether every program that opens it finds the same entries in it.

An archive lists its entries twice, one by one in front of each and together at the end, and may have bytes that belong
to neither. Programs differ in what they believe, so an archive whose lists disagree can be one model for the server and
another one for whoever judges it.
"""

from __future__ import annotations

import dataclasses
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pytest_facechallenge.core.files import open_regular
from pytest_facechallenge.core.text import clean_name

LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_END64, _LOCATOR, _DESCRIPTOR = b"PK\x06\x06", b"PK\x06\x07", b"PK\x07\x08"
_END_BYTES, _LOCATOR_BYTES, _END64_BYTES, _LOCAL_BYTES = 22, 20, 56, 30
_ENCRYPTED, _LATE, _UTF8 = 0x1, 0x8, 0x800
_UNKNOWN = 0xFFFFFFFF
#: Kinds of extra fields: sizes of 64 bits, another name.
_WIDE, _UNICODE_NAME = 0x0001, 0x7075
#: Bytes of what may follow an entry whose sizes were not known when it was begun.
_DESCRIPTORS = (12, 16, 20, 24)


@dataclasses.dataclass(frozen=True)
class End:
    """The record at an archive's end.

    Attributes
    ----------
    entries, directory_bytes, directory_at
        What it says of the list of entries; ``directory_at`` counts from where the archive begins.
    directory_end
        Where the list ends in the file.
    after
        Bytes of the file after the record and its comment.
    nested
        Whether the comment holds another such record.
    split
        Whether the archive is a part of several files.
    disputed
        Whether its 64-bit form says something else.
    """

    entries: int
    directory_bytes: int
    directory_at: int
    directory_end: int
    after: int
    nested: bool
    split: bool
    disputed: bool

    @property
    def before(self) -> int:
        """Bytes of the file in front of the archive; negative when the record lies about where its list is."""
        return self.directory_end - self.directory_bytes - self.directory_at


def find_end(path: Path) -> End | None:
    """Return the record at the end of the archive that a program would find in this file, or None.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with open_regular(path) as file:
        size = file.seek(0, 2)
        start = max(0, size - _END_BYTES - 0xFFFF)
        file.seek(start)
        tail = file.read(size - start)
        at = tail.rfind(END)
        while at >= 0 and len(tail) - at < _END_BYTES:
            at = tail.rfind(END, 0, at)
        first = tail.find(END)
        while 0 <= first < at:  # the record that accounts for the whole rest of the file is the archive's own
            if first + _END_BYTES + _comment(tail, first) == len(tail):
                return _read_end(file, tail, start, first, nested=True)
            first = tail.find(END, first + 1)
        return None if at < 0 else _read_end(file, tail, start, at, nested=False)


def holds_archive(path: Path) -> bool:
    """Whether a file that does not begin as one is nevertheless an archive for a program that looks at its end.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    end = find_end(path)
    if end is None or not end.entries:
        return False
    with open_regular(path) as file:
        file.seek(max(0, end.directory_end - end.directory_bytes))
        return file.read(4) == CENTRAL


def layout_problems(path: Path, infos: list[zipfile.ZipInfo], end: End) -> list[str]:
    """Say what lets two programs find different things in an archive, a sentence each.

    Parameters
    ----------
    infos
        Every entry of the list at the end.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    problems = []
    if end.before:
        problems.append(f"{abs(end.before):,} bytes stand before the archive; a zip archive alone is expected")
    if end.after:
        problems.append(f"{end.after:,} bytes stand after the archive; a zip archive alone is expected")
    if end.nested:
        problems.append("the archive's comment holds another archive's end")
    if end.split:
        problems.append("the archive is one part of several files; a whole archive is expected")
    if end.disputed:
        problems.append("the two records at the archive's end, for small and for large archives, disagree")
    if end.entries != len(infos):
        problems.append(f"the archive says that it has {end.entries:,} entries, but lists {len(infos):,}")
    if not infos:
        return problems
    with open_regular(path) as file:
        place = max(0, end.before)
        ordered = sorted(infos, key=lambda info: info.header_offset)
        stops = [info.header_offset for info in ordered[1:]] + [end.directory_end - end.directory_bytes]
        for info, stop in zip(ordered, stops, strict=True):
            if info.header_offset != place:
                what = "bytes that belong to no entry" if info.header_offset > place else "bytes of another entry"
                problems.append(f"before '{clean_name(info.orig_filename)}' there are {what}")
            trouble, used = _compare(file, info, stop)
            if trouble:
                problems.append(f"'{clean_name(info.orig_filename)}': {trouble}")
            place = used
        if place != stops[-1]:
            problems.append("before the list of entries there are bytes that belong to no entry")
    return problems


def _comment(tail: bytes, at: int) -> int:
    return int(struct.unpack_from("<H", tail, at + 20)[0]) if at + _END_BYTES <= len(tail) else -1


def _read_end(file: BinaryIO, tail: bytes, start: int, at: int, *, nested: bool) -> End:
    disk, first_disk, here, entries, size, offset, comment = struct.unpack_from("<4H2LH", tail, at + 4)
    stop = start + at
    after = max(0, len(tail) - at - _END_BYTES - comment)
    # Some programs read the 64-bit record wherever there is one, others only where the other one refers to it.
    file.seek(max(0, stop - _LOCATOR_BYTES))
    disputed = False
    if file.read(len(_LOCATOR)) == _LOCATOR:
        file.seek(max(0, stop - _LOCATOR_BYTES - _END64_BYTES))
        record = file.read(_END64_BYTES)
        disputed = len(record) < _END64_BYTES or not record.startswith(_END64)
        if not disputed:
            told = ((disk, 0xFFFF), (first_disk, 0xFFFF), (here, 0xFFFF), (entries, 0xFFFF), (size, _UNKNOWN))
            wide = struct.unpack_from("<2L4Q", record, 16)
            pairs = zip((*told, (offset, _UNKNOWN)), wide, strict=True)
            disputed = any(narrow not in (value, unknown) for (narrow, unknown), value in pairs)
            disk, first_disk, here, entries, size, offset = wide
            stop -= _LOCATOR_BYTES + _END64_BYTES
    split = bool(disk or first_disk or here != entries)
    return End(entries, size, offset, stop, after, nested, split, disputed)


def _compare(file: BinaryIO, info: zipfile.ZipInfo, stop: int) -> tuple[str, int]:
    """Compare an entry's own header with the list at the end; return what differs and where the entry ends."""
    file.seek(info.header_offset)
    head = file.read(_LOCAL_BYTES)
    if len(head) < _LOCAL_BYTES or not head.startswith(LOCAL):
        return "there is no entry where the list of entries says it is", info.header_offset
    flags, method, crc, packed, size, name_bytes, extra_bytes = struct.unpack_from("<2H4x3L2H", head, 6)
    name, extra = file.read(name_bytes), file.read(extra_bytes)
    ended = info.header_offset + _LOCAL_BYTES + name_bytes + extra_bytes + info.compress_size
    told = info.orig_filename.encode("utf-8" if info.flag_bits & _UTF8 else "cp437", "replace")
    late = bool(flags & _LATE)
    wide = _wide_sizes(extra)
    packed, size = (
        (wide[1] if packed == _UNKNOWN and wide else packed),
        (wide[0] if size == _UNKNOWN and wide else size),
    )
    differs = ""
    if name != told:
        differs = "the two names that the archive has for it differ"
    elif _other_name(extra, name) or _other_name(info.extra, name):
        differs = "it has another name in Unicode"
    elif b"\0" in name:
        differs = "its name has a NUL in it"
    elif method != info.compress_type or (flags ^ info.flag_bits) & (_ENCRYPTED | _UTF8):
        differs = "the two records that the archive has of it differ in how it is stored"
    elif _repeats(extra) or _repeats(info.extra):
        differs = "it has several extra fields of one kind; which one counts would depend on the program"
    elif any(
        told != found and not (late and told in (0, _UNKNOWN))
        for told, found in ((crc, info.CRC), (packed, info.compress_size), (size, info.file_size))
    ):
        differs = "the two records that the archive has of it differ in size or checksum"
    if late and ended < stop:
        file.seek(ended)
        descriptor = file.read(min(stop - ended, _DESCRIPTORS[-1]))
        if stop - ended in _DESCRIPTORS:
            ended = stop
            at = 4 if descriptor.startswith(_DESCRIPTOR) and len(descriptor) in (16, 24) else 0
            after = struct.unpack_from("<L2Q" if len(descriptor) - at == 20 else "<3L", descriptor, at)
            if after != (info.CRC, info.compress_size, info.file_size):
                differs = differs or "the record after it has another size or checksum"
    return differs, ended


def _extra_fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (kind, content) of each extra field of an entry."""
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<2H", extra, at)
        yield kind, extra[at + 4 : at + 4 + size]
        at += 4 + size


def _repeats(extra: bytes) -> bool:
    """Whether there are two fields of one of the kinds that say what is stored, or under which name."""
    kinds = [kind for kind, _ in _extra_fields(extra) if kind in (_WIDE, _UNICODE_NAME)]
    return len(kinds) != len(set(kinds))


def _wide_sizes(extra: bytes) -> tuple[int, int] | None:
    """Return (bytes, packed bytes) of the field for large entries, as it stands in front of an entry; None without."""
    found = next((content for kind, content in _extra_fields(extra) if kind == _WIDE and len(content) >= 16), None)
    if found is None:
        return None
    size, packed = struct.unpack_from("<2Q", found)
    return int(size), int(packed)


def _other_name(extra: bytes, name: bytes) -> bool:
    """Whether the extra fields of an entry name it differently: some programs prefer that name."""
    return any(kind == _UNICODE_NAME and content[5:] != name for kind, content in _extra_fields(extra))
