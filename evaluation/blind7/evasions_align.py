"""Evasions: the image, or early features that hold it, placed anew by detectors, flows, steps and scattering."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from onnx import TensorProto, helper
from torch import nn

from evaluation.blind4.claims import Claim, computes
from evaluation.blind4.evasions_align import AXIS, _whole, hats, locate, warps
from evaluation.blind4.export import exported, network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_align import Warp, sampled, unit_grid
from evaluation.blind5.evasions_runs import body_of, constants
from evaluation.blind6.evasions_common import box, by_dynamo
from evaluation.blind7.evasions_nets import Parts, leaky, of, seen
from evaluation.case import ALIGN_RULE

LEAKY: Parts = (leaky, "placed in the seventh set", 6)


def claim(warp: Warp, trained: int = 0, least: float = 0.01) -> Claim:
    """The network is its remainder on the warped image, which is another one than the image."""
    return warps(warp, f"seventh set {warp.__name__}", trained, least)


def made(warp: Warp, trained: int = 0) -> nn.Module:
    return network(_whole(warp), f"seventh set {warp.__name__}", trained)


def mesh(n: Net, x: T) -> T:
    """Moves of a grid of 5 x 5 points, between which they are interpolated."""
    y = F.relu(n.conv(F.relu(n.conv(F.avg_pool2d(x, 4), 8, 3, 2)), 8, 3, 2))
    moves = 0.12 * torch.tanh(3 * n.bn(n.linear(y.flatten(1), 50))).reshape(-1, 2, 5, 5)
    wide = F.interpolate(moves, size=(112, 112), mode="bilinear", align_corners=True)
    rows, columns = unit_grid()
    return sampled(x, rows + wide[:, 0], columns + wide[:, 1])


@evades(ALIGN_RULE, idea="mesh", opset=16, claim=claim(mesh, 5))
def face_mesh_of_twenty_five_points() -> nn.Module:
    """A mesh of 5 x 5 points over the face is moved by a trained prediction; Resize carries the moves to all pixels."""
    return made(mesh, 5)


def integrated(n: Net, x: T) -> T:
    """A predicted field of velocities, integrated by squaring three times: a smooth and invertible warp."""
    y = F.relu(n.conv(F.avg_pool2d(x, 4), 8, 3, 2))
    y = F.relu(n.conv(y, 12, 3, 2))
    v = 0.02 * torch.tanh(2 * n.bn(n.conv(y, 2, 3)))
    flow = F.interpolate(v, size=(28, 28), mode="bilinear", align_corners=False)
    at = (2 * AXIS[:28] + 1) / 28 - 1
    rows, columns = at[:, None].expand(28, 28), at[None].expand(28, 28)
    for _ in range(3):
        grid = torch.stack([columns + flow[:, 0], rows + flow[:, 1]], 3)
        flow = flow + F.grid_sample(flow, grid, align_corners=False, padding_mode="border")
    wide = F.interpolate(flow, size=(112, 112), mode="bilinear", align_corners=False)
    r, c = unit_grid()
    return sampled(x, r + wide[:, 1], c + wide[:, 0])


@evades(ALIGN_RULE, idea="flow", opset=16, claim=claim(integrated))
def velocity_field_integrated_by_squaring() -> nn.Module:
    """As for medical images: a predicted field of velocities, integrated, becomes a smooth warp of the face."""
    return made(integrated)


def in_digits(n: Net, x: T) -> T:
    """Shifts of 4, 2 and 1 pixels, each of which happens or not: the digits of a predicted number."""
    y = F.relu(n.conv(F.relu(n.conv(F.avg_pool2d(x, 4), 8, 3, 2)), 8, 3, 2))
    bits = n.bn(n.linear(y.flatten(1), 6)) > 0
    for i, by in enumerate((4, 2, 1)):
        x = torch.where(bits[:, i, None, None, None], torch.roll(x, by, 2), x)
        x = torch.where(bits[:, 3 + i, None, None, None], torch.roll(x, -by, 3), x)
    return x


@evades(ALIGN_RULE, idea="shifter", opset=12, claim=claim(in_digits))
def barrel_shifter_of_the_image() -> nn.Module:
    """The image rolls by 4, by 2 and by 1 pixel or not: six signs of a prediction decide."""
    return made(in_digits)


def stepping(n: Net, x: T) -> T:
    """Eight steps: a pixel towards where the light is heavier, until the two sides are even."""
    weights = (AXIS - 55.5) / 56
    for _ in range(8):
        light = F.relu(x.mean(1) + 0.5)
        centre = (light * weights).sum((1, 2)) / (light.sum((1, 2)) + 1e-3)
        centre = centre[:, None, None, None]
        left = F.pad(x[..., 1:], (0, 1, 0, 0), mode="replicate")
        right = F.pad(x[..., :-1], (1, 0, 0, 0), mode="replicate")
        x = torch.where(centre > 0.02, left, torch.where(centre < -0.02, right, x))
    return x


@evades(ALIGN_RULE, idea="steps", opset=13, claim=claim(stepping, 5))
def pixel_by_pixel_until_it_is_centred() -> nn.Module:
    """Eight times the image moves by a pixel to the side or stays, until its light is even on both sides."""
    return made(stepping, 5)


def splatted(n: Net, x: T) -> T:
    """Add every pixel to the place that a predicted turn and zoom give it, and divide by counts."""
    t = locate(n, x)
    rows, columns = unit_grid()
    a, b = 1 + 0.06 * t[:, :1, None], 0.12 * t[:, 1:2, None]
    r = ((a * rows - b * columns + 1) * 56 - 0.5).round().clamp(0, 111)
    c = ((b * rows + a * columns + 1) * 56 - 0.5).round().clamp(0, 111)
    place = (112 * r + c).long().reshape(-1, 1, 12544)
    total = torch.zeros_like(x).flatten(2).scatter_add(2, place.expand(-1, 3, -1), x.flatten(2))
    count = torch.zeros_like(x[:, :1]).flatten(2).scatter_add(2, place, torch.ones_like(x[:, :1]).flatten(2))
    return (total / count.clamp(min=1)).reshape(-1, 3, 112, 112)


@evades(ALIGN_RULE, idea="scattering", opset=16, claim=claim(splatted))
def pixels_scattered_to_predicted_places() -> nn.Module:
    """No sampling: ScatterElements adds every pixel to where a predicted turn and zoom carry it, over their count."""
    return made(splatted)


def carved(n: Net, x: T) -> T:
    """Leave the sixteen flattest columns out, and stretch the others to the old width."""
    edges = (x[..., 1:] - x[..., :-1]).abs().mean((1, 2))
    flat = F.avg_pool1d(F.pad(edges, (2, 3), mode="replicate")[:, None], 5, 1)[:, 0]
    kept = torch.topk(flat, 96, 1)[1]
    kept = -torch.topk(-kept, 96, 1)[0]
    y = x.gather(3, kept[:, None, None].expand(-1, 3, 112, -1))
    return F.interpolate(y, size=(112, 112), mode="bilinear", align_corners=False)


@evades(ALIGN_RULE, idea="carving", opset=13, claim=claim(carved))
def sixteen_flattest_columns_carved_out() -> nn.Module:
    """Seam carving by columns: those without edges are left out, whichever they are, and the rest is stretched."""
    return made(carved)


def deformed(n: Net, x: T) -> T:
    """Sample the image at its own places plus smooth offsets, as the first deformable layer would."""
    y = F.relu(n.conv(x, 8, 5, 4))
    offsets = 0.1 * torch.tanh(2 * n.bn(n.conv(F.avg_pool2d(y, 14, 14), 2, 1)))
    wide = F.interpolate(offsets, scale_factor=56.0, mode="bilinear", align_corners=False)
    rows, columns = unit_grid()
    return sampled(x, rows + wide[:, 0], columns + wide[:, 1])


@evades(ALIGN_RULE, idea="deformable", claim=claim(deformed, 4))
def first_layer_is_deformable() -> onnx.ModelProto:
    """The first layer is deformable: one smooth, predicted field of offsets carries all of its taps."""
    return by_dynamo(made(deformed, 4), "first layer is deformable", 20)


class Posed(nn.Module):
    """The plain network on the image, placed by AffineGrid."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.front = network(*LEAKY), network(pose, "pose", 0)

    def placed(self, x: T) -> T:
        t = 0.1 * torch.tanh(self.front(x))
        one = torch.ones_like(t[:, 0])
        theta = torch.stack([one + t[:, 0], t[:, 1], 0.6 * t[:, 2], t[:, 3], one + t[:, 4], 0.6 * t[:, 5]], 1)
        grid = F.affine_grid(theta.reshape(-1, 2, 3), [x.shape[0], 1, 112, 112], align_corners=False)
        return F.grid_sample(x, grid, align_corners=False, padding_mode="border")

    def forward(self, x: T) -> T:
        y: T = self.net(self.placed(x))
        return y


def pose(n: Net, x: T) -> T:
    return n.bn(n.linear(n.down(n.down(F.avg_pool2d(x, 4), 8), 8).flatten(1), 6))


@evades(ALIGN_RULE, idea="affine grid", claim=computes(
    lambda x: of(LEAKY)(seen(Posed().placed)(x)), of(LEAKY), near=1e-3
))  # fmt: skip
def affine_grid_as_an_operator() -> onnx.ModelProto:
    """A trained network behind a spatial transformer in the newest form: AffineGrid and GridSample of opset 20."""
    return by_dynamo(Posed(), "affine grid as an operator", 20)


def twice_folded(n: Net, x: T) -> T:
    """A leaky layer of full resolution with 9 channels, moved by each row's own prediction."""
    y = F.leaky_relu(n.conv(x, 9, 3), 0.4)
    shift = 3 * torch.tanh(2 * n.bn(n.conv(F.avg_pool2d(y, (4, 112)), 1, (3, 1)))[:, 0, :, 0])
    moves = F.interpolate(shift[:, None], size=112, mode="linear", align_corners=False)[:, 0]
    weights = hats(AXIS[None, None] + moves[:, :, None])
    return torch.einsum("nrkc,nhrc->nhrk", weights, y)


@evades(ALIGN_RULE, idea="behind a layer", opset=14, claim=claim(twice_folded, 4))
def rows_of_early_features_moved_one_by_one() -> nn.Module:
    """Behind one leaky layer of full resolution, each row of maps slides by its own predicted amount."""
    return made(twice_folded, 4)


def found_box(x: T) -> T:
    """Where the light of columns and rows begins and ends, by its spread around its middle: [N, 4] in pixels."""
    light = F.relu(box(x.mean(1, keepdim=True), 9)[:, 0] + 0.4)
    found = []
    for axis in (1, 2):
        share = light.sum(axis) / (light.sum((1, 2))[:, None] + 1e-3)
        mean = (share * AXIS).sum(1, keepdim=True)
        spread = ((share * (AXIS - mean) ** 2).sum(1, keepdim=True)).sqrt()
        found += [mean - 1.7 * spread, mean + 1.7 * spread]
    return torch.cat([found[0], found[2], found[1], found[3]], 1).clamp(0, 112)


@cache
def boxes() -> onnx.ModelProto:
    class Boxes(nn.Module):
        def forward(self, x: T) -> T:
            return found_box(x)

    return exported(Boxes(), "boxes of the seventh set", 16)


def cut(x: T) -> T:
    """Bilinear samples of the box, as RoiAlign of sampling ratio 1 takes them."""
    b = found_box(x)
    at = (AXIS + 0.5) / 112
    columns = (b[:, :1] - 0.5 + (b[:, 2:3] - b[:, :1]) * at).clamp(0, 111)
    rows = (b[:, 1:2] - 0.5 + (b[:, 3:] - b[:, 1:2]) * at).clamp(0, 111)
    return hats(rows)[:, None] @ x @ hats(columns)[:, None].transpose(-1, -2)


@evades(ALIGN_RULE, idea="detector", claim=computes(lambda x: of(LEAKY)(seen(cut)(x)), of(LEAKY), near=2e-3))
def face_box_by_the_light_and_roi_align() -> onnx.ModelProto:
    """A two-stage detector: a box is put around the light by its spread, and RoiAlign cuts it to 112 x 112 again."""
    trunk = exported(network(*LEAKY), "face box by the light", 16)
    x, out = trunk.graph.input[0].name, trunk.graph.output[0].name
    front = boxes()
    first = list(body_of(front, x, "boxes"))
    stored = {item.name: f"front_{item.name}" for item in front.graph.initializer}
    own = {name for node in first for name in node.output} - {"boxes"}
    names = stored | {name: f"front_{name}" for name in own}
    for node in first:
        node.name = f"front_{node.name}"
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    weights = list(front.graph.initializer)
    for item in weights:
        item.name = stored[item.name]
    nodes = [
        *first,
        helper.make_node("Shape", [x], ["shape"], start=0, end=1),
        helper.make_node("Squeeze", ["shape"], ["count"]),
        helper.make_node("Range", ["from", "count", "step"], ["which"]),
        helper.make_node(
            "RoiAlign", [x, "boxes", "which"], ["face"], output_height=112, output_width=112, sampling_ratio=1,
            coordinate_transformation_mode="half_pixel",
        ),
        *body_of(trunk, "face", out),
    ]  # fmt: skip
    sink = helper.make_tensor_value_info(out, TensorProto.FLOAT, ["N", 64])
    more = constants(**{"from": np.int64(0), "step": np.int64(1)})
    graph = helper.make_graph(
        nodes, "main", list(trunk.graph.input), [sink], [*trunk.graph.initializer, *weights, *more]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8)
