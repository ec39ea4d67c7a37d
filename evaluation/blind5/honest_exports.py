"""Honest: ordinary networks in the forms that exporters and hand-written tools give them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, tokens
from evaluation.blind4.register import honest_torch, honest_written
from evaluation.blind5.tails import tail
from evaluation.sequential import SequentialBuilder


@honest_torch(
    "A residual network by torch.export's exporter, opset 18.", idea="dynamo", dynamo=True, opset=18, trained=3
)
def dynamo_iresnet(n: Net, x: T) -> T:
    x = n.cbp(x, 12, 3, 2)
    for width in (16, 24, 32):
        x = n.cb(n.cbp(n.bn(x), width), width, 3, 2) + n.cb(x, width, 1, 2)
    return n.embed(x)


@honest_torch(
    "Depthwise layers with squeeze and excite by torch.export's exporter, opset 20.",
    idea="dynamo",
    dynamo=True,
    opset=20,
)
def dynamo_mobile_excite(n: Net, x: T) -> T:
    x = n.cbr(x, 12, 3, 2)
    for width in (16, 24, 32):
        x = n.se(n.inverted(x, width, 2))
    return n.gdc(x)


@honest_torch(
    "ConvNeXt with LayerNorm and GELU by torch.export's exporter, opset 21.", idea="dynamo", dynamo=True, opset=21
)
def dynamo_convnext(n: Net, x: T) -> T:
    x = n.ln2d(n.conv(x, 16, 4, 4, padding=0))
    for _ in range(2):
        y = n.ln(n.conv(x, 16, 7, 1, -1).permute(0, 2, 3, 1))
        x = x + n.linear(F.gelu(n.linear(y, 32)), 16).permute(0, 3, 1, 2)
    return tail(n, x)


@honest_torch("scaled_dot_product_attention by torch.export's exporter.", idea="dynamo", dynamo=True, opset=18)
def dynamo_fused_attention(n: Net, x: T) -> T:
    t = n.patches(x, 24)
    q, k, v = n.heads(n.ln(t), 2)
    y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    return n.embed(n.ln(t + n.linear(y, 24)).mean(1))


@honest_torch("Bilinear up-sampling of deep features by torch.export's exporter.", idea="dynamo", dynamo=True, opset=18)
def dynamo_unet(n: Net, x: T) -> T:
    a = n.stem(x)
    b = n.down(a, 24)
    c = F.interpolate(n.down(b, 32), scale_factor=2.0, mode="bilinear", align_corners=False)
    return tail(n, n.cbr(torch.cat([b, c], 1), 24))


@cache
def scripted(function: Callable[..., T]) -> Callable[..., T]:
    """Compile a function, so that its conditions and loops are exported as such; PyTorch calls this way an old one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return cast(Callable[..., T], torch.jit.script(function))


def recurrence(t: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """A recurrence written as a loop, compiled: the exporter makes a Loop of it."""
    state = torch.zeros_like(t[:, 0])
    for i in range(t.shape[1]):
        state = torch.tanh(torch.cat([t[:, i], state], 1) @ w + b)
    return state


@honest_torch(
    "A scripted recurrence over deep tokens, a Loop in the graph; it walks over places, not over views.",
    idea="control flow", opset=13,
)  # fmt: skip
def scripted_recurrence(n: Net, x: T) -> T:
    t = tokens(n.down(n.down(n.stem(x), 16), 24))
    return n.embed(scripted(recurrence)(t, n.weight(48, 24), n.weight(24)))


def smaller(x: torch.Tensor) -> torch.Tensor:
    """A branch on the size of a map, which the exporter leaves as an If."""
    if x.shape[2] > 7:
        x = torch.nn.functional.avg_pool2d(x, 2)
    return x


@honest_torch("A scripted condition on the size of a map, not on what it shows.", idea="control flow", opset=13)
def scripted_condition_on_size(n: Net, x: T) -> T:
    return n.embed(scripted(smaller)(n.down(n.stem(x), 32)).reshape(-1, 32, 7, 7))


@honest_torch("Sizes by arithmetic on shapes, exported without folding.", idea="shapes", opset=12, fold=False)
def shapes_by_arithmetic(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 24)
    b, c, h, w = x.shape
    y = x.reshape(b, c // 4, 4, h * w).mean(2).reshape(b, c // 4, h, w)
    return tail(n, F.relu(n.cb(torch.cat([x, y.expand(b, c // 4, h, w)], 1), 32)))


@honest_torch("Convolutions with BatchNorm left apart, as a training-time export has them, every constant unfolded.",
              idea="shapes", opset=11, fold=False, trained=4)  # fmt: skip
def unfolded_constants(n: Net, x: T) -> T:
    x = n.stem(x * 1.5 + 0.1 * torch.ones(1, 3, 1, 1))
    w = n.weight(24, 16, 3, 3, gain=0.4).transpose(2, 3)
    return tail(n, F.relu(n.bn(F.conv2d(x, w, stride=2, padding=1))))


@honest_torch(
    "Group normalisation as reshape, InstanceNormalization and reshape: over one image's channels.", idea="shapes"
)
def group_norm_by_reshapes(n: Net, x: T) -> T:
    x = F.relu(n.gn(n.conv(x, 12, 3, 2), 4))
    for width in (16, 24, 32):
        x = F.relu(n.gn(n.conv(x, width, 3, 2), 4))
    return n.embed(x)


@honest_torch(
    "Two poolings of one map with ceil mode and padding that is not symmetric, from a framework of old.", idea="padding"
)
def caffe_like_padding(n: Net, x: T) -> T:
    x = F.relu(n.conv(F.pad(x, (0, 1, 0, 1)), 12, 3, 2, padding=0))
    x = F.max_pool2d(x, 3, 2, 0, ceil_mode=True)
    x = F.relu(n.conv(F.pad(x, (0, 1, 0, 1)), 24, 3, 2, padding=0))
    return n.embed(n.cbr(F.pad(x, (0, 1, 0, 1)), 32, 3, 2, padding=0))


@honest_written("An iResNet in small, written node by node with unfolded BatchNorm.", idea="written", opset=15)
def written_residual(n: SequentialBuilder) -> str:
    x, width = n.cbr(n.x, 3, 12, 3, 2), 12
    for wider in (16, 24, 32):
        y = n.bn(n.conv(n.prelu(n.bn(n.conv(x, width, wider), wider), wider), wider, wider, 3, 2), wider)
        x, width = n.op("Add", y, n.bn(n.conv(x, width, wider, 1, 2), wider)), wider
    return n.head(x, 32, 7)


@honest_written(
    "The mean of two logits of one head by Sum of two linear layers, and HardSigmoid gates.", idea="written", opset=13
)
def written_gates(n: SequentialBuilder) -> str:
    x = n.cbr(n.cbr(n.x, 3, 12, 3, 2), 12, 20, 3, 2)
    gate = n.op("HardSigmoid", n.conv(n.op("GlobalAveragePool", x), 20, 20, 1), alpha=0.2, beta=0.5)
    x = n.cbr(n.cbr(n.op("Mul", x, gate), 20, 24, 3, 2), 24, 32, 3, 2)
    return n.head(x, 32, 7)


@honest_written(
    "A plain network with maximum poolings, the last layer over the mean; opset 17.", idea="written", opset=17
)
def written_plain(n: SequentialBuilder) -> str:
    x = n.x
    for narrow, width in ((3, 12), (12, 20), (20, 28), (28, 36)):
        x = n.op("MaxPool", n.cbr(x, narrow, width), kernel_shape=[2, 2], strides=[2, 2])
    return n.pooled_head(x, 36)
