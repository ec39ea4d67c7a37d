"""Honest: trunks of networks for segmentation, edges, crowds and poses, with an embedding at the end."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind4.register import honest_torch
from evaluation.blind14.honest_ends import deep, last, up


@honest_torch("PSANet: each deep place collects from all others by a predicted map, and distributes by another one.",
              idea="segmenting trunks", opset=12)  # fmt: skip
def pointwise_collect_and_distribute(n: Net, x: T) -> T:
    y = last(n, x)
    t = tokens(n.cbr(y, 16, 1)).transpose(1, 2)
    collect = n.conv(n.cbr(y, 24, 1), 49, 1).flatten(2).softmax(1)
    spread = n.conv(n.cbr(y, 24, 1), 49, 1).flatten(2).transpose(1, 2).softmax(1)
    z = torch.cat([t @ collect, t @ spread], 1).reshape(-1, 32, 7, 7)
    return n.gdc(torch.cat([y, n.cb(z, 32, 1)], 1), 128)


@honest_torch("EncNet: residuals to stored codewords, softly assigned, become a gate over the channels of deep "
              "features.",
              idea="segmenting trunks", trained=3, opset=13)  # fmt: skip
def context_encoding_gate(n: Net, x: T) -> T:
    y = deep(n, x)
    t, codes = tokens(n.cbr(y, 16, 1)), n.weight(8, 16, gain=2.0)
    gap = t.unsqueeze(2) - codes
    share = (-gap.pow(2).sum(3) * (1 + n.weight(8))).softmax(2)
    code = F.relu(n.bn((share.unsqueeze(3) * gap).sum(1).flatten(1)))
    y = y * torch.sigmoid(n.linear(code, 32)).reshape(-1, 32, 1, 1) + y
    return n.embed(n.down(y, 40), 128)


@honest_torch("SFNet: a predicted flow brings the coarsest features, behind four strides, onto those behind three.",
              idea="segmenting trunks", opset=16)  # fmt: skip
def semantic_flow_of_deep_levels(n: Net, x: T) -> T:
    fine = n.down(deep(n, x), 32)
    coarse = n.down(fine, 32)
    big = F.interpolate(coarse, size=(7, 7), mode="bilinear")
    flow = n.conv(torch.cat([fine, big], 1), 2) * 0.1
    line = torch.linspace(-1, 1, 7)
    base = torch.stack([line.reshape(1, 7).expand(7, 7), line.reshape(7, 1).expand(7, 7)], 2)
    moved = F.grid_sample(coarse, base + flow.permute(0, 2, 3, 1), align_corners=True)
    return n.gdc(n.cbr(fine + moved, 32), 128)


@honest_torch("GFF: gates of each level decide what it sends to the others and what it takes in, fully fused.",
              idea="segmenting trunks", opset=12)  # fmt: skip
def fully_gated_fusion_of_levels(n: Net, x: T) -> T:
    a = deep(n, x, 24)
    b = n.down(a, 24)
    c = n.down(b, 24)
    levels = [a, up(b), F.interpolate(c, size=(14, 14), mode="nearest")]
    gates = [torch.sigmoid(n.conv(v, 1, 1)) for v in levels]
    made = []
    for i, v in enumerate(levels):
        others = [gates[j] * levels[j] for j in range(3) if j != i]
        made.append((1 + gates[i]) * v + (1 - gates[i]) * (others[0] + others[1]))
    return n.embed(n.down(n.cbr(torch.cat(made, 1), 32, 1), 36), 128)


@honest_torch("RSN: residual steps, four branches with one to four 3x3 layers, each hears from the branch before it.",
              idea="pose trunks", trained=3, opset=11)  # fmt: skip
def residual_steps_within_a_level(n: Net, x: T) -> T:
    y = deep(n, x)
    parts = n.cbr(y, 32, 1).split(8, 1)
    before: list[T] = []
    ends = []
    for i, part in enumerate(parts):
        now: list[T] = []
        z = part
        for step in range(i + 1):
            z = n.cbr(z + before[step] if step < len(before) else z, 8)
            now.append(z)
        before = now
        ends.append(z)
    return n.embed(n.down(F.relu(y + n.cb(torch.cat(ends, 1), 32, 1)), 40), 128)


@honest_torch("MCNN of crowd counting: three columns of kernels 9, 7 and 5 and widths of their own read the one image.",
              idea="crowd trunks", opset=12)  # fmt: skip
def columns_of_three_kernel_sizes(n: Net, x: T) -> T:
    made = []
    for k, w in ((9, 8), (7, 10), (5, 12)):
        y = F.max_pool2d(n.cbr(x, w, k, 2), 2)
        made.append(n.cbr(F.max_pool2d(n.cbr(y, 2 * w, k - 2), 2), w, k - 2))
    return n.gdc(n.down(torch.cat(made, 1), 36), 128)


@honest_torch("CAN of crowds: contrasts between deep features and their pooled contexts of four sizes weigh the "
              "contexts.",
              idea="crowd trunks", opset=11)  # fmt: skip
def contrast_weighed_contexts(n: Net, x: T) -> T:
    y = deep(n, x)
    total: T = 1e-6 + y * 0
    weighed = y * 0
    for size in (1, 2, 7):
        s = F.interpolate(n.conv(F.avg_pool2d(y, 14 // size), 32, 1), size=(14, 14), mode="bilinear")
        w = torch.sigmoid(n.conv(s - y, 32, 1))
        total, weighed = total + w, weighed + w * s
    return n.gdc(n.down(torch.cat([y, weighed / total], 1), 40), 128)


@honest_torch("TokenPose: learned key-point tokens beside patches of deep features in one encoder; these go to the "
              "end.",
              idea="pose trunks", opset=14)  # fmt: skip
def key_point_tokens_beside_patches(n: Net, x: T) -> T:
    t = tokens(last(n, x)) + n.weight(1, 49, 32)
    keys = n.weight(1, 6, 32, gain=2.0) + t.mean(1, keepdim=True) * 0
    t = torch.cat([keys, t], 1)
    for _ in range(2):
        t = n.block(t)
    return n.embed(torch.cat([t[:, :6].flatten(1), grid(t[:, 6:], 7, 7).mean((2, 3))], 1), 128)
