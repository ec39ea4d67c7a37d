"""Rows that reach each other at some batch sizes, or for some images; and batches that are only folded."""

from __future__ import annotations

import numpy as np

from evaluation.builder import untyped
from evaluation.graph_shows.network import CHANNELS, SIDE, WIDTH, Net, breaks, keeps, open_to, random_values

RULE = "batch"


def centred(net: Net, e: str) -> str:
    return net.op("Sub", e, net.mean(e, 0, keep=True))


def centred_when(net: Net, e: str, condition: str) -> str:
    """Take the batch's mean away where a condition [1] holds."""
    return net.op("Sub", e, net.op("Mul", net.mean(e, 0, keep=True), net.gate(condition)))


@breaks(RULE, "one batch size")
def mean_of_seventeen(net: Net, e: str) -> str:
    return centred_when(net, e, net.op("Equal", net.count(), [17]))


@breaks(RULE, "one batch size")
def mean_of_multiples_of_five(net: Net, e: str) -> str:
    return centred_when(net, e, net.op("Equal", net.op("Mod", net.count(), [5]), [0]))


@breaks(RULE, "one batch size")
def mean_of_more_than_forty(net: Net, e: str) -> str:
    return centred_when(net, e, net.op("Greater", net.count(kind=1), [40.0]))


@breaks(RULE, "one batch size")
def mean_of_three_hundred(net: Net, e: str) -> str:
    """No batch that is run is as large: the graph alone shows it."""
    return centred_when(net, e, net.op("Equal", net.count(), [300]))


@breaks(RULE, "one batch size")
def another_branch_for_nine(net: Net, e: str) -> str:
    nine = net.squeeze(net.op("Equal", net.count(), [9]), 0)
    return net.when(nine, lambda inner: centred(inner, e), lambda inner: inner.op("Identity", e))


@breaks(RULE, "one batch size")
def scaled_by_the_number_of_images(net: Net, e: str) -> str:
    return net.op("Add", e, net.op("Div", random_values(net, "shift", WIDTH), net.count(kind=1)))


def averaged(net: Net, e: str, weights: str) -> str:
    """Average embeddings with weights [N, N]."""
    return net.op("Div", net.op("MatMul", weights, e), net.sum(weights, 1, keep=True))


def unit(net: Net, e: str) -> str:
    return net.op("Div", e, net.op("ReduceL2", e, axes=[1], keepdims=1))


@breaks(RULE, "images that resemble each other")
def near_duplicates_by_softmax(net: Net, e: str) -> str:
    """No comparison: a steep softmax over the similarities."""
    u = unit(net, e)
    scores = net.op("MatMul", u, net.transpose(u, 1, 0))
    return net.op("MatMul", net.op("Softmax", net.op("Mul", scores, 400.0), axis=1), e)


@breaks(RULE, "images that resemble each other")
def mirror_partners(net: Net, e: str) -> str:
    """Average an image with its own mirror image, where that is in the batch."""
    turned = net.op("Slice", net.x, [-1], [-(10**6)], [3], [-1])
    one, other = unit(net, net.op("Flatten", net.features(net.x))), unit(net, net.op("Flatten", net.features(turned)))
    scores = net.op("MatMul", one, net.transpose(other, 1, 0))
    partner = net.gate(net.op("Greater", scores, 0.999))
    return net.op("Add", e, net.op("Mul", net.op("MatMul", partner, e), 0.5))


@breaks(RULE, "images that resemble each other")
def like_coloured(net: Net, e: str) -> str:
    """Images of one mean colour are averaged."""
    colours = net.mean(net.x, 2, 3)
    apart = net.op("Sub", net.unsqueeze(colours, 1), net.unsqueeze(colours, 0))
    alike = net.op("Less", net.op("ReduceMax", net.op("Abs", apart), axes=[2], keepdims=0), 0.02)
    return averaged(net, e, net.gate(alike))


@breaks(RULE, "order in the batch")
def blended_with_the_next(net: Net, e: str) -> str:
    nexts = net.op("Concat", net.slice(e, [1], [10**6], [0]), net.slice(e, [0], [1], [0]), axis=0)
    return net.op("Add", e, net.op("Mul", nexts, 0.3))


@breaks(RULE, "order in the batch")
def moving_average_in_a_loop(net: Net, e: str) -> str:
    body = net.child()
    new = body.op("Add", body.op("Mul", "state", 0.5), body.op("Mul", "row", 0.5))
    out = body.op("Identity", new)
    graph = body.graph([untyped("state"), untyped("row")], [untyped(new), untyped(out)])
    start = net.store("start", np.zeros(WIDTH, np.float32))
    return net.ops("Scan", start, e, outputs=2, body=graph, num_scan_inputs=1)[1]


@breaks(RULE, "order in the batch")
def mixed_behind_a_fold(net: Net, e: str) -> str:
    """Fold the batch into the places of a map, and average over those."""
    folded = net.op("Unsqueeze", net.transpose(e, 1, 0), [0])
    mixed = net.op("ReduceMean", folded, axes=[2], keepdims=1)
    return net.op("Add", e, net.op("Mul", net.op("Squeeze", mixed, [0, 2]), 0.4))


@open_to(RULE, "a flow that no batch shows")
def largest_of_all_taken_away(net: Net, e: str) -> str:
    """Take the largest value of all rows away before a softmax, which makes up for it."""
    safe = net.op("Sub", e, net.op("ReduceMax", e, keepdims=0))
    return net.op("Softmax", safe, axis=1)


@keeps(RULE, "the batch folded away and back")
def patches_as_rows(net: Net, e: str) -> str:
    maps = net.features(net.x)
    tokens = net.reshape(net.transpose(maps, 0, 2, 3, 1), -1, CHANNELS)
    mixed = net.linear(tokens, "token", CHANNELS, CHANNELS, act="Relu")
    back = net.reshape(mixed, -1, SIDE * SIDE, CHANNELS)
    return net.linear(net.mean(back, 1), "pooled", CHANNELS, WIDTH)


@keeps(RULE, "the batch folded away and back")
def windows_as_rows(net: Net, e: str) -> str:
    """Windows of a grid in the batch, attention in each, and back, as in Swin."""
    grid = net.transpose(net.reshape(net.x, -1, 3, 4, 28, 4, 28), 0, 2, 4, 3, 5, 1)
    windows = net.linear(net.reshape(grid, -1, 28 * 28, 3), "key", 3, 4)
    pooled = net.mean(net.op("Softmax", net.op("MatMul", net.transpose(windows, 0, 2, 1), windows), axis=-1), 2)
    return net.linear(net.reshape(pooled, -1, 16 * 4), "joined", 16 * 4, WIDTH)


@keeps(RULE, "the batch folded away and back")
def colours_in_the_batch(net: Net, e: str) -> str:
    planes = net.op("Concat", *(net.cut(net.x, at, at + 1, 1) for at in range(3)), axis=0)
    y = net.conv(planes, "plane", (CHANNELS, 1, 16, 16), stride=16)
    parts = net.ops("Split", y, outputs=3, axis=0)
    total = net.op("Sum", *parts)
    return net.linear(net.op("Flatten", total), "planes", CHANNELS * SIDE * SIDE, WIDTH)


@keeps(RULE, "the batch folded away and back")
def kernels_of_each_image(net: Net, e: str) -> str:
    """Make channels of the batch, each image weighed by numbers of its own."""
    maps = net.features(net.x)
    folded = net.reshape(maps, 1, -1, SIDE, SIDE)
    smooth = net.op("AveragePool", folded, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    own = net.op("Sigmoid", net.linear(e, "own", WIDTH, CHANNELS))
    weighed = net.op("Mul", smooth, net.reshape(own, 1, -1, 1, 1))
    return net.linear(net.reshape(weighed, -1, CHANNELS * SIDE * SIDE), "kernels", CHANNELS * SIDE * SIDE, WIDTH)


@keeps(RULE, "the batch on another axis")
def recurrence_with_time_first(net: Net, e: str) -> str:
    rows = net.transpose(net.reshape(net.features(net.x), 0, CHANNELS * SIDE, SIDE), 2, 0, 1)
    weights = [random_values(net, f"lstm{i}", 1, 4 * WIDTH, size) for i, size in enumerate((CHANNELS * SIDE, WIDTH))]
    weights = [net.op("Mul", weight, 0.1) for weight in weights]
    shape = net.op("Concat", [1], net.count(), [WIDTH], axis=0)
    start = net.op("ConstantOfShape", shape)
    last = net.ops("LSTM", rows, *weights, "", "", start, start, outputs=2, hidden_size=WIDTH)[1]
    return net.squeeze(last, 0)


@keeps(RULE, "the batch on another axis")
def einsum_of_heads(net: Net, e: str) -> str:
    tokens = net.reshape(net.features(net.x), 0, 2, CHANNELS // 2, SIDE * SIDE)
    scores = net.op("Softmax", net.op("Einsum", tokens, tokens, equation="bhct,bhcs->hbts"), axis=-1)
    mixed = net.op("Einsum", scores, tokens, equation="hbts,bhcs->bhct")
    return net.linear(net.op("Flatten", mixed), "heads", CHANNELS * SIDE * SIDE, WIDTH)


@keeps(RULE, "sizes of the batch")
def class_token_and_sizes(net: Net, e: str) -> str:
    tokens = net.transpose(net.reshape(net.features(net.x), 0, CHANNELS, SIDE * SIDE), 0, 2, 1)
    token = net.for_each_row(net.x, "token", 1, CHANNELS)
    shape = net.op("Concat", net.count(), [1 + SIDE * SIDE], [CHANNELS], axis=0)
    joined = net.op("Reshape", net.op("Concat", token, tokens, axis=1), shape)
    mixed = net.op(
        "MatMul", net.op("Softmax", net.op("MatMul", joined, net.transpose(joined, 0, 2, 1)), axis=-1), joined
    )
    return net.linear(net.op("Gather", mixed, np.array(0), axis=1), "class", CHANNELS, WIDTH)


@keeps(RULE, "sizes of the batch")
def squeezed_by_a_condition(net: Net, e: str) -> str:
    """Squeeze as torch exports it: by an If on the extent of an axis."""
    wide = net.unsqueeze(e, 2)
    one = net.squeeze(net.op("Equal", net.op("Gather", net.op("Shape", wide), [2]), [1]), 0)
    return net.when(one, lambda inner: inner.squeeze(wide, 2), lambda inner: inner.op("Identity", wide))
