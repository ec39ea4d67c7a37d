"""Makes the screens in docs/screens: what six runs of pytest show on a terminal of 80 columns.

    python -m docs.make_screens          # from the root of the repository; no network, no GPU

A tiny submission is judged once; the other submissions are its facts with a few of them changed, judged again by
``--facechallenge-facts``. What differs from machine to machine is replaced (`normalised`), so that tests can compare.
"""

from __future__ import annotations

import copy
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from pytest_facechallenge import judge
from pytest_facechallenge.core.facts.base import FailureKind, StepFailure
from pytest_facechallenge.core.facts.latency import Machine, Series, ServerLatencyFacts
from pytest_facechallenge.core.facts.weights import StoredTensor
from pytest_facechallenge.engine.report import Report, SubmissionReport, digest_of
from tests.support.models import network, save

FOLDER = Path(__file__).parent / "screens"
ROOT = Path(__file__).parents[1]
COLUMNS = 80
#: Of the file that a scene's facts are in.
FACTS = "report.json"
#: Variables that change what pytest prints, or what is judged.
CHANGING = re.compile(r"(PYTEST|FACECHALLENGE|GITHUB)_.*|CI|BUILD_NUMBER|NO_COLOR|FORCE_COLOR|PY_COLORS|COLUMNS")
#: Options that change nothing on the screen: hypothesis's plugin loads all of hypothesis at the end of a run.
_QUICKLY = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "--assert=plain")

_Plain = dict[str, Any]


@dataclass(frozen=True)
class Scene:
    """One screen.

    Attributes
    ----------
    name
        Of its file.
    arguments
        Of pytest.
    submissions
        From the judged submission to those of the scene; None where there is nothing to judge.
    """

    name: str
    arguments: tuple[str, ...]
    submissions: Callable[[SubmissionReport], list[SubmissionReport]] | None


def changed(base: SubmissionReport, *changes: Callable[[_Plain], None], name: str = "model.onnx") -> SubmissionReport:
    """Return the submission with other facts; steps that a change puts a `StepFailure` for have no facts."""
    facts: _Plain = copy.deepcopy(base.facts)
    for change in changes:
        change(facts)
    failures = {step: fact for step, fact in facts.items() if isinstance(fact, StepFailure)}
    plain = {step: fact for step, fact in facts.items() if step not in failures}
    return msgspec.structs.replace(
        base, facts=plain, failures=failures, digest=digest_of(plain, failures), path=f"/entries/{name}", name=name
    )


def declared(facts: _Plain) -> None:
    """State everything that the rules ask for, and time it on the evaluation server."""
    facts["declaration"] |= {
        "path": "/entries/declaration.toml",
        "statements": {
            "training.dataset": "MS1M-V3",
            "training.external_data": "false",
            "training.pretrained_models": "false",
            "mask_augmentation.used": "true",
            "mask_augmentation.tool": "drawn masks",
            "mask_augmentation.reproduce": "python augment.py",
            "solution.description": "README.md",
            "solution.code": "train.py",
            "organization.name": "Example Ltd",
            "submission.time": "2021-09-20T18:00:00-07:00",
            "submission.number_that_day": "1",
        },
    }
    timed(facts, 7.9)


def timed(facts: _Plain, milliseconds: float) -> None:
    """Say that one image takes so long on the evaluation server."""
    server = Machine(
        processor="Xeon", cores=8, memory_gib=64, gpu="Tesla V100-SXM2-16GB", driver="440.33.01",
        runtime="onnxruntime-gpu 1.6.0", cuda="10.2", cudnn="8.0.5", provider="CUDAExecutionProvider",
    )  # fmt: skip
    samples = (milliseconds,) * 50
    series = Series(name="submission", samples=samples, first=30.0, warmup=90.0, warmup_runs=5, load=50.0)
    found = ServerLatencyFacts(asked=True, python="3.8.18", machine=server, submission=series, row_difference=0.0)
    facts["server_latency"] = msgspec.to_builtins(found)


def wide(facts: _Plain) -> None:
    """Make the embedding 640 values long."""
    facts["interface"]["outputs"][0]["shape"] = ["N", 640]
    for run in facts["batch"]["runs"]:
        run["shapes"] = [[run["size"], 640]]


def narrow(facts: _Plain) -> None:
    """Store three tensors as float16."""
    tensors = [
        StoredTensor(
            where=f"initializer 'w{number}'", dtype="float16", bits=16, elements=9 * 64, bytes=2 * 9 * 64,
            used_by=f"conv{number}",
        )
        for number in range(3)
    ]  # fmt: skip
    facts["weights"] |= {
        "narrow_floats": msgspec.to_builtins(tensors),
        "narrow_float_tensors": 3,
        "narrow_float_bytes": 3 * 2 * 9 * 64,
    }


def killed(facts: _Plain) -> None:
    """Let the sandboxed process die while it runs batches; what needs it is blocked."""
    said = (
        "the process was ended by SIGKILL, twice, and not by a limit of this run; it was running a batch of 32 images; "
        "the system may be short of memory: end other programs, or run on another machine, and judge it again"
    )
    facts["batch"] = StepFailure(step="batch", kind=FailureKind.KILLED, message=said)
    for step in ("images", "repeat", "implicit_batch"):
        facts[step] = StepFailure(step=step, kind=FailureKind.BLOCKED, message=said, because_of="batch")


def _good(base: SubmissionReport) -> list[SubmissionReport]:
    return [changed(base, declared)]


def _two_broken(base: SubmissionReport) -> list[SubmissionReport]:
    return [changed(base, declared, wide, narrow)]


def _incomplete(base: SubmissionReport) -> list[SubmissionReport]:
    return [changed(base)]


def _killed_worker(base: SubmissionReport) -> list[SubmissionReport]:
    return [changed(base, declared, killed)]


def _thirty(base: SubmissionReport) -> list[SubmissionReport]:
    """Return thirty entries: most are good, every seventh is too wide, every tenth slow, every eighth undeclared."""

    def change(number: int) -> Callable[[_Plain], None]:
        def of_one(facts: _Plain) -> None:
            if number % 8:
                declared(facts)
            timed(facts, 10.4 if number % 10 == 0 else 5.0 + number / 10)
            if number % 7 == 0:
                wide(facts)
            if number % 21 == 0:
                narrow(facts)

        return of_one

    return [changed(base, change(number), name=f"team{number:02}/model.onnx") for number in range(1, 31)]


REPLAY = (f"--facechallenge-facts={FACTS}", "--track=A")
SCENES = (
    Scene("good", REPLAY, _good),
    Scene("two-broken-rules", REPLAY, _two_broken),
    Scene("incomplete", (*REPLAY, "--facechallenge-strict"), _incomplete),
    Scene("thirty-submissions", REPLAY, _thirty),
    Scene("killed-worker", REPLAY, _killed_worker),
    Scene("wrong-invocation", ("--facechallenge-model=model.onx", "--track=A"), None),
)


def judged_once() -> Report:
    """Judge the tiny submission in the sandbox."""
    with tempfile.TemporaryDirectory() as folder:
        save(network(), Path(folder) / "model.onnx")
        return judge(Path(folder) / "model.onnx", "A", latency="modelled", device="cpu")


def write_facts(scene: Scene, base: Report, path: Path) -> None:
    """Write the report that a scene's run judges."""
    if scene.submissions is not None:
        submissions = tuple(scene.submissions(base.submissions[0]))
        msgspec.structs.replace(base, submissions=submissions).save(path)


def screen(scene: Scene, base: Report, folder: Path, *, columns: int = COLUMNS, more: tuple[str, ...] = ()) -> str:
    """Run pytest in ``folder`` and return what it shows, as it is."""
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    write_facts(scene, base, folder / FACTS)
    kept = {name: value for name, value in os.environ.items() if not CHANGING.fullmatch(name)}
    environment = kept | {"COLUMNS": str(columns), "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    command = [sys.executable, "-m", "pytest", *_QUICKLY, *scene.arguments, *more]
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        encoding="utf-8", check=False,
    )  # fmt: skip
    shown = " ".join(("pytest", *scene.arguments, *more))
    return f"$ {shown}\n{done.stdout}$ echo $?\n{done.returncode}\n"


def normalised(text: str, folder: Path) -> str:
    """Return a screen without what differs from machine to machine: versions, folders, times of the run."""
    text = text.replace(str(folder.resolve()), "/home/ada/entry").replace(str(folder), "/home/ada/entry")
    text = re.sub(r"platform \S+ -- Python \S+, pytest-\S+, pluggy-\S+", "platform linux -- Python 3, pytest-9", text)
    text = re.sub(r"onnxruntime(-gpu)? (?!1\.6\.0)\d\S*", "onnxruntime 1", text)
    text = re.sub(r"plugins: .*(\n\S+-\d.*)*", "plugins: benchmark, facechallenge", text)
    return re.sub(r"=+ (.*) in [\d.]+s( \([\d:]+\))? =+", lambda found: f" {found[1]} in 1.00s ".center(80, "="), text)


def made(scene: Scene, base: Report) -> str:
    """Return the text of a scene's file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        return normalised(screen(scene, base, folder), folder)


def main() -> None:
    """Write every screen."""
    FOLDER.mkdir(exist_ok=True)
    base = judged_once()
    for scene in SCENES:
        (FOLDER / f"{scene.name}.txt").write_text(made(scene, base), encoding="utf-8")


if __name__ == "__main__":
    main()
