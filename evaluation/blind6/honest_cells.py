"""Honest: networks that a search found, and small networks for phones and faces."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, shuffle
from evaluation.blind4.register import honest_torch
from evaluation.blind5.tails import tail

Operation = Callable[[Net, T, int], T]


def sep(k: int) -> Operation:
    def layer(n: Net, x: T, s: int) -> T:
        c = x.shape[1]
        y = n.cb(n.conv(F.relu(x), c, k, s, -1, bias=False), c, 1)
        return n.cb(n.conv(F.relu(y), c, k, 1, -1, bias=False), c, 1)

    return layer


def dil(k: int) -> Operation:
    return lambda n, x, s: n.cb(n.conv(F.relu(x), x.shape[1], k, s, -1, bias=False, dilation=2), x.shape[1], 1)


def skip(n: Net, x: T, s: int) -> T:
    return x if s == 1 else n.cb(F.relu(x), x.shape[1], 1, 2)


def avg(n: Net, x: T, s: int) -> T:
    return F.avg_pool2d(x, 3, s, 1, count_include_pad=False)


def big(n: Net, x: T, s: int) -> T:
    return F.max_pool2d(x, 3, s, 1)


def stripes(n: Net, x: T, s: int) -> T:
    c = x.shape[1]
    return n.cb(n.conv(n.conv(F.relu(x), c, (1, 7), (1, s)), c, (7, 1), (s, 1)), c, 1)


Cell = tuple[tuple[tuple[Operation, int], tuple[Operation, int]], ...]


def cell(n: Net, a: T, b: T, found: Cell, keep: tuple[int, ...], s: int, width: int) -> T:
    """Make a cell of the two before it: ``found`` pairs operations with the states that they read."""
    strided = a.shape[2] > b.shape[2]
    states = [n.cb(F.relu(a), width, 1, 2 if strided else 1), n.cb(F.relu(b), width, 1)]
    for (p, i), (q, j) in found:
        states.append(p(n, states[i], s if i < 2 else 1) + q(n, states[j], s if j < 2 else 1))
    return torch.cat([states[i] for i in keep], 1)


def cells(n: Net, x: T, normal: Cell, reduce: Cell, keep: tuple[int, ...], width: int = 8) -> T:
    a = n.cb(n.cbr(x, 12, 3, 2), 16, 3, 2)
    b = n.cb(F.relu(a), 16)
    for found, s in ((normal, 1), (reduce, 2), (normal, 1), (reduce, 2)):
        a, b = b, cell(n, a, b, found, keep if found is normal else (2, 3, 4, 5)[: len(found)], s, width)
    return n.pooled(F.relu(b))


@honest_torch("DARTS v2's normal and reduction cells on the two states before.", idea="cells", trained=4)
def darts_v2(n: Net, x: T) -> T:
    one = ((sep(3), 0), (sep(3), 1))
    normal = (one, one, ((sep(3), 1), (skip, 0)), ((skip, 0), (dil(3), 2)))
    reduce = (((big, 0), (big, 1)), ((skip, 2), (big, 1)), ((big, 0), (skip, 2)), ((skip, 2), (big, 1)))
    return cells(n, x, normal, reduce, (2, 3, 4, 5))


@honest_torch("NASNet-A: five pairs of operations, both inputs kept in the concatenation.", idea="cells", opset=12)
def nasnet_a(n: Net, x: T) -> T:
    normal = (((sep(3), 1), (skip, 1)), ((sep(3), 0), (sep(5), 1)), ((avg, 1), (skip, 0)), ((avg, 0), (avg, 0)),
              ((sep(5), 0), (sep(3), 0)))  # fmt: skip
    reduce = (((sep(5), 1), (sep(7), 0)), ((big, 1), (sep(7), 0)), ((avg, 1), (sep(5), 0)), ((skip, 3), (avg, 2)))
    return cells(n, x, normal, reduce, (0, 2, 3, 4, 5, 6), 6)


@honest_torch("AmoebaNet-A, with stripes of 1x7 and 7x1 and averages.", idea="cells", opset=14, trained=3)
def amoebanet_a(n: Net, x: T) -> T:
    normal = (((avg, 0), (big, 1)), ((skip, 0), (sep(5), 1)), ((sep(3), 1), (skip, 2)), ((avg, 1), (sep(3), 0)))
    reduce = (((avg, 0), (sep(3), 1)), ((big, 0), (sep(7), 2)), ((stripes, 0), (avg, 1)), ((big, 0), (big, 1)))
    return cells(n, x, normal, reduce, (2, 3, 4, 5))


@honest_torch("PNASNet-5's cell of five combinations, the same for every stage.", idea="cells", opset=11)
def pnasnet_5(n: Net, x: T) -> T:
    found = (((sep(5), 0), (big, 0)), ((sep(7), 1), (big, 1)), ((sep(5), 1), (sep(3), 1)), ((sep(3), 3), (skip, 1)))
    return cells(n, x, found, found, (2, 3, 4, 5))


@honest_torch("A cell of NAS-Bench-201: all six edges between four nodes.", idea="cells", opset=13)
def nas_bench_201(n: Net, x: T) -> T:
    x = n.stem(x)
    for _ in range(2):
        nodes = [x]
        for i in range(3):
            edges = [n.cb(F.relu(y), 16, 3 if (i + j) % 2 else 1) for j, y in enumerate(nodes)]
            nodes.append(sum(edges) if i < 2 else sum(edges) + F.avg_pool2d(nodes[0], 3, 1, 1))
        x = nodes[-1]
    return tail(n, x)


@honest_torch("RandWire: nodes of a random graph sum their inputs with learned positive weights.", idea="cells",
              trained=4)  # fmt: skip
def randomly_wired(n: Net, x: T) -> T:
    rng = np.random.default_rng(11)
    nodes = [n.stem(x)]
    for i in range(8):
        chosen = sorted({i, *rng.integers(0, i + 1, 2).tolist()})
        mixed = sum(torch.sigmoid(n.weight(1)) * nodes[j] for j in chosen)
        nodes.append(n.cb(n.conv(F.relu(mixed), 16, 3, 1, -1, bias=False), 16, 1))
    return tail(n, sum(nodes[-3:]) / 3)


@honest_torch("FBNet-C: inverted residuals with grouped 1x1 layers and shuffles, kernels 3 and 5.", idea="mobile",
              trained=4)  # fmt: skip
def fbnet_c(n: Net, x: T) -> T:
    x = n.cbr(x, 12, 3, 2)
    for width, k, s, g in ((16, 3, 2, 2), (16, 5, 1, 2), (24, 5, 2, 1), (24, 3, 1, 4), (32, 5, 2, 2)):
        mid = 2 * x.shape[1]
        y = shuffle(n.cbr(x, mid, 1, 1, g), 2) if g > 1 else n.cbr(x, mid, 1)
        y = n.cb(n.cbr(y, mid, k, s, -1), width, 1, 1, g)
        x = x + y if s == 1 else y
    return n.gdc(x, 256)


@honest_torch("EfficientNet-Lite: ReLU6, no squeeze and excite, TensorFlow's one-sided padding.", idea="mobile",
              opset=11, trained=4)  # fmt: skip
def efficientnet_lite(n: Net, x: T) -> T:
    def same(y: T, width: int, k: int, s: int, g: int) -> T:
        pad = (k - 1) // 2 if s == 1 else (k - 2) // 2
        y = F.pad(y, (pad, k - s - pad, pad, k - s - pad)) if s == 2 else F.pad(y, (pad, pad, pad, pad))
        return F.relu6(n.cb(y, width, k, s, g, padding=0))

    x = same(x, 12, 3, 2, 1)
    for width, k, s in ((16, 3, 2), (24, 5, 2), (24, 5, 1), (32, 3, 2)):
        y = n.cb(same(F.relu6(n.cb(x, 3 * x.shape[1], 1)), 3 * x.shape[1], k, s, -1), width, 1)
        x = x + y if s == 1 else y
    return n.pooled(F.relu6(n.cb(x, 48, 1)))


@honest_torch("MixNet-S: expansion and projection are grouped too, kernels of 3, 5 and 7 on thirds.",
              idea="mobile", dynamo=True, opset=18)  # fmt: skip
def mixnet_s_grouped(n: Net, x: T) -> T:
    x = F.silu(n.cb(x, 12, 3, 2))
    for width in (18, 24, 36):
        y = F.silu(n.bn(torch.cat([n.conv(p, 12, 1) for p in x.chunk(2, 1)], 1)))
        y = n.bn(torch.cat([n.conv(p, 8, k, 2, -1) for p, k in zip(y.chunk(3, 1), (3, 5, 7), strict=True)], 1))
        x = n.bn(torch.cat([n.conv(p, width // 2, 1) for p in n.se(F.silu(y)).chunk(2, 1)], 1))
    return n.gdc(x)


@honest_torch(
    "SeesawFaceNet: uneven groups, a seesaw shuffle between them, squeeze and excite.",
    idea="face",
    dynamo=True,
    opset=18,
    trained=5,
)
def seesaw_facenet(n: Net, x: T) -> T:
    x = n.cbp(x, 16, 3, 2)
    for width in (24, 32, 40):
        c = x.shape[1]
        y = torch.cat([n.cbp(x[:, : c // 4], c, 1), n.cbp(x[:, c // 4 :], c, 1)], 1)
        y = n.cbp(shuffle(y, 4), 2 * c, 3, 2, -1)
        x = n.se(n.cb(torch.cat([y[:, c // 2 :], y[:, : c // 2]], 1), width, 1))
    return n.gdc(x)


@honest_torch("MobiFace: residual bottlenecks, fast down-sampling, a fully connected end.", idea="face", trained=5)
def mobiface(n: Net, x: T) -> T:
    x = n.cbp(n.cbp(x, 16, 3, 2), 16, 3, 1, -1)
    x = n.inverted(n.inverted(x, 16, 2), 16)
    x = n.inverted(n.inverted(x, 24, 2), 24)
    return n.linear(n.cbp(n.inverted(x, 32, 2), 40, 1).flatten(1), 96)


@honest_torch("CASIA-Net of WebFace: ten plain layers, ReLU missing in the last, average pooling.", idea="face",
              opset=11)  # fmt: skip
def casia_net(n: Net, x: T) -> T:
    for narrow, width in ((8, 12), (12, 16), (16, 24), (24, 32)):
        x = F.max_pool2d(F.relu(n.conv(F.relu(n.conv(x, narrow)), width)), 2)
    return n.bn(n.conv(F.avg_pool2d(n.bn(n.conv(F.relu(n.conv(x, 32)), 48)), 7), 64, 1).flatten(1))


@honest_torch("The center-loss network: maximum pooling, and two layers joined before the last product.",
              idea="face", trained=4)  # fmt: skip
def center_loss_network(n: Net, x: T) -> T:
    x = F.max_pool2d(n.prelu(n.conv(x, 12, 3, 2)), 2)
    for width in (16, 24):
        y = n.conv(x, width, 3, 2)
        x = y + n.prelu(n.conv(n.prelu(n.conv(y, width)), width))
    local = n.conv(x, 12, 1)
    return n.bn(n.linear(torch.cat([x.flatten(1), local.flatten(1)], 1), 64))


@honest_torch("PFLD's backbone: inverted residuals, the last three maps pooled and joined.", idea="face", opset=12)
def pfld_multi_scale(n: Net, x: T) -> T:
    x = n.cbr(n.cbr(x, 12, 3, 2), 12, 3, 1, -1)
    a = n.inverted(n.inverted(x, 16, 2), 16)
    b = n.cbr(n.inverted(a, 16, 2), 24, 3, 2)
    c = F.relu(n.conv(b, 32, 7, padding=0))
    return n.linear(torch.cat([F.avg_pool2d(a, 28).flatten(1), F.avg_pool2d(b, 7).flatten(1), c.flatten(1)], 1), 64)


@honest_torch("FaceBoxes: 7x7 with stride 4, CReLU on features, inception blocks.", idea="face", opset=13, trained=4)
def faceboxes_trunk(n: Net, x: T) -> T:
    def crelu(y: T) -> T:
        return F.relu(torch.cat([y, -y], 1))

    x = F.max_pool2d(crelu(n.cb(x, 8, 7, 4)), 3, 2, 1)
    x = crelu(n.cb(x, 12, 5))
    x = torch.cat([
        n.cbr(x, 8, 1), n.cbr(F.avg_pool2d(x, 3, 1, 1), 8, 1), n.cbr(n.cbr(x, 6, 1), 8),
        n.cbr(n.cbr(n.cbr(x, 6, 1), 8), 8),
    ], 1)  # fmt: skip
    return tail(n, x)


@honest_torch("RetinaFace's context module: three reaches by 3x3 layers in a row, joined, on one level.",
              idea="face", trained=4)  # fmt: skip
def ssh_context(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 32)
    a = n.cb(x, 16)
    b = n.cbr(x, 8)
    return n.embed(n.cbr(F.relu(torch.cat([a, n.cb(b, 8), n.cb(n.cbr(b, 8), 8)], 1)), 32, 3, 2))


@honest_torch("GhostFaceNet V1: ghost bottlenecks with PReLU, and the modified global depthwise head.",
              idea="face", dynamo=True, opset=18)  # fmt: skip
def ghostfacenet_v1(n: Net, x: T) -> T:
    def ghost(y: T, width: int, act: bool) -> T:
        a = n.cb(y, width // 2, 1)
        a = n.prelu(a) if act else a
        b = n.cb(a, width // 2, 3, 1, -1)
        return torch.cat([a, n.prelu(b) if act else b], 1)

    x = n.cbp(x, 12, 3, 2)
    for width in (16, 24, 32):
        y = n.se(n.cb(ghost(x, 2 * width, True), 2 * width, 5, 2, -1))
        x = ghost(y, width, False) + n.cb(n.cb(x, x.shape[1], 5, 2, -1), width, 1)
    return n.bn(n.conv(n.cb(x, 32, 7, 1, -1, padding=0), 64, 1).flatten(1))
