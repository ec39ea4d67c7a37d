"""``python -m pytest_facechallenge.refnets``."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import onnx
import pytest

from pytest_facechallenge.refnets import build
from pytest_facechallenge.refnets.__main__ import main

if TYPE_CHECKING:
    from pathlib import Path


def test_writes_the_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "small.onnx"
    arguments = ["--seed", "3", "--batch", "2", "--embedding", "64", "--training-graph"]
    assert main(["mobilefacenet-small", str(out), *arguments]) == 0
    expected = build("mobilefacenet-small", seed=3, batch=2, embedding=64, fold_batchnorm=False)
    assert onnx.load(out) == expected
    assert (
        capsys.readouterr().out == f"{out}: mobilefacenet-small, {out.stat().st_size / 1024**2:.3f} MB (1024^2 bytes)\n"
    )


def test_defaults_are_the_builders(tmp_path: Path) -> None:
    out = tmp_path / "tiny.onnx"
    assert main(["vit-tiny", str(out)]) == 0
    assert onnx.load(out) == build("vit-tiny")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["r50", "out.onnx"], "invalid choice: 'r50'"),
        (["vit-tiny", "out.onnx", "--training-graph"], "vit-tiny does not take fold_batchnorm"),
        (["vit-tiny", "out.onnx", "--batch", "-4"], "batch must be at least 1"),
    ],
)
def test_bad_arguments_end_with_2_and_the_reason(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_unwritable_file_ends_with_1_and_the_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "missing" / "tiny.onnx"
    assert main(["vit-tiny", str(out)]) == 1
    assert capsys.readouterr().err == f"cannot write {out}: No such file or directory\n"


def test_runs_as_a_module(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest_facechallenge.refnets", "vit-tiny", str(tmp_path / "tiny.onnx")]
    assert "vit-tiny, 0." in subprocess.run(command, check=True, capture_output=True, text=True).stdout
