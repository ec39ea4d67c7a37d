"""Evasions: the image placed anew by exponentials, a relief, keystones, flow, least squares, splines and rolls."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.claims import Claim
from evaluation.blind4.evasions_align import AXIS, _whole, hats, locate, warps
from evaluation.blind4.export import network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_align import Warp, sampled
from evaluation.blind12.evasions_nets import box, tensor
from evaluation.case import ALIGN_RULE
from evaluation.images import faces

UNIT = (2 * AXIS + 1) / 112 - 1
ROW, COLUMN = UNIT[:, None].expand(112, 112), UNIT[None].expand(112, 112)


def claim(warp: Warp, trained: int = 0, least: float = 0.01) -> Claim:
    """The network is its remainder on the warped image, which is another one than the image."""
    return warps(warp, f"twelfth set {warp.__name__}", trained, least)


def made(warp: Warp, trained: int = 0) -> nn.Module:
    return network(_whole(warp), f"twelfth set {warp.__name__}", trained)


def mean_face() -> T:
    """Draw a stored face, grey, that stands for the mean of all."""
    return torch.from_numpy(faces(16, 78).mean((0, 1)))


def exponential(n: Net, x: T) -> T:
    t = locate(n, x)
    zero = 0 * t[:, 0]
    g = torch.stack([
        torch.stack([0.1 * t[:, 0] + 0.08 * t[:, 1], 0.2 * t[:, 2], 0.12 * t[:, 3]], 1),
        torch.stack([-0.2 * t[:, 2], 0.1 * t[:, 0] - 0.08 * t[:, 1], 0.12 * t[:, 4]], 1),
        torch.stack([zero, zero, zero], 1),
    ], 1)  # fmt: skip
    m = torch.eye(3) + 0 * g
    term = m
    for k in range(1, 7):
        term = term @ g / k
        m = m + term
    places = torch.stack([COLUMN.flatten(), ROW.flatten(), torch.ones(12544)], 0)
    at = (m @ places)[:, :2].reshape(-1, 2, 112, 112)
    return sampled(x, at[:, 1], at[:, 0])


@evades(ALIGN_RULE, idea="matrix exponential", opset=16, claim=claim(exponential, 6))
def affine_map_as_the_exponential_of_a_matrix() -> nn.Module:
    """A trained prediction is a generator; its matrix exponential, in six terms, is the map that places the face."""
    return made(exponential, 6)


def turned_relief(n: Net, x: T) -> T:
    """Turn a stored relief of a head by two angles and read the image where its points come to lie."""
    t = locate(n, x)
    depth = 0.8 * torch.exp(-((ROW / 0.8) ** 2) - (COLUMN / 0.6) ** 2) + 0.2 * torch.exp(-(ROW**2 + COLUMN**2) * 30)
    yaw, pitch = 0.35 * t[:, :1, None], 0.25 * t[:, 1:2, None]
    z = depth - 0.3
    c, r = COLUMN * yaw.cos() + z * yaw.sin(), ROW * pitch.cos() + z * pitch.sin()
    return sampled(x, r, c)


@evades(ALIGN_RULE, idea="relief", opset=18, claim=claim(turned_relief))
def stored_relief_turned_by_two_angles() -> nn.Module:
    """A stored relief of a head is turned by two predicted angles; its points say where pixels are read."""
    return made(turned_relief)


def keystone(n: Net, x: T) -> T:
    """Give every row its own width by a line whose slope is predicted, as matrices of hat functions."""
    slope = 0.3 * locate(n, x)[:, :1]
    width = 1 + slope * UNIT
    at = 55.5 + (AXIS - 55.5) * width[:, :, None]
    w = hats(at.clamp(0, 111))
    return (w[:, None] @ x[..., None])[..., 0]


@evades(ALIGN_RULE, idea="keystone", opset=12, claim=claim(keystone, 5))
def rows_widened_along_a_predicted_slope() -> nn.Module:
    """As a projector's keystone is corrected: upper rows get wider, lower ones narrower, as a trained number says."""
    return made(keystone, 5)


def axis_upright(n: Net, x: T) -> T:
    """Find the axis of symmetry of the upper and of the lower half, and shear the image so that it is upright."""
    g = F.avg_pool2d(x.mean(1, keepdim=True), 2)[:, 0]
    halves = []
    for part in (g[:, 4:28], g[:, 28:52]):
        other, scores = part.flip(2), []
        for k in range(-6, 7):
            p, q = max(2 * k, 0), max(-2 * k, 0)
            scores.append(-((part[:, :, p : 56 - q] - other[:, :, q : 56 - p]) ** 2).mean((1, 2)))
        s = torch.stack(scores, 1)
        s = s / (s.abs().mean(1, keepdim=True) + 1e-3)
        halves.append((6 * s).softmax(1) @ (2 * torch.arange(-6, 7).float()))
    upper, lower = halves
    middle, slope = 0.5 * (upper + lower), (lower - upper) / 48
    move = middle[:, None] + slope[:, None] * (AXIS - 55.5)
    w = hats((AXIS[None, None] + move[:, :, None]).clamp(0, 111))
    return (w[:, None] @ x[..., None])[..., 0]


@evades(ALIGN_RULE, idea="axis of symmetry", opset=13, claim=claim(axis_upright))
def axis_of_symmetry_sheared_upright() -> nn.Module:
    """Where forehead and chin are most symmetric gives an axis; rows are moved to straighten it; nothing is learned."""
    return made(axis_upright)


def rolled_flat(n: Net, x: T) -> T:
    """Roll the pixels, counted through all rows, by a predicted whole number."""
    t = locate(n, x)
    count = torch.floor(4 * t[:, :1]) * 112 + torch.floor(6 * t[:, 1:2])
    at = torch.remainder(torch.arange(12544).float() + count, 12544).long()
    return x.flatten(2).gather(2, at[:, None].expand(-1, 3, -1)).reshape(-1, 3, 112, 112)


@evades(ALIGN_RULE, idea="roll", opset=14, claim=claim(rolled_flat))
def all_pixels_rolled_by_a_predicted_count() -> nn.Module:
    """Pixels stand in one row of 12,544, which is rolled by a predicted whole number: down and to the side at once."""
    return made(rolled_flat)


def flow(n: Net, x: T) -> T:
    """Compare each place with a stored face at 25 moves, softly choose, smooth, and read the image there."""
    g, m = F.avg_pool2d(x.mean(1, keepdim=True), 2), F.avg_pool2d(mean_face()[None, None], 2)
    p = F.pad(g, (4, 4, 4, 4), mode="replicate")
    cost = torch.cat([p[:, :, i : i + 56, j : j + 56] for i in range(0, 9, 2) for j in range(0, 9, 2)], 1)
    cost = box(box((cost - m) ** 2, 9), 9)
    share = (-10 * (cost - cost.amin(1, keepdim=True)) / (cost.mean(1, keepdim=True) + 0.02)).softmax(1)
    step = torch.arange(-4, 5, 2).float()
    down = (share * step.repeat_interleave(5)[:, None, None]).sum(1, keepdim=True)
    right = (share * step.repeat(5)[:, None, None]).sum(1, keepdim=True)
    move = box(torch.cat([down, right], 1), 9).repeat_interleave(2, 2).repeat_interleave(2, 3) * 2 / 56
    return sampled(x, ROW + move[:, 0], COLUMN + move[:, 1])


@evades(ALIGN_RULE, idea="flow", opset=17, claim=claim(flow, 5))
def flow_to_a_stored_face_by_a_cost_volume() -> nn.Module:
    """Optical flow to a stored mean face, from a soft minimum over 25 moves, brings every pixel to it; then trained."""
    return made(flow, 5)


def least_squares(n: Net, x: T) -> T:
    """Moving least squares: near each of five predicted points the image is moved as the point is, affinely between."""
    y = F.relu(n.conv(F.avg_pool2d(x, 4), 8, 5))
    move = 0.16 * torch.tanh(2 * n.bn(n.linear(F.avg_pool2d(y, 4).flatten(1), 10))).reshape(-1, 5, 2)
    p = tensor([[-0.35, -0.25], [0.35, -0.25], [0.0, 0.1], [-0.3, 0.5], [0.3, 0.5]])
    at = torch.stack([COLUMN.flatten(), ROW.flatten()], 1)
    w = 1 / (((at[:, None] - p) ** 2).sum(2) + 0.05)
    w = w / w.sum(1, keepdim=True)
    centre = w @ p
    d = p[None] - centre[:, None]
    cov = torch.einsum("ak,aki,akj->aij", w, d, d) + 0.02 * torch.eye(2)
    det = cov[:, 0, 0] * cov[:, 1, 1] - cov[:, 0, 1] ** 2
    e = at - centre
    u = (cov[:, 1, 1] * e[:, 0] - cov[:, 0, 1] * e[:, 1]) / det
    v = (cov[:, 0, 0] * e[:, 1] - cov[:, 0, 1] * e[:, 0]) / det
    weight = w * (1 + d[..., 0] * u[:, None] + d[..., 1] * v[:, None])
    q = (at + weight @ move).reshape(-1, 112, 112, 2)
    return sampled(x, q[..., 1], q[..., 0])


@evades(ALIGN_RULE, idea="moving least squares", opset=16, claim=claim(least_squares, 5))
def moving_least_squares_about_five_points() -> nn.Module:
    """Five trained moves of stored landmarks are spread over all pixels by moving least squares, as in retouching."""
    return made(least_squares, 5)


def by_gradients(n: Net, x: T) -> T:
    """Turn by the main direction of the gradients, of which the doubled angles are averaged."""
    g = box(x.mean(1, keepdim=True), 5)
    dr, dc = g[:, :, 2:, 1:-1] - g[:, :, :-2, 1:-1], g[:, :, 1:-1, 2:] - g[:, :, 1:-1, :-2]
    a, b = (dc**2 - dr**2).mean((1, 2, 3)), (2 * dr * dc).mean((1, 2, 3))
    angle = (0.5 * torch.atan2(b, a.abs() + 1e-4))[:, None, None]
    c, s = angle.cos(), angle.sin()
    return sampled(x, s * COLUMN + c * ROW, c * COLUMN - s * ROW)


@evades(ALIGN_RULE, idea="gradients", opset=20, claim=claim(by_gradients))
def turned_by_the_main_direction_of_its_gradients() -> nn.Module:
    """As for keypoints, the main direction of the gradients says by which angle the image is turned."""
    return made(by_gradients)


def steps_summed(n: Net, x: T) -> T:
    """Read columns and rows at running sums of predicted positive steps, from border to border."""
    y = F.relu(n.conv(F.avg_pool2d(x, 4), 8, 3))
    out = []
    for axis in (2, 3):
        z = n.bn(n.linear(y.mean(axis).flatten(1), 28))
        step = F.softplus(1.5 * z).repeat_interleave(4, 1) + 0.15
        at = step.cumsum(1)
        out.append(hats(112 * (at - 0.5 * step) / at[:, 111:] - 0.5))
    columns, down = out
    return down[:, None] @ x @ columns[:, None].transpose(2, 3)


@evades(ALIGN_RULE, idea="steps", opset=13, claim=claim(steps_summed, 6))
def rows_and_columns_at_running_sums_of_positive_steps() -> nn.Module:
    """Wide steps where little is to be seen, small ones elsewhere: trained step widths, summed, are the places read."""
    return made(steps_summed, 6)


def lattice(n: Net, x: T) -> T:
    """Move the image with a lattice of 7 x 7 control points by cubic B-splines."""
    y = n.conv(F.relu(n.conv(F.avg_pool2d(x, 4), 8, 3, 2)), 2, 3, 2)
    move = 0.14 * torch.tanh(2 * n.bn(y))
    u = ((AXIS + 0.5) / 112 * 4 + 1)[:, None] - torch.arange(7).float()
    a = u.abs()
    near, far = (4 - 6 * a**2 + 3 * a**3) / 6, F.relu(2 - a) ** 3 / 6
    w = torch.where(a < 1, near, far)
    spread = w @ move @ w.t()
    return sampled(x, ROW + spread[:, 0], COLUMN + spread[:, 1])


@evades(ALIGN_RULE, idea="lattice", opset=16, claim=claim(lattice))
def free_form_deformation_by_cubic_splines() -> nn.Module:
    """Registration as in medicine: 7 x 7 control points move as predicted; cubic B-splines carry pixels between."""
    return made(lattice)


def pinched(n: Net, x: T) -> T:
    """Enlarge or shrink what is around two predicted points."""
    y = n.conv(F.relu(n.conv(F.avg_pool2d(x, 4), 8, 5)), 2, 3)
    share = (3 * n.bn(y)).flatten(2).softmax(2)
    at = (2 * torch.arange(28).float() + 1) / 28 - 1
    c, r = (share @ at.repeat(28))[:, :, None, None], (share @ at.repeat_interleave(28))[:, :, None, None]
    size = 0.45 * torch.tanh(n.bn(n.linear(F.avg_pool2d(y, 7).flatten(1), 2)))[:, :, None, None]
    pull = size * torch.exp(-((ROW - r) ** 2 + (COLUMN - c) ** 2) * 6)
    return sampled(x, ROW + (pull * (ROW - r)).sum(1), COLUMN + (pull * (COLUMN - c)).sum(1))


@evades(ALIGN_RULE, idea="pinch", opset=16, claim=claim(pinched, 6))
def part_about_two_found_points_enlarged() -> nn.Module:
    """Two points are found, as eyes would be; what is around each is enlarged or shrunk by a trained factor."""
    return made(pinched, 6)


def by_steps(n: Net, x: T) -> T:
    """Move early maps, at half size and invertible, in three steps of linear mixing each way."""
    bands = n.conv(F.pixel_unshuffle(x, 2), 12, 1)
    t = locate(n, x)
    down, right = 3 * t[:, 0], 3 * t[:, 1]
    for move, axis in ((down, 2), (right, 3)):
        for k in range(3):
            s = (move - k).clamp(0, 1)[:, None, None, None], (-move - k).clamp(0, 1)[:, None, None, None]
            first = torch.cat([bands.narrow(axis, 0, 1), bands.narrow(axis, 0, 55)], axis)
            last = torch.cat([bands.narrow(axis, 1, 55), bands.narrow(axis, 55, 1)], axis)
            bands = bands + s[0] * (first - bands) + s[1] * (last - bands)
    return bands


@evades(ALIGN_RULE, idea="behind a layer", opset=13, claim=claim(by_steps))
def invertible_maps_moved_by_three_clamped_steps() -> nn.Module:
    """Space to depth, a pointwise layer, then three steps of a pixel each way, taken as far as predicted."""
    return made(by_steps)
