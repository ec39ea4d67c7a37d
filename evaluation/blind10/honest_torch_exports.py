"""Honest: how PyTorch's two exporters leave networks: weights worked out in the graph, fixed batches, leftovers."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind4.register import honest_torch

#: Buffers that the layers keep: the identity of nine places, and kernels that leave 16 channels as they are.
NINE = torch.eye(9)
DIRAC = torch.nn.functional.pad(torch.eye(16).reshape(16, 16, 1, 1), (1, 1, 1, 1))


def kernel(n: Net, cout: int, cin: int, k: int = 3) -> T:
    """Draw a kernel with the usual spread."""
    return n.weight(cout, cin, k, k, gain=1.4 * (k / (cin * k * k)) ** 0.5)


@honest_torch("DO-Conv as trained: each kernel is the product of a depthwise and an ordinary stored matrix.",
              idea="weights in the graph", trained=3, opset=12, fold=False)  # fmt: skip
def do_conv_products_left(n: Net, x: T) -> T:
    for cin, cout in ((3, 12), (12, 16), (16, 24), (24, 32)):
        d = NINE + n.weight(cin, 9, 9, gain=0.2)
        w = kernel(n, cout, cin).reshape(cout, cin, 9).transpose(0, 1) @ d
        x = n.prelu(n.bn(F.conv2d(x, w.transpose(0, 1).reshape(cout, cin, 3, 3), None, 2, 1)))
    return n.embed(x, 128)


@honest_torch("Spectral norm left in: kernels over their largest stretch, by the stored vectors of the power rounds.",
              idea="weights in the graph", opset=11, fold=False)  # fmt: skip
def spectral_norm_left_in(n: Net, x: T) -> T:
    for cin, cout in ((3, 12), (12, 16), (16, 24), (24, 32)):
        w = kernel(n, cout, cin)
        flat = w.reshape(cout, cin * 9)
        u = n.weight(1, cout, gain=1.0)
        v = u @ flat
        sigma = ((v / (v.norm() + 1e-6)) @ flat.t()).norm()
        x = F.leaky_relu(n.bn(F.conv2d(x, w / (sigma + 1e-3), None, 2, 1)), 0.1)
    return n.gdc(x, 128)


@honest_torch("ACNet before merging: square, flat and upright kernels, padded and added in the graph.",
              idea="weights in the graph", opset=13, fold=False)  # fmt: skip
def asymmetric_kernels_added(n: Net, x: T) -> T:
    for cin, cout in ((3, 12), (12, 16), (16, 24), (24, 32)):
        flat, upright = n.weight(cout, cin, 1, 3, gain=0.3), n.weight(cout, cin, 3, 1, gain=0.15)
        row, column = torch.zeros(cout, cin, 1, 3), torch.zeros(cout, cin, 3, 1)
        w = kernel(n, cout, cin) + torch.cat([row, flat, row], 2) + torch.cat([column, upright, column], 3)
        x = F.relu(n.bn(F.conv2d(x, w, None, 2, 1)))
    return n.embed(x, 192)


@honest_torch("Dirac and centred weights: kernels less their means plus a stored share of the identity.",
              idea="weights in the graph", opset=12, fold=False)  # fmt: skip
def centred_kernels_with_identity(n: Net, x: T) -> T:
    x = n.cbr(x, 16, 3, 2)
    for _ in range(3):
        w = kernel(n, 16, 16)
        x = F.relu(n.bn(F.conv2d(x, w - w.mean((1, 2, 3), keepdim=True) + DIRAC * n.weight(16, 1, 1, 1), None, 2, 1)))
    return n.gdc(x, 128)


@honest_torch("PACT's clips left in after training for few bits: every activation is held in its own stored range.",
              idea="leftovers", trained=4, opset=11)  # fmt: skip
def pact_ranges_left_in(n: Net, x: T) -> T:
    def held(y: T) -> T:
        a = F.softplus(n.weight(1) + 3)
        return 0.5 * (y.abs() - (y - a).abs() + a)

    x = held(n.cb(x, 12, 3, 2))
    for width in (16, 24, 32):
        x = held(n.cb(held(n.cb(held(n.cb(x, 2 * width, 1)), 2 * width, 3, 2, -1)), width, 1))
    return n.gdc(x, 128)


@honest_torch("A MobileFaceNet exported for one image, nothing in it depends on the batch.", idea="fixed batch",
              trained=4, opset=11, batch=1)  # fmt: skip
def mobilefacenet_for_one_image(n: Net, x: T) -> T:
    x = n.cbp(n.cbp(x, 12, 3, 2), 12, 3, 1, -1)
    for width in (16, 24, 32):
        x = n.inverted(n.inverted(x, width, 2), width)
    return n.gdc(n.cbp(x, 64, 1), 128)


@honest_torch("An iResNet with gates, exported for batches of four by the older exporter.", idea="fixed batch",
              opset=12, batch=4)  # fmt: skip
def excited_iresnet_for_four(n: Net, x: T) -> T:
    x = n.cbp(x, 12)
    for width in (12, 16, 24, 32):
        x = n.se(n.cb(n.cbp(n.bn(x), width), width, 3, 2)) + n.cb(x, width, 1, 2)
    return n.embed(n.bn(x), 512)


@honest_torch("By torch.export: GhostNet units of cheap depthwise features, hard sigmoids, opset 18.",
              idea="torch.export", trained=3, opset=18, dynamo=True)  # fmt: skip
def dynamo_ghost_units(n: Net, x: T) -> T:
    x = F.hardswish(n.cb(x, 12, 3, 2))
    for width in (16, 24, 32):
        a = n.cbr(x, width, 1)
        y = n.cb(torch.cat([a, n.cbr(a, width, 3, 1, -1)], 1), 2 * width, 3, 2, -1)
        y = y * F.hardsigmoid(n.conv(F.relu(n.conv(y.mean((2, 3), keepdim=True), 8, 1)), 2 * width, 1))
        x = n.cb(y, width, 1)
    return n.gdc(x, 128)


@honest_torch("By torch.export: a Swin-like ViT whose windows are made by permutations, opset 20.",
              idea="torch.export", opset=20, dynamo=True)  # fmt: skip
def dynamo_windows_of_depth(n: Net, x: T) -> T:
    x = n.cb(n.stem(x, 16), 32, 3, 2)
    t = x.reshape(-1, 32, 2, 7, 2, 7).permute(0, 2, 4, 3, 5, 1).reshape(-1, 4, 49, 32)
    q, k, v = n.linear(n.ln(t), 96).chunk(3, 3)
    t = t + n.linear((q @ k.transpose(2, 3) * 32**-0.5).softmax(3) @ v, 32)
    t = t + n.ff(n.ln(t))
    t = n.linear(n.ln(t.reshape(-1, 196, 32).mean(1)), 128)
    return n.bn(t)


@honest_torch("By torch.export: pre-activated residual units with group norms, the last map flattened, opset 19.",
              idea="torch.export", trained=3, opset=19, dynamo=True)  # fmt: skip
def dynamo_group_norm_units(n: Net, x: T) -> T:
    x = n.conv(x, 12, 3, 2)
    for width in (16, 24, 32):
        y = F.silu(n.gn(x))
        x = n.conv(F.silu(n.gn(n.conv(y, width, 3, 2))), width) + n.conv(y, width, 1, 2)
    return n.embed(F.silu(n.gn(x)), 128)


@honest_torch("By torch.export: DenseNet's joins with PReLU and strided transitions, cells flattened, opset 18.",
              idea="torch.export", opset=18, dynamo=True)  # fmt: skip
def dynamo_dense_joins(n: Net, x: T) -> T:
    x = n.cbp(x, 16, 3, 2)
    for width in (24, 32, 40):
        for _ in range(2):
            x = torch.cat([x, n.conv(n.prelu(n.bn(x)), 8, bias=False)], 1)
        x = n.cbp(x, width, 2, 2, padding=0)
    return n.embed(x, 256)


@honest_torch("By torch.export: MobileViT's unfolding of deep features with an ordinary attention call, opset 18.",
              idea="torch.export", opset=18, dynamo=True)  # fmt: skip
def dynamo_scaled_attention_call(n: Net, x: T) -> T:
    x = n.inverted(n.inverted(n.cbp(x, 12, 3, 2), 20, 2), 32, 2)
    t = tokens(n.conv(n.cbr(x, 32), 24, 1))
    q, k, v = n.heads(n.ln(t), 2)
    y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(-1, 196, 24)
    t = t + n.linear(y, 24)
    t = t + n.ff(n.ln(t))
    return n.gdc(n.down(torch.cat([x, grid(t, 14, 14)], 1), 32), 128)
