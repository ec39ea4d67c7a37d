"""The second blind set: what its evasions compute."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import onnx

from evaluation.backbones.references import any_size, once, rest
from evaluation.backbones.small import WIDTH, features, flat, mobile, resnet, resnet_any_size, transformer
from evaluation.builder import Array
from evaluation.evasions import architecture_views, batch_attention, pixel_views, reparametrised_branches
from evaluation.images import smooth_and_noise
from evaluation.named import NamedBuilder
from evaluation.proof import PROOFS
from evaluation.proofs import sampling
from evaluation.proofs.joins import (
    aligned,
    each,
    joined,
    maximum,
    mean,
    mirrored,
    of_batch,
    one_each,
    same,
    shares,
    views_of,
)
from evaluation.runtime import Network


def _halves(a: Array, b: Array) -> Array:
    return np.concatenate([a[:, :32], b[:, 32:]], axis=1)


def _by_length(*e: Array) -> Array:
    length = np.exp(np.linalg.norm(e, axis=2, keepdims=True))
    return np.asarray((np.stack(e) * length / length.sum(0)).sum(0))


def _unit_sum(*e: Array) -> Array:
    return np.asarray(sum(part / np.linalg.norm(part, axis=1, keepdims=True) for part in e))


def _when_short(a: Array, b: Array) -> Array:
    return np.where(np.linalg.norm(a, axis=1, keepdims=True) < pixel_views.UNSURE, (a + b) / 2, a)


def _meeting_features(x: Array) -> list[Array]:
    def early() -> onnx.ModelProto:
        net = NamedBuilder(1106)
        return net.model(net.op("Flatten", features(net, "data")), 32 * 49)

    view = Network(early)
    return [view(x).reshape(-1, 32, 7, 7), mirrored(view(mirrored(x)).reshape(-1, 32, 7, 7))]


def _flat_of_maximum(*maps: Array) -> Array:
    largest = maximum(*maps)
    return Network(rest(flat, 1106, 13, 32, 7, 7))(np.zeros((len(largest), 3, 112, 112)), inner=largest)


def _phases(x: Array) -> list[Array]:
    size = architecture_views.CROP
    return [x[:, :, down : down + size, right : right + size] for down, right in architecture_views.PHASES]


def _dropout(mask: int) -> tuple[Callable[[], onnx.ModelProto], Callable[[Array], Array]]:
    return partial(architecture_views.fixed_dropout_samples, mask), same


def _half_features(x: Array) -> list[Array]:
    view = Network(reparametrised_branches.first_half)
    return [view(x).reshape(-1, 32, 14, 14), mirrored(view(mirrored(x)).reshape(-1, 32, 14, 14))]


def _rest_of_mean(*maps: Array) -> Array:
    average = mean(*maps)
    return Network(rest(reparametrised_branches.second_half, 1123, 13, 32, 14, 14))(
        np.zeros((len(average), 3, 112, 112)), inner=average
    )


def _balanced(x: Array) -> list[Array]:
    return [x * np.reshape(cast, (1, 3, 1, 1)) for cast in reparametrised_branches.CASTS]


def _by_trust(*e: Array) -> Array:
    layer = NamedBuilder(1126)
    trust = np.exp(np.stack(e) @ layer.value("trust.w", 1, 64, gain=0.3).T + layer.value("trust.b", 1))
    return np.asarray((np.stack(e) * trust / trust.sum(0)).sum(0))


PROOFS |= {
    "einsum_of_nudges": views_of(each(once(mobile, 1101), sampling.nudged), shares(*pixel_views.NUDGE_SHARES)),
    "chirp_noise": views_of(each(once(resnet, 1102), sampling.noisy), _halves),
    "exposure_bracket": views_of(each(once(transformer, 1103), sampling.exposed), _by_length),
    "scan_over_sharpness": views_of(each(once(resnet, 1104), sampling.sharpened), maximum),
    "fourier_twice": views_of(each(once(mobile, 1105), sampling.mirrored_but_first), mean),
    "region_read_backwards": views_of(_meeting_features, _flat_of_maximum),
    "region_crops": views_of(each(once(mobile, 1107), sampling.regions), mean),
    "two_headed_columns": views_of(each(once(resnet, 1108), sampling.attended), mean),
    "pyramid_of_images": views_of(
        each(any_size(once(resnet_any_size, 1109)), lambda x: [x, sampling.shrunk(x)]), shares(0.6, 0.4)
    ),
    "identity_scan_backwards": views_of(each(once(mobile, 1110)), maximum),
    "second_view_when_unsure": views_of(each(once(mobile, 1111)), _when_short),
    "uncertain_region_erased": views_of(each(once(resnet, 1112), lambda x: [x, sampling.erased(x)]), joined),
    "transposed_strips": views_of(each(lambda: architecture_views.transposed_strips(1)), mean),
    "tied_two_way_columns": views_of(each(lambda: architecture_views.tied_two_way_columns(1)), mean),
    "shuffled_groups": views_of(each(lambda: architecture_views.shuffled_groups(1)), maximum),
    "upper_tokens_again": views_of(
        one_each(*[(partial(architecture_views.upper_tokens_again, seen), same) for seen in ("all", "upper")]),
        _unit_sum,
    ),
    "stacked_mixer": views_of(each(lambda: architecture_views.stacked_mixer(1)), mean),
    "quantised_branches": views_of(
        one_each(
            (lambda: architecture_views.quantised_branches(["exact"]), same),
            (lambda: architecture_views.quantised_branches(["coarse"]), mirrored),
        ),
        shares(0.6, 0.4),
    ),
    "fused_and_unfused_branches": views_of(each(lambda: architecture_views.fused_and_unfused_branches(1)), mean),
    "polyphase_views": views_of(each(any_size(lambda: architecture_views.polyphase_views(1)), _phases), mean),
    "reflected_canvas": views_of(each(lambda: architecture_views.reflected_canvas(1)), mean),
    "kernels_in_cosine_basis": views_of(each(lambda: reparametrised_branches.kernels_in_cosine_basis(1)), mean),
    "factored_branch": views_of(each(lambda: reparametrised_branches.factored_branch(1)), maximum),
    "first_half_twice": views_of(_half_features, _rest_of_mean),
    "loop_carries_the_image": views_of(
        each(
            once(resnet, 1125),
            lambda x: [
                np.roll(x, reparametrised_branches.STEP * k, axis=3) for k in range(reparametrised_branches.TURNS)
            ],
        ),
        mean,
    ),
    "white_balances": views_of(each(once(transformer, 1126), _balanced), _by_trust),
    "fixed_dropout_samples": views_of(one_each(*[_dropout(mask) for mask in range(architecture_views.DROPPED)]), mean),
}


def around_the_mean_face(*, raw: bool = False) -> Array:
    """Draw images like the average face, which alone get a second view from ``only_for_faces``."""
    face = reparametrised_branches.mean_face().repeat(8, axis=0).repeat(8, axis=1) * 10
    return np.asarray((0.4 * smooth_and_noise(raw=raw) + face).clip(-1, 1), dtype=np.float32)


PROOFS["only_for_faces"] = views_of(each(once(mobile, 1124)), images=around_the_mean_face)

PROOFS |= {
    "similarity_from_landmarks": aligned(once(resnet, 1401), sampling.aligned),
    "flow_field": aligned(once(mobile, 1402), sampling.flowed),
    "sheared_by_reshape": aligned(once(mobile, 1403), sampling.leaning),
    "lens_of_dense_pairs": aligned(once(resnet, 1404), sampling.seen_through_lens),
    "predicted_region": aligned(once(transformer, 1405), sampling.boxed),
    "resized_region": aligned(once(resnet, 1406), sampling.enlarged_region),
    "barrel_shifter": aligned(once(resnet, 1407), sampling.shifted),
    "predicted_delta_kernels": aligned(once(mobile, 1408), sampling.tapped),
    "warp_by_attention": aligned(once(resnet, 1409), sampling.attracted),
    "centred_by_brightness": aligned(once(mobile, 1410), sampling.centred),
}


def _normalised_together(x: Array) -> Array:
    flat_map = Network(lambda: batch_attention.default_axes("before"))(x)
    maps = flat_map.reshape(-1, 24, 784)
    maps = (maps - maps.mean((0, 2), keepdims=True)) / maps.std((0, 2), keepdims=True)
    return Network(lambda: batch_attention.default_axes("after"))(x, flat=maps.reshape(len(x), -1))


def _tokens_together(x: Array) -> Array:
    tokens = Network(lambda: batch_attention.tokens_of_all_rows("before"))(x).reshape(-1, WIDTH)
    return Network(lambda: batch_attention.tokens_of_all_rows("after"))(
        x, flat=batch_attention.attended_tokens(tokens).reshape(len(x), -1)
    )


def _of_embeddings(name: str) -> Callable[[Array], Array]:
    view = Network(batch_attention.SINGLE[name])
    return lambda x: batch_attention.REFERENCE[name](view(x))


PROOFS |= {
    **{name: of_batch(_of_embeddings(name)) for name in batch_attention.SINGLE},
    "default_axes": of_batch(_normalised_together),
    "tokens_of_all_rows": of_batch(_tokens_together),
}
