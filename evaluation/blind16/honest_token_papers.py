"""Honest: attention and token networks over one image's patches or deep features."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind4.register import honest_torch
from evaluation.blind14.honest_ends import deep, last
from evaluation.blind16.honest_parts import join, rms


@honest_torch("Skyformer: likeness by a Gaussian kernel of queries and keys in place of softmax, from products and "
              "lengths.",
              idea="attention", trained=3, opset=12)  # fmt: skip
def gaussian_kernel_of_queries_and_keys(n: Net, x: T) -> T:
    t = n.patches(x, 32, 16)
    for _ in range(2):
        q, k, v = n.heads(n.ln(t), 2)
        far = q.pow(2).sum(-1, keepdim=True) + k.pow(2).sum(-1).unsqueeze(2) - 2 * q @ k.transpose(2, 3)
        t = t + join(n, torch.exp(-0.125 * far) @ v / 5)
        t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t).mean(1), 128)


@honest_torch("TransNormer: linear attention whose output, not whose weights, is normalised, and a gated unit without "
              "activation.",
              idea="linear attention", opset=13)  # fmt: skip
def normalised_output_of_linear_attention(n: Net, x: T) -> T:
    t = tokens(last(n, x)) + n.weight(1, 49, 32)
    for _ in range(3):
        q, k, v = n.heads(rms(n, t), 2)
        mixed = (F.elu(q) + 1) @ ((F.elu(k) + 1).transpose(2, 3) @ v)
        mixed = mixed * (mixed.pow(2).mean(-1, keepdim=True) + 1e-5).rsqrt()
        t = t + join(n, mixed)
        z = rms(n, t)
        t = t + n.linear(n.linear(z, 48) * n.linear(z, 48), 32)
    return n.embed(t, 256)


@honest_torch("Attention with bounded memory control: a learned map writes all tokens into eight slots, queries read "
              "the slots.",
              idea="attention", opset=12)  # fmt: skip
def tokens_written_into_bounded_memory(n: Net, x: T) -> T:
    t = tokens(deep(n, x))
    for _ in range(2):
        z = n.ln(t)
        write = n.linear(z, 8).exp().clamp(max=30.0)
        write = write / write.sum(1, keepdim=True)
        slots = write.transpose(1, 2) @ z
        q, k, v = n.linear(z, 32), n.linear(slots, 32), n.linear(slots, 32)
        t = t + n.linear((q @ k.transpose(1, 2) * 32**-0.5).softmax(-1) @ v, 32)
        t = t + n.ff(n.ln(t))
    return n.gdc(n.down(grid(t, 14, 14), 40), 128)


@honest_torch("RealFormer: scores of every layer are added to those of the layer before, ahead of the softmax.",
              idea="attention", trained=4, opset=11)  # fmt: skip
def scores_carried_from_layer_to_layer(n: Net, x: T) -> T:
    t = n.patches(x, 32, 14)
    carried = None
    for _ in range(3):
        q, k, v = n.heads(t, 4)
        score = q @ k.transpose(2, 3) * 8**-0.5
        carried = score if carried is None else carried + score
        t = n.ln(t + join(n, carried.softmax(-1) @ v))
        t = n.ln(t + n.ff(t))
    return n.embed(t.mean(1), 256)


@honest_torch("KERPLE's logarithmic kernel as a bias of places in two dimensions, slope and rate learned for each "
              "head.",
              idea="attention", opset=13)  # fmt: skip
def logarithm_of_distance_as_bias(n: Net, x: T) -> T:
    i = torch.arange(64)
    r, c = torch.div(i, 8, rounding_mode="floor").float(), torch.remainder(i, 8).float()
    far = (r[:, None] - r).abs() + (c[:, None] - c).abs()
    t = n.patches(x, 32, 14, places=False)
    for _ in range(3):
        slope, rate = n.weight(1, 4, 1, 1).abs() + 0.3, n.weight(1, 4, 1, 1).abs() + 0.2
        t = n.block(t, 4, -slope * torch.log(1 + rate * far))
    return n.embed(n.ln(t), 128)


@honest_torch("Softpick: rectified exponentials less one over a sum of sizes in place of softmax, so that weights may "
              "be zero.",
              idea="attention", trained=3, opset=11)  # fmt: skip
def rectified_exponentials_for_softmax(n: Net, x: T) -> T:
    t = n.patches(x, 32, 16)
    for _ in range(2):
        q, k, v = n.heads(n.ln(t), 2)
        e = torch.exp((q @ k.transpose(2, 3) * 0.25).clamp(max=8.0)) - 1
        t = t + join(n, (F.relu(e) / (e.abs().sum(-1, keepdim=True) + 1e-4)) @ v)
        t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t).mean(1), 128)


@honest_torch("Scalable softmax: scores times a learned rate and the logarithm of the number of tokens, class token "
              "and mean joined.",
              idea="attention", opset=18, dynamo=True)  # fmt: skip
def scores_times_log_of_token_count(n: Net, x: T) -> T:
    t = n.patches(x, 32, 14)
    t = torch.cat([n.weight(1, 1, 32) + 0 * t[:, :1], t], 1)
    for _ in range(2):
        q, k, v = n.heads(n.ln(t), 4)
        rate = (0.25 + 0.1 * n.weight(1, 4, 1, 1)) * 4.1744
        t = t + join(n, (q @ k.transpose(2, 3) * 8**-0.5 * rate).softmax(-1) @ v)
        t = t + n.ff(n.ln(t))
    t = n.ln(t)
    return n.embed(torch.cat([t[:, 0], t[:, 1:].mean(1)], 1), 256)


@honest_torch("UFO-ViT: keys and values meet first, both factors are brought to length one with a learned scale, no "
              "softmax.",
              idea="linear attention", opset=12)  # fmt: skip
def crossed_normalised_linear_attention(n: Net, x: T) -> T:
    t = tokens(deep(n, x)) + n.weight(1, 196, 32)
    for _ in range(2):
        q, k, v = n.heads(n.ln(t), 2)
        kv = F.normalize(k.transpose(2, 3) @ v, dim=-1) * (1 + n.weight(1, 2, 1, 1))
        t = t + join(n, (F.normalize(q, dim=-1) * (1 + n.weight(1, 2, 1, 1))) @ kv)
        z = grid(n.ln(t), 14, 14)
        t = t + tokens(n.conv(z, 32, 3, 1, -1))
        t = t + n.ff(n.ln(t))
    return n.gdc(n.down(grid(t, 14, 14), 40), 128)


@honest_torch("LIT: early stages have perceptrons alone, later ones attend; tokens merge by an ordinary strided layer.",
              idea="attention", opset=17)  # fmt: skip
def perceptrons_first_attention_later(n: Net, x: T) -> T:
    t = n.patches(x, 20, 8)
    t = t + n.ff(n.ln(t))
    t = t + n.ff(n.ln(t))
    t = n.ln(tokens(n.conv(grid(t, 14, 14), 36, 2, 2, padding=0)))
    for _ in range(2):
        t = n.block(t, 3)
    return n.embed(n.ln(t), 256)


@honest_torch("Context cluster: deep places are points, each cell's four centres gather by cosine and hand back with a "
              "learned slope.",
              idea="token networks", trained=3, opset=13)  # fmt: skip
def places_as_points_in_clusters(n: Net, x: T) -> T:
    y = deep(n, x)
    for _ in range(2):
        points, values = n.conv(n.gn(y, 1), 16, 1), n.conv(y, 16, 1)
        centres = tokens(F.avg_pool2d(points, 7))
        middle = tokens(F.avg_pool2d(values, 7))
        like = F.normalize(centres, dim=2) @ F.normalize(points.flatten(2), dim=1)
        like = torch.sigmoid((1 + n.weight(1)) * like + n.weight(1))
        best = (like >= like.amax(1, keepdim=True)).float() * like
        gathered = (best @ tokens(values) + middle) / (best.sum(2, keepdim=True) + 1)
        y = y + n.conv(grid(best.transpose(1, 2) @ gathered, 14, 14), 32, 1)
        y = y + n.conv(F.gelu(n.conv(n.gn(y, 1), 64, 1)), 32, 1)
    return n.gdc(n.down(y, 40), 128)


@honest_torch("GroupViT: learned group tokens in two stages; every patch goes to the group it likes best, by a hard "
              "choice.",
              idea="token networks", opset=12)  # fmt: skip
def groups_gather_patches_in_two_stages(n: Net, x: T) -> T:
    t = n.patches(x, 32, 16)
    for groups in (12, 4):
        length = int(t.shape[1])
        both = n.block(torch.cat([n.weight(1, groups, 32, gain=2.0) + 0 * t[:, :1], t], 1))
        g, p = n.linear(n.ln(both[:, :groups]), 32), n.linear(n.ln(both[:, groups:]), 32)
        like = (g @ p.transpose(1, 2) * 32**-0.5).softmax(1)
        hard = (like >= like.amax(1, keepdim=True)).float() * like
        t = both[:, :groups] + n.linear(hard @ both[:, groups : groups + length] / (hard.sum(2, keepdim=True) + 1), 32)
        t = t + n.ff(n.ln(t))
    return n.embed(t, 128)


@honest_torch("PSViT: tokens are pooled between stages and the attention weights of one layer serve the next as well.",
              idea="token networks", opset=13)  # fmt: skip
def pooled_tokens_and_shared_weights(n: Net, x: T) -> T:
    t = n.patches(x, 24, 8)
    for side, width in ((14, 24), (7, 36)):
        if side == 7:
            t = n.linear(tokens(F.max_pool2d(grid(t, 14, 14), 3, 2, 1)), 36)
        q, k, v = n.heads(n.ln(t), 3)
        share = (q @ k.transpose(2, 3) * (width / 3) ** -0.5).softmax(-1)
        t = t + join(n, share @ v)
        t = t + n.ff(n.ln(t))
        again = n.linear(n.ln(t), width).reshape(-1, side * side, 3, width // 3).transpose(1, 2)
        t = t + join(n, share @ again)
        t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t).mean(1), 128)


@honest_torch("Fully adaptive self-attention (FAT): a depthwise context and a pooled attention gate each other both "
              "ways.",
              idea="hybrid networks", opset=13)  # fmt: skip
def context_and_attention_gate_each_other(n: Net, x: T) -> T:
    y = deep(n, x)
    for _ in range(2):
        z = n.ln2d(y)
        near = n.cb(z, 32, 5, 1, -1)
        pooled = n.cb(z, 32, 3, 2, -1)
        q, k, v = tokens(n.conv(z, 32, 1)), tokens(n.conv(pooled, 32, 1)), tokens(n.conv(pooled, 32, 1))
        far = grid((q @ k.transpose(1, 2) * 32**-0.5).softmax(-1) @ v, 14, 14)
        y = y + n.conv(far * torch.sigmoid(near) + near * torch.sigmoid(far), 32, 1)
        y = y + n.conv(F.gelu(n.conv(n.ln2d(y), 64, 1)), 32, 1)
    return n.gdc(n.down(y, 40), 128)
