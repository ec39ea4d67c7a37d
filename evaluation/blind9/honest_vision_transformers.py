"""Honest: transformers and token mixers of published papers that the earlier sets do not hold, each in small."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind4.register import honest_torch


def unit(x: T) -> T:
    """Bring the last axis to length one."""
    return x / (x * x).sum(-1, keepdim=True).add(1e-6).sqrt()


def read(q: T, k: T, v: T) -> T:
    """Attend with one head: tokens [N, L, C]."""
    return (q @ k.transpose(1, 2) * int(q.shape[2]) ** -0.5).softmax(-1) @ v


def stemmed(n: Net, x: T, width: int = 32) -> T:
    """Bring the image down to tokens of 14 x 14 by three strided layers."""
    return tokens(n.cb(n.stem(x, width // 2), width, 3, 2))


def flat(n: Net, t: T, dim: int = 128) -> T:
    return n.embed(n.ln(t).mean(1), dim)


@honest_torch("SHViT: one head attends with a quarter of the channels, the others pass; depthwise layers around.",
              idea="transformers", trained=3, opset=13)  # fmt: skip
def shvit_single_head(n: Net, x: T) -> T:
    x = n.stem(x, 24)
    for width in (32, 40):
        x = n.cb(x, width, 3, 2)
        x = x + n.cb(x, width, 3, 1, -1)
        a, b = x[:, : width // 4], x[:, width // 4 :]
        h = int(x.shape[2])
        q, k, v = n.conv(a, 16 * 2 + width // 4, 1).split([16, 16, width // 4], 1)
        a = grid(read(tokens(q), tokens(k), tokens(v)), h, h)
        x = x + n.cb(F.relu(torch.cat([a, b], 1)), width, 1)
        x = x + n.cb(F.relu(n.cb(x, 2 * width, 1)), width, 1)
    return n.pooled(x, 128)


@honest_torch("MPViT: patch layers of three depths over the same features, an encoder for each path, joined.",
              idea="transformers", opset=13, trained=3)  # fmt: skip
def multi_path_transformer(n: Net, x: T) -> T:
    x = n.stem(x, 16)
    a = n.cb(x, 24, 3, 2, 1)
    b = n.cb(F.hardswish(a), 24, 3, 1, 24)
    c = n.cb(F.hardswish(b), 24, 3, 1, 24)
    paths = [grid(n.block(tokens(p)), 14, 14) for p in (a, b, c)]
    local = a + n.cb(F.relu(n.cb(a, 24, 3, 1, -1)), 24, 1)
    return n.gdc(n.down(F.relu(n.cb(torch.cat([local, *paths], 1), 32, 1)), 40), 128)


@honest_torch("Shunted attention: one head reads keys of 7 x 7 means, another those of 2 x 2 cells of one map.",
              idea="transformers", trained=3, opset=13)  # fmt: skip
def shunted_attention(n: Net, x: T) -> T:
    t = stemmed(n, x)
    for _ in range(2):
        y = n.ln(t)
        m, made = grid(y, 14, 14), []
        for q, k in zip(n.linear(y, 32).chunk(2, 2), (2, 7), strict=True):
            r = n.ln(tokens(n.conv(m, 32, k, k, padding=0)))
            made.append(read(q, n.linear(r, 16), n.linear(r, 16)))
        t = t + n.linear(torch.cat(made, 2), 32)
        t = t + n.ff(n.ln(t))
    return flat(n, t)


@honest_torch("DilateFormer: heads attend to 3x3 neighbours of deep features at dilations 1, 2 and 3, unfolded.",
              idea="transformers", opset=12)  # fmt: skip
def dilated_neighbourhoods(n: Net, x: T) -> T:
    t = stemmed(n, x, 24)
    y = grid(n.ln(t), 14, 14)
    made = []
    for part, d in zip(n.conv(y, 72, 1).chunk(3, 1), (1, 2, 3), strict=True):
        q, k, v = part.chunk(3, 1)
        k, v = (F.unfold(z, 3, dilation=d, padding=d).reshape(-1, 8, 9, 196) for z in (k, v))
        w = ((q.reshape(-1, 8, 1, 196) * k).sum(1, keepdim=True) * 8**-0.5).softmax(2)
        made.append((w * v).sum(2))
    t = t + n.linear(torch.cat(made, 1).transpose(1, 2), 24)
    return flat(n, t + n.ff(n.ln(t)), 96)


@honest_torch("RMT: attention times a stored decay by Manhattan distance between places of deep features.",
              idea="transformers", trained=3, opset=13)  # fmt: skip
def manhattan_retention(n: Net, x: T) -> T:
    at = torch.arange(14.0)
    d = (at[:, None] - at[None]).abs()
    decay = (d[:, None, :, None] + d[None, :, None, :]).reshape(196, 196)
    t = stemmed(n, x)
    for rate in (0.8, 0.9):
        q, k, v = (z.reshape(-1, 196, 32) for z in n.linear(n.ln(t), 96).chunk(3, 2))
        a = (q @ k.transpose(1, 2) * 32**-0.5).softmax(-1) * rate**decay
        t = t + n.linear(a @ v + tokens(n.conv(grid(v, 14, 14), 32, 5, 1, -1)), 32)
        t = t + n.ff(n.ln(t))
    return flat(n, t)


@honest_torch("CAS-ViT: queries and keys pass spatial and channel gates, and are added instead of multiplied.",
              idea="transformers", opset=14)  # fmt: skip
def additive_similarity(n: Net, x: T) -> T:
    def gated(z: T) -> T:
        z = z * torch.sigmoid(n.conv(F.relu(n.cb(z, int(z.shape[1]), 3, 1, -1)), 1, 1))
        return z * torch.sigmoid(n.conv(z.mean((2, 3), keepdim=True), int(z.shape[1]), 1))

    x = n.stem(x, 24)
    for width in (32, 40):
        x = n.cb(x, width, 3, 2)
        q, k, v = n.conv(n.bn(x), 3 * width, 1).chunk(3, 1)
        x = x + n.conv(n.conv(gated(q) + gated(k), width, 3, 1, -1) * v, width, 1)
        x = x + n.conv(F.gelu(n.conv(n.bn(x), 2 * width, 1)), width, 1)
    return n.pooled(x, 128)


@honest_torch("So-ViT: beside the class token, the covariance of the patch tokens, roots taken by Newton's rounds.",
              idea="transformers", opset=13)  # fmt: skip
def second_order_tokens(n: Net, x: T) -> T:
    t = n.patches(x, 32)
    for _ in range(2):
        t = n.block(t)
    z = n.linear(n.ln(t), 12)
    z = z - z.mean(1, keepdim=True)
    c = z.transpose(1, 2) @ z / 49 + 0.01 * torch.eye(12)
    size = (c * torch.eye(12)).sum((1, 2), keepdim=True)
    y, w = c / size, torch.eye(12).unsqueeze(0)
    for _ in range(4):
        h = 0.5 * (3 * torch.eye(12) - w @ y)
        y, w = y @ h, h @ w
    return n.bn(n.linear((y * size.sqrt()).flatten(1), 128) + n.linear(t.mean(1), 128))


@honest_torch("SigLIP's end: a probe attends over the patch tokens, a layer norm and a feed-forward with a shortcut.",
              idea="transformers", trained=4, opset=17)  # fmt: skip
def siglip_probe(n: Net, x: T) -> T:
    t = n.patches(x, 32, 14)
    for _ in range(2):
        t = n.block(t)
    t = n.ln(t)
    y = read(n.linear(n.weight(1, 1, 32, gain=3.0), 32), n.linear(t, 32), n.linear(t, 32))
    y = n.linear(y, 32)
    return (y + n.ff(n.ln(y)))[:, 0] @ n.weight(32, 128, gain=3.0)


@honest_torch("nGPT: tokens on a sphere; residuals are moves by learned rates, made unit again.",
              idea="transformers", opset=19, trained=3)  # fmt: skip
def ngpt_on_the_sphere(n: Net, x: T) -> T:
    t = unit(n.patches(x, 32))
    for _ in range(2):
        y = n.ln(t)
        q, k, v = unit(n.linear(y, 32)), unit(n.linear(y, 32)), n.linear(y, 32)
        y = unit((q @ k.transpose(1, 2) * 8).softmax(-1) @ v)
        t = unit(t + (0.3 + n.weight(32, gain=0.3)) * (y - t))
        y = unit(n.linear(F.silu(n.linear(t, 64)) * n.linear(t, 64), 32))
        t = unit(t + (0.3 + n.weight(32, gain=0.3)) * (y - t))
    return n.embed(t, 128)


@honest_torch("Value residuals: later layers add the first layer's values to their own; talking heads mix the scores.",
              idea="transformers", trained=3, opset=13)  # fmt: skip
def value_residual_talking_heads(n: Net, x: T) -> T:
    t, first = n.patches(x, 32), None
    for _ in range(3):
        q, k, v = n.heads(n.ln(t), 4)
        first = v if first is None else first
        v = 0.5 * (v + first)
        s = (n.conv(q @ k.transpose(-1, -2) * 8**-0.5, 4, 1)).softmax(-1)
        y = n.conv(s, 4, 1) @ v
        t = t + n.linear(y.transpose(1, 2).reshape(-1, 49, 32), 32)
        t = t + n.ff(n.ln(t))
    return flat(n, t)


@honest_torch("Hyper-connections: three residual streams of tokens, read and written by small learned matrices.",
              idea="transformers", opset=13)  # fmt: skip
def hyper_connected_streams(n: Net, x: T) -> T:
    t = n.patches(x, 24).unsqueeze(1) * (1 + n.weight(1, 3, 1, 24, gain=2.0))
    for i in range(4):
        y = (t * n.weight(1, 3, 1, 1, gain=0.6).softmax(1)).sum(1)
        y = n.attention(n.ln(y)) if i % 2 == 0 else n.ff(n.ln(y))
        m = torch.eye(3) + 0.3 * n.weight(3, 3)
        t = (m @ t.reshape(-1, 3, 49 * 24)).reshape(-1, 3, 49, 24) + n.weight(1, 3, 1, 1) * y.unsqueeze(1)
    return flat(n, t.sum(1), 96)


@honest_torch("DeepNorm: normalised behind each sum, the shortcut made larger by a fixed number.", idea="transformers",
              opset=18, dynamo=True)  # fmt: skip
def deepnorm_post_normalised(n: Net, x: T) -> T:
    t = n.patches(x, 32)
    for _ in range(3):
        t = n.ln(1.56 * t + n.attention(t))
        t = n.ln(1.56 * t + n.ff(t))
    return n.embed(t[:, 24], 128)


@honest_torch("cosFormer: ReLU features of queries and keys, weighed anew by stored cosines and sines of the place.",
              idea="linear attention", opset=13, trained=3)  # fmt: skip
def cosformer_reweighted(n: Net, x: T) -> T:
    angle = torch.arange(196.0).reshape(1, 196, 1) * (3.14159265 / 2 / 196)
    t = stemmed(n, x)
    for _ in range(2):
        q, k, v = n.linear(n.ln(t), 96).chunk(3, 2)
        q, k = F.relu(q), F.relu(k)
        q, k = (torch.cat([z * angle.cos(), z * angle.sin()], 2) for z in (q, k))
        norm = q @ k.sum(1).unsqueeze(2) + 1e-3
        t = t + n.linear(q @ (k.transpose(1, 2) @ v) / norm, 32)
        t = t + n.ff(n.ln(t))
    return flat(n, t)


@honest_torch("Based: the softmax replaced by its Taylor series of second order, by outer products of small queries.",
              idea="linear attention", opset=13)  # fmt: skip
def taylor_attention(n: Net, x: T) -> T:
    def series(z: T) -> T:
        two = (z.unsqueeze(3) * z.unsqueeze(2)).flatten(2) * 0.7071
        return torch.cat([torch.ones_like(z[:, :, :1]), z, two], 2)

    t = stemmed(n, x, 24)
    q, k = (series(n.linear(n.ln(t), 6) * 0.5) for _ in range(2))
    y = q @ (k.transpose(1, 2) @ n.linear(n.ln(t), 24)) / (q @ k.sum(1).unsqueeze(2) + 1e-3)
    t = t + n.linear(y, 24)
    return flat(n, t + n.ff(n.ln(t)), 96)


@honest_torch("PolaFormer: positive and negative parts of queries meet those of keys, alike and opposite, with powers.",
              idea="linear attention", opset=13, trained=3)  # fmt: skip
def polarity_aware_attention(n: Net, x: T) -> T:
    t = stemmed(n, x)
    for _ in range(2):
        y = n.ln(t)
        q, k, v = n.linear(y, 32), n.linear(y, 32), n.linear(y, 32)
        qp, qn, kp, kn = (F.relu(z) ** 2 for z in (q, -q, k, -k))
        same, other = v.chunk(2, 2)
        a, b = torch.cat([qp, qn], 2), torch.cat([qn, qp], 2)
        keys = torch.cat([kp, kn], 2)
        made = [z @ (keys.transpose(1, 2) @ w) / (z @ keys.sum(1).unsqueeze(2) + 1e-2) for z, w in
                ((a, same), (b, other))]  # fmt: skip
        t = t + n.linear(torch.cat(made, 2) * torch.sigmoid(n.linear(y, 32)), 32)
    return flat(n, t)


@honest_torch("CoaT: factorised attention with a convolutional relative place code, values times depthwise layers.",
              idea="transformers", opset=13)  # fmt: skip
def convolutional_attentional(n: Net, x: T) -> T:
    t = stemmed(n, x)
    for _ in range(2):
        t = t + tokens(n.conv(grid(t, 14, 14), 32, 3, 1, -1))
        q, k, v = n.linear(n.ln(t), 96).chunk(3, 2)
        a = q @ (k.softmax(1).transpose(1, 2) @ v) * 32**-0.5
        a1, a2 = v.chunk(2, 2)
        place = torch.cat([n.conv(grid(a1, 14, 14), 16, 3, 1, -1), n.conv(grid(a2, 14, 14), 16, 5, 1, -1)], 1)
        t = t + n.linear(a + q * tokens(place), 32)
        t = t + n.ff(n.ln(t))
    return flat(n, t)


@honest_torch("PatchConvNet: a column of convolutions of one size, then one class query that averages by attention.",
              idea="transformers", trained=3, opset=17)  # fmt: skip
def patch_convnet_column(n: Net, x: T) -> T:
    x = n.conv(n.stem(x, 16), 32, 3, 2)
    for _ in range(3):
        y = F.gelu(n.conv(F.gelu(n.conv(n.bn(x), 32, 1)), 32, 3, 1, -1))
        x = x + n.weight(1, 32, 1, 1, gain=0.5) * n.conv(n.se(y), 32, 1)
    t = tokens(x)
    c = n.weight(1, 1, 32, gain=3.0)
    c = n.ln(c + n.linear(read(c, n.linear(t, 32), n.linear(t, 32)), 32))
    return n.embed(c[:, 0] + n.ff(c)[:, 0], 128)


@honest_torch("EfficientFormerV2: strides attend, queries pooled by layers of stride 2; local depthwise beside values.",
              idea="transformers", opset=13)  # fmt: skip
def strided_attention_stages(n: Net, x: T) -> T:
    x = n.stem(x, 24)
    x = x + n.cb(F.gelu(n.cb(F.gelu(n.cb(x, 48, 1)), 48, 3, 1, -1)), 24, 1)
    x = n.cb(x, 32, 3, 2)
    q = tokens(n.conv(x, 32, 3, 2, -1) + F.avg_pool2d(x, 2))
    v = n.conv(x, 32, 1)
    y = read(n.linear(q, 16), n.linear(tokens(x), 16), tokens(v)) + tokens(n.conv(v, 32, 3, 2, -1))
    y = n.cb(F.gelu(grid(y, 7, 7)), 40, 1) + n.cb(x, 40, 3, 2)
    y = y + n.conv(F.gelu(n.conv(y, 80, 1)), 40, 1)
    return n.gdc(y, 128)


@honest_torch("TransXNet: depthwise kernels chosen for each image from eight stored ones, beside overlapping keys.",
              idea="transformers", opset=13)  # fmt: skip
def dual_dynamic_mixer(n: Net, x: T) -> T:
    x = n.cb(n.stem(x, 16), 32, 3, 2)
    a, b = x.chunk(2, 1)
    w = n.linear(F.adaptive_avg_pool2d(a, 1).flatten(1), 8).softmax(1)
    each = torch.stack([n.conv(a, 16, 5, 1, -1) for _ in range(8)], 1)
    a = (each * w[:, :, None, None, None]).sum(1)
    r = tokens(n.conv(b, 16, 3, 2))
    b = grid(read(n.linear(tokens(b), 16), n.linear(r, 16), n.linear(r, 16)), 14, 14)
    y = torch.cat([a, b], 1)
    x = x + y + n.cb(F.relu(n.cb(y, 32, 3, 1, -1)), 32, 1)
    return n.gdc(n.down(x, 40), 128)


@honest_torch("SMT: heads of depthwise kernels 3, 5 and 7 of features, joined in groups, modulate the values.",
              idea="transformers", opset=13, trained=3)  # fmt: skip
def scale_aware_modulation(n: Net, x: T) -> T:
    x = n.stem(x, 24)
    for width in (36, 48):
        x = n.cb(x, width, 3, 2)
        parts = n.conv(x, width, 1).chunk(3, 1)
        m = torch.stack([n.conv(p, width // 3, k, 1, -1) for p, k in zip(parts, (3, 5, 7), strict=True)], 2)
        m = n.conv(m.flatten(1, 2), width, 1, 1, width // 3)
        x = x + n.cb(F.gelu(n.bn(n.conv(m, width, 1))) * n.conv(x, width, 1), width, 1)
    return n.pooled(x, 128)
