"""Honest: recurrences, memories, experts and choices among deep tokens of one image."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind4.register import honest_torch
from evaluation.blind5.tails import tail


def seven(n: Net, x: T, width: int = 24) -> T:
    """[N, 3, 112, 112] to tokens [N, 49, width]."""
    return tokens(n.down(n.down(n.stem(x, 12), 16), width))


def causal(size: int) -> T:
    return torch.tril(torch.ones(size, size))


@honest_torch("Vision-LSTM: a matrix memory with exponential gates, in its parallel form over the tokens.",
              idea="memory", trained=3, opset=14)  # fmt: skip
def vision_lstm_matrix_memory(n: Net, x: T) -> T:
    t = seven(n, x)
    for back in (False, True):
        u = n.ln(t)
        q, k, v = n.linear(u, 24), n.linear(u, 24) / 5, n.linear(u, 24)
        f, i = F.logsigmoid(n.linear(u, 1) + 2), n.linear(u, 1)
        total = (causal(49) @ f).transpose(1, 2)
        d = total.transpose(1, 2) - total + i.transpose(1, 2)
        mask = causal(49).T if back else causal(49)
        d = (d if not back else d - 2 * (total.transpose(1, 2) - total)) * mask - 30 * (1 - mask)
        w = torch.exp(d - d.amax(2, keepdim=True)) * (q @ k.transpose(1, 2))
        y = w @ v / torch.maximum(w.sum(2, keepdim=True).abs(), torch.ones(1))
        t = t + n.linear(n.ln(y) * torch.sigmoid(n.linear(u, 24)), 24)
    return n.embed(n.ln(t), 32)


@honest_torch("DeltaNet: a memory that is corrected by what it got wrong, token after token, unrolled over rows.",
              idea="memory", trained=4, opset=12)  # fmt: skip
def delta_rule_memory(n: Net, x: T) -> T:
    t = n.down(n.stem(x), 16).mean(3).transpose(1, 2)
    q, k, v = n.linear(t, 8), F.normalize(n.linear(t, 8), dim=2), n.linear(t, 16)
    beta = torch.sigmoid(n.linear(t, 1))
    state, made = torch.zeros(1, 16, 8), []
    for i in range(14):
        key = k[:, i, :, None]
        state = state + beta[:, i, :, None] * (v[:, i, :, None] - state @ key) @ key.transpose(1, 2)
        made.append((state @ q[:, i, :, None]).squeeze(2))
    return n.embed(n.ln(t + torch.stack(made, 1)))


@honest_torch("Gated linear attention in chunks: each chunk of seven tokens hands a state to the next.",
              idea="memory", opset=13, trained=3)  # fmt: skip
def gated_linear_chunks(n: Net, x: T) -> T:
    u = n.ln(seven(n, x)).reshape(-1, 7, 7, 24)
    q, k, v = n.linear(u, 12), n.linear(u, 12), n.linear(u, 24)
    decay = torch.sigmoid(n.linear(u.mean(2), 12) + 2)
    state, made = torch.zeros(1, 12, 24), []
    for i in range(7):
        inside = (q[:, i] @ k[:, i].transpose(1, 2) * causal(7)) @ v[:, i]
        made.append(inside + q[:, i] @ state)
        state = decay[:, i, :, None] * state + k[:, i].transpose(1, 2) @ v[:, i]
    return n.embed(n.ln(torch.stack(made, 1).flatten(1, 2)))


@honest_torch("QRNN: gates by a convolution along the tokens, then only additions and products.", idea="memory")
def quasi_recurrent(n: Net, x: T) -> T:
    t = n.down(n.stem(x), 16).mean(2)
    z, f, o = n.same(F.pad(t, (2, 0)), lambda: nn.Conv1d(16, 72, 3)).chunk(3, 1)
    z, f, o = torch.tanh(z), torch.sigmoid(f), torch.sigmoid(o)
    state, made = torch.zeros(1, 24), []
    for i in range(14):
        state = f[:, :, i] * state + (1 - f[:, :, i]) * z[:, :, i]
        made.append(o[:, :, i] * state)
    return n.embed(torch.stack(made, 1), 256)


@honest_torch("LRU: a linear recurrence with complex eigenvalues inside the unit circle, as powers by cosines.",
              idea="memory", opset=12, trained=4)  # fmt: skip
def complex_linear_recurrence(n: Net, x: T) -> T:
    t = seven(n, x)
    at = torch.arange(49).float()
    gap = (at[:, None] - at[None]).clamp(min=0)
    size, angle = torch.exp(-torch.exp(n.weight(16) - 2)), torch.exp(n.weight(16))
    power = size[:, None, None] ** gap * causal(49)
    re, im = power * torch.cos(angle[:, None, None] * gap), power * torch.sin(angle[:, None, None] * gap)
    u = n.linear(n.ln(t), 16).transpose(1, 2).unsqueeze(3)
    y = torch.cat([(re @ u).squeeze(3), (im @ u).squeeze(3)], 1).transpose(1, 2)
    return n.embed(n.ln(t + n.linear(F.gelu(y), 24)))


@honest_torch("A temporal convolutional network over the rows of features: causal, dilated, gated as in WaveNet.",
              idea="memory", trained=4, opset=13)  # fmt: skip
def wavenet_over_rows(n: Net, x: T) -> T:
    y = n.down(n.stem(x), 16).permute(0, 1, 3, 2).flatten(1, 2)
    y = n.same(y, lambda: nn.Conv1d(224, 24, 1))
    total = torch.zeros(1)
    for d in (1, 2, 4):
        z = n.same(F.pad(y, (d, 0)), lambda d=d: nn.Conv1d(24, 48, 2, dilation=d))  # type: ignore[misc]
        a, b = z.chunk(2, 1)
        z = torch.tanh(a) * torch.sigmoid(b)
        total = total + n.same(z, lambda: nn.Conv1d(24, 24, 1))
        y = y + n.same(z, lambda: nn.Conv1d(24, 24, 1))
    return n.embed(F.relu(total))


@honest_torch("Universal transformer: one block three times, each token halts softly when it is sure.",
              idea="shared in depth", trained=4)  # fmt: skip
def adaptive_computation(n: Net, x: T) -> T:
    t = seven(n, x)
    wq, wk, wv, w1, w2 = (n.weight(24, 24) for _ in range(5))
    halt, total, left = n.weight(24, 1), torch.zeros(1), torch.ones(1)
    for i in range(3):
        score = (t @ wq @ (t @ wk).transpose(1, 2) / 5).softmax(-1)
        t = F.layer_norm(t + score @ (t @ wv), [24])
        t = F.layer_norm(t + F.relu(t @ w1) @ w2 + 0.1 * i, [24])
        p = torch.sigmoid(4 * t @ halt) if i < 2 else torch.ones(1)
        total = total + left * p * t
        left = left * (1 - p)
    return n.embed(total)


@honest_torch("DRCN: one convolution five times on its own output, each step read by one shared layer, averaged.",
              idea="shared in depth", opset=14)  # fmt: skip
def deeply_recursive_averaged(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 16)
    w, v = n.weight(16, 16, 3, 3, gain=0.4), n.weight(16, 16, 3, 3, gain=0.4)
    y, made = x, []
    for _ in range(5):
        y = F.relu(F.conv2d(y, w, padding=1))
        made.append(F.conv2d(y + x, v, padding=1))
    share = n.weight(5).softmax(0)
    return tail(n, n.bn(sum(share[i] * z for i, z in enumerate(made))))


@honest_torch("Soft MoE: slots are soft mixtures of deep tokens, each expert has two slots, tokens mix the answers.",
              idea="experts", dynamo=True, opset=20, trained=4)  # fmt: skip
def soft_mixture_slots(n: Net, x: T) -> T:
    t = seven(n, x)
    u = n.ln(t)
    score = u @ n.weight(24, 6) * 3
    slots = (score.softmax(1).transpose(1, 2) @ u).reshape(-1, 3, 2, 24)
    y = F.gelu(slots @ n.weight(3, 24, 32)) @ n.weight(3, 32, 24)
    return n.embed(n.ln(t + score.softmax(2) @ y.reshape(-1, 6, 24)))


@honest_torch("Sparse experts: the best two of four feed-forward layers for each deep token, by TopK and a mask.",
              idea="experts", dynamo=True, opset=18, trained=4)  # fmt: skip
def top_two_experts(n: Net, x: T) -> T:
    t = seven(n, x)
    u = n.ln(t)
    gate = n.linear(u, 4)
    best, at = gate.topk(2, 2)
    share = torch.zeros_like(gate).scatter(2, at, best.softmax(2))
    y = F.gelu(u.unsqueeze(1) @ n.weight(4, 24, 32)) @ n.weight(4, 32, 24)
    return n.embed(n.ln(t + (y * share.transpose(1, 2).unsqueeze(3)).sum(1)))


@honest_torch("Expert choice: each of three experts takes the sixteen deep tokens that suit it, and scatters back.",
              idea="experts", opset=16)  # fmt: skip
def expert_choice(n: Net, x: T) -> T:
    t = seven(n, x)
    score = n.linear(n.ln(t), 3).softmax(2)
    best, at = score.transpose(1, 2).topk(16, 2)
    one_hot = (at.unsqueeze(3) == torch.arange(49)).float()
    y = F.gelu(one_hot @ t.unsqueeze(1) @ n.weight(3, 24, 32)) @ n.weight(3, 32, 24)
    return n.embed(n.ln(t + (one_hot.transpose(2, 3) @ (y * best.unsqueeze(3))).sum(1)), 256)


@honest_torch("Mixture of depths: half of the deep tokens pass through a block, the others stay.", idea="deep choice",
              opset=13, trained=3)  # fmt: skip
def mixture_of_depths(n: Net, x: T) -> T:
    t = n.block(seven(n, x))
    best, at = n.linear(t, 1).squeeze(2).topk(24, 1)
    at = at.unsqueeze(2).expand(-1, -1, 24)
    some = torch.gather(t, 1, at)
    t = t.scatter(1, at, some + torch.sigmoid(best).unsqueeze(2) * n.attention(n.ln(some)))
    return n.embed(n.ln(t))


@honest_torch("TokenLearner: eight learned maps of places pool deep features to eight tokens.", idea="latents",
              trained=4)  # fmt: skip
def token_learner(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 24)
    gate = torch.sigmoid(n.conv(F.gelu(n.conv(n.ln2d(x), 8)), 8, 1)).flatten(2)
    t = gate @ tokens(x) / 49
    return n.embed(n.ln(n.block(t)), 32)


@honest_torch("Set transformer: inducing points read the tokens, and the tokens read them.", idea="latents", opset=12)
def inducing_points(n: Net, x: T) -> T:
    t = seven(n, x)

    def cross(a: T, b: T) -> T:
        return a + (n.linear(a, 24) @ n.linear(b, 24).transpose(1, 2) / 5).softmax(-1) @ n.linear(b, 24)

    for _ in range(2):
        t = n.ln(cross(t, cross(n.weight(1, 6, 24, gain=3.0), t)))
    return n.embed(t)


@honest_torch("k-means of deep tokens as a layer: stored centres move in three rounds (ClusterFormer, CoCs).",
              idea="latents", trained=4, opset=15)  # fmt: skip
def context_clusters(n: Net, x: T) -> T:
    t = seven(n, x)
    u = F.normalize(t, dim=2)
    c = n.weight(1, 5, 24, gain=4.0)
    share = torch.zeros(1)
    for _ in range(3):
        share = (8 * F.normalize(c, dim=2) @ u.transpose(1, 2)).softmax(1)
        c = (share @ t) / (share.sum(2, keepdim=True) + 1e-3)
    return n.embed(n.ln(t + share.transpose(1, 2) @ n.linear(c, 24)), 256)


@honest_torch("Product-key memory: two halves of a query choose four stored keys each, values by Gather.",
              idea="deep choice", opset=13)  # fmt: skip
def product_key_memory(n: Net, x: T) -> T:
    x = n.down(n.down(n.stem(x), 24), 24)
    q = n.bn(n.linear(x.mean((2, 3)), 16))
    a, i = (q[:, :8] @ n.weight(8, 12, gain=4.0)).topk(4, 1)
    b, j = (q[:, 8:] @ n.weight(8, 12, gain=4.0)).topk(4, 1)
    score = (a.unsqueeze(2) + b.unsqueeze(1)).reshape(-1, 16).softmax(1)
    at = (12 * i.unsqueeze(2) + j.unsqueeze(1)).reshape(-1, 16)
    found = n.weight(144, 24, gain=4.0)[at]
    return n.embed(x + (score.unsqueeze(2) * found).sum(1)[:, :, None, None])


@honest_torch("Reformer: deep tokens are sorted by a stored projection and attend within chunks of the order.",
              idea="deep choice", opset=12)  # fmt: skip
def sorted_chunks(n: Net, x: T) -> T:
    t = tokens(n.down(n.stem(x), 24))
    order = (t @ n.weight(24, 1)).squeeze(2).topk(196, 1)[1]
    at = order.unsqueeze(2).expand(-1, -1, 24)
    u = torch.gather(t, 1, at).reshape(-1, 28, 24)
    back = order.topk(196, 1, largest=False)[1].unsqueeze(2).expand(-1, -1, 24)
    t = t + torch.gather(n.attention(n.ln(u)).reshape(-1, 196, 24), 1, back)
    return tail(n, grid(t, 14, 14))


@honest_torch("Matrix capsules: votes for poses are weighed by two rounds of expectation and maximisation.",
              idea="capsules", dynamo=True, opset=18, trained=4)  # fmt: skip
def matrix_capsules(n: Net, x: T) -> T:
    x = n.down(n.down(n.stem(x), 24), 36)
    votes = (x.reshape(-1, 4, 9, 49).permute(0, 3, 1, 2).reshape(-1, 196, 1, 1, 9) @ n.weight(1, 1, 6, 9, 9)).squeeze(3)
    share = torch.full((1, 196, 6, 1), 1 / 6)
    mean = torch.zeros(1)
    for _ in range(2):
        total = share.sum(1, keepdim=True) + 1e-3
        mean = (share * votes).sum(1, keepdim=True) / total
        var = (share * (votes - mean) ** 2).sum(1, keepdim=True) / total + 1e-1
        logit = -(0.5 * (votes - mean) ** 2 / var + 0.5 * var.log()).sum(3, keepdim=True)
        share = logit.softmax(2)
    return n.embed(mean, 96)


@honest_torch("Self-routing capsules: each capsule's own layer decides where it goes, no rounds.", idea="capsules",
              trained=4, opset=14)  # fmt: skip
def self_routing_capsules(n: Net, x: T) -> T:
    x = n.down(n.down(n.stem(x), 24), 32)
    u = x.reshape(-1, 4, 8, 49).permute(0, 3, 1, 2).reshape(-1, 196, 8)
    votes = (u @ n.weight(8, 6 * 8)).reshape(-1, 196, 6, 8)
    share = n.linear(u, 6).softmax(2) * (u * u).sum(2, keepdim=True)
    pose = (share.unsqueeze(3) * votes).sum(1) / (share.sum(1).unsqueeze(2) + 1e-3)
    return n.embed(pose)
