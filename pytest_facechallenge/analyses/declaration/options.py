"""The options of the declaration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pytest_facechallenge.core.options import OptionError
from pytest_facechallenge.core.run_options import AnalysisOptions

if TYPE_CHECKING:
    from pytest_facechallenge.core.analysis import Scope
    from pytest_facechallenge.core.options import OptionValues


class DeclarationOptions(AnalysisOptions, frozen=True, kw_only=True):
    """Where the declaration lies: an absolute path, "" to look beside the submission."""

    analysis: ClassVar[str] = "declaration"

    path: str = ""


def resolve(values: OptionValues, _scope: Scope) -> DeclarationOptions:
    """Read the options of a run.

    Raises
    ------
    OptionError
        The declaration that was named is no file.
    """
    path = values.path_of("declaration")
    if path and not Path(path).is_file():
        found = "a folder" if Path(path).is_dir() else "nothing" if not Path(path).exists() else "no regular file"
        raise OptionError(f"--facechallenge-declaration must name a file; at {path} there is {found}")
    return DeclarationOptions(path=path)
