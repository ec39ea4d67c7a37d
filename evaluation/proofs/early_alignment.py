"""Early features placed anew, done by numpy between the first layer and the rest."""

from __future__ import annotations

from functools import partial

import numpy as np
from scipy import ndimage

from evaluation.backbones.references import rest, stage
from evaluation.builder import Array
from evaluation.case import seed_of
from evaluation.evasions import early_alignment as early
from evaluation.exported import ExportBuilder
from evaluation.proof import PROOFS, Proof
from evaluation.runtime import Network

OPSET = 16


def _between(features: Array, steps: Array) -> Array:
    """Read features between their places, nothing outside."""
    out = np.empty_like(features)
    for image, (down, right), moved in zip(features, steps, out, strict=True):
        for plane, result in zip(image, moved, strict=True):
            wide = np.pad(plane.astype(float), 16)
            rows, columns = np.indices(plane.shape).astype(float)
            result[:] = ndimage.map_coordinates(wide, [rows + down + 16, columns + right + 16], order=1)
    return out


def _by_phase(features: Array, steps: Array) -> Array:
    side = features.shape[-1]
    waves = np.fft.fftfreq(side) * 2 * np.pi
    waves[side // 2] = abs(waves[side // 2])
    # A real part is taken after each axis.
    half = np.fft.ifft(np.fft.fft(features, axis=2) * np.exp(1j * steps[:, :1] * waves)[:, None, :, None], axis=2).real
    full = np.fft.fft(half, axis=3) * np.exp(1j * steps[:, 1:] * waves)[:, None, None]
    return np.fft.ifft(full, axis=3).real.astype(np.float32)


def _rolled(features: Array, steps: Array) -> Array:
    whole = np.rint(steps).astype(int)
    return np.stack([np.roll(image, tuple(-step), (1, 2)) for image, step in zip(features, whole, strict=True)])


def _mirrored(features: Array, steps: Array) -> Array:
    return np.where(np.sin(30 * steps[:, :1, None, None]) > 0, features[..., ::-1], features)


def _leaning(features: Array, steps: Array) -> Array:
    share = 1 / (1 + np.exp(-steps[:, :1, None, None]))
    return np.asarray(share * features + (1 - share) * features[..., ::-1], np.float32)


DONE = {"hat": _between, "grid": _between, "phase": _by_phase, "rolled": _rolled, "mirrored": _mirrored,
        "leaning": _leaning}  # fmt: skip


def _parts(name: str, kind: str) -> tuple[Network, Network]:
    """Return the first layer, its features flattened, and the rest, which reads features."""
    seed = seed_of(name) % 10_000
    channels, side = early.SIZES[kind]
    first = Network(stage(partial(early.front, kind), seed, OPSET, channels * side * side))
    shape = (channels, side, side)
    body = partial(early.body, kind) if name in early.STEERED else partial(early.settled, name)
    if name in early.PLACED:
        shape = (channels, early.PLACED[name][2], early.PLACED[name][2])
    return first, Network(rest(body, seed, OPSET, *shape))


def _steered(name: str) -> Proof:
    kind, move, reach = early.STEERED[name]
    channels, side = early.SIZES[kind]
    first, last = _parts(name, kind)

    def looked(net: ExportBuilder, x: str) -> str:
        return early.numbers(net, x, reach)

    steps = Network(stage(looked, seed_of(name) % 10_000, OPSET, 2))

    def through(images: Array, *, moved: bool) -> Array:
        features = first(images).reshape(-1, channels, side, side)
        features = DONE[move](features, steps(images)) if moved else features
        return last(images, inner=features.astype(np.float32))

    return Proof(
        computes=lambda images: through(images, moved=True),
        others=lambda images: [through(images, moved=False)],
        apart=1e-5 if reach == early.UNTRAINED else 5e-3,
    )


for _name in early.STEERED:
    PROOFS[_name] = _steered(_name)


def _doubled(features: Array) -> Array:
    return np.stack([[_linear(plane, (2, 2)) for plane in image] for image in features])


def _linear(plane: Array, by: tuple[float, float]) -> Array:
    places = [
        (np.arange(round(extent * step)) + 0.5) / step - 0.5 for extent, step in zip(plane.shape, by, strict=True)
    ]
    at = np.meshgrid(*places, indexing="ij")
    return np.asarray(ndimage.map_coordinates(plane.astype(float), at, order=1, mode="nearest"), np.float32)


def _nearest(features: Array) -> Array:
    return features.repeat(2, 2).repeat(2, 3)


def _zoomed(features: Array) -> Array:
    inner = features[:, :, 8:104, 12:108]
    return np.stack([[_linear(plane, (112 / 96, 112 / 96)) for plane in image] for image in inner])


def _shifted(features: Array) -> Array:
    return np.concatenate([features[:, :, 7:], features[:, :, -1:].repeat(7, 2)], 2)


SETTLED = {"early_mixed_doubled": _doubled, "early_full_doubled_nearest": _nearest, "early_mixed_zoomed": _zoomed,
           "early_full_shifted": _shifted}  # fmt: skip


def _settled(name: str) -> Proof:
    kind = early.PLACED[name][0]
    channels, side = early.SIZES[kind]
    first, last = _parts(name, kind)

    def through(images: Array) -> Array:
        return last(images, inner=SETTLED[name](first(images).reshape(-1, channels, side, side)))

    return Proof(computes=through)


for _name in SETTLED:
    PROOFS[_name] = _settled(_name)
