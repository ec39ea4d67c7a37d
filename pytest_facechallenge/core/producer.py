"""Who wrote a model file: remedies differ by exporter."""

from __future__ import annotations

from enum import StrEnum


class Producer(StrEnum):
    """The exporters and converters that are told apart."""

    TORCH_SCRIPT = "torch's exporter of traced models (dynamo=False)"
    TORCH_DYNAMO = "torch's dynamo exporter"
    TF2ONNX = "tf2onnx"
    MXNET = "mxnet"
    PADDLE = "paddle2onnx"
    ONNXRUNTIME_OPTIMISED = "onnxruntime, which optimised it"
    QUANTISER = "a quantiser"
    UNKNOWN = "unknown"
