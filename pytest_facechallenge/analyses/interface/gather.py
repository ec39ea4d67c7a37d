"""Gathers what the model file declares (step ``interface``) and what the ONNX checker says of it (step ``checker``)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import msgspec
import onnx

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.interface.marked import baked, mixing, random
from pytest_facechallenge.core.facts.interface import CheckerFacts, ExternalData, InterfaceFacts, ValueDeclaration
from pytest_facechallenge.core.facts.package import PackageFacts
from pytest_facechallenge.onnx_graph.one_meaning import conflicts
from pytest_facechallenge.onnx_graph.producer import producer_of
from pytest_facechallenge.onnx_graph.protos import graphs_of

#: Beyond this many references the rest is counted only.
MOST_EXTERNAL = 200


class NoModelError(ValueError):
    """There is no model file to read, or its bytes are none; the message says what they are."""


def gather(context: Context) -> InterfaceFacts:
    """Parse the model and describe it.

    Raises
    ------
    NoModelError
        There is no .onnx file, or its bytes cannot be a model, or can be two.
    google.protobuf.message.DecodeError
        The bytes are no ONNX protobuf.
    GraphError
        The graph cannot be read.
    """
    package = context.facts.need(PackageFacts)
    if not package.model_path:
        raise NoModelError("; ".join(package.problems) or "there is no model file")
    if package.content not in ("binary", "text"):
        raise NoModelError(f"{package.model_name} is not an ONNX model: its content is {_article(package.content)}")
    context.report(f"parsing {package.model_name}")
    try:
        model = context.model
    except Exception as error:
        what = "plain text" if package.content == "text" else f"{package.bytes} bytes that are no ONNX protobuf"
        raise NoModelError(f"{package.model_name} cannot be parsed: it holds {what} ({error})") from error
    if not model.HasField("graph"):
        raise NoModelError(f"{package.model_name} cannot be used: it parses as a protobuf that holds no graph")
    for where, tensor in all_tensors(model):
        shortage = _shortage(tensor)
        if shortage:
            raise NoModelError(f"{package.model_name} is incomplete: {where} {shortage}")
    conflict = next(conflicts(model), "")
    if conflict:
        raise NoModelError(
            f"{package.model_name} has more than one meaning: {conflict}; programs differ in what they take"
        )
    graph = context.graph
    nodes = list(graph.walk())
    inputs = set(graph.inputs)
    operators = Counter(f"{node.domain}.{node.op}" if node.domain else node.op for node in nodes)
    # Those with a problem first: the list is cut, and whether the model may be loaded depends on them.
    external = sorted(_external(model, context.model_path.parent), key=lambda entry: not entry.problem)
    found = InterfaceFacts(
        ir_version=model.ir_version,
        opsets={entry.domain or "ai.onnx": entry.version for entry in model.opset_import},
        producer=f"{model.producer_name} {model.producer_version}".strip(),
        inputs=tuple(_declaration(value) for value in model.graph.input if value.name in inputs),
        outputs=tuple(_declaration(value) for value in model.graph.output),
        nodes=len(model.graph.node),
        all_nodes=len(nodes),
        operators=dict(sorted(operators.items())),
        functions=len(model.functions),
        external=tuple(external[:MOST_EXTERNAL]),
        external_bytes=_side_file_bytes(external, context.model_path.parent),
        exporter=producer_of(model),
        mixing=mixing(graph),
        random=random(graph),
    )
    return msgspec.structs.replace(found, baked=baked(graph, found.fixed_batch()))


def gather_checker(context: Context) -> CheckerFacts:
    """Run the ONNX checker on the file."""
    context.report("running the ONNX checker")
    try:
        onnx.checker.check_model(str(context.model_path))
    except onnx.checker.ValidationError as error:
        return CheckerFacts(complaint=" ".join(str(error).split())[:1000])
    return CheckerFacts(complaint="")


def _article(content: str) -> str:
    return content if content == "empty" else f"a {content}"


def _declaration(value: onnx.ValueInfoProto) -> ValueDeclaration:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        return ValueDeclaration(name=value.name, dtype=str(kind or "untyped").replace("_type", ""), shape=None)
    tensor = value.type.tensor_type
    try:
        dtype = str(onnx.TensorProto.DataType.Name(tensor.elem_type)).lower()
    except ValueError:
        dtype = f"unknown type {tensor.elem_type}"
    shape: tuple[int | str, ...] | None = None
    if tensor.HasField("shape"):
        shape = tuple(_extent(dim) for dim in tensor.shape.dim)
    return ValueDeclaration(name=value.name, dtype=dtype, shape=shape)


def _extent(dim: onnx.TensorShapeProto.Dimension) -> int | str:
    if dim.HasField("dim_value"):
        return int(dim.dim_value)
    return str(dim.dim_param) or "?"


def all_tensors(model: onnx.ModelProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    """Yield every stored tensor with a text that says where it is: initializers and attributes, at every depth."""
    pending: list[tuple[str, onnx.GraphProto | onnx.FunctionProto]] = [("", model.graph)]
    pending += [(f"function {function.name!r}", function) for function in model.functions]
    for training in model.training_info:
        pending += [("training_info", training.initialization), ("training_info", training.algorithm)]
    while pending:
        place, holder = pending.pop()
        where = f" in {place}" if place else ""
        if isinstance(holder, onnx.GraphProto):
            for tensor in holder.initializer:
                yield f"initializer {tensor.name!r}{where}", tensor
            for sparse in holder.sparse_initializer:
                yield f"sparse initializer {sparse.values.name!r}{where}", sparse.values
                yield f"indices of sparse initializer {sparse.values.name!r}{where}", sparse.indices
        for node in holder.node:
            label = f"node {node.name or node.op_type!r}{where}"
            for attribute in node.attribute:
                tensors = [*attribute.tensors, *([attribute.t] if attribute.HasField("t") else [])]
                held = [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
                for sparse in [*attribute.sparse_tensors, *held]:
                    tensors += [sparse.values, sparse.indices]
                for tensor in tensors:
                    yield f"attribute {attribute.name!r} of {label}", tensor
                pending += [(f"{attribute.name} of {label}", graph) for graph in graphs_of(attribute)]


#: Types of which two elements share a byte, and of which one element takes two entries of its typed field.
_HALF_BYTE = {"INT4", "UINT4", "FLOAT4E2M1", "INT2", "UINT2"}
_TWO_ENTRIES = {"COMPLEX64", "COMPLEX128"}


def _shortage(tensor: onnx.TensorProto) -> str:
    """Say what a tensor declares but does not hold, or "". Checked before anything allocates what it declares."""
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return ""
    if any(extent < 0 for extent in tensor.dims):
        return f"declares the shape {list(tensor.dims)}"
    try:
        kind = str(onnx.TensorProto.DataType.Name(tensor.data_type))
        bits = 4 if kind in _HALF_BYTE else 8 * onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except (ValueError, KeyError, TypeError):
        return f"has the unknown element type {tensor.data_type}"
    count = math.prod(tensor.dims)
    if tensor.HasField("raw_data"):
        declared, held, unit = (count * bits + 7) // 8, len(tensor.raw_data), "bytes"
    else:
        fields = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data")
        declared, held, unit = count, max(len(getattr(tensor, field)) for field in fields), "values"
        declared = (count + 1) // 2 if kind in _HALF_BYTE else count * 2 if kind in _TWO_ENTRIES else count
    return f"declares {declared} {unit} (shape {list(tensor.dims)}) but holds {held}" if held < declared else ""


def _external(model: onnx.ModelProto, folder: Path) -> Iterator[ExternalData]:
    taken: dict[str, list[tuple[int, int, str]]] = {}
    for where, tensor in all_tensors(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        try:
            offset, length = int(entries.get("offset", "0")), int(entries.get("length", "-1"))
        except ValueError:
            yield ExternalData(tensor=where, location=location, bytes=0, problem="its offset or length is no number")
            continue
        problem = _location_problem(location, folder)
        size = (folder / location).stat().st_size if not problem else 0
        if length < 0:
            length = max(0, size - offset)
        if not problem and (offset < 0 or offset + length > size):
            problem = f"bytes {offset} to {offset + length} are referred to, but the file has {size}"
        if not problem and length:
            taken.setdefault(str(PurePosixPath(location)), []).append((offset, offset + length, where))
        yield ExternalData(tensor=where, location=location, bytes=length if not problem else 0, problem=problem)
    for location, ranges in taken.items():
        yield from _overlaps(location, sorted(set(ranges)))


def _overlaps(location: str, ranges: list[tuple[int, int, str]]) -> Iterator[ExternalData]:
    """Yield the ranges that begin inside another one, without being the same (two names of one tied weight).

    A float32 that begins two bytes into another has its upper half, the only half that matters much, to itself: so two
    16-bit weights fit into four bytes.
    """
    end, last = 0, (0, 0, "")
    for start, stop, where in ranges:
        if start < end and (start, stop) != last[:2]:
            problem = f"its bytes {start} to {stop} are partly those of {last[2]} ({last[0]} to {last[1]})"
            yield ExternalData(tensor=where, location=location, bytes=0, problem=problem)
        if stop > end:
            end, last = stop, (start, stop, where)


def _location_problem(location: str, folder: Path) -> str:
    pure = PurePosixPath(location.replace("\\", "/"))
    if not location:
        return "no location is given"
    if pure.is_absolute() or (len(location) > 1 and location[1] == ":"):
        return "the location is an absolute path"
    if ".." in pure.parts:
        return "the location leads out of the model's folder with '..'"
    path = folder / location
    if any((folder.joinpath(*pure.parts[: depth + 1])).is_symlink() for depth in range(len(pure.parts))):
        return "the location is a link"
    if not path.is_file():
        return "the file is missing"
    return ""


def _side_file_bytes(external: list[ExternalData], folder: Path) -> int:
    files = {str(PurePosixPath(entry.location)) for entry in external if not entry.problem}
    return sum((folder / location).stat().st_size for location in files)


def external_is_safe(facts: InterfaceFacts) -> bool:
    """Return whether every reference to a side file stays inside the model's folder and can be read."""
    return not any(entry.problem for entry in facts.external)
