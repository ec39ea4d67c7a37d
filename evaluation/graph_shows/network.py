"""A small embedder, what cases change of it, and the list of cases."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import onnx

from evaluation.builder import untyped
from evaluation.case import Case, Expected, seed_of
from evaluation.named import NamedBuilder

WIDTH = 32
#: Values of the last map: channels, height and width.
CHANNELS, SIDE = 8, 7

#: (network, its embedding [N, 32]) -> another embedding.
Change = Callable[["Net", str], str]

CASES: dict[str, Case] = {}


class Net(NamedBuilder):
    """Three strided convolutions and a fully connected layer."""

    def features(self, x: str) -> str:
        """Return maps [N, 8, 7, 7]."""
        y = self.conv(x, "first", (CHANNELS, 3, 4, 4), stride=4)
        return self.conv(y, "second", (CHANNELS, CHANNELS, 4, 4), stride=4)

    def embedding(self, x: str, width: int = WIDTH) -> str:
        """Return embeddings [N, width]."""
        flat = self.op("Flatten", self.features(x), axis=1)
        return self.linear(flat, f"embed{width}", CHANNELS * SIDE * SIDE, width)

    def count(self, x: str = "", kind: int = 7) -> str:
        """Return the number of images, shape [1]; ``kind`` is an ONNX type."""
        found = self.rows(x or self.x)
        return found if kind == 7 else self.op("Cast", found, to=kind)

    def when(self, condition: str, then: Callable[[Net], str], other: Callable[[Net], str]) -> str:
        """Return the result of an If."""
        graphs = []
        for make in (then, other):
            inner = self.child()
            made = make(inner)
            graphs.append(inner.graph([], [untyped(made)]))
        return self.op("If", condition, then_branch=graphs[0], else_branch=graphs[1])

    def brightness(self, channel: int | None = None) -> str:
        """Return the mean of the image, or of one of its colours, [N, 1]."""
        means = self.mean(self.x, 2, 3)
        return self.mean(means, 1, keep=True) if channel is None else self.cut(means, channel, channel + 1, 1)

    def gate(self, condition: str) -> str:
        """Return a condition as numbers."""
        return self.op("Cast", condition, to=1)


def _build(change: Change, name: str, opset: int, dim: int) -> onnx.ModelProto:
    net = Net(seed_of(name), opset)
    return net.model(change(net, net.embedding(net.x)), dim)


def _add(change: Change, rule: str, expected: Expected, idea: str, opset: int, dim: int) -> Change:
    name = change.__name__
    about = (change.__doc__ or f"{name.replace('_', ' ').capitalize()}.").splitlines()[0]
    if name in CASES:
        raise ValueError(f"two cases are called {name!r}; rename one")
    build = partial(_build, change, name, opset, dim)
    CASES[name] = Case(name=name, split="graph", rules=(rule,), expected=expected, idea=idea, about=about, build=build)
    return change


def breaks(rule: str, idea: str, *, opset: int = 13, dim: int = WIDTH) -> Callable[[Change], Change]:
    """Register a network on which a rule has to fail."""
    return lambda change: _add(change, rule, "failed", idea, opset, dim)


def open_to(rule: str, idea: str, *, opset: int = 13, dim: int = WIDTH) -> Callable[[Change], Change]:
    """Register a network on which a rule has to stay undecided."""
    return lambda change: _add(change, rule, "undecided", idea, opset, dim)


def keeps(rule: str, idea: str, *, opset: int = 13, dim: int = WIDTH) -> Callable[[Change], Change]:
    """Register an honest network."""
    return lambda change: _add(change, rule, "passed", idea, opset, dim)


def random_values(net: Net, name: str, *shape: int) -> str:
    """Store normal values of this shape."""
    return net.store(name, net.rng(name).standard_normal(shape).astype(np.float32))
