"""Honest: bands, phases and noise of one image beside its colours, as networks against forged faces have them."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import honest_torch
from evaluation.blind14.honest_ends import deep, mobile_face, residual_face


def cosines(side: int = 112) -> T:
    """Return the orthonormal cosine transform as a matrix."""
    k = torch.arange(float(side))
    made = torch.cos(torch.pi * torch.outer(k, k + 0.5) / side) * (2 / side) ** 0.5
    return torch.cat([made[:1] / 2**0.5, made[1:]])


@honest_torch("F3-Net: cosines of the whole image under three stored and learned masks, three bands that make up "
              "the image.",
              idea="bands and streams", trained=3, opset=12)  # fmt: skip
def frequency_aware_bands(n: Net, x: T) -> T:
    c = cosines()
    spectrum = c @ x @ c.t()
    k = torch.arange(112)
    radius = (k.reshape(112, 1) + k.reshape(1, 112)).float()
    bands = []
    for low, high in ((0, 14), (14, 56), (56, 224)):
        stored = ((radius >= low) & (radius < high)).float()
        bands.append(c.t() @ (spectrum * (stored + 0.1 * torch.tanh(n.weight(112, 112)))) @ c)
    return residual_face(n, torch.cat(bands, 1))


@honest_torch("SPSL: an image made of the grey image's phases alone is a fourth plane beside the colours, shallow "
              "trunk.",
              idea="bands and streams", opset=13)  # fmt: skip
def phase_only_plane_beside_colours(n: Net, x: T) -> T:
    k = torch.arange(112.0)
    turn = 2 * torch.pi * torch.remainder(torch.outer(k, k), 112) / 112
    c, s = torch.cos(turn), torch.sin(turn)
    grey = x.mean(1, keepdim=True)
    re, im = c @ grey @ c - s @ grey @ s, -(c @ grey @ s + s @ grey @ c)
    size = (re * re + im * im + 1e-2).sqrt()
    re, im = re / size, im / size
    plane = (c @ re @ c - s @ re @ s - c @ im @ s - s @ im @ c) / 112
    return mobile_face(n, torch.cat([x, plane], 1))


@honest_torch("Two streams against forgery: colours in a residual stream, three stored noise filters in a plainer "
              "one, gated.",
              idea="bands and streams", trained=3, opset=11)  # fmt: skip
def colour_stream_and_noise_stream(n: Net, x: T) -> T:
    kernels = torch.tensor([
        [[0.0, 0.0, 0.0], [0.0, -1.0, 1.0], [0.0, 0.0, 0.0]],
        [[0.0, 0.0, 0.0], [1.0, -2.0, 1.0], [0.0, 0.0, 0.0]],
        [[-0.25, 0.5, -0.25], [0.5, -1.0, 0.5], [-0.25, 0.5, -0.25]],
    ]).reshape(3, 1, 3, 3)  # fmt: skip
    noise = torch.clamp(F.conv2d(x, kernels.repeat(3, 1, 1, 1), padding=1, groups=3), -0.2, 0.2) * 5
    a = deep(n, x, 28)
    b = noise
    for w in (10, 16, 20):
        b = F.max_pool2d(n.cbr(b, w, 5), 2)
    a = a * torch.sigmoid(n.conv(b, 28, 1)) + a
    return n.gdc(n.down(torch.cat([a, b], 1), 40), 128)


@honest_torch("M2TR: a learned filter over the spectrum of early features' rows and columns, joined with the features.",
              idea="bands and streams", opset=14)  # fmt: skip
def learned_spectral_filter_of_features(n: Net, x: T) -> T:
    y = n.stem(x, 20)
    c = cosines(28)
    z = c.t() @ ((c @ y @ c.t()) * (1 + n.weight(20, 28, 28, gain=2.0))) @ c
    y = n.cbr(torch.cat([y, z], 1), 24)
    for w in (28, 36):
        y = n.res(n.down(y, w))
    return n.embed(y, 128)


@honest_torch("Channel independence: every deep channel lies in the batch for one shared small layer, then all are "
              "mixed.",
              idea="layers in another way", trained=3, opset=12)  # fmt: skip
def each_deep_channel_by_itself(n: Net, x: T) -> T:
    y = deep(n, x)
    for _ in range(2):
        z = n.conv(F.relu(n.conv(y.reshape(-1, 1, 14, 14), 4)), 1).reshape(-1, 32, 14, 14)
        y = F.relu(n.bn(n.conv(y + z, 32, 1)))
    return n.gdc(n.down(y, 40), 128)


@honest_torch("A deeper patch embedding: 49 patches, each pixel in one of them, pass a small net in the batch, "
              "then a ViT.",
              idea="layers in another way", trained=3, opset=13)  # fmt: skip
def patches_in_batch_through_small_net(n: Net, x: T) -> T:
    p = x.reshape(-1, 3, 7, 16, 7, 16).permute(0, 2, 4, 1, 3, 5).reshape(-1, 3, 16, 16)
    p = F.gelu(n.conv(p, 12, 4, 4, padding=0))
    t = n.conv(p, 32, 4, 4, padding=0).reshape(-1, 49, 32) + n.weight(1, 49, 32, gain=2.0)
    for _ in range(2):
        t = n.block(t)
    return n.embed(t, 128)
