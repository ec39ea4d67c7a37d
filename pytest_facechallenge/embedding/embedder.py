"""A model ready to embed: a session of the runtime, and what identifies its results."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import onnx

from pytest_facechallenge.embedding.image import SIDE
from pytest_facechallenge.inference.session import DeviceError, Session, describe_runtime
from pytest_facechallenge.onnx_graph.protos import bodies

Float32Array: TypeAlias = npt.NDArray[np.float32]

_INPUT_TYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}


class EmbeddingError(RuntimeError):
    """The model gives no embeddings for a batch of images; the message says what it gave instead."""


class Embedder:
    """A model that turns a batch of inputs into embeddings.

    Parameters
    ----------
    model_path
        The .onnx file.
    device
        See `pytest_facechallenge.inference.session.Session`.
    threads
        Of the runtime; 0 lets it choose.
    batch
        Images a run; a model with a fixed batch gets that one.

    Raises
    ------
    DeviceError
        The device is unknown or did not start.
    EmbeddingError
        The model does not load, or its input is not one 3x112x112 image stack.
    """

    def __init__(self, model_path: Path, *, device: str = "auto", threads: int = 0, batch: int = 32) -> None:
        self.model_path = model_path
        session = _open(model_path, device, threads)
        self.ort_session = session.ort_session
        inputs = self.ort_session.get_inputs()
        shape = inputs[0].shape if inputs else []
        if len(inputs) != 1 or len(shape) != 4 or inputs[0].type not in _INPUT_TYPES:
            found = "; ".join(f"{item.name} {item.type} {item.shape}" for item in inputs)
            raise EmbeddingError(
                f"expected one floating-point input [batch, 3, {SIDE}, {SIDE}], found {found or 'none'}"
            )
        self._input = inputs[0].name
        self._dtype = _INPUT_TYPES[inputs[0].type]
        self._output = self.ort_session.get_outputs()[0].name
        self.batch = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else batch
        self.fixed_batch = self.batch if isinstance(shape[0], int) and shape[0] > 0 else 0
        self.provider: str = session.providers[0]
        self.runtime: str = describe_runtime()
        self.sha256 = model_hash(model_path)

    def run(self, inputs: Float32Array) -> Float32Array:
        """Embed a batch.

        Parameters
        ----------
        inputs : float32 [n, 3, 112, 112]
            n at most ``batch``; a model with a fixed batch is fed repetitions of the last image up to its batch.

        Returns
        -------
        float32 [n, D]

        Raises
        ------
        EmbeddingError
            The runtime fails, or the output does not have one row an image.
        """
        count = len(inputs)
        if self.fixed_batch and count < self.fixed_batch:
            inputs = np.concatenate([inputs, np.repeat(inputs[-1:], self.fixed_batch - count, axis=0)])
        try:
            output = self.ort_session.run([self._output], {self._input: inputs.astype(self._dtype, copy=False)})[0]
        except Exception as error:  # onnxruntime's errors have no common public base
            raise EmbeddingError(f"the runtime failed on a batch of {len(inputs)} images: {error}") from error
        if output.ndim < 2 or output.shape[0] != len(inputs):
            raise EmbeddingError(
                f"a batch of {len(inputs)} images must give {len(inputs)} embeddings; output {self._output!r} has "
                f"the shape {list(output.shape)}"
            )
        rows: Float32Array = output.reshape(len(output), -1)[:count].astype(np.float32, copy=False)
        return rows


def model_hash(path: Path) -> str:
    """Return the SHA-256 of a model file and of the files that hold its external weights.

    A missing external file changes the hash but raises nothing: loading the model will say so.
    """
    digest = hashlib.sha256(path.read_bytes())
    model = onnx.load(path, load_external_data=False)
    for location in sorted(set(_external_files(model.graph))):
        digest.update(location.encode())
        side = path.parent / location
        if side.is_file():
            with side.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _external_files(graph: onnx.GraphProto) -> Iterator[str]:
    tensors = list(graph.initializer)
    for node in graph.node:
        for attribute in node.attribute:
            tensors += [attribute.t, *attribute.tensors]
        for inner in bodies(node):
            yield from _external_files(inner)
    for tensor in tensors:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            yield from (entry.value for entry in tensor.external_data if entry.key == "location")


def _open(path: Path, device: str, threads: int) -> Session:
    try:
        return Session(path, device, threads)
    except DeviceError:
        raise
    except Exception as error:  # onnxruntime's errors have no common public base
        raise EmbeddingError(f"{describe_runtime()} does not load {path.name}: {error}") from error
