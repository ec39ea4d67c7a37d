"""The options of the trial in the server's own runtime."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pytest_facechallenge.core.options import OptionError
from pytest_facechallenge.core.path_state import state_of
from pytest_facechallenge.core.run_options import AnalysisOptions, RunOptions
from pytest_facechallenge.core.text import clean

if TYPE_CHECKING:
    from pytest_facechallenge.core.analysis import Scope
    from pytest_facechallenge.core.options import OptionValues


#: Characters of what an interpreter says that are shown.
_MOST_SAID = 200


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


#: Seconds that the interpreter has to say which onnxruntime it has. Importing it takes a few on a slow disk.
ASKING_SECONDS = 60.0
_QUESTION = "import onnxruntime; print('onnxruntime', onnxruntime.__version__)"


def idle(options: RunOptions) -> bool:
    """Whether no interpreter was named."""
    return not options.of(ServerOptions).python


def resolve(values: OptionValues, _scope: Scope) -> ServerOptions:
    """Read the options of a run.

    Raises
    ------
    OptionError
        The interpreter that was named does not exist, or is no Python with onnxruntime.
    """
    named = values.text("server-python")
    if not named:
        return ServerOptions()
    python = str(values.path(named)) if os.path.dirname(named) else shutil.which(named)  # noqa: PTH120  # "./python"
    if not python or not Path(python).is_file():
        raise OptionError(
            f"--facechallenge-server-python must name a Python, a path or a command of PATH; there is none at {named!r}"
        )
    trouble = _trouble(python)
    if trouble:
        raise OptionError(
            f"--facechallenge-server-python: {named!r} is no Python with onnxruntime: {trouble}; make one with "
            "python3.8 -m venv server && server/bin/pip install onnxruntime==1.6.0"
        )
    return ServerOptions(python=python)


@functools.cache
def _trouble(python: str) -> str:
    """Ask an interpreter, once, for its onnxruntime; return what stands in the way, "" for nothing.

    It runs as it will later: alone in a new folder, without the user's environment (-I), for a limited time.
    """
    with tempfile.TemporaryDirectory(prefix="facechallenge-") as folder:
        try:
            done = subprocess.run(
                [python, "-I", "-c", _QUESTION],
                capture_output=True,
                timeout=ASKING_SECONDS,
                check=False,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            return f"it could not be started: {error.strerror or error}"
        except subprocess.TimeoutExpired:
            return f"it gave no answer in {ASKING_SECONDS:g} seconds"
    said = done.stdout.decode("utf-8", "replace").strip()
    if done.returncode == 0 and said.startswith("onnxruntime "):
        return ""
    words = (done.stderr.decode("utf-8", "replace").strip() or said).splitlines()
    return clean(words[-1], _MOST_SAID) if words else f"it ended with code {done.returncode} and said nothing"


def depends(_source: Path, options: AnalysisOptions | None) -> list[str]:
    """Return the state of the interpreter and of the folders that packages are installed in."""
    if not isinstance(options, ServerOptions) or not options.python:
        return []
    home = Path(options.python).parent.parent
    installed = sorted(home.glob("lib/python*/site-packages/onnxruntime*"))
    return [state_of(options.python), *(f"{path} {path.stat().st_mtime_ns}" for path in installed)]
