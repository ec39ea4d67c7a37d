"""Honest: networks written node by node, as converters of several frameworks and careful hands write them."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from evaluation.blind6.honest_styles import Styled, honest_styled
from evaluation.builder import untyped


def unit(n: Styled, x: str, cin: int, cout: int) -> str:
    """InsightFace's residual unit of stride 2."""
    y = n.prelu(n.bn(n.conv(n.bn(x, cin), cin, cout, bias=False), cout), cout)
    y = n.bn(n.conv(y, cout, cout, 3, 2, bias=False), cout)
    return n.op("Add", y, n.bn(n.conv(x, cin, cout, 1, 2, bias=False), cout))


@honest_styled("MXNet's iResNet: 127.5 off, times 0.0078125, BatchNorm, dropout as Identity, pre_fc1, fc1.",
               idea="mxnet", style="mxnet", raw=True)  # fmt: skip
def mxnet_iresnet_raw(n: Styled) -> str:
    x = n.op("Mul", n.op("Sub", n.x, n.const(127.5)), n.const(0.0078125))
    x, width = n.prelu(n.bn(n.conv(x, 3, 12, 3, 2, bias=False), 12), 12), 12
    for wider in (16, 24, 32):
        x, width = unit(n, x, width, wider), wider
    return n.head(n.op("Identity", n.bn(x, 32)), 32, 7)


@honest_styled("MXNet's MobileFaceNet with an identity first, sizes fixed by Reshape, pixels of 0 to 255.",
               idea="mxnet", style="mxnet", raw=True, opset=12)  # fmt: skip
def mxnet_mobilefacenet_raw(n: Styled) -> str:
    x = n.op("Identity", n.x)
    x = n.op("Mul", n.op("Sub", x, n.const([127.5])), n.const([0.0078125]))
    x, width = n.prelu(n.bn(n.conv(x, 3, 12, 3, 2, bias=False), 12), 12), 12
    for wider in (16, 24, 32):
        y = n.prelu(n.bn(n.conv(x, width, 2 * wider, 1, bias=False), 2 * wider), 2 * wider)
        y = n.bn(n.conv(y, 2 * wider, 2 * wider, 3, 2, group=2 * wider, bias=False), 2 * wider)
        x, width = n.bn(n.conv(y, 2 * wider, wider, 1, bias=False), wider), wider
    x = n.bn(n.conv(x, 32, 32, 7, group=32, pads=[0, 0, 0, 0], bias=False), 32)
    return n.head(n.reshape(x, -1, 32), 32, 1)


@honest_styled("MXNet's SE-ResNet for pixels of 0 to 255 whose statistics are a first BatchNorm behind Sub and Mul.",
               idea="mxnet", style="mxnet", raw=True)  # fmt: skip
def mxnet_excited_raw(n: Styled) -> str:
    x = n.op("Sub", n.x, n.const(np.full((1, 3, 1, 1), 127.5)))
    x = n.bn(n.op("Mul", x, n.const(np.full((1, 3, 1, 1), 1 / 128))), 3)
    x, width = n.relu(n.conv(x, 3, 16, 5, 2)), 16
    for wider in (20, 28, 36):
        y = n.relu(n.bn(n.conv(x, width, wider, 3, 2), wider))
        z = n.relu(n.conv(n.op("GlobalAveragePool", y), wider, 6, 1))
        x, width = n.op("Mul", y, n.op("Sigmoid", n.conv(z, 6, wider, 1))), wider
    return n.head(x, 36, 7)


@honest_styled("Keras' MobileNet by tf2onnx: channels last, a pair of transposes around every convolution, ReLU6.",
               idea="keras", style="keras", opset=13)  # fmt: skip
def keras_mobilenet_transposes(n: Styled) -> str:
    x = n.relu6(n.last_norm(n.last_conv(n.channels_last(n.x), 3, 12, 3, 2), 12))
    for cin, cout in ((12, 16), (16, 24), (24, 32)):
        x = n.relu6(n.last_norm(n.last_conv(x, cin, cin, 3, 2, group=cin), cin))
        x = n.relu6(n.last_norm(n.last_conv(x, cin, cout, 1), cout))
    y = n.reduce("Mean", x, 1, 2, keep=False)
    return n.standardise(
        n.op("Add", n.op("MatMul", y, n.const(n.rng.normal(0, 0.2, (32, 48)))), n.const(np.zeros(48))), 48
    )


@honest_styled("Keras' ResNet V2: explicit Pad nodes, valid convolutions, flattened with the channels last.",
               idea="keras", style="keras", opset=11)  # fmt: skip
def keras_resnet_v2_pads(n: Styled) -> str:
    def padded(x: str, p: int) -> str:
        return n.op("Pad", x, n.const([0, 0, p, p, 0, 0, p, p], np.int64))

    x = n.conv(padded(n.x, 3), 3, 16, 7, 2, pads=[0] * 4)
    for cin, cout in ((16, 24), (24, 32), (32, 32)):
        y = n.relu(n.bn(x, cin))
        z = n.relu(n.bn(n.conv(y, cin, 12, 1, bias=False), 12))
        z = n.conv(n.relu(n.bn(n.conv(padded(z, 1), 12, 12, 3, 2, pads=[0] * 4, bias=False), 12)), 12, cout, 1)
        x = n.op("Add", n.conv(y, cin, cout, 1, 2), z)
    return n.head(n.reshape(n.channels_last(n.relu(n.bn(x, 32))), -1, 7 * 7 * 32), 32 * 49, 1)


@honest_styled("FaceNet's Inception-ResNet by TF-Slim: residuals times 0.17, an L2 norm by ReduceSum and Max.",
               idea="keras", style="keras", opset=12)  # fmt: skip
def slim_inception_residuals(n: Styled) -> str:
    x = n.cbr(n.cbr(n.x, 3, 16, 3, 2), 16, 24, 3, 2)
    for _ in range(2):
        a = n.cbr(x, 24, 8, 1)
        b = n.cbr(n.cbr(x, 24, 8, 1), 8, 8)
        c = n.cbr(n.cbr(n.cbr(x, 24, 8, 1), 8, 8), 8, 8)
        y = n.conv(n.op("Concat", a, b, c, axis=1), 24, 24, 1)
        x = n.relu(n.op("Add", x, n.op("Mul", y, n.const(0.17))))
    x = n.cbr(n.op("MaxPool", n.cbr(x, 24, 32, 3, 2), kernel_shape=[2, 2], strides=[2, 2]), 32, 40)
    y = n.head(x, 40, 7)
    size = n.op("Sqrt", n.op("Max", n.reduce("Sum", n.op("Mul", y, y), 1), n.const(1e-10)))
    return n.op("Div", y, size)


@honest_styled("TensorFlow Lite's kernels are stored with the channels last and turned in the graph.", idea="keras",
               style="tflite", opset=14)  # fmt: skip
def tflite_kernels_turned(n: Styled) -> str:
    x = n.channels_last(n.x)
    for cin, cout in ((3, 12), (12, 20), (20, 28), (28, 36)):
        w = n.channels_first(n.const(n.rng.normal(0, 1.4 / (9 * cin) ** 0.5, (cout, 3, 3, cin))))
        y = n.op("Conv", n.channels_first(x), w, n.const(n.rng.normal(0, 0.1, cout)), strides=[2, 2],
                 pads=[0, 0, 1, 1], kernel_shape=[3, 3])  # fmt: skip
        x = n.channels_last(n.op("Clip", y, n.const(0.0), n.const(6.0)))
    return n.head(n.reshape(x, -1, 7 * 7 * 36), 49 * 36, 1)


@honest_styled("PLSC of Paddle: sizes by Shape, Slice, Concat and Reshape, MatMul and Add, BatchNorm.", idea="paddle",
               style="paddle", opset=12)  # fmt: skip
def paddle_shape_arithmetic(n: Styled) -> str:
    x, width = n.prelu(n.bn(n.conv(n.x, 3, 12, 3, 2), 12), 12), 12
    for wider in (16, 24, 32):
        x, width = unit(n, x, width, wider), wider
    batch = n.cut(n.op("Cast", n.op("Shape", x), to=TensorProto.INT32), 0, 1, 0)
    size = n.op("Cast", n.op("Concat", batch, n.const([-1], np.int32), axis=0), to=TensorProto.INT64)
    y = n.op("MatMul", n.op("Reshape", x, size), n.const(n.rng.normal(0, 0.025, (1568, 48))))
    return n.standardise(n.op("Add", y, n.const(n.rng.normal(0, 0.1, 48))), 48)


@honest_styled("Caffe's LightCNN: Slice and Eltwise MAX, InnerProduct behind a Reshape of 0 and -1.", idea="caffe",
               style="caffe")  # fmt: skip
def caffe_lightcnn_slices(n: Styled) -> str:
    def mfm(x: str, width: int) -> str:
        return n.op("Max", *n.split(x, [width, width], 1))

    x, width = mfm(n.conv(n.x, 3, 24, 5, 2), 12), 12
    for wider in (16, 24, 32):
        x = mfm(n.conv(x, width, 2 * width, 1), width)
        x = mfm(n.conv(x, width, 2 * wider), wider)
        x, width = n.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1), wider
    return mfm(n.head(n.reshape(x, 0, -1), 32 * 49, 1, 96), 48)


@honest_styled("Darknet's layers: leaky ReLU of 0.1, shortcuts, routes and one nearest up-sampling of features.",
               idea="darknet", style="darknet", opset=12)  # fmt: skip
def darknet_routes(n: Styled) -> str:
    def leaky(x: str, cin: int, cout: int, k: int = 3, s: int = 1) -> str:
        return n.op("LeakyRelu", n.bn(n.conv(x, cin, cout, k, s, bias=False), cout), alpha=0.1)

    x = leaky(leaky(n.x, 3, 12, 3, 2), 12, 24, 3, 2)
    x = n.op("Add", x, leaky(leaky(x, 24, 12, 1), 12, 24))
    fine = leaky(x, 24, 24, 3, 2)
    deep = leaky(leaky(fine, 24, 32, 3, 2), 32, 16, 1)
    y = n.op("Concat", n.resize(deep, 2.0, 2.0, "nearest", "asymmetric"), fine, axis=1)
    return n.head(leaky(y, 40, 32, 3, 2), 32, 7)


@honest_styled("CNTK's way: a Reshape of stored weights, MatMul, and poolings padded by themselves.", idea="cntk",
               style="cntk")  # fmt: skip
def cntk_reshaped_weights(n: Styled) -> str:
    x = n.x
    for cin, cout in ((3, 12), (12, 20), (20, 28), (28, 36)):
        w = n.reshape(n.const(n.rng.normal(0, 1.4 / (9 * cin) ** 0.5, (1, cout, cin, 3, 3))), cout, cin, 3, 3)
        y = n.op("Conv", x, w, auto_pad="SAME_UPPER", kernel_shape=[3, 3], strides=[1, 1])
        y = n.relu(n.op("Add", y, n.const(n.rng.normal(0, 0.1, (cout, 1, 1)))))
        x = n.op("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_LOWER")
    w = n.reshape(n.const(n.rng.normal(0, 0.03, (36, 7, 7, 48))), 36 * 49, 48)
    return n.standardise(n.op("MatMul", n.reshape(x, -1, 36 * 49), w), 48)


@honest_styled("MindSpore: every weight a constant in the graph, GELU by tanh, LayerNorm by its parts.",
               idea="mindspore", style="mindspore", opset=11)  # fmt: skip
def mindspore_mixer(n: Styled) -> str:
    def gelu(x: str) -> str:
        cube = n.op("Mul", n.op("Pow", x, n.const(3.0)), n.const(0.044715))
        t = n.op("Tanh", n.op("Mul", n.op("Add", x, cube), n.const(0.7978846)))
        return n.op("Mul", n.op("Mul", x, n.const(0.5)), n.op("Add", t, n.const(1.0)))

    x = n.transpose(n.reshape(n.conv(n.x, 3, 24, 16, 16, pads=[0] * 4), -1, 24, 49), 0, 2, 1)
    for _ in range(2):
        y = n.transpose(n.layernorm(x, 24), 0, 2, 1)
        x = n.op("Add", x, n.transpose(n.linear(gelu(n.linear(y, 49, 32)), 32, 49), 0, 2, 1))
        x = n.op("Add", x, n.linear(gelu(n.linear(n.layernorm(x, 24), 24, 48)), 48, 24))
    return n.head(n.mean(n.layernorm(x, 24), 1), 24, 1)


@honest_styled("A block as a function of the model, called three times with weights of its own.", idea="functions",
               style="mindspore", opset=15, ir=8)  # fmt: skip
def block_as_a_function(n: Styled) -> str:
    inner = [
        helper.make_node("Conv", ["x", "w", "b"], ["y"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Sigmoid", ["y"], ["s"]),
        helper.make_node("Mul", ["y", "s"], ["z"]),
    ]
    opsets = [helper.make_opsetid("", 15)]
    n.functions.append(helper.make_function("team.blocks", "ConvSwish", ["x", "w", "b"], ["z"], inner, opsets))
    x = n.x
    for cin, cout in ((3, 12), (12, 20), (20, 28), (28, 36)):
        x = n.op("ConvSwish", x, n.weight(cout, cin, 3, 3), n.const(n.rng.normal(0, 0.1, cout)), domain="team.blocks")
    return n.head(x, 36, 7)


@honest_styled("A residual block applied four times by a Loop with a stored count, weights from outside.",
               idea="control flow", style="mindspore", opset=13)  # fmt: skip
def loop_of_shared_blocks(n: Styled) -> str:
    x = n.cbr(n.cbr(n.cbr(n.x, 3, 12, 3, 2), 12, 16, 3, 2), 16, 16, 3, 2)
    w, v = n.weight(16, 16, 3, 3, gain=0.9), n.weight(16, 16, 3, 3, gain=0.5)
    body = n.child()
    y = body.op("Conv", body.relu(body.op("Conv", "state", w, pads=[1] * 4)), v, pads=[1] * 4)
    out, going = body.op("Add", "state", y), body.op("Identity", "going")
    kind = [
        helper.make_tensor_value_info(name, t, [])
        for name, t in (("i", TensorProto.INT64), ("going", TensorProto.BOOL))
    ]
    graph = body.graph(
        [*kind, untyped("state")], [helper.make_tensor_value_info(going, TensorProto.BOOL, []), untyped(out)]
    )
    x = n.op("Loop", n.const(4), n.const(True, np.bool_), x, body=graph)
    return n.head(n.cbr(x, 16, 28, 3, 2), 28, 7)


@honest_styled("A recurrence over the rows of deep features by Scan, its weights from outside.", idea="control flow",
               style="mindspore", opset=12)  # fmt: skip
def rows_read_by_scan(n: Styled) -> str:
    x = n.cbr(n.cbr(n.cbr(n.x, 3, 12, 3, 2), 12, 16, 3, 2), 16, 16, 3, 2)
    rows = n.reshape(n.transpose(x, 2, 0, 1, 3), 14, -1, 16 * 14)
    zero = n.op(
        "Mul", n.cut(n.linear(n.op("Squeeze", n.cut(rows, 0, 1, 0), axes=[0]), 224, 32), 0, 32, 1), n.const(0.0)
    )
    w, u = n.const(n.rng.normal(0, 0.07, (224, 32))), n.const(n.rng.normal(0, 0.15, (32, 32)))
    body = n.child()
    new = body.op("Tanh", body.op("Add", body.op("MatMul", "row", w), body.op("MatMul", "state", u)))
    seen = body.op("Identity", new)
    graph = body.graph([untyped("state"), untyped("row")], [untyped(new), untyped(seen)])
    last, every = n.ops("Scan", zero, rows, outputs=2, body=graph, num_scan_inputs=1)
    return n.head(n.op("Concat", last, n.mean(every, 0), axis=1), 64, 1)


@honest_styled("A flag of training that was left in the file, stored as false: an If with dropout's other branch.",
               idea="control flow", style="keras", opset=13)  # fmt: skip
def stored_training_flag(n: Styled) -> str:
    x = n.cbr(n.cbr(n.cbr(n.cbr(n.x, 3, 12, 3, 2), 12, 16, 3, 2), 16, 24, 3, 2), 24, 32, 3, 2)
    branches = {}
    for key, scale in (("then_branch", 1.25), ("else_branch", 1.0)):
        inner = n.child()
        out = inner.op("Mul", x, inner.const(scale))
        branches[key] = inner.graph([], [untyped(out)], key)
    return n.head(n.op("If", n.const(False, np.bool_), **branches), 32, 7)


@honest_styled("SegNet on features: MaxPool's indices bring the pooled map back by MaxUnpool.", idea="operators",
               style="cntk", opset=11)  # fmt: skip
def segnet_unpooling(n: Styled) -> str:
    x = n.cbr(n.cbr(n.x, 3, 12, 3, 2), 12, 16, 3, 2)
    y, at = n.ops("MaxPool", x, outputs=2, kernel_shape=[2, 2], strides=[2, 2])
    y = n.op("MaxUnpool", n.cbr(y, 16, 16), at, kernel_shape=[2, 2], strides=[2, 2])
    x = n.op("Concat", x, n.cbr(y, 16, 12), axis=1)
    return n.head(n.cbr(n.cbr(x, 28, 28, 3, 2), 28, 32, 3, 2), 32, 7)


@honest_styled("RoIAlign of stored boxes: eyes, nose and mouth in each image's own deep features.", idea="operators",
               style="caffe", opset=11)  # fmt: skip
def stored_boxes_by_roialign(n: Styled) -> str:
    x = n.cbr(n.cbr(n.cbr(n.x, 3, 12, 3, 2), 12, 16, 3, 2), 16, 24, 3, 2)
    boxes = n.const([[1.0, 2, 7, 6], [7, 2, 13, 6], [4, 4, 10, 10], [3, 8, 11, 13]])
    count = n.op("Gather", n.op("Shape", x), n.const(0), axis=0)
    which = n.unsqueeze(n.op("Range", n.const(0), count, n.const(1)), 1)
    four = n.op("Concat", n.op("Reshape", count, n.const([1], np.int64)), n.const([4]), axis=0)
    which = n.reshape(n.op("Expand", which, four), -1)
    both = n.op("Concat", n.op("Reshape", count, n.const([1], np.int64)), n.const([1, 1]), axis=0)
    rois = n.reshape(n.op("Tile", n.unsqueeze(boxes, 0), both), -1, 4)
    y = n.op("RoiAlign", x, rois, which, output_height=3, output_width=3, sampling_ratio=2, spatial_scale=1.0)
    return n.head(n.reshape(y, -1, 4 * 24 * 9), 4 * 24 * 9, 1)


@honest_styled("Operators that few use: LpPool, Celu, ThresholdedRelu, Shrink, MeanVarianceNormalization, Softsign.",
               idea="operators", style="cntk", opset=13)  # fmt: skip
def rare_operators(n: Styled) -> str:
    x = n.op("Celu", n.conv(n.x, 3, 12, 3, 2), alpha=0.8)
    x = n.op("ThresholdedRelu", n.conv(x, 12, 16, 3, 2), alpha=0.1)
    x = n.op("MeanVarianceNormalization", n.conv(x, 16, 24, 3), axes=[2, 3])
    x = n.op("LpPool", n.op("Shrink", x, lambd=0.1, bias=0.05), kernel_shape=[2, 2], strides=[2, 2], p=2)
    x = n.op("Softsign", n.conv(x, 24, 28, 3, 2))
    return n.head(n.op("Concat", n.op("Flatten", x), n.op("Flatten", n.op("GlobalMaxPool", x)), axis=1), 28 * 50, 1)


@honest_styled("Channel groups as a sequence: split, picked by number, convolved and joined again.", idea="operators",
               style="mindspore", opset=13)  # fmt: skip
def sequence_of_channel_groups(n: Styled) -> str:
    x = n.cbr(n.cbr(n.x, 3, 12, 3, 2), 12, 24, 3, 2)
    parts = n.op("SplitToSequence", x, n.const(8), axis=1)
    made = [n.cbr(n.op("SequenceAt", parts, n.const(i)), 8, 12, k) for i, k in enumerate((1, 3, 5))]
    x = n.op("ConcatFromSequence", n.op("SequenceConstruct", *made), axis=1)
    return n.head(n.cbr(n.cbr(x, 36, 28, 3, 2), 28, 32, 3, 2), 32, 7)


@honest_styled("Causal attention whose mask is made of Range, Less and Where, and Einsum for every product.",
               idea="operators", style="mindspore", opset=12)  # fmt: skip
def mask_by_ranges(n: Styled) -> str:
    t = n.transpose(n.reshape(n.conv(n.x, 3, 24, 16, 16, pads=[0] * 4), -1, 24, 49), 0, 2, 1)
    at = n.op("Range", n.const(0), n.op("Gather", n.op("Shape", t), n.const(1), axis=0), n.const(1))
    later = n.op("Less", n.op("Unsqueeze", at, axes=[1]), n.op("Unsqueeze", at, axes=[0]))
    for _ in range(2):
        u = n.layernorm(t, 24)
        q, k, v = (n.op("Einsum", u, n.weight(24, 24, gain=1.2), equation="nlc,dc->nld") for _ in range(3))
        score = n.op("Where", later, n.const(-30.0), n.op("Einsum", q, k, equation="nic,njc->nij"))
        t = n.op("Add", t, n.op("Einsum", n.softmax(score), v, equation="nij,njc->nic"))
    return n.head(n.layernorm(t, 24), 24 * 49, 1)


@honest_styled("Operators of opset 20 in one block: Gelu, GroupNormalization's relatives, LayerNormalization, Mish.",
               idea="operators", style="mindspore", opset=20, ir=9)  # fmt: skip
def newest_operators(n: Styled) -> str:
    x = n.op("Mish", n.conv(n.x, 3, 16, 4, 4, pads=[0] * 4))
    y = n.layernorm(n.channels_last(n.conv(x, 16, 16, 7, group=16)), 16)
    y = n.linear(n.op("Gelu", n.linear(y, 16, 32), approximate="tanh"), 32, 16)
    x = n.op("Add", x, n.channels_first(y))
    x = n.op("HardSwish", n.conv(n.op("InstanceNormalization", x, np.ones(16), np.zeros(16)), 16, 24, 3, 2))
    return n.head(n.cbr(x, 24, 32, 3, 2), 32, 7)


@honest_styled("Hard attention over deep places: ArgMax, OneHot and a product; and a state by ConstantOfShape.",
               idea="operators", style="paddle", opset=11)  # fmt: skip
def one_hot_of_best_places(n: Styled) -> str:
    x = n.cbr(n.cbr(n.cbr(n.cbr(n.x, 3, 12, 3, 2), 12, 16, 3, 2), 16, 24, 3, 2), 24, 32, 3, 2)
    flat = n.reshape(x, -1, 32, 49)
    score = n.reshape(n.conv(x, 32, 6, 1), -1, 6, 49)
    best = n.op("OneHot", n.op("ArgMax", score, axis=2, keepdims=0), n.const(49), n.const([0.0, 1.0]), axis=-1)
    picked = n.op("MatMul", best, n.transpose(flat, 0, 2, 1))
    zeros = n.op("ConstantOfShape", n.op("Shape", picked))
    soft = n.op("MatMul", n.softmax(score), n.transpose(flat, 0, 2, 1))
    return n.head(n.op("Concat", n.op("Max", picked, zeros), soft, axis=1), 12 * 32, 1)


@honest_styled("Transposed convolutions bring deep features back to a size that Shape and Resize arithmetic asks for.",
               idea="operators", style="cntk", opset=11)  # fmt: skip
def decoder_sized_by_shape(n: Styled) -> str:
    a = n.cbr(n.cbr(n.x, 3, 12, 3, 2), 12, 16, 3, 2)
    b = n.cbr(n.cbr(a, 16, 24, 3, 2), 24, 24, 3, 2)
    up = n.op("ConvTranspose", b, n.weight(24, 16, 2, 2, gain=1.0), strides=[2, 2], kernel_shape=[2, 2])
    sizes = n.op("Concat", n.cut(n.op("Shape", up), 0, 2, 0), n.cut(n.op("Shape", a), 2, 4, 0), axis=0)
    none = n.const(np.zeros(0, np.float32), np.float32)
    up = n.op("Resize", up, none, none, sizes, mode="nearest", coordinate_transformation_mode="asymmetric",
              nearest_mode="floor")  # fmt: skip
    return n.head(n.cbr(n.cbr(n.op("Add", a, up), 16, 24, 3, 2), 24, 32, 3, 2), 32, 7)
