"""Every honest network of the development set with every evasion injected: the rule must turn to failed.

python -m evaluation.mutation                 # the whole product: hours
python -m evaluation.mutation --every 20      # each 20th pair, spread over hosts and injections
python -m evaluation.mutation --host vit      # only hosts whose name contains this
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence

from evaluation.cases import get, load
from evaluation.injections.catalogue import EXPECTED, INJECTIONS, CannotCarry
from evaluation.product import judge


def hosts() -> list[str]:
    """Return the names of the honest networks that carry injections."""
    return [case.name for case in load("development", kind="passed")]


def pairs(every: int = 1, host: str = "") -> Iterator[tuple[str, str]]:
    """Yield (host, injection), each ``every``-th of the product along its diagonals."""
    for i, name in enumerate(each for each in hosts() if host in each):
        for j, injection in enumerate(INJECTIONS):
            if (i * 7 + j) % every == 0:
                yield name, injection


def try_pair(pair: tuple[str, str]) -> tuple[str, str, str, str]:
    """Return (host, injection, "found" | "missed" | "undecided" | "cannot carry" | "error", reason)."""
    host, injection = pair
    try:
        model = INJECTIONS[injection](get(host).build())
    except CannotCarry as reason:
        return host, injection, "cannot carry", str(reason)
    try:
        answer = judge(model)
    except Exception as error:  # a crash of the product is a result to report, whatever its type
        return host, injection, "error", f"{type(error).__name__}: {error}"
    rule = EXPECTED[injection]
    if rule in answer.failed:
        return host, injection, "found", answer.message(rule)
    other = "; ".join(answer.message(each) for each in answer.outcomes)
    return host, injection, "undecided" if rule in answer.undecided else "missed", other


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the pairs and print what was not found; return 1 when something was not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--host", default="")
    parser.add_argument("--jobs", type=int, default=0, metavar="N")
    options = parser.parse_args(arguments)
    counts: dict[str, int] = {}
    reasons: dict[str, int] = {}
    with multiprocessing.get_context("spawn").Pool(options.jobs or os.cpu_count()) as pool:
        for host, injection, result, reason in pool.imap_unordered(try_pair, pairs(options.every, options.host)):
            counts[result] = counts.get(result, 0) + 1
            if result == "cannot carry":
                reasons[f"{injection}: {reason[:90]}"] = reasons.get(f"{injection}: {reason[:90]}", 0) + 1
            elif result != "found":
                print(f"{result:9} {host} + {injection}: {reason[:300]}", flush=True)
    for reason, count in sorted(reasons.items(), key=lambda entry: -entry[1]):
        print(f"  cannot carry, {count} hosts: {reason}")
    print(", ".join(f"{count} {result}" for result, count in sorted(counts.items())))
    return int(set(counts) - {"found", "cannot carry"} != set())


if __name__ == "__main__":
    sys.exit(main())
