"""Honest networks that do something to the pixels first, or read them in unusual order."""

import numpy as np

from evaluation.registry import honest_body
from evaluation.sequential import SequentialBuilder


def tail(net: SequentialBuilder, y: str, cin: int, side: int, bn: bool = True) -> str:
    """Bring features of any side down to 7 or less with strided convolutions, and add the head."""
    while side > 7:
        cout = min(cin + 8, 32)
        y = net.cbr(y, cin, cout, stride=2) if bn else net.relu(net.conv(y, cin, cout, stride=2))
        cin, side = cout, (side + 1) // 2
    return net.head(y, cin, side)


@honest_body(
    "Pixels normalised by Div, Sub and Div with a mean and deviation per channel.", idea="pixel normalisation", raw=True
)
def normalise_imagenet(net: SequentialBuilder) -> str:
    y = net.op("Div", net.x, net.const(255.0))
    y = net.op("Sub", y, net.const(np.array([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1)))
    y = net.op("Div", y, net.const(np.array([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1)))
    return tail(net, net.cbr(y, 3, 8, stride=2), 8, 56)


@honest_body("Pixels normalised by a BatchNormalization in front.", idea="pixel normalisation", raw=True)
def normalise_bn(net: SequentialBuilder) -> str:
    values = (np.ones(3), np.zeros(3), np.full(3, 127.5), np.full(3, 5000.0))
    y = net.op("BatchNormalization", net.x, *(net.const(value) for value in values))
    return tail(net, net.relu(net.conv(y, 3, 12, 5, 4)), 12, 28, bn=False)


@honest_body("Pixels normalised and colours swapped by one 1x1 convolution.", idea="pixel normalisation", raw=True)
def normalise_conv_swap(net: SequentialBuilder) -> str:
    weight = np.eye(3)[::-1].reshape(3, 3, 1, 1) / 127.5
    y = net.op("Conv", net.x, net.const(weight), net.const(np.full(3, -1.0)), kernel_shape=[1, 1])
    return tail(net, net.cbr(y, 3, 8, stride=2), 8, 56)


@honest_body("Each image normalised by its own mean and standard deviation.", idea="pixel normalisation", raw=True)
def normalise_per_image(net: SequentialBuilder) -> str:
    centred = net.op("Sub", net.x, net.reduce("Mean", net.x, 1, 2, 3))
    deviation = net.op("Sqrt", net.reduce("Mean", net.op("Mul", centred, centred), 1, 2, 3))
    y = net.op("Div", centred, net.op("Max", deviation, net.const(1.0)))
    return tail(net, net.cbr(y, 3, 8, stride=2), 8, 56)


@honest_body("RGB to BGR by Gather with constant indices on the channel axis.", idea="layout")
def swap_gather(net: SequentialBuilder) -> str:
    y = net.op("Gather", net.x, net.const([2, 1, 0]), axis=1)
    return tail(net, net.cbr(y, 3, 8, stride=2), 8, 56)


@honest_body("RGB to BGR by a Slice with a negative step on the channel axis.", idea="layout")
def swap_slice(net: SequentialBuilder) -> str:
    y = net.slice(net.x, [-1], [-(2**31)], [1], [-1])
    return tail(net, net.relu(net.conv(y, 3, 8, stride=2)), 8, 56, bn=False)


@honest_body("RGB to BGR by Split and Concat, then clipping and pixel normalisation.", idea="layout", raw=True)
def swap_split(net: SequentialBuilder) -> str:
    red, green, blue = net.split(net.x, (1, 1, 1), 1)
    y = net.op("Clip", net.op("Concat", blue, green, red, axis=1), net.const(0.0), net.const(255.0))
    y = net.op("Sub", net.op("Mul", y, net.const(2 / 255)), net.const(1.0))
    return tail(net, net.cbr(y, 3, 8, stride=2), 8, 56)


@honest_body(
    "The image is put into channels-last order and back by Transpose, as converted Keras networks do.", idea="layout"
)
def channels_last(net: SequentialBuilder) -> str:
    y = net.op("Transpose", net.x, perm=[0, 2, 3, 1])
    y = net.op("Mul", y, net.const(np.array([1.1, 1.0, 0.9])))
    y = net.op("Transpose", y, perm=[0, 3, 1, 2])
    y = net.op("Pad", y, net.const([0, 0, 0, 0, 0, 0, 1, 1]))
    return tail(net, net.cbr(y, 3, 8, stride=2, pads=[0, 0, 0, 0]), 8, 56)


@honest_body("Grey and gradient channels computed from the image and concatenated to it.", idea="added channels")
def extra_channels(net: SequentialBuilder) -> str:
    grey = net.op("Conv", net.x, net.const(np.array([0.3, 0.6, 0.1]).reshape(1, 3, 1, 1)), kernel_shape=[1, 1])
    sobel = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]]) / 8
    edges = net.op("Conv", grey, net.const(np.stack([sobel, sobel.T])[:, None]), kernel_shape=[3, 3], pads=[1] * 4)
    return tail(net, net.cbr(net.op("Concat", net.x, grey, edges, axis=1), 6, 12, stride=2), 12, 56)


@honest_body("Focus stem: four strided slices of the image concatenated on channels.", idea="space to depth")
def focus_stem(net: SequentialBuilder) -> str:
    parts = [net.slice(net.x, [row, column], [112, 112], [2, 3], [2, 2]) for column in (0, 1) for row in (0, 1)]
    return tail(net, net.cbr(net.op("Concat", *parts, axis=1), 12, 12), 12, 56)


@honest_body("Focus stem with step slices in two stages, the way YOLOv5 is exported.", idea="space to depth")
def focus_two_slices(net: SequentialBuilder) -> str:
    parts = []
    for column in (0, 1):
        for row in (0, 1):
            rows = net.slice(net.x, [row], [2**31 - 1], [2], [2])
            parts.append(net.slice(rows, [column], [2**31 - 1], [3], [2]))
    return tail(net, net.relu(net.conv(net.op("Concat", *parts, axis=1), 12, 12)), 12, 56, bn=False)


@honest_body("SpaceToDepth stem.", idea="space to depth")
def space_to_depth_stem(net: SequentialBuilder) -> str:
    return tail(net, net.cbr(net.op("SpaceToDepth", net.x, blocksize=4), 48, 16), 16, 28)


@honest_body(
    "Pixel-unshuffle stem by Reshape and Transpose, and a DepthToSpace on features later.", idea="space to depth"
)
def pixel_unshuffle_stem(net: SequentialBuilder) -> str:
    y = net.op("Transpose", net.reshape(net.x, -1, 3, 28, 4, 28, 4), perm=[0, 1, 3, 5, 2, 4])
    y = net.cbr(net.reshape(y, -1, 48, 28, 28), 48, 32)
    y = net.op("DepthToSpace", y, blocksize=2, mode="CRD")
    return tail(net, net.cbr(y, 8, 12, stride=2), 12, 28)


@honest_body(
    "The four quarters of the image become channels (a space-to-depth with large blocks).", idea="space to depth"
)
def quarters_to_channels(net: SequentialBuilder) -> str:
    quarters = [net.slice(net.x, [r, c], [r + 56, c + 56], [2, 3]) for r in (0, 56) for c in (0, 56)]
    y = net.cbr(net.op("Concat", *quarters, axis=1), 12, 16, stride=2)
    return tail(net, y, 16, 28)


@honest_body(
    "CoordConv: constant row and column coordinate channels expanded over the batch.", idea="added channels", opset=13
)
def coordinate_channels(net: SequentialBuilder) -> str:
    lines = np.linspace(-1, 1, 112)
    grid = np.stack(np.meshgrid(lines, lines, indexing="ij"))[None]
    shape = net.op("Concat", net.unsqueeze(net.dim(net.x, 0), 0), net.const([2, 112, 112]), axis=0)
    y = net.op("Concat", net.x, net.op("Expand", net.const(grid), shape), axis=1)
    return tail(net, net.cbr(y, 5, 8, stride=2), 8, 56)


@honest_body(
    "CoordConv whose coordinates are computed with Range, with a third, mirrored coordinate.",
    idea="added channels",
    opset=13,
)
def coordinate_channels_range(net: SequentialBuilder) -> str:
    y = net.cbr(net.x, 3, 8, stride=2)
    steps = net.op("Range", net.const(0), net.dim(y, 3), net.const(1))
    ramp = net.op("Div", net.op("Cast", steps, to=1), net.const(55.0))
    plane = net.op("Mul", net.reduce("Mean", y, 1), net.const(0.0))
    columns = net.op("Add", plane, ramp)
    back = net.op("Sub", net.const(1.0), columns)
    rows = net.op("Add", plane, net.unsqueeze(ramp, 1))
    return tail(net, net.cbr(net.op("Concat", y, columns, back, rows, axis=1), 11, 16, stride=2), 16, 28)


@honest_body("A colour curve per pixel in front: gamma, tanh contrast.", idea="added channels", raw=True)
def tone_curve(net: SequentialBuilder) -> str:
    y = net.op("Pow", net.op("Add", net.op("Div", net.x, net.const(255.0)), net.const(0.01)), net.const(0.6))
    y = net.op("Tanh", net.op("Mul", net.op("Sub", y, net.const(0.6)), net.const(3.0)))
    return tail(net, net.cbr(y, 3, 8, stride=2), 8, 56)


@honest_body("Reflection padding before a valid convolution, edge padding before the next.", idea="convolutions")
def padding_modes(net: SequentialBuilder) -> str:
    y = net.op("Pad", net.x, net.const([0, 0, 3, 3, 0, 0, 3, 3]), mode="reflect")
    y = net.relu(net.conv(y, 3, 8, 7, 2, pads=[0, 0, 0, 0]))
    y = net.op("Pad", y, net.const([0, 0, 1, 1, 0, 0, 1, 1]), mode="edge")
    y = net.relu(net.conv(y, 8, 12, 3, 2, pads=[0, 0, 0, 0]))
    return tail(net, y, 12, 28, bn=False)


@honest_body("TensorFlow-style padding: auto_pad SAME_UPPER and an explicit asymmetric Pad.", idea="convolutions")
def tf_same_padding(net: SequentialBuilder) -> str:
    y = net.x
    for cin, cout in ((3, 8), (8, 16)):
        y = net.relu(net.op("Conv", y, net.weight(cout, cin, 3, 3), auto_pad="SAME_UPPER", strides=[2, 2]))
    y = net.op("Pad", y, net.const([0, 0, 0, 0, 0, 0, 1, 1]))
    return tail(net, net.cbr(y, 16, 24, stride=2, pads=[0, 0, 0, 0]), 24, 14)


@honest_body("A fixed smoothing (a depthwise Gaussian) of the pixels before the first layer.", idea="smoothing")
def smoothing_front(net: SequentialBuilder) -> str:
    line = np.array([1, 4, 6, 4, 1]) / 16
    kernel = np.tile(np.outer(line, line), (3, 1, 1, 1))
    y = net.op("Conv", net.x, net.const(kernel), kernel_shape=[5, 5], pads=[2] * 4, group=3)
    return tail(net, net.cbr(y, 3, 8, stride=2), 8, 56)
