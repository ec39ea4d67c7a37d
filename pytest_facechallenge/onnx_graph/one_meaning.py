"""Whether a model means the same to every program that reads it.

The format leaves some conflicts to whoever reads a file, and programs forgive others in different ways: then what is
judged here and what a server runs could be two networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from onnx import defs

from pytest_facechallenge.core.text import clean_name
from pytest_facechallenge.onnx_graph.local_functions import other_operators
from pytest_facechallenge.onnx_graph.protos import bodies

if TYPE_CHECKING:
    import onnx

#: Beginnings of domains in which runtimes have operators of their own, under names that no list here knows.
_RUNTIMES_OWN = ("com.microsoft", "com.ms.", "org.pytorch.aten", "ai.onnxruntime", "ai.rapids")
#: Where a tensor can keep its values.
_FIELDS = ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data")


def conflicts(model: onnx.ModelProto) -> Iterator[str]:
    """Yield what gives a model two meanings, a sentence each.

    Sources: the rules on names, operator sets and functions in onnx's IR.md ("single static assignment"), and the
    comments on ``ModelProto.functions`` ("in case of any conflicts the behavior … is defined by the runtimes") and on
    ``TensorProto`` ("only one of the fields … is used") in onnx.proto.
    """
    yield from _operator_sets(model)
    yield from _functions(model)
    pending = [model.graph]
    for function in model.functions:
        yield from _made(function.node, function.input)
        pending += [body for node in function.node for body in bodies(node)]
    while pending:
        graph = pending.pop()
        yield from _stored(graph)
        pending += [body for node in graph.node for body in bodies(node)]


def _operator_sets(model: onnx.ModelProto) -> Iterator[str]:
    versions: dict[str, int] = {}
    for entry in model.opset_import:
        domain = "" if entry.domain == "ai.onnx" else entry.domain
        before = versions.setdefault(domain, entry.version)
        if before != entry.version:
            shown = clean_name(domain or "ai.onnx")
            yield f"it imports the operators of {shown!r} in the versions {before} and {entry.version}"


def _functions(model: onnx.ModelProto) -> Iterator[str]:
    seen = set()
    for function in model.functions:
        shown = clean_name(f"{function.domain}.{function.name}" if function.domain else function.name)
        key = ("" if function.domain == "ai.onnx" else function.domain, function.name, function.overload)
        if key in seen:
            yield f"it has two functions {shown!r}"
        seen.add(key)
        if other := other_operators(model, function):
            yield f"its function {shown!r} imports another version of {clean_name(other[0])!r} than the model"
        if key[0].startswith(_RUNTIMES_OWN) or defs.has(function.name, key[0]):
            yield f"its function {shown!r} is called like an operator; which of the two is run, the format leaves open"


def _stored(graph: onnx.GraphProto) -> Iterator[str]:
    stored: dict[str, onnx.TensorProto | onnx.SparseTensorProto] = {}
    for tensor in graph.initializer:
        yield from _twice(stored, tensor.name, tensor)
        yield from _kept_twice(tensor)
    for sparse in graph.sparse_initializer:
        yield from _twice(stored, sparse.values.name, sparse)
    yield from _made(graph.node, stored)


def _made(nodes: Iterable[onnx.NodeProto], known: Iterable[str]) -> Iterator[str]:
    made = set(known)
    for node in nodes:
        for name in filter(None, node.output):
            if name in made:
                yield f"the value {clean_name(name)!r} is made twice"
            made.add(name)
        for attribute in node.attribute:
            for tensor in [attribute.t] if attribute.HasField("t") else attribute.tensors:
                yield from _kept_twice(tensor)


def _twice(
    stored: dict[str, onnx.TensorProto | onnx.SparseTensorProto],
    name: str,
    tensor: onnx.TensorProto | onnx.SparseTensorProto,
) -> Iterator[str]:
    """Note a stored value, and yield a sentence when another one of its name holds something else."""
    before = stored.setdefault(name, tensor)
    if before is not tensor and before != tensor:
        yield f"the value {clean_name(name)!r} is stored twice, each time with another content"


def _kept_twice(tensor: onnx.TensorProto) -> Iterator[str]:
    fields = [field for field in _FIELDS if len(getattr(tensor, field))]
    if tensor.data_location == tensor.EXTERNAL:
        fields.append("a side file")
    if len(fields) > 1:
        yield f"the tensor {clean_name(tensor.name)!r} keeps values in {' and in '.join(fields)}"
