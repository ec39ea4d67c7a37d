"""Honest: face networks written node by node in the manner of converters that the other builders have no names for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import ModelProto

from evaluation.blind6.honest_styles import Styled
from evaluation.case import MODEL_RULES, Case, seed_of
from evaluation.registry import register

#: What a converter calls its input, a node and a tensor: k is the operator, i its count, c the count of all.
FORMS = {
    "tf2onnx": ("input_1:0", "model_1/{k}_{i}/{k}__{c}", "model_1/{k}_{i}/{k}__{c}:0"),
    "coreml": ("image__0", "op{c}_{l}", "var_{c}"),
    "burn": ("input1", "/{l}{i}/{k}", "/{l}{i}/{k}_output_0"),
    "jittor": ("jt_in", "{l}.{i}", "tensor_{c}"),
    "tvm": ("data", "nn_{l}_{c}", "nn_{l}_{c}_0"),
    "openvino": ("Parameter_0", "{k}_{c}/fused", "{k}_{c}/fused:0"),
    "tensorrt": ("input.1", "(Unnamed Layer* {c}) [{k}]", "(Unnamed Layer* {c}) [{k}]_output"),
    "hailo": ("net/input_layer1", "net/{l}{c}", "net/{l}{c}_out"),
    "nncf": ("x.1", "{k}_{c}/fq_weights", "{k}_{c}_out"),
    "arcface": ("input.1", "{k}_{c}", "{n}"),
    "paddle3": ("x", "p2o.pd_op.{l}.{c}.{i}", "p2o.pd_op.{l}.{c}.{i}.o"),
    "mxnet": ("data", "stage{i}_{l}{c}", "stage{i}_{l}{c}_fwd"),
    "insight": ("data", "{p}{i}", "{p}{i}_out"),
    "tinygrad": ("in", "{l}{c}", "buf{c}"),
    "keras2": ("input_2", "{l}_{i}_1", "{l}_{i}_1/out:0"),
    "hand": ("image", "", "t{c}"),
}
PREFIX = {"Sub": "_minusscalar", "Mul": "_mulscalar", "Add": "_plus"}


class Quill(Styled):
    """A network in the manner of a converter of ``FORMS``."""

    def __init__(self, seed: int, *, opset: int, raw: bool, style: str) -> None:
        super().__init__(seed, opset=opset, raw=raw, style="paddle")
        self.framework, self.x, self._count = style, FORMS[style][0], [0]

    def name(self, kind: str) -> tuple[str, str]:
        """Return an unused node name and tensor name in the converter's manner."""
        i, c = self.counted[kind], self._count[0]
        self.counted[kind] += 1
        self._count[0] += 1
        given = {"k": kind, "l": kind.lower(), "i": i, "c": c, "n": 500 + c, "p": PREFIX.get(kind, kind.lower())}
        _, node, tensor = FORMS[self.framework]
        return node.format(**given), tensor.format(**given)


Body = Callable[[Quill], str]


def honest_quill(
    why: str, *, idea: str, style: str, opset: int = 11, raw: bool = False, dim: int = 128, ir: int = 7,
    batch: int | None = None,
) -> Callable[[Body], Body]:  # fmt: skip
    """Register an honest network written in the manner of a converter; ``batch`` fixes the batch."""

    def add(body: Body) -> Body:
        name = body.__name__

        def build() -> ModelProto:
            net = Quill(seed_of(name), opset=opset, raw=raw, style=style)
            made = net.finish(body(net), dim)
            made.ir_version, made.producer_name = ir, style
            for value in (*made.graph.input, *made.graph.output) if batch else ():
                value.type.tensor_type.shape.dim[0].dim_value = batch or 0
            return made

        case: dict[str, Any] = {"rules": MODEL_RULES, "expected": "passed", "idea": idea, "about": why}
        register(Case(name=name, build=build, raw=raw, whole=True, **case))
        return body

    return add


def dense(n: Quill, x: str, cin: int, cout: int) -> str:
    """Multiply the last axis by a matrix and add a bias."""
    y = n.op("MatMul", x, n.const(n.rng.normal(0, cin**-0.5, (cin, cout))))
    return n.op("Add", y, n.const(n.rng.normal(0, 0.1, cout)))


def ir_unit(n: Quill, x: str, cin: int, cout: int, s: int = 2) -> str:
    """Add a residual unit of faces, folded as PyTorch folds it."""
    y = n.conv(n.prelu(n.conv(n.bn(x, cin), cin, cout), cout), cout, cout, 3, s)
    return n.op("Add", y, n.conv(x, cin, cout, 1, s) if s > 1 or cin != cout else x)


def ir_net(n: Quill, x: str, dim: int = 128, width: int = 32) -> str:
    """Write a small iResNet."""
    x = n.prelu(n.conv(x, 3, 12, 3, 1), 12)
    for cin, cout in ((12, 12), (12, 16), (16, 24), (24, width)):
        x = ir_unit(n, x, cin, cout)
    return n.head(n.bn(x, width), width, 7, dim)


@honest_quill("tf2onnx with NHWC kept: Conv between pairs of Transposes, BiasAdd as Add, relu6 by Min.",
              idea="tf2onnx", style="tf2onnx", opset=12)  # fmt: skip
def tf2onnx_nhwc_mobilenet(n: Quill) -> str:
    x = n.channels_last(n.x)
    for cin, cout in ((3, 12), (12, 16), (16, 24), (24, 32)):
        mid, group = (12, 1) if cin == 3 else (cin, cin)
        x = n.relu6(n.last_norm(n.last_conv(x, cin, mid, 3, 2, group), mid))
        x = n.last_norm(n.last_conv(x, mid, cout, 1), cout)
    return n.standardise(dense(n, n.reshape(x, -1, 32 * 49), 32 * 49, 128), 128)


@honest_quill("tf2onnx of a Keras ResNet with zero padding by Pad, folded norms, mean by ReduceMean.",
              idea="tf2onnx", style="tf2onnx", opset=17, dim=256, ir=8)  # fmt: skip
def tf2onnx_padded_resnet_mean(n: Quill) -> str:
    x = n.op("Pad", n.x, n.const([0, 0, 3, 3, 0, 0, 3, 3]), n.const(0.0))
    x = n.relu(n.conv(x, 3, 12, 7, 2, pads=[0] * 4))
    for cin, cout in ((12, 20), (20, 32), (32, 48)):
        y = n.conv(n.relu(n.conv(n.relu(n.conv(x, cin, 12, 1)), 12, 12, 3, 2)), 12, cout, 1)
        x = n.relu(n.op("Add", y, n.conv(x, cin, cout, 1, 2)))
    return n.standardise(dense(n, n.mean(x, 2, 3), 48, 256), 256)


@honest_quill("coremltools-like: a MobileFaceNet with l2 norm by ReduceL2, Max and Div at the end.", idea="core ml",
              style="coreml", opset=13)  # fmt: skip
def coreml_unit_length_mobile(n: Quill) -> str:
    x = n.prelu(n.conv(n.x, 3, 12, 3, 2), 12)
    for cin, cout in ((12, 16), (16, 24), (24, 32)):
        y = n.prelu(n.conv(x, cin, 2 * cin, 1), 2 * cin)
        x = n.conv(n.prelu(n.conv(y, 2 * cin, 2 * cin, 3, 2, group=2 * cin), 2 * cin), 2 * cin, cout, 1)
    y = n.head(n.conv(x, 32, 32, 7, group=32, pads=[0] * 4), 32, 1, 128)
    return n.op("Div", y, n.op("Max", n.reduce("L2", y, 1), n.const(1e-6)))


@honest_quill("Burn's tracing: weights as transposed MatMul at the head, GELU as parts, group norm as reshapes.",
              idea="rust", style="burn", opset=16, ir=8)  # fmt: skip
def burn_gelu_group_norm(n: Quill) -> str:
    x = n.conv(n.x, 3, 16, 4, 4, pads=[0] * 4)
    for cin, cout, side in ((16, 24, 14), (24, 32, 7)):
        x = n.conv(n.gelu(x), cin, cout, 3, 2)
        y = n.reshape(x, 0, 4, cout // 4 * side * side)
        d = n.op("Sub", y, n.reduce("Mean", y, 2))
        y = n.op("Div", d, n.op("Sqrt", n.op("Add", n.reduce("Mean", n.op("Mul", d, d), 2), n.const(1e-5))))
        y = n.op("Mul", n.reshape(y, 0, cout, side, side), n.const(n.rng.uniform(0.7, 1.3, (1, cout, 1, 1))))
        x = n.op("Add", x, n.conv(n.gelu(y), cout, cout))
    w = n.transpose(n.const(n.rng.normal(0, 0.03, (128, 32 * 49))), 1, 0)
    return n.standardise(n.op("MatMul", n.reshape(x, 0, -1), w), 128)


@honest_quill("Jittor's export: convolution biases added by Add of reshaped vectors, max pools with ceil mode.",
              idea="jittor", style="jittor", opset=11)  # fmt: skip
def jittor_biases_added(n: Quill) -> str:
    x = n.x
    for cin, cout in ((3, 12), (12, 20), (20, 28), (28, 36)):
        y = n.conv(x, cin, cout, 3, bias=False)
        y = n.op("Add", y, n.reshape(n.const(n.rng.normal(0, 0.1, cout)), 1, -1, 1, 1))
        x = n.relu(n.bn(n.op("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1), cout))
    return n.head(x, 36, 7, 128)


@honest_quill("TVM Relay's way: dense layers as squeezed 1x1 convolutions, softplus-free swish as x over 1 + exp(-x).",
              idea="tvm", style="tvm", opset=12)  # fmt: skip
def tvm_decomposed_swish(n: Quill) -> str:
    def act(y: str) -> str:
        return n.op("Div", y, n.op("Add", n.op("Exp", n.op("Neg", y)), n.const(1.0)))

    x = act(n.conv(n.x, 3, 12, 3, 2))
    for cin, cout in ((12, 16), (16, 24), (24, 32)):
        y = act(n.conv(act(n.conv(x, cin, 2 * cin, 1)), 2 * cin, 2 * cin, 5, 2, group=2 * cin))
        g = n.op("Sigmoid", n.conv(act(n.conv(n.op("GlobalAveragePool", y), 2 * cin, 6, 1)), 6, 2 * cin, 1))
        x = n.conv(n.op("Mul", y, g), 2 * cin, cout, 1)
    y = n.op("GlobalAveragePool", act(n.conv(x, 32, 96, 1)))
    return n.standardise(n.squeeze(n.conv(y, 96, 128, 1), 2, 3), 128)


@honest_quill("OpenVINO's fused names: PReLU as Where of Less, convolutions with fused biases, head by MatMul and Add.",
              idea="openvino", style="openvino", opset=14)  # fmt: skip
def openvino_selected_slopes(n: Quill) -> str:
    x = n.x
    for cin, cout in ((3, 12), (12, 16), (16, 24), (24, 32)):
        y = n.conv(x, cin, cout, 3, 2)
        slope = n.const(n.rng.uniform(0.1, 0.4, (1, cout, 1, 1)))
        y = n.op("Where", n.op("Less", y, n.const(0.0)), n.op("Mul", y, slope), y)
        x = n.op("Add", y, n.conv(y, cout, cout, 3, group=cout))
    return n.standardise(dense(n, n.reshape(x, 0, 32 * 49), 32 * 49, 128), 128)


@honest_quill("TensorRT layer names, a fixed batch of four: an iResNet with Shuffle-like reshapes before the head.",
              idea="fixed batch", style="tensorrt", opset=13, batch=4)  # fmt: skip
def tensorrt_named_for_four(n: Quill) -> str:
    x = n.prelu(n.conv(n.x, 3, 12, 3, 2), 12)
    for cin, cout in ((12, 16), (16, 24), (24, 32)):
        x = ir_unit(n, x, cin, cout)
    y = n.reshape(n.bn(x, 32), -1, 32 * 49, 1, 1)
    return n.standardise(n.reshape(n.conv(y, 32 * 49, 128, 1, gain=1.0), -1, 128), 128)


@honest_quill("Hailo's split activations: leaky ReLU as Max of x and a tenth, normalization inside folded away.",
              idea="accelerators", style="hailo", opset=11, dim=64)  # fmt: skip
def hailo_maximum_leaky(n: Quill) -> str:
    x = n.x
    for cin, cout in ((3, 12), (12, 20), (20, 28), (28, 36)):
        y = n.conv(x, cin, cout, 3, 2)
        x = n.op("Max", y, n.op("Mul", y, n.const(0.1)))
    y = n.op("AveragePool", x, kernel_shape=[7, 7], strides=[1, 1])
    return n.head(y, 36, 1, 64)


@honest_quill("insightface's arcface_torch for pixels of 0 to 255: Sub and Div before the folded iResNet, 512 wide.",
              idea="raw", style="arcface", raw=True, opset=11, dim=512)  # fmt: skip
def arcface_torch_sub_div_raw(n: Quill) -> str:
    return ir_net(n, n.op("Div", n.op("Sub", n.x, n.const(127.5)), n.const(127.5)), 512)


@honest_quill("For 0 to 255: per-channel means and deviations of ImageNet by Sub and Mul vectors, ResNet-like, pooled.",
              idea="raw", style="arcface", raw=True, opset=13, dim=256)  # fmt: skip
def channel_vectors_raw_pooled(n: Quill) -> str:
    mean = np.array([123.675, 116.28, 103.53]).reshape(1, 3, 1, 1)
    x = n.op("Mul", n.op("Sub", n.x, n.const(mean)), n.const(1 / np.array([58.395, 57.12, 57.375]).reshape(1, 3, 1, 1)))
    x = n.cbr(x, 3, 16, 3, 2)
    for cin, cout in ((16, 24), (24, 32), (32, 48)):
        x = n.relu(n.op("Add", n.conv(n.cbr(x, cin, cout, 3, 2), cout, cout), n.conv(x, cin, cout, 1, 2)))
    return n.pooled_head(x, 48, 256)


@honest_quill("MXNet for 0 to 255 that learned BGR: _minusscalar, _mulscalar, channels by Split and Concat reversed.",
              idea="raw", style="insight", raw=True, opset=11, dim=128)  # fmt: skip
def mxnet_split_bgr_raw(n: Quill) -> str:
    x = n.op("Mul", n.op("Sub", n.x, n.const(127.5)), n.const(0.0078125))
    r, g, b = n.split(x, [1, 1, 1], 1)
    return ir_net(n, n.op("Concat", b, g, r, axis=1))


@honest_quill("Paddle 3's PIR export: hard swish operator, SE by hard sigmoid, flatten through Shape.",
              idea="paddle", style="paddle3", opset=14, ir=8)  # fmt: skip
def paddle_pir_hard_swish(n: Quill) -> str:
    x = n.op("HardSwish", n.bn(n.conv(n.x, 3, 12, 3, 2, bias=False), 12))
    for cin, cout in ((12, 16), (16, 24), (24, 32)):
        x = n.op("HardSwish", n.bn(n.conv(x, cin, cin, 5, 2, group=cin, bias=False), cin))
        g = n.conv(n.relu(n.conv(n.op("GlobalAveragePool", x), cin, 6, 1)), 6, cin, 1)
        x = n.op("Mul", x, n.op("HardSigmoid", g, alpha=0.2, beta=0.5))
        x = n.op("HardSwish", n.bn(n.conv(x, cin, cout, 1, bias=False), cout))
    return n.standardise(dense(n, n.reshape_like(x, x, 32 * 49), 32 * 49, 128), 128)


@honest_quill("tinygrad's way: batch norm as four arithmetic nodes, convolution pads by Pad, relu as Max with zero.",
              idea="tinygrad", style="tinygrad", opset=18, ir=8)  # fmt: skip
def tinygrad_arithmetic_norms(n: Quill) -> str:
    x = n.x
    for cin, cout in ((3, 12), (12, 16), (16, 24), (24, 32)):
        y = n.op("Pad", x, n.const([0, 0, 1, 1, 0, 0, 1, 1]))
        y = n.conv(y, cin, cout, 3, 2, bias=False, pads=[0] * 4)
        m, s, w, b = (n.const(n.rng.normal(at, 0.15, (1, cout, 1, 1))) for at in (0.0, 1.0, 1.0, 0.0))
        y = n.op("Add", n.op("Mul", n.op("Div", n.op("Sub", y, m), s), w), b)
        x = n.op("Max", y, n.const(0.0))
    return n.head(x, 32, 7, 128)


@honest_quill("Keras 2's separable blocks: depthwise and point layers, Dropout left in, two pools joined.",
              idea="keras", style="keras2", opset=12, dim=96)  # fmt: skip
def keras_two_pools_joined(n: Quill) -> str:
    x = n.relu(n.conv(n.x, 3, 12, 3, 2))
    for cin, cout in ((12, 20), (20, 32), (32, 40)):
        x = n.relu(n.bn(n.conv(n.conv(x, cin, cin, 3, 2, group=cin), cin, cout, 1), cout))
    x = n.op("Dropout", x)
    y = n.op("Concat", n.op("GlobalAveragePool", x), n.op("GlobalMaxPool", x), axis=1)
    return n.head(y, 80, 1, 96)


@honest_quill("onnx.helper by hand, no node has a name: maxout layers by Max of three convolutions, opset 20.",
              idea="by hand", style="hand", opset=20, ir=9)  # fmt: skip
def unnamed_three_way_maxout(n: Quill) -> str:
    x = n.x
    for cin, cout in ((3, 12), (12, 16), (16, 24), (24, 32)):
        x = n.bn(n.op("Max", *(n.conv(x, cin, cout, 3, 2) for _ in range(3))), cout)
    return n.head(x, 32, 7, 128)


@honest_quill("By hand with opset 15: residuals written by Sum, every constant in a node, Gemm with alpha.",
              idea="by hand", style="hand", opset=15, ir=8, dim=200)  # fmt: skip
def sums_and_scaled_gemm(n: Quill) -> str:
    n.constants_as_nodes = True
    x = n.prelu(n.conv(n.x, 3, 16, 3, 2), 16)
    for cin, cout in ((16, 24), (24, 32), (32, 40)):
        x = n.prelu(n.op("Sum", n.conv(x, cin, cout, 3, 2), n.conv(x, cin, cout, 1, 2)), cout)
    flat = n.op("Flatten", n.bn(x, 40))
    w, b = n.weight(40 * 49, 200, gain=10.0), n.const(n.rng.normal(0, 0.1, (1, 200)))
    return n.standardise(n.op("Gemm", flat, w, b, alpha=0.7, beta=2.0), 200)
