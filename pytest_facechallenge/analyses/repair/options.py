"""What the mended model has to be loaded by."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pytest_facechallenge.core.run_options import AnalysisOptions

if TYPE_CHECKING:
    from pytest_facechallenge.core.analysis import Scope
    from pytest_facechallenge.core.options import OptionValues


class RepairOptions(AnalysisOptions, frozen=True, kw_only=True):
    """The newest opset and IR version that the servers of all judged tracks load; 0 where none is named."""

    analysis: ClassVar[str] = "repair"

    opset: int = 0
    ir_version: int = 0


def resolve(_values: OptionValues, scope: Scope) -> RepairOptions:
    """Read the servers' runtimes from the rulebooks."""
    runtimes = [runtime for book, _ in scope.tracks if (runtime := scope.books[book].runtime) is not None]
    return RepairOptions(
        opset=min((each.max_opset for each in runtimes), default=0),
        ir_version=min((each.max_ir_version for each in runtimes), default=0),
    )
