"""Honest: attention gates, normalisations and activations of papers that the earlier sets do not hold."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import honest_torch


def gated(n: Net, x: T, gate: Callable[[T], T], dim: int = 128) -> T:
    """Build a residual network of faces whose units end with a gate."""
    x = n.cbp(x, 12, 3, 2)
    for w in (16, 24, 32):
        x = gate(n.cb(n.cbp(n.bn(x), w), w, 3, 2)) + n.cb(x, w, 1, 2)
    return n.gdc(x, dim)


def acted(n: Net, x: T, act: Callable[[T], T], dim: int = 128) -> T:
    """Build a residual network of one activation."""
    x = act(n.cb(x, 12, 3, 2))
    for w in (16, 24, 32):
        x = act(n.cb(act(n.cb(x, w, 3, 2)), w) + n.cb(x, w, 1, 2))
    return n.embed(x, dim)


@honest_torch("CPCA: channel attention from two pools, then spatial attention for each channel by strips summed.",
              idea="gates", opset=12)  # fmt: skip
def channel_prior_strip_attention(n: Net, x: T) -> T:
    def gate(y: T) -> T:
        c = int(y.shape[1])
        pools = (y.mean((2, 3), keepdim=True), y.amax((2, 3), keepdim=True))
        y = y * torch.sigmoid(sum(n.conv(F.relu(n.conv(p, c // 4, 1)), c, 1) for p in pools))
        z = n.conv(y, c, 5, 1, -1)
        z = z + sum(n.conv(n.conv(z, c, (1, k), 1, -1), c, (k, 1), 1, -1) for k in (7, 11))
        return n.conv(z, c, 1) * y

    return gated(n, x, gate)


@honest_torch("MCA: gates along channels, rows and columns from means and deviations mixed by two learned numbers.",
              idea="gates", trained=3, opset=13)  # fmt: skip
def multidimensional_collaboration(n: Net, x: T) -> T:
    def gate(y: T) -> T:
        made = []
        for axes in ((2, 3), (1, 3), (1, 2)):
            m = y.mean(axes, keepdim=True)
            d = ((y - m) ** 2).mean(axes, keepdim=True).add(1e-5).sqrt()
            z = (0.5 + n.weight(1, gain=0.2)) * m + (0.5 + n.weight(1, gain=0.2)) * d
            k = F.conv1d(z.flatten(1).unsqueeze(1), n.weight(1, 1, 3), None, 1, 1)
            made.append(y * torch.sigmoid(k.reshape(z.shape[0], *z.shape[1:])))
        return (made[0] + made[1] + made[2]) / 3

    return gated(n, x, gate)


@honest_torch("SCSA: four kernel sizes gate rows and columns, channels attend to channels of pooled cells.",
              idea="gates", opset=14)  # fmt: skip
def spatial_then_channel_synergy(n: Net, x: T) -> T:
    def strip(p: T, c: int, k: int) -> T:
        return n.same(p, lambda: torch.nn.Conv1d(c, c, k, 1, k // 2, groups=c))

    def gate(y: T) -> T:
        c = int(y.shape[1])
        for axis in (3, 2):
            parts = y.mean(axis).chunk(4, 1)
            z = torch.cat([strip(p, c // 4, k) for p, k in zip(parts, (3, 5, 7, 9), strict=True)], 1)
            y = y * torch.sigmoid(n.same(z, lambda: torch.nn.GroupNorm(4, c))).unsqueeze(axis)
        t = F.avg_pool2d(y, 7).flatten(2)
        s = (t @ t.transpose(1, 2) * int(t.shape[2]) ** -0.5).softmax(2) @ t
        return y * torch.sigmoid(s.mean(2))[:, :, None, None]

    return gated(n, x, gate)


@honest_torch("Tiled squeeze-and-excite: a channel gate for each strip of rows, spread by nearest size.",
              idea="gates", opset=11)  # fmt: skip
def tiled_squeeze_and_excite(n: Net, x: T) -> T:
    def gate(y: T) -> T:
        c, side = int(y.shape[1]), int(y.shape[2])
        z = F.avg_pool2d(y, (7, side), (7, side))
        z = torch.sigmoid(n.conv(F.relu(n.conv(z, c // 4, 1)), c, 1))
        return y * F.interpolate(z, size=(side, side), mode="nearest")

    return gated(n, x, gate)


@honest_torch("Spatial pyramid attention: pools of 1, 2 and 4 cells, flattened, through two layers to a channel gate.",
              idea="gates", trained=3, opset=12)  # fmt: skip
def spatial_pyramid_attention(n: Net, x: T) -> T:
    x = n.cbr(x, 12, 3, 2)
    for width in (20, 28):
        x = n.res(n.down(x, width))
        s = int(x.shape[2])
        pools = [F.avg_pool2d(x, s).flatten(1), F.avg_pool2d(x, s // 2).flatten(1), F.max_pool2d(x, s // 4).flatten(1)]
        z = torch.cat(pools, 1)
        x = x * torch.sigmoid(n.linear(F.relu(n.linear(z, 24)), width))[:, :, None, None]
    return n.gdc(n.down(x, 36), 128)


@honest_torch("Competitive squeeze: residual and identity flows are pooled, laid side by side and gated together.",
              idea="gates", opset=13)  # fmt: skip
def competitive_inner_imaging(n: Net, x: T) -> T:
    x = n.cbr(x, 12, 3, 2)
    for width in (16, 24, 32):
        x = n.down(x, width)
        y = n.cb(n.cbr(x, width), width)
        z = torch.stack([y.mean((2, 3)), x.mean((2, 3))], 1).unsqueeze(1)
        z = F.relu(n.bn(n.conv(z, 4, (2, 1), padding=0))).flatten(1)
        x = F.relu(x + y * torch.sigmoid(n.linear(F.relu(n.linear(z, width // 4)), width))[:, :, None, None])
    return n.gdc(x, 128)


@honest_torch("Aggregated excitation: four narrow layers in parallel between the pool and the channel gate (SaENet).",
              idea="gates", opset=11)  # fmt: skip
def squeeze_aggregated_excitation(n: Net, x: T) -> T:
    def gate(y: T) -> T:
        z = y.mean((2, 3))
        z = torch.cat([F.relu(n.linear(z, max(z.shape[1] // 8, 3))) for _ in range(4)], 1)
        return y * torch.sigmoid(n.linear(z, int(y.shape[1])))[:, :, None, None]

    return gated(n, x, gate, 256)


@honest_torch("RFANet's spatial attention: a strided layer, a wide maximum pool, layers, brought up, a gate.",
              idea="gates", opset=12)  # fmt: skip
def enhanced_spatial_attention(n: Net, x: T) -> T:
    x = n.cbr(n.cbr(x, 12, 3, 2), 24, 3, 2)
    for width in (28, 36):
        a = n.conv(x, 8, 1)
        z = F.max_pool2d(n.conv(a, 8, 3, 2, padding=0), 5, 2)
        z = n.conv(F.relu(n.conv(z, 8)), 8)
        z = F.interpolate(z, size=(int(x.shape[2]), int(x.shape[3])), mode="bilinear", align_corners=False)
        x = n.down(x * torch.sigmoid(n.conv(z + n.conv(a, 8, 1), int(x.shape[1]), 1)), width)
    return n.gdc(x, 128)


@honest_torch("MLCA: local cells and the whole map pooled, one 1-D layer for each over the channels, gates averaged.",
              idea="gates", trained=3, opset=13)  # fmt: skip
def mixed_local_channel_attention(n: Net, x: T) -> T:
    def gate(y: T) -> T:
        c, side = int(y.shape[1]), int(y.shape[2])
        cells = F.avg_pool2d(y, 7)
        m = side // 7
        z = F.conv1d(tokens_of(cells), n.weight(1, 1, 3), None, 1, 1)
        z = torch.sigmoid(z.reshape(-1, m, m, c).permute(0, 3, 1, 2))
        g = torch.sigmoid(F.conv1d(y.mean((2, 3)).unsqueeze(1), n.weight(1, 1, 3), None, 1, 1)).reshape(-1, c, 1, 1)
        return y * (0.5 * F.interpolate(z, size=(side, side), mode="nearest") + 0.5 * g)

    def tokens_of(z: T) -> T:
        return z.permute(0, 2, 3, 1).reshape(-1, 1, int(z.shape[1]))

    return gated(n, x, gate)


@honest_torch("KernelNorm: features of each 3x3 window are standardised together before the layer reads them.",
              idea="normalisations", opset=13)  # fmt: skip
def kernel_normalised_layers(n: Net, x: T) -> T:
    x = n.cbr(x, 12, 3, 2)
    for width in (16, 24, 32):
        m = F.avg_pool2d(x.mean(1, keepdim=True), 3, 1, 1)
        q = F.avg_pool2d((x * x).mean(1, keepdim=True), 3, 1, 1)
        x = F.relu(n.conv((x - m) / (q - m * m).clamp(min=0.0).add(1e-3).sqrt(), width, 3, 2))
    return n.embed(x, 128)


@honest_torch("Batch-instance norm: a stored gate for each channel mixes stored and own statistics of deep features.",
              idea="normalisations", trained=3, opset=12)  # fmt: skip
def batch_instance_norm_units(n: Net, x: T) -> T:
    x = n.cbp(x, 12, 3, 2)
    for width in (16, 24, 32):
        y = n.conv(x, width, 3, 2, bias=False)
        rho = torch.sigmoid(n.weight(1, width, 1, 1, gain=3.0))
        y = rho * n.bn(y) + (1 - rho) * F.instance_norm(y)
        x = n.prelu(y * (1 + n.weight(1, width, 1, 1)) + n.weight(1, width, 1, 1))
    return n.gdc(x, 128)


@honest_torch("Pixel norm of generators: each place's channels over their root mean square, scaled weights.",
              idea="normalisations", trained=3, opset=11)  # fmt: skip
def pixel_norm_equalised_rates(n: Net, x: T) -> T:
    for cin, cout in ((3, 16), (16, 24), (24, 32), (32, 40)):
        w = n.weight(cout, cin * 9, gain=float((cin * 9) ** 0.5)).reshape(cout, cin, 3, 3) * (2 / (cin * 9)) ** 0.5
        x = F.leaky_relu(F.conv2d(x, w, None, 2, 1), 0.2)
        x = x / (x * x).mean(1, keepdim=True).add(1e-6).sqrt()
    return n.embed(x, 128)


@honest_torch("SPADE of features: a normalised map is scaled and shifted place by place by layers of a coarser map.",
              idea="normalisations", opset=13)  # fmt: skip
def spatially_adaptive_of_features(n: Net, x: T) -> T:
    a = n.stem(x, 24)
    b = n.down(n.down(a, 28), 32)
    up = F.interpolate(b, size=(28, 28), mode="nearest")
    z = n.cbr(up, 12)
    y = F.relu(n.bn(a) * (1 + n.conv(z, 24)) + n.conv(z, 24))
    return n.gdc(n.down(n.down(y, 32), 40) + n.conv(b, 40, 1), 128)


@honest_torch("Growing cosine units, x cos x, behind norms of a plain residual network.", idea="activations", opset=17)
def growing_cosine_units(n: Net, x: T) -> T:
    return acted(n, x, lambda y: y * torch.cos(y))


@honest_torch("Adaptive piecewise linear units: a ReLU and three stored hinges for each channel.", idea="activations",
              trained=3, opset=11)  # fmt: skip
def adaptive_piecewise_hinges(n: Net, x: T) -> T:
    def act(y: T) -> T:
        c = int(y.shape[1])
        for b in (-1.0, 0.0, 1.0):
            y = F.relu(y) if b == -1.0 else y
            y = y + n.weight(1, c, 1, 1, gain=0.2) * F.relu(b - y)
        return y

    return acted(n, x, act)


@honest_torch("Parametric ELU: stored slopes and scales of each channel make exponentials below zero.",
              idea="activations", trained=4, opset=13)  # fmt: skip
def parametric_elu_units(n: Net, x: T) -> T:
    def act(y: T) -> T:
        c = int(y.shape[1])
        a, b = n.weight(1, c, 1, 1, gain=0.3) + 1, (n.weight(1, c, 1, 1, gain=0.3) + 1).abs() + 0.2
        return torch.where(y >= 0, a / b * y, a * ((y.clamp(max=0.0) / b).exp() - 1))

    return acted(n, x, act, 192)


@honest_torch("Smooth maximum units: max(x, 0.25 x) smoothed by an error function with a learned width.",
              idea="activations", opset=18)  # fmt: skip
def smooth_maximum_by_erf(n: Net, x: T) -> T:
    def act(y: T) -> T:
        return (1.25 * y + 0.75 * y * torch.erf((n.weight(1, gain=0.3) + 1) * 0.75 * y)) / 2

    return acted(n, x, act)


@honest_torch("Serf, x erf(softplus x), in even layers, and natural-logarithm ReLU in odd ones.", idea="activations",
              trained=3, opset=14)  # fmt: skip
def serf_and_logarithm_relu(n: Net, x: T) -> T:
    turn = [0]

    def act(y: T) -> T:
        turn[0] += 1
        return y * torch.erf(F.softplus(y)) if turn[0] % 2 else (1 + 0.8 * F.relu(y)).log()

    return acted(n, x, act)


@honest_torch("Gompertz-gated GoLU and expanded xSiLU gates with a learned range, behind 5x5 layers.",
              idea="activations", opset=15)  # fmt: skip
def gompertz_and_expanded_gates(n: Net, x: T) -> T:
    x = n.cb(x, 12, 5, 2)
    for width in (16, 24, 32):
        x = x * (-(-x).clamp(max=8.0).exp()).exp()
        y = n.cb(x, width, 5, 2)
        a = n.weight(1, gain=0.3)
        x = y * (torch.sigmoid(y) * (1 + 2 * a) - a)
    return n.embed(x, 128)
