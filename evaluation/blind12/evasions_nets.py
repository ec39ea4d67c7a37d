"""Plain networks that the evasions of this set are made of, and the decorators and claims that register them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.claims import Claim, apart
from evaluation.blind4.export import Whole, exported, network
from evaluation.blind4.layers import Body, Net, Part, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_batch import differs
from evaluation.builder import Array
from evaluation.case import BATCH_RULE
from evaluation.images import faces
from evaluation.proof import alone
from evaluation.runtime import Network

#: A body, the name that its weights are drawn by, and the steps of training.
Parts: TypeAlias = tuple[Body, str, int]
View: TypeAlias = Callable[[T], T]
#: A plain network, images and what makes the second look, to embeddings.
How: TypeAlias = Callable[[Part, T, View], T]
#: The same for a network that is written as one.
Member: TypeAlias = Callable[[Net, T, View], T]


def hourglass(n: Net, x: T) -> T:
    """Write a small hourglass: down to a map of 7 x 7, up again, with shortcuts."""
    a = n.down(n.stem(x, 16), 24)
    b = n.res(n.down(a, 32))
    up = n.cb(b, 24, 1).repeat_interleave(2, 2).repeat_interleave(2, 3)
    return n.embed(n.cbp(F.relu(a + up), 24, 3, 2), 64)


def parallel(n: Net, x: T) -> T:
    """Write a small HRNet: two resolutions side by side that inform each other twice."""
    x = n.stem(x, 12)
    y = n.down(x, 20)
    for _ in range(2):
        up = n.cb(y, 12, 1).repeat_interleave(2, 2).repeat_interleave(2, 3)
        x, y = F.relu(n.cb(x, 12) + up), F.relu(n.cb(y, 20) + n.cb(x, 20, 3, 2))
    return n.embed(torch.cat([F.avg_pool2d(x, 4), F.avg_pool2d(y, 2)], 1), 64)


def meta(n: Net, x: T) -> T:
    """Write a small PoolFormer: tokens are mixed by nothing but an average."""
    x = n.conv(x, 24, 8, 8, padding=0)
    for _ in range(2):
        y = n.ln2d(x)
        x = x + F.avg_pool2d(y, 3, 1, 1) - y
        x = x + n.conv(F.gelu(n.conv(n.ln2d(x), 48, 1)), 24, 1)
    return n.embed(n.cbr(x, 32, 3, 2), 64)


def fractal(n: Net, x: T) -> T:
    """Write a small FractalNet: a short and a long path through each stage are averaged."""
    x = n.cbr(x, 12, 5, 4)
    for width in (20, 32):
        x = (n.cbr(x, width, 3, 2) + n.cbr(n.cbr(x, width), width, 3, 2)) / 2
    return n.gdc(x)


def coordinate(n: Net, x: T) -> T:
    """Write a small network with coordinate attention: gates for rows and for columns."""
    x = n.stem(x, 16)
    for width in (24, 32):
        x = n.down(x, width)
        row = torch.sigmoid(n.conv(F.relu(n.conv(x.mean(3, keepdim=True), 8, 1)), width, 1))
        column = torch.sigmoid(n.conv(F.relu(n.conv(x.mean(2, keepdim=True), 8, 1)), width, 1))
        x = x * row * column
    return n.gdc(x)


def kernels(n: Net, x: T) -> T:
    """Write a small visual attention network: large kernels, factored, gate the maps."""
    x = n.cb(x, 16, 4, 4, padding=0)
    for width in (24, 36):
        x = n.cb(x, width, 3, 2)
        y = F.gelu(n.conv(x, width, 1))
        gate = n.conv(n.conv(n.conv(y, width, 5, 1, -1), width, 3, 1, -1, dilation=2), width, 1)
        x = x + n.bn(y * gate)
    return n.embed(x, 48)


def gmlp(n: Net, x: T) -> T:
    """Write a small gMLP: half of the channels are gated by the other half, mixed over places."""
    t = n.patches(x, 32)
    for _ in range(2):
        u, v = F.gelu(n.linear(n.ln(t), 64)).chunk(2, 2)
        v = n.linear(n.ln(v).transpose(1, 2), 49).transpose(1, 2)
        t = t + n.linear(u * (1 + v), 32)
    return n.embed(n.ln(t).mean(1), 64)


def torch_of(model: View, x: Array) -> Array:
    """Run a function of PyTorch on images."""
    with torch.no_grad():
        return np.asarray(model(torch.from_numpy(np.ascontiguousarray(x, np.float32))).numpy())


def tensor(value: Any) -> T:
    return torch.from_numpy(np.array(value, np.float32))


def box(x: T, k: int) -> T:
    """Average over k x k pixels at every place."""
    return F.avg_pool2d(x, k, 1, k // 2)


def drawn_matrix(rows: int, columns: int, seed: int) -> T:
    """Draw a stored matrix whose rows have about length one."""
    return tensor(np.random.default_rng(seed).normal(0, columns**-0.5, (rows, columns)))


def same(x: T) -> T:
    return x


def named(
    make: Callable[[], nn.Module | onnx.ModelProto], how: Callable[..., object]
) -> Callable[[], nn.Module | onnx.ModelProto]:
    """Give a function that makes a network the name and the sentence of the one that says what it computes."""
    make.__name__, make.__doc__ = how.__name__, how.__doc__
    return make


def counts(right: View, once: View, near: float = 1e-4, least: float = 0.03) -> Claim:
    """Claim that the network is ``right``, and that seeing the image only (``once``) gives other embeddings.

    ``least`` is the mean of 1 - cosine over images, so that the second look is one that matters.
    """

    def wrong(run: Network) -> list[str]:
        x = faces(4, 5)
        given, rival = alone(run, x), torch_of(once, x)
        off = apart(given, torch_of(right, x))
        found = [] if np.isfinite(given).all() and off <= near else [f"1 - cosine to the formula is {off:.2g}"]
        cosines = (given * rival).sum(1) / np.linalg.norm(given, axis=1) / np.linalg.norm(rival, axis=1)
        moved = float((1 - cosines).mean())
        return found if moved >= least else [*found, f"the second look changes embeddings by {moved:.2g} only"]

    return wrong


def by_dynamo(model: nn.Module, name: str, opset: int) -> onnx.ModelProto:
    """Export by torch.export, without the notes on the source that the exporter leaves."""
    made = exported(model, name, opset, dynamo=True)
    for item in (*made.graph.node, *made.graph.value_info, *made.graph.initializer, *made.graph.input):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")
    made.graph.ClearField("metadata_props")
    made.ClearField("metadata_props")
    return made


def look(
    idea: str, parts: Parts, view: View, opset: int = 13, dynamo: bool = False, near: float = 1e-4
) -> Callable[[How], How]:
    """Register a network that sees the image and a view of it by one plain network."""

    def add(how: How) -> How:
        net: Callable[[], Net] = lambda: network(*parts)  # noqa: E731
        whole: Callable[[], nn.Module] = lambda: Whole(lambda f, x: how(f, x, view), net())  # noqa: E731
        make = (lambda: by_dynamo(whole(), how.__name__, opset)) if dynamo else whole
        claim = counts(lambda x: how(net(), x, view), lambda x: how(net(), x, same), near)
        evades(BATCH_RULE, idea=idea, opset=opset, claim=claim)(named(make, how))
        return how

    return add


class Rerun(nn.Module):
    """The layers of a network under another body."""

    def __init__(self, net: Net, how: Callable[[Net, T], T]) -> None:
        super().__init__()
        self.net, self.how = net, how

    def forward(self, x: T) -> T:
        self.net._at = 0
        return self.how(self.net, x)


def member(
    idea: str,
    view: View,
    trained: int = 0,
    opset: int = 13,
    dynamo: bool = False,
    near: float = 1e-4,
    instead: View = same,
) -> Callable[[Member], Member]:
    """Register a network, written and trained as one, in which a second look takes part somewhere.

    ``instead`` is what stands for the view where the network sees the image only.
    """

    def add(how: Member) -> Member:
        both: Body = lambda n, x: how(n, x, view)  # noqa: E731
        net: Callable[[], Net] = lambda: network(both, f"twelfth {how.__name__}", trained)  # noqa: E731
        whole: Callable[[], nn.Module] = net
        make = (lambda: by_dynamo(whole(), how.__name__, opset)) if dynamo else whole
        once: Callable[[Net, T], T] = lambda n, x: how(n, x, instead)  # noqa: E731
        claim = counts(lambda x: net()(x), lambda x: Rerun(net(), once)(x), near)
        evades(BATCH_RULE, idea=idea, opset=opset, claim=claim)(named(make, how))
        return how

    return add


def rows(idea: str, parts: Parts, opset: int = 13) -> Callable[[Callable[[Part, T], T]], Callable[[Part, T], T]]:
    """Register a network whose rows depend on each other."""

    def add(how: Callable[[Part, T], T]) -> Callable[[Part, T], T]:
        make = named(lambda: Whole(how, network(*parts)), how)
        evades("batch", BATCH_RULE, idea=idea, opset=opset, claim=differs)(make)
        return how

    return add
