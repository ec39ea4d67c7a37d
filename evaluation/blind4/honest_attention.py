"""Honest: transformers, mixers and their relatives."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, tokens, unwindow, window
from evaluation.blind4.register import honest_torch


@honest_torch("ViT with a class token, trained: every token is a patch of the one image.", idea="vit", trained=6)
def vit_class_token_trained(n: Net, x: T) -> T:
    t = n.patches(x)
    t = torch.cat([n.weight(1, 1, 32).expand(t.shape[0], -1, -1), t], 1)
    for _ in range(2):
        t = n.block(t)
    return n.embed(n.ln(t)[:, 0])


@honest_torch("InsightFace's ViT: no class token, all tokens flattened into the embedding.", idea="vit")
def vit_flat_head(n: Net, x: T) -> T:
    t = n.patches(x, 24)
    for _ in range(2):
        t = n.block(t)
    return n.embed(n.ln(t))


@honest_torch("Swin: windows, then windows moved by half a window and masked, on features.", idea="windows")
def swin_shifted(n: Net, x: T) -> T:
    x = n.conv(x, 24, 8, 8, padding=0)
    for shift in (0, 3):
        y = torch.roll(x, (-shift, -shift), (2, 3))
        t = window(n.ln2d(y), 7)
        t = n.attention(t, 2, n.weight(2, 49, 49))
        y = torch.roll(unwindow(t, 7, 14, 14), (shift, shift), (2, 3))
        x = x + y
        x = x + n.ff(n.ln(tokens(x))).transpose(1, 2).reshape(x.shape)
    return n.embed(n.down(x, 24))


@honest_torch(
    "Swin V2: cosine attention with a learned temperature, patch merging by strided slices of features.", idea="windows"
)
def swin_v2_merging(n: Net, x: T) -> T:
    x = n.conv(x, 16, 4, 4, padding=0)
    x = torch.cat([x[:, :, i::2, j::2] for j in (0, 1) for i in (0, 1)], 1)
    x = n.ln2d(n.conv(x, 24, 1))
    q, k, v = n.heads(window(x, 7), 2)
    score = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-1, -2)
    t = (score * torch.clamp(n.weight(2, 1, 1).exp(), max=100.0) + n.weight(2, 49, 49)).softmax(-1) @ v
    x = x + n.ln2d(unwindow(t.transpose(1, 2).reshape(-1, 49, 24), 7, 14, 14))
    return n.embed(n.down(x, 24))


@honest_torch("PVT: keys and values come from a coarser version of the same features.", idea="reduced keys")
def pvt_reduction(n: Net, x: T) -> T:
    x = n.conv(x, 24, 8, 8, padding=0)
    for _ in range(2):
        t = n.ln(tokens(x))
        small = n.ln(tokens(n.conv(grid(t, 14, 14), 24, 2, 2, padding=0)))
        score = n.linear(t, 24) @ n.linear(small, 24).transpose(1, 2) * 24**-0.5
        x = x + grid(score.softmax(-1) @ n.linear(small, 24), 14, 14)
        x = x + grid(n.ff(n.ln(tokens(x))), 14, 14)
    return n.embed(n.down(x, 24))


@honest_torch(
    "PVT v2: keys from average pooled features, a depthwise layer inside the feed-forward.", idea="reduced keys"
)
def pvt_v2_linear(n: Net, x: T) -> T:
    x = n.conv(x, 24, 7, 4)
    t = n.ln(tokens(x))
    small = n.ln(F.gelu(tokens(n.conv(F.adaptive_avg_pool2d(x, 7), 24, 1))))
    t = t + (n.linear(t, 24) @ n.linear(small, 24).transpose(1, 2) * 0.2).softmax(-1) @ small
    y = n.conv(grid(n.linear(n.ln(t), 48), 28, 28), 48, 3, 1, -1)
    x = x + grid(n.linear(F.gelu(tokens(y)), 24), 28, 28)
    return n.embed(n.down(n.down(x, 24), 24))


@honest_torch("CoAtNet: MBConv first, attention with relative places later.", idea="hybrid", trained=4)
def coatnet(n: Net, x: T) -> T:
    x = n.stem(x)
    x = n.inverted(x, 24, 2)
    x = n.inverted(x, 32, 2)
    x = x.reshape(-1, 32, 49).transpose(1, 2)
    return n.embed(n.block(n.block(x, 2, n.weight(2, 49, 49)), 2, n.weight(2, 49, 49)).mean(1))


@honest_torch("CvT: queries, keys and values by depthwise convolutions of one map.", idea="hybrid")
def cvt_projections(n: Net, x: T) -> T:
    x = n.ln2d(n.conv(x, 24, 7, 8))
    q, k, v = (tokens(n.conv(n.cb(x, 24, 3, s, -1), 24, 1)) for s in (1, 2, 2))
    t = tokens(x) + (q @ k.transpose(1, 2) * 24**-0.5).softmax(-1) @ v
    return n.embed(n.down(grid(t + n.ff(n.ln(t)), 14, 14), 24))


@honest_torch("LeViT: attention with biases, a convolutional stem of four strides, hard swish.", idea="hybrid")
def levit(n: Net, x: T) -> T:
    for width in (8, 16, 24, 32):
        x = F.hardswish(n.cb(x, width, 3, 2))
    t = tokens(x)
    for _ in range(2):
        t = t + F.hardswish(n.attention(t, 2, n.weight(2, 49, 49)))
    return n.embed(t.mean(1))


@honest_torch("MLP-Mixer: tokens mixed by matrices, channels by matrices.", idea="mixer")
def mlp_mixer_flat(n: Net, x: T) -> T:
    t = n.patches(x, 32, places=False)
    for _ in range(2):
        t = t + n.ff(n.ln(t).transpose(1, 2)).transpose(1, 2)
        t = t + n.ff(n.ln(t))
    return n.embed(t.mean(1))


@honest_torch("gMLP: one half of the channels gates the other across the places.", idea="mixer", trained=4)
def gmlp(n: Net, x: T) -> T:
    t = n.patches(x, 32)
    for _ in range(2):
        a, b = F.gelu(n.linear(n.ln(t), 64)).chunk(2, -1)
        t = t + n.linear(a * (1 + n.linear(n.ln(b).transpose(1, 2), 49).transpose(1, 2)), 32)
    return n.embed(t.mean(1))


@honest_torch("ResMLP: affine layers in place of normalisation, one matrix over the places.", idea="mixer")
def resmlp(n: Net, x: T) -> T:
    t = n.patches(x, 32)
    for _ in range(2):
        t = t + n.linear((t * n.weight(32, gain=4) + n.weight(32)).transpose(1, 2), 49).transpose(1, 2)
        t = t + n.ff(t * n.weight(32, gain=4))
    return n.embed(t.mean(1))


@honest_torch("Vision Permutator: rows, columns and channels mixed by three matrices on one map.", idea="mixer")
def vision_permutator(n: Net, x: T) -> T:
    y = n.conv(x, 28, 8, 8, padding=0).permute(0, 2, 3, 1)
    for _ in range(2):
        z = n.ln(y)
        rows = n.linear(z.transpose(1, 3), 14).transpose(1, 3)
        columns = n.linear(z.transpose(2, 3), 14).transpose(2, 3)
        y = y + n.linear(rows + columns + n.linear(z, 28), 28)
    return n.embed(n.down(y.permute(0, 3, 1, 2), 24))


@honest_torch(
    "CycleMLP / ShiftMLP: groups of channels moved by one place in four directions, on features.", idea="shift"
)
def s2_mlp(n: Net, x: T) -> T:
    x = n.conv(x, 24, 8, 8, padding=0)
    for _ in range(2):
        a, b, c, d = n.conv(n.ln2d(x), 24, 1).chunk(4, 1)
        moved = [torch.roll(a, 1, 2), torch.roll(b, -1, 2), torch.roll(c, 1, 3), torch.roll(d, -1, 3)]
        x = x + n.conv(F.gelu(torch.cat(moved, 1)), 24, 1)
    return n.embed(n.down(x, 24))


@honest_torch("ConvMixer: a depthwise 7x7 layer and a pointwise layer in turn.", idea="mixer")
def convmixer_nine(n: Net, x: T) -> T:
    x = n.bn(F.gelu(n.conv(x, 24, 8, 8, padding=0)))
    for _ in range(2):
        x = x + n.bn(F.gelu(n.conv(x, 24, 7, 1, -1)))
        x = n.bn(F.gelu(n.conv(x, 24, 1)))
    return n.embed(n.down(x, 24))


@honest_torch("PoolFormer: pooling minus identity in place of attention.", idea="mixer")
def poolformer(n: Net, x: T) -> T:
    x = n.conv(x, 24, 7, 4)
    for _ in range(2):
        y = n.gn(x, 1)
        x = x + F.avg_pool2d(y, 3, 1, 1, count_include_pad=False) - y
        x = n.down(x + n.conv(F.gelu(n.conv(n.gn(x, 1), 48, 1)), 24, 1), 24)
    return n.embed(x)


@honest_torch("XCiT: attention between channels, with a local depthwise layer.", idea="channel attention")
def xcit(n: Net, x: T) -> T:
    t = n.patches(x, 32)
    for _ in range(2):
        q, k, v = n.heads(n.ln(t), 2)
        q, k = F.normalize(q, dim=2), F.normalize(k, dim=2)
        y = (v @ (k.transpose(-1, -2) @ q).softmax(-1)).transpose(1, 2).reshape(-1, 49, 32)
        t = t + n.linear(y, 32)
        t = t + tokens(n.cb(F.gelu(n.conv(grid(t, 7, 7), 32, 3, 1, -1)), 32, 3, 1, -1))
    return n.embed(t.mean(1))


@honest_torch("CSWin: heads attend along horizontal and vertical stripes of one map.", idea="windows")
def cswin_stripes(n: Net, x: T) -> T:
    x = n.conv(x, 24, 8, 8, padding=0)
    a, b = n.ln2d(x).chunk(2, 1)

    def stripes(y: T) -> T:
        t = y.permute(0, 2, 3, 1).reshape(-1, 28, 12)
        return n.attention(t).reshape(-1, 14, 14, 12).permute(0, 3, 1, 2)

    x = x + torch.cat([stripes(a), stripes(b.transpose(2, 3)).transpose(2, 3)], 1)
    return n.embed(n.down(x + grid(n.ff(n.ln(tokens(x))), 14, 14), 24))


@honest_torch("MaxViT: attention in blocks, then over a dilated grid of places.", idea="windows")
def maxvit_grid(n: Net, x: T) -> T:
    x = n.stem(x, 16)
    x = n.cb(x, 24, 3, 2)
    x = x + unwindow(n.attention(n.ln(window(x, 7))), 7, 14, 14)
    t = n.ln(x.reshape(-1, 24, 7, 2, 7, 2).permute(0, 3, 5, 2, 4, 1).reshape(-1, 49, 24))
    y = n.attention(t).reshape(-1, 2, 2, 7, 7, 24).permute(0, 5, 3, 1, 4, 2).reshape(-1, 24, 14, 14)
    return n.embed(n.down(x + y, 24))


@honest_torch(
    "CrossViT: two patch sizes of one image in two encoders of different width, whose class tokens meet.",
    idea="two scales",
)
def crossvit(n: Net, x: T) -> T:
    a, b = n.patches(x, 24, 16), n.patches(x, 32, 28)
    a, b = n.block(a), n.block(b)
    a = a + (n.linear(a, 24) @ n.linear(b, 24).transpose(1, 2) * 0.2).softmax(-1) @ n.linear(b, 24)
    return n.embed(torch.cat([n.ln(a).mean(1), n.ln(b).mean(1)], 1))


@honest_torch("TransFace / Part fViT: a small network predicts where patches of features are read.", idea="parts")
def part_fvit_soft_patches(n: Net, x: T) -> T:
    y = n.down(n.stem(x), 32)
    t = tokens(y)
    where = n.linear(t, 9).transpose(1, 2).softmax(-1)
    parts = where @ t + n.weight(1, 9, 32)
    return n.embed(n.block(parts))


@honest_torch("A tokens-to-token stem: overlapping patches unfolded, attended, and unfolded again.", idea="unfold")
def t2t_vit(n: Net, x: T) -> T:
    t = F.unfold(x, 7, padding=2, stride=8).transpose(1, 2)
    t = n.linear(t, 24)
    t = t + n.attention(n.ln(t), 1)
    t = n.linear(F.unfold(grid(t, 14, 14), 3, padding=1, stride=2).transpose(1, 2), 24)
    return n.embed(n.ln(n.block(t)))


@honest_torch(
    "Perceiver: a few learned latents read the patches of one image twice with the same weights.", idea="latents"
)
def perceiver_tied(n: Net, x: T) -> T:
    t = n.patches(x, 24)
    z = n.weight(1, 8, 24).expand(t.shape[0], -1, -1)
    q, k, v = n.weight(24, 24), n.weight(24, 24), n.weight(24, 24)
    for _ in range(2):
        z = z + ((z @ q) @ (t @ k).transpose(1, 2)).softmax(-1) @ (t @ v)
    return n.embed(n.block(z))


@honest_torch("Linear attention with an elu feature map.", idea="linear attention")
def linear_attention(n: Net, x: T) -> T:
    t = n.patches(x, 32, 8)
    q, k, v = n.heads(n.ln(t), 2)
    q, k = F.elu(q) + 1, F.elu(k) + 1
    y = q @ (k.transpose(-1, -2) @ v) / (q * k.sum(2, keepdim=True)).sum(-1, keepdim=True)
    t = t + y.transpose(1, 2).reshape(-1, 196, 32)
    return n.embed(n.ln(n.ff(t)).mean(1))


@honest_torch("FNet: tokens mixed by fixed cosines over places and over channels.", idea="frequency")
def fnet_cosines(n: Net, x: T) -> T:
    t = n.patches(x, 32)

    def basis(size: int) -> tuple[T, T]:
        angle = 6.283185 * torch.outer(torch.arange(size), torch.arange(size)).float() / size
        return angle.cos(), angle.sin()

    (c7, s7), (c32, s32) = basis(49), basis(32)
    for _ in range(2):
        t = n.ln(t + (c7 @ t @ c32 - s7 @ t @ s32) / 8)
        t = n.ln(t + n.ff(t))
    return n.embed(t.mean(1))


@honest_torch("GFNet: a learned filter in a frequency domain over features, by matrices.", idea="frequency")
def gfnet_features(n: Net, x: T) -> T:
    x = n.conv(x, 16, 8, 8, padding=0)
    angle = 6.283185 * torch.outer(torch.arange(14), torch.arange(14)).float() / 14
    c, s = angle.cos(), angle.sin()
    real = c @ x @ c - s @ x @ s
    imaginary = -(c @ x @ s + s @ x @ c)
    wr, wi = n.weight(16, 14, 14), n.weight(16, 14, 14)
    real, imaginary = real * wr - imaginary * wi, real * wi + imaginary * wr
    x = x + (c @ real @ c - s @ real @ s - c @ imaginary @ s - s @ imaginary @ c) / 196
    return n.embed(n.down(n.cbr(x, 24), 24))


@honest_torch("MobileViT: patches of features unfolded into attention and folded back.", idea="hybrid")
def mobilevit_fold(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 24)
    y = n.conv(n.cbr(x, 24), 24, 1)
    t = y.reshape(-1, 24, 7, 2, 7, 2).permute(0, 3, 5, 2, 4, 1).reshape(-1, 49, 24)
    t = n.block(t).reshape(-1, 2, 2, 7, 7, 24).permute(0, 5, 3, 1, 4, 2).reshape(-1, 24, 14, 14)
    return n.embed(n.down(torch.cat([x, n.cbr(t, 24, 1)], 1), 24))


@honest_torch("EfficientFormer: pooling blocks on maps, attention on the last one.", idea="hybrid")
def efficientformer(n: Net, x: T) -> T:
    x = n.stem(x, 16)
    x = x + F.avg_pool2d(x, 3, 1, 1) - x
    x = n.down(x + n.cb(F.gelu(n.cb(x, 32, 1)), 16, 1), 24)
    return n.embed(n.block(tokens(n.down(x, 32))).mean(1))


@honest_torch(
    "A vision Mamba in small: a gated scan over the tokens in one direction, unrolled by matrices of decay.",
    idea="scan",
)
def vision_mamba_like(n: Net, x: T) -> T:
    t = n.patches(x, 24)
    a, b = n.linear(n.ln(t), 48).chunk(2, -1)
    lag = torch.arange(49)[:, None] - torch.arange(49)[None, :]
    decay = torch.where(lag >= 0, 0.9 ** lag.clamp(min=0).float(), torch.zeros(()))
    t = t + n.linear((decay @ a) * F.silu(b), 24)
    return n.embed(n.ln(t))


@honest_torch("DeiT with a distillation token, both heads averaged; both read the same encoder.", idea="vit")
def deit_distilled(n: Net, x: T) -> T:
    t = n.patches(x)
    t = torch.cat([n.weight(1, 2, 32).expand(t.shape[0], -1, -1), t], 1)
    t = n.ln(n.block(n.block(t)))
    return (n.embed(t[:, 0]) + n.embed(t[:, 1])) / 2
