"""Evasions: tokens of two looks, in linear attention, landmarks, differences, gates, shifts, classes and retention."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind7.evasions_nets import Parts, Rerun, by_hand
from evaluation.blind9.evasions_tokens import Second, flat, harder, mirrored, of_colours, over_the_diagonal, sets
from evaluation.blind9.evasions_tokens import upside_down as kernels_upside_down
from evaluation.case import BATCH_RULE

Body2 = Callable[[Net, T, "Second | None"], T]


def softer(conv: nn.Conv2d, x: T) -> T:
    """Blur the kernel within its patch: what the layer gives for patches that are softened by themselves."""
    near = torch.ones(3, 1, 3, 3) / 9
    return F.conv2d(x, F.conv2d(conv.weight, near, None, 1, 1, 1, 3), conv.bias, conv.stride)


def half_turned(conv: nn.Conv2d, x: T) -> T:
    return F.conv2d(x, conv.weight.flip(2, 3), conv.bias, conv.stride).flip(2, 3)


def greyer(conv: nn.Conv2d, x: T) -> T:
    """Sum the kernel over the colours: what the layer gives for the image without colour."""
    return F.conv2d(x, conv.weight.mean(1, keepdim=True).expand(-1, 3, -1, -1), conv.bias, conv.stride)


def alone(body: Body2) -> Callable[[Net, T], T]:
    return lambda n, x: body(n, x, None)


def both(parts: Parts, body: Body2, second: Second) -> nn.Module:
    return Rerun(parts, lambda n, x: body(n, x, second))


def linear_attention(n: Net, x: T, second: Second | None) -> T:
    """Attention without softmax: sums of keys times values are gathered once, whoever asks."""
    made = sets(n, x, 16, 32, second)
    t, s = made[0], torch.cat(made, 1)
    for _ in range(2):
        norm = n.keep(lambda: nn.LayerNorm(32))
        q, k, v = (n.keep(lambda: nn.Linear(32, 32)) for _ in range(3))
        a, b = F.elu(q(norm(t))) + 1, F.elu(k(norm(s))) + 1
        kv, z = b.transpose(1, 2) @ v(norm(s)), b.sum(1)[:, :, None]
        t = t + n.linear((a @ kv) / (a @ z), 32)
        t = t + n.ff(n.ln(t))
    return n.embed(t.mean(1), 64)


LINEAR: Parts = (alone(linear_attention), "linear tokens", 5)


@evades(BATCH_RULE, idea="linear attention", opset=13, claim=by_hand(
    LINEAR, lambda n, x: linear_attention(n, x, half_turned)
))  # fmt: skip
def sums_of_keys_gathered_from_two_looks() -> nn.Module:
    """Linear attention, trained: the sum of keys times values runs over the face's patches and half turned ones."""
    return both(LINEAR, linear_attention, half_turned)


def landmarks(n: Net, x: T, second: Second | None) -> T:
    """Nystroem attention: tokens meet by way of seven landmarks, which are means of rows of tokens."""
    made = sets(n, x, 16, 32, second)
    t, s = made[0], made[-1]
    for _ in range(2):
        norm = n.keep(lambda: nn.LayerNorm(32))
        q, k, v = (n.keep(lambda: nn.Linear(32, 32)) for _ in range(3))
        marks = norm(s).reshape(-1, 7, 7, 32).mean(2)
        to = (q(norm(t)) @ k(marks).transpose(1, 2) / 4).softmax(2)
        fro = (q(marks) @ k(norm(t)).transpose(1, 2) / 4).softmax(2)
        t = t + n.linear(to @ (fro @ v(norm(t)) + v(marks)), 32)
        t = t + n.ff(n.ln(t))
    return n.embed(t.mean(1), 64)


MARKS: Parts = (alone(landmarks), "landmark tokens", 0)


@evades(BATCH_RULE, idea="landmarks", opset=14, claim=by_hand(MARKS, lambda n, x: landmarks(n, x, kernels_upside_down)))
def landmarks_are_rows_of_the_face_upside_down() -> nn.Module:
    """Nystroem attention needs landmarks; these are means of patches by kernels that stand upside down."""
    return both(MARKS, landmarks, kernels_upside_down)


def differential(n: Net, x: T, second: Second | None) -> T:
    """Differential attention: the second map of attention is taken off the first one, as noise."""
    made = sets(n, x, 16, 32, second)
    t, s = made[0], made[-1]
    for _ in range(2):
        norm = n.keep(lambda: nn.LayerNorm(32))
        q, k, p, r, v = (n.keep(lambda: nn.Linear(32, 32)) for _ in range(5))
        y = norm(t)
        one = (q(y) @ k(y).transpose(1, 2) / 5.7).softmax(2)
        two = (p(y) @ r(norm(s)).transpose(1, 2) / 5.7).softmax(2)
        t = t + n.linear(one @ v(y) - 0.6 * two @ v(norm(s)), 32)
        t = t + n.ff(n.ln(t))
    return n.embed(t.mean(1), 64)


DIFFERENTIAL: Parts = (alone(differential), "differential tokens", 5)


@evades(BATCH_RULE, idea="differences", opset=16, claim=by_hand(
    DIFFERENTIAL, lambda n, x: differential(n, x, mirrored)
))  # fmt: skip
def attention_less_that_to_the_other_side() -> nn.Module:
    """Differential attention, trained: what is taken off is attention to the patches of the mirrored face."""
    return both(DIFFERENTIAL, differential, mirrored)


def spatial_gates(n: Net, x: T, second: Second | None) -> T:
    """Spatial gates: one half of the units is multiplied by a mixture over places of the other half."""
    made = sets(n, x, 16, 32, second)
    t, s = made[0], made[-1]
    for _ in range(2):
        norm, up, inner = (n.keep(layer) for layer in (
            lambda: nn.LayerNorm(32), lambda: nn.Linear(32, 96), lambda: nn.LayerNorm(48)))  # fmt: skip
        u, v = F.gelu(up(norm(t)))[..., :48], F.gelu(up(norm(s)))[..., 48:]
        t = t + n.linear(u * (1 + n.weight(49, 49) @ inner(v)), 32)
    return n.embed(n.ln(t).mean(1), 64)


GATES: Parts = (alone(spatial_gates), "gated tokens", 0)


@evades(BATCH_RULE, idea="spatial gates", opset=11, claim=by_hand(GATES, lambda n, x: spatial_gates(n, x, softer)))
def gates_of_patches_are_softened_patches() -> nn.Module:
    """Spatial gating, but the units that gate come from the patch kernels blurred: the same face out of focus."""
    return both(GATES, spatial_gates, softer)


def shifted(n: Net, x: T, second: Second | None) -> T:
    """RWKV over patches: tokens are mixed with those before them, then with a decaying mean of all before."""
    made = sets(n, x, 16, 32, second)
    t, before = made[0], F.pad(made[-1], (0, 0, 1, 0))[:, :-1]
    for _ in range(2):
        mix = torch.sigmoid(n.weight(1, 1, 32, gain=4.0))
        y = n.ln(t) * mix + before * (1 - mix)
        k, v, r = n.linear(y, 32), n.linear(y, 32), torch.sigmoid(n.linear(y, 32))
        far = torch.arange(49).float()[:, None] - torch.arange(49).float()[None]
        decay = torch.exp(-0.1 * far.clamp(0, 60)) * (far >= 0).float()
        e = torch.exp(torch.tanh(k))
        t = t + n.linear(r * (decay @ (e * v)) / (decay @ e), 32)
        t = t + n.linear(F.relu(n.linear(n.ln(t), 64)) ** 2, 32)
    return n.embed(t.mean(1), 64)


SHIFTED: Parts = (alone(shifted), "shifted tokens", 5)


@evades(BATCH_RULE, idea="token shift", opset=13, claim=by_hand(SHIFTED, lambda n, x: shifted(n, x, of_colours)))
def shifted_tokens_have_other_colours() -> nn.Module:
    """RWKV mixes each token with the one before; here, trained, that one comes of the image with colours exchanged."""
    return both(SHIFTED, shifted, of_colours)


def classes(n: Net, x: T, second: Second | None) -> T:
    """A ViT with two class tokens, each of which sees its own set by a mask; the sets do not see each other."""
    made = sets(n, x, 16, 32, second)
    if second is None:
        made = made * 2
    begin = n.weight(1, 2, 32, gain=2.0)
    t = torch.cat([begin.expand(x.shape[0], -1, -1), *made], 1)
    side = torch.cat([torch.arange(2), torch.zeros(49).long(), torch.ones(49).long()])
    mask = torch.where(side[:, None] == side[None], 0.0, -1e4)
    for _ in range(2):
        t = n.block(t, 2, mask)
    return n.embed(n.ln(t[:, 0] + t[:, 1]), 64)


CLASSES: Parts = (alone(classes), "class tokens", 5)


@evades(BATCH_RULE, idea="two classes", opset=15, claim=by_hand(CLASSES, lambda n, x: classes(n, x, harder)))
def two_class_tokens_that_see_two_exposures() -> nn.Module:
    """A trained ViT with two class tokens and a mask: one reads patches, the other those of a harder exposure."""
    return both(CLASSES, classes, harder)


def placed(n: Net, x: T, second: bool) -> T:
    """A ViT whose tokens may stand a second time at other places."""
    conv = n.keep(lambda: nn.Conv2d(3, 32, 16, 16))
    places = n.weight(1, 49, 32, gain=2.0)
    t = flat(conv(x)) + places
    if second:
        across = places.reshape(1, 7, 7, 32).flip(2).reshape(1, 49, 32)
        t = torch.cat([t, flat(F.conv2d(x, conv.weight.flip(3), conv.bias, 16)) + across], 1)
    for _ in range(2):
        t = n.block(t)
    return n.embed(n.ln(t).mean(1), 64)


PLACED: Parts = (lambda n, x: placed(n, x, False), "placed tokens", 0)


@evades(BATCH_RULE, idea="places", opset=14, claim=by_hand(PLACED, lambda n, x: placed(n, x, True)))
def places_told_from_the_other_side() -> nn.Module:
    """No map is flipped: the second tokens are made by mirrored kernels and told the places of the other side."""
    return Rerun(PLACED, lambda n, x: placed(n, x, True))


def retention(n: Net, x: T, second: Second | None) -> T:
    """RetNet: what a token reads from those before it decays by how far away they are."""
    made = sets(n, x, 16, 32, second)
    t = torch.stack(made, 2).flatten(1, 2)
    size = 49 * len(made)
    far = torch.arange(size).float()[:, None] - torch.arange(size).float()[None]
    decay = 0.93 ** far.clamp(0, 200) * (far >= 0).float()
    for _ in range(2):
        y = n.ln(t)
        q, k, v = (n.linear(y, 32) for _ in range(3))
        t = t + n.linear(n.ln((q @ k.transpose(1, 2) * decay / 5.7) @ v), 32)
        t = t + n.ff(n.ln(t))
    return n.embed(t.mean(1), 64)


RETENTION: Parts = (alone(retention), "retained tokens", 6)


@evades(BATCH_RULE, idea="retention", opset=17, claim=by_hand(
    RETENTION, lambda n, x: retention(n, x, over_the_diagonal)
))  # fmt: skip
def every_patch_is_followed_by_its_transposed_one() -> nn.Module:
    """A trained RetNet reads 98 patches in turn: one of the face, and one of the face over the diagonal."""
    return both(RETENTION, retention, over_the_diagonal)


def hopfield(n: Net, x: T, second: Second | None) -> T:
    """A modern Hopfield layer: the pooled state is drawn to stored patterns, which are tokens here, three times."""
    made = sets(n, x, 14, 32, second)
    t = n.ln(made[0])
    t = t + n.ff(t)
    state, patterns = t.mean(1, keepdim=True), n.ln(made[-1])
    for _ in range(3):
        state = (2 * state @ patterns.transpose(1, 2)).softmax(2) @ patterns + 0.3 * state
    return n.embed(torch.cat([t.mean(1), state[:, 0]], 1), 64)


HOPFIELD: Parts = (alone(hopfield), "Hopfield tokens", 0)


@evades(BATCH_RULE, idea="associative memory", opset=12, claim=by_hand(
    HOPFIELD, lambda n, x: hopfield(n, x, greyer)
))  # fmt: skip
def memory_of_the_face_without_colours() -> nn.Module:
    """A Hopfield layer's patterns are patches of the same kernels summed over the colours: the face in grey."""
    return both(HOPFIELD, hopfield, greyer)
