"""Honest: norms, activations, gates and experts that papers propose, in small face networks."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, tokens
from evaluation.blind4.register import honest_torch
from evaluation.blind14.honest_ends import deep, last
from evaluation.blind16.honest_parts import ir, ir_trunk, join, rms


def acted(n: Net, x: T, act: list[object]) -> T:
    """Write a plain residual trunk whose three stages have these activations."""
    y = n.cb(x, 12, 3, 2)
    for w, f in zip((20, 28, 36), act, strict=True):
        assert callable(f)
        y = f(n.cb(y, w, 3, 2))
        y = y + n.cb(f(n.cb(y, w)), w)
    return n.embed(n.bn(y), 128)


@honest_torch("Peri-LN: every sub-layer of a vision transformer has a norm before it and another behind it.",
              idea="norms", trained=3, opset=13)  # fmt: skip
def norms_around_every_sublayer(n: Net, x: T) -> T:
    t = rms(n, n.patches(x, 32, 16))
    for _ in range(3):
        t = t + rms(n, n.attention(rms(n, t), 4))
        t = t + rms(n, n.ff(rms(n, t)))
    return n.embed(rms(n, t).mean(1), 256)


@honest_torch("Mix-LN: the first blocks are normalised behind their sums, the deeper ones before their layers.",
              idea="norms", opset=17)  # fmt: skip
def first_blocks_normed_behind_the_sum(n: Net, x: T) -> T:
    t = n.patches(x, 32, 16)
    t = n.ln(t + n.attention(t, 4))
    t = n.ln(t + n.ff(t))
    for _ in range(2):
        t = n.block(t, 4)
    return n.embed(n.ln(t).mean(1), 128)


@honest_torch("HybridNorm: queries, keys and values each have a norm, the feed-forward part is normalised behind its "
              "sum.",
              idea="norms", trained=3, opset=12)  # fmt: skip
def normed_heads_and_post_normed_rest(n: Net, x: T) -> T:
    t = n.patches(x, 32, 14)
    for _ in range(2):
        q, k, v = (n.ln(part) for part in n.heads(t, 2))
        t = t + join(n, (q @ k.transpose(2, 3) * 0.25).softmax(-1) @ v)
        t = n.ln(t)
        t = t + n.ff(t)
    return n.embed(n.ln(t), 128)


@honest_torch("SmeLU: a parabola joins the two lines of a ReLU, its width is stored; a residual trunk.",
              idea="activations", trained=3, opset=12)  # fmt: skip
def parabola_between_two_lines(n: Net, x: T) -> T:
    def smelu(z: T) -> T:
        return torch.where(z.abs() <= 1.0, (z + 1.0).pow(2) / 4.0, F.relu(z))

    return acted(n, x, [smelu, smelu, smelu])


@honest_torch("LiSHT: activations times their own hyperbolic tangents, never negative, in an iResNet's place of PReLU.",
              idea="activations", opset=14)  # fmt: skip
def activations_times_their_tangents(n: Net, x: T) -> T:
    y = n.cb(x, 12, 3, 2)
    for w in (16, 24, 32):
        z = n.cb(n.bn(y), w)
        y = n.cb(z * torch.tanh(z), w, 3, 2) + n.cb(y, w, 1, 2)
    return n.embed(n.bn(y), 512)


@honest_torch("Multi-bin trainable linear units: each channel has slopes and offsets for stored bins of its values.",
              idea="activations", opset=13)  # fmt: skip
def slopes_for_bins_of_values(n: Net, x: T) -> T:
    def mtlu(z: T) -> T:
        w = int(z.shape[1])
        total = F.relu(z)
        for i in range(-2, 3):
            inside = torch.sigmoid(8 * (z - i)) - torch.sigmoid(8 * (z - i - 1))
            total = total + inside * (0.3 * n.weight(1, w, 1, 1) * z + 0.3 * n.weight(1, w, 1, 1))
        return total

    return acted(n, x, [F.relu, mtlu, mtlu])


@honest_torch("CMPE-SE: the channel gate of a unit looks at the residual's and at the identity's pooled channels, "
              "which compete.",
              idea="gates", trained=3, opset=12)  # fmt: skip
def residual_and_identity_compete(n: Net, x: T) -> T:
    y = ir_trunk(n, x, 16, 24)
    for w in (32, 40):
        short = n.cb(y, w, 1, 2 if w == 32 else 1)
        z = n.cb(n.cbp(n.bn(y), w, 3, 2 if w == 32 else 1), w)
        both = torch.stack([z.mean((2, 3)), short.mean((2, 3))], 1).unsqueeze(1)
        mixed = F.relu(n.bn(n.same(both, lambda: torch.nn.Conv2d(1, 4, (2, 1), bias=False)))).flatten(1)
        gate = torch.sigmoid(n.linear(F.relu(n.linear(mixed, 8)), w)).reshape(-1, w, 1, 1)
        y = z * gate + short
    return n.embed(n.bn(y), 256)


@honest_torch("Hash layers: the expert of a deep place is stored, by a fixed table over places, and nothing is routed.",
              idea="experts", opset=11)  # fmt: skip
def experts_by_a_stored_table_of_places(n: Net, x: T) -> T:
    t = tokens(last(n, x)) + n.weight(1, 49, 32)
    place = torch.arange(49) * 7 % 4
    for _ in range(2):
        t = t + n.attention(n.ln(t))
        z = n.ln(t)
        total = 0 * t
        for i in range(4):
            total = total + n.ff(z) * (place == i).float().reshape(1, 49, 1)
        t = t + total
    return n.embed(t.mean(1), 128)


@honest_torch("Quality head of a face team: a small scorer on the third stage scales the last stage's residuals, and a "
              "second one the joined depths.",
              idea="quality", trained=4, opset=13)  # fmt: skip
def scorer_scales_later_residuals(n: Net, x: T) -> T:
    y = ir_trunk(n, x, 16, 24)
    score = torch.sigmoid(n.linear(F.relu(n.linear(y.mean((2, 3)), 12)), 1))
    z = n.cb(y, 32, 1, 2)
    for s in (2, 1):
        inner = y if s == 2 else z
        z = z + (0.5 + score.reshape(-1, 1, 1, 1)) * n.cb(n.cbp(n.bn(inner), 32), 32, 3, s)
    deep_end, mid_end = n.linear(n.bn(z).flatten(1), 128), n.linear(y.mean((2, 3)), 128)
    return n.bn(score * deep_end + (1 - score) * mid_end)


@honest_torch("Evidential end: non-negative evidence for 96 stored prototypes, its share of the total, beside its "
              "uncertainty mass.",
              idea="quality", trained=3, opset=12)  # fmt: skip
def evidence_for_stored_prototypes(n: Net, x: T) -> T:
    e = n.embed(n.bn(ir_trunk(n, x, 16, 24, 32)), 64)
    evidence = F.softplus(4 * F.normalize(e) @ F.normalize(n.weight(64, 96), dim=0))
    total = evidence.sum(1, keepdim=True) + 96
    return n.bn(torch.cat([evidence / total, 96 / total], 1))


@honest_torch("Occlusion branch with a contrast: a mask of the middle features and its complement are pooled apart, "
              "the hidden part is taken off.",
              idea="occlusion", trained=3, opset=11)  # fmt: skip
def hidden_part_of_features_taken_off(n: Net, x: T) -> T:
    y = ir(n, deep(n, x), 32)
    mask = torch.sigmoid(n.conv(n.cbr(y, 12), 1, 1))
    seen = (y * mask).sum((2, 3)) / (mask.sum((2, 3)) + 1e-2)
    hidden = (y * (1 - mask)).sum((2, 3)) / ((1 - mask).sum((2, 3)) + 1e-2)
    whole = n.linear(n.down(y * mask, 36).flatten(1), 96)
    return n.bn(whole + n.linear(seen, 96) - 0.3 * n.linear(hidden, 96))
