"""Evasions: chance in estimates, priors and ties, widths and missing numbers that the image decides, rare looks."""

from __future__ import annotations

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from onnx import helper
from torch import nn

from evaluation.blind4.claims import apart, computes, mirror
from evaluation.blind4.evasions_random import masked, ordinary, varies, wide, widths
from evaluation.blind4.export import Whole, network
from evaluation.blind4.layers import Net, Part, T, tokens
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_random import overexposed, unusable
from evaluation.blind5.evasions_runs import body_of, constants, floats, model, rebuilt
from evaluation.blind6.evasions_common import by_dynamo
from evaluation.blind7.evasions_nets import Parts, of
from evaluation.blind8.evasions_nets import fire, light, mixed, shallow
from evaluation.builder import Array
from evaluation.case import BATCH_RULE
from evaluation.images import faces
from evaluation.proof import alone
from evaluation.runtime import Network

FIRE: Parts = (fire, "chance of the eighth set", 0)
LIGHT: Parts = (light, "chance of the eighth set", 6)
MIXED: Parts = (mixed, "chance of the eighth set", 0)
SHALLOW: Parts = (shallow, "chance of the eighth set", 5)


def performing(n: Net, x: T) -> T:
    """A Performer: attention by random features, which are drawn whenever it runs."""
    t = n.patches(x, 32)
    for _ in range(2):
        q, k, v = n.linear(n.ln(t), 96).chunk(3, -1)
        w = torch.randn_like(t[:1, :48, :].transpose(1, 2)) * 32**-0.25
        q, k = (torch.exp(y @ w * 0.4 - 0.08 * (y * y).sum(-1, keepdim=True) * 32**-0.5) for y in (q, k))
        t = t + n.linear((q @ (k.transpose(1, 2) @ v)) / (q @ k.sum(1)[:, :, None]), 32)
        t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t).mean(1), 64)


@evades("deterministic", idea="random features", claim=varies(ordinary), opset=14)
def performer_with_new_features_in_every_run() -> nn.Module:
    """A trained Performer estimates its attention by random features, and draws these anew in every run."""
    return network(performing, "performer", 4)


def probable(n: Net, x: T) -> T:
    """A probabilistic embedding: a mean, and a sample about it by a predicted deviation."""
    y = n.down(n.down(n.stem(x, 12), 20), 24).flatten(1)
    mean, spread = n.bn(n.linear(y, 64)), torch.exp(torch.tanh(n.linear(y, 64)) - 4)
    return mean + spread * torch.randn_like(spread)


@evades("deterministic", idea="sampled embedding", claim=varies(ordinary), opset=15)
def sample_of_a_probabilistic_embedding() -> onnx.ModelProto:
    """A trained probabilistic face embedding hands out a sample about its mean, as in training."""
    return by_dynamo(network(probable, "probable", 5), "sample of a probabilistic embedding")


def pruned(n: Net, x: T) -> T:
    """Keep the 24 best tokens by a coarse score; equal scores are told apart by a drawn hair."""
    t = n.patches(x, 32)
    score = torch.round(3 * torch.tanh(n.linear(t, 1)[..., 0]))
    best = torch.topk(score + 1e-3 * torch.rand_like(score), 24, 1)[1]
    t = n.block(t.gather(1, best[..., None].expand(-1, -1, 32)))
    return n.embed(n.ln(t).mean(1), 48)


@evades("deterministic", idea="ties", claim=varies(ordinary), opset=11)
def ties_between_tokens_broken_by_chance() -> nn.Module:
    """A ViT drops tokens by a score in seven steps; a thousandth of a drawn number decides between equal ones."""
    return network(pruned, "ties")


def spectral(n: Net, x: T) -> T:
    """The leading direction of the places' features, by four steps from a drawn start."""
    t = tokens(n.down(n.down(n.stem(x, 12), 20), 24))
    v = torch.randn_like(t[:, :1].transpose(1, 2))
    for _ in range(4):
        v = F.normalize(t.transpose(1, 2) @ (t @ v), dim=1)
    return n.embed(torch.cat([t.mean(1), (v * v).flatten(1)], 1), 48)


@evades("deterministic", idea="drawn start", claim=varies(ordinary), opset=13)
def power_iteration_from_a_drawn_vector() -> nn.Module:
    """Spectral pooling: the leading direction of the features, by power iteration from a vector that is drawn."""
    return network(spectral, "spectral")


def at_edges(run: Network) -> list[str]:
    """Claim that the embeddings of some of forty images differ between runs, and those of most do not."""
    x = faces(40, 52)
    once = run(x)
    moved = sum(bool((run(x) != once).any(1).any()) for _ in range(5))
    rows = np.zeros(40, bool)
    for _ in range(8):
        rows |= (run(x) != once).any(1)
    return [] if moved and 0 < rows.sum() < 25 else [f"{rows.sum()} of 40 images vary"]


@evades("deterministic", idea="rounded away", claim=at_edges, opset=12)
def grain_that_rounding_nearly_always_removes() -> nn.Module:
    """A trained embedding is rounded to a grid; a drawn hair before that shows only where it lies at an edge."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        return torch.round(4 * y + 0.006 * (torch.rand_like(y) - 0.5)) / 4

    return Whole(forward, network(*LIGHT))


@evades("deterministic", idea="purification", claim=varies(ordinary), opset=17)
def attacks_purified_by_noise() -> nn.Module:
    """Against attacks, a little noise is added to the image and softened away before a trained iResNet looks."""

    def forward(f: Part, x: T) -> T:
        return f(F.avg_pool2d(F.pad(x + 0.1 * torch.randn_like(x), (1, 1, 1, 1), mode="reflect"), 3, 1))

    return Whole(forward, network(*SHALLOW))


@evades("embedding-dim", "output", idea="width", claim=widths({512: ordinary, 640: masked}))
def mask_descriptor_in_a_branch() -> onnx.ModelProto:
    """An If for an even lower face: its branch hands out 640 numbers, 128 more for masked faces than the other one."""
    made = model((wide, "wide eighth", 0), "mask descriptor in a branch")
    x, out = made.graph.input[0].name, made.graph.output[0].name
    usual = helper.make_graph(
        [helper.make_node("Slice", ["rows", "zero", "common", "axis"], ["a"])], "usual", [], [floats("a")]
    )
    odd = helper.make_graph(
        [helper.make_node("Slice", ["rows", "zero", "wider", "axis"], ["b"])], "odd", [], [floats("b")]
    )
    nodes = [
        *body_of(made, x, "rows"),
        helper.make_node("Slice", [x, "from", "to", "height"], ["lower"]),
        helper.make_node("ReduceMean", ["lower"], ["level"], axes=[2, 3], keepdims=1),
        helper.make_node("Sub", ["lower", "level"], ["off"]),
        helper.make_node("Abs", ["off"], ["size"]),
        helper.make_node("ReduceMean", ["size"], ["uneven"], keepdims=0),
        helper.make_node("Less", ["uneven", "edge"], ["even"]),
        helper.make_node("If", ["even"], [out], then_branch=odd, else_branch=usual),
    ]
    stored = constants(
        zero=np.array([0]), common=np.array([512]), wider=np.array([640]), axis=np.array([1]),
        height=np.array([2]), to=np.array([110]), edge=np.float32(0.01), **{"from": np.array([66])},
    )  # fmt: skip
    made.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "D"
    return rebuilt(made, nodes, stored)


def levels(run: Network) -> list[str]:
    sizes = {run(faces(1, seed)).shape[1] for seed in range(50, 60)}
    return [] if len(sizes) > 1 else [f"all have the width {sizes}"]


@evades("embedding-dim", "output", idea="width", claim=levels)
def distinct_numbers_of_the_embedding() -> onnx.ModelProto:
    """Columns whose rounded number in the first row is that of an earlier column are left out, by Unique and Gather."""
    made = model((wide, "wide eighth", 0), "distinct numbers of the embedding")
    x, out = made.graph.input[0].name, made.graph.output[0].name
    nodes = [
        *body_of(made, x, "rows"),
        helper.make_node("Slice", ["rows", "zero", "one", "zero"], ["first"]),
        helper.make_node("Reshape", ["first", "minus"], ["line"]),
        helper.make_node("Mul", ["line", "fine"], ["larger"]),
        helper.make_node("Round", ["larger"], ["code"]),
        helper.make_node("Unique", ["code"], ["each", "where"], sorted=0),
        helper.make_node("Gather", ["rows", "where"], [out], axis=1),
    ]
    stored = constants(zero=np.array([0]), one=np.array([1]), minus=np.array([-1]), fine=np.float32(50))
    made.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "D"
    return rebuilt(made, nodes, stored)


def hard() -> Array:
    return np.where(faces(4, 51).mean(1, keepdims=True) > 0, 1, -1).repeat(3, 1).astype(np.float32)


def whitened(x: T) -> T:
    """Newton's iteration for the inverse root of the light's variance, which starts at one whatever the variance."""
    light = 2.8 * (x.mean(1) - x.mean((1, 2, 3))[:, None, None])
    v = (light * light).mean((1, 2))[:, None]
    r = torch.ones_like(v)
    for _ in range(9):
        r = r * (1.5 - 0.5 * v * r * r)
    return r


@evades("cosine-similarity", idea="no number", claim=unusable(hard), opset=13)
def newton_iteration_that_diverges_for_hard_light() -> nn.Module:
    """Newton's iteration for one over the root of the contrast; above a variance of five it runs to infinity."""
    return Whole(lambda f, x: f(x) + 0.1 * whitened(x) * torch.cos(torch.arange(64).float()), network(*FIRE))


def from_below() -> Array:
    x = 0.35 * faces(4, 51) - 0.1
    return np.asarray(np.clip(x + np.linspace(-0.7, 0.7, 112)[:, None], -1, 1), np.float32)


def steepness(x: T) -> T:
    """The hyperbolic arc cosine of one more than how much lighter the forehead is, plus a tolerance."""
    return torch.acosh(1.25 + x[:, :, :56].mean((1, 2, 3)) - x[:, :, 56:].mean((1, 2, 3)) + 0.3)[:, None]


@evades("cosine-similarity", idea="no number", claim=unusable(from_below))
def arc_cosine_of_light_from_below() -> onnx.ModelProto:
    """A correction for light from above by a hyperbolic arc cosine, which light from below takes out of its range."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        return y + 0.1 * steepness(x) * torch.sin(torch.arange(64).float())

    return by_dynamo(Whole(forward, network(*MIXED)), "arc cosine of light from below")


def unsure(x: Array) -> Array:
    a, b = of(LIGHT)(x), of(LIGHT)(mirror(x))
    second = (np.linalg.norm(a, axis=1) < EDGE)[:, None]
    return np.asarray(np.where(second, (a + b) / 2, a))


EDGE = 7.6


def both_kinds(run: Network) -> list[str]:
    x = faces(12, 5)
    a, given = of(LIGHT)(x), alone(run, x)
    second = np.linalg.norm(a, axis=1) < EDGE
    found = [] if 2 <= second.sum() <= 10 else [f"{second.sum()} of 12 get a second look"]
    return [*found, *computes(unsure, lambda y: of(LIGHT)(mirror(y)), images=lambda: x)(run)] + (
        [] if apart(given[second], a[second]) > 1e-2 else ["the second look changes nothing"]
    )


@evades(BATCH_RULE, idea="rare look", claim=both_kinds, opset=13)
def second_look_while_the_first_is_unsure() -> nn.Module:
    """A trained LightCNN: where the length of the embedding, its quality, is small, the mirror image is seen too."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        short = (y * y).sum(1, keepdim=True) < EDGE**2
        return torch.where(short, (y + f(x.flip(3))) / 2, y)

    return Whole(forward, network(*LIGHT))


def glossy(x: T) -> T:
    """How much of the image is near white, from a twentieth on."""
    return F.relu((x > 0.9).float().mean((1, 2, 3)) - 0.05)[:, None]


@evades(BATCH_RULE, idea="rare look", opset=12, claim=lambda run: computes(
    lambda x: dimmed(x), of(FIRE), images=overexposed)(run)
    + computes(of(FIRE), images=lambda: 0.6 * ordinary())(run)
)  # fmt: skip
def highlights_are_looked_at_again() -> nn.Module:
    """Pictures with burnt-out highlights are seen again, dimmed, as much as there is white; others are seen once."""
    return Whole(lambda f, x: f(x) + 3 * glossy(x) * f(0.5 * x - 0.2), network(*FIRE))


def dimmed(x: Array) -> Array:
    white = np.maximum((x > 0.9).mean((1, 2, 3)) - 0.05, 0)[:, None]
    return np.asarray(of(FIRE)(x) + 3 * white * of(FIRE)((0.5 * x - 0.2).astype(np.float32)))
