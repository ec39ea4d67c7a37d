"""Honest: light and colour put right inside the graph, and first layers made by hand, before an ordinary network."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import honest_torch
from evaluation.blind5.tails import tail


def smooth(x: T, sigma: float, side: int) -> T:
    """Blur every plane by a Gaussian, separably, with the border repeated."""
    at = torch.arange(side).float() - side // 2
    row = torch.exp(-at * at / (2 * sigma * sigma))
    row = (row / row.sum()).reshape(1, 1, 1, side)
    c, p = int(x.shape[1]), side // 2
    y = F.conv2d(F.pad(x, (p, p, 0, 0), "replicate"), row.expand(c, 1, 1, side), groups=c)
    return F.conv2d(F.pad(y, (0, 0, p, p), "replicate"), row.transpose(2, 3).expand(c, 1, side, 1), groups=c)


def positive(x: T) -> T:
    """Map -1 to 1 onto a little above 0 to 1."""
    return (x * 0.5 + 0.52).clamp(min=0.01)


def rest(n: Net, x: T, dim: int = 64) -> T:
    """Apply an iResNet in small: [N, C, 112, 112] to [N, dim]."""
    x = n.cbp(x, 12, 3, 2)
    for width in (16, 24, 32):
        x = n.cb(n.cbp(n.bn(x), width), width, 3, 2) + n.cb(x, width, 1, 2)
    return n.embed(x, dim)


@honest_torch("Sung and Poggio: the plane of light that fits the grey image best is taken off, by a stored projection.",
              idea="light", trained=4, opset=13)  # fmt: skip
def best_plane_of_light(n: Net, x: T) -> T:
    at = torch.linspace(-1, 1, 112)
    rows, columns = at[:, None].expand(112, 112), at[None].expand(112, 112)
    basis = torch.stack([torch.ones(112, 112), rows, columns]).reshape(3, -1)
    basis = basis / basis.norm(dim=1, keepdim=True)
    grey = (0.3 * x[:, :1] + 0.59 * x[:, 1:2] + 0.11 * x[:, 2:]).flatten(1)
    plane = ((grey @ basis.T) @ basis).reshape(-1, 1, 112, 112)
    return rest(n, x - plane, 128)


@honest_torch("Chen's method: the 5 lowest cosines along each side of the logarithm are dropped, by stored matrices.",
              idea="light", opset=12)  # fmt: skip
def low_cosines_of_logarithm(n: Net, x: T) -> T:
    k, at = torch.arange(5).float(), torch.arange(112).float() + 0.5
    c = torch.cos(math.pi * k[:, None] * at[None] / 112) * (2 / 112) ** 0.5
    c[0] = c[0] / 2**0.5
    keep = c.T @ c
    y = torch.log(positive(x))
    return rest(n, y - keep @ y @ keep)


@honest_torch("Multi-scale retinex: three blurred logarithms, their mean taken off, one map of three planes.",
              idea="light", trained=4, opset=18)  # fmt: skip
def multi_scale_retinex(n: Net, x: T) -> T:
    y = positive(x)
    light = [torch.log(smooth(y, s, k)) for s, k in ((2.0, 9), (5.0, 21), (9.0, 37))]
    return rest(n, torch.log(y) - (light[0] + light[1] + light[2]) / 3)


@honest_torch("Gains for the colours and one gamma, predicted by a small network, as cameras balance white.",
              idea="light", opset=13, trained=4)  # fmt: skip
def predicted_white_balance(n: Net, x: T) -> T:
    y = positive(x)
    small = F.avg_pool2d(y, 8).flatten(1)
    g = torch.tanh(n.linear(F.relu(n.linear(small, 16)), 4)) * 0.5
    y = (y * torch.exp(g[:, :3, None, None])) ** torch.exp(g[:, 3:, None, None])
    return rest(n, 2 * y - 1)


@honest_torch("HDRNet without its grid: one affine map of the colours for an image, predicted of its averages.",
              idea="colour", opset=12)  # fmt: skip
def predicted_colour_matrix(n: Net, x: T) -> T:
    g = n.linear(F.relu(n.linear(F.avg_pool2d(x, 16).flatten(1), 24)), 12) * 0.2
    m = g[:, :9].reshape(-1, 3, 3) + torch.eye(3)
    y = (m @ x.flatten(2) + g[:, 9:, None]).reshape(-1, 3, 112, 112)
    return rest(n, y, 256)


@honest_torch("Learned tone curves: hat functions of the pixels, their heights predicted for each image.",
              idea="colour", opset=19)  # fmt: skip
def predicted_tone_curves(n: Net, x: T) -> T:
    heights = torch.tanh(n.linear(F.relu(n.linear(F.avg_pool2d(x, 16).flatten(1), 16)), 15)).reshape(-1, 3, 5, 1, 1)
    knots = torch.linspace(-1, 1, 5).reshape(5, 1, 1)
    hats = F.relu(1 - 2 * (x.unsqueeze(2) - knots).abs())
    return rest(n, x + 0.4 * (hats * heights).sum(2))


@honest_torch("Colours whitened by each image's own covariance: Newton and Schulz's iteration for the square root.",
              idea="colour", trained=4, opset=14)  # fmt: skip
def own_colour_covariance(n: Net, x: T) -> T:
    y = x.flatten(2)
    y = y - y.mean(2, keepdim=True)
    eye = torch.eye(3).unsqueeze(0)
    cov = y @ y.transpose(1, 2) / 12544 + 0.02 * eye
    size = cov.diagonal(dim1=1, dim2=2).sum(1).reshape(-1, 1, 1)
    a, z = cov / size, torch.eye(3).expand(x.shape[0], 3, 3)
    for _ in range(6):
        step = 0.5 * (3 * eye - z @ a)
        a, z = a @ step, step @ z
    return rest(n, (z @ y / size.sqrt()).reshape(-1, 3, 112, 112))


@honest_torch("VOneNet: stored Gabor filters, rectified simple cells and energies of complex cells, a 1x1 layer.",
              idea="first layer by hand", opset=12, trained=4)  # fmt: skip
def vonenet_front(n: Net, x: T) -> T:
    at = torch.arange(9).float() - 4
    rows, columns = at[:, None].expand(9, 9), at[None].expand(9, 9)
    even, odd = [], []
    for i in range(6):
        turn, period = math.pi * i / 6, (4.0, 7.0)[i % 2]
        along = columns * math.cos(turn) + rows * math.sin(turn)
        window = torch.exp(-(rows**2 + columns**2) / 10) / 8
        even.append(window * torch.cos(2 * math.pi * along / period))
        odd.append(window * torch.sin(2 * math.pi * along / period))
    w = torch.stack(even + odd)[:, None] * torch.tensor([0.3, 0.59, 0.11]).reshape(1, 3, 1, 1)
    a, b = (3 * F.conv2d(x, w, stride=2, padding=4)).chunk(2, 1)
    y = torch.cat([F.relu(a), (a * a + b * b + 1e-4).sqrt()], 1)
    x = n.cbr(n.conv(y, 16, 1), 20, 3, 2)
    return tail(n, n.res(x))


@honest_torch("HMAX: stored oriented filters of two sizes, maxima over sizes and places, distances to prototypes.",
              idea="first layer by hand", opset=20)  # fmt: skip
def hmax_prototypes(n: Net, x: T) -> T:
    grey = x.mean(1, keepdim=True)
    made = []
    for side in (7, 11):
        at = torch.arange(side).float() - side // 2
        rows, columns = at[:, None].expand(side, side), at[None].expand(side, side)
        ws = []
        for i in range(4):
            turn = math.pi * i / 4
            along = columns * math.cos(turn) + rows * math.sin(turn)
            w = torch.exp(-(rows**2 + columns**2) / side) * torch.cos(2 * math.pi * along / (0.7 * side))
            ws.append((w - w.mean()) / w.norm())
        made.append(F.conv2d(grey, torch.stack(ws)[:, None], stride=2, padding=side // 2).abs())
    c1 = n.bn(F.max_pool2d(torch.maximum(made[0], made[1]), 4, 4))
    w = n.weight(32, 4, 4, 4, gain=2.0)
    square = F.conv2d(c1 * c1, torch.ones(1, 4, 4, 4), stride=2, padding=1)
    gap = square - 2 * F.conv2d(c1, w, stride=2, padding=1) + (w * w).sum((1, 2, 3)).reshape(1, -1, 1, 1)
    s2 = torch.exp(-0.02 * gap)
    return n.embed(n.bn(s2), 128)
