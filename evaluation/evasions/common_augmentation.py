"""Evasions that come from test-time augmentation left in an exported model."""

from __future__ import annotations

import numpy as np
import onnx

from evaluation.backbones.exported_convolution import (
    bottleneck_features,
    bottleneck_head,
    bottleneck_pool,
    convnext,
    mobile_v3,
    pixel_norm,
    se_resnet,
)
from evaluation.backbones.exported_tokens import encoder, patches, places, swin_layers, swin_patches, with_class_token
from evaluation.backbones.references import once
from evaluation.case import BATCH_RULE
from evaluation.exported import DoubledBuilder, ExportBuilder
from evaluation.images import SIDE
from evaluation.named import EMBEDDING
from evaluation.registry import evasion


def unit(net: ExportBuilder, e: str) -> str:
    """Divide embeddings by their lengths, as exporters write it."""
    length = net.op("Clip", net.op("ReduceL2", e, axes=[1], keepdims=1), 1e-12)
    return net.op("Div", e, net.op("Expand", length, net.op("Shape", e)))


@evasion(
    BATCH_RULE,
    "Image and flip concatenated for an IR-SE network, embeddings chunked, summed, normalised.",
    idea="views on the batch axis",
)
def chunked_flip_test() -> onnx.ModelProto:
    """Build with a wrapper that concatenates image and flip, chunks the embeddings and normalises their sum."""
    net = ExportBuilder(2101, 11)
    e = se_resnet(net, net.op("Concat", "data", net.flip("data", 3), axis=0))
    half = net.op("Div", net.op("Add", net.rows(e), [1]), [2])
    first = net.op("Slice", e, [0], half, [0])
    second = net.op("Slice", e, half, net.op("Mul", half, [2]), [0])
    return net.model(unit(net, net.op("Add", first, second)))


BORDER = 6
CORNERS = ((0, 0), (0, 2 * BORDER), (2 * BORDER, 0), (2 * BORDER, 2 * BORDER), (BORDER, BORDER))


@evasion(
    BATCH_RULE,
    "Five crops of a reflected border and their flips, stacked for a MobileNetV3; mean.",
    idea="several views",
)
def ten_crops() -> onnx.ModelProto:
    """Build with five crops of a reflected border and their flips, stacked and averaged."""
    net = ExportBuilder(2102, 13)
    wide = net.op("Pad", "data", [0, 0, BORDER, BORDER] * 2, mode="reflect")
    crops = [net.cut(net.cut(wide, top, top + SIDE, 2), left, left + SIDE, 3) for top, left in CORNERS]
    crops += [net.flip(crop, 3) for crop in crops]
    stack = net.op("Concat", *[net.unsqueeze(crop, 1) for crop in crops], axis=1)
    e = mobile_v3(net, net.reshape(stack, -1, 3, SIDE, SIDE))
    return net.model(net.mean(net.reshape(e, -1, len(crops), EMBEDDING), 1))


@evasion(
    BATCH_RULE,
    "A Swin's embedded patches are flipped and run again; a last layer joins both.",
    idea="view of early features",
)
def flipped_patch_embeddings() -> onnx.ModelProto:
    """Build with embedded patches that are flipped, not the image; a last layer joins both embeddings."""
    net = ExportBuilder(2103, 16)
    x = swin_patches(net, "data")
    e = swin_layers(net, net.op("Concat", x, net.flip(x, 2), axis=0))
    pair = net.op("Concat", *net.split(net.reshape(e, 2, -1, EMBEDDING), [1, 1], 0), axis=2)
    return net.model(net.linear(net.squeeze(pair, 0), "join", 2 * EMBEDDING, EMBEDDING))


SOFTER = 4


@evasion(
    BATCH_RULE,
    "A ConvNeXt also sees the image made small and large again; a predicted gate weighs the two.",
    idea="recoloured view",
)
def soft_focus_gate() -> onnx.ModelProto:
    """Build with a view of the image made small and large again; a layer decides what share it gets."""
    net = ExportBuilder(2104, 18)
    x = "data"
    for scale in (1 / SOFTER, SOFTER):
        x = net.op("Resize", x, "", np.array([1, 1, scale, scale], np.float32), mode="linear")
    sharp, soft = convnext(net, "data"), convnext(net, x)
    gate = net.op("Sigmoid", net.linear(net.op("Concat", sharp, soft, axis=1), "gate", 2 * EMBEDDING, EMBEDDING))
    return net.model(net.op("Add", soft, net.op("Mul", gate, net.op("Sub", sharp, soft))))


CLOSE = SIDE // 2


def _peak(net: ExportBuilder, f: str) -> str:
    """Give the place in 0..48 where features are strongest: [N, 1]."""
    return net.op("ArgMax", net.op("Flatten", net.reduce("Sum", f, 1, keep=False)), axis=1, keepdims=1)


def peak() -> onnx.ModelProto:
    return once(lambda net, x: net.op("Cast", _peak(net, bottleneck_features(net, x)), to=1), 2105, 13, 1)()


@evasion(
    BATCH_RULE,
    "The window where a ResNet's features are strongest is seen again, enlarged; concatenated.",
    idea="view chosen by features",
)
def zoom_at_the_peak() -> onnx.ModelProto:
    """Build with a second view of the window around the strongest features, twice as large (RA-CNN)."""
    net = ExportBuilder(2105, 13)
    f = bottleneck_features(net, "data")
    at = _peak(net, f)
    edge, last = np.array(0), np.array(SIDE - CLOSE)
    starts = [net.op("Div", at, [7]), net.op("Mod", at, [7])]
    starts = [net.op("Clip", net.op("Sub", net.op("Mul", start, [16]), [20]), edge, last) for start in starts]
    rows, columns = (net.op("Add", start, np.arange(CLOSE)) for start in starts)
    place = net.op("Add", net.op("Mul", net.unsqueeze(rows, 2), [SIDE]), net.unsqueeze(columns, 1))
    pixels = net.transpose(net.reshape("data", 0, 3, -1), 0, 2, 1)
    window = net.op("GatherND", pixels, net.unsqueeze(place, 3), batch_dims=1)
    window = net.transpose(window, 0, 3, 1, 2)
    large = net.op("Resize", window, "", np.array([1, 1, 2, 2], np.float32), mode="linear")
    views = [bottleneck_head(net, f), bottleneck_head(net, bottleneck_features(net, large))]
    return net.model(net.op("Concat", *views, axis=1), 2 * EMBEDDING)


@evasion(
    BATCH_RULE,
    "Each half, completed by its mirror image, is a face; the two faces are groups of channels; mean.",
    idea="views in channel groups",
)
def two_chimeras() -> onnx.ModelProto:
    """Build with two faces, each made of one half and its mirror image, in two groups of channels.

    No view sees the image as it is.
    """
    net = ExportBuilder(2106, 12)
    left, right = net.split(pixel_norm(net, "data"), [SIDE // 2] * 2, 3)
    faces = [net.op("Concat", left, net.flip(left, 3), axis=3), net.op("Concat", net.flip(right, 3), right, axis=3)]
    both = DoubledBuilder(net)
    f = bottleneck_pool(both, bottleneck_features(both, net.op("Concat", *faces, axis=1)))
    e = net.linear(net.reshape(f, -1, 2, 64), "fc", 64, EMBEDDING)
    return net.model(net.mean(e, 1))


@evasion(
    BATCH_RULE,
    "Image and flip side by side; all their patches attend to each other in one ViT.",
    idea="views as tokens",
)
def one_sequence_of_both(given: bool = False) -> onnx.ModelProto:
    """Build with image and flip side by side, whose patches all attend to each other.

    ``given`` takes the second image from outside, as ``other``.
    """
    net = ExportBuilder(2107, 20)
    wide = net.op("Concat", "data", "other" if given else net.flip("data", 3), axis=3)
    x = patches(net, wide)
    place = net.op("Tile", net.reshape(places(net), 1, 7, 7, 48), [1, 1, 2, 1])
    x = net.op("Add", x, net.reshape(place, 1, 98, 48))
    e = encoder(net, with_class_token(net, x))
    return net.model(e, extra=("other",) if given else ())
