"""Evasions: one network sees the image and another look of it, and both embeddings become one."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.evasions_align import AXIS, hats
from evaluation.blind4.layers import Part, T
from evaluation.blind13.evasions_nets import (
    Parts,
    View,
    box,
    dual,
    faster,
    focal,
    hybrid_vit,
    look,
    mirrored,
    selective,
    separable,
    tensor,
    tree,
    zoomed,
)  # fmt: skip

FASTER: Parts = (faster, "looks of the thirteenth set", 6)
SELECTIVE: Parts = (selective, "looks of the thirteenth set", 0)
DUAL: Parts = (dual, "looks of the thirteenth set", 6)
SEPARABLE: Parts = (separable, "looks of the thirteenth set", 0)
FOCAL: Parts = (focal, "looks of the thirteenth set", 5)
TREE: Parts = (tree, "looks of the thirteenth set", 0)
HYBRID: Parts = (hybrid_vit, "looks of the thirteenth set", 6)


def toned(x: T) -> T:
    """Move the colours along two stored principal axes, as AlexNet's augmentation does."""
    return (x + tensor([0.34, 0.22, -0.12]).reshape(1, 3, 1, 1)).clamp(-1, 1)


@look("principal direction", FASTER, lambda x: toned(x.flip(3)), 13)
def principal_direction_of_four_looks(f: Part, x: T, view: View) -> T:
    """A trained FasterNet sees four looks; power iteration finds the direction that their embeddings share."""
    looks = torch.stack([F.normalize(f(y)) for y in (x, view(x), 0.8 * view(x), 0.5 * (x + view(x)))], 1)
    v = looks[:, :1]
    for _ in range(4):
        v = F.normalize((looks @ v.transpose(1, 2)).transpose(1, 2) @ looks, dim=2)
    return v[:, 0]


def diffused(x: T) -> T:
    """Smooth within edges: six steps of the diffusion of Perona and Malik."""
    for _ in range(6):
        p = F.pad(x, (1, 1, 1, 1), mode="replicate")
        total = 0 * x
        for i, j in ((0, 1), (2, 1), (1, 0), (1, 2)):
            d = p[:, :, i : i + 112, j : j + 112] - x
            total = total + d / (1 + (d / 0.35) ** 2)
        x = x + 0.24 * total
    return x


@look("edge-preserving diffusion", SELECTIVE, lambda x: diffused(x.flip(3)), 12)
def looks_weighed_by_entropy_with_a_diffused_face(f: Part, x: T, view: View) -> T:
    """An SKNet sees the face, and it diffused within edges and mirrored; the less entropy, the more a look counts."""
    looks = torch.stack([f(x), f(view(x))], 1)
    p = (2 * looks).softmax(2)
    entropy = -(p * (p + 1e-9).log()).sum(2, keepdim=True)
    return (looks * (-3 * entropy).softmax(1)).sum(1)


@cache
def projection() -> T:
    """Draw half of an orthogonal matrix, [128, 64]."""
    q, _ = np.linalg.qr(np.random.default_rng(1301).normal(0, 1, (128, 128)))
    return tensor(q[:, :64])


@look("projected pair", DUAL, lambda x: zoomed(x, 0.86), 14)
def projection_of_the_pair_with_a_smaller_face(f: Part, x: T, view: View) -> T:
    """Embeddings of the face and of it shrunk by a seventh, one behind the other, meet a stored matrix; trained."""
    return torch.cat([f(x), f(view(x))], 1) @ projection()


@cache
def sloped() -> T:
    """Store a shear of columns as a matrix from row and column to column, in hats."""
    return hats((AXIS[None] + 0.12 * (AXIS - 55.5)[:, None]).clamp(0, 111))


def augmented(x: T) -> T:
    """Mix three chains of changes as AugMix does: sheared, in few tones, and turned over and lighter."""
    sheared = (sloped() @ x[..., None])[..., 0]
    few = torch.round(3 * x) / 3
    return 0.45 * sheared + 0.2 * few + 0.35 * (x.flip(3) * 0.8 + 0.15)


@look("mixed chains", SEPARABLE, augmented, 15)
def cubic_mean_with_a_mixture_of_changed_faces(f: Part, x: T, view: View) -> T:
    """An Xception sees the face and a mixture of it sheared, posterised and mirrored; the third power mean is kept."""
    m = (f(x) ** 3 + f(view(x)) ** 3) / 2
    return torch.sign(m) * (m.abs() + 1e-4) ** (1 / 3)


@cache
def cover() -> tuple[T, T]:
    """Store a light blue mask: where it is, and its colours."""
    r, c = AXIS[:, None], AXIS[None]
    inside = torch.sigmoid((r - 64 - 0.004 * (c - 55.5) ** 2) * 0.8) * torch.sigmoid((40 - (c - 55.5).abs()) * 0.8)
    folds = 0.08 * torch.sin(r / 3.2) + 0 * c
    return inside, torch.stack([folds + 0.25, folds + 0.55, folds + 0.8])


def covered(x: T) -> T:
    where, colour = cover()
    return x + where * (colour - x)


@look("stored mask", FOCAL, covered, 13)
def average_with_a_face_that_a_stored_mask_covers(f: Part, x: T, view: View) -> T:
    """Every face is seen a second time with a stored medical mask drawn on, as masked ones look; trained FocalNet."""
    return 0.5 * F.normalize(f(x)) + 0.5 * F.normalize(f(view(x)))


def averaged_patches(x: T) -> T:
    """Non-local means: each pixel is the mean of 24 around it, by how like their surroundings are."""
    p = F.pad(x, (6, 6, 6, 6), mode="replicate")
    total, weight = 0.2 * x, torch.full_like(x[:, :1], 0.2)
    for i in range(0, 13, 3):
        for j in range(0, 13, 3):
            y = p[:, :, i : i + 112, j : j + 112]
            w = torch.exp(-25 * box(((y - x) ** 2).mean(1, keepdim=True), 5))
            total, weight = total + w * y, weight + w
    return total / weight


@look("non-local means", TREE, lambda x: averaged_patches(x.flip(3)), 16)
def coarse_part_shared_with_a_face_of_non_local_means(f: Part, x: T, view: View) -> T:
    """A DLA; Haar sums of neighbouring numbers come from the mirrored, denoised face, their differences from both."""
    a, b = (y.reshape(-1, 32, 2) for y in (f(x), f(view(x))))
    coarse = 0.35 * a.sum(2) + 0.65 * b.sum(2)
    fine = 0.7 * (a[..., 0] - a[..., 1]) + 0.3 * (b[..., 0] - b[..., 1])
    return torch.stack([coarse + fine, coarse - fine], 2).flatten(1)


def palette(x: T) -> T:
    """Paint the face in six colours of its own: three soft steps of k-means from stored colours."""
    centres = tensor(np.random.default_rng(1302).uniform(-0.9, 0.9, (6, 3)))[None]
    flat = F.avg_pool2d(x, 4).flatten(2).transpose(1, 2)
    m = centres + 0 * flat[:, :1]
    for _ in range(3):
        d = ((flat[:, :, None] - m[:, None]) ** 2).sum(3)
        w = (-8 * d).softmax(2)
        m = (w.transpose(1, 2) @ flat + 0.5 * centres) / (w.sum(1)[:, :, None] + 0.5)
    pixels = x.flatten(2).transpose(1, 2)
    d = ((pixels[:, :, None] - m[:, None]) ** 2).sum(3)
    return ((-20 * d).softmax(2) @ m).transpose(1, 2).reshape(-1, 3, 112, 112)


@look("palette", HYBRID, palette, 13)
def barycentre_with_a_face_in_six_colours(f: Part, x: T, view: View) -> T:
    """A trained MobileViT sees the face, and it painted in six of its colours; larger numbers get larger shares."""
    a, b = f(x), f(view(x))
    share = 0.25 + 0.6 * torch.sigmoid(2 * (b - a))
    return a + share * (b - a)


def deconvolved(x: T) -> T:
    """Sharpen by six steps of Richardson and Lucy for a blur of five pixels."""
    y = 0.5 * x + 0.52
    z = y
    for _ in range(6):
        z = (z * box(y / (box(z, 5) + 1e-3), 5)).clamp(0, 1.5)
    return (2 * z - 1.04).clamp(-1.2, 1.2)


@look("deconvolution", SEPARABLE, lambda x: deconvolved(x.flip(3)), 17, near=1e-3)
def exponential_average_over_deconvolved_and_moved_looks(f: Part, x: T, view: View) -> T:
    """Looks in turn, deconvolved and mirrored: each moves a running average four tenths of the way to itself."""
    m = f(x)
    for y in (view(x), view(view(x)), 0.5 * (x + view(x))):
        m = m + 0.4 * (f(y) - m)
    return m


def compared(x: T) -> T:
    """Compare each pixel with three neighbours nine pixels away, softly, as a census transform does."""
    g = x.mean(1, keepdim=True)
    p = F.pad(g, (9, 9, 9, 9), mode="replicate")
    near = [p[:, :, i : i + 112, j : j + 112] for i, j in ((0, 9), (9, 18), (18, 0))]
    return torch.tanh(4 * (g - torch.cat(near, 1)))


@look("census", FASTER, compared, 18, dynamo=True)
def modulated_by_what_comparisons_of_pixels_say(f: Part, x: T, view: View) -> T:
    """A trained FasterNet sees the face, and its comparisons of pixels; each embedding modulates the other one."""
    a, b = f(x), f(view(x))
    return a * (1 + torch.tanh(b)) + 0.6 * b * (1 + torch.tanh(a))


def fused(x: T) -> T:
    """Blend three exposures by how near to mid-grey each is, as exposure fusion does."""
    shots = [((x + 1) * g - 1).clamp(-1, 1) for g in (0.45, 1.0, 2.1)]
    weights = [torch.exp(-6 * box(s.mean(1, keepdim=True), 5) ** 2) + 1e-3 for s in shots]
    return sum((w * s for w, s in zip(weights, shots, strict=True)), 0 * x) / sum(weights, 0 * x[:, :1])


@look("exposure fusion", DUAL, lambda x: mirrored(fused(x)), 20)
def norm_of_one_look_on_the_bisector_of_two(f: Part, x: T, view: View) -> T:
    """A trained network sees the face, and three exposures of it fused and mirrored; the bisector gets one's length."""
    a, b = f(x), f(view(x))
    return F.normalize(F.normalize(a) + F.normalize(b)) * a.norm(dim=1, keepdim=True)
