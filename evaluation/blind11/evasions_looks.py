"""Evasions: one network sees the image and another look of it; what it says of both is joined in new ways."""

from __future__ import annotations

from math import log, pi

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.evasions_align import AXIS, hats
from evaluation.blind4.layers import T
from evaluation.blind11.evasions_nets import (
    Part,
    Parts,
    box,
    drawn_matrix,
    highway,
    inception,
    look,
    poly,
    reg,
    smooth,
    vov,
)  # fmt: skip

INCEPTION: Parts = (inception, "looks of the eleventh set", 6)
VOV: Parts = (vov, "looks of the eleventh set", 0)
HIGHWAY: Parts = (highway, "looks of the eleventh set", 0)
REG: Parts = (reg, "looks of the eleventh set", 6)
SMOOTH: Parts = (smooth, "looks of the eleventh set", 5)
POLY: Parts = (poly, "looks of the eleventh set", 0)


@look("foveation", INCEPTION, 12)
def embedding_bound_to_that_of_a_foveated_look(f: Part, x: T) -> T:
    """A trained Inception sees the face, and it soft but for its middle; circular convolution binds both embeddings."""
    far = (((AXIS - 55.5)[:, None] ** 2 + (AXIS - 55.5)[None] ** 2) / 900).clamp(0, 1)
    a, b = f(x), F.normalize(f(x * (1 - far) + box(box(x, 9), 9) * far))
    at = torch.remainder(torch.arange(64)[:, None] - torch.arange(64)[None], 64).flatten()
    turned = b.index_select(1, at).reshape(-1, 64, 64)
    return (turned @ a[:, :, None])[:, :, 0]


@look("motion blur", VOV, 14)
def spherical_interpolation_towards_a_motion_blurred_look(f: Part, x: T) -> T:
    """A VoVNet sees the face and it blurred along a diagonal; the embedding lies on the arc between, 2 to 1."""
    trail = sum(F.pad(x, (k, 0, k, 0))[:, :, :112, :112] for k in range(7)) / 7
    a, b = F.normalize(f(x)), F.normalize(f(trail))
    angle = torch.atan2((a - b).norm(dim=1, keepdim=True), (a + b).norm(dim=1, keepdim=True)) * 2 + 1e-3
    return torch.sin(0.67 * angle) / torch.sin(angle) * a + torch.sin(0.33 * angle) / torch.sin(angle) * b


@look("scan lines", HIGHWAY, 18, dynamo=True)
def kept_within_bounds_of_a_look_with_scan_lines(f: Part, x: T) -> T:
    """Each number of a highway network is clipped to an interval about that of the face with every third row dark."""
    dark = torch.where(torch.remainder(AXIS, 3) < 1, 0.2, 1.0)[:, None]
    b = f((x + 1) * dark - 1)
    return torch.min(torch.max(f(x), b - 0.25), b + 0.25)


@look("accessories", REG, 13)
def product_of_opinions_with_and_without_glasses(f: Part, x: T) -> T:
    """A trained RegNet sees the face, and it with stored glasses drawn on; shares of the numbers are multiplied."""
    r, c = AXIS[:, None] - 46, (AXIS[None] - 55.5).abs()
    ring = ((r**2 + (c - 18) ** 2).sqrt() - 12).abs()
    worn = torch.exp(-(ring**2) / 4)
    a, b = (f(y).reshape(-1, 8, 8).softmax(2) for y in (x, x * (1 - worn) - 0.8 * worn))
    both = a * b
    return (both / both.sum(2, keepdim=True)).flatten(1) - 0.125


@look("fractions of a pixel", SMOOTH, 15)
def limit_of_looks_moved_by_half_pixels(f: Part, x: T) -> T:
    """Aitken's acceleration: a trained network sees the face moved by 0, 3/2 and 3 pixels and guesses the limit."""
    right = F.pad(x, (3, 0, 0, 0), mode="replicate")
    a, b, c = f(x), f(0.5 * (right[..., 1:113] + right[..., 2:114])), f(right[..., :112])
    second = a - 2 * b + c
    return c - (c - b) ** 2 * second / (second**2 + 0.05)


@look("drawing", POLY, 12)
def whole_steps_of_a_photograph_and_rest_of_a_drawing(f: Part, x: T) -> T:
    """The embedding is rounded to whole steps; what is behind the point comes from a drawing of the face's edges."""
    g = x.mean(1, keepdim=True)
    dr, dc = g - F.pad(g, (0, 0, 2, 0))[:, :, :112], g - F.pad(g, (2, 0, 0, 0))[..., :112]
    b = f((1 - 3 * (dr**2 + dc**2 + 1e-4).sqrt()).expand(-1, 3, -1, -1))
    return torch.floor(f(x)) + (b - torch.floor(b))


@look("wavelets", INCEPTION, 16)
def turned_in_the_plane_of_two_looks_without_small_wavelets(f: Part, x: T) -> T:
    """The embedding is turned by a skew matrix of itself and that of the face with its small wavelets taken off."""
    mean = F.avg_pool2d(x, 4)
    wide = mean.repeat_interleave(4, 2).repeat_interleave(4, 3)
    rest = x - wide
    kept = torch.sign(rest) * F.relu(rest.abs() - 0.08)
    a, b = f(x), F.normalize(f(box(wide, 3) + kept))
    w = drawn_matrix(64, 64, 1)
    u = b @ w
    skew = u[:, :, None] * b[:, None] - b[:, :, None] * u[:, None]
    once = (skew @ a[:, :, None])[:, :, 0]
    return a + once + 0.5 * (skew @ once[:, :, None])[:, :, 0]


@look("tiles of contrast", VOV, 17)
def coupling_layers_conditioned_on_tiles_of_even_contrast(f: Part, x: T) -> T:
    """A flow's coupling layers change the embedding, by what is said of the face with even contrast in all tiles."""
    t = x.reshape(-1, 3, 4, 28, 4, 28)
    mean = t.mean((1, 3, 5), keepdim=True)
    spread = ((t - mean) ** 2).mean((1, 3, 5), keepdim=True).sqrt() + 0.05
    b = f((0.4 * (t - mean) / spread + 0.5 * mean).reshape(-1, 3, 112, 112))
    a, c = f(x).chunk(2, 1)
    for seed in (2, 3):
        w = drawn_matrix(96, 64, seed)
        h = torch.tanh(torch.cat([a, b], 1) @ w)
        a, c = c * torch.exp(0.8 * h[:, :32]) + h[:, 32:], a
    return torch.cat([a, c], 1)


@look("retina", HIGHWAY, 20, dynamo=True)
def log_polar_look_like_a_retina(f: Part, x: T) -> T:
    """A highway network sees the face, and sees it as a retina does, by angle and logarithm of radius; 5 to 3."""
    radius = torch.exp(log(0.06) * (1 - AXIS / 111))[:, None]
    angle = (2 * pi * AXIS / 112)[None]
    grid = torch.stack([radius * angle.cos(), radius * angle.sin()], 2)
    seen = F.grid_sample(x, grid.expand(x.shape[0], -1, -1, -1), align_corners=False, padding_mode="border")
    return 0.625 * f(x) + 0.375 * f(seen)


@look("bricks", REG, 13)
def least_squares_of_looks_by_conjugate_gradients(f: Part, x: T) -> T:
    """Four steps of conjugate gradients fit one embedding to two measurements; the second sees columns staggered."""
    t = x.reshape(-1, 3, 112, 7, 16)
    up = F.pad(t, (0, 0, 0, 0, 0, 5), mode="constant")[:, :, 5:]
    odd = torch.remainder(torch.arange(7), 2).float()[:, None]
    b = f((up * odd + t * (1 - odd)).reshape(-1, 3, 112, 112))
    one, two = drawn_matrix(64, 64, 4), drawn_matrix(64, 64, 5)
    normal = one.t() @ one + two.t() @ two + 0.3 * torch.eye(64)
    z = torch.zeros_like(b)
    r = f(x) @ one + b @ two
    p = r
    for _ in range(4):
        q = p @ normal
        rr = (r * r).sum(1, keepdim=True)
        step = rr / ((p * q).sum(1, keepdim=True) + 1e-6)
        z, r = z + step * p, r - step * q
        p = r + (r * r).sum(1, keepdim=True) / (rr + 1e-6) * p
    return z


@look("diffusion that keeps edges", SMOOTH, 14)
def surprise_at_a_look_of_texture_alone(f: Part, x: T) -> T:
    """Predictive coding: a trained network adds by how much its embedding mispredicts that of the texture alone."""
    y = x
    for _ in range(5):
        p = F.pad(y, (1, 1, 1, 1), mode="replicate")
        near = (p[:, :, :-2, 1:-1], p[:, :, 2:, 1:-1], p[:, :, 1:-1, :-2], p[:, :, 1:-1, 2:])
        y = y + 0.24 * sum((d - y) * torch.exp(-(((d - y) / 0.4) ** 2)) for d in near)
    a = f(x)
    error = f((4 * (x - y)).clamp(-1, 1)) - torch.tanh(a @ drawn_matrix(64, 64, 6))
    return a @ drawn_matrix(64, 64, 7) + error


@look("zoom", POLY, 18)
def signed_root_of_products_with_a_nearer_look(f: Part, x: T) -> T:
    """Each number is the root of the product of those for the face and for it nearer by an eighth, with one's sign."""
    w = hats((55.5 + (AXIS - 55.5) / 1.125)[None])[0]
    a, b = f(x), f(w @ x @ w.t())
    return torch.sign(a) * ((a * b).abs() + 1e-4).sqrt()
