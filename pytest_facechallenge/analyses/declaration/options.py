"""The options of the declaration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, cast

from pytest_facechallenge.analyses.declaration.table import read_table
from pytest_facechallenge.core.options import OptionError
from pytest_facechallenge.core.run_options import AnalysisOptions

if TYPE_CHECKING:
    from pytest_facechallenge.core.analysis import Scope
    from pytest_facechallenge.core.options import OptionValues


class DeclarationOptions(AnalysisOptions, frozen=True, kw_only=True):
    """What of a run's options concerns declarations.

    Attributes
    ----------
    path
        Where the declaration lies: an absolute path, "" to look beside the submission.
    table
        A table with the declarations of several submissions: an absolute path, "" where there is none.
    purpose
        What the run judges for, whatever a declaration says; "" leaves that to the declaration.
    """

    analysis: ClassVar[str] = "declaration"

    path: str = ""
    table: str = ""
    purpose: Literal["", "practice", "entry"] = ""


def resolve(values: OptionValues, _scope: Scope) -> DeclarationOptions:
    """Read the options of a run.

    Raises
    ------
    OptionError
        The declaration or the table that was named is no file, or there is no such purpose.
    ValueError
        The table is none.
    """
    path, table = (_file(name, values) for name in ("declaration", "declarations"))
    if path and table:
        raise OptionError(
            "--facechallenge-declaration names one declaration for every submission and --facechallenge-declarations a "
            "table of them; give one of the two"
        )
    if table:
        read_table(Path(table))
    purpose = values.text("purpose")
    if purpose not in ("", "practice", "entry"):
        raise OptionError(f"--facechallenge-purpose must be practice or entry, found {purpose!r}")
    return DeclarationOptions(path=path, table=table, purpose=cast("Literal['', 'practice', 'entry']", purpose))


def _file(name: str, values: OptionValues) -> str:
    path = values.path_of(name)
    if path and not Path(path).is_file():
        found = "a folder" if Path(path).is_dir() else "nothing" if not Path(path).exists() else "no regular file"
        raise OptionError(f"--facechallenge-{name} must name a file; at {path} there is {found}")
    return path
