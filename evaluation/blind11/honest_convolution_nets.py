"""Honest: convolutional networks of published papers that the earlier sets do not hold, each in small."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, shuffle
from evaluation.blind4.register import honest_torch


@honest_torch("LeNet-5: tanh, means with a learned gain, and the third layer's stored table of connections.",
              idea="convolutional nets", trained=4, opset=11)  # fmt: skip
def lenet_five_connection_table(n: Net, x: T) -> T:
    x = torch.tanh(n.cb(x, 6, 5, 2))
    x = torch.tanh(n.bn(F.avg_pool2d(x, 2)))
    table = (torch.arange(16)[:, None] * 7 + torch.arange(6)[None] * 3) % 5 < 3
    w = n.weight(16, 6, 5, 5, gain=0.4) * table.float()[:, :, None, None]
    x = torch.tanh(n.bn(F.conv2d(x, w, None, 1, 2)))
    x = torch.tanh(n.cb(F.avg_pool2d(x, 2), 24, 5, 2))
    return n.bn(n.linear(torch.tanh(n.linear(x.flatten(1), 120)), 84))


@honest_torch("MergeNet: two residual rows of one stem, the mean of both inputs is added to either (merge and run).",
              idea="convolutional nets", trained=3, opset=12)  # fmt: skip
def merge_and_run_rows(n: Net, x: T) -> T:
    x = n.cbr(x, 16, 3, 2)
    for width in (20, 28, 36):
        a, b = n.cbr(x, width, 3, 2), n.cbr(x, width, 1, 2)
        for _ in range(2):
            mean = (a + b) / 2
            a, b = mean + n.cb(n.cbr(a, width), width), mean + n.cb(n.cbr(b, width), width)
        x = F.relu(a + b)
    return n.gdc(x, 128)


@honest_torch("EffNet: depthwise rows, a pool along rows only, depthwise columns, a pointwise layer of 2x1 steps.",
              idea="convolutional nets", opset=11)  # fmt: skip
def effnet_split_strides(n: Net, x: T) -> T:
    x = n.cbp(x, 12, 3, 2)
    for width in (20, 28, 40):
        y = F.leaky_relu(n.cb(x, width // 2, 1), 0.1)
        y = F.leaky_relu(n.cb(y, width // 2, (1, 3), 1, -1), 0.1)
        y = F.max_pool2d(y, (1, 2))
        y = F.leaky_relu(n.cb(y, width // 2, (3, 1), 1, -1), 0.1)
        x = F.leaky_relu(n.cb(y, width, (2, 1), (2, 1), padding=0), 0.1)
    return n.embed(x, 128)


@honest_torch("FD-MobileNet: three strides at once bring the image to 7 x 7, all the depth is there.",
              idea="convolutional nets", trained=10, opset=13)  # fmt: skip
def fast_downsampling_mobilenet(n: Net, x: T) -> T:
    x = F.relu6(n.cb(x, 12, 3, 2))
    for width in (24, 32, 48):
        x = F.relu6(n.cb(F.relu6(n.cb(x, int(x.shape[1]), 3, 2, -1)), width, 1))
    for _ in range(2):
        x = F.relu6(n.cb(F.relu6(n.cb(x, 48, 3, 1, -1)), 48, 1))
    return n.embed(x, 256)


@honest_torch("SparseNet and LogDenseNet: each layer reads the layers 1, 2 and 4 before it, joined.",
              idea="convolutional nets", opset=12)  # fmt: skip
def sparsenet_log_distances(n: Net, x: T) -> T:
    x = n.cbr(n.cbr(x, 12, 3, 2), 16, 3, 2)
    for _ in range(2):
        made = [x]
        for i in range(1, 7):
            joined = torch.cat([made[i - d] for d in (1, 2, 4) if i - d >= 0], 1)
            made.append(n.conv(F.relu(n.bn(joined)), 10, 3, bias=False))
        x = n.cbr(torch.cat(made[-4:], 1), 28, 3, 2)
    return n.embed(x, 128)


@honest_torch("SCConv: norm scales part features in two that are crossed, then two kinds of layers weighed by softmax.",
              idea="convolutional nets", trained=3, opset=13)  # fmt: skip
def reconstructed_space_and_channels(n: Net, x: T) -> T:
    x = n.cbr(n.cbr(x, 16, 3, 2), 32, 3, 2)
    for _ in range(2):
        gamma = n.weight(1, 32, 1, 1).abs() + 0.05
        y = n.gn(x) * gamma
        keep = torch.sigmoid(y * (gamma / gamma.sum(1, keepdim=True)) * 8)
        strong = torch.where(keep > 0.5, torch.ones_like(keep), keep) * x
        weak = torch.where(keep > 0.5, torch.zeros_like(keep), keep) * x
        (a, b), (c, d) = strong.chunk(2, 1), weak.chunk(2, 1)
        y = torch.cat([a + d, b + c], 1)
        up, low = n.conv(y[:, :16], 8, 1), n.conv(y[:, 16:], 8, 1)
        up, low = n.conv(up, 32, 3, 1, 2) + n.conv(up, 32, 1), torch.cat([n.conv(low, 24, 1), low], 1)
        both = torch.cat([up, low], 1)
        both = F.softmax(both.mean((2, 3), keepdim=True), 1) * both
        p, q = both.chunk(2, 1)
        x = F.relu(n.bn(x + 20 * (p + q)))
    return n.gdc(n.down(n.down(x, 40), 48), 128)


@honest_torch("Tied block convolution: the groups of deep channels lie in the batch for one layer, one kernel for all.",
              idea="convolutional nets", opset=11)  # fmt: skip
def tied_block_groups(n: Net, x: T) -> T:
    x = n.cbr(n.cbr(n.cbr(x, 12, 3, 2), 24, 3, 2), 32, 3, 2)
    for _ in range(3):
        y = n.cbr(x, 32, 1)
        y = n.conv(y.reshape(-1, 8, 14, 14), 8, 3, bias=False).reshape(-1, 32, 14, 14)
        x = F.relu(x + n.cb(F.relu(n.bn(y)), 32, 1))
    return n.gdc(n.down(x, 40), 128)


@honest_torch("DCANet: the channel gate of one block also reads what the gate of the block before it decided.",
              idea="convolutional nets", trained=3, opset=12)  # fmt: skip
def connected_channel_gates(n: Net, x: T) -> T:
    x, before = n.cbp(x, 12, 3, 2), None
    for width in (16, 24, 32):
        y = n.cb(n.cbp(x, width), width, 3, 2)
        s = y.mean((2, 3))
        if before is not None:
            s = n.ln(s) + n.ln(n.linear(before, width))
        before = F.relu(n.linear(s, width))
        x = y * torch.sigmoid(n.linear(before, width))[:, :, None, None] + n.cb(x, width, 1, 2)
    return n.embed(n.bn(x), 256)


@honest_torch("ConvNet-AIG: each unit of depth is taken or left out by the larger of two logits of pooled features.",
              idea="convolutional nets", trained=3, opset=13)  # fmt: skip
def adaptive_units_taken_or_left(n: Net, x: T) -> T:
    x = n.stem(x, 24)
    for width in (32, 40):
        x = n.down(x, width)
        for _ in range(2):
            logits = n.linear(F.relu(n.linear(x.mean((2, 3)), 16)), 2)
            take = (logits[:, 1:] > logits[:, :1] - 0.5).float()[:, :, None, None]
            x = F.relu(x + take * n.cb(n.cbr(x, width), width))
    return n.embed(x, 128)


@honest_torch("SlimConv: a channel gate and the same gate in turned order weigh the features, halves are folded.",
              idea="convolutional nets", opset=12)  # fmt: skip
def slimconv_turned_gate(n: Net, x: T) -> T:
    x = n.stem(x, 32)
    for _ in range(2):
        w = torch.sigmoid(n.conv(F.relu(n.conv(x.mean((2, 3), keepdim=True), 8, 1)), 32, 1))
        (a, b), (c, d) = (x * w).chunk(2, 1), (x * torch.flip(w, (1,))).chunk(2, 1)
        top, low = n.cbr(a + b, 16), n.cbr(n.cbr(c + d, 8, 1), 16)
        x = F.relu(n.cb(torch.cat([top, low], 1), 32, 3, 2) + n.cb(x, 32, 1, 2))
    return n.gdc(x, 128)


@honest_torch("RegNetZ: inverted bottlenecks with groups of eight, gates behind the grouped layer, SiLU.",
              idea="convolutional nets", trained=3, opset=14)  # fmt: skip
def regnet_z_inverted_groups(n: Net, x: T) -> T:
    x = F.silu(n.cb(x, 16, 3, 2))
    for width in (24, 32, 48):
        for s in (2, 1):
            mid = 2 * width
            y = F.silu(n.cb(F.silu(n.cb(x, mid, 1)), mid, 3, s, mid // 8))
            y = n.cb(n.se(y), width, 1)
            x = y if s == 2 else x + y
    return n.pooled(F.silu(n.cb(x, 96, 1)), 256)


@honest_torch("ResNet-9 of the speed contest: CELU, pools of 2, whitening-like first layer, output times an eighth.",
              idea="convolutional nets", trained=5, opset=12)  # fmt: skip
def resnet_nine_celu(n: Net, x: T) -> T:
    x = F.celu(n.cb(n.cb(x, 27, 3, 2), 16, 1), 0.3)
    x = F.celu(n.bn(F.max_pool2d(n.conv(x, 24, 3, bias=False), 2)), 0.3)
    x = x + F.celu(n.cb(F.celu(n.cb(x, 24), 0.3), 24), 0.3)
    x = F.celu(n.bn(F.max_pool2d(n.conv(x, 32, 3, bias=False), 2)), 0.3)
    x = F.celu(n.bn(F.max_pool2d(n.conv(x, 48, 3, bias=False), 2)), 0.3)
    x = x + F.celu(n.cb(F.celu(n.cb(x, 48), 0.3), 48), 0.3)
    return 0.125 * n.bn(n.linear(F.max_pool2d(x, 7).flatten(1), 128, bias=False))


@honest_torch("Isotropic ConvNeXt: patches of 14, one width and one size for all blocks, no down-sampling.",
              idea="convolutional nets", opset=17)  # fmt: skip
def convnext_isotropic(n: Net, x: T) -> T:
    x = n.conv(x, 32, 14, 14, padding=0)
    for _ in range(4):
        y = n.ln(n.conv(x, 32, 7, 1, -1).permute(0, 2, 3, 1))
        x = x + n.linear(F.gelu(n.linear(y, 96)), 32).permute(0, 3, 1, 2)
    return n.embed(n.ln(x.mean((2, 3))), 256)


@honest_torch("MUXNet: a part of the features by sub-pixels to channels and back, joined with others and shuffled.",
              idea="convolutional nets", opset=11)  # fmt: skip
def muxnet_multiplexed_features(n: Net, x: T) -> T:
    x = n.stem(x, 24)
    for _ in range(2):
        a, b, c = x.split([8, 8, 8], 1)
        small = F.pixel_shuffle(n.cbr(n.cbr(a, 16, 2, 2, padding=0), 32), 2)
        x = shuffle(torch.cat([small, n.cbr(n.cbr(b, 16, 1), 8), c], 1), 3)
    return n.gdc(n.down(n.down(x, 32), 40), 128)


@honest_torch("RMNet: the shortcut went into the layer as reserved channels, merged again by a stored sum.",
              idea="convolutional nets", trained=3, opset=12)  # fmt: skip
def rmnet_reserved_channels(n: Net, x: T) -> T:
    x = n.cbr(n.cbr(x, 12, 3, 2), 20, 3, 2)
    for width in (28, 36):
        joined = F.relu(torch.cat([n.cb(x, width), x], 1))
        x = F.relu(n.cb(joined, width, 3, 2) + n.conv(joined[:, width:], width, 1, 2))
    return n.embed(x, 192)


@honest_torch("Nested ResNets (RoR): a shortcut over everything in a stage, one over units, one within a unit.",
              idea="convolutional nets", opset=11)  # fmt: skip
def residuals_of_residuals(n: Net, x: T) -> T:
    x = n.cbr(x, 16, 3, 2)
    whole = n.cb(n.cbr(n.cbr(x, 16, 1, 2), 24, 1, 2), 40, 1, 2)
    for width in (24, 32, 40):
        outer = n.cb(x, width, 1, 2)
        y = F.relu(n.cb(n.cbr(x, width, 3, 2), width) + n.cb(x, width, 1, 2))
        y = F.relu(n.cb(n.cbr(y, width), width) + y)
        x = F.relu(y + outer)
    return n.gdc(F.relu(x + whole), 128)
