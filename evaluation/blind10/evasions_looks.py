"""Evasions: one network sees the image and another look of it, put together in ways of their own."""

from __future__ import annotations

from collections.abc import Callable
from math import pi

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.claims import computes
from evaluation.blind4.evasions_align import AXIS
from evaluation.blind4.export import network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind6.evasions_common import box, torch_of
from evaluation.blind7.evasions_nets import Parts
from evaluation.blind10.evasions_nets import dual, fires, look, rep, selu, spectrum, star
from evaluation.case import BATCH_RULE

STAR: Parts = (star, "looks of the tenth set", 6)
REP: Parts = (rep, "looks of the tenth set", 6)
DUAL: Parts = (dual, "looks of the tenth set", 0)
SELU: Parts = (selu, "looks of the tenth set", 0)
FIRES: Parts = (fires, "looks of the tenth set", 0)

Part = Callable[[T], T]


@look("colour blindness", STAR, 12)
def what_a_colour_blind_eye_would_see(f: Part, x: T) -> T:
    """A trained StarNet sees the face and what is left of it without red cones; numbers are averaged by 3 to 2."""
    eye = torch.tensor([[0.11, 0.89, 0.0], [0.11, 0.89, 0.0], [0.0, -0.05, 1.05]])
    return 0.6 * f(x) + 0.4 * f(torch.einsum("oc,nchw->nohw", eye, x))


@look("extrapolation", REP, 13)
def extrapolated_to_a_lens_without_blur(f: Part, x: T) -> T:
    """Richardson: a trained RepVGG sees the image softened by 3 and by 5 pixels, never as it is, and extrapolates."""
    return 1.5 * f(box(x, 3)) - 0.5 * f(box(x, 5))


@look("polyphase", DUAL, 14)
def four_thinned_images_in_one_frame(f: Part, x: T) -> T:
    """The second look is four images of 56 pixels in one frame, each of every other row and column."""
    top = torch.cat([x[:, :, ::2, ::2], x[:, :, ::2, 1::2]], 3)
    low = torch.cat([x[:, :, 1::2, ::2], x[:, :, 1::2, 1::2]], 3)
    return f(x) + 0.5 * f(torch.cat([top, low], 2))


@look("phase alone", SELU, 13)
def phases_of_the_image_without_amplitudes(f: Part, x: T) -> T:
    """The network also sees the image whose waves all have nearly one amplitude: its phases alone."""
    c, s = spectrum(112)
    re, im = c @ x @ c - s @ x @ s, -(s @ x @ c) - c @ x @ s
    size = (re**2 + im**2 + 0.05).sqrt()
    re, im = re / size, im / size
    return f(x) + 0.4 * f(2 * (c @ re @ c - s @ re @ s - s @ im @ c - c @ im @ s))


@look("sums", FIRES, 11)
def sums_over_all_that_is_above_and_left(f: Part, x: T) -> T:
    """The second look is a summed area table, divided by the areas: every pixel is the mean of all before it."""
    area = (AXIS + 1)[:, None] * (AXIS + 1)[None]
    return f(x) - 0.6 * f(2 * x.cumsum(2).cumsum(3) / area)


@look("kaleidoscope", STAR, 15)
def kaleidoscope_of_one_quarter(f: Part, x: T) -> T:
    """The second look is made of the upper left quarter alone, reflected to all sides, and counts a third."""
    q = x[:, :, :56, :56]
    top = torch.cat([q, q.flip(3)], 3)
    return (2 * f(x) + f(torch.cat([top, top.flip(2)], 2))) / 3


@look("ranks", REP, 13)
def numbers_of_one_look_in_the_order_of_another(f: Part, x: T) -> T:
    """The numbers are a trained network's for the image, but put in the order of those of the image less its edges."""
    a, b = f(x), f(1.3 * box(x, 5) - 0.1)
    order = b.argsort(1).argsort(1)
    return a.sort(1)[0].gather(1, order)


@look("phases of pairs", DUAL, 16)
def pairs_of_numbers_turned_by_another_look(f: Part, x: T) -> T:
    """Pairs of numbers are complex ones; those of the transposed image turn those of the image."""
    a, b = f(x).reshape(-1, 32, 2), f(x.transpose(2, 3)).reshape(-1, 32, 2)
    b = b / (b.norm(dim=2, keepdim=True) + 0.1)
    re = a[..., 0] * b[..., 0] - a[..., 1] * b[..., 1]
    return torch.cat([re, a[..., 0] * b[..., 1] + a[..., 1] * b[..., 0]], 1)


@look("majority", SELU, 14)
def signs_by_majority_of_three_looks(f: Part, x: T) -> T:
    """The sizes are the network's for the image; the signs are what two of three shears of it agree on."""
    shears = [torch.cat([torch.roll(x[:, :, i : i + 28], k * (i // 28), 3) for i in range(0, 112, 28)], 2)
              for k in (-5, 0, 5)]  # fmt: skip
    y = [f(view) for view in shears]
    return y[1].abs() * torch.tanh(3 * sum(torch.tanh(8 * a) for a in y))


@look("ripples", FIRES, 17)
def face_under_rippled_water(f: Part, x: T) -> T:
    """Every row is moved by a stored sine, as under rippled water; GatherElements fetches it, and it is added."""
    move = torch.round(3 * torch.sin(AXIS * 2 * pi / 28))
    at = (AXIS[None] + move[:, None]).clamp(0, 111).long().expand(3, 112, 112)
    return f(x) + 0.8 * f(x.gather(3, at[None].expand(x.shape[0], -1, -1, -1)))


@look("agreement", STAR, 13)
def blocks_count_as_far_as_two_looks_agree(f: Part, x: T) -> T:
    """Each eight numbers count as far as a trained network gives the like for the image squeezed in brightness."""
    a, b = (y.reshape(-1, 8, 8) for y in (f(x), f(torch.tanh(1.5 * x + 0.4))))
    u, v = F.normalize(a, dim=2), F.normalize(b, dim=2)
    return (a * ((u * v).sum(2, keepdim=True) * 4).exp()).flatten(1) / 20


@look("parity", DUAL, 12)
def every_copy_of_even_number_is_turned(f: Part, x: T) -> T:
    """Each image stands twice in the batch; a mask of parities, and Where, turn the second one by a half turn."""
    y = x.unsqueeze(1).expand(-1, 2, -1, -1, -1).reshape(-1, 3, 112, 112)
    odd = (torch.arange(2).float() > 0.5).reshape(1, 2, 1, 1, 1).expand(x.shape[0], 2, 1, 1, 1).reshape(-1, 1, 1, 1)
    e = f(torch.where(odd, y.flip(2, 3), y))
    return e.reshape(-1, 2, 64).sum(1)


@look("occlusion", FIRES, 13)
def what_each_sixteenth_adds(f: Part, x: T) -> T:
    """Shapley's manner: the embedding is four times that of the face, less those of the face without one quarter."""
    hidden = 0.0
    for i in (0, 56):
        for j in (0, 56):
            mask = ((i <= AXIS) & (i + 56 > AXIS)).float()[:, None] * ((j <= AXIS) & (j + 56 > AXIS)).float()[None]
            hidden = hidden + f(x * (1 - mask))
    return 4 * f(x) - hidden


@look("soft maximum", REP, 18)
def soft_maximum_over_a_rolling_shutter(f: Part, x: T) -> T:
    """A trained RepVGG sees the face as a rolling shutter on a moving camera would; a soft maximum joins the looks."""
    at = (AXIS[None] + torch.floor(AXIS / 9)[:, None]).clamp(0, 111).long()
    y = torch.stack([f(x), f(x.gather(3, at.expand(x.shape[0], 3, 112, 112)))])
    return torch.logsumexp(3 * y, 0) / 3


def glasses(n: Net, x: T, twice: bool = True) -> T:
    """Learned glasses: the second pass sees what a stored 5 x 5 layer makes of the image; all is trained as one."""
    worn = x + 0.7 * torch.tanh(n.conv(x, 3, 5))
    begun = n._at

    def sees(y: T) -> T:
        n._at = begun
        for width in (12, 16, 24, 32):
            y = F.relu(n.cb(y, width, 3, 2))
        return n.embed(y, 64)

    first = sees(x)
    if not n.made or not twice:
        return first
    return first + sees(worn)


GLASSES: Parts = (glasses, "glasses of the tenth set", 6)


def once(x: T) -> T:
    net = network(*GLASSES)
    net._at = 0
    return glasses(net, x, False)


@evades(BATCH_RULE, idea="learned view", opset=14, claim=computes(
    lambda x: torch_of(network(*GLASSES), x), lambda x: torch_of(once, x)
))  # fmt: skip
def same_network_with_learned_glasses() -> nn.Module:
    """One network runs on the image, and again on what a 5 x 5 layer made of it; both were trained as one."""
    return network(*GLASSES)
