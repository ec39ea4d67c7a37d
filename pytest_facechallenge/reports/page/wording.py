"""Text and numbers as a page shows them: hostile characters made visible, figures with units."""

from __future__ import annotations

import math
import re
import unicodedata

#: Of these Unicode categories every character is shown by its number: controls, invisible format characters (such as
#: those that turn the reading direction round), lone surrogates, private use, unassigned.
INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
KEPT = "\n\t"


def visible(text: str) -> str:
    """Return the text with every character that could not be seen, or could mislead, replaced by its number."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        f"⟨U+{ord(letter):04X}⟩" if letter not in KEPT and unicodedata.category(letter) in INVISIBLE else letter
        for letter in text
    )


def percent(value: float) -> str:
    """Return a rate as "81.37 %", which no line break takes apart."""
    return f"{100 * value:.2f}\N{NO-BREAK SPACE}%"


def count(number: int) -> str:
    """Return a whole number with thousands set apart."""
    return f"{number:,}"


def size(number: int) -> str:
    """Return bytes as "1.04 MB" (2^20 bytes, as the rulebooks read it)."""
    if number < 1024:
        return f"{number} bytes"
    if number < 2**20:
        return f"{number / 1024:.3g} KB"
    return f"{number / 2**20:.4g} MB" if number < 2**30 else f"{number / 2**30:.4g} GB"


def flops(number: int) -> str:
    """Return FLOPs as "73.9 MFLOPs"."""
    for unit, factor in (("GFLOPs", 10**9), ("MFLOPs", 10**6), ("kFLOPs", 10**3)):
        if number >= factor:
            return f"{number / factor:.3g} {unit}"
    return f"{number} FLOPs"


def leading_number(text: str) -> float | None:
    """Return the first number of a measured text ("scaled: 0.282 ms (0.09 to 1.2)" gives 0.282), to sort by."""
    found = re.search(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?", text)
    if found is None:
        return None
    number = float(found.group().replace(",", ""))
    return number if math.isfinite(number) else None
