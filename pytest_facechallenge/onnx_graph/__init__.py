"""Reading an ONNX graph: nodes, constants, shapes."""
