"""Opening a model with onnxruntime, and running it: the one place where the runtime's API is touched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from pytest_facechallenge.inference.device import has_driver, reasons

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


class DeviceError(RuntimeError):
    """The device that was asked for cannot be used; the message says why, as far as the runtime tells."""


class Session:
    """A loaded model.

    Parameters
    ----------
    model
        Path of the file, or its serialised bytes.
    device
        "cpu", "cuda", "tensorrt", or "auto": CUDA where it works, else the CPU.
    threads
        0 lets the runtime choose.
    optimise
        False switches graph optimisations off, so that every intermediate tensor exists as in the file.
    profile
        Beginning of the path of a file into which the runtime writes how long every node took.

    Raises
    ------
    DeviceError
        The device was asked for by name and the session does not use it: never a silent fall-back.
    onnxruntime errors
        Of many types; the model cannot be loaded.
    """

    def __init__(
        self,
        model: Path | bytes,
        device: str = "cpu",
        threads: int = 0,
        *,
        optimise: bool = True,
        profile: Path | None = None,
    ) -> None:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        # Spinning threads starve other processes on a shared machine and change nothing that is judged.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if not optimise:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        if profile is not None:
            options.enable_profiling = True
            options.profile_file_prefix = str(profile)
        wanted = wanted_providers(device)
        source = str(model) if isinstance(model, Path) else model
        self.session = ort.InferenceSession(source, options, providers=wanted)
        self.providers: tuple[str, ...] = tuple(self.session.get_providers())
        if device != "auto" and wanted[0] not in self.providers:
            found = ", ".join(self.providers)
            raise DeviceError(f"{wanted[0]} was asked for, but the session fell back to {found}{_because(wanted[0])}")
        self.inputs: tuple[str, ...] = tuple(value.name for value in self.session.get_inputs())
        self.outputs: tuple[str, ...] = tuple(value.name for value in self.session.get_outputs())

    def run(self, batch: npt.NDArray[np.float32], outputs: Sequence[str] | None = None) -> list[npt.NDArray[Any]]:
        """Run on ``batch`` (float32 [N, 3, 112, 112]) and return the outputs named, or all.

        Raises
        ------
        onnxruntime errors
            The run failed.
        """
        found = self.session.run(list(outputs) if outputs else None, {self.inputs[0]: batch})
        return [np.asarray(value) for value in found]


def wanted_providers(device: str) -> list[str]:
    """Return the execution providers to ask for, first choice first.

    Raises
    ------
    DeviceError
        This onnxruntime was built without the provider.
    """
    available = ort.get_available_providers()
    if device == "auto":
        device = "cuda" if "CUDAExecutionProvider" in available and has_driver() else "cpu"
    name = PROVIDERS.get(device.lower(), device)
    if name not in available and name not in ort.get_all_providers():
        raise DeviceError(
            f"there is no device {device!r}: --facechallenge-device takes auto, {', '.join(PROVIDERS)}, or the name of "
            f"an execution provider of onnxruntime; this one has {', '.join(available)}"
        )
    if name not in available:
        raise DeviceError(
            f"the device {device!r} ({name}) is not in this onnxruntime, which has {', '.join(available)}"
            f"{_because(name)}"
        )
    return [name] if name == "CPUExecutionProvider" else [name, "CPUExecutionProvider"]


def _because(provider: str) -> str:
    """Return why a provider does not work and what to do, as the rest of a sentence."""
    found = reasons(provider) or ["the reason could not be found; onnxruntime's own log may tell it"]
    return f": {'; '.join(found)}. Or run with --facechallenge-device cpu."


def describe_runtime() -> str:
    """Return the runtime's version."""
    return f"onnxruntime {ort.__version__}"
