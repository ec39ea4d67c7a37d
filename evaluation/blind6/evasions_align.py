"""Evasions: the image, or features that still hold it, placed anew by means that look like something else."""

from __future__ import annotations

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.claims import apart
from evaluation.blind4.evasions_align import AXIS, _whole, hats, locate, resnet
from evaluation.blind4.export import network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_align import Warp, claim, sampled, unit_grid
from evaluation.blind6.evasions_common import box, by_dynamo, torch_of
from evaluation.builder import Array
from evaluation.case import ALIGN_RULE
from evaluation.images import faces
from evaluation.runtime import Network


def made(warp: Warp, trained: int = 0) -> nn.Module:
    return network(_whole(warp), f"fifth set {warp.__name__}", trained)


def blown(n: Net, x: T) -> T:
    """Twelve steps of upwind transport: each mixes a pixel with its neighbour on the side the wind comes from."""
    wind = 0.9 * locate(n, x)[:, :2]
    right, down = wind[:, :1, None, None], wind[:, 1:2, None, None]
    for _ in range(12):
        y = F.pad(x, (1, 1, 1, 1), mode="replicate")
        x = x + F.relu(right) * (y[:, :, 1:-1, :-2] - x) + F.relu(-right) * (y[:, :, 1:-1, 2:] - x)
        y = F.pad(x, (1, 1, 1, 1), mode="replicate")
        x = x + F.relu(down) * (y[:, :, :-2, 1:-1] - x) + F.relu(-down) * (y[:, :, 2:, 1:-1] - x)
    return x


@evades(ALIGN_RULE, idea="transport", claim=claim(blown, 4), opset=12)
def blown_by_a_predicted_wind() -> nn.Module:
    """Twelve residual steps of transport, with a predicted wind: the face drifts, and no place is ever computed."""
    return made(blown, 4)


def justified(n: Net, x: T) -> T:
    """Each row rolls until its brightest place stands in the middle."""
    light = F.avg_pool2d(x.mean(1, keepdim=True), (1, 15), 1, (0, 7))[:, 0]
    start = light[:, :, 40:72].argmax(2, keepdim=True) - 16
    at = torch.remainder(torch.arange(112)[None, None] + start, 112)
    return x.gather(3, at[:, None].expand(-1, 3, -1, -1))


@evades(ALIGN_RULE, idea="rows by themselves", opset=13, claim=claim(justified, 4))
def every_row_centred_on_its_brightest_place() -> nn.Module:
    """Each row is rolled by itself, so that its brightest place near the middle comes to the middle."""
    return made(justified, 4)


def upright(n: Net, x: T) -> T:
    """Second moments of the light give an axis; the image is turned until it stands upright."""
    light = F.relu(box(x.mean(1, keepdim=True), 9)[:, 0] + 0.3)
    rows, columns = unit_grid()
    total = light.sum((1, 2)) + 1e-3
    r, c = (light * rows).sum((1, 2)) / total, (light * columns).sum((1, 2)) / total
    dr, dc = rows[None] - r[:, None, None], columns[None] - c[:, None, None]
    across, spread = (light * dr * dc).sum((1, 2)), (light * (dr * dr - dc * dc)).sum((1, 2))
    size = (4 * across**2 + spread**2 + 1e-4).sqrt()
    sine = across / size
    cosine = (1 - sine * sine).sqrt()
    s, k = sine[:, None, None], cosine[:, None, None]
    return sampled(x, k * rows - s * columns, s * rows + k * columns)


@evades(ALIGN_RULE, idea="by moments", opset=16, claim=claim(upright, 4))
def turned_by_its_second_moments() -> nn.Module:
    """No weights decide: the moments of the light give an axis of the face, and the image is turned upright by it."""
    return made(upright, 4)


def orthogonal() -> T:
    return torch.from_numpy(np.linalg.qr(np.random.default_rng(111).normal(0, 1, (48, 48)))[0].astype(np.float32))


def in_patches(n: Net, x: T) -> T:
    """Patches of 4 x 4 by an orthogonal layer hold the image; its maps are moved by up to three patches."""
    y = F.conv2d(x, orthogonal().reshape(48, 3, 4, 4), None, 4)
    t = locate(n, y)
    at = AXIS[None, :28]
    r, c = hats(at + 3 * t[:, :1], 28), hats(13.5 + (at - 13.5) * (1 + 0.15 * t[:, 2:3]) + 3 * t[:, 1:2], 28)
    return r[:, None] @ y @ c[:, None].transpose(-1, -2)


def holds_the_image(run: Network) -> list[str]:
    """As for the other warps; and the transposed layer gives the image back, so nothing was lost before the move."""
    x = torch.from_numpy(faces(2, 5))
    kernel = orthogonal().reshape(48, 3, 4, 4)
    back = F.conv_transpose2d(F.conv2d(x, kernel, None, 4), kernel, None, 4)
    off = float((back - x).abs().max())
    found = claim(in_patches)(run)
    return found if off < 1e-4 else [*found, f"the image is not given back: {off:.2g}"]


@evades(ALIGN_RULE, idea="behind a layer", claim=holds_the_image, opset=17)
def patches_of_an_orthogonal_layer_moved() -> nn.Module:
    """A stem of stride 4 with as many channels as a patch has numbers loses nothing; its maps are moved, stretched."""
    return made(in_patches)


def seven_sixths(n: Net, x: T) -> T:
    """Every pixel becomes seven by a transposed kernel, and every sixth of these is kept."""
    hat = torch.arange(1.0, 8).tolist() + torch.arange(6.0, 0, -1).tolist()
    line = torch.tensor(hat) / 7
    kernel = torch.outer(line, line).expand(3, 1, 13, 13)
    y = F.conv_transpose2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernel, None, 7, 13, 0, 3)
    one = torch.ones(3, 1, 1, 1)
    return F.conv2d(y[:, :, 53:-53, 53:-53], one, None, 6, 0, 1, 3)[:, :, :112, :112]


@evades(ALIGN_RULE, idea="fixed warp", claim=claim(seven_sixths, 4), opset=11)
def seven_sixths_by_two_strides() -> nn.Module:
    """A transposed kernel of stride 7 and a kernel of stride 6: the middle of the image, enlarged by a sixth."""
    return made(seven_sixths, 4)


def fitted(n: Net, x: T) -> T:
    """A stored pattern is looked for near the middle; the image is moved by where it fits best."""
    small = F.avg_pool2d(x, 4)
    score = F.conv2d(small[:, :, 4:24, 4:24], n.weight(1, 3, 12, 12, gain=0.5)).flatten(1)
    share = (8 * (score - score.mean(1, keepdim=True))).softmax(1)
    at = torch.arange(9.0) - 4
    r, c = share @ at.repeat_interleave(9)[:, None], share @ at.repeat(9)[:, None]
    return hats(AXIS + 2 * r)[:, None] @ x @ hats(AXIS + 2 * c)[:, None].transpose(-1, -2)


@evades(ALIGN_RULE, idea="template", claim=claim(fitted, 6), opset=14)
def moved_to_where_a_pattern_fits() -> nn.Module:
    """A learned pattern is correlated with the image; the expected place of the best fit moves the image."""
    return made(fitted, 6)


def registered(n: Net, x: T) -> T:
    """One step of Lucas and Kanade towards a stored mean face."""
    mean = torch.from_numpy(faces(48, 700).mean(0, keepdims=True).astype(np.float32))
    soft, goal = F.avg_pool2d(box(x, 5), 4), F.avg_pool2d(box(mean, 5), 4)
    gr = F.pad(soft[:, :, 2:] - soft[:, :, :-2], (0, 0, 1, 1)) / 2
    gc = F.pad(soft[..., 2:] - soft[..., :-2], (1, 1)) / 2
    off = goal - soft
    a, b, c = (gr * gr).sum((1, 2, 3)), (gr * gc).sum((1, 2, 3)), (gc * gc).sum((1, 2, 3))
    p, q = (gr * off).sum((1, 2, 3)), (gc * off).sum((1, 2, 3))
    det = a * c - b * b + 1e-3
    r, k = (4 * torch.tanh(v / det)[:, None] for v in (c * p - b * q, a * q - b * p))
    return hats(AXIS + r)[:, None] @ x @ hats(AXIS + k)[:, None].transpose(-1, -2)


@evades(ALIGN_RULE, idea="registered", claim=claim(registered), opset=18)
def registered_to_a_stored_mean_face() -> nn.Module:
    """Differences and gradients give the move that brings the image nearest to a stored mean face, and it is moved."""
    return made(registered)


def behind_tones(n: Net, x: T) -> T:
    """Colours mixed, a tone curve, a second mixture: all can be undone; then a predicted shear and move."""
    y = torch.tanh(1.5 * n.conv(x, 4, 1)) + 0.1
    y = n.conv(y, 6, 1)
    t = locate(n, y)
    at = AXIS[None]
    columns = hats(at[:, None] + 2 * t[:, :1, None] + 0.06 * t[:, 1:2, None] * (AXIS - 55.5)[None, :, None])
    y = torch.einsum("nrck,nhrk->nhrc", columns, y)
    return hats(at + 3 * t[:, 2:3])[:, None] @ y


@evades(ALIGN_RULE, idea="behind a layer", opset=12, claim=claim(behind_tones, 4))
def sheared_behind_a_tone_curve() -> nn.Module:
    """Two mixtures of colours and a tone curve between them, all invertible; behind them rows move by a prediction."""
    return made(behind_tones, 4)


def wide_eyes(n: Net, x: T) -> T:
    parts = ((0, 28, 24), (28, 56, 42), (56, 112, 46))
    return torch.cat(
        [F.interpolate(x[:, :, a:b], (size, 112), mode="bilinear", align_corners=False) for a, b, size in parts], 2
    )


@evades(ALIGN_RULE, idea="fixed warp", claim=claim(wide_eyes, 4), opset=13)
def band_of_the_eyes_enlarged() -> nn.Module:
    """Forehead, eyes and the lower face are resized by themselves: the eyes get half as many rows again."""
    return made(wide_eyes, 4)


def of_width(n: Net, x: T) -> T:
    """Predicted widths of sixteen bands of columns, summed up, say where each column comes from."""
    t = locate(n, x)
    widths = (0.7 * n.linear(t, 16)).softmax(1) * 112
    edges = torch.cumsum(widths, 1) - widths
    inside = (AXIS[:7] / 7)[None, None]
    places = (edges[:, :, None] + widths[:, :, None] * inside).flatten(1)
    return x @ hats(places.clamp(0, 111))[:, None].transpose(-1, -2)


@evades(ALIGN_RULE, idea="predicted warp", claim=claim(of_width, 5))
def bands_of_predicted_width() -> onnx.ModelProto:
    """A softmax shares the width out to sixteen bands; their running sum is where columns are read: a trained warp."""
    return by_dynamo(made(of_width, 5), "bands of predicted width")


def glimpse(n: Net, x: T) -> T:
    """DRAW's reading: 56 x 56 Gaussian filters on a grid of predicted centre, step and width."""
    t = locate(n, x)
    at = (torch.arange(56).float() - 27.5)[None]
    step, width = 1.7 + 0.3 * t[:, :1], 0.7 + 0.2 * t[:, 1:2]

    def filters(centre: T) -> T:
        places = 55.5 + 8 * centre + step * at
        share = torch.exp(-((AXIS - places[..., None]) ** 2) / (2 * width[..., None] ** 2))
        return share / (share.sum(2, keepdim=True) + 1e-6)

    return filters(t[:, 2:3])[:, None] @ x @ filters(t[:, 3:4])[:, None].transpose(-1, -2)


def glimpses_differ(run: Network) -> list[str]:
    """As for the other warps; and a glimpse with the middle of the range for every image gives other embeddings."""
    found = claim(glimpse, 5)(run)
    net = network(_whole(glimpse), "fifth set glimpse", 5)

    def still(x: T) -> T:
        net._at = 0
        glimpse(net, x)
        places = 55.5 + 1.7 * (torch.arange(56).float() - 27.5)
        share = torch.exp(-((AXIS - places[:, None]) ** 2) / (2 * 0.7**2))
        share = share / share.sum(1, keepdim=True)
        return resnet(net, share @ x @ share.T)

    x: Array = faces(4, 5)
    off = apart(run(x), torch_of(still, x))
    return found if off > 1e-2 else [*found, f"a glimpse that stays where it is differs by {off:.2g} only"]


@evades(ALIGN_RULE, idea="glimpse", claim=glimpses_differ, opset=20)
def one_glimpse_by_gaussian_filters() -> nn.Module:
    """The network reads the image through one grid of Gaussian filters, as DRAW does, placed by what it shows."""
    return made(glimpse, 5)
