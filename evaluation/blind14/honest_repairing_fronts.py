"""Honest: a front that repairs or relights the image where it stands, trained with the face network behind it."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, unwindow, window
from evaluation.blind4.register import honest_torch
from evaluation.blind14.honest_ends import mobile_face, residual_face, up


@honest_torch("RCAN: residual groups with channel attention and a long skip, at half size, put back by sub-pixels.",
              idea="repairing fronts", opset=12)  # fmt: skip
def channel_attended_groups_front(n: Net, x: T) -> T:
    y = first = n.conv(F.pixel_unshuffle(x, 2), 12)
    for _ in range(2):
        y = y + n.se(n.conv(F.relu(n.conv(y, 12)), 12))
    return mobile_face(n, x + 0.2 * F.pixel_shuffle(n.conv(y + first, 12), 2))


@honest_torch("BRDNet: two different chains read the image, one plain and one dilated, joined to one noise estimate.",
              idea="repairing fronts", opset=11)  # fmt: skip
def two_chain_denoiser_front(n: Net, x: T) -> T:
    a, b = F.relu(n.cb(x, 6)), F.relu(n.conv(x, 6, dilation=2))
    a, b = x - 0.3 * n.conv(a, 3), x - 0.3 * n.conv(b, 3)
    return residual_face(n, x - 0.5 * n.conv(torch.cat([a, b], 1), 3))


@honest_torch("SwinIR: the image in cells of 4, windows of 7 x 7 cells attend, put back by sub-pixels as a residual.",
              idea="repairing fronts", opset=15)  # fmt: skip
def window_attention_restorer_front(n: Net, x: T) -> T:
    y = n.conv(F.pixel_unshuffle(x, 4), 32, 1)
    y = y + n.conv(unwindow(n.block(window(y, 7)), 7, 28, 28), 32)
    return mobile_face(n, x + 0.2 * F.pixel_shuffle(n.conv(y, 48, 1), 4))


@honest_torch("DRRN: a recursive residual unit with shared weights, three rounds, each from the first features again.",
              idea="repairing fronts", trained=3, opset=11)  # fmt: skip
def recursive_residual_front(n: Net, x: T) -> T:
    y = first = F.relu(n.conv(x, 6))
    a, b = n.weight(6, 6, 3, 3, gain=0.5), n.weight(6, 6, 3, 3, gain=0.5)
    for _ in range(3):
        y = first + F.conv2d(F.relu(F.conv2d(F.relu(y), a, padding=1)), b, padding=1)
    return residual_face(n, x + 0.2 * n.conv(y, 3))


@honest_torch("Retinexformer: an estimated light lifts the image, its features guide attention between channels.",
              idea="relighting fronts", trained=3, opset=13)  # fmt: skip
def light_guided_attention_front(n: Net, x: T) -> T:
    mean = x.mean(1, keepdim=True)
    light = n.conv(n.conv(n.conv(torch.cat([x, mean], 1), 8, 1), 8, 5, 1, -1), 8, 1)
    lifted = x * (1 + 0.2 * torch.tanh(n.conv(light, 3, 1)))
    y = n.conv(lifted, 12, 4, 2, padding=1)
    q, k, v = n.conv(y, 36, 1).flatten(2).chunk(3, 1)
    a = (F.normalize(q, dim=2) @ F.normalize(k, dim=2).transpose(1, 2)).softmax(-1)
    y = y + n.conv((a @ (v * F.avg_pool2d(n.conv(light, 12, 1), 2).flatten(2))).reshape(-1, 12, 56, 56), 12, 1)
    return residual_face(n, lifted + 0.2 * n.conv(n.deconv(y, 6), 3))


@honest_torch("SepLUT: three curves of one colour by a soft table of nine levels, whose heights the image decides, "
              "a mix.",
              idea="relighting fronts", opset=12)  # fmt: skip
def separable_tables_front(n: Net, x: T) -> T:
    pooled = n.down(n.stem(F.avg_pool2d(x, 2), 12), 16).mean((2, 3))
    knots = torch.linspace(-1, 1, 9)
    heights = knots + 0.2 * torch.tanh(n.linear(pooled, 27)).reshape(-1, 3, 9)
    y = (x[:, :, :1] * 0) + 0.0
    for i in range(9):
        y = y + F.relu(1 - 4 * (x - knots[i]).abs()) * heights[:, :, i : i + 1].unsqueeze(3)
    return residual_face(n, y + 0.2 * n.conv(y, 3, 1))


@honest_torch("NILUT: an implicit colour table, a perceptron of each pixel's colours with a stored style code.",
              idea="relighting fronts", trained=3, opset=14)  # fmt: skip
def implicit_colour_table_front(n: Net, x: T) -> T:
    y = torch.tanh(n.conv(x, 16, 1) + n.weight(1, 16, 1, 1))
    y = torch.tanh(n.conv(y, 16, 1))
    return mobile_face(n, x + 0.3 * n.conv(y, 3, 1))


@honest_torch("CURL: curves by pieces over luminance and saturation scale both of each pixel; heights by a small net.",
              idea="relighting fronts", opset=13)  # fmt: skip
def curves_over_saturation_front(n: Net, x: T) -> T:
    pooled = n.down(n.stem(x, 12), 16).mean((2, 3))
    dials = torch.tanh(n.linear(pooled, 10)).reshape(-1, 10, 1, 1, 1) * 0.3
    light = x.mean(1, keepdim=True)
    spread = x.amax(1, keepdim=True) - x.amin(1, keepdim=True)
    gain, rich = 1 + dials[:, 0], 1 + dials[:, 5]
    for i in range(1, 5):
        gain = gain + dials[:, i] * F.relu(light + 1 - 0.5 * i).clamp(max=0.5)
        rich = rich + dials[:, 5 + i] * F.relu(spread - 0.4 * (i - 1)).clamp(max=0.4)
    return residual_face(n, light * gain + (x - light) * rich)


@honest_torch("SNR-aware enhancement: a map of signal over noise mixes a local branch and a far one, at half size.",
              idea="relighting fronts", trained=3, opset=12)  # fmt: skip
def signal_to_noise_mixed_front(n: Net, x: T) -> T:
    grey = x.mean(1, keepdim=True)
    smooth = F.avg_pool2d(grey, 5, 1, 2)
    ratio = F.avg_pool2d(smooth.abs() / ((grey - smooth).abs() + 0.05), 2)
    ratio = ratio / (ratio.amax((2, 3), keepdim=True) + 1e-4)
    y = F.leaky_relu(n.conv(x, 8, 3, 2), 0.1)
    near = y + n.conv(F.leaky_relu(n.conv(y, 8), 0.1), 8)
    far = y + n.conv(F.leaky_relu(n.conv(y, 8, 7, 1, -1, dilation=3), 0.1), 8, 1)
    return residual_face(n, x + 0.2 * n.conv(n.deconv(near * ratio + far * (1 - ratio), 6), 3))


@honest_torch("Fast deep guided filter: coefficients a and b of windows at quarter size, brought up, applied to "
              "pixels.",
              idea="repairing fronts", trained=3, opset=13)  # fmt: skip
def learned_guided_filter_front(n: Net, x: T) -> T:
    guide = x * 0.9 + 0.1 * n.conv(F.leaky_relu(n.conv(x, 6, 1), 0.2), 3, 1)
    low, out = F.avg_pool2d(guide, 4), n.conv(F.leaky_relu(n.conv(F.avg_pool2d(x, 4), 12), 0.2), 3)
    mean, wide = F.avg_pool2d(low, 3, 1, 1), F.avg_pool2d(out, 3, 1, 1)
    covariance = F.avg_pool2d(low * out, 3, 1, 1) - mean * wide
    spread = F.avg_pool2d(low * low, 3, 1, 1) - mean * mean
    a = covariance / (spread + 0.05)
    y = up(a, 4.0) * guide + up(wide - a * mean, 4.0)
    return residual_face(n, guide + 0.3 * y)
