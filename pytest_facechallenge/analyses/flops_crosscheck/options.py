"""The options of the second count of FLOPs."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pytest_facechallenge.core.options import GIVEN
from pytest_facechallenge.core.run_options import AnalysisOptions

if TYPE_CHECKING:
    from pytest_facechallenge.core.analysis import Scope
    from pytest_facechallenge.core.options import OptionValues


class CrosscheckOptions(AnalysisOptions, frozen=True, kw_only=True):
    """What fvcore is asked to count.

    Attributes
    ----------
    requested
        Whether it is asked at all; it takes torch.
    factory
        "package.module:factory" of the participant's own torch module; "" counts the submission alone.
    folder
        The folder that the module is imported from, beside what is installed.
    """

    analysis: ClassVar[str] = "flops_crosscheck"

    requested: bool = False
    factory: str = ""
    folder: str = ""


def resolve(values: OptionValues, _scope: Scope) -> CrosscheckOptions:
    """Read the options of a run."""
    factory = values.text("flops-crosscheck")
    if not factory:
        return CrosscheckOptions()
    # The sandbox works in a folder of its own, so the user's goes with the options.
    return CrosscheckOptions(requested=True, factory="" if factory == GIVEN else factory, folder=str(values.base))
