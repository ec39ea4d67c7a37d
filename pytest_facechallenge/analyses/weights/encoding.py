"""How many bits an element takes in the file: protobuf writes small integers of a list short, whatever their type."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx

from pytest_facechallenge.core import dtypes

#: Seven bits of a number fit into each byte of a varint; a negative number takes ten bytes.
PAYLOAD = 7


def varint_bytes(numbers: npt.NDArray[np.uint64]) -> int:
    """Return the bytes that protobuf writes for ``numbers``, each as a varint of one to ten bytes.

    Source: the encoding of integers in the Protocol Buffers specification.
    """
    total = numbers.size
    rest = numbers >> np.uint64(PAYLOAD)
    while rest.any():
        total += int(np.count_nonzero(rest))
        rest = rest >> np.uint64(PAYLOAD)
    return total


def stored_bits(tensor: onnx.TensorProto, elements: int) -> int | None:
    """Return the bits of one element of an integer tensor as the file holds it; None when its type says it already.

    Raw and external data have the width of the type. A list of integers has the width that its values need: an int32
    below 128 takes one byte.
    """
    declared = dtypes.bits(onnx.TensorProto.DataType.Name(tensor.data_type).lower()) if _known(tensor) else 0
    if declared < dtypes.WIDE or not elements:
        return None
    fields = (tensor.int32_data, tensor.int64_data, tensor.uint64_data)
    held = next((field for field in fields if len(field)), None)
    if held is None:
        return None
    signed = held is not tensor.uint64_data
    numbers = np.array(held, np.int64 if signed else np.uint64)
    return min(declared, 8 * varint_bytes(numbers.view(np.uint64)) // elements)


def _known(tensor: onnx.TensorProto) -> bool:
    return tensor.data_type in onnx.TensorProto.DataType.values()
