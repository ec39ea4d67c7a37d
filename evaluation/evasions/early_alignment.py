"""Evasions that re-align behind a first layer: the image is placed anew in a form from which it can still be read."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import onnx

from evaluation.backbones.plain import trunk
from evaluation.case import ALIGN_RULE, Case, seed_of
from evaluation.exported import ExportBuilder
from evaluation.images import SIDE
from evaluation.registry import register

Part = Callable[[ExportBuilder, str], str]

#: Channels and side of what each front gives.
SIZES = {"mixed": (6, SIDE), "full": (12, SIDE), "folded": (12, SIDE // 2)}

#: Pixels by which trained numbers move, and untrained ones.
REACH, UNTRAINED = 6.0, 2e-3


def front(kind: str, net: ExportBuilder, x: str) -> str:
    """Write a first layer that keeps the image: an invertible 1x1, a full-resolution 3x3, or space to depth."""
    if kind == "mixed":
        return net.op("PRelu", net.conv(x, "mix", (6, 3, 1, 1), act=""), np.full((6, 1, 1), 0.4, np.float32))
    if kind == "full":
        return net.conv(x, "first", (12, 3, 3, 3), 1, 1, act="LeakyRelu")
    return net.op("SpaceToDepth", x, blocksize=2)


def numbers(net: ExportBuilder, x: str, reach: float) -> str:
    """Predict a step down and a step right from a thumbnail of the image, within ± reach pixels: [N, 2]."""
    y = net.op("AveragePool", x, kernel_shape=[8, 8], strides=[8, 8])
    y = net.conv(y, "look", (8, 3, 4, 4), 2, 1)
    return net.op("Mul", net.op("Tanh", net.linear(net.op("Flatten", y), "place", 8 * 49, 2, gain=4.0)), reach)


def body(kind: str, net: ExportBuilder, y: str) -> str:
    """Embed what a front gave, warped or not."""
    channels, side = SIZES[kind]
    size, stride = (4, 2) if side == SIDE else (3, 1)
    return trunk(net, net.conv(y, "stem", (16, channels, size, size), stride, 1))


def _steps(net: ExportBuilder, step: str) -> list[str]:
    return net.split(step, [1, 1], 1)


def hat(net: ExportBuilder, y: str, step: str, side: int) -> str:
    """Move by two products with matrices of Relu(1 - distance); nothing comes in from outside."""
    line = np.arange(side, dtype=np.float32)
    for axis, by in enumerate(_steps(net, step)):
        at = net.unsqueeze(net.op("Add", by, line.reshape(1, side)), 2)
        matrix = net.op("Relu", net.op("Sub", 1.0, net.op("Abs", net.op("Sub", at, line.reshape(1, 1, side)))))
        matrix = net.unsqueeze(matrix, 1)
        y = net.op("MatMul", matrix, y) if axis == 0 else net.op("MatMul", y, net.transpose(matrix, 0, 1, 3, 2))
    return y


def grid(net: ExportBuilder, y: str, step: str, side: int) -> str:
    """Move by GridSample; nothing comes in from outside."""
    down, right = (net.op("Mul", by, 2 / (side - 1)) for by in _steps(net, step))
    lines = np.linspace(-1, 1, side, dtype=np.float32)
    columns, rows = np.meshgrid(lines, lines)
    places = net.op(
        "Concat",
        *(
            net.unsqueeze(net.op("Add", net.unsqueeze(by, 2), base[None]), 3)
            for by, base in ((right, columns), (down, rows))
        ),
        axis=3,
    )
    return net.op("GridSample", y, places, padding_mode="zeros", align_corners=1)


def phase(net: ExportBuilder, y: str, step: str, side: int) -> str:
    """Move along both axes by phases between a Fourier transform and its inverse, all by MatMul."""
    waves = np.minimum(np.arange(side), side - np.arange(side)) * np.where(np.arange(side) <= side // 2, 1, -1)
    angle = 2 * np.pi * np.outer(np.arange(side), np.arange(side)) / side
    for axis, by in enumerate(_steps(net, step)):
        turn = net.op("Mul", net.unsqueeze(by, 2, 3), (2 * np.pi / side * waves).reshape(1, 1, 1, side))
        cos, sin = net.op("Cos", turn), net.op("Sin", turn)
        z = net.transpose(y, 0, 1, 3, 2) if axis == 0 else y
        real, imaginary = net.op("MatMul", z, np.cos(angle)), net.op("MatMul", z, -np.sin(angle))
        turned = net.op("Sub", net.op("Mul", real, cos), net.op("Mul", imaginary, sin))
        other = net.op("Add", net.op("Mul", real, sin), net.op("Mul", imaginary, cos))
        z = net.op("Sub", net.op("MatMul", turned, np.cos(angle) / side), net.op("MatMul", other, np.sin(angle) / side))
        y = net.transpose(z, 0, 1, 3, 2) if axis == 0 else z
    return y


def rolled(net: ExportBuilder, y: str, step: str, side: int) -> str:
    """Move by whole places around the edges, by products with matrices of Equal."""
    line = np.arange(side, dtype=np.int64)
    for axis, by in enumerate(_steps(net, step)):
        at = net.op("Add", net.op("Cast", net.op("Round", by), to=onnx.TensorProto.INT64), line.reshape(1, side))
        at = net.op("Mod", net.op("Add", at, np.array(side)), np.array(side))
        matrix = net.op("Equal", net.unsqueeze(at, 2), line.reshape(1, 1, side))
        matrix = net.unsqueeze(net.op("Cast", matrix, to=onnx.TensorProto.FLOAT), 1)
        y = net.op("MatMul", matrix, y) if axis == 0 else net.op("MatMul", y, net.transpose(matrix, 0, 1, 3, 2))
    return y


def _mirror(net: ExportBuilder, y: str, side: int) -> str:
    return net.op("Gather", y, np.arange(side)[::-1].copy(), axis=3)


def mirrored(net: ExportBuilder, y: str, step: str, side: int) -> str:
    """Take the map or its mirror image, by the sign of a wave of a predicted number."""
    sign = net.unsqueeze(net.op("Greater", net.op("Sin", net.op("Mul", _steps(net, step)[0], 30.0)), 0.0), 2, 3)
    return net.op("Where", sign, _mirror(net, y, side), y)


def leaning(net: ExportBuilder, y: str, step: str, side: int) -> str:
    """Take a share of the map and the rest of its mirror image, by a predicted number."""
    share = net.unsqueeze(net.op("Sigmoid", _steps(net, step)[0]), 2, 3)
    other = net.op("Mul", net.op("Sub", 1.0, share), _mirror(net, y, side))
    return net.op("Add", net.op("Mul", share, y), other)


MOVES: dict[str, Callable[[ExportBuilder, str, str, int], str]] = {
    "hat": hat, "grid": grid, "phase": phase, "rolled": rolled, "mirrored": mirrored, "leaning": leaning,
}  # fmt: skip

#: Name -> (front, move, pixels).
STEERED = {
    "early_mixed_hat": ("mixed", "hat", REACH),
    "early_mixed_grid_untrained": ("mixed", "grid", UNTRAINED),
    "early_mixed_phase": ("mixed", "phase", REACH),
    "early_mixed_mirrored": ("mixed", "mirrored", REACH),
    "early_mixed_rolled": ("mixed", "rolled", REACH),
    "early_full_grid": ("full", "grid", REACH),
    "early_full_hat_untrained": ("full", "hat", UNTRAINED),
    "early_full_leaning": ("full", "leaning", REACH),
    "early_full_phase": ("full", "phase", REACH),
    "early_folded_hat": ("folded", "hat", REACH / 2),
    "early_folded_grid": ("folded", "grid", REACH / 2),
    "early_folded_mirrored": ("folded", "mirrored", REACH),
}


def _steered(name: str) -> onnx.ModelProto:
    kind, move, reach = STEERED[name]
    net = ExportBuilder(seed_of(name) % 10_000, 16)
    y = front(kind, net, "data")
    return net.model(body(kind, net, MOVES[move](net, y, numbers(net, "data", reach), SIZES[kind][1])))


def _register(name: str, about: str, idea: str, build: Callable[[], onnx.ModelProto]) -> None:
    register(Case(name=name, rules=(ALIGN_RULE,), expected="failed", idea=idea, about=about, build=build))


ABOUT = {"mixed": "an invertible 1x1 convolution", "full": "a 3x3 convolution of full resolution",
         "folded": "space to depth"}  # fmt: skip
for _name, (_kind, _move, _reach) in STEERED.items():
    _by = f", weights that are not trained yet ({_reach} pixels)" if _reach == UNTRAINED else ""
    _register(
        _name, f"Behind {ABOUT[_kind]}: {(MOVES[_move].__doc__ or '').rstrip('.').lower()}{_by}.",
        f"alignment behind a first layer: {_move}", partial(_steered, _name),
    )  # fmt: skip


def _enlarged(net: ExportBuilder, y: str, mode: str) -> str:
    return net.op("Resize", y, "", np.array([1, 1, 2, 2], np.float32), mode=mode)


def _zoomed(net: ExportBuilder, y: str) -> str:
    inner = net.op("Slice", y, [8, 12], [104, 108], [2, 3])
    sizes = net.op("Concat", net.traced_rows(y), [6, SIDE, SIDE], axis=0)
    return net.op("Resize", inner, "", "", sizes, mode="linear")


def _shifted(net: ExportBuilder, y: str) -> str:
    return net.op("Pad", net.op("Slice", y, [7], [SIDE], [2]), [0, 0, 0, 0, 0, 0, 7, 0], mode="edge")


#: Name -> (front, what places its features on another grid, the side of the result, about).
PLACED: dict[str, tuple[str, Part, int, str]] = {
    "early_mixed_doubled": ("mixed", partial(_enlarged, mode="linear"), 224, "Doubled by Resize"),
    "early_full_doubled_nearest": ("full", partial(_enlarged, mode="nearest"), 224, "Doubled, nearest"),
    "early_mixed_zoomed": ("mixed", _zoomed, SIDE, "The middle 96 x 96 places enlarged"),
    "early_full_shifted": ("full", _shifted, SIDE, "Shifted up by 7 places"),
}


def settled(name: str, net: ExportBuilder, y: str) -> str:
    """Embed features that stand on another grid."""
    kind, _, side, *_ = PLACED[name]
    z = net.conv(y, "stem", (16, SIZES[kind][0], 4, 4), 2, 1)
    return trunk(net, net.conv(z, "half", (16, 16, 2, 2), 2) if side > SIDE else z)


def _settled(name: str) -> onnx.ModelProto:
    kind, place, *_ = PLACED[name]
    net = ExportBuilder(seed_of(name) % 10_000, 16)
    return net.model(settled(name, net, place(net, front(kind, net, "data"))))


for _name, (_kind, _place, _side, _about) in PLACED.items():
    _register(
        _name, f"{_about}, behind {ABOUT[_kind]}.", "another grid behind a first layer", partial(_settled, _name)
    )  # fmt: skip
