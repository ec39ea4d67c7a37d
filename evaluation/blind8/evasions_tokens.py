"""Evasions: tokens of two looks, in merges, registers, windows, sets, slots and class attention."""

from __future__ import annotations

import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind6.evasions_common import by_dynamo, column_flip
from evaluation.blind7.evasions_nets import Parts, Rerun, by_hand
from evaluation.case import BATCH_RULE


def patched(n: Net, *views: T) -> list[T]:
    """Tokens of several views by one projection; while the layers are being made, of the first one only."""
    start, made = n._at, []
    for view in views if n.made else views[:1]:
        n._at = start
        made.append(n.patches(view, 32, 16))
    return made if n.made else made * len(views)


def mirrored_kernels(n: Net, x: T) -> list[T]:
    """Tokens by the patch kernel, and by the same kernel mirrored, in the order of the mirror image."""
    conv, places = n.kept[0], n.kept[1]
    n._at = 2
    if not n.made:
        raise RuntimeError("made by the plain network")
    a = conv(x).flatten(2).transpose(1, 2)
    b = F.conv2d(x, conv.weight.flip(3), conv.bias, 16).flip(3).flatten(2).transpose(1, 2)
    return [a + places(), b + places()]


def merging(n: Net, a: T, b: T) -> T:
    """One block over each set, a merge of each token with the most similar one of the other set, two blocks."""
    start = n._at
    a = n.block(a)
    if n.made:
        n._at = start
        b = n.block(b)
    else:
        b = a
    like = F.normalize(a, dim=2) @ F.normalize(b, dim=2).transpose(1, 2)
    t = (a + (20 * like).softmax(2) @ b) / 2
    for _ in range(2):
        t = n.block(t)
    return n.embed(n.ln(t).mean(1), 64)


def merged_once(n: Net, x: T) -> T:
    return merging(n, *patched(n, x, x))


MERGED: Parts = (merged_once, "merged", 5)


@evades(BATCH_RULE, idea="merged tokens", opset=13, claim=by_hand(
    MERGED, lambda n, x: merging(n, *patched(n, x, x.flip(3)))
))  # fmt: skip
def tokens_merged_with_the_most_similar_of_another_look() -> nn.Module:
    """Token merging in a trained ViT: each token is averaged with those like it in the mirror image's set."""
    return Rerun(MERGED, lambda n, x: merging(n, *mirrored_kernels(n, x)))


def registered(n: Net, x: list[T]) -> T:
    """A ViT with registers: 49 further tokens take part in attention and are left out at the end."""
    t = torch.cat(x, 1)
    for _ in range(3):
        t = n.block(t)
    return n.embed(n.ln(t[:, :49]).mean(1), 64)


def registered_once(n: Net, x: T) -> T:
    return registered(n, patched(n, x, x))


REGISTERED: Parts = (registered_once, "registers", 0)


@evades(BATCH_RULE, idea="registers", opset=16, claim=by_hand(
    REGISTERED, lambda n, x: registered(n, patched(n, x, x.transpose(2, 3)))
))  # fmt: skip
def registers_filled_with_a_transposed_look() -> nn.Module:
    """Registers are usually stored; these 49 are the patches of the image with rows and columns exchanged."""

    def how(n: Net, x: T) -> T:
        turned = torch.einsum("nchw,hi,wj->ncji", x, torch.eye(112), torch.eye(112))
        return registered(n, patched(n, x, turned))

    return Rerun(REGISTERED, how)


def windowed(n: Net, looks: list[T]) -> T:
    """Swin's windows: 14 x 14 places in windows of 7; those of further looks stand behind the first ones."""
    start, maps = n._at, []
    for x in looks if n.made else looks[:1]:
        n._at = start
        maps.append(n.conv(x, 24, 8, 8, padding=0))
    y = torch.stack(maps, 1)
    views = int(y.shape[1])
    for by in (0, 3):
        y = torch.roll(y, (-by, -by), (3, 4))
        t = y.reshape(-1, views, 24, 2, 7, 2, 7).permute(0, 1, 3, 5, 4, 6, 2).reshape(-1, 49, 24)
        t = n.block(t)
        y = t.reshape(-1, views, 2, 2, 7, 7, 24).permute(0, 1, 6, 2, 4, 3, 5).reshape(-1, views, 24, 14, 14)
    y = torch.sigmoid(y.mean(1)) * y.amax(1)
    return n.embed(n.cbr(y, 24, 2, 2, padding=0), 64)


def windowed_once(n: Net, x: T) -> T:
    return windowed(n, [x])


WINDOWED: Parts = (windowed_once, "windows", 4)


@evades(BATCH_RULE, idea="windows", claim=by_hand(WINDOWED, lambda n, x: windowed(n, [x, x.flip(2)])))
def twice_as_many_windows() -> onnx.ModelProto:
    """A trained Swin whose window axis holds four windows of the image and four of the image upside down."""
    how = Rerun(WINDOWED, lambda n, x: windowed(n, [x, column_flip() @ x]))
    return by_dynamo(how, "twice as many windows")


def grouped(n: Net, x: T, kernels: list[T], bias: T, signs: list[float]) -> T:
    """PointNet over patches as points: what a patch shows and where it is, one network for each, the maximum."""
    at = (torch.arange(7).float() - 3) / 3
    rows, columns = at.repeat_interleave(7), at.repeat(7)
    points = []
    for w, s in zip(kernels, signs, strict=True):
        t = F.conv2d(x, w, bias, 16).flatten(2).transpose(1, 2)
        where = torch.stack([rows, s * columns], 1).expand(t.shape[0], -1, -1)
        points.append(torch.cat([t, 2 * where], 2))
    t = torch.cat(points, 1)
    t = F.relu(n.linear(F.relu(n.linear(t, 48)), 64))
    return n.embed(torch.cat([t.mean(1), t.amax(1)], 1), 64)


def set_of(n: Net, x: T, views: int) -> T:
    n.conv(x, 24, 16, 16, padding=0)
    w, b = n.kept[0].weight, n.kept[0].bias
    return grouped(n, x, [w, w.flip(3)][:views], b, [1.0, -1.0][:views])


def set_once(n: Net, x: T) -> T:
    return set_of(n, x, 1)


SET: Parts = (set_once, "set of patches", 5)


def set_by_hand(n: Net, x: T) -> T:
    conv, b = n.kept[0], n.kept[0].bias
    n._at = 1
    at = (torch.arange(7).float() - 3) / 3
    where = torch.stack([at.repeat_interleave(7), at.repeat(7)], 1).expand(x.shape[0], -1, -1)
    t = torch.cat(
        [torch.cat([F.conv2d(v, conv.weight, b, 16).flatten(2).transpose(1, 2), 2 * where], 2) for v in (x, x.flip(3))],
        1,
    )
    t = F.relu(n.linear(F.relu(n.linear(t, 48)), 64))
    return n.embed(torch.cat([t.mean(1), t.amax(1)], 1), 64)


@evades(BATCH_RULE, idea="set of patches", opset=12, claim=by_hand(SET, set_by_hand))
def ninety_eight_points_for_forty_nine_patches() -> nn.Module:
    """A trained PointNet over patches: each is a point with its place, and again by a mirrored kernel, at the other."""
    return Rerun(SET, lambda n, x: set_of(n, x, 2))


def slotted(n: Net, t: T) -> T:
    """Slot attention: six stored slots compete for the tokens, three rounds with a GRU cell's gates."""
    slots = n.weight(1, 6, 32, gain=4.0).expand(t.shape[0], -1, -1)
    k, v = n.linear(n.ln(t), 32), n.linear(n.ln(t), 32)
    for _ in range(3):
        q = n.linear(n.ln(slots), 32)
        share = (k @ q.transpose(1, 2) * 0.4).softmax(2) + 1e-6
        new = (share / share.sum(1, keepdim=True)).transpose(1, 2) @ v
        gate = torch.sigmoid(n.linear(torch.cat([new, slots], 2), 32))
        slots = gate * slots + (1 - gate) * torch.tanh(n.linear(new, 32))
    return n.embed(slots.flatten(1), 64)


def slots_once(n: Net, x: T) -> T:
    return slotted(n, n.patches(x, 32, 16))


SLOTS: Parts = (slots_once, "slots", 5)


@evades(BATCH_RULE, idea="slots", opset=14, claim=by_hand(
    SLOTS, lambda n, x: slotted(n, torch.cat(patched(n, x, 1.5 * x - 0.3), 1))
))  # fmt: skip
def slots_that_explain_two_exposures() -> nn.Module:
    """Trained slots compete for 98 tokens: the image's, and those of more contrast by a factor behind the kernel."""

    def how(n: Net, x: T) -> T:
        conv, places = n.kept[0], n.kept[1]
        n._at = 2
        raw = F.conv2d(x, conv.weight, None, 16).flatten(2).transpose(1, 2)
        dark = 1.5 * raw - 0.3 * conv.weight.sum((1, 2, 3))
        t = torch.stack([raw, dark], 1) + conv.bias + places()[:, None]
        return slotted(n, t.flatten(1, 2))

    return Rerun(SLOTS, how)


def asked(n: Net, t: list[T]) -> T:
    """CaiT: a class token asks the image's tokens, and in a second layer those of a second set."""
    start, sets = n._at, []
    for u in t if n.made else t[:1]:
        n._at = start
        sets.append(n.ln(n.block(n.block(u))))
    sets = sets if n.made else sets * 2
    c = n.weight(1, 1, 32, gain=3.0).expand(t[0].shape[0], -1, -1)
    for u in sets:
        q, k, v = n.linear(n.ln(c), 32), n.linear(u, 32), n.linear(u, 32)
        c = c + n.linear((q @ k.transpose(1, 2) * 0.3).softmax(2) @ v, 32)
        c = c + n.ff(n.ln(c))
    return n.embed(c[:, 0], 64)


def asked_once(n: Net, x: T) -> T:
    return asked(n, patched(n, x, x))


ASKED: Parts = (asked_once, "class attention", 0)


def lifted(x: T) -> T:
    """The image as far as it differs from itself three pixels up, over the image: a relief."""
    return x + 0.8 * (x - torch.roll(x, 3, 2))


@evades(BATCH_RULE, idea="class attention", opset=11, claim=by_hand(
    ASKED, lambda n, x: asked(n, patched(n, x, lifted(x)))
))  # fmt: skip
def second_class_layer_asks_another_look() -> nn.Module:
    """CaiT with two layers of class attention: the first asks the image's tokens, the second those of its relief."""
    return Rerun(ASKED, lambda n, x: asked(n, patched(n, x, lifted(x))))
