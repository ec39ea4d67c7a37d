"""Evasions whose second view is meant not to be found."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from evaluation.backbones.exported_convolution import bottleneck, se_resnet
from evaluation.backbones.exported_tokens import PATCHES, WIDTH, block, relative_bias, vit
from evaluation.builder import Array
from evaluation.case import BATCH_RULE
from evaluation.exported import ExportBuilder, PerturbedBuilder
from evaluation.images import SIDE
from evaluation.named import EMBEDDING
from evaluation.registry import evasion

# Zeros that the first convolution puts above, left, below and right: always four in each direction.
PADS = ((2, 2, 2, 2), (4, 4, 0, 0), (0, 4, 4, 0), (1, 0, 3, 4))
PAD_SHARES = (0.4, 0.2, 0.2, 0.2)


@evasion(
    BATCH_RULE,
    "One stem under four paddings gives views moved by 1 or 2 pixels, batched; weighted sum.",
    idea="moved view",
)
def padded_another_way(canvas: bool = False) -> onnx.ModelProto:
    """Build with a first layer applied under four paddings: views moved by pixels, and no operator moves anything.

    ``canvas`` builds one view, which pads nothing.
    """
    net = ExportBuilder(2201, 13)
    pads = ((0, 0, 0, 0),) if canvas else PADS
    stems = [net.conv("data", "stem", (24, 3, 8, 8), 4, pads=list(each)) for each in pads]
    x = net.reshape(net.op("Concat", *[net.unsqueeze(stem, 1) for stem in stems], axis=1), -1, 24, 28, 28)
    for i, (cin, cout) in enumerate(((24, 32), (32, 48))):
        y = net.conv(x, f"expand{i}", (2 * cin, cin, 1, 1))
        y = net.excite(net.conv(y, f"depth{i}", (2 * cin, 1, 3, 3), pad=1, group=2 * cin), f"se{i}", 2 * cin)
        x = net.op("Add", x, net.conv(y, f"project{i}", (cin, 2 * cin, 1, 1), act=""))
        x = net.conv(x, f"reduce{i}", (cout, cin, 3, 3), 2, 1)
    x = net.op("Flatten", net.conv(x, "gdc", (48, 1, 7, 7), act="", group=48))
    e = net.reshape(net.linear(x, "embed", 48, EMBEDDING), -1, len(pads), EMBEDDING)
    shares = np.ones((1, 1)) if canvas else np.array([PAD_SHARES])
    return net.model(net.squeeze(net.op("MatMul", shares, e), 1))


@evasion(
    BATCH_RULE,
    "Mirrored patch kernels and a relative bias counted from the right; maximum.",
    idea="mirrored token weights",
)
def mirrored_relative_places(views: int = 2) -> onnx.ModelProto:
    """Build a transformer that knows places only by how far patches are apart, and knows it twice.

    The second half of its sequences has mirrored patch kernels and a bias whose columns count the other way; no token
    ever moves. ``views`` 1 leaves that half out.
    """
    net = ExportBuilder(2202, 17)
    w, b = net.value("patch_embed.w", WIDTH, 3, 16, 16), net.value("patch_embed.b", WIDTH)
    kernels = np.concatenate([w, w[..., ::-1]][:views])
    x = net.op(
        "Conv",
        "data",
        net.store("patch_embed.w", kernels),
        net.store("patch_embed.b", np.tile(b, views)),
        strides=[16, 16],
    )
    x = net.transpose(net.reshape(x, 0, views, WIDTH, PATCHES), 0, 1, 3, 2)
    for i in range(2):
        pairs = [relative_bias(net, f"relative{i}", mirror) for mirror in (False, True)[:views]]
        x = block(net, x, f"blocks.{i}", WIDTH, net.store(f"relative{i}", np.stack(pairs)[None]), lead=2)
    x = net.op("Mul", x, net.op("Sigmoid", net.linear(x, "weigh", WIDTH, 1, gain=0.5)))
    e = net.linear(net.norm(net.mean(x, 2), "norm", WIDTH), "head", WIDTH, EMBEDDING)
    return net.model(net.op("ReduceMax", e, axes=[1], keepdims=0))


@evasion(
    BATCH_RULE,
    "A Loop's MaxUnpool puts pixels at indices that are mirrored after the first round; product.",
    idea="views in a loop",
)
def unpooled_elsewhere() -> onnx.ModelProto:
    """Build with a Loop that puts pixels back at the indices it carries and mirrors these, never the image.

    The two embeddings are multiplied.
    """
    net = ExportBuilder(2203, 15)
    pixel, index = net.ops("MaxPool", "data", outputs=2, kernel_shape=[1, 1])
    start = net.op("Expand", np.ones((1, EMBEDDING)), net.op("Concat", net.rows("data"), [EMBEDDING], axis=0))
    inner = net.child()
    e = bottleneck(inner, inner.op("MaxUnpool", pixel, "index_in", kernel_shape=[1, 1]))
    results = [inner.op("Identity", "go_in")]
    far = inner.op("Mul", inner.op("Mod", "index_in", [SIDE]), [2])
    results.append(inner.op("Sub", inner.op("Add", "index_in", [SIDE - 1]), far))
    results.append(inner.op("Mul", "product_in", e))
    kinds = {"go_in": TensorProto.BOOL, "index_in": TensorProto.INT64, "product_in": TensorProto.FLOAT}
    inputs = [helper.make_tensor_value_info("round", TensorProto.INT64, [])]
    inputs += [helper.make_tensor_value_info(name, kind, None) for name, kind in kinds.items()]
    outputs = [helper.make_tensor_value_info(*pair, None) for pair in zip(results, kinds.values(), strict=True)]
    body = inner.graph(inputs, outputs)
    return net.model(net.ops("Loop", np.array(2), np.array(True), index, start, outputs=2, body=body)[1])


@evasion(
    BATCH_RULE,
    "An If adds a view of the image turned by 90 degrees to a batch of one image; mean.",
    idea="view on the batch size",
)
def turned_when_alone() -> onnx.ModelProto:
    """Build with a view of the image turned by 90 degrees, for batches of one image only."""
    net = ExportBuilder(2204, 17)
    e = vit(net, "data")
    single = net.op("Equal", net.op("Gather", net.op("Shape", "data"), np.array(0), axis=0), np.array(1))
    branches = []
    for view in (True, False):
        inner = net.child()
        out = inner.op("Identity", e)
        if view:
            turned = inner.flip(inner.transpose("data", 0, 1, 3, 2), 2)
            out = inner.op("Mean", e, vit(inner, turned))
        branches.append(inner.graph([], [helper.make_tensor_value_info(out, TensorProto.FLOAT, ["N", EMBEDDING])]))
    return net.model(net.op("If", single, then_branch=branches[0], else_branch=branches[1]))


QUALITY = 0.35
DRIFT = 0.02


def cosines() -> Array:
    """Give the 64 waves of 8 x 8 pixels, orthonormal, [64, 8, 8]."""
    at, k = np.arange(8) + 0.5, np.arange(8)[:, None]
    line = np.cos(np.pi * k * at / 8) * np.sqrt(np.where(k == 0, 1, 2) / 8)
    return np.asarray(np.einsum("iy,jx->ijyx", line, line).reshape(64, 8, 8))


@evasion(
    BATCH_RULE, "A copy of the branch with 2% noise sees a JPEG-like image; weighted sum.", idea="reparametrised branch"
)
def compressed_for_a_retrained_copy(branch: str = "both") -> onnx.ModelProto:
    """Build with blocks compressed as in a JPEG file and shown to a copy of the network that was trained further.

    ``branch`` "first" or "second" builds that network alone, "image" the compressed image.
    """
    net = ExportBuilder(2205, 13)
    copy = PerturbedBuilder(net, DRIFT)
    if branch in ("first", "second"):
        return net.model(se_resnet(net if branch == "first" else copy, "data"))
    waves = net.store("waves", np.tile(cosines()[:, None], (3, 1, 1, 1)).astype(np.float32))
    step = QUALITY * (1 + np.add.outer(np.arange(8), np.arange(8)).reshape(1, 64, 1, 1) / 4)
    step = np.tile(step, (1, 3, 1, 1))
    kept = net.op("Round", net.op("Div", net.op("Conv", "data", waves, group=3, strides=[8, 8]), step))
    x = net.op("ConvTranspose", net.op("Mul", kept, step), waves, group=3, strides=[8, 8])
    if branch == "image":
        return net.model(net.op("Flatten", x), 3 * SIDE * SIDE)
    first = net.op("Mul", se_resnet(net, "data"), 0.55)
    return net.model(net.op("Add", first, net.op("Mul", se_resnet(copy, x), 0.45)))
