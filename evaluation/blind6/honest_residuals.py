"""Honest: residual networks and their relatives, plain networks, and activations that read features."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import honest_torch
from evaluation.blind5.tails import tail


@honest_torch("ResNet-50 as Caffe has it: stride in the 1x1 layer, maximum pooling behind 7x7.", idea="residual",
              trained=5)  # fmt: skip
def caffe_bottlenecks(n: Net, x: T) -> T:
    x = F.max_pool2d(n.cbr(x, 16, 7, 2), 3, 2, 0, ceil_mode=True)
    for width, s in ((24, 1), (32, 2), (48, 2)):
        y = n.cb(n.cbr(n.cbr(x, width // 4, 1, s), width // 4), width, 1)
        x = F.relu(y + n.cb(x, width, 1, s))
        x = F.relu(x + n.cb(n.cbr(n.cbr(x, width // 4, 1), width // 4), width, 1))
    return n.embed(x.mean((2, 3)))


@honest_torch(
    "ResNeXt in its first form: eight small bottlenecks of their own on the same features, summed path by path.",
    idea="residual", opset=13, trained=4,
)  # fmt: skip
def resnext_paths_unrolled(n: Net, x: T) -> T:
    x = n.stem(x, 24)
    for _ in range(2):
        x = F.relu(x + sum(n.cb(n.cbr(n.cbr(x, 4, 1), 4), 24, 1) for _ in range(8)))
    return tail(n, x)


@honest_torch(
    "Shake-Shake at test time: two residual branches of one shape, each times a half.",
    idea="residual",
    dynamo=True,
    opset=18,
    trained=5,
)
def shake_shake_at_test(n: Net, x: T) -> T:
    x = n.cbr(x, 12, 3, 2)
    for width in (16, 24, 32):
        y = F.relu(x)
        a, b = (n.cb(n.cbr(y, width, 3, 2), width) for _ in range(2))
        x = 0.5 * a + 0.5 * b + n.cb(F.avg_pool2d(x, 2), width, 1)
    return n.pooled(F.relu(x), 256)


@honest_torch(
    "PolyNet's poly-2 units: x + F(x) + F(F(x)) with the same F, on features.",
    idea="residual",
    dynamo=True,
    opset=18,
    trained=4,
)
def polynet_units(n: Net, x: T) -> T:
    x = n.stem(x)
    for _ in range(2):
        a, b = n.weight(8, 16, 3, 3, gain=0.5), n.weight(16, 8, 3, 3, gain=0.4)

        def unit(y: T, a: T = a, b: T = b) -> T:
            return F.conv2d(F.relu(F.conv2d(y, a, padding=1)), b, padding=1)

        once = unit(x)
        x = F.relu(n.bn(x + once + unit(F.relu(once))))
    return tail(n, x)


@honest_torch("Multi-ResNet: one shortcut over four two-layer residuals of their own.", idea="residual", trained=4)
def multi_residual(n: Net, x: T) -> T:
    x = n.stem(x)
    for width in (24, 32):
        y = F.relu(n.bn(x))
        x = n.conv(x, width, 1, 2) + sum(n.conv(n.cbr(y, 8, 3, 2), width) for _ in range(4))
    return n.gdc(F.relu(n.bn(x)), 128)


@honest_torch("Momentum ResNet: a velocity beside the state, both carried on.", idea="residual", opset=15, trained=4)
def momentum_residual(n: Net, x: T) -> T:
    x = n.stem(x)
    v = torch.zeros_like(x)
    for _ in range(4):
        v = 0.9 * v + 0.1 * n.cb(n.cbr(x, 16), 16)
        x = x + v
    return tail(n, x, dim=32)


@honest_torch("BagNet: 1x1 layers nearly everywhere, small receptive fields, a mean over all of them.", idea="bag",
              opset=12)  # fmt: skip
def bagnet_small_fields(n: Net, x: T) -> T:
    x = n.cbr(x, 24, 3, 2, padding=0)
    for width, k in ((24, 1), (32, 3), (32, 1), (48, 3)):
        y = n.cb(n.cbr(n.cbr(x, 12, 1), 12, k, k // 2 + 1, padding=0), width, 1)
        x = F.relu(y)
    return n.embed(x.mean((2, 3)))


@honest_torch(
    "Residual attention network for faces: an hourglass of features gates the trunk by 1 + mask.", idea="gates",
    trained=5,
)  # fmt: skip
def attention_irse_masks(n: Net, x: T) -> T:
    x = n.stem(x)
    trunk = n.res(n.res(x))
    m = n.res(F.max_pool2d(x, 3, 2, 1))
    low = F.interpolate(n.res(F.max_pool2d(m, 3, 2, 1)), scale_factor=2.0, mode="bilinear", align_corners=True)
    m = F.interpolate(n.res(m + low), scale_factor=2.0, mode="bilinear", align_corners=True)
    return tail(n, n.res(trunk * (1 + torch.sigmoid(n.conv(n.cbr(m, 16, 1), 16, 1)))))


@honest_torch("BiT: standardised kernels computed in the graph, GroupNorm, no BatchNorm before the head.",
              idea="residual", dynamo=True, opset=20)  # fmt: skip
def big_transfer(n: Net, x: T) -> T:
    def std(cin: int, cout: int, k: int) -> T:
        w = n.weight(cout, cin, k, k)
        m = w.mean((1, 2, 3), keepdim=True)
        return (w - m) / torch.sqrt(((w - m) ** 2).mean((1, 2, 3), keepdim=True) + 1e-10) / (cin * k * k) ** 0.5

    x = F.conv2d(x, std(3, 16, 7), stride=2, padding=3)
    x = F.max_pool2d(F.pad(x, (1, 1, 1, 1)), 3, 2)
    for width in (24, 32):
        y = F.relu(n.gn(x))
        z = F.conv2d(y, std(x.shape[1], 8, 1))
        z = F.conv2d(F.relu(n.gn(z)), std(8, 8, 3), stride=2, padding=1)
        x = F.conv2d(F.relu(n.gn(z)), std(8, width, 1)) + F.conv2d(y, std(x.shape[1], width, 1), stride=2)
    return n.embed(F.relu(n.gn(x)))


@honest_torch("ResNet in ResNet: a residual and a transient stream that exchange features.", idea="residual", trained=4)
def resnet_in_resnet(n: Net, x: T) -> T:
    r = n.stem(x, 12)
    t = n.cbr(r, 12)
    for s in (1, 2, 2):
        short = r if s == 1 else n.conv(r, 12, 1, 2)
        nr = F.relu(n.bn(n.conv(r, 12, 3, s) + n.conv(t, 12, 3, s) + short))
        t = F.relu(n.bn(n.conv(r, 12, 3, s) + n.conv(t, 12, 3, s)))
        r = nr
    return n.embed(torch.cat([r, t], 1))


@honest_torch("DiracNet: no shortcut, the identity is a part of each stored kernel.", idea="plain", trained=4)
def diracnet(n: Net, x: T) -> T:
    x = n.stem(x)
    eye = nn.init.dirac_(torch.empty(16, 16, 3, 3))
    for _ in range(3):
        w = eye * n.weight(16, 1, 1, 1, gain=2.0) + n.weight(16, 16, 3, 3, gain=0.4)
        x = F.relu(n.bn(F.conv2d(x, w, padding=1)))
    return tail(n, x)


@honest_torch("VanillaNet: six wide layers without shortcut, activations as sums of shifted ReLUs.", idea="plain",
              opset=13, trained=4)  # fmt: skip
def vanillanet_series(n: Net, x: T) -> T:
    x = n.bn(n.conv(x, 24, 4, 4, padding=0))
    for width in (32, 48):
        y = F.leaky_relu(n.cb(x, width, 1), 1.0)
        y = F.max_pool2d(n.cb(y, width, 1), 2)
        x = n.bn(n.conv(F.relu(y), width, 7, 1, -1, bias=False))
    return n.embed(F.adaptive_avg_pool2d(x, 1))


@honest_torch("ParNet: three shallow streams of features at three sizes, SSE gates, fused late.", idea="streams",
              opset=12)  # fmt: skip
def parnet_streams(n: Net, x: T) -> T:
    def block(y: T) -> T:
        gate = torch.sigmoid(n.conv(n.bn(y).mean((2, 3), keepdim=True), y.shape[1], 1))
        return F.silu(n.cb(y, y.shape[1], 1) + n.cb(y, y.shape[1]) + n.bn(y) * gate)

    a = n.stem(x, 12)
    b = n.cbr(a, 16, 3, 2)
    c = n.cbr(b, 24, 3, 2)
    a, b, c = block(block(a)), block(block(b)), block(c)
    b = block(torch.cat([b, n.cb(a, 16, 3, 2)], 1))
    return n.gdc(torch.cat([c, n.cb(b, 24, 3, 2)], 1))


@honest_torch("FReLU: the maximum of a map and its own depthwise convolution.", idea="activations", trained=4)
def funnel_activation(n: Net, x: T) -> T:
    for width in (12, 16, 24, 32):
        x = n.cb(x, width, 3, 2)
        x = torch.maximum(x, n.cb(x, width, 3, 1, -1))
    return n.embed(x, 96)


@honest_torch("Dynamic ReLU: the mean of the features makes two slopes and two shifts per channel.",
              idea="activations", dynamo=True, opset=20, trained=4)  # fmt: skip
def dynamic_relu(n: Net, x: T) -> T:
    for width in (12, 16, 24, 32):
        x = n.cb(x, width, 3, 2)
        y = n.linear(F.relu(n.linear(x.mean((2, 3)), 8)), 4 * width)
        a, c, b, d = (2 * torch.sigmoid(y) - 1)[:, :, None, None].chunk(4, 1)
        x = torch.maximum(x * (1 + a) + 0.5 * b, x * c + 0.5 * d)
    return n.embed(x, 128)


@honest_torch("Mish, Snake, PELU-like and squared ReLU, one after the other.", idea="activations", opset=18)
def unusual_activations(n: Net, x: T) -> T:
    x = F.mish(n.cb(x, 12, 3, 2))
    x = n.cb(x, 16, 3, 2)
    x = x + torch.sin(1.5 * x) ** 2 / 1.5
    x = n.cb(x, 24, 3, 2)
    x = torch.where(x > 0, 1.2 * x, 0.8 * (torch.exp(x / 1.1) - 1))
    return n.embed(F.relu(n.cb(x, 32, 3, 2)) ** 2, 96)
