"""Honest: face networks as teams export them: merged, cut, renamed, for 0 to 255, by the newer exporter."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, shuffle, tokens, unwindow, window
from evaluation.blind4.register import honest_torch
from evaluation.blind6.honest_forms import (
    Factored,
    by_onnxruntime,
    copied_constants,
    gemm_apart,
    hashed_names,
    honest_form,
    merged,
    norms_as_products,
    old_names,
    weights_as_nodes,
)
from evaluation.blind6.honest_handed_in import by_imagenet, to_one
from evaluation.blind16.honest_parts import ir, ir_trunk, mbconv


@honest_form("ExpandNet contracted: layers trained as rows of linear ones are one kernel each in the file, a plain "
             "student.",
             idea="merged", trained=4, opset=11)  # fmt: skip
def expanded_student_contracted(n: Net, x: T) -> T:
    y = F.relu(merged(n, x, 16, (3, 1), 2))
    for w in (24, 32, 40):
        y = F.relu(merged(n, y, w, (3, 1, 1), 2))
        y = F.relu(merged(n, y, w, (3,)))
    return n.embed(y, 128)


@honest_form("DyRep after training: branches that grew during it, of different kinds for every layer, merged, PReLU "
             "kept.",
             idea="merged", trained=4, forms=(old_names,), opset=12)  # fmt: skip
def grown_branches_merged_again(n: Net, x: T) -> T:
    y = n.prelu(merged(n, x, 12, (5, 3), 2))
    for w, sizes in ((20, (5, 3, 1)), (28, (3, 3)), (36, (3, 1))):
        y = n.prelu(merged(n, y, w, sizes, 2))
        y = y + n.prelu(merged(n, y, w, (5, 1), 1, -1))
    return n.gdc(y, 256)


@honest_form("For 0 to 255: an iResNet of bottlenecks with gates, distilled, its embedding layer cut to a low rank.",
             idea="raw", trained=4, before=to_one, forms=(old_names,), opset=11)  # fmt: skip
def gated_student_of_low_rank_end_raw(n: Net, x: T) -> T:
    y = n.cbp(x, 12, 3, 2)
    for w in (16, 24, 32):
        z = n.cbp(n.cbp(n.bn(y), w // 2, 1), w // 2, 3, 2)
        y = n.se(n.cb(z, w, 1)) + n.cb(y, w, 1, 2)
    return n.bn(n.same(n.bn(y).flatten(1), lambda: Factored(32 * 49, 256, 32)))


@honest_form("For 0 to 255: ImageNet's statistics first, then ShuffleNetV2 with gates and PReLU for faces.",
             idea="raw", trained=3, before=by_imagenet, forms=(old_names, gemm_apart), opset=13)  # fmt: skip
def shuffled_gates_by_imagenet_raw(n: Net, x: T) -> T:
    y = n.cbp(x, 16, 3, 2)
    for w in (24, 32, 40):
        a = n.cbp(n.cb(y, int(y.shape[1]), 3, 2, -1), w // 2, 1)
        b = n.cbp(n.cb(n.cbp(y, w // 2, 1), w // 2, 3, 2, -1), w // 2, 1)
        y = shuffle(torch.cat([a, n.se(b)], 1), 2)
    return n.gdc(y, 128)


@honest_form("A GhostFace-like net with norms turned to products and sums, names of hashes.",
             idea="forms", forms=(norms_as_products, hashed_names), norms_apart=True, opset=11)  # fmt: skip
def ghost_stages_of_products_and_sums(n: Net, x: T) -> T:
    y = n.cbp(x, 16, 3, 2)
    for w in (24, 32, 40):
        a = n.cbp(y, w // 2, 1)
        y = n.cb(torch.cat([a, n.cbp(a, w // 2, 5, 1, -1)], 1), w, 3, 2, -1)
        y = n.prelu(y)
    return n.gdc(y, 128)


@honest_form("A ViT of faces with talking-free heads of unequal width, saved by onnxruntime's optimiser.",
             idea="forms", trained=3, forms=(by_onnxruntime,), opset=17)  # fmt: skip
def heads_of_unequal_width_optimised(n: Net, x: T) -> T:
    t = n.patches(x, 32, 14)
    for _ in range(2):
        z = n.ln(t)
        ends = []
        for w in (4, 8, 20):
            q, k, v = n.linear(z, w), n.linear(z, w), n.linear(z, w)
            ends.append((q @ k.transpose(1, 2) * w**-0.5).softmax(-1) @ v)
        t = t + n.linear(torch.cat(ends, 2), 32)
        t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t), 128)


@honest_form("Every weight in a node and a copy for each reader: one unit of an iResNet runs three times in a row.",
             idea="forms", forms=(copied_constants, weights_as_nodes), opset=12)  # fmt: skip
def unit_repeated_in_a_row_copied(n: Net, x: T) -> T:
    y = ir_trunk(n, x, 16, 24)
    kernel = n.weight(24, 24, 3, 3, gain=0.25)
    for _ in range(3):
        y = y + n.prelu(n.bn(F.conv2d(y, kernel, padding=1)))
    return n.embed(n.bn(ir(n, y, 32, 2)), 256)


@honest_torch("By torch.export: EfficientNet-EL's edge residuals, full 3x3 expansions early and depthwise ones late.",
              idea="newer exporter", opset=18, dynamo=True)  # fmt: skip
def dynamo_edge_residuals(n: Net, x: T) -> T:
    y = F.relu(n.cb(x, 12, 3, 2))
    for w in (16, 24):
        y = n.cb(F.relu(n.cb(y, 3 * w, 3, 2)), w, 1)
        y = y + n.cb(F.relu(n.cb(y, 2 * w, 3)), w, 1)
    y = mbconv(n, mbconv(n, y, 36, 5, 2), 36, 5)
    return n.gdc(y, 128)


@honest_torch("By torch.export: one table of relative places for all layers of a ViT, normed queries, no class token.",
              idea="newer exporter", trained=3, opset=20, dynamo=True)  # fmt: skip
def dynamo_shared_relative_table(n: Net, x: T) -> T:
    i = torch.arange(49)
    r, c = torch.div(i, 7, rounding_mode="floor"), torch.remainder(i, 7)
    place = (r[:, None] - r + 6) * 13 + c[:, None] - c + 6
    bias = n.weight(2, 169)[:, place.flatten()].reshape(1, 2, 49, 49)
    t = n.patches(x, 32, 16, places=False)
    for _ in range(3):
        t = n.block(t, 2, bias)
    return n.embed(n.ln(t).mean(1), 256)


@honest_torch("By torch.export: Res2NeXt, grouped layers in a staircase of four parts, ReLU, an ArcFace end.",
              idea="newer exporter", opset=19, dynamo=True)  # fmt: skip
def dynamo_grouped_staircase(n: Net, x: T) -> T:
    y = n.cbr(x, 16, 3, 2)
    for w in (24, 32, 40):
        parts = list(torch.split(n.cbr(y, w, 1), w // 4, 1))
        made = [n.cbr(parts[0], w // 4, 3, 2, 2)]
        for part in parts[1:3]:
            made.append(n.cbr(F.avg_pool2d(part, 2) + made[-1], w // 4, 3, 1, 2))
        made.append(F.avg_pool2d(parts[3], 2))
        y = F.relu(n.cb(torch.cat(made, 1), w, 1) + n.cb(F.avg_pool2d(y, 2), w, 1))
    return n.embed(n.bn(y), 256)


@honest_torch("By torch.export: windows of 7 with a depthwise layer in front of each block and hard swish, opset 18.",
              idea="newer exporter", opset=18, dynamo=True)  # fmt: skip
def dynamo_windows_behind_depthwise(n: Net, x: T) -> T:
    y = n.stem(x, 16)
    for w, side in ((24, 14), (32, 7)):
        y = n.down(y, w)
        y = y + n.cb(F.hardswish(y), w, 3, 1, -1)
        t = n.block(window(y, 7), 2)
        y = unwindow(t, 7, side, side)
    return n.gdc(y, 128)


@honest_torch("A batch of one in the file: an iResNet with a strip-pooled gate, by the older exporter.",
              idea="fixed batch", trained=3, opset=11, batch=1)  # fmt: skip
def strip_gated_iresnet_for_one(n: Net, x: T) -> T:
    y = ir_trunk(n, x, 16, 24)
    rows, columns = y.mean(3, keepdim=True), y.mean(2, keepdim=True)
    y = y * torch.sigmoid(n.conv(rows, 24, (3, 1)) + n.conv(columns, 24, (1, 3)))
    return n.embed(n.bn(ir(n, y, 32, 2)), 512)


@honest_torch("An ensemble of two different trunks for one image, a mobile one and a token one, joined.",
              idea="ensembles", trained=3, opset=13)  # fmt: skip
def mobile_trunk_beside_token_trunk(n: Net, x: T) -> T:
    y = n.cbp(x, 16, 3, 2)
    for w in (20, 28, 36):
        y = n.inverted(y, w, 2)
    t = n.patches(x, 32, 16)
    for _ in range(2):
        t = n.block(t, 4)
    return n.bn(torch.cat([n.gdc(y, 96), n.embed(n.ln(t).mean(1), 96)], 1))


@honest_torch("EfficientViT-like hybrid without fold: tokens of the last map attend once, constants left unfolded.",
              idea="forms", opset=12, fold=False)  # fmt: skip
def hybrid_with_unfolded_constants(n: Net, x: T) -> T:
    y = n.stem(x, 16)
    for w in (24, 32):
        y = n.cb(F.hardswish(n.cb(y, 2 * w, 3, 2, 4)), w, 1)
    t = tokens(y) + n.weight(1, 49, 32)
    return n.gdc(grid(n.block(t, 4), 7, 7), 128)
