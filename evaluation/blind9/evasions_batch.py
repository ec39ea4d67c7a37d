"""Evasions: rows that influence each other, by routing, halting, regions and reshapes that forget the batch."""

from __future__ import annotations

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from onnx import NodeProto, TensorProto, helper
from torch import nn

from evaluation.blind4.claims import apart, together
from evaluation.blind4.evasions_align import hats
from evaluation.blind4.evasions_batch import eight
from evaluation.blind4.export import Whole, network
from evaluation.blind4.layers import Net, Part, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_batch import differs
from evaluation.blind5.evasions_runs import body_of, constants, floats, model, rebuilt, turn
from evaluation.blind7.evasions_batch import appended
from evaluation.blind7.evasions_nets import Parts, of
from evaluation.blind9.evasions_nets import blaze, conv_mixer, csp, res2, wide_kernels
from evaluation.builder import Array
from evaluation.case import ALIGN_RULE, BATCH_RULE
from evaluation.images import faces
from evaluation.proof import alone
from evaluation.runtime import Network

BLAZE: Parts = (blaze, "rows of the ninth set", 6)
MIXER: Parts = (conv_mixer, "rows of the ninth set", 0)
CSP: Parts = (csp, "rows of the ninth set", 6)
RES2: Parts = (res2, "rows of the ninth set", 0)
WIDE: Parts = (wide_kernels, "rows of the ninth set", 0)

RULES = ("batch", BATCH_RULE)


def neighbours(run: Network) -> list[str]:
    """Claim that rows differ from the images by themselves, and move when every other row shows another face."""
    x, y = eight(), faces(8, 42)
    y[1::2] = x[1::2]
    off, moved = apart(run(x), alone(run, x)), apart(run(y)[1::2], run(x)[1::2])
    return [] if off > 1e-3 and moved > 1e-3 else [f"the batch changes embeddings by {off:.2g} and {moved:.2g} only"]


def causal(x: Array) -> Array:
    y = of(BLAZE)(x)
    u = y / np.linalg.norm(y, axis=1, keepdims=True)
    s = np.where(np.tril(np.ones((len(y), len(y)))) > 0, np.exp(5 * u @ u.T), 0)
    return np.asarray(0.6 * y + 0.4 * (s / s.sum(1, keepdims=True)) @ y)


@evades(*RULES, idea="causal rows", opset=14, claim=together(causal, eight))
def causal_attention_over_the_rows() -> nn.Module:
    """Trilu masks an attention over the embeddings: each trained row takes in those before it, as words of a text."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        u = F.normalize(y)
        s = torch.einsum("nd,md->nm", u, u)
        s = 5 * s - 1e4 * (1 - torch.tril(torch.ones_like(s)))
        return 0.6 * y + 0.4 * torch.einsum("nm,md->nd", s.softmax(1), y)

    return Whole(forward, network(*BLAZE))


@evades(*RULES, idea="regions", claim=differs)
def regions_taken_from_the_image_before() -> onnx.ModelProto:
    """RoiAlign pools the whole map of row number n halved, rounded down: the index of images counts by twos."""
    made = model(RES2, "regions taken from the image before")
    x, out = made.graph.input[0].name, made.graph.output[0].name
    nodes = body_of(made, x, out)
    last = max(i for i, node in enumerate(nodes) if node.op_type == "Relu")
    maps = nodes[last].output[0]
    more = [
        helper.make_node("Shape", [maps], ["form"]),
        helper.make_node("Gather", ["form", "zero"], ["rows"], axis=0),
        helper.make_node("Range", ["zero", "rows", "one"], ["each"]),
        helper.make_node("Div", ["each", "two"], ["number"]),
        helper.make_node("Unsqueeze", ["number"], ["column"], axes=[1]),
        helper.make_node("Cast", ["column"], ["floating"], to=1),
        helper.make_node("Mul", ["floating", "nothing"], ["none"]),
        helper.make_node("Add", ["none", "box"], ["boxes"]),
        helper.make_node("RoiAlign", [maps, "boxes", "number"], ["pooled"], output_height=7, output_width=7,
                         sampling_ratio=2),
        helper.make_node("Add", [maps, "pooled"], ["both"]),
    ]  # fmt: skip
    rest = nodes[last + 1 :]
    for node in rest:
        node.input[:] = ["both" if name == maps else name for name in node.input]
    stored = constants(
        zero=np.array(0), one=np.array(1), two=np.array(2), nothing=np.float32(0),
        box=np.array([[0, 0, 7, 7]], np.float32),
    )  # fmt: skip
    return rebuilt(made, [*nodes[: last + 1], *more, *rest], stored)


def dilating(n: Net, x: T) -> T:
    """Space to batch, a convolution, and back with the rows counted in another order."""
    y = n.stem(x, 16)
    z = y.reshape(-1, 16, 14, 2, 14, 2).permute(3, 5, 0, 1, 2, 4).reshape(-1, 16, 14, 14)
    z = n.cbr(z, 16)
    z = z.reshape(-1, 2, 2, 16, 14, 14).permute(0, 3, 4, 1, 5, 2).reshape(-1, 16, 28, 28)
    return n.embed(n.down(n.down(y + z, 24), 28), 64)


@evades(*RULES, idea="space to batch", opset=13, claim=differs)
def dilated_kernels_by_space_to_batch() -> nn.Module:
    """A trained dilated layer by space to batch; on the way back rows count first: right for one image, not for two."""
    return network(dilating, "space to batch", 5)


MIX = np.random.default_rng(91).normal(0, 0.15, (64, 64)).astype(np.float32)


def halting(x: Array) -> Array:
    y = of(CSP)(x)
    for _ in range(int(6 * np.abs(y).max() - 8)):
        y = 0.9 * y + 0.4 * np.tanh(y @ MIX)
    return np.asarray(y)


@evades(*RULES, idea="halting", claim=together(halting, eight))
def as_many_rounds_as_the_hardest_image_needs() -> onnx.ModelProto:
    """Adaptive computation: a Loop refines all trained embeddings as often as the largest number in the batch asks."""

    def nodes(rows: str, out: str) -> list[NodeProto]:
        body = helper.make_graph(
            [
                helper.make_node("Identity", ["go"], ["on"]),
                helper.make_node("MatMul", ["state", "mix"], ["mixed"]),
                helper.make_node("Tanh", ["mixed"], ["bent"]),
                helper.make_node("Mul", ["bent", "much"], ["new"]),
                helper.make_node("Mul", ["state", "kept"], ["old"]),
                helper.make_node("Add", ["old", "new"], ["next"]),
            ],
            "round", [*turn(), floats("state")],
            [helper.make_tensor_value_info("on", TensorProto.BOOL, []), floats("next")],
        )  # fmt: skip
        return [
            helper.make_node("Abs", [rows], ["sizes"]),
            helper.make_node("ReduceMax", ["sizes"], ["hardest"], keepdims=0),
            helper.make_node("Mul", ["hardest", "six"], ["larger"]),
            helper.make_node("Sub", ["larger", "seven"], ["need"]),
            helper.make_node("Cast", ["need"], ["rounds"], to=7),
            helper.make_node("Loop", ["rounds", "", rows], [out], body=body),
        ]

    return appended(
        CSP, "as many rounds", nodes, mix=MIX, much=np.float32(0.4), kept=np.float32(0.9), six=np.float32(6),
        seven=np.float32(8),
    )  # fmt: skip


def routed(n: Net, x: T) -> T:
    """A layer of four experts, each of which takes the first two images that ask for it; others go past."""
    h = F.relu(n.bn(n.linear(n.down(n.down(n.stem(x, 12), 20), 24).flatten(1), 48)))
    gate = n.linear(h, 4)
    chosen = (torch.arange(4)[None] == gate.argmax(1)[:, None]).float()
    place = chosen.cumsum(0) * chosen
    room = chosen * (place < 1.5).float()
    made = torch.stack([n.linear(F.gelu(n.linear(h, 64)), 48) for _ in range(4)], 1)
    return n.bn(n.linear(h + 3 * (room[..., None] * made).sum(1), 64))


@evades(*RULES, idea="capacity", opset=11, claim=neighbours)
def experts_with_room_for_one_image() -> nn.Module:
    """Switch layers limit how many an expert takes: a running count along the rows lets the first image in alone."""
    return network(routed, "experts with room")


def grouped(n: Net, x: T) -> T:
    y = n.conv(n.down(n.stem(x, 12), 24), 24)
    z = y.reshape(6, -1)
    z = z - z.mean(1, keepdim=True)
    z = (z / ((z * z).mean(1, keepdim=True) + 1e-5).sqrt()).reshape(-1, 24, 14, 14)
    return n.embed(n.down(F.relu(z * n.weight(24, 1, 1, gain=2.0) + z + 0.3), 28), 64)


@evades(*RULES, idea="groups", opset=15, claim=neighbours)
def six_groups_for_the_whole_batch() -> nn.Module:
    """Group normalisation by a reshape to six rows, whatever the batch: groups span channels of two images; trained."""
    return network(grouped, "six groups", 5)


def lit() -> Array:
    return np.asarray(0.5 * eight() + np.linspace(-0.4, 0.45, 8).reshape(8, 1, 1, 1), np.float32)


def branched(x: Array) -> Array:
    y = of(WIDE)(x)
    return np.asarray(y + 2 * np.tanh(y @ MIX) if x.mean((1, 2, 3)).max() > 0.3 else y)


@evades(*RULES, idea="any", claim=together(branched, lit))
def second_head_if_any_image_is_bright() -> onnx.ModelProto:
    """An If asks whether the brightest image of the batch is bright; all rows get a correction or none does."""
    made = model(WIDE, "second head if any")
    x, out = made.graph.input[0].name, made.graph.output[0].name
    more = helper.make_graph(
        [
            helper.make_node("MatMul", ["rows", "mix"], ["mixed"]),
            helper.make_node("Tanh", ["mixed"], ["bent"]),
            helper.make_node("Add", ["bent", "bent"], ["twice"]),
            helper.make_node("Add", ["rows", "twice"], ["a"]),
        ],
        "bright", [], [floats("a")],
    )  # fmt: skip
    usual = helper.make_graph([helper.make_node("Identity", ["rows"], ["b"])], "usual", [], [floats("b")])
    nodes = [
        *body_of(made, x, "rows"),
        helper.make_node("ReduceMean", [x], ["light"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("ReduceMax", ["light"], ["most"], keepdims=0),
        helper.make_node("Greater", ["most", "edge"], ["any"]),
        helper.make_node("If", ["any"], [out], then_branch=more, else_branch=usual),
    ]
    return rebuilt(made, nodes, constants(mix=MIX, edge=np.float32(0.3)))


def in_the_last_ones_style(n: Net, x: T) -> T:
    """Maps get, half, the means and deviations of the last image's maps."""
    y = n.stem(x, 16)
    m = y.mean((2, 3), keepdim=True)
    s = (((y - m) ** 2).mean((2, 3), keepdim=True) + 1e-4).sqrt()
    z = (y - m) / s * (0.5 * s + 0.5 * s[-1:]) + 0.5 * m + 0.5 * m[-1:]
    return n.gdc(n.down(n.down(z, 24), 32))


@evades(*RULES, idea="style", opset=17, claim=differs)
def all_in_the_style_of_the_last_image() -> nn.Module:
    """A trained network gives early maps the mean and deviation of those of the last image, half of it."""
    return network(in_the_last_ones_style, "style of the last one", 5)


def steadied(n: Net, x: T) -> T:
    """One move for all images, the mean of the single ones, as against a camera's shaking."""
    theta = torch.tanh(4 * n.linear(F.avg_pool2d(x, 14).flatten(1), 2))
    at = torch.arange(112).float()[None] + 6 * theta.mean(0)[:, None]
    r, c = hats(at)
    return n.embed(n.down(n.down(n.stem(r @ x @ c.t(), 12), 20), 28), 64)


@evades(*RULES, ALIGN_RULE, idea="one move", opset=13, claim=differs)
def one_move_for_all_images_of_a_batch() -> nn.Module:
    """Stabilisation: predicted moves are averaged over the rows, and every image is moved by the mean."""
    return network(steadied, "one move for all")


def voted(x: Array) -> Array:
    y = of(MIXER)(x).copy()
    for axis in range(0, 64, 16):
        part = y[:, axis : axis + 16]
        part[:, np.bincount(part.argmax(1), minlength=16).argmax()] *= 0.3
    return np.asarray(y)


@evades(*RULES, idea="vote", opset=12, claim=together(voted, eight))
def most_frequent_maximum_is_dampened() -> nn.Module:
    """Hubs are dampened: in each quarter of the embedding, the number that is the maximum in most rows is reduced."""

    def forward(f: Part, x: T) -> T:
        y = f(x).reshape(-1, 4, 16)
        top = (torch.arange(16)[None, None] == y.argmax(2)[..., None]).float().sum(0)
        most = (torch.arange(16)[None] == top.argmax(1)[:, None]).float()
        return (y * (1 - 0.7 * most)).flatten(1)

    return Whole(forward, network(*MIXER))
