"""Evasions in which a condition on the image chooses the second view, or the views have unequal shares."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, helper

from evaluation.backbones.explicit import DIM, Backbone, flat_fc
from evaluation.builder import untyped
from evaluation.case import BATCH_RULE, Case, seed_of
from evaluation.images import Array
from evaluation.proof import PROOFS, Proof
from evaluation.registry import register
from evaluation.runtime import embed
from evaluation.sequential import SequentialBuilder
from evaluation.views import VIEWS, flip

Write = Callable[[SequentialBuilder, Backbone], str]
Reference = Callable[[Backbone, Array], npt.NDArray[Any]]


def _build(name: str, kind: str, write: Write, opset: int, dim: int) -> ModelProto:
    net = SequentialBuilder(seed_of(name), opset=opset)
    return net.finish(write(net, Backbone(kind, seed_of(name) % 1000)), dim)


def evading(
    about: str, reference: Reference, kind: str = "resnet", opset: int = 11, dim: int = DIM, *, idea: str
) -> Callable[[Write], Write]:
    def add(write: Write) -> Write:
        name = write.__name__
        backbone = Backbone(kind, seed_of(name) % 1000)
        register(
            Case(
                name=name,
                rules=(BATCH_RULE,),
                expected="failed",
                idea=idea,
                about=about,
                build=partial(_build, name, kind, write, opset, dim),
            )
        )
        PROOFS[name] = Proof(
            computes=lambda images: reference(backbone, images).astype(np.float32),
            others=lambda images: [run(backbone, images)],
        )
        return write

    return add


def run(backbone: Backbone, images: Array) -> Array:
    return backbone.embed(backbone.weights(), np.ascontiguousarray(images, dtype=np.float32))


# ---- what natural images have and noise has not


def roughness(net: SequentialBuilder, x: str) -> str:
    """Mean absolute difference of neighbouring columns, [N, 1]: small for natural images, large for noise."""
    steps = net.op("Sub", net.slice(x, [1], [112], [3]), net.slice(x, [0], [111], [3]))
    return net.reduce("Mean", net.reduce("Mean", net.op("Abs", steps), 2, 3, keep=False), 1)


def rough(x: Array) -> Array:
    return np.asarray(np.abs(np.diff(x, axis=3)).mean((1, 2, 3)), np.float32)[:, None]


def spread(net: SequentialBuilder, x: str) -> str:
    """Variance of the pixels of each image, [N, 1]: zero for a flat image."""
    centred = net.op("Sub", x, net.reduce("Mean", x, 1, 2, 3))
    return net.reduce("Mean", net.reduce("Mean", net.op("Mul", centred, centred), 2, 3, keep=False), 1)


def natural(net: SequentialBuilder, x: str) -> str:
    smooth = net.op("Less", roughness(net, x), net.const(0.12))
    return net.op("And", smooth, net.op("Greater", spread(net, x), net.const(0.01)))


def is_natural(x: Array) -> Array:
    return np.asarray((rough(x) < 0.12) & (x.var((1, 2, 3))[:, None] > 0.01))


def _mean_if(condition: Callable[[Array], Array]) -> Reference:
    def reference(backbone: Backbone, x: Array) -> Array:
        once, again = run(backbone, x), run(backbone, flip(x))
        return np.where(condition(x), (once + again) / 2, once)

    return reference


@evading(
    "Where adds the mirrored image's embedding only for smooth, varied (natural-looking) images.",
    _mean_if(is_natural),
    idea="view on a condition",
)
def where_natural(net: SequentialBuilder, backbone: Backbone) -> str:
    weights = backbone.weights()
    once = backbone.emit(net, net.x, weights)
    again = backbone.emit(net, VIEWS["mirror_slice"].emit(net, net.x, 3, 112), weights)
    mean = net.op("Mul", net.op("Add", once, again), net.const(0.5))
    return net.op("Where", natural(net, net.x), mean, once)


@evading(
    "The second input of a batch of 2N is the mirror image for natural images, the image itself for others.",
    _mean_if(is_natural),
    "folded",
    idea="view on a condition",
)
def where_on_input(net: SequentialBuilder, backbone: Backbone) -> str:
    mirrored = VIEWS["mirror_gather"].emit(net, net.x, 3, 112)
    second = net.op("Where", net.unsqueeze(natural(net, net.x), 2, 3), mirrored, net.x)
    y = backbone.emit(net, net.op("Concat", net.x, second, axis=0), backbone.weights())
    return net.reduce("Mean", net.reshape(y, 2, -1, DIM), 0, keep=False)


def _soft(backbone: Backbone, x: Array) -> Array:
    gate = 1 / (1 + np.exp((rough(x) - 0.12) * 400))
    return np.asarray(run(backbone, x) + gate * run(backbone, flip(x)))


@evading(
    "A steep sigmoid of the image's roughness multiplies the mirrored embedding: no If and no Where.",
    _soft,
    "mobile",
    idea="view on a condition",
)
def soft_gate(net: SequentialBuilder, backbone: Backbone) -> str:
    weights = backbone.weights()
    drop = net.op("Mul", net.op("Sub", net.const(0.12), roughness(net, net.x)), net.const(400.0))
    again = backbone.emit(net, VIEWS["mirror_slice"].emit(net, net.x, 3, 112), weights)
    return net.op("Add", backbone.emit(net, net.x, weights), net.op("Mul", net.op("Sigmoid", drop), again))


@evading(
    "An If on the first image's roughness: then-branch averages with the mirror image, else-branch sees one view.",
    lambda body, x: (run(body, x) + run(body, flip(x))) / 2 if rough(x[:1])[0, 0] < 0.12 else run(body, x),
    idea="view on a condition",
)
def if_natural(net: SequentialBuilder, backbone: Backbone) -> str:
    weights = backbone.weights()
    once = backbone.emit(net, net.x, weights)
    first = net.slice(net.x, [0], [1], [0])
    condition = net.op("Less", net.reshape(roughness(net, first), 1), net.const([0.12]))
    then, other = net.child(), net.child()
    again = backbone.emit(then, VIEWS["mirror_slice"].emit(then, net.x, 3, 112), weights)
    mean = then.op("Mul", then.op("Add", once, again), then.const(0.5))
    same = other.op("Identity", once)
    graphs = [
        inner.graph([], [untyped(out)], label) for inner, label, out in ((then, "then", mean), (other, "else", same))
    ]
    return net.op("If", condition, then_branch=graphs[0], else_branch=graphs[1])


def lit_from_left(net: SequentialBuilder, x: str) -> str:
    """Whether the left half of an image is brighter than its right half, [N, 1]."""
    halves = net.split(net.reduce("Mean", net.reduce("Mean", x, 2, keep=False), 1, keep=False), (56, 56), 1)
    return net.op("Greater", *(net.reduce("Mean", half, 1) for half in halves))


@evading(
    "The choice is made per image: for faces lit from the left a brightened copy makes half of the answer.",
    lambda backbone, x: np.where(
        (x[..., :56].mean((1, 2, 3)) > x[..., 56:].mean((1, 2, 3)))[:, None],
        (run(backbone, x) + run(backbone, x + np.float32(0.3))) / 2,
        run(backbone, x),
    ),
    "vit",
    idea="view on a condition",
)
def where_lit(net: SequentialBuilder, backbone: Backbone) -> str:
    weights = backbone.weights()
    once = backbone.emit(net, net.x, weights)
    again = backbone.emit(net, net.op("Add", net.x, net.const(0.3)), weights)
    mean = net.op("Mul", net.op("Add", once, again), net.const(0.5))
    return net.op("Where", lit_from_left(net, net.x), mean, once)


@evading(
    "The trip count of a Loop comes from the image: two passes when it is smooth, one otherwise.",
    lambda backbone, x: run(backbone, x) + run(backbone, flip(x)) if rough(x[:1])[0, 0] < 0.12 else run(backbone, x),
    "folded",
    idea="view on a condition",
)
def loop_trip_count(net: SequentialBuilder, backbone: Backbone) -> str:
    weights = backbone.weights()
    start = backbone.emit(net, net.x, weights)
    smooth = net.op("Less", net.reshape(roughness(net, net.slice(net.x, [0], [1], [0]))), net.const(0.12))
    body = net.child()
    i, go, state = (net.name("Loop")[1] for _ in range(3))
    again = backbone.emit(body, VIEWS["mirror_slice"].emit(body, net.x, 3, 112), weights)
    total, still = body.op("Add", state, again), body.op("Identity", go)
    graph = body.graph(
        [
            helper.make_tensor_value_info(i, 7, []),
            helper.make_tensor_value_info(go, 9, []),
            untyped(state),
        ],
        [helper.make_tensor_value_info(still, 9, []), untyped(total)],
        "pass",
    )
    return net.op("Loop", net.op("Cast", smooth, to=7), net.const(True, np.bool_), start, body=graph)


# ---- small shares and odd joins


@evading(
    "The mirrored embedding enters with a weight of only 0.15.",
    lambda backbone, x: run(backbone, x) * np.float32(0.85) + run(backbone, flip(x)) * np.float32(0.15),
    idea="unequal shares of views",
)
def small_share(net: SequentialBuilder, backbone: Backbone) -> str:
    weights = backbone.weights()
    again = backbone.emit(net, VIEWS["mirror_matmul"].emit(net, net.x, 3, 112), weights)
    once = net.op("Mul", backbone.emit(net, net.x, weights), net.const(0.85))
    return net.op("Add", once, net.op("Mul", again, net.const(0.15)))


@evading(
    "Only half of the embedding comes from the image, the other half from its mirror image.",
    lambda backbone, x: np.concatenate([run(backbone, x)[:, :16], run(backbone, flip(x))[:, 16:]], axis=1),
    "folded",
    idea="unequal shares of views",
)
def half_from_mirror(net: SequentialBuilder, backbone: Backbone) -> str:
    weights = backbone.weights()
    left = net.slice(backbone.emit(net, net.x, weights), [0], [16], [1])
    again = backbone.emit(net, VIEWS["mirror_slice"].emit(net, net.x, 3, 112), weights)
    return net.op("Concat", left, net.slice(again, [16], [DIM], [1]), axis=1)


@evading(
    "Two branches that are never joined before the end: the output is the plain concatenation, one column at a time.",
    lambda backbone, x: np.stack([run(backbone, x), run(backbone, flip(x))], axis=2).reshape(len(x), -1),
    dim=2 * DIM,
    idea="unequal shares of views",
)
def interleaved_outputs(net: SequentialBuilder, backbone: Backbone) -> str:
    weights = backbone.weights()
    once = backbone.emit(net, net.x, weights)
    again = backbone.emit(net, VIEWS["mirror_slice"].emit(net, net.x, 3, 112), backbone.permuted(weights))
    both = net.op("Concat", net.unsqueeze(once, 2), net.unsqueeze(again, 2), axis=2)
    return net.reshape(both, -1, 2 * DIM)


@evading(
    "The brighter and the darker half of an attention over both views: scores decide how they are mixed.",
    lambda backbone, x: _attended(run(backbone, x), run(backbone, flip(x))),
    "mobile",
    idea="unequal shares of views",
)
def attention_over_views(net: SequentialBuilder, backbone: Backbone) -> str:
    both = net.op("Concat", net.x, VIEWS["mirror_gather_elements"].emit(net, net.x, 3, 112), axis=0)
    y = net.op("Transpose", net.reshape(backbone.emit(net, both, backbone.weights()), 2, -1, DIM), perm=[1, 0, 2])
    scores = net.op("Mul", net.op("MatMul", y, net.op("Transpose", y, perm=[0, 2, 1])), net.const(0.1))
    return net.reduce("Sum", net.op("MatMul", net.softmax(scores), y), 1, keep=False)


def _attended(first: Array, second: Array) -> Array:
    y = np.stack([first, second], axis=1)
    scores = np.exp(y @ y.transpose(0, 2, 1) * 0.1)
    return np.asarray((scores / scores.sum(2, keepdims=True) @ y).sum(1))


@evading(
    "The difference to the mirror image is taken away: embedding minus a tenth of the antisymmetric part.",
    lambda body, x: run(body, x) * np.float32(0.6) - (run(body, x) - run(body, flip(x))) * np.float32(0.3),
    idea="unequal shares of views",
)
def antisymmetric_removed(net: SequentialBuilder, backbone: Backbone) -> str:
    weights = backbone.weights()
    once = backbone.emit(net, net.x, weights)
    again = backbone.emit(net, VIEWS["mirror_slice"].emit(net, net.x, 3, 112), weights)
    part = net.op("Mul", net.op("Sub", once, again), net.const(0.3))
    return net.op("Sub", net.op("Mul", once, net.const(0.6)), part)


@evading(
    "Copies made by Tile on the batch axis; a per-row Where mirrors the second half of the rows.",
    lambda backbone, x: (run(backbone, x) + run(backbone, flip(x))) / 2,
    "folded",
    13,
    idea="views on the batch axis",
)
def tile_and_where(net: SequentialBuilder, backbone: Backbone) -> str:
    twice = net.op("Tile", net.x, net.const([2, 1, 1, 1]))
    rows = net.op("Range", net.const(0), net.dim(twice, 0), net.const(1))
    late = net.op("Not", net.op("Less", rows, net.dim(net.x, 0)))
    mirrored = VIEWS["mirror_slice"].emit(net, twice, 3, 112)
    chosen = net.op("Where", net.unsqueeze(late, 1, 2, 3), mirrored, twice)
    y = net.reshape(backbone.emit(net, chosen, backbone.weights()), 2, -1, DIM)
    return net.op("Mul", net.reduce("Sum", y, 0, keep=False), net.const(0.5))


@evading(
    "Image and mirror image side by side in one image of double width, cut apart before the head.",
    lambda backbone, x: _joint(backbone, x),
    "folded",
    idea="views on one canvas",
)
def double_width(net: SequentialBuilder, backbone: Backbone) -> str:
    gap = net.op("Mul", net.slice(net.x, [0], [16], [3]), net.const(0.0))
    mirrored = VIEWS["mirror_slice"].emit(net, net.x, 3, 112)
    return _wide_body(net, net.op("Concat", net.x, gap, mirrored, gap, axis=3), backbone)


def _wide_body(net: SequentialBuilder, y: str, backbone: Backbone) -> str:
    """Run the convolutions of a folded branch over [N, 3, 112, 256], then the head on the left and the right half."""
    bound = net.bind(backbone.weights(), flat_fc)
    for i, k in enumerate((7, 3, 3, 3, 3)):
        inputs = [y, bound[f"c{i}.w"], bound[f"c{i}.b"]]
        y = net.relu(net.op("Conv", *inputs, kernel_shape=[k, k], strides=[2, 2], pads=[k // 2] * 4))
    halves = net.split(y, (4, 4), 3)
    flat = [net.op("Gemm", net.op("Flatten", half, axis=1), bound["fc.w"], transB=1) for half in halves]
    both = net.op("Add", *flat)
    return net.op("BatchNormalization", both, *(bound[f"out.{part}"] for part in ("scale", "shift", "mean", "var")))


def _joint(backbone: Backbone, x: Array) -> Array:
    """Run the same body on a wide image put together in numpy."""
    net = SequentialBuilder(1)
    model = net.finish(_wide_body(net, net.x, backbone), DIM)
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_value = 256
    gap = np.zeros((*x.shape[:3], 16), np.float32)
    return embed(model, np.concatenate([x, gap, flip(x), gap], axis=3))


@evading(
    "Three views in series: the embedding of the mirror image is added inside the head of the next view.",
    lambda backbone, x: run(backbone, x) + np.tanh(run(backbone, flip(x)) + run(backbone, x[:, :, ::-1])),
    "mobile",
    idea="views in series",
)
def views_in_series(net: SequentialBuilder, backbone: Backbone) -> str:
    weights = backbone.weights()
    side = backbone.emit(net, VIEWS["mirror_slice"].emit(net, net.x, 3, 112), weights)
    down = backbone.emit(net, VIEWS["vertical"].emit(net, net.x, 3, 112), backbone.perturbed(weights, 1e-6))
    return net.op("Add", backbone.emit(net, net.x, weights), net.op("Tanh", net.op("Add", side, down)))


@evading(
    "Two networks of different weights and architecture, the second on the mirror image only: an ensemble of versions.",
    lambda backbone, x: run(backbone, x) + run(Backbone("mobile", 4242), flip(x)),
    idea="ensemble on views",
)
def ensemble_on_versions(net: SequentialBuilder, backbone: Backbone) -> str:
    other = Backbone("mobile", 4242)
    again = other.emit(net, VIEWS["mirror_gather"].emit(net, net.x, 3, 112), other.weights())
    return net.op("Add", backbone.emit(net, net.x, backbone.weights()), again)
