"""What each evasion computes, said a second time: ordinary networks at images made by the host."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec
import numpy as np

from tests.blind.net import Array, Net
from tests.blind.proofs import Look

from . import furtive, host, rows
from .conv_bodies import bottleneck, convnext, mobile_v3, pixel_norm, se_resnet
from .export import Build, any_size, once, rest, stage
from .token_bodies import swin, swin_layers, swin_patches, vit

Versions = Callable[[Array], list[Array]]


class Proof(msgspec.Struct, frozen=True):
    """The results of the looks, one by one, and what is made of them."""

    looks: Versions
    join: Callable[..., Array]


def _each(build: Build, versions: Versions) -> Versions:
    """Run one ordinary network on every version."""
    look = Look(build)
    return lambda x: [look(version) for version in versions(x)]


def _flip(x: Array) -> list[Array]:
    return [x, host.mirrored(x)]


def _mean(*e: Array) -> Array:
    return np.asarray(np.mean(e, axis=0))


def _shares(*shares: float) -> Callable[..., Array]:
    return lambda *e: np.tensordot(shares, np.stack(e), 1)


def _side_by_side(*e: Array) -> Array:
    return np.concatenate(e, axis=1)


def _unit_sum(*e: Array) -> Array:
    total = np.sum(e, axis=0)
    return np.asarray(total / np.linalg.norm(total, axis=1, keepdims=True))


def _flipped_tokens(x: Array) -> list[Array]:
    tokens = Look(stage(swin_patches, 2103, 16, 28 * 28 * 24))(x).reshape(-1, 28, 28, 24)
    behind = Look(rest(swin_layers, 2103, 16, 28, 28, 24))
    return [behind(x, inner=tokens), behind(x, inner=tokens[:, :, ::-1])]


def _layer(seed: int, name: str, e: Array) -> Array:
    weights = Net(seed)
    return np.asarray(e @ weights.value(f"{name}.w", 64, e.shape[1]).T + weights.value(f"{name}.b", 64))


def _joined_by_layer(*e: Array) -> Array:
    return _layer(2103, "join", _side_by_side(*e))


def _gated(sharp: Array, soft: Array) -> Array:
    gate = 1 / (1 + np.exp(-_layer(2104, "gate", _side_by_side(sharp, soft))))
    return np.asarray(gate * sharp + (1 - gate) * soft)


def _towers(x: Array) -> list[Array]:
    """Show the image to the first tower and its compressed version, as the graph has it, to the second."""
    parts = [Look(partial(furtive.compressed_for_a_retrained_copy, name)) for name in ("first", "second", "image")]
    first, second, image = parts
    return [first(x), second(image(x).reshape(x.shape))]


VIEWS = {
    "chunked_flip_test": Proof(_each(once(se_resnet, 2101, 11), _flip), _unit_sum),
    "ten_crops": Proof(_each(once(mobile_v3, 2102, 13), host.ten_crops), _mean),
    "flipped_patch_embeddings": Proof(_flipped_tokens, _joined_by_layer),
    "soft_focus_gate": Proof(_each(once(convnext, 2104, 18), lambda x: [x, host.softened(x)]), _gated),
    "zoom_at_the_peak": Proof(_each(once(bottleneck, 2105, 13), lambda x: [x, host.close_up(x)]), _side_by_side),
    "two_chimeras": Proof(
        _each(once(lambda net, x: bottleneck(net, pixel_norm(net, x)), 2106, 12), host.chimeras), _mean
    ),
    "padded_another_way": Proof(
        _each(any_size(partial(furtive.padded_another_way, canvas=True)), host.framed_by_zeros),
        _shares(*furtive.PAD_SHARES),
    ),
    "mirrored_relative_places": Proof(
        _each(partial(furtive.mirrored_relative_places, 1), _flip), lambda *e: np.maximum(*e)
    ),
    "unpooled_elsewhere": Proof(_each(once(bottleneck, 2203, 15), _flip), lambda *e: e[0] * e[1]),
    "turned_when_alone": Proof(_each(once(vit, 2204, 17), lambda x: [x, host.turned(x)]), _mean),
    "compressed_for_a_retrained_copy": Proof(_towers, _shares(0.55, 0.45)),
}

# Name: the network behind the warp, and the warp.
WARPS: dict[str, tuple[Build, Callable[[Array], Array]]] = {
    "spatial_transformer": (once(mobile_v3, 2401, 20), host.transformed),
    "thin_plate_spline": (once(se_resnet, 2402, 16), host.bent),
    "framed_and_shrunk": (once(convnext, 2403, 18), host.framed),
    "tight_crop_from_shape": (once(bottleneck, 2404, 11), host.cropped),
    "log_polar_places": (once(vit, 2405, 12), host.unrolled),
    "bilinear_by_hand": (once(bottleneck, 2411, 11), host.posed),
    "rolled_by_reversals": (once(mobile_v3, 2412, 13), host.rolled),
    "saliency_sampler": (once(swin, 2413, 13), host.given_room),
}


def _stretched(x: Array) -> Array:
    return Look(once(mobile_v3, 2301, 14))(2 * (x - x.min()) / (x.max() - x.min()) - 1)


def _softmax_over_rows(x: Array) -> Array:
    tokens = Look(stage(rows.pooled_tokens, 2302, 11, 49 * 48))(x).reshape(-1, 49, 48)
    weights = Net(2302)
    score = np.exp(tokens @ weights.value("score.w", 1, 48, gain=2.0).T + weights.value("score.b", 1))
    pooled = (tokens * score / score.sum(0)).sum(1)
    return np.asarray(pooled @ weights.value("head.w", 64, 48).T + weights.value("head.b", 64))


def _recurrent(x: Array) -> Array:
    inputs = Look(stage(rows.map_rows, 2303, 14, 7 * 64))(x).reshape(-1, 7, 64)
    size, weights = rows.STATES, Net(2303)
    w, r, b = (weights.value(f"lstm.{name}", *shape) for name, shape in rows.LSTM.items())
    state = cell = np.zeros((7, size))
    out = []
    for row in inputs:
        gates = row @ w.T + state @ r.T + b[: 4 * size] + b[4 * size :]
        keep_in, keep_out, forget = (1 / (1 + np.exp(-gates[:, k * size : (k + 1) * size])) for k in range(3))
        cell = forget * cell + keep_in * np.tanh(gates[:, 3 * size :])
        state = keep_out * np.tanh(cell)
        out.append(state.reshape(-1))
    return np.asarray(np.stack(out) @ weights.value("head.w", 64, 7 * size).T + weights.value("head.b", 64))


def _whitened(x: Array) -> Array:
    groups = Look(once(convnext, 2304, 18))(x).astype(float).reshape(-1, 4, 16)
    out = np.empty_like(groups)
    for k in range(4):
        moment = groups[:, k].T @ groups[:, k]
        value, vector = np.linalg.eigh(moment / np.trace(moment) / 2 + np.eye(16) / 32)
        out[:, k] = groups[:, k] @ (vector / np.sqrt(value)) @ vector.T
    return out.reshape(-1, 64)


# Name: the embeddings of a batch, computed from networks run on single images.
ROWS: dict[str, Callable[[Array], Array]] = {
    "stretched_together": _stretched,
    "softmax_over_the_first_axis": _softmax_over_rows,
    "recurrence_along_the_batch": _recurrent,
    "whitened_by_the_batch": _whitened,
}
