"""Honest: convolutional networks of papers, one look at one image, with a face network's end."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, tokens
from evaluation.blind4.register import honest_torch
from evaluation.blind14.honest_ends import deep, last
from evaluation.blind16.honest_parts import ir, separable


@honest_torch("StripNet of Strip R-CNN: a square depthwise layer, then a wide strip and a tall strip in a row weigh "
              "the map.",
              idea="convolution", opset=11)  # fmt: skip
def strips_in_a_row_weigh_the_map(n: Net, x: T) -> T:
    y = n.stem(x, 20)
    for w in (28, 36):
        y = n.cb(y, w, 3, 2)
        z = F.gelu(n.conv(n.bn(y), w, 1))
        gate = n.conv(n.conv(n.conv(z, w, 5, 1, -1), w, (1, 9), 1, -1), w, (9, 1), 1, -1)
        y = y + n.conv(z * n.conv(gate, w, 1), w, 1)
        y = y + n.conv(F.gelu(n.conv(n.conv(n.bn(y), 2 * w, 1), 2 * w, 3, 1, -1)), w, 1)
    return n.gdc(y, 128)


@honest_torch("Pinwheel convolution in the stem's second layer: four strips, each padded towards one side, joined by "
              "a 2x2 layer.",
              idea="convolution", opset=11)  # fmt: skip
def pinwheel_of_four_padded_strips(n: Net, x: T) -> T:
    y = n.cbr(n.cbr(x, 12, 3, 2), 16, 3, 2)
    for w in (24, 32):
        parts = []
        for pad, k in (((3, 0, 1, 0), (1, 3)), ((0, 3, 0, 1), (1, 3)), ((0, 1, 3, 0), (3, 1)), ((1, 0, 0, 3), (3, 1))):
            z = n.conv(F.pad(y, pad), w // 4, k, 2, padding=0, bias=False)
            side = int(y.shape[2]) // 2
            parts.append(F.silu(n.bn(z[:, :, :side, :side])))
        y = n.res(F.silu(n.cb(torch.cat(parts, 1), w, 1)))
    return n.gdc(y, 128)


@honest_torch("LEGNet: a fixed Laplacian-of-Gaussian layer beside the stem's features, learned Gaussian layers with "
              "gates later.",
              idea="convolution", opset=13)  # fmt: skip
def edges_then_gaussian_layers(n: Net, x: T) -> T:
    y = n.cbr(x, 16, 3, 2)
    line = torch.tensor([0.0, 0.4, 0.7, 0.4, 0.0]).reshape(5, 1)
    log = line + line.T - 2.0 * torch.outer(line[:, 0], line[:, 0])
    kernel = (log - log.mean()).reshape(1, 1, 5, 5).repeat(16, 1, 1, 1)
    y = F.relu(y + n.bn(F.conv2d(y, kernel, padding=2, groups=16)))
    for w in (24, 32, 40):
        y = n.cbr(y, w, 3, 2)
        z = F.relu(n.cb(n.conv(y, w, 5, 1, -1), w, 1))
        y = y + n.cb(n.se(z), w, 1)
    return n.gdc(y, 128)


@honest_torch("UniConvNet: a receptive field aggregator, growing kernels of 7 and 9 over growing shares of channels, "
              "amplifying the rest.",
              idea="convolution", trained=3, opset=12)  # fmt: skip
def growing_kernels_amplify_the_rest(n: Net, x: T) -> T:
    y = deep(n, x, 24)
    for _ in range(2):
        z = n.ln2d(y)
        a, b, c = z.chunk(3, 1)
        a = n.conv(a, 8, 7, 1, -1) * F.gelu(n.conv(a, 8, 1)) + n.conv(a, 8, 3, 1, -1)
        ab = torch.cat([a, b], 1)
        ab = n.conv(ab, 16, 9, 1, -1) * F.gelu(n.conv(ab, 16, 1)) + n.conv(ab, 16, 3, 1, -1)
        y = y + n.conv(torch.cat([ab, c], 1), 24, 1)
        y = y + n.conv(F.gelu(n.conv(n.ln2d(y), 72, 1)), 24, 1)
    return n.gdc(n.down(y, 36), 128)


@honest_torch("FalconNet: factorised pointwise layers, a wide and a narrow group one, about a re-parameterised "
              "depthwise operator.",
              idea="convolution", opset=11)  # fmt: skip
def factorised_pointwise_falcon_units(n: Net, x: T) -> T:
    y = n.cbr(n.cbr(x, 16, 3, 2), 24, 3, 2)
    for w in (32, 40):
        y = n.cb(n.cb(y, w, 3, 2, 8), w, 1)
        z = n.cb(y, w, 3, 1, -1) + n.cb(y, w, (1, 3), 1, -1) + n.bn(y)
        z = F.relu(n.cb(n.conv(z, w // 2, 1, bias=False), 2 * w, 1, 1, 4))
        y = y + n.cb(n.conv(z, w // 2, 1, 1, 4, bias=False), w, 1)
    return n.gdc(y, 128)


@honest_torch("WaveCNet: strides keep the low band of a stored Daubechies filter of features and drop the rest, so "
              "that noise is damped.",
              idea="frequency", trained=3, opset=11)  # fmt: skip
def strides_keep_the_low_wavelet_band(n: Net, x: T) -> T:
    line = torch.tensor([-0.0106, 0.0329, 0.0308, -0.187, -0.028, 0.6309, 0.7148, 0.2304]) / 1.414
    y = n.cbp(x, 16, 3, 2)
    for w in (24, 32, 40):
        c = int(y.shape[1])
        y = n.cbp(n.bn(y), c)
        y = F.conv2d(y, line.reshape(1, 1, 1, 8).repeat(c, 1, 1, 1), None, (1, 2), (0, 3), groups=c)
        y = F.conv2d(y, line.reshape(1, 1, 8, 1).repeat(c, 1, 1, 1), None, (2, 1), (3, 0), groups=c)
        y = ir(n, n.cb(y, w, 1), w)
    return n.embed(n.bn(y), 256)


@honest_torch("DeepRFT's residual Fourier unit: beside a residual branch, deep features in frequencies by matrices, "
              "two 1x1 layers, and back.",
              idea="frequency", trained=3, opset=13)  # fmt: skip
def fourier_branch_in_residual_units(n: Net, x: T) -> T:
    k = torch.arange(14).float()
    turn = 6.2831853 / 14 * torch.outer(k, k)
    c, s = turn.cos() / 14**0.5, turn.sin() / 14**0.5
    y = deep(n, x, 24)
    for _ in range(2):
        even, odd = y @ c, y @ s
        real, imag = c @ even - s @ odd, -(s @ even + c @ odd)
        z = n.conv(F.relu(n.conv(torch.cat([real, imag], 1), 48, 1)), 48, 1)
        real, imag = z[:, :24], z[:, 24:]
        even, odd = real @ c - imag @ s, real @ s + imag @ c
        back = c @ even - s @ odd
        y = y + n.cb(n.cbr(y, 24), 24) + n.bn(back)
    return n.gdc(n.down(F.relu(y), 36), 128)


@honest_torch("X-MoE: tokens of the deep map go to experts by cosines on a narrow sphere, with a learned temperature, "
              "the best one counts.",
              idea="dynamic", trained=3, opset=11)  # fmt: skip
def experts_by_cosine_on_narrow_sphere(n: Net, x: T) -> T:
    t = tokens(last(n, x))
    for _ in range(2):
        z = n.ln(t)
        score = F.normalize(n.linear(z, 8), dim=2) @ F.normalize(n.weight(8, 4), dim=0)
        share = (score * (5 + n.weight(1))).softmax(2)
        best = (share >= share.amax(2, keepdim=True)).float() * share
        made = torch.stack([n.ff(z) for _ in range(4)], 3)
        t = t + (made * best.unsqueeze(2)).sum(3)
        t = t + n.attention(n.ln(t))
    return n.embed(t.mean(1), 128)


@honest_torch("DyNet: outputs of several stored layers of one deep map are weighed by coefficients of the pooled "
              "features, one set for each output group.",
              idea="dynamic", opset=12)  # fmt: skip
def coefficients_for_output_groups(n: Net, x: T) -> T:
    y = deep(n, x, 32)
    for _ in range(2):
        share = torch.sigmoid(n.linear(y.mean((2, 3)), 12)).reshape(-1, 3, 4, 1, 1, 1)
        made = torch.stack([n.conv(y, 32, 3, 1, 4, bias=False).reshape(-1, 4, 8, 14, 14) for _ in range(3)], 1)
        y = y + F.relu(n.cb((made * share).sum(1).reshape(-1, 32, 14, 14), 32, 1))
    return n.gdc(n.down(y, 40), 128)


@honest_torch("ParCNetV2: depthwise rows and columns as long as the deep map twice over, one half of the channels "
              "gates the other.",
              idea="convolution", opset=11)  # fmt: skip
def oversized_rows_and_columns_gate(n: Net, x: T) -> T:
    y = deep(n, x, 24)
    for _ in range(2):
        a, b = n.conv(n.bn(y), 48, 1).chunk(2, 1)
        a = n.conv(n.conv(a, 24, (27, 1), 1, -1), 24, (1, 27), 1, -1)
        b = n.conv(F.gelu(b), 24, 5, 1, -1)
        y = y + n.cb(a * b, 24, 1)
        y = y + n.cb(F.gelu(n.cb(y, 48, 1)), 24, 1)
    return n.gdc(n.down(y, 36), 128)


@honest_torch("Quadratic neurons as in QuadraNet: a product of two depthwise layers and a third added, in a pointwise "
              "shell.",
              idea="convolution", opset=14)  # fmt: skip
def quadratic_neurons_in_a_shell(n: Net, x: T) -> T:
    y = n.cb(n.stem(x, 20), 24, 2, 2, padding=0)
    for w in (24, 32):
        y = y if w == int(y.shape[1]) else n.cb(y, w, 2, 2, padding=0)
        z = n.conv(n.bn(y), 2 * w, 1)
        z = n.conv(z, 2 * w, 5, 1, -1) * n.conv(z, 2 * w, 5, 1, -1) + n.conv(z, 2 * w, 3, 1, -1)
        y = y + n.cb(z, w, 1)
        y = y + n.cb(F.gelu(n.cb(y, 2 * w, 1)), w, 1)
    return n.gdc(y, 128)


@honest_torch("ResNet-RS for faces: a deep stem, gates of a quarter, means in the shortcuts and stochastic depth "
              "scaled away.",
              idea="convolution", opset=18, dynamo=True)  # fmt: skip
def rescaled_residual_network(n: Net, x: T) -> T:
    y = n.cbr(n.cbr(n.cbr(x, 8, 3, 2), 8), 16, 3, 2)
    for w in (24, 32):
        z = n.se(n.cb(n.cbr(n.cbr(y, w // 2, 1), w // 2, 3, 2), w, 1))
        y = F.relu(z + n.cb(F.avg_pool2d(y, 2), w, 1))
        z = n.se(n.cb(n.cbr(n.cbr(y, w // 2, 1), w // 2), w, 1))
        y = F.relu(y + z)
    return n.embed(y, 256)


@honest_torch("Tiramisu in small: dense blocks down, transposed layers and dense blocks up, both ends pooled into an "
              "embedding.",
              idea="convolution", opset=12)  # fmt: skip
def dense_blocks_down_and_up(n: Net, x: T) -> T:
    def dense(y: T) -> T:
        for _ in range(3):
            y = torch.cat([y, n.conv(F.relu(n.bn(y)), 8, 3)], 1)
        return y

    a = dense(n.stem(x, 16))
    b = dense(F.max_pool2d(n.conv(F.relu(n.bn(a)), 24, 1), 2))
    c = dense(F.max_pool2d(n.conv(F.relu(n.bn(b)), 24, 1), 2))
    u = dense(torch.cat([n.deconv(c[:, 24:], 16), b], 1))
    return n.embed(torch.cat([c, F.avg_pool2d(separable(n, u, 24), 2)], 1), 128)
