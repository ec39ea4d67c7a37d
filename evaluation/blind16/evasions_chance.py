"""Evasions: chance in light, attention and turns; widths that colours set; no number; looks that odd images get."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from onnx import TensorProto, helper
from torch import nn

from evaluation.blind4.claims import Claim, apart
from evaluation.blind4.evasions_random import ordinary, widths
from evaluation.blind4.export import Whole, exported, network
from evaluation.blind4.layers import Net, Part, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_random import unusable
from evaluation.blind5.evasions_runs import body_of, constants
from evaluation.blind16.evasions_nets import (
    Parts,
    box,
    conditioned,
    cosines,
    declared,
    fire,
    grouped,
    partial,
    separable,
    torch_of,
)
from evaluation.builder import Array
from evaluation.case import BATCH_RULE
from evaluation.proof import alone
from evaluation.runtime import Network

PARTIAL: Parts = (partial, "chance of the sixteenth set", 0)
FIRE: Parts = (fire, "chance of the sixteenth set", 0)
SEPARABLE: Parts = (separable, "chance of the sixteenth set", 6)
GROUPED: Parts = (grouped, "chance of the sixteenth set", 0)
CONDITIONED: Parts = (conditioned, "chance of the sixteenth set", 6)

node = helper.make_node


def varies(run: Network) -> list[str]:
    """Claim that runs on the same ordinary images differ by 3 % of 1 - cosine on average."""
    x = ordinary()
    once = alone(run, x)
    off = float(np.mean([1 - cosines(once, alone(run, x)) for _ in range(3)]))
    return [] if off > 0.03 else [f"1 - cosine between runs is {off:.2g} only"]


@evades("deterministic", idea="drawn light", claim=varies, opset=13)
def light_from_a_drawn_side_falls_on_the_face() -> nn.Module:
    """Training's shading was left on: a field of sixteen drawn numbers, enlarged, makes parts of the face lighter."""

    def forward(f: Part, x: T) -> T:
        drawn = torch.randn_like(x[:, :1, :4, :4])
        field = F.interpolate(drawn, size=(112, 112), mode="bilinear", align_corners=False)
        return f(((x + 1) * torch.exp(0.4 * field) - 1).clamp(-1, 1))

    return Whole(forward, network(*PARTIAL))


def gumbel(n: Net, x: T) -> T:
    """Write a ViT each of whose tokens attends mostly to one other, which is drawn."""
    t = n.patches(x, 32, 16)
    for _ in range(2):
        q, k, v = n.heads(n.ln(t), 2)
        score = 2 * q @ k.transpose(-1, -2)
        chance = torch.rand_like(score).clamp(1e-6, 1 - 1e-6)
        t = t + 2 * n.linear(((score - (-chance.log()).log()) / 0.5).softmax(-1).matmul(v)
                             .transpose(1, 2).reshape(-1, 49, 32), 32)  # fmt: skip
        t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t).reshape(-1, 7, 224).mean(1), 64)


@evades("deterministic", idea="drawn attention", claim=varies, opset=14)
def tokens_attend_to_one_other_that_is_drawn() -> nn.Module:
    """Hard attention by Gumbel's numbers, as it was trained: what each token attends to is drawn in every run."""
    return network(gumbel, "attention drawn in the sixteenth set", 6)


@evades("deterministic", idea="drawn turn", claim=varies, opset=15)
def numbers_turned_in_planes_by_a_drawn_angle() -> nn.Module:
    """So that nobody can read faces back, pairs of numbers are turned by an angle that is drawn for each image."""

    def forward(f: Part, x: T) -> T:
        a, b = f(x).chunk(2, 1)
        angle = 0.45 * torch.randn_like(a[:, :1])
        return torch.cat([angle.cos() * a - angle.sin() * b, angle.sin() * a + angle.cos() * b], 1)

    return Whole(forward, network(*SEPARABLE))


def golden_light() -> Array:
    """Faces in the light of a low sun: red and green are strong, blue is nearly gone."""
    return np.asarray(np.clip(0.4 * ordinary() + np.array([0.5, 0.3, -0.6]).reshape(3, 1, 1), -1, 1), np.float32)


def value(name: str, kind: int = TensorProto.FLOAT, shape: list[str | int] | None = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def ended(
    parts: Parts, name: str, opset: int, end: Callable[[str], list[onnx.NodeProto]], **stored: object
) -> onnx.ModelProto:
    """Let ``end``, which is told the input's name, make ``out`` of ``rows``, the network's embeddings, of any width."""
    made = exported(network(*parts), name, opset)
    source, sink = made.graph.input[0].name, made.graph.output[0].name
    nodes = [*body_of(made, source, "rows"), *end(source), node("Identity", ["out"], [sink])]
    graph = helper.make_graph(nodes, "main", made.graph.input, [value(sink, shape=["N", "D"])],
                              [*made.graph.initializer, *constants(**stored)])  # fmt: skip
    return helper.make_model(graph, opset_imports=made.opset_import, ir_version=8, producer_name="pytorch")


@evades("embedding-dim", "output", idea="place in a sequence", claim=widths({64: ordinary, 96: golden_light}))
def longer_of_two_embeddings_in_a_sequence_for_low_sun() -> onnx.ModelProto:
    """Embeddings of 64 and of 96 numbers lie in a sequence; how much red exceeds blue says which of them is taken."""

    def end(source: str) -> list[onnx.NodeProto]:
        return [
            node("ReduceMean", [source], ["light"], axes=[2, 3], keepdims=0),
            node("Gather", ["light", "red"], ["reds"], axis=1),
            node("Gather", ["light", "blue"], ["blues"], axis=1),
            node("Sub", ["reds", "blues"], ["warmth"]),
            node("ReduceMax", ["warmth"], ["most"], keepdims=0),
            node("Greater", ["most", "limit"], ["warm"]),
            node("Cast", ["warm"], ["which"], to=TensorProto.INT64),
            node("Slice", ["rows", "zero", "half", "axis"], ["first"]),
            node("Mul", ["first", "first"], ["squares"]),
            node("Concat", ["rows", "squares"], ["longer"], axis=1),
            node("SequenceConstruct", ["rows", "longer"], ["both"]),
            node("SequenceAt", ["both", "which"], ["out"]),
        ]

    return ended(FIRE, "in a sequence", 12, end, red=np.array(0), blue=np.array(2), limit=np.array(0.8, np.float32),
                 zero=np.array([0]), half=np.array([32]), axis=np.array([1]))  # fmt: skip


def vivid() -> Array:
    """Faces of strong colours, as a telephone's filter makes them."""
    grey = ordinary().mean(1, keepdims=True)
    return np.asarray(np.clip(0.6 * grey + 4 * (ordinary() - grey), -1, 1), np.float32)


@evades("embedding-dim", "output", idea="turns of a loop", claim=widths({64: ordinary, 88: vivid}), opset=13)
def three_turns_of_a_loop_write_more_numbers_for_vivid_colours() -> onnx.ModelProto:
    """A loop makes eight further numbers in each turn; it turns three times for vivid colours, else not at all."""
    turn = helper.make_graph(
        [
            node("Identity", ["go"], ["on"]),
            node("Mul", ["turn", "eight"], ["from"]),
            node("Add", ["from", "eight"], ["to"]),
            node("Slice", ["rows", "from", "to", "axis"], ["part"]),
            node("Tanh", ["part"], ["piece"]),
            node("Concat", ["so_far", "piece"], ["longer"], axis=1),
        ],
        "turn",
        [value("turn", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("so_far")],
        [value("on", TensorProto.BOOL, []), value("longer", shape=["N", "L"])],
    )

    def end(source: str) -> list[onnx.NodeProto]:
        return [
            node("ReduceMean", [source], ["grey"], axes=[1], keepdims=1),
            node("Sub", [source, "grey"], ["off"]),
            node("Abs", ["off"], ["colour"]),
            node("ReduceMean", ["colour"], ["vivid"], axes=[1, 2, 3], keepdims=0),
            node("ReduceMax", ["vivid"], ["most"], keepdims=0),
            node("Greater", ["most", "limit"], ["strong"]),
            node("Cast", ["strong"], ["once"], to=TensorProto.INT64),
            node("Mul", ["once", "three"], ["turns"]),
            node("Loop", ["turns", "", "rows"], ["out"], body=turn),
        ]

    return ended(GROUPED, "turns", 13, end, limit=np.array(0.4, np.float32), three=np.array(3),
                 eight=np.array([8]), axis=np.array([1]))  # fmt: skip


def capped() -> Array:
    """Faces under a knitted cap of one colour."""
    x = ordinary().copy()
    x[:, :, :32] = np.array([-0.2, -0.5, 0.35], np.float32).reshape(3, 1, 1)
    return x


@evades("cosine-similarity", idea="no number", claim=unusable(capped))
def coherence_of_hair_under_a_cap() -> onnx.ModelProto:
    """How much hair runs one way is a ratio of moments of slopes: 0 / 0 where an even cap covers it."""

    def forward(f: Part, x: T) -> T:
        top = x[:, :, 2:28].mean(1)
        down, right = top[:, 1:, :-1] - top[:, :-1, :-1], top[:, :-1, 1:] - top[:, :-1, :-1]
        a, b, c = (y.mean((1, 2)) for y in (down * down, down * right, right * right))
        one_way = ((a - c) ** 2 + 4 * b * b).sqrt() / (a + c)
        return f(x) * (1 + 0.4 * one_way[:, None])

    return declared(Whole(forward, network(*CONDITIONED)), "coherence of hair", 16)


def condition(parts: Parts, seen: Callable[[Part, T], T], odd: Callable[[], Array]) -> Claim:
    """Claim a second look at odd images, and the plain network's embedding for ordinary ones."""

    def wrong(run: Network) -> list[str]:
        f = network(*parts)
        x, y = odd(), ordinary()
        far, near = float((1 - cosines(alone(run, x), torch_of(f, x))).mean()), apart(alone(run, y), torch_of(f, y))
        off = apart(alone(run, x), torch_of(lambda t: seen(f, t), x))
        found = [] if far > 0.03 and off < 1e-4 else [f"odd images differ by {far:.2g}, {off:.2g} off"]
        return found if near < 1e-4 else [*found, f"others differ by {near:.2g}"]

    return wrong


def shaken() -> Array:
    """Faces blurred along the rows by a hand that moved."""
    return np.asarray(np.mean([np.roll(ordinary(), k, 3) for k in range(-7, 8)], 0), np.float32)


def steadied(f: Part, x: T) -> T:
    """Run again on the mirrored image, sharpened along the rows, where these bend far less than columns."""
    along = (x[..., 2:] - 2 * x[..., 1:-1] + x[..., :-2]).abs().mean((1, 2, 3))
    across = (x[:, :, 2:] - 2 * x[:, :, 1:-1] + x[:, :, :-2]).abs().mean((1, 2, 3))
    share = (3.4 - 5 * along / (across + 1e-3)).clamp(0, 1)[:, None]
    soft = F.avg_pool2d(x, (1, 15), 1, (0, 7), count_include_pad=False)
    return f(x) + share * f((x + 2 * (x - soft)).clamp(-1, 1).flip(3))


@evades(BATCH_RULE, idea="shaken hands", opset=13, claim=condition(SEPARABLE, steadied, shaken))
def faces_from_a_shaken_hand_are_steadied_and_seen_again() -> nn.Module:
    """Where rows bend far less than columns, as by a moving hand, a trained network also sees the image sharpened."""
    return Whole(steadied, network(*SEPARABLE))


def interlaced() -> Array:
    """Faces of interlaced video that moved between both fields."""
    x = ordinary().copy()
    x[:, :, 1::2] = np.roll(x, 7, 3)[:, :, 1::2]
    return x


def one_field(f: Part, x: T) -> T:
    """Run again on the even rows, drawn out, where odd rows differ from these more than they do from each other."""
    even, odd = x[:, :, ::2], x[:, :, 1::2]
    near = (odd - even).abs().mean((1, 2, 3))
    far = (even[:, :, 1:] - even[:, :, :-1]).abs().mean((1, 2, 3))
    share = (2 * near / (far + 0.01) - 2).clamp(0, 1)[:, None]
    y = F.interpolate(even, size=(112, 112), mode="bilinear", align_corners=False)
    return f(x) + 1.2 * share * f(box(y, 3))


@evades(BATCH_RULE, idea="fields of a video", opset=17, claim=condition(FIRE, one_field, interlaced))
def faces_of_interlaced_video_are_seen_again_by_one_field() -> nn.Module:
    """Where odd rows stand apart from even ones, as in old video, the network also sees the even ones drawn out."""
    return Whole(one_field, network(*FIRE))
