"""How many elements a value of the graph has, worked out by ONNX shape inference when somebody asks."""

from __future__ import annotations

from functools import cached_property

import onnx
from onnx import shape_inference

from pytest_facechallenge.onnx_graph.ir import Graph

#: Constants of at most this many elements keep their values, because shapes may be computed from them.
SMALL = 1024


class Sizes:
    """Element counts of values.

    Shapes that the file itself declares for values inside the graph are not believed; they are worked out anew.
    Weights are replaced by their shapes first, so that nothing big is copied.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def __getitem__(self, value: str) -> int | None:
        """Return the number of elements of ``value``; None when it is not known before the model runs."""
        return self._known.get(value)

    @cached_property
    def _known(self) -> dict[str, int]:
        try:
            inferred = shape_inference.infer_shapes(light_model(self.graph), data_prop=True)
        except MemoryError:  # the run's limit shows nothing about the model
            raise
        except Exception:  # onnx raises many types; all mean that the shapes stay unknown
            return {}
        known: dict[str, int] = {}
        pending = [inferred.graph]
        while pending:
            graph = pending.pop()
            for value in [*graph.input, *graph.value_info, *graph.output]:
                count = _count(value.type.tensor_type)
                if count is not None:
                    known[value.name] = count
            known |= {tensor.name: _product(tensor.dims) for tensor in graph.initializer}
            for node in graph.node:
                pending += [attribute.g for attribute in node.attribute if attribute.HasField("g")]
        return known


def light_model(graph: Graph) -> onnx.ModelProto:
    """Return the model for shape inference: big constants are inputs, declared inner shapes are left out."""
    opsets = [onnx.helper.make_opsetid(domain, version) for domain, version in graph.opsets.items()]
    return onnx.helper.make_model(_light(graph.proto), opset_imports=opsets, ir_version=8)


def _product(dims: object) -> int:
    count = 1
    for extent in dims:  # type: ignore[attr-defined]  # protobuf's repeated field has no useful type
        count *= extent
    return count


def _count(kind: onnx.TypeProto.Tensor) -> int | None:
    if not kind.HasField("shape") or any(not dim.HasField("dim_value") for dim in kind.shape.dim):
        return None
    return _product(dim.dim_value for dim in kind.shape.dim)


def _light(graph: onnx.GraphProto) -> onnx.GraphProto:
    """Return a copy whose big constants are inputs of the same type and shape."""
    light = onnx.GraphProto(name="light")
    light.input.extend(value for value in graph.input)
    declared = {value.name for value in light.input}

    def place(tensor: onnx.TensorProto, name: str) -> None:
        if _product(tensor.dims) <= SMALL and tensor.data_location != onnx.TensorProto.EXTERNAL:
            light.initializer.append(tensor)
            light.initializer[-1].name = name
        elif name not in declared:
            light.input.append(onnx.helper.make_tensor_value_info(name, tensor.data_type, list(tensor.dims)))

    for tensor in graph.initializer:
        place(tensor, tensor.name)
    for sparse in graph.sparse_initializer:
        shape = list(sparse.dims)
        light.input.append(onnx.helper.make_tensor_value_info(sparse.values.name, sparse.values.data_type, shape))
    for node in graph.node:
        held = next((attribute.t for attribute in node.attribute if attribute.name == "value"), None)
        if node.op_type == "Constant" and held is not None and held.data_type and len(node.output) == 1:
            place(held, node.output[0])
        else:
            light.node.append(node)
    light.output.extend(onnx.ValueInfoProto(name=value.name) for value in graph.output)
    return light
