"""The options of the declaration."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pytest_facechallenge.core.run_options import AnalysisOptions

if TYPE_CHECKING:
    from pytest_facechallenge.core.analysis import Scope
    from pytest_facechallenge.core.options import OptionValues


class DeclarationOptions(AnalysisOptions, frozen=True, kw_only=True):
    """Where the declaration lies: an absolute path, "" to look beside the submission."""

    analysis: ClassVar[str] = "declaration"

    path: str = ""


def resolve(values: OptionValues, _scope: Scope) -> DeclarationOptions:
    """Read the options of a run."""
    return DeclarationOptions(path=values.path_of("declaration"))
