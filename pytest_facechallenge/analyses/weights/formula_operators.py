"""What operators do to numbers that are spread out: sum them up, multiply them, copy them, or bend them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import TensorProto

from pytest_facechallenge.onnx_graph.operators import Kind

if TYPE_CHECKING:
    from pytest_facechallenge.onnx_graph.ir import Node

LINEAR_PAIRS = frozenset({"Add", "Sub", "Sum", "Mean"})
SUMMING = frozenset({"ReduceSum", "ReduceMean", "AveragePool", "GlobalAveragePool"})
PRODUCTS = frozenset({"MatMul", "Gemm", "Einsum", "Conv", "ConvTranspose"})
COPYING = (Kind.LAYOUT, Kind.MOVING)
#: Operators that put numbers between stored ones, by a rule that is not stored.
INTERPOLATING = frozenset({"Resize", "Upsample"})
#: Looks stored numbers up in a stored table, as Gather does, by numbers that need not be whole.
SAMPLING = "GridSample"
READING = frozenset({"Gather", "GatherElements", "GatherND"})
#: Curves that a network puts behind its layers; of those the ones that keep the part of a number beyond a bound, which
#: is that number again (relu(w) and relu(-w) are w).
PARTING = frozenset({"Relu", "Abs", "Max", "Min", "Clip", "LeakyRelu", "PRelu"})
#: After these a stored number is the same one again, or a sum of them.
PLAIN = LINEAR_PAIRS | SUMMING | PRODUCTS | PARTING
ACTIVATIONS = PARTING | {
    "Tanh", "Sigmoid", "HardSigmoid", "HardSwish", "Elu", "Selu", "Celu", "Softplus", "Softsign", "Gelu", "Mish",
}  # fmt: skip


def interpolates(node: Node) -> bool:
    """Whether a node puts new numbers between those it gets; copies of the nearest are none."""
    return node.op in INTERPOLATING and node.attributes.get("mode", b"nearest") not in (b"nearest", "nearest")


def element_type(number: int) -> str:
    """Return a type's name in lower case; "" of a number that stands for none."""
    return TensorProto.DataType.Name(number).lower() if number in TensorProto.DataType.values() else ""
