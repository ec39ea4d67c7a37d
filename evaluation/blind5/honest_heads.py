"""Honest: what makes an embedding of one image's features."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import honest_torch


def trunk(n: Net, x: T) -> T:
    """[N, 3, 112, 112] to [N, 32, 7, 7], an ordinary residual network in small."""
    x = n.cbp(x, 12, 3, 2)
    for width in (16, 24, 32):
        x = n.cb(n.cbp(n.bn(x), width), width, 3, 2) + n.cb(x, width, 1, 2)
    return x


@honest_torch(
    "Power-normalised covariance pooling by three Newton steps on one image's features.", idea="second order", opset=13
)
def matrix_power_covariance(n: Net, x: T) -> T:
    y = n.cbr(trunk(n, x), 12, 1).flatten(2)
    y = y - y.mean(2, keepdim=True)
    a = y @ y.transpose(1, 2) / 49
    trace = (a * torch.eye(12)).sum((1, 2), keepdim=True) + 1e-3
    a = a / trace
    z = torch.eye(12)
    for _ in range(3):
        t = 0.5 * (3 * torch.eye(12) - z @ a)
        a, z = a @ t, t @ z
    return n.embed(a * trace.sqrt())


@honest_torch("A Fisher vector of one image's local features against stored Gaussians.", idea="codebook", trained=4)
def fisher_vector(n: Net, x: T) -> T:
    y = n.conv(trunk(n, x), 12, 1).flatten(2).transpose(1, 2)
    d = (y.unsqueeze(2) - n.weight(1, 1, 5, 12)) * torch.exp(n.weight(1, 1, 5, 12))
    share = (-0.5 * (d * d).sum(3)).softmax(2).unsqueeze(3)
    first, second = (share * d).mean(1), (share * (d * d - 1)).mean(1)
    return n.embed(torch.cat([first, second], 1))


@honest_torch("SoftPool and a learned power mean, side by side.", idea="pooling", opset=12)
def softpool_and_power_mean(n: Net, x: T) -> T:
    y = trunk(n, x)
    e = torch.exp(y.clamp(max=10))
    soft = (y * e).sum((2, 3)) / e.sum((2, 3))
    power = (F.softplus(y) ** 2.5).mean((2, 3)) ** 0.4
    return n.embed(torch.cat([soft, power], 1))


@honest_torch("Set transformer pooling: stored seeds attend to the features.", idea="attention", trained=4)
def pooling_by_seeds(n: Net, x: T) -> T:
    t = trunk(n, x).flatten(2).transpose(1, 2)
    q, k, v = n.weight(1, 3, 24, gain=3.0), n.linear(t, 24), n.linear(t, 24)
    return n.embed((q @ k.transpose(1, 2) / 5).softmax(-1) @ v)


@honest_torch("Statistics pooling: means, deviations and skewness of each channel.", idea="pooling", trained=4)
def statistics_pooling(n: Net, x: T) -> T:
    y = trunk(n, x)
    mean = y.mean((2, 3), keepdim=True)
    d = y - mean
    sd = ((d * d).mean((2, 3)) + 1e-3).sqrt()
    return n.embed(torch.cat([mean.flatten(1), sd, (d**3).mean((2, 3)) / sd**3], 1))


@honest_torch(
    "Four heads of one trunk, concatenated and each of length one, as in an embedding of several experts.", idea="heads"
)
def concatenated_unit_heads(n: Net, x: T) -> T:
    y = trunk(n, x)
    return torch.cat([F.normalize(n.embed(y[:, 8 * i : 8 * i + 8], 24), dim=1) for i in range(4)], 1)


@honest_torch(
    "Deep and shallow features, each pooled and projected, concatenated: hypercolumns of one pass.",
    idea="heads",
    opset=14,
)
def hypercolumns(n: Net, x: T) -> T:
    made = []
    for width in (12, 16, 24, 32):
        x = n.cbr(x, width, 3, 2)
        made.append(n.linear(x.mean((2, 3)), 16))
    return n.bn(torch.cat(made, 1))


@honest_torch(
    "Left and right halves of the deep features are pooled apart and joined, with weights of their own: parts of one "
    "look, no mirroring.", idea="parts", trained=5,
)  # fmt: skip
def left_and_right_parts(n: Net, x: T) -> T:
    y = trunk(n, x)
    return n.embed(torch.cat([n.linear(y[..., :4].flatten(1), 24), n.linear(y[..., 3:].flatten(1), 24)], 1))


@honest_torch(
    "A score of quality from the same features scales the embedding; cosines do not see it.", idea="heads", opset=13,
)  # fmt: skip
def quality_scaled(n: Net, x: T) -> T:
    y = trunk(n, x)
    quality = torch.sigmoid(n.linear(y.mean((2, 3)), 1)) + 0.2
    return n.embed(y) * quality


@honest_torch("Radial basis units: distances to stored centres, as classical networks had them.", idea="codebook")
def radial_basis_units(n: Net, x: T) -> T:
    y = n.bn(n.linear(trunk(n, x).flatten(1), 16)).unsqueeze(1)
    return n.embed(torch.exp(-0.15 * ((y - n.weight(1, 48, 16, gain=4.0)) ** 2).sum(2)))


@honest_torch(
    "Two different networks on the same image, concatenated: an ensemble, which no sentence forbids.", idea="ensemble"
)
def two_architectures_side_by_side(n: Net, x: T) -> T:
    t = n.block(n.patches(x, 24))
    return torch.cat([n.embed(trunk(n, x), 40), n.embed(n.ln(t).mean(1), 24)], 1)
