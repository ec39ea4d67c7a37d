"""Evasions: a second look takes part within a network: in steps, streams, attention, contexts and pooled parts."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.layers import Net, T, tokens
from evaluation.blind13.evasions_nets import View, box, member, mirrored, tensor, zoomed


def layer(n: Net, ins: int, outs: int, k: int = 3, s: int = 2) -> Any:
    """Make a convolution with BatchNorm that may be called several times."""
    return n.keep(lambda: nn.Sequential(nn.Conv2d(ins, outs, k, s, k // 2, bias=False), nn.BatchNorm2d(outs)))


def mlp(n: Net, width: int, hidden: int) -> Any:
    return n.keep(lambda: nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(),
                                        nn.Linear(hidden, width)))  # fmt: skip


def patch(n: Net, width: int = 32) -> tuple[Any, T]:
    """Make a patch layer that may be called several times, and codes of the 49 places."""
    return n.keep(lambda: nn.Conv2d(3, width, 16, 16)), n.weight(1, 49, width, gain=2.0)


@member("integration", mirrored, 6, 13)
def corrector_of_heuns_method_driven_by_another_look(n: Net, x: T, view: View) -> T:
    """A neural ODE by Heun's method, trained: predictors are driven by the face, correctors by it mirrored."""
    stem, second = layer(n, 3, 16, 5, 4), layer(n, 16, 24)
    drive, force = n.keep(lambda: nn.Conv2d(24, 24, 1)), layer(n, 24, 24, 3, 1)
    a, b = (F.relu(second(F.relu(stem(y)))) for y in (x, view(x)))
    h = 0.5 * a
    for _ in range(3):
        one = torch.tanh(force(h) + drive(a))
        two = torch.tanh(force(h + 0.5 * one) + 1.5 * drive(b))
        h = h + 0.15 * one + 0.45 * two
    return n.embed(n.down(h, 32), 64)


@member("cross-stitch", lambda x: zoomed(x, 1.25), 0, 14)
def streams_of_two_zooms_under_cross_stitch_units(n: Net, x: T, view: View) -> T:
    """Two streams, one of which sees the face a quarter larger, share all layers; learned factors mix them."""
    a, b, ins = x, view(x), 3
    for width in (12, 20, 28):
        conv, stitch = layer(n, ins, width), n.weight(2, width, 1, 1, gain=0.2)
        a, b = F.relu(conv(a)), F.relu(conv(b))
        a, b = a + (0.3 + stitch[0]) * (b - a), b + (0.3 + stitch[1]) * (a - b)
        ins = width
    return n.embed(n.down(torch.cat([a, b], 1), 36), 64)


@member("attention maps", mirrored, 6, 17)
def attention_maps_averaged_over_a_mirrored_look(n: Net, x: T, view: View) -> T:
    """A trained ViT whose attention maps are means over those of the face and its mirror image; values are added."""
    conv, place = patch(n)
    a, b = (tokens(conv(y)) + place for y in (x, view(x)))
    for _ in range(2):
        norm, ask = n.keep(lambda: nn.LayerNorm(32)), n.keep(lambda: nn.Linear(32, 96))
        last, ff = n.keep(lambda: nn.Linear(32, 32)), mlp(n, 32, 64)
        (q, k, v), (r, m, w) = (ask(norm(y)).chunk(3, 2) for y in (a, b))
        maps = ((2 * q @ k.transpose(1, 2)).softmax(2) + (2 * r @ m.transpose(1, 2)).softmax(2)) / 2
        a, b = a + 2 * last(maps @ (v + w)), b + 2 * last(maps @ (v + w))
        a, b = a + ff(a), b + ff(b)
    return n.embed(n.ln(a).flatten(1), 64)


@member("context", lambda x: x.flip(2), 5, 18)
def focal_contexts_of_the_face_upside_down(n: Net, x: T, view: View) -> T:
    """Focal modulation, trained: contexts that modulate each place are those of a pass over the face upside down."""
    conv = n.keep(lambda: nn.Conv2d(3, 24, 8, 8))
    a, b = conv(x), conv(view(x))
    for _ in range(2):
        query, key = n.keep(lambda: nn.Conv2d(24, 24, 1)), n.keep(lambda: nn.Conv2d(24, 24, 1))
        near, far = (n.keep(lambda k=k: nn.Conv2d(24, 24, k, 1, k // 2, groups=24)) for k in (3, 5))  # type: ignore[misc]
        norm, last = n.keep(lambda: nn.BatchNorm2d(24)), n.keep(lambda: nn.Conv2d(24, 24, 1))
        made = []
        for y in (a, b):
            c = F.gelu(near(key(norm(y))))
            made.append(c + F.gelu(far(c)) + c.mean((2, 3), keepdim=True))
        a, b = a + last(query(norm(a)) * 3 * made[1]), b + last(query(norm(b)) * 3 * made[0])
    return n.embed(n.cbr(a, 32, 3, 2), 64)


@member("covariance", lambda x: 0.55 * x.flip(3) + 0.35, 0, 13)
def covariance_pooled_over_places_of_two_looks(n: Net, x: T, view: View) -> T:
    """Second-order pooling whose covariance is between channels of the face and those of it mirrored and paler."""
    one, two, three = layer(n, 3, 12, 5, 4), layer(n, 12, 20), layer(n, 20, 20)
    a, b = (three(F.relu(two(F.relu(one(y))))).flatten(2) for y in (x, view(x)))
    a, b = (y - y.mean(2, keepdim=True) for y in (a, b))
    c = (a @ b.transpose(1, 2) + b @ a.transpose(1, 2)) / 98
    c = torch.sign(c) * (c.abs() + 1e-3).sqrt()
    return n.embed(c.flatten(1), 64)


@member("queried pooling", lambda x: x[:, [1, 2, 0]], 6, 16)
def pooled_by_queries_of_another_colour_order(n: Net, x: T, view: View) -> T:
    """Attention pooling, trained: eight queries that ask the map's places follow from a pass with colours moved on."""
    one, two, three = layer(n, 3, 12, 5, 4), layer(n, 12, 24), layer(n, 24, 32)
    a, b = (F.relu(three(F.relu(two(F.relu(one(y)))))) for y in (x, view(x)))
    q = n.linear(b.flatten(1), 8 * 32).reshape(-1, 8, 32)
    t = tokens(a)
    k, v = n.linear(t, 32), n.linear(t, 32)
    return n.embed(((q @ k.transpose(1, 2)).softmax(2) @ v).flatten(1), 64)


def corners(x: T) -> T:
    """Cut out four corners and the middle, 80 x 80 each: [5, N, 3, 80, 80]."""
    places = ((0, 0), (0, 32), (32, 0), (32, 32), (16, 16))
    return torch.stack([x[:, :, i : i + 80, j : j + 80] for i, j in places])


def middles(x: T) -> T:
    return torch.stack([x[:, :, 16:96, 16:96]] * 5)


@member("bag", corners, 5, 13, instead=middles)
def bag_of_five_crops_with_gated_attention(n: Net, x: T, view: View) -> T:
    """Multiple instance learning, trained: five crops are a bag, which gated attention pools behind one trunk."""
    bag = view(x)
    y = F.relu(n.cb(bag.flatten(0, 1), 12, 5, 4))
    y = n.cbr(n.cbr(y, 20, 3, 2), 28, 3, 2).flatten(1)
    h = n.linear(y, 64)
    gate = torch.tanh(n.linear(h, 24)) * torch.sigmoid(n.linear(h, 24))
    share = n.linear(gate, 1).reshape(5, -1, 1).softmax(0)
    return n.bn((share * h.reshape(5, -1, 64)).sum(0))


@cache
def waves() -> tuple[T, T]:
    """Draw 192 random waves over 588 numbers and their phases."""
    rng = np.random.default_rng(1303)
    return tensor(rng.normal(0, 0.16, (588, 192))), tensor(rng.uniform(0, 6.28, 192))


def four_moves(x: T) -> T:
    p = F.pad(x, (6, 6, 6, 6), mode="replicate")
    return torch.stack([p[:, :, i : i + 112, j : j + 112] for i in (1, 11) for j in (1, 11)])


def once(x: T) -> T:
    return torch.stack([x] * 4)


@member("random waves", four_moves, 0, 12, instead=once)
def random_waves_averaged_over_four_moves(n: Net, x: T, view: View) -> T:
    """A kernel machine of random waves; each wave is averaged over the face moved to four sides, then layers follow."""
    w, phase = waves()
    small = F.avg_pool2d(view(x).flatten(0, 1), 8).flatten(1)
    y = torch.cos(1.7 * small @ w + phase).reshape(4, -1, 192).mean(0)
    return n.embed(F.gelu(n.bn(n.linear(n.bn(y), 96))), 64)


@member("polynomial", lambda x: box(x, 9) + 0.5 * (x.flip(3) - x), 0, 15)
def second_order_of_a_polynomial_block_from_another_look(n: Net, x: T, view: View) -> T:
    """PolyNet's blocks have terms of first and second order; the second is taken of a softened, half mirrored look."""
    stem = layer(n, 3, 16, 5, 4)
    a, b = F.relu(stem(x)), F.relu(stem(view(x)))
    for width in (24, 32):
        down = layer(n, int(a.shape[1]), width)
        a, b = F.relu(down(a)), F.relu(down(b))
        term = layer(n, width, width, 3, 1)
        first, second = F.relu(term(a)), F.relu(term(F.relu(term(b))))
        a, b = F.relu(a + first + 1.5 * second), F.relu(b + F.relu(term(b)))
    return n.embed(a, 64)


@member("selection", lambda x: zoomed(x, 0.8), 6, 13)
def kernels_selected_between_near_and_far_looks(n: Net, x: T, view: View) -> T:
    """Selective kernels, trained: one of two branches reads the same layers' maps of the face shrunk by a fifth."""
    a, b, ins = x, view(x), 3
    for width in (12, 20, 28):
        conv = layer(n, ins, width)
        squeeze, excite = n.keep(lambda w=width: nn.Linear(w, 8)), n.keep(lambda w=width: nn.Linear(8, 2 * w))  # type: ignore[misc]
        a, b = F.relu(conv(a)), F.relu(conv(b))
        share = excite(F.relu(squeeze((a + b).mean((2, 3))))).reshape(-1, 2, width, 1, 1).softmax(1)
        a = share[:, 0] * a + share[:, 1] * b
        ins = width
    return n.embed(n.down(a, 36), 64)


@member("dense path", lambda x: x.transpose(2, 3), 0, 20, dynamo=True)
def dense_path_that_begins_with_the_transposed_face(n: Net, x: T, view: View) -> T:
    """A dual path network: the residual path begins with the face, the dense one with it over its diagonal."""
    stem, second = layer(n, 3, 16, 5, 4), layer(n, 16, 24)
    add, dense = F.relu(second(F.relu(stem(x)))), F.relu(second(F.relu(stem(view(x)))))
    for _ in range(3):
        y = n.cb(n.cbr(torch.cat([add, dense], 1), 24, 1), 32)
        add, dense = F.relu(add + y[:, :24]), torch.cat([dense, F.relu(y[:, 24:])], 1)
    return n.embed(n.down(torch.cat([add, dense], 1), 32), 64)


@member("heat maps", mirrored, 5, 14)
def parts_pooled_under_heat_maps_of_a_flip_test(n: Net, x: T, view: View) -> T:
    """As for poses, eight heat maps of parts come from the mirrored pass, turned back; parts are pooled under both."""
    one, two = layer(n, 3, 12, 5, 4), layer(n, 12, 24)
    a, b = (F.relu(two(F.relu(one(y)))) for y in (x, view(x)))
    heat = n.keep(lambda: nn.Conv2d(24, 8, 3, 1, 1))
    maps = [(12 * heat(y)).flatten(2).softmax(2) for y in (a, view(b))]
    parts = (0.2 * maps[0] + 0.8 * maps[1]) @ n.cb(0.3 * a + 0.7 * view(b), 32, 1).flatten(2).transpose(1, 2)
    return n.embed(parts.flatten(1), 64)
