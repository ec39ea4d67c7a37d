"""Widths and families of the ONNX element types, by name, so that types newer than the installed onnx are known too."""

from __future__ import annotations

import re

#: Bits of one element. Source: the comments of onnx.proto on TensorProto.DataType.
BITS: dict[str, int] = {
    "float": 32, "double": 64, "float16": 16, "bfloat16": 16,
    "int8": 8, "uint8": 8, "int16": 16, "uint16": 16, "int32": 32, "uint32": 32, "int64": 64, "uint64": 64,
    "bool": 8, "complex64": 64, "complex128": 128,
    "int4": 4, "uint4": 4, "int2": 2, "uint2": 2,
    "float8e4m3fn": 8, "float8e4m3fnuz": 8, "float8e5m2": 8, "float8e5m2fnuz": 8, "float8e8m0": 8, "float4e2m1": 4,
}  # fmt: skip

#: A floating type has its width behind the word: float8e5m2, bfloat16.
_FLOAT = re.compile(r"b?float(\d*)")

WIDE = 32


def bits(dtype: str) -> int:
    """Return the bits of one element; 0 for strings and for types nobody knows."""
    if dtype in BITS:
        return BITS[dtype]
    match = _FLOAT.match(dtype)
    return int(match[1]) if match and match[1] else 0


def is_float(dtype: str) -> bool:
    """Return whether the type holds floating-point (or complex) numbers."""
    return dtype.startswith(("float", "bfloat", "double", "complex"))


def is_narrow_float(dtype: str) -> bool:
    """Return whether the type is a floating type of fewer than 32 bits."""
    return is_float(dtype) and bits(dtype) < WIDE


def is_integer(dtype: str) -> bool:
    """Return whether the type holds integers or booleans."""
    return dtype.startswith(("int", "uint", "bool"))
