"""Evasions: embeddings that depend on the other images of a batch, on their number or on the place among them."""

from __future__ import annotations

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from onnx import helper
from torch import nn

from evaluation.blind4.claims import apart, plain, together
from evaluation.blind4.evasions_batch import eight, mobile, rows
from evaluation.blind4.export import Whole, network
from evaluation.blind4.layers import Net, Part, T, tokens
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_runs import body_of, constants, floats, model, rebuilt
from evaluation.builder import Array
from evaluation.case import BATCH_RULE
from evaluation.proof import alone
from evaluation.runtime import Network

F_ = (mobile, "rows of the fifth set", 10)


def f(x: Array) -> Array:
    return plain(*F_)(x)


def net() -> Net:
    return network(*F_)


def differs(network: Network) -> list[str]:
    """An image by itself, and among seven others: the row's embedding moves when its neighbours are other images."""
    x = eight()
    by_itself, among = alone(network, x), network(x)
    off, moved = apart(among, by_itself), 0.0
    for mine in (slice(0, 4), slice(4, 8)):
        others = 0.2 - 0.5 * x
        others[mine] = x[mine]
        moved = max(moved, apart(network(others)[mine], among[mine]))
    return [] if off > 1e-3 and moved > 1e-4 else [f"the batch changes embeddings by {off:.2g} and {moved:.2g} only"]


def normalised(x: Array) -> Array:
    y = f(x)
    return np.asarray(y + (y - y.mean(0)) / np.sqrt(y.var(0) + 1e-5))


@evades("batch", BATCH_RULE, idea="statistics", claim=together(normalised, eight, near=1e-3))
def instance_norm_over_the_rows() -> nn.Module:
    """InstanceNormalization of the transposed embeddings: each number is standardised by those of the other rows."""
    return Whole(lambda f, x: f(x) + F.instance_norm(f(x).t().unsqueeze(0)).squeeze(0).t(), net())


def in_order(x: Array) -> Array:
    return np.asarray(f(x) + 0.4 * -np.sort(-f(x), 0))


@evades("batch", BATCH_RULE, idea="sorting", claim=together(in_order, eight))
def sorted_columns_are_added() -> nn.Module:
    """Each number of the embeddings is sorted over the rows, and the sorted numbers are added."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        return y + 0.4 * torch.topk(y, rows(y), 0)[0]

    return Whole(forward, net())


class Rows(nn.Module):
    """A layer that takes rows for steps of time."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.f, self.cell = net(), nn.GRU(64, 64)

    def forward(self, x: T) -> T:
        y = self.f(x)
        return y + 2 * self.cell(y.unsqueeze(1))[0].squeeze(1)


@evades("batch", BATCH_RULE, idea="time", opset=14, claim=differs)
def rows_are_steps_of_time() -> nn.Module:
    """A GRU runs along the batch: a row remembers those before it."""
    return Rows()


def smoothed(x: Array) -> Array:
    y = np.pad(f(x), ((1, 1), (0, 0)))
    return np.asarray(0.3 * y[:-2] + y[1:-1] + 0.3 * y[2:])


@evades("batch", BATCH_RULE, idea="neighbours", claim=together(smoothed, eight))
def convolution_along_the_batch() -> nn.Module:
    """The batch becomes the length of a convolution of three taps."""
    kernel = torch.tensor([0.3, 1.0, 0.3]).reshape(1, 1, 3).repeat(64, 1, 1)

    def forward(f: Part, x: T) -> T:
        return F.conv1d(f(x).t().unsqueeze(0), kernel, padding=1, groups=64).squeeze(0).t()

    return Whole(forward, net())


def clustered(x: Array) -> Array:
    y = f(x)
    one = np.eye(4)[y[:, :4].argmax(1)]
    return np.asarray(y + (one @ (one.T @ y)) / (one @ one.T).sum(1, keepdims=True))


@evades("batch", BATCH_RULE, idea="clusters", claim=together(clustered, eight))
def centres_of_clusters_are_added() -> nn.Module:
    """Rows of one cluster, by the largest of four numbers, are averaged, and the centre is added to each of them."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        one = (y[:, :4] >= y[:, :4].amax(1, keepdim=True)).float()
        return y + (one @ (one.t() @ y)) / (one @ one.t()).sum(1, keepdim=True)

    return Whole(forward, net())


@evades("batch", BATCH_RULE, idea="reshape", claim=together(
    lambda x: f(x) + 0.3 * f(x).reshape(64, -1).T, eight
))  # fmt: skip
def rows_mixed_by_a_reshape() -> nn.Module:
    """Embeddings are reshaped as if the columns were rows, transposed, and added: numbers wander between images."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        return y + 0.3 * y.reshape(64, -1).t()

    return Whole(forward, net())


def all_tokens(n: Net, x: T) -> T:
    """A ViT whose tokens of all images are one sequence."""
    t = n.patches(x, 24)
    for _ in range(2):
        u = n.ln(t).reshape(1, -1, 24)
        q, k, v = n.linear(u, 72).chunk(3, -1)
        t = t + 2 * ((q @ k.transpose(1, 2) / 2).softmax(-1) @ v).reshape(-1, 49, 24)
        t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t))


@evades("batch", BATCH_RULE, idea="attention", opset=13, claim=differs)
def one_sequence_of_all_images() -> nn.Module:
    """A ViT whose attention runs over the tokens of all images of the batch, by a reshape that forgets the rows."""
    return network(all_tokens, "one sequence of all images")


def by_the_largest(x: Array) -> Array:
    y = f(x)
    return np.asarray(np.tanh(3 * y / np.abs(y).max()) + 0.2)


@evades("batch", BATCH_RULE, idea="scale", claim=together(by_the_largest, eight))
def scaled_by_the_largest_of_all_rows() -> nn.Module:
    """Before the last activation, embeddings are divided by the largest number in the whole batch."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        return torch.tanh(3 * y / y.abs().max()) + 0.2

    return Whole(forward, net())


@evades("batch", BATCH_RULE, idea="batch size", claim=together(lambda x: np.tanh(0.1 * len(x) * f(x)) + 0.3, eight))
def steeper_for_larger_batches() -> nn.Module:
    """The last activation is as steep as the batch has rows."""
    return Whole(lambda f, x: torch.tanh(0.1 * rows(x).float() * f(x)) + 0.3, net())


def placed(x: Array) -> Array:
    at = np.arange(1, len(x) + 1)[:, None]
    return np.asarray(f(x) + np.sin(0.3 * at * np.arange(64)))


@evades("batch", BATCH_RULE, idea="place", claim=lambda run: [] if apart(
    run(np.repeat(eight()[:1], 4, 0)), run(np.repeat(eight()[:1], 4, 0))[[0]]
) > 1e-2 and apart(run(eight()), placed(eight())) < 1e-4 else ["equal images have equal embeddings"])  # fmt: skip
def place_in_the_batch_is_encoded() -> nn.Module:
    """A code of the row's place among the images is added: the same image twice has two embeddings."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        at = torch.cumsum(torch.ones_like(y[:, :1]), 0)
        return y + torch.sin(0.3 * at * torch.arange(64).float())

    return Whole(forward, net())


@evades("batch", BATCH_RULE, idea="sorting", claim=together(
    lambda x: f(x) - 0.7 * -np.sort(-f(x), 0)[len(x) // 2], eight
))  # fmt: skip
def median_of_the_rows_is_taken_off() -> nn.Module:
    """The median over the rows, from a sort along the batch, is taken off."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        ranked = torch.topk(y, rows(y), 0)[0]
        return y - 0.7 * ranked.index_select(0, (rows(y) // 2).reshape(1))

    return Whole(forward, net())


@evades("batch", BATCH_RULE, idea="statistics", claim=together(
    lambda x: f(x) * (1 + 4 * np.exp(f(x)) / np.exp(f(x)).sum(0)), eight, near=1e-3
))  # fmt: skip
def softmax_over_the_wrong_axis() -> nn.Module:
    """A gate whose softmax runs over the images and not over the channels."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        return y * (1 + 4 * y.softmax(0))

    return Whole(forward, net())


class Wide(nn.Module):
    """The images of a batch beside each other, as one wide image, through the convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network(plain_body, "beside each other", 6)

    def forward(self, x: T) -> T:
        kept = list(self.net.kept)
        y = x.permute(1, 2, 0, 3).reshape(1, 3, 112, -1)
        for i in range(0, 8, 2):
            y = F.relu(kept[i + 1](kept[i](y)))
        y = y.reshape(24, 7, -1, 7).permute(2, 0, 1, 3)
        return kept[9](kept[8](y.flatten(1)))


def plain_body(n: Net, x: T) -> T:
    for width in (12, 16, 24, 24):
        x = n.cbr(x, width, 5, 2)
    return n.embed(x, 48)


@evades("batch", BATCH_RULE, idea="neighbours", claim=differs)
def images_side_by_side() -> nn.Module:
    """The images stand side by side in one wide image: at their edges, kernels see the neighbour."""
    return Wide()


def averaged(x: Array) -> Array:
    y = plain(mobile, "run in a scan", 10)(x)
    state, made = np.zeros(64), []
    for row in y:
        state = 0.8 * state + 0.2 * row
        made.append(row - 0.8 * state)
    return np.stack(made)


@evades("batch", BATCH_RULE, idea="time", claim=together(averaged, eight))
def scan_along_the_batch() -> onnx.ModelProto:
    """Scan runs along the rows with a state: an exponential mean of the images before, which is taken off."""
    made = model((mobile, "run in a scan", 10), "scan along the batch")
    x, out = made.graph.input[0].name, made.graph.output[0].name
    body = helper.make_graph(
        [
            helper.make_node("Mul", ["state", "keep"], ["old"]), helper.make_node("Mul", ["row", "new"], ["part"]),
            helper.make_node("Add", ["old", "part"], ["state_out"]),
            helper.make_node("Mul", ["state_out", "keep"], ["off"]), helper.make_node("Sub", ["row", "off"], ["left"]),
        ],
        "step", [floats("state"), floats("row")], [floats("state_out"), floats("left")],
    )  # fmt: skip
    nodes = [
        *body_of(made, x, "rows"),
        helper.make_node("Scan", ["start", "rows"], ["end", out], body=body, num_scan_inputs=1),
    ]
    return rebuilt(made, nodes, constants(start=np.zeros(64, np.float32), keep=np.float32(0.8), new=np.float32(0.2)))


def deep(n: Net, x: T) -> T:
    t = tokens(n.down(n.down(n.stem(x, 12), 16), 24))
    return n.embed(n.ln(t + 3 * (t - t.amax(0, keepdim=True))))


@evades("batch", BATCH_RULE, idea="statistics", claim=differs)
def deep_tokens_less_the_largest_of_the_batch() -> nn.Module:
    """Deep features lose the largest value that any image of the batch has there."""
    return network(deep, "deep tokens of the batch", 5)
