"""Command line: ``python -m pytest_facechallenge.refnets NAME OUT.onnx``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_facechallenge.refnets.registry import BUILDERS, save

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Write one reference network to a file and say what was written.

    Returns
    -------
    int
        0 when written, 1 when the file could not be written; bad arguments end the program with 2.
    """
    parser = argparse.ArgumentParser(
        prog="python -m pytest_facechallenge.refnets",
        description="Write a reference network with seeded random weights as an ONNX file.",
    )
    parser.add_argument("name", choices=BUILDERS, metavar="NAME", help=f"one of {', '.join(BUILDERS)}")
    parser.add_argument("out", type=Path, metavar="OUT.onnx", help="file to write")
    parser.add_argument("--seed", type=int, default=0, help="seed of the weights (default: 0)")
    parser.add_argument("--batch", default="N", help="batch size, or the name of the dynamic axis (default: N)")
    parser.add_argument("--embedding", type=int, help="values in the embedding (default: the network's own)")
    parser.add_argument(
        "--training-graph",
        action="store_true",
        help="bias-free convolutions with BatchNormalization behind them, instead of the exported form",
    )
    chosen = parser.parse_args(arguments)
    options: dict[str, object] = {
        "seed": chosen.seed,
        "batch": int(chosen.batch) if chosen.batch.lstrip("-").isdecimal() else chosen.batch,
    }
    if chosen.embedding is not None:
        options["embedding"] = chosen.embedding
    if chosen.training_graph:
        options["fold_batchnorm"] = False
    try:
        save(chosen.name, chosen.out, **options)
    except (TypeError, ValueError) as error:
        parser.error(str(error))
    except OSError as error:
        print(f"cannot write {chosen.out}: {error.strerror or error}", file=sys.stderr)
        return 1
    print(f"{chosen.out}: {chosen.name}, {chosen.out.stat().st_size / 1024**2:.3f} MB (1024^2 bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
