"""How long one image takes: measured, and scaled from here to the rulebook's GPU."""

from __future__ import annotations

from pytest_facechallenge.core.analysis import Analysis, Stage, Step
from pytest_facechallenge.core.options import Option, OptionKind

ANALYSIS = Analysis(
    name="latency",
    about="times here, and what scales them to the rulebook's GPU",
    steps=(
        Step(
            "launches",
            Stage.STATIC,
            "core.facts.latency:LaunchFacts",
            "analyses.latency.launches:gather",
            ("interface",),
        ),
        Step(
            "server_latency",
            Stage.LATENCY,
            "core.facts.latency:ServerLatencyFacts",
            "analyses.latency.server:gather",
            ("load",),
            runs_model=True,
            idle="analyses.latency.run_options:idle_on_the_server",
        ),
        Step(
            "latency",
            Stage.LATENCY,
            "core.facts.latency:LatencyFacts",
            "analyses.latency.gather:gather",
            ("load",),
            runs_model=True,
            idle="analyses.latency.run_options:idle",
        ),
    ),
    options=(
        Option(
            "latency",
            OptionKind.TEXT,
            "evidence of the inference time",
            "auto|measured|scaled|modelled",
            "auto",
        ),
        Option("rounds", OptionKind.NUMBER, "timed runs of a submission, a multiple of 50 (default: 50)", "N", 50),
        Option(
            "calibration", OptionKind.TEXT, "file of such times: used when it exists, else written", "FILE", path=True
        ),
        Option("profile", OptionKind.FLAG, "show where the time goes, node by node"),
    ),
    resolve="analyses.latency.run_options:resolve",
    depends="analyses.latency.machine:depends",
    tables="analyses.latency.profile:asked_for",
    samples="analyses.latency.samples:samples_of",
    machine="analyses.latency.machine_info:machine_info",
)
