"""Honest: transformers of images, with other ways to attend, to place tokens and to end."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, tokens, unwindow, window
from evaluation.blind4.register import honest_torch


def end(n: Net, t: T, dim: int = 64) -> T:
    """LayerNorm, the mean over tokens, a linear layer, BatchNorm."""
    return n.embed(n.ln(t).mean(1), dim)


@honest_torch("ViT-Tiny as InsightFace's newer configs: patches of 14, no class token"
              ", an end of two linear layers with BatchNorm.", idea="vit", trained=4, opset=14)  # fmt: skip
def vit_two_layer_feature(n: Net, x: T) -> T:
    t = n.patches(x, 32, 14)
    for _ in range(2):
        t = n.block(t)
    y = n.bn(n.linear(n.ln(t).flatten(1), 64, bias=False))
    return n.bn(n.linear(y, 128, bias=False))


@honest_torch("ALiBi in two dimensions: scores fall with the distance between patches by a stored slope for each head.",
              idea="vit", opset=13)  # fmt: skip
def alibi_by_distance(n: Net, x: T) -> T:
    t = n.patches(x, 32, 16, places=False)
    p = torch.stack(torch.meshgrid(torch.arange(7.0), torch.arange(7.0), indexing="ij")).reshape(2, 49)
    far = ((p[:, :, None] - p[:, None]) ** 2).sum(0).sqrt()
    bias = -far * torch.tensor([0.5, 0.125]).reshape(1, 2, 1, 1)
    for _ in range(2):
        t = n.block(t, 2, bias)
    return end(n, t)


@honest_torch(
    "Grouped-query attention: four query heads share two heads of keys and values, queries and keys normalised.",
    idea="vit",
    opset=15,
)
def grouped_query_vit(n: Net, x: T) -> T:
    t = n.patches(x, 32, 16)
    for _ in range(2):
        y = n.ln(t)
        q = F.normalize(n.linear(y, 32).reshape(-1, 49, 2, 2, 8).permute(0, 2, 3, 1, 4), dim=-1)
        k = F.normalize(n.linear(y, 16).reshape(-1, 49, 2, 1, 8).permute(0, 2, 3, 1, 4), dim=-1)
        v = n.linear(y, 16).reshape(-1, 49, 2, 1, 8).permute(0, 2, 3, 1, 4)
        y = (6 * q @ k.transpose(-1, -2)).softmax(-1) @ v
        t = t + n.linear(y.permute(0, 3, 1, 2, 4).reshape(-1, 49, 32), 32)
        t = t + n.ff(n.ln(t))
    return end(n, t, 128)


@honest_torch("Multi-head latent attention: keys and values come out of one narrow latent of each token.", idea="vit",
              opset=16)  # fmt: skip
def latent_key_values(n: Net, x: T) -> T:
    t = n.patches(x, 32, 16)
    for _ in range(2):
        y = n.ln(t)
        c = n.ln(n.linear(y, 8))
        q, k, v = (
            z.reshape(-1, 49, 2, 16).transpose(1, 2) for z in (n.linear(y, 32), n.linear(c, 32), n.linear(c, 32))
        )
        y = (q @ k.transpose(-1, -2) / 4).softmax(-1) @ v
        t = t + n.linear(y.transpose(1, 2).reshape(-1, 49, 32), 32)
        t = t + n.ff(n.ln(t))
    return end(n, t, 64)


@honest_torch("Sigmoid attention: a sigmoid with the bias -log of the number of tokens in the place of softmax.",
              idea="vit", trained=3)  # fmt: skip
def sigmoid_attention_vit(n: Net, x: T) -> T:
    t = n.patches(x, 32, 16)
    for _ in range(2):
        q, k, v = n.heads(n.ln(t), 2)
        y = torch.sigmoid(q @ k.transpose(-1, -2) / 4 - 3.9) @ v
        t = t + n.linear(y.transpose(1, 2).reshape(-1, 49, 32), 32)
        t = t + n.ff(n.ln(t))
    return end(n, t, 96)


@honest_torch("DynamicTanh in the place of LayerNorm: gamma tanh(alpha x) + beta, a transformer without statistics.",
              idea="vit", trained=4, opset=17)  # fmt: skip
def transformer_without_norms(n: Net, x: T) -> T:
    def dyt(y: T) -> T:
        return torch.tanh(y * n.weight(1, 1, 1)) * n.weight(1, 1, 32, gain=4.0) + n.weight(1, 1, 32)

    t = n.patches(x, 32, 14)
    for _ in range(2):
        t = t + n.attention(dyt(t))
        t = t + n.ff(dyt(t))
    return n.embed(dyt(t).mean(1), 64)


@honest_torch("Sandwich norms and SwiGLU, post-norm residuals: CogView's order in a small ViT.", idea="vit", opset=18,
              dynamo=True)  # fmt: skip
def sandwich_norm_vit(n: Net, x: T) -> T:
    t = n.patches(x, 24, 16)
    for _ in range(2):
        t = t + n.ln(n.attention(n.ln(t)))
        a, b = n.linear(n.ln(t), 96).chunk(2, 2)
        t = t + n.ln(n.linear(F.silu(a) * b, 24))
    return end(n, t)


@honest_torch("Swin for faces (SwinFace's trunk only): patches of 2 embedded twice, windows of 7, merging, GDC.",
              idea="windows", trained=3, opset=13)  # fmt: skip
def swin_with_depthwise_end(n: Net, x: T) -> T:
    x = n.conv(F.gelu(n.cb(x, 12, 3, 2)), 16, 2, 2, padding=0)
    for _ in range(2):
        h = int(x.shape[2])
        x = unwindow(n.block(window(x, 7)), 7, h, h)
        x = n.ln2d(n.conv(x, int(x.shape[1]) + 8, 2, 2, padding=0))
    return n.gdc(x, 128)


@honest_torch(
    "EfficientMod: a context of depthwise layers modulates a value by a product.",
    idea="modulation",
    opset=20,
)
def efficient_modulation(n: Net, x: T) -> T:
    x = n.ln2d(n.conv(x, 16, 7, 4, padding=2))
    for width in (24, 32):
        y = n.ln2d(x)
        ctx = n.conv(F.gelu(n.conv(n.conv(y, x.shape[1], 1), x.shape[1], 7, 1, -1)), x.shape[1], 1)
        x = x + n.conv(ctx * n.conv(y, x.shape[1], 1), x.shape[1], 1)
        x = n.ln2d(n.conv(x, width, 2, 2, padding=0))
    return n.gdc(x, 64)


@honest_torch("Conv2Former: an 11 x 11 depthwise layer modulates values, Hadamard product in the place of attention.",
              idea="modulation", trained=4)  # fmt: skip
def conv2former_hadamard(n: Net, x: T) -> T:
    x = n.conv(F.gelu(n.cb(x, 12, 3, 2)), 16, 2, 2, padding=0)
    for width in (24, 32):
        y, c = n.ln2d(x), int(x.shape[1])
        x = x + n.conv(n.conv(F.gelu(n.conv(y, c, 1)), c, 11, 1, -1) * n.conv(y, c, 1), c, 1)
        y = F.gelu(n.conv(n.ln2d(x), 2 * c, 1))
        x = x + n.conv(y + F.gelu(n.conv(y, 2 * c, 3, 1, -1)), c, 1)
        x = n.conv(n.ln2d(x), width, 2, 2, padding=0)
    return n.gdc(x, 128)


@honest_torch("MogaNet: aggregation of three reaches gated by SiLU, and channels reallocated by a learned difference.",
              idea="modulation", opset=12)  # fmt: skip
def moganet_multi_order(n: Net, x: T) -> T:
    x = n.stem(x, 24)
    for _ in range(2):
        y = n.bn(x)
        z = n.conv(y, 24, 1)
        z = F.gelu(z + (z - z.mean((2, 3), keepdim=True)) * n.weight(1, 24, 1, 1))
        v = n.conv(z, 24, 5, 1, -1)
        a, b, c = v.split((6, 9, 9), 1)
        v = torch.cat([a, n.conv(b, 9, 5, 1, -1, dilation=2), n.conv(c, 9, 7, 1, -1, dilation=3)], 1)
        x = x + n.conv(F.silu(n.conv(v, 24, 1)) * F.silu(n.conv(z, 24, 1)), 24, 1)
        y = F.gelu(n.conv(n.conv(n.bn(x), 48, 1), 48, 3, 1, -1))
        y = y + (y - F.gelu(n.conv(y, 1, 1))) * n.weight(1, 48, 1, 1)
        x = n.down(x + n.conv(y, 24, 1), 24)
    return n.gdc(x, 64)


@honest_torch("Twins with a locally grouped layer only where maps are large, then one global token reads all of them.",
              idea="windows", trained=3, opset=15)  # fmt: skip
def window_then_reading_token(n: Net, x: T) -> T:
    x = n.stem(x, 24)
    x = n.down(unwindow(n.block(window(x, 4)), 4, 28, 28), 32)
    t = n.ln(tokens(x))
    q = n.weight(1, 4, 32, gain=2.0)
    k, v = n.linear(t, 32), n.linear(t, 32)
    y = (q @ k.transpose(1, 2) / 5.6).softmax(-1) @ v
    return n.embed(y, 128)


@honest_torch(
    "LocalViT with an inverted residual and gates inside the feed-forward; tokens become a map for it.",
    idea="vit",
    opset=20,
)
def localvit_gated_feed_forward(n: Net, x: T) -> T:
    t = n.patches(x, 24, 8)
    for _ in range(2):
        t = t + n.attention(n.ln(t), 2)
        y = F.hardswish(n.cb(grid(n.ln(t), 14, 14), 48, 1))
        y = n.se(F.hardswish(n.cb(y, 48, 3, 1, -1)))
        t = t + tokens(n.cb(y, 24, 1))
    return n.gdc(n.down(grid(t, 14, 14), 32), 64)


@honest_torch(
    "Q-Former-like head: sixteen queries attend to themselves and to deep features of a ResNet, then flatten.",
    idea="queries",
    trained=4,
    opset=16,
)
def queries_over_resnet_features(n: Net, x: T) -> T:
    t = tokens(n.res(n.down(n.stem(x, 24), 32)))
    q = n.weight(1, 16, 32, gain=3.0) + t.mean(1, keepdim=True)
    for _ in range(2):
        q = q + n.attention(n.ln(q), 2)
        k, v = n.linear(t, 32), n.linear(t, 32)
        q = q + n.linear((n.linear(n.ln(q), 32) @ k.transpose(1, 2) / 5.6).softmax(-1) @ v, 32)
        q = q + n.ff(n.ln(q))
    return n.embed(q, 128)


@honest_torch("Swin's post-norm with log-spaced continuous position bias by a small network of stored coordinates.",
              idea="windows", opset=14)  # fmt: skip
def continuous_position_bias(n: Net, x: T) -> T:
    x = n.stem(x, 24)
    r = torch.arange(7.0)
    p = torch.stack(torch.meshgrid(r, r, indexing="ij")).reshape(2, 49)
    d = (p[:, :, None] - p[:, None]).permute(1, 2, 0)
    d = d.sign() * (1 + d.abs()).log2() / 3
    for _ in range(2):
        bias = 4 * torch.sigmoid(n.linear(F.relu(n.linear(d, 16)), 2)).permute(2, 0, 1)[None]
        h = int(x.shape[2])
        t = window(x, 7)
        t = t + n.ln(n.attention(t, 2, bias))
        x = n.down(unwindow(t + n.ln(n.ff(t)), 7, h, h), 24)
    return n.gdc(x, 64)


@honest_torch(
    "Vision transformer with Hydra attention: as many heads as channels, cosines, all in linear time.",
    idea="vit",
    opset=11,
)
def hydra_attention(n: Net, x: T) -> T:
    t = n.patches(x, 32, 8)
    for _ in range(2):
        q, k, v = n.linear(n.ln(t), 96).chunk(3, 2)
        q, k = q / (q.norm(dim=2, keepdim=True) + 1e-5), k / (k.norm(dim=2, keepdim=True) + 1e-5)
        t = t + n.linear(q * (k * v).sum(1, keepdim=True), 32)
        t = t + n.ff(n.ln(t))
    return end(n, t, 64)
