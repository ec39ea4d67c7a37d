"""Short names that no two submissions share."""

from __future__ import annotations

import pytest

from pytest_facechallenge.engine.arguments import short_names


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/a/model.onnx"], ["model.onnx"]),
        (["/x/alice/model.onnx", "/x/bob/model.onnx"], ["alice/model.onnx", "bob/model.onnx"]),
        (["/x/1/a/m.onnx", "/x/2/a/m.onnx", "/x/n.onnx"], ["1/a/m.onnx", "2/a/m.onnx", "n.onnx"]),
        (["/a/m.onnx", "/a/m.onnx"], ["/a/m.onnx", "/a/m.onnx"]),
    ],
)
def test_short_names(paths: list[str], names: list[str]) -> None:
    assert short_names(paths) == names
