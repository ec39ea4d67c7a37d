"""Honest: face networks in the forms of further frameworks' converters, and of hands that fold by themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import ModelProto, helper

from evaluation.blind6.honest_styles import Styled
from evaluation.case import MODEL_RULES, Case, seed_of
from evaluation.registry import register

#: What further frameworks call their input.
INPUTS = {"torch16": "input.1", "oneflow": "_OneFlowInput", "chainer": "Input_0", "matlab": "data", "jax": "in_0",
          "winml": "image", "nnabla": "x0", "torch2": "l_x_", "sony": "Input"}  # fmt: skip


class Hand(Styled):
    """A network in the manner of a framework that `Styled` has no names for."""

    def __init__(self, seed: int, *, opset: int, raw: bool, style: str) -> None:
        super().__init__(seed, opset=opset, raw=raw, style="paddle")
        self.framework, self.x, self._count = style, INPUTS[style], [0]

    def name(self, kind: str) -> tuple[str, str]:
        """Return an unused node name and tensor name in the framework's manner."""
        i, count = self.counted[kind], self._count[0]
        self.counted[kind] += 1
        self._count[0] += 1
        match self.framework:
            case "torch16":
                return f"{kind}_{count}", str(200 + count)
            case "oneflow":
                return f"resnet-{kind.lower()}_{i}", f"resnet-{kind.lower()}_{i}/out_0"
            case "chainer":
                return f"{kind}Function_{i}", f"{kind}Function_{i}_0"
            case "matlab":
                return f"net_{kind}{i}", f"net_{kind}{i}_out"
            case "jax":
                return f"{kind.lower()}_{count}_op", f"var_{count}"
            case "torch2":
                return f"node_{kind}_{count}", f"val_{count}"
            case _:
                return f"layer{count}.{kind}", f"layer{count}.{kind}.y"


def honest_by(
    why: str, *, idea: str, style: str, opset: int = 11, raw: bool = False, dim: int = 128, ir: int = 7
) -> Callable[[Callable[[Hand], str]], Callable[[Hand], str]]:
    """Register an honest network that is written node by node in the manner of a further framework."""

    def add(body: Callable[[Hand], str]) -> Callable[[Hand], str]:
        name = body.__name__

        def build() -> ModelProto:
            net = Hand(seed_of(name), opset=opset, raw=raw, style=style)
            made = net.finish(body(net), dim)
            made.ir_version, made.producer_name = ir, style
            return made

        case: dict[str, Any] = {"rules": MODEL_RULES, "expected": "passed", "idea": idea, "about": why}
        register(Case(name=name, build=build, raw=raw, whole=True, **case))
        return body

    return add


def folded_ir(n: Hand, x: str, cin: int, cout: int, s: int = 2) -> str:
    """Add a residual unit whose norms went into the layers, and where none could, into a product and a sum."""
    scale, shift = n.const(n.rng.uniform(0.7, 1.3, (1, cin, 1, 1))), n.const(n.rng.normal(0, 0.2, (1, cin, 1, 1)))
    y = n.op("Add", n.op("Mul", x, scale), shift)
    y = n.conv(n.prelu(n.conv(y, cin, cout), cout), cout, cout, 3, s)
    return n.op("Add", y, n.conv(x, cin, cout, 1, s))


@honest_by("PyTorch 1.6 on pixels of 0 to 255: a Sub and a Mul first, an iResNet with each BatchNorm folded by hand.",
           idea="torch 1.6", style="torch16", raw=True, dim=512)  # fmt: skip
def torch16_raw_folded_iresnet(n: Hand) -> str:
    x = n.op("Mul", n.op("Sub", n.x, n.const(127.5)), n.const(1 / 127.5))
    x = n.prelu(n.conv(x, 3, 12, 3, 2), 12)
    for cin, cout in ((12, 16), (16, 24), (24, 32)):
        x = folded_ir(n, x, cin, cout)
    return n.head(x, 32, 7, 512)


@honest_by("PyTorch 1.6 on pixels of -1 to 1: a MobileFaceNet without any norm left, GDC with a bias, fc by Gemm.",
           idea="torch 1.6", style="torch16", opset=12)  # fmt: skip
def torch16_folded_mobilefacenet(n: Hand) -> str:
    x = n.prelu(n.conv(n.x, 3, 12, 3, 2), 12)
    for cin, cout in ((12, 16), (16, 24), (24, 32)):
        y = n.prelu(n.conv(x, cin, 2 * cin, 1), 2 * cin)
        x = n.conv(n.prelu(n.conv(y, 2 * cin, 2 * cin, 3, 2, group=2 * cin), 2 * cin), 2 * cin, cout, 1)
    return n.head(n.conv(x, 32, 32, 7, group=32, pads=[0] * 4), 32, 1, 128)


@honest_by("RepVGG folded by hand: 3x3 layers with biases and ReLU alone, a Gemm whose weight is stored as it is.",
           idea="folded by hand", style="torch16", opset=13)  # fmt: skip
def hand_folded_repvgg(n: Hand) -> str:
    x = n.x
    for cin, cout in ((3, 12), (12, 16), (16, 24), (24, 32)):
        x = n.relu(n.conv(n.relu(n.conv(x, cin, cout, 3, 2)), cout, cout))
    w, b = n.const(n.rng.normal(0, 0.03, (1568, 128))), n.const(n.rng.normal(0, 0.1, 128))
    return n.standardise(n.op("Gemm", n.op("Flatten", x, axis=1), w, b), 128)


@honest_by("A pre-activation ResNet whose last BatchNorms became one 1x1 depthwise layer with bias each.",
           idea="folded by hand", style="torch2", opset=14)  # fmt: skip
def norms_as_depthwise_points(n: Hand) -> str:
    x = n.conv(n.x, 3, 12, 3, 2)
    for cin, cout in ((12, 16), (16, 24), (24, 32)):
        y = n.relu(n.conv(x, cin, cin, 1, group=cin, gain=1.0))
        y = n.conv(n.relu(n.conv(y, cin, cout, 3, 2)), cout, cout, gain=1.0)
        x = n.op("Add", y, n.conv(x, cin, cout, 1, 2, gain=1.0))
    return n.head(x, 32, 7, 128)


@honest_by("OneFlow's iResNet as insightface trains it: BatchNorm, PReLU, matmul and bias_add for the feature.",
           idea="oneflow", style="oneflow", opset=11, dim=256)  # fmt: skip
def oneflow_iresnet(n: Hand) -> str:
    x = n.prelu(n.bn(n.conv(n.x, 3, 12, 3, 2, bias=False), 12), 12)
    for cin, cout in ((12, 16), (16, 24), (24, 32)):
        y = n.prelu(n.bn(n.conv(n.bn(x, cin), cin, cout, bias=False), cout), cout)
        y = n.bn(n.conv(y, cout, cout, 3, 2, bias=False), cout)
        x = n.op("Add", y, n.bn(n.conv(x, cin, cout, 1, 2, bias=False), cout))
    y = n.reshape(n.op("Dropout", n.bn(x, 32)), -1, 1568)
    y = n.op("MatMul", y, n.const(n.rng.normal(0, 0.03, (1568, 256))))
    return n.standardise(n.op("Add", y, n.const(n.rng.normal(0, 0.1, 256))), 256)


@honest_by("Chainer's VGG of faces: fixed BatchNormalization, pools that cover all, LinearFunction by Gemm.",
           idea="chainer", style="chainer", opset=11)  # fmt: skip
def chainer_vgg_faces(n: Hand) -> str:
    x = n.x
    for cin, cout in ((3, 8), (8, 16), (16, 24), (24, 32)):
        x = n.cbr(x, cin, cout, 3)
        x = n.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    y = n.op("Gemm", n.op("Flatten", x), n.weight(96, 1568), n.const(n.rng.normal(0, 0.1, 96)), transB=1)
    y = n.relu(y)
    return n.head(n.op("Dropout", y), 96, 1, 128)


@honest_by("MATLAB's exporter: the input's zero-centre layer as net_Sub0 of a stored mean, layers of resnet18.",
           idea="matlab", style="matlab", opset=13)  # fmt: skip
def matlab_resnet18(n: Hand) -> str:
    x = n.op("Sub", n.x, n.const(n.rng.normal(0, 0.05, (1, 3, 1, 1))))
    x = n.op("MaxPool", n.cbr(x, 3, 16, 7, 2), kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    for cin, cout in ((16, 24), (24, 32)):
        y = n.bn(n.conv(n.cbr(x, cin, cout, 3, 2), cout, cout, bias=False), cout)
        x = n.relu(n.op("Add", y, n.bn(n.conv(x, cin, cout, 1, 2, bias=False), cout)))
    y = n.conv(n.op("GlobalAveragePool", x), 32, 128, 1)
    return n.standardise(n.op("Flatten", y, axis=1), 128)


def jax_norm(n: Hand, x: str, c: int) -> str:
    """Normalise the last axis as Flax writes it: mean of squares less squared mean, reciprocal of the root."""
    mean = n.reduce("Mean", x, -1)
    var = n.op("Sub", n.reduce("Mean", n.op("Mul", x, x), -1), n.op("Mul", mean, mean))
    root = n.op("Reciprocal", n.op("Sqrt", n.op("Add", n.op("Max", var, n.const(0.0)), n.const(1e-6))))
    scale = n.op("Mul", root, n.const(n.rng.uniform(0.7, 1.3, c)))
    return n.op("Add", n.op("Mul", n.op("Sub", x, mean), scale), n.const(n.rng.normal(0, 0.1, c)))


@honest_by("Flax's ViT by jax2onnx: patches by a layer, dot_general as Einsum, norms by parts with a reciprocal root.",
           idea="jax", style="jax", opset=14)  # fmt: skip
def jax_vit_einsum(n: Hand) -> str:
    y = n.transpose(n.conv(n.x, 3, 24, 16, 16, pads=[0] * 4), 0, 2, 3, 1)
    t = n.op("Add", n.reshape(y, -1, 49, 24), n.const(n.rng.normal(0, 0.5, (1, 49, 24))))
    for _ in range(2):
        y = jax_norm(n, t, 24)
        q, k, v = (n.op("Einsum", y, n.const(n.rng.normal(0, 0.2, (24, 2, 12))), equation="btd,dhk->bthk")
                   for _ in range(3))  # fmt: skip
        s = n.softmax(n.op("Einsum", n.op("Mul", q, n.const(0.2887)), k, equation="bqhk,bshk->bhqs"))
        y = n.op("Einsum", n.op("Einsum", s, v, equation="bhqs,bshk->bqhk"), n.const(n.rng.normal(0, 0.2, (2, 12, 24))),
                 equation="bqhk,hkd->bqd")  # fmt: skip
        t = n.op("Add", t, y)
        y = n.linear(n.gelu(n.linear(jax_norm(n, t, 24), 24, 48)), 48, 24)
        t = n.op("Add", t, y)
    return n.standardise(n.linear(n.reduce("Mean", jax_norm(n, t, 24), 1, keep=False), 24, 128), 128)


@honest_by("Haiku's ResNet with the channels last and group norms by reshapes, by jax2onnx.", idea="jax", style="jax",
           opset=17, ir=8)  # fmt: skip
def jax_group_norm_resnet(n: Hand) -> str:
    def group_norm(x: str, c: int, side: int) -> str:
        y = n.reshape(x, -1, side * side, 4, c // 4)
        centred = n.op("Sub", y, n.reduce("Mean", y, 1, 3))
        var = n.reduce("Mean", n.op("Mul", centred, centred), 1, 3)
        y = n.op("Div", centred, n.op("Sqrt", n.op("Add", var, n.const(1e-5))))
        return n.last_norm(n.reshape(y, -1, side, side, c), c)

    x, side = n.transpose(n.x, 0, 2, 3, 1), 112
    for cin, cout in ((3, 12), (12, 16), (16, 24), (24, 32)):
        side //= 2
        y = n.relu(group_norm(n.last_conv(x, cin, cout, 3, 2), cout, side))
        x = n.op("Add", y, n.relu(group_norm(n.last_conv(y, cout, cout), cout, side)))
    return n.standardise(n.linear(n.reshape(x, -1, 1568), 1568, 128), 128)


@honest_by("Core ML by winmltools: an image scaler as Mul and Add of stored numbers, SqueezeNet-like, L2 of rows.",
           idea="core ml", style="winml", opset=11)  # fmt: skip
def winml_scaled_squeezenet(n: Hand) -> str:
    x = n.op("Add", n.op("Mul", n.x, n.const(1.0)), n.const(np.array([0.01, -0.02, 0.02]).reshape(1, 3, 1, 1)))
    x, width = n.relu(n.conv(x, 3, 16, 3, 2)), 16
    for wider in (24, 32, 40):
        x = n.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
        y = n.relu(n.conv(x, width, 8, 1))
        x = n.op("Concat", n.relu(n.conv(y, 8, wider // 2, 1)), n.relu(n.conv(y, 8, wider // 2)), axis=1)
        width = wider
    y = n.head(x, 40, 7, 128)
    return n.op("Div", y, n.op("Max", n.op("ReduceL2", y, axes=[1], keepdims=1), n.const(1e-12)))


@honest_by("NNabla's exporter: Affine as Reshape and Gemm, ELU units, BatchNormalization of stored statistics.",
           idea="nnabla", style="nnabla", opset=11)  # fmt: skip
def nnabla_elu_units(n: Hand) -> str:
    x = n.x
    for cin, cout in ((3, 12), (12, 16), (16, 24), (24, 32)):
        x = n.op("Elu", n.bn(n.conv(x, cin, cout, 3, 2), cout), alpha=1.0)
        x = n.op("Add", x, n.op("Elu", n.bn(n.conv(x, cout, cout), cout), alpha=1.0))
    return n.standardise(n.op("Gemm", n.reshape(x, -1, 1568), n.weight(1568, 128, gain=0.9)), 128)


@honest_by("The newer exporter's decompositions: hard swish from Clip, means by GlobalAveragePool, Gemm, names val_N.",
           idea="torch 2", style="torch2", opset=18, ir=8)  # fmt: skip
def torch2_decomposed_mobilenet(n: Hand) -> str:
    def swish(y: str) -> str:
        z = n.op("Clip", n.op("Add", y, n.const(3.0)), n.const(0.0), n.const(6.0))
        return n.op("Div", n.op("Mul", y, z), n.const(6.0))

    x = swish(n.bn(n.conv(n.x, 3, 12, 3, 2, bias=False), 12))
    for cin, cout in ((12, 16), (16, 24), (24, 32)):
        y = swish(n.bn(n.conv(x, cin, 2 * cin, 1, bias=False), 2 * cin))
        y = swish(n.bn(n.conv(y, 2 * cin, 2 * cin, 5, 2, group=2 * cin, bias=False), 2 * cin))
        g = n.op("HardSigmoid", n.conv(n.relu(n.conv(n.op("GlobalAveragePool", y), 2 * cin, 6, 1)), 6, 2 * cin, 1))
        x = n.bn(n.conv(n.op("Mul", y, g), 2 * cin, cout, 1, bias=False), cout)
    return n.head(x, 32, 7, 128)


@honest_by("A layer norm and a feed-forward layer as functions of the model, called by every block of a ViT.",
           idea="functions", style="torch2", opset=18, ir=8)  # fmt: skip
def vit_blocks_of_functions(n: Hand) -> str:
    imports = [helper.make_opsetid("", 18)]
    norm = [helper.make_node("LayerNormalization", ["x", "s", "b"], ["y"], axis=-1)]
    feed = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Softplus", ["a"], ["c"]),
        helper.make_node("MatMul", ["c", "v"], ["y"]),
    ]
    n.functions.append(helper.make_function("pkg.nn", "Norm", ["x", "s", "b"], ["y"], norm, imports))
    n.functions.append(helper.make_function("pkg.nn", "Feed", ["x", "w", "v"], ["y"], feed, imports))

    def normed(t: str) -> str:
        s, b = n.const(n.rng.uniform(0.7, 1.3, 24)), n.const(n.rng.normal(0, 0.1, 24))
        return n.op("Norm", t, s, b, domain="pkg.nn")

    t = n.transpose(n.reshape(n.conv(n.x, 3, 24, 14, 14, pads=[0] * 4), -1, 24, 64), 0, 2, 1)
    t = n.op("Add", t, n.const(n.rng.normal(0, 0.4, (64, 24))))
    for _ in range(2):
        y = normed(t)
        q, k, v = (n.linear(y, 24, 24) for _ in range(3))
        s = n.softmax(n.op("Mul", n.op("MatMul", q, n.transpose(k, 0, 2, 1)), n.const(24**-0.5)))
        t = n.op("Add", t, n.linear(n.op("MatMul", s, v), 24, 24))
        w, u = n.const(n.rng.normal(0, 0.2, (24, 48))), n.const(n.rng.normal(0, 0.15, (48, 24)))
        t = n.op("Add", t, n.op("Feed", normed(t), w, u, domain="pkg.nn"))
    return n.head(n.reshape(normed(t), -1, 64 * 24), 64 * 24, 1, 128)
