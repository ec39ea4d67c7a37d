"""Runs docs/tutorial.md from top to bottom, and writes what its commands print into it.

    python -m docs.make_tutorial          # from the root of the repository; PyTorch is needed, no network, no GPU

A block behind ``<!-- file: NAME -->`` is written as that file, the commands behind ``<!-- shown -->`` are run, and what
they print replaces the text block below them, where there is one. What differs from machine to machine is replaced, as
in the screens (`make_screens.normalised`), so that a test can compare.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from docs.make_screens import CHANGING, COLUMNS, ROOT, normalised

PAGE = Path(__file__).parent / "tutorial.md"
STEP = re.compile(
    r"<!-- file: (?P<file>\S+) -->\n```\w*\n(?P<text>.*?)```"
    r"|(?P<head><!-- shown -->\n```sh\n(?P<commands>.*?)```\n)(?P<output>\n```text\n.*?```)?",
    re.DOTALL,
)
#: What the words stand for that commands of the page begin with.
PROGRAMS = {"facechallenge": [sys.executable, "-m", "pytest_facechallenge"], "python": [sys.executable, "-W", "ignore"]}


def made(text: str, folder: Path, **environment: str) -> str:
    """Return the page with what its commands print.

    Parameters
    ----------
    folder
        Where files are written and commands run; an empty one.
    environment
        Variables that are set beside.

    Raises
    ------
    SystemExit
        A command ended with another exit code than 0; the message has what it printed.
    """

    def step(found: re.Match[str]) -> str:
        if found["file"]:
            (folder / found["file"]).write_text(found["text"], encoding="utf-8")
            return found[0]
        printed = "".join(_printed(line, folder, environment) for line in found["commands"].splitlines())
        shown = f"\n```text\n{steady(normalised(printed, folder))}```" if found["output"] else ""
        return found["head"] + shown

    return STEP.sub(step, text)


def steady(text: str) -> str:
    """Return what was printed without what depends on how fast the machine is: lines of progress, seconds."""
    text = re.sub(r"\n(facechallenge: [^\n]* \(\d+ s\)\n\n?)+", "", text)
    # The share of the tests that are done stands at the end of the line, also of one that was put together again.
    text = re.sub(
        r"^(\S.*?) +(\[ *\d+%\])$", lambda found: f"{found[1]:<{COLUMNS - 6}}{found[2]}", text, flags=re.MULTILINE
    )
    return re.sub(r"^(\d+ passed.*) in [\d.]+s( \([\d:]+\))?$", r"\1 in 1.00s", text, flags=re.MULTILINE)


def _printed(command: str, folder: Path, more: dict[str, str]) -> str:
    words = shlex.split(command)
    kept = {name: value for name, value in os.environ.items() if not CHANGING.fullmatch(name)}
    environment = kept | {"COLUMNS": str(COLUMNS), "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"} | more
    done = subprocess.run(
        [*PROGRAMS[words[0]], *words[1:]], cwd=folder, env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, encoding="utf-8", check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{command}: exit code {done.returncode}\n{done.stdout}")
    return done.stdout


def main() -> None:
    """Write the page anew."""
    with tempfile.TemporaryDirectory() as name:
        PAGE.write_text(made(PAGE.read_text(encoding="utf-8"), Path(name).resolve()), encoding="utf-8")


if __name__ == "__main__":
    main()
