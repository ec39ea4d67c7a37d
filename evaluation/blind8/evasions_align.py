"""Evasions: the image, or what can be turned back into it, placed anew by symmetry, lenses, slices and mixtures."""

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
from evaluation.blind5.evasions_runs import body_of, constants, floats
from evaluation.blind7.evasions_nets import Parts, of, seen
from evaluation.blind8.evasions_nets import fire
from evaluation.case import ALIGN_RULE, BATCH_RULE

FIRE: Parts = (fire, "placed in the eighth set", 5)


def claim(warp: Warp, trained: int = 0, least: float = 0.01) -> Claim:
    """The network is its remainder on the warped image, which is another one than the image."""
    return warps(warp, f"eighth set {warp.__name__}", trained, least)


def made(warp: Warp, trained: int = 0) -> nn.Module:
    return network(_whole(warp), f"eighth set {warp.__name__}", trained)


def symmetric(n: Net, x: T) -> T:
    """Compare the image with its mirror image at 17 shifts; bring the axis of the best one to the middle."""
    light = F.avg_pool2d(x.mean(1, keepdim=True), (4, 1))
    light = light - light.mean((2, 3), keepdim=True)
    wide = F.pad(light.flip(3), (16, 16))
    fits = torch.stack([(wide[..., 2 * i : 2 * i + 112] * light).mean((1, 2, 3)) for i in range(17)], 1)
    share = (fits / (light * light).mean((1, 2, 3))[:, None] * 12).softmax(1)
    shift = share @ (torch.arange(17).float() - 8)
    c = hats(AXIS[None] - shift[:, None])
    return x @ c[:, None].transpose(-1, -2)


@evades(ALIGN_RULE, idea="symmetry", opset=13, claim=claim(symmetric, 5))
def axis_of_symmetry_brought_to_the_middle() -> nn.Module:
    """The image is correlated with its mirror image; the axis about which it is most even comes to the middle."""
    return made(symmetric, 5)


def moebius(n: Net, x: T) -> T:
    """A conformal map of the disc about a predicted point."""
    t = 0.12 * locate(n, x)
    a, b = t[:, 0, None, None], t[:, 1, None, None]
    rows, columns = (0.7 * v for v in unit_grid())
    top = columns - a, rows - b
    low = 1 - a * columns - b * rows, b * columns - a * rows
    size = low[0] ** 2 + low[1] ** 2
    u, v = (top[0] * low[0] + top[1] * low[1]) / size, (top[1] * low[0] - top[0] * low[1]) / size
    return sampled(x, v / 0.7, u / 0.7)


@evades(ALIGN_RULE, idea="conformal", opset=16, claim=claim(moebius, 5))
def moebius_map_about_a_predicted_point() -> nn.Module:
    """A Möbius map of the plane of the face, an automorphism of the disc, about a point that the image predicts."""
    return made(moebius, 5)


def swirl(n: Net, x: T) -> T:
    """Turn the middle of the face by a predicted angle, its rim not at all."""
    t = locate(n, x)
    rows, columns = unit_grid()
    angle = 0.35 * t[:, :1, None] * torch.exp(-1.5 * (rows**2 + columns**2))
    return sampled(x, angle.sin() * columns + angle.cos() * rows, angle.cos() * columns - angle.sin() * rows)


@evades(ALIGN_RULE, idea="swirl", opset=17, claim=claim(swirl))
def inner_face_turned_by_a_predicted_angle() -> nn.Module:
    """The eyes and the nose are turned by a predicted angle, which fades out towards the rim."""
    return made(swirl)


def closing(n: Net, x: T) -> T:
    """Move the rows below the nose up by a predicted amount, as if the mouth were closed."""
    t = locate(n, x)
    lower = torch.sigmoid((AXIS - 72) / 4)
    r = hats(AXIS[None] + lower * (3 + 4 * t[:, :1]))
    return r[:, None] @ x


@evades(ALIGN_RULE, idea="expression", opset=11, claim=claim(closing, 4))
def mouth_closed_before_the_network_looks() -> nn.Module:
    """Neutral expression: the rows below the nose are drawn up by an amount that the image predicts; trained."""
    return made(closing, 4)


def zoomed(n: Net, x: T) -> T:
    """Mix five stored matrices of zoom by a predicted softmax, and apply the mixture to rows and columns."""
    p = (2 * locate(n, x)[:, :5]).softmax(1)
    books = torch.stack([hats(55.5 + (AXIS - 55.5) * z) for z in (0.8, 0.88, 1.0, 1.08, 1.16)])
    w = torch.einsum("nk,kij->nij", p, books)[:, None]
    return w @ x @ w.transpose(-1, -2)


@evades(ALIGN_RULE, idea="mixture of matrices", opset=12, claim=claim(zoomed))
def five_stored_zooms_mixed_by_the_image() -> nn.Module:
    """Five stored matrices enlarge or reduce; a softmax of the image mixes them into the one that is applied."""
    return made(zoomed)


def coupled(n: Net, x: T) -> T:
    """Two additive coupling layers: nothing of the image is lost."""
    a, b = x[:, :2], x[:, 2:]
    b = b + 0.5 * F.relu(n.conv(a, 2, 3))
    return torch.cat([a + 0.5 * torch.tanh(n.conv(b, 2, 3)), b], 1)


def flowing(n: Net, x: T) -> T:
    """Reversible layers, and what they give is turned and moved as predicted."""
    y = coupled(n, coupled(n, torch.cat([x, x.mean(1, keepdim=True)], 1)).flip(1))
    t = locate(n, y)
    rows, columns = unit_grid()
    b = 0.12 * t[:, :1, None]
    return sampled(y, rows - b * columns + 0.06 * t[:, 1:2, None], columns + b * rows + 0.06 * t[:, 2:3, None])


@evades(ALIGN_RULE, idea="behind reversible layers", opset=16, claim=claim(flowing, 4))
def turned_behind_reversible_layers() -> nn.Module:
    """Four couplings of a reversible network keep all of the image; what they give is turned upright; trained."""
    return made(flowing, 4)


def phases(n: Net, x: T) -> T:
    """Enlarge twice, and take of every 2 x 2 pixels the one that a predicted choice says."""
    wide = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
    wide = F.pad(wide, (4, 4, 4, 4), mode="replicate")
    p = (3 * locate(n, x)[:, :4]).softmax(1)
    looks = [wide[:, :, i : i + 224 : 2, j : j + 224 : 2] for i, j in ((0, 0), (0, 8), (8, 0), (8, 8))]
    return sum(p[:, k, None, None, None] * v for k, v in enumerate(looks))


@evades(ALIGN_RULE, BATCH_RULE, idea="double size", opset=14, claim=claim(phases))
def thinned_out_again_from_a_chosen_corner() -> nn.Module:
    """The image at twice its size is thinned out again, from one of four corners, softly chosen by a prediction."""
    return made(phases)


def circular(n: Net, x: T) -> T:
    """Roll rows and columns so that the circular mean of the light comes to the middle, by places modulo 112."""
    light = F.relu(x.mean(1) + 0.5)
    wave = AXIS * (2 * np.pi / 112)
    for axis, dim in ((2, 1), (3, 2)):
        share = light.sum(3 - dim)
        away = torch.atan((share * torch.sin(wave - np.pi)).sum(1) / ((share * torch.cos(wave - np.pi)).sum(1) - 1e3))
        shift = torch.round(away * (112 / (2 * np.pi)) * 20)
        at = torch.remainder(AXIS[None] - shift[:, None], 112.0).long()
        shape = (-1, 1, 112, 1) if axis == 2 else (-1, 1, 1, 112)
        x = x.gather(axis, at.reshape(shape).expand(-1, 3, 112, 112))
    return x


@evades(ALIGN_RULE, idea="circular mean", opset=13, claim=claim(circular))
def rolled_by_the_circular_mean_of_light() -> nn.Module:
    """Rows and columns are rolled by an angle of the light's first wave: GatherElements at places modulo 112."""
    return made(circular)


@cache
def corners() -> onnx.ModelProto:
    """Return a network that predicts a corner between 0 and 12 for each axis."""
    return exported(network(corner, "corner"), "corner of the eighth set", 12)


def corner(n: Net, x: T) -> T:
    y = n.down(n.down(F.avg_pool2d(x, 4), 8), 8)
    return torch.round(6 + 6 * torch.tanh(2 * n.bn(n.linear(y.flatten(1), 2))))


def cut(x: T) -> T:
    at = start(x)
    wide = F.pad(x, (6, 6, 6, 6))
    return torch.stack([w[:, int(a) : int(a) + 112, int(b) : int(b) + 112] for w, (a, b) in zip(wide, at, strict=True)])


def start(x: T) -> T:
    net = network(corner, "corner").eval()
    with torch.no_grad():
        made_: T = net(x)
    return made_


def renamed(nodes: list[onnx.NodeProto], prefix: str, keep: set[str]) -> list[onnx.NodeProto]:
    own = {name for node in nodes for name in node.output} - keep
    for node in nodes:
        node.name = prefix + node.name
        node.input[:] = [prefix + v if v in own else v for v in node.input]
        node.output[:] = [prefix + v if v in own else v for v in node.output]
    return nodes


@evades(ALIGN_RULE, idea="slices", claim=computes(lambda x: of(FIRE)(seen(cut)(x)), of(FIRE)))
def window_cut_in_a_scan_over_the_images() -> onnx.ModelProto:
    """Scan takes one image after the other; each is padded by six pixels and cut by a Slice whose start it predicts."""
    trunk, front = exported(network(*FIRE), "window cut in a scan", 12), corners()
    x, out = trunk.graph.input[0].name, trunk.graph.output[0].name
    stored = {item.name: f"front_{item.name}" for item in front.graph.initializer}
    first = renamed(body_of(front, x, "corner"), "front_", {"corner"})
    for node in first:
        node.input[:] = [stored.get(v, v) for v in node.input]
    weights = list(front.graph.initializer)
    for item in weights:
        item.name = stored[item.name]
    body = helper.make_graph(
        [
            helper.make_node("Pad", ["image", "border"], ["larger"]),
            helper.make_node("Cast", ["where"], ["begin"], to=7),
            helper.make_node("Add", ["begin", "side"], ["end"]),
            helper.make_node("Slice", ["larger", "begin", "end", "axes"], ["piece"]),
            helper.make_node("Reshape", ["piece", "form"], ["window"]),
        ],
        "each", [floats("image"), floats("where")], [floats("window")],
    )  # fmt: skip
    nodes = [
        *first,
        helper.make_node("Scan", [x, "corner"], ["windows"], body=body, num_scan_inputs=2),
        *body_of(trunk, "windows", out),
    ]
    more = constants(
        border=np.array([0, 6, 6, 0, 6, 6]), side=np.array([112, 112]), axes=np.array([1, 2]),
        form=np.array([3, 112, 112]),
    )  # fmt: skip
    sink = helper.make_tensor_value_info(out, TensorProto.FLOAT, ["N", 64])
    graph = helper.make_graph(
        nodes, "main", list(trunk.graph.input), [sink], [*trunk.graph.initializer, *weights, *more]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=7)


def faced(x: T) -> T:
    """Mirror the images whose left half is rougher than the right one."""
    rough = (x[..., 1:] - x[..., :-1]).abs().mean((1, 2))
    turn = rough[:, :55].mean(1) > rough[:, 56:].mean(1)
    return torch.where(turn[:, None, None, None], x.flip(3), x)


@evades(ALIGN_RULE, BATCH_RULE, idea="sequence length", claim=computes(lambda x: of(FIRE)(seen(faced)(x)), of(FIRE)))
def length_of_the_sequence_decides_the_side() -> onnx.ModelProto:
    """ReverseSequence over columns: its length is 112 where the left half is rougher, and 1, nothing, where not."""
    trunk = exported(network(*FIRE), "length of the sequence", 12)
    x, out = trunk.graph.input[0].name, trunk.graph.output[0].name
    nodes = [
        helper.make_node("Slice", [x, "one", "end", "last"], ["right"]),
        helper.make_node("Slice", [x, "zero", "minus", "last"], ["left"]),
        helper.make_node("Sub", ["right", "left"], ["step"]),
        helper.make_node("Abs", ["step"], ["size"]),
        helper.make_node("ReduceMean", ["size"], ["rough"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["rough", "sides"], ["uneven"]),
        helper.make_node("Greater", ["uneven", "none"], ["turn"]),
        helper.make_node("Cast", ["turn"], ["whether"], to=7),
        helper.make_node("Mul", ["whether", "span"], ["more"]),
        helper.make_node("Add", ["more", "least"], ["length"]),
        helper.make_node("Transpose", [x], ["columns"], perm=[0, 3, 1, 2]),
        helper.make_node("ReverseSequence", ["columns", "length"], ["placed"], batch_axis=0, time_axis=1),
        helper.make_node("Transpose", ["placed"], ["face"], perm=[0, 2, 3, 1]),
        *body_of(trunk, "face", out),
    ]
    sides = np.concatenate([np.full(55, 1 / 55), [0], np.full(55, -1 / 55)]).astype(np.float32)
    more = constants(
        one=np.array([1]), end=np.array([112]), last=np.array([3]), zero=np.array([0]), minus=np.array([-1]),
        sides=sides, none=np.float32(0), span=np.array(111), least=np.array(1),
    )  # fmt: skip
    sink = helper.make_tensor_value_info(out, TensorProto.FLOAT, ["N", 64])
    graph = helper.make_graph(nodes, "main", list(trunk.graph.input), [sink], [*trunk.graph.initializer, *more])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=7)
