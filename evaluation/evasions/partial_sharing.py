"""Evasions that share less than everything: heads of their own, feature maps, single columns, two scales."""

from functools import partial

import numpy as np
from onnx import ModelProto

from evaluation.backbones.explicit import DIM, Backbone, flat_fc
from evaluation.case import BATCH_RULE, Case, seed_of
from evaluation.evasions.conditional import evading, run
from evaluation.images import Array
from evaluation.registry import register
from evaluation.sequential import SequentialBuilder
from evaluation.views import VIEWS, flip

_SHARES = np.linspace(0.3, 0.9, DIM).astype(np.float32)


@evading(
    "One trunk with shared weights sees image and mirror image; two different matrices read its last features.",
    lambda body, x: run(body, x) + Backbone(body.kind, body.seed).embed(_other_head(body), flip(x).copy()),
    "folded",
    idea="shared trunk",
)
def two_heads(net: SequentialBuilder, backbone: Backbone) -> str:
    weights, other = backbone.weights(), _other_head(backbone)
    shared = net.bind(weights, flat_fc)
    bound = {key: shared[key] for key in weights if key[0] == "c"}
    bound |= net.bind({key: other[key] for key in other if key[0] != "c"}, flat_fc)
    y = VIEWS["mirror_gather"].emit(net, net.x, 3, 112)
    for i, k in enumerate((7, 3, 3, 3, 3)):
        inputs = [y, bound[f"c{i}.w"], bound[f"c{i}.b"]]
        y = net.relu(net.op("Conv", *inputs, kernel_shape=[k, k], strides=[2, 2], pads=[k // 2] * 4))
    y = net.op("Gemm", net.op("Flatten", y, axis=1), bound["fc.w"], transB=1)
    again = net.op("BatchNormalization", y, *(bound[f"out.{part}"] for part in ("scale", "shift", "mean", "var")))
    return net.op("Add", backbone.emit(net, net.x, weights), again)


def _other_head(backbone: Backbone) -> dict[str, Array]:
    """Return the convolutions of a backbone with the last matrix of another branch."""
    another = Backbone(backbone.kind, backbone.seed + 1).weights()
    return {key: another[key] if key[0] != "c" else value for key, value in backbone.weights().items()}


@evading(
    "First-layer features and their mirror image are stacked on the batch axis for the rest of the body.",
    lambda backbone, x: (run(backbone, x) + backbone.embed_rest(backbone.weights(), backbone.weights(), flip, x)) / 2,
    idea="view of early features",
)
def features_on_batch(net: SequentialBuilder, backbone: Backbone) -> str:
    weights = backbone.weights()
    features = backbone.stem(net, net.x, weights)
    mirrored = VIEWS["mirror_slice"].emit(net, features, 8, 56)
    y = backbone.rest(net, net.op("Concat", features, mirrored, axis=0), weights)
    return net.reduce("Mean", net.reshape(y, 2, -1, DIM), 0, keep=False)


@evading(
    "Every column has its own constant share of image and mirror image.",
    lambda backbone, x: run(backbone, x) * _SHARES + run(backbone, flip(x)) * (1 - _SHARES),
    "vit",
    idea="unequal shares of views",
)
def share_per_column(net: SequentialBuilder, backbone: Backbone) -> str:
    weights = backbone.weights()
    again = backbone.emit(net, VIEWS["mirror_split_concat"].emit(net, net.x, 3, 112), weights)
    once = net.op("Mul", backbone.emit(net, net.x, weights), net.const(_SHARES))
    return net.op("Add", once, net.op("Mul", again, net.const(1 - _SHARES)))


def _pyramid(net: SequentialBuilder, x: str) -> str:
    """Write a body with global pooling over the image at two scales with the same weights."""
    weights = [net.weight(cout, cin, 3, 3) for cin, cout in ((3, 12), (12, 16), (16, 24), (24, 32))]
    pooled = []
    for y in (x, net.resize(x, 0.5, 0.5)):
        for weight in weights:
            y = net.relu(net.op("Conv", y, weight, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4))
        pooled.append(net.op("GlobalAveragePool", y))
    return net.head(net.op("Add", *pooled), 32, 1, DIM)


def _build_pyramid(name: str) -> ModelProto:
    net = SequentialBuilder(seed_of(name))
    return net.finish(_pyramid(net, net.x), DIM)


register(
    Case(
        name="two_scales",
        rules=(BATCH_RULE,),
        expected="failed",
        idea="view at another scale",
        about="The same convolutions run over the image and over the image at half size; pooled features are added.",
        build=partial(_build_pyramid, "two_scales"),
    )
)
