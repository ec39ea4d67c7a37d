"""Small maps on which attention puts nearly one vector everywhere: one datum at many places is no second view."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from evaluation.honest.attention import attention
from evaluation.product import judge
from evaluation.sequential import SequentialBuilder as Net
from pytest_facechallenge.core.outcome import Status


def stem(net: Net, channels: int, side: int) -> str:
    """Features [N, channels, side, side] of the whole image."""
    y, width, at = net.cbr(net.x, 3, 8, stride=2), 8, 56
    while at > side:
        y, width, at = net.cbr(y, width, 16, stride=2), 16, (at + 1) // 2
    return net.conv(y, width, channels, 1)


def per_head(net: Net, x: str, heads: int, width: int, cells: int) -> str:
    return net.reshape(x, -1, heads, width, cells)


def softmax_attention(net: Net, y: str, side: int, sharpness: float) -> str:
    """Attention over all places of [N, 24, side, side], as [N, 24, side, side]."""
    q, k, v = (per_head(net, net.conv(y, 24, 24, 1), 3, 8, side * side) for _ in range(3))
    scores = net.op("MatMul", net.op("Transpose", q, perm=[0, 1, 3, 2]), k)
    weights = net.softmax(net.op("Mul", scores, net.const(sharpness)))
    mixed = net.op("MatMul", v, net.op("Transpose", weights, perm=[0, 1, 3, 2]))
    return net.reshape(mixed, -1, 24, side, side)


def blunt_attention(net: Net, side: int) -> str:
    y = stem(net, 24, side)
    return net.op("Add", y, net.conv(softmax_attention(net, y, side, 1e-3), 24, 24, 1))


def heads_in_a_cascade(net: Net, side: int) -> str:
    """Each head sees its own channels and what the head before it made of others; the heads are joined."""
    parts = net.split(stem(net, 24, side), [8, 8, 8], 1)
    made: list[str] = []
    for part in parts:
        y = net.op("Add", part, made[-1]) if made else part
        q, k, v = (net.reshape(net.conv(y, 8, 8, 1), -1, 8, side * side) for _ in range(3))
        scores = net.softmax(
            net.op("Mul", net.op("MatMul", net.op("Transpose", q, perm=[0, 2, 1]), k), net.const(1e-3))
        )
        made.append(net.reshape(net.op("MatMul", v, net.op("Transpose", scores, perm=[0, 2, 1])), -1, 8, side, side))
    return net.conv(net.relu(net.op("Concat", *made, axis=1)), 24, 24, 1)


def linear_attention(net: Net, side: int) -> str:
    """ReLU for softmax: where one feature of the query is left, the result is a row of one table times nothing."""
    y = stem(net, 24, side)
    q, k, v = (per_head(net, net.conv(y, 24, 24, 1), 6, 4, side * side) for _ in range(3))
    q, k = net.relu(q), net.relu(k)
    table = net.op("MatMul", v, net.op("Transpose", k, perm=[0, 1, 3, 2]))
    norm = net.reduce("Sum", k, 3)
    share = net.op("Add", net.op("MatMul", net.op("Transpose", norm, perm=[0, 1, 3, 2]), q), net.const(1e-6))
    mixed = net.op("Div", net.op("MatMul", table, q), share)
    return net.op("Add", y, net.conv(net.reshape(mixed, -1, 24, side, side), 24, 24, 1))


def padded_windows(net: Net, side: int) -> str:
    """Attention in windows of 3 x 3 cells, for which the map is padded: the cells added see one another alone."""
    y, wide = stem(net, 24, side), 3 * ((side + 2) // 3)
    y = net.op("Pad", y, net.const([0, 0, 0, 0, 0, 0, wide - side, wide - side]))
    y = net.op("Transpose", net.reshape(y, -1, 24, wide // 3, 3, wide // 3, 3), perm=[0, 2, 4, 3, 5, 1])
    y = attention(net, net.layernorm(net.reshape(y, -1, 9, 24), 24), 24, 3, 9)
    y = net.op("Transpose", net.reshape(y, -1, wide // 3, wide // 3, 3, 3, 24), perm=[0, 5, 1, 3, 2, 4])
    return net.conv(net.slice(net.reshape(y, -1, 24, wide, wide), [0, 0], [side, side], [2, 3]), 24, 24, 1)


def enlarged_attention(net: Net, side: int) -> str:
    """Attention on a coarser map, repeated to the finer one by its nearest neighbours."""
    y = stem(net, 24, side)
    coarse = net.conv(y, 24, 24, 3, 2)
    mixed = softmax_attention(net, coarse, side // 2, 1e-3)
    fine = net.resize(mixed, 2.0, 2.0, "nearest", "asymmetric")
    return net.op("Add", y, net.conv(fine, 24, 24, 1))


@pytest.mark.parametrize(
    ("body", "side"),
    [
        (blunt_attention, 4),
        (blunt_attention, 7),
        (heads_in_a_cascade, 4),
        (heads_in_a_cascade, 14),
        (linear_attention, 4),
        (linear_attention, 7),
        (padded_windows, 4),
        (padded_windows, 7),
        (enlarged_attention, 4),
        (enlarged_attention, 14),
    ],
)
def test_nothing_is_said_of_one_vector_at_every_place(body: Callable[[Net, int], str], side: int) -> None:
    net = Net(11, opset=13)
    answer = judge(net.finish(net.head(net.relu(body(net, side)), 24, side)))
    assert {name: outcome.status for name, outcome in answer.outcomes.items()} == dict.fromkeys(
        answer.outcomes, Status.PASSED
    ), [outcome.message for outcome in answer.outcomes.values()]
