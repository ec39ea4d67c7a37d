"""A little network [N,3,16,16] -> [N,8] in many opsets, and interpreters that misbehave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.server.options import ServerOptions
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.package import PackageFacts
from pytest_facechallenge.core.rulebook import Rule, Rulebook, RuleTable, Runtime, TrackTable
from pytest_facechallenge.core.run_options import RunOptions

SIDE = 16


def model_of(
    *extra: onnx.NodeProto,
    opset: int = 13,
    ir: int = 7,
    slope: tuple[int, ...] = (4, 1, 1),
    stored: tuple[onnx.TensorProto, ...] = (),
    domains: dict[str, int] | None = None,
    batch: int | str = "N",
) -> onnx.ModelProto:
    """Build Conv -> PRelu -> extra nodes (from "p" to "e", in place when there are none) -> Flatten -> Gemm."""
    rng = np.random.default_rng(11)

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array((0.1 * rng.standard_normal(shape)).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["c"], name="stem", strides=[4, 4]),
        helper.make_node("PRelu", ["c", "slope"], ["p"], name="act"),
        *extra,
        helper.make_node("Flatten", ["e" if extra else "p"], ["f"], name="flat"),
        helper.make_node("Gemm", ["f", "fc"], ["embedding"], name="fc"),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [batch, 8])],
        [weight("kernel", 4, 3, 4, 4), weight("slope", *slope), weight("fc", 64, 8), *stored],
    )
    opsets = {"": opset, **(domains or {})}
    imports = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    return helper.make_model(graph, opset_imports=imports, ir_version=ir)


def context_of(model: onnx.ModelProto, folder: Path, *facts: Any, **server: Any) -> Context:
    """Return a context for a model; ``server`` are fields of `ServerOptions`."""
    path = folder / "model.onnx"
    onnx.save(model, str(path))
    package = PackageFacts(form="onnx", entries=(), model_path=str(path), model_name="", sha256="", bytes=1)
    return Context(path, folder, Facts.of(package, *facts), RunOptions().with_analyses(ServerOptions(**server)))


def rule(version: str = "1.6.0", **parameters: Any) -> Rule:
    """Return the rule server-runtime with the figures measured for onnxruntime 1.6.0."""
    table = RuleTable(clause="Rules 9", text="", check="server_runtime", parameters=parameters)
    book = Rulebook(
        schema="facechallenge-rulebook/1",
        id="test",
        title="",
        version="1",
        date="",
        source="",
        tracks={"A": TrackTable(title="A")},
        rules={"server-runtime": table},
        runtime=Runtime(onnxruntime=version, max_opset=13, max_ir_version=7, max_ml_opset=2),
    )
    return book.rules_of("A")[0]


def interpreter(folder: Path, script: str) -> str:
    """Write an executable that stands for an interpreter."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)
