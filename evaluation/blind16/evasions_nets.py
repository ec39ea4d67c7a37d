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

UNIT = (2 * AXIS + 1) / 112 - 1
ROW, COLUMN = UNIT[:, None].expand(112, 112), UNIT[None].expand(112, 112)


def partial(n: Net, x: T) -> T:
    """Write a small FasterNet: a spatial kernel sees a quarter of the maps, two layers of one pixel all of them."""
    x = n.cb(x, 20, 8, 4, padding=2)
    for width in (28, 36):
        c = x.shape[1] // 4
        y = torch.cat([n.conv(x[:, :c], c, 3), x[:, c:]], 1)
        x = x + n.conv(F.relu(n.cb(y, 2 * x.shape[1], 1)), x.shape[1], 1)
        x = n.cb(x, width, 3, 2)
    return n.embed(F.relu(x), 64)


def fire(n: Net, x: T) -> T:
    """Write a small SqueezeNet: a narrow layer, then kernels of one and of three pixels beside each other."""
    x = n.cbr(x, 16, 5, 4)
    for width in (12, 18):
        y = n.cbr(x, width // 2 + 4, 1)
        x = F.max_pool2d(torch.cat([n.cbr(y, width, 1), n.cbr(y, width, 3)], 1), 2)
    return n.embed(x, 64)


def separable(n: Net, x: T) -> T:
    """Write a small Xception: separable layers with shortcuts of one pixel."""
    x = n.cbp(x, 16, 5, 4)
    for width in (24, 36):
        y = n.cb(F.relu(n.cb(n.conv(x, x.shape[1], 3, 1, -1), width, 1)), width, 3, 2, width)
        x = F.relu(y + n.cb(x, width, 1, 2))
    return n.gdc(x)


def grouped(n: Net, x: T) -> T:
    """Write a small ResNeXt of leaky units: kernels in four groups between layers of one pixel."""
    x = F.leaky_relu(n.cb(x, 16, 7, 4), 0.1)
    for width in (24, 32):
        y = F.leaky_relu(n.cb(x, 24, 1), 0.1)
        y = n.cb(F.leaky_relu(n.cb(y, 24, 3, 2, 4), 0.1), width, 1)
        x = F.leaky_relu(y + n.cb(x, width, 1, 2), 0.1)
    return n.embed(x, 64)


def conditioned(n: Net, x: T) -> T:
    """Write a small ConvNeXt-like network: kernels of five for each map, normalised over maps, two wide layers."""
    x = n.ln2d(n.conv(x, 24, 8, 8, padding=0))
    for _ in range(2):
        y = n.ln2d(n.conv(x, 24, 5, 1, -1))
        x = x + n.conv(F.gelu(n.conv(y, 48, 1)), 24, 1)
    return n.embed(n.conv(n.ln2d(x), 36, 2, 2, padding=0), 64)


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


def placed(x: T, down: T, right: T) -> T:
    """Read the image at stored places [112, 112]."""
    grid = torch.stack([right, down], 2).expand(x.shape[0], -1, -1, -1)
    return F.grid_sample(x, grid, align_corners=False, padding_mode="border")


def named(make: Make, how: Callable[..., object]) -> Make:
    """Give a function that makes a network the name and the sentence of the one that says what it computes."""
    make.__name__, make.__doc__ = how.__name__, how.__doc__
    return make


def cosines(a: Array, b: Array) -> Array:
    """Return the cosine of each row of one with that of the other."""
    return np.asarray((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1))


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


def by_dynamo(model: nn.Module, name: str, opset: int) -> onnx.ModelProto:
    """Export by torch.export, without the notes on the source that the exporter leaves."""
    made = exported(model, name, opset, dynamo=True)
    for item in (*made.graph.node, *made.graph.value_info, *made.graph.initializer, *made.graph.input):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")
    made.graph.ClearField("metadata_props")
    made.ClearField("metadata_props")
    return made


def declared(model: nn.Module, name: str, opset: int) -> onnx.ModelProto:
    """Export, and declare the width of the embedding where the exporter has not found it."""
    made = exported(model, name, opset)
    width = made.graph.output[0].type.tensor_type.shape.dim[1]
    if not width.dim_value:
        with torch.no_grad():
            width.dim_value = model(torch.from_numpy(faces(2, 5))).shape[1]
    return made


def look(
    idea: str, parts: Parts, view: View, opset: int = 13, near: float = 1e-4, dynamo: bool = False
) -> Callable[[How], How]:
    """Register a network that sees the image and a view of it by one plain network."""

    def add(how: How) -> How:
        net: Callable[[], Net] = lambda: network(*parts)  # noqa: E731
        whole: Callable[[], nn.Module] = lambda: Whole(lambda f, x: how(f, x, view), net())  # noqa: E731
        export = by_dynamo if dynamo else declared
        make: Make = lambda: export(whole(), how.__name__, opset)  # noqa: E731
        claim = counts(lambda x: how(net(), x, view), lambda x: how(net(), x, lambda y: unseen(y, view)), near)
        evades(BATCH_RULE, idea=idea, opset=opset, claim=claim)(named(make, how))
        return how

    return add


def unseen(x: T, view: View) -> T:
    """Return the image itself in the place of each look."""
    made = view(x)
    return x.expand(made.shape) if made.dim() == 5 else x


class Rerun(nn.Module):
    """The layers of a network under another body."""

    def __init__(self, net: Net, how: Callable[[Net, T], T]) -> None:
        super().__init__()
        self.net, self.how = net, how

    def forward(self, x: T) -> T:
        self.net._at = 0
        return self.how(self.net, x)


def member(
    idea: str, view: View, trained: int = 0, opset: int = 13, near: float = 1e-4, dynamo: bool = False
) -> Callable[[Member], Member]:
    """Register a network, written and trained as one, in which a second look takes part somewhere."""

    def add(how: Member) -> Member:
        both: Body = lambda n, x: how(n, x, view)  # noqa: E731
        net: Callable[[], Net] = lambda: network(both, f"sixteenth {how.__name__}", trained)  # noqa: E731
        once: Callable[[Net, T], T] = lambda n, x: how(n, x, lambda y: unseen(y, view))  # noqa: E731
        claim = counts(lambda x: net()(x), lambda x: Rerun(net(), once)(x), near)
        make: Make = (lambda: by_dynamo(net(), how.__name__, opset)) if dynamo else net
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
