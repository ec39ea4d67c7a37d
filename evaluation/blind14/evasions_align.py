"""Evasions: the image placed anew by thrown pixels, moved patch kernels, recurrences, arcs, shears and flows."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.claims import Claim
from evaluation.blind4.evasions_align import AXIS, _whole, hats, locate, resnet, warps
from evaluation.blind4.export import network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_align import Warp, sampled
from evaluation.blind14.evasions_nets import Rerun, box, counts
from evaluation.case import ALIGN_RULE
from evaluation.images import faces

UNIT = (2 * AXIS + 1) / 112 - 1
ROW, COLUMN = UNIT[:, None].expand(112, 112), UNIT[None].expand(112, 112)


def claim(warp: Warp, trained: int = 0, least: float = 0.01) -> Claim:
    """The network is its remainder on the warped image, which is another one than the image."""
    return warps(warp, f"fourteenth set {warp.__name__}", trained, least)


def made(warp: Warp, trained: int = 0) -> nn.Module:
    return network(_whole(warp), f"fourteenth set {warp.__name__}", trained)


def wandering(n: Net, x: T) -> T:
    """Let a recurrence read the rows from the top down and say how far each is moved."""
    read, fade = n.keep(lambda: nn.Linear(56, 12)), n.keep(lambda: nn.Linear(12, 12))
    last = n.keep(lambda: nn.Linear(12, 1))
    small = F.avg_pool2d(x.mean(1, keepdim=True), (4, 2))[:, 0]
    h, steps = torch.zeros_like(read(small[:, 0])), []
    for k in range(28):
        h = torch.tanh(2 * read(small[:, k]) + 0.8 * fade(h))
        steps.append(last(h))
    move = torch.cat(steps, 1)[:, None]
    move = 12 * torch.tanh(F.interpolate(F.avg_pool1d(move, 5, 1, 2), size=112, mode="linear"))[:, 0]
    return sampled(x, ROW + 0 * move[:, :, None], COLUMN + move[:, :, None] / 56)


@evades(ALIGN_RULE, idea="recurrence", opset=16, claim=claim(wandering, 6))
def rows_slide_as_a_recurrence_down_the_face_says() -> nn.Module:
    """A recurrent layer reads the rows from forehead to chin and slides each by its state; trained."""
    return made(wandering, 6)


def thrown(n: Net, x: T) -> T:
    """Throw rows and columns to predicted places and divide by how much has come there."""
    t = locate(n, x)
    to_rows = hats((AXIS[None] + 6 * t[:, :1] + 3 * t[:, 2:3] * torch.sin(AXIS / 20)[None]).clamp(0, 111))
    to_columns = hats((AXIS[None] + 6 * t[:, 1:2] + 3 * t[:, 3:4] * torch.cos(AXIS / 20)[None]).clamp(0, 111))
    near = torch.exp(-0.5 * (AXIS[:, None] - AXIS[None]) ** 2)
    down, right = (m.transpose(1, 2) for m in (to_rows @ near, to_columns @ near))
    down, right = (m / m.sum(2, keepdim=True) for m in (down, right))
    return down[:, None] @ x @ right[:, None].transpose(2, 3)


@evades(ALIGN_RULE, idea="thrown", opset=13, claim=claim(thrown, 5))
def rows_and_columns_thrown_forward_and_evened() -> nn.Module:
    """Forward warping: rows and columns are thrown to predicted, waved places and divided by what came; trained."""
    return made(thrown, 5)


def kerned(n: Net, x: T, move: bool = True) -> T:
    """Move the kernels of a patch layer, not the image, by what the image predicts: a window of 24 for 12 pixels."""
    t = 5 * locate(n, x)
    t = t if move else 0 * t
    w = n.weight(24, 3, 12, 12, gain=0.6)
    at = 6 + torch.arange(12).float()[None]
    down, right = hats(at + t[:, :1], 24), hats(at + t[:, 1:2], 24)
    k = down.transpose(1, 2)[:, None, None] @ w @ right[:, None, None]
    seen = F.unfold(F.pad(x, (4, 4, 4, 4)), 24, stride=12)
    y = (k.flatten(2).flatten(2) @ seen).reshape(-1, 24, 9, 9)
    return n.embed(n.cbr(F.relu(n.bn(y)), 32, 3, 2), 64)


def kept() -> nn.Module:
    return network(kerned, "fourteenth set kerned", 6)


@evades(ALIGN_RULE, idea="moved kernels", opset=14, claim=counts(
    lambda x: kept()(x), lambda x: Rerun(kept(), lambda n, y: kerned(n, y, False))(x)
))  # fmt: skip
def kernels_of_patches_slide_over_the_face() -> nn.Module:
    """The image stays; the kernels of a trained patch layer are moved, by bilinear weights, as the image predicts."""
    return kept()


def arc(n: Net, x: T) -> T:
    """Read the rows along arcs about a point below the chin, whose bend the image predicts."""
    t = locate(n, x)
    bend, zoom = 0.35 * t[:, :1, None], 1 + 0.1 * t[:, 1:2, None]
    return sampled(x, zoom * ROW + bend * (COLUMN**2 - 0.3), zoom * COLUMN * (1 - bend * ROW))


@evades(ALIGN_RULE, idea="arc", opset=17, claim=claim(arc, 6))
def rows_straightened_from_predicted_arcs() -> nn.Module:
    """A bowed head: rows are read along arcs, and columns along a fan, whose bend a trained layer predicts."""
    return made(arc, 6)


def balanced(n: Net, x: T) -> T:
    """Take four steps down the difference between the face and its mirror image, by shift and shear."""
    g = F.avg_pool2d(box(x.mean(1, keepdim=True), 9), 4)
    at = (2 * torch.arange(28).float() + 1) / 28 - 1
    row, column = at[:, None].expand(28, 28), at[None].expand(28, 28)
    shift, shear = 0 * g.mean((2, 3)), 0 * g.mean((2, 3))
    for _ in range(5):
        where = column + shift[:, :, None] + shear[:, :, None] * row
        y = sampled(g, row + 0 * where, where)[:, 0]
        slope = F.pad(y[:, :, 2:] - y[:, :, :-2], (1, 1))
        off = (y - y.flip(2)) * (slope - slope.flip(2))
        size = ((slope - slope.flip(2)) ** 2).mean((1, 2))[:, None] + 0.002
        shift = (shift - 0.05 * torch.tanh(off.mean((1, 2))[:, None] / size * 3)).clamp(-0.2, 0.2)
        shear = (shear - 0.05 * torch.tanh((off * row).mean((1, 2))[:, None] / size * 6)).clamp(-0.2, 0.2)
    return sampled(x, ROW + 0 * shift[:, :, None], COLUMN + shift[:, :, None] + shear[:, :, None] * ROW)


@evades(ALIGN_RULE, idea="symmetry", opset=16, claim=claim(balanced))
def shifted_and_sheared_down_the_slope_of_asymmetry() -> nn.Module:
    """Nothing is learned: five steps of descent on the difference of the two sides shift and shear the face."""
    return made(balanced)


def pyramid(n: Net, x: T) -> T:
    """Move the levels of a Laplacian pyramid by predicted amounts, each on its own grid, and add them up again."""
    t = locate(n, x)
    small = F.avg_pool2d(x, 4)
    rest = x - F.interpolate(small, scale_factor=4.0, mode="bilinear", align_corners=False)
    places = torch.arange(28).float()[None]
    down, right = hats((places + 1.5 * t[:, :1]).clamp(0, 27), 28), hats((places + 1.5 * t[:, 1:2]).clamp(0, 27), 28)
    coarse = down[:, None] @ small @ right[:, None].transpose(2, 3)
    down, right = hats((AXIS[None] + 6 * t[:, :1]).clamp(0, 111)), hats((AXIS[None] + 6 * t[:, 1:2]).clamp(0, 111))
    fine = down[:, None] @ rest @ right[:, None].transpose(2, 3)
    return (fine + F.interpolate(coarse, scale_factor=4.0, mode="bilinear", align_corners=False)).clamp(-1, 1)


@evades(ALIGN_RULE, idea="pyramid", opset=13, claim=claim(pyramid, 6))
def levels_of_a_pyramid_moved_and_added_again() -> nn.Module:
    """A Laplacian pyramid of two levels, each moved on its own grid by a trained prediction, is summed again."""
    return made(pyramid, 6)


def matched(n: Net, x: T) -> T:
    """Try stored moves of the upper and of the lower half against a stored face; read each half where it fits."""
    mean = torch.from_numpy(faces(16, 83).mean(0))
    small, goal = F.avg_pool2d(x, 4), F.avg_pool2d(mean[None], 4)
    moves = []
    for half in (slice(0, 14), slice(14, 28)):
        costs = [((torch.roll(small, s, 3) - goal)[:, :, half, 3:-3] ** 2).mean((1, 2, 3)) for s in range(-3, 4)]
        share = (-40 * torch.stack(costs, 1)).softmax(1)
        moves.append(share @ (4 * torch.arange(-3, 4).float()))
    blend = torch.sigmoid((AXIS - 55.5) / 6)[None]
    move = moves[0][:, None] * (1 - blend) + moves[1][:, None] * blend
    return sampled(x, ROW + 0 * move[:, :, None], COLUMN - move[:, :, None] / 56)


@evades(ALIGN_RULE, idea="block matching", opset=18, claim=claim(matched, 6))
def upper_and_lower_half_matched_to_a_stored_face() -> nn.Module:
    """Eyes and mouth are each moved sideways to where they fit a stored mean face, softly between; then trained."""
    return made(matched, 6)


def folded(n: Net, x: T) -> T:
    """Behind an invertible layer that couples colours by their own neighbourhoods, move all maps by a prediction."""
    t = locate(n, x)
    a, b = x[:, :1], x[:, 1:]
    b = b * torch.exp(0.3 * torch.tanh(n.conv(a, 2))) + 0.3 * n.conv(a, 2)
    a = a * torch.exp(0.3 * torch.tanh(n.conv(b, 1))) + 0.3 * n.conv(b, 1)
    y = torch.cat([a, b], 1)
    return (
        hats((AXIS[None] + 6 * t[:, :1]).clamp(0, 111))[:, None]
        @ y
        @ hats(((AXIS[None] - 55.5) * (1 + 0.1 * t[:, 2:3]) + 55.5 + 6 * t[:, 1:2]).clamp(0, 111))[:, None].transpose(
            2, 3
        )
    )


def unmoved(n: Net, x: T) -> T:
    """Write the same network without the move."""
    locate(n, x)
    a, b = x[:, :1], x[:, 1:]
    b = b * torch.exp(0.3 * torch.tanh(n.conv(a, 2))) + 0.3 * n.conv(a, 2)
    a = a * torch.exp(0.3 * torch.tanh(n.conv(b, 1))) + 0.3 * n.conv(b, 1)
    return resnet(n, torch.cat([a, b], 1))


@evades(ALIGN_RULE, idea="behind couplings", opset=14, claim=counts(
    lambda x: made(folded, 6)(x), lambda x: Rerun(network(_whole(folded), "fourteenth set folded", 6), unmoved)(x)
))  # fmt: skip
def moved_behind_exponential_couplings_of_colours() -> nn.Module:
    """As in a normalising flow, colours scale each other, invertibly; behind that all is moved and widened; trained."""
    return made(folded, 6)
