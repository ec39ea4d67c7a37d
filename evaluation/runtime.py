"""Running the networks: sessions on one thread, and a network as a function of images."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort

from evaluation.builder import Array


def session(model: onnx.ModelProto, *, optimise: bool = True) -> ort.InferenceSession:
    """Open a model on one CPU thread, quietly; small models that run once open faster without graph optimisation."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if not optimise:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def embed(model: onnx.ModelProto, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Run a one-input model and return its first output."""
    opened = session(model, optimise=False)
    return np.asarray(opened.run(None, {opened.get_inputs()[0].name: images})[0])


class Network:
    """One network, opened when it is first called: images [N, 3, 112, 112] to embeddings [N, D]."""

    def __init__(self, build: Callable[[], onnx.ModelProto], *, optimise: bool = True) -> None:
        self._open = lru_cache(lambda: session(build(), optimise=optimise))

    def __call__(self, images: Array, **more: Array) -> Array:
        opened = self._open()
        first = opened.get_inputs()[0].name
        feeds = {first: images.astype(np.float32)} | {key: item.astype(np.float32) for key, item in more.items()}
        return np.asarray(opened.run(None, feeds)[0])
