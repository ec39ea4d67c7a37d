"""Honest: files as converters and scripts write them, with the pixels normalised in many equal ways."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from onnx import ModelProto

from evaluation.blind6.honest_styles import Styled
from evaluation.case import MODEL_RULES, Case, seed_of
from evaluation.registry import register

#: What a converter calls its input, a node and a tensor: k is the operator, i its count, c the count of all.
HABITS = {
    "mxnet": ("data", "{k}_{i}", "{k}_{i}_output"),
    "hand": ("face", "{k}_{c}", "v{c}"),
    "caffe": ("data", "{l}{i}", "{l}{i}_top"),
    "tf": ("input:0", "model/{l}_{i}", "model/{l}_{i}:0"),
    "rknn": ("images", "{k}_rk_{c}", "{k}_rk_{c}_out0"),
    "qnn": ("input_0", "_{k}_{i}", "_{k}_{i}_output"),
    "theano": ("X", "theano.{k}.{c}", "T{c}"),
    "mmdeploy": ("input", "/backbone/{l}{i}/{k}", "/backbone/{l}{i}/{k}_out"),
    "qat": ("inputs.1", "{k}_fq_{c}", "{c}"),
}


class Habit(Styled):
    """A network in the manner of a converter of ``HABITS``; ``named`` gives the next node a name of its own."""

    def __init__(self, seed: int, *, opset: int, raw: bool, style: str) -> None:
        super().__init__(seed, opset=opset, raw=raw, style="paddle")
        self.framework, self.x, self._count = style, HABITS[style][0], [0]

    def name(self, kind: str) -> tuple[str, str]:
        """Return an unused node name and tensor name in the converter's manner."""
        i, c = self.counted[kind], self._count[0]
        self.counted[kind] += 1
        self._count[0] += 1
        _, node, tensor = HABITS[self.framework]
        given = {"k": kind, "l": kind.lower(), "i": i, "c": c}
        return node.format(**given), tensor.format(**given)

    def named(self, name: str) -> None:
        """Rename the last node."""
        self.nodes[-1].name = name

    def dense(self, x: str, cin: int, cout: int) -> str:
        """Multiply the last axis by a matrix and add a bias."""
        y = self.op("MatMul", x, self.const(self.rng.normal(0, cin**-0.5, (cin, cout))))
        return self.op("Add", y, self.const(self.rng.normal(0, 0.1, cout)))

    def units(self, x: str, *widths: int) -> str:
        """Write residual units of stride 2 with PReLU; the first width is that of the input."""
        for cin, cout in pairwise(widths):
            y = self.prelu(self.bn(self.conv(self.bn(x, cin), cin, cout, 3, bias=False), cout), cout)
            y = self.bn(self.conv(y, cout, cout, 3, 2, bias=False), cout)
            x = self.op("Add", y, self.bn(self.conv(x, cin, cout, 1, 2, bias=False), cout))
        return x


def honest_habit(
    why: str, *, idea: str, style: str, opset: int = 11, raw: bool = False, dim: int = 128, ir: int = 7
) -> Callable[[Callable[[Habit], str]], Callable[[Habit], str]]:
    """Register an honest network written in the manner of a converter."""

    def add(body: Callable[[Habit], str]) -> Callable[[Habit], str]:
        name = body.__name__

        def build() -> ModelProto:
            net = Habit(seed_of(name), opset=opset, raw=raw, style=style)
            made = net.finish(body(net), dim)
            made.ir_version, made.producer_name = ir, style
            return made

        case: dict[str, Any] = {"rules": MODEL_RULES, "expected": "passed", "idea": idea, "about": why}
        register(Case(name=name, build=build, raw=raw, whole=True, **case))
        return body

    return add


@honest_habit("MXNet for -1 to 1: the first node is the BatchNorm bn_data, whose stored statistics are those of "
              "such pixels.",
              idea="normalised again", style="mxnet", opset=11, dim=256)  # fmt: skip
def first_batch_norm_of_mxnet(n: Habit) -> str:
    stored = [np.ones(3), np.zeros(3), np.array([0.03, -0.06, -0.12]), np.array([0.31, 0.29, 0.3])]
    x = n.op("BatchNormalization", n.x, *(n.const(each) for each in stored), epsilon=2e-5)
    n.named("bn_data")
    x = n.prelu(n.bn(n.conv(x, 3, 12, 3, 2, bias=False), 12), 12)
    return n.head(n.bn(n.units(x, 12, 16, 24, 32), 32), 32, 7, 256)


@honest_habit("By hand for 0 to 255: first a Mul by 2/255, then a Sub of one, then depthwise units of a small network.",
              idea="raw", style="hand", raw=True, opset=13, dim=128)  # fmt: skip
def product_first_then_difference_raw(n: Habit) -> str:
    x = n.op("Sub", n.op("Mul", n.x, n.const(2 / 255)), n.const(1.0))
    x = n.cbr(x, 3, 16, 3, 2)
    for cin, cout in ((16, 24), (24, 32), (32, 48)):
        x = n.cbr(n.cbr(x, cin, cin, 3, 2, group=cin), cin, cout, 1)
    return n.head(n.bn(n.conv(x, 48, 48, 7, pads=[0] * 4, group=48, bias=False), 48), 48, 1, 128)


@honest_habit("By hand for 0 to 255: a stored mean face is taken off by Sub, one Mul follows, a VGG without norms.",
              idea="raw", style="hand", raw=True, opset=12, dim=128)  # fmt: skip
def stored_mean_face_raw(n: Habit) -> str:
    rows = np.abs(np.mgrid[0:112, 0:112] / 56.0 - 1).sum(0)
    mean = np.stack([150 - 30 * rows, 130 - 30 * rows, 120 - 25 * rows])[None].astype(np.float32)
    x = n.op("Mul", n.op("Sub", n.x, n.const(mean)), n.const(1 / 64.0))
    for cin, cout in ((3, 12), (12, 20), (20, 28), (28, 36)):
        x = n.relu(n.conv(x, cin, cout, 3))
        x = n.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    return n.head(x, 36, 7, 128)


@honest_habit("tf2onnx for 0 to 255: a Transpose, then Sub and Mul of channels-last vectors, a padded ResNet.",
              idea="raw", style="hand", raw=True, opset=11, dim=96)  # fmt: skip
def channels_last_vectors_raw(n: Habit) -> str:
    x = n.op("Sub", n.channels_last(n.x), n.const([123.7, 116.3, 103.5]))
    x = n.channels_first(n.op("Mul", x, n.const([0.01712, 0.01751, 0.01743])))
    x = n.op("Pad", x, n.const([0, 0, 1, 1, 0, 0, 1, 1]))
    x = n.relu(n.bn(n.conv(x, 3, 12, 3, 2, pads=[0] * 4, bias=False), 12))
    x = n.units(x, 12, 20, 28)
    return n.standardise(n.dense(n.mean(n.relu(x), 2, 3), 28, 96), 96)


@honest_habit("Caffe for 0 to 255 that learned BGR: Sub and Mul, then a stored permutation as a 1x1 layer, leaky "
              "units.",
              idea="raw", style="hand", raw=True, opset=12, dim=128)  # fmt: skip
def permutation_layer_after_scale_raw(n: Habit) -> str:
    x = n.op("Mul", n.op("Sub", n.x, n.const(127.5)), n.const(0.0078125))
    x = n.op("Conv", x, n.const(np.eye(3)[::-1].reshape(3, 3, 1, 1).astype(np.float32)), kernel_shape=[1, 1])
    for cin, cout in ((3, 12), (12, 20), (20, 28), (28, 40)):
        x = n.op("LeakyRelu", n.bn(n.conv(x, cin, cout, 3, 2, bias=False), cout), alpha=0.1)
    return n.head(x, 40, 7, 128)


@honest_habit("Caffe's weights for -1 to 1: a BatchNormalization undoes that to 0 to 255, its bias takes the means "
              "off.",
              idea="normalised again", style="caffe", opset=11, dim=256)  # fmt: skip
def caffe_scale_from_batch_norm(n: Habit) -> str:
    stored = [np.full(3, 127.5), np.array([-2.0, 10.6, 23.6]), np.zeros(3), np.ones(3)]
    x = n.op("BatchNormalization", n.x, *(n.const(each) for each in stored), epsilon=1e-9)
    x = n.conv(x, 3, 12, 3, 2, gain=0.02, bias=False)
    x = n.prelu(n.bn(x, 12), 12)
    return n.head(n.bn(n.units(x, 12, 16, 24, 32), 32), 32, 7, 256)


@honest_habit("RKNN-like: ImageNet's statistics as a 1x1 depthwise layer first, fc as a 7x7 layer and a Reshape.",
              idea="normalised again", style="rknn", opset=12, dim=128)  # fmt: skip
def depthwise_normaliser_and_layer_as_fc(n: Habit) -> str:
    gain, shift = np.array([2.18, 2.23, 2.22]), np.array([0.06, 0.2, 0.42])
    x = n.op("Conv", n.x, n.const(gain.reshape(3, 1, 1, 1)), n.const(shift), group=3, kernel_shape=[1, 1])
    x = n.relu(n.conv(x, 3, 16, 3, 2))
    for cin, cout in ((16, 24), (24, 32), (32, 40)):
        y = n.relu(n.conv(n.relu(n.conv(x, cin, 2 * cin, 1)), 2 * cin, 2 * cin, 3, 2, group=2 * cin))
        x = n.conv(y, 2 * cin, cout, 1)
    y = n.reshape(n.conv(x, 40, 128, 7, pads=[0] * 4), -1, 128)
    return n.standardise(y, 128)


@honest_habit("Theano's true convolution: kernels are stored turned and turned back in the graph by Slice of step -1.",
              idea="odd layouts", style="theano", opset=11, dim=96)  # fmt: skip
def kernels_for_true_convolution(n: Habit) -> str:
    x = n.x
    for cin, cout in ((3, 12), (12, 20), (20, 28), (28, 36)):
        w = n.slice(n.weight(cout, cin, 3, 3), [-1, -1], [-4, -4], [2, 3], [-1, -1])
        y = n.op("Conv", x, w, n.const(n.rng.normal(0, 0.1, cout)), kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
        x = n.op("Tanh", y)
    return n.head(x, 36, 7, 96)


@honest_habit("TensorFlow without grouped layers: ResNeXt's groups as Split, four layers of their own and a Concat.",
              idea="odd layouts", style="tf", opset=13, dim=128)  # fmt: skip
def groups_as_split_and_concat(n: Habit) -> str:
    x = n.cbr(n.x, 3, 16, 3, 2)
    for cin, cout in ((16, 24), (24, 32), (32, 40)):
        y = n.split(n.cbr(x, cin, cout, 1), [cout // 4] * 4, 1)
        z = n.op("Concat", *(n.conv(part, cout // 4, cout // 4, 3, 2, bias=False) for part in y), axis=1)
        z = n.bn(n.conv(n.relu(n.bn(z, cout)), cout, cout, 1, bias=False), cout)
        x = n.relu(n.op("Add", z, n.bn(n.conv(x, cin, cout, 1, 2, bias=False), cout)))
    return n.head(x, 40, 7, 128)


@honest_habit("QNN's layouts: all maps have the channels last between layers, PReLU's slopes too, one Transpose each.",
              idea="odd layouts", style="qnn", opset=14, dim=128, ir=8)  # fmt: skip
def channels_last_between_all_layers(n: Habit) -> str:
    x = n.channels_last(n.x)
    for cin, cout in ((3, 16), (16, 24), (24, 32), (32, 40)):
        x = n.last_norm(n.last_conv(x, cin, cout, 3, 2), cout)
        x = n.op("PRelu", x, n.const(n.rng.uniform(0.1, 0.4, cout)))
    y = n.last_norm(n.last_conv(x, 40, 40, 3, 1, 40), 40)
    return n.standardise(n.dense(n.reshape(y, -1, 49 * 40), 49 * 40, 128), 128)


@honest_habit("MMDeploy: backbone scopes, a neck of GlobalAveragePool and Flatten, linear neck with a norm, unit rows.",
              idea="converters", style="mmdeploy", opset=11, dim=256)  # fmt: skip
def mmdeploy_linear_neck(n: Habit) -> str:
    x = n.op("MaxPool", n.cbr(n.x, 3, 16, 7, 2), kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    for cin, cout in ((16, 24), (24, 40)):
        y = n.bn(n.conv(n.cbr(x, cin, cout, 3, 2), cout, cout, 3, bias=False), cout)
        x = n.relu(n.op("Add", y, n.bn(n.conv(x, cin, cout, 1, 2, bias=False), cout)))
    y = n.pooled_head(x, 40, 256)
    return n.op("LpNormalization", y, axis=1, p=2)


@honest_habit("ModelOpt's export: float32 weights pass QuantizeLinear and DequantizeLinear with a scale per channel.",
              idea="quantisers left in", style="qat", opset=13, dim=128)  # fmt: skip
def weights_through_channel_quantisers(n: Habit) -> str:
    def held(w: np.ndarray[Any, Any]) -> str:
        scale = n.const(np.abs(w).reshape(len(w), -1).max(1) / 127)
        zero = n.constant_node(np.zeros(len(w), np.int8), *n.name("Constant"))
        q = n.op("QuantizeLinear", n.const(w), scale, zero, axis=0)
        return n.op("DequantizeLinear", q, scale, zero, axis=0)

    x = n.x
    for cin, cout in ((3, 12), (12, 20), (20, 28), (28, 36)):
        w = n.rng.normal(0, 1.4 / (9 * cin) ** 0.5, (cout, cin, 3, 3)).astype(np.float32)
        x = n.op("Conv", x, held(w), kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
        x = n.prelu(n.bn(x, cout), cout)
    return n.head(x, 36, 7, 128)
