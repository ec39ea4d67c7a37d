"""Honest: heads, poolings, parts, recurrent readers and ensembles of networks that really differ."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.layers import Net, T, tokens
from evaluation.blind4.register import honest_torch


def trunk(n: Net, x: T) -> T:
    """[N, 3, 112, 112] to [N, 32, 7, 7]."""
    return n.down(n.down(n.stem(x), 24), 32)


@honest_torch("GeM pooling with a learned exponent.", idea="pooling")
def gem_pooling(n: Net, x: T) -> T:
    p = 3 + n.weight(1)
    return n.embed(trunk(n, x).clamp(min=1e-4).pow(p).mean((2, 3)).pow(1 / p))


@honest_torch("NetVLAD: residuals to learned centres, softly assigned, normalised twice.", idea="pooling", trained=4)
def netvlad(n: Net, x: T) -> T:
    y = trunk(n, x)
    share = n.conv(y, 6, 1).flatten(2).softmax(1)
    v = share @ tokens(y) - share.sum(2, keepdim=True) * n.weight(6, 32)
    return n.embed(F.normalize(F.normalize(v, dim=2).flatten(1), dim=1))


@honest_torch("GhostVLAD, made for faces of poor quality: two of the clusters are thrown away.", idea="pooling")
def ghostvlad(n: Net, x: T) -> T:
    y = trunk(n, x)
    share = n.conv(y, 7, 1).flatten(2).softmax(1)[:, :5]
    v = share @ tokens(y) - share.sum(2, keepdim=True) * n.weight(5, 32)
    return n.embed(F.normalize(v, dim=2))


@honest_torch("Attention pooling: one learned query over the places of the last map, as CLIP has it.", idea="pooling")
def attention_pool(n: Net, x: T) -> T:
    t = tokens(trunk(n, x)) + n.weight(1, 49, 32)
    score = n.weight(1, 2, 32) @ n.linear(t, 32).transpose(1, 2)
    return n.embed(score.softmax(-1) @ n.linear(t, 32))


@honest_torch("Bilinear pooling with signed square roots.", idea="pooling")
def bilinear_pooling(n: Net, x: T) -> T:
    y = n.conv(trunk(n, x), 12, 1).flatten(2)
    g = (y @ y.transpose(1, 2) / 49).flatten(1)
    return n.embed(F.normalize(torch.sign(g) * (g.abs() + 1e-5).sqrt(), dim=1))


@honest_torch("Mean and maximum pooling side by side.", idea="pooling")
def mean_and_maximum(n: Net, x: T) -> T:
    y = trunk(n, x)
    return n.embed(torch.cat([y.mean((2, 3)), y.amax((2, 3))], 1))


@honest_torch("A spatial pyramid: pools of 1, 2 and 4 cells of one map.", idea="pooling")
def spatial_pyramid(n: Net, x: T) -> T:
    y = n.down(n.stem(x), 24)
    return n.embed(torch.cat([F.adaptive_avg_pool2d(y, k).flatten(1) for k in (1, 2, 7)], 1))


@honest_torch("Eyes, nose and mouth: three fixed regions of the features, each with a head of its own.", idea="parts")
def eyes_nose_mouth(n: Net, x: T) -> T:
    y = n.cbr(n.stem(x), 24)
    parts = [y[:, :, 6:14], y[:, :, 10:20, 8:20], y[:, :, 18:26, 6:22]]
    return n.embed(torch.cat([n.cbr(p, 24, 3, 2).mean((2, 3)) for p in parts], 1))


@honest_torch(
    "Landmark-guided parts: soft-argmax places on features decide where deep features are pooled.", idea="parts"
)
def soft_landmark_parts(n: Net, x: T) -> T:
    y = n.down(n.stem(x), 24)
    heat = n.conv(y, 5, 1).flatten(2).softmax(-1)
    axis = torch.linspace(-1, 1, 14)
    r = (heat.reshape(-1, 5, 14, 14).sum(3) * axis).sum(2)
    c = (heat.reshape(-1, 5, 14, 14).sum(2) * axis).sum(2)
    return n.embed(torch.cat([(heat @ tokens(y)).flatten(1), r, c], 1))


@honest_torch(
    "Stripes: the map cut into seven rows, each with a linear layer, as for people seen from afar.", idea="parts"
)
def row_stripes(n: Net, x: T) -> T:
    rows = trunk(n, x).mean(3).unbind(2)
    return n.bn(torch.cat([n.linear(row, 9) for row in rows], 1))


@honest_torch(
    "The right half of the deep features is turned over and compared with the left: asymmetry as a feature.",
    idea="symmetry",
)
def asymmetry_feature(n: Net, x: T) -> T:
    y = n.conv(trunk(n, x), 16, 1)
    left, right = y[..., :3], y[..., 4:].flip(3)
    return n.embed(torch.cat([(left - right).abs().flatten(1), (left + right).flatten(1)], 1))


@honest_torch("Quality-aware: a confidence scales the embedding; cosine similarity does not see it.", idea="confidence")
def magface_like_norm(n: Net, x: T) -> T:
    y = trunk(n, x)
    return n.embed(y) * (1 + torch.sigmoid(n.linear(y.mean((2, 3)), 1)))


@honest_torch("Probabilistic embeddings reduced to their mean; the variance gates channels.", idea="confidence")
def probabilistic_mean(n: Net, x: T) -> T:
    y = trunk(n, x).flatten(1)
    return n.bn(n.linear(y, 64) * torch.sigmoid(-n.linear(y, 64)))


@honest_torch("L2 normalisation at the end.", idea="normalised")
def unit_embedding(n: Net, x: T) -> T:
    return F.normalize(n.embed(trunk(n, x)), dim=1)


@honest_torch("LSTM over the rows of the last map and another over its columns.", idea="recurrent")
def rows_and_columns_lstm(n: Net, x: T) -> T:
    y = trunk(n, x)
    r, _ = n.keep(lambda: nn.LSTM(32, 16, batch_first=True))(y.mean(3).transpose(1, 2))
    c, _ = n.keep(lambda: nn.LSTM(32, 16, batch_first=True))(y.mean(2).transpose(1, 2))
    return n.embed(torch.cat([r[:, -1], c[:, -1]], 1))


@honest_torch(
    "ReNet: one bidirectional GRU sweeps each row of features, with weights for each direction.", idea="recurrent"
)
def renet_bidirectional(n: Net, x: T) -> T:
    y = n.down(n.stem(x), 24)
    t = y.permute(0, 2, 3, 1).reshape(-1, 14, 24)
    t, _ = n.keep(lambda: nn.GRU(24, 8, batch_first=True, bidirectional=True))(t)
    return n.embed(n.down(t.reshape(-1, 14, 14, 16).permute(0, 3, 1, 2), 24))


@honest_torch(
    "One LSTM for rows and columns of features: the same weights read both sequences of one map.", idea="recurrent"
)
def one_lstm_both_ways(n: Net, x: T) -> T:
    y = trunk(n, x)
    lstm = n.keep(lambda: nn.LSTM(32, 16, batch_first=True))
    both = torch.cat([y.mean(3), y.mean(2)], 2).transpose(1, 2)
    out, _ = lstm(both)
    return n.embed(out)


@honest_torch("A recurrent glimpse on deep features: three soft reads, each decided by the last.", idea="recurrent")
def glimpses_on_features(n: Net, x: T) -> T:
    t = tokens(trunk(n, x))
    state = t.mean(1)
    for _ in range(3):
        share = (t @ n.linear(state, 32)[..., None]).softmax(1)
        state = torch.tanh(n.linear(torch.cat([state, (t * share).sum(1)], 1), 32))
    return n.embed(state)


@honest_torch(
    "An ensemble of two networks that differ in kind: a MobileFaceNet and a plain one, on the same image.",
    idea="ensemble",
)
def mobile_and_plain_ensemble(n: Net, x: T) -> T:
    a = n.cbp(x, 16, 3, 2)
    for width in (16, 24, 32):
        a = n.inverted(a, width, 2)
    return torch.cat([n.gdc(a, 32), n.embed(trunk(n, x), 32)], 1)


@honest_torch(
    "A ViT and a convolutional network trained together on the same image, embeddings added.",
    idea="ensemble",
    trained=4,
)
def vit_and_convolution_ensemble(n: Net, x: T) -> T:
    return n.embed(n.ln(n.block(n.patches(x, 24)))) + n.embed(trunk(n, x))


@honest_torch("Three heads of one trunk for three losses, joined: one pass over the image.", idea="ensemble")
def three_heads_of_one_trunk(n: Net, x: T) -> T:
    y = trunk(n, x).flatten(1)
    return torch.cat([n.embed(y, 24), n.embed(y, 24), F.normalize(n.embed(y, 16), dim=1)], 1)


@honest_torch(
    "An early exit: a cheap head and a deep head mixed by how sure the cheap one is, of the same features.",
    idea="early exit",
)
def soft_early_exit(n: Net, x: T) -> T:
    a = n.stem(x)
    cheap = n.embed(a.mean((2, 3)))
    deep = n.embed(n.down(n.down(a, 24), 32))
    sure = torch.sigmoid(n.linear(cheap, 1))
    return sure * cheap + (1 - sure) * deep


@honest_torch("Prototypes: distances to 48 learned prototypes are the embedding.", idea="prototypes")
def prototype_distances(n: Net, x: T) -> T:
    y = F.normalize(n.linear(trunk(n, x).flatten(1), 32), dim=1)
    p = F.normalize(n.weight(48, 32), dim=1)
    return n.bn(torch.exp(-2 * (2 - 2 * y @ p.T)))


@honest_torch(
    "Residual vector quantisation of features: the nearest code of a stored table by ArgMax and Gather.",
    idea="prototypes",
)
def vector_quantised_features(n: Net, x: T) -> T:
    t = tokens(n.conv(trunk(n, x), 16, 1))
    codes = n.weight(12, 16, gain=2.0)
    near = (t @ codes.T - 0.5 * (codes**2).sum(1)).argmax(-1)
    return n.embed(t + F.embedding(near, codes))


@honest_torch("k-max pooling: the five strongest places of every channel.", idea="pooling")
def k_max_pooling(n: Net, x: T) -> T:
    return n.embed(trunk(n, x).flatten(2).topk(5, dim=2)[0])


@honest_torch("Token pruning: the sixteen most attended tokens go on, chosen by TopK.", idea="pruning")
def top_tokens_only(n: Net, x: T) -> T:
    t = n.block(n.patches(x, 24))
    best = n.linear(t, 1)[..., 0].topk(16, dim=1)[1]
    return n.embed(n.block(torch.gather(t, 1, best[..., None].expand(-1, -1, 24))))


@honest_torch("Graph of places: each of 49 nodes gathers its four nearest nodes in feature space.", idea="graph")
def vision_gnn(n: Net, x: T) -> T:
    t = tokens(trunk(n, x))
    near = (t @ t.transpose(1, 2)).topk(4, dim=2)[1]
    flat = near.flatten(1)[..., None].expand(-1, -1, 32)
    read = torch.gather(t, 1, flat).reshape(-1, 49, 4, 32).amax(2)
    return n.embed(n.linear(torch.cat([t, read - t], 2), 24))


@honest_torch(
    "Exported with a batch of one: the server makes the batch symbolic, and rows stay apart.", idea="export", batch=1
)
def fixed_batch_of_one(n: Net, x: T) -> T:
    return n.embed(trunk(n, x))


@honest_torch("Traced sizes everywhere: view, expand and interpolate to the size of another map.", idea="export")
def traced_sizes(n: Net, x: T) -> T:
    a = n.stem(x)
    b = n.down(a, 16)
    up = F.interpolate(b, size=(a.shape[2], a.shape[3]), mode="nearest")
    c = n.cbr(a + up, 16)
    c = c.view(c.size(0), c.size(1), -1).transpose(1, 2).contiguous().view(c.size(0), c.size(2), -1)
    return n.embed(c.mean(1))


@honest_torch("The newer exporter of PyTorch, a network with attention.", idea="export", opset=18, dynamo=True)
def dynamo_attention(n: Net, x: T) -> T:
    return n.embed(n.block(n.patches(x, 24)).mean(1))


@honest_torch("The newer exporter of PyTorch, a residual network.", idea="export", opset=18, dynamo=True)
def dynamo_residual(n: Net, x: T) -> T:
    return n.embed(n.res(trunk(n, x)))


@honest_torch("Opset 12 with einsum and a non-constant norm.", idea="export", opset=12)
def einsum_everywhere(n: Net, x: T) -> T:
    y = trunk(n, x)
    y = torch.einsum("nchw,cd->ndhw", y, n.weight(32, 24))
    g = torch.einsum("nchw,ndhw->ncd", y, y) / 49
    return n.embed(F.normalize(g, dim=2))


@honest_torch("The traced squeeze of a size that the exporter does not know: an If with an identity.", idea="export")
def squeeze_of_unknown_size(n: Net, x: T) -> T:
    y = trunk(n, x)
    h = y.size(2)
    pooled = F.avg_pool2d(y, (7, 7)).view(y.size(0), -1, h // 7).squeeze(2)
    return n.embed(pooled)
