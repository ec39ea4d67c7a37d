"""Honest: one look at the image through a restoring or brightening front trained with the rest, then a face network."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import honest_torch


def face(n: Net, x: T, dim: int = 128) -> T:
    """Write a small iResNet."""
    x = n.cbp(x, 12, 3, 2)
    for w in (16, 24, 32):
        x = n.cb(n.cbp(n.bn(x), w), w, 3, 2) + n.cb(x, w, 1, 2)
    return n.embed(n.bn(x), dim)


def mobile(n: Net, x: T, dim: int = 128) -> T:
    """Write a small MobileFaceNet."""
    x = n.cbp(x, 16, 3, 2)
    for w in (16, 24, 32):
        x = n.inverted(x, w, 2)
    return n.gdc(x, dim)


@honest_torch("HINet's block in front: half of the channels instance-normed, a residual taken off the image.",
              idea="restoring fronts", trained=3, opset=12)  # fmt: skip
def half_instance_norm_front(n: Net, x: T) -> T:
    y = n.conv(x, 8)
    a, b = n.conv(y, 8).chunk(2, 1)
    mean = a.mean((2, 3), keepdim=True)
    a = (a - mean) / ((a - mean).pow(2).mean((2, 3), keepdim=True) + 1e-5).sqrt()
    z = F.leaky_relu(n.conv(F.leaky_relu(torch.cat([a, b], 1), 0.2), 8), 0.2)
    return face(n, x + 0.3 * n.conv(y + z, 3))


@honest_torch("Restormer in front: transposed attention between channels and a gated depthwise feed-forward, residual.",
              idea="restoring fronts", opset=14)  # fmt: skip
def restormer_front(n: Net, x: T) -> T:
    y = n.conv(x, 8)
    q, k, v = n.conv(n.conv(n.ln2d(y), 24, 1), 24, 3, 1, 24).flatten(2).chunk(3, 1)
    a = (F.normalize(q, dim=2) @ F.normalize(k, dim=2).transpose(1, 2) * (1 + n.weight(1))).softmax(-1)
    y = y + n.conv((a @ v).reshape(-1, 8, 112, 112), 8, 1)
    g, h = n.conv(n.conv(n.ln2d(y), 24, 1), 24, 3, 1, 24).chunk(2, 1)
    y = y + n.conv(F.gelu(g) * h, 8, 1)
    return mobile(n, x + 0.3 * n.conv(y, 3))


@honest_torch("MPRNet's supervised attention: the front's own restored image gates its features, these go on.",
              idea="restoring fronts", trained=3, opset=13)  # fmt: skip
def supervised_attention_front(n: Net, x: T) -> T:
    y = F.relu(n.conv(x, 8))
    y = y + n.conv(F.relu(n.conv(y, 8)), 8)
    restored = x + n.conv(y, 3)
    y = y + n.conv(y, 8, 1) * torch.sigmoid(n.conv(restored, 8, 1))
    return face(n, y)


@honest_torch("PAN in front: pixel attention of 1x1 layers within self-calibrated units, added to the image.",
              idea="restoring fronts", opset=15)  # fmt: skip
def pixel_attention_front(n: Net, x: T) -> T:
    y = n.conv(x, 8)
    for _ in range(2):
        a, b = F.leaky_relu(n.conv(y, 4, 1), 0.2), F.leaky_relu(n.conv(y, 4, 1), 0.2)
        b = n.conv(n.conv(b, 4) * torch.sigmoid(n.conv(b, 4, 1)), 4)
        y = y + n.conv(torch.cat([n.conv(a, 4), b], 1), 8, 1)
    return face(n, x + 0.3 * n.conv(y, 3))


@honest_torch("ECBSR's edge-oriented block before merging: a plain layer, stored Sobel and Laplace branches, summed.",
              idea="restoring fronts", opset=12)  # fmt: skip
def edge_oriented_blocks_front(n: Net, x: T) -> T:
    sx = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]]) / 4
    lap = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]) / 2
    y = x
    for _ in range(2):
        made = n.conv(y, 8)
        for mask in (sx, sx.T, lap):
            z = n.conv(y, 8, 1)
            made = made + F.conv2d(z, mask.repeat(8, 1, 1, 1), padding=1, groups=8) * (1 + n.weight(1, 8, 1, 1))
        y = n.prelu(made)
    return mobile(n, x + 0.3 * n.conv(y, 3))


@honest_torch("EnlightenGAN: one less the luminance as an attention map over the residual of a small U-Net.",
              idea="brightening fronts", trained=3, opset=11)  # fmt: skip
def darkness_attended_unet_front(n: Net, x: T) -> T:
    dark = 1 - (x.mean(1, keepdim=True) * 0.5 + 0.5)
    a = F.leaky_relu(n.conv(torch.cat([x, dark], 1), 6), 0.2)
    b = F.leaky_relu(n.conv(a, 12, 3, 2), 0.2)
    b = F.interpolate(b * F.max_pool2d(dark, 2), scale_factor=2.0, mode="bilinear")
    y = n.conv(torch.cat([a * dark, b], 1), 3)
    return face(n, x + dark * torch.tanh(y))


@honest_torch("MBLLEN: features of three depths, each brought to an image by a small enhancement branch, fused by 1x1.",
              idea="brightening fronts", opset=13)  # fmt: skip
def multi_branch_enhancement_front(n: Net, x: T) -> T:
    y, made = x, []
    for _ in range(3):
        y = F.relu(n.conv(y, 6))
        z = F.relu(n.conv(y, 8, 5, 2))
        made.append(n.conv(n.deconv(z, 6), 3))
    return mobile(n, n.conv(torch.cat([x, *made], 1), 3, 1))


@honest_torch("LPTN: the low band of a Laplacian pyramid is adjusted by layers, the high band by a mask made of it.",
              idea="brightening fronts", trained=3, opset=14)  # fmt: skip
def pyramid_translation_front(n: Net, x: T) -> T:
    low = F.avg_pool2d(x, 4)
    high = x - F.interpolate(low, scale_factor=4.0, mode="bilinear")
    new = low + n.conv(F.leaky_relu(n.conv(low, 12), 0.2), 3)
    mask = 1 + n.conv(F.leaky_relu(n.conv(torch.cat([low, new], 1), 8), 0.2), 3)
    wide = F.interpolate(torch.cat([new, mask], 1), scale_factor=4.0, mode="bilinear")
    return face(n, wide[:, :3] + high * wide[:, 3:])


@honest_torch("GCANet: smoothed dilated residual units at half size, three depths fused by predicted weights.",
              idea="restoring fronts", opset=16)  # fmt: skip
def gated_context_dehaze_front(n: Net, x: T) -> T:
    y, kept = F.relu(n.conv(n.conv(x, 8), 12, 3, 2)), []
    for d in (1, 2, 4):
        smooth = F.conv2d(y, torch.full((12, 1, 3, 3), 1 / 9), padding=1, groups=12)
        y = F.relu(y + n.conv(smooth, 12, 3, dilation=d))
        kept.append(y)
    a, b, c = n.conv(torch.cat(kept, 1), 3, 1).chunk(3, 1)
    y = a * kept[0] + b * kept[1] + c * kept[2]
    return mobile(n, x + 0.3 * n.conv(F.relu(n.deconv(y, 8)), 3, 1))


@honest_torch("DerainNet: a low-pass leaves the base, three layers work on the detail alone, both are added again.",
              idea="restoring fronts", trained=3, opset=12)  # fmt: skip
def detail_layer_derain_front(n: Net, x: T) -> T:
    base = F.avg_pool2d(x, 9, 1, 4, count_include_pad=False)
    detail = x - base
    y = n.conv(torch.tanh(n.conv(torch.tanh(n.conv(detail, 8, 5)), 8, 1)), 3)
    return face(n, base + y)


@honest_torch("MemNet: a memory block of recursive units whose states pass a gate of 1x1, at half size, as residual.",
              idea="restoring fronts", opset=11)  # fmt: skip
def memory_block_front(n: Net, x: T) -> T:
    y = first = n.conv(F.relu(n.bn(n.conv(x, 8))), 12, 3, 2)
    states = []
    a, b = n.weight(12, 12, 3, 3, gain=0.3), n.weight(12, 12, 3, 3, gain=0.3)
    for _ in range(3):
        z = F.conv2d(F.relu(y), a, padding=1)
        y = y + F.conv2d(F.relu(z), b, padding=1)
        states.append(y)
    y = n.conv(F.relu(torch.cat([first, *states], 1)), 12, 1)
    return mobile(n, x + 0.3 * n.conv(n.deconv(F.relu(y), 8), 3))


@honest_torch("CARN: cascading residual units, every unit reads all states before it through 1x1 layers.",
              idea="restoring fronts", trained=3, opset=13)  # fmt: skip
def cascading_residual_front(n: Net, x: T) -> T:
    y = n.conv(x, 6)
    kept = [y]
    for _ in range(2):
        z = F.relu(y + n.conv(F.relu(n.conv(y, 6)), 6))
        kept.append(z)
        y = n.conv(torch.cat(kept, 1), 6, 1)
    return face(n, x + 0.3 * n.conv(y, 3), 256)
