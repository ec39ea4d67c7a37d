"""Honest: what a face-recognition team trains on most days, ResNets of faces with another stem, unit, gate or head."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import honest_torch


def ir(n: Net, x: T, width: int, s: int = 2) -> T:
    """InsightFace's residual unit."""
    y = n.cb(n.cbp(n.bn(x), width), width, 3, s)
    return y + (x if s == 1 and x.shape[1] == width else n.cb(x, width, 1, s))


@honest_torch("TreB1eN's IR-SE: a shortcut of equal width is a maximum pooling of one place with the stride.",
              idea="iresnet", trained=4)  # fmt: skip
def irse_subsampled_shortcut(n: Net, x: T) -> T:
    x = n.cbp(x, 16, 3, 2)
    for width in (16, 24, 24):
        y = n.se(n.cb(n.cbp(n.bn(x), width), width, 3, 2))
        x = y + (F.max_pool2d(x, 1, 2) if x.shape[1] == width else n.cb(x, width, 1, 2))
    return n.embed(n.bn(x), 128)


@honest_torch("The original iResNet layout: the stem keeps 112 x 112, four stages of stride 2 lead to 7 x 7, 512 wide.",
              idea="iresnet", opset=12)  # fmt: skip
def iresnet_full_size_stem(n: Net, x: T) -> T:
    x = n.cbp(x, 8)
    for width in (8, 12, 16, 24):
        x = ir(n, ir(n, x, width), width, 1)
    return n.embed(n.bn(x), 512)


@honest_torch("iResNet with coordinate attention behind each unit.", idea="iresnet", opset=14)
def iresnet_coordinate_gate(n: Net, x: T) -> T:
    x = n.cbp(x, 12, 3, 2)
    for width in (16, 24, 32):
        x = ir(n, x, width)
        h, w = x.mean(3, keepdim=True), x.mean(2, keepdim=True).transpose(2, 3)
        a, b = F.hardswish(n.cb(torch.cat([h, w], 2), 8, 1)).chunk(2, 2)
        x = x * torch.sigmoid(n.conv(a, width, 1)) * torch.sigmoid(n.conv(b.transpose(2, 3), width, 1))
    return n.embed(n.bn(x), 256)


@honest_torch("ReZero: every residual of the IR unit times one learned number that began at zero.", idea="iresnet",
              trained=5)  # fmt: skip
def iresnet_rezero(n: Net, x: T) -> T:
    x = n.cbp(x, 12, 3, 2)
    for width in (16, 24, 32):
        x = n.cb(x, width, 1, 2)
        x = x + n.weight(1, 1, 1, 1, gain=0.5) * n.cb(n.cbp(n.bn(x), width), width)
    return n.embed(x, 128)


@honest_torch("ResNet-50 as torchvision has it, fc of 128 behind the mean, rows of length one, as FaceNet users train.",
              idea="resnet", trained=3, opset=11)  # fmt: skip
def torchvision_bottlenecks_unit_rows(n: Net, x: T) -> T:
    x = F.max_pool2d(n.cbr(x, 16, 7, 2), 3, 2, 1)
    for width, s in ((16, 1), (24, 2), (32, 2)):
        y = n.cb(n.cbr(n.cbr(x, width // 2, 1), width // 2, 3, s), 2 * width, 1)
        x = F.relu(y + n.cb(x, 2 * width, 1, s))
    return F.normalize(n.linear(x.mean((2, 3)), 128))


@honest_torch("SENet-154: grouped bottlenecks, a stem of three layers, gates, dropout before the last layer.",
              idea="resnet", opset=13)  # fmt: skip
def senet_154_grouped(n: Net, x: T) -> T:
    x = F.max_pool2d(n.cbr(n.cbr(n.cbr(x, 12, 3, 2), 12), 16), 3, 2, ceil_mode=True)
    for width in (24, 32):
        y = n.se(n.cb(n.cbr(n.cbr(x, width, 1), 2 * width, 3, 2, 8), width, 1))
        x = F.relu(y + n.cb(x, width, 3, 2))
    x = n.same(x, lambda: torch.nn.Dropout(0.2))
    return n.pooled(x, 256)


@honest_torch("FaceNet's NN1 after Zeiler and Fergus: 1x1 layers, response norms, two maxout layers, unit rows.",
              idea="classic faces")  # fmt: skip
def facenet_nn1_maxout(n: Net, x: T) -> T:
    x = n.same(F.max_pool2d(F.relu(n.conv(x, 16, 7, 2)), 3, 2, 1), lambda: torch.nn.LocalResponseNorm(5))
    for width in (24, 32):
        x = F.max_pool2d(F.relu(n.conv(F.relu(n.conv(x, width, 1)), width)), 3, 2, 1)
    y = n.linear(x.flatten(1), 192).reshape(-1, 96, 2).amax(2)
    y = n.linear(y, 128).reshape(-1, 64, 2).amax(2)
    return F.normalize(n.bn(n.linear(y, 64)))


@honest_torch("VIPLFaceNet: seven layers, kernels of 9 first, fast normalisation, two fully connected layers.",
              idea="classic faces", trained=4, opset=12)  # fmt: skip
def viplfacenet_seven(n: Net, x: T) -> T:
    x = F.max_pool2d(n.cbr(x, 12, 9, 4), 3, 2, 1)
    x = n.cbr(n.cbr(x, 24), 24)
    x = F.max_pool2d(n.cbr(n.cbr(n.cbr(x, 32), 32), 32), 3, 2, 1)
    return n.bn(n.linear(F.relu(n.linear(x.flatten(1), 96)), 96))


@honest_torch("DeepID3: stacked layers, two inceptions, a locally connected layer over 2 x 2 regions and two ends.",
              idea="classic faces", opset=14)  # fmt: skip
def deepid3_local_ends(n: Net, x: T) -> T:
    x = F.max_pool2d(F.relu(n.conv(F.relu(n.conv(x, 12, 3, 2)), 12)), 2)
    for width in (8, 12):
        y = [
            F.relu(n.conv(x, width, 1)),
            F.relu(n.conv(F.relu(n.conv(x, width, 1)), width)),
            F.relu(n.conv(F.relu(n.conv(x, 6, 1)), width, 5)),
            F.relu(n.conv(F.max_pool2d(x, 3, 1, 1), width, 1)),
        ]
        x = F.max_pool2d(torch.cat(y, 1), 2)
    cells = [x[:, :, i : i + 4, j : j + 4] for i in (0, 3) for j in (0, 3)]
    local = torch.cat([F.relu(n.conv(cell, 16, 3)).flatten(1) for cell in cells], 1)
    return torch.cat([n.bn(n.linear(x.flatten(1), 64)), n.bn(n.linear(local, 64))], 1)


@honest_torch(
    "CosFace's 64-layer network in small: IR-like units of two layers with BatchNorm, PReLU, one fc of 512.",
    idea="classic faces",
)
def cosface_residual_chain(n: Net, x: T) -> T:
    for width in (8, 16, 24, 32):
        x = n.cbp(x, width, 3, 2)
        x = x + n.cbp(n.cbp(x, width), width)
    return n.linear(x.flatten(1), 512)


@honest_torch("EfficientFace: a local feature extractor over four quarters of features beside channel-spatial gates.",
              idea="face parts", trained=4, opset=13)  # fmt: skip
def efficientface_local_quarters(n: Net, x: T) -> T:
    x = n.stem(x, 24)
    quarters = [[n.cbr(n.cbr(q, 24, 3, 1, -1), 24, 1) for q in half.chunk(2, 3)] for half in x.chunk(2, 2)]
    local = torch.cat([torch.cat(row, 3) for row in quarters], 2)
    y = n.cbr(n.cbr(x, 24, 3, 1, -1), 24, 1)
    y = y * torch.sigmoid(n.conv(y.mean((2, 3), keepdim=True), 24, 1)) * torch.sigmoid(n.conv(y, 1, 7))
    return n.pooled(n.down(n.down(local + y, 32), 48), 128)


@honest_torch("SCRFD's backbone and neck with an embedding: ResNets of searched widths, PAFPN, three pooled levels.",
              idea="pyramid", opset=12)  # fmt: skip
def scrfd_neck_embedding(n: Net, x: T) -> T:
    x = n.cbr(n.cbr(n.cbr(x, 8, 3, 2), 8), 16)
    c3 = n.res(n.cbr(F.max_pool2d(x, 2), 20))
    c4 = n.res(n.down(c3, 28))
    c5 = n.res(n.down(c4, 20))
    p5 = n.conv(c5, 16, 1)
    p4 = n.conv(c4, 16, 1) + F.interpolate(p5, scale_factor=2.0, mode="nearest")
    p3 = n.conv(c3, 16, 1) + F.interpolate(p4, scale_factor=2.0, mode="nearest")
    p4 = n.conv(p4, 16) + n.conv(p3, 16, 3, 2)
    p5 = n.conv(p5, 16) + n.conv(p4, 16, 3, 2)
    return n.embed(torch.cat([p.mean((2, 3)) for p in (p3, p4, p5)], 1), 96)


@honest_torch("YOLO5Face's stem block (a strided layer beside a maximum pooling) and CSP blocks as a face encoder.",
              idea="resnet", trained=3)  # fmt: skip
def yolo5face_stem_csp(n: Net, x: T) -> T:
    x = F.silu(n.cb(x, 12, 3, 2))
    a = F.silu(n.cb(F.silu(n.cb(x, 8, 1)), 12, 3, 2))
    x = F.silu(n.cb(torch.cat([a, F.max_pool2d(x, 2)], 1), 16, 1))
    for width in (24, 32):
        x = F.silu(n.cb(x, width, 3, 2))
        a = F.silu(n.cb(x, width // 2, 1))
        a = a + F.silu(n.cb(F.silu(n.cb(a, width // 2, 1)), width // 2))
        x = F.silu(n.cb(torch.cat([a, n.cb(x, width // 2, 1)], 1), width, 1))
    return n.gdc(x, 128)


@honest_torch(
    "Quality by the norm, as MagFace has it: the feature's norm is softly clipped, the embedding has that norm.",
    idea="iresnet",
    trained=4,
)
def softly_clipped_norm(n: Net, x: T) -> T:
    x = ir(n, ir(n, ir(n, n.cbp(x, 12, 3, 2), 16), 24), 32)
    y = n.embed(x, 64)
    size = y.norm(dim=1, keepdim=True)
    return y / (size + 1e-6) * (10 + 90 * torch.sigmoid((size - 8) / 4))


@honest_torch(
    "Three branches of one trunk's last stage, each trained for a loss of its own, averaged to one embedding.",
    idea="face heads",
    opset=13,
)
def last_stage_in_three(n: Net, x: T) -> T:
    x = ir(n, ir(n, n.cbp(x, 12, 3, 2), 16), 24)
    return torch.stack([n.embed(ir(n, x, 24), 64) for _ in range(3)]).mean(0)


@honest_torch(
    "IR units without any BatchNorm after folding: convolution, PReLU, convolution, sum; by the newer exporter.",
    idea="iresnet",
    dynamo=True,
    opset=18,
)
def iresnet_folded_units(n: Net, x: T) -> T:
    x = n.prelu(n.conv(x, 12, 3, 2))
    for width in (16, 24, 32):
        y = n.conv(n.prelu(n.conv(x, width)), width, 3, 2)
        x = y + n.conv(x, width, 1, 2)
    return n.linear(x.flatten(1), 128)
