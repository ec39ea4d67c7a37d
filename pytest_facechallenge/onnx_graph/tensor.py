"""A constant of a graph, whose values are read when somebody asks for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx
from onnx import numpy_helper

from pytest_facechallenge.onnx_graph.held_weights import held_values
from pytest_facechallenge.onnx_graph.local_functions import GraphError
from pytest_facechallenge.onnx_graph.protos import count


class Tensor:
    """A constant of the graph.

    Attributes
    ----------
    name, where
        Its name, and where it is stored, in words ("initializer 'w'", "Constant node 'c3' in 'If_2'.then_branch").
    shape, dtype
        As declared; ``dtype`` is the ONNX name in lower case ("float", "float16", "int4", "string").
    """

    def __init__(self, proto: onnx.TensorProto, name: str, where: str, folder: Path) -> None:
        self.proto = proto
        self.name = name
        self.where = where
        self.shape: tuple[int, ...] = tuple(proto.dims)
        self._folder = folder

    @property
    def dtype(self) -> str:
        """The ONNX element type in lower case."""
        try:
            return str(onnx.TensorProto.DataType.Name(self.proto.data_type)).lower()
        except ValueError:
            return f"unknown type {self.proto.data_type}"

    @property
    def size(self) -> int:
        """Number of elements that the shape declares."""
        return count(self.shape)

    @property
    def external(self) -> bool:
        """Whether the values lie in a side file."""
        return self.proto.data_location == onnx.TensorProto.EXTERNAL

    def array(self) -> npt.NDArray[Any]:
        """Return the values, in the tensor's own shape and dtype.

        Raises
        ------
        GraphError
            When the data is missing, too short, or lies outside the model's folder.
        """
        try:
            held = held_values(self.proto)
            if held is not None:
                return held
            return numpy_helper.to_array(self.proto, base_dir=str(self._folder))
        except MemoryError:  # the run's limit shows nothing about the model
            raise
        except Exception as error:  # onnx raises many types here; all mean that the tensor cannot be read
            raise GraphError(f"{self.where}: its values cannot be read: {error}") from error

    def __repr__(self) -> str:
        return f"Tensor({self.name!r}, {self.dtype}, {self.shape})"
