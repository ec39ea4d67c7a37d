"""Run every attack that SECURITY.md speaks of, and print for each whether the promise held.

``python -m evaluation.attacks`` takes some minutes; ``--models 10000`` adds as many mutated models, a hundred a run and
a row, and ``--state FILE`` goes on where it was stopped. A mutated model is built again by its number:
``python -m tests.security.fuzzing NUMBER 1``. Ends with 1 when an attack was not held off.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from pytest_facechallenge.analyses.table import with_needs
from pytest_facechallenge.commands.judge import environment_of
from pytest_facechallenge.core.files import remove_tree
from pytest_facechallenge.core.outcome import Status
from pytest_facechallenge.engine.extensions import load_checks
from pytest_facechallenge.engine.judge import judge_rule
from pytest_facechallenge.engine.report import Report
from pytest_facechallenge.sandbox.fact_store import FactStore
from tests.security import contents, fuzzing, hostile
from tests.support.gathering import rule

HELD = "held"
_ROOT = Path(__file__).resolve().parents[1]
_SECONDS = 900

#: What an attack does in an empty folder; it returns what went wrong, "" where the promise held.
Attack = Callable[[Path], str]


def judged_alone(attack: hostile.Hostile) -> Attack:
    def run(folder: Path) -> str:
        (folder / "built").mkdir()
        path = attack.build(folder / "built")
        wanted = rule(attack.fails or "package")
        steps = with_needs({"package", *load_checks()[wanted.check].steps})
        found = frozenset([path] if attack.found else [])
        facts = FactStore(folder / "run", fuzzing.OPTIONS, fuzzing.LIMITS, found).facts(path, steps)
        status = judge_rule(facts, wanted).status
        failed = status is Status.FAILED
        return "" if failed == bool(attack.fails) else f"{wanted.id} is {status}"

    return run


def _steering_folder(folder: Path) -> Path:
    """Fill a folder with a model and files that leave evidence when they are run or obeyed."""
    entry = folder / "entry"
    entry.mkdir()
    (entry / "model.onnx").write_bytes(contents.bad_model())
    crime = f"open({str(folder / 'evidence')!r}, 'a').write(__file__)\n"
    for name in ("conftest", "__init__", "steering", "sitecustomize", "numpy", "test_it", "pytest"):
        (entry / f"{name}.py").write_text(crime)
    (entry / "test.txt").write_text(f">>> _ = {crime}")
    (entry / "pytest.ini").write_text("[pytest]\naddopts = -p steering --doctest-modules\n")
    return entry


def _run(here: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = environment_of({**os.environ, "FACECHALLENGE_LATENCY": "modelled"})
    environment["PYTHONPATH"] = str(_ROOT)
    if command[0] == "pytest":
        del environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"]
    line = [sys.executable, "-P", "-m", *command]
    return subprocess.run(
        line, cwd=here, env=environment, capture_output=True, text=True, errors="replace", check=False, timeout=_SECONDS
    )


def launcher_in_the_submissions_folder(folder: Path) -> str:
    entry = _steering_folder(folder)
    report = folder / "report.json"
    done = _run(
        entry, "pytest_facechallenge", "judge", "model.onnx", "--track", "A", f"--json={report}", "--", "-k", "package"
    )
    if (folder / "evidence").exists():
        return f"it ran {(folder / 'evidence').read_text()}"
    return "" if done.returncode == 0 and report.exists() else f"exit code {done.returncode}: {done.stderr[-200:]}"


def launcher_beside_the_submission(folder: Path) -> str:
    _steering_folder(folder)
    done = _run(folder, "pytest_facechallenge", "judge", "entry", "--track", "A", "--", "-k", "package")
    if (folder / "evidence").exists():
        return f"it ran {(folder / 'evidence').read_text()}"
    return "" if done.returncode == 1 else f"exit code {done.returncode}: {done.stderr[-200:]}"


def pytest_in_the_submissions_folder(folder: Path) -> str:
    entry = _steering_folder(folder)
    (entry / "pytest.ini").unlink()
    done = _run(entry, "pytest", "--facechallenge-model=model.onnx", "--track=A", "-k", "package")
    if (folder / "evidence").exists():
        return f"it ran {(folder / 'evidence').read_text()}"
    return "" if done.returncode == 4 and "would steer this run" in done.stderr else f"exit code {done.returncode}"


def pytest_steered_by_an_ini_file(folder: Path) -> str:
    entry = _steering_folder(folder)
    (entry / "pytest.ini").write_text("[pytest]\naddopts = -c own.ini --facechallenge-own-folder -k nothing\n")
    (folder / "start").mkdir()
    done = _run(folder / "start", "pytest", "--facechallenge-model", "../entry", "--track", "A")
    return "" if done.returncode == 4 and "would steer this run" in done.stderr else f"exit code {done.returncode}"


def judge_folder(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Judge the entries of a folder into its report."""
    ours = ("judge", "entries", "--track=A", "--json=report.json", "-q", *more)
    return _run(folder, "pytest_facechallenge", *ours, "--", "-k", QUICK)


def everything_at_once(folder: Path) -> str:
    """Judge a folder that holds every hostile input and three honest models."""
    entries = gather_entries(folder / "entries")
    report, done = folder / "report.json", judge_folder(folder)
    if not report.exists():
        return f"exit code {done.returncode}, no report: {done.stdout[-200:]} {done.stderr[-200:]}"
    return "; ".join(wrong_verdicts(Report.load(report), entries))


#: The rules that are judged in a folder of everything.
QUICK = "package or onnx-valid or no-float16"


def gather_entries(folder: Path) -> dict[str, hostile.Hostile]:
    """Fill a folder with one entry for each attack and with three honest models; return the attacks by entry."""
    folder.mkdir()
    for path in hostile.honest(folder.parent / "honest"):
        (folder / path.stem).mkdir()
        path.rename(folder / path.stem / "model.onnx")
    found = {}
    for attack in hostile.usable_here():
        place = folder.parent / "building" / attack.name
        place.mkdir(parents=True)
        handed_in = attack.build(place)
        (handed_in if handed_in.is_dir() else place).rename(folder / attack.name)
        found[attack.name] = attack
    return found


def wrong_verdicts(report: Report, attacks: dict[str, hostile.Hostile]) -> Iterator[str]:
    """Yield what is wrong in the report of such a folder."""
    honest = 0
    for submission in report.submissions:
        rows = {row.rule: row for row in submission.tracks[0].rules}
        name = Path(submission.path).name
        if name.startswith("honest-"):
            honest += 1
            bad = [row.rule for row in rows.values() if row.ran and row.status is Status.FAILED]
            bad += [rule_id for rule_id in ("package", "onnx-valid", "no-float16") if not rows[rule_id].ran]
            if bad:
                yield f"{name}: {', '.join(bad)}"
        elif name in attacks and attacks[name].fails and rows[attacks[name].fails].status is Status.PASSED:
            yield f"{name}: {attacks[name].fails} passed"
    if honest != 3:
        yield f"{honest} honest models in the report, expected 3"
    judged = {Path(submission.path).name for submission in report.submissions}
    missing = [name for name, attack in attacks.items() if name not in judged and not attack.aside]
    if missing:
        yield f"not in the report: {', '.join(missing)}"


def mutated(seeds: range, state: fuzzing.State) -> Attack:
    return lambda _folder: "; ".join(state.judge(seeds).troubles[:3])


def attacks(models: int, seed: int, state: fuzzing.State) -> Iterator[tuple[str, Attack]]:
    """Yield every attack with its name."""
    for each in hostile.usable_here():
        yield each.name, judged_alone(each)
    yield "launcher, started in the submission's folder", launcher_in_the_submissions_folder
    yield "launcher, started beside the submission", launcher_beside_the_submission
    yield "pytest, started in the submission's folder", pytest_in_the_submissions_folder
    yield "pytest, an ini file with the submission", pytest_steered_by_an_ini_file
    yield "every hostile input beside three honest models", everything_at_once
    for seeds in fuzzing.batches(seed, models):
        yield f"mutated models {seeds.start} to {seeds.stop - 1}", mutated(seeds, state)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m evaluation.attacks", description=__doc__)
    parser.add_argument("--models", type=int, default=0, metavar="N", help="how many mutated models (default: none)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="number of the first (default: 0)")
    parser.add_argument("--state", type=Path, metavar="FILE", help="note here which of them are done, and go on after")
    parser.add_argument("--only", default="", metavar="TEXT", help="run the attacks with TEXT in their name alone")
    given = parser.parse_args()
    failed = 0
    for name, attack in attacks(given.models, given.seed, fuzzing.State(given.state)):
        if given.only not in name:
            continue
        folder = Path(tempfile.mkdtemp(prefix="facechallenge-attack-"))
        try:
            trouble = attack(folder)
        except Exception as error:  # of the tool, which must not raise whatever it is given
            trouble = f"{type(error).__name__}: {error}"
        finally:
            remove_tree(folder)
        failed += bool(trouble)
        print(f"{name} | {trouble or HELD}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
