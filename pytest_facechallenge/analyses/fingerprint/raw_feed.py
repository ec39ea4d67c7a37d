"""A copy that takes what the server feeds, (pixel - 127.5) / 127.5, of a model that wants pixels from 0 to 255."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import helper, numpy_helper

_HALF = 127.5


def raw_copy(path: Path, target: Path) -> Path:
    """Write the copy to ``target`` and return that: two nodes in front undo the server's normalisation.

    Raises
    ------
    google.protobuf.message.DecodeError, OSError
        The file is no ONNX protobuf, or cannot be read or written.
    ValueError
        The model has no input for an image.
    """
    import numpy as np

    model = onnx.load(str(path), load_external_data=False)
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [value.name for value in model.graph.input if value.name not in stored]
    if not inputs:
        raise ValueError(f"{path.name} has no input for an image")
    name, half, scaled, raw = inputs[0], "raw_feed.half", "raw_feed.scaled", "raw_feed.pixels"
    for node in model.graph.node:
        node.input[:] = [raw if each == name else each for each in node.input]
    model.graph.initializer.append(numpy_helper.from_array(np.array(_HALF, np.float32), half))
    # Not named like a normalisation: the server would feed 0 to 255 itself then.
    front = [
        helper.make_node("Mul", [name, half], [scaled], "raw_feed_scaled"),
        helper.make_node("Add", [scaled, half], [raw], "raw_feed_pixels"),
    ]
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*front, *rest])
    target.write_bytes(model.SerializeToString())
    return target
