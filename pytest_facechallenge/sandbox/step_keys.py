"""Under which keys facts are kept: everything that they depend on, hashed."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from pytest_facechallenge.analyses.table import ANALYSES, ANALYSIS_OF, STEPS
from pytest_facechallenge.core.analysis import Stage
from pytest_facechallenge.core.run_options import AnalysisOptions, RunOptions
from pytest_facechallenge.sandbox.code_version import code_digest

#: Packages of others that what is observed can depend on.
_PACKAGES = ("numpy", "onnx", "onnxruntime", "onnxruntime-gpu", "scipy", "Pillow", "opencv-python-headless", "fvcore")


def identity_of(source: Path, beside: tuple[str, ...]) -> str:
    """Return what tells a submission from every other, "" where it cannot be read."""
    return "".join(analysis.identity(source, beside) for analysis in ANALYSES if analysis.identify)


def step_keys(
    source: Path,
    identity: str,
    options: RunOptions,
    typed: Mapping[str, AnalysisOptions | None],
    *,
    found: bool = False,
) -> dict[str, str]:
    """Return the key of every step's facts about a submission.

    Two runs give a step the same key only where the submission, the options that the step reads, the code that gathers
    it, the packages it uses and whatever else it depends on (files, the machine) are the same, and where all of this
    holds for every step that it builds on.

    Parameters
    ----------
    identity
        See `identity_of`.
    options, typed
        Of the run; ``typed`` by the name of the analysis.
    found
        Whether nobody named the submission itself: then no link of it is followed, nor a shared declaration read.
    """
    depends = {
        analysis.name: analysis.depends_on(source, typed.get(analysis.name))
        for analysis in ANALYSES
        if analysis.depends
    }
    read = {name: each.read_by_steps() for name, each in typed.items() if each is not None}
    submission = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()
    keys: dict[str, str] = {}
    for name, step in STEPS.items():
        analysis = ANALYSIS_OF[name].name
        common = [] if step.stage is Stage.STATIC else [options.seed, options.threads, options.device]
        parts = [
            name,
            submission,
            found,
            code_digest(step),
            _packages(),
            common,
            read.get(analysis, {}),
            depends.get(analysis, []),
            [keys[each] for each in (*step.needs, *step.after)],
        ]
        keys[name] = hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()
    return keys


@cache
def _packages() -> str:
    found = [f"python {'.'.join(map(str, sys.version_info[:3]))}"]
    for name in _PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)
