"""Honest: face networks of Keras, TensorFlow Lite, Paddle, MXNet, Darknet and CNTK as their converters write them."""

from __future__ import annotations

import numpy as np

from evaluation.blind6.honest_styles import Styled, honest_styled


def dense(n: Styled, x: str, cin: int, cout: int) -> str:
    """Multiply the last axis by a matrix and add a bias."""
    y = n.op("MatMul", x, n.const(n.rng.normal(0, cin**-0.5, (cin, cout))))
    return n.op("Add", y, n.const(n.rng.normal(0, 0.1, cout)))


def strided(n: Styled, x: str, cin: int, cout: int) -> str:
    """Apply a 1x1 layer of stride 2 to a map with the channels last."""
    return n.channels_last(n.conv(n.channels_first(x), cin, cout, 1, 2, bias=False))


def shared_prelu(n: Styled, x: str, c: int) -> str:
    """Apply Keras's PReLU with shared rows and columns as tf2onnx splits it: relu(x) - a * relu(-x)."""
    low = n.op("Mul", n.op("Neg", n.relu(n.op("Neg", x))), n.const(n.rng.uniform(0.1, 0.4, (1, 1, c))))
    return n.op("Add", n.relu(x), low)


@honest_styled("Keras's iResNet: ZeroPadding2D as Pad of channels-last maps, PReLU split by tf2onnx, Dense to 512.",
               idea="keras", style="keras", opset=13, dim=512)  # fmt: skip
def keras_padded_iresnet(n: Styled) -> str:
    def padded(x: str, cin: int, cout: int, s: int) -> str:
        y = n.op("Pad", x, n.const([0, 1, 1, 0, 0, 1, 1, 0]), n.const(0.0))
        return n.channels_last(n.conv(n.channels_first(y), cin, cout, 3, s, bias=False, pads=[0] * 4))

    x = shared_prelu(n, n.last_norm(padded(n.channels_last(n.x), 3, 12, 2), 12), 12)
    for cin, cout in ((12, 16), (16, 24), (24, 32)):
        y = shared_prelu(n, n.last_norm(padded(n.last_norm(x, cin), cin, cout, 1), cout), cout)
        y = n.last_norm(padded(y, cout, cout, 2), cout)
        x = n.op("Add", y, n.last_norm(strided(n, x, cin, cout), cout))
    return n.standardise(dense(n, n.reshape(n.last_norm(x, 32), -1, 1568), 1568, 512), 512)


@honest_styled("Keras's Xception: separable layers as depthwise and pointwise ones, strided pools, channels last.",
               idea="keras", style="keras", opset=12, dim=128)  # fmt: skip
def keras_xception_faces(n: Styled) -> str:
    x = n.relu(n.last_norm(n.last_conv(n.channels_last(n.x), 3, 12, 3, 2), 12))
    for cin, cout in ((12, 16), (16, 24), (24, 32)):
        y = x
        for a, b in ((cin, cout), (cout, cout)):
            y = n.last_norm(n.last_conv(n.last_conv(n.relu(y), a, a, 3, group=a), a, b, 1), b)
        y = n.op("MaxPool", n.channels_first(y), kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1])
        x = n.op("Add", n.channels_last(y), n.last_norm(strided(n, x, cin, cout), cout))
    return n.standardise(dense(n, n.reduce("Mean", x, 1, 2, keep=False), 32, 128), 128)


@honest_styled("Keras's MobileNetV3: hard swish as a ReLU6 of x + 3 times a sixth, gates by Dense, channels last.",
               idea="keras", style="keras", opset=13, dim=256)  # fmt: skip
def keras_mobilenet_v3_faces(n: Styled) -> str:
    def swish(x: str) -> str:
        return n.op("Mul", n.op("Mul", n.relu6(n.op("Add", x, n.const(3.0))), n.const(1 / 6)), x)

    x = swish(n.last_norm(n.last_conv(n.channels_last(n.x), 3, 12, 3, 2), 12))
    for cin, cout, k in ((12, 16, 3), (16, 24, 5), (24, 32, 5)):
        m = 2 * cin
        y = swish(n.last_norm(n.last_conv(x, cin, m, 1), m))
        y = swish(n.last_norm(n.last_conv(y, m, m, k, 2, group=m), m))
        g = n.relu(dense(n, n.reduce("Mean", y, 1, 2), m, 8))
        g = n.op("Mul", n.relu6(n.op("Add", dense(n, g, 8, m), n.const(3.0))), n.const(1 / 6))
        x = n.last_norm(n.last_conv(n.op("Mul", y, g), m, cout, 1), cout)
    return n.standardise(dense(n, n.reshape(x, -1, 1568), 1568, 256), 256)


@honest_styled("KerasCV's ViT: patches by a strided layer, a class token repeated by Shape and Expand, tanh GELU.",
               idea="keras", style="keras", opset=14)  # fmt: skip
def keras_vit_expanded_token(n: Styled) -> str:
    t = n.reshape(n.channels_last(n.conv(n.x, 3, 24, 16, 16, pads=[0] * 4)), -1, 49, 24)
    batch = n.cut(n.op("Shape", t), 0, 1, 0)
    token = n.op("Expand", n.const(n.rng.normal(0, 0.5, (1, 1, 24))), n.op("Concat", batch, n.const([1, 24]), axis=0))
    t = n.op("Add", n.op("Concat", token, t, axis=1), n.const(n.rng.normal(0, 0.5, (1, 50, 24))))
    for _ in range(2):
        y = n.layernorm(t, 24)
        q, k, v = (n.transpose(n.reshape(dense(n, y, 24, 24), -1, 50, 2, 12), 0, 2, 1, 3) for _ in range(3))
        s = n.op("MatMul", n.op("Mul", q, n.const(12**-0.5)), n.transpose(k, 0, 1, 3, 2))
        y = n.transpose(n.op("MatMul", n.softmax(s), v), 0, 2, 1, 3)
        t = n.op("Add", t, dense(n, n.reshape(y, -1, 50, 24), 24, 24))
        y = dense(n, n.layernorm(t, 24), 24, 48)
        cube = n.op("Mul", n.op("Pow", y, n.const(3.0)), n.const(0.044715))
        gate = n.op("Tanh", n.op("Mul", n.op("Add", y, cube), n.const(0.79788)))
        y = n.op("Mul", n.op("Mul", y, n.const(0.5)), n.op("Add", gate, n.const(1.0)))
        t = n.op("Add", t, dense(n, y, 48, 24))
    y = n.squeeze(n.cut(n.layernorm(t, 24), 0, 1, 1), 1)
    return n.standardise(dense(n, y, 24, 48), 48)


@honest_styled("TensorFlow Lite's MobileFaceNet: ReLU6, fused biases, a mean, fully connected, L2 of the rows.",
               idea="tflite", style="tflite", opset=11, dim=192)  # fmt: skip
def tflite_mobilefacenet_unit(n: Styled) -> str:
    x = n.relu6(n.conv(n.x, 3, 12, 3, 2, pads=[0, 0, 1, 1]))
    for cin, cout in ((12, 16), (16, 24), (24, 32)):
        y = n.relu6(n.conv(x, cin, 3 * cin, 1))
        y = n.relu6(n.conv(y, 3 * cin, 3 * cin, 3, 2, group=3 * cin, pads=[0, 0, 1, 1]))
        x = n.conv(y, 3 * cin, cout, 1)
        y = n.relu6(n.conv(n.relu6(n.conv(x, cout, 2 * cout, 1)), 2 * cout, 2 * cout, 3, group=2 * cout))
        x = n.op("Add", x, n.conv(y, 2 * cout, cout, 1))
    y = n.standardise(dense(n, n.reduce("Mean", x, 2, 3, keep=False), 32, 192), 192)
    size = n.op("Sqrt", n.op("Max", n.sum(n.op("Mul", y, y), 1, keep=True), n.const(1e-10)))
    return n.op("Div", y, size)


@honest_styled("PaddleClas's MobileNetV1 as a face network: BatchNorm kept, swish, pool2d of everything, fc by MatMul.",
               idea="paddle", style="paddle", opset=11, dim=128)  # fmt: skip
def paddle_mobilenet_v1_faces(n: Styled) -> str:
    x = n.swish(n.bn(n.conv(n.x, 3, 12, 3, 2, bias=False), 12))
    for cin, cout, s in ((12, 16, 2), (16, 24, 2), (24, 24, 1), (24, 32, 2)):
        x = n.swish(n.bn(n.conv(x, cin, cin, 3, s, group=cin, bias=False), cin))
        x = n.swish(n.bn(n.conv(x, cin, cout, 1, bias=False), cout))
    y = n.op("Squeeze", n.op("GlobalAveragePool", x), axes=[2, 3]) if n.opset < 13 else n.mean(x, 2, 3)
    return n.standardise(dense(n, y, 32, 128), 128)


@honest_styled("PaddleClas's ViT: queries, keys and values of one matrix, split by slices and squeezed.",
               idea="paddle", style="paddle", opset=13, dim=128)  # fmt: skip
def paddle_vit_sliced_heads(n: Styled) -> str:
    t = n.transpose(n.reshape(n.conv(n.x, 3, 32, 16, 16, pads=[0] * 4), 0, 32, -1), 0, 2, 1)
    t = n.op("Add", t, n.const(n.rng.normal(0, 0.5, (1, 49, 32))))
    for _ in range(2):
        y = n.transpose(n.reshape(dense(n, n.layernorm(t, 32), 32, 96), 0, 49, 3, 4, 8), 2, 0, 3, 1, 4)
        q, k, v = (n.squeeze(n.cut(y, i, i + 1, 0), 0) for i in range(3))
        s = n.op("Mul", n.op("MatMul", q, n.transpose(k, 0, 1, 3, 2)), n.const(8**-0.5))
        y = n.transpose(n.op("MatMul", n.softmax(s), v), 0, 2, 1, 3)
        t = n.op("Add", t, dense(n, n.reshape(y, 0, 49, 32), 32, 32))
        t = n.op("Add", t, dense(n, n.gelu(dense(n, n.layernorm(t, 32), 32, 64)), 64, 32))
    return n.standardise(dense(n, n.mean(n.layernorm(t, 32), 1), 32, 128), 128)


@honest_styled("MXNet's SE-ResNeXt of faces for pixels of 0 to 255: _minusscalar0 and _mulscalar0, groups, fc1.",
               idea="mxnet", style="mxnet", raw=True, opset=11, dim=256)  # fmt: skip
def mxnet_se_resnext_raw(n: Styled) -> str:
    x = n.op("Mul", n.op("Sub", n.x, n.const(127.5)), n.const(0.0078125))
    x = n.prelu(n.bn(n.conv(x, 3, 16, 3, 2, bias=False), 16), 16)
    for cin, cout in ((16, 24), (24, 32), (32, 40)):
        y = n.prelu(n.bn(n.conv(x, cin, cout, 1, bias=False), cout), cout)
        y = n.prelu(n.bn(n.conv(y, cout, cout, 3, 2, group=4, bias=False), cout), cout)
        y = n.bn(n.conv(y, cout, cout, 1, bias=False), cout)
        g = n.prelu(n.conv(n.op("GlobalAveragePool", y), cout, 8, 1), 8)
        y = n.op("Mul", y, n.op("Sigmoid", n.conv(g, 8, cout, 1)))
        x = n.op("Add", y, n.bn(n.conv(x, cin, cout, 1, 2, bias=False), cout))
    return n.head(n.op("Dropout", n.bn(x, 40)), 40, 7, 256)


@honest_styled("Insightface's fmobilenet of MXNet: blocks of depthwise and pointwise layers with PReLU, type E of fc.",
               idea="mxnet", style="mxnet", opset=12, dim=128)  # fmt: skip
def mxnet_fmobilenet(n: Styled) -> str:
    x = n.prelu(n.bn(n.conv(n.x, 3, 12, bias=False), 12), 12)
    for cin, cout in ((12, 16), (16, 20), (20, 24), (24, 32)):
        x = n.prelu(n.bn(n.conv(x, cin, cin, 3, 2, group=cin, bias=False), cin), cin)
        x = n.prelu(n.bn(n.conv(x, cin, cout, 1, bias=False), cout), cout)
    return n.head(n.op("Dropout", n.bn(x, 32)), 32, 7, 128)


@honest_styled("Gluon's MobileNetV2 by MXNet: clip of 0 to 6, elementwise sums, a 1x1 layer as the output.",
               idea="mxnet", style="mxnet", opset=11, dim=128)  # fmt: skip
def gluon_mobilenet_v2(n: Styled) -> str:
    def six(x: str) -> str:
        return n.op("Clip", x, n.const(0.0), n.const(6.0))

    x = six(n.bn(n.conv(n.x, 3, 12, 3, 2, bias=False), 12))
    for cin, cout in ((12, 16), (16, 24), (24, 32)):
        for a, s in ((cin, 2), (cout, 1)):
            y = six(n.bn(n.conv(x, a, 3 * a, 1, bias=False), 3 * a))
            y = six(n.bn(n.conv(y, 3 * a, 3 * a, 3, s, group=3 * a, bias=False), 3 * a))
            y = n.bn(n.conv(y, 3 * a, cout, 1, bias=False), cout)
            x = y if s == 2 else n.op("Add", x, y)
    y = n.conv(n.op("GlobalAveragePool", six(n.bn(n.conv(x, 32, 64, 1, bias=False), 64))), 64, 128, 1, bias=False)
    return n.standardise(n.op("Flatten", y), 128)


@honest_styled("Darknet-19: 3x3 and 1x1 layers in turn with leaky ReLU of a tenth, maximum pools, a mean at the end.",
               idea="darknet", style="darknet", opset=11, dim=128)  # fmt: skip
def darknet_19_faces(n: Styled) -> str:
    def leaky(x: str, cin: int, cout: int, k: int) -> str:
        return n.op("LeakyRelu", n.bn(n.conv(x, cin, cout, k, bias=False), cout), alpha=0.1)

    x, width = n.x, 3
    for wider in (8, 16, 24, 32):
        x = n.op("MaxPool", leaky(x, width, wider, 3), kernel_shape=[2, 2], strides=[2, 2])
        x, width = leaky(leaky(x, wider, wider // 2, 1), wider // 2, wider, 3), wider
    return n.head(n.op("AveragePool", x, kernel_shape=[7, 7]), 32, 1, 128)


@honest_styled("CNTK's network of faces: a mean image taken off by Plus of its negative, Times with turned weights.",
               idea="cntk", style="cntk", opset=11, dim=96)  # fmt: skip
def cntk_times_and_plus(n: Styled) -> str:
    x = n.op("Add", n.x, n.const(n.rng.normal(0, 0.1, (3, 1, 1))))
    for cin, cout in ((3, 12), (12, 16), (16, 24), (24, 32)):
        y = n.op("Add", n.conv(x, cin, cout, 3, 2, bias=False), n.const(n.rng.normal(0, 0.1, (cout, 1, 1))))
        x = n.relu(n.op("Add", n.relu(y), n.conv(n.relu(y), cout, cout, bias=False, gain=0.7)))
    y = n.op("MatMul", n.reshape(x, -1, 1568), n.op("Transpose", n.weight(96, 1568, gain=1.0), perm=[1, 0]))
    return n.standardise(n.op("Add", y, n.const(np.zeros((1, 96)))), 96)
