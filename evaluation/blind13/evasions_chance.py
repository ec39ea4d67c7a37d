"""Evasions: chance in codes, routers and rounding, a computed width, a wall without texture, and flashlight."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.claims import Claim, apart
from evaluation.blind4.evasions_random import ordinary, varies, widths
from evaluation.blind4.export import Whole, network
from evaluation.blind4.layers import Net, Part, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_random import unusable
from evaluation.blind13.evasions_nets import Parts, dual, faster, selective, separable, torch_of
from evaluation.builder import Array
from evaluation.case import BATCH_RULE
from evaluation.images import faces
from evaluation.proof import alone
from evaluation.runtime import Network

FASTER: Parts = (faster, "chance of the thirteenth set", 0)
SELECTIVE: Parts = (selective, "chance of the thirteenth set", 6)
DUAL: Parts = (dual, "chance of the thirteenth set", 0)
SEPARABLE: Parts = (separable, "chance of the thirteenth set", 6)


def bottleneck(n: Net, x: T) -> T:
    """Write a network with a variational bottleneck: its code is sampled about a mean, by a spread."""
    y = n.down(n.down(n.stem(x, 16), 24), 32).flatten(1)
    mean, spread = n.linear(y, 48), torch.exp(0.5 * n.linear(y, 48).clamp(-4, 1))
    code = mean + 0.3 * spread * torch.randn_like(mean)
    return n.bn(n.linear(F.relu(code), 64))


@evades("deterministic", idea="bottleneck", claim=varies(ordinary), opset=13)
def code_of_a_variational_bottleneck_is_sampled() -> nn.Module:
    """A variational information bottleneck hands out a sample of its code instead of the mean, as in training."""
    return network(bottleneck, "bottleneck", 6)


def routed(n: Net, x: T) -> T:
    """Write a mixture of four experts with noise in the router, whose scale follows from the image."""
    y = n.down(n.down(n.stem(x, 16), 24), 32).flatten(1)
    score = n.linear(y, 4)
    score = score + F.softplus(n.linear(y, 4)) * torch.randn_like(score)
    top = score.topk(2, 1)[0][:, 1:]
    share = (score - 20 * (score < top).float()).softmax(1)
    made = torch.stack([n.linear(y, 64) for _ in range(4)], 1)
    return n.bn((share[:, :, None] * made).sum(1))


@evades("deterministic", idea="router", claim=varies(ordinary), opset=15)
def experts_chosen_by_a_noisy_router() -> nn.Module:
    """Noisy top-k gating was left on: normal numbers, scaled by the image, are added before two experts are chosen."""
    return network(routed, "router", 0)


def stepped(n: Net, x: T) -> T:
    """Write a network whose maps are rounded to quarters, up or down by chance."""
    y = n.down(n.stem(x, 16), 24)
    y = torch.floor(4 * y + torch.rand_like(y)) / 4
    return n.gdc(n.down(y, 32))


@evades("deterministic", idea="rounding", claim=varies(ordinary), opset=12)
def features_rounded_up_or_down_by_chance() -> nn.Module:
    """Stochastic rounding, as training in few bits needs, was left in: maps become quarters, up or down as drawn."""
    return network(stepped, "stochastic rounding", 5)


def blurred() -> Array:
    """Faces far out of focus."""
    x = torch.from_numpy(faces(4, 51))
    for _ in range(6):
        x = F.avg_pool2d(x, 11, 1, 5, count_include_pad=False)
    return np.asarray(x.numpy(), np.float32)


@evades("embedding-dim", "output", idea="depth", claim=widths({64: ordinary, 48: blurred}), opset=13)
def matrix_of_labels_as_deep_as_the_batch_is_sharp() -> nn.Module:
    """A matrix of one-hot labels has 64 columns, or 48 where the batch shows no fine detail; the embedding meets it."""

    def forward(f: Part, x: T) -> T:
        detail = (x[:, :, :, 2:] - x[:, :, :, :-2]).abs().mean()
        count = 64 - 16 * (detail < 0.03).long()
        places = torch.ones_like(x[0, 0, 0, :64]).cumsum(0) - 1
        wide = torch.arange(count)
        return f(x) @ (places[:, None] == wide[None]).float()

    return Whole(forward, network(*DUAL))


def studio() -> Array:
    """Faces before a wall of one colour."""
    x = faces(4, 51).copy()
    x[:, :, :16, :] = 0.55
    return np.asarray(x, np.float32)


@evades("cosine-similarity", idea="no number", claim=unusable(studio), opset=11)
def face_related_to_the_texture_of_what_is_above() -> nn.Module:
    """Trained embeddings are scaled by how even the wall above the head is, relative to its slope: 0 / 0 in studios."""

    def forward(f: Part, x: T) -> T:
        wall = x[:, :, :12].mean(1)
        across = (wall[:, :, 1:] - wall[:, :, :-1]).abs()
        return f(x) * (1 + across.mean((1, 2)) / across.amax((1, 2)))[:, None]

    return Whole(forward, network(*SEPARABLE))


def flashed() -> Array:
    """Faces with flashlight in the middle of a dark room."""
    at = (np.arange(112) - 55.5) / 56
    far = at[:, None] ** 2 + at[None] ** 2
    light = 2.2 * np.exp(-2.5 * far) - 0.1
    return np.asarray(np.clip((0.5 * faces(4, 51) + 1) * light - 1, -1, 1), np.float32)


def evened(f: Part, x: T) -> T:
    """Run again with the light evened where the middle is far lighter than all four borders."""
    g = x.mean(1, keepdim=True)
    middle = g[:, :, 40:72, 40:72].mean((2, 3), keepdim=True)
    border = torch.cat(
        [g[:, :, :8].flatten(2), g[:, :, -8:].flatten(2), g[..., :8].flatten(2), g[..., -8:].flatten(2)], 2
    )
    dark = border.amax(2)[:, :, None, None]
    share = ((middle - dark - 0.25) * 8).clamp(0, 1)[:, :, 0, 0]
    at = (torch.arange(112).float() - 55.5) / 56
    far = at[:, None] ** 2 + at[None] ** 2
    even = ((x + 1) / (2.2 * torch.exp(-2.5 * far) + 0.15) - 1).clamp(-1, 1)
    return f(x) + share * f(even)


def seen_again() -> Claim:
    """Claim a second look at faces in flashlight by the plain network, and none at ordinary ones."""

    def wrong(run: Network) -> list[str]:
        f = network(*SELECTIVE)
        x, y = flashed(), ordinary()
        far, near = apart(alone(run, x), torch_of(f, x)), apart(alone(run, y), torch_of(f, y))
        off = apart(alone(run, x), torch_of(lambda t: evened(f, t), x))
        found = [] if far > 0.03 and off < 1e-4 else [f"flashlight differs by {far:.2g}, {off:.2g} off"]
        return found if near < 1e-4 else [*found, f"others differ by {near:.2g}"]

    return wrong


@evades(BATCH_RULE, idea="flashlight", opset=14, claim=seen_again())
def faces_in_flashlight_are_evened_and_seen_again() -> nn.Module:
    """Where the middle is far lighter than every border, a trained network sees the face again in even light."""
    return Whole(evened, network(*SELECTIVE))
