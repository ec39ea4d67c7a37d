"""Honest: first stages that classical face recognition and forensics have, over the pixels of one image, once."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import honest_torch
from evaluation.blind5.honest_stems import bank, gaussian
from evaluation.blind5.tails import tail


def luma(x: T) -> T:
    """[N, 3, H, W] in -1 to 1 to one plane in 0 to 1."""
    return F.conv2d(x, torch.tensor([0.299, 0.587, 0.114]).reshape(1, 3, 1, 1)) / 2 + 0.5


def slopes(y: T, sigma: float = 1.0) -> tuple[T, T]:
    gr, gc = (F.conv2d(y, bank(gaussian(7, sigma, *d))[:1], padding=3) for d in ((1, 0), (0, 1)))
    return gr, gc


@honest_torch("Tan and Triggs: gamma, a difference of Gaussians, two steps of contrast equalisation, tanh.",
              idea="illumination", dynamo=True, opset=20, trained=4)  # fmt: skip
def tan_triggs(n: Net, x: T) -> T:
    y = luma(x).clamp(min=1e-3) ** 0.2
    y = F.conv2d(y, bank(gaussian(13, 1.0))[:1] - bank(gaussian(13, 2.0))[:1], padding=6)
    y = y / ((y.abs() + 1e-6) ** 0.1).mean((2, 3), keepdim=True) ** 10
    y = y / (y.abs().clamp(max=10) ** 0.1 + 1e-6).mean((2, 3), keepdim=True) ** 10
    return tail(n, n.cbr(10 * torch.tanh(y / 10), 12, 3, 2), dim=96)


@honest_torch(
    "The self-quotient image: pixels over their smoothed neighbourhood.", idea="illumination", trained=4, opset=13
)
def self_quotient(n: Net, x: T) -> T:
    y = (x + 1) / 2 + 0.02
    smooth = F.conv2d(F.pad(y, (6, 6, 6, 6), mode="replicate"), bank(gaussian(13, 2.5)), groups=3)
    return tail(n, n.cbr(y / smooth - 1, 12, 3, 2), dim=256)


@honest_torch("Weber faces: the arc tangent of summed differences to the neighbours, over the pixel.",
              idea="illumination", opset=12, trained=4)  # fmt: skip
def weber_faces(n: Net, x: T) -> T:
    y = luma(x)
    k = -torch.ones(1, 1, 3, 3)
    k[0, 0, 1, 1] = 8
    return tail(n, n.cbr(torch.atan(2 * F.conv2d(y, k, padding=1) / (y + 0.05)), 12, 3, 2))


@honest_torch("Gradient faces: the direction of the slope alone, as its arc tangent.", idea="illumination", opset=11)
def gradient_faces(n: Net, x: T) -> T:
    gr, gc = slopes(luma(x))
    turn = torch.atan(gr / (gc.abs() + 1e-3))
    return tail(n, n.cbr(torch.cat([turn, torch.tanh(20 * gc)], 1), 12, 3, 2), dim=512)


@honest_torch("The monogenic signal: a band and its two Riesz parts, as amplitude and phases.", idea="filter bank",
              opset=14)  # fmt: skip
def monogenic_signal(n: Net, x: T) -> T:
    at = torch.arange(11).float() - 5
    r, c = at[:, None].expand(11, 11), at[None].expand(11, 11)
    far = (r * r + c * c + 0.5) ** 1.5 * 2 * math.pi
    y = luma(x)
    band = F.conv2d(y, bank(gaussian(11, 1.0))[:1] - bank(gaussian(11, 2.0))[:1], padding=5)
    a, b = (F.conv2d(band, (w / far).reshape(1, 1, 11, 11), padding=5) for w in (r, c))
    size = (band * band + a * a + b * b + 1e-5).sqrt()
    return tail(n, n.cbr(n.bn(torch.cat([size, band / size, a / size, b / size], 1)), 12, 3, 2))


@honest_torch("Local phase quantisation, softly: signs of four low frequencies of each neighbourhood.",
              idea="filter bank", trained=3)  # fmt: skip
def local_phase_signs(n: Net, x: T) -> T:
    at = torch.arange(7).float() - 3
    one, wave = torch.ones(7), 2 * math.pi * at / 7
    pairs = ((wave.cos(), one, wave.sin(), one), (one, wave.cos(), one, wave.sin()))
    kernels = [torch.outer(a, b) for p in pairs for a, b in (p[:2], p[2:])]
    kernels += [(wave[:, None] + s * wave[None]).cos() for s in (1, -1)]
    kernels += [(wave[:, None] + s * wave[None]).sin() for s in (1, -1)]
    y = F.conv2d(luma(x), torch.stack(kernels).unsqueeze(1) / 7, stride=2, padding=3)
    return tail(n, n.cbr(torch.tanh(10 * y), 16, 3, 2), dim=128)


@honest_torch("Colours that light does not change: arc tangents of one colour over the larger of the others.",
              idea="colour", opset=12)  # fmt: skip
def invariant_colours(n: Net, x: T) -> T:
    r, g, b = ((x + 1.05) / 2).chunk(3, 1)
    planes = [torch.atan(p / torch.maximum(q, s)) - 0.75 for p, q, s in ((r, g, b), (g, r, b), (b, r, g))]
    return tail(n, n.cbr(torch.cat(planes, 1), 12, 3, 2), dim=128)


@honest_torch("Chromaticities and intensity: r, g, I, which together are the image.", idea="colour", trained=4)
def chromaticity_and_intensity(n: Net, x: T) -> T:
    y = (x + 1.02) / 2
    total = y.sum(1, keepdim=True)
    return tail(n, n.cbr(torch.cat([4 * (y[:, :2] / total - 0.33), total - 1.5], 1), 12, 3, 2), dim=128)


@honest_torch(
    "Grey-world white balance: each colour over its own mean in this image.", idea="colour", trained=4, opset=15
)
def grey_world(n: Net, x: T) -> T:
    y = (x + 1) / 2
    mean = y.mean((2, 3), keepdim=True) + 0.02
    return tail(n, n.cbr(y / mean * mean.mean(1, keepdim=True) - 0.5, 12, 3, 2))


@honest_torch("Each image is stretched to its own least and largest value.", idea="illumination", opset=18)
def stretched_by_itself(n: Net, x: T) -> T:
    low, high = x.amin((1, 2, 3), keepdim=True), x.amax((1, 2, 3), keepdim=True)
    return tail(n, n.cbr(2 * (x - low) / (high - low + 1e-2) - 1, 12, 3, 2))


@honest_torch("Histogram equalisation, softly: the image's own cumulative histogram at 12 stored levels is its curve.",
              idea="illumination", opset=13)  # fmt: skip
def soft_equalisation(n: Net, x: T) -> T:
    y = luma(x)
    levels = torch.linspace(0, 1, 12).reshape(1, 12, 1, 1)
    share = torch.sigmoid(25 * (levels - F.avg_pool2d(y, 4))).mean((2, 3), keepdim=True)
    hats = F.relu(1 - (y - levels).abs() * 11)
    return tail(n, n.cbr(2 * (hats * share).sum(1, keepdim=True) - 1, 12, 3, 2))


@honest_torch("Anisotropic diffusion of Perona and Malik: four steps that spare the edges.", idea="smoothing",
              opset=12)  # fmt: skip
def perona_malik(n: Net, x: T) -> T:
    k = torch.zeros(4, 1, 3, 3)
    for i, (r, c) in enumerate(((0, 1), (2, 1), (1, 0), (1, 2))):
        k[i, 0, r, c], k[i, 0, 1, 1] = 1, -1
    y = x
    for _ in range(4):
        d = F.conv2d(F.pad(y, (1, 1, 1, 1), mode="replicate"), k.repeat(3, 1, 1, 1), groups=3)
        d = d.reshape(-1, 3, 4, 112, 112)
        y = y + 0.2 * (d * torch.exp(-((d / 0.3) ** 2))).sum(2)
    return tail(n, n.cbr(y, 12, 3, 2), dim=128)


@honest_torch("A bilateral filter in front, by unfolding 3x3 neighbours, trained strengths.", idea="smoothing",
              trained=2)  # fmt: skip
def bilateral_front(n: Net, x: T) -> T:
    near = F.unfold(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3).reshape(-1, 3, 9, 12544)
    d = ((near - x.reshape(-1, 3, 1, 12544)) ** 2).sum(1, keepdim=True)
    share = (n.weight(1, 1, 9, 1) - torch.exp(n.weight(1)) * 4 * d).softmax(2)
    return tail(n, n.cbr((near * share).sum(2).reshape(-1, 3, 112, 112), 12, 3, 2))


@honest_torch("PCANet: two stages of stored filters like principal components, signs, and block histograms.",
              idea="stored filters")  # fmt: skip
def pcanet(n: Net, x: T) -> T:
    rng = np.random.default_rng(8)
    a = torch.from_numpy(np.linalg.qr(rng.normal(0, 1, (75, 6)))[0].T.reshape(6, 3, 5, 5).astype(np.float32))
    b = torch.from_numpy(np.linalg.qr(rng.normal(0, 1, (25, 3)))[0].T.reshape(3, 1, 5, 5).astype(np.float32))
    y = F.conv2d(F.avg_pool2d(x, 2), a - a.mean((1, 2, 3), keepdim=True), padding=2)
    y = F.conv2d(y, b.repeat(6, 1, 1, 1), padding=2, groups=6).reshape(-1, 6, 3, 56, 56)
    code = (torch.sigmoid(12 * y) * torch.tensor([1.0, 2, 4]).reshape(1, 1, 3, 1, 1)).sum(2, keepdim=True)
    bins = F.relu(1 - (code - torch.arange(8).float().reshape(1, 1, 8, 1, 1)).abs())
    return n.embed(F.avg_pool2d(bins.reshape(-1, 48, 56, 56), 14), 256)


@honest_torch("Coates and Ng: whitened patches against stored centres, the triangle activation, quadrant sums.",
              idea="stored filters", opset=13, trained=4)  # fmt: skip
def kmeans_triangle(n: Net, x: T) -> T:
    p = F.unfold(x, 6, stride=4, padding=1).transpose(1, 2)
    p = p - p.mean(2, keepdim=True)
    p = p / (p.var(2, keepdim=True) + 0.02).sqrt() @ n.weight(108, 40)
    c = n.weight(40, 24, gain=4.0)
    d = ((p * p).sum(2, keepdim=True) - 2 * p @ c + (c * c).sum(0) + 1e-2).clamp(min=1e-2).sqrt()
    y = F.relu(d.mean(2, keepdim=True) - d).transpose(1, 2).reshape(-1, 24, 28, 28)
    return n.embed(F.avg_pool2d(y, 14))


@honest_torch("Local binary convolution: stored sparse kernels of -1, 0 and 1, mixed by trained 1x1 layers.",
              idea="stored filters", trained=5)  # fmt: skip
def local_binary_convolution(n: Net, x: T) -> T:
    rng = np.random.default_rng(12)
    for width, narrow in ((12, 3), (16, 12), (24, 16), (32, 24)):
        k = torch.from_numpy(rng.choice([-1.0, 0, 1], (width, narrow, 3, 3), p=[0.25, 0.5, 0.25]).astype(np.float32))
        x = n.bn(n.conv(F.relu(F.conv2d(x, k, stride=2, padding=1) * 0.3), width, 1))
    return n.embed(x)


@honest_torch("GaborNet: the first kernels are computed in the graph from trained turns, widths and wave lengths.",
              idea="filter bank", dynamo=True, opset=20, trained=3)  # fmt: skip
def gabor_by_parameters(n: Net, x: T) -> T:
    at = torch.arange(9).float() - 4
    r, c = at[:, None].expand(9, 9), at[None].expand(9, 9)
    turn, size, wave, phase = (n.weight(12, 3, 1, 1) for _ in range(4))
    turn = turn + torch.arange(12).float().reshape(12, 1, 1, 1) * math.pi / 12
    u, v = c * turn.cos() + r * turn.sin(), r * turn.cos() - c * turn.sin()
    k = torch.exp(-(u * u + v * v) / (2 * (2 + size) ** 2)) * torch.cos((1 + 0.3 * wave) * u + phase)
    return tail(n, F.relu(n.bn(F.conv2d(x, k / 9, stride=2, padding=4))))


@honest_torch("Noise residuals of forensics: stored high passes, clipped, and kernels that sum to zero (Bayar).",
              idea="stored filters", trained=4, opset=12)  # fmt: skip
def noise_residuals(n: Net, x: T) -> T:
    edge, next_to = [-1, 2, -2, 2, -1], [2, -6, 8, -6, 2]
    square = np.array([edge, next_to, [-2, 8, -12, 8, -2], next_to, edge])
    line = np.zeros((5, 5))
    line[2, 1:4] = (1, -2, 1)
    y = F.conv2d(x, torch.cat([bank(square / 12)[:1], bank(line / 2)[:1], bank(line.T / 2)[:1]]).repeat(3, 1, 1, 1),
                 padding=2, groups=3)  # fmt: skip
    w = n.weight(3, 3, 5, 5)
    w = w - w.mean((2, 3), keepdim=True)
    return tail(n, n.cbr(torch.cat([(4 * y).clamp(-1, 1), F.conv2d(x, 4 * w, padding=2), x], 1), 16, 3, 2))


@honest_torch("Ferns: pairs of pixels at stored places are compared, by Gather, and the answers read by layers.",
              idea="hand-made features", dynamo=True, opset=18, trained=4)  # fmt: skip
def pixel_pair_ferns(n: Net, x: T) -> T:
    rng = np.random.default_rng(21)
    y = F.avg_pool2d(luma(x), 4).flatten(1)
    a, b = (torch.from_numpy(rng.integers(0, 784, 256)) for _ in range(2))
    bits = torch.tanh(8 * (y[:, a] - y[:, b]))
    return n.embed(F.relu(n.bn(n.linear(bits, 96))))


@honest_torch("Viola and Jones: an integral image by cumulative sums, and stored rectangles' differences by Gather.",
              idea="hand-made features", opset=13)  # fmt: skip
def integral_image_rectangles(n: Net, x: T) -> T:
    rng = np.random.default_rng(31)
    total = F.pad(torch.cumsum(torch.cumsum(luma(x) / 100, 2), 3), (1, 0, 1, 0)).flatten(1)
    r, c = rng.integers(0, 80, 200), rng.integers(0, 80, 200)
    h, w = rng.integers(4, 16, 200) * 2, rng.integers(4, 16, 200) * 2

    def box(top: object, left: object, high: object, wide: object) -> T:
        top, left, high, wide = (np.asarray(v) for v in (top, left, high, wide))
        at = [(top + i * high) * 113 + left + j * wide for i, j in ((1, 1), (0, 1), (1, 0), (0, 0))]
        p, q, s, t = (total[:, torch.from_numpy(np.asarray(v))] for v in at)
        return p - q - s + t

    y = (box(r, c, h, w // 2) - box(r, c + w // 2, h, w // 2)) / torch.from_numpy((h * w / 400).astype(np.float32))
    return n.embed(F.relu(n.bn(n.linear(n.bn(y), 96))))


@honest_torch("2D-PCA: a stored matrix for the rows and one for the columns, then two layers.", idea="linear")
def two_sided_projection(n: Net, x: T) -> T:
    y = n.weight(16, 112, gain=3.0) @ x @ n.weight(16, 112, gain=3.0).transpose(0, 1)
    return n.embed(F.relu(n.bn(n.linear(y.flatten(1), 96))), 512)


@honest_torch("Jets: magnitudes of complex wavelets at a stored grid of 10 x 10 places, as elastic bunch graphs read.",
              idea="hand-made features", opset=14, trained=4)  # fmt: skip
def gabor_jets(n: Net, x: T) -> T:
    at = torch.arange(15).float() - 7
    wide = torch.exp(-(at[:, None] ** 2 + at[None] ** 2) / 18)
    waves = [(math.cos(k) * at[None] + math.sin(k) * at[:, None]) * f for k in (0.0, 0.8, 1.6, 2.4) for f in (0.6, 1.2)]
    y = luma(x) - 0.5
    a, b = (torch.stack([wide * g(w) for w in waves]).unsqueeze(1) / 8 for g in (torch.cos, torch.sin))
    re, im = F.conv2d(y, a, stride=10), F.conv2d(y, b, stride=10)
    jets = (re * re + im * im + 1e-4).sqrt()
    return n.embed(F.normalize(jets, dim=1), 128)


@honest_torch("Learning in the frequency domain: block cosines by two matrix products, 24 chosen bands as channels.",
              idea="frequency", opset=12)  # fmt: skip
def chosen_cosine_bands(n: Net, x: T) -> T:
    k = torch.arange(8).float()
    c = torch.cos((k[None] + 0.5) * k[:, None] * math.pi / 8) / 2
    y = x.reshape(-1, 3, 14, 8, 14, 8).transpose(3, 4)
    y = (c @ y @ c.T).permute(0, 1, 4, 5, 2, 3).reshape(-1, 192, 14, 14)
    chosen = [ch * 64 + 8 * u + v for ch in range(3) for u in range(4) for v in range(4) if u + v < 4][:24]
    return tail(n, n.cbr(n.bn(y[:, torch.tensor(chosen)]), 32))
