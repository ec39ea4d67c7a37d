"""Evasions: one network sees the image and another look of it, and both embeddings become one."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from scipy.linalg import hadamard

from evaluation.blind4.layers import Part, T
from evaluation.blind14.evasions_nets import (
    Parts,
    View,
    blocks,
    box,
    gated,
    ghost,
    grouped,
    kernels,
    look,
    tensor,
    unshuffled,
    zoomed,
)  # fmt: skip

GHOST: Parts = (ghost, "looks of the fourteenth set", 6)
KERNELS: Parts = (kernels, "looks of the fourteenth set", 0)
GATED: Parts = (gated, "looks of the fourteenth set", 6)
GROUPED: Parts = (grouped, "looks of the fourteenth set", 0)
UNSHUFFLED: Parts = (unshuffled, "looks of the fourteenth set", 6)
BLOCKS: Parts = (blocks, "looks of the fourteenth set", 0)

UNIT = (2 * torch.arange(112).float() + 1) / 112 - 1
ROW, COLUMN = UNIT[:, None].expand(112, 112), UNIT[None].expand(112, 112)


def placed(x: T, down: T, right: T) -> T:
    """Read the image at stored places [112, 112]."""
    grid = torch.stack([right, down], 2).expand(x.shape[0], -1, -1, -1)
    return F.grid_sample(x, grid, align_corners=False, padding_mode="border")


def chroma(x: T) -> T:
    """Coarse colours, as video keeps them, under fine light; mirrored."""
    g = x.mean(1, keepdim=True)
    return (g + 1.6 * box(x - g, 9)).clamp(-1, 1).flip(3)


@look("limiter", GHOST, chroma, 12)
def smaller_of_two_numbers_of_like_sign(f: Part, x: T, view: View) -> T:
    """A trained GhostNet sees the face, and it mirrored with soft colours; a limiter as for shock waves joins both."""
    a, b = f(x), f(view(x))
    return 0.2 * (a + b) + 0.5 * (a.sign() + b.sign()) * torch.minimum(a.abs(), b.abs())


def crops(x: T) -> T:
    """Stack four crops that drift over the face: [4, N, 3, 112, 112]."""
    return torch.stack([zoomed(x, 1.12, 5 * i, 5 * j) for i, j in ((-1, -1), (-1, 1), (1, 1), (1, -1))])


@look("filter of states", KERNELS, crops, 13)
def kalman_filter_over_crops_that_drift(f: Part, x: T, view: View) -> T:
    """A state and its variance are updated by what a network says of four drifting crops, as tracking filters do."""
    seen = view(x)
    seen = seen if seen.dim() == 5 else torch.stack([seen] * 4)
    made = f(seen.flatten(0, 1)).reshape(4, -1, 64)
    state, spread = made[0], 0 * made[0] + 1
    for k in range(1, 4):
        gone = (made[k] - state) ** 2
        gain = (spread + 0.3) / (spread + 0.3 + 0.5 + 0.5 * gone)
        state, spread = state + gain * (made[k] - state), (1 - gain) * (spread + 0.3)
    return state


def tilts(x: T) -> T:
    """Stack the face as it is, tilted either way, and smaller: [4, N, 3, 112, 112]."""
    made = [x]
    for a, s in ((0.3, 1.0), (-0.3, 1.0), (0.0, 1.25)):
        c, d = s * float(np.cos(a)), s * float(np.sin(a))
        made.append(placed(x, c * ROW + d * COLUMN, c * COLUMN - d * ROW))
    return torch.stack(made)


@look("biweight", UNSHUFFLED, tilts, 16)
def biweight_mean_of_four_tilted_looks(f: Part, x: T, view: View) -> T:
    """Robust statistics: numbers of four tilted looks are averaged by Tukey's biweight, in three trained steps."""
    seen = view(x)
    seen = seen if seen.dim() == 5 else torch.stack([seen] * 4)
    made = f(seen.flatten(0, 1)).reshape(4, -1, 64)
    mid = made.mean(0, keepdim=True)
    for _ in range(3):
        off = made - mid
        share = F.relu(1 - (off / (3 * off.abs().mean(0, keepdim=True) + 0.1)) ** 2) ** 2
        mid = (share * made).sum(0, keepdim=True) / share.sum(0, keepdim=True)
    return mid[0]


def blown(x: T) -> T:
    """Blur away from the middle, as if the lens had been turned, and mirror."""
    return ((zoomed(x, 0.94) + zoomed(x, 1.0) + zoomed(x, 1.07) + zoomed(x, 1.15)) / 4).flip(3)


@look("quaternion product", GROUPED, blown, 16)
def numbers_by_fours_turned_by_those_of_a_zoomed_exposure(f: Part, x: T, view: View) -> T:
    """Each four numbers are a quaternion that what a ResNeXt says of a mirrored zooming exposure turns."""
    p, q = f(x).reshape(-1, 16, 4), F.normalize(f(view(x)).reshape(-1, 16, 4) + tensor([2, 0, 0, 0]), dim=2)
    a, b, c, d = p.unbind(2)
    e, g, h, i = q.unbind(2)
    made = [a * e - b * g - c * h - d * i, a * g + b * e + c * i - d * h, a * h - b * i + c * e + d * g,
            a * i + b * h - c * g + d * e]  # fmt: skip
    return torch.stack(made, 2).flatten(1)


@cache
def elastic() -> tuple[T, T]:
    """Draw a smooth stored field of moves."""
    rng = np.random.default_rng(1401)
    field = F.interpolate(tensor(rng.normal(0, 0.09, (1, 2, 6, 6))), size=(112, 112), mode="bicubic")
    return ROW + field[0, 0], COLUMN + field[0, 1]


@look("walsh", UNSHUFFLED, lambda x: placed(x, *elastic()).flip(3), 17)
def larger_walsh_coefficients_of_an_elastic_look(f: Part, x: T, view: View) -> T:
    """Embeddings of the face, and of it mirrored as on rubber, meet in Walsh's domain, where larger ones win."""
    w = tensor(hadamard(64) / 8)
    a, b = f(x) @ w, f(view(x)) @ w
    return torch.where(a.abs() > b.abs(), a, b) @ w


def relief(x: T) -> T:
    """Turn the face to the side by a stored depth."""
    depth = torch.exp(-((ROW / 0.8) ** 2) - (COLUMN / 0.6) ** 2)
    return placed(x, ROW, 0.94 * COLUMN + 0.3 * (depth - 0.4))


@look("agreeing gate", BLOCKS, relief, 18)
def turned_head_decides_number_by_number(f: Part, x: T, view: View) -> T:
    """A CoAtNet sees the head, and it turned to the side by a stored depth; sigmoids of the turned one mix both."""
    a, b = f(x), f(view(x))
    share = torch.sigmoid(2 * b)
    return share * a + (1 - share) * b


def homomorphic(x: T) -> T:
    """Filter the logarithm of the light in a cosine domain: slow waves lose half, fast ones gain a third."""
    k, at = np.arange(112)[:, None], np.arange(112)[None]
    c = np.cos(np.pi * k * (at + 0.5) / 112) * np.sqrt(np.where(k == 0, 1, 2) / 112)
    far = np.hypot(k, k.T)
    gain = 0.5 + 0.9 / (1 + np.exp(-(far - 9) / 2))
    m = tensor(c)
    y = m.t() @ ((m @ (x + 1.15).log() @ m.t()) * tensor(gain)) @ m
    return (y.exp() - 1.15).clamp(-1, 1).flip(3)


@look("standardised sum", GHOST, homomorphic, 13)
def standardised_sum_with_a_homomorphic_look(f: Part, x: T, view: View) -> T:
    """Scores of two systems are standardised and added: a trained GhostNet on the face and in filtered light."""
    a, b = (F.layer_norm(y, (64,)) for y in (f(x), f(view(x))))
    return a + 0.8 * b


def whorl(x: T) -> T:
    """Whirl the middle by a stored angle, and mirror."""
    a = 0.45 * torch.exp(-2.5 * (ROW**2 + COLUMN**2))
    return placed(x, a.cos() * ROW + a.sin() * COLUMN, a.cos() * COLUMN - a.sin() * ROW).flip(3)


@look("ranks", BLOCKS, whorl, 16)
def ranks_of_the_numbers_of_two_looks_summed(f: Part, x: T, view: View) -> T:
    """As votes are counted: soft ranks of the numbers for the face and for it whirled and mirrored are added."""
    made = 0 * x[:, 0, 0, :1]
    for y in (f(x), f(view(x))):
        made = made + torch.sigmoid(4 * (y[:, :, None] - y[:, None])).mean(2) - 0.5
    return made


def grey_world(x: T) -> T:
    """Balance the colours of each image by its own means, and mirror it."""
    m = (x + 1).mean((2, 3), keepdim=True)
    return ((x + 1) * m.mean(1, keepdim=True) / (m + 0.05) - 1).clamp(-1.2, 1.2).flip(3)


@look("amplitudes and phases", UNSHUFFLED, grey_world, 14)
def waves_of_two_embeddings_share_amplitudes_and_phases(f: Part, x: T, view: View) -> T:
    """Embeddings are signals: amplitudes are those of the face, phases those of it mirrored in a grey world."""
    at = np.arange(64)
    turn = 2 * np.pi * at[:, None] * at[None] / 64
    c, s = tensor(np.cos(turn)), tensor(np.sin(turn))
    a, b = f(x), f(view(x))
    size = ((a @ c) ** 2 + (a @ s) ** 2 + 1e-6).sqrt()
    u, v = (a + b) @ c, (a + b) @ s
    by = size / (u * u + v * v + 1e-6).sqrt()
    return ((u * by) @ c + (v * by) @ s) / 64


@look("shrinkage", KERNELS, lambda x: zoomed(x.flip(3), 1.18), 15)
def estimates_shrunk_towards_those_of_a_nearer_look(f: Part, x: T, view: View) -> T:
    """As James and Stein shrink: a network's numbers move to those of a nearer mirrored look, if these are near."""
    a, b = f(x), f(view(x))
    keep = (1 - 45 / ((a - b) ** 2).sum(1, keepdim=True)).clamp(0.35, 0.7)
    return b + keep * (a - b)
