"""Runs an ONNX graph with torch functions, so that torch tools can look at a submission. torch is imported lazily.

Only the operators that face networks use are known. It serves counting, so what it is asked for is the right
functions on the right shapes; its results agree with the runtime's (held by a test), but speed does not matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_facechallenge.analyses.flops_crosscheck.torch_data_operators import OPERATORS
from pytest_facechallenge.onnx_graph.ir import Graph

if TYPE_CHECKING:
    import torch


class UnknownOperatorError(Exception):
    """The interpreter does not know an operator; the message names the node."""


def unknown_operators(graph: Graph) -> list[str]:
    """Return "'Conv_3' (Conv)" for every node that the interpreter cannot run, at most one per operator."""
    found: dict[str, str] = {}
    for node in graph.walk():
        if node.domain or node.op not in OPERATORS:
            name = f"{node.domain}.{node.op}" if node.domain else node.op
            found.setdefault(name, f"{node.label!r} ({name})")
    return list(found.values())


def module_of(graph: Graph) -> torch.nn.Module:
    """Return a torch module that computes the graph: tensors in the order of its inputs -> tuple of its outputs.

    Raises
    ------
    UnknownOperatorError
        A node's operator is not known.
    GraphError
        A constant cannot be read.
    """
    import torch

    unknown = unknown_operators(graph)
    if unknown:
        raise UnknownOperatorError(f"the torch interpreter does not know {', '.join(unknown)}")

    class Interpreter(torch.nn.Module):
        """The graph as a module; constants are plain tensors, which no tool takes for layers."""

        def __init__(self) -> None:
            super().__init__()
            self.constants = {name: torch.from_numpy(tensor.array().copy()) for name, tensor in graph.constants.items()}

        def forward(self, *inputs: Any) -> tuple[Any, ...]:
            values: dict[str, Any] = {"": None, **self.constants, **dict(zip(graph.inputs, inputs, strict=True))}
            for node in graph.nodes:
                function = OPERATORS[node.op]
                given = [values[name] for name in node.inputs]
                result = function(torch, node, *given)
                outputs = result if isinstance(result, (tuple, list)) else (result,)
                values.update(zip(node.outputs, outputs, strict=False))
            return tuple(values[name] for name in graph.outputs)

    return Interpreter().eval()
