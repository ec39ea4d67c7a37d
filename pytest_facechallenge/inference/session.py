"""Opening a model with onnxruntime, and running it: the one place where the runtime's API is touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from pytest_facechallenge.core.freed_memory import give_back
from pytest_facechallenge.inference.device import LIBRARIES, has_driver, reasons

CPU = "CPUExecutionProvider"
PROVIDERS = {
    "cpu": CPU,
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


class DeviceError(RuntimeError):
    """The device that was asked for cannot be used; the message says why, as far as the runtime tells."""


def open_session(
    model: Path | bytes,
    *,
    providers: Sequence[str] = (CPU,),
    threads: int = 0,
    optimise: bool = True,
    spinning: bool = False,
    arena: bool = True,
    prepacking: bool = True,
    log_level: int = 3,
    profile: Path | None = None,
    weights: Mapping[str, Any] | None = None,
    settings: Mapping[str, str] | None = None,
    provider_options: Mapping[str, str] | None = None,
) -> ort.InferenceSession:
    """Open a model with onnxruntime: every session of this package comes from here.

    Parameters
    ----------
    model
        Path of the file, or its serialised bytes.
    providers
        Execution providers, first choice first; see `wanted_providers`.
    threads
        Of one operator; 0 lets the runtime choose.
    optimise
        False switches graph optimisations off, so that every intermediate tensor exists as in the file.
    spinning
        Whether idle threads spin. They starve other processes on a shared machine and change no result.
    arena
        Whether the runtime keeps the memory of the CPU that it has used for later runs.
    prepacking
        Whether weights are also kept in the layout that the kernels like best: faster runs, twice the memory.
    log_level
        0 (everything) to 4 (fatal errors only) of the runtime's own log on stderr.
    profile
        Beginning of the path of a file into which the runtime writes how long every node took.
    weights
        `onnxruntime.OrtValue` by name of weights that are used where they lie in memory; in the model they are
        external data.
    settings
        More entries of the session's configuration, by the runtime's own keys.
    provider_options
        Options of the first provider, by the runtime's own keys.

    Raises
    ------
    onnxruntime errors
        Of many types; the model cannot be loaded.
    """
    options = ort.SessionOptions()
    options.log_severity_level = log_level
    options.intra_op_num_threads = threads
    options.enable_cpu_mem_arena = arena
    if not optimise:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    if not spinning:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not prepacking:
        options.add_session_config_entry("session.disable_prepacking", "1")
    # Bytes that look like the runtime's own format in one place (a producer named "ORTM…" is enough), and files of its
    # suffix, are read as that otherwise: another model than the one that every other step reads.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    for key, value in (settings or {}).items():
        options.add_session_config_entry(key, value)
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    if weights:
        options.add_external_initializers(list(weights), list(weights.values()))
    source = str(model) if isinstance(model, Path) else model
    wanted: list[Any] = list(providers)
    if provider_options:
        wanted[0] = (wanted[0], dict(provider_options))
    give_back()  # what was freed so far need not add to what loading takes for a moment
    session = ort.InferenceSession(source, options, providers=wanted)
    give_back()
    return session


class Session:
    """A submission's model, loaded on a device.

    Parameters
    ----------
    model
        Path of the file, or its serialised bytes.
    device
        "cpu", "cuda", "tensorrt", or "auto": CUDA where it works, else the CPU.
    threads
        0 lets the runtime choose.
    profile
        See `open_session`.

    Attributes
    ----------
    ort_session
        The runtime's own object.
    providers
        The execution providers that it really uses.
    inputs, outputs
        Names.

    Raises
    ------
    DeviceError
        The device was asked for by name and the session does not use it: never a silent fall-back.
    onnxruntime errors
        Of many types; the model cannot be loaded.
    """

    def __init__(
        self, model: Path | bytes, device: str = "cpu", threads: int = 0, *, profile: Path | None = None
    ) -> None:
        wanted = wanted_providers(device)
        self.ort_session = open_session(model, providers=wanted, threads=threads, profile=profile)
        self.providers: tuple[str, ...] = tuple(self.ort_session.get_providers())
        if device != "auto" and wanted[0] not in self.providers:
            found = ", ".join(self.providers)
            raise DeviceError(f"{wanted[0]} was asked for, but the session fell back to {found}{_because(wanted[0])}")
        self.inputs: tuple[str, ...] = tuple(value.name for value in self.ort_session.get_inputs())
        self.outputs: tuple[str, ...] = tuple(value.name for value in self.ort_session.get_outputs())

    def run(self, batch: npt.NDArray[np.float32], outputs: Sequence[str] | None = None) -> list[npt.NDArray[Any]]:
        """Run on ``batch`` (float32 [N, 3, 112, 112]) and return the outputs named, or all.

        Raises
        ------
        onnxruntime errors
            The run failed.
        """
        found = self.ort_session.run(list(outputs) if outputs else None, {self.inputs[0]: batch})
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
    return [name] if name == CPU else [name, CPU]


def look_for(device: str) -> None:
    """Make sure that a device that was asked for by name is there, without loading a model.

    Raises
    ------
    DeviceError
        This onnxruntime was built without it, or this machine has no driver for it.
    """
    name = wanted_providers(device)[0]
    if name in LIBRARIES and not has_driver():
        raise DeviceError(f"the device {device!r} ({name}) is not on this machine{_because(name)}")


def _because(provider: str) -> str:
    """Return why a provider does not work and what to do, as the rest of a sentence."""
    found = reasons(provider) or ["the reason could not be found; onnxruntime's own log may tell it"]
    return f": {'; '.join(found)}. Or run with --facechallenge-device cpu."


def describe_runtime() -> str:
    """Return the runtime's version."""
    return f"onnxruntime {ort.__version__}"
