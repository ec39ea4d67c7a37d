"""Evasions: two looks as parts of numbers: of quaternions, of digits, of kernels' sides, of an ensemble's members."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.chains import chain, patch_chain
from evaluation.blind4.claims import computes, mirror
from evaluation.blind4.evasions_packed import of_views, same
from evaluation.blind4.export import network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind6.evasions_common import folded, in_blocks, shuffled, tiles, torch_of
from evaluation.blind7.evasions_nets import Parts, tensor
from evaluation.builder import Array
from evaluation.case import BATCH_RULE

RANDOM: Parts = (patch_chain, "packed ninth at random", 0)
TILES: Parts = (tiles, "packed ninth, tiles", 8)


class Quaternions(nn.Module):
    """A network of quaternions: four images as one, kernels with a large real and small imaginary parts."""

    def __init__(self) -> None:
        super().__init__()
        rng = np.random.default_rng(95)
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for w, b, *_ in chain(*RANDOM):
            parts = [w, *(0.012 * np.std(w) * rng.normal(0, 1, w.shape) for _ in range(3))]
            self.weights.append(nn.Parameter(tensor(np.stack(parts))))
            self.biases.append(nn.Parameter(tensor(b)))

    def forward(self, x: T) -> T:
        x = torch.cat([x, x.flip(3), x.flip(2), x.flip(2).flip(3)], 1)
        for i, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            r, p, q, s = w.unbind(0)
            rows = [[r, -p, -q, -s], [p, r, -s, q], [q, s, r, -p], [s, -q, p, r]]
            k = torch.cat([torch.cat(row, 1) for row in rows])
            x = F.conv2d(x, k, b.repeat(4), 4 if i == 0 else (2, 2, 1)[i - 1], 1 if i in (1, 2) else 0)
            x = F.relu(x) if i < 3 else x
        return x.reshape(-1, 4, x.shape[1] // 4).mean(1)


@evades(BATCH_RULE, idea="quaternions", opset=12, claim=of_views(
    RANDOM, same, mirror, lambda x: x[:, :, ::-1], lambda x: x[:, :, ::-1, ::-1], near=8e-3
))  # fmt: skip
def quaternion_whose_four_parts_are_four_looks() -> nn.Module:
    """Hamilton's product with small imaginary kernels; real and imaginary parts are the image and three turned ones."""
    return Quaternions()


class Digits(nn.Module):
    """Two looks in the upper and lower digits of each number: every product serves both of them."""

    def __init__(self) -> None:
        super().__init__()
        self.weights, self.biases, self.sides = nn.ParameterList(), nn.ParameterList(), (4, 2, 2, 7)
        for w, b, *_ in folded(network(*TILES)):
            self.weights.append(nn.Parameter(tensor(np.round(w.reshape(len(w), -1).T * 1024) / 1024)))
            self.biases.append(nn.Parameter(tensor(b)))

    def forward(self, x: T) -> T:
        a, b = x.double(), torch.round(x.flip(2).double() * 1024) / 1024
        for w, bias, k in zip(self.weights, self.biases, self.sides, strict=True):
            c, h, v = (int(n) for n in a.shape[1:])
            z = (a + 67108864.0 * b).reshape(-1, c, h // k, k, v // k, k).permute(0, 2, 4, 1, 3, 5)
            z = z.reshape(-1, (h // k) * (v // k), c * k * k) @ w.double()
            high = torch.round(z / 64)
            a, b = z - 64 * high + bias.double(), high / 1048576 + bias.double()
            a, b = (y.transpose(1, 2).reshape(-1, w.shape[1], h // k, v // k) for y in (a, b))
            if k < 7:
                a, b = F.relu(a), torch.round(F.relu(b) * 1024) / 1024
        return ((a + b) / 2).flatten(1).float()


@evades(BATCH_RULE, idea="digits", opset=13, claim=of_views(TILES, same, lambda x: x[:, :, ::-1], near=1e-3))
def upper_digits_see_the_face_upside_down() -> nn.Module:
    """In doubles, lower digits carry a trained network's features, upper ones those of the face upside down."""
    return Digits()


def causal(n: Net, x: T) -> T:
    """Write a WaveNet over columns: each place knows the columns left of it."""
    x = n.cbr(x, 24, (112, 2), 2, padding=0)
    for d in (1, 2, 4):
        x = n.cbr(F.pad(x, (2 * d, 0)), 24, (1, 3), dilation=d, padding=0)
    return n.embed(x.mean((2, 3)), 64)


CAUSAL: Parts = (causal, "packed ninth, causal", 6)


class BothWays(nn.Module):
    """A network over columns of kernels of five, half of which look to the left, and half to the right."""

    def __init__(self) -> None:
        super().__init__()
        rng = np.random.default_rng(97)
        kept: list[Any] = list(network(*CAUSAL).kept)
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        undo = np.eye(3)
        for layer, norm in zip(kept[:8:2], kept[1:8:2], strict=True):
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            w = (layer.weight * scale[:, None, None, None]).detach().numpy()
            b = (norm.bias - norm.running_mean * scale).detach().numpy()
            if len(self.weights):
                w = np.concatenate([w, np.zeros((*w.shape[:3], 2))], 3)
                w = in_blocks([w, w[..., ::-1]], 0.01, rng)
            else:
                w = np.concatenate([w, w[..., ::-1]])
            do = shuffled(rng, 48)
            self.weights.append(nn.Parameter(tensor(np.einsum("po,oihw,ij->pjhw", do, w, undo))))
            self.biases.append(nn.Parameter(tensor(do @ np.tile(b, 2))))
            undo = np.linalg.inv(do)
        scale = kept[9].weight / (kept[9].running_var + kept[9].eps).sqrt()
        w = (kept[8].weight * scale[:, None]).detach().numpy()
        b = (kept[9].bias + (kept[8].bias - kept[9].running_mean) * scale).detach().numpy()
        self.weights.append(nn.Parameter(tensor(np.concatenate([w, w], 1) / 2 @ undo)))
        self.biases.append(nn.Parameter(tensor(b)))

    def forward(self, x: T) -> T:
        w, b = self.weights, self.biases
        x = F.relu(F.conv2d(x, w[0], b[0], 2))
        for i, d in ((1, 1), (2, 2), (3, 4)):
            x = F.relu(F.conv2d(x, w[i], b[i], 1, (0, 2 * d), (1, d)))
        return F.linear(x.mean((2, 3)), w[4], b[4])


@evades(BATCH_RULE, idea="both directions", opset=15, claim=of_views(CAUSAL, same, mirror, near=1.5e-3))
def wavenet_over_columns_with_a_mirrored_half() -> nn.Module:
    """A trained WaveNet over columns, shuffled with the same one of kernels turned round, which hears it backwards."""
    return BothWays()


MEMBERS: Parts = (tiles, "members of the ninth set", 0)


class Members(nn.Module):
    """BatchEnsemble: members share kernels, and each has factors of its own for what goes in and what comes out."""

    def __init__(self, looks: bool) -> None:
        super().__init__()
        rng, self.looks = np.random.default_rng(98), looks
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        self.ins, self.outs, self.sides = nn.ParameterList(), nn.ParameterList(), (4, 2, 2, 1)
        for w, b, *_ in folded(network(*MEMBERS)):
            self.weights.append(nn.Parameter(tensor(w)))
            self.biases.append(nn.Parameter(tensor(b)))
            for kept, size in ((self.ins, w.shape[1]), (self.outs, len(w))):
                kept.append(nn.Parameter(tensor(1 + 0.15 * rng.choice([-1.0, 1.0], (1, 3, size, 1, 1)))))

    def forward(self, x: T) -> T:
        y = torch.stack([x, x.flip(3), 0.8 * x + 0.15] if self.looks else [x] * 3, 1)
        for i, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            y = (y * self.ins[i]).reshape(-1, w.shape[1], y.shape[3], y.shape[4])
            y = F.conv2d(y, w, None, self.sides[i])
            y = y.reshape(-1, 3, *y.shape[1:]) * self.outs[i] + b.reshape(-1, 1, 1)
            y = F.relu(y) if i < 3 else y
        return y.mean(1).flatten(1)


def by_members(x: Array) -> Array:
    """Run each member by itself on its own look, with factors and kernels multiplied out."""
    whole, kept = Members(True), []
    for m, view in enumerate((x, mirror(x), 0.8 * x + 0.15)):

        def member(y: T, m: int = m) -> T:
            for i, (w, b) in enumerate(zip(whole.weights, whole.biases, strict=True)):
                k = w * whole.ins[i][0, m].reshape(1, -1, 1, 1) * whole.outs[i][0, m].reshape(-1, 1, 1, 1)
                y = F.conv2d(y, k, b, whole.sides[i])
                y = F.relu(y) if i < 3 else y
            return y.flatten(1)

        kept.append(torch_of(member, view))
    return np.asarray(np.mean(kept, 0))


@evades(BATCH_RULE, idea="members", opset=13, claim=computes(by_members, lambda x: torch_of(Members(False), x)))
def members_of_a_batch_ensemble_with_looks_of_their_own() -> nn.Module:
    """BatchEnsemble is honest on one image; here its three members see the face, its mirror image and a lighter one."""
    return Members(True)
