"""Run what depends on one value of the network alone, with that value replaced."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from pytest_facechallenge.analyses.implicit_batch.opened import OpenedModel
from pytest_facechallenge.analyses.implicit_batch.runner import RunError, Runner
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds

Array = npt.NDArray[Any]

#: (values of the source [probes, *shape], names) -> by name, [probes, *shape].
Run = Callable[[Array, list[str]], dict[str, Array]]


def cut_at(model: OpenedModel, source: str, limits: Thresholds) -> tuple[Run, Array]:
    """Return a function that runs what depends on ``source``, and the source's values for the noise images.

    Raises
    ------
    RunError
        The source's values cannot be computed.
    """
    structure, feed = model.structure, model.feed
    noise = feed.images.noise(limits.signatures.probes)
    if source == structure.image:
        return _runs(model.open, lambda value: feed(value[None])), noise
    runner = model.open([source])
    base = stacked_runs(runner, [feed(value[None]) for value in noise], [source])[source]
    part = _part_behind(model, source, base)
    return _runs(partial(model.open, model=part), lambda value: {source: value}), base


def _part_behind(model: OpenedModel, source: str, base: Array) -> onnx.ModelProto:
    """Return the model of what depends on ``source`` and on nothing else of the image."""
    structure, whole = model.structure, model.variant.model
    part = onnx.ModelProto(ir_version=whole.ir_version)
    part.opset_import.extend(whole.opset_import)
    part.graph.name = "part"
    kind = helper.np_dtype_to_tensor_dtype(base.dtype)
    part.graph.input.append(helper.make_tensor_value_info(source, kind, None))
    kept, fixed = {source}, set()
    for node in structure.nodes:
        outputs = {name for name in node.outputs if name}
        reads = [name for name in node.inputs if name in structure.varying]
        if source in outputs or not reads or not all(name in kept for name in reads):
            continue
        part.graph.node.append(node.proto)
        kept |= outputs
        fixed |= set(node.inputs) - structure.varying - {""}
    stored = {tensor.name for tensor in whole.graph.initializer}
    part.graph.initializer.extend(tensor for tensor in whole.graph.initializer if tensor.name in fixed)
    part.graph.sparse_initializer.extend(whole.graph.sparse_initializer)
    for name in fixed - stored:
        # What was computed from constants, or from the image's shape alone, is known for one image: freeze it. A single
        # number stays one: a Gather of one index has an axis less than that of a list of one.
        value = structure.constant(name)
        if value is not None:
            part.graph.initializer.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
    return part


def _runs(opened: Callable[[list[str]], Runner], feeds: Callable[[Array], dict[str, Array]]) -> Run:
    """Return a function that runs a model on values one by one; a session serves all calls for the same results."""
    runners: dict[tuple[str, ...], Runner] = {}

    def run(values: Array, names: list[str]) -> dict[str, Array]:
        key = tuple(names)
        if key not in runners:
            runners[key] = opened(names)
        return stacked_runs(runners[key], [feeds(value) for value in values], names)

    return run


def stacked_runs(runner: Runner, feeds: list[dict[str, Array]], names: list[str]) -> dict[str, Array]:
    """Run a model for each of the feeds and return its values stacked, [feeds, *shape] by name.

    Raises
    ------
    RunError
        A value has another size for another feed.
    """
    results = [runner(entry) for entry in feeds]
    found: dict[str, Array] = {}
    for name in names:
        arrays = [np.asarray(result[name]) for result in results]
        if len({array.shape for array in arrays}) > 1:
            raise RunError(f"the size of {name!r} depends on the image")
        found[name] = np.stack(arrays)
    return found
