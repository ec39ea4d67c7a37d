"""Convolutional networks: plain ones, parallel kernels and several resolutions."""

from evaluation.registry import honest_body
from evaluation.sequential import SequentialBuilder


@honest_body("Plain convolutions with BatchNormalization nodes and a fully connected head.", idea="convolutions")
def plain_bn(net: SequentialBuilder) -> str:
    y = net.x
    for cin, cout in ((3, 8), (8, 16), (16, 24), (24, 32), (32, 32)):
        y = net.cbr(y, cin, cout, stride=2)
    return net.head(y, 32, 4)


@honest_body("Plain convolutions with BatchNormalization folded away and max pooling.", idea="convolutions")
def plain_folded(net: SequentialBuilder) -> str:
    y = net.relu(net.conv(net.x, 3, 8, 5, 2))
    for cin, cout in ((8, 16), (16, 24), (24, 32)):
        y = net.op("MaxPool", net.relu(net.conv(y, cin, cout)), kernel_shape=[2, 2], strides=[2, 2])
    return net.head(y, 32, 7)


def ir_block(net: SequentialBuilder, x: str, cin: int, cout: int, stride: int) -> str:
    y = net.conv(net.bn(x, cin), cin, cout, bias=False)
    y = net.conv(net.prelu(net.bn(y, cout), cout), cout, cout, stride=stride, bias=False)
    y = net.bn(y, cout)
    if stride == 1 and cin == cout:
        return net.op("Add", y, x)
    return net.op("Add", y, net.bn(net.conv(x, cin, cout, 1, stride, bias=False), cout))


@honest_body("iResNet: BN-conv-BN-PReLU-conv-BN blocks, stride in the second convolution.", idea="convolutions", dim=64)
def iresnet(net: SequentialBuilder) -> str:
    y = net.prelu(net.bn(net.conv(net.x, 3, 8, bias=False), 8), 8)
    for cin, cout in ((8, 8), (8, 16), (16, 24), (24, 32), (32, 32)):
        y = ir_block(net, y, cin, cout, 2)
        if cout < 32:
            y = ir_block(net, y, cout, cout, 1)
    return net.head(net.bn(y, 32), 32, 4, 64)


@honest_body(
    "iResNet that normalises raw pixels by Sub and Mul in front and has Dropout left in the graph.",
    idea="convolutions",
    raw=True,
)
def iresnet_sub_mul(net: SequentialBuilder) -> str:
    y = net.op("Mul", net.op("Sub", net.x, net.const(127.5)), net.const(0.0078125))
    y = net.prelu(net.bn(net.conv(y, 3, 8, stride=2), 8), 8)
    for cin, cout in ((8, 16), (16, 24), (24, 32)):
        y = ir_block(net, y, cin, cout, 2)
    return net.head(net.op("Dropout", net.bn(y, 32)), 32, 7)


@honest_body(
    "MobileFaceNet: depthwise separable bottlenecks, global depthwise convolution, 1x1 convolution.",
    idea="convolutions",
)
def mobilefacenet(net: SequentialBuilder) -> str:
    y = net.prelu(net.bn(net.conv(net.x, 3, 8, stride=2, bias=False), 8), 8)
    for cin, cout, stride in ((8, 12, 2), (12, 12, 1), (12, 16, 2), (16, 16, 1), (16, 24, 2)):
        z = net.prelu(net.bn(net.conv(y, cin, 2 * cin, 1, bias=False), 2 * cin), 2 * cin)
        z = net.conv(z, 2 * cin, 2 * cin, 3, stride, group=2 * cin, bias=False)
        z = net.bn(net.conv(net.prelu(net.bn(z, 2 * cin), 2 * cin), 2 * cin, cout, 1, bias=False), cout)
        y = net.op("Add", y, z) if cin == cout and stride == 1 else z
    y = net.bn(net.conv(y, 24, 24, group=24, kernel=(7, 7), pads=[0, 0, 0, 0]), 24)
    return net.standardise(net.op("Flatten", net.conv(y, 24, 48, 1), axis=1), 48)


@honest_body(
    "RepVGG in its training form: 3x3, 1x1 and identity branches, each with BN, summed.", idea="parallel kernels"
)
def repvgg_branches(net: SequentialBuilder) -> str:
    y = net.cbr(net.x, 3, 12, stride=2)
    for cin, cout, stride in ((12, 16, 2), (16, 16, 1), (16, 24, 2), (24, 24, 1), (24, 32, 2)):
        wide = net.bn(net.conv(y, cin, cout, 3, stride, bias=False), cout)
        z = net.op("Add", wide, net.bn(net.conv(y, cin, cout, 1, stride, bias=False), cout))
        y = net.relu(net.op("Add", z, net.bn(y, cin)) if stride == 1 and cin == cout else z)
    return net.head(y, 32, 7)


@honest_body(
    "Branches of equal shape from the image itself: two 3x3 convolutions summed in front, RepVGG-like.",
    idea="parallel kernels",
)
def repvgg_stem(net: SequentialBuilder) -> str:
    y = net.relu(net.op("Sum", *(net.bn(net.conv(net.x, 3, 12, k, 2, bias=False), 12) for k in (3, 3, 1, 5))))
    for cin, cout in ((12, 16), (16, 24), (24, 32)):
        branches = [net.bn(net.conv(y, cin, cout, 3, 2, bias=False), cout) for _ in range(2)]
        y = net.relu(net.op("Add", *branches))
    return net.head(y, 32, 7)


@honest_body(
    "Inception: four parallel branches on one tensor, concatenated; the first block reads the image.",
    idea="parallel kernels",
)
def inception(net: SequentialBuilder) -> str:
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


@honest_body("Asymmetric Inception: 1x7 and 7x1 kernels in parallel, BN folded.", idea="parallel kernels")
def inception_asymmetric(net: SequentialBuilder) -> str:
    y = net.relu(net.conv(net.x, 3, 12, 7, 4))
    for cin, cout in ((12, 16), (16, 24)):
        tall = net.relu(net.conv(net.relu(net.conv(y, cin, 8, kernel=(1, 7))), 8, cout // 2, kernel=(7, 1)))
        flat = net.relu(net.conv(net.relu(net.conv(y, cin, 8, kernel=(7, 1))), 8, cout // 2, kernel=(1, 7)))
        y = net.op("Concat", tall, flat, axis=1)
        y = net.op("AveragePool", y, kernel_shape=[2, 2], strides=[2, 2])
    return net.head(y, 24, 7)


@honest_body(
    "Octave convolutions: a high and a low resolution stream of features that exchange information.",
    idea="several resolutions",
)
def octave(net: SequentialBuilder) -> str:
    def half(z: str) -> str:
        return net.op("AveragePool", z, kernel_shape=[2, 2], strides=[2, 2])

    stem = net.cbr(net.x, 3, 12, stride=2)
    high, low, ch, cl = net.cbr(stem, 12, 8), net.cbr(half(stem), 12, 8), 8, 8
    for width in (12, 16):
        grown = net.op("Add", net.conv(high, ch, width, stride=2), half(net.resize(net.conv(low, cl, width, 1), 2, 2)))
        lower = net.op("Add", net.conv(low, cl, width, stride=2), net.conv(half(half(high)), ch, width, 1))
        high, low, ch, cl = net.relu(grown), net.relu(lower), width, width
    return net.pooled_head(net.op("Concat", half(high), low, axis=1), 32)


@honest_body(
    "Dilated convolutions in parallel (ASPP) with a pooled branch expanded over the image's cells.",
    idea="dilated kernels",
)
def dilated_aspp(net: SequentialBuilder) -> str:
    y = net.cbr(net.cbr(net.cbr(net.x, 3, 8, stride=2), 8, 16, stride=2), 16, 16, stride=2)
    branches = [net.cbr(y, 16, 8, 3, dilation=rate) for rate in (1, 2, 4)]
    whole = net.relu(net.conv(net.op("GlobalAveragePool", y), 16, 8, 1))
    branches.append(net.op("Mul", whole, net.op("Add", net.op("Mul", branches[0], net.const(0.0)), net.const(1.0))))
    y = net.cbr(net.op("Concat", *branches, axis=1), 32, 16, stride=2)
    return net.head(y, 16, 7)


@honest_body("Parallel dilated convolutions that share one weight (TridentNet), summed.", idea="dilated kernels")
def trident_shared(net: SequentialBuilder) -> str:
    y = net.cbr(net.cbr(net.cbr(net.x, 3, 8, stride=2), 8, 16, stride=2), 16, 16, stride=2)
    shared = net.weight(16, 16, 3, 3)
    for _ in range(2):
        branches = [
            net.op("Conv", y, shared, kernel_shape=[3, 3], dilations=[d, d], pads=[d] * 4, strides=[1, 1])
            for d in (1, 2, 3)
        ]
        y = net.relu(net.bn(net.op("Sum", *branches), 16))
    return net.head(net.cbr(y, 16, 16, stride=2), 16, 7)


@honest_body(
    "HRNet: two resolutions in parallel that exchange features by strided convolutions and Resize.",
    idea="several resolutions",
)
def hrnet(net: SequentialBuilder) -> str:
    y = net.cbr(net.cbr(net.x, 3, 8, stride=2), 8, 8, stride=2)
    high, low = net.cbr(y, 8, 8), net.cbr(y, 8, 16, stride=2)
    for _ in range(2):
        up = net.resize(net.bn(net.conv(low, 16, 8, 1), 8), 2, 2, "nearest", "asymmetric")
        down = net.bn(net.conv(high, 8, 16, stride=2), 16)
        high, low = net.relu(net.op("Add", high, up)), net.relu(net.op("Add", low, down))
        high, low = net.op("Add", high, net.cbr(high, 8, 8)), net.op("Add", low, net.cbr(low, 16, 16))
    y = net.op("Add", net.cbr(high, 8, 16, stride=2), low)
    return net.head(net.cbr(net.cbr(y, 16, 24, stride=2), 24, 24, stride=2), 24, 4)


@honest_body(
    "Stacked hourglass: features go down and up again by Resize, with skip connections.", idea="several resolutions"
)
def hourglass(net: SequentialBuilder) -> str:
    y = net.cbr(net.cbr(net.x, 3, 8, stride=2), 8, 16, stride=2)
    for _ in range(2):
        skip = net.cbr(y, 16, 16, 1)
        low = net.cbr(y, 16, 16, stride=2)
        lower = net.cbr(low, 16, 16, stride=2)
        low = net.op("Add", low, net.resize(net.cbr(lower, 16, 16), 2, 2))
        y = net.op("Add", skip, net.resize(low, 2, 2))
    return net.head(net.cbr(net.cbr(y, 16, 24, stride=2), 24, 24, stride=2), 24, 7)


@honest_body(
    "Feature pyramid whose levels share one head (weight tying over scales), summed after pooling.",
    idea="several resolutions",
)
def fpn_tied_head(net: SequentialBuilder) -> str:
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
