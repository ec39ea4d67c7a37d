"""The FLOPs options as a participant uses them: the real command, in the sandbox, at 80 columns."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from .build import model

OWN_NET = """
import torch

def make():
    return torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, stride=2, padding=1), torch.nn.AdaptiveAvgPool2d(1),
                               torch.nn.Flatten(), torch.nn.Linear(8, 16))
"""
TEXT = (
    "g (float[N,3,112,112] data, float[8,3,3,3] w, float[8] wb, float[8,16] wf, float[16] wg) => (float[N,16] y) "
    "{ c = Conv<strides=[2,2], pads=[1,1,1,1]>(data, w, wb)\n p = GlobalAveragePool(c)\n f = Flatten(p)\n"
    "y = Gemm(f, wf, wg) }"
)
CONV = 8 * 3 * 9 * 56 * 56


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FACECHALLENGE_OWN_FOLDER", "yes")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    onnx.save(model(TEXT, opset=13), tmp_path / "model.onnx")
    return tmp_path


def run(folder: Path, *options: str) -> list[str]:
    """Run the command in a folder; pytester would put that folder on the import path, which users do not have."""
    command = [sys.executable, "-m", "pytest", "-v", "-k", "flops", "--facechallenge-model=model.onnx", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_layers_and_both_counts_of_fvcore(folder: Path) -> None:
    """The participant's module lies beside the submission, not in the folder that the sandbox works in."""
    (folder / "own_net.py").write_text(OWN_NET, encoding="utf-8")
    lines = run(
        folder,
        "--track=deepglint-light",
        "--facechallenge-flops-by-layer",
        "--facechallenge-flops-crosscheck=own_net:make",
        "--facechallenge-json=r.json",
    )
    low = 2 * CONV - 8 * 56 * 56 + 2 * 8 * 16
    pytest.LineMatcher(lines).fnmatch_lines(
        [
            f"flops-budget * passed *{low:,}*",
            f"flops-crosscheck * passed *{CONV + 128:,} MACs*",
            "model.onnx: FLOPs of one image (data 1x3x112x112)",
            f"*Conv_0 *Conv 1x3x112x112 ->*{CONV:,} *{2 * CONV - 8 * 56 * 56:,} * 100.0%",
            f"*sum *{CONV + 128:,} *{low:,} * 100.0%",
            f"*convolutions *{CONV:,} *{CONV:,} *{CONV:,}",
        ]
    )
    assert max(len(line) for line in lines if "Conv" in line or "convolutions" in line) <= 80
    facts = json.loads((folder / "r.json").read_bytes())["submissions"][0]["facts"]
    assert facts["flops"]["low"] == low


def test_a_track_without_a_cap_shows_the_figures(folder: Path) -> None:
    pytest.LineMatcher(run(folder, "--track=A")).fnmatch_lines(
        ["flops-budget * n/a *1,329,920 FLOPs*", f"*flops-budget, note: {CONV + 128:,} multiply-accumulates*"]
    )
