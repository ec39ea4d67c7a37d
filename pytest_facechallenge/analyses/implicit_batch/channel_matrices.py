"""What a single linear node makes of the channels of a value: matrices, factors, and where their axis goes."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.layer_index import Structure
from pytest_facechallenge.onnx_graph.ir import Node

Array = npt.NDArray[Any]


def at_waves(weights: Array, node: Node, groups: int, waves: Array) -> Array:
    """Return what a convolution makes of plane waves: complex64 [waves, outputs, inputs]."""
    down, right = node.attributes.get("dilations") or (1, 1)
    top, left = (node.attributes.get("pads") or (0, 0, 0, 0))[:2]
    rows, columns = np.arange(weights.shape[2]) * down - top, np.arange(weights.shape[3]) * right - left
    places = np.stack([np.repeat(rows, len(columns)), np.tile(columns, len(rows))])
    phases = np.exp(1j * (waves @ places)).astype(np.complex64)  # [waves, taps]
    flat = weights.reshape(*weights.shape[:2], -1).astype(np.float32)
    kernels: Array = np.moveaxis(flat @ phases.T, 2, 0)
    if groups == 1:
        return kernels
    inputs, outputs = flat.shape[1], len(flat) // groups
    full = np.zeros((len(waves), len(flat), inputs * groups), np.complex64)
    for group in range(groups):
        part = slice(group * outputs, (group + 1) * outputs)
        full[:, part, group * inputs : (group + 1) * inputs] = kernels[:, part]
    return full


def channel_factors(structure: Structure, node: Node, data: int, axis: int, rank: int) -> Array | None:
    """Return what each channel is multiplied by; None where it is not one number for all of a channel."""
    if node.op == "BatchNormalization":
        values = [structure.constant(name) for name in node.inputs[1:5]]
        if len(values) < 4 or any(value is None for value in values):
            return None
        gamma, _, _, variance = (np.asarray(value, np.float64) for value in values)
        scale: Array = gamma / np.sqrt(variance + float(node.attributes.get("epsilon", 1e-5)))
        return scale
    constant = structure.constant(node.inputs[1 - data])
    if constant is None or constant.dtype.kind != "f" or constant.ndim > rank:
        return None
    shape = (1,) * (rank - constant.ndim) + constant.shape
    if prod(shape) != shape[axis]:
        return None
    number = np.asarray(constant, np.float64).reshape(-1)
    if node.op == "Div":
        return 1 / number if number.all() else None
    return number


def moved_axis(before: tuple[int, ...], after: tuple[int, ...], axis: int, node: Node) -> int | None:
    """Return where the axis of the channels is behind a change of layout; None where they are taken apart."""
    if node.op == "Transpose":
        order = list(node.attributes.get("perm") or range(len(before))[::-1])
        return order.index(axis)
    if before == after:
        return axis
    ahead = prod(before[:axis])
    fits = [
        place for place, extent in enumerate(after)
        if extent == before[axis] and prod(after[:place]) == ahead
    ]  # fmt: skip
    return fits[0] if len(fits) == 1 or (fits and before[axis] > 1) else None
