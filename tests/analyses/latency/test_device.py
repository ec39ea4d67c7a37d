"""An execution provider that does not work is an error with the reason."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest

from pytest_facechallenge.inference import device, session
from pytest_facechallenge.inference.session import DeviceError, Session, wanted_providers
from pytest_facechallenge.refnets.registry import save


def test_a_provider_that_is_not_built_in_names_those_that_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(DeviceError, match=r"'cuda' \(CUDAExecutionProvider\) is not in this onnxruntime.*CPUExecution"):
        wanted_providers("cuda")


def test_a_device_that_does_not_exist_names_those_that_do() -> None:
    with pytest.raises(DeviceError, match=r"no device 'npu'.*auto, cpu, cuda, tensorrt"):
        wanted_providers("npu")


def test_a_session_that_falls_back_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Fallen:
        def __init__(self, *_args: object, **_options: object) -> None:
            pass

        def get_providers(self) -> list[str]:
            return ["CPUExecutionProvider"]

    save("vit-tiny", tmp_path / "m.onnx")
    monkeypatch.setattr(onnxruntime, "InferenceSession", Fallen)
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    monkeypatch.setattr(session, "reasons", lambda provider: [f"no library for {provider}"])
    with pytest.raises(DeviceError, match="fell back to CPUExecutionProvider: no library for CUDAExecutionProvider"):
        Session(tmp_path / "m.onnx", "cuda")


def test_auto_takes_the_gpu_only_with_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    monkeypatch.setattr(session, "has_driver", lambda: False)
    assert wanted_providers("auto") == ["CPUExecutionProvider"]
    monkeypatch.setattr(session, "has_driver", lambda: True)
    assert wanted_providers("auto") == ["CUDAExecutionProvider", "CPUExecutionProvider"]


def test_both_packages_a_missing_driver_and_a_missing_library_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "installed", lambda: ["onnxruntime 1.30.0", "onnxruntime-gpu 1.31.0"])
    monkeypatch.setattr(device, "has_driver", lambda: False)
    monkeypatch.setattr(device, "missing_library", lambda _provider: "libcudnn.so.9: cannot open shared object file")
    both, driver, library = device.reasons("CUDAExecutionProvider")
    assert "overwrite" in both
    assert "driver" in driver
    assert "libcudnn.so.9" in library
    assert device.reasons("CPUExecutionProvider") == [both]


def test_the_wrong_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "installed", lambda: ["onnxruntime 1.30.0"])
    monkeypatch.setattr(device, "has_driver", lambda: True)
    monkeypatch.setattr(device, "missing_library", lambda _provider: "")
    assert device.reasons("CUDAExecutionProvider") == [
        "onnxruntime 1.30.0 is the package without CUDAExecutionProvider: install onnxruntime-gpu in its place"
    ]


def test_the_loader_tells_which_library_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    capi = tmp_path / "capi"
    capi.mkdir()
    (capi / "libonnxruntime_providers_cuda.so").write_bytes(b"")
    monkeypatch.setattr(onnxruntime, "__file__", str(tmp_path / "__init__.py"))

    def load(_path: str) -> None:
        raise OSError("libcublasLt.so.12: cannot open shared object file: No such file or directory")

    assert "libcublasLt.so.12" in device.missing_library("CUDAExecutionProvider", load)
    assert device.missing_library("CUDAExecutionProvider", lambda _path: None) == ""
    assert "has no library" in device.missing_library("TensorrtExecutionProvider", load)
