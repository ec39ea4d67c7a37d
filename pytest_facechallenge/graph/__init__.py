"""Observing an ONNX graph: reading, shapes, dataflow, weights, arithmetic."""
