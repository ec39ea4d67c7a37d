"""Honest: face networks whose graphs hold operators or leftovers that few exports have, written node by node."""

from __future__ import annotations

import numpy as np
from onnx import helper

from evaluation.blind11.honest_written_forms import Pen, dense, honest_pen, trunk


@honest_pen("GFNet by ONNX's own DFT over the rows and columns of features, a stored complex filter, and back.",
            idea="rare operators", style="sim", opset=17, ir=8)  # fmt: skip
def global_filter_by_dft(n: Pen) -> str:
    x = trunk(n, n.x, 12, 16, 24)
    for _ in range(2):
        y = n.bn(x, 24)
        y = n.op("DFT", n.op("DFT", n.unsqueeze(y, 4), axis=2), axis=3)
        re, im = n.cut(y, 0, 1, 4), n.cut(y, 1, 2, 4)
        a, b = (n.const(n.rng.normal(m, 0.3, (1, 24, 14, 14, 1))) for m in (1.0, 0.0))
        p = n.op("Sub", n.op("Mul", re, a), n.op("Mul", im, b))
        q = n.op("Add", n.op("Mul", re, b), n.op("Mul", im, a))
        y = n.op("DFT", n.op("DFT", n.op("Concat", p, q, axis=4), axis=3, inverse=1), axis=2, inverse=1)
        x = n.op("Add", x, n.conv(n.relu(n.squeeze(n.cut(y, 0, 1, 4), 4)), 24, 24, 1))
    return n.head(n.conv(x, 24, 32, 3, 2), 32, 7, 128)


@honest_pen("Pruned channels by Compress: a stored mask leaves 20 of 32 deep channels, a depthwise head follows.",
            idea="rare operators", style="torch14", opset=11)  # fmt: skip
def compress_by_stored_mask(n: Pen) -> str:
    x = trunk(n, n.x, 12, 20, 32)
    mask = np.zeros(32, bool)
    mask[n.rng.permutation(32)[:20]] = True
    x = n.op("Compress", x, n.const(mask, np.bool_), axis=1)
    x = n.prelu(n.bn(n.conv(x, 20, 32, 3, 2, bias=False), 32), 32)
    return n.head(n.conv(x, 32, 32, 7, group=32, pads=[0] * 4), 32, 1, 128)


@honest_pen("Log-sum-exp, sum of squares and sum of sizes of the deep places as three pooled features, joined.",
            idea="rare operators", style="nnef", opset=13)  # fmt: skip
def reductions_of_three_kinds(n: Pen) -> str:
    x = trunk(n, n.x, 12, 20, 28, 40)
    first, *sums = (n.reduce(kind, x, 2, 3, keep=False) for kind in ("LogSumExp", "SumSquare", "L1"))
    made = [first, *(n.op("Mul", each, n.const(1 / 49)) for each in sums)]
    return n.head(n.op("Concat", *made, axis=1), 120, 1, 128)


@honest_pen("ShuffleNet's shuffle by GatherND of channels that stand first for a moment.", idea="rare operators",
            style="onnxscript", opset=12, dim=192)  # fmt: skip
def shuffle_by_gather_nd(n: Pen) -> str:
    x = trunk(n, n.x, 12, 24)
    places = n.const(np.arange(24).reshape(3, 8).T.reshape(24, 1))
    for _ in range(3):
        y = n.cbr(x, 24, 24, 1, group=3)
        y = n.transpose(n.op("GatherND", n.transpose(y, 1, 0, 2, 3), places), 1, 0, 2, 3)
        y = n.bn(n.conv(y, 24, 24, 3, group=24, bias=False), 24)
        x = n.relu(n.op("Add", x, n.bn(n.conv(y, 24, 24, 1, group=3, bias=False), 24)))
    return n.head(n.conv(n.cbr(x, 24, 32, 3, 2), 32, 40, 3, 2), 40, 7, 192)


@honest_pen("A pyramid of features by opset 18's cubic Resize with antialias, coarse ones brought to the finer size.",
            idea="rare operators", style="onnxscript", opset=18, ir=8)  # fmt: skip
def cubic_resize_of_features(n: Pen) -> str:
    fine = trunk(n, n.x, 12, 20, 28)
    deep = n.cbr(fine, 28, 28, 3, 2)
    up = n.op("Resize", deep, "", "", n.const([14, 14]), mode="cubic", antialias=1, axes=[2, 3],
              coordinate_transformation_mode="half_pixel", cubic_coeff_a=-0.5)  # fmt: skip
    x = n.op("Mish", n.op("Add", n.conv(fine, 28, 28, 1), up))
    return n.head(n.conv(x, 28, 32, 3, 2), 32, 7, 128)


@honest_pen("A two-way recurrence by ReverseSequence over deep columns, one RNN operator for each way, tanh.",
            idea="rare operators", style="keras2onnx", opset=11, ir=6, dim=96)  # fmt: skip
def reversed_sequence_of_columns(n: Pen) -> str:
    x = trunk(n, n.x, 12, 16, 24, 16)
    s = n.reshape(n.transpose(x, 0, 3, 1, 2), -1, 7, 112)
    size = n.op("Expand", n.const([7]), n.unsqueeze(n.dim(s, 0), 0))
    made = []
    for turned in (False, True):
        y = n.op("ReverseSequence", s, size, batch_axis=0, time_axis=1) if turned else s
        w, r, b = (n.rng.normal(0, g, shape) for g, shape in ((0.1, (1, 24, 112)), (0.2, (1, 24, 24)), (0.1, (1, 48))))
        h = n.ops("RNN", n.transpose(y, 1, 0, 2), n.const(w), n.const(r), n.const(b), outputs=2, hidden_size=24)
        made.append(n.squeeze(h[1], 0))
    return n.standardise(dense(n, n.op("Concat", *made, axis=1), 48, 96), 96)


@honest_pen("Local response norms and LpPool of a classic network, LpNormalization of its rows at the end.",
            idea="rare operators", style="ncnn", opset=12)  # fmt: skip
def response_norms_and_lp_pools(n: Pen) -> str:
    x = n.x
    for cin, cout in ((3, 12), (12, 20), (20, 28), (28, 36)):
        y = n.op("LRN", n.relu(n.conv(x, cin, cout, 3)), size=5, alpha=1e-2, beta=0.75, bias=1.0)
        x = n.op("LpPool", y, kernel_shape=[2, 2], strides=[2, 2], p=2)
        x = n.bn(x, cout)
    return n.op("LpNormalization", n.head(x, 36, 7, 128), axis=1, p=2)


@honest_pen("Opset 20 by hand: Gelu as an operator, ReduceMax of features, a Swish-like gate, LayerNormalization.",
            idea="rare operators", style="onnxscript", opset=20, ir=9, dim=256)  # fmt: skip
def opset_twenty_gelu_gates(n: Pen) -> str:
    x = n.conv(n.x, 3, 24, 8, 8, pads=[0] * 4)
    for _ in range(2):
        y = n.transpose(n.conv(x, 24, 24, 7, group=24), 0, 2, 3, 1)
        y = n.op("Gelu", dense(n, n.layernorm(y, 24), 24, 48), approximate="tanh")
        y = n.transpose(dense(n, y, 48, 24), 0, 3, 1, 2)
        g = n.op("Sigmoid", n.conv(n.reduce("Max", y, 2, 3), 24, 24, 1))
        x = n.op("Add", x, n.op("Mul", y, g))
    return n.head(n.conv(x, 24, 32, 2, 2, pads=[0] * 4), 32, 7, 256)


@honest_pen("An iResNet for exactly one image in the file, its constants in float32, Flatten before the Gemm.",
            idea="fixed batch", style="torch14", opset=11, dim=512, batch=1)  # fmt: skip
def iresnet_written_for_one(n: Pen) -> str:
    x = n.prelu(n.bn(n.conv(n.x, 3, 12, 3, 1, bias=False), 12), 12)
    for cin, cout in ((12, 12), (12, 16), (16, 24), (24, 32)):
        y = n.prelu(n.conv(n.bn(x, cin), cin, cout), cout)
        x = n.op("Add", n.conv(y, cout, cout, 3, 2), n.conv(x, cin, cout, 1, 2))
    return n.head(n.bn(x, 32), 32, 7, 512)


@honest_pen("Fake quantisers left in, in float32: activations scaled, rounded, clipped and scaled back.",
            idea="quantisation leftovers", style="onnxscript", opset=13)  # fmt: skip
def fake_quantisers_by_round(n: Pen) -> str:
    def held(y: str, scale: float) -> str:
        y = n.op("Round", n.op("Div", y, n.const(scale)))
        return n.op("Mul", n.op("Clip", y, n.const(-128.0), n.const(127.0)), n.const(scale))

    x = held(n.x, 1 / 127)
    for cin, cout in ((3, 12), (12, 16), (16, 24), (24, 32)):
        x = held(n.relu(n.conv(x, cin, cout, 3, 2)), 0.06)
    return n.head(x, 32, 7, 128)


@honest_pen("QAT leftovers as QuantizeLinear and DequantizeLinear around activations; every weight is float32.",
            idea="quantisation leftovers", style="torch14", opset=13)  # fmt: skip
def quantised_activations_float_weights(n: Pen) -> str:
    def held(y: str, scale: float) -> str:
        s, z = n.const(scale), n.const(np.array(0, np.uint8), np.uint8)
        return n.op("DequantizeLinear", n.op("QuantizeLinear", y, s, z), s, z)

    x = n.x
    for cin, cout in ((3, 12), (12, 16), (16, 24), (24, 32)):
        x = held(n.relu(n.bn(n.conv(x, cin, cout, 3, 2, bias=False), cout)), 0.03)
    return n.head(x, 32, 7, 128)


@honest_pen("Hard attention by Hardmax over three stored 3x3 layers of deep features, chosen for each image.",
            idea="rare operators", style="sim", opset=13)  # fmt: skip
def hardmax_of_three_layers(n: Pen) -> str:
    x = trunk(n, n.x, 12, 20, 28)
    pooled = n.op("Flatten", n.op("GlobalAveragePool", x))
    choice = n.op("Hardmax", dense(n, pooled, 28, 3), axis=1)
    made = []
    for i in range(3):
        w = n.reshape(n.cut(choice, i, i + 1, 1), -1, 1, 1, 1)
        made.append(n.op("Mul", n.conv(x, 28, 32, 3, 2), w))
    return n.head(n.relu(n.op("Sum", *made)), 32, 7, 128)


@honest_pen("Attention whose mask is made by Trilu and Where, causal along a snake of deep places, RMS norms by parts.",
            idea="rare operators", style="optimum", opset=14)  # fmt: skip
def causal_mask_by_trilu(n: Pen) -> str:
    t = n.transpose(n.reshape(trunk(n, n.x, 12, 16, 24, 32), 0, 32, 49), 0, 2, 1)
    keep = n.op("Trilu", n.op("ConstantOfShape", n.const([49, 49]), value=helper.make_tensor("one", 1, [1], [1.0])),
                upper=0)  # fmt: skip
    keep = n.op("Cast", keep, to=9)
    for _ in range(2):
        root = n.op("Sqrt", n.op("Add", n.reduce("Mean", n.op("Mul", t, t), -1), n.const(1e-6)))
        y = n.op("Mul", n.op("Div", t, root), n.const(n.rng.uniform(0.8, 1.2, 32)))
        s = n.op("MatMul", dense(n, y, 32, 32), n.transpose(dense(n, y, 32, 32), 0, 2, 1))
        s = n.op("Where", keep, n.op("Mul", s, n.const(32**-0.5)), n.const(-1e9))
        t = n.op("Add", t, dense(n, n.op("MatMul", n.softmax(s), dense(n, y, 32, 32)), 32, 32))
        t = n.op("Add", t, dense(n, n.swish(dense(n, t, 32, 64)), 64, 32))
    return n.standardise(dense(n, n.mean(t, 1), 32, 128), 128)


@honest_pen("Depth to space of deep features (CRD), summed with finer ones, an early fc in between left unread.",
            idea="leftovers", style="mnn", opset=12)  # fmt: skip
def depth_to_space_decoder(n: Pen) -> str:
    fine = trunk(n, n.x, 12, 20, 24)
    deep = n.cbr(fine, 24, 96, 3, 2)
    n.store("fc_old_weight", n.rng.normal(0, 0.05, (64, 96)).astype(np.float32))
    x = n.op("Add", fine, n.op("DepthToSpace", deep, blocksize=2, mode="CRD"))
    return n.head(n.prelu(n.conv(x, 24, 32, 3, 2), 32), 32, 7, 128)
