"""Honest: vision transformers of published papers that the earlier sets do not hold, each in small."""

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


@honest_torch("CCT: two convolutions with pools as tokenizer, a transformer, and SeqPool over all tokens.",
              idea="token nets", trained=4, opset=12)  # fmt: skip
def compact_transformer_seqpool(n: Net, x: T) -> T:
    x = F.max_pool2d(F.relu(n.conv(x, 16, 7, 2, bias=False)), 3, 2, 1)
    x = F.max_pool2d(F.relu(n.conv(x, 32, 3, 2, bias=False)), 3, 2, 1)
    t = tokens(x) + n.weight(1, 49, 32, gain=2.0)
    for _ in range(2):
        t = n.block(t)
    t = n.ln(t)
    return n.bn(n.linear((n.linear(t, 1).softmax(1).transpose(1, 2) @ t).squeeze(1), 128))


@honest_torch("EViT: the tokens that the class token heeds most stay, all others are fused to one by their weights.",
              idea="token nets", trained=3, opset=13)  # fmt: skip
def evit_fused_inattentive(n: Net, x: T) -> T:
    t = n.patches(x, 32)
    t = torch.cat([n.weight(1, 1, 32).expand(t.shape[0], 1, 32), t], 1)
    t = n.block(t)
    y = n.ln(t)
    a = (n.linear(y[:, :1], 32) @ n.linear(y[:, 1:], 32).transpose(1, 2) * 32**-0.5).softmax(2).transpose(1, 2)
    best = a.topk(24, 1)
    kept = t[:, 1:].gather(1, best.indices.expand(-1, -1, 32))
    fused = (t[:, 1:] * a).sum(1, keepdim=True) - (kept * best.values).sum(1, keepdim=True)
    t = n.ln(n.block(torch.cat([t[:, :1], kept, fused], 1)))
    return n.bn(n.linear(torch.cat([t[:, 0], t[:, 1:].mean(1)], 1), 256))


@honest_torch("QuadTree attention: the eight best of 49 coarse cells are opened, fine keys within them are read.",
              idea="token nets", opset=13)  # fmt: skip
def quadtree_opened_cells(n: Net, x: T) -> T:
    x = deep_map(n, x)
    q, k, v = n.conv(n.bn(x), 96, 1).chunk(3, 1)
    coarse_k = tokens(F.avg_pool2d(k, 2))
    score = tokens(q) @ coarse_k.transpose(1, 2) * 32**-0.5
    best = score.topk(8, 2)
    mask = torch.zeros_like(score).scatter(2, best.indices, 1.0)
    fine = mask.reshape(-1, 196, 7, 1, 7, 1).expand(-1, 196, 7, 2, 7, 2).reshape(-1, 196, 196)
    a = tokens(q) @ tokens(k).transpose(1, 2) * 32**-0.5 - 1e4 * (1 - fine)
    t = tokens(x) + n.linear(a.softmax(2) @ tokens(v), 32)
    t = t + n.ff(n.ln(t))
    return end(n, t)


@honest_torch("Swin-MLP: windows of deep features, each head's places mixed by one stored matrix, as grouped layers.",
              idea="token nets", opset=11)  # fmt: skip
def swin_mlp_window_matrices(n: Net, x: T) -> T:
    x = deep_map(n, x)
    for _ in range(2):
        t = window(n.ln2d(x), 7).reshape(-1, 49, 4, 8).transpose(1, 2).reshape(-1, 196, 8)
        t = n.same(t, lambda: torch.nn.Conv1d(196, 196, 1, groups=4))
        t = t.reshape(-1, 4, 49, 8).transpose(1, 2).reshape(-1, 49, 32)
        x = x + unwindow(t, 7, 14, 14)
        x = x + grid(n.ff(n.ln(tokens(x))), 14, 14)
    return n.gdc(n.down(x, 40), 128)


@honest_torch("Wave-ViT: keys and values of the four Haar bands of the features, lossless, one attention reads them.",
              idea="token nets", trained=3, opset=13)  # fmt: skip
def wavelet_bands_as_keys(n: Net, x: T) -> T:
    x = deep_map(n, x)
    a = torch.tensor([[1.0, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]]).reshape(4, 1, 2, 2) / 2
    for _ in range(2):
        y = n.bn(x)
        bands = F.conv2d(n.conv(y, 8, 1), a.repeat(8, 1, 1, 1), None, 2, 0, 1, 8)
        k, v = n.linear(tokens(n.cbr(bands, 32)), 64).chunk(2, 2)
        t = tokens(x) + n.linear(read(n.linear(tokens(y), 32), k, v), 32)
        x = grid(t + n.ff(n.ln(t)), 14, 14)
    return n.gdc(n.down(x, 32), 128)


@honest_torch("EdgeViT: local aggregation, attention among a sparse grid of delegates, their answer brought back out.",
              idea="token nets", opset=12)  # fmt: skip
def edgevit_delegates(n: Net, x: T) -> T:
    x = deep_map(n, x)
    for _ in range(2):
        x = x + n.conv(F.gelu(n.conv(n.bn(x), 32, 5, 1, -1)), 32, 1)
        t = n.attention(n.ln(tokens(x[:, :, ::2, ::2])))
        x = x + n.same(grid(t, 7, 7), lambda: torch.nn.ConvTranspose2d(32, 32, 2, 2, groups=32))
        x = x + n.conv(F.gelu(n.conv(n.bn(x), 64, 1)), 32, 1)
    return n.gdc(n.down(x, 32), 192)


@honest_torch("SepViT: every window of deep features has a token of its own, the windows then attend by these tokens.",
              idea="token nets", opset=13)  # fmt: skip
def sepvit_window_tokens(n: Net, x: T) -> T:
    t = window(deep_map(n, x), 7)
    t = torch.cat([n.weight(1, 1, 32).expand(t.shape[0], 1, 32), t], 1)
    t = t + n.attention(n.ln(t))
    w = F.gelu(n.ln(t[:, 0])).reshape(-1, 4, 32)
    q, k = n.linear(w, 64).chunk(2, 2)
    a = (q @ k.transpose(1, 2) * 32**-0.5).softmax(2)
    y = (a @ t[:, 1:].reshape(-1, 4, 49 * 32)).reshape(-1, 49, 32)
    t = t[:, 1:] + n.linear(y, 32)
    t = tokens(unwindow(t + n.ff(n.ln(t)), 7, 14, 14))
    return end(n, t)


@honest_torch("FAN: fully attentional, the feed-forward part is weighed by attention between channels.",
              idea="token nets", trained=3, opset=14)  # fmt: skip
def fan_channel_attended(n: Net, x: T) -> T:
    t = tokens(n.cb(F.gelu(n.cb(n.cb(x, 16, 4, 4, padding=0), 24, 3, 2)), 32, 2, 2, padding=0))
    for _ in range(2):
        t = t + n.attention(n.ln(t))
        y = n.linear(n.ln(t), 32)
        q = F.normalize(y.softmax(1).mean(1, keepdim=True), dim=2)
        gate = torch.sigmoid(q.transpose(1, 2) * 8 @ F.normalize(y.mean(1, keepdim=True), dim=2))
        z = F.gelu(n.linear(y, 32)) @ gate * 32**-0.5
        t = t + n.linear(z + y, 32)
    return end(n, t, 192)


@honest_torch("TransFG: products of attention over layers choose six patch tokens for the last block.",
              idea="token nets", opset=13)  # fmt: skip
def transfg_part_selection(n: Net, x: T) -> T:
    t = n.patches(x, 32)
    t = torch.cat([n.weight(1, 1, 32).expand(t.shape[0], 1, 32), t], 1)
    whole = None
    for _ in range(2):
        q, k, v = n.heads(n.ln(t), 2)
        a = (q @ k.transpose(2, 3) * 0.25).softmax(3)
        whole = a if whole is None else a @ whole
        t = t + n.linear((a @ v).transpose(1, 2).reshape(-1, 50, 32), 32)
        t = t + n.ff(n.ln(t))
    assert whole is not None
    best = whole[:, :, 0, 1:].topk(3, 2).indices.reshape(-1, 6)
    parts = t[:, 1:].gather(1, best.unsqueeze(2).expand(-1, -1, 32))
    t = n.block(torch.cat([t[:, :1], parts], 1))
    return n.bn(n.linear(n.ln(t[:, 0]), 128))


@honest_torch("GPViT: learned group tokens read all deep tokens, mix among themselves, and are read back.",
              idea="token nets", trained=3, opset=13)  # fmt: skip
def group_propagation_block(n: Net, x: T) -> T:
    t = tokens(deep_map(n, x))
    for _ in range(2):
        g = n.weight(1, 12, 32)
        y = n.ln(t)
        g = g + read(n.linear(g, 32), n.linear(y, 32), n.linear(y, 32))
        g = g + n.linear(F.gelu(n.linear(n.ln(g).transpose(1, 2), 24)), 12).transpose(1, 2)
        g = g + n.ff(n.ln(g))
        t = n.linear(torch.cat([t, read(n.linear(y, 32), n.linear(g, 32), n.linear(g, 32))], 2), 32)
        t = t + tokens(n.conv(grid(t, 14, 14), 32, 3, 1, -1))
        t = t + n.ff(n.ln(t))
    return end(n, t)


@honest_torch("iRPE: the relative places' codes meet the queries themselves (contextual, product of rows, columns).",
              idea="token nets", opset=12)  # fmt: skip
def contextual_relative_places(n: Net, x: T) -> T:
    t = n.patches(x, 32, 16, places=False)
    at = torch.arange(7)
    off = (at[:, None] - at[None] + 6).reshape(7, 1, 7, 1).expand(7, 7, 7, 7)
    rows, columns = off.reshape(49, 49), off.permute(1, 0, 3, 2).reshape(49, 49)
    for _ in range(2):
        q, k, v = n.heads(n.ln(t), 2)
        tr, tc = n.weight(13, 16), n.weight(13, 16)
        s = q @ k.transpose(2, 3) + (q.unsqueeze(3) * (tr[rows] + tc[columns])).sum(4)
        t = t + n.linear(((s * 0.25).softmax(3) @ v).transpose(1, 2).reshape(-1, 49, 32), 32)
        t = t + n.ff(n.ln(t))
    return end(n, t)


@honest_torch("NormFormer: a learned scale of each head, a norm behind attention, one inside the feed-forward layer.",
              idea="token nets", trained=3, opset=17)  # fmt: skip
def normformer_head_scales(n: Net, x: T) -> T:
    t = n.patches(x, 32, 14)
    for _ in range(2):
        q, k, v = n.heads(n.ln(t), 4)
        y = ((q @ k.transpose(2, 3) * 8**-0.5).softmax(3) @ v) * (1 + n.weight(1, 4, 1, 1))
        t = t + n.ln(n.linear(y.transpose(1, 2).reshape(-1, 64, 32), 32))
        t = t + n.linear(n.ln(F.gelu(n.linear(n.ln(t), 64))), 32)
    return end(n, t, 384)


@honest_torch("Primer: squared ReLU, and depthwise layers along the tokens behind queries, keys and values.",
              idea="token nets", opset=11)  # fmt: skip
def primer_depthwise_heads(n: Net, x: T) -> T:
    t = n.patches(x, 32)
    for _ in range(2):
        y = n.linear(n.ln(t), 96).transpose(1, 2)
        y = n.same(y, lambda: torch.nn.Conv1d(96, 96, 3, padding=1, groups=96)).transpose(1, 2)
        q, k, v = y.chunk(3, 2)
        t = t + n.linear(read(q, k, v), 32)
        t = t + n.linear(F.relu(n.linear(n.ln(t), 64)) ** 2, 32)
    return end(n, t)


@honest_torch("Gated attention: a sigmoid of the block's input gates the heads; softmax has one more in its sum.",
              idea="token nets", trained=4, opset=13)  # fmt: skip
def gated_heads_softmax_one(n: Net, x: T) -> T:
    t = n.patches(x, 32)
    for _ in range(2):
        y = n.ln(t)
        q, k, v = n.heads(y, 2)
        e = (q @ k.transpose(2, 3) * 0.25).clamp(max=20.0).exp()
        a = (e / (1 + e.sum(3, keepdim=True)) @ v).transpose(1, 2).reshape(-1, 49, 32)
        t = t + n.linear(a * torch.sigmoid(n.linear(y, 32)), 32)
        t = t + n.ff(n.ln(t))
    return end(n, t, 256)


@honest_torch("SpectFormer: early blocks filter tokens in frequencies (by matrices), late blocks attend.",
              idea="token nets", opset=14)  # fmt: skip
def spectformer_then_attention(n: Net, x: T) -> T:
    t = n.patches(x, 24, 14)
    at = torch.arange(64)
    turn = 2 * torch.pi * (at[:, None] * at[None]) / 64
    c, s = turn.cos() / 8, turn.sin() / 8
    for _ in range(2):
        y = n.ln(t)
        re, im = c @ y, -s @ y
        wr, wi = 1 + n.weight(1, 64, 24), n.weight(1, 64, 24)
        re, im = re * wr - im * wi, re * wi + im * wr
        t = t + n.ff(n.ln(c @ re - s @ im))
    return end(n, n.block(t), 128)


@honest_torch("RVT: position-aware scaling of attention by a stored matrix, depthwise feed-forward, mean of tokens.",
              idea="token nets", opset=12)  # fmt: skip
def robust_vit_scaled_pairs(n: Net, x: T) -> T:
    t = tokens(n.cb(n.stem(x, 16), 32, 4, 4, padding=0))
    for _ in range(2):
        q, k, v = n.heads(n.ln(t), 2)
        s = q @ k.transpose(2, 3) * 0.25 * (1 + n.weight(2, 49, 49))
        t = t + n.linear((s.softmax(3) @ v).transpose(1, 2).reshape(-1, 49, 32), 32)
        y = grid(n.linear(n.ln(t), 64), 7, 7)
        t = t + n.linear(tokens(F.gelu(n.bn(n.conv(F.gelu(y), 64, 3, 1, -1)))), 32)
    return end(n, t)


@honest_torch("ELSA: local attention over 3 x 3 places by products of queries and keys, a ghost head's matrix.",
              idea="token nets", trained=3, opset=13)  # fmt: skip
def elsa_hadamard_neighbours(n: Net, x: T) -> T:
    x = deep_map(n, x, 24)
    for _ in range(2):
        q, k, v = n.conv(n.bn(x), 72, 1).chunk(3, 1)
        a = n.conv(q * k, 9, 1) + n.conv(F.gelu(n.conv(q * k, 24, 3, 1, -1)), 9, 1)
        a = (a.reshape(-1, 1, 9, 196) * (1 + n.weight(1, 3, 9, 1)) + n.weight(1, 3, 9, 1)).softmax(2)
        near = F.unfold(v, 3, padding=1).reshape(-1, 3, 8, 9, 196)
        x = x + n.conv((near * a.unsqueeze(2)).sum(3).reshape(-1, 24, 14, 14), 24, 1)
        x = x + n.conv(F.gelu(n.conv(n.bn(x), 48, 1)), 24, 1)
    return n.gdc(n.down(x, 32), 128)
