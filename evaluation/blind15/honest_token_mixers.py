"""Honest: attention and token networks of the last years over one image's patches or features."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind4.register import honest_torch
from evaluation.blind14.honest_ends import deep, last


def join(n: Net, mixed: T) -> T:
    """Bring heads [N, H, L, C] together and project: [N, L, H * C]."""
    _, h, length, c = (int(s) for s in mixed.shape)
    return n.linear(mixed.transpose(1, 2).reshape(-1, length, h * c), h * c)


@honest_torch("Evo-ViT: the places the class token heeds most go through attention, the rest by one summed token.",
              idea="attention", trained=3, opset=13)  # fmt: skip
def slow_and_fast_tokens(n: Net, x: T) -> T:
    t = n.patches(x)
    t = n.block(torch.cat([n.weight(1, 1, 32) + 0 * t[:, :1], t], 1))
    q, k, _ = n.heads(n.ln(t), 1)
    heed = (q[:, 0, :1] @ k[:, 0, 1:].transpose(1, 2)).squeeze(1)
    least = heed.topk(24, 1)[0][:, 23:24]
    slow = (heed >= least).float().unsqueeze(2)
    rest = t[:, 1:]
    merged = ((1 - slow) * rest * heed.softmax(1).unsqueeze(2)).sum(1, keepdim=True)
    both = torch.cat([t[:, :1], rest * slow, merged], 1)
    new = n.attention(n.ln(both))
    t = torch.cat([t[:, :1] + new[:, :1], rest + slow * new[:, 1:50] + (1 - slow) * new[:, 50:]], 1)
    t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t)[:, 0], 128)


@honest_torch("Pale transformer: attention within every second row and every second column of the deep map.",
              idea="attention", trained=3, opset=12)  # fmt: skip
def interlaced_rows_and_columns(n: Net, x: T) -> T:
    y = deep(n, x)
    for _ in range(2):
        a, b = y.chunk(2, 1)
        rows = a.permute(0, 2, 3, 1).reshape(-1, 7, 2, 14, 16).permute(0, 2, 1, 3, 4).reshape(-1, 98, 16)
        rows = n.attention(n.ln(rows)).reshape(-1, 2, 7, 14, 16).permute(0, 2, 1, 3, 4).reshape(-1, 14, 14, 16)
        cols = b.permute(0, 3, 2, 1).reshape(-1, 7, 2, 14, 16).permute(0, 2, 1, 3, 4).reshape(-1, 98, 16)
        cols = n.attention(n.ln(cols)).reshape(-1, 2, 7, 14, 16).permute(0, 2, 1, 3, 4).reshape(-1, 14, 14, 16)
        y = y + torch.cat([rows.permute(0, 3, 1, 2), cols.permute(0, 3, 2, 1)], 1)
        y = y + n.conv(F.gelu(n.conv(n.ln2d(y), 48, 1)), 32, 1)
    return n.gdc(n.down(y, 40), 128)


@honest_torch("CAT, cross attention in a transformer: within patches of features, then channel by channel across "
              "patches.",
              idea="attention", opset=11)  # fmt: skip
def inner_and_cross_patch_attention(n: Net, x: T) -> T:
    y = deep(n, x, 24)
    inner = y.reshape(-1, 24, 2, 7, 2, 7).permute(0, 2, 4, 3, 5, 1).reshape(-1, 49, 24)
    inner = n.block(inner).reshape(-1, 2, 2, 7, 7, 24).permute(0, 5, 1, 3, 2, 4).reshape(-1, 24, 14, 14)
    cross = inner.reshape(-1, 24, 2, 7, 2, 7).permute(0, 1, 2, 4, 3, 5).reshape(-1, 4, 49)
    cross = n.block(cross, 1).reshape(-1, 24, 2, 2, 7, 7).permute(0, 1, 2, 4, 3, 5).reshape(-1, 24, 14, 14)
    return n.gdc(n.down(inner + cross, 36), 128)


@honest_torch("ActiveMLP: for each channel a stored set of neighbours is weighed by learned offsets of content, in "
              "rows "
              "and columns.",
              idea="token mixing", opset=12)  # fmt: skip
def active_token_mixer(n: Net, x: T) -> T:
    y = deep(n, x)
    for _ in range(2):
        z = n.ln2d(y)
        made = []
        for axis in (2, 3):
            share = n.conv(z, 3 * 4, 1).reshape(-1, 4, 3, 14, 14).softmax(2)
            near = torch.stack([torch.roll(z, s, axis) for s in (-2, 0, 2)], 1).reshape(-1, 3, 4, 8, 14, 14)
            made.append((near * share.permute(0, 2, 1, 3, 4).unsqueeze(3)).sum(1).reshape(-1, 32, 14, 14))
        made.append(z)
        y = y + n.conv(made[0] + made[1] + n.conv(made[2], 32, 1), 32, 1)
        y = y + n.conv(F.gelu(n.conv(n.ln2d(y), 64, 1)), 32, 1)
    return n.gdc(n.down(y, 40), 128)


@honest_torch("RALA: linear attention whose key-value buffer is weighed token by token by the global query, output "
              "modulated.",
              idea="linear attention", opset=13)  # fmt: skip
def rank_augmented_linear_attention(n: Net, x: T) -> T:
    t = tokens(deep(n, x))
    for _ in range(2):
        z = n.ln(t)
        q, k, v = n.heads(z, 2)
        q, k = F.elu(q) + 1, F.elu(k) + 1
        weight = 196 * (q.mean(2, keepdim=True) @ k.transpose(2, 3) * 0.25).softmax(-1)
        buffer = (k * weight.transpose(2, 3)).transpose(2, 3) @ v / 196
        mixed = join(n, (q @ buffer) / (q @ k.mean(2).unsqueeze(3) + 1e-4))
        t = t + mixed * F.silu(n.linear(z, 32))
        t = t + n.ff(n.ln(t))
    return n.gdc(n.down(grid(t, 14, 14), 40), 128)


@honest_torch("MALA: linear attention with the query's magnitude given back by a factor and an offset.",
              idea="linear attention", trained=3, opset=11)  # fmt: skip
def magnitude_aware_linear_attention(n: Net, x: T) -> T:
    t = tokens(last(n, x)) + n.weight(1, 49, 32)
    for _ in range(2):
        q, k, v = n.heads(n.ln(t), 2)
        q, k = F.elu(q) + 1, F.elu(k) + 1
        total = q @ k.sum(2).unsqueeze(3)
        beta = 1 + 1 / total
        mixed = beta * (q @ (k.transpose(2, 3) @ v)) - total / 49 * v.sum(2, keepdim=True) / 49
        t = t + join(n, mixed / 16)
        t = t + n.ff(n.ln(t))
    return n.embed(t.mean(1), 128)


@honest_torch("InLine: linear attention made injective by subtracting the mean, with a local residual of 3x3 weights.",
              idea="linear attention", opset=15)  # fmt: skip
def injective_linear_attention(n: Net, x: T) -> T:
    t = tokens(deep(n, x))
    for _ in range(2):
        q, k, v = n.heads(n.ln(t), 2)
        near = tokens(n.conv(grid(t, 14, 14), 32, 3, 1, -1))
        kv, mean = k.transpose(2, 3) @ v / 196, v.mean(2, keepdim=True)
        mixed = q @ kv * 0.25 - (q @ k.mean(2).unsqueeze(3)) * 0.25 * mean + mean
        t = t + join(n, mixed) + near
        t = t + n.ff(n.ln(t))
    return n.gdc(n.down(grid(t, 14, 14), 40), 128)


@honest_torch("DenseFormer: behind each block a weighted mean, with stored weights, of all earlier blocks' outputs.",
              idea="attention", trained=4, opset=11)  # fmt: skip
def depth_weighted_means_of_blocks(n: Net, x: T) -> T:
    t = n.patches(x, 32, 14)
    seen = [t]
    for _ in range(3):
        seen.append(n.block(t, 4))
        share = n.weight(1, len(seen), gain=0.3)
        t = seen[-1]
        for i, old in enumerate(seen):
            t = t + share[0, i] * old
    return n.embed(n.ln(t).mean(1), 256)


@honest_torch("YOCO and cross-layer attention: keys and values are made once, two later layers make queries alone.",
              idea="attention", opset=16)  # fmt: skip
def keys_and_values_made_once(n: Net, x: T) -> T:
    t = n.block(n.patches(x, 32, 16), 2)
    _, k, v = n.heads(n.ln(t), 2)
    for _ in range(3):
        q = n.linear(n.ln(t), 32).reshape(-1, 49, 2, 16).transpose(1, 2)
        t = t + join(n, (q @ k.transpose(2, 3) * 0.25).softmax(-1) @ v)
        t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t).mean(1), 128)


@honest_torch("Reformer: queries that are keys, hashed by stored projections, heed only places of the same bucket.",
              idea="attention", opset=12)  # fmt: skip
def places_of_one_hash_bucket(n: Net, x: T) -> T:
    t = tokens(last(n, x)) + n.weight(1, 49, 32)
    planes = n.weight(32, 2)
    for _ in range(2):
        z = n.ln(t)
        turned = z @ planes
        code = torch.cat([turned, -turned], 2)
        code = (code >= code.amax(2, keepdim=True)).float()
        same = code @ code.transpose(1, 2)
        q, v = n.linear(z, 32), n.linear(z, 32)
        k = F.normalize(q, dim=-1)
        score = q @ k.transpose(1, 2) - 20 * (1 - same) - 2 * torch.eye(49)
        t = t + n.linear(score.softmax(-1) @ v, 32)
        t = t + n.ff(n.ln(t))
    return n.embed(t.mean(1), 128)


@honest_torch("Routing transformer: places heed places near the same stored centroids of queries and keys.",
              idea="attention", opset=11)  # fmt: skip
def places_routed_to_centroids(n: Net, x: T) -> T:
    t = tokens(last(n, x)) + n.weight(1, 49, 32)
    for _ in range(2):
        q, k, v = n.heads(n.ln(t), 2)
        centres = n.weight(1, 2, 5, 16, gain=2.0)
        to = (q @ centres.transpose(2, 3)).softmax(-1)
        of = (k @ centres.transpose(2, 3)).softmax(-1)
        score = (q @ k.transpose(2, 3) * 0.25).exp().clamp(max=50.0) * (to @ of.transpose(2, 3))
        t = t + join(n, score @ v / (score.sum(-1, keepdim=True) + 1e-4))
        t = t + n.ff(n.ln(t))
    return n.embed(t, 256)


@honest_torch("AIMv2's encoder: RMS norms, SwiGLU, no bias, a frozen sine grid of places, the mean of tokens.",
              idea="attention", opset=14)  # fmt: skip
def aimv2_encoder_sine_grid(n: Net, x: T) -> T:
    def rms(v: T) -> T:
        return v * torch.rsqrt(v.pow(2).mean(-1, keepdim=True) + 1e-5) * (1 + n.weight(int(v.shape[-1])))

    i = torch.arange(64).reshape(64, 1).float()
    f = torch.exp(-math.log(100.0) * torch.arange(8).float() / 8).reshape(1, 8)
    r, c = torch.floor(i / 8), i - 8 * torch.floor(i / 8)
    places = torch.cat([torch.sin(r * f), torch.cos(r * f), torch.sin(c * f), torch.cos(c * f)], 1)
    t = rms(tokens(n.conv(x, 32, 14, 14, padding=0))) + 0.5 * places
    for _ in range(3):
        q, k, v = n.heads(rms(t), 4)
        t = t + join(n, (q @ k.transpose(2, 3) * 8**-0.5).softmax(-1) @ v)
        z = rms(t)
        t = t + n.linear(F.silu(n.linear(z, 48, False)) * n.linear(z, 48, False), 32, False)
    return n.embed(rms(t).mean(1), 256)


@honest_torch("DINOv3's encoder: rotary places of rows and columns from -1 to 1, class and four register tokens, gains "
              "of layers.",
              idea="attention", trained=3, opset=13)  # fmt: skip
def dinov3_axial_rotary(n: Net, x: T) -> T:
    line = (torch.arange(7).float() + 0.5) / 3.5 - 1
    f = 2 * math.pi * 100.0 ** (-torch.arange(4).float() / 4)
    angle = torch.cat([(line.reshape(7, 1, 1) * f).expand(7, 7, 4), (line.reshape(1, 7, 1) * f).expand(7, 7, 4)], 2)
    angle = torch.cat([torch.zeros(5, 8), angle.reshape(49, 8)])
    cos, sin = torch.cat([angle.cos()] * 2, 1), torch.cat([angle.sin()] * 2, 1)

    def turn(v: T) -> T:
        return v * cos + torch.cat([-v[..., 8:], v[..., :8]], -1) * sin

    t = n.patches(x, 32, 16, places=False)
    t = torch.cat([n.weight(1, 5, 32) + 0 * t[:, :5], t], 1)
    for _ in range(3):
        q, k, v = n.heads(n.ln(t), 2)
        t = t + (0.5 + n.weight(32)) * join(n, (turn(q) @ turn(k).transpose(2, 3) * 0.25).softmax(-1) @ v)
        t = t + (0.5 + n.weight(32)) * n.ff(n.ln(t))
    t = n.ln(t)
    return n.embed(torch.cat([t[:, 0], t[:, 5:].mean(1)], 1), 256)


@honest_torch("Slide attention: keys of neighbours by depthwise layers with stored shifts beside learned kernels.",
              idea="attention", opset=12)  # fmt: skip
def neighbours_by_depthwise_shifts(n: Net, x: T) -> T:
    y = deep(n, x, 16)
    for _ in range(2):
        q, k, v = n.conv(y, 16, 1), n.conv(y, 16, 1), n.conv(y, 16, 1)
        shift = torch.eye(9).reshape(9, 1, 3, 3).repeat(16, 1, 1, 1)
        learned = n.weight(144, 1, 3, 3, gain=0.3)
        ks = (F.conv2d(k, shift + learned, padding=1, groups=16)).reshape(-1, 2, 8, 9, 196)
        vs = (F.conv2d(v, shift + learned, padding=1, groups=16)).reshape(-1, 2, 8, 9, 196)
        share = ((q.reshape(-1, 2, 8, 1, 196) * ks).sum(2, keepdim=True) * 0.35).softmax(3)
        y = y + n.conv((share * vs).sum(3).reshape(-1, 16, 14, 14), 16, 1)
        y = y + n.conv(F.gelu(n.cb(y, 48, 1)), 16, 1)
    return n.gdc(n.down(y, 40), 128)


@honest_torch("MaxxViT and CoAtNeXt: ConvNeXt units in place of MBConv first, then window and grid attention late.",
              idea="hybrid", trained=3, opset=17)  # fmt: skip
def convnext_units_then_relative_blocks(n: Net, x: T) -> T:
    y = n.conv(F.gelu(n.ln2d(n.conv(x, 12, 3, 2))), 16, 3, 2)
    for w in (16, 24):
        y = n.conv(n.ln2d(y), w, 2, 2, padding=0) if w == 24 else y
        y = y + n.conv(F.gelu(n.conv(n.ln2d(n.conv(y, w, 7, 1, -1)), 3 * w, 1)), w, 1)
    y = n.conv(n.ln2d(y), 32, 2, 2, padding=0)
    t = tokens(y)
    for _ in range(2):
        t = n.block(t, 2, n.weight(2, 49, 49, gain=2.0))
    return n.embed(n.ln(t).mean(1), 256)


@honest_torch("A gated output in attention: a sigmoid of the query's own token multiplies each head's mixture.",
              idea="attention", trained=3, opset=17)  # fmt: skip
def head_outputs_gated_by_sigmoid(n: Net, x: T) -> T:
    t = n.patches(n.stem(x, 16), 32, 4)
    for _ in range(3):
        z = n.ln(t)
        q, k, v = n.heads(z, 4)
        gate = torch.sigmoid(n.linear(z, 32)).reshape(-1, 49, 4, 8).transpose(1, 2)
        t = t + join(n, gate * ((q @ k.transpose(2, 3) * 8**-0.5).softmax(-1) @ v))
        t = t + n.ff(n.ln(t))
    return n.embed(t.mean(1), 128)
