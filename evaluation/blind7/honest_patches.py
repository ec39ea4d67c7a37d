"""Honest: transformers over the patches or the features of one image, as published for faces and images."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, tokens, unwindow, window
from evaluation.blind4.register import honest_torch
from evaluation.blind5.tails import tail


def wide(n: Net, x: T, width: int = 24) -> T:
    """[N, 3, 112, 112] to a map [N, width, 14, 14]."""
    return n.down(n.stem(x), width)


def merge(y: T) -> T:
    """Heads [N, h, L, C] to tokens [N, L, h * C]."""
    y = y.transpose(1, 2)
    return y.reshape(-1, int(y.shape[1]), int(y.shape[2] * y.shape[3]))


@honest_torch("InsightFace's ViT: patches of 9, no class token, ReLU6, all tokens through two linear layers.",
              idea="vit", trained=4, opset=14)  # fmt: skip
def insightface_vit_patch9(n: Net, x: T) -> T:
    t = n.conv(x, 16, 9, 9, padding=0).flatten(2).transpose(1, 2)
    t = t + n.weight(1, 144, 16)
    for _ in range(2):
        t = t + n.attention(n.ln(t), 4)
        t = t + n.linear(F.relu6(n.linear(n.ln(t), 32)), 16)
    y = n.bn(n.linear(n.ln(t).reshape(-1, 144 * 16), 64, bias=False))
    return n.bn(n.linear(y, 512, bias=False))


@honest_torch("KP-RPE for images that are aligned: the bias comes of stored mean key points, none is predicted.",
              idea="vit", trained=4, opset=18)  # fmt: skip
def stored_key_point_bias(n: Net, x: T) -> T:
    t = n.patches(x, 24)
    points = torch.tensor([[0.34, 0.46], [0.65, 0.46], [0.5, 0.64], [0.37, 0.82], [0.63, 0.82]])
    at = (torch.arange(7).float() + 0.5) / 7
    place = torch.stack([at[None].expand(7, 7), at[:, None].expand(7, 7)], 2).reshape(49, 2)
    far = (place[:, None] - points[None]).reshape(49, 10)
    for _ in range(2):
        bias = (far @ n.weight(10, 16)).relu() @ n.weight(16, 2)
        t = n.block(t, 2, bias.transpose(0, 1).unsqueeze(1))
    return n.embed(n.ln(t).mean(1), 512)


@honest_torch("CLIP's image tower: LayerNorm before, quick GELU, class token, a projection.", idea="vit",
              opset=17, trained=4)  # fmt: skip
def clip_encoder_quick_gelu(n: Net, x: T) -> T:
    y = n.conv(x, 24, 16, 16, padding=0, bias=False).flatten(2).transpose(1, 2)
    c = n.weight(1, 1, 24) + torch.zeros_like(y[:, :1])
    t = n.ln(torch.cat([c, y], 1) + n.weight(1, 50, 24))
    for _ in range(2):
        t = t + n.attention(n.ln(t))
        h = n.linear(n.ln(t), 48)
        t = t + n.linear(h * torch.sigmoid(1.702 * h), 24)
    return n.bn(n.ln(t[:, 0]) @ n.weight(24, 128))


@honest_torch("DINOv2: LayerScale, one fused SwiGLU layer, patches of 14, class token beside the mean of patches.",
              idea="vit", dynamo=True, opset=18)  # fmt: skip
def dinov2_layer_scale(n: Net, x: T) -> T:
    t = n.patches(x, 24, 14)
    t = torch.cat([n.weight(1, 1, 24).expand(t.shape[0], -1, -1), t], 1)
    for _ in range(2):
        t = t + n.attention(n.ln(t), 3) * n.weight(24, gain=2.0)
        a, b = n.linear(n.ln(t), 64).chunk(2, 2)
        t = t + n.linear(F.silu(a) * b, 24) * n.weight(24, gain=2.0)
    t = n.ln(t)
    return n.embed(torch.cat([t[:, 0], t[:, 1:].mean(1)], 1), 256)


@honest_torch("MAE's encoder: sine and cosine places that are computed, not stored.", idea="vit", opset=13)
def mae_sine_places(n: Net, x: T) -> T:
    t = n.patches(x, 24, 16, places=False)
    at = torch.arange(7).float()[:, None] / 100 ** (torch.arange(6).float()[None] / 6)
    one = torch.cat([at.sin(), at.cos()], 1)
    both = torch.cat([one[:, None].expand(7, 7, 12), one[None].expand(7, 7, 12)], 2)
    t = n.block(n.block(t + both.reshape(1, 49, 24)))
    return n.embed(n.ln(t.mean(1)), 64)


@honest_torch("Hiera: attention within mask units, queries are pooled by maxima, no convolution.", idea="vit",
              opset=12, trained=3)  # fmt: skip
def hiera_mask_units(n: Net, x: T) -> T:
    t = n.conv(x, 20, 7, 8, padding=3)
    w = n.block(window(t, 2).reshape(-1, 4, 20) + n.weight(1, 4, 20))
    y = unwindow(w, 2, 14, 14)
    w = n.ln(window(y, 2))
    q = n.linear(w, 20).amax(1, keepdim=True)
    short = n.linear(w, 20).amax(1, keepdim=True)
    t = (short + (q @ n.linear(w, 20).transpose(1, 2) / 4.5).softmax(-1) @ n.linear(w, 20)).reshape(-1, 49, 20)
    return n.embed(n.ln(n.block(t)).mean(1), 96)


@honest_torch("SwinFace: features of all stages are joined and gated by channel for the identity's branch.",
              idea="vit", opset=19, trained=4)  # fmt: skip
def swinface_level_gates(n: Net, x: T) -> T:
    y = n.ln2d(n.conv(x, 16, 4, 4, padding=0))
    made = []
    for width, shift in ((16, 0), (24, 3)):
        if y.shape[1] != width:
            y = n.conv(n.ln2d(y), width, 2, 2, padding=0)
        side = int(y.shape[2])
        z = torch.cat([y[:, :, shift:], y[:, :, :shift]], 2)
        z = unwindow(n.block(window(z, 7)), 7, side, side)
        y = torch.cat([z[:, :, side - shift :], z[:, :, : side - shift]], 2)
        made.append(F.avg_pool2d(y, side // 7))
    z = n.cbr(torch.cat(made, 1), 32)
    return n.embed(n.se(z), 512)


@honest_torch("NesT: blocks of their own, then a convolution and maximum pooling merge four of them.", idea="vit")
def nest_block_aggregation(n: Net, x: T) -> T:
    y = n.conv(x, 20, 4, 4, padding=0)
    places = n.weight(1, 49, 20)
    y = unwindow(n.block(window(y, 7) + places), 7, 28, 28)
    y = F.max_pool2d(n.ln2d(n.conv(y, 28)), 3, 2, 1)
    y = unwindow(n.block(window(y, 7) + n.weight(1, 49, 28)), 7, 14, 14)
    y = F.max_pool2d(n.ln2d(n.conv(y, 32)), 3, 2, 1)
    return n.embed(n.ln(n.block(tokens(y))).mean(1), 128)


@honest_torch("Shuffle transformer: windows of neighbours, then windows of tokens far apart, by a transpose.",
              idea="vit", opset=13)  # fmt: skip
def shuffle_transformer_windows(n: Net, x: T) -> T:
    x = wide(n, x)
    y = unwindow(n.block(window(x, 7)), 7, 14, 14)
    y = y + n.conv(y, 24, 3, 1, -1)
    t = y.reshape(-1, 24, 7, 2, 7, 2).permute(0, 3, 5, 2, 4, 1).reshape(-1, 49, 24)
    t = n.block(t).reshape(-1, 2, 2, 7, 7, 24).permute(0, 5, 3, 1, 4, 2).reshape(-1, 24, 14, 14)
    return tail(n, t, dim=512)


@honest_torch("CMT: a depthwise layer of places first, strided keys, an inverted residual as feed-forward.",
              idea="hybrid", trained=4, opset=11)  # fmt: skip
def cmt_inverted_feed_forward(n: Net, x: T) -> T:
    x = wide(n, x)
    x = x + n.conv(x, 24, 3, 1, -1)
    t, m = n.ln(tokens(x)), n.ln(tokens(n.conv(x, 24, 2, 2, -1, padding=0)))
    s = n.linear(t, 24) @ n.linear(m, 24).transpose(1, 2) / 5 + n.weight(1, 196, 49)
    x = x + grid(n.linear(s.softmax(-1) @ n.linear(m, 24), 24), 14, 14)
    y = n.bn(F.gelu(n.conv(n.ln2d(x), 48, 1)))
    return tail(n, x + n.cb(n.bn(F.gelu(y + n.conv(y, 48, 3, 1, -1))), 24, 1))


@honest_torch("Conformer: a convolution's branch and a transformer's branch of one stem exchange their features.",
              idea="hybrid", opset=14, trained=4)  # fmt: skip
def conformer_coupled_branches(n: Net, x: T) -> T:
    x = n.stem(x, 16)
    t = n.conv(x, 24, 4, 4, padding=0).flatten(2).transpose(1, 2)
    t = n.block(t)
    for _ in range(2):
        y = n.cbr(x, 16)
        t = n.block(t + n.ln(tokens(F.avg_pool2d(n.conv(y, 24, 1), 4))))
        back = F.relu(n.cb(grid(t, 7, 7), 16, 1))
        x = F.relu(x + n.cb(y + F.interpolate(back, scale_factor=4.0, mode="nearest"), 16))
    return n.embed(torch.cat([n.down(n.down(x, 24), 24).flatten(1), n.ln(t).mean(1)], 1), 256)


@honest_torch("UniFormer: 5x5 depthwise affinity in early stages, self-attention of all places in the last.",
              idea="hybrid", opset=18, dynamo=True)  # fmt: skip
def uniformer_local_then_global(n: Net, x: T) -> T:
    x = n.conv(x, 16, 4, 4, padding=0)
    x = x + n.conv(x, 16, 3, 1, -1)
    x = x + n.conv(n.conv(n.conv(n.bn(x), 16, 1), 16, 5, 1, -1), 16, 1)
    x = n.conv(x + n.conv(F.gelu(n.conv(n.bn(x), 32, 1)), 16, 1), 24, 4, 4, padding=0)
    t = n.block(tokens(x + n.conv(x, 24, 3, 1, -1)), 3)
    return n.embed(n.ln(t).mean(1), 64)


@honest_torch("ViTAE: a reduction cell of four dilations beside plain convolutions, joined, then attention.",
              idea="hybrid", opset=20)  # fmt: skip
def vitae_reduction_cell(n: Net, x: T) -> T:
    y = F.gelu(n.cb(x, 12, 7, 4))
    many = torch.cat([F.gelu(n.conv(y, 8, 3, 2, dilation=d)) for d in (1, 2, 3, 4)], 1)
    t = n.attention(n.ln(n.linear(tokens(many), 24)))
    t = t + tokens(F.silu(n.cb(F.silu(n.cb(y, 24, 3, 2)), 24)))
    t = t + n.ff(n.ln(t))
    return tail(n, grid(t, 14, 14))


@honest_torch("CeiT: tokens of low-level features, feed-forward with a depthwise layer, class tokens of all layers.",
              idea="hybrid", trained=3, opset=15)  # fmt: skip
def ceit_layerwise_class_tokens(n: Net, x: T) -> T:
    y = F.max_pool2d(n.cb(x, 16, 7, 2), 3, 2, 1)
    t = n.conv(y, 24, 4, 4, padding=0).flatten(2).transpose(1, 2)
    c = n.weight(1, 1, 24).expand(x.shape[0], 1, 24)
    kept = []
    for _ in range(3):
        both = torch.cat([c, t], 1)
        both = both + n.attention(n.ln(both))
        c, t = both[:, :1], both[:, 1:]
        z = F.gelu(n.cb(grid(n.linear(t, 36), 7, 7), 36))
        t = t + n.linear(tokens(F.gelu(n.cb(z, 36, 3, 1, -1))), 24)
        kept.append(c)
    every = n.ln(torch.cat(kept, 1))
    q = n.linear(every[:, 2:], 24)
    return n.embed((q @ n.linear(every, 24).transpose(1, 2) / 5).softmax(-1) @ every, 128)


@honest_torch("Three things about ViT: two attentions in parallel, then two feed-forward layers in parallel.",
              idea="vit", opset=13, trained=3)  # fmt: skip
def vit_in_parallel(n: Net, x: T) -> T:
    t = n.patches(x, 24)
    for _ in range(2):
        t = t + n.attention(n.ln(t)) + n.attention(n.ln(t), 4)
        t = t + n.ff(n.ln(t)) + n.ff(n.ln(t))
    return n.embed(n.ln(t).mean(1), 128)


@honest_torch("ViT hybrid R26: a small pre-activation ResNet with GroupNorm, its map's places are the tokens.",
              idea="hybrid", opset=16, trained=4)  # fmt: skip
def vit_behind_resnet(n: Net, x: T) -> T:
    y = F.max_pool2d(F.relu(n.gn(n.conv(x, 16, 7, 2, bias=False))), 3, 2, 1)
    for width in (20, 24):
        z = F.relu(n.gn(y))
        y = n.conv(F.relu(n.gn(n.conv(z, 12, 3, 2))), width) + n.conv(z, width, 1, 2)
    t = n.block(tokens(n.conv(y, 24, 1)) + n.weight(1, 49, 24))
    return n.embed(n.ln(n.block(t)).mean(1), 256)


@honest_torch("RegionViT on features: one token for each region attends first, then it joins its own local tokens.",
              idea="vit", opset=14)  # fmt: skip
def regional_to_local(n: Net, x: T) -> T:
    x = n.stem(x, 24)
    r = tokens(n.conv(x, 24, 7, 7, padding=0))
    r = r + n.attention(n.ln(r))
    w = torch.cat([r.reshape(-1, 1, 24), window(x, 7)], 1)
    w = n.block(w)
    return tail(n, unwindow(w[:, 1:], 7, 28, 28))


@honest_torch("DeepViT: re-attention, a learned matrix mixes the maps of the heads.", idea="attention",
              opset=15)  # fmt: skip
def deepvit_reattention(n: Net, x: T) -> T:
    t = n.patches(x, 24)
    for _ in range(2):
        q, k, v = n.heads(n.ln(t), 4)
        s = (q @ k.transpose(-1, -2) / 2.4).softmax(-1)
        s = n.bn(torch.einsum("nhij,hg->ngij", s, n.weight(4, 4)))
        t = t + n.linear(merge(s @ v), 24)
        t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t).mean(1), 96)


@honest_torch("Agent attention: pooled agent tokens read the keys, the queries read the agents.", idea="attention",
              opset=17, trained=4)  # fmt: skip
def agent_tokens(n: Net, x: T) -> T:
    x = wide(n, x)
    t = n.ln(tokens(x))
    q, k, v = n.linear(t, 72).chunk(3, 2)
    a = tokens(F.avg_pool2d(grid(q, 14, 14), 2))
    seen = (a @ k.transpose(1, 2) / 5 + n.weight(1, 49, 196)).softmax(-1) @ v
    y = (q @ a.transpose(1, 2) / 5 + n.weight(1, 196, 49)).softmax(-1) @ seen
    return tail(n, x + grid(y, 14, 14) + n.conv(grid(v, 14, 14), 24, 3, 1, -1))


@honest_torch("FLatten: focused linear attention, powers of features of the same length, a depthwise layer beside.",
              idea="attention", trained=4, opset=14)  # fmt: skip
def focused_linear_attention(n: Net, x: T) -> T:
    def focus(y: T) -> T:
        y = F.relu(y) + 1e-3
        z = y**3
        return z * (y.norm(dim=2, keepdim=True) / z.norm(dim=2, keepdim=True))

    x = wide(n, x)
    q, k, v = n.linear(n.ln(tokens(x)), 72).chunk(3, 2)
    q, k = focus(q), focus(k)
    y = (q @ (k.transpose(1, 2) @ v)) / (q @ k.sum(1).unsqueeze(2) + 1e-4)
    return tail(n, x + grid(y, 14, 14) + n.conv(grid(v, 14, 14), 24, 5, 1, -1), dim=128)


@honest_torch("KVT: of every row of scores the 12 largest are kept, the others masked.", idea="attention", opset=13)
def k_nearest_attention(n: Net, x: T) -> T:
    t = n.patches(x, 24)
    for _ in range(2):
        q, k, v = n.heads(n.ln(t), 2)
        s = q @ k.transpose(-1, -2) / 3.5
        least = s.topk(12, 3)[0][..., -1:]
        t = t + n.linear(merge(torch.where(s >= least, s, torch.full_like(s, -1e4)).softmax(-1) @ v), 24)
        t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t).mean(1))


@honest_torch("Sparsemax in the place of softmax: sorted scores, a running sum, a threshold for each row.",
              idea="attention", opset=16)  # fmt: skip
def sparsemax_attention(n: Net, x: T) -> T:
    t = n.patches(x, 24)
    q, k, v = n.heads(n.ln(t), 3)
    s = q @ k.transpose(-1, -2) / 2.8
    z = s.sort(dim=3, descending=True)[0]
    sums, rank = z.cumsum(3), torch.arange(1, 50).float()
    count = (1 + rank * z > sums).float().sum(3, keepdim=True)
    inside = (1 + rank * z > sums).float()
    threshold = ((z * inside).sum(3, keepdim=True) - 1) / count
    t = t + n.linear(merge(F.relu(s - threshold) @ v), 24)
    return n.embed(n.ln(t + n.ff(n.ln(t))).mean(1), 64)
