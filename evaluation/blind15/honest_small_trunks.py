"""Honest: mobile, searched and re-parameterised trunks as a team would train them for faces."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import honest_torch
from evaluation.blind6.honest_forms import converted, hashed_names, honest_form, old_names, weights_as_nodes
from evaluation.blind6.honest_handed_in import to_one
from evaluation.blind14.honest_ends import up


def mb(n: Net, x: T, width: int, s: int = 1, k: int = 3, factor: int = 3, se: bool = False) -> T:
    """Write an inverted residual with hard swish and, where asked, a gate of the channels."""
    mid = x.shape[1] * factor
    y = F.hardswish(n.cb(F.hardswish(n.cb(x, mid, 1)), mid, k, s, -1))
    y = n.cb(n.se(y) if se else y, width, 1)
    return x + y if s == 1 and x.shape[1] == width else y


@honest_torch("GhostNetV2: ghost units whose first half is gated by DFC attention, long strips on a halved map.",
              idea="mobile", trained=3, opset=12)  # fmt: skip
def decoupled_fully_connected_ghosts(n: Net, x: T) -> T:
    y = n.stem(x, 16)
    for w in (24, 32):
        y = n.cbr(y, w, 3, 2)
        half = n.cbr(y, w // 2, 1)
        ghost = torch.cat([half, n.cbr(half, w // 2, 3, 1, -1)], 1)
        d = F.avg_pool2d(y, 2, 2, ceil_mode=True)
        d = n.cb(n.cb(n.cb(d, w, 1), w, (1, 5), 1, -1), w, (5, 1), 1, -1)
        gate = F.interpolate(torch.sigmoid(d), size=tuple(int(s) for s in y.shape[2:]), mode="nearest")
        y = y + n.cb(ghost * gate, w, 1)
    return n.gdc(y, 128)


@honest_form("FBNetV3: searched inverted units with hard swish and gates of channels, uneven kernels and factors.",
              idea="searched", trained=3, before=to_one, forms=(converted(15), old_names), opset=11)  # fmt: skip
def fbnet_v3_uneven_units(n: Net, x: T) -> T:
    y = F.hardswish(n.cb(x, 12, 3, 2))
    for w, s, k, f, se in ((12, 1, 3, 1, False), (16, 2, 5, 4, False), (20, 2, 5, 3, True), (24, 1, 3, 5, True),
                           (32, 2, 5, 4, True)):  # fmt: skip
        y = mb(n, y, w, s, k, f, se)
    return n.gdc(F.hardswish(n.cb(y, 64, 1)), 256)


@honest_torch("HardCoRe-NAS: inverted units chosen under a latency bound, ReLU first and swish later.",
              idea="searched", opset=12)  # fmt: skip
def hardcore_searched_units(n: Net, x: T) -> T:
    y = n.cbr(x, 12, 3, 2)
    for w, s, k, late in ((16, 2, 5, False), (16, 1, 3, False), (24, 2, 5, True), (32, 2, 3, True), (32, 1, 5, True)):
        mid = y.shape[1] * 3
        z = n.cb(y, mid, 1)
        z = n.cb(F.silu(z) if late else F.relu(z), mid, k, s, -1)
        z = n.cb(n.se(F.silu(z) if late else F.relu(z)), w, 1)
        y = y + z if s == 1 else z
    return n.gdc(y, 128)


@honest_form("MobileDets: Tucker layers, squeezed by 1x1, a full 3x3 of few channels, and opened by 1x1.",
              idea="searched", trained=3, forms=(weights_as_nodes,), opset=11)  # fmt: skip
def tucker_layers_of_mobiledets(n: Net, x: T) -> T:
    y = F.relu6(n.cb(x, 12, 3, 2))
    for w, s in ((16, 2), (16, 1), (24, 2), (24, 1), (32, 2)):
        mid = max(y.shape[1] // 2, 8)
        z = n.cb(F.relu6(n.cb(F.relu6(n.cb(y, mid, 1)), mid, 3, s)), w, 1)
        y = y + z if s == 1 else z
    return n.gdc(y, 128)


@honest_torch("MobileNetV5: units of RMS norm and a fusion adapter of the last stages at one finer size.",
              idea="mobile", opset=18, dynamo=True)  # fmt: skip
def multi_scale_fusion_adapter(n: Net, x: T) -> T:
    def rms(v: T) -> T:
        c = int(v.shape[1])
        return v * torch.rsqrt(v.pow(2).mean(1, keepdim=True) + 1e-6) * (1 + n.weight(1, c, 1, 1))

    y = F.gelu(rms(n.conv(x, 12, 3, 2)))
    levels = []
    for w in (16, 24, 32):
        z = n.conv(F.gelu(rms(n.conv(F.gelu(rms(n.conv(y, 2 * w, 3, 2))), 2 * w, 3, 1, -1))), w, 1)
        y = rms(z)
        levels.append(y)
    joined = torch.cat([levels[1], up(levels[2], mode="nearest")], 1)
    return n.pooled(rms(n.conv(F.gelu(n.conv(joined, 80, 1)), 64, 1)), 256)


@honest_torch("LeYOLO's trunk: inverted units that skip the first pointwise layer where widths allow.",
              idea="mobile", trained=3, opset=12)  # fmt: skip
def inverted_units_without_first_point(n: Net, x: T) -> T:
    y = F.silu(n.cb(x, 16, 3, 2))
    y = F.silu(n.cb(y, 16, 1))
    for w, mid, s in ((16, 16, 2), (24, 48, 2), (32, 32, 1), (40, 64, 2)):
        z = y if mid == y.shape[1] else F.silu(n.cb(y, mid, 1))
        y = n.cb(F.silu(n.cb(z, mid, 5, s, -1)), w, 1)
    return n.gdc(y, 128)


@honest_torch("YOLO-NAS's QARepVGG: a norm behind the sum of the 3x3 with norm, the 1x1 and the identity.",
              idea="re-parameterised", trained=3, opset=13)  # fmt: skip
def quantisation_aware_rep_units(n: Net, x: T) -> T:
    y = x
    for w in (12, 20, 28, 36):
        y = F.relu(n.bn(n.cb(y, w, 3, 2) + n.conv(y, w, 1, 2, bias=False)))
        y = F.relu(n.bn(n.cb(y, w) + n.conv(y, w, 1, bias=False) + y))
    return n.gdc(y, 128)


@honest_form("RepOptimizer's RepOpt-VGG and YOLOv6's EfficientRep: plain units, trained with scaled gradients, "
              "and SimSPPF.",
              idea="re-parameterised", forms=(weights_as_nodes, hashed_names), opset=11)  # fmt: skip
def efficient_rep_with_simple_pyramid(n: Net, x: T) -> T:
    y = x
    for w in (12, 20, 28, 36):
        y = n.cbr(n.cbr(y, w, 3, 2), w)
    z = n.cbr(y, 18, 1)
    a = F.max_pool2d(z, 5, 1, 2)
    b = F.max_pool2d(a, 5, 1, 2)
    return n.gdc(n.cbr(torch.cat([z, a, b, F.max_pool2d(b, 5, 1, 2)], 1), 36, 1), 256)


@honest_torch("YOLO-MS: in an MS block splits go through inverted units of one kernel, later splits add earlier ones.",
              idea="mobile", trained=3, opset=12)  # fmt: skip
def hierarchical_inverted_splits(n: Net, x: T) -> T:
    y = n.stem(x, 16)
    for w, k in ((24, 5), (36, 7)):
        y = F.silu(n.cb(y, w, 3, 2))
        parts, kept = torch.split(F.silu(n.cb(y, w, 1)), w // 3, 1), []
        before: T | None = None
        for i, part in enumerate(parts):
            if i:
                z = part if before is None else part + before
                before = n.cb(F.silu(n.cb(F.silu(n.cb(z, w // 2, 1)), w // 2, k, 1, -1)), w // 3, 1)
            kept.append(part if before is None else before)
        y = F.silu(n.cb(torch.cat(kept, 1), w, 1))
    return n.gdc(y, 128)


@honest_torch("cs3darknet of timm: a three-layer stem without maximum, cross-stage units whose two parts are split "
              "behind one layer.",
              idea="mobile", opset=15)  # fmt: skip
def cross_stage_units_split_late(n: Net, x: T) -> T:
    y = F.silu(n.cb(F.silu(n.cb(F.silu(n.cb(x, 8, 3, 2)), 12)), 16))
    for w in (16, 24, 32):
        y = F.silu(n.cb(y, w, 3, 2))
        a, b = F.silu(n.cb(y, w, 1)).chunk(2, 1)
        for _ in range(2):
            a = a + F.silu(n.cb(F.silu(n.cb(a, w // 2, 1)), w // 2))
        y = F.silu(n.cb(torch.cat([F.silu(n.cb(a, w // 2, 1)), b], 1), w, 1))
    return n.gdc(y, 128)


@honest_torch("ParameterNet: GhostNet's pointwise layers as a mixture of stored experts by the pooled features.",
              idea="dynamic layers", trained=3, opset=11)  # fmt: skip
def many_parameters_few_products(n: Net, x: T) -> T:
    y = n.stem(x, 16)
    for w in (24, 32):
        route = n.linear(F.relu(n.linear(y.mean((2, 3)), 8)), 3).softmax(-1)
        mixed = [n.conv(y, w // 2, 1, bias=False) * route[:, i].reshape(-1, 1, 1, 1) for i in range(3)]
        half = F.relu(n.bn(mixed[0] + mixed[1] + mixed[2]))
        y = n.cb(torch.cat([half, n.cbr(half, w // 2, 3, 1, -1)], 1), w, 3, 2, -1) + n.cb(y, w, 1, 2)
    return n.gdc(y, 128)


@honest_torch("PATNet: partial layers of 3x3 and, for the rest of the channels, a gate that the partial half gives.",
              idea="mobile", opset=12, batch=1)  # fmt: skip
def partial_layers_with_visual_gate(n: Net, x: T) -> T:
    y = n.cb(x, 16, 4, 4, padding=0)
    for w in (16, 24, 32):
        a, b = torch.split(y, [w // 4, w - w // 4], 1)
        a = n.conv(a, int(a.shape[1]), 3, bias=False)
        b = b * torch.sigmoid(n.conv(a.mean((2, 3), keepdim=True), int(b.shape[1]), 1))
        z = torch.cat([a, b], 1)
        y = y + n.conv(n.cbr(z, 2 * w, 1), w, 1, bias=False)
        y = n.cb(y, {16: 24, 24: 32, 32: 40}[w], 2, 2, padding=0)
    return n.pooled(F.relu(n.conv(y, 96, 1)), 128)
