"""Making a fixed batch axis symbolic, as the evaluation server does: made here once, for every step that runs a model.

Also freeing a Reshape whose constant holds a batch. The server does not do that: it shows what such a Reshape hides.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

#: The name of the repaired copy; beside the model, so that weights in side files are found.
REPAIRED = "batch_made_symbolic.onnx"
#: The name of the symbolic axis.
SYMBOL = "N"


def make_batch_symbolic(model: onnx.ModelProto) -> None:
    """Make the first axis of every input and output symbolic, in place.

    Shapes of the values in between, which hold for the old batch, are dropped; runtimes infer them anew.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    for value in [*model.graph.input, *model.graph.output]:
        dims = value.type.tensor_type.shape.dim
        if value.name not in constants and len(dims):
            dims[0].Clear()
            dims[0].dim_param = SYMBOL
    del model.graph.value_info[:]


def repaired_copy(path: Path, freed: Collection[str] = (), name: str = REPAIRED) -> Path:
    """Write a copy of the model at ``path`` with a symbolic batch beside it, and return its path.

    Parameters
    ----------
    freed
        Labels of Reshape nodes to free as well; see `free_reshapes`.
    """
    model = onnx.load(str(path), load_external_data=False)
    make_batch_symbolic(model)
    if freed:
        free_reshapes(model, freed)
    target = path.with_name(name)
    part = target.with_suffix(".part")
    part.write_bytes(model.SerializeToString())
    return part.replace(target)


def label_of(node: onnx.NodeProto, index: int) -> str:
    """Return how findings call a node of the main graph."""
    return node.name or f"{node.op_type}_{index}"


def free_reshapes(model: onnx.ModelProto, labels: Collection[str]) -> list[str]:
    """Let the Reshape nodes of these labels keep the batch that they get, in place; return the labels of those changed.

    The first extent of the constant becomes -1, or 0 ("as it comes") where another one is -1 already.
    """
    stored = dict(_constants(model.graph))
    changed: list[str] = []
    for index, node in enumerate(model.graph.node):
        label = label_of(node, index)
        if label not in labels or node.op_type != "Reshape" or node.input[1] not in stored:
            continue
        extents = stored[node.input[1]].astype(np.int64).ravel()
        if not extents.size:
            continue
        extents = extents.copy()
        extents[0] = 0 if -1 in extents[1:] else -1
        name = f"{node.input[1]}/free_batch_{index}"
        model.graph.initializer.append(numpy_helper.from_array(extents, name))
        node.input[1] = name
        kept = [attribute for attribute in node.attribute if attribute.name != "allowzero"]
        del node.attribute[:]
        node.attribute.extend(kept)
        changed.append(label)
    return changed


def _constants(graph: onnx.GraphProto) -> Iterator[tuple[str, np.ndarray[tuple[int, ...], np.dtype[np.int64]]]]:
    """Yield the stored integers of the main graph by name."""
    for tensor in graph.initializer:
        if tensor.data_type == onnx.TensorProto.INT64 and tensor.data_location != onnx.TensorProto.EXTERNAL:
            yield tensor.name, numpy_helper.to_array(tensor)
    for node in graph.node:
        if node.op_type != "Constant" or node.domain not in ("", "ai.onnx"):
            continue
        for attribute in node.attribute:
            if attribute.name == "value" and attribute.t.data_type == onnx.TensorProto.INT64:
                yield node.output[0], numpy_helper.to_array(attribute.t)
            elif attribute.name == "value_ints":
                yield node.output[0], np.array(attribute.ints, np.int64)
