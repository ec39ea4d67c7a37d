"""The third blind set: what its evasions compute."""

from __future__ import annotations

from functools import partial

import numpy as np

from evaluation.backbones.exported_convolution import bottleneck, convnext, mobile_v3, pixel_norm, se_resnet
from evaluation.backbones.exported_tokens import swin, swin_layers, swin_patches, vit
from evaluation.backbones.references import any_size, once, rest, stage
from evaluation.builder import Array
from evaluation.evasions import batch_statistics, common_augmentation, concealed_views
from evaluation.images import varied
from evaluation.named import NamedBuilder
from evaluation.proof import PROOFS, Proof
from evaluation.proofs import joins, resampling
from evaluation.proofs.joins import each, joined, maximum, mean, mirrored, shares
from evaluation.runtime import Network

views_of = partial(joins.views_of, images=varied)
aligned = partial(joins.aligned, images=varied)
of_batch = partial(joins.of_batch, images=varied)


def _unit_sum(*e: Array) -> Array:
    total = np.sum(e, axis=0)
    return np.asarray(total / np.linalg.norm(total, axis=1, keepdims=True))


def _flipped_tokens(x: Array) -> list[Array]:
    tokens = Network(stage(swin_patches, 2103, 16, 28 * 28 * 24))(x).reshape(-1, 28, 28, 24)
    behind = Network(rest(swin_layers, 2103, 16, 28, 28, 24))
    return [behind(x, inner=tokens), behind(x, inner=tokens[:, :, ::-1])]


def _layer(seed: int, name: str, e: Array) -> Array:
    weights = NamedBuilder(seed)
    return np.asarray(e @ weights.value(f"{name}.w", 64, e.shape[1]).T + weights.value(f"{name}.b", 64))


def _joined_by_layer(*e: Array) -> Array:
    return _layer(2103, "join", joined(*e))


def _gated(sharp: Array, soft: Array) -> Array:
    gate = 1 / (1 + np.exp(-_layer(2104, "gate", joined(sharp, soft))))
    return np.asarray(gate * sharp + (1 - gate) * soft)


def _branches(x: Array) -> list[Array]:
    """Show the image to the first branch and its compressed version, as the graph has it, to the second."""
    parts = [
        Network(partial(concealed_views.compressed_for_a_retrained_copy, name)) for name in ("first", "second", "image")
    ]
    first, second, image = parts
    return [first(x), second(image(x).reshape(x.shape))]


def _one_sequence() -> Proof:
    """Prove that one wide sequence holds the flip: the pair of images is handed in from outside."""
    pair = Network(partial(common_augmentation.one_sequence_of_both, given=True))
    return Proof(
        computes=lambda x: pair(x, other=mirrored(x)),
        others=lambda x: [pair(x, other=x), pair(mirrored(x), other=mirrored(x))],
        apart=0.1,
        images=varied,
    )


PROOFS |= {
    "one_sequence_of_both": _one_sequence(),
    "chunked_flip_test": views_of(each(once(se_resnet, 2101, 11)), _unit_sum),
    "ten_crops": views_of(each(once(mobile_v3, 2102, 13), resampling.ten_crops), mean),
    "flipped_patch_embeddings": views_of(_flipped_tokens, _joined_by_layer),
    "soft_focus_gate": views_of(each(once(convnext, 2104, 18), lambda x: [x, resampling.softened(x)]), _gated),
    "zoom_at_the_peak": views_of(each(once(bottleneck, 2105, 13), lambda x: [x, resampling.close_up(x)]), joined),
    "two_chimeras": views_of(
        each(once(lambda net, x: bottleneck(net, pixel_norm(net, x)), 2106, 12), resampling.chimeras), mean
    ),
    "padded_another_way": views_of(
        each(any_size(partial(concealed_views.padded_another_way, canvas=True)), resampling.framed_by_zeros),
        shares(*concealed_views.PAD_SHARES),
    ),
    "mirrored_relative_places": views_of(each(partial(concealed_views.mirrored_relative_places, 1)), maximum),
    "unpooled_elsewhere": views_of(each(once(bottleneck, 2203, 15)), lambda *e: e[0] * e[1]),
    "turned_when_alone": views_of(each(once(vit, 2204, 17), lambda x: [x, resampling.turned(x)]), mean),
    "compressed_for_a_retrained_copy": views_of(_branches, shares(0.55, 0.45)),
}

PROOFS |= {
    "spatial_transformer": aligned(once(mobile_v3, 2401, 20), resampling.transformed),
    "thin_plate_spline": aligned(once(se_resnet, 2402, 16), resampling.bent),
    "framed_and_shrunk": aligned(once(convnext, 2403, 18), resampling.framed),
    "tight_crop_from_shape": aligned(once(bottleneck, 2404, 11), resampling.cropped),
    "log_polar_places": aligned(once(vit, 2405, 12), resampling.unrolled),
    "bilinear_by_hand": aligned(once(bottleneck, 2411, 11), resampling.posed),
    "rolled_by_reversals": aligned(once(mobile_v3, 2412, 13), resampling.rolled),
    "saliency_sampler": aligned(once(swin, 2413, 13), resampling.given_room),
}


def _stretched(x: Array) -> Array:
    return Network(once(mobile_v3, 2301, 14))(2 * (x - x.min()) / (x.max() - x.min()) - 1)


def _softmax_over_rows(x: Array) -> Array:
    tokens = Network(stage(batch_statistics.pooled_tokens, 2302, 11, 49 * 48))(x).reshape(-1, 49, 48)
    weights = NamedBuilder(2302)
    score = np.exp(tokens @ weights.value("score.w", 1, 48, gain=2.0).T + weights.value("score.b", 1))
    pooled = (tokens * score / score.sum(0)).sum(1)
    return np.asarray(pooled @ weights.value("head.w", 64, 48).T + weights.value("head.b", 64))


def _recurrent(x: Array) -> Array:
    inputs = Network(stage(batch_statistics.map_rows, 2303, 14, 7 * 64))(x).reshape(-1, 7, 64)
    size, weights = batch_statistics.STATES, NamedBuilder(2303)
    w, r, b = (weights.value(f"lstm.{name}", *shape) for name, shape in batch_statistics.LSTM.items())
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
    groups = Network(once(convnext, 2304, 18))(x).astype(float).reshape(-1, 4, 16)
    out = np.empty_like(groups)
    for k in range(4):
        moment = groups[:, k].T @ groups[:, k]
        value, vector = np.linalg.eigh(moment / np.trace(moment) / 2 + np.eye(16) / 32)
        out[:, k] = groups[:, k] @ (vector / np.sqrt(value)) @ vector.T
    return out.reshape(-1, 64)


PROOFS |= {
    "stretched_together": of_batch(_stretched),
    "softmax_over_the_first_axis": of_batch(_softmax_over_rows),
    "recurrence_along_the_batch": of_batch(_recurrent),
    "whitened_by_the_batch": of_batch(_whitened),
}
