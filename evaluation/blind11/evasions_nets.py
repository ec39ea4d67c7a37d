"""Plain networks that the evasions of this set are made of, and the decorators and claims that register them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.claims import Claim, apart, computes, plain
from evaluation.blind4.export import Whole, exported, network
from evaluation.blind4.layers import Body, Net, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_batch import differs
from evaluation.builder import Array
from evaluation.case import BATCH_RULE
from evaluation.proof import alone
from evaluation.runtime import Network

#: A body, the name that its weights are drawn by, and the steps of training.
Parts = tuple[Body, str, int]
Part = Callable[[T], T]
#: A plain network and images to embeddings.
How = Callable[[Part, T], T]


def inception(n: Net, x: T) -> T:
    """Write a small Inception: kernels of one, three and five and a pooling beside each other."""
    x = n.cbr(x, 12, 3, 2)
    for width in (4, 6, 8):
        x = F.max_pool2d(x, 3, 2, 1)
        five = n.cbr(n.cbr(x, 4, 1), width, 5)
        x = torch.cat([n.cbr(x, width, 1), n.cbr(x, width), five, n.cbr(F.avg_pool2d(x, 3, 1, 1), width, 1)], 1)
    return n.gdc(x)


def vov(n: Net, x: T) -> T:
    """Write a small VoVNet: layers in series, all of which are joined once at the end of a stage."""
    x = n.cbr(x, 12, 3, 2)
    for width in (16, 24, 32):
        kept = [n.cbr(x, 12, 3, 2)]
        for _ in range(2):
            kept.append(n.cbr(kept[-1], 12))
        x = n.cbr(torch.cat(kept, 1), width, 1)
    return n.pooled(x, 64)


def highway(n: Net, x: T) -> T:
    """Write a small highway network: gates decide how much of a layer and of its input goes on."""
    x = n.cbr(x, 12, 5, 4)
    for width in (20, 32):
        x = n.cbr(x, width, 3, 2)
        gate = torch.sigmoid(n.conv(x, width, 1))
        x = gate * torch.tanh(n.cb(x, width)) + (1 - gate) * x
    return n.embed(x, 64)


def reg(n: Net, x: T) -> T:
    """Write a small RegNet: residual blocks of grouped kernels with squeeze and excitation."""
    x = n.cbr(x, 16, 3, 2)
    for width in (16, 24, 32):
        y = n.se(n.cbr(n.cbr(x, width, 1), width, 3, 2, width // 8))
        x = F.relu(n.cb(y, width, 1) + n.cb(x, width, 1, 2))
    return n.gdc(x)


def smooth(n: Net, x: T) -> T:
    """Write a small network that softens its maps before each stride."""
    for width in (12, 16, 24, 32):
        x = F.avg_pool2d(F.silu(n.cb(x, width)), 3, 2, 1)
    return n.embed(x, 64)


def poly(n: Net, x: T) -> T:
    """Write a small polynomial network: each stage is multiplied with a linear map of what the stage before gave."""
    x = n.cb(x, 16, 4, 4, padding=0)
    for width in (20, 28):
        x = n.cb(x, width, 3, 2) * (1 + 0.5 * n.cb(x, width, 1, 2))
        x = x / (1 + 0.1 * x.abs())
    return n.embed(x, 64)


def torch_of(model: Callable[[T], T], x: Array) -> Array:
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


def of(parts: Parts) -> Callable[[Array], Array]:
    """Return the plain network as a function of images."""
    return lambda x: plain(*parts)(x)


def named(
    make: Callable[[], nn.Module | onnx.ModelProto], how: Callable[..., object]
) -> Callable[[], nn.Module | onnx.ModelProto]:
    """Give a function that makes a network the name and the sentence of the one that says what it computes."""
    make.__name__, make.__doc__ = how.__name__, how.__doc__
    return make


def another(how: How, parts: Parts, near: float = 1e-4) -> Claim:
    """Claim that the network computes ``how`` of the plain network, and that this is not the plain network."""
    whole: Callable[[T], T] = lambda t: how(lambda y: cast(T, network(*parts)(y)), t)  # noqa: E731
    return computes(lambda x: torch_of(whole, x), of(parts), near=near)


def by_dynamo(model: nn.Module, name: str, opset: int) -> onnx.ModelProto:
    """Export by torch.export, without the notes on the source that the exporter leaves."""
    made = exported(model, name, opset, dynamo=True)
    for item in (*made.graph.node, *made.graph.value_info, *made.graph.initializer, *made.graph.input):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")
    made.graph.ClearField("metadata_props")
    made.ClearField("metadata_props")
    return made


def look(idea: str, parts: Parts, opset: int = 13, dynamo: bool = False) -> Callable[[How], How]:
    """Register a network that sees more than the image by one plain network."""

    def add(how: How) -> How:
        whole: Callable[[], nn.Module] = lambda: Whole(how, network(*parts))  # noqa: E731
        make = (lambda: by_dynamo(whole(), how.__name__, opset)) if dynamo else whole
        evades(BATCH_RULE, idea=idea, opset=opset, claim=another(how, parts))(named(make, how))
        return how

    return add


def rows(idea: str, parts: Parts, opset: int = 13) -> Callable[[How], How]:
    """Register a network whose rows depend on each other."""

    def add(how: How) -> How:
        make = named(lambda: Whole(how, network(*parts)), how)
        evades("batch", BATCH_RULE, idea=idea, opset=opset, claim=differs)(make)
        return how

    return add


class Rerun(nn.Module):
    """The layers of a plain network under another body."""

    def __init__(self, parts: Parts, how: Callable[[Net, T], T]) -> None:
        super().__init__()
        self.net, self.how = network(*parts), how

    def forward(self, x: T) -> T:
        self.net._at = 0
        return self.how(self.net, x)


def by_hand(parts: Parts, said: Callable[[Net, T], T], near: float = 1e-4) -> Claim:
    """Claim that the network is what ``said`` makes of the plain one's layers, and not the plain one."""
    return computes(lambda x: torch_of(Rerun(parts, said), x), of(parts), near=near)


def guarded(parts: Parts, on: Callable[[], Array], usual: Callable[[], Array]) -> Claim:
    """Claim another embedding than the plain one for some images, and the plain one for others."""

    def wrong(run: Network) -> list[str]:
        x, y = on(), usual()
        far, near = apart(alone(run, x), of(parts)(x)), apart(alone(run, y), of(parts)(y))
        found = [] if far > 1e-3 else [f"the images that are meant differ by {far:.2g} only"]
        return found if near < 1e-4 else [*found, f"the others differ by {near:.2g}"]

    return wrong
