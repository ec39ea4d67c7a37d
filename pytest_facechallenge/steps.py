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

    from pytest_facechallenge.facts.base import StepFacts
    from pytest_facechallenge.runtime.context import Context

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
        return "load" in self.needs or self.name == "helper"

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
    Step("package", "static", "facts.package:PackageFacts", "submission:gather_package"),
    Step("declaration", "static", "facts.declaration:DeclarationFacts", "declaration:gather"),
    Step("interface", "static", "facts.interface:InterfaceFacts", "graph.interface:gather", ("package",)),
    Step("checker", "static", "facts.interface:CheckerFacts", "graph.interface:gather_checker", ("interface",)),
    Step("weights", "static", "facts.weights:WeightsFacts", "weights.gather:gather", ("interface",)),
    Step(
        "preprocessing",
        "static",
        "facts.preprocessing:PreprocessingFacts",
        "preprocessing.gather:gather",
        ("interface",),
    ),
    Step("compat", "static", "facts.compat:CompatFacts", "server.compat:gather", ("interface",)),
    Step("flops", "static", "facts.flops:FlopsFacts", "flops.gather:gather", ("interface",)),
    Step("launches", "static", "facts.latency:LaunchFacts", "latency.launches:gather", ("interface",)),
    Step("load", "behaviour", "facts.behaviour:LoadFacts", "runtime.behaviour:gather_load", ("interface",)),
    Step("batch", "behaviour", "facts.behaviour:BatchFacts", "runtime.behaviour:gather_batch", ("load",)),
    Step("pictures", "behaviour", "facts.behaviour:PicturesFacts", "runtime.behaviour:gather_pictures", ("load",)),
    Step("repeat", "behaviour", "facts.behaviour:RepeatFacts", "runtime.behaviour:gather_repeat", ("load",)),
    # After "batch": it takes over that step's runs and only runs the model itself when there are none.
    Step("helper", "behaviour", "facts.helper:HelperFacts", "server.helper:gather", ("interface",)),
    Step("dataflow", "probes", "facts.dataflow:DataflowFacts", "dataflow.gather:gather", ("load",)),
    Step("flops_crosscheck", "probes", "facts.flops:CrosscheckFacts", "flops.crosscheck:gather", ("flops",)),
    Step("server", "server", "facts.server:ServerFacts", "server.gather:gather", ("interface",)),
    Step("accuracy", "accuracy", "facts.accuracy:AccuracyFacts", "accuracy.gather:gather", ("load", "preprocessing")),
    Step("features", "accuracy", "facts.features:FeatureFacts", "features.gather:gather"),
    Step("server_latency", "latency", "facts.latency:ServerLatencyFacts", "latency.server:gather", ("load",)),
    Step("latency", "latency", "facts.latency:LatencyFacts", "latency.gather:gather", ("load",)),
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
