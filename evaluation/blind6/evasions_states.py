"""Evasions: tokens of a second look that are kept in memories, sums and running states."""

from __future__ import annotations

from typing import Any, cast

import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.evasions_tokens import encode
from evaluation.blind4.layers import Net, T, tokens
from evaluation.blind4.register import evades
from evaluation.blind6.evasions_common import box, by_dynamo
from evaluation.blind6.evasions_tokens import Looks, by_views
from evaluation.case import BATCH_RULE


def remembering(n: Net, x: T, two: bool) -> T:
    """Eight memory tokens are read from a first pass, and stand before the tokens of the second pass."""
    memory = n.weight(1, 8, 32).expand(x.shape[0], -1, -1)
    start = n._at
    for view in (x @ torch.eye(112).flip(0) if two else x, x) if n.made else (x,):
        n._at = start
        t = torch.cat([memory, n.patches(view)], 1)
        t = encode(n, t)
        memory = t[:, :8]
    return n.embed(t[:, 8:].mean(1) + memory.mean(1), 48)


def remembers_one(n: Net, x: T) -> T:
    return remembering(n, x, False)


MEMORY = (remembers_one, "memory tokens", 0)


def memory_by_hand(n: Net, x: T) -> T:
    memory = n.kept[0]().expand(x.shape[0], -1, -1)
    for view in (x.flip(3), x):
        n._at = 1
        t = encode(n, torch.cat([memory, n.patches(view)], 1))
        memory = t[:, :8]
    return n.embed(t[:, 8:].mean(1) + memory.mean(1), 48)


@evades(BATCH_RULE, idea="memory tokens", opset=13, claim=by_views(MEMORY, memory_by_hand))
def memory_tokens_of_the_mirror_image() -> nn.Module:
    """A recurrent memory transformer of two passes; the first one, which fills the memory, reads the mirror image."""
    return Looks(MEMORY, remembering)


def written_fast(n: Net, x: T, two: bool) -> T:
    """Linear attention: keys and values are summed into one matrix, which the image's tokens query."""
    start = n._at
    t = n.ln(tokens(n.conv(x, 24, 14, 14, padding=0)))
    sets = [t]
    if two:
        n._at = start
        sets.append(n.ln(tokens(n.conv(box(x, 5), 24, 14, 14, padding=0))))
    q, k, v = (n.keep(lambda: nn.Linear(24, 24)) for _ in range(3))
    state = sum(F.relu(k(each)).transpose(1, 2) @ v(each) for each in sets)
    return n.embed(n.ln(t + F.relu(q(t)) @ cast(T, state) / 16), 48)


def written_once(n: Net, x: T) -> T:
    return written_fast(n, x, False)


FAST = (written_once, "fast weights", 6)


def fast_by_hand(n: Net, x: T) -> T:
    patch, norm, q, k, v, after, head, last = (cast(Any, part) for part in n.kept)
    t, soft = (norm(tokens(patch(view))) for view in (x, F.avg_pool2d(x, 5, 1, 2)))
    state = F.relu(k(t)).transpose(1, 2) @ v(t) + F.relu(k(soft)).transpose(1, 2) @ v(soft)
    return cast(T, last(head(after(t + F.relu(q(t)) @ state / 16).flatten(1))))


@evades(BATCH_RULE, idea="tokens in a sum", claim=by_views(FAST, fast_by_hand))
def fast_weights_written_by_two_looks() -> onnx.ModelProto:
    """Linear attention whose sum of keys and values takes in the tokens of a softened image as well."""
    return by_dynamo(Looks(FAST, written_fast), "fast weights written by two looks")


def scanned(n: Net, x: T, two: bool) -> T:
    """A state with a decay for each channel runs along the tokens, as in a state space model."""
    patch = n.keep(lambda: nn.Conv2d(3, 32, 14, 14))
    y = patch(x)
    if two:
        y = torch.cat([y, F.conv2d(x, patch.weight.flip(3), patch.bias, 14).flip(3)], 2)
    t = tokens(y)
    length = int(t.shape[1])
    for decay in (0.9, 0.97):
        at = torch.arange(length).float()
        keep = torch.where(at[:, None] >= at, decay ** (at[:, None] - at).clamp(0), torch.zeros(()))
        u = n.ln(t)
        state = keep @ n.linear(u, 32) * 0.2
        t = t + n.linear(state * torch.sigmoid(n.linear(u, 32)), 32)
    return n.embed(n.ln(t[:, -1:]), 48)


def scanned_once(n: Net, x: T) -> T:
    return scanned(n, x, False)


SCANNED = (scanned_once, "scanned tokens", 8)


def scanned_by_hand(n: Net, x: T) -> T:
    """The image above its mirror image, in the plain network: tokens are scanned row by row."""
    return scanned(n, torch.cat([x, x.flip(3)], 2), False)


@evades(BATCH_RULE, idea="state space", opset=13, claim=by_views(SCANNED, scanned_by_hand))
def state_runs_on_into_the_mirrored_tokens() -> nn.Module:
    """A state space model scans the tokens, and runs on over tokens of mirrored kernels before its state is read."""
    return Looks(SCANNED, scanned)
