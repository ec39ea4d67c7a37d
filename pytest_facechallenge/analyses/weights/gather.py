"""The step ``weights``."""

from __future__ import annotations

from msgspec import structs
from onnx import TensorProto

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.weights import constant_taint, expansion, inventory, storage_pools
from pytest_facechallenge.analyses.weights.joining import joined
from pytest_facechallenge.core import dtypes
from pytest_facechallenge.core.facts.weights import SharedStorage, Stock, StoredTensor, WeightsFacts
from pytest_facechallenge.onnx_graph.ir import Graph

#: So many tensors and texts are listed one by one; all of them are counted.
MAX_LISTED = 50


def gather(context: Context) -> WeightsFacts:
    """Take stock of the file and follow its numbers through the graph.

    Raises
    ------
    GraphError
        The model cannot be read as a graph.
    """
    model = context.model
    readers = _readers(context.graph)
    stock: dict[str, list[int]] = {}
    narrow: list[StoredTensor] = []
    for name, where, tensor in inventory.tensors(model):
        described = inventory.stored(tensor, where)
        entry = stock.setdefault(described.dtype, [0, 0, 0])
        for i, amount in enumerate((1, described.elements, described.bytes)):
            entry[i] += amount
        if dtypes.is_narrow_float(described.dtype):
            narrow.append(structs.replace(described, used_by=readers.get(name, "")))
    narrow.sort(key=lambda tensor: -tensor.elements)
    measured = storage_pools.measure(constant_taint.trace(context.graph))
    return WeightsFacts(
        stock=tuple(
            Stock(dtype=dtype, tensors=entry[0], elements=entry[1], bytes=entry[2])
            for dtype, entry in sorted(stock.items())
        ),
        narrow_floats=tuple(narrow[:MAX_LISTED]),
        narrow_float_tensors=len(narrow),
        narrow_float_bytes=sum(tensor.bytes for tensor in narrow),
        shared=(*measured.shared, *_not_told(measured.shared, joined(expansion.measure(context.graph)))),
        covered=tuple(measured.covered),
        small_integers=measured.small_integers,
        blobs=tuple(inventory.blobs(model))[:MAX_LISTED],
        half_casts=tuple(_half_casts(context.graph))[:20],
    )


def _not_told(told: list[SharedStorage], more: list[SharedStorage]) -> list[SharedStorage]:
    """Return the entries whose largest store was not found to hold more weights already."""
    known = {source.where for pool in told if not pool.caveat for source in pool.sources[:1]}
    return [entry for entry in more if not known & {source.where for source in entry.sources[:1]}]


def _readers(graph: Graph) -> dict[str, str]:
    """Return a node that reads each value, by the value's name."""
    readers: dict[str, str] = {}
    for node in graph.walk():
        for name in node.inputs:
            readers.setdefault(name, node.label)
    return readers


def _half_casts(graph: Graph) -> list[str]:
    names = {number: name.lower() for name, number in TensorProto.DataType.items()}
    return [
        node.label
        for node in graph.walk()
        if node.op == "Cast" and dtypes.is_narrow_float(names.get(node.attributes.get("to", 0), ""))
    ]
