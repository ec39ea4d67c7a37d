"""The table of steps: which observation exists, which struct it gives, which function gathers it, in which stage.

Stages run in separate sandboxed processes, so that a big model is never held twice and a crash of the runtime cannot
lose what reading the graph found. Within a stage the steps run in table order, each seeing the facts of the earlier.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Literal, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_facechallenge.analyses.context import Context
    from pytest_facechallenge.core.facts.base import StepFacts

Stage = Literal["static", "behaviour", "probes", "server", "latency", "accuracy"]


class Step(msgspec.Struct, frozen=True):
    """One step.

    Attributes
    ----------
    name
        Also the key in the JSON report.
    stage
        Steps of one stage share a process.
    facts, gather
        ``module:name`` of the struct and of the function ``(Context) -> struct``, imported only when used.
    needs
        Steps without which this one cannot run; when one of them failed this one is "blocked".
    """

    name: str
    stage: Stage
    facts: str
    gather: str
    needs: tuple[str, ...] = ()

    @property
    def runs_model(self) -> bool:
        """Whether it runs the model in this project's own runtime, and so hangs where that hangs."""
        return "load" in self.needs or self.name == "organisers_checker"

    def facts_type(self) -> type[StepFacts]:
        """Import and return the struct class."""
        return cast("type[StepFacts]", _load(self.facts))

    def gatherer(self) -> Callable[[Context], StepFacts]:
        """Import and return the gathering function."""
        return cast("Callable[[Context], StepFacts]", _load(self.gather))


def _load(reference: str) -> object:
    module, _, name = reference.partition(":")
    return getattr(import_module(f"pytest_facechallenge.{module}"), name)


def _table(*steps: Step) -> dict[str, Step]:
    return {step.name: step for step in steps}


STEPS: dict[str, Step] = _table(
    Step("package", "static", "core.facts.package:PackageFacts", "analyses.package.gather:gather_package"),
    Step("declaration", "static", "core.facts.declaration:DeclarationFacts", "analyses.declaration.gather:gather"),
    Step(
        "interface", "static", "core.facts.interface:InterfaceFacts", "analyses.interface.gather:gather", ("package",)
    ),
    Step(
        "checker",
        "static",
        "core.facts.interface:CheckerFacts",
        "analyses.interface.gather:gather_checker",
        ("interface",),
    ),
    Step("weights", "static", "core.facts.weights:WeightsFacts", "analyses.weights.gather:gather", ("interface",)),
    Step(
        "preprocessing",
        "static",
        "core.facts.preprocessing:PreprocessingFacts",
        "analyses.preprocessing.gather:gather",
        ("interface",),
    ),
    Step(
        "compatibility",
        "static",
        "core.facts.compatibility:CompatibilityFacts",
        "analyses.server.compatibility:gather",
        ("interface",),
    ),
    Step("flops", "static", "core.facts.flops:FlopsFacts", "analyses.flops.gather:gather", ("interface",)),
    Step("launches", "static", "core.facts.latency:LaunchFacts", "analyses.latency.launches:gather", ("interface",)),
    Step(
        "load", "behaviour", "core.facts.behaviour:LoadFacts", "analyses.behaviour.gather:gather_load", ("interface",)
    ),
    Step("batch", "behaviour", "core.facts.behaviour:BatchFacts", "analyses.behaviour.gather:gather_batch", ("load",)),
    Step(
        "images", "behaviour", "core.facts.behaviour:ImagesFacts", "analyses.behaviour.gather:gather_images", ("load",)
    ),
    Step(
        "repeat", "behaviour", "core.facts.behaviour:RepeatFacts", "analyses.behaviour.gather:gather_repeat", ("load",)
    ),
    # After "batch": it takes over that step's runs and only runs the model itself when there are none.
    Step(
        "organisers_checker",
        "behaviour",
        "core.facts.organisers_checker:OrganisersCheckerFacts",
        "analyses.server.organisers_checker:gather",
        ("interface",),
    ),
    Step(
        "implicit_batch",
        "probes",
        "core.facts.implicit_batch:ImplicitBatchFacts",
        "analyses.implicit_batch.gather:gather",
        ("load",),
    ),
    Step(
        "flops_crosscheck",
        "probes",
        "core.facts.flops:CrosscheckFacts",
        "analyses.flops_crosscheck.gather:gather",
        ("flops",),
    ),
    Step("server", "server", "core.facts.server:ServerFacts", "analyses.server.trial:gather", ("interface",)),
    Step(
        "accuracy",
        "accuracy",
        "core.facts.accuracy:AccuracyFacts",
        "analyses.accuracy.gather:gather",
        ("load", "preprocessing"),
    ),
    Step("feature_file", "accuracy", "core.facts.feature_file:FeatureFileFacts", "analyses.feature_file.gather:gather"),
    Step(
        "server_latency",
        "latency",
        "core.facts.latency:ServerLatencyFacts",
        "analyses.latency.server:gather",
        ("load",),
    ),
    Step("latency", "latency", "core.facts.latency:LatencyFacts", "analyses.latency.gather:gather", ("load",)),
)


def with_needs(names: set[str]) -> list[str]:
    """Return ``names`` and all they build on, in table order.

    Raises
    ------
    KeyError
        For a name that is no step.
    """
    wanted: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name not in wanted:
            wanted.add(name)
            pending.extend(STEPS[name].needs)
    return [name for name in STEPS if name in wanted]
