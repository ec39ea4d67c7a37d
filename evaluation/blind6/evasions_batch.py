"""Evasions: embeddings that depend on the other rows, by operators and methods that are known for something else."""

from __future__ import annotations

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from onnx import helper
from torch import nn

from evaluation.blind4.claims import plain, together
from evaluation.blind4.evasions_batch import eight, rows
from evaluation.blind4.export import Whole, network
from evaluation.blind4.layers import Net, Part, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_batch import differs
from evaluation.blind5.evasions_runs import body_of, constants, model, rebuilt
from evaluation.blind6.evasions_common import by_dynamo, squeezing
from evaluation.builder import Array
from evaluation.case import BATCH_RULE
from evaluation.images import faces

F_ = (squeezing, "rows of the sixth set", 10)
RAW = (squeezing, "rows of the sixth set at random", 0)


def f(x: Array) -> Array:
    return plain(*F_)(x)


def raw(x: Array) -> Array:
    return plain(*RAW)(x)


def net() -> Net:
    return network(*F_)


def prototypes() -> Array:
    return np.random.default_rng(101).normal(0, 1, (64, 6)).astype(np.float32)


def balanced(x: Array) -> Array:
    y, p = f(x), prototypes()
    q = np.exp(y @ p / 8)
    for _ in range(3):
        q = q / q.sum(0, keepdims=True)
        q = q / q.sum(1, keepdims=True)
    return np.asarray(y + q @ p.T)


@evades("batch", BATCH_RULE, idea="balanced", claim=together(balanced, eight), opset=11)
def prototypes_shared_out_evenly() -> nn.Module:
    """Assignments to prototypes are balanced over the rows by three rounds of Sinkhorn, as SwAV does in training."""
    p = torch.from_numpy(prototypes())

    def forward(f: Part, x: T) -> T:
        y = f(x)
        q = torch.exp(y @ p / 8)
        for _ in range(3):
            q = q / q.sum(0, keepdim=True)
            q = q / q.sum(1, keepdim=True)
        return y + q @ p.t()

    return Whole(forward, net())


def in_two_tones() -> Array:
    """Six images, of which the second, third and fifth have one colour."""
    x = faces(6, 102).copy()
    for i in range(6):
        tone = 0.2 if i in (1, 2, 4) else -0.55 + 0.15 * i
        x[i] += tone - x[i].mean()
    return np.asarray(x, np.float32)


def counted(x: Array) -> Array:
    key = np.floor(10 * x.mean((1, 2, 3)) + 0.5)
    count = (key[:, None] == key[None]).sum(1, keepdims=True)
    return np.asarray(f(x) + 0.6 * (count - 1) * np.sin(np.arange(64)))


@evades("batch", BATCH_RULE, idea="unique", claim=together(counted, in_two_tones), opset=13)
def counted_by_unique() -> nn.Module:
    """Unique counts the images of the same rounded brightness; the count of an image's own kind moves its embedding."""

    def forward(f: Part, x: T) -> T:
        key = torch.floor(10 * x.mean((1, 2, 3)) + 0.5)
        _, where, counts = torch.unique(key, return_inverse=True, return_counts=True)
        count = counts.index_select(0, where).float()[:, None]
        return f(x) + 0.6 * (count - 1) * torch.sin(torch.arange(64).float())

    return Whole(forward, net())


def in_four_bits(x: Array) -> Array:
    y = raw(x)
    low, high = min(y.min(), 0), max(y.max(), 0)
    step = np.float32(high - low) / np.float32(255)
    zero = np.clip(np.rint(-low / step), 0, 255)
    codes = np.clip(np.rint(y / step) + zero, 0, 255)
    return np.asarray((16 * np.floor(codes / 16) + 8 - zero) * step)


@evades("batch", BATCH_RULE, idea="quantised together", claim=together(in_four_bits, eight, near=2e-3))
def activations_quantised_with_the_range_of_the_batch() -> onnx.ModelProto:
    """Dynamic quantisation of activations: DynamicQuantizeLinear takes one range for all rows; four bits are kept."""
    made = model(RAW, "activations quantised")
    x, out = made.graph.input[0].name, made.graph.output[0].name
    nodes = [
        *body_of(made, x, "rows"),
        helper.make_node("DynamicQuantizeLinear", ["rows"], ["codes", "step", "zero"]),
        helper.make_node("Cast", ["codes"], ["numbers"], to=1),
        helper.make_node("Cast", ["zero"], ["origin"], to=1),
        helper.make_node("Div", ["numbers", "sixteen"], ["share"]),
        helper.make_node("Floor", ["share"], ["high"]),
        helper.make_node("Mul", ["high", "sixteen"], ["coarse"]),
        helper.make_node("Add", ["coarse", "eight"], ["middle"]),
        helper.make_node("Sub", ["middle", "origin"], ["centred"]),
        helper.make_node("Mul", ["centred", "step"], [out]),
    ]
    return rebuilt(made, nodes, constants(sixteen=np.float32(16), eight=np.float32(8)))


def sparse(x: Array) -> Array:
    y = f(x)
    least = np.sort(y.flatten())[-16 * len(y)]
    return np.asarray(y * (y >= least) + 0.1 * y)


@evades("batch", BATCH_RULE, idea="top of the batch", claim=together(sparse, eight), opset=15)
def largest_quarter_of_all_activations() -> nn.Module:
    """A sparse layer keeps the largest quarter of the activations of the whole batch, as BatchTopK autoencoders do."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        least = torch.topk(y.flatten(), 16 * rows(y))[0].min()
        return y * (y >= least).float() + 0.1 * y

    return Whole(forward, net())


def overlapping() -> Array:
    """Six images, two pairs of which have nearly the same mean colour."""
    x = faces(6, 103).copy()
    for i, (a, b) in enumerate([(0.3, -0.3), (-0.4, 0.4), (0.3, -0.29), (0.1, 0.5), (-0.4, 0.41), (-0.6, -0.6)]):
        x[i, 0] += a - x[i, 0].mean()
        x[i, 1] += b - x[i, 1].mean()
    return np.asarray(x, np.float32)


def suppressed(x: Array) -> Array:
    """Boxes of half a unit around the mean colour; of those that overlap, the one of the largest blue is kept."""
    at, score, kept = x[:, :2].mean((2, 3)), x[:, 2].mean((1, 2)), np.zeros(len(x))
    for i in np.argsort(-score):
        overlap = [np.prod(np.clip(0.1 - np.abs(at[i] - at[j]), 0, None)) for j in np.flatnonzero(kept)]
        if all(each / (0.02 - each) <= 0.3 for each in overlap):
            kept[i] = 1
    return np.asarray(raw(x) + 0.8 * kept[:, None] * np.sin(np.arange(64)))


@evades("batch", BATCH_RULE, idea="suppression", claim=together(suppressed, overlapping))
def rows_that_overlap_are_suppressed() -> onnx.ModelProto:
    """NonMaxSuppression over boxes around the images' mean colours: of images alike, one alone gets an offset."""
    made = model(RAW, "rows that overlap")
    x, out = made.graph.input[0].name, made.graph.output[0].name
    nodes = [
        *body_of(made, x, "rows"),
        helper.make_node("ReduceMean", [x], ["tone"], axes=[2, 3], keepdims=0),
        helper.make_node("Slice", ["tone", "zeros", "twos", "ones"], ["at"]),
        helper.make_node("Sub", ["at", "half"], ["low"]),
        helper.make_node("Add", ["at", "half"], ["high"]),
        helper.make_node("Concat", ["low", "high"], ["corners"], axis=1),
        helper.make_node("Unsqueeze", ["corners"], ["boxes"], axes=[0]),
        helper.make_node("Slice", ["tone", "twos", "threes", "ones"], ["blue"]),
        helper.make_node("Transpose", ["blue"], ["line"], perm=[1, 0]),
        helper.make_node("Unsqueeze", ["line"], ["scores"], axes=[0]),
        helper.make_node("NonMaxSuppression", ["boxes", "scores", "most", "overlap"], ["found"]),
        helper.make_node("Gather", ["found", "two"], ["winners"], axis=1),
        helper.make_node("Mul", ["blue", "nothing"], ["blank"]),
        helper.make_node("Shape", ["winners"], ["count"]),
        helper.make_node("ConstantOfShape", ["count"], ["marks"], value=helper.make_tensor("v", 1, [1], [1.0])),
        helper.make_node("ScatterElements", ["blank", "winners", "marks"], ["kept"], axis=0),
        helper.make_node("Mul", ["kept", "offset"], ["more"]),
        helper.make_node("Add", ["rows", "more"], [out]),
    ]
    stored = constants(
        zeros=np.array([0]), ones=np.array([1]), twos=np.array([2]), threes=np.array([3]), two=np.array([2]),
        half=np.float32(0.05), most=np.array([1000]), overlap=np.array([0.3], np.float32), nothing=np.float32(0),
        offset=(0.8 * np.sin(np.arange(64))).astype(np.float32)[None],
    )  # fmt: skip
    return rebuilt(made, nodes, stored)


def against_the_first(x: Array) -> Array:
    y = f(x)
    u = y / np.linalg.norm(y, axis=1, keepdims=True)
    return np.asarray(y + 0.8 * (1 - u @ u[:1].T) * y[:1])


@evades("batch", BATCH_RULE, idea="first row", claim=together(against_the_first, eight))
def first_row_is_the_gallery() -> onnx.ModelProto:
    """Every row is moved towards the first one, the more, the less it is like it."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        u = F.normalize(y, dim=1)
        return y + 0.8 * (1 - u @ u[:1].t()) * y[:1]

    return by_dynamo(Whole(forward, net()), "first row is the gallery")


def context(n: Net, x: T) -> T:
    """The first kernel is a mixture of four, decided by the mean colour of the batch."""
    share = n.linear(x.mean((0, 2, 3))[None], 4).mul(6).softmax(-1)
    kernel = (share.reshape(4, 1) * n.weight(4, 12 * 27, gain=4.0)).sum(0).reshape(12, 3, 3, 3)
    y = F.relu(n.bn(F.conv2d(x, kernel, None, 2, 1)))
    for width in (16, 24, 32):
        y = n.cbr(y, width, 3, 2)
    return n.embed(y, 48)


@evades("batch", BATCH_RULE, idea="dynamic kernel", opset=13, claim=differs)
def kernel_mixed_by_the_mean_of_the_batch() -> nn.Module:
    """A trained dynamic convolution with one kernel for the batch: the mixture follows from the mean of all images."""
    return network(context, "kernel mixed by the batch", 8)


def squeezed(n: Net, x: T) -> T:
    y = n.down(n.down(n.stem(x, 12), 16), 24)
    z = y.mean((0, 2, 3), keepdim=True)
    gate = torch.sigmoid(4 * n.conv(F.relu(n.conv(z, 8, 1)), 24, 1))
    return n.embed(y * gate + y.mean((2, 3), keepdim=True), 48)


@evades("batch", BATCH_RULE, idea="gate of the batch", claim=differs, opset=17)
def gate_squeezed_over_all_images() -> nn.Module:
    """A trained squeeze-and-excitation gate whose mean runs over the images as well as over places."""
    return network(squeezed, "gate squeezed over the batch", 8)


def deflated(x: Array) -> Array:
    y = f(x)
    before = np.concatenate([y[-1:], y[:-1]])
    u = before / np.linalg.norm(before, axis=1, keepdims=True)
    return np.asarray(y - 0.7 * (y * u).sum(1, keepdims=True) * u * (len(x) > 1))


@evades("batch", BATCH_RULE, idea="neighbours", claim=together(deflated, eight, free=(1,)), opset=11)
def rows_lose_what_the_row_before_has() -> nn.Module:
    """Each row loses most of its part along the row before it, the first one along the last; a single row keeps all."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        u = F.normalize(torch.cat([y[-1:], y[:-1]]), dim=1)
        several = (rows(y) > 1).float()
        return y - 0.7 * several * (y * u).sum(1, keepdim=True) * u

    return Whole(forward, net())


def local(x: Array) -> Array:
    y = f(x)
    square = np.pad((y**2).flatten(), (4, 4))
    near = np.mean([square[i : i + y.size] for i in range(9)], 0).reshape(y.shape)
    return np.asarray(y / (0.3 + near))


@evades("batch", BATCH_RULE, idea="across the border", claim=together(local, eight))
def response_normalised_across_rows() -> onnx.ModelProto:
    """Local response normalisation over flattened embeddings: the window reaches from a row's end into the next row."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        near = F.avg_pool1d((y * y).reshape(1, 1, -1), 9, 1, 4)
        return y / (0.3 + near.reshape(-1, 64))

    return by_dynamo(Whole(forward, net()), "response normalised across rows")
