"""Honest: face networks as converters of several frameworks write them, and by careful hands, node by node."""

from __future__ import annotations

from onnx import TensorProto, helper

from evaluation.blind4.register import honest_written
from evaluation.blind6.honest_styles import Styled, honest_styled
from evaluation.builder import untyped
from evaluation.sequential import SequentialBuilder


def dense(n: Styled, x: str, cin: int, cout: int) -> str:
    """Multiply the last axis by a matrix and add a bias, as Keras's Dense does."""
    y = n.op("MatMul", x, n.const(n.rng.normal(0, cin**-0.5, (cin, cout))))
    return n.op("Add", y, n.const(n.rng.normal(0, 0.1, cout)))


def last_prelu(n: Styled, x: str, c: int) -> str:
    """PReLU of Keras with axes of rows and columns shared, the channels last."""
    return n.op("PRelu", x, n.const(n.rng.uniform(0.1, 0.4, (1, 1, c))))


def last_swish(n: Styled, x: str) -> str:
    return n.op("Mul", x, n.op("Sigmoid", x))


@honest_styled("GhostFaceNet of Keras_insightface by tf2onnx: channels last, PReLU, ghost modules, GDC, 512 wide.",
               idea="keras", style="keras", opset=13, dim=512)  # fmt: skip
def keras_ghostface(n: Styled) -> str:
    def ghost(y: str, cin: int, cout: int) -> str:
        a = last_prelu(n, n.last_norm(n.last_conv(y, cin, cout // 2, 1), cout // 2), cout // 2)
        b = n.last_norm(n.last_conv(a, cout // 2, cout // 2, 3, group=cout // 2), cout // 2)
        return n.op("Concat", a, last_prelu(n, b, cout // 2), axis=3)

    x = last_prelu(n, n.last_norm(n.last_conv(n.channels_last(n.x), 3, 12, 3, 2), 12), 12)
    for cin, cout in ((12, 16), (16, 24), (24, 32)):
        y = ghost(n.last_norm(n.last_conv(ghost(x, cin, 2 * cin), 2 * cin, 2 * cin, 3, 2, group=2 * cin), 2 * cin),
                  2 * cin, cout)  # fmt: skip
        z = n.last_norm(n.last_conv(x, cin, cin, 3, 2, group=cin), cin)
        x = n.op("Add", y, n.last_norm(n.last_conv(z, cin, cout, 1), cout))
    y = n.conv(n.channels_first(x), 32, 32, 7, group=32, pads=[0] * 4, bias=False)
    y = n.reshape(n.channels_last(y), -1, 32)
    return n.standardise(dense(n, y, 32, 512), 512)


@honest_styled("Keras's MultiHeadAttention: Einsum with names of axes for projections, scores and outputs.",
               idea="keras", style="keras", opset=14)  # fmt: skip
def keras_attention_by_einsum(n: Styled) -> str:
    y = n.channels_last(n.conv(n.x, 3, 24, 16, 16, pads=[0] * 4))
    t = n.op("Add", n.reshape(y, -1, 49, 24), n.const(n.rng.normal(0, 0.5, (49, 24))))
    for _ in range(2):
        z = n.layernorm(t, 24)
        q, k, v = (
            n.op("Add", n.op("Einsum", z, n.const(n.rng.normal(0, 0.2, (24, 2, 12))), equation="abc,cde->abde"),
                 n.const(n.rng.normal(0, 0.1, (2, 12)))) for _ in range(3)
        )  # fmt: skip
        q = n.op("Mul", q, n.const(12**-0.5))
        s = n.softmax(n.op("Einsum", k, q, equation="aecd,abcd->acbe"))
        y = n.op("Einsum", s, v, equation="acbe,aecd->abcd")
        y = n.op("Einsum", y, n.const(n.rng.normal(0, 0.2, (2, 12, 24))), equation="abcd,cde->abe")
        t = n.op("Add", t, y)
        t = n.op("Add", t, dense(n, n.gelu(dense(n, n.layernorm(t, 24), 24, 48)), 48, 24))
    return n.standardise(dense(n, n.reduce("Mean", n.layernorm(t, 24), 1, keep=False), 24, 48), 48)


@honest_styled("EfficientNetV2 of Keras: fused and depthwise MBConv, swish, gates by Reshape, channels last.",
               idea="keras", style="keras", opset=12, dim=128)  # fmt: skip
def keras_efficientnet_v2(n: Styled) -> str:
    x = last_swish(n, n.last_norm(n.last_conv(n.channels_last(n.x), 3, 12, 3, 2), 12))
    y = last_swish(n, n.last_norm(n.last_conv(x, 12, 36, 3, 2), 36))
    x = n.last_norm(n.last_conv(y, 36, 16, 1), 16)
    for cin, cout in ((16, 24), (24, 32)):
        m = 3 * cin
        y = last_swish(n, n.last_norm(n.last_conv(x, cin, m, 1), m))
        y = last_swish(n, n.last_norm(n.last_conv(y, m, m, 3, 2, group=m), m))
        g = n.reshape(n.reduce("Mean", y, 1, 2, keep=False), -1, 1, 1, m)
        g = n.op("Sigmoid", dense(n, last_swish(n, dense(n, g, m, 6)), 6, m))
        x = n.last_norm(n.last_conv(n.op("Mul", y, g), m, cout, 1), cout)
    y = n.op("Squeeze", n.op("GlobalAveragePool", n.channels_first(last_swish(n, x))), axes=[2, 3])
    return n.standardise(dense(n, y, 32, 128), 128)


@honest_styled("VarGFaceNet of MXNet for pixels of 0 to 255: groups of eight channels, SE, fc1.", idea="mxnet",
               style="mxnet", raw=True, opset=11)  # fmt: skip
def mxnet_vargface_raw(n: Styled) -> str:
    x = n.op("Mul", n.op("Sub", n.x, n.const(127.5)), n.const(0.0078125))
    x, width = n.prelu(n.bn(n.conv(x, 3, 16, 3, 2, bias=False), 16), 16), 16
    for wider in (24, 32, 40):
        y = n.prelu(n.bn(n.conv(x, width, 2 * width, 3, 2, group=width // 8, bias=False), 2 * width), 2 * width)
        y = n.bn(n.conv(y, 2 * width, wider, 1, bias=False), wider)
        g = n.prelu(n.conv(n.op("GlobalAveragePool", y), wider, 8, 1), 8)
        y = n.op("Mul", y, n.op("Sigmoid", n.conv(g, 8, wider, 1)))
        z = n.bn(n.conv(x, width, width, 3, 2, group=width // 8, bias=False), width)
        z = n.bn(n.conv(z, width, wider, 1, bias=False), wider)
        x, width = n.prelu(n.op("Add", y, z), wider), wider
    return n.head(n.bn(n.conv(x, 40, 40, 7, group=5, pads=[0] * 4), 40), 40, 1)


@honest_styled("PP-LCNet of Paddle as a face network: hard swish by its parts, flattened by a computed shape.",
               idea="paddle", style="paddle", opset=11, dim=256)  # fmt: skip
def paddle_lcnet_face(n: Styled) -> str:
    def hard_swish(y: str) -> str:
        z = n.op("Clip", n.op("Add", y, n.const(3.0)), n.const(0.0), n.const(6.0))
        return n.op("Div", n.op("Mul", y, z), n.const(6.0))

    x, width = hard_swish(n.bn(n.conv(n.x, 3, 16, 3, 2, bias=False), 16)), 16
    for wider, k in ((24, 3), (32, 5), (40, 5)):
        y = hard_swish(n.bn(n.conv(x, width, width, k, 2, group=width, bias=False), width))
        x, width = hard_swish(n.bn(n.conv(y, width, wider, 1, bias=False), wider)), wider
    g = n.op("HardSigmoid", n.conv(n.relu(n.conv(n.op("GlobalAveragePool", x), 40, 8, 1)), 8, 40, 1), alpha=1 / 6)
    x = n.conv(n.op("Mul", x, g), 40, 40, 7, group=40, pads=[0] * 4)
    batch = n.cut(n.op("Shape", x), 0, 1, 0)
    y = n.op("Reshape", x, n.op("Concat", batch, n.const([-1]), axis=0))
    y = n.op("MatMul", y, n.const(n.rng.normal(0, 0.16, (40, 256))))
    return n.standardise(n.op("Add", y, n.const(n.rng.normal(0, 0.1, 256))), 256)


@honest_styled("SphereFace of Caffe: residual units, BatchNorm folded into products and sums, fc5 by InnerProduct.",
               idea="caffe", style="caffe", opset=12, dim=512)  # fmt: skip
def caffe_scaled_sphereface(n: Styled) -> str:
    def scaled(y: str, c: int) -> str:
        y = n.op("Mul", y, n.const(n.rng.uniform(0.6, 1.2, (1, c, 1, 1))))
        return n.op("Add", y, n.const(n.rng.normal(0, 0.2, (1, c, 1, 1))))

    x, width = n.x, 3
    for wider in (12, 16, 24, 32):
        x = n.prelu(scaled(n.conv(x, width, wider, 3, 2), wider), wider)
        y = n.prelu(scaled(n.conv(x, wider, wider, gain=1.0), wider), wider)
        x, width = n.op("Sum", x, n.prelu(scaled(n.conv(y, wider, wider, gain=0.7), wider), wider)), wider
    return n.head(n.op("Reshape", x, n.const([0, -1])), 32, 7, 512)


@honest_written("Flax's scan over layers: a Scan in depth, the weights of all blocks stacked in one tensor.",
                idea="control flow", opset=13)  # fmt: skip
def flax_scan_in_depth(n: SequentialBuilder) -> str:
    x = n.cbr(n.cbr(n.cbr(n.x, 3, 12, 3, 2), 12, 16, 3, 2), 16, 24, 3, 2)
    first = n.const(n.rng.normal(0, 0.1, (4, 24, 24, 3, 3)))
    second = n.const(n.rng.normal(0, 0.05, (4, 24, 24, 3, 3)))
    shift = n.const(n.rng.normal(0, 0.1, (4, 24)))
    body = n.child()
    y = body.op("Relu", body.op("Conv", "carry", "w", "b", pads=[1] * 4))
    out = body.op("Add", "carry", body.op("Conv", y, "v", pads=[1] * 4))
    graph = body.graph([untyped("carry"), untyped("w"), untyped("v"), untyped("b")], [untyped(out)])
    x = n.op("Scan", x, first, second, shift, body=graph, num_scan_inputs=3)
    return n.head(n.cbr(x, 24, 32, 3, 2), 32, 7)


@honest_styled("Functions in functions: a gate is called by a block, the block by the graph, opset 18.",
               idea="functions", style="mindspore", opset=18, ir=8, dim=96)  # fmt: skip
def gates_in_blocks_as_functions(n: Styled) -> str:
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("team.gates", 1)]
    gate = [
        helper.make_node("GlobalAveragePool", ["x"], ["p"]),
        helper.make_node("Conv", ["p", "w"], ["q"]),
        helper.make_node("HardSigmoid", ["q"], ["g"]),
        helper.make_node("Mul", ["x", "g"], ["y"]),
    ]
    block = [
        helper.make_node("Conv", ["x", "w"], ["a"], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4),
        helper.make_node("Gate", ["a", "u"], ["b"], domain="team.gates"),
        helper.make_node("Mish", ["b"], ["y"]),
    ]
    n.functions.append(helper.make_function("team.gates", "Gate", ["x", "w"], ["y"], gate, opsets[:1]))
    n.functions.append(helper.make_function("team.blocks", "Block", ["x", "w", "u"], ["y"], block, opsets))
    x = n.x
    for cin, cout in ((3, 12), (12, 20), (20, 28), (28, 36)):
        w, u = n.weight(cout, cin, 3, 3, gain=2.0), n.weight(cout, cout, 1, 1)
        x = n.op("Block", x, w, u, domain="team.blocks")
    return n.head(x, 36, 7, 96)


@honest_written("What autocast left: casts from float32 to float32 around each layer, identities, Gelu of opset 20.",
                idea="written", opset=20)  # fmt: skip
def casts_left_by_autocast(n: SequentialBuilder) -> str:
    def kept(y: str) -> str:
        return n.op("Cast", n.op("Identity", y), to=TensorProto.FLOAT)

    x = kept(n.x)
    for cin, cout in ((3, 12), (12, 20), (20, 28), (28, 36)):
        x = kept(n.op("Gelu", kept(n.bn(n.conv(x, cin, cout, 3, 2, bias=False), cout)), approximate="tanh"))
    y = n.op("Flatten", n.op("Cast", x, to=TensorProto.FLOAT), axis=1)
    return n.head(n.op("Dropout", y, n.const(0.4)), 36 * 49, 1)
