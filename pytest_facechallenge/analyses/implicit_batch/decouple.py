"""An intervention: the weights between two groups of channels are set to zero, and each group is then fed alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from pytest_facechallenge.analyses.implicit_batch.exchange import exchange
from pytest_facechallenge.analyses.implicit_batch.layer_index import CONVOLUTIONS, Layer
from pytest_facechallenge.analyses.implicit_batch.opened import OpenedModel
from pytest_facechallenge.analyses.implicit_batch.parts import Coupling, Hypothesis
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.core.facts.interventions import Decoupled

Array = npt.NDArray[Any]
Opened = TypeVar("Opened", bound=OpenedModel)


def decouple(model: OpenedModel, hypothesis: Hypothesis, limits: Thresholds) -> Decoupled | None:
    """Take the coupling out, compare embeddings with and without it, and exchange what each group gets.

    Returns
    -------
    Decoupled or None
        None where the hypothesis names no coupling, or it cannot be taken out.

    Raises
    ------
    RunError
        The runtime refuses the network without the coupling.
    """
    coupling = hypothesis.coupling
    changed = without_coupling(model, coupling) if coupling else None
    if coupling is None or changed is None:
        return None
    images = model.feed.images.natural(limits.exchange.pairs)
    whole, apart = (_embeddings(network, images) for network in (model, changed))
    exchanged = exchange(changed, hypothesis, limits)
    if exchanged is None or whole.shape != apart.shape:
        return None
    whole, apart = (rows - rows.mean(0) for rows in (whole, apart))
    lengths = np.linalg.norm(whole, axis=1) * np.linalg.norm(apart, axis=1)
    kept = (whole * apart).sum(1) / np.maximum(lengths, 1e-30)
    return Decoupled(layers=len(coupling), kept=round(float(np.median(kept)), 4), exchanged=exchanged)


def _embeddings(model: OpenedModel, images: Array) -> Array:
    """Return the embeddings of images, float64 [n, D], each of length 1."""
    name = model.feed.output
    runner = model.open([name], model=model.variant.model)
    rows = np.stack([np.asarray(runner(model.feed(image[None]))[name], np.float64).reshape(-1) for image in images])
    scaled: Array = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)
    return scaled


def without_coupling(model: Opened, coupling: Coupling) -> Opened | None:
    """Return the model without the weights between groups of channels; None where one of them is not stored so.

    Parameters
    ----------
    coupling
        See `parts.Coupling`.
    """
    layers: dict[str, Layer] = {layer.weight: layer for layer in model.structure.layers if layer.weight in coupling}
    whole = model.variant.model
    stored = {tensor.name for tensor in whole.graph.initializer}
    made = {name for node in whole.graph.node if node.op_type == "Constant" for name in node.output}
    if not coupling.keys() <= stored | made:
        return None
    edited = onnx.ModelProto(ir_version=whole.ir_version)
    edited.opset_import.extend(whole.opset_import)
    graph = edited.graph
    graph.name = "decoupled"
    graph.input.extend(whole.graph.input)
    graph.output.extend(whole.graph.output)
    graph.node.extend(node for node in whole.graph.node if not coupling.keys() & set(node.output))
    graph.initializer.extend(tensor for tensor in whole.graph.initializer if tensor.name not in coupling)
    graph.sparse_initializer.extend(whole.graph.sparse_initializer)
    for name, layer in layers.items():
        weights = _without(model, layer, coupling)
        graph.initializer.append(numpy_helper.from_array(weights, name))
    return replace(model, variant=replace(model.variant, model=edited))


def _without(model: OpenedModel, layer: Layer, coupling: Mapping[str, tuple[Array, Array]]) -> Array:
    """Return a layer's weights with those between its groups set to zero."""
    outputs, inputs = coupling[layer.weight]
    weights = np.array(model.structure.constant(layer.weight))
    within = outputs[:, None] == inputs[None, :]
    if layer.node.op in CONVOLUTIONS:
        weights[~within] = 0
        return weights
    first = layer.node.inputs[0] == layer.data
    transposed = first != bool(layer.node.attributes.get("transB", 0))
    weights[~(within.T if transposed else within)] = 0
    return weights
