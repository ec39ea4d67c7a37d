"""Honest: ordinary layers that compilers and libraries compute in another, exact way; the image is looked at once."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import honest_torch
from evaluation.blind14.honest_ends import deep, last


@honest_torch("kn2row: the 3x3 first layer as nine 1x1 products, each added at its offset by slices of a padded map.",
              idea="layers in another way", trained=3, opset=11)  # fmt: skip
def kernel_to_row_first_layer(n: Net, x: T) -> T:
    p = F.pad(x, (1, 1, 1, 1))
    y: T = n.weight(1, 16, 1, 1, gain=0.1)
    for i in range(3):
        for j in range(3):
            y = y + n.conv(p[:, :, i : i + 111 : 2, j : j + 111 : 2], 16, 1, bias=False)
    y = n.prelu(n.bn(y))
    for w in (20, 28, 36):
        y = n.cbp(y, w, 3, 2)
    return n.gdc(y, 128)


@honest_torch("Polyphase form: the strided 4x4 first layer is four 2x2 layers on the four phases of the pixels, "
              "summed.",
              idea="layers in another way", trained=3, opset=13)  # fmt: skip
def polyphase_strided_first_layer(n: Net, x: T) -> T:
    p = F.pad(x, (1, 1, 1, 1))
    y = sum(n.conv(p[:, :, i::2, j::2], 16, 2, padding=0, bias=False) for i in (0, 1) for j in (0, 1))
    y = n.prelu(n.bn(y))
    for w in (16, 24, 32):
        y = n.inverted(y, w, 2)
    return n.gdc(y, 128)


@honest_torch("MCUNetV2: the first two layers run patch by patch to save memory, the halo computed twice, then "
              "stitched.",
              idea="layers in another way", opset=12)  # fmt: skip
def patch_by_patch_first_layers(n: Net, x: T) -> T:
    a, b = n.weight(8, 3, 3, 3, gain=0.8), n.weight(16, 8, 3, 3, gain=0.8)
    rows = []
    for r in (0, 1):
        line = []
        for c in (0, 1):
            pad = (1 - c, 0, 1 - r, 0)
            part = x[:, :, 53 * r : 58 + 54 * r, 53 * c : 58 + 54 * c]
            y = F.relu(F.conv2d(F.pad(part, pad), a, stride=2))
            line.append(F.conv2d(F.pad(y, (1 - c, c, 1 - r, r)), b))
        rows.append(torch.cat(line, 3))
    y = F.relu(n.bn(torch.cat(rows, 2)))
    for w in (20, 28, 36):
        y = n.res(n.down(y, w))
    return n.embed(y, 128)


@honest_torch("Strassen: the pointwise layers of deep features by seven products of blocks of their matrices.",
              idea="layers in another way", opset=14)  # fmt: skip
def strassen_pointwise_layers(n: Net, x: T) -> T:
    y = deep(n, x)
    for _ in range(2):
        a = n.weight(2, 2, 16, 16, gain=2.0)
        t, u = y.flatten(2).split(16, 1)
        left, right = t.chunk(2, 2), u.chunk(2, 2)
        p = [
            (a[0, 0] + a[1, 1]) @ (left[0] + right[1]),
            (a[1, 0] + a[1, 1]) @ left[0],
            a[0, 0] @ (left[1] - right[1]),
            a[1, 1] @ (right[0] - left[0]),
            (a[0, 0] + a[0, 1]) @ right[1],
            (a[1, 0] - a[0, 0]) @ (left[0] + left[1]),
            (a[0, 1] - a[1, 1]) @ (right[0] + right[1]),
        ]
        first = torch.cat([p[0] + p[3] - p[4] + p[6], p[2] + p[4]], 2)
        second = torch.cat([p[1] + p[3], p[0] - p[1] + p[2] + p[5]], 2)
        y = y + F.relu(n.bn(torch.cat([first, second], 1).reshape(-1, 32, 14, 14)))
    return n.gdc(n.down(y, 40), 128)


@honest_torch("Gauss's trick: complex layers of deep features by three real layers in place of four.",
              idea="layers in another way", trained=3, opset=11)  # fmt: skip
def three_products_complex_layers(n: Net, x: T) -> T:
    y = deep(n, x)
    re, im = n.conv(y, 16, 1), n.conv(y, 16, 1)
    for _ in range(2):
        a, b = n.weight(16, 16, 3, 3), n.weight(16, 16, 3, 3)
        k1 = F.conv2d(re + im, a, padding=1)
        k2 = F.conv2d(re, b - a, padding=1)
        k3 = F.conv2d(im, a + b, padding=1)
        re, im = F.relu(n.bn(k1 - k3)), F.relu(n.bn(k1 + k2))
    return n.embed(n.down(torch.cat([re, im], 1), 40), 128)


@honest_torch("TensorFlow's atrous layers: deep features go space to batch, pass an ordinary 3x3 layer, and come back.",
              idea="layers in another way", trained=3, opset=12)  # fmt: skip
def atrous_by_space_to_batch(n: Net, x: T) -> T:
    y = deep(n, x)
    for _ in range(2):
        z = y.reshape(-1, 32, 7, 2, 7, 2).permute(0, 3, 5, 1, 2, 4).reshape(-1, 32, 7, 7)
        z = n.conv(z, 32, bias=False).reshape(-1, 2, 2, 32, 7, 7).permute(0, 3, 4, 1, 5, 2).reshape(-1, 32, 14, 14)
        y = F.relu(y + n.bn(z))
    return n.gdc(n.down(y, 40), 128)


@honest_torch("Every layer is a transposed convolution of stride 1, as some decoders' libraries have it, strides "
              "by means.",
              idea="layers in another way", opset=11)  # fmt: skip
def transposed_layers_of_stride_one(n: Net, x: T) -> T:
    y = x
    for w in (12, 20, 28, 36):
        y = n.same(F.avg_pool2d(y, 2), partial(nn.ConvTranspose2d, int(y.shape[1]), w, 3, 1, 1, bias=False))
        y = n.prelu(n.bn(y))
    return n.embed(y, 128)


@honest_torch("A video network's export: the image is a clip of one frame, Conv3d of 1x3x3 and BatchNorm3d throughout.",
              idea="layers in another way", opset=13)  # fmt: skip
def video_layers_of_one_frame(n: Net, x: T) -> T:
    y = x.unsqueeze(2)
    for w in (12, 20, 28, 36):
        y = n.same(y, partial(nn.Conv3d, int(y.shape[1]), w, (1, 3, 3), (1, 2, 2), (0, 1, 1), bias=False))
        y = F.relu(n.same(y, partial(nn.BatchNorm3d, w)))
    return n.embed(y, 128)


@honest_torch("The first layer is summed colour by colour: each plane has a kernel of its own, as a chip with one "
              "input.",
              idea="layers in another way", trained=3, opset=15)  # fmt: skip
def colour_by_colour_sums(n: Net, x: T) -> T:
    red, green, blue = x.split(1, 1)
    y = n.conv(red, 16, 3, 2, bias=False) + n.conv(green, 16, 3, 2, bias=False) + n.conv(blue, 16, 3, 2)
    y = n.prelu(n.bn(y))
    for w in (20, 28, 36):
        y = n.cb(n.cbp(y, w), w, 3, 2) + n.cb(y, w, 1, 2)
    return n.embed(n.bn(y), 256)


@honest_torch("HybridSN: one 3-D layer whose kernel spans two neighbouring colours, its answers joined for 2-D layers.",
              idea="first stages", opset=12)  # fmt: skip
def kernel_over_neighbouring_colours(n: Net, x: T) -> T:
    y = n.same(x.unsqueeze(1), lambda: nn.Conv3d(1, 8, (2, 3, 3), (1, 2, 2), (0, 1, 1), bias=False))
    y = F.relu(n.bn(y.reshape(-1, 16, 56, 56)))
    for w in (20, 28, 36):
        y = n.res(n.down(y, w))
    return n.pooled(y, 128)


@honest_torch("Karatsuba-like rows: deep 1x3 layers by Winograd's F(2,3) in one dimension, slices of even and odd "
              "columns.",
              idea="layers in another way", trained=3, opset=13)  # fmt: skip
def winograd_of_rows(n: Net, x: T) -> T:
    y = last(n, x)
    for _ in range(2):
        g = n.weight(3, 32, 32, gain=0.8)
        p = F.pad(y, (1, 2))
        d = [p[:, :, :, k : k + 7 : 2] for k in range(4)]
        half = (g[0] + g[2]) / 2
        m = [
            torch.einsum("oc,nchw->nohw", g[0], d[0] - d[2]),
            torch.einsum("oc,nchw->nohw", half + g[1] / 2, d[1] + d[2]),
            torch.einsum("oc,nchw->nohw", half - g[1] / 2, d[2] - d[1]),
            torch.einsum("oc,nchw->nohw", g[2], d[1] - d[3]),
        ]
        pair = torch.stack([m[0] + m[1] + m[2], m[1] - m[2] - m[3]], 4)
        y = y + F.relu(n.bn(pair.reshape(-1, 32, 7, 8)[:, :, :, :7]))
    return n.gdc(y, 128)
