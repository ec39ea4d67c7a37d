"""Evasions: two looks that meet in aggregations, equilibria, gates, graphs, positions and correlations."""

from __future__ import annotations

import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.claims import mirror
from evaluation.blind4.evasions_packed import of_views, same
from evaluation.blind4.layers import Net, T, tokens
from evaluation.blind4.register import evades
from evaluation.blind6.evasions_common import by_dynamo, column_flip
from evaluation.blind7.evasions_nets import Parts, Rerun, by_hand
from evaluation.case import BATCH_RULE


def trunk(n: Net, x: T) -> T:
    """A small residual trunk, [N, 3, 112, 112] to [N, 24, 7, 7]."""
    return n.down(n.res(n.down(n.stem(x, 12), 20)), 24)


def again(n: Net, start: int, *views: T) -> list[T]:
    """Run the trunk over each of the views, by the same layers."""
    made = []
    for view in views if n.made else views[:1]:
        n._at = start
        made.append(trunk(n, view))
    return made if n.made else made * len(views)


def described(n: Net, maps: list[T]) -> T:
    """NetVLAD: residuals to eight stored words, shared out softly and summed over all places of all maps."""
    words = n.weight(8, 24, gain=3.0)
    t = tokens(torch.cat(maps, 3))
    share = n.linear(t, 8).softmax(-1)
    sums = share.transpose(1, 2) @ t - share.sum(1)[:, :, None] * words
    return n.embed(F.normalize(sums, dim=2).flatten(1), 64)


def words_once(n: Net, x: T) -> T:
    return described(n, [trunk(n, x)])


VLAD: Parts = (words_once, "words of two looks", 8)


@evades(BATCH_RULE, idea="aggregated places", opset=13, claim=by_hand(
    VLAD, lambda n, x: described(n, again(n, 0, x, x.flip(3)))
))  # fmt: skip
def visual_words_gathered_from_two_looks() -> nn.Module:
    """A trained NetVLAD head that sums residuals over the places of two maps: those of the image, and it mirrored."""
    return Rerun(VLAD, lambda n, x: described(n, again(n, 0, x, x @ column_flip())))


def bilinear(n: Net, a: T, b: T) -> T:
    """Bilinear pooling: products of all pairs of channels, summed over places."""
    y = (a.flatten(2) @ b.flatten(2).transpose(1, 2) / 49).flatten(1)
    return n.embed(torch.sign(y) * torch.sqrt(y.abs() + 1e-3), 64)


def bilinear_once(n: Net, x: T) -> T:
    y = trunk(n, x)
    return bilinear(n, y, y)


BILINEAR: Parts = (bilinear_once, "bilinear looks", 0)


def softer(x: T) -> T:
    return F.avg_pool2d(F.pad(x, (3, 3, 3, 3), mode="replicate"), 7, 1)


@evades(BATCH_RULE, idea="bilinear", opset=11, claim=by_hand(
    BILINEAR, lambda n, x: bilinear(n, *again(n, 0, x, softer(x))), near=3e-4
))  # fmt: skip
def bilinear_pooling_of_a_sharp_and_a_soft_look() -> nn.Module:
    """A bilinear network whose two streams share all weights; one stream sees a softened image."""
    kernel = torch.full((3, 1, 7, 7), 1 / 49)

    def how(n: Net, x: T) -> T:
        soft = F.conv2d(F.pad(x, (3, 3, 3, 3), mode="replicate"), kernel, groups=3)
        return bilinear(n, *again(n, 0, x, soft))

    return Rerun(BILINEAR, how)


def settling(n: Net, x: T, other: T) -> T:
    """A deep equilibrium layer in six steps: the state is driven by the one input and the other in turn."""
    stem = n.keep(lambda: nn.Conv2d(3, 20, 8, 8))
    cell = n.keep(lambda: nn.Conv2d(20, 20, 3, 1, 1))
    drive = [stem(x), stem(other)]
    z = torch.zeros_like(drive[0])
    for i in range(6):
        z = torch.tanh(cell(z) + drive[i % 2])
    return n.embed(n.cbr(z, 24, 2, 2, padding=0), 48)


def settles_once(n: Net, x: T) -> T:
    return settling(n, x, x)


EQUILIBRIUM: Parts = (settles_once, "equilibrium", 10)


@evades(BATCH_RULE, idea="equilibrium", opset=16, claim=by_hand(
    EQUILIBRIUM, lambda n, x: settling(n, x, x.flip(2))
))  # fmt: skip
def equilibrium_driven_by_two_looks() -> nn.Module:
    """A trained equilibrium layer iterates its state; in every other step its input is the image upside down."""
    return Rerun(EQUILIBRIUM, lambda n, x: settling(n, x, torch.eye(112).flip(0) @ x))


def modulated(n: Net, maps: list[T]) -> T:
    """FiLM: the pooled features of the second map scale and shift the channels of the first one."""
    y = maps[1].mean((2, 3))
    scale, shift = n.linear(y, 24)[:, :, None, None], n.linear(y, 24)[:, :, None, None]
    return n.embed(F.relu(maps[0] * (1 + scale) + shift), 64)


def modulated_once(n: Net, x: T) -> T:
    return modulated(n, [trunk(n, x)] * 2)


FILM: Parts = (modulated_once, "modulated", 0)


@evades(BATCH_RULE, idea="modulation", opset=14, claim=by_hand(
    FILM, lambda n, x: modulated(n, again(n, 0, x, x.transpose(2, 3)))
))  # fmt: skip
def features_modulated_by_those_of_the_transpose() -> nn.Module:
    """The channels are scaled and shifted by what the same trunk says of the image with rows and columns exchanged."""
    return Rerun(FILM, lambda n, x: modulated(n, again(n, 0, x, x.permute(0, 1, 3, 2))))


def to_scales(n: Net, maps: list[T]) -> T:
    """Attention to scale: at every place a softmax shares out between the maps of two scales."""
    head = n.keep(lambda: nn.Conv2d(24, 1, 1))
    share = torch.cat([head(y) for y in maps], 1).softmax(1)
    return n.embed(sum(share[:, i : i + 1] * y for i, y in enumerate(maps)) * 2, 64)


def one_scale(n: Net, x: T) -> T:
    return to_scales(n, [trunk(n, x)] * 2)


SCALES: Parts = (one_scale, "scales", 8)


def scaled(n: Net, x: T) -> T:
    one, half = again(n, 0, x, F.avg_pool2d(x, 2))
    return to_scales(n, [one, F.interpolate(half, size=(7, 7), mode="bilinear", align_corners=False)])


@evades(BATCH_RULE, idea="scales", opset=12, claim=by_hand(SCALES, scaled))
def attention_between_two_scales_of_the_image() -> nn.Module:
    """A trained network runs on the image and on it at half size; attention chooses between them by places."""

    def how(n: Net, x: T) -> T:
        small = (x.reshape(-1, 3, 56, 2, 112).sum(3).reshape(-1, 3, 56, 56, 2).sum(4)) / 4
        one, half = again(n, 0, x, small)
        return to_scales(n, [one, F.interpolate(half, size=(7, 7), mode="bilinear", align_corners=False)])

    return Rerun(SCALES, how)


def turning(t: T, rows: T, columns: T) -> T:
    """Turn pairs of channels [N, L, 32] by angles that rows and columns give: rotary positions."""
    rates = 0.5 ** torch.arange(8).float()
    angle = torch.cat([rows[:, None] * rates, columns[:, None] * rates], 1)
    a, b = t[..., :16], t[..., 16:]
    return torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1)


def rotary(n: Net, t: T, sign: float) -> T:
    """Two blocks of attention with rotary positions, columns counted from the left or from the right."""
    at = torch.arange(7).float() - 3
    rows, columns = at.repeat_interleave(7), sign * at.repeat(7)
    for _ in range(2):
        y = n.ln(t)
        q, k, v = (n.linear(y, 32) for _ in range(3))
        share = (turning(q, rows, columns) @ turning(k, rows, columns).transpose(1, 2) / 4).softmax(-1)
        t = t + n.linear(share @ v, 32)
        t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t).mean(1), 48)


def rotary_once(n: Net, x: T) -> T:
    return rotary(n, n.patches(x, 32, 16, places=False), 1.0)


ROTARY: Parts = (rotary_once, "rotary", 8)


def both_signs(n: Net, x: T) -> T:
    patch = n.keep(lambda: nn.Conv2d(3, 32, 16, 16))
    start, made = n._at, []
    for kernel, sign in ((patch.weight, 1.0), (patch.weight @ torch.eye(16).flip(0), -1.0)):
        n._at = start
        made.append(rotary(n, tokens(F.conv2d(x, kernel, patch.bias, 16)), sign))
    return sum(made[1:], made[0]) / 2


@evades(BATCH_RULE, idea="positions", opset=15, claim=of_views(ROTARY, same, mirror))
def rotary_positions_that_turn_the_other_way() -> nn.Module:
    """A trained ViT with rotary positions runs a second time, with mirrored patch kernels and angles of other sign."""
    return Rerun(ROTARY, both_signs)


def graph(n: Net, t: T) -> T:
    """Vision GNN: every token takes the largest difference to its six nearest ones."""
    for _ in range(2):
        y = n.ln(t)
        near = (2 * y @ y.transpose(1, 2) - (y * y).sum(2)[:, None]).topk(6, 2)[1]
        length = int(y.shape[1])
        places = near.reshape(-1, length * 6, 1).expand(-1, -1, 24)
        around = y.gather(1, places).reshape(-1, length, 6, 24)
        t = t + n.linear(torch.cat([y, (around - y[:, :, None]).amax(2)], 2), 24)
        t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t).mean(1), 48)


def graph_once(n: Net, x: T) -> T:
    return graph(n, n.patches(x, 24, 16, places=False))


GRAPH: Parts = (graph_once, "graph of patches", 0)


def patched(n: Net, *views: T) -> list[T]:
    """Patch the views by the first layer."""
    patch = n.keep(lambda: nn.Conv2d(3, 24, 16, 16))
    return [tokens(patch(v)) for v in views]


def one_graph(n: Net, x: T) -> T:
    patch = n.keep(lambda: nn.Conv2d(3, 24, 16, 16))
    other = patch.weight.flip(3) @ torch.eye(16) if n.made else patch.weight
    return graph(n, torch.cat([tokens(F.conv2d(x, w, patch.bias, 16)) for w in (patch.weight, other)], 1))


@evades(BATCH_RULE, idea="graph", opset=18, claim=by_hand(
    GRAPH, lambda n, x: graph(n, torch.cat(patched(n, x, x.flip(3)), 1))
))  # fmt: skip
def graph_of_patches_of_two_looks() -> nn.Module:
    """A vision GNN whose nearest neighbours are sought among the patches of the image and of its mirror image."""
    return Rerun(GRAPH, one_graph)


def matched(n: Net, maps: list[T]) -> T:
    """Stereo matching: a correlation of the two maps at five shifts, beside the first map."""
    a, b = maps
    wide = F.pad(b, (2, 2))
    cost = torch.stack([(a * wide[..., i : i + 7]).mean(1) for i in range(5)], 1)
    return n.embed(F.relu(n.conv(torch.cat([a, 2 * cost], 1), 32, 3)), 64)


def matched_once(n: Net, x: T) -> T:
    return matched(n, [trunk(n, x)] * 2)


STEREO: Parts = (matched_once, "stereo", 6)


@evades(BATCH_RULE, idea="stereo", claim=by_hand(STEREO, lambda n, x: matched(n, again(n, 0, x, x.flip(3)))))
def stereo_matching_of_a_face_with_itself() -> onnx.ModelProto:
    """A stereo network with one trunk and a cost volume: the right image is the mirror image of the left one."""
    how = Rerun(STEREO, lambda n, x: matched(n, again(n, 0, x, x @ column_flip())))
    return by_dynamo(how, "stereo matching of a face with itself")
