"""Evasions: a second look at the whole face, made by cameras' and painters' means and joined by robust statistics."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.chains import Chain
from evaluation.blind4.claims import Claim, computes
from evaluation.blind4.evasions_align import AXIS
from evaluation.blind4.evasions_packed import of_views, same
from evaluation.blind4.export import Whole, network
from evaluation.blind4.layers import Net, Part, T
from evaluation.blind4.register import evades
from evaluation.blind6.evasions_common import box, by_dynamo, folded, tiles, torch_of
from evaluation.blind7.evasions_nets import Parts, Rerun, by_hand, of, seen
from evaluation.blind9.evasions_nets import blaze, conv_mixer, csp, res2, wide_kernels
from evaluation.builder import Array
from evaluation.case import BATCH_RULE
from evaluation.images import faces

CSP: Parts = (csp, "looks of the ninth set", 6)
MIXER: Parts = (conv_mixer, "looks of the ninth set", 0)
BLAZE: Parts = (blaze, "looks of the ninth set", 6)
RES2: Parts = (res2, "looks of the ninth set", 0)
WIDE: Parts = (wide_kernels, "looks of the ninth set", 5)


def joins(parts: Parts, how: Callable[[Part, T], T], *views: Callable[[T], T]) -> Claim:
    """Claim what a function makes of the plain network, which is none of the single looks."""
    return computes(
        lambda x: torch_of(lambda y: how(network(*parts), y), x),
        of(parts),
        *((lambda x, v=v: of(parts)(seen(v)(x))) for v in views),
    )


def left_face(x: T) -> T:
    """Complete the left half of the face by its mirror image."""
    return torch.cat([x[..., :56], x[..., :56].flip(3)], 3)


def right_face(x: T) -> T:
    return torch.cat([x[..., 56:].flip(3), x[..., 56:]], 3)


@evades(BATCH_RULE, idea="chimeras", opset=13, claim=of_views(CSP, seen(left_face), seen(right_face)))
def two_faces_of_one_half_each() -> nn.Module:
    """A trained CSPNet never sees the face, but two: its left half made whole by mirroring, and its right half."""
    return Whole(lambda f, x: f(torch.cat([left_face(x), right_face(x)])).reshape(2, -1, 64).mean(0), network(*CSP))


def solarised(x: T) -> T:
    """Turn the light parts over, as in overexposed film."""
    return torch.where(x > 0.1, 0.2 - x, x)


def signs_and_sizes(f: Part, x: T) -> T:
    a, b = f(x), f(solarised(x)).abs()
    return torch.where(a > 0, b, -b)


@evades(BATCH_RULE, idea="signs and sizes", opset=11, claim=joins(BLAZE, signs_and_sizes, solarised))
def signs_of_one_look_and_sizes_of_another() -> nn.Module:
    """A trained BlazeFace sees the face and it solarised; the embedding has the signs of one and the sizes of two."""
    return Whole(signs_and_sizes, network(*BLAZE))


def barrel(x: T) -> T:
    """See the image through a lens that bends straight lines outwards."""
    at = (2 * AXIS + 1) / 112 - 1
    r, c = at[:, None].expand(112, 112), at[None].expand(112, 112)
    gain = 0.88 + 0.1 * (r * r + c * c)
    grid = torch.stack([gain * c, gain * r], 2)[None].expand(x.shape[0], 112, 112, 2)
    return F.grid_sample(x, grid, align_corners=False, padding_mode="border")


@evades(BATCH_RULE, idea="lens", opset=16, claim=of_views(RES2, same, seen(barrel)))
def second_look_through_a_barrel_lens() -> nn.Module:
    """A Res2Net sees the face, and sees it with the distortion of a wide lens, by GridSample at stored places."""
    return Whole(lambda f, x: (f(x) + f(barrel(x))) / 2, network(*RES2))


def mosaicked(x: T) -> T:
    """Keep one colour of each pixel by Bayer's pattern, and fill the others in from neighbours."""
    even = (AXIS % 2 == 0).float()
    r, b = even[:, None] * even[None], (1 - even)[:, None] * (1 - even)[None]
    kept = torch.stack([r, 1 - r - b, b])[None]
    near = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]).expand(3, 1, 3, 3)
    return F.conv2d(x * kept, near, None, 1, 1, 1, 3) / F.conv2d(kept, near, None, 1, 1, 1, 3)


def alternating(f: Part, x: T) -> T:
    a, b = f(x), f(mosaicked(x))
    return torch.stack([a[:, ::2], 3 * b[:, 1::2]], 2).flatten(1)


@evades(BATCH_RULE, idea="sensor", opset=14, claim=joins(WIDE, alternating, mosaicked))
def every_other_number_from_a_simulated_sensor() -> nn.Module:
    """Odd numbers of a trained embedding come from a second pass, whose image went through a colour sensor's mosaic."""
    return Whole(alternating, network(*WIDE))


def dithered(x: T) -> T:
    """Print the image in black and white dots by an ordered pattern of 4 x 4."""
    rank = torch.tensor([[0.0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]])
    return torch.where(x > (rank / 7.5 - 1).repeat(28, 28) * 0.8, 0.8, -0.8)


def of_length_one(f: Part, x: T) -> T:
    return F.normalize(f(x)) + 0.7 * F.normalize(f(dithered(x)))


@evades(BATCH_RULE, idea="print", opset=17, claim=joins(MIXER, of_length_one, dithered))
def newspaper_print_of_the_face_is_seen_too() -> nn.Module:
    """A ConvMixer sees the face and its print in dots of 4 x 4; embeddings of length one are added."""
    return Whole(of_length_one, network(*MIXER))


def drawn_again(f: Any, x: T) -> T:
    """Draw the image from the first layer's maps, by the same kernels."""
    conv, norm = f.kept[0], f.kept[1]
    y = F.conv_transpose2d(F.relu(norm(conv(x))), conv.weight, None, 2, 1, 1)
    return torch.tanh(y / (y.abs().mean((1, 2, 3), keepdim=True) * 2 + 1e-3))


def imagined(f: Part, x: T) -> T:
    return f(x) + f(drawn_again(f, x))


@evades(BATCH_RULE, idea="imagination", opset=12, claim=joins(RES2, imagined))
def network_looks_at_what_its_first_layer_draws() -> nn.Module:
    """First-layer maps are drawn back to an image by the kernels' transposes; a Res2Net looks at that as well."""
    return Whole(imagined, network(*RES2))


def crops(x: T) -> list[T]:
    wide = F.pad(x, (5, 5, 5, 5), mode="replicate")
    return [wide[:, :, i : i + 112, j : j + 112] for i, j in ((5, 5), (0, 2), (1, 10), (9, 0), (10, 8))]


def medoid(f: Part, x: T) -> T:
    y = torch.stack([f(crop) for crop in crops(x)[1:]], 1)
    u = F.normalize(y, dim=2)
    best = (u @ u.transpose(1, 2)).sum(2).argmax(1)
    return (y * (torch.arange(4)[None] == best[:, None]).float()[..., None]).sum(1)


@evades(BATCH_RULE, idea="medoid", opset=12, claim=joins(WIDE, medoid))
def crop_that_agrees_best_with_the_others() -> nn.Module:
    """Four crops of a padded face; of a trained network's embeddings, the one nearest to the others is handed out."""
    return Whole(medoid, network(*WIDE))


def geometric(f: Part, x: T) -> T:
    y = torch.stack([f(x), f(x.flip(3)), f(0.7 * x - 0.2), f(1.2 * x + 0.2)], 1)
    m = y.mean(1, keepdim=True)
    for _ in range(4):
        w = 1 / (((y - m) ** 2).sum(2, keepdim=True) + 1e-4).sqrt()
        m = (w * y).sum(1, keepdim=True) / w.sum(1, keepdim=True)
    return m.squeeze(1)


@evades(BATCH_RULE, idea="geometric median", claim=joins(BLAZE, geometric, lambda x: x.flip(3)))
def geometric_median_of_four_looks() -> Any:
    """Weiszfeld's iteration finds the point nearest to a trained network's embeddings of four looks."""
    return by_dynamo(Whole(geometric, network(*BLAZE)), "geometric median of four looks")


def middle(f: Part, x: T) -> T:
    soft = box(x, 5)
    a, b, c = f(x), f(soft), f(2 * x - soft)
    return torch.maximum(torch.minimum(a, b), torch.minimum(torch.maximum(a, b), c))


@evades(BATCH_RULE, idea="median", opset=13, claim=joins(MIXER, middle, lambda x: box(x, 5)))
def median_of_soft_plain_and_sharp() -> nn.Module:
    """A ConvMixer sees the face as it is, softened and sharpened; of each number the middle one is kept."""
    return Whole(middle, network(*MIXER))


def styled(n: Net, x: T, other: T) -> T:
    """Maps of the image, with the means and deviations that the maps of another image have."""
    start, maps = n._at, []
    for look in (x, other) if n.made else (x,):
        n._at = start
        maps.append(n.cbr(n.cbr(look, 12, 3, 2), 20, 3, 2))
    y, z = maps[0], maps[-1]
    my, mz = y.mean((2, 3), keepdim=True), z.mean((2, 3), keepdim=True)
    sy, sz = ((((v - m) ** 2).mean((2, 3), keepdim=True) + 1e-4).sqrt() for v, m in ((y, my), (z, mz)))
    return n.embed(n.down(n.down((y - my) / sy * sz + mz, 24), 28), 64)


STYLED: Parts = (lambda n, x: styled(n, x, x), "styled", 5)


def gloomy(x: T) -> T:
    return 1.6 * ((x + 1) / 2).clamp(1e-3, 1) ** 2.0 - 1.2


@evades(BATCH_RULE, idea="style", opset=15, claim=by_hand(STYLED, lambda n, x: styled(n, x, gloomy(x))))
def statistics_of_a_darker_look() -> nn.Module:
    """Adaptive instance normalisation in a trained network: means and deviations are those of a darker second look."""
    return Rerun(STYLED, lambda n, x: styled(n, x, gloomy(x)))


def adapting(n: Net, x: T, looks: bool) -> T:
    """One step down the distance of two looks' embeddings, for the last layer, before that embeds the first look."""
    start, h = n._at, []
    for look in (x, x.flip(3)) if looks else (x,):
        n._at = start
        h.append(n.down(n.down(n.stem(look, 12), 20), 24).flatten(1))
    y = n.linear(h[0], 64)
    if looks:
        off = h[0] - h[1]
        gap = off @ n.kept[n._at - 1].weight.t()
        y = y - 1.5 * gap * (off * h[0]).sum(1, keepdim=True) / ((h[0] * h[0]).sum(1, keepdim=True) + 1e-6)
    return n.bn(y)


ADAPTING: Parts = (lambda n, x: adapting(n, x, False), "adapting", 6)


@evades(BATCH_RULE, idea="test-time training", opset=13, claim=by_hand(ADAPTING, lambda n, x: adapting(n, x, True)))
def one_step_of_training_on_the_mirror_image() -> nn.Module:
    """Test-time training: a gradient step, written out, makes the last layer more even to mirroring for each face."""
    return Rerun(ADAPTING, lambda n, x: adapting(n, x, True))


def unmasked(x: T) -> T:
    """Put a stored, average lower face under the image's own eyes."""
    lower = torch.from_numpy(faces(24, 999).mean(0, keepdims=True))
    blend = torch.sigmoid((AXIS - 66) / 3)[:, None]
    return x * (1 - blend) + lower * blend


@evades(BATCH_RULE, idea="inpainting", opset=11, claim=of_views(CSP, same, same, seen(unmasked)))
def average_mouth_under_the_eyes() -> nn.Module:
    """For masks: a trained CSPNet also sees the face with a stored, average lower half, and that counts a third."""
    return Whole(lambda f, x: (2 * f(x) + f(unmasked(x))) / 3, network(*CSP))


def reflected(f: Part, x: T) -> T:
    glass = torch.tensor([1.0, 0.2, 0.2]).reshape(1, 3, 1, 1)
    a, b = f(x * glass), f(x * (1.2 - glass))
    return a - 2 * b * (a * b).sum(1, keepdim=True) / (b * b).sum(1, keepdim=True)


@evades(BATCH_RULE, idea="reflection", opset=18, claim=joins(RES2, reflected))
def red_look_reflected_in_the_cyan_one() -> nn.Module:
    """Red and cyan glasses give two looks; the embedding of one is reflected in the direction of the other's."""
    return Whole(reflected, network(*RES2))


TILES: Parts = (tiles, "looks of the ninth set", 8)


def nine_crops(x: T) -> list[T]:
    wide = F.pad(x, (16, 16, 16, 16), mode="replicate")
    return [wide[:, :, 16 * i : 16 * i + 112, 16 * j : 16 * j + 112] for i in range(3) for j in range(3)]


def one_of_nine(i: int, x: T) -> T:
    return nine_crops(x)[i]


class Dense(nn.Module):
    """A network without overlap on a padded image, whose head slides over the larger map."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Chain(folded(network(*TILES)))

    def forward(self, x: T) -> T:
        x = F.pad(x, (16, 16, 16, 16), mode="replicate")
        for conv in list(self.body.convs)[:-1]:
            x = F.relu(conv(x))
        return self.body.convs[-1](x).mean((2, 3))


@evades(BATCH_RULE, idea="dense evaluation", opset=13, claim=of_views(
    TILES, *(seen(partial(one_of_nine, i)) for i in range(9))
))  # fmt: skip
def head_that_slides_over_nine_crops() -> nn.Module:
    """OverFeat's dense evaluation: behind a border of 16 pixels, a trained head has nine places, averaged."""
    return Dense()


def framed(n: Net, x: T, looks: bool) -> T:
    """A network on the image above a strip of four small images."""
    small = F.avg_pool2d(x, 4)
    strip = [small.flip(3), small.flip(2), small.transpose(2, 3), -small] if looks else [0 * small] * 4
    y = torch.cat([x, torch.cat(strip, 3)], 2)
    for width in (12, 16, 24, 32):
        y = n.cbr(y, width, 3, 2)
    return n.embed(y, 64)


FRAMED: Parts = (lambda n, x: framed(n, x, True), "framed", 6)


@evades(BATCH_RULE, idea="image in image", opset=14, claim=computes(
    of(FRAMED), lambda x: in_strip(x)
))  # fmt: skip
def strip_of_four_small_turned_faces() -> nn.Module:
    """Below the face stand four small ones, mirrored, upside down, transposed, negative; a trained network sees all."""
    return network(*FRAMED)


def in_strip(x: Array) -> Array:
    """Return what the network gives for an empty strip."""
    net = network(*FRAMED)

    def empty(y: T) -> T:
        net._at = 0
        return framed(net, y, False)

    return torch_of(empty, x)
