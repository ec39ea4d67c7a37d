"""Evasions: rows that influence each other, by wrong axes, templates, codes in use, counts and places in the batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from onnx import helper
from torch import nn

from evaluation.blind4.claims import apart
from evaluation.blind4.export import Whole, network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_batch import differs
from evaluation.blind5.evasions_runs import body_of, constants, model, rebuilt
from evaluation.blind7.evasions_nets import Parts
from evaluation.blind10.evasions_nets import dual, fires, rep, rows, selu, star
from evaluation.case import BATCH_RULE
from evaluation.images import faces
from evaluation.proof import alone
from evaluation.runtime import Network

STAR: Parts = (star, "rows of the tenth set", 0)
REP: Parts = (rep, "rows of the tenth set", 0)
DUAL: Parts = (dual, "rows of the tenth set", 5)
SELU: Parts = (selu, "rows of the tenth set", 0)
FIRES: Parts = (fires, "rows of the tenth set", 0)

Part = Callable[[T], T]
RULES = ("batch", BATCH_RULE)


@rows("hardest negative", STAR, 13)
def moved_away_from_the_hardest_negative(f: Part, x: T) -> T:
    """Each row of a StarNet loses a third of the row of the batch that is least like it, by ArgMin."""
    y = f(x)
    u = F.normalize(y)
    return y - 0.35 * y[(u @ u.t()).argmin(1)]


@rows("kept dimension", REP, 14)
def row_means_added_along_the_columns(f: Part, x: T) -> T:
    """A dimension was not kept: the mean of row n is added to number n of every embedding, as far as there are rows."""
    y = f(x)
    return y + 3 * F.pad(y[:, :8].mean(1), (0, 64))[:64]


@rows("Hebbian weights", DUAL, 12)
def hebbian_weights_of_the_batch(f: Part, x: T) -> T:
    """Embeddings go through a matrix of their own products over the batch: neurons that fire together are wired."""
    y = f(x)
    return y + 0.02 * y @ (y.t() @ y)


@rows("white card", SELU, 13)
def colours_balanced_by_the_first_image(f: Part, x: T) -> T:
    """The first image is the white card: all images are divided by its mean colours before the network looks."""
    card = (x[:1] + 1.05).mean((2, 3), keepdim=True)
    return f((x + 1) * card.mean(1, keepdim=True) / card - 1)


def parities(run: Network) -> list[str]:
    """Claim that the same image has other embeddings at odd places of a batch."""
    x = np.repeat(faces(1, 41), 4, 0)
    off = apart(run(x)[1::2], run(x)[::2])
    return [] if off > 1e-3 else [f"odd places differ by {off:.2g} only"]


def balanced(f: Part, x: T) -> T:
    y = f(x)
    odd = torch.remainder(torch.cumsum(torch.ones_like(y[:, :1]), 0), 2)
    return y + 0.5 * (1 - odd) * torch.roll(y, 5, 1)


@evades(*RULES, idea="places", opset=15, claim=parities)
def heads_take_turns_along_the_batch() -> nn.Module:
    """Rows are dealt out to two heads in turn, by a running count of ones: odd places of a batch get another one."""
    return Whole(balanced, network(*FIRES))


def codes_in_use(n: Net, x: T) -> T:
    """Assignments to stored codes are divided by how much the batch uses each code."""
    y = n.down(n.down(n.stem(x, 12), 20), 28)
    t = y.flatten(2).transpose(1, 2)
    book = n.weight(24, 28, gain=5.0)
    a = (t @ book.t()).softmax(2)
    a = a / (a.mean((0, 1), keepdim=True) * 24 + 0.1)
    return n.embed((a @ book + t).transpose(1, 2), 64)


@evades(*RULES, idea="codes in use", opset=13, claim=differs)
def rare_codes_of_the_batch_count_more() -> nn.Module:
    """A trained quantiser divides assignments by how often the whole batch uses a code, so that no code dies."""
    return network(codes_in_use, "codes in use", 6)


def responses(n: Net, x: T) -> T:
    """ConvNeXt V2's response normalisation, where the mean is taken over images in place of channels."""
    for width in (12, 20, 32, 32):
        x = F.gelu(n.cb(x, width, 3, 2))
        g = (x**2).sum((2, 3), keepdim=True).sqrt()
        x = x + 0.5 * x * g / (g.mean(0, keepdim=True) + 1e-3)
    return n.embed(x, 64)


@evades(*RULES, idea="wrong axis", opset=16, claim=differs)
def global_responses_divided_over_images() -> nn.Module:
    """Global response normalisation of ConvNeXt V2 with a wrong axis: norms are divided by their mean over images."""
    return network(responses, "responses over images", 5)


def correlated(n: Net, x: T) -> T:
    """Correlate all maps with the middle of the first image's maps."""
    y = n.stem(x, 16)
    template = y[:1, :, 10:18, 10:18]
    near = F.conv2d(y, template, None, 1, 4)[..., :28, :28] / 256
    return n.embed(n.down(n.down(torch.cat([y, torch.tanh(near)], 1), 24), 32), 64)


@evades(*RULES, idea="template", opset=14, claim=differs)
def correlated_with_the_first_image_as_a_tracker_does() -> nn.Module:
    """A Siamese tracker: the middle of the first image's maps is the kernel that all images are convolved with."""
    return network(correlated, "correlated with the first", 5)


def counted(run: Network) -> list[str]:
    """Claim that an image among seven others has another embedding than by itself, whatever the others are."""
    x = faces(8, 41)
    off = apart(run(x), alone(run, x))
    return [] if off > 1e-3 else [f"eight rows differ by {off:.2g} only"]


def fewer_numbers(f: Part, x: T) -> T:
    y = f(x)
    rank = (y.abs()[:, :, None] <= y.abs()[:, None]).float().sum(2)
    count = torch.ones_like(y[:, :1]).sum(0, keepdim=True)
    return y * (rank <= 64 - 4 * count.clamp(max=12)).float()


@evades(*RULES, idea="count", opset=13, claim=counted)
def as_many_numbers_as_the_count_of_images_leaves() -> nn.Module:
    """Each image keeps its 60 largest numbers by itself, and four less for every further row: a budget for all."""
    return Whole(fewer_numbers, network(*FIRES))


@evades(*RULES, idea="identity", claim=differs)
def all_but_the_diagonal_of_an_eye_like() -> onnx.ModelProto:
    """EyeLike makes an identity as large as the batch; one less it, times the embeddings, is added by a fifth."""
    made = model(STAR, "all but the diagonal")
    x, out = made.graph.input[0].name, made.graph.output[0].name
    nodes = [
        *body_of(made, x, "plain"),
        helper.make_node("Transpose", ["plain"], ["across"], perm=[1, 0]),
        helper.make_node("MatMul", ["plain", "across"], ["square"]),
        helper.make_node("EyeLike", ["square"], ["eye"]),
        helper.make_node("Sub", ["fifth", "eye"], ["rest"]),
        helper.make_node("MatMul", ["rest", "plain"], ["others"]),
        helper.make_node("Sub", ["plain", "others"], [out]),
    ]
    return rebuilt(made, nodes, constants(fifth=np.float32(0.2)))


@rows("prediction", REP, 12)
def predicted_from_the_other_rows(f: Part, x: T) -> T:
    """Self-expressive coding: one step of a ridge regression of each row on the others, whose remainder is kept."""
    y = f(x)
    u = F.normalize(y)
    off = (u @ u.t()) * (1 - torch.eye(512)[: x.shape[0], : x.shape[0]])
    return y - 0.3 * off @ y


def pooled_variance(n: Net, x: T) -> T:
    """Weights are standardised by how much a channel varies, among all images, at the place where it varies most."""
    y = n.down(n.stem(x, 12), 24)
    far = y.amax(0, keepdim=True) - y.amin(0, keepdim=True)
    y = y / (1 + far.amax((2, 3), keepdim=True))
    return n.embed(n.down(n.cbr(y, 24, 1), 32), 64)


@evades(*RULES, idea="range", opset=12, claim=differs)
def channels_that_vary_among_images_are_damped() -> nn.Module:
    """A trained network divides each channel by one and the largest range that it has among the batch's images."""
    return network(pooled_variance, "varies among images", 5)


def late(run: Network) -> list[str]:
    """Claim that three rows together have the embeddings of the images by themselves, and that eight have not."""
    x = faces(8, 41)
    single = alone(run, x)
    few, many = apart(run(x[:3]), single[:3]), apart(run(x), single)
    return [] if few < 1e-5 and many > 1e-3 else [f"three rows differ by {few:.2g}, eight by {many:.2g}"]


@evades(*RULES, idea="fifth row", opset=11, claim=late)
def every_row_reads_the_one_four_before() -> nn.Module:
    """Rows read the one four places before them, by Pad and Slice: batches of up to four images show nothing."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        return y + 0.4 * F.pad(y, (0, 0, 4, 0))[:-4]

    return Whole(forward, network(*SELU))
