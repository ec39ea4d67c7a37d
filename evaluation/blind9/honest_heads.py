"""Honest: ends of face networks, and what losses and distillation leave behind in the exported graph."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, tokens
from evaluation.blind4.register import honest_torch


def ir_map(n: Net, x: T, last: int = 32) -> T:
    """Go from the image to a map of 7 x 7 by an iResNet in small."""
    x = n.cbp(x, 12, 3, 2)
    for width in (16, 24, last):
        x = n.cb(n.cbp(n.bn(x), width), width, 3, 2) + n.cb(x, width, 1, 2)
    return x


def mobile_map(n: Net, x: T) -> T:
    """Go from the image to a map of 7 x 7 by inverted residuals."""
    x = n.cbp(x, 12, 3, 2)
    for width in (16, 24, 32):
        x = n.inverted(x, width, 2)
    return n.cbp(x, 64, 1)


def turned(rows: int, seed: int) -> T:
    """Return an orthogonal matrix of stored numbers."""
    q = np.linalg.qr(np.random.default_rng(seed).normal(0, 1, (rows, rows)))[0]
    return torch.from_numpy(q.astype(np.float32))


@honest_torch("DINO's head left on: three layers with GELU, rows of length one, 96 prototypes of unit length.",
              idea="leftovers", opset=13, trained=3)  # fmt: skip
def dino_projection_left_on(n: Net, x: T) -> T:
    y = n.embed(ir_map(n, x), 64)
    for _ in range(2):
        y = F.gelu(n.linear(y, 64))
    y = F.normalize(n.linear(y, 32))
    return y @ F.normalize(n.weight(96, 32), dim=1).T


@honest_torch("SimCLR's projector left on behind the embedding: linear, BatchNorm, ReLU, linear without bias.",
              idea="leftovers", opset=11, trained=3)  # fmt: skip
def simclr_projector_left_on(n: Net, x: T) -> T:
    y = mobile_map(n, x).mean((2, 3))
    return n.bn(n.linear(F.relu(n.bn(n.linear(y, 128, False))), 128, False))


@honest_torch("BYOL's predictor behind its projector, both exported, the result of length one.", idea="leftovers",
              opset=14)  # fmt: skip
def byol_predictor_left_on(n: Net, x: T) -> T:
    y = ir_map(n, x).mean((2, 3))
    for _ in range(2):
        y = n.linear(F.relu(n.bn(n.linear(y, 96))), 64)
    return F.normalize(n.bn(y), eps=1e-5)


@honest_torch("CosFace's scale of 64 left in the graph behind rows of length one, as a product with a stored number.",
              idea="leftovers", opset=11, trained=3)  # fmt: skip
def cosface_scale_left_in(n: Net, x: T) -> T:
    y = n.embed(ir_map(n, x), 256)
    return 64.0 * (y / y.norm(dim=1, keepdim=True).clamp(min=1e-10))


@honest_torch("Cosines to 200 stored identities of three sub-centres each, the largest one counts, as the embedding.",
              idea="leftovers", opset=13)  # fmt: skip
def subcentre_cosines(n: Net, x: T) -> T:
    y = F.normalize(n.embed(ir_map(n, x), 64))
    w = F.normalize(n.weight(600, 64), dim=1)
    return (y @ w.T).reshape(-1, 200, 3).amax(2)


@honest_torch("ArcFace's margin arithmetic traced with a zero margin: the angle's cosine from sine and cosine again.",
              idea="leftovers", opset=12, trained=3)  # fmt: skip
def zero_margin_arithmetic(n: Net, x: T) -> T:
    y = F.normalize(n.embed(ir_map(n, x), 64))
    c = (y @ F.normalize(n.weight(128, 64), dim=1).T).clamp(-1, 1)
    sine = (1 - c * c).clamp(min=0).sqrt()
    return 32 * (c * 1.0 - sine * 0.0)


@honest_torch("DeepID's old way: softmax probabilities over 160 training people, their logarithms, centred.",
              idea="leftovers", opset=13)  # fmt: skip
def log_posteriors_of_people(n: Net, x: T) -> T:
    p = n.linear(n.embed(mobile_map(n, x), 64), 160).softmax(1)
    y = (p + 1e-6).log()
    return y - y.mean(1, keepdim=True)


@honest_torch("PCA after training: the mean face vector taken off, 512 numbers turned and cut to 128, whitened.",
              idea="after training", opset=11)  # fmt: skip
def whitened_to_128(n: Net, x: T) -> T:
    y = n.embed(ir_map(n, x), 512) - n.weight(512, gain=2.0)
    return (y @ turned(512, 3)[:, :128]) / torch.linspace(2.0, 0.5, 128)


@honest_torch("Joint Bayesian's linear part: LDA by a stored matrix and signed square roots behind it.",
              idea="after training", opset=13, trained=3)  # fmt: skip
def lda_and_signed_roots(n: Net, x: T) -> T:
    y = F.normalize(n.embed(ir_map(n, x), 128)) @ turned(128, 9)[:, :96]
    return torch.sign(y) * (y.abs() + 1e-6).sqrt()


@honest_torch("Matryoshka: the first 32, 64 and 128 numbers each brought to length one with the weight of their loss.",
              idea="heads", opset=12)  # fmt: skip
def matryoshka_segments(n: Net, x: T) -> T:
    y = n.embed(ir_map(n, x), 128)
    a, b, c = y[:, :32], y[:, 32:64], y[:, 64:]
    return torch.cat([F.normalize(a), 0.7 * F.normalize(b), 0.5 * F.normalize(c)], 1)


@honest_torch("Finite scalar quantisation of the embedding: tanh, then rounding to nine levels; no stored codes.",
              idea="heads", opset=13)  # fmt: skip
def rounded_to_nine_levels(n: Net, x: T) -> T:
    return torch.round(4 * torch.tanh(n.embed(ir_map(n, x), 256))) / 4


@honest_torch("Expectations over softmax bins, 40 numbers of 9 bins each, as head pose networks have them.",
              idea="heads", opset=11, trained=4)  # fmt: skip
def expectations_over_bins(n: Net, x: T) -> T:
    p = n.linear(n.embed(mobile_map(n, x), 96), 360).reshape(-1, 40, 9).softmax(2)
    return p @ torch.linspace(-1, 1, 9)


@honest_torch("Cross-stitch: identity and attribute branches of one trunk exchange features twice; identity goes out.",
              idea="heads", opset=13)  # fmt: skip
def cross_stitched_tasks(n: Net, x: T) -> T:
    x = n.cbp(n.cbp(x, 12, 3, 2), 16, 3, 2)
    a = b = x
    for width in (24, 32):
        a, b = n.cbp(a, width, 3, 2), n.cbp(b, width, 3, 2)
        m = torch.eye(2) + 0.2 * n.weight(2, 2)
        a, b = m[0, 0] * a + m[0, 1] * b, m[1, 0] * a + m[1, 1] * b
    return n.gdc(a + 0.1 * b, 128)


@honest_torch("Covariance of the last features by its logarithm: four terms of a series, upper triangle read.",
              idea="heads", opset=13)  # fmt: skip
def log_euclidean_covariance(n: Net, x: T) -> T:
    z = n.cb(ir_map(n, x), 10, 1).flatten(2)
    z = z - z.mean(2, keepdim=True)
    c = z @ z.transpose(1, 2) / 49
    size = (c * torch.eye(10)).sum((1, 2), keepdim=True)
    a = torch.eye(10) - c / (size + 1e-4)
    p, s = a, a
    for k in range(2, 5):
        p = p @ a
        s = s + p / k
    rows, columns = np.triu_indices(10)
    return n.bn((-s).flatten(1)[:, torch.from_numpy(rows * 10 + columns)])


@honest_torch("One deep map read in two ways, fully connected and GDC, their embeddings added before BatchNorm.",
              idea="heads", opset=11, trained=3)  # fmt: skip
def fc_and_gdc_added(n: Net, x: T) -> T:
    x = ir_map(n, x)
    y = n.bn(n.conv(x, 32, 7, 1, -1, padding=0, bias=False)).flatten(1)
    return n.bn(n.linear(x.flatten(1), 512, False) + n.linear(y, 512, False))


@honest_torch("Insightface's fc type with two layers: BatchNorm, dropout, fc to 96, PReLU, fc to 256, BatchNorm.",
              idea="heads", opset=12)  # fmt: skip
def two_fully_connected(n: Net, x: T) -> T:
    y = n.same(n.bn(ir_map(n, x)), lambda: torch.nn.Dropout(0.4)).flatten(1)
    y = F.prelu(n.linear(y, 96), torch.tensor([0.25]))
    return n.bn(n.linear(y, 256))


@honest_torch("Deep supervision: pooled features of every stage, each with its own linear layer, joined to 256.",
              idea="heads", opset=13, trained=3, fold=False)  # fmt: skip
def every_stage_supervised(n: Net, x: T) -> T:
    x, made = n.cbp(x, 12, 3, 2), []
    for width in (16, 24, 32, 40):
        x = n.cb(n.cbp(n.bn(x), width), width, 3, 2) + n.cb(x, width, 1, 2)
        made.append(n.bn(n.linear(x.mean((2, 3)), 64)))
    return torch.cat(made, 1)


@honest_torch("Spatial softmax points: the expected row and column of each of 48 deep maps beside their maxima.",
              idea="heads", opset=13)  # fmt: skip
def expected_places_of_maps(n: Net, x: T) -> T:
    x = n.stem(x, 16)
    x = n.conv(n.res(n.down(x, 32)), 48, 3)
    p = x.flatten(2).softmax(2)
    at = torch.arange(14.0).sub(6.5) / 7
    places = torch.stack([at[:, None].expand(14, 14).reshape(-1), at[None].expand(14, 14).reshape(-1)], 1)
    return n.bn(n.linear(torch.cat([(p @ places).flatten(1), x.amax((2, 3))], 1), 128))


@honest_torch("Distilled from a larger teacher: an adapter brings 128 numbers to the teacher's 512, exported with it.",
              idea="leftovers", opset=18, dynamo=True)  # fmt: skip
def adapter_to_the_teacher(n: Net, x: T) -> T:
    y = n.embed(mobile_map(n, x), 128)
    return n.linear(F.relu(n.bn(n.linear(y, 192))), 512)


@honest_torch("A slot for each of 16 learned queries reads the last map once; the slots are flattened and projected.",
              idea="heads", opset=17, trained=3)  # fmt: skip
def sixteen_queries_flattened(n: Net, x: T) -> T:
    t = n.ln(tokens(ir_map(n, x, 40)))
    q = n.weight(1, 16, 40, gain=3.0)
    y = ((q @ n.linear(t, 40).transpose(1, 2)) * 40**-0.5).softmax(-1) @ n.linear(t, 24)
    return n.embed(y, 256)
