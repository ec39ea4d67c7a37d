"""Values that grow as a high power of what the image shows: an iteration that is repeated, squares of squares.

No operator on the way is undefined anywhere, and yet a little more contrast than usual makes them infinite.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_facechallenge.onnx_graph.operators import Kind, names

if TYPE_CHECKING:
    from pytest_facechallenge.onnx_graph.ir import Graph, Node

#: Power from which on a value is looked at: 4 to the 64th is the largest number of float32.
POWER = 64
#: Results that stay within bounds, or say nothing of how large what they read is.
_BOUNDED = names(Kind.ABOUT_SHAPE) | frozenset(
    {"Sigmoid", "HardSigmoid", "Tanh", "Softsign", "Erf", "Sin", "Cos", "Atan", "Sign", "Softmax", "Hardmax"}
    | {"InstanceNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization", "LpNormalization"}
    | {"ArgMax", "ArgMin", "TopK", "Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual", "Not", "And", "Or"}
    | {"Log", "Exp", "Reciprocal", "Acos", "Asin", "Atanh", "Acosh"}
)
_PRODUCTS = frozenset({"Mul", "MatMul", "Gemm", "Conv", "Einsum", "BatchNormalization"})


def growing(graph: Graph) -> tuple[tuple[Node, str], ...]:
    """Return the nodes on the way to an output, and their results, after which a value of a high power grows no more.

    The power of a product is the sum of those of its factors, that of a quotient the difference.
    """
    powers: dict[str, float] = dict.fromkeys(graph.inputs, 1.0)
    last: dict[str, tuple[Node, str]] = {}
    ended: dict[str, tuple[Node, str]] = {}
    for node in graph.nodes:
        given = [name for name in node.inputs if name in powers]
        if not given or node.index not in graph.used:
            continue
        power = _power(node, [powers[name] for name in node.inputs if name in powers], powers)
        highest = max(given, key=lambda name: powers[name])
        grew = power >= POWER and power > powers[highest]
        for name in filter(None, node.outputs):
            if power:
                powers[name] = power
            if grew:
                last[name] = (node, name)
            elif power >= POWER and highest in last:
                last[name] = last[highest]
        if not grew and power < POWER and highest in last:
            ended[last[highest][1]] = last[highest]
    ended |= {last[name][1]: last[name] for name in graph.outputs if name in last}
    return tuple(ended.values())


def _power(node: Node, given: list[float], powers: dict[str, float]) -> float:
    """Return the power of what the image shows with which a node's results grow; 0 where they do not."""
    if node.op in _BOUNDED or (node.op == "Clip" and _has_both_ends(node)):
        return 0.0
    if node.op in _PRODUCTS:
        return sum(given)
    if node.op == "Pow":
        constant = node.constant(1)
        return given[0] * max(0.0, float(constant.max())) if constant is not None and constant.size else given[0]
    if node.op == "Sqrt":
        return given[0] / 2
    if node.op == "Div":
        return max(0.0, powers.get(node.inputs[0], 0.0) - powers.get(node.inputs[-1], 0.0))
    return max(given)


def _has_both_ends(node: Node) -> bool:
    return {"min", "max"} <= set(node.attributes) or (len(node.inputs) == 3 and all(node.inputs))
