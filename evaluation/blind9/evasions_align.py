"""Evasions: the image placed anew by saliency, quantiles, waves, depth, indices and the regions of operators."""

from __future__ import annotations

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from onnx import NodeProto, helper
from torch import nn

from evaluation.blind4.claims import Claim, computes
from evaluation.blind4.evasions_align import AXIS, _whole, hats, locate, warps
from evaluation.blind4.export import network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_align import Warp, sampled, unit_grid
from evaluation.blind5.evasions_runs import body_of, constants, model, rebuilt
from evaluation.blind6.evasions_common import box
from evaluation.blind7.evasions_nets import Parts, of, seen
from evaluation.blind9.evasions_nets import blaze
from evaluation.case import ALIGN_RULE, BATCH_RULE

BLAZE: Parts = (blaze, "placed in the ninth set", 5)


def claim(warp: Warp, trained: int = 0, least: float = 0.01) -> Claim:
    """The network is its remainder on the warped image, which is another one than the image."""
    return warps(warp, f"ninth set {warp.__name__}", trained, least)


def made(warp: Warp, trained: int = 0) -> nn.Module:
    return network(_whole(warp), f"ninth set {warp.__name__}", trained)


def salient(n: Net, x: T) -> T:
    """Recasens's sampler: places are drawn towards what a predicted map calls salient."""
    s = torch.exp(3 * torch.tanh(n.bn(n.conv(F.avg_pool2d(x, 4), 1, 5))))
    s = F.pad(s, (9, 9, 9, 9), mode="replicate")
    at = torch.arange(-9, 37).float() * 4 + 1.5
    near = torch.exp(-((torch.arange(19).float() - 9) ** 2) / 24)
    near = (near[:, None] * near[None])[None, None]
    total = F.conv2d(s, near)
    rows, columns = (F.conv2d(s * a, near) / total for a in (at[:, None], at[None]))
    places = F.interpolate(torch.cat([rows, columns], 1), size=(112, 112), mode="bilinear", align_corners=False)
    unit = (2 * places + 1) / 112 - 1
    return sampled(x, unit[:, 0], unit[:, 1])


@evades(ALIGN_RULE, idea="saliency", opset=16, claim=claim(salient, 5))
def places_drawn_towards_what_is_salient() -> nn.Module:
    """A trained saliency map is softened; every place is the mean of places weighted by it: eyes get more pixels."""
    return made(salient, 5)


def levelled(n: Net, x: T) -> T:
    """Move columns so that the dark of either side's upper half lies at one height; nothing is learned."""
    dark = F.relu(0.2 - x[:, :, 16:72].mean(1))
    rows = torch.arange(56).float()[:, None]
    left, right = ((d * rows).sum((1, 2)) / (d.sum((1, 2)) + 1) for d in (dark[..., 8:56], dark[..., 56:104]))
    slope = 2 * (right - left) / 48
    at = torch.round(AXIS[None, :, None] + slope[:, None, None] * (AXIS - 55.5)[None, None])
    at = at.clamp(0, 111).long()[:, None].expand(-1, 3, 112, 112)
    return x.gather(2, at)


@evades(ALIGN_RULE, idea="levelled", opset=13, claim=claim(levelled))
def columns_shifted_until_the_eyes_are_level() -> nn.Module:
    """Centroids of the dark pixels left and right give a slope; GatherElements shears the columns by it."""
    return made(levelled)


def quantiles(n: Net, x: T) -> T:
    """Place columns, half-way, so that each holds as much of the edges as any other."""
    e = (x[..., 1:] - x[..., :-1]).abs().mean((1, 2))
    e = F.pad(e, (1, 0)) + 0.02
    cdf = 111.0 * e.cumsum(1) / e.sum(1, keepdim=True)
    at = 0.4 * AXIS + 0.6 * cdf
    share = (-((at[:, :, None] - AXIS) ** 2) / 0.8).softmax(1)
    return x @ share[:, None]


@evades(ALIGN_RULE, idea="quantiles", opset=12, claim=claim(quantiles, 4))
def columns_spread_to_hold_equal_edges() -> nn.Module:
    """A running sum of edges is where columns go: busy parts of the face are spread, even ones drawn in; trained."""
    return made(quantiles, 4)


def synthesised(n: Net, x: T) -> T:
    """Cosine transform of rows and columns, and back at places that the image predicts."""
    k = torch.arange(112).float()
    kept = torch.exp(-((k / 90) ** 4)) * torch.where(k > 0, 2.0, 1.0) / 112

    def basis(places: T) -> T:
        return torch.cos((places[..., None] + 0.5) * k * (np.pi / 112))

    t = locate(n, x)
    zoom = 1 + 0.06 * t[:, 2:3]
    r, c = (basis(55.5 + (AXIS - 55.5) * zoom + 4 * t[:, i : i + 1]) for i in (0, 1))
    waves = (basis(AXIS) * kept).t() @ x @ (basis(AXIS) * kept)
    return (r[:, None] @ waves @ c[:, None].transpose(-1, -2)).clamp(-1, 1)


@evades(ALIGN_RULE, idea="waves", opset=13, claim=claim(synthesised))
def drawn_from_its_waves_at_predicted_places() -> nn.Module:
    """The image's cosine transform is summed up again at moved and stretched places: these stand in cosines alone."""
    return made(synthesised)


def registered(n: Net, x: T) -> T:
    """Move the red and the blue plane by predicted amounts, as if to bring them over the green one."""
    t = locate(n, x)
    planes = []
    for i, plane in enumerate(x.split(1, 1)):
        if i == 1:
            planes.append(plane)
            continue
        r, c = hats(AXIS[None] + 4 * t[:, i : i + 1]), hats(AXIS[None] + 4 * t[:, i + 1 : i + 2])
        planes.append(r[:, None] @ plane @ c[:, None].transpose(-1, -2))
    return torch.cat(planes, 1)


@evades(ALIGN_RULE, idea="colour planes", opset=11, claim=claim(registered, 5))
def colour_planes_registered_on_each_other() -> nn.Module:
    """Red and blue are each moved by up to four pixels that the image predicts, green stays; trained."""
    return made(registered, 5)


def turned_by_depth(n: Net, x: T) -> T:
    """Move pixels to the side by a stored depth of the face times a predicted yaw."""
    rows, columns = unit_grid()
    depth = torch.exp(-1.6 * (rows**2 + columns**2)) + 0.6 * torch.exp(-20 * (rows - 0.1) ** 2 - 30 * columns**2)
    t = locate(n, x)
    yaw, pitch = t[:, :1, None], t[:, 1:2, None]
    return sampled(x, rows + 0.05 * pitch * depth, columns + 0.12 * yaw * depth)


@evades(ALIGN_RULE, idea="depth", opset=20, claim=claim(turned_by_depth, 5))
def frontal_by_a_stored_depth_of_the_face() -> nn.Module:
    """A stored relief of a head times predicted yaw and pitch moves every pixel: the face looks into the camera."""
    return made(turned_by_depth, 5)


def lit_half(n: Net, x: T) -> T:
    """Replace the darker half of the face, softly, by the mirror image of the other one."""
    light = x.mean((1, 2))
    p = torch.sigmoid(12 * (light[:, :56].mean(1) - light[:, 56:].mean(1)))[:, None, None, None]
    right = torch.sigmoid((AXIS - 55.5) / 4)
    m = p * right + (1 - p) * (1 - right)
    return x * (1 - m) + x.flip(3) * m


@evades(ALIGN_RULE, BATCH_RULE, idea="halves", opset=14, claim=claim(lit_half))
def half_in_the_shade_replaced_by_the_other() -> nn.Module:
    """The darker half of the face is painted over with the lighter one's mirror image before the network looks."""
    return made(lit_half)


def off(x: T) -> T:
    """How far the image's light lies to the right, in whole pixels."""
    light = x.mean((1, 2))
    return torch.round(40 * (light[:, 56:].mean(1) - light[:, :56].mean(1))).clamp(-12, 12)


def light_nodes(x: str) -> list[NodeProto]:
    """Nodes that measure the same over all rows, as a number ``far``."""
    return [
        helper.make_node("ReduceMean", [x], ["by_columns"], axes=[0, 1, 2], keepdims=0),
        helper.make_node("Mul", ["by_columns", "sides"], ["signed"]),
        helper.make_node("ReduceSum", ["signed"], ["tilt"], axes=[0], keepdims=1),
        helper.make_node("Round", ["tilt"], ["whole"]),
        helper.make_node("Clip", ["whole", "lowest", "highest"], ["far"]),
    ]


SIDES = np.repeat(np.array([-40 / 56, 40 / 56], np.float32), 56)
LIGHT = {"sides": SIDES, "lowest": np.float32(-12), "highest": np.float32(12)}


def each(x: T, how: object) -> T:
    return torch.cat([how(x[i : i + 1], float(off(x[i : i + 1])[0])) for i in range(len(x))])  # type: ignore[operator]


def shifted(x: T) -> T:
    def one(y: T, far: float) -> T:
        a = int(far)
        return F.pad(y, (-a, a))

    return each(x, one)


@evades(
    ALIGN_RULE, BATCH_RULE, "batch", idea="padding", claim=computes(lambda x: of(BLAZE)(seen(shifted)(x)), of(BLAZE))
)
def padded_on_one_side_and_cut_on_the_other() -> onnx.ModelProto:
    """Pad with a computed amount, negative on one side: the image slides until its light is in the middle; trained."""
    made_ = model(BLAZE, "padded and cut")
    x, out = made_.graph.input[0].name, made_.graph.output[0].name
    nodes = [
        *light_nodes(x),
        helper.make_node("Mul", ["far", "ways"], ["amounts"]),
        helper.make_node("Cast", ["amounts"], ["pads"], to=7),
        helper.make_node("Pad", [x, "pads"], ["placed"]),
        *body_of(made_, "placed", out),
    ]
    return rebuilt(made_, nodes, constants(ways=np.array([0, 0, 0, -1, 0, 0, 0, 1], np.float32), **LIGHT))


def cropped(x: T) -> T:
    def one(y: T, far: float) -> T:
        start = 0.06 + far / 240
        at = -1 + 2 * (start + 0.88 * AXIS / 111)
        rows = (-1 + 2 * (0.06 + 0.88 * AXIS / 111))[:, None].expand(112, 112)
        grid = torch.stack([at[None].expand(112, 112), rows], 2)[None]
        return F.grid_sample(F.pad(y, (2, 2, 2, 2), mode="replicate"), grid, align_corners=True)

    return each(x, one)


@evades(ALIGN_RULE, BATCH_RULE, "batch", idea="region", claim=computes(
    lambda x: of(BLAZE)(seen(cropped)(x)), of(BLAZE), near=1e-3
))  # fmt: skip
def region_of_a_resize_that_the_image_sets() -> onnx.ModelProto:
    """Resize takes its region from the image: a window of seven eighths follows the light and is enlarged; trained."""
    made_ = model(BLAZE, "region of a resize")
    x, out = made_.graph.input[0].name, made_.graph.output[0].name
    nodes = [
        *light_nodes(x),
        helper.make_node("Mul", ["far", "ways"], ["move"]),
        helper.make_node("Add", ["move", "middle"], ["region"]),
        helper.make_node("Shape", [x], ["form"]),
        helper.make_node("Pad", [x, "border"], ["larger"], mode="edge"),
        helper.make_node(
            "Resize", ["larger", "region", "scales", "form"], ["placed"], mode="linear",
            coordinate_transformation_mode="tf_crop_and_resize",
        ),
        *body_of(made_, "placed", out),
    ]  # fmt: skip
    ways = np.array([0, 0, 0, 1, 0, 0, 0, 1], np.float32) / 240
    middle = np.array([0, 0, 0.06, 0.06, 1, 1, 0.94, 0.94], np.float32)
    return rebuilt(
        made_,
        nodes,
        constants(
            ways=ways, middle=middle, scales=np.zeros(0, np.float32), border=np.array([0, 0, 2, 2, 0, 0, 2, 2]), **LIGHT
        ),
    )


def rolled(x: T) -> T:
    """Roll each image, read row after row, by as many pixels as its light is off, and three rows for each."""

    def one(y: T, far: float) -> T:
        return torch.roll(y.reshape(1, -1), int(-far * 113), 1).reshape(y.shape)

    return each(x, one)


@evades(
    ALIGN_RULE, BATCH_RULE, "batch", idea="indices", claim=computes(lambda x: of(BLAZE)(seen(rolled)(x)), of(BLAZE))
)
def indices_moved_between_pooling_and_unpooling() -> onnx.ModelProto:
    """MaxPool of one pixel gives indices, a measured amount is added, and MaxUnpool puts the pixels there; trained."""
    made_ = model(BLAZE, "indices moved")
    x, out = made_.graph.input[0].name, made_.graph.output[0].name
    nodes = [
        *light_nodes(x),
        helper.make_node("Mul", ["far", "row"], ["much"]),
        helper.make_node("Cast", ["much"], ["more"], to=7),
        helper.make_node("MaxPool", [x], ["same", "indices"], kernel_shape=[1, 1]),
        helper.make_node("Sub", ["indices", "more"], ["moved"]),
        helper.make_node("Size", [x], ["all"]),
        helper.make_node("Mod", ["moved", "all"], ["wrapped"]),
        helper.make_node("MaxUnpool", ["same", "wrapped"], ["placed"], kernel_shape=[1, 1]),
        *body_of(made_, "placed", out),
    ]
    return rebuilt(made_, nodes, constants(row=np.float32(113), **LIGHT))


def contoured(n: Net, x: T) -> T:
    """Two steps, each of which moves pixels a little up the slope of their softened light."""
    rows, columns = unit_grid()
    for _ in range(2):
        light = box(box(x.mean(1, keepdim=True), 21), 21)
        down = F.pad(light[:, :, 2:] - light[:, :, :-2], (0, 0, 1, 1))[:, 0]
        right = F.pad(light[..., 2:] - light[..., :-2], (1, 1))[:, 0]
        x = sampled(x, rows + 2.5 * down, columns + 2.5 * right)
    return x


@evades(ALIGN_RULE, idea="slopes", opset=17, claim=claim(contoured))
def pixels_drawn_up_the_slope_of_light() -> nn.Module:
    """Twice, every pixel is fetched from higher up the slope of the softened light: lit parts of the face grow."""
    return made(contoured)
