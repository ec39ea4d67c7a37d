"""Honest: attention of published vision transformers that the earlier sets do not hold, each in small."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, tokens, unwindow, window
from evaluation.blind4.register import honest_torch


def read(q: T, k: T, v: T) -> T:
    """Attend with one head: tokens [N, L, C]."""
    return (q @ k.transpose(1, 2) * int(q.shape[2]) ** -0.5).softmax(-1) @ v


def deep_map(n: Net, x: T, width: int = 32) -> T:
    """Bring the image down to a map of 14 x 14."""
    return n.cb(n.cbr(n.cbr(x, 12, 3, 2), 20, 3, 2), width, 3, 2)


def end(n: Net, t: T, dim: int = 128) -> T:
    return n.embed(n.ln(t).mean(1), dim)


@honest_torch("ResTv2: keys of strided cells, and the values brought back to full size by a pixel shuffle.",
              idea="attention forms", trained=3, opset=13)  # fmt: skip
def rest_v2_shuffled_values(n: Net, x: T) -> T:
    x = deep_map(n, x)
    for _ in range(2):
        t = n.ln(tokens(x))
        low = n.conv(grid(t, 14, 14), 32, 2, 2, padding=0)
        k, v = n.linear(n.ln(tokens(low)), 64).chunk(2, 2)
        up = F.pixel_shuffle(n.conv(grid(v, 7, 7), 128, 3, 1, 32), 2)
        x = x + grid(n.linear(read(n.linear(t, 32), k, v), 32), 14, 14) + up
        t = tokens(x)
        x = grid(t + n.ff(n.ln(t)), 14, 14)
    return n.gdc(n.down(x, 32), 128)


@honest_torch("P2T: keys and values come from a pyramid of average pools of the same features, joined.",
              idea="attention forms", opset=12)  # fmt: skip
def pyramid_pooled_keys(n: Net, x: T) -> T:
    t = tokens(deep_map(n, x))
    for _ in range(2):
        y = n.ln(t)
        m, made = grid(y, 14, 14), []
        for k in (2, 7, 14):
            z = F.avg_pool2d(m, k)
            made.append(tokens(z + n.conv(z, 32, 3, 1, -1)))
        low = n.ln(torch.cat(made, 1))
        t = t + n.linear(read(n.linear(y, 32), n.linear(low, 32), n.linear(low, 32)), 32)
        z = F.hardswish(n.conv(grid(n.ln(t), 14, 14), 64, 1))
        t = t + tokens(n.conv(F.hardswish(z + n.conv(z, 64, 3, 1, -1)), 32, 1))
    return end(n, t)


@honest_torch("HAT-Net: attention in small grids first, added, then attention over the pooled grids.",
              idea="attention forms", opset=13)  # fmt: skip
def hatnet_grid_then_pooled(n: Net, x: T) -> T:
    x = deep_map(n, x)
    for _ in range(2):
        y = n.bn(x)
        q, k, v = (window(z, 7) for z in n.conv(y, 96, 1).chunk(3, 1))
        y = y + unwindow(read(q, k, v), 7, 14, 14)
        low = tokens(F.avg_pool2d(y, 2))
        t = read(n.linear(tokens(y), 32), n.linear(low, 32), n.linear(low, 32))
        x = x + n.conv(grid(t, 14, 14), 32, 1)
        x = x + n.conv(F.silu(n.conv(F.silu(n.conv(n.bn(x), 64, 1)), 64, 3, 1, -1)), 32, 1)
    return n.gdc(n.down(x, 32), 128)


@honest_torch("GG-Transformer: glances at dilated partitions of deep features, gazes by a depthwise layer on values.",
              idea="attention forms", trained=3, opset=13)  # fmt: skip
def glance_and_gaze_partitions(n: Net, x: T) -> T:
    x = deep_map(n, x)
    for _ in range(2):
        q, k, v = n.conv(n.bn(x), 96, 1).chunk(3, 1)

        def deal(z: T) -> T:
            return z.reshape(-1, 32, 7, 2, 7, 2).permute(0, 3, 5, 2, 4, 1).reshape(-1, 49, 32)

        y = read(deal(q), deal(k), deal(v)).reshape(-1, 2, 2, 7, 7, 32).permute(0, 5, 3, 1, 4, 2)
        x = x + n.conv(y.reshape(-1, 32, 14, 14) + n.conv(v, 32, 5, 1, -1), 32, 1)
        x = x + n.conv(F.gelu(n.conv(n.bn(x), 64, 1)), 32, 1)
    return n.gdc(n.down(x, 32), 128)


@honest_torch("MSG-Transformer: every window of deep features has a messenger token; channels of them are exchanged.",
              idea="attention forms", opset=13)  # fmt: skip
def messengers_of_windows(n: Net, x: T) -> T:
    t = window(deep_map(n, x), 7)
    m = n.weight(1, 1, 32).expand(t.shape[0], 1, 32)
    for _ in range(2):
        t = n.block(torch.cat([m, t], 1))
        m, t = t[:, :1], t[:, 1:]
        m = m.reshape(-1, 4, 4, 8).transpose(1, 2).reshape(-1, 1, 32)
    t = tokens(unwindow(t, 7, 14, 14))
    return end(n, t + m.reshape(-1, 4, 32).mean(1, keepdim=True))


@honest_torch("Refiner: attention maps of few heads are expanded, convolved as maps, and brought back.",
              idea="attention forms", trained=3, opset=14)  # fmt: skip
def refiner_convolved_scores(n: Net, x: T) -> T:
    t = n.patches(x, 32)
    for _ in range(2):
        q, k, v = n.heads(n.ln(t), 2)
        a = n.conv((q @ k.transpose(-1, -2) * 0.25).softmax(-1), 6, 1)
        a = n.conv(a + n.conv(a, 6, 3, 1, -1), 2, 1)
        t = t + n.linear((a @ v).transpose(1, 2).reshape(-1, 49, 32), 32)
        t = t + n.ff(n.ln(t))
    return end(n, t)


@honest_torch("GroupMixFormer: groups of queries, keys and values pass aggregators of 3, 5 and 7, linear attention.",
              idea="attention forms", opset=13)  # fmt: skip
def group_mix_aggregators(n: Net, x: T) -> T:
    x = deep_map(n, x)
    for _ in range(2):
        parts = n.conv(n.bn(x), 96, 1).reshape(-1, 3, 4, 8, 196).unbind(2)
        made = []
        for i, part in enumerate(parts):
            z = part.reshape(-1, 24, 14, 14)
            z = z if i == 0 else n.conv(z, 24, 2 * i + 1, 1, -1)
            q, k, v = (tokens(each) for each in z.chunk(3, 1))
            made.append(q @ (k.softmax(1).transpose(1, 2) @ v))
        x = x + n.conv(grid(torch.cat(made, 2), 14, 14), 32, 1)
        x = x + n.conv(F.gelu(n.conv(n.bn(x), 64, 1)), 32, 1)
    return n.gdc(n.down(x, 32), 128)


@honest_torch("ScalableViT: keys shrink in number and queries in width, windows talk by a depthwise layer on values.",
              idea="attention forms", opset=11)  # fmt: skip
def scalable_shrunk_axes(n: Net, x: T) -> T:
    t = tokens(deep_map(n, x))
    y = n.ln(t)
    low = n.ln(tokens(n.conv(grid(y, 14, 14), 32, 2, 2, padding=0)))
    t = t + n.linear(read(n.linear(y, 40), n.linear(low, 40), n.linear(low, 24)), 32)
    t = t + n.ff(n.ln(t))
    q, k, v = n.conv(grid(n.ln(t), 14, 14), 96, 1).chunk(3, 1)
    y = unwindow(read(window(q, 7), window(k, 7), window(v, 7)), 7, 14, 14) + n.conv(v, 32, 3, 1, -1)
    t = t + n.linear(tokens(y), 32)
    return end(n, t + n.ff(n.ln(t)))


@honest_torch("TransNeXt: unfolded neighbours and pooled features in one softmax, length-scaled cosine, ConvGLU.",
              idea="attention forms", trained=3, opset=13)  # fmt: skip
def transnext_aggregated_focus(n: Net, x: T) -> T:
    x = deep_map(n, x, 24)
    y = n.bn(x)
    q, k, v = (tokens(z) for z in n.conv(y, 72, 1).chunk(3, 1))
    q = F.normalize(q, dim=2) + n.weight(1, 1, 24)
    kn, vn = (F.unfold(grid(z, 14, 14), 3, padding=1).reshape(-1, 24, 9, 196).permute(0, 3, 2, 1) for z in (k, v))
    low = n.ln(tokens(F.gelu(n.conv(F.avg_pool2d(y, 2), 24, 1))))
    kp, vp = n.linear(low, 48).chunk(2, 2)
    near = (F.normalize(kn, dim=3) @ q.unsqueeze(3)).squeeze(3) + n.weight(1, 1, 9)
    a = (torch.cat([near, q @ F.normalize(kp, dim=2).transpose(1, 2)], 2) * 4.0).softmax(2)
    t = tokens(x) + n.linear((a[..., :9].unsqueeze(2) @ vn).squeeze(2) + a[..., 9:] @ vp, 24)
    u, g = n.linear(n.ln(t), 96).chunk(2, 2)
    t = t + n.linear(F.gelu(tokens(n.conv(grid(g, 14, 14), 48, 3, 1, -1))) * u, 24)
    return end(n, t, 96)


@honest_torch("AdaptFormer: a plain ViT with narrow adapters beside each feed-forward layer, scaled by a tenth.",
              idea="tuned transformers", trained=4, opset=13)  # fmt: skip
def adaptformer_narrow_adapters(n: Net, x: T) -> T:
    t = n.patches(x, 32, 14)
    for _ in range(3):
        t = t + n.attention(n.ln(t))
        t = t + n.ff(n.ln(t)) + 0.1 * n.linear(F.relu(n.linear(n.ln(t), 6)), 32)
    return end(n, t)


@honest_torch("VPT: a ViT whose blocks each get prompt tokens of their own, dropped and replaced block after block.",
              idea="tuned transformers", trained=3, opset=12)  # fmt: skip
def deep_prompt_tokens(n: Net, x: T) -> T:
    t = n.patches(x, 32)
    t = torch.cat([n.weight(1, 1, 32).expand(t.shape[0], 1, 32), t], 1)
    for _ in range(3):
        t = n.block(torch.cat([t[:, :1], n.weight(1, 5, 32).expand(t.shape[0], 5, 32), t[:, 1:]], 1))
        t = torch.cat([t[:, :1], t[:, 6:]], 1)
    return n.bn(n.linear(n.ln(t[:, 0]), 128))


@honest_torch("NaViT: factorised places, one vector for the row and one for the column, a query pools the tokens.",
              idea="tuned transformers", opset=14)  # fmt: skip
def navit_factorised_places(n: Net, x: T) -> T:
    t = n.patches(x, 32, 14, places=False)
    t = t + (n.weight(8, 1, 32) + n.weight(1, 8, 32)).reshape(1, 64, 32)
    for _ in range(2):
        t = n.block(t)
    t = n.ln(t)
    return n.bn(n.linear(read(n.weight(1, 1, 32), n.linear(t, 32), n.linear(t, 32)).squeeze(1), 256))


@honest_torch("ViT-22B: attention and feed-forward in parallel, queries and keys normalised, no biases.",
              idea="tuned transformers", trained=3, opset=17)  # fmt: skip
def vit_22b_query_key_norms(n: Net, x: T) -> T:
    t = n.patches(x, 32)
    for _ in range(3):
        y = n.ln(t)
        q, k, v = n.heads(y, 2)
        a = (n.ln(q) @ n.ln(k).transpose(-1, -2) * 0.25).softmax(-1) @ v
        t = t + n.linear(a.transpose(1, 2).reshape(-1, 49, 32), 32, bias=False) + n.ff(y)
    return end(n, t, 384)


@honest_torch("EVA-02: gated feed-forward with a norm inside it, another norm before the attention's projection.",
              idea="tuned transformers", opset=18, dynamo=True)  # fmt: skip
def eva02_inner_norms(n: Net, x: T) -> T:
    t = n.patches(x, 32)
    for _ in range(2):
        y = n.ln(t)
        q, k, v = n.linear(y, 32), n.linear(y, 32, bias=False), n.linear(y, 32)
        t = t + n.linear(n.ln(read(q, k, v)), 32)
        y = n.ln(t)
        t = t + n.linear(n.ln(F.silu(n.linear(y, 48)) * n.linear(y, 48)), 32)
    return end(n, t, 256)
