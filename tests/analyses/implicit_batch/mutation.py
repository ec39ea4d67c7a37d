"""Every honest architecture with every evasion injected: the detector must turn to failed.

python -m tests.dataflow.mutation                 # the whole product: hours
python -m tests.dataflow.mutation --every 20      # each 20th pair, spread over hosts and injections
python -m tests.dataflow.mutation --host vit      # only hosts whose name contains this
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
from collections.abc import Iterator

from tests.analyses.implicit_batch.table import judge
from tests.corpus import HONEST, INJECTIONS, CannotCarry
from tests.corpus.inject import EXPECTED


def pairs(every: int = 1, host: str = "") -> Iterator[tuple[str, str]]:
    """Yield (host, injection), each ``every``-th of the product along its diagonals."""
    hosts = [name for name in HONEST if host in name]
    for i, name in enumerate(hosts):
        for j, injection in enumerate(INJECTIONS):
            if (i * 7 + j) % every == 0:
                yield name, injection


def try_pair(pair: tuple[str, str]) -> tuple[str, str, str, str]:
    """Return (host, injection, "found" | "missed" | "undecided" | "cannot carry" | "error", reason)."""
    host, injection = pair
    try:
        model = INJECTIONS[injection](HONEST[host].build())
    except CannotCarry as reason:
        return host, injection, "cannot carry", str(reason)
    try:
        answer = judge(model)
    except Exception as error:  # a crash of the detector is a result to report, whatever its type
        return host, injection, "error", f"{type(error).__name__}: {error}"
    if EXPECTED[injection] in answer.failed:
        return host, injection, "found", answer.outcomes[EXPECTED[injection]].message
    other = "; ".join(outcome.message for outcome in answer.outcomes.values())
    return host, injection, "undecided" if EXPECTED[injection] in answer.undecided else "missed", other


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--host", default="")
    options = parser.parse_args()
    counts: dict[str, int] = {}
    reasons: dict[str, int] = {}
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        for host, injection, result, reason in pool.imap_unordered(try_pair, pairs(options.every, options.host)):
            counts[result] = counts.get(result, 0) + 1
            if result == "cannot carry":
                reasons[f"{injection}: {reason[:90]}"] = reasons.get(f"{injection}: {reason[:90]}", 0) + 1
            elif result != "found":
                print(f"{result:9} {host} + {injection}: {reason[:300]}", flush=True)
    print(", ".join(f"{count} {result}" for result, count in sorted(counts.items())))
    for reason, count in sorted(reasons.items(), key=lambda entry: -entry[1]):
        print(f"  cannot carry, {count} hosts: {reason}")


if __name__ == "__main__":
    main()
