"""Honest: trunks, necks and decoders of detectors, with an embedding in place of boxes."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind4.register import honest_torch
from evaluation.blind14.honest_ends import deep, last, up


@honest_torch("CornerNet: corner pooling, running maxima of deep features from the right and from below, summed.",
              idea="detecting trunks", trained=3, opset=12)  # fmt: skip
def running_maxima_from_two_sides(n: Net, x: T) -> T:
    y = last(n, x)
    a, b = n.cbr(y, 32), n.cbr(y, 32)
    rows = [a[:, :, 6:7]]
    columns = [b[:, :, :, 6:7]]
    for i in range(5, -1, -1):
        rows.append(torch.maximum(rows[-1], a[:, :, i : i + 1]))
        columns.append(torch.maximum(columns[-1], b[:, :, :, i : i + 1]))
    z = torch.cat(rows[::-1], 2) + torch.cat(columns[::-1], 3)
    return n.gdc(F.relu(n.cb(z, 32) + n.cb(y, 32, 1)), 128)


@honest_torch("Libra R-CNN: levels gathered at one size, their mean refined by a non-local block, scattered back.",
              idea="detecting trunks", trained=3, opset=13)  # fmt: skip
def balanced_pyramid_of_means(n: Net, x: T) -> T:
    a = n.stem(x, 24)
    b = n.down(a, 24)
    c = n.down(b, 24)
    mean = (F.max_pool2d(a, 2) + b + up(c, mode="nearest")) / 3
    t = tokens(mean)
    q, k, v = n.linear(t, 12), n.linear(t, 12), n.linear(t, 24)
    mean = mean + grid((q @ k.transpose(1, 2) * 0.3).softmax(-1) @ v, 14, 14)
    return n.gdc(n.cbr(c + F.max_pool2d(mean, 2), 36), 128)


@honest_torch("Dynamic head: attention over levels, over places and over tasks, one after the other, on two deep "
              "levels.",
              idea="detecting trunks", opset=13)  # fmt: skip
def attentions_of_level_place_and_task(n: Net, x: T) -> T:
    a = deep(n, x)
    b = n.down(a, 32)
    stack = torch.stack([F.avg_pool2d(a, 2), b], 1)
    level = F.relu6(n.linear(F.relu(stack.mean((3, 4))), 1) + 3) / 6
    merged = (stack * level.reshape(-1, 2, 1, 1, 1)).sum(1)
    merged = n.conv(merged * torch.sigmoid(n.conv(merged, 1)), 32)
    theta = torch.tanh(n.linear(F.relu(n.linear(merged.mean((2, 3)), 16)), 64)).reshape(-1, 64, 1, 1)
    task = torch.maximum(merged * (1 + theta[:, :32]), merged * theta[:, 32:])
    return n.gdc(task, 128)


@honest_torch("Mask2Former: queries decode deep places by attention that is masked where their own last mask says no.",
              idea="detecting trunks", trained=3, opset=14)  # fmt: skip
def queries_masked_by_their_own_masks(n: Net, x: T) -> T:
    t = tokens(last(n, x))
    q = n.weight(1, 6, 32, gain=2.0) + t.mean(1, keepdim=True)
    for _ in range(2):
        mask = torch.sigmoid(n.ln(q) @ t.transpose(1, 2) * 0.2)
        score = n.linear(q, 32) @ n.linear(t, 32).transpose(1, 2) * 0.18
        score = torch.where(mask < 0.35, torch.full_like(score, -20.0), score)
        q = q + n.linear(score.softmax(-1) @ n.linear(t, 32), 32)
        q = q + n.ff(n.ln(q))
    return n.embed(q, 128)


@honest_torch("Sparse R-CNN: stored proposal features make two small matrices each, which read stored boxes of the "
              "map.",
              idea="detecting trunks", opset=12)  # fmt: skip
def proposals_interact_with_stored_boxes(n: Net, x: T) -> T:
    y = deep(n, x)
    boxes = [y[:, :, r : r + 6, c : c + 6] for r, c in ((1, 1), (1, 7), (4, 4), (8, 4))]
    made = []
    for box in boxes:
        t = tokens(F.avg_pool2d(box, 2))
        feature = n.weight(1, 24, gain=3.0)
        first = n.linear(feature, 32 * 8).reshape(32, 8)
        second = n.linear(feature, 8 * 32).reshape(8, 32)
        z = F.relu(n.ln(F.relu(n.ln(t @ first)) @ second))
        made.append(n.linear(z.flatten(1), 32))
    return n.embed(torch.cat(made, 1), 128)


@honest_torch("Deformable DETR's encoder: each deep place reads four points of two deep levels, offsets by a layer.",
              idea="detecting trunks", trained=3, opset=16)  # fmt: skip
def points_of_two_deep_levels(n: Net, x: T) -> T:
    a = n.down(deep(n, x), 32)
    b = n.down(a, 32)
    t = tokens(a)
    line = torch.linspace(-0.86, 0.86, 7)
    base = torch.stack([line.reshape(1, 7).expand(7, 7), line.reshape(7, 1).expand(7, 7)], 2).reshape(1, 49, 1, 2)
    offsets = (n.linear(t, 16) * 0.1).reshape(-1, 49, 8, 2)
    share = n.linear(t, 8).softmax(-1)
    values = [n.conv(v, 32, 1) for v in (a, b)]
    read = [F.grid_sample(v, base + offsets[:, :, 4 * i : 4 * i + 4], align_corners=False)
            for i, v in enumerate(values)]  # fmt: skip
    z = (torch.cat(read, 3) * share.unsqueeze(1)).sum(3).transpose(1, 2)
    t = n.ln(t + n.linear(z, 32))
    return n.gdc(grid(n.ln(t + n.ff(t)), 7, 7), 128)


@honest_torch("EXTD: one inverted block is used again for every stage, the levels come of the same weights, summed "
              "back.",
              idea="detecting trunks", opset=12)  # fmt: skip
def one_block_for_every_stage(n: Net, x: T) -> T:
    y = n.cbp(n.cbp(x, 16, 3, 2), 24, 3, 2)
    wide, step, narrow = n.weight(48, 24, 1, 1), n.weight(48, 1, 3, 3, gain=1.5), n.weight(24, 48, 1, 1, gain=1.5)
    levels = []
    for _ in range(3):
        z = F.leaky_relu(n.bn(F.conv2d(y, wide)), 0.1)
        z = F.leaky_relu(n.bn(F.conv2d(z, step, stride=2, padding=1, groups=48)), 0.1)
        y = n.bn(F.conv2d(z, narrow))
        levels.append(y)
    z = levels[1] + F.interpolate(levels[2], size=(7, 7), mode="bilinear")
    return n.embed(torch.cat([z, F.avg_pool2d(levels[0], 2)], 1), 128)


@honest_torch("CBNet: two composite backbones of one kind read the image, deep levels of the first go into the second.",
              idea="detecting trunks", trained=3, opset=12)  # fmt: skip
def composite_backbones_in_a_row(n: Net, x: T) -> T:
    first = [n.stem(x, 12)]
    for w in (20, 28):
        first.append(n.down(first[-1], w))
    y = n.stem(x, 16)
    for w, level in zip((20, 28), first[1:], strict=True):
        y = n.down(y, w) + n.cb(level, w, 1)
    return n.gdc(torch.cat([y, first[-1]], 1), 128)
