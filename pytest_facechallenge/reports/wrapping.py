"""Text fitted into columns: counted in cells of the terminal, broken between words, in characters it can show."""

from __future__ import annotations

import re

from rich.cells import cell_len, chop_cells

#: What stands for a typographic character where the console's encoding does not have it.
PLAIN = str.maketrans(
    {
        "“": '"', "”": '"', "‘": "'", "’": "'", "…": "...", "–": "-", "—": "-", "×": "x", "·": "-", "±": "+/-",
        "≤": "<=", "≥": ">=", "→": "->", "µ": "u", "²": "^2", "\N{NO-BREAK SPACE}": " ",
    }
)  # fmt: skip
#: After a sign such as "/" a word that is longer than a line (a path, a name of a node) may go on in the next, but not
#: where the sign stands inside a number.
_INSIDE = r"(?:[^/\\._:,;=-]|(?<=\d)[.,:](?=\d))"
_BREAKS = re.compile(rf"{_INSIDE}*+[/\\._:,;=-]+|{_INSIDE}++")


def spelt(text: str, encoding: str) -> str:
    """Return ``text`` with nothing in it that the encoding lacks: the usual spelling, or the character's number."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    except LookupError:
        return spelt(text, "ascii")
    return text


def wrap(head: str, text: str, width: int, most: int = 0, more: str = "…") -> list[str]:
    """Return ``text`` in lines of at most ``width`` cells, the first behind ``head``, the others indented under it.

    Words stay whole. One that is longer than a line is broken after a sign such as "/" or "_", and between any two
    characters only where it has none.

    Parameters
    ----------
    most
        The most lines; what is left out is marked by ``more`` at the end of the last. 0: all of them.
    """
    indent = " " * cell_len(head)
    room = max(1, width - len(indent))
    lines: list[str] = []
    line = ""
    for word in text.split():
        for number, part in enumerate(_parts(word, room)):
            joined = part if not line else line + ("" if number else " ") + part
            if cell_len(joined) <= room:
                line = joined
            else:
                lines.append(line)
                line = part
    lines.append(line)
    if most and len(lines) > most:
        lines = [*lines[: most - 1], cut(f"{lines[most - 1]} {lines[most]}", room, more)]
    return [f"{head if number == 0 else indent}{each}".rstrip() for number, each in enumerate(lines)]


def _parts(word: str, room: int) -> list[str]:
    if cell_len(word) <= room:
        return [word]
    parts: list[str] = []
    for piece in _BREAKS.findall(word):
        if parts and cell_len(parts[-1] + piece) <= room:
            parts[-1] += piece
        elif cell_len(piece) <= room:
            parts.append(piece)
        else:
            parts += chop_cells(piece, room)
    return parts


def cut(text: str, width: int, more: str = "…") -> str:
    """Return as many whole words as fit into ``width`` cells, with ``more`` behind them where some are left out."""
    if cell_len(text) <= width:
        return text
    kept = text[: len(text) - len(text.lstrip())]
    room = width - cell_len(more)
    for word in re.findall(r" ?\S+| +", text[len(kept) :]):
        if cell_len(kept + word) > room:
            break
        kept += word
    if not kept.strip():
        kept = chop_cells(text, max(1, room))[0]
    return kept.rstrip(" ,;:(") + more


def shortened(name: str, width: int, more: str = "…") -> str:
    """Return a name of at most ``width`` cells that keeps its end: of a path that tells most."""
    if cell_len(name) <= width:
        return name
    room = max(1, width - cell_len(more))
    return more + chop_cells(name[::-1], room)[0][::-1]


def padded(text: str, width: int) -> str:
    """Return ``text`` with blanks up to ``width`` cells."""
    return text + " " * (width - cell_len(text))
