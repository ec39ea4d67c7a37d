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
from pytest_facechallenge.inference.input_slots import Slot, Slots
from pytest_facechallenge.inference.session import CPU, DeviceError, Session, describe_runtime
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

    def slots(self, count: int) -> Slots:
        """Return room for ``count`` batches on their way into the model."""
        provider = self.provider if self._dtype == np.float32 else CPU
        return Slots((self.batch, 3, SIDE, SIDE), provider, count)

    def fill_up(self, slot: Slot, count: int) -> None:
        """Make a slot with ``count`` images ready: for a model with a fixed batch the last one is repeated."""
        if self.fixed_batch:
            slot.host[count:] = slot.host[count - 1]
        slot.upload()

    def run(self, slot: Slot, count: int) -> Float32Array:
        """Embed a batch that `fill_up` made ready.

        Parameters
        ----------
        slot
            Of `slots`.
        count
            Images in it, 1 to ``batch``.

        Returns
        -------
        float32 [count, D]

        Raises
        ------
        EmbeddingError
            The runtime fails, or the output does not have one row an image.
        """
        fed = self.fixed_batch or count
        try:
            if self._dtype == np.float32:
                output = slot.run(self.ort_session, self._input, self._output, fed)
            else:
                output = self.ort_session.run([self._output], {self._input: slot.host[:fed].astype(self._dtype)})[0]
        except Exception as error:  # onnxruntime's errors have no common public base
            raise EmbeddingError(f"the runtime failed on a batch of {fed} images: {error}") from error
        if output.ndim < 2 or output.shape[0] != fed:
            raise EmbeddingError(
                f"a batch of {fed} images must give {fed} embeddings; output {self._output!r} has "
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
