"""``facechallenge fingerprint MODEL …``: how alike models are to each other and to published networks."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_facechallenge.commands import console
from pytest_facechallenge.commands.option_arguments import add_option
from pytest_facechallenge.engine.options import OPTIONS

if TYPE_CHECKING:
    from pytest_facechallenge.core.facts.base import Facts
    from pytest_facechallenge.fingerprints.compare import Subject
    from pytest_facechallenge.fingerprints.known import KnownNetwork

_OPTIONS = ("device", "threads", "timeout", "memory")
#: Any track: nothing is judged.
_TRACK = "mfr21/A"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("model", nargs="+", metavar="MODEL", help="a .onnx file, a zip or a folder of submissions")
    parser.add_argument(
        "--known", metavar="FILE", help="compare with the networks of this file (default: those of the package)"
    )
    parser.add_argument("--raw", action="store_true", help="the models take pixels from 0 to 255, not from -1 to 1")
    entry = parser.add_argument_group("an entry of a file of known networks")
    entry.add_argument("--name", metavar="NAME", help="print the fingerprint of the one MODEL as an entry of this name")
    entry.add_argument("--about", metavar="TEXT", default="", help="what it is and what it was trained on")
    entry.add_argument("--source", metavar="TEXT", default="", help="where the file was had")
    entry.add_argument("--add", metavar="FILE", help="add the entry to this file instead of printing it")
    for option in OPTIONS:
        if option.name in _OPTIONS:
            add_option(parser, option)


def run(arguments: argparse.Namespace) -> int:
    """Print an entry, or what is alike to what; 0 whatever is found, 1 where a model gives no fingerprint.

    Raises
    ------
    ValueError, OSError
        Something named cannot be used.
    """
    from pytest_facechallenge.fingerprints.known import builtin_networks, read

    if arguments.add and not arguments.name:
        raise ValueError("--add needs the name of the network: --name NAME")
    known = read(Path(arguments.known)) if arguments.known else builtin_networks()
    options = {
        option.keyword: value
        for option in OPTIONS
        if option.name in _OPTIONS and (value := getattr(arguments, option.ini)) not in (None, False)
    }
    with _to_be_run(arguments.model, raw=arguments.raw) as models:
        found = _gathered(models, options)
    if arguments.name:
        if len(found) != 1:
            raise ValueError(f"an entry is made of one model, {len(found)} are named")
        (facts,) = found.values()
        return _entry(facts, arguments)
    return _compared(found, known)


@contextmanager
def _to_be_run(models: list[str], *, raw: bool) -> Iterator[list[str]]:
    """Give the models to run: those named, or copies that take the same feed as every submission."""
    if not raw:
        yield models
        return
    from pytest_facechallenge.analyses.fingerprint.raw_feed import raw_copy

    with tempfile.TemporaryDirectory(prefix="facechallenge-raw-") as folder:
        try:
            yield [str(raw_copy(Path(each), Path(folder) / Path(each).name)) for each in models]
        except OSError as error:
            raise ValueError(f"{error.filename} cannot be used: {error.strerror}") from error


def _gathered(models: list[str], options: dict[str, object]) -> dict[str, Facts]:
    from pytest_facechallenge.auditing.duplicates import STEPS
    from pytest_facechallenge.engine.gatherer import Gatherer
    from pytest_facechallenge.engine.options import values_from
    from pytest_facechallenge.engine.plan import make_plan

    plan = make_plan(values_from({"model": models, "track": [_TRACK], **options}))
    gatherer = Gatherer(plan)
    found = {}
    try:
        for path in plan.sources:
            found[plan.names[path, 0]] = gatherer.store.facts(path, STEPS)
            gatherer.store.release(path)
    finally:
        gatherer.close()
    return found


def _entry(facts: Facts, arguments: argparse.Namespace) -> int:
    from pytest_facechallenge.auditing.duplicates import subject_of, why_not
    from pytest_facechallenge.fingerprints.editing import add
    from pytest_facechallenge.fingerprints.known import KnownNetwork, entry

    subject = subject_of(facts)
    trouble = why_not(subject, facts)
    if trouble:
        raise ValueError(f"there is no fingerprint to keep: {trouble}")
    sha256 = next((said[0] for fact in facts.gathered.values() if (said := fact.handed_in()) is not None), "")
    network = KnownNetwork(arguments.name, arguments.about, arguments.source, sha256, subject)
    if arguments.add:
        add(Path(arguments.add), network)
        console.write(f"{arguments.name} was added to {arguments.add}\n")
    else:
        console.write(entry(network))
    return 0


def _compared(found: dict[str, Facts], known: tuple[KnownNetwork, ...]) -> int:
    from pytest_facechallenge.auditing.duplicates import subject_of, why_not
    from pytest_facechallenge.fingerprints.compare import related
    from pytest_facechallenge.fingerprints.known import matches
    from pytest_facechallenge.fingerprints.relation import how

    names = list(found)
    subjects: list[Subject] = [subject_of(facts) for facts in found.values()]
    lines = []
    troubles = [
        f"{name}: no fingerprint of behaviour: {why}"
        for name, subject, facts in zip(names, subjects, found.values(), strict=True)
        if (why := why_not(subject, facts))
    ]
    for pair in related(subjects):
        words = how(pair.likeness, pair.same_layers, pair.layers)
        lines.append(f"{names[pair.one]} and {names[pair.other]}: {pair.relation}: {words}")
    for name, subject in zip(names, subjects, strict=True):
        lines += [
            f"{name} and the published {match.network.name}: {match.pair.relation}: {match.how}"
            for match in matches(subject, known)
        ]
    told = [*troubles, *lines] or [f"nothing alike among {len(names)} model(s) and {len(known)} published network(s)"]
    console.write("\n".join(told) + "\n")
    return 1 if troubles else 0
