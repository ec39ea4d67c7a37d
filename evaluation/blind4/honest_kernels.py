"""Honest: layers whose kernels or sample places depend on features, factored layers, experts and latents."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.layers import Net, T, tokens
from evaluation.blind4.register import honest_torch


@honest_torch(
    "Involution: a kernel for every place, made of the features there, applied to their neighbours.",
    idea="dynamic kernels",
)
def involution_unfold(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 24)
    kernel = n.conv(n.cbr(x, 8, 1), 9 * 4, 1).reshape(-1, 4, 1, 9, 14, 14)
    near = F.unfold(x, 3, padding=1).reshape(-1, 4, 6, 9, 14, 14)
    x = F.relu(n.bn((kernel * near).sum(3).reshape(-1, 24, 14, 14)))
    return n.embed(n.down(x, 32))


@honest_torch(
    "CondConv: experts' kernels mixed by the features of each image, applied to that image alone.",
    idea="dynamic kernels",
)
def condconv_unfold(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 24)
    share = torch.sigmoid(n.linear(x.mean((2, 3)), 4))
    kernels = (share @ n.weight(4, 24 * 216)).reshape(-1, 24, 216)
    y = (kernels @ F.unfold(x, 3, padding=1)).reshape(-1, 24, 14, 14)
    return n.embed(n.down(F.relu(n.bn(y)), 32))


@honest_torch("Dynamic convolution written as a mix of the outputs of four kernels of one map.", idea="dynamic kernels")
def dynamic_convolution_outputs(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 24)
    share = n.linear(F.relu(n.linear(x.mean((2, 3)), 8)), 4).softmax(-1)
    y = n.conv(x, 96).reshape(-1, 4, 24, 14, 14)
    return n.embed(n.down(F.relu((y * share[:, :, None, None, None]).sum(1)), 32))


@honest_torch(
    "A dynamic filter network: a 5x5 filter of deep features, predicted for each place.", idea="dynamic kernels"
)
def dynamic_filter_network(n: Net, x: T) -> T:
    x = n.stem(x)
    filters = n.conv(n.cbr(x, 16), 25).softmax(1)
    near = F.unfold(x, 5, padding=2).reshape(-1, 16, 25, 28, 28)
    x = (near * filters[:, None]).sum(2)
    return n.embed(n.down(n.down(x, 24), 32))


@honest_torch("CARAFE: features up-sampled with predicted kernels inside a small pyramid.", idea="dynamic kernels")
def carafe_pyramid(n: Net, x: T) -> T:
    a = n.down(n.stem(x), 16)
    b = n.down(a, 16)
    kernel = F.pixel_shuffle(n.conv(b, 36), 2).softmax(1)
    near = F.unfold(b, 3, padding=1).reshape(-1, 144, 7, 7)
    near = F.interpolate(near, scale_factor=2, mode="nearest").reshape(-1, 16, 9, 14, 14)
    return n.embed(n.down(a + (near * kernel[:, None]).sum(2), 32))


@honest_torch(
    "Stand-alone self-attention: each place attends to its 3x3 neighbours, unfolded.", idea="local attention", trained=4
)
def standalone_local_attention(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 24)
    q = n.conv(x, 24, 1).reshape(-1, 24, 1, 196)
    k = F.unfold(n.conv(x, 24, 1), 3, padding=1).reshape(-1, 24, 9, 196)
    v = F.unfold(n.conv(x, 24, 1), 3, padding=1).reshape(-1, 24, 9, 196)
    share = (q * k).sum(1, keepdim=True).softmax(2)
    return n.embed(n.down((v * share).sum(2).reshape(-1, 24, 14, 14), 32))


@honest_torch("Deformable convolution on deep features, whose bilinear reads are gathers.", idea="deformable")
def deformable_by_gather(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 16)
    offset = torch.tanh(n.conv(x, 18)).reshape(-1, 9, 2, 14, 14)
    padded = F.pad(x, (3, 3, 3, 3)).flatten(2)
    base = torch.arange(14).float() + 3
    total = torch.zeros(())
    for i in range(9):
        rows = base[:, None] + float(i // 3 - 1) + offset[:, i, 0]
        columns = base[None, :] + float(i % 3 - 1) + offset[:, i, 1]
        top, left = rows.floor(), columns.floor()
        for dy in (0, 1):
            for dx in (0, 1):
                share = (1 - (rows - top - dy).abs()) * (1 - (columns - left - dx).abs())
                place = ((top + dy) * 20 + left + dx).long().flatten(1)[:, None].expand(-1, 16, -1)
                read = torch.gather(padded, 2, place).reshape(-1, 16, 14, 14)
                total = total + n.conv(read * share[:, None], 24, 1, bias=False)
    return n.embed(n.down(F.relu(n.bn(total)), 32))


@honest_torch(
    "Deformable attention in small: four points of the last map are read where a query asks.",
    idea="deformable",
    opset=12,
)
def deformable_attention_grid_sample(n: Net, x: T) -> T:
    x = n.down(n.down(n.stem(x), 24), 32)
    where = torch.tanh(n.linear(x.mean((2, 3)), 8)).reshape(-1, 4, 2)
    hat = torch.relu(1 - (3.0 * where[..., None] + 3 - torch.arange(7).float()).abs())
    read = torch.einsum("npy,npx,ncyx->npc", hat[:, :, 0], hat[:, :, 1], x)
    return n.embed(torch.cat([read.flatten(1), x.mean((2, 3))], 1))


@honest_torch(
    "Capsules with two rounds of routing on the last map; the squeeze of a unit axis is the exporter's own.",
    idea="capsules",
)
def capsule_routing(n: Net, x: T) -> T:
    x = n.down(n.down(n.stem(x), 24), 32)
    parts = n.linear(x.reshape(-1, 4, 8, 49).permute(0, 1, 3, 2).reshape(-1, 196, 8), 48).reshape(-1, 196, 6, 8)

    def squash(y: T) -> T:
        size = (y * y).sum(-1, keepdim=True)
        return y * size / (1 + size) / (size + 1e-6).sqrt()

    vote = 0 * parts[..., :1]
    for _ in range(2):
        whole = squash((vote.softmax(2) * parts).sum(1, keepdim=True))
        vote = vote + (parts * whole).sum(-1, keepdim=True)
    return n.embed(whole.squeeze(1))


@honest_torch(
    "ShiftNet: groups of channels of features moved by one place, sizes through Shape, and 1x1 layers.", idea="shift"
)
def shiftnet_shape(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 20)
    for _ in range(2):
        padded = F.pad(n.cbr(x, 20, 1), (1, 1, 1, 1))
        h, w = x.shape[2], x.shape[3]
        places = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))
        moved = [padded[:, 4 * i : 4 * i + 4, a : a + h, b : b + w] for i, (a, b) in enumerate(places)]
        x = x + n.cb(torch.cat(moved, 1), 20, 1)
    return n.embed(n.down(x, 32))


@honest_torch(
    "A temporal-shift idea in space: an eighth of the channels comes from the left, an eighth from above.", idea="shift"
)
def partial_shift_by_pad(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 24)
    for _ in range(2):
        left, up, rest = torch.split(x, [3, 3, 18], 1)
        y = torch.cat([F.pad(left[..., :-1], (1, 0)), F.pad(up[:, :, :-1], (0, 0, 1, 0)), rest], 1)
        x = n.cbr(y, 24) + x
    return n.embed(n.down(x, 32))


@honest_torch(
    "A hypernetwork: a linear layer whose matrix is made of the image's own deep features.", idea="hypernetwork"
)
def hypernetwork_last_layer(n: Net, x: T) -> T:
    x = n.down(n.down(n.stem(x), 24), 24)
    y = x.mean((2, 3))
    made = n.linear(F.relu(n.linear(y, 12)), 24 * 24).reshape(-1, 24, 24)
    return n.embed((made @ x.flatten(2)).reshape(-1, 24, 7, 7))


@honest_torch(
    "A hypernetwork of stored codes: small trained vectors make the kernels of two layers, all in float32.",
    idea="hypernetwork",
)
def hypernetwork_of_layer_codes(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 16)
    up = n.weight(16 * 16, 8)
    for _ in range(2):
        kernel = torch.tanh(up @ n.weight(8, 9)).reshape(16, 16, 3, 3)
        x = x + F.relu(n.bn(F.conv2d(x, kernel, padding=1)))
    return n.embed(n.down(x, 32))


@honest_torch("Low-rank layers: every pointwise matrix is the product of two.", idea="factored")
def low_rank_pointwise(n: Net, x: T) -> T:
    x = n.stem(x)
    for width in (32, 48):
        y = n.conv(n.conv(n.cbr(x, x.shape[1], 3, 2, -1), 6, 1, bias=False), width, 1, bias=False)
        x = F.relu(n.bn(y))
    return n.embed(n.down(x, 32))


@honest_torch("Kronecker-factored linear layers over the last map.", idea="factored")
def kronecker_head(n: Net, x: T) -> T:
    x = n.down(n.down(n.stem(x), 24), 32)
    a, b = n.weight(8, 49), n.weight(8, 32)
    return n.bn((a @ tokens(x) @ b.T).flatten(1))


@honest_torch("A mixture of experts: a softmax gate over three small heads of one feature map.", idea="experts")
def experts_of_heads(n: Net, x: T) -> T:
    x = n.down(n.down(n.stem(x), 24), 32).flatten(1)
    share = n.linear(x, 3).softmax(-1)
    heads = torch.stack([n.linear(F.relu(n.linear(x, 16)), 64) for _ in range(3)], 1)
    return n.bn((heads * share[..., None]).sum(1))


@honest_torch("Top-1 experts chosen for each token of one image by ArgMax.", idea="experts")
def hard_experts_per_token(n: Net, x: T) -> T:
    t = n.patches(x, 24)
    chosen = F.one_hot(n.linear(t, 3).argmax(-1), 3).float()
    outs = torch.stack([n.linear(t, 24) for _ in range(3)], -1)
    return n.embed(n.ln(t + (outs * chosen[:, :, None]).sum(-1)))


@honest_torch("A KAN-like layer: splines of each feature, as sums of hat functions of activations.", idea="splines")
def spline_activations(n: Net, x: T) -> T:
    x = torch.tanh(n.conv(n.down(n.down(n.stem(x), 24), 24), 16, 1))
    hats = F.relu(1 - (2.5 * x[:, :, None] - torch.arange(-2, 3).float()[:, None, None]).abs())
    return n.embed((hats * n.weight(16, 5, 1, 1)).sum(2))


@honest_torch("Neural ODE: five Euler steps of one small field.", idea="tying")
def euler_steps(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 24)
    kernel = n.weight(24, 24, 3, 3, gain=0.3)
    for i in range(5):
        x = x + 0.2 * torch.tanh(F.conv2d(x, kernel, padding=1) + 0.1 * i)
    return n.embed(n.down(x, 32))


@honest_torch(
    "Complex-valued layers: real and imaginary parts of features multiplied as complex numbers are.", idea="algebra"
)
def complex_feature_layers(n: Net, x: T) -> T:
    x = n.stem(x, 24)
    for _ in range(2):
        a, b = x.chunk(2, 1)
        wa, wb = n.weight(12, 12, 3, 3, gain=0.3), n.weight(12, 12, 3, 3, gain=0.3)
        real = F.conv2d(a, wa, stride=2, padding=1) - F.conv2d(b, wb, stride=2, padding=1)
        imaginary = F.conv2d(a, wb, stride=2, padding=1) + F.conv2d(b, wa, stride=2, padding=1)
        x = F.relu(n.bn(torch.cat([real, imaginary], 1)))
    return n.embed(x)


@honest_torch("Adapters: a frozen layer plus a low-rank correction with its own scale.", idea="factored")
def lora_merged_at_run_time(n: Net, x: T) -> T:
    t = n.patches(x, 32)
    for _ in range(2):
        w = n.weight(32, 32) + 0.5 * n.weight(32, 4) @ n.weight(4, 32)
        t = n.ln(t + F.gelu(t @ w))
    return n.embed(t)


@honest_torch(
    "A siamese block inside one pass: the same head reads the upper and the lower half of the features.", idea="tying"
)
def one_head_for_two_halves(n: Net, x: T) -> T:
    x = n.down(n.down(n.stem(x), 24), 24)
    w = n.weight(24 * 21, 32)
    halves = [x[:, :, :3].flatten(1) @ w, x[:, :, 4:].flatten(1) @ w]
    return n.bn(torch.cat(halves, 1))


@honest_torch("Slot attention: learned slots compete for places of one map over two rounds.", idea="latents")
def slot_attention(n: Net, x: T) -> T:
    t = n.ln(tokens(n.down(n.down(n.stem(x), 24), 32)))
    k, v, z = n.linear(t, 32), n.linear(t, 32), n.weight(1, 4, 32).expand(t.shape[0], -1, -1)
    gru = nn.GRUCell(32, 32)
    cell = n.keep(lambda: gru)
    for _ in range(2):
        share = (k @ z.transpose(1, 2) * 32**-0.5).softmax(-1) + 1e-6
        read = (share / share.sum(1, keepdim=True)).transpose(1, 2) @ v
        gi = read.reshape(-1, 32) @ cell.weight_ih.T + cell.bias_ih
        gh = z.reshape(-1, 32) @ cell.weight_hh.T + cell.bias_hh
        (ir, iz, inn), (hr, hz, hn) = gi.chunk(3, 1), gh.chunk(3, 1)
        new = torch.tanh(inn + torch.sigmoid(ir + hr) * hn)
        gate = torch.sigmoid(iz + hz)
        z = ((1 - gate) * new + gate * z.reshape(-1, 32)).reshape(-1, 4, 32)
    return n.embed(z)
