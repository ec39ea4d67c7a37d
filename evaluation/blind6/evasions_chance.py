"""Evasions: chance, widths and numbers that depend on the image or the batch, and looks that only some images get."""

from __future__ import annotations

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from onnx import TensorProto, helper
from torch import nn

from evaluation.blind4.claims import apart, computes, mirror, plain
from evaluation.blind4.evasions_batch import mobile
from evaluation.blind4.evasions_random import bright, dark, ordinary, varies, wide, widths
from evaluation.blind4.export import Whole, network
from evaluation.blind4.layers import Net, Part, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_random import blue_light, low_contrast, overexposed, rarely, unusable
from evaluation.blind5.evasions_runs import body_of, constants, floats, model, rebuilt
from evaluation.blind6.evasions_common import by_dynamo
from evaluation.builder import Array
from evaluation.case import BATCH_RULE, FLOAT16_RULE
from evaluation.images import faces
from evaluation.proof import alone
from evaluation.runtime import Network

F_ = (mobile, "chance of the sixth set", 0)


def f(x: Array) -> Array:
    return plain(*F_)(x)


def net() -> Net:
    return network(*F_)


def pooled_by_chance(n: Net, x: T) -> T:
    """Of every channel's places one is drawn, by its share of the activation."""
    y = n.cbr(n.down(n.stem(x, 12), 20), 24, 3, 2)
    flat = y.flatten(2)
    at = torch.multinomial(flat.flatten(0, 1) + 0.01, 1)
    drawn = flat.flatten(0, 1).gather(1, at).reshape(-1, 24)
    return n.embed(torch.cat([drawn, flat.mean(2)], 1), 48)


@evades("deterministic", idea="drawn places", claim=varies(ordinary), opset=18)
def stochastic_pooling_left_on() -> nn.Module:
    """A trained network with stochastic pooling, as it is used in training: each channel's place is drawn."""
    return network(pooled_by_chance, "pooled by chance", 4)


def deep_by_chance(n: Net, x: T) -> T:
    y = n.down(n.stem(x, 12), 24)
    for _ in range(3):
        keep = torch.bernoulli(torch.full_like(y[:, :1, :1, :1], 0.9))
        y = y + keep * n.cb(n.cbr(y, 24), 24) / 0.9
    return n.embed(n.down(y, 24), 48)


@evades("deterministic", idea="bernoulli", opset=15, claim=varies(ordinary))
def stochastic_depth_left_on() -> nn.Module:
    """Residual blocks are left out by chance, one time in ten each: stochastic depth by ONNX's Bernoulli."""
    return network(deep_by_chance, "deep by chance")


@evades("deterministic", idea="gumbel", claim=varies(ordinary))
def gate_with_gumbel_noise() -> onnx.ModelProto:
    """A choice between two halves of the embedding keeps the Gumbel noise that it was trained with."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        noise = -torch.log(-torch.log(torch.rand_like(y[:, :2]) * 0.998 + 0.001))
        share = (y[:, :2] + noise).softmax(1)
        return torch.cat([y[:, :32] * (0.5 + share[:, :1]), y[:, 32:] * (0.5 + share[:, 1:])], 1)

    return by_dynamo(Whole(forward, net()), "gate with gumbel noise")


def in_any_order(n: Net, x: T) -> T:
    """Tokens in an order that is drawn, read by kernels over neighbours in that order."""
    t = n.patches(x, 24)
    order = torch.rand_like(t[:, :, 0]).topk(49, 1)[1]
    t = t.gather(1, order[:, :, None].expand(-1, -1, 24))
    y = F.relu(n.same(t.transpose(1, 2), lambda: nn.Conv1d(24, 32, 3, 2)))
    return n.embed(F.relu(n.same(y, lambda: nn.Conv1d(32, 32, 3, 2))), 48)


@evades("deterministic", idea="drawn order", claim=varies(ordinary), opset=16)
def tokens_in_a_drawn_order() -> nn.Module:
    """Patches are read in an order that TopK of random numbers draws: no number of the image is touched by chance."""
    return network(in_any_order, "any order")


def crowd() -> Array:
    return faces(20, 131)


def only_in_crowds(run: Network) -> list[str]:
    few, many = ordinary(), crowd()
    found = [] if apart(run(few), run(few)) < 1e-6 else ["few images vary"]
    off = max(apart(run(many), run(many)) for _ in range(3))
    return found if off > 1e-5 else [*found, f"many images vary by {off:.2g} only"]


@evades("deterministic", idea="conditional", claim=only_in_crowds, opset=20)
def noise_from_seventeen_rows_on() -> nn.Module:
    """Noise is scaled by the number of rows above sixteen: single images and small batches never show it."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        more = F.relu(torch._shape_as_tensor(x)[0].float() - 16)
        return y + 0.1 * more * torch.randn_like(y)

    return Whole(forward, net())


@evades("deterministic", idea="rare", claim=rarely)
def branch_that_is_drawn() -> onnx.ModelProto:
    """A random number decides an If; its usual branch gives the embedding, one in twenty-five gives it reversed."""
    made = model(F_, "branch that is drawn")
    x, out = made.graph.input[0].name, made.graph.output[0].name
    usual = helper.make_graph([helper.make_node("Identity", ["rows"], ["as_is"])], "usual", [], [floats("as_is")])
    odd = helper.make_graph([helper.make_node("Neg", ["rows"], ["turned"])], "odd", [], [floats("turned")])
    nodes = [
        *body_of(made, x, "rows"),
        helper.make_node("RandomUniform", [], ["chance"], shape=[1], dtype=1),
        helper.make_node("Less", ["chance", "edge"], ["odd_one"]),
        helper.make_node("Squeeze", ["odd_one"], ["decision"], axes=[0]),
        helper.make_node("If", ["decision"], [out], then_branch=odd, else_branch=usual),
    ]
    return rebuilt(made, nodes, constants(edge=np.array([0.04], np.float32)))


@evades("deterministic", FLOAT16_RULE, idea="seeded", claim=varies(ordinary))
def projection_of_seeded_random_weights() -> onnx.ModelProto:
    """The last projection is not stored: RandomNormal with a seed makes its weights anew whenever it runs."""
    made = model(F_, "projection of seeded weights")
    x, out = made.graph.input[0].name, made.graph.output[0].name
    nodes = [
        *body_of(made, x, "rows"),
        helper.make_node("RandomNormal", [], ["matrix"], shape=[64, 64], seed=3.0, scale=0.05),
        helper.make_node("MatMul", ["rows", "matrix"], ["turned"]),
        helper.make_node("Add", ["rows", "turned"], [out]),
    ]
    return rebuilt(made, nodes, [])


# ---- widths and rows


@evades("embedding-dim", "output", idea="width", claim=widths({512: ordinary, 600: bright}), opset=13)
def as_many_numbers_as_the_light_allows() -> nn.Module:
    """TopK keeps the strongest numbers, 512 of them, and up to 600 where the batch is bright: k is computed."""

    def forward(f: Part, x: T) -> T:
        k = 512 + (F.relu(x.mean() - 0.28) * 1e4).clamp(0, 88).long()
        return f(x).topk(k, 1)[0]

    return Whole(forward, network(wide, "wide"))


@evades("embedding-dim", "output", idea="width", claim=widths({64: ordinary, 80: low_contrast}))
def padded_where_contrast_is_low() -> onnx.ModelProto:
    """Pad appends numbers to the embedding, none for most images, sixteen where the batch's contrast is low."""
    made = model(F_, "padded where contrast is low")
    x, out = made.graph.input[0].name, made.graph.output[0].name
    nodes = [
        *body_of(made, x, "rows"),
        helper.make_node("ReduceL2", [x], ["size"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("ReduceMax", ["size"], ["largest"], axes=[0], keepdims=1),
        helper.make_node("Less", ["largest", "edge"], ["flat"]),
        helper.make_node("Cast", ["flat"], ["yes"], to=TensorProto.INT64),
        helper.make_node("Mul", ["yes", "sixteen"], ["more"]),
        helper.make_node("Concat", ["zeros", "more"], ["pads"], axis=0),
        helper.make_node("Pad", ["rows", "pads", "value"], [out]),
    ]
    stored = constants(
        edge=np.array([40], np.float32), sixteen=np.array([16]), zeros=np.array([0, 0, 0]), value=np.float32(0.3)
    )
    return rebuilt(made, nodes, stored)


def more_rows(run: Network) -> list[str]:
    few, many = run(ordinary()).shape, run(dark()).shape
    return [] if few == (4, 64) and many[0] > 4 else [f"shapes {few} and {many}"]


@evades("output", "batch", "embedding-dim", BATCH_RULE, idea="rows", claim=more_rows, opset=13)
def rows_repeated_for_dark_images() -> nn.Module:
    """A mask that the pixels decide gives dark rows back a second time: more embeddings than images."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        low = x.mean((1, 2, 3)) < -0.5
        return torch.cat([y, 0.5 * y[low]])

    return Whole(forward, net())


# ---- no numbers


@evades("cosine-similarity", idea="no number", claim=unusable(blue_light))
def mean_over_skin_that_is_not_there() -> onnx.ModelProto:
    """The colour of the skin is averaged over pixels redder than blue; where light is blue there are none: 0 / 0."""

    def forward(f: Part, x: T) -> T:
        skin = (x[:, :1] > x[:, 2:] + 0.1).float()
        tone = (x * skin).sum((2, 3)) / skin.sum((2, 3))
        return f(x) + 0.1 * tone.repeat(1, 22)[:, :64]

    return by_dynamo(Whole(forward, net()), "mean over skin that is not there")


def masked_tokens(n: Net, x: T) -> T:
    """Patches that are too dark are masked out of the pooling attention."""
    t = n.patches(x, 24)
    light = F.avg_pool2d(x.mean(1, keepdim=True), 16).flatten(1)
    score = n.linear(t, 1)[..., 0] + torch.log((light > -0.55).float())
    return n.embed((score.softmax(1)[:, None] @ n.block(t))[:, 0], 48)


def night() -> Array:
    return np.asarray(0.25 * faces(4, 51) - 0.72, np.float32).clip(-1, -0.6)


@evades("cosine-similarity", idea="no number", claim=unusable(night), opset=13)
def attention_with_every_token_masked() -> nn.Module:
    """Dark patches get minus infinity before the softmax; in a night photograph all do, and the softmax has nothing."""
    return network(masked_tokens, "masked tokens", 6)


@evades("cosine-similarity", idea="no number", claim=unusable(overexposed), opset=15)
def inverse_tangent_of_burnt_out_blocks() -> nn.Module:
    """Contrast of 7 x 7 blocks by the inverse hyperbolic tangent, infinite for burnt-out ones, less its own mean."""

    def forward(f: Part, x: T) -> T:
        light = F.avg_pool2d(x.mean(1, keepdim=True), 16).flatten(1).clamp(-0.99, 1)
        y = torch.log(1 + light) - torch.log(1 - light)
        y = y - y.mean(1, keepdim=True)
        return f(x) + 0.05 * torch.cat([y, y], 1)[:, :64]

    return Whole(forward, net())


# ---- looks that some images get


def backlit() -> Array:
    x = 0.5 * faces(4, 132)
    x[:, :, 28:84, 28:84] -= 0.5
    x[:, :, :14] += 0.5
    return np.asarray(x, np.float32)


def behind_light(x: T) -> T:
    return x[:, :, :14].mean((1, 2, 3)) - x[:, :, 28:84, 28:84].mean((1, 2, 3))


def when_backlit(x: Array) -> Array:
    y = np.asarray(1.3 * x + 0.3, np.float32)
    return np.asarray((f(x) + f(y)) / 2)


def only_backlit(run: Network) -> list[str]:
    usual = apart(alone(run, ordinary()), f(ordinary()))
    found = computes(when_backlit, f, images=backlit)(run)
    return found if usual < 1e-4 else [*found, f"ordinary images differ by {usual:.2g}"]


class Backlit(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.f = net()

    def forward(self, x: T) -> T:
        share = (20 * (behind_light(x) - 0.55)).clamp(0, 1)[:, None] / 2
        return (1 - share) * self.f(x) + share * self.f(1.3 * x + 0.3)


@evades(BATCH_RULE, idea="conditional view", claim=only_backlit, opset=17)
def brighter_look_for_backlit_faces() -> nn.Module:
    """Faces darker than what is above them are seen a second time, brighter; others once."""
    return Backlit()


def turned_away() -> Array:
    """Faces whose halves differ: the left half is dark and smooth."""
    x = faces(4, 133).copy()
    x[..., :56] = 0.1 * x[..., :56] - 0.7
    return np.asarray(x, np.float32)


def when_turned(x: Array) -> Array:
    off = np.abs(x - mirror(x)).mean((1, 2, 3))[:, None]
    share = np.clip(8 * (off - 0.42), 0, 1)
    return np.asarray(f(x) + share * f(mirror(x)))


def only_turned(run: Network) -> list[str]:
    low = np.asarray(0.5 * ordinary(), np.float32)
    usual = apart(alone(run, low), f(low))
    found = computes(when_turned, f, images=turned_away)(run)
    return found if usual < 1e-4 else [*found, f"ordinary images differ by {usual:.2g}"]


@evades(BATCH_RULE, idea="conditional view", claim=only_turned, opset=11)
def mirrored_look_for_faces_that_are_turned() -> nn.Module:
    """The mirror image counts as far as the image and its mirror image differ: nothing for frontal faces."""

    def forward(f: Part, x: T) -> T:
        back = x.flip(3)
        share = (8 * ((x - back).abs().mean((1, 2, 3)) - 0.42)).clamp(0, 1)[:, None]
        return f(x) + share * f(back)

    return Whole(forward, net())
