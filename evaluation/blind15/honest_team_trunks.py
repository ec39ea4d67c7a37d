"""Honest: iResNets and transformers with one change each, as teams of a face challenge try them."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind4.register import honest_torch
from evaluation.blind6.honest_forms import honest_form, old_names
from evaluation.blind6.honest_handed_in import to_one


@honest_form("For 0 to 255: an iResNet with funnel activations, the maximum with a depthwise layer, in place of PReLU.",
             idea="iresnet variants", trained=3, before=to_one, forms=(old_names,), opset=12)  # fmt: skip
def iresnet_of_funnel_activations_raw(n: Net, x: T) -> T:
    y = n.cbp(x, 12, 3, 2)
    for w in (16, 24, 32):
        z = n.cb(n.bn(y), w)
        z = torch.maximum(z, n.cb(z, w, 3, 1, -1))
        y = n.cb(z, w, 3, 2) + n.cb(y, w, 1, 2)
    return n.embed(n.bn(y), 512)


@honest_torch("BoTNet's change of an iResNet: the last stage's 3x3 layer is attention with stored row and column "
              "places.",
              idea="iresnet variants", trained=3, opset=18, dynamo=True)  # fmt: skip
def iresnet_with_attending_last_stage(n: Net, x: T) -> T:
    y = n.cbp(x, 12, 3, 2)
    for w in (16, 24, 32):
        y = n.cb(n.cbp(n.bn(y), w), w, 3, 2) + n.cb(y, w, 1, 2)
    t = tokens(n.bn(y))
    q, k, v = n.heads(t, 2)
    places = (n.weight(1, 2, 7, 1, 16) + n.weight(1, 2, 1, 7, 16)).reshape(1, 2, 49, 16)
    score = (q @ (k + places).transpose(2, 3)) * 0.25
    mixed = (score.softmax(-1) @ v).transpose(1, 2).reshape(-1, 49, 32)
    return n.embed(n.bn(y + n.bn(grid(mixed, 7, 7))), 256)


@honest_torch("FasterNet's partial 3x3 layers in the units of an iResNet: a quarter of the channels is convolved.",
              idea="iresnet variants", opset=18, dynamo=True)  # fmt: skip
def iresnet_of_partial_layers(n: Net, x: T) -> T:
    y = n.cbp(x, 16, 3, 2)
    for w in (24, 32, 40):
        y = n.cb(y, w, 2, 2, padding=0)
        a, b = torch.split(n.bn(y), [w // 4, w - w // 4], 1)
        z = torch.cat([n.conv(a, w // 4, 3, bias=False), b], 1)
        y = y + n.cb(n.cbp(z, 2 * w, 1), w, 1)
    return n.embed(n.bn(y), 256)


@honest_torch("An iResNet whose units hold a depthwise 7x7 layer between two pointwise ones, PReLU and gains of "
              "layers.",
              idea="iresnet variants", trained=4, opset=11)  # fmt: skip
def iresnet_of_wide_depthwise_layers(n: Net, x: T) -> T:
    y = n.cbp(x, 12, 3, 2)
    for w in (16, 24, 32):
        y = n.cb(y, w, 3, 2)
        z = n.cb(n.cbp(n.cb(n.bn(y), w, 7, 1, -1), 2 * w, 1), w, 1)
        y = y + (0.3 + n.weight(1, w, 1, 1)) * z
    return n.embed(n.bn(y), 512)


@honest_form("An iResNet whose PReLU has one slope for a stage, BatchNorm nodes kept, old names, a head of two layers.",
             idea="iresnet variants", trained=3, norms_apart=True, forms=(old_names,), opset=11)  # fmt: skip
def iresnet_of_one_slope_a_stage(n: Net, x: T) -> T:
    y = n.cbp(x, 12, 3, 2)
    for w in (16, 24, 32):
        slope = 0.25 + 0.1 * n.weight(1)
        z = n.cb(n.bn(y), w)
        z = n.cb(F.prelu(z, slope), w, 3, 2)
        y = z + n.cb(y, w, 1, 2)
        y = y + n.cb(F.prelu(n.cb(n.bn(y), w), slope), w)
    return n.bn(n.linear(n.prelu(n.bn(n.linear(n.bn(y).flatten(1), 96))), 256))


@honest_torch("A face ViT read as DINO reads its: the class tokens of the last three blocks and the mean of patches "
              "are "
              "joined.",
              idea="teams' transformers", trained=3, opset=14)  # fmt: skip
def class_tokens_of_last_blocks(n: Net, x: T) -> T:
    t = n.patches(x, 32, 14)
    t = torch.cat([n.weight(1, 1, 32) + 0 * t[:, :1], t], 1)
    kept = []
    for _ in range(4):
        t = n.block(t, 4)
        kept.append(t[:, 0])
    return n.embed(torch.cat([*kept[1:], n.ln(t)[:, 1:].mean(1)], 1), 512)
