"""A second count of the FLOPs, by fvcore."""

from __future__ import annotations

from pytest_facechallenge.core.analysis import Analysis, Stage, Step
from pytest_facechallenge.core.options import Option, OptionKind

ANALYSIS = Analysis(
    name="flops_crosscheck",
    about="a second count of the FLOPs, by fvcore",
    steps=(
        Step(
            "flops_crosscheck",
            Stage.PROBES,
            "core.facts.flops:CrosscheckFacts",
            "analyses.flops_crosscheck.gather:gather",
            ("flops",),
        ),
    ),
    options=(
        Option(
            "flops-crosscheck",
            OptionKind.OPTIONAL,
            "count again with fvcore, also the torch module that FACTORY makes",
            "FACTORY",
        ),
    ),
    resolve="analyses.flops_crosscheck.options:resolve",
    tables="analyses.flops_crosscheck.tables:asked_for",
    on_request="flops-crosscheck",
)
