"""Second views without an operator of their own: folded into kernels, in channels or tokens of the same layers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx

from evaluation.builder import Array
from evaluation.case import BATCH_RULE
from evaluation.named import EMBEDDING, NamedBuilder
from evaluation.registry import evasion

#: Layers of one half: inputs, outputs, kernel, stride; a layer with 0 outputs is depthwise.
HALF = ((3, 16, 4, 2), (16, 0, 3, 1), (16, 24, 1, 1), (24, 0, 4, 2), (24, 32, 1, 1), (32, 0, 4, 2), (32, 40, 1, 1),
        (40, 0, 4, 2), (40, 48, 1, 1))  # fmt: skip

#: (kernel [out, in, k, k], bias, which layer) -> both, of the half that sees the changed image.
Fold = Callable[[Array, Array, int], tuple[Array, Array]]


def unchanged(kernel: Array, bias: Array, layer: int) -> tuple[Array, Array]:
    return kernel, bias


def mirrored(kernel: Array, bias: Array, layer: int) -> tuple[Array, Array]:  # as every fold
    return kernel[..., ::-1], bias


def moved(kernel: Array, bias: Array, layer: int) -> tuple[Array, Array]:
    """Move the image by a row and two columns: the first kernels are 8x8, zero outside."""
    return (wide(kernel, 1, 2), bias) if layer == 0 else (kernel, bias)


def brighter(kernel: Array, bias: Array, layer: int) -> tuple[Array, Array]:
    return (1.25 * kernel, bias + 0.1 * kernel.sum((1, 2, 3))) if layer == 0 else (kernel, bias)


def blurred(kernel: Array, bias: Array, layer: int) -> tuple[Array, Array]:
    if layer:
        return kernel, bias
    taps = np.outer([1, 2, 1], [1, 2, 1]) / 16
    moved_ones = [tap * wide(kernel, i - 1, j - 1) for (i, j), tap in np.ndenumerate(taps)]
    return np.sum(moved_ones, axis=0), bias


def grey(kernel: Array, bias: Array, layer: int) -> tuple[Array, Array]:
    """Every colour is the mean of the three, a little of its own kept."""
    mix = 0.2 * np.eye(3) + 0.8 / 3
    return (np.einsum("oihw,ij->ojhw", kernel, mix), bias) if layer == 0 else (kernel, bias)


def rotated_colours(kernel: Array, bias: Array, layer: int) -> tuple[Array, Array]:
    mix = np.array([[0.8, 0.3, -0.1], [-0.1, 0.8, 0.3], [0.3, -0.1, 0.8]])
    return (np.einsum("oihw,ij->ojhw", kernel, mix), bias) if layer == 0 else (kernel, bias)


def wide(kernel: Array, down: int = 0, right: int = 0) -> Array:
    """Return a 4x4 kernel inside an 8x8 one, moved from its middle."""
    result = np.zeros((*kernel.shape[:2], 8, 8))
    result[:, :, 2 + down : 6 + down, 2 + right : 6 + right] = kernel
    return result


def half(net: NamedBuilder) -> list[tuple[Array, Array]]:
    """Draw the layers of one half."""
    return [
        (net.value(f"l{i}.w", cout or cin, cin if cout else 1, k, k).astype(float), net.value(f"l{i}.b", cout or cin))
        for i, (cin, cout, k, _) in enumerate(HALF)
    ]


def shuffled(net: NamedBuilder, layers: list[tuple[Array, Array]], key: str) -> tuple[list[tuple[Array, Array]], Array]:
    """Permute and rescale the hidden channels; return the layers and [outputs of the last, its channels as before]."""
    rng = net.rng(key)
    current = np.eye(3)
    result = []
    for (kernel, bias), (_, cout, _, _) in zip(layers, HALF, strict=True):
        if cout:
            order = np.diag(rng.uniform(0.5, 2, cout))[rng.permutation(cout)]
            kernel = np.einsum("po,oihw,iq->pqhw", order, kernel, np.linalg.inv(current))
            bias, current = order @ bias, order
        else:
            old = (current > 0).argmax(1)
            kernel, bias = kernel[old], current @ bias
        result.append((kernel, bias))
    return result, np.linalg.inv(current)


def branch(net: NamedBuilder, layers: list[tuple[Array, Array]], key: str) -> str:
    """Write a list of layers as convolutions with activations, and a global mean."""
    x = net.x
    for i, ((kernel, bias), (_, cout, _, stride)) in enumerate(zip(layers, HALF, strict=True)):
        side = kernel.shape[-1]
        names = [
            net.store(f"{key}{i}.{part}", value.astype(np.float32)) for part, value in (("w", kernel), ("b", bias))
        ]
        pads = [(side - 1) // 2] * 2 + [(side - 1) // 2] * 2
        group = 1 if cout else len(kernel)
        x = net.op("Relu", net.op("Conv", x, *names, strides=[stride] * 2, pads=pads, group=group))
    return net.mean(x, 2, 3)


def in_one(seed: int, fold: Fold, coupling: float = 0.0) -> onnx.ModelProto:
    """Two halves in one: the second folded, shuffled, joined with weak random weights, all channels in one disorder."""
    net = NamedBuilder(seed)
    first = half(net)
    second, back = shuffled(net, [fold(kernel, bias, i) for i, (kernel, bias) in enumerate(first)], "order")
    rng = net.rng("coupling")
    joint: list[tuple[Array, Array]] = []
    order = np.arange(3)
    for i, ((a, bias), (b, other), (cin, cout, _, _)) in enumerate(zip(first, second, HALF, strict=True)):
        a = wide(a) if a.shape[-1] != b.shape[-1] else a
        if i == 0 or not cout:
            kernel = np.concatenate([a, b])
        else:
            kernel = np.zeros((2 * cout, 2 * cin, *a.shape[2:]))
            kernel[:cout, :cin], kernel[cout:, cin:] = a, b
            kernel[:cout, cin:] = coupling * a.std() * rng.standard_normal(a.shape)
            kernel[cout:, :cin] = coupling * b.std() * rng.standard_normal(b.shape)
        both = np.concatenate([bias, other])
        after = rng.permutation(len(kernel)) if cout else order
        kernel, both = kernel[after], both[after]
        joint.append((kernel[:, order] if i and cout else kernel, both))
        order = after
    y = branch(net, joint, "t")
    head = net.value("embed.w", EMBEDDING, HALF[-1][1]).astype(float)
    matrix = np.concatenate([head, head @ back], axis=1)[:, order] / 2
    return net.model(net.op("MatMul", y, matrix.T.astype(np.float32)))


def in_branches(seed: int, fold: Fold) -> onnx.ModelProto:
    """Two branches on the image, the second folded and shuffled, their embeddings added up."""
    net = NamedBuilder(seed)
    first = half(net)
    second, back = shuffled(net, [fold(kernel, bias, i) for i, (kernel, bias) in enumerate(first)], "order")
    head = net.value("embed.w", EMBEDDING, HALF[-1][1]).astype(float)
    ends = [(branch(net, first, "a"), head), (branch(net, second, "b"), head @ back)]
    return net.model(net.op("Add", *(net.op("MatMul", y, matrix.T.astype(np.float32)) for y, matrix in ends)))


@evasion(
    BATCH_RULE, "Two networks in one, one mirrored, 1 % random weights between them.", idea="coupled channel groups"
)
def coupled_mirrored() -> onnx.ModelProto:
    return in_one(1601, mirrored, 0.01)


@evasion(
    BATCH_RULE, "Two networks in one, one mirrored, 5 % random weights between them.", idea="coupled channel groups"
)
def coupled_mirrored_strongly() -> onnx.ModelProto:
    return in_one(1602, mirrored, 0.05)


@evasion(BATCH_RULE, "Two networks in one, one fed the image moved, 2 % between them.", idea="coupled channel groups")
def coupled_moved() -> onnx.ModelProto:
    return in_one(1603, moved, 0.02)


@evasion(
    BATCH_RULE, "Two networks in one, one fed the image brighter, 2 % between them.", idea="coupled channel groups"
)
def coupled_brighter() -> onnx.ModelProto:
    return in_one(1604, brighter, 0.02)


@evasion(BATCH_RULE, "Two networks in one, one fed the image blurred, 3 % between them.", idea="coupled channel groups")
def coupled_blurred() -> onnx.ModelProto:
    return in_one(1605, blurred, 0.03)


@evasion(
    BATCH_RULE, "A second branch, its channels in disorder, fed the image blurred by its kernels.", idea="folded filter"
)
def blurred_in_kernels() -> onnx.ModelProto:
    return in_branches(1606, blurred)


@evasion(BATCH_RULE, "A second branch, its channels in disorder, fed the image nearly grey.", idea="folded filter")
def grey_in_kernels() -> onnx.ModelProto:
    return in_branches(1607, grey)


@evasion(BATCH_RULE, "A second branch, its channels in disorder, fed colours rotated.", idea="folded filter")
def colours_rotated_in_kernels() -> onnx.ModelProto:
    return in_branches(1608, rotated_colours)


@evasion(
    BATCH_RULE, "A second branch, its channels in disorder, fed the image moved by its kernels.", idea="folded filter"
)
def moved_in_kernels() -> onnx.ModelProto:
    return in_branches(1609, moved)


@evasion(BATCH_RULE, "A second branch, its channels in disorder, fed the image brighter.", idea="folded filter")
def brighter_in_kernels() -> onnx.ModelProto:
    return in_branches(1610, brighter)


WIDTH, TOKENS = 40, 49


def mixer(seed: int, fold: Fold, joined: bool) -> onnx.ModelProto:
    """Two sets of tokens by two banks of patch kernels, through the same blocks; on an axis of their own, or joined."""
    net = NamedBuilder(seed)
    kernel, bias = net.value("patch.w", WIDTH, 3, 16, 16).astype(float), net.value("patch.b", WIDTH)
    other, shift = fold(kernel, bias, 0)
    sets = []
    for name, (w, b) in {"one": (kernel, bias), "two": (other, shift)}.items():
        pad = (w.shape[-1] - 16) // 2
        names = [net.store(f"{name}.{key}", value.astype(np.float32)) for key, value in (("w", w), ("b", b))]
        x = net.op("Conv", net.x, *names, strides=[16, 16], pads=[pad] * 4)
        sets.append(net.transpose(net.reshape(x, 0, WIDTH, TOKENS), 0, 2, 1))
    x = net.op("Concat", *(net.unsqueeze(each, 1) for each in sets), axis=1)
    for i in range(3):
        if joined:
            x = net.reshape(x, 0, 2, TOKENS, WIDTH)
        y = net.transpose(net.layer_norm(x, WIDTH), 0, 1, 3, 2)
        y = net.linear(net.linear(y, f"t{i}a", TOKENS, 64, "Relu"), f"t{i}b", 64, TOKENS)
        x = net.op("Add", x, net.transpose(y, 0, 1, 3, 2))
        if joined:
            x = net.reshape(x, 0, 2 * TOKENS, WIDTH)
        y = net.linear(net.layer_norm(x, WIDTH), f"c{i}a", WIDTH, 80, "Relu")
        x = net.op("Add", x, net.linear(y, f"c{i}b", 80, WIDTH))
    y = net.mean(x, 1) if joined else net.mean(x, 1, 2)
    return net.model(net.linear(y, "embed", WIDTH, EMBEDDING))


def moved_patches(kernel: Array, bias: Array, layer: int) -> tuple[Array, Array]:  # as every fold
    result = np.zeros((*kernel.shape[:2], 20, 20))
    result[:, :, 1:17, 3:19] = kernel
    return result, bias


def blurred_patches(kernel: Array, bias: Array, layer: int) -> tuple[Array, Array]:
    result = np.zeros((*kernel.shape[:2], 18, 18))
    for i, j in np.ndindex(3, 3):
        result[:, :, i : i + 16, j : j + 16] += kernel / 9
    return result, bias


@evasion(BATCH_RULE, "A mixer with a second set of tokens by blurred patch kernels.", idea="second set of tokens")
def tokens_blurred() -> onnx.ModelProto:
    return mixer(1611, blurred_patches, joined=False)


@evasion(
    BATCH_RULE, "A mixer with a second set of tokens, nearly grey, joined to the first.", idea="second set of tokens"
)
def tokens_grey_joined() -> onnx.ModelProto:
    return mixer(1612, grey, joined=True)


@evasion(BATCH_RULE, "A mixer with a second set of tokens by moved patch kernels.", idea="second set of tokens")
def tokens_moved() -> onnx.ModelProto:
    return mixer(1613, moved_patches, joined=False)
