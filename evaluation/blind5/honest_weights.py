"""Honest: weights of unusual form, all stored in float32, and layers computed by unusual means."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import honest_torch
from evaluation.blind5.tails import tail


@honest_torch("Winograd's F(2x2, 3x3): a layer computed by transforms of tiles and stored, transformed kernels.",
              idea="computed otherwise", opset=13)  # fmt: skip
def winograd_layer(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 12)
    b = torch.tensor([[1.0, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
    a = torch.tensor([[1.0, 1, 1, 0], [0, 1, -1, -1]])
    tiles = F.unfold(x, 4, stride=2, padding=1).reshape(-1, 12, 4, 4, 49).permute(0, 4, 1, 2, 3)
    y = (b @ tiles @ b.T).permute(0, 1, 3, 4, 2).unsqueeze(-2)
    m = (y @ n.weight(4, 4, 12, 16)).squeeze(-2).permute(0, 4, 1, 2, 3)
    y = (a @ m @ a.T).reshape(-1, 16, 7, 7, 2, 2).permute(0, 1, 2, 4, 3, 5).reshape(-1, 16, 14, 14)
    return tail(n, F.relu(n.bn(y)))


@honest_torch("A long convolution of deep features by discrete Fourier matrices and stored spectra.",
              idea="computed otherwise", opset=12, trained=3)  # fmt: skip
def fourier_computed_convolution(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 16)
    k = torch.arange(14).float()
    angle = 6.2831853 * torch.outer(k, k) / 14
    c, s = angle.cos(), angle.sin()
    re, im = c @ x @ c - s @ x @ s, -(c @ x @ s + s @ x @ c)
    p, q = n.weight(16, 14, 14), n.weight(16, 14, 14)
    re, im = re * p - im * q, re * q + im * p
    y = (c @ re @ c - s @ re @ s - (c @ im @ s + s @ im @ c)) / 14
    return tail(n, x + F.relu(n.bn(y)))


@honest_torch("All layers by unfolding and one matrix product each, as an accelerator's compiler writes them.",
              idea="computed otherwise", opset=13)  # fmt: skip
def im2col_network(n: Net, x: T) -> T:
    x = n.stem(x, 12)
    for width, side in ((16, 14), (24, 7)):
        cols = F.unfold(x, 3, stride=2, padding=1)
        x = F.relu(n.bn((n.weight(width, 9 * x.shape[1], gain=1.4) @ cols).reshape(-1, width, side, side)))
    return n.embed(x)


def on_grid(w: T, bits: int) -> T:
    scale = w.abs().amax() / 2 ** (bits - 1)
    return (w / scale).round().clamp(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) * scale


class OnGrid(nn.Module):
    """Trained weights put on a grid, and stored as float32: what is left of quantisation-aware training."""

    def __init__(self, layer: nn.Module, bits: int) -> None:
        super().__init__()
        self.layer = layer
        with torch.no_grad():
            layer.weight.copy_(on_grid(layer.weight, bits))

    def forward(self, x: T) -> T:
        return self.layer(x)


@honest_torch(
    "Quantisation-aware training, exported without its quantisers: weights on a grid of 8 bits, each in four bytes; "
    "the size in the file is that of a float32 network.", idea="values on a grid",
)  # fmt: skip
def eight_bit_grid_in_float32(n: Net, x: T) -> T:
    for width in (8, 12, 16, 24):
        c = x.shape[1]
        x = F.relu(n.bn(n.same(x, lambda c=c, w=width: OnGrid(nn.Conv2d(c, w, 3, 2, 1), 8))))  # type: ignore[misc]
    return n.bn(n.same(x.flatten(1), lambda: OnGrid(nn.Linear(1176, 64), 8)))


@honest_torch(
    "Ternary weights (TWN) stored as float32: three values, four bytes each, so the size is counted in full.",
    idea="values on a grid", opset=12,
)  # fmt: skip
def ternary_values_in_float32(n: Net, x: T) -> T:
    x = n.stem(x)
    for width in (24, 32):
        c = x.shape[1]
        x = F.relu(n.bn(n.same(x, lambda c=c, w=width: OnGrid(nn.Conv2d(c, w, 3, 2, 1), 2))))  # type: ignore[misc]
    return n.gdc(x)


@honest_torch(
    "A binary network's activations: signs, with real weights in float32 and a shortcut around.",
    idea="values on a grid",
)
def sign_activations(n: Net, x: T) -> T:
    x = n.stem(x)
    for width in (24, 32):
        short = F.avg_pool2d(x, 2).repeat(1, 2, 1, 1)[:, :width]
        x = n.bn(n.conv(torch.sign(x - 0.1), width, 3, 2)) + short
    return n.gdc(x)


@honest_torch("A network pruned to a tenth of its weights; the zeros are stored.", idea="pruned")
def nine_tenths_pruned(n: Net, x: T) -> T:
    x = n.stem(x)
    for width in (32, 40):
        w = n.weight(width, x.shape[1], 3, 3, gain=1.2)
        keep = torch.from_numpy(np.random.default_rng(width).random(tuple(w.shape)) < 0.1).float()
        x = F.relu(n.bn(F.conv2d(x, w * keep, stride=2, padding=1)))
    return n.gdc(x)


@honest_torch("2:4 structured sparsity by a stored mask of float32 beside float32 weights.", idea="pruned", opset=13)
def two_of_four_sparse(n: Net, x: T) -> T:
    x = n.stem(x)
    mask = torch.tensor([1.0, 0, 1, 0, 0, 1, 0, 1]).repeat(18).reshape(1, 16, 3, 3)
    x = F.relu(n.bn(F.conv2d(x, n.weight(24, 16, 3, 3, gain=0.7) * mask, stride=2, padding=1)))
    return tail(n, x)


@honest_torch(
    "A butterfly product: five sparse factors of stored two-by-two blocks mix 32 channels.",
    idea="structured",
    trained=4,
)
def butterfly_mixing(n: Net, x: T) -> T:
    y = n.down(n.down(n.stem(x), 24), 32).flatten(2).transpose(1, 2)
    for level in range(5):
        step = 2**level
        blocks = y.reshape(-1, 49, 32 // (2 * step), 2, step)
        w = n.weight(32 // (2 * step), 2, 2, step) * step**0.5
        y = torch.stack([(blocks * w[:, 0]).sum(3), (blocks * w[:, 1]).sum(3)], 3).reshape(-1, 49, 32)
    return n.embed(y)


@honest_torch(
    "Monarch matrices: two block-diagonal factors with a stored permutation between.", idea="structured", opset=12
)
def monarch_head(n: Net, x: T) -> T:
    y = n.down(n.down(n.stem(x), 24), 32).flatten(1).reshape(-1, 28, 1, 56)
    y = (y @ n.weight(28, 56, 56)).squeeze(2).reshape(-1, 28, 56).transpose(1, 2).unsqueeze(2)
    return n.bn((y @ n.weight(56, 28, 8)).flatten(1))


@honest_torch("A circulant layer: one stored row, shifted by slices into a matrix of 32 channels.", idea="structured")
def circulant_channels(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 32)
    y = torch.stack([torch.cat([x[:, i:], x[:, :i]], 1) for i in range(8)], 1)
    return tail(n, F.relu(n.bn((y * n.weight(1, 8, 1, 1, 1)).sum(1))))


@honest_torch(
    "Tucker-decomposed kernels: 1x1 down, a small core, 1x1 up, without activations between.",
    idea="low rank",
    trained=4,
)
def tucker_kernels(n: Net, x: T) -> T:
    x = n.stem(x)
    for width in (24, 32):
        x = F.relu(n.cb(n.conv(n.conv(x, 6, 1), 8, 3, 2), width, 1))
    return n.gdc(x)


@honest_torch("CP-decomposed kernels: columns, rows and channels one after the other.", idea="low rank", opset=11)
def cp_kernels(n: Net, x: T) -> T:
    x = n.stem(x)
    for width in (24, 32):
        y = n.conv(n.conv(n.conv(x, 12, 1), 12, (3, 1), (2, 1), -1), 12, (1, 3), (1, 2), -1)
        x = F.relu(n.cb(y, width, 1))
    return n.gdc(x)


@honest_torch("A tensor-train head: three cores of float32, contracted with the features.", idea="low rank", opset=12)
def tensor_train_head(n: Net, x: T) -> T:
    y = n.down(n.down(n.stem(x), 24), 32).reshape(-1, 32, 7, 7)
    y = torch.einsum("nchw,war->nchar", y, n.weight(7, 4, 6))
    y = torch.einsum("nchar,hrbs->ncabs", y, n.weight(7, 6, 4, 6))
    return n.bn(torch.einsum("ncabs,csd->nabd", y, n.weight(32, 6, 4)).flatten(1))


@honest_torch("Spectral and weight normalisation left in the graph: float32 directions, divided by their lengths.",
              idea="normalised weights", opset=13, trained=4)  # fmt: skip
def normalised_in_the_graph(n: Net, x: T) -> T:
    x = n.stem(x)
    for width in (24, 32):
        w = n.weight(width, x.shape[1], 3, 3)
        w = n.weight(width, 1, 1, 1) * w / (w * w).sum((1, 2, 3), keepdim=True).sqrt()
        x = F.relu(n.bn(F.conv2d(x, w, stride=2, padding=1)))
    return n.gdc(x)


@honest_torch("Cosine convolution: patches and kernels of length one, sharpened by a power.", idea="normalised weights")
def sharpened_cosine_similarity(n: Net, x: T) -> T:
    x = n.stem(x, 12)
    w = n.weight(24, 12, 3, 3)
    length = (F.conv2d(x * x, torch.ones(1, 12, 3, 3), stride=2, padding=1) + 1e-2).sqrt()
    y = F.conv2d(x, w, stride=2, padding=1) / length / (w * w).sum((1, 2, 3)).sqrt().reshape(1, -1, 1, 1)
    return tail(n, n.bn(torch.sign(y) * (y.abs() + 1e-3) ** 1.5))


def quarter_turned(w: T, k: int, r: int, c: int) -> T:
    """Turn kernels by k quarter circles in the plane of two axes."""
    for _ in range(k):
        w = w.transpose(r, c).flip(r)
    return w


@honest_torch(
    "p4 group convolutions: the stored filters are turned by quarter circles, one look at the image; orientations "
    "are mixed in the second layer by turned and rolled kernels; their maximum goes on.", idea="group", opset=13,
)  # fmt: skip
def quarter_turn_group(n: Net, x: T) -> T:
    w = n.weight(6, 3, 5, 5, gain=0.5)
    x = F.relu(n.bn(F.conv2d(x, torch.cat([quarter_turned(w, k, 2, 3) for k in range(4)]), stride=2, padding=2)))
    w = n.weight(8, 4, 6, 3, 3, gain=0.3)
    full = torch.cat(
        [quarter_turned(torch.cat([w[:, 4 - k :], w[:, : 4 - k]], 1), k, 3, 4).reshape(8, 24, 3, 3) for k in range(4)]
    )
    x = F.relu(n.bn(F.conv2d(F.avg_pool2d(x, 2), full, stride=2, padding=1)))
    x = n.cbr(x.reshape(-1, 4, 8, 14, 14).amax(1), 24, 3, 2)
    return n.embed(x)


@honest_torch(
    "Hamilton products: a quaternion layer of four stored kernels on deep features.", idea="structured", opset=13
)
def quaternion_layer(n: Net, x: T) -> T:
    x = n.stem(x)
    r, i, j, k = (n.weight(6, 4, 3, 3, gain=0.4) for _ in range(4))
    w = torch.cat([torch.cat(row, 1) for row in ((r, -i, -j, -k), (i, r, -k, j), (j, k, r, -i), (k, -j, i, r))])
    return tail(n, F.relu(n.bn(F.conv2d(x, w, stride=2, padding=1))))


@honest_torch(
    "A hypernetwork: the image's mean features make the kernel of a later layer, two stored matrices between.",
    idea="dynamic", opset=13, trained=4,
)  # fmt: skip
def hypernetwork_by_the_image(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 16)
    made = n.linear(torch.tanh(n.linear(x.mean((2, 3)), 12)), 24 * 16).reshape(-1, 24, 16)
    return tail(n, F.relu(n.bn((made @ x.flatten(2)).reshape(-1, 24, 14, 14))))


@honest_torch(
    "One head for all levels of a pyramid of features, weights shared as in RetinaNet.",
    idea="shared weights",
    trained=4,
)
def shared_head_over_a_pyramid(n: Net, x: T) -> T:
    a = n.down(n.stem(x), 16)
    b = n.down(a, 16)
    w, v = n.weight(16, 16, 3, 3, gain=0.3), n.weight(8, 16, 3, 3, gain=0.3)
    made = [F.conv2d(F.relu(F.conv2d(y, w, padding=1)), v, padding=1) for y in (a, b)]
    return n.embed(torch.cat([F.avg_pool2d(made[0], 2), made[1]], 1))


@honest_torch(
    "A gated recurrent refinement: one block reads its own output three times, as in recurrent CNNs.",
    idea="shared weights",
)
def recurrent_convolution(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 20)
    w = n.weight(20, 20, 3, 3, gain=0.25)
    y = F.relu(x)
    for _ in range(3):
        y = F.relu(x + F.conv2d(y, w, padding=1))
    return tail(n, n.bn(y))
