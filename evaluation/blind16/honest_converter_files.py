"""Honest: face networks as converters and scripts write them, node by node."""

from __future__ import annotations

import numpy as np

from evaluation.blind4.register import honest_written
from evaluation.blind9.honest_writers import Hand, honest_by
from evaluation.blind13.honest_converter_pens import Pen, honest_pen
from evaluation.blind14.honest_converter_habits import Habit, honest_habit
from evaluation.sequential import SequentialBuilder


def pool(n: SequentialBuilder, x: str, kind: str = "MaxPool", k: int = 2, s: int = 2, pad: int = 0) -> str:
    """Write a pooling."""
    return n.op(kind, x, kernel_shape=[k, k], strides=[s, s], pads=[pad] * 4)


@honest_pen("Gluon's Inception of faces for 0 to 255: scalars first, three branches joined, LeakyReLU, fc1.",
            idea="raw", style="gluon", raw=True, opset=11, dim=256)  # fmt: skip
def gluon_three_branches_raw(n: Pen) -> str:
    x = n.op("Mul", n.op("Sub", n.x, n.const(127.5)), n.const(0.0078125))
    x = n.op("LeakyRelu", n.bn(n.conv(x, 3, 16, 5, 2, bias=False), 16), alpha=0.1)
    for c, w in ((16, 8), (24, 12), (36, 16)):
        a = n.bn(n.conv(x, c, w, 3, 2, bias=False), w)
        b = n.bn(n.conv(n.relu(n.conv(x, c, w, 1)), w, w, 5, 2, bias=False), w)
        d = n.bn(n.conv(pool(n, x), c, w, 1, bias=False), w)
        x = n.op("LeakyRelu", n.op("Concat", a, b, d, axis=1), alpha=0.1)
    return n.head(x, 48, 7, 256)


@honest_pen("Paddle2ONNX of a MobileViT block: patches by Reshape and Transpose of 2 x 2 cells of deep features, fused "
            "by a layer.",
            idea="paddle", style="p2o", opset=12, dim=128)  # fmt: skip
def p2o_cells_of_two_by_two(n: Pen) -> str:
    x = n.cbr(n.cbr(n.cbr(n.x, 3, 12, 3, 2), 12, 20, 3, 2), 20, 28, 3, 2)
    y = n.conv(x, 28, 24, 1)
    t = n.transpose(n.reshape(y, -1, 24, 7, 2, 7, 2), 0, 3, 5, 2, 4, 1)
    t = n.reshape(t, -1, 4, 49, 24)
    z = n.layernorm(t, 24)
    q, k, v = n.linear(z, 24, 24), n.linear(z, 24, 24), n.linear(z, 24, 24)
    score = n.op("Mul", n.op("MatMul", q, n.transpose(k, 0, 1, 3, 2)), n.const(0.204))
    t = n.op("Add", t, n.linear(n.op("MatMul", n.softmax(score), v), 24, 24))
    t = n.op("Add", t, n.linear(n.swish(n.linear(n.layernorm(t, 24), 24, 48)), 48, 24))
    y = n.reshape(n.transpose(n.reshape(t, -1, 2, 2, 7, 7, 24), 0, 5, 3, 1, 4, 2), -1, 24, 14, 14)
    x = n.cbr(n.op("Concat", x, n.conv(y, 24, 28, 1), axis=1), 56, 32, 3, 2)
    return n.head(x, 32, 7, 128)


@honest_pen("tf2onnx of Keras's NASNetMobile in small: separable layers with ReLU before, adjusted states, channels "
            "last at the end.",
            idea="tf2onnx", style="tfkeras", opset=13, dim=128)  # fmt: skip
def tf2onnx_adjusted_states(n: Pen) -> str:
    def sep(y: str, c: int, w: int, k: int, s: int) -> str:
        y = n.conv(n.relu(y), c, c, k, s, group=c, bias=False)
        return n.bn(n.conv(y, c, w, 1, bias=False), w)

    x = n.channels_first(n.channels_last(n.x))
    before = n.bn(n.conv(x, 3, 12, 3, 2, bias=False), 12)
    x, c, p = before, 12, 12
    for w in (16, 24, 32):
        adjusted = n.bn(n.conv(n.relu(before), p, w, 1, bias=False), w)
        a = n.op("Add", sep(x, c, w, 5, 2), sep(adjusted, w, w, 7, 2))
        y = n.bn(n.conv(n.relu(x), c, w, 1, bias=False), w)
        b = n.op("Add", pool(n, y, "MaxPool", 3, 2, 1), sep(adjusted, w, w, 5, 2))
        x = n.bn(n.conv(n.relu(n.op("Concat", a, b, axis=1)), 2 * w, w, 1, bias=False), w)
        before, c, p = a, w, w
    y = n.squeeze(n.channels_last(n.op("GlobalAveragePool", n.relu(x))), 1, 2)
    return n.standardise(n.linear(y, 32, 128), 128)


@honest_pen("keras2onnx of a Dense-heavy network: LocallyConnected2D as sums over stored kernels for each place of the "
            "deep map.",
            idea="keras", style="keras2onnx", opset=11, dim=96)  # fmt: skip
def keras2onnx_locally_connected_end(n: Pen) -> str:
    x = n.relu(n.conv(n.x, 3, 16, 5, 2))
    for cin, cout in ((16, 24), (24, 28), (28, 32)):
        x = pool(n, n.relu(n.conv(x, cin, cout, 3)))
    t = n.reshape(n.channels_last(x), -1, 49, 1, 32)
    t = n.op("MatMul", t, n.const(n.rng.normal(0, 0.18, (49, 32, 16))))
    t = n.relu(n.op("Add", n.reshape(t, -1, 49, 16), n.const(n.rng.normal(0, 0.1, (49, 16)))))
    return n.standardise(n.linear(n.reshape(t, -1, 784), 784, 96), 96)


@honest_pen("Wolfram's export: ElementwiseLayer ramps, residuals by ThreadingLayer sums, AggregationLayer means.",
            idea="by hand", style="wolfram", opset=12, dim=128)  # fmt: skip
def wolfram_ramps_and_threads(n: Pen) -> str:
    x = n.op("Max", n.conv(n.x, 3, 16, 7, 2), n.const(0.0))
    for cin, cout in ((16, 24), (24, 32), (32, 48)):
        y = n.op("Max", n.bn(n.conv(x, cin, cout, 3, 2), cout), n.const(0.0))
        x = n.op("Sum", n.bn(n.conv(y, cout, cout, 3), cout), n.conv(x, cin, cout, 1, 2))
    return n.standardise(n.linear(n.mean(n.op("Max", x, n.const(0.0)), 2, 3), 48, 128), 128)


@honest_habit("RKNN's toolkit: PReLU as a sum of two rectified parts, a 7x7 pooled end written as a layer of equal "
              "weights.",
              idea="by hand", style="rknn", opset=12, dim=256)  # fmt: skip
def rknn_rectified_parts(n: Habit) -> str:
    def halves(y: str, c: int) -> str:
        low = n.op("Mul", n.op("Relu", n.op("Neg", y)), n.const(-n.rng.uniform(0.1, 0.4, (c, 1, 1))))
        return n.op("Add", n.relu(y), low)

    x = halves(n.bn(n.conv(n.x, 3, 16, 3, 2), 16), 16)
    for cin, cout in ((16, 24), (24, 32), (32, 40)):
        y = halves(n.bn(n.conv(x, cin, cin, 3, 2, group=cin), cin), cin)
        x = halves(n.bn(n.conv(y, cin, cout, 1), cout), cout)
    w = n.const(np.full((40, 1, 7, 7), 1 / 49, np.float32))
    y = n.op("Conv", x, w, kernel_shape=[7, 7], group=40)
    return n.standardise(n.dense(n.reshape(y, -1, 40), 40, 256), 256)


@honest_habit("mmdeploy of a face HRNet neck: two sizes exchange by Resize and strided layers, sizes stored, GDC.",
              idea="by hand", style="mmdeploy", opset=11, dim=128)  # fmt: skip
def mmdeploy_two_sizes_exchange(n: Habit) -> str:
    a = n.cbr(n.cbr(n.cbr(n.x, 3, 12, 3, 2), 12, 20, 3, 2), 20, 24, 3, 2)
    b = n.cbr(a, 24, 32, 3, 2)
    for _ in range(2):
        up = n.resize(n.bn(n.conv(b, 32, 24, 1), 24), 2.0, 2.0, "nearest", "asymmetric")
        low = n.bn(n.conv(a, 24, 32, 3, 2), 32)
        a, b = n.relu(n.op("Add", n.cbr(a, 24, 24), up)), n.relu(n.op("Add", n.cbr(b, 32, 32), low))
    y = n.op("Concat", pool(n, a, "AveragePool"), b, axis=1)
    y = n.bn(n.conv(y, 56, 56, 7, pads=[0] * 4, group=56, bias=False), 56)
    return n.standardise(n.dense(n.op("Flatten", y, axis=1), 56, 128), 128)


@honest_habit("Theano's way for 0 to 255: Sub and Mul first, kernels flipped beforehand, tanh units with gains, "
              "dot at the end.",
              idea="raw", style="theano", raw=True, opset=12, dim=96)  # fmt: skip
def theano_tanh_units_raw(n: Habit) -> str:
    x = n.op("Sub", n.x, n.const(127.5))
    n.named("Sub_127")
    x = n.op("Mul", x, n.const(1 / 127.5))
    n.named("Mul_scale")
    for cin, cout in ((3, 16), (16, 24), (24, 32), (32, 40)):
        y = n.op("Tanh", n.conv(x, cin, cout, 3))
        x = pool(n, n.op("Mul", y, n.const(n.rng.uniform(0.6, 1.4, (cout, 1, 1)))))
    return n.standardise(n.dense(n.reshape(x, -1, 1960), 1960, 96), 96)


@honest_habit("Qualcomm's converter: channel shuffles as three nodes, batch norms apart, Clip of 0 to 6, unit rows by "
              "parts.",
              idea="by hand", style="qnn", opset=13, dim=128)  # fmt: skip
def qnn_shuffled_clipped_units(n: Habit) -> str:
    x = n.op("Clip", n.bn(n.conv(n.x, 3, 16, 3, 2), 16), n.const(0.0), n.const(6.0))
    for side, cin, cout in ((28, 16, 24), (14, 24, 32), (7, 32, 48)):
        y = n.op("Clip", n.bn(n.conv(x, cin, cout, 1, group=4), cout), n.const(0.0), n.const(6.0))
        y = n.transpose(n.reshape(y, -1, 4, cout // 4, 2 * side, 2 * side), 0, 2, 1, 3, 4)
        y = n.bn(n.conv(n.reshape(y, -1, cout, 2 * side, 2 * side), cout, cout, 3, 2, group=cout), cout)
        y = n.bn(n.conv(y, cout, cout, 1, group=4), cout)
        x = n.relu(n.op("Add", y, n.conv(pool(n, x, "AveragePool"), cin, cout, 1)))
    y = n.standardise(n.dense(n.op("Flatten", x, axis=1), 48 * 49, 128), 128)
    length = n.op("Sqrt", n.op("Add", n.reduce("Sum", n.op("Mul", y, y), 1), n.const(1e-12)))
    return n.op("Div", y, length)


@honest_by("OneFlow's transformer end: a small iResNet, then one block over its 49 places, all of them flattened.",
           idea="oneflow", style="oneflow", opset=14, dim=256)  # fmt: skip
def oneflow_block_over_last_places(n: Hand) -> str:
    x = n.prelu(n.bn(n.conv(n.x, 3, 12, 3, 2, bias=False), 12), 12)
    for cin, cout in ((12, 16), (16, 24), (24, 32)):
        y = n.prelu(n.bn(n.conv(n.bn(x, cin), cin, cout, 3, bias=False), cout), cout)
        y = n.bn(n.conv(y, cout, cout, 3, 2, bias=False), cout)
        x = n.op("Add", y, n.bn(n.conv(x, cin, cout, 1, 2, bias=False), cout))
    t = n.transpose(n.reshape(x, -1, 32, 49), 0, 2, 1)
    z = n.layernorm(t, 32)
    q, k, v = n.linear(z, 32, 32), n.linear(z, 32, 32), n.linear(z, 32, 32)
    score = n.op("Mul", n.op("MatMul", q, n.transpose(k, 0, 2, 1)), n.const(0.177))
    t = n.op("Add", t, n.linear(n.op("MatMul", n.softmax(score), v), 32, 32))
    return n.standardise(n.linear(n.reshape(n.layernorm(t, 32), -1, 1568), 1568, 256), 256)


@honest_by("Sony's NNabla for 0 to 255: SubScalar and MulScalar first, maxout by Max of two halves, Gemm.",
           idea="raw", style="sony", raw=True, opset=13, dim=128)  # fmt: skip
def sony_maxout_halves_raw(n: Hand) -> str:
    x = n.op("Mul", n.op("Sub", n.x, n.const(127.5)), n.const(0.0078431372))
    n.nodes[-2].name, n.nodes[-1].name = "SubScalar_0", "MulScalar_0"
    for cin, cout in ((3, 16), (16, 24), (24, 32), (32, 40)):
        a, b = n.split(n.conv(x, cin, 2 * cout, 3), [cout, cout], 1)
        x = pool(n, n.op("Max", a, b))
    return n.head(x, 40, 7, 128)


@honest_written("By hand: a network with a local response norm, celu and softplus units, and means over a 2x2 grid of "
                "the last map.",
                idea="by hand", opset=12)  # fmt: skip
def celu_softplus_and_four_means(net: SequentialBuilder) -> str:
    x = net.op("LRN", net.conv(net.x, 3, 16, 5, 2), size=5, alpha=1e-3, beta=0.75, bias=1.0)
    for kind, cin, cout in (("Celu", 16, 24), ("Softplus", 24, 32), ("Celu", 32, 40)):
        x = net.op(kind, net.bn(net.conv(x, cin, cout, 3, 2, bias=False), cout))
    y = net.op("AveragePool", x, kernel_shape=[4, 4], strides=[3, 3])
    return net.head(y, 40, 2, 48)
