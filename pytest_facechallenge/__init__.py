"""Judge face-recognition challenge submissions: every rule a test, every verdict with its evidence.

`judge` is the product; pytest (`pytest --facechallenge-model model.onnx --track A`) is one of its callers. What a check
of your own needs can be imported from here as well (``from pytest_facechallenge import check, passed, failed``).
Importing the package itself imports nothing else: pytest loads the plugin in every run of every project where it is
installed, and such a run must not pay for numpy, onnx, onnxruntime or rich.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_facechallenge.api import audit, explain, judge, load_rulebooks, rejudge
    from pytest_facechallenge.auditing.document import Audit
    from pytest_facechallenge.checks.registry import check
    from pytest_facechallenge.core.declaration import declaration_template, write_declaration
    from pytest_facechallenge.core.facts.base import Facts
    from pytest_facechallenge.core.outcome import (
        Evidence,
        Outcome,
        Status,
        VerdictWord,
        failed,
        not_applicable,
        passed,
        undecided,
    )
    from pytest_facechallenge.core.rulebook import Rule, Rulebook
    from pytest_facechallenge.core.verdict import Verdict
    from pytest_facechallenge.core.version import __version__ as __version__
    from pytest_facechallenge.engine.repair_report import RepairReport
    from pytest_facechallenge.engine.report import Report, ReportError
    from pytest_facechallenge.mending import repair

_HOMES = {
    "__version__": "core.version",
    "repair": "mending",
    "RepairReport": "engine.repair_report",
    "judge": "api",
    "audit": "api",
    "Audit": "auditing.document",
    "rejudge": "api",
    "explain": "api",
    "load_rulebooks": "api",
    "declaration_template": "core.declaration",
    "write_declaration": "core.declaration",
    "check": "checks.registry",
    "Facts": "core.facts.base",
    "Evidence": "core.outcome",
    "Outcome": "core.outcome",
    "Status": "core.outcome",
    "VerdictWord": "core.outcome",
    "failed": "core.outcome",
    "not_applicable": "core.outcome",
    "passed": "core.outcome",
    "undecided": "core.outcome",
    "Rule": "core.rulebook",
    "Rulebook": "core.rulebook",
    "Verdict": "core.verdict",
    "Report": "engine.report",
    "ReportError": "engine.report",
}

__all__ = [
    "Audit",
    "Evidence",
    "Facts",
    "Outcome",
    "RepairReport",
    "Report",
    "ReportError",
    "Rule",
    "Rulebook",
    "Status",
    "Verdict",
    "VerdictWord",
    "audit",
    "check",
    "declaration_template",
    "explain",
    "failed",
    "judge",
    "load_rulebooks",
    "not_applicable",
    "passed",
    "rejudge",
    "repair",
    "undecided",
    "write_declaration",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
