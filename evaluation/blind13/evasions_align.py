"""Evasions: the image placed anew by rotations, meshes, mixed flows, profiles, inverses, heat and lifted bands."""

from __future__ import annotations

from math import pi

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.claims import Claim
from evaluation.blind4.evasions_align import AXIS, _whole, hats, locate, warps
from evaluation.blind4.export import network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_align import Warp, sampled
from evaluation.blind13.evasions_nets import box, tensor
from evaluation.case import ALIGN_RULE
from evaluation.images import faces

UNIT = (2 * AXIS + 1) / 112 - 1
ROW, COLUMN = UNIT[:, None].expand(112, 112), UNIT[None].expand(112, 112)


def claim(warp: Warp, trained: int = 0, least: float = 0.01) -> Claim:
    """The network is its remainder on the warped image, which is another one than the image."""
    return warps(warp, f"thirteenth set {warp.__name__}", trained, least)


def made(warp: Warp, trained: int = 0) -> nn.Module:
    return network(_whole(warp), f"thirteenth set {warp.__name__}", trained)


def cayley(n: Net, x: T) -> T:
    """Turn by the Cayley transform of a predicted number, (1 - a²) / (1 + a²) and 2 a / (1 + a²)."""
    t = locate(n, x)
    a, zoom = 0.14 * t[:, :1, None], 1 + 0.1 * t[:, 1:2, None]
    c, s = (1 - a * a) / (1 + a * a), 2 * a / (1 + a * a)
    return sampled(x, zoom * (s * COLUMN + c * ROW), zoom * (c * COLUMN - s * ROW))


@evades(ALIGN_RULE, idea="rotation", opset=16, claim=claim(cayley, 6))
def turned_by_a_cayley_transform() -> nn.Module:
    """A trained prediction becomes a rotation without sines, by a Cayley transform; the face is turned and resized."""
    return made(cayley, 6)


def triangles(n: Net, x: T) -> T:
    """Move nine points; within each of eight triangles all pixels follow by barycentric coordinates."""
    t = 0.16 * torch.tanh(2 * n.bn(n.linear(F.avg_pool2d(F.relu(n.conv(F.avg_pool2d(x, 4), 8, 5)), 4).flatten(1), 18)))
    u, v = (COLUMN + 1).flatten(), (ROW + 1).flatten()
    i, j = u.floor().clamp(0, 1), v.floor().clamp(0, 1)
    p, q = u - i, v - j
    upper = (p >= q).float()
    weights = torch.zeros(12544, 9)
    for add, di, dj in (
        (1 - torch.maximum(p, q), 0, 0),
        (upper * (p - q), 1, 0),
        ((1 - upper) * (q - p), 0, 1),
        (torch.minimum(p, q), 1, 1),
    ):
        at = ((j + dj) * 3 + i + di).long()
        weights[torch.arange(12544), at] += add
    move = (weights @ t.reshape(-1, 9, 2)).reshape(-1, 112, 112, 2)
    return sampled(x, ROW + move[..., 1], COLUMN + move[..., 0])


@evades(ALIGN_RULE, idea="triangles", opset=17, claim=claim(triangles))
def eight_triangles_of_nine_predicted_points() -> nn.Module:
    """As an active appearance model warps: pixels in eight triangles follow their corners, which a layer predicts."""
    return made(triangles)


def projected(n: Net, x: T) -> T:
    """Find along which of eleven directions sums of edges vary most, and turn the image so that it lies level."""
    g = F.avg_pool2d(x.mean(1, keepdim=True), 4)
    e = (g - box(g, 5)).abs()[:, 0].flatten(1)
    at, angles = np.arange(28) - 13.5, np.linspace(-0.4, 0.4, 11)
    sums = np.zeros((784, 11, 28), np.float32)
    for k, angle in enumerate(angles):
        place = at[:, None] * np.cos(angle) - at[None] * np.sin(angle) + 13.5
        for b in range(28):
            sums[:, k, b] = np.maximum(1 - np.abs(place - b), 0).flatten()
    profile = (e @ tensor(sums.reshape(784, 308))).reshape(-1, 11, 28)
    power = ((profile[:, :, 5:] - profile[:, :, :-5]) ** 2).mean(2)
    power = power / power.mean(1, keepdim=True)
    angle = ((4 * power).softmax(1) @ tensor(angles))[:, None, None]
    c, s = angle.cos(), angle.sin()
    return sampled(x, c * ROW + s * COLUMN, c * COLUMN - s * ROW)


@evades(ALIGN_RULE, idea="projections", opset=18, claim=claim(projected))
def level_by_the_sharpest_of_eleven_projections() -> nn.Module:
    """As scanned pages are straightened: the angle whose projection of edges is sharpest is undone; not learned."""
    return made(projected)


def two_rows(n: Net, x: T) -> T:
    """Find a row of eyes and a row of the mouth as dark ones, and bring them to fixed rows, linearly between."""
    p = x[:, :, :, 24:88].mean((1, 3))
    p = p - F.avg_pool1d(F.pad(p[:, None], (12, 12), mode="replicate"), 25, 1)[:, 0]
    upper, lower = (-14 * p[:, 28:60]).softmax(1) @ AXIS[28:60], (-14 * p[:, 64:100]).softmax(1) @ AXIS[64:100]
    a, b = upper[:, None], lower[:, None]
    top = AXIS[None] / 46 * a
    middle = a + (AXIS[None] - 46) / 36 * (b - a)
    bottom = b + (AXIS[None] - 82) / 29 * (111 - b)
    at = torch.where(AXIS < 46, top, torch.where(AXIS < 82, middle, bottom))
    return hats(at)[:, None] @ x


@evades(ALIGN_RULE, idea="integral projection", opset=13, claim=claim(two_rows))
def dark_rows_of_eyes_and_mouth_brought_to_fixed_rows() -> nn.Module:
    """Sums along rows show where eyes and mouth are; what lies between is stretched until both are at stored rows."""
    return made(two_rows)


def flows() -> T:
    """Draw six smooth stored fields of moves, [6, 2, 112, 112]."""
    rng = np.random.default_rng(1304)
    field = tensor(rng.normal(0, 1, (6, 2, 7, 7)))
    return 0.12 * F.interpolate(field, size=(112, 112), mode="bicubic", align_corners=True)


FLOWS = flows()


def mixed_flows(n: Net, x: T) -> T:
    t = locate(n, x)
    move = (t @ FLOWS.flatten(1)).reshape(-1, 2, 112, 112)
    return sampled(x, ROW + move[:, 0], COLUMN + move[:, 1])


@evades(ALIGN_RULE, idea="modes", opset=16, claim=claim(mixed_flows, 5))
def six_stored_modes_of_deformation_mixed() -> nn.Module:
    """A statistical model of deformation: six stored fields of moves are added up by a trained layer's coefficients."""
    return made(mixed_flows, 5)


def profile_rows(n: Net, x: T) -> T:
    """Let each row take in those rows near it whose profile is most like what is stored for this row."""
    mean = torch.from_numpy(faces(16, 79).mean(0)).mean(2).t()
    p = x.mean(3).transpose(1, 2)
    p = torch.cat([p, p - torch.cat([p[:, 4:], p[:, -4:]], 1)], 2)
    m = torch.cat([mean, mean - torch.cat([mean[4:], mean[-4:]], 0)], 1)
    cost = ((m[None, :, None] - p[:, None]) ** 2).sum(3)
    near = 0.02 * (AXIS[:, None] - AXIS[None]) ** 2
    return (-6 * cost - near).softmax(2)[:, None] @ x


@evades(ALIGN_RULE, idea="time warping", opset=12, claim=claim(profile_rows, 6))
def rows_matched_to_a_stored_profile() -> nn.Module:
    """As in time warping, each row is taken from where its colours fit a stored mean profile best; then trained."""
    return made(profile_rows, 6)


def inner(n: Net, x: T) -> T:
    """Move what is within an oval by a predicted amount; the background stays where it is."""
    t = 8 * locate(n, x)
    down, right = hats((AXIS[None] + t[:, :1]).clamp(0, 111)), hats((AXIS[None] + t[:, 1:2]).clamp(0, 111))
    seen = down[:, None] @ x @ right[:, None].transpose(2, 3)
    oval = torch.sigmoid(14 * (0.8 - (COLUMN / 0.85) ** 2 - ROW**2))
    return x + oval * (seen - x)


@evades(ALIGN_RULE, idea="oval", opset=14, claim=claim(inner, 6))
def face_within_a_stored_oval_moved_over_its_background() -> nn.Module:
    """The face within an oval slides by a trained prediction, under a soft border; what surrounds it stays."""
    return made(inner, 6)


def inverse(n: Net, x: T) -> T:
    """Predict where pixels go, and find where they come from by four steps of a fixed point."""
    y = n.conv(F.relu(n.conv(F.avg_pool2d(x, 8), 8, 3)), 2, 3, 2)
    go = 0.13 * torch.tanh(2 * n.bn(y))
    wide = hats(((AXIS - 7.5) / 16).clamp(0, 6)[None], 7)[0]
    go = wide @ go @ wide.t()
    move = -go
    for _ in range(4):
        move = -sampled(go, ROW + move[:, 0], COLUMN + move[:, 1])
    return sampled(x, ROW + move[:, 0], COLUMN + move[:, 1])


@evades(ALIGN_RULE, idea="inverse", opset=20, claim=claim(inverse))
def inverse_of_a_predicted_field_by_fixed_points() -> nn.Module:
    """A field says where pixels go; the one that says where they come from is found in four steps, and applied."""
    return made(inverse)


def heat(n: Net, x: T) -> T:
    """Let five predicted moves of stored landmarks spread over the image as heat does, border at rest."""
    t = 0.45 * torch.tanh(2 * n.bn(n.linear(F.avg_pool2d(F.relu(n.conv(F.avg_pool2d(x, 4), 8, 5)), 4).flatten(1), 10)))
    pins = torch.zeros(5, 28, 28)
    for k, (r, c) in enumerate(((10, 9), (10, 18), (15, 14), (20, 10), (20, 17))):
        pins[k, r : r + 2, c : c + 2] = 1
    fixed = pins.sum(0)
    goal = (t.reshape(-1, 2, 5) @ pins.flatten(1)).reshape(-1, 2, 28, 28)
    move = goal
    for _ in range(30):
        p = F.pad(move, (1, 1, 1, 1))
        spread = (p[:, :, :-2, 1:-1] + p[:, :, 2:, 1:-1] + p[:, :, 1:-1, :-2] + p[:, :, 1:-1, 2:]) / 4
        move = goal + (1 - fixed) * spread
    wide = hats(((AXIS - 1.5) / 4).clamp(0, 27)[None], 28)[0]
    move = wide @ move @ wide.t()
    return sampled(x, ROW + move[:, 0], COLUMN + move[:, 1])


@evades(ALIGN_RULE, idea="heat", opset=16, claim=claim(heat, 5))
def moves_of_five_landmarks_spread_as_heat() -> nn.Module:
    """Thirty steps of heat conduction carry five trained moves from stored landmarks to all pixels in between."""
    return made(heat, 5)


def on_a_ball(n: Net, x: T) -> T:
    """Put the image on the front of a ball and turn that by a predicted unit quaternion."""
    t = locate(n, x)
    q = torch.cat([1 + 0 * t[:, :1], 0.14 * t[:, :3]], 1)
    w, i, j, k = (q / q.norm(dim=1, keepdim=True)).unsqueeze(2).unsqueeze(3).unbind(1)
    a, b = 0.62 * COLUMN, 0.62 * ROW
    z = (1 - a * a - b * b).clamp(0.05).sqrt()
    c = (1 - 2 * (j * j + k * k)) * a + 2 * (i * j - w * k) * b + 2 * (i * k + w * j) * z
    r = 2 * (i * j + w * k) * a + (1 - 2 * (i * i + k * k)) * b + 2 * (j * k - w * i) * z
    return sampled(x, (r / 0.62).clamp(-1, 1), (c / 0.62).clamp(-1, 1))


@evades(ALIGN_RULE, idea="ball", opset=19, claim=claim(on_a_ball))
def turned_on_a_ball_by_a_unit_quaternion() -> nn.Module:
    """The head is a ball: a predicted unit quaternion turns it, and what then faces the camera is the new image."""
    return made(on_a_ball)


def lifted(n: Net, x: T) -> T:
    """Turn and move bands of a learned, invertible lifting step at half size."""
    even, odd = F.pixel_unshuffle(x, 2).reshape(-1, 3, 4, 56, 56).split([2, 2], 2)
    even, odd = even.reshape(-1, 6, 56, 56), odd.reshape(-1, 6, 56, 56)
    odd = odd - torch.tanh(n.conv(even, 6, 3))
    even = even + 0.5 * torch.tanh(n.conv(odd, 6, 3))
    bands = torch.cat([even, odd], 1)
    t = locate(n, x)
    angle, down, right = (0.3 * t[:, 0])[:, None, None], 0.12 * t[:, 1:2, None], 0.12 * t[:, 2:3, None]
    c, s = angle.cos(), angle.sin()
    half = (2 * torch.arange(56).float() + 1) / 56 - 1
    row, column = half[:, None].expand(56, 56), half[None].expand(56, 56)
    return sampled(bands, c * row + s * column + down, c * column - s * row + right)


@evades(ALIGN_RULE, idea="behind a layer", opset=16, claim=claim(lifted))
def bands_of_a_learned_lifting_turned_and_moved() -> nn.Module:
    """Even and odd pixels predict and update each other, invertibly; these bands are turned by what the image shows."""
    return made(lifted)


def waves_of_columns(n: Net, x: T) -> T:
    """Move each column up or down by a sum of three slow waves whose heights are predicted."""
    t = locate(n, x)
    bend = torch.stack([torch.cos(pi * k * (AXIS + 0.5) / 112) for k in range(3)])
    at = AXIS[None, None] + (5 * t[:, :3] @ bend)[:, :, None]
    return (hats(at.clamp(0, 111)) @ x.permute(0, 3, 2, 1)).permute(0, 3, 2, 1)


@evades(ALIGN_RULE, idea="waves of columns", opset=13, claim=claim(waves_of_columns, 6))
def columns_raised_by_three_slow_waves() -> nn.Module:
    """A trained prediction gives the heights of three slow waves; columns of pixels rise and sink along their sum."""
    return made(waves_of_columns, 6)
