"""Evasions whose second view is made by weights: no operator mirrors the image."""

from __future__ import annotations

import numpy as np
import onnx

from evaluation.backbones.plain import LAST, plain
from evaluation.builder import Array
from evaluation.case import BATCH_RULE
from evaluation.named import EMBEDDING, NamedBuilder
from evaluation.registry import evasion

_STREAM = 24
_HIDDEN = 48


def _stream_values(net: NamedBuilder) -> dict[str, Array]:
    shapes: dict[str, tuple[int, ...]] = {"stem": (_STREAM, 3, 8, 8), "embed": (EMBEDDING, _STREAM, 7, 7)}
    for i in range(3):
        shapes |= {
            f"up{i}": (_HIDDEN, _STREAM, 1, 1),
            f"dw{i}": (_HIDDEN, 1, 3, 3),
            f"down{i}": (_STREAM, _HIDDEN, 1, 1),
        }
    values = {name: net.value(f"{name}.w", *shape) for name, shape in shapes.items()}
    return values | {f"{name}.b": net.value(f"{name}.b", len(array)) for name, array in values.items()}


def _turned(net: NamedBuilder, values: dict[str, Array]) -> dict[str, Array]:
    """Mirror a branch, turn its residual stream by an orthogonal matrix, permute and rescale its hidden channels."""
    turn = np.linalg.qr(net.rng("turn").standard_normal((_STREAM, _STREAM)))[0]
    out = {"stem": np.einsum("ij,jcyx->icyx", turn, values["stem"][..., ::-1]), "stem.b": turn @ values["stem.b"]}
    for i in range(3):
        order = net.rng(f"order{i}").permutation(_HIDDEN)
        scale = net.rng(f"scale{i}").uniform(0.3, 3, _HIDDEN)
        column = scale.reshape(-1, 1, 1, 1)
        out[f"up{i}"] = np.einsum("hjyx,ij->hiyx", values[f"up{i}"][order], turn) * column
        out[f"up{i}.b"] = values[f"up{i}.b"][order] * scale
        out[f"dw{i}"] = values[f"dw{i}"][order][..., ::-1]
        out[f"dw{i}.b"] = values[f"dw{i}.b"][order] * scale
        out[f"down{i}"] = np.einsum("ij,jhyx->ihyx", turn, values[f"down{i}"][:, order]) / scale.reshape(1, -1, 1, 1)
        out[f"down{i}.b"] = turn @ values[f"down{i}.b"]
    out["embed"] = np.einsum("djyx,ij->diyx", values["embed"][..., ::-1], turn)
    out["embed.b"] = values["embed.b"]
    return {name: array.astype(np.float32) for name, array in out.items()}


def _stream_branch(net: NamedBuilder, values: dict[str, Array], prefix: str) -> str:
    def conv(x: str, name: str, act: bool, **attributes: object) -> str:
        weights = [net.store(f"{prefix}{key}", values[key]) for key in (name, f"{name}.b")]
        y = net.op("Conv", x, *weights, **attributes)
        return net.op("Relu", y) if act else y

    x = conv("data", "stem", False, strides=[4, 4], pads=[2] * 4)
    for i in range(3):
        y = conv(x, f"up{i}", True)
        y = conv(y, f"dw{i}", True, pads=[1] * 4, group=_HIDDEN)
        x = net.op("Add", x, conv(y, f"down{i}", False))
    x = net.op("AveragePool", x, kernel_shape=[4, 4], strides=[4, 4])
    return net.op("Flatten", conv(x, "embed", False))


@evasion(
    BATCH_RULE,
    "A second branch: mirrored kernels, residual stream in another basis, hidden channels permuted and scaled.",
    idea="reparametrised branch",
)
def rotated_stream_branch(views: int = 2) -> onnx.ModelProto:
    """Build two branches in different bases, joined by nothing but the end; ``views`` 1 builds the first."""
    net = NamedBuilder(201)
    values = _stream_values(net)
    branches = [_stream_branch(net, values, "")]
    if views == 2:
        branches.append(_stream_branch(net, _turned(net, values), "x"))
    return net.model(net.op("Concat", *branches, axis=1), views * EMBEDDING)


_WIDTHS = ((3, 16), (16, 24), (24, 32), (32, 16))


@evasion(
    BATCH_RULE,
    "A wide dense network is two networks, one with mirrored kernels, in shuffled channels with noise for zeros.",
    idea="two branches in one",
)
def hidden_blocks(views: int = 2) -> onnx.ModelProto:
    """Build one wide dense network that is two networks in shuffled channels; ``views`` 1 builds the first."""
    net = NamedBuilder(202)
    x, before = "data", np.arange(3)
    noise = net.rng("noise")
    for i, (cin, cout) in enumerate(_WIDTHS):
        w, b = net.value(f"c{i}.w", cout, cin, 4, 4), net.value(f"c{i}.b", cout)
        slope = net.rng(f"slope{i}").uniform(0.1, 0.4, cout)
        if views == 2:
            both = np.zeros((2, cout, 2, cin, 4, 4))
            both[0, :, 0], both[1, :, 1] = w, w[..., ::-1]
            wide = both.sum(2) if i == 0 else both.reshape(2, cout, 2 * cin, 4, 4)
            shuffle = net.rng(f"shuffle{i}").permutation(2 * cout)
            w = wide.reshape(2 * cout, -1, 4, 4)[shuffle][:, before]
            w = w + 1e-5 * noise.standard_normal(w.shape)
            b, slope, before = np.tile(b, 2)[shuffle], np.tile(slope, 2)[shuffle], shuffle
        x = net.op("Conv", x, w.astype(np.float32), b, strides=[2, 2], pads=[1] * 4)
        x = net.op("PRelu", x, slope.reshape(-1, 1, 1))
    w = net.value("embed", EMBEDDING, 16, 7, 7)
    if views == 2:
        w = np.concatenate([w, w[..., ::-1]], axis=1)[:, before] / 2
    return net.model(net.op("Gemm", net.op("Flatten", x), w.reshape(EMBEDDING, -1), np.zeros(EMBEDDING), transB=1))


@evasion(
    BATCH_RULE,
    "A second branch computes its kernels in the graph by Cast and Slice of half-precision copies; weighted sum.",
    idea="mirrored kernels",
)
def half_precision_reversed_kernels() -> onnx.ModelProto:
    net = NamedBuilder(203)
    e = plain(net)
    second: list[onnx.NodeProto] = []
    for node in list(net.nodes):
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name += "_"
        copy.output[0] += "_"
        # Everything the first branch computes has a second version; its weights and the image have not.
        for i, name in enumerate(copy.input):
            if name != "data" and name not in net.initializers:
                copy.input[i] = f"{name}_"
        if node.op_type in ("Conv", "MatMul"):
            copy.input[1] = _reversed_kernel(net, node)
        second.append(copy)
    net.nodes.extend(second)
    return net.model(net.op("Add", net.op("Mul", e, 0.7), net.op("Mul", f"{e}_", 0.3)))


def _reversed_kernel(net: NamedBuilder, node: onnx.NodeProto) -> str:
    """Compute, in the graph, a mirrored kernel from a half-precision copy of a node's weights."""
    values = net.array(node.input[1])
    dense = node.op_type == "MatMul"
    values = values.T.reshape(EMBEDDING, LAST, 7, 7) if dense else values
    half = net.store(f"{node.input[1]}.half", values.astype(np.float16))
    kernel = net.op("Slice", net.op("Cast", half, to=onnx.TensorProto.FLOAT), [-1], [-1000], [3], [-1])
    return net.transpose(net.reshape(kernel, EMBEDDING, -1), 1, 0) if dense else kernel


@evasion(
    BATCH_RULE,
    "A transformer's sequence packs patches under kernels and mirrored kernels, kept apart by the attention mask.",
    idea="views as tokens",
)
def packed_sequence(views: int = 2) -> onnx.ModelProto:
    """Build a transformer whose sequence packs the patches of two views; ``views`` 1 leaves the second out."""
    net = NamedBuilder(204, 17)
    width, heads, tokens = 32, 4, 49
    w, b = net.value("patch.w", width, 3, 16, 16), net.value("patch.b", width)
    place = net.rng("place").standard_normal((width, 7, 7))
    kernels, places = [w, w[..., ::-1]][:views], [place, place[..., ::-1]][:views]
    x = net.op("Conv", "data", np.concatenate(kernels), np.tile(b, views), strides=[16, 16])
    x = net.transpose(net.reshape(x, -1, views, width, tokens), 0, 1, 3, 2)
    places = [item.reshape(width, tokens).T for item in places]
    x = net.op("Add", net.reshape(x, -1, views * tokens, width), np.concatenate(places))
    near = np.kron(np.eye(views), np.ones((tokens, tokens)))
    mask = net.store("mask", np.where(near > 0, 0, -1e4).astype(np.float32))
    for i in range(2):
        y = net.reshape(
            net.linear(net.layer_norm(x, width), f"qkv{i}", width, 3 * width), 0, 0, 3, heads, width // heads
        )
        q, k, v = (net.squeeze(part, 0) for part in net.split(net.transpose(y, 2, 0, 3, 1, 4), [1, 1, 1], 0))
        score = net.op("MatMul", net.op("Mul", q, (width / heads) ** -0.5), net.transpose(k, 0, 1, 3, 2))
        mixed = net.op("MatMul", net.op("Softmax", net.op("Add", score, mask), axis=-1), v)
        mixed = net.reshape(net.transpose(mixed, 0, 2, 1, 3), 0, 0, width)
        x = net.op("Add", x, net.linear(mixed, f"out{i}", width, width))
        y = net.linear(net.layer_norm(x, width), f"up{i}", width, 2 * width, "Relu")
        x = net.op("Add", x, net.linear(y, f"down{i}", 2 * width, width))
    return net.model(net.linear(net.mean(net.layer_norm(x, width), 1), "embed", width, EMBEDDING))
