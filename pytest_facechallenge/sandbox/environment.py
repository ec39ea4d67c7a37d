"""What of the user's environment a worker gets: what programs and numbers need, and folders of its own for the rest."""

from __future__ import annotations

import os
import site
import sys
from collections.abc import Mapping
from pathlib import Path

#: Variables that are passed on. A worker runs a stranger's model: it gets no tokens and no settings of other tools.
NAMES = frozenset(
    {
        "PATH", "LANG", "LANGUAGE", "TZ", "PYTHONHOME", "PYTHONHASHSEED", "PYTHONUTF8",
        "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH",
        # Interpreters that are started through a shim find the real one by these: the server's Python may be such.
        "PYENV_ROOT", "PYENV_VERSION", "CONDA_PREFIX", "CONDA_EXE", "VIRTUAL_ENV", "ASDF_DATA_DIR", "ASDF_DIR",
        # Windows does not start a program without these.
        "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "NUMBER_OF_PROCESSORS", "PROGRAMFILES",
        "PROGRAMDATA", "OS",
    }
)  # fmt: skip
#: The same by their beginnings: locale, threads of numerical libraries, GPU, how many pytest-xdist workers there are.
PREFIXES = (
    "LC_", "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "BLIS_", "VECLIB_", "NUMEXPR_", "CUDA", "NVIDIA_", "CUDNN_",
    "CUBLAS_", "ROCR_", "HIP_", "PROCESSOR_", "PYTEST_XDIST_",
)  # fmt: skip
#: Folders of a worker inside of its working folder, by what they are for.
HOME, TEMPORARY = "home", "tmp"
_SHIMS = (("PYENV_ROOT", ".pyenv"), ("ASDF_DATA_DIR", ".asdf"))


def worker_environment(workdir: Path, given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return a worker's environment; makes the folders that it names.

    HOME, the XDG folders and those for temporary files lie inside of ``workdir``. Folders in PYTHONPATH are made
    absolute, since the worker's own folder is one in which a stranger's files lie.
    """
    environment = {name: value for name, value in given.items() if name.upper() in NAMES or _passed(name)}
    home, temporary = workdir / HOME, workdir / TEMPORARY
    for folder in (home, temporary):
        folder.mkdir(parents=True, exist_ok=True)
    environment |= dict.fromkeys(("TMPDIR", "TEMP", "TMP", "XDG_RUNTIME_DIR"), str(temporary))
    environment |= dict.fromkeys(("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA"), str(home))
    environment |= {
        name: str(home / folder)
        for name, folder in (
            ("XDG_CACHE_HOME", ".cache"),
            ("XDG_CONFIG_HOME", ".config"),
            ("XDG_DATA_HOME", ".local/share"),
            ("XDG_STATE_HOME", ".local/state"),
        )
    }
    package_parent = str(Path(__file__).resolve().parents[2])
    paths = [str(Path(part).absolute()) for part in given.get("PYTHONPATH", "").split(os.pathsep) if part]
    environment |= {
        "PYTHONPATH": os.pathsep.join([package_parent, *paths]),
        "PYTHONDONTWRITEBYTECODE": "1",
        # Packages that were installed with pip --user are found by HOME otherwise.
        "PYTHONUSERBASE": given.get("PYTHONUSERBASE") or site.getuserbase(),
    }
    for name, shims in _SHIMS:
        if name not in environment and given.get("HOME") and (Path(given["HOME"]) / shims).is_dir():
            environment[name] = str(Path(given["HOME"]) / shims)
    if sys.flags.no_user_site:
        environment["PYTHONNOUSERSITE"] = "1"
    return environment


def _passed(name: str) -> bool:
    return name.upper().startswith(PREFIXES)
