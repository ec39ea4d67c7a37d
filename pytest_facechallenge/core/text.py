"""Text of strangers made safe to store and to show: names in models and archives, errors of runtimes, file names.

Standard library only. `clean` is applied where such a text becomes a fact, a test's id or a display, and once is
enough: the result is printable, stands on one line, keeps its place in right-to-left and left-to-right text, encodes
as UTF-8 and is well-formed in XML.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Any

#: The most characters of one text; what is longer is cut, and its true length is written at the end.
MOST = 1_000
#: The same for a name inside of a sentence.
MOST_OF_A_NAME = 80
#: The most items of a list inside of a sentence.
MOST_LISTED = 5

#: Unicode categories that print nothing, move the cursor, reorder text or have no meaning: control, format (bidi marks,
#: zero-width characters, tags), surrogate, private use, unassigned, line and paragraph separator.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_PLAIN = re.compile(r"[ -~]*")
#: The half surrogates in which `os.fsdecode` keeps bytes that are no UTF-8.
_BYTES = range(0xDC80, 0xDD00)
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def clean(text: str, most: int = MOST) -> str:
    """Return ``text`` with everything escaped that could steer a terminal, a report or a reader.

    Parameters
    ----------
    text
        Any text, of any length. The cost does not grow with what is cut off.
    most
        The most characters of the result; a longer one is cut and ends with "… (N characters)", N of ``text``.

    Returns
    -------
    str
        Cleaning it again changes nothing.
    """
    head = text[: most + 1]
    shown = head if _PLAIN.fullmatch(head) else "".join(_escaped(sign) for sign in head)
    if len(text) <= most and len(shown) <= most:
        return shown
    note = f"… ({len(text):,} characters)"
    return f"{shown[: max(0, most - len(note))]}{note}"[:most]


def clean_name(text: str) -> str:
    """Return a name that fits into a sentence."""
    return clean(text, MOST_OF_A_NAME)


def clean_path(path: str | bytes | os.PathLike[str] | os.PathLike[bytes], most: int = MOST) -> str:
    """Return a path to show; bytes that are no UTF-8 stand there in hexadecimal. Not to be opened."""
    return clean(os.fsdecode(path), most)


def listed(names: Iterable[str], most: int = MOST_LISTED) -> str:
    """Return names for a sentence: cleaned, at most ``most`` of them, and how many more there are."""
    every = list(names)
    shown = ", ".join(clean_name(name) for name in every[:most])
    return shown if len(every) <= most else f"{shown} and {len(every) - most:,} more"


def clean_all(plain: Any, most: int = MOST, private: str = "") -> Any:
    """Return plain data (dicts, lists, tuples, texts, numbers) with every text in it cleaned, keys too.

    Keys that are the same after cleaning are told apart by a number, so that none is lost.

    Parameters
    ----------
    private
        Beginning of paths that say nothing to anybody, a working folder with its last slash: left out of texts.
    """

    def change(text: str) -> str:
        if private and private in text:
            text = text.replace(private, "")
        return clean(text, most)

    return _walk(plain, change)


def _walk(plain: Any, change: Callable[[str], str]) -> Any:
    if isinstance(plain, str):
        return change(plain)
    if isinstance(plain, (list, tuple)):
        return [_walk(item, change) for item in plain]
    if isinstance(plain, dict):
        found: dict[Any, Any] = {}
        numbers: dict[str, int] = {}
        for key, value in plain.items():
            name = change(key) if isinstance(key, str) else key
            while name in found:
                numbers[name] = numbers.get(name, 1) + 1
                name = f"{name} ({numbers[name]})"
            found[name] = _walk(value, change)
        return found
    return plain


def _escaped(sign: str) -> str:
    if sign.isascii() and sign.isprintable():
        return sign
    if unicodedata.category(sign) not in _UNSAFE:
        return sign
    code = ord(sign)
    if code in _BYTES:
        return f"\\x{code - 0xDC00:02x}"
    if sign in _NAMED:
        return _NAMED[sign]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
