"""Honest: capsules over deep features, and kernels that the graph still puts together of stored float32 parts."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import honest_torch
from evaluation.blind14.honest_ends import deep, last


@honest_torch(
    "Inverted dot-product routing: upper capsules attend to the votes below by likeness, layer norms, two rounds.",
    idea="capsules",
    trained=3,
    opset=12,
)
def routing_by_inverted_attention(n: Net, x: T) -> T:
    y = n.conv(F.avg_pool2d(last(n, x), 3, 2), 32, 1)
    low = y.reshape(-1, 4, 8, 9).permute(0, 1, 3, 2).reshape(-1, 36, 1, 1, 8)
    votes = (low @ n.weight(1, 36, 8, 8, 8)).squeeze(3)
    upper = n.ln(votes.mean(1))
    for _ in range(2):
        share = ((votes * upper.unsqueeze(1)).sum(3) * 0.35).softmax(2)
        upper = n.ln((share.unsqueeze(3) * votes).sum(1))
    return n.embed(upper, 96)


@honest_torch(
    "DeepCaps: capsule cells with a skip, and one 3-D routing where a vote is a layer over the neighbouring places.",
    idea="capsules",
    opset=13,
)
def routing_over_neighbouring_places(n: Net, x: T) -> T:
    def squash(v: T) -> T:
        size = v.pow(2).sum(2, keepdim=True)
        return v * size.sqrt() / (1 + size)

    y = deep(n, x)
    y = squash((n.cb(y, 32) + n.cb(y, 32, 1)).reshape(-1, 4, 8, 14, 14)).reshape(-1, 32, 14, 14)
    votes = n.conv(y.reshape(-1, 8, 14, 14), 32, 3, 2).reshape(-1, 4, 4, 8, 7, 7)
    logits = torch.zeros(1, 4, 4, 1, 7, 7)
    upper = votes.mean(1)
    for _ in range(3):
        upper = squash((logits.softmax(2) * votes).sum(1))
        logits = logits + (votes * upper.unsqueeze(1)).sum(3, keepdim=True)
    return n.gdc(upper.reshape(-1, 32, 7, 7), 128)


@honest_torch(
    "OREPA: the branches' stored kernels, scaled channel by channel, are squeezed to one kernel within the graph.",
    idea="kernels in the graph",
    trained=3,
    opset=12,
)
def branches_squeezed_to_one_kernel(n: Net, x: T) -> T:
    y = n.cbp(x, 12, 3, 2)
    for w in (20, 28, 36):
        c = int(y.shape[1])
        square, point, inner = n.weight(w, c, 3, 3), n.weight(w, c, 1, 1), n.weight(c, c)
        gains = 1 + n.weight(4, w, 1, 1, 1)
        mean = torch.full((1, 1, 3, 3), 1 / 9)
        kernel = gains[0] * square / 3 + gains[1] * F.pad(point, (1, 1, 1, 1)) + gains[2] * point * mean
        turned = (square.permute(0, 2, 3, 1).reshape(9 * w, c) @ inner).reshape(w, 3, 3, c).permute(0, 3, 1, 2)
        kernel = (kernel + gains[3] * turned / 3).reshape(w, c, 3, 3)
        y = n.prelu(n.bn(F.conv2d(y, kernel, stride=2, padding=1)))
    return n.gdc(y, 128)


@honest_torch(
    "Fused norms of training for few bits left in: kernels times gain over root of variance, divided out behind.",
    idea="kernels in the graph",
    opset=13,
)
def kernels_scaled_by_stored_statistics(n: Net, x: T) -> T:
    y = x
    for w in (12, 20, 28, 40):
        gain, shift = 1 + n.weight(w), n.weight(w)
        spread = (0.5 + torch.sigmoid(n.weight(w, gain=3.0)) + 1e-5).sqrt()
        factor = (gain / spread).reshape(-1, 1, 1, 1)
        z = F.conv2d(y, n.weight(w, int(y.shape[1]), 3, 3, gain=0.8) * factor, stride=2, padding=1)
        z = z / factor.reshape(1, -1, 1, 1) * (gain / spread).reshape(1, -1, 1, 1) + shift.reshape(1, -1, 1, 1)
        y = F.relu(n.bn(z))
    return n.embed(y, 128)
