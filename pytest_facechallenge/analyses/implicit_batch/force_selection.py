"""Selections by what the image shows: a second view can be given to chosen rows only, and no If says so."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

#: Operator -> position of the input that says which elements are selected.
SELECTING = {"NonZero": 0, "Compress": 1}


def select_everything(model: onnx.ModelProto, image: str) -> onnx.ModelProto | None:
    """Return the model with every selection that depends on the image taking everything, None when there is none.

    Parameters
    ----------
    model
        Without control flow.
    image
        Name of the input.
    """
    varying = {image}
    chosen: list[int] = []
    for index, node in enumerate(model.graph.node):
        if node.op_type in ("Shape", "Size") or not varying & set(node.input):
            continue
        varying |= set(node.output)
        place = SELECTING.get(node.op_type)
        if place is not None and place < len(node.input) and node.input[place] in varying:
            chosen.append(index)
    if not chosen:
        return None
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    nodes = list(changed.graph.node)
    del changed.graph.node[:]
    for index, node in enumerate(nodes):
        if index in chosen:
            place = SELECTING[node.op_type]
            everything = f"{node.name or node.output[0]}/everything"
            one = numpy_helper.from_array(np.ones(1, bool if node.op_type == "Compress" else np.int64), "one")
            changed.graph.node.append(helper.make_node("Shape", [node.input[place]], [f"{everything}/shape"]))
            changed.graph.node.append(
                helper.make_node("ConstantOfShape", [f"{everything}/shape"], [everything], name=everything, value=one)
            )
            node.input[place] = everything
        changed.graph.node.append(node)
    return changed
