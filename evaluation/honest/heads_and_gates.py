"""Honest networks with parts, gates, norms by reshapes, control flow, and several networks in one."""

import numpy as np
from onnx import TensorProto, helper

from evaluation.builder import untyped
from evaluation.registry import honest_body
from evaluation.sequential import SequentialBuilder


def trunk(net: SequentialBuilder, x: str, widths: tuple[int, ...] = (8, 16, 24)) -> str:
    """Strided conv-BN-ReLU layers; three of them give 14 x 14 cells."""
    cin = 3
    for cout in widths:
        x, cin = net.cbr(x, cin, cout, stride=2), cout
    return x


@honest_body(
    "Part-based head: the feature map is cut into stripes, each with its own layer, concatenated.",
    idea="parts of the face",
)
def part_stripes(net: SequentialBuilder) -> str:
    y = trunk(net, net.x)
    parts = []
    for start in (0, 5, 9):
        stripe = net.op("GlobalAveragePool", net.slice(y, [start], [start + 5], [2]))
        parts.append(net.head(stripe, 24, 1, 16))
    return net.op("Concat", *parts, axis=1)


@honest_body(
    "Part-based head: left and right half of the features through one shared convolution, then joined.",
    idea="parts of the face",
)
def part_halves_shared(net: SequentialBuilder) -> str:
    y = trunk(net, net.x)
    left, right = net.split(y, (7, 7), 3)
    weight = net.weight(32, 24, 3, 3)
    halves = [net.relu(net.op("Conv", half, weight, kernel_shape=[3, 3], pads=[1] * 4)) for half in (left, right)]
    y = net.op("Concat", *(net.op("GlobalAveragePool", half) for half in halves), axis=1)
    return net.head(y, 64, 1)


@honest_body(
    "Overlapping patches of features around fixed landmarks, each with its own small layer, plus the whole.",
    idea="parts of the face",
)
def landmark_patches(net: SequentialBuilder) -> str:
    y = trunk(net, net.x)
    parts = [net.op("GlobalAveragePool", y)]
    for row, column in ((2, 1), (2, 7), (6, 4), (8, 4)):
        patch = net.slice(y, [row, column], [row + 6, column + 6], [2, 3])
        parts.append(net.op("GlobalMaxPool", net.relu(net.conv(patch, 24, 12))))
    return net.head(net.op("Concat", *parts, axis=1), 24 + 4 * 12, 1)


@honest_body(
    "Upper and lower part of the image go through different stems (disjoint parts), joined on the height axis.",
    idea="parts of the face",
)
def eye_and_mouth_stems(net: SequentialBuilder) -> str:
    upper, lower = net.slice(net.x, [0], [56], [2]), net.slice(net.x, [56], [112], [2])
    y = net.op("Concat", net.cbr(upper, 3, 12, stride=2), net.cbr(lower, 3, 12, stride=2), axis=2)
    for cin, cout in ((12, 16), (16, 24), (24, 32)):
        y = net.cbr(y, cin, cout, stride=2)
    return net.head(y, 32, 7)


def groupnorm(net: SequentialBuilder, x: str, channels: int, groups: int) -> str:
    """GroupNorm as torch exports it: Reshape, InstanceNormalization, Reshape to the kept shape, Mul, Add."""
    shape = net.op("Shape", x)
    y = net.reshape(x, 0, groups, -1)
    y = net.op("InstanceNormalization", y, net.const(np.ones(groups)), net.const(np.zeros(groups)), epsilon=1e-5)
    y = net.op("Reshape", y, shape)
    y = net.op("Mul", y, net.const(net.rng.uniform(0.7, 1.3, (channels, 1, 1))))
    return net.op("Add", y, net.const(net.rng.normal(0, 0.2, (channels, 1, 1))))


@honest_body("GroupNorm by reshapes in every layer.", idea="normalisation layers")
def groupnorm_reshape(net: SequentialBuilder) -> str:
    y, cin = net.x, 3
    for cout in (8, 16, 24, 32):
        y, cin = net.relu(groupnorm(net, net.conv(y, cin, cout, stride=2), cout, 4)), cout
    return net.head(y, 32, 7)


@honest_body(
    "GroupNorm written out with means and variances over reshaped groups, folded into the batch axis.",
    idea="normalisation layers",
)
def groupnorm_manual(net: SequentialBuilder) -> str:
    y, cin, side = net.x, 3, 112
    for cout in (8, 16, 24, 32):
        y, side = net.conv(y, cin, cout, stride=2), side // 2
        z = net.reshape(y, -1, cout // 4 * side * side)
        centred = net.op("Sub", z, net.reduce("Mean", z, 1))
        variance = net.reduce("Mean", net.op("Mul", centred, centred), 1)
        z = net.op("Div", centred, net.op("Sqrt", net.op("Add", variance, net.const(1e-5))))
        y, cin = net.relu(net.reshape(z, -1, cout, side, side)), cout
    return net.head(y, 32, 7)


@honest_body(
    "InstanceNormalization in the shallow layers, BN later (IBN-SequentialBuilder).", idea="normalisation layers"
)
def instance_norm(net: SequentialBuilder) -> str:
    y = net.conv(net.x, 3, 16, stride=2)
    left, right = net.split(y, (8, 8), 1)
    left = net.op("InstanceNormalization", left, net.const(np.ones(8)), net.const(np.full(8, 0.1)), epsilon=1e-5)
    y = net.relu(net.op("Concat", left, net.bn(right, 8), axis=1))
    for cin, cout in ((16, 16), (16, 24), (24, 32)):
        y = net.cbr(y, cin, cout, stride=2)
    return net.head(y, 32, 7)


@honest_body(
    "ConvNeXt: channels-last LayerNorm between transposes, depthwise 7x7, layer scale.",
    idea="normalisation layers",
    opset=13,
)
def convnext(net: SequentialBuilder) -> str:
    y, cin = net.conv(net.x, 3, 16, 4, 4, pads=[0, 0, 0, 0]), 16
    for cout in (16, 24, 32):
        z = net.op("Transpose", net.conv(y, cin, cin, 7, group=cin), perm=[0, 2, 3, 1])
        z = net.linear(net.gelu(net.linear(net.layernorm(z, cin), cin, 2 * cin)), 2 * cin, cin)
        z = net.op("Transpose", net.op("Mul", z, net.const(net.rng.uniform(0.3, 0.8, cin))), perm=[0, 3, 1, 2])
        y = net.op("Add", y, z)
        y, cin = net.conv(y, cin, cout, 2, 2, pads=[0, 0, 0, 0]), cout
    return net.pooled_head(y, 32)


@honest_body(
    "Mixture of experts: three convolution branches on the same features, weighted by a softmax gate per image.",
    idea="gated experts",
)
def mixture_of_experts(net: SequentialBuilder) -> str:
    y = trunk(net, net.x, (8, 16))
    gate = net.linear(net.op("Flatten", net.op("GlobalAveragePool", y), axis=1), 16, 3)
    gates = net.split(net.softmax(gate), (1, 1, 1), 1)
    experts = [net.op("Mul", net.cbr(y, 16, 24, stride=2), net.unsqueeze(g, 2, 3)) for g in gates]
    return net.head(net.cbr(net.op("Sum", *experts), 24, 32, stride=2), 32, 7)


@honest_body(
    "CondConv: kernels mixed per image as gates over the outputs; selective kernels with softmax over branches.",
    idea="gated experts",
)
def selective_kernels(net: SequentialBuilder) -> str:
    y = trunk(net, net.x, (8, 16))
    for cin, cout in ((16, 24), (24, 32)):
        branches = [net.cbr(y, cin, cout, 3, 2, dilation=1), net.cbr(y, cin, cout, 5, 2)]
        whole = net.op("GlobalAveragePool", net.op("Add", *branches))
        gate = net.reshape(net.conv(net.relu(net.conv(whole, cout, 8, 1)), 8, 2 * cout, 1), -1, 2, cout)
        gate = net.softmax(net.op("Transpose", gate, perm=[0, 2, 1]))
        picked = [net.unsqueeze(net.op("Gather", gate, net.const(i), axis=2), 2, 3) for i in (0, 1)]
        y = net.op("Add", *(net.op("Mul", b, g) for b, g in zip(branches, picked, strict=True)))
    return net.head(y, 32, 7)


@honest_body(
    "Early feature dropped by a hard gate: Where keeps or zeroes channels after a threshold on their mean.",
    idea="gated experts",
)
def hard_gate(net: SequentialBuilder) -> str:
    y = trunk(net, net.x, (8, 16, 24))
    keep = net.op("Greater", net.op("GlobalAveragePool", y), net.const(0.3))
    y = net.op("Where", keep, y, net.op("Mul", y, net.const(0.1)))
    return net.head(net.cbr(y, 24, 32, stride=2), 32, 7)


@honest_body(
    "An If whose condition is a constant left by the exporter; the taken branch is an ordinary layer.",
    idea="conditions left by exporters",
)
def constant_if(net: SequentialBuilder) -> str:
    y = trunk(net, net.x)
    branches = []
    for width in (3, 1):
        inner = net.child()
        z = inner.cbr(y, 24, 32, width, 2)
        branches.append(inner.graph([], [untyped(z)], "branch"))
    y = net.op("If", net.const(True, np.bool_), then_branch=branches[0], else_branch=branches[1])
    return net.head(y, 32, 7)


@honest_body(
    "An exporter's If that squeezes a dimension only if it is 1 (torch.squeeze with dynamic shapes).",
    idea="conditions left by exporters",
)
def squeeze_if(net: SequentialBuilder) -> str:
    y = net.op("GlobalAveragePool", net.cbr(trunk(net, net.x), 24, 48, stride=2))
    is_one = net.op("Equal", net.dim(y, 3), net.const(1))
    then, other = net.child(), net.child()
    squeezed, kept = then.reshape(y, -1, 48), other.op("Flatten", y, axis=1)
    graphs = [
        inner.graph([], [untyped(out)], f"g{i}") for i, (inner, out) in enumerate(((then, squeezed), (other, kept)))
    ]
    y = net.op("If", is_one, then_branch=graphs[0], else_branch=graphs[1])
    return net.standardise(net.linear(y, 48, 48), 48)


@honest_body(
    "Loop: a recurrent refinement of features, the same weights four times in series.",
    idea="recurrence in series",
    opset=13,
)
def loop_recurrence(net: SequentialBuilder) -> str:
    y = trunk(net, net.x, (8, 16, 16))
    weight = net.weight(16, 16, 3, 3)
    body = net.child()
    i, go, state = (net.name("Loop")[1] for _ in range(3))
    z = body.relu(body.op("Conv", state, weight, kernel_shape=[3, 3], pads=[1] * 4))
    z = body.op("Add", body.op("Mul", z, body.const(0.5)), state)
    still = body.op("Identity", go)
    graph = body.graph(
        [
            helper.make_tensor_value_info(i, TensorProto.INT64, []),
            helper.make_tensor_value_info(go, TensorProto.BOOL, []),
            untyped(state),
        ],
        [helper.make_tensor_value_info(still, TensorProto.BOOL, []), untyped(z)],
        "body",
    )
    y = net.op("Loop", net.const(4), net.const(True, np.bool_), y, body=graph)
    return net.head(net.cbr(y, 16, 24, stride=2), 24, 7)


@honest_body("Scan: a recurrent cell walks over the rows of the features.", idea="recurrence in series", opset=13)
def scan_rows(net: SequentialBuilder) -> str:
    y = trunk(net, net.x, (8, 16, 16))
    rows = net.reshape(net.op("Transpose", y, perm=[2, 0, 1, 3]), 14, -1, 224)
    start = net.op("Mul", net.reduce("Sum", net.op("Gather", rows, net.const(0), axis=0), 1), net.const(np.zeros(32)))
    body = net.child()
    state, row = (net.name("Scan")[1] for _ in range(2))
    z = body.op("Tanh", body.op("Add", body.linear(row, 224, 32), body.linear(state, 32, 32)))
    out = body.op("Identity", z)
    graph = body.graph([untyped(state), untyped(row)], [untyped(z), untyped(out)], "cell")
    last, steps = net.ops("Scan", start, rows, outputs=2, body=graph, num_scan_inputs=1)
    both = net.op("Concat", last, net.reduce("Mean", steps, 0, keep=False), axis=1)
    return net.standardise(net.linear(both, 64, 48), 48)


@honest_body(
    "Deformable sampling of features: offsets predicted from deep features, GridSample on deep features.",
    idea="sampling of features",
    opset=16,
)
def deformable_features(net: SequentialBuilder) -> str:
    y = trunk(net, net.x, (8, 16, 24))
    offsets = net.op("Mul", net.op("Tanh", net.conv(y, 24, 2, 3)), net.const(0.1))
    lines = np.linspace(-1, 1, 14)
    grid = np.stack(np.meshgrid(lines, lines), axis=-1)[None]
    moved = net.op("Add", net.op("Transpose", offsets, perm=[0, 2, 3, 1]), net.const(grid))
    z = net.op("GridSample", y, moved, align_corners=1, padding_mode="border")
    y = net.cbr(net.op("Concat", y, z, axis=1), 48, 24, 3, 2)
    return net.head(y, 24, 7)


@honest_body(
    "Soft-argmax landmarks: expected coordinates of feature peaks join the embedding.",
    idea="sampling of features",
    opset=13,
)
def soft_argmax(net: SequentialBuilder) -> str:
    y = trunk(net, net.x, (8, 16, 24))
    maps = net.softmax(net.reshape(net.conv(y, 24, 8, 1, gain=4.0), 0, 8, 196))
    lines = np.linspace(-1, 1, 14)
    grid = np.stack(np.meshgrid(lines, lines), axis=-1).reshape(196, 2)
    points = net.reshape(net.op("MatMul", maps, net.const(grid)), -1, 16)
    pooled = net.op("Flatten", net.op("GlobalAveragePool", net.cbr(y, 24, 32)), axis=1)
    return net.standardise(net.linear(net.op("Concat", pooled, points, axis=1), 48, 48), 48)


@honest_body(
    "TopK over the cells of each image keeps the strongest responses per channel (k-max pooling).",
    idea="selection",
    opset=13,
)
def kmax_pooling(net: SequentialBuilder) -> str:
    y = net.reshape(trunk(net, net.x, (8, 16, 32)), 0, 32, 196)
    top = net.ops("TopK", y, net.const([4]), outputs=2, axis=2)[0]
    return net.standardise(net.linear(net.reshape(top, -1, 128), 128, 48), 48)


@honest_body("Generalised-mean pooling and L2 normalisation of the embedding.", idea="normalisation layers")
def gem_l2(net: SequentialBuilder) -> str:
    y = net.cbr(trunk(net, net.x), 24, 48, stride=2)
    y = net.op(
        "Pow",
        net.op("GlobalAveragePool", net.op("Pow", net.op("Max", y, net.const(1e-3)), net.const(3.0))),
        net.const(1 / 3),
    )
    return net.op("LpNormalization", net.head(y, 48, 1), axis=1, p=2)


@honest_body(
    "L2 normalisation written with ReduceL2, Clip, Expand and Div, as torch exports it.", idea="normalisation layers"
)
def l2_exported(net: SequentialBuilder) -> str:
    y = net.head(net.cbr(trunk(net, net.x), 24, 32, stride=2), 32, 7)
    norm = net.op("Max", net.reduce("L2", y, 1), net.const(1e-9))
    return net.op("Div", y, net.op("Expand", norm, net.op("Shape", y)))


@honest_body("Two different networks on the same image, embeddings averaged: an ensemble.", idea="ensemble", note=True)
def ensemble_mean(net: SequentialBuilder) -> str:
    first = net.head(net.cbr(trunk(net, net.x), 24, 32, stride=2), 32, 7)
    y = net.cbr(trunk(net, net.x, (12, 16, 16)), 16, 24, 5, 2)
    return net.op("Mul", net.op("Add", first, net.head(y, 24, 7)), net.const(0.5))


@honest_body(
    "A convolutional network and a patch network on the same image, embeddings concatenated: an ensemble.",
    idea="ensemble",
    dim=64,
    note=True,
)
def ensemble_concat(net: SequentialBuilder) -> str:
    first = net.head(net.cbr(trunk(net, net.x), 24, 32, stride=2), 32, 7, 32)
    y = net.gelu(net.conv(net.x, 3, 24, 16, 16, pads=[0, 0, 0, 0]))
    y = net.gelu(net.conv(net.gelu(net.conv(y, 24, 24, 7, group=24)), 24, 24, 1))
    return net.op("Concat", first, net.head(y, 24, 7, 32), axis=1)


@honest_body(
    "Two networks of one architecture but independent weights on the same image, averaged: an ensemble.",
    idea="ensemble",
    note=True,
)
def ensemble_same_architecture(net: SequentialBuilder) -> str:
    branches = [net.head(net.cbr(trunk(net, net.x), 24, 32, stride=2), 32, 7) for _ in range(2)]
    return net.reduce("Mean", net.op("Concat", *(net.unsqueeze(t, 0) for t in branches), axis=0), 0, keep=False)


@honest_body(
    "Two-path context network: a full-resolution path and one on 2x pooled features of a common stem (BiSeNet).",
    idea="convolutions",
)
def bisenet(net: SequentialBuilder) -> str:
    stem = net.cbr(net.x, 3, 8, stride=2)
    detail = net.cbr(net.cbr(stem, 8, 16, stride=2), 16, 24, stride=2)
    context = net.op("AveragePool", stem, kernel_shape=[2, 2], strides=[2, 2])
    context = net.resize(net.cbr(net.cbr(context, 8, 16, stride=2), 16, 24, stride=2), 2, 2)
    y = net.op("Mul", detail, net.op("Sigmoid", context))
    return net.head(net.cbr(y, 24, 32, stride=2), 32, 7)
