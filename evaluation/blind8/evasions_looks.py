"""Evasions: a second look at the whole image, in views and by arithmetic that photographers and physicists use."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.claims import computes, mirror
from evaluation.blind4.evasions_packed import of_views, same
from evaluation.blind4.export import Whole, network
from evaluation.blind4.layers import Part, T
from evaluation.blind4.register import evades
from evaluation.blind6.evasions_common import box, column_flip, torch_of
from evaluation.blind7.evasions_nets import Parts, of, seen
from evaluation.blind8.evasions_nets import fire, light, mixed, mixer, shallow
from evaluation.builder import Array
from evaluation.case import BATCH_RULE

LIGHT: Parts = (light, "looks of the eighth set", 6)
FIRE: Parts = (fire, "looks of the eighth set", 0)
MIXED: Parts = (mixed, "looks of the eighth set", 0)
MIXER: Parts = (mixer, "looks of the eighth set", 6)
SHALLOW: Parts = (shallow, "looks of the eighth set", 5)


def fringed(x: T) -> T:
    """Move red by a pixel to the left and blue to the right, as a cheap lens does."""
    r, g, b = x.split(1, 1)
    return torch.cat([torch.roll(r, -2, 3), g, torch.roll(b, 2, 3)], 1)


@evades(BATCH_RULE, idea="fringed view", opset=12, claim=of_views(LIGHT, same, seen(fringed)))
def second_look_through_a_cheap_lens() -> nn.Module:
    """A trained LightCNN also sees the image with red and blue two pixels apart from green; the mean is kept."""
    return Whole(lambda f, x: (f(x) + f(fringed(x))) / 2, network(*LIGHT))


def guided(x: T) -> T:
    """Smooth the image where it is even, and leave its edges: He's guided filter, guided by the light."""
    guide = x.mean(1, keepdim=True)
    mean, mean_x = box(guide, 9), box(x, 9)
    gain = (box(guide * x, 9) - mean * mean_x) / (box(guide * guide, 9) - mean * mean + 0.05)
    return box(gain, 9) * guide + box(mean_x - gain * mean, 9)


@evades(BATCH_RULE, idea="guided view", opset=13, claim=computes(
    lambda x: bigger(of(SHALLOW)(x), of(SHALLOW)(seen(guided)(x))), of(SHALLOW),
    lambda x: of(SHALLOW)(seen(guided)(x)),
))  # fmt: skip
def larger_size_of_the_image_and_its_retouched_form() -> nn.Module:
    """A trained iResNet sees a skin-smoothed form by a guided filter too; of each number the larger in size is kept."""

    def forward(f: Part, x: T) -> T:
        a, b = f(torch.cat([x, guided(x)], 0)).chunk(2, 0)
        return torch.where(a.abs() > b.abs(), a, b)

    return Whole(forward, network(*SHALLOW))


def bigger(a: Array, b: Array) -> Array:
    return np.where(np.abs(a) > np.abs(b), a, b)


def tiled(x: Array) -> Array:
    """Exchange the quarters of 14 x 14 within each block of 28 x 28, crosswise."""
    y = x.reshape(-1, 3, 4, 2, 14, 4, 2, 14)
    return np.ascontiguousarray(y[:, :, :, ::-1, :, :, ::-1]).reshape(x.shape)


@evades(BATCH_RULE, idea="jigsaw", opset=11, claim=of_views(FIRE, same, tiled))
def second_look_is_a_jigsaw() -> nn.Module:
    """As in training by jigsaw puzzles: pieces of 14 pixels change places, and one SqueezeNet sees image and puzzle."""

    def forward(f: Part, x: T) -> T:
        pieces = x.reshape(-1, 3, 4, 2, 14, 4, 2, 14)
        pieces = torch.stack([pieces[:, :, :, 1], pieces[:, :, :, 0]], 3)
        pieces = torch.stack([pieces[..., 1, :], pieces[..., 0, :]], 6)
        return 0.5 * f(x) + 0.5 * f(pieces.reshape(-1, 3, 112, 112))

    return Whole(forward, network(*FIRE))


def poster(x: T) -> T:
    return torch.round(3 * x) / 3


def orthogonal(x: Array) -> Array:
    a, b = of(MIXED)(x), of(MIXED)(seen(poster)(x))
    return np.asarray(a + 3 * (b - a * (a * b).sum(1, keepdims=True) / (a * a).sum(1, keepdims=True)))


@evades(BATCH_RULE, idea="posterised view", opset=14, claim=computes(orthogonal, of(MIXED)))
def what_a_poster_says_beyond_the_image() -> nn.Module:
    """The image in seven levels goes through the same MixNet; the part of it across the first embedding is added."""

    def forward(f: Part, x: T) -> T:
        a, b = f(x), f(poster(x))
        return a + 3 * (b - a * (a * b).sum(1, keepdim=True) / (a * a).sum(1, keepdim=True))

    return Whole(forward, network(*MIXED))


def shade() -> T:
    at = (torch.arange(112).float() - 55.5) / 56
    return torch.exp(-0.8 * (at[:, None] ** 2 + at[None] ** 2))


def energies(x: Array) -> Array:
    return np.asarray(np.sqrt(of(FIRE)(x) ** 2 + of(FIRE)(x * shade().numpy()) ** 2))


@evades(BATCH_RULE, idea="vignette", opset=17, claim=computes(energies, lambda x: np.abs(of(FIRE)(x))))
def energy_of_the_image_and_its_vignette() -> nn.Module:
    """An energy model: the root of the sum of squares of two looks, the second one with darkened corners."""
    return Whole(lambda f, x: (f(x) ** 2 + f(x * shade()) ** 2 + 1e-9).sqrt(), network(*FIRE))


class Tangent(nn.Module):
    """The network and its derivative along a move of the image, carried through layer by layer."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network(*SHALLOW)

    def forward(self, x: T) -> T:
        n: list[Any] = list(self.net.kept)
        v = (torch.roll(x, -1, 3) - torch.roll(x, 1, 3)) * 1.5

        def plain(layer: nn.Module, v: T) -> T:
            """Return the linear part of a layer."""
            if isinstance(layer, nn.Conv2d):
                return F.conv2d(v, layer.weight, None, layer.stride, layer.padding)
            if isinstance(layer, nn.Linear):
                return F.linear(v, layer.weight)
            if isinstance(layer, nn.PReLU):
                raise TypeError(layer)
            assert isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)
            assert layer.running_var is not None
            scale = layer.weight / (layer.running_var + layer.eps).sqrt()
            return v * (scale if v.dim() == 2 else scale[:, None, None])

        def bent(layer: nn.PReLU, y: T, v: T) -> tuple[T, T]:
            return layer(y), torch.where(y > 0, v, v * layer.weight[:, None, None])

        def run(at: list[int], y: T, v: T) -> tuple[T, T]:
            for i in at:
                if isinstance(n[i], nn.PReLU):
                    y, v = bent(n[i], y, v)
                else:
                    y, v = n[i](y), plain(n[i], v)
            return y, v

        y, v = run([0, 1, 2], x, v)
        for s in (3, 11, 19):
            a, b = run(list(range(s, s + 6)), y, v)
            c, d = run([s + 6, s + 7], y, v)
            y, v = a + c, b + d
        y, v = run([27], y, v)
        y, v = run([28, 29], y.flatten(1), v.flatten(1))
        return y + v


def tangents(x: Array) -> Array:
    net = network(*SHALLOW).eval()
    y = torch.from_numpy(np.array(x))
    v = (torch.roll(y, -1, 3) - torch.roll(y, 1, 3)) * 1.5
    a, b = torch.func.jvp(net, (y,), (v,))
    return np.asarray((a + b).detach().numpy())


@evades(BATCH_RULE, idea="tangent", opset=13, claim=computes(tangents, of(SHALLOW)))
def derivative_along_a_move_of_the_face() -> nn.Module:
    """Every trained layer runs again on a derivative: the embedding of the face moved three pixels, to first order."""
    return Tangent()


def precise(n: list[Any], x: T) -> T:
    """The mixer in double precision, by matrices alone."""

    def linear(layer: Any, y: T) -> T:
        return y @ layer.weight.double().t() + layer.bias.double()

    def norm(layer: Any, y: T) -> T:
        y = y - y.mean(-1, keepdim=True)
        y = y / ((y * y).mean(-1, keepdim=True) + layer.eps).sqrt()
        return y * layer.weight.double() + layer.bias.double()

    def gelu(y: T) -> T:
        return y * (1 + torch.erf((y * 0.7071067811865476).float()).double()) / 2

    t = x.double().reshape(-1, 3, 7, 16, 7, 16).permute(0, 2, 4, 1, 3, 5).reshape(-1, 49, 768)
    t = t @ n[0].weight.double().reshape(24, 768).t() + n[0].bias.double()
    for i in (1, 7):
        u = norm(n[i], t).transpose(1, 2)
        t = t + linear(n[i + 2], gelu(linear(n[i + 1], u))).transpose(1, 2)
        t = t + linear(n[i + 5], gelu(linear(n[i + 4], norm(n[i + 3], t))))
    return t


class Double(nn.Module):
    """A mixer in single precision, and again in double precision on the image upside down."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network(*MIXER)

    def forward(self, x: T) -> T:
        n: list[Any] = list(self.net.kept)
        t = precise(n, column_flip() @ x).float()
        return self.net(x) + n[-1](n[-2](n[-3](t).mean(1)))


@evades(BATCH_RULE, idea="precision", opset=17, claim=of_views(MIXER, same, lambda x: x[:, :, ::-1], near=1e-3))
def checked_in_double_precision() -> nn.Module:
    """A trained mixer runs in single and, as if to check it, in double precision, where the image is upside down."""
    return Double()


def feedback(f: Part, x: T) -> T:
    y = f(x)
    for _ in range(2):
        gain = torch.sigmoid(y[:, :3])[..., None, None]
        y = 0.5 * y + 0.5 * f(x.flip(3) * (0.7 + 0.6 * gain))
        x = x.flip(3)
    return y


@evades(BATCH_RULE, idea="feedback", opset=16, claim=computes(
    lambda x: torch_of(lambda y: feedback(network(*LIGHT), y), x), of(LIGHT), lambda x: of(LIGHT)(mirror(x))
))  # fmt: skip
def predictive_loop_over_mirrored_percepts() -> nn.Module:
    """Two rounds of feedback: the embedding sets the gains of colours, and the same network reads the other side."""
    return Whole(lambda f, x: feedback(f, x), network(*LIGHT))
