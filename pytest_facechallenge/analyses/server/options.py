"""The options of the trial in the server's own runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pytest_facechallenge.core.run_options import AnalysisOptions

if TYPE_CHECKING:
    from pytest_facechallenge.core.analysis import Scope
    from pytest_facechallenge.core.options import OptionValues


class ServerOptions(AnalysisOptions, frozen=True, kw_only=True):
    """The interpreter that has the server's onnxruntime.

    Attributes
    ----------
    python
        A path or a name on PATH; "" when there is none.
    timeout
        Seconds that each interpreter has for loading the model and running the images. Loading 250 MB on a slow CPU
        takes well under a minute.
    """

    analysis: ClassVar[str] = "server"

    python: str = ""
    timeout: float = 300.0


def resolve(values: OptionValues, _scope: Scope) -> ServerOptions:
    """Read the options of a run."""
    return ServerOptions(python=values.text("server-python"))
