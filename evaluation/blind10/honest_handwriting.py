"""Honest: face networks in the forms of converters and libraries that the earlier sets do not hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import ModelProto, helper

from evaluation.blind6.honest_styles import Styled, honest_styled
from evaluation.case import MODEL_RULES, Case, seed_of
from evaluation.registry import register

#: What each framework calls its input.
INPUTS = {"caffe2": "gpu_0/data_0", "megengine": "img", "tf1": "img_inputs:0", "keras3": "keras_tensor",
          "flux": "x_in", "pnnx": "in0", "torchlib": "arg0", "torch16": "input.1", "simplified": "actual_input",
          "tract": "source"}  # fmt: skip


class Manner(Styled):
    """A network in the manner of a framework that the other builders have no names for."""

    def __init__(self, seed: int, *, opset: int, raw: bool, style: str) -> None:
        super().__init__(seed, opset=opset, raw=raw, style="paddle")
        self.framework, self.x, self._count = style, INPUTS[style], [0]

    def name(self, kind: str) -> tuple[str, str]:
        """Return an unused node name and tensor name in the framework's manner."""
        i, count = self.counted[kind], self._count[0]
        self.counted[kind] += 1
        self._count[0] += 1
        match self.framework:
            case "caffe2":
                return "", f"gpu_0/res{i}_branch_{kind.lower()}_1"
            case "megengine":
                return f"{kind.lower()}_{count}_node", f"module.{kind.lower()}_{count}"
            case "tf1":
                scope = f"resnet_v1_50/block{i % 4}/unit_{count}/{kind}"
                return scope, f"{scope}:0"
            case "keras3":
                return f"functional_1/{kind.lower()}_{i}", f"functional_1/{kind.lower()}_{i}/out:0"
            case "flux":
                return f"chain_{count}", f"chain_{count}_{kind.lower()}"
            case "pnnx":
                return f"pnnx_expr_{count}" if kind in ("Add", "Mul") else f"{kind.lower()}_{i}", str(count + 1)
            case "torchlib":
                return f"aten_{kind.lower()}_{count}_n{i}", f"aten_{kind.lower()}_{count}"
            case "torch16":
                return f"{kind}_{count}", str(300 + count)
            case "tract":
                return f"{count}.{kind}", f"{count}.{kind}.0"
            case _:
                return f"{kind}{count}", f"{kind.lower()}{count}_out"


Body = Callable[[Manner], str]


def honest_in_manner(
    why: str, *, idea: str, style: str, opset: int = 11, raw: bool = False, dim: int = 128, ir: int = 7
) -> Callable[[Body], Body]:
    """Register an honest network that is written node by node in the manner of a further framework."""

    def add(body: Body) -> Body:
        name = body.__name__

        def build() -> ModelProto:
            net = Manner(seed_of(name), opset=opset, raw=raw, style=style)
            made = net.finish(body(net), dim)
            made.ir_version, made.producer_name = ir, style
            return made

        case: dict[str, Any] = {"rules": MODEL_RULES, "expected": "passed", "idea": idea, "about": why}
        register(Case(name=name, build=build, raw=raw, whole=True, **case))
        return body

    return add


def narrow(n: Styled, x: str, cin: int, cout: int, s: int) -> str:
    """Add MobileFaceNet's bottleneck with its norms kept."""
    y = n.prelu(n.bn(n.conv(x, cin, 2 * cin, 1, bias=False), 2 * cin), 2 * cin)
    y = n.prelu(n.bn(n.conv(y, 2 * cin, 2 * cin, 3, s, group=2 * cin, bias=False), 2 * cin), 2 * cin)
    y = n.bn(n.conv(y, 2 * cin, cout, 1, bias=False), cout)
    return n.op("Add", x, y) if s == 1 and cin == cout else y


@honest_styled("SFace of OpenCV's zoo: MXNet's MobileFaceNet for pixels of 0 to 255, a 7x7 depthwise end, fc1.",
               idea="mxnet", style="mxnet", raw=True, opset=11, dim=128)  # fmt: skip
def opencv_zoo_sface_raw(n: Styled) -> str:
    x = n.op("Mul", n.op("Sub", n.x, n.const(127.5)), n.const(0.0078125))
    x = n.prelu(n.bn(n.conv(x, 3, 12, 3, 2, bias=False), 12), 12)
    for cin, cout, s in ((12, 16, 2), (16, 16, 1), (16, 24, 2), (24, 32, 2)):
        x = narrow(n, x, cin, cout, s)
    x = n.prelu(n.bn(n.conv(x, 32, 64, 1, bias=False), 64), 64)
    x = n.bn(n.conv(x, 64, 64, 7, group=64, bias=False, pads=[0] * 4), 64)
    return n.head(x, 64, 1, 128)


@honest_styled("Insightface's Inception-ResNet of MXNet for pixels of 0 to 255: residuals scaled by a stored 0.17.",
               idea="mxnet", style="mxnet", raw=True, opset=12, dim=256)  # fmt: skip
def mxnet_inception_residual_raw(n: Styled) -> str:
    x = n.op("Mul", n.op("Sub", n.x, n.const(127.5)), n.const(0.0078125))
    x = n.relu(n.bn(n.conv(x, 3, 16, 3, 2, bias=False), 16))
    for cin, cout in ((16, 24), (24, 32), (32, 40)):
        x = n.relu(n.bn(n.conv(x, cin, cout, 3, 2, bias=False), cout))
        a = n.relu(n.bn(n.conv(x, cout, 8, 1, bias=False), 8))
        b = n.relu(n.bn(n.conv(x, cout, 8, 1, bias=False), 8))
        b = n.relu(n.bn(n.conv(b, 8, 8, kernel=(1, 7), bias=False), 8))
        b = n.relu(n.bn(n.conv(b, 8, 8, kernel=(7, 1), bias=False), 8))
        y = n.conv(n.op("Concat", a, b, axis=1), 16, cout, 1)
        x = n.relu(n.op("Add", x, n.op("Mul", y, n.const(0.17))))
    return n.head(n.op("Dropout", n.bn(x, 40)), 40, 7, 256)


@honest_in_manner("PyTorch 1.6 for pixels of 0 to 255: Sub, Mul, then the colours reversed, since it learned BGR.",
                  idea="colour order", style="torch16", raw=True, dim=512)  # fmt: skip
def torch16_raw_trained_on_bgr(n: Manner) -> str:
    x = n.op("Mul", n.op("Sub", n.x, n.const(127.5)), n.const(1 / 127.5))
    x = n.op("Gather", x, n.const([2, 1, 0]), axis=1)
    x = n.prelu(n.bn(n.conv(x, 3, 12, 3, 2, bias=False), 12), 12)
    for cin, cout in ((12, 16), (16, 24), (24, 32)):
        y = n.prelu(n.conv(n.bn(x, cin), cin, cout), cout)
        x = n.op("Add", n.conv(y, cout, cout, 3, 2), n.conv(x, cin, cout, 1, 2))
    return n.head(n.bn(x, 32), 32, 7, 512)


@honest_in_manner("A simplified export of a network that learned BGR: channels sliced backwards, RegNet-like groups.",
                  idea="colour order", style="simplified", opset=13)  # fmt: skip
def simplified_sliced_bgr_regnet(n: Manner) -> str:
    x = n.slice(n.x, [-1], [-4], [1], [-1])
    x = n.cbr(x, 3, 16, 3, 2)
    for cin, cout in ((16, 24), (24, 32), (32, 40)):
        y = n.cbr(n.cbr(x, cin, cout, 1), cout, cout, 3, 2, group=cout // 8)
        y = n.bn(n.conv(y, cout, cout, 1, bias=False), cout)
        x = n.relu(n.op("Add", y, n.bn(n.conv(x, cin, cout, 1, 2, bias=False), cout)))
    return n.head(x, 40, 7, 128)


@honest_in_manner("Caffe2's ResNet: SpatialBN kept, blobs without node names, a pool of 7, fc by Gemm.",
                  idea="caffe2", style="caffe2", opset=11)  # fmt: skip
def caffe2_spatial_norms(n: Manner) -> str:
    x = n.op("MaxPool", n.cbr(n.x, 3, 16, 7, 2), kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    for cin, cout in ((16, 24), (24, 40)):
        y = n.bn(n.conv(n.cbr(n.cbr(x, cin, 16, 1), 16, 16, 3, 2), 16, cout, 1, bias=False), cout)
        x = n.relu(n.op("Sum", y, n.bn(n.conv(x, cin, cout, 1, 2, bias=False), cout)))
    return n.head(n.op("AveragePool", x, kernel_shape=[7, 7]), 40, 1, 128)


@honest_in_manner("MegEngine's ShuffleNetV2 of faces: Reshape to five axes, Transpose, two Gathers as the split.",
                  idea="megengine", style="megengine", opset=12)  # fmt: skip
def megengine_shuffle_split(n: Manner) -> str:
    x, side = n.cbr(n.x, 3, 16, 3, 2), 56
    for c in (16, 32):
        side //= 2
        a = n.cbr(n.bn(n.conv(x, c, c, 3, 2, group=c, bias=False), c), c, c, 1)
        b = n.bn(n.conv(n.cbr(x, c, c, 1), c, c, 3, 2, group=c, bias=False), c)
        x = n.op("Concat", a, n.cbr(b, c, c, 1), axis=1)
        y = n.transpose(n.reshape(x, -1, c, 2, side * side), 2, 0, 1, 3)
        keep, work = (n.reshape(n.op("Gather", y, n.const(i), axis=0), -1, c, side, side) for i in (0, 1))
        work = n.bn(n.conv(n.cbr(work, c, c, 1), c, c, group=c, bias=False), c)
        x = n.op("Concat", keep, n.cbr(work, c, c, 1), axis=1)
    return n.head(n.cbr(x, 64, 48, 3, 2), 48, 7, 128)


@honest_in_manner("InsightFace_TF's frozen L-ResNet-E-IR: PReLU as relu and half of alpha times x less its modulus.",
                  idea="tf1", style="tf1", opset=11, dim=512)  # fmt: skip
def tf1_frozen_iresnet(n: Manner) -> str:
    def prelu(x: str, c: int) -> str:
        low = n.op("Mul", n.op("Sub", x, n.op("Abs", x)), n.const(n.rng.uniform(0.1, 0.4, c)))
        return n.op("Add", n.relu(x), n.op("Mul", low, n.const(0.5)))

    x = prelu(n.last_norm(n.last_conv(n.transpose(n.x, 0, 2, 3, 1), 3, 12), 12), 12)
    for cin, cout in ((12, 12), (12, 16), (16, 24), (24, 32)):
        y = prelu(n.last_norm(n.last_conv(n.last_norm(x, cin), cin, cout), cout), cout)
        y = n.last_norm(n.last_conv(y, cout, cout, 3, 2), cout)
        skip = n.op("AveragePool", n.channels_first(x), kernel_shape=[1, 1], strides=[2, 2])
        x = n.op("Add", y, n.last_norm(n.last_conv(n.channels_last(skip), cin, cout, 1), cout))
    y = n.op("MatMul", n.reshape(n.last_norm(x, 32), -1, 1568), n.const(n.rng.normal(0, 0.03, (1568, 512))))
    return n.standardise(n.op("Add", y, n.const(n.rng.normal(0, 0.1, 512))), 512)


@honest_styled("Keras: the server's normalisation undone, ImageNet's put in by a Normalization layer, ResNet50-like.",
               idea="keras", style="keras", opset=13, dim=128)  # fmt: skip
def keras_imagenet_normalization(n: Styled) -> str:
    x = n.op("Add", n.op("Mul", n.channels_last(n.x), n.const(0.5)), n.const(0.5))
    x = n.op("Div", n.op("Add", x, n.const([-0.485, -0.456, -0.406])), n.const([0.229, 0.224, 0.225]))
    x = n.relu(n.last_norm(n.last_conv(x, 3, 12, 7, 2), 12))
    for cin, cout in ((12, 16), (16, 24), (24, 32)):
        y = n.relu(n.last_norm(n.last_conv(x, cin, cin, 1), cin))
        y = n.last_norm(n.last_conv(n.relu(n.last_norm(n.last_conv(y, cin, cin, 3, 2), cin)), cin, cout, 1), cout)
        skip = n.op("MaxPool", n.channels_first(x), kernel_shape=[1, 1], strides=[2, 2])
        x = n.relu(n.op("Add", y, n.last_norm(n.last_conv(n.channels_last(skip), cin, cout, 1), cout)))
    y = n.op("MatMul", n.reduce("Mean", x, 1, 2, keep=False), n.const(n.rng.normal(0, 0.2, (32, 128))))
    return n.standardise(y, 128)


@honest_in_manner("Keras 3's ViT: EinsumDense projections with heads of their own, a reduced mean of all tokens.",
                  idea="keras 3", style="keras3", opset=15, ir=8)  # fmt: skip
def keras3_einsum_dense_vit(n: Manner) -> str:
    t = n.reshape(n.channels_last(n.conv(n.x, 3, 24, 14, 14, pads=[0] * 4)), -1, 64, 24)
    t = n.op("Add", t, n.const(n.rng.normal(0, 0.5, (64, 24))))
    for _ in range(2):
        y = n.layernorm(t, 24)
        q, k, v = (n.op("Add", n.op("Einsum", y, n.const(n.rng.normal(0, 0.2, (24, 3, 8))), equation="abc,cde->abde"),
                        n.const(n.rng.normal(0, 0.1, (3, 8)))) for _ in range(3))  # fmt: skip
        s = n.softmax(n.op("Einsum", k, n.op("Mul", q, n.const(8**-0.5)), equation="aecd,abcd->acbe"))
        y = n.op("Einsum", s, v, equation="acbe,aecd->abcd")
        t = n.op("Add", t, n.op("Einsum", y, n.const(n.rng.normal(0, 0.2, (3, 8, 24))), equation="abcd,cde->abe"))
        t = n.op("Add", t, n.linear(n.relu(n.linear(n.layernorm(t, 24), 24, 48)), 48, 24))
    return n.standardise(n.linear(n.mean(n.layernorm(t, 24), 1), 24, 128), 128)


@honest_in_manner("Flux's chain by ONNX.jl: leaky ReLU as a maximum of x and a hundredth of it, dense layers turned.",
                  idea="flux", style="flux", opset=11)  # fmt: skip
def flux_leaky_chain(n: Manner) -> str:
    x = n.x
    for cin, cout in ((3, 12), (12, 16), (16, 24), (24, 32)):
        y = n.conv(x, cin, cout, 3, 2)
        x = n.op("Max", y, n.op("Mul", y, n.const(0.01)))
    flat = n.op("Transpose", n.reshape(x, -1, 1568), perm=[1, 0])
    y = n.op("MatMul", n.const(n.rng.normal(0, 0.03, (128, 1568))), flat)
    y = n.op("Transpose", n.op("Add", y, n.const(n.rng.normal(0, 0.1, (128, 1)))), perm=[1, 0])
    return n.standardise(y, 128)


@honest_in_manner("pnnx to ONNX: MobileOne merged, gates of expressions, adaptive pools, one linear layer.",
                  idea="pnnx", style="pnnx", opset=14)  # fmt: skip
def pnnx_merged_mobileone(n: Manner) -> str:
    x = n.relu(n.conv(n.x, 3, 16, 3, 2))
    for cin, cout in ((16, 24), (24, 32), (32, 48)):
        y = n.conv(x, cin, cin, 3, 2, group=cin)
        g = n.op("Sigmoid", n.conv(n.relu(n.conv(n.op("GlobalAveragePool", y), cin, 8, 1)), 8, cin, 1))
        x = n.relu(n.conv(n.relu(n.op("Mul", y, g)), cin, cout, 1))
    return n.head(n.op("GlobalAveragePool", x), 48, 1, 128)


@honest_styled("PaddlePaddle's MobileFaceNet: biases reshaped and added, shape arithmetic before the fc.",
               idea="paddle", style="paddle", opset=12, dim=128)  # fmt: skip
def paddle_reshaped_biases(n: Styled) -> str:
    def biased(x: str, cin: int, cout: int, k: int, s: int = 1, group: int = 1) -> str:
        y = n.conv(x, cin, cout, k, s, group=group, bias=False)
        return n.op("Add", y, n.reshape(n.const(n.rng.normal(0, 0.1, cout)), 1, cout, 1, 1))

    x = n.prelu(biased(n.x, 3, 12, 3, 2), 12)
    for cin, cout in ((12, 16), (16, 24), (24, 32)):
        y = n.prelu(biased(n.prelu(biased(x, cin, 2 * cin, 1), 2 * cin), 2 * cin, 2 * cin, 3, 2, 2 * cin), 2 * cin)
        x = biased(y, 2 * cin, cout, 1)
    flat = n.reshape_like(n.op("Mul", x, n.const(n.rng.normal(0, 0.5, (1, 32, 7, 7)))), x, 1568)
    return n.standardise(n.linear(flat, 1568, 128), 128)


@honest_in_manner("An early export by torch.export: batch norm and addmm as functions of the torchlib domain.",
                  idea="torchlib functions", style="torchlib", opset=18, ir=8)  # fmt: skip
def torchlib_functions_iresnet(n: Manner) -> str:
    imports = [helper.make_opsetid("", 18)]
    norm = [helper.make_node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"], epsilon=1e-5)]
    addmm = [helper.make_node("Gemm", ["a", "b", "c"], ["y"], alpha=1.0, beta=1.0)]
    domain = "pkg.onnxscript.torch_lib"
    n.functions.append(helper.make_function(domain, "aten_norm", ["x", "s", "b", "m", "v"], ["y"], norm, imports))
    n.functions.append(helper.make_function(domain, "aten_addmm", ["c", "a", "b"], ["y"], addmm, imports))

    def normed(x: str, c: int) -> str:
        shifts = n.rng.normal(0, 0.2, (2, c))
        given = (n.rng.uniform(0.7, 1.3, c), *shifts, n.rng.uniform(0.5, 1.5, c))
        return n.op("aten_norm", x, *(n.const(value) for value in given), domain=domain)

    x = n.prelu(normed(n.conv(n.x, 3, 12, 3, 2, bias=False), 12), 12)
    for cin, cout in ((12, 16), (16, 24), (24, 32)):
        y = n.prelu(normed(n.conv(normed(x, cin), cin, cout, bias=False), cout), cout)
        y = normed(n.conv(y, cout, cout, 3, 2, bias=False), cout)
        x = n.op("Add", y, normed(n.conv(x, cin, cout, 1, 2, bias=False), cout))
    w, c = n.const(n.rng.normal(0, 0.03, (1568, 128))), n.const(n.rng.normal(0, 0.1, 128))
    return n.standardise(n.op("aten_addmm", c, n.op("Flatten", normed(x, 32)), w, domain=domain), 128)


@honest_in_manner("A checkpoint's class centres left among the initializers, read by nothing; VGG with ArcFace's head.",
                  idea="leftovers", style="tract", opset=13)  # fmt: skip
def class_centres_never_read(n: Manner) -> str:
    n.store("head.kernel", n.rng.normal(0, 0.05, (400, 128)).astype(np.float32))
    x = n.x
    for cin, cout in ((3, 8), (8, 16), (16, 24), (24, 32)):
        x = n.op("MaxPool", n.cbr(n.cbr(x, cin, cout), cout, cout), kernel_shape=[2, 2], strides=[2, 2])
    return n.head(x, 32, 7, 128)
