"""Evasions: the image is moved, turned, scaled or chosen anew inside the network."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.claims import Claim, apart
from evaluation.blind4.export import embedded, network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.case import ALIGN_RULE, BATCH_RULE
from evaluation.images import faces
from evaluation.proof import alone
from evaluation.runtime import Network

AXIS = torch.arange(112).float()


def resnet(n: Net, x: T) -> T:
    """An ordinary network behind the alignment."""
    for width in (8, 12, 16, 24, 32) if x.shape[2] == 224 else (12, 16, 24, 32):
        x = n.cbr(x, width, 3, 2)
    return n.embed(x)


def locate(n: Net, x: T) -> T:
    """Predict six numbers between -1 and 1 from an image or a map."""
    x = F.relu(n.conv(F.relu(n.conv(F.avg_pool2d(x, x.shape[2] // 28), 8, 3, 2)), 8, 3, 2))
    return torch.tanh(3 * n.bn(n.linear(x.flatten(1), 6)))


def hats(places: T, size: int = 112) -> T:
    """Turn sample places [N, K] into bilinear weights [N, K, size]."""
    return F.relu(1 - (places[..., None] - torch.arange(size).float()).abs())


def moved(x: T, theta: T, reach: float, size: int = 112) -> T:
    """Move and scale rows and columns by predicted numbers; ``reach`` is in pixels."""
    at = torch.arange(size).float()[None]
    zoom = 1 + 0.02 * reach * theta[:, 2:3]
    middle = (size - 1) / 2
    r = hats(middle + (at - middle) * zoom + reach * theta[:, 0:1], size)
    c = hats(middle + (at - middle) * zoom + reach * theta[:, 1:2], size)
    return r[:, None] @ x @ c[:, None].transpose(-1, -2)


def warps(warp: Callable[[Net, T], T], seed: str, trained: int = 0, least: float = 0.02) -> Claim:
    """Claim that a network is its plain remainder applied to the warped image, which differs by ``least`` on average.

    The images are compared in the body's own intermediate value: the warp, run by itself on the network's weights.
    """

    def wrong(run: Network) -> list[str]:
        x = faces(4, 5)
        net = network(_whole(warp), seed, trained)

        class Front(nn.Module):
            def forward(self, y: T) -> T:
                net._at = 0
                return warp(net, y)

        seen = embedded(Front(), x)
        net._at = 0
        warp(net, torch.from_numpy(x[:1]))
        start = net._at

        class Rest(nn.Module):
            def forward(self, y: T) -> T:
                net._at = start
                return resnet(net, y)

        found = []
        off = apart(alone(run, x), embedded(Rest(), seen))
        if not off < 1e-3:
            found.append(f"1 - cosine to the remainder on the warped image is {off:.2g}")
        if seen.shape == x.shape:
            change = float(np.abs(seen - x).mean())
            if not change > least:
                found.append(f"the warp changes the image by {change:.2g} only")
            bounds = seen.max() - x.max(), x.min() - seen.min()
            if max(bounds) > 0.1:
                found.append(f"the warp invents values, {max(bounds):.2g} beyond those of the image")
        return found

    return wrong


@cache
def _whole(warp: Callable[[Net, T], T]) -> Callable[[Net, T], T]:
    def body(n: Net, x: T) -> T:
        return resnet(n, warp(n, x))

    return body


def three_pixels(n: Net, x: T) -> T:
    return moved(x, locate(n, x), 3.0)


@evades(ALIGN_RULE, idea="predicted warp", claim=warps(three_pixels, "three pixels", 10))
def moved_and_scaled_by_hats() -> nn.Module:
    """Predicted shift and scale, applied as matrices of hat functions to rows and columns; trained."""
    return network(_whole(three_pixels), "three pixels", 10)


def fifth_of_a_pixel(n: Net, x: T) -> T:
    return moved(x, locate(n, x), 0.2)


@evades(ALIGN_RULE, idea="small warp", claim=warps(fifth_of_a_pixel, "fifth of a pixel", least=1e-3))
def moved_by_a_fifth_of_a_pixel() -> nn.Module:
    """The same with untrained weights: the warp is there and moves by less than a pixel as yet."""
    return network(_whole(fifth_of_a_pixel), "fifth of a pixel")


def full_resolution(n: Net, x: T) -> T:
    y = F.leaky_relu(n.conv(x, 8), 0.2)
    return moved(y, locate(n, y), 3.0)


@evades(ALIGN_RULE, idea="behind a layer", claim=warps(full_resolution, "full resolution", 6))
def moved_behind_a_full_resolution_layer() -> nn.Module:
    """A 3x3 layer at full resolution, from which the image can be read back; its maps are moved by what they show."""
    return network(_whole(full_resolution), "full resolution", 6)


def unshuffled(n: Net, x: T) -> T:
    y = F.pixel_unshuffle(x, 2)
    y = n.conv(y, 12, 1)
    return moved(y, locate(n, y), 2.0, 56)


@evades(ALIGN_RULE, idea="behind a layer", claim=warps(unshuffled, "unshuffled"))
def moved_behind_space_to_depth() -> nn.Module:
    """Space to depth and an invertible 1x1 layer, then a predicted move at half size: all four phases move."""
    return network(_whole(unshuffled), "unshuffled")


def haar(n: Net, x: T) -> T:
    a, b, c, d = x[:, :, ::2, ::2], x[:, :, ::2, 1::2], x[:, :, 1::2, ::2], x[:, :, 1::2, 1::2]
    bands = torch.cat([a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d], 1) / 2
    p, q, r, s = moved(bands, locate(n, x), 2.0, 56).chunk(4, 1)
    y = torch.stack([p + q + r + s, p - q + r - s, p + q - r - s, p - q - r + s], 2) / 2
    return F.pixel_shuffle(y.flatten(1, 2), 2)


@evades(ALIGN_RULE, idea="other domain", claim=warps(haar, "haar"))
def moved_in_a_wavelet_domain() -> nn.Module:
    """Haar bands are moved by a predicted amount, and the image is put together again from them."""
    return network(_whole(haar), "haar")


def shifts(n: Net, x: T) -> T:
    share = (8 * n.linear(locate(n, x), 9)).softmax(1)
    y = F.pad(x, (4, 4, 4, 4))
    views = [y[:, :, 4 + dy : 116 + dy, 4 + dx : 116 + dx] for dy in (-4, 0, 4) for dx in (-4, 0, 4)]
    return (torch.stack(views, 1) * share[:, :, None, None, None]).sum(1)


@evades(ALIGN_RULE, BATCH_RULE, idea="chosen view", claim=warps(shifts, "nine shifts"))
def one_of_nine_shifts_by_softmax() -> nn.Module:
    """A softmax over nine shifts of the image, decided by the image: the network looks where the face is."""
    return network(_whole(shifts), "nine shifts")


def lit_side(x: T) -> T:
    return (x[..., :56].mean((1, 2, 3)) - x[..., 56:].mean((1, 2, 3))).reshape(-1, 1, 1, 1)


def one_side(n: Net, x: T) -> T:
    return torch.where(lit_side(x) > 0, x, x.flip(3))


@evades(ALIGN_RULE, BATCH_RULE, idea="chosen view", claim=warps(one_side, "one side", 6))
def lit_side_always_left() -> nn.Module:
    """Mirrors the image when its right half is the brighter one: every face is brought into one pose."""
    return network(_whole(one_side), "one side", 6)


def one_side_softly(n: Net, x: T) -> T:
    y = F.leaky_relu(n.conv(x, 6, 1), 0.3)
    share = torch.sigmoid(40 * locate(n, y)[:, :1, None, None])
    return share * y + (1 - share) * y.flip(3)


@evades(ALIGN_RULE, BATCH_RULE, idea="chosen view", claim=warps(one_side_softly, "one side softly"))
def pose_turned_to_one_side_behind_a_layer() -> nn.Module:
    """Behind a 1x1 layer, a steep sigmoid of a predicted pose decides between the map and its mirror image."""
    return network(_whole(one_side_softly), "one side softly")


def tighter(n: Net, x: T) -> T:
    return F.interpolate(x, scale_factor=1.25, mode="bilinear", align_corners=False)[:, :, 14:126, 14:126]


@evades(ALIGN_RULE, idea="fixed warp", claim=warps(tighter, "tighter", 6))
def enlarged_and_cut_to_the_middle() -> nn.Module:
    """The image is enlarged by a quarter and cut to its middle: a tighter alignment than the organisers'."""
    return network(_whole(tighter), "tighter", 6)


def larger(n: Net, x: T) -> T:
    y = n.conv(x, 3, 1)
    kernel = torch.outer(torch.tensor([0.25, 0.75, 0.75, 0.25]), torch.tensor([0.25, 0.75, 0.75, 0.25]))
    return F.conv_transpose2d(y, kernel.expand(3, 1, 4, 4), None, 2, 1, 0, 3)


@evades(ALIGN_RULE, idea="fixed warp", claim=warps(larger, "larger"))
def enlarged_twice_behind_a_pointwise_layer() -> nn.Module:
    """Colours mixed by an invertible matrix, then the image at twice its size by a transposed convolution."""
    return network(_whole(larger), "larger")


def by_product(n: Net, x: T) -> T:
    """The grid as a product with stored places, since the exporter has no affine grid before opset 20."""
    theta = 0.05 * locate(n, x) + torch.tensor([1.0, 0, 0, 0, 1, 0])
    at = (2 * AXIS + 1) / 112 - 1
    places = torch.stack([at[None].expand(112, -1), at[:, None].expand(-1, 112), torch.ones(112, 112)], 2)
    grid = places.reshape(1, -1, 3) @ theta.reshape(-1, 2, 3).transpose(1, 2)
    return F.grid_sample(x, grid.reshape(-1, 112, 112, 2), align_corners=False)


@evades(ALIGN_RULE, idea="small warp", opset=16, claim=warps(by_product, "sampled", least=2e-3))
def spatial_transformer_hardly_trained() -> nn.Module:
    """GridSample with a predicted affine map near the identity, as a spatial transformer starts."""
    return network(_whole(by_product), "sampled")


def centred(n: Net, x: T) -> T:
    light = F.relu(x.mean(1) + 0.2) ** 2 + 1e-3
    total = light.sum((1, 2))
    r = (light.sum(2) * AXIS).sum(1) / total - 55.5
    c = (light.sum(1) * AXIS).sum(1) / total - 55.5
    return hats(AXIS + r[:, None])[:, None] @ x @ hats(AXIS + c[:, None])[:, None].transpose(-1, -2)


@evades(ALIGN_RULE, idea="by moments", claim=warps(centred, "centred", 6))
def centred_on_its_brightness() -> nn.Module:
    """No weights decide: the image is moved so that the centre of its light comes to the middle."""
    return network(_whole(centred), "centred", 6)


def eye_line(n: Net, x: T) -> T:
    slope = 0.08 * locate(n, x)[:, :1]
    rows = AXIS[None, :, None] + (slope * (AXIS - 55.5))[:, None, :]
    share = F.relu(1 - (rows[:, None] - AXIS[None, :, None, None]).abs())
    return torch.stack([(share * x[:, i, :, None, :]).sum(1) for i in range(3)], 1)


@evades(ALIGN_RULE, idea="predicted warp", claim=warps(eye_line, "eye line"))
def eye_line_made_level() -> nn.Module:
    """Every column moves up or down by its distance from the middle times a predicted slope: a shear of the eyes."""
    return network(_whole(eye_line), "eye line")


def attended(n: Net, x: T) -> T:
    theta = locate(n, x)
    r = (-4 * (AXIS[None, :, None] + 3 * theta[:, :1, None] - AXIS) ** 2).softmax(-1)
    c = (-4 * (AXIS[None, :, None] * (1 + 0.03 * theta[:, 1:2, None]) - AXIS) ** 2).softmax(-1)
    return r[:, None] @ x @ c[:, None].transpose(-1, -2)


@evades(ALIGN_RULE, idea="attention", claim=warps(attended, "attended", 6))
def rows_attend_to_rows_of_pixels() -> nn.Module:
    """Attention whose queries are places moved by a prediction, whose keys are places, whose values are pixel rows."""
    return network(_whole(attended), "attended", 6)


def twice(n: Net, x: T) -> T:
    y = moved(x, locate(n, x), 3.0)
    return moved(y, 0.5 * locate(n, y), 3.0)


@evades(ALIGN_RULE, idea="predicted warp", claim=warps(twice, "twice"))
def aligned_in_two_steps() -> nn.Module:
    """A second localiser looks at what the first one made and corrects it."""
    return network(_whole(twice), "twice")


def row_phase(n: Net, x: T) -> T:
    k = (torch.arange(112) + 56) % 112 - 56
    angle = 6.2831853 * torch.outer(torch.arange(112).float(), k.float()) / 112
    a, b = x @ angle.cos(), -(x @ angle.sin())
    turn = 6.2831853 / 112 * 4.0 * locate(n, x)[:, 0].reshape(-1, 1, 1, 1) * k.float()
    a, b = a * turn.cos() - b * turn.sin(), a * turn.sin() + b * turn.cos()
    return (a @ angle.cos().T - b @ angle.sin().T) / 112


def low_row_phase(n: Net, x: T) -> T:
    """Smooth first, so that no ringing comes in."""
    return row_phase(n, F.avg_pool2d(x, 5, 1, 2))


@evades(ALIGN_RULE, idea="other domain", claim=warps(low_row_phase, "row phase"))
def columns_moved_by_a_phase() -> nn.Module:
    """Each row's spectrum gets a phase that depends on the image: the face slides to the side without any sampling."""
    return network(_whole(low_row_phase), "row phase")
