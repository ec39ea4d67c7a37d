"""Honest: networks in the manner of converters, and files as exporters and scripts leave them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from onnx import ModelProto, helper

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind4.register import honest_torch
from evaluation.blind6.honest_forms import by_onnxruntime, converted, honest_form, old_names, weights_as_nodes
from evaluation.blind6.honest_styles import Styled
from evaluation.case import MODEL_RULES, Case, seed_of
from evaluation.registry import register

#: What a converter calls its input, a node and a tensor: k is the operator, i its count, c the count of all.
PENS = {
    "keras2onnx": ("input_1_01", "{l}_{i}", "{l}_{i}_o{c}"),
    "tfkeras": ("images:0", "StatefulPartitionedCall/net/{l}_{i}/{k}", "StatefulPartitionedCall/net/{l}_{i}/{k}:0"),
    "p2o": ("x", "p2o.{k}.{i}", "{l}_{i}.tmp_{c}"),
    "gluon": ("data", "resnetv1_{p}{i}", "resnetv1_{p}{i}_fwd"),
    "script": ("pixels", "{k}_{c}", "t{c}"),
    "wolfram": ("Input", "Net/{c}/{k}", "Net.{c}.Output"),
    "onnxsim": ("input", "{k}_{c}", "{n}"),
    "vitis": ("input_1", "Net::Net/{k}[{l}]/{c}", "Net__{l}_{c}_fix"),
}
#: The beginnings by which a server finds that a network normalises the pixels itself.
SCALARS = {"Sub": "_minusscalar", "Mul": "_mulscalar"}


class Pen(Styled):
    """A network in the manner of a converter of ``PENS``."""

    def __init__(self, seed: int, *, opset: int, raw: bool, style: str) -> None:
        super().__init__(seed, opset=opset, raw=raw, style="paddle")
        self.framework, self.x, self._count = style, PENS[style][0], [0]

    def name(self, kind: str) -> tuple[str, str]:
        """Return an unused node name and tensor name in the converter's manner."""
        i, c = self.counted[kind], self._count[0]
        self.counted[kind] += 1
        self._count[0] += 1
        given = {"k": kind, "l": kind.lower(), "i": i, "c": c, "n": 300 + c, "p": kind.lower()}
        _, node, tensor = PENS[self.framework]
        named = f"{SCALARS[kind]}{i}" if self.framework == "gluon" and kind in SCALARS else node.format(**given)
        return named, tensor.format(**given)


def honest_pen(
    why: str, *, idea: str, style: str, opset: int = 11, raw: bool = False, dim: int = 128, ir: int = 7,
    batch: int | None = None,
) -> Callable[[Callable[[Pen], str]], Callable[[Pen], str]]:  # fmt: skip
    """Register an honest network written in the manner of a converter; ``batch`` fixes the batch."""

    def add(body: Callable[[Pen], str]) -> Callable[[Pen], str]:
        name = body.__name__

        def build() -> ModelProto:
            net = Pen(seed_of(name), opset=opset, raw=raw, style=style)
            made = net.finish(body(net), dim)
            made.ir_version, made.producer_name = ir, style
            for value in (*made.graph.input, *made.graph.output) if batch else ():
                value.type.tensor_type.shape.dim[0].dim_value = batch or 0
            return made

        case: dict[str, Any] = {"rules": MODEL_RULES, "expected": "passed", "idea": idea, "about": why}
        register(Case(name=name, build=build, raw=raw, whole=True, **case))
        return body

    return add


def dense(n: Pen, x: str, cin: int, cout: int) -> str:
    """Multiply the last axis by a matrix and add a bias."""
    y = n.op("MatMul", x, n.const(n.rng.normal(0, cin**-0.5, (cin, cout))))
    return n.op("Add", y, n.const(n.rng.normal(0, 0.1, cout)))


@honest_pen("keras2onnx of a DenseNet: a Transpose pair first, norms before layers, Concat of channels.",
            idea="keras", style="keras2onnx", opset=11)  # fmt: skip
def keras2onnx_dense_adjusted(n: Pen) -> str:
    x = n.cbr(n.channels_first(n.channels_last(n.x)), 3, 12, 3, 2)
    width = 12
    for _ in range(3):
        for _ in range(2):
            y = n.conv(n.relu(n.bn(x, width)), width, 8, 3, bias=False)
            x, width = n.op("Concat", x, y, axis=1), width + 8
        x = n.conv(n.relu(n.bn(x, width)), width, width // 2, 1, bias=False)
        x, width = n.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2]), width // 2
    return n.standardise(dense(n, n.reshape(x, -1, width * 49), width * 49, 128), 128)


@honest_pen("tf2onnx of a saved model: EfficientNet-Lite, one-sided Pads, Relu6 by Clip, a mean, L2 by parts.",
            idea="tf2onnx", style="tfkeras", opset=13, dim=96)  # fmt: skip
def tf2onnx_lite_one_sided_pads(n: Pen) -> str:
    def held(y: str) -> str:
        return n.op("Clip", y, n.const(0.0), n.const(6.0))

    x = held(n.conv(n.x, 3, 12, 3, 2, pads=[0, 0, 1, 1]))
    for cin, cout, k in ((12, 16, 3), (16, 24, 5), (24, 32, 3)):
        y = n.op("Pad", held(n.conv(x, cin, 2 * cin, 1)), n.const([0, 0, k // 2 - 1, k // 2 - 1, 0, 0, k // 2, k // 2]))
        y = held(n.conv(y, 2 * cin, 2 * cin, k, 2, group=2 * cin, pads=[0] * 4))
        x = n.conv(y, 2 * cin, cout, 1)
    y = n.standardise(dense(n, n.mean(x, 2, 3), 32, 96), 96)
    length = n.op("Max", n.reduce("Sum", n.op("Mul", y, y), 1), n.const(1e-12))
    return n.op("Div", y, n.op("Sqrt", length))


@honest_pen("Paddle2ONNX of PP-HGNet: chains of 3x3 layers joined, squeezed and gated, pool2d over all, fc by MatMul.",
            idea="paddle", style="p2o", opset=14, dim=256, ir=8)  # fmt: skip
def p2o_hgnet_joined_chains(n: Pen) -> str:
    x = n.cbr(n.x, 3, 12, 3, 2)
    for cin, cout in ((12, 20), (20, 28), (28, 40)):
        x = n.cbr(x, cin, cin, 3, 2)
        made, y, width = [x], x, cin
        for _ in range(3):
            y = n.cbr(y, width, 12, 3)
            made.append(y)
            width = 12
        x = n.cbr(n.op("Concat", *made, axis=1), cin + 36, cout, 1)
        x = n.op("Mul", x, n.op("Sigmoid", n.conv(n.op("GlobalAveragePool", x), cout, cout, 1)))
    y = n.reshape(n.op("GlobalAveragePool", x), 0, 40)
    return n.standardise(dense(n, y, 40, 256), 256)


@honest_pen("GluonCV's face ResNet for 0 to 255: _minusscalar0, _mulscalar0, colours reversed by one Slice of step -1.",
            idea="raw", style="gluon", raw=True, opset=11, dim=256)  # fmt: skip
def gluon_backward_slice_raw(n: Pen) -> str:
    x = n.op("Mul", n.op("Sub", n.x, n.const(127.5)), n.const(0.0078125))
    x = n.prelu(n.bn(n.conv(n.slice(x, [-1], [-4], [1], [-1]), 3, 12, 3, 2, bias=False), 12), 12)
    for cin, cout in ((12, 16), (16, 24), (24, 32)):
        y = n.prelu(n.bn(n.conv(n.bn(x, cin), cin, cout, 3, bias=False), cout), cout)
        y = n.bn(n.conv(y, cout, cout, 3, 2, bias=False), cout)
        x = n.op("Add", y, n.bn(n.conv(x, cin, cout, 1, 2, bias=False), cout))
    return n.head(n.bn(x, 32), 32, 7, 256)


@honest_pen("onnx.helper by hand for 0 to 255 at opset 18: Sub and Mul, then ConvNeXt with LayerNormalization nodes.",
            idea="raw", style="script", raw=True, opset=18, dim=64, ir=8)  # fmt: skip
def scripted_convnext_eighteen_raw(n: Pen) -> str:
    x = n.op("Mul", n.op("Sub", n.x, n.const(127.5)), n.const(1 / 128.0))
    x = n.conv(x, 3, 16, 4, 4, pads=[0] * 4)
    for cin, cout in ((16, 24), (24, 32)):
        y = n.layernorm(n.channels_last(n.conv(x, cin, cin, 7, group=cin)), cin)
        y = dense(n, n.gelu(dense(n, y, cin, 2 * cin)), 2 * cin, cin)
        x = n.conv(n.op("Add", x, n.channels_first(y)), cin, cout, 2, 2, pads=[0] * 4)
    y = n.layernorm(n.mean(x, 2, 3), 32)
    return n.standardise(dense(n, y, 32, 64), 64)


@honest_pen("Wolfram's NetChain: ElementwiseLayer ramps, ThreadingLayer sums, padded pools, a LinearLayer.",
            idea="wolfram", style="wolfram", opset=12, dim=128)  # fmt: skip
def wolfram_chain_of_layers(n: Pen) -> str:
    x = n.op("MaxPool", n.relu(n.bn(n.conv(n.x, 3, 12, 7, 2), 12)), kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    for cin, cout in ((12, 20), (20, 32)):
        y = n.bn(n.conv(n.op("Max", n.bn(n.conv(x, cin, cout, 3, 2), cout), n.const(0.0)), cout, cout, 3), cout)
        x = n.op("Max", n.op("Sum", y, n.conv(x, cin, cout, 1, 2)), n.const(0.0))
    return n.head(x, 32, 7, 128)


@honest_pen("Simplified by a tool, numbered tensors, a fixed batch of two: ShuffleNetV2 by Reshape and Split.",
            idea="fixed batch", style="onnxsim", opset=15, dim=128, batch=2)  # fmt: skip
def simplified_shuffle_for_two(n: Pen) -> str:
    x, side = n.cbr(n.x, 3, 16, 3, 2), 56
    for c in (16, 32):
        a = n.cbr(n.conv(x, c, c, 3, 2, group=c), c, c, 1)
        b = n.cbr(n.conv(n.cbr(x, c, c, 1), c, c, 3, 2, group=c), c, c, 1)
        side //= 2
        y = n.transpose(n.reshape(n.op("Concat", a, b, axis=1), -1, 2, c, side, side), 0, 2, 1, 3, 4)
        left, right = n.split(n.reshape(y, -1, 2 * c, side, side), [c, c], 1)
        right = n.cbr(n.conv(n.cbr(right, c, c, 1), c, c, 3, group=c), c, c, 1)
        x = n.op("Concat", left, right, axis=1)
    return n.head(n.cbr(x, 64, 32, 3, 2), 32, 7, 128)


@honest_pen("Vitis AI after training for few bits: powers of two, Round and Clip hold each activation, in float32.",
            idea="quantisers left in", style="vitis", opset=13, dim=128)  # fmt: skip
def vitis_power_of_two_steps(n: Pen) -> str:
    def fixed(y: str, step: float) -> str:
        y = n.op("Round", n.op("Mul", y, n.const(1 / step)))
        return n.op("Mul", n.op("Clip", y, n.const(-128.0), n.const(127.0)), n.const(step))

    x = fixed(n.conv(n.x, 3, 12, 3, 2), 0.03125)
    for cin, cout in ((12, 20), (20, 28), (28, 36)):
        x = fixed(n.relu(n.conv(x, cin, cout, 3, 2)), 0.0625)
        x = fixed(n.op("Add", x, n.conv(x, cout, cout, 3, group=cout)), 0.0625)
    return n.head(x, 36, 7, 128)


# ---- exporters of PyTorch


def renumbered(model: onnx.ModelProto) -> onnx.ModelProto:
    """Give every node an empty name and sort the stored weights by size, as a cleaning script does."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    for node in made.graph.node:
        node.name = ""
    stored = sorted(made.graph.initializer, key=lambda each: (int(np.prod(each.dims)), each.name))
    del made.graph.initializer[:]
    made.graph.initializer.extend(stored)
    return made


def stamped(model: onnx.ModelProto) -> onnx.ModelProto:
    """Add properties of a training run and the name of a compiler."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    helper.set_model_props(made, {"git": "a71c", "loss": "adaface", "dataset": "webface12m"})
    made.producer_name, made.producer_version = "modelopt", "0.11"
    return made


def imagenet_bgr(x: T) -> T:
    """Turn pixels of 0 to 255 to what a network expects that learned BGR with the numbers of ImageNet."""
    return ((x - torch.tensor([123.675, 116.28, 103.53]).reshape(1, 3, 1, 1)) * 0.0174).flip(1)


def centred(x: T) -> T:
    return (x - 127.5) * 0.008


@honest_form("A trained iResNet for 0 to 255 that learned BGR with ImageNet's numbers, old names, saved at opset 12.",
             idea="raw", trained=4, opset=12, forms=(old_names,),
             before=imagenet_bgr)  # fmt: skip
def imagenet_bgr_iresnet_raw(n: Net, x: T) -> T:
    y = n.cbp(x, 12, 3, 2)
    for w in (16, 24, 32):
        y = n.cb(n.cbp(n.bn(y), w), w, 3, 2) + n.cb(y, w, 1, 2)
    return n.embed(n.bn(y), 256)


@honest_form("Cleaned by a script: no node has a name and weights lie by size; a grouped ResNet with SiLU and gates.",
             idea="changed files", trained=3, opset=16, forms=(renumbered, stamped))  # fmt: skip
def nameless_weights_by_size(n: Net, x: T) -> T:
    y = F.silu(n.cb(x, 16, 3, 2))
    for w in (24, 32, 40):
        z = n.se(F.silu(n.cb(F.silu(n.cb(y, w, 1)), w, 3, 2, 8)))
        y = F.silu(n.cb(z, w, 1) + n.cb(F.avg_pool2d(y, 2), w, 1))
    return n.gdc(y, 128)


@honest_form("Saved by onnxruntime's optimiser: a hybrid of depthwise units and one attention block of deep places.",
             idea="changed files", opset=14, forms=(by_onnxruntime, weights_as_nodes))  # fmt: skip
def optimised_hybrid_of_two_kinds(n: Net, x: T) -> T:
    y = n.cbp(x, 16, 3, 2)
    for w in (20, 28, 32):
        y = n.inverted(y, w, 2)
    return n.gdc(grid(n.block(tokens(y)), 7, 7), 128)


@honest_form("For 0 to 255, converted upwards from opset 11 with old names: a VGG with PReLU, last map and mean.",
             idea="raw", trained=3, opset=11, forms=(converted(17), old_names), before=centred)  # fmt: skip
def raw_converted_vgg_two_pools(n: Net, x: T) -> T:
    y = n.cbp(x, 12, 3, 2)
    for w in (16, 24, 32):
        y = F.max_pool2d(n.cbp(y, w), 2)
    return n.embed(torch.cat([y.flatten(1), F.avg_pool2d(y, 7).flatten(1)], 1), 128)


@honest_torch("By torch.export at opset 20: inverted residuals with SimAM-like gates, an attention pool at the end.",
              idea="torch.export", trained=3, opset=20, dynamo=True)  # fmt: skip
def dynamo_inverted_attention_pool(n: Net, x: T) -> T:
    y = n.cbp(x, 16, 3, 2)
    for w in (20, 28, 36):
        y = n.inverted(y, w, 2)
    t = tokens(y)
    w = n.linear(torch.tanh(n.linear(t, 16)), 4).softmax(1)
    return n.bn(n.linear((w.transpose(1, 2) @ t).flatten(1), 128))


@honest_torch("By torch.export at opset 18, a fixed batch of one: ConvNeXt-like units with GELU and a flattened end.",
              idea="fixed batch", opset=18, dynamo=True, batch=1)  # fmt: skip
def dynamo_gelu_units_for_one(n: Net, x: T) -> T:
    y = n.conv(x, 16, 4, 4, padding=0)
    for w in (24, 32):
        y = y + n.conv(F.gelu(n.conv(n.bn(n.conv(y, int(y.shape[1]), 7, 1, -1)), 2 * w, 1)), int(y.shape[1]), 1)
        y = n.cb(y, w, 2, 2, padding=0)
    return n.embed(y, 128)


@honest_torch("By torch.export at opset 19: windows of strips, unflattened heads and a masked mean of the tokens.",
              idea="torch.export", opset=19, dynamo=True)  # fmt: skip
def dynamo_strips_and_masked_mean(n: Net, x: T) -> T:
    y = n.down(n.stem(x, 24), 32)
    for _ in range(2):
        t = n.block(y.permute(0, 2, 3, 1).reshape(-1, 14, 32))
        y = t.reshape(-1, 14, 14, 32).permute(0, 2, 1, 3).permute(0, 3, 1, 2)
    mask = torch.ones(14, 14)
    mask[:2, :2] = mask[:2, -2:] = 0.0
    return n.embed(torch.cat([(y * mask).sum((2, 3)) / mask.sum(), y.amax((2, 3))], 1), 192)
