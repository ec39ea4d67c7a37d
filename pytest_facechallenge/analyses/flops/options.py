"""The options of the count of FLOPs."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pytest_facechallenge.core.run_options import AnalysisOptions

if TYPE_CHECKING:
    from pytest_facechallenge.core.analysis import Scope
    from pytest_facechallenge.core.options import OptionValues


class FlopsOptions(AnalysisOptions, frozen=True, kw_only=True):
    """Whether the table of layers is shown."""

    analysis: ClassVar[str] = "flops"

    by_layer: bool = False


def resolve(values: OptionValues, _scope: Scope) -> FlopsOptions:
    """Read the options of a run."""
    return FlopsOptions(by_layer=values.flag("flops-by-layer"))
