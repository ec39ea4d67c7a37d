"""The worked examples of CONTRIBUTING.md and of the page about an analysis: done to a copy of the package, and run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save_model

from tests.support.models import network, save

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "howto" / "analysis.md"
BLOCK = re.compile(r"<!-- (file|row|import|beside|try)(?:: ([^\s]+)(?: (\w+))?)? -->\n```\w+\n(.*?)```", re.DOTALL)


def examples() -> dict[str, list[tuple[str, str, str, str]]]:
    """Return the blocks of each example by its heading: what to do, path, table, text."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    sections = re.findall(r"^### (.+?)\n(.*?)(?=^##)", text, re.DOTALL | re.MULTILINE)
    return {heading: BLOCK.findall(body) for heading, body in sections}


def page() -> dict[str, list[tuple[str, str, str, str]]]:
    """Return the blocks of the page about an analysis."""
    return {"the page": BLOCK.findall(PAGE.read_text(encoding="utf-8"))}


def apply(folder: Path, kind: str, path: str, table: str, text: str) -> None:
    """Do to the copy what a block says."""
    target = folder / path
    if kind == "file":
        assert not target.exists(), target
        target.parent.mkdir(exist_ok=True)
        target.write_text(text, encoding="utf-8")
        return
    before = target.read_text(encoding="utf-8")
    if kind == "import":
        mark = "from __future__ import annotations\n"
        assert before.count(mark) == 1
        target.write_text(before.replace(mark, f"{mark}\n{text}"), encoding="utf-8")
        return
    found = re.search(rf"^{table}\b[^\n]*= \(\n.*?^\)", before, re.DOTALL | re.MULTILINE)
    assert found is not None, f"no table {table} in {path}"
    target.write_text(before[: found.end() - 1] + text + before[found.end() - 1 :], encoding="utf-8")


def twice(path: Path) -> None:
    """Write a network whose last matrix holds one set of weights twice."""
    rng = np.random.default_rng(0)
    half = rng.standard_normal((24, 8)).astype(np.float32)
    weights = {
        "kernel": rng.standard_normal((48, 3, 28, 28)).astype(np.float32),
        "matrix": np.concatenate([half, half]),
    }
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["map"], strides=[28, 28]),
        helper.make_node("Relu", ["map"], ["positive"]),
        helper.make_node("GlobalAveragePool", ["positive"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], ["embedding"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 112, 112])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 8])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7), str(path))


def test_all_five_are_there() -> None:
    found = examples()
    assert list(found) == [
        "A rule",
        "An analysis",
        "An observer of the detector",
        "A report format",
        "A verification backend",
    ]
    assert all(blocks[-1][0] == "try" and any(kind == "row" for kind, *_ in blocks) for blocks in found.values())


@pytest.mark.parametrize("heading", examples() | page())
def test_a_worked_example(heading: str, tmp_path: Path) -> None:
    copy, work = tmp_path / "copy", tmp_path / "work"
    for name in ("pytest_facechallenge", "rules"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    work.mkdir()
    save(network(), work / "model.onnx")
    twice(work / "twice.onnx")
    *changes, (_, _, _, trial) = (examples() | page())[heading]
    for kind, path, table, block in changes:
        if kind == "beside":
            (work / path).write_text(block, encoding="utf-8")
        else:
            apply(copy, kind, path, table, block)
    (work / "trial.py").write_text(trial, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "FACECHALL"))}
    done = subprocess.run(
        [sys.executable, "trial.py"],
        cwd=work,
        env=environment | {"PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
