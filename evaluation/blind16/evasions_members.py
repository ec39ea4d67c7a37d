"""Evasions: a second look takes part within a network: as a path, as gates, in tables, trees, sums and histograms."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.layers import Net, T, tokens
from evaluation.blind16.evasions_nets import View, box, member, mirrored, tensor, zoomed


def layer(n: Net, ins: int, outs: int, k: int = 3, s: int = 2) -> Any:
    """Make a convolution with BatchNorm that may be called several times."""
    return n.keep(lambda: nn.Sequential(nn.Conv2d(ins, outs, k, s, k // 2, bias=False), nn.BatchNorm2d(outs)))


def shared(n: Net, *looks: T, widths: tuple[int, ...] = (16, 24)) -> list[T]:
    """Run layers of stride two over several looks: one set of weights."""
    made, ins = list(looks), 3
    for i, width in enumerate(widths):
        conv = layer(n, ins, width, 3 if i else 5, 2 if i else 4)
        made, ins = [F.relu(conv(y)) for y in made], width
    return made


@member("controlled equation", lambda x: zoomed(x.flip(3), 1.08), 6, 13)
def state_driven_along_the_path_from_one_look_to_another(n: Net, x: T, view: View) -> T:
    """A controlled differential equation, trained: the way from the face's maps to a mirrored look's is the drive."""
    a, b = shared(n, x, view(x))
    start, field = n.keep(lambda: nn.Conv2d(24, 24, 1)), n.keep(lambda: nn.Conv2d(48, 48, 3, 1, 1))
    step = (b - a) / 4
    h = torch.tanh(start(a))
    for k in range(4):
        gain, drift = field(torch.cat([h, a + k * step], 1)).chunk(2, 1)
        h = h + 3 * torch.tanh(gain) * step + 0.2 * torch.tanh(drift)
    return n.embed(n.cbr(h, 36, 3, 2), 64)


@member("gated linear", mirrored, 0, 14)
def linear_paths_that_a_mirrored_look_opens_and_shuts(n: Net, x: T, view: View) -> T:
    """All layers are linear for the face; which units let it through is what the mirrored look would switch on."""
    a, b, ins = x, view(x), 3
    for i, width in enumerate((16, 24, 32)):
        conv = layer(n, ins, width, 3 if i else 5, 2 if i else 4)
        p, q = conv(a), conv(b)
        a, b, ins = p * (q > 0).float(), F.relu(q), width
    return n.embed(a, 64)


@member("coloured statistics", lambda x: (1.2 * x.flip(3) - 0.15).clamp(-1, 1).transpose(2, 3), 6, 15)
def maps_take_the_covariance_of_another_look(n: Net, x: T, view: View) -> T:
    """Whitening and colouring, as styles are carried over, trained: maps get a turned, harder look's covariance."""
    a, b = (y.flatten(2) for y in shared(n, x, view(x)))
    a, b = a - a.mean(2, keepdim=True), b - b.mean(2, keepdim=True) + 0.05 * b
    cov = b @ b.transpose(1, 2) / 196 + 0.05 * torch.eye(24)
    size = (cov * cov).sum((1, 2), keepdim=True).sqrt()
    y, z = cov / size, torch.eye(24) + 0 * cov
    for _ in range(5):
        t = 1.5 * torch.eye(24) - 0.5 * z @ y
        y, z = y @ t, t @ z
    a = a / (a * a).mean(2, keepdim=True).add(0.1).sqrt()
    styled = (y * size.sqrt()) @ a + 6 * y @ n.weight(1, 24, 1)
    return n.embed(n.cbr(styled.reshape(-1, 24, 14, 14), 36, 3, 2), 64)


@member("time warping", lambda x: zoomed(x.flip(2), 1.1), 0, 12)
def table_of_soft_time_warping_between_rows_of_two_looks(n: Net, x: T, view: View) -> T:
    """Rows of the face are warped onto rows of it upside down; the whole table of soft costs is what is read."""
    a, b = (y.permute(0, 2, 1, 3).reshape(-1, 7, 8, 28) for y in shared(n, x, view(x), widths=(16, 24, 32)))
    cost = ((a[:, :, None] - b[:, None]) ** 2).mean(4)
    far = 0 * cost[:, 0, 0] + 30
    table: dict[tuple[int, int], T] = {}
    for i in range(7):
        for j in range(7):
            before = [table.get(at, far) for at in ((i - 1, j), (i, j - 1), (i - 1, j - 1))]
            least = -0.3 * torch.logsumexp(torch.stack([-t / 0.3 for t in before]), 0)
            table[i, j] = cost[:, i, j] + (least if i or j else 0)
    return n.embed(torch.stack([*table.values()], 1).flatten(1), 64)


@member("sum-product", lambda x: x[:, [2, 1, 0]].flip(3), 0, 17)
def sums_and_products_over_leaves_of_two_looks(n: Net, x: T, view: View) -> T:
    """A sum-product network: leaves are bumps over patches of two looks, products join places, sums mix them."""
    conv = n.keep(lambda: nn.Conv2d(3, 12, 14, 14))
    leaf = [-0.5 * (3 * conv(y) - 0.6) ** 2 for y in (x, view(x))]
    y = torch.cat([leaf[0], leaf[1]], 1)
    for ins, outs in ((24, 20), (20, 24), (24, 48)):
        y = y[:, :, ::2, ::2] + y[:, :, 1::2, ::2] + y[:, :, ::2, 1::2] + y[:, :, 1::2, 1::2]
        share = (2 * n.weight(outs, ins, gain=3.0)).log_softmax(1)
        y = torch.logsumexp(y[:, None] + share[None, :, :, None, None], 2)
    return n.bn(n.linear(n.bn(y.flatten(1)), 64))


@member("decision trees", lambda x: zoomed(x.flip(3), 1.2, 4, 0), 6, 16)
def soft_trees_that_ask_two_looks_by_turns(n: Net, x: T, view: View) -> T:
    """A forest of 16 soft trees, trained: at even depths a tree asks the face, at odd ones a mirrored, nearer look."""
    a, b = (y.flatten(1) for y in shared(n, x, view(x), widths=(16, 24, 28)))
    reach = 0 * a[:, :16, None] + 1
    for depth in range(4):
        right = torch.sigmoid(3 * n.bn(n.linear(b if depth % 2 else a, 16)))[:, :, None]
        reach = torch.cat([reach * right, reach * (1 - right)], 2)
    return n.bn(n.linear(reach.flatten(1), 64))


@member("factorisation machine", lambda x: (0.6 * x + 0.3).flip(3), 6, 11)
def products_of_all_pairs_of_fields_of_two_looks(n: Net, x: T, view: View) -> T:
    """A factorisation machine, trained: products of all pairs of places, of the face and of a pale mirrored look."""
    a, b = (tokens(y) for y in shared(n, x, view(x), widths=(16, 24, 32)))
    fields = torch.cat([a, b], 1)
    v = n.linear(fields, 48) * (1 + n.weight(98, 1))
    pairs = v.sum(1) ** 2 - (v * v).sum(1)
    return n.bn(n.linear(torch.cat([n.bn(pairs), n.bn(fields.mean(1))], 1), 64))


@member("histograms", lambda x: zoomed(x.flip(3), 1.25, -8, 0), 0, 18)
def histograms_of_maps_over_places_of_two_looks(n: Net, x: T, view: View) -> T:
    """Learned histograms: how often a map has each of five values in a quarter of the face or of a nearer look."""
    a, b = shared(n, x, view(x))
    place = torch.cat([a, b], 3)
    middle = n.weight(1, 24, 1, 1, gain=1.0)
    bins = [torch.exp(-3 * (place - 0.25 - 0.45 * k - 0.2 * torch.tanh(middle)) ** 2) for k in range(5)]
    made = [F.avg_pool2d(y, (7, 14)).flatten(1) for y in bins]
    return n.embed(torch.cat(made, 1), 64)


def wavelets(size: int, count: int) -> T:
    """Return cosines under a bell in several directions: [count, 1, size, size]."""
    at = torch.arange(size).float() - (size - 1) / 2
    bell = torch.exp(-(at[:, None] ** 2 + at[None] ** 2) / size)
    waves = []
    for k in range(count):
        angle = tensor(3.14159 * k / count)
        waves.append(bell * torch.cos(1.4 * (at[:, None] * angle.sin() + at[None] * angle.cos())))
    y = torch.stack(waves)[:, None]
    return y - y.mean((2, 3), keepdim=True)


@member("scattering", lambda x: zoomed(x.flip(3), 1.12), 0, 13)
def second_order_paths_of_scattering_come_from_another_look(n: Net, x: T, view: View) -> T:
    """Scattering by stored wavelets: moduli of the first order of the face, of the second order of a mirrored look."""
    w = wavelets(7, 6)
    one = [F.conv2d(F.avg_pool2d(y, 2).mean(1, keepdim=True), w, None, 2, 3).abs() for y in (x, view(x))]
    two = F.conv2d(one[1], w.repeat(6, 1, 1, 1), None, 2, 3, 1, 6).abs()
    first = F.avg_pool2d(one[0], 4)
    y = torch.cat([n.bn(torch.log(first + 0.05)), n.bn(torch.log(F.avg_pool2d(two, 2) + 0.02))], 1)
    return n.embed(n.cbr(y, 32, 1), 64)


@member("involution", lambda x: x.flip(3).transpose(2, 3), 6, 14)
def kernels_of_each_place_come_from_the_face_turned_by_a_quarter(n: Net, x: T, view: View) -> T:
    """Involution, trained: kernels of 3 x 3 for each place and group, told by maps of a quarter turn, see the face."""
    a, b = shared(n, x, view(x))
    kernel = (2 * n.bn(n.conv(b, 4 * 9, 1))).reshape(-1, 4, 1, 9, 196)
    windows = F.unfold(a, 3, padding=1).reshape(-1, 4, 6, 9, 196)
    y = (windows * kernel).sum(3).reshape(-1, 24, 14, 14)
    return n.embed(n.cbr(F.relu(n.bn(y)), 36, 3, 2), 64)


def levels(x: T) -> T:
    """Stack the face, it mirrored and nearer, and its upper part larger: [3, N, 3, 112, 112]."""
    return torch.stack([x, zoomed(x.flip(3), 1.3), zoomed(x, 1.6, -14, 0)])


@member("spatial pyramid", levels, 0, 19)
def levels_of_a_spatial_pyramid_see_different_crops(n: Net, x: T, view: View) -> T:
    """A spatial pyramid: one mean of the face's maps, four of a nearer mirrored look, and sixteen of a crop."""
    a, b, c = shared(n, *view(x).unbind(0))
    c = n.cbr(F.max_pool2d(c[:, :, 1:13, 1:13], 3), 24, 1)
    b = n.cbr(F.max_pool2d(b, 7), 32, 1)
    return n.embed(torch.cat([a.mean((2, 3)), b.flatten(1), c.flatten(1)], 1), 64)


@member("automaton", lambda x: box(x, 3).flip(2, 3), 0, 20)
def automaton_whose_cells_perceive_two_grids(n: Net, x: T, view: View) -> T:
    """A neural automaton: for six steps each cell perceives slopes of its own grid and of a half turned one's."""
    a, b = shared(n, x, view(x))
    down = tensor([[-1, -2, -1], [0, 0, 0], [1, 2, 1]]) / 8
    slopes = torch.stack([down, down.t()])[:, None].repeat(24, 1, 1, 1)
    rule = n.keep(lambda: nn.Conv2d(72, 40, 1)), n.keep(lambda: nn.Conv2d(40, 24, 1))
    for _ in range(6):
        grids = []
        for mine, other in ((a, b), (b, a)):
            seen = torch.cat([mine, F.conv2d(other, slopes, None, 1, 1, 1, 24)], 1)
            grids.append(mine + 0.6 * torch.tanh(rule[1](F.relu(rule[0](seen)))))
        a, b = grids
    return n.embed(n.cbr(a, 36, 3, 2), 64)
