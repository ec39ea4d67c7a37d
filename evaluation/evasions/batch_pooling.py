"""Evasions in which embeddings are centred, pooled or selected over the batch."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from evaluation.backbones.plain import head, plain, residual, stem
from evaluation.case import BATCH_RULE
from evaluation.named import EMBEDDING, NamedBuilder
from evaluation.registry import evasion

NEAR = 0.9
CAPACITY = 24


@evasion(BATCH_RULE, "The mean embedding of the batch is subtracted, from five images upwards.", idea="batch size")
def centred_in_large_batches() -> onnx.ModelProto:
    net = NamedBuilder(301)
    e = plain(net)
    rows = net.op("Cast", net.op("Gather", net.op("Shape", "data"), np.array(0)), to=TensorProto.FLOAT)
    share = net.op("Clip", net.op("Sub", rows, 4.0), 0.0, 1.0)
    return net.model(net.op("Sub", e, net.op("Mul", share, net.mean(e, 0, keep=True))))


@evasion(
    BATCH_RULE,
    "Embeddings of images that are nearly the same are averaged over the batch; others stay alone.",
    idea="attention over the batch",
)
def near_duplicates_pooled() -> onnx.ModelProto:
    net = NamedBuilder(302, 12)
    e = plain(net)
    thumb = net.op("Flatten", net.op("AveragePool", "data", kernel_shape=[8, 8], strides=[8, 8]))
    thumb = net.op("Sub", thumb, net.mean(thumb, 1, keep=True))
    thumb = net.op("Div", thumb, net.op("ReduceL2", thumb, axes=[1], keepdims=1))
    alike = net.op("Relu", net.op("Sub", net.op("MatMul", thumb, net.transpose(thumb, 1, 0)), NEAR))
    return net.model(net.op("MatMul", net.op("Div", alike, net.sum(alike, 1, keep=True)), e))


@evasion(
    BATCH_RULE,
    "An expert takes the 24 best tokens of the whole batch, so images compete for it.",
    idea="selection over the batch",
)
def shared_expert_capacity() -> onnx.ModelProto:
    net = NamedBuilder(303, 14)
    width = 32
    x = net.conv("data", "patch", (width, 3, 16, 16), 16)
    tokens = net.reshape(net.transpose(x, 0, 2, 3, 1), -1, width)
    score = net.squeeze(net.linear(tokens, "router", width, 1), 1)
    best, place = net.ops("TopK", score, [CAPACITY], outputs=2, axis=0)
    chosen = net.op("Gather", tokens, place, axis=0)
    expert = net.linear(net.linear(chosen, "e1", width, 64, "Relu"), "e2", 64, width)
    expert = net.op("Mul", expert, net.unsqueeze(net.op("Sigmoid", best), 1))
    tokens = net.op("ScatterND", tokens, net.unsqueeze(place, 1), net.op("Add", chosen, expert))
    return net.model(net.linear(net.reshape(tokens, -1, 49 * width), "embed", 49 * width, EMBEDDING))


@evasion(
    BATCH_RULE,
    "Features are normalised by the statistics of the batch: the rows are folded into the height.",
    idea="batch statistics",
)
def statistics_over_folded_rows() -> onnx.ModelProto:
    net = NamedBuilder(304)
    x = residual(net, net.conv(stem(net, "data"), "c2", (24, 16, 4, 4), 2, 1), "r2", 24)
    tall = net.reshape(net.transpose(x, 1, 0, 2, 3), 1, 24, -1, 28)
    tall = net.op("InstanceNormalization", tall, np.ones(24), np.zeros(24))
    x = net.transpose(net.reshape(tall, 24, -1, 28, 28), 1, 0, 2, 3)
    x = net.conv(net.conv(x, "c3", (32, 24, 4, 4), 2, 1), "c4", (32, 32, 4, 4), 2, 1)
    return net.model(head(net, x, 32, 7))
