"""Convolutional networks by their blocks: channel attention, channel groups, pooling, symmetric and shared kernels."""

import numpy as np

from evaluation.registry import honest_body
from evaluation.sequential import SequentialBuilder


@honest_body("Squeeze and excitation after every stage.", idea="channel attention")
def se_resnet(net: SequentialBuilder) -> str:
    y, cin = net.cbr(net.x, 3, 8, stride=2), 8
    for cout in (16, 24, 32):
        y = net.cbr(y, cin, cout, stride=2)
        z = net.cbr(y, cout, cout)
        gate = net.relu(net.conv(net.op("GlobalAveragePool", z), cout, cout // 4, 1))
        gate = net.op("Sigmoid", net.conv(gate, cout // 4, cout, 1))
        y, cin = net.relu(net.op("Add", net.op("Mul", z, gate), y)), cout
    return net.head(y, 32, 7)


@honest_body(
    "Squeeze and excitation with fully connected layers, Squeeze and Unsqueeze, shape arithmetic of the exporter.",
    idea="channel attention",
)
def se_linear(net: SequentialBuilder) -> str:
    y, cin = net.cbr(net.x, 3, 8, stride=2), 8
    for cout in (16, 24, 32):
        y = net.cbr(y, cin, cout, stride=2)
        pooled = net.reshape_like(net.op("GlobalAveragePool", y), y, cout)
        gate = net.op("Sigmoid", net.linear(net.relu(net.linear(pooled, cout, cout // 4)), cout // 4, cout))
        y, cin = net.op("Mul", y, net.reshape_like(gate, y, cout, 1, 1)), cout
    return net.head(y, 32, 7)


@honest_body(
    "CBAM: channel attention from mean and max pooling through one shared MLP, then spatial attention.",
    idea="channel attention",
)
def cbam(net: SequentialBuilder) -> str:
    y = net.cbr(net.cbr(net.x, 3, 8, stride=2), 8, 16, stride=2)
    for cin, cout in ((16, 24), (24, 32)):
        y = net.cbr(y, cin, cout, stride=2)
        first, second = net.weight(cout // 4, cout, 1, 1), net.weight(cout, cout // 4, 1, 1)
        paths = []
        for pooling in ("GlobalAveragePool", "GlobalMaxPool"):
            z = net.relu(net.op("Conv", net.op(pooling, y), first, kernel_shape=[1, 1]))
            paths.append(net.op("Conv", z, second, kernel_shape=[1, 1]))
        y = net.op("Mul", y, net.op("Sigmoid", net.op("Add", *paths)))
        maps = net.op("Concat", net.reduce("Mean", y, 1), net.reduce("Max", y, 1), axis=1)
        y = net.op("Mul", y, net.op("Sigmoid", net.conv(maps, 2, 1, 7)))
    return net.head(y, 32, 7)


@honest_body("Ghost modules: half of the channels are cheap depthwise copies of the other half.", idea="channel groups")
def ghost(net: SequentialBuilder) -> str:
    y, cin = net.cbr(net.x, 3, 8, stride=2), 8
    for cout in (16, 24, 32):
        y = net.op("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2])
        primary = net.cbr(y, cin, cout // 2, 1)
        y = net.op("Concat", primary, net.cbr(primary, cout // 2, cout // 2, 3, group=cout // 2), axis=1)
        cin = cout
    return net.head(y, 32, 7)


@honest_body(
    "ShuffleNet v2: channels are split, one half is convolved, and the channels are shuffled.", idea="channel groups"
)
def channel_shuffle(net: SequentialBuilder) -> str:
    y = net.cbr(net.cbr(net.x, 3, 16, stride=2), 16, 16, stride=2)
    for side, stride in ((28, 1), (28, 1), (28, 2), (14, 1)):
        side = side // stride
        left, right = net.split(y, (8, 8), 1)
        if stride == 2:
            left = net.conv(left, 8, 8, 3, 2, group=8)
        right = net.bn(net.conv(net.cbr(right, 8, 8, 1), 8, 8, 3, stride, group=8), 8)
        y = net.op("Concat", left, net.cbr(right, 8, 8, 1), axis=1)
        y = net.op("Transpose", net.reshape(y, -1, 2, 8, side, side), perm=[0, 2, 1, 3, 4])
        y = net.reshape(y, -1, 16, side, side)
    return net.head(net.cbr(y, 16, 24, stride=2), 24, 7)


@honest_body("ResNeXt: grouped convolutions with two equal groups after an image stem.", idea="channel groups")
def resnext_two_groups(net: SequentialBuilder) -> str:
    y = net.cbr(net.x, 3, 16, stride=2)
    for cin, cout in ((16, 16), (16, 32), (32, 32)):
        z = net.cbr(net.cbr(y, cin, cout, 1), cout, cout, 3, 2, group=2)
        y = net.relu(net.op("Add", net.bn(net.conv(z, cout, cout, 1), cout), net.conv(y, cin, cout, 1, 2)))
    return net.head(y, 32, 7)


@honest_body(
    "Anti-aliased pooling: fixed binomial blur kernels, depthwise with stride 2, behind reflection padding.",
    idea="smoothing",
)
def blurpool(net: SequentialBuilder) -> str:
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
    y, cin = net.x, 3
    for cout in (8, 16, 24, 32):
        y = net.cbr(y, cin, cout)
        y = net.op("Pad", y, net.const([0, 0, 1, 1, 0, 0, 1, 1]), mode="reflect")
        blur = net.const(np.tile(kernel, (cout, 1, 1, 1)))
        y, cin = net.op("Conv", y, blur, kernel_shape=[3, 3], strides=[2, 2], group=cout), cout
    return net.head(y, 32, 7)


@honest_body(
    "Pyramid pooling: features pooled to 1, 2 and 4 cells and scaled back up by Resize.", idea="several resolutions"
)
def psp(net: SequentialBuilder) -> str:
    y, cin = net.x, 3
    for cout in (8, 16, 16):
        y, cin = net.cbr(y, cin, cout, stride=2), cout
    y = net.slice(net.op("Pad", y, net.const([0, 0, 1, 1, 0, 0, 1, 1])), [0, 0], [16, 16], [2, 3])
    levels = [y]
    for cells in (1, 2, 4):
        size = 16 // cells
        pooled = net.op("AveragePool", y, kernel_shape=[size, size], strides=[size, size])
        levels.append(net.resize(net.cbr(pooled, 16, 4, 1), size, size))
    return net.head(net.cbr(net.cbr(net.op("Concat", *levels, axis=1), 28, 16, stride=2), 16, 16, stride=2), 16, 4)


@honest_body("DenseNet: every layer reads the concatenation of all before it.", idea="convolutions")
def densenet(net: SequentialBuilder) -> str:
    y, channels = net.cbr(net.x, 3, 8, stride=2), 8
    for _ in range(3):
        for _ in range(3):
            fresh = net.conv(net.relu(net.bn(y, channels)), channels, 6)
            y, channels = net.op("Concat", y, fresh, axis=1), channels + 6
        y = net.op("AveragePool", net.conv(y, channels, 16, 1), kernel_shape=[2, 2], strides=[2, 2])
        channels = 16
    return net.head(y, 16, 7)


@honest_body(
    "All kernels are symmetric and the end is pooled, so one pass is blind to a mirrored image.",
    idea="symmetric kernels",
)
def symmetric_kernels(net: SequentialBuilder) -> str:
    y, cin = net.x, 3
    for cout in (8, 16, 24, 32):
        weight = net.rng.normal(0, 1.4 / np.sqrt(9 * cin), (cout, cin, 3, 3))
        weight = (weight + weight[..., ::-1]) / 2
        y = net.op("Conv", y, net.const(weight), kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        y, cin = net.op("AveragePool", net.relu(net.bn(y, cout)), kernel_shape=[2, 2], strides=[2, 2]), cout
    return net.pooled_head(y, 32)


@honest_body(
    "A stem of paired kernels, every second one the mirror of its neighbour, then an ordinary body.",
    idea="symmetric kernels",
)
def mirrored_kernel_pairs(net: SequentialBuilder) -> str:
    weight = net.rng.normal(0, 0.3, (8, 3, 5, 5))
    weight = np.concatenate([weight, weight[..., ::-1]])
    y = net.op("Conv", net.x, net.const(weight), kernel_shape=[5, 5], pads=[2, 2, 2, 2], strides=[2, 2])
    y = net.relu(net.bn(y, 16))
    for cin, cout in ((16, 16), (16, 24), (24, 32)):
        y = net.cbr(y, cin, cout, stride=2)
    return net.head(y, 32, 7)


@honest_body("One convolution block applied several times in series with the same weights.", idea="shared weights")
def tied_in_series(net: SequentialBuilder) -> str:
    y = net.cbr(net.cbr(net.x, 3, 16, stride=2), 16, 16, stride=2)
    weight = net.weight(16, 16, 3, 3)
    scale, shift = net.const(net.rng.uniform(0.8, 1.2, 16)), net.const(net.rng.normal(0, 0.1, 16))
    mean, variance = net.const(net.rng.normal(0, 0.1, 16)), net.const(np.ones(16))
    for step in range(5):
        z = net.op("Conv", y, weight, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        z = net.relu(net.op("BatchNormalization", z, scale, shift, mean, variance))
        y = net.op("Add", y, z)
        if step % 2:
            y = net.op("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2])
    return net.head(y, 16, 7)


@honest_body("One 3x3 weight reads two different feature maps of one network.", idea="shared weights")
def shared_on_two_features(net: SequentialBuilder) -> str:
    y = net.cbr(net.cbr(net.x, 3, 8, stride=2), 8, 16, stride=2)
    left, right = net.cbr(y, 16, 16, 1), net.cbr(y, 16, 16, 3)
    weight = net.weight(16, 16, 3, 3)
    sides = [
        net.relu(net.op("Conv", z, weight, kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2])) for z in (left, right)
    ]
    y = net.op("Concat", *sides, axis=1)
    return net.head(net.cbr(y, 32, 32, stride=2), 32, 7)
