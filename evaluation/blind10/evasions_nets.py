"""Plain networks that the evasions of this set are made of, and the decorators that register them."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.claims import Claim, apart, computes
from evaluation.blind4.export import Whole, network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_batch import differs
from evaluation.blind6.evasions_common import torch_of
from evaluation.blind7.evasions_nets import Parts, of
from evaluation.builder import Array
from evaluation.case import BATCH_RULE
from evaluation.proof import alone
from evaluation.runtime import Network

#: A plain network and images to embeddings.
How = Callable[[Callable[[T], T], T], T]


def star(n: Net, x: T) -> T:
    """Write a small StarNet: two layers multiplied with each other."""
    x = F.relu6(n.cb(x, 12, 3, 2))
    for width in (16, 24, 32):
        x = n.cb(x, width, 3, 2)
        y = n.cb(x, width, 5, 1, -1)
        x = x + n.cb(F.relu6(n.conv(y, width, 1)) * n.conv(y, width, 1), width, 1)
    return n.gdc(x)


def rep(n: Net, x: T) -> T:
    """Write a small RepVGG as it is trained: kernels of three, of one and none, added."""
    x = F.relu(n.cb(x, 12, 3, 2) + n.cb(x, 12, 1, 2))
    for width in (16, 24, 32):
        x = F.relu(n.cb(x, width, 3, 2) + n.cb(x, width, 1, 2))
        x = F.relu(n.cb(x, width, 3) + n.cb(x, width, 1) + n.bn(x))
    return n.pooled(x, 64)


def dual(n: Net, x: T) -> T:
    """Write a small dual path network: some maps are added, some are joined."""
    x = n.stem(x, 16)
    for width in (24, 32):
        x = n.down(x, width)
        y = n.cb(n.cbr(n.cbr(x, 16, 1), 16, 3, 1, 4), width + 8, 1)
        x = F.relu(torch.cat([x + y[:, :width], y[:, width:]], 1))
    return n.gdc(x)


def selu(n: Net, x: T) -> T:
    """Write a small self-normalising network: no BatchNorm but the last one."""
    for width in (12, 20, 28, 32):
        x = F.selu(n.conv(x, width, 4, 2, padding=1))
    return n.embed(x, 64)


def fires(n: Net, x: T) -> T:
    """Write a small network of tall and wide kernels with hard swish."""
    x = F.hardswish(n.cb(x, 12, 7, 4))
    for width in (20, 32):
        x = F.hardswish(n.cb(torch.cat([n.conv(x, width // 2, (1, 5)), n.conv(x, width // 2, (5, 1))], 1), width, 3, 2))
    return n.embed(x, 64)


def plain_of(parts: Parts) -> Callable[[T], T]:
    return lambda x: cast(T, network(*parts)(x))


def named(make: Callable[[], nn.Module], how: Callable[..., object]) -> Callable[[], nn.Module]:
    """Give a function that makes a network the name and the sentence of the one that says what it computes."""
    make.__name__, make.__doc__ = how.__name__, how.__doc__
    return make


def another(how: How, parts: Parts) -> Claim:
    """Claim that the network computes ``how`` of the plain network, and that this is not the plain network."""
    return computes(lambda x: torch_of(lambda t: how(plain_of(parts), t), x), of(parts))


def look(idea: str, parts: Parts, opset: int = 13, fold: bool = True) -> Callable[[How], How]:
    """Register a network that sees more than the image by one plain network."""

    def add(how: How) -> How:
        make = named(lambda: Whole(how, network(*parts)), how)
        evades(BATCH_RULE, idea=idea, opset=opset, fold=fold, claim=another(how, parts))(make)
        return how

    return add


def rows(idea: str, parts: Parts, opset: int = 13) -> Callable[[How], How]:
    """Register a network whose rows depend on each other."""

    def add(how: How) -> How:
        make = named(lambda: Whole(how, network(*parts)), how)
        evades("batch", BATCH_RULE, idea=idea, opset=opset, claim=differs)(make)
        return how

    return add


def guarded(parts: Parts, how: How, on: Callable[[], Array], usual: Callable[[], Array]) -> Claim:
    """Claim ``how`` for some images, clearly another embedding than the plain one, and the plain one for others."""

    def wrong(run: Network) -> list[str]:
        x, y = on(), usual()
        far, near = apart(alone(run, x), of(parts)(x)), apart(alone(run, y), of(parts)(y))
        found = [] if far > 1e-3 else [f"the images that are meant differ by {far:.2g} only"]
        if not near < 1e-4:
            found.append(f"the others differ by {near:.2g}")
        return found if np.isfinite(alone(run, x)).all() else [*found, "the embeddings are not finite"]

    return wrong


def upright(x: T) -> T:
    """Turn the image upside down."""
    return x.flip(2)


def spectrum(size: int) -> tuple[T, T]:
    """Return cosines and sines of a Fourier transform of this size, divided by its root."""
    angle = 2 * np.pi * np.outer(np.arange(size), np.arange(size)) / size
    c, s = (torch.from_numpy((f(angle) / size**0.5).astype(np.float32)) for f in (np.cos, np.sin))
    return c, s
