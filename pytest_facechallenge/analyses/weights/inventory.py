"""Everything that a model file stores, wherever it lies: tensors by element type, and texts that are no words."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx

from pytest_facechallenge.core import dtypes
from pytest_facechallenge.core.facts.weights import Blob, StoredTensor
from pytest_facechallenge.onnx_graph.protos import graphs_of

#: Shorter texts are never called data: a checksum or a signature has less.
MIN_BLOB = 512

#: Text that encodes numbers hardly compresses: base64 of 4,000 random bytes to 0.76 of its length, hexadecimal to 0.57
#: (measured with zlib). Repetitive texts such as stack traces compress to less than this.
BLOB_RATIO = 0.45

#: Part of a text's characters that are digits and signs from which on it is a list of numbers.
NUMBERS = 0.85


def element_type(tensor: onnx.TensorProto) -> str:
    """Return the ONNX element type in lower case ("type 99" when the installed onnx has no name for it)."""
    try:
        return str(onnx.TensorProto.DataType.Name(tensor.data_type)).lower()
    except ValueError:
        return f"type {tensor.data_type}"


def stored(tensor: onnx.TensorProto, where: str) -> StoredTensor:
    """Describe one stored tensor."""
    dtype = element_type(tensor)
    elements = math.prod(tensor.dims)
    width = dtypes.bits(dtype)
    size = sum(len(text) for text in tensor.string_data) if dtype == "string" else (elements * width + 7) // 8
    return StoredTensor(where=where, dtype=dtype, bits=width, elements=elements, bytes=size)


def tensors(model: onnx.ModelProto) -> Iterator[tuple[str, str, onnx.TensorProto]]:
    """Yield (name of the value, place in words, tensor) for every tensor of the file.

    Graph, subgraphs, local functions (called or not), training information, sparse tensors, attributes of any node.
    """
    for place, value, message in _walk(model):
        if isinstance(message, onnx.GraphProto):
            for tensor in message.initializer:
                yield tensor.name, f"initializer {tensor.name!r}{place}", tensor
            for sparse in message.sparse_initializer:
                yield sparse.values.name, f"sparse initializer {sparse.values.name!r}{place}", sparse.values
        elif isinstance(message, onnx.AttributeProto):
            held = [message.t] if message.HasField("t") else []
            held += list(message.tensors)
            held += [message.sparse_tensor.values] if message.HasField("sparse_tensor") else []
            held += [sparse.values for sparse in message.sparse_tensors]
            for tensor in held:
                yield value, place, tensor


def escaping_side_file(model: onnx.ModelProto, folder: Path) -> str:
    """Return the first reference to a side file that leaves the model's folder, or "".

    Old runtimes follow such references, so a model that has one is not run.
    """
    home = folder.resolve()
    for _, where, tensor in tensors(model):
        for entry in tensor.external_data:
            if entry.key == "location" and not (home / entry.value).resolve().is_relative_to(home):
                return f"{where} refers to {entry.value!r}, outside the model's folder"
    return ""


def _walk(model: onnx.ModelProto) -> Iterator[tuple[str, str, Any]]:
    """Yield (place in words, value, message) for every graph and every attribute of the file.

    The value is what an attribute's node makes, when that is one value; the place of a graph starts with " in ".
    """
    pending: list[tuple[str, Any]] = [("", model.graph)]
    pending += [(f" in function {function.domain}.{function.name}", function) for function in model.functions]
    for i, training in enumerate(model.training_info):
        pending.append((f" in training_info[{i}].initialization", training.initialization))
        pending.append((f" in training_info[{i}].algorithm", training.algorithm))
    while pending:
        place, holder = pending.pop()
        if isinstance(holder, onnx.GraphProto):
            yield place, "", holder
        for attribute in getattr(holder, "attribute_proto", ()):
            yield f"attribute {attribute.name!r}{place}", "", attribute
        for index, node in enumerate(holder.node):
            label = node.name or (node.output[0] if node.output else f"{node.op_type}_{index}")
            value = node.output[0] if len(node.output) == 1 else ""
            for attribute in node.attribute:
                constant = node.op_type == "Constant" and attribute.name in ("value", "sparse_value")
                own = "" if constant else f"attribute {attribute.name!r} of "
                yield f"{own}{node.op_type + ' ' if constant else ''}node {label!r}{place}", value, attribute
                pending += [(f" in {label}.{attribute.name}{place}", graph) for graph in graphs_of(attribute)]


def blobs(model: onnx.ModelProto) -> Iterator[Blob]:
    """Yield the texts of the file that read like encoded data: metadata, documentation, names, string attributes."""
    for where, text in _texts(model):
        why = looks_encoded(text)
        if why:
            yield Blob(where=where, bytes=len(text), why=why)


def looks_encoded(text: bytes) -> str:
    """Return why ``text`` reads like encoded data, or "" when it reads like words, or is too short to tell."""
    if len(text) < MIN_BLOB:
        return ""
    ratio = len(zlib.compress(text, 9)) / len(text)
    odd = _count(text, _ODD) / len(text)
    if odd > 0.2 and ratio > BLOB_RATIO:
        return f"{odd:.0%} of its bytes are no printable characters"
    run = max((len(word) for word in re.split(rb"[^A-Za-z0-9+/=_-]+", text)), default=0)
    if run >= MIN_BLOB and ratio > BLOB_RATIO:
        return f"a run of {run} characters of an encoding alphabet"
    numeric = _count(text, b"0123456789+-.,eE \n\t[]") / len(text)
    digits = _count(text, b"0123456789") / len(text)
    if numeric > NUMBERS and digits > 0.5 and ratio > BLOB_RATIO / 1.5:
        return f"{numeric:.0%} of its characters belong to numbers"
    return ""


#: Bytes that are no printable characters of ASCII, and no white space.
_ODD = bytes(byte for byte in range(256) if byte < 9 or 13 < byte < 32 or byte >= 127)


def _count(text: bytes, kinds: bytes) -> int:
    """Return how many bytes of ``text`` are among ``kinds``."""
    return len(text) - len(text.translate(None, kinds))


def _texts(model: onnx.ModelProto) -> Iterator[tuple[str, bytes]]:
    for entry in model.metadata_props:
        yield f"metadata_props[{entry.key[:40]!r}] of the model", entry.value.encode()
        yield "a key of metadata_props of the model", entry.key.encode()
    yield "doc_string of the model", model.doc_string.encode()
    for what in ("producer_name", "producer_version", "domain"):
        yield f"{what} of the model", str(getattr(model, what)).encode()
    for function in model.functions:
        yield from _described(function, f"function {function.name[:40]!r}")
        for node in function.node:
            yield from _described(node, f"node {node.name[:40]!r} of function {function.name[:40]!r}")
    for place, _, message in _walk(model):
        if isinstance(message, onnx.GraphProto):
            yield from _described(message, f"graph {message.name[:40]!r}{place}")
            for node in message.node:
                yield from _described(node, f"node {(node.name or node.op_type)[:40]!r}{place}")
            for kind in (message.initializer, message.input, message.output, message.value_info):
                for value in kind:
                    yield from _described(value, f"value {value.name[:40]!r}{place}")
        else:
            yield place, message.s
            for text in message.strings:
                yield place, text
            if message.doc_string:
                yield f"doc_string of {place}", message.doc_string.encode()


def _described(message: Any, what: str) -> Iterator[tuple[str, bytes]]:
    yield f"name of {what}", message.name.encode()
    yield f"doc_string of {what}", message.doc_string.encode()
    for entry in getattr(message, "metadata_props", ()):
        yield f"metadata_props[{entry.key[:40]!r}] of {what}", entry.value.encode()
