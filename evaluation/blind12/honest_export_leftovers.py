"""Honest: ways of PyTorch's exporters, changed files and what is left of training for few bits, in float32."""

from __future__ import annotations

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from onnx import helper, numpy_helper, shape_inference

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind4.register import honest_torch
from evaluation.blind6.honest_forms import (
    by_onnxruntime,
    converted,
    copied_constants,
    gemm_apart,
    hashed_names,
    honest_form,
    norms_as_products,
    old_names,
    weights_as_nodes,
)


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    made = onnx.ModelProto()
    made.CopyFrom(model)
    return made


def shapes_inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    """Save every tensor's shape in the file, as viewers and checkers do."""
    return shape_inference.infer_shapes(_copy(model))


def described(model: onnx.ModelProto) -> onnx.ModelProto:
    """Add the metadata and descriptions that a team's script writes."""
    made = _copy(model)
    made.doc_string, made.model_version, made.domain = "face embedding", 3, "faces"
    helper.set_model_props(made, {"epoch": "24", "loss": "arcface", "classes": "93431"})
    for i, node in enumerate(made.graph.node):
        node.doc_string = f"line {i} of the network"
    return made


def as_float_lists(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store weights in float_data instead of raw bytes, as onnx.helper's make_tensor does."""
    made = _copy(model)
    for stored in made.graph.initializer:
        if stored.data_type == onnx.TensorProto.FLOAT:
            values = numpy_helper.to_array(stored)
            again = helper.make_tensor(stored.name, stored.data_type, values.shape, values.flatten().tolist())
            stored.CopyFrom(again)
    return made


def through_identities(model: onnx.ModelProto) -> onnx.ModelProto:
    """Let every convolution read its kernel through an Identity, as shared modules are exported."""
    made = _copy(model)
    nodes: list[onnx.NodeProto] = []
    stored = {each.name for each in made.graph.initializer}
    for i, node in enumerate(made.graph.node):
        if node.op_type == "Conv" and node.input[1] in stored:
            nodes.append(helper.make_node("Identity", [node.input[1]], [f"kept_{i}"], name=f"Identity_{i}"))
            node.input[1] = f"kept_{i}"
        nodes.append(node)
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    return made


def doubles_cast(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store vectors as float64 and cast them, as a script that takes numpy's own type leaves them."""
    made = _copy(model)
    casts = []
    for stored in made.graph.initializer:
        if stored.data_type == onnx.TensorProto.FLOAT and len(stored.dims) == 1:
            name = stored.name
            stored.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(stored).astype(np.float64), f"{name}_f64"))
            casts.append(helper.make_node("Cast", [f"{name}_f64"], [name], name=f"Cast_{name}", to=1))
    nodes = [*casts, *made.graph.node]
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    return made


def straight(y: T, held: T) -> T:
    """Pass the gradient through a step."""
    return y + (held - y).detach()


def small_ir(n: Net, x: T, dim: int = 128) -> T:
    """Write a small iResNet."""
    x = n.cbp(x, 12, 3, 2)
    for w in (16, 24, 32):
        x = n.cb(n.cbp(n.bn(x), w), w, 3, 2) + n.cb(x, w, 1, 2)
    return n.embed(n.bn(x), dim)


@honest_form("An iResNet whose file holds every inferred shape, as after onnx.shape_inference.", idea="changed files",
             forms=(shapes_inferred,), trained=4, opset=12)  # fmt: skip
def shapes_saved_in_the_file(n: Net, x: T) -> T:
    return small_ir(n, x, 256)


@honest_form("A mobile net with metadata, versions and a description of each node.",
             idea="changed files", forms=(old_names, described), trained=3, opset=11)  # fmt: skip
def metadata_of_a_team(n: Net, x: T) -> T:
    x = n.cbp(x, 16, 3, 2)
    for w in (20, 28, 36):
        x = n.inverted(n.inverted(x, w, 2), w)
    return n.gdc(x, 128)


@honest_form("A gated ConvNet stored in float_data lists, its Gemm apart.", idea="changed files",
             forms=(gemm_apart, as_float_lists), opset=13)  # fmt: skip
def float_lists_and_gemm_apart(n: Net, x: T) -> T:
    x = n.cbr(x, 12, 3, 2)
    for w in (16, 24, 32):
        x = n.cb(x, w, 3, 2) * torch.sigmoid(n.cb(x, w, 3, 2))
    return n.embed(x, 128)


@honest_form("Kernels read through Identity nodes, hashed names, a residual net of ELU.", idea="changed files",
             forms=(through_identities, hashed_names), opset=14)  # fmt: skip
def kernels_through_identities(n: Net, x: T) -> T:
    x = F.elu(n.cb(x, 12, 3, 2))
    for w in (16, 24, 32):
        x = F.elu(n.cb(F.elu(n.cb(x, w)), w, 3, 2) + n.cb(F.max_pool2d(x, 2), w, 1))
    return n.embed(x, 128)


@honest_form("Vectors stored as float64 and cast to float32 at the start: numpy's type left in.", idea="changed files",
             forms=(doubles_cast,), opset=11, trained=3)  # fmt: skip
def vectors_left_in_doubles(n: Net, x: T) -> T:
    return small_ir(n, x)


@honest_form("Norms as products and sums, constants copied for each reader, opset 15.",
             idea="changed files", forms=(norms_as_products, copied_constants), norms_apart=True, opset=15)  # fmt: skip
def products_and_copies(n: Net, x: T) -> T:
    x = n.cbr(x, 16, 5, 2)
    for w in (24, 32, 40):
        x = F.relu(n.cb(n.cbr(x, w, 3, 1, 8), w, 3, 2) + n.cb(F.avg_pool2d(x, 2), w, 1))
    return n.pooled(x, 128)


@honest_form("Saved by onnxruntime's optimiser, then every weight in a Constant node: ghost units with gates.",
             idea="changed files", forms=(by_onnxruntime, weights_as_nodes), trained=3, opset=12)  # fmt: skip
def optimised_ghost_constants(n: Net, x: T) -> T:
    x = n.cbp(x, 12, 3, 2)
    for w in (16, 24, 32):
        a = n.cbp(x, w // 2, 1)
        x = n.se(n.cb(torch.cat([a, n.cbp(a, w // 2, 3, 1, -1)], 1), w, 3, 2, -1))
    return n.gdc(x, 128)


@honest_form("Raw pixels, divided by 255 only after a subtraction of one half of it, converted upwards to opset 18.",
             idea="raw", forms=(old_names, converted(18)), trained=3, opset=13,
             before=lambda x: (x - 127.5) * (2 / 255))  # fmt: skip
def raw_converted_to_eighteen(n: Net, x: T) -> T:
    return small_ir(n, x, 512)


@honest_torch("LSQ: weights divided by a learned step, rounded and clipped to 255 levels in the graph, float32 stored.",
              idea="quantisation leftovers", trained=3, opset=13, fold=False)  # fmt: skip
def learned_step_weights(n: Net, x: T) -> T:
    for cin, cout in ((3, 12), (12, 16), (16, 24), (24, 32)):
        w = n.weight(cout, cin * 9)
        step = (n.weight(1, gain=0.05) * 0.1 + 0.01).abs() + 1e-3
        w = straight(w, (w / step).round().clamp(-128, 127) * step)
        x = F.relu(n.bn(F.conv2d(x, w.reshape(cout, cin, 3, 3), None, 2, 1)))
    return n.embed(x, 128)


@honest_torch("DoReFa: weights by tanh over its largest size left in the graph, activations held to 0..1 in 16 steps.",
              idea="quantisation leftovers", trained=3, opset=12, fold=False)  # fmt: skip
def dorefa_tanh_weights(n: Net, x: T) -> T:
    for cin, cout in ((3, 16), (16, 24), (24, 32), (32, 40)):
        w = torch.tanh(n.weight(cout, cin * 9))
        w = w / w.abs().max()
        y = n.bn(F.conv2d(x, w.reshape(cout, cin, 3, 3), None, 2, 1)).clamp(0.0, 1.0)
        x = straight(y, (y * 15).round() / 15)
    return n.embed(x, 128)


@honest_torch("SmoothQuant: activations divided by stored scales before each point layer, whose weights took them up.",
              idea="quantisation leftovers", opset=14)  # fmt: skip
def smoothed_scales_left_in(n: Net, x: T) -> T:
    t = n.patches(x, 32)
    for _ in range(2):
        t = t + n.attention(n.ln(t) / (n.weight(1, 1, 32, gain=1.0).abs() + 0.5))
        t = t + n.linear(F.gelu(n.linear(n.ln(t) / (n.weight(1, 1, 32, gain=1.0).abs() + 0.5), 64)), 32)
    return n.embed(n.ln(t), 128)


@honest_torch("Activations by floor of x plus one half within a fixed range, as an observer leaves them.",
              idea="quantisation leftovers", trained=3, opset=11)  # fmt: skip
def floor_observers_left_in(n: Net, x: T) -> T:
    x = n.cbr(x, 12, 3, 2)
    for w in (16, 24, 32):
        y = n.cbr(x, w, 3, 2).clamp(max=6.0)
        x = straight(y, torch.floor(y * (255 / 6) + 0.5) * (6 / 255))
    return n.gdc(x, 128)


@honest_torch("By torch.export: depthwise 7x7 layers, global response norm and a pooled LayerNorm; opset 20.",
              idea="torch.export", opset=20, dynamo=True)  # fmt: skip
def dynamo_response_norm_twenty(n: Net, x: T) -> T:
    x = n.conv(x, 24, 4, 4, padding=0)
    for w in (32, 40):
        y = F.gelu(n.conv(n.ln2d(n.conv(x, int(x.shape[1]), 7, 1, -1)), 48, 1))
        g = y.pow(2).sum((2, 3), keepdim=True).add(1e-6).sqrt()
        x = x + n.conv(y + y * g / (g.mean(1, keepdim=True) + 1e-6), int(x.shape[1]), 1)
        x = n.conv(x, w, 2, 2, padding=0)
    return n.bn(n.linear(n.ln(x.mean((2, 3))), 128))


@honest_torch("By torch.export: cross-covariance of channels, unit queries, local 3x3 layers between; opset 19.",
              idea="torch.export", opset=19, dynamo=True)  # fmt: skip
def dynamo_channel_covariances(n: Net, x: T) -> T:
    t = tokens(n.cbr(n.cbr(n.stem(x, 20), 24, 3, 2), 32, 3, 2))
    for _ in range(2):
        q, k, v = (n.linear(n.ln(t), 32).transpose(1, 2) for _ in range(3))
        q, k = F.normalize(q, dim=2), F.normalize(k, dim=2)
        t = t + n.linear(((q @ k.transpose(1, 2)) * 4).softmax(2).matmul(v).transpose(1, 2), 32)
        t = t + tokens(n.conv(F.gelu(n.bn(grid(t, 7, 7))), 32, 3, 1, -1))
    return n.embed(t, 128)


@honest_torch("By torch.export with the older opset 18: a small iResNet of PReLU for exactly one image.",
              idea="torch.export", trained=3, opset=18, dynamo=True, batch=1)  # fmt: skip
def dynamo_iresnet_for_one(n: Net, x: T) -> T:
    return small_ir(n, x, 256)
