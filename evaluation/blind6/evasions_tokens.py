"""Evasions: tokens of a second look, which reach the same blocks by way of memories, states, decoders and positions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.claims import Claim, computes, plain
from evaluation.blind4.evasions_packed import of_views, same
from evaluation.blind4.evasions_tokens import encode, vit
from evaluation.blind4.export import network
from evaluation.blind4.layers import Body, Net, T, tokens
from evaluation.blind4.register import evades
from evaluation.blind6.evasions_common import by_dynamo, torch_of
from evaluation.builder import Array
from evaluation.case import BATCH_RULE

Two = Callable[[Net, T, bool], T]


class Looks(nn.Module):
    """A network written with one look or two, on the weights of the one with one."""

    def __init__(self, parts: tuple[Body, str, int], body: Two, two: bool = True) -> None:
        super().__init__()
        self.net, self.body, self.two = network(*parts), body, two

    def forward(self, x: T) -> T:
        self.net._at = 0
        return self.body(self.net, x, self.two)


def by_views(parts: tuple[Body, str, int], said: Callable[[Net, T], T]) -> Claim:
    """Claim that the network is what ``said`` computes of views made by hand, and not the plain one."""

    def formula(x: Array) -> Array:
        net = network(*parts)

        def run(y: T) -> T:
            net._at = 0
            return said(net, y)

        return torch_of(run, x)

    return computes(formula, plain(*parts))


def sized(n: Net, x: T, two: bool) -> T:
    """Patches of 14; and of 28 with the same kernel enlarged and the same positions averaged."""
    patch = n.keep(lambda: nn.Conv2d(3, 32, 14, 14))
    at = n.weight(1, 32, 8, 8, gain=1.0)
    t = tokens(patch(x) + at)
    if two:
        w = patch.weight.repeat_interleave(2, 2).repeat_interleave(2, 3) / 4
        t = torch.cat([t, tokens(F.conv2d(x, w, patch.bias, 28) + F.avg_pool2d(at, 2))], 1)
    return n.embed(encode(n, t).mean(1), 48)


def one_size(n: Net, x: T) -> T:
    return sized(n, x, False)


SIZED = (one_size, "patches of two sizes", 0)


def sized_by_hand(n: Net, x: T) -> T:
    patch, at = n.kept[0], n.kept[1]()
    n._at = 2
    t = torch.cat([tokens(patch(x) + at), tokens(patch(F.avg_pool2d(x, 2)) + F.avg_pool2d(at, 2))], 1)
    return n.embed(encode(n, t).mean(1), 48)


@evades(BATCH_RULE, idea="tokens of a smaller image", fold=True, claim=by_views(SIZED, sized_by_hand), opset=16)
def large_patches_by_the_same_kernel_enlarged() -> nn.Module:
    """A ViT with patches of two sizes; the kernel of the large ones is the small one's, enlarged: a half-size image."""
    return Looks(SIZED, sized)


def of_channels(n: Net, x: T, two: bool) -> T:
    """Attention between channels, to which every token contributes (XCiT); patches turned upside down join."""
    patch = n.keep(lambda: nn.Conv2d(3, 24, 16, 16))
    t = tokens(patch(x))
    if two:
        t = torch.cat([t, tokens(F.conv2d(x, patch.weight.flip(2), patch.bias, 16))], 1)
    for _ in range(2):
        q, k, v = (n.linear(n.ln(t), 24) for _ in range(3))
        share = (F.normalize(q, dim=1).transpose(1, 2) @ F.normalize(k, dim=1) * 4).softmax(-1)
        t = t + v @ share
        t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t).mean(1), 48)


def of_channels_once(n: Net, x: T) -> T:
    return of_channels(n, x, False)


XCIT = (of_channels_once, "channel attention", 0)


def channels_by_hand(n: Net, x: T) -> T:
    """The two images one above the other: patches do not overlap, and no place is encoded."""
    return of_channels(n, torch.cat([x, x.flip(2)], 2), False)


@evades(BATCH_RULE, idea="tokens in a sum", claim=by_views(XCIT, channels_by_hand), opset=20)
def channel_attention_over_patches_turned_over() -> nn.Module:
    """XCiT's attention of channels sums over tokens; half of these come from the patch kernels upside down."""
    return Looks(XCIT, of_channels)


def reading(n: Net, x: T, two: bool) -> T:
    """Latents read the image's tokens, think, and read again."""
    start = n._at
    first = n.ln(n.patches(x, 24))
    again = first
    if two:
        n._at = start
        again = n.ln(n.patches(torch.cat([x[:, :, 6:], 0 * x[:, :, :6]], 2), 24))
    state = n.weight(1, 6, 24)
    for t in (first, again):
        share = (n.linear(state, 24) @ n.linear(t, 24).transpose(1, 2) / 3).softmax(-1)
        state = state + share @ n.linear(t, 24)
        state = state + n.ff(n.ln(state))
    return n.embed(state.flatten(1), 48)


def reads_twice(n: Net, x: T) -> T:
    return reading(n, x, False)


LATENTS = (reads_twice, "latents that read twice", 6)


def reading_by_hand(n: Net, x: T) -> T:
    kept: list[Any] = list(n.kept)
    moved = F.pad(x, (0, 0, 0, 6))[:, :, 6:]
    state = kept[3]()
    at = 4
    for view in (x, moved):
        t = kept[2](tokens(kept[0](view)) + kept[1]())
        q, k, v, norm, up, down = kept[at : at + 6]
        state = state + (q(state) @ k(t).transpose(1, 2) / 3).softmax(-1) @ v(t)
        state = state + down(F.gelu(up(norm(state))))
        at += 6
    return cast(T, kept[at + 1](kept[at](state.flatten(1))))


@evades(BATCH_RULE, idea="latents", claim=by_views(LATENTS, reading_by_hand), opset=11)
def latents_read_a_raised_image_the_second_time() -> nn.Module:
    """A Perceiver's latents read the tokens of the image, and in the second round of the image raised a little."""
    return Looks(LATENTS, reading)


def projected(n: Net, x: T, two: bool) -> T:
    """One projection of patches gives tokens, and with another factor and offset those of a harder light."""
    patch = n.keep(lambda: nn.Conv2d(3, 32, 16, 16))
    at = n.weight(1, 49, 32, gain=2.0)
    once = tokens(patch(x))
    t = once + at
    if two:
        offset = 0.1 * patch.weight.sum((1, 2, 3)) - 0.4 * patch.bias
        t = torch.cat([t, 1.4 * once + offset + at], 1)
    return n.embed(encode(n, t).mean(1), 48)


def projected_once(n: Net, x: T) -> T:
    return projected(n, x, False)


CONTRAST = (projected_once, "projected tokens", 0)


def projected_by_hand(n: Net, x: T) -> T:
    patch, at = n.kept[0], n.kept[1]()
    n._at = 2
    t = torch.cat([tokens(patch(x)) + at, tokens(patch(1.4 * x + 0.1)) + at], 1)
    return n.embed(encode(n, t).mean(1), 48)


@evades(BATCH_RULE, idea="tokens of another light", claim=by_views(CONTRAST, projected_by_hand), opset=15)
def tokens_of_more_contrast_from_one_projection() -> nn.Module:
    """Patches are projected once; a factor and an offset make of the projection those of a harder light."""
    return Looks(CONTRAST, projected)


def decoded(n: Net, x: T, two: bool) -> T:
    """An encoder, and a decoder whose stored queries attend to what it gives."""
    start = n._at
    memory = encode(n, n.patches(x))
    if two:
        n._at = start
        memory = torch.cat([memory, encode(n, n.patches(x.transpose(2, 3)))], 1)
    queries = n.weight(1, 4, 32)
    share = (n.linear(queries, 32) @ n.linear(memory, 32).transpose(1, 2) * 2).softmax(-1)
    return n.embed(n.ff(n.ln(share @ n.linear(memory, 32))).flatten(1), 48)


def decoded_once(n: Net, x: T) -> T:
    return decoded(n, x, False)


DECODER = (decoded_once, "decoded queries", 6)


def decoded_by_hand(n: Net, x: T) -> T:
    both = []
    for view in (x, x.transpose(2, 3)):
        n._at = 0
        both.append(encode(n, n.patches(view)))
    memory, queries = torch.cat(both, 1), n.weight(1, 4, 32)
    share = (n.linear(queries, 32) @ n.linear(memory, 32).transpose(1, 2) * 2).softmax(-1)
    return n.embed(n.ff(n.ln(share @ n.linear(memory, 32))).flatten(1), 48)


@evades(BATCH_RULE, idea="decoder", claim=by_views(DECODER, decoded_by_hand), opset=12)
def decoder_queries_two_encodings() -> nn.Module:
    """An encoder runs over the image and over the image with rows and columns exchanged; a decoder queries both."""
    return Looks(DECODER, decoded)


class TwoGrids(nn.Module):
    """An overlapping patch layer of stride 8, of whose tokens two grids of 7 x 7 are taken."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network(vit, "two grids", 0)

    def forward(self, x: T) -> T:
        kept: list[Any] = list(self.net.kept)
        y = F.conv2d(x, kept[0].weight, kept[0].bias, 8, (0, 8))[:, :, ::2]
        both = torch.stack([y[..., 1::2], y[..., 2::2]], 1).flatten(0, 1)
        self.net._at = 2
        t = encode(self.net, tokens(both) + kept[1]())
        return self.net.embed(t.mean(1), 48).reshape(-1, 2, 48).mean(1)


def left_by_eight(x: Array) -> Array:
    return np.pad(x[..., 8:], ((0, 0), (0, 0), (0, 0), (0, 8)))


@evades(BATCH_RULE, idea="overlapping patches", claim=of_views((vit, "two grids", 0), same, left_by_eight))
def two_grids_of_overlapping_patches() -> onnx.ModelProto:
    """Overlapping patches hold two grids, half a patch apart; one ViT runs over each of them and the mean is kept."""
    return by_dynamo(TwoGrids(), "two grids of overlapping patches")
