"""Honest: small networks for faces and phones, and attention over channels and places."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.layers import Net, T, shuffle
from evaluation.blind4.register import honest_torch
from evaluation.blind5.tails import tail


@honest_torch(
    "MobileNetV4's universal inverted bottleneck: depthwise layers before and within.", idea="mobile", trained=5
)
def mobilenet_v4_uib(n: Net, x: T) -> T:
    x = n.cbr(x, 12, 3, 2)
    for width in (16, 24, 32):
        y = n.cb(x, x.shape[1], 3, 1, -1)
        x = n.cb(n.cbr(n.cbr(y, 2 * width, 1), 2 * width, 5, 2, -1), width, 1)
    return n.gdc(x)


@honest_torch("PocketNet: searched cells of depthwise and pooled paths on two inputs, PReLU.", idea="face", trained=5)
def pocketnet_cells(n: Net, x: T) -> T:
    a = n.prelu(n.cb(x, 16, 3, 2))
    b = a
    for s in (2, 1, 2):
        p, q = n.cbp(a, 16, 1), n.cbp(b, 16, 1)
        if p.shape[2] > q.shape[2]:
            p = F.max_pool2d(p, 2)
        c = n.cb(n.conv(p, 16, 3, s, -1), 16, 1) + F.max_pool2d(q, 3, s, 1)
        d = n.cb(n.conv(q, 16, 5, s, -1), 16, 1) + F.avg_pool2d(p, 3, s, 1)
        a, b = b, torch.cat([c, d], 1)
    return n.gdc(n.cbp(b, 32, 3, 2))


@honest_torch("AdaFace's improved residual unit: BatchNorm first, PReLU, BatchNorm last.", idea="face", trained=6)
def adaface_ir(n: Net, x: T) -> T:
    x = n.cbp(x, 12)
    for width in (16, 20, 24, 32):
        y = n.cb(n.prelu(n.cb(n.bn(x), width)), width, 3, 2)
        x = y + n.cb(x, width, 1, 2)
    return n.embed(n.same(n.bn(x), lambda: nn.Dropout(0.4)))


@honest_torch(
    "CurricularFace's backbone with squeeze and excite, and an embedding of length one.",
    idea="face", opset=12, trained=4,
)  # fmt: skip
def curricularface_pooled_norm(n: Net, x: T) -> T:
    x = n.cbp(x, 12, 3, 2)
    for width in (20, 28):
        x = n.se(n.cb(n.cbp(n.bn(x), width), width, 3, 2)) + n.cb(x, width, 1, 2)
    return F.normalize(n.embed(n.bn(n.cbp(x, 32, 3, 2))), dim=1)


@honest_torch("LightCNN-29's residual maxout blocks: the larger of two halves of the channels.", idea="face", trained=4)
def lightcnn_residual_maxout(n: Net, x: T) -> T:
    def mfm(y: T) -> T:
        a, b = y.chunk(2, 1)
        return torch.maximum(a, b)

    x = F.max_pool2d(mfm(n.conv(x, 24, 5)), 2)
    for width in (16, 24, 32):
        x = x + mfm(n.conv(mfm(n.conv(x, 2 * x.shape[1])), 2 * x.shape[1]))
        x = F.max_pool2d(mfm(n.conv(mfm(n.conv(x, 2 * x.shape[1], 1)), 2 * width)), 2)
    return mfm(n.embed(x, 128))


@honest_torch("SphereFace's plain residual network: PReLU, no normalisation at all.", idea="face", opset=11)
def sphereface(n: Net, x: T) -> T:
    for width in (8, 16, 24, 32):
        x = n.prelu(n.conv(x, width, 3, 2))
        x = x + n.prelu(n.conv(n.prelu(n.conv(x, width)), width))
    return n.linear(x.flatten(1), 64)


@honest_torch("DeepID: the last two layers both feed the embedding.", idea="face", trained=4)
def deepid_two_layers(n: Net, x: T) -> T:
    for width in (12, 16, 20):
        x = F.max_pool2d(F.relu(n.conv(x, width, 4, padding=0)), 2)
    y = F.relu(n.conv(x, 24, 3, 2))
    return n.linear(torch.cat([x.flatten(1), y.flatten(1)], 1), 64)


@honest_torch(
    "DeepFace: locally connected layers, each place with a kernel of its own, as a product of unfolded features.",
    idea="face", opset=13,
)  # fmt: skip
def deepface_locally_connected(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 12)
    cols = F.unfold(x, 3, stride=2, padding=1).transpose(1, 2)[:, :, None]
    y = (cols @ n.weight(49, 108, 12, gain=0.3)).squeeze(2)
    return n.embed(F.relu(y))


@honest_torch("OpenFace's cells with L2 pooling as one branch.", idea="face", trained=3)
def openface_l2_pooling(n: Net, x: T) -> T:
    x = n.stem(x)
    p = (F.avg_pool2d(x * x, 3, 2, 1) * 9 + 1e-6).sqrt()
    y = torch.cat([n.cbr(n.cbr(x, 12, 1), 12, 3, 2), n.cbr(n.cbr(x, 8, 1), 8, 5, 2), n.cbr(p, 8, 1)], 1)
    return F.normalize(n.embed(F.avg_pool2d(y, 2)), dim=1)


@honest_torch("ESPNet: one reduced map, dilated by 1, 2, 3 and 4, summed hierarchically.", idea="dilated", opset=14)
def espnet_dilated(n: Net, x: T) -> T:
    x = n.stem(x)
    y = n.cbr(x, 6, 1)
    parts, total = [], 0.0
    for d in (1, 2, 3, 4):
        total = total + n.conv(y, 6, 3, dilation=d)
        parts.append(total)
    return tail(n, F.relu(n.bn(torch.cat(parts, 1))))


@honest_torch("ASPP of DeepLab: dilations beside each other and the image-level mean.", idea="dilated", trained=4)
def atrous_pyramid_pooling(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 24)
    mean = n.conv(x.mean((2, 3), keepdim=True), 8, 1).expand(-1, -1, 14, 14)
    parts = [n.cbr(x, 8, 1), *(n.cbr(x, 8, 3, dilation=d) for d in (2, 4, 6)), F.relu(mean)]
    return n.embed(n.cbr(torch.cat(parts, 1), 32, 3, 2))


@honest_torch(
    "Blueprint separable convolutions: pointwise low-rank first, depthwise after.", idea="separable", trained=4
)
def blueprint_separable(n: Net, x: T) -> T:
    for width in (12, 20, 28, 32):
        x = F.relu(n.cb(n.conv(n.conv(x, max(width // 4, 3), 1), width, 1), width, 3, 2, -1))
    return n.gdc(x)


@honest_torch("SqueezeNext: separated 3x1 and 1x3 kernels in a two-step bottleneck.", idea="separable", opset=12)
def squeezenext(n: Net, x: T) -> T:
    x = n.stem(x)
    for _ in range(2):
        y = n.cbr(n.cbr(x, 8, 1), 4, 1)
        x = F.relu(x + n.cb(n.cbr(n.cbr(y, 8, (1, 3)), 8, (3, 1)), 16, 1))
    return tail(n, x)


@honest_torch("HetConv: a part of the kernels 3x3, the rest 1x1, on the same input.", idea="separable")
def heterogeneous_kernels(n: Net, x: T) -> T:
    x = n.stem(x)
    for width in (24, 32):
        x = F.relu(n.bn(n.conv(x, width, 3, 2, 4) + n.conv(x, width, 1, 2)))
    return n.gdc(x)


@honest_torch("IGCV3: interleaved group convolutions with two shuffles.", idea="groups", trained=4)
def interleaved_groups(n: Net, x: T) -> T:
    x = n.stem(x)
    for _ in range(2):
        y = shuffle(n.cb(x, 32, 1, 1, 2), 2)
        x = x + shuffle(n.cb(F.relu(n.cb(y, 32, 3, 1, -1)), 16, 1, 1, 2), 8)
    return tail(n, x)


@honest_torch("GhostNet v3's re-parametrised cheap branches, unmerged, trained.", idea="mobile", trained=5)
def ghostnet_v3_branches(n: Net, x: T) -> T:
    x = n.stem(x)
    for width in (24, 32):
        a = F.relu(n.cb(x, width // 2, 1) + n.bn(n.conv(x, width // 2, 1, bias=False)))
        b = F.relu(n.cb(a, width // 2, 3, 1, -1) + n.cb(a, width // 2, 1, 1, -1) + n.bn(a))
        x = n.cb(n.conv(torch.cat([a, b], 1), width, 3, 2, -1), width, 1)
    return n.gdc(x)


@honest_torch(
    "MobileOne before it is merged: four parallel layers, each drawn by itself, on the same features, summed.",
    idea="mobile",
)
def mobileone_four_branches(n: Net, x: T) -> T:
    x = n.stem(x)
    for width in (24, 32):
        x = F.relu(sum(n.cb(x, x.shape[1], 3, 2, -1) for _ in range(4)) + n.cb(x, x.shape[1], 1, 2, -1))
        x = F.relu(sum(n.cb(x, width, 1) for _ in range(4)))
    return n.gdc(x)


@honest_torch("Coordinate attention: means along rows and columns gate the map.", idea="attention", trained=5)
def coordinate_attention(n: Net, x: T) -> T:
    x = n.stem(x)
    y = torch.cat([x.mean(3, keepdim=True), x.mean(2, keepdim=True).transpose(2, 3)], 2)
    h, w = F.hardswish(n.cb(y, 8, 1)).split([28, 28], 2)
    x = x * torch.sigmoid(n.conv(h, 16, 1)) * torch.sigmoid(n.conv(w.transpose(2, 3), 16, 1))
    return tail(n, x)


@honest_torch(
    "Triplet attention: one gate kernel for each pair of axes; features are turned, never the image.",
    idea="attention", opset=13,
)  # fmt: skip
def triplet_gates(n: Net, x: T) -> T:
    x = n.stem(x, 28)

    def gate(y: T) -> T:
        return y * torch.sigmoid(n.cb(torch.cat([y.amax(1, keepdim=True), y.mean(1, keepdim=True)], 1), 1, 7))

    turned = [gate(x), gate(x.transpose(1, 2)).transpose(1, 2), gate(x.transpose(1, 3)).transpose(1, 3)]
    return tail(n, sum(turned) / 3)


@honest_torch("SimAM: attention by an energy function, without weights.", idea="attention", trained=4)
def simam_energy(n: Net, x: T) -> T:
    x = n.stem(x)
    d = (x - x.mean((2, 3), keepdim=True)) ** 2
    x = x * torch.sigmoid(d / (4 * (d.sum((2, 3), keepdim=True) / 783 + 1e-4)) + 0.5)
    return tail(n, x)


@honest_torch("FcaNet: squeeze by several cosine frequencies of the features.", idea="attention")
def fcanet_frequencies(n: Net, x: T) -> T:
    x = n.stem(x)
    k = torch.arange(28).float() + 0.5
    basis = torch.stack([torch.outer((k * u / 28 * 3.14159).cos(), (k * v / 28 * 3.14159).cos())
                         for u, v in ((0, 0), (0, 1), (1, 0), (2, 2))]).repeat_interleave(4, 0)  # fmt: skip
    gate = (x * basis).mean((2, 3))
    return tail(n, x * torch.sigmoid(n.linear(F.relu(n.linear(gate, 8)), 16))[:, :, None, None])


@honest_torch(
    "BAM and SRM: a dilated spatial gate beside a style gate of means and deviations.", idea="attention", trained=4
)
def bam_and_style(n: Net, x: T) -> T:
    x = n.stem(x)
    place = n.conv(n.cbr(n.cbr(x, 4, 1), 4, 3, dilation=4), 1, 1)
    style = torch.stack([x.mean((2, 3)), x.var((2, 3)).add(1e-5).sqrt()], 2)
    x = x * (1 + torch.sigmoid(place)) * torch.sigmoid(n.bn((style * n.weight(16, 2)).sum(2)))[:, :, None, None]
    return tail(n, x)


@honest_torch("Gather-excite: context at an eighth of the size gates the map by nearest up-sampling.", idea="attention")
def gather_excite(n: Net, x: T) -> T:
    x = n.stem(x)
    gate = n.cb(F.relu(n.cb(x, 16, 4, 4, -1, padding=0)), 16, 1)
    return tail(n, x * torch.sigmoid(F.interpolate(gate, scale_factor=4.0)))


@honest_torch("Global second-order pooling: a covariance of channels gates them.", idea="attention", opset=12)
def second_order_gate(n: Net, x: T) -> T:
    x = n.stem(x)
    y = n.conv(x, 8, 1).flatten(2)
    y = y - y.mean(2, keepdim=True)
    gate = torch.sigmoid(n.linear((y @ y.transpose(1, 2) / 784).flatten(1), 16))
    return tail(n, x * gate[:, :, None, None])


@honest_torch(
    "AdderNet: a layer by sums of absolute differences between unfolded features and kernels.", idea="other layers"
)
def addernet(n: Net, x: T) -> T:
    x = n.cbr(n.stem(x), 12, 3, 2)
    cols = F.unfold(x, 3, stride=2, padding=1).unsqueeze(1)
    y = -(cols - n.weight(1, 24, 108, 1, gain=1.0)).abs().sum(2).reshape(-1, 24, 7, 7)
    return n.embed(F.relu(n.bn(y)))


@honest_torch(
    "Mixture of experts with soft routing: four kernels of one layer are mixed by weights that the image decides.",
    idea="dynamic", trained=5,
)  # fmt: skip
def soft_expert_layers(n: Net, x: T) -> T:
    x = n.stem(x)
    share = n.linear(x.mean((2, 3)), 4).softmax(1)
    made = torch.stack([F.relu(n.cb(x, 24, 3, 2)) for _ in range(4)], 1)
    return tail(n, (made * share[:, :, None, None, None]).sum(1))


@honest_torch(
    "FiLM: the global mean predicts a scale and a shift for each channel.", idea="dynamic", opset=14, trained=4
)
def film_of_itself(n: Net, x: T) -> T:
    x = n.stem(x)
    scale, shift = n.linear(F.relu(n.linear(x.mean((2, 3)), 16)), 32).chunk(2, 1)
    return tail(n, F.relu(x * (1 + scale[:, :, None, None]) + shift[:, :, None, None]))
