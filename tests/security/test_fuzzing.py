"""Mutated models end in findings: nothing dies, hangs, or is written outside of the scratch folder."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.declaration import gather as declaration
from pytest_facechallenge.core.facts.declaration import DeclarationFacts
from tests.security import fuzzing, mutations

forks = pytest.mark.skipif(os.name != "posix", reason="processes are forked")


def test_a_number_gives_one_model_again_and_again() -> None:
    source = mutations.seeds_model()
    found = [mutations.mutate(source, seed) for seed in range(200)]
    assert found == [mutations.mutate(source, seed) for seed in range(200)]
    assert source not in found
    assert len(set(found)) > 180


@pytest.mark.parametrize("mutation", mutations.MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_every_kind_of_mutation_changes_models(mutation: mutations.Mutation) -> None:
    source = mutations.seeds_model()
    found = [mutation(random.Random(seed), source) for seed in range(20)]
    assert sum(each != source for each in found) >= 12


def test_many_mutated_models_still_parse() -> None:
    source = mutations.seeds_model()
    parsed = 0
    for seed in range(300):
        try:
            onnx.ModelProto.FromString(mutations.mutate(source, seed))
        except Exception:
            continue
        parsed += 1
    assert parsed > 150, "those that do not parse reach nothing behind the parser"


@forks
def test_some_mutated_models(tmp_path: Path) -> None:
    tally = fuzzing.fuzz(tmp_path / "fuzzing", range(6))
    assert tally.troubles == []
    assert tally.models == 6
    assert tally.ends.get("implicit_batch: facts"), tally.ends


@forks
def test_memory_that_was_held_before_a_fork_is_not_a_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker of a long run of tests holds more than the limit of a model."""
    monkeypatch.setattr(fuzzing, "LIMITS", msgspec.structs.replace(fuzzing.LIMITS, memory_bytes=256 << 20))
    held = np.ones(64 << 20)
    tally = fuzzing.fuzz(tmp_path / "fuzzing", range(6))
    assert held.nbytes > fuzzing.LIMITS.memory_bytes
    assert "implicit_batch: facts" in tally.ends, tally.ends
    assert "implicit_batch: memory" not in tally.ends


@pytest.mark.slow
def test_three_hundred_mutated_models(tmp_path: Path) -> None:
    """Without a fork: every process starts as in a run of a user."""
    for seeds in fuzzing.batches(1_000, 300):
        tally = fuzzing.fuzz(tmp_path / str(seeds.start), seeds, forked=False)
        assert tally.troubles == []
        assert tally.models == fuzzing.BATCH


def _touch(*where: str) -> Callable[[Path, Context], None]:
    return lambda folder, _context: folder.joinpath(*where).touch()


HARM: dict[str, tuple[Callable[[Path, Context], object], str]] = {
    "home": (_touch("home", "x"), "written outside of the scratch folder: home/x"),
    "temporary": (_touch("temporary", "x"), "written outside of the scratch folder: temporary/x"),
    "here": (_touch("here", "x"), "written outside of the scratch folder: here/x"),
    "removed": (lambda _, context: context.source.unlink(), "changed or written beside the models: 0000000.onnx"),
    "written": (lambda _, context: context.source.write_bytes(b""), "was changed while it was judged"),
    "killed": (lambda _folder, _context: os.kill(os.getppid(), signal.SIGKILL), "pytest ended with -9"),
    "slow": (lambda _folder, _context: time.sleep(0.3), "seconds"),
}


@forks
@pytest.mark.parametrize(
    "harm", [pytest.param(harm, marks=() if number < 2 else (pytest.mark.slow,)) for number, harm in enumerate(HARM)]
)
def test_what_must_not_happen_is_seen(tmp_path: Path, harm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    do, said = HARM[harm]
    plain = declaration.gather

    def gather(context: Context) -> DeclarationFacts:
        do(tmp_path / "fuzzing", context)
        return plain(context)

    monkeypatch.setattr(declaration, "gather", gather)
    monkeypatch.setattr(fuzzing, "HANG_SECONDS", 0.2 if harm == "slow" else 60.0)
    assert said in " ".join(fuzzing.fuzz(tmp_path / "fuzzing", range(1)).troubles)


def test_a_run_that_is_done_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[range] = []

    def fuzz(_folder: Path, seeds: range) -> fuzzing.Tally:
        runs.append(seeds)
        return fuzzing.Tally(seeds.start, len(seeds), mutations.version(), {"load: facts": 3}, ["a trouble"], 1.5)

    monkeypatch.setattr(fuzzing, "fuzz", fuzz)
    path = tmp_path / "state"
    first, second = fuzzing.batches(0, 150)
    once = fuzzing.State(path).judge(first)
    again = fuzzing.State(path)
    assert (again.judge(first), again.judge(second).models, runs) == (once, 50, [first, second])
    monkeypatch.setattr(fuzzing, "version", lambda: "other mutations")
    fuzzing.State(path).judge(first)
    assert runs == [first, second, first]
