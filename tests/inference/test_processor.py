from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pytest_facechallenge.inference import processor


@pytest.fixture(autouse=True)
def fresh() -> None:
    processor.processor_name.cache_clear()


@pytest.mark.skipif(sys.platform != "linux", reason="the file is Linux's")
def test_linux_tells_it_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_a, **_k: "processor: 0\nmodel name\t: Some CPU 3000\nflags: x")
    assert processor.processor_name() == "Some CPU 3000"


def test_elsewhere_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_a, **_k: "CPU architecture: 8")
    monkeypatch.setattr("cpuinfo.get_cpu_info", lambda: {"brand_raw": "Neoverse-N1"})
    assert processor.processor_name() == "Neoverse-N1"


def test_without_any_answer_the_architecture_remains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_a, **_k: "")
    monkeypatch.setattr("cpuinfo.get_cpu_info", dict)
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert processor.processor_name() == "riscv64"
