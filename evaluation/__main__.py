"""python -m evaluation: run, table, mutation or families, each with --help."""

from __future__ import annotations

import importlib
import sys

COMMANDS = ("run", "table", "mutation", "families")


def main() -> int:
    """Hand the arguments to the command that is named first."""
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        print(f"usage: python -m evaluation {{{','.join(COMMANDS)}}} ...", file=sys.stderr)
        return 2
    command = importlib.import_module(f"evaluation.{sys.argv[1]}")
    return int(command.main(sys.argv[2:]) or 0)


if __name__ == "__main__":
    sys.exit(main())
