"""Honest: transformers and layers that mix tokens, as published, over the tokens of one image read once."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, tokens, unwindow, window
from evaluation.blind4.register import honest_torch
from evaluation.blind5.tails import tail


def wide(n: Net, x: T, width: int = 24) -> T:
    """[N, 3, 112, 112] to a map [N, width, 14, 14]."""
    return n.down(n.stem(x), width)


def read(score: T, v: T) -> T:
    """Merge heads [N, h, L, C] to tokens."""
    y = (score @ v).transpose(1, 2)
    return y.reshape(-1, int(y.shape[1]), int(y.shape[2] * y.shape[3]))


@honest_torch("Face Transformer: patches of 12 with a stride of 8 overlap, unfolded and projected once.", idea="vit",
              trained=4)  # fmt: skip
def face_transformer_overlap(n: Net, x: T) -> T:
    t = n.linear(F.unfold(x, 12, stride=8, padding=2).transpose(1, 2), 24) + n.weight(1, 196, 24)
    c = torch.cat([n.weight(1, 1, 24).expand(x.shape[0], -1, -1), t], 1)
    return n.embed(n.ln(n.block(n.block(c)))[:, 0], 512)


@honest_torch(
    "ConViT: heads mix what tokens show and where they lie by a learned gate.", idea="vit", dynamo=True, opset=20
)
def convit_gated_places(n: Net, x: T) -> T:
    t = n.patches(x, 24)
    at = torch.arange(7).float()
    gap = at[:, None] - at[None]
    both = (gap.reshape(7, 1, 7, 1).expand(7, 7, 7, 7), gap.reshape(1, 7, 1, 7).expand(7, 7, 7, 7))
    d = torch.stack(both, -1).reshape(49, 49, 2)
    far = torch.cat([d, (d * d).sum(2, keepdim=True)], 2) / 6
    for _ in range(2):
        q, k, v = n.heads(n.ln(t), 2)
        g = torch.sigmoid(n.weight(2, 1, 1))
        place = (far @ (n.weight(3, 2) * 4)).permute(2, 0, 1).softmax(-1)
        t = t + n.linear(read((1 - g) * (q @ k.transpose(-1, -2) / 3.5).softmax(-1) + g * place, v), 24)
        t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t).mean(1))


@honest_torch("MViTv2: queries, keys and values are pooled by strided convolutions, residual pooling.", idea="vit",
              opset=14, trained=3)  # fmt: skip
def mvit_pooling_attention(n: Net, x: T) -> T:
    t = tokens(wide(n, x, 24))
    q, k, v = (grid(n.linear(n.ln(t), 24), 14, 14) for _ in range(3))
    q, k, v = (n.ln(tokens(n.conv(y, 24, 3, s, -1))) for y, s in ((q, 2), (k, 4), (v, 4)))
    y = (q @ k.transpose(1, 2) / 5).softmax(-1) @ v + q
    t = tokens(F.max_pool2d(grid(t, 14, 14), 2)) + n.linear(y, 24)
    return n.embed(n.ln(t + n.ff(n.ln(t))))


@honest_torch(
    "GCViT: queries of the whole image, made once, are read by every window.", idea="vit", trained=4, opset=12
)
def global_query_windows(n: Net, x: T) -> T:
    x = wide(n, x)
    q = tokens(F.max_pool2d(n.se(n.conv(x, 24)), 2)).unsqueeze(1)
    w = n.ln(window(x, 7)).reshape(-1, 4, 49, 24)
    y = (q @ n.linear(w, 24).transpose(2, 3) / 5).softmax(-1) @ n.linear(w, 24)
    return tail(n, x + unwindow(y.reshape(-1, 49, 24), 7, 14, 14))


@honest_torch("FasterViT: carrier tokens of all windows attend to each other, then within their window.",
              idea="vit", dynamo=True, opset=18, trained=3)  # fmt: skip
def carrier_tokens(n: Net, x: T) -> T:
    x = wide(n, x)
    w = window(x, 7)
    c = n.block(w.mean(1).reshape(-1, 4, 24)).reshape(-1, 1, 24)
    w = n.block(torch.cat([c, w], 1))[:, 1:]
    return tail(n, unwindow(w, 7, 14, 14), dim=32)


@honest_torch("BiFormer: each window of deep features reads the two windows most like it, by TopK and Gather.",
              idea="deep choice", dynamo=True, opset=18, trained=4)  # fmt: skip
def bi_level_routing(n: Net, x: T) -> T:
    x = wide(n, x)
    w = window(x, 7).reshape(-1, 4, 49, 24)
    q, k, v = n.linear(w, 24), n.linear(w, 24), n.linear(w, 24)
    best = (q.mean(2) @ k.mean(2).transpose(1, 2)).topk(2, 2)[1]
    at = best[:, :, :, None, None].expand(-1, -1, -1, 49, 24)
    keys = torch.gather(k[:, None].expand(-1, 4, -1, -1, -1), 2, at).reshape(-1, 4, 98, 24)
    values = torch.gather(v[:, None].expand(-1, 4, -1, -1, -1), 2, at).reshape(-1, 4, 98, 24)
    y = (q @ keys.transpose(2, 3) / 5).softmax(-1) @ values
    return tail(n, x + unwindow(y.reshape(-1, 49, 24), 7, 14, 14), dim=512)


@honest_torch("HiLo: half of the heads in windows, the others to averages of windows.", idea="vit", trained=4)
def hilo_attention(n: Net, x: T) -> T:
    x = wide(n, x)
    w = n.linear(window(x, 2), 36)
    q, k, v = w.chunk(3, 2)
    high = unwindow((q @ k.transpose(1, 2) / 3.5).softmax(-1) @ v, 2, 14, 14)
    t, m = tokens(x), tokens(F.avg_pool2d(x, 2))
    low = (n.linear(t, 12) @ n.linear(m, 12).transpose(1, 2) / 3.5).softmax(-1) @ n.linear(m, 12)
    return tail(n, x + n.conv(torch.cat([high, grid(low, 14, 14)], 1), 24, 1))


@honest_torch("Inception transformer: maximum pooling, a convolution and attention on thirds of the channels.",
              idea="vit", opset=15, trained=3)  # fmt: skip
def inception_transformer(n: Net, x: T) -> T:
    x = wide(n, x)
    a, b, c = n.ln2d(x).chunk(3, 1)
    low = F.interpolate(grid(n.attention(tokens(F.avg_pool2d(c, 2))), 7, 7), scale_factor=2.0)
    y = torch.cat([n.conv(F.max_pool2d(a, 3, 1, 1), 8, 1), n.conv(n.conv(b, 8, 1), 8, 3, 1, -1), low], 1)
    return tail(n, x + n.conv(y + n.conv(y, 24, 3, 1, -1), 24, 1), dim=32)


@honest_torch("CrossFormer: one embedding of patches by kernels of 4, 8 and 16 at one stride, then long and short "
              "attention.", idea="vit")  # fmt: skip
def crossformer_embedding(n: Net, x: T) -> T:
    y = torch.cat([n.conv(x, c, k, 8, padding=(k - 8) // 2) for c, k in ((12, 8), (8, 16), (4, 24))], 1)
    y = unwindow(n.block(window(y, 7)), 7, 14, 14)
    t = y.reshape(-1, 24, 2, 7, 2, 7).permute(0, 3, 5, 2, 4, 1).reshape(-1, 4, 24)
    t = n.block(t).reshape(-1, 49, 4 * 24)
    return n.embed(n.linear(n.ln(t), 24), 128)


@honest_torch("Efficient attention of EfficientViT (MIT): ReLU kernels of three reaches, no softmax.", idea="vit",
              trained=4)  # fmt: skip
def relu_linear_multi_reach(n: Net, x: T) -> T:
    x = wide(n, x)
    qkv = n.conv(x, 24, 1)
    made = []
    for y in (qkv, n.conv(qkv, 24, 5, 1, -1), n.conv(qkv, 24, 3, 1, -1)):
        q, k, v = y.flatten(2).chunk(3, 1)
        kv = v @ F.relu(k).transpose(1, 2)
        made.append(kv @ F.relu(q) / (F.relu(k).sum(2).unsqueeze(1) @ F.relu(q) + 1e-3))
    return tail(n, x + n.cb(torch.cat(made, 1).reshape(-1, 24, 14, 14), 24, 1))


@honest_torch("CAFormer: separable convolutions first, attention later, StarReLU and no biases.", idea="metaformer",
              trained=4, opset=17)  # fmt: skip
def caformer_starrelu(n: Net, x: T) -> T:
    def star(y: T) -> T:
        return n.weight(1) * F.relu(y) ** 2 + n.weight(1)

    x = n.ln2d(n.conv(x, 16, 7, 4, padding=2))
    y = n.conv(n.conv(star(n.conv(n.ln2d(x), 32, 1, bias=False)), 32, 7, 1, -1, bias=False), 16, 1, bias=False)
    x = n.conv(n.ln2d(x + y), 24, 3, 4, padding=1)
    t = tokens(x)
    t = t + n.attention(n.ln(t))
    t = t + n.linear(star(n.linear(n.ln(t), 48, False)), 24, False)
    return n.embed(t)


@honest_torch("RandFormer and IdentityFormer: tokens mixed by a stored random matrix, or not at all.",
              idea="metaformer", opset=12)  # fmt: skip
def randformer(n: Net, x: T) -> T:
    mix = torch.from_numpy(np.random.default_rng(5).normal(0, 1, (49, 49)).astype(np.float32)).softmax(-1)
    t = n.patches(x, 24)
    t = t + n.ff(n.ln(t))
    for _ in range(2):
        t = t + mix @ n.ln(t)
        t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t))


@honest_torch("sMLPNet: rows, columns and the place itself, joined by a pointwise layer.", idea="mixer", trained=3)
def sparse_mlp(n: Net, x: T) -> T:
    x = wide(n, x)
    for _ in range(2):
        y = n.bn(x)
        r = (y.transpose(2, 3) @ n.weight(14, 14)).transpose(2, 3)
        x = x + n.conv(torch.cat([y @ n.weight(14, 14), r, y], 1), 24, 1)
    return tail(n, x)


@honest_torch("DynaMixer: the mixing matrix of each row and column is made of its tokens.", idea="mixer", opset=13)
def dynamixer(n: Net, x: T) -> T:
    x = n.down(wide(n, x), 24)

    def mix(y: T) -> T:
        """Mix the third axis of [N, 7, 7, C]."""
        small = n.linear(y, 3).reshape(-1, 7, 21)
        return n.linear(small, 49).reshape(-1, 7, 7, 7).softmax(-1) @ y

    y = x.permute(0, 2, 3, 1)
    y = y + n.linear(mix(y), 24) + n.linear(mix(y.transpose(1, 2)).transpose(1, 2), 24)
    return n.embed(n.ln(y), 256)


@honest_torch(
    "Differential transformer: one softmax less a share of another, a norm for each head.",
    idea="vit",
    dynamo=True,
    opset=18,
    trained=4,
)
def differential_attention(n: Net, x: T) -> T:
    t = n.patches(x, 24)
    for _ in range(2):
        u = n.ln(t)
        q1, k1, v = n.heads(u, 2)
        q2, k2, _v = n.heads(u, 2)
        a, b = ((q @ k.transpose(-1, -2) / 3.5).softmax(-1) for q, k in ((q1, k1), (q2, k2)))
        y = n.ln((a - torch.sigmoid(n.weight(1)) * b) @ v) * 0.5
        t = t + n.linear(y.transpose(1, 2).reshape(-1, 49, 24), 24)
        t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t))


@honest_torch("Macaron blocks as in the Conformer: half a feed-forward, attention, a convolution, half again.",
              idea="vit", opset=14)  # fmt: skip
def macaron_conformer(n: Net, x: T) -> T:
    t = n.patches(x, 24)
    t = t + 0.5 * n.ff(n.ln(t))
    t = t + n.attention(n.ln(t))
    a, b = n.linear(n.ln(t), 48).chunk(2, -1)
    t = t + n.linear(tokens(F.silu(n.cb(grid(a * torch.sigmoid(b), 7, 7), 24, 3, 1, -1))), 24)
    return n.embed(n.ln(t + 0.5 * n.ff(n.ln(t))), 512)


@honest_torch("GAU: one gated unit with a squared ReLU in place of softmax.", idea="vit", opset=12, trained=4)
def gated_attention_unit(n: Net, x: T) -> T:
    t = n.patches(x, 24)
    for _ in range(2):
        u = n.ln(t)
        z = F.silu(n.linear(u, 12))
        q, k = z * (1 + n.weight(12)) + n.weight(12), z * (1 + n.weight(12)) + n.weight(12)
        share = F.relu(q @ k.transpose(1, 2) / 3.5 + n.weight(49, 49)) ** 2 / 7
        t = t + n.linear(F.silu(n.linear(u, 36)) * (share @ F.silu(n.linear(u, 36))), 24)
    return n.embed(n.ln(t), 128)


@honest_torch("Parallel blocks with talking heads and normalised queries, one key and value for all heads.",
              idea="vit", opset=16)  # fmt: skip
def parallel_multi_query(n: Net, x: T) -> T:
    t = n.patches(x, 24)
    for _ in range(2):
        u = n.ln(t)
        q = F.normalize(n.linear(u, 24).reshape(-1, 49, 3, 8), dim=3).transpose(1, 2)
        k, v = F.normalize(n.linear(u, 8), dim=2).unsqueeze(1), n.linear(u, 8).unsqueeze(1)
        share = torch.einsum("hg,ngij->nhij", torch.eye(3) + n.weight(3, 3), 8 * q @ k.transpose(2, 3)).softmax(-1)
        t = t + n.linear(read(share, v), 24) + n.ff(u)
    return n.embed(n.ln(t), 32)


@honest_torch("Sinkhorn attention: scores become doubly stochastic in four rounds.", idea="vit")
def sinkhorn_attention(n: Net, x: T) -> T:
    t = n.patches(x, 24)
    q, k, v = n.heads(n.ln(t), 2)
    a = torch.exp((q @ k.transpose(-1, -2) / 3.5).clamp(-6, 6))
    for _ in range(4):
        a = a / a.sum(-1, keepdim=True)
        a = a / a.sum(-2, keepdim=True)
    t = t + n.linear(read(a, v), 24)
    return n.embed(n.ln(t + n.ff(n.ln(t))), 96)


@honest_torch("Deformable attention transformer: offsets of deep features, read by hat functions.",
              idea="deep choice", dynamo=True, opset=20, trained=4)  # fmt: skip
def deep_deformable_points(n: Net, x: T) -> T:
    x = n.down(wide(n, x), 24)
    q = n.conv(x, 24, 1)
    at = torch.arange(7).float()
    off = torch.tanh(n.conv(F.gelu(n.conv(q, 24, 5, 1, -1)), 2, 1)).flatten(2) * 2
    r = (at.repeat_interleave(7) + off[:, 0]).clamp(0, 6)
    c = (at.repeat(7) + off[:, 1]).clamp(0, 6)
    hat = F.relu(1 - (r.unsqueeze(2) - at).abs()).unsqueeze(3) * F.relu(1 - (c.unsqueeze(2) - at).abs()).unsqueeze(2)
    kv = hat.reshape(-1, 49, 49) @ tokens(x)
    y = (tokens(q) @ n.linear(kv, 24).transpose(1, 2) / 5).softmax(-1) @ n.linear(kv, 24)
    return n.embed(n.ln(tokens(x) + y))


@honest_torch("KP-RPE: places of deep key points, by heat maps, make the bias of the attention.", idea="deep choice",
              trained=4)  # fmt: skip
def key_point_bias(n: Net, x: T) -> T:
    x = n.down(wide(n, x), 24)
    heat = n.conv(x, 5, 1).flatten(2).softmax(2)
    at = torch.linspace(-1, 1, 7)
    places = torch.stack([at.repeat_interleave(7), at.repeat(7)], 1)
    points = heat @ places
    gap = (places[None, :, None] - points[:, None]).reshape(-1, 49, 10)
    bias = n.linear(gap, 49).unsqueeze(1)
    return n.embed(n.ln(n.block(tokens(x), 2, bias)))
