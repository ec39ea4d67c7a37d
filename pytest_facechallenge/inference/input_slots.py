"""Batches on their way into a session: memory that is used again, and on a GPU is there before the model needs it."""

from __future__ import annotations

import ctypes
import queue
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from pytest_facechallenge.inference.device_memory import MEMORY, DeviceArray, bind_input
from pytest_facechallenge.inference.session import CPU

Float32Array = npt.NDArray[np.float32]


def has_memory_of_its_own(provider: str) -> bool:
    """Whether a provider's inputs lie on a device; of those that are not known the runtime moves them."""
    return MEMORY.get(provider, "cpu") != "cpu"


class Slot:
    """Room for one batch.

    Attributes
    ----------
    host : float32 [batch, ...]
        Where the batch is written; page-locked memory for a GPU where the runtime gives it.
    """

    def __init__(self, shape: tuple[int, ...], provider: str) -> None:
        rows, values = shape[0], int(np.prod(shape[1:]))
        self._device = None
        self._locked: Any = None
        if has_memory_of_its_own(provider):
            self._device = DeviceArray((rows, values), np.float32, provider)
            self._locked = _page_locked(shape, provider)
        self.host: Float32Array = np.empty(shape, np.float32)
        if self._locked is not None:
            size = rows * values
            memory = (ctypes.c_float * size).from_address(self._locked.data_ptr())
            self.host = np.ctypeslib.as_array(memory).reshape(shape)

    def upload(self) -> None:
        """Copy what was written to the device; nothing where the model runs on the processor."""
        if self._device is not None:
            self._device.fill(self.host.reshape(len(self.host), -1))

    def run(self, session: Any, name: str, output: str, count: int) -> npt.NDArray[Any]:
        """Run a session on the first ``count`` rows and return an output, as an array of the host.

        Raises
        ------
        onnxruntime errors
            The run failed.
        """
        if self._device is None:
            found: npt.NDArray[Any] = session.run([output], {name: self.host[:count]})[0]
            return found
        binding = session.io_binding()
        place = self._device.rows(0, count)
        bind_input(binding, name, place.shaped((count, *self.host.shape[1:])))
        binding.bind_output(output, "cpu")
        session.run_with_iobinding(binding)
        moved: npt.NDArray[Any] = binding.get_outputs()[0].numpy()
        return moved


class Slots:
    """As many slots as batches can be under way; who takes one gives it back when its batch has run.

    Parameters
    ----------
    shape
        [batch, ...] of an input.
    provider
        The execution provider that runs the model.
    count
        Slots; they are made when they are first needed.
    """

    def __init__(self, shape: tuple[int, ...], provider: str, count: int) -> None:
        self._shape, self._provider = shape, provider
        self._free: queue.LifoQueue[Slot | None] = queue.LifoQueue()
        for _ in range(count):
            self._free.put(None)

    def take(self) -> Slot:
        """Return a slot that nobody uses; waits until there is one."""
        return self._free.get() or Slot(self._shape, self._provider)

    def give_back(self, slot: Slot) -> None:
        """Say that a slot's batch has run, or never will."""
        self._free.put(slot)


def _page_locked(shape: tuple[int, ...], provider: str) -> Any:
    """Return page-locked memory of the runtime as an OrtValue, or None where it has none to give.

    A device copies from it without a detour and at several times the speed; versions before 1.23 do not offer it.
    """
    if provider == CPU:
        return None
    try:
        for device in ort.get_ep_devices():
            info = device.memory_info(ort.OrtDeviceMemoryType.HOST_ACCESSIBLE)
            if device.ep_name == provider and info is not None:
                return ort.OrtValue.ortvalue_from_shape_and_type(list(shape), np.float32, memory_info=info)
    except Exception:  # an older runtime, or one without an allocator for it: copies are slower then, no more
        return None
    return None
