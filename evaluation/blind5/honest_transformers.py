"""Honest: transformers and what mixes tokens, once over the tokens of one image."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, tokens, unwindow, window
from evaluation.blind4.register import honest_torch
from evaluation.blind5.tails import tail


@honest_torch("CaiT: LayerScale, then a class token that alone attends in the last layer.", idea="vit", trained=4)
def cait_class_attention(n: Net, x: T) -> T:
    t = n.patches(x, 24)
    for _ in range(2):
        t = t + n.weight(24, gain=0.5) * n.attention(n.ln(t))
        t = t + n.weight(24, gain=0.5) * n.ff(n.ln(t))
    c = n.weight(1, 1, 24).expand(t.shape[0], -1, -1)
    q, u = n.linear(c, 24), n.ln(torch.cat([c, t], 1))
    score = (q @ n.linear(u, 24).transpose(1, 2) * 0.2).softmax(-1)
    return n.embed(c + score @ n.linear(u, 24))


@honest_torch("PiT: tokens are pooled by a strided depthwise layer between the stages.", idea="vit", opset=14)
def pit_pooling(n: Net, x: T) -> T:
    t = n.block(n.patches(x, 16, 8))
    t = tokens(n.conv(grid(t, 14, 14), 32, 3, 2, 16))
    return n.embed(n.ln(n.block(t)).mean(1))


@honest_torch(
    "Transformer in transformer: sub-patches within a patch attend to each other, then patches do; each pixel once.",
    idea="vit", opset=13,
)  # fmt: skip
def transformer_in_transformer(n: Net, x: T) -> T:
    small = window(n.conv(x, 8, 4, 4, padding=0), 4)
    small = n.block(small)
    t = n.linear(small.reshape(-1, 49, 128), 24) + n.weight(1, 49, 24)
    return n.embed(n.ln(n.block(t)).mean(1))


@honest_torch(
    "BEiT: relative position bias gathered from a table, no absolute places.", idea="vit", trained=5, opset=12
)
def beit_relative_bias(n: Net, x: T) -> T:
    at = torch.arange(7)
    rel = (at[:, None] - at[None] + 6).reshape(7, 1, 7, 1) * 13 + (at[:, None] - at[None] + 6).reshape(1, 7, 1, 7)
    bias = n.weight(2, 169)[:, rel.reshape(49, 49)]
    t = n.patches(x, 24, places=False)
    for _ in range(2):
        t = n.block(t, 2, bias)
    return n.embed(n.ln(t))


@honest_torch("DaViT: attention over places, then over channels.", idea="vit")
def davit_dual(n: Net, x: T) -> T:
    t = n.block(tokens(n.conv(n.stem(x), 24, 3, 2)))
    q, k, v = n.heads(n.ln(t), 2)
    mixed = v @ (q.transpose(-1, -2) @ k * 0.07).softmax(-1)
    t = t + n.linear(mixed.transpose(1, 2).reshape(-1, 196, 24), 24)
    return tail(n, grid(t + n.ff(n.ln(t)), 14, 14))


def around(n: Net, y: T, side: int, k: int) -> T:
    """The k x k neighbours of each place: [N, C, k², side²]."""
    return F.unfold(y, k, padding=k // 2).reshape(-1, int(y.shape[1]), k * k, side * side)


@honest_torch("Neighbourhood attention by unfold on deep features.", idea="local attention", trained=4, opset=13)
def neighbourhood_attention(n: Net, x: T) -> T:
    x = n.conv(n.stem(x), 16, 3, 2)
    q = n.conv(x, 16, 1).reshape(-1, 16, 1, 196)
    score = ((q * around(n, n.conv(x, 16, 1), 14, 5)).sum(1, keepdim=True) / 4).softmax(2)
    y = (score * around(n, n.conv(x, 16, 1), 14, 5)).sum(2).reshape(-1, 16, 14, 14)
    return tail(n, x + n.conv(y, 16, 1))


@honest_torch("Spatially separable attention: within windows, then to one key for each window.", idea="local attention")
def locally_grouped_and_global(n: Net, x: T) -> T:
    x = n.conv(n.stem(x), 24, 3, 2)
    x = unwindow(n.block(window(x, 7)), 7, 14, 14)
    t = n.ln(tokens(x))
    keys = tokens(n.conv(grid(t, 14, 14), 24, 7, 7, padding=0))
    score = (n.linear(t, 24) @ n.linear(keys, 24).transpose(1, 2) * 0.2).softmax(-1)
    return tail(n, x + grid(score @ n.linear(keys, 24), 14, 14))


@honest_torch("CPVT: places are encoded by a depthwise convolution of the tokens.", idea="vit", trained=4)
def conditional_places(n: Net, x: T) -> T:
    t = n.block(n.patches(x, 24, places=False))
    y = grid(t, 7, 7)
    t = n.block(tokens(y + n.conv(y, 24, 3, 1, -1)))
    return n.embed(n.ln(t))


@honest_torch(
    "VOLO's outlook attention: a linear layer gives each place the weights of its neighbours, on features.",
    idea="local attention", opset=13,
)  # fmt: skip
def outlook_attention(n: Net, x: T) -> T:
    x = n.conv(n.stem(x), 16, 3, 2)
    score = n.conv(x, 9, 1).reshape(-1, 1, 9, 196).softmax(2)
    y = (score * around(n, n.conv(x, 16, 1), 14, 3)).sum(2).reshape(-1, 16, 14, 14)
    return tail(n, x + n.conv(y, 16, 1))


@honest_torch("Axial attention: along rows, then along columns of the features.", idea="axial", trained=4, opset=12)
def axial_rows_and_columns(n: Net, x: T) -> T:
    x = n.conv(n.stem(x), 16, 3, 2)
    for _ in range(2):
        rows = x.permute(0, 2, 3, 1).reshape(-1, 14, 16)
        x = x + n.attention(n.ln(rows)).reshape(-1, 14, 14, 16).permute(0, 3, 1, 2)
        x = x.transpose(2, 3)
    return tail(n, x)


@honest_torch("The non-local block with softmax on deep features.", idea="non-local", trained=4)
def non_local_block(n: Net, x: T) -> T:
    x = n.conv(n.stem(x), 24, 3, 2)
    q, k, v = (n.conv(x, 12, 1).flatten(2) for _ in range(3))
    y = v @ (q.transpose(1, 2) @ k / 3.5).softmax(-1).transpose(1, 2)
    return tail(n, x + n.cb(y.reshape(-1, 12, 14, 14), 24, 1))


@honest_torch("Double attention: gather features by attention, then distribute them.", idea="non-local")
def double_attention(n: Net, x: T) -> T:
    x = n.conv(n.stem(x), 24, 3, 2)
    a = n.conv(x, 12, 1).flatten(2)
    b, v = n.conv(x, 6, 1).flatten(2).softmax(2), n.conv(x, 6, 1).flatten(2).softmax(1)
    return tail(n, x + n.conv((a @ b.transpose(1, 2) @ v).reshape(-1, 12, 14, 14), 24, 1))


@honest_torch(
    "Criss-cross attention: a place attends to its row and its column, twice with the same weights.",
    idea="axial",
    opset=12,
)
def criss_cross_twice(n: Net, x: T) -> T:
    x = n.conv(n.stem(x), 16, 3, 2)
    wq, wk, wv = n.weight(8, 16), n.weight(8, 16), n.weight(16, 16)
    for _ in range(2):
        q, k, v = (torch.einsum("oc,nchw->nohw", w, x) for w in (wq, wk, wv))
        row = torch.einsum("nchw,nchv->nhwv", q, k)
        column = torch.einsum("nchw,ncuw->nhwu", q, k)
        share = torch.cat([row, column], 3).div(3).softmax(3)
        x = (
            x
            + torch.einsum("nhwv,nchv->nchw", share[..., :14], v)
            + torch.einsum("nhwu,ncuw->nchw", share[..., 14:], v)
        )
    return tail(n, n.bn(x))


@honest_torch(
    "BoTNet: attention in place of the 3x3 layer of a bottleneck, places by rows and columns.", idea="non-local"
)
def bottleneck_transformer(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 24)
    y = n.cbr(x, 12, 1)
    place = (n.weight(1, 12, 14, 1) + n.weight(1, 12, 1, 14)).flatten(2)
    q, k, v = (n.conv(y, 12, 1).flatten(2) for _ in range(3))
    share = (q.transpose(1, 2) @ (k + place) / 3.5).softmax(-1)
    y = F.relu(n.bn((v @ share.transpose(1, 2)).reshape(-1, 12, 14, 14)))
    return tail(n, F.relu(x + n.cb(y, 24, 1)))


@honest_torch(
    "LambdaNetworks: keys and values make a linear map of content and places.", idea="linear attention", trained=4
)
def lambda_layer(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 16)
    q = n.cb(x, 8, 1).flatten(2)
    k, v = n.conv(x, 8, 1).flatten(2).softmax(2), n.cb(x, 16, 1).flatten(2)
    content = v @ k.transpose(1, 2)
    places = F.conv2d(v.reshape(-1, 1, 14, 14), n.weight(8, 1, 7, 7), padding=3).reshape(-1, 16, 8, 196)
    y = content @ q + (places * q[:, None]).sum(2)
    return tail(n, x + y.reshape(-1, 16, 14, 14))


@honest_torch("HaloNet: blocks attend to themselves and a rim of two places around.", idea="local attention", opset=13)
def halo_blocks(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 16)
    q = window(n.conv(x, 16, 1), 7)
    kv = F.unfold(n.conv(x, 32, 1), 11, stride=7, padding=2).reshape(-1, 32, 121, 4).permute(0, 3, 2, 1)
    k, v = kv.reshape(-1, 121, 32).chunk(2, 2)
    y = unwindow((q @ k.transpose(1, 2) / 4).softmax(-1) @ v, 7, 14, 14)
    return tail(n, x + y)


@honest_torch(
    "Performer: random features of queries and keys; the projection was drawn once and is stored.",
    idea="linear attention", opset=12,
)  # fmt: skip
def performer_stored_features(n: Net, x: T) -> T:
    t = n.patches(x, 24)
    p = n.weight(24, 32)
    for _ in range(2):
        u = n.ln(t)
        q, k = (torch.exp(n.linear(u, 24) @ p * 0.4 - 0.5) for _ in range(2))
        kv = k.transpose(1, 2) @ n.linear(u, 24)
        t = t + (q @ kv) / (q @ k.sum(1).unsqueeze(2) + 1e-3)
        t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t))


@honest_torch(
    "Linformer: keys and values are projected along the tokens to twelve.", idea="linear attention", trained=4
)
def linformer(n: Net, x: T) -> T:
    t = n.patches(x, 24)
    u = n.ln(t)
    k, v = (n.linear(n.linear(u, 24).transpose(1, 2), 12) for _ in range(2))
    t = t + (n.linear(u, 24) @ k / 5).softmax(-1) @ v.transpose(1, 2)
    return n.embed(n.ln(t + n.ff(n.ln(t))))


@honest_torch(
    "Synthesizer and attention-free layers: stored mixing weights over places.", idea="stored mixing", opset=11
)
def synthesizer_and_attention_free(n: Net, x: T) -> T:
    t = n.patches(x, 24)
    t = t + n.weight(49, 49).softmax(-1) @ n.linear(n.ln(t), 24)
    u = n.ln(t)
    k = torch.exp(n.linear(u, 24).clamp(-4, 4))
    w = torch.exp(n.weight(49, 49))
    t = t + torch.sigmoid(n.linear(u, 24)) * (w @ (k * n.linear(u, 24))) / (w @ k)
    return n.embed(n.ln(t))


@honest_torch(
    "MobileViTv2: separable attention, one context vector from a softmax of scores.", idea="mobile vit", trained=4
)
def mobilevit_v2_separable(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 24)
    y = n.conv(n.conv(x, 24, 3, 1, -1), 16, 1).flatten(2)
    score = n.linear(y.transpose(1, 2), 1).softmax(1)
    context = (score * n.linear(y.transpose(1, 2), 16)).sum(1, keepdim=True)
    y = y + n.linear(F.relu(n.linear(y.transpose(1, 2), 16)) * context, 16).transpose(1, 2)
    return tail(n, torch.cat([x, y.reshape(-1, 16, 14, 14)], 1))


@honest_torch(
    "EdgeNeXt: channels split, convolved in a cascade, then attention across channels.", idea="mobile vit", opset=17
)
def edgenext_stda(n: Net, x: T) -> T:
    x = n.ln2d(n.conv(n.ln2d(n.conv(x, 16, 4, 4, padding=0)), 24, 2, 2, padding=0))
    a, b, c = x.chunk(3, 1)
    b = n.conv(b + a, 8, 3, 1, -1)
    y = tokens(torch.cat([a, b, n.conv(c + b, 8, 3, 1, -1)], 1))
    q, k, v = n.heads(n.ln(y), 2)
    q, k = F.normalize(q, dim=2), F.normalize(k, dim=2)
    y = y + n.linear((v @ (q.transpose(-1, -2) @ k).softmax(-1)).transpose(1, 2).reshape(-1, 196, 24), 24)
    return tail(n, x + grid(n.ff(n.ln(y)), 14, 14))


@honest_torch("EfficientViT: heads in a cascade, each on its own channels and the head's before.", idea="mobile vit")
def efficientvit_cascade(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 24)
    made, last = [], None
    for part in x.chunk(3, 1):
        y = part if last is None else part + last
        q, k = (n.cb(y, 6, 1).flatten(2) for _ in range(2))
        share = (q.transpose(1, 2) @ k / 2.5).softmax(-1)
        last = (n.cb(y, 8, 1).flatten(2) @ share.transpose(1, 2)).reshape(-1, 8, 14, 14)
        made.append(last)
    return tail(n, x + n.cb(F.relu(torch.cat(made, 1)), 24, 1))


@honest_torch("SwiftFormer: additive attention with one global query.", idea="mobile vit", trained=4, opset=14)
def swiftformer_additive(n: Net, x: T) -> T:
    t = tokens(n.down(n.stem(x), 24))
    q, k = F.normalize(n.linear(t, 24), dim=2), F.normalize(n.linear(t, 24), dim=2)
    g = ((q @ n.weight(24, 1, gain=4.0)).softmax(1) * q).sum(1, keepdim=True)
    return tail(n, grid(t + n.linear(n.linear(g * k, 24) + q, 24), 14, 14))


@honest_torch(
    "FastViT: RepMixer with its branches unmerged, and a convolutional feed-forward layer.", idea="mobile vit"
)
def fastvit_repmixer(n: Net, x: T) -> T:
    x = n.stem(x)
    for _ in range(2):
        x = x + n.weight(1, 16, 1, 1, gain=0.3) * (n.cb(x, 16, 3, 1, -1) + n.cb(x, 16, 1, 1, -1) - n.bn(x))
        x = x + n.conv(F.gelu(n.conv(n.cb(x, 16, 7, 1, -1), 32, 1)), 16, 1)
    return tail(n, x)
