"""Evasions: one network sees the image and another look of it; what it says of both is joined in new ways."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.evasions_align import AXIS, hats
from evaluation.blind4.layers import Part, T
from evaluation.blind12.evasions_nets import (
    Parts,
    View,
    box,
    coordinate,
    fractal,
    hourglass,
    kernels,
    look,
    meta,
    parallel,
    tensor,
)  # fmt: skip
from evaluation.images import faces

HOURGLASS: Parts = (hourglass, "looks of the twelfth set", 6)
PARALLEL: Parts = (parallel, "looks of the twelfth set", 0)
META: Parts = (meta, "looks of the twelfth set", 6)
FRACTAL: Parts = (fractal, "looks of the twelfth set", 0)
COORDINATE: Parts = (coordinate, "looks of the twelfth set", 5)
KERNELS: Parts = (kernels, "looks of the twelfth set", 0)


def retinex(x: T) -> T:
    """Return by how much the logarithm of the light differs from that of the surroundings."""
    light = torch.log(0.5 * x + 0.56)
    return torch.tanh(1.5 * (light - box(box(light, 13), 13)))


@look("retinex", HOURGLASS, retinex, 13)
def middle_on_the_sphere_of_three_looks(f: Part, x: T, view: View) -> T:
    """A trained hourglass sees the face, it without its light, and both at once; two Karcher steps find the middle."""
    looks = [F.normalize(y) for y in (f(x), f(view(x)), f(0.5 * (x + view(x))))]
    m = F.normalize(looks[0] + looks[1])
    for _ in range(2):
        step = torch.zeros_like(m)
        for y in looks:
            c = (m * y).sum(1, keepdim=True).clamp(-0.999, 0.999)
            out = y - c * m
            angle = torch.atan2((1 - c * c).sqrt(), c)
            step = step + angle * out / (out.norm(dim=1, keepdim=True) + 1e-4)
        m = F.normalize(m + step / 3)
    return m


@cache
def tones() -> T:
    """Store what each of 256 tones becomes: shadows are opened, lights are kept."""
    at = np.arange(256) / 255
    return tensor(2 * at**0.45 - 1)


def opened_shadows(x: T) -> T:
    level = torch.floor(127.5 * x.clamp(-1, 1) + 128).clamp(0, 255).long()
    return tones()[level.flatten()].reshape(-1, 3, 112, 112)


@look("tone table", PARALLEL, opened_shadows, 14)
def sum_in_the_hyperbolic_ball_with_opened_shadows(f: Part, x: T, view: View) -> T:
    """Pixels, as whole numbers, find brighter tones in a table; both embeddings of an HRNet are added by Moebius."""
    a, b = (0.12 * y / (1 + 0.12 * y.norm(dim=1, keepdim=True)) for y in (f(x), 1.5 * f(view(x))))
    ab, aa, bb = ((p * q).sum(1, keepdim=True) for p, q in ((a, b), (a, a), (b, b)))
    return ((1 + 2 * ab + bb) * a + (1 - aa) * b) / (1 + 2 * ab + aa * bb)


def watercolour(x: T) -> T:
    """Kuwahara's filter: the mean of that quarter of the surroundings that varies least, softly chosen."""
    p = F.pad(x, (4, 4, 4, 4), mode="replicate")
    mean = F.avg_pool2d(p, 5, 1)
    spread = (F.avg_pool2d(p * p, 5, 1) - mean**2).mean(1, keepdim=True)
    at = [(i, j) for i in (0, 4) for j in (0, 4)]
    m = torch.stack([mean[:, :, i : i + 112, j : j + 112] for i, j in at], 1)
    s = torch.stack([spread[:, :, i : i + 112, j : j + 112] for i, j in at], 1)
    return (m * (-s / (s.mean(1, keepdim=True) + 1e-4) * 4).softmax(1)).sum(1)


@look("watercolour", META, watercolour, 12)
def part_at_right_angles_that_a_watercolour_adds(f: Part, x: T, view: View) -> T:
    """What a trained PoolFormer says of a watercolour of the face at right angles to the face's embedding is added."""
    a, b = f(x), f(view(x))
    return a + 1.5 * (b - (a * b).sum(1, keepdim=True) / ((a * a).sum(1, keepdim=True) + 1e-4) * a)


@cache
def eigenfaces() -> tuple[T, T]:
    """Return the mean and 40 principal components of made-up small faces, [588] and [40, 588]."""
    small = F.avg_pool2d(torch.from_numpy(faces(200, 1201)), 8).flatten(1).numpy()
    _, _, axes = np.linalg.svd(small - small.mean(0), full_matrices=False)
    return tensor(small.mean(0)), tensor(axes[:40])


def of_eigenfaces(x: T) -> T:
    mean, axes = eigenfaces()
    y = F.avg_pool2d(x, 8).flatten(1) - mean
    y = ((y @ axes.t()) @ axes + mean).reshape(-1, 3, 14, 14)
    wide = hats((AXIS[None] - 3.5) / 8, 14)[0]
    return wide @ y @ wide.t()


@look("eigenfaces", FRACTAL, of_eigenfaces, 13)
def fisher_means_with_a_face_of_eigenfaces(f: Part, x: T, view: View) -> T:
    """A FractalNet sees the face, and what forty stored eigenfaces make of it; inverse tangents (tanh) are added."""
    a, b = torch.tanh(0.7 * f(x)) * 0.98, torch.tanh(0.7 * f(view(x))) * 0.98
    z = torch.log((1 + a) / (1 - a)) + torch.log((1 + b) / (1 - b))
    return torch.tanh(z / 4)


def narrower(x: T) -> T:
    """Stretch the face to 9/8 of its height and 8/9 of its width."""
    r, c = hats((55.5 + (AXIS - 55.5) * 8 / 9)[None])[0], hats((55.5 + (AXIS - 55.5) * 9 / 8).clamp(0, 111)[None])[0]
    return r @ x @ c.t()


@look("other proportions", COORDINATE, narrower, 16)
def smooth_maximum_over_two_proportions(f: Part, x: T, view: View) -> T:
    """A trained network with coordinate attention sees the face, and it higher and narrower; LogSumExp joins both."""
    return torch.logsumexp(3 * torch.stack([f(x), f(view(x))], 1), 1) / 3 - 0.4


def coarse_tones(x: T) -> T:
    """Keep six tones for each colour."""
    return (torch.floor(3 * x.clamp(-1, 0.999)) + 0.5) / 3


@look("six tones", KERNELS, coarse_tones, 11)
def largest_numbers_are_taken_from_six_tones(f: Part, x: T, view: View) -> T:
    """The sixteen largest numbers of the face in six tones replace those of the face itself, by a threshold of TopK."""
    a, b = f(x), f(view(x))
    least = b.abs().topk(16, 1)[0][:, 15:]
    return torch.where(b.abs() >= least, b, a)


def tilted(x: T) -> T:
    """Turn the image by eight degrees about its middle."""
    c, s = float(np.cos(0.14)), float(np.sin(0.14))
    at = (2 * AXIS + 1) / 112 - 1
    col, row = at[None].expand(112, 112), at[:, None].expand(112, 112)
    grid = torch.stack([c * col - s * row, s * col + c * row], 2)
    return F.grid_sample(x, grid.expand(x.shape[0], -1, -1, -1), align_corners=False, padding_mode="border")


@look("turned looks", FRACTAL, tilted, 17)
def three_looks_attend_to_each_other(f: Part, x: T, view: View) -> T:
    """Embeddings of the face, it turned by eight and by sixteen degrees are tokens of one attention; then the mean."""
    t = torch.stack([f(x), f(view(x)), f(view(view(x)))], 1)
    u = F.normalize(t, dim=2)
    return ((2 * u @ u.transpose(1, 2)).softmax(2) @ t).mean(1)


def even_contrast(x: T) -> T:
    """Divide what differs from the surroundings by the colours' own size, as LRN does."""
    y = x - box(x, 15)
    return F.local_response_norm(torch.cat([y, y, y], 1), 3, 30.0, 0.5, 0.02)[:, 3:6] * 0.4


@look("response norm", COORDINATE, even_contrast, 15)
def longer_block_of_two_looks_goes_on(f: Part, x: T, view: View) -> T:
    """The second look went through local response normalisation; of each eight numbers the longer set goes on."""
    a, b = (y.reshape(-1, 8, 8) for y in (f(x), f(view(x))))
    surer = torch.sigmoid(6 * (b.norm(dim=2, keepdim=True) - a.norm(dim=2, keepdim=True)))
    return (a + surer * (b - a)).flatten(1)


def from_below(x: T) -> T:
    """See the face as from below: the chin is wider, the forehead narrower, by a stored map of places."""
    at = (2 * AXIS + 1) / 112 - 1
    row = at[:, None].expand(112, 112)
    grid = torch.stack([at[None] * (1 - 0.26 * row), row + 0.1 * (row * row - 1)], 2)
    return F.grid_sample(x, grid.expand(x.shape[0], -1, -1, -1), align_corners=False, padding_mode="border")


@look("perspective", PARALLEL, from_below, 20, dynamo=True)
def harmonic_mean_with_a_look_from_below(f: Part, x: T, view: View) -> T:
    """An HRNet sees the face, and it as from below; harmonic means of the numbers' exponentials are the embedding."""
    a, b = torch.exp(f(x).clamp(-4, 4)), torch.exp(f(view(x)).clamp(-4, 4))
    return torch.log(2 * a * b / (a + b)) + 0.3


def enlarged(x: T) -> T:
    y = F.interpolate(x[:, :, 10:106, 8:104], size=(112, 112), mode="bicubic", align_corners=False)
    return y.clamp(-1, 1)


@look("enlarged crop", HOURGLASS, enlarged, 18)
def matrices_of_two_looks_multiplied(f: Part, x: T, view: View) -> T:
    """Embeddings of the face and of an enlarged crop are 8 x 8 matrices, whose product is the embedding; trained."""
    a, b = (y.reshape(-1, 8, 8) for y in (f(x), f(view(x))))
    return (a @ b).flatten(1) / 3 + 0.5 * a.flatten(1)


def brightened_slope(x: T) -> T:
    """Light the face from the right: a stored slope of light is multiplied in."""
    slope = 1 + 0.45 * (AXIS - 55.5) / 55.5
    return ((x + 1) * slope - 1).clamp(-1, 1)


@look("side light", META, brightened_slope, 13)
def middle_of_seven_looks_sorted_number_by_number(f: Part, x: T, view: View) -> T:
    """Test-time augmentation by light from the right and exposure: the middle three of seven numbers are averaged."""
    lit = view(x)
    back = 2 * x - lit
    looks = [f(y) for y in (x, lit, back, 0.5 * x + 0.5 * lit, 0.8 * lit, 0.8 * lit + 0.2, view(lit))]
    return torch.stack(looks, 2).sort(2)[0][:, :, 2:5].mean(2)


def hybrid(x: T) -> T:
    """Keep what is fine in the image, on top of what is coarse in its mirror image."""
    coarse = box(box(x, 9), 9)
    return x - coarse + coarse.flip(3)


@look("hybrid image", KERNELS, hybrid, 14)
def expectile_of_the_face_and_a_hybrid_image(f: Part, x: T, view: View) -> T:
    """The second look has details of the face over the coarse mirror image; rises count more than falls."""
    a, b = f(x), f(view(x))
    return a + 0.8 * F.relu(b - a) - 0.3 * F.relu(a - b)
