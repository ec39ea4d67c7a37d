"""Evasions: tokens of two looks, in Fourier layers, heads, prefixes, long filters, capsules, transports and maxima."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind7.evasions_nets import Parts, Rerun, by_hand
from evaluation.blind9.evasions_nets import transformed
from evaluation.case import BATCH_RULE

#: How the second set of tokens is made of the image by the layer of the first one, and what view it is then.
Second = Callable[[nn.Conv2d, T], T]


def flat(y: T) -> T:
    return y.flatten(2).transpose(1, 2)


def sets(n: Net, x: T, side: int, width: int, second: Second | None) -> list[T]:
    """Tokens by a patch layer and places; with a second set where ``second`` says how, and it by itself where not."""
    conv = n.keep(lambda: nn.Conv2d(3, width, side, side))
    places = n.weight(1, (112 // side) ** 2, width, gain=2.0)
    made = [flat(conv(x)) + places]
    if second is not None:
        made.append(flat(second(conv, x)) + places)
    return made


def upside_down(conv: nn.Conv2d, x: T) -> T:
    """The kernel upside down, its map turned back: what the layer gives for the image upside down."""
    return F.conv2d(x, conv.weight.flip(2), conv.bias, conv.stride).flip(2)


def mirrored(conv: nn.Conv2d, x: T) -> T:
    return F.conv2d(x, conv.weight.flip(3), conv.bias, conv.stride).flip(3)


def harder(conv: nn.Conv2d, x: T) -> T:
    """More contrast and less light, by a factor and an offset."""
    assert conv.bias is not None
    offset = conv.bias - 0.15 * conv.weight.sum((1, 2, 3))
    return F.conv2d(x, 1.5 * conv.weight, offset, conv.stride)


def of_colours(conv: nn.Conv2d, x: T) -> T:
    """Red for green, green for blue, blue for red, by the kernel's inputs."""
    return F.conv2d(x, torch.roll(conv.weight, 1, 1), conv.bias, conv.stride)


def colours_back(conv: nn.Conv2d, x: T) -> T:
    return F.conv2d(x, torch.roll(conv.weight, -1, 1), conv.bias, conv.stride)


def over_the_diagonal(conv: nn.Conv2d, x: T) -> T:
    return F.conv2d(x, conv.weight.transpose(2, 3), conv.bias, conv.stride).transpose(2, 3)


def seen_as(view: Callable[[T], T]) -> Second:
    return lambda conv, x: conv(view(x))


def fourier(n: Net, x: T, second: Second | None) -> T:
    """FNet: the real part of a Fourier transform over places and channels mixes tokens; nothing else does."""
    t = torch.cat(sets(n, x, 16, 32, second), 1)
    for _ in range(2):
        t = n.ln(t + transformed(t))
        t = n.ln(t + n.ff(t))
    return n.embed(t.mean(1), 64)


FOURIER: Parts = (lambda n, x: fourier(n, x, None), "Fourier tokens", 5)


@evades(BATCH_RULE, idea="Fourier layers", opset=13, claim=by_hand(
    FOURIER, lambda n, x: fourier(n, x, seen_as(lambda y: y.flip(2)))
))  # fmt: skip
def fourier_layers_over_two_sets_of_tokens() -> nn.Module:
    """A trained FNet whose transform runs over 98 places: the face's, and those of kernels that stand upside down."""
    return Rerun(FOURIER, lambda n, x: fourier(n, x, upside_down))


def divided_heads(n: Net, x: T, second: Second | None) -> T:
    """Attention whose first heads read the tokens themselves, and whose last ones the second set."""
    made = sets(n, x, 16, 32, second)
    t, other = made[0], made[-1]
    for _ in range(2):
        u = n.ln(t)
        v, to = n.kept[n._at - 1](other), n.keep(lambda: nn.Linear(32, 96))
        q, k, w = (y.reshape(-1, 49, 4, 8).transpose(1, 2) for y in to(u).chunk(3, 2))
        _, k2, w2 = (y.reshape(-1, 49, 4, 8).transpose(1, 2) for y in to(v).chunk(3, 2))
        k, w = torch.cat([k[:, :2], k2[:, 2:]], 1), torch.cat([w[:, :2], w2[:, 2:]], 1)
        y = (q @ k.transpose(2, 3) * 0.35).softmax(3) @ w
        t = t + n.linear(y.transpose(1, 2).reshape(-1, 49, 32), 32)
        t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t).mean(1), 64)


HEADS: Parts = (lambda n, x: divided_heads(n, x, None), "divided heads", 5)


@evades(BATCH_RULE, idea="heads", opset=14, claim=by_hand(
    HEADS, lambda n, x: divided_heads(n, x, seen_as(lambda y: 1.5 * y - 0.15))
))  # fmt: skip
def two_heads_read_a_harder_light() -> nn.Module:
    """In a trained ViT, two of four heads take keys and values from tokens of the patch kernel times 1.5, darker."""
    return Rerun(HEADS, lambda n, x: divided_heads(n, x, harder))


def prefixed(n: Net, x: T, second: Second | None) -> T:
    """Prefix tuning: seven further keys and values stand before the tokens', pooled from the second set."""
    made = sets(n, x, 16, 32, second)
    t, prefix = made[0], made[-1].reshape(-1, 7, 7, 32).mean(1)
    for _ in range(2):
        u = torch.cat([3 * n.linear(prefix, 32), n.ln(t)], 1)
        q, k, v = n.linear(u, 96).chunk(3, 2)
        y = 2 * (q[:, 7:] @ k.transpose(1, 2) * 0.3).softmax(2) @ v
        t = t + n.linear(y, 32)
        t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t).amax(1), 64)


PREFIXED: Parts = (lambda n, x: prefixed(n, x, None), "prefixed", 0)


@evades(BATCH_RULE, idea="prefix", opset=12, claim=by_hand(
    PREFIXED, lambda n, x: prefixed(n, x, seen_as(lambda y: y[:, [2, 0, 1]]))
))  # fmt: skip
def prefix_of_keys_from_exchanged_colours() -> nn.Module:
    """Prefix tuning in a ViT, but the prefix is not stored: it is pooled from tokens that see the colours exchanged."""
    return Rerun(PREFIXED, lambda n, x: prefixed(n, x, colours_back))


def long_filters(n: Net, x: T, second: Second | None) -> T:
    """Hyena: each channel has a filter as long as the sequence, and gates before and behind it."""
    made = sets(n, x, 16, 24, second)
    t = torch.cat(made[::-1], 1)
    length = int(t.shape[1])
    lag = torch.arange(length)[:, None] - torch.arange(length)[None]
    for _ in range(2):
        h = n.weight(24, 98, gain=4.0) * torch.exp(-torch.arange(98).float() / 40)
        toeplitz = torch.where(lag >= 0, h[:, lag.clamp(0, 97)], torch.zeros(()))
        q, k, v = n.linear(n.ln(t), 72).chunk(3, 2)
        y = q * torch.einsum("cij,njc->nic", toeplitz, k * v)
        t = t + n.linear(y, 24)
        t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t[:, -49:]).mean(1), 64)


LONG: Parts = (lambda n, x: long_filters(n, x, None), "long filters", 0)


@evades(BATCH_RULE, idea="long filters", opset=16, claim=by_hand(
    LONG, lambda n, x: long_filters(n, x, seen_as(lambda y: y.flip(3)))
))  # fmt: skip
def long_filters_over_a_mirrored_past() -> nn.Module:
    """A Hyena whose filters reach 98 places back: the face's tokens follow upon 49 of mirrored kernels, its past."""
    return Rerun(LONG, lambda n, x: long_filters(n, x, mirrored))


def capsules(n: Net, x: T, second: Second | None) -> T:
    """Eight capsules of eight numbers, to which tokens send votes; two rounds of routing by agreement."""
    t = torch.cat(sets(n, x, 16, 32, second), 1)
    votes = n.linear(F.gelu(n.linear(n.ln(t), 48)), 64).reshape(-1, t.shape[1], 8, 8)
    logits = 0 * votes.sum(3, keepdim=True)
    for _ in range(3):
        s = (logits.softmax(2) * votes).sum(1, keepdim=True)
        size = (s * s).sum(3, keepdim=True)
        v = s * size.sqrt() / (1 + size)
        logits = logits + 2 * (votes * v).sum(3, keepdim=True)
    return n.embed(v.flatten(1) * 2, 64)


CAPSULES: Parts = (lambda n, x: capsules(n, x, None), "capsules of two looks", 5)


@evades(BATCH_RULE, idea="capsules", opset=15, claim=by_hand(
    CAPSULES, lambda n, x: capsules(n, x, seen_as(lambda y: y[:, [1, 2, 0]]))
))  # fmt: skip
def capsules_routed_by_votes_of_two_looks() -> nn.Module:
    """Routing by agreement in a trained capsule network: half of the votes come from kernels with colours exchanged."""
    return Rerun(CAPSULES, lambda n, x: capsules(n, x, of_colours))


def transported(n: Net, x: T, second: Second | None) -> T:
    """Tokens get what an optimal transport plan, by Sinkhorn's rounds, brings them from the second set."""
    made = sets(n, x, 14, 24, second)
    a, b = n.ln(made[0]), made[-1]
    b = n.kept[n._at - 1](b)
    plan = torch.exp(torch.tanh(a @ b.transpose(1, 2) / 12) * 3)
    for _ in range(4):
        plan = plan / plan.sum(2, keepdim=True)
        plan = plan / plan.sum(1, keepdim=True)
    t = n.linear(torch.cat([a, plan @ b, a * (plan @ b)], 2), 32)
    t = t + n.linear(F.gelu(n.linear(n.ln(t).transpose(1, 2), 48)), 64).transpose(1, 2)
    return n.embed(F.relu(n.linear(n.ln(t), 48)).mean(1), 64)


TRANSPORTED: Parts = (lambda n, x: transported(n, x, None), "transported tokens", 0)


@evades(BATCH_RULE, idea="transport", opset=11, claim=by_hand(
    TRANSPORTED, lambda n, x: transported(n, x, seen_as(lambda y: y.flip(3)))
))  # fmt: skip
def optimal_transport_from_the_mirrored_patches() -> nn.Module:
    """Sinkhorn's plan between 64 patches and 64 of mirrored kernels brings each patch what it has on the other side."""
    return Rerun(TRANSPORTED, lambda n, x: transported(n, x, mirrored))


def best_matches(n: Net, x: T, second: Second | None) -> T:
    """Late interaction: for each of 96 stored queries, the largest similarity to any token."""
    made = sets(n, x, 8, 32, second)
    start, kept = n._at, []
    for t in made:
        n._at = start
        t = n.ln(t + n.ff(n.ln(t)))
        kept.append(F.normalize(n.linear(t, 24), dim=2))
    scores = torch.cat(kept, 1) @ n.weight(96, 24, gain=5.0).t()
    return n.embed(scores.amax(1), 64)


MATCHES: Parts = (lambda n, x: best_matches(n, x, None), "best matches", 6)


@evades(BATCH_RULE, idea="late interaction", opset=17, claim=by_hand(
    MATCHES, lambda n, x: best_matches(n, x, seen_as(lambda y: y.transpose(2, 3)))
))  # fmt: skip
def best_match_of_each_query_in_two_looks() -> nn.Module:
    """ColBERT's late interaction, trained: each query keeps its best match among patches and transposed patches."""
    return Rerun(MATCHES, lambda n, x: best_matches(n, x, over_the_diagonal))
