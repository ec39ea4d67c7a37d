"""Honest: vision transformers and attention forms that the earlier sets do not hold, one look at the image each."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, tokens, unwindow, window
from evaluation.blind4.register import honest_torch


def wide(n: Net, x: T, width: int = 32) -> T:
    """Bring the image down to a map of 14 x 14."""
    return n.cbr(n.cbr(n.cbr(x, 12, 3, 2), 20, 3, 2), width, 3, 2)


def end(n: Net, t: T, side: int = 14, dim: int = 128) -> T:
    """Lay tokens out again and end as MobileFaceNet does."""
    y = grid(n.ln(t), side, side)
    return n.gdc(n.down(y, 40) if side == 14 else y, dim)


def read(n: Net, q: T, k: T, v: T, bias: T | None = None) -> T:
    """Attend with one head: tokens [N, L, C]."""
    s = q @ k.transpose(1, 2) * int(q.shape[2]) ** -0.5
    return (s if bias is None else s + bias).softmax(2) @ v


@honest_torch("MOAT: an inverted residual with its stride before attention instead of a feed-forward layer.",
              idea="vision transformers", trained=3, opset=13)  # fmt: skip
def moat_mobile_then_attention(n: Net, x: T) -> T:
    x = n.cbr(n.cbr(x, 12, 3, 2), 20, 3, 2)
    for width, side in ((24, 14), (32, 7)):
        c = int(x.shape[1])
        y = F.gelu(n.cb(F.gelu(n.cb(n.bn(x), 2 * c, 1)), 2 * c, 3, 2, -1))
        t = tokens(n.conv(y, width, 1) + n.conv(F.avg_pool2d(x, 2), width, 1))
        x = grid(t + n.attention(n.ln(t)), side, side)
    return n.embed(x, 128)


@honest_torch("Locality self-attention: the diagonal of the scores is masked, the temperature is learned.",
              idea="vision transformers", trained=3, opset=12)  # fmt: skip
def diagonal_masked_attention(n: Net, x: T) -> T:
    t = n.patches(x, 32)
    for _ in range(2):
        q, k, v = n.heads(n.ln(t), 2)
        s = q @ k.transpose(2, 3) * (n.weight(1, gain=0.1) + 0.25) - 1e4 * torch.eye(49)
        t = t + n.linear((s.softmax(3) @ v).transpose(1, 2).reshape(-1, 49, 32), 32)
        t = t + n.ff(n.ln(t))
    return end(n, t, 7)


@honest_torch("Focal Transformer: windows of deep tokens attend to themselves and to pooled cells of the whole map.",
              idea="vision transformers", opset=13)  # fmt: skip
def focal_windows_and_cells(n: Net, x: T) -> T:
    y = wide(n, x)
    for _ in range(2):
        t = n.ln(window(y, 7))
        far = n.ln(tokens(F.avg_pool2d(y, 3, 3, 1))).unsqueeze(1)
        far = (far + torch.zeros(1, 4, 1, 1)).reshape(-1, 25, 32)
        both = torch.cat([t, far], 1)
        t = read(n, n.linear(t, 32), n.linear(both, 32), n.linear(both, 32))
        y = y + unwindow(n.linear(t, 32), 7, 14, 14)
        y = y + n.conv(F.gelu(n.conv(n.bn(y), 64, 1)), 32, 1)
    return end(n, tokens(y))


@honest_torch("Vision Longformer: stored masks let tokens see a window about them, four global tokens see all.",
              idea="vision transformers", opset=14)  # fmt: skip
def longformer_window_and_globals(n: Net, x: T) -> T:
    t = n.patches(x, 32, 16)
    t = torch.cat([n.weight(1, 4, 32, gain=2.0) + t.mean(1, keepdim=True), t], 1)
    at = torch.arange(49)
    near = ((at[:, None] // 7 - at // 7).abs() <= 2) & ((at[:, None] % 7 - at % 7).abs() <= 2)
    mask = torch.zeros(53, 53)
    mask[4:, 4:] = -30.0 * (~near).float()
    for _ in range(2):
        t = n.block(t, 2, mask)
    return n.embed(torch.cat([n.ln(t)[:, :4].flatten(1), t[:, 4:].mean(1)], 1), 128)


@honest_torch("Luna: a packed sequence of eight vectors first attends to the tokens, then the tokens to it.",
              idea="efficient attention", trained=3, opset=12)  # fmt: skip
def luna_packed_attention(n: Net, x: T) -> T:
    t = tokens(wide(n, x))
    p = n.weight(1, 8, 32, gain=3.0) + 0 * t[:, :1]
    for _ in range(2):
        y = n.ln(t)
        packed = read(n, n.linear(n.ln(p), 32), n.linear(y, 32), n.linear(y, 32))
        t = t + n.linear(read(n, n.linear(y, 32), n.linear(packed, 32), n.linear(packed, 32)), 32)
        t, p = t + n.ff(n.ln(t)), p + packed
    return end(n, t)


@honest_torch("SOFT: a Gaussian kernel of queries and pooled keys in place of softmax, its inverse by Newton's steps.",
              idea="efficient attention", opset=13)  # fmt: skip
def soft_gaussian_kernel(n: Net, x: T) -> T:
    t = tokens(wide(n, x))

    def kernel(a: T, b: T) -> T:
        d = (a * a).sum(2, keepdim=True) + (b * b).sum(2).unsqueeze(1) - 2 * a @ b.transpose(1, 2)
        return (-0.5 * d / 16**0.5).exp()

    y = n.ln(t)
    q = n.linear(y, 16)
    few = tokens(F.avg_pool2d(grid(q, 14, 14), 3, 3, 1))
    a = kernel(few, few) + 0.05 * torch.eye(25)
    z = a / (a.sum(2).amax(1)[:, None, None] ** 2)
    for _ in range(5):
        z = 2 * z - z @ a @ z
    t = t + n.linear(kernel(q, few) @ (z @ (kernel(few, q) @ n.linear(y, 32))) * 0.1, 32)
    return end(n, t + n.ff(n.ln(t)))


@honest_torch("Hedgehog: linear attention whose feature map is a softmax of a learned layer and of its negation.",
              idea="efficient attention", opset=12)  # fmt: skip
def hedgehog_softmax_features(n: Net, x: T) -> T:
    t = tokens(wide(n, x))
    for _ in range(2):
        q, k, v = n.heads(n.ln(t), 2)

        def spiny(z: T) -> T:
            z = n.linear(z, 16)
            return torch.cat([z.softmax(3), (-z).softmax(3)], 3)

        q, k = spiny(q), spiny(k)
        y = q @ (k.transpose(2, 3) @ v) / (q @ k.sum(2).unsqueeze(3) + 1e-6)
        t = t + n.linear(y.transpose(1, 2).reshape(-1, 196, 32), 32)
        t = t + n.ff(n.ln(t))
    return end(n, t)


@honest_torch("SimA: queries and keys divided by their l1 lengths over the tokens, no softmax.",
              idea="efficient attention", opset=11)  # fmt: skip
def sima_l1_normalised(n: Net, x: T) -> T:
    t = n.patches(x, 32)
    for _ in range(3):
        q, k, v = n.heads(n.ln(t), 2)
        q, k = (z / (z.abs().sum(2, keepdim=True) + 1e-6) for z in (q, k))
        y = q @ (k.transpose(2, 3) @ v) * 49
        t = t + n.linear(y.transpose(1, 2).reshape(-1, 49, 32), 32)
        t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t), 128)


@honest_torch("ReLA: rectified scores instead of a softmax, the result held by a gated RMS norm.",
              idea="efficient attention", trained=3, opset=13)  # fmt: skip
def rectified_linear_attention(n: Net, x: T) -> T:
    t = n.patches(x, 32)
    for _ in range(2):
        y = n.ln(t)
        q, k, v = n.heads(y, 2)
        z = (F.relu(q @ k.transpose(2, 3) * 0.25) @ v).transpose(1, 2).reshape(-1, 49, 32)
        z = z / (z * z).mean(2, keepdim=True).add(1e-5).sqrt()
        t = t + n.linear(torch.sigmoid(n.linear(y, 32)) * z, 32)
        t = t + n.ff(n.ln(t))
    return n.embed(t.mean(1), 128)


@honest_torch("1.5-entmax attention: the threshold found by sixteen halvings for each row, written out.",
              idea="efficient attention", opset=12)  # fmt: skip
def entmax_by_bisection(n: Net, x: T) -> T:
    t = n.patches(x, 32)
    q, k, v = n.heads(n.ln(t), 2)
    s = q @ k.transpose(2, 3) * 0.125
    top = s.amax(3, keepdim=True)
    low, high = top - 1, top - 49**-0.5
    for _ in range(16):
        mid = (low + high) / 2
        big = (F.relu(s - mid) ** 2).sum(3, keepdim=True) >= 1
        low, high = torch.where(big, mid, low), torch.where(big, high, mid)
    p = F.relu(s - low) ** 2
    y = (p / p.sum(3, keepdim=True)) @ v
    t = t + n.linear(y.transpose(1, 2).reshape(-1, 49, 32), 32)
    return n.embed(n.ln(n.block(t)), 128)


@honest_torch("Forgetting Transformer: causal scores of deep tokens lowered by sums of logarithms of forget gates.",
              idea="vision transformers", trained=3, opset=14)  # fmt: skip
def forgetting_attention(n: Net, x: T) -> T:
    t = n.patches(x, 32)
    causal = -1e4 * torch.triu(torch.ones(49, 49), 1)
    for turned in (False, True):
        y = n.ln(t.flip(1) if turned else t)
        q, k, v = n.heads(y, 2)
        f = F.logsigmoid(n.linear(y, 2) + 2).cumsum(1).transpose(1, 2)
        s = q @ k.transpose(2, 3) * 0.25 + f.unsqueeze(3) - f.unsqueeze(2) + causal
        z = n.linear((s.softmax(3) @ v).transpose(1, 2).reshape(-1, 49, 32), 32)
        t = t + (z.flip(1) if turned else z)
        t = t + n.ff(n.ln(t))
    return n.embed(t.mean(1), 128)


@honest_torch("Stick-breaking attention: each token breaks its part off what nearer ones left, by cumulated logs.",
              idea="vision transformers", opset=18)  # fmt: skip
def stick_breaking_attention(n: Net, x: T) -> T:
    t = n.patches(x, 32)
    low = torch.tril(torch.ones(49, 49), -1)
    for _ in range(2):
        q, k, v = n.heads(n.ln(t), 2)
        s = q @ k.transpose(2, 3) * 0.25
        left = (F.logsigmoid(-s) * low) @ low
        y = ((F.logsigmoid(s) + left).exp() * low) @ v
        t = t + n.linear(y.transpose(1, 2).reshape(-1, 49, 32), 32)
        t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t), 128)


@honest_torch("Tensor product attention: queries, keys and values as short sums of head vectors times channel vectors.",
              idea="vision transformers", trained=3, opset=15)  # fmt: skip
def tensor_product_attention(n: Net, x: T) -> T:
    def made(y: T, rank: int) -> T:
        a = n.linear(y, 4 * rank).reshape(-1, 49, 4, rank)
        b = n.linear(y, 8 * rank).reshape(-1, 49, rank, 8)
        return (a @ b / rank).transpose(1, 2)

    t = n.patches(x, 32)
    for _ in range(2):
        y = n.ln(t)
        q, k, v = made(y, 3), made(y, 2), made(y, 2)
        z = ((q @ k.transpose(2, 3) * 8**-0.5).softmax(3) @ v).transpose(1, 2).reshape(-1, 49, 32)
        t = t + n.linear(z, 32)
        t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t), 128)


@honest_torch("Super tokens: pooled tokens gather their neighbours softly twice, attend to each other, hand back.",
              idea="vision transformers", opset=17)  # fmt: skip
def super_token_sampling(n: Net, x: T) -> T:
    t = tokens(wide(n, x))
    y = n.ln(t)
    s = tokens(F.avg_pool2d(grid(y, 14, 14), 2))
    for _ in range(2):
        share = (y @ s.transpose(1, 2) * 32**-0.5).softmax(2)
        s = share.transpose(1, 2) @ y / (share.sum(1).unsqueeze(2) + 1e-6)
    t = t + share @ n.attention(s)
    return end(n, t + n.ff(n.ln(t)), 14, 192)


@honest_torch("PaCa-ViT: learned soft clusters of patches are keys and values of patch-to-cluster attention.",
              idea="vision transformers", trained=3, opset=13)  # fmt: skip
def patch_to_cluster_attention(n: Net, x: T) -> T:
    t = tokens(wide(n, x))
    for _ in range(2):
        y = n.ln(t)
        z = n.ln(n.linear(F.gelu(n.linear(y, 24)), 12).softmax(1).transpose(1, 2) @ y)
        t = t + n.linear(read(n, n.linear(y, 32), n.linear(z, 32), n.linear(z, 32)), 32)
        t = t + n.ff(n.ln(t))
    return end(n, t)


@honest_torch("LookupViT: nine compressed tokens look all tokens up, work in depth, and are looked up by these again.",
              idea="vision transformers", opset=16)  # fmt: skip
def lookup_compressed_tokens(n: Net, x: T) -> T:
    t = tokens(wide(n, x))
    c = tokens(F.avg_pool2d(grid(t, 14, 14), 4, 5, 1))
    for _ in range(2):
        s = n.linear(n.ln(c), 32) @ n.linear(n.ln(t), 32).transpose(1, 2) * 32**-0.5
        c = c + s.softmax(2) @ n.linear(t, 32)
        c = n.block(c, 4)
        t = t + s.transpose(1, 2).softmax(2) @ n.linear(n.ln(c), 32)
        t = t + n.ff(n.ln(t), 1)
    return n.embed(torch.cat([n.ln(c).flatten(1), t.mean(1)], 1), 128)


@honest_torch("Jumbo: a class token six times as wide is split among the tokens for attention and has its own layer.",
              idea="vision transformers", trained=3, opset=13)  # fmt: skip
def jumbo_class_token(n: Net, x: T) -> T:
    t = n.patches(x, 32)
    c = n.weight(1, 6, 32, gain=3.0) + 0 * t[:, :6]
    for _ in range(2):
        both = torch.cat([c, t], 1)
        both = both + n.attention(n.ln(both))
        c, t = both[:, :6], both[:, 6:]
        c = c + n.ff(n.ln(c.flatten(1)), 1).reshape(-1, 6, 32)
        t = t + n.ff(n.ln(t))
    return n.bn(n.linear(n.ln(c.flatten(1)), 256))


@honest_torch("SAM's encoder: windows, scores with row and column places times queries, a global block, a neck.",
              idea="vision transformers", opset=17)  # fmt: skip
def sam_decomposed_places(n: Net, x: T) -> T:
    t = n.patches(x, 24, 8)

    def placed(z: T, side: int) -> T:
        q, k, v = n.heads(n.ln(z), 2)
        at = torch.arange(side)[:, None] - torch.arange(side) + side - 1
        rows, columns = n.weight(2 * side - 1, 12)[at], n.weight(2 * side - 1, 12)[at]
        g = q.reshape(-1, 2, side, side, 12)
        a = torch.einsum("bhyxc,ykc->bhyxk", g, rows).unsqueeze(5)
        b = torch.einsum("bhyxc,xkc->bhyxk", g, columns).unsqueeze(4)
        s = q @ k.transpose(2, 3) * 12**-0.5 + (a + b).reshape(-1, 2, side * side, side * side)
        return n.linear((s.softmax(3) @ v).transpose(1, 2).reshape(-1, side * side, 24), 24)

    t = t + tokens(unwindow(placed(window(grid(t, 14, 14), 7), 7), 7, 14, 14))
    t = t + n.ff(n.ln(t))
    t = t + placed(t, 14)
    return n.gdc(n.ln2d(n.conv(n.ln2d(n.conv(grid(t, 14, 14), 32, 1)), 32, 3, 2)), 128)
