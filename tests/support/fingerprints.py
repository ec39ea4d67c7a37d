"""Fingerprints of models built in code, and made-up ones for tests of what many of them give."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx

from pytest_facechallenge.analyses.fingerprint.behaviour import described
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.fingerprint import FingerprintFacts, LayerSpectrum, WeightFingerprintFacts
from pytest_facechallenge.fingerprints.compare import Subject
from tests.support.gathering import gather
from tests.support.models import save

STEPS = {WeightFingerprintFacts.step, FingerprintFacts.step}


def facts_of(model: onnx.ModelProto, folder: Path) -> Facts:
    """Gather the fingerprints of a model in this process."""
    path = save(model, folder / "model.onnx")
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    return gather(path, work, STEPS)


def subject_of(model: onnx.ModelProto, folder: Path) -> Subject:
    """Return what a model is compared by."""
    facts = facts_of(model, folder)
    return Subject(facts.need(WeightFingerprintFacts), facts.need(FingerprintFacts))


def made_up(seed: int, layers: int = 6, width: int = 32) -> Subject:
    """Return fingerprints of a network that never was: random embeddings, random spectra of layers of one shape."""
    rng = np.random.Generator(np.random.PCG64(seed))
    spectra = np.sort(rng.uniform(0.2, 2, (layers, 24)))[:, ::-1]
    weights = WeightFingerprintFacts(
        layers=tuple(
            LayerSpectrum(f"layer {number}", (24, 64, 9), 24, values.astype("<f4").tobytes())
            for number, values in enumerate(spectra)
        )
    )
    return Subject(weights, described(rng.standard_normal((96, width))))
