"""Run a model on chosen images and read any value inside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import helper

from pytest_facechallenge.analyses.implicit_batch.thresholds import DEFAULTS
from pytest_facechallenge.inference.session import open_session
from pytest_facechallenge.onnx_graph.held_weights import large_values, mark_external, put_back
from pytest_facechallenge.onnx_graph.protos import bodies

Array = npt.NDArray[Any]


class RunError(RuntimeError):
    """The runtime refused to load or to run a model."""


class Runner:
    """A loaded model, optimisations off, so that every value of the file exists when it runs.

    Parameters
    ----------
    model
        Weights inside (external data loaded), or taken out by `take_out`; not changed.
    outputs
        The values to return; they need not be outputs of the model.
    threads
        Of the runtime; 0 leaves it the choice.
    optimised
        Whether the runtime may change the graph: faster, for results of the model itself.
    largest
        Values beyond this are not computed with, see `Runner.__call__`.

    Attributes
    ----------
    outputs
        The names, each once.
    overflowed
        Names of values that were not finite, or beyond ``largest``, in some run.

    Raises
    ------
    RunError
        The runtime does not load it.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        outputs: Iterable[str],
        threads: int = 0,
        *,
        optimised: bool = False,
        largest: float = DEFAULTS.running.largest,
    ) -> None:
        self.outputs = list(dict.fromkeys(outputs))
        self.largest = largest
        self.overflowed: set[str] = set()
        self._weights = _large_weights(model)
        try:
            self._session = self._load(model, threads, optimised)
        except Exception as error:  # the runtime raises many types, all of its own
            raise RunError(f"the runtime does not load the model: {error}") from error

    def _load(self, model: onnx.ModelProto, threads: int, optimised: bool) -> Any:
        graph = _without(model, self._weights, self.outputs)
        try:
            return open_session(
                graph.SerializeToString(), threads=threads, optimise=optimised, spinning=True, arena=False,
                prepacking=False, log_level=4, weights=self._weights,
            )  # fmt: skip
        except Exception:
            if not self._weights:
                raise
        self._weights = {}  # the runtime misses weights that, as it sees the graph, nothing reads: all inside, then
        return self._load(model, threads, optimised)

    def __call__(self, feeds: Mapping[str, Array]) -> dict[str, Any]:
        """Return the values asked for, by name (arrays; lists of arrays for sequences).

        Numbers that are not finite, or beyond ``largest``, are clipped (to 0 where there is none) and their names put
        into ``overflowed``. Below the negative limit they are only clipped: attention masks hold such on purpose.

        Raises
        ------
        RunError
            The run fails.
        """
        return {name: self._clipped(name, value) for name, value in self.raw(feeds).items()}

    def raw(self, feeds: Mapping[str, Array]) -> dict[str, Any]:
        """Return the values asked for as the runtime gives them.

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

    def _clipped(self, name: str, value: Any) -> Any:
        if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or value.size == 0:
            return value
        low, high = float(value.min()), float(value.max())  # NaN when there is one
        if low >= -self.largest and high <= self.largest:
            return value
        if not high <= self.largest:
            self.overflowed.add(name)
        limit = min(self.largest, float(np.finfo(value.dtype).max))
        return np.clip(np.nan_to_num(value, nan=0.0, posinf=limit, neginf=-limit), -limit, limit)

    def survey(self, feeds: Mapping[str, Array]) -> dict[str, Held]:
        """Return the tensors asked for without copying them: for all values of a model, of which few are read.

        Raises
        ------
        RunError
            The run fails.
        """
        given = {name: Held.of(array)._value for name, array in feeds.items()}
        try:
            values = self._session.run_with_ort_values(self.outputs, given)
        except Exception as error:
            raise RunError(f"the runtime does not run the model: {error}") from error
        return {
            name: Held(value) for name, value in zip(self.outputs, values, strict=True)
            if value.has_value() and value.is_tensor()
        }  # fmt: skip


class Held:
    """A tensor that stays with the runtime until its numbers are asked for.

    Attributes
    ----------
    shape
        Of the tensor.
    """

    def __init__(self, value: Any) -> None:
        self._value = value
        self.shape: tuple[int, ...] = tuple(value.shape())

    @classmethod
    def of(cls, array: Array) -> Held:
        """Return an array as the runtime holds one."""
        return cls(onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array)))

    def array(self) -> Array:
        """Return a copy of the values.

        Raises
        ------
        RunError
            They are of a type that numpy does not have.
        """
        try:
            return np.asarray(self._value.numpy())
        except Exception as error:
            raise RunError(f"a value of shape {self.shape} cannot be read: {error}") from error


def _large_weights(model: onnx.ModelProto) -> dict[str, Any]:
    """Return the large weights that nodes read, by name, as the runtime takes them from memory."""
    read: set[str] = set()
    for node in model.graph.node:
        read |= set(node.input) | reads_of_subgraphs(node)
    arrays = {tensor.name: large_values(tensor) for tensor in model.graph.initializer if tensor.name in read}
    return {
        name: onnxruntime.OrtValue.ortvalue_from_numpy(array) for name, array in arrays.items() if array is not None
    }


def _without(model: onnx.ModelProto, weights: Mapping[str, Any], outputs: Sequence[str]) -> onnx.ModelProto:
    """Return the model without the values of some weights: to write and read those takes longer than to run it."""
    declared = {value.name: value for value in model.graph.output}
    bare = onnx.ModelProto(ir_version=model.ir_version)
    bare.opset_import.extend(model.opset_import)
    bare.functions.extend(model.functions)
    graph = bare.graph
    graph.name = model.graph.name or "graph"
    graph.node.extend(model.graph.node)
    graph.input.extend(model.graph.input)
    graph.value_info.extend(model.graph.value_info)
    graph.sparse_initializer.extend(model.graph.sparse_initializer)
    graph.output.extend(declared.get(name) or helper.make_empty_tensor_value_info(name) for name in outputs)
    for tensor in model.graph.initializer:
        if tensor.name not in weights:
            graph.initializer.append(put_back(tensor))
            continue
        named = graph.initializer.add(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
        mark_external(named, "in memory")
    return bare


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
    for body in bodies(node):
        reads |= {value.name for value in body.output}
        for inner in body.node:
            reads |= set(inner.input) | reads_of_subgraphs(inner)
    return reads


def as_floats(value: Any) -> Array | None:
    """Return a numeric or boolean array as float32, None for anything else (sequences, strings, absent optionals)."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
        return None
    return value.astype(np.float32, copy=False)
