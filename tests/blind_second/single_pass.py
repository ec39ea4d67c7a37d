"""Signs of a second run that every network shows by itself: weights read twice, filters that are copies, more rows."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper
from scipy.spatial.distance import pdist

from tests.blind.net import Array
from tests.blind.test_blind_builds import second_runs

LENGTH, ALIKE = 9, 1e-4


def _filters(made: onnx.ModelProto, constants: bool) -> dict[int, list[Array]]:
    """Collect the filters by their length: the slices along the first axis, and the columns of matrices."""
    found: dict[int, list[Array]] = {}
    for item in made.graph.initializer:
        array = numpy_helper.to_array(item)
        if array.dtype != np.float32 or array.ndim < 2 or (item.name.startswith("const_") and not constants):
            continue
        sides = [array.reshape(len(array), -1), array.reshape(-1, array.shape[-1]).T]
        for rows in sides if array.ndim in (2, 3) else sides[:1]:
            if rows.shape[1] >= LENGTH and len(np.unique(np.abs(rows[0]))) > 0.7 * rows.shape[1]:
                found.setdefault(rows.shape[1], []).append(rows)
    return found


def copied_filters(made: onnx.ModelProto, constants: bool = False) -> int:
    """Count pairs of filters alike but for order, sign and scale; ``constants`` includes fixed arrays."""
    count = 0
    for groups in _filters(made, constants).values():
        rows = np.sort(np.abs(np.concatenate(groups)), axis=1)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        count += int((pdist(rows, "chebyshev") < ALIKE).sum()) if len(rows) > 1 else 0
    return count


__all__ = ["copied_filters", "second_runs"]
