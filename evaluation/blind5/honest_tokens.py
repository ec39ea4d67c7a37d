"""Honest: transformers of later years, and choices among deep tokens."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import honest_torch


@honest_torch(
    "Rotary places: channel pairs of queries and keys are turned by stored angles.", idea="vit", trained=4, opset=13
)
def rotary_rmsnorm_swiglu(n: Net, x: T) -> T:
    def rms(t: T) -> T:
        return t * torch.rsqrt((t * t).mean(-1, keepdim=True) + 1e-5) * (1 + n.weight(24))

    angle = torch.outer(torch.arange(49).float(), 1 / 100 ** (torch.arange(6).float() / 6))

    def turn(q: T) -> T:
        a, b = q.chunk(2, -1)
        return torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1)

    t = n.patches(x, 24, places=False)
    for _ in range(2):
        q, k, v = n.heads(rms(t), 2)
        y = (turn(q) @ turn(k).transpose(-1, -2) / 3.5).softmax(-1) @ v
        t = t + n.linear(y.transpose(1, 2).reshape(-1, 49, 24), 24)
        u = rms(t)
        t = t + n.linear(F.silu(n.linear(u, 40)) * n.linear(u, 40), 24)
    return n.embed(rms(t))


@honest_torch(
    "ViT with four registers, which are dropped before the tokens are averaged.", idea="vit", trained=4, opset=17
)
def vit_registers(n: Net, x: T) -> T:
    t = torch.cat([n.patches(x, 24), n.weight(1, 4, 24).expand(x.shape[0], -1, -1)], 1)
    for _ in range(2):
        t = n.block(t)
    return n.embed(n.ln(t)[:, :49].mean(1))


@honest_torch(
    "Token merging on deep tokens: each odd token joins the even one most like it, by a matrix of a soft choice.",
    idea="deep choice", opset=13,
)  # fmt: skip
def token_merging(n: Net, x: T) -> T:
    t = n.block(n.patches(x, 24)[:, :48])
    a, b = t[:, ::2], t[:, 1::2]
    share = (F.normalize(b, dim=2) @ F.normalize(a, dim=2).transpose(1, 2) * 20).softmax(-1)
    a = (a + share.transpose(1, 2) @ b) / (1 + share.sum(1).unsqueeze(2))
    return n.embed(n.ln(n.block(a)))


@honest_torch(
    "TransFace: patch tokens are weighted by their own entropy-like score before the mean.", idea="vit", trained=4
)
def transface_weighted_tokens(n: Net, x: T) -> T:
    t = n.block(n.block(n.patches(x, 24)))
    u = n.ln(t)
    gate = torch.sigmoid(n.linear(F.relu(n.linear(u.flatten(1), 24)), 49)).unsqueeze(2)
    return n.embed((gate * u).flatten(1))


@honest_torch("nn.MultiheadAttention and nn.TransformerEncoderLayer as PyTorch ships them.", idea="vit", opset=17)
def pytorch_encoder_layer(n: Net, x: T) -> T:
    t = n.patches(x, 24).transpose(0, 1)
    return n.embed(n.same(t, lambda: nn.TransformerEncoderLayer(24, 2, 48, 0.0)).mean(0))


@honest_torch(
    "Part fViT on deep features: softmax heat maps of trained features say where nine parts are read, never pixels.",
    idea="deep choice", opset=16,
)  # fmt: skip
def deep_landmark_parts(n: Net, x: T) -> T:
    x = n.down(n.down(n.stem(x), 24), 32)
    heat = n.conv(x, 9, 1).flatten(2).softmax(2)
    at = torch.linspace(-0.86, 0.86, 7)
    place = torch.stack([heat @ at.repeat(7), heat @ at.repeat_interleave(7)], 2)
    parts = F.grid_sample(x, place.unsqueeze(1), align_corners=False).squeeze(2).transpose(1, 2)
    return n.embed(n.ln(n.block(n.linear(parts, 24))))
