"""Honest: face networks in the forms of converters and of hands, each written node by node."""

from __future__ import annotations

import numpy as np

from evaluation.blind9.honest_writers import Hand, honest_by
from evaluation.blind13.honest_converter_pens import Pen, honest_pen
from evaluation.blind14.honest_converter_habits import Habit, honest_habit


def hard_sigmoid(n: Habit | Pen | Hand, x: str) -> str:
    """Write a hard sigmoid as one operator."""
    return n.op("HardSigmoid", x, alpha=1 / 6, beta=0.5)


@honest_pen("GluonCV's MobileNetV3 for 0 to 255: _minusscalar0 and _mulscalar0 first, hard swish, gates, an FC head.",
            idea="raw", style="gluon", raw=True, opset=12, dim=256)  # fmt: skip
def gluon_mobilenet_v3_raw(n: Pen) -> str:
    x = n.op("Mul", n.op("Sub", n.x, n.const(127.5)), n.const(0.0078431372))
    x = n.bn(n.conv(x, 3, 16, 3, 2, bias=False), 16)
    x = n.op("Mul", x, hard_sigmoid(n, x))
    for cin, cout, k in ((16, 20, 3), (20, 28, 5), (28, 36, 5)):
        y = n.cbr(n.cbr(x, cin, 3 * cin, 1), 3 * cin, 3 * cin, k, 2, group=3 * cin)
        z = n.relu(n.conv(n.op("GlobalAveragePool", y), 3 * cin, 8, 1))
        y = n.op("Mul", y, hard_sigmoid(n, n.conv(z, 8, 3 * cin, 1)))
        x = n.bn(n.conv(y, 3 * cin, cout, 1, bias=False), cout)
    return n.head(x, 36, 7, 256)


@honest_pen("Paddle2ONNX of a GhostNet: primary and cheap layers joined, hard_sigmoid gates, GDC, fc by MatMul.",
            idea="paddle", style="p2o", opset=11, dim=128)  # fmt: skip
def p2o_ghost_bottlenecks(n: Pen) -> str:
    x = n.cbr(n.x, 3, 16, 3, 2)
    for cin, cout in ((16, 24), (24, 32), (32, 40)):
        a = n.cbr(x, cin, cout, 1)
        y = n.op("Concat", a, n.cbr(a, cout, cout, 3, group=cout), axis=1)
        y = n.bn(n.conv(y, 2 * cout, 2 * cout, 3, 2, group=2 * cout, bias=False), 2 * cout)
        gate = n.relu(n.conv(n.op("GlobalAveragePool", y), 2 * cout, 8, 1))
        y = n.op("Mul", y, hard_sigmoid(n, n.conv(gate, 8, 2 * cout, 1)))
        b = n.bn(n.conv(y, 2 * cout, cout // 2, 1, bias=False), cout // 2)
        y = n.op("Concat", b, n.bn(n.conv(b, cout // 2, cout // 2, 3, group=cout // 2, bias=False), cout // 2), axis=1)
        x = n.op("Add", y, n.bn(n.conv(x, cin, cout, 1, 2, bias=False), cout))
    x = n.bn(n.conv(x, 40, 40, 7, pads=[0] * 4, group=40, bias=False), 40)
    y = n.op("MatMul", n.reshape(x, -1, 40), n.const(n.rng.normal(0, 0.16, (40, 128))))
    return n.standardise(n.op("Add", y, n.const(n.rng.normal(0, 0.1, 128))), 128)


@honest_pen("Paddle2ONNX of SVTR's trunk: a local mixing block by a stored mask of neighbours, then a global one.",
            idea="paddle", style="p2o", opset=13, dim=192)  # fmt: skip
def p2o_svtr_local_then_global(n: Pen) -> str:
    x = n.cbr(n.cbr(n.x, 3, 12, 3, 2), 12, 24, 3, 2)
    x = n.cbr(n.cbr(x, 24, 28, 3, 2), 28, 32, 3, 2)
    t = n.transpose(n.reshape(x, 0, 32, 49), 0, 2, 1)
    i = np.arange(49)
    far = (np.abs(i[:, None] // 7 - i // 7) > 2) | (np.abs(i[:, None] % 7 - i % 7) > 1)
    for mask in (np.where(far, -1e4, 0.0).astype(np.float32), None):
        qkv = n.transpose(n.reshape(n.linear(n.layernorm(t, 32), 32, 96), 0, 49, 3, 2, 16), 2, 0, 3, 1, 4)
        q, k, v = (n.squeeze(part, 0) for part in n.split(qkv, [1, 1, 1], 0))
        score = n.op("MatMul", n.op("Mul", q, n.const(0.25)), n.transpose(k, 0, 1, 3, 2))
        score = score if mask is None else n.op("Add", score, n.const(mask))
        mixed = n.reshape(n.transpose(n.op("MatMul", n.softmax(score), v), 0, 2, 1, 3), 0, 49, 32)
        t = n.op("Add", t, n.linear(mixed, 32, 32))
        t = n.op("Add", t, n.linear(n.gelu(n.linear(n.layernorm(t, 32), 32, 64)), 64, 32))
    return n.standardise(n.linear(n.reshape(n.layernorm(t, 32), -1, 1568), 1568, 192), 192)


@honest_pen("tf2onnx of Keras's RegNetX: grouped 3x3 layers, channels last at both ends, pads given one-sided.",
            idea="tf2onnx", style="tfkeras", opset=12, dim=128)  # fmt: skip
def tf2onnx_regnet_x(n: Pen) -> str:
    x = n.channels_first(n.channels_last(n.x))
    x = n.relu(n.conv(x, 3, 16, 3, 2, pads=[0, 0, 1, 1]))
    for cin, cout in ((16, 24), (24, 32), (32, 40)):
        y = n.relu(n.conv(x, cin, cout, 1))
        y = n.relu(n.conv(y, cout, cout, 3, 2, group=cout // 8, pads=[0, 0, 1, 1]))
        x = n.relu(n.op("Add", n.conv(y, cout, cout, 1), n.conv(x, cin, cout, 1, 2)))
    y = n.squeeze(n.channels_last(n.op("GlobalAveragePool", x)), 1, 2)
    return n.standardise(n.linear(y, 40, 128), 128)


@honest_pen("Keras's MLP-Mixer example by keras2onnx: patches by a strided layer, Permute layers, Dense layers, a "
            "mean.",
            idea="keras", style="keras2onnx", opset=11, dim=96)  # fmt: skip
def keras2onnx_mixer_permutes(n: Pen) -> str:
    t = n.reshape(n.channels_last(n.conv(n.x, 3, 32, 16, 16, pads=[0] * 4)), -1, 49, 32)
    for _ in range(3):
        y = n.transpose(n.layernorm(t, 32), 0, 2, 1)
        y = n.linear(n.gelu(n.linear(y, 49, 32)), 32, 49)
        t = n.op("Add", t, n.transpose(y, 0, 2, 1))
        t = n.op("Add", t, n.linear(n.gelu(n.linear(n.layernorm(t, 32), 32, 64)), 64, 32))
    return n.standardise(n.linear(n.mean(n.layernorm(t, 32), 1), 32, 96), 96)


@honest_habit("By hand at opset 17: CoAtNet's relative attention, its bias gathered from a stored table by stored "
              "places.",
              idea="by hand", style="hand", opset=17, dim=128, ir=8)  # fmt: skip
def relative_bias_gathered_from_table(n: Habit) -> str:
    x = n.cbr(n.cbr(n.x, 3, 12, 3, 2), 12, 20, 3, 2)
    x = n.cbr(n.cbr(x, 20, 28, 3, 2), 28, 32, 3, 2)
    t = n.transpose(n.reshape(x, 0, 32, 49), 0, 2, 1)
    i = np.arange(49)
    place = (i[:, None] // 7 - i // 7 + 6) * 13 + i[:, None] % 7 - i % 7 + 6
    for _ in range(2):
        z = n.layernorm(t, 32)
        q, k, v = (n.transpose(n.reshape(n.dense(z, 32, 32), 0, 49, 2, 16), 0, 2, 1, 3) for _ in range(3))
        table = n.const(n.rng.normal(0, 0.5, (2, 169)))
        score = n.op(
            "Add", n.op("MatMul", q, n.transpose(k, 0, 1, 3, 2)), n.op("Gather", table, n.const(place), axis=1)
        )
        mixed = n.op("MatMul", n.softmax(n.op("Mul", score, n.const(0.25))), v)
        t = n.op("Add", t, n.dense(n.reshape(n.transpose(mixed, 0, 2, 1, 3), 0, 49, 32), 32, 32))
        t = n.op("Add", t, n.dense(n.gelu(n.dense(n.layernorm(t, 32), 32, 64)), 64, 32))
    return n.standardise(n.dense(n.mean(t, 1), 32, 128), 128)


@honest_by("PyTorch 1.6 on pixels of 0 to 255: Sub_0 and Div_1, then a dual-path network with PReLU, norms folded.",
           idea="torch 1.6", style="torch16", raw=True, opset=11, dim=256)  # fmt: skip
def torch16_dual_paths_raw(n: Hand) -> str:
    x = n.op("Div", n.op("Sub", n.x, n.const(127.5)), n.const(127.5))
    x = n.prelu(n.conv(x, 3, 12, 3, 2), 12)
    for cin, cout in ((12, 16), (16, 24), (24, 32)):
        y = n.conv(n.prelu(n.conv(x, cin, cout, 3, 2, group=4), cout), cout, cout + 8, 1)
        main, more = n.split(y, [cout, 8], 1)
        both = n.op("Concat", n.op("Add", main, n.conv(x, cin, cout, 1, 2)), more, axis=1)
        x = n.prelu(n.conv(both, cout + 8, cout, 1), cout)
    return n.head(n.bn(x, 32), 32, 7, 256)


@honest_by("JAX with Einsum nodes: a mixer gated as in gMLP behind two patch layers, RMS norms by parts, mean of "
           "places.",
           idea="jax", style="jax", opset=13, dim=128)  # fmt: skip
def jax_einsum_gated_places(n: Hand) -> str:
    x = n.swish(n.conv(n.swish(n.conv(n.x, 3, 16, 4, 4, pads=[0] * 4)), 16, 32, 4, 4, pads=[0] * 4))
    for _ in range(3):
        square = n.reduce("Mean", n.op("Mul", x, x), 1)
        z = n.op("Div", x, n.op("Sqrt", n.op("Add", square, n.const(1e-6))))
        wide = n.op("Einsum", z, n.const(n.rng.normal(0, 0.18, (32, 48))), equation="nchw,cd->ndhw")
        gate = n.op("Einsum", z, n.const(n.rng.normal(0, 0.18, (32, 48))), equation="nchw,cd->ndhw")
        place = n.op("Einsum", wide, n.const(n.rng.normal(0, 0.2, (49, 49)).reshape(7, 7, 7, 7)),
                     equation="ndhw,hwij->ndij")  # fmt: skip
        y = n.op("Mul", n.swish(gate), n.op("Add", wide, place))
        x = n.op("Add", x, n.op("Einsum", y, n.const(n.rng.normal(0, 0.1, (48, 32))), equation="ndhw,dc->nchw"))
    return n.standardise(n.linear(n.mean(x, 2, 3), 32, 128), 128)


@honest_by("MATLAB's exporter: a VarGNet-like trunk of fixed group sizes, clipped ReLU, sums, a 7x7 pooled end.",
           idea="matlab", style="matlab", opset=12, dim=128)  # fmt: skip
def matlab_fixed_group_sizes(n: Hand) -> str:
    def held(y: str) -> str:
        return n.op("Clip", y, n.const(0.0), n.const(6.0))

    x = held(n.bn(n.conv(n.x, 3, 16, 3, 2), 16))
    for cin, cout in ((16, 24), (24, 32), (32, 40)):
        y = held(n.bn(n.conv(x, cin, 2 * cin, 3, 2, group=cin // 8), 2 * cin))
        y = n.bn(n.conv(y, 2 * cin, cout, 1), cout)
        z = held(n.bn(n.conv(y, cout, cout, 3, group=cout // 8), cout))
        x = held(n.op("Add", y, n.bn(n.conv(z, cout, cout, 1), cout)))
    y = n.op("AveragePool", n.conv(x, 40, 128, 1), kernel_shape=[7, 7])
    return n.standardise(n.op("Flatten", y, axis=1), 128)


@honest_pen("Simplified for one image: EfficientFormer's pooling units, then a block of places with "
            "LayerNormalization.",
            idea="fixed batch", style="onnxsim", opset=17, dim=256, ir=8, batch=1)  # fmt: skip
def simplified_pooling_former_for_one(n: Pen) -> str:
    x = n.cbr(n.cbr(n.x, 3, 12, 3, 2), 12, 24, 3, 2)
    for cin, cout in ((24, 32), (32, 32)):
        mean = n.op("AveragePool", x, kernel_shape=[3, 3], strides=[1, 1], pads=[1] * 4, count_include_pad=0)
        x = n.op("Add", x, n.op("Mul", n.op("Sub", mean, x), n.const(n.rng.uniform(0.2, 0.6, (cin, 1, 1)))))
        x = n.op("Add", x, n.conv(n.gelu(n.conv(x, cin, 2 * cin, 1)), 2 * cin, cin, 1))
        x = n.bn(n.conv(x, cin, cout, 3, 2), cout)
    t = n.transpose(n.reshape(x, 0, 32, 49), 0, 2, 1)
    z = n.layernorm(t, 32)
    q, k, v = n.linear(z, 32, 16), n.linear(z, 32, 16), n.linear(z, 32, 32)
    score = n.op("Mul", n.op("MatMul", q, n.transpose(k, 0, 2, 1)), n.const(0.25))
    t = n.op("Add", t, n.op("MatMul", n.softmax(n.op("Add", score, n.const(n.rng.normal(0, 0.5, (49, 49))))), v))
    return n.standardise(n.linear(n.reshape(n.layernorm(t, 32), -1, 1568), 1568, 256), 256)


@honest_habit("Caffe's center-loss face network: maximum pools, PReLU, Eltwise sums, features by a 7x7 layer, unit "
              "rows.",
              idea="by hand", style="caffe", opset=11, dim=256)  # fmt: skip
def caffe_sums_with_unit_rows(n: Habit) -> str:
    x = n.prelu(n.conv(n.x, 3, 16, 5, 2), 16)
    for cin, cout in ((16, 24), (24, 32), (32, 40)):
        y = n.prelu(n.conv(n.prelu(n.conv(x, cin, cin, 3), cin), cin, cin, 3), cin)
        x = n.prelu(n.conv(n.op("Sum", x, y), cin, cout, 3), cout)
        x = n.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    y = n.standardise(n.op("Flatten", n.conv(x, 40, 256, 7, pads=[0] * 4), axis=1), 256)
    return n.op("LpNormalization", y, axis=1, p=2)
