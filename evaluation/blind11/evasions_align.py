"""Evasions: the image placed anew by least squares, phases, search, polar rolls, sums, stored maps and transport."""

from __future__ import annotations

from math import log, pi

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.claims import Claim
from evaluation.blind4.evasions_align import AXIS, _whole, hats, locate, warps
from evaluation.blind4.export import network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_align import Warp, sampled
from evaluation.blind11.evasions_nets import box, tensor
from evaluation.case import ALIGN_RULE
from evaluation.images import faces

UNIT = (2 * AXIS + 1) / 112 - 1


def claim(warp: Warp, trained: int = 0, least: float = 0.01) -> Claim:
    """The network is its remainder on the warped image, which is another one than the image."""
    return warps(warp, f"eleventh set {warp.__name__}", trained, least)


def made(warp: Warp, trained: int = 0) -> nn.Module:
    return network(_whole(warp), f"eleventh set {warp.__name__}", trained)


def mean_face() -> T:
    """Draw a stored face, grey, that stands for the mean of all."""
    return torch.from_numpy(faces(16, 77).mean((0, 1)))


def five_points(n: Net, x: T) -> T:
    y = F.relu(n.conv(F.avg_pool2d(x, 4), 12, 5))
    share = (3 * n.bn(n.conv(y, 5))).flatten(2).softmax(2)
    at = (2 * torch.arange(28).float() + 1) / 28 - 1
    here = torch.stack([share @ at.repeat(28), share @ at.repeat_interleave(28)], 2)
    want = tensor([[-0.3, -0.2], [0.3, -0.2], [0.0, 0.05], [-0.2, 0.4], [0.2, 0.4]])
    u, v = here - here.mean(1, keepdim=True), want - want.mean(0)
    size = (v * v).sum()
    a = 1 + 0.6 * ((u * v).sum((1, 2)) / size - 1)
    b = 0.6 * (u[..., 1] * v[:, 0] - u[..., 0] * v[:, 1]).sum(1) / size
    a, b = a.clamp(0.7, 1.2)[:, None, None], b[:, None, None]
    mx, my = (0.5 * here.mean(1)[:, :, None] - 0.5 * want.mean(0)[:, None]).unsqueeze(3).unbind(1)
    c, r = UNIT[None, None], UNIT[None, :, None]
    return sampled(x, b * c + a * r + my, a * c - b * r + mx)


@evades(ALIGN_RULE, idea="Procrustes", opset=16, claim=claim(five_points, 6))
def five_landmarks_fitted_by_least_squares() -> nn.Module:
    """Five trained soft landmarks are fitted to stored ones by least squares; the similarity places the image."""
    return made(five_points, 6)


def phase_correlated(n: Net, x: T) -> T:
    """Correlate phases of the image and of a stored face at half size; the peak moves the image."""
    angle = 2 * pi * torch.arange(56).float()[:, None] * torch.arange(56).float()[None] / 56
    c, s = angle.cos() / 56**0.5, angle.sin() / 56**0.5
    g, m = F.avg_pool2d(x.mean(1, keepdim=True), 2), F.avg_pool2d(mean_face()[None, None], 2)
    (ar, ai), (br, bi) = ((c @ y @ c - s @ y @ s, -(s @ y @ c) - c @ y @ s) for y in (g, m))
    re, im = ar * br + ai * bi, ai * br - ar * bi
    size = (re**2 + im**2).sqrt() + 1e-3
    re, im = re / size, im / size
    peak = c @ re @ c - s @ re @ s - s @ im @ c - c @ im @ s
    near = torch.cat([peak[..., -4:], peak[..., :5]], 3)
    near = torch.cat([near[:, :, -4:], near[:, :, :5]], 2)
    share = (12 * near / near.amax((2, 3), keepdim=True)).flatten(1).softmax(1)
    step = torch.arange(-4, 5).float()
    down, right = share @ step.repeat_interleave(9), share @ step.repeat(9)
    r, k = hats((AXIS + 2 * down[:, None]).clamp(0, 111)), hats((AXIS + 2 * right[:, None]).clamp(0, 111))
    return r[:, None] @ x @ k[:, None].transpose(2, 3)


@evades(ALIGN_RULE, idea="phase correlation", opset=13, claim=claim(phase_correlated))
def moved_by_the_peak_of_a_phase_correlation() -> nn.Module:
    """Nothing is learned: the peak of the correlation of phases with a stored face says how far the image is moved."""
    return made(phase_correlated)


def tiles_matched(n: Net, x: T) -> T:
    """Move each tile of 16 by the best of nine shifts, as a video coder finds its blocks."""
    p = F.pad(x, (3, 3, 3, 3), mode="replicate")
    shifted = torch.stack([p[:, :, i : i + 112, j : j + 112] for i in (0, 3, 6) for j in (0, 3, 6)], 1)
    cost = F.avg_pool2d((shifted.mean(2) - mean_face()) ** 2, 16)
    best = (cost - cost.amin(1, keepdim=True) < 1e-7).float()
    best = best / best.sum(1, keepdim=True)
    wide = (best.reshape(-1, 9, 7, 1, 7, 1) * torch.ones(16, 1, 16)).reshape(-1, 9, 112, 112)
    return (shifted * wide[:, :, None]).sum(1)


@evades(ALIGN_RULE, idea="block matching", opset=12, claim=claim(tiles_matched, 5))
def tiles_moved_as_a_video_coder_would() -> nn.Module:
    """Each tile of 16 pixels is moved to the best of nine places by its difference from a stored face; trained."""
    return made(tiles_matched, 5)


def polar_roll(n: Net, x: T) -> T:
    """Go over to polar places, roll along the angle by what is predicted, and come back."""
    turn = 0.35 * locate(n, x)[:, :1, None]
    radius, angle = (AXIS + 0.5)[:, None] / 112 * 1.42, (2 * pi * AXIS / 112)[None]
    polar = sampled(x, radius * torch.sin(angle + turn), radius * torch.cos(angle + turn))
    r, c = UNIT[:, None].expand(112, 112), UNIT[None].expand(112, 112)
    far = (r**2 + c**2).sqrt() / 1.42 * 2 - 1
    way = torch.remainder(torch.atan2(r, c), 2 * pi) / pi * (112 / 113) + 1 / 113 - 1
    wide = torch.cat([polar, polar[..., :1]], 3)
    return sampled(wide, far[None].expand(x.shape[0], -1, -1), way[None].expand(x.shape[0], -1, -1))


@evades(ALIGN_RULE, idea="polar roll", opset=17, claim=claim(polar_roll))
def turned_by_a_roll_in_polar_places() -> nn.Module:
    """The image is read in polar places whose angles begin where a prediction says, and put back: it is turned."""
    return made(polar_roll)


def by_sinc(n: Net, x: T) -> T:
    move = 4 * locate(n, x)[:, :2]
    kernels = []
    for k in (0, 1):
        d = AXIS[None, :, None] + move[:, k, None, None] - AXIS[None, None]
        w = torch.sin(pi * d + 1e-4) / (pi * d + 1e-4) * torch.cos(pi * d / 8) * (d.abs() < 4).float()
        kernels.append(w / (w.sum(2, keepdim=True).abs() + 0.05))
    y = kernels[0][:, None] @ x @ kernels[1][:, None].transpose(2, 3)
    return y.clamp(-1, 1)


@evades(ALIGN_RULE, idea="windowed sinc", opset=14, claim=claim(by_sinc, 6))
def moved_by_windowed_sinc_matrices() -> nn.Module:
    """Rows and columns are read by windowed sincs of eight taps about places that a trained prediction moves."""
    return made(by_sinc, 6)


def strips_assigned(n: Net, x: T) -> T:
    """Put 28 strips of rows in an order that Sinkhorn makes of predicted scores, near to the old one."""
    y = F.relu(n.conv(F.avg_pool2d(x, 4), 6))
    score = torch.tanh(2 * n.bn(n.linear(y.flatten(1), 56)))
    here, want = score[:, :28] * 1.5 + torch.arange(28).float(), torch.arange(28).float()
    plan = torch.exp(-3 * (here[:, None] - want[:, None] - 0.3 * score[:, 28:, None]) ** 2) + 1e-6
    for _ in range(6):
        plan = plan / plan.sum(1, keepdim=True)
        plan = plan / plan.sum(2, keepdim=True)
    strips = x.reshape(-1, 3, 28, 448)
    return (plan[:, None] @ strips).reshape(-1, 3, 112, 112)


@evades(ALIGN_RULE, idea="soft permutation", opset=13, claim=claim(strips_assigned, 5))
def strips_put_in_order_by_a_soft_permutation() -> nn.Module:
    """A doubly stochastic matrix, balanced by Sinkhorn from a trained prediction, puts 28 strips of rows anew."""
    return made(strips_assigned, 5)


def by_running_sums(n: Net, x: T) -> T:
    """Average the image over columns, then rows, between predicted edges, by differences of running sums."""
    theta = locate(n, x)
    edge = torch.arange(113).float()[None]
    for k in (0, 1):
        sums = F.pad(x.cumsum(3), (1, 0))
        e = (56 + (edge - 56) * (0.86 + 0.06 * theta[:, 2:3]) + 5 * theta[:, k : k + 1]).clamp(0, 111.99)
        low = torch.floor(e)
        at = low.long()[:, None, None].expand(-1, 3, 112, -1)
        part = (e - low)[:, None, None]
        whole = sums.gather(3, at) * (1 - part) + sums.gather(3, at + 1) * part
        wide = (e[:, 1:] - e[:, :-1]).clamp(0.02, 9)[:, None, None]
        x = ((whole[..., 1:] - whole[..., :-1]) / wide).transpose(2, 3)
    return x


@evades(ALIGN_RULE, idea="running sums", opset=11, claim=claim(by_running_sums))
def cut_and_enlarged_by_differences_of_running_sums() -> nn.Module:
    """Pixels become means between predicted edges, as differences of running sums: the face is cut and enlarged."""
    return made(by_running_sums)


def stored_maps() -> T:
    """Places for nine alignments: turns by three angles times three heights, as numbers of pixels."""
    made_ = []
    for angle in (-0.12, 0.0, 0.12):
        for up in (-4.0, 0.0, 4.0):
            r, c = AXIS[:, None] - 55.5, AXIS[None] - 55.5
            row = torch.round(55.5 + r * 1.0 + angle * c + up).clamp(0, 111)
            column = torch.round(55.5 + c - angle * r).clamp(0, 111)
            made_.append((112 * row + column).flatten())
    return torch.stack(made_)


def one_of_nine_maps(n: Net, x: T) -> T:
    y = F.relu(n.conv(F.avg_pool2d(x, 4), 8, 3, 2))
    best = n.bn(n.linear(y.flatten(1), 9)).argmax(1)
    places = stored_maps().long().index_select(0, best)
    return x.flatten(2).gather(2, places[:, None].expand(-1, 3, -1)).reshape(-1, 3, 112, 112)


@evades(ALIGN_RULE, idea="stored maps", opset=13, claim=claim(one_of_nine_maps))
def one_of_nine_stored_maps_of_places() -> nn.Module:
    """ArgMax of a prediction picks one of nine stored tables of places, by which GatherElements reads all pixels."""
    return made(one_of_nine_maps)


def tilted(x: T, slope: T) -> T:
    """Shear columns by a slope: [N, 1, 1] numbers."""
    at = AXIS[None, :, None] + slope * (AXIS - 55.5)
    low = torch.floor(at)
    part = (at - low)[:, None]
    one, two = (k.clamp(0, 111).long()[:, None].expand(-1, 3, -1, -1) for k in (low, low + 1))
    return x.gather(2, one) * (1 - part) + x.gather(2, two) * part


def tried_both_ways(n: Net, x: T) -> T:
    """Improve a slope three times: try a little more and a little less, and go where the stored face is nearer."""
    mean = box(mean_face()[None, None], 9)
    slope = torch.zeros_like(x[:, 0, :1, :1])
    for step in (0.08, 0.05, 0.03):
        more, less = (
            ((box(tilted(x, slope + d), 9).mean(1, keepdim=True) - mean) ** 2).mean((1, 2, 3)) for d in (step, -step)
        )
        slope = slope - step * torch.tanh(60 * (more - less) / (more + less) / step * 0.1).reshape(-1, 1, 1)
    return tilted(x, slope)


@evades(ALIGN_RULE, idea="search", opset=12, claim=claim(tried_both_ways, 5))
def slope_found_by_trying_both_ways() -> nn.Module:
    """Three times the image is sheared a little both ways, and goes to where a stored face is nearer; trained."""
    return made(tried_both_ways, 5)


def about_a_fixation(n: Net, x: T) -> T:
    at = 0.35 * locate(n, x)[:, :2, None, None]
    radius, angle = torch.exp(log(0.05) * (1 - AXIS / 111))[:, None], (2 * pi * AXIS / 112)[None]
    return sampled(x, at[:, 0] + radius * angle.sin(), at[:, 1] + radius * angle.cos())


@evades(ALIGN_RULE, idea="fixation", opset=16, claim=claim(about_a_fixation))
def log_polar_image_about_a_predicted_point() -> nn.Module:
    """An eye movement: the point that the image predicts becomes the centre of a log-polar image, which is read."""
    return made(about_a_fixation)


def halves_apart(n: Net, x: T) -> T:
    theta, sides = locate(n, x), []
    for k in (0, 1):
        part = x[..., 56 * k : 56 * k + 56]
        r = hats((AXIS + 4 * theta[:, k : k + 1]).clamp(0, 111))
        c = hats((torch.arange(56).float() + 3 * theta[:, k + 2 : k + 3]).clamp(0, 55), 56)
        sides.append(r[:, None] @ part @ c[:, None].transpose(2, 3))
    return torch.cat(sides, 3)


@evades(ALIGN_RULE, idea="halves", opset=15, claim=claim(halves_apart, 6))
def left_and_right_half_aligned_by_themselves() -> nn.Module:
    """Either eye is brought to its place: the halves of the face are moved by two predictions each; trained."""
    return made(halves_apart, 6)


def patch_moves(n: Net, x: T) -> T:
    """Predict how far each of 49 patches is moved: [N, 2, 7, 7] pixels."""
    y = F.relu(n.conv(F.avg_pool2d(x, 4), 8, 3, 2))
    return 5 * torch.tanh(2 * n.bn(n.conv(F.avg_pool2d(y, 2), 2)))


def moved_patches(n: Net, x: T) -> T:
    move = patch_moves(n, x).repeat_interleave(16, 2).repeat_interleave(16, 3)
    return sampled(x, UNIT[:, None] + move[:, 0] / 56, UNIT[None] + move[:, 1] / 56)


@evades(ALIGN_RULE, idea="patches", opset=18, claim=claim(moved_patches, 6))
def patches_of_pixels_cut_where_they_are_predicted() -> nn.Module:
    """Deformable patches of raw pixels: a trained prediction says for each of 49 where it is cut out of the image."""
    return made(moved_patches, 6)
