"""Run a model on chosen pictures and look at any value inside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import helper

Array = npt.NDArray[Any]

#: Above this many bytes a model is written to a file for the runtime instead of being handed over in memory.
IN_MEMORY = 512 << 20


class RunError(RuntimeError):
    """The runtime refused to load or to run a model."""


class Runner:
    """A loaded model, optimisations off, so that every value of the file exists when it runs.

    Parameters
    ----------
    model
        Weights inside (external data loaded).
    outputs
        The values to return; they need not be outputs of the model.
    workdir
        Where a big model is written for the runtime; the file is removed again.
    optimised
        Whether the runtime may change the graph: faster, for results of the model itself.

    Raises
    ------
    RunError
        The runtime does not load it.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        outputs: Iterable[str],
        workdir: Path | None = None,
        threads: int = 0,
        *,
        optimised: bool = False,
    ) -> None:
        names = list(dict.fromkeys(outputs))
        kept = list(model.graph.output)
        declared = {value.name: value for value in kept}
        del model.graph.output[:]
        model.graph.output.extend(declared.get(name) or helper.make_empty_tensor_value_info(name) for name in names)
        options = onnxruntime.SessionOptions()
        if not optimised:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 4
        options.intra_op_num_threads = threads
        options.enable_cpu_mem_arena = False
        options.add_session_config_entry("session.disable_prepacking", "1")
        try:
            self._session = _load(model, options, workdir)
        except Exception as error:  # the runtime raises many types, all of its own
            raise RunError(f"the runtime does not load the model: {error}") from error
        finally:
            del model.graph.output[:]
            model.graph.output.extend(kept)
        self.outputs = names

    def __call__(self, feeds: Mapping[str, Array]) -> dict[str, Any]:
        """Return the values asked for, by name (arrays; lists of arrays for sequences).

        Raises
        ------
        RunError
            The run fails.
        """
        try:
            values = self._session.run(self.outputs, dict(feeds))
        except Exception as error:
            raise RunError(f"the runtime does not run the model: {error}") from error
        return dict(zip(self.outputs, values, strict=True))


def _load(model: onnx.ModelProto, options: Any, workdir: Path | None) -> Any:
    providers = ["CPUExecutionProvider"]
    data = model.SerializeToString()
    if workdir is None or len(data) < IN_MEMORY:
        return onnxruntime.InferenceSession(data, options, providers=providers)
    path = workdir / "dataflow-probe.onnx"
    try:
        path.write_bytes(data)
        del data
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    finally:
        path.unlink(missing_ok=True)


def evaluate(model: onnx.ModelProto, names: Sequence[str], feeds: Mapping[str, Array]) -> dict[str, Any]:
    """Return the values of ``names``, running only the nodes that they need.

    Raises
    ------
    RunError
        See `Runner`.
    """
    part = part_for(model, names)
    wanted = {value.name for value in part.graph.input}
    return Runner(part, names)({name: array for name, array in feeds.items() if name in wanted})


def part_for(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """Return the part of a model that the values of ``names`` need: quick to load where they stand early in it."""
    part = onnx.ModelProto()
    part.ir_version = model.ir_version
    part.opset_import.extend(model.opset_import)
    wanted = set(names)
    chosen = []
    for node in reversed(model.graph.node):
        if wanted & set(node.output):
            chosen.append(node)
            wanted |= set(node.input) | reads_of_subgraphs(node)
    part.graph.name = "part"
    part.graph.node.extend(reversed(chosen))
    part.graph.initializer.extend(tensor for tensor in model.graph.initializer if tensor.name in wanted)
    part.graph.sparse_initializer.extend(t for t in model.graph.sparse_initializer if t.values.name in wanted)
    part.graph.input.extend(value for value in model.graph.input if value.name in wanted)
    return part


def reads_of_subgraphs(node: onnx.NodeProto) -> set[str]:
    """Return every name that the node's subgraphs read, their own values included (a harmless surplus)."""
    reads: set[str] = set()
    for attribute in node.attribute:
        bodies = [attribute.g] if attribute.HasField("g") else list(attribute.graphs)
        for body in bodies:
            reads |= {value.name for value in body.output}
            for inner in body.node:
                reads |= set(inner.input) | reads_of_subgraphs(inner)
    return reads


def as_floats(value: Any) -> Array | None:
    """Return a numeric or boolean array as float32, None for anything else (sequences, strings, absent optionals)."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
        return None
    return value.astype(np.float32, copy=False)
