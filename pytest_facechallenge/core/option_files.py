"""Options that are also the names of files: the shell may have written them, in place of a pattern.

``facechallenge judge *`` in a folder with a file named ``--rules=mine.toml`` would judge by a stranger's rules.
Standard library only.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def refusal(words: Iterable[str], folder: Path) -> str:
    """Return the sentence with which such an option is refused, "" where there is none.

    Parameters
    ----------
    words
        Of the command line.
    folder
        In which the command was called.
    """
    for word in words:
        if word.startswith("-") and os.path.lexists(folder / word):
            return (
                f"{word!r} is an option and the name of a file in the working folder, so what is meant is not certain: "
                "write ./ before the name or the pattern that stands for files (./*), or call it from another folder"
            )
    return ""
