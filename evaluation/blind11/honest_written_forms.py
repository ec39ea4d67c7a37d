"""Honest: face networks written node by node in the manner of further converters, or with operators few use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import AttributeProto, ModelProto, NodeProto, helper

from evaluation.blind6.honest_styles import Styled
from evaluation.case import MODEL_RULES, Case, seed_of
from evaluation.registry import register

#: What each framework calls its input.
INPUTS = {"keras2onnx": "input_1_01", "optimum": "pixel_values", "onnxscript": "X", "surgeon": "Variable_in",
          "p2o": "x0", "mxnet2": "data", "torch14": "input.1", "ncnn": "data", "mnn": "in", "nnef": "external1",
          "dl4j": "input0", "sim": "input"}  # fmt: skip


class Pen(Styled):
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
            case "keras2onnx":
                return f"{kind.lower()}_{i}", f"{kind.lower()}_{i}/BiasAdd_{count}0"
            case "optimum":
                path = f"/encoder/layer.{count // 12}/{kind}_{i}"
                return path, f"{path}_output_0"
            case "onnxscript":
                return f"n{count}", f"tmp_{count}"
            case "surgeon":
                return f"OnnxGraphSurgeon_{kind}_{count}", f"Variable:{count}"
            case "p2o":
                return f"p2o.{kind}.{i}", f"p2o.{kind}.{i}.out"
            case "mxnet2":
                label = {"Sub": "_minusscalar", "Mul": "_mulscalar", "Add": "_plus"}.get(kind, kind.lower())
                return f"{label}{i}", f"{label}{i}_output"
            case "torch14":
                return f"{kind}_{count}", str(410 + count)
            case "ncnn":
                return f"{kind.lower()}_{count}", f"blob{count}"
            case "mnn":
                return f"{kind}{count}", f"{kind}{count}__tensor"
            case "nnef":
                return f"{kind.lower()}{count}", f"{kind.lower()}{count}_y"
            case "dl4j":
                return f"sd_{kind.lower()}_{count}", f"sd_{kind.lower()}_{count}_0"
            case _:
                return f"{kind}_{count}s", f"onnx::{kind}_{count}"


Body = Callable[[Pen], str]


def honest_pen(
    why: str, *, idea: str, style: str, opset: int = 11, raw: bool = False, dim: int = 128, ir: int = 7,
    batch: int | None = None,
) -> Callable[[Body], Body]:  # fmt: skip
    """Register an honest network written in the manner of a further framework; ``batch`` fixes the batch."""

    def add(body: Body) -> Body:
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


def trunk(n: Pen, x: str, *widths: int) -> str:
    """Stride down from the image by layers of 3x3 with norms and PReLU."""
    for cin, cout in zip((3, *widths), widths, strict=False):
        x = n.prelu(n.bn(n.conv(x, cin, cout, 3, 2, bias=False), cout), cout)
    return x


@honest_pen("keras2onnx's InceptionResNet stem: transposes at both ends, same-padding poolings, Identity at last.",
            idea="keras2onnx", style="keras2onnx", opset=11, ir=6)  # fmt: skip
def keras2onnx_inception_stem(n: Pen) -> str:
    x = n.relu(n.last_norm(n.last_conv(n.channels_last(n.x), 3, 12, 3, 2), 12))
    for cin, cout in ((12, 24), (24, 32), (32, 40)):
        a = n.last_conv(x, cin, cout - cin, 3, 2)
        b = n.channels_last(n.op("MaxPool", n.channels_first(x), kernel_shape=[3, 3], strides=[2, 2],
                                 auto_pad="SAME_UPPER"))  # fmt: skip
        x = n.relu(n.last_norm(n.op("Concat", a, b, axis=3), cout))
    y = n.op("Identity", dense(n, n.reshape(x, -1, 1960), 1960, 128))
    return n.standardise(y, 128)


@honest_pen("keras-vggface for pixels of 0 to 255: its BGR means by Sub, a Mul, VGG's pairs of layers.",
            idea="raw", style="torch14", raw=True, opset=11)  # fmt: skip
def keras_vggface_bgr_means(n: Pen) -> str:
    x = n.op("Sub", n.x, n.const(np.array([129.1863, 104.7624, 93.594]).reshape(1, 3, 1, 1)))
    x = n.op("Mul", x, n.const(0.0156))
    x = n.op("Gather", x, n.const([2, 1, 0]), axis=1)
    for cin, cout in ((3, 8), (8, 16), (16, 24), (24, 32)):
        x = n.op("MaxPool", n.relu(n.conv(n.relu(n.conv(x, cin, cout)), cout, cout)), kernel_shape=[2, 2],
                 strides=[2, 2])  # fmt: skip
    return n.head(x, 32, 7, 128)


@honest_pen("MXNet's network for pixels of 0 to 255: colours turned by slice_axis and concat, batch norm as scaling.",
            idea="raw", style="mxnet2", raw=True, opset=11, dim=256)  # fmt: skip
def mxnet_sliced_colours_raw(n: Pen) -> str:
    x = n.op("Mul", n.op("Sub", n.x, n.const(127.5)), n.const(0.0078125))
    x = n.op("Concat", *(n.cut(x, i, i + 1, 1) for i in (2, 1, 0)), axis=1)
    x = n.prelu(n.bn(n.conv(x, 3, 12, 3, 2, bias=False), 12), 12)
    for cin, cout in ((12, 16), (16, 24), (24, 32)):
        y = n.bn(n.conv(n.prelu(n.bn(n.conv(n.bn(x, cin), cin, cout, bias=False), cout), cout), cout, cout, 3, 2), cout)
        x = n.op("Add", y, n.bn(n.conv(x, cin, cout, 1, 2, bias=False), cout))
    return n.head(n.op("Dropout", n.bn(x, 32)), 32, 7, 256)


@honest_pen("Paddle2ONNX of PP-LCNetV2 for 0 to 255: Sub and Mul by hand, depthwise 5x5, hard swish by Clip, no SE.",
            idea="raw", style="torch14", raw=True, opset=13)  # fmt: skip
def lcnet_v2_raw_clip_swish(n: Pen) -> str:
    def swish(y: str) -> str:
        z = n.op("Clip", n.op("Add", y, n.const(3.0)), n.const(0.0), n.const(6.0))
        return n.op("Mul", y, n.op("Div", z, n.const(6.0)))

    x = swish(n.conv(n.op("Mul", n.op("Sub", n.x, n.const(127.5)), n.const(1 / 128)), 3, 12, 3, 2))
    for cin, cout in ((12, 16), (16, 24), (24, 32)):
        x = swish(n.conv(swish(n.conv(x, cin, cin, 5, 2, group=cin)), cin, cout, 1))
    return n.head(x, 32, 7, 128)


@honest_pen("Optimum's ViT of transformers: query, key and value apart, heads by Reshape and Transpose, tanh pooler.",
            idea="transformers", style="optimum", opset=14)  # fmt: skip
def optimum_vit_tanh_pooler(n: Pen) -> str:
    t = n.transpose(n.reshape(n.conv(n.x, 3, 24, 16, 16, pads=[0] * 4), 0, 24, 49), 0, 2, 1)
    size = n.op("Concat", n.unsqueeze(n.dim(n.x, 0), 0), n.const([1]), n.const([24]), axis=0)
    t = n.op("Concat", n.op("Expand", n.const(n.rng.normal(0, 0.5, (1, 1, 24))), size), t, axis=1)
    t = n.op("Add", t, n.const(n.rng.normal(0, 0.5, (1, 50, 24))))
    for _ in range(2):
        y = n.layernorm(t, 24)
        k, v, q = (n.transpose(n.reshape(dense(n, y, 24, 24), 0, 50, 2, 12), 0, 2, 1, 3) for _ in range(3))
        s = n.op("Div", n.op("MatMul", q, n.transpose(k, 0, 1, 3, 2)), n.const(12**0.5))
        y = n.reshape(n.transpose(n.op("MatMul", n.softmax(s), v), 0, 2, 1, 3), 0, 50, 24)
        t = n.op("Add", dense(n, y, 24, 24), t)
        t = n.op("Add", dense(n, n.gelu(dense(n, n.layernorm(t, 24), 24, 48)), 48, 24), t)
    first = n.op("Gather", n.layernorm(t, 24), n.const(0), axis=1)
    return n.standardise(n.op("Tanh", dense(n, first, 24, 128)), 128)


@honest_pen("Optimum's SegFormer encoder: strided keys by a layer and a norm, depthwise layer within the feed-forward.",
            idea="transformers", style="optimum", opset=17, ir=8)  # fmt: skip
def optimum_segformer_encoder(n: Pen) -> str:
    x, side = n.conv(n.x, 3, 16, 7, 4), 28
    for cin, c, stride in ((16, 24, 2), (24, 32, 1)):
        side //= 2
        m = side * side
        t = n.layernorm(n.transpose(n.reshape(n.conv(x, cin, c, 3, 2), 0, c, m), 0, 2, 1), c)
        y = n.layernorm(t, c)
        keys = y
        if stride > 1:
            low = n.conv(n.reshape(n.transpose(y, 0, 2, 1), 0, c, side, side), c, c, 2, 2, pads=[0] * 4)
            keys = n.layernorm(n.transpose(n.reshape(low, 0, c, m // 4), 0, 2, 1), c)
        s = n.op("MatMul", dense(n, y, c, c), n.transpose(dense(n, keys, c, c), 0, 2, 1))
        s = n.softmax(n.op("Mul", s, n.const(c**-0.5)))
        t = n.op("Add", t, dense(n, n.op("MatMul", s, dense(n, keys, c, c)), c, c))
        z = n.reshape(n.transpose(dense(n, n.layernorm(t, c), c, 2 * c), 0, 2, 1), 0, 2 * c, side, side)
        z = n.transpose(n.reshape(n.conv(z, 2 * c, 2 * c, 3, 1, group=2 * c), 0, 2 * c, m), 0, 2, 1)
        t = n.op("Add", t, dense(n, n.gelu(z), 2 * c, c))
        x = n.reshape(n.transpose(t, 0, 2, 1), 0, c, side, side)
    return n.head(x, 32, 7, 128)


def _reference(node: NodeProto, name: str) -> NodeProto:
    """Let an attribute of a node in a function be that of the call."""
    node.attribute.append(AttributeProto(name=name, ref_attr_name=name, type=AttributeProto.INTS))
    return node


@honest_pen("onnxscript: a residual unit as a function whose strides are an attribute of each call.",
            idea="functions", style="onnxscript", opset=18, ir=8)  # fmt: skip
def onnxscript_strides_of_the_call(n: Pen) -> str:
    body = [
        _reference(helper.make_node("Conv", ["x", "w"], ["a"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]), "strides"),
        helper.make_node("PRelu", ["a", "p"], ["b"]),
        helper.make_node("Conv", ["b", "v"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        _reference(helper.make_node("Conv", ["x", "u"], ["d"], kernel_shape=[1, 1]), "strides"),
        helper.make_node("Add", ["c", "d"], ["y"]),
    ]
    imports = [helper.make_opsetid("", 18)]
    domain, given = "this.faces", ["x", "w", "p", "v", "u"]
    n.functions.append(helper.make_function(domain, "Unit", given, ["y"], body, imports, attributes=["strides"]))
    x = n.x
    for cin, cout, s in ((3, 12, 2), (12, 16, 2), (16, 16, 1), (16, 24, 2), (24, 32, 2)):
        p = n.const(n.rng.uniform(0.1, 0.4, (cout, 1, 1)))
        w, v, u = n.weight(cout, cin, 3, 3), n.weight(cout, cout, 3, 3, gain=1.0), n.weight(cout, cin, 1, 1, gain=1.0)
        x = n.op("Unit", n.bn(x, cin), w, p, v, u, domain=domain, strides=[s, s])
    return n.head(x, 32, 7, 128)


@honest_pen("Graph surgery: group norms of features as InstanceNormalization of reshaped groups, ReLU6 as Clip.",
            idea="surgery", style="surgeon", opset=12)  # fmt: skip
def surgeon_reshaped_group_norms(n: Pen) -> str:
    x = n.conv(n.x, 3, 12, 3, 2)
    for cin, cout, side in ((12, 16, 28), (16, 24, 14), (24, 32, 7)):
        x = n.conv(x, cin, cout, 3, 2)
        y = n.reshape(x, 0, 4, cout // 4 * side * side)
        y = n.op("InstanceNormalization", y, n.const(np.ones(4)), n.const(np.zeros(4)), epsilon=1e-5)
        y = n.op("Mul", n.reshape(y, 0, cout, side, side), n.const(n.rng.uniform(0.7, 1.3, (cout, 1, 1))))
        y = n.op("Add", y, n.const(n.rng.normal(0, 0.2, (cout, 1, 1))))
        x = n.op("Add", n.conv(n.op("Clip", y, n.const(0.0), n.const(6.0)), cout, cout), x)
    return n.head(x, 32, 7, 128)


@honest_pen("A ResNet-vd by Paddle2ONNX: a stem of three, averages before the shortcut's layer, p2o names.",
            idea="paddle2onnx", style="p2o", opset=12, dim=256)  # fmt: skip
def p2o_resnet_vd(n: Pen) -> str:
    x = n.cbr(n.cbr(n.cbr(n.x, 3, 8, 3, 2), 8, 8), 8, 16)
    for i, (cin, cout) in enumerate(((16, 24), (24, 32), (32, 40))):
        y = n.bn(n.conv(n.cbr(x, cin, cout, 3, 2), cout, cout, bias=False), cout)
        skip = n.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=int(i > 0))
        x = n.relu(n.op("Add", y, n.bn(n.conv(skip, cin, cout, 1, bias=False), cout)))
    flat = n.reshape_like(n.op("GlobalAveragePool", x), x, 40)
    return n.standardise(dense(n, flat, 40, 256), 256)


@honest_pen("ncnn's names: an Inception-like face net, branches by Split copies, hard sigmoid gates.",
            idea="ncnn", style="ncnn", opset=11)  # fmt: skip
def ncnn_split_copies(n: Pen) -> str:
    x = trunk(n, n.x, 12, 20)
    for cin, cout in ((20, 28), (28, 36)):
        a, b, c = (n.op("Identity", x) for _ in range(3))
        y = n.op("Concat", n.conv(a, cin, 12, 1, 2), n.conv(b, cin, cout - 20, 3, 2), n.conv(c, cin, 8, 5, 2), axis=1)
        g = n.op("HardSigmoid", n.conv(n.op("GlobalAveragePool", y), cout, cout, 1), alpha=1 / 6, beta=0.5)
        x = n.relu(n.op("Mul", y, g))
    return n.head(x, 36, 7, 128)


@honest_pen("MNN's form: layers that are fully connected written as convolutions of 7x7 and 1x1, flattened at last.",
            idea="mnn", style="mnn", opset=11)  # fmt: skip
def mnn_convolutional_head(n: Pen) -> str:
    x = trunk(n, n.x, 12, 16, 24, 32)
    y = n.relu(n.conv(x, 32, 96, 7, pads=[0] * 4))
    return n.standardise(n.op("Flatten", n.conv(y, 96, 128, 1)), 128)


@honest_pen("NNEF-like: every activation by its parts, leaky ReLU by Where, softplus gates, sums of two poolings.",
            idea="nnef", style="nnef", opset=13)  # fmt: skip
def nnef_decomposed_activations(n: Pen) -> str:
    x = n.x
    for cin, cout in ((3, 12), (12, 16), (16, 24), (24, 32)):
        y = n.bn(n.conv(x, cin, cout, 3, 2, bias=False), cout)
        x = n.op("Where", n.op("Greater", y, n.const(0.0)), y, n.op("Mul", y, n.const(0.1)))
    z = n.op("Add", n.op("GlobalAveragePool", x), n.op("GlobalMaxPool", x))
    g = n.op("Log", n.op("Add", n.op("Exp", n.conv(z, 32, 32, 1)), n.const(1.0)))
    return n.head(n.op("Mul", x, g), 32, 7, 128)


@honest_pen("SameDiff of DL4J: an LSTM operator with peepholes over the columns of the last map, its last state read.",
            idea="recurrent operators", style="dl4j", opset=14)  # fmt: skip
def peephole_lstm_operator(n: Pen) -> str:
    x = trunk(n, n.x, 12, 16, 24, 16)
    s = n.reshape(n.transpose(x, 3, 0, 1, 2), 7, -1, 112)
    w, r = n.rng.normal(0, 0.1, (1, 128, 112)), n.rng.normal(0, 0.15, (1, 128, 32))
    b, p = n.rng.normal(0, 0.1, (1, 256)), n.rng.normal(0, 0.2, (1, 96))
    h = n.ops("LSTM", s, n.const(w), n.const(r), n.const(b), "", "", "", n.const(p), outputs=2, hidden_size=32)
    y = n.op("Concat", n.squeeze(h[1], 0), n.op("Flatten", n.op("GlobalAveragePool", x)), axis=1)
    return n.standardise(dense(n, y, 48, 128), 128)


@honest_pen("ONNX's own GRU both ways with linear_before_reset over rows, whole sequences flattened.",
            idea="recurrent operators", style="sim", opset=12)  # fmt: skip
def bidirectional_gru_operator(n: Pen) -> str:
    x = trunk(n, n.x, 12, 16, 24, 16)
    s = n.reshape(n.transpose(x, 2, 0, 1, 3), 7, -1, 112)
    w, r = n.rng.normal(0, 0.1, (2, 60, 112)), n.rng.normal(0, 0.2, (2, 60, 20))
    b = n.const(n.rng.normal(0, 0.1, (2, 120)))
    y = n.op("GRU", s, n.const(w), n.const(r), b, direction="bidirectional", hidden_size=20, linear_before_reset=1)
    return n.standardise(dense(n, n.reshape(n.transpose(y, 2, 0, 1, 3), -1, 280), 280, 128), 128)
