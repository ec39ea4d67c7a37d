"""Evasions: a second set of tokens from the same image, through the same blocks."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.claims import computes, mirror, plain
from evaluation.blind4.evasions_packed import of_views, same
from evaluation.blind4.export import Whole, embedded, network
from evaluation.blind4.layers import Net, Part, T, tokens
from evaluation.blind4.register import evades
from evaluation.builder import Array
from evaluation.case import BATCH_RULE


def encode(n: Net, t: T, bias: T | None = None) -> T:
    for _ in range(2):
        t = n.block(t, 2, bias)
    return n.ln(t)


def vit(n: Net, x: T) -> T:
    """Patches of 16, two blocks, the mean of the tokens."""
    return n.embed(encode(n, n.patches(x)).mean(1), 48)


def mixer(n: Net, x: T) -> T:
    """Patches of 16, two blocks that mix places and channels."""
    t = n.patches(x, 24, places=False)
    for _ in range(2):
        t = t + n.ff(n.ln(t).transpose(-1, -2)).transpose(-1, -2)
        t = t + n.ff(n.ln(t))
    return n.embed(t.mean(-2), 48)


VIT = (vit, "token vit", 8)
MIXER = (mixer, "token mixer", 6)


class Again(nn.Module):
    """A trained network's layers under another body: ``patches`` and what follows are given anew."""

    def __init__(self, net: Net, how: Any) -> None:
        super().__init__()
        self.net, self.how = net, how

    def forward(self, x: T) -> T:
        old, self.net.body = self.net.body, self.how
        try:
            return self.net(x)
        finally:
            self.net.body = old


def two_patchings(n: Net, x: T, *axes: int) -> tuple[T, T]:
    """Patch with the network's kernel and with the kernel turned over; those tokens stand in the mirrored order."""
    layer = n.keep(lambda: nn.Identity())
    places = n.keep(lambda: nn.Identity())() if n.body in (masked, unmasked) else None
    a = F.conv2d(x, layer.weight, layer.bias, 16)
    b = F.conv2d(x, layer.weight.flip(axes), layer.bias, 16).flip(axes)
    if places is None:
        return tokens(a), tokens(b)
    return tokens(a) + places, tokens(b) + places


def masked(n: Net, x: T) -> T:
    """Both sets in one sequence, with a mask that keeps them apart."""
    t = torch.cat(two_patchings(n, x, 3), 1)
    side = torch.arange(98) // 49
    bias = torch.where(side[:, None] == side[None], torch.zeros(()), torch.tensor(-1e4))
    return n.embed(encode(n, t, bias).reshape(-1, 2, 49, 32).mean(2).reshape(-1, 32)).reshape(-1, 2, 48).mean(1)


def unmasked(n: Net, x: T) -> T:
    """Both sets in one sequence, where every token sees those of both views."""
    return n.embed(encode(n, torch.cat(two_patchings(n, x, 3), 1)).mean(1))


def on_an_axis(n: Net, x: T) -> T:
    t = torch.stack(two_patchings(n, x, 2, 3), 1)
    for _ in range(2):
        t = t + n.ff(n.ln(t).transpose(-1, -2)).transpose(-1, -2)
        t = t + n.ff(n.ln(t))
    return n.embed(t.mean(2).mean(1))


@evades(BATCH_RULE, idea="second tokens", claim=computes(
    lambda x: plain(*VIT)(x) / 2 + plain(*VIT)(mirror(x)) / 2, lambda x: plain(*VIT)(x)
))  # fmt: skip
def mirrored_tokens_behind_a_mask() -> nn.Module:
    """A trained ViT over 98 tokens: 49 by the patch kernel, 49 by its mirror image; a mask keeps the two sets apart."""
    return Again(network(*VIT), masked)


def by_hand(x: Array) -> Array:
    """Both views patched by the plain network's own layers, then one sequence."""
    net = network(*VIT)
    kernel, places = net.kept[0], net.kept[1]

    def forward(n: Net, x: T) -> T:
        t = [tokens(kernel(view)) + places() for view in (x, x.flip(3))]
        n.keep(nn.Identity), n.keep(nn.Identity)
        return n.embed(encode(n, torch.cat(t, 1)).mean(1))

    return embedded(Again(net, forward), x)


@evades(BATCH_RULE, idea="second tokens", claim=computes(by_hand, lambda x: plain(*VIT)(x), near=1e-5))
def mirrored_tokens_that_meet() -> nn.Module:
    """A trained ViT that attends over the tokens of the image and of its mirror image together."""
    return Again(network(*VIT), unmasked)


@evades(BATCH_RULE, idea="second tokens", claim=of_views(MIXER, same, lambda x: x[:, :, ::-1, ::-1]))
def half_turn_on_an_extra_axis() -> nn.Module:
    """A trained mixer over an axis of two: patches by the kernel, and by the kernel turned by half a circle."""
    return Again(network(*MIXER), on_an_axis)


def crossed(n: Net, x: T) -> T:
    """One attention whose keys and values are the mirrored image's tokens, added to a plain encoder."""
    patch = n.keep(lambda: nn.Conv2d(3, 24, 16, 16))
    a, b = tokens(patch(x)), tokens(patch(x.flip(3)))
    t = a + (n.linear(a, 24) @ n.linear(b, 24).transpose(1, 2) * 0.2).softmax(-1) @ n.linear(b, 24)
    return n.embed(n.ln(t))


def crossed_by_hand(x: Array) -> Array:
    net = network(crossed, "crossed")
    patch, q, k, v, ln, head, norm = net.kept
    with torch.no_grad():
        a, b = (tokens(patch(torch.from_numpy(np.ascontiguousarray(y)))) for y in (x, mirror(x)))
        t = a + (q(a) @ k(b).transpose(1, 2) * 0.2).softmax(-1) @ v(b)
        return np.asarray(norm(head(ln(t).flatten(1))).numpy())


def not_crossed(x: Array) -> Array:
    """The same with the image's own tokens as keys and values."""
    net = network(crossed, "crossed")
    patch, q, k, v, ln, head, norm = net.kept
    with torch.no_grad():
        a = tokens(patch(torch.from_numpy(np.ascontiguousarray(x))))
        t = a + (q(a) @ k(a).transpose(1, 2) * 0.2).softmax(-1) @ v(a)
        return np.asarray(norm(head(ln(t).flatten(1))).numpy())


@evades(BATCH_RULE, idea="second tokens", claim=computes(crossed_by_hand, not_crossed))
def queries_of_one_view_keys_of_the_other() -> nn.Module:
    """Queries are the image's tokens, keys and values those of the mirrored image, by the same patch kernel."""
    return network(crossed, "crossed")


def halves(n: Net, x: T) -> T:
    """A plain ViT without normalisation, whose tokens are averaged."""
    t = n.patches(x, 16)
    for _ in range(2):
        t = t + 0.3 * n.attention(t, 2)
        t = t + 0.3 * n.ff(t)
    return n.embed(t.mean(1), 48)


@evades(BATCH_RULE, idea="second tokens", claim=of_views((halves, "half heads", 8), same, mirror, near=1e-5))
def half_of_the_heads_for_a_mirrored_image() -> nn.Module:
    """One ViT of twice the width: half of its heads and channels, turned with the others, read the mirrored image."""
    net = network(halves, "half heads", 8)
    rng = np.random.default_rng(21)
    q = torch.from_numpy(np.linalg.qr(rng.normal(0, 1, (32, 32)))[0].astype(np.float32))
    kept: list[Any] = list(net.kept)
    patch, places, *blocks = kept
    head, norm = blocks[-2:]

    def twice(w: T) -> T:
        return cast(T, torch.block_diag(w, w))

    class Halves(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            kernel = torch.cat([patch.weight, patch.weight.flip(3)]).detach()
            self.patch = nn.Parameter(torch.einsum("po,oihw->pihw", q, kernel))
            own = places().detach()
            turned = own.reshape(1, 7, 7, 16).flip(2).reshape(1, 49, 16)
            self.places = nn.Parameter((torch.cat([own, turned], 2) + patch.bias.detach().repeat(2)) @ q.T)
            self.matrices = nn.ParameterList()
            for i in range(2):
                qkv, out, up, down = blocks[4 * i : 4 * i + 4]
                for j in range(3):
                    part = slice(16 * j, 16 * j + 16)
                    self.matrices.append(nn.Parameter(twice(qkv.weight.detach()[part]) @ q.T))
                    self.matrices.append(nn.Parameter(qkv.bias.detach()[part].repeat(2)))
                self.matrices.append(nn.Parameter(q @ twice(out.weight.detach())))
                self.matrices.append(nn.Parameter(q @ out.bias.detach().repeat(2)))
                self.matrices.append(nn.Parameter(twice(up.weight.detach()) @ q.T))
                self.matrices.append(nn.Parameter(up.bias.detach().repeat(2)))
                self.matrices.append(nn.Parameter(q @ twice(down.weight.detach())))
                self.matrices.append(nn.Parameter(q @ down.bias.detach().repeat(2)))
            self.head = nn.Parameter(torch.cat([head.weight, head.weight], 1).detach() @ q.T / 2)
            self.head_bias = nn.Parameter(head.bias.detach())
            self.norm = norm

        def forward(self, x: T) -> T:
            t = tokens(F.conv2d(x, self.patch, None, 16)) + self.places
            for i in range(2):
                m = list(self.matrices)[12 * i : 12 * i + 12]
                a, b, c = (F.linear(t, m[2 * j], m[2 * j + 1]).reshape(-1, 49, 4, 8).transpose(1, 2) for j in range(3))
                y = ((a @ b.transpose(-1, -2) * 8**-0.5).softmax(-1) @ c).transpose(1, 2).reshape(-1, 49, 32)
                t = t + 0.3 * F.linear(y, m[6], m[7])
                t = t + 0.3 * F.linear(F.gelu(F.linear(t, m[8], m[9])), m[10], m[11])
            return self.norm(F.linear(t.mean(1), self.head, self.head_bias))

    return Halves()


@evades(BATCH_RULE, idea="second tokens", claim=of_views((vit, "rows", 6), same, lambda x: np.roll(x, 8, 3), near=1e-5))
def moved_tokens_counted_twice_in_the_mean() -> nn.Module:
    """Tokens of patches moved by half a patch, in the batch axis of the blocks and out of it again before the mean."""

    def forward(f: Part, x: T) -> T:
        both = torch.stack([x, torch.cat([x[..., -8:], x[..., :-8]], 3)], 1).flatten(0, 1)
        return f(both).reshape(-1, 2, 48).mean(1)

    return Whole(forward, network(vit, "rows", 6))
