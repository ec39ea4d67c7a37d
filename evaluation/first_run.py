"""Judge every network of a set as a submission, once, and keep what was said.

python -m evaluation.first_run --split blind-5 --file evaluation/first_runs/blind-5-before.json

``--split`` is any set of splits.toml. Networks that the file has already are left as they are, so that a run that was
stopped goes on: blind-4-before.json has every evading network and 102 of the honest ones, drawn by chance, as the
detector of 7d9f5f1 answered; the rest is judged by running the command in a checkout of that detector. An evading
network that the detector, or the check of stored weights, caught has the rules of that check alone.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from evaluation.case import Case
from evaluation.cases import get, load, splits
from evaluation.product import Answer, judge_case


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What was said of one network.

    Attributes
    ----------
    name, expected, rules
        Those of the case.
    said
        ``caught`` (by one of ``rules``), ``another rule``, ``undecided`` or ``passed``; of an honest network
        ``passed``, ``undecided`` or ``refused``; ``error`` where the product raised.
    failed, undecided
        The rules that failed, and those that are undecided of themselves.
    message
        What the first of them said, shortened.
    """

    name: str
    expected: str
    rules: tuple[str, ...]
    said: str
    failed: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()
    message: str = ""


def word(case: Case, answer: Answer) -> str:
    """Return ``said`` for an answer."""
    if case.honest:
        return "refused" if answer.failed else "undecided" if answer.undecided else "passed"
    if answer.failed & set(case.rules):
        return "caught"
    return "another rule" if answer.failed else "undecided" if answer.undecided else "passed"


def verdict_on(case: Case) -> Verdict:
    """Judge one case; a crash of the product is a result to report."""
    rules = () if case.honest else case.rules
    try:
        answer = judge_case(case)
    except Exception as error:  # whatever its type
        reason = f"{type(error).__name__}: {error}"[:300]
        return Verdict(name=case.name, expected=case.expected, rules=rules, said="error", message=reason)
    return verdict_of(case, answer)


def verdict_of(case: Case, answer: Answer) -> Verdict:
    """Return what was said of a case."""
    rules = () if case.honest else case.rules
    failed = tuple(sorted(answer.failed))
    own = tuple(sorted(rule for rule in answer.undecided if not answer.outcomes[rule].because_of))
    shown = [*(rule for rule in failed if rule in rules), *failed, *own][:1]
    message = "".join(f"{rule}: {answer.message(rule)}" for rule in shown)[:300]
    return Verdict(
        name=case.name, expected=case.expected, rules=rules, said=word(case, answer), failed=failed, undecided=own,
        message=message,
    )  # fmt: skip


def _by_name(name: str) -> Verdict:
    return verdict_on(get(name))


def judged(names: Sequence[str], jobs: int) -> Iterator[Verdict]:
    """Judge cases, several at a time, in their order."""
    if jobs == 1:
        yield from map(_by_name, names)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(_by_name, names, chunksize=1)


def read(file: Path) -> list[Verdict]:
    """Read a file of verdicts; none where there is no file."""
    return msgspec.json.decode(file.read_bytes(), type=list[Verdict]) if file.exists() else []


def write(file: Path, verdicts: Iterable[Verdict]) -> None:
    """Write a file of verdicts, one on each line."""
    rows = ",\n".join(msgspec.json.encode(each).decode() for each in verdicts)
    file.write_text(f"[\n{rows}\n]\n", encoding="utf-8")


def counted(verdicts: Iterable[Verdict]) -> list[str]:
    """Return a line for the evading and one for the honest networks."""
    kept = list(verdicts)
    groups = {True: Counter[str](), False: Counter[str]()}
    for each in kept:
        groups[each.expected == "passed"][each.said] += 1
    return [
        f"{'honest' if honest else 'evading'}: {', '.join(f'{n} {said}' for said, n in counts.most_common())}"
        for honest, counts in groups.items()
        if counts
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge what the file lacks, write it after each network, and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=tuple(splits()), required=True)
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="networks at a time")
    options = parser.parse_args(arguments)
    verdicts = {each.name: each for each in read(options.file)}
    names = [case.name for case in load(options.split)]
    for each in judged([name for name in names if name not in verdicts], options.jobs):
        verdicts[each.name] = each
        write(options.file, verdicts.values())
    ordered = [verdicts[name] for name in names]
    write(options.file, ordered)
    for line in counted(ordered):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
