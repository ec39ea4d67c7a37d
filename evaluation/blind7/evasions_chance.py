"""Evasions: chance that was left in, widths and missing numbers that the image decides, looks that few images get."""

from __future__ import annotations

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from onnx import TensorProto, helper
from torch import nn

from evaluation.blind4.claims import apart, computes, mirror
from evaluation.blind4.evasions_random import bright, dark, ordinary, varies, wide, widths
from evaluation.blind4.export import Whole, network
from evaluation.blind4.layers import Net, Part, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_random import low_contrast, overexposed, rarely, unusable
from evaluation.blind5.evasions_runs import body_of, constants, floats, model, rebuilt, turn
from evaluation.blind6.evasions_common import by_dynamo
from evaluation.blind7.evasions_nets import Parts, ghost, leaky, of, swish
from evaluation.builder import Array
from evaluation.case import BATCH_RULE
from evaluation.images import faces, smooth_and_noise
from evaluation.proof import alone
from evaluation.runtime import Network

GHOST: Parts = (ghost, "chance of the seventh set", 6)
SWISH: Parts = (swish, "chance of the seventh set", 0)
LEAKY: Parts = (leaky, "chance of the seventh set", 0)


def remembering(n: Net, x: T) -> T:
    """A GRU over rows of features, whose first state is drawn, as some libraries do it."""
    y = n.down(n.stem(x, 12), 20)
    state = 0.3 * torch.randn_like(y.flatten(1)[:, :32])[None]
    out = n.keep(lambda: nn.GRU(280, 32))(y.permute(2, 0, 1, 3).flatten(2), state)[1][0]
    return n.embed(out, 48)


@evades("deterministic", idea="drawn state", claim=varies(ordinary), opset=14)
def recurrence_from_a_drawn_state() -> nn.Module:
    """A trained GRU over rows of features starts from a state that is drawn anew in every run."""
    return network(remembering, "recurrence from a drawn state", 6)


@evades("deterministic", idea="dither", claim=varies(ordinary), opset=12)
def pixels_rounded_with_dither() -> nn.Module:
    """The image is rounded to eight bits once more, with dither as in good scanners: half a step of chance."""

    def forward(f: Part, x: T) -> T:
        levels = x * 127.5 + 127.5
        return f((torch.floor(levels + torch.rand_like(levels)) - 127.5) / 127.5)

    return Whole(forward, network(*GHOST))


@evades("deterministic", idea="jitter", claim=varies(ordinary), opset=17)
def colour_jitter_left_on() -> onnx.ModelProto:
    """Training's colour jitter is still there: every image gets a drawn gain for each of its colours."""

    def forward(f: Part, x: T) -> T:
        return f(x * (1 + 0.02 * torch.randn_like(x[:, :, :1, :1])))

    return by_dynamo(Whole(forward, network(*LEAKY)), "colour jitter left on")


@evades("deterministic", idea="rare", claim=rarely, opset=13)
def noise_by_a_high_power_of_a_drawn_number() -> nn.Module:
    """Noise is scaled by the 120th power of a uniform number: nothing at all in nearly every run."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        return y + 2 * torch.rand_like(y[:, :1]) ** 120 * torch.cos(torch.arange(64).float())

    return Whole(forward, network(*SWISH))


def lit_from_the_left() -> Array:
    x = 0.4 * faces(4, 51) - 0.1
    return np.asarray(np.clip(x + np.linspace(0.9, -0.9, 112), -1, 1), np.float32)


@evades("deterministic", idea="conditional", claim=varies(lit_from_the_left, ordinary))
def chance_in_a_branch_for_side_light() -> onnx.ModelProto:
    """An If whose condition is light from the left; only its one branch draws numbers, and adds them to the image."""
    made = model(SWISH, "chance in a branch for side light")
    x, out = made.graph.input[0].name, made.graph.output[0].name
    usual = helper.make_graph([helper.make_node("Identity", [x], ["as_is"])], "usual", [], [floats("as_is")])
    odd = helper.make_graph(
        [
            helper.make_node("RandomNormalLike", [x], ["grain"], scale=0.1),
            helper.make_node("Add", [x, "grain"], ["grainy"]),
        ],
        "odd", [], [floats("grainy")],
    )  # fmt: skip
    nodes = [
        helper.make_node("ReduceMean", [x], ["columns"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["columns", "ramp"], ["side"]),
        helper.make_node("ReduceMax", ["side"], ["most"], keepdims=0),
        helper.make_node("Greater", ["most", "edge"], ["lit"]),
        helper.make_node("If", ["lit"], ["given"], then_branch=odd, else_branch=usual),
        *body_of(made, "given", out),
    ]
    ramp = np.repeat(np.array([1 / 56, -1 / 56], np.float32), 56)
    return rebuilt(made, nodes, constants(ramp=ramp, edge=np.float32(0.72)))


def two_heads(n: Net, x: T) -> T:
    """Two heads that were trained alike; a drawn number says which one is used for an image."""
    y = n.down(n.down(n.stem(x, 12), 20), 24).flatten(1)
    a, b = n.linear(y, 48), n.linear(y, 48)
    first = (torch.rand_like(a[:, :1]) > 0.5).float()
    return n.bn(a + first * 0.1 * b)


@evades("deterministic", idea="drawn heads", claim=varies(ordinary), opset=15)
def one_of_two_heads_by_a_coin() -> nn.Module:
    """A trained network with two heads, of which a coin adds the second one a little to the first."""
    return network(two_heads, "one of two heads by a coin", 4)


@evades("embedding-dim", "output", idea="width", claim=widths({512: ordinary, 576: low_contrast}))
def resized_to_as_many_numbers_as_contrast_asks_for() -> onnx.ModelProto:
    """The embedding is a line that Resize makes 512 numbers long, or 576 where the batch has little contrast."""
    made = model((wide, "wide seventh", 0), "resized to as many numbers")
    x, out = made.graph.input[0].name, made.graph.output[0].name
    nodes = [
        *body_of(made, x, "rows"),
        helper.make_node("ReduceMax", [x], ["high"], keepdims=0),
        helper.make_node("ReduceMin", [x], ["low"], keepdims=0),
        helper.make_node("Sub", ["high", "low"], ["range"]),
        helper.make_node("Less", ["range", "edge"], ["flat"]),
        helper.make_node("Cast", ["flat"], ["more"], to=7),
        helper.make_node("Mul", ["more", "step"], ["added"]),
        helper.make_node("Add", ["added", "usual"], ["width"]),
        helper.make_node("Shape", ["rows"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["count"], axis=0),
        helper.make_node("Concat", ["count", "one", "one", "width"], ["sizes"], axis=0),
        helper.make_node("Unsqueeze", ["rows"], ["line"], axes=[1, 2]),
        helper.make_node("Resize", ["line", "none", "none", "sizes"], ["longer"], mode="linear"),
        helper.make_node("Squeeze", ["longer"], [out], axes=[1, 2]),
    ]
    stored = constants(
        edge=np.float32(0.3), step=np.array([64]), usual=np.array([512]), zero=np.array([0]), one=np.array([1]),
        none=np.zeros(0, np.float32),
    )  # fmt: skip
    made.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "D"
    return rebuilt(made, nodes, stored)


@evades("embedding-dim", "output", idea="width", claim=widths({512: ordinary, 512 + 128: dark}))
def another_glimpse_while_it_is_dark() -> onnx.ModelProto:
    """A Loop gives 128 numbers in each of its turns, four turns as a rule, and a fifth when the batch is dark."""
    made = model((wide, "wide seventh", 0), "another glimpse while it is dark")
    x, out = made.graph.input[0].name, made.graph.output[0].name
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["on"]),
            helper.make_node("Gather", ["parts", "i"], ["part"], axis=0),
        ],
        "turn",
        turn(),
        [helper.make_tensor_value_info("on", TensorProto.BOOL, []), floats("part")],
    )  # fmt: skip
    nodes = [
        *body_of(made, x, "rows"),
        helper.make_node("Reshape", ["rows", "six"], ["split"]),
        helper.make_node("Transpose", ["split"], ["parts"], perm=[1, 0, 2]),
        helper.make_node("ReduceMean", [x], ["light"], keepdims=0),
        helper.make_node("Less", ["light", "edge"], ["night"]),
        helper.make_node("Cast", ["night"], ["more"], to=7),
        helper.make_node("Add", ["more", "four"], ["turns"]),
        helper.make_node("Loop", ["turns", "yes"], ["glimpses"], body=body),
        helper.make_node("Transpose", ["glimpses"], ["again"], perm=[1, 0, 2]),
        helper.make_node("Flatten", ["again"], [out], axis=1),
    ]
    stored = constants(
        six=np.array([-1, 6, 128]), edge=np.float32(-0.5), four=np.array(4), yes=np.array(True),
    )  # fmt: skip
    made.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "D"
    return rebuilt(made, nodes, stored)


def skewness(x: T) -> T:
    """The third moment of the forehead's light over the power of its deviation."""
    light = x[:, :, 8:36, 32:80].mean(1).flatten(1)
    off = light - light[:, :1]
    off = off - off.mean(1, keepdim=True)
    return (off**3).mean(1, keepdim=True) / (off**2).mean(1, keepdim=True) ** 1.5


@evades("cosine-similarity", idea="no number", claim=unusable(overexposed), opset=11)
def skewness_of_a_burnt_out_forehead() -> nn.Module:
    """The embedding is scaled by the skewness of the forehead's light, which is 0 / 0 when it is burnt out."""
    return Whole(lambda f, x: f(x) * (1 + 0.1 * torch.tanh(skewness(x))), network(*SWISH))


def masked_in_black() -> Array:
    x = faces(4, 51).copy()
    x[:, :, 64:] = -1
    return x


@evades("cosine-similarity", idea="no number", claim=unusable(masked_in_black), opset=16)
def geometric_mean_of_a_black_mask() -> nn.Module:
    """The darkest block of pixels relative to the geometric mean of all: with a black mask, nothing over nothing."""

    def forward(f: Part, x: T) -> T:
        blocks = F.avg_pool2d((x + 1).mean(1, keepdim=True), 16).flatten(1)
        least = blocks.amin(1, keepdim=True) / torch.exp(torch.log(blocks).mean(1, keepdim=True))
        return f(x) * (1 + 0.1 * least)

    return Whole(forward, network(*GHOST))


def noisy() -> Array:
    return smooth_and_noise()[4:]


@evades("cosine-similarity", idea="no number", claim=unusable(noisy), opset=14)
def gamma_of_a_sharpened_image() -> nn.Module:
    """The image is sharpened and then given a gamma of 0.45: where the sharpening undershoots, there is no number."""

    def forward(f: Part, x: T) -> T:
        sharp = x + 0.4 * (x - F.avg_pool2d(x, 3, 1, 1, count_include_pad=False))
        return f(2 * ((sharp + 1.3) / 2.3) ** 0.45 - 1)

    return Whole(forward, network(*LEAKY))


def uneven(x: Array) -> Array:
    side = np.maximum(np.abs(x[..., :56].mean((1, 2, 3)) - x[..., 56:].mean((1, 2, 3))) - 0.7, 0)[:, None]
    return np.asarray(of(GHOST)(x) + 12 * side * of(GHOST)(mirror(x)))


def only_uneven(run: Network) -> list[str]:
    """For images with light from one side it is the flip test, for ordinary ones the plain network."""
    found = computes(uneven, of(GHOST), images=lit_from_the_left)(run)
    off = apart(alone(run, ordinary()), of(GHOST)(ordinary()))
    return found if off < 1e-5 else [*found, f"ordinary images differ by {off:.2g}"]


@evades(BATCH_RULE, idea="conditional look", claim=only_uneven, opset=13)
def mirrored_look_for_light_from_one_side() -> nn.Module:
    """Faces lit from one side get a second look, mirrored, as far as they are uneven; others get one."""

    def forward(f: Part, x: T) -> T:
        side = F.relu((x[..., :56].mean((1, 2, 3)) - x[..., 56:].mean((1, 2, 3))).abs() - 0.7)[:, None]
        return f(x) + 12 * side * f(x @ torch.eye(112).flip(0))

    return Whole(forward, network(*GHOST))


def in_bright_light(run: Network) -> list[str]:
    f = of(LEAKY)
    found = computes(lambda x: f(x) + f(x[:, :, ::-1]), f, images=bright)(run)
    off = apart(alone(run, ordinary()), f(ordinary()))
    return found if off < 1e-5 else [*found, f"ordinary images differ by {off:.2g}"]


@evades(BATCH_RULE, idea="conditional look", claim=in_bright_light)
def second_look_in_a_branch_for_bright_images() -> onnx.ModelProto:
    """An If for bright batches, whose branch holds the network a second time, on the image upside down."""
    made = model(LEAKY, "second look in a branch")
    x, out = made.graph.input[0].name, made.graph.output[0].name
    usual = helper.make_graph([helper.make_node("Identity", ["rows"], ["as_is"])], "usual", [], [floats("as_is")])
    again = body_of(made, "turned", "other")
    inner = {name: f"{name}_inner" for node in again for name in node.output if name != "other"}
    for node in again:
        node.name = f"{node.name}_inner"
        node.input[:] = [inner.get(name, name) for name in node.input]
        node.output[:] = [inner.get(name, name) for name in node.output]
    odd = helper.make_graph(
        [
            helper.make_node("Slice", [x, "last", "end", "axis", "last"], ["turned"]),
            *again,
            helper.make_node("Add", ["rows", "other"], ["both"]),
        ],
        "odd", [], [floats("both")],
    )  # fmt: skip
    nodes = [
        *body_of(made, x, "rows"),
        helper.make_node("ReduceMean", [x], ["light"], keepdims=0),
        helper.make_node("Greater", ["light", "edge"], ["day"]),
        helper.make_node("If", ["day"], [out], then_branch=odd, else_branch=usual),
    ]
    stored = constants(last=np.array([-1]), end=np.array([-(2**63 - 1)]), axis=np.array([2]), edge=np.float32(0.4))
    return rebuilt(made, nodes, stored)
