"""Honest: transformers and token networks over patches or deep places of one image."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind4.register import honest_torch
from evaluation.blind14.honest_ends import deep, last


@honest_torch("Fastformer: additive attention makes one global query, its product with keys one global key.",
              idea="attention forms", trained=3, opset=11)  # fmt: skip
def additive_global_query_and_key(n: Net, x: T) -> T:
    t = n.patches(x)
    for _ in range(2):
        z = n.ln(t)
        q, k, v = n.linear(z, 32), n.linear(z, 32), n.linear(z, 32)
        query = (n.linear(q, 1).softmax(1) * q).sum(1, keepdim=True)
        p = query * k
        key = (n.linear(p, 1).softmax(1) * p).sum(1, keepdim=True)
        t = t + n.linear(key * v, 32) + q
        t = t + n.ff(n.ln(t))
    return n.embed(t.mean(1), 128)


@honest_torch("Funnel-Transformer: queries are means of pairs of tokens, keys are not, the sequence halves each time.",
              idea="attention forms", opset=12)  # fmt: skip
def sequence_halves_like_a_funnel(n: Net, x: T) -> T:
    t = n.patches(x, 32, 14)
    for _ in range(3):
        z = n.ln(t)
        length = int(t.shape[1]) // 2
        q = z.reshape(-1, length, 2, 32).mean(2)
        score = n.linear(q, 32) @ n.linear(z, 32).transpose(1, 2) * 0.18
        t = t.reshape(-1, length, 2, 32).mean(2) + n.linear(score.softmax(-1) @ n.linear(z, 32), 32)
        t = t + n.ff(n.ln(t))
    return n.embed(t, 128)


@honest_torch("Flowformer: attention by flow conservation, sources compete and sinks allocate, no softmax over pairs.",
              idea="attention forms", trained=3, opset=13)  # fmt: skip
def conserved_flow_attention(n: Net, x: T) -> T:
    t = tokens(last(n, x))
    for _ in range(2):
        z = n.ln(t)
        q, k, v = torch.sigmoid(n.linear(z, 32)), torch.sigmoid(n.linear(z, 32)), n.linear(z, 32)
        into = 1 / (q * k.sum(1, keepdim=True)).sum(2, keepdim=True)
        out = 1 / (k * q.sum(1, keepdim=True)).sum(2, keepdim=True)
        sink = torch.sigmoid((q * (k * out).sum(1, keepdim=True)).sum(2, keepdim=True))
        source = (k * (q * into).sum(1, keepdim=True)).sum(2, keepdim=True).softmax(1) * 49
        t = t + n.linear((q * into) @ (k.transpose(1, 2) @ (v * source)) * sink, 32)
        t = t + n.ff(n.ln(t))
    return n.gdc(grid(t, 7, 7), 128)


@honest_torch("BigBird: a stored mask of windows, two global tokens and links that were drawn once, over deep places.",
              idea="attention forms", opset=11)  # fmt: skip
def windows_globals_and_drawn_links(n: Net, x: T) -> T:
    t = tokens(last(n, x)) + n.weight(1, 49, 32)
    i = torch.arange(49)
    near = (i.reshape(49, 1) - i.reshape(1, 49)).abs() <= 2
    far = (i.reshape(49, 1) * 31 + i.reshape(1, 49) * 17) % 13 == 0
    seen = near | far | (i.reshape(1, 49) < 2) | (i.reshape(49, 1) < 2)
    bias = torch.where(seen, torch.zeros(49, 49), torch.full((49, 49), -30.0))
    for _ in range(2):
        t = n.block(t, 4, bias)
    return n.embed(t[:, :4], 128)


@honest_torch("Lite Transformer: half of the channels attend far, half pass a short 1-D layer near, joined.",
              idea="attention forms", opset=12)  # fmt: skip
def long_and_short_range_halves(n: Net, x: T) -> T:
    t = n.patches(x)
    for _ in range(2):
        far, near = n.ln(t).chunk(2, 2)
        far = n.attention(far)
        near = n.conv(F.glu(n.linear(near, 32), 2).transpose(1, 2).unsqueeze(2), 16, (1, 5), 1, -1)
        t = t + torch.cat([far, near.squeeze(2).transpose(1, 2)], 2)
        t = t + n.ff(n.ln(t))
    return n.pooled(grid(t, 7, 7), 128)


@honest_torch("QnA: learned queries, shared by all windows, read overlapping 3x3 windows of deep features by layers.",
              idea="attention forms", opset=13)  # fmt: skip
def learned_queries_read_windows(n: Net, x: T) -> T:
    y = deep(n, x)
    for _ in range(2):
        k, v = n.conv(y, 32, 1), n.conv(y, 32, 1)
        q = n.weight(32, 2)
        e = torch.exp(torch.clamp(torch.einsum("nchw,cq->nqhw", k, q), max=8.0))
        top, under = [], []
        for i in range(2):
            w = n.weight(1, 1, 3, 3).exp()
            top.append(F.conv2d(e[:, i : i + 1] * v, w.expand(32, 1, 3, 3), padding=1, groups=32))
            under.append(F.conv2d(e[:, i : i + 1], w, padding=1))
        y = y + n.cbr(torch.cat([top[0] / under[0], top[1] / under[1]], 1), 32, 1)
    return n.gdc(n.down(y, 40), 128)


@honest_torch("DynamicViT at test time: a predictor scores tokens, those under the middle score are masked as keys.",
              idea="token choice", trained=3, opset=12)  # fmt: skip
def keys_masked_by_predicted_score(n: Net, x: T) -> T:
    t = n.patches(x)
    for _ in range(2):
        near = F.gelu(n.linear(n.ln(t), 16))
        joined = torch.cat([near[:, :, :8], near[:, :, 8:].mean(1, keepdim=True).expand(-1, 49, 8)], 2)
        score = n.linear(joined, 1)
        keep = (score >= score.topk(25, 1)[0][:, 24:25]).float()
        q, k, v = n.heads(n.ln(t), 2)
        a = (q @ k.transpose(-1, -2) * 0.25).exp() * keep.reshape(-1, 1, 1, 49)
        mixed = ((a + 1e-6) / (a.sum(-1, keepdim=True) + 1e-4)) @ v
        t = t + n.linear(mixed.transpose(1, 2).reshape(-1, 49, 32), 32)
        t = t + n.ff(n.ln(t)) * keep
    return n.embed((t * keep).sum(1) / 25, 128)


@honest_torch("MixFormer: windows and a depthwise layer side by side, a channel gate one way, a place gate the "
              "other way.",
              idea="attention forms", opset=14)  # fmt: skip
def window_and_depthwise_interact(n: Net, x: T) -> T:
    y = deep(n, x)
    for _ in range(2):
        local = n.cbr(y, 32, 3, 1, -1)
        gate = torch.sigmoid(n.conv(F.gelu(n.conv(local.mean((2, 3), keepdim=True), 8, 1)), 32, 1))
        w = y.reshape(-1, 32, 2, 7, 2, 7).permute(0, 2, 4, 3, 5, 1).reshape(-1, 49, 32)
        q, k, v = n.linear(w, 32), n.linear(w, 32), n.linear(w, 32)
        v = v.reshape(-1, 4, 49, 32) * gate.reshape(-1, 1, 1, 32)
        z = (q @ k.transpose(1, 2) * 0.18).softmax(-1) @ v.reshape(-1, 49, 32)
        z = z.reshape(-1, 2, 2, 7, 7, 32).permute(0, 5, 1, 3, 2, 4).reshape(-1, 32, 14, 14)
        local = local * torch.sigmoid(n.conv(F.gelu(n.conv(z, 8, 1)), 1, 1))
        y = y + n.cb(torch.cat([z, local], 1), 32, 1)
    return n.gdc(n.down(y, 40), 128)


@honest_torch("DeBERTa: disentangled scores, content with content, content with place and place with content.",
              idea="attention forms", trained=3, opset=13)  # fmt: skip
def disentangled_content_and_place(n: Net, x: T) -> T:
    t = n.patches(x, places=False)
    place = n.weight(49, 32, gain=2.0)
    for _ in range(2):
        z = n.ln(t)
        q, k, v = n.linear(z, 32), n.linear(z, 32), n.linear(z, 32)
        pq, pk = n.linear(place, 32), n.linear(place, 32)
        score = q @ k.transpose(1, 2) + q @ pk.t() + (k @ pq.t()).transpose(1, 2)
        t = t + n.linear((score * (96**-0.5)).softmax(-1) @ v, 32)
        t = t + n.ff(n.ln(t))
    return n.embed(t.mean(1), 128)


@honest_torch("CoPE: places are counted by gates of the content, cumulated, and read between two stored place vectors.",
              idea="attention forms", opset=12)  # fmt: skip
def places_counted_by_content(n: Net, x: T) -> T:
    t = tokens(F.avg_pool2d(deep(n, x), 2))
    for _ in range(2):
        z = n.ln(t)
        q, k, v = n.linear(z, 32), n.linear(z, 32), n.linear(z, 32)
        score = q @ k.transpose(1, 2) * 0.18
        count = torch.clamp(torch.sigmoid(score).cumsum(2), max=15.0)
        codes = q @ n.weight(32, 16)
        steps = torch.arange(16.0)
        hat = F.relu(1 - (count.unsqueeze(3) - steps).abs())
        t = t + n.linear((score + (hat * codes.unsqueeze(2)).sum(3)).softmax(-1) @ v, 32)
    return n.gdc(grid(t, 7, 7), 128)


@honest_torch("iTransformer: each deep channel is a token, its places are the token's numbers; channels attend.",
              idea="attention forms", trained=3, opset=11)  # fmt: skip
def channels_as_inverted_tokens(n: Net, x: T) -> T:
    t = n.linear(last(n, x).flatten(2), 32)
    for _ in range(2):
        t = n.block(t)
    return n.embed(t, 128)


@honest_torch("Autoformer: correlation of deep columns by Fourier matrices, shifts weighed by their correlation "
              "are added.",
              idea="attention forms", opset=13)  # fmt: skip
def shifts_by_own_correlation(n: Net, x: T) -> T:
    t = n.conv(last(n, x), 16, 1).permute(0, 3, 1, 2).reshape(-1, 7, 112)
    t = n.linear(t, 32)
    k = torch.arange(7.0)
    turn = 2 * torch.pi * torch.outer(k, k) / 7
    c, s = torch.cos(turn), torch.sin(turn)
    for _ in range(2):
        q, key, v = n.linear(t, 32), n.linear(t, 32), n.linear(t, 32)
        qr, qi, kr, ki = c @ q, s @ q, c @ key, s @ key
        r = (c @ (qr * kr + qi * ki) - s @ (qi * kr - qr * ki)) / 7
        share = r.mean(2).softmax(1)
        z = sum(share[:, d : d + 1].unsqueeze(2) * torch.cat([v[:, d:], v[:, :d]], 1) for d in range(7))
        t = n.ln(t + n.linear(z, 32))
        t = t - 0.1 * (torch.cat([t[:, :1], t[:, :-1]], 1) + t + torch.cat([t[:, 1:], t[:, -1:]], 1))
    return n.embed(t, 128)


@honest_torch("Informer: only the twelve queries with the most uneven scores attend, all others take the mean of "
              "values.",
              idea="token choice", trained=3, opset=12)  # fmt: skip
def uneven_queries_attend_alone(n: Net, x: T) -> T:
    t = n.patches(x)
    for _ in range(2):
        z = n.ln(t)
        q, k, v = n.linear(z, 32), n.linear(z, 32), n.linear(z, 32)
        score = q @ k.transpose(1, 2) * 0.18
        uneven = score.amax(2) - score.mean(2)
        best = uneven.topk(12, 1)[0][:, 11:12]
        chosen = (uneven >= best).float().unsqueeze(2)
        t = t + n.linear(chosen * (score.softmax(-1) @ v) + (1 - chosen) * v.mean(1, keepdim=True), 32)
        t = t + n.ff(n.ln(t))
    return n.embed(t.mean(1), 128)


@honest_torch("Mixture of heads: two heads are always on, of four more each token takes the best two by a router.",
              idea="token choice", opset=14)  # fmt: skip
def mixture_of_attention_heads(n: Net, x: T) -> T:
    t = tokens(last(n, x, 48))
    for _ in range(2):
        z = n.ln(t)
        q, k, v = n.heads(z, 6)
        made = (q @ k.transpose(-1, -2) * 8**-0.5).softmax(-1) @ v
        route = n.linear(z, 4).softmax(-1)
        on = (route >= route.topk(2, 2)[0][:, :, 1:2]).float() * route
        weight = torch.cat([n.linear(z, 2).softmax(-1), on], 2).transpose(1, 2).unsqueeze(3)
        t = t + n.linear((made * weight).transpose(1, 2).reshape(-1, 49, 48), 48)
        t = t + n.ff(n.ln(t))
    return n.gdc(grid(t, 7, 7), 128)


@honest_torch("ViHGNN: deep places belong softly to eight hyperedges by stored centres, edges gather and hand back.",
              idea="graphs", opset=11)  # fmt: skip
def hyperedges_gather_and_hand_back(n: Net, x: T) -> T:
    t = tokens(last(n, x))
    for _ in range(2):
        z = n.linear(n.ln(t), 32)
        member = (-(z.unsqueeze(2) - n.weight(8, 32, gain=2.0)).pow(2).mean(3)).softmax(2)
        edge = member.transpose(1, 2) @ z / (member.sum(1).unsqueeze(2) + 1e-3)
        t = t + n.linear(F.gelu(member @ n.linear(edge, 32)), 32)
        t = t + n.ff(n.ln(t))
    return n.gdc(grid(t, 7, 7), 128)


@honest_torch("Native sparse attention: pooled blocks, the best two blocks opened, and a near window, gated together.",
              idea="token choice", opset=13)  # fmt: skip
def pooled_opened_and_near_branches(n: Net, x: T) -> T:
    t = tokens(last(n, x))
    i = torch.arange(49)
    near = torch.where(
        (i.reshape(49, 1) - i.reshape(1, 49)).abs() <= 3, torch.zeros(49, 49), torch.full((49, 49), -30.0)
    )
    z = n.ln(t)
    q, k, v = n.linear(z, 32), n.linear(z, 32), n.linear(z, 32)
    kb, vb = k.reshape(-1, 7, 7, 32).mean(2), v.reshape(-1, 7, 7, 32).mean(2)
    block = (q @ kb.transpose(1, 2) * 0.18).softmax(-1)
    opened = (block >= block.topk(2, 2)[0][:, :, 1:2]).float()
    wide = opened.unsqueeze(3).expand(-1, 49, 7, 7).reshape(-1, 49, 49)
    score = q @ k.transpose(1, 2) * 0.18
    made = [block @ vb, (score - 30 * (1 - wide)).softmax(-1) @ v, (score + near).softmax(-1) @ v]
    gates = torch.sigmoid(n.linear(z, 3))
    t = t + n.linear(sum(gates[:, :, j : j + 1] * made[j] for j in range(3)), 32)
    return n.gdc(grid(t + n.ff(n.ln(t)), 7, 7), 128)


@honest_torch("ReMoE: experts of a feed-forward layer are weighed by ReLU of the router, so that many are plainly off.",
              idea="token choice", opset=11)  # fmt: skip
def experts_weighed_by_rectifier(n: Net, x: T) -> T:
    t = n.patches(x)
    for _ in range(2):
        t = t + n.attention(n.ln(t))
        z = n.ln(t)
        route = F.relu(n.linear(z, 4))
        t = t + sum(route[:, :, i : i + 1] * n.linear(F.gelu(n.linear(z, 16)), 32) for i in range(4))
    return n.embed(t.mean(1), 128)
