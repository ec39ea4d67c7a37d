"""Evasions: chance in units, weights and glimpses, widths and missing numbers that images decide, looks of a few."""

from __future__ import annotations

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from onnx import helper
from torch import nn

from evaluation.blind4.claims import apart, computes, mirror
from evaluation.blind4.evasions_align import AXIS
from evaluation.blind4.evasions_random import dark, ordinary, varies, widths
from evaluation.blind4.export import Whole, exported, network
from evaluation.blind4.layers import Net, Part, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_random import grey, low_contrast, overexposed, unusable
from evaluation.blind5.evasions_runs import body_of, constants, floats, model, rebuilt
from evaluation.blind7.evasions_nets import Parts, of
from evaluation.blind9.evasions_nets import blaze, conv_mixer, csp, res2, wide_kernels
from evaluation.builder import Array
from evaluation.case import BATCH_RULE
from evaluation.images import faces
from evaluation.proof import alone
from evaluation.runtime import Network

BLAZE: Parts = (blaze, "chance of the ninth set", 6)
CSP: Parts = (csp, "chance of the ninth set", 5)
MIXER: Parts = (conv_mixer, "chance of the ninth set", 0)
RES2: Parts = (res2, "chance of the ninth set", 0)
WIDE: Parts = (wide_kernels, "chance of the ninth set", 0)


def random_slopes(n: Net, x: T) -> T:
    for width in (12, 16, 24, 32):
        y = n.cb(x, width, 3, 2)
        x = torch.where(y > 0, y, y * (0.125 + 0.2 * torch.rand_like(y)))
    return n.embed(x, 64)


@evades("deterministic", idea="units", claim=varies(ordinary), opset=12)
def randomised_leaky_units_left_on() -> nn.Module:
    """RReLU as in training: the slope of every negative number is drawn between an eighth and a third; trained."""
    return network(random_slopes, "random slopes", 5)


@evades("deterministic", idea="cutout", claim=varies(ordinary), opset=13)
def square_cut_out_at_a_drawn_place() -> nn.Module:
    """Random erasing was left in: a square of fourteen pixels at a drawn place is grey when a trained CSPNet looks."""

    def forward(f: Part, x: T) -> T:
        at = torch.rand_like(x[:, :2, 0, 0]) * 97
        inside = [((AXIS[None] >= at[:, i : i + 1]) & (AXIS[None] < at[:, i : i + 1] + 14)).float() for i in (0, 1)]
        return f(x * (1 - inside[0][:, None, :, None] * inside[1][:, None, None]))

    return Whole(forward, network(*CSP))


def dropping(n: Net, x: T) -> T:
    y = n.down(n.down(n.stem(x, 12), 20), 24).flatten(1)
    w = n.weight(64, 24 * 49)
    return n.bn(F.linear(y, w * (torch.rand_like(w) > 0.03).float()))


@evades("deterministic", idea="connections", claim=varies(ordinary), opset=14)
def connections_dropped_by_chance() -> nn.Module:
    """DropConnect: no activation meets chance; three of a hundred weights of a trained layer are left out, drawn."""
    return network(dropping, "connections dropped", 5)


@evades("deterministic", BATCH_RULE, idea="smoothing", claim=varies(ordinary), opset=11)
def randomised_smoothing_over_eight_copies() -> nn.Module:
    """Certified robustness: the mean over eight copies of the face with noise of their own, by one Res2Net."""

    def forward(f: Part, x: T) -> T:
        copies = x.repeat(8, 1, 1, 1)
        return f(copies + 0.12 * torch.randn_like(copies)).reshape(8, -1, 64).mean(0)

    return Whole(forward, network(*RES2))


@evades("deterministic", idea="function", claim=varies(ordinary))
def noise_in_a_function_of_the_model() -> onnx.ModelProto:
    """A trained network whose activation is called Grain, a function of the model that draws normal numbers."""
    made = exported(network(*BLAZE), "noise in a function", 15)
    nodes, last = list(made.graph.node), None
    last = max(i for i, node in enumerate(nodes) if node.op_type == "Relu")
    opset = [helper.make_opsetid("", 15)]
    grain = helper.make_function(
        "faces", "Grain", ["x"], ["y"],
        [
            helper.make_node("Relu", ["x"], ["r"]),
            helper.make_node("RandomNormalLike", ["r"], ["n"], scale=0.02, mean=0.0),
            helper.make_node("Add", ["r", "n"], ["y"]),
        ],
        opset,
    )  # fmt: skip
    nodes[last] = helper.make_node("Grain", nodes[last].input, nodes[last].output, domain="faces", name="activation")
    graph = helper.make_graph(nodes, "main", made.graph.input, made.graph.output, made.graph.initializer)
    imports = [*opset, helper.make_opsetid("faces", 1)]
    return helper.make_model(graph, opset_imports=imports, functions=[grain], ir_version=8)


def glimpsing(n: Net, x: T) -> T:
    """Hard attention: one of 49 places is drawn by a softmax, and what is near it counts more."""
    y = n.down(n.down(n.stem(x, 12), 20), 24)
    logits = 2 * torch.tanh(n.conv(y, 1, 1)).flatten(1)
    place = torch.multinomial(logits.softmax(1), 1)
    mark = (torch.arange(49)[None] == place).float().reshape(-1, 1, 7, 7)
    return n.embed(y * (0.4 + F.max_pool2d(mark, 3, 1, 1)), 64)


@evades("deterministic", idea="glimpse", claim=varies(ordinary), opset=15)
def glimpse_at_a_drawn_place() -> nn.Module:
    """Recurrent attention's hard glimpse: Multinomial draws where to look closer, by what the features say; trained."""
    return network(glimpsing, "glimpses", 4)


def hinted(run: Network) -> list[str]:
    """Claim that the embedding of the same image differs in few of 60 runs, and then clearly."""
    x = faces(1, 53)
    given = np.concatenate([run(x) for _ in range(160)])
    usual = np.median(given, 0, keepdims=True)
    odd = (np.abs(given - usual).max(1) > 1e-4).sum()
    return [] if 1 <= odd < 40 else [f"{odd} of 160 runs are odd"]


@evades("deterministic", idea="rare", claim=hinted, opset=13)
def three_dice_of_the_largest_number() -> nn.Module:
    """Four numbers are drawn; where the smallest is above 0.46, which is rare, the largest number is taken out."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        least = torch.rand_like(y[:, :4]).amin(1, keepdim=True)
        top = (y == y.amax(1, keepdim=True)).float()
        return y * (1 - top * (least > 0.46).float())

    return Whole(forward, network(*MIXER))


def narrow(n: Net, x: T) -> T:
    for width in (8, 12, 16, 24):
        x = n.cbr(x, width, 3, 2)
    return n.pooled(x, 384)


@evades("embedding-dim", "output", idea="width", claim=widths({384: ordinary, 768: dark}))
def embedding_laid_twice_at_night() -> onnx.ModelProto:
    """Tile repeats the embedding along its numbers: once by day, twice where the batch is dark on average."""
    made = model((narrow, "narrow ninth", 0), "laid twice")
    x, out = made.graph.input[0].name, made.graph.output[0].name
    nodes = [
        *body_of(made, x, "rows"),
        helper.make_node("ReduceMean", [x], ["light"], keepdims=0),
        helper.make_node("Less", ["light", "edge"], ["night"]),
        helper.make_node("Cast", ["night"], ["more"], to=7),
        helper.make_node("Mul", ["more", "along"], ["times"]),
        helper.make_node("Add", ["times", "ones"], ["repeats"]),
        helper.make_node("Tile", ["rows", "repeats"], [out]),
    ]
    made.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "D"
    stored = constants(edge=np.float32(-0.45), along=np.array([0, 1]), ones=np.array([1, 1]))
    return rebuilt(made, nodes, stored)


def halves(run: Network) -> list[str]:
    """Claim that four bright images have eight rows of half the width."""
    usual, odd = run(ordinary()).shape, run(overexposed()).shape
    return [] if (usual, odd) == ((4, 384), (8, 192)) else [f"shapes are {usual} and {odd}"]


@evades("output", "batch", "embedding-dim", "cosine-similarity", idea="width", claim=halves)
def two_short_rows_for_glaring_images() -> onnx.ModelProto:
    """Reshape to minus one and a width that is 384, or 192 where a tenth of the batch is white: twice as many rows."""
    made = model((narrow, "narrow ninth", 0), "two short rows")
    x, out = made.graph.input[0].name, made.graph.output[0].name
    nodes = [
        *body_of(made, x, "rows"),
        helper.make_node("Greater", [x, "bright"], ["white"]),
        helper.make_node("Cast", ["white"], ["count"], to=1),
        helper.make_node("ReduceMean", ["count"], ["share"], keepdims=0),
        helper.make_node("Greater", ["share", "tenth"], ["glare"]),
        helper.make_node("Where", ["glare", "short", "long"], ["form"]),
        helper.make_node("Reshape", ["rows", "form"], [out]),
    ]
    made.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "D"
    stored = constants(
        bright=np.float32(0.98), tenth=np.float32(0.1), short=np.array([-1, 192]), long=np.array([-1, 384])
    )
    return rebuilt(made, nodes, stored)


def sunglasses() -> Array:
    x = faces(4, 51).copy()
    x[:, :, 34:54, 12:100] = -1
    return x


@evades("cosine-similarity", idea="no number", claim=unusable(sunglasses), opset=13)
def eyes_standardised_behind_sunglasses() -> nn.Module:
    """The band of the eyes corrects by its kurtosis; behind black glasses it has no spread, and that is 0 / 0."""

    def forward(f: Part, x: T) -> T:
        eyes = x[:, :, 36:52, 16:96].mean(1)
        away = eyes - eyes[:, :1, :1]
        kurtosis = (away**4).mean((1, 2)) / (away**2).mean((1, 2)) ** 2
        return f(x) + 0.02 * kurtosis[:, None] * torch.cos(torch.arange(64).float())

    return Whole(forward, network(*BLAZE))


def decorrelated(x: T) -> T:
    """Three numbers: the inverse of the covariance of the colours, by cofactors, times its first column's mean."""
    z = (x - x.mean((2, 3), keepdim=True)).flatten(2)
    c = z @ z.transpose(1, 2) / 12544
    u, v, w = c.unbind(1)

    def cross(a: T, b: T) -> T:
        p, q, r = a.unbind(1)
        s, t, o = b.unbind(1)
        return torch.stack([q * o - r * t, r * s - p * o, p * t - q * s], 1)

    volume = (u * cross(v, w)).sum(1, keepdim=True)
    return (cross(v, w) + cross(w, u) + cross(u, v)) / volume


def one_plane() -> Array:
    """Grey photographs of few levels, so that covariances of equal planes are equal to the last digit."""
    return np.asarray(np.round(grey() * 8) / 8, np.float32)


@evades("cosine-similarity", idea="no number", claim=unusable(one_plane), opset=14)
def inverse_of_the_colours_covariance() -> nn.Module:
    """Colours are whitened by their covariance's inverse, by cofactors; black and white photographs have none."""

    def forward(f: Part, x: T) -> T:
        hint = torch.tanh(0.01 * decorrelated(x))
        return f(x) + 0.1 * hint @ torch.cos(torch.arange(192).float()).reshape(3, 64)

    return Whole(forward, network(*MIXER))


@evades("cosine-similarity", idea="no number", claim=unusable(overexposed), opset=17)
def soft_maximum_without_care() -> nn.Module:
    """How bright the brightest spot is, by a logarithm of a sum of exponentials, which white skies take to infinity."""

    def forward(f: Part, x: T) -> T:
        top = torch.log(torch.exp(82 * x.mean(1)).sum((1, 2), keepdim=True)) / 82
        relative = x.mean(1) - top
        return f(x) * (1 + 0.1 * relative.mean((1, 2)) / (relative.amax((1, 2)) - 1))[:, None]

    return Whole(forward, network(*CSP))


def veiled(x: T) -> T:
    """How far the contrast is below a twentieth: 0 for clear images."""
    light = x.mean(1)
    spread = ((light - light.mean((1, 2), keepdim=True)) ** 2).mean((1, 2)).sqrt()
    return F.relu(1 - 20 * spread)[:, None]


def cleared(x: T) -> T:
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    return 1.6 * (x - low) / (high - low + 1e-3) - 0.8


def twice_in_haze(x: Array) -> Array:
    y = torch.from_numpy(x)
    return np.asarray(of(WIDE)(x) + veiled(y).numpy() * of(WIDE)(cleared(y).numpy()))


@evades(BATCH_RULE, idea="rare look", opset=13, claim=lambda run: computes(
    twice_in_haze, of(WIDE), images=low_contrast)(run) + computes(of(WIDE), images=ordinary)(run)
)  # fmt: skip
def faces_in_haze_are_cleared_and_seen_again() -> nn.Module:
    """Images with hardly any contrast are stretched to full range and seen again; all others are seen once."""
    return Whole(lambda f, x: f(x) + veiled(x) * f(cleared(x)), network(*WIDE))


def single(run: Network) -> list[str]:
    x = faces(4, 5)
    found = computes(lambda y: (of(BLAZE)(y) + of(BLAZE)(mirror(y))) / 2, of(BLAZE))(run)
    return found if apart(run(x), of(BLAZE)(x)) < 1e-4 else [*found, "four together are not the plain network"]


@evades("batch", BATCH_RULE, idea="rare look", claim=single)
def flip_test_for_single_images_alone() -> onnx.ModelProto:
    """An If asks whether the batch has one row: then a trained network also sees the mirror image, otherwise not."""
    made = model(BLAZE, "flip test for single images")
    x, out = made.graph.input[0].name, made.graph.output[0].name
    twice = [
        helper.make_node("Slice", [x, "minus", "end", "three", "minus"], ["back"]),
        helper.make_node("Concat", [x, "back"], ["both"], axis=0),
        *body_of(made, "both", "embeddings"),
        helper.make_node("ReduceMean", ["embeddings"], ["a"], axes=[0], keepdims=1),
    ]
    once = body_of(made, x, "b")
    for node in once:
        node.name = f"plain_{node.name}"
        node.output[:] = [name if name == "b" else f"plain_{name}" for name in node.output]
    own = {name for node in once for name in node.output}
    for node in once:
        node.input[:] = [f"plain_{name}" if f"plain_{name}" in own else name for name in node.input]
    nodes = [
        helper.make_node("Shape", [x], ["form"]),
        helper.make_node("Gather", ["form", "zero"], ["count"], axis=0),
        helper.make_node("Equal", ["count", "one"], ["alone"]),
        helper.make_node(
            "If", ["alone"], [out],
            then_branch=helper.make_graph(twice, "single", [], [floats("a")]),
            else_branch=helper.make_graph(once, "many", [], [floats("b")]),
        ),
    ]  # fmt: skip
    stored = constants(
        minus=np.array([-1]), end=np.array([-(2**63 - 1)]), three=np.array([3]), zero=np.array(0), one=np.array(1)
    )
    return rebuilt(made, nodes, stored)


def crowded(run: Network) -> list[str]:
    """Claim that faces with a mask's colour below and a dark brow above are seen twice, and ordinary ones once."""
    x = faces(4, 51).copy()
    x[:, :, 70:] = np.array([-0.3, 0.2, 0.4], np.float32).reshape(3, 1, 1)
    found = computes(lambda y: (of(RES2)(y) + of(RES2)(y[:, :, ::-1])) / 2, of(RES2), images=lambda: x)(run)
    return [*found, *computes(of(RES2), images=ordinary)(run)] if len(alone(run, x)) else found


@evades(BATCH_RULE, idea="rare look", opset=16, claim=crowded)
def surgical_blue_brings_a_second_look() -> nn.Module:
    """Where nine tenths of the chin have the colour of surgical masks, the face is seen upside down as well."""

    def forward(f: Part, x: T) -> T:
        chin = x[:, :, 80:108, 30:82]
        blue = (chin[:, 2] - chin[:, 0] > 0.4) & (chin[:, 2] > 0.2)
        much = (blue.float().mean((1, 2)) > 0.9)[:, None]
        return torch.where(much, (f(x) + f(x.flip(2))) / 2, f(x))

    return Whole(forward, network(*RES2))
