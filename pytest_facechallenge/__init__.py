"""Judge a face-recognition challenge submission: every rule a pytest test, every verdict with its evidence.

What a check of your own needs can be imported from here (``from pytest_facechallenge import check, passed, failed``).
Importing the package itself imports nothing else: pytest loads the plugin in every run of every project where it is
installed, and such a run must not pay for numpy, onnx, onnxruntime or rich.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_facechallenge.checks.registry import check
    from pytest_facechallenge.core.facts.base import Facts
    from pytest_facechallenge.core.outcome import Evidence, Outcome, failed, not_applicable, passed, undecided
    from pytest_facechallenge.core.rulebook import Rule

__version__ = "0.1.0"

_HOMES = {
    "check": "checks.registry",
    "Facts": "core.facts.base",
    "Evidence": "core.outcome",
    "Outcome": "core.outcome",
    "failed": "core.outcome",
    "not_applicable": "core.outcome",
    "passed": "core.outcome",
    "undecided": "core.outcome",
    "Rule": "core.rulebook",
}

__all__ = [
    "Evidence",
    "Facts",
    "Outcome",
    "Rule",
    "check",
    "failed",
    "not_applicable",
    "passed",
    "undecided",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
