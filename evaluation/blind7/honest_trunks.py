"""Honest: residual trunks of face recognition with the gates, activations and heads that teams try on them."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import honest_torch
from evaluation.blind6.honest_forms import by_onnxruntime, honest_form, merged, old_names, weights_as_nodes


def ir(n: Net, x: T, width: int, s: int = 2) -> T:
    """InsightFace's residual unit."""
    y = n.cb(n.cbp(n.bn(x), width), width, 3, s)
    return y + (x if s == 1 and x.shape[1] == width else n.cb(x, width, 1, s))


def start(n: Net, x: T, width: int = 12) -> T:
    """Full resolution as in iResNet, then a first unit of stride 2: [N, width, 56, 56]."""
    return ir(n, n.cbp(x, width // 2), width)


def end(n: Net, x: T, dim: int) -> T:
    """BatchNorm, dropout, a linear layer over all places, BatchNorm without a scale of its own."""
    y = n.same(n.bn(x), lambda: nn.Dropout(0.4)).flatten(1)
    return n.same(n.linear(y, dim), lambda: nn.BatchNorm1d(dim, affine=False))


@honest_form("LResNet-E-IR: head E (BN, dropout, FC, BN), epsilon 2e-5, norms as nodes.", idea="iresnet",
             norms_apart=True, forms=(old_names,), trained=5)  # fmt: skip
def lresnet_e_ir_small_epsilon(n: Net, x: T) -> T:
    x = start(n, x)
    for width in (16, 24, 32):
        x = n.same(ir(n, x, width), lambda w=width: nn.BatchNorm2d(w, 2e-5))  # type: ignore[misc]
    return n.same(n.linear(n.bn(x).flatten(1), 512), lambda: nn.BatchNorm1d(512, 2e-5))


@honest_torch("iResNet with CBAM in every unit and MobileFaceNet's global depthwise head.", idea="iresnet", trained=5,
              opset=12)  # fmt: skip
def iresnet_cbam_gdc(n: Net, x: T) -> T:
    x = n.cbp(x, 12, 3, 2)
    for width in (16, 24, 32):
        y = n.cb(n.cbp(n.bn(x), width), width, 3, 2)
        a, b = n.keep(lambda w=width: nn.Conv2d(w, 4, 1)), n.keep(lambda w=width: nn.Conv2d(4, w, 1))  # type: ignore[misc]
        y = y * torch.sigmoid(b(F.relu(a(F.adaptive_avg_pool2d(y, 1)))) + b(F.relu(a(F.adaptive_max_pool2d(y, 1)))))
        both = torch.cat([y.mean(1, keepdim=True), y.amax(1, keepdim=True)], 1)
        x = y * torch.sigmoid(n.cb(both, 1, 7)) + n.cb(x, width, 1, 2)
    return n.gdc(x, 128)


@honest_torch("iResNet with Mish, as masked-face teams had it, by the newer exporter.", idea="iresnet", dynamo=True,
              opset=18)  # fmt: skip
def iresnet_mish(n: Net, x: T) -> T:
    x = F.mish(n.cb(x, 12, 3, 2))
    for width in (16, 24, 32):
        x = n.cb(F.mish(n.cb(n.bn(x), width)), width, 3, 2) + n.cb(x, width, 1, 2)
    return end(n, x, 64)


@honest_torch("IR bottlenecks (1x1, 3x3, 1x1) of unit version 3 and a pooled head of 256.", idea="iresnet", opset=18)
def ir_bottlenecks_pooled(n: Net, x: T) -> T:
    x = n.cbp(x, 16, 3, 2)
    for width in (24, 32, 48):
        y = n.cbp(n.cbp(n.bn(x), width // 4, 1), width // 4)
        x = n.cb(n.bn(n.conv(y, width, 1, 2, bias=False)), width, 1) + n.cb(x, width, 1, 2)
    return n.pooled(F.relu(n.bn(x)), 256)


@honest_torch("SE-Res2Net-IR: groups of channels in a staircase, then squeeze and excite, PReLU.", idea="iresnet",
              trained=4, opset=14)  # fmt: skip
def ir_se_res2net(n: Net, x: T) -> T:
    x = start(n, x)
    for width in (16, 24, 32):
        parts, made = n.cbp(n.bn(x), width, 1).chunk(4, 1), []
        y = torch.zeros_like(parts[0])
        for part in parts[1:]:
            y = n.cbp(part + y, width // 4)
            made.append(y)
        y = n.se(n.cb(torch.cat([parts[0], *made], 1), width, 3, 2))
        x = y + n.cb(x, width, 1, 2)
    return end(n, x, 96)


@honest_torch("ResNeXt-IR with 8 groups and swish; the stem is 7x7 with stride 2 and no pooling.", idea="iresnet",
              trained=4)  # fmt: skip
def ir_resnext_swish(n: Net, x: T) -> T:
    x = F.silu(n.cb(x, 16, 7, 2))
    for width in (16, 24, 32):
        y = F.silu(n.cb(F.silu(n.cb(n.bn(x), width, 1)), width, 3, 2, 8))
        x = n.cb(y, width, 1) + n.cb(F.avg_pool2d(x, 2), width, 1)
    return end(n, x, 512)


@honest_torch("Ghost modules in the place of both convolutions of an IR unit.", idea="iresnet", opset=15)
def ir_of_ghost_modules(n: Net, x: T) -> T:
    def ghost(y: T, width: int) -> T:
        a = n.cbp(y, width // 2, 1)
        return torch.cat([a, n.cbp(a, width // 2, 5, 1, -1)], 1)

    x = n.cbp(x, 12, 3, 2)
    for width in (16, 24, 32):
        y = n.cb(ghost(n.bn(x), width), width, 3, 2, -1)
        x = ghost(y, width) + n.cb(n.cb(x, x.shape[1], 3, 2, -1), width, 1)
    return n.gdc(x, 512)


@honest_torch(
    "ECA in IR units: a one-dimensional convolution over the channels' means gates them.", idea="iresnet", opset=13
)
def ir_efficient_channel_gates(n: Net, x: T) -> T:
    x = n.cbp(x, 12, 5, 2)
    for width in (16, 24, 32):
        y = n.cb(n.cbp(n.bn(x), width), width, 3, 2)
        g = n.same(y.mean((2, 3)).unsqueeze(1), lambda: nn.Conv1d(1, 1, 3, padding=1, bias=False))
        x = y * torch.sigmoid(g).reshape(-1, width, 1, 1) + n.cb(x, width, 1, 2)
    return end(n, x, 128)


@honest_torch("DenseNet for faces as in the LFR19 zoo: PReLU, transitions with average pooling.", idea="face zoo",
              opset=19, trained=4)  # fmt: skip
def dense_face_prelu(n: Net, x: T) -> T:
    x = n.cbp(x, 12, 3, 2)
    for _ in range(3):
        for _ in range(3):
            y = n.conv(n.prelu(n.bn(n.conv(n.prelu(n.bn(x)), 16, 1, bias=False))), 6, 3, bias=False)
            x = torch.cat([x, y], 1)
        x = F.avg_pool2d(n.conv(n.prelu(n.bn(x)), x.shape[1] // 2 + 6, 1), 2)
    return end(n, x, 64)


@honest_torch("HRNet for faces: the coarse streams come up by transposed convolutions, all end at 7 x 7.",
              idea="face zoo", opset=11, trained=4)  # fmt: skip
def hrnet_face_transposed(n: Net, x: T) -> T:
    a = n.stem(x, 12)
    b = n.cbr(a, 16, 3, 2)
    for _ in range(2):
        a, b = n.res(a), n.res(b)
        a, b = F.relu(a + n.bn(n.deconv(b, 12))), F.relu(b + n.cb(a, 16, 3, 2))
    c = n.cbr(b, 24, 3, 2)
    y = n.cbr(torch.cat([n.cb(n.cbr(a, 12, 3, 2), 16, 3, 2), n.cb(b, 16, 3, 2), c], 1), 40, 1)
    return n.gdc(y, 512)


@honest_torch("AttentionNet-56 for faces: mask branches with nearest up-sampling, features times 1 + mask.",
              idea="face zoo", opset=13)  # fmt: skip
def attentionnet_nearest_masks(n: Net, x: T) -> T:
    x = n.cbp(x, 12, 3, 2)
    for width in (16, 24):
        x = ir(n, x, width)
        low = n.cbp(F.max_pool2d(x, 2), width)
        mask = n.cb(F.interpolate(n.cbp(low, width), scale_factor=2.0) + n.cbp(x, width, 1), width, 1)
        x = n.cb(n.cbp(x, width), width) * (1 + torch.sigmoid(mask))
    return end(n, ir(n, x, 32), 128)


@honest_torch("AdaFace's IR-SE in small: rows divided by their norm, which is clipped from below.", idea="losses",
              opset=12, trained=5)  # fmt: skip
def adaface_unit_rows(n: Net, x: T) -> T:
    x = n.cbp(x, 12)
    for width in (12, 16, 24, 32):
        y = n.se(n.cb(n.cbp(n.bn(x), width), width, 3, 2))
        x = y + (n.cb(x, width, 1, 2) if x.shape[1] != width else F.max_pool2d(x, 1, 2))
    y = end(n, x, 512)
    return y / torch.norm(y, 2, 1, True).clamp(min=1e-6)


@honest_torch("SphereFace-20: residual units of two layers without BatchNorm, PReLU, one linear layer.", idea="losses",
              trained=4)  # fmt: skip
def sphereface_20_residual(n: Net, x: T) -> T:
    for width in (12, 16, 24, 32):
        x = n.prelu(n.conv(x, width, 3, 2))
        x = x + n.prelu(n.conv(n.prelu(n.conv(x, width)), width))
    return n.embed(x, 512)


@honest_torch("L2-softmax and ring loss: unit rows times one learned radius.", idea="losses", opset=20)
def learned_radius(n: Net, x: T) -> T:
    x = n.down(n.res(n.down(n.stem(x), 24)), 32)
    return F.normalize(n.linear(x.flatten(1), 128)) * (16.0 + n.weight(1))


@honest_torch("IR with anti-aliased strides: a stored binomial filter behind the second layer.", idea="iresnet",
              opset=16, trained=4)  # fmt: skip
def ir_binomial_strides(n: Net, x: T) -> T:
    row = torch.tensor([1.0, 3.0, 3.0, 1.0])
    w = (row[:, None] * row[None] / 64)[None, None]

    def blur(y: T) -> T:
        c = int(y.shape[1])
        return F.conv2d(F.pad(y, (1, 1, 1, 1), "reflect"), w.expand(c, 1, 4, 4), stride=2, groups=c)

    x = n.cbp(x, 12, 3, 2)
    for width in (16, 24, 32):
        x = blur(n.cb(n.cbp(n.bn(x), width), width)) + n.cb(blur(x), width, 1)
    return end(n, x, 64)


@honest_torch("Stochastic depth at test time: every residual times its chance of survival.", idea="iresnet",
              opset=17)  # fmt: skip
def survival_probabilities(n: Net, x: T) -> T:
    x = start(n, x)
    for i, width in enumerate((16, 24, 32)):
        x = ir(n, x, width)
        x = x + (0.95 - 0.15 * i) * n.cb(n.cbp(n.bn(x), width), width)
    return end(n, x, 96)


@honest_torch("ResNet-D for faces: three 3x3 layers first, averages in the shortcuts, PReLU, GeM-free head.",
              idea="iresnet", opset=11)  # fmt: skip
def deep_stem_averaged_shortcuts(n: Net, x: T) -> T:
    x = n.cbp(n.cbp(n.cbp(x, 8, 3, 2), 8), 16)
    for width in (20, 28, 36):
        y = n.cb(n.cbp(n.cbp(x, width // 2, 1), width // 2, 3, 2), width, 1)
        x = n.prelu(y + n.cb(F.avg_pool2d(x, 2, ceil_mode=True), width, 1))
    return n.embed(x, 256)


@honest_torch("SPNet: strips pooled along rows and along columns of features, spread and added as a gate.",
              idea="face zoo", trained=4, opset=13)  # fmt: skip
def strip_pooling_gates(n: Net, x: T) -> T:
    x = n.cbr(x, 12, 3, 2)
    for width in (16, 24, 32):
        y = n.cbr(x, width, 3, 2)
        rows = n.cb(y.mean(3, keepdim=True), width, (3, 1))
        columns = n.cb(y.mean(2, keepdim=True), width, (1, 3))
        x = y * torch.sigmoid(n.conv(F.relu(rows + columns), width, 1)) + n.cb(x, width, 1, 2)
    return n.embed(x, 128)


@honest_torch("VGGFace2's SENet: 7x7, maximum pooling, SE bottlenecks, the mean, a layer down to 256.", idea="face zoo",
              opset=12, trained=4)  # fmt: skip
def vggface2_senet(n: Net, x: T) -> T:
    x = F.max_pool2d(n.cbr(x, 16, 7, 2), 3, 2, 0, ceil_mode=True)
    for width, s in ((32, 1), (48, 2), (64, 2)):
        y = n.se(n.cb(n.cbr(n.cbr(x, width // 4, 1, s), width // 4), width, 1), 8)
        x = F.relu(y + n.cb(x, width, 1, s))
    y = F.avg_pool2d(x, 7)
    return n.same(n.conv(y, 256, 1, bias=False), lambda: nn.BatchNorm2d(256)).flatten(1)


@honest_torch("LS-CNN: dense and inception-like blocks, gates over channels and over places in turn.", idea="face zoo",
              opset=15)  # fmt: skip
def ls_cnn_dual_gates(n: Net, x: T) -> T:
    x = n.stem(x, 16)
    for width in (24, 32):
        made = [n.cbp(x, 8, 1), n.cbp(n.cbp(x, 8, 1), 8), n.cbp(n.cbp(n.cbp(x, 8, 1), 8), 8)]
        x = n.se(torch.cat([x, *made], 1))
        x = n.cbp(x * torch.sigmoid(n.conv(x, 1, 3)), width, 3, 2)
    return end(n, x, 64)


@honest_form("A batch of one in the file, every weight a Constant node: iResNet with a global depthwise head.",
             idea="iresnet", forms=(weights_as_nodes,), batch=1, opset=17)  # fmt: skip
def iresnet_fixed_batch_constants(n: Net, x: T) -> T:
    x = start(n, x)
    for width in (16, 24, 32):
        x = ir(n, ir(n, x, width), width, 1)
    return n.gdc(x, 256)


@honest_form("RepVGG-IR merged after training: PReLU behind each merged layer, saved by onnxruntime's optimiser.",
             idea="iresnet", forms=(by_onnxruntime,), opset=13, trained=4)  # fmt: skip
def repvgg_face_optimised(n: Net, x: T) -> T:
    for width in (12, 16, 24, 32):
        x = n.prelu(merged(n, n.prelu(merged(n, x, width, s=2)), width))
    return end(n, x, 128)
