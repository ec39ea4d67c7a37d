"""Honest: operators that ONNX got late, written by hand, over the deep features of one image."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, tokens
from evaluation.blind4.register import honest_torch
from evaluation.blind14.honest_converter_habits import Habit, honest_habit


def trunk(n: Habit, width: int = 32) -> str:
    """Write three strided layers: [N, width, 14, 14]."""
    x = n.x
    for cin, cout in ((3, 12), (12, 20), (20, width)):
        x = n.cbr(x, cin, cout, 3, 2)
    return x


@honest_habit("Opset 17's STFT with a HannWindow over the rows of deep maps, its sizes read beside the maps' means.",
              idea="newer operators", style="hand", opset=17, dim=128, ir=8)  # fmt: skip
def short_time_spectra_of_deep_rows(n: Habit) -> str:
    x = trunk(n)
    line = n.reshape(n.conv(x, 32, 4, 1), -1, 4 * 196, 1)
    window = n.op("HannWindow", n.const(28))
    y = n.op("STFT", line, n.const(14), window, n.const(28))
    y = n.op("Sqrt", n.op("Add", n.reduce("Sum", n.op("Mul", y, y), -1, keep=False), n.const(1e-3)))
    pooled = n.op("Flatten", n.op("AveragePool", x, kernel_shape=[7, 7], strides=[7, 7]), axis=1)
    joined = n.op("Concat", n.reshape(y, -1, 55 * 15), pooled, axis=1)
    return n.standardise(n.dense(joined, 55 * 15 + 128, 128), 128)


@honest_habit("Opset 18: Mish, Split into a number of outputs, and CenterCropPad of deep features to the middle of "
              "the face.",
              idea="newer operators", style="hand", opset=18, dim=128, ir=8)  # fmt: skip
def middle_of_deep_features_by_crop(n: Habit) -> str:
    x = n.op("Mish", trunk(n))
    a, b = n.ops("Split", x, outputs=2, axis=1, num_outputs=2)
    middle = n.op("CenterCropPad", a, n.const([10, 10]), axes=[2, 3])
    y = n.op("Concat", n.op("AveragePool", middle, kernel_shape=[2, 2], strides=[2, 2]),
             n.op("CenterCropPad", n.cbr(b, 16, 16, 3, 2), n.const([5, 5]), axes=[2, 3]), axis=1)  # fmt: skip
    return n.head(n.op("Mish", n.conv(y, 32, 40, 3)), 40, 5, 128)


@honest_habit("Opset 21's GroupNormalization of features behind each layer, HardSwish, no batch norm within.",
              idea="newer operators", style="hand", opset=21, dim=128, ir=10)  # fmt: skip
def group_norms_as_operators(n: Habit) -> str:
    x = n.x
    for cin, cout in ((3, 16), (16, 24), (24, 32), (32, 40)):
        x = n.conv(x, cin, cout, 3, 2)
        scale, shift = n.const(n.rng.uniform(0.7, 1.3, cout)), n.const(n.rng.normal(0, 0.1, cout))
        x = n.op("HardSwish", n.op("GroupNormalization", x, scale, shift, num_groups=4))
    return n.head(x, 40, 7, 128)


@honest_habit("Opset 23's Attention and RMSNormalization over deep places, as the newest transformers are written.",
              idea="newer operators", style="hand", opset=23, dim=128, ir=11)  # fmt: skip
def attention_as_one_operator(n: Habit) -> str:
    x = n.cbr(trunk(n), 32, 32, 3, 2)
    t = n.transpose(n.reshape(x, -1, 32, 49), 0, 2, 1)
    for _ in range(2):
        z = n.op("RMSNormalization", t, n.const(n.rng.uniform(0.7, 1.3, 32)), axis=-1)
        q, k, v = n.dense(z, 32, 32), n.dense(z, 32, 32), n.dense(z, 32, 32)
        t = n.op("Add", t, n.dense(n.op("Attention", q, k, v, q_num_heads=4, kv_num_heads=4), 32, 32))
    return n.standardise(n.dense(n.reshape(t, -1, 49 * 32), 49 * 32, 128), 128)


@honest_habit("Index arithmetic left in: channels picked by Mod, BitShift and Gather, an identity kernel by EyeLike.",
              idea="newer operators", style="hand", opset=13, dim=96)  # fmt: skip
def channels_by_index_arithmetic(n: Habit) -> str:
    x = trunk(n)
    places = n.op("Cast", n.op("Range", n.const(0), n.const(32), n.const(1)), to=13)
    turned = n.op("Mod", n.op("BitShift", places, n.keep(np.array(2, np.uint64)), direction="LEFT"),
                  n.keep(np.array(31, np.uint64)))  # fmt: skip
    picked = n.op("Gather", x, n.op("Cast", turned, to=7), axis=1)
    eye = n.op("EyeLike", n.const(np.zeros((32, 32), np.float32)))
    same = n.op("Conv", picked, n.reshape(eye, 32, 32, 1, 1), kernel_shape=[1, 1])
    return n.head(n.cbr(n.op("Add", same, n.conv(x, 32, 32, 3)), 32, 36, 3, 2), 36, 7, 96)


@honest_torch("By torch.export at opset 18: einsum heads, a clamp of logits (tanh capped) and squeezed singletons.",
              idea="torch.export", trained=3, opset=18, dynamo=True)  # fmt: skip
def dynamo_soft_capped_logits(n: Net, x: T) -> T:
    y = n.down(n.down(n.stem(x, 20), 28), 32)
    t = tokens(y)
    q, k, v = n.heads(n.ln(t), 4)
    score = 5 * torch.tanh(torch.einsum("nhid,nhjd->nhij", q, k) * 8**-0.5 / 5)
    t = t + torch.einsum("nhij,nhjd->nihd", score.softmax(-1), v).reshape(-1, 49, 32)
    t = t + n.ff(n.ln(t))
    return n.embed(torch.cat([t.mean(1, keepdim=True).squeeze(1), F.adaptive_max_pool2d(y, 1).flatten(1)], 1), 128)
