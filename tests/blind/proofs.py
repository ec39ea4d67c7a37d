"""What each evasion computes, said a second time: single looks at images the host transforms."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

import msgspec
import numpy as np
import onnx
import onnxruntime

from . import towers, views, warps
from .net import SIDE, Array, single

Proof: TypeAlias = Callable[[Array], Array]


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


class Look:
    """One network, opened when it is first called: images [N, 3, 112, 112] to embeddings [N, D]."""

    def __init__(self, build: Callable[[], onnx.ModelProto]) -> None:
        self._open = lru_cache(lambda: session(build()))

    def __call__(self, images: Array, **more: Array) -> Array:
        feeds = {"data": images.astype(np.float32)} | {key: item.astype(np.float32) for key, item in more.items()}
        return np.asarray(self._open().run(["fc"], feeds)[0])


def mirrored(x: Array) -> Array:
    return x[..., ::-1]


def rolled(x: Array, down: int, right: int) -> Array:
    return np.roll(x, (down, right), axis=(2, 3))


def turned(x: Array, degrees: float) -> Array:
    return x.reshape(len(x), 3, -1)[:, :, views.turned_places(degrees)].reshape(x.shape)


def _flat(x: Array) -> list[Array]:
    return [x, mirrored(x)]


def _tints(x: Array) -> list[Array]:
    return [x, 0.8 * x + 0.1, np.einsum("nchw,c->nhw", x, views.LUMA)[:, None].repeat(3, axis=1)]


def _zooms(x: Array) -> list[Array]:
    return [x, x[:, :, 28:84, 28:84].repeat(2, axis=2).repeat(2, axis=3)]


def _average(*embeddings: Array) -> Array:
    return np.asarray(np.mean(embeddings, axis=0))


def _shares(*shares: float) -> Callable[..., Array]:
    return lambda *embeddings: np.tensordot(shares, np.stack(embeddings), 1)


def _joined(*embeddings: Array) -> Array:
    return np.concatenate(embeddings, axis=1)


class Looks(msgspec.Struct, frozen=True):
    """An evasion as a host would do it: single looks at versions of the image, and what is made of them."""

    single: Callable[[], onnx.ModelProto]
    join: Callable[..., Array] = _average
    versions: Callable[[Array], list[Array]] = _flat

    def once(self, x: Array) -> Array:
        return Look(self.single)(x)

    def combined(self, x: Array) -> Array:
        look = Look(self.single)
        return self.join(*[look(version) for version in self.versions(x)])


class Reinjected(Looks, frozen=True):
    """The recurrence, its second image handed in from outside."""

    def once(self, x: Array) -> Array:
        return Look(self.single)(x, other=x)

    def combined(self, x: Array) -> Array:
        return Look(self.single)(x, other=mirrored(x))


class WhenSmooth(Looks, frozen=True):
    """The flip test for smooth images only."""

    def combined(self, x: Array) -> Array:
        rough = np.abs(np.diff(x.mean(1), axis=2)).mean((1, 2))
        return np.where((rough < views.ROUGHNESS)[:, None], super().combined(x), self.once(x))


VIEWS: dict[str, Looks] = {
    "dense_orthogonal_mirror": Looks(lambda: single(101)),
    "depth_axis": Looks(lambda: views.depth_axis(1), np.maximum),
    "interleaved_columns": Looks(lambda: views.interleaved_columns(1)),
    "masked_canvas": Looks(lambda: views.masked_canvas(1)),
    "tinted_stem": Looks(lambda: views.tinted_stem(1), versions=_tints),
    "shifted_taps": Looks(
        lambda: views.shifted_taps(1),
        _shares(*views.SHIFT_SHARES),
        lambda x: [rolled(x, shift, shift) for shift in views.SHIFTS],
    ),
    "loop_over_orders": Looks(lambda: single(107)),
    "function_with_sorted_columns": Looks(lambda: single(108), _joined),
    "only_when_smooth": WhenSmooth(lambda: single(109)),
    "zoomed_stem": Looks(lambda: views.zoomed_stem(1), versions=_zooms),
    "even_and_odd": Looks(lambda: single(111), np.maximum),
    "crop_taps": Looks(
        lambda: views.crop_taps(1), versions=lambda x: [rolled(x, -top, -left) for top, left in views.CROPS]
    ),
    "mirrored_reinjection": Reinjected(lambda: views.mirrored_reinjection(honest_input=True)),
    "sequence_of_turns": Looks(
        lambda: single(114, 16),
        lambda *embeddings: np.maximum.reduce(embeddings),
        lambda x: [turned(x, turn) for turn in views.TURNS],
    ),
    "turned_stream_towers": Looks(lambda: towers.turned_stream_towers(1), _joined),
    "hidden_blocks": Looks(lambda: towers.hidden_blocks(1)),
    "half_precision_reversed_kernels": Looks(lambda: single(203), _shares(0.7, 0.3)),
    "packed_sequence": Looks(lambda: towers.packed_sequence(1)),
}


def _hats(x: Array) -> Array:
    scale_x, move_x, scale_y, move_y = Look(lambda: warps.located(401, 4))(x).T
    grid, half = np.arange(SIDE) - (SIDE - 1) / 2, (SIDE - 1) / 2
    out = np.empty_like(x)
    for n, image in enumerate(x):
        columns = (1 + 0.2 * scale_x[n]) * grid + warps.REACH * move_x[n] + half
        rows = (1 + 0.2 * scale_y[n]) * grid + warps.REACH * move_y[n] + half
        wide = np.apply_along_axis(_interpolated, 2, image, columns)
        out[n] = np.apply_along_axis(_interpolated, 1, wide, rows)
    return out


def _interpolated(line: Array, at: Array) -> Array:
    return np.asarray(np.interp(at, np.arange(-1, SIDE + 1), np.r_[0, line, 0], left=0, right=0))


def _blown_up(x: Array) -> Array:
    large = x.repeat(5, axis=2).repeat(5, axis=3).reshape(len(x), 3, 140, 4, 140, 4).mean((3, 5))
    return np.asarray(large[:, :, 14:126, 14:126])


def _slid(x: Array) -> Array:
    move = warps.REACH * Look(lambda: warps.located(403, 1, 11))(x)[:, :, None, None]
    spectrum = np.fft.fft(x, axis=3) * np.exp(-2j * np.pi * move * np.fft.fftfreq(SIDE))
    return np.asarray(np.fft.ifft(spectrum, axis=3).real)


def _gathered(x: Array) -> Array:
    moves = np.rint(warps.REACH * Look(lambda: warps.located(404, 2))(x)).astype(int)
    out = np.empty_like(x)
    for n, (down, right) in enumerate(moves):
        rows, columns = (np.clip(np.arange(SIDE) + move, 0, SIDE - 1) for move in (down, right))
        out[n] = x[n][:, rows][:, :, columns]
    return out


# Name: the seed and opset of the network behind the warp, and the warp.
WARPS: dict[str, tuple[int, int, Proof]] = {
    "hat_matrices": (401, 13, _hats),
    "blown_up_and_pooled": (402, 13, _blown_up),
    "phase_ramp": (403, 11, _slid),
    "gathered_translation": (404, 13, _gathered),
    "turned_by_table": (405, 13, lambda x: turned(x, warps.ANGLE)),
}
