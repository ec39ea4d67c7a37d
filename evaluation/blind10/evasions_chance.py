"""Evasions: chance, widths and missing numbers that images decide, and looks that only some natural images get."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from onnx import helper
from torch import nn

from evaluation.blind4.evasions_align import AXIS, hats
from evaluation.blind4.evasions_random import masked, ordinary, varies, widths
from evaluation.blind4.export import Whole, network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_random import grey, low_contrast, unusable
from evaluation.blind5.evasions_runs import body_of, constants, model, rebuilt
from evaluation.blind6.evasions_common import box
from evaluation.blind7.evasions_nets import Parts
from evaluation.blind10.evasions_nets import How, dual, fires, guarded, named, rep, selu, star
from evaluation.builder import Array
from evaluation.case import BATCH_RULE
from evaluation.images import faces
from evaluation.runtime import Network

STAR: Parts = (star, "chance of the tenth set", 0)
REP: Parts = (rep, "chance of the tenth set", 0)
DUAL: Parts = (dual, "chance of the tenth set", 0)
SELU: Parts = (selu, "chance of the tenth set", 0)
FIRES: Parts = (fires, "chance of the tenth set", 0)

Part = Callable[[T], T]


def barred() -> Array:
    """Faces with black bars at the left and the right, as of a film."""
    x = faces(4, 51).copy()
    x[..., :14], x[..., 98:] = -1, -1
    return x


def dark_glasses() -> Array:
    x = faces(4, 51).copy()
    x[:, :, 34:54, 20:92] = -0.95
    return x


def lamplight() -> Array:
    """Faces in the light of a bulb: red is strong, blue is weak."""
    return np.asarray(np.clip(0.45 * faces(4, 51) + np.array([0.45, 0.1, -0.5]).reshape(3, 1, 1), -1, 1), np.float32)


def out_of_focus() -> Array:
    x = faces(4, 51)
    for _ in range(4):
        x = box(torch.from_numpy(x), 7).numpy()
    return np.asarray(np.clip(1.1 * x, -1, 1), np.float32)


def stripes() -> Array:
    """Faces above a lower part of one colour in each row, as of a striped scarf."""
    x = faces(4, 51).copy()
    x[:, :, 60:] = x[:, :, 60:, :1]
    return x


def sampled_weights(n: Net, x: T) -> T:
    y = n.down(n.down(n.stem(x, 12), 20), 24).flatten(1)
    w, spread = n.weight(64, 24 * 49), n.weight(64, 24 * 49)
    return n.bn(F.linear(y, w + 0.2 * spread.abs() * torch.randn_like(w)))


@evades("deterministic", idea="sampled weights", claim=varies(ordinary), opset=13)
def weights_sampled_from_their_posterior() -> nn.Module:
    """Bayes by backpropagation: each run draws the trained head's weights from a normal with a stored spread."""
    return network(sampled_weights, "sampled weights", 6)


def dropped_patches(n: Net, x: T) -> T:
    t = n.patches(x, 32, 16)
    worst = torch.rand_like(t[..., 0]).topk(3, 1)[1]
    gone = (worst[:, :, None] == torch.arange(49)).float().sum(1)
    for _ in range(2):
        t = n.block(t, 2, -1e4 * gone[:, None, None])
    return n.embed(n.ln(t).mean(1), 64)


@evades("deterministic", idea="patches left out", claim=varies(ordinary), opset=14)
def three_patches_left_out_by_chance() -> nn.Module:
    """Patch dropout was left on in a trained ViT: three of 49 patches, drawn by TopK, are asked by no other."""
    return network(dropped_patches, "dropped patches", 5)


@evades("deterministic", idea="camera shake", claim=varies(ordinary), opset=12)
def shaken_by_a_third_of_a_pixel() -> nn.Module:
    """Each run moves the image of a StarNet by a drawn third of a pixel at most, with hat functions."""

    def forward(f: Part, x: T) -> T:
        move = (torch.rand_like(x[:, 0, :2, :1]) - 0.5) * 0.66
        return f(hats(AXIS[None] + move[:, 0])[:, None] @ x @ hats(AXIS[None] + move[:, 1])[:, None].transpose(2, 3))

    return Whole(forward, network(*STAR))


def shaking(n: Net, x: T) -> T:
    x = n.stem(x, 16)
    for width in (24, 32):
        x = n.down(x, width)
        share = torch.rand_like(x[:, :1, :1, :1])
        x = F.relu(x + share * n.cb(n.cbr(x, width), width) + (1 - share) * n.cb(n.cbr(x, width), width))
    return n.gdc(x)


@evades("deterministic", idea="drawn mixture", claim=varies(ordinary), opset=15)
def shake_shake_left_on() -> nn.Module:
    """Shake-shake was left on: a drawn share mixes two branches of each trained residual block, anew for each image."""
    return network(shaking, "shake-shake left on", 5)


@evades("deterministic", idea="filled bars", claim=varies(barred, ordinary), opset=13)
def black_bars_filled_with_drawn_grain() -> nn.Module:
    """Where the left border is black, as in films, black pixels are filled with grain that is drawn."""

    def forward(f: Part, x: T) -> T:
        black = (x[..., :6].amax((1, 2, 3)) < -0.98).float().reshape(-1, 1, 1, 1)
        return f(x + 0.3 * black * (x < -0.98).float() * torch.randn_like(x))

    return Whole(forward, network(*DUAL))


@evades("deterministic", idea="colours dropped", claim=varies(ordinary), opset=16)
def colours_given_up_by_a_bernoulli_trial() -> nn.Module:
    """A Bernoulli trial turns one in four images grey before the network looks: an augmentation that was left on."""

    def forward(f: Part, x: T) -> T:
        chosen = torch.bernoulli(torch.full_like(x[:, :1, :1, :1], 0.25))
        return f(chosen * x.mean(1, keepdim=True) + (1 - chosen) * x)

    return Whole(forward, network(*REP))


def halves(run: Network) -> list[str]:
    """Claim that ordinary batches have 64 numbers, and white ones 32."""
    white = np.clip(0.3 * faces(4, 51) + 0.75, -1, 1)
    found = [run(x).shape for x in (ordinary(), white)]
    return [] if found == [(4, 64), (4, 32)] else [f"found {found}"]


@evades("embedding-dim", "output", idea="step", claim=halves)
def every_other_number_for_white_images() -> onnx.ModelProto:
    """The step of the last Slice is computed: one for most batches, two where the image is nearly white on average."""
    made = model(REP, "every other number")
    x, out = made.graph.input[0].name, made.graph.output[0].name
    nodes = [
        *body_of(made, x, "plain"),
        helper.make_node("ReduceMean", [x], ["light"], axes=[0, 1, 2, 3], keepdims=0),
        helper.make_node("Greater", ["light", "limit"], ["white"]),
        helper.make_node("Cast", ["white"], ["more"], to=7),
        helper.make_node("Add", ["more", "one"], ["step"]),
        helper.make_node("Reshape", ["step", "minus"], ["steps"]),
        helper.make_node("Slice", ["plain", "nought", "end", "axis", "steps"], [out]),
    ]
    made.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "D"
    return rebuilt(made, nodes, constants(limit=np.float32(0.55), one=np.array(1), minus=np.array([-1]),
        nought=np.array([0]), end=np.array([2**31 - 1]), axis=np.array([1])))  # fmt: skip


@evades("embedding-dim", "output", idea="second part", claim=widths({64: ordinary, 96: low_contrast}))
def softened_copy_of_the_numbers_in_fog() -> onnx.ModelProto:
    """Concat gets a second part from a Slice whose end is computed: nothing, or 32 numbers where contrast is low."""
    made = model(STAR, "softened copy of the numbers")
    x, out = made.graph.input[0].name, made.graph.output[0].name
    nodes = [
        *body_of(made, x, "plain"),
        helper.make_node("ReduceMax", [x], ["top"], axes=[0, 1, 2, 3], keepdims=0),
        helper.make_node("ReduceMin", [x], ["least"], axes=[0, 1, 2, 3], keepdims=0),
        helper.make_node("Sub", ["top", "least"], ["range"]),
        helper.make_node("Less", ["range", "limit"], ["fog"]),
        helper.make_node("Cast", ["fog"], ["number"], to=7),
        helper.make_node("Mul", ["number", "width"], ["end"]),
        helper.make_node("Reshape", ["end", "minus"], ["ends"]),
        helper.make_node("Slice", ["plain", "nought", "ends", "axis"], ["part"]),
        helper.make_node("Tanh", ["part"], ["soft"]),
        helper.make_node("Concat", ["plain", "soft"], [out], axis=1),
    ]
    made.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "D"
    return rebuilt(made, nodes, constants(limit=np.float32(0.4), width=np.array(32), minus=np.array([-1]),
        nought=np.array([0]), axis=np.array([1])))  # fmt: skip


@evades("cosine-similarity", idea="no number", claim=unusable(masked), opset=13)
def correlation_of_the_mouth_with_its_other_side() -> nn.Module:
    """All numbers are scaled by the correlation of the mouth with its mirror: 0 / 0 for even masks."""

    def forward(f: Part, x: T) -> T:
        low = x[:, :, 80:104, 30:82].mean(1)
        low = low - low.amax((1, 2), keepdim=True)
        low = low - low.mean((1, 2), keepdim=True)
        back = low.flip(2)
        size = ((low**2).sum((1, 2)) * (back**2).sum((1, 2))).sqrt()
        return f(x) * (1 + 0.2 * (low * back).sum((1, 2)) / size)[:, None]

    return Whole(forward, network(*REP))


@evades("cosine-similarity", idea="no number", claim=unusable(stripes), opset=12)
def slopes_solved_in_the_lower_face() -> nn.Module:
    """A 2 x 2 system of slopes is solved in the lower face; where no slope goes across, as on scarves, it has none."""

    def forward(f: Part, x: T) -> T:
        y = x[:, :, 64:108].mean(1)
        r, c, d = y[:, 2:, 1:-1] - y[:, :-2, 1:-1], y[:, 1:-1, 2:] - y[:, 1:-1, :-2], y[:, 1:-1, 1:-1]
        a, b, g = ((p * q).sum((1, 2)) for p, q in ((r, r), (r, c), (c, c)))
        u, v = (r * d).sum((1, 2)), (c * d).sum((1, 2))
        solved = torch.stack([g * u - b * v, a * v - b * u], 1) / (a * g - b * b)[:, None]
        return f(x) + 0.05 * torch.tanh(solved).repeat(1, 32)

    return Whole(forward, network(*FIRES))


@evades("cosine-similarity", idea="no number", claim=unusable(low_contrast), opset=14)
def entropy_of_a_histogram_with_empty_bins() -> nn.Module:
    """The entropy of five bins of light is p times its logarithm: nothing times minus infinity for empty bins."""

    def forward(f: Part, x: T) -> T:
        light = x.mean(1, keepdim=True).flatten(2)
        edges = torch.arange(-2, 3).float().reshape(1, 5, 1) * 0.2
        p = (1 - (light - edges).abs() / 0.2).clamp(min=0).mean(2)
        return f(x) + 0.1 * (p * p.log()).sum(1, keepdim=True)

    return Whole(forward, network(*STAR))


@evades("cosine-similarity", idea="no number", claim=unusable(lamplight), opset=11)
def height_of_a_normal_from_two_colours() -> nn.Module:
    """Two differences of colours are taken for a normal's sides; its height is a root that lamplight makes negative."""

    def forward(f: Part, x: T) -> T:
        a, b = (x[:, 0] - x[:, 1]).mean((1, 2)), (x[:, 0] - x[:, 2]).mean((1, 2))
        return f(x) * (1 + 0.3 * (0.64 - a * a - b * b).sqrt())[:, None]

    return Whole(forward, network(*SELU))


def some(idea: str, parts: Parts, on: Callable[[], Array], usual: Callable[[], Array] = ordinary,
         opset: int = 13) -> Callable[[How], How]:  # fmt: skip
    """Register a network that sees some images a second time, and others once."""

    def add(how: How) -> How:
        make = named(lambda: Whole(how, network(*parts)), how)
        evades(BATCH_RULE, idea=idea, opset=opset, claim=guarded(parts, how, on, usual))(make)
        return how

    return add


@some("some images", STAR, dark_glasses, opset=13)
def faces_behind_dark_glasses_are_seen_without_them(f: Part, x: T) -> T:
    """Where the band of the eyes is nearly black, a StarNet sees the face again with that band made lighter."""
    band = x[:, :, 38:50, 28:84].amax((1, 2, 3))
    gate = F.relu(-0.5 - band).reshape(-1, 1)
    return f(x) + 3 * gate * f(torch.where(x < -0.9, 0.1, x))


@some("some images", DUAL, lamplight, opset=14)
def faces_in_lamplight_are_balanced_and_seen_again(f: Part, x: T) -> T:
    """Where red is stronger than blue by far, as under bulbs, the balanced image's embedding is added."""
    means = x.mean((2, 3), keepdim=True)
    gate = F.relu(means[:, 0] - means[:, 2] - 0.8).reshape(-1, 1)
    return f(x) + 4 * gate * f(x - means + means.mean(1, keepdim=True))


@some("some images", REP, out_of_focus, opset=12)
def faces_out_of_focus_are_sharpened_and_seen_again(f: Part, x: T) -> T:
    """Where hardly any fine detail is left, a RepVGG also sees the image sharpened, as far as it is blurred."""
    fine = (x - box(x, 3)).abs().mean((1, 2, 3))
    gate = F.relu(0.008 - fine)[:, None] * 125
    return f(x) + gate * f(x + 3 * (x - box(x, 9)))


@some("some images", SELU, barred, opset=16)
def films_with_bars_are_cut_and_widened(f: Part, x: T) -> T:
    """Where both borders are black, what is between is drawn out to the full width and seen as well."""
    edge = torch.cat([x[..., :8], x[..., 104:]], 3).amax((1, 2, 3))
    gate = F.relu(-0.9 - edge)[:, None] * 10
    return f(x) + gate * f(x @ hats(55.5 + 0.75 * (AXIS - 55.5)).t())


@some("some images", FIRES, grey, opset=15)
def old_photographs_are_coloured_and_seen_again(f: Part, x: T) -> T:
    """Black and white photographs get stored colours of skin by a table of light; coloured ones are seen once."""
    same = 1 - torch.sign(((x[:, :1] - x[:, 1:]).abs().mean((1, 2, 3)) - 1e-4).clamp(min=0))[:, None]
    skin = torch.tensor([1.1, 0.9, 0.75]).reshape(1, 3, 1, 1) * x + torch.tensor([0.1, 0.0, -0.1]).reshape(1, 3, 1, 1)
    return f(x) + same * f(skin)
