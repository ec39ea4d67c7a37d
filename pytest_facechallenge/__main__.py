"""``python -m pytest_facechallenge``: the same as the command ``facechallenge``."""

from __future__ import annotations

import sys

from pytest_facechallenge.cli import main

if __name__ == "__main__":
    sys.exit(main())
