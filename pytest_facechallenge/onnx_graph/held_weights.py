"""Large weights of a parsed model, kept once in memory while graphs, parts of it and the runtime share them.

A parsed model hands out its weights as copies. Whoever opens many parts of a large model takes them out first: what
stays in the model is where they are, in the form of external data.
"""

from __future__ import annotations

import secrets
from math import prod
from typing import Any
from weakref import WeakValueDictionary

import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]

#: Bytes from which a weight is taken out. Smaller ones stay, where the runtime's shape inference reads them.
SMALLEST = 4096

#: Element types that numpy and the runtime write alike.
SAME_IN_MEMORY = frozenset(
    {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.INT64, TensorProto.INT32, TensorProto.INT8,
     TensorProto.UINT8}
)  # fmt: skip

#: Beginning of the location that a weight has in memory. No file can name one: it is drawn anew by every process.
_PREFIX = f"in memory {secrets.token_hex(8)} "


class HeldWeights:
    """The values that were taken out of one model; its weights are lost with this object.

    Attributes
    ----------
    arrays
        By location, read-only.
    """

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}


_HELD: WeakValueDictionary[str, HeldWeights] = WeakValueDictionary()


def take_out(model: onnx.ModelProto) -> tuple[onnx.ModelProto, HeldWeights]:
    """Return the model without the values of large weights, and those.

    Malformed ones stay: whoever reads them says what is wrong. What is given is not changed, and worth letting go of: a
    parsed message frees its memory as a whole.
    """
    lean, held = onnx.ModelProto(), HeldWeights()
    for field, value in model.ListFields():
        if field.name != "graph":
            _set(lean, field.name, value)
    lean.graph.SetInParent()
    for field, value in model.graph.ListFields():
        if field.name != "initializer":
            _set(lean.graph, field.name, value)
    for tensor in model.graph.initializer:
        values = large_values(tensor)
        if values is None:
            lean.graph.initializer.append(tensor)
            continue
        values.flags.writeable = False
        location = f"{_PREFIX}{id(held)} {len(held.arrays)}"
        held.arrays[location] = values
        _HELD[location] = held
        named = lean.graph.initializer.add(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
        mark_external(named, location)
    return lean, held


def _set(message: Any, name: str, value: Any) -> None:
    """Set a field of a message to a value of the same field of another message."""
    field = getattr(message, name)
    if hasattr(field, "extend"):
        field.extend(value)
    elif hasattr(field, "CopyFrom"):
        field.CopyFrom(value)
    else:
        setattr(message, name, value)


def mark_external(tensor: onnx.TensorProto, location: str) -> None:
    """Write into a tensor without values that they lie elsewhere."""
    length = str(_bytes(tensor))
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", length)):
        tensor.external_data.add(key=key, value=value)


def held_values(tensor: onnx.TensorProto) -> Array | None:
    """Return the values of a weight that was taken out; None for any other.

    Raises
    ------
    LookupError
        They were let go of.
    """
    if tensor.data_location != TensorProto.EXTERNAL:
        return None
    location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
    if not location.startswith(_PREFIX):
        return None
    held = _HELD.get(location)
    if held is None:
        raise LookupError(f"the values of {tensor.name!r} were let go of")
    return held.arrays[location]


def large_values(tensor: onnx.TensorProto) -> Array | None:
    """Return the values of a weight that is worth keeping apart, None for any other (malformed ones too)."""
    held = held_values(tensor)
    if held is not None:
        return held
    if tensor.data_type not in SAME_IN_MEMORY or not tensor.HasField("raw_data") or _bytes(tensor) < SMALLEST:
        return None
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError):
        return None  # the runtime says what is wrong with it


def put_back(tensor: onnx.TensorProto) -> onnx.TensorProto:
    """Return a tensor with its values inside: a copy where they were taken out."""
    values = held_values(tensor)
    return tensor if values is None else numpy_helper.from_array(values, tensor.name)


def _bytes(tensor: onnx.TensorProto) -> int:
    """Return the bytes that the values take by their declared shape."""
    return int(prod(tensor.dims) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
