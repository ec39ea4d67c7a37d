"""Honest: poolings and heads of published papers that the earlier sets do not hold, behind small face trunks."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, tokens
from evaluation.blind4.register import honest_torch


def face(n: Net, x: T, width: int = 40) -> T:
    """Bring the image to the last map of a small iResNet, 7 x 7."""
    x = n.cbp(x, 12, 3, 2)
    for w in (16, 24, width):
        x = n.cb(n.cbp(n.bn(x), w), w, 3, 2) + n.cb(x, w, 1, 2)
    return n.bn(x)


@honest_torch("AdaPool: exponents of values and Dice likeness to the window's mean weigh 2x2 windows, a learned mix.",
              idea="poolings", trained=3, opset=12)  # fmt: skip
def adapool_two_weightings(n: Net, x: T) -> T:
    x = n.cbr(x, 12, 3, 2)
    for width in (16, 24, 32):
        x = n.cbr(x, width)
        m = F.avg_pool2d(x, 2)
        up = F.interpolate(m, scale_factor=2.0, mode="nearest")
        dice = (2 * (x * up).abs() / (x * x + up * up + 1e-4)).clamp(max=4.0).exp()
        soft = x.clamp(max=6.0).exp()
        a = F.avg_pool2d(x * soft, 2) / F.avg_pool2d(soft, 2)
        b = F.avg_pool2d(x * dice, 2) / F.avg_pool2d(dice, 2)
        beta = torch.sigmoid(n.weight(1))
        x = beta * a + (1 - beta) * b
    return n.gdc(x, 128)


@honest_torch("Log-sum-exp pooling with a learned sharpness for each channel, between the mean and the maximum.",
              idea="poolings", opset=13)  # fmt: skip
def log_sum_exp_pooling(n: Net, x: T) -> T:
    y = face(n, x, 48)
    r = 1 + F.softplus(n.weight(1, 48, 1))
    return n.embed(((y.flatten(2) * r).logsumexp(2) - 3.89) / r.squeeze(2), 128)


@honest_torch("CosPlace's end: unit features at each place, GeM, unit again, a linear layer, unit at last.",
              idea="poolings", trained=4, opset=11)  # fmt: skip
def cosplace_unit_gem(n: Net, x: T) -> T:
    y = F.normalize(F.relu(face(n, x, 48)), dim=1)
    y = (y.clamp(min=1e-4) ** 3).mean((2, 3)) ** (1 / 3)
    return F.normalize(n.bn(n.linear(F.normalize(y, dim=1), 128)), dim=1)


@honest_torch("BoQ: two bags of learned queries look at the encoded places in turn, all answers in one linear layer.",
              idea="heads", trained=3, opset=13)  # fmt: skip
def bag_of_queries(n: Net, x: T) -> T:
    t, made = tokens(face(n, x, 32)), []
    for _ in range(2):
        t = n.block(t)
        q = n.weight(1, 6, 32)
        q = q + n.attention(n.ln(q))
        k, v = n.linear(n.ln(t), 64).chunk(2, 2)
        made.append((n.ln(q) @ k.transpose(1, 2) * 32**-0.5).softmax(2) @ v)
    return n.embed(torch.cat(made, 1), 128)


@honest_torch("HA-CNN: soft attention over places times channels, and four hard fixed bands with heads of their own.",
              idea="heads", opset=12)  # fmt: skip
def harmonious_attention_bands(n: Net, x: T) -> T:
    y = n.cbr(n.cbr(n.cbr(x, 12, 3, 2), 24, 3, 2), 32, 3, 2)
    place = F.interpolate(n.cbr(y.mean(1, keepdim=True), 1, 3, 2), size=(14, 14), mode="bilinear", align_corners=False)
    y = y * torch.sigmoid(n.conv(n.conv(place, 1, 1) * n.conv(y.mean((2, 3), keepdim=True), 32, 1), 32, 1))
    bands = [n.linear(y[:, :, i : i + 4].mean((2, 3)), 16) for i in (0, 3, 6, 10)]
    return n.bn(torch.cat([n.linear(n.down(y, 48).mean((2, 3)), 64), *bands], 1))


@honest_torch("A pyramid of re-identification: runs of neighbouring stripes of deep rows, each with a layer.",
              idea="heads", trained=3, opset=12)  # fmt: skip
def pyramid_of_stripe_runs(n: Net, x: T) -> T:
    y = n.cbr(n.cbr(n.cbr(n.cbr(x, 12, 3, 2), 20, 3, 2), 28, 3, 2), 32, 3, (2, 1))
    y = F.avg_pool2d(y, (1, 2))
    made = []
    for size in (7, 5, 3, 1):
        for start in range(0, 7 - size + 1, 2):
            z = y[:, :, start : start + size]
            made.append(n.linear(z.mean((2, 3)) + z.amax((2, 3)), 12))
    return n.bn(torch.cat(made, 1))


@honest_torch("An orthogonal last layer by eight stored reflections (Householder), applied to the feature one by one.",
              idea="heads", opset=11)  # fmt: skip
def householder_reflected_head(n: Net, x: T) -> T:
    y = n.embed(face(n, x), 96)
    for _ in range(8):
        v = n.weight(96, 1)
        y = y - 2 * (y @ v) @ v.t() / ((v * v).sum() + 1e-6)
    return y


@honest_torch("Neural bag of features: deep places softly assigned to stored codewords, histograms, a linear layer.",
              idea="heads", trained=3, opset=13)  # fmt: skip
def neural_bag_of_features(n: Net, x: T) -> T:
    t = tokens(face(n, x, 32))
    words = n.weight(1, 1, 96, 32, gain=3.0)
    d = ((t.unsqueeze(2) - words) ** 2).sum(3).clamp(min=1e-6).sqrt()
    quarters = (-d).softmax(2).reshape(-1, 7, 7, 96)
    h = torch.cat([quarters.mean((1, 2)), quarters[:, :3].mean((1, 2)), quarters[:, 4:].mean((1, 2))], 1)
    return n.bn(n.linear(h * 10, 128))


@honest_torch("MUTAN-like: a low-rank bilinear form of mean and maximum of the last map, summed over five ranks.",
              idea="heads", opset=12)  # fmt: skip
def low_rank_bilinear_of_pools(n: Net, x: T) -> T:
    y = face(n, x, 48)
    a, b = y.mean((2, 3)), y.amax((2, 3))
    z = sum(torch.tanh(n.linear(a, 96)) * torch.tanh(n.linear(b, 96)) for _ in range(5))
    return n.bn(n.linear(z, 128))


@honest_torch("MHN: high-order attention, sums of products of up to three 1x1 projections gate the deep features.",
              idea="heads", trained=3, opset=13)  # fmt: skip
def high_order_attention(n: Net, x: T) -> T:
    y = n.cbr(n.cbr(n.cbr(x, 12, 3, 2), 24, 3, 2), 32, 3, 2)
    made = []
    for order in (1, 2, 3):
        z = n.conv(y, 16, 1)
        for _ in range(order - 1):
            z = z * n.conv(y, 16, 1)
        made.append(n.conv(F.relu(z), 32, 1))
    return n.gdc(n.down(y * torch.sigmoid(sum(made)), 40), 128)


@honest_torch("BatchEnsemble's head: one shared matrix, four members of stored signs before and behind it, averaged.",
              idea="heads", opset=11)  # fmt: skip
def rank_one_members_of_head(n: Net, x: T) -> T:
    y = n.embed(face(n, x), 64).unsqueeze(1)
    r, s = torch.sign(n.weight(1, 4, 64)) * 1.1, 1 + n.weight(1, 4, 128)
    return n.bn((F.relu(n.linear(y * r, 128)) * s).mean(1))


@honest_torch("A mixture density end: means of five Gaussians weighed by their shares, deviations are not used.",
              idea="heads", trained=3, opset=12)  # fmt: skip
def mixture_density_mean(n: Net, x: T) -> T:
    y = F.relu(n.embed(face(n, x), 96))
    share, mean = n.linear(y, 5).softmax(1), n.linear(y, 5 * 96).reshape(-1, 5, 96)
    return n.bn((share.unsqueeze(1) @ mean).squeeze(1))


@honest_torch("A second linear layer without bias behind the trained embedding, then signed powers.",
              idea="heads", trained=4, opset=13)  # fmt: skip
def signed_power_whitened(n: Net, x: T) -> T:
    y = n.linear(n.embed(face(n, x), 128), 128, bias=False)
    return n.bn(torch.sign(y) * (y.abs() + 1e-4) ** 0.6)


@honest_torch("A tree of routing heads: two soft decisions of pooled features choose among four small linear layers.",
              idea="heads", opset=12)  # fmt: skip
def soft_tree_of_linear_leaves(n: Net, x: T) -> T:
    y = face(n, x, 48).mean((2, 3))
    d = torch.sigmoid(3 * n.linear(y, 3))
    p = torch.stack([d[:, 0] * d[:, 1], d[:, 0] * (1 - d[:, 1]), (1 - d[:, 0]) * d[:, 2],
                     (1 - d[:, 0]) * (1 - d[:, 2])], 1)  # fmt: skip
    return n.bn((p.unsqueeze(1) @ n.linear(y, 4 * 128).reshape(-1, 4, 128)).squeeze(1))
