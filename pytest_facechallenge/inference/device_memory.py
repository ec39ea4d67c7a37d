"""Arrays that stay on a device between runs of a session, and how they are bound to its inputs and outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from pytest_facechallenge.inference.session import CPU

#: How the runtime calls the memory of a provider; of the others it takes and gives arrays of the host.
MEMORY = {CPU: "cpu", "CUDAExecutionProvider": "cuda", "TensorrtExecutionProvider": "cuda"}

Element: TypeAlias = type[np.float32] | type[np.int16]


@dataclass(frozen=True)
class Place:
    """Consecutive rows of an array on a device: what an input or an output is bound to.

    Attributes
    ----------
    memory
        A value of `MEMORY`.
    address
        Of the first element.
    shape
        Of the rows.
    element
        The type of the elements.
    """

    memory: str
    address: int
    shape: tuple[int, ...]
    element: Element

    def shaped(self, shape: tuple[int, ...]) -> Place:
        """Return the same place seen with another shape of as many elements."""
        return Place(self.memory, self.address, shape, self.element)


class DeviceArray:
    """An array that the runtime allocates on a device, with undefined contents.

    Parameters
    ----------
    shape
        [rows, columns].
    element
        The type of the elements.
    provider
        The execution provider whose memory is used, a key of `MEMORY`.

    Raises
    ------
    onnxruntime errors
        Of many types; the device has not enough memory, or does not work.
    """

    def __init__(self, shape: tuple[int, int], element: Element, provider: str) -> None:
        self.shape = shape
        self._element = element
        self._memory = MEMORY[provider]
        self._value: Any = ort.OrtValue.ortvalue_from_shape_and_type(list(shape), element, self._memory, 0)

    def rows(self, start: int, stop: int) -> Place:
        """Return where the rows ``start`` to ``stop`` lie.

        Raises
        ------
        IndexError
            They are not all in the array: a device reads beyond an end without a word.
        """
        if not 0 <= start < stop <= self.shape[0]:
            raise IndexError(f"rows {start} to {stop} of an array of {self.shape[0]}")
        size = self.shape[1] * np.dtype(self._element).itemsize
        address = int(self._value.data_ptr()) + start * size
        return Place(self._memory, address, (stop - start, self.shape[1]), self._element)

    def fill(self, values: npt.NDArray[Any]) -> None:
        """Copy values of the host, of the array's shape and element, to the device; returns when they are there."""
        self._value.update_inplace(values)


def host(array: npt.NDArray[Any]) -> Place:
    """Return where an array of the host lies (C-contiguous; the caller keeps it as long as it is bound)."""
    return Place("cpu", array.ctypes.data, array.shape, array.dtype.type)


def bind_input(binding: Any, name: str, place: Place) -> None:
    """Bind an input of a session to a place."""
    binding.bind_input(name, place.memory, 0, place.element, place.shape, place.address)


def bind_output(binding: Any, name: str, place: Place) -> None:
    """Bind an output of a session to a place, whose shape is that of the output."""
    binding.bind_output(name, place.memory, 0, place.element, place.shape, place.address)
