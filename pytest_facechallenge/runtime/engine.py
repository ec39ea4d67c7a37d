"""Opening a model with onnxruntime, and running it: the one place where the runtime's API is touched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


class DeviceError(RuntimeError):
    """The device that was asked for cannot be used; the message says why, as far as the runtime tells."""


class Engine:
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

    Raises
    ------
    DeviceError
        The device was asked for by name and the session does not use it: never a silent fall-back.
    onnxruntime errors
        Of many types; the model cannot be loaded.
    """

    def __init__(self, model: Path | bytes, device: str = "cpu", threads: int = 0, *, optimise: bool = True) -> None:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        # Spinning threads starve other processes on a shared machine and change nothing that is judged.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if not optimise:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        wanted = self._wanted(device)
        source = str(model) if isinstance(model, Path) else model
        self.session = ort.InferenceSession(source, options, providers=wanted)
        self.providers: tuple[str, ...] = tuple(self.session.get_providers())
        if device != "auto" and wanted[0] not in self.providers:
            raise DeviceError(
                f"{wanted[0]} was asked for, but the session fell back to {', '.join(self.providers)}: "
                "its libraries or driver could not be loaded (run with --facechallenge-device cpu, or install what "
                "onnxruntime-gpu needs)"
            )
        self.inputs: tuple[str, ...] = tuple(value.name for value in self.session.get_inputs())
        self.outputs: tuple[str, ...] = tuple(value.name for value in self.session.get_outputs())

    @staticmethod
    def _wanted(device: str) -> list[str]:
        available = ort.get_available_providers()
        if device == "auto":
            return (
                ["CPUExecutionProvider"]
                if "CUDAExecutionProvider" not in available or not _cuda_works()
                else [
                    "CUDAExecutionProvider",
                    "CPUExecutionProvider",
                ]
            )
        name = PROVIDERS.get(device.lower(), device)
        if name not in available:
            raise DeviceError(
                f"the device {device!r} ({name}) is not in this onnxruntime; it has {', '.join(available)}"
            )
        return [name] if name == "CPUExecutionProvider" else [name, "CPUExecutionProvider"]

    def run(self, batch: npt.NDArray[np.float32], outputs: Sequence[str] | None = None) -> list[npt.NDArray[Any]]:
        """Run on ``batch`` (float32 [N, 3, 112, 112]) and return the outputs named, or all.

        Raises
        ------
        onnxruntime errors
            The run failed.
        """
        found = self.session.run(list(outputs) if outputs else None, {self.inputs[0]: batch})
        return [np.asarray(value) for value in found]


def _cuda_works() -> bool:
    """Return whether an NVIDIA driver is there; the CUDA provider of a machine without one only prints errors."""
    return any(Path(path).exists() for path in ("/dev/nvidiactl", "/proc/driver/nvidia/version", "/dev/dxg")) or (
        Path("C:/Windows/System32/nvcuda.dll").exists()
    )


def describe_runtime() -> str:
    """Return the runtime's version."""
    return f"onnxruntime {ort.__version__}"
