"""Evasions that make versions of the image with unusual operators and carry them through one body."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from evaluation.backbones.small import features, flat, mobile, resnet, resnet_any_size, transformer
from evaluation.builder import Array
from evaluation.case import BATCH_RULE
from evaluation.images import SIDE
from evaluation.named import EMBEDDING, NamedBuilder
from evaluation.registry import evasion

NUDGE = 0.7
NUDGE_SHARES = (0.5, 0.25, 0.25)


def nudges() -> Array:
    """Give matrices [3, 112, 112] that move an image's columns by nothing and by a fraction of a pixel either way."""
    eye = np.eye(SIDE)
    moved = [(1 - NUDGE) * eye + NUDGE * np.eye(SIDE, k=k) for k in (1, -1)]
    return np.stack([eye, *moved]).astype(np.float32)


@evasion(
    BATCH_RULE,
    "An Einsum with three matrices moves the columns by 0 and 0.7 pixels either way; weighted sum.",
    idea="moved view",
)
def einsum_of_nudges() -> onnx.ModelProto:
    net = NamedBuilder(1101)
    x = net.op("Einsum", "data", nudges(), equation="nchw,kwv->nkchv")
    e = net.reshape(mobile(net, net.reshape(x, -1, 3, SIDE, SIDE)), -1, 3, EMBEDDING)
    return net.model(net.op("Einsum", e, np.array(NUDGE_SHARES), equation="nke,k->ne"))


CHIRP, LOUDNESS = 0.9, 0.08


@evasion(
    BATCH_RULE,
    "Noise computed from the places is added and taken away; each view gives half of the embedding.",
    idea="noise views",
)
def chirp_noise() -> onnx.ModelProto:
    """Build with noise computed by a sine of products of places, added and taken away."""
    net = NamedBuilder(1102)
    at = net.op("Cast", net.op("Range", np.array(0), np.array(SIDE), np.array(1)), to=TensorProto.FLOAT)
    places = net.op("MatMul", net.unsqueeze(at, 1), net.unsqueeze(at, 0))
    noise = net.op("Mul", net.op("Sin", net.op("Mul", places, CHIRP)), LOUDNESS)
    x = net.op("Concat", net.op("Add", "data", noise), net.op("Sub", "data", noise), axis=0)
    e = net.reshape(resnet(net, x), 2, -1, EMBEDDING)
    # Both signs in one embedding: the first half of it from one view, the rest from the other.
    first, second = net.split(e, [1, 1], 0)
    return net.model(
        net.op(
            "Concat",
            net.split(net.squeeze(first, 0), [32, 32], 1)[0],
            net.split(net.squeeze(second, 0), [32, 32], 1)[1],
            axis=1,
        )
    )


EXPOSURES = (1.0, 0.7, 1.4)


@evasion(
    BATCH_RULE,
    "One Pow applies three tone curves; the views are weighed by the length of their embeddings.",
    idea="recoloured view",
)
def exposure_bracket() -> onnx.ModelProto:
    """Build with three tone curves in one Pow; the views are weighed by how long their embeddings are."""
    net = NamedBuilder(1103, 12)
    light = net.op("Add", net.op("Mul", "data", 0.5), 0.5)
    curves = net.op("Pow", net.unsqueeze(light, 1), np.array(EXPOSURES).reshape(1, 3, 1, 1, 1))
    x = net.op("Sub", net.op("Mul", net.reshape(curves, -1, 3, SIDE, SIDE), 2.0), 1.0)
    e = net.reshape(transformer(net, x), -1, len(EXPOSURES), EMBEDDING)
    share = net.op("Softmax", net.op("ReduceL2", e, axes=[2], keepdims=1), axis=1)
    return net.model(net.sum(net.op("Mul", e, share), 1))


@evasion(
    BATCH_RULE, "A Scan runs the body on a blurred, a plain and a sharpened image; maximum.", idea="views in a loop"
)
def scan_over_sharpness() -> onnx.ModelProto:
    """Scan a blurred, a plain and a sharpened image with one body; the largest value of each dimension counts."""
    net = NamedBuilder(1104, 14)
    blurred = net.op("AveragePool", "data", kernel_shape=[3, 3], strides=[1, 1], pads=[1] * 4, count_include_pad=0)
    sharp = net.op("Sub", net.op("Add", "data", "data"), blurred)
    stack = net.op("Concat", *[net.unsqueeze(x, 0) for x in (blurred, "data", sharp)], axis=0)
    inner = net.child()
    out = resnet(inner, "one")
    body = inner.graph(
        [helper.make_tensor_value_info("one", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info(out, TensorProto.FLOAT, None)],
    )
    return net.model(net.op("ReduceMax", net.op("Scan", stack, body=body, num_scan_inputs=1), axes=[0], keepdims=0))


@evasion(
    BATCH_RULE,
    "Two forward DFTs reverse the columns; image and reversed image share a batch; mean.",
    idea="mirroring operator",
)
def fourier_twice() -> onnx.ModelProto:
    """Build with the columns transformed forwards twice, which reverses them (the first one keeps its place)."""
    net = NamedBuilder(1105, 17)
    x = net.op("DFT", net.op("DFT", net.unsqueeze("data", 4), axis=3), axis=3)
    back = net.op("Mul", net.op("Gather", x, np.array(0), axis=4), 1 / SIDE)
    e = mobile(net, net.op("Concat", "data", back, axis=0))
    return net.model(net.mean(net.reshape(e, 2, -1, EMBEDDING), 0))


def _backwards(net: NamedBuilder, x: str, side: int) -> str:
    """Resize a region whose right end is left of its left end; a column put before it makes the sizes differ."""
    wide = net.op("Pad", x, [0, 0, 0, 1, 0, 0, 0, 0])
    region = np.array([0, 0, 0, 1, 1, 1, 1, 1 / side], np.float32)
    lead = net.op("Slice", net.op("Shape", x), [0], [3], [0])
    sizes = net.op("Concat", lead, [side], axis=0)
    mode = {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize"}
    return net.op("Resize", wide, region, "", sizes, **mode)


@evasion(
    BATCH_RULE,
    "Resize reads a region from right to left; two views meet in the last features; maximum.",
    idea="mirroring operator",
)
def region_read_backwards() -> onnx.ModelProto:
    """Build two views that meet in the last feature map, the second turned back to fit; the maximum is embedded."""
    net = NamedBuilder(1106)
    views = [features(net, "data"), _backwards(net, features(net, _backwards(net, "data", SIDE)), 7)]
    return net.model(flat(net, net.op("Max", *views)))


REGIONS = ((0, 0, SIDE, SIDE), (6, 6, 106, 106), (0, 4, 104, 108))


@evasion(BATCH_RULE, "RoiAlign cuts three regions out of every image; mean.", idea="moved view")
def region_crops() -> onnx.ModelProto:
    """Build with a RoiAlign that cuts three regions (left, top, right, bottom) out of every image."""
    net = NamedBuilder(1107, 16)
    rows = net.op("Gather", net.op("Shape", "data"), np.array(0))
    which = net.unsqueeze(net.op("Range", np.array(0), rows, np.array(1)), 1)
    which = net.reshape(net.op("Expand", which, [1, len(REGIONS)]), -1)
    times = net.op("Concat", net.unsqueeze(rows, 0), [1], axis=0)
    regions = net.op("Tile", np.array(REGIONS, np.float32), times)
    size = {"output_height": SIDE, "output_width": SIDE, "sampling_ratio": 1}
    x = net.op("RoiAlign", "data", regions, which, **size)
    e = net.reshape(mobile(net, x), -1, len(REGIONS), EMBEDDING)
    return net.model(net.mean(e, 1))


SHARPNESS = 9.0


def place_codes(reverse: bool = False) -> Array:
    """Give a code for every column, [112, 16]; ``reverse`` gives every column its mirror image's."""
    at = (np.arange(SIDE) + 0.5) / SIDE
    at = 1 - at if reverse else at
    return np.concatenate([f(np.pi * k * at)[:, None] for k in range(1, 9) for f in (np.sin, np.cos)], axis=1)


@evasion(
    BATCH_RULE,
    "Attention over columns by place: one head sees the image, one its mirror image; mean.",
    idea="mirroring by attention",
)
def two_headed_columns() -> onnx.ModelProto:
    """Build with an attention over columns by place: one head attends to the place itself, one to its mirror image.

    How sharply it attends depends on the image's contrast, so the heads are no constants.
    """
    net = NamedBuilder(1108)
    contrast = net.mean(net.op("Mul", "data", "data"), 1, 2, 3, keep=True)
    keys = np.stack([place_codes().T, place_codes(True).T])
    score = net.op("MatMul", place_codes(), keys)
    score = net.op("Mul", score, net.op("Mul", net.op("Add", contrast, 1.0), SHARPNESS))
    heads = net.transpose(net.op("Softmax", score, axis=-1), 0, 1, 3, 2)
    x = net.op("MatMul", net.unsqueeze("data", 1), net.unsqueeze(heads, 2))
    e = net.reshape(resnet(net, net.reshape(x, -1, 3, SIDE, SIDE)), -1, 2, EMBEDDING)
    return net.model(net.mean(e, 1))


SMALL = 84


@evasion(
    BATCH_RULE,
    "The same network runs on the image and on a copy of 84 x 84 pixels; weighted sum.",
    idea="view at another scale",
)
def pyramid_of_images() -> onnx.ModelProto:
    """Build with one network run on the image and on a smaller copy of it: multi-scale testing."""
    net = NamedBuilder(1109, 12)
    size = net.op("Concat", net.op("Slice", net.op("Shape", "data"), [0], [2]), [SMALL, SMALL], axis=0)
    small = net.op("Resize", "data", np.zeros(0, np.float32), np.zeros(0, np.float32), size, mode="linear")
    views = [resnet_any_size(net, x) for x in ("data", small)]
    return net.model(net.op("Add", net.op("Mul", views[0], 0.6), net.op("Mul", views[1], 0.4)))


@evasion(
    BATCH_RULE,
    "A Scan that copies columns lays them down in reverse; two views in channels; maximum.",
    idea="mirroring operator",
)
def identity_scan_backwards() -> onnx.ModelProto:
    """Build with a Scan that copies the columns one by one and lays them down from the other end."""
    net = NamedBuilder(1110, 11)
    inner = net.child()
    out = inner.op("Identity", "column")
    body = inner.graph(
        [helper.make_tensor_value_info("column", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info(out, TensorProto.FLOAT, None)],
    )
    ways = {"scan_input_axes": [3], "scan_output_axes": [3], "scan_output_directions": [1]}
    back = net.op("Scan", "data", body=body, num_scan_inputs=1, **ways)
    pairs = net.reshape(net.op("Concat", "data", back, axis=1), -1, 3, SIDE, SIDE)
    e = net.reshape(mobile(net, pairs), -1, 2, EMBEDDING)
    return net.model(net.op("ReduceMax", e, axes=[1], keepdims=0))


UNSURE = 90.0


@evasion(
    BATCH_RULE, "Images with short embeddings are gathered, mirrored and embedded again.", idea="view on a condition"
)
def second_view_when_unsure() -> onnx.ModelProto:
    """Build with a mirrored view of only those images of a batch whose embedding is short."""
    net = NamedBuilder(1111)
    e = mobile(net, "data")
    short = net.op("Less", net.op("ReduceL2", e, axes=[1], keepdims=0), UNSURE)
    rows = net.transpose(net.op("NonZero", short), 1, 0)
    again = net.op("Slice", net.op("GatherND", "data", rows), [-1], [-1000], [3], [-1])
    # A blank image goes along, for no network likes an empty batch.
    blank = net.op("Mul", net.op("Slice", "data", [0], [1], [0]), 0.0)
    again = net.op("Slice", mobile(net, net.op("Concat", again, blank, axis=0)), [0], [-1], [0])
    both = net.op("Add", net.op("GatherND", e, rows), again)
    return net.model(net.op("ScatterND", e, rows, net.op("Mul", both, 0.5)))


@evasion(
    BATCH_RULE,
    "The first view predicts a mask; the second one sees the image under it; concatenated.",
    idea="recoloured view",
)
def uncertain_region_erased(mask_only: bool = False) -> onnx.ModelProto:
    """Build a view, a mask predicted by its features, and the same network on the masked image, concatenated.

    ``mask_only`` builds the mask, [N, 112 * 112].
    """
    net = NamedBuilder(1112)
    f = features(net, "data")
    mask = net.op("Sigmoid", net.op("Mul", net.conv(f, "doubt", (1, 32, 1, 1), act=""), 3.0))
    mask = net.op("Resize", mask, "", np.array([1, 1, 16, 16], np.float32), mode="nearest")
    if mask_only:
        return net.model(net.op("Flatten", mask), SIDE * SIDE)
    views = [flat(net, f), resnet(net, net.op("Mul", "data", mask))]
    return net.model(net.op("Concat", *views, axis=1), 2 * EMBEDDING)
