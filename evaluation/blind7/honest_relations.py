"""Honest: graphs over patches, splines, experts, capsules, kernels made of the image's own features, shifting MLPs."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind4.register import honest_torch
from evaluation.blind5.tails import tail


def deep(n: Net, x: T, width: int = 24) -> T:
    """[N, 3, 112, 112] to a map [N, width, 14, 14]."""
    return n.down(n.stem(x), width)


@honest_torch("Pyramid ViG: each place finds its nearest places of the pooled map, every second of 12, EdgeConv.",
              idea="graph", trained=4, opset=14)  # fmt: skip
def pyramid_vig_edge_convolution(n: Net, x: T) -> T:
    x = deep(n, x)
    t, m = tokens(x), tokens(F.avg_pool2d(x, 2))
    a, b = F.normalize(t, dim=2), F.normalize(m, dim=2)
    near = (2 * a @ b.transpose(1, 2)).topk(12, 2)[1][:, :, ::2]
    at = near.reshape(-1, 196 * 6, 1).expand(-1, -1, 24)
    found = torch.gather(m, 1, at).reshape(-1, 196, 6, 24)
    own = t[:, :, None].expand(-1, -1, 6, -1)
    edge = F.gelu(n.linear(torch.cat([own, found - own], 3), 24)).amax(2)
    t = t + n.linear(edge, 24)
    return tail(n, grid(t + n.ff(n.ln(t)), 14, 14), dim=128)


@honest_torch("MobileViG: a fixed graph, features rolled by two places along rows and columns, the largest difference.",
              idea="graph", opset=13, trained=4)  # fmt: skip
def mobile_vig_rolled_features(n: Net, x: T) -> T:
    x = deep(n, x)
    y = n.cb(x, 24, 1)
    far = torch.zeros_like(y)
    for axis in (2, 3):
        for by in range(2, 14, 4):
            far = torch.maximum(far, torch.cat([y[:, :, -by:], y[:, :, :-by]], 2) - y if axis == 2
                                else torch.cat([y[..., -by:], y[..., :-by]], 3) - y)  # fmt: skip
    x = x + n.cb(F.gelu(n.cb(torch.cat([y, far], 1), 48, 1)), 24, 1)
    return tail(n, x + n.cb(F.gelu(n.cb(x, 48, 1)), 24, 1))


@honest_torch("GreedyViG: of the rolled features only those nearer than the mean distance less a deviation count.",
              idea="graph", opset=15)  # fmt: skip
def greedy_vig_dynamic_axes(n: Net, x: T) -> T:
    x = n.cb(deep(n, x), 24, 1)
    other = torch.cat([x[:, :, 7:], x[:, :, :7]], 2)
    gap = (x - other).abs().sum(1, keepdim=True)
    mean, spread = gap.mean((2, 3), keepdim=True), gap.flatten(2).std(2, keepdim=True).unsqueeze(3)
    far = torch.zeros_like(x)
    for by in (2, 4, 6):
        for axis in (2, 3):
            low, high = x.narrow(axis, 0, by), x.narrow(axis, by, 14 - by)
            y = torch.cat([high, low], axis)
            close = ((x - y).abs().sum(1, keepdim=True) < mean - 0.5 * spread).float()
            far = torch.maximum(far, close * (y - x))
    return tail(n, n.cbr(torch.cat([x, far], 1), 32, 1))


@honest_torch("A graph attention network over patches: a stored neighbourhood, additive scores, leaky ReLU.",
              idea="graph", opset=12)  # fmt: skip
def graph_attention_over_patches(n: Net, x: T) -> T:
    at = torch.arange(49)
    gap = torch.maximum((at[:, None] // 7 - at // 7).abs(), (at[:, None] % 7 - at % 7).abs())
    closed = (gap > 1).float() * -1e4
    t = n.patches(x, 24)
    for _ in range(3):
        v = n.linear(n.ln(t), 24)
        s = F.leaky_relu(n.linear(v, 1) + n.linear(v, 1).transpose(1, 2), 0.2) + closed
        t = t + F.elu(s.softmax(-1) @ v)
    return n.embed(n.ln(t).mean(1), 96)


@honest_torch("Efficient KAN: cubic B-splines on a stored grid by the recursion, beside a SiLU layer.", idea="KAN",
              trained=4, opset=14)  # fmt: skip
def cubic_spline_kan(n: Net, x: T) -> T:
    def layer(y: T, width: int) -> T:
        knots = torch.arange(-3, 9).float() * 0.4 - 1
        z = torch.tanh(y).unsqueeze(2)
        base = ((z >= knots[:-1]) & (z < knots[1:])).float()
        for k in (1, 2, 3):
            left = (z - knots[: -k - 1]) / (0.4 * k) * base[..., :-1]
            base = left + (knots[k + 1 :] - z) / (0.4 * k) * base[..., 1:]
        return n.linear(F.silu(y), width) + n.linear(base.flatten(1), width, bias=False)

    y = n.bn(n.down(n.down(deep(n, x), 24), 32).mean((2, 3)))
    return n.bn(layer(n.bn(layer(y, 48)), 128))


@honest_torch("KAT: group-rational functions, a polynomial over one plus the size of another, between linear layers.",
              idea="KAN", opset=16, trained=3)  # fmt: skip
def rational_kan_transformer(n: Net, x: T) -> T:
    def rational(y: T, width: int) -> T:
        z = y.reshape(-1, 49, 4, width // 4)
        a, b = n.weight(4, 4, 1, gain=0.5), n.weight(2, 4, 1, gain=0.5)
        top = a[0] + z * (1 + a[1] + z * (a[2] + z * 0.1 * a[3]))
        return (top / (1 + (z * (b[0] + z * b[1])).abs())).reshape(-1, 49, width)

    t = n.patches(x, 24)
    for _ in range(2):
        t = t + n.attention(n.ln(t))
        t = t + n.linear(rational(n.linear(rational(n.ln(t), 24), 48), 48), 24)
    return n.embed(n.ln(t).mean(1), 256)


@honest_torch("DeepSeek's experts: one shared by all tokens, of six routed ones the best two by sigmoid gates.",
              idea="experts", opset=14)  # fmt: skip
def shared_and_routed_experts(n: Net, x: T) -> T:
    t = n.patches(x, 24)
    t = t + n.attention(n.ln(t))
    y = n.ln(t)
    s = torch.sigmoid(n.linear(y, 6))
    chosen = torch.where(s >= s.topk(2, 2)[0][..., 1:], s, torch.zeros_like(s))
    chosen = chosen / chosen.sum(2, keepdim=True)
    h = F.silu(torch.einsum("nlc,ecd->nled", y, n.weight(6, 24, 24, gain=1.5)))
    routed = torch.einsum("nled,edc->nlec", h, n.weight(6, 24, 24))
    t = t + n.ff(y) + (routed * chosen.unsqueeze(3)).sum(2)
    return n.embed(n.ln(t).mean(1), 128)


@honest_torch("Efficient-CapsNet: capsules from one depthwise layer, routed by self-attention without iterations.",
              idea="capsules", opset=13, trained=4)  # fmt: skip
def capsules_by_self_attention(n: Net, x: T) -> T:
    def squash(y: T) -> T:
        size = y.norm(dim=2, keepdim=True) + 1e-6
        return (1 - torch.exp(-size)) * y / size

    x = n.down(deep(n, x), 32)
    u = squash(n.conv(x, 64, 7, 1, 32, padding=0).reshape(-1, 8, 8))
    votes = torch.einsum("nid,ijdk->njik", u, n.weight(8, 16, 8, 16, gain=2.0))
    score = (votes @ votes.transpose(2, 3) / 2.8).sum(2).unsqueeze(3)
    v = squash((votes * (score.softmax(1) + n.weight(16, 8, 1, gain=0.1))).sum(2))
    return n.embed(v, 128)


@honest_torch("DRConv: at every place of deep features one of three kernels is applied, chosen by a guide map.",
              idea="kernels by features", opset=17)  # fmt: skip
def region_aware_convolution(n: Net, x: T) -> T:
    x = deep(n, x)
    guide = n.conv(x, 3, 3)
    best = (guide >= guide.amax(1, keepdim=True)).float()
    y = torch.stack([n.conv(x, 24, 3, bias=False) for _ in range(3)], 1)
    return tail(n, F.relu(n.bn((y * best.unsqueeze(2)).sum(1))))


@honest_torch("WeightNet: a grouped layer makes a pointwise kernel of each image's pooled features, for that image.",
              idea="kernels by features", trained=4, opset=12)  # fmt: skip
def weightnet_kernels(n: Net, x: T) -> T:
    x = deep(n, x)
    for _ in range(2):
        g = torch.sigmoid(n.conv(x.mean((2, 3), keepdim=True), 48, 1))
        w = n.conv(g, 24 * 24, 1, 1, 24).reshape(-1, 24, 24)
        x = F.relu(n.bn((w @ x.flatten(2)).reshape(-1, 24, 14, 14)) + x)
    return tail(n, x, dim=96)


@honest_torch("AS-MLP: thirds of the features shifted along rows, then along columns, with zeros at the border.",
              idea="mlp", opset=11)  # fmt: skip
def axial_shift_mlp(n: Net, x: T) -> T:
    x = deep(n, x)
    for _ in range(2):
        y = F.gelu(n.gn(n.conv(n.gn(x), 24, 1), 4))
        a, b, c = y.chunk(3, 1)
        rows = torch.cat([F.pad(a, (0, 0, 1, 0))[:, :, :-1], b, F.pad(c, (0, 0, 0, 1))[:, :, 1:]], 1)
        columns = torch.cat([F.pad(a, (1, 0))[..., :-1], b, F.pad(c, (0, 1))[..., 1:]], 1)
        x = x + n.conv(F.gelu(n.conv(rows, 24, 1)) + F.gelu(n.conv(columns, 24, 1)), 24, 1)
        x = x + n.conv(F.gelu(n.conv(n.gn(x), 48, 1)), 24, 1)
    return tail(n, x)


@honest_torch("MorphMLP: layers over stretches of a row and of a column, that grow with depth.", idea="mlp",
              opset=18, dynamo=True, trained=3)  # fmt: skip
def morph_mlp_stretches(n: Net, x: T) -> T:
    x = deep(n, x, 16)
    for length in (2, 7, 14):
        y = n.ln2d(x)
        k, c = 14 // length, 16 * length
        rows = y.reshape(-1, 16, 14, k, length).permute(0, 2, 3, 4, 1).reshape(-1, 14, k, c)
        rows = n.linear(rows, c, bias=False).reshape(-1, 14, 14, 16).permute(0, 3, 1, 2)
        z = y.transpose(2, 3).reshape(-1, 16, 14, k, length).permute(0, 2, 3, 4, 1).reshape(-1, 14, k, c)
        z = n.linear(z, c, bias=False).reshape(-1, 14, 14, 16).permute(0, 3, 2, 1)
        x = x + n.conv(rows + z + n.conv(y, 16, 1), 16, 1)
        x = x + n.same(n.conv(F.gelu(n.conv(n.ln2d(x), 32, 1)), 16, 1), lambda: nn.Dropout(0.1))
    return tail(n, x)
