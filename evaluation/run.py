"""Judge the cases and say which answers are right.

python -m evaluation.run                       # everything
python -m evaluation.run --split blind-2       # one set
python -m evaluation.run --sample 40           # a fixed sample: the same 40 cases each time, of every set and kind
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from zlib import crc32

from evaluation.case import Case
from evaluation.cases import left_out, load, splits
from evaluation.results import judged


def sample(cases: Sequence[Case], count: int) -> list[Case]:
    """Choose cases, always the same: each set and expected answer in turn, by the checksum of the name.

    Sets that are judged as whole submissions are not sampled: whether they can be built depends on what is installed.
    """
    groups: dict[tuple[str, str], list[Case]] = {}
    for case in sorted((case for case in cases if not case.whole), key=lambda case: crc32(case.name.encode())):
        groups.setdefault((case.split, case.expected), []).append(case)
    order = sorted(groups)
    chosen: list[Case] = []
    depth = max((len(group) for group in groups.values()), default=0)
    for i in range(depth):
        chosen += [groups[key][i] for key in order if i < len(groups[key])]
    names = {case.name for case in chosen[:count]}
    return [case for case in cases if case.name in names]


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge, print a line for every case, and return 1 when a wrong answer is not a known one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=tuple(splits()))
    parser.add_argument("--sample", type=int, default=0, metavar="N")
    parser.add_argument("--jobs", type=int, default=0, metavar="N", help="cases at a time; 0: one on each processor")
    options = parser.parse_args(arguments)
    cases = load(options.split)
    for name, package in left_out().items():
        print(f"left out {name}: the package {package} is not installed", flush=True)
    if options.sample:
        cases = sample(cases, options.sample)
    passed = failed = known = 0
    for row in judged(cases, options.jobs):
        if not row.problem:
            passed += 1
            if row.known:
                print(f"right    {row.split}: {row.name}, although it is listed as a known miss", flush=True)
            else:
                print(f"right    {row.split}: {row.name}", flush=True)
        elif row.known:
            known += 1
            print(f"known    {row.split}: {row.name}: {row.problem} ({row.known})", flush=True)
        else:
            failed += 1
            print(f"WRONG    {row.split}: {row.name}: {row.problem}: {row.evidence[:400]}", flush=True)
    print(f"{passed} passed, {failed} failed, {known} known misses")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
