"""Honest: heads, parts, experts, kernels of the image and graphs on top of one trunk that reads one image once."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, tokens
from evaluation.blind4.register import honest_torch


def trunk(n: Net, x: T, width: int = 32) -> T:
    """[N, 3, 112, 112] to [N, width, 7, 7] by IR units."""
    x = n.cbp(x, 12, 3, 2)
    for w in (16, 24, width):
        x = n.cb(n.cbp(n.bn(x), w), w, 3, 2) + n.cb(x, w, 1, 2)
    return x


@honest_torch("PCB for faces: six overlapping bands of deep rows, each averaged and with a linear layer of its own.",
              idea="face parts", trained=4, opset=12)  # fmt: skip
def overlapping_bands_of_rows(n: Net, x: T) -> T:
    x = trunk(n, x)
    return torch.cat([n.bn(n.linear(x[:, :, i : i + 2].mean((2, 3)), 24)) for i in range(6)], 1)


@honest_torch("LANet: two spatial masks of deep features by 1x1 layers, of which one gains by the larger value, GDC.",
              idea="face parts", opset=13)  # fmt: skip
def local_attention_masks(n: Net, x: T) -> T:
    x = trunk(n, x)
    masks = [torch.sigmoid(n.conv(F.relu(n.conv(x, 8, 1)), 1, 1)) for _ in range(3)]
    return n.gdc(x * torch.stack(masks).amax(0), 128)


@honest_torch(
    "Attention-guided drop at test time: nothing is dropped, a mask of class activations scales deep features.",
    idea="face heads",
    trained=3,
)
def activation_map_gate(n: Net, x: T) -> T:
    x = trunk(n, x)
    cam = n.conv(x, 16, 1)
    who = cam.mean((2, 3)).softmax(1)[:, :, None, None]
    gate = (cam * who).sum(1, keepdim=True)
    gate = gate - gate.amin((2, 3), keepdim=True)
    return n.embed(x * (1 + gate / (gate.amax((2, 3), keepdim=True) + 1e-4)), 96)


@honest_torch("Multi-task trunk: pose and light heads of the trunk are kept and feed the embedding's normalisation.",
              idea="face heads", opset=14)  # fmt: skip
def pose_and_light_conditioned(n: Net, x: T) -> T:
    x = trunk(n, x)
    pooled = x.mean((2, 3))
    aux = torch.cat([torch.tanh(n.linear(pooled, 3)), n.linear(pooled, 9)], 1)
    y = n.bn(n.linear(x.flatten(1), 64))
    return y * (1 + 0.2 * n.linear(aux, 64)) + 0.2 * n.linear(aux, 64)


@honest_torch("Hypernetwork on the image: the pooled features make a depthwise 3x3 kernel for that image's last map.",
              idea="kernels of the image", trained=4, opset=15)  # fmt: skip
def depthwise_kernel_by_image(n: Net, x: T) -> T:
    x = trunk(n, x, 24)
    k = n.linear(F.relu(n.linear(x.mean((2, 3)), 16)), 24 * 9).reshape(-1, 24, 9, 1, 1).softmax(2)
    p = F.pad(x, (1, 1, 1, 1))
    near = torch.stack([p[:, :, i : i + 7, j : j + 7] for i in range(3) for j in range(3)], 2)
    return n.embed(x - (near * k).sum(2), 64)


@honest_torch(
    "Experts of low rank: a shared linear head plus four corrections of rank four, softly gated by the image.",
    idea="experts",
    opset=13,
)
def low_rank_experts_head(n: Net, x: T) -> T:
    y = n.bn(trunk(n, x)).flatten(1)
    g = n.linear(y, 4).softmax(1)
    made = n.linear(y, 64)
    for i in range(4):
        made = made + g[:, i : i + 1] * n.linear(n.linear(y, 4, bias=False), 64, bias=False)
    return n.bn(made)


@honest_torch("V-MoE with noisy gates off: the best expert of four for each deep token, its share kept as a factor.",
              idea="experts", trained=3, opset=14)  # fmt: skip
def token_experts_by_mask(n: Net, x: T) -> T:
    t = tokens(trunk(n, x))
    p = n.linear(n.ln(t), 4).softmax(2)
    p = p * (p >= p.amax(2, keepdim=True)).float()
    y = n.ln(t)
    t = t + sum(p[:, :, i : i + 1] * n.linear(F.gelu(n.linear(y, 32)), 32) for i in range(4))
    return n.embed(n.ln(t).mean(1), 96)


@honest_torch(
    "GCN head: deep places as nodes, adjacency by softmax of embedded likeness plus a stored grid, two layers.",
    idea="graph",
    opset=18,
    dynamo=True,
)
def learned_adjacency_graph(n: Net, x: T) -> T:
    t = tokens(trunk(n, x))
    for _ in range(2):
        e = n.linear(t, 12)
        a = (e @ e.transpose(1, 2) / 3.5).softmax(2) + n.weight(1, 49, 49).softmax(2)
        t = t + F.relu(n.linear(a @ t, 32))
    return n.embed(n.ln(t).mean(1), 64)


@honest_torch(
    "Reversible coupling blocks in the last stage, additive, with channels exchanged after each.",
    idea="reversible",
    trained=4,
    opset=13,
)
def additive_couplings_exchanged(n: Net, x: T) -> T:
    a, b = trunk(n, x).chunk(2, 1)
    for _ in range(3):
        a, b = b, a + n.cb(n.cbr(b, 16), 16)
    return n.embed(torch.cat([a, b], 1), 96)


@honest_torch("Neural spline flow on the embedding: half of it moves the other half by monotone piecewise curves.",
              idea="flow", opset=14)  # fmt: skip
def monotone_curves_of_the_embedding(n: Net, x: T) -> T:
    a, b = n.embed(trunk(n, x), 64).chunk(2, 1)
    for _ in range(2):
        heights = n.linear(F.relu(n.linear(a, 32)), 32 * 6).reshape(-1, 32, 6).softmax(2)
        knots = torch.linspace(-3, 2, 6)
        moved = (heights * (b[:, :, None] - knots).clamp(0, 1)).sum(2) * 6 - 3
        a, b = moved + 0.2 * b, a
    return torch.cat([a, b], 1)


@honest_torch("Blocks shared over depth with norms of their own for each turn, a 3x3 layer that is used six times.",
              idea="shared in depth", opset=12)  # fmt: skip
def one_kernel_six_norms(n: Net, x: T) -> T:
    x = n.stem(x, 24)
    w = n.weight(24, 24, 3, 3, gain=0.35)
    for i in range(6):
        x = x + F.relu(n.bn(F.conv2d(x, w, padding=1)))
        x = F.max_pool2d(x, 2) if i in (1, 3) else x
    return n.gdc(x, 128)


@honest_torch(
    "Quality-adaptive fusion of three depths: softmax weights from each level's own pooled features.",
    idea="face heads",
    trained=3,
    opset=20,
    dynamo=True,
)
def quality_weighted_levels(n: Net, x: T) -> T:
    x = n.stem(x, 16)
    levels = []
    for width in (24, 32, 40):
        x = n.res(n.cbr(x, width, 3, 2))
        levels.append(x.mean((2, 3)))
    score = torch.cat([n.linear(F.relu(n.linear(y, 8)), 1) for y in levels], 1).softmax(1)
    return n.bn(sum(score[:, i : i + 1] * n.linear(y, 128) for i, y in enumerate(levels)))


@honest_torch(
    "Eight learned Gaussians over places of deep features each pool a part of the face.",
    idea="face parts",
    trained=4,
    opset=19,
)
def stored_gaussian_parts(n: Net, x: T) -> T:
    x = trunk(n, x)
    r = torch.linspace(-1, 1, 7)
    cy, cx = n.weight(8, 1, gain=0.5), n.weight(8, 1, gain=0.5)
    wy, wx = torch.exp(-((r - cy) ** 2) * 4), torch.exp(-((r - cx) ** 2) * 4)
    w = wy[:, :, None] * wx[:, None]
    w = (w / w.sum((1, 2), keepdim=True)).reshape(8, 49)
    return n.embed(w @ tokens(x), 128)


@honest_torch(
    "Network slimming: whole channels were cut after training, so the widths are odd and uneven.",
    idea="pruned",
    opset=11,
)
def slimmed_to_uneven_widths(n: Net, x: T) -> T:
    x = n.cbr(x, 11, 3, 2)
    for inner, width in ((13, 17), (9, 23), (19, 29)):
        x = F.relu(n.cb(n.cbr(x, inner), width, 3, 2) + n.cb(x, width, 1, 2))
    return n.embed(n.cbr(x, 21, 1), 100)
