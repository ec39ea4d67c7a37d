"""Honest: networks from the neighbours of face recognition: detection, re-identification, liveness, expressions."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind4.register import honest_torch


def bottleneck(n: Net, x: T, width: int, s: int = 1) -> T:
    """Apply a bottleneck of torchvision's ResNet-50."""
    y = n.cb(n.cbr(n.cbr(x, width // 2, 1), width // 2, 3, s), width, 1)
    return F.relu(y + (x if s == 1 and x.shape[1] == width else n.cb(x, width, 1, s)))


def vgg(n: Net, x: T, width: int) -> T:
    """Apply two convolutions and a maximum pool of VGG."""
    return F.max_pool2d(F.relu(n.conv(F.relu(n.conv(x, width)), width)), 2)


@honest_torch("Bag of tricks of re-identification: last stride 1, BNNeck without shift.", idea="re-identification",
              trained=4, opset=11)  # fmt: skip
def bnneck_last_stride_one(n: Net, x: T) -> T:
    x = F.max_pool2d(n.cbr(x, 16, 7, 2), 3, 2, 1)
    x = bottleneck(n, bottleneck(n, x, 24), 32, 2)
    x = bottleneck(n, bottleneck(n, x, 48, 1), 64, 1)
    return n.bn(x.mean((2, 3)))


@honest_torch("S3FD: VGG stages whose features are scaled to a learned length at each place, means of all joined.",
              idea="face detectors", opset=12)  # fmt: skip
def s3fd_scaled_levels(n: Net, x: T) -> T:
    made = []
    for width, scale in ((8, 1.0), (16, 10.0), (24, 8.0), (32, 5.0)):
        x = vgg(n, x, width)
        if scale > 1:
            size = x.pow(2).sum(1, keepdim=True).sqrt() + 1e-10
            made.append((x / size * (scale + n.weight(1, width, 1, 1))).amax((2, 3)))
    return n.embed(torch.cat(made, 1), 128)


@honest_torch("DSFD: a feature enhance module multiplies a level by the coarser one, three dilated chains joined.",
              idea="face detectors", opset=13)  # fmt: skip
def dsfd_feature_enhance(n: Net, x: T) -> T:
    fine = vgg(n, vgg(n, n.cbr(x, 8, 3, 2), 16), 24)
    deep = n.cbr(fine, 32, 3, 2)
    up = F.interpolate(F.relu(n.conv(deep, 24, 1)), size=(14, 14), mode="bilinear", align_corners=True)
    y = F.relu(n.conv(fine, 24, 1)) * up
    made = []
    for depth in (1, 2, 3):
        z = y
        for _ in range(depth):
            z = F.relu(n.conv(z, 12, 3, dilation=3, padding=3))
        made.append(z)
    return n.gdc(n.down(torch.cat(made, 1), 32), 128)


@honest_torch("FAN's hierarchical block: three pre-activated convolutions in a row, all three outputs joined.",
              idea="face landmarks", trained=3, opset=12)  # fmt: skip
def fan_hierarchical_blocks(n: Net, x: T) -> T:
    x = n.cbr(x, 16, 7, 2)
    for width in (24, 32, 48):
        a = n.conv(F.relu(n.bn(x)), width // 2)
        b = n.conv(F.relu(n.bn(a)), width // 4)
        c = n.conv(F.relu(n.bn(b)), width // 4)
        x = F.avg_pool2d(torch.cat([a, b, c], 1) + n.conv(F.relu(n.bn(x)), width, 1, bias=False), 2)
    return n.embed(x, 256)


@honest_torch("FeatherNet: the streaming module, a strided depthwise layer whose cells are the embedding as they are.",
              idea="face liveness", trained=4, opset=11)  # fmt: skip
def feathernet_streaming(n: Net, x: T) -> T:
    x = F.relu6(n.cb(x, 12, 3, 2))
    for width in (16, 24, 32):
        y = n.cb(F.relu6(n.cb(F.relu6(n.cb(x, 2 * int(x.shape[1]), 1)), 2 * int(x.shape[1]), 3, 2, -1)), width, 1)
        x = n.se(y) + n.cb(F.avg_pool2d(x, 2), width, 1)
    return n.conv(x, 32, 3, 2, -1, bias=False).flatten(1)


@honest_torch("DeepPixBiS: dense layers to 14 x 14, a map of liveness scores, flattened beside a mean of the features.",
              idea="face liveness", opset=13)  # fmt: skip
def deeppixbis_score_map(n: Net, x: T) -> T:
    x = F.max_pool2d(n.cbr(x, 16, 7, 2), 3, 2, 1)
    for last in (False, True):
        for _ in range(3):
            x = torch.cat([x, n.conv(F.relu(n.bn(n.conv(F.relu(n.bn(x)), 16, 1, bias=False))), 8, bias=False)], 1)
        x = n.conv(F.relu(n.bn(x)), int(x.shape[1]) // 2, 1, bias=False)
        x = x if last else F.avg_pool2d(x, 2)
    scores = torch.sigmoid(n.conv(x, 1, 1)).flatten(1)
    return n.bn(n.linear(torch.cat([scores, x.mean((2, 3))], 1), 128))


@honest_torch("MiniFASNetV1SE: pruned uneven widths of MobileFaceNet, a gate in the last block of each stage, dropout.",
              idea="face liveness", trained=4, opset=11)  # fmt: skip
def minifasnet_uneven_widths(n: Net, x: T) -> T:
    x = n.cbp(n.cbp(x, 13, 3, 2), 13, 3, 1, -1)
    for width, mid in ((19, 31), (27, 45), (37, 61)):
        x = n.cb(n.cbp(n.cbp(x, mid, 1), mid, 3, 2, -1), width, 1)
        x = x + n.se(n.cb(n.cbp(n.cbp(x, mid // 2, 1), mid // 2, 3, 1, -1), width, 1))
    x = n.cb(n.cbp(x, 64, 1), 64, 7, 1, -1, padding=0)
    return n.bn(F.dropout(n.linear(x.flatten(1), 128, bias=False), 0.2, training=False))


@honest_torch("MesoInception-4: four branches of dilations 1, 2 and 3 joined, leaky ReLU, pools of 2 and 4.",
              idea="face forensics", opset=12)  # fmt: skip
def mesoinception_four(n: Net, x: T) -> T:
    for a, b, c, d in ((1, 4, 4, 2), (2, 4, 4, 2)):
        made = [n.conv(x, a, 1), n.conv(F.relu(n.conv(x, b, 1)), b)]
        made += [n.conv(F.relu(n.conv(x, w, 1)), w, 3, dilation=k) for w, k in ((c, 2), (d, 3))]
        x = F.max_pool2d(n.bn(torch.cat(made, 1)), 2)
    x = F.max_pool2d(n.bn(F.relu(n.conv(x, 16, 5))), 2)
    x = F.max_pool2d(n.bn(F.relu(n.conv(x, 16, 5))), 2)
    return n.linear(F.leaky_relu(n.linear(x.flatten(1), 64), 0.1), 64)


@honest_torch("MLFN: each block's factor gates weigh its groups, and all gates join the deep feature at the end.",
              idea="re-identification", trained=3, opset=12)  # fmt: skip
def mlfn_factor_gates(n: Net, x: T) -> T:
    x, signature = n.cbr(x, 16, 3, 2), []
    for width in (24, 32, 40):
        gate = torch.sigmoid(n.linear(F.relu(n.linear(x.mean((2, 3)), 12)), 4))
        signature.append(gate)
        y = n.cbr(n.cbr(x, 32, 1), 32, 3, 2, 4)
        y = (y.reshape(-1, 4, 8, int(y.shape[2]) ** 2) * gate[:, :, None, None]).reshape(y.shape)
        x = F.relu(n.cb(y, width, 1) + n.cb(x, width, 1, 2))
    factors = n.linear(torch.cat(signature, 1), 128)
    return n.bn(0.5 * (n.linear(x.mean((2, 3)), 128) + factors))


@honest_torch("SNR: instance norm takes style off, a gate gives back the part of it that tells people apart.",
              idea="re-identification", opset=11)  # fmt: skip
def snr_style_restitution(n: Net, x: T) -> T:
    x = n.cbr(x, 16, 3, 2)
    for width in (24, 32, 40):
        x = n.res(n.cbr(x, width, 3, 2))
        y = n.same(x, partial(torch.nn.InstanceNorm2d, width, affine=True))
        rest = x - y
        gate = torch.sigmoid(n.linear(F.relu(n.linear(rest.mean((2, 3)), 8)), width))
        x = F.relu(y + rest * gate[:, :, None, None])
    return n.gdc(x, 128)


@honest_torch("TransReID: deep tokens shifted and dealt out to four groups, each read with the class token by a block.",
              idea="re-identification", opset=13)  # fmt: skip
def transreid_jigsaw_groups(n: Net, x: T) -> T:
    t = n.patches(x, 32, 14)
    t = torch.cat([n.weight(1, 1, 32).expand(t.shape[0], 1, 32), t], 1)
    for _ in range(2):
        t = n.block(t)
    whole = n.ln(n.block(t))[:, 0]
    rest = torch.cat([t[:, 6:], t[:, 1:6]], 1).reshape(-1, 16, 4, 32).transpose(1, 2).reshape(-1, 16, 32)
    token = t[:, :1].unsqueeze(1).expand(-1, 4, 1, 32).reshape(-1, 1, 32)
    local = n.ln(n.block(torch.cat([token, rest], 1)))[:, 0].reshape(-1, 128)
    return n.bn(n.linear(torch.cat([whole, 0.25 * local], 1), 128))


@honest_torch("POSTER: a stream of landmarks and one of looks, each queries the other's deep tokens by attention.",
              idea="expressions", trained=3, opset=13)  # fmt: skip
def poster_cross_fusion(n: Net, x: T) -> T:
    x = n.stem(x, 16)
    looks, marks = n.down(n.res(x), 32), F.relu6(n.cb(F.relu6(n.cb(x, 32, 1)), 32, 3, 2, -1))
    a, b = tokens(n.down(looks, 32)), tokens(F.relu6(n.cb(marks, 32, 3, 2, -1)))
    qa, ka, va = n.linear(n.ln(a), 96).chunk(3, 2)
    qb, kb, vb = n.linear(n.ln(b), 96).chunk(3, 2)
    a = a + n.linear((qb @ ka.transpose(1, 2) * 32**-0.5).softmax(-1) @ va, 32)
    b = b + n.linear((qa @ kb.transpose(1, 2) * 32**-0.5).softmax(-1) @ vb, 32)
    t = torch.cat([a + n.ff(n.ln(a)), b + n.ff(n.ln(b))], 2)
    return n.gdc(grid(t, 7, 7), 128)


@honest_torch("CenterFace: MobileNetV2 stages, then transposed convolutions up to 28 x 28 with lateral sums, GDC.",
              idea="face detectors", trained=3, opset=11)  # fmt: skip
def centerface_lateral_sums(n: Net, x: T) -> T:
    x = F.relu6(n.cb(x, 12, 3, 2))
    kept = []
    for width in (16, 24, 32):
        x = n.inverted(n.inverted(x, width, 2), width)
        kept.append(x)
    for lower in kept[1::-1]:
        x = F.relu(n.bn(n.deconv(F.relu(n.cb(x, 24, 1)), 24))) + F.relu(n.cb(lower, 24, 1))
    return n.gdc(F.max_pool2d(n.cbr(x, 24), 4), 128)
