"""Honest networks in unusual layouts: the batch on another axis, cells folded into it, tokens picked, maps shifted."""

import numpy as np

from evaluation.honest.attention import attention, block, flat_head, mlp, patches
from evaluation.honest.heads_and_gates import trunk
from evaluation.registry import honest_body
from evaluation.sequential import SequentialBuilder


@honest_body("LightCNN: max-feature-map layers, the maximum of the two halves of the channels.", idea="convolutions")
def lightcnn(net: SequentialBuilder) -> str:
    y, cin = net.x, 3
    for cout in (8, 16, 24, 32):
        left, right = net.split(net.conv(y, cin, 2 * cout, 3, 2), (cout, cout), 1)
        y, cin = net.op("Max", left, right), cout
    return net.head(y, 32, 7)


@honest_body(
    "Overlapping patches by torch.nn.Unfold as it is exported: Pad, Gather with index tables, Transpose, Reshape.",
    idea="overlapping patches",
)
def unfold_stem(net: SequentialBuilder) -> str:
    y = net.op("Pad", net.x, net.const([0, 0, 2, 2, 0, 0, 2, 2]))
    table = np.arange(0, 112, 8)[None] + np.arange(12)[:, None]
    y = net.op("Gather", net.op("Gather", y, net.const(table), axis=2), net.const(table), axis=4)
    y = net.reshape(net.op("Transpose", y, perm=[0, 1, 2, 4, 3, 5]), -1, 3 * 144, 196)
    y = net.linear(net.op("Transpose", y, perm=[0, 2, 1]), 432, 24)
    for _ in range(2):
        y = block(net, y, 24, 3, 196)
    y = net.reshape(net.op("Transpose", y, perm=[0, 2, 1]), -1, 24, 14, 14)
    return net.head(net.cbr(y, 24, 24, stride=2), 24, 7)


@honest_body(
    "ShiftViT: groups of feature channels are shifted by one cell in four directions by Pad and Slice.",
    idea="channel groups",
)
def shift_features(net: SequentialBuilder) -> str:
    y = trunk(net, net.x, (8, 16, 24))
    for _ in range(2):
        parts = net.split(y, (4, 4, 4, 4, 8), 1)
        moved = []
        for part, (axis, step) in zip(parts[:4], ((2, 1), (2, -1), (3, 1), (3, -1)), strict=True):
            pads = [0] * 8
            pads[axis if step > 0 else axis + 4] = 1
            padded = net.op("Pad", part, net.const(pads))
            moved.append(net.slice(padded, [0 if step > 0 else 1], [14 if step > 0 else 15], [axis]))
        y = net.op("Add", y, net.cbr(net.op("Concat", *moved, parts[4], axis=1), 24, 24, 1))
    return net.head(net.cbr(y, 24, 32, stride=2), 32, 7)


@honest_body(
    "InstanceNorm as a BatchNormalization in training mode over rows folded into channels.",
    idea="normalisation layers",
    opset=14,
)
def instance_norm_as_batchnorm(net: SequentialBuilder) -> str:
    y, cin, side = net.x, 3, 112
    for cout in (8, 16, 24, 32):
        y, side = net.conv(y, cin, cout, stride=2), side // 2
        repeats = net.unsqueeze(net.dim(y, 0), 0)
        values = [net.op("Tile", net.const(np.full(cout, v)), repeats) for v in (1.0, 0.1, 0.0, 1.0)]
        folded = net.reshape(y, 1, -1, side, side)
        z = net.ops("BatchNormalization", folded, *values, outputs=3, training_mode=1)[0]
        y, cin = net.relu(net.reshape(z, -1, cout, side, side)), cout
    return net.head(y, 32, 7)


@honest_body(
    "Channels on axis 0 and the batch last: softmax and means over axis 0 are over channels.", idea="layout", opset=13
)
def batch_last(net: SequentialBuilder) -> str:
    y = net.op("Transpose", net.cbr(trunk(net, net.x), 24, 24, stride=2), perm=[1, 2, 3, 0])
    gate = net.op("Softmax", y, axis=0)
    y = net.op("Mul", net.op("Sub", y, net.reduce("Mean", y, 0)), net.op("Add", gate, net.const(0.5)))
    y = net.op("MatMul", net.weight(48, 24 * 49), net.reshape(y, 24 * 49, -1))
    return net.standardise(net.op("Transpose", y, perm=[1, 0]), 48)


@honest_body("All cells of all images folded into the rows of one Gemm, and unfolded again.", idea="layout")
def gemm_on_cells(net: SequentialBuilder) -> str:
    y = trunk(net, net.x, (8, 16, 24))
    for _ in range(2):
        rows = net.reshape(net.op("Transpose", y, perm=[0, 2, 3, 1]), -1, 24)
        rows = net.relu(net.op("Gemm", rows, net.weight(24, 24), net.const(net.rng.normal(0, 0.1, 24)), transB=1))
        y = net.op("Add", y, net.op("Transpose", net.reshape(rows, -1, 14, 14, 24), perm=[0, 3, 1, 2]))
    return net.head(net.cbr(y, 24, 32, stride=2), 32, 7)


@honest_body(
    "Token pruning: per image, TopK of a score picks the tokens that go on (GatherElements).",
    idea="selection",
    opset=13,
)
def token_pruning(net: SequentialBuilder) -> str:
    y, cells = patches(net, 24, 14)
    y = net.op("Add", y, net.const(net.rng.normal(0, 0.5, (1, cells, 24))))
    y = block(net, y, 24, 3, cells)
    score = net.squeeze(net.linear(y, 24, 1), 2)
    picked = net.ops("TopK", score, net.const([32]), outputs=2, axis=1)[1]
    index = net.op("Expand", net.unsqueeze(picked, 2), net.const([1, 1, 24]))
    y = block(net, net.op("GatherElements", y, index, axis=1), 24, 3, 32)
    return net.standardise(net.linear(net.reduce("Mean", y, 1, keep=False), 24, 48), 48)


@honest_body("PReLU and hard-swish in parts: Relu, Neg, Clip, Mul, Add.", idea="convolutions")
def activations_in_parts(net: SequentialBuilder) -> str:
    y, cin = net.x, 3
    for cout in (8, 16, 24, 32):
        y = net.bn(net.conv(y, cin, cout, stride=2), cout)
        below = net.relu(net.op("Neg", y))
        y = net.op("Sub", net.relu(y), net.op("Mul", below, net.const(net.rng.uniform(0.1, 0.4, (1, cout, 1, 1)))))
        gate = net.op("Clip", net.op("Add", y, net.const(3.0)), net.const(0.0), net.const(6.0))
        y, cin = net.op("Div", net.op("Mul", y, gate), net.const(6.0)), cout
    return net.head(y, 32, 7)


@honest_body(
    "PeleeNet stem: a strided convolution and a pooled path of the same early features, concatenated.",
    idea="convolutions",
)
def parallel_stem(net: SequentialBuilder) -> str:
    y = net.cbr(net.x, 3, 8, stride=2)
    pooled = net.op("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2])
    y = net.op("Concat", net.cbr(net.cbr(y, 8, 4, 1), 4, 8, 3, 2), pooled, axis=1)
    image = net.op("AveragePool", net.x, kernel_shape=[4, 4], strides=[4, 4])
    y = net.op("Concat", y, net.cbr(image, 3, 4, 1), axis=1)
    for cin, cout in ((20, 24), (24, 32)):
        y = net.cbr(y, cin, cout, stride=2)
    return net.head(y, 32, 7)


@honest_body(
    "U-SequentialBuilder: transposed convolutions back up to half resolution, skips, then down again to the embedding.",
    idea="several resolutions",
)
def unet(net: SequentialBuilder) -> str:
    first = net.cbr(net.x, 3, 8, stride=2)
    second = net.cbr(first, 8, 16, stride=2)
    third = net.cbr(second, 16, 24, stride=2)

    def up(z: str, cin: int, cout: int) -> str:
        weight = net.const(net.rng.normal(0, 0.2, (cin, cout, 2, 2)))
        return net.relu(net.op("ConvTranspose", z, weight, kernel_shape=[2, 2], strides=[2, 2]))

    y = net.cbr(net.op("Concat", up(third, 24, 16), second, axis=1), 32, 16)
    y = net.cbr(net.op("Concat", up(y, 16, 8), first, axis=1), 16, 12)
    for cin, cout in ((12, 16), (16, 24), (24, 32)):
        y = net.cbr(y, cin, cout, stride=2)
    return net.head(y, 32, 7)


@honest_body(
    "Vision-Mamba-like: tokens summed up forwards and (Slice) backwards, with different gates.",
    idea="recurrence both ways",
    opset=13,
)
def token_scans(net: SequentialBuilder) -> str:
    y, cells = patches(net, 24, 14)
    for _ in range(2):
        z = net.layernorm(y, 24)
        turned = net.slice(z, [-1], [-(2**31)], [1], [-1])
        sums = []
        for each in (z, turned):
            gated = net.op("Mul", net.linear(each, 24, 24), net.op("Sigmoid", net.linear(each, 24, 24)))
            sums.append(net.op("Mul", net.op("CumSum", gated, net.const(1)), net.const(0.2)))
        back = net.slice(sums[1], [-1], [-(2**31)], [1], [-1])
        y = net.op("Add", y, net.linear(net.op("Add", sums[0], back), 24, 24))
        y = net.op("Add", y, mlp(net, net.layernorm(y, 24), 24, 48))
    return flat_head(net, y, cells * 24)


@honest_body(
    "Central-difference convolution: a convolution minus its kernel's sum times the centre.", idea="convolutions"
)
def central_difference(net: SequentialBuilder) -> str:
    y, cin = net.x, 3
    for cout in (8, 16, 24, 32):
        weight = net.rng.normal(0, 1.4 / np.sqrt(9 * cin), (cout, cin, 3, 3))
        centre = net.const(0.7 * weight.sum((2, 3), keepdims=True))
        wide = net.op("Conv", y, net.const(weight), kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2])
        narrow = net.op("Conv", y, centre, kernel_shape=[1, 1], strides=[2, 2])
        y, cin = net.relu(net.bn(net.op("Sub", wide, narrow), cout)), cout
    return net.head(y, 32, 7)


@honest_body(
    "Quarters of the feature map lie in front of the batch on the folded axis while they attend.",
    idea="attention on feature maps",
    opset=13,
)
def quadrant_attention(net: SequentialBuilder) -> str:
    y = net.op("Transpose", trunk(net, net.x, (8, 16, 16)), perm=[0, 2, 3, 1])
    y = net.op("Transpose", net.reshape(y, -1, 2, 7, 2, 7, 16), perm=[1, 3, 0, 2, 4, 5])
    y = net.reshape(y, -1, 49, 16)
    y = net.op("Add", y, attention(net, net.layernorm(y, 16), 16, 2, 49))
    y = net.op("Transpose", net.reshape(y, 2, 2, -1, 7, 7, 16), perm=[2, 5, 0, 3, 1, 4])
    return net.head(net.cbr(net.reshape(y, -1, 16, 14, 14), 16, 24, stride=2), 24, 7)
