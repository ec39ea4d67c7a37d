"""Honest: networks node by node, as converters of several frameworks and careful hands write them."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from evaluation.blind4.register import honest_written
from evaluation.blind6.honest_styles import Styled, honest_styled
from evaluation.builder import untyped
from evaluation.sequential import SequentialBuilder


def dense(n: Styled, x: str, cin: int, cout: int) -> str:
    """Multiply the last axis by a matrix and add a bias."""
    y = n.op("MatMul", x, n.const(n.rng.normal(0, cin**-0.5, (cin, cout))))
    return n.op("Add", y, n.const(n.rng.normal(0, 0.1, cout)))


@honest_styled(
    "Keras_insightface's MobileFaceNet: channels last, PReLU, one GDC, Dense of 256 without bias, BatchNorm.",
    idea="keras",
    style="keras",
    opset=13,
    dim=256,
)
def keras_mobilefacenet(n: Styled) -> str:
    def act(y: str, c: int) -> str:
        return n.op("PRelu", y, n.const(n.rng.uniform(0.1, 0.4, (1, 1, c))))

    x = act(n.last_norm(n.last_conv(n.channels_last(n.x), 3, 12, 3, 2), 12), 12)
    for cin, cout in ((12, 16), (16, 24), (24, 32)):
        y = act(n.last_norm(n.last_conv(x, cin, 2 * cin, 1), 2 * cin), 2 * cin)
        y = act(n.last_norm(n.last_conv(y, 2 * cin, 2 * cin, 3, 2, group=2 * cin), 2 * cin), 2 * cin)
        x = n.last_norm(n.last_conv(y, 2 * cin, cout, 1), cout)
        y = act(n.last_norm(n.last_conv(x, cout, 2 * cout, 1), 2 * cout), 2 * cout)
        y = act(n.last_norm(n.last_conv(y, 2 * cout, 2 * cout, 3, group=2 * cout), 2 * cout), 2 * cout)
        x = n.op("Add", x, n.last_norm(n.last_conv(y, 2 * cout, cout, 1), cout))
    y = n.conv(n.channels_first(x), 32, 32, 7, group=32, pads=[0] * 4, bias=False)
    y = n.op("MatMul", n.reshape(n.channels_last(y), -1, 32), n.const(n.rng.normal(0, 0.18, (32, 256))))
    return n.standardise(y, 256)


@honest_styled("deepface's Keras Facenet: channels last, ScaleSum as Mul and Add, Bottleneck dense and norm, dim 128.",
               idea="keras", style="keras", opset=12, dim=128)  # fmt: skip
def keras_facenet_scale_sum(n: Styled) -> str:
    def unit(y: str, cin: int, cout: int, k: int = 3, s: int = 1) -> str:
        return n.relu(n.last_norm(n.last_conv(y, cin, cout, k, s), cout))

    x = unit(unit(n.channels_last(n.x), 3, 12, 3, 2), 12, 24, 3, 2)
    for _ in range(2):
        y = n.op("Concat", unit(x, 24, 8, 1), unit(unit(x, 24, 8, 1), 8, 8), axis=3)
        y = n.op("Mul", n.op("Add", n.last_conv(y, 16, 24, 1), n.const(n.rng.normal(0, 0.1, 24))), n.const(0.1))
        x = n.relu(n.op("Add", x, y))
    x = unit(unit(x, 24, 32, 3, 2), 32, 32, 3, 2)
    return n.standardise(dense(n, n.reduce("Mean", x, 1, 2, keep=False), 32, 128), 128)


@honest_styled("ConvNeXt of Keras: LayerNorm by moments with the channels last, Dense layers by MatMul, layer scale.",
               idea="keras", style="keras", opset=14, dim=64)  # fmt: skip
def keras_convnext_moments(n: Styled) -> str:
    def norm(y: str, c: int) -> str:
        d = n.op("Sub", y, n.reduce("Mean", y, 3))
        v = n.reduce("Mean", n.op("Mul", d, d), 3)
        r = n.op("Mul", n.op("Reciprocal", n.op("Sqrt", n.op("Add", v, n.const(1e-6)))), n.const(np.ones(c)))
        return n.op("Add", n.op("Mul", d, r), n.const(n.rng.normal(0, 0.1, c)))

    x = norm(n.last_conv(n.channels_last(n.x), 3, 16, 4, 4), 16)
    for cin, cout in ((16, 24), (24, 32)):
        y = dense(n, norm(n.last_conv(x, cin, cin, 7, group=cin), cin), cin, 2 * cin)
        y = dense(n, n.gelu(y), 2 * cin, cin)
        x = n.op("Add", x, n.op("Mul", y, n.const(n.rng.uniform(0.2, 0.6, cin))))
        x = n.last_conv(norm(x, cin), cin, cout, 2, 2)
    y = n.reduce("Mean", x, 1, 2, keep=False)
    return n.standardise(dense(n, y, 32, 64), 64)


@honest_styled("Paddle's ArcFace R50 in small: Flatten by flatten_contiguous_range, fc by MatMul and elementwise_add.",
               idea="paddle", style="paddle", opset=13, dim=512)  # fmt: skip
def paddle_iresnet_contiguous(n: Styled) -> str:
    x, width = n.prelu(n.bn(n.conv(n.x, 3, 12, 3, 2, bias=False), 12), 12), 12
    for wider in (16, 24, 32):
        y = n.prelu(n.bn(n.conv(n.bn(x, width), width, wider, bias=False), wider), wider)
        y = n.bn(n.conv(y, wider, wider, 3, 2, bias=False), wider)
        x, width = n.op("Add", y, n.bn(n.conv(x, width, wider, 1, 2, bias=False), wider)), wider
    shape = n.op("Shape", n.op("Identity", x))
    y = n.op("Reshape", x, n.op("Concat", n.cut(shape, 0, 1, 0), n.const([1568]), axis=0))
    y = n.op("MatMul", y, n.const(n.rng.normal(0, 0.025, (1568, 512))))
    return n.standardise(n.op("Add", y, n.const(n.rng.normal(0, 0.1, 512))), 512)


@honest_styled("MXNet's ResNet-D of GluonCV for 0 to 255: a stem of three layers, averages in the shortcuts.",
               idea="mxnet", style="mxnet", raw=True, opset=11)  # fmt: skip
def gluon_resnet_raw(n: Styled) -> str:
    x = n.op("Mul", n.op("Sub", n.x, n.const(127.5)), n.const(0.0078125))
    x = n.cbr(n.cbr(n.cbr(x, 3, 8, 3, 2), 8, 8), 8, 16)
    x, width = n.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]), 16
    for wider in (24, 32):
        y = n.bn(n.conv(n.cbr(n.cbr(x, width, 12, 1), 12, 12, 3, 2), 12, wider, 1, bias=False), wider)
        z = n.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
        x = n.relu(n.op("Add", y, n.bn(n.conv(z, width, wider, 1, bias=False), wider)))
        width = wider
    return n.head(x, 32, 7)


@honest_styled(
    "MXNet's DenseNet-like zoo network for 0 to 255, transitions by averages, LeakyReLU of 0.25.",
    idea="mxnet",
    style="mxnet",
    raw=True,
    opset=12,
)
def mxnet_dense_raw(n: Styled) -> str:
    x = n.op("Mul", n.op("Sub", n.x, n.const(127.5)), n.const(0.0078125))
    x, width = n.bn(n.conv(x, 3, 16, 3, 2, bias=False), 16), 16
    for _ in range(3):
        for _ in range(2):
            y = n.conv(n.op("LeakyRelu", n.bn(x, width), alpha=0.25), width, 8, bias=False)
            x, width = n.op("Concat", x, y, axis=1), width + 8
        x = n.conv(n.op("LeakyRelu", n.bn(x, width), alpha=0.25), width, 16, 1, bias=False)
        x, width = n.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2]), 16
    return n.head(n.bn(x, 16), 16, 7)


@honest_styled(
    "Caffe's MobileFaceNet: Scale layers as Mul and Add, Eltwise SUM with a coefficient, InnerProduct of 128.",
    idea="caffe",
    style="caffe",
    opset=11,
    dim=128,
)
def caffe_mobilefacenet_scales(n: Styled) -> str:
    def scaled(y: str, c: int) -> str:
        y = n.op("Mul", y, n.const(n.rng.uniform(0.7, 1.3, (1, c, 1, 1))))
        return n.op("Add", y, n.const(n.rng.normal(0, 0.1, (1, c, 1, 1))))

    x = n.prelu(scaled(n.conv(n.x, 3, 12, 3, 2, bias=False), 12), 12)
    for cin, cout in ((12, 16), (16, 24), (24, 32)):
        y = n.prelu(scaled(n.conv(x, cin, 2 * cin, 1, bias=False), 2 * cin), 2 * cin)
        y = n.prelu(scaled(n.conv(y, 2 * cin, 2 * cin, 3, 2, group=2 * cin, bias=False), 2 * cin), 2 * cin)
        x = scaled(n.conv(y, 2 * cin, cout, 1, bias=False), cout)
        y = n.prelu(scaled(n.conv(x, cout, cout, 3, group=cout, bias=False), cout), cout)
        x = n.op("Sum", x, n.op("Mul", scaled(n.conv(y, cout, cout, 1), cout), n.const(0.8)))
    return n.head(n.conv(x, 32, 32, 7, group=32, pads=[0] * 4), 32, 1, 128)


@honest_written(
    "A residual block as the body of a Loop with a stored number of turns, a sigmoid gate, weights from outside.",
    idea="control flow",
    opset=14,
)
def loop_with_gated_state(n: SequentialBuilder) -> str:
    x = n.cbr(n.cbr(n.x, 3, 16, 3, 2), 16, 24, 3, 2)
    body = n.child()
    w, b = n.weight(24, 24, 3, 3, gain=0.8), n.const(n.rng.normal(0, 0.1, 24))
    made = body.op("Conv", "state", w, b, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    gate = body.op("Sigmoid", made)
    body.nodes.append(helper.make_node("Add", ["state", body.op("Mul", gate, body.op("Tanh", made))], ["state_out"]))
    body.nodes.append(helper.make_node("Identity", ["going"], ["going_out"]))
    turn = helper.make_tensor_value_info("turn", TensorProto.INT64, [])
    going = helper.make_tensor_value_info("going", TensorProto.BOOL, [])
    after = helper.make_tensor_value_info("going_out", TensorProto.BOOL, [])
    inner = body.graph([turn, going, untyped("state")], [after, untyped("state_out")])
    y = n.op("Loop", n.const(np.array(3, np.int64)), n.const(np.array(True), np.bool_), x, body=inner)
    return n.head(n.cbr(n.cbr(y, 24, 32, 3, 2), 32, 32, 3, 2), 32, 7)


@honest_written(
    "Fused operators by hand: Gemm with alpha and beta, Sum of three branches of one map, Mean of two heads.",
    idea="by hand",
    opset=13,
)
def sums_of_three_branches(n: SequentialBuilder) -> str:
    x = n.cbr(n.x, 3, 16, 3, 2)
    for cin, cout in ((16, 24), (24, 32), (32, 32)):
        square, flat = n.conv(x, cin, cout, 3, 2), n.conv(x, cin, cout, 1, 2, kernel=(1, 3))
        x = n.relu(n.bn(n.op("Sum", square, flat, n.conv(x, cin, cout, 1, 2)), cout))
    flat = n.op("Flatten", x, axis=1)
    bias = n.const(n.rng.normal(0, 0.1, 48))
    a = n.op("Gemm", flat, n.weight(48, 1568, gain=1.0), bias, transB=1, alpha=0.7, beta=0.5)
    b = n.op("Gemm", n.op("Flatten", n.op("GlobalAveragePool", x)), n.weight(48, 32, gain=1.0), transB=1)
    return n.standardise(n.op("Mean", a, b), 48)


@honest_styled("MindSpore's ViT-like encoder: constants in nodes, BatchMatMul, softmax by its parts, tokens flattened.",
               idea="mindspore", style="mindspore", opset=12)  # fmt: skip
def mindspore_encoder_parts(n: Styled) -> str:
    t = n.transpose(n.reshape(n.conv(n.x, 3, 24, 16, 16, pads=[0] * 4), -1, 24, 49), 0, 2, 1)
    t = n.op("Add", t, n.const(n.rng.normal(0, 0.4, (1, 49, 24))))
    for _ in range(2):
        y = n.layernorm(t, 24)
        q, k, v = (n.linear(y, 24, 24) for _ in range(3))
        s = n.op("Mul", n.op("MatMul", q, n.transpose(k, 0, 2, 1)), n.const(24**-0.5))
        e = n.op("Exp", n.op("Sub", s, n.reduce("Max", s, 2)))
        t = n.op("Add", t, n.linear(n.op("MatMul", n.op("Div", e, n.sum(e, 2, keep=True)), v), 24, 24))
        t = n.op("Add", t, n.linear(n.relu(n.linear(n.layernorm(t, 24), 24, 48)), 48, 24))
    return n.head(n.reshape(n.layernorm(t, 24), -1, 49 * 24), 49 * 24, 1)


@honest_styled(
    "A pointwise and a 3x3 layer with hard swish as a function of the model, called for four stages.",
    idea="functions",
    style="mindspore",
    opset=16,
    ir=8,
)
def swish_unit_as_function(n: Styled) -> str:
    inner = [
        helper.make_node("Conv", ["x", "p", "b"], ["y"], kernel_shape=[1, 1]),
        helper.make_node("HardSwish", ["y"], ["h"]),
        helper.make_node("Conv", ["h", "d"], ["z"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("HardSwish", ["z"], ["out"]),
    ]
    imports = [helper.make_opsetid("", n.opset)]
    n.functions.append(helper.make_function("team", "Unit", ["x", "p", "b", "d"], ["out"], inner, imports))
    x = n.x
    for cin, cout in ((3, 12), (12, 20), (20, 28), (28, 36)):
        weights = n.weight(cout, cin, 1, 1), n.const(n.rng.normal(0, 0.1, cout)), n.weight(cout, cout, 3, 3)
        x = n.op("Unit", x, *weights, domain="team")
    return n.head(x, 36, 7)


@honest_styled("SVD of all layers but the first: each 3x3 kernel is a column layer of low rank and a row layer.",
               idea="low rank", style="caffe", opset=11, dim=96)  # fmt: skip
def columns_then_rows_of_low_rank(n: Styled) -> str:
    x = n.relu(n.conv(n.x, 3, 12, 3, 2))
    for cin, cout, rank in ((12, 20, 8), (20, 28, 10), (28, 36, 12)):
        y = n.op("Conv", x, n.weight(rank, cin, 3, 1), kernel_shape=[3, 1], strides=[2, 1], pads=[1, 0, 1, 0])
        y = n.op("Conv", y, n.weight(cout, rank, 1, 3), n.const(n.rng.normal(0, 0.1, cout)), kernel_shape=[1, 3],
                 strides=[1, 2], pads=[0, 1, 0, 1])  # fmt: skip
        x = n.relu(y)
    y = n.op("Gemm", n.op("Flatten", x, axis=1), n.weight(16, 1764, gain=1.0), transB=1)
    return n.head(y, 16, 1, 96)
