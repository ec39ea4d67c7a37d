"""Calibrations of this user's cache, and the table of the reference networks' launches.

``python -m pytest_facechallenge.analyses.latency show [FILE OR FOLDER]`` prints stored reference times;
``python -m pytest_facechallenge.analyses.latency launches`` counts the launches anew and
prints `references.TABLE`'s content.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from pytest_facechallenge.analyses.latency.calibration import CalibrationError, default_folder, read, show
from pytest_facechallenge.analyses.latency.launches import count_launches
from pytest_facechallenge.latency_estimate.references import NAMES


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m pytest_facechallenge.analyses.latency", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    shown = commands.add_parser("show", help="print stored times of the reference networks")
    shown.add_argument("path", nargs="?", type=Path, default=default_folder(), help="default: the user's cache folder")
    commands.add_parser("launches", help="count the kernel launches of the reference networks and print them as JSON")
    chosen = parser.parse_args(arguments)
    return _show(chosen.path) if chosen.command == "show" else _launches()


def _show(path: Path) -> int:
    files = sorted(path.glob("calibration-*.json")) if path.is_dir() else [path]
    if not files:
        sys.stdout.write(f"no calibration is stored in {path}\n")
    status = 0
    for file in files:
        try:
            sys.stdout.write(f"{file}\n{show(read(file))}")
        except CalibrationError as error:
            sys.stderr.write(f"{error}\n")
            status = 1
    return status


def _launches() -> int:
    blocks = []
    for name in NAMES:
        rows = ",\n".join("  " + msgspec.json.encode(group).decode() for group in count_launches(name).groups)
        blocks.append(f' "{name}": [\n{rows}\n ]')
    sys.stdout.write("{\n" + ",\n".join(blocks) + "\n}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
