"""Honest: convolutional networks, as they are published for faces and for images."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import honest_torch


@honest_torch("iResNet with PReLU and its ArcFace head, trained: one pass over one image.", idea="residual", trained=8)
def iresnet_arcface(n: Net, x: T) -> T:
    x = n.cbp(x, 12)
    for width in (16, 24, 32, 32):
        y = n.cb(n.prelu(n.cb(n.bn(x), width)), width, 3, 2)
        x = y + n.cb(x, width, 1, 2)
    return n.embed(n.bn(x))


@honest_torch("SENet-IR, the ResNet of faces with squeeze-excitation.", idea="residual", trained=6)
def seresnet_ir(n: Net, x: T) -> T:
    x = n.cbp(x, 12, 3, 2)
    for width in (16, 24, 32):
        x = n.se(n.cb(n.prelu(n.cb(n.bn(x), width)), width, 3, 2)) + n.cb(x, width, 1, 2)
    return n.embed(n.bn(x))


@honest_torch("CBAM: channel gates of mean and maximum through one shared MLP, then spatial gates.", idea="gates")
def cbam_resnet(n: Net, x: T) -> T:
    x = n.stem(x)
    for width in (24, 32):
        x = n.down(x, width)
        down, up = n.weight(width // 4, width), n.weight(width, width // 4)
        pools = (x.mean((2, 3)), x.amax((2, 3)))
        gate = sum((F.relu(pool @ down.T) @ up.T for pool in pools), torch.zeros(()))
        x = x * torch.sigmoid(gate)[:, :, None, None]
        x = x * torch.sigmoid(n.conv(torch.cat([x.mean(1, True), x.amax(1, True)], 1), 1, 7))
    return n.embed(x)


@honest_torch("ECA-Net: a one-dimensional convolution over the pooled channels.", idea="gates")
def eca_net(n: Net, x: T) -> T:
    x = n.stem(x)
    for width in (24, 32):
        x = n.down(x, width)
        gate = n.conv(x.mean((2, 3))[:, None, None, :], 1, (1, 3))
        x = x * torch.sigmoid(gate).reshape(-1, width, 1, 1)
    return n.embed(x)


@honest_torch("GENet / global context blocks: softmax pooling of one map, added to all its places.", idea="gates")
def gcnet_context(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 32)
    weights = n.conv(x, 1, 1).flatten(2).softmax(-1)
    context = (x.flatten(2) @ weights.transpose(1, 2))[..., None]
    x = x + n.conv(F.relu(n.conv(context, 8, 1)), 32, 1)
    return n.embed(n.down(x, 32))


@honest_torch("RepVGG as trained: 3x3, 1x1 and identity branches on one map.", idea="re-parametrised", trained=6)
def repvgg_unfused(n: Net, x: T) -> T:
    for width in (16, 24, 32, 32):
        x = F.relu(n.cb(x, width, 3, 2) + n.cb(x, width, 1, 2))
        x = F.relu(n.cb(x, width) + n.cb(x, width, 1) + n.bn(x))
    return n.embed(x)


@honest_torch(
    "Diverse branch block: 1x1-3x3, 1x1-average pooling and asymmetric branches on one map.", idea="re-parametrised"
)
def diverse_branch_block(n: Net, x: T) -> T:
    x = n.stem(x)
    for width in (24, 32):
        y = n.cb(n.cb(x, width, 1), width) + n.bn(F.avg_pool2d(n.cb(x, width, 1), 3, 1, 1))
        y = y + n.cb(x, width, (1, 3)) + n.cb(x, width, (3, 1)) + n.cb(x, width, 1)
        x = F.max_pool2d(F.relu(y), 2)
    return n.embed(x)


@honest_torch(
    "ACNet at the image: square, flat and tall kernels on the same pixels, which one kernel could hold.",
    idea="re-parametrised",
)
def acnet_first_layer(n: Net, x: T) -> T:
    x = F.relu(n.cb(x, 16, 3, 2) + n.cb(x, 16, (1, 3), 2) + n.cb(x, 16, (3, 1), 2))
    return n.embed(n.down(n.down(n.down(x, 24), 32), 32))


@honest_torch("ConvNeXt: 7x7 depthwise kernels, LayerNorm, layer scale.", idea="convnext", trained=6)
def convnext_tiny(n: Net, x: T) -> T:
    x = n.ln2d(n.conv(x, 16, 4, 4, padding=0))
    for width in (24, 32):
        x = n.conv(n.ln2d(x), width, 2, 2, padding=0)
        y = n.ff(n.ln(n.conv(x, width, 7, 1, -1).permute(0, 2, 3, 1)))
        x = x + (y * n.weight(width)).permute(0, 3, 1, 2)
    return n.embed(x)


@honest_torch("ConvNeXt V2: global response normalisation over the places of one image.", idea="convnext")
def convnext_v2(n: Net, x: T) -> T:
    x = n.ln2d(n.conv(x, 24, 8, 8, padding=0))
    for _ in range(2):
        y = F.gelu(n.linear(n.ln(n.conv(x, 24, 7, 1, -1).permute(0, 2, 3, 1)), 48))
        size = (y * y).sum((1, 2), keepdim=True).sqrt()
        y = y + y * size / (size.mean(-1, keepdim=True) + 1e-6) * n.weight(48)
        x = x + n.linear(y, 24).permute(0, 3, 1, 2)
    return n.embed(n.down(x, 24))


@honest_torch(
    "Res2Net: parts of the channels convolved one after the other, each with the one before.", idea="multi-scale"
)
def res2net(n: Net, x: T) -> T:
    x = n.stem(x)
    for width in (32, 32):
        x = n.down(x, width)
        parts = list(n.cbr(x, width, 1).chunk(4, 1))
        for i in range(1, 4):
            parts[i] = n.cbr(parts[i] + (parts[i - 1] if i > 1 else 0 * parts[0]), width // 4)
        x = F.relu(x + n.cb(torch.cat(parts, 1), width, 1))
    return n.embed(x)


@honest_torch("SKNet: two kernel sizes on one map, chosen by softmax.", idea="multi-scale")
def sknet(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 24)
    both = torch.stack([n.cbr(x, 24), n.cbr(x, 24, 3, dilation=2, padding=2)], 1)
    z = F.relu(n.linear(both.sum(1).mean((2, 3)), 12))
    share = n.linear(z, 48).reshape(-1, 2, 24).softmax(1)
    x = (both * share[..., None, None]).sum(1)
    return n.embed(n.down(x, 32))


@honest_torch("ResNeSt: split attention over groups of channels of one map.", idea="multi-scale")
def resnest(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 24)
    y = n.cbr(x, 48, 3, 1, 4)
    parts = y.reshape(-1, 2, 24, y.shape[2], y.shape[3])
    gate = n.conv(n.cbr(parts.sum(1).mean((2, 3), keepdim=True), 12, 1, 1, 2), 48, 1, 1, 2)
    share = gate.reshape(-1, 2, 24, 1, 1).softmax(1)
    x = F.relu(x + n.cb((parts * share).sum(1), 24, 1))
    return n.embed(n.down(x, 32))


@honest_torch("ResNeXt: 32 groups; grouped kernels are one network, not several.", idea="groups")
def resnext(n: Net, x: T) -> T:
    x = n.stem(x, 32)
    for _ in range(2):
        y = n.cb(n.cbr(n.cbr(x, 32, 1), 32, 3, 2, 8), 32, 1)
        x = F.relu(y + n.cb(x, 32, 1, 2))
    return n.embed(x)


@honest_torch(
    "DenseNet whose first block begins at the image: the image is kept beside a convolution of itself.",
    idea="the image kept",
)
def densenet_from_the_image(n: Net, x: T) -> T:
    for _ in range(3):
        x = torch.cat([x, n.conv(x, 4)], 1)
    x = n.cbr(x, 16, 3, 2)
    for _ in range(3):
        x = F.avg_pool2d(torch.cat([x, n.cbr(x, 8)], 1), 2)
    return n.embed(x)


@honest_torch("DenseNet-BC with transitions that halve.", idea="dense")
def densenet_bc(n: Net, x: T) -> T:
    x = n.stem(x)
    for _ in range(2):
        for _ in range(3):
            x = torch.cat([x, n.conv(n.cbr(F.relu(n.bn(x)), 16, 1), 6)], 1)
        x = F.avg_pool2d(n.cbr(x, x.shape[1] // 2, 1), 2)
    return n.embed(x)


@honest_torch(
    "A pre-activation residual network: the untouched image is added to its first block.", idea="the image kept"
)
def preact_resnet_image_shortcut(n: Net, x: T) -> T:
    x = x + n.conv(F.relu(n.bn(n.conv(x, 8))), 3)
    for width in (12, 16, 24, 32):
        y = n.conv(F.relu(n.bn(n.conv(F.relu(n.bn(x)), width, 3, 2))), width)
        x = y + n.conv(x, width, 1, 2)
    return n.embed(F.relu(n.bn(x)))


@honest_torch(
    "HRNet, which LFR19's page names: three resolutions that exchange features by nearest up-sampling.",
    idea="resolutions",
    trained=4,
)
def hrnet_three_streams(n: Net, x: T) -> T:
    a = n.stem(x)
    b, c = n.down(a, 24), n.down(n.down(a, 24), 32)
    for _ in range(2):
        a, b, c = n.res(a), n.res(b), n.res(c)
        up = [F.interpolate(n.cb(y, 16, 1), scale_factor=k, mode="nearest") for y, k in ((b, 2), (c, 4))]
        upper = F.interpolate(n.cb(c, 24, 1), scale_factor=2, mode="nearest")
        lower = n.cb(n.cbr(a, 16, 3, 2), 32, 3, 2) + n.cb(b, 32, 3, 2)
        a, b, c = F.relu(a + up[0] + up[1]), F.relu(b + n.cb(a, 24, 3, 2) + upper), F.relu(c + lower)
    whole = torch.cat([F.adaptive_avg_pool2d(y, 7) for y in (a, b, c)], 1)
    return n.embed(n.cbr(whole, 32, 1))


@honest_torch(
    "A feature pyramid: coarse features up-sampled and added to finer ones, heads tied over the levels.",
    idea="resolutions",
)
def fpn_embedding(n: Net, x: T) -> T:
    a = n.stem(x)
    b = n.down(a, 24)
    c = n.down(b, 32)
    c = n.conv(c, 24, 1)
    b = n.conv(b, 24, 1) + F.interpolate(c, scale_factor=2, mode="nearest")
    a = n.conv(a, 24, 1) + F.interpolate(b, scale_factor=2, mode="nearest")
    return n.embed(torch.cat([n.conv(y, 16).mean((2, 3)) for y in (a, b, c)], 1))


@honest_torch("BiFPN: two ways through a pyramid with positive weights for each input.", idea="resolutions")
def bifpn(n: Net, x: T) -> T:
    a = n.stem(x, 24)
    b, c = n.down(a, 24), n.down(n.down(a, 24), 24)
    share = F.relu(n.weight(2, 2) + 1)
    b = (share[0, 0] * b + share[0, 1] * F.interpolate(c, scale_factor=2)) / (share[0].sum() + 1e-4)
    a = n.cbr(a + F.interpolate(n.cbr(b, 24), scale_factor=2), 24)
    b = n.cbr(share[1, 0] * b + share[1, 1] * F.max_pool2d(a, 2), 24)
    return n.embed(n.cbr(c + F.max_pool2d(b, 2), 24))


@honest_torch(
    "A U-Net of features: an encoder, a decoder with transposed convolutions, then the embedding.", idea="resolutions"
)
def unet_deconv(n: Net, x: T) -> T:
    a = n.cbr(x, 8, 3, 2)
    b = n.down(a, 16)
    c = n.down(b, 24)
    b = n.cbr(torch.cat([b, n.deconv(c, 16)], 1), 16)
    a = n.cbr(torch.cat([a, n.deconv(b, 8)], 1), 8)
    return n.embed(n.down(n.down(n.down(a, 16), 24), 32))


@honest_torch("Stacked hourglasses: bilinear up-sampling of features, added to a skip.", idea="resolutions")
def hourglass_bilinear(n: Net, x: T) -> T:
    x = n.stem(x)
    for _ in range(2):
        low = n.res(F.max_pool2d(x, 2))
        lower = n.res(F.max_pool2d(low, 2))
        low = low + F.interpolate(lower, scale_factor=2, mode="bilinear", align_corners=False)
        x = n.res(x) + F.interpolate(low, scale_factor=2, mode="bilinear", align_corners=False)
    return n.embed(n.down(n.down(x, 24), 32))


@honest_torch(
    "Octave convolution, which LFR19's page names: high and low frequencies exchange features.", idea="resolutions"
)
def octconv(n: Net, x: T) -> T:
    high = n.stem(x)
    low = n.cbr(F.avg_pool2d(high, 2), 16)
    for _ in range(2):
        up = F.interpolate(n.cb(low, 16), scale_factor=2, mode="nearest")
        high, low = F.relu(n.cb(high, 16) + up), F.relu(n.cb(low, 16) + n.cb(F.avg_pool2d(high, 2), 16))
    return n.embed(n.down(torch.cat([F.avg_pool2d(high, 2), low], 1), 32))


@honest_torch(
    "Inception-ResNet, the network of FaceNet: branches of different depth, added to a residual.", idea="multi-scale"
)
def inception_resnet(n: Net, x: T) -> T:
    x = n.stem(x, 24)
    for _ in range(2):
        y = torch.cat([n.cbr(x, 8, 1), n.cbr(n.cbr(x, 8, 1), 8), n.cbr(n.cbr(n.cbr(x, 8, 1), 8, (1, 7)), 8, (7, 1))], 1)
        x = F.max_pool2d(F.relu(x + 0.3 * n.conv(y, 24, 1)), 3, 2, 1)
    return n.pooled(n.cbr(x, 48, 1))


@honest_torch("Dual path network: residual and dense paths side by side.", idea="dense")
def dual_path(n: Net, x: T) -> T:
    kept = n.stem(x)
    grown = kept[:, :8]
    for _ in range(3):
        y = n.cb(n.cbr(n.cbr(torch.cat([kept, grown], 1), 16, 1), 16, 3, 1, 4), 22, 1)
        kept, grown = kept + y[:, :16], torch.cat([grown, y[:, 16:]], 1)
    return n.embed(n.down(n.down(F.relu(torch.cat([kept, grown], 1)), 32), 32))


@honest_torch("LightCNN: max-feature-map, the larger one of two halves of the channels.", idea="maxout", trained=6)
def lightcnn_mfm(n: Net, x: T) -> T:
    for width, k in ((12, 5), (16, 3), (24, 3), (32, 3)):
        a, b = n.conv(x, 2 * width, k).chunk(2, 1)
        x = F.max_pool2d(torch.maximum(a, b), 2)
    a, b = n.linear(x.flatten(1), 128).chunk(2, 1)
    return n.bn(torch.maximum(a, b))


@honest_torch("VGG-Face: plain convolutions with a dropout that is off.", idea="plain")
def vggface_dropout(n: Net, x: T) -> T:
    for width in (8, 16, 24, 32):
        x = F.max_pool2d(F.relu(n.conv(F.relu(n.conv(x, width)), width)), 2)
    return n.embed(n.same(x, lambda: torch.nn.Dropout(0.4)))


@honest_torch("A plain network with SELU and no normalisation.", idea="plain")
def selu_plain(n: Net, x: T) -> T:
    for width in (12, 16, 24, 32):
        x = F.selu(n.conv(x, width, 3, 2))
    return n.embed(x)


@honest_torch(
    "SpineNet-like: features of many scales are resampled to each other in a found order.", idea="resolutions"
)
def spinenet(n: Net, x: T) -> T:
    a = n.stem(x)
    b, c = n.down(a, 16), n.down(n.down(a, 16), 16)
    d = n.cbr(F.interpolate(c, scale_factor=4, mode="nearest") + a, 16)
    e = n.cbr(F.max_pool2d(d, 2) + b, 16)
    f = n.cbr(F.interpolate(n.conv(c, 16, 1), scale_factor=2, mode="nearest") + e, 24)
    return n.embed(n.down(f, 32))


@honest_torch(
    "Big-Little Net: a deep branch at half size and a shallow one at full, of different layers, on features.",
    idea="resolutions",
)
def big_little(n: Net, x: T) -> T:
    x = n.stem(x)
    big = F.interpolate(n.res(n.res(n.down(x, 24))), scale_factor=2, mode="bilinear", align_corners=False)
    little = n.cbr(n.cbr(x, 12), 24, 1)
    return n.embed(n.down(n.down(big + little, 32), 32))


@honest_torch("Dilated residual network: strides replaced by dilation, the grid artefacts smoothed.", idea="dilation")
def dilated_resnet(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 24)
    for d in (1, 2, 4):
        x = F.relu(x + n.cb(n.cbr(x, 24, 3, dilation=d), 24, 3, dilation=d))
    return n.embed(n.down(n.cbr(x, 24), 24))
