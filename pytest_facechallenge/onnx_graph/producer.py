"""Who wrote a file: from its head, its domains and the names of its nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_facechallenge.core.producer import Producer

if TYPE_CHECKING:
    import onnx

#: Domains that onnxruntime imports into every file that it writes, used or not.
_RUNTIME_DOMAINS = frozenset({"com.microsoft.nchwc", "com.ms.internal.nhwc"})
_QUANTISED = frozenset({"DynamicQuantizeLinear", "QuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger"})
#: Metadata that torch's dynamo exporter writes to its nodes, and the head of the names that it gives them.
_DYNAMO_KEYS = ("pkg.torch.onnx", "namespace")
_DYNAMO_NAME = "node_"
#: How mxnet calls its parameters and the nodes of a normalisation.
_MXNET_ENDINGS = ("_gamma", "_beta", "_moving_mean", "_moving_var")
_MXNET_NODES = ("_minusscalar", "_mulscalar", "_minus", "_mul")


def producer_of(model: onnx.ModelProto) -> Producer:
    """Return who wrote the file last, as far as it shows."""
    name = model.producer_name.lower()
    operators = {node.op_type for node in model.graph.node}
    domains = {entry.domain for entry in model.opset_import} | {node.domain for node in model.graph.node}
    if "quantize" in name or operators & _QUANTISED:
        return Producer.QUANTISER
    if domains & _RUNTIME_DOMAINS:
        return Producer.ONNXRUNTIME_OPTIMISED
    if "tf2onnx" in name:
        return Producer.TF2ONNX
    if "paddle" in name:
        return Producer.PADDLE
    if "mxnet" in name or _looks_like_mxnet(model):
        return Producer.MXNET
    if "pytorch" in name:
        return Producer.TORCH_DYNAMO if _is_dynamo(model) else Producer.TORCH_SCRIPT
    return Producer.UNKNOWN


def _is_dynamo(model: onnx.ModelProto) -> bool:
    for node in model.graph.node:
        if any(entry.key.startswith(_DYNAMO_KEYS) for entry in node.metadata_props):
            return True
    return any(node.name.startswith(_DYNAMO_NAME) for node in model.graph.node)


def _looks_like_mxnet(model: onnx.ModelProto) -> bool:
    stored = [tensor.name for tensor in model.graph.initializer]
    endings = {end for end in _MXNET_ENDINGS for name in stored if name.endswith(end)}
    scaled = any(node.name.startswith(_MXNET_NODES) for node in model.graph.node)
    return len(endings) == len(_MXNET_ENDINGS) or (scaled and len(endings) > 1)
