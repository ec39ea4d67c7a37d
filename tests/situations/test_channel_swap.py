"""A network trained on BGR that swaps the channels itself: legal, and said to be what it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from pytest_facechallenge.core.outcome import Status
from tests.support.findings import findings
from tests.support.models import network, save

#: The constants and the nodes that make "swapped" of "input".
FORMS: dict[str, tuple[dict[str, np.ndarray], list[onnx.NodeProto]]] = {
    "Gather": (
        {"order": np.array([2, 1, 0])},
        [helper.make_node("Gather", ["input", "order"], ["swapped"], "swap", axis=1)],
    ),
    "Slice": (
        {name: np.array([value]) for name, value in (("from", -1), ("to", -(2**31)), ("axis", 1), ("step", -1))},
        [helper.make_node("Slice", ["input", "from", "to", "axis", "step"], ["swapped"], "swap")],
    ),
    "Split and Concat": (
        {},
        [
            helper.make_node("Split", ["input"], ["red", "green", "blue"], "split", axis=1),
            helper.make_node("Concat", ["blue", "green", "red"], ["swapped"], "swap", axis=1),
        ],
    ),
    "convolution": (
        {"turn": np.eye(3, dtype=np.float32)[::-1].reshape(3, 3, 1, 1).copy()},
        [helper.make_node("Conv", ["input", "turn"], ["swapped"], "swap", kernel_shape=[1, 1])],
    ),
}


def swapping(form: str) -> onnx.ModelProto:
    """Return the network behind a swap of channels."""
    constants, nodes = FORMS[form]
    model = network()
    model.graph.node[0].input[0] = "swapped"
    for node in reversed(nodes):
        model.graph.node.insert(0, node)
    model.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in constants.items())
    return model


@pytest.mark.parametrize("form", FORMS)
def test_the_swap_is_legal_and_named(tmp_path: Path, form: str) -> None:
    path = save(swapping(form), tmp_path / "model.onnx")
    found = findings(path, tmp_path / "work", probed=True)
    order = found["rgb-order"]
    assert order.status is Status.PASSED
    assert "the first layer sees BGR" in order.message
    assert any("The graph turns RGB into BGR itself" in note and "swap" in note for note in order.notes)
    said = " ".join(text for each in found.values() for text in (each.message, *each.notes)).casefold()
    assert "mirror" not in said
    assert "works on the image with its channels swapped by" in said
    assert {each.status for each in found.values()} <= {Status.PASSED, Status.NOT_APPLICABLE}
