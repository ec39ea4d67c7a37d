"""Plain networks that the evasions of this set are made of, and the decorators and claims that register them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.claims import Claim
from evaluation.blind4.evasions_align import AXIS, hats
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
Make: TypeAlias = Callable[[], nn.Module | onnx.ModelProto]


def ghost(n: Net, x: T) -> T:
    """Write a small GhostNet: half of the maps come of a pointwise layer, half of cheap layers on these."""
    x = n.cbr(x, 12, 3, 2)
    for width in (20, 28, 36):
        y = n.cbr(x, width, 1)
        y = torch.cat([y, F.relu(n.cb(y, width, 3, 1, -1))], 1)
        y = n.cb(n.conv(y, 2 * width, 3, 2, -1), width, 1)
        x = y + n.cb(x, width, 1, 2)
    return n.embed(x, 64)


def kernels(n: Net, x: T) -> T:
    """Write a small visual attention network: a wide, dilated depthwise layer multiplies the map."""
    x = n.cb(x, 24, 7, 4)
    for width in (28, 36):
        y = n.bn(x)
        a = n.conv(F.gelu(n.conv(y, x.shape[1], 1)), x.shape[1], 5, 1, -1)
        x = x + n.conv(a, x.shape[1], 7, 1, -1, dilation=3) * y
        x = x + n.conv(F.gelu(n.conv(n.conv(n.bn(x), 48, 1), 48, 3, 1, -1)), x.shape[1], 1)
        x = n.cb(x, width, 3, 2)
    return n.embed(x, 64)


def gated(n: Net, x: T) -> T:
    """Write a small HorNet: recursive gated convolutions of growing width."""
    x = n.conv(x, 24, 8, 8, padding=0)
    for _ in range(2):
        y = n.conv(n.ln2d(x), 48, 1)
        a, c = y[:, :6], n.conv(y[:, 6:], 42, 7, 1, -1)
        a = a * c[:, :6]
        a = n.conv(a, 12, 1) * c[:, 6:18]
        a = n.conv(a, 24, 1) * c[:, 18:]
        x = x + n.conv(a, 24, 1)
        x = x + n.conv(F.gelu(n.conv(n.ln2d(x), 48, 1)), 24, 1)
    return n.embed(n.cbr(x, 36, 3, 2), 64)


def grouped(n: Net, x: T) -> T:
    """Write a small ResNeXt with squeeze and excitation and PReLU."""
    x = n.cbp(x, 16, 3, 2)
    for width in (24, 32, 40):
        y = n.se(n.cb(n.cbp(n.cbp(x, width, 1), width, 3, 2, 4), width, 1))
        x = n.prelu(y + n.cb(F.avg_pool2d(x, 2), width, 1))
    return n.gdc(x)


def unshuffled(n: Net, x: T) -> T:
    """Write a small TResNet-like network: space to depth, then blocks with leaky units."""
    x = F.leaky_relu(n.cb(F.pixel_unshuffle(x, 4), 24, 3), 0.1)
    for width in (28, 36):
        x = F.leaky_relu(n.cb(x, width, 3, 2), 0.1)
        x = F.leaky_relu(x + n.cb(F.leaky_relu(n.cb(x, width), 0.1), width), 0.1)
    return n.embed(x, 64)


def blocks(n: Net, x: T) -> T:
    """Write a small CoAtNet: convolutional stages, then attention on 49 places."""
    x = n.inverted(n.stem(x, 16), 24, 2)
    x = n.inverted(x, 32, 2)
    t = n.block(x.flatten(2).transpose(1, 2), 4)
    return n.embed(t, 64)


def torch_of(model: View, x: Array) -> Array:
    """Run a function of PyTorch on images."""
    with torch.no_grad():
        return np.asarray(model(torch.from_numpy(np.ascontiguousarray(x, np.float32))).numpy())


def tensor(value: Any) -> T:
    return torch.from_numpy(np.array(value, np.float32))


def box(x: T, k: int) -> T:
    """Average over k x k pixels at every place."""
    return F.avg_pool2d(x, k, 1, k // 2, count_include_pad=False)


def same(x: T) -> T:
    return x


def mirrored(x: T) -> T:
    return x.flip(3)


def zoomed(x: T, by: float, down: float = 0.0, right: float = 0.0) -> T:
    """Enlarge or shrink about the middle and move; the border is drawn out."""
    r = hats((55.5 + (AXIS - 55.5) / by + down).clamp(0, 111)[None])[0]
    c = hats((55.5 + (AXIS - 55.5) / by + right).clamp(0, 111)[None])[0]
    return r @ x @ c.t()


def named(make: Make, how: Callable[..., object]) -> Make:
    """Give a function that makes a network the name and the sentence of the one that says what it computes."""
    make.__name__, make.__doc__ = how.__name__, how.__doc__
    return make


def counts(right: View, once: View, near: float = 1e-4, least: float = 0.03) -> Claim:
    """Claim that the network is ``right``, and that seeing the image only (``once``) gives other embeddings.

    ``least`` is the mean of 1 - cosine over images, so that the second look is one that matters.
    """

    def wrong(run: Network) -> list[str]:
        x = faces(4, 5)
        given, rival, ideal = alone(run, x), torch_of(once, x), torch_of(right, x)
        off = float((1 - cosines(given, ideal)).max())
        found = [] if np.isfinite(given).all() and off <= near else [f"1 - cosine to the formula is {off:.2g}"]
        moved = float((1 - cosines(given, rival)).mean())
        return found if moved >= least else [*found, f"the second look changes embeddings by {moved:.2g} only"]

    return wrong


def cosines(a: Array, b: Array) -> Array:
    """Return the cosine of each row of one with that of the other."""
    return np.asarray((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1))


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
        make: Make = (lambda: by_dynamo(whole(), how.__name__, opset)) if dynamo else whole
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
        net: Callable[[], Net] = lambda: network(both, f"fourteenth {how.__name__}", trained)  # noqa: E731
        make: Make = (lambda: by_dynamo(net(), how.__name__, opset)) if dynamo else net
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
