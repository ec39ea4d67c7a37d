"""Why an execution provider that was asked for does not work, as far as it can be found out without it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

DRIVER_SIGNS = ("/dev/nvidiactl", "/proc/driver/nvidia/version", "/dev/dxg", "C:/Windows/System32/nvcuda.dll")
LIBRARIES = {
    "CUDAExecutionProvider": "onnxruntime_providers_cuda",
    "TensorrtExecutionProvider": "onnxruntime_providers_tensorrt",
}


def has_driver() -> bool:
    """Return whether an NVIDIA driver is there."""
    return any(Path(path).exists() for path in DRIVER_SIGNS)


def installed() -> list[str]:
    """Return which of the two runtime packages are installed, with versions."""
    found = []
    for package in ("onnxruntime", "onnxruntime-gpu"):
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return found


def missing_library(provider: str, load: Callable[[str], object] = ctypes.CDLL) -> str:
    """Return the dynamic loader's message when the provider's own library cannot be loaded; "" when it can."""
    import onnxruntime

    stem = LIBRARIES.get(provider, "")
    folder = Path(onnxruntime.__file__).parent / "capi"
    path = next((path for name in (f"lib{stem}.so", f"{stem}.dll") if stem and (path := folder / name).exists()), None)
    if path is None:
        return f"{folder} has no library for {provider}" if stem else ""
    try:
        load(str(path))
    except OSError as error:
        text = str(error)
        # The provider's library gets these from the runtime that loads it; that they are missing here means nothing.
        return "" if "undefined symbol" in text else text
    return ""


def reasons(provider: str) -> list[str]:
    """Return what stands in the way of ``provider``, in sentences with a way out; empty when nothing was found."""
    found = []
    packages = installed()
    if len(packages) == 2:
        found.append(
            f"{' and '.join(packages)} are both installed and overwrite each other's files: pip uninstall both, then "
            "install onnxruntime-gpu alone"
        )
    elif packages and provider in LIBRARIES and not packages[0].startswith("onnxruntime-gpu"):
        found.append(f"{packages[0]} is the package without {provider}: install onnxruntime-gpu in its place")
    if provider in LIBRARIES and not has_driver():
        found.append("there is no NVIDIA driver on this machine (none of its device files exists)")
    message = missing_library(provider) if provider in LIBRARIES else ""
    if message:
        found.append(
            f"a library is missing ({message}): install the CUDA and cuDNN that this onnxruntime was built for"
        )
    return found
