"""What runs into the run's limit of memory is told as that: it is never taken for an answer about the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper, numpy_helper, reference, shape_inference
from PIL import Image

from pytest_facechallenge.analyses.preprocessing.follow import constant_value
from pytest_facechallenge.embedding import image
from pytest_facechallenge.onnx_graph.ir import Graph, from_model
from pytest_facechallenge.onnx_graph.open_shapes import infer_open
from tests.support.models import network


def no_memory(*_: object, **__: object) -> None:
    raise MemoryError


@pytest.fixture
def graph() -> Graph:
    tail = [helper.make_node("Neg", ["k"], ["minus"]), helper.make_node("Add", ["embedding", "minus"], ["row"])]
    return from_model(network(tail=tail, output="row", constants={"k": np.ones(64, np.float32)}), Path())


def test_shapes(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shape_inference, "infer_shapes", no_memory)
    with pytest.raises(MemoryError):
        infer_open(graph)


def test_values(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "ReferenceEvaluator", no_memory)
    with pytest.raises(MemoryError):
        constant_value(graph, "minus")
    monkeypatch.setattr(numpy_helper, "to_array", no_memory)
    with pytest.raises(MemoryError):
        graph.constants["k"].array()


def test_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "open", no_memory)
    with pytest.raises(MemoryError):
        image.decode(b"\xff\xd8\xff")
