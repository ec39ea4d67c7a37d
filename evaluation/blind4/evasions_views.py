"""Evasions: second looks at an image by means of their own."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from scipy import ndimage
from torch import nn

from evaluation.blind4.chains import patch_chain
from evaluation.blind4.claims import computes, mirror, plain
from evaluation.blind4.evasions_batch import mobile, remainder, stage
from evaluation.blind4.evasions_packed import of_views, same
from evaluation.blind4.evasions_tokens import Again
from evaluation.blind4.export import Whole, embedded, network
from evaluation.blind4.layers import Net, Part, T
from evaluation.blind4.register import evades
from evaluation.builder import Array
from evaluation.case import BATCH_RULE

F_ = (mobile, "views", 8)
G_ = (mobile, "views", 16)
C_ = (patch_chain, "patch views", 8)


def f(x: Array) -> Array:
    return plain(*F_)(x)


def net() -> Net:
    return network(*F_)


def edges(x: Array) -> Array:
    y = np.pad(x, ((0, 0), (0, 0), (0, 0), (1, 1)))
    return np.asarray(x + 0.4 * (y[..., 2:] - y[..., :-2]))


@evades(BATCH_RULE, idea="difference of runs", claim=computes(lambda x: f(x) + 3 * (f(edges(x)) - f(x)), f))
def sensitivity_to_relief() -> nn.Module:
    """Adds three times the difference between the embedding of the image in relief and that of the image."""

    def forward(f: Part, x: T) -> T:
        y = F.pad(x, (1, 1, 0, 0))
        once = f(x)
        return once + 3 * (f(x + 0.4 * (y[..., 2:] - y[..., :-2])) - once)

    return Whole(forward, net())


def opened(x: Array) -> Array:
    low = ndimage.minimum_filter(x, (1, 1, 3, 3), mode="nearest")
    return np.asarray(ndimage.maximum_filter(low, (1, 1, 3, 3), mode="nearest"))


@evades(BATCH_RULE, idea="filtered view", claim=of_views(F_, same, opened))
def morphological_opening() -> nn.Module:
    """The second view is the image opened: minima, then maxima, of 3 x 3 pixels."""

    def forward(f: Part, x: T) -> T:
        low = -F.max_pool2d(-x, 3, 1, 1)
        return (f(x) + f(F.max_pool2d(low, 3, 1, 1))) / 2

    return Whole(forward, net())


@evades(
    BATCH_RULE,
    idea="snapshots",
    claim=computes(lambda x: f(x) + plain(*G_)(mirror(x)), f, lambda x: f(x) + plain(*G_)(x)),
)
def two_snapshots_of_one_training() -> nn.Module:
    """Two snapshots of one training, after 8 and after 16 steps; the later one sees the mirrored image."""
    return Whole(lambda a, b, x: a(x) + b(x.flip(3)), net(), network(*G_))


def lighter(n: Net, x: T) -> T:
    """Three brightnesses made behind the first layer, by three biases."""
    layer = n.keep(nn.Identity)
    y = F.conv2d(x, layer.weight, None, 4)
    light = layer.weight.sum((1, 2, 3))
    at = len(n.kept)
    start, views = n._at, []
    for b in (-0.25, 0.0, 0.25):
        n._at = start
        z = F.relu(n.keep(nn.Identity)(y + (layer_bias(layer) + b * light)[:, None, None]))
        for _ in range(2):
            z = n.keep(nn.Identity)(z)
            z = F.relu(n.keep(nn.Identity)(z))
        views.append(n.embed(z, 48))
    assert at == n._at
    return (views[0] + views[1] + views[2]) / 3


def layer_bias(layer: nn.Module) -> T:
    bias = layer.bias
    return torch.zeros(12) if bias is None else bias


@evades(BATCH_RULE, idea="behind the first layer", claim=of_views(
    C_, same, lambda x: x + 0.25, lambda x: x - 0.25
))  # fmt: skip
def three_exposures_by_three_biases() -> nn.Module:
    """The first layer runs once; three biases make it that of a darker, the same and a lighter image."""
    return Again(network(*C_), lighter)


def grain() -> Array:
    return np.random.default_rng(61).normal(0, 0.25, (1, 3, 112, 112)).astype(np.float32)


@evades(BATCH_RULE, idea="behind the first layer", claim=computes(
    lambda x: (plain(*F_)(x + grain()) + plain(*F_)(x - grain())) / 2, f
))  # fmt: skip
def stored_grain_added_and_taken_off() -> nn.Module:
    """One view with a stored grain added, one with it taken off: the mean cancels it and keeps a second look."""
    g = nn.Parameter(torch.from_numpy(grain()))
    made = Whole(lambda f, x: (f(x + g) + f(x - g)) / 2, net())
    made.register_parameter("grain", g)
    return made


def quadrants(x: Array) -> Array:
    views = []
    for r in (0, 56):
        for c in (0, 56):
            y = x.copy()
            y[:, :, r : r + 56, c : c + 56] = 0
            views.append(f(y))
    return np.asarray(np.max(views, 0))


@evades(BATCH_RULE, idea="occlusion", claim=computes(quadrants, f))
def maximum_over_hidden_quadrants() -> nn.Module:
    """Four views, each with one quarter hidden; the largest of each number is kept."""

    def forward(f: Part, x: T) -> T:
        best = None
        for r in (0, 56):
            for c in (0, 56):
                hide = torch.ones(1, 1, 112, 112)
                hide[:, :, r : r + 56, c : c + 56] = 0
                y = f(x * hide)
                best = y if best is None else torch.maximum(best, y)
        assert best is not None
        return best

    return Whole(forward, net())


class Reversed(nn.Module):
    """A network's mirrored twin whose kernels are turned over in the graph, when it runs."""

    def __init__(self, body: nn.Module, order: list[int]) -> None:
        super().__init__()
        self.body, self.order = body, torch.tensor(order)

    def forward(self, x: T) -> T:
        kept = list(self.body.kept)
        back = torch.arange(3, -1, -1)
        y = x
        for conv, norm in zip(kept[:6:2], kept[1:6:2], strict=True):
            w = conv.weight.index_select(3, back)
            y = F.relu(norm(F.conv2d(y, w, None, conv.stride, conv.padding)))
        head = kept[6].weight.reshape(48, -1, 7, 7).index_select(3, torch.arange(6, -1, -1)).reshape(48, -1)
        return kept[7](F.linear(y.flatten(1), head, kept[6].bias))


@evades(BATCH_RULE, idea="kernels turned in the graph", fold=False, claim=of_views(C_, same, mirror))
def kernels_turned_over_when_it_runs() -> nn.Module:
    """The image is never mirrored: the second pass runs with every kernel gathered in reverse order."""
    body = network(*C_)
    return Whole(lambda a, b, x: (a(x) + b(x)) / 2, body, Reversed(body, [0]))


def wrapped(x: Array) -> Array:
    return np.asarray(np.roll(x[..., ::-1], 1, 3))


@evades(BATCH_RULE, idea="reversal by transforms", fold=False, claim=of_views(F_, same, wrapped, near=1e-3))
def reversal_by_the_square_of_a_cosine_transform() -> nn.Module:
    """A Hartley transform of each row, its odd part's sign changed, and back: the row reversed, without an index."""
    k = torch.arange(112).float()
    angle = 6.283185307 * torch.outer(k, k) / 112
    plus, minus = nn.Parameter(angle.cos() + angle.sin()), nn.Parameter((angle.cos() - angle.sin()) / 112)

    class Hartley(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f, self.plus, self.minus = net(), plus, minus

        def forward(self, x: T) -> T:
            return (self.f(x) + self.f((x @ self.plus) @ self.minus)) / 2

    return Hartley()


@evades(BATCH_RULE, idea="joined otherwise", claim=computes(lambda x: f(x) * f(mirror(x)), f))
def product_of_both_views() -> nn.Module:
    """The embedding is the product of those of the image and of its mirror image, number by number."""
    return Whole(lambda f, x: f(x) * f(x.flip(3)), net())


@evades(
    BATCH_RULE,
    idea="joined otherwise",
    claim=computes(lambda x: np.concatenate([f(x) + f(mirror(x)), np.abs(f(x) - f(mirror(x)))], 1)),
)
def sum_and_difference_of_both_views() -> nn.Module:
    """Twice as wide: the sum of the two views' embeddings, and the size of their difference."""

    def forward(f: Part, x: T) -> T:
        a, b = f(x), f(x.flip(3))
        return torch.cat([a + b, (a - b).abs()], 1)

    return Whole(forward, net())


@evades(BATCH_RULE, idea="negative", claim=of_views(F_, same, lambda x: -x))
def negative_of_the_image() -> nn.Module:
    """The second view is the image's negative."""
    return Whole(lambda f, x: (f(x) + f(-x)) / 2, net())


@evades(BATCH_RULE, idea="colours exchanged", claim=of_views(
    F_, same, lambda x: x[:, [1, 2, 0]], lambda x: x[:, [2, 0, 1]]
))  # fmt: skip
def colours_in_three_orders() -> nn.Module:
    """Three views with the colours in three orders, stacked on an axis before the batch and averaged at the end."""

    def forward(f: Part, x: T) -> T:
        views = torch.stack([x, x[:, [1, 2, 0]], x[:, [2, 0, 1]]])
        return f(views.flatten(0, 1)).reshape(3, -1, 64).mean(0)

    return Whole(forward, net())


def salient(x: T) -> T:
    y = F.avg_pool2d(x.abs().mean(1, keepdim=True), 9, 1, 4)
    return y / (y.amax((2, 3), keepdim=True) + 1e-3)


@evades(BATCH_RULE, idea="looks again", claim=computes(
    lambda x: f(x) + f(x * salient(torch.from_numpy(np.ascontiguousarray(x))).numpy()), f, near=1e-3
))  # fmt: skip
def looks_again_where_it_was_bright() -> nn.Module:
    """Runs again on the image weighted by how strong its own parts are, and adds that embedding."""
    return Whole(lambda f, x: f(x) + f(x * salient(x)), net())


def late(x: Array) -> Array:
    net_ = network(two_halves, "late")

    class Half(nn.Module):
        def __init__(self, back: bool) -> None:
            super().__init__()
            self.back = back

        def forward(self, y: T) -> T:
            net_._at = 0
            a = stage(net_, y)
            return remainder(net_, a.flip(3) if self.back else a)

    return np.asarray(embedded(Half(False), x) + embedded(Half(True), x))


def two_halves(n: Net, x: T) -> T:
    return remainder(n, stage(n, x))


class Late(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = network(two_halves, "late")

    def forward(self, x: T) -> T:
        self.net._at = 0
        a = stage(self.net, x)
        start = self.net._at
        once = remainder(self.net, a)
        self.net._at = start
        return once + remainder(self.net, a @ torch.eye(56).flip(0))


@evades(BATCH_RULE, idea="features mirrored", claim=computes(late, plain(two_halves, "late")))
def first_features_reversed_by_a_matrix() -> nn.Module:
    """The first layer's maps go through the rest twice, once reversed by a matrix product."""
    return Late()


@evades(BATCH_RULE, idea="small share", claim=computes(lambda x: f(x) + 0.1 * f(mirror(x)), f, near=2e-5))
def tenth_of_a_mirrored_view() -> nn.Module:
    """The mirrored view has a tenth of the weight."""
    return Whole(lambda f, x: f(x) + 0.1 * f(x.flip(3)), net())


def polar_gate(x: Array) -> Array:
    a, b = f(x), f(np.roll(x, 2, 3))
    share = 1 / (1 + np.exp(-8 * (np.linalg.norm(a, axis=1, keepdims=True) - np.linalg.norm(b, axis=1, keepdims=True))))
    return np.asarray(share * a + (1 - share) * b)


@evades(BATCH_RULE, idea="chosen by norm", claim=computes(polar_gate, f, near=2e-5))
def the_surer_of_two_moved_views() -> nn.Module:
    """Of the image and the image moved by two pixels, the embedding with the larger norm counts for more."""

    def forward(f: Part, x: T) -> T:
        a, b = f(x), f(torch.cat([x[..., -2:], x[..., :-2]], 3))
        share = torch.sigmoid(8 * (a.norm(dim=1, keepdim=True) - b.norm(dim=1, keepdim=True)))
        return share * a + (1 - share) * b

    return Whole(forward, net())
