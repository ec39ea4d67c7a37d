"""Evasions: a second look at the whole image, made by operators and methods that are known for something else."""

from __future__ import annotations

from functools import partial

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from onnx import TensorProto, helper
from torch import nn

from evaluation.blind4.chains import patch_chain
from evaluation.blind4.claims import computes, mirror
from evaluation.blind4.evasions_packed import of_views, same
from evaluation.blind4.export import Whole, exported, network
from evaluation.blind4.layers import Part, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_runs import LENGTHS, body_of, constants, floats, model, of_unit_length, rebuilt
from evaluation.blind6.evasions_common import box
from evaluation.blind7.evasions_nets import Parts, ghost, leaky, of, pooling, seen, swish
from evaluation.builder import Array
from evaluation.case import ALIGN_RULE, BATCH_RULE

GHOST: Parts = (ghost, "looks of the seventh set", 0)
SWISH: Parts = (swish, "looks of the seventh set", 6)
POOLING: Parts = (pooling, "looks of the seventh set", 0)
LEAKY: Parts = (leaky, "looks of the seventh set", 0)
PATCH: Parts = (patch_chain, "looks of the seventh set", 10)


@evades(BATCH_RULE, ALIGN_RULE, idea="resize", claim=of_views(PATCH, same, mirror, near=3e-4))
def resized_from_the_right_edge_to_the_left() -> onnx.ModelProto:
    """Resize takes off a padded row and column, by a region whose left edge is to the right of its right edge."""
    made = model(PATCH, "resized from the right edge to the left")
    x, out = made.graph.input[0].name, made.graph.output[0].name
    nodes = [
        helper.make_node("Pad", [x, "row"], ["taller"], mode="edge"),
        helper.make_node(
            "Resize", ["taller", "region", "none", "sizes"], ["again"],
            mode="linear", coordinate_transformation_mode="tf_crop_and_resize",
        ),
        *body_of(made, x, "first"),
        *renamed(body_of(made, "again", "second")),
        helper.make_node("Add", ["first", "second"], ["sum"]),
        *of_unit_length("sum", out),
    ]  # fmt: skip
    region = np.array([0, 0, 0, 111 / 112, 1, 1, 111 / 112, 0], np.float32)
    nodes[:0] = [
        helper.make_node("Shape", [x], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["count"], axis=0),
        helper.make_node("Concat", ["count", "rest"], ["sizes"], axis=0),
    ]
    row, rest = np.array([0, 0, 0, 0, 0, 0, 1, 1]), np.array([3, 112, 112])
    none, zero = np.zeros(0, np.float32), np.array([0])
    return rebuilt(made, nodes, constants(region=region, row=row, rest=rest, none=none, zero=zero, **LENGTHS))


def renamed(nodes: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Give every value that the nodes make a name of its own; the last one keeps its name."""
    made = {name for node in nodes[:-1] for name in node.output}
    for node in nodes:
        node.name = f"{node.name}_b" if node.name else ""
        node.input[:] = [f"{name}_b" if name in made else name for name in node.input]
        node.output[:] = [f"{name}_b" if name in made else name for name in node.output]
    return nodes


@evades(BATCH_RULE, idea="scan", claim=of_views(PATCH, same, lambda x: x[:, :, ::-1]))
def scan_that_only_changes_direction() -> onnx.ModelProto:
    """A Scan with an empty body reads rows from the last one on and writes them from the first one on: upside down."""
    made = model(PATCH, "scan that only changes direction")
    x, out = made.graph.input[0].name, made.graph.output[0].name
    body = helper.make_graph(
        [helper.make_node("Identity", ["row"], ["kept"])], "copy", [floats("row")], [floats("kept")]
    )
    scan = helper.make_node(
        "Scan", [x], ["turned"], body=body, num_scan_inputs=1,
        scan_input_axes=[2], scan_output_axes=[2], scan_input_directions=[1],
    )  # fmt: skip
    nodes = [
        scan,
        *body_of(made, x, "first"),
        *renamed(body_of(made, "turned", "second")),
        helper.make_node("Add", ["first", "second"], ["sum"]),
        *of_unit_length("sum", out),
    ]
    return rebuilt(made, nodes, constants(**LENGTHS))


@evades(BATCH_RULE, idea="local function", claim=of_views(PATCH, same, lambda x: x[:, ::-1]))
def backbone_is_a_function_called_twice() -> onnx.ModelProto:
    """The network is a function of the model; it is called for the image and for the image with blue for red."""
    made = model(PATCH, "backbone is a function called twice")
    x, out = made.graph.input[0].name, made.graph.output[0].name
    stored = [item.name for item in made.graph.initializer]
    opset = helper.make_opsetid("", 15)
    body = body_of(made, "image", "embedding")
    function = helper.make_function("local", "Backbone", ["image", *stored], ["embedding"], body, [opset])
    order = helper.make_node("Gather", [x, "order"], ["other"], axis=1)
    nodes = [
        helper.make_node("Backbone", [x, *stored], ["first"], domain="local"),
        order,
        helper.make_node("Backbone", ["other", *stored], ["second"], domain="local"),
        helper.make_node("Add", ["first", "second"], ["sum"]),
        *of_unit_length("sum", out),
    ]
    sink = made.graph.output[0]
    sink.type.tensor_type.shape.dim[0].dim_param = "N"
    weights = [*made.graph.initializer, *constants(order=np.array([2, 1, 0]), **LENGTHS)]
    graph = helper.make_graph(nodes, "main", list(made.graph.input), [sink], weights)
    return helper.make_model(
        graph, opset_imports=[opset, helper.make_opsetid("local", 1)], ir_version=8, functions=[function]
    )


def sparse(x: T) -> T:
    """Keep the largest of 2 x 2 pixels where it stands."""
    y, at = F.max_pool2d(x, 2, return_indices=True)
    return F.max_unpool2d(y, at, 2)


kept_maxima = seen(sparse)


@evades(BATCH_RULE, idea="pooled and unpooled", claim=computes(
    lambda x: of(LEAKY)(x) + of(LEAKY)(kept_maxima(x)), of(LEAKY), lambda x: of(LEAKY)(kept_maxima(x))
))  # fmt: skip
def second_look_is_pooled_and_unpooled() -> onnx.ModelProto:
    """As a SegNet decoder would, MaxUnpool puts the largest of 2 x 2 pixels back; one network sees image and that."""
    made = model(LEAKY, "second look is pooled and unpooled")
    x, out = made.graph.input[0].name, made.graph.output[0].name
    nodes = [
        helper.make_node("MaxPool", [x], ["top", "place"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("MaxUnpool", ["top", "place"], ["sparse"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Concat", [x, "sparse"], ["both"], axis=0),
        *body_of(made, "both", "each"),
        helper.make_node("Reshape", ["each", "pairs"], ["paired"]),
        helper.make_node("ReduceSum", ["paired"], [out], axes=[0], keepdims=0),
    ]
    return rebuilt(made, nodes, constants(pairs=np.array([2, -1, 64])))


def equalised(x: T) -> T:
    """Give every image a level histogram of light, by its cumulative shares at 16 levels."""
    light = x.mean(1, keepdim=True)
    levels = torch.linspace(-1, 1, 16)
    share = torch.stack([torch.sigmoid(12 * (levels[i] - light)).mean((2, 3), keepdim=True) for i in range(16)], 0)
    made: T = sum(F.relu(1 - 7.5 * (light - levels[i]).abs()) * (2 * share[i] - 1) for i in range(16))
    return x + made - light


@evades(BATCH_RULE, idea="equalised view", opset=14, claim=computes(
    lambda x: of(SWISH)(x) + of(SWISH)(seen(equalised)(x)), of(SWISH), lambda x: of(SWISH)(seen(equalised)(x))
))  # fmt: skip
def second_look_with_an_equalised_histogram() -> nn.Module:
    """A trained network sees the image, and sees it again with the histogram of its light made level."""
    return Whole(lambda f, x: f(x) + f(equalised(x)), network(*SWISH))


def balanced(x: T) -> T:
    """Scale the colours until their means are equal, as a camera's white balance does."""
    means = (x + 1.2).mean((2, 3), keepdim=True)
    return (x + 1.2) * means.mean(1, keepdim=True) / means - 1.2


@evades(BATCH_RULE, idea="balanced view", opset=11, claim=computes(
    lambda x: np.maximum(of(GHOST)(x), of(GHOST)(seen(balanced)(x))), of(GHOST), lambda x: of(GHOST)(seen(balanced)(x))
))  # fmt: skip
def maximum_with_a_white_balanced_look() -> nn.Module:
    """A network sees the image and its white-balanced form, as one batch; the larger numbers are kept."""

    def forward(f: Part, x: T) -> T:
        y = f(torch.stack([x, balanced(x)], 1).flatten(0, 1))
        return y.reshape(-1, 2, 64).amax(1)

    return Whole(forward, network(*GHOST))


def despeckled(x: T) -> T:
    """Take the median of a pixel and its neighbours left and right, then above and below, by minima and maxima."""
    for axis in (3, 2):
        a, c = torch.roll(x, 1, axis), torch.roll(x, -1, axis)
        x = torch.maximum(torch.minimum(a, x), torch.minimum(torch.maximum(a, x), c))
    return x


@evades(BATCH_RULE, idea="median view", opset=17, claim=computes(
    lambda x: of(POOLING)(x) * 2 - of(POOLING)(seen(steps)(x)), of(POOLING), lambda x: of(POOLING)(seen(steps)(x)),
))  # fmt: skip
def twice_the_image_less_its_median_form() -> nn.Module:
    """Extrapolation: twice the embedding of the image less that of the image behind four rounds of a median filter."""
    return Whole(lambda f, x: 2 * f(x) - f(steps(x)), network(*POOLING))


def steps(x: T) -> T:
    for _ in range(4):
        x = despeckled(box(x, 3))
    return x


@evades(BATCH_RULE, idea="chosen exposure", opset=13, claim=computes(
    lambda x: exposed(x)[0], of(SWISH), lambda x: exposed(x)[1]
))  # fmt: skip
def first_look_sets_the_exposure_of_the_second() -> nn.Module:
    """An embedding decides brightness and contrast, with which the same network looks again; both are added."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        gain, offset = 1 + 0.5 * torch.sigmoid(y[:, :1]), 0.4 * torch.tanh(y[:, 1:2])
        return y + f(gain[..., None, None] * x + offset[..., None, None])

    return Whole(forward, network(*SWISH))


def exposed(x: Array) -> tuple[Array, Array]:
    f = of(SWISH)
    y = f(x)
    gain, offset = 1 + 0.5 / (1 + np.exp(-y[:, 0])), 0.4 * np.tanh(y[:, 1])
    again = f((gain.reshape(-1, 1, 1, 1) * x + offset.reshape(-1, 1, 1, 1)).astype(np.float32))
    return y + again, again


def tilted(x: T, angle: float) -> T:
    at = (2 * torch.arange(112).float() + 1) / 112 - 1
    r, c = at[:, None].expand(112, 112), at[None].expand(112, 112)
    s, k = float(np.sin(angle)), float(np.cos(angle))
    grid = torch.stack([k * c - s * r, s * c + k * r], 2).expand(x.shape[0], -1, -1, -1)
    return F.grid_sample(x, grid, align_corners=False)


def aggregated(x: Array) -> Array:
    looks = x, seen(partial(tilted, angle=-0.15))(x), seen(partial(tilted, angle=0.15))(x)
    y = np.stack([of(GHOST)(v) for v in looks], 1)
    score = np.exp(y @ np.sin(np.arange(64.0)) / 8)
    return np.asarray((y * score[:, :, None]).sum(1) / score.sum(1, keepdims=True))


@evades(BATCH_RULE, ALIGN_RULE, idea="aggregation", opset=16, claim=computes(aggregated, of(GHOST), near=3e-4))
def frames_of_a_tilting_head_aggregated() -> nn.Module:
    """A network for face videos with learned weights of frames; the frames are the image, and it tilted either way."""
    query = torch.sin(torch.arange(64).float())

    def forward(f: Part, x: T) -> T:
        y = torch.stack([f(v) for v in (x, tilted(x, -0.15), tilted(x, 0.15))], 1)
        return ((y @ query / 8).softmax(1)[:, :, None] * y).sum(1)

    return Whole(forward, network(*GHOST))


def swapped(x: Array) -> Array:
    return np.asarray(x.reshape(-1, 3, 28, 4, 28, 4)[:, :, :, ::-1, :, ::-1].reshape(x.shape))


@evades(BATCH_RULE, idea="space to depth", claim=of_views(LEAKY, same, swapped), opset=12)
def blocks_of_four_turned_between_depth_and_space() -> nn.Module:
    """Space to depth, channels in another order, depth to space: every 4 x 4 block is turned by half a circle."""

    def forward(f: Part, x: T) -> T:
        deep = F.pixel_unshuffle(x, 4)
        order = torch.arange(48).reshape(3, 16).flip(1).flatten()
        return (f(x) + f(F.pixel_shuffle(deep[:, order], 4))) / 2

    return Whole(forward, network(*LEAKY))


@evades(BATCH_RULE, idea="unfold and fold", claim=of_views(GHOST, same, lambda x: x[:, :, ::-1, ::-1]), opset=18)
def folded_again_in_the_other_order() -> onnx.ModelProto:
    """Col2Im puts the columns of an unfolding together again, from the last to the first: the image half turned."""
    made = exported(network(*GHOST), "folded again in the other order", 18)
    x, out = made.graph.input[0].name, made.graph.output[0].name
    nodes = [
        helper.make_node("Reshape", [x, "rows"], ["flat"]),
        helper.make_node("Gather", ["flat", "back"], ["turned"], axis=2),
        helper.make_node("Col2Im", ["turned", "size", "one"], ["again"]),
        helper.make_node("Concat", [x, "again"], ["both"], axis=0),
        *body_of(made, "both", "each"),
        helper.make_node("Reshape", ["each", "pairs"], ["paired"]),
        helper.make_node("ReduceSum", ["paired", "first"], [out], keepdims=0),
    ]
    stored = constants(
        rows=np.array([0, 3, 12544]), back=np.arange(12544)[::-1].copy(), size=np.array([112, 112]),
        one=np.array([1, 1]), pairs=np.array([2, -1, 64]), first=np.array([0]),
    )  # fmt: skip
    sink = helper.make_tensor_value_info(out, TensorProto.FLOAT, ["N", 64])
    graph = helper.make_graph(nodes, "main", list(made.graph.input), [sink], [*made.graph.initializer, *stored])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
