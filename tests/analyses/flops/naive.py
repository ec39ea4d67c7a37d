"""Layers by definition, one product at a time: every function returns (result, products, first additions of a sum)."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

Counted = tuple[np.ndarray[Any, Any], int, int]


def convolution(x: Any, w: Any, *, stride: int = 1, dilation: int = 1, pad: int = 0, groups: int = 1) -> Counted:
    """Two-dimensional; products with the zeros of the padding count, as in the closed formula."""
    x = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    n, _, h, width = x.shape
    cout, cin, kh, kw = w.shape
    rows = (h - (kh - 1) * dilation - 1) // stride + 1
    columns = (width - (kw - 1) * dilation - 1) // stride + 1
    y = np.zeros((n, cout, rows, columns))
    products = sums = 0
    for b, o, i, j in np.ndindex(*y.shape):
        first = o // (cout // groups) * cin
        for k, c in enumerate(product(range(cin), range(kh), range(kw))):
            place = x[b, first + c[0], i * stride + c[1] * dilation, j * stride + c[2] * dilation]
            y[b, o, i, j] += place * w[(o, *c)]
            products += 1
            sums += k == 0
    return y, products, sums


def deconvolution(x: Any, w: Any, *, stride: int = 1) -> Counted:
    """Two-dimensional; every input place is multiplied with every tap."""
    n, cin, h, width = x.shape
    _, cout, kh, kw = w.shape
    y = np.zeros((n, cout, (h - 1) * stride + kh, (width - 1) * stride + kw))
    products = 0
    for b, c, i, j in np.ndindex(n, cin, h, width):
        for o, u, v in np.ndindex(cout, kh, kw):
            y[b, o, i * stride + u, j * stride + v] += x[b, c, i, j] * w[c, o, u, v]
            products += 1
    return y, products, n * h * width * cout


def einsum(equation: str, a: Any, b: Any) -> Counted:
    """Two operands without an ellipsis."""
    left, right = equation.split("->")
    first, second = left.split(",")
    extent = dict(zip(first + second, a.shape + b.shape, strict=True))
    labels = sorted(extent)
    y = np.zeros([extent[label] for label in right])
    products = 0
    begun = set()
    for places in product(*(range(extent[label]) for label in labels)):
        at = dict(zip(labels, places, strict=True))
        target = tuple(at[label] for label in right)
        y[target] += a[tuple(at[label] for label in first)] * b[tuple(at[label] for label in second)]
        products += 1
        begun.add(target)
    return y, products, len(begun)


def matrix_product(a: Any, b: Any) -> Counted:
    """Stacks of matrices, broadcast."""
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = np.broadcast_to(a, (*stack, *a.shape[-2:])), np.broadcast_to(b, (*stack, *b.shape[-2:]))
    y = np.zeros((*stack, a.shape[-2], b.shape[-1]))
    products = sums = 0
    for *s, i, j in np.ndindex(*y.shape):
        for k in range(a.shape[-1]):
            y[(*s, i, j)] += a[(*s, i, k)] * b[(*s, k, j)]
            products += 1
            sums += k == 0
    return y, products, sums


def recurrent_layer(x: Any, w: Any, r: Any) -> Counted:
    """A one-directional RNN with tanh: x (steps, batch, width), w (1, hidden, width), r (1, hidden, hidden)."""
    state = np.zeros((x.shape[1], w.shape[1]))
    products = sums = 0
    for step in x:
        own, more, begun = matrix_product(step, w[0].T)
        fed, again, begun_again = matrix_product(state, r[0].T)
        products += more + again
        sums += begun + begun_again
        state = np.tanh(own + fed)
    return state[None], products, sums


def attention(q: Any, k: Any, v: Any) -> Counted:
    """Of (batch, heads, tokens, width) tensors."""
    scores, products, sums = matrix_product(q, np.swapaxes(k, -1, -2))
    scores = np.exp(scores / np.sqrt(q.shape[-1]))
    y, more, begun = matrix_product(scores / scores.sum(-1, keepdims=True), v)
    return y, products + more, sums + begun
