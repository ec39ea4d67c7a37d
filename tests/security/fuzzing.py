"""Mutated models through whole runs of pytest: every rule, every step that needs no images, a hundred models a run.

``python -m tests.security.fuzzing FIRST COUNT`` judges a range of numbers. With ``--state FILE`` it notes every run
that is done, and goes on after them when it is started again; ``--minutes M`` starts no run after that time.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psutil

from pytest_facechallenge.analyses.table import STEPS
from pytest_facechallenge.commands.judge import PLUGIN, SETTINGS, environment_of
from pytest_facechallenge.core.files import remove_tree
from pytest_facechallenge.core.outcome import Status
from pytest_facechallenge.core.run_options import RunOptions
from pytest_facechallenge.engine.report import Report, SubmissionReport
from pytest_facechallenge.sandbox.process import Limits
from tests.security.forking import Forked, forked_workers
from tests.security.mutations import mutate, seeds_model, version

#: Everything that a run without images, without another interpreter and without timing does to a model. Fingerprints
#: are taken by audits alone.
STEPS_RUN = tuple(
    name
    for name, step in STEPS.items()
    if step.stage in ("static", "behaviour", "probes")
    and name not in ("flops_crosscheck", "weight_fingerprint", "fingerprint")
)
#: A step that is silent for longer is ended; a test that takes longer than a hang is a trouble.
LIMITS = Limits(idle_seconds=30.0, memory_bytes=2 << 30)
HANG_SECONDS = 60.0
OPTIONS = RunOptions(threads=1, device="cpu")
#: Models of one run of pytest.
BATCH = 100
#: Seconds after which a run of a hundred models is ended.
_RUN_SECONDS = 3_600.0
_ROOT = Path(__file__).resolve().parents[2]
#: What a check that raised says in its message.
_RAISED = "failed on these facts"


class Tally(msgspec.Struct):
    """What came of a range of numbers.

    Attributes
    ----------
    first, models
        The number of the first model, and how many there were.
    version
        Of the mutations, see `mutations.version`.
    ends
        How often each step ended in each way.
    troubles
        What must not happen, a sentence each.
    slowest
        Seconds of the slowest test.
    """

    first: int = 0
    models: int = 0
    version: str = ""
    ends: dict[str, int] = {}
    troubles: list[str] = []
    slowest: float = 0.0


@dataclasses.dataclass(frozen=True)
class _Place:
    """Where a run happens: all that it may touch lies in one folder, and most of it must be empty at the end."""

    folder: Path

    @property
    def empty(self) -> tuple[Path, ...]:
        return tuple(self.folder / name for name in ("home", "temporary", "here"))

    @property
    def entries(self) -> Path:
        return self.folder / "entries"

    def environment(self) -> dict[str, str]:
        home, temporary, _ = self.empty
        folders = {"HOME": home, "USERPROFILE": home, "TMPDIR": temporary, "TEMP": temporary, "TMP": temporary}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("FACECHALLENGE", "XDG_"))}
        found = environment_of(kept) | {name: str(path) for name, path in folders.items()}
        return found | {"PYTHONPATH": str(_ROOT)}

    def options(self, held: int) -> list[str]:
        """Return pytest's options; ``held`` is the memory in bytes that a worker has before it does anything."""
        files = {"json": self.folder / "report.json", "latency": "modelled", "device": "cpu", "threads": 1}
        limits = {"timeout": int(LIMITS.idle_seconds), "memory": (LIMITS.memory_bytes + held) >> 20}
        ours = [f"--facechallenge-{name}={value}" for name, value in (files | limits).items()]
        pytests = ["-c", str(SETTINGS), f"--rootdir={self.empty[2]}", "--noconftest", "-p", "no:cacheprovider"]
        pytests += ["-p", PLUGIN, "-q", f"--junitxml={self.folder / 'junit.xml'}"]
        return [*pytests, *ours, f"--facechallenge-model={self.entries}/*.onnx", "--track=A"]


def fuzz(folder: Path, seeds: range, *, forked: bool = os.name == "posix") -> Tally:
    """Judge mutated models in one run of pytest and return what came of it.

    Nothing may be written outside of the run's scratch folder, pytest must end as it does when rules are broken, every
    step must leave facts or a failure, every rule an outcome, no check may raise, and no test may take longer than a
    minute.

    Parameters
    ----------
    folder
        A path that does not exist. HOME, the folder for temporary files and the working folder lie in it meanwhile, so
        that what is written anywhere there is seen.
    forked
        Fork pytest and its workers from a process that has imported everything, to save the time in which they start.
    """
    place, source = _Place(folder), seeds_model()
    for each in (*place.empty, place.entries):
        each.mkdir(parents=True)
    written = {f"{seed:07d}.onnx": mutate(source, seed) for seed in seeds}
    for name, data in written.items():
        (place.entries / name).write_bytes(data)
    tally = Tally(first=seeds.start, models=len(seeds), version=version())
    code = _run_forked(place) if forked else _run_started(place)
    if code not in (0, 1) or not (folder / "report.json").exists():
        tail = (folder / "log").read_text("utf-8", "replace")[-2_000:]
        tally.troubles.append(f"the run of {seeds.start} and following: pytest ended with {code}: {tail}")
        return tally
    tally.troubles += _left(place, written)
    _weigh_report(Report.load(folder / "report.json"), set(written), tally)
    _weigh_times(folder / "junit.xml", tally)
    return tally


def _run_forked(place: _Place) -> int:
    import pytest

    # A fork has what this process has: in a worker of a long run of tests, gigabytes.
    options = place.options(psutil.Process().memory_info().rss)
    with forked_workers():
        run = Forked(lambda: int(pytest.main(options)), place.folder / "log", place.empty[2], place.environment())
        try:
            return run.wait(_RUN_SECONDS)
        finally:
            run.kill()
            run.wait()


def _run_started(place: _Place) -> int:
    with (place.folder / "log").open("wb") as log:
        return subprocess.run(
            [sys.executable, "-P", "-m", "pytest", *place.options(0)],
            cwd=place.empty[2],
            env=place.environment(),
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=_RUN_SECONDS,
        ).returncode


def _left(place: _Place, written: dict[str, bytes]) -> Iterator[str]:
    """Yield what a run wrote beside its scratch folder."""
    for each in place.empty:
        found = [str(path.relative_to(place.folder)) for path in each.rglob("*")]
        if found:
            yield f"written outside of the scratch folder: {', '.join(found[:5])}"
    entries = {path.name: path.read_bytes() for path in place.entries.iterdir() if path.is_file()}
    if entries != written:
        changed = sorted(name for name in entries.keys() | written.keys() if entries.get(name) != written.get(name))
        yield f"changed or written beside the models: {', '.join(changed[:5])}"


def _weigh_report(report: Report, names: set[str], tally: Tally) -> None:
    judged = {Path(submission.path).name for submission in report.submissions}
    if judged != names:
        tally.troubles.append(f"not in the report: {', '.join(sorted(names - judged)[:5])}")
    ends: Counter[str] = Counter()
    for submission in report.submissions:
        name = Path(submission.path).name
        facts = submission.as_facts()
        for step in STEPS_RUN:
            failure = facts.failures.get(step)
            ends[f"{step}: {failure.kind if failure else 'facts' if step in facts.gathered else 'nothing'}"] += 1
            # What only views read leaves nothing where it could not be looked at.
            if failure is None and step not in facts.gathered and step != "repair" and not STEPS[step].for_views:
                tally.troubles.append(f"{name}: the step {step!r} left nothing")
        tally.troubles += [f"{name}: {trouble}" for trouble in _wrong_rules(submission)]
        tally.troubles += [f"{name}: {warning}" for warning in submission.warnings if "changed" in warning]
    tally.ends = dict(sorted(ends.items()))


def _wrong_rules(submission: SubmissionReport) -> Iterator[str]:
    for track in submission.tracks:
        for row in track.rules:
            if _RAISED in row.message or any("could not be found out" in note for note in row.notes):
                yield f"{row.rule}: {row.message} {' '.join(row.notes)}"
            if not row.ran:
                yield f"{row.rule} did not run"
            helps = row.message and (row.remedy or row.because_of)
            if row.counts and row.status in (Status.FAILED, Status.UNDECIDED) and not helps:
                yield f"{row.rule} says nothing that helps"
        broken = [row.rule for row in track.rules if row.counts and row.status is not Status.PASSED]
        if str(track.verdict) == "COMPLIANT" and any(
            row.status in (Status.FAILED, Status.UNDECIDED) for row in track.rules if row.counts
        ):
            yield f"COMPLIANT although {', '.join(broken)}"


def _weigh_times(junit: Path, tally: Tally) -> None:
    """Note the slowest test; the file must be well-formed, whatever the models say in it."""
    for case in ET.parse(junit).getroot().iter("testcase"):
        seconds = float(case.get("time", "0"))
        tally.slowest = max(tally.slowest, seconds)
        if seconds > HANG_SECONDS:
            tally.troubles.append(f"{case.get('classname')} {case.get('name')}: {seconds:.0f} seconds")


class State:
    """The runs that are done, a line of JSON each in a file; without a path nothing is kept.

    A line of another version of the mutations counts for nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.done: dict[tuple[int, int], Tally] = {}
        if path is not None and path.exists():
            tallies = [msgspec.json.decode(line, type=Tally) for line in path.read_bytes().splitlines()]
            here = version()
            self.done = {(each.first, each.models): each for each in tallies if each.version == here}

    def judge(self, seeds: range) -> Tally:
        """Return what came of a run, of now or of before."""
        key = (seeds.start, len(seeds))
        if key not in self.done:
            folder = Path(tempfile.mkdtemp(prefix="fuzzing-"))
            try:
                self.done[key] = tally = fuzz(folder / "run", seeds)
            finally:
                remove_tree(folder)
            if self.path is not None:
                with self.path.open("ab") as file:
                    file.write(msgspec.json.encode(tally) + b"\n")
        return self.done[key]


def batches(first: int, count: int) -> Iterator[range]:
    """Yield the numbers of each run."""
    for start in range(first, first + count, BATCH):
        yield range(start, min(start + BATCH, first + count))


def main(say: Callable[[str], None] = lambda line: print(line, flush=True)) -> int:
    """Run a range of numbers, say what came of it, and return 1 when something did that must not."""
    parser = argparse.ArgumentParser(prog="python -m tests.security.fuzzing", description=__doc__)
    parser.add_argument("first", type=int, help="number of the first model")
    parser.add_argument("count", type=int, help="how many models")
    parser.add_argument("--state", type=Path, metavar="FILE", help="note here what is done, and go on after it")
    parser.add_argument("--minutes", type=float, default=float("inf"), metavar="M", help="start no run after M minutes")
    given = parser.parse_args()
    state, until = State(given.state), time.monotonic() + 60 * given.minutes
    ends: Counter[str] = Counter()
    models, slowest, troubles = 0, 0.0, []
    for seeds in batches(given.first, given.count):
        if time.monotonic() > until and (seeds.start, len(seeds)) not in state.done:
            continue
        started = time.monotonic()
        tally = state.judge(seeds)
        ends.update(tally.ends)
        models, slowest = models + tally.models, max(slowest, tally.slowest)
        troubles += tally.troubles
        say(f"{seeds.start} to {seeds.stop - 1}: {len(tally.troubles)} troubles, {time.monotonic() - started:.0f} s")
    for end, number in sorted(ends.items()):
        say(f"{number:7,} {end}")
    for trouble in troubles:
        say(trouble)
    say(f"{models:,} of {given.count:,} models, the slowest test {slowest:.1f} s, {len(troubles):,} troubles")
    return 1 if troubles else 0


if __name__ == "__main__":
    sys.exit(main())
