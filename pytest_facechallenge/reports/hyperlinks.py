"""Whether a terminal shows links behind words (the escape sequence OSC 8). Standard library only.

No terminal says so itself, and some that do not know the sequence show it as it is. So it is written only for those
that are known: https://github.com/Alhadis/OSC8-Adoption lists them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

#: Terminals by $TERM_PROGRAM, with the first version that has links.
_PROGRAMS = {"iTerm.app": (3, 1), "WezTerm": (20200620,), "vscode": (1, 72), "ghostty": (0,), "mintty": (3, 1)}
#: Terminals by $TERM.
_TERMS = ("xterm-kitty", "alacritty", "foot", "xterm-ghostty", "wezterm")
#: Variables that only terminals with links set.
_VARIABLES = ("WT_SESSION", "KONSOLE_VERSION", "DOMTERM", "KITTY_WINDOW_ID")
#: VTE (GNOME Terminal and others) from 0.50.1 on; 0.50.0 crashes.
_FIRST_VTE = 5001


def shows_links(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether the terminal that these variables tell of shows links; FORCE_HYPERLINK (1 or 0) decides.

    It is left to the caller to ask whether output goes to a terminal at all.
    """
    forced = environment.get("FORCE_HYPERLINK")
    if forced:
        return forced != "0"
    term = environment.get("TERM", "")
    # A multiplexer may swallow the sequence, or pass on half of it; a log of CI is no terminal.
    if term == "dumb" or term.startswith(("screen", "tmux")) or environment.get("CI") or environment.get("TMUX"):
        return False
    first = _PROGRAMS.get(environment.get("TERM_PROGRAM", ""))
    if first is not None:
        return _numbers(environment.get("TERM_PROGRAM_VERSION", "")) >= first
    vte = environment.get("VTE_VERSION", "")
    if vte.isdecimal():
        return int(vte) >= _FIRST_VTE
    return term.startswith(_TERMS) or any(environment.get(name) for name in _VARIABLES)


def _numbers(version: str) -> tuple[int, ...]:
    """Return "1.72.2" as (1, 72, 2), and "20240203-110809-5046fc22" as its numbers up to the first that is none."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()
