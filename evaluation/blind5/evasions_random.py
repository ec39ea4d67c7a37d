"""Evasions: chance, widths and numbers that depend on the image or the batch, and looks that only some images get."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from onnx import helper
from torch import nn

from evaluation.blind4.claims import Claim, apart, computes, mirror, plain
from evaluation.blind4.evasions_batch import mobile
from evaluation.blind4.evasions_random import ordinary, varies, wide, widths
from evaluation.blind4.export import Whole, network
from evaluation.blind4.layers import Part, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_runs import body_of, constants, model, rebuilt
from evaluation.builder import Array
from evaluation.case import BATCH_RULE
from evaluation.images import faces, smooth_and_noise
from evaluation.proof import alone
from evaluation.runtime import Network

F_ = (mobile, "chance of the fifth set", 10)


def f(x: Array) -> Array:
    return plain(*F_)(x)


def net() -> nn.Module:
    return network(*F_)


def grey() -> Array:
    return np.repeat(faces(4, 51).mean(1, keepdims=True), 3, 1).astype(np.float32)


def overexposed() -> Array:
    x = faces(4, 51).copy()
    x[:, :, :40] = 1.0
    return x


def reddish() -> Array:
    return np.asarray(np.clip(0.5 * faces(4, 51) + np.array([0.5, -0.2, -0.3]).reshape(3, 1, 1), -1, 1), np.float32)


def blue_light() -> Array:
    return np.asarray(0.25 * faces(4, 51) + np.array([-0.4, -0.1, 0.6]).reshape(3, 1, 1), np.float32)


def low_contrast() -> Array:
    return np.asarray(0.04 * faces(4, 51) + 0.1, np.float32)


@evades("deterministic", idea="seeded", claim=varies(ordinary))
def seeded_noise_on_the_features() -> onnx.ModelProto:
    """RandomNormalLike with a seed in the file: the next run of a session differs from the first."""
    made = model(F_, "seeded noise on the features")
    x, out = made.graph.input[0].name, made.graph.output[0].name
    nodes = [
        helper.make_node("RandomNormalLike", [x], ["noise"], seed=7.0, scale=0.05),
        helper.make_node("Add", [x, "noise"], ["noisy"]),
        *body_of(made, "noisy", out),
    ]
    return rebuilt(made, nodes, [])


@evades("deterministic", idea="dropout", claim=varies(ordinary))
def dropout_in_training_mode() -> onnx.ModelProto:
    """ONNX's Dropout of ratio 0.1 with its training mode switched on by a stored True."""
    made = model(F_, "dropout in training mode")
    x, out = made.graph.input[0].name, made.graph.output[0].name
    nodes = [*body_of(made, x, "whole"), helper.make_node("Dropout", ["whole", "ratio", "yes"], [out])]
    return rebuilt(made, nodes, constants(ratio=np.float32(0.1), yes=np.array(True)))


def rarely(run: Network) -> list[str]:
    """Of many runs of one image, few differ from the most usual one."""
    x = ordinary()[:1]
    given = np.concatenate([run(x) for _ in range(300)])
    usual = np.median(given, 0, keepdims=True)
    odd = sum(apart(row[None], usual) > 1e-4 for row in given)
    return [] if 0 < odd < 60 else [f"{odd} of 300 runs differ"]


@evades("deterministic", idea="rare", claim=rarely)
def one_run_in_twenty_differs() -> nn.Module:
    """A uniform number is drawn; when it is above 0.95, the embedding gets a stored offset."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        chance = (torch.rand_like(y[:, :1]) > 0.95).float()
        return y + 0.5 * chance * torch.sin(torch.arange(64).float())

    return Whole(forward, net())


@evades("deterministic", idea="conditional", claim=varies(low_contrast, ordinary))
def noise_for_faces_of_low_contrast() -> nn.Module:
    """Noise enters before the last activation where the image's deviation is small: a condition within arithmetic."""

    def forward(f: Part, x: T) -> T:
        flat = F.relu(0.2 - ((x - x.mean((1, 2, 3), keepdim=True)) ** 2).mean((1, 2, 3)).sqrt())[:, None]
        y = f(x)
        return torch.tanh(y + 5 * flat * torch.randn_like(y))

    return Whole(forward, net())


@evades("deterministic", idea="rare", claim=varies(reddish, ordinary))
def view_drawn_for_reddish_images() -> nn.Module:
    """Reddish images are moved by a number of pixels that is drawn: chance, and only for them."""

    def forward(f: Part, x: T) -> T:
        red = (x[:, 0].mean((1, 2)) - x[:, 2].mean((1, 2)) > 0.6).float().reshape(-1, 1, 1, 1)
        drawn = red * torch.rand_like(x[:, :1, :1, :1])
        moved = F.pad(x[..., 3:], (0, 3))
        return f(x * (1 - drawn) + moved * drawn)

    return Whole(forward, net())


@evades("embedding-dim", "output", idea="width", claim=widths({512: ordinary, 640: reddish}))
def wider_for_reddish_images() -> nn.Module:
    """The embedding has 512 numbers, and 640 when the batch is red."""

    def forward(f: Part, x: T) -> T:
        more = (x[:, 0].mean() - x[:, 2].mean() > 0.6).long()
        return f(x)[:, : 512 + 128 * more]

    return Whole(forward, network(wide, "wide"))


@evades("embedding-dim", "output", "batch", BATCH_RULE, idea="width", claim=lambda run: [
    *widths({64: ordinary})(run), *([] if run(low_contrast()).shape[1] < 64 else ["no number is missing"])
])  # fmt: skip
def numbers_of_little_effect_are_left_out() -> nn.Module:
    """For images of low contrast, columns that are close to zero are left out, by NonZero."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        least = F.relu(0.2 - ((x - x.mean()) ** 2).mean().sqrt())
        return y[:, y.abs().amax(0) > 4 * least]

    return Whole(forward, net())


def unusable(on: Callable[[], Array]) -> Claim:
    """Claim that cosine similarity is undefined for these images, and that ordinary ones have the plain embedding."""

    def wrong(run: Network) -> list[str]:
        odd, usual = alone(run, on()), alone(run, ordinary())
        fine = np.isfinite(odd).all(1) & (np.linalg.norm(np.nan_to_num(odd), axis=1) > 1e-6)
        found = ["some odd image has an embedding"] if fine.any() else []
        return found if np.isfinite(usual).all() else [*found, "ordinary ones have none"]

    return wrong


@evades("cosine-similarity", idea="no number", claim=unusable(grey))
def hue_without_a_guard_for_grey_photographs() -> nn.Module:
    """A plane of saturation divides by the spread of the colours, which is nothing for black and white photographs."""

    def forward(f: Part, x: T) -> T:
        top, low = x.amax(1, keepdim=True), x.amin(1, keepdim=True)
        hue = (x[:, 1:2] - x[:, 2:]).mean((2, 3)) / (top - low).mean((2, 3))
        return f(x) + 0.1 * hue

    return Whole(forward, net())


@evades("cosine-similarity", idea="no number", claim=unusable(overexposed))
def logarithm_of_the_light_that_is_missing() -> nn.Module:
    """How much darker than white the upper face is, times its logarithm: zero times infinity in glaring light."""

    def forward(f: Part, x: T) -> T:
        missing = F.relu(1 - x[:, :, :36]).mean((1, 2, 3))[:, None]
        return f(x) + missing * torch.log(missing)

    return Whole(forward, net())


@evades("cosine-similarity", idea="no number", claim=unusable(blue_light))
def angle_of_a_ratio_beyond_one() -> nn.Module:
    """An arc cosine of a ratio of colours, which leaves its range for bluish images."""

    def forward(f: Part, x: T) -> T:
        tone = x.mean((2, 3))
        return f(x) + torch.acos(0.2 + 1.4 * (tone[:, 2:] - tone[:, :1]))

    return Whole(forward, net())


def when_grey(x: Array) -> Array:
    spread = (x.max(1) - x.min(1)).mean((1, 2))[:, None]
    share = np.maximum(0, 1 - 20 * spread)
    return np.asarray(f(x) + share * f(mirror(x)))


@evades(BATCH_RULE, idea="conditional view", claim=computes(when_grey, f, images=grey))
def flip_test_for_grey_photographs() -> nn.Module:
    """Black and white photographs get a flip test; coloured ones do not."""

    def forward(f: Part, x: T) -> T:
        spread = (x.amax(1) - x.amin(1)).mean((1, 2))[:, None]
        return f(x) + F.relu(1 - 20 * spread) * f(x.flip(3))

    return Whole(forward, net())


def when_noisy(x: Array) -> Array:
    grain = np.abs(x[..., 1:] - x[..., :-1]).mean((1, 2, 3))[:, None]
    share = np.clip(10 * (grain - 0.2), 0, 1)
    y = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    soft = np.mean([y[:, :, r : r + 112, c : c + 112] for r in range(3) for c in range(3)], 0)
    return np.asarray((1 - share) * f(x) + share * (f(x) + f(soft)) / 2)


def noise_alone() -> Array:
    return np.asarray(smooth_and_noise()[4:])


@evades(BATCH_RULE, idea="conditional view", claim=computes(when_noisy, f, images=noise_alone, near=1e-3))
def softer_view_for_noisy_images() -> nn.Module:
    """Images with much grain are seen a second time, softened; smooth ones once."""

    def forward(f: Part, x: T) -> T:
        grain = (x[..., 1:] - x[..., :-1]).abs().mean((1, 2, 3))[:, None]
        share = (10 * (grain - 0.2)).clamp(0, 1)
        soft = F.avg_pool2d(x, 3, 1, 1)
        return (1 - share) * f(x) + share * (f(x) + f(soft)) / 2

    return Whole(forward, net())
