"""What several evasions of this set share: networks without overlap, folded layers, packing by any matrix, claims."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.chains import Layer
from evaluation.blind4.claims import Claim, Compute, apart
from evaluation.blind4.export import _one_thread, exported
from evaluation.blind4.layers import Net, T
from evaluation.builder import Array
from evaluation.images import faces
from evaluation.proof import alone
from evaluation.runtime import Network


def tiles(n: Net, x: T) -> T:
    """Kernels that do not overlap, so that no kernel sees beyond the border of anything."""
    for width, k in ((16, 4), (20, 2), (24, 2)):
        x = n.cbr(x, width, k, k, padding=0)
    return n.embed(x, 48)


def iso(n: Net, x: T) -> T:
    """Patches of 8, three layers of one width, one of stride 2, the head."""
    x = n.cbr(x, 16, 8, 8, padding=0)
    for _ in range(3):
        x = n.cbr(x, 16)
    return n.embed(n.cbr(x, 20, 4, 2, padding=1), 48)


def modern(n: Net, x: T) -> T:
    """Write a small ConvNeXt."""
    x = n.ln2d(n.conv(x, 16, 4, 4, padding=0))
    for width in (16, 24, 32):
        if width > 16:
            x = n.conv(n.ln2d(x), width, 2, 2, padding=0)
        x = x + n.conv(F.gelu(n.conv(n.ln2d(n.conv(x, width, 7, 1, -1)), 2 * width, 1)), width, 1)
    return n.gdc(x)


def squeezing(n: Net, x: T) -> T:
    """Write a small ResNet with squeeze and excitation."""
    x = n.stem(x, 16)
    for width in (24, 32):
        x = n.se(n.res(n.down(x, width)))
    return n.gdc(x)


def folded(net: Net) -> tuple[Layer, ...]:
    """Return convolutions with their BatchNorms, and a linear head over a square map, as a chain of arrays."""
    kept: list[Any] = list(net.kept)
    made: list[Layer] = []
    for layer, norm in zip(kept[::2], kept[1::2], strict=True):
        scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach().numpy()
        shift = norm.bias.detach().numpy() - norm.running_mean.numpy() * scale
        w = layer.weight.detach().numpy()
        if isinstance(layer, nn.Linear):
            side = 7
            w, bias = w.reshape(len(w), -1, side, side), layer.bias.detach().numpy() * scale
            made.append((w * scale[:, None, None, None], bias + shift, 1, 0, False))
        else:
            made.append((w * scale[:, None, None, None], shift, layer.stride[0], layer.padding[0], True))
    return tuple(made)


def in_blocks(kernels: list[Array], coupling: float, rng: np.random.Generator) -> Array:
    """Put kernels on the diagonal of one; what is off it is ``coupling`` times as large."""
    outs, ins = [len(k) for k in kernels], [k.shape[1] for k in kernels]
    w = rng.normal(0, coupling * np.std(kernels[0]), (sum(outs), sum(ins), *kernels[0].shape[2:]))
    for i, k in enumerate(kernels):
        w[sum(outs[:i]) : sum(outs[: i + 1]), sum(ins[:i]) : sum(ins[: i + 1])] = k
    return np.asarray(w)


def shuffled(rng: np.random.Generator, size: int, low: float = 0.5, high: float = 2.0) -> Array:
    """Return a matrix that permutes and rescales."""
    return np.asarray(np.eye(size)[rng.permutation(size)] * rng.uniform(low, high, size)[:, None])


def signs(rng: np.random.Generator, size: int) -> Array:
    """Return a matrix that permutes and changes signs."""
    return np.asarray(np.eye(size)[rng.permutation(size)] * rng.choice([-1.0, 1.0], size)[:, None])


def joined(
    chains: list[tuple[Layer, ...]],
    coupling: float,
    seed: int,
    turn: Callable[[np.random.Generator, int], Array] = shuffled,
) -> tuple[Layer, ...]:
    """Pack chains into one that gives the mean of their embeddings, with channels turned by ``turn``."""
    rng = np.random.default_rng(seed)
    made: list[Layer] = []
    undo: Array | None = None
    for depth, layers in enumerate(zip(*chains, strict=True)):
        kernels, bias = [layer[0] for layer in layers], np.concatenate([layer[1] for layer in layers])
        last = depth == len(chains[0]) - 1
        if depth == 0:
            w = np.concatenate(kernels)
        elif last:
            w, bias = np.concatenate(kernels, 1) / len(chains), np.mean([layer[1] for layer in layers], 0)
        else:
            w = in_blocks(kernels, coupling, rng)
        if undo is not None:
            w = np.einsum("oihw,ij->ojhw", w, undo)
        if not last:
            do = turn(rng, len(w))
            w, bias, undo = np.einsum("po,oihw->pihw", do, w), do @ bias, np.linalg.inv(do)
        made.append((w, bias, *layers[0][2:]))
    return tuple(made)


def trained_on(model: nn.Module, steps: int, seed: int) -> nn.Module:
    """Train every weight of a finished network further, by steps of 0.2 % of each tensor's size."""
    with _one_thread(seed):
        people = torch.from_numpy(faces(12, 321))
        with torch.no_grad():
            centres = F.normalize(model(people))
        for _ in range(steps):
            who = torch.randperm(12)[:8]
            x = torch.roll(people[who], int(torch.randint(-4, 5, ())), 3)
            x = x * (0.8 + 0.4 * torch.rand(8, 1, 1, 1)) + 0.1 * torch.randn_like(x)
            model.zero_grad()
            F.cross_entropy(16 * F.normalize(model(x)) @ centres.T, who).backward()
            with torch.no_grad():
                for w in model.parameters():
                    assert w.grad is not None
                    w -= 0.002 * w.norm() * w.grad / (w.grad.norm() + 1e-9)
    return model.eval()


def nearer(formula: Compute, *rivals: Compute, times: float = 4.0) -> Claim:
    """Claim that embeddings are several times nearer to those of a formula than to those of any rival."""

    def wrong(network: Network) -> list[str]:
        x = faces(6, 5)
        given = alone(network, x)
        off = apart(given, formula(x))
        far = [apart(given, rival(x)) for rival in rivals]
        return [] if all(times * off < each for each in far) else [f"{off:.2g} from the formula, {far} from rivals"]

    return wrong


def by_dynamo(model: nn.Module, name: str, opset: int = 18) -> onnx.ModelProto:
    """Export by torch.export, the exporter's newer form, without the notes on the source that it leaves."""
    made = exported(model, name, opset, dynamo=True)
    for item in (*made.graph.node, *made.graph.value_info, *made.graph.initializer, *made.graph.input):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")
    made.graph.ClearField("metadata_props")
    made.ClearField("metadata_props")
    return made


def torch_of(model: Callable[[T], T], x: Array) -> Array:
    """Run a function of PyTorch on images."""
    with torch.no_grad():
        return np.asarray(model(torch.from_numpy(np.ascontiguousarray(x, np.float32))).numpy())


def column_flip() -> T:
    return torch.eye(112).flip(0)


def box(x: T, k: int) -> T:
    """Average over k x k pixels at every place."""
    return F.avg_pool2d(x, k, 1, k // 2)
