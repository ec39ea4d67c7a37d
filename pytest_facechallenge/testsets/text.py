"""Lists of images as people have them: UTF-8, UTF-16 with its mark, and the older encodings of names."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path

from pytest_facechallenge.core.files import UnusableFileError, open_regular, read_regular

_BLOCK = 1 << 20
#: Names with other letters than ASCII that are looked for on the disk to tell encodings apart.
_TRIED = 200
#: How encodings are called in sentences.
NAMES = {"utf-8-sig": "UTF-8", "utf-16": "UTF-16", "gb18030": "GBK", "latin-1": "Latin-1"}
_MARKS = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
#: Bytes above 127 of which neither neighbour is one: common in Latin-1, and rare in GBK, whose letters are two bytes.
_ALONE = re.compile(rb"(?<![\x80-\xff])[\x80-\xff](?![\x80-\xff])")
_HIGH = re.compile(rb"[\x80-\xff]")


def encodings_of(path: Path) -> list[str]:
    """Return the encodings that a list may be in, the likeliest first; one alone where the bytes leave no choice.

    Raises
    ------
    OSError
        It cannot be read.
    """
    with open_regular(path) as file:
        head = file.read(4)
        found = next((encoding for mark, encoding in _MARKS if head.startswith(mark)), "")
        if found:
            return [found]
        file.seek(0)
        if _decodes(iter(lambda: file.read(_BLOCK), b""), "utf-8-sig"):
            return ["utf-8-sig"]
        file.seek(0)
        sample = file.read(_BLOCK)
        file.seek(0)
        chinese = _decodes(iter(lambda: file.read(_BLOCK), b""), "gb18030")
    western = 2 * len(_ALONE.findall(sample)) > len(_HIGH.findall(sample))
    order = ["latin-1", "gb18030"] if western else ["gb18030", "latin-1"]
    return [encoding for encoding in order if encoding == "latin-1" or chinese]


def best_encoding(path: Path, names: Callable[[str], Iterable[str]], root: Path) -> str:
    """Return the encoding of a list: of several possible ones that under which most of its names are on the disk.

    Parameters
    ----------
    names
        Gives the names in the list, paths below ``root``, read in an encoding.
    """
    encodings = encodings_of(path)
    if len(encodings) == 1:
        return encodings[0]
    return max(encodings, key=lambda encoding: _there(names(encoding), root))  # of equals the first


def read_list_text(path: Path, most: int, encoding: str = "") -> str:
    """Return a list's text with line feeds, in the likeliest encoding if none is given.

    Raises
    ------
    OSError, UnicodeDecodeError
        It cannot be read.
    """
    data = read_regular(path, most)
    text = data.decode(encoding or encodings_of(path)[0])
    return text.replace("\r\n", "\n").replace("\r", "\n")


def encoding_finding(path: Path, encoding: str) -> tuple[str, ...]:
    """Return what a reader must know of how a list was read: nothing of UTF-8."""
    if encoding == "utf-8-sig":
        return ()
    return (f"{path.name} is no UTF-8; it was read as {NAMES[encoding]}",)


def open_list(path: Path, encoding: str) -> io.TextIOWrapper:
    """Open a list for reading by lines, line ends as they are."""
    return io.TextIOWrapper(open_regular(path), encoding=encoding, newline="")


def _there(names: Iterable[str], root: Path) -> int:
    other = (name for name in names if not name.isascii())
    try:
        return sum((root / name).exists() for name in islice(other, _TRIED))
    except (OSError, ValueError, UnusableFileError):  # a name that can be none
        return 0


def _decodes(blocks: Iterable[bytes], encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for block in blocks:
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
