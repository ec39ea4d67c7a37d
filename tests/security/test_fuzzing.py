"""Mutated models end in findings: nothing dies, hangs, or is written outside of the scratch folder."""

from __future__ import annotations

import random
from pathlib import Path

import onnx
import pytest

from tests.security import fuzzing


def test_a_number_gives_one_model_again_and_again() -> None:
    source = fuzzing.seeds_model()
    found = [fuzzing.mutate(source, seed) for seed in range(200)]
    assert found == [fuzzing.mutate(source, seed) for seed in range(200)]
    assert source not in found
    assert len(set(found)) > 180


@pytest.mark.parametrize("mutation", fuzzing.MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_every_kind_of_mutation_changes_models(mutation: fuzzing.Mutation) -> None:
    source = fuzzing.seeds_model()
    found = [mutation(random.Random(seed), source) for seed in range(20)]
    assert sum(each != source for each in found) >= 12


def test_many_mutated_models_still_parse() -> None:
    source = fuzzing.seeds_model()
    parsed = 0
    for seed in range(300):
        try:
            onnx.ModelProto.FromString(fuzzing.mutate(source, seed))
        except Exception:
            continue
        parsed += 1
    assert parsed > 150, "those that do not parse reach nothing behind the parser"


def test_some_mutated_models(tmp_path: Path) -> None:
    tally = fuzzing.fuzz(tmp_path / "fuzzing", range(8), together=True)
    assert tally.troubles == []
    assert tally.models == 8
    assert tally.ends["implicit_batch: facts"]


@pytest.mark.slow
def test_three_hundred_mutated_models(tmp_path: Path) -> None:
    tally = fuzzing.fuzz(tmp_path / "fuzzing", range(1_000, 1_300))
    assert tally.troubles == []
    assert tally.models == 300
