"""Honest convolutional networks."""

import numpy as np

from .builder import Net
from .honest_registry import honest


@honest("Plain convolutions with BatchNormalization nodes and a fully connected head.")
def plain_bn(net: Net) -> str:
    y = net.x
    for cin, cout in ((3, 8), (8, 16), (16, 24), (24, 32), (32, 32)):
        y = net.cbr(y, cin, cout, stride=2)
    return net.head(y, 32, 4)


@honest("Plain convolutions with BatchNormalization folded away and max pooling.")
def plain_folded(net: Net) -> str:
    y = net.relu(net.conv(net.x, 3, 8, 5, 2))
    for cin, cout in ((8, 16), (16, 24), (24, 32)):
        y = net.op("MaxPool", net.relu(net.conv(y, cin, cout)), kernel_shape=[2, 2], strides=[2, 2])
    return net.head(y, 32, 7)


def ir_block(net: Net, x: str, cin: int, cout: int, stride: int) -> str:
    y = net.conv(net.bn(x, cin), cin, cout, bias=False)
    y = net.conv(net.prelu(net.bn(y, cout), cout), cout, cout, stride=stride, bias=False)
    y = net.bn(y, cout)
    if stride == 1 and cin == cout:
        return net.op("Add", y, x)
    return net.op("Add", y, net.bn(net.conv(x, cin, cout, 1, stride, bias=False), cout))


@honest("iResNet: BN-conv-BN-PReLU-conv-BN blocks, stride in the second convolution.", dim=64)
def iresnet(net: Net) -> str:
    y = net.prelu(net.bn(net.conv(net.x, 3, 8, bias=False), 8), 8)
    for cin, cout in ((8, 8), (8, 16), (16, 24), (24, 32), (32, 32)):
        y = ir_block(net, y, cin, cout, 2)
        if cout < 32:
            y = ir_block(net, y, cout, cout, 1)
    return net.head(net.bn(y, 32), 32, 4, 64)


@honest("iResNet that normalises raw pixels by Sub and Mul in front and has Dropout left in the graph.", raw=True)
def iresnet_sub_mul(net: Net) -> str:
    y = net.op("Mul", net.op("Sub", net.x, net.const(127.5)), net.const(0.0078125))
    y = net.prelu(net.bn(net.conv(y, 3, 8, stride=2), 8), 8)
    for cin, cout in ((8, 16), (16, 24), (24, 32)):
        y = ir_block(net, y, cin, cout, 2)
    return net.head(net.op("Dropout", net.bn(y, 32)), 32, 7)


@honest("MobileFaceNet: depthwise separable bottlenecks, global depthwise convolution, 1x1 convolution.")
def mobilefacenet(net: Net) -> str:
    y = net.prelu(net.bn(net.conv(net.x, 3, 8, stride=2, bias=False), 8), 8)
    for cin, cout, stride in ((8, 12, 2), (12, 12, 1), (12, 16, 2), (16, 16, 1), (16, 24, 2)):
        z = net.prelu(net.bn(net.conv(y, cin, 2 * cin, 1, bias=False), 2 * cin), 2 * cin)
        z = net.conv(z, 2 * cin, 2 * cin, 3, stride, group=2 * cin, bias=False)
        z = net.bn(net.conv(net.prelu(net.bn(z, 2 * cin), 2 * cin), 2 * cin, cout, 1, bias=False), cout)
        y = net.op("Add", y, z) if cin == cout and stride == 1 else z
    y = net.bn(net.conv(y, 24, 24, group=24, kernel=(7, 7), pads=[0, 0, 0, 0]), 24)
    return net.standardise(net.op("Flatten", net.conv(y, 24, 48, 1), axis=1), 48)


@honest("RepVGG in its training form: 3x3, 1x1 and identity branches, each with BN, summed.")
def repvgg_branches(net: Net) -> str:
    y = net.cbr(net.x, 3, 12, stride=2)
    for cin, cout, stride in ((12, 16, 2), (16, 16, 1), (16, 24, 2), (24, 24, 1), (24, 32, 2)):
        wide = net.bn(net.conv(y, cin, cout, 3, stride, bias=False), cout)
        z = net.op("Add", wide, net.bn(net.conv(y, cin, cout, 1, stride, bias=False), cout))
        y = net.relu(net.op("Add", z, net.bn(y, cin)) if stride == 1 and cin == cout else z)
    return net.head(y, 32, 7)


@honest("Branches of equal shape from the image itself: two 3x3 convolutions summed in front, RepVGG-like.")
def repvgg_stem(net: Net) -> str:
    y = net.relu(net.op("Sum", *(net.bn(net.conv(net.x, 3, 12, k, 2, bias=False), 12) for k in (3, 3, 1, 5))))
    for cin, cout in ((12, 16), (16, 24), (24, 32)):
        twins = [net.bn(net.conv(y, cin, cout, 3, 2, bias=False), cout) for _ in range(2)]
        y = net.relu(net.op("Add", *twins))
    return net.head(y, 32, 7)


@honest("Inception: four parallel branches on one tensor, concatenated; the first block reads the image.")
def inception(net: Net) -> str:
    y, cin = net.x, 3
    for width in (4, 6, 8, 8):
        pooled = net.op("MaxPool", y, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
        branches = [
            net.cbr(y, cin, width, 1, 2),
            net.cbr(net.cbr(y, cin, width, 1), width, width, 3, 2),
            net.cbr(net.cbr(net.cbr(y, cin, width, 1), width, width, 3), width, width, 3, 2),
            net.cbr(pooled, cin, width, 1),
        ]
        y, cin = net.op("Concat", *branches, axis=1), 4 * width
    return net.pooled_head(y, 32)


@honest("Asymmetric Inception: 1x7 and 7x1 kernels in parallel, BN folded.")
def inception_asymmetric(net: Net) -> str:
    y = net.relu(net.conv(net.x, 3, 12, 7, 4))
    for cin, cout in ((12, 16), (16, 24)):
        tall = net.relu(net.conv(net.relu(net.conv(y, cin, 8, kernel=(1, 7))), 8, cout // 2, kernel=(7, 1)))
        flat = net.relu(net.conv(net.relu(net.conv(y, cin, 8, kernel=(7, 1))), 8, cout // 2, kernel=(1, 7)))
        y = net.op("Concat", tall, flat, axis=1)
        y = net.op("AveragePool", y, kernel_shape=[2, 2], strides=[2, 2])
    return net.head(y, 24, 7)


@honest("Octave convolutions: a high and a low resolution stream of features that exchange information.")
def octave(net: Net) -> str:
    def half(z: str) -> str:
        return net.op("AveragePool", z, kernel_shape=[2, 2], strides=[2, 2])

    stem = net.cbr(net.x, 3, 12, stride=2)
    high, low, ch, cl = net.cbr(stem, 12, 8), net.cbr(half(stem), 12, 8), 8, 8
    for width in (12, 16):
        grown = net.op("Add", net.conv(high, ch, width, stride=2), half(net.resize(net.conv(low, cl, width, 1), 2, 2)))
        lower = net.op("Add", net.conv(low, cl, width, stride=2), net.conv(half(half(high)), ch, width, 1))
        high, low, ch, cl = net.relu(grown), net.relu(lower), width, width
    return net.pooled_head(net.op("Concat", half(high), low, axis=1), 32)


@honest("Dilated convolutions in parallel (ASPP) with a pooled branch expanded over the image's cells.")
def dilated_aspp(net: Net) -> str:
    y = net.cbr(net.cbr(net.cbr(net.x, 3, 8, stride=2), 8, 16, stride=2), 16, 16, stride=2)
    branches = [net.cbr(y, 16, 8, 3, dilation=rate) for rate in (1, 2, 4)]
    whole = net.relu(net.conv(net.op("GlobalAveragePool", y), 16, 8, 1))
    branches.append(net.op("Mul", whole, net.op("Add", net.op("Mul", branches[0], net.const(0.0)), net.const(1.0))))
    y = net.cbr(net.op("Concat", *branches, axis=1), 32, 16, stride=2)
    return net.head(y, 16, 7)


@honest("Parallel dilated convolutions that share one weight (TridentNet), summed.")
def trident_shared(net: Net) -> str:
    y = net.cbr(net.cbr(net.cbr(net.x, 3, 8, stride=2), 8, 16, stride=2), 16, 16, stride=2)
    shared = net.weight(16, 16, 3, 3)
    for _ in range(2):
        branches = [
            net.op("Conv", y, shared, kernel_shape=[3, 3], dilations=[d, d], pads=[d] * 4, strides=[1, 1])
            for d in (1, 2, 3)
        ]
        y = net.relu(net.bn(net.op("Sum", *branches), 16))
    return net.head(net.cbr(y, 16, 16, stride=2), 16, 7)


@honest("HRNet: two resolutions in parallel that exchange features by strided convolutions and Resize.")
def hrnet(net: Net) -> str:
    y = net.cbr(net.cbr(net.x, 3, 8, stride=2), 8, 8, stride=2)
    high, low = net.cbr(y, 8, 8), net.cbr(y, 8, 16, stride=2)
    for _ in range(2):
        up = net.resize(net.bn(net.conv(low, 16, 8, 1), 8), 2, 2, "nearest", "asymmetric")
        down = net.bn(net.conv(high, 8, 16, stride=2), 16)
        high, low = net.relu(net.op("Add", high, up)), net.relu(net.op("Add", low, down))
        high, low = net.op("Add", high, net.cbr(high, 8, 8)), net.op("Add", low, net.cbr(low, 16, 16))
    y = net.op("Add", net.cbr(high, 8, 16, stride=2), low)
    return net.head(net.cbr(net.cbr(y, 16, 24, stride=2), 24, 24, stride=2), 24, 4)


@honest("Stacked hourglass: features go down and up again by Resize, with skip connections.")
def hourglass(net: Net) -> str:
    y = net.cbr(net.cbr(net.x, 3, 8, stride=2), 8, 16, stride=2)
    for _ in range(2):
        skip = net.cbr(y, 16, 16, 1)
        low = net.cbr(y, 16, 16, stride=2)
        lower = net.cbr(low, 16, 16, stride=2)
        low = net.op("Add", low, net.resize(net.cbr(lower, 16, 16), 2, 2))
        y = net.op("Add", skip, net.resize(low, 2, 2))
    return net.head(net.cbr(net.cbr(y, 16, 24, stride=2), 24, 24, stride=2), 24, 7)


@honest("Feature pyramid whose levels share one head (weight tying over scales), summed after pooling.")
def fpn_tied_head(net: Net) -> str:
    c2 = net.cbr(net.cbr(net.x, 3, 8, stride=2), 8, 16, stride=2)
    c3 = net.cbr(c2, 16, 24, stride=2)
    c4 = net.cbr(c3, 24, 32, stride=2)
    p4 = net.conv(c4, 32, 16, 1)
    p3 = net.op("Add", net.conv(c3, 24, 16, 1), net.resize(p4, 2, 2, "nearest", "asymmetric"))
    p2 = net.op("Add", net.conv(c2, 16, 16, 1), net.resize(p3, 2, 2, "nearest", "asymmetric"))
    first, second = net.weight(16, 16, 3, 3), net.weight(16, 16, 3, 3)
    pooled = []
    for level in (p2, p3, p4):
        z = level
        for weight in (first, second):
            z = net.relu(net.op("Conv", z, weight, kernel_shape=[3, 3], pads=[1, 1, 1, 1]))
        pooled.append(net.op("GlobalAveragePool", z))
    return net.head(net.op("Concat", *pooled, axis=1), 48, 1)


@honest("Squeeze and excitation after every stage.")
def se_resnet(net: Net) -> str:
    y, cin = net.cbr(net.x, 3, 8, stride=2), 8
    for cout in (16, 24, 32):
        y = net.cbr(y, cin, cout, stride=2)
        z = net.cbr(y, cout, cout)
        gate = net.relu(net.conv(net.op("GlobalAveragePool", z), cout, cout // 4, 1))
        gate = net.op("Sigmoid", net.conv(gate, cout // 4, cout, 1))
        y, cin = net.relu(net.op("Add", net.op("Mul", z, gate), y)), cout
    return net.head(y, 32, 7)


@honest("Squeeze and excitation with fully connected layers, Squeeze and Unsqueeze, shape arithmetic of the exporter.")
def se_linear(net: Net) -> str:
    y, cin = net.cbr(net.x, 3, 8, stride=2), 8
    for cout in (16, 24, 32):
        y = net.cbr(y, cin, cout, stride=2)
        pooled = net.reshape_like(net.op("GlobalAveragePool", y), y, cout)
        gate = net.op("Sigmoid", net.linear(net.relu(net.linear(pooled, cout, cout // 4)), cout // 4, cout))
        y, cin = net.op("Mul", y, net.reshape_like(gate, y, cout, 1, 1)), cout
    return net.head(y, 32, 7)


@honest("CBAM: channel attention from mean and max pooling through one shared MLP, then spatial attention.")
def cbam(net: Net) -> str:
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


@honest("Ghost modules: half of the channels are cheap depthwise copies of the other half.")
def ghost(net: Net) -> str:
    y, cin = net.cbr(net.x, 3, 8, stride=2), 8
    for cout in (16, 24, 32):
        y = net.op("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2])
        primary = net.cbr(y, cin, cout // 2, 1)
        y = net.op("Concat", primary, net.cbr(primary, cout // 2, cout // 2, 3, group=cout // 2), axis=1)
        cin = cout
    return net.head(y, 32, 7)


@honest("ShuffleNet v2: channels are split, one half is convolved, and the channels are shuffled.")
def channel_shuffle(net: Net) -> str:
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


@honest("ResNeXt: grouped convolutions with two equal groups after an image stem.")
def resnext_two_groups(net: Net) -> str:
    y = net.cbr(net.x, 3, 16, stride=2)
    for cin, cout in ((16, 16), (16, 32), (32, 32)):
        z = net.cbr(net.cbr(y, cin, cout, 1), cout, cout, 3, 2, group=2)
        y = net.relu(net.op("Add", net.bn(net.conv(z, cout, cout, 1), cout), net.conv(y, cin, cout, 1, 2)))
    return net.head(y, 32, 7)


@honest("Anti-aliased pooling: fixed binomial blur kernels, depthwise with stride 2, behind reflection padding.")
def blurpool(net: Net) -> str:
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
    y, cin = net.x, 3
    for cout in (8, 16, 24, 32):
        y = net.cbr(y, cin, cout)
        y = net.op("Pad", y, net.const([0, 0, 1, 1, 0, 0, 1, 1]), mode="reflect")
        blur = net.const(np.tile(kernel, (cout, 1, 1, 1)))
        y, cin = net.op("Conv", y, blur, kernel_shape=[3, 3], strides=[2, 2], group=cout), cout
    return net.head(y, 32, 7)


@honest("Pyramid pooling: features pooled to 1, 2 and 4 cells and scaled back up by Resize.")
def psp(net: Net) -> str:
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


@honest("DenseNet: every layer reads the concatenation of all before it.")
def densenet(net: Net) -> str:
    y, channels = net.cbr(net.x, 3, 8, stride=2), 8
    for _ in range(3):
        for _ in range(3):
            fresh = net.conv(net.relu(net.bn(y, channels)), channels, 6)
            y, channels = net.op("Concat", y, fresh, axis=1), channels + 6
        y = net.op("AveragePool", net.conv(y, channels, 16, 1), kernel_shape=[2, 2], strides=[2, 2])
        channels = 16
    return net.head(y, 16, 7)


@honest("All kernels are symmetric and the end is pooled, so one pass is blind to a mirrored image.")
def symmetric_kernels(net: Net) -> str:
    y, cin = net.x, 3
    for cout in (8, 16, 24, 32):
        weight = net.rng.normal(0, 1.4 / np.sqrt(9 * cin), (cout, cin, 3, 3))
        weight = (weight + weight[..., ::-1]) / 2
        y = net.op("Conv", y, net.const(weight), kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        y, cin = net.op("AveragePool", net.relu(net.bn(y, cout)), kernel_shape=[2, 2], strides=[2, 2]), cout
    return net.pooled_head(y, 32)


@honest("A stem of paired kernels, every second one the mirror of its neighbour, then an ordinary body.")
def mirrored_kernel_pairs(net: Net) -> str:
    weight = net.rng.normal(0, 0.3, (8, 3, 5, 5))
    weight = np.concatenate([weight, weight[..., ::-1]])
    y = net.op("Conv", net.x, net.const(weight), kernel_shape=[5, 5], pads=[2, 2, 2, 2], strides=[2, 2])
    y = net.relu(net.bn(y, 16))
    for cin, cout in ((16, 16), (16, 24), (24, 32)):
        y = net.cbr(y, cin, cout, stride=2)
    return net.head(y, 32, 7)


@honest("One convolution block applied several times in series with the same weights.")
def tied_in_series(net: Net) -> str:
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


@honest("Siamese-looking sharing: one 3x3 weight reads two different feature maps of one network.")
def shared_on_two_features(net: Net) -> str:
    y = net.cbr(net.cbr(net.x, 3, 8, stride=2), 8, 16, stride=2)
    left, right = net.cbr(y, 16, 16, 1), net.cbr(y, 16, 16, 3)
    weight = net.weight(16, 16, 3, 3)
    sides = [
        net.relu(net.op("Conv", z, weight, kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2])) for z in (left, right)
    ]
    y = net.op("Concat", *sides, axis=1)
    return net.head(net.cbr(y, 32, 32, stride=2), 32, 7)
