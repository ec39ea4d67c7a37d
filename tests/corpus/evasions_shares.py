"""Evasions that share less than everything: heads of their own, feature maps, single columns, two scales."""

from functools import partial

import numpy as np
from onnx import ModelProto

from .builder import Net
from .case import BATCH_RULE, Array, Case, seed_of
from .evasion_registry import add
from .evasions_hidden import hidden, run
from .towers import DIM, Tower, flat_fc
from .views import VIEWS, flip

_SHARES = np.linspace(0.3, 0.9, DIM).astype(np.float32)


@hidden(
    "One trunk with shared weights sees image and mirror image; two different matrices read its last features.",
    lambda tower, x: run(tower, x) + Tower(tower.kind, tower.seed).embed(_other_head(tower), flip(x).copy()),
    "folded",
)
def two_heads(net: Net, tower: Tower) -> str:
    weights, other = tower.weights(), _other_head(tower)
    shared = net.bind(weights, flat_fc)
    bound = {key: shared[key] for key in weights if key[0] == "c"}
    bound |= net.bind({key: other[key] for key in other if key[0] != "c"}, flat_fc)
    y = VIEWS["mirror_gather"].emit(net, net.x, 3, 112)
    for i, k in enumerate((7, 3, 3, 3, 3)):
        inputs = [y, bound[f"c{i}.w"], bound[f"c{i}.b"]]
        y = net.relu(net.op("Conv", *inputs, kernel_shape=[k, k], strides=[2, 2], pads=[k // 2] * 4))
    y = net.op("Gemm", net.op("Flatten", y, axis=1), bound["fc.w"], transB=1)
    again = net.op("BatchNormalization", y, *(bound[f"out.{part}"] for part in ("scale", "shift", "mean", "var")))
    return net.op("Add", tower.emit(net, net.x, weights), again)


def _other_head(tower: Tower) -> dict[str, Array]:
    """The tower's convolutions with the last matrix of another tower."""
    stranger = Tower(tower.kind, tower.seed + 1).weights()
    return {key: stranger[key] if key[0] != "c" else value for key, value in tower.weights().items()}


@hidden(
    "First-layer features and their mirror image are stacked on the batch axis for the rest of the body.",
    lambda tower, x: (run(tower, x) + tower.embed_rest(tower.weights(), tower.weights(), flip, x)) / 2,
)
def features_on_batch(net: Net, tower: Tower) -> str:
    weights = tower.weights()
    features = tower.stem(net, net.x, weights)
    mirrored = VIEWS["mirror_slice"].emit(net, features, 8, 56)
    y = tower.rest(net, net.op("Concat", features, mirrored, axis=0), weights)
    return net.reduce("Mean", net.reshape(y, 2, -1, DIM), 0, keep=False)


@hidden(
    "Every column has its own constant share of image and mirror image.",
    lambda tower, x: run(tower, x) * _SHARES + run(tower, flip(x)) * (1 - _SHARES),
    "vit",
)
def share_per_column(net: Net, tower: Tower) -> str:
    weights = tower.weights()
    again = tower.emit(net, VIEWS["mirror_split_concat"].emit(net, net.x, 3, 112), weights)
    once = net.op("Mul", tower.emit(net, net.x, weights), net.const(_SHARES))
    return net.op("Add", once, net.op("Mul", again, net.const(1 - _SHARES)))


def _pyramid(net: Net, x: str) -> str:
    """A body with global pooling over the image at two scales with the same weights."""
    weights = [net.weight(cout, cin, 3, 3) for cin, cout in ((3, 12), (12, 16), (16, 24), (24, 32))]
    pooled = []
    for y in (x, net.resize(x, 0.5, 0.5)):
        for weight in weights:
            y = net.relu(net.op("Conv", y, weight, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4))
        pooled.append(net.op("GlobalAveragePool", y))
    return net.head(net.op("Add", *pooled), 32, 1, DIM)


def _build_pyramid(name: str) -> ModelProto:
    net = Net(seed_of(name))
    return net.finish(_pyramid(net, net.x), DIM)


add(
    Case(
        name="two_scales",
        does="The same convolutions run over the image and over the image at half size; pooled features are added.",
        expected=BATCH_RULE,
        kind="second-look",
        build=partial(_build_pyramid, "two_scales"),
    )
)
