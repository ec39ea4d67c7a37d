"""Conditions on the size of a tensor: whether the batch decides them, or the model's own, fixed extents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

Feeds = Mapping[str, npt.NDArray[Any]]

#: Operators that take entries out of a shape.
PICKING = frozenset({"Gather", "Slice"})

#: Batches for which entries of a shape are compared: an extent that the batch enters differs between these.
BATCHES = (1, 2, 3)


def is_fixed(
    condition: str,
    nodes: Sequence[onnx.NodeProto],
    feeds: Feeds,
    value: Callable[[str, Feeds], npt.NDArray[Any]],
) -> bool:
    """Whether a condition on sizes is the same whatever the batch: all extents it is made of are fixed.

    An exporter guards a squeeze by such a condition. One that reads how many images there are is another thing, and no
    value of it for a few batches says what it is for others.

    Parameters
    ----------
    condition
        Name of a value that does not depend on what the image shows.
    nodes
        Those before it.
    feeds
        One image, by name.
    value
        (name, feeds) -> the value.
    """
    producers = {name: node for node in nodes for name in node.output}
    pending, seen = [condition], {condition}
    batches = [{name: np.repeat(array, count, axis=0) for name, array in feeds.items()} for count in BATCHES]
    while pending:
        node = producers.get(pending.pop())
        if node is None:
            continue
        read = producers.get(node.input[0]) if node.input else None
        picked = node.op_type in PICKING and read is not None and read.op_type == "Shape"
        if picked or node.op_type in ("Shape", "Size"):
            first, *others = (value(node.output[0], batch) for batch in batches)
            if any(not np.array_equal(first, other) for other in others):
                return False
            continue
        fresh = set(node.input) - seen - {""}
        seen |= fresh
        pending.extend(fresh)
    return True
