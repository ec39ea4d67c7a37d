"""Evasions: the image placed anew by sorting, lenses, whirls, Taylor steps, medians, spreads and measured sizes."""

from __future__ import annotations

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from onnx import helper
from torch import nn

from evaluation.blind4.claims import Claim, apart
from evaluation.blind4.evasions_align import AXIS, _whole, hats, locate, warps
from evaluation.blind4.export import exported, network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_align import Warp, sampled
from evaluation.blind5.evasions_runs import body_of, constants
from evaluation.blind6.evasions_common import box, torch_of
from evaluation.blind7.evasions_nets import Parts, of
from evaluation.blind10.evasions_nets import rep
from evaluation.case import ALIGN_RULE, BATCH_RULE
from evaluation.images import faces
from evaluation.proof import alone
from evaluation.runtime import Network

REP: Parts = (rep, "placed in the tenth set", 5)


def claim(warp: Warp, trained: int = 0, least: float = 0.01) -> Claim:
    """The network is its remainder on the warped image, which is another one than the image."""
    return warps(warp, f"tenth set {warp.__name__}", trained, least)


def made(warp: Warp, trained: int = 0) -> nn.Module:
    return network(_whole(warp), f"tenth set {warp.__name__}", trained)


def unit() -> T:
    """Places from -1 to 1."""
    return (2 * AXIS + 1) / 112 - 1


def rows_in_order(n: Net, x: T) -> T:
    order = x.mean((1, 3)).argsort(1)
    return x.gather(2, order[:, None, :, None].expand(-1, 3, -1, 112))


@evades(ALIGN_RULE, idea="sorting", opset=13, claim=claim(rows_in_order, 6))
def rows_in_order_of_their_light() -> nn.Module:
    """The rows of the image are sorted from the darkest to the lightest one before a trained network looks."""
    return made(rows_in_order, 6)


def patches_in_order(n: Net, x: T) -> T:
    p = x.reshape(-1, 3, 7, 16, 7, 16).permute(0, 2, 4, 1, 3, 5).reshape(-1, 49, 768)
    contrast = ((p - p.mean(2, keepdim=True)) ** 2).mean(2)
    order = contrast.topk(49, 1)[1]
    p = p.gather(1, order[:, :, None].expand(-1, -1, 768)).reshape(-1, 7, 7, 3, 16, 16)
    return p.permute(0, 3, 1, 4, 2, 5).reshape(-1, 3, 112, 112)


@evades(ALIGN_RULE, idea="sorting", opset=12, claim=claim(patches_in_order))
def raw_patches_in_order_of_their_contrast() -> nn.Module:
    """TopK puts raw patches of 16 pixels in order of their contrast, and the image is laid anew of them."""
    return made(patches_in_order)


def undistorted(n: Net, x: T) -> T:
    k = 0.25 * locate(n, x)[:, :2]
    r = unit()[:, None] ** 2 + unit()[None] ** 2
    more = 1 + k[:, :1, None] * r + 0.3 * k[:, 1:, None] * r**2
    return sampled(x, unit()[:, None] * more, unit()[None] * more)


@evades(ALIGN_RULE, idea="lens", opset=16, claim=claim(undistorted, 6))
def lens_undone_by_two_predicted_coefficients() -> nn.Module:
    """Brown's model of a lens: two predicted coefficients bend all places to or from the middle; trained."""
    return made(undistorted, 6)


def whirled(n: Net, x: T) -> T:
    angle = 0.6 * locate(n, x)[:, :1, None]
    r = unit()[:, None] ** 2 + unit()[None] ** 2
    turn = angle * torch.exp(-3 * r)
    c, s = turn.cos(), turn.sin()
    return sampled(x, unit()[:, None] * c + unit()[None] * s, unit()[None] * c - unit()[:, None] * s)


@evades(ALIGN_RULE, idea="whirl", opset=17, claim=claim(whirled))
def inner_face_whirled_by_a_predicted_angle() -> nn.Module:
    """A whirl: the middle turns by a predicted angle, what is further out turns less, the border stays."""
    return made(whirled)


def taylor(n: Net, x: T) -> T:
    move = 0.95 * locate(n, x)[:, :2]
    for axis in (2, 3):
        d = move[:, axis - 2].reshape(-1, 1, 1, 1)
        pads = (0, 0, 1, 1) if axis == 2 else (1, 1, 0, 0)
        y = F.pad(x, pads, mode="replicate")
        before, after = y.narrow(axis, 0, 112), y.narrow(axis, 2, 112)
        x = x + 0.5 * d * (after - before) + 0.5 * d**2 * (after - 2 * x + before)
    return x.clamp(-1, 1)


@evades(ALIGN_RULE, idea="Taylor steps", opset=12, claim=claim(taylor, 6))
def moved_by_a_taylor_series_to_the_second_order() -> nn.Module:
    """No place is computed: slopes times a predicted move and curvatures times its square are added; trained."""
    return made(taylor, 6)


def upright_or_lying(n: Net, x: T) -> T:
    e = box(x.mean(1, keepdim=True), 5)
    down, across = (
        ((e[:, :, 4:] - e[:, :, :-4]) ** 2).mean((1, 2, 3)),
        ((e[..., 4:] - e[..., :-4]) ** 2).mean((1, 2, 3)),
    )
    lies = torch.sigmoid(30 * (across - down) / (across + down + 1e-3)).reshape(-1, 1, 1, 1)
    return lies * x.transpose(2, 3) + (1 - lies) * x


@evades(ALIGN_RULE, idea="portrait or landscape", opset=11, claim=claim(upright_or_lying))
def rows_become_columns_where_edges_stand_upright() -> nn.Module:
    """Where more edges stand upright than lie, rows and columns are exchanged, by a steep decision."""
    return made(upright_or_lying)


def median_column(n: Net, x: T) -> T:
    e = F.pad((x[..., 1:] - x[..., :-1]).abs().mean((1, 2)), (0, 1)) + 1e-4
    half = (e.cumsum(1) < 0.5 * e.sum(1, keepdim=True)).float().sum(1, keepdim=True)
    at = torch.remainder(AXIS[None] + half - 56, 112.0).long()
    return x.gather(3, at[:, None, None].expand(-1, 3, 112, -1))


@evades(ALIGN_RULE, idea="median", opset=14, claim=claim(median_column, 5))
def median_of_the_edges_comes_to_the_middle() -> nn.Module:
    """Columns are rolled until half of all edges lie on either side, by CumSum, Less and a count; then trained."""
    return made(median_column, 5)


def of_one_size(n: Net, x: T) -> T:
    e = (box(x, 3) - box(x, 9)).abs().mean(1)
    made_ = []
    for axis in (2, 1):
        w = e.mean(axis) ** 2 + 1e-5
        w = w / w.sum(1, keepdim=True)
        middle = (w * AXIS).sum(1, keepdim=True)
        spread = (w * (AXIS[None] - middle) ** 2).sum(1, keepdim=True).sqrt()
        made_.append(55.5 + (AXIS[None] - 55.5) * (spread / 27).clamp(0.6, 1.3))
    return hats(made_[0])[:, None] @ x @ hats(made_[1])[:, None].transpose(2, 3)


@evades(ALIGN_RULE, idea="measured size", opset=13, claim=claim(of_one_size))
def every_face_brought_to_one_spread_of_details() -> nn.Module:
    """Nothing is learned: height and width are stretched until details are spread as widely in every image."""
    return made(of_one_size)


def mean_shift(n: Net, x: T) -> T:
    light = torch.exp(2 * x.mean(1))
    at = [torch.full_like(light[:, 0, :1], 55.5) for _ in range(2)]
    for _ in range(3):
        near = [torch.exp(-((AXIS[None] - a) ** 2) / 600) for a in at]
        mass = light * near[0][:, :, None] * near[1][:, None]
        total = mass.sum((1, 2)).unsqueeze(1)
        at = [(mass.sum(2) * AXIS).sum(1, keepdim=True) / total, (mass.sum(1) * AXIS).sum(1, keepdim=True) / total]
    r, c = (hats(AXIS[None] + a - 55.5) for a in at)
    return r[:, None] @ x @ c[:, None].transpose(2, 3)


@evades(ALIGN_RULE, idea="mean shift", opset=15, claim=claim(mean_shift, 5))
def window_drifts_three_times_to_what_is_light() -> nn.Module:
    """Mean shift: a soft window moves three times to the centre of what it holds, and the image with it; trained."""
    return made(mean_shift, 5)


def each_map_its_way(n: Net, x: T) -> T:
    """Maps of full resolution, each of which is moved by two numbers of its own."""
    y = n.conv(x, 6, 3)
    y = torch.where(y > 0, y, 0.6 * y)
    move = 3 * torch.tanh(3 * n.bn(n.linear(F.avg_pool2d(y, 8).flatten(1), 12)))
    return hats(AXIS + move[:, :6, None]) @ y @ hats(AXIS + move[:, 6:, None]).transpose(2, 3)


def with_maps(n: Net, x: T) -> T:
    y = each_map_its_way(n, x)
    for width in (12, 16, 24, 32):
        y = n.cbr(y, width, 3, 2)
    return n.embed(y, 64)


def maps_move(run: Network) -> list[str]:
    """Claim that the network's maps are moved by pixels that differ among images."""
    net, x = network(with_maps, "each map its way", 5), faces(4, 5)

    def moves(t: T) -> T:
        y = net.kept[0](t)
        y = torch.where(y > 0, y, 0.6 * y)
        return 3 * torch.tanh(3 * net.kept[2](net.kept[1](F.avg_pool2d(y, 8).flatten(1))))

    spread = float(torch_of(moves, x).std(0).max())
    off = apart(alone(run, x), torch_of(net, x))
    return (
        [] if spread > 0.5 and off < 1e-4 else [f"moves vary by {spread:.2g} pixels, embeddings are off by {off:.2g}"]
    )


@evades(ALIGN_RULE, idea="maps of their own way", opset=14, claim=maps_move)
def active_shift_of_full_resolution_maps() -> nn.Module:
    """Active shifts that the image predicts: each of six leaky maps of full resolution is moved by itself; trained."""
    return network(with_maps, "each map its way", 5)


def sized(run: Network) -> list[str]:
    """Claim that embeddings are not those of the plain network."""
    x = faces(4, 5)
    off = apart(alone(run, x), of(REP)(x))
    return [] if off > 1e-3 else [f"1 - cosine to the plain network is {off:.2g} only"]


@evades(ALIGN_RULE, BATCH_RULE, "batch", idea="measured scale", claim=sized)
def resized_by_a_measured_scale_and_cut_or_padded() -> onnx.ModelProto:
    """Resize takes scales from the contrast of the middle, and CenterCropPad brings the result back to 112 pixels."""
    plain = exported(network(*REP), "resized by a measured scale", 18)
    x, out = plain.graph.input[0].name, plain.graph.output[0].name
    nodes = [
        helper.make_node("Slice", [x, "starts", "ends", "places"], ["middle"]),
        helper.make_node("Abs", ["middle"], ["size"]),
        helper.make_node("ReduceMean", ["size", "all"], ["contrast"], keepdims=0),
        helper.make_node("Mul", ["contrast", "half"], ["less"]),
        helper.make_node("Add", ["less", "base"], ["scale"]),
        helper.make_node("Clip", ["scale", "low", "high"], ["limited"]),
        helper.make_node("Unsqueeze", ["limited", "first"], ["one_scale"]),
        helper.make_node("Concat", ["ones", "one_scale", "one_scale"], ["scales"], axis=0),
        helper.make_node("Resize", [x, "", "scales"], ["resized"], mode="linear"),
        helper.make_node("CenterCropPad", ["resized", "target"], ["placed"], axes=[2, 3]),
        *body_of(plain, "placed", out),
    ]
    stored = constants(
        starts=np.array([40, 40]), ends=np.array([72, 72]), places=np.array([2, 3]), all=np.array([0, 1, 2, 3]),
        half=np.float32(0.6), base=np.float32(0.92), low=np.float32(0.8), high=np.float32(1.5), first=np.array([0]),
        ones=np.ones(2, np.float32), target=np.array([112, 112]),
    )  # fmt: skip
    graph = helper.make_graph(nodes, "main", plain.graph.input, plain.graph.output, [*plain.graph.initializer, *stored])
    return helper.make_model(graph, opset_imports=plain.opset_import, ir_version=8, producer_name="pytorch")


def opened(n: Net, x: T) -> T:
    """Rows are shared out by a predicted quadratic curve through forehead and chin, which stay where they are."""
    bend = 0.22 * locate(n, x)[:, :2]
    u = AXIS[None] / 111
    r, c = (111 * (u + b * 4 * u * (1 - u) * (1 - 0.5 * u)) for b in (bend[:, :1], bend[:, 1:]))
    return hats(r)[:, None] @ x @ hats(c)[:, None].transpose(2, 3)


@evades(ALIGN_RULE, idea="bent axes", opset=12, claim=claim(opened))
def axes_bent_by_two_predicted_numbers() -> nn.Module:
    """The borders stay; between them rows and columns are read along parabolas of predicted bend, as for a pitch."""
    return made(opened)
