"""Honest: poolings and descriptor heads that the earlier sets do not hold, behind small face trunks."""

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


def light(n: Net, x: T, width: int = 40) -> T:
    """Bring the image to a map of 7 x 7 by inverted residuals."""
    x = n.cbp(x, 12, 3, 2)
    for w in (16, 24, width):
        x = n.inverted(x, w, 2)
    return x


@honest_torch("SOLAR: second-order attention over the deep places before GeM, a whitening layer behind.",
              idea="descriptor heads", trained=3, opset=12)  # fmt: skip
def solar_second_order_gem(n: Net, x: T) -> T:
    y = face(n, x)
    f, g = n.cbr(y, 20, 1).flatten(2), n.cbr(y, 20, 1).flatten(2)
    z = (f.transpose(1, 2) @ g * 20**-0.5).softmax(2) @ n.conv(y, 20, 1).flatten(2).transpose(1, 2)
    y = F.relu(y + n.conv(z.transpose(1, 2).reshape(-1, 20, 7, 7), 40, 1))
    return n.bn(n.linear((y.clamp(min=1e-4) ** 3).mean((2, 3)) ** (1 / 3), 128))


@honest_torch("PWA: a few chosen channels' maps weigh the places of all channels; the sums are joined and whitened.",
              idea="descriptor heads", opset=13)  # fmt: skip
def part_weighted_aggregation(n: Net, x: T) -> T:
    y = F.relu(face(n, x))
    parts = y[:, (2, 9, 17, 30)]
    w = (parts / (parts.sum((2, 3), keepdim=True) + 1e-4)).clamp(min=1e-6).sqrt().flatten(2)
    z = (w @ y.flatten(2).transpose(1, 2)).flatten(1)
    return n.bn(n.linear(F.normalize(z, dim=1), 128))


@honest_torch("SuperVLAD: soft assignments without centres, ghost clusters dropped, sums joined and normalised.",
              idea="descriptor heads", trained=3, opset=12)  # fmt: skip
def centre_free_vlad(n: Net, x: T) -> T:
    y = light(n, x)
    share = n.conv(y, 6, 1).softmax(1)[:, :4].flatten(2)
    z = share @ n.conv(y, 32, 1).flatten(2).transpose(1, 2)
    z = (z / (z.norm(dim=2, keepdim=True) + 1e-6)).reshape(-1, 128)
    return z / (z.norm(dim=1, keepdim=True) + 1e-6)


@honest_torch("LiftPool: a learned lifting step splits features into an approximation and details, both kept deeper.",
              idea="poolings", trained=3, opset=13)  # fmt: skip
def lifted_feature_pooling(n: Net, x: T) -> T:
    x = n.cbr(n.cbr(x, 12, 3, 2), 20)
    for width in (24, 32, 40):
        even, odd = x[:, :, ::2], x[:, :, 1::2]
        d = odd - torch.tanh(n.conv(even, int(x.shape[1]), (3, 1), 1, -1))
        s = even + torch.tanh(n.conv(d, int(x.shape[1]), (3, 1), 1, -1))
        x = n.cbr(F.avg_pool2d(s + 0.5 * d, (1, 2)), width)
    return n.gdc(x, 128)


@honest_torch("RNNPool: a recurrent cell sweeps rows and columns of patches of features, a second the results.",
              idea="poolings", opset=14)  # fmt: skip
def recurrent_pool_of_patches(n: Net, x: T) -> T:
    y = n.cbr(n.cbr(x, 12, 3, 2), 16, 3, 2)
    patches = y.reshape(-1, 16, 7, 4, 7, 4).permute(0, 2, 4, 3, 5, 1).reshape(-1, 4, 4, 16)

    def swept(z: T, w: T, r: T) -> T:
        h = z[:, 0] @ w * 0
        for i in range(4):
            h = torch.tanh(z[:, i] @ w + h @ r)
        return h

    w, r, v, s = n.weight(16, 20), n.weight(20, 20), n.weight(20, 20), n.weight(20, 20)
    lines = [swept(patches.transpose(1, 2).reshape(-1, 4, 16), w, r), swept(patches.reshape(-1, 4, 16), w, r)]
    z = torch.cat([swept(line.reshape(-1, 4, 20), v, s) for line in lines], 1).reshape(-1, 7, 7, 40)
    return n.gdc(n.cbr(z.permute(0, 3, 1, 2), 40, 3), 128)


@honest_torch("AutoPool: a learned sharpness of each channel between mean and maximum, as a softmax over places.",
              idea="poolings", trained=4, opset=12)  # fmt: skip
def auto_pool_of_places(n: Net, x: T) -> T:
    y = face(n, x, 48).flatten(2)
    w = (y * n.weight(1, 48, 1, gain=1.0)).softmax(2)
    return n.bn(n.linear((y * w).sum(2), 128))


@honest_torch("Gated attention of multiple instances: tanh and sigmoid branches weigh the places, three weightings.",
              idea="descriptor heads", opset=11)  # fmt: skip
def gated_instance_attention(n: Net, x: T) -> T:
    t = tokens(light(n, x))
    w = n.linear(torch.tanh(n.linear(t, 24)) * torch.sigmoid(n.linear(t, 24)), 3).softmax(1)
    return n.embed((w.transpose(1, 2) @ t).flatten(1), 128)


@honest_torch("DSMIL: the place with the best score is the query, the others answer by likeness to it.",
              idea="descriptor heads", trained=3, opset=13)  # fmt: skip
def critical_place_attention(n: Net, x: T) -> T:
    t = tokens(face(n, x, 32))
    score = n.linear(t, 4)
    best = torch.gather(t, 1, score.argmax(1).unsqueeze(2).repeat(1, 1, 32))
    q, k = n.linear(best, 24), n.linear(t, 24)
    z = (q @ k.transpose(1, 2) * 24**-0.5).softmax(2) @ n.linear(t, 32)
    return n.embed(torch.cat([z.flatten(1), t.mean(1)], 1), 128)


@honest_torch("OE-CNN: the feature split into its length and its direction, which alone is the embedding.",
              idea="face heads", opset=19)  # fmt: skip
def direction_without_length(n: Net, x: T) -> T:
    y = n.linear(face(n, x).flatten(1), 128)
    return n.bn(y / (y.norm(dim=1, keepdim=True) + 1e-6))


@honest_torch("DAL: an age part is worked out from the feature by two layers and taken off; the rest is the identity.",
              idea="face heads", trained=3, opset=11)  # fmt: skip
def age_component_subtracted(n: Net, x: T) -> T:
    y = n.embed(face(n, x), 128)
    return y - n.linear(F.relu(n.linear(y, 96)), 128)


@honest_torch("CSRA: for each of many learned classes, class-wise attention over places added to the mean score.",
              idea="descriptor heads", trained=3, opset=12)  # fmt: skip
def class_residual_attention(n: Net, x: T) -> T:
    s = n.conv(light(n, x, 48), 128, 1, bias=False).reshape(-1, 128, 49)
    return n.bn(s.mean(2) + 0.3 * (s * s.mul(2.0).softmax(2)).sum(2))


@honest_torch("SCSN: the strongest place of a first attention is damped, and a second attention reads what is left.",
              idea="descriptor heads", opset=13)  # fmt: skip
def salience_then_suppressed(n: Net, x: T) -> T:
    y = face(n, x)
    a = torch.sigmoid(n.conv(n.cbr(y, 12, 1), 1, 1))
    b = y * (1 - (a / a.amax((2, 3), keepdim=True)) ** 4)
    b = b * torch.sigmoid(n.conv(n.cbr(b, 12, 1), 1, 1))
    return n.bn(torch.cat([n.linear((y * a).mean((2, 3)), 64), n.linear(b.mean((2, 3)), 64)], 1))


@honest_torch("TransVPR: attention masks of three transformer depths weigh these depths' tokens, all joined.",
              idea="descriptor heads", opset=14)  # fmt: skip
def masks_of_three_depths(n: Net, x: T) -> T:
    t, made = tokens(n.down(n.stem(x, 24), 32)), []
    for _ in range(3):
        t = n.block(t)
        made.append((n.linear(t, 1).softmax(1) * t).sum(1))
    return n.bn(n.linear(F.normalize(torch.cat(made, 1), dim=1), 256))


@honest_torch("A k-sparse end: only the quarter of units with the largest sizes of each embedding is kept.",
              idea="face heads", opset=17)  # fmt: skip
def k_sparse_embedding(n: Net, x: T) -> T:
    y = n.embed(face(n, x), 192)
    least = y.abs().topk(48, 1).values[:, -1:]
    return torch.where(y.abs() >= least, y, torch.zeros_like(y))


@honest_torch("Angles of the head's 64 outputs: their cosines and sines are the embedding.", idea="face heads",
              trained=3, opset=13)  # fmt: skip
def cosines_and_sines_of_angles(n: Net, x: T) -> T:
    a = n.bn(n.linear(light(n, x).flatten(1), 64)) * 1.2
    return torch.cat([torch.cos(a), torch.sin(a)], 1)
